"""Workers that step alone and are averaged now and then: local SGD, DiLoCo, elastic averaging."""

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from gdsim.axes import Axis, Grid, Range
from gdsim.distribution.base import COUNT, OUTER_RULE, STEPS, Distribution, checked_pairs, least_of, most_of
from gdsim.distribution.compression import COMPRESSION
from gdsim.rules import SAM, Nesterov, PolyakStep, Rule, Wrapper
from gdsim.rules.base import RATE, SHARE

STATES = ("keep", "average", "reset")
ABOUT_STATE = "What becomes of the optimizer's state when weights are averaged: each worker keeps its own, all get the mean, or it begins anew."


class LocalSGD(Distribution, tag="local_sgd", frozen=True, kw_only=True):
    """Workers step alone, and every `period` steps their weights are averaged (Stich 2018), by any optimizer.

    After steps H, 2H, ... with H = period, theta = mean of the workers' w_k, from where all go on; workers count
    alike, however many samples they have. For the first `after` steps they are averaged in every step (post-local
    SGD, Lin et al. 2018), and periods count from there. With `groups`, pairs (workers of a group, period),
    neighbours are averaged among themselves at shorter periods too; the largest period that divides the step acts
    alone. With an `outer` rule, theta makes a step of it by the pseudo-gradient theta - mean w_k in the place of
    the average, and is what is reported: gd.Momentum is SlowMo (Wang et al. 2019). With `compression`, theta
    steps by what is received of messages that are made of each worker's theta - w_k. One worker is the run
    without distribution; with an outer rule it is that rule on its own way, gd.SGD(lr=alpha) Lookahead (Zhang et
    al. 2019): theta = (1 - alpha) theta + alpha w.

    >>> LocalSGD(workers=[4, 16], period=[1, 8, 64])
    LocalSGD(workers=[4, 16], period=[1, 8, 64])
    """

    workers: Axis
    period: Axis = 1.0
    after: Axis = 0.0
    state: str | Grid = "keep"
    outer: Any = None
    groups: Any = None
    compression: Any = None

    sizes = {"workers": 1}
    ranges = {"period": STEPS, "after": COUNT}
    whole = ("period", "after")
    choices = {"state": STATES}
    holds = {"outer": OUTER_RULE, "compression": COMPRESSION}
    forms = {"groups": "a list of pairs, the workers of a group and their period, as in [[2, 4]]"}
    meanings = {
        **Distribution.meanings,
        "after": "Steps at the beginning in each of which weights are averaged.",
        "state": ABOUT_STATE,
        "outer": "The rule that steps by the pseudo-gradient; None for the plain average.",
        "groups": "Pairs (workers of a group, period) of averages among neighbours; None for none.",
        "compression": "What workers send in the place of the way that they have gone; None for the way itself.",
    }

    def check_together(self) -> None:
        """Refuses an outer rule that needs more than a pseudo-gradient, groups that do not nest, and memories of
        gradients.
        """
        check_outer(type(self).__name__, self.outer)
        if self.compression is not None and self.groups is not None:
            raise ValueError("LocalSGD.compression is of messages to all workers, and groups are averaged without messages: leave one of the two out")
        if getattr(self.compression, "rate", "inside") == "outside":
            raise ValueError('LocalSGD.compression: messages are ways that workers have gone, which have the rate inside: leave rate="outside" out')
        if self.groups is not None:
            msgspec.structs.force_setattr(self, "groups", self._checked_groups())

    @property
    def is_plain_alone(self) -> bool:
        """The mean of one worker's weights is these; an outer rule makes something else of them."""
        return self.outer is None and self.compression is None

    def rounds_at(self, steps: np.ndarray) -> np.ndarray:
        """How many exchanges there have been after so many steps, among all workers or in groups."""
        periods = [int(most_of(self.period)), *(period for _, period in self.groups or ())]
        early = np.minimum(steps, int(most_of(self.after)))
        return early + (steps - early) // min(periods)

    def _checked_groups(self) -> tuple[tuple[int, int], ...]:
        """The groups by ascending size, each period shorter than the next and a divisor of it."""
        pairs = tuple(sorted(checked_pairs(self.groups, "LocalSGD.groups", "workers of a group", "period")))
        levels = [*pairs, (least_of(self.workers), least_of(self.period))]
        for (size, period), (wider, longer) in itertools.pairwise(levels):
            if size < 2 or size >= wider or wider % size or period >= longer or longer % period:
                raise ValueError(
                    f"LocalSGD.groups: groups of {size} workers at period {period} do not nest in {wider:g} at period {longer:g}: "
                    "sizes from 2 and periods must be smaller than those around them, and divide them"
                )
        return pairs


class DiLoCo(Distribution, tag="diloco", frozen=True, kw_only=True):
    """Workers step alone, and every `period` steps an outer Nesterov step is made (Douillard et al. 2023).

    With the pseudo-gradient D = theta - mean w_k, b = outer_momentum b + D and theta = theta - outer_lr (D +
    outer_momentum b), PyTorch's form; all go on from theta, which is what is reported. The optimizer's state is
    each worker's own, and never averaged; the paper's is gd.ClipNorm(gd.AdamW(...), 1.0). One worker makes the
    outer step by its own way: at period 1 with gd.SGD(lr=a) it is
    gd.Nesterov(lr=outer_lr a, momentum=outer_momentum, convention="torch").

    >>> DiLoCo(workers=8, period=[8, 64]).outer_lr
    0.7
    """

    workers: Axis
    period: Axis = 500.0
    outer_lr: Axis = 0.7
    outer_momentum: Axis = 0.9
    state: str | Grid = "keep"

    sizes = {"workers": 1}
    ranges = {"period": STEPS, "outer_lr": RATE, "outer_momentum": SHARE}
    whole = ("period",)
    choices = {"state": STATES}
    meanings = {
        **Distribution.meanings,
        "outer_lr": "The rate of the outer step.",
        "outer_momentum": "The share of the outer velocity that the next step keeps.",
        "state": ABOUT_STATE,
    }

    @property
    def outer(self) -> Rule:
        """The rule that steps by the pseudo-gradient, with these numbers."""
        return Nesterov(lr=self.outer_lr, momentum=self.outer_momentum, convention="torch")

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """Those of the outer rule, with its name in front as its numbers have it."""
        found = Nesterov.constants({"momentum": values["outer_momentum"]})
        return {**super().constants(values, parameters), **{f"outer_{name}": value for name, value in found.items()}}


class ElasticAveraging(Distribution, tag="elastic_averaging", frozen=True, kw_only=True):
    """Workers step alone, and every `period` steps they and a centre draw each other (Zhang et al. 2015).

    With d_k = moving_rate (w_k - c), from the weights and the centre c before the step, w_k = w_k - eta g_k -
    d_k and c = c + sum of d_k. Reported is the centre. The papers take 0.9 / workers; with gd.Nesterov as the
    optimizer it is their EAMSGD. With `turns="round_robin"` workers exchange one after the other, each with
    the centre as the last has left it; a step is still one of every worker. One worker alone is drawn to its
    centre too, and is no plain run.

    >>> ElasticAveraging(workers=4, period=4, moving_rate=0.225).moving_rate
    0.225
    """

    workers: Axis
    moving_rate: Axis
    period: Axis = 1.0
    turns: str | Grid = "together"

    sizes = {"workers": 1}
    ranges = {"period": STEPS, "moving_rate": Range(0.0, 1.0, high_allowed=True)}
    whole = ("period",)
    choices = {"turns": ("together", "round_robin")}
    meanings = {
        **Distribution.meanings,
        "moving_rate": "The share of a worker's distance from the centre that both are drawn.",
        "turns": "Whether all workers exchange with the same centre, or one after the other.",
    }


def check_outer(owner: str, outer: Rule | None) -> None:
    """Refuses a rule that cannot step by a pseudo-gradient: one that asks for a loss, or for a gradient at
    another point.
    """
    rule = outer
    while rule is not None:
        if isinstance(rule, (SAM, PolyakStep)):
            needs = "the gradient at another point" if isinstance(rule, SAM) else "the loss of a batch"
            raise ValueError(
                f"{owner}.outer cannot be {type(rule).__name__}, which needs {needs}, and a pseudo-gradient has none: take gd.SGD, gd.Nesterov or gd.Adam, say"
            )
        rule = rule.rule if isinstance(rule, Wrapper) else None
