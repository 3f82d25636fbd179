"""Does it matter who talks to whom, when the workers of one model talk to their neighbours alone?

Left, how fast 16 workers that stand apart agree, without gradients: the root mean square distance from their
mean, in units of the first, exchange by exchange. Dashed is the power of the second eigenvalue of each graph's
mixing matrix, which it falls by in the long run: .95 on a ring, .6 on a torus and on an exponential graph; a
one-peer exponential graph, on which a worker sends one message an exchange, agrees exactly after log2(16) = 4.
Middle, digits trained by 16 workers of which each has samples of one class alone (64-32-10, SGD, one rate, batch
8): the loss of the workers' mean on the whole data. Right, the same at the last step over what a worker has sent.
Graphs that mix faster have the lower loss: a torus and an exponential graph come near to the complete one for a
quarter of its messages, and the one-peer graph has a loss of 0.17 where a ring has 0.29, for half the ring's
messages (Lian et al. 2017, arXiv:1705.09056; Assran et al. 2019, arXiv:1811.10792).

Takes 60 s on two cores. Ends in results/gossip_graphs/gossip_graphs.png.
"""

import matplotlib.figure
import numpy as np
import xarray

import gdsim as gd

WORKERS = 16
TOPOLOGIES = ("path", "ring", "torus", "exponential", "one_peer", "complete")


def sweeps(short: bool = False) -> dict[str, gd.Sweep]:
    """`consensus`: workers that stand apart after the first step and then only mix; `digits`: a network."""
    kind = gd.Gossip(workers=WORKERS, topology=gd.grid(*TOPOLOGIES), order="combine")
    kicked = gd.Data(np.r_[-1.0, np.zeros(WORKERS - 1)][:, None], np.zeros(WORKERS))
    consensus = gd.Sweep(
        problem=gd.Expression("w*x", variables=("w",), data=kicked),
        optimizer=gd.SGD(lr=1.0),
        schedule=gd.Piecewise(table=[(0, 1.0), (1, 0.0)]),
        distribution=kind,
        partition=np.arange(WORKERS),
        init=[[0.0]],
        steps=31,
        dtype="float64",
        record=gd.Record(every=1),
    )
    digits = gd.Sweep(
        problem=gd.MLP(gd.datasets.load("digits"), hidden=[32], activation="relu", loss="cross_entropy"),
        optimizer=gd.SGD(lr=0.5),
        distribution=kind,
        partition=gd.Classes(1),
        batch=8,
        starts=4 if short else 32,
        steps=40 if short else 600,
        record=gd.Record(every=10),
    )
    return {"consensus": consensus, "digits": digits}


def figure(results: dict[str, xarray.Dataset]) -> matplotlib.figure.Figure:
    """Agreement, the loss on the way, and what it has cost in messages."""
    drawing = matplotlib.figure.Figure(figsize=(14, 4.5), layout="constrained")
    agreement, losses, cost = drawing.subplots(1, 3)
    consensus, digits = results["consensus"], results["digits"]
    for k, topology in enumerate(TOPOLOGIES):
        rms = np.sqrt(consensus.disagreement[consensus.topology.values == topology][0].values[1:])
        seen = rms > 1e-9
        agreement.plot(np.arange(len(rms))[seen], (rms / rms[0])[seen], color=f"C{k}", marker="o" if seen.sum() < 8 else None, label=topology)
        second = gd.analysis.second_eigenvalue(topology, WORKERS)
        if second > 0:
            agreement.plot(second ** np.arange(len(rms)), color=f"C{k}", ls="--", lw=0.8)
        chosen = digits.isel(run=digits.topology.values == topology)
        median = np.median(chosen.loss.values, axis=0)
        losses.plot(digits.step.values, median, color=f"C{k}")
        sent = float(chosen.bytes_sent.values[0, -1]) / 1e6
        low, high = np.quantile(chosen.loss.values[:, -1], [0.25, 0.75])
        cost.vlines(sent, low, high, color=f"C{k}")
        cost.plot(sent, median[-1], "o", color=f"C{k}")
        left = topology == "complete"
        cost.annotate(topology, (sent, median[-1]), xytext=(-6 if left else 6, 4), textcoords="offset points", ha="right" if left else "left")
    agreement.set(yscale="log", ylim=(1e-6, 2), xlabel="exchanges", ylabel="rms distance from the mean / the first")
    agreement.legend(fontsize="small")
    losses.set(yscale="log", xlabel="step", ylabel="loss of the mean, median of the starts")
    cost.set(xscale="log", xlabel="MB that a worker has sent", ylabel="loss at the last step, median and middle half")
    cost.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    cost.minorticks_off()
    return drawing
