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
# # 7. Phenomena
#
# **You learn** to show classical experiments to a network, to tell whether a phenomenon is there,
# and to find the smallest circuit that keeps it.\
# **You need** a trained network; one comes with the package.\
# **It takes** about twenty seconds.

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
cell_type = circuit.cells["cell_type"].to_numpy()
on_off = np.flatnonzero(cell_type == "ON-OFF transient").tolist()

doubling = rc.phenomena.PHENOMENA["frequency doubling"]
event = rc.phenomena.run_phenomenon(network, doubling, screen=screen, layers=["relu2"])
rc.figures.plot_phenomenon(event, cells=[0, on_off[0]])
plt.show()

# %% [markdown]
# **Above:** a grating that reverses, and what an OFF transient and an ON-OFF cell of the network
# answer. A linear cell answers once in a period. Cells with rectified subunits answer twice:
# **frequency doubling**.
#
# ## 1. Is it there?
#
# Each **phenomenon** has a **signature**, one number for each cell, and a control that a linear
# cell meets. Here the signature is the share of the second harmonic in the response; 0.5 is what a
# single rectified burst reaches. We ask the trained network, and the true circuit.

# %%
true_event = rc.phenomena.run_phenomenon(circuit, doubling, screen=screen)
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

# %% [markdown]
# ## 2. Other experiments
#
# `PHENOMENA` lists all of them. Two more, for the network:

# %%
print(", ".join(rc.phenomena.PHENOMENA))
others = [
    rc.phenomena.run_phenomenon(network, rc.phenomena.PHENOMENA[name], screen=screen)
    for name in ("paired flash suppression", "latency coding")
]
of_others = rc.phenomena.signatures(others)
rc.figures.plot_signatures(of_others)
plt.show()
n_cells = of_others.assign(type=cell_type[of_others["cell"]]).pivot_table(
    index="type", columns="phenomenon", values="present", aggfunc="sum"
)
print("number of cells that show it, of three:")
n_cells

# %% [markdown]
# In both, two flashes are compared. **Paired flash suppression**: a flash is answered less when
# another came just before. **Latency coding**: a stronger flash is answered earlier. All transient
# cells of the network show the first and no sustained cell does; the second is seen in the OFF
# transient cells and in one ON-OFF cell. A phenomenon that is absent here says nothing about a
# retina: it says that this network was not made, or not trained, to have it.
#
# ## 3. The smallest circuit
#
# Which channels are enough for frequency doubling? `minimal_circuit` looks for the fewest that
# alone keep the responses of the three ON-OFF cells to the grating, with an error of at most 10 %
# of their variance. All sets are tried, so the other sets of the same size are the control.

# %%
grating = doubling.conditions(screen, doubling.repeats[0], 0)[doubling.event]
circuits = {
    name: rc.causal.minimal_circuit(
        asked,
        rc.phenomena.event_samples(asked, grating),
        layer,
        outputs=on_off,
        n_samples=80,
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
minimal[["n_channels", "channels", "error", "random_error", "random_low"]]

# %% [markdown]
# Two channels are enough. In tutorial 3 they are the ones that look like fast ON and fast OFF
# bipolar cells, and in the true circuit these two are enough as well. Other pairs of channels miss
# the responses almost completely on average, and the best other pair by far more than 10 %.
#
# `retina-codec phenomena results` shows all experiments to the network of a run, and tells which
# modes carry them.
