"""How the site is built: `make docs`, or ``sphinx-build -W -j auto docs docs/_build/html``.

Everything that a page loads lies in the built folder: it opens from disk, search included, without a network.
"""

import os
import sys
import tomllib
from pathlib import Path

from sphinx.errors import ConfigError

from landscape.extras import needed

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from links import online  # noqa: E402

try:
    for module in ("myst_nb", "pydata_sphinx_theme"):
        needed(module, "docs", "the site is built")
except ModuleNotFoundError as error:
    raise ConfigError(str(error)) from None

# Tutorials run as users run them; the programs they compile are kept between builds.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(HERE / "_build" / "programs"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Figures at two dots for each of the page; nothing is read from the settings of whoever builds.
PROFILE = HERE / "_build" / "ipython" / "profile_default"
PROFILE.mkdir(parents=True, exist_ok=True)
SETTINGS = ("c.InlineBackend.figure_formats = {'retina'}", "c.Application.log_level = 40")
(PROFILE / "ipython_kernel_config.py").write_text("\n".join(SETTINGS))
os.environ["IPYTHONDIR"] = str(PROFILE.parent)

(HERE / "_build" / "extra").mkdir(parents=True, exist_ok=True)  # pages that are not of Sphinx: the explorer
ABOUT = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))["project"]

project, release, author = "landscape", ABOUT["version"], "The landscape developers"
version, copyright = release, author
exclude_patterns = ["_build"]
templates_path = ["_templates"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "directives",
    "failures",
    "mathml",
    "slim",
]

# Words and code
default_role = "py:obj"  # docstrings name what they mean in single backticks
highlight_language = "text"
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
maximum_signature_line_length = 88
python_display_short_literal_types = True
html_math_renderer = "mathml"

# Notebooks: a cell that fails fails the build
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True
nb_ipywidgets_js = {}
nb_render_image_options = {"alt": "The figure that the cell above draws"}

intersphinx_mapping = online(
    {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "jax": "https://docs.jax.dev/en/latest/",
        "xarray": "https://docs.xarray.dev/en/stable/",
        "optax": "https://optax.readthedocs.io/en/latest/",
        "flax": "https://flax.readthedocs.io/en/latest/",
    }
)

# The look
html_theme = "pydata_sphinx_theme"
html_title = "landscape"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_build/extra"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # a page opened from disk may not read others
html_theme_options = {
    "logo": {"text": f"landscape {release}"},
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button-field"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_depth": 2,
    "back_to_top_button": False,
}
html_sidebars = {"index": []}
