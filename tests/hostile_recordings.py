"""Read damaged recordings one after the other, for test_hostile_files.py in a process of its own.

Prints a line before each case and one after it, so that a crash or a hang can be told.
"""

import faulthandler
import json
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

from retina_codec.recordings import load_arrays, load_recording

SECONDS, MEMORY_BYTES = 10, 3 * 2**30
OPTIONS = {"open": {"frame_rate_hz": 30.0}}
PLAIN = {"stimulus": "stim", "rates": "r", "frame_rate_hz": 30.0}


def damaged(content, seed):
    """Return content with some bytes changed, a stretch overwritten, or the end missing."""
    rng = np.random.default_rng(seed)
    content = bytearray(content)
    start, kind = int(rng.integers(len(content))), seed % 4
    if kind == 0:
        return bytes(content[:start])
    if kind == 1:
        length = int(rng.integers(1, 64))
        content[start : start + length] = bytes([int(rng.choice([0, 255]))]) * length
        return bytes(content)
    for place in rng.integers(len(content), size=int(rng.integers(1, 4 if kind == 2 else 60))):
        content[place] = int(rng.integers(256))
    return bytes(content)


def outcome(kind, path):
    """Say "read", or what the error was; anything else than a ValueError passes through."""
    try:
        if kind in ("npz", "mat"):
            recording = load_arrays(path, **PLAIN)
        else:
            recording = load_recording(path, **OPTIONS.get(kind, {}))
        frames = recording.stimulus.frames
        if np.prod(frames.shape, dtype=float) < 1e6:
            np.asarray(frames)
        np.asarray(recording.rates)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"
    return "read"


def tell(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(originals, n_cases, folder):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")
    for kind, original in originals.items():
        content = Path(original).read_bytes()
        for seed in range(n_cases[kind]):
            path = Path(folder) / f"damaged{seed}{Path(original).suffix}"
            path.write_bytes(damaged(content, seed))
            tell({"kind": kind, "seed": seed, "path": path.name})
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            tell({"outcome": outcome(kind, path)})
            faulthandler.cancel_dump_traceback_later()
            path.unlink()


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
