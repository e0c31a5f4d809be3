"""Records as tables with labels, for pandas."""

from typing import Any

import numpy as np
import pandas as pd

SIGNS = {1: "+", -1: "-", 0: "both"}


def feature_names(channel: Any, sign: Any) -> list[str]:
    """Return a label for each feature: its channel and sign.

    Examples
    --------
    >>> feature_names([0, 0, 1], [1, -1, 0])
    ['channel 0 +', 'channel 0 -', 'channel 1 both']
    """
    pairs = zip(np.asarray(channel), np.asarray(sign), strict=True)
    return [f"channel {int(c)} {SIGNS.get(int(s), int(s))}" for c, s in pairs]


def sample_table(values: Any, sample: Any, columns: list[str]) -> pd.DataFrame:
    """Return one row for each sample, named by its time or number."""
    return pd.DataFrame(
        np.asarray(values), index=pd.Index(np.asarray(sample), name="sample"), columns=columns
    )


def dictionary_table(modes: Any) -> pd.DataFrame:
    """Return one row for each mode: its weights, and how often it is active."""
    numbers = range(modes.dictionary.shape[0])
    table = pd.DataFrame(
        np.asarray(modes.dictionary),
        index=pd.Index(numbers, name="mode"),
        columns=feature_names(modes.channel, modes.sign),
    )
    table["firing"] = np.asarray(modes.firing)
    if modes.reproducibility is not None:
        table["reproducibility"] = np.asarray(modes.reproducibility)
    return table
