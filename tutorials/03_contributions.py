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
# # 3. Contributions
#
# **You learn** what a contribution is, which targets there are, how to see whether anything is
# missing, and how contributions compare with a wiring that is known.\
# **You need** a trained network; one comes with the package (tutorial 2 trains its like).\
# **It takes** about fifteen seconds.

# %%
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "models").is_dir())
network = rc.networks.load_network(project / "models" / "simulated_retina")
circuit = rc.simulation.Circuit(shape=(24, 24), history=25, seed=0)
screen = rc.stimuli.Screen(shape=(24, 24), frame_rate_hz=100.0)
movie = rc.stimuli.natural_scenes(n_frames=4000, screen=screen, seed=5)
samples = rc.networks.windows_for(network, movie)
rates = rc.networks.predict(network, samples)
cell_type = circuit.cells["cell_type"]
cell = int(np.flatnonzero(cell_type == "ON-OFF transient")[0])

targets = [rc.contributions.one_cell(cell), rc.contributions.surprisal(rates)]
explained = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu1", "relu2"],
    target=targets,
    n_steps=3,
    rule="secant",
    progress=False,
)
to_cell, to_population = (explained[rc.contributions.name_of(target)] for target in targets)
burst_s = float(samples.sample[to_cell["relu2"].target_value.argmax()])
for record in (to_cell["relu2"], to_population["relu2"]):
    ax = rc.figures.plot_contributions(record, span_s=(burst_s - 2, burst_s + 2))
    ax.set_title(f"layer {record.layer}, target: {record.target}", loc="left")
plt.show()

# %% [markdown]
# **Above:** what the interneurons of a layer contribute to an ON-OFF cell (first picture) and to
# the whole population (second picture), in the two seconds before and after the cell fires most.
# Contributions come in short bursts, and only a few features take part in each.
#
# ## 1. One moment
#
# A **contribution** is the share of the target's change, from a grey screen to the sample, that
# went through one interneuron. The **target** is the number that is explained: here the rate of our
# cell. Contributions are summed over space into **features**: each channel has one for the places
# where it promotes the target (+) and one for those where it suppresses it (−).

# %%
relu2 = to_cell["relu2"]
moment = int(relu2.target_value.argmax())
values = relu2.values[moment]
change = float(relu2.target_value[moment] - relu2.baseline_value[moment])
print(f"rate of cell {cell}: {relu2.baseline_value[moment]:.2f} Hz for grey, ", end="")
print(f"{relu2.target_value[moment]:.2f} Hz at {samples.sample[moment]:.2f} s: ", end="")
print(f"{change:+.2f} Hz")
print(f"sum of the contributions of all channels: {values.sum():+.2f} Hz")
two = rc.contributions.integrated_gradients(
    network,
    samples[[moment]],
    layers=["relu2"],
    target=targets[0],
    n_steps=3,
    rule="secant",
    pooling=rc.contributions.unpooled,
    progress=False,
)["relu2"]
where = two.values[0].reshape(8, *two.values.shape[-2:])
strongest = int(np.abs(where).sum(axis=(1, 2)).argmax())
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7, 2.4), width_ratios=[2, 1], layout="constrained"
)
for sign, colour, name in ((1, "C3", "promoting"), (-1, "C0", "suppressing")):
    of = relu2.sign == sign
    left.bar(relu2.channel[of], values[of], color=colour, label=name)
left.axhline(0, color="k", linewidth=0.5)
left.set(xlabel="channel of relu2", ylabel="contribution (Hz)", xticks=range(8))
left.legend()
limit = np.abs(where[strongest]).max()
image = right.imshow(where[strongest], cmap="RdBu_r", vmin=-limit, vmax=limit)
right.set(title=f"channel {strongest} before the sum", xlabel="x (unit)", ylabel="y (unit)")
figure.colorbar(image, label="contribution (Hz)")
plt.show()

# %% [markdown]
# The contributions sum to the change of the rate, because everything that reaches the cell passes
# this layer. The map shows one channel before the sum over space: only a few of its units, those in
# front of the cell, take part.
#
# ## 2. Is anything missing?
#
# What the contributions miss of the change is the **gap**; every result carries it. It comes from
# the finite number of steps on the path from grey to the sample. The rule of the paper, the
# trapezoid rule, needs many steps. The secant rule, which we used above, uses what is known of the
# nonlinearities between two points, and has no gap in such a network.


# %%
def median_gap(record):
    """Median size of the gap in percent of the change of the target."""
    return 100 * np.nanmedian(record.relative_gap)


few = samples[np.arange(0, len(samples), 40)]
gaps = {}
for rule, n_steps in (("trapezoid", 5), ("trapezoid", 20), ("trapezoid", 80), ("secant", 3)):
    made = rc.contributions.integrated_gradients(
        network,
        few,
        layers=["relu1", "relu2"],
        target=targets[1],
        n_steps=n_steps,
        rule=rule,
        progress=False,
    )
    gaps |= {f"{layer}, {rule}, {n_steps} steps": record for layer, record in made.items()}
for name, record in gaps.items():
    print(f"{name}: median gap {median_gap(record):.4f} % of the change of the surprisal")
rc.figures.plot_gap(gaps)
plt.show()

# %% [markdown]
# Each fourfold number of steps takes most of the gap of the trapezoid rule away. With the secant
# rule it is rounding. Without knowing either, give a `tolerance` instead of steps: each sample then
# gets as many as it needs.
#
# ## 3. Targets
#
# The target decides what a contribution means. `one_cell` is the rate of a cell, `population_sum`
# the rates of all together. The **surprisal** is how unexpected the joint response of all cells is,
# given their mean and covariance. How alike are the contributions to the cell and to the surprisal?

# %%
alike = rc.statistics.sample_correlations(to_cell["relu2"], to_population["relu2"])
firing = rates[:, cell] > 5
print(f"r over features, median of all moments: {np.nanmedian(alike):.2f}; ", end="")
print(f"where the cell fires above 5 Hz: {np.nanmedian(alike[firing]):.2f}")

# %% [markdown]
# The same interneurons contribute to the single cell in other proportions than to the population.
# To ask about one cell, explain this cell.
#
# ## 4. Against the true wiring
#
# The simulated retina is a network too, with the layers `bipolar` and `amacrine`. So the same
# function gives the true contributions to our cell, and they must agree with its wiring.

# %%
true_samples = rc.networks.windows_for(circuit, movie)
every = np.arange(0, len(true_samples), 4)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    true = rc.contributions.integrated_gradients(
        circuit,
        true_samples[every],
        layers=["bipolar", "amacrine"],
        target=targets[0],
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
# cell more than our cell. The warning says that bipolar cells reach the ganglion cell round the
# amacrine cells: a layer that does not **cut** the network has a gap that is meant to be there.
#
# ## 5. Are the channels of the network true interneurons?
#
# Nothing in the training asks for it. We correlate the activity of each channel in `relu2` with
# that of each true interneuron, over moments and over places, and allow a shift of up to two
# pixels, since a channel may be displaced.

# %%
with torch.no_grad(), rc.contributions.probed(network, ["relu2"]) as found:
    network(torch.from_numpy(samples[every]))
with torch.no_grad(), rc.contributions.probed(circuit, list(true)) as wired:
    circuit(torch.from_numpy(true_samples[every]))


def by_channel(maps):
    """Activity "moment and place, channel"."""
    return maps.detach().movedim(1, -1).flatten(0, -2).numpy()


# Row 0 of the maps of relu2 lies at pixel 6 and row 0 of the true maps at pixel 5.
maps, true_maps = found["relu2"], torch.cat(list(wired.values()), dim=1)
best = np.max(
    [
        rc.statistics.pearson(
            by_channel(maps[..., y : y + 8, x : x + 8]), by_channel(true_maps[..., 3:11, 3:11])
        )
        for y in range(5)
        for x in range(5)
    ],
    axis=0,
)
figure, ax = plt.subplots(figsize=(7, 2.8), layout="constrained")
image = ax.imshow(best, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
ax.set_xticks(range(len(weights)), [name.replace("-field ", "-field\n") for name in weights.index])
ax.set(ylabel="channel of relu2", yticks=range(len(best)))
figure.colorbar(image, label="Pearson r, best shift")
plt.show()
for name, values in zip(weights.index, best.T, strict=True):
    print(f"{name}: channel {values.argmax()} is most like it, r = {values.max():.2f}")

# %%
bipolar = list(circuit.channel_names["bipolar"])
called = [bipolar[k] for k in best[:, : len(bipolar)].argmax(axis=1)]
known = true["bipolar"]
promoting = pd.Series(relu2.values[:, relu2.sign == 1].mean(axis=0)).groupby(called).sum()
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
# Each of the four bipolar types has a channel that is much like it. But:
#
# - The wide-field ON-OFF amacrine cell has none. Where the network inhibits, it does it otherwise.
# - The narrow-field amacrine cells look as if they had one, but they are nearly copies of the slow
#   bipolar cells that drive them. The same channels fit both, and nothing here can tell them apart.
#
# The last table calls each channel by the bipolar type that it is most like, and compares who
# promotes the rate of our cell. The two true inputs get nearly their true shares; some percent go
# through slow channels, which the true cell does not have. On a real recording there is no such
# table: there, ablation (tutorial 6), more data and several networks trained from different seeds
# are what can be checked.
