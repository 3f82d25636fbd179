"""The table of cells that a terminal shows when a sweep is done, and what it says of the best."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS
from gdsim.sweep.experiment.cells import said
from gdsim.sweep.ranks.labels import counted, shown_values
from gdsim.sweep.ranks.printed import absent, few_runs, has_intervals, shown_columns, texts_of

MOST_ROWS = 20
# Columns that are left out where the terminal is narrow, the first of these first; what is varied goes last,
# from the right.
SPARED = (("validation accuracy",), ("low", "high"), ("worse_than_start",), ("diverged",), ("converged",))


def table_lines(frame: Any, width: int, accuracy: Any = None, whole: str = "gdsim report") -> list[str]:
    """A table of `gd.table`, the best cells first, in lines of at most `width`: columns are left out, and no
    digits are.

    `accuracy` are the cells' validation accuracies by their numbers, if they have some; `whole` is what shows
    all cells.
    """
    shown = frame.head(MOST_ROWS)
    columns: dict[str, list[str]] = {str(n): texts_of(shown[n], 4) for n in shown_columns(frame) if n != "runs" or frame["runs"].nunique() > 1}
    if accuracy is not None:
        columns["validation accuracy"] = [f"{accuracy[c]:.1%}" for c in shown.index]
    varied = [n for n in columns if n in list(frame.columns)[: list(frame.columns).index("runs")]]
    columns |= {n: shown_values(frame[n].tolist())[: len(shown)] for n in varied}
    left_out: list[str] = []
    for names in (*SPARED, *((n,) for n in reversed(varied[1:]))):
        if _width(columns) <= width:
            break
        left_out += [n for n in names if columns.pop(n, None) is not None]
    lines = _aligned(columns, {n for n in varied if n in columns and frame[n].dtype.kind not in "fiu"})
    if len(frame) > MOST_ROWS:
        lines.append(f"and {len(frame) - MOST_ROWS:,} more: {whole}")
    return lines + ([f"for want of room without {', '.join(_heading(n) for n in left_out)}"] if left_out else [])


def heading_of(frame: Any) -> list[str]:
    """What the table shows, and by what it is sorted."""
    runs = sorted(set(frame["runs"].tolist()))
    each = f"of {counted(runs, 'run')}{' each' if len(runs) == 1 else ''}"
    cells = f"{len(frame):,} cells {each}, the best first" if len(frame) > 1 else f"1 cell of {counted(runs, 'run')}"
    said = [f"{cells}, by {frame.attrs['ranked_by']}", "median over runs" + (", its 95% interval from low to high" if has_intervals(frame) else "")]
    medians = frame["median"].to_numpy(float)
    lost = ["inf: half of the runs or more diverged or never got there"] if np.isinf(medians).any() else []
    return [*said, *lost, *few_runs(frame), *([f"-: {absent(frame.attrs['ranked_by'])}"] if np.isnan(medians).any() else [])]


def verdict_of(frame: Any) -> list[str]:
    """Which cell is the best, and whether that is beyond noise: whether the interval of another cell meets
    its own.
    """
    varied = list(frame.columns)[: list(frame.columns).index("runs")]
    best, texts = frame.iloc[0], {n: shown_values(frame[n].tolist())[0] for n in varied}
    name = ", ".join(filter(None, (text if n == "optimizer" else said(n, text) for n, text in texts.items()))) or "the only cell"
    if not np.isfinite(best["median"]):
        return ["no cell is the best: in each, half of the runs or more are infinite"]
    if len(frame) == 1:
        return []
    can_tell = has_intervals(frame) or best["runs"] < FEWEST_FOR_INTERVALS
    return [f"best: {name}", *([noise_of(frame)] if can_tell else [])]


def noise_of(frame: Any) -> str:
    """Whether the best of several cells of a table with intervals is that beyond noise: whether the interval
    of another meets its own.
    """
    runs = int(frame["runs"].iloc[0])
    if runs < FEWEST_FOR_INTERVALS:
        return f"whether that is noise, {counted([runs], 'run')} cannot tell: take {FEWEST_FOR_INTERVALS} or more"
    few = frame["runs"].to_numpy() < FEWEST_FOR_INTERVALS  # whose medians may be anywhere
    low, high = (np.where(few, end, frame[n].to_numpy(float)) for n, end in (("low", -np.inf), ("high", np.inf)))
    others = int(((low[1:] <= high[0]) & (high[1:] >= low[0])).sum())
    if not others:
        return "beyond noise: its interval meets that of no other cell"
    return f"its interval meets {'that of another cell' if others == 1 else f'those of {others:,} other cells'}, so they may be as good"


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _heads(names: Sequence[str]) -> list[list[str]]:
    """The heading of each column, in lines of a word or two."""
    return [h.split(" ", 1) if len(h := _heading(n)) > 12 else [h] for n in names]


def _widths(columns: dict[str, list[str]]) -> list[int]:
    return [max(map(len, [*head, *texts])) for head, texts in zip(_heads(list(columns)), columns.values(), strict=True)]


def _width(columns: dict[str, list[str]]) -> int:
    return sum(_widths(columns)) + 2 * (len(columns) - 1)


def _aligned(columns: dict[str, list[str]], words: set[str]) -> list[str]:
    """Lines of a table: words to the left, numbers to the right."""
    widths, heads = _widths(columns), _heads(list(columns))
    deep = max(map(len, heads))
    rows = [[h[k - deep + len(h)] if k >= deep - len(h) else "" for h in heads] for k in range(deep)]
    rows += [list(row) for row in zip(*columns.values(), strict=True)]
    put = [str.ljust if n in words else str.rjust for n in columns]
    return ["  ".join(p(text, w) for p, text, w in zip(put, row, widths, strict=True)).rstrip() for row in rows]
