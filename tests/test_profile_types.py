"""Types of cells by what contributes to them: planted types come back, one type stays one."""

import pytest

from retina_codec.contributions import integrated_gradients, one_cell
from retina_codec.networks import windows_for
from retina_codec.simulation import Circuit
from retina_codec.simulation.circuit import TYPES
from retina_codec.statistics import agreement_with_types, profile_types
from retina_codec.stimuli import Screen, natural_scenes


def types_of(circuit, n_frames=1500):
    samples = windows_for(
        circuit, natural_scenes(n_frames=n_frames, screen=Screen((24, 24)), seed=2)
    )
    records = integrated_gradients(
        circuit,
        samples[::2],
        layers=["bipolar"],
        target=[one_cell(cell) for cell in range(len(circuit.cells))],
        n_steps=5,
        progress=False,
    )
    of_cells = [record["bipolar"] for record in records.values()]
    return profile_types(of_cells, n_bootstraps=10, n_references=20, n_nulls=10, seed=0)


@pytest.mark.parametrize("seed", [0, 3])
def test_planted_types_are_found_wherever_the_fields_lie(seed):
    circuit = Circuit(shape=(24, 24), history=25, cells_per_type=3, seed=seed)
    found = types_of(circuit)
    assert found.choices["chosen"] == 4
    assert agreement_with_types(found.labels, circuit.cells["cell_type"]) >= 0.9
    row = found.criteria.iloc[3]
    assert row["stability"] > 0.9 and row["silhouette"] > row["chance_high"]


def test_cells_of_one_type_stay_together():
    one = {"OFF sustained": TYPES["OFF sustained"]}
    found = types_of(Circuit(shape=(24, 24), history=25, types=one, cells_per_type=9, seed=1))
    assert found.choices["chosen"] == 1


def test_there_must_be_draws():
    with pytest.raises(ValueError, match="at least 1"):
        profile_types([], n_nulls=0)
