"""The sections of a page about a network that classifies images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from retina_codec.datatypes import Maps
from retina_codec.figures import (
    plot_class_control,
    plot_class_coverage,
    plot_class_dimensionality,
    plot_class_modes,
    plot_control_scores,
    plot_flips,
    plot_gallery,
    plot_heads,
    plot_insertion,
    plot_layer_statistics,
    plot_maps,
    plot_steering,
    plot_sweep,
)

from ._picture import Picture, picture
from ._section import Part, Section

Tables = Mapping[str, pd.DataFrame]
WIDE = 7.4
ALL_MODES = "modes"
DRAWN_KINDS = "contributions", "contributions, promoting", "activations, positive"
"""The others are in the table."""


def image_sections(
    tables: Mapping[str, Tables],
    gallery: Maps | None,
    pictures: Mapping[int, np.ndarray],
    names: Sequence[str],
) -> list[Section]:
    """Make the section of each part that was done.

    Parameters
    ----------
    tables
        Of each part, by name.
    gallery, pictures
        Maps of modes, and the images that their `sample` names, as people see them.
    names
        Of the classes.
    """
    sections = []
    for part, found in tables.items():
        if not found:
            continue
        if part == "maps":
            sections.append(map_section(found, gallery, pictures))
        elif part == "steering":
            sections.append(steering_section(found, names))
        else:
            sections.append(SECTIONS[part](found))
    return sections


def layer_section(tables: Tables) -> Section:
    """Sparsity, dimensionality and balance over depth."""
    table = tables["layers"]
    parts = [
        Part(
            title=kind[0].upper() + kind[1:],
            pictures=(
                picture(
                    lambda figure, rows=rows: plot_layer_statistics(rows, figure=figure),
                    size=(WIDE, 4.4),
                    caption=(
                        f"{kind[0].upper()}{kind[1:]}: each statistic (no unit) in n = "
                        f"{rows['layer'].nunique()} layers, beside the mean and 95 % of its "
                        "control. Medians over images; dimensionality counts components of all "
                        "images."
                    ),
                    alt=f"Statistics of {kind} by layer, beside chance.",
                    data=("layers.csv",),
                ),
            ),
        )
        for kind, rows in table[table["kind"].isin(DRAWN_KINDS)].groupby("kind", sort=False)
    ]
    if "class_dimensionality" in tables:
        parts.append(_means_part(tables["class_dimensionality"]))
    lead = (
        "How few channels carry an image, in how many dimensions images differ, and whether "
        "channels that promote the target also suppress it. Numbers that have one sign look less "
        "sparse than those that have two: compare promoting contributions with positive "
        "activations."
    )
    return Section(name="layers", title="Layers", lead=lead, parts=tuple(parts))


def _means_part(means: pd.DataFrame) -> Part:
    drawn = picture(
        lambda figure: plot_class_dimensionality(means, figure=figure),
        size=(WIDE, 2.8),
        caption=(
            "Number of components (no unit) to 95 % of the variance of the means of n = "
            f"{means['n_classes'].iloc[0]} "
            "classes, beside those of labels in another order (mean, 95 %): means of few images "
            "are noise, which has dimensions too."
        ),
        alt="Dimensions of class means by layer, beside chance.",
        data=("class_dimensionality.csv",),
    )
    return Part(title="Means of classes", pictures=(drawn,))


def class_section(tables: Tables) -> Section:
    """Which classes modes go with."""
    summary, coverage = tables["class_summary"], tables["class_coverage"]
    pictures = (
        picture(
            lambda figure: plot_class_modes(summary, figure=figure),
            size=(WIDE, 3.2),
            caption=(
                f"Median over modes (or features), in n = {summary['layer'].nunique()} layers, "
                "of the "
                "correlation (no unit) with their best class, with "
                "95 % (modes drawn again) beside the best of labels in another order; share of "
                "them that go with a class (r > 0.2, q < 0.05); classes that are covered."
            ),
            alt="Class correlation, class modes and covered classes by layer.",
            data=("class_summary.csv",),
        ),
        picture(
            lambda figure: plot_class_coverage(coverage, figure=figure),
            size=(WIDE, 3.2),
            caption=(
                f"On images for tests, layer by layer (n = {coverage['layer'].nunique()}): "
                "correlation "
                "(no unit) over the rank of modes, mean over classes, and "
                "over the rank of classes, mean over modes; grey: labels in another order."
            ),
            alt="Correlations over ranks of modes and of classes.",
            data=("class_coverage.csv",),
        ),
    )
    lead = (
        "Which class the loading of a mode goes with. The best class is sought on images for "
        "selection; r_test is its correlation on the others. Modes that fire in few images are not "
        "tested."
    )
    part = Part(pictures=pictures, tables={"Classes by layer and kind": summary})
    return Section(name="classes", title="Modes and classes", lead=lead, parts=(part,))


def contrast_section(tables: Tables) -> Section:
    """Contrast of two classes as target."""
    parts = [
        Part(
            title=kind[0].upper() + kind[1:],
            pictures=(
                picture(
                    lambda figure, rows=rows: plot_layer_statistics(rows, figure=figure),
                    size=(WIDE, 4.4),
                    caption=(
                        f"Promoting parts, {kind}: statistics (no unit) in n = "
                        f"{rows['layer'].nunique()} layers beside their controls."
                    ),
                    alt=f"Statistics of {kind} by layer.",
                    data=("contrast.csv",),
                ),
            ),
        )
        for kind, rows in tables["contrast"].groupby("kind", sort=False)
        if kind == "contrast"
    ]
    sparsity = tables["contrast"][tables["contrast"]["statistic"] == "sparsity"]
    shown = {
        "Sparsity beside the best class alone and activations": sparsity,
        "How alike the two targets are": tables["contrast_alike"],
    }
    parts.append(Part(tables=shown))
    lead = (
        "Target: output of the best class less that of the second best, both fixed at the image. "
        "Beside it contributions to the best class alone, and activations."
    )
    return Section(name="contrast", title="Contrast of two classes", lead=lead, parts=tuple(parts))


def head_section(tables: Tables) -> Section:
    """Attention heads beside random groups."""
    table = tables["heads"]
    drawn = picture(
        lambda figure: plot_heads(table, ax=figure.subplots()),
        size=(5.2, 3.2),
        caption=(
            f"Sparsity over heads (Hoyer, no unit; median over images) in n = "
            f"{table['layer'].nunique()} layers, beside random groups of as many "
            "channels (mean, 95 %) and Gaussian numbers."
        ),
        alt="Sparsity over attention heads by layer, beside chance.",
        data=("heads.csv",),
    )
    lead = "Whether few attention heads carry an image, more than random groups of channels would."
    part = Part(pictures=(drawn,), tables={"Heads": table})
    return Section(name="heads", title="Attention heads", lead=lead, parts=(part,))


def control_section(tables: Tables) -> Section:
    """Necessity and sufficiency of class modes."""
    table, scores = tables["control"], tables["control_scores"]
    ways = scores.groupby("towards", sort=False)
    parts = [Part(pictures=tuple(_scores_picture(rows, towards) for towards, rows in ways))]
    for (layer, towards), rows in table.groupby(["layer", "towards"], sort=False):
        n = rows["class"].nunique()
        drawn = picture(
            lambda figure, rows=rows: plot_class_control(rows, figure=figure),
            size=(WIDE, 5.0),
            caption=(
                f"Layer {layer}: accuracy in % that is left of a class and of others, means over "
                f"n = {n} classes, on images for tests, when a dose of channels is removed "
                f"(ablated) or kept alone (preserved); removed channels go to {towards}."
            ),
            alt=f"Dose curves of class control in layer {layer}, towards {towards}.",
            data=("control.csv",),
        )
        parts.append(Part(title=f"Layer {layer}, towards {towards}", pictures=(drawn,)))
    parts.append(Part(tables={"Costs by dose": _of_accuracy(tables["control_costs"])}))
    lead = (
        "The channels that a choice finds most important for a class are removed, or kept alone: "
        "what does it cost the class, and others? Choices are made on images for selection, costs "
        "measured on the others; classes and images are the same at all doses. Contributions are "
        "relative to grey, so they say what removing towards grey does; removing towards zero is "
        "another question."
    )
    return Section(name="control", title="Control of classes", lead=lead, parts=tuple(parts))


def superclass_section(tables: Tables) -> Section:
    """Control of sets of classes."""
    table = tables["superclass"]
    names = ", ".join(dict.fromkeys(table["class"].astype(str)))
    doses = sorted(set(table["dose"]))
    lead = (
        f"As for classes, with sets of classes and in all tested layers at once. Sets: {names}. An "
        "image is right if its own class wins."
    )
    shown = {
        "Costs by dose": _of_accuracy(tables["superclass_costs"]),
        "Sets": table[table["kind"] == "ablated"],
    }
    n_sets = table["class"].nunique()
    drawn = picture(
        lambda figure: plot_class_control(table, figure=figure),
        size=(WIDE, 5.0),
        caption=(
            f"Accuracy in % that is left of a set and of other classes, means over n = {n_sets} "
            "sets, "
            f"on images for tests, at the doses {', '.join(f'{d:.0%}' for d in doses)}; removed "
            f"channels go to {table['towards'].iloc[0]}."
        ),
        alt="Accuracy left of sets of classes and of others.",
        data=("superclass.csv",),
    )
    part = Part(pictures=(drawn,), tables=shown)
    return Section(name="superclass", title="Superclasses", lead=lead, parts=(part,))


def map_section(
    tables: Tables, gallery: Maps | None, pictures: Mapping[int, np.ndarray]
) -> Section:
    """Where modes act in images."""
    shown = np.stack([pictures[i] for i in sorted(pictures)])
    place = {sample: i for i, sample in enumerate(sorted(pictures))}
    maps = _renumbered(gallery, place)
    n_modes = maps.items["mode"].nunique()
    strongest = np.flatnonzero(maps.items["rank"] == 0).tolist()
    summary = tables["insertion_summary"]
    n_images = int(summary["n_images"].iloc[0])
    drawn = (
        picture(
            lambda figure: plot_gallery(maps, shown, figure=figure),
            size=(WIDE, 1.0 + 1.5 * n_modes),
            caption=(
                f"Layer {maps.layer}: n = {n_modes} modes (rows) that go best with a class, in the "
                "images that excite them most, the last ones of other classes. Lit: the 10 % of "
                "the pixels through which the mode raised the target most."
            ),
            alt="Gallery of images lit where modes act.",
            data=("gallery.nc",),
        ),
        picture(
            lambda figure: plot_maps(maps, shown, items=strongest, figure=figure),
            size=(WIDE, 1.2 + 1.4 * len(strongest)),
            caption=(
                f"The image that excites each of n = {len(strongest)} modes most: what raises "
                "the target through it, and "
                "what lowers the target, in units of the target, one scale for each row."
            ),
            alt="Maps of the positive and negative parts of modes.",
            data=("gallery.nc",),
        ),
    )
    scored = picture(
        lambda figure: plot_insertion(
            tables["insertion"], summary, method=ALL_MODES, figure=figure
        ),
        size=(WIDE, 5.4),
        caption=(
            f"Probability (no unit) of the predicted class, n = {n_images} images, when pixels "
            "appear on "
            "grey or vanish in the order of a map; below, the advantage of the maps of all modes "
            "over others with its 95 % interval over images (above 0 is better)."
        ),
        alt="Insertion and deletion curves of maps, and advantages.",
        data=(
            "insertion.csv",
            "insertion_summary.csv",
        ),
    )
    parts = (
        Part(title="Modes in images", pictures=drawn),
        Part(
            title="How good the maps are",
            pictures=(scored,),
            tables={
                "Regions of modes": tables["regions_summary"],
                "Overlap of regions": tables["overlap_summary"],
            },
        ),
    )
    lead = (
        "What each pixel did to the target through the channels of a mode: gradient through these "
        "channels times the difference from grey."
    )
    return Section(name="maps", title="Modes in images", lead=lead, parts=parts)


def steering_section(tables: Tables, names: Sequence[str]) -> Section:
    """Scale modes, and change predictions."""
    parts = []
    if "steering" in tables:
        for class_, rows in tables["steering"].groupby("of_class", sort=False):
            rows = rows.assign(**{"class": names[int(class_)]})
            n_images = int(rows["n_images"].iloc[0])
            drawn = picture(
                lambda figure, rows=rows: plot_steering(rows, ax=figure.subplots()),
                size=(4.6, 2.8),
                caption=(
                    f"Mean probability (no unit) of class {names[int(class_)]} in n = {n_images} "
                    "of its "
                    "images when its mode is scaled, beside the same amounts of random channels "
                    "(95 %)."
                ),
                alt=f"Probability of class {names[int(class_)]} over the factor of its mode.",
                data=("steering.csv",),
            )
            parts.append(Part(title=f"Class {names[int(class_)]}", pictures=(drawn,)))
    flips = tables["flips"]
    drawn = picture(
        lambda figure: plot_flips(flips, ax=figure.subplots()),
        size=(4.6, 2.8),
        caption=(
            f"Share in % of n = {len(flips)} images whose predicted class changes when so many "
            "modes "
            "are removed: the fewest found, modes in random order, and the same search with shares "
            "of random channels."
        ),
        alt="Share of images with another class over the number of modes removed.",
        data=("flips.csv",),
    )
    parts.append(Part(title="Modes that change a prediction", pictures=(drawn,)))
    lead = "Modes are scaled at inference: factor 0 removes a mode, 2 doubles it."
    return Section(name="steering", title="Steering", lead=lead, parts=tuple(parts))


def sweep_section(tables: Tables) -> Section:
    """Other settings and seeds."""
    parts = [
        Part(
            title=f"Layer {layer}",
            pictures=(
                picture(
                    lambda figure, rows=rows: plot_sweep(rows, figure=figure),
                    size=(WIDE, 5.2),
                    caption=(
                        f"Layer {layer}: what each of n = {rows['setting'].nunique()} settings "
                        "gives (no "
                        "unit), one point for each seed; grey: "
                        "modes of shuffled features, or other classes."
                    ),
                    alt=f"Results of the settings of the decomposition in layer {layer}.",
                    data=("sweep.csv",),
                ),
            ),
        )
        for layer, rows in tables["sweep"].groupby("layer", sort=False)
    ]
    lead = (
        "The decomposition with other settings and seeds. Agreement compares modes with those of "
        "the first fit; a setting whose seeds do not agree has modes that are not to be trusted."
    )
    return Section(name="sweep", title="Settings and seeds", lead=lead, parts=tuple(parts))


SECTIONS: Mapping[str, Callable[[Tables], Section]] = {
    "layers": layer_section,
    "classes": class_section,
    "contrast": contrast_section,
    "heads": head_section,
    "control": control_section,
    "superclass": superclass_section,
    "sweep": sweep_section,
}


def _scores_picture(scores: pd.DataFrame, towards: str) -> Picture:
    return picture(
        lambda figure: plot_control_scores(scores, figure=figure),
        size=(WIDE, 3.4),
        caption=(
            f"Removed towards {towards}, in n = {scores['layer'].nunique()} layers: area (no unit) "
            f"under the dose curve of the class less that of "
            "others, with 95 % (classes drawn again). Ablated: below 0, the class loses more. "
            "Preserved: above 0, the class keeps more."
        ),
        alt=f"Scores of class control by layer and choice of channels, towards {towards}.",
        data=("control_scores.csv",),
    )


def _of_accuracy(costs: pd.DataFrame) -> pd.DataFrame:
    return costs[costs["measure"] == "accuracy"].drop(columns="measure")


def _renumbered(gallery: Maps, place: Mapping[int, int]) -> Maps:
    return replace(gallery, items=gallery.items.assign(sample=gallery.items["sample"].map(place)))
