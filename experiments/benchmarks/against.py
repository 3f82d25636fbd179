"""Which rows this tree trains slower than another commit, by CPU time, on machines that do other things too.

    python experiments/benchmarks --against COMMIT [--rows digits ...] [--rounds 15] [--out results/benchmarks]
    python experiments/benchmarks --quick [--against COMMIT]

Both trees are copied to a temporary folder, with a cache of kernels each. A round trains a row with both, one
after the other, on one thread, for a fifth of a second; who begins changes from round to round. What counts
is the CPU time of the process, start to Dataset, kernels compiled. Processes live for a third of the rounds:
code and arrays then lie elsewhere in memory, which moves times by some percent too. The row "cold" is the
compilation of the main job (digits.toml) by new processes with empty caches, both at once.

A row's ratio is the median over rounds of this tree's time over the commit's, its interval the order
statistics that enclose that median in 95%. Ends with code 1 if an interval lies wholly above 1.03. All rows
take a quarter of an hour on two quiet cores.

`--quick` compares with HEAD if no commit is given, and takes three minutes there: one row of each way in which
gdsim trains (networks in packs, a wide one, one run by a team, a function), in 21 rounds, since what takes long is
compilation; so its intervals are narrower than those of all rows. What else may have become slower, and "cold", it
does not see.
"""

import compileall
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence

from works import Row, rows_named

from gdsim.statistics import median, median_interval

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COLD = "cold"
ROUNDS, FEWEST_ROUNDS, PROCESSES = 15, 6, 3
QUICK_ROUNDS = 21
SECONDS = 0.2  # of one measurement
SLOWER = 1.03
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class UnmeasurableError(Exception):
    """What cannot be compared, in one line."""


@dataclasses.dataclass(frozen=True)
class Tree:
    """A copy of gdsim, and where its kernels are kept."""

    name: str
    folder: pathlib.Path

    def start(self, *words: str, cache: str = "cache") -> subprocess.Popen[str]:
        """A process that measures this tree."""
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(self.folder), "GDSIM_CACHE_DIR": str(self.folder / cache)}
        environment.pop("PYTHONSAFEPATH", None)
        with (self.folder / "errors").open("w") as errors:
            return subprocess.Popen(
                [sys.executable, str(HERE / "timed.py"), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
            )

    def answer(self, process: subprocess.Popen[str]) -> "Measurement":
        """The next line of a process. Raises UnmeasurableError where it has died."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            said = (self.folder / "errors").read_text().strip().splitlines()
            raise UnmeasurableError(f"{self.name} failed: {said[-1] if said else 'no message'}")
        return Measurement(**json.loads(line))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Seconds of CPU time, and a hash of the final losses."""

    seconds: float
    bits: str


def copied(tree: str, files: pathlib.Path | bytes, place: pathlib.Path) -> Tree:
    """A tree's gdsim, from its folder or a tar archive, compiled to bytecode, which is no part of what is
    measured.
    """
    place.mkdir()
    if isinstance(files, bytes):
        with tarfile.open(fileobj=io.BytesIO(files)) as archive:
            archive.extractall(place, filter="data")
    else:
        shutil.copytree(files / "gdsim", place / "gdsim", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(place / "gdsim", quiet=2)
    return Tree(tree, place)


def commit_files(commit: str) -> bytes:
    """gdsim at a commit, as a tar archive. Raises UnmeasurableError where there is none."""
    done = subprocess.run(["git", "archive", "--format=tar", commit, "gdsim"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        raise UnmeasurableError(f"--against {commit}: {done.stderr.decode().strip().splitlines()[-1]}; give a commit, a branch or a tag of this repository")
    return done.stdout


@contextlib.contextmanager
def live(trees: Sequence[Tree]) -> Iterator["Pair"]:
    """A process for each tree."""
    processes = [tree.start() for tree in trees]
    try:
        yield Pair(trees, processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two living processes, the commit's first."""

    trees: Sequence[Tree]
    processes: Sequence[subprocess.Popen[str]]

    def _ask(self, place: int, name: str, steps: int) -> None:
        to = self.processes[place].stdin
        assert to is not None
        with contextlib.suppress(BrokenPipeError):  # its answer says why
            to.write(json.dumps([name, steps]) + "\n")
            to.flush()

    def _answer(self, place: int) -> Measurement:
        return self.trees[place].answer(self.processes[place])

    def at_once(self, name: str, steps: int) -> list[Measurement]:
        """Both side by side: for what is not counted."""
        for place in (0, 1):
            self._ask(place, name, steps)
        return [self._answer(place) for place in (0, 1)]

    def in_turn(self, name: str, steps: int, first: int) -> list[Measurement]:
        """One after the other, `first` first."""
        found = {}
        for place in (first, 1 - first):
            self._ask(place, name, steps)
            found[place] = self._answer(place)
        return [found[0], found[1]]


def fitting_steps(pair: Pair, row: Row) -> int:
    """Steps that take about as long as a measurement should."""
    steps = row.steps
    pair.at_once(row.name, 1)  # compiles
    for _ in range(3):
        took = pair.in_turn(row.name, steps, 0)[0].seconds
        steps = max(1, round(steps * min(max(SECONDS / took, 0.01), 20.0)))
    return steps


def trained(trees: Sequence[Tree], rows: Sequence[Row], rounds: int) -> dict[str, list[list[Measurement]]]:
    """[round][tree] of each row, from some processes one after the other."""
    found: dict[str, list[list[Measurement]]] = {row.name: [] for row in rows}
    steps: dict[str, int] = {}
    for number in range(PROCESSES):
        with live(trees) as pair:
            for row in rows:
                if row.name not in steps:
                    steps[row.name] = fitting_steps(pair, row)
                pair.at_once(row.name, steps[row.name])  # reads kernels, touches memory
                while len(found[row.name]) < rounds * (number + 1) // PROCESSES:
                    found[row.name].append(pair.in_turn(row.name, steps[row.name], len(found[row.name]) % 2))
                print(f"{row.name}: {len(found[row.name])} of {rounds} rounds", file=sys.stderr)
    return found


def compiled(trees: Sequence[Tree], rounds: int) -> list[list[Measurement]]:
    """[round][tree] of the main job's first call."""
    found = []
    for number in range(rounds):
        processes = [tree.start(COLD, cache="empty") for tree in trees]
        found.append([tree.answer(process) for tree, process in zip(trees, processes, strict=True)])
        for tree, process in zip(trees, processes, strict=True):
            process.communicate()
            shutil.rmtree(tree.folder / "empty", ignore_errors=True)
        print(f"{COLD}: {number + 1} of {rounds} rounds", file=sys.stderr)
    return found


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Median seconds of both trees, and the median ratio with its interval."""

    row: str
    before: float
    now: float
    ratio: float
    low: float
    high: float
    same_bits: bool

    @property
    def slower(self) -> bool:
        """Whether the interval lies wholly above what is allowed."""
        return self.low > SLOWER


def comparison_of(row: str, rounds: Sequence[Sequence[Measurement]]) -> Comparison:
    """What the rounds of a row say."""
    before, now = ([r[place].seconds for r in rounds] for place in (0, 1))
    ratios = [b / a for a, b in zip(before, now, strict=True)]
    same = all(r[0].bits == r[1].bits for r in rounds)
    return Comparison(row, float(median(before)), float(median(now)), float(median(ratios)), *median_interval(ratios), same)


def table(found: Sequence[Comparison], commit: str) -> str:
    """The Markdown table."""
    lines = [f"| row | {commit}, s | now, s | ratio | 95% interval | |", "|---|---|---|---|---|---|"]
    for c in found:
        words = ", ".join(w for w, holds in (("SLOWER", c.slower), ("other bits", not c.same_bits)) if holds)
        lines.append(f"| {c.row} | {c.before:.3f} | {c.now:.3f} | {c.ratio:.3f} | {c.low:.3f} to {c.high:.3f} | {words} |")
    return "\n".join(lines)


def compare(commit: str, names: Sequence[str], rounds: int, out: pathlib.Path) -> int:
    """Measures, prints the table and leaves against.json and against.md in `out`; the exit code."""
    rows = rows_named(names)
    with tempfile.TemporaryDirectory(prefix="gdsim-against-") as place:
        try:
            trees = [copied(commit, commit_files(commit), pathlib.Path(place, "commit")), copied("this tree", ROOT, pathlib.Path(place, "now"))]
            found = [comparison_of(name, rounds_) for name, rounds_ in trained(trees, rows, rounds).items()]
            if COLD.startswith(tuple(names)):
                found.append(comparison_of(COLD, compiled(trees, rounds)))
        except UnmeasurableError as error:
            print(error, file=sys.stderr)
            return 2
    (out / "against.json").write_text(json.dumps([dataclasses.asdict(c) for c in found], indent=1))
    (out / "against.md").write_text(table(found, commit) + "\n")
    print(table(found, commit))
    return int(any(c.slower for c in found))
