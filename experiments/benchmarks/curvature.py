"""How fast gdsim makes second derivatives of a network, beside JAX and PyTorch on the same cores.

    python experiments/benchmarks/curvature.py [--rounds 5] [--runs 16] [--spectra 100] [--cpu] [--json FILE]

The whole Hessian of 64-8-10 on all digits, of gdsim for a population of as many runs as are asked for, of
`jax.jit(jax.hessian)` and `torch.func.hessian` at one point after the other, in float64 and float32. Then,
of gdsim alone: a product with a vector over a gradient, at full packs, and the time of 1000 spectra, from
those of a hundred. Each round measures every system once, in turns, each in a process of its own that has
compiled before. Medians over rounds; with `--cpu` the time that processors have worked for a process instead
of the clock's, which cores that others use tell better. Fails where Hessians differ by more than 1e-10 of the
largest entry in float64, 1e-4 in float32.
"""

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from processes import answer

HIDDEN, SEED = 8, 0
AGREEMENT = {"float64": 1e-10, "float32": 1e-4}


def problem_and_points(runs: int, dtype: str) -> tuple[Any, np.ndarray]:
    """gdsim's problem, and [run, parameter]."""
    import gdsim as gd

    problem = gd.MLP(gd.datasets.load("digits"), hidden=[HIDDEN], activation="tanh")
    return problem, (0.3 * np.random.default_rng(SEED).normal(size=(runs, problem.parameter_count))).astype(dtype)


def of_gdsim(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import gdsim as gd

    return gd.curvature.hessian(problem, points).hessian.values


def of_jax(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", points.dtype == np.float64)
    X, y = jnp.asarray(problem.data.X, points.dtype), jnp.asarray(problem.data.y)

    def loss(w: Any) -> Any:
        W, b, V, c = parts_of(w)
        logits = jnp.tanh(X @ W.T + b) @ V.T + c
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    if "made" not in _compiled:
        _compiled["made"] = jax.jit(jax.hessian(loss))
    return np.stack([np.asarray(_compiled["made"](jnp.asarray(w))) for w in points])


def of_torch(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import torch

    X, y = torch.tensor(problem.data.X.astype(points.dtype)), torch.tensor(problem.data.y)

    def loss(w: Any) -> Any:
        W, b, V, c = parts_of(w)
        return torch.nn.functional.cross_entropy(torch.tanh(X @ W.T + b) @ V.T + c, y)

    return np.stack([torch.func.hessian(loss)(torch.tensor(w)).numpy() for w in points])


def parts_of(w: Any) -> tuple[Any, Any, Any, Any]:
    """(W, b, V, c) of a vector, layer by layer."""
    ends = np.cumsum([HIDDEN * 64, HIDDEN, 10 * HIDDEN, 10])
    return w[: ends[0]].reshape(HIDDEN, 64), w[ends[0] : ends[1]], w[ends[1] : ends[2]].reshape(10, HIDDEN), w[ends[2] :]


_compiled: dict[str, Any] = {}
SYSTEMS = {"gdsim": of_gdsim, "jax": of_jax, "torch": of_torch}


def took(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    """Seconds of a call that is made for the second time."""
    call()
    began = clock()
    call()
    return clock() - began


def hessian_seconds(system: str, dtype: str, runs: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of a Hessian, and some numbers of the first by which systems are compared."""
    problem, points = problem_and_points(runs, dtype)
    some = points if system == "gdsim" else points[:1]
    seconds = took(lambda: SYSTEMS[system](problem, some), clock) / len(some)
    first = SYSTEMS[system](problem, points[:1])[0].astype(float)
    return {"seconds": seconds, "entries": first[::37, ::23].ravel().tolist(), "largest": float(np.abs(first).max())}


def product_ratio(dtype: str, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of a product with a vector over those of a gradient, at the same points on one thread."""
    from gdsim.population import Gradients, hessian_product

    problem, points = problem_and_points(256, dtype)
    vectors = points[::-1, None].copy()
    gradients = Gradients(problem, dtype)
    pairs = [(took(lambda: hessian_product(problem, points, vectors), clock), took(lambda: gradients.at(points), clock)) for _ in range(3)]
    return {"seconds": statistics.median(product / gradient for product, gradient in pairs)}


def spectrum_seconds(count: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of 1000 spectra in float64."""
    import gdsim as gd

    problem, points = problem_and_points(count, "float64")
    gd.curvature.eigenvalues(problem, points[:1], progress=False)
    began = clock()
    gd.curvature.eigenvalues(problem, points, progress=False)
    return {"seconds": (clock() - began) * 1000 / count}


def measured(what: str, dtype: str, runs: int, spectra: int, clock: Callable[[], float]) -> dict[str, Any]:
    """What one process measures."""
    if what == "product":
        return product_ratio(dtype, clock)
    return spectrum_seconds(spectra, clock) if what == "spectra" else hessian_seconds(what, dtype, runs, clock)


def lines(rounds: list[dict[tuple[str, str], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The figures of all rounds. Raises SystemExit where Hessians differ."""
    median = lambda what, dtype: statistics.median(r[what, dtype]["seconds"] for r in rounds)  # noqa: E731
    for dtype, most in AGREEMENT.items():
        first = {s: rounds[0][s, dtype] for s in SYSTEMS}
        apart = max(np.abs(np.subtract(f["entries"], first["gdsim"]["entries"])).max() for f in first.values()) / first["gdsim"]["largest"]
        if apart > most:
            raise SystemExit(f"the Hessians in {dtype} differ by {apart:.1g} of the largest entry")
        ratio = statistics.median(min(r[s, dtype]["seconds"] for s in SYSTEMS if s != "gdsim") / r["gdsim", dtype]["seconds"] for r in rounds)
        yield {"dtype": dtype, **{s: median(s, dtype) for s in SYSTEMS}, "ratio": ratio, "apart": float(apart), "product": median("product", dtype)}
    yield {"spectra": median("spectra", "float64")}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=16, help="Hessians that gdsim makes side by side")
    parser.add_argument("--spectra", type=int, default=100, help="from whose time that of 1000 is told")
    parser.add_argument("--cpu", action="store_true", help="time of processors in place of the clock's")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "DTYPE"), help="measure one thing once, in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measured(*options.one, options.runs, options.spectra, time.process_time if options.cpu else time.perf_counter)))
        return
    words = ("--runs", options.runs, "--spectra", options.spectra, *(["--cpu"] if options.cpu else []), "--one")
    asked = [*((s, dtype) for dtype in AGREEMENT for s in (*SYSTEMS, "product")), ("spectra", "float64")]
    rounds = [{one: json.loads(answer(__file__, *words, *one)) for one in asked} for _ in range(options.rounds)]
    *rows, last = lines(rounds)
    print("| Hessian of 64-8-10, digits | gdsim | JAX | PyTorch | gdsim over the faster | H v in gradients |\n|---|---|---|---|---|---|")
    for row in rows:
        times = " | ".join(f"{1e3 * row[s]:.3g} ms" for s in SYSTEMS)
        print(f"| {row['dtype']} | {times} | {row['ratio']:.2f}x | {row['product']:.2f} |")
    print(f"\n1000 spectra in float64: {last['spectra']:.3g} s")
    if options.json:
        options.json.write_text(json.dumps([*rows, last], indent=1))


if __name__ == "__main__":
    main()
