"""Register tiles: tuples of lanes that stay in registers while sums are accumulated, and the gather that
feeds them.
"""

import functools
from collections.abc import Iterator
from typing import Any

from gdsim.lanes.bits import bits_lane
from gdsim.lanes.emit import Code
from gdsim.lanes.kinds import is_lane, is_mask
from gdsim.lanes.operations import kernel_only, literal_of, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Function, Kind, Lane, Lanes, Mask, Memory, Offset, Value


def is_row(target: Target, kind: Kind) -> bool:
    """Whether a compiler's type is a tuple of lanes of one type."""
    return isinstance(kind, target.types.UniTuple) and is_lane(kind.dtype)


def _places(code: Code, first: Value, step: Value, count: int) -> Iterator[Value]:
    """So many offsets, `step` apart."""
    for _ in range(count):
        yield first
        first = code.add(first, step)


def load_tile(array: Memory, offset: Offset, row_stride: Offset, column_stride: Offset, rows: int, columns: int, width: int) -> Lanes:
    """A tile from memory: lane [i * columns + j] from offset + i * row_stride + j * column_stride."""
    return kernel_only(array, offset, row_stride, column_stride, rows, columns, width)


@rule_of(load_tile)
def _(target: Target, array: Kind, offset: Kind, row_stride: Kind, column_stride: Kind, rows: Kind, columns: Kind, width: Kind) -> Any:
    m, n, w = (literal_of(target, k) for k in (rows, columns, width))
    if m is None or n is None or w is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, w)
    tile = target.types.UniTuple(lane, m * n)

    def emit(code: Code, a: Value, o: Value, down: Value, across: Value, *literals: Value) -> Any:
        base, first, row_step, column_step = code.data(a, array), code.index(o, offset), code.index(down, row_stride), code.index(across, column_stride)
        places = (place for line in _places(code, first, row_step, m) for place in _places(code, line, column_step, n))
        return code.tuple_of(tile, [code.load(base, place, lane) for place in places])

    return tile, emit


def store_tile(array: Memory, offset: Offset, row_stride: Offset, column_stride: Offset, columns: int, tile: Lanes) -> Any:
    """Writes a tile: lane [i * n + j] goes to offset + i * row_stride + j * column_stride.

    `columns` is n or a tuple of n.
    """
    return kernel_only(array, offset, row_stride, column_stride, columns, tile)


@rule_of(store_tile)
def _(target: Target, array: Kind, offset: Kind, row_stride: Kind, column_stride: Kind, columns: Kind, tile: Kind) -> Any:
    n = columns.count if isinstance(columns, target.types.UniTuple) else literal_of(target, columns)
    if n is None or not is_row(target, tile) or tile.count % n:
        return None

    def emit(code: Code, a: Value, o: Value, down: Value, across: Value, _: Value, values: Value) -> Any:
        base, first, row_step, column_step = code.data(a, array), code.index(o, offset), code.index(down, row_stride), code.index(across, column_stride)
        places = (place for line in _places(code, first, row_step, tile.count // n) for place in _places(code, line, column_step, n))
        for place, value in zip(places, code.members(values, tile.count), strict=True):
            code.store(base, place, value, tile.dtype)
        return code.nothing()

    return target.types.void, emit


def load_row(array: Memory, offset: Offset, stride: Offset, count: int, width: int) -> Lanes:
    """A tuple of `count` lanes of `width` elements, their beginnings `stride` elements apart."""
    return kernel_only(array, offset, stride, count, width)


def broadcast_row(array: Memory, offset: Offset, stride: Offset, count: int, width: int) -> Lanes:
    """A tuple of lanes, each of `width` copies of one of `count` elements, `stride` apart."""
    return kernel_only(array, offset, stride, count, width)


def broadcast_block(array: Memory, offset: Offset, stride: Offset, count: int, block: int, width: int) -> Lanes:
    """The elements of `count` rows, `stride` apart, of `block` neighbours each, in `width` copies each: first those
    that begin the rows, then those behind them. Devices read neighbours together, from a multiple of 16 bytes on.
    """
    return kernel_only(array, offset, stride, count, block, width)


@rule_of(broadcast_block)
def _(target: Target, array: Kind, offset: Kind, stride: Kind, count: Kind, block: Kind, width: Kind) -> Any:
    m, n, w = (literal_of(target, k) for k in (count, block, width))
    if m is None or n is None or w is None or not target.is_flat(array):
        return None
    one, made = target.Lane(array.dtype, 1), target.types.UniTuple(target.Lane(array.dtype, w), m * n)

    def emit(code: Code, a: Value, o: Value, s: Value, *literals: Value) -> Any:
        base = code.data(a, array)
        rows = [code.neighbours(base, place, one, n) for place in _places(code, code.index(o, offset), code.index(s, stride), m)]
        return code.tuple_of(made, [code.splat(row[k], w) for k in range(n) for row in rows])

    return made, emit


def part_of_row(row: Lanes, first: int, count: int) -> Lanes:
    """Some lanes of a tuple, one behind the other."""
    return kernel_only(row, first, count)


@rule_of(part_of_row)
def _(target: Target, row: Kind, first: Kind, count: Kind) -> Any:
    begin, n = literal_of(target, first), literal_of(target, count)
    if begin is None or n is None or not is_row(target, row):
        return None
    part = target.types.UniTuple(row.dtype, n)
    return part, lambda code, x, *_: code.tuple_of(part, code.members(x, row.count)[begin : begin + n])


def _loads(handle: Function, spreads: bool) -> None:
    @rule_of(handle)
    def rule(target: Target, array: Kind, offset: Kind, stride: Kind, count: Kind, width: Kind) -> Any:
        n, w = literal_of(target, count), literal_of(target, width)
        if n is None or w is None or not target.is_flat(array):
            return None
        loaded, row = target.Lane(array.dtype, 1 if spreads else w), target.types.UniTuple(target.Lane(array.dtype, w), n)

        def emit(code: Code, a: Value, o: Value, s: Value, *literals: Value) -> Any:
            base, places = code.data(a, array), _places(code, code.index(o, offset), code.index(s, stride), n)
            return code.tuple_of(row, [code.splat(code.load(base, place, loaded), w) if spreads else code.load(base, place, loaded) for place in places])

        return row, emit


_loads(load_row, spreads=False)
_loads(broadcast_row, spreads=True)


def store_row(array: Memory, offset: Offset, stride: Offset, row: Lanes, count: int | None = None) -> Any:
    """Writes a tuple of lanes, their beginnings `stride` elements apart; of `count` lanes alone, if given."""
    return kernel_only(array, offset, stride, row, count)


@rule_of(store_row)
def _store_rule(target: Target, array: Kind, offset: Kind, stride: Kind, row: Kind) -> Any:
    if isinstance(row, target.types.Tuple) and row.count == 0:
        return target.types.void, lambda code, *_: code.nothing()
    if not is_row(target, row):
        return None

    def emit(code: Code, a: Value, o: Value, s: Value, values: Value) -> Any:
        base, places = code.data(a, array), _places(code, code.index(o, offset), code.index(s, stride), row.count)
        for place, value in zip(places, code.members(values, row.count), strict=True):
            code.store(base, place, value, row.dtype)
        return code.nothing()

    return target.types.void, emit


@rule_of(store_row)
def _(target: Target, array: Kind, offset: Kind, stride: Kind, row: Kind, count: Kind) -> Any:
    is_as_long = isinstance(row, target.types.BaseTuple) and row.count == literal_of(target, count)
    found = _store_rule(target, array, offset, stride, row) if is_as_long else None
    return None if found is None else (found[0], lambda code, *values: found[1](code, *values[:4]))


def rows_of(column: Lanes, row: Lanes) -> Lanes:
    """The tile whose row i is column[i] in each of as many places as `row` has."""
    return kernel_only(column, row)


@rule_of(rows_of)
def _(target: Target, column: Kind, row: Kind) -> Any:
    if not (is_row(target, column) and is_row(target, row)):
        return None
    tile = target.types.UniTuple(column.dtype, column.count * row.count)

    def emit(code: Code, values: Value, _: Value) -> Any:
        return code.tuple_of(tile, [value for value in code.members(values, column.count) for _ in range(row.count)])

    return tile, emit


def repeat(value: Lane, count: int) -> Lanes:
    """A tuple of `count` copies of a lane."""
    return kernel_only(value, count)


@rule_of(repeat)
def _(target: Target, value: Kind, count: Kind) -> Any:
    n = literal_of(target, count)
    if n is None or not is_lane(value):
        return None
    row = target.types.UniTuple(value, n)
    return row, lambda code, v, _: code.tuple_of(row, [v] * n)


def outer_fma(tile: Lanes, a: Lanes, b: Lanes) -> Lanes:
    """Adds the outer product of two tuples of lanes to a tile: tile[i * len(b) + j] += a[i] * b[j], rounded
    once each.
    """
    return kernel_only(tile, a, b)


@rule_of(outer_fma)
def _(target: Target, tile: Kind, a: Kind, b: Kind) -> Any:
    if not all(is_row(target, k) for k in (tile, a, b)) or tile.count != a.count * b.count:
        return None

    def emit(code: Code, t: Value, x: Value, y: Value) -> Any:
        sums, left, right = iter(code.members(t, tile.count)), code.members(x, a.count), code.members(y, b.count)
        return code.tuple_of(tile, [code.fma(one, other, next(sums)) for one in left for other in right])

    return tile, emit


def gather_columns(matrix: Memory, pitch: int, rows: Lane, column: int, count: int, out: Memory, place: tuple[Offset, Offset]) -> Any:
    """Lane l gets row rows[l] of a flat matrix: `count` columns from `column` on, a power of two up to the
    lanes' width, are written as lanes.

    `place` holds the offset in `out` of the first column and the distance between columns. Rows are read as
    vectors and transposed in registers, which takes a tenth of the time of copying the numbers one by one.
    """
    return kernel_only(matrix, pitch, rows, column, count, out, place)


@rule_of(gather_columns)
def _(target: Target, matrix: Kind, pitch: Kind, rows: Kind, column: Kind, count: Kind, out: Kind, place: Kind) -> Any:
    block = literal_of(target, count)
    if not (is_lane(rows) and block and isinstance(place, target.types.BaseTuple) and len(place) == 2):
        return None
    lane, one = target.Lane(matrix.dtype, rows.width), target.Lane(matrix.dtype, 1)

    def emit(code: Code, m: Value, p: Value, r: Value, c: Value, _: Value, o: Value, at: Value) -> Any:
        source, goal, step, first = code.data(m, matrix), code.data(o, out), code.index(p, pitch), code.index(c, column)
        starts = (code.add(code.mul(code.index(row, rows.dtype), step), first) for row in code.elements(r, rows))
        if rows.held == 1:
            columns = code.neighbours(source, next(starts), one, block)
        else:
            vectors = [code.load(source, start, target.Lane(matrix.dtype, block)) for start in starts]
            columns = _joined(code, [_transposed(code, vectors[k : k + block]) for k in range(0, rows.width, block)], lane)
        line, apart = code.members(at, 2)
        for offset, values in zip(_places(code, line, apart, block), columns, strict=True):
            code.store(goal, offset, values, lane)
        return code.nothing()

    return target.types.void, emit


def gather(array: Memory, places: Lane) -> Lane:
    """The elements of a flat array at the places that each lane has."""
    return kernel_only(array, places)


@rule_of(gather)
def _(target: Target, array: Kind, places: Kind) -> Any:
    if not (is_lane(places) and target.is_flat(array)):
        return None
    one = target.Lane(array.dtype, 1)

    def emit(code: Code, a: Value, p: Value) -> Any:
        source = code.data(a, array)
        return code.lane_of([code.load(source, code.index(place, places.dtype), one) for place in code.elements(p, places)])

    return target.Lane(array.dtype, places.width), emit


def prefetch_rows(matrix: Memory, pitch: int, rows: Lane, column: int) -> None:
    """Asks for the memory in which the rows `rows` of a flat matrix have a column, before it is read."""
    return kernel_only(matrix, pitch, rows, column)


@rule_of(prefetch_rows)
def _(target: Target, matrix: Kind, pitch: Kind, rows: Kind, column: Kind) -> Any:
    def emit(code: Code, m: Value, p: Value, r: Value, c: Value) -> Any:
        source, step, first = code.data(m, matrix), code.index(p, pitch), code.index(c, column)
        for row in code.elements(r, rows):
            code.prefetch(source, code.add(code.mul(code.index(row, rows.dtype), step), first))
        return code.nothing()

    return (target.types.void, emit) if is_lane(rows) else None


def _transposed(code: Code, vectors: list[Any]) -> list[Any]:
    """The columns of a square block of vectors, by exchanging halves of pairs at distances 1, 2, 4, ..."""
    n, distance = len(vectors), 1
    while distance < n:
        low = [k if not k & distance else n + (k ^ distance) for k in range(n)]
        high = [k | distance if not k & distance else n + k for k in range(n)]
        vectors = [code.shuffled(vectors[i & ~distance], vectors[i | distance], high if i & distance else low) for i in range(n)]
        distance *= 2
    return vectors


def _joined(code: Code, blocks: list[list[Any]], lane: Kind) -> list[Any]:
    """Corresponding vectors of equal blocks, put one behind the other until they are as wide as the lane."""
    while len(blocks) > 1:
        width = lane.width // len(blocks)
        blocks = [
            [code.shuffled(a, b, list(range(2 * width))) for a, b in zip(first, second, strict=True)]
            for first, second in zip(blocks[::2], blocks[1::2], strict=True)
        ]
    return blocks[0]


def add_rows(a: Lanes, b: Lanes) -> Lanes:
    """The sums of two tuples of lanes, place by place."""
    return kernel_only(a, b)


@rule_of(add_rows)
def _(target: Target, a: Kind, b: Kind) -> Any:
    if not is_row(target, a) or a != b:
        return None
    return a, lambda code, x, y: code.tuple_of(a, [code.add(*pair) for pair in zip(code.members(x, a.count), code.members(y, a.count), strict=True)])


def select_row(mask: Mask, a: Lanes, b: Lanes) -> Lanes:
    """A tuple of lanes: those of `a` where the mask holds, of `b` elsewhere."""
    return kernel_only(mask, a, b)


@rule_of(select_row)
def _(target: Target, mask: Kind, a: Kind, b: Kind) -> Any:
    if isinstance(a, target.types.Tuple) and a.count == 0 and a == b:
        return a, lambda code, m, x, y: x
    if not is_row(target, a) or a != b or not is_mask(mask) or mask.width != a.dtype.width:
        return None
    pairs = lambda code, x, y: zip(code.members(x, a.count), code.members(y, a.count), strict=True)  # noqa: E731
    return a, lambda code, m, x, y: code.tuple_of(a, [code.select(m, *pair) for pair in pairs(code, x, y)])


def scale_row(row: Lanes, factor: Lane) -> Lanes:
    """A tuple of lanes, each times a lane."""
    return kernel_only(row, factor)


@rule_of(scale_row)
def _(target: Target, row: Kind, factor: Kind) -> Any:
    if not is_row(target, row) or factor != row.dtype:
        return None
    return row, lambda code, x, f: code.tuple_of(row, [code.mul(value, f) for value in code.members(x, row.count)])


def squares_of(row: Lanes) -> Lane:
    """The sum of the squares of a tuple of lanes, in order."""
    return kernel_only(row)


@rule_of(squares_of)
def _(target: Target, row: Kind) -> Any:
    if not is_row(target, row):
        return None

    def emit(code: Code, x: Value) -> Any:
        first, *others = code.members(x, row.count)
        return functools.reduce(lambda total, value: code.fma(value, value, total), others, code.mul(first, first))

    return row.dtype, emit


def largest_of(row: Lanes) -> Lane:
    """The largest magnitude in a tuple of lanes; NaN where any is NaN."""
    return kernel_only(row)


@rule_of(largest_of)
def _(target: Target, row: Kind) -> Any:
    if not is_row(target, row):
        return None
    lane, integer = row.dtype, bits_lane(target, row.dtype)

    def emit(code: Code, x: Value) -> Any:
        # The order of bits without their sign is that of magnitudes, with NaN above all.
        magnitudes = (code.reinterpret(code.clear_sign(value, lane), integer) for value in code.members(x, row.count))
        return code.reinterpret(functools.reduce(lambda largest, bits: code.larger(bits, largest, integer), magnitudes), lane)

    return lane, emit
