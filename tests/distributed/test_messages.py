"""Runs whose workers send compressed messages, beside the loop that a reader would write."""

import numpy as np
import pytest

import gdsim as gd
from gdsim.lanes.compiler import compilations
from gdsim.population.samples import sample_order
from gdsim.starts import initial_points
from tests.distributed.reference_compression import scaled_sign, top_k

STEPS, RATE, WORKERS, PERIOD = 60, 0.05, 3, 4
rng = np.random.default_rng(0)
DATA = gd.Data(X := rng.normal(size=(24, 5)), X @ [1.0, -2.0, 0.5, 0.0, 3.0] + rng.normal(size=24))


def sweep_of(distribution, **more):
    options = {"problem": gd.LinearRegression(DATA), "optimizer": gd.SGD(lr=RATE), "starts": 5, "steps": STEPS, "batch": 4, "dtype": "float64"}
    return gd.Sweep(distribution=distribution, record=gd.Record(parameters=True), **(options | more))


def local_sgd(start, orders, compress, memory, outer=1.0):
    """theta of local SGD whose messages are C(theta - w_k), with a memory of the error or of the vector."""
    A, y = np.c_[DATA.X, np.ones(len(DATA.X))], DATA.y
    theta, kept = np.array(start), np.zeros((WORKERS, len(start)))
    for begin in range(0, STEPS, PERIOD):
        received = np.zeros_like(theta)
        for k in range(WORKERS):
            w = theta.copy()
            for step in range(begin, begin + PERIOD):
                rows = orders[k][step]
                w -= RATE * 2 * A[rows].T @ (A[rows] @ w - y[rows]) / len(rows)
            vector = theta - w + {"error": kept[k], "vector": -kept[k], "": 0.0}[memory]
            sent = compress(vector)
            if memory == "vector":
                sent = kept[k] = kept[k] + sent
            elif memory == "error":
                kept[k] = vector - sent
            received += sent / WORKERS
        theta = theta - outer * received
    return theta


@pytest.mark.parametrize(
    ("compression", "compress", "memory", "outer"),
    [
        (gd.TopK(count=2), lambda v: top_k(v, 2), "", None),
        (gd.ErrorFeedback(gd.TopK(fraction=0.4)), lambda v: top_k(v, 2), "error", 0.5),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                (gd.TopK(count=2), lambda v: top_k(v, 2), "", 0.5),
                (gd.ErrorFeedback(gd.TopK(fraction=0.4)), lambda v: top_k(v, 2), "error", None),
                (gd.EF21(gd.TopK(count=1)), lambda v: top_k(v, 1), "vector", 0.5),
                (gd.ErrorFeedback(gd.ScaledSign()), scaled_sign, "error", None),
                (gd.ErrorFeedback(gd.Sign()), np.sign, "error", 0.5),
                (gd.EF21(gd.RandomK(fraction=1.0)), lambda v: v, "vector", None),
            )
        ),
    ],
)
def test_local_sgd_steps_by_what_is_received(compression, compress, memory, outer):
    distribution = gd.LocalSGD(workers=WORKERS, period=PERIOD, compression=compression, outer=outer and gd.SGD(lr=outer))
    sweep = sweep_of(distribution)
    found, setting = sweep.run().parameters.values.reshape(5, -1), sweep.plan().groups[0].setting
    starts = initial_points(setting.init, setting.problem, setting.seed, np.arange(5))
    for run in (0, 4):
        orders = [sample_order(setting, run, k) for k in range(WORKERS)]
        np.testing.assert_allclose(found[run], local_sgd(starts[run], orders, compress, memory, outer or 1.0), rtol=1e-11)


@pytest.mark.full
def test_runs_of_a_sweep_are_those_alone_and_one_kernel_serves_all_numbers():
    compression = gd.ErrorFeedback(gd.RandomK(count=[1, 2, 5]))
    whole = sweep_of(gd.LocalSGD(workers=2, period=[1, 4], compression=compression)).run(lanes=8)
    made = len(compilations)
    other = gd.ErrorFeedback(gd.RandomK(count=2))
    alone = sweep_of(gd.LocalSGD(workers=2, period=4, compression=other), starts=3).run(lanes=8)
    same = whole.parameters.values[((whole.period == 4) & (whole.compression_count == 2)).values]
    assert (same[:3] == alone.parameters.values).all()
    assert len(compilations) == made


@pytest.mark.full
def test_all_numbers_sent_is_the_plain_average():
    whole = [sweep_of(gd.LocalSGD(workers=3, period=4, compression=c)).run().parameters.values for c in (None, gd.TopK(fraction=1), gd.RandomK(fraction=1))]
    np.testing.assert_allclose(whole[1], whole[0], rtol=1e-12)
    assert (whole[1] == whole[2]).all()


@pytest.mark.parametrize(
    ("distribution", "problem", "message"),
    [
        (gd.LocalSGD(workers=2, compression=gd.TopK(count=[2, 7])), gd.LinearRegression(DATA), "TopK.count must be at most 6, the number of parameters"),
        (gd.LocalSGD(workers=2, compression=gd.PowerSGD()), gd.LinearRegression(DATA), "PowerSGD(rank=1) compresses nothing here: the largest matrix"),
        (gd.LocalSGD(workers=2, compression=gd.EF21(gd.PowerSGD())), gd.functions.Booth(), "compresses nothing here: the problem has no matrix"),
    ],
)
def test_what_does_not_fit_the_model_is_refused_where_it_is_declared(distribution, problem, message):
    with pytest.raises(ValueError, match=r".") as raised:
        sweep_of(distribution, problem=problem, batch=None)
    assert message in str(raised.value)


def test_local_sgd_has_no_rate_to_leave_outside():
    with pytest.raises(ValueError, match="messages are ways that workers have gone"):
        gd.LocalSGD(workers=2, compression=gd.ErrorFeedback(gd.Sign(), rate="outside"))


@pytest.mark.full
def test_bytes_sent_are_those_of_messages():
    distribution = gd.LocalSGD(workers=2, period=4, compression=gd.ErrorFeedback(gd.TopK(count=[1, 2])))
    found = sweep_of(distribution, starts=1).run()
    assert found.bytes_sent.values[:, -1].tolist() == [15 * -(-(64 + 3) * k // 8) for k in (1, 2)]
