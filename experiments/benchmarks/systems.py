"""One measurement of one system: trains RUNS networks 64-32-10 on the digits side by side and prints a line of JSON.

    python experiments/benchmarks/systems.py SYSTEM RULE RUNS STEPS

SYSTEM is gdsim, jax (vmap of a jitted scan, optax), torch (batched matrices) or sklearn (one run at a time); RULE is adam
(rate 0.001) or momentum (rate 0.1, 0.9). All train in float32 on batches of 32, on all cores, every run with its own start
and sample order. What is timed is one whole training of STEPS steps, once everything is compiled and warm.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.datasets import load_digits

BATCH, HIDDEN, CLASSES = 32, 32, 10


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The digits, scaled to [0, 1]."""
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y.astype(np.int32)


def seconds(call: Callable[[], float]) -> tuple[float, float]:
    """(seconds of the second of two calls, what it returned): the median final loss."""
    call()
    began = time.perf_counter()
    loss = call()
    return time.perf_counter() - began, loss


def measure_gdsim(rule: str, runs: int, steps: int) -> tuple[float, float]:
    """Through the public face: starts, evaluation at both ends and the Dataset are part of the time."""
    import gdsim as gd

    optimizer = gd.Adam(lr=1e-3) if rule == "adam" else gd.Momentum(lr=0.1, momentum=0.9)
    problem = gd.MLP(gd.datasets.load("digits"), hidden=[HIDDEN], activation="relu", loss="cross_entropy")
    record = gd.Record(every="ends", gradient_norm=False)
    sweep = gd.Sweep(problem=problem, optimizer=optimizer, init="he", starts=runs, steps=steps, batch=BATCH, record=record)
    return seconds(lambda: float(np.median(sweep.run().final_loss)))


def measure_jax(rule: str, runs: int, steps: int) -> tuple[float, float]:
    """`vmap` over starts of a `scan` over steps, one jitted function."""
    import jax
    import jax.numpy as jnp
    import optax

    X, y = map(jnp.array, digits())
    optimizer = optax.adam(1e-3) if rule == "adam" else optax.sgd(0.1, momentum=0.9)

    def loss_of(p: dict, X: jax.Array, y: jax.Array) -> jax.Array:
        logits = jax.nn.relu(X @ p["W"] + p["b"]) @ p["V"] + p["c"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    def start(key: jax.Array) -> tuple[dict, jax.Array]:
        one, two, three = jax.random.split(key, 3)
        W = jax.random.normal(one, (64, HIDDEN)) * (2 / 64) ** 0.5
        V = jax.random.normal(two, (HIDDEN, CLASSES)) * (2 / HIDDEN) ** 0.5
        return {"W": W, "b": jnp.zeros(HIDDEN), "V": V, "c": jnp.zeros(CLASSES)}, jax.random.permutation(three, len(X))

    def train(state: tuple[dict, jax.Array]) -> dict:
        parameters, order = state

        def step(carry: tuple, t: jax.Array) -> tuple:
            p, s = carry
            chosen = jax.lax.dynamic_slice(order, ((t * BATCH) % (len(X) - BATCH + 1),), (BATCH,))
            update, s = optimizer.update(jax.grad(loss_of)(p, X[chosen], y[chosen]), s)
            return (optax.apply_updates(p, update), s), None

        return jax.lax.scan(step, (parameters, optimizer.init(parameters)), jnp.arange(steps))[0][0]

    population = jax.jit(jax.vmap(train))
    starts = jax.block_until_ready(jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), runs)))
    took, trained = 0.0, None
    for _ in range(2):
        began = time.perf_counter()
        trained = jax.block_until_ready(population(starts))
        took = time.perf_counter() - began
    return took, float(np.median(jax.vmap(lambda p: loss_of(p, X, y))(jax.tree.map(lambda v: v[:64], trained))))


def measure_torch(rule: str, runs: int, steps: int) -> tuple[float, float]:
    """Batched matrices: one `baddbmm` per layer for all runs, a fused optimizer."""
    import torch

    X, y = torch.tensor(digits()[0]), torch.tensor(digits()[1]).long()
    orders = torch.stack([torch.randperm(len(X)) for _ in range(runs)])

    def train() -> float:
        shapes = ((64, HIDDEN, (2 / 64) ** 0.5), (1, HIDDEN, 0.0), (HIDDEN, CLASSES, (2 / HIDDEN) ** 0.5), (1, CLASSES, 0.0))
        W, b, V, c = parameters = [(torch.randn(runs, m, n) * s).requires_grad_() for m, n, s in shapes]
        optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True) if rule == "adam" else torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True)
        for t in range(steps):
            first = (t * BATCH) % (len(X) - BATCH + 1)
            chosen = orders[:, first : first + BATCH]
            logits = torch.baddbmm(c, torch.relu(torch.baddbmm(b, X[chosen], W)), V)
            loss = torch.nn.functional.cross_entropy(logits.reshape(-1, CLASSES), y[chosen].reshape(-1), reduction="sum") / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            logits = torch.baddbmm(c[:64], torch.relu(torch.baddbmm(b[:64], X.expand(min(runs, 64), -1, -1), W[:64])), V[:64])
            losses = [float(torch.nn.functional.cross_entropy(z, y)) for z in logits]
        return float(np.median(losses))

    return seconds(train)


def measure_sklearn(rule: str, runs: int, steps: int) -> tuple[float, float]:
    """MLPClassifier, one run after the other: one is timed, for whole epochs."""
    from sklearn.neural_network import MLPClassifier

    X, y = digits()
    epochs = max(1, round(steps * BATCH / len(X)))
    options = {"solver": "adam", "learning_rate_init": 1e-3} if rule == "adam" else {"solver": "sgd", "learning_rate_init": 0.1}

    def train() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MLPClassifier((HIDDEN,), "relu", alpha=0.0, batch_size=BATCH, max_iter=epochs, tol=0, n_iter_no_change=10**6, **options).fit(X, y)
        return float(-np.log(np.maximum(model.predict_proba(X)[np.arange(len(X)), y], 1e-30)).mean())

    took, loss = seconds(train)
    return took * runs * steps / (epochs * -(-len(X) // BATCH)), loss


SYSTEMS = {"gdsim": measure_gdsim, "jax": measure_jax, "torch": measure_torch, "sklearn": measure_sklearn}


def main() -> None:
    """Measures what the command line asks for."""
    system, rule, runs, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    took, loss = SYSTEMS[system](rule, runs, steps)
    print(json.dumps({"system": system, "rule": rule, "runs": runs, "us": took / steps / runs * 1e6, "loss": loss}))


if __name__ == "__main__":
    main()
