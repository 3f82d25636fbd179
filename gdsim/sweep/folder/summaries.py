"""Summaries in shards: what `keep="summary"` leaves of a chunk in place of its runs."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gdsim.population.summary import Entries, Entry, Key
from gdsim.stops import STATUSES
from gdsim.store.shards import MOST_SUMMARY_BYTES, SUMMARY, SUMMARY_SCHEMA, DamagedShardError, Footer, Rectangle, Shard, reading
from gdsim.variables import known_variable


def summary_bytes(chunk: Rectangle, identities: Sequence[str], checkpoints: Sequence[int], entries: Entries) -> bytes:
    """The bytes of a finished chunk's entries, whose cells are places among `identities`."""
    footer = Footer(
        format=SUMMARY, chunk=chunk.name, cells=tuple(identities), first_start=chunk.first_start, last_start=chunk.last_start,
        checkpoints=tuple(int(c) for c in checkpoints), columns={}, words={},
    )  # fmt: skip
    rows = [_row(key, entries[key]) for key in sorted(entries)]
    table = pa.Table.from_pylist(rows, SUMMARY_SCHEMA.with_metadata({"gdsim": footer.encoded()}))
    if table.nbytes > MOST_SUMMARY_BYTES:
        raise ValueError(f"a chunk's summary has {table.nbytes / 1e6:.0f} MB, and at most {MOST_SUMMARY_BYTES / 1e6:.0f} are read: record more rarely")
    sink = io.BytesIO()
    options: Any = {"use_dictionary": ["variable", "cell", "step"], "row_group_size": max(1, len(rows))}
    pq.write_table(table, sink, compression="zstd", compression_level=9, write_page_checksum=True, write_statistics=False, **options)
    return sink.getvalue()


def _row(key: Key, entry: Entry) -> dict[str, Any]:
    places = sorted(entry.bins)
    numbers = {"count": entry.runs, "low": entry.low, "low_start": entry.low_start, "high": entry.high, "high_start": entry.high_start}
    exact = {"total": _bytes(entry.total), "squares": _bytes(entry.squares)}
    return {**key._asdict(), **numbers, **exact, "bins": places, "counts": [entry.bins[b] for b in places]}


def _bytes(number: int) -> bytes:
    """A whole number in as few bytes as it needs: how many bytes of zeros end it, and the rest."""
    zeros = max(0, ((number & -number).bit_length() - 1) // 8)
    rest = number >> 8 * zeros
    return zeros.to_bytes(2, "little") + rest.to_bytes(rest.bit_length() // 8 + 1, "little", signed=True)


def _number(data: bytes) -> int:
    return int.from_bytes(data[2:], "little", signed=True) << 8 * int.from_bytes(data[:2], "little")


def read_summary(shard: Shard) -> Entries:
    """The entries of a shard, by the hashes of their cells. Raises DamagedShardError."""
    with reading(shard.file):
        table = pq.ParquetFile(shard.file.source(), page_checksum_verification=True).read(use_threads=False)
        cells, ends = shard.footer.cells, {f"status:{s}" for s in STATUSES}
        entries: Entries = {}
        for row in table.to_pylist():
            is_known = row["variable"] in ends or known_variable(row["variable"]) is not None
            if not is_known or not 0 <= row["cell"] < len(cells) or len(row["bins"]) != len(row["counts"]):
                raise DamagedShardError(shard.file, "its rows are not those of a summary")
            numbers = (row["count"], _number(row["total"]), _number(row["squares"]), row["low"], row["low_start"], row["high"], row["high_start"])
            bins = dict(zip(row["bins"], row["counts"], strict=True))
            entries[Key(row["variable"], cells[row["cell"]], row["step"])] = Entry(*numbers, bins)
        return entries


def disjoint_shards(shards: Sequence[Shard]) -> list[Shard]:
    """Shards that have no run in common: those that repeat a run of an earlier one are left out, as sums
    cannot be taken apart.
    """
    taken: dict[str, list[tuple[int, int]]] = {}
    found = []
    for shard in (s for s in shards if s.footer.format == SUMMARY):
        first, last = shard.footer.first_start, shard.footer.last_start
        if not any(a < last and first < b for cell in shard.footer.cells for a, b in taken.get(cell, ())):
            found.append(shard)
            for cell in shard.footer.cells:
                taken.setdefault(cell, []).append((first, last))
    return found
