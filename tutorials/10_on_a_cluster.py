# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10. On a cluster
#
# **You learn** to compute contributions of any length into a store, with several workers, to go on
# after an interruption, and to write the job for SLURM.\
# **You need** contributions (tutorial 3) and `pip install 'retina-codec[cluster]'`.\
# **It takes** about fifteen seconds.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from distributed import Client, LocalCluster

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "models").is_dir())
network = rc.networks.load_network(project / "models" / "simulated_retina")
screen = rc.stimuli.Screen(shape=(24, 24), frame_rate_hz=100.0)

movie = rc.stimuli.natural_scenes(n_frames=4500, screen=screen, seed=5)
samples = rc.networks.windows_for(network, movie)
target = rc.contributions.one_cell(9)
asked = {"layers": ["relu2"], "target": target, "n_steps": 3, "rule": "secant", "progress": False}
folder = tempfile.TemporaryDirectory()
store, again = (Path(folder.name) / name for name in ("store.zarr", "again.zarr"))

cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None)
client = Client(cluster)
rc.contributions.integrated_gradients(network, samples, store=store, client=client, **asked)
relu2 = rc.contributions.load_contributions(store)[rc.contributions.name_of(target)]["relu2"]
burst_s = float(relu2.sample[np.asarray(relu2.target_value).argmax()])
rc.figures.plot_contributions(relu2, span_s=(burst_s - 2, burst_s + 2))
plt.show()

# %% [markdown]
# **Above:** contributions to an ON-OFF cell, computed by two workers, and read from the store that
# they wrote together.
#
# ## 1. Stretches
#
# Contributions of different samples have nothing to do with each other. A call is cut into
# **stretches** of up to 1,024 samples; each is computed by itself and is one chunk of the store.
# The store stays on disk until it is sliced, so it may be larger than memory.
#
# The cluster here are two workers in this process, which is enough to see how it is used. With
# `processes=True` each worker is a process of its own, and a script needs
# `if __name__ == "__main__":` around the cluster; in the shell it is one option:
#
#     retina-codec contributions retina.nwb --network results/network --out s.zarr --workers 8


# %%
def finished_stretches(place):
    """Number of stretches that a store holds; each leaves a mark when all of it is written."""
    return len(list((place / "done").glob("[0-9]*")))


print(f"{len(samples)} samples in {finished_stretches(store)} stretches; workers: ", end="")
print(len(client.scheduler_info()["workers"]))
print(f"the store is finished: {rc.contributions.is_finished(store)}")

# %% [markdown]
# ## 2. Interrupted, and gone on with
#
# The same call again, without the cluster, and broken off after some passes through the network, as
# a job is that runs out of time. Finished stretches stay. Repeating the call computes only the
# others, and the numbers are the same to the last bit, also on another number of workers.


# %%
def out_of_time(module, inputs):
    """Break off once two stretches are finished."""
    if finished_stretches(again) >= 2:
        raise KeyboardInterrupt


watch = network.register_forward_pre_hook(out_of_time)
try:
    rc.contributions.integrated_gradients(network, samples, store=again, **asked)
except KeyboardInterrupt:
    print("broken off")
finally:
    watch.remove()
n_before, whole_before = finished_stretches(again), rc.contributions.is_finished(again)
print(f"{n_before} of {finished_stretches(store)} stretches are there; finished: {whole_before}")

rc.contributions.integrated_gradients(network, samples, store=again, **asked)
gone_on = rc.contributions.load_contributions(again)[relu2.target]["relu2"]
same = np.array_equal(np.asarray(gone_on.values), np.asarray(relu2.values))
print(f"after going on: finished: {rc.contributions.is_finished(again)}; ", end="")
print(f"the same numbers as from the cluster: {same}")

# %% [markdown]
# A store that belongs to another network, stimulus, target or other settings is refused, so nothing
# can be mixed by mistake:

# %%
try:
    rc.contributions.integrated_gradients(network, samples, store=again, **asked | {"n_steps": 5})
except ValueError as error:
    refused = str(error).replace(str(again), again.name)
    print(refused)

# %% [markdown]
# ## 3. On SLURM
#
# One machine of a cluster is enough for a recording. The job asks for as many workers as cores, and
# may be put back into the queue, because the store goes on where it stopped:

# %%
job = """#!/bin/bash
#SBATCH --job-name=contributions
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue

export OMP_NUM_THREADS=1
retina-codec contributions recording.nwb --network results/network --part all \\
    --out store.zarr --workers $SLURM_CPUS_PER_TASK
retina-codec decompose store.zarr --out modes
"""
print(job)
client.close()
cluster.close()
folder.cleanup()

# %% [markdown]
# For many machines, start a scheduler with [dask-jobqueue](https://jobqueue.dask.org) and give its
# address: `retina-codec contributions ... --scheduler ADDRESS`, or `client=Client(ADDRESS)`. The
# store must lie where all workers reach it. What else to know is in `docs/clusters.md`.
