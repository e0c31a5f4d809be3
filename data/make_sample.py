"""Make data/sample/recording.nwb, a small recording of the simulated retina."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from retina_codec.recordings import write_nwb
from retina_codec.simulation import Circuit, simulate_recording
from retina_codec.stimuli import Screen, natural_scenes

HERE = Path(__file__).parent
N_FRAMES, TEST_FRAMES, LEVELS = 2400, 400, 16

movie = natural_scenes(n_frames=N_FRAMES, screen=Screen((24, 24)), seed=0)
coarse = (np.round(movie.frames * LEVELS) / LEVELS).astype(np.float32)  # compresses well
recording = simulate_recording(
    circuit=Circuit(shape=(24, 24), history=25),
    stimulus=replace(movie, frames=coarse),
    test_frames=TEST_FRAMES,
    seed=0,
)
(HERE / "sample").mkdir(exist_ok=True)
write_nwb(recording, HERE / "sample" / "recording.nwb")
