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
# # 6. Causal tests
#
# **You learn** to remove the channels of a mode, or a dose of it, from the running network, and to
# compare what happens with what was predicted and with random channels.\
# **You need** contributions, modes and fields (tutorials 3 to 5).\
# **It takes** about twenty-five seconds.

# %%
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
cell = int(np.flatnonzero(cell_type == "ON-OFF transient")[0])
of_cell = rc.contributions.one_cell(cell)
of_population = rc.contributions.surprisal(rates)
explained = rc.contributions.integrated_gradients(
    network,
    samples,
    layers=["relu1", "relu2"],
    target=[of_cell, of_population],
    n_steps=3,
    rule="secant",
    progress=False,
)
own, population = (explained[rc.contributions.name_of(t)] for t in (of_cell, of_population))
modes = rc.decomposition.decompose(population["relu2"], rc.decomposition.SparseModes(n_modes=8))
effects = rc.causal.effects(network, samples, modes, n_samples=200, n_controls=5, progress=False)
rc.figures.plot_effects(effects)
plt.show()

# %% [markdown]
# **Above:** a mode describes which channels contribute together. Is it also a cause? We **ablate**
# the channels that carry a mode: we set them to zero in the network and predict again. As a control
# we ablate as many other channels, chosen at random. The **effect** is the change of the mean rate
# of each cell.
#
# ## 1. Which cells are hit?

# %%
table = rc.statistics.mode_cells(rates, modes)
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
# random channels hurt as well. *Which* cells are hit says more: the cells whose rate goes with the
# loading of a mode lose most without its channels (positive r; cells 0–2, 3–5, 6–8 and 9–11 are of
# one type each). For random channels there is hardly such a relation.
#
# ## 2. At which moments?
#
# The sharper test looks at single moments. For each of the 60 strongest moments of an ON-OFF cell
# we take the mode with the largest loading: the *leading* mode. We ablate the channels of a mode
# and ask how much of the rate is lost at the moments that it leads, and at the moments that others
# lead. `ablated` changes the network inside the `with` block only.

# %%
rate = rates[:, cell]
moments = np.argsort(-rate)[:60]
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
# different moments.

# %% [markdown]
# ## 3. Doses, beside what was predicted
#
# The split of fields onto modes (tutorial 5) is a prediction: when a dose of a mode is removed,
# responses and fields should lose that dose of its parts. `dose_curve` removes doses from the
# running network and compares. As control, the same amounts are taken from random channels.
# "Target" is the rate of our cell, "response" are the rates of all cells, "field" is the field of
# our cell.

# %%
own_modes = {
    layer: rc.decomposition.decompose(record, rc.decomposition.SparseModes(n_modes=6))
    for layer, record in own.items()
}
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
# `retina-codec causal results` does this for a finished run, with more doses and moments.
