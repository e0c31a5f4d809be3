"""Types of the public surface: all are written, and a checker follows what users write."""

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "retina_codec"
SUBPACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def functions(subpackage):
    """Public functions, and methods and properties of public classes, by name."""
    module = import_module(f"retina_codec.{subpackage}")
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            for inner, value in vars(thing).items():
                value = value.fget if isinstance(value, property) else value
                if inspect.isfunction(value) and not inner.startswith("_"):
                    yield f"{name}.{inner}", value


def untyped(function):
    signature = inspect.signature(inspect.unwrap(function))
    for parameter in signature.parameters.values():
        if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls"):
            yield parameter.name
    if signature.return_annotation is signature.empty:
        yield "what it returns"


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_every_public_function_is_typed(subpackage):
    faults = {name: list(untyped(one)) for name, one in functions(subpackage)}
    assert not {name: found for name, found in faults.items() if found}


def test_it_sees_what_is_missing():
    def half(a: int, b):
        return a, b

    assert list(untyped(half)) == ["b", "what it returns"]


@pytest.mark.slow
def test_a_checker_follows_what_users_write():
    """`make check` does the same; a minute, where nothing is cached."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy"], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
