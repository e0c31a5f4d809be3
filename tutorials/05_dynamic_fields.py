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
# # 5. Dynamic fields
#
# **You learn** that a cell can fire alike with two opposite receptive fields, how the field of a
# moment is split onto channels and modes, and what tells it in advance.\
# **You need** contributions and modes (tutorials 3 and 4).\
# **It takes** about half a minute.

# %%
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
movie = rc.stimuli.natural_scenes(n_frames=7000, screen=screen, seed=5)
samples = rc.networks.windows_for(network, movie)
rates = rc.networks.predict(network, samples)
cell_type = circuit.cells["cell_type"].to_numpy()

true_samples = rc.networks.windows_for(circuit, movie)
cell = int(np.flatnonzero(cell_type == "ON-OFF transient")[0])
own = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu2"],
    target=rc.contributions.one_cell(cell),
    n_steps=3,
    rule="secant",
    progress=False,
)["relu2"]
surprisal = rc.contributions.surprisal(rates)
population = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu2"],
    target=surprisal,
    n_steps=3,
    rule="secant",
    progress=False,
)["relu2"]
modes = rc.decomposition.decompose(own, rc.decomposition.SparseModes(n_modes=6))
population_modes = rc.decomposition.decompose(population, rc.decomposition.SparseModes(n_modes=10))
for name, record, found in (
    ("our cell", own, modes),
    ("population", population, population_modes),
):
    print(
        f"{name}: {len(found.dictionary)} modes, held-out R² {found.r2:.2f}; contributions miss "
        f"{100 * np.nanmedian(record.relative_gap):.1f} % of the change of the target (median)"
    )


def strongest(rate, n_stretches=120):
    """Sample of the highest rate in each of as many stretches of time."""
    stretches = np.array_split(np.arange(len(rate)), n_stretches)
    return np.array([stretch[rate[stretch].argmax()] for stretch in stretches])


moments = strongest(rates[:, cell])
split = rc.receptive_fields.attribute_to_channels(
    network, samples, layer="relu2", cells=[cell], index=moments
)
parts = rc.receptive_fields.attribute_to_modes(split, own, modes)
two = rc.receptive_fields.two_moments(parts, cell=cell, alike=0.9)
rc.figures.plot_moments(two)
plt.show()

fields = rc.receptive_fields.instantaneous_fields(network, samples, cells=[cell], index=moments)
pair = [int(np.flatnonzero(moments == sample)[0]) for sample in two.items["sample"].unique()]
true_fields = rc.receptive_fields.instantaneous_fields(
    circuit, true_samples, cells=[cell], index=moments[pair]
)
likeness = np.corrcoef(np.asarray(fields.values).reshape(len(moments), -1))
of_two = np.corrcoef(np.asarray(true_fields.values).reshape(2, -1))[0, 1]
others = np.triu_indices(len(moments), 1)
print(f"rates: {rates[moments[pair[0]], cell]:.0f} and {rates[moments[pair[1]], cell]:.0f} Hz")
print(f"correlation of the two fields: network {likeness[tuple(pair)]:.2f}, ", end="")
print(f"true circuit {of_two:.2f}")
print(f"all pairs of these moments: {(likeness[others] < 0).mean():.0%} correlate below 0")

# %% [markdown]
# **Above:** each row is a moment. The first map is the **instantaneous receptive field** (IRF), the
# gradient of the rate of an ON-OFF cell with respect to the window just then. The other maps are
# its parts: they have one colour scale and sum to the first. At nearly the same rate the cell has
# an ON field once and an OFF field once, and the true circuit has opposite fields at these moments
# too. This pair is the most different one among moments of similar rate, but not a rare case: the
# last line counts all pairs of the moments, which are the highest rates in 120 stretches of the
# movie.
#
# The two fields are held by different modes. The percentages are shares of the field (they can be
# below 0, when a part works against the rest). "Unexplained" is what no mode holds. Two sets of
# modes were made: modes of what contributes to **our cell**, and modes of what contributes to the
# **surprisal of the population**, all twelve cells together.
#
# ## 1. The split is exact
#
# A field is split by the chain rule, term by term, so its parts must sum to it.


# %%
def sum_of_parts(record):
    """Sum of the parts of each moment."""
    values = np.asarray(record.values)
    return values.reshape(len(moments), -1, *values.shape[1:]).sum(axis=1)


whole = np.asarray(fields.values)
largest = np.abs(whole).max(axis=(1, 2, 3))
differences = {
    name: float((np.abs(sum_of_parts(record) - whole).max(axis=(1, 2, 3)) / largest).max())
    for name, record in (("channels", split), ("modes", parts))
}
for name, difference in differences.items():
    print(f"{name}: the sum differs from the field by {difference:.0e} of its peak at most")

shifted = replace(modes, loadings=np.roll(modes.loadings, len(samples) // 3, axis=0))
shares = rc.receptive_fields.share_of_field(parts)
control = rc.receptive_fields.attribute_to_modes(split, own, shifted)
shares["shifted in time"] = rc.receptive_fields.share_of_field(control)["share"]
shares.drop(columns="cell").set_index("mode").round(2)

# %% [markdown]
# The first two lines are single-precision rounding: nothing is lost. The table says how much of the
# field each mode holds over all 120 moments, with a 95 % interval, and what the same modes hold
# when their loadings come from a third of the movie later. The row −1 is what no mode explains. The
# split onto channels is the network's own; the split onto modes needs a rule (`shares_of_modes`),
# so the shifted column is its control: with loadings of other moments most of the field is left
# over.
#
# Which channels hold the field, and what is the sign of their part?

# %%
by_channel = np.asarray(split.values).reshape(len(moments), -1, *whole.shape[1:])
channel_shares = (by_channel * whole[:, None]).sum(axis=(0, 2, 3, 4)) / (whole**2).sum()
mean_part = replace(
    fields,
    values=by_channel.mean(axis=0),
    items=pd.DataFrame({"channel": range(by_channel.shape[1])}),
)
channels = rc.receptive_fields.describe_fields(
    rc.receptive_fields.separate_space_time(mean_part)
).set_index("channel")[["polarity"]]
channels.insert(0, "share of the field", channel_shares)
main_two = channels["share of the field"].nlargest(2).index
channels.round(2)

# %% [markdown]
# Two channels hold most of it, and their mean parts have opposite signs (polarity 1 is an ON
# centre, −1 an OFF centre). In tutorial 3 these two looked like fast ON and fast OFF bipolar cells.
# This is what the wiring says: an ON-OFF cell is excited by fast ON and by fast OFF bipolar cells.

# %% [markdown]
# ## 2. Fields in numbers
#
# `describe_fields` says of each field where it is, how large, ON or OFF, and how fast. Here for one
# cell of each type, at 100 moments or more at which it fires above 5 Hz.


# %%
def moments_above(rate, least_hz, n):
    """Evenly spread samples at which a rate is above a limit."""
    firing = np.flatnonzero(rate > least_hz)
    return firing[np.unique(np.linspace(0, len(firing) - 1, n).astype(int))]


def described(one, *, n):
    """Description of the fields of a cell at moments at which it fires."""
    found = rc.receptive_fields.instantaneous_fields(
        network, samples, cells=[one], index=moments_above(rates[:, one], 5.0, n)
    )
    return rc.receptive_fields.describe_fields(rc.receptive_fields.separate_space_time(found))


one_of_each = [int(np.flatnonzero(cell_type == name)[0]) for name in circuit.wiring().index]
tables = {one: described(one, n=300 if one == cell else 100) for one in one_of_each}
pd.DataFrame(
    {
        f"{one}: {cell_type[one]}": {
            "moments": len(table),
            "share of ON fields": (table["polarity"] > 0).mean(),
            "size (pixel), median": table["size_px"].median(),
            "surround, median": table["surround"].median(),
            "time to peak (s), median": table["time_to_peak_s"].median(),
            "drift (pixel), median": table["drift_px"].median(),
        }
        for one, table in tables.items()
    }
).T.round(2)

# %% [markdown]
# When they fire, cells of one polarity nearly always keep it; the fields of the ON-OFF cell are ON
# about as often as OFF. Sustained cells are slower than transient ones.

# %% [markdown]
# ## 3. Which combination, and what does it explain?
#
# A mode is active where its loading is above a quarter of its own 99th percentile. The modes that
# are active together are a **combination**. `states` says how often each one is there, how long it
# stays, and what share chance would give it if modes came and went by themselves. `transitions`
# compares what follows what with a retina without memory, in which what comes next only has to be
# another combination.

# %%
combinations = rc.receptive_fields.states(modes)
following = rc.receptive_fields.transitions(modes, n_draws=500)
beyond = following[following["p"] < 0.05]
print(
    f"{len(beyond)} of {len(following)} transitions between the 8 most frequent combinations "
    f"differ from a retina without memory (p < 0.05); {0.05 * len(following):.0f} would by chance"
)
combinations.head(8).set_index("combination").round(3)

# %%
following.sort_values(["p", "n"], ascending=[True, False]).head(6).round(3)

# %% [markdown]
# The order of combinations is not random. In the six rows above, which differ most, a single mode
# comes or goes: combinations follow on their neighbours.
#
# **What tells the field?** We predict the description of the field of our cell, at moments held out
# in whole blocks of time, from: its rate, the surprisal, the contrast of the movie, these three
# together, and the modes. The control is the same loadings shifted by a third of the movie.


# %%
def contrast(window):
    """Mean and standard deviation of the older and of the recent half of a window."""
    older, recent = np.array_split(window, 2)
    return [older.mean(), older.std(), recent.mean(), recent.std()]


table = tables[cell]
index = table["sample"].to_numpy()
predictors = {
    "rate": rates[index][:, [cell]].astype(float),
    "surprisal": population.target_value[index][:, None].astype(float),
    "contrast": np.array([contrast(samples[[i]][0]) for i in index], dtype=float),
}
predictors["rate, surprisal, contrast"] = np.concatenate(list(predictors.values()), axis=1)
for name, found in (("our cell", modes), ("population", population_modes)):
    loadings = np.asarray(found.loadings, dtype=float)
    predictors[f"modes of {name}"] = loadings[index]
    predictors[f"modes of {name}, shifted"] = np.roll(loadings, len(loadings) // 3, axis=0)[index]
features = table[["polarity", "size_px", "surround", "time_to_peak_s"]]
explained = rc.statistics.explained_by(features, predictors)
rc.figures.plot_explained(explained)
plt.show()
polarity = explained[explained["feature"] == "polarity"].drop(columns=["feature", "n"])
polarity.set_index("predictor").round(2)

# %% [markdown]
# - **Polarity**: the modes of our cell tell most of it, on moments held out. Its rate, the
#   surprisal and the contrast of the movie tell nothing (R² about 0), and neither do shifted
#   loadings. Loadings and field come from one network, so a relation is no surprise; what is shown
#   is that a few numbers carry it, and that simpler numbers do not.
# - **The modes of the population tell nothing about it.** They are summed over space: they know
#   that something gets darker somewhere, not whether it is in front of our cell. To ask about the
#   field of one cell, explain this cell.
# - **Size, surround and timing** are explained much less by anything here. The modes of our cell
#   come first for size and surround; for timing nothing says much.

# %% [markdown]
# `retina-codec fields results` tells all this for a finished run (`docs/dynamic_fields.md`). The
# next tutorial takes modes away and looks whether the fields change as the split predicts.
