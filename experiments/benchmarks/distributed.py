"""What simulated workers cost, beside plain runs and beside PyTorch on the same cores.

    python experiments/benchmarks/distributed.py [--rounds 5] [--configurations 256] [--cpu] [--json FILE]

Networks 64-32-10 on the digits, Momentum, float32. Of gdsim alone: local SGD of 8 workers over 8 plain runs for
each, and synchronous training of 8 workers over a plain run of 8 times the batch. Beside PyTorch, batched over
configurations and workers with one `baddbmm` a layer and a fused optimizer: local SGD of 8 workers with
period 16, and plain runs, each as many steps. Each round measures everything once, in turns, each in a process
of its own that has compiled before; figures are medians of the rounds' ratios. With `--cpu` the time that
processors have worked for a process takes the place of the clock's, which cores that others use tell better.
Fails where the losses of gdsim and PyTorch, on the same batches, differ by more than a thousandth.
"""

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from processes import answer
from systems import layers_of
from works import WORKS

import gdsim as gd

WORKERS, BATCH, STEPS, SHOWN = 8, 32, 192, 64
PERIODS = {"local 16": 16, "local 64": 64}
AGREEMENT = 1e-3


def sweep_of(what: str, configurations: int) -> gd.Sweep:
    """What gdsim trains."""
    work = WORKS["digits"]
    options: dict[str, Any] = {"starts": configurations, "batch": BATCH}
    if what in PERIODS:
        options["distribution"] = gd.LocalSGD(workers=WORKERS, period=PERIODS[what])
    elif what == "synchronous":
        options |= {"distribution": gd.Synchronous(workers=WORKERS), "batch": BATCH // WORKERS}
    elif what == "plain eightfold":
        options["starts"] *= WORKERS
    optimizer = gd.Momentum(lr=work.rate("momentum"), momentum=0.9, convention="torch")
    record = gd.Record(every="ends", gradient_norm=False, trajectory=True)
    return gd.Sweep(problem=work.problem(), optimizer=optimizer, init="he", steps=STEPS, record=record, dtype="float32", **options)


def of_gdsim(what: str, configurations: int, clock: Callable[[], float]) -> tuple[float, np.ndarray]:
    """(seconds, losses), through the public face."""
    sweep = sweep_of(what, configurations)
    sweep.run(progress=False)
    began = clock()
    result = sweep.run(progress=False)
    return clock() - began, result.final_loss.values[:SHOWN]


def of_torch(what: str, configurations: int, clock: Callable[[], float]) -> tuple[float, np.ndarray]:
    """The same of PyTorch: every worker of every configuration is one of a batch of matrices."""
    import torch

    workers = WORKERS if what in PERIODS else 1
    plain = gd.Sweep(**{**sweep_fields(configurations), "batch": BATCH * workers})
    problem, starts = plain.problem[0], sweep_of("plain", configurations).run(progress=False).trajectory.values[:, 0]
    X, y = torch.tensor(problem.data.X, dtype=torch.float32), torch.tensor(problem.data.y).long()
    shown = np.stack([plain.order(start=run) for run in range(min(configurations, SHOWN))])
    orders = np.concatenate([np.roll(shown[run % SHOWN], run // SHOWN, 0)[None] for run in range(configurations)])
    orders = torch.tensor(orders.reshape(configurations, STEPS, workers, BATCH).swapaxes(1, 2).reshape(-1, STEPS, BATCH).copy()).long()

    def outputs(layers: list, a: Any) -> Any:
        for depth, (W, b) in enumerate(layers):
            z = torch.baddbmm(b[:, None], a, W)
            a = z if depth == len(layers) - 1 else torch.relu(z)
        return a

    def loss_of(z: Any, labels: Any, reduction: str) -> Any:
        return torch.nn.functional.cross_entropy(z.reshape(-1, z.shape[-1]), labels.reshape(-1), reduction=reduction)

    def averaged(v: Any) -> Any:
        return v.reshape(configurations, workers, *v.shape[1:]).mean(1)

    def train() -> list:
        layers = [tuple(torch.tensor(np.repeat(v, workers, 0), requires_grad=True) for v in layer) for layer in layers_of(problem, starts)]
        parameters = [v for layer in layers for v in layer]
        optimizer = torch.optim.SGD(parameters, lr=WORKS["digits"].rate("momentum"), momentum=0.9, fused=True)
        for t in range(STEPS):
            chosen = orders[:, t]
            loss = loss_of(outputs(layers, X[chosen]), y[chosen], "sum") / BATCH
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if workers > 1 and (t + 1) % PERIODS[what] == 0:
                with torch.no_grad():
                    for v in parameters:
                        v.copy_(averaged(v).repeat_interleave(workers, 0))
        return layers

    train()
    began = clock()
    layers = train()
    took = clock() - began
    with torch.no_grad():
        few = [tuple(averaged(v)[:SHOWN] for v in layer) for layer in layers]
        return took, np.array([float(loss_of(z, y, "mean")) for z in outputs(few, X.expand(len(few[0][0]), -1, -1))])


def sweep_fields(configurations: int) -> dict[str, Any]:
    """The fields of a plain sweep."""
    sweep = sweep_of("plain", configurations)
    return {"problem": sweep.problem[0], "optimizer": sweep.optimizer[0], "init": "he", "steps": STEPS, "dtype": "float32", "starts": configurations}


SYSTEMS = {"gdsim": of_gdsim, "torch": of_torch}
# What is measured, and the ratios that are told: the first over the second.
MEASURED = [(s, w) for w in ("plain", "local 16") for s in SYSTEMS] + [("gdsim", w) for w in ("plain eightfold", "local 64", "synchronous")]
RATIOS = {
    "plain runs: PyTorch over gdsim": (("torch", "plain"), ("gdsim", "plain")),
    "8 workers, period 16: PyTorch over gdsim": (("torch", "local 16"), ("gdsim", "local 16")),
    "8 workers, period 64, over 8 plain runs": (("gdsim", "local 64"), ("gdsim", "plain eightfold")),
    "8 synchronous workers over a plain run of 8 times the batch": (("gdsim", "synchronous"), ("gdsim", "plain")),
}


def main() -> None:
    """Measures, or is one measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--configurations", type=int, default=256)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--measure", nargs=2, metavar=("SYSTEM", "WHAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        system, what = options.measure
        took, losses = SYSTEMS[system](what, options.configurations, time.process_time if options.cpu else time.perf_counter)
        print(json.dumps({"seconds": took, "losses": losses.tolist()}))
        return
    told = ["--configurations", options.configurations, *(["--cpu"] if options.cpu else [])]
    rounds = [{key: json.loads(answer(__file__, "--measure", *key, *told)) for key in MEASURED} for _ in range(options.rounds)]
    for what in ("plain", "local 16"):
        one, other = (np.array(rounds[0][system, what]["losses"]) for system in SYSTEMS)
        if (apart := float(np.abs(one / other - 1).max())) > AGREEMENT:
            raise SystemExit(f"the losses of {what} differ by {apart:.1g}")
    found = {name: statistics.median(r[a]["seconds"] / r[b]["seconds"] for r in rounds) for name, (a, b) in RATIOS.items()}
    seconds = {f"{system}, {what}": statistics.median(r[system, what]["seconds"] for r in rounds) for system, what in MEASURED}
    for name, value in (*seconds.items(), *found.items()):
        print(f"{name}: {value:.3g}{' s' if name in seconds else ''}")
    if options.json:
        options.json.write_text(json.dumps({"seconds": seconds, "ratios": found}, indent=1))


if __name__ == "__main__":
    main()
