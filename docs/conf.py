"""Settings of the documentation site; ``make docs`` builds it.

Modules beside this file do what Sphinx does not: `_pages` writes the pages that are made from the
package and from files outside this folder, `_links` mends links between them, `_signatures` shows
signatures as they are written in the source, and `_mathml` draws formulas.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import _links  # noqa: E402
import _pages  # noqa: E402
import _signatures  # noqa: E402

import retina_codec  # noqa: E402

project = "retina_codec"
author = "the authors of retina_codec"
project_copyright = "the authors of retina_codec; BSD-3-Clause licence"
version = release = retina_codec.__version__

extensions = [
    "_mathml",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
default_role = "py:obj"
add_module_names = False

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [_signatures.PROSE_SECTION]
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"retina_codec {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1d5b79", "color-brand-content": "#1d5b79"},
    "dark_css_variables": {"color-brand-primary": "#7cc4e8", "color-brand-content": "#7cc4e8"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# Publishers that turn machines away.
linkcheck_ignore = [r"https://doi\.org/.*", r"https?://localhost.*", r"https?://127\.0\.0\.1.*"]
linkcheck_timeout = 20


def setup(app):
    """Write the pages that are made, and mend links and signatures while pages are read."""
    app.connect("builder-inited", lambda app: _pages.write(HERE))
    app.connect("source-read", _links.mend_links)
    app.connect("doctree-read", _links.link_names)
    app.connect("autodoc-process-signature", _signatures.as_written)
    app.connect("autodoc-skip-member", _signatures.of_other_packages)
    app.connect("autodoc-process-docstring", _signatures.as_prose, priority=400)
    app.connect("missing-reference", _links.find_by_last_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
