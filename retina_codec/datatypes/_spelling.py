"""Guess what a mistyped name was meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Text for the end of an error message; empty when nothing is similar.

    Parameters
    ----------
    name
        As it was typed.
    names
        All that there are.

    Examples
    --------
    >>> did_you_mean("whitenoise", ["white_noise", "movie"])
    " Did you mean 'white_noise'?"
    """
    guesses = get_close_matches(name, list(names), n=1)
    return f" Did you mean {guesses[0]!r}?" if guesses else ""
