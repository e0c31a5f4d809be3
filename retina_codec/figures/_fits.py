"""Pictures of how a decomposition was learned, and whether its modes come back."""

import numpy as np
from matplotlib.axes import Axes

from retina_codec.datatypes import Modes, Stability

from ._heat_maps import draw_heat_map, mark_groups, name_ticks
from ._style import NETWORK, POSITIVE_MAP, axes_or_new, height_of, open_frame, plain

UPRIGHT_ABOVE = 20


def plot_stability(stability: Stability, *, ax: Axes | None = None) -> Axes:
    """Draw how alike each mode and its match in each repeated fit are.

    Parameters
    ----------
    stability
        Of the modes of one layer.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Heat map: repeated fits (rows) and modes (columns).

    Examples
    --------
    >>> import pandas as pd
    >>> from matplotlib.figure import Figure
    >>> fits = pd.DataFrame({"kind": ["other seed", "resampled"]})
    >>> cosine = np.array([[1.0, 0.9, 0.4], [1.0, 0.8, 0.0]])
    >>> stability = Stability(cosine=cosine, fits=fits, layer="conv1", method="SparseModes")
    >>> ax = plot_stability(stability, ax=Figure().subplots())
    >>> ax.get_ylabel(), ax.images[0].get_array().shape
    ('repeated fit', (2, 3))
    """
    cosine = np.asarray(stability.cosine)
    kinds = [plain(kind) for kind in stability.fits["kind"]]
    ax = axes_or_new(ax, (6.0, height_of(len(cosine))))
    scale = {"cmap": POSITIVE_MAP, "vmin": 0.0, "vmax": 1.0}
    draw_heat_map(ax, cosine, scale=scale, bar_label=stability.label("cosine"))
    n_modes = cosine.shape[1]
    names = [str(mode) for mode in range(n_modes)]
    name_ticks(ax.xaxis, names, rotation=90.0 if n_modes > UPRIGHT_ABOVE else 0.0)
    name_ticks(ax.yaxis, [str(fit + 1) for fit in range(len(cosine))])
    mark_groups(ax.yaxis, kinds)
    ax.set(xlabel="mode", ylabel="repeated fit")
    return ax


def plot_curve(modes: Modes, *, ax: Axes | None = None) -> Axes:
    """Draw how the loss fell while the modes were learned.

    Parameters
    ----------
    modes
        With a training curve.
    ax
        Where to draw; None makes a new figure.

    Returns
    -------
    Axes
        Loss, on a logarithmic axis, over the steps of the method.

    Raises
    ------
    ValueError
        If the modes have no curve.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from retina_codec.decomposition import SparseModes, decompose
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, _ = planted_contributions(n_samples=60, n_modes=3, n_features=4)
    >>> modes = decompose(contributions, SparseModes(n_modes=3, n_passes=3))
    >>> ax = plot_curve(modes, ax=Figure().subplots())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('step', 'training loss')
    """
    if modes.curve is None:
        msg = f"{modes.method} has no training curve; autoencoders and SparseModes have one."
        raise ValueError(msg)
    ax = axes_or_new(ax, (3.2, 2.2))
    curve = np.asarray(modes.curve)
    ax.semilogy(np.arange(1, len(curve) + 1), curve, color=NETWORK, linewidth=1.2)
    ax.set(xlabel="step", ylabel=modes.label("curve"))
    open_frame(ax)
    return ax
