"""Events that happen only after others: what is computed, learnt and refused."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.base import clone

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoEMixed
from sklearn_mmoe.inspection import NetworkDisplay
from sklearn_mmoe.layers import ProductOfProbabilities
from sklearn_mmoe.networks import multi_task_network
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore

CHAIN = {"purchase": "click"}


@pytest.fixture(scope="module")
def clicks():
    """Clicks of the keen, who also buy more often."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    click = rng.random(3000) < expit(2 * X[:, 0] - 1.5)
    purchase = click & (rng.random(3000) < expit(1.5 * X[:, 0] + X[:, 1] - 1))
    y = pd.DataFrame({"click": click.astype(int), "purchase": purchase.astype(float)})
    return X, y


@pytest.fixture(scope="module")
def chained(clicks):
    X, y = clicks
    seen = y.assign(purchase=y["purchase"].where(y["click"] == 1))
    clf = MultiTaskMMoEClassifier(
        num_experts=2, expert_units=8, shared_units=(16,), max_iter=12,
        random_state=0, task_dependencies=CHAIN,
    )  # fmt: skip
    return clf.fit(X, seen), seen


def test_a_product_of_probabilities():
    first, second = np.meshgrid([-200.0, -3.0, 0.0, 2.0, 200.0], [-200.0, -1.0, 40.0])
    logit = np.asarray(ProductOfProbabilities(dtype="float64")([first, second]))
    assert np.isfinite(logit).all()
    np.testing.assert_allclose(expit(logit), expit(first) * expit(second), atol=1e-12)
    assert logit[0, 0] == pytest.approx(-400)
    assert logit[2, 4] == pytest.approx(40)


@pytest.mark.slow
def test_all_rows_are_trained_on(clicks, chained):
    """A model of the clicked rows alone is biased for the others; the chain is not."""
    X, y = clicks
    clf, seen = chained
    click, purchase = (p[:, 1] for p in clf.predict_proba(X))
    assert (purchase <= click + 1e-7).all()
    rate = y["purchase"].mean()
    assert purchase.mean() == pytest.approx(rate, abs=0.02)
    after_click = MultiTaskMMoEClassifier(
        num_experts=2, expert_units=8, shared_units=(16,), max_iter=12, random_state=0
    ).fit(X, seen["purchase"])
    assert after_click.predict_proba(X)[:, 1].mean() > rate + 0.1
    keen = X[:, 0] > 1
    for rows in (keen, ~keen):
        known = y["purchase"][rows].mean()
        assert purchase[rows].mean() == pytest.approx(known, abs=0.05)


@pytest.mark.slow
def test_what_follows_from_no_click_need_not_be_told(clicks, chained):
    X, y = clicks
    clf, _ = chained
    again = MultiTaskMMoEClassifier(**clf.get_params()).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    copy = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(copy.predict_proba(X[:9]), clf.predict_proba(X[:9]))
    texts = [t.get_text() for t in NetworkDisplay.from_estimator(clf).ax_.texts]
    assert "purchase\nprobability times that of click" in texts


@pytest.mark.slow
@pytest.mark.parametrize("loss", [None, {"purchase": "focal"}])
def test_losses_are_weighed_by_what_follows_too(tiny, clicks, loss):
    """Also where the losses of tasks are of one scale: with regressions beside them."""
    X, y = clicks[0][:300], clicks[1][:300].assign(hours=clicks[0][:300, 0])
    seen = y.assign(purchase=y["purchase"].where(y["click"] == 1))
    model = MultiTaskMMoEMixed(**tiny, loss=loss, task_dependencies=CHAIN)
    predictions, scales = [], []
    for some in (y, seen):
        fitted = model.fit(X, some)
        predictions.append(fitted.predict(X)["hours"])
        chunks = [(X[:150], some[:150]), (X[150:], some[150:])]
        out_of_core = MultiTaskOutOfCore(clone(model)).fit(chunks).estimator_
        scales += [[t.loss_scale for t in m._tasks] for m in (fitted, out_of_core)]
    pd.testing.assert_series_equal(*predictions)
    for other in scales[1:]:
        assert other == pytest.approx(scales[0])


@pytest.mark.slow
def test_chains_of_three(tiny, labels_data):
    X, _ = labels_data
    view = X[:, 0] > -0.5
    click = view & (X[:, 1] > 0)
    y = pd.DataFrame({"buy": click & (X[:, 2] > 0), "click": click, "view": view})
    y["hours"] = X[:, 3]
    model = MultiTaskMMoEMixed(
        **tiny, task_dependencies={"buy": "click", "click": "view"}
    ).fit(X, y)
    buy, click, view = (p[:, 1] for p in model.predict_proba(X)[:3])
    assert (buy <= click + 1e-6).all()
    assert (click <= view + 1e-6).all()
    assert "product_0" in model.summary().index


def test_factors_of_the_outputs():
    meta = {"n_features_in_": 5, "task_units_": [1, 1]}
    x = np.random.default_rng(0).normal(size=(6, 5))
    make = {"dtype": "float64", "seed": 0, "sharing": "cgc"}
    plain = [np.asarray(o) for o in multi_task_network(meta, **make)(x)]
    click, both = multi_task_network(meta, task_dependencies=[(1, 0)], **make)(x)
    np.testing.assert_allclose(click, plain[0])
    np.testing.assert_allclose(expit(both), expit(plain[0]) * expit(plain[1]))


def test_what_is_refused(tiny, clicks):
    X, y = clicks
    wrong = y.copy()
    row = int(np.flatnonzero(y["click"] == 0)[3])
    wrong.loc[row, "purchase"] = 1
    clf = MultiTaskMMoEClassifier(**tiny, task_dependencies=CHAIN)
    said = f"no 'purchase' without 'click', but 1 rows of y have .* first in row {row}"
    with pytest.raises(ValueError, match=said):
        clf.fit(X, wrong)
    for dependencies, message in (
        ({"purchase": "view"}, "no task named 'view'"),
        ({"purchase": "click", "click": "purchase"}, "in a circle"),
        ({"click": "click"}, "in a circle"),
    ):
        clf.set_params(task_dependencies=dependencies)
        with pytest.raises(ValueError, match=message):
            clf.fit(X, y)
    three = y.assign(click=np.arange(len(y)) % 3)
    with pytest.raises(ValueError, match="two classes, but the task 'click' "):
        clf.set_params(task_dependencies=CHAIN).fit(X, three)


@pytest.mark.slow
def test_a_warm_start_keeps_its_dependencies(chained, clicks):
    X, y = clicks
    clf = pickle.loads(pickle.dumps(chained[0]))
    clf.set_params(warm_start=True, task_dependencies=None)
    with pytest.raises(ValueError, match="task_dependencies"):
        clf.fit(X, y)
