"""The parts of the analysis of an image network: each makes tables from what a run holds."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from sklearn.base import clone

from retina_codec.contributions import activations, contrast_top2, name_of, top_class
from retina_codec.contributions import integrated_gradients as integrate
from retina_codec.datatypes import Contributions
from retina_codec.decomposition import PUBLISHED, Decomposition, ThresholdAutoencoder, sweep
from retina_codec.statistics import (
    class_correlations,
    class_coverage,
    class_dimensionality,
    class_features,
    class_modes,
    class_summary,
    head_sparsity,
    layer_statistics,
    net_of_channels,
    permuted_correlations,
    promoting,
    sample_correlations,
)

from ._image_run import ACTIVATIONS, CONTRIBUTIONS, ImageRun

Tables = dict[str, pd.DataFrame]
N_DRAWS = 20
PUBLISHED_EPOCHS = 100
FEWEST_TO_REPEAT = 10
"""Images for selection: of fewer, the published autoencoder has none to validate on."""


def layers_part(run: ImageRun) -> Tables:
    """Sparsity, dimensionality and balance across depth, of contributions and activations."""
    tables = {"layers": run.table("layers", lambda: _by_kind(_layer_kinds(run), _statistics))}
    if run.knows_classes:
        tables["class_dimensionality"] = run.table(
            "class_dimensionality",
            lambda: _by_kind(_net_kinds(run), lambda some: class_dimensionality(some, run.labels)),
        )
    return tables


def contrast_part(run: ImageRun) -> Tables:
    """Contributions to the contrast of the two best classes beside those to the best one."""
    contrast = run.contributions[name_of(contrast_top2())]

    def alike():
        rows = [
            {
                "layer": layer,
                "r": float(np.median(sample_correlations(run.explained[layer], contrast[layer]))),
            }
            for layer in run.layers
        ]
        return pd.DataFrame(rows)

    kinds = {"best class": run.explained, "contrast": contrast, "activations": run.activations}
    kinds = {name: _each(promoting, some) for name, some in kinds.items()}
    return {
        "contrast": run.table("contrast", lambda: _by_kind(kinds, _statistics)),
        "contrast_alike": run.table("contrast_alike", alike),
    }


def classes_part(run: ImageRun) -> Tables:
    """Which classes modes and channels go with, chosen on some images, tested on others."""
    if not run.knows_classes:
        return {}
    return {
        "class_modes": run.table("class_modes", lambda: _class_tables(run)),
        "class_summary": run.table("class_summary", lambda: _class_summary(run)),
        "class_coverage": run.table("class_coverage", lambda: _class_coverage(run)),
    }


def sweep_part(run: ImageRun) -> Tables:
    """Other settings and seeds of the decomposition, and how far they agree."""
    if run.selection.sum() < FEWEST_TO_REPEAT:
        return {}

    def swept(layer):
        return sweep(
            run.explained[layer],
            settings_to_try(run.method_for(run.explained[layer])),
            seeds=tuple(range(run.config.seed, run.config.seed + run.config.n_repeats)),
            held_out=~run.selection,
            labels=run.labels if run.has_classes else None,
            progress=run.progress,
        ).assign(layer=layer)

    return {
        "sweep": run.table("sweep", lambda: pd.concat(map(swept, run.test_layers[-2:]))),
    }


def heads_part(run: ImageRun) -> Tables:
    """Attention heads beside random groups of channels; nothing for networks without heads."""
    if not run.known.head_layers:
        return {}
    return {"heads": run.table("heads", lambda: _by_kind(_head_kinds(run), _heads(run)))}


def settings_to_try(method: Decomposition) -> Mapping[str, Decomposition]:
    """Return settings around those of a run, by name: the first is that of the run."""
    settings = {"as in the run": method}
    parameters = method.get_params()
    for name, factors in (("n_modes", (0.5, 2)), ("smallest_loading", (0.5, 2))):
        if parameters.get(name) is not None:
            for factor in factors:
                value = type(parameters[name])(parameters[name] * factor)
                settings[f"{name} x {factor:g}"] = clone(method).set_params(**{name: value})
    published = {**PUBLISHED["resnet50"], "n_epochs": PUBLISHED_EPOCHS}
    name = f"published, {PUBLISHED_EPOCHS} epochs"
    return {**settings, name: ThresholdAutoencoder(**published)}


def _layer_kinds(run: ImageRun) -> dict[str, dict[str, Contributions]]:
    """Net sums over each channel, promoting parts alone, and activations in the same forms."""
    return {
        "contributions": dict(run.explained),
        "contributions, net": _each(net_of_channels, run.explained),
        "contributions, promoting": _each(promoting, run.explained),
        "activations, net": _each(net_of_channels, run.activations),
        "activations, positive": _each(promoting, run.activations),
    }


def _net_kinds(run: ImageRun) -> dict[str, dict[str, Contributions]]:
    return {
        "contributions": _each(net_of_channels, run.explained),
        "activations": _each(net_of_channels, run.activations),
    }


def _each(change: Callable, records: Mapping[str, Contributions]) -> dict[str, Contributions]:
    return {layer: change(record) for layer, record in records.items()}


def _by_kind(kinds: Mapping[str, Mapping], make: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([make(some).assign(kind=kind) for kind, some in kinds.items()])


def _statistics(records: Mapping[str, Contributions]) -> pd.DataFrame:
    return layer_statistics(records, n_controls=N_DRAWS)


def _class_tables(run: ImageRun) -> pd.DataFrame:
    options = {
        "n_classes": len(run.names),
        "n_draws": run.config.n_draws,
        "least_firing": run.config.least_firing,
        "samples": np.flatnonzero(run.selection),
        "test": run.test,
        "seed": run.config.seed,
    }
    found = []
    for layer in run.layers:
        tables = {
            kind: class_modes(modes[layer], run.labels, **options)
            for kind, modes in run.modes.items()
        }
        tables["contribution features"] = class_features(
            run.explained[layer], run.labels, **options
        )
        tables["activation features"] = class_features(
            run.activations[layer], run.labels, **options
        )
        found += [table.assign(layer=layer, kind=kind) for kind, table in tables.items()]
    return pd.concat(found)


def _class_summary(run: ImageRun) -> pd.DataFrame:
    table = run.table("class_modes", lambda: _class_tables(run))
    tables: dict[str, dict[str, pd.DataFrame]] = {layer: {} for layer in run.layers}
    for (layer, kind), rows in table.groupby(["layer", "kind"], sort=False):
        tables[layer][kind] = rows.reset_index(drop=True)
    return class_summary(tables)


def _class_coverage(run: ImageRun) -> pd.DataFrame:
    found = []
    for layer in run.test_layers:
        for kind in (CONTRIBUTIONS, ACTIVATIONS):
            loadings = np.asarray(run.modes[kind][layer].loadings)[run.test]
            labels = run.labels[run.test]
            table = class_coverage(
                class_correlations(loadings, labels),
                chance=permuted_correlations(loadings, labels, seed=run.config.seed),
            )
            found.append(table.assign(layer=layer, kind=kind))
    return pd.concat(found)


def _head_kinds(run: ImageRun) -> dict[str, dict[str, Contributions]]:
    common = {"layers": run.known.head_layers, "pooling": run.pooling, "progress": run.progress}
    network, images = run.known.network, run.images
    target = run.config.make_target()
    steps = {"n_steps": run.config.n_steps, "rule": run.rule}
    return {
        "contributions": integrate(network, images, target=target, **steps, **common),
        "activations": activations(network, images, target=top_class(), **common),
    }


def _heads(run: ImageRun) -> Callable[..., pd.DataFrame]:
    return lambda records: head_sparsity(records, run.known.n_heads, seed=run.config.seed)
