"""The small recording that comes with the package."""

from pathlib import Path

from retina_codec.datatypes import shipped


def sample_recording() -> Path:
    """Return the NWB file of a small simulated recording, to try things on.

    It holds 24 s of natural scenes (24 x 24 pixels, 100 Hz) and the spikes of 12 cells of four
    types, the last 4 s in 10 trials. `networks.load_network("simulated_retina")` predicts them.

    Raises
    ------
    FileNotFoundError
        If the installation is not whole.

    Examples
    --------
    >>> from retina_codec.recordings import load_recording
    >>> load_recording(sample_recording()).rates.shape
    (2400, 12)
    """
    return shipped("data") / "sample" / "recording.nwb"
