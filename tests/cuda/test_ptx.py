"""The interpreter of PTX itself: each instruction against exact arithmetic, and what it must see."""

import contextlib
import fractions
import math
import re

import numpy as np
import pytest

from tests.cuda.arena import WARP, Arena, RaceError
from tests.cuda.ptx import KINDS, NEAR, Program, RefusedError

LETTERS = {"f32": "f", "f64": "fd", "u64": "rd", "s64": "rd", "b64": "rd", "u16": "rs", "s16": "rs", "pred": "p"}


def text_of(*lines, parameters=4):
    """The PTX of a kernel of these lines, whose parameters %rd101, %rd102, ... are whole numbers."""
    declared = ", ".join(f".param .u64 k_param_{n}" for n in range(parameters))
    loads = [f"ld.param.u64 %rd{101 + n}, [k_param_{n}];" for n in range(parameters)]
    labels = re.compile(r"\$\w+:$")
    body = "\n".join(
        line if labels.match(line) else f"\t{line}" for line in [*loads, "mov.u32 %r100, %laneid;", "mul.wide.u32 %rd100, %r100, 8;", *lines, "ret;"]
    )
    return f".visible .entry k({declared}) {{\n{body}\n}}"


def program(*lines, parameters=4):
    """The kernel of these lines."""
    return Program(text_of(*lines, parameters=parameters))


def register(kind, number):
    return f"%{LETTERS.get(kind, 'r')}{number}"


def result_of(line, kinds, result, *operands):
    """What an instruction gives of operands of some kinds, by one warp: `line` has them as {0}, {1}, ..., and its
    result as {d}.
    """
    loads, count = [], len(kinds)
    for number, kind in enumerate(kinds):
        loads += [f"add.s64 %rd{number + 1}, %rd{101 + number}, %rd100;"]
        name = register(kind, number + 20)
        loads += (
            [f"ld.global.u8 %rs99, [%rd{number + 1}];", f"setp.ne.u16 {name}, %rs99, 0;"]
            if kind == "pred"
            else [f"ld.global.{kind} {name}, [%rd{number + 1}];"]
        )
    made = line.format(*(register(kind, number + 20) for number, kind in enumerate(kinds)), d=register(result, 10))
    where = [f"add.s64 %rd90, %rd{101 + count}, %rd100;"]
    stores = (
        [f"selp.u32 %r11, 1, 0, {register(result, 10)};", "st.global.u32 [%rd90], %r11;"]
        if result == "pred"
        else [f"st.global.{result} [%rd90], {register(result, 10)};"]
    )
    arena = Arena(1 << 16)
    arrays = [
        arena.put(np.repeat(np.resize(np.asarray(values, KINDS[kind]), WARP)[:, None], 8 // KINDS[kind].itemsize, 1))
        for kind, values in zip(kinds, operands, strict=True)
    ]
    kept = np.dtype("u4") if result == "pred" else KINDS[result]
    out = arena.put(np.zeros((WARP, 8 // kept.itemsize), kept))
    program(*loads, made, *where, *stores, parameters=count + 1).run(arena, [a.ctypes.data for a in (*arrays, out)])
    return out[:, 0]


def wrapped(value, kind):
    """A whole number as its low bits are in a register."""
    dtype = KINDS[kind]
    return np.array(value % 2 ** (8 * dtype.itemsize), f"u{dtype.itemsize}").view(dtype)[()]


def nearest(exact, kind):
    """The float nearest to a fraction, and of two the even one."""
    with np.errstate(over="ignore"):
        first = KINDS[kind].type(float(exact))
        near = [np.nextafter(first, KINDS[kind].type(-np.inf)), first, np.nextafter(first, KINDS[kind].type(np.inf))]
    finite = [x for x in near if np.isfinite(x)]
    return min(finite, key=lambda x: (abs(fractions.Fraction(float(x)) - exact), int(x.view(f"u{x.itemsize}")) & 1)) if np.isfinite(first) else first


RNG = np.random.default_rng(4)


def words(kind):
    """Whole numbers of all sizes, with the least and the greatest."""
    limits = np.iinfo(KINDS[kind])
    return np.array([0, 1, 2, 3, limits.max, limits.min, 77, *RNG.integers(limits.min, limits.max, 25, KINDS[kind])], KINDS[kind])


WORDS = {kind: words(kind) for kind in ("u32", "s32", "u64", "s64", "b32", "b64")}
WHOLE = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul.lo": lambda a, b: a * b, "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
    "min": min, "max": max,
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in WHOLE for kind in WORDS if (kind[0] == "b") == (name in ("and", "or", "xor"))])
def test_an_operation_on_whole_numbers(name, kind):
    a, b = WORDS[kind], WORDS[kind][::-1]
    found = result_of(f"{name}.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b)
    assert [int(x) for x in found] == [int(wrapped(WHOLE[name](int(x), int(y)), kind)) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_products_quotients_and_remainders(kind):
    a, b, wide = WORDS[kind], np.where(WORDS[kind][::-1] == 0, 5, WORDS[kind][::-1]).astype(KINDS[kind]), f"{kind[0]}64"
    bits, pairs = int(kind[1:]), [(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    cut = [abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1) for x, y in pairs]
    assert result_of(f"mul.hi.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b).tolist() == [x * y >> bits for x, y in pairs]
    assert result_of(f"div.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b).tolist() == [int(wrapped(q, kind)) for q in cut]
    assert result_of(f"rem.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b).tolist() == [x - y * q for (x, y), q in zip(pairs, cut, strict=True)]
    if bits == 32:
        assert result_of(f"mul.wide.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), wide, a, b).tolist() == [x * y for x, y in pairs]
        c = WORDS[wide]
        sums = [int(wrapped(x * y + int(z), wide)) for (x, y), z in zip(pairs, c, strict=True)]
        assert result_of(f"mad.wide.{kind} {{d}}, {{0}}, {{1}}, {{2}};", (kind, kind, wide), wide, a, b, c).tolist() == sums


@pytest.mark.parametrize(("kind", "right"), [("b32", "u32"), ("b64", "u64"), ("s32", "s32"), ("s64", "s64")])
def test_shifts(kind, right):
    values, counts, bits = WORDS[kind], np.resize(np.array([0, 1, 5, 31, 32, 33, 63, 64, 200], np.uint32), WARP), int(kind[1:])
    shifts = [(int(x), int(n)) for x, n in zip(values, counts, strict=True)]
    assert result_of(f"shr.{right} {{d}}, {{0}}, {{1}};", (kind, "u32"), kind, values, counts).tolist() == [x >> n for x, n in shifts]
    if kind[0] == "b":
        assert result_of(f"shl.{kind} {{d}}, {{0}}, {{1}};", (kind, "u32"), kind, values, counts).tolist() == [(x << n) % 2**bits for x, n in shifts]


def test_bits_of_whole_numbers():
    for kind in ("b32", "b64"):
        a = WORDS[kind]
        assert result_of(f"popc.{kind} {{d}}, {{0}};", (kind,), "u32", a).tolist() == [int(x).bit_count() for x in a]
        assert result_of(f"not.{kind} {{d}}, {{0}};", (kind,), kind, a).tolist() == [2 ** int(kind[1:]) - 1 - int(x) for x in a]
    a, b = WORDS["b64"], WORDS["b64"][::-1]
    put = [int(y) % 2**8 | int(x) % 2**40 << 8 | int(y) >> 48 << 48 for x, y in zip(a, b, strict=True)]
    assert result_of("bfi.b64 {d}, {0}, {1}, 8, 40;", ("b64", "b64"), "b64", a, b).tolist() == put
    a = WORDS["s32"]
    assert result_of("neg.s32 {d}, {0};", ("s32",), "s32", a).tolist() == [int(wrapped(-int(x), "s32")) for x in a]


def floats(kind):
    """Floats of all sizes: half random bits, zeros, the smallest, the largest, infinities."""
    bits = RNG.integers(0, 2 ** int(kind[1:]) - 1, WARP, np.uint64).astype(f"u{int(kind[1:]) // 8}").view(KINDS[kind])
    usual = (RNG.standard_normal(WARP) * 10.0 ** RNG.integers(-3, 4, WARP)).astype(KINDS[kind])
    mixed = np.where(np.arange(WARP) % 2 == 0, bits, usual)
    special = [0.0, -0.0, np.inf, -np.inf, np.finfo(KINDS[kind]).max, np.finfo(KINDS[kind]).smallest_subnormal, 1.0, np.nan]
    mixed[RNG.permutation(WARP)[: len(special)]] = special
    return mixed


def same(found, expected):
    """Whether floats are the same bit by bit, any NaN as any other."""
    expected = np.asarray(expected, found.dtype)
    bits = f"u{found.itemsize}"
    return bool(((found.view(bits) == expected.view(bits)) | (np.isnan(found) & np.isnan(expected))).all())


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_arithmetic_is_rounded_to_nearest(kind):
    with np.errstate(all="ignore"):
        for name, how in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide)):
            for _ in range(4):
                a, b = floats(kind), floats(kind)
                assert same(result_of(f"{name}.rn.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b), how(a, b))
        a = floats(kind)
        assert same(
            result_of(f"sqrt.rn.{kind} {{d}}, {{0}};", (kind,), kind, a),
            [math.nan if x < 0 else x if x != x or x in (0, math.inf) else KINDS[kind].type(np.sqrt(x)) for x in a],
        )
        assert same(result_of(f"rcp.rn.{kind} {{d}}, {{0}};", (kind,), kind, a), KINDS[kind].type(1) / a)
        assert same(result_of(f"neg.{kind} {{d}}, {{0}};", (kind,), kind, a), [-x for x in a])
        assert same(result_of(f"abs.{kind} {{d}}, {{0}};", (kind,), kind, a), [abs(x) for x in a])
        b, signed = np.where(RNG.random(WARP) < 0.3, -a, floats(kind)).astype(KINDS[kind]), lambda x: (x, math.copysign(1.0, x))
        for name, pick in (("min", min), ("max", max)):
            expected = [y if x != x else x if y != y else pick(x, y, key=signed) for x, y in zip(a, b, strict=True)]
            assert same(result_of(f"{name}.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), kind, a, b), expected)
        for how, truth in (("rmi", math.floor), ("rpi", math.ceil), ("rzi", math.trunc), ("rni", round)):
            expected = [x if not math.isfinite(x) else math.copysign(float(truth(float(x))), x) for x in a]
            assert same(result_of(f"cvt.{how}.{kind}.{kind} {{d}}, {{0}};", (kind,), kind, a), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_a_product_and_a_sum_are_rounded_once(kind):
    for _ in range(20):
        a, b = floats(kind), floats(kind)
        with np.errstate(all="ignore"):
            near = (-np.multiply(a, b, dtype=np.float64)).astype(KINDS[kind])  # where nearly all is lost
        c = np.where(np.arange(WARP) % 3 == 0, near, floats(kind))
        found = result_of(f"fma.rn.{kind} {{d}}, {{0}}, {{1}}, {{2}};", (kind,) * 3, kind, a, b, c)
        for x, y, z, w in zip(a, b, c, found, strict=True):
            if np.isfinite([x, y, z]).all():
                exact = fractions.Fraction(float(x)) * fractions.Fraction(float(y)) + fractions.Fraction(float(z))
                largest = fractions.Fraction(float(np.finfo(KINDS[kind]).max))
                assert (w == nearest(exact, kind)) if abs(exact) < largest else not np.isfinite(w) or abs(w) == largest
            else:
                with np.errstate(invalid="ignore", over="ignore"):
                    assert same(np.array([w]), [z if np.isfinite([x, y]).all() else x * y + z])


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_comparisons(kind):
    a, b = floats(kind), floats(kind)
    b[::4] = a[::4]
    symbols = {"eq": "__eq__", "lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__"}
    for name, symbol in symbols.items():
        ordered = [bool(getattr(float(x), symbol)(float(y))) for x, y in zip(a, b, strict=True)]
        unordered = [truth or x != x or y != y for truth, x, y in zip(ordered, a, b, strict=True)]
        assert result_of(f"setp.{name}.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == ordered
        assert result_of(f"setp.{name}u.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == unordered
    assert result_of(f"setp.neu.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == [x != y for x, y in zip(a, b, strict=True)]
    assert result_of(f"setp.ne.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == [x < y or x > y for x, y in zip(a, b, strict=True)]
    assert result_of(f"setp.nan.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == [x != x or y != y for x, y in zip(a, b, strict=True)]
    assert result_of(f"setp.num.{kind} {{d}}, {{0}}, {{1}};", (kind, kind), "pred", a, b).tolist() == [x == x and y == y for x, y in zip(a, b, strict=True)]
    signed, unsigned = WORDS["s32"], WORDS["u32"]
    assert result_of("setp.lt.s32 {d}, {0}, {1};", ("s32", "s32"), "pred", signed, signed[::-1]).tolist() == (signed < signed[::-1]).tolist()
    assert result_of("setp.hi.u32 {d}, {0}, {1};", ("u32", "u32"), "pred", unsigned, unsigned[::-1]).tolist() == (unsigned > unsigned[::-1]).tolist()


def test_conversions():
    single, double = floats("f32"), floats("f64")
    finite = [x for x in double if math.isfinite(x) and abs(x) < np.finfo(np.float32).max]
    single_of = [math.copysign(nearest(fractions.Fraction(float(x)), "f32"), x) for x in finite]
    assert same(result_of("cvt.f64.f32 {d}, {0};", ("f32",), "f64", single), [float(x) for x in single])
    assert same(result_of("cvt.rn.f32.f64 {d}, {0};", ("f64",), "f32", np.resize(finite, WARP)), np.resize(single_of, WARP))
    for kind in ("u32", "s32", "u64", "s64"):
        for real in ("f32", "f64"):
            assert same(
                result_of(f"cvt.rn.{real}.{kind} {{d}}, {{0}};", (kind,), real, WORDS[kind]), [nearest(fractions.Fraction(int(x)), real) for x in WORDS[kind]]
            )
            limits = np.iinfo(KINDS[kind])
            values = single if real == "f32" else double
            cut = [0 if x != x else limits.max if x == math.inf else limits.min if x == -math.inf else min(max(int(x), limits.min), limits.max) for x in values]
            assert result_of(f"cvt.rzi.{kind}.{real} {{d}}, {{0}};", (real,), kind, values).tolist() == cut
    assert result_of("cvt.u64.u32 {d}, {0};", ("u32",), "u64", WORDS["u32"]).tolist() == WORDS["u32"].tolist()
    assert result_of("cvt.s64.s32 {d}, {0};", ("s32",), "s64", WORDS["s32"]).tolist() == WORDS["s32"].tolist()
    assert result_of("cvt.u32.u64 {d}, {0};", ("u64",), "u32", WORDS["u64"]).tolist() == [int(x) % 2**32 for x in WORDS["u64"]]
    assert result_of("mov.b32 {d}, {0};", ("f32",), "b32", single).tolist() == single.view(np.uint32).tolist()


def test_choices_and_literals():
    holds = np.arange(WARP) % 3 == 0
    assert (
        result_of("selp.f32 {d}, 0f3F800000, 0fC0000000, {0};", ("pred",), "f32", np.resize(holds, WARP).astype("?")).tolist()
        == np.where(holds, 1.0, -2.0).tolist()
    )
    assert result_of("add.s32 {d}, {0}, -5;", ("s32",), "s32", WORDS["s32"]).tolist() == [int(wrapped(int(x) - 5, "s32")) for x in WORDS["s32"]]


def test_what_a_warp_finds_together():
    values = RNG.integers(0, 1000, WARP).astype(np.uint32)
    holds = (values > 500).astype("?")
    assert result_of("redux.sync.min.u32 {d}, {0}, 0xffffffff;", ("u32",), "u32", values).tolist() == [values.min()] * WARP
    assert result_of("vote.sync.any.pred {d}, {0}, -1;", ("pred",), "pred", holds).tolist() == [holds.any()] * WARP
    assert result_of("vote.sync.all.pred {d}, {0}, -1;", ("pred",), "pred", holds).tolist() == [holds.all()] * WARP
    assert result_of("vote.sync.ballot.b32 {d}, {0}, -1;", ("pred",), "u32", holds).tolist() == [sum(int(h) << k for k, h in enumerate(holds))] * WARP
    assert result_of("shfl.sync.bfly.b32 {d}|%p50, {0}, 4, 31, -1;", ("b32",), "b32", values).tolist() == [values[k ^ 4] for k in range(WARP)]
    assert result_of("shfl.sync.idx.b32 {d}, {0}, 7, 31, -1;", ("b32",), "b32", values).tolist() == [values[7]] * WARP


def branching(*lines):
    """A kernel in which the upper threads take a way of their own: %p1 holds there, and each has its own place."""
    return program("add.s64 %rd1, %rd101, %rd100;", "setp.gt.u32 %p1, %r100, 15;", *lines, parameters=1)


def run(kernel, order=None):
    arena = Arena(1 << 12)
    out = arena.put(np.zeros(WARP, np.uint64))
    kernel.run(arena, [out.ctypes.data], order=order)
    return out


def test_parted_threads_meet_again():
    out = run(
        branching("mov.u64 %rd2, 1;", "@%p1 bra $L_upper;", "add.s64 %rd2, %rd2, 10;", "$L_upper:", "add.s64 %rd2, %rd2, 100;", "st.global.u64 [%rd1], %rd2;")
    )
    assert out.tolist() == [111] * 16 + [101] * 16


def test_a_loop_ends_for_each_thread_where_it_should():
    out = run(
        program(
            "add.s64 %rd1, %rd101, %rd100;", "mov.u32 %r1, 0;", "$L_loop:", "add.s32 %r1, %r1, 1;", "setp.le.u32 %p1, %r1, %r100;", "@%p1 bra $L_loop;",
            "cvt.u64.u32 %rd2, %r1;", "st.global.u64 [%rd1], %rd2;", parameters=1,
        )
    )  # fmt: skip
    assert out.tolist() == list(range(1, WARP + 1))


@pytest.mark.parametrize(
    "meeting",
    ["vote.sync.any.pred %p2, %p1, -1;", "bar.warp.sync -1;", "redux.sync.min.u32 %r5, %r100, 0xffffffff;", "shfl.sync.idx.b32 %r5, %r100, 0, 31, -1;"],
)
def test_threads_that_have_parted_cannot_meet(meeting):
    with pytest.raises(AssertionError, match="not all threads of a warp come to"):
        run(branching("@%p1 bra $L_end;", meeting, "$L_end:"))


EXCHANGE = [  # each thread stores, and reads what its neighbour stored
    "st.global.u64 [%rd1], %rd100;", "{barrier}", "xor.b32 %r1, %r100, 1;", "mul.wide.u32 %rd2, %r1, 8;", "add.s64 %rd3, %rd101, %rd2;",
    "ld.global.u64 %rd4, [%rd3];", "{barrier}", "st.global.u64 [%rd1], %rd4;",
]  # fmt: skip


def test_a_barrier_that_is_missing_is_seen():
    whole = [line.format(barrier="bar.warp.sync -1;") for line in EXCHANGE]
    assert run(branching(*whole)).tolist() == [8 * (k ^ 1) for k in range(WARP)]
    assert run(branching(*whole), np.random.default_rng(1)).tolist() == [8 * (k ^ 1) for k in range(WARP)]
    for place in (1, 6):
        lines = [line for k, line in enumerate(whole) if k != place]
        for order in (None, np.random.default_rng(2)):
            with pytest.raises(RaceError, match="since the last barrier"):
                run(branching(*lines), order)


@pytest.mark.parametrize("operation", ["add.rn.f32 %f2, %f1, %f1;", "fma.rn.f32 %f2, %f1, %f1, %f1;", "sqrt.rn.f32 %f2, %f1;", "div.rn.f32 %f2, %f1, %f1;"])
def test_nans_are_those_of_devices(operation):
    out = run(branching("mov.f32 %f1, 0fFFC00001;", operation, "st.global.f32 [%rd1], %f2;"))
    assert set(out.view(np.uint32)[::2].tolist()) == {0x7FFFFFFF}


@pytest.mark.parametrize("order", [0, 1])
def test_what_is_read_as_constant_is_not_stored(order):
    lines = ["ld.global.nc.u64 %rd2, [%rd1];", "st.global.u64 [%rd1], %rd100;"][:: 1 - 2 * order]
    with pytest.raises(RaceError, match="constant"):
        run(branching(*lines))
    assert run(branching(lines[order ^ 1])).tolist() == [8 * k for k in range(WARP)]


def test_an_order_that_is_drawn_lets_some_threads_go_ahead():
    lines = ["mov.u64 %rd5, 1;", "atom.global.add.u64 %rd6, [%rd101+8], %rd5;", "add.s64 %rd7, %rd101, 128;", "st.global.u64 [%rd1+128], %rd6;"]
    arena = Arena(1 << 12)
    first = arena.put(np.zeros(2 * WARP, np.uint64))
    program("add.s64 %rd1, %rd101, %rd100;", *lines, parameters=1).run(arena, [first.ctypes.data], order=np.random.default_rng(0))
    assert first[1] == WARP
    assert sorted(first[16:48]) == list(range(WARP))
    assert first[16:48].tolist() != list(range(WARP))


def test_threads_must_store_the_same_at_one_place():
    with pytest.raises(RaceError, match="different numbers at one place"):
        run(program("st.global.u64 [%rd101], %rd100;", parameters=1))


def test_no_address_outside_the_arena():
    with pytest.raises(AssertionError, match="outside the arena"):
        run(program("ld.global.u64 %rd5, [%rd101+512];", parameters=1))
    with pytest.raises(AssertionError, match="no multiple of 8"):
        run(program("ld.global.u64 %rd5, [%rd101+4];", parameters=1))
    for vector in ("ld.global.v2.u64 {%rd5,%rd6}, [%rd101+8];", "st.global.v2.u64 [%rd101+8], {%rd5,%rd6};"):
        with pytest.raises(AssertionError, match="no multiple of 16"):
            run(program("mov.u64 %rd5, 0;", "mov.u64 %rd6, 0;", vector, parameters=1))


REFUSED = {
    "contraction": "mul.f32 %f1, %f2, %f3;", "a contracted sum": "add.f64 %fd1, %fd2, %fd3;", "flushed": "add.rn.ftz.f32 %f1, %f2, %f3;", "another rounding": "add.rz.f32 %f1, %f2, %f3;",
    "an approximate quotient": "div.approx.f32 %f1, %f2, %f3;", "a full quotient": "div.full.f32 %f1, %f2, %f3;", "an approximate root": "sqrt.approx.f32 %f1, %f2;",
    "an approximate power": "ex2.approx.f32 %f1, %f2;", "an unsaid space": "ld.u64 %rd1, [%rd101];", "an unsaid space to store in": "st.u64 [%rd101], %rd1;",
    "local memory": "st.local.u64 [%rd101], %rd1;", "shared memory of a kernel's own": ".shared .align 4 .b8 room[64];", "a call": "call.uni f, ();", "a trap": "trap;", "an exit": "exit;",
    "a barrier of the block": "bar.sync 0;", "an unknown instruction": "lop3.b32 %r1, %r2, %r3, %r4, 0x80;",
    "floats' smaller, or NaN": "min.NaN.f32 %f1, %f2, %f3;", "a predicate on an instruction": "@%p1 st.global.u64 [%rd101], %rd1;",
}  # fmt: skip


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED)
def test_what_kernels_must_not_have_is_refused(line):
    with pytest.raises(RefusedError):
        program(line)


@pytest.mark.parametrize("line", ["vote.sync.any.pred %p2, %p1, 15;", "bar.warp.sync 1;", "shfl.sync.idx.b32 %r5, %r100, 0, 7, -1;"])
def test_parts_of_warps_are_refused(line):
    with pytest.raises(RefusedError):
        run(branching(line))


def test_several_warps_have_numbers_of_their_own():
    kernel = program(
        "mov.u32 %r1, %ctaid.x;", "mov.u32 %r2, %ntid.x;", "mad.lo.s32 %r3, %r1, %r2, %r100;", "mul.wide.u32 %rd2, %r3, 4;", "add.s64 %rd3, %rd101, %rd2;",
        "redux.sync.max.u32 %r4, %r3, 0xffffffff;", "st.global.u32 [%rd3], %r4;", parameters=1,
    )  # fmt: skip
    arena = Arena(1 << 12, 3 * WARP)
    out = arena.put(np.zeros(3 * WARP, np.uint32))
    assert kernel.run(arena, [out.ctypes.data], warps=3) == 3 * 11
    assert out.tolist() == [31] * 32 + [63] * 32 + [95] * 32


OWN_PLACE = (f"mov.u64 %rd1, {NEAR};", "add.s64 %rd2, %rd1, %rd100;")


def test_each_block_has_near_memory_of_its_own():
    kernel = program(
        *OWN_PLACE, "mov.u32 %r1, %ctaid.x;", "mov.u32 %r2, %ntid.x;", "mad.lo.s32 %r3, %r1, %r2, %r100;", "cvt.u64.u32 %rd3, %r3;", "st.shared.u64 [%rd2], %rd3;",
        "bar.warp.sync -1;", "xor.b64 %rd4, %rd100, 8;", "add.s64 %rd4, %rd1, %rd4;", "ld.shared.u64 %rd5, [%rd4];", "mul.wide.u32 %rd6, %r3, 8;",
        "add.s64 %rd7, %rd101, %rd6;", "st.global.u64 [%rd7], %rd5;", parameters=1,
    )  # fmt: skip
    arena = Arena(1 << 12, 2 * WARP)
    out = arena.put(np.zeros(2 * WARP, np.uint64))
    kernel.run(arena, [out.ctypes.data], warps=2, order=np.random.default_rng(0), near=8 * WARP)
    assert out.tolist() == (np.arange(2 * WARP) ^ 1).tolist()


def test_near_memory_has_at_first_nothing_that_means_anything():
    kernel = program(*OWN_PLACE, "ld.shared.f64 %fd1, [%rd2];", "add.s64 %rd3, %rd101, %rd100;", "st.global.f64 [%rd3], %fd1;", parameters=1)
    arena = Arena(1 << 12)
    out = arena.put(np.zeros(WARP))
    kernel.run(arena, [out.ctypes.data], near=8 * WARP)
    assert np.isnan(out).all()


@pytest.mark.parametrize(
    ("near", "error", "said"), [(0, AssertionError, "given none"), (8 * WARP - 8, AssertionError, "outside of near memory: 248 of 248"), (8 * WARP, None, "")]
)
def test_near_memory_is_as_large_as_is_said(near, error, said):
    with pytest.raises(error, match=said) if error else contextlib.nullcontext():
        program(*OWN_PLACE, "st.shared.u64 [%rd2], %rd100;", parameters=1).run(Arena(1 << 8), [0], near=near)


def test_threads_wait_for_each_other_in_near_memory_too():
    kernel = program(
        *OWN_PLACE, "st.shared.u64 [%rd2], %rd100;", "xor.b64 %rd4, %rd100, 8;", "add.s64 %rd4, %rd1, %rd4;", "ld.shared.u64 %rd5, [%rd4];", parameters=1
    )
    with pytest.raises(RaceError, match="stored since the last barrier"):
        kernel.run(Arena(1 << 8), [0], near=8 * WARP)
