"""The seconds of rounds of clients: each is as long as its slowest client computes, and then the server takes."""

import numpy as np

from gdsim.analysis.simulated import SimulatedCluster
from gdsim.analysis.stragglers import speeds_of
from gdsim.distribution import Federated, message_sizes
from gdsim.distribution.time_draws import summed_times
from gdsim.population import Setting
from gdsim.population.client_rounds import ClientRounds, over_rounds


def client_seconds(setting: Setting, cluster: SimulatedCluster, starts: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """[query] the seconds after which the runs of one cell of clients came to some steps, [query] as `starts`.

    A client's H steps of a round take their compute times, drawn by the seed, the start, the client and its own
    steps; a batch takes as long whether short or not. Its message goes to the servers and is answered, as those of
    all clients of the round. After the last round before, all clients have made the rest of the steps. Raises
    ValueError for a cluster whose messages overlap.
    """
    one = setting.distribution
    assert isinstance(one, Federated)
    cluster.check_answered("clients")
    speeds = np.array(speeds_of(cluster.speeds, one.owners[0], "SimulatedCluster.speeds"))
    message = one.message_bytes(*message_sizes(one, setting.problem, np.dtype(setting.dtype).itemsize))
    exchange = cluster.server_seconds(setting.workers, message)

    def measured(rounds: ClientRounds, row: np.ndarray, step: np.ndarray) -> np.ndarray:
        def computed(rows: np.ndarray, turns: np.ndarray, clients: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            begins = turns * rounds.steps_ahead[rows, clients]
            of_queries = (rounds.starts[rows], begins, lengths, clients)
            times = summed_times(cluster.compute, setting.seed, *(column.ravel() for column in np.broadcast_arrays(*of_queries)))
            return times.reshape(clients.shape) / speeds[clients]

        rows, turns = np.arange(len(rounds.clients))[:, None, None], np.arange(rounds.clients.shape[1])[:, None]
        taken = computed(rows, turns, rounds.clients, rounds.of_places(rounds.steps)).max(2) + exchange
        ends = np.concatenate([np.zeros((len(taken), 1)), np.cumsum(taken, 1)], 1)
        done = rounds.done_by(row, step)
        clients = rounds.clients[row, done]
        made = np.minimum((step - rounds.begins(row, done))[:, None], rounds.steps[row[:, None], clients])
        return ends[row, done] + computed(row[:, None], done[:, None], clients, made).max(1)

    return over_rounds(setting, starts, steps, measured)
