"""What is around an estimator goes through skops, which runs no code of a file."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEMixed, MultiTaskMMoERegressor
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

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


def test_nothing_is_trusted_unasked(pipeline, tmp_path):
    skops.io.dump(pipeline[0], tmp_path / "model.skops")
    with pytest.raises(TypeError, match="Untrusted types"):
        skops.io.load(tmp_path / "model.skops", trusted=[])
