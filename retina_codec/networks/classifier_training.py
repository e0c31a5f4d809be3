"""Fit a classifier to images with labels: one visible loop; and how often it is right."""

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import nn
from tqdm import tqdm

from .architectures import seeded
from .scores import predict

Z_95 = 1.959964


@dataclass(frozen=True)
class ClassifierTraining:
    """Numbers of the training of a classifier; the defaults are those for the digits.

    Examples
    --------
    >>> ClassifierTraining(epochs=5).batch_size
    64
    """

    learning_rate: float = 3e-3
    """Peak of the schedule: a short linear rise, then half a cosine down to zero."""
    batch_size: int = 64
    """Images in a batch."""
    epochs: int = 30
    """Passes through the images that are fitted."""
    weight_decay: float = 0.05
    """Of AdamW, on weights with two axes or more."""
    label_smoothing: float = 0.1
    """Share of the truth that is spread over all classes, so that outliers count for less."""
    shift: int = 1
    """Pixels by which images move at random, at the most, to each side; edges are repeated."""
    validation_share: float = 0.1
    """Share of each class that decides which epoch is the best."""
    seed: int = 0
    """Of the images for validation, the order of the others, and their shifts."""


def train_classifier(
    network: nn.Module,
    images: Any,
    labels: Int[np.ndarray, " sample"],
    *,
    settings: ClassifierTraining = ClassifierTraining(),
    progress: bool = True,
) -> tuple[nn.Module, pd.DataFrame]:
    """Fit a classifier and return it with the log of its epochs.

    Minimises the cross entropy with AdamW. The state that is returned is the one with the smallest
    cross entropy on the images for validation, which are not fitted.

    Parameters
    ----------
    network
        Gives a logit for each class; it is not changed.
    images
        Normalised as the network wants them; slices into batches "sample channel y x".
    labels
        Number of the class of each image; images with -1 are left out.
    settings
        Numbers of the training.
    progress
        Whether to show a bar.

    Returns
    -------
    tuple
        The network in evaluation mode, and one row for each epoch: `epoch`, `training_loss`,
        `validation_loss`, `validation_accuracy`.

    Raises
    ------
    ValueError
        If labels and images are not equally many, or a class cannot be held out.

    References
    ----------
    Loshchilov and Hutter (2019), International Conference on Learning Representations,
    arXiv:1711.05101.

    Examples
    --------
    >>> images = np.random.default_rng(0).normal(size=(40, 1, 2, 2)).astype(np.float32)
    >>> labels = (images.mean(axis=(1, 2, 3)) > 0).astype(int)
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> settings = ClassifierTraining(epochs=5, shift=0)
    >>> _, log = train_classifier(network, images, labels, settings=settings, progress=False)
    >>> bool(log["validation_loss"].iloc[-1] < log["validation_loss"].iloc[0])
    True
    """
    network = deepcopy(network)
    held_out = validation_images(labels, settings)
    kept, fitted = np.flatnonzero(held_out), np.flatnonzero(~held_out & (labels >= 0))
    pixels, truth = _as_array(images, labels), torch.as_tensor(np.asarray(labels))
    optimiser = torch.optim.AdamW(_groups(network, settings.weight_decay))
    log: list[dict[str, float]] = []
    best = deepcopy(network.state_dict())
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    name = f"training {type(network).__name__}"
    for epoch in tqdm(range(settings.epochs), desc=name, unit="epoch", disable=not progress):
        network.train()
        total = 0.0
        with seeded(settings.seed * 100_003 + epoch):
            for share, batch in _batches(fitted, settings):
                for group in optimiser.param_groups:
                    group["lr"] = _learning_rate((epoch + share) / settings.epochs, settings)
                logits = network(_shifted(pixels[batch], settings.shift))
                loss = cross_entropy(logits, truth[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(batch) / len(fitted)
        found = _validated(network, pixels[kept], truth[kept], cross_entropy)
        if not log or found["validation_loss"] < min(past["validation_loss"] for past in log):
            best = deepcopy(network.state_dict())
        log.append({"epoch": epoch, "training_loss": total, **found})
    network.load_state_dict(best)
    return network.eval(), pd.DataFrame(log)


def accuracy(network: nn.Module, images: Any, labels: Int[np.ndarray, " sample"]) -> float:
    """Share of the images in which the class with the largest output is the right one.

    Parameters
    ----------
    network
        Gives one output for each class.
    images
        Normalised as the network wants them.
    labels
        Number of the class of each image; images with -1 do not count.

    Raises
    ------
    ValueError
        If there is nothing to count.

    Examples
    --------
    >>> images = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    >>> accuracy(nn.Identity(), images, np.array([1, 0, -1]))
    1.0
    """
    return float(_is_right(network, images, labels).mean())


def class_scores(
    network: nn.Module, images: Any, labels: Int[np.ndarray, " sample"]
) -> pd.DataFrame:
    """How often a classifier is right, for each class and for all images.

    Parameters
    ----------
    network
        With `class_names`.
    images, labels
        As in `accuracy`.

    Returns
    -------
    DataFrame
        Rows are the classes of which there are images, and "all". Columns: `class`, `images`,
        `accuracy`, and `low` and `high`, the bounds of its 95 % interval.

    Raises
    ------
    ValueError
        If there is nothing to count.

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22:209-212,
    doi:10.1080/01621459.1927.10502953: the interval.

    Examples
    --------
    >>> network = nn.Identity()
    >>> network.class_names = ("cat", "dog")
    >>> images = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    >>> class_scores(network, images, np.array([1, 0, 0]))[["class", "images", "accuracy"]]
      class  images  accuracy
    0   cat       2  0.500000
    1   dog       1  1.000000
    2   all       3  0.666667
    """
    right, known = _is_right(network, images, labels), labels[labels >= 0]
    groups = {str(network.class_names[c]): right[known == c] for c in np.unique(known)}
    rows = [
        {"class": name, "images": len(found), "accuracy": found.mean(), **_wilson(found)}
        for name, found in [*groups.items(), ("all", right)]
    ]
    return pd.DataFrame(rows)


def validation_images(
    labels: Int[np.ndarray, " sample"], settings: ClassifierTraining
) -> np.ndarray:
    """Mark the same share of each class, at least one image, for validation.

    Parameters
    ----------
    labels
        Number of the class of each image, or -1.
    settings
        Share and seed.

    Raises
    ------
    ValueError
        If a class has fewer than two images.

    Examples
    --------
    >>> labels = np.repeat([0, 1, -1], 20)
    >>> np.bincount(labels[validation_images(labels, ClassifierTraining())]).tolist()
    [2, 2]
    """
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    if not len(classes) or counts.min() < 2:
        msg = (
            "Each class needs at least two images, one of them for validation; got "
            f"{dict(zip(classes.tolist(), counts.tolist(), strict=True))}."
        )
        raise ValueError(msg)
    random = np.random.default_rng(settings.seed)
    marked = np.zeros(len(labels), dtype=bool)
    for class_, count in zip(classes, counts, strict=True):
        n = min(count - 1, max(1, round(settings.validation_share * count)))
        marked[random.choice(np.flatnonzero(labels == class_), n, replace=False)] = True
    return marked


def _as_array(images: Any, labels: np.ndarray) -> torch.Tensor:
    if len(images) != len(labels):
        msg = f"Expected one label for each image, got {len(images)} images, {len(labels)} labels."
        raise ValueError(msg)
    return torch.as_tensor(images[:])


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights, which decay, and the rest (biases, norms), which does not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _batches(fitted: np.ndarray, settings) -> Iterator[tuple[float, np.ndarray]]:
    """Share of the epoch that is done after each batch, and the numbers of its images."""
    order = fitted[torch.randperm(len(fitted)).numpy()]
    batches = np.array_split(order, max(1, len(order) // settings.batch_size))
    for i, batch in enumerate(batches, start=1):
        yield i / len(batches), batch


def _learning_rate(done: float, settings: ClassifierTraining) -> float:
    rise = 0.1
    if done < rise:
        return settings.learning_rate * done / rise
    return settings.learning_rate * (0.5 + 0.5 * math.cos(math.pi * (done - rise) / (1 - rise)))


def _shifted(
    images: Float[torch.Tensor, "sample channel y x"], most: int
) -> Float[torch.Tensor, "sample channel y x"]:
    """Move each image by a random whole number of pixels along each axis."""
    if not most:
        return images
    n, _, height, width = images.shape
    padded = nn.functional.pad(images, (most,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * most + 1, (2, n, 1))
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    at = torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]
    return padded.movedim(1, -1)[at].movedim(-1, 1).contiguous()


def _validated(network, pixels, truth, cross_entropy) -> dict[str, float]:
    logits = torch.from_numpy(predict(network, pixels))
    right = (logits.argmax(dim=1) == truth).float().mean()
    loss = cross_entropy(logits, truth)
    return {"validation_loss": loss.item(), "validation_accuracy": right.item()}


def _is_right(network, images, labels) -> np.ndarray:
    labels = np.asarray(labels)
    if len(images) != len(labels) or not (labels >= 0).any():
        msg = (
            "Expected one label for each image and at least one that is known, got "
            f"{len(images)} images and {int((labels >= 0).sum())} known of {len(labels)} labels."
        )
        raise ValueError(msg)
    winners = predict(network, images).argmax(axis=1)
    return (winners == labels)[labels >= 0]


def _wilson(right: np.ndarray) -> dict[str, float]:
    """Bounds of the 95 % interval of a share."""
    n, share = len(right), right.mean()
    middle = (share + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n**2)) / (1 + Z_95**2 / n)
    return {"low": middle - half, "high": min(middle + half, 1.0)}
