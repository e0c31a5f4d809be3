"""The settings of a run on images. The defaults are the documented configuration."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from retina_codec.causal import Replacement, grey, mean, resampled, zero
from retina_codec.contributions import (
    Target,
    class_logit,
    class_probability,
    entropy,
    of_probabilities,
    top_class,
)
from retina_codec.datatypes import did_you_mean

from ._config import method_named
from ._settings import whole_path

DIGITS = "digits"

TARGETS: Mapping[str, Callable[[], Target]] = {
    "top-class": top_class,
    "top-class-probability": lambda: of_probabilities(top_class()),
    "entropy": entropy,
}
"""Targets by name; beside them class-N and class-N-probability."""

REPLACEMENTS: Mapping[str, Callable[[int], Replacement]] = {
    "grey": lambda seed: grey,
    "zero": lambda seed: zero,
    "mean": lambda seed: mean,
    "resampled": resampled,
}
"""Replacements by name; each is made from a seed."""

OF_CLASS = re.compile(r"class-(\d+)(-probability)?")


def image_folder(text: str, folder: Path) -> str:
    """Return the whole path of a folder of pictures; digits are none."""
    return text if text == DIGITS else whole_path(text, folder)


def network_folder(text: str, folder: Path) -> str:
    """Return the folder of a network by its whole path, anything else as it is."""
    path = Path(whole_path(text, folder))
    return str(path) if (path / "config.json").exists() else text


@dataclass(frozen=True)
class ImageConfig:
    """Everything that decides what a run on images computes.

    Raises
    ------
    ValueError
        If a setting is out of its range, or names a target, method or replacement that there is
        not.

    Examples
    --------
    >>> config = ImageConfig(images="digits", network="my_network", target="class-3-probability")
    >>> config.make_target().__name__, config.replacement("zero").__name__
    ('probability of class 3', 'zero')
    """

    PATHS = MappingProxyType({"images": image_folder, "network": network_folder})

    images: str
    """Folder of pictures, or "digits" for those of scikit-learn."""
    network: str
    """What `networks.load_image_network` takes."""
    layers: tuple[str, ...] | None = None
    """Layers to explain, or patterns of names; None for those of the network."""
    test_layers: tuple[str, ...] | None = None
    """Layers whose modes are tested causally, mapped and swept; None for `n_test_layers` of them,
    evenly spread over depth, with the last."""
    n_test_layers: int = 3
    """How many layers are tested, unless they are named."""
    target: str = "top-class"
    """What is explained: top-class, top-class-probability, entropy, class-N, class-N-probability.
    """
    n_steps: int = 5
    """Steps of the integration path, by the secant rule where it can follow the network."""
    method: str = "SparseModes"
    """Decomposition, by the name of its class."""
    n_modes: int | None = None
    """Modes to begin with; None for one for every four images for selection, but no
    more than features."""
    test_share: float = 0.5
    """Share of the images of a folder, of each class, on which what the others chose is tested."""
    least_firing: int = 10
    """Modes that are active in fewer images are not tested beside classes."""
    n_draws: int = 1000
    """Draws of labels in another order."""
    n_classes: int = 10
    """Classes to control: those with most images."""
    doses: tuple[float, ...] = (0.02, 0.05, 0.1, 0.25, 0.5)
    """Shares of a layer's channels that are removed or kept alone."""
    towards: tuple[str, ...] = ("grey", "zero")
    """What removed channels put out instead: grey, zero, mean, resampled. Contributions are
    relative to grey; the first is also taken for superclasses, steering and flips."""
    n_others: int = 30
    """Images of other classes beside those of each class that is controlled."""
    n_random: int = 2
    """Draws of random channels."""
    superclasses: dict[str, list[int]] = field(default_factory=dict)
    """Sets of classes to control together, by name."""
    n_maps: int = 12
    """Test images whose maps are scored by insertion and deletion, and whose predictions are
    flipped."""
    n_repeats: int = 3
    """Seeds of each setting in the sweep."""
    seed: int = 0
    """Of all random numbers."""

    def __post_init__(self):
        if self.target not in TARGETS and not OF_CLASS.fullmatch(self.target):
            allowed = ", ".join([*TARGETS, "class-0", "class-0-probability"])
            guess = did_you_mean(self.target, TARGETS)
            msg = f"Unknown target {self.target!r}. Expected one of: {allowed}.{guess}"
            raise ValueError(msg)
        method_named(self.method)
        for name in ("n_test_layers", "n_steps", "least_firing", "n_draws", "n_classes"):
            self._at_least_one(name)
        for name in ("n_others", "n_random", "n_maps", "n_repeats", "n_modes"):
            self._at_least_one(name)
        unknown = [name for name in self.towards if name not in REPLACEMENTS]
        if unknown or not self.towards or len(set(self.towards)) < len(self.towards):
            msg = (
                f"'towards' must be some of {', '.join(REPLACEMENTS)}, each once, got "
                f"{list(self.towards)}."
            )
            raise ValueError(msg)
        if not 0 < self.test_share < 1:
            msg = f"'test_share' must be between 0 and 1, got {self.test_share}."
            raise ValueError(msg)
        if not all(0 < dose <= 1 for dose in self.doses):
            msg = f"'doses' must be shares above 0, up to 1, got {list(self.doses)}."
            raise ValueError(msg)
        if len(self.doses) < 2 or len(set(self.doses)) < len(self.doses):
            msg = f"'doses' must be two or more, each once, got {list(self.doses)}."
            raise ValueError(msg)
        if self.seed < 0:
            msg = f"'seed' must be at least 0, got {self.seed}."
            raise ValueError(msg)

    def _at_least_one(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and value < 1:
            msg = f"'{name}' must be at least 1, got {value}."
            raise ValueError(msg)

    def check_classes(self, n_classes: int) -> None:
        """Raise an error if the target or a superclass names a class that is not there.

        Parameters
        ----------
        n_classes
            Of the network.

        Raises
        ------
        ValueError
            If so.
        """
        of_class = OF_CLASS.fullmatch(self.target)
        named = {"Target": [int(of_class[1])] if of_class else []} | {
            f"Superclass {name!r}": some for name, some in self.superclasses.items()
        }
        for what, numbers in named.items():
            if max(numbers, default=0) >= n_classes:
                msg = (
                    f"{what} names class {max(numbers)}: the network has classes 0 to "
                    f"{n_classes - 1}."
                )
                raise ValueError(msg)

    def replacement(self, name: str | None = None) -> Replacement:
        """Return what removed channels put out instead; by default the first way.

        Parameters
        ----------
        name
            One of `towards`.
        """
        return REPLACEMENTS[name or self.towards[0]](self.seed)

    def make_target(self) -> Target:
        """Return the target as a function."""
        if self.target in TARGETS:
            return TARGETS[self.target]()
        number, probability = OF_CLASS.fullmatch(self.target).groups()
        return (class_probability if probability else class_logit)(int(number))


def superclass(text: str) -> tuple[str, list[int]]:
    """Read a set of classes from the command line, such as ``dog=151-268`` or ``odd=1,3,5``.

    Parameters
    ----------
    text
        A name, "=", and numbers of classes or ranges of them, with commas between.

    Returns
    -------
    tuple
        The name, and the numbers in order.

    Raises
    ------
    ValueError
        If it is written otherwise.

    Examples
    --------
    >>> superclass("cats=281-283,285")
    ('cats', [281, 282, 283, 285])
    """
    name, _, numbers = text.partition("=")
    parts = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in numbers.split(",")]
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    if not name.strip() or not all(parts) or not all(ranges):
        msg = f"Expected a superclass as NAME=NUMBERS, such as dog=151-268, got {text!r}."
        raise ValueError(msg)
    return name.strip(), sorted({number for some in ranges for number in some})


def superclasses(texts: Iterable[str]) -> dict[str, list[int]]:
    """Read several sets of classes from the command line.

    Parameters
    ----------
    texts
        Each as for `superclass`.

    Returns
    -------
    dict
        Numbers by name.

    Raises
    ------
    ValueError
        If one is written otherwise, or two have one name.

    Examples
    --------
    >>> superclasses(["even=0,2", "odd=1,3"])
    {'even': [0, 2], 'odd': [1, 3]}
    """
    sets: dict[str, list[int]] = {}
    for name, numbers in map(superclass, texts):
        if name in sets:
            msg = f"Two superclasses are called {name!r}. Give all its numbers at once."
            raise ValueError(msg)
        sets[name] = numbers
    return sets
