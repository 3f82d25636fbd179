"""Who is told of what is compiled, and that signals are heard meanwhile."""

import signal
import threading
import time

import pytest

from gdsim.lanes.announcing import announce, announcing, apart
from gdsim.lanes.compiler import NoCompilerError, bind


def test_only_the_block_that_listens_is_told():
    outer, inner = [], []
    with announcing(outer.append):
        announce("a")
        with announcing(inner.append):
            announce("b")
        thread = threading.Thread(target=announce, args=("of another sweep",))
        thread.start()
        thread.join()
        announce("c")
    announce("d")
    assert (outer, inner) == (["a", "c"], ["b"])


def test_a_listener_that_was_interrupted_is_forgotten():
    def interrupted(what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), announcing(interrupted):
        announce("a")
    announce("b")


def test_signals_are_heard_while_work_is_done_apart():
    heard, go_on = [], threading.Event()

    def note(*_):
        heard.append(threading.current_thread() is threading.main_thread())
        go_on.set()

    held = signal.signal(signal.SIGTERM, note)
    try:
        main = threading.get_ident()
        assert apart(lambda: (signal.pthread_kill(main, signal.SIGTERM), go_on.wait(60))[1])  # ends once the main thread has heard
    finally:
        signal.signal(signal.SIGTERM, held)
    assert heard == [True]


def test_what_a_handler_raises_comes_when_the_work_is_done():
    done = []

    def stop(*_):
        raise KeyboardInterrupt

    def work():
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(0.05)
        done.append(True)

    main, held = threading.get_ident(), signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            apart(work)
    finally:
        signal.signal(signal.SIGTERM, held)
    assert done == [True]


def test_a_thread_that_cannot_start_leaves_signals_as_they_were(monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(RuntimeError, match="can't start new thread"):
        apart(list)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_without_a_compiler_one_line_says_so(monkeypatch):
    from numba.core import config

    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    with pytest.raises(NoCompilerError, match="NUMBA_DISABLE_JIT is set"):
        bind(lambda: None, {}, None)
