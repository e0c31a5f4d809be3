"""Every public name says what it is, what it takes, what it raises, and shows it."""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from dataclasses import fields, is_dataclass
from functools import cached_property

import pytest

import retina_codec

SUBPACKAGES = [
    found.name
    for found in pkgutil.iter_modules(retina_codec.__path__)
    if found.ispkg and found.name != "cli"  # typer documents its commands, and nobody imports them
]
UNDERLINED = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)
OWN_WAY_OF_CALLING = ("__init__", "__post_init__")


def public_names(subpackage):
    module = importlib.import_module(f"retina_codec.{subpackage}")
    return [(name, getattr(module, name)) for name in module.__all__]


def sections(text):
    """Title of each section of a docstring, and what is written under it."""
    parts = UNDERLINED.split(inspect.cleandoc(text))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def entries(text):
    """What a section is about: its lines that are not indented, cut at commas and colons."""
    heads = [line.split(" : ")[0] for line in text.splitlines() if re.match(r"[\w*]", line)]
    return {part.strip().lstrip("*") for head in heads for part in head.split(",")}


def tree_of(function):
    return ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]


def raised(function):
    """Kinds of errors that a function raises itself, not in functions inside it."""
    found, waiting = set(), list(tree_of(function).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found.add(ast.unparse(node.exc.func))
        waiting.extend(ast.iter_child_nodes(node))
    return found


def taken(thing):
    """Names of what is given at a call."""
    if is_dataclass(thing):
        names = (field.name for field in fields(thing) if field.init)
        return {name for name in names if not name.startswith("_")}
    if inspect.isclass(thing) and thing.__init__ is object.__init__:
        return set(getattr(thing, "_fields", ()))
    return set(inspect.signature(thing).parameters) - {"self", "cls"}


def faults_of_text(name, text, *, takes, raises, described=frozenset()):
    if not text:
        return [f"{name} has no docstring"]
    found, faults = sections(text), []
    described = described | entries(found.get("Parameters", ""))
    if takes is not None and described != takes:
        faults.append(f"{name} takes {sorted(takes)}, describes {sorted(described)}")
    if not raises <= entries(found.get("Raises", "")):
        faults.append(f"{name} raises {sorted(raises)}, of which its docstring says too little")
    faults += [
        f"{name}: nothing under {title}" for title, body in found.items() if not body.strip()
    ]
    return faults


def faults_of_example(name, text):
    lines = sections(text or "").get("Examples", "").splitlines()
    shown = [line for line in lines if line.startswith(">>>") and "+SKIP" not in line]
    return [] if shown else [f"{name} has no example that runs"]


def attributes(cls):
    """Names under "Attributes", but those that appear when something is fitted."""
    found = entries(sections(cls.__doc__ or "").get("Attributes", ""))
    return {name for name in found if not name.endswith("_") and not is_property(cls, name)}


def is_property(cls, name):
    return isinstance(getattr(cls, name, None), property | cached_property)


def fields_with_text(cls):
    """Fields of a dataclass that have a string under them, also inherited ones."""
    parts = [part for part in cls.__mro__ if is_dataclass(part)]
    return set().union(*(followed_by_text(tree_of(part).body) for part in parts)) & taken(cls)


def followed_by_text(body):
    """Names of the values that have a string after them."""
    found = set()
    for value, text in zip(body, body[1:], strict=False):
        if isinstance(text, ast.Expr) and isinstance(getattr(text.value, "value", 0), str):
            targets = getattr(value, "targets", (getattr(value, "target", None),))
            found |= {ast.unparse(target) for target in targets if target is not None}
    return found


def methods(cls):
    """Public methods and properties that a class has of its own, without what it inherits."""
    for name, value in vars(cls).items():
        plain = getattr(value, "fget", getattr(value, "__func__", value))
        if not name.startswith("_") and inspect.isfunction(plain):
            yield name, plain


def faults_of_class(name, cls):
    starts = [vars(cls)[way] for way in OWN_WAY_OF_CALLING if way in vars(cls)]
    raises = set().union(*(raised(start) for start in starts if not is_generated(start)))
    described = attributes(cls) | fields_with_text(cls)
    faults = faults_of_text(
        name, cls.__doc__, takes=taken(cls), raises=raises, described=described
    ) + faults_of_example(name, cls.__doc__)
    for method, function in methods(cls):
        text = inspect.getdoc(getattr(cls, method))
        says_what_it_takes = "Parameters" in sections(text or "")
        takes = taken(function) if says_what_it_takes else None
        faults += faults_of_text(f"{name}.{method}", text, takes=takes, raises=raised(function))
    return faults


def faults_of_function(name, function):
    text = function.__doc__
    faults = faults_of_text(name, text, takes=taken(function), raises=raised(function))
    return faults + faults_of_example(name, text)


def is_generated(function):
    """Whether a function was made by `dataclass` and has no text of its own."""
    return "<string>" in inspect.unwrap(function).__code__.co_filename


def documented_values(subpackage):
    """Names of the values in a subpackage that have a string after them."""
    package = importlib.import_module(f"retina_codec.{subpackage}")
    parts = [package.__name__, *submodules(package)]
    return set().union(*(followed_by_text(tree_of_module(part)) for part in parts))


def submodules(package):
    return [f"{package.__name__}.{part.name}" for part in pkgutil.iter_modules(package.__path__)]


def tree_of_module(name):
    with open(importlib.util.find_spec(name).origin, encoding="utf-8") as file:
        return ast.parse(file.read()).body


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_public_names_are_documented(subpackage):
    values, faults = documented_values(subpackage), []
    for name, thing in public_names(subpackage):
        if inspect.isclass(thing):
            faults += faults_of_class(name, thing)
        elif inspect.isfunction(thing):
            faults += faults_of_function(name, thing)
        elif name not in values:
            faults.append(f"{name} has no string after it that says what it is")
    assert not faults, "\n" + "\n".join(faults)


def whole(a, b=0):
    """Add two numbers.

    Parameters
    ----------
    a, b
        Numbers.

    Raises
    ------
    ValueError
        If the second is below 0.

    Examples
    --------
    >>> whole(1, b=2)
    3
    """
    if b < 0:
        msg = f"Expected b >= 0, got {b}."
        raise ValueError(msg)
    return a + b


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (None, None, "has no docstring"),
        ("a, b\n", "a, c\n", "describes ['a', 'c']"),
        ("a, b\n        Numbers.\n", "", "nothing under Parameters"),
        ("ValueError\n", "KeyError\n", "raises ['ValueError']"),
        (">>> whole(1, b=2)", "whole(1, b=2)", "has no example that runs"),
        (">>> whole(1, b=2)", ">>> whole(1, b=2)  # doctest: +SKIP", "has no example that runs"),
    ],
)
def test_each_fault_is_seen(monkeypatch, old, new, fault):
    assert not faults_of_function("whole", whole)
    monkeypatch.setattr(whole, "__doc__", whole.__doc__.replace(old, new) if old else None)
    assert any(fault in found for found in faults_of_function("whole", whole))
