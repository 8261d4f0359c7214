"""Networks that Keras saves, its own callbacks, a builder of the user's, backends."""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)


def run(code, *arguments, **environment):
    """Run code in a new process, without the variables that are None."""
    environment = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        env={name: text for name, text in environment.items() if text is not None},
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
def test_files_of_keras_load_in_a_new_process(tmp_path, labels_data, tiny, optimizer):
    """With no import but the layers', and no ``custom_objects``."""
    import keras

    X, y = labels_data
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "checkpoint.keras")
    clf = MultiTaskMMoEClassifier(**tiny, callbacks=checkpoint, optimizer=optimizer)
    clf.fit(X, y)
    clf.network_.save(tmp_path / "fit.keras")
    expected = np.hstack(clf.network_(X.astype("float32")))
    clf.set_params(callbacks=None).partial_fit(X, y)
    clf.network_.save(tmp_path / "partial_fit.keras")
    further = np.hstack(clf.network_(X.astype("float32")))
    np.save(tmp_path / "X.npy", X.astype("float32"))
    code = """
    import sys, numpy as np
    import sklearn_mmoe.layers
    import keras
    folder = sys.argv[1]
    X = np.load(folder + "/X.npy")
    for name in ("checkpoint", "fit", "partial_fit"):
        network = keras.saving.load_model(f"{folder}/{name}.keras")
        np.save(f"{folder}/{name}.npy", np.hstack(network(X)))
    checkpoint = keras.saving.load_model(folder + "/checkpoint.keras")
    print(type(checkpoint.optimizer).__name__, int(checkpoint.optimizer.iterations))
    """
    result = run(code, str(tmp_path))
    assert result.returncode == 0, result.stderr
    names = {"adamw": "FusedAdamW", "rmsprop": "RMSprop"}
    assert result.stdout.split() == [names[optimizer], "14"]  # 2 epochs of 7 batches
    for name, outputs in (
        ("checkpoint", expected), ("fit", expected), ("partial_fit", further)
    ):  # fmt: skip
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), outputs)


class TestCallbacks:
    @pytest.mark.slow
    def test_validation_scores_are_in_the_logs(self, labels_data, tiny):
        import keras

        logs = []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, given: logs.append(dict(given))
        )
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**tiny, callbacks=[watch], early_stopping=True)
        clf.fit(X, y)
        names = ["loss", "task_0_loss", "task_1_loss", "val_score", "val_loss"]
        assert [set(given) for given in logs] == [set(names)] * 2
        for given, loss, score in zip(
            logs, clf.loss_curve_, clf.validation_scores_, strict=True
        ):
            assert given["loss"] == loss
            assert given["val_score"] == -given["val_loss"] == score
        logs.clear()
        clf.set_params(early_stopping_metric="roc_auc").fit(X, y)
        assert [given["val_score"] for given in logs] == clf.validation_scores_
        assert "val_loss" not in logs[0]

    @pytest.mark.slow
    def test_early_stopping_of_keras_watches_them(self, labels_data, tiny):
        import keras

        scores = iter([0.5, 0.9, 0.3, 0.2, 0.1, 0.1])
        stop = keras.callbacks.EarlyStopping("val_score", mode="max", patience=2)
        clf = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 6},
            callbacks=stop,
            early_stopping=True,
            early_stopping_metric=lambda *args: next(scores),
        ).fit(*labels_data)
        assert clf.n_iter_ == 4
        assert clf.best_epoch_ == 2

    @pytest.mark.slow
    def test_checkpoints_keep_the_best(self, labels_data, tiny, tmp_path):
        import keras

        path = tmp_path / "best.weights.h5"
        scores = iter([0.5, 0.9, 0.3, 0.2])
        keep = keras.callbacks.ModelCheckpoint(
            path, "val_score", mode="max", save_best_only=True, save_weights_only=True
        )
        clf = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 4},
            callbacks=[keep],
            early_stopping=True,
            early_stopping_metric=lambda *args: next(scores),
        ).fit(*labels_data)
        network = copy.deepcopy(clf).network_
        expected = clf.network_.get_weights()
        network.set_weights([weight * 0 for weight in expected])
        network.load_weights(path)
        for weight, best in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(weight, best)

    @pytest.mark.slow
    def test_calls_by_batch(self, labels_data, tiny):
        import keras

        calls = []

        class Count(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                calls.append(batch)

            def on_train_batch_end(self, batch, logs=None):
                calls.append(logs["loss"])

        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**tiny, dropout=0.0, callbacks=Count()).fit(X, y)
        assert calls[::2] == list(range(7)) * 2
        plain = MultiTaskMMoEClassifier(**tiny, dropout=0.0).fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
        # The last batch of each epoch holds 8 of 32 rows.
        mean = np.average(calls[1:14:2], weights=[32] * 6 + [8])
        assert mean == pytest.approx(clf.loss_curve_[0], rel=0.01)

    @pytest.mark.slow
    def test_a_stop_is_honoured(self, labels_data, tiny):
        import keras

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch == 1

        clf = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 5}, callbacks=Stop())
        assert clf.fit(*labels_data).n_iter_ == 2
        assert clf.fit(*labels_data).n_iter_ == 2
        assert clf.callbacks._model is None  # does not keep the network alive


def plain_network(meta, num_experts=1, seed=None):
    """Build a network that this package does not have."""
    import keras

    def dense(units, offset):
        return keras.layers.Dense(
            units, kernel_initializer=keras.initializers.GlorotUniform(seed + offset)
        )

    inputs = keras.Input((meta["n_features_in_"],))
    hidden = keras.layers.ReLU()(dense(4 * num_experts, 1)(inputs))
    hidden = keras.layers.BatchNormalization()(hidden)
    outputs = [
        dense(units, 2 + k)(hidden) for k, units in enumerate(meta["task_units_"])
    ]
    return keras.Model(inputs, outputs)


def everything(**kwargs):
    """Take whatever is offered."""
    assert {"meta", "compile_kwargs", "dropout", "seed"} <= set(kwargs)
    assert kwargs["meta"]["n_classes_"] == [2, 2]
    assert kwargs["meta"]["n_outputs_"] == 2
    assert len(kwargs["compile_kwargs"]["loss"]) == 2
    return plain_network(kwargs["meta"], seed=kwargs["seed"])


def subclassed():
    import keras

    class Own(keras.Model):
        def call(self, x):
            return x

    return Own()


class TestUsersBuilder:
    @pytest.mark.slow
    @pytest.mark.parametrize("builder", [plain_network, everything])
    def test_classifier(self, labels_data, tiny, builder):
        X, y = labels_data
        parameters = {**tiny, "max_iter": 20, "learning_rate": 0.05}
        clf = MultiTaskMMoEClassifier(**parameters, network=builder).fit(X, y)
        assert clf.network_.layers[1].units == (8 if builder is plain_network else 4)
        assert np.mean(clf.predict(X) == y) > 0.7
        expected = clf.predict_proba(X)
        again = MultiTaskMMoEClassifier(**parameters, network=builder).fit(X, y)
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        for other in (copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))):
            np.testing.assert_array_equal(other.predict_proba(X), expected)
        assert clf.summary()["part"].unique().tolist() == ["network"]

    @pytest.mark.slow
    def test_other_kinds_and_going_on(self, values_data, tiny):
        X, y = values_data
        reg = MultiTaskMMoERegressor(**tiny, network=plain_network, warm_start=True)
        first = reg.fit(X, y).loss_
        assert reg.fit(X, y).loss_ < first
        mixed = np.column_stack(
            [y[:, 0], y[:, 1] > 0, np.digitize(y[:, 0], [-0.1, 0.1])]
        )
        model = MultiTaskMMoEMixed(**tiny, network=plain_network).fit(X, mixed)
        assert [p.shape[1] for p in model.predict_proba(X)] == [2, 3]
        model.partial_fit(X, mixed)

    @pytest.mark.parametrize(
        ("network", "error", "message"),
        [
            (lambda meta: "none", TypeError, "must return a keras.Model, got str"),
            (lambda meta: plain_network({**meta, "task_units_": [1]}, seed=0),
             ValueError, "one output for each task"),
            (lambda meta: plain_network({**meta, "task_units_": [1, 3]}, seed=0),
             ValueError, r"outputs of shapes \[\(None, 1\), \(None, 3\)\]"),
            (lambda meta: plain_network({**meta, "n_features_in_": 3}, seed=0),
             ValueError, "X has 6 features"),
            ("mmoe", ValueError, "'network' parameter"),
            (lambda meta: subclassed(), TypeError, "must return a functional"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_told(
        self, labels_data, tiny, network, error, message
    ):
        with pytest.raises(error, match=message):
            MultiTaskMMoEClassifier(**tiny, network=network).fit(*labels_data)

    def test_it_has_no_gates_to_look_at(self, labels_data, tiny):
        from sklearn_mmoe.inspection import gate_weights

        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**tiny, network=plain_network).fit(X, y)
        with pytest.raises(ValueError, match="no experts and gates"):
            gate_weights(clf, X)


def test_another_backend_is_told_before_anything_is_tried(
    monkeypatch, fitted_regressor, values_data
):
    import keras

    from sklearn_mmoe._training.engine import Engine

    whole = pickle.dumps(fitted_regressor)
    engine = fitted_regressor._engine
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    for attempt in (
        lambda: clone(fitted_regressor).fit(*values_data),
        lambda: pickle.loads(whole),
        lambda: Engine(engine.spec),
        lambda: Engine.__new__(Engine).__setstate__({}),
    ):
        with pytest.raises(RuntimeError, match="Keras runs on 'jax' here"):
            attempt()


@pytest.mark.parametrize("backend", ["jax"])
@pytest.mark.slow
def test_another_backend_is_told(backend, fitted_regressor, tmp_path):
    pytest.importorskip(backend)
    (tmp_path / "model").write_bytes(pickle.dumps(fitted_regressor))
    code = """
    import pickle, sys
    import numpy as np
    from sklearn_mmoe import MultiTaskMMoERegressor
    X = np.ones((20, 2))
    for attempt in (lambda: MultiTaskMMoERegressor(max_iter=1).fit(X, X),
                    lambda: pickle.load(open(sys.argv[1] + "/model", "rb"))):
        try:
            attempt()
        except RuntimeError as error:
            print(error)
    import sklearn_mmoe.layers
    from sklearn_mmoe.networks import mmoe_network
    network = mmoe_network({"n_features_in_": 2, "task_units_": [1, 1]}, seed=0)
    print(network(X.astype("float32"))[0].shape)
    """
    result = run(code, str(tmp_path), KERAS_BACKEND=backend)
    assert result.returncode == 0, result.stderr
    *errors, shape = result.stdout.splitlines()
    assert len(errors) == 2
    for error in errors:
        assert f"Keras runs on {backend!r}" in error
        assert "KERAS_BACKEND=tensorflow" in error
    assert shape == "(20, 1)"


def test_start_up_messages_are_held_back(capfd):
    """And nothing else is, neither at the beginning nor at the end."""
    from sklearn_mmoe._training.keras_import import _without_noise

    with _without_noise():
        os.write(2, b"I0000 oneDNN custom operations are on.\nAn error.\n")
        os.write(2, b"Could not find CUDA drivers\nAnother")
        assert capfd.readouterr().err == ""
    os.write(2, b" one")
    assert capfd.readouterr().err == "An error.\nAnother one"
    with contextlib.suppress(KeyError), _without_noise():
        os.write(2, b"of an error\n")
        raise KeyError
    assert capfd.readouterr().err == "of an error\n"


@pytest.mark.slow
def test_threads_follow_joblibs_limit():
    code = """
    import os
    import sklearn_mmoe.layers
    print(os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["TF_NUM_INTEROP_THREADS"])
    print(os.environ["TF_CPP_MIN_LOG_LEVEL"])
    """
    first = run(code, OMP_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL=None)
    assert first.stdout.split() == ["1", "1", "2"]
    assert first.stderr == ""
    own = run(code, OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="3").stdout.split()
    assert own[:2] == ["3", "1"]
    # A worker of a process in which they were set for that process alone.
    inherited = {
        "TF_NUM_INTRAOP_THREADS": "8",
        "TF_NUM_INTEROP_THREADS": "8",
        "SKLEARN_MMOE_NUM_THREADS": "8",
    }
    worker = run(code, OMP_NUM_THREADS="1", **inherited).stdout.split()
    assert worker[:2] == ["1", "1"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_fork_after_a_fit_is_told_and_does_not_hang(tmp_path):
    code = """
    import multiprocessing
    import numpy as np
    from sklearn_mmoe import MultiTaskMMoERegressor, load

    X = np.random.default_rng(0).normal(size=(40, 2))
    model = MultiTaskMMoERegressor(max_iter=1).fit(X, X)

    def work(what):
        try:
            what(X)
        except RuntimeError as error:
            print(error, flush=True)

    model.save(PATH)
    fit = lambda X: MultiTaskMMoERegressor(max_iter=1).fit(X, X)
    read = lambda X: load(PATH)
    for what in (model.predict, fit, lambda X: model.network_, read):
        process = multiprocessing.get_context("fork").Process(target=work, args=(what,))
        process.start()
        process.join(60)
        assert process.exitcode == 0
    print(model.predict(X).shape)
    """
    code = code.replace("PATH", repr(str(tmp_path / "model")))
    lines = run(code).stdout.splitlines()
    assert len(lines) == 5
    assert all("forked after TensorFlow" in line for line in lines[:4])
    assert lines[4] == "(40, 2)"


class TestToKeras:
    @pytest.mark.slow
    def test_it_is_a_copy(self, fitted_classifier, labels_data):
        X, y = labels_data
        before = fitted_classifier.predict_proba(X)
        model = fitted_classifier.to_keras()
        assert model is not fitted_classifier.network_
        assert model is not fitted_classifier.to_keras()
        shown = fitted_classifier.network_(X.astype("float32"))
        for output, expected in zip(model(X.astype("float32")), shown, strict=True):
            np.testing.assert_array_equal(output, expected)
        # Trained further, it leaves the estimator as it is.
        model.compile("sgd", ["binary_crossentropy"] * 2)
        model.fit(X.astype("float32"), [y[:, :1], y[:, 1:]], verbose=0)
        changed = (
            model.get_weights()[0] != fitted_classifier.to_keras().get_weights()[0]
        )
        assert changed.any()
        np.testing.assert_array_equal(fitted_classifier.predict_proba(X), before)

    @pytest.mark.slow
    def test_of_a_builder_of_ones_own(self, labels_data, tiny):
        from sklearn_mmoe.networks import mmoe_network

        X, y = labels_data
        clf = MultiTaskMMoEClassifier(network=mmoe_network, **tiny).fit(X, y)
        shown = clf.network_(X.astype("float32"))
        for output, expected in zip(
            clf.to_keras()(X.astype("float32")), shown, strict=True
        ):
            np.testing.assert_array_equal(output, expected)

    @pytest.mark.slow
    def test_of_an_ensemble_it_averages_the_members(self, values_data, tiny):
        X, y = values_data
        reg = MultiTaskMMoERegressor(cv=2, **{**tiny, "max_iter": 1}).fit(X, y)
        assert [o.shape for o in reg.network_.outputs] == [(None, 1)] * 2
        outputs = reg.to_keras()(X.astype("float32"))
        z = (reg.predict(X) - y.mean(axis=0)) / y.std(axis=0)
        np.testing.assert_allclose(np.hstack(outputs), z, atol=1e-5)

    @pytest.mark.slow
    @pytest.mark.parametrize("cv", [None, 2])
    def test_a_saved_model_needs_tensorflow_alone(
        self, cv, labels_data, tiny, tmp_path
    ):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(dtype="float64", cv=cv, **tiny).fit(X, y)
        clf.to_keras().export(str(tmp_path / "model"), verbose=False)
        np.save(tmp_path / "X.npy", X)
        code = """
        import sys, numpy as np, tensorflow as tf
        folder = sys.argv[1]
        model = tf.saved_model.load(folder + "/model")
        logits = model.serve(np.load(folder + "/X.npy"))
        np.save(folder + "/p.npy", np.hstack([tf.sigmoid(task) for task in logits]))
        assert "sklearn_mmoe" not in sys.modules
        """
        result = run(code, str(tmp_path))
        assert result.returncode == 0, result.stderr
        positive = np.column_stack([p[:, 1] for p in clf.predict_proba(X)])
        np.testing.assert_allclose(np.load(tmp_path / "p.npy"), positive, atol=1e-6)
