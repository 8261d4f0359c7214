"""How far the probabilities of each task can be believed: numbers, scorers, picture."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoEMixed
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.inspection import TaskCalibrationDisplay
from sklearn_mmoe.metrics import (
    expected_calibration_error,
    mean_task_scorer,
    multi_task_scorer,
    task_scorer,
)

BY_NAME = "neg_expected_calibration_error"


@pytest.fixture(scope="module")
def drawn():
    """Probabilities of many rows, and labels that follow them."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.1, 0.8, size=100_000)
    return probability, rng.uniform(size=100_000)


@pytest.fixture(scope="module")
def labels(labels_data):
    X, y = labels_data
    letters = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])]
    rich, old = np.where(y.T == 1, "yes", "no")
    return X, pd.DataFrame({"rich": rich, "letter": letters, "old": old})


@pytest.fixture(scope="module")
def model(labels):
    return MultiOutputClassifier(LogisticRegression()).fit(*labels)


@pytest.fixture(scope="module")
def mixed(labels, tiny):
    X, y = labels
    y = y.assign(hours=X[:, 0])[["hours", "rich", "old"]]
    pipeline = make_pipeline(StandardScaler(), MultiTaskMMoEMixed(**tiny))
    return pipeline.fit(X, y), X, y


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibrated_probabilities(drawn, strategy):
    probability, uniform = drawn
    y = uniform < probability
    assert expected_calibration_error(y, probability, strategy=strategy) < 0.01


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("shift", [0.1, -0.05])
def test_shifted_probabilities(drawn, strategy, shift):
    probability, uniform = drawn
    y = uniform < probability + shift
    error = expected_calibration_error(y, probability, strategy=strategy)
    assert error == pytest.approx(abs(shift), abs=0.01)


def test_by_hand():
    y = [0, 0, 1, 1, 1]
    probability = [0.1, 0.2, 0.3, 0.8, 1.0]
    # Two bins: 1/3 against 0.2 in three rows, 1 against 0.9 in two.
    expected = 3 / 5 * (1 / 3 - 0.2) + 2 / 5 * 0.1
    assert expected_calibration_error(y, probability, n_bins=2) == pytest.approx(
        expected
    )
    # One bin has the means of all.
    assert expected_calibration_error(y, probability, n_bins=1) == pytest.approx(
        0.6 - 0.48
    )
    weight = [1, 1, 1, 0, 3]
    expected = 3 / 6 * (1 / 3 - 0.2) + 3 / 6 * 0.0
    assert expected_calibration_error(
        y, probability, n_bins=2, sample_weight=weight
    ) == pytest.approx(expected)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_the_bins_of_scikit_learn(drawn, strategy):
    probability, y = drawn[0][:500], drawn[1][:500] < 0.4
    settings = {"n_bins": 7, "strategy": strategy}
    prob_true, prob_pred = calibration_curve(y, probability, **settings)
    probabilities = np.column_stack([1 - probability, probability])
    display = TaskCalibrationDisplay.from_predictions(y, probabilities, **settings)
    np.testing.assert_allclose(display.bins_["prob_true"], prob_true)
    np.testing.assert_allclose(display.bins_["prob_pred"], prob_pred)
    assert display.bins_["weight"].sum() == 500
    expected = expected_calibration_error(y, probability, **settings)
    assert display.errors_.to_list() == [expected]
    line = display.ax_.lines[1]
    np.testing.assert_allclose(line.get_ydata(), prob_true)
    assert line.get_label() == f"task_0 (ECE {expected:.3f})"


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_weights_are_repetitions(drawn, strategy):
    probability, y = drawn[0][:300], drawn[1][:300] < 0.4
    weight = np.arange(300) % 3
    again = np.repeat(np.arange(300), weight)
    settings = {"n_bins": 6, "strategy": strategy}
    weighted = expected_calibration_error(
        y, probability, sample_weight=weight, **settings
    )
    repeated = expected_calibration_error(
        y[again], probability[again], sample_weight=np.ones(len(again)), **settings
    )
    assert weighted == pytest.approx(repeated)
    assert weighted != pytest.approx(
        expected_calibration_error(y, probability, **settings)
    )


def test_more_than_two_classes():
    y = ["a", "b", "b", "c"]
    probabilities = [[0.6, 0.4, 0.0], [0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.0, 0.0, 1.0]]
    # Predicted with 0.6: a, a, b, of which two are right; with 1: c, right.
    confidence = 3 / 4 * (2 / 3 - 0.6)
    assert expected_calibration_error(y, probabilities) == pytest.approx(confidence)
    of_classes = [
        expected_calibration_error(
            np.array(y) == label, np.array(probabilities)[:, i], n_bins=10
        )
        for i, label in enumerate("abc")
    ]
    assert expected_calibration_error(
        y, probabilities, multi_class="classwise"
    ) == pytest.approx(np.mean(of_classes))


def test_labels_say_what_the_columns_are():
    words, probability = ["no", "yes", "no"], [0.1, 0.8, 0.3]
    expected = expected_calibration_error([0, 1, 0], probability)
    assert expected_calibration_error(words, probability) == expected
    turned = 1 - np.array(probability)
    found = expected_calibration_error(words, turned, labels=["yes", "no"])
    assert found == pytest.approx(expected)
    alone = expected_calibration_error(["no"] * 3, probability, labels=["no", "yes"])
    assert alone == pytest.approx(0.4)
    assert expected_calibration_error([0] * 3, probability) == pytest.approx(0.4)
    assert expected_calibration_error([True] * 3, probability) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([0, 1], [0.5, 1.5]), r"y_prob has values outside of \[0, 1\]"),
        (([0, 1], [0.5, np.nan]), "y_prob contains NaN"),
        (([0.0, np.nan], [0.5, 0.5]), "y_true has missing labels"),
        ((["a", "a"], [0.5, 0.5]), r"2 classes, but y_true has 1: \['a'\].*'labels'"),
        (([0, 1, 2], [0.5, 0.5, 0.1]), "2 classes, but y_true has 3"),
        (([0, 1], [0.5]), "inconsistent numbers of samples"),
    ],
)
def test_bad_predictions(arguments, text):
    with pytest.raises(ValueError, match=text):
        expected_calibration_error(*arguments)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"n_bins": 0}, "'n_bins' parameter"),
        ({"strategy": "equal"}, "'strategy' parameter"),
        ({"multi_class": "ovr"}, "'multi_class' parameter"),
        ({"labels": [1, 2]}, r"labels \[0\], which are not among"),
        ({"sample_weight": [0, 0]}, "(?i)sample.weight"),
        ({"sample_weight": [-1, 2]}, "'sample_weight' parameter"),
    ],
)
def test_bad_parameters(parameters, text):
    with pytest.raises(ValueError, match=text):
        expected_calibration_error([0, 1], [0.5, 0.5], **parameters)


def test_scorers_by_task(model, labels):
    X, y = labels
    scores = multi_task_scorer(BY_NAME)(model, X, y)
    assert list(scores) == ["rich", "letter", "old", "mean"]
    for k, name in enumerate(y):
        probabilities = model.predict_proba(X)[k]
        expected = -expected_calibration_error(y[name], probabilities)
        assert scores[name] == pytest.approx(expected)
        assert task_scorer(BY_NAME, name)(model, X, y) == pytest.approx(expected)
    assert mean_task_scorer(BY_NAME)(model, X, y) == pytest.approx(scores["mean"])
    scorer = pickle.loads(pickle.dumps(multi_task_scorer(BY_NAME)))
    assert scorer(model, X, y) == scores
    assert repr(scorer) == f"MultiTaskScorer({BY_NAME!r})"
    own = make_scorer(
        expected_calibration_error,
        greater_is_better=False,
        response_method="predict_proba",
        n_bins=3,
        strategy="quantile",
    )
    expected = -expected_calibration_error(
        y["old"], model.predict_proba(X)[2][:, 1], n_bins=3, strategy="quantile"
    )
    assert task_scorer(own, "old")(model, X, y) == pytest.approx(expected)


def test_scorers_in_cross_validation(labels):
    X, y = labels
    scores = cross_validate(
        MultiOutputClassifier(LogisticRegression()),
        X,
        y,
        scoring=multi_task_scorer(
            {"rich": BY_NAME, "letter": BY_NAME, "old": "roc_auc"}
        ),
        cv=3,
    )
    assert (scores["test_rich"] < 0).all()
    assert (scores["test_old"] > 0).all()


@pytest.mark.slow
def test_the_name_while_training(labels_data, tiny):
    X, y = labels_data
    watched = TaskScores({"test": (X, y)}, metrics=BY_NAME, verbose=False)
    clf = MultiTaskMMoEClassifier(
        **tiny, early_stopping=True, early_stopping_metric=BY_NAME, callbacks=[watched]
    ).fit(X, y)
    assert len(clf.validation_scores_) == 2
    assert max(clf.validation_scores_) < 0
    of_best = watched.scores_[watched.scores_["epoch"] == clf.best_epoch_]
    probabilities = clf.predict_proba(X)
    np.testing.assert_allclose(
        of_best["expected_calibration_error"],
        [expected_calibration_error(y[:, k], probabilities[k]) for k in range(2)],
    )


def test_scorers_leave_out_what_is_missing_and_weigh(model, labels):
    X, y = labels
    holes = y.astype(object)
    holes.iloc[:60, 0] = None
    weights = pd.DataFrame({"old": 1.0, "letter": 1.0, "rich": np.ones(200)})
    weights.loc[:59, "rich"] = 0
    scorer = multi_task_scorer(BY_NAME)
    left_out = scorer(model, X, holes)
    expected = expected_calibration_error(
        y["rich"][60:], model.predict_proba(X)[0][60:]
    )
    assert left_out["rich"] == pytest.approx(-expected)
    assert scorer(model, X, y, sample_weight=weights) == pytest.approx(left_out)
    assert scorer(model, X, y)["rich"] != pytest.approx(left_out["rich"])


def test_rows_that_lack_a_class_are_defined(model, labels):
    X, y = labels
    rows = np.flatnonzero(y["rich"] == "no")
    error = -task_scorer(BY_NAME, "rich")(model, X[rows], y.iloc[rows])
    probability = model.predict_proba(X[rows])[0][:, 1]
    assert error == pytest.approx(probability.mean())


@pytest.mark.slow
def test_a_regression_has_no_calibration(mixed):
    with pytest.raises(ValueError, match=r"cannot score the task 'hours'.*regression"):
        multi_task_scorer(BY_NAME)(*mixed)


@pytest.mark.slow
def test_display_of_an_estimator(mixed):
    model, X, y = mixed
    holes = y.astype(object)
    holes.iloc[:60, 1] = None
    turned = holes[["old", "hours", "rich"]]
    display = TaskCalibrationDisplay.from_estimator(model, X, turned, n_bins=5)
    assert display.errors_.index.to_list() == ["rich", "old"]
    probabilities = model.predict_proba(X)
    expected = [
        expected_calibration_error(y["rich"][60:], probabilities[0][60:], n_bins=5),
        expected_calibration_error(y["old"], probabilities[1], n_bins=5),
    ]
    np.testing.assert_allclose(display.errors_, expected)
    assert display.bins_.groupby("curve")["weight"].sum().to_dict() == {
        "rich": 140,
        "old": 200,
    }
    of_rows = [step.get_data()[0] for step in display.axes_[1].patches]
    np.testing.assert_allclose([heights.sum() for heights in of_rows], 1)
    weight = np.arange(200.0)
    both = TaskCalibrationDisplay.from_estimator(model, X, turned, sample_weight=weight)
    assert both.errors_["rich"] == pytest.approx(
        expected_calibration_error(
            y["rich"][60:], probabilities[0][60:], sample_weight=weight[60:]
        )
    )
    weights = pd.DataFrame({"old": 1.0, "hours": 1.0, "rich": np.ones(200)})
    weights.loc[:59, "rich"] = 0
    weighted = TaskCalibrationDisplay.from_estimator(
        model, X, y, sample_weight=weights, n_bins=5
    )
    np.testing.assert_allclose(weighted.errors_, expected)


def test_display_of_predictions(model, labels):
    X, y = labels
    display = TaskCalibrationDisplay.from_predictions(y, model.predict_proba(X))
    names = ["rich", "letter: a", "letter: b", "letter: c", "old"]
    assert display.errors_.index.to_list() == names
    classwise = expected_calibration_error(
        y["letter"], model.predict_proba(X)[1], multi_class="classwise"
    )
    assert display.errors_[1:4].mean() == pytest.approx(classwise)
    some = y.assign(old="yes")
    classes = [["no", "yes"], ["a", "b", "c"], ["no", "yes"]]
    with pytest.warns(UndefinedMetricWarning, match=r"rows for \['old'\]") as told:
        display = TaskCalibrationDisplay.from_predictions(
            some, model.predict_proba(X), classes=classes
        )
    assert told[0].filename == __file__
    assert display.errors_.index.to_list() == names[:4]
    weight = (y["rich"] == "no").to_numpy()
    with pytest.warns(UndefinedMetricWarning, match=r"rows for \['rich'\]"):
        TaskCalibrationDisplay.from_predictions(
            y, model.predict_proba(X), sample_weight=weight
        )


def test_axes_of_the_user(model, labels):
    import matplotlib.pyplot as plt

    X, y = labels
    _, axes = plt.subplots(3)
    display = TaskCalibrationDisplay.from_estimator(model, X, y, ax=axes[0])
    assert display.axes_.tolist() == [axes[0]]
    display = TaskCalibrationDisplay.from_estimator(model, X, y, ax=axes[:2])
    assert display.axes_.tolist() == axes[:2].tolist()
    with pytest.raises(ValueError, match="needs 2 axes"):
        display.plot(ax=axes)


def test_what_cannot_be_drawn(labels):
    X, y = labels
    with pytest.raises(TypeError, match=r"predict_proba.*LinearRegression"):
        TaskCalibrationDisplay.from_estimator(LinearRegression().fit(X, X), X, X)
    with pytest.raises(ValueError, match="'strategy' parameter of TaskCal"):
        TaskCalibrationDisplay.from_predictions(y, [], strategy="equal")
    with pytest.raises(ValueError, match="'n_bins' parameter"):
        TaskCalibrationDisplay.from_predictions(y, [], n_bins=0)
