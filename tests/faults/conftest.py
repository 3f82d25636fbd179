"""What the fault tests share: an experiment, what it leaves undisturbed, and the table of what they have
done.
"""

import random

import pytest

from tests.faults import machinery


@pytest.fixture(scope="session")
def large(tier):
    """Whether the large cases are asked for."""
    return tier == 2


@pytest.fixture(autouse=True)
def seeded(request):
    """What a test draws is the same each time."""
    random.seed(request.node.nodeid)


class Undisturbed:
    """An experiment's file, the options of its runs, and the shards that they leave when nothing happens."""

    def __init__(self, folder, starts, more=""):
        self.file = folder / "experiment.toml"
        self.file.write_text(machinery.EXPERIMENT.format(starts=starts) + more)
        self.options = ("--chunk-seconds", 0.1)
        code, said = machinery.finished(machinery.gdsim("run", self.file, "--out", folder / "undisturbed", *self.options))
        assert code == 0, said
        self.shards = machinery.shards(folder / "undisturbed")

    def command(self, out, *options):
        """The command that fills a folder."""
        return ("run", self.file, "--out", out, *self.options, *options)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, large):
    """A sweep of some 80 chunks of a tenth of a second; of half as many where the large cases are not asked
    for.
    """
    return Undisturbed(tmp_path_factory.mktemp("undisturbed"), 40_000 if large else 20_000, machinery.MORE)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A sweep of a few chunks."""
    return Undisturbed(tmp_path_factory.mktemp("small"), 6_000)


@pytest.fixture
def told(record_property):
    """Notes what a fault test has done: `told(fault, what=how often)`."""
    return lambda fault, **numbers: record_property(f"fault: {fault}", numbers)


def pytest_terminal_summary(terminalreporter):
    """The table of faults, as the README has it."""
    counts = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, numbers in report.user_properties if report.when == "call" else ():
            if name.startswith("fault: "):
                counts.setdefault(name.removeprefix("fault: "), {}).update(numbers)
    if counts:
        terminalreporter.write_line("| fault | what was done |\n|---|---|")
        for fault, numbers in counts.items():
            terminalreporter.write_line(f"| {fault} | {', '.join(f'{n} {what}' for what, n in numbers.items())} |")
