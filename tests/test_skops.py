"""What is around an estimator goes through skops, which runs no code of a file."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import sklearn_mmoe
from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    model_selection,
    out_of_core,
    preprocessing,
)
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.model_selection import (
    MultiTaskConformalPredictor,
    MultiTaskThresholdClassifier,
)
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore
from sklearn_mmoe.preprocessing import (
    CalendarEncoder,
    CategoryEncoder,
    PiecewiseLinearEncoder,
    TailSquashingScaler,
    TextEncoder,
    make_tabular_preprocessor,
)

WORDS = "a small red house stands by the old mill and its dark water".split()
PAGE = Path(__file__).parent.parent / "docs" / "user_guide" / "persistence.rst"


def documented_types():
    """Read the list of types to trust from the documentation."""
    text = PAGE.read_text(encoding="utf-8")
    return set(
        re.findall(r"^ +((?:sklearn_mmoe|numpy|skrub)\.\S+)$", text, re.MULTILINE)
    )


@pytest.fixture(scope="module")
def pipeline(tiny):
    """Return a fitted pipeline of all encoders, and its data."""
    rng = np.random.default_rng(0)
    n = 120
    X = pd.DataFrame(
        {
            "amount": rng.normal(size=n),
            "kind": rng.choice(["a", "b", "c"], n),
            "day": pd.date_range("2020-01-01", periods=n),
            "note": [" ".join(rng.permutation(WORDS)[:7]) for _ in range(n)],
        }
    )
    X.loc[3, "amount"] = np.nan
    y = pd.DataFrame({"value": rng.normal(size=n), ("class", 1): rng.choice(2, n) > 0})
    model = make_pipeline(make_tabular_preprocessor(), MultiTaskMMoEMixed(**tiny))
    return model.fit(X, y), X, y


def round_trip(model, tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    found = set(skops.io.get_untrusted_types(file=path))
    return skops.io.load(path, trusted=sorted(found)), found


@pytest.mark.slow
def test_a_pipeline(pipeline, tmp_path):
    model, X, y = pipeline
    again, found = round_trip(model, tmp_path)
    assert found <= documented_types()
    pd.testing.assert_frame_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    # It goes on as the other does.
    for each in (again, model):
        each[-1].set_params(warm_start=True).fit(each[:-1].transform(X), y)
    pd.testing.assert_frame_equal(again.predict(X), model.predict(X))


SLOW_WAYS = ("single", "shared_bottom", "omoe", "cgc", "ple", "cross_stitch", "aitm")


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"cv": 2},
        *(pytest.param({"sharing": s}, marks=pytest.mark.slow) for s in SLOW_WAYS),
    ],
    ids=str,
)
def test_ensembles_and_every_way_to_share(values_data, tiny, tmp_path, parameters):
    X, y = values_data
    model = MultiTaskMMoERegressor(
        **tiny, **parameters, task_weighting="uncertainty", task_weight=[1, 2]
    ).fit(X, y)
    again, found = round_trip(model, tmp_path)
    assert found <= documented_types()
    for name in ("cv_losses_", "expert_use_"):
        table, expected = getattr(again, name), getattr(model, name)
        assert (table is None) == (expected is None)
        if expected is not None:
            pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert again.n_parameters_ == model.n_parameters_
    for each in (model, again):
        each.partial_fit(X, y)
    model, (again, _) = again, round_trip(model, tmp_path)
    for each in (model, again):  # with what weighs the tasks where it stood
        each.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.task_weights_ == model.task_weights_


@pytest.mark.parametrize("kind", ["date", "duration", "period", "interval", "text"])
def test_categories_of_every_kind(tmp_path, kind):
    days = pd.to_datetime(["2020-01-01", "2021-03-01", "2022-01-01"] * 20)
    values = {
        "date": days,
        "duration": days - days[0],
        "period": days.to_period("M"),
        "interval": pd.cut(np.arange(60) % 7, 3),
        "text": days.strftime("%B"),
    }[kind]
    X = pd.DataFrame({"of_kind": pd.Categorical(values), "size": np.arange(60.0)})
    model = make_tabular_preprocessor().fit(X)
    assert model.column_to_kind_["of_kind"] == "categorical"
    loaded, _ = round_trip(model, tmp_path)
    for again in (loaded, pickle.loads(pickle.dumps(model))):
        difference = again.transform(X) - model.transform(X)
        assert abs(difference).max() == 0
        names = again.get_feature_names_out().tolist()
        assert names == model.get_feature_names_out().tolist()


@pytest.mark.slow
def test_a_search(pipeline, tmp_path):
    model, X, y = pipeline
    search = GridSearchCV(
        model,
        {"multitaskmmoemixed__max_iter": [1, 2]},
        scoring=mean_task_scorer({"value": "r2", "('class', 1)": "roc_auc"}),
        cv=2,
    ).fit(X, y)
    again, found = round_trip(search, tmp_path)
    others = found - documented_types()
    assert all(name.startswith("sklearn.") for name in others), others
    pd.testing.assert_frame_equal(again.predict(X), search.predict(X))
    assert again.best_score_ == search.best_score_
    assert again.score(X, y) == search.score(X, y)


@pytest.mark.slow
def test_nothing_is_trusted_unasked(pipeline, tmp_path):
    skops.io.dump(pipeline[0], tmp_path / "model.skops")
    with pytest.raises(TypeError, match="Untrusted types"):
        skops.io.load(tmp_path / "model.skops", trusted=[])


# Labels of columns that pandas holds in indices of several types.
COLUMNS = {
    "text": pd.Index(["left", "stays"]),
    "years": pd.Index([2019, 2020], name="year"),
    "pairs": pd.MultiIndex.from_tuples([("left", 1), ("left", 2)]),
    "categories": pd.CategoricalIndex(["left", "stays"]),
    "days": pd.date_range("2024-01-01", periods=2, freq="D"),
}
N_BINS = {"n_bins": 2}


def same(found, expected):
    """Check that two results are the same, to the bit."""
    assert type(found) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    else:
        found, expected = (
            np.asarray(x.toarray() if hasattr(x, "toarray") else x)
            for x in (found, expected)
        )
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def named(tiny):
    """Return numbers and labels, a fitted pipeline, and columns of every kind."""
    rng = np.random.default_rng(0)
    n = 120
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    y = pd.DataFrame(rng.integers(2, size=(n, 2)), columns=COLUMNS["text"])
    columns = {
        "number": X[["a"]],
        "day": pd.DataFrame({"day": pd.date_range("2020-01-01", periods=n)}),
        "kind": pd.DataFrame({"kind": rng.choice(["a", "b"], n)}),
        "note": pd.DataFrame(
            {"note": [" ".join(rng.permutation(WORDS)[:7]) for _ in range(n)]}
        ),
    }
    return X, y, columns, MultiTaskMMoEClassifier(**tiny).fit(X, y)


def fitted_objects(named, tiny, y):
    """Make an object of each public class that is fitted; y is named."""
    X, _, columns, _ = named
    inner = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    forest = RandomForestClassifier(3, random_state=0).fit(X, y)
    prefit = {"cv": "prefit", "refit": False}
    chunks = [(X, y)]
    return [
        (inner, X),
        (MultiTaskMMoERegressor(**tiny).fit(X, y), X),
        (MultiTaskMMoEMixed(**tiny).fit(X, y), X),
        (MultiTaskThresholdClassifier(inner, **prefit).fit(X, y), X),
        (MultiTaskThresholdClassifier(forest, **prefit).fit(X, y), X),
        (MultiTaskConformalPredictor(inner, **prefit).fit(X, y), X),
        (MultiTaskOutOfCore(clone(inner)).fit(chunks), X),
        (PiecewiseLinearEncoder(**N_BINS).fit(X), X),
        (TailSquashingScaler().fit(X), X),
        (CalendarEncoder("numbers").fit(columns["day"]), columns["day"]),
        (CategoryEncoder().fit(columns["kind"]), columns["kind"]),
        (TextEncoder().fit(columns["note"]), columns["note"]),
        (make_tabular_preprocessor().fit(X, y), X),
    ]


@pytest.mark.slow
def test_every_public_class(named, tiny, tmp_path):
    objects = fitted_objects(named, tiny, named[1])
    public = {
        value
        for module in (sklearn_mmoe, model_selection, out_of_core, preprocessing)
        for name in module.__all__
        if isinstance(value := getattr(module, name), type)
        and issubclass(value, BaseEstimator)
    }
    assert public == {type(model) for model, _ in objects}
    for model, X in objects:
        method = "predict" if hasattr(model, "predict") else "transform"
        ask = getattr(model, method)
        again, found = round_trip(model, tmp_path)
        others = {name for name in found if not name.startswith("sklearn.")}
        assert others <= documented_types(), (type(model), others)
        for each in (again, pickle.loads(pickle.dumps(model))):
            same(getattr(each, method)(X), ask(X))


@pytest.mark.slow
@pytest.mark.parametrize("kind", COLUMNS)
def test_wrappers_with_labels_of_every_kind(named, tmp_path, kind):
    X, y, _, _ = named
    y = y.set_axis(COLUMNS[kind], axis=1)
    inner = MultiTaskMMoEClassifier(
        num_experts=2, expert_units=4, max_iter=1, random_state=0
    ).fit(X, y)
    for wrapper in (MultiTaskThresholdClassifier, MultiTaskConformalPredictor):
        model = wrapper(inner, cv="prefit", refit=False).fit(X, y)
        for again in (
            round_trip(model, tmp_path)[0],
            pickle.loads(pickle.dumps(model)),
        ):
            same(again.predict(X), model.predict(X))
