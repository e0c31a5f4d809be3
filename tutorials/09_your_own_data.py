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
# # 9. Your own data
#
# **You learn** to bring a recording in NWB: look into it, load it, check its axes, train a network,
# and ask which modes it has and what they do.\
# **You need** nothing to try it; for your own results an NWB file with a stimulus movie and units.\
# **It takes** less than a minute for the file that is written here.

# %%
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pynwb import NWBHDF5IO, NWBFile
from pynwb.image import ImageSeries

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})


def as_a_lab_would(path):
    """Write an NWB file: a movie of 8 bits, spike times, and a table of trials."""
    screen = rc.stimuli.Screen(shape=(20, 20), frame_rate_hz=50.0)
    scenes = rc.stimuli.natural_scenes(n_frames=3000, screen=screen, seed=3)
    frozen = np.asarray(scenes.frames[-400:])
    frames = np.concatenate([*[frozen] * 4, scenes.frames[:-400]])
    circuit = rc.simulation.Circuit(shape=screen.shape, history=12, frame_rate_hz=50.0, seed=0)
    rates = rc.simulation.circuit_rates(circuit, replace(scenes, frames=frames))
    grey_levels = np.clip(64 * frames + 64, 0, 255).round().astype(np.uint8)

    start = datetime(2020, 1, 1, tzinfo=UTC)
    nwb = NWBFile(session_description="a retina", identifier="retina 1", session_start_time=start)
    onsets = 3.0 + np.arange(len(frames)) / 50
    nwb.add_stimulus(ImageSeries(name="scenes", data=grey_levels, unit="n.a.", timestamps=onsets))
    rng = np.random.default_rng(0)
    for rate in rates.T:
        counts = rng.poisson(rate / 50)
        spikes = np.repeat(onsets, counts) + rng.uniform(0, 1 / 50, counts.sum())
        nwb.add_unit(spike_times=np.sort(spikes))
    for begin in onsets[:1600:400]:
        nwb.add_trial(start_time=begin, stop_time=begin + 8)
    with NWBHDF5IO(path, "w") as file:
        file.write(nwb)


given = os.environ.get("RETINA_RECORDING")
if given:
    print("Your recording, from RETINA_RECORDING.")
    path, repeats = Path(given), os.environ.get("RETINA_REPEATS")
else:
    print("RETINA_RECORDING is not set: this is a recording of a simulated retina.")
    folder = tempfile.TemporaryDirectory()
    path, repeats = Path(folder.name) / "recording.nwb", "trials"
    as_a_lab_would(path)

recording = rc.recordings.load_recording(path, repeats=repeats)
rc.figures.plot_stimulus(recording.stimulus, first_frame=recording.splits["test"][0])
rc.figures.plot_rates(recording)
plt.show()

# %% [markdown]
# **Above:** the movie, and the rates of the cells. The first repeat is the test; the bins of the
# other repeats are hatched, because nothing is trained on them. Without a file of your own, an NWB
# file is written here as a lab would write it: a movie of 8 bits with the time of each frame, spike
# times, and a table `trials` that says when the same eight seconds were shown again. For your own
# recording, say where it is and run all cells; the text says how to read the results, and the cells
# say what they are, with their controls:
#
#     RETINA_RECORDING=my_recording.nwb jupyter lab
#
# `RETINA_REPEATS=trials` names the table of repeats, if there is one.
#
# ## 1. What is in the file, and is it read correctly?
#
# In the shell, `retina-codec info FILE` tells the same. What is read from NWB, and how (several
# stimuli, gaps between frames, movies outside the file, noise from its seed), is in
# `docs/recordings.md`.

# %%
inside = rc.recordings.describe(path)
for stimulus in inside["stimuli"]:
    print(f"stimulus {stimulus['name']!r}: {stimulus['kind']}, {stimulus['shape']}, ", end="")
    print(f"{stimulus['frame_rate_hz']:.0f} Hz, {stimulus['duration_s']:.0f} s")
print(f"units: {inside['units']['n']}; tables: {[table['name'] for table in inside['intervals']]}")
frame_rate_hz = recording.stimulus.frame_rate_hz
n_train, n_test = (int(np.diff(recording.splits[name])[0]) for name in ("train", "test"))
print(
    f"{recording.rates.shape[1]} cells; frames of {recording.stimulus.frames.shape[1:]} pixels "
    f"at {frame_rate_hz:.0f} Hz; {n_train / frame_rate_hz:.0f} s to train, "
    f"{n_test / frame_rate_hz:.0f} s to test, "
    f"{'no repeats' if recording.repeats is None else f'{len(recording.repeats)} repeats'}"
)
smooth = rc.recordings.coherence(recording)
torn = replace(
    recording.stimulus,
    frames=np.ascontiguousarray(np.asarray(recording.stimulus.frames).transpose(1, 2, 0)).reshape(
        recording.stimulus.frames.shape
    ),
)
wrong = rc.recordings.coherence(replace(recording, stimulus=torn))
for name, values in (("as read", smooth), ("axes in a wrong order", wrong)):
    along_y, along_x = np.nanmedian(values, axis=0)
    print(f"coherence along y and x, median of cells, {name}: {along_y:.2f} and {along_x:.2f}")

# %% [markdown]
# **Wrong axes** are the commonest mistake: programs write arrays as "x y time" or "time y x".
# `coherence` is the correlation of neighbouring pixels in the spike-triggered average of each cell;
# it is high along both where the axes are right, and falls along one where they are torn. `axes="x
# y time"` says what they are. An exchange of x and y alone cannot be seen in it.

# %% [markdown]
# ## 2. A network, and whether to believe it
#
# A small network and an LN model see the same windows: the last 0.15 s, but at least ten frames.
# Training is short here; for a paper, train until the validation score stops rising. Scores are
# for the test. Their control is the same prediction, shifted in time by a third of the test.

# %%
history = max(10, round(0.15 * frame_rate_hz))
epochs = int(np.clip(round(30_000 / n_train), 1, 15))
settings = rc.networks.TrainingSettings(max_epochs=epochs, patience=5)
network, log = rc.networks.train(
    rc.networks.DeepRetina.for_recording(recording, history=history),
    recording,
    settings=settings,
    progress=False,
)
ln_model, _ = rc.networks.train(
    rc.networks.LinearNonlinear.for_recording(recording, history=history),
    recording,
    settings=replace(settings, learning_rate=1e-2, l1_dense=1e-3),
    progress=False,
)
predictions = rc.networks.evaluate(network, recording, name="network")
ln_predictions = rc.networks.evaluate(ln_model, recording, name="LN model")
recorded = np.asarray(predictions.recorded, dtype=float)
predicted = np.asarray(predictions.predicted, dtype=float)


def score(prediction):
    """Pearson r of each cell, over bins in which it was observed."""
    pairs = zip(recorded.T, prediction.T, strict=True)
    return np.array([pd.Series(a).corr(pd.Series(b)) for a, b in pairs])


r = score(predicted)
ln_r = score(np.asarray(ln_predictions.predicted, dtype=float))
shifted_r = score(np.roll(predicted, len(predicted) // 3, axis=0))
print(f"{len(log)} epochs; median r of cells: network {np.nanmedian(r):.2f}, ", end="")
print(f"LN model {np.nanmedian(ln_r):.2f}, network shifted in time {np.nanmedian(shifted_r):.2f}")
print(f"the network is better than the LN model in {(r > ln_r).sum()} of {len(r)} cells")
rc.figures.plot_scores(predictions, ln_predictions)
plt.show()

# %% [markdown]
# Without repeats r is with single trials, whose noise no model can predict: a low r is then not
# yet a bad model, and the LN model is what to compare with. If the network is not clearly better
# than shifted, stop here: explaining it says nothing about the retina.

# %% [markdown]
# ## 3. Contributions and modes
#
# What contributes to the surprisal of the population? The contributions of a layer must sum to the
# change of the surprisal; what they miss is the gap. Modes are sparse motifs of them. R² is for
# blocks of time that were held out. The control fits as many modes to contributions in which each
# feature is shifted in time by itself, so that features no longer act together.

# %%
# Everything from here on is asked on the test, which the network was not trained on.
samples = rc.networks.windows_for(network, recording.stimulus, frames=recording.splits["test"])
train_samples = rc.networks.windows_for(
    network, recording.stimulus, frames=recording.splits["train"]
)
some = np.unique(np.linspace(0, len(train_samples) - 1, 5000).astype(int))
surprisal = rc.contributions.surprisal(rc.networks.predict(network, train_samples[some]))
layer = network.default_layers[-1]
contributions = rc.contributions.integrated_gradients(
    network, samples, layers=[layer], target=surprisal, n_steps=3, rule="secant", progress=False
)[layer]
method = rc.decomposition.SparseModes(n_modes=8)
modes = rc.decomposition.decompose(contributions, method)

rng = np.random.default_rng(0)
alone = replace(
    contributions,
    values=np.stack(
        [np.roll(column, rng.integers(len(samples))) for column in contributions.values.T], axis=1
    ),
)
chance = rc.decomposition.decompose(alone, method)
stability = rc.decomposition.stability(contributions, modes, method, n_seeds=1, n_resampled=1)
modes = replace(modes, reproducibility=stability.reproducibility)
print(f"layer {layer}: {100 * np.nanmedian(contributions.relative_gap):.1f} % gap (median)")
print(f"held-out R² of {len(modes.dictionary)} modes: {modes.r2:.2f}; ", end="")
print(f"features shifted one by one: {chance.r2:.2f}")
print(
    f"{int((modes.reproducibility > 0.9).sum())} of {len(modes.dictionary)} modes come back when "
    "the fit is repeated (mean cosine above 0.9)"
)
rc.figures.plot_dictionary(modes)
plt.show()

# %% [markdown]
# R² beside its control says how much of the description needs features that act together; below 0
# it is worse than the mean. Where the two are close, single features explain most by themselves.
# Read nothing into modes with a question mark: they do not come back.

# %% [markdown]
# ## 4. How much of the field does each mode hold?
#
# At moments of high rate, the field of each of the three best predicted cells is split onto
# channels (exactly, by the chain rule) and from there onto modes. The control gives the modes the
# loadings of other moments, a third of the test later.

# %%
best = [int(i) for i in np.argsort(-np.nan_to_num(r, nan=-1.0))[:3]]
relative = (predicted[:, best] / np.maximum(predicted[:, best].mean(axis=0), 1e-9)).sum(axis=1)
stretches = np.array_split(np.arange(len(samples)), min(60, len(samples) // 5))
moments = np.array([stretch[relative[stretch].argmax()] for stretch in stretches])
split = rc.receptive_fields.attribute_to_channels(
    network, samples, layer=layer, cells=best, index=moments
)
fields = rc.receptive_fields.instantaneous_fields(network, samples, cells=best, index=moments)
whole = np.asarray(fields.values)
values = np.asarray(split.values)
summed = values.reshape(len(whole), -1, *whole.shape[1:]).sum(axis=1)
miss = (np.abs(summed - whole).max(axis=(1, 2, 3)) / np.abs(whole).max(axis=(1, 2, 3))).max()
print(f"the parts sum to the field: they miss {miss:.0e} of its peak at most")

shifted = replace(modes, loadings=np.roll(modes.loadings, len(samples) // 3, axis=0))
shares, control = (
    rc.receptive_fields.share_of_field(
        rc.receptive_fields.attribute_to_modes(split, contributions, each)
    )
    for each in (modes, shifted)
)
held, held_shifted = (
    1 - table[table["mode"] == -1].set_index("cell")["share"] for table in (shares, control)
)
for one in best:
    print(
        f"cell {one}: modes hold {held[one]:.0%} of its field at {len(moments)} moments; "
        f"with loadings of other moments {held_shifted[one]:.0%}"
    )
rc.figures.plot_field_shares(shares)
plt.show()

# %% [markdown]
# ## 5. What happens without a mode?
#
# Doses of each mode are removed from the running network, and the changes are compared with what
# the split predicts. The control removes the same amounts from random channels. The first sentence
# is for r, the second for r beyond what removing everything alike would do: only that one tells
# *which* cells and places.

# %%
curve = rc.causal.dose_curve(
    network,
    samples,
    contributions,
    modes,
    cells=best,
    target=surprisal,
    doses=(0.1, 0.5, 1.0),
    n_samples=80,
    n_moments=8,
    progress=False,
)
doses = rc.causal.dose_summary(curve)
for quantity in ("response", "field"):
    for measure, name in (("r", "r"), ("r_beyond", "r beyond removing all alike")):
        chosen = (doses["quantity"] == quantity) & (doses["measure"] == measure)
        chosen &= (doses["kind"] == "removed") & (doses["dose"] == 1)
        for row in doses[chosen].itertuples():
            verdict = "better than" if row.low > 0 else "not clearly better than"
            print(
                f"{quantity}, {name}: {row.mode:.2f}, {verdict} random channels "
                f"({row.control:.2f}; 95 % interval of the difference {row.low:.2f} to "
                f"{row.high:.2f})"
            )
rc.figures.plot_doses(doses)
plt.show()

# %% [markdown]
# In the last layer of interneurons a good prediction is close to certain, because only the readout
# of the cells follows. It tests the bookkeeping, and that the mode is special among channels.

# %% [markdown]
# ## 6. Do modes know about spikes what the rate does not?
#
# So far everything was inside the network. Here the recorded spikes decide: a regression predicts
# them from the predicted rate, with and without the loading of a mode, on blocks of time held out.
# The gain is in bits per spike. The control shifts the loadings in time, and `q` is the false
# discovery rate over all pairs of cells and modes.

# %%
gains = rc.statistics.spikes_beyond_rate(
    recorded, predicted, modes, bin_s=1 / frame_rate_hz, n_draws=20
)
tested = gains.dropna(subset=["gain"])
found = tested[tested["q"] < 0.05]
print(f"{len(found)} of {len(tested)} tested pairs of cell and mode gain beyond chance (q < 0.05)")
print(
    f"median gain {tested['gain'].median():.3f} bits per spike; "
    f"shifted loadings {tested['chance'].median():.3f}"
)
if len(found):
    print(f"largest gain with q < 0.05: {found['gain'].max():.3f} bits per spike")
    rc.figures.plot_spike_gains(gains)
    plt.show()
if not given:
    folder.cleanup()
tested.sort_values("gain", ascending=False).head(5).set_index(["cell", "mode"]).round(3)

# %% [markdown]
# A gain means that the modes hold something that the readout of this network misses, such as a gain
# that varies. No gain means that the rate is all that the modes say about spikes, or that the test
# is too short to tell: look at the number of pairs and at the length of the test above.
#
# ## What to do next
#
# All this, for both layers and with a report, is one command: `retina-codec run recording.nwb --out
# results`. Before you believe a result, train from another seed and see whether it is still there.
