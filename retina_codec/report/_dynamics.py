"""Sections on where the field of a moment comes from, on types of cells, and on doses of modes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from retina_codec.datatypes import CellTypes, Fields
from retina_codec.figures import (
    plot_cell_types,
    plot_doses,
    plot_explained,
    plot_field_shares,
    plot_interneuron_matches,
    plot_mode_fields,
    plot_moments,
    plot_spike_gains,
)

from ._picture import Picture, height_of, picture
from ._section import Part, Section

MOST_STATES = 12

Tables = Mapping[str, pd.DataFrame]


class Dynamics(NamedTuple):
    """What a run found about dynamic fields: tables and records, most of them by layer.

    Attributes
    ----------
    explained_fields
        How well predictors explain features of the field; see `figures.plot_explained`.
    states
        Combinations of modes and how often they are active.
    field_shares
        Share of each mode in the fields of each cell; see `figures.plot_field_shares`.
    mode_fields, moments
        Single-mode fields; the field of two moments and its parts.
    doses
        Predicted and measured changes; see `figures.plot_doses`.
    cell_types
        Cells grouped by the modes they go with.
    profile_criteria, profile_labels
        Criteria for the number of types, and the types, by what contributes to each cell.
    type_recovery
        How well the types in a simulation come back.
    interneurons
        Units beside the interneurons of a simulation; see `figures.plot_interneuron_matches`.
    spike_gains
        What modes say about spikes beyond the rate; see `figures.plot_spike_gains`.
    true_types
        Type of each cell, where it is known.

    Examples
    --------
    >>> table = pd.DataFrame({"predictor": ["modes"], "feature": ["size_px"], "r2": [0.7]})
    >>> by_layer = dict.fromkeys(Dynamics._fields[1:-1], {})
    >>> Dynamics(explained_fields=table, **by_layer).true_types is None
    True
    """

    explained_fields: pd.DataFrame
    states: Tables
    field_shares: Tables
    mode_fields: Mapping[str, Fields]
    moments: Mapping[str, Fields]
    doses: Tables
    cell_types: Mapping[str, CellTypes]
    profile_criteria: Tables
    profile_labels: Tables
    type_recovery: Tables
    interneurons: Tables
    spike_gains: Tables
    true_types: list[str] | None = None


def dynamic_section(found: Dynamics) -> Section:
    """Show how the field of a moment is shared among modes, and what explains its changes."""
    lead = (
        "The field of a moment is split, exactly, into what went through each channel, and each "
        "channel's part is shared among the modes that explain its contribution at that moment. "
        "What no mode explains is left as unexplained. As control the loadings are shifted in time."
    )
    parts = [
        Part(
            title=f"Layer {layer}",
            pictures=(
                *_moments_pictures(layer, found.moments),
                _shares_picture(layer, table),
                _mode_fields_picture(layer, found.mode_fields[layer]),
            ),
            tables={
                "Combinations of active modes": found.states[layer].head(MOST_STATES),
                "Shares of the field": table,
            },
        )
        for layer, table in found.field_shares.items()
    ]
    if len(found.explained_fields):
        part = Part(
            title="What explains the changes of the field",
            pictures=(_explained_picture(found.explained_fields),),
            tables={"Variance explained": found.explained_fields},
        )
        parts.append(part)
    return Section(name="dynamics", title="Dynamic fields", lead=lead, parts=tuple(parts))


def dose_section(found: Dynamics) -> Section:
    """Show what removing doses of a mode was predicted to do and what it did."""
    lead = (
        "At each moment every channel is moved towards what it puts out at grey, by a dose of the "
        "share that a mode has in it. The contributions of the untouched network predict how "
        "responses, target and fields change; then the change is measured. As control the same "
        "shares are taken from other, random channels."
    )
    parts = tuple(
        Part(
            title=f"Layer {layer}",
            pictures=(_doses_picture(layer, summary),),
            tables={"Median over modes, with the 95 % interval of the difference": summary},
        )
        for layer, summary in found.doses.items()
    )
    return Section(name="doses", title="Doses of modes", lead=lead, parts=parts)


def type_section(found: Dynamics) -> Section:
    """Show types of cells, and whether modes say more than rates do."""
    lead = (
        "Cells are grouped by how their rates go with the loadings of modes. How many groups there "
        "are, and whether they come back, is shown beside loadings shifted in time and beside "
        "groups made from the correlation of rates alone. Then: do loadings explain recorded "
        "spikes beyond the rate that the network predicts?"
    )
    parts = []
    for layer, record in found.cell_types.items():
        gains = found.spike_gains[layer]
        pictures = []
        if len(record.criteria) > 2:
            pictures.append(_types_picture(layer, record))
        if gains["gain"].notna().any():
            pictures.append(_gains_picture(layer, gains))
        tables = {
            "Types by what contributes to each cell: criteria": found.profile_criteria[layer],
            "Types by what contributes to each cell": found.profile_labels[layer],
        }
        if layer in found.type_recovery:
            tables["Agreement with the true types"] = found.type_recovery[layer]
        if layer in found.interneurons:
            pictures.append(_interneurons_picture(layer, found.interneurons[layer]))
            tables["True interneurons and their best units"] = found.interneurons[layer]
        parts.append(Part(title=f"Layer {layer}", pictures=tuple(pictures), tables=tables))
    return Section(name="types", title="Types of cells, spikes", lead=lead, parts=tuple(parts))


def _moments_pictures(layer: str, records: Mapping[str, Fields]) -> Iterator[Picture]:
    """One picture, or none where no cell fired alike at two moments."""
    if layer in records:
        yield _moments_picture(layer, records[layer])


def _moments_picture(layer: str, record: Fields) -> Picture:
    n_across = len(record.items) // record.items["sample"].nunique()
    about = record.items.iloc[0]
    return picture(
        lambda figure: plot_moments(record, figure=figure),
        size=(1.15 * n_across, 3.6),
        caption=(
            f"IRF of cell {about['cell']} at two moments at which it fires alike (rows; n = 2), "
            f"and its parts by modes of layer {layer}, projected on the time course of the IRF, "
            f"in {record.unit}; "
            "they sum to the IRF. Percentages are shares of the power of the IRF. Of all pairs of "
            "the moments looked at, the one whose IRFs correlate least."
        ),
        alt=f"Two rows of spatial maps: the field and its parts in layer {layer}.",
        data=(f"fields_moments_{layer}.nc",),
    )


def _shares_picture(layer: str, table: pd.DataFrame) -> Picture:
    n_cells = table["cell"].nunique()
    return picture(
        lambda figure: plot_field_shares(table, ax=figure.subplots()),
        size=(6.8, height_of(n_cells)),
        caption=(
            f"Share in % of the power of the IRFs that each mode of layer {layer} holds: n = "
            f"{n_cells} cells, mean over moments at which the cells fire most. Each row sums to "
            "100; blue works against the field. The table has intervals and the control."
        ),
        alt=f"Heat map of shares of fields in layer {layer}, cells by modes.",
        data=(f"field_shares_{layer}.csv",),
    )


def _mode_fields_picture(layer: str, record: Fields) -> Picture:
    n_cells, n_modes = record.items["cell"].nunique(), record.items["mode"].nunique()
    return picture(
        lambda figure: plot_mode_fields(record, figure=figure),
        size=(min(0.8 + 0.45 * n_modes, 12), 0.8 + 0.55 * n_cells),
        caption=(
            f"Single-mode fields: mean part of each mode of layer {layer} in the IRFs of n = "
            f"{n_cells} cells, spatial maps in {record.unit}; red is ON, blue is OFF."
        ),
        alt=f"Grid of spatial maps in layer {layer}, cells by modes.",
        data=(f"fields_modes_{layer}.nc",),
    )


def _explained_picture(table: pd.DataFrame) -> Picture:
    n_cells, n_predictors = table["cell"].nunique(), table["predictor"].nunique()
    return picture(
        lambda figure: plot_explained(table, ax=figure.subplots()),
        size=(6.4, height_of(n_predictors) + 0.6),
        caption=(
            f"Variance (R², no unit) of features of the IRF that is explained on blocks of time "
            f"held out: mean over n = {n_cells} cells. Below 0: worse than the mean. Modes shifted "
            "in time are the control; rate, target and contrast are what modes must beat."
        ),
        alt="Heat map of explained variance, predictors by features of the field.",
        data=(
            "explained_fields.csv",
            "described_fields.csv",
        ),
    )


def _doses_picture(layer: str, summary: pd.DataFrame) -> Picture:
    n_modes = int(summary["n_modes"].max())
    return picture(
        lambda figure: plot_doses(summary, figure=figure),
        size=(7.0, 3.2),
        caption=(
            f"Correlation (no unit) of predicted and measured change when doses of modes of layer "
            f"{layer} are removed: median over n = {n_modes} modes; open squares: the same shares "
            "of random channels. Right: the part of the change that says which cells (or places "
            "of the field) change, not only how much all do."
        ),
        alt=f"Lines of correlations against the dose in layer {layer}, beside random channels.",
        data=(f"doses_{layer}.csv",),
    )


def _types_picture(layer: str, record: CellTypes) -> Picture:
    n_cells = len(record.labels)
    return picture(
        lambda figure: plot_cell_types(record, figure=figure),
        size=(7.2, 2.6 + height_of(n_cells)),
        caption=(
            f"Criteria for the number of clusters of n = {n_cells} cells by their correlation with "
            f"modes of layer {layer} (no unit), beside chance and beside responses; below: the "
            f"correlations, cells by cluster. Chosen: {record.choices['chosen']}; the best "
            f"silhouette of shifted loadings is as large with p = {record.p_value:.2g}."
        ),
        alt=f"Criteria over the number of clusters, and a heat map, in layer {layer}.",
        data=(f"cell_types_{layer}.nc",),
    )


def _gains_picture(layer: str, table: pd.DataFrame) -> Picture:
    called = int((table["q"] < 0.05).sum())
    return picture(
        lambda figure: plot_spike_gains(table, ax=figure.subplots()),
        size=(6.8, 2.8),
        caption=(
            f"Gain in bits per spike, on blocks of time held out, when the loading of a mode of "
            f"layer {layer} is added to the rate that the network predicts: n = "
            f"{int(table['q'].notna().sum())} pairs of cell and mode, {called} of them beyond "
            "shifted loadings (q < 0.05)."
        ),
        alt=f"Gains of spikes in layer {layer}, by cell.",
        data=(f"spike_gains_{layer}.csv",),
    )


def _interneurons_picture(layer: str, table: pd.DataFrame) -> Picture:
    return picture(
        lambda figure: plot_interneuron_matches(table, ax=figure.subplots()),
        size=(6.4, 2.8),
        caption=(
            f"Pearson r (no unit), on blocks of time held out, of n = {len(table)} true "
            f"interneurons of the simulated retina with their best unit of layer {layer}, beside "
            f"shifted recordings. In this order: {', '.join(table['name'])}."
        ),
        alt=f"Correlation of each true interneuron with its best unit of layer {layer}.",
        data=(f"interneurons_{layer}.csv",),
    )
