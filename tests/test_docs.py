"""The documentation: its site builds, its links lead somewhere, its examples run."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import typer
from sphinx.util.inventory import InventoryFile

import retina_codec
from retina_codec.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = ("_build", "api", "reference", "tutorials")
PAGES = sorted(path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in MADE)
TEXTS = [*PAGES, *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"))]
RUN = [
    *sorted((DOCS / "how_to").glob("add_*.md")),
    *(DOCS / f"{name}.md" for name in ("causal", "contributions", "phenomena", "results")),
    DOCS / "statistics.md",
]
LINK = re.compile(r"(?<!!)\[[^\]\[]+\]\((?!https?:|mailto:)([^)\s]*)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)\s]+)\)")
ROLE = re.compile(r"\{(doc|py:obj)\}`([^`]+)`")


@pytest.fixture(scope="module")
def made():
    """The modules beside the settings of the site."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        names = ("_links", "_mathml", "_pages", "_signatures")
        yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name)


@pytest.fixture(scope="module")
def pages(made):
    """The pages that are made, by their places."""
    made = made["_pages"]
    return {**made.api_pages(), **made.reference_pages(ROOT), **made.tutorial_pages(ROOT)}


def name_of(path):
    return str(path.relative_to(ROOT))


def public_names():
    modules = {name: f"retina_codec.{name}" for name in dir(retina_codec) if name[0] != "_"}
    found = {name: importlib.import_module(module) for name, module in modules.items()}
    return {name: getattr(module, "__all__", []) for name, module in found.items()}


def headings(path):
    """Anchors of a page, as GitHub and MyST make them."""
    titles = re.findall(r"^#{1,3} (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_to_files_and_headings(path, pages):
    made_pages = {str(DOCS / page) for page in pages}
    for target in LINK.findall(path.read_text()) + PICTURE.findall(path.read_text()):
        where, _, anchor = target.partition("#")
        there = Path(os.path.normpath(path.parent / where)) if where else path
        if str(there) in made_pages:
            continue
        assert there.exists(), f"{target} in {name_of(path)}"
        assert not anchor or anchor in headings(there), f"{target} in {name_of(path)}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_roles_name_pages_and_public_names(path, pages):
    names = {f"retina_codec.{module}.{n}" for module, all_ in public_names().items() for n in all_}
    made_pages = {str(DOCS / page).rsplit(".", 1)[0] for page in pages}
    for role, target in ROLE.findall(path.read_text()):
        if role == "py:obj":
            assert target.removeprefix("~") in names, f"{target} in {name_of(path)}"
        else:
            there = os.path.normpath(path.parent / target)
            assert there in made_pages or Path(f"{there}.md").is_file(), target


def test_every_page_is_in_a_list_of_pages(pages):
    listed = set()
    for index in ("index.md", "how_to/index.md"):
        text = (DOCS / index).read_text()
        for block in re.findall(r"^```\{toctree\}(.*?)^```", text, re.MULTILINE | re.DOTALL):
            entries = [line for line in block.split("\n") if line and line[0] != ":"]
            lines = [re.sub(r".*<(.+)>", r"\1", entry) for entry in entries]
            listed |= {os.path.normpath(Path(index).parent / line) for line in lines}
    here = {str(path.relative_to(DOCS).with_suffix("")) for path in PAGES}
    tops = {page.rsplit(".", 1)[0] for page in pages if page.startswith("reference/")}
    assert here | tops | {"api/index", "tutorials/index"} <= listed | {"index"}


@pytest.mark.parametrize("path", RUN, ids=name_of)
def test_examples_run(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    matplotlib.use("Agg")
    names = {"__name__": path.stem}
    for block in blocks:
        exec(compile(block, name_of(path), "exec"), names)  # noqa: S102


def test_every_public_name_has_an_entry(pages):
    for module, names in public_names().items():
        page = pages.get(f"api/{module}.rst", "")
        for name in names:
            assert re.search(rf"^\.\. [\w:]+:: {name}$", page, re.MULTILINE), (module, name)


def test_every_command_and_option_is_told(pages):
    text = pages["reference/commands.md"]
    commands = typer.main.get_command(app).commands
    for name, command in commands.items():
        if command.hidden or hasattr(command, "commands"):
            continue
        part = text.split(f"## retina-codec {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                assert f"`{parameter.opts[0]}`" in part, (name, parameter.name)


def test_words_are_those_of_the_architecture(pages):
    rows = re.findall(r"^\| ([^|]+) \| ", (ROOT / "ARCHITECTURE.md").read_text(), re.MULTILINE)
    words = rows[rows.index("recording") : rows.index("effect") + 1]
    lines = pages["reference/words.md"].split("\n")
    for word in words:
        assert all(part.strip() in lines for part in word.split(",")), word


def test_tutorials_are_there_in_order(pages):
    notebooks = sorted(path.stem for path in (ROOT / "tutorials").glob("*.ipynb"))
    assert notebooks
    listed = re.findall(r"\]\((.+)\.ipynb\)", pages["tutorials/index.md"])
    assert listed == notebooks


def test_axes_are_shown_as_they_are_written(made):
    from retina_codec.datatypes import Modes
    from retina_codec.statistics import hoyer_sparsity

    shown, returned = made["_signatures"].as_written(
        None, "function", "", hoyer_sparsity, None, "", ""
    )
    assert "Float[" in shown
    assert returned == "Float[np.ndarray, ' sample']"
    shown, _ = made["_signatures"].as_written(None, "class", "", Modes, None, "", "")
    assert shown.startswith("(*, dictionary: Float[Any, 'mode feature'], ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("the length |x| of x", r"the length \|x\| of x"),
        ("see components_ and more", r"see components\_ and more"),
        ("in ``|x|`` nothing, `components_` neither", None),
        ("*at this image* and **now**: as it is", None),
        (".. math:: |x|", None),
        (">>> a | b", None),
    ],
)
def test_prose_of_docstrings_is_no_markup(made, line, expected):
    lines = [line]
    made["_signatures"].as_prose(None, "function", "", None, None, lines)
    assert lines == [expected or line]


def test_sentences_of_returns_are_not_types(made):
    sentence = ["Returns", "-------", "One row for each cell, with", "its rate."]
    typed = ["Returns", "-------", "dict", "    One for each."]
    for lines, kept in ((sentence, False), (typed, True)):
        made["_signatures"].as_prose(None, "function", "", None, None, lines)
        assert (lines[0] == "Returns") is kept


@pytest.mark.parametrize(
    ("origin", "shown_in", "text", "expected"),
    [
        (".", "docs/reference", "[a](docs/images.md#b)", "[a](../images.md#b)"),
        (".", "docs/reference", "[a](data/README.md)", "a"),
        ("docs", "docs", "[a](../CONTRIBUTING.md)", "[a](reference/contributing.md)"),
        ("tutorials", "docs/tutorials", "[a](../docs/networks.md)", "[a](../networks.md)"),
        ("docs/how_to", "docs/how_to", "[a](https://b.org/c.md)", "[a](https://b.org/c.md)"),
        ("docs", "docs", "[a](gone.md)", "a"),
    ],
)
def test_links_are_mended(made, origin, shown_in, text, expected):
    assert made["_links"].mended(text, origin, shown_in, ROOT) == expected


FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\w`$])\$([^$`\n]+)\$", re.DOTALL)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_formulas_can_be_drawn(made, path):
    found = [block or inline for block, inline in FORMULA.findall(path.read_text())]
    for formula in found:
        drawn = made["_mathml"].drawn(formula, as_block=True)
        assert drawn.startswith("<math")
        assert "\\" not in drawn, formula


def test_short_fractions_are_fractions(made):
    draw = made["_mathml"].drawn
    assert draw(r"\tfrac12 x") == draw(r"\tfrac{1}{2} x")


def test_no_machine_is_named(pages):
    for text in [*(path.read_text() for path in TEXTS), *pages.values()]:
        assert not re.search(r"/(home|Users|tmp|root|work)/", text)


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(tmp_path / "trees"), str(DOCS), str(tmp_path / "html")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    inventory = InventoryFile.loads((tmp_path / "html/objects.inv").read_bytes(), uri="")
    listed = {name for kind, names in inventory.data.items() for name in names}
    for module, names in public_names().items():
        assert {f"retina_codec.{module}.{name}" for name in names} <= listed
        assert not names or f"retina_codec.{module}" in listed
    formulas = (tmp_path / "html/contributions.html").read_text()
    assert formulas.count("<math") > 5
    assert '<script src="http' not in formulas
    assert (
        inspect.getdoc(retina_codec.statistics.hoyer_sparsity).split("\n")[0]
        in (tmp_path / "html/api/statistics.html").read_text()
    )
