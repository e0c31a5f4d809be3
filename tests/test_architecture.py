"""The import table: who may import whom. ARCHITECTURE.md shows the same table."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "retina_codec"

MAY_IMPORT = {
    "datatypes": set(),
    "stimuli": {"datatypes"},
    "simulation": {"datatypes", "stimuli"},
    "recordings": {"datatypes", "stimuli"},
    "networks": {"datatypes", "stimuli"},
    "contributions": {"datatypes", "stimuli"},
    "statistics": {"datatypes"},
    "decomposition": {"datatypes", "statistics"},
    "receptive_fields": {"datatypes", "stimuli", "contributions"},
    "causal": {"datatypes", "stimuli", "contributions", "networks", "receptive_fields"},
    "phenomena": {
        "causal",
        "contributions",
        "datatypes",
        "decomposition",
        "networks",
        "stimuli",
    },
    "figures": {"datatypes"},
    "report": {"datatypes", "figures"},
    "export": {"datatypes"},
    "pipeline": {
        "causal",
        "contributions",
        "datatypes",
        "decomposition",
        "export",
        "networks",
        "phenomena",
        "receptive_fields",
        "recordings",
        "report",
        "simulation",
        "statistics",
        "stimuli",
    },
    "explorer": {
        "datatypes",
        "export",
        "figures",
        "networks",
        "pipeline",
        "receptive_fields",
        "recordings",
        "stimuli",
    },
    "cli": set(),  # loads what a command needs when it needs it
}


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST):
    """Absolute names that a file imports, and how many dots relative imports have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "retina_codec":
                yield from (
                    (f"retina_codec.{alias.name}", node.level, node) for alias in node.names
                )
            else:
                yield node.module or "", node.level, node


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_is_in_the_table():
    assert {module_of(path) for path in FILES} - {"__init__"} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    tree = ast.parse(path.read_text())
    for name, dots, _ in imported(tree):
        assert dots <= 1, f"{path.name} imports across subpackages: {'.' * dots}{name}"
        if name.startswith("retina_codec.") and module_of(path) != "__init__":
            used = name.split(".")[1]
            assert used in MAY_IMPORT[module_of(path)], f"{path} may not import {used}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_stand_at_the_top(path):
    tree = ast.parse(path.read_text())
    inside = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    late = [node.lineno for top in inside for _, _, node in imported(top)]
    assert not late, f"{path.name}: imports inside code at lines {late}"


def test_nothing_is_unpickled():
    forbidden = r"(?<!allow_)(?<!un)pickle(?!d)|joblib\.load|allow_pickle=True"
    found = [(path.name, w) for path in FILES for w in re.findall(forbidden, path.read_text())]
    assert not found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_reads_numbers_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            assert any(ast.unparse(word) == "weights_only=True" for word in node.keywords)


def test_architecture_page_shows_this_table():
    page = (PACKAGE.parent / "ARCHITECTURE.md").read_text()
    for module, allowed in MAY_IMPORT.items():
        if module in ("pipeline", "explorer", "cli"):
            continue
        row = next(line for line in page.splitlines() if line.startswith(f"| `{module}` |"))
        listed = {word.strip(" `") for word in row.split("|")[3].split(",")} - {"", "-"}
        assert listed == allowed, row
