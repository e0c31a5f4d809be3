"""Recordings of bipolar, amacrine and horizontal cells: the lab's files of membrane potentials.

A file has a group for each stimulus, with `stimuli` as they were drawn and the
`detrended_membrane_potential` (cell, time) of all cells. The frames that a network of ganglion
cells sees are made from them here.
"""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float

from retina_codec.datatypes import Interneurons, Stimulus, did_you_mean

from ._errors import naming
from ._open_hdf5 import open_hdf5

POTENTIALS, STIMULI = "detrended_membrane_potential", "stimuli"
SCREEN, FLASHED = 50, 38
FRAME_RATE_HZ = 100.0

Movie = Float[np.ndarray, "time y x"]


def _boxes(stimuli: np.ndarray) -> Movie:
    """Frames of 0 and 1 become contrasts of -1 and 1."""
    return 2.0 * stimuli - 1.0


def _lines(stimuli: np.ndarray) -> Movie:
    """Bars become half as many, each the mean of two neighbours."""
    pairs = (stimuli[:, :-1] + stimuli[:, 1:]) / 2
    return _bars(pairs[:, ::2])


def _flashes(stimuli: np.ndarray) -> Movie:
    """One brightness fills the screen."""
    return np.broadcast_to(stimuli.reshape(-1, 1, 1), (stimuli.size, FLASHED, FLASHED))


def _moving_bar(stimuli: np.ndarray) -> Movie:
    return stimuli if stimuli.ndim == 3 else _bars(stimuli)


def _bars(stimuli: np.ndarray) -> Movie:
    """Repeat bars along the other axis of a square."""
    return np.repeat(stimuli[:, :, np.newaxis], stimuli.shape[1], axis=2)


FRAMES: dict[str, Callable[[np.ndarray], Movie]] = {
    "boxes": _boxes,
    "lines": _lines,
    "flashes": _flashes,
    "movingbar": _moving_bar,
}
AXES = {"boxes": (3,), "lines": (2,), "flashes": (1, 2, 3), "movingbar": (2, 3)}


def load_interneurons(
    path: str | Path,
    *,
    stimulus: str | None = None,
    frame_rate_hz: float = FRAME_RATE_HZ,
    screen: int | None = SCREEN,
) -> Interneurons:
    """Load membrane potentials of interneurons, and the movie they saw, from a file of the lab.

    Parameters
    ----------
    path
        Of a file with groups boxes, lines, flashes or movingbar.
    stimulus
        Which of them; needed where there are several.
    frame_rate_hz
        Frames per second; the lab's bins are 10 ms.
    screen
        Side of the square of pixels that smaller movies are put into the middle of, on grey (0);
        None leaves them as they are.

    Returns
    -------
    Interneurons
        Time bin t of the potentials belongs to frame t. Beside a network with a window of `history`
        frames, the first `history` bins have no sample.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no such stimulus, or movie and potentials do not fit each other.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/bipolars.h5"
    ...     with h5py.File(path, "w") as file:
    ...         file["boxes/stimuli"] = np.ones((60, 38, 38))
    ...         file["boxes/detrended_membrane_potential"] = np.zeros((2, 60))
    ...     found = load_interneurons(path)
    >>> found.potentials.shape, found.stimulus.frames.shape, float(found.stimulus.frames[0].sum())
    ((60, 2), (60, 50, 50), 1444.0)
    """
    path = Path(path).expanduser()
    if not path.is_file():
        msg = f"No file {path}."
        raise FileNotFoundError(msg)
    with naming(path), open_hdf5(path) as file:
        name = _chosen(file, stimulus)
        shown, potentials = (_numbers(file, f"{name}/{part}") for part in (STIMULI, POTENTIALS))
    frames = _on_screen(_frames(path, name, shown), screen)
    if potentials.ndim != 2 or potentials.shape[1] != len(frames):
        msg = (
            f"{path}: {name}/{POTENTIALS} must be (cell, time) with {len(frames)} time bins, as "
            f"many as there are frames; got the shape {potentials.shape}."
        )
        raise ValueError(msg)
    return Interneurons(
        stimulus=Stimulus(frames=frames, frame_rate_hz=float(frame_rate_hz), name=name),
        potentials=potentials.T.copy(),
        kind=path.stem,
        source=path.name,
    )


def _chosen(file: h5py.File, stimulus: str | None) -> str:
    found = [name for name in FRAMES if isinstance(file.get(name), h5py.Group)]
    if stimulus is None and len(found) == 1:
        return found[0]
    if stimulus not in found:
        asked = "Choose one with 'stimulus'." if stimulus is None else f"No {stimulus!r}."
        guess = "" if stimulus is None else did_you_mean(stimulus, found)
        groups = ", ".join(found) or f"none of {', '.join(FRAMES)}"
        msg = f"{file.filename} holds stimuli for interneurons: {groups}. {asked}{guess}"
        raise ValueError(msg)
    return stimulus


def _numbers(file: h5py.File, name: str) -> Float[np.ndarray, "..."]:
    stored = file.get(name)
    if not isinstance(stored, h5py.Dataset) or stored.dtype.kind not in "biuf":
        msg = f"{file.filename} lacks numbers in {name}."
        raise ValueError(msg)
    return stored[()].astype(np.float64)


def _frames(path: Path, name: str, shown: np.ndarray) -> Movie:
    if shown.ndim not in AXES[name] or (name == "flashes" and shown.size != len(shown)):
        msg = f"{path}: {name}/{STIMULI} has the shape {shown.shape}, which {name} do not have."
        raise ValueError(msg)
    return FRAMES[name](shown)


def _on_screen(frames: Movie, screen: int | None) -> Float[np.ndarray, "time row column"]:
    """Put frames into the middle of a grey square, if they are smaller."""
    before = [max(0, (screen or 0) - side) // 2 for side in frames.shape[1:]]
    after = [
        max(0, (screen or 0) - side) - b for side, b in zip(frames.shape[1:], before, strict=True)
    ]
    padding = [(0, 0), *zip(before, after, strict=True)]
    return np.pad(frames, padding).astype(np.float32)
