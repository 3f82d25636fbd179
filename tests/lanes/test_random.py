"""Philox against Random123's known answers; draws against the laws that they must follow."""

import numpy as np
import pytest
from scipy import stats

import gdsim as gd
from gdsim.lanes import compiler, draws
from gdsim.lanes.draws import normal_numbers, uniform_numbers
from gdsim.lanes.operations import load, store
from gdsim.lanes.philox import philox

ONES = 0xFFFFFFFF
# Random123's kat_vectors for philox4x32-10: counter, key, result.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def four_words(counter, key, out):
    words = philox((load(counter, 0, 1), load(counter, 1, 1), load(counter, 2, 1), load(counter, 3, 1)), (key[0], key[1]))
    for k in range(4):
        store(out, k, words[k])


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, expected):
    from numba import types

    word = types.uint32[::1]
    out = np.zeros(4, np.uint32)
    compiler.bind(four_words, {}, types.void(word, word, word))(np.array(counter, np.uint32), np.array(key, np.uint32), out)
    assert tuple(out.tolist()) == expected


def test_numbers_drawn_without_a_kernel_are_those_of_the_kernel_and_of_the_known_answer(monkeypatch):
    a, b, c, d = KNOWN[0][2]
    expected = [((a >> 5) * 2**26 + (b >> 6) + 0.5) / 2**53, ((c >> 5) * 2**26 + (d >> 6) + 0.5) / 2**53]
    cases = [(0, [0], (0, 0), 2), (2**64 - 1, [7, ONES, 0], (3, ONES), 5), (2**32, range(9), (4, 1), 1), (5, [], (0, 0), 3), (5, [1], (0, 0), 0)]
    found = []
    for most in (2**62, 0):
        monkeypatch.setattr(draws, "MOST_WITHOUT_KERNEL", most)
        found.append([uniform_numbers(seed, np.array(starts, np.uint32), purpose, count) for seed, starts, purpose, count in cases])
    assert found[0][0].tolist() == [expected]
    assert [v.tolist() for v in found[0]] == [v.tolist() for v in found[1]]


def test_draws_follow_their_laws():
    starts = np.arange(64, dtype=np.uint32)
    uniform, normal = uniform_numbers(1, starts, (0, 0), 2001), normal_numbers(1, starts, (0, 0), 2001)
    assert uniform.shape == normal.shape == (64, 2001)
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-4
    assert stats.kstest(normal.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(uniform)[np.triu_indices(64, 1)]).max() < 0.12
    assert uniform.min() > 0
    assert uniform.max() < 1


def test_a_draw_depends_on_its_own_start_and_element_alone():
    many = normal_numbers(5, np.arange(20, dtype=np.uint32), (0, 0), 30)
    few = normal_numbers(5, np.array([7], np.uint32), (0, 0), 9)
    assert (few[0] == many[7, :9]).all()
    assert (many != normal_numbers(6, np.arange(20, dtype=np.uint32), (0, 0), 30)).all()
    assert (many != normal_numbers(5, np.arange(20, dtype=np.uint32), (1, 0), 30)).all()


def test_starts_are_drawn_as_their_names_say():
    problem = gd.MLP(gd.datasets.load("digits"), hidden=[32])
    for init, law in (
        ("glorot", stats.uniform(-np.sqrt(6 / 96), 2 * np.sqrt(6 / 96))),
        ("he", stats.norm(0, np.sqrt(2 / 64))),
        (gd.Normal(0.3), stats.norm(0, 0.3)),
        (gd.Uniform(-2, 1), stats.uniform(-2, 3)),
    ):
        sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.0), init=init, steps=1, starts=20, batch=32, record=gd.Record(every="ends", parameters=True))
        layers = [problem.unpack(v) for v in sweep.run().parameters.values]
        first = np.concatenate([W.ravel() for (W, _), _ in layers])
        assert stats.kstest(first, law.cdf).pvalue > 1e-4
        biases = np.concatenate([b for (_, b), _ in layers])
        assert (biases == 0).all() == isinstance(init, str)
