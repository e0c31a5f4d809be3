"""Signatures as they are written in the source, so that axes of arrays stay legible."""

import ast
import dataclasses
import inspect
import re
import textwrap

PROSE_SECTION = "What it returns"
CODE = re.compile(r"(`+[^`]+`+)")
MARK = re.compile(r"""\||(?<=\w)_(?!\w)|(?<=["\w])\*+(?=\.\S|")""")
IMPLICIT = ("self", "cls")


def as_written(app, what, name, obj, options, signature, returns):
    """Give autodoc the text of the arguments: ``Float[np.ndarray, "time y x"]``, not its repr."""
    try:
        if what in ("class", "exception"):
            return _of_class(obj, signature), None
        if what in ("function", "method"):
            return _of_function(obj)
    except (OSError, TypeError, AttributeError, IndexError):
        pass  # no source, as of what is inherited from a compiled package
    return signature, returns


def _of_function(function):
    node = _definition(inspect.unwrap(getattr(function, "__func__", function)))
    arguments = node.args
    for listed in (arguments.posonlyargs, arguments.args):
        if listed and listed[0].arg in IMPLICIT:
            del listed[0]
    return f"({ast.unparse(arguments)})", ast.unparse(node.returns) if node.returns else None


def _of_class(made, signature):
    if dataclasses.is_dataclass(made):
        return _of_dataclass(made)
    if hasattr(made, "_fields"):
        fields = [part for part in _definition(made).body if isinstance(part, ast.AnnAssign)]
        return f"({', '.join(map(ast.unparse, fields))})"
    if "__init__" not in vars(made):
        return signature
    return _of_function(made.__init__)[0]


def _of_dataclass(made):
    written = {}
    for base in reversed(made.__mro__):
        if dataclasses.is_dataclass(base):
            fields = [part for part in _definition(base).body if isinstance(part, ast.AnnAssign)]
            written |= {field.target.id: field for field in fields}
    fields = [field for field in dataclasses.fields(made) if field.init]
    star = "*, " if fields and all(field.kw_only for field in fields) else ""
    return f"({star}{', '.join(_field(field, written[field.name]) for field in fields)})"


def _field(field, node):
    text = f"{field.name}: {ast.unparse(node.annotation)}"
    if field.default_factory is not dataclasses.MISSING:
        return f"{text} = ..."
    if field.default is dataclasses.MISSING:
        return text
    if isinstance(node.value, ast.Call):  # `field(default=...)`
        return f"{text} = {field.default!r}"
    return f"{text} = {ast.unparse(node.value)}"


def _definition(obj):
    return ast.parse(textwrap.dedent(inspect.getsource(obj))).body[0]


def of_other_packages(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to every class that is fitted, and what tuples say."""
    of_sklearn = name.startswith("set_") and name.endswith("_request")
    of_a_tuple = (inspect.getdoc(obj) or "").startswith("Alias for field number")
    return True if of_sklearn or of_a_tuple else None


def as_prose(app, what, name, obj, options, lines):
    """Keep what docstrings say in plain text from being read as marks."""
    _keep_sentences_of_returns(lines)
    in_math = False
    for at, line in enumerate(lines):
        if line.strip():
            in_math = line.startswith("    ") and in_math or ".. math::" in line
        if not in_math and not line.lstrip().startswith((">>>", "...", "..")):
            lines[at] = _escaped(line)


def _escaped(line):
    """Escape marks outside of backticks: |x| is no substitution, components_ no link."""
    parts = CODE.split(line)
    parts[::2] = [MARK.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def _keep_sentences_of_returns(lines):
    """Keep a section "Returns" that is a sentence, not a type, from being cut into types."""
    for at in range(len(lines) - 2):
        if lines[at] != "Returns" or set(lines[at + 1]) != {"-"}:
            continue
        section = lines[at + 2 :]
        if not (len(section) > 1 and section[1].startswith("    ")):
            lines[at], lines[at + 1] = PROSE_SECTION, "-" * len(PROSE_SECTION)
