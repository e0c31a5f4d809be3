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
# # 2. Train a retina
#
# **You learn** to train a network that predicts ganglion cells, and to tell how good it is: beside
# an LN model, beside what noise allows, and beside the truth.\
# **You need** the idea of a recording (tutorial 1).\
# **It takes** about twenty seconds.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

screen = rc.stimuli.Screen(shape=(20, 20), frame_rate_hz=50.0, pixel_um=50.0)
movie = rc.stimuli.natural_scenes(n_frames=5000, screen=screen, seed=0)
circuit = rc.simulation.Circuit(shape=screen.shape, history=12, frame_rate_hz=50.0, seed=0)
recording = rc.simulation.simulate_recording(
    circuit=circuit, stimulus=movie, test_frames=1000, n_trials=10, seed=0
)
cell_type = recording.cells["cell_type"]

network = rc.networks.DeepRetina.for_recording(recording, history=12, channels=(6, 6))
settings = rc.networks.TrainingSettings(max_epochs=8, batch_size=32)
network, log = rc.networks.train(network, recording, settings=settings, progress=False)
predictions = rc.networks.evaluate(network, recording, name="deep-retina network")
on_off = np.flatnonzero(cell_type == "ON-OFF transient")
cell = int(on_off[predictions.scores["pearson_r"][on_off].argmax()])
rc.figures.plot_prediction(predictions, cell=cell, span_s=(82.0, 92.0))
plt.show()

# %% [markdown]
# **Above:** what an ON-OFF cell did in ten seconds that the network was not trained on (grey), and
# what the network says (blue).
#
# The recording is simulated: 100 s of natural scenes at 50 Hz, twelve cells of four types. The last
# 20 s are the test; they were shown in ten trials, and the recorded rate is their mean.
#
# ## 1. What is trained
#
# The **deep-retina network** has two layers of interneurons, here of six channels each. A channel
# is one kind of interneuron, which looks at each place of the image alike. The network sees a
# **window**: the last 12 frames (0.24 s) before each bin. `for_recording` fits its shape and its
# normalisation to the recording.
#
# Training makes the recorded spike counts as likely as possible. One block in ten of the training
# split is held out for **validation**: the weights with the best likelihood there are kept.

# %%
n_weights = sum(weight.numel() for weight in network.parameters())
print(f"{type(network).__name__}: {n_weights} weights; layers {', '.join(network.default_layers)}")
figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.2), layout="constrained")
left.plot(log["epoch"], log["training_loss"], "o-", label="training")
left.plot(log["epoch"], log["validation_loss"], "s-", label="validation")
left.set(xlabel="epoch", ylabel="loss for each bin and cell")
left.legend()
right.plot(log["epoch"], log["validation_r"], "s-", color="C1")
right.set(xlabel="epoch", ylabel="Pearson r in validation")
plt.show()
log.round(3).tail(3)

# %% [markdown]
# The validation curves are flat in the end: more epochs would change little. The two losses are of
# different moments, so their levels cannot be compared with each other.
#
# ## 2. How good is it?
#
# A number alone says little. We put three things beside the network:
#
# - an **LN model**, one linear filter and a nonlinearity for each cell, on the same windows;
# - the **true circuit**, which is the best that any model can be;
# - the network's own prediction, **shifted in time** by half of the test, which is chance.
#
# `normalised_r` is r relative to the best r that the noise in the recorded rates allows.

# %%
ln_model, _ = rc.networks.train(
    rc.networks.LinearNonlinear.for_recording(recording, history=12),
    recording,
    settings=rc.networks.TrainingSettings(
        max_epochs=8, batch_size=32, learning_rate=1e-2, l1_dense=1e-3
    ),
    progress=False,
)
ln_predictions = rc.networks.evaluate(ln_model, recording, name="LN model")
true_predictions = rc.networks.evaluate(circuit, recording, name="true circuit")
everyone = (predictions, ln_predictions, true_predictions)
scores = pd.concat(
    {p.network: p.scores["normalised_r"].groupby(cell_type).mean() for p in everyone}, axis=1
)
scores.loc["mean of all cells"] = [p.scores["normalised_r"].mean() for p in everyone]
shifted = np.roll(predictions.predicted, len(predictions.predicted) // 2, axis=0)
chance = rc.networks.pearson_r(shifted, predictions.recorded)
print(f"Pearson r, mean of cells: network {predictions.scores['pearson_r'].mean():.2f}, ", end="")
print(f"shifted in time {chance.mean():.2f}")
scores.round(2)

# %%
rc.figures.plot_scores(predictions, ln_predictions)
rc.figures.plot_prediction(predictions, baseline=ln_predictions, cell=cell, span_s=(82.0, 92.0))
plt.show()

# %% [markdown]
# The LN model comes close where one filter is enough. It fails for the ON-OFF cells: one linear
# filter cannot like both light and dark. The network has several channels, and is far ahead there.
# It is not perfect: 80 s of training data leave it behind the true circuit for these cells.
#
# All other tutorials explain a network. What they find is a statement about the retina only as far
# as the network is right, so look at its scores first.
#
# ## 3. Keep it
#
# A network is saved as a folder: weights, settings, scores and a card that a person can read.
# Nothing in it is ever run when it is loaded. `load_network` also reads networks of others
# (`docs/networks.md`).

# %%
with tempfile.TemporaryDirectory() as folder:
    saved = rc.networks.save_network(network, Path(folder) / "mine", scores=predictions.scores)
    print(", ".join(sorted(file.name for file in saved.iterdir())))
    again = rc.networks.load_network(saved)
samples = rc.networks.windows_for(again, recording.stimulus, frames=recording.splits["test"])
same = np.array_equal(rc.networks.predict(again, samples), predictions.predicted)
print(f"loaded again, it predicts the same: {same}")

# %% [markdown]
# For a real recording, train longer and on more data: `TrainingSettings()` are the defaults, and
# `train(..., checkpoint="training.safetensors")` goes on where it was interrupted. Train from two
# seeds and look whether what you find later is in both networks.
#
# The other tutorials take a network that comes with the package, `models/simulated_retina`: eight
# channels in each layer, frames at 100 Hz.
