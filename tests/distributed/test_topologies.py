"""Who talks to whom: mixing matrices against the eigenvalues that graph theory knows, and what is refused."""

import functools

import numpy as np
import pytest

import gdsim as gd
from gdsim.distribution.topologies import (
    TOPOLOGIES,
    checked_topology,
    is_directed,
    messages_sent,
    mixing_matrices,
    neighbours_of,
    second_eigenvalue,
    spectral_gap,
)

RING = {4: 1 / 3, 8: 0.8047378541, 16: 0.9492530217, 32: 0.9871901869}
SECOND = [
    *(("complete", k, 0.0) for k in (1, 2, 7, 64)), *(("ring", k, v) for k, v in RING.items()), ("ring", 3, 0.0), ("ring", 2, 0.0),
    ("torus", 9, 0.4), ("torus", 16, 0.6), ("torus", 64, 0.8828427125), *(("hypercube", 2**d, (d - 1) / (d + 1)) for d in (1, 2, 3, 5)),
    *(("star", k, 1 - 1 / k) for k in (3, 8, 20)), *(("path", k, (1 + 2 * np.cos(np.pi / k)) / 3) for k in (3, 5, 8)), ("path", 2, 0.0),
    ("exponential", 8, 0.5), ("exponential", 12, 0.6), ("exponential", 16, 0.6), ("one_peer", 8, 0.0), ("one_peer", 64, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("topology", "workers", "second"), SECOND)
def test_the_second_eigenvalue_is_the_one_that_is_known(topology, workers, second):
    assert second_eigenvalue(topology, workers) == pytest.approx(second, abs=1e-10)
    assert spectral_gap(topology, workers) == pytest.approx(1 - second, abs=1e-10)


def test_all_eigenvalues_of_regular_graphs_are_those_of_their_formulas():
    turn = lambda n: 2 * np.cos(2 * np.pi * np.arange(n) / n)  # noqa: E731
    for topology, workers, known in (
        ("ring", 12, (1 + turn(12)) / 3),
        ("torus", 20, (1 + np.add.outer(turn(4), turn(5)).ravel()) / 5),
        ("hypercube", 8, np.repeat([1, 0.5, 0, -0.5], [1, 3, 3, 1])),
    ):
        np.testing.assert_allclose(np.linalg.eigvalsh(mixing_matrices(topology, workers)[0]), np.sort(known), atol=1e-12)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16])
def test_every_graph_keeps_the_mean_and_none_sends_to_itself(topology, workers):
    if topology == "torus" and workers == 2:
        return
    matrices = mixing_matrices(topology, workers)
    np.testing.assert_allclose(matrices.sum(1), 1, atol=1e-15)
    np.testing.assert_allclose(matrices.sum(2), 1, atol=1e-15)
    assert (matrices >= 0).all()
    assert not is_directed(matrices)
    neighbours = neighbours_of(matrices)
    assert len(neighbours.source) == len(neighbours.weight) == neighbours.begin[-1] == messages_sent(matrices).sum()


def test_a_torus_with_sides_of_two_counts_neighbours_that_coincide_once():
    for workers in (4, 8):
        matrix = mixing_matrices("torus", workers)[0]
        np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-15)
        assert matrix.max() == pytest.approx({4: 1 / 3, 8: 1 / 4}[workers])
    np.testing.assert_array_equal(mixing_matrices("torus", 4)[0] > 0, mixing_matrices("ring", 4)[0][[0, 1, 3, 2]][:, [0, 1, 3, 2]] > 0)


def test_one_peer_averages_exactly_in_as_many_exchanges_as_it_has_hops_where_workers_are_a_power_of_two():
    for workers, error in ((8, 0.0), (16, 0.0), (6, 0.25 - 1 / 6)):
        product = functools.reduce(np.matmul, mixing_matrices("one_peer", workers)[::-1])
        assert abs(product - 1 / workers).max() == pytest.approx(error, abs=1e-16)
    assert messages_sent(mixing_matrices("one_peer", 8)).tolist() == [[1] * 8] * 3
    assert messages_sent(mixing_matrices("exponential", 8)).tolist() == [[3] * 8]
    assert messages_sent(mixing_matrices("star", 8)).tolist() == [[7] + [1] * 7]


def test_a_worker_that_keeps_nothing_of_its_own_sends_as_many_messages_as_are_read():
    assert messages_sent(np.array([[[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]])).tolist() == [[2, 2, 2]]
    assert messages_sent(np.array([[[0.5, 0.5, 0.0], [0.5, 0.0, 0.0], [0.0, 0.5, 1.0]]])).tolist() == [[1, 2, 0]]


def test_more_workers_than_a_matrix_has_room_for_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^workers that mix their weights may be 2,048 at most, .*; 65,536 were given$"):
        gd.Gossip(workers=[4, 65536])


def test_rows_of_neighbours_make_the_matrix_again():
    for topology in ("star", "one_peer", "torus"):
        matrices = mixing_matrices(topology, 8)
        begin, source, weight = neighbours_of(matrices)
        again = np.zeros_like(matrices).reshape(-1, 8)
        for row in range(len(again)):
            edges = slice(begin[row], begin[row + 1])
            assert (np.diff(source[edges]) > 0).all()
            again[row, source[edges]] = weight[edges]
            again[row, row % 8] = 1 - weight[edges].sum()
        np.testing.assert_allclose(again.reshape(matrices.shape), matrices, atol=1e-15)


def test_a_matrix_of_ones_own_is_taken_and_a_directed_one_is_known_as_such():
    lazy = (np.eye(8) + mixing_matrices("ring", 8)[0]) / 2
    assert second_eigenvalue(lazy, 8) == pytest.approx((1 + RING[8]) / 2)
    pushed = np.array([[0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    assert not is_directed(mixing_matrices(pushed, 3))
    assert is_directed(mixing_matrices([[0.5, 0.3], [0.5, 0.7]], 2))
    assert checked_topology([[1]]) == ((1.0,),)


@pytest.mark.parametrize(
    ("topology", "workers", "said"),
    [
        ("rings", 4, "did you mean 'ring'"),
        ("torus", 7, "'torus' needs workers = m n with m and n from 2; 7 workers were given: take 'ring'"),
        ("hypercube", 12, "a power of 2 of workers; 12 were given: take 8 or 16"),
        ("ring", 0, "workers must be a whole number from 1; 0 was given"),
        (np.full((2, 2), 0.5), 3, "a matrix of 2 workers; workers=3 was given"),
        ([[0.5, 0.5]], 2, "or a square matrix"),
        ([[0.5, 0.5], [0.5]], 2, "or a square matrix"),
        (7, 2, "topology must be one of 'complete', 'ring'"),
        ([[1.5, 0.0], [-0.5, 1.0]], 2, r"topology\[1, 0\] is -0.5; a mixing matrix has shares from 0 to 1"),
        ([[float("nan"), 0.0], [0.0, 1.0]], 2, r"topology\[0, 0\] is nan"),
        ([[0.5, 0.3], [0.4, 0.7]], 2, "column 0 sums to 0.9: divide each column by its sum"),
        ([[0.5, 0.5], [0.3, 0.7]], 2, "column 0 sums to 0.8: its rows do, so give it transposed"),
        (np.eye(3), 3, "not connected"),
        ([[0.5, 0.0], [0.5, 1.0]], 2, "not connected"),
        ([[0.0, 1.0], [1.0, 0.0]], 2, "go round in circles"),
    ],
)
def test_what_is_no_topology_is_refused_in_one_line(topology, workers, said):
    with pytest.raises((ValueError, TypeError), match=said) as error:
        mixing_matrices(topology, workers)
    assert "\n" not in str(error.value)


def test_gossip_takes_topologies_that_fit_all_its_numbers_of_workers():
    one = gd.Gossip(workers=[4, 16], topology=gd.grid("hypercube", "one_peer"))
    assert [v.topology for v in one.variants()] == ["hypercube", "one_peer"]
    assert gd.Gossip(workers=2, topology=[[0.5, 0.5], [0.5, 0.5]]).topology == ((0.5, 0.5), (0.5, 0.5))
    assert gd.Gossip(workers=2, topology=np.full((2, 2), 0.5)) == gd.Gossip(workers=2, topology=[[0.5, 0.5], [0.5, 0.5]])
    named = [gd.Gossip(workers=2, topology=[[1 - a, a], [a, 1 - a]]).settings()["topology"] for a in (0.5, 0.25, 0.5)]
    assert named[0] == named[2] != named[1]


def test_bytes_count_every_neighbour_what_is_tracked_and_shares():
    steps = np.array([0, 3, 4, 8])
    bytes_of = lambda **named: gd.Gossip(workers=8, **named).bytes_at(steps, 10, 4).tolist()  # noqa: E731
    assert bytes_of() == [0, 240, 320, 640]
    assert bytes_of(topology="complete", period=4) == [0, 0, 280, 560]
    assert bytes_of(topology="one_peer") == [0, 120, 160, 320]
    assert bytes_of(topology="star", period=4) == [0, 0, 70, 140]
    assert bytes_of(tracking=True) == [0, 480, 640, 1280]
    assert gd.Gossip(workers=2, topology=[[0.5, 0.3], [0.5, 0.7]]).bytes_at(steps, 10, 4).tolist() == [0, 132, 176, 352]
    assert gd.Gossip(workers=1).bytes_at(steps, 10, 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"workers": [4, 6], "topology": "hypercube"}, "^topology 'hypercube' needs a power of 2 of workers; 6 were given"),
        ({"workers": 4, "topology": gd.grid("ring", "tours")}, "^Gossip.topology='tours' is none; did you mean 'torus'"),
        ({"workers": 2, "topology": [[1, 0], [0, 1]]}, "^Gossip.topology: the workers are not connected"),
        ({"workers": 2, "topology": [[0.5, 0.3], [0.5, 0.7]], "tracking": True}, "^Gossip.tracking needs a mixing matrix whose rows sum to 1"),
        ({"workers": 4, "tracking": 1}, "^Gossip.tracking must be true or false; 1 was given"),
        ({"workers": 4, "order": "combined"}, "^Gossip.order='combined' is not known; did you mean 'combine'"),
        ({"workers": 4, "period": 0}, "^Gossip.period must be"),
    ],
)
def test_a_gossip_that_cannot_be_is_refused_in_one_line(named, said):
    with pytest.raises((ValueError, TypeError), match=said) as error:
        gd.Gossip(**named)
    assert "\n" not in str(error.value)
