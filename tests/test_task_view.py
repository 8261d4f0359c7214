"""One task of a fitted estimator, where scikit-learn takes one output."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    permutation_importance,
)
from sklearn.metrics import RocCurveDisplay, accuracy_score, r2_score
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sklearn_mmoe import MultiTaskMMoEMixed


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(80, 2))
    y = pd.DataFrame(
        {
            "hours": X[:, 0] * 10 + 40,
            "rich": np.where(X[:, 1] > 0, "yes", "no"),
            "size": np.digitize(X[:, 1], [-0.5, 0.5]),
        }
    )
    return pd.DataFrame(X, columns=["a", "b"]), y


@pytest.fixture(scope="module")
def model(data, tiny):
    return MultiTaskMMoEMixed(**tiny, learning_rate=0.1).fit(*data)


def test_a_classification(model, data):
    X, y = data
    view = model.task("rich")
    assert is_classifier(view)
    assert view.classes_.tolist() == ["no", "yes"]
    np.testing.assert_array_equal(view.predict(X), model.predict(X)["rich"])
    np.testing.assert_array_equal(view.predict_proba(X), model.predict_proba(X)[0])
    np.testing.assert_allclose(
        view.predict_log_proba(X), np.log(view.predict_proba(X)), rtol=1e-12
    )
    assert view.score(X, y["rich"]) == accuracy_score(y["rich"], view.predict(X))
    assert model.task("size").predict_proba(X).shape == (80, 3)
    assert view.n_features_in_ == 2
    assert view.feature_names_in_.tolist() == ["a", "b"]
    assert get_tags(view).input_tags.sparse
    again = pickle.loads(pickle.dumps(view))
    np.testing.assert_array_equal(again.predict(X), view.predict(X))
    assert "task='rich'" in repr(view)


def test_a_regression(model, data):
    X, y = data
    view = model.task(0)
    assert is_regressor(view)
    assert not hasattr(view, "predict_proba")
    assert view.predict(X).dtype == np.float64
    assert view.score(X, y["hours"]) == r2_score(y["hours"], view.predict(X))


def test_calibration_and_thresholds(model, data):
    X, y = data
    view = FrozenEstimator(model.task("rich"))
    calibrated = CalibratedClassifierCV(view, cv=2).fit(X, y["rich"])
    assert calibrated.predict_proba(X).shape == (80, 2)
    fixed = FixedThresholdClassifier(view, threshold=0.999, pos_label="yes")
    assert set(fixed.fit(X, y["rich"]).predict(X)) == {"no"}
    tuned = TunedThresholdClassifierCV(view, cv="prefit", refit=False)
    tuned.set_params(scoring="balanced_accuracy").fit(X, y["rich"])
    assert 0 <= tuned.best_threshold_ <= 1


def test_displays_and_importances(model, data):
    X, y = data
    for task in ("hours", "rich"):
        PartialDependenceDisplay.from_estimator(
            model.task(task), X, ["a", ("a", "b")], grid_resolution=3
        )
    DecisionBoundaryDisplay.from_estimator(model.task("rich"), X, grid_resolution=5)
    RocCurveDisplay.from_estimator(model.task("rich"), X, y["rich"], pos_label="yes")
    importances = permutation_importance(
        model.task("hours"), X, y["hours"], n_repeats=2
    )
    assert importances.importances_mean.shape == (2,)


def test_behind_a_preprocessor(data, tiny):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), MultiTaskMMoEMixed(**tiny)).fit(X, y)
    view = make_pipeline(pipeline[:-1], pipeline[-1].task("rich"))
    np.testing.assert_array_equal(view.predict(X), pipeline.predict(X)["rich"])
    assert view.classes_.tolist() == ["no", "yes"]


def test_what_it_cannot(model, data):
    X, y = data
    with pytest.raises(ValueError, match=r"no task named 'age'.*'hours', 'rich'"):
        model.task("age")
    with pytest.raises(NotFittedError):
        MultiTaskMMoEMixed().task("rich")
    with pytest.raises(
        TypeError,
        match=r"'rich' is one of those that MultiTaskMMoEMixed learns.*FrozenEstimator",
    ):
        model.task("rich").fit(X, y["rich"])
    with pytest.raises(TypeError, match="FrozenEstimator"):
        CalibratedClassifierCV(model.task("rich")).fit(X, y["rich"])
    with pytest.raises(NotFittedError):
        clone(model.task("rich")).predict(X)
