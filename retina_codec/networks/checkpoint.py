"""Trained networks as folders: configuration, weights (safetensors), scores and a card."""

import json
import shutil
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from retina_codec.datatypes import shipped
from retina_codec.stimuli import Normalisation

from .architectures import DeepRetina, LinearNonlinear
from .classifiers import ImageCNN, VisionTransformer

ARCHITECTURES = {
    cls.__name__: cls for cls in (DeepRetina, LinearNonlinear, ImageCNN, VisionTransformer)
}
CONFIG, WEIGHTS, SCORES, CARD = "config.json", "weights.safetensors", "scores.json", "card.md"


def save_network(
    network: nn.Module,
    path: str | PathLike,
    *,
    scores: pd.DataFrame | None = None,
    about: Mapping[str, object] | None = None,
) -> Path:
    """Write a network of this package as a folder.

    Parameters
    ----------
    network
        One of `ARCHITECTURES`.
    path
        The folder; an older network under the same name is replaced, nothing else is.
    scores
        One row for each cell, as `evaluate` gives them.
    about
        What to say on the card: recording, training, licence.

    Returns
    -------
    Path
        Of the folder.

    Raises
    ------
    TypeError
        If the network is of another class.
    ValueError
        If something else lies under that name.

    Examples
    --------
    >>> import tempfile, torch
    >>> network = LinearNonlinear(shape=(4, 4), history=3, typical_rate_hz=[1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = read_folder(save_network(network, f"{folder}/ln"))
    >>> bool(torch.equal(again.space.weight, network.space.weight))
    True
    """
    name = type(network).__name__
    if name not in ARCHITECTURES:
        msg = f"Cannot save a {name}; expected one of {', '.join(ARCHITECTURES)}."
        raise TypeError(msg)
    path = Path(path)
    if path.exists() and not (path / CONFIG).exists():
        msg = f"{path} is there and holds no network. Choose another folder for the network."
        raise ValueError(msg)
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    config = {"architecture": name, "settings": network.settings}
    (partial / CONFIG).write_text(json.dumps(config, indent=1))
    save_file({k: v.cpu().contiguous() for k, v in network.state_dict().items()}, partial / WEIGHTS)
    (partial / WEIGHTS).chmod(0o644)
    if scores is not None:
        (partial / SCORES).write_text(scores.to_json(orient="records", indent=1))
    (partial / CARD).write_text(_card(network, scores, about or {}))
    shutil.rmtree(path, ignore_errors=True)
    partial.replace(path)
    return path


def read_folder(path: str | PathLike) -> nn.Module:
    """Read a network that `save_network` wrote, in evaluation mode.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it does not hold a network of this package, whole.
    """
    path = Path(path)
    if not path.exists():
        msg = f"No network at {path}: there is no such folder."
        raise FileNotFoundError(msg)
    expected = f"expected a folder with {CONFIG} and {WEIGHTS}"
    try:
        config = json.loads((path / CONFIG).read_text())
        architecture, settings = ARCHITECTURES[config["architecture"]], dict(config["settings"])
        if "normalisation" in settings:
            settings["normalisation"] = Normalisation(**settings["normalisation"])
        network = architecture(**settings)
        network.load_state_dict(load_file(path / WEIGHTS))
    except (OSError, SafetensorError) as error:
        msg = f"{path} is not a network: {expected} ({error})."
        raise ValueError(msg) from error
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        msg = f"{path} is not a network of this package: {expected} that fit ({reason})."
        raise ValueError(msg) from error
    return network.eval()


def shipped_networks() -> list[str]:
    """Return the names of the trained networks that come with the package; see their cards.

    Returns
    -------
    Names that `load_network` takes, and folders of ``models/``.

    Raises
    ------
    FileNotFoundError
        If the installation is not whole.

    Examples
    --------
    >>> shipped_networks()
    ['digits_cnn', 'digits_vit', 'simulated_retina']
    """
    return sorted(path.parent.name for path in shipped("models").glob(f"*/{CONFIG}"))


def _card(network: nn.Module, scores: pd.DataFrame | None, about: Mapping[str, object]) -> str:
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    lines = [f"# {type(network).__name__}", "", f"{n_parameters:,} parameters.", ""]
    lines += [f"- {key}: {value}" for key, value in about.items()]
    if scores is not None:
        means = scores.select_dtypes("number").mean()
        lines += [f"- mean {key} on the test split: {value:.3f}" for key, value in means.items()]
    return "\n".join(lines) + "\n"
