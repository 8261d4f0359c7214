"""Sphinx' settings: ``python -m sphinx -W docs docs/_build/html`` builds the site."""

from __future__ import annotations

import os
import sys
import tomllib
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

# Diagrams of estimators in the gallery link to this site's own reference.
os.environ["SKLEARN_MMOE_DOCS"] = ".."

import sklearn_mmoe  # noqa: E402

project = "sklearn_mmoe"
author = "The sklearn_mmoe developers"
project_copyright = author
release = version = sklearn_mmoe.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "sphinx_design",
    "myst_parser",
    "mathml",  # _ext
    "results_tables",  # _ext
    "binder_links",  # _ext
    "layer_signatures",  # _ext
]
# Links to other projects need the network, which a build at home may do without.
if os.environ.get("READTHEDOCS"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
    }

myst_enable_extensions = ["tasklist"]  # boxes that are ticked

root_doc = "index"
exclude_patterns = [
    "_build",
    "_ext",
    "_templates",
    "generated",
    "**sg_execution_times.rst",  # seconds of one machine
]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_title = "sklearn_mmoe"
html_theme = "pydata_sphinx_theme"
html_theme_options = {
    # More would take a second row on a screen of 1280 pixels.
    "header_links_before_dropdown": 4,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "logo": {"text": "sklearn_mmoe"},
    # The browser asks for the list; at home it finds this build's own.
    "switcher": {
        "json_url": "_static/switcher.json",
        "version_match": (
            "dev" if os.environ.get("READTHEDOCS_VERSION") == "latest" else release
        ),
    },
    "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_show_sourcelink = False
# Short pages have no section menu worth a column.
html_sidebars = {
    "auto_examples/*": [],  # diagrams of estimators want the width
    "changelog": [],
    "contributing": [],
    "design": [],
    "getting_started": [],
    "mathematics": [],
    "results": [],
}
html_math_renderer = "mathml"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's types say more
toc_object_entries_show_parents = "hide"  # "fit()" fits beside the page
numpydoc_show_class_members = False
numpydoc_validation_checks = set(
    tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "numpydoc_validation"
    ]["checks"]
)

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": r"/plot_",
    # Commands.
    "ignore_pattern": (
        r"(census_income|dask_cluster|serve_onnx|several_machines|shap_values)\.py$"
    ),
    "doc_module": ("sklearn_mmoe",),
    "backreferences_dir": "reference/backreferences",
    "show_memory": False,
    "abort_on_example_error": True,
    "reset_modules": ("matplotlib",),
    "image_scrapers": ("matplotlib",),
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": os.environ.get("SKLEARN_MMOE_DOCS_GALLERY", "True") != "False",
    "within_subsection_order": "FileNameSortKey",
}
# Shown figures are scraped; there is no window that could show them.
warnings.filterwarnings("ignore", message="FigureCanvasAgg is non-interactive")
