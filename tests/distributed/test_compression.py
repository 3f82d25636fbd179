"""Compressors as declarations: their numbers, the bits of their messages, and what they refuse in one line."""

import pytest

import gdsim as gd
from gdsim.distribution import COMPRESSORS, MEMORIES

SHAPES = [(32, 64), (10, 32)]  # digits 64-32-10, with 42 biases
SIZE = 2410
EXAMPLES = {
    "TopK": gd.TopK(fraction=[0.01, 0.1]),
    "RandomK": gd.RandomK(count=3, masks="shared"),
    "QSGD": gd.QSGD(levels=[1, 4]),
    "Sign": gd.Sign(),
    "ScaledSign": gd.ScaledSign(),
    "PowerSGD": gd.PowerSGD(rank=2),
    "ErrorFeedback": gd.ErrorFeedback(gd.TopK(fraction=0.1), rate="outside"),
    "EF21": gd.EF21(gd.RandomK(count=5)),
}


def test_every_compressor_has_an_example_and_a_name():
    assert {kind.__name__ for kind in (*COMPRESSORS, *MEMORIES)} == set(EXAMPLES)


@pytest.mark.parametrize("one", EXAMPLES.values(), ids=EXAMPLES)
def test_a_compressor_reads_back_as_it_is_shown(one):
    assert eval(repr(one), {name: getattr(gd, name) for name in dir(gd)}) == one


@pytest.mark.parametrize(
    ("one", "bits"),
    [
        (gd.TopK(fraction=0.01), 24 * (32 + 12)),
        (gd.TopK(count=1), 44),
        (gd.TopK(fraction=1e-9), 44),
        (gd.RandomK(fraction=0.29), 32 * 698),
        (gd.QSGD(levels=4), 32 + SIZE * 4),
        (gd.QSGD(levels=1), 32 + SIZE * 2),
        (gd.Sign(), SIZE),
        (gd.ScaledSign(), SIZE + 32),
        (gd.PowerSGD(rank=1), 32 * (96 + 42 + 42)),
        (gd.PowerSGD(rank=8), 32 * (8 * 96 + 320 + 42)),
        (gd.ErrorFeedback(gd.TopK(count=2)), 88),
        (gd.EF21(gd.PowerSGD()), 32 * (96 + 42 + 42)),
    ],
)
def test_bits_of_a_message(one, bits):
    assert one.bits(SIZE, SHAPES) == bits


def test_bits_of_an_axis_need_the_number_of_a_run():
    one = gd.ErrorFeedback(gd.TopK(fraction=[0.01, 0.1]))
    assert one.bits(100, [], {"compressor_fraction": 0.1}) == 10 * 39
    with pytest.raises(ValueError, match="needs the number of a run for compressor_fraction"):
        one.bits(100, [])


@pytest.mark.parametrize(("fraction", "d", "kept"), [(0.29, 100, 29), (0.7, 10, 7), (0.3, 10, 3), (0.1, 5, 1), (1, 7, 7), (0.999, 7, 6)])
def test_a_fraction_keeps_the_whole_part_of_what_is_written(fraction, d, kept):
    assert gd.TopK(fraction=fraction).constants({"fraction": fraction}, d) == {"kept": kept}


def test_random_k_is_scaled_alone_and_not_in_a_memory():
    assert gd.RandomK(count=4).constants({"count": 4.0}, 10) == {"kept": 4.0, "scale": 2.5}
    for memory in (gd.ErrorFeedback, gd.EF21):
        assert memory(gd.RandomK(count=4)).constants({"compressor_count": 4.0}, 10) == {"compressor_kept": 4.0, "compressor_scale": 1.0}


def test_structure_is_the_kind_and_its_memory():
    assert gd.TopK(fraction=0.1).structure() == gd.TopK(fraction=0.2).structure() != gd.ErrorFeedback(gd.TopK(fraction=0.1)).structure()
    assert gd.ErrorFeedback(gd.Sign(), rate="outside").structure() != gd.ErrorFeedback(gd.Sign()).structure()
    assert gd.PowerSGD(rank=1).structure() == gd.PowerSGD(rank=2).structure()
    assert [gd.PowerSGD(rank=r).every_size() for r in (1, 2)] == [[1], [2]]


def test_alternatives_of_what_is_held_are_alternatives():
    one = gd.ErrorFeedback(gd.grid(gd.TopK(count=1), gd.RandomK(count=1, masks=gd.grid("shared", "independent"))))
    inner = [gd.TopK(count=1), gd.RandomK(count=1, masks="shared"), gd.RandomK(count=1)]
    assert one.variants() == [gd.ErrorFeedback(c) for c in inner]
    assert gd.TopK(count=1).settings() == {"count": 1.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (gd.TopK, "needs either fraction or count, and neither was given: write TopK(fraction=0.01) or TopK(count=10)"),
        (lambda: gd.RandomK(0.1, 2), "RandomK needs either fraction or count, and both were given"),
        (lambda: gd.TopK(fraction=0), "TopK.fraction must be a finite number in (0, 1]; 0 was given"),
        (lambda: gd.TopK(count=0), "TopK.count must be a finite number in [1, "),
        (lambda: gd.TopK(count=1.5), "TopK.count must be a whole number; 1.5 was given"),
        (lambda: gd.QSGD(levels=0), "QSGD.levels must be a finite number in [1, "),
        (lambda: gd.PowerSGD(rank=0), "PowerSGD.rank must be a finite number in [1, "),
        (lambda: gd.RandomK(count=1, masks="both"), "masks='both' is not known; allowed: 'independent', 'shared'"),
        (lambda: gd.ErrorFeedback(gd.Sign(), rate="between"), "rate='between' is not known; allowed: 'inside', 'outside'"),
        (lambda: gd.ErrorFeedback("TopK"), "'TopK' was given; did you mean gd.TopK()?"),
        (lambda: gd.ErrorFeedback(gd.EF21(gd.TopK(count=1))), "ErrorFeedback cannot be put around EF21, which has a memory already"),
        (lambda: gd.EF21(gd.QSGD(levels=2)), "EF21 needs a compressor whose message is nearer to the vector than 0 is, and QSGD's need not be"),
        (lambda: gd.TopK(count=6).check_model({"count": 6.0}, 5, []), "TopK.count must be at most 5, the number of parameters of the problem; 6 was given"),
        (lambda: gd.PowerSGD().check_model({}, 5, []), "compresses nothing here: the problem has no matrix, and vectors"),
        (lambda: gd.EF21(gd.PowerSGD(rank=2)).check_model({}, 9, [(3, 3)]), "the largest matrix of the problem is 3 x 3"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises((ValueError, TypeError)) as raised:
        make()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
