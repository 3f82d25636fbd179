"""Update rules, one family a file. A new rule is one class, a line here and a row in the tests' table."""

from gdsim.rules.adaptive import AdaBelief, AdaGrad, Adam, RMSprop
from gdsim.rules.base import Rule
from gdsim.rules.momentum import SGD, Momentum, Nesterov

RULES = (SGD, Momentum, Nesterov, AdaGrad, RMSprop, Adam, AdaBelief)

__all__ = ["RULES", "SGD", "AdaBelief", "AdaGrad", "Adam", "Momentum", "Nesterov", "RMSprop", "Rule"]
