"""Where the fields of moments come from: their description, their parts, and the causal test."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from retina_codec.causal import dose_curve, dose_summary
from retina_codec.contributions import Target, frozen, integrated_gradients, one_cell, probed
from retina_codec.datatypes import CellTypes, Contributions, Fields, Modes, Predictions, Recording
from retina_codec.decomposition import SparseModes, decompose
from retina_codec.networks import windows_for
from retina_codec.receptive_fields import (
    attribute_to_channels,
    attribute_to_modes,
    describe_fields,
    instantaneous_fields,
    mean_parts,
    separate_space_time,
    share_of_field,
    states,
    two_moments,
)
from retina_codec.report import Dynamics
from retina_codec.simulation import Circuit
from retina_codec.statistics import (
    cell_types,
    explained_by,
    interneuron_matches,
    profile_types,
    spikes_beyond_rate,
    type_recovery,
)

from ._kept import kept, kept_table, write_table

LEAST_RATE_HZ = 1.0
N_DESCRIBED = 400
N_SPLIT = 48
BATCH = 256
N_PROFILED = 1000
EXPLAINED = ("polarity", "y_px", "x_px", "size_px", "surround", "orientation_selectivity")
EXPLAINED_COLUMNS = ("feature", "predictor", "r2", "low", "high", "n", "cell")


class Explained(NamedTuple):
    """What a run has found so far.

    `cells` are those whose fields are looked at; the other parts go by layer or are of all cells.
    """

    network: nn.Module
    recording: Recording
    samples: Any
    contributions: Mapping[str, Contributions]
    modes: Mapping[str, Modes]
    predictions: Predictions
    target: Callable[[], Target]
    cells: list[int]
    n_draws: int
    seed: int
    progress: bool


def kept_dynamics(found: Explained, out: Path) -> Dynamics:
    """Return tables and records on dynamic fields.

    They are kept in the folder of the run.
    """
    described = kept_table(out / "described_fields.csv", partial(_described, found))
    explained = kept_table(out / "explained_fields.csv", partial(_explained, found, described))

    def tables(name, make):
        return {
            layer: kept_table(out / f"{name}_{layer}.csv", partial(make, found, layer))
            for layer in found.modes
        }

    parts = {layer: _Parts(found, layer) for layer in found.modes}
    types = {
        layer: kept(out / f"cell_types_{layer}.nc", partial(_cell_types, found, layer))
        for layer in found.modes
    }
    doses = tables("doses", _doses)
    profiles = kept_tables_of_profiles(found, out)
    return Dynamics(
        explained_fields=explained,
        states=tables("states", _states),
        field_shares={
            layer: kept_table(out / f"field_shares_{layer}.csv", of_layer.shares)
            for layer, of_layer in parts.items()
        },
        mode_fields={
            layer: kept(out / f"fields_modes_{layer}.nc", of_layer.mode_fields)
            for layer, of_layer in parts.items()
        },
        moments={
            layer: kept(out / f"fields_moments_{layer}.nc", of_layer.moments)
            for layer, of_layer in parts.items()
            if of_layer.cell_with_two_moments() is not None
        },
        doses={layer: dose_summary(table) for layer, table in doses.items()},
        cell_types=types,
        profile_criteria={layer: criteria for layer, (criteria, _) in profiles.items()},
        profile_labels={layer: labels for layer, (_, labels) in profiles.items()},
        spike_gains=tables("spike_gains", _spike_gains),
        **truth(found, types, out),
    )


def truth(found: Explained, types: Mapping[str, CellTypes], out: Path) -> dict[str, Any]:
    """Hold types and channels against the true ones, in recordings of a simulated retina."""
    settings = found.recording.circuit
    if settings is None or settings["history"] > found.samples.first_bin:
        return {"type_recovery": {}, "interneurons": {}, "true_types": None}
    true_types = found.recording.cells["cell_type"].tolist()
    return {
        "true_types": true_types,
        "type_recovery": {
            layer: type_recovery(record, true_types) for layer, record in types.items()
        },
        "interneurons": {
            layer: kept_table(
                out / f"interneurons_{layer}.csv", partial(_interneurons, found, layer)
            )
            for layer in types
        },
    }


def _interneurons(found: Explained, layer: str) -> pd.DataFrame:
    """Find the unit of the layer that goes best with each true interneuron in the middle."""
    circuit = Circuit(**found.recording.circuit)
    first, last = found.samples.first_bin - circuit.history, found.samples.stop_bin
    seen = windows_for(circuit, found.recording.stimulus, frames=(first, last))
    true = _units(circuit, ("bipolar", "amacrine"), seen, middle_only=True)
    units = _units(found.network, (layer,), found.samples, middle_only=False)
    traces = np.concatenate([true["bipolar"], true["amacrine"]], axis=1)[:, :, 0]
    of_layer = units[layer]
    table = interneuron_matches(
        traces, of_layer.reshape(len(of_layer), -1), n_draws=found.n_draws, seed=found.seed
    )
    names = [*Circuit.channel_names["bipolar"], *Circuit.channel_names["amacrine"]]
    return table.assign(name=names, channel=table["unit"] // of_layer.shape[2])


def _units(network, layers, samples, *, middle_only) -> dict[str, np.ndarray]:
    """Run layers: what they put out, "sample channel unit", around the middle or only there."""
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    with frozen(network), torch.no_grad():
        for first in range(0, len(samples), BATCH):
            batch = torch.as_tensor(samples[first : first + BATCH])
            with probed(network, layers) as kept_units:
                network(batch)
            for layer, units in kept_units.items():
                middle = (units.shape[2] // 2, units.shape[3] // 2)
                reach = 0 if middle_only else max(1, min(units.shape[2:]) // 4)
                around = tuple(slice(at - reach, at + reach + 1) for at in middle)
                found[layer].append(units[(..., *around)].flatten(2).numpy())
    return {layer: np.concatenate(parts) for layer, parts in found.items()}


def _described(found: Explained) -> pd.DataFrame:
    """Describe the field of each cell at moments that are evenly spread over the samples."""
    n = len(found.samples)
    index = np.unique(np.linspace(0, n - 1, min(N_DESCRIBED, n)).astype(int))
    fields = instantaneous_fields(found.network, found.samples, cells=found.cells, index=index)
    return describe_fields(separate_space_time(fields))


def _explained(found: Explained, described: pd.DataFrame) -> pd.DataFrame:
    """Say what explains the description of each cell's field, on blocks of time held out."""
    tables, own = [], _own_loadings(found, described["sample"].unique())
    for cell, rows in described.groupby("cell"):
        firing = (rows["rate_hz"] > LEAST_RATE_HZ).to_numpy()
        predictors = _predictors(found, int(cell), rows)
        for layer, loadings in own[int(cell)].items():
            shifted = np.roll(loadings, len(loadings) // 3, axis=0)
            predictors[f"{layer} modes of the cell"] = loadings
            predictors[f"{layer} modes of the cell, shifted"] = shifted
        chosen = {name: values[firing] for name, values in predictors.items()}
        table = explained_by(rows.loc[firing, list(EXPLAINED)], chosen, seed=found.seed)
        tables.append(table.assign(cell=cell))
    columns = ["cell", "feature", "predictor", "r2", "low", "high", "n"]
    return (
        pd.concat([pd.DataFrame(columns=columns), *tables])
        if tables
        else pd.DataFrame(columns=columns)
    )


def _own_loadings(found: Explained, index: np.ndarray) -> dict[int, dict[str, np.ndarray]]:
    """Decompose the contributions to each cell alone: loadings at some samples, by layer."""
    of_cells = integrated_gradients(
        found.network,
        found.samples[index],
        layers=list(found.modes),
        target=[one_cell(cell) for cell in found.cells],
        n_steps=10,
        progress=False,
    )
    return {
        cell: {
            layer: np.asarray(decompose(record, SparseModes(), seed=found.seed).loadings)
            for layer, record in layers.items()
            if np.any(record.values)
        }
        for cell, layers in zip(found.cells, of_cells.values(), strict=True)
    }


def _predictors(found: Explained, cell: int, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    index = rows["sample"].to_numpy()
    windows = np.stack([_contrast(found.samples[[i]][0]) for i in index])
    record = next(iter(found.contributions.values()))
    of_moment = {
        "rate": found.predictions.predicted[index][:, [cell]],
        "target": np.asarray(record.target_value)[index][:, None],
        "contrast": windows,
    }
    predictors = of_moment | {
        "rate, target, contrast": np.concatenate(list(of_moment.values()), axis=1)
    }
    for layer, modes in found.modes.items():
        loadings = np.asarray(modes.loadings)
        shifted = np.roll(loadings, len(loadings) // 3, axis=0)
        predictors |= {f"{layer} modes": loadings[index]}
        predictors |= {f"{layer} modes, shifted": shifted[index]}
    return {name: np.asarray(values, dtype=float) for name, values in predictors.items()}


def _contrast(window: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of the older and of the recent half of a window."""
    older, recent = (part if len(part) else window for part in np.array_split(window, 2))
    return np.array([older.mean(), older.std(), recent.mean(), recent.std()])


def _states(found: Explained, layer: str) -> pd.DataFrame:
    return states(found.modes[layer])


def _doses(found: Explained, layer: str) -> pd.DataFrame:
    return dose_curve(
        found.network,
        found.samples,
        found.contributions[layer],
        found.modes[layer],
        cells=found.cells[:3],
        target=found.target(),
        seed=found.seed,
        progress=found.progress,
    )


def _spike_gains(found: Explained, layer: str) -> pd.DataFrame:
    return spikes_beyond_rate(
        np.asarray(found.predictions.recorded, dtype=float),
        np.asarray(found.predictions.predicted, dtype=float),
        found.modes[layer],
        bin_s=1 / found.recording.stimulus.frame_rate_hz,
        n_draws=found.n_draws,
        seed=found.seed,
    )


def _cell_types(found: Explained, layer: str) -> CellTypes:
    return cell_types(
        np.asarray(found.predictions.predicted, dtype=float),
        found.modes[layer],
        n_bootstraps=found.n_draws,
        n_nulls=found.n_draws,
        n_references=found.n_draws,
        seed=found.seed,
    )


def kept_tables_of_profiles(
    found: Explained, out: Path
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Types of cells by what contributes to each cell: criteria, and clusters, of each layer."""
    paths = {
        layer: (out / f"profile_criteria_{layer}.csv", out / f"profile_types_{layer}.csv")
        for layer in found.modes
    }
    if not all(path.exists() for pair in paths.values() for path in pair):
        n_cells, n = found.recording.rates.shape[1], len(found.samples)
        index = np.unique(np.linspace(0, n - 1, min(N_PROFILED, n)).astype(int))
        of_cells = integrated_gradients(
            found.network,
            found.samples[index],
            layers=list(found.modes),
            target=[one_cell(cell) for cell in range(n_cells)],
            n_steps=10,
            progress=found.progress,
        )
        for layer, (criteria, clusters) in paths.items():
            records = [of_cell[layer] for of_cell in of_cells.values()]
            types = profile_types(
                records,
                n_bootstraps=found.n_draws,
                n_nulls=found.n_draws,
                n_references=found.n_draws,
                seed=found.seed,
            )
            chosen = types.criteria.assign(
                chosen=types.criteria["n_clusters"] == types.choices["chosen"]
            )
            write_table(criteria, chosen)
            table = pd.DataFrame(types.candidates.T).add_prefix("k = ")
            table.columns = [f"k = {k + 1}" for k in range(len(types.candidates))]
            table.insert(0, "cluster", types.labels)
            write_table(clusters, table.rename_axis("cell").reset_index())
    return {layer: tuple(map(pd.read_csv, pair)) for layer, pair in paths.items()}


class _Parts:
    """Parts of fields at strong moments, computed when first asked for."""

    def __init__(self, found: Explained, layer: str):
        self.found, self.layer, self.modes = found, layer, found.modes[layer]

    def shares(self) -> pd.DataFrame:
        """Shares of the modes, beside those of loadings shifted in time."""
        table = share_of_field(self._of_modes(self.modes), seed=self.found.seed)
        loadings = np.asarray(self.modes.loadings)
        shifted = replace(self.modes, loadings=np.roll(loadings, len(loadings) // 3, axis=0))
        control = share_of_field(self._of_modes(shifted), seed=self.found.seed)
        return table.assign(shifted=control["share"])

    def mode_fields(self) -> Fields:
        """Single-mode fields, without their values."""
        means = separate_space_time(mean_parts(self._of_modes(self.modes)))
        return replace(means, values=None)

    def cell_with_two_moments(self) -> int | None:
        """Return the first cell that fires alike at two of the moments."""
        rates = np.asarray(self.found.predictions.predicted)[self._strong_moments()]
        for cell in self.found.cells:
            strong = np.sort(rates[:, cell])[::-1][:2]
            if len(strong) == 2 and strong[1] > max(LEAST_RATE_HZ, 0.5 * strong[0]):
                return cell
        return None

    def moments(self) -> Fields:
        """Two moments of that cell."""
        cell = self.cell_with_two_moments()
        return two_moments(self._of_modes(self.modes), cell=cell, alike=0.5)

    def _of_modes(self, modes: Modes) -> Fields:
        return attribute_to_modes(self._channels, self.found.contributions[self.layer], modes)

    @cached_property
    def _channels(self) -> Fields:
        return attribute_to_channels(
            self.found.network,
            self.found.samples,
            layer=self.layer,
            cells=self.found.cells,
            index=self._strong_moments(),
        )

    def _strong_moments(self) -> np.ndarray:
        """In each of as many stretches, the sample in which the cells fire most."""
        rates = np.asarray(self.found.predictions.predicted)[:, self.found.cells]
        total = (rates / np.maximum(rates.mean(axis=0), 1e-9)).sum(axis=1)
        stretches = np.array_split(np.arange(len(total)), min(N_SPLIT, len(total)))
        return np.array([stretch[total[stretch].argmax()] for stretch in stretches])
