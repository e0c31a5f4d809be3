"""Modes of contributions, whether they come back, and tables that describe them."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from retina_codec.contributions import load_contributions
from retina_codec.contributions.store import hash_of
from retina_codec.datatypes import Contributions, Modes, Predictions, Stability
from retina_codec.decomposition import Decomposition, decompose, stability
from retina_codec.export import load, save
from retina_codec.statistics import (
    co_occurrence,
    correlations_with,
    describe_modes,
    layer_statistics,
    mode_cells,
)

from ._kept import kept_table
from ._run_folder import is_kept, keep_settings

log = logging.getLogger(__name__)


def decompose_store(
    store: str | PathLike,
    out: str | PathLike,
    *,
    method: Decomposition,
    n_repeats: int = 4,
    seed: int = 0,
) -> dict[str, dict[str, Modes]]:
    """Decompose the contributions of a store, layer by layer, and describe the modes.

    Leaves ``modes_LAYER.nc``, ``stability_LAYER.nc`` and ``described_LAYER.csv`` in a folder for
    each target.

    Parameters
    ----------
    store
        That `contributions` wrote; it may be larger than memory for methods that stream.
    out
        New folder; one that was interrupted goes on.
    method, seed
        See `decomposition.decompose`.
    n_repeats
        Fits with other seeds, and as many on resampled time; see `decomposition.stability`.

    Returns
    -------
    dict
        Modes by target and layer.

    Raises
    ------
    ValueError
        If the store is none, its contributions do not suit the method, or there is something in the
        folder already.
    OSError
        If the store cannot be read, or the folder not be written.

    Examples
    --------
    >>> import tempfile
    >>> from torch import nn
    >>> from retina_codec.contributions import activation_times_gradient, one_cell
    >>> from retina_codec.decomposition import PrincipalComponents
    >>> samples = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store, out = Path(folder, "store.zarr"), Path(folder, "modes")
    ...     _ = activation_times_gradient(
    ...         network, samples, layers=["1"], target=one_cell(0), store=store, progress=False
    ...     )
    ...     method = PrincipalComponents(n_modes=2)
    ...     found = decompose_store(store, out, method=method, n_repeats=1)
    ...     sorted(path.name for path in (out / "cell_0").iterdir())
    ['described_1.csv', 'modes_1.nc', 'stability_1.nc']
    >>> found["cell 0"]["1"].dictionary.shape
    (2, 6)
    """
    out = Path(out)
    records = load_contributions(store)
    if out.exists() and not is_kept(out) and (not out.is_dir() or any(out.iterdir())):
        msg = f"There is something at {out} already. Choose a new folder, or delete it."
        raise ValueError(msg)
    settings = {"store": str(store), **described(method), "n_repeats": n_repeats, "seed": seed}
    keep_settings(settings, out, {"contributions": content_of(records)})
    found: dict[str, dict[str, Modes]] = {}
    for target, layers in records.items():
        folder = out / file_name(target)
        folder.mkdir(exist_ok=True)
        found[target] = {}
        for layer, record in layers.items():
            name = file_name(layer)
            log.info("Modes of %s in %s", target, layer)
            modes, _ = kept_modes_and_stability(record, method, folder, n_repeats, seed, name)
            kept_table(folder / f"described_{name}.csv", partial(describe_modes, modes))
            found[target][layer] = modes
    return found


def described(method: Decomposition) -> dict[str, Any]:
    """Return a decomposition as plain values."""
    plain = (str, int, float, bool)
    set_ones = {name: one for name, one in method.get_params().items() if one is not None}
    values = {name: one if isinstance(one, plain) else str(one) for name, one in set_ones.items()}
    return {"method": type(method).__name__, "with": values}


def content_of(records: Mapping[str, Mapping[str, Contributions]]) -> str:
    """Return what tells one store from another: names, shapes, and the first and last samples."""
    parts: list[bytes | np.ndarray] = []
    for target, layers in records.items():
        for layer, record in layers.items():
            ends = (np.asarray(record.values[some]) for some in (slice(8), slice(-8, None)))
            parts += [f"{target} {layer} {record.values.shape}".encode(), *ends]
    return hash_of(parts)


def file_name(name: str) -> str:
    """Write a name from a file so that it stays in its folder."""
    return re.sub(r"[^\w+-]+", "_", name, flags=re.ASCII)


def kept_modes_and_stability(
    record: Contributions,
    method: Decomposition,
    out: Path,
    n_repeats: int,
    seed: int,
    name: str | None = None,
) -> tuple[Modes, Stability]:
    """Return modes that know whether they come back, and the fits that say so."""
    path = out / f"modes_{name or record.layer}.nc"
    fits = out / f"stability_{name or record.layer}.nc"
    if not path.exists():
        modes, found = modes_and_stability(record, method, n_repeats, seed)
        save(found, fits)
        save(modes, path)
    return load(path), load(fits)


def modes_and_stability(
    record: Contributions, method: Decomposition, n_repeats: int, seed: int
) -> tuple[Modes, Stability]:
    """Decompose, and repeat the fit with other seeds and as often on resampled time."""
    modes = modes_of(record, method, seed)
    found = stability(record, modes, method, n_seeds=n_repeats, n_resampled=n_repeats)
    return replace(modes, reproducibility=found.reproducibility), found


def modes_of(
    record: Contributions,
    method: Decomposition,
    seed: int,
    held_out: Bool[np.ndarray, " sample"] | None = None,
) -> Modes:
    """Decompose, and refuse to go on without any mode.

    Raises
    ------
    ValueError
        If no mode is ever active.
    """
    modes = decompose(record, method, seed=seed, held_out=held_out)
    if not len(modes.dictionary):
        msg = (
            f"{modes.method} found no mode in layer {record.layer!r} that is ever active "
            f"({modes.n_dead} are dead). Choose another method."
        )
        raise ValueError(msg)
    return modes


def kept_tables(
    explained: Mapping[str, Contributions],
    modes: Mapping[str, Modes],
    predictions: Predictions,
    seed: int,
    out: Path,
) -> dict[str, object]:
    """Tables of layers and modes, as CSV files: by name, and all but the first by layer."""
    rates = predictions.predicted
    of_modes: dict[str, tuple[str, Callable[[Modes], pd.DataFrame]]] = {
        "correlations": ("mode_cells", lambda record: mode_cells(rates, record, seed=seed)),
        "descriptions": ("described", describe_modes),
        "tested_pairs": (
            "mode_cell_pairs",
            lambda record: correlations_with(record, rates, seed=seed),
        ),
        "co_occurrence": ("co_occurrence", lambda record: co_occurrence(record, seed=seed)),
    }
    tables: dict[str, object] = {
        "layer_statistics": kept_table(
            out / "layer_statistics.csv", lambda: layer_statistics(explained, seed=seed)
        )
    }
    for name, (file, make) in of_modes.items():
        tables[name] = {
            layer: kept_table(out / f"{file}_{layer}.csv", partial(make, record))
            for layer, record in modes.items()
        }
    return tables
