"""Networks to and from PyTorch, whose own modules are the truth, and samples from its Datasets."""

import copy
import io
import pickle
import re
import sys

import numpy as np
import pytest

import gdsim as gd
from tests.helpers import ACTIVATIONS, data_for

TOLERANCES = {"float32": 1e-6, "float64": 1e-12}


def vector_of(problem, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(0.0, 0.5, problem.parameter_count).astype(dtype)  # so that layers do not amplify roundings


def outputs(torch, net, X, dtype):
    with torch.no_grad():
        return net(torch.tensor(X, dtype=getattr(torch, dtype))).numpy()


@pytest.mark.parametrize(
    ("dtype", "activations"),
    [("float64", ("sine", "leaky_relu")), *(pytest.param(dtype, ACTIVATIONS, marks=pytest.mark.full) for dtype in TOLERANCES)],
)
def test_a_network_has_the_same_outputs(torch, dtype, activations):
    data = data_for("squared_error")
    problem = gd.MLP(data, hidden=[3] * len(activations), activation=activations, output="tanh")
    vector = vector_of(problem, dtype)
    net = problem.to_torch(vector)
    assert type(net) is torch.nn.Sequential
    assert {p.dtype for p in net.parameters()} == {getattr(torch, dtype)}
    assert abs(outputs(torch, net, data.X, dtype) - gd.predict(problem, vector, data.X)).max() < TOLERANCES[dtype]
    again, same = gd.from_torch(net, data, loss="mean_squared_error")
    assert again == problem
    assert same.dtype == dtype
    assert same.tobytes() == vector.tobytes()


@pytest.mark.parametrize("skip", ["residual", "dense"])
def test_skip_connections_go_there_and_back(torch, skip):
    data = gd.Data(np.random.default_rng(0).normal(size=(20, 3)) * 3.0 + 1.0, np.arange(20) % 3, standardize=True)
    problem = gd.MLP(data, hidden=[5, 5, 2, 2], activation=["tanh", "gelu", "sine", "identity"], skip=skip)
    vector = vector_of(problem)
    net = problem.to_torch(vector)
    X = data.X[:4] * data.scale + data.center
    assert abs(outputs(torch, torch.nn.Sequential(net, torch.nn.Softmax(1)), X, "float64") - gd.predict(problem, vector, X)).max() < 1e-14
    again, same = gd.from_torch(net, data)
    assert again == problem
    assert same.tobytes() == problem.pack(net.state_dict()).tobytes() == vector.tobytes()


def test_skip_connections_that_gdsim_has_not_are_refused(torch):
    from gdsim.pytorch import Dense, Residual

    nn, data = torch.nn, gd.Data(np.zeros((4, 3)), np.arange(4.0))
    layer = lambda inputs, units: (nn.Linear(inputs, units), nn.Tanh())  # noqa: E731
    with pytest.raises(ValueError, match=r"not those of a gd.MLP.*it has residual, None"):  # never from the inputs
        gd.from_torch(nn.Sequential(Residual(*layer(3, 3)), nn.Linear(3, 1)), data)
    with pytest.raises(ValueError, match="it has dense, None, None"):
        gd.from_torch(nn.Sequential(Dense(*layer(3, 3)), *layer(6, 3), nn.Linear(3, 1)), data)
    with pytest.raises(ValueError, match="must hold a Linear and its activation"):
        gd.from_torch(nn.Sequential(Dense(nn.Linear(3, 3)), nn.Linear(6, 1)), data)
    with pytest.raises(ValueError, match="6 inputs, and the layer before it 3 units"):
        gd.from_torch(nn.Sequential(Residual(*layer(3, 3)), nn.Linear(6, 1)), data)


def test_softplus_and_sine_are_the_formula_far_from_zero(torch):
    """By the formula, where PyTorch's own Softplus is the identity already, and of the module that PyTorch
    lacks.
    """
    from gdsim import pytorch

    z = torch.tensor([-60.0, -30.0, -21.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 19.0, 21.0, 30.0, 60.0], dtype=torch.float64)
    assert pytorch.ACTIVATIONS["softplus"].made()(z).tolist() == pytest.approx(np.logaddexp(0.0, z.numpy()), rel=1e-15)
    assert pytorch.ACTIVATIONS["sine"].made()(z).tolist() == pytest.approx(np.sin(z.numpy()), rel=1e-15)


@pytest.mark.parametrize("kind", ["regression", "two classes", pytest.param("three classes", marks=pytest.mark.full)])
def test_what_was_standardised_takes_features_as_they_were_given(torch, kind):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(20, 3)) * [1.0, 100.0, 1e-3] + [0.0, 2000.0, 5.0]
    y = {"regression": rng.normal(size=20), "two classes": rng.integers(0, 2, 20), "three classes": np.arange(20) % 3}[kind]
    data = gd.Data(X, y, standardize=True)
    problem = gd.LinearRegression(data, intercept=False) if kind == "regression" else gd.LogisticRegression(data)
    vector = vector_of(problem)
    net = problem.to_torch(vector)
    ending = {"two classes": torch.sigmoid, "three classes": lambda z: torch.softmax(z, 1)}.get(kind, lambda z: z)
    found = ending(net(torch.tensor(X))).detach().numpy()
    assert abs(found - gd.predict(problem, vector, X)).max() < 1e-12
    assert abs(outputs(torch, problem.to_torch(vector, probabilities=True), X, "float64") - found).max() < 1e-15
    # The plain network follows the module that standardises, with a plain network's names.
    assert [name for name in net.state_dict() if "standardize" not in name] == ["0.weight", *(["0.bias"] if problem.intercept else [])]
    assert abs(outputs(torch, net[1:], data.X, "float64") - outputs(torch, net, X, "float64")).max() < 1e-12
    assert gd.from_torch(net, data)[0] == gd.from_torch(net[1:], data)[0] == problem


def test_a_module_is_saved_copied_and_moved_to_another_dtype(torch):
    data = gd.Data([[1000.0], [1001.0], [1003.0]], [0.0, 1.0, 0.5], standardize=True)
    net = gd.MLP(data, hidden=[2], activation="sine").to_torch(np.linspace(-1.0, 1.0, 7))
    x = torch.tensor([[1002.0]], dtype=torch.float64)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    for other in (torch.load(file, weights_only=False), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other(x) == net(x)
    assert net.float()(x.float()).item() == pytest.approx(
        gd.MLP(data, hidden=[2], activation="sine").to_torch(np.linspace(-1, 1, 7))(x).item(), rel=1e-3
    )  # of 1002 in float32


def test_neither_memory_nor_random_numbers_are_shared(torch):
    problem = gd.MLP(gd.datasets.load("xor"), hidden=[3])
    vector = vector_of(problem)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    net = problem.to_torch(vector)
    assert torch.equal(torch.rand(3), expected)
    with torch.no_grad():
        net[0].weight.fill_(7.0)
    assert 7.0 not in vector


def sequential(torch, text):
    """A Sequential written short, with weights by the seed."""
    torch.manual_seed(0)
    nn = torch.nn
    return eval(f"nn.Sequential({text})", {"nn": nn, "torch": torch})


# A Sequential's modules, the targets, and what is made of them.
READ = [
    ("nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)", "labels", lambda d: gd.MLP(d, hidden=[4], activation="relu", loss="log_loss")),
    ("nn.Linear(2, 4), nn.SiLU(inplace=True), nn.Linear(4, 1), nn.Sigmoid()", "labels", lambda d: gd.MLP(d, hidden=[4], activation="silu", loss="log_loss")),
    ("nn.Linear(2, 4), nn.Linear(4, 2), nn.LogSoftmax(dim=1)", "labels", lambda d: gd.MLP(d, hidden=[4], activation="identity")),
    ("nn.Flatten(), nn.Sequential(nn.Linear(2, 4), nn.Tanh()), nn.Sequential(nn.Linear(4, 3), nn.Identity(), nn.GELU()), nn.Linear(3, 2)", "labels",
     lambda d: gd.MLP(d, hidden=[4, 3], activation=["tanh", "gelu"])),
    ("nn.Linear(2, 3), nn.Softplus(), nn.Dropout(0.5).eval(), nn.Linear(3, 1), nn.Sigmoid()", "numbers",
     lambda d: gd.MLP(d, hidden=[3], activation="softplus", output="sigmoid")),
    ("nn.Linear(2, 1)", "numbers", gd.LinearRegression),
    ("nn.Linear(2, 1, bias=False)", "numbers", lambda d: gd.LinearRegression(d, intercept=False)),
    ("nn.Linear(2, 1), nn.ELU()", "numbers", lambda d: gd.MLP(d, output="elu")),
    ("nn.Linear(2, 2), nn.Softmax(-1)", "labels", lambda d: gd.LogisticRegression(d, loss="cross_entropy")),
    ("nn.Linear(2, 1)", "labels", gd.LogisticRegression),
]  # fmt: skip


@pytest.mark.parametrize(("text", "targets", "expected"), READ)
def test_a_sequential_becomes_a_problem_and_a_vector(torch, text, targets, expected):
    net = sequential(torch, text)
    data = gd.Data([[0.0, 1.0], [1.0, -2.0], [0.5, 0.5]], [0, 1, 1] if targets == "labels" else [0.1, 0.7, 0.3])
    problem, vector = gd.from_torch(net, data)
    assert problem == expected(data)
    assert vector.dtype == np.float32
    assert vector.tolist() == torch.nn.utils.parameters_to_vector(net.parameters()).tolist()
    sums = net[:-1] if targets == "labels" and text.endswith(("nn.Sigmoid()", "nn.Softmax(-1)", "nn.LogSoftmax(dim=1)")) else net
    assert np.array_equal(outputs(torch, problem.to_torch(vector), data.X, "float32"), outputs(torch, sums, data.X, "float32"))
    wide, same = gd.from_torch(copy.deepcopy(net).double(), data)
    assert wide == problem
    assert same.dtype == np.float64
    assert same.tolist() == vector.tolist()


# What is refused, and the words of the error.
REFUSED = [
    (
        "nn.Conv2d(1, 2, 3)",
        r"module '0', a Conv2d, is not known to gdsim; known are Sequential, Linear, Identity, ReLU, .*Sine, .*Flatten, Dropout after eval.*Residual and Dense",
    ),
    ("nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)", r"module '1', a BatchNorm1d, is not known"),
    ("nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.PReLU())", r"module '1\.1', a PReLU, is not known"),
    ("nn.Linear(2, 3), nn.LeakyReLU(0.2), nn.Linear(3, 1)", r"'1', a LeakyReLU, has negative_slope=0\.2; gdsim knows it with negative_slope=0\.01 alone"),
    ("nn.Linear(2, 3), nn.GELU(approximate='tanh'), nn.Linear(3, 1)", r"has approximate='tanh'; gdsim knows it with approximate='none' alone"),
    ("nn.Linear(2, 3), nn.Dropout(0.5), nn.Linear(3, 1)", r"'1', a Dropout, drops units in training, which gdsim does not; module\.eval\(\)"),
    ("nn.Flatten(0), nn.Linear(2, 1)", r"'0', a Flatten, has start_dim=0; gdsim knows it with start_dim=1 alone"),
    ("nn.Linear(2, 3), nn.ReLU(), nn.Tanh(), nn.Linear(3, 1)", r"'2', a Tanh, is a second activation"),
    ("nn.ReLU(), nn.Linear(2, 1)", r"'0', a ReLU, is a second activation, or one before the first layer"),
    ("nn.Linear(2, 3), nn.Softmax(1), nn.Linear(3, 1)", r"has a Softmax between two layers"),
    ("nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 1)", r"'2', a Linear, has 4 inputs, and the layer before it 3 units"),
    ("nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1)", r"layer 0 has no bias \(bias=False\); every layer of a gd\.MLP has one"),
    ("nn.Linear(3, 1)", r"the module takes 3 features, and the data have 2"),
    ("nn.Linear(2, 3)", r"loss is needed: the module has 3 outputs, and y the classes 0, 1; .*class_names=range\(3\)"),
    ("nn.Linear(2, 1), nn.ReLU()", r"after the last layer 'log_loss' goes with identity or sigmoid; the module has relu"),
    ("nn.Linear(2, 2, dtype=torch.complex64)", r"has weights of torch\.complex64"),
    ("nn.Linear(2, 1, device='meta')", r"on meta; gdsim takes real numbers that are there"),
    ("nn.utils.spectral_norm(nn.Linear(2, 1))", r"'0', a Linear, has weights that are made of others in every call"),
    ("nn.utils.parametrizations.weight_norm(nn.Linear(2, 1))", r"'0', a ParametrizedLinear, is not known"),
    ("nn.Flatten()", r"the module has no Linear"),
    ("", r"the module has no Linear"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_gdsim_has_not_is_refused_in_one_line(torch, text, words):
    with pytest.raises(ValueError, match=words) as caught:
        gd.from_torch(sequential(torch, text), gd.datasets.load("xor"))
    assert "\n" not in str(caught.value)


def test_an_activation_that_is_used_twice_counts_twice(torch):
    """Against PyTorch, which calls the one module at each of its places."""
    nn, data = torch.nn, gd.Data([[0.3, -1.0], [2.0, 0.7], [-0.4, 0.1]], [0.1, 0.7, 0.3])
    torch.manual_seed(1)
    tanh, layers = nn.Tanh(), [nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 3), nn.Linear(3, 1)]
    part = nn.Sequential(tanh)
    net = nn.Sequential(layers[0], tanh, layers[1], part, nn.Sequential(layers[2], part), layers[3]).double()
    problem, vector = gd.from_torch(net, data)
    assert problem == gd.MLP(data, hidden=[8, 8, 3], activation="tanh", loss="mean_squared_error")
    assert abs(gd.predict(problem, vector, data.X) - outputs(torch, net, data.X, "float64")).max() < 1e-12


def test_weights_that_are_used_twice_or_are_no_numbers_are_refused_by_name(torch):
    nn, xor = torch.nn, gd.datasets.load("xor")
    one, other, broken = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    other.bias = nn.Parameter(one.bias.detach())  # the same memory
    with torch.no_grad():
        broken.weight[1, 0] = broken.weight[1, 1] = torch.nan
    for net, words in (
        (
            nn.Sequential(one, nn.ReLU(), one),
            "module '2', a Linear, has numbers that are used twice, first by module '0', a Linear: tied weights are not known",
        ),
        (nn.Sequential(one, nn.Sequential(nn.ReLU(), other)), "module '1.1', a Linear, has numbers that are used twice, first by module '0', a Linear"),
        (nn.Sequential(nn.Linear(2, 2), broken), "module '1', a Linear, must have finite weights; weight[1, 0] is nan (2 such numbers in its weight)"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)) as caught:
            gd.from_torch(net, xor)
        assert "\n" not in str(caught.value)


def test_what_is_no_network_of_pytorch_is_refused(torch):
    xor = gd.datasets.load("xor")

    class N(torch.nn.Module):
        pass

    class Skipping(torch.nn.Sequential):
        def forward(self, X):
            return X + super().forward(X)

    for wrong, words in (
        (Skipping(torch.nn.Linear(2, 2)), "the module, a Skipping, is not known"),
        (N(), "the module, an N, is not known"),
        (torch.nn.Linear(2, 2).state_dict(), "module must be a torch.nn.Module; a state_dict was given: problem.pack(state_dict) takes it"),
        ("net", "must be a torch.nn.Module; 'net' was given"),
        (torch.nn.Linear, "the class Linear was given"),
    ):
        with pytest.raises((TypeError, ValueError), match=re.escape(words)):
            gd.from_torch(wrong, xor)
    net = torch.nn.Linear(2, 1)
    assert gd.from_torch(net, xor)[0] == gd.LogisticRegression(xor)  # one Linear needs no Sequential
    with pytest.raises(TypeError, match=r"data must be a gd\.Data"):
        gd.from_torch(net, xor.X)
    with pytest.raises(ValueError, match=r"loss='hinge' is not known"):
        gd.from_torch(net, xor, loss="hinge")
    with pytest.raises(ValueError, match=r"'cross_entropy' on these data needs 2 outputs; the module has 1"):
        gd.from_torch(net, xor, loss="cross_entropy")
    assert gd.from_torch(net, xor, loss="mean_squared_error")[0].loss == "mean_squared_error"
    standardised = gd.LogisticRegression(gd.Data(xor.X, xor.y, standardize=True))
    with pytest.raises(ValueError, match="standardises its features by other numbers than the data"):
        gd.from_torch(standardised.to_torch(np.zeros(3)), xor)
    with pytest.raises(ValueError, match=r"no single network; take one of its `variants\(\)`"):
        gd.MLP(xor, hidden=[2], activation=gd.grid("relu", "tanh")).to_torch(np.zeros(12))
    with pytest.raises(ValueError, match="has 12 numbers"):
        gd.MLP(xor, hidden=[2]).to_torch(np.zeros(5))


def test_a_state_dict_goes_out_and_in(torch):
    xor = gd.datasets.load("xor")
    problem = gd.MLP(xor, hidden=[4, 3], activation="tanh")
    vector = vector_of(problem, "float32")
    state = problem.to_torch(vector).state_dict()
    plain = sequential(torch, "nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)")
    assert list(state) == list(plain.state_dict())
    plain.load_state_dict(state)
    for named in (
        state,
        plain.state_dict(),
        {f"module.{k}": v for k, v in state.items()},
        {k: v.numpy() for k, v in state.items()},
        dict(plain.named_parameters()),
    ):
        assert problem.pack(named).tobytes() == vector.tobytes()
    assert problem.pack([(m.weight, m.bias) for m in plain if isinstance(m, torch.nn.Linear)]).tobytes() == vector.tobytes()
    standard = gd.LinearRegression(gd.Data([[1.0], [3.1]], [0.0, 1.0], standardize=True), intercept=False)
    net = standard.to_torch([2.0])
    for rounded in (net, net.float(), copy.deepcopy(net).double(), copy.deepcopy(net).bfloat16()):  # the mean is 2.05, and in none the same number
        kept = rounded.state_dict()
        assert standard.pack(kept).tolist() == gd.from_torch(rounded, standard.data)[1].tolist() == [2.0]
    assert standard.pack({name: value.numpy() for name, value in net.state_dict().items()}).tolist() == [2.0]
    for wrong, words in (
        ({n: w for n, w in state.items() if n != "2.bias"}, "the state_dict lacks '2.bias'; it has '0.weight', "),
        ({n: w for n, w in state.items() if n != "0.weight"}, "the state_dict lacks '0.weight'; it has '0.bias', "),
        ({**state, "5.running_mean": state["4.bias"]}, "a state_dict of weights and biases is needed.*it has '5.running_mean'"),
        ({1: state["0.bias"]}, "it has 1"), ({"0.bias": state["0.bias"]}, "lacks '0.weight'; it has '0.bias'"), ({"0.weight": state["0.weight"], "0.bias": state["0.bias"]}, "3 layers.*1 were"),
        ({**kept, **state}, "'standardize' standardises features by other numbers than the problem's data"),
        ({**state, "2.weight": state["0.weight"]}, r"W of layer 1 must be of shape \(3, 4\); shape \(4, 2\)"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            problem.pack(wrong)


@pytest.mark.full
def test_training_goes_on_as_pytorch_would(torch):
    """Twenty full-batch steps of Adam with coupled weight decay, from one module, in both."""
    data = data_for("cross_entropy")
    net = sequential(torch, "nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)").double()
    problem, vector = gd.from_torch(net, data)
    rule = gd.WeightDecay(gd.Adam(lr=0.05, convention="torch"), 0.01, decoupled=False)
    result = gd.Sweep(problem=problem, optimizer=rule, init=vector[None], steps=20, dtype="float64", record=gd.Record(parameters=True)).run()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05, weight_decay=0.01)
    X, y = torch.tensor(data.X), torch.tensor(data.y)
    for _ in range(20):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
    ours = problem.to_torch(result.parameters[0])
    assert abs(outputs(torch, ours, data.X, "float64") - net(X).detach().numpy()).max() < 1e-11


def test_without_pytorch_one_line_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("gdsim.pytorch")]:
        monkeypatch.delitem(sys.modules, name)
    xor = gd.MLP(gd.datasets.load("xor"), hidden=[2])
    for call in (lambda: xor.to_torch(np.zeros(12)), lambda: gd.from_torch(None, xor.data)):
        with pytest.raises(ModuleNotFoundError, match=r"^this needs PyTorch, which is not installed: pip install .*torch") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_dataset_is_data(torch):
    utils = torch.utils.data
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9, 3)).astype(np.float32), np.arange(9) % 3
    whole = utils.TensorDataset(torch.tensor(X), torch.tensor(y))
    expected = gd.Data(X, y)
    assert gd.Data(whole) == expected
    assert gd.Data(utils.Subset(whole, [4, 2])) == gd.Data(X[[4, 2]], y[[4, 2]])
    first, second = utils.random_split(whole, [6, 3], generator=torch.Generator().manual_seed(0))
    split = gd.Data(first, validation=second, test=utils.Subset(whole, [0, 1]), standardize=True)
    assert split == gd.Data(X[first.indices], y[first.indices], validation=(X[second.indices], y[second.indices]), test=(X[:2], y[:2]), standardize=True)

    class Images(utils.Dataset):
        """As torchvision has them: a tensor [channel, row, column] and a number."""

        def __len__(self):
            return 4

        def __getitem__(self, place):
            if not 0 <= place < 4:
                raise IndexError(place)
            return torch.full((1, 2, 3), float(place)), place % 2

    pictures = gd.Data(Images())
    assert pictures == gd.Data([[float(i)] * 6 for i in range(4)], [0, 1, 0, 1])
    assert gd.Data(Images(), validation=0.25, seed=3) == gd.Data(pictures.X, pictures.y, validation=0.25, seed=3)
    several = utils.TensorDataset(torch.tensor(X), torch.tensor(X[:, :2]))
    assert gd.Data(several) == gd.Data(X, X[:, :2])

    class Named(Images):
        def __getitem__(self, place):
            return [float(place), 1.0], ["cat", "dog"][place % 2]

    assert gd.Data(Named()).class_names == ("cat", "dog")


def test_what_is_no_data_among_datasets_is_refused(torch):
    utils, x = torch.utils.data, torch.zeros(4, 2)

    class Endless(utils.IterableDataset):
        def __iter__(self):
            return iter([])

    class Ragged(utils.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            return torch.zeros(place + 1), 0

    class Broken(Ragged):
        def __getitem__(self, place):
            return torch.zeros(1), [0][place]

    pairs = utils.TensorDataset(x, torch.zeros(4))
    for call, words in (
        (lambda: gd.Data(utils.DataLoader(pairs)), r"a DataLoader gives batches; give its samples, loader\.dataset"),
        (lambda: gd.Data(Endless()), "must have a length and items by number; Endless has not"),
        (lambda: gd.Data(Ragged()), r"features of one shape; item 0 has \(1,\), item 1 has \(2,\)"),
        (lambda: gd.Data(Broken()), "item 1 of the Dataset raises IndexError: list index out of range"),
        (lambda: gd.Data(utils.TensorDataset(x)), r"a pair \(x, y\); item 0 is a tuple of 1"),
        (lambda: gd.Data(utils.TensorDataset(x[:0], x[:0])), "has no items"),
        (lambda: gd.Data(pairs, torch.zeros(4)), "a Dataset holds its targets; leave y out"),
        (lambda: gd.Data(x), "Data.y is missing"),
        (lambda: gd.Data(pairs, validation=utils.TensorDataset(x[:, :1], torch.zeros(4))), "the validation set must look like the training set"),
        (lambda: gd.Data(pairs, test=utils.TensorDataset(x)), "the test set: each item"),
        (lambda: gd.Data(utils.TensorDataset(x / 0.0, torch.zeros(4))), "X must be finite"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            call()
