"""A shard: the finished runs of a chunk in one immutable Parquet file, the same bytes whoever writes it.

Its rows are the runs of a rectangle of cells and starts, start by start, cell by cell. The footer holds the
cells' hashes, the starts, the checkpoints, and the type and shape of every column; nothing in the file tells
who made it, when or where. Floats are split into streams of bytes before they are compressed, which makes
them smaller and faster to read than dictionaries do.
"""

import contextlib
import hashlib
import io
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gdsim.store.places import File, FileState, Place, UnreachableError
from gdsim.variables import RENAMED, STATES_OF_TEAMS, WORDS, known_variable

FORMAT, SUMMARY = "gdsim shard 1", "gdsim summary 1"
NAME = re.compile(r"[0-9a-f]{32}-[0-9a-f]{64}\.parquet")
TYPES = {"int8": pa.int8(), "int32": pa.int32(), "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64()}
# What a footer may be long: hashes of a million cells are 70 MB.
USUAL_FOOTER_BYTES, MOST_FOOTER_BYTES = 2**15, 10**8
# What a column may take beyond its numbers: pages' heads, levels of lists.
SLACK_PER_ROW, SLACK = 16, 2**16
# What the columns of a summary may take: histograms of a chunk, each with thousands of bins.
MOST_SUMMARY_BYTES = 2**25
SUMMARY_SCHEMA = pa.schema(
    {
        "variable": pa.string(), "cell": pa.int32(), "step": pa.int64(), "count": pa.int64(), "total": pa.binary(), "squares": pa.binary(),
        "low": pa.float64(), "low_start": pa.int64(), "high": pa.float64(), "high_start": pa.int64(),
        "bins": pa.list_(pa.int16()), "counts": pa.list_(pa.int64()),
    }
)  # fmt: skip


class DamagedShardError(ValueError):
    """A shard, or a piece of an answer, whose bytes are not what its name or its footer says."""

    def __init__(self, file: File, reason: str) -> None:
        super().__init__(f"{file.path!r} is damaged: {reason}")
        self.file, self.reason = file, reason


class FolderGoneError(ValueError):
    """A results folder that was there when it was opened, and is not any more."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"the results folder {str(place)!r} has gone since it was opened: it was moved or removed; open it where it is now")


class Column(msgspec.Struct, frozen=True, array_like=True):
    """The type of a column's numbers, and the shape of a row's."""

    dtype: str
    shape: tuple[int, ...] = ()


class Footer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a shard says of itself."""

    format: str
    chunk: str
    cells: tuple[str, ...]
    first_start: int
    last_start: int
    checkpoints: tuple[int, ...]
    columns: dict[str, Column]
    words: dict[str, tuple[str, ...]]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.cells) * (self.last_start - self.first_start)

    def encoded(self) -> bytes:
        """The same bytes for the same footer."""
        return msgspec.json.encode(self, order="deterministic")


class Rectangle(Protocol):
    """The runs of some cells from as many starts of each, under a name of their own: a chunk of a plan."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def first_start(self) -> int: ...  # noqa: D102
    @property
    def last_start(self) -> int: ...  # noqa: D102


class Shard(NamedTuple):
    """A shard's file and its footer."""

    file: File
    footer: Footer


def shard_bytes(chunk: Rectangle, identities: Sequence[str], checkpoints: Sequence[int], columns: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a finished chunk, whose columns hold a row per run; `identities` are the hashes of its
    cells.
    """
    starts = chunk.last_start - chunk.first_start
    columns = dict(sorted(columns.items()))  # the same bytes, in whatever order they were made
    footer = Footer(
        format=FORMAT, chunk=chunk.name, cells=tuple(identities), first_start=chunk.first_start, last_start=chunk.last_start,
        checkpoints=tuple(int(c) for c in checkpoints), columns={n: Column(v.dtype.name, v.shape[1:]) for n, v in columns.items()},
        words={n: tuple(w) for n, w in WORDS.items() if n in columns},
    )  # fmt: skip
    fields = {
        "cell": arrow_of(np.tile(np.arange(len(identities), dtype=np.int32), starts)),
        "start": arrow_of(np.repeat(np.arange(chunk.first_start, chunk.last_start), len(identities))),
    }
    fields |= {name: arrow_of(values) for name, values in columns.items()}
    floats = [f"{n}.list.element" if v.ndim > 1 else n for n, v in columns.items() if v.dtype.kind == "f"]
    table = pa.table(fields).replace_schema_metadata({"gdsim": footer.encoded()})
    sink = io.BytesIO()
    options: Any = {"use_dictionary": ["cell", "start"], "use_byte_stream_split": floats or False, "row_group_size": max(1, footer.runs)}
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, write_statistics=False, **options)
    return sink.getvalue()


def arrow_of(values: np.ndarray) -> Any:
    """A column for Arrow; of more than one number per row, fixed-size lists."""
    numbers = np.ascontiguousarray(values).ravel()
    kind = TYPES.get(numbers.dtype.name)
    # Of numbers Arrow takes the memory: to convert an array it would import pandas, if only to ask whether it is a series.
    flat: Any = pa.array(numbers) if kind is None else pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, math.prod(values.shape[1:]))


def name_of(chunk: str, data: bytes) -> str:
    """The file's name: the chunk, and the hash of the bytes."""
    return f"{chunk}-{hashlib.sha256(data).hexdigest()}.parquet"


@contextlib.contextmanager
def reading(file: File) -> Iterator[None]:
    """Whatever a file makes its reader raise, as damage to it."""
    try:
        yield
    except (DamagedShardError, FolderGoneError, UnreachableError):
        raise
    except FileNotFoundError:
        if file.place.is_gone():
            raise FolderGoneError(file.place) from None
        raise DamagedShardError(file, "it has gone") from None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError, RecursionError) as error:
        raise DamagedShardError(file, " ".join(str(error).split())[:200] or type(error).__name__) from None


def read_footer(file: File) -> Shard:
    """A shard by its footer: name, size, types and counts are checked, the numbers' bytes are not read.

    Raises DamagedShardError.
    """
    with reading(file):
        if not NAME.fullmatch(file.name):
            raise DamagedShardError(file, "its name is not CHUNK-SHA256.parquet")
        tail, size = file.place.end(file.path, USUAL_FOOTER_BYTES)
        length = int.from_bytes(tail[-8:-4], "little")
        if tail[-4:] != b"PAR1" or not 0 < length <= min(size, MOST_FOOTER_BYTES):
            raise DamagedShardError(file, "it does not end as a Parquet file does")
        if length + 8 > len(tail):
            tail, _ = file.place.end(file.path, length + 8)
        return Shard(file, _checked_footer(file, pq.read_metadata(pa.BufferReader(tail)), size - 8 - length))


def _checked_footer(file: File, found: Any, data_bytes: int) -> Footer:
    """gdsim's part of a Parquet footer, which must agree with the rest of it before any page is read."""
    footer = msgspec.json.decode((found.metadata or {}).get(b"gdsim", b""), type=Footer)
    if footer.format not in (FORMAT, SUMMARY):
        raise DamagedShardError(file, f"its format is {footer.format[:40]!r}; {FORMAT!r} and {SUMMARY!r} are read")
    if footer.chunk != file.name[:32] or not 0 <= footer.first_start < footer.last_start <= 2**32 or not footer.cells:
        raise DamagedShardError(file, "its footer does not fit its name")
    group = found.row_group(0)
    if found.num_row_groups != 1 or 4 + sum(group.column(k).total_compressed_size for k in range(group.num_columns)) != data_bytes:
        raise DamagedShardError(file, "its pages are not all there")
    (_check_rows if footer.format == FORMAT else _check_summary)(file, footer, found)
    return msgspec.structs.replace(footer, columns={RENAMED.get(n, n): column for n, column in footer.columns.items()})


def _check_summary(file: File, footer: Footer, found: Any) -> None:
    """A summary's columns, which every summary has."""
    if not found.schema.to_arrow_schema().equals(SUMMARY_SCHEMA):
        raise DamagedShardError(file, "its columns are not those of a summary")
    if found.row_group(0).total_byte_size > MOST_SUMMARY_BYTES:
        raise DamagedShardError(file, "its columns are larger than those of a summary")


def _check_rows(file: File, footer: Footer, found: Any) -> None:
    """The columns that the footer names, each of its type and no larger than the runs need."""
    if found.num_rows != footer.runs:
        raise DamagedShardError(file, f"it holds {found.num_rows:,} runs, and its footer says {footer.runs:,}")
    wrong = [name for name, column in footer.columns.items() if not _fits(name, column, len(footer.checkpoints))]
    if wrong or list(footer.checkpoints) != sorted(set(footer.checkpoints)):
        raise DamagedShardError(file, f"its {f'column {wrong[0][:40]!r}' if wrong else 'list of checkpoints'} is not as it should be")
    wanted = {"cell": Column("int32"), "start": Column("int64"), **footer.columns}
    schema, group = found.schema.to_arrow_schema(), found.row_group(0)
    if sorted(schema.names) != sorted(wanted):
        raise DamagedShardError(file, "its columns are not those that its footer names")
    for place in range(group.num_columns):
        part = group.column(place)
        column = wanted[schema.names[place]]
        count = math.prod(column.shape)
        kind = TYPES[column.dtype]
        if schema.field(place).type != (kind if not column.shape else pa.list_(pa.field("element", kind), count)):
            raise DamagedShardError(file, f"its column {schema.names[place]!r} is not of the type that its footer says")
        if part.total_uncompressed_size > footer.runs * (count * kind.bit_width // 8 + SLACK_PER_ROW + count) + SLACK:
            raise DamagedShardError(file, f"its column {schema.names[place]!r} is larger than its runs")


def _fits(name: str, column: Column, checkpoints: int) -> bool:
    """Whether a column has the dimensions of the variable of its name."""
    if name.startswith("state_"):
        return len(column.shape) == len(STATES_OF_TEAMS[name][0]) - 1 if name in STATES_OF_TEAMS else len(column.shape) <= 1
    known = known_variable(name)
    if known is None or known.dims[0] != "run":
        return False
    dims = known.dims[1:]
    return len(dims) == len(column.shape) and (dims[:1] != ("checkpoint",) or column.shape[0] == checkpoints)


def verify(file: File) -> None:
    """Checks every byte of a shard against its name. Raises DamagedShardError."""
    with reading(file):
        if file.place.sha256(file.path) != file.name[33:97]:
            raise DamagedShardError(file, "its bytes do not match its name")


_verified: set[tuple[str, FileState]] = set()
_verifying = threading.Lock()


def verify_once(file: File) -> None:
    """Checks every byte of a shard, once in a process for each file as it lies there.

    Raises DamagedShardError.
    """
    with reading(file):
        key = (str(file), file.place.state(file.path))
    if key not in _verified:
        verify(file)
        with _verifying:
            _verified.add(key)


def read_column(shard: Shard, name: str) -> np.ndarray:
    """A column's numbers, a row per run; page checksums are verified. Raises DamagedShardError."""
    with reading(shard.file):
        table = pq.ParquetFile(shard.file.source(), page_checksum_verification=True, pre_buffer=False)
        kept = next(n for n in table.schema_arrow.names if RENAMED.get(n, n) == name)
        column, declared = table.read(columns=[kept], use_threads=False)[kept].combine_chunks(), shard.footer.columns[name]
        flat = column.flatten() if declared.shape else column
        if column.null_count or flat.null_count:
            raise DamagedShardError(shard.file, f"its column {name!r} has gaps")
        values = _numbers(flat, np.dtype(declared.dtype)).reshape(len(column), *declared.shape)
        return _places(shard, name, values) if name in WORDS else values


def _numbers(flat: Any, kind: np.dtype) -> np.ndarray:
    """The numbers of an array of Arrow, as its `to_numpy` has them, which imports pandas."""
    return np.frombuffer(flat.buffers()[1], kind, len(flat), flat.offset * kind.itemsize) if len(flat) else np.zeros(0, kind)


def _places(shard: Shard, name: str, values: np.ndarray) -> np.ndarray:
    """Words, which a shard holds as places in its own list, as places in ours."""
    own = shard.footer.words.get(name, ())
    if values.dtype.kind != "i" or (len(values) and not 0 <= values.min() <= values.max() < len(own)) or not set(own) <= set(WORDS[name]):
        raise DamagedShardError(shard.file, f"its column {name!r} holds words that are not known")
    return np.array([WORDS[name].index(w) for w in own], np.int8)[values]
