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
# # Where a field comes from
#
# The receptive field of a ganglion cell is not the same at every moment. This tutorial takes one
# cell and asks: which interneurons make its field just now, which combination of them, what tells
# the field in advance, and does the field change as predicted when they are taken away?
#
# We ask a network that was trained on a simulated retina, and hold the answers against that retina
# where we can. Every number is computed where it is printed, and stands beside a control. Some
# answers are no.

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
movie = rc.stimuli.natural_scenes(n_frames=9000, screen=screen, seed=5)

samples = rc.networks.windows_for(network, movie)
true_samples = rc.networks.windows_for(circuit, movie)
rates = rc.networks.predict(network, samples)
true_rates = rc.networks.predict(circuit, true_samples)
cell_type = circuit.cells["cell_type"].to_numpy()
fit = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(rates.T, true_rates.T, strict=True)])
pd.DataFrame(
    {
        "r of network and true rate (lowest of 3 cells)": pd.Series(fit).groupby(cell_type).min(),
        "mean rate (Hz)": pd.Series(rates.mean(axis=0)).groupby(cell_type).mean(),
    }
).round(2)

# %% [markdown]
# Twelve cells, three of each type, and 90 s of a movie that the network was not trained on. The
# network follows the true rates closely, the ON-OFF cells least. What follows is about the network;
# it is about the retina as far as these numbers reach.

# %% [markdown]
# ## 1. One cell fires alike with two fields
#
# Our cell is an ON-OFF cell. We cut the movie into 120 stretches and take the moment of its highest
# rate in each. The **instantaneous receptive field** (IRF) is the gradient of the rate with respect
# to the window at such a moment.
#
# We also need modes, the sparse motifs of channels that contribute together. There are two sets:
# modes of what contributes to **our cell**, in both layers of interneurons, and modes of what
# contributes to the **surprisal of the population**, all twelve cells together.

# %%
cell = int(np.flatnonzero(cell_type == "ON-OFF transient")[0])
own = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu1", "relu2"],
    target=rc.contributions.one_cell(cell),
    n_steps=10,
    progress=False,
)
surprisal = rc.contributions.surprisal(rates)
population = rc.contributions.integrated_gradients(
    network, samples, layers=["relu2"], target=surprisal, n_steps=10, progress=False
)["relu2"]
own_modes = {
    layer: rc.decomposition.decompose(record, rc.decomposition.SparseModes(n_modes=6))
    for layer, record in own.items()
}
population_modes = rc.decomposition.decompose(population, rc.decomposition.SparseModes(n_modes=10))
modes = own_modes["relu2"]
for name, record, found in (
    ("our cell, relu1", own["relu1"], own_modes["relu1"]),
    ("our cell, relu2", own["relu2"], modes),
    ("population, relu2", population, population_modes),
):
    print(
        f"{name}: {len(found.dictionary)} modes, held-out R² {found.r2:.2f}; contributions miss "
        f"{100 * np.nanmedian(record.relative_gap):.1f} % of the change of the target (median)"
    )
rc.figures.plot_dictionary(modes)
plt.show()


# %%
def strongest(rate, n_stretches=120):
    """Sample of the highest rate in each of as many stretches of time."""
    stretches = np.array_split(np.arange(len(rate)), n_stretches)
    return np.array([stretch[rate[stretch].argmax()] for stretch in stretches])


moments = strongest(rates[:, cell])
split = rc.receptive_fields.attribute_to_channels(
    network, samples, layer="relu2", cells=[cell], index=moments
)
parts = rc.receptive_fields.attribute_to_modes(split, own["relu2"], modes)
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
# Each row is a moment. The first map is the field, the others are its parts: they have one colour
# scale and sum to the first. At nearly the same rate the cell has an ON field once and an OFF field
# once, and the true circuit has opposite fields at these moments too. This pair is the most
# different one among moments of similar rate, but not a rare case: the last line counts all pairs.
#
# The two fields are held by different modes. The percentages are shares of the field (they can be
# below 0, when a part works against the rest). "Unexplained" is what no mode holds.

# %% [markdown]
# ## 2. The split is exact
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
control = rc.receptive_fields.attribute_to_modes(split, own["relu2"], shifted)
shares["shifted in time"] = rc.receptive_fields.share_of_field(control)["share"]
shares.drop(columns="cell").set_index("mode").round(2)

# %% [markdown]
# The first two lines are single-precision rounding: nothing is lost. The table says how much of the
# field each mode holds over all 120 moments, with a 95 % interval, and what the same modes hold
# when their loadings come from 30 s later. The row −1 is what no mode explains. The split onto
# channels is the network's own; the split onto modes needs a rule (`shares_of_modes`), so the
# shifted column is its control: with loadings of other moments most of the field is left over.
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
# centre, −1 an OFF centre). This is what the wiring says: an ON-OFF cell is excited by fast ON and
# by fast OFF bipolar cells.

# %% [markdown]
# ## 3. Fields in numbers
#
# `describe_fields` says of each field where it is, how large, ON or OFF, and how fast. Here for one
# cell of each type, at 200 moments at which it fires above 5 Hz.


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
tables = {one: described(one, n=500 if one == cell else 200) for one in one_of_each}
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
# ## 4. Which combination, and what does it explain?
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
# together, and the modes. The control is the same loadings shifted by 30 s.


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
# ## 5. Take a mode away, by doses
#
# The split is a prediction: when a dose of a mode is removed, responses and fields should lose that
# dose of its parts. `dose_curve` removes doses from the running network and compares. As control,
# the same amounts are taken from random channels. "Target" is the rate of our cell, "response" are
# the rates of all cells, "field" is the field of our cell.

# %%
summaries = {}
for layer, found in own_modes.items():
    curve = rc.causal.dose_curve(
        network,
        samples,
        own[layer],
        found,
        cells=[cell],
        target=rc.contributions.one_cell(cell),
        doses=(0.1, 0.5, 1.0),
        n_samples=120,
        n_moments=12,
        progress=False,
    )
    summaries[layer] = rc.causal.dose_summary(curve)
    axes = rc.figures.plot_doses(summaries[layer])
    axes[0].figure.suptitle(f"layer {layer}")
plt.show()
doses = pd.concat(summaries, names=["layer"]).reset_index(level="layer")
chosen = (doses["kind"] == "removed") & (doses["dose"] == 1) & (doses["measure"] == "r")
doses.loc[chosen, ["layer", "quantity", "mode", "control", "low", "high"]].round(2)

# %% [markdown]
# The table is for whole modes (dose 1); `low` to `high` is the 95 % interval of mode minus control.
# What is removed changes responses and fields as predicted, in both layers, and better than the
# same amounts from random channels. Two cautions:
#
# - In `relu2` the prediction can hardly fail: behind it there is only one linear layer and the
#   nonlinearity of the output. `relu1` is the test, because another layer follows it.
# - Random channels have a high r too, since taking anything away lowers the rates. The second
#   panel takes away what removing everything alike would do; there, random channels are near 0 or
#   below.

# %% [markdown]
# ## 6. Cell types
#
# Cells can be grouped by the modes of the population that they go with. How many groups are there,
# and are they the true types?

# %%
types = rc.statistics.cell_types(
    rates, population_modes, n_bootstraps=20, n_references=20, n_nulls=40
)
recovery = rc.statistics.type_recovery(types, cell_type)
rc.figures.plot_cell_types(types)
plt.show()
print(f"chosen: {types.choices['chosen']} clusters; there are {len(set(cell_type))} types")
recovery.set_index("by").round(2)

# %%
pd.crosstab(cell_type, types.labels, rownames=["type"], colnames=["cluster"])

# %% [markdown]
# The number is not quite right: the three OFF sustained cells are cut into two clusters. With the
# true number of clusters all cells are with their own type (agreement 1; 0 is chance). Clusters of
# the responses alone agree much less, and so do loadings shifted in time (the interval of these is
# wide, with twelve cells).

# %% [markdown]
# ## 7. A classical experiment, and its smallest circuit
#
# A grating that reverses makes a linear cell answer once in a period. Cells with rectified subunits
# answer twice: **frequency doubling**. The signature is the share of the second harmonic, and 0.5
# is what a single rectified burst reaches.

# %%
doubling = rc.phenomena.PHENOMENA["frequency doubling"]
event = rc.phenomena.run_phenomenon(
    network, doubling, screen=screen, modes={"relu2": population_modes}
)
true_event = rc.phenomena.run_phenomenon(circuit, doubling, screen=screen)
on_off = np.flatnonzero(cell_type == "ON-OFF transient").tolist()
rc.figures.plot_phenomenon(event, cells=[0, cell])
rc.figures.plot_signatures(rc.phenomena.signatures([event]))
plt.show()
pd.DataFrame(
    {
        "network": event.signatures["value"].groupby(cell_type).mean(),
        "true circuit": true_event.signatures["value"].groupby(cell_type).mean(),
        "control": event.signatures["control"].groupby(cell_type).mean(),
        "cells with it, network": event.signatures["present"].groupby(cell_type).sum(),
        "cells with it, true circuit": true_event.signatures["present"].groupby(cell_type).sum(),
    }
).round(2)

# %% [markdown]
# Exactly the ON-OFF cells double, in the network and in the true circuit. The network does it less
# completely: the second harmonic of the true cells is all there is.
#
# Which channels are enough? `minimal_circuit` looks for the fewest that alone keep the responses of
# the three ON-OFF cells to the grating, with an error of at most 10 % of their variance. All sets
# are tried, so the other sets of the same size are the control.

# %%
grating = doubling.conditions(screen, doubling.repeats[0], 0)[doubling.event]
circuits = {
    name: rc.causal.minimal_circuit(
        asked,
        rc.phenomena.event_samples(asked, grating),
        layer,
        outputs=on_off,
        n_samples=200,
        progress=False,
    )
    for name, asked, layer in (("network", network, "relu2"), ("circuit", circuit, "bipolar"))
}
rc.figures.plot_minimal_circuit(circuits["network"])
plt.show()
minimal = pd.concat(
    {name: found[found["minimal"] == 1].iloc[0] for name, found in circuits.items()}, axis=1
).T
numbers = [int(k) for k in minimal.loc["circuit", "channels"].split(", ")]
print("true circuit:", " and ".join(circuit.channel_names["bipolar"][k] for k in numbers))
print(f"channels that hold most of the field in section 2: {sorted(main_two.tolist())}")
minimal[["n_channels", "channels", "error", "random_error", "random_low"]]

# %% [markdown]
# Two channels are enough, and they are those that hold most of the field in section 2, where one
# had an ON part and the other an OFF part. In the true circuit two are enough as well: the fast ON
# and the fast OFF bipolar cells. Other pairs of channels miss the responses almost completely on
# average, and the best other pair by far more than 10 %.
#
# ## What we have seen
#
# The field of a moment comes, exactly, from channels, and the channels act in combinations. Modes
# of the cell itself tell the sign of its field; simpler numbers, and modes of the whole population,
# do not. Taking modes away does what the split predicts. The next tutorial asks the same of your
# own recording.
