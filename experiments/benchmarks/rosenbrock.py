"""How fast gdsim trains populations on the 2-D Rosenbrock function, beside JAX on the same cores.

    python experiments/benchmarks/rosenbrock.py [--rounds 3] [--steps 1000] [--json FILE]

Each round measures both systems once, each in a process of its own, float32, the second of two runs: the whole of `sweep.run()`
with its starts and Dataset, and `jax.jit(vmap(scan))` with its end points. Figures are medians over rounds of nanoseconds per run and step.
"""

import argparse
import json
import pathlib
import statistics
import time

from processes import answer

ROWS = [("adam", 100_000), ("adam", 1_000_000), ("momentum", 100_000), ("momentum", 1_000_000)]


def measure_gdsim(rule: str, runs: int, steps: int) -> float:
    """Seconds of the second of two sweeps."""
    import gdsim as gd

    optimizer = gd.Adam(lr=1e-2) if rule == "adam" else gd.Momentum(lr=1e-4)
    sweep = gd.Sweep(problem=gd.functions.Rosenbrock(), optimizer=optimizer, starts=runs, steps=steps, dtype="float32", record=gd.Record(every="ends"))
    sweep.run()
    began = time.perf_counter()
    sweep.run()
    return time.perf_counter() - began


def measure_jax(rule: str, runs: int, steps: int) -> float:
    """Seconds of the second of two calls of a jitted vmap over starts of a scan over steps."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    optimizer = optax.adam(1e-2) if rule == "adam" else optax.sgd(1e-4, momentum=0.9)

    def loss(p: jax.Array) -> jax.Array:
        return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2

    def train(p: jax.Array) -> jax.Array:
        def step(state: tuple, _: None) -> tuple:
            p, s = state
            update, s = optimizer.update(jax.grad(loss)(p), s)
            return (optax.apply_updates(p, update), s), None

        return jax.lax.scan(step, (p, optimizer.init(p)), None, length=steps)[0][0]

    run = jax.jit(jax.vmap(train))
    start = jnp.array(np.random.default_rng(0).uniform(-2, 2, (runs, 2)).astype("f4"))
    jax.block_until_ready(run(start))
    began = time.perf_counter()
    jax.block_until_ready(run(start))
    return time.perf_counter() - began


def measured(system: str, rule: str, runs: int, steps: int) -> float:
    """Nanoseconds per run and step, in a process of its own."""
    return float(answer(__file__, "--steps", steps, "--one", system, rule, runs)) / runs / steps * 1e9


def main() -> None:
    """Measures all rows and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    parser.add_argument("--one", nargs=3, metavar=("SYSTEM", "RULE", "RUNS"), help="measure one system once, in this process")
    options = parser.parse_args()
    if options.one:
        system, rule, runs = options.one
        print({"gdsim": measure_gdsim, "jax": measure_jax}[system](rule, int(runs), options.steps))
        return
    rows = []
    print("| optimizer, runs | gdsim | JAX vmap | gdsim over JAX |\n|---|---|---|---|")
    for rule, runs in ROWS:
        rounds = [{s: measured(s, rule, runs, options.steps) for s in ("gdsim", "jax")} for _ in range(options.rounds)]
        medians = {s: statistics.median(r[s] for r in rounds) for s in ("gdsim", "jax")}
        ratio = statistics.median(r["jax"] / r["gdsim"] for r in rounds)
        rows.append({"rule": rule, "runs": runs, "ns": medians, "ratio": ratio})
        print(f"| {rule.capitalize()}, {runs:,} | {medians['gdsim']:.2f} ns | {medians['jax']:.2f} ns | {ratio:.2f}x |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
