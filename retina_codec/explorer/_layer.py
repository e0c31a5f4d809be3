"""One layer of a run: its records, large ones in their files, and tables of its modes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Int, UInt8

from retina_codec.datatypes import RECORDS, Contributions, Effects, Fields, Modes, Record
from retina_codec.receptive_fields import active_modes

from ._thinning import Thinned

MOST_MODES = 40
MOST_PEAKS = 12
IN_MEMORY_BYTES = 100_000_000


def lazy(path: Path, kind: str, axis: str = "sample") -> Record:
    """Open a record whose large tables along an axis stay in the file until they are sliced.

    Raises
    ------
    ValueError
        If the file is damaged, or holds something else.
    """
    try:
        dataset = xr.open_dataset(
            path, engine="h5netcdf", decode_times=False, decode_timedelta=False
        )
        record = RECORDS[kind].from_xarray(dataset, lazy=axis)
        arrays = {name: v for name, v in vars(record).items() if isinstance(v, xr.DataArray)}
        small = {name: v.values for name, v in arrays.items() if v.nbytes <= IN_MEMORY_BYTES}
        return replace(record, **small)
    except (OSError, ValueError, KeyError) as error:
        msg = f"{path} holds no {kind} of a run ({error}). Delete it and finish the run again."
        raise ValueError(msg) from error


@dataclass(frozen=True, eq=False)
class Layer:
    """What a run found in one layer; opened piece by piece, when it is asked for.

    Attributes
    ----------
    folder
        Of the run.
    name
        Of the layer.
    """

    folder: Path
    name: str

    @cached_property
    def contributions(self) -> Contributions:
        """Contributions of its features; large values stay in the file."""
        return lazy(self.folder / f"contributions_{self.name}.nc", "Contributions")

    @cached_property
    def modes(self) -> Modes:
        """Its modes; large loadings stay in the file."""
        return lazy(self.folder / f"modes_{self.name}.nc", "Modes")

    @cached_property
    def thinned_contributions(self) -> Thinned:
        """Contributions for pictures."""
        return Thinned(self.contributions.values)

    @cached_property
    def thinned_loadings(self) -> Thinned:
        """Loadings for pictures."""
        return Thinned(self.modes.loadings)

    @property
    def shown_modes(self) -> Int[np.ndarray, " shown"]:
        """Modes that are active most often, by number."""
        firing = np.asarray(self.modes.firing)
        return np.sort(np.argsort(-firing, kind="stable")[:MOST_MODES])

    def active(self, sample: int) -> list[int]:
        """Return the modes that are active in a sample: the combination."""
        return np.flatnonzero(self._active_and_peaks[0][sample]).tolist()

    def alike(self, sample: int) -> Bool[np.ndarray, " sample"]:
        """Mark the samples with the same combination."""
        return (self._packed == self._packed[sample]).all(axis=1)

    def peaks(self, mode: int) -> pd.DataFrame:
        """Return the strongest moments of a mode, one for each episode: sample and loading."""
        return self._active_and_peaks[1][mode]

    @cached_property
    def made_of(self) -> dict[int, str]:
        """What each mode is made of, in words; empty where the run has no descriptions."""
        table = self._table("described")
        return {} if table is None else dict(zip(table["mode"], table["features"], strict=True))

    def about(self, mode: int) -> pd.Series | None:
        """Return the description of a mode; None where the run has none."""
        return self._row("described", mode)

    def fields_of(self, mode: int) -> Fields | None:
        """Return the mean part of a mode in the field of each cell; None where there is none."""
        if self._mode_fields is None:
            return None
        rows = np.flatnonzero((self._mode_fields.items["mode"] == mode).to_numpy())
        return None if not rows.size else items_of(self._mode_fields, rows)

    def cells_of(self, mode: int, n_cells: int) -> pd.DataFrame:
        """Say how a mode goes with each cell, and what removing its channels does to the cell.

        Returns
        -------
        One row for each cell: `cell`, `r` (of loading and rate), `change` of the mean rate in
        percent without the channels of the mode, `low` and `high` of as many random channels; NaN
        where the run has none.
        """
        table = pd.DataFrame({"cell": range(n_cells)})
        r = self._correlations
        column = f"mode {mode}"
        table["r"] = np.nan if r is None or column not in r else table["cell"].map(r[column])
        change, control = self._changes(mode)
        table["change"] = change[0] if len(change) else np.nan
        table["low"] = control.min(axis=0) if len(control) else np.nan
        table["high"] = control.max(axis=0) if len(control) else np.nan
        return table

    def dose(self, mode: int) -> pd.Series | None:
        """Return how well the effect of the smallest dose was predicted; None where nobody did."""
        table = self._table("doses")
        if table is None:
            return None
        chosen = table[
            (table["quantity"] == "response")
            & (table["kind"] == "removed")
            & (table["mode"] == mode)
        ]
        return None if chosen.empty else chosen.sort_values("dose").iloc[0]

    @cached_property
    def _active_and_peaks(self) -> tuple[np.ndarray, list[pd.DataFrame]]:
        loadings = np.asarray(self.modes.loadings)
        active = active_modes(replace(self.modes, loadings=loadings))
        peaks = [_peaks(loadings[:, m], active[:, m]) for m in range(loadings.shape[1])]
        return active, peaks

    @cached_property
    def _packed(self) -> UInt8[np.ndarray, "sample byte"]:
        return np.packbits(self._active_and_peaks[0], axis=1)

    @cached_property
    def _mode_fields(self) -> Fields | None:
        path = self.folder / f"fields_modes_{self.name}.nc"
        return lazy(path, "Fields", axis="item") if path.exists() else None

    @cached_property
    def _correlations(self) -> pd.DataFrame | None:
        table = self._table("mode_cells")
        return None if table is None else table.set_index("cell")

    @cached_property
    def _relative(self) -> tuple[pd.DataFrame, np.ndarray] | None:
        path = self.folder / f"effects_{self.name}.nc"
        if not path.exists():
            return None
        effects: Effects = lazy(path, "Effects", axis="condition")
        return effects.conditions.reset_index(drop=True), 100 * effects.relative_change

    def _changes(self, mode: int) -> tuple[np.ndarray, np.ndarray]:
        """Change in percent without the channels of a mode, and without random channels."""
        if self._relative is None:
            return np.empty((0, 0)), np.empty((0, 0))
        table, change = self._relative
        of_mode = (table["mode"] == mode) & (table["kind"] == "ablated")
        control = table["control"].astype(bool)
        return change[(of_mode & ~control).to_numpy()], change[(of_mode & control).to_numpy()]

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame | None]:
        return {}

    def _table(self, name: str) -> pd.DataFrame | None:
        """Return a table of the run; None where it has none."""
        path = self.folder / f"{name}_{self.name}.csv"
        if name not in self._tables:
            self._tables[name] = pd.read_csv(path) if path.exists() else None
        return self._tables[name]

    def _row(self, name: str, mode: int) -> pd.Series | None:
        table = self._table(name)
        chosen = None if table is None else table[table["mode"] == mode]
        return None if chosen is None or chosen.empty else chosen.iloc[0]


def items_of(fields: Fields, rows: Int[np.ndarray, " row"]) -> Fields:
    """Return some of the fields, in memory."""
    parts = {
        name: None if value is None else np.asarray(value[rows])
        for name, value in vars(fields).items()
        if name in ("values", "space", "time_course", "separability", "time_course_band")
    }
    return replace(fields, items=fields.items.iloc[rows].reset_index(drop=True), **parts)


def runs_of(mask: Bool[np.ndarray, " sample"]) -> Int[np.ndarray, "run bound"]:
    """Return first sample and the one after the last of each stretch that is marked.

    Examples
    --------
    >>> runs_of(np.array([True, True, False, True])).tolist()
    [[0, 2], [3, 4]]
    """
    changes = np.diff(np.r_[False, mask, False].astype(np.int8))
    return np.stack([np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)], axis=1)


def strongest(
    values: np.ndarray, mask: Bool[np.ndarray, " sample"], most: int
) -> Int[np.ndarray, " n"]:
    """Return the sample with the highest value in each marked stretch, the highest first."""
    runs = runs_of(mask)
    if not len(runs):
        return np.zeros(0, dtype=int)
    inside = np.where(mask, values, -np.inf)
    heights = np.maximum.reduceat(inside, runs[:, 0])
    chosen = runs[np.argsort(-heights, kind="stable")[:most]]
    return np.array([first + values[first:stop].argmax() for first, stop in chosen], dtype=int)


def _peaks(loading: np.ndarray, active: np.ndarray) -> pd.DataFrame:
    sample = strongest(loading, active, MOST_PEAKS)
    return pd.DataFrame({"sample": sample, "loading": loading[sample]})
