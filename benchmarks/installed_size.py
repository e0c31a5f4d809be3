"""How much each extra adds to an installation: `python benchmarks/installed_size.py`.

Counts the files of installed packages that an extra needs and the core does not. Extras that are
not installed are named.
"""

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME, MB = "retina_codec", 2**20


def needed(name: str, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """Yield what a package asks for on this machine."""
    for requirement in map(Requirement, requires(name) or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def closure(extras: Iterable[str] = ()) -> set[str]:
    """All packages below the project, with some of its extras."""
    todo, seen = list(needed(NAME, extras)), set()
    while todo:
        requirement = todo.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key not in seen:
            seen.add(key)
            todo += needed(requirement.name, requirement.extras)
    return {name for name, _ in seen}


def size_mb(names: Iterable[str]) -> float:
    """Size on disk of installed packages."""
    files = [file.locate() for name in names for file in distribution(name).files or ()]
    return sum(file.stat().st_size for file in files if file.is_file()) / MB


def main() -> None:
    """Print the table."""
    core = closure()
    print(f"core: {size_mb(core):.0f} MB, {len(core)} packages; torch {size_mb({'torch'}):.0f} MB")
    for extra in distribution(NAME).metadata.get_all("Provides-Extra"):
        try:
            added = closure([extra]) - core
            print(f"{extra:12} {size_mb(added):5.0f} MB  {len(added):2} packages")
        except PackageNotFoundError as missing:
            print(f"{extra:12} not installed ({missing.name})")


if __name__ == "__main__":
    main()
