"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import acestimator
from acestimator.comparison import Comparison
from acestimator.comparison import finished as finished_cells
from acestimator.comparison.tables import METRICS, as_markdown, sections
from acestimator.experiments import TABLES, finished
from acestimator.experiments import as_markdown as experiment

mpl.use("agg")
sys.path.insert(0, str(Path(__file__).parents[1]))  # theory/ is used from the checkout, and is not installed

project = "acestimator"
author = "The acestimator developers"
copyright = author
version = release = acestimator.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
# The gallery's sources are read by sphinx-gallery, which writes pages of its own.
# Results are included in the page on the comparison.
exclude_patterns = ["_build", "results", "tutorials/*.py", "tutorials/GALLERY_HEADER.rst", "tutorials/generated/*.py"]

# ---------------------------------------------------------------- reference

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings name types and shapes
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the class template lists them, with their docstrings

# ---------------------------------------------------------------- pages

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
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
    "capture_repr": (),  # what is to be seen is printed or drawn
    "remove_config_comments": True,
    "min_reported_time": 0,
}

# The pages lie inside the folder of their sources, where a second build takes them for examples of the same name.
suppress_warnings = ["sphinx_gallery.duplicate_filename"]

# ---------------------------------------------------------------- look

html_theme = "pydata_sphinx_theme"
html_title = f"acestimator {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "logo": {"text": "acestimator"},
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
}
_PAGES = (
    "index",
    "guide",
    "audit-table",
    "audit-texts",
    "audit-images",
    "which-tool",
    "table",
    "peers",
    "comparison",
    "comparison-tables",
    "experiments",
    "theory",
    "design",
    "what-we-tried",
    "changelog",
    "tutorials/generated/*",
)
html_sidebars = {page: [] for page in _PAGES}
html_copy_source = False
html_show_sourcelink = False

# ---------------------------------------------------------------- results


def report_comparison(app):
    """Make the tables and the picture of the comparison from the records in docs/results."""
    results = Path(app.srcdir) / "results"
    made = results / "generated"
    made.mkdir(exist_ok=True)
    suite = [Path(app.srcdir).parent / "benchmarks/suite.py", "--report", results / "suite.jsonl", "--pages", made]
    subprocess.run([sys.executable, *suite], check=True, stdout=subprocess.DEVNULL)
    grid = Comparison(finished_cells(results / "core_grid.jsonl"))
    _, *tables = sections(grid, [metric for metric in METRICS if metric.name in ("accuracy", "auroc")])
    (made / "core_grid.md").write_text(as_markdown(tables), encoding="utf-8")


def report_experiments(app):
    """Make the paper's tables, beside what was measured, from the records in docs/results."""
    results = Path(app.srcdir) / "results"
    records = finished(results / "experiments.jsonl")
    tables = [experiment(table, records) for table in TABLES.values()]
    (results / "generated" / "experiments.md").write_text("\n\n".join(tables) + "\n", encoding="utf-8")


# ---------------------------------------------------------------- formulas


MATHML = "http://www.w3.org/1998/Math/MathML"


def with_accents(formula):
    """Put the index of an accented letter beside it, where docutils has it below, and accents clear of the letter."""
    ElementTree.register_namespace("", MATHML)
    # HTML's names of characters are unknown to XML, but for these three.
    formula = re.sub(r"&(?!amp;|lt;|gt;)\w+;", lambda name: unescape(name[0]), formula)
    tree = ElementTree.fromstring(formula)
    for element in tree.iter(f"{{{MATHML}}}munderover"):
        letter, index, over = element
        if over.get("stretchy") == "false":  # an accent, not the upper limit of a sum
            accented = ElementTree.Element(f"{{{MATHML}}}mover")
            accented.extend([letter, over])
            element.tag = f"{{{MATHML}}}msub"
            element[:] = [accented, index]
    for element in tree.iter(f"{{{MATHML}}}mover"):
        element.attrib.pop("accent", None)  # with it, where fonts have no mathematics, a bar is drawn into the letter
    return ElementTree.tostring(tree, encoding="unicode")


def visit_formula(translator, node):
    """Write a formula as MathML, which browsers show by themselves: the site needs no script from elsewhere."""
    block = isinstance(node, nodes.math_block)
    formula = with_accents(tex2mathml(node.astext(), as_block=block))
    translator.body.append(f'<div class="formula">{formula}</div>' if block else formula)
    raise nodes.SkipNode


def setup(app):
    app.connect("builder-inited", report_comparison)
    app.connect("builder-inited", report_experiments)
    app.add_html_math_renderer("mathml", (visit_formula, None), (visit_formula, None))


html_math_renderer = "mathml"
