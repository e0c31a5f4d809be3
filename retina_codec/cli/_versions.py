"""``retina-codec --version``: of everything that matters, without loading it."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "h5py", "pynwb", "zarr", "xarray", "panel")


def versions() -> Iterator[str]:
    """Lines with a package and its version; those that are not installed are left out."""
    yield f"retina_codec {version('retina_codec')}"
    yield f"Python {platform.python_version()}"
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


def show_versions(asked: bool) -> bool:
    """Print versions and leave."""
    if asked:
        for line in versions():
            typer.echo(line)
        raise typer.Exit
    return asked


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print versions of this and of what it is built on, and leave.",
        callback=show_versions,
        is_eager=True,
    ),
]
