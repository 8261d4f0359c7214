"""A link to Binder on each page of the gallery; building the site needs no network.

Binder makes an environment from ``.binder`` and opens the example, which Jupytext shows
as a notebook.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

BINDER = (
    "https://mybinder.org/v2/gh/sklearn-mmoe/sklearn-mmoe/main"
    "?urlpath=lab/tree/examples/"
)
# These fit on the census data, for which Binder's machines are too small.
WITHOUT = ("plot_census_notebook", "plot_read_the_gates", "plot_what_drives_tasks")


def add_link(app: Any, docname: str, source: list[str]) -> None:
    """Add the link at the end of an example's page."""
    name = Path(docname).name
    if docname.startswith("auto_examples/plot_") and name not in WITHOUT:
        source[0] += f"\n\n`Open in Binder <{BINDER}{name}.py>`__\n"


def setup(app: Any) -> dict[str, bool]:
    """Register the links with Sphinx."""
    app.connect("source-read", add_link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
