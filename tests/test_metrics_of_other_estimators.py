"""The scorers on estimators of other kinds, and of other libraries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from sklearn_mmoe.inspection import TaskScoresDisplay
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer, task_scorer


@pytest.fixture(scope="module")
def data():
    """Two tasks that the first two of four columns tell exactly; the second is rare."""
    X = np.random.default_rng(0).normal(size=(200, 4))
    return X, (X[:, :2] > [0, 1]).astype(int)


FOREST = RandomForestClassifier(10, max_depth=3, random_state=0)
ESTIMATORS = {
    "chain": ClassifierChain(LogisticRegression()),
    "one versus rest": OneVsRestClassifier(LogisticRegression()),
    "network": MLPClassifier((8,), solver="lbfgs", max_iter=2000, random_state=0),
    "stacking": StackingClassifier([("forest", FOREST)], KNeighborsClassifier(), cv=2),
    "one each": MultiOutputClassifier(LogisticRegression()),
    "forest": FOREST,
    "tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "neighbours": KNeighborsClassifier(),
    "pipeline": make_pipeline(StandardScaler(), ClassifierChain(LogisticRegression())),
    "search": GridSearchCV(OneVsRestClassifier(LogisticRegression()), {}, cv=2),
    "margins": OneVsRestClassifier(LinearSVC()),
    "ridge": RidgeClassifier(),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_multi_output_classifier(name, data):
    """What separates the tasks has an AUC near 1, in whatever shape it says so."""
    X, y = data
    model = ESTIMATORS[name].fit(X, y)
    assert task_scorer("roc_auc", 0)(model, X, y) > 0.98
    assert task_scorer("roc_auc", 1)(model, X, y) > 0.95
    frame = pd.DataFrame(y, columns=["a", "b"])
    accuracy = multi_task_scorer("accuracy")(model, X, frame)
    expected = (np.asarray(model.predict(X)) == y).mean(axis=0)
    assert [accuracy["a"], accuracy["b"]] == pytest.approx(expected.tolist())
    assert mean_task_scorer("roc_auc")(FrozenEstimator(model), X, y) > 0.95


@pytest.mark.parametrize("name", ["chain", "one versus rest", "network", "stacking"])
def test_columns_of_one_array_are_the_second_class(name, data):
    X, y = data
    model = ESTIMATORS[name].fit(X, y)
    loss = task_scorer("neg_log_loss", 1)(model, X, y)
    assert loss > -0.4  # log(2) is chance
    display = TaskScoresDisplay.from_estimator(model, X, y)
    assert [curve.roc_auc > 0.95 for curve in display.displays_] == [True, True]


def test_labels_of_a_chain(data):
    X, y = data
    y = y * 2 + 5
    model = ClassifierChain(LogisticRegression()).fit(X, y)
    assert task_scorer("roc_auc", 0)(model, X, y) == pytest.approx(
        roc_auc_score(y[:, 0], model.predict_proba(X)[:, 0])
    )


class Untagged:
    """A wrapper that is no estimator of scikit-learn's, such as Optuna's search."""

    def __init__(self, estimator, by):
        setattr(self, by, estimator)
        self._estimator = estimator

    def predict(self, X):
        return self._estimator.predict(X)

    def predict_proba(self, X):
        return self._estimator.predict_proba(X)

    @property
    def classes_(self):
        return self._estimator.classes_


class Tagless(Untagged, BaseEstimator):
    """The same, of scikit-learn's base class, which says that it is no classifier."""


@pytest.mark.parametrize("kind", [Untagged, Tagless])
@pytest.mark.parametrize("by", ["best_estimator_", "estimator"])
@pytest.mark.parametrize("name", ["forest", "chain"])
def test_wrappers_without_tags(kind, by, name, data):
    X, y = data
    model = ESTIMATORS[name].fit(X, y)
    wrapped = kind(model, by)
    for scoring in ("roc_auc", "accuracy"):
        scorer = multi_task_scorer(scoring)
        assert scorer(wrapped, X, y) == scorer(model, X, y)


def test_a_wrapped_regressor_without_tags(data):
    X, _ = data
    model = RandomForestRegressor(5).fit(X, X[:, :2])

    class Search:
        best_estimator_ = model

        def predict(self, X):
            return model.predict(X)

    scorer = multi_task_scorer("r2")
    assert scorer(Search(), X, X[:, :2]) == scorer(model, X, X[:, :2])


class Odd(BaseEstimator):
    """A classifier whose probabilities have any shape."""

    def __init__(self, shape, classes):
        self.shape = shape
        self.classes_ = classes

    def predict(self, X):
        return np.zeros((len(X), 2), dtype=int)

    def predict_proba(self, X):
        if isinstance(self.shape, list):
            return [np.full((len(X), *shape), 0.5) for shape in self.shape]
        return np.full((len(X), *self.shape), 0.5)


@pytest.mark.parametrize(
    ("shape", "classes"),
    [
        ((3,), [np.arange(2)] * 2),
        ((2,), [np.arange(2), np.arange(3)]),
        ((2, 2), [np.arange(2)] * 2),
        ((), [np.arange(2)] * 2),
        ([(2,)], [np.arange(2)] * 2),
        ([(2,), ()], [np.arange(2)] * 2),
    ],
)
def test_probabilities_that_cannot_be_told_apart(shape, classes, data):
    X, y = data
    with pytest.raises(ValueError, match="predict_proba of Odd gives"):
        task_scorer("roc_auc", 1)(Odd(shape, classes), X, y)


def test_an_estimator_of_one_task_is_not_one_of_two(data):
    """Its two columns are the two classes of a task."""
    X, y = data
    model = LogisticRegression().fit(X, y[:, 0])
    for scoring in ("roc_auc", "accuracy"):
        with pytest.raises(ValueError, match="gives 1 columns, but y has 2 tasks"):
            multi_task_scorer(scoring)(model, X, y)
    assert task_scorer("roc_auc", 0)(model, X, y[:, :1]) == get_scorer("roc_auc")(
        model, X, y[:, 0]
    )


def test_one_task_in_a_column(data):
    X, y = data
    for model in (ClassifierChain(LogisticRegression()), FOREST):
        model.fit(X, y[:, :1] if model is not FOREST else y[:, 0])
        assert task_scorer("roc_auc", 0)(model, X, y[:, :1]) > 0.98


def test_a_forest_that_saw_one_class(data):
    X, y = data
    y = y.copy()
    y[:, 1] = 0
    model = ExtraTreesClassifier(5).fit(X, y)
    with pytest.warns(UserWarning, match="task 'task_1'"):
        scores = multi_task_scorer("roc_auc")(model, X, y)
    assert np.isnan(scores["task_1"])
    assert scores["mean"] == scores["task_0"] > 0.9
