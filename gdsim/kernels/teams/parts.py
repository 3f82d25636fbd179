"""The parts of a team's kernels: what its kind chooses."""

from typing import Any

from gdsim.kernels.job import Job
from gdsim.kernels.state import Pack
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.compression import Draw, Message
from gdsim.lanes.parts import default_part, part
from gdsim.lanes.types import Count, Hyperparameters, Lane, Lanes, Mask, Memory


@part
def steps_to_exchange(h: Hyperparameters, step: Lane) -> Lane:
    """How many steps a run makes from update number `step` (from 0) to its next exchange, at least 1."""
    ...


@part
def client_steps(h: Hyperparameters, lane: int, batches: Count) -> Count:
    """How many steps a client makes in a round of a lane's run, whose samples make so many batches."""
    ...


@part
def set_shares(team: Team) -> None:
    """Leaves the shares of a round's clients in the mean among the team's numbers."""
    ...


@part
def give_start(team: Team, opens: Mask) -> None:
    """Gives clients what they need beside the weights at which they begin, in the lanes whose round opens."""
    ...


@part
def begin_team(team: Team, pack: Pack, fresh: Mask) -> None:
    """Fills the server's arrays and the team's numbers where a run begins at its start; all workers have its
    weights already.
    """
    ...


@default_part
def before_exchange(team: Team, pack: Pack, due: Mask) -> None:
    """What is kept of the lanes that exchange after the next step, before it: nothing."""


@part
def exchange(team: Team, pack: Pack, due: Mask) -> None:
    """What the workers of the lanes that are due tell each other."""
    ...


@part
def exchange_state(team: Team, due: Mask) -> None:
    """What becomes of the workers' slots and carry when their weights are averaged."""
    ...


@part
def mix_tracked(team: Team, pack: Pack, due: Mask) -> None:
    """Mixes with neighbours what workers step by in the place of their gradients."""
    ...


@part
def exchange_all(team: Team, pack: Pack, due: Mask) -> None:
    """`exchange` of a whole team, where it exchanges in groups too."""
    ...


@part
def exchange_group_state(team: Team, size: Count, due: Mask) -> None:
    """What becomes of slots and carry when groups of so many workers are averaged."""
    ...


@part
def outer_numbers(h: Hyperparameters) -> Hyperparameters:
    """The numbers of the outer rule by its own names, of those of a run."""
    ...


@part
def outer_prepare(h: Hyperparameters, rate: Lane, carry: Lanes) -> tuple[Any, Lanes]:
    """`rules.parts.prepare` of the outer rule, from its own numbers."""
    ...


@part
def outer_update(w: Lane, g: Lane, slots: Lanes, s: Any) -> tuple[Lane, Lanes]:
    """`rules.parts.update` of the outer rule."""
    ...


@part
def outer_reported(w: Lane, slots: Lanes, s: Any) -> Lane:
    """`rules.parts.reported` of the outer rule."""
    ...


@part
def outer_with_gradient(s: Any, norm: Lane, loss: Lane) -> Any:
    """`rules.parts.with_gradient` of the outer rule; there is no loss, for which NaN stands."""
    ...


@part
def report_team(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Writes the reported parameters to the pack's weights, and what is recorded of the team to noted[number,
    lane], whose numbers are `team_memory.NOTED`.
    """
    ...


@part
def compress(message: Message, h: Hyperparameters, draw: Draw) -> None:
    """Leaves what is received of a vector in its place, with a compressor's numbers by its own names."""
    ...


@part
def next_event(job: Job) -> Any:
    """The `asynchronous.Event` that comes next; its time passes."""
    ...


@part
def end_event(job: Job, event: Any) -> None:
    """What is read, and by whom, after the server's step."""
    ...


@part
def age_of(h: Hyperparameters, u: Lane) -> Lane:
    """How old a gradient is, from a number between 0 and 1."""
    ...


@part
def age_or_older(h: Hyperparameters, age: Lane) -> Lane:
    """P(a gradient is so old or older)."""
    ...


@part
def share_of_point(team: Team, pack: Pack, point: Count) -> Lane:
    """How likely the next gradient is taken at one of the points that are kept, or the share of the workers that are there."""
    ...


@part
def server_version(h: Hyperparameters, gradients: Lane) -> Lane:
    """How many steps the server has made of so many gradients, a uint32 lane."""
    ...


@part
def compression_numbers(h: Hyperparameters) -> Hyperparameters:
    """The numbers of the compressor by its own names, of those of a run."""
    ...


@part
def sent_by(team: Team, worker: int, place: int) -> Lane:
    """A number of the vector of which a worker's message is made."""
    ...


@part
def message_scale(pack: Pack) -> Lane:
    """What vectors are multiplied by before they are compressed, and what is received of them divided by."""
    ...


SHOWS_STORED: Any = part("SHOWS_STORED")  # whether the parameters that a worker's rule reports are its weights
STANDS_STORED: Any = part("STANDS_STORED")  # whether a worker's model stands where its weights are stored
EXCHANGES_AFTER_ONE_STEP: Any = part("EXCHANGES_AFTER_ONE_STEP")  # whether the last step to an exchange is made alone, as the kind has a `before_exchange`
GROUPS: Any = part("GROUPS")  # pairs (workers of a group, period), the smallest first
MEMORY: int = part("MEMORY")  # what a worker keeps of what it sends: `messages.FORGETS`, KEEPS_ERROR or KEEPS_VECTOR
IS_OF_MEAN: Any = part("IS_OF_MEAN")  # whether the mean of the workers' vectors is compressed, not each
IS_VOTE: Any = part("IS_VOTE")  # whether signs are sent, and what is received is that of their sum
SHARES_DRAWS: Any = part("SHARES_DRAWS")  # whether all workers' messages are made with the same random numbers
OUTER_SLOTS: int = part("OUTER_SLOTS")  # of the outer rule
OUTER_CARRY: int = part("OUTER_CARRY")  # likewise
OUTER_NEEDS_WHOLE_GRADIENT: Any = part("OUTER_NEEDS_WHOLE_GRADIENT")  # whether its step needs `outer_with_gradient`
