"""Derivatives through training, by the public face: named as coordinates, right by closed forms, differences and
JAX, stored with the same bits, and no part of what a cell is.
"""

import json

import msgspec
import numpy as np
import pytest

import gdsim as gd
from gdsim.canonical import canonical
from gdsim.sweep.experiment.cells import cells_of, identities_of
from tests.helpers import gdsim, same_bits

MOONS = gd.datasets.load("moons", validation=0.2)


def network_sweep(**options):
    """Networks under two rules, of which one has no momentum, and a schedule with a number of its own."""
    given = {
        "problem": gd.MLP(MOONS, hidden=[3], activation="tanh", l2=0.01), "optimizer": [gd.Momentum(0.2, 0.8), gd.Adam(0.05)],
        "schedule": gd.Cosine(cycle=40, minimum=0.01), "starts": 5, "steps": 30, "batch": 32, "record": gd.Record(every=10, parameters=True), "dtype": "float64",
    }  # fmt: skip
    return gd.Sweep(**{**given, **options})


NAMES = ("lr", "momentum", "l2", "schedule_minimum")


@pytest.fixture(scope="module")
def differentiated():
    return network_sweep(tangents=[*NAMES, gd.Direction("random")]).run()


MATRIX, RATES = np.array([[3.0, 1.0], [1.0, 2.0]]), (0.1, 0.2, 0.3)


def quadratic_sweep(**options):
    """A quadratic, on which gradient descent is a formula."""
    given = {
        "problem": gd.Quadratic(MATRIX), "optimizer": gd.SGD(RATES), "init": gd.Normal(1.0), "starts": 3, "steps": 9,
        "tangents": [gd.Direction("random")], "record": gd.Record(every=1, trajectory=True),
    }  # fmt: skip
    return gd.Sweep(**{**given, **options})


@pytest.fixture(scope="module")
def moved():
    return quadratic_sweep().run()


def test_names_are_those_of_coordinates():
    sweep = network_sweep(tangents=[*NAMES, "minimum", gd.Direction()])
    found = [[(t.name, t.number) for t in sweep.setting(cell).tangents] for cell in cells_of(sweep)]
    schedule, last = [("l2", "penalty_l2"), ("schedule_minimum", "schedule_minimum"), ("minimum", "schedule_minimum")], ("direction", "")
    assert found[0] == [("lr", "lr"), ("momentum", "momentum"), *schedule, last]
    assert found[1] == [("lr", "lr"), ("momentum", ""), *schedule, last]


def test_a_bare_name_is_a_rules_where_a_rule_has_it():
    """Power's factor is no rule's; RMSprop's decay stays its own beside rules without one."""
    sweep = gd.Sweep(problem=gd.functions.Booth(), optimizer=[gd.PolyakStep(0.1), gd.SGD(0.1)], schedule=gd.Cosine(5), tangents=["minimum", "schedule_minimum"])
    found = [[t.number for t in sweep.setting(cell).tangents] for cell in cells_of(sweep)]
    assert found == [["minimum", "schedule_minimum"], ["", "schedule_minimum"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tangents": ["lrr"]}, "no run has a number 'lrr'; did you mean 'lr'"),
        ({"tangents": ["momentum"], "optimizer": gd.SGD(0.1)}, "no run has a number 'momentum'"),
        ({"tangents": ["schedule_cycle"], "schedule": gd.CosineDecay(steps=9)}, "no run has a number 'schedule_cycle'"),
        ({"tangents": ["steps"], "schedule": gd.CosineDecay(steps=9)}, "CosineDecay.steps counts steps"),
        ({"tangents": ["l2"], "problem": gd.MLP(MOONS, hidden=[2])}, "give l2 a small number"),
        ({"tangents": ["l2"], "problem": gd.MLP(MOONS, hidden=[2], l2=[0.0])}, "give l2 a small number"),
        ({"tangents": ["momentum"], "optimizer": gd.Momentum(), "schedule": gd.OneCycle(9, momenta=(0.8, 0.9))}, "OneCycle drives the momentum"),
        ({"tangents": ["lr", "lr"]}, "'lr' 2 times"),
        ({"tangents": [gd.Direction(), gd.Direction()]}, "a direction 2 times"),
        ({"tangents": [gd.Direction([1.0])]}, "a number for each of the 17 parameters of MLP; 1 were given"),
        ({"tangents": [3]}, "a list of names of hyperparameters and a gd.Direction; 3 was given"),
        ({"tangents": ["lr"], "record": gd.Record(sharpness=True)}, "record.sharpness=True is"),
    ],
)
def test_what_no_run_has_is_refused_in_one_line(options, said):
    with pytest.raises((ValueError, TypeError), match=said.replace("[", r"\[").replace("(", r"\(")) as caught:
        network_sweep(**options)
    assert "\n" not in str(caught.value)


def test_directions_are_unit_vectors_of_their_start_alone():
    few, many = gd.Direction().vectors(7, np.arange(3), 5), gd.Direction().vectors(7, np.arange(2, 40), 5)
    assert np.allclose((many**2).sum(1), 1, atol=1e-15)
    assert same_bits(few[2], many[0])
    assert not np.allclose(few[0], gd.Direction().vectors(8, np.arange(1), 5)[0])
    assert same_bits(gd.Direction([0.0, 3e200, -4e200]).vectors(0, np.arange(1), 3)[0], np.array([0.0, 0.6, -0.8]))
    for wrong in ("up", [0.0, 0.0], [[1.0]], [float("inf")]):
        with pytest.raises(ValueError, match="Direction"):
            gd.Direction(wrong)


def test_a_file_declares_them_and_hashes_without_stay():
    plain, asked = network_sweep(), network_sweep(tangents=["lr", {"direction": "random"}])
    assert "tangents" not in canonical(plain)
    assert canonical(asked)["tangents"] == ["lr", {"direction": "random"}]
    assert identities_of(plain) == identities_of(asked)


def test_the_command_line_takes_them(tmp_path):
    (tmp_path / "a.toml").write_text('problem = {type = "booth"}\noptimizer = "sgd"\ntangents = ["lr", {direction = [3.0, 4.0]}]\n')
    sweep = gd.read_experiment(tmp_path / "a.toml")
    assert sweep.tangents == ("lr", gd.Direction([3.0, 4.0]))
    assert gd.read_experiment(tmp_path / "a.toml", ["tangents=lr"]).tangents == ("lr",)
    code, _, errors = gdsim("run", "a.toml", "--out", "here", "--set", 'tangents=["beta"]', folder=tmp_path)
    assert code == 2
    assert "no run has a number 'beta'; allowed: 'lr'" in errors
    assert not (tmp_path / "here").exists()


@pytest.mark.full
def test_values_keep_their_bits_and_a_rule_without_the_number_has_none(differentiated):
    plain = network_sweep().run()
    for name in plain.data_vars:
        assert same_bits(plain[name].values, differentiated[name].values), name
    adam = differentiated.isel(run=differentiated.optimizer.values == "Adam")
    for name, found in differentiated.data_vars.items():
        if str(name).endswith("_d_momentum"):
            assert np.isnan(adam[name].values).all(), name
        if "_d_" in str(name):
            of = str(name).partition("_d_")[0]
            assert found.dims == plain[of].dims, name
            assert found.attrs["units"] == "1", name
            assert plain[of].attrs["long_name"] in found.attrs["long_name"], name
    assert not [n for n in differentiated.data_vars if str(n).startswith(("accuracy_d", "steps_taken_d", "validation_accuracy_d", "best_validation_step_d"))]


@pytest.mark.full
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_differences(differentiated, name):
    """Five points of plain runs with another number."""
    step = 1e-4

    def moved(by):
        sweep = network_sweep(
            problem=gd.MLP(MOONS, hidden=[3], activation="tanh", l2=0.01 + by * step * (name == "l2")),
            optimizer=[gd.Momentum(0.2 + by * step * (name == "lr"), 0.8 + by * step * (name == "momentum")), gd.Adam(0.05 + by * step * (name == "lr"))],
            schedule=gd.Cosine(cycle=40, minimum=0.01 + by * step * (name == "schedule_minimum")),
        )
        return sweep.run()

    runs = {by: moved(by) for by in (-2, -1, 1, 2)}
    for variable in ("loss", "gradient_norm", "validation_loss", "final_loss", "best_validation_loss", "final_validation_loss", "parameters"):
        far, near = (
            runs[2 * k][variable].values - runs[-2 * k][variable].values if k == 1 else runs[1][variable].values - runs[-1][variable].values for k in (1, 0)
        )
        found, wanted = differentiated[f"{variable}_d_{name}"].values, (8 * near - far) / (12 * step)
        if name == "momentum":
            found, wanted = (v[differentiated.optimizer.values == "Momentum"] for v in (found, wanted))
        assert np.allclose(found, wanted, rtol=1e-5, atol=1e-7 * np.abs(wanted).max()), variable


def test_tangents_follow_a_quadratic_exactly(moved):
    """w_t = (I - lr A)^t w_0: so do the tangents of a direction, whose length is what chaos is read from, and by
    lr it is -t A (I - lr A)^(t - 1) w_0.
    """
    vectors, power = gd.Direction("random").vectors(0, np.arange(3), 2), np.linalg.matrix_power
    by_lr = quadratic_sweep(tangents=["lr"]).run()
    for run in range(9):
        one, other, rate = moved.isel(run=run), by_lr.isel(run=run), moved.lr.values[run]
        factor, w = np.eye(2) - rate * MATRIX, one.trajectory.values
        along = np.stack([power(factor, t) @ vectors[one.start] for t in range(10)])
        by_rate = np.stack([-t * MATRIX @ power(factor, max(t - 1, 0)) @ w[0] for t in range(10)])
        for found, name, tangent in ((one, "direction", along), (other, "lr", by_rate)):
            assert np.allclose(found[f"trajectory_d_{name}"].values, tangent, atol=1e-14)
            assert np.allclose(found[f"loss_d_{name}"].values, (w @ MATRIX * tangent).sum(1), atol=1e-13)
            assert found[f"final_loss_d_{name}"] == found[f"loss_d_{name}"][-1]
        assert np.allclose(one.tangent_norm.values, np.linalg.norm(along, axis=1), atol=1e-14)


def test_folders_hold_them_and_resume_with_the_same_bits(tmp_path, moved):
    sweep = quadratic_sweep()
    msgspec.structs.replace(sweep, starts=2).run(out=tmp_path / "a")
    assert json.loads((tmp_path / "a" / "experiment.json").read_text())["experiment"]["tangents"] == [{"direction": "random"}]
    sweep.run(out=tmp_path / "a")
    opened, alone = gd.open(tmp_path / "a"), sweep.run(runs=[3, 8])
    assert set(opened.data_vars) == set(moved.data_vars)
    for name in moved.data_vars:
        assert same_bits(opened[name].values, moved[name].values), name
        assert same_bits(alone[name].values, moved[name].values[[3, 8]]), name
    with pytest.raises(ValueError, match=r"another experiment \(it differs in tangents\)"):
        quadratic_sweep(tangents=["lr"]).run(out=tmp_path / "a")


def test_summaries_count_them_as_values(tmp_path, moved):
    sweep = quadratic_sweep(keep="summary", record=gd.Record(every=1))
    for summary in (sweep.run(), sweep.run(out=tmp_path / "a")):
        for name in ("loss_d_direction", "final_loss_d_direction", "tangent_norm"):
            values = moved[name].values.reshape(3, 3, -1).squeeze()  # [start, cell, checkpoint]
            counted = {n: summary[f"{name}_{n}"].values.reshape(values.shape[1:]) for n in ("count", "mean", "max")}
            assert (counted["count"] == 3).all(), name
            assert np.allclose(counted["mean"], values.mean(0), rtol=1e-13, atol=1e-300), name
            assert np.array_equal(counted["max"], values.max(0)), name


def test_derivatives_of_runs_that_diverged_are_not_counted_at_their_ends():
    options = {"optimizer": gd.SGD((0.1, 0.9, 0.3)), "steps": 60, "tangents": "lr"}
    runs, summary = quadratic_sweep(**options).run(), quadratic_sweep(keep="summary", record=gd.Record(every="ends"), **options).run()
    lost = runs.status.values.reshape(3, 3) == "diverged"
    assert lost.all(0).tolist() == [False, True, False]
    assert summary.final_loss_d_lr_count.values.tolist() == [3, 0, 3]
    assert summary.final_loss_d_lr_min.values[0] == runs.final_loss_d_lr.values.reshape(3, 3)[:, 0].min()


@pytest.mark.full
def test_runs_go_on_with_their_tangents_bit_for_bit(tmp_path):
    """From a result, and in a folder that is given more steps; with the means of epochs' losses."""

    def of(steps):
        stop = gd.Plateau(patience=40, batches=True)
        return network_sweep(steps=steps, tangents=[*NAMES, gd.Direction("random")], stop=stop, record=gd.Record(every=10, state=True))

    whole, half = of(30).run(), of(10).run(out=tmp_path / "a")
    more, on = of(30).run(out=tmp_path / "a"), gd.continue_from(half, steps=20)
    assert set(more.data_vars) == set(whole.data_vars)
    for name, values in whole.data_vars.items():
        assert same_bits(more[name].values, values.values), name
        if values.dims in (("run",), ("run", "parameter")):
            assert same_bits(on[name].values, values.values), name


def test_plans_count_them():
    plain, asked = network_sweep().plan(), network_sweep(tangents=["lr", "l2"]).plan()
    assert asked.operations == 3 * plain.operations
    assert asked.memory > 2 * plain.memory
    real = 3 * 4 + 4  # three curves at four checkpoints, final and best losses
    assert asked.disk - plain.disk == 2 * 8 * 10 * (real + network_sweep().problem[0].parameter_count)
