"""What tests and docstrings' examples share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # no test opens a window


@pytest.fixture(autouse=True)
def _closed_figures():
    """Close what was drawn: matplotlib keeps figures, and warns of many."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Run the documentation's pages with the slow tests: they guard words, not code."""
    pages = Path(__file__).parent / "docs"
    for item in items:
        if pages in item.path.parents:
            item.add_marker(pytest.mark.slow)
