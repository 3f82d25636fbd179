"""COCO's own tool reads what is exported, and computes the same expected running times."""

import warnings

import numpy as np
import pytest

from gdsim import analysis
from tests.analysis.populations import rosenbrock


def test_cocopp_computes_the_same_expected_running_times(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cocopp = pytest.importorskip("cocopp", reason="cocopp is not installed: pip install -e '.[test]'")
        result = rosenbrock(starts=15).run()
        analysis.export_coco(result, tmp_path / "coco")
        folders = sorted((tmp_path / "coco").iterdir())
        assert len(folders) == 5
        grid = 10.0 ** (np.arange(-10, 6) / 5)  # the targets at which COCO keeps its data
        times = analysis.time_to_target(result, grid)
        for cell in range(5):
            label = str(result.label.values[cell]).replace(" ", "_")
            (data,) = cocopp.load(str(tmp_path / "coco" / label))
            assert (data.funcId, data.dim, data.nbRuns()) == (1, 2, 15)
            mine = result.cell.values == cell
            hit, spent = times.time.values[mine] + 1, times.spent.values[mine] + 1  # the look at the start is an evaluation
            total, met = np.where(np.isnan(hit), spent[:, None], hit).sum(0), (~np.isnan(hit)).sum(0)
            expected = np.divide(total, met, out=np.full(len(met), np.inf), where=met > 0)
            assert np.allclose(data.detERT(times.target.values * (1 + 1e-9)), expected)


def test_nothing_is_overwritten_and_nothing_is_left_half_written(tmp_path):
    result = rosenbrock(starts=2, steps=5).run()
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="is there already"):
        analysis.export_coco(result, tmp_path / "there")
    with pytest.raises(ValueError, match="there is no folder"):
        analysis.export_coco(result, tmp_path / "no" / "coco")
    result.attrs.pop("experiment")
    with pytest.raises(ValueError, match="comes from no sweep"):
        analysis.export_coco(result, tmp_path / "coco")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["there"]
