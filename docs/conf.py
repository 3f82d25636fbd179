"""How Sphinx makes the pages of this folder: `python -m sphinx -W --keep-going docs docs/_build/html`.

Nothing is loaded from a network.
"""

import pathlib
import sys

import gdsim

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project, author, release = "gdsim", "the gdsim developers", gdsim.__version__
project_copyright = author
extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb", "pages", "mathml"]
exclude_patterns = ["_build", "_ext"]
templates_path = []
default_role = "literal"
nitpicky = True
smartquotes = False  # a quote in a docstring is one of code, or marks a mean that was corrected

# Docstrings say what arrays hold in words; types are for checkers, and would be twice as long as the rest of
# a signature.
autodoc_typehints = "none"
autodoc_preserve_defaults = False
add_module_names = False
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Notebooks hold what they put out, and are shown as they are.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = "gdsim"
html_static_path = ["_static"]
html_css_files = ["gdsim.css"]
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_sidebars = {"index": []}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "show_nav_level": 2,
    "navigation_with_keys": False,
}
