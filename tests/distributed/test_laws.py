"""Laws that tie workers to one: when averaging at each step is a synchronous step, what the period moves and what it
does not, how workers speed training up, and what one client alone is.
"""

import numpy as np
import pytest

import gdsim as gd
from tests.distributed.problems import ALL, FINAL, A, B, lines, noisy_bowl, random_planes, swept
from tests.distributed.test_oracle import RULES, START, STEPS


@pytest.mark.full
@pytest.mark.parametrize(
    ("rule", "state", "is_equal"),
    [("sgd", "keep", True), ("heavy ball", "keep", True), ("heavy ball", "average", True), ("torch Nesterov", "average", True), ("Nesterov", "keep", False),
     ("Nesterov", "average", True), ("adam", "keep", False), ("adam", "average", False)],
)  # fmt: skip
def test_averaging_at_each_step_is_a_synchronous_step_of_rules_linear_in_gradients_at_one_point(rule, state, is_equal):
    """Also where momentum stays with workers; Nesterov's look-ahead is one point where momentum is averaged too."""
    optimizer, options = RULES[rule][0], {"record": ALL, "batch": 2, "shuffle": "replacement"}
    problem = random_planes(2, 3).problem
    local, whole = (
        swept(problem, optimizer, kind, START, STEPS, **options).trajectory.values for kind in (gd.LocalSGD(workers=3, state=state), gd.Synchronous(workers=3))
    )
    away = np.abs(local - whole).max()
    assert (away < 1e-13) if is_equal else (away > 1e-3)


def test_with_one_curvature_the_period_moves_workers_and_not_their_mean():
    """w_{k,t+1} = w_{k,t} - eta (w_{k,t} - b_k + noise): the mean has eta sigma^2 / (K (2 - eta)) at every period, and
    a worker t steps after an average (1 - 1/K) eta^2 sigma^2 (1 - rho^{2t}) / (1 - rho^2) more, rho = 1 - eta.
    """
    eta, starts, period = 0.3, 2000, 17
    kind = gd.LocalSGD(workers=[4, 16], period=[1, 4, period])
    bowl = {**noisy_bowl(), "optimizer": gd.SGD(lr=eta), "init": [[0.0]] * starts, "starts": starts, "steps": 3 * period}
    result = gd.Sweep(**bowl, distribution=kind, record=gd.Record(every=1, trajectory=True)).run(progress=False)
    for workers, worker_before in ((4, (0.1116176471, 0.1688407046, 0.1764691265)), (16, (None, 0.1669332336, None))):
        mean = eta / (workers * (2 - eta))
        of_period = [result.isel(run=(result.workers.values == workers) & (result.period.values == p)) for p in (1, 4, period)]
        paths = [one.trajectory.values[:, :, 0] for one in of_period]
        np.testing.assert_allclose(paths[1], paths[0], rtol=0, atol=1e-13)
        np.testing.assert_allclose(paths[2], paths[0], rtol=0, atol=1e-13)
        assert (paths[0][:, -1] ** 2).mean() == pytest.approx(mean, rel=4 * np.sqrt(2 / starts))
        apart = of_period[2].disagreement.values
        for steps, known in zip((1, 4, 16), worker_before, strict=True):
            more = (1 - 1 / workers) * eta**2 * (1 - (1 - eta) ** (2 * steps)) / (1 - (1 - eta) ** 2)
            assert known is None or mean + more == pytest.approx(known, rel=1e-9)
            for began in (0, period, 2 * period):
                now = apart[:, began + steps]
                assert abs(now.mean() - more) < 4 * now.std() / np.sqrt(starts)


def test_clients_of_one_curvature_do_not_drift():
    """Centres 0, 1 and 5 and ten steps alone: at their mean, 2, all the same."""
    result = swept(lines([2.0] * 3, [0.0, 1.0, 5.0]), gd.SGD(lr=0.1), gd.LocalSGD(workers=3, period=[1, 10]), [0.0], 1000)
    np.testing.assert_allclose(result.parameters.values, 2.0, rtol=1e-13)


def test_rounds_contract_by_the_mean_of_what_clients_keep_and_the_bias_grows_as_the_rate():
    """From round to round by the mean of (1 - eta A_k)^H; for small eta the fixed point is off by
    eta (H - 1) / 2 (mean A)^-1 mean(A_k^2 (optimum - b_k)).
    """
    rates = {1: 0.8, 2: 0.65, 4: 0.4481, 8: 0.2440576100, 16: 0.0943126560, 64: 0.0005895093}
    result = swept(lines(A, B), gd.SGD(lr=0.1), gd.LocalSGD(workers=2, period=list(rates)), [0.0], 192, record=ALL)
    for run, (period, rate) in enumerate(rates.items()):
        assert np.mean((1 - 0.1 * np.array(A)) ** period) == pytest.approx(rate, rel=1e-7)
        path = result.trajectory.values[run, ::period, 0]
        shares = 1 - (1 - 0.1 * np.array(A)) ** period
        away = path - (shares * B).sum() / shares.sum()
        np.testing.assert_allclose(away[1:3], away[:2] * rate, rtol=1e-6)
    eta = 1e-4
    near = swept(lines(A, B), gd.SGD(lr=eta), gd.LocalSGD(workers=2, period=5), [0.75], 200_000, record=FINAL).parameters.values.item() - 0.75
    first_order = eta * 2 / np.mean(A) * np.mean(np.square(A) * (0.75 - np.array(B)))
    assert first_order == pytest.approx(-0.75e-4, rel=1e-9)
    assert near == pytest.approx(-0.75007e-4, rel=1e-5)


@pytest.mark.full
def test_workers_speed_training_up_without_loss_at_the_best_rate_of_each_step():
    """In one dimension 1 / E w_t^2 = 1 / E w_0^2 + t B L^2 / sigma^2, with eta_t = L V / (L^2 V + sigma^2 / B) at
    V = E w_t^2: B workers of one sample take as many steps as one takes samples.
    """
    curvature, sigma, first, starts = 2.0, 2.0, 5.0, 20_000
    known = {
        1: (5.0, 1 / 1.2, 1 / 2.2, 1 / 3.2, 1 / 4.2),
        3: (5.0, 0.3125, 0.1612903226, 0.1086956522, 0.0819672131),
        6: (5.0, 1 / 6.2, 1 / 12.2, 1 / 18.2, 1 / 24.2),
    }
    problem = lines([curvature] * 32, np.tile([sigma / curvature, -sigma / curvature], 16)).problem
    for workers in (1, 3, 6):
        variances = [1 / (1 / first + t * workers * curvature**2 / sigma**2) for t in range(5)]
        assert variances == pytest.approx(known[workers], rel=1e-8)
        rates = [curvature * v / (curvature**2 * v + sigma**2 / workers) for v in variances]
        result = gd.Sweep(
            problem=problem, optimizer=gd.SGD(lr=1.0), schedule=gd.Piecewise(list(enumerate(rates))), distribution=gd.Synchronous(workers=workers), batch=1,
            shuffle="replacement", starts=starts, init=[[first**0.5]] * starts, steps=4, record=gd.Record(every=1, trajectory=True), dtype="float64",
        ).run(progress=False)  # fmt: skip
        squares = result.trajectory.values[:, :, 0] ** 2
        errors = squares.std(0) / np.sqrt(starts)
        assert (np.abs(squares.mean(0) - variances) <= 4 * errors + 1e-12).all()


@pytest.mark.full
def test_one_client_alone_is_the_plain_run():
    """SCAFFOLD's too: its c_k and c are the same."""
    kinds = [gd.FederatedAveraging(clients=1, sampled=1, weighting=gd.grid("samples", "nova")), gd.Scaffold(clients=1, sampled=1, period=[1, 6])]
    problem = random_planes(3, 1)
    options = {"record": ALL, "partition": "shared"}
    plain = swept(problem, gd.SGD(lr=0.2), None, START, 24, record=ALL, partition="shared").trajectory.values[0]
    result = swept(problem, gd.SGD(lr=0.2), kinds, START, 24, **options)
    assert result.sizes["run"] == 4
    for run, period in enumerate((1, 1, 1, 6)):
        np.testing.assert_allclose(result.trajectory.values[run, ::period], plain[::period], rtol=1e-12, atol=1e-13)
