"""A device's memory as the host lays it out."""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

from gdsim.kernels.arena import FILLED_BYTES, LINE, Arena
from gdsim.lanes.memory import table_of
from gdsim.lanes.numbers import APART, Number, constant


class Pair(NamedTuple):
    first: Any
    second: Any


def drawn(rng, depth=2):
    """A nested tuple of arrays of some types and sizes, empty ones too, and whole numbers."""
    if depth:
        return Pair(*(drawn(rng, depth - 1) for _ in range(2))) if rng.random() < 0.7 else tuple(drawn(rng, depth - 1) for _ in range(3))
    kind = rng.choice(["f4", "f8", "i8", "u4", "number"])
    return 7 if kind == "number" else rng.integers(1, 100, rng.integers(0, 200)).astype(kind)


def flat(value):
    return [number for member in value for number in flat(member)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("seed", range(20))
def test_what_lies_at_an_arrays_address_is_the_array(seed):
    rng, base = np.random.default_rng(seed), 2**30
    shared, own, copies = drawn(rng), drawn(rng), int(rng.integers(2, 5))
    arena = Arena()
    arena.hold(shared)
    held = arena.hold((own, shared), copies)
    block = np.concatenate([np.zeros(0, np.uint8), *(np.tile(region.image, region.copies) for region in arena.regions)])
    assert len(block) == arena.size
    for given, there, is_own in [(own, held[0], True), (shared, held[1], False)]:
        assert [type(a) for a in flat(there)] == [type(a) for a in flat(given)]
        for array, view in zip(flat(given), flat(there), strict=True):
            if isinstance(array, int) or not array.size:
                continue
            places = [arena.address(view, base, copy) for copy in range(copies)]
            assert places == [arena.address(array, base, copy) for copy in range(copies)]
            assert len(set(places)) == (copies if is_own else 1)
            for place in places:
                assert place % LINE == 0
                assert (block[place - base :][: array.nbytes].view(array.dtype) == array).all()


def test_arrays_do_not_overlap():
    rng = np.random.default_rng(0)
    arena, arrays = Arena(), [rng.random(n) for n in (1, 31, 32, 33, 500)]
    arena.hold(tuple(arrays[:2]), 3)
    arena.hold(tuple(arrays), 2)
    spans = sorted((arena.address(a, 0, copy), a.nbytes) for a, copies in zip(arrays, (3, 3, 2, 2, 2), strict=True) for copy in range(copies))
    assert all(first + size <= second for (first, size), (second, _) in itertools.pairwise(spans))
    assert spans[-1][0] + spans[-1][1] <= arena.size


def test_an_array_is_held_once_however_often_it_stands_there():
    arena, weights = Arena(), np.arange(5.0)
    held = arena.hold(Pair(weights, Pair(weights, 3)))
    assert held.first is held.second.first
    assert held.second.second == 3
    assert arena.hold(weights) is held.first
    assert arena.size == LINE
    held.first[2] = 9
    assert arena.regions[0].image[:40].view(float).tolist() == [0, 1, 9, 3, 4]
    assert weights[2] == 2


def test_what_is_full_of_one_number_is_left_to_be_filled_where_it_is_large():
    few, many, most = constant(10, -1, np.int64), constant(FILLED_BYTES // 4 + 1, np.nan, np.float32), constant(FILLED_BYTES // 8, 7, np.int64)
    others = [np.arange(1, 4), np.arange(5.0)]
    arena = Arena()
    held = arena.hold((others[0], few, many, most, others[1]))
    (region,) = arena.regions
    block = np.full(arena.size, 0xA5, np.uint8)
    for begin, span in region.spans():
        block[begin : begin + span.size] = span
    for filled in region.filled:
        block[filled.first :][: filled.lines * LINE] = np.tile(filled.line.view(np.uint8), filled.lines)
    assert [filled.lines for filled in region.filled] == [FILLED_BYTES // LINE + 1, FILLED_BYTES // LINE]
    for array, view in zip((others[0], few, many, most, others[1]), held, strict=True):
        assert (block[arena.address(view, 0) :][: array.nbytes].view(array.dtype).view(f"u{array.itemsize}") == array.view(f"u{array.itemsize}")).all()
        assert view.flags.writeable


def test_arrays_that_were_copied_may_go_and_those_of_images_stay_known():
    arena = Arena()
    held = arena.hold(np.arange(5.0))
    place = arena.address(held, 100)
    arena.forget_copied()
    assert arena.address(held, 100) == place
    with pytest.raises(KeyError):
        arena.address(np.arange(5.0), 100)


def test_a_table_names_arrays_by_where_they_are_to_lie():
    arena = Arena()
    held = arena.hold(Pair(np.arange(3), np.zeros(0, np.int64)), 2)
    assert table_of(held, lambda array: arena.address(array, 5000, 1)).tolist() == [5000 + LINE, 3, 5000, 0]


def test_a_part_of_an_array_is_a_part_of_its_copy():
    arena, whole = Arena(), np.arange(100.0)
    alone, (parts, held) = arena.hold(np.zeros(3)), arena.hold(((whole[10:30], whole[30:], whole[20:25]), whole), 2)
    assert arena.size == LINE + 2 * 4 * LINE
    held[:] *= 2
    assert [part.tolist() for part in parts] == [(2 * part).tolist() for part in (whole[10:30], whole[30:], whole[20:25])]
    assert [arena.address(part, 0, 1) - arena.address(held, 0, 1) for part in (*parts, held[7:9])] == [80, 240, 160, 56]
    assert alone.tolist() == [0, 0, 0]
    numbers = np.arange(9.0)
    with pytest.raises(AssertionError, match="overlap"):
        arena.hold((numbers[:5], numbers[3:]))


def test_numbers_with_tangents_have_these_behind_them_in_each_copy():
    number, base = Number(np.dtype("f4"), tangents=2), 2**30
    given = number.holding(np.arange(40.0), np.arange(80.0).reshape(2, 40))
    arena = Arena()
    held, none = arena.hold(Pair(given, number.zeros(0)), 2)
    assert held.values.tolist() == given.values.tolist()
    assert held.tangents.tolist() == given.tangents.tolist()
    block = np.concatenate([np.tile(region.image, region.copies) for region in arena.regions])
    for copy in range(2):
        first, count, _, empty = table_of((held, none), lambda array, copy=copy: arena.address(array, base, copy))
        there = block[first - base :][: 4 * 3 * (40 + APART)].view(np.float32).reshape(3, -1)[:, :40]
        assert (count, empty) == (40, 0)
        assert there.tolist() == [given.values.tolist(), *given.tangents.tolist()]
