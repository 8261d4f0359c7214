"""What the benchmark of calibration scores and compares."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def calibration():
    """Import the benchmark's module, whose folder is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("calibration")
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_a_task_is_scored_where_its_label_is_known(calibration):
    y = np.array([0.0, 1.0, np.nan, 0.0, 1.0])
    positive = np.array([0.0, 1.0, 0.9, 0.5, 0.5])
    found = calibration.scores_of(y, np.column_stack([1 - positive, positive]))
    assert found["rows"] == 4
    assert found["positive"] == 0.5
    assert found["ece"] == pytest.approx(0.0, abs=1e-12)
    assert found["log_loss"] == pytest.approx(np.log(2) / 2, rel=1e-6)


def test_differences_are_paired_by_split(calibration):
    lines = [
        (split, contender, task, base + less)
        for split, base in ((1, 0.1), (2, 0.5), (3, 0.9))
        for contender, less in (("MMoE", 0.02), (calibration.REFERENCE, 0.0))
        for task in ("a", "b")
    ]
    results = pd.DataFrame(lines, columns=["split", "contender", "task", "ece"])
    found = calibration.differences(results, "ece")
    assert found["MMoE"].to_dict() == dict.fromkeys(
        ("a", "b", "mean"), "+0.0200 ± 0.0000"
    )
    means = calibration.by_task(results, "ece")
    assert means.loc["mean", "MMoE"] == pytest.approx(0.52)
