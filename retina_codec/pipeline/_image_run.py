"""A run on images: what its parts need, made when it is needed and kept in the folder."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int

from retina_codec.causal import in_sets
from retina_codec.contributions import (
    Pooling,
    activation_times_gradient,
    activations,
    by_sign,
    contrast_top2,
    integrated_gradients,
    is_finished,
    load_contributions,
    matching_layers,
    name_of,
    tokens_by_sign,
    top_class,
)
from retina_codec.contributions.store import hash_of, parts_of
from retina_codec.datatypes import Contributions, Modes
from retina_codec.decomposition import Decomposition, decompose_alike
from retina_codec.networks import ImageNetwork, images_for, load_image_network, predict
from retina_codec.statistics import agglomerative, doubtful_labels, random_held_out
from retina_codec.stimuli import ImageFolder, Preparation, digits

from ._config import method_named
from ._image_config import DIGITS, ImageConfig
from ._kept import kept, kept_table
from ._modes import file_name, modes_of
from ._run_folder import keep_settings

log = logging.getLogger(__name__)

BATCH = 32
FEWEST_MODES = 8
SOME_IMAGES = 8
SPARSITY = "smallest_loading"
CONTRIBUTIONS, ACTIVATIONS = "contribution modes", "activation modes"


@dataclass(frozen=True)
class ImageRun:
    """Images, a network, and everything that was made of them; each thing is made once.

    Attributes
    ----------
    config, out
        What to do, and the folder where it is kept.
    known
        The network, and how to use it.
    images, labels
        Samples, and the class of each one; -1 where nobody knows.
    selection
        Images on which classes, modes and channels are chosen; the others are for tests.
    progress
        Whether to show bars.

    Examples
    --------
    >>> from retina_codec.pipeline import images_of_run
    >>> run = images_of_run("my_run")  # doctest: +SKIP
    >>> [name for name in vars(ImageRun) if name in ("layers", "modes", "test")]
    ['layers', 'test', 'modes']
    """

    config: ImageConfig
    out: Path
    known: ImageNetwork
    images: Any
    labels: Int[np.ndarray, " sample"]
    selection: Bool[np.ndarray, " sample"]
    progress: bool

    @cached_property
    def layers(self) -> tuple[str, ...]:
        """Layers that are explained."""
        return matching_layers(self.known.network, self.config.layers or self.known.layers)

    @cached_property
    def test_layers(self) -> tuple[str, ...]:
        """Layers whose modes are tested causally, mapped and swept."""
        if self.config.test_layers:
            return matching_layers(self.known.network, self.config.test_layers)
        n_layers, n_tested = len(self.layers), min(self.config.n_test_layers, len(self.layers))
        at = n_layers - 1 - np.arange(n_tested) * n_layers // n_tested
        return tuple(self.layers[i] for i in sorted(at.tolist()))

    @cached_property
    def test(self) -> Int[np.ndarray, " n"]:
        """Numbers of the images for tests."""
        return np.flatnonzero(~self.selection)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row for each image: its label, what the network says, and how sure it is."""
        return self.table("predictions", self._predicted)

    @cached_property
    def contributions(self) -> dict[str, dict[str, Contributions]]:
        """By target (what is explained, and the contrast of the two best classes) and layer."""
        targets = (self.config.make_target(), contrast_top2())
        return self._stored(
            "contributions.zarr",
            lambda store: integrated_gradients(
                self.known.network,
                self.images,
                layers=self.layers,
                target=targets,
                n_steps=self.config.n_steps,
                rule=self.rule,
                pooling=self.pooling,
                store=store,
                progress=self.progress,
            ),
        )

    @cached_property
    def explained(self) -> dict[str, Contributions]:
        """Contributions to the target of the run, by layer."""
        return self.contributions[name_of(self.config.make_target())]

    @cached_property
    def activations(self) -> dict[str, Contributions]:
        """Activations, pooled like contributions, by layer."""
        return self._attributed("activations.zarr", activations)

    @cached_property
    def gradients(self) -> dict[str, Contributions]:
        """Activations times gradients of the top class, by layer."""
        return self._attributed("gradients.zarr", activation_times_gradient)

    @cached_property
    def modes(self) -> dict[str, dict[str, Modes]]:
        """By kind (of contributions, or of activations equally sparse) and layer."""
        found: dict[str, dict[str, Modes]] = {CONTRIBUTIONS: {}, ACTIVATIONS: {}}
        for layer in self.layers:
            modes = kept(
                self.out / f"modes_{file_name(layer)}.nc",
                lambda layer=layer: modes_of(
                    self.explained[layer],
                    self.method_for(self.explained[layer]),
                    self.config.seed,
                    held_out=~self.selection,
                ),
            )
            alike = kept(
                self.out / f"activation_modes_{file_name(layer)}.nc",
                lambda layer=layer, modes=modes: self._alike(self.activations[layer], modes),
            )
            found[CONTRIBUTIONS][layer], found[ACTIVATIONS][layer] = modes, alike
        return found

    def method_for(self, record: Contributions) -> Decomposition:
        """Return the decomposition; by default it begins with a mode for every four images."""
        method = method_named(self.config.method)
        most = max(FEWEST_MODES, min(len(record.channel), int(self.selection.sum()) // 4))
        if "n_modes" in method.get_params():
            method.set_params(n_modes=self.config.n_modes or most)
        return method

    def table(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """Return the table that lies in the folder, or make it and put it there."""
        return kept_table(self.out / f"{name}.csv", make)

    @property
    def pooling(self) -> Pooling:
        """How units become features."""
        return by_sign if self.known.channel_axis == 1 else tokens_by_sign()

    @property
    def rule(self) -> str | None:
        """Secants where they can follow the network; they have hardly a gap after few steps."""
        return "secant" if self.known.channel_axis == 1 else "trapezoid"

    @property
    def names(self) -> tuple[str, ...]:
        """Short name of each class."""
        return tuple(name.split(",")[0] for name in self.known.class_names)

    @cached_property
    def classes(self) -> list[int]:
        """Classes that are controlled: those with most images, of two for each side at least."""
        chosen, tested = (
            np.bincount(self.labels[part & (self.labels >= 0)], minlength=len(self.names))
            for part in (self.selection, ~self.selection)
        )
        fewest = np.minimum(chosen, tested)
        order = np.argsort(-fewest, kind="stable")[: self.config.n_classes]
        return sorted(int(c) for c in order if fewest[c] >= 2)

    @property
    def has_classes(self) -> bool:
        """Whether several classes have images on both sides."""
        return len(self.classes) > 1

    @property
    def knows_classes(self) -> bool:
        """Whether images for selection, and those for tests, show at least two classes."""
        return all(
            len(np.unique(self.labels[part & (self.labels >= 0)])) > 1
            for part in (self.selection, ~self.selection)
        )

    @cached_property
    def shown_class(self) -> int:
        """The class with most images on the side that has fewer of it, or else for selection."""
        chosen, tested = (
            np.bincount(self.labels[part & (self.labels >= 0)], minlength=len(self.names))
            for part in (self.selection, ~self.selection)
        )
        on_both = np.minimum(chosen, tested)
        return int((on_both if on_both.any() else chosen).argmax())

    @property
    def map_layer(self) -> str:
        """Layer whose modes are mapped and steered: the last but one that is tested."""
        return self.test_layers[-2:][0]

    @cached_property
    def mapped(self) -> Int[np.ndarray, " n"]:
        """Images for tests that are looked at one by one, evenly spread."""
        n = min(self.config.n_maps, len(self.test))
        return self.test[np.linspace(0, len(self.test) - 1, n).astype(int)]

    @property
    def nobody_labelled(self) -> bool:
        """Whether what the network says was taken for the classes."""
        return bool((np.asarray(getattr(self.images, "labels", self.labels)) < 0).all())

    @property
    def images_for_tests(self) -> Any:
        """Images that chose nothing."""
        return self.some(self.test)

    def some(self, index: Int[np.ndarray, " n"]) -> Any:
        """Return some of the images as samples; those of a folder are read when they are needed."""
        return (
            self.images.subset(index)
            if isinstance(self.images, ImageFolder)
            else self.images[index]
        )

    @cached_property
    def sets(self) -> dict[str, list[int]]:
        """Superclasses: those that were named, or classes that the network finds alike."""
        return self.config.superclasses or self._alike_classes()

    def picture(self, index: Sequence[int]) -> Float[np.ndarray, "sample y x *colour"]:
        """Images as people see them, from 0 to 1."""
        seen = np.moveaxis(np.asarray(self.images[np.asarray(index)], dtype=float), 1, -1)
        prepare = self.known.prepare
        if isinstance(prepare, Preparation):
            shown = seen * prepare.std + prepare.mean
        else:
            shown = (seen - seen.min()) / max(np.ptp(seen), np.finfo(float).tiny)
        shown = np.clip(shown, 0, 1)
        return shown[..., 0] if shown.shape[-1] == 1 else shown

    def _alike(self, record: Contributions, modes: Modes) -> Modes:
        """Decompose equally sparsely, where the method has a setting for that."""
        method = self.method_for(record)
        if SPARSITY in method.get_params():
            return decompose_alike(record, method, modes, parameter=SPARSITY)
        return modes_of(record, method, self.config.seed, held_out=~self.selection)

    def _alike_classes(self) -> dict[str, list[int]]:
        """Group classes by the mean output of the network at their images for selection."""
        if len(self.classes) < 4:
            return {}
        index = np.flatnonzero(self.selection & np.isin(self.labels, self.classes))
        outputs = predict(self.known.network, self.some(index), batch_size=BATCH)
        means = np.stack([outputs[self.labels[index] == c].mean(axis=0) for c in self.classes])
        groups = agglomerative(means, max(2, len(self.classes) // 3), self.config.seed)
        sets = [
            [c for c, g in zip(self.classes, groups, strict=True) if g == n] for n in set(groups)
        ]
        return {" + ".join(self.names[c] for c in one): one for one in sets if len(one) > 1}

    def _stored(self, name: str, make) -> dict[str, dict[str, Contributions]]:
        """Open a store of contributions, which is made or finished first."""
        if not is_finished(self.out / name):
            make(self.out / name)
        return load_contributions(self.out / name)

    def _attributed(self, name: str, attribution) -> dict[str, Contributions]:
        found = self._stored(
            name,
            lambda store: attribution(
                self.known.network,
                self.images,
                layers=self.layers,
                target=[top_class()],
                pooling=self.pooling,
                store=store,
                progress=self.progress,
            ),
        )
        return found[name_of(top_class())]

    def _predicted(self) -> pd.DataFrame:
        outputs = torch.from_numpy(predict(self.known.network, self.images, batch_size=BATCH))
        p = outputs.double().softmax(dim=1).numpy()
        best, rows = p.argmax(axis=1), np.arange(len(p))
        doubtful = doubtful_labels(p.astype(np.float32), self.labels)
        paths = getattr(self.images, "paths", rows)
        return pd.DataFrame(
            {
                "file": [getattr(path, "name", str(path)) for path in paths],
                "label": self.labels,
                "predicted": best,
                "name": [self.names[c] for c in best],
                "probability": p[rows, best],
                "label_probability": np.where(self.labels >= 0, p[rows, self.labels], np.nan),
                "doubtful": np.isin(rows, doubtful["sample"]),
                "for": np.where(self.selection, "selection", "test"),
            }
        )


def open_images(config: ImageConfig, out: Path, *, progress: bool = True) -> ImageRun:
    """Load network and images, and begin a run in a folder, or go on with it.

    Raises
    ------
    ValueError
        If the settings, the images and the network do not fit, or the folder holds another run.
    OSError
        If there are no such images, or the folder cannot be written.
    """
    known = load_image_network(config.network)
    images, labels, selection = samples_of(config, known)
    if (labels < 0).all():
        log.info("no picture has a label: what the network says is taken for the class")
        labels = predict(known.network, images, batch_size=BATCH).argmax(axis=1)
    found = ImageRun(config, out, known, images, labels, selection, progress)
    check_layers(found)
    config.check_classes(len(known.class_names))
    in_sets(labels, config.superclasses)
    inputs = {
        "images": fingerprint_of(images),
        "pixels of some images": hash_of([np.asarray(images[some_of(len(images))])]),
        "network": hash_of(parts_of(known.network)),
    }
    keep_settings(config, out, inputs)
    return found


def some_of(n: int) -> Int[np.ndarray, " n"]:
    """Numbers of some images, evenly spread: what they look like tells how they were prepared."""
    return np.unique(np.linspace(0, n - 1, SOME_IMAGES).astype(int))


def check_layers(run: ImageRun) -> None:
    """Raise an error if no layer is explained, or one that is tested is not explained."""
    if not run.layers:
        msg = f"{run.known.name} does not say which layers to explain. Name some with --layer."
        raise ValueError(msg)
    missing = [layer for layer in run.test_layers if layer not in run.layers]
    if missing:
        msg = (
            f"Layer {missing[0]!r} is to be tested but not explained. Expected some of: "
            f"{', '.join(run.layers)}. Name it with --layer too."
        )
        raise ValueError(msg)


def samples_of(config: ImageConfig, known: ImageNetwork) -> tuple[Any, np.ndarray, np.ndarray]:
    """Images as samples, their labels, and which of them are for selection."""
    if config.images == DIGITS:
        (first, labels), (second, more) = digits("selection"), digits("test")
        selection = np.arange(len(labels) + len(more)) < len(labels)
        return np.concatenate([first, second]), np.concatenate([labels, more]), selection
    folder = images_for(known, config.images).readable()
    if len(folder) < 2:
        msg = f"Expected pictures to choose on and others to test on, got {len(folder)}. Add more."
        raise ValueError(msg)
    labels = np.asarray(folder.labels)
    held_out = random_held_out(len(folder), config.test_share, seed=config.seed, labels=labels)
    return folder, labels, ~held_out


def fingerprint_of(images: Any) -> str:
    """Return what tells some images from others: names and sizes of files, or pixels."""
    paths = getattr(images, "paths", None)
    if paths is None:
        return hash_of([images])
    facts = [(path.parent.name, path.name, path.stat().st_size) for path in paths]
    return hash_of([json.dumps([facts, np.asarray(images.labels).tolist()]).encode()])
