"""The doctor's trial of a GPU: the numbers of one small kernel."""

import json

import numpy as np
import pytest
import scipy.special

from gdsim.kernels import self_test
from gdsim.sweep import doctor
from gdsim.sweep.known_bits import NUMBERS, unlike
from tests.cuda import gpu
from tests.cuda.driver import ATTRIBUTES
from tests.cuda.kernels import on_processor
from tests.helpers import gdsim


@pytest.fixture(scope="module")
def found():
    """What the processor leaves in both arrays."""
    return on_processor(self_test.fill_all, self_test.PARTS, self_test.arrays())[1:]


def test_the_known_numbers_are_a_processors(found):
    assert unlike(self_test.named(*found)) == []
    assert list(NUMBERS) == list(self_test.named(*found))


def test_the_elementary_functions_are_those_of_scipy(found):
    a, b, *others = found[0].reshape(self_test.SINGLE_ROWS, -1).astype(float)
    x, y = 4 * a, b / 8
    truth = (
        np.exp(x), np.log(abs(x)), np.tanh(x), scipy.special.expit(x), np.logaddexp(0, x), np.sin(x), np.cos(x), np.arctan2(y, x), np.arccos(y), scipy.special.erf(x),
        abs(x) ** y,
    )  # fmt: skip
    np.testing.assert_allclose(others[-len(truth) :], truth, rtol=3e-7)


def test_numbers_are_below_the_least_normal_one_and_sums_are_rounded_twice(found):
    for values in (found[0].reshape(self_test.SINGLE_ROWS, -1), found[1].reshape(self_test.BOTH_ROWS, -1)):
        a, b, small, summed, w, steps = values[: self_test.BOTH_ROWS]
        assert (small != 0).all()
        assert (abs(small) < np.finfo(small.dtype).tiny).all()
        assert (summed == a * b + small.dtype.type(0.3)).all()  # NumPy rounds the product, too
        assert (abs(w) <= self_test.FAR).all()
        assert len(set(steps.tolist())) > 5  # lanes go different ways
        assert steps.max() < self_test.MOST_STEPS


@pytest.mark.parametrize("capability", [(7, 5), (9, 0)])
def test_a_gpu_is_tried_by_one_kernel_and_what_is_wrong_is_named(compiled, monkeypatch, tmp_path, capability):
    attributes = {**ATTRIBUTES, 75: capability[0], 76: capability[1]}
    library = gpu.put_in(monkeypatch, compiled, attributes=attributes)
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    code, out, errors = gdsim("doctor", folder=tmp_path, patched=True)
    assert (code, errors) == (0, "")
    assert "16.8 MB of memory: bits right (" in out
    assert len(library.launches) == 1
    assert library.held == {}

    def damage():
        numbers = next(room for room in library.held.values())[256:].view(np.float32)
        numbers[self_test.THREADS * (self_test.SINGLE_ROWS - 1)] += 1.0

    library.on_launch = damage
    code, out, _ = gdsim("doctor", "--json", folder=tmp_path, patched=True)
    assert code == 4
    assert json.loads(out)["gpus"][0]["wrong_bits"] == ["elementary functions"]
    assert json.loads(out)["problems"] == ["the bits of elementary functions on cuda:0 are not the known ones: train on processors"]


def test_a_gpu_that_fails_at_the_trial_is_said_to(compiled, monkeypatch, tmp_path):
    gpu.put_in(monkeypatch, compiled).fails["cuModuleLoadData"] = 209
    monkeypatch.setattr(doctor, "wrong_answers", lambda *device: [])
    code, out, _ = gdsim("doctor", folder=tmp_path, patched=True)
    assert code == 0
    assert "cannot be used: it fails at small work: error 209 in cuModuleLoadData" in out
