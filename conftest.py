"""How the tests are run: three tiers, workers of pytest-xdist where it is installed, and a last line that counts.

`pytest` runs what a newcomer's change is likely to break, in minutes. `pytest --full` adds the tests marked `full`, which
ask the same of more structures and are what CI runs; `pytest --runslow` adds the large cases, marked `slow`.
"""

import collections
import importlib.util
import os

import pytest

from gdsim.sweep.planning.machine import usable_cores

HAS_TORCH = importlib.util.find_spec("torch") is not None  # for examples with PyTorch
SECOND, THIRD = "second tier (pytest --full)", "third tier (pytest --runslow)"


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="run the second tier of tests too, as CI does")
    parser.addoption("--runslow", action="store_true", help="run all tests: the second tier and the large cases too")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads how many workers are wanted
def pytest_cmdline_main(config):
    """One worker for each processor where folders of tests are run; a file or a single test runs in this process."""
    option = config.option
    is_worker, has_xdist = hasattr(config, "workerinput"), hasattr(option, "numprocesses")
    if is_worker or not has_xdist or option.usepdb or option.collectonly:
        return
    asked = option.numprocesses is not None or option.dist != "no" or option.tx
    if not asked and all(os.path.isdir(argument) for argument in config.args):
        option.numprocesses, option.dist = usable_cores(), "worksteal"


def pytest_collection_modifyitems(config, items):
    slow = config.getoption("--runslow")
    full = slow or config.getoption("--full")
    for item in items:
        if isinstance(item, pytest.DoctestItem) and not HAS_TORCH and any("torch." in e.source or "to_torch(" in e.source for e in item.dtest.examples):
            item.add_marker(pytest.mark.skip(reason="PyTorch is not installed: pip install -e '.[torch]'"))
        tiers = {mark.name for mark in item.iter_markers()}  # and not the item's keywords, which have the folders' names
        if "slow" in tiers and not slow:
            item.add_marker(pytest.mark.skip(reason=THIRD))
        elif "full" in tiers and not full:
            item.add_marker(pytest.mark.skip(reason=SECOND))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the terminal's own, whose line comes before
def pytest_sessionfinish(session):
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        reporter.write_line(counted(reporter.stats))


def counted(stats):
    """What passed, what did not, and why tests were skipped, in one line."""
    reasons = collections.Counter(report.longrepr[2].removeprefix("Skipped: ") for report in stats.get("skipped", []))
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    counts = [f"{len(stats[kind])} {kind}" for kind in ("failed", "error", "passed", "skipped") if stats.get(kind)]
    return ", ".join(counts or ["no tests ran"]) + (f": {why}" if why else "")
