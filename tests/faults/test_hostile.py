"""Plans and shards that someone made to do harm: an error in bounded time and memory, and no code is run."""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import pickle
import resource
import shutil
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import gdsim as gd

EXAMPLES = (40, 200, 5000)  # in each tier
MEMORY = 200 * 2**20
SECONDS = 20.0  # a guard: what grows without bound takes longer on any machine
QUIET = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck), "database": None}


@contextlib.contextmanager
def bounded():
    """Refuses more memory than there is now and 200 MB, and fails what takes long."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    held = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, held[1]))
    began = time.monotonic()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, held)
    assert time.monotonic() - began < SECONDS


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What is imported late is imported now."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("the bound on memory is set by /proc")
    gd.Sweep(problem=gd.MLP(gd.datasets.load("moons")), optimizer=gd.Adam(), steps=2).plan()


HUGE = st.one_of(st.integers(-(2**70), 2**70), st.sampled_from([0, -1, 1, 2**31, 2**32, 2**53, 2**64, 10**18, 10**30, 1e308, float("inf"), float("nan"), True]))
NUMBER = st.one_of(HUGE, st.text(max_size=5), st.lists(HUGE, max_size=4))
AXIS = st.one_of(
    NUMBER,
    st.fixed_dictionaries({"logspace": st.lists(HUGE, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"linspace": st.lists(HUGE, min_size=3, max_size=3)}),
    st.fixed_dictionaries({"uniform": st.lists(HUGE, min_size=2, max_size=2), "draws": HUGE}),
    st.fixed_dictionaries({"grid": st.lists(NUMBER, max_size=4)}),
    st.fixed_dictionaries({"zip": st.lists(NUMBER, max_size=4)}),
)
PROBLEM = st.one_of(
    st.fixed_dictionaries({"type": st.just("mlp"), "data": st.just("moons"), "hidden": st.one_of(AXIS, st.lists(HUGE, max_size=5))}),
    st.fixed_dictionaries({"type": st.just("rosenbrock"), "dim": HUGE}),
    st.fixed_dictionaries(
        {
            "type": st.just("expression"),
            "text": st.one_of(
                st.sampled_from(
                    [
                        "9**9**9**9",
                        "x" + "+x" * 50_000,
                        "(" * 5000 + "x" + ")" * 5000,
                        "x**(10**9)",
                        "factorial(10**8)*x",
                        "__import__('os').system('touch hacked')",
                        "exp(" * 300 + "x" + ")" * 300,
                    ]
                ),
                st.text(max_size=30),
            ),
        }
    ),
    st.fixed_dictionaries({"type": st.just("teacher_student"), "teacher": HUGE, "student": HUGE}),
    st.fixed_dictionaries({"type": st.just("quadratic"), "matrix": st.lists(st.lists(HUGE, max_size=3), max_size=3)}),
    st.fixed_dictionaries({"type": st.just("own"), "function": st.sampled_from(["os:system", "builtins:exec", "nowhere:f", ":", "a" * 10_000]), "dim": HUGE}),
)
EXPERIMENT = st.fixed_dictionaries(
    {"problem": PROBLEM, "optimizer": st.fixed_dictionaries({"type": st.sampled_from(["adam", "sgd", "lion"]), "lr": AXIS})},
    optional={
        "starts": HUGE, "steps": HUGE, "samples": HUGE, "batch": AXIS, "seed": HUGE, "dtype": AXIS,
        "record": st.fixed_dictionaries({"every": st.one_of(HUGE, st.lists(HUGE, max_size=3))}),
        "stop": st.lists(st.fixed_dictionaries({"type": st.just("target"), "loss": AXIS}), max_size=2),
        "init": st.one_of(AXIS, st.fixed_dictionaries({"type": st.sampled_from(["sobol", "latin_hypercube", "normal"])})),
        "schedule": st.fixed_dictionaries({"type": st.just("cosine"), "cycle": HUGE}),
    },
)  # fmt: skip


def toml(value):
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str) else repr(value)


def planned(path):
    """Reads a file and plans it, which it may refuse."""
    with contextlib.suppress(ValueError, TypeError):
        str(gd.read_experiment(path).plan())


def test_hostile_plans(tier, tmp_path, told):
    path = tmp_path / "experiment.toml"

    @settings(max_examples=EXAMPLES[tier], **QUIET)
    @given(EXPERIMENT)
    def check(table):
        path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in table.items()))
        with bounded():
            planned(path)

    check()
    assert [p.name for p in tmp_path.iterdir()] == ["experiment.toml"]
    told("hostile plan, hostile shard", plans=EXAMPLES[tier])


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a = " + "[" * 50_000 + "]" * 50_000,
        "a." * 50_000 + "b = 1",
        "x = " + "9" * 200_000,
        "\0" * 1000,
        "[problem]\n" * 100_000,
        "a = 1\n" * 400_000,
    ],
    ids=["brackets", "nested lists", "nested keys", "digits", "zeros", "tables", "long"],
)
def test_hostile_text(text, tmp_path):
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    with bounded(), pytest.raises(ValueError, match=r"experiment\.toml"):
        gd.read_experiment(path)


class Bomb:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored") / "out"
    gd.Sweep(problem=gd.functions.Booth(), optimizer=gd.SGD(lr=[0.001, 0.01]), starts=40, steps=20).run(out=folder)
    return folder


COLUMN = st.sampled_from(
    [
        pa.array([1.0] * 80), pa.array(["x" * 1000] * 80), pa.array([pickle.dumps(print)] * 80), pa.array([[1.0, 2.0]] * 80), pa.array([[[[[1.0]]]]] * 80),
        pa.array([{"a": 1}] * 80), pa.array([None] * 80, pa.float64()), pa.array([2**62] * 80), pa.array([True] * 80), pa.array([1.0] * 79),
        pa.array([-1] * 80, pa.int8()), pa.array([100] * 80, pa.int8()), pa.FixedSizeListArray.from_arrays(pa.array([0.0] * 1600), 20),
    ]
)  # fmt: skip
WORD = st.one_of(HUGE, st.text(max_size=10), st.none(), st.lists(HUGE, max_size=3), st.lists(st.text(max_size=70), max_size=3))


def test_hostile_shards(stored, tier, tmp_path, told):
    """Sound by its name, and all else made up: it is refused, or what is read is of the right types and
    sizes.
    """
    (good,) = (stored / "shards").iterdir()
    footer = json.loads(pq.read_schema(good).metadata[b"gdsim"])
    table = pq.read_table(good)
    names = table.column_names
    shutil.copytree(stored, tmp_path / "out")
    (tmp_path / "out" / "shards" / good.name).unlink()

    read = []

    @settings(max_examples=EXAMPLES[tier], **QUIET)
    @given(
        st.dictionaries(st.sampled_from([*footer, "more"]), WORD, max_size=2),
        st.dictionaries(st.sampled_from(list(footer["columns"])), st.tuples(st.sampled_from(["float64", "int8", "object", "S9999999999", "int64"]), st.lists(HUGE, max_size=3)), max_size=2),
        st.dictionaries(st.sampled_from(names), COLUMN, max_size=2),
    )  # fmt: skip
    def check(changes, columns, arrays):
        arrays = {n: a for n, a in arrays.items() if len(a) == table.num_rows or n == names[0]}
        fields = {n: arrays.get(n, table[n]) for n in names}
        about = {**footer, "columns": {**footer["columns"], **{n: list(c) for n, c in columns.items()}}, **changes}
        with contextlib.suppress(pa.ArrowInvalid):
            made = pa.table(fields).replace_schema_metadata({"gdsim": json.dumps(about)})
            sink = io.BytesIO()
            pq.write_table(made, sink)
            data = sink.getvalue()
            path = tmp_path / "out" / "shards" / f"{good.name[:32]}-{hashlib.sha256(data).hexdigest()}.parquet"
            path.write_bytes(data)
            try:
                with bounded(), contextlib.suppress(ValueError):
                    result = gd.open(tmp_path / "out").load()
                    assert result.sizes["run"] <= 80
                    read.append(result.sizes["run"])
            finally:
                path.unlink()

    check()
    assert 0 < len(read) < EXAMPLES[tier]  # some are harmless
    told("hostile plan, hostile shard", shards=EXAMPLES[tier])


def test_nothing_is_unpickled(stored, tmp_path):
    """Pickles wherever they could lie: beside the data, as the data, as shards, in footers."""
    shutil.copytree(stored, tmp_path / "out")
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    (tmp_path / "out" / "shards" / f"{'0' * 32}-{hashlib.sha256(bomb).hexdigest()}.parquet").write_bytes(bomb)
    with pytest.raises(ValueError, match="damaged"):
        gd.open(tmp_path / "out")
    (tmp_path / "out" / "experiment.json").write_bytes(bomb)
    with pytest.raises(ValueError, match="cannot be read"):
        gd.open(tmp_path / "out")
    data = gd.Data([[0.0], [1.0]], [0.0, 1.0])
    gd.Sweep(problem=gd.LinearRegression(data), optimizer=gd.SGD(), steps=3).run(out=tmp_path / "regression")
    (path,) = (tmp_path / "regression" / "data").iterdir()
    path.write_bytes(bomb)
    with pytest.raises(ValueError, match=r"cannot be read|npz"):
        gd.open(tmp_path / "regression")
    assert not (tmp_path / "exploded").exists()
