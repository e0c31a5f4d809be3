"""What is found out about cells: how well they are predicted, their types, what changes them."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Real

from ._labels import RATE, SAMPLE
from ._record import Record


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Record):
    """Recorded and predicted rates of the same samples, and how well they agree.

    Attributes
    ----------
    recorded, predicted
        NaN in `recorded` where a cell was not observed.
    sample
        Time of each sample in seconds.
    scores
        One row for each cell: pearson_r and, where there are repeats, explainable_variance and
        normalised_r.
    network
        Which network predicted.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> rates = np.array([[1.0], [2.0], [3.0]])
    >>> predictions = Predictions(
    ...     recorded=rates,
    ...     predicted=2 * rates,
    ...     sample=np.arange(3) / 100,
    ...     scores=pd.DataFrame({"pearson_r": [1.0]}),
    ...     network="example",
    ... )
    >>> predictions.label("predicted")
    'predicted rate (Hz)'
    """

    recorded: Float[Any, "sample cell"] = field(metadata=RATE)
    predicted: Float[Any, "sample cell"] = field(metadata={**RATE, "long_name": "predicted rate"})
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    scores: Annotated[pd.DataFrame, "cell"]
    network: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CellTypes(Record):
    """Cells grouped by the modes they go with, and how much the groups are worth.

    Attributes
    ----------
    correlations
        Pearson's r of the rate of each cell with the loading of each mode.
    labels
        Cluster of each cell at the number of clusters that was chosen.
    candidates
        Cluster of each cell at each number of clusters.
    criteria
        One row for each number of clusters `n_clusters`: `silhouette` (NaN for 1), `gap` and
        `gap_error`, `stability` (mean adjusted Rand index of clusterings of resampled time with
        this one; NaN for 1), `response_silhouette` (see `response_labels`).
    choices
        Number of clusters by each rule, and what was `chosen`.
    null_silhouette
        Silhouettes where each loading was shifted in time by itself, at each number of clusters.
    null_labels
        Clusters of the same draws, at their number of largest silhouette.
    response_labels
        Clusters of the cells by the correlation of their rates with one another, without modes, at
        the number of largest silhouette.
    layer, target, method, points
        Whose modes they are, how cells were grouped, and what was made of the correlations first.

    Raises
    ------
    ValueError
        If arrays disagree in their axes, or `labels` have another number of clusters than was
        chosen.

    Examples
    --------
    >>> found = CellTypes(
    ...     correlations=np.array([[0.5, 0.0], [0.4, 0.1], [0.0, 0.6]]),
    ...     labels=np.array([0, 0, 1]),
    ...     candidates=np.array([[0, 0, 0], [0, 0, 1]]),
    ...     criteria=pd.DataFrame({"n_clusters": [1, 2], "silhouette": [np.nan, 0.8]}),
    ...     choices={"silhouette": 2, "chosen": 2},
    ...     null_silhouette=np.array([[np.nan, 0.3], [np.nan, 0.4], [np.nan, 0.2]]),
    ...     null_labels=np.array([[0, 1, 0], [1, 0, 0], [0, 1, 1]]),
    ...     response_labels=np.array([0, 0, 1]),
    ...     layer="conv1",
    ...     target="surprisal",
    ...     method="example",
    ...     points="example",
    ... )
    >>> found.p_value
    0.25
    """

    correlations: Float[Any, "cell mode"] = field(metadata={"long_name": "Pearson r"})
    labels: Int[Any, " cell"] = field(metadata={"long_name": "cluster"})
    candidates: Int[Any, "k cell"] = field(metadata={"long_name": "cluster"})
    criteria: Annotated[pd.DataFrame, "k"]
    choices: dict[str, Any]
    null_silhouette: Float[Any, "draw k"] = field(metadata={"long_name": "silhouette by chance"})
    null_labels: Int[Any, "draw cell"] = field(metadata={"long_name": "cluster by chance"})
    response_labels: Int[Any, " cell"] = field(metadata={"long_name": "cluster of responses"})
    layer: str
    target: str
    method: str
    points: str

    def __post_init__(self):
        super().__post_init__()
        n_clusters = int(np.asarray(self.labels).max(initial=-1)) + 1
        if n_clusters != self.choices.get("chosen"):
            msg = (
                f"CellTypes: 'labels' go up to {n_clusters - 1}, but 'choices' says "
                f"{self.choices.get('chosen')} clusters were chosen, numbered from 0."
            )
            raise ValueError(msg)

    @property
    def p_value(self) -> float:
        """How often shifted loadings have so large a best silhouette: (1 + such) / (1 + draws).

        References
        ----------
        Phipson & Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39,
        doi:10.2202/1544-6115.1585.
        """
        best = np.nanmax(self.criteria["silhouette"].to_numpy(dtype=float), initial=0.0)
        by_chance = np.nanmax(np.asarray(self.null_silhouette), axis=1, initial=0.0)
        return float((1 + np.sum(by_chance >= best)) / (1 + len(by_chance)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects(Record):
    """What removing or keeping channels did to the output.

    Attributes
    ----------
    baseline
        Output of the untouched network.
    perturbed
        Output under each condition.
    conditions
        One row for each condition: what was done, to which channels, for which mode or control.
    sample
        Time of each sample in seconds, or its number.
    layer
        Where it was done.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> effects = Effects(
    ...     baseline=np.array([[10.0], [30.0]]),
    ...     perturbed=np.array([[[5.0], [15.0]], [[10.0], [26.0]]]),
    ...     conditions=pd.DataFrame({"kind": ["mode", "random"]}),
    ...     sample=np.array([0.0, 0.01]),
    ...     layer="conv1",
    ... )
    >>> effects.relative_change.tolist()
    [[-0.5], [-0.1]]
    """

    baseline: Float[Any, "sample output"] = field(metadata=RATE)
    perturbed: Float[Any, "condition sample output"] = field(metadata=RATE)
    conditions: Annotated[pd.DataFrame, "condition"]
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    layer: str

    @property
    def relative_change(self) -> Float[np.ndarray, "condition output"]:
        """Change of the mean output relative to the untouched network's; NaN where that is 0."""
        untouched = np.asarray(self.baseline).mean(axis=0)
        change = np.asarray(self.perturbed).mean(axis=1) - untouched
        return np.divide(change, untouched, out=np.full_like(change, np.nan), where=untouched != 0)
