# %% [markdown]
# # A sweep on a cluster that is not kind
#
# Launch a sweep on Dask workers, watch it, kill one of them, damage what is kept, resume, open. The cluster is two
# processes of this machine; with the address of a scheduler in the place of `client` it is any other.

# %%
import os
import pathlib
import signal

import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

import gdsim as gd

cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs="CRITICAL")
client = Client(cluster)
print(*(f"worker {name}: {worker.status.name}" for name, worker in cluster.workers.items()), sep="\n")

# %% [markdown]
# The sweep: Adam in Rosenbrock's valley, 24 learning rates, 3000 starts each. It is cut into chunks by counted
# operations: a fiftieth of a second of one core each here, ten seconds by default. `plan` says how many that gives.

# %%
sweep = gd.Sweep(
    problem=gd.functions.Rosenbrock(),
    optimizer=gd.Adam(lr=gd.logspace(1e-2, 10, 24)),
    starts=3000,
    steps=5000,
    stop=[gd.Target(1e-6)],
)
print(sweep.plan(chunk_seconds=0.02))

# %% [markdown]
# ## Launch, watch, kill
#
# `progress` may be a function, which is told how far the sweep is. This one keeps what it hears, and kills the first
# worker, by the signal that cannot be caught, once a third of the runs are done.

# %%
heard, killed = [], []


def watch(state):
    heard.append((state.seconds, state.runs_done))
    if not killed and state.runs_done > state.runs / 3:
        killed.append(cluster.workers[0].pid)
        os.kill(killed[0], signal.SIGKILL)


result = sweep.run(out="valley", client=client, chunk_seconds=0.02, progress=watch)
print(f"killed {len(killed)} worker; {result.attrs['finished_runs']:,} of {result.attrs['planned_runs']:,} runs are there")

# %%
seconds, done = np.array(heard).T
seconds = seconds - seconds[np.argmax(done > 0)]
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.step(seconds, done, where="post")
ax.axvline(seconds[np.argmax(done > sweep.plan().runs / 3)], color="C3", ls="--", label="a worker is killed")
ax.set(xlabel="seconds after the first chunk was there", ylabel="runs done", xlim=(-0.2, None))
ax.legend()
plt.show()

# %% [markdown]
# What the dead worker was at is trained again by the other; Dask's nanny starts a new process in its place. A chunk is
# one file, a shard, which appears whole or not at all, named by the hash of its bytes:

# %%
shards = sorted(pathlib.Path("valley/shards").iterdir())
names = {shard.name for shard in shards}
print(f"{len(shards)} shards, {sum(shard.stat().st_size for shard in shards) / 1e6:.1f} MB")

# %% [markdown]
# ## Damage, and resume
#
# Three shards vanish and a byte of a fourth is flipped. The same call again checks every byte that is there, sets aside
# what is damaged, and trains what is missing: to the same bytes, so that the files have the same names as before.

# %%
for shard in shards[:3]:
    shard.unlink()
content = bytearray(shards[3].read_bytes())
content[len(content) // 2] ^= 1
_ = shards[3].write_bytes(content)

# %%
trained = []
result = sweep.run(out="valley", client=client, chunk_seconds=0.02, progress=trained.append)
anew = trained[-1].runs_done - trained[0].runs_done
print(f"{anew:,} runs were trained anew; the same files as before: {names == {s.name for s in pathlib.Path('valley/shards').iterdir()}}")
print("set aside:", len(list(pathlib.Path("valley/quarantine").iterdir())), "file")

# %% [markdown]
# ## Open
#
# `gd.open` reads what is there, also while the sweep goes on, and from a machine that has no part in it. Curves are
# Dask arrays, read as they are asked for.

# %%
client.close()
cluster.close()
result = gd.open("valley")
result

# %%
gd.plots.sensitivity_curve(result)

# %%
table = gd.table(result)
best = table.index[:4]
gd.plots.convergence_bands(result.isel(run=np.isin(result.cell, best)))

# %% [markdown]
# A folder takes more of the same experiment: with `starts=4000` the same call trains a thousand more of each rate. On
# the command line it is `gdsim run valley.toml --workers 2`, and `gdsim status valley --watch`, `gdsim verify valley`,
# `gdsim report valley`.
