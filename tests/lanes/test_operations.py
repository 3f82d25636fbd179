"""Operators and operations on lanes against NumPy, at every width and in both precisions."""

import importlib
import operator
import pathlib

import numpy as np
import pytest

from gdsim.lanes import compiler
from gdsim.lanes.bits import from_bits, multiply_high, to_bits
from gdsim.lanes.masks import all, any, count_of, extract, first_of, smallest, unlikely
from gdsim.lanes.operations import OPERATIONS, absolute, as_type_of, broadcast, floor, fma_lanes, load, maximum, minimum, sign, sqrt, store, where
from gdsim.lanes.products import products
from gdsim.lanes.tiles import gather_columns, load_row, outer_fma, repeat, rows_of, select_row, store_row, store_tile

WIDTHS = (1, 2, 4, 8, 16, 32, 64)


def kernel_of(function, width, *arrays, **parts):
    """Compiles and calls a kernel over arrays."""
    from numba import types

    kinds = [types.Array(getattr(types, a.dtype.name), 1, "C") for a in arrays]
    compiler.bind(function, {"WIDTH": width, **parts}, types.void(*kinds))(*arrays)


def elementwise(a, b, out):
    for i in range(0, len(out), WIDTH):  # noqa: F821
        store(out, i, f(load(a, i, WIDTH), load(b, i, WIDTH)))  # noqa: F821


CASES = {
    "add": (lambda x, y: x + y, np.add),
    "subtract a number": (lambda x, y: x - 0.1, lambda x, y: x - x.dtype.type(0.1)),
    "number less": (lambda x, y: 2 - x, lambda x, y: 2 - x),
    "multiply": (lambda x, y: x * y, np.multiply),
    "divide": (lambda x, y: x / y, np.divide),
    "negate": (lambda x, y: -x, lambda x, y: -x),
    "absolute": (lambda x, y: absolute(x), lambda x, y: abs(x)),
    "root": (lambda x, y: sqrt(x), lambda x, y: np.sqrt(x)),
    "minimum": (minimum, np.minimum),
    "maximum": (lambda x, y: maximum(x, 0.5), lambda x, y: np.maximum(x, 0.5)),
    "where less": (lambda x, y: where(x < y, x, 7.0), lambda x, y: np.where(x < y, x, 7)),
    "where not equal": (lambda x, y: where(x != x, y, x), lambda x, y: np.where(np.isnan(x), y, x)),
    "masks": (lambda x, y: where(((x > 0.0) & ~(y > 0.0)) | (x == y), x, y), lambda x, y: np.where(((x > 0) & ~(y > 0)) | (x == y), x, y)),
    "bits": (lambda x, y: from_bits(to_bits(x)), lambda x, y: x),
    "broadcast": (lambda x, y: broadcast(3, x), lambda x, y: np.full_like(x, 3)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_an_operation_is_numpys(name, dtype):
    ours, numpys = CASES[name]
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=128).astype(dtype), rng.normal(size=128).astype(dtype)
    a[:4], b[:4], a[4] = (np.nan, np.inf, -0.0, 0.0), (1.0, np.nan, 0.0, -np.inf), b[4]
    out = np.empty_like(a)
    kernel_of(elementwise, 16, a, b, out, f=ours)
    with np.errstate(all="ignore"):
        assert np.array_equal(out, numpys(a, b).astype(dtype), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_gives_the_same_bits(width, dtype):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=128).astype(dtype), rng.normal(size=128).astype(dtype)
    out, one = np.empty_like(a), np.empty_like(a)
    chain = lambda x, y: fma_lanes(x, y, sqrt(absolute(x))) / (y - 0.3) + where(x < y, x * 0.1, y)  # noqa: E731
    kernel_of(elementwise, width, a, b, out, f=chain)
    kernel_of(elementwise, 1, a, b, one, f=chain)
    assert out.tobytes() == one.tobytes()


def test_fused_multiply_adds_round_once():
    a, b, out = np.full(16, 1 + 2.0**-27), np.full(16, 1 - 2.0**-27), np.empty(16)
    kernel_of(elementwise, 16, a, b, out, f=lambda x, y: fma_lanes(x, y, -1.0))
    assert (out == -(2.0**-54)).all()


INTEGERS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.floordiv, "remainder": operator.mod,
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}  # fmt: skip


@pytest.mark.parametrize("name", INTEGERS)
def test_an_operation_on_unsigned_integers_is_numpys(name):
    rng = np.random.default_rng(2)
    a, b = (rng.integers(1, 2**32, 64, dtype=np.uint32) for _ in range(2))
    out = np.empty_like(a)
    f = {n: eval(f"lambda x, y: x {s} y") for n, s in zip(INTEGERS, ("+", "-", "*", "//", "%", "&", "|", "^"), strict=True)}[name]
    kernel_of(elementwise, 16, a, b, out, f=f)
    assert (out == INTEGERS[name](a, b)).all()


def test_division_by_zero_does_not_end_the_process():
    a, b, out = np.full(16, 7, np.uint32), np.zeros(16, np.uint32), np.empty(16, np.uint32)
    kernel_of(elementwise, 16, a, b, out, f=lambda x, y: x % y)
    assert (out == 0).all()


def test_shifts_and_high_products():
    a, out = np.random.default_rng(3).integers(0, 2**32, 32, dtype=np.uint32), np.empty(32, np.uint32)
    kernel_of(elementwise, 16, a, a, out, f=lambda x, y: multiply_high(x, y) ^ (x << 3) ^ (y >> 7))
    wide = a.astype(np.uint64)
    assert (out == ((wide * wide >> np.uint64(32)).astype(np.uint32) ^ (a << np.uint32(3)) ^ (a >> np.uint32(7)))).all()


def questions(a, out):
    x = load(a, 0, WIDTH)  # noqa: F821
    out[0] = any(x > 2.0)
    out[1] = all(x > 2.0)
    out[2] = all(x > 0.0)
    out[3] = extract(floor(x * 0.75), 3) + extract(sign(2.0 - x), 0)
    out[4] = extract(x, 1)


def test_masks_are_asked_about():
    out = np.zeros(5)
    kernel_of(questions, 4, np.array([1.0, 2.0, 3.0, 4.0]), out)
    assert out.tolist() == [1, 0, 1, 4, 2]


def counted(a, out):
    x = load(a, 0, WIDTH)  # noqa: F821
    mask = x > 9
    out[0] = count_of(mask)
    out[1] = smallest(x)
    place = first_of(mask, 0)
    out[2] = place
    out[3] = first_of(mask, WIDTH)  # noqa: F821
    while unlikely(place < WIDTH):  # noqa: F821
        out[4] += 100 * place + 1
        place = first_of(mask, place + 1)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_lanes_of_a_mask_are_found_and_counted(width):
    for seed in range(5):
        a, out = np.random.default_rng(seed).integers(0, 20, width, dtype=np.uint32), np.zeros(5, np.int64)
        kernel_of(counted, width, a, out)
        (places,) = np.nonzero(a > 9)
        assert out.tolist() == [len(places), a.min(), places[0] if len(places) else width, width, 100 * places.sum() + len(places)]


def converted(a, out):
    store(out, 0, as_type_of(load(a, 0, 8), load(out, 0, 8)))


def test_whole_numbers_are_compared_as_python_does():
    def least(a, b, out):
        for i in range(len(a)):
            is_less = a[i] < b[i]
            out[3 * i], out[3 * i + 1] = min(a[i], b[i]), max(a[i], 3)
            out[3 * i + 2] = 1 if is_less else 0

    some = np.array([-(2**63), -1, 0, 3, 2**63 - 1])
    a, b = (part.ravel().copy() for part in np.meshgrid(some, some))
    out = np.zeros(3 * len(a), np.int64)
    kernel_of(least, 1, a, b, out)
    assert out.tolist() == [number for x, y in zip(a.tolist(), b.tolist(), strict=True) for number in (min(x, y), max(x, 3), int(x < y))]


def test_conversions():
    out = np.zeros(8)
    kernel_of(converted, 8, np.arange(8, dtype=np.uint32) + 4_000_000_000, out)
    assert (out == np.arange(8) + 4e9).all()
    single = np.zeros(8, np.float32)
    kernel_of(converted, 8, np.full(8, 0.1), single)
    assert (single == np.float32(0.1)).all()


def product(a, b, out):
    tile = rows_of(repeat(load(a, 0, 4) * 0.0, 2), repeat(load(a, 0, 4), 3))
    for k in range(5):
        tile = outer_fma(tile, load_row(a, k * 4, 20, 2, 4), load_row(b, k * 4, 20, 3, 4))
    store_tile(out, 0, 12, 4, 3, tile)


def test_a_tile_is_a_matrix_product_of_every_lane():
    rng = np.random.default_rng(4)
    a, b, out = rng.normal(size=(2, 5, 4)), rng.normal(size=(3, 5, 4)), np.zeros(24)
    kernel_of(product, 4, a.ravel(), b.ravel(), out)
    assert np.allclose(out.reshape(2, 3, 4), np.einsum("ikl,jkl->ijl", a, b), rtol=1e-14)


def copied(a, out):
    store_row(out, 0, WIDTH, load_row(a, WIDTH, WIDTH, 2, WIDTH))  # noqa: F821


def test_rows_are_copied():
    a, out = np.arange(12.0), np.zeros(8)
    kernel_of(copied, 4, a, out)
    assert (out == np.arange(4.0, 12.0)).all()


def chosen(a, b, out):
    row = select_row(load(a, 0, WIDTH) > 0.0, load_row(a, 0, WIDTH, 2, WIDTH), load_row(b, 0, WIDTH, 2, WIDTH))  # noqa: F821
    store_row(out, 0, WIDTH, row)  # noqa: F821
    nothing = select_row(load(a, 0, WIDTH) > 0.0, load_row(a, 0, WIDTH, 0, WIDTH), load_row(b, 0, WIDTH, 0, WIDTH))  # noqa: F821
    store_row(out, 2 * WIDTH, WIDTH, nothing, 0)  # noqa: F821


def test_rows_are_chosen_lane_by_lane():
    a, b, out = np.array([1.0, -1.0, 0.0, 2.0, 10.0, 11.0, 12.0, 13.0]), -np.arange(8.0), np.zeros(8)
    kernel_of(chosen, 4, a, b, out)
    assert out.tolist() == [1.0, -1.0, -2.0, 2.0, 10.0, -5.0, -6.0, 13.0]


def gathered(matrix, rows, out):
    gather_columns(matrix, 32, load(rows, 0, WIDTH), 3, COUNT, out, (0, WIDTH))  # noqa: F821


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("width", "block"), [(w, min(w, most)) for w in WIDTHS for most in (4, 16)])
def test_a_gather_is_numpys_indexing(width, block, dtype):
    rng = np.random.default_rng(5)
    matrix, rows = rng.normal(size=(100, 32)).astype(dtype), rng.integers(0, 100, width, dtype=np.uint32)
    out = np.zeros((block, width), dtype)
    kernel_of(gathered, width, matrix.ravel(), rows, out.reshape(-1), COUNT=block)
    assert (out == matrix[rows, 3 : 3 + block].T).all()


def test_operations_on_lanes_say_that_they_are_for_kernels():
    with pytest.raises(TypeError, match="for kernels only"):
        load(np.zeros(4), 0, 4)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (63, 3, 9), (200, 17, 8)])
def test_sums_of_products_are_numpys_and_symmetric(sizes):
    count, rows, columns = sizes
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(count, rows)), rng.normal(size=(count, columns))
    np.testing.assert_allclose(products(a, b), a.T @ b, rtol=0, atol=1e-13)
    assert (products(a, a) == products(a, a).T).all()


def test_operations_emit_instructions_through_code_alone():
    modules = {f"gdsim.lanes.{name}" for name in ("bits", "masks", "memory", "operations", "tangents", "tiles")}
    texts = [pathlib.Path(importlib.import_module(name).__file__).read_text(encoding="utf-8") for name in modules]
    found = {rule.__module__ for rules in OPERATIONS.values() for rule in rules}
    assert found - {"gdsim.lanes.warps"} == modules  # which, where it was imported, has warps' instructions beside its rules
    assert "builder" not in "".join(texts)
