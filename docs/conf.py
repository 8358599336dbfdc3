"""The site: ``make docs``. Sources are Markdown that reads on GitHub too, from the root of the repository.

Nothing here is fetched, by the builder or by a reader: fonts are the system's, formulas are MathML.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "suffice"
author = "the authors of suffice"
version = release = re.search(r'__version__ = "(.*)"', (ROOT / "src/suffice/__init__.py").read_text())[1]
html_title = f"suffice {release}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "commands",
    "mathml",
]

root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "CHANGELOG.md",
    "benchmarks/README.md",
    "experiments/README.md",
    "experiments/*/README.md",
]
exclude_patterns = [
    ".*",
    "build",
    "dist",
    "runs",
    "src",
    "tests",
    "scripts",
    "**/.ipynb_checkpoints",
    "**/*.egg-info",
]

# Markdown as GitHub has it: formulas between dollars and in ```math fences, anchors of headings
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
nb_execution_mode = "off"  # notebooks are committed with their outputs, and executed by the deep tests

# a `name` in a docstring is code, and a link where that name is documented
default_role = "py:obj"
smartquotes = False  # they make a dash of the two hyphens of a flag
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["suffice.css"]
html_extra_path = ["root"]
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}


def leave_out(app, kind, name, member, skip, options):
    """Fields of named tuples: their class says what they are."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("autodoc-skip-member", leave_out)
