"""Which rule needs the fewest evaluations of a network for the same accuracy.

Contributions are integrals of gradients over the changes of units along the way from a baseline to
a sample. Rules differ in where they evaluate the network and in what they make of it. Here they are
compared in networks with ReLUs, in double precision: the published architecture with random weights
before white noise, and the trained network of models/ before the movie of data/.

Evaluations are those that a rule needs: a forward and a backward pass are one, a forward pass alone
or derivatives along the way a third, a backward pass alone two thirds. Errors are those of the
worst layer, relative to the change of the target (changes below a tenth of the usual one count as a
tenth), medians over samples: of the worst feature, beside very many steps, and of the gap, by which
all contributions together miss the change.
"""

import argparse
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from rules import RULES, Case, Found, Rule, by_engine
from setting import LAYERS, published_network, white_noise_windows
from torch import nn

from retina_codec.contributions import one_cell, surprisal
from retina_codec.contributions.engine import SMALL_CHANGE
from retina_codec.networks import load_network, predict, windows_for
from retina_codec.recordings import load_recording

PROJECT = Path(__file__).resolve().parent.parent
N_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
GOALS = (0.05, 0.02, 0.01)
Measured = dict[str, dict[int, tuple[float, float]]]
"""For each rule and number of steps, the errors of features and gap."""


def cases(n_samples: int) -> Iterator[Case]:
    """Two networks, two targets."""
    random, random_surprisal = published_network()
    trained = load_network(PROJECT / "models" / "simulated_retina")
    recording = load_recording(PROJECT / "data" / "sample" / "recording.nwb")
    seen, movie = (
        windows_for(trained, recording.stimulus, frames=recording.splits[split])
        for split in ("train", "test")
    )
    trained_surprisal = surprisal(predict(trained, seen))
    for name, network, samples, target in (
        ("random, white noise", random, white_noise_windows(400), random_surprisal),
        ("trained, natural scenes", trained, movie, trained_surprisal),
    ):
        some = samples[np.linspace(0, len(samples) - 1, n_samples).astype(int)]
        network.double().requires_grad_(False)
        start = network[0](torch.zeros(1, *some.shape[1:]).double())
        end = network[0](torch.from_numpy(some).double())
        rest = nn.Sequential(OrderedDict(list(network.named_children())[1:])).eval()
        for explained in (one_cell(0), target):
            yield Case(f"{name}, {explained.__name__}", rest, start, end, explained)


def changes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Change of the target for each sample; and the size that counts for relative errors."""
    with torch.no_grad():
        before, after = case.network(case.start), case.network(case.end)
        change = (case.target(after, after) - case.target(before, before)).numpy()
    return change, np.maximum(np.abs(change), SMALL_CHANGE * np.abs(change).mean())


def errors(case: Case, found: Found, truth: Found) -> tuple[float, float]:
    """Median over samples of the worst feature, and of the gap."""
    change, size = changes(case)
    feature = [np.abs(found[layer][0] - truth[layer][0]).max(axis=1) for layer in LAYERS]
    gap = [np.abs(change - found[layer][1]) for layer in LAYERS]
    return tuple(float(np.median(np.max(worst, axis=0) / size)) for worst in (feature, gap))


def measured(case: Case, n_steps: Sequence[int], truth: Found) -> Measured:
    """Both errors of each rule with each number of steps."""
    return {
        name: {n: errors(case, rule.found(case, n), truth) for n in n_steps}
        for name, rule in RULES.items()
    }


def needed(by_steps: dict[int, tuple[float, float]], rule: Rule, goal: float) -> float:
    """Count the evaluations from which on both errors reach the goal, infinite if they never do."""
    enough = np.inf
    for n_steps in sorted(by_steps, reverse=True):
        if max(by_steps[n_steps]) > goal:
            break
        enough = rule.cost(n_steps)
    return enough


def print_row(*cells: object) -> None:
    """Print a row of a table."""
    print("| " + " | ".join(map(str, cells)) + " |")


def print_measured(found: Measured) -> None:
    """Print what each rule costs, and its errors, line by line for more and more steps."""
    print("Cells: evaluations: error of the worst feature / gap.\n")
    print_row("steps", *found)
    print_row(*["---"] * (len(found) + 1))
    for n in next(iter(found.values())):
        cells = (
            f"{RULES[name].cost(n):.1f}: {by_steps[n][0]:.1%} / {by_steps[n][1]:.1%}"
            for name, by_steps in found.items()
        )
        print_row(n, *cells)


def print_needed(found: dict[str, Measured], most: int) -> None:
    """Print how many evaluations each rule needs in each case, and in the worst."""
    goals = ", ".join(f"{goal:.0%}" for goal in GOALS)
    print(f"\n## Fewest evaluations for errors of {goals}\n\n'-': not with {most} steps.\n")
    print_row("rule", *found, "all")
    print_row(*["---"] * (len(found) + 2))
    for name, rule in RULES.items():
        rows = [[needed(one[name], rule, goal) for goal in GOALS] for one in found.values()]
        rows.append(np.max(rows, axis=0))
        cells = (" / ".join("-" if n == np.inf else f"{n:.1f}" for n in row) for row in rows)
        print_row(name, *cells)


def main() -> None:
    """Print a table for each case, and one of what each rule needs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few samples and steps")
    quick = parser.parse_args().quick
    n_steps, n_samples, fine = (N_STEPS[:5], 4, 256) if quick else (N_STEPS, 16, 1024)
    found = {}
    for case in cases(n_samples):
        truth = by_engine("secant")(case, fine)
        apart, _ = errors(case, by_engine("trapezoid")(case, fine), truth)
        print(f"\n## {case.name}\n\n{n_samples} samples. With {fine} steps, trapezoid and secant")
        print(f"rule differ by {apart:.2%} (features); the latter is the truth.")
        found[case.name] = measured(case, n_steps, truth)
        print_measured(found[case.name])
    print_needed(found, n_steps[-1])


if __name__ == "__main__":
    main()
