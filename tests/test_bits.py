"""One run is one run: the same bits alone or among many, at any width, on any number of threads, for any
processor.
"""

import hashlib
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gdsim as gd
from gdsim.sweep.known_bits import ANSWERS
from tests.helpers import same_results

RULES = {
    "adam": gd.Adam(lr=[0.001, 0.01]),
    "nesterov": gd.Nesterov(lr=[0.01, 0.1], momentum=0.9),
    "momentum": gd.Momentum(lr=[0.01, 50.0]),
}
# Run by processors of three kinds: trains, and prints a hash of everything that it got.
PROGRAM = """
import hashlib
import numpy as np
import gdsim as gd
from gdsim import lanes
data = gd.datasets.load("wine", validation=0.3)
text = hashlib.sha256()
for activation, loss in (("tanh", "cross_entropy"), ("sigmoid", "squared_error")):
    problem = gd.MLP(data, hidden=[5], activation=activation, loss=loss)
    sweep = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=gd.logspace(1e-3, 1e-1, 3)), schedule=gd.Cosine(cycle=7), init="he",
                     starts=3, steps=40, batch=16, record=gd.Record(every=10, trajectory=True))
    result = sweep.run()
    for name in ("loss", "gradient_norm", "trajectory", "validation_loss"):
        text.update(result[name].values.tobytes() if name in result else b"")
X = np.random.default_rng(1).normal(size=(50, 3))
linear = gd.LinearRegression(gd.Data(X, X[:, 0] - 2 * X[:, 1] + 1))
for problem, batch in ((gd.functions.Rosenbrock(), None), (linear, None), (linear, 10)):
    result = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=[0.01, 0.1]), init=gd.Normal(1.0), starts=5, steps=50, batch=batch, dtype="float32").run()
    text.update(result.loss.values.tobytes())
for x in np.random.default_rng(0).normal(size=50) * 3:
    for f in (lanes.exp, lanes.tanh, lanes.sin, lanes.erf, lanes.softplus):
        text.update(np.float64(f(float(x))).tobytes() + np.float32(f(np.float32(x))).tobytes())
    text.update(np.float64(lanes.pow(abs(float(x)), 1.7)).tobytes() + np.float64(lanes.atan2(float(x), 0.3)).tobytes())
print(text.hexdigest())
"""
KNOWN = """
from gdsim.sweep.known_bits import answer, cases
print(answer(cases()["whole data"]))
"""
INSTRUCTIONS = """
from gdsim.lanes import compiler
assembly = "".join(a for k in compiler._kernels.values() for a in k.inspect_asm().values())
print("zmm" in assembly, "ymm" in assembly, "vfmadd" in assembly)
"""


def sweep_of(rule, starts, **options):
    problem = gd.MLP(gd.datasets.load("digits", validation=0.2), hidden=[7], activation="tanh")
    return gd.Sweep(problem=problem, optimizer=rule, starts=starts, steps=30, batch=20, record=gd.Record(every=5, trajectory=True), **options)


@pytest.fixture(scope="module")
def thousand():
    return sweep_of(RULES["adam"], 500).run()


SMALL_PROBLEMS = {
    "function": gd.functions.Rosenbrock,
    "function of many": lambda: gd.functions.Rastrigin(dim=30),
    "expression on data": lambda: gd.Expression("(a*x + b - y)**2", data=gd.Data(np.arange(20)[:, None] / 20, np.arange(20) % 3)),
    "quadratic": lambda: gd.Quadratic([[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 2.0]]),
    "linear regression": lambda: gd.LinearRegression(gd.datasets.load("diabetes"), l2=0.1),
}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks={"function": (), "function of many": pytest.mark.slow, "quadratic": pytest.mark.slow}.get(n, pytest.mark.full))
        for n in SMALL_PROBLEMS
    ],
)
def test_small_problems_have_the_same_bits_at_any_width(name, dtype, tier):
    """Runs that converge, that diverge before or after an update, and that go on to the end share a pack."""
    sweep = gd.Sweep(problem=SMALL_PROBLEMS[name](), optimizer=[gd.Momentum(lr=[1e-4, 1e-2, 10.0]), gd.Adam(lr=[0.05, 1e6])], init=gd.Normal(2.0), starts=15,
                     steps=120, dtype=dtype, stop=[gd.Plateau(patience=20, every=1)], record=gd.Record(every=30, trajectory=True))  # fmt: skip
    results = [sweep.run(lanes=lanes) for lanes in ((1, 4, 16, 64) if tier else (1, 16))]
    assert {"diverged", "budget"} <= set(results[0].status.values.tolist())
    for other in results[1:]:
        assert same_results(results[0], other) == []


@pytest.mark.parametrize("starts", [1, 5, 25])
def test_a_run_is_the_same_in_every_population(thousand, starts):
    assert same_results(sweep_of(RULES["adam"], starts).run(), thousand) == []


@pytest.mark.parametrize("run", [0, 7, 999])
def test_a_run_is_the_same_alone(thousand, run):
    assert same_results(sweep_of(RULES["adam"], 500).run(runs=[run]), thousand) == []


def test_a_run_is_the_same_in_a_grid_with_more_cells(thousand):
    more = sweep_of([gd.SGD(lr=0.1), gd.Adam(lr=[0.001, 0.01, 0.1])], 3).run()
    few = thousand.isel(run=slice(0, 6))
    for lr in (0.001, 0.01):
        a = few.isel(run=few.lr.values == lr)
        b = more.isel(run=(more.optimizer.values == "Adam") & (more.lr.values == lr))
        assert a.sizes["run"] == b.sizes["run"] == 3
        assert (a.trajectory.values == b.trajectory.values).all()


@pytest.mark.full
@pytest.mark.parametrize("rule", [pytest.param(n, marks=() if n == "adam" else pytest.mark.slow) for n in RULES])
def test_a_run_is_the_same_at_every_lane_width(rule):
    results = {lanes: sweep_of(RULES[rule], 5).run(lanes=lanes) for lanes in (16, 8, 32)}
    assert same_results(results[16], results[8]) == []
    assert same_results(results[16], results[32]) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lanes", [1, 2, 4, 64])
def test_a_run_is_the_same_at_unusual_widths(lanes, dtype):
    assert same_results(sweep_of(RULES["adam"], 3, dtype=dtype).run(lanes=lanes), sweep_of(RULES["adam"], 3, dtype=dtype).run()) == []


def test_a_run_is_the_same_on_any_number_of_threads_and_in_any_chunks(thousand):
    first = sweep_of(RULES["adam"], 40)
    for options in ({"threads": 1}, {"threads": 2}, {"threads": 3, "chunk_seconds": 1e-4}):
        assert same_results(first.run(**options), thousand) == []


@pytest.mark.full
def test_a_run_is_the_same_whatever_mode_the_process_is_in(torch):
    """With denormals flushed to zero in this process, a run that makes them keeps them."""
    problem = gd.MLP(gd.Data([[1.0]], [0.0]), hidden=[], loss="squared_error")
    sweep = gd.Sweep(problem=problem, optimizer=gd.SGD(lr=0.2), steps=30, starts=4, init=gd.Normal(1e-37), record=gd.Record(trajectory=True))
    kept = sweep.run(threads=1)
    tiny = abs(kept.trajectory.values[kept.trajectory.values != 0])
    assert (tiny < np.finfo(np.float32).tiny).any()
    small = gd.lanes.exp(-100.0 * 7.2)
    assert torch.set_flush_denormal(True)
    try:
        from gdsim.population import train_batch
        from gdsim.sweep.experiment.cells import cells_of

        plan = sweep.plan()
        pack = train_batch(sweep.setting(cells_of(sweep)[0]), plan.batch_of(plan.chunks[0]), 16)
        assert pack.columns["trajectory"].tobytes() == kept.trajectory.values.tobytes()
        assert gd.lanes.exp(-100.0 * 7.2).hex() == small.hex()
    finally:
        torch.set_flush_denormal(False)


SHAPES = st.fixed_dictionaries(
    {
        "hidden": st.lists(st.integers(1, 9), max_size=3),
        "batch": st.sampled_from([None, 1, 2, 3, 5, 16, 64, 65, 100, 129]),
        "shuffle": st.sampled_from(["epoch", "once"]),
        "drop_last": st.booleans(),
        "starts": st.integers(1, 20),
        "steps": st.integers(1, 12),
        "seed": st.integers(0, 2**64 - 1),
        "every": st.sampled_from([None, 1, "log", "ends"]),
    }
)


@pytest.mark.full
@settings(max_examples=25, deadline=None, derandomize=True)
@given(SHAPES, st.randoms(use_true_random=False))
def test_any_run_of_any_sweep_is_the_same_alone(shape, random):
    """Whatever the sizes, which share compiled code: a run chosen by number, at another width, has the bits
    that it has in its population.
    """
    problem = gd.MLP(gd.datasets.load("spirals", validation=0.3), hidden=shape["hidden"], activation="tanh")
    options = {n: shape[n] for n in ("batch", "shuffle", "drop_last", "starts", "steps", "seed")}
    record = gd.Record(every=shape["every"], parameters=True)
    sweep = gd.Sweep(problem=problem, optimizer=gd.Adam(lr=[0.01, 1.0, 1e20]), schedule=gd.Cosine(5), record=record, **options)
    whole = sweep.run()
    chosen = random.sample(range(3 * shape["starts"]), k=min(2, 3 * shape["starts"]))
    assert same_results(sweep.run(runs=chosen, lanes=8), whole) == []
    assert (whole.steps_taken.values <= shape["steps"]).all()
    assert set(whole.status.values.tolist()) <= {"budget", "diverged"}
    samples = sweep.order(0)
    assert samples.shape == (shape["steps"], shape["batch"] or len(problem.data.X))
    assert samples.max() < len(problem.data.X)


PROCESSORS = {"haswell": {"zmm": False, "ymm": True, "fma": True}, "nehalem": {"zmm": False, "ymm": False, "fma": False}}
foreign = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors that Numba is told to compile for here are x86-64")


def printed(program, folder, processor=None):
    """(what a program prints where Numba compiles for a processor, which instructions its kernels have); None
    is this machine's.
    """
    environment = {**os.environ, "GDSIM_CACHE_DIR": str(folder)}
    if processor is not None:
        environment |= {"NUMBA_CPU_NAME": processor, "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run([sys.executable, "-c", program + INSTRUCTIONS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text, *has = done.stdout.split()
    return text, dict(zip(("zmm", "ymm", "fma"), (h == "True" for h in has), strict=True))


@foreign
@pytest.mark.slow
@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_run_is_the_same_compiled_for_another_processor(tmp_path, processor):
    native, _ = printed(PROGRAM, tmp_path)
    other, has = printed(PROGRAM, tmp_path, processor)
    assert has == PROCESSORS[processor]
    assert native == other
    assert len(native) == len(hashlib.sha256(b"").hexdigest())


@pytest.mark.full
@foreign
def test_the_known_bits_are_those_of_a_processor_without_fused_multiply_add_too(tmp_path):
    assert printed(KNOWN, tmp_path, "nehalem") == (ANSWERS["whole data"][2], PROCESSORS["nehalem"])
