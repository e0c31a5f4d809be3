"""The causal parts of the analysis of an image network, on images that chose nothing."""

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pandas as pd

from retina_codec import causal, receptive_fields
from retina_codec.causal import Ranking, control_costs, control_scores
from retina_codec.contributions import of_probabilities, top_class
from retina_codec.datatypes import Maps, Modes
from retina_codec.statistics import class_correlations

from ._image_run import ACTIVATIONS, CONTRIBUTIONS, ImageRun
from ._kept import kept

Tables = dict[str, pd.DataFrame]
FIRST = "contribution mode"
ALL_MODES = "modes"
SUPERCLASS_DOSES = (0.09, 0.37)
FEW = 4
FLIP_CONTROLS = 2
SMOOTHING = 4.0
SMALL = 32
"""Side in pixels below which images are too small to be blurred or cut into squares of 8."""


def control_part(run: ImageRun) -> Tables:
    """Remove, or keep alone, the channels of class modes, beside seven other choices."""
    if not run.classes:
        return {}

    def controlled(layer, towards):
        return causal.class_control(
            run.known.network,
            run.images_for_tests,
            run.labels[run.test],
            layer=layer,
            rankings=rankings_of(run, layer, run.labels),
            classes=run.classes,
            doses=run.config.doses,
            towards=run.config.replacement(towards),
            n_random=run.config.n_random,
            n_others=run.config.n_others,
            channel_axis=run.known.channel_axis,
            seed=run.config.seed,
            progress=run.progress,
        ).assign(towards=towards)

    pairs = list(product(run.test_layers, run.config.towards))
    return _with_scores(run, "control", lambda: pd.concat([controlled(*pair) for pair in pairs]))


def superclass_part(run: ImageRun) -> Tables:
    """Control sets of classes in all tested layers at the same time."""
    sets = run.sets
    if not sets:
        return {}
    labels = causal.in_sets(run.labels, sets)

    def controlled():
        return causal.superclass_control(
            run.known.network,
            run.images_for_tests,
            run.labels[run.test],
            rankings={layer: rankings_of(run, layer, labels) for layer in run.test_layers},
            sets=sets,
            doses=SUPERCLASS_DOSES,
            towards=run.config.replacement(),
            n_random=run.config.n_random,
            n_others=run.config.n_others,
            channel_axis=run.known.channel_axis,
            seed=run.config.seed,
            progress=run.progress,
        ).assign(towards=run.config.towards[0])

    return _with_scores(run, "superclass", controlled)


def rankings_of(run: ImageRun, layer: str, labels: np.ndarray) -> dict[str, Ranking]:
    """Ways to say which channels matter for a class, chosen on the images for selection."""
    index = np.flatnonzero(run.selection)
    modes, others = (run.modes[kind][layer] for kind in (CONTRIBUTIONS, ACTIVATIONS))
    return {
        FIRST: causal.by_class_mode(modes, labels, index=index),
        "contribution modes": causal.by_summed_class_modes(modes, labels, index=index),
        "activation mode": causal.by_class_mode(others, labels, index=index),
        "mean contribution": causal.by_class_mean(run.explained[layer], labels, index=index),
        "mean activation": causal.by_class_mean(run.activations[layer], labels, index=index),
        "activation x gradient": causal.by_gradient(run.gradients[layer], labels, index=index),
    }


def maps_part(run: ImageRun) -> Tables:
    """Where in images modes act, and how good such maps are beside others."""
    layer = run.map_layer
    common = {
        "contributions": run.explained[layer],
        "modes": run.modes[CONTRIBUTIONS][layer],
        "channel_axis": run.known.channel_axis,
    }
    items = gallery_of(run, common["modes"])
    if len(items) < 2:
        return {}
    target, index = of_probabilities(top_class()), run.mapped
    images = np.asarray(run.images[index])
    block, smoothing = (8, SMOOTHING) if images.shape[-1] > SMALL else (1, 0.0)

    def mapped():
        return receptive_fields.gallery_maps(
            run.known.network, run.images, items, target=top_class(), smoothing=smoothing, **common
        )

    gallery = kept(run.out / "gallery.nc", mapped)

    def inserted():
        table = causal.insertion_deletion(
            run.known.network,
            images,
            saliency_maps(run, images, index, common),
            target=target,
            block=block,
            seed=run.config.seed,
            progress=run.progress,
        )
        return table.assign(sample=index[table["sample"]])

    def regions():
        return causal.region_effects(
            run.known.network,
            run.images,
            gallery,
            target=target,
            seed=run.config.seed,
            progress=run.progress,
        )

    tables = {
        "insertion": run.table("insertion", inserted),
        "regions": run.table("regions", regions),
        "overlap": run.table("overlap", lambda: overlaps(run, gallery, common)),
    }
    summaries = {
        "insertion_summary": causal.insertion_summary,
        "regions_summary": causal.region_summary,
        "overlap_summary": _summary_of_overlaps,
    }
    for name, summary in summaries.items():
        table = tables[name.removesuffix("_summary")]
        tables[name] = run.table(name, lambda summary=summary, table=table: summary(table))
    return tables


def gallery_of(run: ImageRun, modes: Modes) -> pd.DataFrame:
    """Modes of the class with most images, and images for tests in which they are most active."""
    return receptive_fields.gallery_items(
        modes,
        run.labels,
        class_=run.shown_class,
        n_modes=FEW,
        n_images=FEW,
        n_others=2,
        class_names=run.names,
        chosen_on=run.selection,
        shown_in=~run.selection,
    )


def overlaps(run: ImageRun, gallery: Maps, common: Mapping) -> pd.DataFrame:
    """Overlap of the maps of all modes of the gallery in all its images, beside shuffled shares."""
    where = {
        "index": np.unique(gallery.items["sample"].to_numpy()),
        "which": np.unique(gallery.items["mode"].to_numpy()),
        "target": top_class(),
        "smoothing": gallery.settings["smoothing"],
    }
    found = []
    for shares, control in (("of modes", None), ("shuffled", run.config.seed)):
        maps = receptive_fields.mode_maps(
            run.known.network, run.images, control=control, **where, **common
        )
        found.append(receptive_fields.map_overlap(maps).assign(shares=shares))
    return pd.concat(found)


def _summary_of_overlaps(table: pd.DataFrame) -> pd.DataFrame:
    kinds = table.groupby("shares", sort=False)
    return pd.concat(
        [receptive_fields.overlap_summary(rows).assign(shares=shares) for shares, rows in kinds]
    )


def saliency_maps(run: ImageRun, images, index, common: Mapping) -> dict[str, np.ndarray]:
    """Map the same images by all modes together and by rivals, by name."""

    def of_modes(**how):
        modes = common["modes"]
        every = range(len(modes.dictionary))
        how["channel_axis"] = common["channel_axis"]
        return receptive_fields.mode_map(
            common["contributions"], modes, which=every, index=index, **how
        )

    rivals: dict[str, Callable] = {
        ALL_MODES: of_modes(),
        "gradient x input": receptive_fields.gradient_times_input,
        "integrated gradients": receptive_fields.integrated_gradients_map(),
        "edges": receptive_fields.edge_map,
        "middle": receptive_fields.centre_map,
    }
    if run.known.channel_axis == 1:
        rivals["modes, at the layer"] = of_modes(seen_at=receptive_fields.at_units)
        rivals["Grad-CAM"] = receptive_fields.grad_cam(run.map_layer)
    return {name: make(run.known.network, images, top_class()) for name, make in rivals.items()}


def steering_part(run: ImageRun) -> Tables:
    """Scale modes of classes up and down, and find the fewest that change a prediction."""
    layer = run.map_layer
    modes = run.modes[CONTRIBUTIONS][layer]

    def steered():
        r = class_correlations(np.asarray(modes.loadings)[run.selection], run.labels[run.selection])
        found = []
        for class_ in run.classes[:FEW]:
            found.append(_steering(run, modes, int(np.argmax(r[:, class_])), class_))
        return pd.concat(found)

    def flipped():
        return causal.flipping_modes(
            run.known.network,
            run.images,
            run.explained[layer],
            modes,
            index=run.mapped,
            towards=run.config.replacement(),
            n_controls=FLIP_CONTROLS,
            channel_axis=run.known.channel_axis,
            seed=run.config.seed,
            progress=run.progress,
        )

    found = {"flips": run.table("flips", flipped)}
    return ({"steering": run.table("steering", steered)} if run.classes else {}) | found


def _steering(run: ImageRun, modes, mode: int, class_: int) -> pd.DataFrame:
    shown = run.test[run.labels[run.test] == class_][: run.config.n_others]
    table = causal.steering_curve(
        run.known.network,
        run.images[shown],
        modes,
        mode=mode,
        classes=[class_],
        towards=run.config.replacement(),
        channel_axis=run.known.channel_axis,
        seed=run.config.seed,
    )
    return table.assign(of_class=class_, layer=modes.layer)


def _with_scores(run: ImageRun, name: str, make: Callable[[], pd.DataFrame]) -> Tables:
    table = run.table(name, make)
    return {
        name: table,
        f"{name}_scores": run.table(f"{name}_scores", lambda: _by_way(table, control_scores)),
        f"{name}_costs": run.table(f"{name}_costs", lambda: _by_way(table, control_costs)),
    }


def _by_way(table: pd.DataFrame, make: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Make a table for each way to remove channels."""
    ways = table.groupby("towards", sort=False)
    return pd.concat([make(rows).assign(towards=towards) for towards, rows in ways])
