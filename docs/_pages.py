"""Pages that are made while the site is built: from the package, and from files elsewhere.

Everything is written into folders that are not kept (`api`, `reference`, `tutorials`).
"""

import importlib
import inspect
import json
import re
from pathlib import PurePosixPath

import typer

import retina_codec
from retina_codec.cli import app as commands
from retina_codec.phenomena import PHENOMENA


def write(docs):
    """Write all made pages below the folder of the documentation."""
    pages = {**api_pages(), **reference_pages(docs.parent), **tutorial_pages(docs.parent)}
    for name in {PurePosixPath(page).parts[0] for page in pages}:
        _remove_others(docs / name, {docs / page for page in pages})
    for page, text in pages.items():
        _write_if_new(docs / page, text)


def _remove_others(folder, wanted):
    for path in folder.rglob("*") if folder.is_dir() else ():
        if path.is_file() and path not in wanted:
            path.unlink()


def _write_if_new(path, text):
    if not path.is_file() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


# The package ------------------------------------------------------------------------------------


def public_names():
    """Return the public names of each subpackage, as the site lists them."""
    modules = {name: importlib.import_module(f"retina_codec.{name}") for name in _submodules()}
    return {name: list(getattr(module, "__all__", [])) for name, module in modules.items()}


def _submodules():
    return [name for name in dir(retina_codec) if not name.startswith("_")]


def api_pages():
    """Return a page for each subpackage that has public names, and one that lists these."""
    names = {name: listed for name, listed in public_names().items() if listed}
    pages = {f"api/{name}.rst": _api_page(name, listed) for name, listed in names.items()}
    rows = [f"   * - :doc:`{name}`\n     - {_first_line(_module(name))}" for name in names]
    toctree = "\n".join(f"   {name}" for name in names)
    head = _title("Python reference") + ".. automodule:: retina_codec\n\n"
    table = ".. list-table::\n   :widths: 25 75\n\n" + "\n".join(rows)
    return {
        "api/index.rst": f"{head}{table}\n\n.. toctree::\n   :hidden:\n\n{toctree}\n",
        **pages,
    }


def _module(name):
    return importlib.import_module(f"retina_codec.{name}")


def _api_page(name, listed):
    module = _module(name)
    rows = [
        f"   * - :py:obj:`~retina_codec.{name}.{item}`\n     - {_summary(getattr(module, item))}"
        for item in listed
    ]
    table = ".. list-table::\n   :widths: 35 65\n\n" + "\n".join(rows)
    parts = "\n\n".join(_entry(item, getattr(module, item)) for item in listed)
    return f"{_title(name)}.. automodule:: retina_codec.{name}\n\n{table}\n\n{parts}\n"


def _entry(item, thing):
    if inspect.isclass(thing):
        return f".. autoclass:: {item}\n   :members:"
    if inspect.isfunction(thing):
        return f".. autofunction:: {item}"
    return f".. py:data:: {item}\n\n   {_value(thing)}"


def _summary(thing):
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return _first_line(thing)
    return _value(thing).split("\n")[0]


def _value(thing):
    """Say what a constant is without what depends on the machine or the run."""
    if isinstance(thing, (float, int, str)):
        return f"``{thing!r}``"
    if isinstance(thing, slice):
        return f"``{thing!r}``"
    if hasattr(thing, "keys"):
        return f"Table of {len(thing)}: " + ", ".join(f"``{key}``" for key in thing)
    if isinstance(thing, tuple):
        return "In this order: " + ", ".join(f"``{_name(item)}``" for item in thing)
    if type(thing).__module__.startswith("retina_codec"):
        return f"``{thing!r}``"
    return "A type, for annotations."


def _name(item):
    return getattr(item, "name", None) or getattr(item, "__name__", None) or str(item)


def _first_line(thing):
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _title(text, mark="="):
    return f"{text}\n{mark * len(text)}\n\n"


# Commands ---------------------------------------------------------------------------------------


def command_page():
    """Return the reference of the command line, from what the commands themselves say."""
    root = typer.main.get_command(commands)
    parts = [
        "# Commands\n\nWhat `retina-codec COMMAND --help` says, of this version.\n",
        *(_command(name, command) for name, command in _all_commands("retina-codec", root)),
    ]
    return "\n".join(parts)


def _all_commands(name, group):
    """Go through commands and those of groups, by their whole names."""
    for key in sorted(group.commands):
        command = group.commands[key]
        if command.hidden:
            continue
        yield f"{name} {key}", command
        if hasattr(command, "commands"):
            yield from _all_commands(f"{name} {key}", command)


def _command(name, command):
    parts = [f"## {name}\n", _help(command)]
    if hasattr(command, "commands"):
        return "\n".join(parts)
    shown = [parameter for parameter in command.params if _is_told(parameter)]
    arguments = [_argument(parameter) for parameter in shown if not _is_option(parameter)]
    usage = " ".join([name, *arguments, "[OPTIONS]"])
    rows = "\n".join(map(_row, shown))
    table = f"| argument | meaning |\n|---|---|\n{rows}\n" if rows else ""
    return "\n".join([*parts, f"```text\n{usage}\n```\n", table])


def _help(command):
    text = inspect.cleandoc(command.help or "").replace("\b\n", "")
    said, _, example = text.partition("Example:")
    example = f"\n\nExample: `{' '.join(example.split())}`" if example else ""
    return f"{said.strip()}{example}\n"


def _is_told(parameter):
    return not getattr(parameter, "hidden", False) and "--help" not in parameter.opts


def _is_option(parameter):
    return parameter.param_type_name == "option"


def _argument(parameter):
    name = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
    return name if parameter.required else f"[{name}]"


def _row(parameter):
    names = [*parameter.opts, *parameter.secondary_opts] if _is_option(parameter) else None
    name = ", ".join(f"`{option}`" for option in names or [_argument(parameter)])
    text = (getattr(parameter, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    return f"| {name} | {text} {_default(parameter)} |"


def _default(parameter):
    if parameter.required:
        return "Needed." if _is_option(parameter) else ""
    if parameter.default is None or parameter.default is False or callable(parameter.default):
        return ""
    return f"`{parameter.default}` unless told otherwise."


# Files elsewhere in the project -----------------------------------------------------------------


def reference_pages(root):
    """Return commands, words, and the files beside the package that readers ask for."""
    elsewhere = {
        "architecture": "ARCHITECTURE.md",
        "contributing": "CONTRIBUTING.md",
        "changes": "CHANGELOG.md",
    }
    pages = {f"reference/{page}.md": (root / name).read_text() for page, name in elsewhere.items()}
    return {
        **pages,
        "reference/commands.md": command_page(),
        "reference/experiments.md": experiments_page(),
        "reference/words.md": words_page((root / "ARCHITECTURE.md").read_text()),
    }


def experiments_page():
    """Return what each classical experiment measures, from the experiments themselves."""
    parts = ["# Experiments\n\nShown to a network by `retina-codec phenomena RUN`.\n"]
    for experiment in PHENOMENA.values():
        values = ", ".join(f"{value:g}" for value in experiment.repeats)
        parts += [
            f"## {experiment.name[0].upper()}{experiment.name[1:]}\n",
            f"{experiment.measure}.\n",
            f"Repeated over: {experiment.varied}, {values}. Source: {experiment.reference}.\n",
        ]
    return "\n".join(parts)


def words_page(architecture):
    """Return the glossary, from the table of words of the architecture."""
    table = architecture.split("## Words")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!word \|)([^|]+) \| (.+) \|$", table, re.MULTILINE)
    entries = [f"{_terms(words)}\n  {meaning}" for words, meaning in rows]
    head = "# Words\n\nOne for each idea: in the code, the files, the figures and these pages.\n"
    body = "\n\n".join(entries)
    return f"{head}\n:::{{glossary}}\n{body}\n:::\n"


def _terms(words):
    return "\n".join(word.strip() for word in words.split(","))


def tutorial_pages(root):
    """Return the notebooks with their outputs, in order, and a page that lists them."""
    notebooks = sorted((root / "tutorials").glob("*.ipynb"))
    pages = {f"tutorials/{path.name}": path.read_text() for path in notebooks}
    lines = [f"{n}. [{_heading(path)}]({path.name})" for n, path in enumerate(notebooks, 1)]
    names = "\n".join(path.stem for path in notebooks)
    index = (
        "# Tutorials\n\nNotebooks with their pictures; each runs in less than two minutes.\n\n"
        + "\n".join(lines)
        + f"\n\n:::{{toctree}}\n:hidden:\n\n{names}\n:::\n"
    )
    return {**pages, "tutorials/index.md": index}


def _heading(path):
    return re.search(r"^# (.+)$", _first_text(path), re.MULTILINE).group(1)


def _first_text(path):
    cells = json.loads(path.read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return "\n\n".join(texts[:2])
