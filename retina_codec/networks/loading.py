"""Load networks: own folders, checkpoints of others, and networks that own code makes.

A kind of file is one line in `CHECKPOINTS`: what it is called, how it is recognised by what is
inside, and the functions that build and describe its network. Nothing in a file is ever run.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from retina_codec.datatypes import did_you_mean, shipped

from . import _open_retina, _torch_deep_retina
from ._code import is_import_path, made_by
from ._published_layers import as_published
from ._stored_values import StoredTensor, Unreadable
from ._torch_files import DAMAGED, TorchFile, is_torch_file, read_torch_file
from .checkpoint import CONFIG, SCORES, WEIGHTS, read_folder, shipped_networks

SUFFIXES = (".pt", ".pth", ".ckpt")
STATE_KEYS = ("model_state_dict", "state_dict")


@dataclass(frozen=True)
class Checkpoint:
    """A kind of checkpoint of others.

    Attributes
    ----------
    name
        What it is called.
    recognises
        Whether what a file holds is of this kind.
    build
        From a file and the options to a network.
    describe
        From what a file holds to plain facts.
    options
        Arguments of `load_network` that apply to it.

    Examples
    --------
    >>> [(known.name, known.options) for known in CHECKPOINTS]
    [...('session',))]
    """

    name: str
    recognises: Callable[[Any], bool]
    build: Callable[..., nn.Module]
    describe: Callable[[dict[str, Any]], dict[str, object]]
    options: tuple[str, ...] = ()


def _facts_of_torch_deep_retina(objects: dict[str, Any]) -> dict[str, object]:
    return {
        **asdict(_torch_deep_retina.about(objects)),
        "era": _torch_deep_retina.stored_layout(objects).era,
        "normalisation": asdict(_torch_deep_retina.normalisation(objects)),
    }


CHECKPOINTS = (
    Checkpoint(
        _torch_deep_retina.KIND,
        _torch_deep_retina.recognises,
        _torch_deep_retina.build,
        _facts_of_torch_deep_retina,
        options=("positions",),
    ),
    Checkpoint(
        _open_retina.KIND,
        _open_retina.recognises,
        _open_retina.build,
        _open_retina.describe,
        options=("session",),
    ),
)
"""All kinds of checkpoints, in the order in which a file is compared with them."""


def load_network(
    path: str | PathLike,
    *,
    weights: str | PathLike | None = None,
    session: str | None = None,
    positions: _torch_deep_retina.Places | None = None,
) -> nn.Module:
    """Load a network, in evaluation mode; what a file is is seen from what is inside.

    Parameters
    ----------
    path
        - a folder that `save_network` wrote;
        - the name of one of `shipped_networks`, where no file or folder has it;
        - a checkpoint of torch-deep-retina, or a folder with one;
        - a Lightning checkpoint of open-retina;
        - ``"package.module:function"``: a function without arguments that returns a module.
          **This imports and runs that code**: name only what you trust. A `Path` is never taken for
          a function: use one for names that come out of files.
    weights
        With a function only: a file with its state dict, safetensors or what `torch.save` wrote.
    session
        open-retina only: whose cells to predict; needed where a file has several sessions.
    positions
        torch-deep-retina only: from centres, shape of the stimulus and sides of the filters to the
        places at which cells read their maps; `as_published` unless told otherwise, or `centred`.

    Returns
    -------
    nn.Module
        Networks that come out of files have `history` and `normalisation`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or of a kind that is not supported; the message names the file.

    Notes
    -----
    Checkpoints are read as data: what they name is neither imported nor called.

    Examples
    --------
    >>> load_network("torch.nn:Identity").training
    False
    """
    if is_import_path(path):
        _check_options("function", (), {"session": session, "positions": positions})
        return _from_code(str(path), weights)
    path = _existing(path)
    given = {"weights": weights, "session": session, "positions": positions}
    if path.is_dir() and not _checkpoint_in(path):
        _check_options("folder of this package", (), given)
        return read_folder(path)
    path = _checkpoint_in(path) or path
    return _guarded(path, lambda file, of: _built(file, of, given))


def describe_checkpoint(path: str | PathLike) -> dict[str, object]:
    """Say what a file or folder with a network holds, without building it.

    Parameters
    ----------
    path
        As for `load_network`, but no function.

    Returns
    -------
    dict
        Plain values: ``kind``, ``model_type``, ``layers`` (names of weights and their shapes), and
        what the kind of file says beside: ``era``, ``cells``, ``dataset``, ``stim_type``,
        ``normalisation``, ``scores``, ``sessions``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or of a kind that is not supported.

    Examples
    --------
    >>> import tempfile
    >>> from retina_codec.networks import LinearNonlinear, save_network
    >>> network = LinearNonlinear(shape=(4, 4), history=3, typical_rate_hz=[1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     facts = describe_checkpoint(save_network(network, f"{folder}/ln"))
    >>> facts["model_type"], facts["layers"]["space.weight"]
    ('LinearNonlinear', [1, 16])
    """
    path = _existing(path)
    found = _checkpoint_in(path)
    if path.is_dir() and not found:
        return _described_folder(path)
    return _guarded(
        found or path,
        lambda file, of: {**of.describe(file.objects), "layers": shapes(file.objects)},
    )


def shapes(objects: dict[str, Any]) -> dict[str, list[int]]:
    """Names of weights and their shapes."""
    state = next((objects[key] for key in STATE_KEYS if key in objects), {})
    return {
        str(key): list(value.shape)
        for key, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, StoredTensor)
    }


def _built(file: TorchFile, of: Checkpoint, given: dict[str, Any]) -> nn.Module:
    _check_options(of.name, of.options, given)
    if "positions" in of.options:
        return of.build(file, given["positions"] or as_published)
    return of.build(file, given["session"])


def _guarded(path: Path, use: Callable[[TorchFile, Checkpoint], Any]) -> Any:
    """Use a file; whatever is wrong with it is one error that names it."""
    try:
        if not is_torch_file(path):
            raise Unreadable(_unknown(path))
        file = read_torch_file(path)
        return use(file, _kind(file.objects))
    except _Option:
        raise
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if not isinstance(error, Unreadable):
            reason = f"it is damaged ({type(error).__name__}: {reason:.150})"
        msg = f"Cannot load a network from {path}: {reason}."
        raise ValueError(msg) from error


def _kind(objects: Any) -> Checkpoint:
    for known in CHECKPOINTS:
        if known.recognises(objects):
            return known
    held = ", ".join(map(str, list(objects)[:8])) if isinstance(objects, dict) else type(objects)
    names = " or ".join(known.name for known in CHECKPOINTS)
    msg = (
        f"it is no {names}; it holds {held!s:.200}. Weights alone are loaded with "
        "load_network('package.module:function', weights=FILE)"
    )
    raise Unreadable(msg)


def _unknown(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return (
        f"it starts with {start!r}, so it is not what torch.save wrote. Expected the folder of a "
        f"network ({CONFIG}, {WEIGHTS}) or a checkpoint"
    )


def _existing(path: str | PathLike) -> Path:
    path, ours = Path(path).expanduser(), shipped_networks()
    if not path.exists() and str(path) in ours:
        return shipped("models") / path
    if not path.exists():
        siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        guess = did_you_mean(path.name, [*siblings, *ours])
        msg = f"No network at {path}: there is no such folder or file.{guess}"
        raise FileNotFoundError(msg)
    return path


def _checkpoint_in(path: Path) -> Path | None:
    """Return the one checkpoint of a folder that is no folder of this package."""
    if not path.is_dir() or (path / CONFIG).exists():
        return None
    found = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES)
    if len(found) > 1:
        names = ", ".join(one.name for one in found[:5])
        msg = f"{path} holds {len(found)} checkpoints ({names}). Name one of them."
        raise ValueError(msg)
    return found[0] if found else None


class _Option(ValueError):
    """An argument that does not apply."""


def _check_options(kind: str, options: tuple[str, ...], given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and name not in options:
            allowed = ", ".join(options) or "none"
            msg = f"{name!r} does not apply to a {kind}. Options that do: {allowed}."
            raise _Option(msg)


def _from_code(source: str, weights: str | PathLike | None) -> nn.Module:
    made = made_by(source)
    if not isinstance(made, nn.Module):
        msg = f"{source!r} returned a {type(made).__name__}, expected an nn.Module."
        raise ValueError(msg)
    if weights is not None:
        path = _existing(weights)
        try:
            made.load_state_dict(_weights(path))
        except (SafetensorError, OSError, *DAMAGED) as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            msg = f"Cannot load weights from {path} into {source!r}: {reason}."
            raise ValueError(msg) from error
    return made.eval()


def _weights(path: Path) -> dict[str, torch.Tensor]:
    if not is_torch_file(path):
        return load_file(path)
    file = read_torch_file(path)
    held = file.objects
    if isinstance(held, dict):
        held = next((held[key] for key in STATE_KEYS if key in held), held)
    return file.weights(held)


def _described_folder(path: Path) -> dict[str, object]:
    try:
        config = json.loads((path / CONFIG).read_text())
        with safe_open(path / WEIGHTS, framework="pt") as file:
            names = list(file.keys())
            layers = {name: list(file.get_slice(name).get_shape()) for name in names}
        scores = path / SCORES
        return {
            "kind": "folder of this package",
            "model_type": str(config["architecture"]),
            "layers": layers,
            "normalisation": config["settings"].get("normalisation"),
            "scores": json.loads(scores.read_text()) if scores.exists() else [],
        }
    except (SafetensorError, OSError, *DAMAGED) as error:
        reason = " ".join(str(error).split())[:200]
        msg = f"{path} is not a network: expected a folder with {CONFIG} and {WEIGHTS} ({reason})."
        raise ValueError(msg) from error
