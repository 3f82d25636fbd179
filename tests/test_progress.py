"""Progress: the time that is left, in simulated sweeps; the line that is drawn; who is told, and where
nothing is.
"""

import contextlib
import heapq
import io
import itertools
import os
import re
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import gdsim as gd
from gdsim.sweep.execution.display import LogLines, NotebookLine, TerminalLine, line_of, shown
from gdsim.sweep.execution.progress import ENDING, Progress, State, Tally, deferred_signals, every
from gdsim.sweep.execution.time_left import Remaining


def simulated(chunks, operations, seconds, threads, compiling=0.0, known=frozenset(), spread=0.2, seed=0):
    """(time, time left as estimated, share of the work that is done) whenever a batch of a simulated sweep
    ends, and its whole time.

    `chunks` are structures and runs, trained in their order, in as many batches as there are threads; a run
    of structure g takes about `seconds[g]`, counts as `operations[g]`, and its kernels, made one after the
    other, `compiling` unless they are known.
    """
    rng = np.random.default_rng(seed)
    counts = {g: sum(n for h, n in chunks if h == g) for g, _ in chunks}
    remaining = Remaining(counts, operations, threads)
    ready, made, clock = {}, 0.0, 0.0
    for group, _ in chunks:
        if group not in ready:
            clock += 0.0 if group in known else compiling
            ready[group] = clock
    batches = [(g, n // threads) for g, n in chunks for _ in range(threads)]
    free, ends, begins = [0.0] * threads, [], []
    for number, (group, runs) in enumerate(batches):
        began = max(heapq.heappop(free), ready[group])
        ended = began + runs * seconds[group] * rng.uniform(1 - spread, 1 + spread)
        heapq.heappush(free, ended)
        begins.append((began, 1, number, group, runs))
        ends.append((ended, 2, number, group, runs))
    kernels = [(at, 0, -1, g, 0) for g, at in ready.items()]
    whole, done, found = max(e[0] for e in ends), 0.0, []
    total = sum(runs * seconds[group] for group, runs in batches)
    for now, kind, number, group, runs in sorted(kernels + begins + ends):
        if kind == 0:
            remaining.compile(group, now - made)
            made = now
        elif kind == 1:
            remaining.begin(number, group, runs, now)
        else:
            remaining.leave(number, now)
            done += runs * seconds[group]
            found.append((now, remaining.seconds(now), done / total))
    return found, whole


SWEEPS = {
    "one structure": ([(0, 40)] * 30, [1.0], [0.1], 4),
    "two threads": ([(0, 20)] * 12, [5.0], [0.3], 2),
    "many threads": ([(0, 320)] * 8, [5.0], [0.3], 16),
    "structures of other costs in turns": ([(0, 8), (1, 8), (2, 8)] * 8, [1.0, 10.0, 100.0], [0.1, 1.0, 10.0], 2),
    "half of the structures end early": ([(g % 2, 16) for g in range(30)], [1.0, 1.0], [0.05, 1.0], 2),
    "operations that mislead by two": ([(0, 8), (1, 8)] * 10, [1.0, 1.0], [1.0, 2.0], 2),
}


@pytest.mark.parametrize("case", SWEEPS)
@pytest.mark.parametrize("seed", range(5))
def test_the_time_left_is_right_to_a_factor_of_two_after_a_tenth(case, seed):
    found, whole = simulated(*SWEEPS[case], seed=seed)
    checked = [(now, left) for now, left, share in found if share >= 0.1 and whole - now > 0.05 * whole]
    assert checked
    for now, left in checked:
        assert 0.5 <= left / (whole - now) <= 2.0, (now, left, whole)


def test_kernels_that_are_missing_count():
    sweep = [(g, 16) for g in range(7)], [1.0] * 7, [0.1] * 7, 2  # 0.8 s of training beside 3 s of compiling each
    found, whole = simulated(*sweep, compiling=3.0)
    assert whole > 21
    for now, left, share in found[:-2]:
        if share >= 0.1:
            assert 0.5 <= left / (whole - now) <= 2.0


def test_what_an_earlier_attempt_finished_is_not_missing():
    remaining = Remaining({0: 10}, [1.0], 1)  # of 1000 runs of which 990 are there
    for number in range(5):
        remaining.begin(number, 0, 1, 2.0 * number)
        remaining.leave(number, 2.0 * number + 2)
    assert remaining.seconds(10.0) == pytest.approx(10.0)
    remaining.finish(0, -5)  # a chunk whose runs are lost
    assert remaining.seconds(10.0) == pytest.approx(20.0)


def test_nothing_is_foretold_before_a_run_has_finished():
    remaining = Remaining({0: 10}, [1.0], 1)
    assert remaining.seconds(0.0) is None
    remaining.begin("a", 0, 5, 0.0)
    remaining.leave("a", None)  # given up
    assert remaining.seconds(9.0) is None


LARGE = State(1_000_000_000, 123_456_789, 12_345_678_901, 1e5, 123_456, "compiling AveragedClipNormAdam on TeacherStudent", 12, 1e6)


@pytest.mark.parametrize("width", [20, 40, 60, 79, 120])
@pytest.mark.parametrize("change", [{}, {"message": ""}, {"seconds_left": None}, {"runs_done": 0, "run_steps_done": 0}, {"message": ENDING}])
@pytest.mark.parametrize("ended", [False, True])
def test_the_line_fits(width, change, ended):
    assert len(line_of(LARGE._replace(**change), width, ended)) <= width


def test_the_line_says_counts_rate_time_left_and_what_compiles():
    line = line_of(State(448, 128, 1_000_000, 10.0, 3, "compiling Adam on MLP", 0, 12.2), 79)
    for words in ("128 of 448 runs", "13 s left", "100k run-steps/s", "compiling Adam on MLP", "3 diverged"):
        assert words in line or len(line) + 2 + len(words) > 79
    assert "compiling Adam" in line
    assert re.search(r"\d+ s left", line)
    bar = line_of(State(400, 100, 10, 1.0, 0, "", 0, 3.0), 79)
    assert bar.startswith("#####---------------  100 of 400 runs  25%")
    assert line_of(State(400, 400, 10, 61.0, 0, "", 0, 0.0), 79, ended=True).startswith("400 of 400 runs  in 1 min 1 s")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(scope="module")
def sweep():
    return gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=4, steps=5)


def told(sweep, progress, stream, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream)
    sweep.run(progress=progress)
    return stream.getvalue()


def test_a_terminal_has_one_line_that_updates(sweep, monkeypatch):
    monkeypatch.setattr("gdsim.sweep.execution.display.PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    text = told(sweep, None, Terminal(), monkeypatch)
    assert text.count("\n") == 1
    assert text.startswith("\r")
    assert "8 of 8 runs" in text.rsplit("\r", 1)[1]
    assert all(len(part.replace("\x1b[K", "").strip("\n")) < 80 for part in text.split("\r"))
    assert told(sweep, False, Terminal(), monkeypatch) == ""


def test_a_file_has_nothing_unless_it_is_asked_for(sweep, monkeypatch):
    assert told(sweep, None, io.StringIO(), monkeypatch) == ""
    text = told(sweep, True, io.StringIO(), monkeypatch)
    assert "\r" not in text
    assert text.splitlines()[-1].startswith("8 of 8 runs")


def test_a_log_is_short():
    out, clock = io.StringIO(), itertools.count()
    log = LogLines(out)
    for k in clock:
        log(State(1000, min(k, 1000), k, 1.0, 0, "compiling a" if k < 500 else "", 0, None))
        if k == 1000:
            break
    log.close()
    lines = out.getvalue().splitlines()
    assert lines[0] == "compiling a"
    assert len(lines) <= 4
    assert lines[-1].startswith("1,000 of 1,000 runs")


def test_a_log_counts_in_time_however_messages_change(monkeypatch):
    out, clock = io.StringIO(), itertools.count()
    monkeypatch.setattr("gdsim.sweep.execution.display.time.monotonic", lambda: float(next(clock)))  # a second passes whenever it is asked for
    log = LogLines(out)
    for k in range(1, 17):
        log(State(100, k, k, 1.0, 0, ("", "compiling a", "compiling b")[k % 3], 0, None))
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["compiling a", "compiling b"]
    assert [re.search(r"(\d+) of 100 runs", line)[1] for line in lines[2:]] == ["5", "15"]  # after 5 s, and 10 s later


def test_a_log_does_not_repeat_itself(monkeypatch):
    out, clock = io.StringIO(), itertools.count()
    monkeypatch.setattr("gdsim.sweep.execution.display.time.monotonic", lambda: 60.0 * next(clock))
    log = LogLines(out)
    for done in (10, 10, 10, 20, 20):
        log(State(100, done, 0, 1.0, 0, "", 0, None))
    assert [re.search(r"(\d+) of 100 runs", line)[1] for line in out.getvalue().splitlines()] == ["10", "20"]


def test_what_is_interrupted_counts_what_is_kept(tmp_path):
    """Of a chunk that is given up no run counts, though some had ended; the folder has as many as the last
    state says.
    """
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[1e-9, 1e-8]), starts=3000, steps=200_000, record=gd.Record(every="ends"))
    states = []

    def interrupt_once(state):
        if state.runs_done and not any(s.runs_done for s in states):
            os.kill(os.getpid(), signal.SIGINT)
        states.append(state)

    with pytest.raises(KeyboardInterrupt):
        sweep.run(out=tmp_path / "r", threads=1, progress=interrupt_once)
    assert max(s.runs_done for s in states) > 0
    assert states[-1].runs_done == gd.open(tmp_path / "r").attrs["finished_runs"]


def test_something_is_done_now_and_then_until_the_block_ends():
    thrice, calls, threads = threading.Event(), [], []

    def act():
        threads.append(threading.current_thread())
        calls.append(True)
        if len(calls) == 3:
            thrice.set()

    with every(0.001, act, "a name"):
        assert thrice.wait(60)
    done = len(calls)
    assert {t.name for t in threads} == {"a name"}
    assert not threads[0].is_alive()
    assert len(calls) == done
    with every(3600.0, calls.clear, "another"):
        pass  # at once, and the end is not waited for
    assert calls == []


def shown_on(place, monkeypatch):
    """(a display for that place, what gives the lines that are to be read there)."""
    if place == "notebook":
        lines = []

        def display(held, raw, display_id=None):
            lines.append(held["text/plain"])
            at = len(lines) - 1
            return SimpleNamespace(update=lambda held, raw: lines.__setitem__(at, held["text/plain"])) if display_id else None

        monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
        return NotebookLine(0.0), lambda: lines
    stream = io.StringIO()
    display = TerminalLine(stream, 0.0) if place == "terminal" else LogLines(stream)
    return display, lambda: [line.rsplit("\r", 1)[-1].removesuffix("\x1b[K") for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("place", ["terminal", "log", "notebook"])
def test_a_sentence_stays_in_a_line_of_its_own_whatever_is_said_after_it(place, monkeypatch):
    display, lines = shown_on(place, monkeypatch)
    progress, sentence = Progress(10, display), "a worker's GPU cannot be used, " * 5
    progress.say("compiling a")
    progress.tell(sentence)
    progress.say("compiling b")
    progress.add(Tally(runs=10))
    display.close()
    assert lines().count(sentence) == 1
    assert lines()[-1].startswith("10 of 10 runs") or place == "notebook"  # whose line stays where it is, and is replaced
    assert any(line.startswith("10 of 10 runs") for line in lines())


def test_a_sentence_is_a_message_to_a_function_and_a_warning_to_nobody():
    states = []
    Progress(10, states.append).tell("a GPU is lost")
    assert [state.message for state in states] == ["a GPU is lost"]
    with pytest.warns(RuntimeWarning, match="a GPU is lost"):
        Progress(10).tell("a GPU is lost")


def test_short_sweeps_show_nothing_by_themselves(sweep, monkeypatch):
    monkeypatch.setattr("gdsim.sweep.execution.display.PATIENCE_SECONDS", 3600.0)
    assert told(sweep, None, Terminal(), monkeypatch) == ""
    assert "8 of 8 runs" in told(sweep, True, Terminal(), monkeypatch)


def test_what_progress_may_be(sweep):
    for wrong in ("yes", 1, [print]):
        with pytest.raises(TypeError, match="progress must be True, False, or a function"):
            sweep.run(progress=wrong)
    states = []
    sweep.run(progress=states.append)
    assert states[-1].seconds_left == 0.0


def test_an_interrupt_is_acknowledged_at_once():
    drawn, said = threading.Event(), []

    class Line(TerminalLine):
        def _show(self, state, is_news):
            said.append(state.message)
            if state.message == ENDING:
                drawn.set()
            return True

    progress = Progress(10, Line(io.StringIO(), 3600.0))
    with progress.ticking(), deferred_signals(progress):
        os.kill(os.getpid(), signal.SIGINT)
        assert drawn.wait(60)  # although the main thread does nothing that asks
        with pytest.raises(KeyboardInterrupt):
            progress.raise_if_interrupted()
    assert said[-1] == ENDING


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_a_second_interrupt_is_heard_at_once_but_not_one_of_the_same_press(monkeypatch, ends_at_once):
    clock, ended = [100.0], []
    monkeypatch.setattr("gdsim.sweep.execution.progress.time.monotonic", lambda: clock[0])
    listener = TerminalLine(io.StringIO(), 3600.0)
    listener.at_once = (lambda: ended.append(True)) if ends_at_once else None
    progress = Progress(10, listener)
    with deferred_signals(progress):
        for seconds in (0.0, 0.9):  # as of a launcher that sends several
            clock[0] = 100.0 + seconds
            os.kill(os.getpid(), signal.SIGINT)
            assert (progress.interrupted, ended) == (True, [])
        clock[0] = 101.1
        with contextlib.nullcontext() if ends_at_once else pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert ended == [True] * ends_at_once
    assert progress.state().message == ENDING + " (again to end at once)" * ends_at_once


def test_listeners_that_do_not_tick_are_told_of_events_alone():
    states = []
    progress = Progress(10, states.append)
    with progress.ticking(), shown(False) as nobody:
        assert nobody is None
        progress.add(Tally(runs=3))
    assert [s.runs_done for s in states] == [3]
