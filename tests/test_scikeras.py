"""scikeras and plain Keras as neighbours: neither is disturbed by our fits."""

from __future__ import annotations

import copy
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.networks import mmoe_network


def fit_plain_keras(X, y):
    """Fit an unseeded Keras model, as any other code in the process may."""
    import keras

    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(X, y, verbose=0, shuffle=False)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_an_unseeded_keras_model(
    tiny, labels_data, ours_first, global_state_stays
):
    import random

    X, y = labels_data
    if ours_first:
        ours = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    state = random.getstate()
    fit_plain_keras(X, y)  # raises if determinism was left switched on
    random.setstate(state)  # Keras draws the seeds of its layers from it
    if not ours_first:
        ours = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    alone = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    np.testing.assert_array_equal(ours.predict_proba(X), alone.predict_proba(X))


@pytest.mark.slow
def test_network_in_scikeras_classifier(labels_data):
    from scikeras.wrappers import KerasClassifier

    X, y = labels_data
    X = X.astype("float32")
    clf = KerasClassifier(
        mmoe_network,
        loss="binary_crossentropy",
        optimizer="adam",
        model__num_experts=3,
        model__output_activation="sigmoid",
        epochs=2,
        verbose=0,
    )
    clf = clone(clf).fit(X, y[:, 0])
    assert clf.model_.get_layer("mmoe").num_experts == 3
    assert set(clf.predict(X)) <= {0, 1}
    again = copy.deepcopy(clf)
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))


@pytest.mark.slow
def test_network_in_scikeras_regressor(values_data):
    from scikeras.wrappers import KerasRegressor

    X, y = values_data
    X = X.astype("float32")
    reg = KerasRegressor(
        mmoe_network, loss="mse", optimizer="adam", epochs=2, verbose=0
    ).fit(X, y[:, 0])
    assert reg.predict(X).shape == (200,)


@pytest.mark.slow
def test_keras_classes_stay_as_they_were():
    """``import scikeras`` replaces ``__reduce__`` of four of Keras' classes."""
    code = """
    import sys
    import numpy as np
    from sklearn_mmoe import MultiTaskMMoERegressor
    X = np.arange(20.0).reshape(10, 2)
    MultiTaskMMoERegressor(max_iter=1).fit(X, X).predict(X)
    assert "keras" in sys.modules
    assert "scikeras" not in sys.modules
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=600
    )
