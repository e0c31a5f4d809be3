"""Speed, memory and accuracy of contributions on the published architecture, beside others.

The network: 40 frames of 50 x 50 pixels, 8 channels of 15 x 15, 8 of 11 x 11, 17 cells, random
weights; white noise; unless a row says otherwise both layers of interneurons, surprisal, 20 steps.
Every row is measured in a process of its own (`rows`), and the rows of a table in turn, several
times, so that all meet the same machine; numbers and ratios are medians over these rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CAPTUM_BATCHES = (1, 2, 4, 8, 16)
LAYERS = (["relu2"], ["relu1", "relu2"], ["conv1", "norm1", "relu1", "relu2"])
TRAPEZOID = ("ours", "ours, whole network at all points", "published", "captum, both ways")
SPEED = ("windows", "windows/s", "peak MB")
RIVALS = ("captum, both ways", "captum", "published")
ACCURACY = ("difference", "gap", "all gaps")
TOLERANCE = 0.01
ONE_STEP = "ours, secant rule, 1 step"
Numbers = dict[str, Any]
Rounds = list[Numbers]


@dataclass(frozen=True)
class Sizes:
    """How much is done: rounds, windows of each kind of row, rows at the same time."""

    rounds: int = 3
    ours: int = 1024
    plain: int = 64
    captum: int = 32
    published: int = 16
    lengths: tuple[int, ...] = (3000, 30000, 300000)
    workers: int = 2048
    at_a_time: int = 1
    fine_steps: int = 512


QUICK = Sizes(1, 16, 8, 4, 4, (5, 50, 500), 32, at_a_time=2, fine_steps=64)
"""Shows that everything runs; its speeds mean nothing."""


def row(name: str, n_windows: int, *, script: str = "rows", **settings) -> Numbers:
    """Measure one row in a new process."""
    given = json.dumps({"n_windows": n_windows, **settings})
    command = [sys.executable, str(HERE / f"{script}.py"), name, given]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def in_rounds(rows: Mapping[str, Callable[[], Numbers]], sizes: Sizes) -> dict[str, Rounds]:
    """Measure all rows in turn, several times."""
    measured: dict[str, Rounds] = {name: [] for name in rows}
    with ThreadPoolExecutor(sizes.at_a_time) as pool:
        for _ in range(sizes.rounds):
            for name, numbers in zip(rows, pool.map(lambda one: one(), rows.values()), strict=True):
                measured[name].append(numbers)
    return measured


def median(rounds: Rounds, key: str) -> float:
    """Median over rounds."""
    return statistics.median(numbers[key] for numbers in rounds)


def times(rounds: Rounds, to: Rounds) -> str:
    """Median over rounds of the ratio of speeds."""
    pairs = zip(rounds, to, strict=True)
    return f"{statistics.median(a['per_second'] / b['per_second'] for a, b in pairs):.2f}"


def speed_cells(rounds: Rounds) -> tuple[str, str, str]:
    """Windows, windows per second, peak memory."""
    rate, peak = median(rounds, "per_second"), median(rounds, "peak_mb")
    return str(rounds[0]["windows"]), f"{rate:.1f}", f"{peak:.0f}"


def print_table(title: str, columns: tuple[str, ...], rows: list[tuple], note: str = "") -> None:
    """Print a table in Markdown."""
    print(f"\n## {title}\n")
    for cells in (columns, ["---"] * len(columns), *rows):
        print("| " + " | ".join(map(str, cells)) + " |")
    print(f"\n{note}" if note else "", flush=True)


def fastest_batch(sizes: Sizes) -> int:
    """Windows in a pass with which captum is fastest here; prints it, and where this is."""
    found = row("captum_batches", sizes.captum, batches=CAPTUM_BATCHES)
    rates = {size: found[str(size)] for size in CAPTUM_BATCHES}
    best = max(rates, key=rates.get)
    print(f"torch {found['torch']}, {os.cpu_count()} cores, {found['n_threads']} threads.")
    print(f"Medians of {sizes.rounds} rounds. Captum takes {best} windows x 21 points in a pass:")
    print(", ".join(f"{rate:.1f} windows/s with {size}" for size, rate in rates.items()) + ".")
    return best


def beside_others(sizes: Sizes, folder: Path) -> None:
    """Print the tables at equal answers and at equal errors."""
    reference = str(folder / "reference.npz")
    row("reference", sizes.captum, path=reference, fine_steps=sizes.fine_steps)
    ours = partial(row, "ours", sizes.ours, reference=reference)
    captum = partial(row, "captum", sizes.captum, reference=reference)
    captum = partial(captum, batch_size=fastest_batch(sizes))
    by_steps = row("secant_errors", sizes.captum, reference=reference)
    plain = partial(row, "ours", sizes.plain, reference=reference, plain=True)
    published = partial(row, "published", sizes.published, reference=reference)
    rows = dict(zip(TRAPEZOID[:3], (ours, plain, published), strict=True))
    matched = {}
    for name, both_ways in (("captum", False), ("captum, both ways", True)):
        rows[name] = partial(captum, both_ways=both_ways)
        n_steps = fewest(by_steps, rows[name]())
        matched[name] = f"ours, secant rule, {n_steps} steps"
        rows[matched[name]] = partial(ours, rule="secant", n_steps=n_steps)
    rows[ONE_STEP] = partial(ours, rule="secant", n_steps=1)
    rows[f"ours, tolerance {TOLERANCE}"] = partial(ours, tolerance=TOLERANCE)
    measured = in_rounds(rows, sizes)
    print_equal_answers(measured)
    print_equal_errors(measured, matched)


def fewest(by_steps: Mapping[str, Numbers], captum: Numbers) -> int:
    """Count the steps with which no error of the secant rule is larger than that of captum."""
    for n_steps, numbers in by_steps.items():
        if all(numbers[key] <= captum[key] for key in ("feature", "gap", "all_gaps")):
            return int(n_steps)
    msg = f"{n_steps} steps of the secant rule are worse than captum: {numbers}, {captum}."
    raise ValueError(msg)


def print_equal_answers(measured: Mapping[str, Rounds]) -> None:
    """Print rows of the trapezoid rule, and of captum as it is."""
    rows = []
    for name in (*TRAPEZOID, "captum"):
        rounds = measured[name]
        ratios = [times(rounds, measured[to]) for to in RIVALS]
        differences = (f"{median(rounds, key):.0e}" for key in ("difference", "largest_difference"))
        gaps = (f"{median(rounds, key):.2%}" for key in ("gap", "all_gaps"))
        rows.append((name, *speed_cells(rounds), *ratios, " / ".join(differences), *gaps))
    print_table(
        "At equal answers: trapezoid rule, 20 steps",
        ("method", *SPEED, "x both ways", "x captum", "x published", *ACCURACY),
        rows,
        "Captum takes the gradient at the begin of each step, whatever its `method`; the mean of "
        "forth and back\n(both ways) is the trapezoid rule. Difference: of features to the whole "
        "network in double precision,\nrelative to the largest; median and worst window, in which "
        "a unit may lie within rounding of its kink.\nGap: median over windows, relative to the "
        "change of the target; all gaps: their sum relative to that of\nthe changes; both of the "
        "worse layer.",
    )


def print_equal_errors(measured: Mapping[str, Rounds], matched: Mapping[str, str]) -> None:
    """Print rows with the errors of captum or smaller ones."""
    tolerant = f"ours, tolerance {TOLERANCE}"
    pairs = [(name, rival) for rival, name in matched.items()]
    pairs = [(name, rival) for own, rival in pairs for name in (rival, own)]
    rows = []
    for name, rival in (*pairs, *((own, "captum, both ways") for own in (ONE_STEP, tolerant))):
        rounds = measured[name]
        errors = (f"{median(rounds, key):.2%}" for key in ("feature", "gap"))
        n_steps = f"{median(rounds, 'n_steps'):.1f}"
        rows.append((name, n_steps, *errors, *speed_cells(rounds), times(rounds, measured[rival])))
    print_table(
        "At equal or smaller error",
        ("method", "steps", "worst feature", "gap", *SPEED, "x captum"),
        rows,
        "Worst feature: beside very many steps in double precision, relative to the change of the "
        "target, median\nover windows. Speeds are relative to the row of captum above.",
    )


def targets_and_layers(sizes: Sizes) -> None:
    """Print what more targets and more layers cost."""
    ours = partial(row, "ours", sizes.ours)
    one = "1 cell, by sign"
    targets = {
        one: partial(ours, target="one cell"),
        "17 cells, by sign": partial(ours, target="all cells"),
        "17 cells, over space": partial(ours, target="all cells", pooling="over_space"),
    }
    layers = {", ".join(names): partial(ours, layers=names) for names in LAYERS}
    measured = in_rounds(targets | layers, sizes)
    for title, rows in (("Targets", targets), ("Layers", layers)):
        first = measured[next(iter(rows))]
        print_table(
            title,
            (title.lower(), *SPEED, "x time"),
            [(n, *speed_cells(measured[n]), times(first, measured[n])) for n in rows],
        )


def lengths(sizes: Sizes, folder: Path) -> None:
    """Print how speed and memory change with the length of a movie; rows run once."""
    path = str(folder / "movie.h5")
    row("movie", max(sizes.lengths), path=path)
    rows = {str(n): partial(row, "long", n, path=path) for n in sizes.lengths}
    measured = in_rounds(rows, replace(sizes, rounds=1))
    cells = [speed_cells(rounds) for rounds in measured.values()]
    print_table("Length: from a movie in a HDF5 file to a store, 1 step", SPEED, cells)


def workers(sizes: Sizes) -> None:
    """Print what workers of a Dask cluster gain; rows run once."""
    one = "this process, 1 thread"
    ours = partial(row, "ours", sizes.workers)
    cluster = partial(row, "workers", sizes.workers, script="workers")
    rows = {one: partial(ours, n_threads=1), "this process, 2 threads": partial(ours, n_threads=2)}
    for keep_memory, how in ((False, "as Dask starts it"), (True, "keeps memory")):
        for n in (1, 2):
            rows[f"{n} worker{'s' * (n > 1)}, {how}"] = partial(
                cluster, n_workers=n, keep_memory=keep_memory
            )
    measured = in_rounds(rows, replace(sizes, rounds=1))
    print_table(
        "Workers on this machine, with a thread each",
        ("where", *SPEED[:2], "x 1 thread"),
        [(n, *speed_cells(r)[:2], times(r, measured[one])) for n, r in measured.items()],
        "Dask tells its workers to give memory back at once, which costs time at every operation.",
    )


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only try whether everything runs")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    with tempfile.TemporaryDirectory() as folder:
        beside_others(sizes, Path(folder))
        targets_and_layers(sizes)
        lengths(sizes, Path(folder))
        workers(sizes)


if __name__ == "__main__":
    main()
