"""Training a network on a recording, for a run or by itself."""

import logging
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from os import PathLike
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from torch import nn

from retina_codec.datatypes import Recording, did_you_mean
from retina_codec.networks import (
    LN_TRAINING,
    DeepRetina,
    LinearNonlinear,
    TrainingSettings,
    evaluate,
    load_network,
    save_network,
    train,
)

from ._config import Config
from ._contributions import check_fit
from ._run_folder import is_kept, keep_settings

log = logging.getLogger(__name__)

MODELS = ("deep-retina", "ln")
"""Networks that can be trained, by name."""


def train_network(
    config: Config, out: str | PathLike, *, model: str = MODELS[0], progress: bool = True
) -> dict[str, Any]:
    """Train a network on a recording, and tell how well it predicts beside the LN model.

    Leaves the folder of a network, which `Config.network` takes, and beside it, under the same name
    with ``_ln`` behind it, the LN model that it is compared with.

    Parameters
    ----------
    config
        What to train on, and how: recording, history, channels, epochs, seed.
    out
        Folder of the network; a training that was interrupted goes on.
    model
        One of `MODELS`.
    progress
        Whether to show bars.

    Returns
    -------
    dict
        Mean scores on the split "test", by model; and the folder of each.

    Raises
    ------
    ValueError
        If there is no such model, or the folder holds something else.
    OSError
        If the recording cannot be read or the folder not be written.

    Examples
    --------
    >>> train_network(Config(recording="retina.nwb"), "network", model="lnn")
    Traceback (most recent call last):
        ...
    ValueError: Unknown model 'lnn'. Expected one of: deep-retina, ln. Did you mean 'ln'?
    """
    if model not in MODELS:
        guess = did_you_mean(model, MODELS)
        msg = f"Unknown model {model!r}. Expected one of: {', '.join(MODELS)}.{guess}"
        raise ValueError(msg)
    out = Path(out)
    ln_out = out if model == "ln" else out.with_name(f"{out.name}_ln")
    recording = config.open_recording()
    network = new_network(config, recording)
    check_fit(network, recording, (), config)
    mark = partial(
        keep_settings, asdict(config) | {"model": model}, inputs={"recording": seen(recording)}
    )
    check_place(out, mark)
    check_place(ln_out, mark)
    ln_settings = config.training(LN_TRAINING) if model == "ln" else None
    ln = fitted_ln(config, recording, network.history, ln_out, progress, ln_settings)
    trained = {"ln": (ln, ln_out)}
    mark(ln_out)
    if model != "ln":
        settings = config.training(TrainingSettings())
        trained = {model: (fitted(network, recording, out, settings, progress), out)} | trained
        mark(out)
    return {name: scored(one, recording, folder) for name, (one, folder) in trained.items()}


def check_place(folder: Path, mark: Callable[[Path], None]) -> None:
    """Raise an error if a network cannot be put there, or another one lies there."""
    if is_kept(folder):
        mark(folder)
    elif folder.exists():
        msg = f"There is something at {folder} already. Choose a new folder, or delete it."
        raise ValueError(msg)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        msg = f"Cannot write to {folder} ({error.strerror}). Choose another folder."
        raise OSError(msg) from error


def scored(network: nn.Module, recording: Recording, folder: Path) -> dict[str, Any]:
    """Return mean scores on the split "test", over the cells that have them."""
    scores = evaluate(network, recording).scores.select_dtypes("number").mean()
    return {"scores": scores.dropna().to_dict(), "folder": str(folder)}


def new_network(config: Config, recording: Recording) -> DeepRetina:
    """Return the network that will be trained."""
    history = max(1, round(config.history_s * recording.stimulus.frame_rate_hz))
    return DeepRetina.for_recording(
        recording, history=history, channels=config.channels, seed=config.seed
    )


def fitted(
    network: nn.Module,
    recording: Recording,
    path: Path,
    settings: TrainingSettings,
    progress: bool,
) -> nn.Module:
    """Return the network that lies at `path`, or train it and put it there."""
    if path.exists():
        log.info("%s: kept from before", path.name)
        return load_network(path)
    checkpoint = path.with_name(f"{path.name}_training.safetensors")
    trained, epochs = train(
        network, recording, settings=settings, checkpoint=checkpoint, progress=progress
    )
    scores = evaluate(trained, recording).scores
    about = {"recording": recording.source, "epochs": len(epochs), "seed": settings.seed}
    save_network(trained, path, scores=scores, about=about)
    checkpoint.unlink(missing_ok=True)
    return trained


def fitted_ln(
    config: Config,
    recording: Recording,
    history: int,
    path: Path,
    progress: bool,
    settings: TrainingSettings | None = None,
) -> nn.Module:
    """Return the LN model that lies at `path`, or train it and put it there."""
    model = LinearNonlinear.for_recording(recording, history=history, seed=config.seed)
    settings = settings or replace(LN_TRAINING, seed=config.seed)
    return fitted(model, recording, path, settings, progress)


def seen(recording: Recording) -> str:
    """Return what tells one recording from another: of its rates and some frames."""
    frames = recording.stimulus.frames
    every = max(1, frames.shape[0] // 100)
    some = [np.ascontiguousarray(frames[i]) for i in range(0, frames.shape[0], every)]
    parts = [np.ascontiguousarray(recording.rates), *some]
    return sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]
