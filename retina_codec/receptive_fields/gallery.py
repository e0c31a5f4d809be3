"""Which images show what a mode is: those that excite it most."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from retina_codec.datatypes import Modes


def gallery_items(
    modes: Modes,
    labels: Int[np.ndarray, " sample"],
    *,
    class_: int,
    n_modes: int = 4,
    n_images: int = 4,
    n_others: int = 0,
    class_names: Sequence[str] | None = None,
    chosen_on: Bool[np.ndarray, " sample"] | None = None,
    shown_in: Bool[np.ndarray, " sample"] | None = None,
) -> pd.DataFrame:
    """Choose the modes that go best with a class, and the images that excite each most.

    Parameters
    ----------
    modes
        With their loadings.
    labels
        Class of each image, -1 where nobody knows.
    class_
        Whose modes.
    n_modes
        How many modes: those whose loading correlates best, and above 0, with being of the class.
    n_images
        How many images of the class for each mode.
    n_others
        How many images of other classes for each mode, none of two from the same class: what the
        mode is beyond this class.
    class_names
        One for each class.
    chosen_on, shown_in
        Images on which modes are chosen, and those that may be shown; all by default. Give them
        where numbers are made of what is shown.

    Returns
    -------
    One row for each mode and image: `mode`, `rank` (0 excites most), `sample`, `loading`, `class`
    of the image and its `name`, `of_class` (1 or 0) and `r`, the correlation of the
    mode with the class. Fewer rows where fewer images excite the mode.

    Raises
    ------
    ValueError
        If the numbers of images differ, or none is of the class.

    Notes
    -----
    Images are chosen because they excite a mode; a gallery illustrates and proves nothing.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=3, n_samples=60)
    >>> labels = modes.loadings.argmax(axis=1)  # an image is of the class of its strongest mode
    >>> table = gallery_items(modes, labels, class_=2, n_modes=1, n_images=2, n_others=1)
    >>> table[["mode", "rank", "sample", "name", "of_class"]]
       mode  rank  sample     name  of_class
    0     2     0      21  class 2         1
    1     2     1      43  class 2         1
    2     2     2      44  class 0         0
    """
    labels, loadings = np.asarray(labels), np.asarray(modes.loadings)
    if len(labels) != len(loadings):
        msg = f"There are {len(labels)} labels, but loadings of {len(loadings)} images."
        raise ValueError(msg)
    of_class = labels == class_
    if not of_class.any():
        msg = (
            f"No image is of class {class_}. Classes: {sorted(set(labels[labels >= 0].tolist()))}."
        )
        raise ValueError(msg)
    every = np.ones(len(labels), dtype=bool)
    chosen_on = every if chosen_on is None else chosen_on
    shown_in = every if shown_in is None else shown_in
    r = _correlation_with(loadings[chosen_on], of_class[chosen_on])
    best = [int(m) for m in np.argsort(-r, kind="stable") if r[m] > 0][:n_modes]
    rows = []
    for mode in best:
        order = np.argsort(-loadings[:, mode], kind="stable")
        order = order[(loadings[order, mode] > 0) & shown_in[order]]
        shown = order[of_class[order]][:n_images].tolist()
        shown += _one_of_each(order[~of_class[order]], labels, n_others)
        rows += [
            {
                "mode": mode,
                "rank": rank,
                "sample": sample,
                "loading": loadings[sample, mode],
                "class": labels[sample],
                "name": _name(labels[sample], class_names),
                "of_class": int(of_class[sample]),
                "r": r[mode],
            }
            for rank, sample in enumerate(shown)
        ]
    columns = ["mode", "rank", "sample", "loading", "class", "name", "of_class", "r"]
    return pd.DataFrame(rows, columns=columns)


def _correlation_with(loadings, mask) -> Float[np.ndarray, " mode"]:
    """Pearson r of each loading with a mask; -inf for modes that never change."""
    x, y = loadings - loadings.mean(axis=0), mask - mask.mean()
    norm = np.linalg.norm(x, axis=0) * np.linalg.norm(y)
    return np.divide(y @ x, norm, out=np.full(x.shape[1], -np.inf), where=norm > 0)


def _one_of_each(order, labels, n_images) -> list[int]:
    """Return the first images of an order that are each of another, known class."""
    first: dict[int, int] = {}
    for sample in order:
        if labels[sample] >= 0:
            first.setdefault(int(labels[sample]), int(sample))
    return list(first.values())[:n_images]


def _name(label, class_names) -> str:
    if label < 0:
        return "unknown"
    return f"class {label}" if class_names is None else str(class_names[label])
