"""Labels that a network does not believe."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

SURE = 0.8


def doubtful_labels(
    probabilities: Float[np.ndarray, "sample class"],
    labels: Int[np.ndarray, " sample"],
    *,
    sure: float = SURE,
) -> pd.DataFrame:
    """List samples whose label the network finds unlikely while it is sure of another class.

    Either the label is wrong, or the network: to be looked at, not to be removed unseen.

    Parameters
    ----------
    probabilities
        Of each class, as the network gives them; rows sum to 1.
    labels
        Number of the class of each sample; samples with -1 have no label and are left out.
    sure
        Least probability of the other class. It cannot be less than 0.5.

    Returns
    -------
    One row for each doubtful sample, the most doubtful first: `sample`; its `label`, the
    `probability` of it, which is below that of a guess (1 / classes), and its `rank` among all
    classes, from 1; the class the network prefers, `top`, and its `top probability`.

    Raises
    ------
    ValueError
        If rows are not probabilities, or labels not classes.

    Notes
    -----
    Sample i is listed if ``max_k p[i, k] >= sure`` and ``p[i, label] < 1 / K``. Unlike confident
    learning, which sets a threshold for each class from held-out predictions, this needs no other
    images; a network that was trained on wrong labels may believe them.

    References
    ----------
    Northcutt, Jiang and Chuang (2021), Journal of Artificial Intelligence Research 70:1373-1411.

    Examples
    --------
    >>> table = doubtful_labels(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]))
    >>> table[["sample", "label", "top", "rank"]].to_numpy().tolist()
    [[1, 1, 0, 2]]
    """
    n_classes = probabilities.shape[1]
    _check(probabilities, labels, sure)
    numbers = np.flatnonzero(labels >= 0)
    p, label = probabilities[numbers], labels[numbers]
    own = p[np.arange(len(numbers)), label]
    table = pd.DataFrame(
        {
            "sample": numbers,
            "label": label,
            "probability": own,
            "rank": 1 + (p > own[:, None]).sum(axis=1),
            "top": p.argmax(axis=1),
            "top probability": p.max(axis=1),
        }
    )
    doubtful = table[(table["probability"] < 1 / n_classes) & (table["top probability"] >= sure)]
    margin = doubtful["top probability"] - doubtful["probability"]
    return doubtful.loc[margin.sort_values(ascending=False, kind="stable").index].reset_index(
        drop=True
    )


def _check(probabilities: np.ndarray, labels: np.ndarray, sure: float) -> None:
    if not (np.all(probabilities >= 0) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)):
        msg = "Expected probabilities: numbers from 0 that sum to 1 in each row. Use softmax."
        raise ValueError(msg)
    if len(labels) != len(probabilities) or np.any(labels >= probabilities.shape[1]):
        msg = (
            f"Expected {len(probabilities)} labels below {probabilities.shape[1]}, "
            f"got {len(labels)} up to {labels.max(initial=-1)}."
        )
        raise ValueError(msg)
    if not 0.5 <= sure <= 1:
        msg = f"'sure' must be from 0.5 to 1, got {sure}."
        raise ValueError(msg)
