"""Classifications and regressions in one estimator."""

from __future__ import annotations

import ast
import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEMixed
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.metrics import multi_task_scorer, task_scorer


@pytest.fixture(scope="module")
def data(values_data):
    X, y = values_data
    frame = pd.DataFrame(
        {
            "hours": y[:, 0] * 10 + 40,
            "rich": np.where(y[:, 1] > 0.0, "yes", "no"),
            "size": np.digitize(y[:, 1], [-0.15, 0.15]),
        }
    )
    return X, frame


@pytest.fixture(scope="module")
def fitted(data, tiny):
    return MultiTaskMMoEMixed(**tiny).fit(*data)


@pytest.mark.slow
def test_types_are_inferred(fitted):
    assert fitted.task_types_ == ["regression", "classification", "classification"]
    assert fitted.task_names_ == ["hours", "rich", "size"]
    assert fitted.classes_[0] is None
    assert [c.tolist() for c in fitted.classes_[1:]] == [["no", "yes"], [0, 1, 2]]
    assert fitted.n_classes_ == [None, 2, 3]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([0.5, 1.5]), "regression"),
        (np.array([0.0, 1.0, np.nan]), "classification"),
        (np.arange(20), "classification"),
        (np.arange(21), "regression"),
        (np.array(["1.5", "2.5"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.array([1.5, None], dtype=object), "regression"),
        (np.array([1, "a"], dtype=object), "classification"),
    ],
)
def test_inference_rules(column, expected):
    from sklearn_mmoe._tasks.columns import split_columns
    from sklearn_mmoe._tasks.tasks import infer_task_type

    assert infer_task_type(split_columns(column), 0) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "task_types",
    [{"size": "regression"}, ["regression", "classification", "regression"]],
)
def test_types_may_be_given(data, tiny, task_types):
    model = MultiTaskMMoEMixed(**tiny, task_types=task_types).fit(*data)
    assert model.task_types_ == ["regression", "classification", "regression"]
    assert model.predict(data[0])["size"].dtype == np.float64


@pytest.mark.slow
def test_a_warm_start_keeps_the_types(fitted, data):
    X, y = data
    model = copy.deepcopy(fitted).set_params(warm_start=True)
    kept = ["regression", "classification", "classification"]
    model.set_params(task_types=kept).fit(X, y)
    for fit in (model.fit, model.partial_fit):
        model.set_params(task_types={"size": "regression"})
        with pytest.raises(
            ValueError, match=r"'size' is a classification, but 'task_t"
        ):
            fit(X, y)
    assert model.task_types_ == kept
    # A list is in the order of y's columns.
    model.set_params(task_types=["classification", "regression", "classification"])
    model.fit(X, y[["rich", "hours", "size"]])
    model.set_params(task_types={"size": "regression"})
    model.set_params(warm_start=False).fit(X, y)
    assert model.task_types_ == ["regression", "classification", "regression"]


@pytest.mark.parametrize(
    ("task_types", "message"),
    [
        (["regression"], "has 1 types, but y has 3 tasks"),
        ({"age": "regression"}, "names .'age'., but .*'hours', 'rich', 'size'"),
        (
            {"size": "ranking"},
            r"'regression'\) for .* got 'ranking' for the task 'size'",
        ),
        ({"rich": "regression"}, "task 'rich' is a regression, but its targets"),
    ],
)
def test_bad_types(data, task_types, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskMMoEMixed(task_types=task_types).fit(*data)


@pytest.mark.slow
def test_doubtful_classifications_are_told_once(data, tiny):
    X, y = data
    n_samples = len(y)
    y = y.assign(
        visits=np.minimum(np.arange(n_samples) % 40, 13.0),
        level=np.arange(n_samples) % 11,
        digit=np.arange(n_samples) % 10,
        price=[f"{i % 12}.5" for i in range(n_samples)],
        who=[f"n{i}" for i in range(n_samples)],
    )
    asked = ["visits", "price", "who"]
    message = r"classifications: \['visits', 'price', 'who'\].*'visits': 'regr"
    tiny = {**tiny, "max_iter": 1}
    with pytest.warns(UserWarning, match=message) as warned:
        MultiTaskMMoEMixed(**tiny).fit(X, y)
    assert len(warned) == 1
    # Whoever says that they are classes hears nothing.
    types = dict.fromkeys(asked, "classification")
    MultiTaskMMoEMixed(**tiny, task_types=types).fit(X, y)


ROWS = range(200)


@pytest.mark.slow
def test_text_that_is_no_class_is_told(data, tiny):
    X, _ = data
    y = pd.DataFrame(
        {
            "euros": [f"€{i % 90 + 10}" for i in ROWS],
            "share": [f"{i % 15} %" for i in ROWS],
            "comma": [f"{i % 40 + 1},5" for i in ROWS],
            "thousands": [f"{i % 30 + 1},284" for i in ROWS],
            "slip": ["ask us" if i == 7 else f"EUR {i % 30 + 1}" for i in ROWS],
            "unknown": [f"${i % 30}" if i % 30 else "n/a" for i in ROWS],
            "day": [f"0{i % 9 + 1}.01.2020" for i in ROWS],
            "day of two": [f"2020-01-1{i % 2}" for i in ROWS],
            "time": [f"{i % 12 + 1}:30" for i in ROWS],
            # Hardly any of these can be learned.
            "name": [f"n{min(i, 80)}" for i in ROWS],
        }
    )
    tiny = {**tiny, "max_iter": 1}
    with pytest.warns(UserWarning, match="taken for classifications") as warned:
        MultiTaskMMoEMixed(**tiny).fit(X, y)
    (message,) = (str(one.message) for one in warned)
    assert f"classifications: {list(y)}. If" in message
    assert "'0 %' in 'share'" in message
    types = dict.fromkeys(y, "classification")
    MultiTaskMMoEMixed(**tiny, task_types=types).fit(X, y)


@pytest.mark.slow
def test_classes_in_text_are_no_news(data, tiny):
    X, _ = data
    y = pd.DataFrame(
        {
            "species": [f"species {i % 60}" for i in ROWS],
            "post code": [f"0{i % 30}100" for i in ROWS],
            "month": [f"{i % 12 + 1}" for i in ROWS],
            "price of four": [f"€{i % 4}0" for i in ROWS],
            "room": [f"A{i % 40}" for i in ROWS],
        }
    )
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, y)
    assert model.task_types_ == ["classification"] * 5


def test_a_task_without_a_target_is_no_doubtful_one(data, tiny):
    X, y = data
    y = y.assign(rich=None)
    with pytest.raises(ValueError, match="'rich'"):  # and no warning before
        MultiTaskMMoEMixed(**tiny).fit(X, y)


@pytest.mark.slow
def test_a_category_dtype_says_that_it_is_a_classification(data, tiny):
    X, y = data
    numbers = np.arange(len(y)) % 30
    y = pd.DataFrame(
        {
            "visits": pd.Categorical(np.minimum(2 * numbers, 25)),
            "zone": pd.Categorical(numbers),
            "who": pd.Categorical([f"n{i}" for i in range(len(y))]),
            "half": pd.Categorical(numbers / 2),
        }
    )
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, y)
    # Numbers with fractions cannot be classes.
    assert model.task_types_ == ["classification"] * 3 + ["regression"]


@pytest.mark.parametrize(
    "class_weight", [{"hours": "balanced"}, {"size": {1: 3}}, [None, None, {1: 3}]]
)
def test_a_regression_has_no_class_weights(data, tiny, class_weight):
    types = {"hours": "regression", "size": "regression"}
    model = MultiTaskMMoEMixed(**tiny, task_types=types, class_weight=class_weight)
    with pytest.raises(ValueError, match=r"'(hours|size)', which is a regression"):
        model.fit(*data)


def test_class_weights_for_all_leave_regressions_alone(data, tiny):
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}, class_weight="balanced")
    assert model.fit(*data).task_types_[0] == "regression"


@pytest.mark.slow
@pytest.mark.parametrize("loss", [{}, {"rare": "focal"}])
@pytest.mark.parametrize("class_weight", ["balanced", {"yes": 9}])
def test_class_weights_are_those_of_their_rows(tiny, class_weight, loss):
    """What they make of a task's loss does not make it outweigh the others."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    rare = np.arange(200) < 10
    y = pd.DataFrame({"rare": np.where(rare, "yes", "no"), "number": X[:, 0]})
    yes, no = (200 / 20, 200 / 380) if class_weight == "balanced" else (9, 1)
    by_rows = np.ones((200, 2))
    by_rows[:, 0] = np.where(rare, yes, no)
    parameters = {**tiny, "loss": loss}
    by_class = MultiTaskMMoEMixed(**parameters, class_weight={"rare": class_weight})
    by_class.fit(X, y)
    expected = MultiTaskMMoEMixed(**parameters).fit(X, y, sample_weight=by_rows)
    for name, curve in expected.task_loss_curves_.items():
        found = by_class.task_loss_curves_[name]
        np.testing.assert_allclose(found, curve, rtol=1e-4)
        # Predictors of no more than the shares of weighed rows cost about one.
        assert 0.3 < curve[0] < 3


def test_a_loss_of_regressions_says_how_to_make_one(data):
    model = MultiTaskMMoEMixed(loss={"size": "poisson"})
    with pytest.raises(ValueError, match=r"types=.'size': 'regression'."):
        model.fit(*data)


def test_each_task_keeps_its_dtype(fitted, data):
    X, y = data
    predicted = fitted.predict(X)
    assert isinstance(predicted, pd.DataFrame)
    assert list(predicted) == list(y)
    assert predicted["hours"].dtype == np.float64
    assert predicted["size"].dtype == y["size"].dtype
    assert set(predicted["rich"]) <= {"yes", "no"}
    as_array = MultiTaskMMoEMixed(**fitted.get_params()).fit(X, y.to_numpy(object))
    assert isinstance(as_array.predict(X), np.ndarray)
    assert as_array.task_types_ == fitted.task_types_


def test_probabilities_of_the_classifications(fitted, data):
    probabilities = fitted.predict_proba(data[0])
    assert [p.shape for p in probabilities] == [(200, 2), (200, 3)]
    for probability in probabilities:
        np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_score_is_the_mean_over_tasks(fitted, data):
    X, y = data
    predicted = fitted.predict(X)
    for weight in (None, np.arange(200)):
        scores = [
            r2_score(y["hours"], predicted["hours"], sample_weight=weight),
            accuracy_score(y["rich"], predicted["rich"], sample_weight=weight),
            accuracy_score(y["size"], predicted["size"], sample_weight=weight),
        ]
        score = fitted.score(X, y, sample_weight=weight)
        assert score == pytest.approx(np.mean(scores))


@pytest.mark.slow
def test_losses_are_of_one_scale(data, tiny):
    """The loss of predicting each task's mean or shares of classes would be 1."""
    X, y = data
    y = y.assign(rich=np.where(np.arange(len(y)) < 20, "yes", "no"))  # uneven
    parameters = {**tiny, "max_iter": 1, "learning_rate": 1e-8, "dropout": 0.0}
    # Without anything in X an untrained network predicts the mean, or even shares.
    model = MultiTaskMMoEMixed(**parameters).fit(np.zeros_like(X), y)
    shares = [y[name].value_counts(normalize=True) for name in ("rich", "size")]
    expected = [1.0, *(np.log(len(share)) / entropy(share) for share in shares)]
    losses = [curve[0] for curve in model.task_loss_curves_.values()]
    assert losses == pytest.approx(expected, rel=1e-5)
    scaled = y.assign(hours=y["hours"] * 1e6)
    assert MultiTaskMMoEMixed(**parameters).fit(X, scaled).loss_ == pytest.approx(
        MultiTaskMMoEMixed(**parameters).fit(X, y).loss_, rel=1e-5
    )


def test_scorers_by_task(fitted, data):
    X, y = data
    expected = roc_auc_score(y["rich"] == "yes", fitted.predict_proba(X)[0][:, 1])
    assert task_scorer("roc_auc", "rich")(fitted, X, y) == pytest.approx(expected)
    scorer = multi_task_scorer(
        {"hours": "r2", "rich": "roc_auc", "size": "roc_auc_ovr"}
    )
    scores = scorer(fitted, X, y)
    assert scores["hours"] == pytest.approx(
        r2_score(y["hours"], fitted.predict(X).hours)
    )
    assert scores["rich"] == pytest.approx(expected)
    assert list(scores) == ["hours", "rich", "size", "mean"]
    message = "no scorer for the tasks 'rich', 'size', only for .'hours'.. Every task"
    with pytest.raises(ValueError, match=message):
        multi_task_scorer({"hours": "r2"})(fitted, X, y)


@pytest.mark.parametrize("scoring", ["roc_auc", "r2", "f1", "neg_log_loss"])
def test_the_scorers_that_are_advised_can_be_taken(fitted, data, scoring):
    X, y = data
    with pytest.raises(ValueError, match=r"scorer of its own, such as \{") as told:
        multi_task_scorer(scoring)(fitted, X, y)
    advised = ast.literal_eval(re.search("{.*}", str(told.value))[0])
    # What was asked for stays where it fits.
    fits = {"roc_auc": "rich", "r2": "hours", "neg_log_loss": "rich"}
    if scoring in fits:
        assert advised[fits[scoring]] == scoring
    scores = multi_task_scorer(advised)(fitted, X, y)
    assert np.isfinite([*scores.values()]).all()


def test_a_score_of_regressions_is_told_from_one_of_classes(fitted, data):
    message = "'rich', .* classification: 'r2' is for regressions. Take 'roc_auc' or"
    with pytest.raises(ValueError, match=message) as told:
        task_scorer("r2", "rich")(fitted, *data)
    assert "f1_macro" not in str(told.value)


@pytest.mark.slow
def test_in_a_search(data, tiny):
    X, y = data
    model = make_pipeline(StandardScaler(), MultiTaskMMoEMixed(**tiny))
    search = GridSearchCV(
        model,
        {"multitaskmmoemixed__num_experts": [1, 2]},
        scoring=multi_task_scorer(
            {"hours": "r2", "rich": "roc_auc", "size": "roc_auc_ovr"}
        ),
        refit="rich",
        cv=2,
        error_score="raise",
    ).fit(X, y)
    found = search.cv_results_["mean_test_rich"]
    assert search.best_index_ == np.argmax(found)
    by_hand = []
    for train, test in KFold(2).split(X):
        again = clone(model).set_params(multitaskmmoemixed__num_experts=2)
        rich = again.fit(X[train], y.iloc[train]).predict_proba(X[test])[0][:, 1]
        by_hand.append(roc_auc_score(y["rich"].iloc[test] == "yes", rich))
    assert found[1] == pytest.approx(np.mean(by_hand))
    best = roc_auc_score(y["rich"] == "yes", search.predict_proba(X)[0][:, 1])
    assert task_scorer("roc_auc", "rich")(search, X, y) == pytest.approx(best)


@pytest.mark.slow
def test_missing_targets_and_scores(data, tiny):
    X, y = data
    y = y.astype(object)
    y.iloc[::3, 0] = None
    y.iloc[1::3, 1] = None
    scores = TaskScores({"train": (X, y)}, verbose=False)
    model = MultiTaskMMoEMixed(**tiny, callbacks=scores, early_stopping=True).fit(X, y)
    assert model.task_types_ == ["regression", "classification", "classification"]
    columns = ["mean_absolute_error", "r2", "roc_auc", "roc_auc_ovr"]
    assert list(scores.scores_.columns[3:]) == columns
    assert scores.scores_[columns].notna().sum().tolist() == [2, 2, 2, 2]
    assert np.isfinite(model.score(X, y))


@pytest.mark.slow
def test_copies_and_partial_fit(fitted, data, tiny):
    X, y = data
    for again in (
        clone(fitted).fit(X, y),
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
    ):
        pd.testing.assert_frame_equal(again.predict(X), fitted.predict(X))
    model = MultiTaskMMoEMixed(**tiny).partial_fit(X, y).partial_fit(X, y)
    assert model.n_iter_ == 2


@pytest.mark.slow_but_first
@pytest.mark.parametrize("task_type", ["regression", "classification"])
def test_one_task(data, tiny, task_type):
    X, y = data
    column = y["hours"] if task_type == "regression" else y["rich"]
    model = MultiTaskMMoEMixed(**tiny).fit(X, column)
    assert model.task_types_ == [task_type]
    assert model.predict(X).shape == (200,)


@pytest.mark.slow
def test_one_classification_alone_has_one_array_of_probabilities(labels_data, tiny):
    """As scikit-learn's checks, and its classifiers, have it."""
    X, y = labels_data
    model = MultiTaskMMoEMixed(**tiny).fit(X, y[:, 0])
    assert model.predict_proba(X).shape == (200, 2)
    mixed = MultiTaskMMoEMixed(**tiny).fit(X, np.column_stack([y[:, 0], X[:, 0]]))
    assert [proba.shape for proba in mixed.predict_proba(X)] == [(200, 2)]


class TestClassesOfPartialFit:
    CLASSES = [None, ["no", "yes"], [0, 1, 2, 7]]

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "classes", [CLASSES, {"rich": ["yes", "no"], "size": [7, 2, 1, 0]}]
    )
    def test_they_are_announced(self, data, tiny, classes):
        X, y = data
        model = MultiTaskMMoEMixed(**tiny)
        first = y["rich"] == "no"
        model.partial_fit(X[first], y[first], classes=classes)
        assert model.task_types_ == ["regression", "classification", "classification"]
        assert [p.shape[1] for p in model.predict_proba(X)] == [2, 4]
        model.partial_fit(X, y.assign(size=7), classes=self.CLASSES)
        with pytest.raises(ValueError, match="not those of the first call"):
            model.partial_fit(X, y, classes=[None, ["no", "yes"], [0, 1, 2]])
        with pytest.raises(ValueError, match=r"labels \[8\] that are not among"):
            model.partial_fit(X, y.assign(size=8))

    def test_weights_come_after_them(self, data, tiny):
        X, y = data
        weight = np.arange(len(y)) % 2
        fits = [
            MultiTaskMMoEMixed(**tiny).partial_fit(X, y, *arguments, **keywords)
            for arguments, keywords in [
                ((self.CLASSES, weight), {}),
                ((self.CLASSES,), {"sample_weight": weight}),
            ]
        ]
        assert fits[0].loss_ == fits[1].loss_

    @pytest.mark.parametrize(
        ("classes", "message"),
        [
            ([["no", "yes"]], "at least two classes for each of the 3 tasks"),
            ([None, ["no"], [0, 1]], "at least two classes for each of the 3 tasks"),
            ({"poor": ["no", "yes"]}, r"'classes' parameter names \['poor'\]"),
            ([None, None, [0, 1, 2]], "make the task 'rich' a regression, but"),
        ],
    )
    def test_bad(self, data, classes, message):
        model = MultiTaskMMoEMixed(task_types={"rich": "classification"})
        with pytest.raises(ValueError, match=message):
            model.partial_fit(*data, classes=classes)
