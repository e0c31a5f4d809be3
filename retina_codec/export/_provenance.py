"""Where results come from: versions, seeds, settings and the file that was analysed."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import file_digest
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from retina_codec.datatypes import Contributions, Modes

PACKAGES = ("retina_codec", "torch", "numpy", "scikit-learn", "pynwb", "h5py")
OF_MODES = ("layer", "target", "method", "seed", "settings", "r2", "r2_train", "scale", "n_dead")
OF_CONTRIBUTIONS = ("layer", "target", "method", "settings", "bypassed")


def provenance(
    source: str,
    sha256: str,
    names: Sequence[str],
    records: tuple[Mapping[str, Modes], Mapping[str, Contributions]],
    settings: Mapping[str, Any],
) -> str:
    """Return everything that one would have to know to make the results again, as JSON."""
    modes, contributions = records
    about = {
        "made_by": f"retina_codec {version('retina_codec')}",
        "written": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "source": {"file": source, "sha256": sha256},
        "versions": {package: version(package) for package in PACKAGES},
        "settings": dict(settings),
        "modes": {name: facts_of_modes(record) for name, record in modes.items()},
        "contributions": {
            name: {fact: getattr(record, fact) for fact in OF_CONTRIBUTIONS}
            for name, record in contributions.items()
        },
        "results": list(names),
    }
    return json.dumps(about, default=str)


def facts_of_modes(modes: Modes) -> dict[str, Any]:
    """How modes were found, and how well they explain."""
    return {fact: getattr(modes, fact) for fact in OF_MODES}


def version(package: str) -> str:
    """Version of a package, without loading it."""
    try:
        return installed(package)
    except PackageNotFoundError:
        return "(not installed)"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
