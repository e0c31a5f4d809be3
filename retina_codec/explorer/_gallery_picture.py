"""The picture of a view of a run on images, and the lines of Python that draw it again."""

from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retina_codec.datatypes import Maps
from retina_codec.figures import plot_gallery, plot_mode_features, style

from ._gallery import N_MODES, N_PICTURES, ExploredImages, GalleryView


def draw_gallery(run: ExploredImages, view: GalleryView) -> Figure:
    """Draw the mode in view in its strongest images, or the modes of the class in view.

    Parameters
    ----------
    run
        Of `open_gallery`.
    view
        What is looked at.

    Raises
    ------
    ValueError
        If the run has no such layer, class or mode, or no image excites the modes.

    Examples
    --------
    >>> from retina_codec.explorer import open_gallery
    >>> run = open_gallery("my_run")  # doctest: +SKIP
    >>> draw_gallery(run, run.first_view()).savefig("class.png")  # doctest: +SKIP
    >>> open_gallery("not_begun")
    Traceback (most recent call last):
    ValueError: ... holds no run: ...
    """
    view = run.checked(view)
    maps = _maps_of(run, _modes_in(run, view), view)
    pictures = run.pictures(maps.items["sample"])
    n_modes = maps.items["mode"].nunique()
    heights = [1.9] * (view.mode is not None) + [0.5 + 1.6 * n_modes]
    with style():
        figure = Figure(figsize=(0.5 + 1.35 * N_PICTURES, sum(heights)), layout="constrained")
        rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        if view.mode is not None:
            plot_mode_features(run.layers[view.layer], mode=view.mode, ax=rows[0].subplots())
        plot_gallery(maps, pictures, figure=rows[-1])
    return figure


def gallery_lines(run: ExploredImages, view: GalleryView, *, kind: str = "svg") -> str:
    """Return the lines of Python that draw this view, from any folder.

    Parameters
    ----------
    run
        Of `open_gallery`.
    view
        What is looked at.
    kind
        Ending of the picture.

    Examples
    --------
    >>> from retina_codec.explorer import open_gallery
    >>> view = GalleryView(layer="block3", label=7)
    >>> print(gallery_lines(open_gallery("my_run"), view))  # doctest: +SKIP
    >>> view.code()
    "GalleryView(layer='block3', label=7)"
    """
    named = "" if run.network is None else f", network={run.network!r}"
    return "\n".join(
        [
            "from retina_codec.explorer import GalleryView, draw_gallery, open_gallery, "
            "save_picture",
            "",
            f"run = open_gallery({str(run.folder)!r}{named})",
            f"view = {view.code()}",
            f'save_picture(draw_gallery(run, view), "{gallery_name(view)}.{kind}")',
            "",
        ]
    )


def gallery_name(view: GalleryView) -> str:
    """Return a name for the file of a view.

    Examples
    --------
    >>> gallery_name(GalleryView(layer="blocks.3", label=7, mode=2))
    'class7_blocks-3_mode2'
    """
    layer = "".join(c if c.isalnum() else "-" for c in view.layer)
    return f"class{view.label}_{layer}" + ("" if view.mode is None else f"_mode{view.mode}")


def _modes_in(run: ExploredImages, view: GalleryView) -> list[int]:
    if view.mode is not None:
        return [view.mode]
    return run.modes_of_class(view)["mode"].head(N_MODES).tolist()


def _maps_of(run: ExploredImages, modes: list[int], view: GalleryView) -> Maps:
    found = [run.maps(replace(view, mode=mode)) for mode in modes]
    maps = [one for one in found if one is not None]
    if not maps:
        msg = f"No image excites mode {', '.join(map(str, modes))}. Choose another one."
        raise ValueError(msg)
    items = pd.concat([one.items for one in maps], ignore_index=True)
    return replace(maps[0], values=np.concatenate([one.values for one in maps]), items=items)
