"""One measurement of one system: trains RUNS runs of a work side by side and prints a line of JSON.

    python experiments/benchmarks/systems.py SYSTEM WORK RULE RUNS STEPS [THREADS | gpu]

SYSTEM is gdsim, jax (vmap of a jitted scan, optax), torch (batched matrices) or sklearn (one run). All train
in float32 on all cores, or jax and torch on a GPU, in products of float32 too, from gdsim's starts; every run has its own order of samples, the first 64 those of
gdsim, so that all systems train the very same thing. What is timed is one whole training, once everything is
compiled and warm: the fastest of some; of a large work with the losses of all samples at both ends, which
gdsim's time always has in it. Prints microseconds per step of a run, and the median of the first 64 runs' final
losses.
"""

import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import seconds
from works import WORKS, Work, sweep_of

import gdsim as gd
from gdsim.starts import initial_points
from gdsim.sweep.planning.machine import usable_cores

GPU = "gpu"  # a place to train on, in place of a number of threads
CHUNK = 1000  # samples whose losses are computed at once, of the large works
SHOWN = 64  # runs whose orders of samples and final losses are compared


Measure = Callable[[Callable[[], Any]], tuple[float, Any]]
"""Calls something; (seconds, what it returned)."""


def starts_of(name: str, rule: str, runs: int) -> np.ndarray:
    """[run, parameter]: where gdsim's runs start."""
    sweep = sweep_of(name, rule, runs, 1)
    (problem,) = sweep.problem
    return initial_points(sweep.init_of(problem), problem, sweep.seed, np.arange(runs)).astype(np.float32)


def orders_of(name: str, work: Work, runs: int, steps: int) -> np.ndarray | None:
    """[run, step, batch]: the samples of every run's steps; None where they are all samples."""
    if work.batch is None:
        return None
    sweep = sweep_of(name, "adam", runs, steps)
    orders = np.empty((runs, steps, work.batch), np.int32)
    for run in range(min(runs, SHOWN)):
        orders[run] = sweep.order(start=run)
    for run in range(SHOWN, runs):  # theirs again, each a step later: as far as time goes an order of its own
        orders[run] = np.roll(orders[run % SHOWN], run, axis=0)
    return orders


def measure_gdsim(name: str, rule: str, runs: int, steps: int, place: int | str, measure: Measure = seconds) -> tuple[float, np.ndarray]:
    """Through the public face: starts, evaluation at both ends and the Dataset are part of the time."""
    if isinstance(place, str):
        raise SystemExit("gdsim on a GPU is measured by python -m experiments.benchmarks.device rows")
    sweep = sweep_of(name, rule, runs, steps)
    took, result = measure(lambda: sweep.run(threads=place))
    return took, result.final_loss.values[:SHOWN]


def measure_jax(name: str, rule: str, runs: int, steps: int, place: int | str, measure: Measure = seconds) -> tuple[float, np.ndarray]:
    """`vmap` over starts of a `scan` over steps, one jitted function."""
    import jax
    import jax.numpy as jnp
    import optax

    if place == GPU:
        if jax.default_backend() != "gpu":
            raise SystemExit("JAX sees no GPU here")
        jax.config.update("jax_default_matmul_precision", "highest")
    if name == "rosenbrock":
        optimizer = optax.adam(1e-2) if rule == "adam" else optax.sgd(1e-4, momentum=0.9)
    else:
        rate = WORKS[name].rate(rule)
        optimizer = optax.adam(rate) if rule == "adam" else optax.sgd(rate, momentum=0.9)
    starts, scores = starts_of(name, rule, runs), None
    if name == "rosenbrock":
        loss_of: Any = lambda p, _: (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2  # noqa: E731
        parameters, orders = jnp.array(starts), None
    else:
        work = WORKS[name]
        problem = work.problem()
        X, y = jnp.array(problem.data.X, jnp.float32), jnp.array(problem.data.y, jnp.int32)
        act, last = getattr(jax.nn, work.activation), len(problem.layers) - 1

        def loss_at(p: list, a: jax.Array, labels: jax.Array) -> jax.Array:
            for depth, (W, b) in enumerate(p):
                z = a @ W + b
                a = z if depth == last else act(z)
            if work.loss == "log_loss":
                return optax.sigmoid_binary_cross_entropy(a[:, 0], labels).mean()
            return optax.softmax_cross_entropy_with_integer_labels(a, labels).mean()

        def loss_of_all(p: list) -> jax.Array:  # some samples after the other: the units of all fit no memory
            parts = X.reshape(-1, CHUNK, X.shape[1]), y.reshape(-1, CHUNK)
            return jax.lax.map(lambda part: loss_at(p, *part), parts).mean()

        loss_of = lambda p, chosen: loss_at(p, X, y) if chosen is None else loss_at(p, X[chosen], y[chosen])  # noqa: E731
        scores = jax.jit(jax.vmap(loss_of_all)) if work.is_large else None
        parameters = jax.tree.map(jnp.array, layers_of(problem, starts))
        orders = orders_of(name, work, runs, steps)
        orders = None if orders is None else jnp.array(orders, jnp.int32)

    def train(p: Any, order: Any) -> Any:
        def step(carry: tuple, chosen: Any) -> tuple:
            p, s = carry
            update, s = optimizer.update(jax.grad(loss_of)(p, chosen), s)
            return (optax.apply_updates(p, update), s), None

        return jax.lax.scan(step, (p, optimizer.init(p)), order, length=steps)[0][0]

    population = jax.jit(jax.vmap(train, in_axes=(0, None if orders is None else 0)))
    if scores:
        took, (_, ends) = measure(lambda: jax.block_until_ready((scores(parameters), scores(population(parameters, orders)))))
        return took, np.array(ends[:SHOWN])
    took, trained = measure(lambda: jax.block_until_ready(population(parameters, orders)))
    few = jax.tree.map(lambda v: v[:SHOWN], trained)
    return took, np.array(jax.jit(jax.vmap(lambda p: loss_of(p, None)))(few))


def layers_of(problem: gd.MLP, starts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(W[run, input, unit], b[run, unit]), ...] of parameter vectors."""
    found, first = [], 0
    for inputs, units in problem.layers:
        W = starts[:, first : first + inputs * units].reshape(-1, units, inputs).transpose(0, 2, 1)
        first += inputs * units
        found.append((np.ascontiguousarray(W), starts[:, first : first + units]))
        first += units
    return found


def measure_torch(name: str, rule: str, runs: int, steps: int, place: int | str, measure: Measure = seconds) -> tuple[float, np.ndarray]:
    """Batched matrices: one `baddbmm` per layer for all runs, a fused optimizer."""
    import torch

    if place == GPU:
        torch.set_default_device("cuda")
        torch.backends.cuda.matmul.allow_tf32 = False
    work = WORKS[name]
    problem = work.problem()
    X, y = torch.tensor(problem.data.X, dtype=torch.float32), torch.tensor(problem.data.y).long()
    starts, last, act = layers_of(problem, starts_of(name, rule, runs)), len(problem.layers) - 1, getattr(torch, work.activation)
    orders = orders_of(name, work, runs, steps)
    orders = None if orders is None else torch.tensor(orders).long()

    def outputs(layers: list, a: Any) -> Any:
        for depth, (W, b) in enumerate(layers):
            z = torch.baddbmm(b[:, None], a, W)
            a = z if depth == last else act(z)
        return a

    def loss_of(z: Any, labels: Any, reduction: str) -> Any:
        functional = torch.nn.functional
        if work.loss == "log_loss":
            return functional.binary_cross_entropy_with_logits(z.reshape(-1), labels.reshape(-1).float(), reduction=reduction)
        return functional.cross_entropy(z.reshape(-1, z.shape[-1]), labels.reshape(-1), reduction=reduction)

    def scores(layers: list) -> np.ndarray:
        total = np.zeros(len(layers[0][0]))
        with torch.no_grad():
            for first in range(0, len(X), CHUNK):
                z = outputs(layers, X[first : first + CHUNK].expand(len(total), -1, -1))
                total += loss_of(z, y[first : first + CHUNK].expand(len(total), -1), "none").reshape(len(total), -1).sum(1).cpu().numpy()
        return total / len(X)

    def train() -> list:
        layers = [tuple(torch.tensor(v, requires_grad=True) for v in layer) for layer in starts]
        parameters = [v for layer in layers for v in layer]
        rate = work.rate(rule)
        optimizer = torch.optim.Adam(parameters, lr=rate, fused=True) if rule == "adam" else torch.optim.SGD(parameters, lr=rate, momentum=0.9, fused=True)
        for t in range(steps):
            a, labels = (X.expand(runs, -1, -1), y.expand(runs, -1)) if orders is None else (X[orders[:, t]], y[orders[:, t]])
            loss = loss_of(outputs(layers, a), labels, "sum") / labels.shape[1]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if place == GPU:
            torch.cuda.synchronize()
        return layers

    if work.is_large:
        took, (_, ends) = measure(lambda: (scores([tuple(map(torch.tensor, layer)) for layer in starts]), scores(train())))
        return took, ends[:SHOWN]
    took, trained = measure(train)
    with torch.no_grad():
        few = [(W[:SHOWN], b[:SHOWN]) for W, b in trained]
        z = outputs(few, X.expand(len(few[0][0]), -1, -1))
        return took, np.array([float(loss_of(one, y, "mean")) for one in z])


def measure_sklearn(name: str, rule: str, runs: int, steps: int, place: int | str, measure: Measure = seconds) -> tuple[float, np.ndarray]:
    """MLPClassifier, one run for whole epochs."""
    from sklearn.neural_network import MLPClassifier

    work = WORKS[name]
    data = work.samples()
    X, y = data.X.astype(np.float32), data.y
    batch = work.batch or len(X)
    epochs = max(1, round(steps * batch / len(X)))
    solver = {"solver": "adam"} if rule == "adam" else {"solver": "sgd"}
    options = {"alpha": 0.0, "batch_size": batch, "max_iter": epochs, "tol": 0, "n_iter_no_change": 10**6, "learning_rate_init": work.rate(rule), **solver}

    def train() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MLPClassifier(work.hidden, work.activation, **options).fit(X, y)
        shares: Any = model.predict_proba(X)
        return float(-np.log(np.maximum(shares[np.arange(len(X)), y], 1e-30)).mean())

    took, loss = measure(train)
    return took * runs * steps / (epochs * -(-len(X) // batch)), np.array([loss])


SYSTEMS = {"gdsim": measure_gdsim, "jax": measure_jax, "torch": measure_torch, "sklearn": measure_sklearn}


def main() -> None:
    """Measures what the command line asks for."""
    system, name, rule, runs, steps, *rest = sys.argv[1:]
    place = GPU if rest == [GPU] else int(rest[0]) if rest else usable_cores()
    took, losses = SYSTEMS[system](name, rule, int(runs), int(steps), place)
    print(json.dumps({"us": took / int(steps) / int(runs) * 1e6, "loss": float(np.nanmedian(losses))}))


if __name__ == "__main__":
    main()
