"""Fields of more moments than memory holds: computed, separated and stored piece by piece."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Int
from torch import nn
from tqdm import tqdm

from retina_codec.datatypes import Fields

from .cropping import cropped
from .instantaneous import BATCH, Cells, instantaneous_fields
from .separation import separate_space_time


def stream_fields(
    network: nn.Module,
    samples: Any,
    path: str | PathLike,
    *,
    cells: Cells,
    index: Sequence[int] | Int[np.ndarray, " moment"],
    side_px: int = 20,
    progress: bool = True,
) -> Fields:
    """Compute, separate and crop the instantaneous fields of many moments into a Zarr store.

    Of each field its map (cropped), time course and separability are kept, and the place of the
    crop in the stimulus. The store appears when it is whole.

    Parameters
    ----------
    network, samples, cells, index
        As in `instantaneous_fields`.
    path
        New Zarr folder; `export.load` reads it.
    side_px
        Side of the square around the strongest pixel of each map.
    progress
        Whether to show a bar.

    Returns
    -------
    Fields
        Without values; maps stay in the store until they are sliced.

    Raises
    ------
    FileExistsError
        If there is something at the path.
    ValueError
        If there are no moments, or the samples are not windows of a stimulus.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.simulation import Circuit
    >>> from retina_codec.stimuli import Screen, white_noise, windows
    >>> circuit = Circuit(shape=(20, 20), history=10)
    >>> samples = windows(white_noise(n_frames=40, screen=Screen((20, 20))), 10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fields = stream_fields(
    ...         circuit, samples, f"{folder}/f.zarr", cells=[0, 1], index=range(9), progress=False
    ...     )
    ...     fields.space.shape
    (18, 20, 20)
    """
    path, index = Path(path), np.asarray(index, dtype=int)
    if not len(index) or not hasattr(samples, "stimulus"):
        msg = (
            "Expected at least one moment and windows of a stimulus, got "
            f"{len(index)} moments of a {type(samples).__name__}. Use stimuli.windows."
        )
        raise ValueError(msg)
    if path.exists():
        msg = f"There is something at {path} already. Choose a new folder, or delete it."
        raise FileExistsError(msg)
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    firsts = range(0, len(index), BATCH)
    for first in tqdm(firsts, desc="fields", unit="batch", disable=not progress):
        fields = instantaneous_fields(
            network, samples, cells=cells, index=index[first : first + BATCH]
        )
        small = cropped(replace(separate_space_time(fields), values=None), side_px=side_px)
        where = {"append_dim": "item"} if first else {"zarr_format": 2}
        small.to_xarray().to_zarr(partial, consolidated=False, **where)
    zarr.consolidate_metadata(partial)
    partial.rename(path)
    stored = xr.open_zarr(path, chunks=None)
    return Fields.from_xarray(stored, lazy="item")
