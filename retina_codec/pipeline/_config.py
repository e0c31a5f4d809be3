"""The settings of a run. The defaults are the documented configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from retina_codec.contributions import Target, one_cell, population_sum, surprisal
from retina_codec.datatypes import Recording, did_you_mean, shipped
from retina_codec.decomposition import METHODS, Decomposition
from retina_codec.networks import TrainingSettings, shipped_networks
from retina_codec.recordings import load_recording

from ._run_folder import keep_settings, settings_in
from ._settings import whole_path

TARGETS: Mapping[str, Callable[[np.ndarray], Target]] = {
    "surprisal": surprisal,
    "population-sum": lambda training_output: population_sum(),
}
"""Targets by name; each is made from the outputs of the network on training samples."""


def network_path(text: str, folder: Path) -> str:
    """Return the whole path of a network; a name that nothing else has is one that comes along."""
    path = whole_path(text, folder)
    if not Path(path).exists() and text in shipped_networks():
        return str(shipped("models") / text)
    return path


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes.

    Raises
    ------
    ValueError
        If a setting is out of its range, or names a target or method that there is not.

    Examples
    --------
    >>> config = Config(recording="retina.nwb", target="cell-3", n_steps=10)
    >>> config.method, config.make_target(np.zeros((1, 4))).__name__
    ('SparseModes', 'cell 3')
    """

    PATHS = MappingProxyType({"recording": whole_path, "network": network_path})

    recording: str
    """Path of the recording."""
    network: str | None = None
    """Folder of a trained network, or the name of one that comes along; without one, a deep-retina
    network is trained."""
    stimulus: str | None = None
    """Name of the stimulus, where the recording has several."""
    repeats: str | None = None
    """NWB: table of the trials in which one part of the movie is shown each time, such as "trials"
    or "trials:kind=frozen"."""
    axes: str | None = None
    """NWB: order of the movie's axes in the file, such as "x y time"."""
    test_frames: int | None = None
    """Frames at the end that are held out, where the recording does not say."""
    history_s: float = 0.4
    """Length of the network's window in seconds, when it is trained here."""
    channels: tuple[int, ...] = (8, 8)
    """Interneuron types in each layer of the network that is trained."""
    epochs: int | None = None
    """Passes of the network through the training data, at the most; None for the default."""
    layers: tuple[str, ...] | None = None
    """Layers to explain; None for the rectified interneurons of both layers."""
    target: str = "surprisal"
    """What is explained: surprisal, population-sum or cell-N."""
    n_steps: int = 20
    """Steps of the integration path, without a tolerance."""
    tolerance: float | None = None
    """Largest relative error of each sample's contributions; None for a fixed number of steps."""
    method: str = "SparseModes"
    """Decomposition, by the name of its class."""
    n_repeats: int = 4
    """Decompositions repeated with other seeds, and as many on resampled time, for stability."""
    n_draws: int = 20
    """Draws of nulls and bootstraps, where types of cells and spikes are tested."""
    n_cells: int = 5
    """For how many of the best predicted cells fields of combinations are made."""
    seed: int = 0
    """Of all random numbers."""

    def __post_init__(self):
        if self.target not in TARGETS and not self.target.startswith("cell-"):
            allowed = ", ".join([*TARGETS, "cell-0"])
            guess = did_you_mean(self.target, TARGETS)
            msg = f"Unknown target {self.target!r}. Expected one of: {allowed}.{guess}"
            raise ValueError(msg)
        method_named(self.method)
        counts = {"epochs": self.epochs, "n_steps": self.n_steps, "n_cells": self.n_cells}
        counts |= {"n_repeats": self.n_repeats, "n_draws": self.n_draws}
        for name, value in counts.items():
            if value is not None and value < 1:
                msg = f"'{name}' must be at least 1, got {value}."
                raise ValueError(msg)
        if len(self.channels) != 2 or min(self.channels) < 1:
            msg = f"'channels' must be two numbers above 0, one a layer, got {self.channels}."
            raise ValueError(msg)
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            msg = f"'tolerance' must be between 0 and 1, got {self.tolerance}."
            raise ValueError(msg)
        if not self.history_s > 0 or self.seed < 0:
            msg = f"'history_s' must be above 0 and 'seed' at least 0, got {self.history_s} and "
            raise ValueError(msg + f"{self.seed}.")

    def check_target(self, n_cells: int) -> None:
        """Raise an error if the target is a cell that is not there.

        Parameters
        ----------
        n_cells
            Of the recording.

        Raises
        ------
        ValueError
            If so.
        """
        number = self.target.removeprefix("cell-")
        if self.target not in TARGETS and not (number.isdigit() and int(number) < n_cells):
            msg = f"Target {self.target!r}: there are cells cell-0 to cell-{n_cells - 1}."
            raise ValueError(msg)

    def make_target(self, training_output: np.ndarray) -> Target:
        """Return the target as a function.

        Parameters
        ----------
        training_output
            Of the network, on training samples.
        """
        if self.target in TARGETS:
            return TARGETS[self.target](training_output)
        return one_cell(int(self.target.removeprefix("cell-")))

    def open_recording(self) -> Recording:
        """Return the recording, loaded as the run does it."""
        names = ("stimulus", "repeats", "axes", "test_frames")
        return load_recording(self.recording, **{name: getattr(self, name) for name in names})

    def training(self, defaults: TrainingSettings) -> TrainingSettings:
        """Return training settings with what this run changes in them.

        Parameters
        ----------
        defaults
            Of everything else.
        """
        return replace(defaults, seed=self.seed, max_epochs=self.epochs or defaults.max_epochs)

    @classmethod
    def kept_in(cls, folder: Path) -> "Config":
        """Return the settings that `keep_in` wrote.

        Parameters
        ----------
        folder
            Of the run.

        Raises
        ------
        ValueError
            If it holds another kind of run.
        """
        return settings_in(folder, cls)

    def keep_in(self, folder: Path, inputs: Mapping[str, str]) -> None:
        """Write settings and inputs to a new folder, or check that an old one has the same.

        Parameters
        ----------
        folder
            Of the run.
        inputs
            Fingerprints of what the run reads, by name.

        Raises
        ------
        OSError
            If the folder cannot be written.
        ValueError
            If it holds a run with other settings.
        """
        keep_settings(self, folder, inputs)


def method_named(name: str) -> Decomposition:
    """Return a decomposition with its defaults.

    Parameters
    ----------
    name
        Of the class, one of `decomposition.METHODS`.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> method_named("PrincipalComponents")
    PrincipalComponents()
    """
    if name not in METHODS:
        guess = did_you_mean(name, METHODS)
        msg = f"Unknown method {name!r}. Expected one of: {', '.join(METHODS)}.{guess}"
        raise ValueError(msg)
    return METHODS[name]()
