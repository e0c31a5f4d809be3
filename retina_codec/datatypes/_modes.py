"""Contributions, the modes they are made of, and whether these come back."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Real

from ._labels import CONTRIBUTION, SAMPLE
from ._record import Record
from ._tables import dictionary_table, feature_names, sample_table

REPRODUCES = 0.9
"""Reproducibility below which a mode counts as unstable."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contributions(Record):
    """How much of the target's change went through each unit of one layer.

    Attributes
    ----------
    values
        Pooled into features, or one map for each channel.
    sample
        Time of each sample in seconds, or its number.
    target_value, baseline_value
        The target at the sample and at the baseline.
    gap
        target_value - baseline_value - sum of all contributions: what the steps missed, and what
        bypassed the layer where it does not cut the network.
    channel, sign
        What each feature is made of: a channel, and +1 (promotes), -1 (suppresses) or 0 (both
        together). Without pooling, the channels with sign 0.
    layer, target, method
        What was explained, where and how.
    n_steps
        Steps from baseline to sample that were needed; None where nobody counted.
    bypassed
        Whether the stimulus reaches the target also round the layer, so that the gap is meant to be
        there; None where nobody looked.
    settings
        The numbers behind the method.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> contributions = Contributions(
    ...     values=np.array([[3.0, -1.0], [1.0, -0.5]]),
    ...     sample=np.array([0.0, 0.01]),
    ...     target_value=np.array([4.0, 1.5]),
    ...     baseline_value=np.array([2.0, 1.0]),
    ...     gap=np.array([0.0, 0.0]),
    ...     channel=np.array([0, 0]),
    ...     sign=np.array([1, -1]),
    ...     layer="conv1",
    ...     target="one_cell(0)",
    ...     method="example",
    ... )
    >>> contributions.to_pandas()
            channel 0 +  channel 0 -
    sample
    0.00            3.0         -1.0
    0.01            1.0         -0.5
    """

    values: (
        Float[Any, "sample feature"]
        | Float[Any, "sample feature y x"]
        | Float[Any, "sample feature t y x"]
        | Float[Any, "sample token feature"]
    ) = field(metadata=CONTRIBUTION)
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    target_value: Float[Any, " sample"] = field(metadata={"long_name": "target"})
    baseline_value: Float[Any, " sample"] = field(metadata={"long_name": "target at the baseline"})
    gap: Float[Any, " sample"] = field(metadata={"long_name": "completeness gap"})
    channel: Int[Any, " feature"] = field(metadata={"long_name": "channel"})
    sign: Int[Any, " feature"] = field(metadata={"long_name": "sign"})
    layer: str
    target: str
    method: str
    n_steps: Int[Any, " sample"] | None = field(default=None, metadata={"long_name": "steps"})
    bypassed: bool | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def relative_gap(self) -> Float[np.ndarray, " sample"]:
        """Size of the gap relative to the change of the target; NaN where it did not change."""
        change = np.abs(np.asarray(self.target_value) - np.asarray(self.baseline_value))
        return np.divide(
            np.abs(np.asarray(self.gap)), change, out=np.full_like(change, np.nan), where=change > 0
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return pooled contributions as a table: one row for each sample, a column per feature.

        Raises
        ------
        ValueError
            If contributions are maps: pool them first.
        """
        if len(self.values.shape) != 2:
            msg = (
                f"Only pooled contributions (sample, feature) make a table; these have axes "
                f"{self.axes_of('values')}. Pool over space first."
            )
            raise ValueError(msg)
        return sample_table(self.values, self.sample, feature_names(self.channel, self.sign))


@dataclass(frozen=True, kw_only=True, eq=False)
class Modes(Record):
    """Sparse motifs of features that together make up the contributions of one layer.

    Contributions are described by their magnitude: ``values * sign / scale`` is about
    ``loadings @ dictionary + offset``. A feature with sign -1 thus counts how much its channel
    suppresses.

    Attributes
    ----------
    dictionary
        One row for each mode.
    loadings
        How much of each mode there is in each sample.
    sample, channel, sign
        As in the contributions.
    held_out
        Samples that the fit has not seen.
    r2, r2_train
        1 - residual / variance around the mean of each feature, on samples held out and on those
        fitted.
    firing
        In how many samples each mode is active.
    scale, offset
        Number that all contributions were divided by; value of each feature when no mode is active.
    feature_scale
        Size of each feature that the method divided by, so that small features counted like large
        ones; None where features counted as they are.
    n_dead
        Modes that are never active, or that the method removed.
    curve
        Training loss of the method at each of its steps; None for methods without one.
    reproducibility
        Mean cosine of each mode with its match in fits repeated with other seeds and other data
        (see `Stability`); None where nobody repeated the fit.
    layer, target, method, seed, settings
        Where the modes come from.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> from retina_codec.simulation import planted_contributions
    >>> _, modes = planted_contributions(n_modes=2, n_features=2, n_samples=100)
    >>> loadings, dictionary = modes.to_pandas()
    >>> dictionary.round(2)
          channel 0 +  channel 0 -  firing
    mode
    0            0.99         0.11      13
    1            0.38         0.92      13
    >>> modes.active_per_sample
    0.26
    """

    dictionary: Float[Any, "mode feature"] = field(metadata={"long_name": "weight"})
    loadings: Float[Any, "sample mode"] = field(metadata={"long_name": "loading", "units": "a.u."})
    sample: Real[Any, " sample"] = field(metadata=SAMPLE)
    held_out: Bool[Any, " sample"] = field(metadata={"long_name": "held out"})
    channel: Int[Any, " feature"] = field(metadata={"long_name": "channel"})
    sign: Int[Any, " feature"] = field(metadata={"long_name": "sign"})
    offset: Float[Any, " feature"] = field(metadata={"long_name": "offset"})
    firing: Int[Any, " mode"] = field(metadata={"long_name": "samples in which the mode is active"})
    r2: float
    r2_train: float
    scale: float
    n_dead: int
    layer: str
    target: str
    method: str
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    feature_scale: Float[Any, " feature"] | None = field(
        default=None, metadata={"long_name": "size of the feature"}
    )
    curve: Float[Any, " step"] | None = field(default=None, metadata={"long_name": "training loss"})
    reproducibility: Float[Any, " mode"] | None = field(
        default=None, metadata={"long_name": "reproducibility"}
    )

    @property
    def relative_dictionary(self) -> Float[np.ndarray, "mode feature"]:
        """Modes as the method saw them: weights relative to the size of the feature, unit norm."""
        if self.feature_scale is None:
            return np.asarray(self.dictionary)
        relative = np.asarray(self.dictionary) / np.asarray(self.feature_scale)
        norm = np.linalg.norm(relative, axis=1, keepdims=True)
        return relative / np.where(norm > 0, norm, 1)

    @property
    def active_per_sample(self) -> float:
        """Mean number of modes that are active in a sample (L0)."""
        return float(np.sum(self.firing) / self.loadings.shape[0])

    @property
    def is_unstable(self) -> Bool[np.ndarray, " mode"]:
        """Modes that repeated fits do not find again: reproducibility below `REPRODUCES`."""
        if self.reproducibility is None:
            return np.zeros(self.dictionary.shape[0], dtype=bool)
        return np.asarray(self.reproducibility) < REPRODUCES

    def to_pandas(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return two tables: loadings, a row for each sample; the dictionary, one for each mode."""
        names = [f"mode {number}" for number in range(self.dictionary.shape[0])]
        return sample_table(self.loadings, self.sample, names), dictionary_table(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stability(Record):
    """How far the modes of a fit come back when it is repeated.

    Attributes
    ----------
    cosine
        Of each mode with the mode of a repeated fit that it is matched with; 0 without a match.
    fits
        One row for each repeated fit: `kind` ("other seed" or "resampled"), `seed`,
        `n_modes` alive, `r2` held out, and `agreement`: the sum of the cosines divided by
        the larger number of modes.
    layer, method
        Whose modes they are.

    Raises
    ------
    ValueError
        If arrays disagree in their axes.

    Examples
    --------
    >>> fits = pd.DataFrame({"kind": ["other seed", "resampled"], "seed": [1, 0]})
    >>> stability = Stability(
    ...     cosine=np.array([[1.0, 0.5], [0.9, 0.0]]), fits=fits, layer="conv1", method="example"
    ... )
    >>> stability.reproducibility.tolist()
    [0.95, 0.25]
    """

    cosine: Float[Any, "fit mode"] = field(metadata={"long_name": "cosine with the matched mode"})
    fits: Annotated[pd.DataFrame, "fit"]
    layer: str
    method: str

    @property
    def reproducibility(self) -> Float[np.ndarray, " mode"]:
        """Mean over repeated fits of the cosine."""
        return np.asarray(self.cosine).mean(axis=0)
