"""Equations as MathML, which browsers draw themselves: no script, no font, read aloud by screen readers."""

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator


def inline(self: HTML5Translator, node: nodes.math) -> None:
    """An equation within a line."""
    self.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def display(self: HTML5Translator, node: nodes.math_block) -> None:
    """An equation on its own; one wider than the page can be scrolled, with the keyboard too."""
    made = latex2mathml.tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math" tabindex="0" role="group" aria-label="equation">{made}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (inline, None), (display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
