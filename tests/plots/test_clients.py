"""Figures of clients' scores."""

import numpy as np
import pytest

import gdsim as gd
from tests.plots.figures import drawn


@pytest.fixture(scope="module")
def clients():
    kinds = [gd.FederatedAveraging(clients=4, sampled=2), gd.FederatedAveraging(clients=12, sampled=3)]
    return gd.Sweep(
        problem=gd.LogisticRegression(gd.datasets.load("moons")), optimizer=gd.SGD(lr=0.5), batch=8, steps=60, starts=5, distribution=kinds, partition="sorted",
        record=gd.Record(parameters=True),
    ).run(progress=False)  # fmt: skip


@pytest.mark.parametrize(("variable", "band"), [(None, [0.0, 0.1]), ("loss", [0.9, 1.0])])
def test_lines_count_the_clients_of_all_runs(clients, variable, band):
    found, name = gd.analysis.client_scores(clients), variable or "accuracy"
    (panel,) = gd.plots.client_scores(clients, variable=variable).axes
    lines = [own for own in panel.get_lines() if "clients" in own.get_label()]
    assert [own.get_label() for own in lines] == ["clients = 4, sampled = 2", "clients = 12, sampled = 3"]
    for cell, own in enumerate(lines):
        values = found[name].values[clients.cell.values == cell, : (4, 12)[cell]].ravel()
        assert len(own.get_xdata()) == 1 + len(values) == 1 + 5 * (4, 12)[cell]
        assert own.get_ydata()[0] == 0.0
        for x, share in zip(*own.get_data(), strict=True):
            assert share <= np.mean(values <= x) + 1e-12
        assert own.get_ydata()[-1] == 1.0
    assert drawn(panel.figure)
    assert f"of all runs together, where worst_{name} is of each run's own" in panel.figure.caption
    (shaded,) = panel.patches
    assert sorted({round(y, 12) for _, y in shaded.get_path().transformed(shaded.get_patch_transform()).vertices}) == band


def test_what_there_is_not_is_refused(clients):
    with pytest.raises(ValueError, match="variable='recall' is not known; allowed: 'accuracy', 'loss'"):
        gd.plots.client_scores(clients, variable="recall")
    with pytest.raises(ValueError, match="client_scores needs parameters of runs"):
        gd.plots.client_scores(clients.drop_vars("parameters"))
