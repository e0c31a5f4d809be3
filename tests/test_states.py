import numpy as np
import pandas as pd
import pytest
from test_receptive_fields import modes_of

from retina_codec.receptive_fields import states, transitions
from retina_codec.statistics import explained_by


def cyclic(n_cycles=60):
    """A is always followed by A and B together, and these by B; then nothing."""
    cycle = np.array([[1, 0]] * 3 + [[1, 1]] * 2 + [[0, 1]] * 4 + [[0, 0]] * 3, dtype=float)
    return modes_of(np.tile(cycle, (n_cycles, 1)))


def test_states_last_as_long_as_they_do():
    table = states(cyclic()).set_index("combination")
    assert table["duration"].to_dict() == {"1": 4.0, "none": 3.0, "0": 3.0, "0, 1": 2.0}
    assert set(table["n_episodes"]) == {60}
    assert table.loc["0, 1", "chance"] == pytest.approx(5 / 12 * 6 / 12)
    assert table["chance"].sum() == pytest.approx(1)


def test_transitions_of_a_cycle_are_found_and_others_are_not():
    table = transitions(cyclic()).set_index(["from", "to"])
    for pair in [("0", "0, 1"), ("0, 1", "1"), ("1", "none")]:
        assert table.loc[pair, "n"] == 60 and table.loc[pair, "p"] < 0.01
    assert table.loc[("0", "none"), "n"] == 0


def test_transitions_in_random_order_are_not_called():
    rng = np.random.default_rng(0)
    loadings = np.eye(3)[rng.integers(3, size=3000)]
    p = transitions(modes_of(loadings))["p"]
    assert p.min() > 0.005


@pytest.fixture(scope="module")
def moments():
    """A feature that one slow predictor makes, and another slow series without any part in it."""
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(size=(1000, 2)), axis=0)
    own, other = ((one - one.mean()) / one.std() for one in slow.T)
    feature = np.abs(own) + 0.3 * rng.normal(size=1000)
    return pd.DataFrame({"feature": feature, "flat": 1.0}), own[:, None], other[:, None]


def test_what_makes_a_feature_explains_it_and_noise_does_not(moments):
    features, own, _ = moments
    noise = np.random.default_rng(2).normal(size=(1000, 3))
    table = explained_by(features, {"own": own, "noise": noise}).set_index("predictor")
    assert table.loc["own", "low"] > 0.3
    assert table.loc["noise", "high"] < 0.1
    assert table["feature"].tolist() == ["feature", "feature"]


def test_moments_without_the_feature_do_not_count(moments):
    features, own, _ = moments
    holed = features.assign(feature=features["feature"].where(np.arange(1000) % 3 > 0))
    assert explained_by(holed, {"own": own})["n"].tolist() == [666]
    few = features.assign(feature=features["feature"].where(np.arange(1000) < 59))
    assert explained_by(few, {"own": own}).empty


def test_lengths_must_agree(moments):
    features, own, _ = moments
    with pytest.raises(ValueError, match="1000 samples, the predictors 'own' 999"):
        explained_by(features, {"own": own[1:]})


def test_frequent_states_do_not_make_false_transitions():
    """Frames without memory: a frequent state must be followed by others, which is no finding."""
    rng = np.random.default_rng(3)
    loadings = np.eye(3)[rng.choice(3, size=3000, p=[0.7, 0.15, 0.15])]
    table = transitions(modes_of(loadings))
    assert (table["p"] > 0.01).all()
    np.testing.assert_allclose(table["n"].sum(), table["expected"].sum(), rtol=1e-6)
