"""Formulas as MathML, which browsers draw by themselves: no script, no font and no network is needed to read
them.
"""

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

SIZED = re.compile(r"\\([bB]igg?)(?![A-Za-z])")  # \\big and its kin, of which docutils knows those of a side
logger = logging.getLogger(__name__)


def inline(writer: Any, node: nodes.math) -> None:
    """Writes a formula of a line."""
    writer.body.append(f'<span class="math">{mathml(node)}</span>')
    raise nodes.SkipNode


def block(writer: Any, node: nodes.math_block) -> None:
    """Writes a formula on lines of its own, which scrolls where a window is too narrow."""
    writer.body.append(f'<div class="math">{mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def mathml(node: nodes.Element, *, as_block: bool = False) -> str:
    """A formula as MathML; one that is none is shown as it was written, with a warning."""
    try:
        return tex2mathml(SIZED.sub(r"\\\1l", node.astext()), as_block=as_block)
    except MathError as error:
        logger.warning("no formula: %s: %s", node.astext(), error, location=node)
        return f"<code>{escape(node.astext())}</code>"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
