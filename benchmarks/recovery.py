"""How well each decomposition finds planted modes, and the pathways of a simulated circuit.

    python benchmarks/recovery.py [--seeds 3] [--only SparseModes] [--published]

Every line is the median over seeds. Columns:

cosine   mean over true modes of the cosine with the matched mode (Hungarian); 0 without a match
>0.9     share of the true modes with a cosine above 0.9
alive    modes that are ever active
false    largest share of the energy that a mode without a true mode within 0.9 has
r        mean correlation of true and matched loadings
R2       on blocks of time held out
active   modes active in a sample
seconds  learning, and describing all samples

With --published, also the published settings, which take minutes.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np

from retina_codec import decomposition as dec
from retina_codec.contributions import integrated_gradients, population_sum
from retina_codec.datatypes import Modes
from retina_codec.networks import predict, windows_for
from retina_codec.simulation import Circuit, planted_contributions
from retina_codec.simulation.circuit import BIPOLAR, TYPES
from retina_codec.statistics import pearson
from retina_codec.stimuli import Screen, natural_scenes

SETTINGS = {
    "dense: 12 modes, 16 features, 3 % noise": {},
    "sparse: 4 features in a mode": {"features_per_mode": 4},
    "feature scales 100 to 1": {"scale_ratio": 100.0},
    "signed: 24 modes, 32 features, bursts, together, 10 % noise": {
        "n_modes": 24,
        "n_features": 32,
        "signed": True,
        "burst": 8.0,
        "together": 0.5,
        "noise": 0.1,
    },
}
FACTORS = 1.5, 2, 4
Make = Callable[[int, bool], dec.Decomposition]
"""From a number of modes, and whether they have one sign, to a method."""

METHODS: dict[str, Make] = {
    "SparseModes": lambda n, positive: dec.SparseModes(n, nonnegative=positive),
    "SparseDictionary": lambda n, positive: dec.SparseDictionary(n, nonnegative=positive),
    "SparseDictionary, strong penalty": lambda n, positive: dec.SparseDictionary(
        n, nonnegative=positive, sparsity=1.0
    ),
    "SparseAutoencoder": lambda n, positive: dec.SparseAutoencoder(n, nonnegative=positive),
    "TopKAutoencoder": lambda n, positive: dec.TopKAutoencoder(n, nonnegative=positive),
    "BatchTopKAutoencoder": lambda n, positive: dec.BatchTopKAutoencoder(n, nonnegative=positive),
    "JumpReluAutoencoder": lambda n, positive: dec.JumpReluAutoencoder(n, nonnegative=positive),
    "ThresholdAutoencoder, leaking": lambda n, positive: dec.ThresholdAutoencoder(
        n,
        nonnegative=positive,
        leak=0.1,
        n_hidden=64,
        learning_rate=1e-3,
        n_epochs=100,
        decay=1.0,
    ),
    "NonNegativeFactors": lambda n, positive: dec.NonNegativeFactors(n),
    "IndependentComponents": lambda n, positive: dec.IndependentComponents(),
    "PrincipalComponents": lambda n, positive: dec.PrincipalComponents(),
    "Clusters": lambda n, positive: dec.Clusters(n),
}
NEED_ONE_SIGN = {"NonNegativeFactors"}
KNOW_NO_NUMBER = {"IndependentComponents", "PrincipalComponents"}
PUBLISHED = {
    "ThresholdAutoencoder, as published": lambda n, positive: dec.ThresholdAutoencoder(
        nonnegative=False
    ),
}
COLUMNS = "cosine", ">0.9", "alive", "false", "r", "R2", "active", "seconds"


def measured(make: Make, n_modes: int, settings: dict, seed: int) -> list[float]:
    """Return the numbers of one line for one seed."""
    contributions, truth = planted_contributions(**settings, seed=seed)
    method = make(n_modes, not settings.get("signed", False))
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        modes = dec.decompose(contributions, method, seed=seed)
    seconds = time.perf_counter() - started
    return [*compared(truth, modes), modes.r2, modes.active_per_sample, seconds]


def compared(truth: Modes, modes: Modes) -> list[float]:
    """Return how modes differ from the true ones."""
    n_true = len(truth.dictionary)
    if not len(modes.dictionary):
        return [0.0, 0.0, 0, 0.0, 0.0]
    pairs, cosine = dec.match_modes(truth, modes)
    energy = (modes.loadings**2).sum(axis=0) * (modes.dictionary**2).sum(axis=1)
    false = np.delete(energy, pairs[cosine > 0.9, 1]).max(initial=0.0) / energy.sum()
    r = np.diag(pearson(truth.loadings[:, pairs[:, 0]], modes.loadings[:, pairs[:, 1]]))
    close = (cosine > 0.9).sum() / n_true
    return [cosine.sum() / n_true, close, len(modes.dictionary), false, r.sum() / n_true]


def circuit() -> None:
    """Print, for each method, whether its modes are the pathways of a simulated circuit.

    Of each cell: is the strongest channel of its best mode a bipolar type that is wired to it?
    """
    network = Circuit(shape=(24, 24), history=25, cells_per_type=2, seed=1)
    movie = natural_scenes(n_frames=3000, screen=Screen((24, 24)), seed=2)
    samples = windows_for(network, movie)
    record = integrated_gradients(
        network, samples, layers=["bipolar"], target=population_sum(), n_steps=10, progress=False
    )["bipolar"]
    rates = predict(network, samples)
    print("\ncircuit: 4 bipolar types, 8 features; cells whose best mode is their pathway")
    print(f"{'method':34}{'pathway':>9}{'best r':>9}{'alive':>9}{'R2':>9}{'seconds':>9}")
    for name, make in METHODS.items():
        started = time.perf_counter()
        modes = dec.decompose(record, make(8, True))
        seconds = time.perf_counter() - started
        r = pearson(rates, modes.loadings)
        strongest = modes.channel[np.abs(modes.dictionary[r.argmax(axis=1)]).argmax(axis=1)]
        wired = [
            TYPES[cell_type].get(BIPOLAR[channel], 0) > 0
            for cell_type, channel in zip(network.cells["cell_type"], strongest, strict=True)
        ]
        numbers = np.mean(wired), r.max(axis=1).mean(), len(modes.dictionary), modes.r2, seconds
        print(f"{name:34}" + "".join(f"{x:9.3f}" for x in numbers), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=METHODS)
    parser.add_argument("--published", action="store_true")
    given = parser.parse_args()
    methods = METHODS | (PUBLISHED if given.published else {})
    for setting, settings in SETTINGS.items():
        n_true = settings.get("n_modes", 12)
        print(f"\n{setting}\n{'method':34}{'modes':>9}" + "".join(f"{c:>9}" for c in COLUMNS))
        for name in given.only or methods:
            if name in NEED_ONE_SIGN and settings.get("signed"):
                continue
            alone = name in KNOW_NO_NUMBER or name in PUBLISHED
            for factor in FACTORS[:1] if alone else FACTORS:
                n = round(factor * n_true)
                rows = [measured(methods[name], n, settings, s) for s in range(given.seeds)]
                numbers = "".join(f"{x:9.3f}" for x in np.median(rows, axis=0))
                print(f"{name:34}{'' if alone else n:>9}{numbers}", flush=True)
    if not given.only:
        circuit()


if __name__ == "__main__":
    main()
