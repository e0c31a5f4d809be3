"""The section on classical experiments."""

from collections.abc import Mapping

import pandas as pd

from retina_codec.datatypes import Event
from retina_codec.figures import plot_minimal_circuit, plot_phenomenon, plot_signatures

from ._picture import Picture, picture
from ._section import Part, Section


def phenomena_section(
    events: Mapping[str, Event],
    signatures: pd.DataFrame,
    circuits: Mapping[str, Mapping[str, pd.DataFrame]],
) -> Section:
    """Show the signature of each phenomenon, and the channels and modes that carry it."""
    lead = (
        "Classical experiments are shown to the network. Each has a signature, one number for each "
        "cell, beside the number in a control; the interval is that of the difference over "
        "repeats. Then: contributions and loadings through the event, and the smallest sets of "
        "channels that, alone, keep the responses."
    )
    parts = [Part(pictures=(_signatures_picture(signatures),), tables={"Signatures": signatures})]
    for name, event in events.items():
        pictures = [_event_picture(name, event)]
        pictures += [
            _circuit_picture(name, layer, table) for layer, table in circuits[name].items()
        ]
        parts.append(Part(title=name, pictures=tuple(pictures)))
    return Section(name="phenomena", title="Phenomena", lead=lead, parts=tuple(parts))


def _signatures_picture(table: pd.DataFrame) -> Picture:
    n_names = table["phenomenon"].nunique()
    return picture(
        lambda figure: plot_signatures(table, ax=figure.subplots()),
        size=(7.4, 1.0 + 0.5 * n_names),
        caption=(
            f"Signature (an index without unit) of each of n = {table['cell'].nunique()} cells "
            f"in {n_names} phenomena, beside its control."
        ),
        alt=f"Signatures of {n_names} phenomena by cell, beside controls.",
        data=("signatures.csv",),
    )


def _event_picture(name: str, event: Event) -> Picture:
    return picture(
        lambda figure: plot_phenomenon(event, figure=figure),
        size=(7.4, 8.8),
        caption=(
            f"{name.capitalize()}: {event.measure}. Movie on the middle row of pixels, rates in Hz "
            f"(first of n = {len(event.repeats)} repeats), contributions to the target "
            f"{event.target!r} and loadings through the event; 0 s is the event."
        ),
        alt=f"Movie, rates, contributions and loadings in the experiment {name}.",
        data=(f"event_{name}.nc",),
    )


def _circuit_picture(name: str, layer: str, table: pd.DataFrame) -> Picture:
    return picture(
        lambda figure: plot_minimal_circuit(table, ax=figure.subplots()),
        size=(4.4, 2.6),
        caption=(
            f"Minimal circuit of layer {layer} for the event of {name}: error (no unit) of the "
            f"responses when only so many channels are kept, n = 1 to {len(table)}, the best set "
            "of each size, beside "
            "random sets of that size."
        ),
        alt=f"Error of the best channels of each number in layer {layer}.",
        data=(f"circuit_{name}_{layer}.csv",),
    )
