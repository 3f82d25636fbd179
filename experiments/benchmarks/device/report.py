"""What a script has found, as a file of JSON and one of Markdown."""

import json
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gdsim.devices import DeviceInfo
from gdsim.lanes.warps import capability_text


def write(out: pathlib.Path, part: str, facts: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Leaves `part`.json and `part`.md in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{part}.json").write_text(json.dumps(facts, indent=1) + "\n")
    (out / f"{part}.md").write_text("\n".join(lines) + "\n")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table.

    >>> table(["work", "s"], [["xor", "1.5"]])
    ['| work | s |', '|---|---|', '| xor | 1.5 |']
    """
    return [f"| {' | '.join(cells)} |" if cells else "|---" * len(head) + "|" for cells in (head, (), *rows)]


def named(info: DeviceInfo) -> str:
    """A device as tables name it."""
    return f"{info.name} (capability {capability_text(info.capability)}, {info.multiprocessors} multiprocessors, {info.memory / 2**30:.0f} GiB)"


def say(line: str) -> None:
    """What is on the way."""
    print(line, file=sys.stderr, flush=True)
