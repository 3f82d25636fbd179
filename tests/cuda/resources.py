"""What kernels take of a device: registers of a thread, shared memory of a block, and local memory of a thread, in which
lies what has no place in registers. `taken.json` has what NVIDIA's compiler said when it was last asked.

`python -m tests.cuda.resources` asks it anew, about each kernel for each capability, and writes the file.
"""

import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import gdsim as gd
from gdsim.kernels.cuda import Template, kernels_on_warps, stepping, whole_training
from gdsim.lanes.cubins import read_cubin
from gdsim.lanes.warps import capability_text
from gdsim.population.engine_choice import structure_on_warps
from gdsim.population.setting import Setting
from tests.cuda.compiling import kept_ptx
from tests.cuda.settings import setting

FILE = pathlib.Path(__file__).with_name("taken.json")
CAPABILITIES = ((7, 5), (8, 0), (8, 9), (9, 0), (10, 0), (12, 0))
MORE = 1.125  # times as many registers, and the next version of the compiler may take


class Kernel(NamedTuple):
    """A kernel whose needs are told."""

    template: Callable[[Any], Template]
    setting: Setting
    tier: str = "slow"  # of pytest, from which on it is asked about; "full" for capability 9.0, for the others "slow"
    local_bytes: int = 0  # of a thread whose values find no room in registers, on the capability where it takes most


def _data(name: str) -> gd.Data:
    return gd.datasets.load(name)


def _kernels() -> dict[str, Kernel]:
    rosenbrock = gd.functions.Rosenbrock()
    adam, momentum = setting(rosenbrock, gd.Adam()), setting(rosenbrock, gd.Momentum())
    xor = setting(gd.MLP(_data("xor"), hidden=(2,), activation="tanh", loss="log_loss"), gd.Momentum(), is_written_out=True)
    moons = setting(gd.MLP(_data("moons"), hidden=(16,), activation="tanh", loss="log_loss"), gd.Momentum(), batch=16, is_written_out=True)
    digits = setting(gd.MLP(_data("digits"), hidden=(32,), activation="relu", loss="cross_entropy"), gd.Adam(), batch=32)
    return {
        "steps, Adam on Rosenbrock": Kernel(stepping, adam, tier="plain"),
        "steps, Adam on Rosenbrock, float64": Kernel(stepping, setting(rosenbrock, gd.Adam(), dtype="float64")),
        "steps, Momentum on Rosenbrock": Kernel(stepping, momentum),
        "steps, averaged Nesterov on Rosenbrock": Kernel(stepping, setting(rosenbrock, gd.Averaged(gd.Nesterov()))),
        "steps, AMSGrad on Ackley": Kernel(stepping, setting(gd.functions.Ackley(), gd.AMSGrad())),
        "steps, Momentum on xor, written out": Kernel(stepping, xor, tier="full"),
        "steps, Momentum on moons, written out": Kernel(stepping, moons),
        "steps, Adam on digits, a run on a warp": Kernel(stepping, digits, local_bytes=48),
        "whole training, Adam on Rosenbrock": Kernel(whole_training, adam),
        "whole training, Momentum on xor, written out": Kernel(whole_training, xor),
        "whole training, Momentum on moons, written out": Kernel(whole_training, moons, local_bytes=8),
        "whole training, Adam on digits, a run on a warp": Kernel(whole_training, digits, local_bytes=80),
    }


KERNELS = _kernels()


def taken_by(name: str, capability: tuple[int, int]) -> list[int]:
    """[registers, bytes of shared memory, bytes of local memory] of a kernel, as its machine code says."""
    from gdsim.lanes.cuda import ARRAY, NUMBER, linked

    kernel = KERNELS[name]
    template = kernel.template(kernels_on_warps(structure_on_warps(kernel.setting, capability)))
    return list(read_cubin(linked(kept_ptx(*template, (ARRAY, NUMBER, ARRAY), capability), capability))[2:])


def known() -> dict[str, dict[str, list[int]]]:
    """What the file says: {kernel: {capability: what it takes}}."""
    return json.loads(FILE.read_text())


def main(names: list[str]) -> None:
    """Asks about the kernels whose names have one of the words, or about all."""
    found = known() if FILE.exists() else {}
    for name in KERNELS:
        if not names or any(word in name for word in names):
            found[name] = {capability_text(capability): taken_by(name, capability) for capability in CAPABILITIES}
            rows = [f" {json.dumps(name)}: {json.dumps(found[name])}" for name in KERNELS if name in found]
            FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
