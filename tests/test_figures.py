"""Each picture shows the numbers of its record, names its axes, and leaves nothing behind."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from retina_codec import figures
from retina_codec.datatypes import (
    CellTypes,
    Contributions,
    Effects,
    Event,
    Fields,
    Maps,
    Modes,
    Predictions,
    Recording,
    Stability,
    Stimulus,
)


def make_records(*, n_samples=60, n_cells=4, n_modes=3, n_channels=3, size=6, n_lags=5, seed=0):
    """Records of one small made-up analysis: a few sparse modes that drive the cells."""
    rng = np.random.default_rng(seed)
    sample = 1.0 + np.arange(n_samples) / 100
    loadings = np.maximum(rng.normal(size=(n_samples, n_modes)) - 0.8, 0)
    loadings = np.stack([np.convolve(x, np.hanning(13) / 4, mode="same") for x in loadings.T], 1)
    dictionary = np.maximum(rng.normal(size=(n_modes, 2 * n_channels)) - 0.4, 0)
    channel = np.tile(np.arange(n_channels), 2)
    sign = np.repeat([-1, 1], n_channels)
    values = (loadings @ dictionary + 0.02 * rng.random((n_samples, 2 * n_channels))) * sign
    tuning = np.maximum(rng.normal(size=(n_modes, n_cells)), 0)
    rates = 60 * loadings @ tuning / n_modes
    recorded = rng.poisson(np.maximum(rates, 0)).astype(float)
    recorded[: n_samples // 5, 1] = np.nan
    frames = np.stack([rng.normal(size=(size, size)).cumsum(0).cumsum(1) for _ in range(n_samples)])
    stimulus = Stimulus(frames=frames, frame_rate_hz=100.0, pixel_um=50.0, start_s=1.0)
    return SimpleNamespace(
        stimulus=stimulus,
        recording=Recording(
            stimulus=stimulus,
            rates=recorded,
            cells=pd.DataFrame({"name": [f"unit {i}" for i in range(n_cells)]}),
            splits={"train": (0, n_samples // 2), "test": (n_samples // 2, n_samples)},
            source="made up",
        ),
        predictions=_predictions(
            recorded, rates, sample, "network", r=np.linspace(0.6, 0.8, n_cells)
        ),
        baseline=_predictions(
            recorded, 0.5 * rates + 3, sample, "LN", r=np.linspace(0.3, 0.6, n_cells)
        ),
        contributions=Contributions(
            values=values,
            sample=sample,
            target_value=values.sum(1) + 0.01 * rng.normal(size=n_samples) + 1,
            baseline_value=np.ones(n_samples),
            gap=0.01 * rng.normal(size=n_samples),
            channel=channel,
            sign=sign,
            layer="conv1",
            target="population_sum",
            method="integrated gradients",
        ),
        modes=Modes(
            dictionary=dictionary,
            loadings=loadings,
            sample=sample,
            held_out=np.arange(n_samples) % 5 == 0,
            channel=channel,
            sign=sign,
            offset=np.zeros(2 * n_channels),
            firing=(loadings > 0).sum(0),
            r2=0.91,
            r2_train=0.93,
            scale=1.0,
            n_dead=0,
            layer="conv1",
            target="population_sum",
            method="SparseModes",
            seed=0,
            curve=np.geomspace(0.5, 0.02, 40),
            reproducibility=np.append(np.full(n_modes - 1, 0.99), 0.4),
        ),
        stability=_stability(rng, n_modes),
        description=pd.DataFrame({"mode": range(n_modes), "features": ["0+", "1− 2+", "3+"]}),
        layer_statistics=_layer_statistics(rng),
        correlations=_correlations(loadings, rates),
        cell_types=_cell_types(rng),
        spike_gains=_spike_gains(rng),
        interneurons=_interneurons(),
        pathways=_pathways(rng),
        fields=_fields(rng, n_cells, size, n_lags),
        combinations=_combinations(rng, n_cells, size, n_lags),
        effects=_effects(rng, np.maximum(rates, 0) + 1, sample, n_modes),
        event=_event(rng, np.maximum(rates, 0), values, loadings, channel, sign),
        minimal=_minimal(rng),
    )


def _predictions(recorded, predicted, sample, network, *, r):
    return Predictions(
        recorded=recorded,
        predicted=predicted,
        sample=sample,
        scores=pd.DataFrame({"pearson_r": r}),
        network=network,
    )


def _layer_statistics(rng):
    rows = [
        {"layer": layer, "statistic": statistic, "value": value}
        for layer in ("conv0", "conv1")
        for statistic, value in (
            ("sparsity", rng.uniform(0.3, 0.6)),
            ("components to 95 %", rng.integers(3, 8)),
            ("participation ratio", rng.uniform(2, 6)),
            ("excitation-inhibition correlation", rng.uniform(-0.2, 0.9)),
        )
    ]
    table = pd.DataFrame(rows)
    chance = 0.8 * table["value"]
    return table.assign(chance=chance, low=0.9 * chance, high=1.1 * chance)


def _stability(rng, n_modes):
    return Stability(
        cosine=rng.uniform(0.4, 1.0, (5, n_modes)),
        fits=pd.DataFrame({"kind": ["other seed"] * 2 + ["resampled"] * 3}),
        layer="conv1",
        method="SparseModes",
    )


def _correlations(loadings, rates):
    n_cells, n_modes = rates.shape[1], loadings.shape[1]
    r = np.corrcoef(rates.T, loadings.T)[:n_cells, n_cells:]
    table = {f"mode {mode}": r[:, mode] for mode in range(n_modes)}
    return pd.DataFrame({"cell": range(n_cells), "cluster": np.arange(n_cells) % 3, **table})


def _cell_types(rng, n_cells=12, n_modes=5, most=6):
    k = np.arange(1, most + 1)
    candidates = np.stack([np.arange(n_cells) % n for n in k])
    several = np.append(np.nan, np.ones(most - 1))
    return CellTypes(
        correlations=rng.uniform(-0.2, 0.6, (n_cells, n_modes)),
        labels=candidates[2],
        candidates=candidates,
        criteria=pd.DataFrame(
            {
                "n_clusters": k,
                "gap": 0.5 - 0.1 * np.abs(k - 3),
                "gap_error": 0.05,
                "silhouette": several * (0.6 - 0.1 * np.abs(k - 3)),
                "stability": several * (1 - 0.1 * np.abs(k - 3)),
                "response_silhouette": several * 0.3,
            }
        ),
        choices={"silhouette": 3, "gap": 3, "chosen": 3},
        null_silhouette=several * rng.uniform(0.2, 0.4, (9, most)),
        null_labels=rng.integers(3, size=(9, n_cells)),
        response_labels=rng.integers(2, size=n_cells),
        layer="conv1",
        target="surprisal",
        method="k_means",
        points="z_scored",
    )


def _spike_gains(rng, n_cells=6, n_modes=4):
    cell, mode = (axis.ravel() for axis in np.indices((n_cells, n_modes)))
    gain = np.where(mode == 1, 0.05, 0.0) + 0.004 * rng.normal(size=len(cell))
    table = {"cell": cell, "mode": mode, "gain": gain, "low": gain - 0.02, "high": gain + 0.02}
    q = np.where(mode == 1, 0.01, np.where(mode == 3, np.nan, 0.8))
    return pd.DataFrame({**table, "chance": -0.001, "q": q})


def _interneurons():
    r = np.array([0.7, 0.4, 0.03])
    table = {"interneuron": range(3), "unit": [17, 250, 3], "r": r, "low": r - 0.1, "high": r + 0.1}
    return pd.DataFrame({**table, "chance": 0.02, "chance_high": 0.1, "q": [0.01, 0.02, 0.6]})


def _pathways(rng, n_channels=4):
    rows = [("share", s, c) for s in ("natural", "noise") for c in range(n_channels)]
    counts = ("effective channels", "channels per sample", "channels above share")
    rows += [(name, s, -1) for name in counts for s in ("natural", "noise", "natural - noise")]
    table = pd.DataFrame(rows, columns=["statistic", "stimulus", "channel"])
    value = rng.uniform(1, 3, len(table))
    table = table.assign(value=value, low=value - 0.2, high=value + 0.2, p=np.nan)
    table.loc[table["stimulus"] == "natural - noise", "p"] = 0.01
    both = {"statistic": "overlap", "stimulus": "natural - noise", "channel": -1, "value": 0.6}
    return pd.concat([table, pd.DataFrame([{**both, "low": 0.5, "high": 0.7, "p": 0.03}])])


def _fields(rng, n_items, size, n_lags, **items):
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(0.3, 0.7, (n_items, 2)) * size
    squares = [(x - cx) ** 2 + (y - cy) ** 2 for cx, cy in centre]
    space = [np.exp(-d / 0.02 / size**2) - 0.3 * np.exp(-d / 0.1 / size**2) for d in squares]
    space = np.array([s / np.linalg.norm(s) for s in space])
    space *= rng.choice([-1, 1], n_items)[:, None, None]
    time = np.linspace(-1, 0, n_lags)
    course = np.tile(np.sin(-5 * time) * np.exp(4 * time), (n_items, 1))
    values = course[:, :, None, None] * space[:, None] + 0.02 * rng.normal(
        size=(n_items, n_lags, size, size)
    )
    return Fields(
        values=values,
        items=pd.DataFrame({"cell": range(n_items), **items}),
        frame_rate_hz=100.0,
        space=space,
        time_course=course,
        pixel_um=50.0,
        unit="Hz",
    )


def _combinations(rng, n_cells, size, n_lags):
    names = ["none", "2", "0, 2", "0, 1, 2"]
    pairs = [(name, cell) for name in names for cell in range(n_cells)]
    fields = _fields(rng, len(pairs), size, n_lags)
    items = pd.DataFrame(pairs, columns=["combination", "cell"])
    items["n_samples"] = [40 - 9 * names.index(name) for name, _ in pairs]
    space = fields.space.copy()
    space[-1] = np.nan
    items.loc[len(items) - 1, "n_samples"] = 0
    return replace(fields, items=items, space=space)


def _effects(rng, rates, sample, n_modes):
    rows = [
        {
            "kind": kind,
            "control": control,
            "mode": mode,
            "channels": "0, 1",
            "n_channels": 2,
            "draw": d,
        }
        for kind in ("ablated", "preserved")
        for mode in range(n_modes)
        for control, n_draws in ((0, 1), (1, 4))
        for d in range(n_draws)
    ]
    kept = [1 + (0.15 if row["control"] else 0.5) * rng.normal(size=rates.shape[1]) for row in rows]
    return Effects(
        baseline=rates,
        perturbed=np.stack([rates * factor for factor in kept]),
        conditions=pd.DataFrame(rows),
        sample=sample,
        layer="conv1",
    )


def _event(rng, rates, values, loadings, channel, sign):
    """Three dark conditions and a bright one, the event shorter than the others."""
    names = ["dark alone", "dark pair", "dark later", "bright pair"]
    n_samples, n_cells = rates.shape
    shown = np.arange(n_samples)[:, None] < n_samples - 10
    event = np.where(shown, rates, np.nan)
    own = rng.normal(0.3, 0.2, (2, n_cells))
    return Event(
        rates=np.stack([[rates * 0.5, event, rates * 0.7, rates]] * 2),
        sample=np.arange(n_samples) / 100 - 0.2,
        movie=rng.normal(size=(4, n_samples, 6)),
        conditions=pd.DataFrame({"condition": names}),
        repeats=pd.DataFrame({"value": [0.1, 0.2]}),
        value=own,
        control=np.zeros((2, n_cells)),
        signatures=pd.DataFrame(
            {
                "cell": np.arange(n_cells) + 5,
                "value": own.mean(0),
                "control": 0.0,
                "difference": own.mean(0),
                "low": own.min(0),
                "high": own.max(0),
                "present": (own.min(0) > 0).astype(int),
            }
        ),
        phenomenon="paired flash",
        measure="suppression",
        varied="interval (s)",
        event="dark pair",
        target="population sum",
        contributions=np.where(shown, values, np.nan),
        features=pd.DataFrame({"layer": "conv1", "channel": channel, "sign": sign}),
        loadings=np.where(shown, loadings, np.nan),
        modes=pd.DataFrame({"layer": "conv1", "mode": range(loadings.shape[1])}),
    )


def _minimal(rng):
    error = np.array([0.8, 0.3, 0.05, 0.0])
    return pd.DataFrame(
        {
            "n_channels": range(1, 5),
            "channels": ["1", "1, 3", "0, 1, 3", "0, 1, 2, 3"],
            "error": error,
            "random_error": [1.2, 0.8, 0.4, np.nan],
            "random_low": [0.9, 0.5, 0.2, np.nan],
            "random_high": [1.5, 1.1, 0.7, np.nan],
            "minimal": [0, 0, 1, 0],
        }
    )


RECORDS = make_records()
SIGNATURES = pd.concat(
    [RECORDS.event.signatures.assign(phenomenon=name) for name in ("pair", "omission")]
)


def _parts_of_fields(rng):
    """Two moments with an IRF and two parts each, and single-mode fields of two cells."""
    labels = ["IRF", "mode 3", "unexplained"] * 2
    parts = rng.normal(size=(4, 1, 6, 6))
    values = np.stack([parts[0] + parts[1], *parts[:2], parts[2] + parts[3], *parts[2:]])
    about = {"cell": 4, "sample": [7] * 3 + [9] * 3, "time_s": [0.5] * 3 + [0.7] * 3}
    items = pd.DataFrame({**about, "rate_hz": 20.0, "label": labels, "share": [1, 0.7, 0.3] * 2})
    moments = Fields(values=values, items=items, frame_rate_hz=100.0, pixel_um=50.0)
    of_modes = Fields(
        values=None,
        space=rng.normal(size=(6, 6, 6)),
        time_course=rng.normal(size=(6, 4)),
        separability=np.ones(6),
        items=pd.DataFrame({"cell": [4, 4, 4, 5, 5, 5], "mode": [0, 1, -1] * 2}),
        frame_rate_hz=100.0,
    )
    return moments, of_modes


MOMENTS, MODE_FIELDS = _parts_of_fields(np.random.default_rng(5))
REMOVED = pd.DataFrame(
    {"cell": [0, 1], "change": [-40.0, np.nan], "low": [-9.0, np.nan], "high": [2.0, np.nan]}
)
SHARES = MODE_FIELDS.items.assign(share=[0.5, 0.6, -0.1, 0.9, 0.0, 0.1])
EXPLAINED = pd.DataFrame(
    {
        "feature": ["polarity", "size_px"] * 2,
        "predictor": ["rate", "rate", "modes", "modes"],
        "r2": [0.1, -0.2, 0.7, 0.4],
    }
)
DOSES = pd.DataFrame(
    [
        (quantity, "removed", dose, measure, 0.9, 0.3)
        for quantity in ("response", "field")
        for dose in (0.1, 1.0)
        for measure in ("r", "r_beyond")
    ],
    columns=["quantity", "kind", "dose", "measure", "mode", "control"],
)
CONTROL = pd.DataFrame(
    [
        (one, "conv2", ranking, kind, dose, dose * size, dose / 4, dose / 2, dose / 8)
        for one in (0, 1)
        for ranking, size in (("class mode", 1.0), ("random of equal mass", 0.5))
        for kind in ("ablated", "preserved")
        for dose in (0.1, 0.5, 1.0)
    ],
    columns=[
        *("class", "layer", "ranking", "kind", "dose", "own_cost", "others_cost"),
        *("own_probability_cost", "others_probability_cost"),
    ],
)
SCORES = pd.DataFrame(
    [
        (layer, kind, ranking, "accuracy", -0.4, -0.5, -0.3, -0.5, -0.6, -0.4)
        for layer in ("conv1", "conv2")
        for kind in ("ablated", "preserved")
        for ranking in ("class mode", "random of equal mass")
    ],
    columns=[
        *("layer", "kind", "ranking", "measure", "difference", "low", "high"),
        *("score", "score_low", "score_high"),
    ],
)
STEERING = pd.DataFrame(
    [
        (3, one, factor, control, 0.2 + 0.1 * factor * (1 - control), 0.1, 0.6)
        for one in (4, 7)
        for factor in (0.0, 1.0, 2.0)
        for control in (0, 1)
    ],
    columns=["mode", "class", "factor", "control", "mean", "low", "high"],
)
FLIPS = pd.DataFrame(
    {
        "n_modes": [1.0, 2, 4, np.nan],
        "proven_smallest": [1, 1, 0, 0],
        "permuted_n_modes": [2.0, 3.5, 6, 6],
        "random_n_modes": [3.0, 4, 5, 6],
    }
)
CLASS_SUMMARY = pd.DataFrame(
    {
        "layer": ["conv0", "conv0", "conv1", "conv1"],
        "kind": ["modes", "channels"] * 2,
        "r": [0.2, 0.15, 0.6, np.nan],
        "low": [0.18, 0.1, 0.5, np.nan],
        "high": [0.3, 0.2, 0.7, np.nan],
        "chance": [0.1, 0.1, 0.12, np.nan],
        "share": [0.1, 0.0, 0.8, np.nan],
        "classes_covered": [1, 0, 8, 0],
        "n_classes": [10] * 4,
    }
)
COVERAGE = pd.DataFrame(
    {
        "layer": ["conv0"] * 3 + ["conv1"] * 3,
        "rank": [1, 2, 3] * 2,
        "class_averaged": [0.2, 0.1, 0.0, 0.7, 0.3, 0.1],
        "mode_averaged": [0.2, -0.1, np.nan] * 2,
        "class_chance": [0.1, 0.05, 0.0] * 2,
        "mode_chance": [0.1, -0.1, np.nan] * 2,
    }
)
CLASS_DIMENSIONS = pd.DataFrame(
    {
        "layer": ["conv0", "conv1"],
        "components": [3, 7],
        "chance": [6.0, 6.5],
        "low": [6.0, 6.0],
        "high": [6.0, 7.0],
        "normalised": [1 / 3, 7 / 9],
        "normalised_chance": [6 / 9, 6.5 / 9],
        "normalised_low": [6 / 9, 6 / 9],
        "normalised_high": [6 / 9, 7 / 9],
    }
)
HEADS = pd.DataFrame(
    {
        "layer": ["block 0", "block 1"],
        "sparsity": [0.3, 0.4],
        "chance": [0.25, 0.26],
        "low": [0.2, 0.22],
        "high": [0.3, 0.31],
        "gaussian": [0.25, 0.25],
    }
)
SWEEP = pd.DataFrame(
    {
        "setting": ["few", "few", "many", "many"],
        "seed": [0, 1, 0, 1],
        "r2": [0.8, 0.81, 0.9, 0.92],
        "n_modes": [3, 3, 6, 5],
        "active_per_sample": [1.0, 1.1, 2.0, 2.2],
        "agreement": [np.nan, 0.9, 0.5, 0.55],
        "agreement_chance": [np.nan, 0.4, 0.3, 0.3],
        "agreement_of_seeds": [0.9, 0.9, 0.7, 0.7],
        "class_modes": [2, 2, 4, 3],
        "classes_covered": [2, 2, 3, 3],
        "class_agreement": [np.nan, 0.8, 0.6, 0.7],
        "class_agreement_chance": [np.nan, 0.1, 0.1, -0.1],
    }
)
PICTURES = np.random.default_rng(0).random((6, 12, 12, 3))
MAPS = Maps(
    values=np.random.default_rng(1).normal(size=(5, 3, 12, 12)),
    items=pd.DataFrame(
        {
            "sample": [4, 1, 4, 0, 2],
            "mode": [7, 7, 3, 3, 3],
            "rank": [0, 1, 0, 1, 2],
            "label": [f"mode {m}" for m in (7, 7, 3, 3, 3)],
            "name": ["cat", "cat", "cat", "cat", "ox"],
            "of_class": [1, 1, 1, 1, 0],
            "r": [0.8, 0.8, 0.5, 0.5, 0.5],
        }
    ),
    layer="blocks.4",
    target="top class",
)
INSERTION = pd.DataFrame(
    [
        {"kind": kind, "method": method, "sample": sample, "dose": dose, "value": dose**power}
        for kind in ("inserted", "deleted")
        for method, power in (("modes", 0.5), ("Grad-CAM", 0.6), ("random order", 1.0))
        for sample in (0, 1)
        for dose in (0.0, 0.5, 1.0)
    ]
)
ADVANTAGES = pd.DataFrame(
    [
        {"kind": kind, "method": method, "rival": rival, "advantage": 0.2, "low": 0.1, "high": 0.4}
        for kind in ("inserted", "deleted")
        for method, rival in (
            ("modes", "Grad-CAM"),
            ("modes", "random order"),
            ("Grad-CAM", "modes"),
            ("Grad-CAM", "random order"),
        )
    ]
)
DRAWN = {
    "plot_moments": lambda **where: figures.plot_moments(MOMENTS, **where),
    "plot_mode_fields": lambda **where: figures.plot_mode_fields(MODE_FIELDS, **where),
    "plot_field_shares": lambda **where: figures.plot_field_shares(SHARES, **where),
    "plot_explained": lambda **where: figures.plot_explained(EXPLAINED, **where),
    "plot_doses": lambda **where: figures.plot_doses(DOSES, **where),
    "plot_stimulus": lambda **where: figures.plot_stimulus(RECORDS.stimulus, n_frames=4, **where),
    "plot_rates": lambda **where: figures.plot_rates(RECORDS.recording, **where),
    "plot_prediction": lambda **where: figures.plot_prediction(
        RECORDS.predictions, cell=2, baseline=RECORDS.baseline, **where
    ),
    "plot_scores": lambda **where: figures.plot_scores(
        RECORDS.predictions, RECORDS.baseline, **where
    ),
    "plot_contributions": lambda **where: figures.plot_contributions(
        RECORDS.contributions, **where
    ),
    "plot_gap": lambda **where: figures.plot_gap(
        {"conv0": RECORDS.contributions, "conv1": RECORDS.contributions}, **where
    ),
    "plot_dictionary": lambda **where: figures.plot_dictionary(RECORDS.modes, **where),
    "plot_loadings": lambda **where: figures.plot_loadings(RECORDS.modes, **where),
    "plot_layer_statistics": lambda **where: figures.plot_layer_statistics(
        RECORDS.layer_statistics, **where
    ),
    "plot_stability": lambda **where: figures.plot_stability(RECORDS.stability, **where),
    "plot_curve": lambda **where: figures.plot_curve(RECORDS.modes, **where),
    "plot_mode_cells": lambda **where: figures.plot_mode_cells(RECORDS.correlations, **where),
    "plot_mode_features": lambda **where: figures.plot_mode_features(
        RECORDS.modes, mode=0, **where
    ),
    "plot_mode_removed": lambda **where: figures.plot_mode_removed(REMOVED, mode=1, **where),
    "plot_cell_types": lambda **where: figures.plot_cell_types(RECORDS.cell_types, **where),
    "plot_spike_gains": lambda **where: figures.plot_spike_gains(RECORDS.spike_gains, **where),
    "plot_interneuron_matches": lambda **where: figures.plot_interneuron_matches(
        RECORDS.interneurons, **where
    ),
    "plot_pathways": lambda **where: figures.plot_pathways(RECORDS.pathways, **where),
    "plot_fields": lambda **where: figures.plot_fields(RECORDS.fields, **where),
    "plot_combinations": lambda **where: figures.plot_combinations(RECORDS.combinations, **where),
    "plot_effects": lambda **where: figures.plot_effects(RECORDS.effects, **where),
    "plot_effect_summary": lambda **where: figures.plot_effect_summary(RECORDS.effects, **where),
    "plot_phenomenon": lambda **where: figures.plot_phenomenon(RECORDS.event, **where),
    "plot_signatures": lambda **where: figures.plot_signatures(SIGNATURES, **where),
    "plot_minimal_circuit": lambda **where: figures.plot_minimal_circuit(RECORDS.minimal, **where),
    "plot_class_control": lambda **where: figures.plot_class_control(CONTROL, **where),
    "plot_control_scores": lambda **where: figures.plot_control_scores(SCORES, **where),
    "plot_steering": lambda **where: figures.plot_steering(STEERING, **where),
    "plot_flips": lambda **where: figures.plot_flips(FLIPS, **where),
    "plot_class_modes": lambda **where: figures.plot_class_modes(CLASS_SUMMARY, **where),
    "plot_class_coverage": lambda **where: figures.plot_class_coverage(COVERAGE, **where),
    "plot_class_dimensionality": lambda **where: figures.plot_class_dimensionality(
        CLASS_DIMENSIONS, **where
    ),
    "plot_heads": lambda **where: figures.plot_heads(HEADS, **where),
    "plot_sweep": lambda **where: figures.plot_sweep(SWEEP, **where),
    "plot_maps": lambda **where: figures.plot_maps(MAPS, PICTURES, **where),
    "plot_gallery": lambda **where: figures.plot_gallery(MAPS, PICTURES, **where),
    "plot_insertion": lambda **where: figures.plot_insertion(
        INSERTION, ADVANTAGES, method="modes", **where
    ),
}
GRIDS = {
    "plot_moments",
    "plot_mode_fields",
    "plot_doses",
    "plot_fields",
    "plot_combinations",
    "plot_effects",
    "plot_layer_statistics",
    "plot_phenomenon",
    "plot_cell_types",
    "plot_pathways",
    "plot_class_control",
    "plot_control_scores",
    "plot_class_modes",
    "plot_class_coverage",
    "plot_class_dimensionality",
    "plot_sweep",
    "plot_maps",
    "plot_gallery",
    "plot_insertion",
}
UNITS = {
    "plot_moments": ["parts of the field (300 × 300 µm) and their shares", "0.50 s\n20 Hz"],
    "plot_mode_fields": ["mode (one colour scale for each cell)", "cell 4"],
    "plot_field_shares": ["mode", "cell", "share of the field (%)"],
    "plot_explained": ["feature of the field", "predictor", "variance explained (R²)"],
    "plot_doses": ["dose of the mode that is removed", "r of predicted and\nmeasured change"],
    "plot_stimulus": ["time (s)", "y (µm)"],
    "plot_rates": ["time (s)", "firing rate (Hz)"],
    "plot_prediction": ["time (s)", "firing rate (Hz)"],
    "plot_contributions": ["time (s)", "contribution (units of the target)"],
    "plot_loadings": ["time (s)", "loading (a.u.)"],
    "plot_layer_statistics": ["layer", "Hoyer sparsity", "participation ratio\n(dimensions)"],
    "plot_stability": ["cosine with the matched mode"],
    "plot_curve": ["step", "training loss"],
    "plot_mode_cells": ["Pearson r"],
    "plot_mode_features": ["feature (channel and sign)"],
    "plot_mode_removed": ["cell", "change of the\nmean rate (%)"],
    "plot_cell_types": ["number of clusters", "silhouette", "gap statistic", "mode", "cell"],
    "plot_spike_gains": ["gain beyond the rate\n(bits per spike)"],
    "plot_interneuron_matches": ["Pearson r, held out"],
    "plot_pathways": ["stimulus", "channel", "share of all |contributions|"],
    "plot_fields": ["x (µm)", "y (µm)", "lag (ms)", "time course\n(Hz)"],
    "plot_combinations": ["spatial map (300 × 300 µm), one colour scale for each cell"],
    "plot_effects": ["change of the mean rate (%)"],
    "plot_effect_summary": ["mean |change| of\nthe mean rate (%)"],
    "plot_phenomenon": [
        "time from the event (s)",
        "firing rate (Hz)",
        "contribution (units of the target)",
        "loading (a.u.)",
    ],
    "plot_signatures": ["signature (index without unit)"],
    "plot_minimal_circuit": ["number of channels kept", "error (share of the variance)"],
    "plot_class_control": ["accuracy left (%)", "dose: share of the channels (%)"],
    "plot_control_scores": ["layer", "area of the class - area of others"],
    "plot_steering": ["factor of mode 3", "mean probability"],
    "plot_flips": ["modes removed", "images with another class\n(% of 4)"],
    "plot_class_modes": ["layer", "class modes\n(% of those tested)"],
    "plot_class_coverage": ["Pearson r", "rank of the mode\n(1: goes best with the class)"],
    "plot_class_dimensionality": ["layer", "% of the largest\nnumber possible"],
    "plot_heads": ["layer", "Hoyer sparsity over heads,\nmedian over samples"],
    "plot_sweep": ["setting", "R², held out", "active in\na sample", "agreement of\nclasses (r)"],
    "plot_maps": ["image 4\nmode 7"],
    "plot_gallery": ["mode 7\nr = 0.80"],
    "plot_insertion": ["pixels (%)", "target, mean over images"],
}


@pytest.fixture(autouse=True)
def _nothing_left():
    yield
    plt.close("all")


def labels(figure):
    axes = [text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel())]
    return {*axes, figure.get_supxlabel(), figure.get_supylabel()} - {""}


def image(ax):
    return np.asarray(ax.images[0].get_array())


def test_every_picture_is_drawn_here():
    assert set(DRAWN) == {name for name in figures.__all__ if name.startswith("plot_")}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_where_it_is_told(name, monkeypatch):
    for forbidden in ("show", "savefig", "figure", "subplots"):
        monkeypatch.setattr(plt, forbidden, lambda *_, **__: pytest.fail("must not be called"))
    figure = Figure(figsize=(7, 6), layout="constrained")
    if name in GRIDS:
        axes = DRAWN[name](figure=figure)
        assert all(ax.figure is figure for ax in axes.flat)
    else:
        ax = figure.subplots()
        assert DRAWN[name](ax=ax) is ax
    figure.draw_without_rendering()
    assert set(UNITS.get(name, [])) <= labels(figure)
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", DRAWN)
def test_makes_one_figure_and_leaves_settings_alone(name):
    before, open_before = dict(plt.rcParams), len(plt.get_fignums())
    drawn = DRAWN[name]()
    axes = np.ravel(drawn)
    assert len(plt.get_fignums()) == open_before + 1
    assert len(labels(axes[0].figure)) >= 2
    assert dict(plt.rcParams) == before


def test_style_is_undone():
    before = dict(plt.rcParams)
    with figures.style():
        assert plt.rcParams["font.size"] == 8
    assert dict(plt.rcParams) == before


def test_stimulus_reads_only_what_it_draws():
    class Lazy:
        shape, dtype, read = (10_000, 4, 4), np.dtype("float32"), []

        def __getitem__(self, key):
            self.read.append(key)
            return np.ones((len(range(*key.indices(10_000))), 4, 4), "float32")

    lazy = Lazy()
    stimulus = Stimulus(frames=lazy, frame_rate_hz=50.0)
    ax = figures.plot_stimulus(
        stimulus, first_frame=100, n_frames=3, step=5, ax=Figure().subplots()
    )
    assert lazy.read == [slice(100, 111, 5)]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["2.00", "2.10", "2.20"]
    assert ax.get_ylabel() == "y (pixel)"


def test_stimulus_beyond_the_end():
    with pytest.raises(ValueError, match="has 60 frames; 'first_frame' is 70"):
        figures.plot_stimulus(RECORDS.stimulus, first_frame=70, ax=Figure().subplots())


def test_frames_are_those_of_the_stimulus():
    ax = figures.plot_stimulus(RECORDS.stimulus, first_frame=3, n_frames=2, ax=Figure().subplots())
    assert [np.asarray(i.get_array()).tolist() for i in ax.images] == [
        RECORDS.stimulus.frames[i].tolist() for i in (3, 4)
    ]


def test_rates_are_those_of_the_recording_and_missing_ones_are_named():
    ax = figures.plot_rates(RECORDS.recording, span_s=(1.05, 1.2), ax=Figure().subplots())
    np.testing.assert_array_equal(image(ax), RECORDS.recording.rates[5:21].T)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["not observed"]
    np.testing.assert_allclose(ax.get_xlim(), (1.045, 1.205))


def test_span_without_samples_says_what_there_is():
    with pytest.raises(ValueError, match="No sample between 7 and 8; they go from 1 to 1.59"):
        figures.plot_rates(RECORDS.recording, span_s=(7, 8), ax=Figure().subplots())


def test_prediction_shows_the_cell_and_its_r():
    ax = DRAWN["plot_prediction"](ax=Figure().subplots())
    baseline, network = ax.get_lines()
    np.testing.assert_array_equal(network.get_ydata(), RECORDS.predictions.predicted[:, 2])
    np.testing.assert_array_equal(baseline.get_ydata(), RECORDS.baseline.predicted[:, 2])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["recorded", "LN, r = 0.50", "network, r = 0.73"]


def test_scores_with_and_without_baseline():
    both = DRAWN["plot_scores"](ax=Figure().subplots())
    texts = [text.get_text() for text in both.get_legend().get_texts()]
    assert texts == ["LN, mean r = 0.45", "network, mean r = 0.70"]
    alone = figures.plot_scores(RECORDS.predictions, ax=Figure().subplots())
    np.testing.assert_array_equal(
        alone.get_lines()[0].get_ydata(), RECORDS.predictions.scores["pearson_r"]
    )


def test_contributions_put_suppressing_features_first():
    ax = DRAWN["plot_contributions"](ax=Figure().subplots())
    np.testing.assert_array_equal(image(ax), RECORDS.contributions.values.T)
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["0 −", "1 −", "2 −", "0 +", "1 +", "2 +"]
    shuffled = [5, 0, 3, 1, 4, 2]
    record = replace(
        RECORDS.contributions,
        values=RECORDS.contributions.values[:, shuffled],
        channel=RECORDS.contributions.channel[shuffled],
        sign=RECORDS.contributions.sign[shuffled],
    )
    same = figures.plot_contributions(record, ax=Figure().subplots())
    np.testing.assert_array_equal(image(same), image(ax))


def test_contributions_must_be_pooled():
    record = replace(RECORDS.contributions, values=np.zeros((60, 6, 2, 2)))
    with pytest.raises(ValueError, match=r"got \(sample, feature, y, x\)"):
        figures.plot_contributions(record, ax=Figure().subplots())


@pytest.mark.parametrize(
    ("sample", "label"),
    [
        (np.arange(60), "sample"),
        (np.arange(60) ** 2 / 100, "sample (not evenly spaced in time)"),
    ],
)
def test_samples_that_are_no_even_times_are_numbered(sample, label):
    record = replace(RECORDS.contributions, sample=sample)
    ax = figures.plot_contributions(record, ax=Figure().subplots())
    assert ax.get_xlabel() == label
    assert ax.get_xlim() == (-0.5, 59.5)


def test_gap_survives_zeros():
    unchanged = RECORDS.contributions.target_value.copy()
    unchanged[:10] = 1.0
    record = replace(RECORDS.contributions, target_value=unchanged, gap=np.zeros(60))
    constant = replace(record, target_value=np.ones(60))
    ax = figures.plot_gap({"some": record, "none": constant}, ax=Figure().subplots())
    ax.figure.draw_without_rendering()
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["some (n = 50)", "none (n = 0)"]


def test_gap_is_relative_to_the_change():
    record = replace(RECORDS.contributions, target_value=np.full(60, 3.0), gap=np.full(60, -0.02))
    ax = figures.plot_gap({"conv1": record}, ax=Figure().subplots())
    assert [line.get_xdata().tolist() for line in ax.get_lines()] == [[pytest.approx(0.01)]]


def test_dictionary_and_loadings_leave_dead_modes_out_but_keep_numbers():
    record = replace(RECORDS.modes, firing=np.array([4, 0, 9]), reproducibility=None)
    ax = figures.plot_dictionary(record, ax=Figure().subplots())
    np.testing.assert_array_equal(image(ax), record.dictionary[[0, 2]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "2"]
    assert ax.get_ylabel() == "mode (2 of 3)"
    ax = figures.plot_loadings(record, most=1, ax=Figure().subplots())
    np.testing.assert_array_equal(image(ax), record.loadings[:, [2]].T)


def test_signed_loadings_are_centred_on_zero():
    record = replace(RECORDS.modes, loadings=RECORDS.modes.loadings - 0.3)
    low, high = figures.plot_loadings(record, ax=Figure().subplots()).images[0].get_clim()
    assert low == -high
    assert figures.plot_loadings(RECORDS.modes, ax=Figure().subplots()).images[0].get_clim()[0] == 0


def test_mode_cells_are_sorted_by_cluster():
    ax = DRAWN["plot_mode_cells"](ax=Figure().subplots())
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["0", "3", "1", "2"]
    expected = RECORDS.correlations.filter(like="mode").to_numpy()[[0, 3, 1, 2]]
    np.testing.assert_array_equal(image(ax), expected)
    assert len(ax.get_lines()) == 2


def test_fields_show_map_and_time_course():
    axes = figures.plot_fields(RECORDS.fields, items=[3, 1], figure=Figure())
    assert axes.shape == (2, 2)
    for (left, right), item in zip(axes, (3, 1), strict=True):
        np.testing.assert_array_equal(image(left), RECORDS.fields.space[item])
        line = right.get_lines()[-1]
        np.testing.assert_allclose(line.get_xdata(), [-50, -40, -30, -20, -10])
        np.testing.assert_array_equal(line.get_ydata(), RECORDS.fields.time_course[item])
    assert [ax.get_title(loc="left") for ax in axes[:, 0]] == ["cell 3", "cell 1"]


def test_fields_need_separation():
    record = replace(RECORDS.fields, space=None)
    with pytest.raises(ValueError, match="call separate_space_time first"):
        figures.plot_fields(record, figure=Figure())


def test_combinations_come_by_frequency_with_blanks():
    axes = figures.plot_combinations(RECORDS.combinations, cells=[1, 3], figure=Figure())
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["none", "2", "0, 2", "0, 1, 2"]
    strength = np.linalg.norm(RECORDS.combinations.time_course[5])
    np.testing.assert_allclose(image(axes[1, 0]), strength * RECORDS.combinations.space[5])
    assert axes[1, 0].get_title() == "n = 31"
    assert len(axes[3, 1].images) == 0
    column = [ax.images[0].get_clim() for ax in axes[:, 0]]
    assert len(set(column)) == 1


def test_combinations_of_cells_that_lack_some():
    items = RECORDS.combinations.items
    kept = ((items["cell"] != 2) | (items["combination"] == "none")).to_numpy()
    record = replace(
        RECORDS.combinations,
        values=RECORDS.combinations.values[kept],
        items=items[kept],
        space=RECORDS.combinations.space[kept],
        time_course=RECORDS.combinations.time_course[kept],
    )
    axes = figures.plot_combinations(record, most=3, figure=Figure())
    assert axes.shape == (3, 4)
    assert [len(ax.images) for ax in axes[:, 2]] == [1, 0, 0]


@pytest.mark.parametrize("kind", ["ablated", "preserved"])
def test_effects_are_relative_changes_of_the_mean(kind):
    effects = RECORDS.effects
    table = effects.conditions
    own, control = figures.plot_effects(effects, kind=kind, figure=Figure())
    for mode in range(3):
        rows = table.index[(table["kind"] == kind) & (table["mode"] == mode)]
        change = 100 * (effects.perturbed[rows].mean(1) / effects.baseline.mean(0) - 1)
        np.testing.assert_allclose(image(own)[mode], change[0])
        np.testing.assert_allclose(image(control)[mode], change[1:].mean(0))


def test_effects_of_silent_cells_are_missing_not_infinite():
    silent = RECORDS.effects.baseline.copy()
    silent[:, 1] = 0.0
    record = replace(RECORDS.effects, baseline=silent)
    own, _ = figures.plot_effects(record, figure=Figure())
    assert np.isnan(image(own)[:, 1]).all()
    ax = figures.plot_effect_summary(record, ax=Figure().subplots())
    assert np.isfinite(ax.get_lines()[-1].get_ydata()).all()


def test_effect_summary_averages_over_cells():
    effects, table = RECORDS.effects, RECORDS.effects.conditions
    ax = DRAWN["plot_effect_summary"](ax=Figure().subplots())
    controls, modes = ax.get_lines()
    rows = table.index[(table["kind"] == "ablated") & (table["control"] == 0)]
    change = 100 * (effects.perturbed[rows].mean(1) / effects.baseline.mean(0) - 1)
    np.testing.assert_allclose(modes.get_ydata(), np.abs(change).mean(1))
    assert len(controls.get_ydata()) == 12


def test_effects_without_controls_or_of_unknown_kind():
    own = (RECORDS.effects.conditions["control"] == 0).to_numpy()
    record = replace(
        RECORDS.effects,
        perturbed=RECORDS.effects.perturbed[own],
        conditions=RECORDS.effects.conditions[own],
    )
    _, control = figures.plot_effects(record, figure=Figure())
    assert np.isnan(image(control)).all()
    figures.plot_effect_summary(record, ax=Figure().subplots())
    with pytest.raises(ValueError, match="No condition of kind 'swapped'. Kinds: .*preserved"):
        figures.plot_effects(record, kind="swapped", figure=Figure())


def test_names_from_files_are_drawn_as_they_are():
    record = replace(RECORDS.predictions, network=r"$\frac{$ " + "x" * 60)
    ax = figures.plot_scores(record, ax=Figure().subplots())
    ax.figure.draw_without_rendering()
    assert len(ax.get_legend().get_texts()[0].get_text()) < 60


def test_unstable_modes_have_a_question_mark():
    for plot in (figures.plot_dictionary, figures.plot_loadings):
        ax = plot(RECORDS.modes, ax=Figure(figsize=(6, 5)).subplots())
        names = [text.get_text() for text in ax.get_yticklabels()]
        assert [name.endswith("?") for name in names] == [False] * (len(names) - 1) + [True]
        assert ax.get_ylabel() == "mode, ? unstable"
    unknown = replace(RECORDS.modes, reproducibility=None)
    assert figures.plot_dictionary(unknown, ax=Figure().subplots()).get_ylabel() == "mode"


def test_stability_rows_are_fits_and_columns_modes():
    ax = figures.plot_stability(RECORDS.stability, ax=Figure().subplots())
    np.testing.assert_array_equal(image(ax), RECORDS.stability.cosine)


def test_curve_needs_a_curve():
    with pytest.raises(ValueError, match="SparseModes has no training curve"):
        figures.plot_curve(replace(RECORDS.modes, curve=None))


def test_dictionary_is_relative_to_the_size_of_features():
    scale = np.geomspace(1, 100, RECORDS.modes.dictionary.shape[1])
    record = replace(RECORDS.modes, feature_scale=scale)
    ax = figures.plot_dictionary(record, ax=Figure().subplots())
    order = np.lexsort((record.channel, record.sign))
    np.testing.assert_allclose(image(ax), record.relative_dictionary[:, order])
    np.testing.assert_allclose(np.linalg.norm(image(ax), axis=1), 1)
    assert "weight relative to the feature's size" in labels(ax.figure)


def test_cell_types_show_criteria_and_cells_by_cluster():
    found = RECORDS.cell_types
    silhouette, gap, stability, cells = figures.plot_cell_types(found, figure=Figure())
    responses, modes, chosen = silhouette.get_lines()
    np.testing.assert_array_equal(modes.get_ydata(), found.criteria["silhouette"])
    np.testing.assert_array_equal(responses.get_ydata(), found.criteria["response_silhouette"])
    assert chosen.get_xdata() == [3, 3]
    np.testing.assert_array_equal(gap.get_lines()[0].get_ydata(), found.criteria["gap"])
    np.testing.assert_array_equal(stability.get_lines()[0].get_ydata(), found.criteria["stability"])
    order = np.argsort(found.labels, kind="stable")
    np.testing.assert_array_equal(image(cells), found.correlations[order])


def test_spike_gains_show_called_pairs_with_intervals_and_untested_ones_not():
    table = RECORDS.spike_gains
    ax = DRAWN["plot_spike_gains"](ax=Figure().subplots())
    _, _, others, called = ax.get_lines()
    np.testing.assert_array_equal(called.get_ydata(), table["gain"][table["mode"] == 1])
    np.testing.assert_array_equal(others.get_ydata(), table["gain"][table["mode"].isin([0, 2])])


def test_interneuron_names_say_the_unit():
    ax = DRAWN["plot_interneuron_matches"](ax=Figure().subplots())
    assert [text.get_text() for text in ax.get_xticklabels()][1] == "1\nunit 250"
    np.testing.assert_array_equal(ax.get_lines()[-1].get_ydata(), RECORDS.interneurons["r"][:2])


def test_pathways_write_p_of_two_stimuli_and_not_of_one():
    axes = DRAWN["plot_pathways"](figure=Figure())
    assert [ax.get_title(loc="left") for ax in axes] == ["difference, p = 0.01"] * 3 + [
        "overlap 0.60, p = 0.03"
    ]
    one = RECORDS.pathways[RECORDS.pathways["stimulus"] == "natural"]
    axes = figures.plot_pathways(one, figure=Figure())
    assert [ax.get_title(loc="left") for ax in axes] == [""] * 4


def test_phenomenon_shows_the_event_as_long_as_it_lasts():
    event = RECORDS.event
    axes = figures.plot_phenomenon(event, cells=[6], figure=Figure())
    movie, rates, contributions, loadings = axes
    np.testing.assert_array_equal(image(movie), event.movie[1, :50].T)
    lines = {line.get_label(): line.get_ydata() for line in rates.get_lines()}
    assert list(lines)[:3] == ["dark pair", "dark alone", "dark later"]
    np.testing.assert_array_equal(lines["dark pair"], event.rates[0, 1, :50, 1])
    order = np.lexsort((RECORDS.contributions.channel, RECORDS.contributions.sign))
    np.testing.assert_array_equal(image(contributions), event.contributions[:50, order].T)
    np.testing.assert_array_equal(image(loadings), event.loadings[:50].T)


def test_phenomenon_without_pathways_has_no_maps_and_knows_its_cells():
    bare = replace(RECORDS.event, contributions=None, loadings=None)
    assert len(figures.plot_phenomenon(bare, figure=Figure())) == 4
    with pytest.raises(ValueError, match=r"holds cells \[5, 6, 7, 8\]; .* got \[0\]"):
        figures.plot_phenomenon(bare, cells=[0], figure=Figure())


def test_signatures_tell_who_responds():
    table = SIGNATURES.reset_index(drop=True)
    table.loc[0, ["value", "low", "high"]] = np.nan
    table.loc[0, "present"] = 0
    ax = figures.plot_signatures(table, ax=Figure().subplots())
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert [name.split(" of ")[1] for name in names] == [
        "3 cells that respond",
        "4 cells that respond",
    ]


def test_minimal_circuit_is_marked():
    ax = figures.plot_minimal_circuit(RECORDS.minimal, ax=Figure().subplots())
    random, best, smallest = ax.get_lines()
    np.testing.assert_array_equal(best.get_ydata(), RECORDS.minimal["error"])
    assert smallest.get_xdata() == [3] and smallest.get_label().endswith("0, 1, 3")


def test_parts_of_a_moment_are_drawn_on_one_scale():
    grid = figures.plot_moments(MOMENTS, figure=Figure())
    np.testing.assert_array_equal(image(grid[1, 2]), MOMENTS.values[5, 0])
    assert len({ax.images[0].get_clim() for ax in grid[0]}) == 1
    assert grid[0, 1].get_title() == "mode 3\n70%"


def test_shares_and_explained_variance_are_those_of_the_tables():
    shares = image(figures.plot_field_shares(SHARES, ax=Figure().subplots()))
    np.testing.assert_allclose(shares, [[50, 60, -10], [90, 0, 10]])
    ax = figures.plot_explained(EXPLAINED, ax=Figure().subplots())
    np.testing.assert_allclose(image(ax), [[0.1, 0], [0.7, 0.4]])
    assert [text.get_text() for text in ax.get_xticklabels()] == ["polarity", "size (px)"]


def test_doses_show_modes_and_controls():
    lines = figures.plot_doses(DOSES, figure=Figure())[1].get_lines()
    assert [list(line.get_ydata()) for line in lines[:2]] == [[0.9, 0.9], [0.3, 0.3]]


def test_class_control_shows_means_over_classes_and_keeps_random_grey():
    grid = figures.plot_class_control(CONTROL, figure=Figure())
    mode, random, _ = grid[0, 0].get_lines()
    np.testing.assert_allclose(mode.get_ydata(), [90, 50, 0])
    np.testing.assert_allclose(random.get_ydata(), [95, 75, 50])
    np.testing.assert_allclose(grid[1, 1].get_lines()[0].get_ydata(), [97.5, 87.5, 75])
    assert random.get_color() != mode.get_color() and random.get_linestyle() == "--"
    holes = CONTROL.copy()
    holes.loc[holes["class"] == 1, "own_cost"] = np.nan
    lines = figures.plot_class_control(holes, figure=Figure())[0, 0].get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), [90, 50, 0])


def test_scores_have_intervals_of_what_is_drawn():
    for value, point in (("difference", -0.4), ("score", -0.5)):
        axes = figures.plot_control_scores(SCORES, value=value, figure=Figure())
        assert [line.get_ydata().tolist() for line in axes[1].get_lines()[:2]] == [[point] * 2] * 2
        ends = axes[0].collections[0].get_segments()[0][:, 1]
        np.testing.assert_allclose(ends, [point - 0.1, point + 0.1])


def test_flips_count_images_up_to_a_size():
    lines = figures.plot_flips(FLIPS, ax=Figure().subplots()).get_lines()
    assert lines[0].get_ydata().tolist() == [0, 25, 50, 50, 75, 75, 75]
    assert lines[1].get_ydata().tolist() == [0, 0, 25, 25, 50, 50, 100]


def test_steering_names_classes():
    named = STEERING.assign(**{"class": STEERING["class"].map({4: "cello", 7: "$7"})})
    ax = figures.plot_steering(named, ax=Figure().subplots())
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["cello", r"\$7"]


def test_class_modes_are_drawn_for_each_kind_beside_chance():
    best, share, covered = figures.plot_class_modes(CLASS_SUMMARY, figure=Figure())
    modes = CLASS_SUMMARY[CLASS_SUMMARY["kind"] == "modes"]
    lines = [list(line.get_ydata()) for line in best.get_lines()]
    assert list(modes["r"]) in lines and list(modes["chance"]) in lines
    np.testing.assert_allclose(share.get_lines()[0].get_ydata(), [10, 80])
    np.testing.assert_allclose(covered.get_lines()[0].get_ydata(), [10, 80])


def test_class_coverage_has_a_curve_for_each_layer_and_chance_only_if_known():
    by_class, by_mode = figures.plot_class_coverage(COVERAGE, figure=Figure())
    rows = COVERAGE[COVERAGE["layer"] == "conv1"]
    np.testing.assert_array_equal(by_class.get_lines()[2].get_ydata(), rows["class_averaged"])
    np.testing.assert_array_equal(by_mode.get_lines()[3].get_ydata(), rows["mode_chance"])
    bare = COVERAGE.drop(columns=["class_chance", "mode_chance", "layer"]).iloc[:3]
    axes = figures.plot_class_coverage(bare, figure=Figure())
    assert len(axes[0].get_lines()) == 2  # one curve and the line at 0


def test_dimensions_of_classes_and_heads_stand_beside_chance():
    counts, shares = figures.plot_class_dimensionality(CLASS_DIMENSIONS, figure=Figure())
    for ax, factor in ((counts, 1), (shares, 100 / 9)):
        found, chance = (line.get_ydata().astype(float) for line in ax.get_lines()[:2])
        np.testing.assert_allclose(found, factor * CLASS_DIMENSIONS["components"])
        np.testing.assert_allclose(chance, factor * CLASS_DIMENSIONS["chance"])
    ax = figures.plot_heads(HEADS, ax=Figure().subplots())
    gaussian, heads, random = (np.array(line.get_ydata(), float) for line in ax.get_lines()[:3])
    assert set(gaussian) == {0.25}
    np.testing.assert_array_equal(heads, HEADS["sparsity"])
    np.testing.assert_array_equal(random, HEADS["chance"])


def test_sweep_draws_what_is_there():
    axes = figures.plot_sweep(SWEEP, figure=Figure())
    np.testing.assert_array_equal(axes[0].get_lines()[0].get_xdata(), SWEEP["r2"])
    chance, found = (line.get_xdata() for line in axes[3].get_lines())
    np.testing.assert_array_equal(found, SWEEP["agreement"])
    np.testing.assert_array_equal(chance, SWEEP["agreement_chance"])
    about_classes = [name for name in SWEEP if "class" in name]
    bare = SWEEP.drop(columns=about_classes)
    assert len(figures.plot_sweep(bare, figure=Figure())) == len(axes) - 3


def test_maps_show_both_signs_of_an_image_on_one_scale():
    grid = figures.plot_maps(MAPS, PICTURES, items=[0, 2, 3], saturated=0.1, figure=Figure())
    np.testing.assert_array_equal(image(grid[1, 0]), PICTURES[4])
    np.testing.assert_allclose(image(grid[1, 1]), MAPS.positive[2])
    np.testing.assert_allclose(image(grid[1, 2]), -MAPS.negative[2])
    limits = [ax.images[0].get_clim() for ax in grid[:, 1:].flat]
    assert len(set(limits[:4])) == 1 and len(set(limits)) == 2
    shown = np.concatenate([MAPS.positive[[0, 2]], -MAPS.negative[[0, 2]]])
    assert np.mean(shown > limits[0][1]) == pytest.approx(0.1, abs=0.01)


def test_one_wild_gain_does_not_flatten_all_others():
    table = RECORDS.spike_gains.assign(q=0.8)
    wild = table.assign(gain=np.where(table.index == 3, -1e6, table["gain"]))
    axes = [figures.plot_spike_gains(rows, ax=Figure().subplots()) for rows in (table, wild)]
    assert axes[0].get_ylim()[0] > axes[1].get_ylim()[0] > -1
    texts = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in axes]
    assert "below the axis (n = 1)" in texts[1] and not any("below" in text for text in texts[0])


def test_gallery_is_lit_where_the_mode_looks():
    grid = figures.plot_gallery(MAPS, PICTURES, area=0.25, figure=Figure())
    assert grid.shape == (2, 3) and not grid[0, 2].images
    inside = MAPS.regions(0.25)[1]
    np.testing.assert_array_equal(image(grid[0, 1])[inside], PICTURES[1][inside])
    outside = image(grid[0, 1])[~inside]
    assert np.ptp(outside, axis=1).max() < 1e-12 and outside.std() < PICTURES[1].std()
    assert grid[1, 2].title.get_color() != grid[1, 1].title.get_color()


def test_insertion_draws_means_and_advantages():
    grid = figures.plot_insertion(INSERTION, ADVANTAGES, method="modes", figure=Figure())
    lines = {line.get_label(): line.get_ydata() for line in grid[0, 0].get_lines()}
    np.testing.assert_allclose(lines["modes"], [0, 0.5**0.5, 1])
    assert "random order" in lines
    names = [text.get_text() for text in grid[1, 0].get_yticklabels()]
    assert names == ["over Grad-CAM", "over random order"]
    with pytest.raises(ValueError, match="No method 'mode'. Methods: modes, Grad-CAM"):
        figures.plot_insertion(INSERTION, ADVANTAGES, method="mode", figure=Figure())


def test_one_mode_is_drawn_as_it_is():
    ax = figures.plot_mode_features(RECORDS.modes, mode=1, ax=Figure().subplots())
    heights = sorted(bar.get_height() for bar in ax.patches)
    np.testing.assert_allclose(heights, sorted(RECORDS.modes.relative_dictionary[1]))
    ax = figures.plot_mode_removed(REMOVED, mode=1, ax=Figure().subplots())
    assert ax.lines[0].get_ydata()[0] == -40.0
    assert ax.lines[0].get_color() == figures.mode_colour(1)
