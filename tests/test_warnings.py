"""Warnings: they point to the line of the user, through all libraries."""

from __future__ import annotations

import joblib
import numpy as np
import pytest
from sklearn.exceptions import InconsistentVersionWarning, UndefinedMetricWarning
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe._sklearn import versions
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold


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
