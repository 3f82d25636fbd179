"""The progress of a sweep as people see it: one line that updates, in a terminal or a notebook; lines now and
then in a log.
"""

import contextlib
import html
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from gdsim.sweep.execution.progress import ENDING, State
from gdsim.words import count_of, given

Listener = Callable[[State], None] | None  # what hears of a sweep's states
Wish = bool | Callable[[State], object] | None  # whether progress is shown, or what hears of it; None: where somebody may look

# The first line comes when a sweep has taken so long, unless progress was asked for: a short one needs none.
PATIENCE_SECONDS = 0.5
REDRAW_SECONDS = {"terminal": 0.1, "notebook": 0.25}
LOG_SECONDS, MOST_LOG_SECONDS = 5.0, 60.0
FEWEST_BAR, SHORTEST_MESSAGE = 6, 12


def duration(seconds: float) -> str:
    """A time in words."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rate_text(rate: float) -> str:
    """Run-steps per second, in the largest fitting unit."""
    power = 3 * int(math.log10(rate) // 3) if rate >= 1 else 0
    unit = {0: "", 3: "k", 6: "M", 9: "G", 12: "T"}.get(power, f"e{power}")
    return f"{rate / 10**power:.3g}{unit} run-steps/s"


def line_of(state: State, width: int, ended: bool = False, bar: str = "#-") -> str:
    """How far a sweep is, in at most `width` characters: what does not fit is left out, the bar first, counts
    and time last.

    >>> line_of(State(400, 100, 8_000_000, 10.0, 0, "compiling Adam on MLP", 0, 30.0), 80)
    '100 of 400 runs  25%  30 s left  800k run-steps/s  compiling Adam on MLP'
    """
    share = state.runs_done / max(1, state.runs)
    counts = f"{state.runs_done:,} of {state.runs:,} {state.kind}s"
    time_text = f"in {duration(state.seconds)}" if ended else "" if state.seconds_left is None else f"{duration(math.ceil(state.seconds_left))} left"
    rate = rate_text(state.run_steps_done / state.seconds) if state.run_steps_done and state.seconds else ""
    lost = "  ".join(
        text for n, text in ((state.diverged, f"{state.diverged:,} diverged"), (state.failed, count_of(state.failed, "chunk failed", "chunks failed"))) if n
    )
    texts = {"counts": counts, "share": f"{share:.0%}" if share < 1 else "", "time": time_text, "rate": rate, "lost": lost, "message": state.message}
    room, shown = width, {}
    for name in ("counts", "time", "message", "share", "lost", "rate"):
        text, left = texts[name], room - 2 * bool(shown)
        if name == "message" and len(text) > left >= SHORTEST_MESSAGE:
            text = text[: left - 3] + "..."
        if text and len(text) <= left:
            shown[name], room = text, left - len(text)
    if room >= FEWEST_BAR + 2 and not ended and not state.message:
        full = round(share * min(room - 2, 20))
        shown["bar"] = bar[0] * full + bar[1] * (min(room - 2, 20) - full)
    return "  ".join(shown[n] for n in ("bar", *texts) if n in shown)[:width]


class Display:
    """Takes a sweep's states from any thread and shows them; `ticks` asks for states while nothing happens.

    `at_once` is what a second interrupt calls, where that is to end the process.
    """

    ticks = True
    every = 0.0
    at_once: Callable[[], object] | None = None

    def __init__(self, patience: float) -> None:
        self.begins = time.monotonic() + patience
        self.state: State | None = None
        self.drawn = -math.inf
        self.message = ""
        self.drawing = threading.Lock()

    def __call__(self, state: State) -> None:
        """Shows a state, unless another was shown just now and this is no news."""
        with self.drawing:
            is_news = self._is_news(state.message)
            self.state, now = state, time.monotonic()
            is_early = now < self.begins or (not is_news and now - self.drawn < self.every)
            if is_early and not (is_news and state.message.startswith(ENDING)):
                return
            self.message = state.message
            if self._show(state, is_news):
                self.drawn = now

    def tell(self, sentence: str) -> None:
        """Leaves a sentence to be read, in a line of its own."""
        with self.drawing:
            self._tell(sentence)

    def close(self) -> None:
        """Leaves the last state to be read, if any was shown."""
        with self.drawing:
            if self.state is not None and (math.isfinite(self.drawn) or time.monotonic() >= self.begins):
                self._end(self.state._replace(message=""))

    def _is_news(self, message: str) -> bool:
        return message != self.message

    def _show(self, state: State, is_news: bool) -> bool:
        """Shows a state; whether that says how far the sweep is, which is then said again after `every`
        seconds.
        """
        raise NotImplementedError

    def _end(self, state: State) -> None:
        raise NotImplementedError

    def _tell(self, sentence: str) -> None:
        raise NotImplementedError


class TerminalLine(Display):
    """One line of a terminal, written over and over."""

    every = REDRAW_SECONDS["terminal"]

    def __init__(self, stream: TextIO, patience: float) -> None:
        super().__init__(patience)
        self.stream = stream
        self.bar = bar_of(stream)

    def _show(self, state: State, is_news: bool) -> bool:
        self._write(line_of(state, self._width(), bar=self.bar))
        return True

    def _end(self, state: State) -> None:
        self._write(line_of(state, self._width(), ended=True) + "\n")

    def _tell(self, sentence: str) -> None:
        self._write(sentence + "\n")

    def _width(self) -> int:
        """One column less than the terminal has: in the last the cursor would wrap."""
        try:
            return (int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(self.stream.fileno()).columns or 80) - 1  # 0: not known
        except (OSError, ValueError):
            return 79

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a terminal that has gone ends no sweep
            self.stream.write(f"\r{text}\x1b[K" if not text.endswith("\n") else f"\r{text[:-1]}\x1b[K\n")
            self.stream.flush()


class LogLines(Display):
    """Lines of a file or a pipe: what is being done, and now and then how far it is."""

    def __init__(self, stream: TextIO, patience: float = 0.0) -> None:
        super().__init__(patience)
        self.stream, self.every, self.said, self.last = stream, LOG_SECONDS, {""}, ""
        self.drawn = self.begins

    def _is_news(self, message: str) -> bool:
        return message not in self.said

    def _show(self, state: State, is_news: bool) -> bool:
        if is_news:
            self.said.add(state.message)
            self._write(state.message)
        elif state.runs_done:
            self.every = min(2 * self.every, MOST_LOG_SECONDS)
            if (text := line_of(state._replace(message=""), 110)) != self.last:  # as while a kernel compiles
                self._write(text)
            return True
        return False

    def _end(self, state: State) -> None:
        self._write(line_of(state, 110, ended=True))

    def _tell(self, sentence: str) -> None:
        self._write(sentence)

    def _write(self, text: str) -> None:
        self.last = text
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text + "\n")
            self.stream.flush()


class NotebookLine(Display):
    """One line below a notebook's cell, which is replaced."""

    every = REDRAW_SECONDS["notebook"]

    def __init__(self, patience: float) -> None:
        super().__init__(patience)
        self.handle: Any = None

    def _show(self, state: State, is_news: bool) -> bool:
        self._put(line_of(state, 100, bar="█░"))
        return True

    def _end(self, state: State) -> None:
        self._put(line_of(state, 100, ended=True))

    def _tell(self, sentence: str) -> None:
        from IPython.display import display  # as below

        display({"text/plain": sentence}, raw=True)

    def _put(self, text: str) -> None:
        from IPython.display import display  # which is there in a notebook

        held = {"text/plain": text, "text/html": f'<div style="font-family: monospace; white-space: pre">{html.escape(text)}</div>'}
        if self.handle is None:
            self.handle = display(held, raw=True, display_id=True)
        else:
            self.handle.update(held, raw=True)


def bar_of(stream: TextIO) -> str:
    """The two characters of a bar that a stream can write."""
    try:
        "█░".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#-"
    return "█░"


def is_terminal(stream: TextIO) -> bool:
    """Whether what is written is seen at once, on a terminal that can write over a line."""
    try:
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def is_notebook() -> bool:
    """Whether this is the kernel of a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


@contextlib.contextmanager
def shown(progress: Wish = None, stream: TextIO | None = None, at_once: Callable[[], object] | None = None) -> Iterator[Listener]:
    """What takes a sweep's states: None decides by where output goes, True shows them anywhere, False
    nowhere; or a function that is given.

    Where it is shown, a second interrupt calls `at_once`, which ends the process. Raises TypeError for
    anything else.
    """
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f"progress must be True, False, or a function that takes a gdsim.sweep.execution.progress.State; {given(progress)} was given")
    if callable(progress) or progress is False:
        listener: Any = progress or None
        yield listener
        return
    display = _display(progress is True, stream or sys.stderr)
    if display is not None:
        display.at_once = at_once
    try:
        yield display
    finally:
        if display is not None:
            display.close()


def _display(is_asked: bool, stream: TextIO | None) -> Display | None:
    """What shows a sweep here; None where nothing does."""
    patience = 0.0 if is_asked else PATIENCE_SECONDS
    if is_notebook():
        return NotebookLine(patience)
    if stream is None:  # as in a process without a terminal
        return None
    if is_terminal(stream):
        return TerminalLine(stream, patience)
    return LogLines(stream) if is_asked else None
