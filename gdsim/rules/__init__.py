"""Update rules, one family a file. A new rule is one class, its name here and in `gdsim/__init__.py`, and
a row in the tests' table.
"""

from gdsim.rules.adam import AdaBelief, Adam, AdamW, AMSGrad, NAdam, RAdam
from gdsim.rules.adaptive import Adadelta, AdaGrad, RMSprop
from gdsim.rules.base import Rule
from gdsim.rules.momentum import SGD, Momentum, Nesterov
from gdsim.rules.polyak import PolyakStep
from gdsim.rules.signs import Lion, Rprop
from gdsim.rules.wrappers import SAM, WRAPPERS, Averaged, ClipNorm, ClipValue, WeightDecay, Wrapper

RULES = (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adadelta, Adam, AdamW, AMSGrad, NAdam, RAdam, AdaBelief, Rprop, Lion, PolyakStep)

__all__ = [
    "RULES", "SAM", "SGD", "WRAPPERS", "AMSGrad", "AdaBelief", "AdaGrad", "Adadelta", "Adam", "AdamW", "Averaged", "ClipNorm", "ClipValue", "Lion",
    "Momentum", "NAdam", "Nesterov", "PolyakStep", "RAdam", "RMSprop", "Rprop", "Rule", "WeightDecay", "Wrapper",
]  # fmt: skip
