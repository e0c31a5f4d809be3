"""The battery of classical experiments on the network of a finished run."""

import shlex
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retina_codec.causal import minimal_circuit
from retina_codec.datatypes import Event
from retina_codec.export import load, save
from retina_codec.networks import load_network
from retina_codec.phenomena import PHENOMENA, event_samples, run_phenomenon, signatures
from retina_codec.report import write_phenomena
from retina_codec.stimuli import Screen

from ._config import Config
from ._kept import write_table
from ._modes import file_name
from ._run import kept_modes
from ._run_folder import read_kept
from ._summary import provenance_of

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
    DataFrame
        One row for each phenomenon and cell: the signature beside its control.

    Raises
    ------
    ValueError
        If there is no phenomenon of a name, or no finished run.
    OSError
        If the recording or the network is gone.

    Examples
    --------
    >>> phenomena_of_run("my_run", names=["omitted stimulus"])  # doctest: +SKIP
    >>> phenomena_of_run("my_run", names=["omited stimulus"])
    Traceback (most recent call last):
    ValueError: No phenomenon 'omited stimulus'. Expected some of: ...
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
        folder=folder,
        summary=summary_of_phenomena(folder, config, table),
        events=events,
        signatures=table,
        circuits=circuits,
    )
    return table


def summary_of_phenomena(folder: Path, config: Config, table: pd.DataFrame) -> dict[str, Any]:
    """Return title, findings and provenance of the page."""
    names = [f"--name {shlex.quote(name)}" for name in dict.fromkeys(table["phenomenon"])]
    chosen = names if len(names) < len(PHENOMENA) else []
    command = " ".join(["retina-codec phenomena", shlex.quote(str(folder)), *chosen])
    return {
        "title": f"retina_codec: phenomena of {Path(config.recording).name}",
        "headlines": findings(table),
        "provenance": provenance_of(config, command, read_kept(folder)["inputs"]),
    }


def findings(table: pd.DataFrame) -> list[str]:
    """Say for each phenomenon in how many cells it is present, with its numbers.

    Parameters
    ----------
    table
        From `phenomena_of_run` or `phenomena.signatures`.

    Returns
    -------
    list
        One sentence for each.

    Examples
    --------
    >>> table = pd.DataFrame({"phenomenon": ["paired flash"] * 2, "cell": [0, 1]})
    >>> table = table.assign(value=[0.5, 0.1], control=0.0, difference=[0.5, 0.1])
    >>> findings(table.assign(low=[0.4, -0.1], high=[0.6, 0.3], present=[1, 0]))[0][:62]
    'paired flash: present in 1 of 2 cells that respond (2 cells); '
    """
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
