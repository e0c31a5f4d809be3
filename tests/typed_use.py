"""What users write, for the type checker: `make check` looks at it, nothing runs it."""

from typing import assert_type

import numpy as np
from torch import nn

import retina_codec as rc
from retina_codec.datatypes import Contributions, Effects, Fields, Modes, Predictions, Recording

recording = rc.recordings.load_recording(rc.recordings.sample_recording(), cells=[0, 1])
assert_type(recording, Recording)
network = rc.networks.DeepRetina.for_recording(recording, history=20)
trained, log = rc.networks.train(
    network, recording, settings=rc.networks.TrainingSettings(max_epochs=1)
)
assert_type(trained, nn.Module)
assert_type(rc.networks.load_network("simulated_retina"), nn.Module)
assert_type(rc.networks.evaluate(network, recording), Predictions)
samples = rc.networks.windows_for(network, recording.stimulus, frames=recording.splits["test"])
contributions = rc.contributions.integrated_gradients(
    network, samples, layers=["relu1"], target=rc.contributions.population_sum()
)
assert_type(contributions["relu1"], Contributions)
modes = rc.decomposition.decompose(contributions["relu1"], rc.decomposition.SparseModes(n_modes=8))
assert_type(modes, Modes)
assert_type(rc.causal.effects(network, samples, modes), Effects)
parts = rc.receptive_fields.attribute_to_channels(
    network, samples, layer="relu1", cells=[0], index=[99]
)
assert_type(rc.receptive_fields.attribute_to_modes(parts, contributions["relu1"], modes), Fields)
axes = rc.figures.plot_dictionary(modes)
axes.set_title("Modes")
rc.export.save(modes, "modes.nc")
movie = rc.stimuli.white_noise(n_frames=100)
assert_type(movie.frame_rate_hz, float)
simulated = rc.simulation.simulate_recording(n_frames=np.int64(100).item())
assert_type(simulated, Recording)
config = rc.pipeline.Config(recording="recording.nwb")
summary = rc.pipeline.run(config, "results")
summary["findings"]
