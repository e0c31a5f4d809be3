"""Movies in colour: one channel of them, or the sum of several, as a movie without colour."""

from typing import Any

import numpy as np


class Channels:
    """A movie "channel time y x", seen as "time y x": the sum of the channels that are chosen.

    Examples
    --------
    >>> movie = np.arange(2).reshape(2, 1, 1, 1) * np.ones((2, 5, 3, 3), dtype=np.float32)
    >>> float(Channels(movie, (0, 1))[3, 0, 0]), Channels(movie, (1,)).shape
    (1.0, (5, 3, 3))
    """

    def __init__(self, movie: Any, channels: tuple[int, ...]):
        self.movie, self.channels = movie, channels
        self.shape, self.ndim = tuple(movie.shape[1:]), 3
        one = movie.dtype.kind != "b" and movie.dtype.isnative and len(channels) == 1
        self.dtype = movie.dtype if one else np.dtype(np.float32)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        parts = [np.asarray(self.movie[(c, *key)], dtype=self.dtype) for c in self.channels]
        return sum(parts[1:], start=parts[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype=dtype)


def without_colour(movie: Any, channel: int | str | None, where: str) -> Channels:
    """Choose one channel of a movie "channel time y x" by its number, or the sum of "all".

    Raises
    ------
    ValueError
        If there are several and none was chosen, or there is no such channel.
    """
    n_channels = movie.shape[0]
    numbers = ", ".join(map(str, range(n_channels)))
    if channel == "all" or (channel is None and n_channels == 1):
        return Channels(movie, tuple(range(n_channels)))
    if channel is None:
        msg = (
            f"{where} has {n_channels} colour channels ({numbers}). "
            "Choose one with 'channel', or 'all' for their sum."
        )
        raise ValueError(msg)
    if not str(channel).isdecimal() or not int(channel) < n_channels:
        msg = f"{where} has no channel {channel!r}. Channels: {numbers}, or 'all' for their sum."
        raise ValueError(msg)
    return Channels(movie, (int(channel),))
