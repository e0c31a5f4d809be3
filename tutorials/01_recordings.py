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
# # 1. Recordings
#
# **You learn** what a recording is here, how to look into a file before loading it, how reliable
# the cells are, and what averages over natural scenes and over white noise show.\
# **You need** nothing but the package: the sample recording of a simulated retina comes with it.\
# **It takes** about ten seconds.

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import retina_codec as rc

plt.rcParams.update({"figure.dpi": 80, "font.size": 8, "legend.frameon": False})

project = next(p for p in (Path.cwd(), *Path.cwd().parents) if (p / "data/sample").is_dir())
path = project / "data" / "sample" / "recording.nwb"
recording = rc.recordings.load_recording(path)
rc.figures.plot_stimulus(recording.stimulus, first_frame=2196)
rc.figures.plot_rates(recording, span_s=(20.0, 24.0))
plt.show()

# %% [markdown]
# **Above:** eight frames of the movie, and four seconds of the answer of twelve ganglion cells. The
# movie shows photographs to a moving eye, with a saccade every second. These four seconds were
# shown in ten trials, and the rates are the mean over the trials: a PSTH for each cell.
#
# ## 1. What is in a file
#
# `describe` looks into a file and loads nothing. In the shell it is `retina-codec info FILE`.

# %%
inside = rc.recordings.describe(path)
for stimulus in inside["stimuli"]:
    print(f"stimulus {stimulus['name']!r}: {stimulus['kind']}, {stimulus['shape']} frames y x, ")
    print(f"    {stimulus['frame_rate_hz']:.0f} Hz, {stimulus['duration_s']:.0f} s")
print(f"units: {inside['units']['n']}, with columns {', '.join(inside['units']['columns'])}")
print(f"splits, in frames: {inside['loading']['splits']}; trials: {inside['loading']['n_trials']}")

# %% [markdown]
# ## 2. What a recording holds
#
# A recording is a **stimulus** and the **rates** of the cells, one row for each frame. Bin *t*
# counts the spikes while frame *t* was on the screen. What is not known is `None`; a bin in which a
# cell was not observed is NaN, never 0.
#
# The **splits** say what is for training and what is for the test. The test is whole seconds that
# no network is trained on.

# %%
stimulus = recording.stimulus
n_spikes = [len(times) for times in recording.spike_times]
counts = np.asarray(recording.rates) / stimulus.frame_rate_hz
print(f"frames 'time y x': {stimulus.frames.shape}; rates 'time cell' in Hz: {counts.shape}")
print(f"repeats 'trial time cell' in Hz: {recording.repeats.shape}; splits: {recording.splits}")
first, last = recording.splits["train"]
in_training = [(times < last / stimulus.frame_rate_hz).sum() for times in recording.spike_times]
print(f"cell 0: {in_training[0]} spikes for training; its rates there hold ", end="")
print(f"{counts[first:last, 0].sum():.0f}")
recording.cells.drop(columns="unit_id").rename_axis("cell").round(1)

# %% [markdown]
# The frames stay in the file until they are sliced, so a movie may be larger than memory. The types
# and places of these cells are known because the retina is simulated: four types of bipolar cells
# and three of amacrine cells, and this is who excites (+) and who inhibits (−) which type of
# ganglion cell. With your own recording there is no such table.

# %%
circuit = rc.simulation.Circuit(**recording.circuit)
circuit.wiring()

# %% [markdown]
# The **ON-OFF transient** cells will be with us in all tutorials. They have two excitatory inputs
# of opposite polarity, so no single receptive field can describe them.
#
# ## 3. How reliable are the cells?
#
# Ten trials of the same movie tell signal from noise. For each cell we correlate the mean of the
# even trials with that of the odd trials. The control shifts one of them by half of the test.

# %%
trials = np.asarray(recording.repeats)
even, odd = trials[::2].mean(axis=0), trials[1::2].mean(axis=0)


def correlations(a, b):
    """Pearson r of each cell between two arrays "time cell"."""
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


reliability = correlations(even, odd)
shifted = correlations(even, np.roll(odd, len(odd) // 2, axis=0))
cell = int(reliability.argmax())
figure, (left, right) = plt.subplots(
    1, 2, figsize=(7.5, 2.4), width_ratios=[2, 1], layout="constrained"
)
time_s = (recording.splits["test"][0] + np.arange(trials.shape[1])) / stimulus.frame_rate_hz
left.eventplot([time_s[row > 0] for row in trials[:, :, cell]], color="k", linewidth=0.7)
left.set(xlabel="time (s)", ylabel="trial", title=f"spikes of cell {cell} in ten trials")
right.plot(reliability, "o", label="even and odd trials")
right.plot(shifted, "s", color="0.5", label="one of them shifted")
right.axhline(0, color="k", linewidth=0.5)
right.set(xlabel="cell", ylabel="Pearson r", xticks=range(0, 12, 3), ylim=(-0.4, 1.6))
right.legend(loc="upper right")
plt.show()
print(f"even and odd trials: median r {np.median(reliability):.2f}; ", end="")
print(f"shifted: {np.median(shifted):.2f}")

# %% [markdown]
# Spikes come in short events, at nearly the same time in each trial. Cell 6 hardly fires in these
# four seconds, so nothing can be said about it. What differs between trials is noise, which no
# model can predict. Scores of networks take this into account (next tutorial).
#
# ## 4. Spike-triggered averages
#
# The **spike-triggered average** (STA) is the mean of the `history` frames before a spike. Here is
# one cell of each type, from the 20 s of natural scenses above.

# %%
history = 25
cell_type = recording.cells["cell_type"]
shown = [0, 3, 6, 9]


def averages(of):
    """Separated spike-triggered average of each cell."""
    sta = rc.receptive_fields.spike_triggered_average(of, history=history)
    return rc.receptive_fields.separate_space_time(sta)


def plot(stas, title):
    """Draw the averages of the cells shown."""
    figure = plt.figure(figsize=(8, 3.4), layout="constrained")
    grid = rc.figures.plot_fields(stas, items=shown, n_across=2, figure=figure)
    for (ax, _), item in zip(grid, shown, strict=True):
        ax.set_title(f"{item}: {cell_type[item]}", loc="left")
    figure.suptitle(title)


of_scenes = averages(recording)
plot(of_scenes, "natural scenes, 20 s")
plt.show()

# %% [markdown]
# The maps are smeared, and the time courses broad, because neighbouring pixels and frames of
# natural scenes are alike. **White noise** has no such memory. We let the same simulated retina see
# two minutes of it, in checks of two pixels.

# %%
noise = rc.stimuli.white_noise(
    n_frames=12_000, check_px=2, screen=rc.stimuli.Screen(shape=(24, 24)), seed=1
)
of_noise_recording = rc.simulation.simulate_recording(
    circuit=circuit, stimulus=noise, test_frames=500, n_trials=2, seed=1
)
of_noise = averages(of_noise_recording)
plot(of_noise, "white noise, 115 s")
plt.show()

# %% [markdown]
# How far is the centre of each average from where the cell truly is?

# %%
centres = {
    name: rc.receptive_fields.describe_fields(stas)
    for name, stas in (("natural scenes", of_scenes), ("white noise", of_noise))
}
distance = pd.DataFrame(
    {
        f"{name}, distance (pixel)": np.hypot(
            found["y_px"] - recording.cells["y_px"], found["x_px"] - recording.cells["x_px"]
        )
        .groupby(cell_type)
        .median()
        for name, found in centres.items()
    }
)
distance["mean rate (Hz), white noise"] = (
    pd.Series(np.nanmean(of_noise_recording.rates, axis=0)).groupby(cell_type).mean()
)
distance.round(1)

# %% [markdown]
# White noise finds all cells that have one excitatory input within a pixel; natural scenes miss
# them by more. But the ON-OFF cells are not found at all, although they fire in white noise nearly
# as much as the OFF transient cells do: light and dark average out. This is why the other tutorials
# ask for the field of a moment instead.
#
# ## 5. From arrays, and back into a file
#
# A recording can be made of what you have in memory: a movie, and spike times or rates. It is
# written as NWB, and read again.

# %%
mine = rc.recordings.from_arrays(
    noise.frames[:3000],
    spike_times=[times[times < 30] for times in of_noise_recording.spike_times],
    frame_rate_hz=100.0,
    test_frames=500,
)
with tempfile.TemporaryDirectory() as folder:
    rc.recordings.write_nwb(mine, Path(folder) / "mine.nwb")
    again = rc.recordings.load_recording(Path(folder) / "mine.nwb")
    same = np.array_equal(again.rates, mine.rates)
print(f"{again.rates.shape[1]} cells, splits {again.splits}; rates as they were: {same}")
unobserved = np.where(np.arange(3000)[:, None] < 200, np.nan, mine.rates)
print("mean rate of cell 0 (Hz), and without its first two seconds:", end=" ")
later = replace(mine, rates=unobserved)
print(f"{mine.rates[:, 0].mean():.2f}, {np.nanmean(later.rates[:, 0]):.2f}")

# %% [markdown]
# The next tutorial trains a network to predict such a recording. How to bring your own files is in
# `09_your_own_data`, and all formats are in `docs/recordings.md`.
