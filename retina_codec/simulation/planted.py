"""Contributions made of known modes, to see what a decomposition finds."""

import numpy as np
from jaxtyping import Bool, Float

from retina_codec.datatypes import Contributions, Modes

SAMPLES_PER_SECOND = 100


def planted_contributions(
    *,
    n_modes: int = 12,
    n_features: int = 16,
    n_samples: int = 6000,
    active: float = 0.15,
    features_per_mode: int | None = None,
    signed: bool = False,
    burst: float = 1.0,
    together: float = 0.0,
    noise: float = 0.03,
    scale_ratio: float = 1.0,
    seed: int = 0,
) -> tuple[Contributions, Modes]:
    """Contributions that are sums of sparse modes and noise, with the modes they are made of.

    Parameters
    ----------
    n_modes, n_features, n_samples
        Sizes.
    active
        Share of samples in which each mode is active.
    features_per_mode
        How many features a mode has; None for weights on all of them, few of them large.
    signed
        Whether modes have weights of both signs. Then features are whole channels (sign 0);
        otherwise each channel has a feature that promotes and one that suppresses.
    burst
        Mean length of an active episode in samples; 1 for no memory.
    together
        Share of the episodes of every second mode that begin and end with one of the mode before.
    noise
        Standard deviation of Gaussian noise as a share of that of each feature. Where modes are not
        signed, numbers that noise would turn round are set to 0.
    scale_ratio
        How much larger the largest feature is than the smallest; the others lie between, evenly
        spread on a logarithmic scale and in random order.
    seed
        Of everything.

    Returns
    -------
    contributions
        As an analysis would have them, at 100 samples a second.
    modes
        The truth, with modes of unit norm and loadings that are never negative.

    Raises
    ------
    ValueError
        If a size or share is impossible.

    Notes
    -----
    Loadings are gamma distributed (shape 2), once for each episode; within an episode they vary by
    a factor of mean 1 and standard deviation 1/2.

    Examples
    --------
    >>> contributions, truth = planted_contributions(n_samples=300, noise=0.0)
    >>> rebuilt = truth.loadings @ truth.dictionary * truth.sign
    >>> bool(np.allclose(contributions.values, rebuilt))
    True
    """
    _check(n_modes, n_features, n_samples, active, features_per_mode, burst, together, scale_ratio)
    rng = np.random.default_rng(seed)
    scales = rng.permutation(np.geomspace(1.0, scale_ratio, n_features))
    dictionary = _weights(rng, n_modes, features_per_mode or n_features, n_features, signed)
    loadings = _loadings(rng, n_samples, n_modes, active, burst, together)
    clean = loadings @ dictionary
    values = clean + noise * clean.std(axis=0) * rng.normal(size=clean.shape)
    values = (values if signed else np.maximum(values, 0)) * scales
    norm = np.linalg.norm(dictionary * scales, axis=1)
    feature = np.arange(n_features)
    sign = np.zeros(n_features, int) if signed else np.where(feature % 2 == 0, 1, -1)
    channel = feature if signed else feature // 2
    about = {"channel": channel, "sign": sign, "sample": np.arange(n_samples) / SAMPLES_PER_SECOND}
    about |= {"layer": "planted", "target": "planted", "method": "planted"}
    contributions = Contributions(
        values=values * np.where(sign == 0, 1, sign),
        target_value=values @ np.where(sign == 0, 1, sign),
        baseline_value=np.zeros(n_samples),
        gap=np.zeros(n_samples),
        **about,
    )
    modes = Modes(
        dictionary=dictionary * scales / norm[:, None],
        loadings=loadings * norm,
        held_out=np.zeros(n_samples, dtype=bool),
        offset=np.zeros(n_features),
        firing=np.count_nonzero(loadings, axis=0),
        r2=1.0,
        r2_train=1.0,
        scale=1.0,
        n_dead=0,
        seed=seed,
        **about,
    )
    return contributions, modes


def _weights(rng, n_modes, n_own, n_features, signed) -> Float[np.ndarray, "mode feature"]:
    """Random weights of unit norm; on all features they are gamma distributed, shape 1."""
    dense = n_own == n_features
    weights = np.zeros((n_modes, n_features))
    for row in weights:
        own = rng.choice(n_features, n_own, replace=False)
        row[own] = rng.gamma(1.0, size=n_own) if dense else rng.uniform(0.3, 1.0, n_own)
    if signed:
        weights *= rng.choice([-1.0, 1.0], weights.shape)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


def _loadings(rng, n_samples, n_modes, active, burst, together) -> Float[np.ndarray, "sample mode"]:
    loadings = np.zeros((n_samples, n_modes))
    for mode in range(n_modes):
        follows = together if mode % 2 else 0.0
        train = _episodes(rng, n_samples, active * (1 - follows), burst)
        if follows:
            train |= _some_episodes(rng, loadings[:, mode - 1] > 0, follows)
        sizes = rng.gamma(2.0, size=n_samples)
        if burst > 1:
            sizes = sizes[_number_of_episode(train)] * rng.gamma(4.0, 0.25, size=n_samples)
        loadings[:, mode] = train * sizes
    return loadings


def _episodes(rng, n_samples, active, burst) -> Bool[np.ndarray, " sample"]:
    """Two-state Markov chain; with a mean length of 1, samples are independent."""
    if burst == 1:
        return rng.uniform(size=n_samples) < active
    on, off = rng.geometric(1 / burst, n_samples), burst * (1 - active) / max(active, 1e-9)
    off = rng.geometric(min(1.0, 1 / off), n_samples)
    lengths = np.stack([off, on], axis=1).ravel()
    states = np.tile([False, True], n_samples)
    n_needed = int(np.searchsorted(np.cumsum(lengths), n_samples)) + 1
    return np.repeat(states[:n_needed], lengths[:n_needed])[:n_samples]


def _number_of_episode(train: Bool[np.ndarray, " sample"]) -> np.ndarray:
    return np.cumsum(np.diff(train, prepend=False) & train)


def _some_episodes(rng, train, share) -> Bool[np.ndarray, " sample"]:
    number = _number_of_episode(train)
    return train & (rng.uniform(size=number[-1] + 1) < share)[number]


def _check(n_modes, n_features, n_samples, active, n_own, burst, together, scale_ratio) -> None:
    counts = {"n_modes": n_modes, "n_features": n_features, "n_samples": n_samples}
    for name, value in counts.items():
        if value < 1:
            msg = f"{name!r} must be at least 1, got {value}."
            raise ValueError(msg)
    if n_own is not None and not 1 <= n_own <= n_features:
        msg = f"'features_per_mode' must be between 1 and {n_features}, got {n_own}."
        raise ValueError(msg)
    for name, value in {"active": active, "together": together}.items():
        if not 0 <= value <= 1:
            msg = f"{name!r} must be between 0 and 1, got {value}."
            raise ValueError(msg)
    if burst < 1 or scale_ratio < 1:
        msg = f"'burst' and 'scale_ratio' must be at least 1, got {burst} and {scale_ratio}."
        raise ValueError(msg)
