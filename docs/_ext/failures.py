"""A cell that fails fails the build, named by its page and line."""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


def tell(app: Sphinx, tree: nodes.document) -> None:
    """Warn of each cell whose output is a traceback; warnings are errors here."""
    for cell in tree.findall(lambda node: isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"):
        for output in cell.findall(nodes.literal_block):
            if "traceback" in output["classes"]:
                said = re.sub(r"\x1b\[[0-9;]*m", "", output.astext()).strip()
                line = re.search(r"Cell In\s?\[\d+\], line (\d+)", said)
                fence = (cell.line or 2) - 2  # the line of the reader is two further on
                where = app.env.docname, fence + int(line[1] if line else 0)
                LOGGER.warning("this cell fails: %s", said.splitlines()[-1], location=where)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", tell)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
