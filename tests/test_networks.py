from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from retina_codec import networks
from retina_codec.datatypes import Recording, Stimulus
from retina_codec.networks import DeepRetina, LinearNonlinear, TrainingSettings, evaluate, train
from retina_codec.recordings import load_recording
from retina_codec.simulation import Circuit, simulate_recording
from retina_codec.stimuli import Normalisation, Screen, white_noise

REAL = Path(__file__).parents[2] / "shared/recordings/salamander_checkerboard.nwb"
QUICK = TrainingSettings(max_epochs=3, batch_size=64, validation_block_s=1.0)

NETWORKS = {
    "dense": lambda: DeepRetina(
        shape=(12, 12), history=5, typical_rate_hz=[5.0, 9.0], kernels=(5, 3)
    ),
    "convolutional": lambda: DeepRetina(
        shape=(12, 12),
        history=5,
        typical_rate_hz=[5.0, 9.0],
        kernels=(5, 3, 3),
        positions=[(3, 4), (11, 0)],
    ),
    "LN": lambda: LinearNonlinear(shape=(12, 12), history=5, typical_rate_hz=[5.0, 9.0]),
}


@pytest.fixture(scope="module")
def ln_recording():
    """Two LN cells: a bright spot 2 frames, a dark one 1 frame before the response."""
    stimulus = white_noise(n_frames=4000, screen=Screen((12, 12), frame_rate_hz=50.0), seed=0)
    drive = np.zeros((4000, 2))
    drive[2:, 0] = stimulus.frames[:-2, 4:6, 4:6].mean(axis=(1, 2))
    drive[1:, 1] = -stimulus.frames[:-1, 7:9, 7:9].mean(axis=(1, 2))
    rates = 20 * np.exp(1.5 * drive)
    counts = np.random.default_rng(0).poisson(rates / 50)
    return Recording(
        stimulus=stimulus,
        rates=(counts * 50.0).astype(np.float32),
        cells=pd.DataFrame({"cell": [0, 1]}),
        splits={"train": (0, 3000), "test": (3000, 4000)},
    )


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_output_is_a_rate_for_each_cell(make):
    rates = make()(torch.randn(7, 5, 12, 12))
    assert rates.shape == (7, 2)
    assert (rates > 0).all()


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_same_seed_same_network(make):
    first, second = make(), make()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_layers_have_their_names():
    names = [name for name, _ in NETWORKS["dense"]().named_children()]
    assert names == (
        "conv1 norm1 noise1 relu1 conv2 norm2 noise2 relu2 flatten ganglion norm3 rate".split()
    )


def test_noise_is_for_training_only():
    network, window = NETWORKS["dense"](), torch.randn(4, 5, 12, 12)
    network.train()
    assert not torch.equal(network(window), network(window))
    network.eval()
    assert torch.equal(network(window), network(window))


def test_convolutional_ganglion_reads_at_the_position():
    layer = networks.architectures.ConvolutionalGanglion(1, 3, [(0, 2), (1, 1)])
    layer.conv.weight.data.fill_(1.0)
    maps = torch.zeros(1, 1, 5, 5)
    maps[0, 0, 2, 2] = 1.0
    assert layer(maps).tolist() == [[1.0, 1.0]]
    maps = torch.zeros(1, 1, 5, 5)
    maps[0, 0, 0, 4] = 1.0
    assert layer(maps).tolist() == [[1.0, 0.0]]


def test_ln_model_is_separable():
    network = NETWORKS["LN"]()
    window = torch.randn(3, 5, 12, 12)
    space = network.space.weight.reshape(2, 12, 12)
    drive = torch.einsum("blyx,cl,cyx->bc", window, network.time.weight[:, 0], space)
    expected = nn.functional.softplus(drive + network.time.bias) * torch.tensor([5.0, 9.0])
    torch.testing.assert_close(network(window), expected)


def test_kernels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"Kernels \(15, 11\) need .* at least 25 pixels a side"):
        DeepRetina(shape=(20, 30), history=5, typical_rate_hz=[1.0])
    with pytest.raises(ValueError, match="needs 'positions'"):
        DeepRetina(shape=(50, 50), history=5, typical_rate_hz=[1.0], kernels=(15, 11, 11))


def test_training_finds_ln_cells(ln_recording):
    network = LinearNonlinear(shape=(12, 12), history=5, typical_rate_hz=[25.0, 25.0])
    settings = replace(QUICK, max_epochs=12, learning_rate=1e-2, l1_dense=1e-3)
    trained, log = train(network, ln_recording, settings=settings, progress=False)
    true = np.zeros((2, 12, 12))
    true[0, 4:6, 4:6], true[1, 7:9, 7:9] = 1, -1
    found = trained.space.weight.detach().numpy() * np.sign(
        trained.time.weight.detach().sum(dim=(1, 2)).numpy()[:, None]
    )
    for cell in range(2):
        assert np.corrcoef(found[cell], true[cell].ravel())[0, 1] > 0.9
    assert trained.time.weight[0, 0].abs().argmax() == 3
    assert trained.time.weight[1, 0].abs().argmax() == 4
    assert evaluate(trained, ln_recording).scores["pearson_r"].min() > 0.3
    assert log["validation_loss"].iloc[-1] < log["validation_loss"].iloc[0]


def test_training_changes_neither_network_nor_global_seed(ln_recording):
    network = NETWORKS["dense"]()
    before = [p.clone() for p in network.parameters()]
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(network, ln_recording, settings=replace(QUICK, max_epochs=1), progress=False)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


class Stop(Exception):
    pass


def test_interrupted_training_ends_as_if_nothing_had_happened(ln_recording, tmp_path, monkeypatch):
    whole, log = train(NETWORKS["dense"](), ln_recording, settings=QUICK, progress=False)
    path = tmp_path / "training.safetensors"
    epochs = []
    original = networks.training._Loop.run_epoch

    def stop_at_second(self, epoch):
        epochs.append(epoch)
        if len(epochs) == 2:
            raise Stop
        return original(self, epoch)

    monkeypatch.setattr(networks.training._Loop, "run_epoch", stop_at_second)
    given = {"settings": QUICK, "checkpoint": path, "progress": False}
    with pytest.raises(Stop):
        train(NETWORKS["dense"](), ln_recording, **given)
    resumed, log_resumed = train(NETWORKS["dense"](), ln_recording, **given)
    assert epochs == [0, 1, 1, 2]
    pd.testing.assert_frame_equal(log, log_resumed)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_checkpoint_of_other_training_is_refused(ln_recording, tmp_path):
    path = tmp_path / "training.safetensors"
    one = replace(QUICK, max_epochs=1)
    train(NETWORKS["LN"](), ln_recording, settings=one, checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="other settings or data"):
        train(NETWORKS["LN"](), ln_recording, settings=QUICK, checkpoint=path, progress=False)
    path.write_text("nonsense")
    with pytest.raises(ValueError, match="is not a training checkpoint"):
        train(NETWORKS["LN"](), ln_recording, settings=one, checkpoint=path, progress=False)


def test_unobserved_bins_count_for_nothing():
    predicted = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    recorded = torch.tensor([[1.0, float("nan")], [3.0, 4.0]])
    seen = [(1.0, 1.0), (3.0, 3.0), (4.0, 4.0)]
    expected = np.mean([r * 0.1 - n * 0.1 * np.log(r * 0.1 + 1e-6) for r, n in seen])
    assert networks.training.poisson_loss(predicted, recorded, 0.1).item() == pytest.approx(
        expected
    )


def test_scores_against_slow_formulas(ln_recording):
    rng = np.random.default_rng(0)
    signal = rng.gamma(2.0, size=(1, 20_000, 2))
    repeats = signal + rng.normal(size=(8, 20_000, 2))
    found = networks.explainable_variance(repeats)
    expected = signal[0].var(axis=0) / repeats.mean(axis=0).var(axis=0)
    np.testing.assert_allclose(found, expected, atol=0.01)
    recorded, predicted = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    recorded[7, 1] = np.nan
    keep = np.isfinite(recorded[:, 1])
    assert networks.pearson_r(recorded, predicted)[1] == pytest.approx(
        np.corrcoef(recorded[keep, 1], predicted[keep, 1])[0, 1]
    )


def test_constant_cells_have_no_r():
    assert np.isnan(networks.pearson_r(np.zeros((5, 1)), np.arange(5.0)[:, None])).all()


def test_perfect_model_has_normalised_r_of_one():
    stimulus = white_noise(n_frames=3000, screen=Screen((12, 12), frame_rate_hz=50.0))
    network = NETWORKS["LN"]()
    network.space.weight.data *= 5
    rates = networks.predict(network, networks.windows_for(network, stimulus, frames=(1000, 3000)))
    true = np.concatenate([np.zeros((1005, 2)), rates])
    trials = np.random.default_rng(0).poisson(true[1000:] / 50, (20, 2000, 2)) * 50.0
    recording = Recording(
        stimulus=stimulus,
        rates=np.concatenate([true[:1000], trials.mean(axis=0)]).astype(np.float32),
        cells=pd.DataFrame({"cell": [0, 1]}),
        splits={"train": (0, 1000), "test": (1000, 3000)},
        repeats=trials,
    )
    scores = evaluate(network, recording).scores
    np.testing.assert_allclose(scores["normalised_r"], 1.0, atol=0.05)
    assert (scores["pearson_r"] < 0.98).all()


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_saved_network_is_the_same(make, tmp_path):
    network = make().eval()
    network.normalisation = Normalisation(mean=3.0, std=2.0)
    network.settings["normalisation"] = {"mean": 3.0, "std": 2.0}
    scores = pd.DataFrame({"pearson_r": [0.5, 0.7]})
    path = networks.save_network(network, tmp_path / "network", scores=scores, about={"seed": 1})
    again = networks.load_network(path)
    window = torch.randn(3, 5, 12, 12)
    assert torch.equal(again(window), network(window))
    assert again.normalisation == network.normalisation
    assert "mean pearson_r on the test split: 0.600" in (path / "card.md").read_text()
    assert not any(p.name.endswith(".partial") for p in tmp_path.iterdir())


def broken(tmp_path, name, content):
    path = networks.save_network(NETWORKS["LN"](), tmp_path / "network")
    (path / name).write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "not json"),
        ("config.json", '{"architecture": "os.system", "settings": {}}'),
        ("config.json", '{"architecture": "LinearNonlinear", "settings": {"shape": [3]}}'),
        ("weights.safetensors", "\x80\x04pickled"),
    ],
)
def test_what_is_no_network_is_refused(tmp_path, name, content, as_user):
    path = broken(tmp_path, name, content)
    with pytest.raises(ValueError, match="is not a network") as raised:
        networks.load_network(path)
    assert "\n" not in str(raised.value)


def test_missing_network_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        networks.load_network(tmp_path / "nothing")


def test_only_our_networks_are_saved(tmp_path):
    with pytest.raises(TypeError, match="Cannot save a Identity"):
        networks.save_network(nn.Identity(), tmp_path / "network")


def test_windows_must_fit_the_network():
    network = NETWORKS["LN"]()
    movie = Stimulus(frames=np.zeros((30, 8, 8)), frame_rate_hz=1.0)
    with pytest.raises(ValueError, match=r"frames of \(12, 12\) pixels, the stimulus has \(8, 8\)"):
        networks.windows_for(network, movie)
    with pytest.raises(ValueError, match="Identity has no 'history'"):
        networks.windows_for(nn.Identity(), movie)


def test_saving_never_replaces_what_is_no_network(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data.txt").write_text("precious")
    with pytest.raises(ValueError, match="holds no network"):
        networks.save_network(NETWORKS["LN"](), tmp_path / "mine")
    assert (tmp_path / "mine" / "data.txt").read_text() == "precious"


def test_checkpoint_of_other_data_is_refused(ln_recording, tmp_path):
    path = tmp_path / "training.safetensors"
    given = {"settings": replace(QUICK, max_epochs=1), "checkpoint": path, "progress": False}
    train(NETWORKS["LN"](), ln_recording, **given)
    other = replace(ln_recording, rates=ln_recording.rates * 2)
    with pytest.raises(ValueError, match="other settings or data"):
        train(NETWORKS["LN"](), other, **given)


def test_cells_that_were_never_observed_are_refused(ln_recording):
    blind = replace(ln_recording, rates=np.full_like(ln_recording.rates, np.nan))
    with pytest.raises(ValueError, match="observed in 0 of .* samples of the split 'train'"):
        train(NETWORKS["LN"](), blind, settings=QUICK, progress=False)


def test_training_stops_by_samples_that_were_observed(ln_recording):
    start, stop = ln_recording.splits["train"]
    rates = ln_recording.rates.copy()
    rates[start + (stop - start) // 2 : stop] = np.nan
    given = {"settings": replace(QUICK, validation_block_s=100.0), "progress": False}
    _, hidden = train(NETWORKS["LN"](), replace(ln_recording, rates=rates), **given)
    shorter = {**ln_recording.splits, "train": (start, start + (stop - start) // 2)}
    _, absent = train(NETWORKS["LN"](), replace(ln_recording, splits=shorter), **given)
    pd.testing.assert_frame_equal(hidden, absent)


def test_short_recordings_are_trained_in_small_batches(ln_recording):
    given = {"settings": replace(QUICK, max_epochs=1, batch_size=None), "progress": False}
    start, _ = ln_recording.splits["train"]
    few = replace(ln_recording, splits={**ln_recording.splits, "train": (start, start + 700)})
    _, log = train(NETWORKS["LN"](), few, **given)
    _, same = train(
        NETWORKS["LN"](), few, **given | {"settings": replace(QUICK, max_epochs=1, batch_size=32)}
    )
    pd.testing.assert_frame_equal(log, same)


@pytest.mark.slow
def test_short_recordings_are_predicted_better_for_small_batches():
    circuit = Circuit(shape=(24, 24), history=25)
    recording = simulate_recording(circuit=circuit, n_frames=4000, test_frames=2000, seed=0)
    network = DeepRetina.for_recording(recording, history=25)
    settings = TrainingSettings(), TrainingSettings(batch_size=128)
    given = ({"settings": one, "progress": False} for one in settings)
    small, large = (
        evaluate(train(network, recording, **one)[0], recording).scores["pearson_r"].mean()
        for one in given
    )
    assert small > large + 0.1


def test_prediction_keeps_the_dtype_of_the_network():
    network = NETWORKS["LN"]().double()
    batch = np.zeros((3, 5, 12, 12), dtype=np.float32)
    assert networks.predict(network, batch).dtype == np.float64


def test_shipped_network_and_recording_fit():
    here = Path(__file__).parents[1]
    recording = load_recording(here / "data/sample/recording.nwb")
    network = networks.load_network(here / "models/simulated_retina")
    scores = evaluate(network, recording).scores
    assert scores["pearson_r"].mean() > 0.6


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="the real recording is not here")
def test_real_recording_is_predicted_better_than_by_an_ln_model():
    recording = load_recording(REAL)
    stop = recording.splits["train"][1]
    recent = replace(recording, splits=recording.splits | {"train": (stop - 24_000, stop)})
    settings = TrainingSettings(max_epochs=2), replace(networks.LN_TRAINING, max_epochs=4)
    mean_r = []
    for kind, of_kind in zip((DeepRetina, LinearNonlinear), settings, strict=True):
        network, _ = train(kind.for_recording(recent), recent, settings=of_kind, progress=False)
        predicted = evaluate(network, recent)
        assert predicted.recorded.shape == (4960, 16)
        mean_r.append(predicted.scores["pearson_r"].mean())
    assert mean_r[0] >= 0.27
    assert mean_r[0] >= 1.25 * mean_r[1]
