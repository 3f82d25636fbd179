"""How long gd.MultistartClassifier takes beside scikit-learn's MLPClassifier, and how much better it scores.

    python experiments/benchmarks/estimators.py [--rounds 5] [--epochs 30] [--repeats 10] [--json FILE]

Digits, scaled to [0, 1], as many epochs for both (n_iter_no_change=inf): scikit-learn's defaults, (100,) in batches of 200, and (32,)
in batches of 32. Each round times one MLPClassifier, 16 networks and 64, one after the other in one process, kernels compiled; ratios
are medians over rounds. The first fit is of a process with an empty cache of kernels. Scores are of repeated 5-fold
cross-validation, both in the same folds with all parameters at their defaults; the interval of the mean difference is Nadeau and Bengio's
(2003), whose variance allows for folds that share samples.
"""

import argparse
import json
import math
import pathlib
import statistics
import tempfile
import time
import warnings
from typing import Any

import numpy as np
from processes import answer
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier

import gdsim as gd

SIZES = {"(100,), batch 200": ((100,), 200), "(32,), batch 32": ((32,), 32)}
FOLDS, SCORES = 5, ("accuracy", "neg_log_loss")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The samples."""
    X, y = load_digits(return_X_y=True)
    return X / 16.0, y


def seconds(model: Any) -> float:
    """How long a fit takes."""
    X, y = digits()
    began = time.perf_counter()
    model.fit(X, y)
    return time.perf_counter() - began


def models(size: str, epochs: int) -> dict[str, Any]:
    """What is timed, by name."""
    hidden, batch = SIZES[size]
    options = {"hidden_layer_sizes": hidden, "batch_size": batch, "max_iter": epochs, "n_iter_no_change": math.inf, "random_state": 0}
    return {"one MLPClassifier": MLPClassifier(**options), **{f"{n} networks": gd.MultistartClassifier(n_starts=n, **options) for n in (16, 64)}}


def times(size: str, epochs: int, rounds: int) -> dict[str, list[float]]:
    """[round] seconds of each, by name."""
    found: dict[str, list[float]] = {name: [] for name in models(size, epochs)}
    for model in models(size, 1).values():
        seconds(model)
    for _ in range(rounds):
        for name, model in models(size, epochs).items():
            found[name].append(seconds(model))
    return found


def differences(repeats: int) -> dict[str, tuple[float, float, float]]:
    """(mean, low, high) of each score of 16 averaged networks less that of one MLPClassifier, in the same folds; 95%."""
    X, y = digits()
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=0)
    ours, theirs = (cross_validate(kind(random_state=0), X, y, cv=folds, scoring=SCORES) for kind in (gd.MultistartClassifier, MLPClassifier))
    found = {}
    for score in SCORES:
        d = ours[f"test_{score}"] - theirs[f"test_{score}"]
        spread = stats.t.ppf(0.975, len(d) - 1) * math.sqrt(d.var(ddof=1) * (1.0 / len(d) + 1.0 / (FOLDS - 1)))
        found[score] = float(d.mean()), float(d.mean() - spread), float(d.mean() + spread)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10, help="of the cross-validation; 0: none")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--first", metavar="SIZE", help="time one first fit in this process")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.first:
        print(json.dumps(seconds(models(options.first, 1)["16 networks"])))
        return
    found: dict[str, Any] = {}
    print("| network | one MLPClassifier | 16 networks | over it | 64 networks | 64 of it over them | first fit, compiled |\n|---|---|---|---|---|---|---|")
    for size in SIZES:
        one, some, many = times(size, options.epochs, options.rounds).values()
        few = statistics.median(b / a for a, b in zip(one, some, strict=True))
        gain = statistics.median(64 * a / b for a, b in zip(one, many, strict=True))
        with tempfile.TemporaryDirectory() as cache:
            first = json.loads(answer(__file__, "--first", size, GDSIM_CACHE_DIR=cache))
        found[size] = {"one": one, "16": some, "64": many, "16 over one": few, "64 of one over 64": gain, "first": first}
        middle = [f"{statistics.median(v):.3g} s" for v in (one, some, many)]
        print(f"| {size} | {middle[0]} | {middle[1]} | {few:.2f}x | {middle[2]} | {gain:.1f}x | {first:.0f} s |")
    if options.repeats:
        found["differences"] = differences(options.repeats)
        for score, (mean, low, high) in found["differences"].items():
            print(f"\n{score}, 16 averaged less one: {mean:+.4f} [{low:+.4f}, {high:+.4f}], 95%, {options.repeats} x {FOLDS} folds")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
