"""A table of cells as pandas has it, which prints whole where it fits the width."""

from typing import Any

import numpy as np
import pandas

from gdsim.statistics.quantiles import FEWEST_FOR_INTERVALS

# Columns in which NaN, written as a dash, is a cell that has no number of what ranks.
RANKED = ("median", "low", "high")
# Headings of tables that would not fit otherwise; each is spelt out below the table.
SHORT = {"converged": "conv.", "diverged": "div.", "worse_than_start": "worse"}


class CellTable(pandas.DataFrame):
    """A DataFrame with a row per cell.

    It prints with as many digits as fit `pandas.options.display.width`, and says what it is ranked by.
    """

    @property
    def _constructor(self) -> Any:
        return CellTable

    def __repr__(self) -> str:
        width = pandas.get_option("display.width") or 80
        for digits, names, gap in ((4, {}, "  "), (3, {}, "  "), (3, {}, " "), (3, SHORT, " ")):
            used = {n: short for n, short in names.items() if n in self.columns}
            lines = self._lines(digits, used, gap)
            if max(map(len, lines)) <= width:
                return "\n".join([*lines, *self._notes(used)])
        frame: Any = pandas.DataFrame(self)[shown_columns(self)]
        text = frame.to_string(line_width=width, float_format=lambda v: written(v, 3), na_rep="", max_rows=pandas.get_option("display.max_rows"))
        return "\n".join([text, *self._notes({})])

    def _lines(self, digits: int, names: dict[str, str], gap: str) -> list[str]:
        """The table's lines: headings, a line per cell, and how many cells are left out."""
        most = pandas.get_option("display.max_rows") or len(self)
        frame = self.head(most)
        columns = [[str(self.index.name or ""), *map(str, frame.index)]]
        for name in shown_columns(self):
            columns.append([names.get(str(name), str(name)), *texts_of(frame[name], digits)])
        widths = [max(map(len, column)) for column in columns]
        lines = [gap.join(text.rjust(w) for text, w in zip(row, widths, strict=True)) for row in zip(*columns, strict=True)]
        return lines + ([f"and {len(self) - most:,} more"] if len(self) > most else [])

    def _notes(self, names: dict[str, str]) -> list[str]:
        ranked = self.attrs.get("ranked_by")
        ends = ", 95% interval low to high" if has_intervals(self) else ""
        said = [f"ranked by {ranked}: median over runs{ends}"] if ranked and "median" in self.columns else []
        if said and np.isnan(np.asarray(self["median"], float)).any():
            said.append(f"-: {absent(str(ranked))}")
        said += few_runs(self) if said else []
        return said + ([", ".join(f"{short} = {name}" for name, short in names.items())] if names else [])

    def _repr_html_(self) -> str:
        frame = pandas.DataFrame(self)[shown_columns(self)]
        frame = frame.assign(**{n: pandas.Series(texts_of(frame[n], 4), frame.index, dtype=object) for n in RANKED if n in frame})
        return frame.to_html(float_format=lambda v: written(v, 4), na_rep="", max_rows=pandas.get_option("display.max_rows")) + "".join(
            f"<p>{note}</p>" for note in self._notes({})
        )


def has_intervals(frame: pandas.DataFrame) -> bool:
    """Whether any cell of a table of cells has an interval."""
    return "low" in frame and bool(frame["low"].notna().any())


def shown_columns(frame: pandas.DataFrame) -> list[Any]:
    """The columns of a table of cells that are printed: all, but for intervals where no cell has one."""
    return [n for n in frame.columns if n not in ("low", "high") or has_intervals(frame)]


def few_runs(frame: pandas.DataFrame) -> list[str]:
    """What is said of a table of cells of which some have too few runs for an interval; nothing of others."""
    return [f"no interval where there are fewer than {FEWEST_FOR_INTERVALS} runs"] if np.any(frame["runs"] < FEWEST_FOR_INTERVALS) else []


def texts_of(column: Any, digits: int) -> list[str]:
    """The values of a column of a table of cells, a dash where what ranks is missing."""
    return [written(v, digits) or ("-" if column.name in RANKED else "") for v in column.tolist()]


def absent(ranked_by: str) -> str:
    """What a dash stands for."""
    return f"no {ranked_by} there" + (", for want of a validation set" if "validation" in ranked_by else "")


def written(value: object, digits: int) -> str:
    """A value of a table, a number with so many digits; whole numbers whole, nothing for NaN.

    >>> written(0.000464159, 3), written(12345.0, 3), written(float("nan"), 3)
    ('0.000464', '12345', '')
    """
    if not isinstance(value, float):
        return str(value)
    if value != value:
        return ""
    return f"{value:.0f}" if abs(value) < 1e7 and value == round(value) else f"{value:.{digits}g}"
