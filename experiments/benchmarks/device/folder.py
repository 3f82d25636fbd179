"""What was made before a device can be used: kernels, arrays and facts, in one folder that is carried there.

A part of the folder, such as "bits", is made by one `prepare`. It tells which tree it was made by, and no other reads it:
a kernel of other sources would be measured, or compared with, what it is not.
"""

import argparse
import gzip
import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gdsim.lanes.cubins import Compiled
from gdsim.lanes.warps import capability_of, capability_text

ROOT = pathlib.Path(__file__).resolve().parents[3]
SOURCES = ("gdsim", "tests/cuda", "tests/fixtures", "experiments/benchmarks")
MOST_BYTES = 64 * 2**20
MANIFEST = "manifest.json"


class UnpreparedError(Exception):
    """The folder has nothing to run, in one line."""


def tree_digest(root: pathlib.Path = ROOT) -> str:
    """A hash of the sources that decide what is made."""
    digest = hashlib.sha256()
    for file in sorted(file for part in SOURCES for file in (root / part).rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def folder_bytes(folder: pathlib.Path) -> int:
    """Bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Writing:
    """A part of the folder that is made anew in a `with` block, and takes the place of what was there once it is whole; what
    the block has not finished is removed.
    """

    def __init__(self, folder: pathlib.Path, part: str) -> None:
        self.folder, self.part, self.place = folder, part, folder / f"{part}.making"
        self.kernels: dict[str, dict[str, Any]] = {}
        self.tree = tree_digest()  # as it is read, and not as it may be when all is made
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.place, ignore_errors=True)

    def keep_kernel(self, compiled: Compiled) -> str:
        """Keeps a kernel once, and gives the name by which it is found again."""
        name = hashlib.sha256(compiled.cubin).hexdigest()[:16]
        if name not in self.kernels:
            self.kernels[name] = {key: value for key, value in compiled._asdict().items() if key != "cubin"}
            (self.place / f"{name}.gz").write_bytes(gzip.compress(compiled.cubin, mtime=0))
        return name

    def keep_arrays(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keeps arrays by their names."""
        with (self.place / f"{name}.npz").open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def finish(self, facts: dict[str, Any]) -> str:
        """Writes what the part is, and says how large the folder is. Raises ValueError beyond 64 MiB."""
        manifest = {"tree": self.tree, "kernels": self.kernels, **facts}
        (self.place / MANIFEST).write_text(json.dumps(manifest, indent=1))
        shutil.rmtree(self.folder / self.part, ignore_errors=True)
        self.place.rename(self.folder / self.part)
        size = folder_bytes(self.folder)
        if size > MOST_BYTES:
            raise ValueError(
                f"{self.folder} has {size / 2**20:.1f} MiB, more than the {MOST_BYTES >> 20} that are carried: prepare for fewer capabilities or cases"
            )
        return f"{self.folder} has {size / 2**20:.1f} MiB of at most {MOST_BYTES >> 20}"


class Reading:
    """A part of the folder, as `prepare` has left it. Raises UnpreparedError where there is none of this tree."""

    def __init__(self, folder: pathlib.Path, part: str) -> None:
        self.place = folder / part
        command = f"python -m experiments.benchmarks.device {part} prepare --folder {folder}"
        try:
            self.facts: dict[str, Any] = json.loads((self.place / MANIFEST).read_text())
        except (OSError, ValueError):
            raise UnpreparedError(f"nothing is prepared in {self.place}: make it, on any machine, by {command}") from None
        if self.facts["tree"] != tree_digest():
            raise UnpreparedError(f"{self.place} was prepared by another tree than this: make it anew by {command}")

    def kernel(self, name: str) -> Compiled:
        """A kernel by the name that `keep_kernel` gave."""
        return Compiled(gzip.decompress((self.place / f"{name}.gz").read_bytes()), **self.facts["kernels"][name])

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Arrays by the name under which they were kept."""
        with np.load(self.place / f"{name}.npz", allow_pickle=False) as found:
            return dict(found)

    def kernels_for(self, capability: tuple[int, int]) -> dict[str, str]:
        """{what for: the kernel's name}, for a device of a capability: machine code runs on later ones of its major number
        too. Raises UnpreparedError where there is none.
        """
        known: dict[str, dict[str, str]] = self.facts["capabilities"]
        fitting = [one for one in map(capability_of, known) if one[0] == capability[0] and one <= capability]
        if not fitting:
            text = capability_text(capability)
            raise UnpreparedError(f"{self.place} has kernels for {words(known)}, and this device is of capability {text}: prepare with --capability {text}")
        return known[capability_text(max(fitting))]


def chosen_capability(text: str) -> tuple[int, int]:
    """A compute capability from its text. Raises ArgumentTypeError, which argparse reports."""
    try:
        return capability_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def chosen_of(names: Sequence[str], beginnings: Sequence[str]) -> list[str]:
    """The names with one of these beginnings. Raises ValueError for a beginning that none has.

    >>> chosen_of(["moons", "mnist", "xor"], ["m"])
    ['moons', 'mnist']
    """
    for one in beginnings:
        if names and not any(name.startswith(one) for name in names):
            raise ValueError(f"no training's name begins with {one!r}; there are {len(names)}, such as {names[0]!r}")
    return [name for name in names if name.startswith(tuple(beginnings))]


def check_capabilities(capabilities: Sequence[tuple[int, int]]) -> None:
    """Refuses compute capabilities for which nothing can be compiled. Needs numba-cuda. Raises ValueError."""
    from gdsim.lanes.cuda import check_capability

    for capability in capabilities:
        check_capability(capability)


def words(names: Iterable[str]) -> str:
    """Names as a sentence has them.

    >>> words(["7.5", "8.0", "9.0"])
    '7.5, 8.0 and 9.0'
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
