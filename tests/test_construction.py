"""How things are declared: by position, by name, wrongly; and that equal declarations are one."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray

import gdsim as gd
from gdsim.distribution import COMPUTE_TIMES
from gdsim.rules import RULES, WRAPPERS
from gdsim.schedules import SCHEDULES
from gdsim.stops import STOPS

XOR = gd.datasets.load("xor")
NUMBERS = (0.25, 0.5, 0.75, 0.125, 0.375)


def network(**options):
    return gd.MLP(XOR, **{"hidden": [2], **options})


def of(X, y=(0, 1, 1), **options):
    """A network on samples of one's own."""
    return gd.MLP(gd.Data(X, list(y), **options), hidden=[2])


def sweep(**options):
    return gd.Sweep(**{"problem": network(), "optimizer": gd.SGD(), **options})


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
def test_rules_take_their_hyperparameters_by_position_in_the_order_declared(rule):
    names = list(rule().hyperparameters())
    assert names[0] == "lr"
    given = [NUMBERS[i] if rule.ranges[n].low < 1 else 1.5 for i, n in enumerate(names)]
    assert list(rule(*given).hyperparameters().values()) == given
    with pytest.raises(TypeError, match=rf"{rule.__name__} takes at most {len(names)} by position \({', '.join(names)}\); {len(names) + 1} were given"):
        rule(*given, 0.5)
    shown = inspect.signature(rule).parameters
    assert {n: shown[n].default for n in names} == rule().hyperparameters()
    assert all(shown[n].kind is inspect.Parameter.KEYWORD_ONLY for n in shown if n not in names)


def test_wrappers_take_the_rule_first_and_problems_the_data_then_hidden():
    for wrapper, name in ((gd.ClipValue, "value"), (gd.ClipNorm, "norm"), (gd.WeightDecay, "weight_decay"), (gd.Averaged, "start"), (gd.SAM, "rho")):
        made = wrapper(gd.Adam(0.1), 0.5)
        assert made == wrapper(rule=gd.Adam(lr=0.1), **{name: 0.5})
    assert gd.MLP(XOR, [3]).hidden == (3,)
    assert gd.Momentum(0.1, 0.8) == gd.Momentum(lr=0.1, momentum=0.8)
    assert gd.OneCycle(10, 0.5) == gd.OneCycle(steps=10, rise=0.5)
    assert gd.Validation(5).patience == 5
    assert gd.Warmup(gd.Cosine(10), 5).warmup == 5


WRONG = [
    (lambda: gd.Adam(learning_rate=0.1), r"Adam has no 'learning_rate'; did you mean 'lr'\? allowed: 'lr', 'beta1', 'beta2', 'eps', 'convention', 'eps_mode'"),
    (lambda: gd.Adam(betas=(0.9, 0.99)), r"Adam has no 'betas'; write beta1= and beta2=; allowed"),
    (lambda: gd.RMSprop(alpha=0.9), r"RMSprop has no 'alpha'; did you mean 'decay'\?"),
    (lambda: sweep(lr=0.1), r"Sweep has no 'lr'; the optimizer has it, such as gd.Adam\(lr=0.01\)"),
    (lambda: gd.MultistartClassifier(learning_rate="adaptive"), r"has no 'learning_rate'; its size is learning_rate_init=, and how it changes schedule="),
    (lambda: gd.MultistartClassifier(beta_1=0.9), r"has no 'beta_1'; write optimizer=gd.Adam\(beta1=...\)"),
    (lambda: gd.open("results", fodler=1), r"open has no 'fodler'; allowed: 'path'"),
    (gd.open, r"open.path is missing; open needs path"),
    (lambda: gd.MultistartRegressor(nesterovs_momentum=True), r"write optimizer=gd.Nesterov\(0.1, 0.9\)"),
    (lambda: gd.SGD(lr=0.1, momentum=0.9), r"SGD has no 'momentum'; gd.Momentum\(lr, momentum\) and gd.Nesterov"),
    (lambda: gd.SGD(lr=0.1, weight_decay=0.1), r"SGD has no 'weight_decay'; gd.AdamW\(lr, weight_decay\) has it, and gd.WeightDecay\(rule, weight_decay\) is put around any rule"),
    (lambda: gd.Adam(0.1, lr=0.2), r"Adam.lr was given twice: 0.1 by position and 0.2 by name"),
    (lambda: gd.MLP(XOR, hiden=[3]), r"MLP has no 'hiden'; did you mean 'hidden'\? allowed: 'data', 'hidden'"),
    (lambda: gd.MLP(XOR, hidden_layer_sizes=[3]), r"MLP has no 'hidden_layer_sizes'; did you mean 'hidden'\?"),
    (lambda: gd.MLP(hidden=[3]), r"MLP.data is missing; MLP needs data, and may have hidden"),
    (lambda: gd.MLP(XOR, hidden=[[3], [4]]), r"MLP.hidden must be a list of whole numbers.*or several as gd.grid\(\[3\], \[4\]\)"),
    (lambda: gd.MLP(XOR, hidden=[3], activation=["relu", "tanh"]), r"to try each: gd.grid\('relu', 'tanh'\)"),
    (lambda: gd.MLP(XOR, loss=3), r"MLP.loss=3 is not known; allowed: 'squared_error'"),
    (lambda: gd.Sweep(optimizer=gd.SGD()), r"Sweep.problem is missing; Sweep needs problem and optimizer"),
    (lambda: sweep(n_starts=3), r"Sweep has no 'n_starts'; did you mean 'starts'\?"),
    (lambda: sweep(epochs=3), r"Sweep has no 'epochs'; an epoch is as many samples as the data has: samples=3 \* len\(X\) trains for 3; allowed: "),
    (lambda: gd.MLP(XOR, loss="mse"), r"MLP.loss='mse' is not known; did you mean 'mean_squared_error'\?"),
    (lambda: gd.MLP(XOR, loss="bce"), r"did you mean 'log_loss'\?"),
    (lambda: gd.MLP(XOR, loss="nll"), r"did you mean 'cross_entropy'\?"),
    (lambda: gd.MLP(XOR, loss="l1"), r"did you mean 'absolute_error'\?"),
    (lambda: gd.MLP(XOR, loss="l2"), r"did you mean 'mean_squared_error'\?"),
    (lambda: sweep(schedule="CosineAnnealingLR"), r"did you mean gd.CosineDecay\(\)\?"),
    (lambda: sweep(out="x"), r"Sweep has no 'out'; it is run\(out=...\) that takes it"),
    (lambda: gd.Sweep(network(), gd.SGD()), r"Sweep takes nothing by position; 2 were given"),
    (lambda: sweep(problem=gd.MLP), r"the class MLP was given, not an object of it: write gd.MLP\(...\)"),
    (lambda: sweep(problem=gd.functions.Booth), r"write gd.functions.Booth\(...\)"),
    (lambda: sweep(optimizer="adam"), r"'adam' was given; did you mean gd.Adam\(\)\?"),
    (lambda: sweep(schedule="cosine"), r"'cosine' was given; did you mean gd.Cosine\(\)\?"),
    (lambda: sweep(stop=gd.Target), r"the class Target was given, not an object of it: write gd.Target\(...\)"),
    (lambda: sweep(record=gd.Record), r"write gd.Record\(...\)"),
    (lambda: sweep(init=gd.Normal), r"init must be one of .*write gd.Normal\(...\)"),
    (lambda: sweep(init=[["a"]]), r"init as an array must hold numbers"),
    (lambda: gd.ClipNorm(gd.SGD, 1.0), r"ClipNorm is put around a rule such as gd.SGD\(lr=0.1\); the class SGD was given"),
    (lambda: gd.ClipNorm(gd.SGD()), r"ClipNorm.norm is missing; ClipNorm needs rule and norm"),
    (lambda: gd.Warmup(gd.Cosine, 3), r"Warmup is put before a schedule.*the class Cosine was given"),
    (lambda: sweep(batch=[2, 4]), r"batch takes one value, or several as gd.grid\(2, 4\), in a file {grid = \[2, 4\]}; \[2, 4\] was given"),
    (lambda: sweep(dtype=["float32", "float64"]), r"dtype takes one value, or several as gd.grid\('float32', 'float64'\)"),
    (lambda: gd.SGD([0.1, [0.2, 0.3]]), r"SGD.lr must be one number; \[0.2, 0.3\] was given"),
    (lambda: gd.SGD([0.1, gd.logspace(0.1, 1, 3)]), r"SGD.lr must be one number; logspace\(0.1, 1.0, 3\) was given"),
    (lambda: gd.SGD(np.ones((2, 2))), r"SGD.lr must be a number; ndarray of shape \(2, 2\) was given"),
    (lambda: gd.SGD(10**400), r"SGD.lr must be a finite number"),
    (lambda: sweep(optimizer=gd.SGD(1e40)), r"SGD.lr=1e\+40 is inf in float32; take a number between .* or dtype='float64'"),
    (lambda: sweep(optimizer=gd.ClipNorm(gd.SGD(), gd.logspace(1e-60, 1, 3))), r"ClipNorm.norm=1e-60 is 0 in float32"),
    (lambda: sweep(problem=network(l2=[0.0, 1e-60])), r"MLP.l2=1e-60 is 0 in float32"),
    (lambda: sweep(schedule=gd.Cosine(10, minimum=1e-50)), r"Cosine.minimum=1e-50 is 0 in float32"),
    (lambda: sweep(optimizer=gd.Adam(eps=1e40)), r"Adam.eps=1e\+40 is inf in float32"),
    (lambda: sweep(problem=of([[0.0], [1e39], [1e40]])), r"X\[1, 0\] is 1e\+39, beyond float32, which holds up to 3.4e\+38; 2 such numbers in all: scale it"),
    (lambda: sweep(problem=of([[0.0], [1.0], [2.0]], [0.0, -1e39, 0.5])), r"y\[1\] is -1e\+39, beyond float32.*: scale the targets, or train with dtype='float64'"),
    (lambda: sweep(problem=of([[0.0], [1.0], [2.0]], validation=([[1e39]], [0]))), r"X_validation\[0, 0\] is 1e\+39, beyond float32"),
    (lambda: sweep(problem=of(pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [0.0, 1.0, 1e39]}))), r"X\[2, 1\], of column 'b', is 1e\+39, beyond float32"),
    (lambda: gd.predict(gd.MLP(XOR, hidden=[2]), np.zeros(12, np.float32), [[1e39, 0.0]]), r"X\[0, 0\] is 1e\+39, beyond float32.*predict with dtype='float64'"),
    (lambda: sweep(init=1e39), r"init reaches 1e\+39, beyond float32"),
    (lambda: sweep(init=gd.Normal(1e38)), r"init reaches 9e\+38, beyond float32"),
    (lambda: sweep(init=gd.Uniform(-1e39, 0)), r"init reaches 1e\+39, beyond float32"),
    (lambda: sweep(problem=gd.Quadratic([[1e39]]), dtype="float32"), r"the constants of Quadratic\[0\] is 1e\+39, beyond float32"),
    (lambda: gd.zip([1, 2], [3]), r"gd.zip takes the numbers of one field, as in .*; \[1, 2\], \[3\] was given"),
    (lambda: gd.Quadratic([[1], [1, 2]]), r"rows of Quadratic.matrix must be of one length; Quadratic.matrix\[0\] has 1 number, and Quadratic.matrix\[1\] has 2 numbers"),
    (lambda: gd.Quadratic([[1]], [[1], [1, 2]]), r"rows of Quadratic.centers must be of one length"),
    (lambda: sweep(init=[[1], [1, 2]]), r"rows of init must be of one length"),
    (lambda: network().pack([([[1, 2], [1]], [0, 0])] * 2), r"rows of W of layer 0 must be of one length"),
    (lambda: network().unpack(xarray.Dataset()), r"a Dataset was given; .* as result.parameters.sel\(run=0\), which gd.Record\(parameters=True\) keeps"),
    (lambda: sweep(drop_last=1), r"drop_last must be true or false; 1 was given"),
    (lambda: gd.ClipNorm(gd.SGD(), 1.0, convention="torch"), r"ClipNorm has no convention of its own; 'torch' was given: give it to SGD"),
    (lambda: gd.Expression("x**2+log(-1)*0"), r"this has no real value, in 'log\(-1\)'"),
    (lambda: gd.Expression("max(log(-1), x)"), r"this has no real value, in 'log\(-1\)'"),
    (lambda: gd.Diverged(1e6), r"Diverged takes nothing by position; 1 were given"),
    (lambda: gd.Quadratic([[1.0, 0.5], [0.4, 1.0]]), r"\[0, 1\] is 0.5 and \[1, 0\] is 0.4, apart by 0.1 of the largest element"),
    (lambda: gd.Quadratic([[1.0, 0.5]]), r"Quadratic.matrix must be square.*shape \(1, 2\)"),
    (lambda: gd.Adma, r"gdsim has no 'Adma'; did you mean 'Adam'\?"),
    (lambda: gd.adam, r"gdsim has no 'adam'; did you mean 'Adam'\?"),
    (lambda: gd.sgd, r"gdsim has no 'sgd'; did you mean 'SGD'\?"),
    (lambda: gd.CosineAnnealingLR, r"did you mean 'CosineDecay'\?"),
    (lambda: gd.CosineAnnealingWarmRestarts, r"did you mean 'SGDR'\?"),
    (lambda: gd.StepLR, r"did you mean 'Step'\?"),
    (lambda: gd.ExponentialLR, r"did you mean 'Exponential'\?"),
    (lambda: gd.OneCycleLR, r"did you mean 'OneCycle'\?"),
    (lambda: gd.CyclicLR, r"did you mean 'Triangular'\?"),
    (lambda: gd.ReduceLROnPlateau, r"gdsim has no 'ReduceLROnPlateau': no schedule looks at losses; gd.Plateau ends a run"),
    (lambda: gd.LBFGS, r"gdsim has no 'LBFGS': there is no L-BFGS"),
    (lambda: gd.CrossEntropyLoss, r"gdsim has no 'CrossEntropyLoss': it is a name, as in gd.MLP\(data, loss=\"cross_entropy\"\)"),
    (lambda: network().pack([]), r"MLP has 2 layers, a list of pairs \(W, b\); 0 were given"),
    (lambda: network().pack(3), r"MLP has 2 layers, a list of pairs \(W, b\); 3 was given"),
    (lambda: network().pack([np.ones((2, 2)), np.ones((2, 2))]), r"layer 0 must be a pair \(W, b\); ndarray of shape \(2, 2\) was given"),
    (lambda: network().pack([(np.ones((2, 3)), [0, 0])] * 2), r"W of layer 0 must be of shape \(2, 2\); shape \(2, 3\) was given"),
    (lambda: network().pack([([["a", "b"]], [0, 0])] * 2), r"W of layer 0 must be an array of numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[m[:40] for _, m in WRONG])
def test_a_call_that_does_not_fit_is_refused_in_one_line(call, message):
    with pytest.raises((TypeError, ValueError, AttributeError), match=message) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "msgspec" not in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_every_declaration_refuses_an_unknown_word_and_names_itself():
    functions = [getattr(gd.functions, n) for n in gd.functions.__all__ if isinstance(getattr(gd.functions, n), type) and n not in ("Function", "Minimum")]
    starts = [gd.Normal, gd.Uniform, gd.LatinHypercube, gd.Sobol]
    problems = [gd.MLP, gd.LinearRegression, gd.LogisticRegression, gd.Quadratic, gd.TeacherStudent, gd.Expression, gd.Own]
    for kind in (*RULES, *WRAPPERS, *SCHEDULES, *STOPS, *starts, *problems, *functions, gd.Record, gd.Sweep, *COMPUTE_TIMES, gd.SimulatedCluster):
        with pytest.raises(TypeError, match=rf"^{kind.__name__} has no 'zzzz'; (allowed: |it takes nothing)"):
            kind(zzzz=1)


def test_a_grid_of_one_list_is_a_grid_where_no_list_is_a_value():
    assert sweep(batch=gd.grid([2, 4])) == sweep(batch=gd.grid(2, 4))
    assert sweep(batch=gd.grid(np.array([2, 4]))) == sweep(batch=gd.grid(2, 4))
    assert sweep(dtype=gd.grid(["float32", "float64"])) == sweep(dtype=gd.grid("float32", "float64"))
    assert network(loss=gd.grid(["log_loss", "cross_entropy"])) == network(loss=gd.grid("log_loss", "cross_entropy"))
    assert len(gd.MLP(XOR, hidden=gd.grid([2, 3])).variants()) == 1


def test_axes_are_taken_from_tensors_and_series_as_from_arrays(torch):
    expected = gd.Momentum([0.25, 0.5], 0.75)
    for kind in (lambda v: torch.tensor(v, requires_grad=True), pd.Series, np.array):
        assert gd.Momentum(kind([0.25, 0.5]), momentum=kind([0.75])[0]) == expected
    assert gd.SGD(gd.zip(torch.tensor([0.25, 0.5]))) == gd.SGD(gd.zip(0.25, 0.5))
    assert gd.choice([torch.tensor(0.25)], draws=2) == gd.choice([0.25], draws=2)
    assert gd.grid(torch.tensor([2, 4])) == gd.grid([2, 4])
    with pytest.raises(TypeError, match=r"SGD.lr must be a number; Tensor of shape \(2, 2\) was given"):
        gd.SGD(torch.ones(2, 2))


def test_rows_of_init_are_starts():
    points = np.arange(20.0).reshape(10, 2)
    made = gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), init=points)
    assert made.starts == made.plan().runs == 10
    assert gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(), init=points, starts=3).starts == 3
    digest = made.init.digest
    points[:] = 0.0  # the caller's array is the caller's
    assert made.init.values[9, 1] == 19.0
    assert made.init.digest == digest


SAME = {
    "rule": lambda: gd.ClipNorm(gd.Adam(lr=gd.logspace(1e-3, 0.1, 3)), [0.5, 1]),
    "quadratic": lambda: gd.Quadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, 2.0]),
    "init": lambda: gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(0.1), init=np.ones((3, 2))),
    "stops": lambda: gd.Sweep(problem=gd.functions.Rosenbrock(3), optimizer=[gd.SGD(0.1), gd.Adam()], stop=[gd.Target(0.1)], record=gd.Record(every=5)),
    "schedule": lambda: gd.Sweep(problem=gd.Expression("x**2"), optimizer=gd.SGD(), schedule=gd.Warmup(gd.MultiStep([3, 5]), 4), dtype=gd.grid("float32", "float64")),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_equal_declarations_are_equal_hash_alike_and_travel(name):
    one, other = SAME[name](), SAME[name]()
    assert one == other
    assert hash(one) == hash(other)
    for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert copied == one
        assert hash(copied) == hash(one)


def test_a_matrix_as_people_make_it_is_symmetric():
    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32):
        R = np.linalg.qr(rng.normal(size=(60, 60)))[0].astype(dtype)
        A = R.T @ np.diag(np.geomspace(1e-3, 1e3, 60)).astype(dtype) @ R
        assert (A != A.T).any()
        kept = gd.Quadratic(A).matrix.values
        assert np.allclose(kept, kept.T, rtol=1e-12, atol=0)
        assert abs(kept - A).max() <= 1e-5 * abs(A).max()
    exact = np.array([[2.0, 0.1], [0.1, 1.0]])
    assert (gd.Quadratic(exact).matrix.values == exact).all()


def test_pack_inverts_unpack():
    for problem in (network(hidden=[3, 2]), gd.LogisticRegression(XOR), gd.LinearRegression(gd.Data([[0.0, 1.0]], [[1.0, 2.0]]), intercept=False)):
        vector = np.random.default_rng(0).normal(size=problem.parameter_count)
        for dtype in (np.float64, np.float32):
            packed = problem.pack(problem.unpack(vector.astype(dtype)))
            assert packed.dtype == (dtype if problem.intercept else packed.dtype)
            assert (packed == vector.astype(dtype)).all()
    assert problem.pack([([[1, 2], [3, 4]], None)]).tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"has no intercept; b of layer 0 must be None or 0"):
        problem.pack([([[1, 2], [3, 4]], [1, 0])])


def test_everything_but_builtins_names_is_imported_by_a_star():
    names = {}
    exec("from gdsim import *", names)
    assert not {"open", "zip"} & names.keys()
    assert set(gd.__all__) == set(dir(gd)) - {"open", "zip", "__version__"}
    assert all(names[n] is getattr(gd, n) for n in gd.__all__)


def test_an_eps_that_float32_takes_for_0_is_none():
    assert sweep(optimizer=gd.Adam(eps=1e-60)).optimizer[0].eps == 1e-60


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: gd.analysis.bands([], quantile=[0.5]),
            r"bands has no 'quantile'; did you mean 'quantiles'\? allowed: 'result', 'variable', 'quantiles', 'confidence'",
        ),
        (lambda: gd.plots.ecdf([], [1.0], "steps"), r"ecdf takes at most 2 by position \(result, targets\); 3 were given; by name it takes unit, ax"),
        (gd.search.hyperband, r"hyperband.sweep is missing; hyperband needs sweep, and may have eta, smallest"),
        (lambda: gd.table([], colums="all"), r"table has no 'colums'; did you mean 'columns'\?"),
        (lambda: gd.logspace(1, 2, n=3, base=2), r"logspace has no 'base'; allowed: 'first', 'last', 'n'"),
        (lambda: gd.datasets.load("xor", valid=0.5), r"load has no 'valid'; did you mean 'validation'\?"),
        (lambda: sweep().run(stepz=3), r"run has no 'stepz'; .*'threads'"),
        (lambda: sweep().run("results"), r"run takes nothing by position; 1 were given; by name it takes out, runs"),
        (gd.lr_range_test, r"lr_range_test.problem is missing; lr_range_test needs problem and optimizer"),
        (gd.grid_of, r"grid_of.result is missing"),
    ],
)
def test_calls_of_functions_and_methods_that_do_not_fit_are_refused_in_words(call, message):
    with pytest.raises(TypeError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_public_functions_travel_and_are_one_object_each():
    for function in (gd.table, gd.analysis.bands, gd.plots.race, gd.search.asha, gd.datasets.load):
        assert pickle.loads(pickle.dumps(function)) is function
    assert gd.table is vars(gd)["__getattr__"]("table")
    assert gd.evaluate.__doc__ == gd.evaluate.__wrapped__.__doc__


RAGGED, DEEP = [[1], [2, 3]], np.zeros((2, 2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gd.analysis.sentences([]), r"sentences takes the Dataset that gd.analysis.compare_tuned gives; \[\] was given"),
        (lambda: gd.analysis.wilson(RAGGED, 3), r"successes must be numbers; \[\[1\], \[2, 3\]\] was given"),
        (lambda: gd.analysis.wilson(3, DEEP), r"successes must be from 0 to n; 3 of ndarray of shape \(2, 2, 2\) were given"),
        (lambda: gd.analysis.holm(DEEP), r"p-values are a list of numbers from 0 to 1; ndarray of shape \(2, 2, 2\) was given"),
        (lambda: gd.analysis.mcnemar("many", 1), r"first_only must be numbers; 'many' was given"),
        (lambda: gd.analysis.bootstrap([1.0, 2.0], confidence=1.5), r"confidence must be a finite number in \(0, 1\); 1.5 was given"),
        (lambda: gd.analysis.bootstrap([1.0, 2.0], resamples=-1), r"resamples must be a whole number from 1"),
        (lambda: gd.analysis.bootstrap([1.0, 2.0], seed="s"), r"seed must be a whole number"),
        (lambda: gd.analysis.expected_best([1.0, 2.0], 1.5), r"n whole numbers from 1; \[1.0, 2.0\] and n=1.5 were given"),
        (lambda: gd.analysis.expected_best([1.0, 2.0], "two"), r"n must be numbers; 'two' was given"),
        (lambda: gd.datasets.load("xor", validation=float("inf")), r"validation must be a share that leaves samples on both sides; inf of 4"),
        (lambda: gd.Data([[0.0]], [1], validation=DEEP), r"a share between 0 and 1; ndarray of shape \(2, 2, 2\) was given"),
        (lambda: gd.Data([[0.0]], [1], class_names=DEEP), r"different texts or whole numbers; ndarray of shape \(2, 2, 2\) was given"),
    ],
)
def test_numbers_and_tables_that_cannot_be_are_one_line(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def declarations():
    """Every public class that is declared by its fields, with what it needs."""
    needed = {
        "data": XOR, "rule": gd.SGD(), "schedule": gd.Constant(), "hidden": [2], "matrix": np.eye(2), "function": lambda x: x[0] ** 2, "dim": 1,
        "text": "x**2", "loss": 0.1, "problem": gd.functions.Booth(), "optimizer": gd.SGD(),
    }  # fmt: skip
    for room in (gd, gd.functions):
        for cls in (getattr(room, name) for name in dir(room)):
            if inspect.isclass(cls) and getattr(cls, "__struct_fields__", ()):
                parameters = inspect.signature(cls).parameters.values()
                names = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
                yield pytest.param(cls, {name: needed.get(name, 1) for name in names}, id=cls.__name__)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("cls", "needs"), declarations())
def test_whatever_stands_in_a_field_is_taken_or_refused_in_one_line(cls, needs):
    for name in cls.__struct_fields__:
        for value in (np.arange(60.0).reshape(3, 4, 5), [np.zeros((20, 20))], {"a": 1}, "two\nlines" * 100):
            try:
                cls(**{**needs, name: value})
            except (TypeError, ValueError, AttributeError) as error:
                assert "\n" not in str(error), name  # noqa: PT017  # what is taken is right too
                assert len(str(error)) < 700, name  # noqa: PT017


def test_a_misspelt_parameter_of_an_estimator_is_answered_like_a_fields():
    with pytest.raises(TypeError, match="MultistartClassifier has no 'n_start'; did you mean 'n_starts'\\?"):
        gd.MultistartClassifier(n_start=3)
