"""The examples are notebooks. Two run here as such, all in the gallery of the site."""

from __future__ import annotations

import os
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("plot_*.py"))

TRAIN_VERBOSELY = """
from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
X, y = make_related_tasks(n_samples=300, n_features=5, n_sines=0, random_state=0)
_ = MultiTaskMMoERegressor(max_iter=3, verbose=1).fit(X, y)
"""


def read(name):
    return jupytext.read(EXAMPLES / f"{name}.py", fmt="py:percent")


def outputs(notebook, kind):
    """List the outputs of a MIME type, or the text of a stream."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                found += [output.text] if kind == output.name else []
            else:
                found += [output.data[kind]] if kind in output.get("data", {}) else []
    return found


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_examples_are_notebooks(name):
    """Text is text and code is code, also to Jupyter; the first cell is the title."""
    cells = read(name).cells
    assert cells[0].cell_type == "markdown"
    title, line = cells[0].source.splitlines()[:2]
    assert line == "=" * len(title)
    assert {cell.cell_type for cell in cells} == {"markdown", "code"}
    assert not any("# %%" in cell.source for cell in cells)


def executed(name):
    notebook = read(name)
    client = NotebookClient(notebook, timeout=900, kernel_name="python3")
    # Pictures are shown in the notebook, whatever the tests themselves draw on.
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    client.execute(cwd=str(EXAMPLES), env=environment)
    return notebook


@pytest.mark.slow
def test_a_notebook_runs():
    notebook = executed("plot_first_model")
    assert outputs(notebook, "stderr") == []
    assert outputs(notebook, "image/png")


@pytest.mark.slow
def test_the_census_notebook_scores_as_it_should(census_folder):
    notebook = executed("plot_census_notebook")
    assert outputs(notebook, "stderr") == []
    assert outputs(notebook, "image/png")
    lines = [line for text in outputs(notebook, "stdout") for line in text.splitlines()]
    epochs = [line for line in lines if line.startswith("Epoch ")]
    assert len(epochs) % 3 == 0  # train, validation, test
    assert ", test: " in epochs[-1]
    income, never_married = (float(part.split()[-1]) for part in epochs[-1].split("; "))
    assert income > 0.945
    assert never_married > 0.993
    diagrams = outputs(notebook, "text/html")
    assert any("readthedocs.io" in html for html in diagrams)


@pytest.mark.slow
def test_progress_leaves_its_last_line_in_a_notebook():
    """The bar is a widget, which a saved notebook shows only where there is Jupyter."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(TRAIN_VERBOSELY)]
    NotebookClient(notebook, timeout=900, kernel_name="python3").execute()
    assert outputs(notebook, "stderr") == []
    (text,) = outputs(notebook, "stdout")
    (line,) = text.splitlines()
    assert line.startswith("Epoch 3/3, ")
    assert "task_0 0." in line
    assert outputs(notebook, "application/vnd.jupyter.widget-view+json")
