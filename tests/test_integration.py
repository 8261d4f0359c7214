"""Inside scikit-learn's meta-estimators, searches and frames of other libraries."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer
from sklearn_mmoe.preprocessing import CategoryEncoder, make_tabular_preprocessor


@pytest.fixture
def classifier(tiny):
    return MultiTaskMMoEClassifier(**tiny)


@pytest.fixture
def regressor(tiny):
    return MultiTaskMMoERegressor(**tiny)


@pytest.mark.slow
def test_column_transformer(classifier, labels_data):
    X, y = labels_data
    X = pd.DataFrame(X, columns=list("abcdef"))
    columns = ColumnTransformer([("scaled", StandardScaler(), ["a", "b", "c"])])
    model = make_pipeline(columns.set_output(transform="pandas"), classifier)
    model.fit(X, y)
    names = ["scaled__a", "scaled__b", "scaled__c"]
    assert model[-1].feature_names_in_.tolist() == names


def mean_auc(model, X, y):
    """Return the mean over tasks of the area under the ROC curve, by hand."""
    probabilities = model.predict_proba(X)
    y = np.asarray(y)
    return np.mean(
        [roc_auc_score(y[:, k], p[:, 1]) for k, p in enumerate(probabilities)]
    )


def check_refit(search, X, y):
    """A search's best model is what a fit with the parameters it chose makes."""
    again = clone(search.estimator).set_params(**search.best_params_).fit(X, y)
    for found, expected in zip(
        search.predict_proba(X), again.predict_proba(X), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert search.score(X, y) == pytest.approx(mean_auc(again, X, y))


@pytest.mark.slow
def test_randomized_search(classifier, labels_data):
    X, y = labels_data
    search = RandomizedSearchCV(
        classifier,
        {"num_experts": [1, 2, 3]},
        n_iter=2,
        scoring=mean_task_scorer("roc_auc"),
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    results = search.cv_results_
    for parameters, score in zip(
        results["params"], results["mean_test_score"], strict=True
    ):
        model = clone(classifier).set_params(**parameters)
        by_hand = [
            mean_auc(model.fit(X[train], y[train]), X[test], y[test])
            for train, test in KFold(2).split(X)
        ]
        assert score == pytest.approx(np.mean(by_hand))
    assert search.best_index_ == np.argmax(results["mean_test_score"])
    check_refit(search, X, y)


@pytest.mark.slow
def test_halving_search(classifier, labels_data):
    X, y = labels_data
    search = HalvingGridSearchCV(
        classifier,
        {"num_experts": [1, 2, 3]},
        scoring=mean_task_scorer("roc_auc"),
        cv=2,
        # scikit-learn's own choice counts the classes of a single task.
        min_resources=40,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    results = pd.DataFrame(search.cv_results_)
    assert results["n_resources"].tolist() == [40, 40, 40, 120]
    first, last = results[:3], results[3:]
    assert last["param_num_experts"].tolist() == [
        first["param_num_experts"][first["mean_test_score"].idxmax()]
    ]
    assert search.best_index_ == 3
    check_refit(search, X, y)


@pytest.mark.slow
def test_cross_val_predict(classifier, labels_data):
    X, y = labels_data
    probabilities = cross_val_predict(
        classifier, X, y, cv=2, method="predict_proba", n_jobs=2
    )
    assert [p.shape for p in probabilities] == [(200, 2)] * 2
    for probability in probabilities:
        np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_permutation_importance(fitted_classifier, labels_data):
    X, y = labels_data
    result = permutation_importance(
        fitted_classifier, X, y, scoring=multi_task_scorer("roc_auc"), n_repeats=2
    )
    assert result["task_1"].importances_mean.shape == (6,)


@pytest.mark.slow
def test_single_task_meta_estimators(classifier, labels_data):
    X, y = labels_data
    y = y[:, 0]
    calibrated = CalibratedClassifierCV(classifier, cv=2).fit(X, y)
    assert calibrated.predict_proba(X).shape == (200, 2)
    labels = np.where(y, "yes", "no")
    tuned = TunedThresholdClassifierCV(classifier, cv=2).fit(X, labels)
    yes = clone(classifier).fit(X, y).predict_proba(X)[:, 1] >= tuned.best_threshold_
    assert 0 < yes.mean() < 1
    np.testing.assert_array_equal(tuned.predict(X), np.where(yes, "yes", "no"))
    stack = StackingClassifier(
        [("mmoe", classifier), ("linear", LogisticRegression())], cv=2
    ).fit(X, y)
    assert stack.predict(X).shape == (200,)


@pytest.mark.slow
def test_bagging_and_transformed_targets(regressor, values_data):
    X, y = values_data
    bagging = BaggingRegressor(regressor, n_estimators=2, random_state=0).fit(
        X, y[:, 0]
    )
    assert bagging.predict(X).shape == (200,)
    transformed = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    assert transformed.fit(X, y).predict(X).shape == (200, 2)


@pytest.mark.parametrize("library", ["polars", "pyarrow-backed pandas"])
def test_other_frames(classifier, labels_data, library):
    X, y = labels_data
    X = pd.DataFrame(X, columns=list("abcdef"))
    y = labels = pd.DataFrame(y, columns=["income", "college"])
    expected = clone(classifier).fit(X, y).predict_proba(X)
    if library == "polars":
        polars = pytest.importorskip("polars")
        X, y = polars.DataFrame(X.to_dict("list")), polars.DataFrame(y.to_dict("list"))
    else:
        pytest.importorskip("pyarrow")
        X = X.convert_dtypes(dtype_backend="pyarrow")
        y = y.convert_dtypes(dtype_backend="pyarrow")
    model = classifier.fit(X, y)
    assert model.task_names_ == ["income", "college"]
    assert model.feature_names_in_.tolist() == list("abcdef")
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    scores = multi_task_scorer("roc_auc")(model, X, y)
    for k, name in enumerate(labels):
        auc = roc_auc_score(labels[name], expected[k][:, 1])
        assert scores[name] == pytest.approx(auc)
    predicted = np.column_stack([p.argmax(axis=1) for p in expected])
    right = (predicted == labels.to_numpy()).all(axis=1)
    assert model.score(X, y) == right.mean()


@pytest.mark.parametrize("library", ["polars", "pyarrow-backed pandas"])
def test_preprocessor_on_other_frames(library):
    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0], "sex": ["f", "m", "f"]})
    expected = make_tabular_preprocessor(min_frequency=None).fit_transform(frame)
    if library == "polars":
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(frame.to_dict("list"))
    else:
        pytest.importorskip("pyarrow")
        frame = frame.convert_dtypes(dtype_backend="pyarrow")
    encoded = make_tabular_preprocessor(min_frequency=None).fit_transform(frame)
    np.testing.assert_array_equal(encoded.toarray(), expected.toarray())


class TestMetadataRouting:
    @pytest.fixture(autouse=True)
    def _enabled(self):
        with sklearn.config_context(enable_metadata_routing=True):
            yield

    @pytest.fixture
    def weighted(self, tiny, labels_data):
        """Rows of which half weigh nothing and have wrong labels."""
        X, y = labels_data
        y = y.copy()
        y[100:] = 1 - y[100:]
        weight = np.r_[np.ones(100), np.zeros(100)]
        expected = MultiTaskMMoEClassifier(**tiny).fit(X[:100], y[:100])
        return X, y, weight, expected.predict_proba(X)

    def test_pipeline(self, classifier, weighted):
        X, y, weight, _ = weighted
        classifier.set_fit_request(sample_weight=True)
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), classifier
        )
        with_weight = model.fit(X, y, sample_weight=weight).predict_proba(X)[0]
        without = clone(model).fit(X, y).predict_proba(X)[0]
        assert not np.allclose(with_weight, without, atol=1e-3)

    @pytest.mark.slow
    def test_search_and_cross_validate(self, classifier, weighted):
        X, y, weight, expected = weighted
        classifier.set_fit_request(sample_weight=True)
        search = GridSearchCV(
            classifier,
            {"num_experts": [2]},
            cv=KFold(2, shuffle=True, random_state=0),
            scoring=mean_task_scorer("roc_auc"),
        )
        search.fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(search.predict_proba(X), expected)
        scores = cross_validate(
            classifier,
            X,
            y,
            cv=2,
            scoring=mean_task_scorer("roc_auc"),
            params={"sample_weight": weight + 0.5},
            error_score="raise",
        )
        assert np.isfinite(scores["test_score"]).all()

    def test_transform_input(self, tiny, labels_data):
        """X_val goes through the steps before, as X does."""
        X, y = labels_data
        classifier = MultiTaskMMoEClassifier(**tiny, early_stopping=True)
        classifier.set_fit_request(X_val=True, y_val=True)
        model = Pipeline(
            [("scale", StandardScaler()), ("mmoe", classifier)],
            transform_input=["X_val"],
        )
        model.fit(X[:150] * 100, y[:150], X_val=X[150:] * 100, y_val=y[150:])
        scale = StandardScaler().fit(X[:150] * 100)
        by_hand = MultiTaskMMoEClassifier(**tiny, early_stopping=True).fit(
            scale.transform(X[:150] * 100),
            y[:150],
            X_val=scale.transform(X[150:] * 100),
            y_val=y[150:],
        )
        assert model[-1].validation_scores_ == by_hand.validation_scores_


@pytest.mark.parametrize("site", [None, "http://localhost:8000/docs/"])
def test_html_representation_links_to_documentation(
    fitted_classifier, monkeypatch, site
):
    monkeypatch.delenv("SKLEARN_MMOE_DOCS", raising=False)
    if site is not None:
        monkeypatch.setenv("SKLEARN_MMOE_DOCS", site)
    models = {
        "sklearn_mmoe.MultiTaskMMoEClassifier": fitted_classifier,
        "sklearn_mmoe.preprocessing.CategoryEncoder": CategoryEncoder(),
    }
    root = (site or "https://sklearn-mmoe.readthedocs.io/en/stable").rstrip("/")
    for name, model in models.items():
        page = f"{root}/reference/generated/{name}.html"
        hrefs = re.findall(r'href="([^"#]+)', model._repr_html_())
        assert page in hrefs
        assert [href for href in hrefs if root in href and href != page] == []
