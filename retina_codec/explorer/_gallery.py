"""A finished run on images, opened to be looked at: classes, their modes, pictures of a mode."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retina_codec.datatypes import Maps, Modes, did_you_mean
from retina_codec.pipeline import ImageConfig, ImageRun, images_of_run
from retina_codec.receptive_fields import gallery_maps

from ._layer import lazy
from ._view import number_in

N_PICTURES = 6
N_MODES = 4
MOST_OF_CLASS = 12
SMALL, SMOOTHING = 32, 2.0
LEAST_R, MOST_Q = 0.2, 0.05
CONTRIBUTION_MODES = "contribution modes"


@dataclass(frozen=True)
class GalleryView:
    """What is looked at in a run on images.

    Attributes
    ----------
    layer
        Whose modes are shown.
    label
        Number of the class whose modes are listed.
    mode
        Number of the mode; None where none is chosen yet.

    Examples
    --------
    >>> view = GalleryView(layer="block3", label=7, mode=2)
    >>> view.query(), view.code()
    ({'layer': 'block3', 'class': '7', 'mode': '2'}, "GalleryView(layer='block3', label=7, mode=2)")
    """

    layer: str
    label: int
    mode: int | None = None

    def query(self) -> dict[str, str]:
        """Return the view as words for the address of a page."""
        given = {"layer": self.layer, "class": self.label, "mode": self.mode}
        return {name: f"{value}" for name, value in given.items() if value is not None}

    def code(self) -> str:
        """Return the line of Python that makes this view."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return f"GalleryView({', '.join(f'{name}={value!r}' for name, value in given.items())})"


@dataclass(frozen=True, eq=False)
class ExploredImages:
    """A finished run of `pipeline.run_images`, opened by `open_gallery`.

    Attributes
    ----------
    folder
        Of the run.
    run
        Its network, images and contributions.
    network
        The network that was named again, where it is code; None elsewhere.

    Examples
    --------
    >>> import retina_codec as rc
    >>> run = rc.explorer.open_gallery("my_run")  # doctest: +SKIP
    >>> run.modes_of_class(run.first_view())[["mode", "r"]]  # doctest: +SKIP
    >>> rc.explorer.open_gallery("not_begun")
    Traceback (most recent call last):
    ValueError: ... holds no run: ...
    """

    folder: Path
    run: ImageRun
    network: str | None = None
    _tables: dict[str, pd.DataFrame | None] = field(default_factory=dict, repr=False)
    _mapped: dict[tuple[str, int | None], Maps] = field(default_factory=dict, repr=False)

    @cached_property
    def layers(self) -> dict[str, Modes]:
        """Modes of each layer, in the order of the network; large loadings stay in the files."""
        found = [lazy(path, "Modes") for path in self.folder.glob("modes_*.nc")]
        by_name = {modes.layer: modes for modes in found}
        return {name: by_name[name] for name in self.run.layers if name in by_name}

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.run.names

    @cached_property
    def shown_classes(self) -> list[int]:
        """Classes that are in some image, by number."""
        return np.unique(self.run.labels[self.run.labels >= 0]).tolist()

    def first_view(self) -> GalleryView:
        """Return the view to begin with: the class with most images in the layer that is mapped."""
        layer = self.run.map_layer
        name = layer if layer in self.layers else next(iter(self.layers))
        return self.with_mode(GalleryView(layer=name, label=self.run.shown_class))

    def with_mode(self, view: GalleryView) -> GalleryView:
        """Return the view; one without a mode with the mode that goes most with its class."""
        if view.mode is not None:
            return view
        return replace(view, mode=int(self.modes_of_class(view)["mode"].iloc[0]))

    def is_tested(self, view: GalleryView) -> bool:
        """Return whether images for tests show the class in view."""
        return bool((self.run.labels[self.run.test] == view.label).any())

    @property
    def config(self) -> ImageConfig:
        """Settings of the run."""
        return self.run.config

    def is_beside(self, other: Any) -> bool:
        """Return whether the other run explains the same images."""
        return (
            isinstance(other, ExploredImages)
            and self.config.images == other.config.images
            and np.array_equal(self.run.labels, other.run.labels)
        )

    def nearest(self, view: GalleryView) -> GalleryView:
        """Return the view, or as much of it as there is in this run."""
        for attempt in (view, replace(view, mode=None)):
            try:
                return self.checked(attempt)
            except ValueError:
                continue
        return self.first_view()

    def checked(self, view: GalleryView) -> GalleryView:
        """Return the view.

        Raises
        ------
        ValueError
            If there is no such layer, class or mode.
        """
        if view.layer not in self.layers:
            guess = did_you_mean(view.layer, self.layers)
            msg = f"No layer {view.layer!r} in this run; it has {', '.join(self.layers)}.{guess}"
            raise ValueError(msg)
        if view.label not in self.shown_classes:
            msg = f"No image shows class {view.label}; they show {_listed(self.shown_classes)}."
            raise ValueError(msg)
        n_modes = len(self.layers[view.layer].dictionary)
        if view.mode is not None and not 0 <= view.mode < n_modes:
            msg = f"No mode {view.mode} in layer {view.layer!r}; it has {n_modes}, from 0."
            raise ValueError(msg)
        return view

    def modes_of_class(self, view: GalleryView) -> pd.DataFrame:
        """Return the modes whose loadings go with the class in view, the closest first.

        Returns
        -------
        One row for each mode: `mode`, `r` of its loading with being of the class (in images for
        tests), and whether it is a `class_mode` (chosen on the other images).
        """
        modes, here = self.layers[view.layer], self.run.test
        loadings = np.asarray(modes.loadings)[here]
        r = _correlation(loadings, self.run.labels[here] == view.label)
        table = pd.DataFrame({"mode": range(len(r)), "r": r})
        table["class_mode"] = table["mode"].isin(self._class_modes(view))
        return table.sort_values("r", ascending=False, kind="stable").head(MOST_OF_CLASS)

    def strongest(self, view: GalleryView) -> pd.DataFrame:
        """Return the images that excite the mode in view most.

        Returns
        -------
        One row for each: `mode`, `rank`, `sample`, `loading`, `label`, `name`, `of_class`.
        """
        loading = np.asarray(self.layers[view.layer].loadings[:, view.mode])
        sample = np.argsort(-loading, kind="stable")[:N_PICTURES]
        sample = sample[loading[sample] > 0]
        labels = self.run.labels[sample]
        names = [self.names[k] if k >= 0 else "no label" for k in labels]
        table = {"rank": range(len(sample)), "sample": sample, "loading": loading[sample]}
        table |= {"class": labels, "name": names, "of_class": (labels == view.label).astype(int)}
        return pd.DataFrame({"mode": view.mode, **table})

    def maps(self, view: GalleryView) -> Maps | None:
        """Map the mode in view in its strongest images; None where it is in none."""
        items, of = self.strongest(view), (view.layer, view.mode)
        if items.empty:
            return None
        if of not in self._mapped:
            self._mapped[of] = self._maps(view, items)
        found = self._mapped[of]
        of_class = items["of_class"].to_numpy()
        return replace(found, items=found.items.assign(of_class=of_class))

    def pictures(self, sample: Any) -> dict[int, np.ndarray]:
        """Return images as people see them, by number."""
        index = sorted({int(one) for one in sample})
        return dict(zip(index, self.run.picture(index), strict=True))

    def effect(self, view: GalleryView) -> str:
        """Say what removing the mode, or the modes of the class in view, did to it."""
        said = [self._steered(view), self._controlled(view)]
        return " ".join(one for one in said if one) or "The run did not remove this mode."

    def warm(self) -> None:
        """Do once what takes long the first time, so that the first click is as fast as others."""
        view = self.first_view()
        self.maps(view), self.effect(view)

    def _maps(self, view: GalleryView, items: pd.DataFrame) -> Maps:
        small = np.asarray(self.run.images[:1]).shape[-1] <= SMALL
        return gallery_maps(
            self.run.known.network,
            self.run.images,
            items,
            target=self.run.config.make_target(),
            contributions=self.run.explained[view.layer],
            modes=self.layers[view.layer],
            channel_axis=self.run.known.channel_axis,
            smoothing=0.0 if small else SMOOTHING,
        )

    def _class_modes(self, view: GalleryView) -> list[int]:
        table = self._table("class_modes")
        if table is None:
            return []
        chosen = (table["layer"] == view.layer) & (table["kind"] == CONTRIBUTION_MODES)
        chosen &= (table["best_class"] == view.label) & (table["r"] > LEAST_R)
        return table[chosen & (table["q"] < MOST_Q)]["mode"].astype(int).tolist()

    def _steered(self, view: GalleryView) -> str:
        table = self._table("steering")
        if table is None:
            return ""
        chosen = (table["layer"] == view.layer) & (table["mode"] == view.mode)
        rows = table[chosen & table["factor"].isin([0, 1])]
        if rows.empty:
            return ""
        means = rows.groupby(["factor", "control"])["mean"].mean()
        name = self.names[int(rows["of_class"].iloc[0])]
        return (
            f"Without it the probability of {name} falls from {means.loc[(1, 0)]:.2f} to "
            f"{means.loc[(0, 0)]:.2f}; without as much of random channels, to "
            f"{means.loc[(0, 1)]:.2f}."
        )

    def _controlled(self, view: GalleryView) -> str:
        table = self._table("control")
        if table is None:
            return ""
        chosen = (table["layer"] == view.layer) & (table["class"] == view.label)
        chosen &= (table["ranking"] == "contribution mode") & (table["kind"] == "ablated")
        if not chosen.any():
            return ""
        row = table[chosen].sort_values("dose").iloc[0]
        return (
            f"Without the {row['n_channels']:.0f} channels of the class's best mode that weigh "
            f"most, {self.names[view.label]} loses {row['own_probability_cost']:.0%} of its "
            f"probability, other classes {row['others_probability_cost']:.0%} of theirs."
        )

    def _table(self, name: str) -> pd.DataFrame | None:
        path = self.folder / f"{name}.csv"
        if name not in self._tables:
            self._tables[name] = pd.read_csv(path) if path.exists() else None
        return self._tables[name]


def open_gallery(folder: str | PathLike, *, network: str | None = None) -> ExploredImages:
    """Open a finished run on images to look at it.

    Parameters
    ----------
    folder
        Of `pipeline.run_images` or ``retina-codec images run``.
    network
        That of the run, again: needed where it is code, which is run only if you name it.

    Raises
    ------
    OSError
        If the images or the network are gone.
    ValueError
        If the folder holds no run on images, or one that has no modes yet, or the images changed.

    Examples
    --------
    >>> open_gallery("not_begun")
    Traceback (most recent call last):
    ValueError: ... holds no run: ...
    """
    folder = Path(folder).expanduser().resolve()
    found = ExploredImages(folder, images_of_run(folder, network=network), network)
    if not found.layers:
        msg = f"The run in {folder} has no modes yet. Go on with 'retina-codec images run'."
        raise ValueError(msg)
    return found


def gallery_view_from(query: Mapping[str, str], default: GalleryView) -> GalleryView:
    """Read a view from an address; what is missing or makes no sense is as in the default.

    Parameters
    ----------
    query
        What stands behind the question mark, by name, as `GalleryView.query` writes it.
    default
        Its layer and class are taken where the address says nothing about them.

    Examples
    --------
    >>> gallery_view_from({"class": "2", "mode": "x"}, GalleryView(layer="block3", label=0))
    GalleryView(layer='block3', label=2, mode=None)
    """
    label = number_in(query.get("class"), int)
    return replace(
        default,
        layer=query.get("layer", default.layer),
        label=default.label if label is None else label,
        mode=number_in(query.get("mode"), int),
    )


def _correlation(loadings: np.ndarray, of_class: np.ndarray) -> np.ndarray:
    """Correlation of each column with being of the class; 0 where one of them is constant."""
    x, y = loadings - loadings.mean(axis=0), of_class - of_class.mean()
    size = np.sqrt((x**2).sum(axis=0) * (y**2).sum())
    return np.divide(y @ x, size, out=np.zeros(x.shape[1]), where=size > 0)


def _listed(numbers: list[int]) -> str:
    first = ", ".join(map(str, numbers[:8]))
    return first if len(numbers) <= 8 else f"{first} and {len(numbers) - 8} more"
