"""What a run found about dynamic fields: statements with numbers, intervals and controls."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from retina_codec.report import Dynamics
from retina_codec.statistics import agreement_with_types

from ._headlines import span

CALLED = 0.05
ENOUGH = 0.8
SMALLEST_GAIN = 0.02
FEWEST_CELLS = 4


def dynamic_summary(found: Dynamics, layer: str) -> dict[str, Any]:
    """Numbers of one layer as plain values."""
    gains, types = found.spike_gains[layer], found.cell_types[layer]
    numbers: dict[str, Any] = {
        "cells with fields": int(found.field_shares[layer]["cell"].nunique()),
        **_held(found.field_shares[layer]),
        **_doses(found.doses[layer]),
        "types of cells chosen": int(types.choices["chosen"]),
        "types by silhouette alone": int(types.choices["silhouette"]),
        "p of the silhouette (shifted loadings)": _number(types.p_value),
        "pairs of cell and mode tested for spikes": int(gains["q"].notna().sum()),
        "of these with spikes beyond the rate": int((gains["q"] < CALLED).sum()),
        **_explained(found.explained_fields, layer),
        **_profiles(found.profile_criteria[layer]),
    }
    if layer in found.type_recovery:
        table = found.type_recovery[layer].set_index("by")["agreement"]
        numbers["agreement with true types, by contributions"] = _agreement(found, layer)
        numbers["agreement with true types (as many clusters)"] = _number(table["modes, k known"])
        numbers["the same by responses"] = _number(table["responses"])
        numbers["the same by shifted loadings"] = _number(table["shifted loadings"])
    if layer in found.interneurons:
        table = found.interneurons[layer]
        numbers["mean r of true interneurons with their best unit"] = _number(table["r"].mean())
        numbers["the same for shifted interneurons"] = _number(table["chance"].mean())
    return numbers


def dynamic_findings(numbers: Mapping[str, Any], layer: str) -> dict[str, list[str]]:
    """Say the numbers of a layer, and what they support and what not, by section of the page."""
    doses = [
        sentence
        for quantity in ("response", "field")
        for sentence in _dose_sentences(numbers, layer, quantity)
    ]
    return {
        "dynamics": [*_held_sentence(numbers, layer), _explained_sentence(numbers, layer)],
        "doses": doses,
        "types": list(_type_sentences(numbers, layer)),
    }


def _held_sentence(numbers, layer) -> Iterator[str]:
    if numbers["field held by modes"] is None:
        return
    yield (
        f"Layer {layer}: modes hold {numbers['field held by modes']:.0%} of the power of the "
        f"instantaneous fields (n = {numbers['cells with fields']} cells: "
        f"{numbers['field held, lowest cell']:.0%} to "
        f"{numbers['field held, highest cell']:.0%}); with loadings shifted in time "
        f"{_said(numbers['field held, shifted'], '.0%')} (95 % interval of the "
        f"difference, over cells: {span(numbers, 'field held beyond shifted')})."
    )


def _type_sentences(numbers, layer) -> Iterator[str]:
    yield _type_sentence(numbers, layer)
    yield _profile_sentence(numbers, layer)
    yield _spike_sentence(numbers, layer)
    key = "mean r of true interneurons with their best unit"
    if key in numbers:
        yield (
            f"Layer {layer}: the true interneurons go with their best unit with a mean r of "
            f"{numbers[key]:.2f} on blocks held out, shifted ones with "
            f"{numbers['the same for shifted interneurons']:.2f}."
        )


def _spike_sentence(numbers, layer) -> str:
    tested = numbers["pairs of cell and mode tested for spikes"]
    if not tested:
        return f"Layer {layer}: too few spikes to ask for spikes beyond the predicted rate (n = 0)."
    return (
        f"Layer {layer}: loadings explain recorded spikes beyond the predicted rate in "
        f"{numbers['of these with spikes beyond the rate']} of {tested} pairs of cell and mode "
        f"(q < {CALLED}, against loadings shifted in time)."
    )


def _held(table: pd.DataFrame) -> dict[str, Any]:
    of_modes = table[table["mode"] >= 0].groupby("cell")[["share", "shifted"]].sum(min_count=1)
    beyond = (of_modes["share"] - of_modes["shifted"]).dropna().to_numpy()
    low, high = over_cells(beyond)
    return {
        "field held by modes": _number(of_modes["share"].mean()),
        "field held, lowest cell": _number(of_modes["share"].min()),
        "field held, highest cell": _number(of_modes["share"].max()),
        "field held, shifted": _number(of_modes["shifted"].mean()),
        "field held beyond shifted, from": _number(low),
        "field held beyond shifted, to": _number(high),
    }


def _doses(summary: pd.DataFrame) -> dict[str, Any]:
    """Of the smallest dose that is removed."""
    removed = summary[summary["kind"] == "removed"]
    smallest = removed[removed["dose"] == removed["dose"].min()]
    numbers: dict[str, Any] = {"smallest dose": _number(removed["dose"].min())}
    for row in smallest.itertuples():
        name = f"{row.quantity}, {row.measure}"
        numbers[name] = _number(row.mode)
        numbers[f"{name}, random channels"] = _number(row.control)
        numbers[f"{name}, difference from"] = _number(row.low)
        numbers[f"{name}, difference to"] = _number(row.high)
    return numbers


def _explained(table: pd.DataFrame, layer: str) -> dict[str, Any]:
    """Mean R2 over cells and features of the modes, their control, and the baselines."""
    of_each = table.groupby(["cell", "predictor"])["r2"].mean().unstack("predictor")
    names = {
        f"{layer} modes": "field features explained by modes",
        f"{layer} modes, shifted": "field features explained by shifted modes",
        f"{layer} modes of the cell": "field features explained by modes of the cell alone",
        f"{layer} modes of the cell, shifted": "the same, shifted",
        "rate, target, contrast": "field features explained by rate, target and contrast",
    }
    numbers = {
        said: _number(of_each[name].mean()) if name in of_each else None
        for name, said in names.items()
    }
    own = f"{layer} modes of the cell"
    if own in of_each:
        gain = (of_each[own] - of_each["rate, target, contrast"]).to_numpy()
        low, high = over_cells(gain[np.isfinite(gain)])
        numbers |= {
            "modes beyond these, from": _number(low),
            "modes beyond these, to": _number(high),
        }
    return numbers


def _profiles(criteria: pd.DataFrame) -> dict[str, Any]:
    """Of the number of clusters that was chosen, or that of the silhouette if it was one."""
    chosen = int(criteria["n_clusters"][criteria["chosen"]].iloc[0])
    best = criteria.iloc[int(np.argmax(np.nan_to_num(criteria["silhouette"], nan=-1.0)))]
    return {
        "types by contributions": chosen,
        "types by contributions, silhouette alone": int(best["n_clusters"]),
        "silhouette by contributions": _number(best["silhouette"]),
        "p of the silhouette by contributions (shuffled)": _number(best["p"]),
        "stability by contributions": _number(best["stability"]),
    }


def _agreement(found: Dynamics, layer: str) -> float | None:
    """Return the adjusted Rand index of the types by contributions with the true ones."""
    return _number(agreement_with_types(found.profile_labels[layer]["cluster"], found.true_types))


def _profile_sentence(numbers, layer) -> str:
    chosen = numbers["types by contributions"]
    if numbers["silhouette by contributions"] is None:
        return f"Layer {layer}: too few cells to ask for types."
    called = chosen > 1 and numbers["p of the silhouette by contributions (shuffled)"] < CALLED
    what = f"{chosen} types" if called else "no division into types is supported"
    sentence = (
        f"Layer {layer}: by what contributes to each cell, {what} (best silhouette "
        f"{numbers['silhouette by contributions']:.2f} with "
        f"{numbers['types by contributions, silhouette alone']} types, shuffled profiles reach it "
        f"with p = {numbers['p of the silhouette by contributions (shuffled)']:.2g}; stability "
        f"over blocks of time {_said(numbers['stability by contributions'])})."
    )
    key = "agreement with true types, by contributions"
    if numbers.get(key) is not None:
        sentence += f" The adjusted Rand index with the true types is {numbers[key]:.2f}."
    return sentence


def over_cells(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean by drawing cells again; NaN with fewer than `FEWEST_CELLS`."""
    if len(values) < FEWEST_CELLS:
        return np.nan, np.nan
    drawn = np.random.default_rng(0).choice(values, size=(1000, len(values)))
    low, high = np.percentile(drawn.mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _dose_sentences(numbers, layer, quantity) -> Iterator[str]:
    r = numbers.get(f"{quantity}, r")
    if r is None:
        return
    beyond = numbers.get(f"{quantity}, r_beyond")
    words = {"response": "responses", "field": "fields"}[quantity]
    yield (
        f"Layer {layer}: when {numbers['smallest dose']:.0%} of a mode is removed, {words} change "
        f"as contributions predict with r = {r:.2f} (median over modes; random channels "
        f"{numbers[f'{quantity}, r, random channels']:.2f}, 95 % interval of the difference "
        f"{numbers[f'{quantity}, r, difference from']:.2f} to "
        f"{numbers[f'{quantity}, r, difference to']:.2f}); beyond what removing all channels alike "
        f"does, {_said(beyond)} (random channels "
        f"{_said(numbers.get(f'{quantity}, r_beyond, random channels'))}, difference "
        f"{_said(numbers.get(f'{quantity}, r_beyond, difference from'))} to "
        f"{_said(numbers.get(f'{quantity}, r_beyond, difference to'))})."
    )
    if r < ENOUGH or (beyond is not None and beyond < ENOUGH):
        yield (
            f"Layer {layer}: this falls short of {ENOUGH} for {words}: what the rest of the "
            "network does in answer (thresholds, gain of the output) is not in the prediction."
        )


def _explained_sentence(numbers, layer) -> str:
    own = numbers["field features explained by modes of the cell alone"]
    if own is None:
        return f"Layer {layer}: too few moments to ask what explains the features of the field."
    low = numbers["modes beyond these, from"]
    if low is None:
        verdict = "cannot be said with so few cells"
    else:
        shown = low > SMALLEST_GAIN and own > max(numbers["the same, shifted"], 0)
        verdict = "is supported" if shown else "is not supported"
    return (
        f"Layer {layer}: modes of the contributions to a cell alone explain {own:.0%} of the "
        "variance of its field's polarity, place, size, surround and orientation on blocks held "
        f"out, shifted in time {numbers['the same, shifted']:.0%}, modes of all cells "
        f"{numbers['field features explained by modes']:.0%}, these shifted in time "
        f"{numbers['field features explained by shifted modes']:.0%}, and rate, target and "
        f"contrast {numbers['field features explained by rate, target and contrast']:.0%} (below "
        "0: worse than the mean). That the modes of a cell say more than rate, target and contrast "
        f"{verdict} (difference over cells: {span(numbers, 'modes beyond these')})."
    )


def _type_sentence(numbers, layer) -> str:
    chosen = numbers["types of cells chosen"]
    what = (
        f"{chosen} types of cells are supported"
        if chosen > 1 and numbers["p of the silhouette (shifted loadings)"] < CALLED
        else "no division of the cells into types is supported"
    )
    sentence = (
        f"Layer {layer}: {what} (silhouette alone would say "
        f"{numbers['types by silhouette alone']}; shifted loadings reach its silhouette with p = "
        f"{numbers['p of the silhouette (shifted loadings)']:.2g})."
    )
    key = "agreement with true types (as many clusters)"
    if key in numbers:
        sentence += (
            f" With as many clusters as true types the adjusted Rand index is {numbers[key]:.2f}, "
            f"by responses {numbers['the same by responses']:.2f}, by shifted loadings "
            f"{numbers['the same by shifted loadings']:.2f}."
        )
    return sentence


def _said(value: float | None, form: str = ".2f") -> str:
    return "no number" if value is None else format(value, form)


def _number(value: Any) -> float | None:
    return float(f"{float(value):.4g}") if np.isfinite(value) else None
