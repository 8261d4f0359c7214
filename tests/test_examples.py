"""Examples that are scripts run, and never pass generated data off as the census."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def run(name, *arguments, **environment):
    result = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines(), result.stderr


@pytest.mark.slow
def test_census_income_without_the_census(tmp_path):
    nowhere = "http://127.0.0.1:9"  # nobody listens to the discard port
    lines, errors = run(
        "census_income",
        "--quick",
        SKLEARN_MMOE_DATA=str(tmp_path),
        HTTP_PROXY=nowhere,
        HTTPS_PROXY=nowhere,
    )
    assert lines[0] == lines[-1]
    assert lines[0].startswith("GENERATED DATA, not the census: census-income.test.gz")
    assert str(tmp_path) in lines[0]
    titles = [line for line in lines if "ROC AUC" in line]
    assert len(titles) == 2
    assert all("GENERATED data, not the census" in title for title in titles)
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_census_income(census_folder):
    lines, errors = run(
        "census_income", "--quick", SKLEARN_MMOE_DATA=str(census_folder)
    )
    assert lines[0] == lines[-1]
    assert lines[0].startswith("Census-Income, ")
    assert not any("generated" in line.lower() for line in lines)
    (row,) = (line for line in lines if line.startswith("MMoE"))
    income, never_married = (float(value) for value in row.split()[-2:])
    assert income > 0.93
    assert never_married > 0.985
    assert errors == ""


def test_splits_of_the_census(monkeypatch, mixed_data):
    example = load("census_income")
    X, y = mixed_data
    halves = {"train": (X[:1200], y[:1200]), "test": (X[1200:], y[1200:])}

    def rows(task):
        return {name: len(labels) for name, (_, labels) in task.parts.items()}

    monkeypatch.setattr(example, "load_halves", lambda: halves)
    both = example.load()
    assert rows(both) == {"train": 1200, "validation": 400, "test": 400}
    assert "split 1:1 into validation and test" in both.message
    monkeypatch.setattr(example, "load_halves", lambda: {"test": (X, y)})
    test_only = example.load()
    assert rows(test_only) == {"train": 1200, "validation": 400, "test": 400}
    assert "split 60/20/20" in test_only.message
    assert "census-income.data.gz is neither in" in test_only.message
    indices = [set(labels.index) for _, labels in test_only.parts.values()]
    assert len(set.union(*indices)) == 2000


@pytest.mark.slow
def test_serve_onnx(tmp_path):
    lines, errors = run("serve_onnx", SKLEARN_MMOE_DATA=str(tmp_path))
    assert lines[0].startswith("GENERATED DATA")
    (difference,) = (line for line in lines if line.startswith("largest difference"))
    assert float(difference.split()[-1]) < 1e-5
    speeds = [line.split()[-2:] for line in lines if line.startswith("batches of")]
    assert len(speeds) == 3
    assert all(float(speed.replace(",", "")) > 0 for row in speeds for speed in row)
    assert errors == ""


@pytest.mark.slow
def test_shap_values():
    pytest.importorskip("shap")
    lines, _ = run("shap_values", "purchase")
    assert lines[0].startswith("mean probability of 'purchase': 0.")
    (error,) = (line for line in lines if line.startswith("largest error"))
    assert float(error.split()[-1]) < 1e-6
    # Eight columns of the user's own: their mean sizes, and the first row.
    assert len([line for line in lines if line.startswith("category_")]) == 6
