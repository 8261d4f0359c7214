"""What the benchmark of few labels thins, runs and compares."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def few_labels():
    """Import the benchmark's module, whose folder is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("few_labels")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def case(few_labels):
    """A rare label and a value, both of the first of three columns."""

    def load(seed):
        rng = np.random.default_rng(seed)
        X = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
        y = pd.DataFrame({"label": (X["a"] > 1) * 1, "value": X["a"]})
        return few_labels.make_table(X, y, ["label"])

    return few_labels.Case(load, "label", "RandomForest")


def test_a_share_of_one_task_is_left(few_labels, case):
    table = case.load(0)
    y = few_labels.thinned(table, case, 0.2, seed=1)
    assert y["label"].notna().sum() == 60
    assert y["value"].notna().all()
    rate = table.y["label"].mean()
    assert y["label"].mean() == pytest.approx(rate, abs=0.01)  # stratified
    again = few_labels.thinned(table, case, 0.2, seed=1)
    pd.testing.assert_frame_equal(y, again)
    assert few_labels.thinned(table, case, 1.0, seed=1).notna().all(axis=None)
    fewest = few_labels.thinned(table, case, 0.01, seed=1)
    assert fewest["label"].notna().sum() == few_labels.FEWEST


def test_all_learn_the_same_labels_and_are_tested_on_the_same_rows(
    few_labels, case, monkeypatch
):
    seen = {}

    class Spy:
        def __init__(self, name):
            self.name = name

        def fit(self, X, y, kinds):
            seen[self.name] = (y["label"].dropna().index, X.shape[0], list(kinds))
            self.kinds = kinds
            return self

        def predict(self, X):
            seen[self.name] += (tuple(X.index),)
            half = np.full((len(X), 2), 0.5)
            return [half if kind else np.zeros(len(X)) for kind in self.kinds.values()]

    monkeypatch.setattr(few_labels, "make_model", lambda name, n_jobs, **_: Spy(name))
    for name in (*few_labels.OURS, "RandomForest"):
        row = few_labels.run_one(case, 0.2, 3, name, 1)
        assert row["labels"] == 42  # a fifth of 70 % of 300
        assert row["auc"] == 0.5
    labelled, n_rows, tasks, tested = seen["shared"]
    assert (n_rows, tasks) == (210, ["label", "value"])
    for name in ("alone", "RandomForest"):
        assert seen[name][0].equals(labelled)
        assert seen[name][1:] == (42, ["label"], tested)


def test_differences_are_paired(few_labels):
    rows = [
        ("x", 0.05, split, contender, 10, error, np.nan, 1.0)
        for split, errors in ((0, (0.5, 0.4, 0.6, 0.9)), (1, (0.7, 0.6, 0.9, 0.8)))
        for contender, error in zip(
            (*few_labels.OURS, "RandomForest"), errors, strict=True
        )
    ]
    results = pd.DataFrame(rows, columns=few_labels.COLUMNS)
    table = few_labels.differences(results, "error").iloc[0]
    assert table["shared"] == pytest.approx(0.6)
    assert table["shared - alone"] == "-0.1500 ± 0.0500"
    assert table["shared, uniform - reference"] == "-0.3500 ± 0.1500"
