"""The documentation site: ``python -m sphinx -EW --keep-going -n docs build/docs``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from jupyter_nbforge import __version__

project = "jupyter_nbforge"
release = version = __version__
html_title = f"jupyter_nbforge {__version__}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "nbforge_reference"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_prev_next": False, "navigation_with_keys": False, "navbar_center": []}
html_sidebars = {"**": ["globaltoc.html"]}
html_show_sourcelink = False
html_copy_source = False

# Pages link to each other's headings, as on any forge that shows Markdown.
myst_heading_anchors = 4
# Sentences of the program are found by their own letters: no other quotes, no other dots.
smartquotes = False
# Docstrings put code into single backticks.
default_role = "code"

autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# A build needs no network, so the pages of Python and of traitlets are not there to be linked to.
nitpick_ignore_regex = [("py:.*", r"(?!jupyter_nbforge).*")]
# A type variable, and a type that is documented as the value that it is at run time.
nitpick_ignore = [
    ("py:class", "jupyter_nbforge.storage.threads.T"),
    ("py:class", "jupyter_nbforge.storage.types.Version"),
]
