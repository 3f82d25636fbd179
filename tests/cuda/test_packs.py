"""Evaluations, predictions and gradients on a device, with the interpreter in its place, beside processors' bits."""

import numpy as np
import pytest

import gdsim as gd
from gdsim import population
from gdsim.devices import Device, OutOfDeviceMemoryError, Stream, stations
from gdsim.kernels import cuda_packs
from gdsim.population.evaluation import evaluation_setting
from gdsim.population.planes import Asked, plane_scores
from gdsim.population.workplace import Workplace
from tests.cuda.driver import DriverLibrary
from tests.cuda.gpu import put_in
from tests.cuda.kernels import same_bits


@pytest.fixture
def device(compiled, monkeypatch):
    """Makes a device of the interpreter, which takes PTX for machine code."""
    put_in(monkeypatch, compiled)
    return lambda *memory, **others: Device(library=DriverLibrary(*memory, **others))


def points_of(problem, count, dtype="float32"):
    return np.random.default_rng(0).normal(size=(count, problem.parameter_count)).astype(dtype)


def check(found, truth):
    assert [name for name in truth.data_vars if not same_bits(found[name].values, truth[name].values)] == []
    assert {*found.data_vars} == {*truth.data_vars}


def test_a_device_evaluates_points_to_the_processors_bits(device):
    problem, points = gd.functions.Rosenbrock(), points_of(gd.functions.Rosenbrock(), 150)
    gpu = device(2**20)
    check(population.evaluate(problem, points, place=Workplace(1, gpu)), population.evaluate(problem, points))


def test_packs_that_have_no_room_together_are_worked_on_one_after_the_other(device):
    problem, points = gd.functions.Rosenbrock(), points_of(gd.functions.Rosenbrock(), 32 * 9 + 5)
    library = DriverLibrary(2**20, multiprocessors=1)
    library.largest = 12_000  # less than the device says that it has
    check(population.evaluate(problem, points, place=Workplace(1, Device(library=library))), population.evaluate(problem, points))
    assert [launch[:2] for launch in library.launches] == [(1, 128), (1, 128), (1, 64)]
    assert library.held == {}


@pytest.mark.parametrize(("most", "copies"), [(2**28, 1), (5000, 5), (1, 10)])
def test_packs_are_copied_through_little_memory_of_the_host(device, monkeypatch, most, copies):
    problem, points = gd.functions.Rosenbrock(), points_of(gd.functions.Rosenbrock(), 32 * 9 + 5)
    monkeypatch.setattr(cuda_packs, "HOST_BYTES", most)
    library, sizes = DriverLibrary(2**20, multiprocessors=4), []

    class Seen(Stream):
        def copy_out(self, array, address):
            sizes.append(array.nbytes)
            super().copy_out(array, address)

    monkeypatch.setattr(stations, "Stream", Seen)
    check(population.evaluate(problem, points, place=Workplace(1, Device(library=library))), population.evaluate(problem, points))
    assert [launch[0] for launch in library.launches] == [3]  # all packs at once, however little the host takes
    assert len(sizes) == copies
    assert max(sizes) <= max(most, sum(sizes) // 10)


def test_points_for_which_there_is_no_room_at_all_are_refused(device):
    library = DriverLibrary(2**20)
    library.largest = 1000
    with pytest.raises(OutOfDeviceMemoryError, match=r"this takes .* kB of the device's memory at least, and .* can be had"):
        population.evaluate(gd.functions.Rosenbrock(), np.zeros((3, 2)), place=Workplace(1, Device(library=library)))


def networks():
    moons = gd.datasets.load("moons")
    yield "network", gd.MLP(gd.Data(moons.X[:80], moons.y[:80], validation=0.15), hidden=(4,), activation="tanh", loss="log_loss", l2=0.01)
    digits = gd.datasets.load("digits")
    few = gd.Data(digits.X[:70, 20:30], digits.y[:70])
    yield "classes", gd.MLP(few, hidden=(6, 5), activation="relu", skip="dense")
    yield "linear", gd.LinearRegression(gd.datasets.load("diabetes"))


@pytest.mark.full
def test_networks_are_evaluated_and_predict_the_same(device):
    problem = dict(networks())["network"]
    points, gpu = points_of(problem, 40), device(2**23)
    for on in ("train", "validation"):
        check(population.evaluate(problem, points, on=on, place=Workplace(1, gpu)), population.evaluate(problem, points, on=on))
    found, truth = (population.predict(problem, points, problem.data.X, place=Workplace(1, where)) for where in (gpu, None))
    assert same_bits(found, truth)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", dict(networks()))
def test_every_kind_of_problem_is_evaluated_the_same(device, name, dtype):
    problem = dict(networks())[name]
    points, gpu = points_of(problem, 40, dtype), device(2**24)
    check(population.evaluate(problem, points, place=Workplace(1, gpu)), population.evaluate(problem, points))
    for found, truth in zip(*(population.Gradients(problem, dtype, place=Workplace(1, where)).at(points) for where in (gpu, None)), strict=True):
        assert same_bits(found, truth)


def test_gradients_of_functions_are_the_same(device):
    problem = gd.functions.Himmelblau()
    points, gpu = points_of(problem, 100, "float64"), device(2**20)
    for found, truth in zip(*(population.Gradients(problem, "float64", place=Workplace(1, where)).at(points) for where in (gpu, None)), strict=True):
        assert same_bits(found, truth)


PLANE = np.stack([np.linspace(-1.0, 1.0, 70), np.linspace(2.0, -1.0, 70)], 1)


def on_planes(problem, gradient_norm, gpu):
    """Scores on a plane by a device, and by processors."""
    terms = np.random.default_rng(1).normal(size=(3, problem.parameter_count))
    setting, asked = evaluation_setting(problem, terms[:1], "float32"), Asked.of(problem, gradient_norm)
    return (plane_scores(setting, terms, PLANE, asked, Workplace(1, where)) for where in (gpu, None))


@pytest.mark.slow
@pytest.mark.parametrize("gradient_norm", [False, True])
@pytest.mark.parametrize("name", [*dict(networks()), "function"])
def test_losses_on_planes_are_the_same(device, name, gradient_norm):
    problem = {**dict(networks()), "function": gd.functions.Himmelblau()}[name]
    found, truth = on_planes(problem, gradient_norm, device(2**24))
    assert found.keys() == truth.keys()
    assert [column for column in truth if not same_bits(found[column], truth[column])] == []


def products_of(problem, vectors, **asked):
    points = points_of(problem, 40, asked.get("dtype", "float64"))
    return lambda where: population.hessian_product(problem, points, np.random.default_rng(1).normal(size=(vectors, points.shape[1])), place=where, **asked)


def test_hessian_products_and_searches_along_them_are_the_same(device):
    problem, gpu, here = gd.functions.Rosenbrock(), Workplace(1, device(2**22)), Workplace()
    products = products_of(problem, 3)
    assert same_bits(products(gpu), products(here))
    check(*(population.quadrature(problem, points_of(problem, 40), probes=2, steps=5, dtype="float64", place=where) for where in (gpu, here)))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "matrix"), [*((name, "hessian") for name in dict(networks())), ("classes", "gauss_newton")])
def test_products_of_networks_are_the_same(device, name, matrix, dtype):
    vectors = 5 if dtype == "float32" else 3  # which take less memory
    products = products_of(dict(networks())[name], vectors, matrix=matrix, dtype=dtype)
    assert same_bits(products(Workplace(1, device(2**25))), products(Workplace()))


@pytest.mark.slow
def test_extreme_eigenvalues_and_sharpness_are_the_same(device):
    problem, places = dict(networks())["network"], (Workplace(1, device(2**25)), Workplace())
    points = points_of(problem, 3, "float64")
    check(*(population.eigenvalues(problem, points, k=2, which="both", place=place) for place in places))
    check(*(population.sharpness(problem, points, probes=4, place=place) for place in places))


def test_whole_matrices_of_networks_are_refused():
    problem = dict(networks())["network"]
    with pytest.raises(ValueError, match="whole matrices of networks are made by processors alone"):
        population.hessian(problem, points_of(problem, 2), place=Workplace(1, Device(library=DriverLibrary(2**20))))


@pytest.fixture
def himmelblau(compiled, monkeypatch):
    """A problem, points and a GPU that users can name."""
    put_in(monkeypatch, compiled)
    problem = gd.functions.Himmelblau()
    return problem, points_of(problem, 40, "float64")


def test_users_name_a_gpu_and_get_the_same(himmelblau, tmp_path):
    problem, points = himmelblau
    calls = (
        lambda **where: gd.evaluate(problem, points, **where),
        lambda **where: gd.curvature.trace(problem, points, **where),
        lambda **where: gd.curvature.eigenvalues(problem, points, k=1, **where),
        lambda **where: gd.curvature.density(problem, points[:3], **where),
        lambda **where: gd.landscape.plane(problem, points[0], points=5, normalization=None, **where),
        lambda **where: gd.landscape.line(problem, points[0], points[1], points=40, gradient_norm=True, **where),
    )
    for call in calls:
        assert call(device="cuda").identical(call())
    answer = gd.landscape.line(problem, points[0], points[1], out=tmp_path / "line", device="cuda:0", progress=False)
    assert answer.identical(gd.landscape.line(problem, points[0], points[1], out=tmp_path / "line", progress=False))
    assert (gd.curvature.hessian_product(problem, points, [1.0, 0.0], device="cuda") == gd.curvature.hessian_product(problem, points, [1.0, 0.0])).all()


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("gpu", "device must be 'cpu', 'cuda', or 'cuda:1' for the second GPU and so on; 'gpu' was given"),
        (0, "device must be"),
        ("auto", "device 'auto' is of runs"),
        ("cuda:7", "there is no GPU 7"),
    ],
)
def test_what_is_no_gpu_is_refused_in_one_line(himmelblau, device, said):
    problem, points = himmelblau
    for call in (
        lambda: gd.evaluate(problem, points, device=device),
        lambda: gd.landscape.plane(problem, points[0], normalization=None, device=device),
        lambda: gd.curvature.sharpness(problem, points, device=device),
    ):
        with pytest.raises(ValueError, match=said) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_a_gpu_is_not_asked_for_beside_workers(himmelblau):
    problem, points = himmelblau
    with pytest.raises(ValueError, match="leave one of them out"):
        gd.curvature.eigenvalues(problem, points, client=object(), out="anywhere", device="cuda")


def test_nans_of_a_gpu_are_those_of_processors(himmelblau):
    problem, _ = himmelblau
    points = np.array([[np.nan, 1.0], [np.inf, -np.inf], [1.0, 2.0]])
    for call, name in (
        (lambda **where: gd.evaluate(problem, points, **where), "loss"),
        (lambda **where: gd.curvature.trace(problem, points, **where), "trace"),
    ):
        found, truth = (call(device=device)[name].values.view(np.uint64) for device in ("cuda", "cpu"))
        assert (found == truth).all()
