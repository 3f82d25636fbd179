"""Functions that kernels reach compute what Python computes, and raise what it raises."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from gdsim.lanes import compiler, inference, pipeline


class Pair(NamedTuple):
    first: float
    second: int


def leaves_early(x, n):
    for i in range(n):
        if i == 3:
            continue
        x = x * 0.5 + i
        if x > 4.0:
            return -x
        if x < -4.0:
            break
    else:
        x = x + 100.0
    return x


def waits(x, n):
    steps = 0
    while True:
        if n <= 1:
            break
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return x + steps


def swaps(x, n):
    a, b, c = x, 1.0, (2.0, 3.0)
    for _ in range(n):
        a, b = b, a + c[0]
        c = (c[1], b)
    return a + 10.0 * b + 100.0 * c[0]


def with_second(pair, second):
    return Pair(pair.first + 1.0, second)


def named(x, n):
    pair = Pair(x, n)
    if n > 1:
        pair = with_second(pair, n * 2)
    first, second = pair
    return first * 100.0 + second + pair[0] + pair.second


def up_to(n):
    return range(1, n)


def counts(x, n):
    total = 0
    for i in range(20, -20, -3):
        total += i
    for i in range(0, 17, 5):
        total = total * 2 + i
    for step in range(1, 4):
        for i in range(n, 12, step):
            total += i * step
        for i in range(12, n, -step):
            total -= i * step
        total += 1000 * len(range(n, 12, step))
    for i in up_to(n):
        total += i
    return x + total + 10 * len(up_to(n))


def mixes(x, n):
    total, last = 0, -1
    for i in range(n):
        total = total + 0.5 if i % 2 else total
        last = i
    return total + last + (n if x > 0 else x)


def smallest(x, n):
    return min(x, 1.0) + 3.0 * max(n, 2) + 5.0 * min(n, x) + 7.0 * max(x, n, 4) + min((x, 2.0))


def decides(x, n):
    inside = 0 < n <= 7 and x > -1.0
    if inside or not n:
        kind = 1
    elif x != x:
        kind = 2
    else:
        kind = 3
    return kind + 10.0 * inside + 100 * (not inside)


def remembers(x, n):
    previous, before = x, 0.0
    for _ in range(n):
        previous, before = previous + before, previous
        n -= 1
    if n > 1:
        late = before
    else:
        late = -before
    return late + previous + n


def chosen(sizes, n):
    return sizes[n]


def looks_up(x, n):
    return x + chosen((10, 20, 30), abs(n) % 3) + chosen((4, 5), -1)


def divides(x, n):
    n += 5
    n <<= 2
    n -= 40
    n //= 3
    return n % 7 + 10 * (n // 4) + 100 * (n & 6) + (x / (n + 0.5)) ** 2


def defaults(x, n=4, sign=True):
    return x * n if sign else -x


def total(x, *rest):
    for number in rest:
        x += number
    return x


def given(x, n):
    return defaults(x) + defaults(x, n, False) + defaults(n=n, x=2.0) + total(x, 5, n) + total(x, *(n, 1)) + total(*(x, n))


def picks(x, *rest):
    return x + 10.0 * rest[0] + 100.0 * rest[1] + len(rest)


def keeps(x, *rest):
    return rest, (x, rest)


def inner(pairs, by=(2.0, 3.0)):
    (a, b), pair = pairs
    return a * by[0] + b * by[1] + pair.first + pair.second


def nothing_more(*rest):
    return rest


def packs(x, n):
    """Tuples go in and out: of one type, of several, in one another, with names, by default, and empty."""
    same, mixed = picks(x, x, 2.0) + picks(n, n, 3), picks(x, n, x) + picks(x, (n, n)[0], 2.5)
    spread = picks(*(x, n, 2)) + picks(x, *(n, x)) + picks(*(x, x, x))
    rest, (first, again) = keeps(x, n, n * 2)
    few, (_, one) = keeps(x, 4.0)
    both = picks(*keeps(x, x, 1.5)[0], 7.0) + picks(keeps(x, n, x)[0][1], n, n)
    deep = inner(((x, x), Pair(x, n))) + inner(((x, n), Pair(x, n)), (n, n)) + inner(nothing_more((x, 1.0), Pair(x, n)))
    nested = nothing_more((x, x), (x, 2.0))[1][1] + nothing_more((n, x), (n, 2.0))[1][1]
    return same + mixed + spread + rest[0] + first + again[1] + few[0] + one[0] + both + deep + nested + len(nothing_more())


ALL = (leaves_early, waits, swaps, named, counts, mixes, smallest, decides, remembers, looks_up, divides, given, packs)


def kernel_of(text, signature, **parts):
    """The kernel of a template's text."""
    space = {"__name__": __name__}
    exec(text, space)
    return compiler.bind(space["template"], parts, signature)


@pytest.fixture
def compared(monkeypatch, tmp_path):
    """The names of the functions that were typed, each as Numba types it."""
    from numba.core.registry import cpu_target
    from numba.core.typed_passes import type_inference_stage

    names = []

    def typed(context, func_ir, arguments):
        found = inference.typed(context, func_ir, arguments)
        frame = context.callstack._stack.pop()
        assert found == type_inference_stage(context, cpu_target.target_context, func_ir, arguments, None)[:3]
        context.callstack._stack.append(frame)
        names.append(func_ir.func_id.func.__name__)
        return found

    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(pipeline, "typed", typed)
    return names


def test_functions_of_all_kinds_compute_what_python_computes(compared):
    from numba import types

    names = {f"f{k}": function for k, function in enumerate(ALL)}
    lines = [f"    out[{k}] = f{k}(x, n)" for k in range(len(ALL))]
    kernel = kernel_of("\n".join(["def template(x, n, out):", *lines]), types.void(types.float64, types.int64, types.float64[::1]), **names)
    for x in (0.5, -2.25, 1e9, math.nan):
        for n in (-3, 0, 1, 2, 7, 27):
            out = np.zeros(len(ALL))
            kernel(x, n, out)
            np.testing.assert_array_equal(out, [float(function(x, n)) for function in ALL], err_msg=f"{x}, {n}")
    assert {function.__name__ for function in ALL} <= set(compared)


def refuses(x, n):
    if n < 0:
        raise ValueError("below zero")
    return x


def through(x, n):
    for i in range(0, 6, n - 1):
        x += i
    return refuses(x, n) + chosen((1.0, 2.0), n)


@pytest.mark.parametrize(
    ("n", "error", "said"),
    [(-1, ValueError, "below zero"), (1, ValueError, "range\\(\\) arg 3 must not be zero"), (7, IndexError, "tuple index out of range")],
)
def test_what_a_function_raises_a_kernel_raises(n, error, said):
    """Two calls above, with the error that Python has."""
    from numba import types

    kernel = kernel_of("def template(x, n, out):\n    out[0] = f(x, n)", types.void(types.float64, types.int64, types.float64[::1]), f=through)
    out = np.zeros(1)
    kernel(1.0, 0, out)
    assert out == through(1.0, 0)
    with pytest.raises(error):
        through(1.0, n)
    with pytest.raises(error, match=said):
        kernel(1.0, n, out)


def by_name(x, *rest, k=2.0):
    return x + rest[0] * k


def test_parameters_without_a_place_are_refused():
    """Numba would take n for k."""
    from numba import types

    with pytest.raises(TypeError, match=r"^by_name cannot be part of a kernel: k can be given by name alone; a parameter must stand before any \*$"):
        kernel_of("def template(x, out):\n    out[0] = f(x, x, 1)", types.void(types.float64, types.float64[::1]), f=by_name)


def looked_into(x, n):
    return with_second(Pair(x, n), 2).first


def test_kernels_are_the_same_where_numba_compiles_for_a_debugger(monkeypatch, tmp_path):
    """As by NUMBA_DEBUGINFO=1."""
    from numba import types
    from numba.core import config

    monkeypatch.setenv("GDSIM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(config, "DEBUGINFO_DEFAULT", 1)
    kernel = kernel_of("def template(x, out):\n    out[0] = f(x, 1)", types.void(types.float64, types.float64[::1]), f=looked_into)
    out = np.zeros(1)
    kernel(2.0, out)
    assert out == looked_into(2.0, 1)
