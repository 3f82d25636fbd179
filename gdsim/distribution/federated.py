"""Federated learning: many clients with samples of their own, of whom each round has a few."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from gdsim.axes import Axis, Grid, Range
from gdsim.distribution.base import OUTER_RULE, STEPS, Distribution, Partition, least_of, most_of
from gdsim.rules import SGD, Rule

PROXIMAL = Range(0.0, float("inf"))


class Federated(Distribution, frozen=True, kw_only=True):
    """What kinds of federated learning have in common.

    Each round `sampled` of the `clients` are drawn without replacement, by the seed, the start and the round
    alone, begin at the server's weights theta with a fresh optimizer, and step on their own samples: in each
    round by other batches, also drawn by the client and the round alone, and the last batch of a pass may be
    short, whatever `drop_last` says. Without a partition every client has all samples. Reported is theta.
    """

    clients: Axis
    sampled: Axis

    of_rounds: ClassVar[tuple[str, ...]] = ("clients", "sampled")  # the fields that decide who is in a round, and for how many steps
    sizes = {"clients": 1, "sampled": 1}
    meanings = {
        **Distribution.meanings,
        "clients": "How many clients there are, each with samples of its own.",
        "sampled": "How many of them each round has.",
    }

    def check_together(self) -> None:
        """Refuses rounds of more clients than there are."""
        if most_of(self.sampled) > least_of(self.clients):
            kind = type(self).__name__
            raise ValueError(
                f"{kind}.sampled={most_of(self.sampled):g} clients of {least_of(self.clients):g} were asked for: a round has each client once at most"
            )

    @property
    def team(self) -> int:
        """How many clients' weights live at once; of an axis, at most."""
        return int(most_of(self.sampled))

    @property
    def is_federated(self) -> bool:
        """Whether workers are clients, of whom each round has some."""
        return True

    @property
    def rounds_key(self) -> tuple[Any, ...]:
        """What decides who is in a round, and for how many steps, beside the draws and the samples."""
        return type(self).__name__, *(getattr(self, name) for name in self.of_rounds)

    def steps_of_clients(self, batches: np.ndarray) -> np.ndarray:
        """How many steps clients make in a round, whose samples make so many batches; of one without axes."""
        raise NotImplementedError

    def message_bytes(self, parameters: int, size: int) -> int:
        """How many bytes a client sends to the server in a round: its weights, numbers of `size` bytes each."""
        return parameters * size

    def bytes_at(self, steps: np.ndarray, parameters: int, size: int) -> np.ndarray:
        """How many bytes a client of every round has sent after so many steps."""
        return self.rounds_at(steps) * self.message_bytes(parameters, size)

    def samples_in_common(self, batch: int) -> int:
        """Clients share no block of samples: each goes through its own, be they all."""
        return batch

    def constants(self, values: Mapping[str, float], parameters: int) -> dict[str, float]:
        """The number of clients, too."""
        return {**super().constants(values, parameters), "clients": most_of(self.clients)}

    def why_not_by(self, rule: Rule, partition: Partition | None) -> str:
        """Clients send the weights that they step from."""
        return "has clients, who send the weights that they step from and not others" if rule.reports_other_point or rule.stands_elsewhere else ""


class FederatedAveraging(Federated, tag="federated_averaging", frozen=True, kw_only=True):
    """Each round a few clients make `epochs` passes over their samples, and are averaged (McMahan et al. 2017).

    Client k makes H_k = epochs ceil(n_k / batch) steps, with weight p_k: n_k over the sum of those of the round,
    or one over their number if "uniform"; if "nova", theta steps by (sum p_j H_j) sum p_k (theta - w_k) / H_k
    (FedNova, Wang et al. 2020). A `server` rule steps by the pseudo-gradient sum p_k (theta -
    w_k) in the place of the average (FedOpt, Reddi et al. 2020); `proximal` mu adds mu (w - theta) to clients'
    gradients (FedProx, Li et al. 2018). A round is as long as the most steps of its clients; the others wait.

    >>> FederatedAveraging(clients=100, sampled=10).epochs
    1.0
    """

    epochs: Axis = 1.0
    weighting: str | Grid = "samples"
    server: Any = None
    proximal: Axis = 0.0

    of_rounds = (*Federated.of_rounds, "epochs")
    ranges = {"epochs": Range(1.0, 2.0**16, high_allowed=True), "proximal": PROXIMAL}
    whole = ("epochs",)
    choices = {"weighting": ("samples", "uniform", "nova")}
    holds = {"server": OUTER_RULE}
    meanings = {
        **Federated.meanings,
        "epochs": "Passes of a client over its samples in a round.",
        "weighting": 'How much each client counts: by its "samples", all the same if "uniform", and if "nova" by the mean of its steps.',
        "server": "The rule that steps by the pseudo-gradient; None for the plain average.",
        "proximal": "How strongly clients are drawn to where they began.",
    }

    @property
    def is_proximal(self) -> bool:
        """Whether clients are drawn to where they began."""
        return most_of(self.proximal) > 0

    def structure(self) -> list[Any]:
        """What decides the code: also whether clients are drawn to where they began."""
        return [*super().structure(), self.is_proximal]

    def rounds_at(self, steps: Any) -> Any:
        """Not known of steps alone, as rounds are as long as the samples of their clients make them: no number."""
        return steps * float("nan")

    def steps_of_clients(self, batches: np.ndarray) -> np.ndarray:
        """Passes over its samples."""
        return int(most_of(self.epochs)) * batches


class Scaffold(Federated, tag="scaffold", frozen=True, kw_only=True):
    """Each round a few clients make `period` corrected steps, and are averaged (Karimireddy et al. 2020,
    SCAFFOLD, option II).

    w -= eta (g - c_k + c) in each step of client k; then c_k' = c_k - c + (theta - w_k) / (the sum of the rates
    of its steps), theta = mean of the w_k, and c += sum (c_k' - c_k) / clients. All c begin at 0. The c_k of all
    clients are kept, and counted by the plan; the optimizer is gd.SGD.

    >>> Scaffold(clients=100, sampled=10, period=8).period
    8.0
    """

    period: Axis = 1.0

    of_rounds = (*Federated.of_rounds, "period")
    ranges = {"period": STEPS}
    whole = ("period",)

    def steps_of_clients(self, batches: np.ndarray) -> np.ndarray:
        """As many as any other."""
        return np.full_like(batches, int(most_of(self.period)))

    def message_bytes(self, parameters: int, size: int) -> int:
        """Its weights and the change of its c_k."""
        return 2 * super().message_bytes(parameters, size)

    def why_not_by(self, rule: Rule, partition: Partition | None) -> str:
        """Of plain steps alone (theta - w_k) / rate is a sum of gradients."""
        return "" if type(rule) is SGD else "corrects the gradients of gd.SGD's steps"
