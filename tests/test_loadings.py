"""Loadings of known modes in contributions that they were not learned from."""

from dataclasses import replace

import numpy as np
import pytest

from retina_codec.decomposition import SparseModes, decompose, loadings_of
from retina_codec.simulation import planted_contributions


def test_planted_loadings_come_back():
    contributions, truth = planted_contributions(n_samples=500, noise=0.03, scale_ratio=20.0)
    found = loadings_of(contributions, truth)
    assert np.corrcoef(found.ravel(), truth.loadings.ravel())[0, 1] > 0.98
    assert (found >= 0).all()


def test_modes_describe_contributions_they_have_not_seen():
    contributions, truth = planted_contributions(
        n_modes=4, n_features=12, n_samples=3000, scale_ratio=10.0
    )
    cut = 2000
    part = replace(
        contributions,
        **{
            name: getattr(contributions, name)[:cut]
            for name in ("values", "sample", "target_value", "baseline_value", "gap")
        },
    )
    modes = decompose(part, SparseModes())
    found = loadings_of(contributions, modes)
    likeness = np.corrcoef(found[cut:].T, truth.loadings[cut:].T)[: found.shape[1], -4:]
    assert (likeness.max(axis=0) > 0.98).all()
    sign = np.where(modes.sign == 0, 1, modes.sign)
    x = contributions.values * sign / modes.scale
    rest = x - found @ modes.dictionary - modes.offset
    assert np.square(rest[cut:]).sum() < 0.02 * np.square(x[cut:] - x[cut:].mean(0)).sum()


def test_offset_and_scale_are_those_of_the_modes():
    contributions, truth = planted_contributions(n_modes=3, n_samples=40, noise=0.0)
    moved = replace(truth, scale=0.5, offset=np.full(16, 0.3))
    values = (truth.loadings @ truth.dictionary + 0.3) * 0.5 * truth.sign
    found = loadings_of(replace(contributions, values=values), moved)
    np.testing.assert_allclose(found, truth.loadings, atol=1e-9)


def test_other_features_layers_and_signed_loadings_are_refused():
    contributions, truth = planted_contributions(n_modes=3, n_samples=40)
    with pytest.raises(ValueError, match="of 16 features of layer 'planted', .* 'other'"):
        loadings_of(replace(contributions, layer="other"), truth)
    with pytest.raises(ValueError, match="pooled the same way"):
        loadings_of(replace(contributions, sign=-contributions.sign), truth)
    with pytest.raises(ValueError, match="has negative loadings"):
        loadings_of(contributions, replace(truth, loadings=-truth.loadings))
