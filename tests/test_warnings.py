"""Warnings: they point to the line of the user, through all libraries."""

from __future__ import annotations

import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import InconsistentVersionWarning, UndefinedMetricWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe._sklearn import versions
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold
from sklearn_mmoe.preprocessing import make_tabular_preprocessor


@pytest.fixture
def rare(labels_data):
    """Two tasks, the second of which has one row of its class 1."""
    X, y = labels_data
    y = y.copy()
    y[:, 1] = np.arange(len(y)) == 0
    return X, y


def only_here(warned):
    assert warned
    assert {warning.filename for warning in warned} == {__file__}


def test_of_a_fit(rare, tiny):
    X, y = rare
    clf = make_pipeline(MultiTaskMMoEClassifier(**tiny))
    with pytest.warns(UserWarning, match="only one class in the tasks") as warned:
        clf.fit(X[1:], y[1:])
    only_here(warned)


def test_of_a_callback_that_keras_calls(rare, tiny):
    X, y = rare
    scores = TaskScores({"some": (X[1:], y[1:])}, "roc_auc")
    clf = MultiTaskMMoEClassifier(callbacks=[scores], **tiny)
    with pytest.warns(UndefinedMetricWarning, match="has NaN") as warned:
        clf.fit(X, y)
    only_here(warned)


def test_of_an_undefined_score(rare, fitted_classifier):
    X, y = rare
    with pytest.warns(UndefinedMetricWarning, match="'task_1'") as warned:
        mean_task_scorer("roc_auc")(fitted_classifier, X[1:], y[1:])
    only_here(warned)


def test_of_a_scorer_that_warns(rare, fitted_classifier):
    X, y = rare
    with pytest.warns(UserWarning, match="y_pred") as warned:
        mean_task_scorer("balanced_accuracy")(fitted_classifier, X[1:], y[1:])
    only_here(warned)


def test_of_a_splitter(rare):
    X, y = rare
    cv = MultiTaskStratifiedKFold(2)
    with pytest.warns(UserWarning, match="fewer than n_splits") as warned:
        next(cv.split(X, y))
    only_here(warned)


def test_of_a_pickle(fitted_classifier, tmp_path, monkeypatch):
    joblib.dump(fitted_classifier, tmp_path / "clf.joblib")
    monkeypatch.setattr(versions, "__version__", "99.0")
    with pytest.warns(InconsistentVersionWarning) as warned:
        joblib.load(tmp_path / "clf.joblib")
    only_here(warned)


@pytest.fixture(scope="module")
def odd_table():
    """An identifier, slips of the pen in most folds, dates and amounts of any kind."""
    rng = np.random.default_rng(0)
    amount = pd.Series(rng.normal(size=120).round(2).astype(str))
    amount[[5, 50, 90]] = ["broken", "lost", "none at all"]
    days = rng.integers(1, 13, size=(120, 2))
    X = pd.DataFrame(
        {
            "key": [f"c-{i:05d}" for i in range(120)],
            "amount": amount,
            "day": [f"{a:02d}/{b:02d}/2024" for a, b in days],
            "price": [f"{'$€'[i % 2]}{v:.2f}" for i, v in enumerate(rng.random(120))],
            "size": rng.normal(size=120),
        }
    )
    return X, X["size"] * 2


@pytest.fixture
def python_filters():
    """Record what a user sees, by the filters that Python starts with."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        yield warned


class TestOnce:
    """scikit-learn enters catch_warnings at each fit: Python forgets what it showed."""

    columns = ("'amount'", "'day'", "'key'", "'price'")

    def seen(self, warned):
        texts = [str(warning.message) for warning in warned]
        counts = {c: sum(c in text for text in texts) for c in self.columns}
        assert sum(counts.values()) == len(texts)
        warned.clear()
        return [*counts.values()]

    @pytest.mark.slow
    def test_in_a_cross_validation_and_a_search(self, odd_table, python_filters):
        X, y = odd_table
        pipeline = make_pipeline(make_tabular_preprocessor(), Ridge())
        cross_val_score(pipeline, X, y, cv=KFold(4))
        assert self.seen(python_filters) == [1, 1, 1, 1]
        grid = {"ridge__alpha": [1, 2]}
        search = GridSearchCV(pipeline, grid, cv=KFold(3))
        search.fit(X, y)  # another line, and so told again
        assert self.seen(python_filters) == [1, 1, 1, 1]

    def test_in_a_loop_over_the_same_line(self, odd_table, python_filters):
        X, _ = odd_table
        for n_rows in (120, 110, 100):
            make_tabular_preprocessor().fit(X[:n_rows])
        assert self.seen(python_filters) == [1, 1, 1, 1]

    def test_another_table_at_the_same_line_is_told_of(self, python_filters):
        for odd in (["lost"], ["lost", "broken"], ["gone"]):
            amounts = pd.DataFrame({"amount": [*map(str, range(60)), *odd]})
            make_tabular_preprocessor().fit(amounts)
        texts = [str(warning.message) for warning in python_filters]
        assert len(texts) == 2
        assert "'gone'" in texts[1]

    def test_another_finding_is_told(self, odd_table, python_filters):
        X, _ = odd_table
        for other in (X, X.rename(columns={"key": "number"})):
            make_tabular_preprocessor().fit(other[["key" if other is X else "number"]])
        texts = [str(warning.message) for warning in python_filters]
        assert len(texts) == 2
        assert "'number'" in texts[1]

    @pytest.mark.slow
    @pytest.mark.parametrize("action", ["always", "error", "ignore"])
    def test_filters_of_the_user_count(self, odd_table, python_filters, action):
        X, y = odd_table
        pipeline = make_pipeline(make_tabular_preprocessor(), Ridge())
        actions = ["default", action]
        for one in actions:
            warnings.simplefilter(one)
            python_filters.clear()
            try:
                cross_val_score(pipeline, X, y, cv=KFold(4), error_score="raise")
            except UserWarning:
                assert one == "error"
        # Four columns in four fits, and slips that fit has not seen in three folds.
        expected = {"always": 19, "error": 0, "ignore": 0}[action]
        assert len(python_filters) == expected

    @pytest.mark.slow
    def test_a_cell_that_runs_again_tells_again(self, odd_table, python_filters):
        """IPython deletes the registry before it runs a cell."""
        variables = {
            "X": odd_table[0],
            "make": make_tabular_preprocessor,
            "__name__": "cell",
        }
        cell = compile("for _ in range(3):\n make().fit(X)", "<cell>", "exec")
        for _ in range(2):
            exec(cell, variables)
            assert self.seen(python_filters) == [1, 1, 1, 1]
            del variables["__warningregistry__"]

    def test_of_a_splitter_whose_counts_vary(self, rare, python_filters):
        X, y = rare
        y[1:4, 1] = 1
        for n_rare in (4, 3, 2):
            next(MultiTaskStratifiedKFold(5).split(X[4 - n_rare :], y[4 - n_rare :]))
        (warning,) = python_filters
        assert "has only 4 rows" in str(warning.message)
