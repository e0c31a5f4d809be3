"""Results into an NWB file: a copy of the recording, or the file itself, replaced when whole."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
from pynwb import NWBHDF5IO, NWBFile

from retina_codec.datatypes import Contributions, Modes

from ._files import complete_or_absent
from ._provenance import provenance, sha256_of
from ._tables import cells_table, contribution_containers, mode_containers

PROVENANCE = "retina_codec_results"


def add_to_nwb(
    source_nwb: str | Path,
    target_nwb: str | Path,
    modes: Mapping[str, Modes] | None = None,
    *,
    contributions: Mapping[str, Contributions] | None = None,
    cells: Mapping[str, pd.DataFrame] | None = None,
    settings: Mapping[str, Any] | None = None,
    module: str = "ecephys",
) -> None:
    """Write a copy of an NWB file that also holds results; leave the source alone.

    For modes "conv1" the copy gets, in one processing module, a TimeSeries "conv1_loadings" on
    the clock of the file, a table "conv1_modes" with one row for each mode and a table
    "conv1_features" that says which channel and sign each weight belongs to; for contributions
    "conv1" the TimeSeries "conv1_contributions" and "conv1_target" and a table
    "conv1_contribution_features"; for a table of cells its columns beside a reference to the units.
    Where all this comes from is JSON in scratch/retina_codec_results: versions, seeds, settings,
    the SHA-256 of the source.

    Parameters
    ----------
    source_nwb
        The recording. External movies that it refers to by a relative path are not copied.
    target_nwb
        The copy, ending in .nwb; it appears when it is complete, and replaces an old one.
    modes, contributions
        Records under a name, which is usually the layer's; signs other than letters, digits, "-"
        and "_" become "_". Their samples must be times (s) on the clock of the recording.
    cells
        Tables under a name, one row for each cell: scores, descriptions of fields. The rows belong
        to the units named in a column `unit_id`, or at the positions in a column `cell`, or, with
        neither, to all units in their order.
    settings
        Of the analysis, to be kept with the results; plain values.
    module
        Processing module; made if the file has none of that name.

    Raises
    ------
    FileNotFoundError
        If there is no source.
    ValueError
        If source and target are the same file, the file is not NWB or holds such results already,
        or a table does not fit its units.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from datetime import UTC, datetime
    >>> modes = Modes(
    ...     dictionary=np.eye(2), loadings=np.ones((5, 2)), sample=np.arange(5) / 100,
    ...     held_out=np.arange(5) > 3, channel=np.array([0, 0]), sign=np.array([1, -1]),
    ...     offset=np.zeros(2), firing=np.array([5, 5]), r2=0.9, r2_train=0.9, scale=1.0,
    ...     n_dead=0, layer="conv1", target="one_cell(0)", method="example", seed=0,
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NWBHDF5IO(f"{folder}/retina.nwb", "w") as io:
    ...         io.write(NWBFile("example", "1", datetime(2026, 1, 1, tzinfo=UTC)))
    ...     add_to_nwb(f"{folder}/retina.nwb", f"{folder}/with_modes.nwb", {"conv1": modes})
    ...     with h5py.File(f"{folder}/with_modes.nwb") as file:
    ...         sorted(file["processing/ecephys"])
    ['conv1_features', 'conv1_loadings', 'conv1_modes']
    """
    source, target = Path(source_nwb).expanduser(), Path(target_nwb).expanduser()
    _check_source(source)
    _check_target(source, target)
    results = (modes or {}, contributions or {}, cells or {})
    _write(source, target, results, settings or {}, module)


def append_to_nwb(
    nwb: str | Path,
    modes: Mapping[str, Modes] | None = None,
    *,
    contributions: Mapping[str, Contributions] | None = None,
    cells: Mapping[str, pd.DataFrame] | None = None,
    settings: Mapping[str, Any] | None = None,
    module: str = "ecephys",
) -> None:
    """Put results into an NWB file itself; what `add_to_nwb` says holds here too.

    The results are written into a copy beside the file, which takes its place when it is complete:
    if anything fails, the file is as it was. Nothing that it holds is replaced. There must be room
    for the copy, and nobody should have the file open.

    Parameters
    ----------
    nwb
        The file that gets the results.
    modes, contributions, cells, settings, module
        As in `add_to_nwb`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not NWB or holds such results already, or a table does not fit its units.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> from retina_codec.simulation import planted_contributions
    >>> contributions, modes = planted_contributions(n_samples=50)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NWBHDF5IO(f"{folder}/retina.nwb", "w") as io:
    ...         io.write(NWBFile("example", "1", datetime(2026, 1, 1, tzinfo=UTC)))
    ...     append_to_nwb(f"{folder}/retina.nwb", {"conv1": modes})
    ...     with h5py.File(f"{folder}/retina.nwb") as file:
    ...         file["processing/ecephys/conv1_loadings/data"].shape
    (50, 12)
    """
    path = Path(nwb).expanduser().resolve()
    _check_source(path)
    results = (modes or {}, contributions or {}, cells or {})
    _write(path, path, results, settings or {}, module)


def _check_source(source: Path) -> None:
    if not source.is_file():
        msg = f"No file {source}."
        raise FileNotFoundError(msg)
    if not h5py.is_hdf5(source):
        msg = f"{source} is not an HDF5 file. Expected a recording as NWB 2."
        raise ValueError(msg)
    with h5py.File(source) as file:
        if "nwb_version" not in file.attrs:
            msg = f"{source} does not say that it is NWB 2 (attribute nwb_version)."
            raise ValueError(msg)


def _check_target(source: Path, target: Path) -> None:
    if target.suffix != ".nwb":
        msg = f"An NWB file must end in .nwb, got {target.name!r}."
        raise ValueError(msg)
    if target.exists() and target.samefile(source):
        msg = (
            f"{target} is the source itself; choose another file, or use append_to_nwb to put "
            "results into the file itself."
        )
        raise ValueError(msg)


Results = tuple[Mapping[str, Modes], Mapping[str, Contributions], Mapping[str, pd.DataFrame]]


def _write(
    source: Path, target: Path, results: Results, settings: Mapping[str, Any], module: str
) -> None:
    if not any(results):
        msg = "Nothing to write: give 'modes', 'contributions' or 'cells'."
        raise ValueError(msg)
    with complete_or_absent(target) as part:
        shutil.copyfile(source, part)
        shutil.copymode(source, part)
        with NWBHDF5IO(part, "a") as io:
            nwb = io.read()
            made = [container for make in _makers(nwb, results) for container in make()]
            _add(nwb, module, made)
            names = [container.name for container in made]
            about = provenance(source.name, sha256_of(source), names, results[:2], settings)
            _note(nwb, about)
            io.write(nwb)


def _makers(nwb: NWBFile, results: Results) -> Iterator[Callable[[], list[Any]]]:
    modes, contributions, cells = results
    for name, record in modes.items():
        yield lambda name=name, record=record: mode_containers(_plain(name), record)
    for name, record in contributions.items():
        yield lambda name=name, record=record: contribution_containers(_plain(name), record)
    for name, table in cells.items():
        yield lambda name=name, table=table: [cells_table(_plain(name), table, _units(nwb))]


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]", "_", name, flags=re.ASCII)


def _units(nwb: NWBFile) -> Any:
    places = [nwb.units, *(held.data_interfaces.get("units") for held in nwb.processing.values())]
    found = next((table for table in places if table is not None and len(table)), None)
    if found is None:
        msg = "The NWB file has no units that the results of cells could belong to."
        raise ValueError(msg)
    return found


def _add(nwb: NWBFile, module: str, made: list[Any]) -> None:
    if module in nwb.processing:
        processing = nwb.processing[module]
    else:
        processing = nwb.create_processing_module(module, "Results of retina_codec.")
    for container in made:
        if container.name in processing.data_interfaces:
            msg = f"The NWB file already holds {container.name!r} in its module {module!r}."
            raise ValueError(msg)
        processing.add(container)


def _note(nwb: NWBFile, about: str) -> None:
    """Keep where results come from in scratch, under the first name that is free."""
    taken = set(nwb.scratch)
    n_before = sum(name.startswith(PROVENANCE) for name in taken)
    name = f"{PROVENANCE}_{n_before + 1}" if n_before else PROVENANCE
    nwb.add_scratch(about, name=name, description="Where the results come from, as JSON.")
