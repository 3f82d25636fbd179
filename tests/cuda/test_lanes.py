"""Operations on lanes, and functions made of them, by the threads of a warp: the bits of the processor's lanes."""

import numpy as np
import pytest

from gdsim.lanes import elementary
from gdsim.lanes.bits import largest_magnitude, to_bits
from gdsim.lanes.masks import all, any, count_of, extract, greatest, smallest
from gdsim.lanes.operations import as_type_of, broadcast, load, store
from gdsim.lanes.permutation import order_key, permuted
from gdsim.lanes.philox import normal_pair, random_words
from gdsim.lanes.tiles import broadcast_row, gather, gather_columns, load_row, outer_fma, repeat, store_row
from gdsim.problems.activations import ACTIVATIONS
from tests.cuda.arena import WARP
from tests.cuda.kernels import on_processor, on_warps, same_bits

PRECISIONS = {"f32": np.float32, "f64": np.float64}
CAPABILITIES = [(7, 5), (9, 0)]


def check(compiled, template, arrays, capability=(9, 0), **parts):
    """The arrays that a warp and the processor leave are the same."""
    found, expected = on_warps(compiled, template, parts, arrays, capability), on_processor(template, parts, arrays)
    for a, b in zip(found, expected, strict=True):
        assert same_bits(a, b)
    return found


def numbers(kind, count, seed=0):
    """Numbers of all sizes, half of them with random bits."""
    rng, dtype = np.random.default_rng(seed), np.dtype(PRECISIONS[kind])
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize) - 1, count, np.uint64).astype(f"u{dtype.itemsize}").view(dtype)
    usual = (rng.standard_normal(count) * 10.0 ** rng.uniform(-3, 2, count)).astype(dtype)
    return np.where(rng.random(count) < 0.5, bits, usual)


def mapped(a, out):
    for i in range(0, len(out), 32):
        store(out, i, function(load(a, i, 32)))  # noqa: F821


def mapped_pairs(a, out):
    for i in range(0, len(out), 32):
        store(out, i, function(load(a, i, 32), load(a, i + len(out), 32)))  # noqa: F821


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("body", elementary.ELEMENTARY, ids=lambda b: b.__name__)
def test_an_elementary_function_has_the_processors_bits(compiled, body, kind):
    count = 40 * WARP if kind == "f32" else 10 * WARP
    arguments = body.__code__.co_argcount
    check(compiled, mapped_pairs if arguments == 2 else mapped, (numbers(kind, arguments * count), np.zeros(count, PRECISIONS[kind])), function=body)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_has_the_processors_bits(compiled, name):
    check(compiled, mapped, (numbers("f32", 10 * WARP), np.zeros(10 * WARP, np.float32)), function=ACTIVATIONS[name].value)


PLACES = (64, 0, 32)


def place_of(k):
    return PLACES[k]


def exchanged(a, out):
    for k in range(3):
        store(out, WARP * k, load(a, place_of(k), WARP))


def test_a_function_that_may_raise_in_python_goes_into_a_kernel_too(compiled):
    check(compiled, exchanged, (numbers("f32", 3 * WARP), np.zeros(3 * WARP, np.float32)))


def asked(a, words, out):
    x, w = load(a, 0, 32), load(words, 0, 32)
    out[0] = 1 if any(x > 1.0) else 0
    out[1] = 1 if all(x > 1.0) else 0
    out[2] = count_of(x > 1.0)
    out[3] = np.int64(smallest(w))
    out[4] = np.int64(greatest(w))
    out[5] = np.int64(greatest(to_bits(x * x)))
    out[6] = np.int64(extract(w, 5))
    out[7] = np.int64(extract(to_bits(x), 31))


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_what_all_lanes_are_asked(compiled, capability, kind):
    x = np.random.default_rng(3).uniform(0.5, 1.5, WARP).astype(PRECISIONS[kind])
    words = np.random.default_rng(4).integers(0, 2**32, WARP, np.uint64).astype(np.uint32)
    for values in (x, x + 1, x - 1):
        _, _, out = check(compiled, asked, (values, words, np.zeros(8, np.int64)), capability)
        assert out[:5].tolist() == [(values > 1).any(), (values > 1).all(), (values > 1).sum(), words.min(), words.max()]
        assert out[6] == words[5]


def drawn(words, out, order):
    start = load(words, 0, 32)
    a, b = normal_pair(random_words(start, 0, 0, 1, (words[32], words[33])), load(out, 0, 32))
    store(out, 0, a)
    store(out, 32, b)
    place = permuted(start, order_key(start, words[34], 0, (words[32], words[33]), words[35]))
    store(order, 0, place)


@pytest.mark.parametrize("elements", [7, 1000, 100_003])
def test_draws_and_orders_have_the_processors_bits(compiled, elements):
    words = np.r_[np.arange(WARP) % elements, 7, 9, 3, elements].astype(np.uint32)
    _, out, order = check(compiled, drawn, (words, np.zeros(2 * WARP), np.zeros(WARP, np.uint32)))
    assert np.abs(out).max() < 6
    assert order.max() < elements


def products(a, b, out):
    tile = outer_fma(repeat(load(a, 0, 32) * 0.0, 6), load_row(a, 0, 32, 3, 32), broadcast_row(b, 1, 3, 2, 32))
    store_row(out, 0, 32, tile)


@pytest.mark.parametrize("kind", PRECISIONS)
def test_tiles_have_the_processors_bits(compiled, kind):
    check(compiled, products, (numbers(kind, 3 * WARP), numbers(kind, 8), np.zeros(6 * WARP, PRECISIONS[kind])))


def gathered(matrix, rows, out):
    places = load(rows, 0, 32)
    gather_columns(matrix, 24, places, 4, 8, out, (32, 64))
    store(out, 0, gather(matrix, places))


def test_rows_are_gathered(compiled):
    matrix, rows = np.arange(24 * 50, dtype=np.float32), np.random.default_rng(5).integers(0, 50, WARP).astype(np.uint32)
    *_, out = check(compiled, gathered, (matrix, rows, np.zeros(20 * WARP, np.float32)))
    assert out[32:64].tolist() == matrix[rows * 24 + 4].tolist()
    assert out[:32].tolist() == matrix[rows].tolist()


def converted(words, out):
    w = load(words, 0, 32)
    x = as_type_of(w, load(out, 0, 32))
    store(out, 0, x + broadcast(2.5, x))
    store(words, 0, as_type_of(x, w) // 3 + (w % 7 << 2) + largest_magnitude(w * 0, as_type_of(w, x)) * 0)


def test_whole_numbers_and_conversions(compiled):
    words = np.random.default_rng(6).integers(0, 2**24, WARP).astype(np.uint32)
    check(compiled, converted, (words, np.zeros(WARP, np.float32)))
