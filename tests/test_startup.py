"""What a command imports, and when: seconds of a newcomer's first minute."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.execution.ahead import importing
from gdsim.sweep.results.opening import open_results

EXPERIMENT = """
starts = 2
steps = 3
problem = { type = "mlp", data = "xor", hidden = [2] }
optimizer = { type = "sgd", lr = [0.1, 1.0] }
"""
WATCHED = (
    "numba", "sympy", "sklearn", "torch", "pyarrow", "pandas", "xarray", "scipy.special", "matplotlib", "dask", "dask.array", "distributed",
    "matplotlib.pyplot", "IPython",
)  # fmt: skip
PROGRAM = f"""
import sys
from gdsim.cli import main

def say():
    print("modules", *(name for name in {WATCHED} if name in sys.modules))

say()
for words in (["plam"], ["plan", "no.toml"], ["plan", "short.toml"], ["run", "short.toml", "--out", "found"]):
    sys.argv = ["gdsim", *words]
    try:
        main(prog_name="gdsim")
    except SystemExit as ended:
        print("code", ended.code)
    say()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """For the import of the command line and some commands after it, one after the other: how each ended, and
    what is imported by then.
    """
    folder = tmp_path_factory.mktemp("startup")
    (folder / "short.toml").write_text(EXPERIMENT)
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert (folder / "found" / "convergence.png").stat().st_size > 10_000
    return [line.split()[1] for line in lines if line.startswith("code")], [line.split()[1:] for line in lines if line.startswith("modules")]


def test_a_mistake_on_the_command_line_and_a_file_that_is_not_there_import_no_library_of_training(said):
    codes, modules = said
    assert codes == ["2", "2", "0", "0"]
    assert modules[0] == modules[1] == []
    assert modules[2] == []


def test_a_plan_imports_what_knows_the_processor_and_nothing_that_reads_results(said):
    assert said[1][3] == ["numba"]


def test_a_run_imports_what_its_table_and_picture_need_and_not_what_clusters_notebooks_and_large_folders_do(said):
    assert {"numba", "pyarrow", "pandas", "xarray", "matplotlib"} <= set(said[1][4])
    assert set(said[1][4]).isdisjoint({"dask.array", "distributed", "IPython", "matplotlib.pyplot", "sklearn", "sympy", "torch"})


def test_modules_are_imported_beside_what_goes_on_and_a_missing_one_is_told_to_who_needs_it():
    sys.modules.pop("colorsys", None)
    with importing(["threading", "no_such_module", "colorsys"]) as begin:
        assert "colorsys" not in sys.modules
        begin()
        begin()
        for thread in threading.enumerate():
            if thread.name == "gdsim-imports":  # else it is through
                thread.join(60)
        assert "colorsys" in sys.modules
    with importing(["sys"]) as begin:
        begin()
        assert [t for t in threading.enumerate() if t.name == "gdsim-imports"] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of several shards with curves and vectors, and its sweep's result in memory."""
    sweep = gd.Sweep(
        problem=gd.functions.Booth(), optimizer=[gd.SGD(lr=[0.001, 0.01]), gd.Adam()], starts=7, steps=3, record=gd.Record(every=1, parameters=True)
    )
    path = tmp_path_factory.mktemp("small") / "found"
    sweep.run(out=path, chunk_seconds=1e-9)
    return path, sweep.run()


def test_a_small_folder_opens_with_and_without_dask_as_the_same_runs(folder):
    path, result = folder
    lazy, small = open_results(path), open_results(path, dask_throughout=False)
    assert len(list(path.glob("shards/*"))) > 1
    assert lazy.loss.chunks is not None
    assert small.loss.chunks is None
    assert small.identical(result)
    assert lazy.identical(result)


@pytest.mark.parametrize("rows", [3, slice(2, 9), slice(None, None, -2), slice(0, 0), [5, 2, 2], np.arange(21) % 3 == 0])
@pytest.mark.parametrize("others", [1, slice(1, None), [2, 0]])
def test_what_is_read_of_a_small_folder_is_what_is_asked_for(folder, rows, others):
    path, result = folder
    places = np.flatnonzero(rows) if isinstance(rows, np.ndarray) else rows
    found = open_results(path, dask_throughout=False)
    for name, dims in (("loss", {"run": places, "checkpoint": others}), ("final_loss", {"run": places})):
        asked = found[name].isel(dims)
        assert np.array_equal(asked.values, result[name].isel(dims).values, equal_nan=True), name
