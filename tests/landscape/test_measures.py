"""Numbers of pictures: merge trees beside labelled components and known minima, and closed forms of waves."""

import numpy as np
import pytest
import scipy.ndimage
import xarray

import gdsim as gd

RNG = np.random.default_rng(3)


def picture(values, *axes):
    """A Dataset as a line or a plane gives it."""
    dims = ("run", *axes)[-values.ndim :]
    return xarray.Dataset({"loss": (dims, values)}, {d: np.linspace(0, 1, n) for d, n in zip(dims, values.shape, strict=True) if d != "run"})


def test_as_many_minima_live_at_every_level_as_there_are_components_below_it():
    planes = RNG.integers(0, 12, size=(2, 9, 7)).astype(float)
    planes[1, 2:4, :] = np.inf
    planes[1, 0, 0] = np.nan
    found = gd.landscape.merge_tree(picture(planes, "y", "x"))
    for run, values in enumerate(planes):
        own = found.isel(run=run)
        for level in range(12):
            _, components = scipy.ndimage.label(values <= level, np.ones((3, 3)))
            dies = np.where(own.parent < 0, np.inf, own.saddle_value)
            assert ((own.value.values <= level) & (dies > level)).sum() == components
        assert int(own.minima) == int(own.value.notnull().sum())
    assert (found.persistence.values[found.value.notnull().values] > 0).all()
    strong = gd.landscape.merge_tree(picture(planes, "y", "x"), persistence=4.0)
    assert strong.minima.values.tolist() == (found.persistence >= 4).sum("minimum").values.tolist()


def test_the_tree_of_himmelblau_has_its_minima_and_its_lowest_saddles():
    plane = gd.landscape.plane(gd.functions.Himmelblau(), np.zeros(2), directions=np.eye(2), span=6.0, points=161)
    tree = gd.landscape.merge_tree(plane)
    assert tree.value.values == pytest.approx(0.0, abs=0.2)
    known = [(3, 2), (-2.805118, 3.131313), (-3.77931, -3.283186), (3.584428, -1.848127)]
    places = np.column_stack([tree.minimum_x.values, tree.minimum_y.values])
    assert sorted(places.tolist()) == pytest.approx(np.array(sorted(map(list, known))), abs=0.05)
    assert sorted(tree.saddle_value.values[1:]) == pytest.approx([13.3119, 67.7192, 104.0152], rel=1e-2)
    assert np.isinf(tree.persistence.values[0])
    assert tree.value.attrs == {"units": "1", "long_name": "value at a minimum, or at another critical point"}


def test_waves_have_the_roughness_and_convexity_of_their_formulas():
    """cos over k periods goes up and down 4 k, in a valley as deep 4: it is k - 1 rougher, and convex on a half."""
    at = np.linspace(0, 1, 2001)
    lines = np.stack([np.cos(6 * np.pi * at), (at - 0.4) ** 2, 2.0 - at])
    found = gd.landscape.measures(picture(lines, "alpha"), levels=[0.0, 2.5])
    assert found.roughness.values == pytest.approx([2.0, 0.0, 0.0], abs=1e-4)
    assert found.convexity.values == pytest.approx([0.5, 1.0, 1.0], abs=2e-3)
    assert found.minima.values.tolist() == [3, 1, 1]
    assert found.monotone.values.tolist() == [False, False, True]
    assert found.share_below.values == pytest.approx(np.array([[0.5, 1], [1 / 2001, 1], [0, 1]]), abs=2e-3)
    assert "monotone" not in gd.landscape.measures(picture(lines, "alpha").assign_coords(alpha=0.9 * at))
    x, y = np.meshgrid(at[::50], at[::50])
    bowl = gd.landscape.measures(picture((x - 0.5) ** 2 + 3 * (y - 0.2) ** 2, "y", "x"))
    assert [float(bowl[n]) for n in ("minima", "convexity")] == [1, 1]
    assert float(bowl.roughness) == pytest.approx(0, abs=1e-12)


def test_bands_are_values_that_runs_have():
    lines = RNG.normal(size=(20, 5))
    lines[3] = np.inf
    found = gd.landscape.bands(picture(lines, "alpha"), quantiles=[0.25, 0.5])
    assert found.loss.dims == ("quantile", "alpha")
    assert found.loss.values == pytest.approx(np.quantile(lines, [0.25, 0.5], axis=0, method="inverted_cdf"))
    both = gd.landscape.bands(gd.landscape.measures(picture(lines, "alpha"), levels=0.0))
    assert both.share_below.dims == ("quantile", "level")


@pytest.mark.parametrize(
    ("ask", "kind", "said"),
    [
        (lambda: gd.landscape.merge_tree(np.zeros((3, 3))), TypeError, "merge_tree takes what gd.landscape.plane or"),
        (
            lambda: gd.landscape.measures(picture(np.zeros(3), "alpha"), variable="los"),
            ValueError,
            "variable='los' is not in this picture; did you mean 'loss'",
        ),
        (lambda: gd.landscape.bands(picture(np.zeros(3), "alpha")), ValueError, "numbers of several runs"),
        (lambda: gd.landscape.merge_tree(picture(np.zeros(3), "alpha"), persistence=-1), ValueError, "persistence must be"),
    ],
)
def test_what_is_no_picture_is_refused(ask, kind, said):
    with pytest.raises(kind, match=said):
        ask()
