"""What a run on images found: statements with numbers, intervals and controls."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from ._image_causal import ALL_MODES, FIRST
from ._image_run import ImageRun

Tables = Mapping[str, pd.DataFrame]
TEN_PERCENT = 0.1
WORTH_A_RATIO = 0.005


def first_findings(run: ImageRun, left_out: Sequence[str] = ()) -> list[str]:
    """Say what the network was shown, how well it knows it, and for what that was too little."""
    table = run.predictions
    gaps = {
        layer: float(np.nanmedian(record.relative_gap)) for layer, record in run.explained.items()
    }
    worst = max(gaps, key=gaps.get)
    few = f" These are too few for: {', '.join(left_out)}." if left_out else ""
    return [
        f"{run.known.name} on {len(table)} images, {_labels(run)} Classes, modes and channels are "
        f"chosen on {int(run.selection.sum())} images and tested on the other {len(run.test)}."
        + few,
        f"The median gap is {gaps[worst]:.2%} of the change of the target in the worst of "
        f"n = {len(gaps)} layers ({worst}).",
    ]


def layer_findings(tables: Tables) -> Iterator[str]:
    """Say how sparsity, dimensionality and balance change with depth, beside chance."""
    table = tables["layers"].drop_duplicates(["kind", "layer", "statistic"])
    for name in ("sparsity", "components to 95 %"):
        for kind in ("contributions, promoting", "activations, positive"):
            yield _across(table[(table["kind"] == kind) & (table["statistic"] == name)], name, kind)
    balance = table["statistic"] == "excitation-inhibition correlation"
    rows = table[balance & (table["kind"] == "contributions")]
    yield _across(rows, "correlation of excitation and inhibition", "contributions")
    means = tables.get("class_dimensionality", pd.DataFrame({"kind": []}))
    for kind, rows in means.groupby("kind", sort=False):
        said = (
            f"{int(row['components'])} in {row['layer']} ({row['chance']:.0f})"
            for _, row in _ends(rows).iterrows()
        )
        yield (
            f"Means of {int(rows.iloc[0]['n_classes'])} classes, {kind}: components to 95 % "
            f"(labels by chance): {', '.join(said)}."
        )


def class_findings(tables: Tables) -> Iterator[str]:
    """Say how far modes go with classes."""
    for (kind), rows in tables["class_summary"].groupby("kind", sort=False):
        tested = rows.dropna(subset=["r"])
        if not len(tested):
            yield f"None of the {kind} fires often enough to be tested."
            continue
        last = tested.iloc[-1]
        yield (
            f"Layer {last['layer']}, {kind}: {int(last['class_modes'])} of "
            f"{int(last['n_tested'])} tested go with a class (r > 0.2, q < 0.05), and cover "
            f"{int(last['classes_covered'])} of {int(last['n_classes'])} classes; median best r "
            f"{last['r']:.2f} ({last['low']:.2f} to {last['high']:.2f}; chance "
            f"{last['chance']:.2f}; on images for tests {last['r_test']:.2f})."
        )


def contrast_findings(tables: Tables) -> Iterator[str]:
    """Say whether contributions to a contrast are as sparse as those to one class."""
    table = tables["contrast"]
    sparsity = table[table["statistic"] == "sparsity"].pivot(
        index="layer", columns="kind", values="value"
    )
    sparsity = sparsity.loc[tables["contrast_alike"]["layer"]]
    last = sparsity.iloc[-1]
    yield (
        f"Sparsity of promoting parts in {sparsity.index[-1]}: contrast of the two best classes "
        f"{last['contrast']:.2f}, best class {last['best class']:.2f}, activations "
        f"{last['activations']:.2f}; the two targets correlate with r = "
        f"{tables['contrast_alike']['r'].iloc[-1]:.2f} over the features of an image (median), in "
        f"{sparsity.index[0]} r = {tables['contrast_alike']['r'].iloc[0]:.2f}."
    )


def head_findings(tables: Tables) -> Iterator[str]:
    """Say whether heads are sparser than random groups."""
    for kind, rows in tables["heads"].groupby("kind", sort=False):
        n_above = int((rows["p"] < 0.05).sum())
        yield (
            f"Heads, {kind}: sparser than random groups of channels in {n_above} of {len(rows)} "
            f"layers (p < 0.05); mean difference {rows['difference'].mean():+.2f}."
        )


def control_findings(tables: Tables) -> Iterator[str]:
    """Say what removing and keeping a class mode does, beside other choices of channels."""
    yield from _control(tables["control_costs"], tables["control_scores"])


def superclass_findings(tables: Tables) -> Iterator[str]:
    """Say what removing the mode of a set of classes does."""
    costs = tables["superclass_costs"]
    rows = costs[(costs["measure"] == "accuracy") & (costs["ranking"] == FIRST)]
    for _, row in rows.iterrows():
        verb = "Removing" if row["kind"] == "ablated" else "Keeping only"
        yield (
            f"{verb} {row['dose']:.0%} of the channels of {row['layer']} by the mode of a set of "
            f"classes costs the set {_percent(row['own_cost'])} and others "
            f"{_percent(row['others_cost'])} of their accuracy (n = {int(row['n_classes'])} sets)."
        )


def map_findings(tables: Tables) -> Iterator[str]:
    """Say how good maps are, and whether modes use different places."""
    summary = tables["insertion_summary"]
    for kind, rows in summary[summary["method"] == ALL_MODES].groupby("kind", sort=False):
        better, worse = rows[rows["low"] > 0]["rival"], rows[rows["high"] < 0]["rival"]
        alike = rows[~rows["rival"].isin([*better, *worse])]["rival"]
        yield (
            f"Pixels {kind} in the order of the maps of all modes, n = "
            f"{int(rows['n_images'].iloc[0])} images: area {rows['auc'].iloc[0]:.2f}; better than "
            f"{_listed(better)}; worse than {_listed(worse)}; not told apart from {_listed(alike)} "
            "(paired 95 % intervals over images)."
        )
    for _, row in tables["regions_summary"].iterrows():
        yield (
            f"Regions of modes (10 % of the pixels) {row['kind']}: {row['share']:.1%} of the "
            f"target, shifted regions {row['control_share']:.1%}; difference "
            f"{row['difference']:+.1%} ({row['low']:+.1%} to {row['high']:+.1%})."
        )
    overlap = tables["overlap_summary"]
    overlap = overlap[overlap["measure"] == "iou"].set_index(["shares", "kind"])
    for kind in dict.fromkeys(overlap.index.get_level_values("kind")):
        row, other = overlap.loc[("of modes", kind)], overlap.loc[("shuffled", kind)]
        yield (
            f"Overlap of regions, {kind}: IoU {row['value']:.2f} ({row['low']:.2f} to "
            f"{row['high']:.2f}); with shuffled shares {other['value']:.2f} "
            f"({other['low']:.2f} to {other['high']:.2f})."
        )


def steering_findings(tables: Tables) -> Iterator[str]:
    """Say what scaling a mode does, and how many modes change a prediction."""
    if "steering" in tables:
        table = tables["steering"]
        ends = table[table["factor"].isin([table["factor"].min(), table["factor"].max()])]
        means = ends.groupby(["control", "factor"])["mean"].mean()
        low, high = table["factor"].min(), table["factor"].max()
        n = table["of_class"].nunique()
        yield (
            f"Scaled by {low:g}, the mode of a class leaves the class a probability of "
            f"{means[0, low]:.2f}, scaled by {high:g} of {means[0, high]:.2f} (means over n = {n} "
            f"classes); random channels {means[1, low]:.2f} and {means[1, high]:.2f}."
        )
    flips = tables["flips"]
    done = flips.dropna(subset=["n_modes"])
    if done.empty:
        yield f"Removing modes changes the prediction in none of n = {len(flips)} images."
        return
    yield (
        f"Removing modes changes the prediction in {len(done)} of {len(flips)} images; the fewest "
        f"found: median {done['n_modes'].median():g} modes (proven smallest in "
        f"{int(done['proven_smallest'].sum())}), in random order "
        f"{done['random_n_modes'].median():g}, the same shares of random channels "
        f"{done['permuted_n_modes'].median():g}."
    )


def sweep_findings(tables: Tables) -> Iterator[str]:
    """Say how much settings and seeds matter."""
    table = tables["sweep"]
    for layer, rows in table[table["method"] == table["method"].iloc[0]].groupby(
        "layer", sort=False
    ):
        of_seeds = rows.groupby("setting", sort=False)["agreement_of_seeds"].mean()
        yield (
            f"Layer {layer}: over {rows['setting'].nunique()} settings R2 held out is "
            f"{rows['r2'].min():.2f} to {rows['r2'].max():.2f}; seeds of the run's setting agree "
            f"with {_agreement(of_seeds.iloc[0])}, settings with that of the run with "
            f"{rows['agreement'].min():.2f} to {rows['agreement'].max():.2f} (modes of shuffled "
            f"features {rows['agreement_chance'].mean():.2f})."
        )


def _agreement(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "no number (one seed)"


FINDINGS: Mapping[str, Callable[[Tables], Iterator[str]]] = {
    "layers": layer_findings,
    "classes": class_findings,
    "contrast": contrast_findings,
    "heads": head_findings,
    "control": control_findings,
    "superclass": superclass_findings,
    "maps": map_findings,
    "steering": steering_findings,
    "sweep": sweep_findings,
}
"""Sentences of each part."""

HEADLINES = {"classes": "Classes", "control": "Control", "maps": "Maps", "steering": "Steering"}
"""Parts whose first sentence comes first on the page, and what it is about."""


def image_headlines(first: list[str], by_part: Mapping[str, list[str]]) -> list[str]:
    """Return three to five sentences that matter most, whatever their numbers are."""
    of_parts = [
        f"{label}: {by_part[part][0]}" for part, label in HEADLINES.items() if by_part.get(part)
    ]
    known, explained = f"Network: {first[0]}", f"Contributions: {first[1]}"
    return [known, *of_parts] if len(of_parts) > 1 else [known, explained, *of_parts]


def _labels(run: ImageRun) -> str:
    """Say how many images have a label, and how many of them the network gets right."""
    table = run.predictions
    labelled = table[table["label"] >= 0]
    n_classes = labelled["label"].nunique()
    if run.nobody_labelled:
        return (
            "none of them with a label: what the network says is taken for the class "
            f"({n_classes} classes)."
        )
    right = (labelled["label"] == labelled["predicted"]).mean()
    return (
        f"{len(labelled)} of them with a label, in {n_classes} classes: {right:.1%} right; "
        f"{int(labelled['doubtful'].sum())} labels are doubtful (the network is sure of another "
        "class)."
    )


def _across(rows: pd.DataFrame, name: str, kind: str) -> str:
    said = (
        f"{_digits(row['value'])} in {row['layer']} (chance {_digits(row['chance'])})"
        for _, row in _ends(rows).iterrows()
    )
    trend = _trend(rows["value"].to_numpy())
    return f"{kind[0].upper()}{kind[1:]}: {name} {', '.join(said)}{trend}."


def _ends(rows: pd.DataFrame) -> pd.DataFrame:
    """First and last row, or the only one."""
    return rows if len(rows) < 2 else rows.iloc[[0, -1]]


def _digits(value: float) -> str:
    """Write a large number, such as one of components, without decimals."""
    return f"{value:.0f}" if abs(value) >= 2 else f"{value:.2f}"


def _trend(values: Float[np.ndarray, " layer"]) -> str:
    """Say how values go with depth, where there are enough of them."""
    if len(values) < 3:
        return ""
    if np.ptp(values) == 0:
        return f"; the same in all {len(values)} layers"
    rho = pd.Series(values).corr(pd.Series(range(len(values))), method="spearman")
    return f"; rank correlation with depth {rho:+.2f} over {len(values)} layers"


def _control(costs: pd.DataFrame, scores: pd.DataFrame) -> Iterator[str]:
    chosen = (costs["measure"] == "accuracy") & (costs["kind"] == "ablated")
    first = costs[chosen & (costs["ranking"] == FIRST)]
    for (towards, layer), rows in first.groupby(["towards", "layer"], sort=False):
        row = rows.iloc[(rows["dose"] - TEN_PERCENT).abs().argmin()]
        yield (
            f"Layer {layer}, removed towards {towards}: without the first {row['dose']:.0%} of the "
            f"channels of its mode a class loses {_percent(row['own_cost'])} of its accuracy, "
            f"others {_percent(row['others_cost'])}{_ratio(row)}; n = {int(row['n_classes'])} "
            "classes."
        )
    ablated = scores[(scores["measure"] == "accuracy") & (scores["kind"] == "ablated")]
    for (towards, layer), rows in ablated.groupby(["towards", "layer"], sort=False):
        rivals = rows.dropna(subset=["first_difference"])
        more = rivals[rivals["first_difference_high"] < 0]["ranking"]
        less = rivals[rivals["first_difference_low"] > 0]["ranking"]
        alike = rivals[~rivals["ranking"].isin([*more, *less])]["ranking"]
        yield (
            f"Layer {layer}, removed towards {towards}: over all doses the {FIRST} hits its class, "
            f"rather than others, more than {_listed(more)}; less than {_listed(less)}; not "
            f"told apart from {_listed(alike)} (paired 95 % intervals over classes)."
        )


def _listed(names: pd.Series) -> str:
    return ", ".join(names) or "none"


def _percent(share: float) -> str:
    return f"{round(share, 2) + 0.0:.0%}"


def _ratio(row: pd.Series) -> str:
    """Say how many times as much, where both lose something to speak of."""
    if not row["others_cost"] >= WORTH_A_RATIO or not row["own_cost"] >= WORTH_A_RATIO:
        return " (too little for a ratio)"
    low, high = (f"{row[name]:.1f}" for name in ("ratio_low", "ratio_high"))
    return f": {row['ratio']:.1f} times as much ({low} to {high})"
