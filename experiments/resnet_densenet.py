"""What do connections that skip layers do to the loss landscape of deep networks?

ResNet-110, the same 110 layers without their shortcuts, and DenseNet-121, at their real depth and wiring with
the stem that they have for small pictures, are trained on the 8 x 8 handwritten digits for 40 epochs. Around
each end point the loss of 256 fixed samples is drawn on a plane of two random directions, scaled filter by
filter, on 25 x 25 points (Li et al. 2018, "Visualizing the loss landscape of neural nets").
ResNet-110 comes to a test accuracy of 95%; without its shortcuts it stays at chance, and a few steps from where
it ended losses are beyond 1e10.

    python experiments/resnet_densenet.py [--short] [--out DIR] [--network NAME] [--threads N]

Takes under an hour on two cores, of which DenseNet-121 is the half. What is finished is kept, trainings after every epoch and planes piece by
piece, and the same command goes on. Ends in results/resnet_densenet/resnet_densenet.png, and
contours.png beside it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib.figure
import numpy as np
import torch
import xarray
from torch import nn

import gdsim as gd

SAMPLES, SEED = 256, 0


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut past them, which carries what comes in: halved in its sides and filled
    up with zeros where the block halves (He et al. 2016, option A), or nothing.
    """

    def __init__(self, inputs: int, filters: int, stride: int, has_shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters),
        )  # fmt: skip
        self.stride, self.grown, self.has_shortcut = stride, filters - inputs, has_shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """ReLU of the body and the shortcut."""
        z = self.body(x)
        if self.has_shortcut:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            z = z + nn.functional.pad(shortcut, (0, 0, 0, 0, self.grown // 2, self.grown - self.grown // 2))
        return torch.relu(z)


def resnet(depth: int, has_shortcuts: bool = True) -> nn.Module:
    """A residual network of 6 n + 2 layers for small pictures: three stages of n blocks, of 16, 32, 64 filters."""
    blocks, inputs = [], 16
    for filters in (16, 32, 64):
        for number in range((depth - 2) // 6):
            blocks.append(Block(inputs, filters, 2 if filters > 16 and number == 0 else 1, has_shortcuts))
            inputs = filters
    stem = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
    return begun(nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)))


class DenseLayer(nn.Module):
    """A 1 x 1 convolution to four times the growth and a 3 x 3 one to the growth, whose result is put behind what
    comes in (Huang et al. 2017, DenseNet-BC).
    """

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(), nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What comes in, and the growth behind it."""
        return torch.cat([x, self.body(x)], 1)


def densenet(blocks: tuple[int, ...] = (6, 12, 24, 16), growth: int = 32) -> nn.Module:
    """DenseNet-121 with the stem for small pictures: four blocks, and between two a 1 x 1 convolution to half of
    the features and a mean over 2 x 2.
    """
    features = 2 * growth
    parts: list[nn.Module] = [nn.Conv2d(1, features, 3, padding=1, bias=False)]
    for number, count in enumerate(blocks):
        for _ in range(count):
            parts.append(DenseLayer(features, growth))
            features += growth
        parts += [nn.BatchNorm2d(features), nn.ReLU()]
        if number + 1 < len(blocks):
            parts += [nn.Conv2d(features, features // 2, 1, bias=False), nn.AvgPool2d(2)]
            features //= 2
    return begun(nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, 10)))


def begun(module: nn.Module) -> nn.Module:
    """The module with weights of convolutions as He et al. (2015) draw them."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
    return module


class Plan(NamedTuple):
    """A network of the slide, for how many epochs it is trained, and on how many points of each axis drawn."""

    title: str
    made: Callable[[], nn.Module]
    epochs: int = 40
    points: int = 25


LONG = {
    "resnet110_without": Plan("110 layers without shortcuts", lambda: resnet(110, has_shortcuts=False)),
    "resnet110": Plan("ResNet-110", lambda: resnet(110)),
    "densenet121": Plan("DenseNet-121", densenet),
}
SHORT = {"resnet8": Plan("ResNet-8", lambda: resnet(8), epochs=3, points=5)}


def pictures(data: gd.Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples as [sample, 1, 8, 8], and their labels."""
    return torch.tensor(data.X, dtype=torch.float32).reshape(-1, 1, 8, 8), torch.tensor(data.y)


def trained(plan: Plan, folder: Path) -> nn.Module:
    """The network after its epochs: SGD in batches of 128 with momentum 0.9 and weight decay 5e-4, at a rate that
    rises to 0.1 in two epochs and falls by half a cosine. Goes on from the last epoch that the folder keeps.
    """
    data = gd.datasets.load("digits", test=0.2, seed=SEED)
    X, y = pictures(data)
    torch.manual_seed(SEED)
    module = plan.made()
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    steps = -(-len(X) // 128)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, plan.epochs * steps, pct_start=2 / plan.epochs, cycle_momentum=False)
    kept, state, begun = folder / "training.pt", {"module": module, "optimizer": optimizer, "rates": rates}, 0
    if kept.exists():
        held = torch.load(kept)
        begun = held["epoch"]
        for name, part in state.items():
            part.load_state_dict(held[name])
    for epoch in range(begun, plan.epochs):
        began = time.perf_counter()
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(SEED + epoch))
        module.train()
        for samples in order.split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X[samples]), y[samples]).backward()
            optimizer.step()
            rates.step()
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"epoch": epoch + 1, **{name: part.state_dict() for name, part in state.items()}}, folder / "new.pt")
        (folder / "new.pt").replace(kept)
        loss, accuracy = tested(module, data)
        print(f"{plan.title}: epoch {epoch + 1}, test loss {loss:.3f}, accuracy {accuracy:.1%}, {time.perf_counter() - began:.0f} s", flush=True)
    loss, accuracy = tested(module, data)
    print(f"{plan.title}: {sum(p.numel() for p in module.parameters()):,} parameters, test accuracy {accuracy:.1%}, test loss {loss:.3f}", flush=True)
    return module


def tested(module: nn.Module, data: gd.Data) -> tuple[float, float]:
    """(loss, accuracy) on the test set."""
    X, y = pictures(data.test)
    module.eval()
    with torch.no_grad():
        outputs = module(X)
    return nn.functional.cross_entropy(outputs, y).item(), (outputs.argmax(1) == y).double().mean().item()


def drawn(module: nn.Module, plan: Plan, folder: Path, threads: int | None) -> xarray.Dataset:
    """Loss and accuracy of the first training samples on the plane around the network, kept in the folder."""
    X, y = pictures(gd.datasets.load("digits", test=0.2, seed=SEED))
    problem = gd.landscape.TorchProblem(module, X[:SAMPLES], y[:SAMPLES])
    return gd.landscape.plane(problem, problem.vector(), points=plan.points, seed=SEED, out=folder / "plane", threads=threads)


def figure(planes: dict[str, xarray.Dataset], style: str) -> matplotlib.figure.Figure:
    """The planes side by side, by their titles, each on its own scale: without shortcuts losses are beyond the
    others' by many powers of ten.
    """
    drawing = matplotlib.figure.Figure(figsize=(4.6 * len(planes), 3.9), layout="constrained")
    parts = np.atleast_1d(drawing.subfigures(1, len(planes)))
    for part, (title, plane) in zip(parts, planes.items(), strict=True):
        gd.plots.landscape({title: plane}, style, figure=part)
    return drawing


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Trains deep networks with and without skip connections, and draws their landscapes.")
    parser.add_argument("--short", action="store_true", help="a ResNet-8 on 5 x 5 points, in seconds")
    parser.add_argument("--out", type=Path, help="where results and figure go; by default results/resnet_densenet, or ..._short")
    parser.add_argument("--network", action="append", choices=LONG, help="only this one of the slide's networks; may be given several times")
    parser.add_argument("--threads", type=int, help="of this machine; all of its cores if not given")
    options = parser.parse_args()
    plans = SHORT if options.short else {name: LONG[name] for name in options.network or LONG}
    out = options.out or Path("results") / f"resnet_densenet{'_short' * options.short}"
    if options.threads:
        torch.set_num_threads(options.threads)
    print(slide(plans, out, options.threads))


def slide(plans: dict[str, Plan], out: Path, threads: int | None = None) -> Path:
    """Trains the networks, draws their planes, and gives the place of the figure."""
    planes = {}
    for name, plan in plans.items():
        began = time.perf_counter()
        module = trained(plan, out / name)
        planes[plan.title] = drawn(module, plan, out / name, threads)
        print(f"{plan.title}: {time.perf_counter() - began:.0f} s", flush=True)
    file = out / "resnet_densenet.png"
    figure(planes, "surface").savefig(file, dpi=110)
    figure(planes, "contour").savefig(out / "contours.png", dpi=110)
    return file


if __name__ == "__main__":
    main()
