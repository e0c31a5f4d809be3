"""The battery of classical experiments on the network of a finished run."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from retina_codec.causal import minimal_circuit
from retina_codec.datatypes import Event
from retina_codec.export import load, save
from retina_codec.networks import load_network
from retina_codec.phenomena import PHENOMENA, event_samples, run_phenomenon, signatures
from retina_codec.report import write_phenomena
from retina_codec.stimuli import Screen

from ._kept import write_table
from ._modes import file_name
from ._run import kept_modes

ERROR = 0.1


def phenomena_of_run(
    folder: str | PathLike, *, names: Sequence[str] = tuple(PHENOMENA), progress: bool = True
) -> pd.DataFrame:
    """Show classical experiments to the network of a finished run, and explain their events.

    Leaves ``event_NAME.nc`` and ``circuit_NAME_LAYER.csv`` for each, ``signatures.csv``, and the
    page ``phenomena.html`` in the folder.

    Parameters
    ----------
    folder
        Of the run, whose recording and network lie where they were.
    names
        Which phenomena; all by default.
    progress
        Whether to show bars.

    Returns
    -------
    One row for each phenomenon and cell: the signature beside its control.

    Raises
    ------
    ValueError
        If there is no phenomenon of a name, or no finished run.
    OSError
        If the recording or the network is gone.
    """
    unknown = [name for name in names if name not in PHENOMENA]
    if unknown:
        msg = f"No phenomenon {unknown[0]!r}. Expected some of: {', '.join(PHENOMENA)}."
        raise ValueError(msg)
    folder = Path(folder)
    config, recording, modes = kept_modes(folder)
    stimulus = recording.stimulus
    network = load_network(Path(config.network or folder / "network"))  # not code: read from a file
    screen = Screen(tuple(stimulus.frames.shape[1:]), stimulus.frame_rate_hz, stimulus.pixel_um)
    events: dict[str, Event] = {}
    circuits: dict[str, dict[str, pd.DataFrame]] = {}
    for name in names:
        path = folder / f"event_{file_name(name)}.nc"
        save(run_phenomenon(network, PHENOMENA[name], screen=screen, modes=modes), path)
        events[name] = load(path)
        samples = _event_samples(network, name, screen, events[name])
        circuits[name] = {}
        for layer in modes:
            table = minimal_circuit(network, samples, layer, error=ERROR, progress=progress)
            write_table(folder / f"circuit_{file_name(name)}_{file_name(layer)}.csv", table)
            circuits[name][layer] = table
    table = signatures(events.values())
    write_table(folder / "signatures.csv", table)
    write_phenomena(
        folder / "phenomena.html",
        title=f"retina_codec: phenomena of {Path(config.recording).name}",
        findings=findings(table),
        events=events,
        signatures=table,
        circuits=circuits,
    )
    return table


def findings(table: pd.DataFrame) -> list[str]:
    """Say for each phenomenon in how many cells it is present, with its numbers."""
    sentences = []
    for name, rows in table.groupby("phenomenon", sort=False):
        seen = rows.dropna(subset=["difference"])
        if not len(seen):
            sentences.append(f"{name}: no cell responds, so nothing can be said.")
            continue
        present = int(rows["present"].sum())
        sentences.append(
            f"{name}: present in {present} of {len(seen)} cells that respond ({len(rows)} cells); "
            f"mean signature {seen['value'].mean():.2f}, in the control "
            f"{seen['control'].mean():.2f}, median interval of the difference "
            f"{seen['low'].median():.2f} to {seen['high'].median():.2f}."
        )
    return sentences


def _event_samples(network, name, screen, event: Event):
    phenomenon = PHENOMENA[name]
    movies = phenomenon.conditions(screen, phenomenon.repeats[0], 0)
    samples = event_samples(network, movies[event.event])
    return np.ascontiguousarray(samples[:])
