import jaxtyping
import pytest


@pytest.fixture
def as_user():
    """Switch the test-time shape checker off, so that the package's own checks speak."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def run_recording(tmp_path_factory):
    """A small recording, as a file."""
    from retina_codec.recordings import write_nwb
    from retina_codec.simulation import Circuit, simulate_recording

    path = tmp_path_factory.mktemp("recording") / "recording.nwb"
    circuit = Circuit(shape=(18, 18), history=12, cells_per_type=1)
    write_nwb(simulate_recording(circuit=circuit, n_frames=1500, test_frames=400), path)
    return path


@pytest.fixture(scope="session")
def small_config():
    """Return a function that makes the settings of a run that is done soon."""
    from retina_codec.pipeline import Config

    def config(recording, **changes):
        given = {"history_s": 0.1, "epochs": 2, "n_steps": 4, "layers": ("relu1",)}
        given |= {"n_repeats": 1, "n_draws": 2, "n_cells": 2}
        return Config(recording=str(recording), **{**given, **changes})

    return config


@pytest.fixture(scope="session")
def finished(run_recording, small_config, tmp_path_factory):
    """One run for all tests that look at what a run leaves: settings, folder and summary."""
    from retina_codec.pipeline import run

    out = tmp_path_factory.mktemp("runs") / "run"
    config = small_config(run_recording)
    return config, out, run(config, out, progress=False)
