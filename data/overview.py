"""Make data/overview.png from the folder that `make demo` leaves."""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from retina_codec.datatypes import Fields
from retina_codec.export import load
from retina_codec.figures import plot_contributions, plot_loadings, style

HERE = Path(__file__).parent
LAYER, N_COMBINATIONS, N_CELLS, SECONDS = "relu1", 4, 2, 3.0


def draw_maps(axes, fields: Fields, cells: list[int], combinations: list[str]) -> None:
    """Draw the spatial map of each cell (rows) under each combination of modes (columns)."""
    table = fields.items
    for row, cell in enumerate(cells):
        for column, combination in enumerate(combinations):
            (item,) = np.flatnonzero(
                (table["cell"] == cell) & (table["combination"] == combination)
            )
            ax, most = axes[row, column], np.nanmax(np.abs(fields.space[item]))
            ax.imshow(fields.space[item], cmap="RdBu_r", vmin=-most, vmax=most)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(
                    f"modes {combination}" if "," in combination else f"mode {combination}"
                )
            if column == 0:
                ax.set_ylabel(f"cell {cell}")


def cells_and_combinations(fields: Fields) -> tuple[list[int], list[str]]:
    """Return the cells whose maps differ most between combinations, and the combinations."""
    combinations = list(dict.fromkeys(fields.items["combination"]))
    spread = {}
    for cell in dict.fromkeys(fields.items["cell"]):
        maps = fields.space[fields.items["cell"] == cell].reshape(len(combinations), -1)
        spread[cell] = np.nanmean(np.nanvar(maps, axis=0))
    cells = sorted(spread, key=spread.get, reverse=True)[:N_CELLS]
    maps = fields.space[np.isin(fields.items["cell"], cells)].reshape(
        len(combinations), N_CELLS, -1
    )
    whole = [c for c, m in zip(combinations, maps, strict=True) if np.isfinite(m).all()]
    return sorted(cells), whole[:N_COMBINATIONS]


def main(run: Path) -> None:
    """Draw the records of a run."""
    contributions = load(run / f"contributions_{LAYER}.nc")
    modes = load(run / f"modes_{LAYER}.nc")
    fields = load(run / f"fields_combinations_{LAYER}.nc")
    change = np.abs(contributions.target_value - contributions.baseline_value)
    width = round(SECONDS / (contributions.sample[1] - contributions.sample[0]))
    busiest = int(np.convolve(change, np.ones(width), mode="valid").argmax())
    span = tuple(float(contributions.sample[busiest + i]) for i in (0, width - 1))
    cells, combinations = cells_and_combinations(fields)
    with style():
        figure = plt.figure(figsize=(9, 4.6), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[1.25, 1])
        above, below = left.subplots(2, 1)
        plot_contributions(contributions, span_s=span, ax=above)
        plot_loadings(modes, span_s=span, ax=below)
        above.set_title("contributions to the surprisal of the population", loc="left")
        below.set_title("loadings of modes", loc="left")
        right.suptitle("mean instantaneous field while only these modes are active")
        draw_maps(
            right.subplots(N_CELLS, len(combinations), squeeze=False), fields, cells, combinations
        )
        figure.savefig(HERE / "overview.png", dpi=130)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
