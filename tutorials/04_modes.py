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
# # 4. Modes
#
# **You learn** to find the sparse motifs in which interneurons contribute together, how many there
# are, whether they come back when the fit is repeated, and which cells go with which.\
# **You need** the idea of a contribution (tutorial 3).\
# **It takes** about twenty-five seconds.

# %%
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "models").is_dir())
network = rc.networks.load_network(project / "models" / "simulated_retina")
circuit = rc.simulation.Circuit(shape=(24, 24), history=25, seed=0)
screen = rc.stimuli.Screen(shape=(24, 24), frame_rate_hz=100.0)
movie = rc.stimuli.natural_scenes(n_frames=5000, screen=screen, seed=5)
samples = rc.networks.windows_for(network, movie)
rates = rc.networks.predict(network, samples)
cell_type = circuit.cells["cell_type"].to_numpy()

relu2 = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu2"],
    target=rc.contributions.surprisal(rates),
    n_steps=3,
    rule="secant",
    progress=False,
)["relu2"]
method = rc.decomposition.SparseModes(n_modes=8)
modes = rc.decomposition.decompose(relu2, method)
burst_s = float(samples.sample[relu2.target_value.argmax()])
rc.figures.plot_dictionary(modes)
rc.figures.plot_loadings(modes, span_s=(burst_s - 2, burst_s + 2))
plt.show()

# %% [markdown]
# **Above:** each row of the first picture is a mode, a recipe of features (channels of `relu2` that
# promote, +, or suppress, −). The second picture shows when each mode is active, in the four
# seconds around the most surprising moment of the movie.
#
# ## 1. What a mode is
#
# Which features act together? A **mode** is a sparse motif of features; its **loading** says how
# much of it there is in each sample. We explain the surprisal of the population of twelve cells,
# and decompose the contributions of the second layer with `SparseModes`, and with principal
# components for comparison. Whole blocks of time are held out from the fit, because neighbouring
# frames are almost the same. R² is for these blocks.

# %%
components = {
    n: rc.decomposition.decompose(relu2, rc.decomposition.PrincipalComponents(n_modes=n))
    for n in (1, 8)
}
pd.DataFrame(
    [
        {
            "method": record.method,
            "modes": len(record.dictionary),
            "held-out R²": record.r2,
            "non-zero loadings in a sample (mean)": np.count_nonzero(
                record.loadings, axis=1
            ).mean(),
        }
        for record in (modes, components[8], components[1])
    ]
).round({"held-out R²": 3, "non-zero loadings in a sample (mean)": 2})

# %% [markdown]
# With as many components, principal components explain more: on the data that were fitted no linear
# method can beat them. But they use all of their numbers in every sample. `SparseModes` uses about
# one, and explains far more than a single principal component does with one. That is why its modes
# can be read one by one.
#
# ## 2. How many modes?
#
# `SparseModes` removes modes that nothing needs, so a number that is somewhat too large does no
# harm. Methods that keep all modes they are given need a choice: `choose_n_modes` fits each number
# five times, on other blocks of time and with other seeds, and takes the smallest number that
# explains as much as the best of those that are stable (agreement of at least 0.9). Here for
# non-negative factors:

# %%
with warnings.catch_warnings():
    # Some fits do not settle within their iterations; the agreement tells whether it matters.
    warnings.simplefilter("ignore")
    chosen, choices = rc.decomposition.choose_n_modes(
        relu2, rc.decomposition.NonNegativeFactors(), [2, 4, 6, 8]
    )
figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.2), layout="constrained")
left.errorbar(choices["n_modes"], choices["r2"], yerr=choices["r2_error"], fmt="o-", capsize=2)
left.set(xlabel="number of modes", ylabel="held-out R²")
right.plot(choices["n_modes"], choices["agreement"], "o-")
right.axhline(0.9, color="0.6", linewidth=0.8)
right.set(xlabel="number of modes", ylabel="agreement of five fits")
for ax in (left, right):
    ax.axvline(chosen, color="C1", linewidth=0.8)
plt.show()
print(f"chosen: {chosen} factors")
choices.set_index("n_modes").round(3)

# %% [markdown]
# Four factors explain nearly everything, and come back. But nearly all of them are active in each
# sample (column `active`): they are axes of the space in which contributions vary. The sparse modes
# are more in number and one at a time: they are the directions in which this space is visited.
#
# ## 3. Would another fit find the same modes?
#
# `stability` repeats the fit with other seeds, and on resampled blocks of time. Modes that do not
# come back (mean cosine below 0.9) get a question mark in the figures; read nothing into them.

# %%
stability = rc.decomposition.stability(relu2, modes, method, n_seeds=2, n_resampled=2)
modes = replace(modes, reproducibility=stability.reproducibility)
rc.figures.plot_stability(stability)
plt.show()
back = int((modes.reproducibility > 0.9).sum())
print(f"{back} of {len(modes.dictionary)} modes come back")
rc.statistics.describe_modes(modes).round(2)

# %% [markdown]
# Not all modes come back. Those that come back least (below 0.8) hold next to no energy, the share
# of the contributions that a mode accounts for: they are what is left when a method may have more
# modes than it needs. Modes of the ON-OFF cells come first: channels 4 and 6, which in tutorial 3
# look like fast OFF and fast ON bipolar cells, and each of which promotes where the other
# suppresses.
#
# ## 4. Which cells go with which mode?
#
# We correlate the predicted rate of each cell with the loading of each mode, and group the cells by
# these correlations. The groups are made without knowing the types. Are they the true types? The
# controls are groups by the responses alone, and by loadings that were shifted in time.

# %%
table = rc.statistics.mode_cells(rates, modes)
types = rc.statistics.cell_types(rates, modes, n_bootstraps=10, n_references=10, n_nulls=20)
recovery = rc.statistics.type_recovery(types, cell_type)
rc.figures.plot_mode_cells(table)
plt.show()
print(f"chosen: {types.choices['chosen']} groups; there are {len(set(cell_type))} types")
recovery.set_index("by")[["n_clusters", "agreement"]].round(2)

# %%
pd.crosstab(cell_type, types.labels, rownames=["type"], colnames=["group"])

# %% [markdown]
# The groups are the true types: cells that share their inputs go with the same modes. Groups of the
# responses alone agree much less with the types (0 is chance), and so do shifted loadings. With
# twelve cells of a simulated retina this is the easy case.
#
# `retina-codec decompose` does the same for contributions in a store, and `retina-codec compare`
# tells what the contributions of a finished run show that activations do not. Which of the methods
# to take is in `docs/decomposition.md`.
