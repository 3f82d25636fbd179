"""How long gd.MultistartClassifier takes beside scikit-learn's MLPClassifier, and how much better it and
gd.MultistartRegressor score.

    python experiments/benchmarks/estimators.py [--rounds 5] [--epochs 30] [--repeats 10] [--data digits,wine] [--sizes 0,1] [--json FILE]

Times: digits, scaled to [0, 1], as many epochs for both (n_iter_no_change=inf): scikit-learn's defaults,
(100,) in batches of 200, and (32,) in batches of 32. Each round times one MLPClassifier, 16 networks and 64,
one after the other in one process, kernels compiled; ratios are medians over rounds. The first fit is of a
process with an empty cache of kernels.

Scores: repeated 5-fold cross-validation, stratified by classes, both in the same folds behind the same
StandardScaler (and one of the targets of a regression), at these two sizes, all else at its default. Beside
four known sets there are three on which single networks vary: two regressions and labels of which a fifth
were drawn anew. The interval of the mean difference is of Nadeau and Bengio's corrected resampled t (2003):
as folds share samples, the variance of n differences is taken 1/n + test/train times, not 1/n times.
"""

import argparse
import json
import math
import pathlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from processes import answer
from scipy import stats
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_classification, make_friedman1, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold, cross_validate
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gdsim as gd

SIZES = {"(100,), batch 200": ((100,), 200), "(32,), batch 32": ((32,), 32)}
FOLDS = 5
DATA: dict[str, Callable[[], Any]] = {
    "digits": lambda: load_digits(return_X_y=True),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "moons": lambda: make_moons(500, noise=0.3, random_state=0),
    "noisy labels": lambda: make_classification(500, n_features=20, n_informative=5, flip_y=0.2, random_state=0),
    "diabetes": lambda: load_diabetes(return_X_y=True),
    "friedman1": lambda: make_friedman1(500, noise=1.0, random_state=0),
}


class Task(NamedTuple):
    """What is compared of a kind of targets, how samples are split, and by which scores of scikit-learn."""

    kinds: tuple[Any, Any]
    folds: Any
    scores: dict[str, str]


OF_CLASSES = Task((MLPClassifier, gd.MultistartClassifier), RepeatedStratifiedKFold, {"accuracy": "accuracy", "log loss": "neg_log_loss"})
OF_NUMBERS = Task((MLPRegressor, gd.MultistartRegressor), RepeatedKFold, {"root mean square": "neg_root_mean_squared_error"})


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The samples."""
    found: Any = load_digits()
    return found.data / 16.0, found.target


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


def show_times(rounds: int, epochs: int) -> dict[str, Any]:
    """The table of times, printed row by row; the seconds of each round by size."""
    found = {}
    print("| network | one MLPClassifier | 16 networks | over it | 64 networks | 64 of it over them | first fit, compiled |\n|---|---|---|---|---|---|---|")
    for size in SIZES:
        one, some, many = times(size, epochs, rounds).values()
        few = statistics.median(b / a for a, b in zip(one, some, strict=True))
        gain = statistics.median(64 * a / b for a, b in zip(one, many, strict=True))
        with tempfile.TemporaryDirectory() as cache:
            first = json.loads(answer(__file__, "--first", size, environment={"GDSIM_CACHE_DIR": cache}))
        found[size] = {"one": one, "16": some, "64": many, "16 over one": few, "64 of one over 64": gain, "first": first}
        middle = [f"{statistics.median(v):.3g} s" for v in (one, some, many)]
        print(f"| {size} | {middle[0]} | {middle[1]} | {few:.2f}x | {middle[2]} | {gain:.1f}x | {first:.0f} s |")
    return found


class Compared(NamedTuple):
    """One score of both in the same folds."""

    one: float
    averaged: float
    difference: float
    low: float
    high: float


def compared(name: str, size: str, repeats: int) -> dict[str, Compared]:
    """Each score of one network of scikit-learn and of 16 averaged networks in the same folds, their mean
    difference and its 95% interval.
    """
    X, y = DATA[name]()
    task = OF_NUMBERS if name in ("diabetes", "friedman1") else OF_CLASSES
    folds = task.folds(n_splits=FOLDS, n_repeats=repeats, random_state=0)
    hidden, batch = SIZES[size]
    options = {"hidden_layer_sizes": hidden, "batch_size": batch if batch < len(X) // 2 else "auto", "random_state": 0}
    made = (make_pipeline(StandardScaler(), kind(**options)) for kind in task.kinds)
    models = (TransformedTargetRegressor(model, transformer=StandardScaler()) if task is OF_NUMBERS else model for model in made)
    one, averaged = (cross_validate(model, X, y, cv=folds, scoring=list(task.scores.values())) for model in models)
    signs = {key: -1 if key.startswith("neg_") else 1 for key in task.scores.values()}
    return {score: difference(signs[key] * one[f"test_{key}"], signs[key] * averaged[f"test_{key}"]) for score, key in task.scores.items()}


def difference(one: np.ndarray, averaged: np.ndarray) -> Compared:
    """What two scores [fold] differ by."""
    d = averaged - one
    spread = stats.t.ppf(0.975, len(d) - 1) * math.sqrt(d.var(ddof=1) * (1.0 / len(d) + 1.0 / (FOLDS - 1)))
    return Compared(*map(float, (one.mean(), averaged.mean(), d.mean(), d.mean() - spread, d.mean() + spread)))


def show_scores(names: list[str], sizes: list[str], repeats: int) -> dict[str, dict[str, Compared]]:
    """The table of all data sets at these sizes, printed row by row; the scores by what they are of."""
    found = {}
    print(f"\n| {repeats} x {FOLDS} folds | score | one network | 16 averaged | difference | 95% |\n|---|---|---|---|---|---|")
    for size in sizes:
        for name in names:
            of = found[f"{name}, {size}"] = compared(name, size, repeats)
            for score, c in of.items():
                print(f"| {name}, {size} | {score} | {c.one:.4f} | {c.averaged:.4f} | {c.difference:+.4f} | [{c.low:+.4f}, {c.high:+.4f}] |", flush=True)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="of the times; 0: none")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=10, help="of the cross-validation; 0: none")
    parser.add_argument("--data", default=",".join(DATA), help="what is cross-validated")
    parser.add_argument("--sizes", default="0,1", help="at which they are cross-validated: 0 is scikit-learn's default, 1 the smaller one")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--first", metavar="SIZE", help="time one first fit in this process")
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.first:
        print(json.dumps(seconds(models(options.first, 1)["16 networks"])))
        return
    found: dict[str, Any] = show_times(options.rounds, options.epochs) if options.rounds else {}
    if options.repeats:
        found["scores"] = show_scores(options.data.split(","), [list(SIZES)[int(k)] for k in options.sizes.split(",")], options.repeats)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
