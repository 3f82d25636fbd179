"""Views of a job's table: each field is what the host has put there."""

from typing import NamedTuple

import numpy as np
import pytest
from numba import types

from gdsim.lanes.compiler import address_of, bind
from gdsim.lanes.memory import call_kernel, layout_of, readers_of, stack_table, table_of, view_of
from gdsim.lanes.parts import part

job_of = part("job_of")
job_task = part("job_task")


class Inner(NamedTuple):
    """What stands in the middle of a job."""

    words: np.ndarray
    count: int


class Task(NamedTuple):
    """A job of arrays of three types, with a tuple in the middle."""

    numbers: np.ndarray
    inner: Inner
    result: np.ndarray
    small: np.uint32
    last: np.ndarray


def read_all(table):
    """Copies what the job holds into its result, and multiplies a number in place."""
    job = job_of(table)
    inner = job.inner
    for k in range(len(job.numbers)):
        job.result[k] = job.numbers[k]
    for k in range(len(inner.words)):
        job.result[len(job.numbers) + k] = inner.words[k]
    job.result[5] = inner.count
    job.result[6] = job.small
    job.numbers[0] *= 2
    return len(job.result)


def read_twice(table, address):
    """Calls the kernel `read_two`, of a job that this one has put together."""
    task = job_task(table)
    return call_kernel(address, stack_table(Task(task.numbers, Inner(task.inner.words, 7), task.result, task.small, task.last)), 3)


def read_two(table, value):
    """`read_all`, and a number beside the table."""
    return read_all(table) * value


def read_unknown(table):
    """Reads a field that was left out."""
    return len(job_of(table).last)


def job():
    """A job with a number of its own in each place."""
    numbers, words = np.array([1.5, -2.0, 3.0], np.float32), np.array([2**40, -7], np.int64)
    return Task(numbers, Inner(words, 123456789012), np.zeros(7), np.uint32(2**32 - 1), np.ones(2))


def test_a_view_reads_and_writes_what_the_host_has_put_in_the_table():
    one = job()
    kernel = bind(read_all, {"job_of": view_of(one, ("last",))}, types.int64(types.int64))
    table = table_of(one)
    assert kernel(table.ctypes.data) == 7
    assert one.result.tolist() == [1.5, -2.0, 3.0, 2**40, -7, 123456789012, 2**32 - 1]
    assert one.numbers.tolist() == [3.0, -2.0, 3.0]


def test_layouts_are_told_apart_by_names_types_and_what_is_left_out():
    one = job()
    others = [layout_of(one, ("last",)), layout_of(one._replace(numbers=one.numbers.astype(float))), layout_of(one._replace(small=1))]
    numbers = {layout_of(one).number, *(other.number for other in others)}
    assert len(numbers) == 4
    assert layout_of(one._replace(numbers=np.zeros(9, np.float32))).number == layout_of(one).number  # lengths are no part of it


def test_a_field_that_a_view_has_not_is_refused_by_name():
    with pytest.raises(Exception, match="last"):
        bind(read_unknown, {"job_of": view_of(job(), ("last",))}, types.int64(types.int64))


class Holder(NamedTuple):
    """A job of one part."""

    task: Task


def test_a_kernel_gives_another_a_table_that_it_makes_itself():
    one = job()
    called = bind(read_two, {"job_of": view_of(one)}, types.int64(types.int64, types.int64))
    caller = bind(read_twice, readers_of(Holder(one)), types.int64(types.int64, types.int64))
    table = table_of(Holder(one))
    assert caller(table.ctypes.data, address_of(called)) == 7 * 3
    assert one.result.tolist() == [1.5, -2.0, 3.0, 2**40, -7, 7, 2**32 - 1]
    assert one.numbers.tolist() == [3.0, -2.0, 3.0]
