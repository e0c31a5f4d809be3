"""Train models/simulated_retina on the recording that `retina-codec demo` makes."""

from pathlib import Path

from retina_codec.networks import (
    LN_TRAINING,
    DeepRetina,
    LinearNonlinear,
    TrainingSettings,
    evaluate,
    save_network,
    train,
)
from retina_codec.simulation import Circuit, simulate_recording

MODELS = Path(__file__).parents[1] / "models"
NAME, SETTINGS = "simulated_retina", TrainingSettings(batch_size=128)
N_FRAMES, TEST_FRAMES, HISTORY = 16_000, 2_000, 25
CARD = """# {kind}: the simulated retina

{n_parameters:,} parameters. Layers to explain: {layers}.

- Data: {n_train:,} frames of natural scenes ({y} x {x} pixels, {rate:.0f} Hz) and the spike counts
  of {n_cells} simulated ganglion cells, three of each of four types (`simulation.Circuit`, seed 0);
  a tenth of them, in blocks of {block:.0f} s, to choose the best epoch. The same recording as that
  of `retina-codec demo`. Everything is simulated; the licence is that of the software.
- Input: (light - {mean:.4f}) / {std:.4f}, the last {history} frames, oldest first. An input of 0 is
  the mean of the movie.
- Training: `python data/train_retina.py`; {settings}; {n_epochs} epochs done.
- Score: mean r {r:.3f} on {n_test:,} test frames against the mean of 10 trials (LN model {ln:.3f});
  {normalised:.3f} of what the noise between trials allows; each cell in scores.json. With another
  number of threads the weights come out otherwise, the mean r within 0.02.
- Limits: it knows one kind of movie (drifting natural scenes of one contrast) and {n_cells} cells
  at fixed places. It is what tests and tutorials explain, because the true circuit is known; it
  says nothing about a retina.
"""


def recording():
    """Simulate what the network learns from."""
    circuit = Circuit(shape=(24, 24), history=HISTORY)
    return simulate_recording(circuit=circuit, n_frames=N_FRAMES, test_frames=TEST_FRAMES, seed=0)


def make() -> None:
    """Train the network and write its folder."""
    data = recording()
    network, epochs = train(
        DeepRetina.for_recording(data, history=HISTORY), data, settings=SETTINGS
    )
    ln, _ = train(LinearNonlinear.for_recording(data, history=HISTORY), data, settings=LN_TRAINING)
    scores = evaluate(network, data).scores
    folder = save_network(network, MODELS / NAME, scores=scores)
    start, stop = data.splits["train"]
    normalisation = network.settings["normalisation"]
    card = CARD.format(
        kind=type(network).__name__,
        n_parameters=sum(parameter.numel() for parameter in network.parameters()),
        layers=", ".join(network.default_layers),
        n_train=stop - start,
        y=data.stimulus.frames.shape[1],
        x=data.stimulus.frames.shape[2],
        rate=data.stimulus.frame_rate_hz,
        n_cells=data.rates.shape[1],
        block=SETTINGS.validation_block_s,
        mean=normalisation["mean"],
        std=normalisation["std"],
        history=network.history,
        settings=SETTINGS,
        n_epochs=len(epochs),
        r=scores["pearson_r"].mean(),
        ln=evaluate(ln, data).scores["pearson_r"].mean(),
        n_test=data.splits["test"][1] - data.splits["test"][0],
        normalised=scores["normalised_r"].mean(),
    )
    (folder / "card.md").write_text(card)


if __name__ == "__main__":
    make()
