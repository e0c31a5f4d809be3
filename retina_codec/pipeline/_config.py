"""The settings of a run. The defaults are the documented configuration."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from retina_codec.contributions import Target, one_cell, population_sum, surprisal
from retina_codec.decomposition import METHODS
from retina_codec.networks import TrainingSettings

TARGETS: Mapping[str, Callable[[np.ndarray], Target]] = {
    "surprisal": surprisal,
    "population-sum": lambda training_output: population_sum(),
}
"""Targets by name; each is made from the outputs of the network on training samples."""


CONFIG = "config.json"


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes."""

    recording: str
    """Path of the recording."""
    network: str | None = None
    """Folder of a trained network; without one, a deep-retina network is trained."""
    stimulus: str | None = None
    """Name of the stimulus, where the recording has several."""
    test_frames: int | None = None
    """Frames at the end that are held out, where the recording does not say."""
    history_s: float = 0.4
    """Length of the network's window in seconds, when it is trained here."""
    channels: tuple[int, ...] = (8, 8)
    """Interneuron types in each layer of the network that is trained."""
    epochs: int | None = None
    """Passes through the training data, at the most; None for the default of each network."""
    layers: tuple[str, ...] | None = None
    """Layers to explain; None for the rectified interneurons of both layers."""
    target: str = "surprisal"
    """What is explained: surprisal, population-sum or cell-N."""
    n_steps: int = 20
    """Steps of the integration path."""
    method: str = "SparseAutoencoder"
    """Decomposition, by the name of its class."""
    n_cells: int = 5
    """For how many of the best predicted cells fields of combinations are made."""
    seed: int = 0
    """Of all random numbers."""

    def __post_init__(self):
        self.check("target", self.target, [*TARGETS, "cell-0"], self.target.startswith("cell-"))
        self.check("method", self.method, list(METHODS))

    @staticmethod
    def check(name: str, value: str, allowed: list[str], also: bool = False) -> None:
        """Raise an error that lists what is allowed, unless the value is."""
        if value not in allowed and not also:
            msg = f"Unknown {name} {value!r}. Expected one of: {', '.join(allowed)}."
            raise ValueError(msg)

    def check_target(self, n_cells: int) -> None:
        """Raise an error if the target is a cell that is not there."""
        number = self.target.removeprefix("cell-")
        if self.target not in TARGETS and not (number.isdigit() and int(number) < n_cells):
            msg = f"Target {self.target!r}: there are cells cell-0 to cell-{n_cells - 1}."
            raise ValueError(msg)

    def make_target(self, training_output: np.ndarray) -> Target:
        """Return the target as a function."""
        if self.target in TARGETS:
            return TARGETS[self.target](training_output)
        return one_cell(int(self.target.removeprefix("cell-")))

    def training(self, defaults: TrainingSettings) -> TrainingSettings:
        """Return training settings with what this run changes in them."""
        return replace(defaults, seed=self.seed, max_epochs=self.epochs or defaults.max_epochs)

    @classmethod
    def kept_in(cls, folder: Path) -> "Config":
        """Return the settings that `keep_in` wrote."""
        settings = json.loads((folder / CONFIG).read_text())
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

    def keep_in(self, folder: Path) -> None:
        """Write the settings to a new folder, or check that an old one has the same.

        Raises
        ------
        OSError
            If the folder cannot be written.
        ValueError
            If it holds a run with other settings.
        """
        path = folder / CONFIG
        settings = json.loads(json.dumps(asdict(self)))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(json.dumps(settings, indent=1))
        except OSError as error:
            msg = f"Cannot write to {folder} ({error.strerror}). Choose another folder."
            raise OSError(msg) from error
        kept = json.loads(path.read_text())
        other = [key for key in settings if kept.get(key) != settings[key]]
        if other:
            key = other[0]
            msg = (
                f"{folder} holds a run with other settings ({key}: {kept.get(key)!r} there, "
                f"{settings[key]!r} here). Choose another folder, or delete this one."
            )
            raise ValueError(msg)
