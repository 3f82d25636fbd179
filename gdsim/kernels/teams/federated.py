"""Rounds of federated learning: who takes part, how many steps each client makes on whose samples, and what the
server makes of what comes back (McMahan et al. 2017, arXiv:1602.05629; Wang et al. 2020, arXiv:2007.07481;
Karimireddy et al. 2020, arXiv:1910.06378).

A worker of the team is one of the round's clients, in ascending order. Team.server has theta, then the slots of
the server's rule, or SCAFFOLD's c and the c_k of all clients; Team.numbers the carry of the server's rule, then
what a round is: its number and the step at which it began, two numbers each (`lanes.counts`), its length, whether it
is open, and of each of its clients the number, how many samples it has, how many steps it makes, and its share in the mean. The last two numbers of a
client's carry are the steps that it has left and the sum of the rates of those made (`rules.clients`).
"""

import numpy as np

from gdsim.kernels.attendants import attended, own_number, run_worker
from gdsim.kernels.job import Job
from gdsim.kernels.parts import job_of, job_training_sampler
from gdsim.kernels.sampling import steps_of_shard
from gdsim.kernels.snapshots import FOREVER
from gdsim.kernels.state import Pack
from gdsim.kernels.team_memory import Team
from gdsim.kernels.teams.averaging import reset_state
from gdsim.kernels.teams.outer import begin_server, pseudo_gradient, step_server
from gdsim.kernels.teams.parts import OUTER_CARRY, client_steps, give_start, set_shares
from gdsim.kernels.teams.team import note_divergence
from gdsim.kernels.teams.workers import equal_share, give_all, keep_where, mean_over_workers, note_disagreement, sum_of_terms
from gdsim.lanes.compiler import noinline
from gdsim.lanes.counts import joined_count, split_count
from gdsim.lanes.masks import any, extract, smallest
from gdsim.lanes.operations import as_type_of, load, splat, store, where
from gdsim.lanes.parts import WIDTH, ZERO, restore_float_mode, set_float_mode
from gdsim.lanes.permutation import OrderKey, order_key, permuted
from gdsim.lanes.philox import CLIENT_CHOICE
from gdsim.lanes.tiles import gather
from gdsim.lanes.types import Address, Count, Hyperparameters, Lane, Lanes, Mask, Memory, Offset
from gdsim.problems.parts import SHARD_NUMBERS, Sampler

ROUND, BEGIN, LENGTH, IS_OPEN, OF_ROUND = 0, 2, 4, 5, 6  # numbers of a round, the first two counts, and how many there are
CLIENT, SIZE, STEPS, SHARE, OF_CLIENT = 0, 1, 2, 3, 4  # likewise of each of its clients
LEFT, RATES = 2, 1  # places in a client's carry, from its end
CONTROL, OF_CLIENTS = 1, 2  # arrays of SCAFFOLD's server: c, and the first c_k


def of_round(number: int) -> Offset:
    """Where a number of the round lies in `Team.numbers`."""
    return (OUTER_CARRY + number) * WIDTH


def count_of_round(team: Team, number: int, like: Lane) -> Lane:
    """One of the round's counts, of the type of `like`, uint32."""
    at = of_round(number)
    return joined_count(load(team.numbers, at, WIDTH), load(team.numbers, at + WIDTH, WIDTH), like)


def keep_count(team: Team, number: int, lanes: Mask, count: Lane) -> None:
    """Keeps one of the round's counts in some of the lanes."""
    high, low = split_count(count, splat(ZERO, WIDTH))
    keep_where(team.numbers, of_round(number), lanes, high)
    keep_where(team.numbers, of_round(number) + WIDTH, lanes, low)


def of_client(team: Team, number: int, worker: Count) -> Offset:
    """Where a number of one of the round's clients lies there."""
    return (OUTER_CARRY + OF_ROUND + number * team.workers + worker) * WIDTH


def in_carry(team: Team, worker: Count, number: int) -> Offset:
    """Where a number of a client lies in its carry, counted from the end."""
    return ((worker + 1) * team.carry_count - number) * WIDTH


def in_slots(team: Team, worker: Count, place: Count) -> Offset:
    """Where a client's last slot lies."""
    return ((worker * team.size + place + 1) * team.slot_count - 1) * WIDTH


def batches_of(sampler: Sampler, count: np.uint32) -> Count:
    """How many batches a client's samples make."""
    return np.int64(extract(steps_of_shard(sampler, splat(count, 1)), 0))


def steps_of_epochs(h: Hyperparameters, lane: int, batches: Count) -> Count:
    """How many steps a client makes: passes over its samples."""
    return np.int64(own_number(h.distribution_epochs, lane)) * batches


def steps_of_period(h: Hyperparameters, lane: int, batches: Count) -> Count:
    """How many steps a client makes: as many as any other."""
    return np.int64(own_number(h.distribution_period, lane))


def choice_key(start: np.uint32, turn: np.uint32, seed: Lanes, clients: Count) -> OrderKey:
    """The key of the order of all clients by which a round has its own."""
    return order_key(splat(start, 1), CLIENT_CHOICE, splat(turn, 1), seed, clients)


def is_chosen(client: Count, key: OrderKey, sampled: Count) -> bool:
    """Whether a client is among the first of a round's order."""
    return bool(extract(permuted(splat(np.uint32(client), 1), key), 0) < sampled)


def list_rounds(starts: Memory, until: Memory, steps: Memory, sizes: tuple[Count, Count, Count], seed: Lanes, chosen: Memory, ends: Memory) -> None:
    """chosen[row, round, place]: the clients of the rounds of each start, up to the one that is not over after
    until[row] steps; ends[row, round]: the step after which a round is over.

    `steps`[row, client] are those of a client in a round; `sizes`: how many clients there are, how many of them
    a round has, and for how many rounds there is room.
    """
    mode = set_float_mode()
    clients, sampled, rounds = sizes
    for row in range(len(starts)):
        end, turn = 0, 0
        while end <= until[row]:
            key = choice_key(starts[row], np.uint32(turn), seed, clients)
            at, place, longest = row * rounds + turn, 0, 0
            for client in range(clients):
                if is_chosen(client, key, sampled):
                    chosen[at * sampled + place] = client
                    longest = max(longest, steps[row * clients + client])
                    place += 1
            end += longest
            ends[at] = end
            turn += 1
    restore_float_mode(mode)


def open_round(job: Job, seed: Lanes, h: Hyperparameters, lane: int) -> None:
    """Draws the clients of a lane's next round."""
    team, pack, sampler = job.team, job.pack, job.training_sampler
    clients, numbers = np.int64(own_number(h.distribution_clients, lane)), team.numbers
    turn = own_number(count_of_round(team, ROUND, load(pack.step, 0, WIDTH)), lane)
    key = choice_key(pack.start[lane], turn, seed, clients)
    worker, longest = 0, 0
    for client in range(clients):
        if is_chosen(client, key, team.workers):
            count = sampler.shards[(np.int64(pack.shard[lane]) + client) * SHARD_NUMBERS + 1]
            steps = client_steps(h, lane, batches_of(sampler, count))
            numbers[of_client(team, CLIENT, worker) + lane] = client
            numbers[of_client(team, SIZE, worker) + lane] = count
            numbers[of_client(team, STEPS, worker) + lane] = steps
            team.carry[in_carry(team, worker, LEFT) + lane] = steps
            longest = max(longest, steps)
            worker += 1
    numbers[of_round(LENGTH) + lane] = longest


@noinline
def open_rounds(table: Address, h: Hyperparameters) -> None:
    """Opens the rounds of the lanes whose last is over."""
    job, seed = job_of(table), job_training_sampler(table).seed
    team = job.team
    is_open = load(team.numbers, of_round(IS_OPEN), WIDTH)
    opens = is_open == 0.0
    if any(opens):
        for lane in attended():
            if team.numbers[of_round(IS_OPEN) + lane] == 0.0:
                open_round(job, seed, h, lane)
        keep_count(team, BEGIN, opens, load(job.pack.step, 0, WIDTH))
        store(team.numbers, of_round(IS_OPEN), where(opens, is_open * 0.0 + 1.0, is_open))
        set_shares(team)
        give_start(team, opens)


def wait_of_round(table: Address, h: Hyperparameters, step: Lane) -> Lane:
    """How many steps a run makes to the end of its round, which is opened where the last is over."""
    open_rounds(table, h)
    team = job_of(table).team
    return count_of_round(team, BEGIN, step) + as_type_of(load(team.numbers, of_round(LENGTH), WIDTH), step) - step


def place_client(job: Job, worker: Count) -> None:
    """Says whose samples a worker's steps draw: its client's, from where the rounds before would have ended, had it
    been in all of them. Each run has rows of its own for that, one for each client of a round.
    """
    team, pack, sampler = job.team, job.pack, job.training_sampler
    shards, numbers = sampler.shards, team.numbers
    step = load(pack.step, 0, WIDTH)
    turns, begins = count_of_round(team, ROUND, step), count_of_round(team, BEGIN, step)
    rooms = len(shards) // SHARD_NUMBERS - len(job.runs.reason) * team.workers
    for lane in attended():
        run = job.lanes.run[lane]
        if run < 0:  # a lane that goes on for nothing draws from any
            team.shard[lane] = 0
            continue
        row = rooms + run * team.workers + worker
        source = (np.int64(pack.shard[lane]) + np.int64(numbers[of_client(team, CLIENT, worker) + lane])) * SHARD_NUMBERS
        batches = batches_of(sampler, shards[source + 1])
        passes = (np.int64(numbers[of_client(team, STEPS, worker) + lane]) + batches - 1) // batches
        for number in range(3):
            shards[row * SHARD_NUMBERS + number] = shards[source + number]
        shards[row * SHARD_NUMBERS + 3] = np.int64(own_number(turns, lane)) * passes * batches - np.int64(own_number(begins, lane))
        team.shard[lane] = row


def step_client(job: Job, worker: int, steps: Count) -> None:
    """Lets a client make so many steps, or those that it has left where these are fewer in all lanes; it is watched in
    the lanes where it has some left.
    """
    team, made, goes_on = job.team, 0, True
    runs, none = load(job.pack.monitor.active, 0, WIDTH) != 0, load(team.active, 0, WIDTH) * 0
    while made < steps and goes_on:
        left = as_type_of(load(team.carry, in_carry(team, worker, LEFT), WIDTH), none)
        steps_on = runs & (left > 0)
        goes_on = any(steps_on)
        if goes_on:
            store(team.active, 0, where(steps_on & (load(team.diverged, 0, WIDTH) == 0), none + 1, none))
            count = min(steps - made, np.int64(smallest(where(steps_on, left, none + FOREVER))))
            made += run_worker(team, worker, count)
            note_divergence(team)


def shares_of_samples(team: Team) -> None:
    """Clients count by their samples."""
    total = splat(ZERO, WIDTH)
    for worker in range(team.workers):
        total = total + load(team.numbers, of_client(team, SIZE, worker), WIDTH)
    for worker in range(team.workers):
        store(team.numbers, of_client(team, SHARE, worker), load(team.numbers, of_client(team, SIZE, worker), WIDTH) / total)


def shares_of_steps(team: Team) -> None:
    """FedNova's: by their samples and the mean of their steps, times the mean number of steps."""
    shares_of_samples(team)
    mean = splat(ZERO, WIDTH)
    for worker in range(team.workers):
        mean = mean + load(team.numbers, of_client(team, SHARE, worker), WIDTH) * load(team.numbers, of_client(team, STEPS, worker), WIDTH)
    for worker in range(team.workers):
        at = of_client(team, SHARE, worker)
        store(team.numbers, at, load(team.numbers, at, WIDTH) * mean / load(team.numbers, of_client(team, STEPS, worker), WIDTH))


def equal_shares(team: Team) -> None:
    """Clients count as much as each other."""
    share = equal_share(team)
    for worker in range(team.workers):
        store(team.numbers, of_client(team, SHARE, worker), share)


def share_of_client(team: Team, worker: Count) -> Lane:
    """A client's share in the mean."""
    return load(team.numbers, of_client(team, SHARE, worker), WIDTH)


def begin_controls(team: Team, pack: Pack, fresh: Mask) -> None:
    """The server begins at the start, with all of SCAFFOLD's c and c_k 0."""
    begin_server(team, pack, fresh)
    for at in range(team.size * WIDTH, len(team.server), WIDTH):
        keep_where(team.server, at, fresh, splat(ZERO, WIDTH))


def start_alone(team: Team, opens: Mask) -> None:
    """Clients know nothing but the weights at which they begin."""


def start_anchored(team: Team, opens: Mask) -> None:
    """Clients know where they began."""
    for worker in range(team.workers):
        for place in range(team.size):
            keep_where(team.slots, in_slots(team, worker, place), opens, load(team.server, place * WIDTH, WIDTH))


def start_corrected(team: Team, opens: Mask) -> None:
    """Clients know by how much their gradients are off: c - c_k."""
    for lane in attended():
        team.shard[lane] = lane
    lanes = load(team.shard, 0, WIDTH)
    for worker in range(team.workers):
        client = as_type_of(load(team.numbers, of_client(team, CLIENT, worker), WIDTH), lanes)
        for place in range(team.size):
            own = gather(team.server, ((client + OF_CLIENTS) * team.size + place) * WIDTH + lanes)
            keep_where(team.slots, in_slots(team, worker, place), opens, load(team.server, (CONTROL * team.size + place) * WIDTH, WIDTH) - own)


def end_round(team: Team, due: Mask) -> None:
    """The next round begins with fresh optimizers."""
    reset_state(team, due)
    keep_count(team, ROUND, due, count_of_round(team, ROUND, load(team.step, 0, WIDTH)) + 1)
    keep_where(team.numbers, of_round(IS_OPEN), due, splat(ZERO, WIDTH))


def go_on_from(team: Team, place: Count, due: Mask, theta: Lane) -> None:
    """The server and all clients have a weight."""
    keep_where(team.server, place * WIDTH, due, theta)
    give_all(team, team.weights, place * WIDTH, team.size * WIDTH, due, theta)


def average_clients(team: Team, pack: Pack, due: Mask) -> None:
    """The server takes the mean of the clients' weights."""
    for place in range(team.size):
        go_on_from(team, place, due, mean_over_workers(team, team.weights, place * WIDTH, team.size * WIDTH))
    end_round(team, due)


def step_by_shares(team: Team, pack: Pack, due: Mask) -> None:
    """The server steps by the pseudo-gradient, whose shares need not add up to 1."""
    for place in range(team.size):
        theta = load(team.server, place * WIDTH, WIDTH)
        go_on_from(team, place, due, theta - pseudo_gradient(team, place, theta))
    end_round(team, due)


def step_of_server(team: Team, pack: Pack, due: Mask) -> None:
    """The server's rule steps by the pseudo-gradient."""
    step_server(team, pack, due)
    end_round(team, due)


def average_and_correct(team: Team, pack: Pack, due: Mask) -> None:
    """The server takes the mean; SCAFFOLD's c_k become the mean gradients of the clients' steps, less c - c_k, and
    c follows by their changes over all clients.
    """
    share = 1.0 / splat_clients(team)
    for place in range(team.size):
        theta, at = load(team.server, place * WIDTH, WIDTH), (CONTROL * team.size + place) * WIDTH
        control = load(team.server, at, WIDTH)
        for worker in range(team.workers):
            rates, way = load(team.carry, in_carry(team, worker, RATES), WIDTH), theta - load(team.weights, (worker * team.size + place) * WIDTH, WIDTH)
            mean = where(rates > 0.0, way / rates, way * 0.0)
            keep_control(team, worker, place, due, mean - load(team.slots, in_slots(team, worker, place), WIDTH))
            store(team.terms, worker * WIDTH, (mean - control) * share)
        keep_where(team.server, at, due, control + sum_of_terms(team))
        go_on_from(team, place, due, mean_over_workers(team, team.weights, place * WIDTH, team.size * WIDTH))
    end_round(team, due)


def splat_clients(team: Team) -> Lane:
    """How many clients there are, of which SCAFFOLD's server has an array each."""
    return as_type_of(splat(len(team.server) // (team.size * WIDTH) - OF_CLIENTS, WIDTH), splat(ZERO, WIDTH))


def keep_control(team: Team, worker: Count, place: Count, due: Mask, value: Lane) -> None:
    """Keeps a client's c_k, where each lane has another client."""
    zero = splat(ZERO, WIDTH)
    kept = where(due, zero + 1.0, zero)
    for lane in attended():
        if own_number(kept, lane) == 1.0:
            client = np.int64(team.numbers[of_client(team, CLIENT, worker) + lane])
            team.server[((client + OF_CLIENTS) * team.size + place) * WIDTH + lane] = own_number(value, lane)


def report_theta(team: Team, pack: Pack, places: Memory, noted: Memory) -> None:
    """Reports the server's weights, and how far the clients are from them."""
    for place in range(team.size):
        store(pack.weights, place * WIDTH, load(team.server, place * WIDTH, WIDTH))
    note_disagreement(team, pack.weights, places, noted)
