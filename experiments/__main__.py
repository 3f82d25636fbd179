"""Runs one of the experiments of this folder: `python experiments NAME`; without a name it lists them.

An experiment is a file with two functions: `sweeps(short)` gives {name: gd.Sweep}, `figure(results)` draws
the figure from {name: Dataset}. Results are kept in a folder, so the same command again only draws.
"""

import argparse
import importlib
import time
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
NAMES = (
    "batch_size", "client_drift", "cyclic_rates", "deep_linear", "diloco_digits", "error_feedback", "gossip_graphs", "learning_rate_stability",
    "lecture_race", "local_sgd_speedup", "million_networks", "stale_gradients", "xor_basins",
)  # fmt: skip


def run(name: str, out: Path, short: bool = False) -> Path:
    """Trains the sweeps of an experiment into `out` and draws its figure there; gives the figure's path."""
    experiment = importlib.import_module(name)
    results = {part: sweep.run(out=out / part) for part, sweep in experiment.sweeps(short).items()}
    file = out / f"{name}.png"
    experiment.figure(results).savefig(file, dpi=150)
    return file


def questions() -> Mapping[str, str]:
    """{name: the first line of its file}, which asks what the experiment answers."""
    return {name: (HERE / f"{name}.py").read_text().split('"""')[1].splitlines()[0] for name in NAMES}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python experiments", description="Trains one of the experiments and draws its figure.")
    parser.add_argument("name", nargs="?", choices=NAMES)
    parser.add_argument("--out", type=Path, help="where results and figure go; by default results/NAME, or results/NAME_short")
    parser.add_argument("--short", action="store_true", help="a small form that shows that it runs, in seconds")
    options = parser.parse_args()
    if options.name is None:
        print(*(f"{name}\n    {question}" for name, question in questions().items()), sep="\n")
        return
    began = time.perf_counter()
    file = run(options.name, options.out or Path("results") / f"{options.name}{'_short' * options.short}", options.short)
    print(f"{file} after {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
