"""What a checkpoint of others says about its network."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class About:
    """What is known about a network that others trained; None or empty where nothing is.

    Attributes
    ----------
    kind
        Of file, as `describe_checkpoint` calls it.
    model_type
        Name of the class that it was saved from.
    era
        Which order of layers it has.
    dataset, stim_type
        Recording and stimulus that it was trained on.
    cells
        Which cells of the recording its outputs are.
    scores
        Numbers that its training left.
    pruned
        Channels that were pruned in each layer.

    Examples
    --------
    >>> About(kind="torch-deep-retina", dataset="15-10-07", cells=(0, 3)).scores
    {}
    """

    kind: str
    model_type: str = ""
    era: str = ""
    dataset: str | None = None
    stim_type: str | None = None
    cells: tuple[Any, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)
    pruned: dict[str, tuple[int, ...]] = field(default_factory=dict)
