"""Settings and seeds beside each other: what they explain, and how far they agree."""

from dataclasses import replace

import numpy as np
import pytest

from retina_codec import statistics
from retina_codec.decomposition import (
    NonNegativeFactors,
    SparseModes,
    _sweep,
    class_agreement,
    decompose,
    match_modes,
    sweep,
)
from retina_codec.simulation import planted_contributions

N_CLASSES = 4
SETTINGS = {"four": NonNegativeFactors(N_CLASSES), "two": NonNegativeFactors(2)}


@pytest.fixture(scope="module")
def planted():
    """Contributions of images sorted by class, in which mode k is class k, with their labels."""
    record, modes = planted_contributions(
        n_modes=N_CLASSES, n_features=12, n_samples=400, features_per_mode=3, seed=1
    )
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(N_CLASSES), 100)
    active = (labels[:, None] == np.arange(N_CLASSES)) | (rng.random((400, N_CLASSES)) < 0.05)
    loadings = active * rng.gamma(4.0, size=active.shape)
    noise = 0.02 * rng.random((400, 12))
    return replace(record, values=(loadings @ modes.dictionary + noise) * modes.sign), labels


@pytest.fixture(scope="module")
def table(planted):
    contributions, labels = planted
    return sweep(contributions, SETTINGS, seeds=(0, 3), labels=labels, n_draws=100, progress=False)


def test_rows_are_the_fits(planted, table):
    contributions, labels = planted
    assert table[["setting", "seed"]].to_numpy().tolist() == [
        ["four", 0],
        ["four", 3],
        ["two", 0],
        ["two", 3],
    ]
    held_out = statistics.random_held_out(400, labels=labels)
    fits = [
        decompose(contributions, method, seed=seed, held_out=held_out)
        for method in SETTINGS.values()
        for seed in (0, 3)
    ]
    for name in ("r2", "r2_train", "n_dead", "active_per_sample", "method"):
        assert table[name].tolist() == [getattr(fit, name) for fit in fits]
    cosines = [match_modes(fits[0], fit)[1].sum() / 4 for fit in fits]
    np.testing.assert_allclose(table["agreement"][1:], cosines[1:])
    pairs = [match_modes(fits[i], fits[i + 1])[1].mean() for i in (0, 2)]
    np.testing.assert_allclose(table["agreement_of_seeds"][[0, 2]], pairs)


def test_planted_modes_agree_beyond_chance_and_too_few_do_not(table):
    assert np.isnan(table.loc[0, ["agreement", "class_agreement"]].to_numpy(dtype=float)).all()
    same, few = table.iloc[1], table.iloc[2]
    assert same["agreement"] > 0.95 > same["agreement_chance"] + 0.3
    assert few["agreement"] < 0.5 < same["agreement"]
    assert few["r2"] < same["r2"] - 0.1


def test_planted_classes_are_covered(table):
    assert table["classes_covered"].tolist()[:2] == [N_CLASSES] * 2
    assert (table["classes_covered"][2:] <= 2).all()
    assert (table["n_classes"] == N_CLASSES).all()
    assert table["class_agreement"][1] > 0.95 > table["class_agreement_chance"][1] + 0.3


def test_settings_of_a_sequence_have_their_own_names(planted):
    contributions, _ = planted
    found = sweep(contributions, list(SETTINGS.values()), seeds=(0,), progress=False)
    assert found["setting"].tolist() == [
        "NonNegativeFactors(n_modes=4)",
        "NonNegativeFactors(n_modes=2)",
    ]
    assert "class_modes" not in found
    assert found["agreement_of_seeds"].isna().all()


def test_samples_that_are_held_out_are_those_that_are_given(planted):
    contributions, _ = planted
    held_out = statistics.random_held_out(400, 0.5, seed=4)
    found = sweep(contributions, [SETTINGS["two"]], seeds=(2,), held_out=held_out, progress=False)
    expected = decompose(contributions, SETTINGS["two"], seed=2, held_out=held_out)
    assert found["r2"].tolist() == [expected.r2]


def test_shuffled_features_agree_as_strangers_do(planted):
    contributions, _ = planted
    modes = decompose(contributions, SETTINGS["four"])
    strangers = [
        replace(modes, dictionary=np.random.default_rng(s).permutation(modes.dictionary, axis=1))
        for s in range(40)
    ]
    slow = np.mean([match_modes(modes, other)[1].mean() for other in strangers])
    found = np.mean([_sweep._agreement_by_chance(modes, replace(modes, seed=s)) for s in range(8)])
    assert found == pytest.approx(slow, abs=0.05)


# ---- agreement about classes


def slow_class_agreement(a, b, labels):
    atoms = []
    for modes in (a, b):
        of_fit = []
        for number in range(N_CLASSES):
            mask = (labels == number).astype(float)
            r = np.array([np.corrcoef(x, mask)[0, 1] for x in modes.loadings.T])
            own = np.flatnonzero(r > 0.2) if (r > 0.2).any() else [r.argmax()]
            net = np.zeros(6)
            for mode in own:
                for weight, channel, sign in zip(
                    modes.dictionary[mode], modes.channel, modes.sign, strict=True
                ):
                    net[channel] += weight * sign
            of_fit.append(net)
        atoms.append(of_fit)
    r = np.array([[np.corrcoef(x, y)[0, 1] for y in atoms[1]] for x in atoms[0]])
    return np.diag(r).mean(), r[~np.eye(N_CLASSES, dtype=bool)].mean()


def test_class_agreement_agrees_with_a_loop(planted):
    contributions, labels = planted
    a, b = (decompose(contributions, NonNegativeFactors(n), seed=n) for n in (3, 5))
    expected = slow_class_agreement(a, b, labels)
    assert class_agreement(a, b, labels) == pytest.approx(expected)


def test_agreement_is_relative_to_the_size_of_channels(planted):
    contributions, labels = planted
    a, b = (decompose(contributions, SparseModes(6, n_passes=10), seed=seed) for seed in (0, 1))
    assert a.feature_scale is not None
    factor = np.geomspace(1, 1000, 6)[a.channel]
    larger = [
        replace(m, dictionary=m.dictionary * factor, feature_scale=m.feature_scale * factor)
        for m in (a, b)
    ]
    assert class_agreement(*larger, labels) == pytest.approx(class_agreement(a, b, labels))
    by_chance = _sweep._agreement_by_chance
    assert by_chance(*larger) == pytest.approx(by_chance(a, b))


def test_fits_without_modes_agree_about_nothing(planted):
    contributions, labels = planted
    modes = decompose(contributions, SETTINGS["two"])
    empty = replace(
        modes,
        dictionary=modes.dictionary[:0],
        loadings=modes.loadings[:, :0],
        firing=modes.firing[:0],
        feature_scale=None,
    )
    assert np.isnan(class_agreement(modes, empty, labels)).all()


def test_sweep_says_what_is_wrong(planted):
    contributions, _ = planted
    with pytest.raises(ValueError, match="'methods' is empty"):
        sweep(contributions, [], progress=False)
    with pytest.raises(ValueError, match=r"holds NonNegativeFactors\(n_modes=2\) more than once"):
        sweep(contributions, [NonNegativeFactors(2)] * 2, progress=False)
    with pytest.raises(ValueError, match=r"different numbers, at least one, got \[1, 1\]"):
        sweep(contributions, SETTINGS, seeds=[1, 1], progress=False)
