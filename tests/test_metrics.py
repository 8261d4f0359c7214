from __future__ import annotations

import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import (
    f1_score,
    get_scorer,
    log_loss,
    make_scorer,
    mean_absolute_error,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoEMixed
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer, task_scorer


@pytest.fixture(scope="module")
def named(labels_data):
    X, y = labels_data
    return X, pd.DataFrame(y, columns=["income", "college"])


@pytest.fixture(scope="module")
def forest(named):
    return RandomForestClassifier(5, max_depth=2, random_state=0).fit(*named)


@pytest.mark.parametrize("task", [1, -1, "college"])
def test_task_by_index_and_name(forest, named, task):
    X, y = named
    expected = roc_auc_score(y["college"], forest.predict_proba(X)[1][:, 1])
    assert task_scorer("roc_auc", task)(forest, X, y) == expected


@pytest.mark.parametrize(
    ("scoring", "function"),
    [("neg_log_loss", log_loss), ("neg_brier_score", None), ("f1", None)],
)
def test_any_scorer_of_scikit_learn(named, scoring, function):
    """One forest of two outputs against one model of one output."""
    X, y = named
    single = LogisticRegression().fit(X, y["college"])
    both = MultiOutputClassifier(LogisticRegression()).fit(X, y)
    expected = get_scorer(scoring)(single, X, y["college"])
    assert task_scorer(scoring, "college")(both, X, y) == pytest.approx(expected)
    if function is not None:
        probability = single.predict_proba(X)
        assert expected == pytest.approx(-function(y["college"], probability))


def test_a_scorer_object(named, forest):
    X, y = named
    scorer = task_scorer(make_scorer(mean_absolute_error, greater_is_better=False), 0)
    expected = -mean_absolute_error(y["income"], forest.predict(X)[:, 0])
    assert scorer(forest, X, y) == expected


def test_mean_and_all(forest, named):
    X, y = named
    single = [task_scorer("roc_auc", k)(forest, X, y) for k in range(2)]
    scores = multi_task_scorer("roc_auc")(forest, X, y)
    assert scores == {
        "income": single[0],
        "college": single[1],
        "mean": pytest.approx(np.mean(single)),
    }
    assert mean_task_scorer("roc_auc")(forest, X, y) == scores["mean"]


def test_all_tasks_are_scored_from_one_prediction(named):
    X, y = named
    calls = []

    class Counting(DummyClassifier):
        def predict_proba(self, X):
            calls.append(1)
            return super().predict_proba(X)

    multi_task_scorer("roc_auc")(Counting().fit(X, y), X, y)
    assert len(calls) == 1


@pytest.mark.slow
def test_names_from_the_estimator_where_y_has_none(tiny, named):
    X, y = named
    model = make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny)).fit(X, y)
    by_name = task_scorer("roc_auc", "college")
    assert by_name(model, X, y.to_numpy()) == by_name(model, X, y)
    scores = multi_task_scorer("roc_auc")(model, X, y.to_numpy())
    assert list(scores) == ["income", "college", "mean"]


def test_labels_of_different_kinds(labels_data, tiny):
    X, y = labels_data
    y = pd.DataFrame({"sex": np.array(["f", "m"])[y[:, 0]], "age": y[:, 1] * 10})
    model = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    scores = multi_task_scorer("accuracy")(model, X, y)
    expected = (model.predict(X) == y.to_numpy(dtype=object)).mean(axis=0)
    np.testing.assert_allclose([scores["sex"], scores["age"]], expected.astype(float))
    as_array = multi_task_scorer("roc_auc")(model, X, y.to_numpy(dtype=object))
    assert as_array == multi_task_scorer("roc_auc")(model, X, y)


def test_one_task(labels_data):
    X, y = labels_data
    model = LogisticRegression().fit(X, y[:, 0])
    expected = get_scorer("roc_auc")(model, X, y[:, 0])
    assert task_scorer("roc_auc", 0)(model, X, y[:, 0]) == expected
    series = pd.Series(y[:, 0], name="churn")
    assert list(multi_task_scorer("roc_auc")(model, X, series)) == ["churn", "mean"]


def test_sample_weight(forest, named):
    X, y = named
    weight = np.arange(len(y))
    expected = roc_auc_score(
        y["income"], forest.predict_proba(X)[0][:, 1], sample_weight=weight
    )
    score = task_scorer("roc_auc", "income")(forest, X, y, sample_weight=weight)
    assert score == pytest.approx(expected)


def test_regression(values_data):
    X, y = values_data
    model = Ridge().fit(X, y)
    scores = multi_task_scorer("r2")(model, X, y)
    assert scores["mean"] == pytest.approx(model.score(X, y))
    assert task_scorer("neg_mean_absolute_error", 1)(model, X, y) == pytest.approx(
        -mean_absolute_error(y[:, 1], model.predict(X)[:, 1])
    )


@pytest.mark.slow_but_first
@pytest.mark.parametrize("kind", ["callable", "dict"])
def test_multi_metric_search(named, kind):
    X, y = named
    scoring = {
        "callable": multi_task_scorer("roc_auc"),
        "dict": {
            "income": task_scorer("roc_auc", "income"),
            "mean": mean_task_scorer("roc_auc"),
            "college": task_scorer("roc_auc", "college"),
        },
    }[kind]
    search = GridSearchCV(
        RandomForestClassifier(5, random_state=0),
        {"max_depth": [1, 3]},
        scoring=scoring,
        refit="income",
        cv=3,
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    assert {f"mean_test_{name}" for name in ("income", "college", "mean")} <= set(
        search.cv_results_
    )
    assert search.best_score_ == search.cv_results_["mean_test_income"].max()


def test_single_metric_search_and_cross_validate(values_data):
    X, y = values_data
    forest = RandomForestRegressor(5, random_state=0)
    scores = cross_validate(forest, X, y, scoring=mean_task_scorer("r2"), cv=2)
    assert scores["test_score"].shape == (2,)
    search = GridSearchCV(forest, {"max_depth": [1]}, scoring=task_scorer("r2", 1))
    assert np.isfinite(search.fit(X, y).best_score_)


def test_pickle(forest, named):
    for scorer in (
        task_scorer("roc_auc", "income"),
        mean_task_scorer("roc_auc"),
        multi_task_scorer("roc_auc"),
    ):
        again = pickle.loads(pickle.dumps(scorer))
        assert again(forest, *named) == scorer(forest, *named)
        assert repr(again) == repr(scorer)
    assert repr(task_scorer("r2", "a")) == "TaskScorer('r2', task='a')"


def test_unknown_names(forest, named, labels_data):
    X, y = named
    with pytest.raises(ValueError, match="roc_auk"):
        task_scorer("roc_auk", 0)
    with pytest.raises(ValueError, match=r"no task named 'age'.*'income', 'college'"):
        task_scorer("roc_auc", "age")(forest, X, y)
    with pytest.raises(ValueError, match="no task named 'age'; the tasks have no name"):
        task_scorer("roc_auc", "age")(forest, *labels_data)
    with pytest.raises(ValueError, match="no task of index 2; y has 2 tasks"):
        task_scorer("roc_auc", 2)(forest, X, y)


def test_scoring_in_one_thread_waits_for_no_other(labels_data):
    """Threads of a cluster's worker would otherwise wait for each other for ever."""
    both_predict = threading.Barrier(2, timeout=20)

    class Meeting(DummyClassifier):
        def predict_proba(self, X):
            both_predict.wait()
            return super().predict_proba(X)

    X, y = labels_data
    model, scorer = Meeting().fit(X, y), multi_task_scorer("roc_auc")
    with ThreadPoolExecutor(2) as pool:
        scores = list(pool.map(lambda _: scorer(model, X, y), range(2)))
    assert scores[0] == scores[1] == {"task_0": 0.5, "task_1": 0.5, "mean": 0.5}


@pytest.fixture(scope="module")
def fitted_mixed_tasks(tiny):
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = pd.DataFrame({"plan": np.where(X[:, 0] > 0, "a", "b"), "spend": X[:, 1]})
    return MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, y), X, y


class TestAdvice:
    """What is said where a scorer cannot score a task fits that task."""

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls):
        X = np.random.default_rng(0).normal(size=(60, 3))
        y = np.column_stack([np.arange(60) % 3, np.arange(60) % 2]).astype(str)
        return RandomForestClassifier(3, random_state=0).fit(X, y), X, y

    def test_more_than_two_classes(self, fitted):
        with pytest.raises(ValueError, match=r"\('ovo', 'ovr'\)\. .* 'roc_auc_ovr'"):
            task_scorer("roc_auc", 0)(*fitted)

    @pytest.mark.slow
    def test_a_regression_among_classifications(self, fitted_mixed_tasks):
        message = (
            "'spend', which is a regression: a regression has no probabilities. "
            "Give each task a scorer of its own, such as "
            "{'plan': 'neg_log_loss', 'spend': 'r2'}"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            multi_task_scorer("neg_log_loss")(*fitted_mixed_tasks)

    def test_two_classes_in_text(self, fitted):
        message = r"make_scorer\(f1_score, pos_label='1'\)"
        with pytest.raises(ValueError, match=message):
            task_scorer("f1", 1)(*fitted)
        scorer = make_scorer(f1_score, pos_label="1")
        assert 0 < task_scorer(scorer, 1)(*fitted) <= 1
