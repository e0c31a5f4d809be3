"""Make data/overview.png from the folder that `make demo` leaves."""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import SubFigure

from retina_codec.datatypes import Contributions, Fields, Modes
from retina_codec.export import load
from retina_codec.figures import plot_contributions, plot_loadings, style
from retina_codec.networks import load_network, windows_for
from retina_codec.receptive_fields import fields_of_combinations, separate_space_time
from retina_codec.recordings import load_recording

HERE = Path(__file__).parent
LAYER, N_COMBINATIONS, SECONDS, LEAST_RATE_HZ = "relu2", 4, 3.0, 10.0
TYPES = ("OFF transient", "ON sustained", "ON-OFF transient")


def fields_of_types(run: Path, modes: Modes) -> tuple[list[str], Fields]:
    """Return the fields under frequent combinations, for one cell of each type."""
    recording, network = load_recording(run / "recording.nwb"), load_network(run / "network")
    r = load(run / "predictions.nc").scores["pearson_r"]
    types = recording.cells["cell_type"]
    cells = [int(r[types == name].idxmax()) for name in TYPES]
    samples = windows_for(network, recording.stimulus, frames=recording.splits["test"])
    fields = fields_of_combinations(
        network, samples, modes, cells=cells, most=60, least_rate_hz=LEAST_RATE_HZ
    )
    names = [f"cell {c}\n{name}" for c, name in zip(cells, TYPES, strict=True)]
    return names, separate_space_time(fields)


def draw_maps(figure: SubFigure, rows: list[str], fields: Fields) -> None:
    """Draw the spatial map of each cell (rows) under its most frequent combinations (columns)."""
    axes = figure.subplots(len(rows), N_COMBINATIONS)
    for line, name, cell in zip(axes, rows, dict.fromkeys(fields.items["cell"]), strict=True):
        mine = fields.items[(fields.items["cell"] == cell) & (fields.items["n_samples"] >= 3)]
        shown = mine.nlargest(N_COMBINATIONS, "n_samples").index
        line[0].set_ylabel(name)
        for ax, item in zip(line, shown, strict=False):
            most = np.abs(fields.space[item]).max()
            ax.imshow(fields.space[item], cmap="RdBu_r", vmin=-most, vmax=most)
            ax.set_title(f"{mine['combination'][item]}")
        for ax in line:
            ax.set(xticks=[], yticks=[])


def busiest(contributions: Contributions) -> tuple[float, float]:
    """Return the seconds in which the target changes most."""
    change = np.abs(contributions.target_value - contributions.baseline_value)
    width = round(SECONDS / (contributions.sample[1] - contributions.sample[0]))
    first = int(np.convolve(np.sqrt(change), np.ones(width), mode="valid").argmax())
    return float(contributions.sample[first]), float(contributions.sample[first + width - 1])


def main(run: Path) -> None:
    """Draw the records of a run."""
    contributions = load(run / f"contributions_{LAYER}.nc")
    modes = load(run / f"modes_{LAYER}.nc")
    rows, fields = fields_of_types(run, modes)
    with style():
        figure = plt.figure(figsize=(9.5, 4.8), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
        above, below = left.subplots(2, 1)
        plot_contributions(contributions, span_s=busiest(contributions), ax=above)
        plot_loadings(modes, span_s=busiest(contributions), ax=below)
        above.set_title("contributions to the surprisal of the population", loc="left")
        below.set_title("loadings of modes", loc="left")
        right.suptitle("mean IRF of a cell while these modes are active", fontsize=8.5)
        draw_maps(right, rows, fields)
        figure.savefig(HERE / "overview.png", dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
