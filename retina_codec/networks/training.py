"""Fit a network to a recording: one visible loop."""

import json
import math
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from retina_codec.datatypes import Recording
from retina_codec.stimuli import Windows

from .architectures import seeded
from .scores import pearson_r, predict, windows_for

BATCHES, BATCH_SIZES = 80, (32, 128)


@dataclass(frozen=True)
class TrainingSettings:
    """Numbers of a training; the defaults are those for the deep-retina network.

    Examples
    --------
    >>> TrainingSettings(max_epochs=2).patience
    3
    """

    learning_rate: float = 5e-3
    """Peak of the schedule: a short linear rise, then half a cosine down to zero."""
    batch_size: int | None = None
    """Samples in a batch; None: an 80th of those fitted, but 32 to 128. A short recording needs
    small batches, or it ends after too few steps."""
    max_epochs: int = 8
    """Passes through the training split, at the most."""
    patience: int = 3
    """Epochs without a better validation likelihood after which training stops."""
    l1_dense: float = 2e-3
    """Weight of the sum of absolute weights into each unit of a dense layer (mean over units)."""
    l2_filters: float = 1e-4
    """Weight of the sum of squares of all two-dimensional filters."""
    average: float = 0.99
    """Decay of the running average of the weights; the average is what is validated and kept."""
    validation_share: float = 0.1
    """Share of the training split, in blocks of time, that decides when to stop."""
    validation_block_s: float = 10.0
    """Length of one such block in seconds."""
    seed: int = 0
    """Of the order of samples and of the noise."""


LN_TRAINING = TrainingSettings(learning_rate=1e-2, max_epochs=25, patience=5, l1_dense=1e-3)
"""Settings for the LN model: more epochs, since it is small."""


def train(
    network: nn.Module,
    recording: Recording,
    *,
    settings: TrainingSettings = TrainingSettings(),
    checkpoint: str | PathLike | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> tuple[nn.Module, pd.DataFrame]:
    """Fit a network to the training split and return it with the log of its epochs.

    Minimises the negative Poisson log-likelihood of the spike counts, ``mean(r - n log r)`` with r
    and n the predicted and recorded spikes in a bin, plus penalties on weights. Bins in which a
    cell was not observed count for nothing. The state that is returned is the one with the best
    likelihood on validation blocks.

    Parameters
    ----------
    network
        Knows its `history` and `normalisation`; it is not changed.
    recording
        With a split "train".
    settings
        Numbers of the training.
    checkpoint
        File that keeps the state after each epoch; an interrupted training goes on from it.
    device
        Where to compute.
    progress
        Whether to show a bar.

    Returns
    -------
    tuple
        The network in evaluation mode, on the CPU; and one row for each epoch: `epoch`,
        `training_loss`, `validation_loss`, `validation_r`.

    Raises
    ------
    ValueError
        If the network does not fit the movie, no cell was observed, or the checkpoint is not one,
        or is of another training.

    Notes
    -----
    The learning rate rises and then falls with half a cosine; what is validated and returned is a
    running average of the weights that Adam finds.

    References
    ----------
    Kingma and Ba (2015), International Conference on Learning Representations, arXiv:1412.6980.

    Examples
    --------
    >>> from retina_codec.networks import LinearNonlinear
    >>> from retina_codec.simulation import Circuit, simulate_recording
    >>> circuit = Circuit(shape=(20, 20), history=20, cells_per_type=1)
    >>> recording = simulate_recording(circuit=circuit, n_frames=400)
    >>> network = LinearNonlinear.for_recording(recording, history=10)
    >>> settings = TrainingSettings(max_epochs=2)
    >>> fitted, log = train(network, recording, settings=settings, progress=False)
    >>> list(log), len(log)
    (['epoch', 'training_loss', 'validation_loss', 'validation_r'], 2)
    """
    loop = _Loop(deepcopy(network).to(device), recording, settings, device)
    if checkpoint is not None and Path(checkpoint).exists():
        loop.resume(Path(checkpoint))
    epochs = range(len(loop.log), settings.max_epochs)
    bar = tqdm(
        epochs, desc=f"training {type(network).__name__}", unit="epoch", disable=not progress
    )
    for epoch in bar:
        if epoch - loop.best_epoch > settings.patience:
            break
        with seeded(settings.seed * 100_003 + epoch):
            loss = loop.run_epoch(epoch)
        loop.validate(epoch, loss)
        if checkpoint is not None:
            loop.save(Path(checkpoint))
        bar.set_postfix({"validation r": f"{loop.log[-1]['validation_r']:.3f}"})
    network = loop.average.module.cpu().eval()
    network.load_state_dict(loop.best)
    return network, pd.DataFrame(loop.log)


class _Loop:
    def __init__(self, network, recording: Recording, settings: TrainingSettings, device: str):
        stimulus = replace(recording.stimulus, frames=np.asarray(recording.stimulus.frames))
        self.samples = windows_for(network, stimulus, frames=recording.splits["train"])
        self.rates = np.asarray(recording.rates[self.samples.bins], dtype=np.float32)
        self.bin_s = 1 / stimulus.frame_rate_hz
        self.settings, self.device, self.network = settings, device, network
        observed = np.isfinite(self.rates).any(axis=1)
        seen = np.flatnonzero(observed)
        if len(seen) < 2:
            msg = (
                f"Cells were observed in {len(seen)} of {len(observed)} samples of the split "
                "'train'; training needs at least two. Choose another split."
            )
            raise ValueError(msg)
        validated = validation_blocks(len(seen), stimulus.frame_rate_hz, settings)
        self.fitted, self.validation = seen[~validated], seen[validated]
        n = len(self.fitted)
        size = settings.batch_size or int(np.clip(n // BATCHES, *BATCH_SIZES))
        self.n_batches = max(1, n // size)
        self.average = AveragedModel(
            network, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True
        )
        self.optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        self.log: list[dict[str, float]] = []
        self.best = deepcopy(self.average.module.state_dict())
        self.best_epoch = 0

    def run_epoch(self, epoch: int) -> float:
        self.network.train()
        order = self.fitted[torch.randperm(len(self.fitted)).numpy()]
        batches = np.array_split(order, self.n_batches)
        total = 0.0
        for step, batch in enumerate(batches, start=epoch * self.n_batches):
            self.optimiser.param_groups[0]["lr"] = self.learning_rate(step)
            window = torch.from_numpy(self.samples[batch]).to(self.device)
            rates = torch.from_numpy(self.rates[batch]).to(self.device)
            likelihood = poisson_loss(self.network(window), rates, self.bin_s)
            loss = likelihood + penalty(self.network, self.settings)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.average.update_parameters(self.network)
            total += likelihood.item() / self.n_batches
        return total

    def learning_rate(self, step: int) -> float:
        done = (step + 1) / (self.settings.max_epochs * self.n_batches)
        rise = 0.1
        shape = (
            done / rise
            if done < rise
            else 0.5 + 0.5 * math.cos(math.pi * (done - rise) / (1 - rise))
        )
        return self.settings.learning_rate * shape

    def validate(self, epoch: int, training_loss: float) -> None:
        predicted = predict(self.average.module, _Chosen(self.samples, self.validation))
        recorded = self.rates[self.validation]
        loss = poisson_loss(torch.from_numpy(predicted), torch.from_numpy(recorded), self.bin_s)
        r = np.nanmean(pearson_r(recorded, predicted))
        entry = {"training_loss": training_loss, "validation_loss": loss.item()}
        better = not self.log or loss < min(past["validation_loss"] for past in self.log)
        self.log.append({"epoch": epoch, **entry, "validation_r": float(r)})
        if better:
            self.best, self.best_epoch = deepcopy(self.average.module.state_dict()), epoch

    def identity(self) -> dict[str, object]:
        """Return what makes two trainings the same: settings, rates and shapes of weights."""
        shapes = {name: list(p.shape) for name, p in self.network.named_parameters()}
        rates = sha256(np.ascontiguousarray(self.rates).tobytes()).hexdigest()[:16]
        return {"settings": asdict(self.settings), "rates": rates, "shapes": shapes}

    def save(self, path: Path) -> None:
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{k}": v for k, v in state.items()}
        about = {"of": self.identity(), "log": self.log, "best_epoch": self.best_epoch}
        partial = path.with_suffix(".partial")
        copies = {key: tensor.detach().cpu().clone() for key, tensor in tensors.items()}
        save_file(copies, partial, metadata={"training": json.dumps(about)})
        partial.replace(path)

    def resume(self, path: Path) -> None:
        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads(file.metadata()["training"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            msg = f"{path} is not a training checkpoint ({error}). Delete it to start anew."
            raise ValueError(msg) from error
        if about.get("of") != self.identity():
            msg = f"{path} is of a training with other settings or data. Delete it to start anew."
            raise ValueError(msg)
        self.network.load_state_dict(_below("network", tensors))
        self.average.load_state_dict(_below("average", tensors))
        self.best, self.best_epoch, self.log = (
            _below("best", tensors),
            about["best_epoch"],
            about["log"],
        )
        adam = self.optimiser.state_dict()
        for index in range(len(adam["param_groups"][0]["params"])):
            adam["state"][index] = _below(f"adam.{index}", tensors)
        self.optimiser.load_state_dict(adam)


@dataclass(frozen=True)
class _Chosen:
    """Some of the samples, in order."""

    samples: Windows
    index: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice) -> np.ndarray:
        return self.samples[self.index[part]]


def poisson_loss(predicted: torch.Tensor, recorded: torch.Tensor, bin_s: float) -> torch.Tensor:
    """Mean of r - n log r over observed bins, r and n the predicted and recorded spikes in one."""
    seen = torch.isfinite(recorded)
    r, n = predicted[seen] * bin_s, recorded[seen] * bin_s
    return (r - n * torch.log(r + 1e-6)).mean()


def penalty(network: nn.Module, settings: TrainingSettings) -> torch.Tensor:
    """L1 on dense layers, L2 on two-dimensional filters, with the weights of the settings."""
    total = torch.zeros(())
    for module in network.modules():
        if isinstance(module, nn.Linear):
            total = total + settings.l1_dense * module.weight.abs().sum(dim=1).mean()
        elif isinstance(module, nn.Conv2d):
            total = total + settings.l2_filters * module.weight.square().sum()
    return total


def validation_blocks(
    n_samples: int, frame_rate_hz: float, settings: TrainingSettings
) -> np.ndarray:
    """Mark whole blocks of time, spread evenly over observed samples, for validation."""
    block = max(1, round(settings.validation_block_s * frame_rate_hz))
    block = min(block, max(1, int(n_samples * settings.validation_share)))
    every = max(2, round(1 / settings.validation_share))
    marked = (np.arange(n_samples) // block) % every == every - 1
    if not marked.any():
        marked[-block:] = True
    return marked


def _below(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
