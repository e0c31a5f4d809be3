"""The lab's HDF5: groups train and test, each with stimulus, time and response.

One bin is 10 ms, cells come first, and the responses of the test part are one bin longer than its
stimulus: that last bin is dropped. Bin t of a response belongs to frame t, so nothing is shifted.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float

from retina_codec.datatypes import Fields, Recording, Stimulus, did_you_mean

from ._errors import naming
from ._lab_experiments import n_blocks_of
from ._lazy import Joined, Stored
from ._open_hdf5 import open_hdf5

COUNTS = "binned"
EXTRA_TEST_BINS = 1


def recognises(contents: Any) -> bool:
    """Whether a file has the lab's groups."""
    return isinstance(contents, h5py.File) and {"train", "test"} <= set(contents)


def read(
    path: Path,
    contents: h5py.File,
    *,
    response: str = "firing_rate_10ms",
    skip_frames: int = 0,
    n_blocks: int | None = None,
) -> Recording:
    """Read one experiment: the training part of the movie, followed by the test part.

    Parameters
    ----------
    path
        Of the file; its name is the name of the stimulus, its folder the experiment.
    contents
        The open file; the movie stays in it.
    response
        Which of the stored responses: a smoothed firing rate (Hz, as stored), or "binned" (spike
        counts, turned into Hz).
    skip_frames
        How many frames at the begin of each block of the training movie count as not observed: the
        cells are still adapting to it.
    n_blocks
        In how many blocks of equal length the training movie was shown; known for the lab's own
        experiments by the name of the folder.

    Raises
    ------
    ValueError
        If something is missing, or responses and stimulus disagree in length.
    """
    _check_complete(contents, path)
    movie = Joined([Stored(contents[f"{part}/stimulus"]) for part in ("train", "test")])
    frame_rate_hz = 1 / float(np.median(np.diff(contents["train/time"][()])))
    n_train, n_frames = contents["train/stimulus"].shape[0], len(movie)
    factor = frame_rate_hz if response == COUNTS else 1.0
    rates = np.concatenate([_rates(contents[part], response) for part in ("train", "test")])
    _hide_adaptation(rates[:n_train], skip_frames, n_blocks, experiment=path.resolve().parent.name)
    spike_times = _spike_times(contents, n_cells=rates.shape[1])
    return Recording(
        stimulus=Stimulus(
            frames=movie,
            frame_rate_hz=frame_rate_hz,
            start_s=float(contents["train/time"][0]),
            name=path.stem,
        ),
        rates=rates * factor,
        cells=_cells(rates.shape[1], spike_times),
        splits={"train": (0, n_train), "test": (n_train, n_frames)},
        spike_times=spike_times,
        repeats=_repeats(contents, response, n_test=n_frames - n_train, factor=factor),
        source=f"{path.resolve().parent.name}/{path.name}",
    )


def _check_complete(file: h5py.File, path: Path) -> None:
    needed = ["train/stimulus", "train/time", "train/response", "test/stimulus", "test/response"]
    missing = [name for name in needed if name not in file]
    if missing:
        msg = f"{path} looks like the lab's HDF5 but lacks {', '.join(missing)}."
        raise ValueError(msg)
    n_frames, n_times = file["train/stimulus"].shape[0], file["train/time"].shape[0]
    if n_frames != n_times:
        msg = f"{path}: train/stimulus has {n_frames} frames but train/time has {n_times}."
        raise ValueError(msg)


def _rates(part: h5py.Group, response: str) -> Float[np.ndarray, "time cell"]:
    stored = part["response"]
    if response not in stored:
        msg = (
            f"No response {response!r} in {part.name}. Responses: {', '.join(stored)}."
            f"{did_you_mean(response, stored)}"
        )
        raise ValueError(msg)
    return _without_extra(stored[response], part["stimulus"].shape[0]).T


def _without_extra(bins: h5py.Dataset, n_frames: int) -> Float[np.ndarray, "... time"]:
    """Cut the extra last bin of the test part; refuse any other difference in length."""
    n_bins = bins.shape[-1]
    allowed = EXTRA_TEST_BINS if bins.name.startswith("/test/") else 0
    if n_bins - n_frames not in (0, allowed):
        msg = (
            f"{bins.name} has {n_bins} time bins but the stimulus has {n_frames} frames; expected "
            f"{n_frames}{' or one more' if allowed else ''}."
        )
        raise ValueError(msg)
    return bins[..., :n_frames].astype(np.float64)


def _hide_adaptation(
    rates: Float[np.ndarray, "time cell"],
    skip_frames: int,
    n_blocks: int | None,
    *,
    experiment: str,
) -> None:
    """Mark the first frames of each block as not observed; the movie stays as long as it was."""
    if not skip_frames:
        return
    n_blocks = n_blocks_of(experiment) if n_blocks is None else n_blocks
    block, rest = divmod(len(rates), n_blocks) if n_blocks > 0 else (0, 1)
    if rest or not 0 < skip_frames < block:
        msg = (
            f"Cannot skip {skip_frames} frames in each of {n_blocks} blocks of equal length: the "
            f"training movie has {len(rates)} frames. Give another 'skip_frames' or 'n_blocks'."
        )
        raise ValueError(msg)
    rates.reshape(n_blocks, block, -1)[:, :skip_frames] = np.nan


def _repeats(
    file: h5py.File, response: str, *, n_test: int, factor: float
) -> Float[np.ndarray, "trial time cell"] | None:
    group = file.get("test/repeats")
    if group is None:
        return None
    if response in group:
        return _without_extra(group[response], n_test).transpose(0, 2, 1) * factor
    cells = _numbered(group)
    if not cells:
        return None
    trials = {name: _without_extra(group[name], n_test) for name in cells}
    if len({len(trial) for trial in trials.values()}) > 1:
        numbers = ", ".join(f"{name} {len(trial)}" for name, trial in trials.items())
        msg = f"{group.name}: every cell must have as many trials as the others, got {numbers}."
        raise ValueError(msg)
    return np.stack(list(trials.values()), axis=-1)


def _spike_times(file: h5py.File, *, n_cells: int) -> tuple[np.ndarray, ...] | None:
    group = file.get("spikes")
    if group is None:
        return None
    names = _numbered(group)
    if len(names) != n_cells:
        msg = f"spikes has {len(names)} cells but the responses have {n_cells}."
        raise ValueError(msg)
    return tuple(group[name][()].astype(np.float64).ravel() for name in names)


def _numbered(group: h5py.Group) -> list[str]:
    """Names cell01, cell02, ... in the order of their numbers."""
    names = [name for name in group if name.startswith("cell") and name[4:].isdigit()]
    return sorted(names, key=lambda name: int(name[4:]))


def _cells(n_cells: int, spike_times: tuple[np.ndarray, ...] | None) -> pd.DataFrame:
    table = pd.DataFrame({"cell": [f"cell{number:02d}" for number in range(1, n_cells + 1)]})
    return table if spike_times is None else table.assign(n_spikes=[len(s) for s in spike_times])


def load_stas(path: str | Path) -> Fields:
    """Load the spike-triggered averages that older white-noise files of the lab hold.

    Parameters
    ----------
    path
        A file with train/stas/cell01, cell02, ...

    Returns
    -------
    Fields
        One for each cell, in the order of the cells of the recording.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file holds none, or they are not all (lag, y, x) of one size.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/whitenoise.h5", "w") as file:
    ...         file["train/time"] = np.arange(50) / 100
    ...         for name in ("cell01", "cell02"):
    ...             file[f"train/stas/{name}"] = np.zeros((4, 6, 6))
    ...     fields = load_stas(f"{folder}/whitenoise.h5")
    >>> fields.values.shape, fields.items["name"].tolist()
    ((2, 4, 6, 6), ['cell01', 'cell02'])
    """
    path = Path(path).expanduser()
    with naming(path), open_hdf5(path) as file:
        names = _numbered(file["train/stas"]) if "train/stas" in file else []
        fields = {name: file["train/stas"][name][()].astype(np.float64) for name in names}
        times = file["train/time"][()] if "train/time" in file else None
    shapes = {field.shape for field in fields.values()}
    if times is None or len(shapes) != 1 or len(next(iter(shapes))) != 3:
        found = ", ".join(map(str, sorted(shapes))) or "none"
        msg = f"{path}: expected train/time, and train/stas/cell01, ... (lag, y, x), got {found}."
        raise ValueError(msg)
    return Fields(
        values=np.stack(list(fields.values())),
        items=pd.DataFrame({"cell": np.arange(len(fields)), "name": list(fields)}),
        frame_rate_hz=1 / float(np.median(np.diff(times))),
    )
