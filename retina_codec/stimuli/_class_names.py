"""Find which output of a network a name on a folder or in a table means."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from retina_codec.datatypes import did_you_mean

UNKNOWN = -1

Level = tuple[Callable[[str], str], Mapping[str, Sequence[int]]]
"""What is compared of a name, and the numbers of the classes that have it."""


def labels_of(
    names: Iterable[str],
    class_names: Sequence[str],
    synonyms: Sequence[Sequence[str]] | None = None,
) -> dict[str, int]:
    """Find the number of the class that each name means; -1 if the name is empty or "-1".

    Looked for in this order: the name itself; the same but for case, underscores and hyphens; the
    number of the class; one of its synonyms, which are separated by commas in its name, or given.

    Parameters
    ----------
    names
        To look for.
    class_names
        One for each output of the network.
    synonyms
        Further names of each class, such as WordNet ids.

    Raises
    ------
    ValueError
        If no class has a name, or several have.

    Examples
    --------
    >>> labels_of(["Golden_Retriever", "tench", ""], ["tench, Tinca tinca", "golden retriever"])
    {'Golden_Retriever': 1, 'tench': 0, '': -1}
    """
    levels = _levels(class_names, synonyms)
    return {name: _meant(name, class_names, levels) for name in dict.fromkeys(names)}


def _meant(name: str, class_names: Sequence[str], levels: Sequence[Level]) -> int:
    if name.strip() in ("", str(UNKNOWN)):
        return UNKNOWN
    for key, known in levels:
        meant = known.get(key(name), [])
        if len(meant) == 1:
            return meant[0]
        if meant:
            listed = " or ".join(f"{number} ({class_names[number]})" for number in meant)
            msg = f"Class {name!r} may be {listed}. Use the number of the class."
            raise ValueError(msg)
    guess = did_you_mean(folded(name), levels[-1][1])
    msg = f"No class {name!r} among the {len(class_names)} of the network.{guess}"
    raise ValueError(msg)


def folded(name: str) -> str:
    """Lower case, with single spaces instead of underscores and hyphens.

    Examples
    --------
    >>> folded("Tiger__Shark-2")
    'tiger shark 2'
    """
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold())).strip()


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: by number if all are numbers, otherwise by the alphabet.

    Examples
    --------
    >>> in_order(["10", "9", "10"]), in_order(["b", "10", "9"])
    (('9', '10'), ('10', '9', 'b'))
    """
    once = set(names)
    numbers = all(re.fullmatch(r"\d+", name) for name in once)
    return tuple(sorted(once, key=(lambda name: (int(name), name)) if numbers else None))


def _levels(
    class_names: Sequence[str], synonyms: Sequence[Sequence[str]] | None
) -> Sequence[Level]:
    """Ways to find a name, the strictest first."""
    whole = [(name,) for name in class_names]
    numbers = [(str(number),) for number in range(len(class_names))]
    more = synonyms or [()] * len(class_names)
    every = [(name, *name.split(","), *also) for name, also in zip(class_names, more, strict=True)]
    levels = ((str, whole), (folded, whole), (_as_number, numbers), (folded, every))
    return [(key, _known(key, names)) for key, names in levels]


def _known(
    key: Callable[[str], str], names: Sequence[Sequence[str]]
) -> Mapping[str, Sequence[int]]:
    known = {}
    for number, each in enumerate(names):
        for one in {key(one) for one in each}:
            known.setdefault(one, []).append(number)
    return known


def _as_number(name: str) -> str:
    return str(int(name)) if re.fullmatch(r"\d+", name.strip(), re.ASCII) else name.strip()
