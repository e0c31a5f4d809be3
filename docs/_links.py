"""Links between the pages of the site, and from them to files outside this folder."""

import os
import re
from pathlib import Path, PurePosixPath

from docutils import nodes
from sphinx import addnodes
from sphinx.util.nodes import make_refnode

LINK = re.compile(r"(?<!!)\[([^\]\[]+)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
# Names that no word of a sentence could be: some_function, SomeClass, module.name.
DISTINCT = re.compile(r"[a-z]+_\w+|[A-Z][a-z]+[A-Z]\w+|[a-z_]+\.\w+")
# Where files of the project that lie outside this folder are shown in the site.
SHOWN = {
    "ARCHITECTURE.md": "docs/reference/architecture.md",
    "CHANGELOG.md": "docs/reference/changes.md",
    "CONTRIBUTING.md": "docs/reference/contributing.md",
    "README.md": "docs/index.md",
    "docs": "docs/index.md",
    "tutorials": "docs/tutorials/index.md",
    "tutorials/README.md": "docs/tutorials/index.md",
}
# Where the text of pages comes from whose folder is not kept.
MADE_FROM = {"reference": ".", "tutorials": "tutorials"}


def mend_links(app, docname, source):
    """Let links to files that the site shows lead to their pages; others become plain text."""
    page = PurePosixPath("docs", docname)
    if docname.startswith("api/"):
        return
    origin = MADE_FROM.get(PurePosixPath(docname).parts[0], str(page.parent))
    source[0] = mended(source[0], origin, str(page.parent), Path(app.srcdir).parent)


def mended(text, origin, shown_in, root):
    """Text that was written in one folder of the project, with links for where it is shown."""

    def mend(match):
        words, target, anchor = match.groups()
        page = page_of(os.path.normpath(PurePosixPath(origin, target)), root)
        if page is None:
            return words
        return f"[{words}]({os.path.relpath(page, shown_in)}{anchor or ''})"

    return LINK.sub(mend, text)


def page_of(path, root):
    """Return where a file of the project is shown: a path below "docs", or None."""
    if path in SHOWN:
        return SHOWN[path]
    if PurePosixPath(path).parts[0] == "tutorials":
        return f"docs/{PurePosixPath(path).with_suffix('.ipynb')}"
    made = PurePosixPath(path).parts[:2] in {("docs", name) for name in ("api", *MADE_FROM)}
    if path.startswith("docs/") and (made or (root / path).is_file()):
        return path
    return None


def link_names(app, doctree):
    """Let public names in pages, such as `SparseModes`, lead to their reference."""
    if app.env.docname.startswith(("api/", "tutorials/")):
        return
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removeprefix("rc.").rstrip("()")
        if isinstance(literal.parent, (nodes.title, nodes.reference, addnodes.pending_xref)):
            continue
        if DISTINCT.fullmatch(name):
            link = addnodes.pending_xref(
                "", refdomain="py", reftype="obj", reftarget=name, refdoc=app.env.docname
            )
            literal.replace_self(link)
            link += literal


def find_by_last_name(app, env, node, contnode):
    """Find `decompose` or `stimuli.windows` wherever in the package it is, if it is one thing."""
    if node.get("refdomain") != "py":
        return None
    found = _named(env, node["reftarget"])
    if len(found) != 1:
        return None
    ((name, entry),) = found.items()
    if entry.docname is None:
        return None
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, title=name
    )


def _named(env, target):
    target = "." + target.removeprefix("rc.").rstrip("()")
    objects = env.domains["py"].objects
    found = {
        name: entry
        for name, entry in objects.items()
        if name.endswith(target) and entry.objtype not in ("attribute", "property", "method")
    }
    shortest = min((name.count(".") for name in found), default=0)
    return {name: entry for name, entry in found.items() if name.count(".") == shortest}
