"""Sections on contributions and on the modes that they are made of."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from retina_codec.datatypes import REPRODUCES, Contributions, Modes, Stability
from retina_codec.figures import (
    plot_contributions,
    plot_curve,
    plot_dictionary,
    plot_gap,
    plot_layer_statistics,
    plot_loadings,
    plot_mode_cells,
    plot_stability,
)

from ._picture import Picture, height_of, picture
from ._section import Part, Section, shown
from ._spans import contribution_span, mode_span, span_words

MOST_MODES = 40


def contribution_section(
    contributions: Mapping[str, Contributions], layer_statistics: pd.DataFrame
) -> Section:
    """Contributions over time for each layer, what they miss, and how sparse they are."""
    lead = (
        "The contribution of a feature is the share of the target's change, from the baseline to "
        "the stimulus, that went through one channel: promoting (+) or suppressing (−) it, summed "
        "over space. Contributions and gap add up to that change."
    )
    layers = [
        Part(title=f"Layer {layer}", pictures=(_contributions_picture(layer, record),))
        for layer, record in contributions.items()
    ]
    if contributions:
        layers.append(Part(title="Completeness gap", pictures=(_gap_picture(contributions),)))
        layers.append(Part(title="Layers", pictures=(_layers_picture(layer_statistics),)))
    return Section(name="contributions", title="Contributions", lead=lead, parts=tuple(layers))


def mode_section(
    modes: Mapping[str, Modes],
    contributions: Mapping[str, Contributions],
    stability: Mapping[str, Stability],
    descriptions: Mapping[str, pd.DataFrame],
) -> Section:
    """Show the modes of each layer, when they are active, and whether they come back."""
    lead = (
        "A mode is a sparse motif of features that occur together; its loading says how much of it "
        "there is in a sample. Modes are shown if they are ever active. A question mark says that "
        "the mode is unstable: when the fit was repeated with other seeds and on resampled blocks "
        f"of time, the mean cosine with the matched modes was below {REPRODUCES}. The table names "
        "the features that carry half of the weight of each mode; firing counts the samples in "
        "which it is active, and duration is the median time in s that it stays active."
    )
    parts = tuple(
        Part(
            title=f"Layer {layer}",
            pictures=(
                _dictionary_picture(layer, record),
                _loadings_picture(layer, record, contributions.get(layer)),
                *_fit_pictures(layer, record, stability.get(layer)),
            ),
            tables={"Modes": descriptions[layer]} if layer in descriptions else {},
        )
        for layer, record in modes.items()
    )
    return Section(name="modes", title="Modes", lead=lead, parts=parts)


def correlation_section(correlations: Mapping[str, pd.DataFrame]) -> Section:
    """Which cells go with which modes."""
    lead = (
        "How the loading of each mode goes with the predicted rate of each cell over time. Cells "
        "that share modes are put into one cluster. This is a correlation; what a mode does is "
        "tested under Effects."
    )
    parts = tuple(
        Part(title=f"Layer {layer}", pictures=(_mode_cells_picture(layer, table),))
        for layer, table in correlations.items()
    )
    return Section(name="mode-cells", title="Modes and cells", lead=lead, parts=parts)


def _contributions_picture(layer: str, record: Contributions) -> Picture:
    span, n_features = contribution_span(record), len(record.channel)
    return picture(
        lambda figure: plot_contributions(record, span_s=span, ax=figure.subplots()),
        size=(7.6, height_of(n_features)),
        caption=(
            f"Contributions of layer {layer} to the target {record.target!r}, in units of the "
            f"target ({record.method}): n = {n_features} features, "
            f"{span_words(span, np.asarray(record.sample))}, around the largest change of the "
            "target. Red promotes, blue suppresses."
        ),
        alt=f"Heat map of contributions of layer {layer}, {n_features} features by time.",
        data=(f"contributions_{layer}.nc",),
    )


def _gap_picture(contributions: Mapping[str, Contributions]) -> Picture:
    return picture(
        lambda figure: plot_gap(contributions, ax=figure.subplots()),
        size=(6.4, 0.8 + 0.36 * len(contributions)),
        caption=(
            "Completeness gap relative to the change of the target (no unit), for each layer. "
            "n = "
            f"{len(next(iter(contributions.values())).sample)} samples; bars hold half of them, "
            "lines 90 %; the mark is the median. Samples in "
            "which the target did not change are left out."
        ),
        alt=f"Spread of the relative completeness gap of {len(contributions)} layers.",
        data=(*(f"contributions_{layer}.nc" for layer in contributions),),
    )


def _layers_picture(table: pd.DataFrame) -> Picture:
    n_layers, n_statistics = table["layer"].nunique(), table["statistic"].nunique()
    return picture(
        lambda figure: plot_layer_statistics(table, figure=figure),
        size=(7.2, 0.4 + 1.9 * -(-n_statistics // 3)),
        caption=(
            f"Sparsity, dimensionality and balance of the contributions in n = {n_layers} layers "
            "(blue), beside chance (grey, 95 % of the draws): for sparsity, Gaussian numbers with "
            "the mean, spread and sign of each feature; for the others, each feature shuffled over "
            "samples."
        ),
        alt=f"Small plots of {n_statistics} statistics over {n_layers} layers.",
        data=("layer_statistics.csv",),
    )


def _dictionary_picture(layer: str, record: Modes) -> Picture:
    n_modes, n_features = record.dictionary.shape
    relative = ", relative to its usual size" if record.feature_scale is not None else ""
    return picture(
        lambda figure: plot_dictionary(record, most=MOST_MODES, ax=figure.subplots()),
        size=(6.8, _height(record)),
        caption=(
            f"Dictionary of layer {layer} ({record.method}, seed {record.seed}): weight in a.u. of "
            f"each of n = {n_features} features in each mode{relative}. {n_modes} of "
            f"{n_modes + record.n_dead} modes are alive; R² is {shown(round(record.r2, 2))} on "
            f"{int(np.asarray(record.held_out).sum())} samples held out and "
            f"{shown(round(record.r2_train, 2))} on those fitted."
        ),
        alt=f"Heat map of the dictionary of layer {layer}, modes by features.",
        data=(f"modes_{layer}.nc",),
    )


def _loadings_picture(layer: str, record: Modes, contributions: Contributions | None) -> Picture:
    span = mode_span(record, contributions)
    return picture(
        lambda figure: plot_loadings(record, most=MOST_MODES, span_s=span, ax=figure.subplots()),
        size=(7.6, _height(record)),
        caption=(
            f"Loadings in a.u. of n = {_n_shown(record)} modes of layer {layer} over time: "
            f"{span_words(span, np.asarray(record.sample))}."
        ),
        alt=f"Heat map of the loadings of layer {layer}, modes by time.",
        data=(f"modes_{layer}.nc",),
    )


def _fit_pictures(layer: str, record: Modes, stability: Stability | None) -> Iterator[Picture]:
    if stability is not None:
        n_fits, n_modes = stability.cosine.shape
        yield picture(
            lambda figure: plot_stability(stability, ax=figure.subplots()),
            size=(6.8, height_of(n_fits)),
            caption=(
                f"Stability of the modes of layer {layer}: cosine (no unit) of each of n = "
                f"{n_modes} modes with its match in each of {n_fits} repeated fits. "
                f"{int(record.is_unstable.sum())} modes are unstable."
            ),
            alt=f"Heat map of cosines in layer {layer}, repeated fits by modes.",
            data=(f"stability_{layer}.nc",),
        )
    if record.curve is not None:
        yield picture(
            lambda figure: plot_curve(record, ax=figure.subplots()),
            size=(4.0, 2.2),
            caption=(
                f"Training curve of {record.method} in layer {layer}: loss (no unit) at each of "
                f"n = {len(record.curve)} steps."
            ),
            alt=f"Line of the training loss in layer {layer}.",
            data=(f"modes_{layer}.nc",),
        )


def _mode_cells_picture(layer: str, table: pd.DataFrame) -> Picture:
    n_modes, n_clusters = table.shape[1] - 2, table["cluster"].nunique()
    return picture(
        lambda figure: plot_mode_cells(table, ax=figure.subplots()),
        size=(6.8, height_of(len(table))),
        caption=(
            f"Pearson r (no unit) between the loading of each mode of layer {layer} and the "
            f"predicted rate of each cell: n = {len(table)} cells in {n_clusters} clusters, "
            f"{n_modes} modes. Lines separate clusters."
        ),
        alt=f"Heat map of correlations of layer {layer}, cells by modes, cells in clusters.",
        data=(f"mode_cells_{layer}.csv",),
    )


def _height(record: Modes) -> float:
    return height_of(_n_shown(record))


def _n_shown(record: Modes) -> int:
    return min(int((np.asarray(record.firing) > 0).sum()), MOST_MODES)
