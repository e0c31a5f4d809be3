"""Sections on receptive fields and on what removing modes does."""

from collections.abc import Mapping

import numpy as np

from retina_codec.datatypes import Effects, Fields
from retina_codec.figures import (
    plot_combinations,
    plot_effect_summary,
    plot_effects,
    plot_fields,
)

from ._picture import Picture, height_of, picture
from ._section import Part, Section

MOST_ITEMS = 12
MOST_COMBINATIONS = 8
MOST_CELLS = 5
TITLES = {"sta": "Spike-triggered averages", "mean": "Mean IRF of each cell"}
NOTES = {"sta": " Correlations of the stimulus, as in natural scenes, blur them."}
KIND_VERB = {"ablated": "removed", "preserved": "the only ones kept"}


def field_section(fields: Mapping[str, Fields]) -> Section:
    """Receptive fields of cells, and how they change with the modes that are active."""
    lead = (
        "Red: more light raises the rate; blue: more light lowers it. An instantaneous receptive "
        "field (IRF) is the gradient of a cell's response with respect to its stimulus window at "
        "one moment."
    )
    parts = tuple(_field_part(name, record) for name, record in fields.items())
    return Section(name="fields", title="Receptive fields", lead=lead, parts=parts)


def effect_section(effects: Mapping[str, Effects]) -> Section:
    """Show what removing or keeping the channels of a mode does, beside random channels."""
    lead = (
        "The causal test: the channels of one mode are removed from the network "
        "and the rates are predicted again. Random channels, as many, tell what any "
        "channels would do."
    )
    parts = tuple(_effect_part(layer, record) for layer, record in effects.items())
    return Section(name="effects", title="Effects", lead=lead, parts=parts)


def _field_part(name: str, record: Fields) -> Part:
    if "combination" in record.items.columns:
        layer = name.partition(":")[2]
        title = (
            f"IRFs of mode combinations, layer {layer}" if layer else "IRFs of mode combinations"
        )
        return Part(title=title, pictures=(_combinations_picture(name, record),))
    title = TITLES.get(name, f"Fields: {name}")
    return Part(title=title, pictures=(_fields_picture(name, title, record),))


def _fields_picture(name: str, title: str, record: Fields) -> Picture:
    n_items = len(record.items)
    n_shown = min(n_items, MOST_ITEMS)
    return picture(
        lambda figure: plot_fields(record, items=range(n_shown), figure=figure),
        size=(2.5 * min(max(n_shown, 2), 3), 0.5 + 1.2 * -(-n_shown // 3)),
        caption=(
            f"{title}: spatial map (left; each on its own colour scale, white is 0) and time "
            f"course in {record.unit} against the lag before the response in ms (right). "
            f"n = {n_shown} of {n_items} fields, {record.values.shape[1]} lags."
            + NOTES.get(name, "")
        ),
        alt=f"{title}: {n_shown} spatial maps with their time courses.",
        data=(f"fields_{name}.nc",),
    )


def _combinations_picture(name: str, record: Fields) -> Picture:
    n_rows = min(record.items["combination"].nunique(), MOST_COMBINATIONS)
    n_cells = min(record.items["cell"].nunique(), MOST_CELLS)
    return picture(
        lambda figure: plot_combinations(record, most=MOST_COMBINATIONS, figure=figure),
        size=(1.4 + 0.95 * n_cells, 0.8 + 1.1 * n_rows),
        caption=(
            f"Spatial maps of the mean IRF of n = {n_cells} cells (columns) while exactly these "
            f"modes were active (rows, the {n_rows} most frequent combinations first); n above a "
            f"map is its number of samples. In {record.unit}, signed, white is 0; one colour "
            "scale for each cell. "
            "Empty: the cell hardly fired while these modes were active."
        ),
        alt=f"Grid of spatial maps, {n_rows} combinations of modes by {n_cells} cells.",
        data=(f"fields_{name.replace(':', '_', 1)}.nc",),
    )


def _effect_part(layer: str, record: Effects) -> Part:
    kinds = list(dict.fromkeys(record.conditions["kind"]))
    pictures = [
        drawn
        for kind in kinds
        for drawn in (_effects_picture(layer, record, kind), _summary_picture(layer, record, kind))
    ]
    return Part(title=f"Layer {layer}", pictures=tuple(pictures))


def _effects_picture(layer: str, record: Effects, kind: str) -> Picture:
    n_modes = _n_modes(record, kind)
    n_samples, n_cells = record.baseline.shape
    return picture(
        lambda figure: plot_effects(record, kind=kind, figure=figure),
        size=(7.6, height_of(n_modes) + 0.2),
        caption=(
            f"Change in % of the mean rate of n = {n_cells} cells over {n_samples} samples, with "
            f"the channels of each mode of layer {layer} {KIND_VERB.get(kind, kind)} (left), and "
            f"the mean over draws of as many random channels (right). n = {n_modes} modes."
        ),
        alt=f"Two heat maps of effects in layer {layer} ({kind}), modes by cells.",
        data=(f"effects_{layer}.nc",),
    )


def _summary_picture(layer: str, record: Effects, kind: str) -> Picture:
    conditions = record.conditions
    controls = (conditions["kind"] == kind) & (conditions["control"].astype(int) == 1)
    n_modes, n_controls = _n_modes(record, kind), int(np.sum(controls))
    return picture(
        lambda figure: plot_effect_summary(record, kind=kind, ax=figure.subplots()),
        size=(6.4, 2.4),
        caption=(
            f"Mean over cells of the size of the change in %, channels {KIND_VERB.get(kind, kind)} "
            f"in layer {layer}: n = {n_modes} modes (blue) and {n_controls} draws of random "
            "channels (grey; bars from the smallest to the largest)."
        ),
        alt=f"Size of the effect of each mode of layer {layer} ({kind}) beside random channels.",
        data=(f"effects_{layer}.nc",),
    )


def _n_modes(record: Effects, kind: str) -> int:
    conditions = record.conditions
    own = (conditions["kind"] == kind) & (conditions["control"].astype(int) == 0)
    return int(conditions["mode"][own].nunique())
