"""Runs in the format of COCO, the field's platform for comparing optimizers, for its own tools to read."""

import pathlib
import re
from collections.abc import Iterator

import numpy as np

from gdsim.filenames import check_place, user_path
from gdsim.store.files import appearing
from gdsim.sweep.experiment.cells import cells_of
from gdsim.sweep.results.dataset import sweep_behind
from gdsim.sweep.results.reading import Result, by_block, cells_in, check_result, values_of

HEADER = "% f evaluations | g evaluations | best noise-free fitness - Fopt ({:.12e}) + sum g_i+ | measured fitness | best measured fitness\n"


def export_coco(result: Result, folder: str | pathlib.Path, *, minimum: float = 0.0, function: int = 1) -> None:
    """Writes a result's runs in COCO's format: `folder`, which must not be there yet, gets one folder per
    cell, an algorithm each.

    `cocopp` reads each of them (Hansen et al. 2021, https://coco-platform.org). A start is an instance, a
    step an evaluation, and so is the look at the start: what took t steps here took t + 1 evaluations there.
    `minimum` is subtracted from losses, `function` is the number that COCO knows the problem by. Raises
    ValueError for a folder that is there, and a result whose sweep this process does not know.

    >>> import pathlib
    >>> import tempfile
    >>> import gdsim as gd
    >>> sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=3, steps=10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_coco(sweep.run(), pathlib.Path(folder, "coco"))
    ...     len(list(pathlib.Path(folder, "coco").iterdir()))
    2
    """
    result = check_result(result, "export_coco")
    target = user_path(folder, "the folder")
    if target.exists():
        raise ValueError(f"{str(target)!r} is there already; give another name, or remove it")
    check_place(target)
    cells = cells_in(result)
    dimensions = [c.problem.parameter_count for c in cells_of(sweep_behind(result))]
    with appearing(target) as place:
        place.mkdir()
        names = [re.sub(r"[^\w.=+-]+", "_", str(label)) for label in values_of(cells.coordinates["label"])]
        files = [_Algorithm(place / name, label, function, dimensions[n], minimum) for name, label, n in zip(names, names, cells.numbers, strict=True)]
        for rows, runs in by_block(result, ["loss", "final_loss", "steps_taken", "status"], lambda _, c: list(_improvements(c, result.step.values, minimum))):
            for cell, start, run in zip(cells.place[rows], result.start.values[rows], runs, strict=True):
                files[cell].add(int(start) + 1, run)
        for file in files:
            file.finish()


def _improvements(columns: dict[str, np.ndarray], steps: np.ndarray, minimum: float) -> Iterator[list[tuple[int, float]]]:
    """For each run (evaluation, excess over the minimum) wherever it is the lowest so far, and at the run's
    end.
    """
    for loss, final, taken, status in zip(*(columns[n] for n in ("loss", "final_loss", "steps_taken", "status")), strict=True):
        points = [(int(steps[k]), float(loss[k])) for k in np.flatnonzero(~np.isnan(loss) & (steps <= taken))]
        if status != "diverged" and (not points or points[-1][0] < taken):
            points.append((int(taken), float(final)))
        found, best = [], np.inf
        for step, value in points:
            if value < best or not found:
                best = value
                found.append((step + 1, best - minimum))
        if found[-1][0] < taken + 1:
            found.append((int(taken) + 1, best - minimum))
        yield found


class _Algorithm:
    """One algorithm's folder: an index, and its runs seen by targets (.dat) and by evaluations (.tdat), which
    here are the same lines.
    """

    def __init__(self, folder: pathlib.Path, name: str, function: int, dimension: int, minimum: float) -> None:
        self.folder, self.minimum, self.runs = folder, minimum, []
        stem = f"bbobexp_f{function}"
        self.index, self.data = folder / f"{stem}.info", f"data_f{function}/{stem}_DIM{dimension}"
        (folder / f"data_f{function}").mkdir(parents=True)
        self.header = (
            f"suite = 'bbob', funcId = {function}, DIM = {dimension}, Precision = 1.000e-08, algId = '{name}', "
            f"coco_version = '2.6', logger = 'bbob', data_format = 'bbob-new2'\n"
        )
        self.lines: list[str] = []

    def add(self, instance: int, run: list[tuple[int, float]]) -> None:
        """One run."""
        self.lines.append(HEADER.format(self.minimum))
        self.lines += [f"{evaluation} 0 {excess:.17e} {excess + self.minimum:.17e} {excess + self.minimum:.17e}\n" for evaluation, excess in run]
        evaluations, lowest = run[-1]
        self.runs.append(f"{instance}:{evaluations}|{lowest:.17e}")
        if len(self.lines) > LINES_AT_ONCE:
            self._write()

    def _write(self) -> None:
        for ending in (".dat", ".tdat"):
            with (self.folder / f"{self.data}{ending}").open("a") as file:
                file.writelines(self.lines)
        self.lines = []

    def finish(self) -> None:
        """Writes what is left, and the index."""
        self._write()
        self.index.write_text(self.header + "% exported by gdsim\n" + ", ".join([f"{self.data}.dat", *self.runs]) + "\n")


LINES_AT_ONCE = 100_000
