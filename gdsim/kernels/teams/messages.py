"""Messages that are compressed: what the server receives of the workers' vectors, and what these keep of what
was lost on the way (Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847; Richtarik et al. 2021,
arXiv:2106.05203).

Team.server has theta, the outer rule's slots, a memory of each worker where there are any, and PowerSGD's
basis; Team.spare a vector on its way, what has been received, and PowerSGD's factors. The vectors that are
received come together in the order of the workers.
"""

from gdsim.kernels.parts import schedule_numbers
from gdsim.kernels.state import Pack
from gdsim.kernels.steps import hyperparameters_of
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.compression import Draw, Message
from gdsim.kernels.teams.gradients import lanes_that_step, note_arrivals, share_in_mean
from gdsim.kernels.teams.outer import begin_server, step_server
from gdsim.kernels.teams.parts import (
    IS_OF_MEAN,
    IS_VOTE,
    MEMORY,
    OUTER_SLOTS,
    SHARES_DRAWS,
    compress,
    compression_numbers,
    message_scale,
    sent_by,
)
from gdsim.kernels.teams.workers import equal_share, keep_where, share_of
from gdsim.lanes.compiler import noinline
from gdsim.lanes.operations import load, sign, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO
from gdsim.lanes.types import Lane, Lanes, Mask, Offset
from gdsim.schedules.parts import rate

# What a worker keeps: nothing, what was not sent, or what the server has of its vectors.
FORGETS, KEEPS_ERROR, KEEPS_VECTOR = 0, 1, 2

ON_ITS_WAY, RECEIVED, BASIS, FACTOR = 0, 1, 2, 3  # arrays of Team.spare


def begin_memories(team: Team, pack: Pack, fresh: Mask) -> None:
    """The server begins as without compression, memories and basis at 0."""
    begin_server(team, pack, fresh)
    zero = splat(ZERO, WIDTH)
    for number in range((1 + OUTER_SLOTS) * team.size, len(team.server) // WIDTH):
        keep_where(team.server, number * WIDTH, fresh, zero)


def memory_at(team: Team, worker: int, place: int) -> Offset:
    """Where a number of a worker's memory lies in Team.server; of the one behind the last, PowerSGD's basis."""
    return ((1 + OUTER_SLOTS + worker) * team.size + place) * WIDTH


def basis_at(team: Team, place: int) -> Offset:
    """Where a number of PowerSGD's basis lies in Team.server."""
    return memory_at(team, team.workers if MEMORY != FORGETS else 0, place)


def spare_at(team: Team, array: int, place: int) -> Offset:
    """Where a number of one of the arrays of Team.spare lies."""
    return (array * team.size + place) * WIDTH


def way_gone(team: Team, worker: int, place: int) -> Lane:
    """theta - w_k, by which a worker has gone away from the server."""
    return load(team.server, place * WIDTH, WIDTH) - load(team.weights, (worker * team.size + place) * WIDTH, WIDTH)


def no_scale(pack: Pack) -> Lane:
    """Vectors are sent as they are."""
    return splat(ZERO, WIDTH) + 1.0


def scheduled_rate(pack: Pack) -> Lane:
    """The learning rate of the step that is being made."""
    h = hyperparameters_of(pack)
    return rate(h.lr, load(pack.step, 0, WIDTH), schedule_numbers(h))


def vector_of(team: Team, worker: int, place: int, scale: Lane) -> Lane:
    """A number of what a worker would send: of its vector with what it keeps."""
    vector = sent_by(team, worker, place) * scale
    if MEMORY == KEEPS_ERROR:
        return vector + load(team.server, memory_at(team, worker, place), WIDTH)
    if MEMORY == KEEPS_VECTOR:
        return vector - load(team.server, memory_at(team, worker, place), WIDTH)
    return vector


def compress_vector(team: Team, pack: Pack, worker: int) -> None:
    """Compresses the vector that is on its way."""
    h = compression_numbers(hyperparameters_of(pack))
    draw = Draw(load(pack.start, 0, WIDTH), 0 if SHARES_DRAWS else worker, load(pack.step, 0, WIDTH), (team.seed.low, team.seed.high))
    basis, factor = spare_at(team, BASIS, 0), spare_at(team, FACTOR, 0)
    compress(Message(team.spare, 0, team.places, team.factors.matrices, team.factors.rank, team.spare, basis, team.spare, factor), h, draw)


def take_in(team: Team, worker: int, due: Mask, scale: Lane) -> None:
    """Adds to what has been received of a worker, and lets it keep what it keeps: an error as if its message had
    arrived, a vector that both ends have where it has.
    """
    share = share_of(team, worker)
    for p in range(len(team.places)):
        place = team.places[p]
        sent, kept_at = load(team.spare, spare_at(team, ON_ITS_WAY, place), WIDTH), memory_at(team, worker, place)
        if MEMORY == KEEPS_ERROR:
            keep_where(team.server, kept_at, due, vector_of(team, worker, place, scale) - sent)
        if MEMORY == KEEPS_VECTOR:
            kept = load(team.server, kept_at, WIDTH)
            sent = where(share > 0.0, kept + sent, kept)
            keep_where(team.server, kept_at, due, sent)
        there = spare_at(team, RECEIVED, place)
        store(team.spare, there, load(team.spare, there, WIDTH) + counted(team, sent, share))


def counted(team: Team, sent: Lane, share: Lane) -> Lane:
    """What a worker's message, or the vector that the server has of it, adds to what is received."""
    if IS_VOTE:
        return where(share > 0.0, sent, 0.0 * share)
    return sent * (equal_share(team) if MEMORY == KEEPS_VECTOR else share)


def send_mean(team: Team, pack: Pack, due: Mask, scale: Lane) -> None:
    """Compresses the mean of the workers' vectors, from which and to which PowerSGD's basis goes; where nothing
    arrives there is none, and all stays.
    """
    due = lanes_that_step(team, due)
    for p in range(len(team.places)):  # in the server at places of parameters alone, which go on from run to run
        store(team.spare, spare_at(team, BASIS, p), load(team.server, basis_at(team, team.places[p]), WIDTH))
    for p in range(len(team.places)):
        place = team.places[p]
        mean = splat(ZERO, WIDTH)
        for worker in range(team.workers):
            mean = mean + vector_of(team, worker, place, scale) * share_in_mean(team, worker)
        store(team.spare, spare_at(team, ON_ITS_WAY, place), mean)
    compress_vector(team, pack, 0)
    for p in range(len(team.places)):
        keep_where(team.server, basis_at(team, team.places[p]), due, load(team.spare, spare_at(team, BASIS, p), WIDTH))
    for worker in range(team.workers):
        take_in(team, worker, due, scale)


def send_each(team: Team, pack: Pack, due: Mask, scale: Lane) -> None:
    """Compresses each worker's vector."""
    for worker in range(team.workers):
        for p in range(len(team.places)):
            place = team.places[p]
            store(team.spare, spare_at(team, ON_ITS_WAY, place), vector_of(team, worker, place, scale))
        compress_vector(team, pack, worker)
        take_in(team, worker, due, scale)


@noinline
def receive(team: Team, pack: Pack, due: Mask) -> None:
    """Leaves the mean of what is received of the workers' vectors, or their vote, in the scale of the vectors."""
    scale, zero = message_scale(pack), splat(ZERO, WIDTH)
    for place in range(team.size):
        store(team.spare, spare_at(team, RECEIVED, place), zero)
    if IS_OF_MEAN:
        send_mean(team, pack, due, scale)
    else:
        send_each(team, pack, due, scale)
    for place in range(team.size):
        there = spare_at(team, RECEIVED, place)
        found = load(team.spare, there, WIDTH)
        if IS_VOTE:
            found = sign(found)
        store(team.spare, there, where(scale == 0.0, zero, found / scale))


def nothing_needed(pack: Pack, t: Lane, carry: Lanes) -> tuple[Lane, Lanes]:
    """`outer.outer_step` of plain averages, which need nothing."""
    return t, carry


def way_received(w: Lane, g: Lane, slots: Lanes, s: Lane) -> tuple[Lane, Lanes]:
    """`outer_update` of plain averages: theta less what has been received."""
    return w - g, slots


def received_gradient(team: Team, place: int, theta: Lane) -> Lane:
    """What has been received, in the place of `outer.pseudo_gradient`."""
    return load(team.spare, spare_at(team, RECEIVED, place), WIDTH)


def exchange_messages(team: Team, pack: Pack, due: Mask) -> None:
    """The server receives the workers' messages and makes a step, from where all go on."""
    note_arrivals(team, pack, due)
    receive(team, pack, due)
    step_server(team, pack, lanes_that_step(team, due))
