"""Name many layers of a network by patterns."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from retina_codec.datatypes import did_you_mean

LISTED = 20
ANY_DEPTH = "**"


def matching_layers(network: nn.Module, patterns: str | Sequence[str]) -> tuple[str, ...]:
    """Return the layers whose names match, in the order of the network.

    Parameters
    ----------
    network
        Any network.
    patterns
        Names, in which ``*`` stands for any characters but a dot, ``?`` for one, ``[ab]`` for one
        of these, and ``**`` between dots for any number of modules: "layer*.?" are the blocks of
        a residual network, but not what is inside of them; "**.relu" every ReLU of this name.

    Raises
    ------
    ValueError
        If nothing matches a pattern.

    Examples
    --------
    >>> network = nn.Sequential(nn.Sequential(nn.Linear(1, 1), nn.ReLU()), nn.ReLU())
    >>> matching_layers(network, ["1", "0.*"])
    ('0.0', '0.1', '1')
    """
    names = [name for name, _ in network.named_modules() if name]
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    found = {name for pattern in patterns for name in _matching(names, pattern)}
    return tuple(name for name in names if name in found)


def _matching(names: Sequence[str], pattern: str) -> Sequence[str]:
    found = [name for name in names if _fits(name.split("."), pattern.split("."))]
    if not found:
        listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        guess = did_you_mean(pattern, names)
        msg = f"No layer matches {pattern!r} in the network. Layers: {listed}.{guess}"
        raise ValueError(msg)
    return found


def _fits(name: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == ANY_DEPTH:
        return any(_fits(name[skipped:], pattern[1:]) for skipped in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], pattern[0]) and _fits(name[1:], pattern[1:])
