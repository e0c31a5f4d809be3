"""What a run found, in numbers and in sentences."""

import json
import os
import platform
import shlex
from collections.abc import Mapping
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from retina_codec.datatypes import Effects, Modes, Predictions, Recording
from retina_codec.statistics import pearson

from ._config import Config
from ._findings import dynamic_findings, dynamic_summary, over_cells
from ._headlines import headlines, said, span

CALLED = 0.05
PACKAGES = ("retina_codec", "torch", "numpy", "scipy", "scikit-learn", "xarray", "pynwb")
SYSTEMS = {"Darwin": "macOS"}


def summary_of(
    config: Config,
    recording: Recording,
    records: Mapping[str, Any],
    *,
    seconds: float,
    inputs: Mapping[str, str],
) -> dict[str, Any]:
    """Return findings, numbers and provenance of a run as plain values."""
    predictions, baseline = records["predictions"], records["baseline"]
    layers = {layer: layer_summary(layer, recording, records) for layer in records["contributions"]}
    numbers = {
        "prediction": prediction_summary(predictions, baseline),
        "layers": layers,
        "seconds of this call": round(seconds, 1),
    }
    found = findings(numbers)
    return {
        "title": f"retina_codec: {Path(config.recording).name}",
        "headlines": headlines(numbers["prediction"], layers),
        "findings": [sentence for sentences in found.values() for sentence in sentences],
        "findings by section": found,
        **numbers,
        "provenance": {
            **provenance_of(config, command(config), inputs),
            "source of the recording": recording.source,
        },
    }


def provenance_of(config: Any, command: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return what a run was made with: its command, settings (a dataclass), inputs, versions."""
    return {
        "command": command,
        "settings": json.loads(json.dumps(asdict(config))),
        "fingerprints of inputs (SHA-256, beginning)": dict(inputs),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "platform": platform_words(),
    }


def platform_words() -> str:
    """Say on what kind of machine this runs, without its name.

    Examples
    --------
    >>> "cores" in platform_words()
    True
    """
    system = SYSTEMS.get(platform.system(), platform.system())
    return f"{system}, {platform.machine()}, {os.cpu_count()} cores"


def command(config: Config) -> str:
    """Return the shell command that does the run again."""
    words = ["retina-codec", "run", shlex.quote(config.recording), "--out", "DIR"]
    for field in fields(config)[1:]:
        value = getattr(config, field.name)
        if value == field.default:
            continue
        name = {"layers": "layer"}.get(field.name, field.name)
        values = value if isinstance(value, tuple) else (value,)
        words += [w for v in values for w in (f"--{name.replace('_', '-')}", shlex.quote(str(v)))]
    return " ".join(words)


def prediction_summary(predictions: Predictions, baseline: Predictions) -> dict[str, Any]:
    """Mean scores of the network and of the LN model on the test split."""
    of_network, of_ln = (p.scores["pearson_r"].to_numpy() for p in (predictions, baseline))
    r, ln = mean_of(of_network), mean_of(of_ln)
    numbers = {
        "samples": len(predictions.sample),
        "cells": len(predictions.scores),
        "mean r": r,
        **interval("mean r", of_network),
        "mean r of the LN model": ln,
        **interval("difference", of_network - of_ln),
        "ratio": rounded(r / ln) if r is not None and ln else None,
    }
    if "normalised_r" in predictions.scores:
        numbers["mean normalised r"] = mean_of(predictions.scores["normalised_r"])
    return numbers


def interval(name: str, values: np.ndarray) -> dict[str, float | None]:
    """95 % interval of the mean over cells, by drawing cells again."""
    low, high = over_cells(values[np.isfinite(values)])
    return {f"{name}, from": rounded(low), f"{name}, to": rounded(high)}


def layer_summary(layer: str, recording: Recording, records: Mapping[str, Any]) -> dict[str, Any]:
    """Completeness, modes, clusters and effects of one layer."""
    modes: Modes = records["modes"][layer]
    clusters = records["correlations"][layer]["cluster"]
    numbers = {
        "target": modes.target,
        "median relative gap": rounded(np.nanmedian(records["contributions"][layer].relative_gap)),
        "modes alive": len(modes.dictionary),
        "modes dead": modes.n_dead,
        "held-out R2": rounded(modes.r2),
        "R2 on fitted samples": rounded(modes.r2_train),
        "active modes in a sample (mean)": rounded(modes.active_per_sample),
        "modes that come back": int((~modes.is_unstable).sum()),
        "agreement with fits of other seeds": agreement_with(records, layer, "other seed"),
        "agreement with fits to resampled time": agreement_with(records, layer, "resampled"),
        **pair_summary(records, layer),
        "clusters of cells": int(clusters.nunique()),
        **effect_summary(records["effects"][layer], records["correlations"][layer]),
        **dynamic_summary(records["dynamics"], layer),
    }
    if recording.circuit is not None:
        score = adjusted_rand_score(recording.cells["cell_type"], clusters)
        numbers["agreement of clusters with true cell types (adjusted Rand)"] = rounded(score)
    return numbers


def pair_summary(records: Mapping[str, Any], layer: str) -> dict[str, int]:
    """Count the pairs that go together beyond chance."""
    cells, modes = records["tested_pairs"][layer], records["co_occurrence"][layer]
    often = modes["ratio"] > 1
    return {
        "pairs of mode and cell": len(cells),
        "of these correlated beyond chance": int((cells["q"] < CALLED).sum()),
        "pairs of modes": len(modes),
        "of these together more often than by chance": int(((modes["q"] < CALLED) & often).sum()),
    }


def agreement_with(records: Mapping[str, Any], layer: str, kind: str) -> float | None:
    """Mean agreement of the modes with repeated fits of one kind."""
    fits = records["stability"][layer].fits
    return mean_of(fits["agreement"][fits["kind"] == kind])


def effect_summary(effects: Effects, correlations: pd.DataFrame) -> dict[str, float | None]:
    """How much the rates change, and whether the cells that go with a mode lose most without it."""
    control = effects.conditions["control"].to_numpy().astype(bool)
    size = np.abs(effects.relative_change)
    hit = hit_cells(effects, correlations)
    return {
        "mean |change of rate| without a mode's channels": mean_of(size[~control]),
        "mean |change of rate| without random channels": mean_of(size[control]),
        "r of loss with mode-cell correlation": mean_of(hit[~control]),
        "the same for random channels": mean_of(hit[control]),
    }


def hit_cells(effects: Effects, correlations: pd.DataFrame) -> np.ndarray:
    """Pearson r over cells of the loss of rate with the correlations of the mode, by condition."""
    loss = -np.nan_to_num(effects.relative_change).T
    with_mode = correlations[[f"mode {mode}" for mode in effects.conditions["mode"]]].to_numpy()
    return np.diag(pearson(loss, with_mode))


def rounded(value: float | np.floating) -> float | None:
    """Four digits are enough for a summary; None for what is no number."""
    return float(f"{value:.4g}") if np.isfinite(value) else None


def mean_of(values: Any) -> float | None:
    """Mean of the numbers among the values."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return rounded(numbers.mean()) if numbers.size else None


def findings(numbers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say the numbers in sentences, by the section of the page that shows what they are about."""
    found = {"prediction": [prediction_sentence(numbers["prediction"])]}
    for layer, of_layer in numbers["layers"].items():
        for section, sentences in layer_findings(layer, of_layer).items():
            found.setdefault(section, []).extend(sentences)
    return found


def layer_findings(layer: str, found: Mapping[str, Any]) -> dict[str, list[str]]:
    """Sentences about one layer, by section."""
    return {
        "contributions": [
            f"Layer {layer}: half of the samples have a gap below "
            f"{said(found['median relative gap'], '.2%')} of the change of the target."
        ],
        "modes": [
            f"Layer {layer}: {found['modes alive']} modes explain "
            f"{said(found['held-out R2'], '.0%')} of the variance of the contributions to the "
            f"{found['target']} on samples held out, with "
            f"{said(found['active modes in a sample (mean)'], '.1f')} modes active in a sample. "
            f"{found['modes that come back']} of the modes come back when the fit is repeated."
        ],
        "mode-cells": [pair_sentence(layer, found)],
        "effects": effect_sentences(layer, found),
        **dynamic_findings(found, layer),
    }


def prediction_sentence(numbers: Mapping[str, Any]) -> str:
    """How well the network predicts, beside the LN model."""
    return (
        f"On {numbers['samples']} held-out samples the network predicts {numbers['cells']} "
        f"cells with a mean r of {said(numbers['mean r'])} (95 % interval over cells: "
        f"{span(numbers, 'mean r')}), the LN model with {said(numbers['mean r of the LN model'])} "
        f"(difference: {span(numbers, 'difference')})."
    )


def pair_sentence(layer: str, numbers: Mapping[str, Any]) -> str:
    """How many pairs go together."""
    return (
        f"Layer {layer}: {numbers['of these correlated beyond chance']} of "
        f"{numbers['pairs of mode and cell']} pairs of mode and cell are correlated beyond chance, "
        f"and {numbers['of these together more often than by chance']} of "
        f"{numbers['pairs of modes']} pairs of modes are active together more often than by chance "
        f"(q < {CALLED}, against loadings shifted in time)."
    )


def effect_sentences(layer: str, numbers: Mapping[str, Any]) -> list[str]:
    """Say what removing the channels of modes does, beside random channels."""
    own = numbers["mean |change of rate| without a mode's channels"]
    control = numbers["mean |change of rate| without random channels"]
    sentences = [
        f"Layer {layer}: without the channels of a mode the mean rate of a cell changes by "
        f"{said(own, '.0%')} on average, without as many random channels by "
        f"{said(control, '.0%')}. Over cells, the loss correlates with how much a cell goes "
        f"with the mode: r = {said(numbers['r of loss with mode-cell correlation'])}, for random "
        f"channels {said(numbers['the same for random channels'])} (means over "
        f"{numbers['modes alive']} modes)."
    ]
    if own is not None and control is not None and own < 1.2 * control:
        sentences.append(
            f"Layer {layer}: random channels change the rates about as much as those of a mode."
        )
    return sentences


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(summary, indent=1, allow_nan=False))
    partial.replace(path)
