"""What an experiment is: its conditions, and the number that says what the cells did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from retina_codec.datatypes import Stimulus
from retina_codec.stimuli import Screen

LEAST_HZ = 0.5
"""What a cell must fire beyond its rate in grey for a signature to have a meaning."""

PerCell = Float[np.ndarray, " cell"]


@dataclass(frozen=True)
class Response:
    """Rates of all cells in one condition, which begins with grey.

    Attributes
    ----------
    rates
        In Hz.
    time_s
        Of each sample; 0 is the event.

    Examples
    --------
    >>> rates, time_s = np.array([[2.0], [2.0], [5.0], [3.0]]), np.array([-0.02, -0.01, 0.0, 0.01])
    >>> response = Response(rates, time_s)
    >>> response.evoked.ravel().tolist(), response.peak(0.0, 0.02).tolist()
    ([0.0, 0.0, 3.0, 1.0], [3.0])
    """

    rates: Float[np.ndarray, "sample cell"]
    time_s: Float[np.ndarray, " sample"]

    @property
    def evoked(self) -> Float[np.ndarray, "sample cell"]:
        """Rate above that in grey."""
        return self.rates - self.rates[0]

    def within(self, start_s: float, stop_s: float) -> Bool[np.ndarray, " sample"]:
        """Which samples lie from one time to before another.

        Parameters
        ----------
        start_s, stop_s
            In seconds from the event; a sample at `stop_s` is outside.

        Returns
        -------
        A mask, True for the samples inside.

        Examples
        --------
        >>> response = Response(np.zeros((4, 1)), np.array([-0.02, -0.01, 0.0, 0.01]))
        >>> response.within(-0.01, 0.01).tolist()
        [False, True, True, False]
        """
        half = (self.time_s[1] - self.time_s[0]) / 2
        return (self.time_s > start_s - half) & (self.time_s < stop_s - half)

    def peak(self, start_s: float, stop_s: float) -> PerCell:
        """Highest rate above grey in a span of time.

        Parameters
        ----------
        start_s, stop_s
            As in `within`.

        Returns
        -------
        In Hz above the rate in grey; below 0 where the cell only fired less.
        """
        return self.evoked[self.within(start_s, stop_s)].max(axis=0)


Responses = Mapping[str, Response]
Conditions = Callable[[Screen, float, int], dict[str, Stimulus]]
Signature = Callable[[Responses, float], tuple[PerCell, PerCell]]


@dataclass(frozen=True)
class Phenomenon:
    """A classical experiment: its movies, and a number that says whether a cell does what is known.

    Attributes
    ----------
    name
        As people say it.
    measure
        What the signature is, and what its control is, in a sentence.
    conditions
        From a screen, the value of the repeat and a seed to movies by name, all of contrast in
        standard deviations of the movie that the network was trained on.
    signature
        From the responses to them and the value of the repeat to one number for each cell, and what
        it is compared with. It is NaN where the cell did not respond.
    event
        The condition in which the phenomenon happens.
    repeats
        Values that are varied, so that there is an interval.
    varied
        What they are, with unit.
    reference
        Where the phenomenon was described.

    Examples
    --------
    >>> from retina_codec.phenomena import PHENOMENA
    >>> pairs = PHENOMENA["paired flash suppression"]
    >>> pairs.event, pairs.varied, pairs.repeats
    ('dark pair', 'interval (s)', (0.05, 0.075, 0.1, 0.15))
    >>> movies = pairs.conditions(Screen((8, 8)), 0.1, 0)
    >>> list(movies)[:3], movies["dark pair"].frames.shape
    (['dark pair', 'dark first flash alone', 'dark second flash alone'], (102, 8, 8))
    """

    name: str
    measure: str
    conditions: Conditions
    signature: Signature
    event: str
    repeats: tuple[float, ...]
    varied: str
    reference: str


def in_both_polarities(
    make: Callable[[Screen, float, float], dict[str, Stimulus]],
) -> Conditions:
    """Show each condition dark and bright: `make` gets a screen, the repeat and -1 or 1."""

    def conditions(screen: Screen, repeat: float, seed: int) -> dict[str, Stimulus]:
        return {
            f"{word} {name}": movie
            for word, polarity in (("dark", -1.0), ("bright", 1.0))
            for name, movie in make(screen, repeat, polarity).items()
        }

    return conditions


def of_the_stronger_polarity(signature: Signature) -> Signature:
    """Take for each cell the polarity to which its highest response is higher."""

    def stronger(responses: Responses, repeat: float) -> tuple[PerCell, PerCell]:
        found, peaks = [], []
        for word in ("dark ", "bright "):
            part = {k.removeprefix(word): r for k, r in responses.items() if k.startswith(word)}
            found.append(signature(part, repeat))
            peaks.append(np.max([r.evoked.max(axis=0) for r in part.values()], axis=0))
        is_dark = peaks[0] >= peaks[1]
        return tuple(np.where(is_dark, dark, bright) for dark, bright in zip(*found, strict=True))

    return stronger


def contrast_index(a: PerCell, b: PerCell) -> PerCell:
    """Return (a - b) / (|a| + |b|), which is between -1 and 1; NaN where neither is a response.

    Examples
    --------
    >>> contrast_index(np.array([3.0, 0.1]), np.array([1.0, 0.1])).tolist()
    [0.5, nan]
    """
    size = np.abs(a) + np.abs(b)
    return np.divide(a - b, size, out=np.full_like(size, np.nan), where=size >= LEAST_HZ)
