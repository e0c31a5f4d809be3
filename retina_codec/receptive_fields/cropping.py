"""Fields cut out around their strongest place."""

from dataclasses import replace

import numpy as np

from retina_codec.datatypes import Fields

AT_ONCE = 256


def cropped(fields: Fields, *, side_px: int = 20) -> Fields:
    """Cut a square around the strongest pixel of each map.

    Parameters
    ----------
    fields
        Separated into space and time.
    side_px
        Side of the square; what lies beyond the border of the stimulus is 0.

    Returns
    -------
    Fields
        Values (where there are any) and maps of the square; the table gets `top_px` and `left_px`,
        the place of its first pixel in the stimulus, also when fields are cropped again.

    Raises
    ------
    ValueError
        If the fields are not separated.

    Examples
    --------
    >>> import pandas as pd
    >>> from retina_codec.receptive_fields import separate_space_time
    >>> values = np.zeros((1, 2, 9, 9))
    >>> values[0, 1, 7, 2] = 1.0
    >>> fields = Fields(values=values, items=pd.DataFrame({"cell": [0]}), frame_rate_hz=100.0)
    >>> small = cropped(separate_space_time(fields), side_px=5)
    >>> small.space[0, 2, 2].item(), small.items[["top_px", "left_px"]].iloc[0].tolist()
    (1.0, [5, 0])
    """
    if fields.space is None:
        msg = "The fields are not separated: call separate_space_time first."
        raise ValueError(msg)
    space = np.asarray(fields.space)
    n_items, height, width = space.shape
    peak = np.abs(np.nan_to_num(space)).reshape(n_items, -1).argmax(axis=1)
    corners = np.stack(np.unravel_index(peak, (height, width)), axis=1) - side_px // 2
    values = None
    if fields.values is not None:
        values = np.concatenate(
            [
                _cut(np.asarray(fields.values[i : i + AT_ONCE]), corners[i : i + AT_ONCE], side_px)
                for i in range(0, max(n_items, 1), AT_ONCE)
            ]
        )
    items = fields.items.reset_index(drop=True)
    before = [items[name] if name in items else 0 for name in ("top_px", "left_px")]
    items = items.assign(top_px=corners[:, 0] + before[0], left_px=corners[:, 1] + before[1])
    return replace(fields, space=_cut(space, corners, side_px), values=values, items=items)


def _cut(arrays, corners, side_px):
    padding = [(0, 0)] * (arrays.ndim - 2) + [(side_px, side_px)] * 2
    padded = np.pad(arrays, padding)
    cut = [
        one[..., top + side_px : top + 2 * side_px, left + side_px : left + 2 * side_px]
        for one, (top, left) in zip(padded, corners, strict=True)
    ]
    return np.array(cut).reshape(len(arrays), *arrays.shape[1:-2], side_px, side_px)
