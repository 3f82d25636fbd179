"""What surrounds a command and is not its fault: terminals, limits, memory, files as other systems write
them. One line, and results kept.
"""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

import gdsim as gd
from gdsim.cli import main
from gdsim.sweep.experiment.from_table import ExperimentError
from gdsim.sweep.sweep import read_experiment

BOOTH = '[problem]\ntype = "booth"\n[optimizer]\ntype = "sgd"\nlr = [0.001, 0.01]\n'


def command(*arguments):
    """(exit code, all that was written) of a command in this process."""
    done = CliRunner().invoke(main, list(map(str, arguments)), prog_name="gdsim")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def process(*arguments, folder, limit=None, **settings):
    """(exit code, output, errors) of a command in a process of its own, whose files may have at most `limit`
    bytes.
    """
    limits = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); " if limit else ""
    line = [sys.executable, "-c", f"{limits}import runpy; runpy.run_module('gdsim.cli', run_name='__main__', alter_sys=True)", *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, capture_output=True, check=False, env={**os.environ, **settings})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "booth.toml").write_text("starts = 4\nsteps = 5\n" + BOOTH)
    return tmp_path


def test_a_byte_order_mark_is_no_part_of_an_experiment(folder):
    (folder / "marked.toml").write_text("starts = 4\r\n" + BOOTH, encoding="utf-8-sig", newline="")
    assert read_experiment(folder / "marked.toml").starts == 4
    (folder / "wide.toml").write_text("starts = 4\n" + BOOTH, encoding="utf-16")
    with pytest.raises(ExperimentError, match="cannot be read"):
        read_experiment(folder / "wide.toml")


def test_a_terminal_that_cannot_write_a_name_ends_nothing(folder):
    os.rename("booth.toml", "実験.toml")
    code, out, errors = process("run", "実験.toml", folder=folder, PYTHONIOENCODING="latin-1", PYTHONUTF8="1")
    assert (code, errors) == (0, b"")
    assert rb"\u5b9f\u9a13" in out
    assert gd.open(folder / "results" / "実験").sizes["run"] == 8


def test_an_interrupt_while_python_loads_is_told_in_one_line(folder):
    (folder / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")  # as it is loaded
    line = [sys.executable, "-m", "gdsim", "--version"]
    done = subprocess.run(line, cwd=folder, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")
    (folder / "click.py").unlink()
    assert subprocess.run(line, cwd=folder, capture_output=True, check=True).stdout.decode().strip() == gd.__version__


def test_without_numbas_compiler_one_line_says_so(folder):
    code, out, errors = process("run", "booth.toml", folder=folder, NUMBA_DISABLE_JIT="1")
    assert code == 2
    assert errors.decode().strip().splitlines() == [
        "Error: NUMBA_DISABLE_JIT is set, and gdsim's kernels are nothing but compiled code: unset it (set it to 0)"
    ]
    assert b"Traceback" not in out
    assert not (folder / "results").exists()


def test_a_limit_on_the_size_of_files_is_the_disks(folder):
    code, out, errors = process("run", "booth.toml", folder=folder, limit=1500)
    assert code == 3, (out, errors)
    assert b"not finished: " in out
    assert b"File too large" in out
    assert b"Traceback" not in out + errors
    assert process("run", "booth.toml", folder=folder)[0] == 0
    assert gd.open(folder / "results" / "booth").sizes["run"] == 8


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 80 GiB"), MemoryError(), OSError(28, "No space left on device")])
def test_a_picture_that_cannot_be_drawn_costs_no_results(folder, monkeypatch, error):
    import gdsim.plots

    def fail(*_):
        raise error

    monkeypatch.setattr(gdsim.plots, "convergence_bands", fail)
    code, out = command("run", "booth.toml")
    assert code == 0
    assert "the plot could not be drawn (" in out
    assert "results: results/booth" in out
    assert gd.open(folder / "results" / "booth").sizes["run"] == 8


def test_memory_that_runs_out_ends_a_run_as_unfinished(folder, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr("gdsim.sweep.run.infolder.open_results", fail)
    code, out = command("run", "booth.toml")
    assert code == 3
    assert "not finished: there is not enough memory" in out
    assert "To go on: gdsim" in out


def test_a_report_goes_into_a_folder(folder):
    assert command("run", "booth.toml")[0] == 0
    code, out = command("report", "results/booth", "--out", ".")
    assert code == 0, out
    assert (folder / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("data", "said"),
    [("a,y\n1,0\nx,1\n", "'a'"), ("", "bad.csv"), ("a,a\n", "bad.csv"), ("a,y\n1,0\n,1\n", "'a'")],
    ids=["no number", "empty", "twice", "missing"],
)
def test_data_that_cannot_be_used_is_one_line_and_exit_code_2(folder, data, said):
    (folder / "bad.csv").write_text(data)
    (folder / "bad.toml").write_text('[problem]\ntype = "mlp"\nloss = "log_loss"\ndata = { path = "bad.csv" }\n[optimizer]\ntype = "sgd"\n')
    code, out = command("plan", "bad.toml")
    assert code == 2
    assert said in out
    assert len(out.strip().splitlines()) == 1


def test_runs_are_chosen_by_numbers_or_a_mask():
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), starts=3, steps=5)
    for runs, right in (([True, False, True], [0, 2]), ([2, 0], [0, 2]), (1, [1]), (range(2), [0, 1]), ("all", [0, 1, 2]), ([1.0], [1]), (None, [0, 1, 2])):
        assert sweep.run(runs=runs).run.values.tolist() == right
    for wrong in ([1.5], [2, 0, 2], [True, False], [-1], [3], [], "some", [[0], [1]], [None], [float("nan")]):
        with pytest.raises(ValueError, match="runs must be whole numbers from 0 to 2, a mask of 3 values, or None for all"):
            sweep.run(runs=wrong)


def test_a_folder_is_gone_on_from(tmp_path):
    short = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), steps=5, record=gd.Record(state=True))
    short.run(out=tmp_path / "short")
    longer = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=0.01), steps=9).run()
    assert gd.continue_from(tmp_path / "short", steps=4).final_loss.values == longer.final_loss.values
    with pytest.raises(TypeError, match="continue_from takes the Dataset of a sweep"):
        gd.continue_from(3, steps=4)
