"""Bad input: one clear error that says what was given, what is allowed and what to do, before anything is
compiled or written.
"""

import numpy as np
import pytest

import gdsim as gd
from gdsim.lanes import compiler

XOR = gd.datasets.load("xor")


def problem(**options):
    return gd.MLP(XOR, **{"hidden": [2], **options})


def sweep(**options):
    return gd.Sweep(**{"problem": problem(), "optimizer": gd.SGD(), **options})


BAD = [
    (lambda: gd.Adam(lr=-0.1), r"Adam.lr must be a finite number in \[0, inf\); -0.1 was given"),
    (lambda: gd.Adam(lr=float("nan")), r"Adam.lr must be a finite number.*nan was given"),
    (lambda: gd.Adam(lr=float("inf")), r"Adam.lr must be a finite number.*inf was given"),
    (lambda: gd.Adam(lr=[]), r"Adam.lr is an empty list; give at least one number"),
    (lambda: gd.Adam(lr=[0.1, -1]), r"Adam.lr must be a finite number.*-1 was given"),
    (lambda: gd.Adam(lr="fast"), r"Adam.lr must be a number; 'fast' was given"),
    (lambda: gd.Adam(lr=True), r"Adam.lr must be a number; True was given"),
    (lambda: gd.Adam(beta1=1.0), r"Adam.beta1 must be a finite number in \[0, 1\); 1.0 was given"),
    (lambda: gd.Adam(lr={"logspac": [1, 2, 3]}), r"is not an axis; allowed: a number, a list of numbers, \{logspace"),
    (lambda: gd.SGD(convention="keras"), r"SGD: convention='keras' is not defined.*allowed: 'lecture', 'torch'"),
    (lambda: gd.logspace(0, 1, 5), r"logspace needs positive ends; 0.0 and 1.0 were given"),
    (lambda: gd.logspace(1, 2, 0), r"logspace: n must be a whole number from 1; 0 was given"),
    (lambda: gd.loguniform(2, 1, draws=3), r"loguniform needs 0 < low < high; 2.0 and 1.0 were given"),
    (gd.grid, r"gd.grid needs at least one alternative"),
    (lambda: gd.Power(-1.0), r"Power.exponent must be a finite number"),
    (lambda: gd.Cosine(cycle=0), r"Cosine.cycle must be a finite number in \[1"),
    (lambda: gd.Cosine(cycle=2.5), r"Cosine.cycle counts steps and must be a whole number; 2.5 was given"),
    (lambda: gd.Target(float("nan")), r"Target.loss must be a finite number"),
    (lambda: gd.Target(0.1, every=0), r"Target.every must be a whole number from 1; 0 was given"),
    (lambda: gd.Record(every="often"), r"Record.every must be None.*'often' was given"),
    (lambda: gd.Record(every=-1), r"Record.every must be a whole number from 1; -1 was given"),
    (lambda: gd.datasets.load("digit"), r"there is no data set 'digit'; did you mean 'digits'\?"),
    (lambda: gd.datasets.load("xor", validation=1.5), r"validation must be a share"),
    (lambda: gd.Data([[1.0, np.nan]], [0]), r"X must be finite; X\[0, 1\] is nan \(1 such numbers in all\)"),
    (lambda: gd.Data([[1.0]], [np.inf]), r"y must be finite; y\[0\] is inf"),
    (lambda: gd.Data([1.0, 2.0], [0, 1]), r"X must be \[sample, feature\].*shapes \(2,\) and \(2,\) were given"),
    (lambda: gd.Data([[1.0]], [0, 1]), r"X and y must have as many rows; X has 1, y has 2"),
    (lambda: gd.Data([["a"]], [0]), r"X and y must be arrays of numbers"),
    (lambda: gd.Data(np.zeros((0, 2)), []), r"data needs at least one sample"),
    (lambda: gd.Data([[1.0]], [0], validation=([[1.0, 2.0]], [0])), r"validation set must look like the training set"),
    (lambda: gd.MLP("digits"), r"MLP.data must be a gd.Data.*str was given"),
    (lambda: problem(activation="rellu"), r"MLP.activation='rellu' is not known; did you mean 'relu'\?"),
    (lambda: problem(loss="cross-entropy"), r"MLP.loss='cross-entropy' is not known; did you mean 'cross_entropy'\?"),
    (lambda: problem(hidden=32), r"MLP.hidden must be a list of whole numbers from 1.*32 was given"),
    (lambda: problem(hidden=[0]), r"MLP.hidden must be a list of whole numbers"),
    (lambda: problem(l2=-1), r"MLP.l2 must be a finite number"),
    (lambda: problem(output="tanh"), r"MLP.output goes with regression losses alone"),
    (lambda: gd.MLP(gd.Data([[1.0], [2.0]], [0.5, 1.0]), loss="cross_entropy"), r"'cross_entropy' needs integer labels.*of shape \(2,\)$"),
    (lambda: gd.MLP(gd.Data([[1.0], [2.0]], [2.0, 1.0]), loss="cross_entropy"), r"y is float64 of shape \(2,\), and all are whole: give y\.astype\(int\)$"),
    (lambda: gd.LogisticRegression(gd.Data([[1.0], [2.0]], [[2.0], [1.0]])), r"y is float64 of shape \(2, 1\), and all are whole: give y\.astype\(int\)$"),
    (
        lambda: gd.MLP(gd.Data([[1.0], [2.0], [3.0]], [0, 2, 1]), loss="log_loss"),
        r"'log_loss' needs labels of two classes; y has 3 \(0, 1, 2\): take 'cross_entropy'",
    ),
    (lambda: gd.MLP(gd.Data([[1.0], [2.0]], [5, 5]), loss="cross_entropy"), r"needs labels of two classes or more; all of y are 5"),
    (lambda: gd.MLP(gd.Data([[1.0], [2.0]], ["a", "b"]), loss="huber"), r"y are the classes 'a', 'b', and 'huber' is a loss of numbers"),
    (
        lambda: gd.MLP(gd.Data([[1.0], [2.0]], [1, 2]), loss=gd.grid("huber", "cross_entropy")),
        r"'huber', 'cross_entropy' take the labels 1, 2 as classes and as numbers",
    ),
    (lambda: sweep(optimizer=[]), r"optimizer is an empty list; give at least one of gd.SGD"),
    (lambda: sweep(optimizer="adam"), r"optimizer must be one of gd.SGD.*'adam' was given"),
    (lambda: sweep(problem=XOR), r"problem must be one of gd.MLP"),
    (lambda: sweep(batch=5), r"batch=5 is larger than the data, which has 4 samples; give at most 4, or None"),
    (lambda: sweep(batch=0), r"batch must be a whole number from 1; 0 was given"),
    (lambda: sweep(starts=0), r"starts must be a whole number from 1; 0 was given"),
    (lambda: sweep(steps=1.5), r"steps must be a whole number from 1; 1.5 was given"),
    (lambda: sweep(steps=10**12), r"steps must be a whole number from 1 to 2147483647; 1000000000000 was given"),
    (lambda: gd.Warmup(100), r"Warmup needs schedule and warmup$"),
    (lambda: sweep(seed=-1), r"seed must be a whole number from 0; -1 was given"),
    (lambda: sweep(shuffle="epochs"), r"shuffle='epochs' is not known; did you mean 'epoch'\?"),
    (lambda: sweep(dtype="float16"), r"dtype='float16' is not known"),
    (lambda: sweep(init="glorott"), r"init 'glorott' is not known; did you mean 'glorot'\?"),
    (lambda: sweep(init=np.zeros((1, 3))), r"init must be \[1, 12\]: a row per start, a column per parameter; shape \(1, 3\) was given"),
    (lambda: sweep(init=gd.Uniform(2, 1)), r"Uniform needs low < high"),
    (lambda: sweep(stop=["target"]), r"stop must be a list of stops such as gd.Target\(loss\); 'target' was given"),
    (lambda: sweep(stop=5), r"stop must be a list of stops"),
    (lambda: sweep(record=True), r"record must be a gd.Record"),
    (lambda: sweep().run(lanes=12), r"lanes must be a power of two from 1 to 64; 12 was given"),
    (lambda: sweep().run(threads=0), r"threads must be a whole number from 1; 0 was given"),
    (lambda: sweep(starts=4).run(runs=[3, 1, 3]), r"runs must be whole numbers from 0 to 3, .*, each once; 3 was given 2 times"),
    (lambda: sweep().run(runs=[7]), r"runs must be whole numbers from 0 to 0, .*; 7 was given"),
    (lambda: sweep().plan(chunk_seconds=0), r"chunk_seconds must be a positive number of at most 1e\+09; 0 was given"),
    (
        lambda: sweep(optimizer=gd.SGD(lr=[0.1, 0.1])).plan(),
        r"cells 0 and 1 are the same \(SGD.lr lists 0\.1 twice\): give every combination of hyperparameters once",
    ),
    (lambda: sweep(schedule=[gd.Cosine(cycle=9)] * 2).plan(), r"cells 0 and 1 are the same \(schedule 0 and 1 are both Cosine\(9\)\): give every"),
    (lambda: sweep(optimizer=gd.SGD(lr=gd.zip([0.1, 0.1]))).plan(), r"cells 0 and 1 are the same \(SGD #1: lr = 0\.1\): give every"),
    (lambda: sweep(optimizer=[gd.SGD(lr=0.3), gd.SGD(lr=[0.3, 0.2])]).plan(), r"cells 0 and 1 are the same \(SGD lr=0\.3 #1: lr = 0\.3\): give every"),
    (lambda: sweep(optimizer=gd.Momentum(lr=gd.logspace(1e-3, 1, 10**7), momentum=[0.1, 0.2])).plan(), r"the grid has 20,000,000 cells; at most 1,000,000"),
    (
        lambda: sweep(starts=2**32 - 1, steps=2**31 - 1).plan(),
        r"the plan has [\d,]+ chunks of at most 10 s and 16 MiB; at most 1,000,000 fit: raise chunk_seconds",
    ),
    (lambda: sweep(steps=2**31 - 1, record=gd.Record(every=1)), r"record.every=1 makes 2,147,483,649 checkpoints"),
    (lambda: sweep(starts=5).order(99), r"start must be a whole number from 0 to 4; 99 was given"),
    (lambda: sweep().order(-1), r"start must be a whole number from 0; -1 was given"),
    (lambda: gd.evaluate(problem(), np.zeros((2, 5))), r"parameters must be \[run, parameter\] with 12 numbers each; shape \(2, 5\) was given"),
    (lambda: gd.evaluate(problem(), np.zeros((2, 15))), r"parameters must be \[run, parameter\] with 12 numbers each; shape \(2, 15\) was given"),
    (lambda: sweep().plan(lanes=-8), r"lanes must be a power of two from 1 to 64; -8 was given"),
    (lambda: problem().unpack(np.zeros(3)), r"a parameter vector of this problem has 12 numbers; shape \(3,\) was given"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[m[:40] for _, m in BAD])
def test_an_error_says_what_was_given_and_what_is_allowed(call, message):
    before = len(compiler._kernels)
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(compiler._kernels) == before


@pytest.mark.parametrize("call", [lambda: gd.Adam(lrr=0.1), lambda: gd.Sweep(problem=problem()), lambda: gd.nonsense])
def test_names_that_are_none_are_pythons_own_errors(call):
    with pytest.raises((TypeError, AttributeError)):
        call()


def test_predictions_need_the_problems_features():
    with pytest.raises(ValueError, match=r"X must have the problem's 2 features; shape \(1, 3\) was given"):
        gd.predict(problem(), np.zeros((1, 12)), np.zeros((1, 3)))
