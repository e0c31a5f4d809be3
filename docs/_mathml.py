"""Formulas as MathML, which browsers draw by themselves, without a script from elsewhere."""

import re

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.util import logging

FRACTION = re.compile(r"\\(t?frac)\s*(\w)\s*(\w)")  # \frac12 for \frac{1}{2}

logger = logging.getLogger(__name__)


def setup(app):
    """Offer the renderer under the name "mathml"."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer, node):
    writer.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block(writer, node):
    writer.body.append(f'<div class="formula">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def drawn(formula, *, as_block=False):
    """Return a formula in TeX as MathML."""
    formula = FRACTION.sub(r"\\\1{\2}{\3}", formula)
    return latex2mathml.tex2mathml(formula, as_block=as_block)


def _mathml(node, *, as_block):
    try:
        return drawn(node.astext(), as_block=as_block)
    except (MathError, SyntaxError, ValueError) as error:
        logger.warning("Formula %r: %s", node.astext(), error, location=node)
        return ""
