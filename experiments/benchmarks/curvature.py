"""How fast gdsim makes second derivatives of a network, beside JAX and PyTorch on the same cores.

    python experiments/benchmarks/curvature.py [--rounds 5] [--runs 16] [--spectra 100] [--cpu] [--json FILE]

The whole Hessian of 64-8-10 on all digits, of gdsim for a population of as many runs as are asked for, of
`jax.jit(jax.hessian)` and `torch.func.hessian` at one point after the other, in float64 and float32. Then,
of gdsim alone: a product with a vector over a gradient, at full packs, and the time of 1000 spectra, from
those of a hundred. Each round measures every system once, in turns, each in a process of its own that has
compiled before. Medians over rounds; with `--cpu` the time that processors have worked for a process instead
of the clock's, which cores that others use tell better. Fails where Hessians differ by more than 1e-10 of the
largest entry in float64, 1e-4 in float32. So it is for one product with a vector of the 9,985 second derivatives that
64-133-10 has of each weight, at as many points side by side in all systems: in JAX and PyTorch `vmap` of the
derivative of `grad` along a vector (`jvp`).
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

HIDDEN, WIDE, SEED = 8, 133, 0
AGREEMENT = {"float64": 1e-10, "float32": 1e-4}


def problem_and_points(runs: int, dtype: str, hidden: int = HIDDEN) -> tuple[Any, np.ndarray]:
    """gdsim's problem, and [run, parameter]."""
    import gdsim as gd

    problem = gd.MLP(gd.datasets.load("digits"), hidden=[hidden], activation="tanh")
    return problem, (0.3 * np.random.default_rng(SEED).normal(size=(runs, problem.parameter_count))).astype(dtype)


def of_gdsim(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import gdsim as gd

    return gd.curvature.hessian(problem, points).hessian.values


def jax_loss(problem: Any, dtype: Any) -> Callable[[Any], Any]:
    """The loss of a vector of weights, in JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", dtype == np.float64)
    X, y = jnp.asarray(problem.data.X, dtype), jnp.asarray(problem.data.y)

    def loss(w: Any) -> Any:
        W, b, V, c = parts_of(w)
        logits = jnp.tanh(X @ W.T + b) @ V.T + c
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    return loss


def torch_loss(problem: Any, dtype: Any) -> Callable[[Any], Any]:
    """The same in PyTorch."""
    import torch

    X, y = torch.tensor(problem.data.X.astype(dtype)), torch.tensor(problem.data.y)

    def loss(w: Any) -> Any:
        W, b, V, c = parts_of(w)
        return torch.nn.functional.cross_entropy(torch.tanh(X @ W.T + b) @ V.T + c, y)

    return loss


def of_jax(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import jax
    import jax.numpy as jnp

    if "made" not in _compiled:
        _compiled["made"] = jax.jit(jax.hessian(jax_loss(problem, points.dtype)))
    return np.stack([np.asarray(_compiled["made"](jnp.asarray(w))) for w in points])


def of_torch(problem: Any, points: np.ndarray) -> np.ndarray:
    """[run, row, column]"""
    import torch

    hessian = torch.func.hessian(torch_loss(problem, points.dtype))
    return np.stack([hessian(torch.tensor(w)).numpy() for w in points])


def products_of(system: str, problem: Any, points: np.ndarray, vectors: np.ndarray) -> Callable[[], np.ndarray]:
    """What makes [run, parameter], the product of each point's second derivatives with its vector."""
    if system == "gdsim":
        import gdsim as gd

        return lambda: np.asarray(gd.curvature.hessian_product(problem, points, vectors[:, None]))[:, 0]
    if system == "jax":
        import jax
        import jax.numpy as jnp

        slope = jax.grad(jax_loss(problem, points.dtype))
        product = jax.jit(jax.vmap(lambda w, v: jax.jvp(slope, (w,), (v,))[1]))
        return lambda: np.asarray(product(jnp.asarray(points), jnp.asarray(vectors)))
    import torch

    steepness = torch.func.grad(torch_loss(problem, points.dtype))
    along = torch.func.vmap(lambda w, v: torch.func.jvp(steepness, (w,), (v,))[1])
    return lambda: along(torch.tensor(points), torch.tensor(vectors)).numpy()


def parts_of(w: Any) -> tuple[Any, Any, Any, Any]:
    """(W, b, V, c) of a vector, layer by layer."""
    hidden = (len(w) - 10) // (64 + 1 + 10)
    ends = np.cumsum([hidden * 64, hidden, 10 * hidden, 10])
    return w[: ends[0]].reshape(hidden, 64), w[ends[0] : ends[1]], w[ends[1] : ends[2]].reshape(10, hidden), w[ends[2] :]


_compiled: dict[str, Any] = {}
SYSTEMS = {"gdsim": of_gdsim, "jax": of_jax, "torch": of_torch}
PRODUCTS = {f"{system}-product": system for system in SYSTEMS}


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


def product_seconds(system: str, dtype: str, runs: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Seconds of a product at one of the points, and some numbers of the first by which systems are compared."""
    problem, points = problem_and_points(runs, dtype, WIDE)
    call = products_of(system, problem, points, points[::-1].copy())
    first = call()[0].astype(float)
    return {"seconds": took(call, clock) / runs, "entries": first[::37].tolist(), "largest": float(np.abs(first).max())}


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
    if what in PRODUCTS:
        return product_seconds(PRODUCTS[what], dtype, runs, clock)
    return spectrum_seconds(spectra, clock) if what == "spectra" else hessian_seconds(what, dtype, runs, clock)


def lines(rounds: list[dict[tuple[str, str], dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """The figures of all rounds. Raises SystemExit where Hessians differ."""
    median = lambda what, dtype: statistics.median(r[what, dtype]["seconds"] for r in rounds)  # noqa: E731
    for dtype, most in AGREEMENT.items():
        for what, ending in (("Hessians", ""), ("products", "-product")):
            ours, *theirs = [f"{s}{ending}" for s in SYSTEMS]
            entries = [rounds[0][s, dtype]["entries"] for s in (ours, *theirs)]
            apart = max(float(np.abs(np.subtract(e, entries[0])).max()) for e in entries) / rounds[0][ours, dtype]["largest"]
            if apart > most:
                raise SystemExit(f"the {what} in {dtype} differ by {apart:.1g} of the largest entry")
            ratios = [min(r[s, dtype]["seconds"] for s in theirs) / r[ours, dtype]["seconds"] for r in rounds]
            figures = {"dtype": dtype, "what": what, **{s: median(f"{s}{ending}", dtype) for s in SYSTEMS}, "apart": apart}
            yield figures | {"ratio": statistics.median(ratios), "ratios": ratios, "product": None if ending else median("product", dtype)}
    yield {"spectra": median("spectra", "float64")}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=16, help="points at which gdsim makes Hessians, and all make products, side by side")
    parser.add_argument("--spectra", type=int, default=100, help="from whose time that of 1000 is told")
    parser.add_argument("--cpu", action="store_true", help="time of processors in place of the clock's")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "DTYPE"), help="measure one thing once, in this process")
    options = parser.parse_args()
    if options.one:
        what, dtype = options.one
        print(json.dumps(measured(what, dtype, options.runs, options.spectra, time.process_time if options.cpu else time.perf_counter)))
        return
    words = ("--runs", options.runs, "--spectra", options.spectra, *(["--cpu"] if options.cpu else []), "--one")
    asked = [*((s, dtype) for dtype in AGREEMENT for s in (*SYSTEMS, "product", *PRODUCTS)), ("spectra", "float64")]
    rounds = [{one: json.loads(answer(__file__, *words, *one)) for one in asked} for _ in range(options.rounds)]
    *rows, last = lines(rounds)
    print("| digits | gdsim | JAX | PyTorch | gdsim over the faster | in each round | H v in gradients |\n|---|---|---|---|---|---|---|")
    names = {"Hessians": "Hessian of 64-8-10", "products": "H v of 64-133-10"}
    for row in rows:
        times = " | ".join(f"{1e3 * row[s]:.3g} ms" for s in SYSTEMS)
        spread = f"{min(row['ratios']):.2f} to {max(row['ratios']):.2f}"
        gradients = "" if row["product"] is None else f"{row['product']:.2f}"
        print(f"| {names[row['what']]}, {row['dtype']} | {times} | {row['ratio']:.2f}x | {spread} | {gradients} |")
    print(f"\n1000 spectra in float64: {last['spectra']:.3g} s")
    if options.json:
        options.json.write_text(json.dumps([*rows, last], indent=1))


if __name__ == "__main__":
    main()
