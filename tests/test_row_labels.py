"""Predictions that are frames have the rows' labels, where X has some."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
from scipy import sparse
from sklearn import config_context
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import _safe_indexing, resample, shuffle

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe.model_selection import (
    MultiTaskConformalPredictor,
    MultiTaskThresholdClassifier,
)
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

N = 120
ESTIMATORS = [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
# Labels of N rows, of every kind.
LABELS = {
    "numbers": pd.Index(np.random.default_rng(0).permutation(N), name="customer"),
    "from one on": pd.RangeIndex(1, N + 1),
    "repeated": pd.Index(np.arange(N) % 7),
    "text": pd.Index([f"row {i}" for i in range(N)]),
    "pairs": pd.MultiIndex.from_product(
        [range(N // 4), list("abcd")], names=["x", "y"]
    ),
    "days": pd.date_range("2024-01-01", periods=N, tz="Europe/Oslo"),
    "categories": pd.CategoricalIndex(["a", "b", "c"] * (N // 3)),
    "missing": pd.Index([np.nan, *range(1, N)]),
}


@pytest.fixture(scope="module")
def table():
    """Return X and y, whose rows are in another order than their labels."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"amount": rng.normal(size=N), "visits": rng.integers(5, size=N)},
        index=LABELS["numbers"],
    )
    y = pd.DataFrame(
        {"left": (X.amount > 0) * 1, "spent": rng.integers(2, size=N)}, X.index
    )
    return X, y


@pytest.fixture(scope="module")
def pipelines(table, tiny):
    """Return a fitted pipeline of each estimator."""
    return {
        estimator: make_pipeline(make_tabular_preprocessor(), estimator(**tiny)).fit(
            *table
        )
        for estimator in ESTIMATORS
    }


@pytest.fixture(scope="module")
def pipeline(pipelines):
    return pipelines[MultiTaskMMoEClassifier]


def check(predict, X):
    """Check the labels, and that the values are those of rows without any."""
    found = predict(X)
    pd.testing.assert_index_equal(found.index, X.index, exact=True)
    plain = predict(X.reset_index(drop=True))
    assert plain.index.equals(pd.RangeIndex(len(X)))
    pd.testing.assert_frame_equal(found.reset_index(drop=True), plain, check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_kind(table, pipeline, kind):
    X = table[0].set_axis(LABELS[kind])
    check(pipeline.predict, X)
    alone = MultiTaskMMoEClassifier.predict
    numbers = pd.DataFrame(pipeline[0].transform(X).toarray(), X.index)
    check(lambda rows: alone(pipeline[-1], rows), numbers)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_after_a_split(table, pipelines, estimator):
    X, y = table
    _, X_test, _, y_test = train_test_split(X, y, random_state=0)
    model = pipelines[estimator]
    check(model.predict, X_test)
    by_label = (y_test.spent - model.predict(X_test).spent).abs().mean()
    by_place = np.abs(y_test.spent.to_numpy() - model.predict(X_test).spent.to_numpy())
    assert by_label == by_place.mean()


@pytest.mark.slow
def test_deviations_of_an_ensemble(table, tiny):
    X, y = table
    model = make_pipeline(
        make_tabular_preprocessor(), MultiTaskMMoERegressor(**tiny, cv=2)
    ).fit(X, y)
    check(lambda rows: model.predict(rows, return_std=True)[1], X)


@pytest.mark.slow
def test_wrappers_and_searches(table, pipeline, tiny):
    X, y = table
    models = [
        wrapper(pipeline, cv="prefit", refit=False).fit(X, y)
        for wrapper in (MultiTaskThresholdClassifier, MultiTaskConformalPredictor)
    ]
    models.append(GridSearchCV(pipeline, {"memory": [None]}, cv=2).fit(X, y))
    for model in models:
        check(model.predict, X[::-1])


@pytest.mark.parametrize(
    "wrapper", [MultiTaskThresholdClassifier, MultiTaskConformalPredictor]
)
def test_wrappers_see_what_a_step_hides(table, tiny, wrapper):
    X, y = table
    inner = make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny)).fit(X, y)
    check(wrapper(inner, cv="prefit", refit=False).fit(X, y).predict, X)
    # Of others, what they predict stays as it is.
    forest = RandomForestClassifier(5).fit(X, y)
    model = wrapper(forest, cv="prefit", refit=False).fit(X, y)
    assert isinstance(model.predict(X), np.ndarray)


def test_files(table, pipeline, tmp_path):
    X, _ = table
    pipeline[-1].save(tmp_path / "model.mmoe")
    skops.io.dump(pipeline, tmp_path / "model.skops")
    trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
    for model in (
        make_pipeline(pipeline[0], load(tmp_path / "model.mmoe")),
        skops.io.load(tmp_path / "model.skops", trusted=trusted),
        pickle.loads(pickle.dumps(pipeline)),
    ):
        check(model.predict, X)


def test_frames_between_the_steps(table, tiny):
    X, y = table
    with config_context(transform_output="pandas"):
        for step in (make_tabular_preprocessor(sparse=False), StandardScaler()):
            model = make_pipeline(step, MultiTaskMMoEClassifier(**tiny)).fit(X, y)
            check(model.predict, X)


def test_rows_without_labels(table, pipeline):
    X, _ = table
    numbered = pd.RangeIndex(N)
    without = [pl.from_pandas(X), pipeline[0].transform(X).toarray()]
    for model, rows in zip([pipeline, pipeline[-1]], without, strict=True):
        assert model.predict(rows).index.equals(numbered)
    # A step in between that computes lets them go, as any array does.
    scaled = make_pipeline(pipeline[0], StandardScaler(with_mean=False))
    features = scaled.fit(X).transform(X)
    assert sparse.issparse(features)
    assert pipeline[-1].predict(features).index.equals(numbered)


def test_no_call_changes_the_labels_of_another(table, pipeline):
    X, _ = table
    found = pipeline.predict(X)
    found.index.name = "other"
    assert X.index.name == "customer"


SAME_ROWS = {
    "itself": lambda X: X,
    "tocsr": lambda X: X.tocsr(),
    "astype of its own": lambda X: X.astype(X.dtype, copy=False),
    "a pickle": lambda X: pickle.loads(pickle.dumps(X)),
    "a deep copy": copy.deepcopy,
    "a step without a function": FunctionTransformer(accept_sparse=True).fit_transform,
}
OTHERS = {
    "copy": lambda X: X.copy(),
    "turned": lambda X: X[::-1],
    "taken": lambda X: X[np.random.default_rng(0).permutation(N)],
    "masked": lambda X: X[np.arange(N) % 2 == 0],
    "safe_indexing": lambda X: _safe_indexing(X, np.arange(N)[::-1]),
    "shuffle": shuffle,
    "resample": resample,
    "astype": lambda X: X.astype(np.float64),
    "arithmetic": lambda X: X * 1.0,
    "sorted": lambda X: X.sorted_indices(),
    "stacked": lambda X: sparse.vstack([X[50:], X[:50]], format="csr"),
    "stacked alone": lambda X: sparse.vstack([X], format="csr"),
    "side by side": lambda X: sparse.hstack([X], format="csr"),
    "another format": lambda X: X.tocsc().tocsr(),
    "made anew": sparse.csr_matrix,
    "turned over": lambda X: X.T.T,
}


def test_features_keep_the_labels_of_their_very_rows(table, pipeline):
    X, _ = table
    for name, change in SAME_ROWS.items():
        found = pipeline[-1].predict(change(pipeline[0].transform(X)))
        assert found.index.equals(X.index), name
    for name, change in OTHERS.items():
        features = change(pipeline[0].transform(X))
        found = pipeline[-1].predict(features)
        assert found.index.equals(pd.RangeIndex(features.shape[0])), name
    features = pipeline[0].transform(X)
    features.resize((7, features.shape[1]))  # in place
    assert pipeline[-1].predict(features).index.equals(pd.RangeIndex(7))


def test_rows_in_chunks(table, tiny, tmp_path):
    X, y = table
    data = X.join(y)
    model = MultiTaskOutOfCore(
        make_pipeline(make_tabular_preprocessor(), MultiTaskMMoEClassifier(**tiny)),
        targets=["left", "spent"],
    ).fit(data)
    expected = model.predict(pl.from_pandas(data))
    assert expected.index.equals(pd.RangeIndex(N))
    for rows in (data, X, [data[:50], data[50:]], [(X[:50],), (X[50:],)]):
        found = model.predict(rows)
        assert found.index.equals(X.index)
        assert found.index.name == "customer"
        assert (found.to_numpy() == expected.to_numpy()).all()
    parts = [*model.predict_chunks([data[:50], data[50:]])]
    assert parts[1].index.equals(X.index[50:])
    # Where some rows have no labels, all are counted.
    some = model.predict([data[:50], pl.from_pandas(data[50:])])
    assert some.index.equals(pd.RangeIndex(N))
