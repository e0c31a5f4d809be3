"""A recording of one hour, opened and streamed, beside reading its chunks with h5py alone.

360,000 frames of 50 x 50 pixels at 100 Hz, uint8, in gzip chunks, with 20 cells. Prints the time
and the memory (of a fresh process, less that of the imports; Linux) that opening takes, and how
fast blocks of windows stream through `Windows.part`, as contributions read them. Run it alone.
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pynwb
from hdmf.backends.hdf5 import H5DataIO
from pynwb.image import ImageSeries

from retina_codec.recordings import load_recording
from retina_codec.stimuli import windows

N_FRAMES, SIDE, RATE_HZ, HISTORY = 360_000, 50, 100.0, 40
CHUNK_FRAMES, BLOCK_FRAMES = 400, 2500
N_CELLS, SPIKES_HZ = 20, 5
ROUNDS = 3

OPENING = """
import sys, time
import h5py, numpy, pandas, xarray, zarr, pynwb
from retina_codec.recordings import load_recording

def peak_mb():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

before = peak_mb()
started = time.perf_counter()
recording = load_recording(sys.argv[1])
print(time.perf_counter() - started, peak_mb() - before, peak_mb())
"""


def write(path):
    """Write the recording; frames are noise of 16 grey levels, so that gzip has work to do."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 16, (N_FRAMES, SIDE, SIDE), dtype=np.uint8)
    frames = H5DataIO(
        frames, compression="gzip", compression_opts=1, chunks=(CHUNK_FRAMES, SIDE, SIDE)
    )
    nwb = pynwb.NWBFile("one hour", "benchmark", datetime(2026, 1, 1, tzinfo=UTC))
    nwb.add_stimulus(ImageSeries(name="noise", data=frames, unit="n.a.", rate=RATE_HZ))
    duration_s = N_FRAMES / RATE_HZ
    for _ in range(N_CELLS):
        spikes = np.sort(rng.uniform(0, duration_s, int(SPIKES_HZ * duration_s)))
        nwb.add_unit(spike_times=spikes)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb, cache_spec=False)


def opened(path):
    """Seconds to open, and MB that it took and that the process had at most."""
    done = subprocess.run(
        [sys.executable, "-c", OPENING, str(path)], capture_output=True, text=True, check=True
    )
    return map(float, done.stdout.split())


def raw_seconds(path):
    """Read every chunk once."""
    started = time.perf_counter()
    with h5py.File(path) as file:
        frames = file["stimulus/presentation/noise/data"]
        for first in range(0, N_FRAMES, CHUNK_FRAMES):
            frames[first : first + CHUNK_FRAMES]
    return time.perf_counter() - started


def streamed_seconds(path):
    """Read all windows, block by block; frames at the begin of a block are those of the last."""
    samples = windows(load_recording(path).stimulus, HISTORY)
    started = time.perf_counter()
    for first in range(0, len(samples), BLOCK_FRAMES):
        samples.part(first, min(first + BLOCK_FRAMES, len(samples)))
    return time.perf_counter() - started


def main():
    """Print both."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hour.nwb"
        write(path)
        print(f"{N_FRAMES} frames of {SIDE} x {SIDE}, {path.stat().st_size / 1e6:.0f} MB")
        seconds, more, peak = opened(path)
        print(f"opening: {seconds:.2f} s, {more:.0f} MB more (peak {peak:.0f} MB with imports)")
        shares = []
        for _ in range(ROUNDS):
            raw, streamed = raw_seconds(path), streamed_seconds(path)
            shares.append(raw / streamed)
            print(
                f"chunks alone {N_FRAMES / raw:.0f} frames/s, "
                f"windows {N_FRAMES / streamed:.0f} frames/s: {100 * shares[-1]:.0f} %"
            )
        print(f"median {100 * np.median(shares):.0f} %")


if __name__ == "__main__":
    main()
