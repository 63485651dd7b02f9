"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

from datetime import UTC, datetime

import matplotlib as mpl

import acestimator

mpl.use("agg")

project = "acestimator"
author = "The acestimator developers"
copyright = f"{datetime.now(tz=UTC).year}, {author}"
version = release = acestimator.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# The gallery's sources are read by sphinx-gallery, which writes pages of its own.
exclude_patterns = ["_build", "tutorials/*.py", "tutorials/GALLERY_HEADER.rst", "tutorials/generated/*.py"]

# ---------------------------------------------------------------- reference

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name types and shapes
maximum_signature_line_length = 80
numpydoc_show_class_members = False  # the class template lists them, with their docstrings

# ---------------------------------------------------------------- pages

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "tutorials/generated",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
    "abort_on_example_error": True,
    "reference_url": {"acestimator": None},
    "doc_module": ("acestimator",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
    "min_reported_time": 0,
}

# The pages lie inside the folder of their sources, where a second build takes them for examples of the same name.
suppress_warnings = ["sphinx_gallery.duplicate_filename"]

# ---------------------------------------------------------------- look

html_theme = "pydata_sphinx_theme"
html_title = f"acestimator {release}"
html_theme_options = {
    "logo": {"text": "acestimator"},
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
}
html_sidebars = {"index": [], "guide": [], "design": [], "changelog": []}
html_copy_source = False
html_show_sourcelink = False
