"""The terminal's table: its width, its digits, and what it says of the best."""

import numpy as np
import pandas
import pytest

import gdsim as gd
from gdsim.report.cells import MOST_ROWS, heading_of, table_lines, verdict_of
from gdsim.report.conclusion import at_the_edge
from gdsim.report.console import Console


def frame(medians, lows, highs, runs=16, name="final loss", **varied):
    rows = len(medians)
    varied = varied or {"optimizer": ["AdaBelief"] * rows, "lr": [0.000464159 * (k + 1) for k in range(rows)]}
    columns = {"runs": [runs] * rows, "median": medians, "low": lows, "high": highs, "converged": [runs] * rows, "diverged": 3, "worse_than_start": 0}
    made = pandas.DataFrame({**varied, **columns})
    made.attrs["ranked_by"] = name
    return made


LONG = frame(
    np.geomspace(1e-7 / 3, 1e9 / 7, 30), np.geomspace(1e-8 / 3, 1e9 / 9, 30), np.geomspace(1e-6 / 3, 1e10 / 7, 30),
    optimizer=["AveragedClipNormAdaBelief"] * 30, lr=np.geomspace(1e-5, 1, 30), momentum=np.linspace(0, 1, 30), schedule_minimum=np.geomspace(1e-9, 1e-3, 30),
)  # fmt: skip


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 200])
def test_columns_are_left_out_and_never_digits(width):
    accuracy = dict.fromkeys(range(30), 0.951)
    lines = table_lines(LONG, width, accuracy)
    assert all(len(line) <= max(width, 38) for line in lines[: MOST_ROWS + 2])  # a label and its median stand in any case
    end = lines.index(f"and {30 - MOST_ROWS} more: gdsim report")
    rows = lines[end - MOST_ROWS : end]
    assert len(rows) == MOST_ROWS == 20
    for value, line in zip(LONG["median"][:MOST_ROWS], rows, strict=True):
        assert f"{value:.4g}" in line.split()
    assert not any("…" in line for line in lines)
    assert ("for want of room without" in lines[-1]) == (width < 160)


def test_a_usual_table_is_whole_at_80_columns():
    usual = frame([0.04683, 0.05], [0.0409, 0.041], [0.05, 0.06])
    lines = table_lines(usual, 80, {0: 0.957, 1: 0.955})
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["optimizer", "lr", "median", "low", "high", "converged", "diverged", "than", "start"]
    assert lines[2].split() == ["AdaBelief", "0.000464", "0.04683", "0.0409", "0.05", "16", "3", "0"]
    assert lines[-1] == "for want of room without validation accuracy"


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (frame([1.0, 3.0], [0.9, 2.0], [1.1, 4.0]), "beyond noise: its interval meets that of no other cell"),
        (frame([1.0, 3.0], [0.9, 1.1], [1.1, 4.0]), "its interval meets that of another cell, so they may be as good"),
        (frame([1.0, 1.0, 1.0, 9.0], [0.9] * 3 + [8.0], [1.1] * 3 + [10.0]), "its interval meets those of 2 other cells"),
        (frame([1.0, 3.0], [-np.inf, 2.0], [1.1, np.inf], runs=5), "5 runs cannot tell: take 6 or more"),
        (frame([np.inf, np.inf], [1.0, 1.0], [np.inf, np.inf]), "no cell is the best"),
    ],
)
def test_the_best_is_named_and_judged(made, said):
    text = "\n".join(verdict_of(made))
    assert said in text
    assert ("best: AdaBelief, lr=0.000464" in text) == np.isfinite(made["median"][0])
    assert all(len(line) <= 80 for line in [*verdict_of(made), *heading_of(made)])


def test_a_cell_of_too_few_runs_for_an_interval_may_be_as_good():
    """As in a folder that is not finished: nothing is known of it, so nothing is beyond noise."""
    lr, start = np.meshgrid([0.01, 0.02], np.arange(8))
    result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.01, 0.02]), starts=8, steps=30).run()
    found = gd.table(result.isel(run=(lr.ravel() == 0.02) | (start.ravel() < 3)))
    assert found["runs"].tolist() == [8, 3]
    assert verdict_of(found) == ["best: lr=0.02", "its interval meets that of another cell, so they may be as good"]


def test_a_sweep_without_a_target_counts_nothing_as_converged():
    booth = gd.functions.Booth()
    result = gd.Sweep(problem=booth, optimizer=gd.SGD(lr=[0.01, 0.02, 1e3]), starts=8, steps=30).run()
    table = gd.table(result)
    text = "\n".join([*heading_of(table), *table_lines(table, 80), *verdict_of(table)])
    assert "converged" not in text
    assert "3 cells of 8 runs each, the best first, by final loss" in text
    assert text.index("0.02") < text.index("0.01") < text.index("1000")
    assert "best: lr=0.02" in text
    assert "worse" in text
    assert "inf: half of the runs or more diverged" in text


def test_a_best_rate_at_the_end_of_the_grid_is_told_by_the_terminal_as_by_the_report(capsys):
    """On Booth's parabola, of curvatures 2 and 18, a rate of 0.1 is the best: both components of the error
    shrink by 0.8 a step.
    """
    for rates, end, best in (([0.005, 0.01, 0.02], "highest", 0.02), ([0.02, 0.1, 0.2], "", 0.1), ([0.1, 0.15, 0.2], "lowest", 0.1)):
        result = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=rates), starts=8, steps=30).run()
        Console().table(result, "here")
        told = f"The best learning rate of SGD is the {end} that was tried, {best}: the best one may lie beyond."
        assert (told in capsys.readouterr().out) == bool(end)
        assert list(at_the_edge(result)) == ([told] if end else [])
