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
# # From a recording to modes
#
# A ganglion cell fires. Which interneurons made it fire, together with which others, and what was
# its receptive field just then? This tutorial walks through all steps of the answer: recording,
# network, contributions, modes, fields, cause.
#
# The recording is simulated, so that the answer is known: at the end we hold the result against the
# true wiring. Everything here runs in about a minute on one core, and every number is computed
# where it is printed.

# %%
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

screen = rc.stimuli.Screen(shape=(24, 24), frame_rate_hz=50.0, pixel_um=50.0)
movie = rc.stimuli.natural_scenes(n_frames=8000, screen=screen, seed=0)
circuit = rc.simulation.Circuit(shape=screen.shape, history=12, frame_rate_hz=50.0, seed=0)
recording = rc.simulation.simulate_recording(
    circuit=circuit, stimulus=movie, test_frames=2000, n_trials=10, seed=0
)
rc.figures.plot_stimulus(recording.stimulus, first_frame=6247)
rc.figures.plot_rates(recording, span_s=(121.0, 131.0))
plt.show()

# %% [markdown]
# ## 1. A recording whose wiring is known
#
# **Above:** eight frames of the movie, and ten seconds of the answer of twelve cells. The movie
# shows photographs to a moving eye, with a saccade every second; one of them falls between the
# third and the fourth frame. The last 40 s of the movie are the test. They were shown in ten
# trials, and the rates above are the mean over these trials: a PSTH for each cell.
#
# The simulated retina has four types of bipolar cells and three types of amacrine cells. Each type
# of ganglion cell receives a positive weight from the interneurons that excite it and a negative
# weight from those that inhibit it. This is the truth that we want to find again:

# %%
circuit.wiring()

# %% [markdown]
# One type will be with us throughout: the **ON-OFF transient** cell. It has two excitatory inputs
# of opposite polarity, so no single receptive field can describe it.

# %%
cell_type = recording.cells["cell_type"]
pd.DataFrame(
    {
        "type": cell_type,
        "y (pixel)": recording.cells["y_px"].round(1),
        "x (pixel)": recording.cells["x_px"].round(1),
        "mean rate (Hz)": recording.rates.mean(axis=0).round(1),
    }
).rename_axis("cell")

# %% [markdown]
# ## 2. Two networks that predict the cells
#
# The deep-retina network has two layers of interneurons, with eight channels each. The LN model
# has one linear filter for each cell. Both see the same windows: the last 12 frames (0.24 s) before
# each bin. We train both on the first 120 s.

# %%
network, log = rc.networks.train(
    rc.networks.DeepRetina.for_recording(recording, history=12, channels=(8, 8)),
    recording,
    settings=rc.networks.TrainingSettings(max_epochs=10, batch_size=64),
    progress=False,
)
ln_model, _ = rc.networks.train(
    rc.networks.LinearNonlinear.for_recording(recording, history=12),
    recording,
    settings=rc.networks.TrainingSettings(
        max_epochs=10, batch_size=64, learning_rate=1e-2, l1_dense=1e-3
    ),
    progress=False,
)
log.round(3).tail(3)

# %% [markdown]
# How good are they on the test? `normalised_r` is r relative to the best r that the noise in the
# recorded rates allows. The true circuit can be scored like any network, and reaches about 1.

# %%
predictions = rc.networks.evaluate(network, recording, name="deep-retina network")
ln_predictions = rc.networks.evaluate(ln_model, recording, name="LN model")
true_predictions = rc.networks.evaluate(circuit, recording, name="true circuit")
everyone = (predictions, ln_predictions, true_predictions)
scores = pd.concat(
    {
        p.network: p.scores[["pearson_r", "normalised_r"]].groupby(cell_type).mean()
        for p in everyone
    },
    axis=1,
)
scores.loc["mean of all cells"] = [
    p.scores[name].mean() for p in everyone for name in ("pearson_r", "normalised_r")
]
scores.round(2)

# %%
on_off = np.flatnonzero(cell_type == "ON-OFF transient")
cell = int(on_off[predictions.scores["pearson_r"][on_off].argmax()])
rc.figures.plot_scores(predictions, ln_predictions)
rc.figures.plot_prediction(predictions, baseline=ln_predictions, cell=cell, span_s=(121.0, 131.0))
plt.show()

# %% [markdown]
# The LN model comes close where one filter is enough. It fails for the ON-OFF cells: one linear
# filter cannot like both light and dark. The network has several channels, and is far ahead there.
# It is not perfect: two minutes of training data leave it behind the true circuit.
#
# From here on we explain the network. What we find is a statement about the retina only as far as
# the network is right.

# %% [markdown]
# ## 3. Contributions
#
# A **contribution** is the share of the target's change, from a grey screen to the sample, that
# went through one interneuron. Integrated gradients give the contributions of both layers in one
# pass.
#
# The first target is the **surprisal** of the population: how unexpected the joint response of all
# cells is, given their mean and covariance on the training data. The second is the rate of our
# ON-OFF cell. Contributions are summed over space into **features**: each channel has one for what
# promotes the target (+) and one for what suppresses it (−).

# %%
train_samples = rc.networks.windows_for(network, movie, frames=recording.splits["train"])
samples = rc.networks.windows_for(network, movie, frames=recording.splits["test"])
surprisal = rc.contributions.surprisal(rc.networks.predict(network, train_samples))
layers = network.default_layers

to_population = rc.contributions.integrated_gradients(
    network, samples, layers=layers, target=surprisal, n_steps=20, progress=False
)
to_cell = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu2"],
    target=rc.contributions.one_cell(cell),
    n_steps=10,
    progress=False,
)
burst_s = float(samples.sample[to_population["relu2"].target_value.argmax()])
span_s = (burst_s - 2, burst_s + 2)
for record in (to_population["relu2"], to_cell["relu2"]):
    ax = rc.figures.plot_contributions(record, span_s=span_s)
    ax.set_title(f"layer {record.layer}, target: {record.target}", loc="left")
plt.show()

# %% [markdown]
# Four seconds around the most surprising moment. Contributions come in short bursts, and only a few
# features take part in each. The same interneurons contribute to the single cell (below) in other
# proportions than to the whole population (above).
#
# **Is anything missing?** The contributions of a layer through which everything passes must sum to
# the change of the target. What they miss is the **gap**. It comes from the finite number of steps
# on the path, so it must fall with more steps:


# %%
def median_gap(record):
    """Median size of the gap in percent of the change of the target."""
    return 100 * np.nanmedian(record.relative_gap)


few = samples[np.arange(0, len(samples), 40)]
gaps = {}
for n_steps in (5, 20, 80):
    made = rc.contributions.integrated_gradients(
        network, few, layers=layers, target=surprisal, n_steps=n_steps, progress=False
    )
    gaps |= {f"{layer}, {n_steps} steps": record for layer, record in made.items()}
for name, record in gaps.items():
    print(f"{name}: median gap {median_gap(record):.2f} % of the change of the surprisal")
for layer, record in to_cell.items():
    print(f"{layer}, 10 steps: median gap {median_gap(record):.2f} % of the change of cell {cell}")
rc.figures.plot_gap(gaps)
plt.show()

# %% [markdown]
# Each fourfold number of steps takes most of the gap away. The contributions above, with 20 steps
# for the surprisal and 10 for the cell, miss less than 1 % in a typical sample.

# %% [markdown]
# ## 4. Modes
#
# Which features act together? A **mode** is a sparse motif of features; its **loading** says how
# much of it there is in each sample. We decompose the contributions of the second layer, `relu2`,
# with `SparseModes`, and with principal components for comparison. Whole blocks of time
# are held out from the fit, because neighbouring frames are almost the same. R² is for these
# blocks.

# %%
relu2 = to_population["relu2"]
modes = rc.decomposition.decompose(relu2, rc.decomposition.SparseModes(n_modes=8))
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
# one number in every second sample, and still explains more than a single principal component does
# with one number in each. That is why its modes can be read one by one.
#
# Would another fit find the same modes? `stability` repeats it with other seeds, and on resampled
# blocks of time. Modes that do not come back (mean cosine below 0.9) get a question mark in the
# figures; read nothing into them.

# %%
method = rc.decomposition.SparseModes(n_modes=8)
stability = rc.decomposition.stability(relu2, modes, method, n_seeds=3, n_resampled=3)
modes = replace(modes, reproducibility=stability.reproducibility)
rc.statistics.describe_modes(modes).round(2)

# %%
rc.figures.plot_dictionary(modes)
rc.figures.plot_loadings(modes, span_s=span_s)
plt.show()

# %% [markdown]
# Each row of the first picture is a mode, a recipe of channels. The second picture shows when each
# mode is active, in the same four seconds as above.
#
# **Which cells go with which mode?** We correlate the predicted rate of each cell with the loading
# of each mode, and cluster the cells by these correlations.

# %%
table = rc.statistics.mode_cells(predictions.predicted, modes)
rc.figures.plot_mode_cells(table)
plt.show()
pd.crosstab(cell_type, table["cluster"])

# %% [markdown]
# The clusters were made without knowing the types. They follow the inputs that cells share: the ON
# sustained cells stand alone, and so do the ON-OFF cells, but for one OFF transient cell: both are
# driven by fast OFF bipolar cells. The other OFF cells are not told apart by type. So four types do
# not quite become four clusters here; twelve cells and 40 s of test are too few to expect it.

# %% [markdown]
# ## 5. Fields
#
# The spike-triggered average (STA) is one field for all moments. Here it is for one cell of each
# type, as a spatial map and a time course.

# %%
sta = rc.receptive_fields.separate_space_time(
    rc.receptive_fields.spike_triggered_average(recording, history=12)
)
shown = [int(np.flatnonzero(cell_type == name)[0]) for name in cell_type.unique()[:3]] + [cell]
figure = plt.figure(figsize=(8, 3.6), layout="constrained")
grid = rc.figures.plot_fields(sta, items=shown, n_across=2, figure=figure)
for (left, _), item in zip(grid, shown, strict=True):
    left.set_title(f"{item}: {cell_type[item]}", loc="left")
plt.show()

# %% [markdown]
# The ON sustained cell likes light, the OFF cells like dark, and the map of the ON-OFF cell shows
# no clear field: light and dark average out. The time courses are broad and do not come back to
# zero, because natural scenes change little between saccades; white noise would give sharper
# averages.
#
# The **instantaneous receptive field** (IRF) is the gradient of the predicted rate with respect to
# the window at one moment. We take the 60 moments in which the network lets our ON-OFF cell fire
# most. Among them we look for the two whose IRFs differ most although the predicted rate is almost
# the same (within 10 %) and different modes are active. This is the extreme pair, not the typical
# one.

# %%
active = rc.receptive_fields.active_modes(modes)
rate = predictions.predicted[:, cell]
moments = np.argsort(-rate)[:60]
irfs = rc.receptive_fields.instantaneous_fields(network, samples, cells=[cell], index=moments)
likeness = np.corrcoef(irfs.values.reshape(len(moments), -1))

same_rate = np.abs(np.log(rate[moments][:, None] / rate[moments])) < np.log(1.1)
same_modes = (active[moments][:, None] == active[moments]).all(axis=2)
candidates = np.where(same_rate & ~same_modes, likeness, 1)
pair = tuple(int(i) for i in np.unravel_index(candidates.argmin(), candidates.shape))
two = moments[list(pair)]
for moment in two:
    print(
        f"at {samples.sample[moment]:.2f} s: {rate[moment]:.1f} Hz, "
        f"active modes {np.flatnonzero(active[moment]).tolist()}"
    )
print(f"correlation of the two IRFs: {likeness[pair]:.2f}")

# %% [markdown]
# The true circuit is a network too, so we can ask it for its IRFs at the same two moments.

# %%
true_samples = rc.networks.windows_for(circuit, movie, frames=recording.splits["test"])
true_irfs = rc.receptive_fields.instantaneous_fields(
    circuit, true_samples, cells=[cell], index=moments
)
true_likeness = np.corrcoef(true_irfs.values.reshape(len(moments), -1))
figure = plt.figure(figsize=(7, 4.4), layout="constrained")
for part, name, fields in zip(
    figure.subfigures(2, 1), ("network", "true circuit"), (irfs, true_irfs), strict=True
):
    separated = rc.receptive_fields.separate_space_time(fields)
    rc.figures.plot_fields(separated, items=pair, n_across=2, figure=part)
    part.suptitle(name)
plt.show()
each = [
    np.corrcoef(ours.ravel(), true.ravel())[0, 1]
    for ours, true in zip(irfs.values, true_irfs.values, strict=True)
]
print(f"true circuit, correlation of the two IRFs: {true_likeness[pair]:.2f}")
print(f"network and true circuit, IRFs of the same moment: median r {np.median(each):.2f}")

# %% [markdown]
# One cell, the same rate, two opposite fields: an ON field at one moment and an OFF field at the
# other. The true circuit did the same. No fixed field can say this; the modes that are active can.

# %% [markdown]
# ## 6. Cause
#
# So far modes are a description. Are they also causes? We **ablate** the channels that carry a
# mode: we set them to zero in the network and predict again. As a control we ablate as many other
# channels, chosen at random. The **effect** is the change of the mean rate of each cell.

# %%
effects = rc.causal.effects(network, samples, modes, n_samples=400, progress=False)
rc.figures.plot_effects(effects)
plt.show()

change = 100 * effects.relative_change
control = effects.conditions["control"].to_numpy() == 1
of_mode = effects.conditions["mode"].to_numpy()
expected = np.array(
    [
        np.corrcoef(table[f"mode {mode}"], -row)[0, 1]
        for mode, row in zip(of_mode, change, strict=True)
    ]
)
for name, chosen in (("channels of a mode", ~control), ("random channels", control)):
    print(
        f"without {name}: the mean rate of a cell changes by {np.abs(change[chosen]).mean():.0f} % "
        f"on average; r with what the loadings predict: {expected[chosen].mean():.2f}"
    )

# %% [markdown]
# The size of the effect says little here: in a network of eight channels every channel matters, so
# random channels hurt about as much. *Which* cells are hit says more. Several modes take the rate
# of one type and spare the others (cells 0–2, 3–5, 6–8 and 9–11 are of one type each): the cells
# whose rate goes with the loading of a mode lose most without its channels (positive r). For random
# channels there is no such relation.
#
# The sharper test looks at single moments. For each of the 60 strongest moments of our cell we take
# the mode with the largest loading: the *leading* mode. We ablate the channels of a mode and ask
# how much of the rate is lost at the moments that it leads, and at the moments that others lead.

# %%
leading = modes.loadings[moments].argmax(axis=1)
losses = []
for mode in np.unique(leading):
    channels = rc.causal.channels_of_mode(modes, int(mode))
    with rc.causal.ablated(network, modes.layer, channels):
        without = rc.networks.predict(network, samples[moments])[:, cell]
    loss = 1 - without / rate[moments]
    losses.append(
        {
            "mode": mode,
            "moments it leads": int((leading == mode).sum()),
            "lost there (%)": 100 * loss[leading == mode].mean(),
            "lost at the others (%)": 100 * loss[leading != mode].mean(),
        }
    )
losses = pd.DataFrame(losses).set_index("mode")
lost_there, lost_elsewhere = (
    np.average(losses[name], weights=losses["moments it leads"])
    for name in ("lost there (%)", "lost at the others (%)")
)
print(f"mean over moments: {lost_there:.0f} % lost there, {lost_elsewhere:.0f} % at the others")
losses.round(0).astype(int)

# %% [markdown]
# The channels of a mode are needed most when it leads: the same cell fires for different reasons at
# different moments. The channels of modes overlap, so that the others do not go free.

# %% [markdown]
# ## 7. Truth
#
# The true circuit is a network with the layers `bipolar` and `amacrine`, so the same function gives
# the true contributions to our cell. They must agree with the wiring.

# %%
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    true = rc.contributions.integrated_gradients(
        circuit,
        true_samples,
        layers=["bipolar", "amacrine"],
        target=rc.contributions.one_cell(cell),
        n_steps=10,
        progress=False,
    )
print(told[0].message)
weights = circuit.wiring().loc[cell_type[cell]]
parts = [
    pd.DataFrame(
        {
            "name": np.array(circuit.channel_names[layer])[record.channel],
            "sign": record.sign,
            "mean": record.values.mean(axis=0),
        }
    )
    for layer, record in true.items()
]
mean = pd.concat(parts).pivot(index="name", columns="sign", values="mean").loc[weights.index]
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.4), sharey=True, layout="constrained")
left.barh(weights.index, weights, color=np.where(weights > 0, "C3", "C0"))
left.set(title=f"wiring of cell {cell}, {cell_type[cell]}", xlabel="weight")
right.barh(mean[1].index, mean[1], color="C3", label="promoting")
right.barh(mean[-1].index, mean[-1], color="C0", label="suppressing")
right.set(title="contributions in the true circuit", xlabel="mean contribution (Hz)")
right.legend()
left.invert_yaxis()
plt.show()

# %% [markdown]
# Exactly the interneurons that are wired to the cell contribute, with the sign of their weight. The
# bipolar cells also have a suppressing part: in places where they drive the inhibiting amacrine
# cell more than our cell.
#
# **Do the channels of the trained network correspond to true interneurons?** Nothing in the
# training asks for it. We correlate the activity of each channel in `relu2` with that of each true
# interneuron, over moments and over places, and allow a shift of up to two pixels, since a channel
# may be displaced.

# %%
every = np.arange(0, len(samples), 4)
with torch.no_grad(), rc.contributions.probed(network, ["relu2"]) as found:
    network(torch.from_numpy(samples[every]))
with torch.no_grad(), rc.contributions.probed(circuit, list(true)) as wired:
    circuit(torch.from_numpy(true_samples[every]))


def by_channel(maps):
    """Activity "moment and place, channel"."""
    return maps.detach().movedim(1, -1).flatten(0, -2).numpy()


# Row 0 of the maps of relu2 lies at pixel 6 and row 0 of the true maps at pixel 5.
maps, true_maps = found["relu2"], torch.cat(list(wired.values()), dim=1)
shifted = [
    rc.statistics.pearson(
        by_channel(maps[..., y : y + 8, x : x + 8]), by_channel(true_maps[..., 3:11, 3:11])
    )
    for y in range(5)
    for x in range(5)
]
best = np.max(shifted, axis=0)
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
image = ax.imshow(best, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
ax.set_xticks(range(len(weights)), [name.replace("-field ", "-field\n") for name in weights.index])
ax.set(ylabel="channel of relu2", yticks=range(len(best)))
figure.colorbar(image, label="Pearson r, best shift")
plt.show()
for name, values in zip(weights.index, best.T, strict=True):
    print(f"{name}: channel {values.argmax()} is most like it, r = {values.max():.2f}")
worst = int(best.max(axis=1).argmin())
print(f"channel {worst} is like none of them: r is {best[worst].max():.2f} at most")

# %% [markdown]
# Each of the four bipolar types has a channel that is much like it. But:
#
# - The wide-field ON-OFF amacrine cell has none. Where the network inhibits, it does it otherwise.
# - The narrow-field amacrine cells look as if they had one, but they are nearly copies of the slow
#   bipolar cells that drive them. The same channels fit both, and nothing here can tell them apart.
# - Not every channel fits: the one in the last line above is like none of them.
#
# Does the network give our cell's inputs the right shares? We call each channel by the bipolar type
# that it is most like, and compare who promotes the rate of the cell.

# %%
bipolar = list(circuit.channel_names["bipolar"])
called = [bipolar[k] for k in best[:, : len(bipolar)].argmax(axis=1)]
ours, known = to_cell["relu2"], true["bipolar"]
promoting = pd.Series(ours.values[:, ours.sign == 1].mean(axis=0)).groupby(called).sum()
true_promoting = pd.Series(known.values[:, known.sign == 1].mean(axis=0), index=bipolar)
shares = pd.DataFrame(
    {
        "true share (%)": 100 * true_promoting / true_promoting.sum(),
        "share in the network (%)": 100
        * promoting.reindex(bipolar, fill_value=0)
        / promoting.sum(),
    }
)
shares.round(0).astype(int)

# %% [markdown]
# The two true inputs come first in the network too, but not in equal parts, and slow channels that
# the true cell does not have take the rest. A network that predicts well can still be wrong inside.
# On a real recording there is no such table: there, ablation, more data and several networks
# trained from different seeds are what can be checked.

# %% [markdown]
# ## 8. Save, and go on
#
# Every result is a record. It is saved in one file and loaded again, with its axes and settings.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "modes_relu2.nc"
    rc.export.save(modes, path)
    again = rc.export.load(path)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
print(type(again).__name__, again.method, np.array_equal(again.dictionary, modes.dictionary))
again.to_xarray().sizes

# %% [markdown]
# All these steps, for both layers, with a report in the end, are one command in the shell:
#
#     retina-codec run recording.nwb --out results
#
# `retina-codec demo` does it on a simulated recording, and `retina_codec.recordings.load_recording`
# reads your own.
