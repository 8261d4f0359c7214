"""The same seed gives the same bits; copies keep them; nothing global changes."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor


def predictions(model, X):
    if hasattr(model, "predict_proba"):
        return np.hstack(model.predict_proba(X))
    return model.predict(X)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_same_seed_same_bits(tiny, labels_data, early_stopping, global_state_stays):
    X, y = labels_data
    tiny = {**tiny, "early_stopping": early_stopping}
    fits = [MultiTaskMMoEClassifier(**tiny).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*[predictions(model, X) for model in fits])
    assert fits[0].loss_curve_ == fits[1].loss_curve_


def test_refit_and_clone_give_the_same_bits(fitted_classifier, labels_data):
    X, y = labels_data
    expected = predictions(fitted_classifier, X)
    again = clone(fitted_classifier).fit(X, y)
    np.testing.assert_array_equal(predictions(again, X), expected)
    np.testing.assert_array_equal(predictions(again.fit(X, y), X), expected)


def test_seeds_differ_and_none_takes_fresh_entropy(tiny, labels_data):
    X, y = labels_data
    np.random.seed(0)  # noqa: NPY002  must make no difference
    results = [
        predictions(
            MultiTaskMMoEClassifier(**{**tiny, "random_state": seed}).fit(X, y), X
        )
        for seed in (0, 1, None, None)
    ]
    for i, a in enumerate(results):
        for b in results[:i]:
            assert not np.allclose(a, b)


@pytest.mark.slow
def test_random_state_instance(tiny, values_data):
    X, y = values_data
    results = []
    for _ in range(2):
        state = np.random.RandomState(3)
        reg = MultiTaskMMoERegressor(**{**tiny, "random_state": state})
        results.append(predictions(reg.fit(X, y), X))
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: pickle.loads(pickle.dumps(copy.deepcopy(model))),
    ],
    ids=["deepcopy", "pickle", "pickled deepcopy"],
)
def test_copies_keep_every_bit(request, kind, copied):
    model = request.getfixturevalue(f"fitted_{kind}")
    X, _ = request.getfixturevalue("labels_data")
    expected = predictions(model, X)
    again = copied(model)
    assert again.network_ is not model.network_
    np.testing.assert_array_equal(predictions(again, X), expected)
    np.testing.assert_array_equal(predictions(model, X), expected)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_set_params_changes_no_prediction(request, kind):
    """Parameters say what the next fit does, not what the last one did."""
    model = copy.deepcopy(request.getfixturevalue(f"fitted_{kind}"))
    X, _ = request.getfixturevalue("labels_data")
    expected = predictions(model, X)
    model.set_params(num_experts=1, shared_units=(), activation="relu", wide=False)
    np.testing.assert_array_equal(predictions(model, X), expected)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(predictions(again, X), expected)


def test_a_copy_is_trained_on_its_own(fitted_classifier, labels_data):
    X, y = labels_data
    expected = predictions(fitted_classifier, X)
    other = copy.deepcopy(fitted_classifier).set_params(warm_start=True)
    other.fit(X, y)
    assert not np.allclose(predictions(other, X), expected)
    np.testing.assert_array_equal(predictions(fitted_classifier, X), expected)


@pytest.mark.slow
def test_joblib_in_a_new_process(
    fitted_classifier, fitted_regressor, labels_data, tmp_path
):
    """A new process with no import but joblib's and NumPy's; and the layer loads."""
    X, _ = labels_data
    joblib.dump([fitted_classifier, fitted_regressor, X], tmp_path / "models")
    fitted_classifier.network_.save(tmp_path / "network.keras")
    code = """
import sys, joblib, numpy as np
folder = sys.argv[1]
classifier, regressor, X = joblib.load(folder + "/models")
outputs = np.hstack([*classifier.predict_proba(X), regressor.predict(X)])
np.save(folder + "/outputs.npy", outputs)
import keras, sklearn_mmoe.layers
network = keras.saving.load_model(folder + "/network.keras")
np.save(folder + "/logits.npy", np.hstack(network(X.astype("float32"))))
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        check=True,
        env=os.environ,
        timeout=600,
    )
    expected = [
        predictions(model, X) for model in (fitted_classifier, fitted_regressor)
    ]
    np.testing.assert_array_equal(
        np.load(tmp_path / "outputs.npy"), np.hstack(expected)
    )
    logits = np.hstack(fitted_classifier.network_(X.astype("float32")))
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), logits)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("warm_start", [False, True])
def test_a_pickle_holds_the_weights_and_no_training_state(
    tiny, labels_data, warm_start
):
    """Of a network so wide that all but its weights is little beside them."""
    parameters = {**tiny, "max_iter": 1, "shared_units": (500, 50)}
    model = MultiTaskMMoEClassifier(**parameters, warm_start=warm_start)
    model.fit(*labels_data)
    weights = 4 * model.network_.count_params()
    assert weights > 100_000
    # The optimizer alone would hold twice the weights again.
    assert weights < len(pickle.dumps(model)) < 1.1 * weights


def test_a_fit_changes_no_global_state(tiny, values_data, global_state_stays):
    MultiTaskMMoERegressor(**{**tiny, "random_state": None}).fit(*values_data)
