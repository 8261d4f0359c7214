"""What each step of training is given, and what it makes of it."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)


class Recorder:
    """Records what every call of the traced training function is given."""

    def __init__(self, monkeypatch):
        from sklearn_mmoe._training.trainer import Trainer

        self.calls = []
        train = Trainer.train

        def recording(trainer, batches, learning_rates):
            x = np.array(batches.features)
            self.calls.append(
                (x, batches.targets, batches.weights.copy(), learning_rates.copy())
            )
            return train(trainer, batches, learning_rates)

        monkeypatch.setattr(Trainer, "train", recording)

    def rows(self):
        """Return the first feature of all rows, in order, and their weights."""
        x = np.concatenate([call[0][:, 0] for call in self.calls])
        weights = np.concatenate([call[2] for call in self.calls])
        return x, weights

    def learning_rates(self):
        return np.concatenate([call[3] for call in self.calls])


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


@pytest.fixture
def numbered():
    """70 rows whose first feature is their number, and two regressions."""
    X = np.column_stack([np.arange(70.0), np.ones(70)])
    return X, np.column_stack([np.arange(70.0), np.arange(70.0) ** 2])


PLAIN = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "batch_size": 32,
    "max_iter": 2,
    "random_state": 0,
}


class TestBatches:
    def test_every_row_once_an_epoch_and_fillers_without_weight(
        self, recorder, numbered
    ):
        MultiTaskMMoERegressor(**PLAIN).fit(*numbered)
        x, weights = recorder.rows()
        assert len(x) == 2 * 96  # two epochs of three batches of 32
        for epoch in (slice(0, 96), slice(96, 192)):
            counts = (weights[epoch] > 0).all(axis=1)
            assert sorted(x[epoch][counts]) == list(range(70))
            assert (weights[epoch][~counts] == 0).all()
            np.testing.assert_allclose(weights[epoch][counts], 1, rtol=1e-6)

    def test_features_targets_and_weights_belong_together(self, recorder, numbered):
        X, y = numbered
        weight = np.arange(1.0, 71.0)
        MultiTaskMMoERegressor(**PLAIN).fit(X, y, weight)
        for x, targets, weights, _ in recorder.calls:
            rows = x[:, 0].astype(int)
            for k in range(2):
                mean = np.average(y[:, k], weights=weight)
                scale = np.sqrt(np.average((y[:, k] - mean) ** 2, weights=weight))
                expected = (y[rows, k] - mean) / scale
                np.testing.assert_allclose(targets[k][:, 0], expected, rtol=1e-5)
                counts = weights[:, k] > 0
                np.testing.assert_allclose(
                    weights[counts, k],
                    (weight / weight.mean())[rows[counts]],
                    rtol=1e-5,
                )

    def test_rows_are_shuffled_anew_in_each_epoch(self, recorder, numbered):
        MultiTaskMMoERegressor(**PLAIN).fit(*numbered)
        x, _ = recorder.rows()
        first, second = x[:70], x[96:166]
        assert not np.array_equal(first, np.sort(first))
        assert not np.array_equal(first, second)

    def test_and_in_each_call(self, recorder, numbered):
        """Of ``partial_fit``, and of a warm start, with the same seed."""
        reg = MultiTaskMMoERegressor(**{**PLAIN, "max_iter": 1}, warm_start=True)
        for call in (reg.partial_fit, reg.partial_fit, reg.fit, reg.fit):
            call(*numbered)
        x, _ = recorder.rows()
        orders = [tuple(x[start : start + 70]) for start in range(0, 4 * 96, 96)]
        assert len(set(orders)) == 4

    def test_seeds_give_other_orders(self, recorder, numbered):
        for seed in (0, 0, 1):
            parameters = {**PLAIN, "max_iter": 1, "random_state": seed}
            MultiTaskMMoERegressor(**parameters).fit(*numbered)
        x, _ = recorder.rows()
        orders = [tuple(x[start : start + 70]) for start in range(0, 3 * 96, 96)]
        assert orders[0] == orders[1] != orders[2]

    def test_memory_bounds_how_many_are_made_at_once(
        self, recorder, numbered, monkeypatch
    ):
        from sklearn_mmoe._batches import arrays

        expected = MultiTaskMMoERegressor(**PLAIN).fit(*numbered).loss_curve_
        assert [len(call[3]) for call in recorder.calls] == [3, 3]
        recorder.calls.clear()
        # Two batches of 32 rows: two features and a weight for each of the tasks.
        n_numbers = 2 + np.asarray(numbered[1]).reshape(len(numbered[1]), -1).shape[1]
        monkeypatch.setattr(arrays, "_TRAINING_BYTES", 2 * 32 * n_numbers * 4 + 100)
        again = MultiTaskMMoERegressor(**PLAIN).fit(*numbered).loss_curve_
        assert [len(call[3]) for call in recorder.calls] == [2, 1, 2, 1]
        np.testing.assert_allclose(again, expected, rtol=1e-6)

    def test_a_batch_larger_than_memory_is_made_alone(
        self, recorder, numbered, monkeypatch
    ):
        from sklearn_mmoe._batches import arrays

        monkeypatch.setattr(arrays, "_TRAINING_BYTES", 1)
        MultiTaskMMoERegressor(**{**PLAIN, "max_iter": 1}).fit(*numbered)
        assert [len(call[3]) for call in recorder.calls] == [1, 1, 1]

    @pytest.mark.parametrize("n_rows", [1, 31, 32, 33, 70])
    @pytest.mark.parametrize("form", ["array", "csr"])
    def test_a_source_by_itself(self, n_rows, form):
        from sklearn_mmoe._batches.arrays import ArrayBatches, TaskData, dense_parts

        X = np.arange(210.0).reshape(70, 3)
        rows = np.arange(70)[-n_rows:]
        X = sparse.csr_matrix(X) if form == "csr" else X
        data = TaskData(X, [np.arange(70)], np.ones((70, 1)), rows)
        source = ArrayBatches(data, 32, seed=0)
        n_batches = int(np.ceil(n_rows / 32))
        assert (source.n_rows, source.n_batches) == (n_rows, n_batches)
        # No more memory than the rows need, where TensorFlow reads it as it is.
        assert source._dense._array.shape == (n_batches * 32, 3)
        assert source._dense._array.ctypes.data % 64 == 0
        for one_by_one in (False, True):
            found = list(source.epoch(3, one_by_one))
            sizes = [batches.n_batches for batches in found]
            assert sizes == ([1] * n_batches if one_by_one else [n_batches])
            targets = np.concatenate([batches.targets[0] for batches in found])
            weights = np.concatenate([batches.weights for batches in found])
            assert sorted(targets[weights[:, 0] > 0]) == list(rows)
            assert len(targets) == 32 * n_batches
        parts = [np.array(part) for part in dense_parts(X, rows)]
        np.testing.assert_array_equal(parts, [np.arange(210.0).reshape(70, 3)[rows]])

    def test_parts_for_prediction_hold_a_row_at_least(self, monkeypatch):
        from sklearn_mmoe._batches import arrays

        made = []

        class Recording(arrays.DenseRows):
            def __init__(self, X, n_rows):
                made.append(n_rows)
                super().__init__(X, n_rows)

        monkeypatch.setattr(arrays, "DenseRows", Recording)
        X = np.arange(6.0).reshape(3, 2)
        assert [part.shape[0] for part in arrays.dense_parts(X)] == [3]
        monkeypatch.setattr(arrays, "_PREDICTION_BYTES", 1)
        assert [part.shape[0] for part in arrays.dense_parts(X)] == [1, 1, 1]
        monkeypatch.setattr(arrays, "_PREDICTION_BYTES", 2**25)
        monkeypatch.setattr(arrays, "_PREDICTION_ROWS", 2)
        assert [part.shape[0] for part in arrays.dense_parts(X)] == [2, 1]
        assert [part.shape for part in arrays.dense_parts(X[:, :0])] == [(2, 0), (1, 0)]
        assert made == [3, 1, 2, 2]  # no more memory than is needed

    def test_no_more_than_all_rows(self, recorder, numbered):
        MultiTaskMMoERegressor(**{**PLAIN, "batch_size": 1000}).fit(*numbered)
        assert [call[0].shape for call in recorder.calls] == [(70, 2)] * 2


class TestLearningRate:
    def test_linear(self, recorder, numbered):
        MultiTaskMMoERegressor(
            **{**PLAIN, "max_iter": 20}, learning_rate=0.2
        ).fit(*numbered)  # fmt: skip
        rates = recorder.learning_rates()
        steps = np.arange(60)
        expected = 0.2 * np.minimum((steps + 1) / 9, (60 - steps) / 51)
        np.testing.assert_allclose(rates, expected, rtol=1e-5)

    def test_constant(self, recorder, numbered):
        MultiTaskMMoERegressor(
            **PLAIN, learning_rate=0.02, learning_rate_schedule="constant"
        ).fit(*numbered)
        np.testing.assert_allclose(recorder.learning_rates(), 0.02)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("schedule", ["linear", "constant"])
    def test_the_optimizer_follows_it(self, numbered, schedule):
        """Also a trainer that another learning rate was used with before."""
        import keras

        seen = []

        class Look(keras.callbacks.Callback):
            def on_train_batch_end(self, batch, logs=None):
                seen.append(float(self.model.optimizer.learning_rate))

        for rate in (0.1, 0.03):
            reg = MultiTaskMMoERegressor(
                **PLAIN,
                learning_rate=rate,
                learning_rate_schedule=schedule,
                callbacks=Look(),
            )
            reg.fit(*numbered)
        steps = np.arange(6)
        shape = np.ones(6)
        if schedule == "linear":
            shape = np.minimum(steps + 1, (6 - steps) / 5)
        np.testing.assert_allclose(seen, np.r_[0.1 * shape, 0.03 * shape], rtol=1e-5)

    def test_partial_fit_takes_a_new_one(self, numbered, recorder):
        reg = MultiTaskMMoERegressor(**PLAIN, learning_rate=0.1).partial_fit(*numbered)
        reg.set_params(learning_rate=0.01).partial_fit(*numbered)
        rates = recorder.learning_rates()
        np.testing.assert_allclose(rates, [0.1] * 3 + [0.01] * 3, rtol=1e-6)

    @pytest.mark.slow
    def test_a_callback_may_change_a_constant_one_alone(self, numbered):
        import keras

        halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
        reg = MultiTaskMMoERegressor(
            **PLAIN, callbacks=halve, learning_rate_schedule="constant"
        )
        plain = clone(reg).set_params(callbacks=None).fit(*numbered)
        assert reg.fit(*numbered).loss_curve_ != plain.loss_curve_
        with pytest.raises(ValueError, match="learning_rate_schedule='constant'"):
            reg.set_params(learning_rate_schedule="linear").fit(*numbered)


def by_keras(spec, calls, seed_weights, optimizer):
    """Train a network on recorded batches with Keras' own step."""
    from sklearn_mmoe._architectures.network import build
    from sklearn_mmoe.losses import task_loss

    model = build(spec).model
    model.set_weights(seed_weights)
    model.compile(optimizer, loss=[task_loss(kind, spec.dtype) for kind in spec.kinds])
    for x, targets, weights, rates in calls:
        size = len(x) // len(rates)
        for i, rate in enumerate(rates):
            part = slice(i * size, (i + 1) * size)
            model.optimizer.learning_rate.assign(rate)
            model.train_on_batch(
                x[part],
                [target[part] for target in targets],
                [weight[part] for weight in weights.T],
            )
    return model


class TestAgainstKeras:
    """The same batches, trained on by Keras itself, end in the same weights."""

    @pytest.mark.parametrize(
        "optimizer",
        [
            "adamw",
            *(pytest.param(o, marks=pytest.mark.slow) for o in ("sgd", "rmsprop")),
        ],
    )
    def test_mixed_kinds_penalty_and_weights(self, recorder, labels_data, optimizer):
        import keras

        X, labels = labels_data
        rng = np.random.default_rng(0)
        y = pd.DataFrame(
            {
                "two": labels[:, 0],
                "three": np.digitize(X[:, 0], [-0.5, 0.5]),
                "value": X[:, 1] + 1,
            }
        ).astype({"value": float})
        y.loc[:20, "value"] = np.nan
        model = MultiTaskMMoEMixed(
            **PLAIN, dropout=0.0, optimizer=optimizer, weight_decay=0.01,
            task_types={"two": "classification", "three": "classification"},
        )  # fmt: skip
        model.fit(X, y, sample_weight=rng.uniform(0.5, 2, len(y)))
        engine = model._engine
        from sklearn_mmoe._architectures.network import build

        start = build(engine.spec).model.get_weights()
        config = {"learning_rate": 0.01, "weight_decay": 0.01}
        theirs = keras.optimizers.get({"class_name": optimizer, "config": config})
        expected = by_keras(engine.spec, recorder.calls, start, theirs).get_weights()
        for ours, weight, first in zip(
            model.network_.get_weights(), expected, start, strict=True
        ):
            np.testing.assert_allclose(ours, weight, atol=2e-5)
            assert ours.ndim == 1 or not np.allclose(ours, first, atol=1e-4)

    def test_losses_are_those_of_the_batches(self, recorder, labels_data):
        """With a learning rate of nearly nothing, losses are those of the start."""
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "batch_size": 64},
            dropout=0.0,
            learning_rate=1e-12,
            weight_decay=0.0,
            feature_penalty=0.0,
        ).fit(X, y)
        for k in range(2):
            p = clf.predict_proba(X)[k][np.arange(200), y[:, k]]
            losses = clf.task_loss_curves_[f"task_{k}"]
            np.testing.assert_allclose(losses, -np.log(p).mean(), rtol=1e-5)
        np.testing.assert_allclose(
            clf.loss_curve_, np.sum(list(clf.task_loss_curves_.values()), axis=0)
        )

    @pytest.mark.parametrize("n_tasks", [1, 2])
    @pytest.mark.parametrize("n_rows", [33, 64])
    def test_the_penalty_is_what_the_regularizers_say(
        self, labels_data, n_tasks, n_rows
    ):
        """Also where the last batch is nearly empty."""
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **PLAIN, dropout=0.0, learning_rate=1e-12, feature_penalty=50.0
        ).fit(X[:n_rows], y[:n_rows, :n_tasks])
        kernel = clf.network_.get_layer("wide_and_shared_0").get_weights()[0]
        expected = 50 / np.sqrt(n_rows) * np.linalg.norm(kernel, axis=1).sum()
        tasks = np.sum([curve[0] for curve in clf.task_loss_curves_.values()])
        assert clf.loss_curve_[0] - tasks == pytest.approx(expected, rel=1e-4)
        assert sum(map(float, clf.network_.losses)) == pytest.approx(expected, rel=1e-4)

    @pytest.mark.slow
    def test_the_penalty_counts_the_rows_trained_on(self, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **PLAIN, early_stopping=True, validation_fraction=0.5, feature_penalty=1.0
        ).fit(X, y)
        strength = clf.network_.get_layer(
            "wide_and_shared_0"
        ).kernel_regularizer.strength
        assert strength == pytest.approx(1 / np.sqrt(100))

    def test_a_fit_of_few_features_penalises_no_hidden_kernel(self):
        """Three features and three experts: a hidden kernel's first axis is 3 too."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(64, 3)), rng.integers(2, size=(64, 2))
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "num_experts": 3, "shared_units": (), "expert_units": (4, 4)},
            wide=False, dropout=0.0, learning_rate=1e-12,
            feature_penalty=8.0,
        ).fit(X, y)  # fmt: skip
        mmoe = clf.network_.get_layer("mmoe")
        kernels = [np.asarray(mmoe.expert_kernel), np.asarray(mmoe.gate_kernel)]
        norms = [np.linalg.norm(k.reshape(3, -1), axis=1).sum() for k in kernels]
        tasks = np.sum([curve[0] for curve in clf.task_loss_curves_.values()])
        assert clf.loss_curve_[0] - tasks == pytest.approx(sum(norms), rel=1e-4)


class TestDropout:
    @pytest.mark.slow
    def test_there_is_some(self, labels_data):
        """Before anything is learnt, dropout alone makes the loss another."""
        X, y = labels_data
        parameters = {**PLAIN, "learning_rate": 1e-12, "feature_penalty": 0.0}
        losses = [
            MultiTaskMMoEClassifier(**parameters, dropout=rate).fit(X, y).loss_curve_
            for rate in (0.0, 0.5)
        ]
        assert abs(losses[1][0] - losses[0][0]) > 1e-4
        assert losses[0][0] == pytest.approx(losses[0][1], rel=1e-6)
        assert abs(losses[1][0] - losses[1][1]) > 1e-5  # another in each epoch

    @pytest.mark.slow
    def test_it_goes_on_where_it_stood(self, labels_data):
        """Of a warm start too, on the same rows in the same order."""
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "max_iter": 1, "batch_size": 200, "learning_rate": 1e-12},
            dropout=0.5, warm_start=True,
        )  # fmt: skip
        for _ in range(3):
            clf.fit(X, y)
        assert len(set(np.round(clf.loss_curve_, 6))) == 3

    @pytest.mark.slow
    def test_it_goes_on_so_whoever_trained_in_between(self, labels_data):
        """Neither another fit of the structure nor a pickle moves it."""
        from sklearn_mmoe.networks import clear_cache

        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN, dropout=0.5, warm_start=True).fit(X, y)
        copies = [pickle.loads(pickle.dumps(clf)) for _ in range(2)]
        expected = clf.fit(X, y).loss_curve_
        MultiTaskMMoEClassifier(**{**PLAIN, "random_state": 5}, dropout=0.5).fit(X, y)
        assert copies[0].fit(X, y).loss_curve_ == expected
        clear_cache()
        assert copies[1].fit(X, y).loss_curve_ == expected

    @pytest.mark.slow
    def test_layers_have_seeds_of_their_own(self, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "shared_units": (8, 8), "max_iter": 1, "learning_rate": 1e-12}
        ).fit(X, y)
        weights = {w.path: np.asarray(w) for w in clf.network_.weights}
        towers = [weights[f"tower_{k}_0/kernel"] for k in range(2)]
        assert not np.allclose(*towers, atol=1e-3)
        experts = weights["mmoe/expert_kernel"]
        assert not np.allclose(experts[:, 0], experts[:, 1], atol=1e-3)
        states = [s.tolist() for s in clf._engine.state.random]
        assert len({first for first, _ in states}) == len(states) == 4

    @pytest.mark.slow
    @pytest.mark.parametrize("cv", [None, 2])
    def test_of_a_network_that_is_handed_out_too(self, labels_data, cv):
        """They are those of the network's seed, though its weights are not drawn."""
        X, y = labels_data
        options = {**PLAIN, "max_iter": 1, "dropout": 0.2, "gate_dropout": 0.1}
        states = []
        for seed in (0, 0, 1):
            options |= {"random_state": seed, "cv": cv}
            model = MultiTaskMMoEClassifier(**options).fit(X, y).to_keras()
            generators = [v for v in model.variables if "seed_generator" in v.path]
            assert len(generators) > 2
            states.append([tuple(v.numpy().tolist()) for v in generators])
            assert len(set(states[-1])) == len(generators)
        assert states[0] == states[1]
        assert not set(states[0]) & set(states[2])


class TestOptimizers:
    @pytest.mark.slow
    @pytest.mark.parametrize("cv", [None, 2])
    def test_copies_of_weights_begin_where_these_do(self, labels_data, cv, monkeypatch):
        """At a warm start too: schedule-free optimizers remember such copies."""
        import keras

        from sklearn_mmoe._training.trainer import Trainer

        class Anchored(keras.optimizers.SGD):
            def build(self, weights):
                if self.built:
                    return
                super().build(weights)
                self.anchors = [
                    self.add_variable_from_reference(weight, name="anchor")
                    for weight in weights
                ]
                for anchor, weight in zip(self.anchors, weights, strict=True):
                    anchor.assign(weight.value)

        seen = []
        load = Trainer._load_optimizer

        def watched(self, *state):
            load(self, *state)
            anchors = [anchor.numpy() for anchor in self.optimizer.anchors]
            weights = [w.numpy() for w in self.model.trainable_variables]
            seen.append((anchors, weights))

        monkeypatch.setattr(Trainer, "_load_optimizer", watched)
        X, y = labels_data
        model = MultiTaskMMoEClassifier(
            **{**PLAIN, "max_iter": 1, "cv": cv, "warm_start": True},
            optimizer=Anchored(0.01),
            learning_rate_schedule="constant",
        )
        for _ in range(2):
            model.fit(X, y)
        assert len(seen) == 2
        for anchors, weights in seen:
            assert max(np.abs(weight).max() for weight in weights) > 0.1
            for anchor, weight in zip(anchors, weights, strict=True):
                np.testing.assert_array_equal(anchor, weight)

    def test_adamw_is_one_operation_for_each_weight(self):
        import keras
        import tensorflow as tf

        from sklearn_mmoe._training.optimizers import make_optimizer

        optimizer = make_optimizer("adamw", 0.1, 0.0)
        weights = [keras.Variable(np.ones(2)), keras.Variable(np.ones(3))]
        optimizer.build(weights)
        step = tf.function(lambda: optimizer.apply([tf.ones(2), tf.ones(3)], weights))
        kinds = [op.type for op in step.get_concrete_function().graph.get_operations()]
        assert kinds.count("ResourceApplyAdam") == 2

    @pytest.mark.parametrize(
        ("n_steps", "expected"),
        [(1, [1]), (2, [1, 1]), (5, [1, 1, 0.75, 0.5, 0.25]), (0, [])],
    )
    def test_few_updates(self, n_steps, expected):
        from sklearn_mmoe._training.optimizers import learning_rates

        rates = learning_rates("linear", 2.0, np.arange(n_steps), n_steps)
        np.testing.assert_allclose(rates, 2 * np.array(expected), rtol=1e-6)
        assert rates.dtype == np.float32
        constant = learning_rates("constant", 2.0, np.arange(n_steps), n_steps)
        np.testing.assert_array_equal(constant, np.full(n_steps, 2.0, np.float32))
        assert constant.dtype == np.float32

    def test_the_callbacks_optimizer_is_it_under_any_policy(self, labels_data):
        """Keras would hand them another around it, which scales the loss."""
        import keras

        from sklearn_mmoe._training.optimizers import FusedAdamW

        seen = []

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                seen.append((type(self.model.optimizer), self.params))

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        try:
            MultiTaskMMoEClassifier(**PLAIN, callbacks=Look()).fit(*labels_data)
        finally:
            keras.config.set_dtype_policy(before)
        assert seen == [(FusedAdamW, {"verbose": 0, "epochs": 2, "steps": 7})]


class TestWideParts:
    def test_each_task_has_a_linear_model_of_its_own(self):
        """Two tasks that are linear in features of their own, and little else."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, 2))
        reg = MultiTaskMMoERegressor(
            **{**PLAIN, "max_iter": 30, "learning_rate": 0.05},
            dropout=0.0, feature_penalty=0.0, weight_decay=0.0,
        ).fit(X, X)  # fmt: skip
        kernel = reg.network_.get_layer("wide_and_shared_0").get_weights()[0]
        assert kernel[0, 0] > 3 * abs(kernel[0, 1])
        assert kernel[1, 1] > 3 * abs(kernel[1, 0])
        assert reg.score(X, X) > 0.95


class TestEarlyStopping:
    @staticmethod
    def stopped(labels_data, scores, **parameters):
        scores = iter(scores)
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "max_iter": 20},
            early_stopping=True,
            early_stopping_metric=lambda *args: next(scores),
            **parameters,
        )
        return clf.fit(*labels_data)

    @pytest.mark.parametrize("patience", [1, 2, 4])
    def test_patience(self, labels_data, patience):
        """As MLPClassifier: more than so many epochs without a change."""
        scores = [0.1, 0.5] + [0.2] * 18
        clf = self.stopped(labels_data, scores, n_iter_no_change=patience)
        assert clf.n_iter_ == 2 + patience + 1
        assert clf.best_epoch_ == 2

    def test_tol(self, labels_data):
        rising = 0.5 + 0.01 * np.arange(20)
        kept = self.stopped(labels_data, rising, n_iter_no_change=2, tol=0.005)
        assert kept.n_iter_ == 20
        stopped = self.stopped(labels_data, rising, n_iter_no_change=2, tol=0.05)
        assert stopped.n_iter_ == 4
        assert stopped.best_epoch_ == 4  # kept, though it does not count as a change
        equal = self.stopped(labels_data, [0.5] * 20, n_iter_no_change=2, tol=0.0)
        assert equal.n_iter_ == 20

    def test_the_split_is_stratified_and_seeded(self, labels_data, recorder):
        X = np.column_stack([np.arange(200.0), labels_data[0]])
        rare = np.zeros((200, 2), dtype=int)
        rare[:20, 0] = 1
        rare[10:30, 1] = 1
        trained = []
        for seed in (0, 0, 1):
            recorder.calls.clear()
            MultiTaskMMoEClassifier(
                **{**PLAIN, "max_iter": 1, "random_state": seed},
                early_stopping=True,
                validation_fraction=0.5,
            ).fit(X, rare)
            x, weights = recorder.rows()
            rows = np.unique(x[weights.any(axis=1)]).astype(int)
            assert rare[rows].sum(axis=0).tolist() == [10, 10]
            assert (rare[rows].sum(axis=1) == 2).sum() == 5
            trained.append(tuple(rows))
        assert trained[0] == trained[1] != trained[2]

    @pytest.mark.slow
    def test_validation_weights_count(self, labels_data):
        X, y = labels_data
        wrong = np.r_[y[:100], 1 - y[100:]]
        weight = np.r_[np.ones(100), np.zeros(100)]
        clf = MultiTaskMMoEClassifier(**PLAIN, early_stopping=True)
        weighted = clone(clf).fit(
            X, y, X_val=X, y_val=wrong, sample_weight_val=weight
        )  # fmt: skip
        alone = clone(clf).fit(X, y, X_val=X[:100], y_val=y[:100])
        plain = clone(clf).fit(X, y, X_val=X, y_val=wrong)
        np.testing.assert_allclose(
            weighted.validation_scores_, alone.validation_scores_, rtol=1e-5
        )
        assert not np.allclose(plain.validation_scores_, alone.validation_scores_)

    @pytest.mark.slow
    def test_validation_weights_weigh(self, labels_data):
        """Rows of other weights than zero and one, in the loss too."""
        X, y = labels_data
        weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
        clf = MultiTaskMMoEClassifier(**PLAIN, early_stopping=True)
        clf.fit(X, y, X_val=X, y_val=y, sample_weight_val=weight)
        expected = 0.0
        for k, probabilities in enumerate(clf.predict_proba(X)):
            losses = -np.log(probabilities[np.arange(len(y)), y[:, k]])
            expected += np.average(losses, weights=weight)
        assert -clf.best_validation_score_ == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("metric", ["roc_auc", "accuracy"])
    def test_weights_reach_a_metric(self, labels_data, metric):
        X, y = labels_data
        wrong = np.r_[y[:100], 1 - y[100:]]
        weight = np.r_[np.ones(100), np.full(100, 1e-12)]
        clf = MultiTaskMMoEClassifier(
            **PLAIN, early_stopping=True, early_stopping_metric=metric
        )
        weighted = clone(clf).fit(
            X, y, X_val=X, y_val=wrong, sample_weight_val=weight
        )  # fmt: skip
        alone = clone(clf).fit(X, y, X_val=X[:100], y_val=y[:100])
        np.testing.assert_allclose(
            weighted.validation_scores_, alone.validation_scores_, atol=1e-6
        )

    def test_a_warm_start_has_scores_of_its_own(self, labels_data):
        X, y = labels_data
        scores = iter([0.9, 0.8, 0.3, 0.4])
        clf = MultiTaskMMoEClassifier(
            **PLAIN,
            early_stopping=True,
            warm_start=True,
            early_stopping_metric=lambda *args: next(scores),
        )
        clf.fit(X, y)
        assert (clf.best_validation_score_, clf.best_epoch_) == (0.9, 1)
        clf.fit(X, y)
        assert clf.validation_scores_ == [0.9, 0.8, 0.3, 0.4]
        assert (clf.best_validation_score_, clf.best_epoch_) == (0.4, 4)
        clf.set_params(early_stopping=False).fit(X, y)
        assert clf.validation_scores_ is None
        assert clf.best_epoch_ is None


@pytest.fixture(scope="module")
def warm(labels_data):
    return MultiTaskMMoEClassifier(**PLAIN, warm_start=True).fit(*labels_data)


class TestGoingOn:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_experts", 3),
            ("expert_units", 5),
            ("expert_units", (4, 4)),
            ("num_task_experts", 3),
            ("num_levels", 3),
            ("match_parameters", "single"),
            ("shared_units", (9,)),
            ("tower_units", ()),
            ("sharing", "cgc"),
            ("activation", "relu"),
            ("wide", False),
            ("dropout", 0.5),
            ("feature_penalty", 0.1),
            ("dtype", "float64"),
            ("network", lambda meta: None),
        ],
    )
    def test_another_network_is_refused(self, warm, labels_data, name, value):
        X, y = labels_data
        clf = copy.deepcopy(warm)
        before = clf.predict_proba(X)
        for call in (clf.fit, clf.partial_fit):
            clf.set_params(**{name: value})
            with pytest.raises(ValueError, match=f"{name}"):
                call(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), before)

    def test_a_fit_from_the_beginning_takes_another_network(self, warm, labels_data):
        clf = copy.deepcopy(warm).set_params(warm_start=False, num_experts=3)
        assert clf.fit(*labels_data).n_parameters_ > warm.n_parameters_

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "value"), [("optimizer", "sgd"), ("weight_decay", 0.5)]
    )
    def test_partial_fit_refuses_another_optimizer(self, labels_data, name, value):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN).partial_fit(X, y)
        with pytest.raises(ValueError, match=name):
            clf.set_params(**{name: value}).partial_fit(X, y)
        clf.fit(X, y).partial_fit(X, y)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(
        "optimizer",
        [
            "adamw",
            "nadam",
            *(
                pytest.param(o, marks=pytest.mark.slow)
                for o in ("adam", "lion", "rmsprop")
            ),
        ],
    )
    def test_partial_fit_goes_on_with_the_optimizer(self, labels_data, optimizer):
        """One fit of two epochs is two calls, where the order of rows says nothing."""
        X, y = labels_data
        common = {
            **PLAIN, "batch_size": 200, "dropout": 0.0, "feature_penalty": 0.0,
            "weight_decay": 0.1,
            "optimizer": optimizer, "learning_rate_schedule": "constant",
        }  # fmt: skip
        whole = MultiTaskMMoEClassifier(**{**common, "max_iter": 3}).fit(X, y)
        parts = MultiTaskMMoEClassifier(**common)
        for _ in range(3):
            parts.partial_fit(X, y)
        np.testing.assert_allclose(
            np.hstack(parts.predict_proba(X)), np.hstack(whole.predict_proba(X)),
            atol=1e-4,
        )  # fmt: skip

    def test_weights_count_in_partial_fit(self, recorder, labels_data):
        X, y = labels_data
        weight = np.r_[np.ones(100), np.zeros(100)]
        MultiTaskMMoEClassifier(**PLAIN).partial_fit(X, y, sample_weight=weight)
        x, weights = recorder.rows()
        assert set(x[weights.any(axis=1)]) == set(X[:100, 0].astype(np.float32))

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("loss", ["squared_error", "huber", "quantile", "poisson"])
    @pytest.mark.parametrize("n_first", [1, 50])
    def test_what_did_not_vary_at_first_is_learned_later(self, loss, n_first):
        X = np.random.default_rng(0).normal(size=(250, 3))
        y = np.column_stack([np.exp(X[:, 0]) * 100, X[:, 1] ** 2])
        y[:n_first, 0] = 0
        model = MultiTaskMMoERegressor(**{**PLAIN, "loss": loss, "learning_rate": 0.02})
        for _ in range(12):
            for rows in (slice(n_first), slice(n_first, 150), slice(150, None)):
                model.partial_fit(X[rows], y[rows])
        predicted = model.predict(X)[n_first:, 0]
        assert np.corrcoef(predicted, y[n_first:, 0])[0, 1] > 0.5

    @pytest.mark.slow
    def test_its_loss_then_counts_as_that_of_others(self):
        """And what was predicted until then stays where it was."""
        X = np.random.default_rng(0).normal(size=(100, 3))
        model = MultiTaskMMoERegressor(**{**PLAIN, "loss": "absolute_error"})
        model.partial_fit(X[:1], [5.0])
        y = 5 + X[:, 0] * 1000
        model.partial_fit(X, y)
        (task,) = model._tasks
        assert task.mean == 5
        size = np.abs(y - 5)
        assert task.scale == pytest.approx(np.sqrt((size**2).mean()))
        assert task.loss_scale == pytest.approx(task.scale / size.mean())

    def test_warm_starts_learn_what_did_not_vary_too(self):
        X = np.random.default_rng(0).normal(size=(200, 3))
        model = MultiTaskMMoERegressor(**{**PLAIN, "warm_start": True})
        model.fit(X, np.full(200, 7.0))
        np.testing.assert_array_equal(model.predict(X), 7)
        model.set_params(max_iter=20, learning_rate=0.02).fit(X, X[:, 0] * 1000)
        assert model.score(X, X[:, 0] * 1000) > 0.5

    def test_a_fit_keeps_no_training_state(self, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN).fit(X, y)
        assert clf._engine.state.optimizer is None
        assert clf._engine._trainer is None
        assert clf.partial_fit(X, y)._engine.state.optimizer is not None


class TestMixedLosses:
    def test_each_is_divided_by_that_of_a_constant(self, recorder, values_data):
        X, y = values_data
        rare = (y[:, 1] > np.quantile(y[:, 1], 0.9)).astype(int)
        frame = pd.DataFrame({"hours": y[:, 0], "rare": rare})
        MultiTaskMMoEMixed(**PLAIN).fit(X, frame)
        _, weights = recorder.rows()
        counts = weights.any(axis=1)
        share = rare.mean()
        entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share))
        np.testing.assert_allclose(weights[counts, 0], 1, rtol=1e-6)
        np.testing.assert_allclose(weights[counts, 1], 1 / entropy, rtol=1e-6)


class TestDtype:
    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_all_is_computed_in_it(self, recorder, labels_data, dtype):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN, dtype=dtype).fit(X, y)
        x, targets, weights, _ = recorder.calls[0]
        assert {x.dtype, weights.dtype, *(t.dtype for t in targets)} == {
            np.dtype(dtype)
        }
        assert {w.dtype for w in clf._engine.state.weights} == {np.dtype(dtype)}
        outputs = clf._engine.predict(X.astype(dtype))
        assert {output.dtype for output in outputs} == {np.dtype(dtype)}

    @pytest.mark.slow
    @pytest.mark.parametrize("floatx", ["float64", "float16"])
    def test_global_settings_change_nothing(self, labels_data, floatx):
        import keras

        from sklearn_mmoe.networks import clear_cache

        X, y = labels_data
        expected = MultiTaskMMoEClassifier(**PLAIN).fit(X, y).predict_proba(X)
        before = keras.config.floatx(), keras.config.dtype_policy()
        clear_cache()
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy("mixed_float16")
        try:
            probabilities = MultiTaskMMoEClassifier(**PLAIN).fit(X, y).predict_proba(X)
        finally:
            keras.config.set_floatx(before[0])
            keras.config.set_dtype_policy(before[1])
            clear_cache()
        np.testing.assert_allclose(probabilities, expected, atol=1e-3)

    @pytest.mark.slow
    def test_a_refit_in_another_dtype_reads_its_validation_rows_so(self, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN, early_stopping=True).fit(X, y)
        clf.set_params(dtype="float64").fit(X, y, X_val=X, y_val=y)
        expected = MultiTaskMMoEClassifier(**clf.get_params())
        expected.fit(X, y, X_val=X, y_val=y)
        assert clf.validation_scores_ == expected.validation_scores_


class TestValidationRows:
    @pytest.mark.parametrize("what", ["y_val", "sample_weight_val"])
    def test_without_any_target_they_are_refused(self, values_data, what):
        X, y = values_data
        given = {"X_val": X, "y_val": y}
        if what == "y_val":
            given["y_val"] = np.full_like(y, np.nan)
        else:
            given["sample_weight_val"] = np.zeros(len(y))
        reg = MultiTaskMMoERegressor(**PLAIN, early_stopping=True)
        with pytest.raises(ValueError, match=r"y_val|sample_weight"):
            reg.fit(X, y, **given)

    @pytest.mark.slow
    def test_a_warm_start_keeps_its_split(self, labels_data, recorder):
        X, y = labels_data
        X = np.column_stack([np.arange(200.0), X])
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "random_state": None, "max_iter": 1},
            early_stopping=True,
            warm_start=True,
        )
        trained = []
        for _ in range(2):
            recorder.calls.clear()
            clf.fit(X, y)
            x, weights = recorder.rows()
            trained.append(set(x[weights.any(axis=1)]))
        assert trained[0] == trained[1]
        assert len(trained[0]) == 180

    def test_one_rare_row_leaves_the_split_stratified(self, labels_data, recorder):
        X = np.column_stack([np.arange(200.0), labels_data[0]])
        y = np.zeros(200, dtype=int)
        y[:20], y[20] = 1, 2
        MultiTaskMMoEClassifier(
            **{**PLAIN, "max_iter": 1}, early_stopping=True, validation_fraction=0.5
        ).fit(X, y)
        x, weights = recorder.rows()
        rows = np.unique(x[weights.any(axis=1)]).astype(int)
        assert (y[rows] == 1).sum() == 10

    @pytest.mark.slow
    def test_a_task_of_one_target_is_trained_on(self, values_data, recorder):
        X, y = values_data
        y = y.copy()
        y[1:, 1] = np.nan
        for seed in range(6):
            recorder.calls.clear()
            MultiTaskMMoERegressor(
                **{**PLAIN, "random_state": seed, "max_iter": 1},
                early_stopping=True,
                validation_fraction=0.5,
            ).fit(X, y)
            assert recorder.rows()[1][:, 1].sum() > 0

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("form", ["coo", "csc", "bsr"])
    def test_sparse_rows_of_every_format_are_scored(self, values_data, form):
        X, y = values_data
        reg = MultiTaskMMoERegressor(
            **PLAIN, early_stopping=True, early_stopping_metric="r2"
        )
        expected = clone(reg).fit(X, y).validation_scores_
        scores = reg.fit(sparse.csr_matrix(X).asformat(form), y).validation_scores_
        np.testing.assert_allclose(scores, expected, rtol=1e-5)

    @pytest.mark.slow
    def test_minus_infinity_is_no_improvement(self, labels_data):
        clf = MultiTaskMMoEClassifier(
            **{**PLAIN, "max_iter": 9},
            early_stopping=True,
            early_stopping_metric=lambda *args: -np.inf,
            n_iter_no_change=2,
        )
        with pytest.warns(UserWarning, match="is -inf after epoch 1"):
            clf.fit(*labels_data)
        assert clf.n_iter_ == 3


class TestWhileTraining:
    def test_the_network_is_the_present_one(self, labels_data):
        from sklearn_mmoe.inspection import gate_weights

        X, y = labels_data
        seen = []

        def metric(estimator, X, y):
            network = np.hstack(estimator.network_(X.astype("float32")))
            outputs = np.hstack(estimator._engine.predict(X.astype("float32")))
            np.testing.assert_allclose(network, outputs, atol=1e-5)
            seen.append(gate_weights(estimator, X))
            return 0.0

        clf = MultiTaskMMoEClassifier(
            **PLAIN, early_stopping=True, early_stopping_metric=metric
        ).fit(X, y)
        assert not np.allclose(seen[0], seen[1], atol=1e-6)
        kept = gate_weights(clf, X)
        assert kept.shape[2] == 2

    @pytest.mark.slow
    def test_batch_hooks_of_a_lambda_callback(self, labels_data):
        import keras

        calls = []
        count = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: calls.append(batch)
        )
        MultiTaskMMoEClassifier(**PLAIN, callbacks=count).fit(*labels_data)
        assert calls == list(range(7)) * 2

    def test_a_batch_hook_may_not_set_a_linear_learning_rate(self, labels_data):
        import keras

        class Set(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                self.model.optimizer.learning_rate.assign(0.5)

        clf = MultiTaskMMoEClassifier(**PLAIN, callbacks=Set())
        with pytest.raises(ValueError, match="learning_rate_schedule='constant'"):
            clf.fit(*labels_data)

    @pytest.mark.slow
    def test_a_callback_may_look_at_its_model(self, labels_data):
        import keras

        class Look(keras.callbacks.Callback):
            def set_model(self, model):
                super().set_model(model)
                self.n_layers = len(model.layers)

        look = Look()
        MultiTaskMMoEClassifier(**PLAIN, callbacks=look).fit(*labels_data)
        assert look.n_layers > 3
        assert look._model is None

    @pytest.mark.slow
    def test_task_scores_let_go_after_an_error(self, labels_data):
        import keras

        from sklearn_mmoe.callbacks import TaskScores

        def fail(epoch, logs):
            raise RuntimeError("enough")

        X, y = labels_data
        scores = TaskScores({"train": (X, y)}, verbose=False)
        failing = keras.callbacks.LambdaCallback(on_epoch_end=fail)
        clf = MultiTaskMMoEClassifier(**PLAIN, callbacks=[scores, failing])
        with pytest.raises(RuntimeError, match="enough"):
            clf.fit(X, y)
        assert scores._estimator is None


class TestOptimizerObjects:
    @pytest.mark.slow
    def test_partial_fit_follows_their_learning_rate(self, labels_data):
        import keras

        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**PLAIN, optimizer=keras.optimizers.SGD(0.1))
        before = np.hstack(clf.partial_fit(X, y).predict_proba(X))
        # Another object of the same settings, and another rate.
        clf.set_params(optimizer=keras.optimizers.SGD(1e-12)).partial_fit(X, y)
        np.testing.assert_allclose(np.hstack(clf.predict_proba(X)), before, atol=1e-6)
        with pytest.raises(ValueError, match="optimizer"):
            clf.set_params(optimizer=keras.optimizers.SGD(0.1, 0.9)).partial_fit(X, y)


@pytest.mark.slow
def test_one_update_learns(labels_data):
    X, y = labels_data
    clf = MultiTaskMMoEClassifier(
        **{**PLAIN, "batch_size": 200, "max_iter": 1}, warm_start=True
    ).fit(X, y)
    before = np.hstack(clf.predict_proba(X))
    assert not np.allclose(np.hstack(clf.fit(X, y).predict_proba(X)), before)


@pytest.mark.slow
def test_few_rows_make_a_small_batch(numbered, recorder):
    X, y = numbered
    parameters = {**PLAIN, "batch_size": "auto", "max_iter": 1}
    MultiTaskMMoERegressor(**parameters).fit(X[:4], y[:4])
    assert recorder.calls[0][0].shape == (4, 2)


def test_outputs_beyond_numbers_are_refused(fitted_classifier, fitted_regressor):
    X = np.full((2, 6), 3e38)
    X[:, ::2] *= -1
    for model in (fitted_classifier, fitted_regressor):
        with pytest.raises(ValueError, match="not finite for some rows"):
            model.predict(X)
