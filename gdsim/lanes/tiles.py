"""Register tiles: tuples of lanes that stay in registers while sums are accumulated, and the gather that
feeds them.
"""

from typing import Any

from llvmlite import ir

from gdsim.lanes.emit import Code, is_lane, llvm_type
from gdsim.lanes.operations import _kernel_only, _literal, rule_of
from gdsim.lanes.target import Target
from gdsim.lanes.types import Kind, Lane, Lanes, Memory, Offset, Value


def load_row(array: Memory, offset: Offset, stride: Offset, count: int, width: int) -> Lanes:
    """A tuple of `count` lanes of `width` elements, their beginnings `stride` elements apart."""
    return _kernel_only(array, offset, stride, count, width)


@rule_of(load_row)
def _(target: Target, array: Kind, offset: Kind, stride: Kind, count: Kind, width: Kind) -> Any:
    number = _literal(target, count)
    w = _literal(target, width)
    if number is None or w is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, w)
    row = target.types.UniTuple(lane, number)

    def emit(code: Code, a: Value, o: Value, s: Value, *literals: Value) -> Any:
        base, place, step = code.data(a, array), code.index(o, offset), code.index(s, stride)
        values = []
        for _ in range(number):
            values.append(code.load(base, place, lane))
            place = code.builder.add(place, step)
        return code.context.make_tuple(code.builder, row, values)

    return row, emit


def rows_of(column: Lanes, row: Lanes) -> Lanes:
    """The tile whose row i is column[i] in each of as many places as `row` has."""
    return _kernel_only(column, row)


@rule_of(rows_of)
def _(target: Target, column: Kind, row: Kind) -> Any:
    if not all(isinstance(k, target.types.UniTuple) and is_lane(k.dtype) for k in (column, row)):
        return None
    tile = target.types.UniTuple(column.dtype, column.count * row.count)

    def emit(code: Code, values: Value, _: Value) -> Any:
        lanes = [code.builder.extract_value(values, i) for i in range(column.count) for _ in range(row.count)]
        return code.context.make_tuple(code.builder, tile, lanes)

    return tile, emit


def store_row(array: Memory, offset: Offset, stride: Offset, row: Lanes) -> Any:
    """Writes a tuple of lanes, their beginnings `stride` elements apart."""
    return _kernel_only(array, offset, stride, row)


@rule_of(store_row)
def _(target: Target, array: Kind, offset: Kind, stride: Kind, row: Kind) -> Any:
    if isinstance(row, target.types.Tuple) and row.count == 0:
        return target.types.void, lambda code, *_: code.context.get_dummy_value()
    if not (isinstance(row, target.types.UniTuple) and is_lane(row.dtype)):
        return None

    def emit(code: Code, a: Value, o: Value, s: Value, values: Value) -> Any:
        base, place, step = code.data(a, array), code.index(o, offset), code.index(s, stride)
        for k in range(row.count):
            code.store(base, place, code.builder.extract_value(values, k), row.dtype)
            place = code.builder.add(place, step)
        return code.context.get_dummy_value()

    return target.types.void, emit


def repeat(value: Lane, count: int) -> Lanes:
    """A tuple of `count` copies of a lane."""
    return _kernel_only(value, count)


@rule_of(repeat)
def _(target: Target, value: Kind, count: Kind) -> Any:
    n = _literal(target, count)
    if n is None or not is_lane(value):
        return None
    row = target.types.UniTuple(value, n)
    return row, lambda code, v, _: code.context.make_tuple(code.builder, row, [v] * n)


def broadcast_row(array: Memory, offset: Offset, stride: Offset, count: int, width: int) -> Lanes:
    """A tuple of lanes, each of `width` copies of one of `count` elements, `stride` apart."""
    return _kernel_only(array, offset, stride, count, width)


@rule_of(broadcast_row)
def _(target: Target, array: Kind, offset: Kind, stride: Kind, count: Kind, width: Kind) -> Any:
    number, w = _literal(target, count), _literal(target, width)
    if number is None or w is None or not target.is_flat(array):
        return None
    row = target.types.UniTuple(target.Lane(array.dtype, w), number)

    def emit(code: Code, a: Value, o: Value, s: Value, *literals: Value) -> Any:
        base, place, step = code.data(a, array), code.index(o, offset), code.index(s, stride)
        values = []
        for _ in range(number):
            values.append(code.splat(code.builder.load(code.builder.gep(base, [place])), w))
            place = code.builder.add(place, step)
        return code.context.make_tuple(code.builder, row, values)

    return row, emit


def outer_fma(tile: Lanes, a: Lane, b: Lane) -> Lanes:
    """Adds the outer product of two tuples of lanes to a tile: tile[i * len(b) + j] += a[i] * b[j], rounded
    once each.
    """
    return _kernel_only(tile, a, b)


@rule_of(outer_fma)
def _(target: Target, tile: Kind, a: Kind, b: Kind) -> Any:
    kinds = (tile, a, b)
    if not all(isinstance(k, target.types.UniTuple) and is_lane(k.dtype) for k in kinds) or tile.count != a.count * b.count:
        return None

    def emit(code: Code, t: Value, x: Value, y: Value) -> Any:
        part = code.builder.extract_value
        sums = [code.fma(part(x, i), part(y, j), part(t, i * b.count + j)) for i in range(a.count) for j in range(b.count)]
        return code.context.make_tuple(code.builder, tile, sums)

    return tile, emit


def store_tile(array: Memory, offset: Offset, row_stride: Offset, column_stride: Offset, columns: int, tile: Lanes) -> Any:
    """Writes a tile: lane [i * n + j] goes to offset + i * row_stride + j * column_stride.

    `columns` is n or a tuple of n.
    """
    return _kernel_only(array, offset, row_stride, column_stride, columns, tile)


@rule_of(store_tile)
def _(target: Target, array: Kind, offset: Kind, row_stride: Kind, column_stride: Kind, columns: Kind, tile: Kind) -> Any:
    n = columns.count if isinstance(columns, target.types.UniTuple) else _literal(target, columns)
    if n is None or not (isinstance(tile, target.types.UniTuple) and is_lane(tile.dtype)) or tile.count % n:
        return None

    def emit(code: Code, a: Value, o: Value, rows: Value, cols: Value, _: Value, values: Value) -> Any:
        base, line = code.data(a, array), code.index(o, offset)
        row_step, column_step = code.index(rows, row_stride), code.index(cols, column_stride)
        for i in range(tile.count // n):
            place = line
            for j in range(n):
                code.store(base, place, code.builder.extract_value(values, i * n + j), tile.dtype)
                place = code.builder.add(place, column_step)
            line = code.builder.add(line, row_step)
        return code.context.get_dummy_value()

    return target.types.void, emit


def load_tile(array: Memory, offset: Offset, row_stride: Offset, column_stride: Offset, rows: int, columns: int, width: int) -> Lanes:
    """A tile from memory: lane [i * columns + j] from offset + i * row_stride + j * column_stride."""
    return _kernel_only(array, offset, row_stride, column_stride, rows, columns, width)


@rule_of(load_tile)
def _(target: Target, array: Kind, offset: Kind, row_stride: Kind, column_stride: Kind, rows: Kind, columns: Kind, width: Kind) -> Any:
    m, n, w = (_literal(target, k) for k in (rows, columns, width))
    if m is None or n is None or w is None or not target.is_flat(array):
        return None
    lane = target.Lane(array.dtype, w)
    tile = target.types.UniTuple(lane, m * n)

    def emit(code: Code, a: Value, o: Value, down: Value, across: Value, *literals: Value) -> Any:
        base, line = code.data(a, array), code.index(o, offset)
        row_step, column_step = code.index(down, row_stride), code.index(across, column_stride)
        values = []
        for _ in range(m):
            place = line
            for _ in range(n):
                values.append(code.load(base, place, lane))
                place = code.builder.add(place, column_step)
            line = code.builder.add(line, row_step)
        return code.context.make_tuple(code.builder, tile, values)

    return tile, emit


def gather_columns(matrix: Memory, pitch: int, rows: Lane, column: int, count: int, out: Memory, place: tuple[Offset, Offset]) -> Any:
    """Lane l gets row rows[l] of a flat matrix: `count` columns from `column` on, a power of two up to the
    lanes' width, are written as lanes.

    `place` holds the offset in `out` of the first column and the distance between columns. Rows are read as
    vectors and transposed in registers, which takes a tenth of the time of copying the numbers one by one.
    """
    return _kernel_only(matrix, pitch, rows, column, count, out, place)


@rule_of(gather_columns)
def _(target: Target, matrix: Kind, pitch: Kind, rows: Kind, column: Kind, count: Kind, out: Kind, place: Kind) -> Any:
    block = _literal(target, count)
    if not (is_lane(rows) and block and isinstance(place, target.types.BaseTuple) and len(place) == 2):
        return None
    lane, part = target.Lane(matrix.dtype, rows.width), target.Lane(matrix.dtype, block)

    def emit(code: Code, m: Value, p: Value, r: Value, c: Value, _: Value, o: Value, at: Value) -> Any:
        source, goal = code.data(m, matrix), code.data(o, out)
        step, first = code.index(p, pitch), code.index(c, column)
        vectors = []
        for lane_index in range(rows.width):
            row = r if rows.width == 1 else code.builder.extract_element(r, ir.Constant(ir.IntType(32), lane_index))
            start = code.builder.add(code.builder.mul(code.builder.zext(row, ir.IntType(64)), step), first)
            vectors.append(code.load(source, start, part))
        line = code.builder.extract_value(at, 0)
        for values in _joined(code, [_transposed(code, vectors[k : k + block]) for k in range(0, rows.width, block)], lane):
            code.store(goal, line, values, lane)
            line = code.builder.add(line, code.builder.extract_value(at, 1))
        return code.context.get_dummy_value()

    return target.types.void, emit


def _transposed(code: Code, vectors: list[Any]) -> list[Any]:
    """The columns of a square block of vectors, by exchanging halves of pairs at distances 1, 2, 4, ..."""
    n, distance = len(vectors), 1
    while distance < n:
        low = [k if not k & distance else n + (k ^ distance) for k in range(n)]
        high = [k | distance if not k & distance else n + k for k in range(n)]
        vectors = [_shuffled(code, vectors[i & ~distance], vectors[i | distance], high if i & distance else low) for i in range(n)]
        distance *= 2
    return vectors


def _joined(code: Code, blocks: list[list[Any]], lane: Kind) -> list[Any]:
    """Corresponding vectors of equal blocks, put one behind the other until they are as wide as the lane."""
    while len(blocks) > 1:
        width = lane.width // len(blocks)
        blocks = [
            [_shuffled(code, a, b, list(range(2 * width))) for a, b in zip(first, second, strict=True)]
            for first, second in zip(blocks[::2], blocks[1::2], strict=True)
        ]
    return blocks[0]


def _shuffled(code: Code, a: Value, b: Value, order: list[int]) -> Any:
    return code.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(order)), order))


def _is_row(target: Target, kind: Kind) -> bool:
    return isinstance(kind, target.types.UniTuple) and is_lane(kind.dtype)


def add_rows(a: Lane, b: Lane) -> Lanes:
    """The sums of two tuples of lanes, place by place."""
    return _kernel_only(a, b)


@rule_of(add_rows)
def _(target: Target, a: Kind, b: Kind) -> Any:
    if not _is_row(target, a) or a != b:
        return None

    def emit(code: Code, x: Value, y: Value) -> Any:
        part = code.builder.extract_value
        return code.context.make_tuple(code.builder, a, [code.add(part(x, i), part(y, i)) for i in range(a.count)])

    return a, emit


def scale_row(row: Lanes, factor: Lane) -> Lanes:
    """A tuple of lanes, each times a lane."""
    return _kernel_only(row, factor)


@rule_of(scale_row)
def _(target: Target, row: Kind, factor: Kind) -> Any:
    if not _is_row(target, row) or factor != row.dtype:
        return None

    def emit(code: Code, x: Value, f: Value) -> Any:
        return code.context.make_tuple(code.builder, row, [code.mul(code.builder.extract_value(x, i), f) for i in range(row.count)])

    return row, emit


def squares_of(row: Lanes) -> Lane:
    """The sum of the squares of a tuple of lanes, in order."""
    return _kernel_only(row)


@rule_of(squares_of)
def _(target: Target, row: Kind) -> Any:
    if not _is_row(target, row):
        return None

    def emit(code: Code, x: Value) -> Any:
        first, *others = [code.builder.extract_value(x, i) for i in range(row.count)]
        total = code.mul(first, first)
        for value in others:
            total = code.fma(value, value, total)
        return total

    return row.dtype, emit


def largest_of(row: Lanes) -> Lane:
    """The largest magnitude in a tuple of lanes; NaN where any is NaN."""
    return _kernel_only(row)


@rule_of(largest_of)
def _(target: Target, row: Kind) -> Any:
    if not _is_row(target, row):
        return None
    lane = row.dtype

    def emit(code: Code, x: Value) -> Any:
        # The order of bits without their sign is that of magnitudes, with NaN above all.
        integer = target.Lane(target.types.uint32 if lane.bits == 32 else target.types.uint64, lane.width)
        largest: Any = None
        for i in range(row.count):
            bits = code.builder.bitcast(code.clear_sign(code.builder.extract_value(x, i), lane), llvm_type(integer))
            largest = bits if largest is None else code.builder.select(code.builder.icmp_unsigned(">", bits, largest), bits, largest)
        return code.builder.bitcast(largest, llvm_type(lane))

    return lane, emit
