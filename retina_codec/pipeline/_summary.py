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
        "provenance": {
            "command": command(config),
            "versions": {"python": platform.python_version()}
            | {package: version(package) for package in PACKAGES},
            "settings": json.loads(json.dumps(asdict(config))),
            "recording": recording.source,
        },
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
    r = float(np.nanmean(predictions.scores["pearson_r"]))
    ln = float(np.nanmean(baseline.scores["pearson_r"]))
    numbers = {
        "samples": len(predictions.sample),
        "cells": len(predictions.scores),
        "mean r": rounded(r),
        "mean r of the LN model": rounded(ln),
        "ratio": rounded(r / ln) if ln > 0 else None,
    }
    if "normalised_r" in predictions.scores:
        numbers["median normalised r"] = rounded(np.nanmedian(predictions.scores["normalised_r"]))
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
        "active modes in a sample (mean)": rounded((modes.loadings > 0).sum(1).mean()),
        "clusters of cells": int(clusters.nunique()),
        **effect_summary(records["effects"][layer], records["correlations"][layer]),
    }
    if recording.circuit is not None:
        score = adjusted_rand_score(recording.cells["cell_type"], clusters)
        numbers["agreement of clusters with true cell types (adjusted Rand)"] = rounded(score)
    return numbers


def effect_summary(effects: Effects, correlations: pd.DataFrame) -> dict[str, float]:
    """How much the rates change, and whether the cells that go with a mode lose most without it."""
    control = effects.conditions["control"].to_numpy().astype(bool)
    size = np.abs(effects.relative_change)
    hit = hit_cells(effects, correlations)
    return {
        "mean |change of rate| without a mode's channels": rounded(np.nanmean(size[~control])),
        "mean |change of rate| without random channels": rounded(np.nanmean(size[control])),
        "r of loss with mode-cell correlation": rounded(np.nanmean(hit[~control])),
        "the same for random channels": rounded(np.nanmean(hit[control])),
    }


def hit_cells(effects: Effects, correlations: pd.DataFrame) -> np.ndarray:
    """Pearson r over cells of the loss of rate with the correlations of the mode, by condition."""
    loss = -np.nan_to_num(effects.relative_change).T
    with_mode = correlations[[f"mode {mode}" for mode in effects.conditions["mode"]]].to_numpy()
    return np.diag(pearson(loss, with_mode))


def rounded(value: float | np.floating) -> float:
    """Four digits are enough for a summary."""
    return float(f"{value:.4g}")


def findings(numbers: Mapping[str, Any], recording: Recording) -> list[str]:
    """Say the numbers in sentences."""
    prediction = numbers["prediction"]
    sentences = [
        f"On {prediction['samples']} held-out samples the network predicts {prediction['cells']} "
        f"cells with a mean r of {prediction['mean r']:.3f}, the LN model with "
        f"{prediction['mean r of the LN model']:.3f}."
    ]
    for layer, found in numbers["layers"].items():
        sentences.append(
            f"Layer {layer}: {found['modes alive']} modes explain "
            f"{100 * found['held-out R2']:.0f} % of the variance of the contributions to the "
            f"{found['target']} on samples held out, with "
            f"{found['active modes in a sample (mean)']:.1f} modes active in a sample; half of the "
            f"samples have a gap below {100 * found['median relative gap']:.2g} %."
        )
        own = found["mean |change of rate| without a mode's channels"]
        control = found["mean |change of rate| without random channels"]
        r, r_control = (
            found[name]
            for name in ("r of loss with mode-cell correlation", "the same for random channels")
        )
        sentences.append(
            f"Layer {layer}: without the channels of a mode the mean rate of a cell changes by "
            f"{100 * own:.0f} % on average, without as many random channels by "
            f"{100 * control:.0f} %. Over cells, the loss correlates with how much a cell goes "
            f"with the mode: r = {r:.2f}, for random channels {r_control:.2f}."
        )
    return sentences


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary as JSON, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(summary, indent=1))
    partial.replace(path)
