"""scikit-learn's meta-estimators: each line of the table in the guide on targets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import (
    RFE,
    RFECV,
    SelectFromModel,
    SequentialFeatureSelector,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import (
    MultiOutputClassifier,
    MultiOutputRegressor,
    RegressorChain,
)
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold

pytestmark = [
    pytest.mark.slow,  # they guard words, not code
    pytest.mark.filterwarnings("ignore:y contains no unlabeled samples"),
]

FOLDS = MultiTaskStratifiedKFold(2)

OF_ONE_CLASSIFICATION = {
    "calibrated": lambda clf: CalibratedClassifierCV(clf, cv=2),
    "tuned threshold": lambda clf: TunedThresholdClassifierCV(clf, cv=2),
    "fixed threshold": lambda clf: FixedThresholdClassifier(clf, threshold=0.4),
    "voting": lambda clf: VotingClassifier([("a", clf)], voting="soft"),
    "stacking": lambda clf: StackingClassifier(
        [("a", clf)], LogisticRegression(), cv=2
    ),
    "bagging": lambda clf: BaggingClassifier(clf, n_estimators=2),
    "AdaBoost": lambda clf: AdaBoostClassifier(clf, n_estimators=2),
    "self-training": SelfTrainingClassifier,
}
OF_ONE_REGRESSION = {
    "voting": lambda reg: VotingRegressor([("a", reg)]),
    "stacking": lambda reg: StackingRegressor([("a", reg)], Ridge(), cv=2),
}
OF_REGRESSIONS = {
    "bagging": lambda reg: BaggingRegressor(reg, n_estimators=2),
    "one each": MultiOutputRegressor,
    "chain": RegressorChain,
    "transformed": lambda reg: TransformedTargetRegressor(
        reg, transformer=StandardScaler()
    ),
}
BY_IMPORTANCES = {
    "RFE": RFE,
    "RFECV": lambda clf: RFECV(clf, cv=FOLDS),
    "select": SelectFromModel,
}


def wrapped(options, label=""):
    return [pytest.param(make, id=f"{label}{name}") for name, make in options.items()]


@pytest.fixture(scope="module")
def clf(tiny):
    return MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}, cv=None)


@pytest.fixture(scope="module")
def reg(tiny):
    return MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}, cv=None)


@pytest.fixture(scope="module")
def labels(labels_data):
    X, y = labels_data
    names = pd.DataFrame(np.array(["no", "yes"])[y.astype(int)], columns=["a", "b"])
    return X, names


@pytest.mark.parametrize("make", wrapped(OF_ONE_CLASSIFICATION))
def test_of_one_classification(make, clf, labels):
    """One task at a time, and so one network for each in MultiOutputClassifier."""
    X, y = labels
    zeros_and_ones = (y == "yes").astype(int)
    assert set(make(clf).fit(X, zeros_and_ones["a"]).predict(X)) <= {0, 1}
    with pytest.raises((ValueError, NotImplementedError)):
        make(clf).fit(X, zeros_and_ones)
    with pytest.raises((ValueError, TypeError, NotImplementedError)):
        make(clf).fit(X, y.assign(a=zeros_and_ones["a"]))
    for_each = MultiOutputClassifier(make(clf)).fit(X, zeros_and_ones)
    assert for_each.predict(X).shape == y.shape


@pytest.mark.parametrize("make", wrapped(OF_ONE_REGRESSION))
def test_of_one_regression(make, reg, values_data):
    X, y = values_data
    assert make(reg).fit(X, y[:, 0]).predict(X).shape == (200,)
    with pytest.raises(ValueError, match="1d array"):
        make(reg).fit(X, y)
    assert MultiOutputRegressor(make(reg)).fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize("make", wrapped(OF_REGRESSIONS))
def test_of_several_regressions(make, reg, values_data):
    X, y = values_data
    assert make(reg).fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize("name", ["calibrated", "tuned threshold", "fixed threshold"])
def test_one_task_of_a_fitted_estimator(name, clf, labels):
    X, y = labels
    y = (y == "yes").astype(int)
    fitted, make = clone(clf).fit(X, y), OF_ONE_CLASSIFICATION[name]
    of_task = make(FrozenEstimator(fitted.task("b"))).fit(X, y["b"])
    assert of_task.predict(X).shape == (200,)
    error = IndexError if name == "calibrated" else (ValueError, TypeError)
    with pytest.raises(error):
        make(FrozenEstimator(fitted)).fit(X, y["b"]).predict(X)


def test_selection_of_features(clf, labels):
    X, y = labels
    y = y.assign(a=(y["a"] == "yes").astype(int))
    y.loc[:20, "b"] = None
    kept = SequentialFeatureSelector(
        clf, n_features_to_select=1, cv=FOLDS, scoring=mean_task_scorer("roc_auc")
    ).fit(X[:, :3], y)
    assert kept.get_support().sum() == 1
    grid = GridSearchCV(clf, {"num_experts": [1]}, cv=FOLDS).fit(X, y)
    assert np.isfinite(grid.best_score_)
    halving = HalvingGridSearchCV(clf, {"num_experts": [1, 2]}, cv=FOLDS)
    with pytest.raises(ValueError, match="1d array"):
        halving.fit(X, y)
    halving.set_params(min_resources=100, scoring=mean_task_scorer("roc_auc"))
    assert np.isfinite(halving.fit(X, y).best_score_)


@pytest.mark.parametrize("make", wrapped(BY_IMPORTANCES))
def test_there_are_no_importances_to_select_by(make, clf, labels):
    X, y = labels
    with pytest.raises(ValueError, match="feature_importances_"):
        make(clf).fit(X, (y["a"] == "yes").astype(int)).transform(X)
