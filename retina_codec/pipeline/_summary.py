"""What a run found, in numbers and in sentences."""

import json
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
from ._findings import dynamic_findings, dynamic_summary

CALLED = 0.05
PACKAGES = ("retina_codec", "torch", "numpy", "scipy", "scikit-learn", "xarray", "pynwb")


def summary_of(
    config: Config, recording: Recording, records: Mapping[str, Any], *, seconds: float
) -> dict[str, Any]:
    """Return findings, numbers and provenance of a run as plain values."""
    predictions, baseline = records["predictions"], records["baseline"]
    layers = {layer: layer_summary(layer, recording, records) for layer in records["contributions"]}
    numbers = {
        "prediction": prediction_summary(predictions, baseline),
        "layers": layers,
        "seconds of this call": round(seconds, 1),
    }
    return {
        "title": f"retina_codec: {Path(config.recording).name}",
        "findings": findings(numbers, recording),
        **numbers,
        "provenance": {**provenance_of(config, command(config)), "recording": recording.source},
    }


def provenance_of(config: Any, command: str) -> dict[str, Any]:
    """Return what a run was made with: its command, versions and settings (a dataclass)."""
    return {
        "command": command,
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "settings": json.loads(json.dumps(asdict(config))),
    }


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
    r, ln = (mean_of(p.scores["pearson_r"]) for p in (predictions, baseline))
    numbers = {
        "samples": len(predictions.sample),
        "cells": len(predictions.scores),
        "mean r": r,
        "mean r of the LN model": ln,
        "ratio": rounded(r / ln) if r is not None and ln else None,
    }
    if "normalised_r" in predictions.scores:
        numbers["mean normalised r"] = mean_of(predictions.scores["normalised_r"])
    return numbers


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


def said(value: float | None, form: str) -> str:
    """Write a number, or say that there is none."""
    return "(no number)" if value is None else format(value, form)


def findings(numbers: Mapping[str, Any], recording: Recording) -> list[str]:
    """Say the numbers in sentences."""
    prediction = numbers["prediction"]
    sentences = [
        f"On {prediction['samples']} held-out samples the network predicts {prediction['cells']} "
        f"cells with a mean r of {said(prediction['mean r'], '.3f')}, the LN model with "
        f"{said(prediction['mean r of the LN model'], '.3f')}."
    ]
    for layer, found in numbers["layers"].items():
        own = found["mean |change of rate| without a mode's channels"]
        control = found["mean |change of rate| without random channels"]
        r = found["r of loss with mode-cell correlation"]
        r_control = found["the same for random channels"]
        sentences += [
            f"Layer {layer}: {found['modes alive']} modes explain "
            f"{said(found['held-out R2'], '.0%')} of the variance of the contributions to the "
            f"{found['target']} on samples held out, with "
            f"{said(found['active modes in a sample (mean)'], '.1f')} modes active in a sample; "
            f"half of the samples have a gap below {said(found['median relative gap'], '.2%')}. "
            f"{found['modes that come back']} of the modes come back when the fit is repeated.",
            f"Layer {layer}: without the channels of a mode the mean rate of a cell changes by "
            f"{said(own, '.0%')} on average, without as many random channels by "
            f"{said(control, '.0%')}. Over cells, the loss correlates with how much a cell goes "
            f"with the mode: r = {said(r, '.2f')}, for random channels {said(r_control, '.2f')}.",
        ]
        sentences += dynamic_findings(found, layer)
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
