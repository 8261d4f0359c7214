"""Fits that cross-validate: members for folds, and the choice among candidates."""

from __future__ import annotations

import itertools
import pickle
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
)

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe._tasks.kinds import LINKS
from sklearn_mmoe.inspection import expert_outputs, gate_weights

SMALL = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "dropout": 0.0,
    "batch_size": 16,
    "max_iter": 3,
    "random_state": 0,
    "kernel_ridge": None,
}


def regression_data(n_rows=60, noise=0.1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4))
    signal = np.column_stack([X[:, 0] + X[:, 1], X[:, 1] - X[:, 2]])
    return X, signal + noise * rng.normal(size=signal.shape)


def label_data(n_rows=60):
    X, y = regression_data(n_rows)
    return X, np.column_stack([y[:, 0] > 0, np.digitize(y[:, 1], [-0.7, 0.7])])


@pytest.fixture(scope="module")
def chosen():
    """A regressor with members for two folds and three candidates."""
    X, y = regression_data()
    return MultiTaskMMoERegressor(**SMALL, cv=2).fit(X, y)


@pytest.fixture(scope="module")
def chosen_classifier():
    return MultiTaskMMoEClassifier(**SMALL, cv=2).fit(*label_data())


def member_weights(estimator):
    """Those of the first task, and of all where all have as many targets."""
    spec = estimator._engine.spec
    if spec.member_weights is None:
        return [1 / spec.n_members] * spec.n_members
    return spec.member_weights[0]


def task_data(folds=None, n_folds=None):
    from sklearn_mmoe._batches.arrays import TaskData

    X, y = regression_data()
    return TaskData(
        X.astype("float32"),
        [y[:, [k]].astype("float32") for k in range(2)],
        np.ones((60, 2), dtype="float32"),
        np.arange(60),
        folds,
        n_folds,
    )


def plan(weight_decay, **changed):
    from sklearn_mmoe._training.loop import TrainingPlan

    options = {
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "learning_rate_schedule": "linear",
        "weight_decay": weight_decay,
        "batch_size": 16,
        "n_epochs": 3,
        "n_iter_no_change": 5,
        "tol": 0.0,
    }
    return TrainingPlan(**{**options, **changed})


def engine_of(penalty, n_members=None, **parameters):
    from sklearn_mmoe._training.engine import Engine, NetworkSpec

    parameters = {
        "num_experts": 2,
        "expert_units": 4,
        "shared_units": (6,),
        "tower_units": (3,),
        "dropout": 0.0,
        "feature_penalty": penalty,
        **parameters,
    }
    return Engine(
        NetworkSpec(4, ("regression",) * 2, (1, 1), parameters, 0, n_members=n_members)
    )


class TestMembers:
    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(
        "structure",
        [
            {},
            {"shared_units": (), "expert_units": (4, 3)},
            *(
                pytest.param(structure, marks=pytest.mark.slow)
                for structure in (
                    {"sharing": "ple", "shared_units": (), "num_task_experts": 1},
                    {"sharing": "cross_stitch"},
                    {"sharing": "aitm"},
                )
            ),
        ],
        ids=str,
    )
    def test_each_is_trained_as_if_alone(self, structure):
        """An ensemble of two has the weights of two networks trained one by one."""
        from sklearn_mmoe._training.trainer import TrainingState

        penalties, decays = (0.05, 0.4), (0.5, 3.0)
        both = engine_of(penalties, n_members=2, **structure)
        start = both.network.model.get_weights()
        both._state, both._network = TrainingState(start, []), None
        both.fit(task_data(), plan(decays), seed=1)
        after = both.network.model.get_weights()
        for m in range(2):
            alone = engine_of(penalties[m], **structure)
            shapes = [w.shape for w in alone.network.model.get_weights()]
            of_member = [w[m].reshape(s) for w, s in zip(start, shapes, strict=True)]
            alone._state, alone._network = TrainingState(of_member, []), None
            alone.fit(task_data(), plan(decays[m]), seed=1)
            for w, expected in zip(
                after, alone.network.model.get_weights(), strict=True
            ):
                np.testing.assert_allclose(
                    w[m].reshape(expected.shape), expected, atol=2e-5
                )

    def test_begin_from_weights_of_their_own(self):
        for weights in engine_of((0.0,) * 3, n_members=3).network.model.get_weights():
            if weights.std() > 0:
                assert len(np.unique(weights.reshape(3, -1)[:, -1])) == 3

    def test_one_without_dropout_is_trained_as_if_none_had_any(self):
        """Of two members, the first drops nothing and the second half of the units."""

        def trained(dropout):
            engine = engine_of((0.0, 0.0), n_members=2, dropout=dropout)
            engine.fit(task_data(), plan((0.5, 0.5)), seed=1)
            return [weight.copy() for weight in engine._state.weights]

        with_it, without = trained((0.0, 0.5)), trained((0.0, 0.0))
        differ = []
        for some, none in zip(with_it, without, strict=True):
            np.testing.assert_allclose(some[0], none[0], atol=1e-5)
            differ.append(np.abs(some[1] - none[1]).max())
        assert max(differ) > 1e-2

    @pytest.mark.slow
    def test_do_not_see_their_fold(self, unshrunken):
        """What stands in a fold changes no bit of the members that left it out."""
        from dataclasses import replace

        folds = np.arange(60) % 3
        data = task_data(folds, 3)
        targets = [t.copy() for t in data.targets]
        targets[0][folds == 1] += 5
        weights = []
        for given in (data, replace(data, targets=targets)):
            engine = engine_of((0.1,) * 3, n_members=3)
            engine.fit(given, plan((0.1,) * 3, n_epochs=1), seed=0)
            weights.append(engine.network.model.get_weights())
        same = [
            all(np.array_equal(a[m], b[m]) for a, b in zip(*weights, strict=True))
            for m in range(3)
        ]
        assert same == [False, True, False]

    def test_weights_keep_a_mean_of_one(self):
        folds = np.arange(60) % 3
        weights = task_data(folds, 3).training_weights(np.arange(60))
        np.testing.assert_allclose(weights.mean(axis=0), 1, rtol=1e-6)
        assert (weights[folds == 1][:, :, 1] == 0).all()

    @pytest.mark.slow
    def test_have_gates_and_experts_of_one_large_mixture(self, chosen):
        X, _ = regression_data()
        gates = chosen._mixture(X, "gate_outputs")
        experts = chosen._mixture(X, "expert_outputs")
        weights = member_weights(chosen)
        n_experts = 2 * len(weights)
        assert gates.shape == (60, 2, n_experts)
        assert experts.shape == (60, n_experts, 4)
        of_members = gates.reshape(60, 2, -1, 2).sum(axis=-1)
        np.testing.assert_allclose(
            of_members, np.broadcast_to(weights, of_members.shape), rtol=1e-5
        )
        # Experts of the second member follow those of the first.
        layer = chosen._engine.network.mixtures[0]
        assert layer.num_members == len(weights)
        assert np.abs(experts[:, :2] - experts[:, 2:]).max() > 1e-3


def by_numpy(kind, outputs, weights):
    from sklearn_mmoe._training.averaging import average_outputs

    return average_outputs(kind, outputs, weights)


def by_layer(kind, outputs, weights):
    from sklearn_mmoe.layers._members import AverageMembers

    return np.asarray(AverageMembers(kind, weights, dtype="float64")(outputs))


@pytest.mark.parametrize("average", [by_numpy, by_layer])
@pytest.mark.parametrize("weights", [None, (0.25, 0.6, 0.15)])
@pytest.mark.parametrize("kind", LINKS)
def test_the_mean_is_that_of_what_a_task_predicts(kind, weights, average):
    """Of values or of probabilities, in the outputs of a network."""
    outputs = np.random.default_rng(0).normal(size=(3, 5, 4))

    def predicted(x):
        if LINKS[kind] == "softmax":
            return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
        if LINKS[kind] == "logit":
            return 1 / (1 + np.exp(-x))
        return np.exp(x) if LINKS[kind] == "log" else x

    found = predicted(average(kind, outputs, weights))
    expected = np.average(predicted(outputs), axis=0, weights=weights)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


class TestPrediction:
    def test_is_the_weighted_mean_of_the_members_values(self, chosen):
        X, y = regression_data()
        members = chosen._engine.network.members(X.astype("float32"))
        weights = member_weights(chosen)
        z = np.column_stack([np.average(t, axis=0, weights=weights) for t in members])
        np.testing.assert_allclose(
            chosen.predict(X), z * y.std(axis=0) + y.mean(axis=0), atol=1e-5
        )

    def test_is_the_weighted_mean_of_the_members_probabilities(self, chosen_classifier):
        X, _ = label_data()
        members = chosen_classifier._engine.network.members(X.astype("float32"))
        weights = member_weights(chosen_classifier)
        binary, several = chosen_classifier.predict_proba(X)
        expected = 1 / (1 + np.exp(-np.asarray(members[0], dtype=float)))
        expected = np.average(expected, axis=0, weights=weights)
        np.testing.assert_allclose(binary[:, 1], expected[:, 0], atol=1e-6)
        expected = np.exp(np.asarray(members[1], dtype=float))
        expected /= expected.sum(axis=-1, keepdims=True)
        expected = np.average(expected, axis=0, weights=weights)
        np.testing.assert_allclose(several, expected, atol=1e-6)

    def test_is_that_of_the_network_too(self, chosen, chosen_classifier):
        """Which averages by a layer, for ``to_keras`` and ONNX."""
        X, _ = regression_data()
        for estimator in (chosen, chosen_classifier):
            by_network = estimator._engine.network.model(X.astype("float32"))
            for one, other in zip(
                by_network, estimator._engine.predict(X.astype("float32")), strict=True
            ):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def test_is_the_same_from_sparse_rows_and_after_pickling(self, chosen):
        X, _ = regression_data()
        again = pickle.loads(pickle.dumps(chosen))
        np.testing.assert_array_equal(again.predict(X), chosen.predict(X))
        np.testing.assert_array_equal(
            again.predict(scipy.sparse.csr_matrix(X)), chosen.predict(X)
        )

    def test_rows_may_come_in_parts(self, chosen, chosen_classifier, monkeypatch):
        """Of each member too, and of its experts and gates."""
        X, _ = regression_data()

        def looks():
            return [
                *chosen.predict(X, return_std=True),
                *chosen_classifier.predict_proba(X),
                expert_outputs(chosen, X),
                gate_weights(chosen, X),
            ]

        whole = looks()
        monkeypatch.setattr("sklearn_mmoe._batches.arrays._PREDICTION_ROWS", 25)
        for parts, expected in zip(looks(), whole, strict=True):
            np.testing.assert_allclose(parts, expected, rtol=1e-4, atol=1e-6)

    def test_is_reproducible(self, chosen):
        X, y = regression_data()
        again = MultiTaskMMoERegressor(**SMALL, cv=2).fit(X, y)
        np.testing.assert_array_equal(again.predict(X), chosen.predict(X))
        other = MultiTaskMMoERegressor(**{**SMALL, "random_state": 1}, cv=2).fit(X, y)
        assert np.abs(other.predict(X) - chosen.predict(X)).max() > 1e-4


class TestChoice:
    def test_is_the_least_loss_of_unseen_rows(self, chosen):
        losses = chosen.cv_losses_
        assert losses.index.tolist() == [1, 2, 3]
        assert losses.shape[1] == 3
        assert losses.loc[chosen.best_epoch_].min() == losses.to_numpy().min()
        column = losses.loc[chosen.best_epoch_].idxmin()
        used = (chosen.feature_penalty_, chosen.weight_decay_, chosen.dropout_)
        assert column == (*used, "all")

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["values", "labels"])
    def test_weights_have_the_least_loss_of_unseen_rows(self, kind, unshrunken):
        """Recompute it from the kept members, whose one epoch is the chosen one."""
        X, y = regression_data() if kind == "values" else label_data()
        weight = np.linspace(0.1, 2, 60)
        make = MultiTaskMMoERegressor if kind == "values" else MultiTaskMMoEClassifier
        estimator = make(**{**SMALL, "max_iter": 1}, cv=3)
        seen = []
        spread = MultiTaskMMoERegressor._train
        make._train = lambda self, data, *args: (
            seen.append(data),
            spread(self, data, *args),
        )[1]
        try:
            estimator.fit(X, y, sample_weight=weight)
        finally:
            del make._train
        folds = seen[0].folds
        outputs = estimator._engine.network.members(X.astype("float32"))
        # For each task (n_kept, n_rows, units).
        unseen = [
            np.asarray(o, dtype=float).reshape(-1, 3, *o.shape[1:])[
                :, folds, np.arange(60)
            ]
            for o in outputs
        ]

        def loss(shares):
            if kind == "values":
                mean = np.average(y, axis=0, weights=weight)
                std = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
                z = [np.average(o, axis=0, weights=shares) for o in unseen]
                errors = (np.column_stack(z) - (y - mean) / std) ** 2
                return np.average(errors, axis=0, weights=weight).sum()
            p = 1 / (1 + np.exp(-unseen[0][..., 0]))
            q = np.exp(unseen[1]) / np.exp(unseen[1]).sum(axis=-1, keepdims=True)
            p, q = (np.average(each, axis=0, weights=shares) for each in (p, q))
            return log_loss(y[:, 0], p, sample_weight=weight) + log_loss(
                y[:, 1], q, sample_weight=weight
            )

        assert estimator.cv_weights_.index.tolist() == estimator.task_names_
        assert estimator.cv_weights_.columns.equals(estimator.cv_losses_.columns)
        shares, of_other = estimator.cv_weights_.to_numpy()
        assert shares.sum() == 1
        np.testing.assert_array_equal(shares, of_other)
        kept = np.flatnonzero(shares)
        assert len(kept) == len(unseen[0]) > 1
        of_one = estimator.cv_losses_.to_numpy()[0]
        for place, candidate in enumerate(kept):
            assert loss(np.eye(len(kept))[place]) == pytest.approx(
                of_one[candidate], rel=1e-4
            )
        others = [
            np.array(parts)
            for parts in itertools.product(range(5), repeat=len(kept))
            if sum(parts) == 4
        ]
        losses = [loss(parts) for parts in others]
        np.testing.assert_array_equal(others[np.argmin(losses)] / 4, shares[kept])
        assert min(losses) < of_one.min()

    def test_of_equal_ones_the_best_is_used_alone(self):
        """As for a constant target, which all predict alike."""
        from sklearn_mmoe._training.out_of_fold import OutOfFold

        class Trainer:
            def weights(self):
                return [np.zeros((6, 1))]

            def set_weights(self, weights):
                pass

        choice = OutOfFold(
            Trainer(),
            lambda: [np.zeros((6, 60, 1))] * 2,
            ["regression"] * 2,
            [1] * 2,
            [SimpleNamespace(call=lambda targets, _: np.ones(len(targets)))] * 2,
            task_data(folds=np.arange(60) % 2, n_folds=2),
            plan(None, n_epochs=1),
        )
        choice._look()
        choice.on_train_end()
        assert choice.shares.tolist() == [[1, 0, 0]] * 2

    def test_is_the_same_in_parts(self, monkeypatch):
        """However many predictions are compared at once."""
        from sklearn_mmoe._training.out_of_fold import OutOfFold

        rng = np.random.default_rng(0)
        outputs = rng.normal(size=(3, 60, 1)).astype("float32")
        compared = list(rng.dirichlet(np.ones(3), size=7))
        error = SimpleNamespace(call=lambda y, z: ((y - z) ** 2).mean(axis=1))
        choice = OutOfFold(
            None,
            lambda: [],
            ["regression"] * 2,
            [1] * 2,
            [error] * 2,
            task_data(folds=np.arange(60) % 2, n_folds=2),
            plan(None),
        )
        whole = choice._losses_of_means(0, outputs, compared)
        assert len(whole) == 7
        for most in (1, 130):
            monkeypatch.setattr(
                "sklearn_mmoe._training.out_of_fold._MOST_NUMBERS", most
            )
            parts = choice._losses_of_means(0, outputs, compared)
            np.testing.assert_allclose(parts, whole)

    def test_a_candidate_that_diverges_does_not_count(self, monkeypatch):
        from sklearn_mmoe._training.out_of_fold import OutOfFold

        evaluate = OutOfFold._held_out_of

        def with_infinity(self, outputs):
            held_out = evaluate(self, outputs).copy()
            held_out[0] = np.nan
            return held_out

        monkeypatch.setattr(OutOfFold, "_held_out_of", with_infinity)
        model = MultiTaskMMoERegressor(**SMALL, cv=2).fit(*regression_data())
        assert (model.cv_weights_.iloc[:, 0] == 0).all()
        assert (model.cv_weights_.sum(axis=1) == 1).all()
        assert np.isnan(model.cv_losses_.iloc[:, 0]).all()
        assert np.isfinite(model.predict(regression_data()[0])).all()

    def test_each_candidate_is_kept_from_its_best_epoch(self, monkeypatch):
        """What the trainer is given at the end is what each had in that epoch."""
        from sklearn_mmoe._training.out_of_fold import OutOfFold

        seen, ends = [], []
        look, end = OutOfFold._look, OutOfFold.on_train_end

        def looking(self):
            look(self)
            seen.append([weight.copy() for weight in self._trainer.weights()])

        def ending(self):
            end(self)
            ends.append((self._trainer.weights(), np.array(self.curves)))

        monkeypatch.setattr(OutOfFold, "_look", looking)
        monkeypatch.setattr(OutOfFold, "on_train_end", ending)
        options = {**SMALL, "max_iter": 12, "learning_rate": 0.1}
        MultiTaskMMoERegressor(**options, cv=2).fit(*regression_data(noise=2.0))
        ((weights, curves),) = ends
        best = curves.argmin(axis=0)
        assert len(set(best)) > 1  # or this would say little
        for candidate, at in enumerate(best):
            members = slice(2 * candidate, 2 * candidate + 2)
            for weight, then in zip(weights, seen[at], strict=True):
                np.testing.assert_array_equal(weight[members], then[members])

    @pytest.mark.slow
    def test_finds_that_noise_wants_much_and_a_clear_signal_little(self):
        options = {**SMALL, "max_iter": 30, "cv": 3}
        X, y = regression_data(90, noise=0.0)
        clear = MultiTaskMMoERegressor(**options).fit(X, y)
        noise = np.random.default_rng(1).normal(size=(90, 2))
        noisy = MultiTaskMMoERegressor(**options).fit(X, noise)
        assert noisy.feature_penalty_ > clear.feature_penalty_
        X_new, y_new = regression_data(200, noise=0.0, seed=5)
        assert clear.score(X_new, y_new) > 0.9
        assert noisy.score(X_new, np.random.default_rng(2).normal(size=(200, 2))) > -0.1

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(
        ("given", "columns"),
        [
            ({"feature_penalty": 0.5}, {0.5}),
            ({"feature_penalty": 0.5, "weight_decay": 0.1}, {0.5}),
        ],
    )
    def test_does_not_touch_what_the_user_has_set(self, given, columns):
        X, y = regression_data()
        model = MultiTaskMMoERegressor(**SMALL, cv=2, **given).fit(X, y)
        table = model.cv_losses_
        assert set(table.columns.get_level_values("feature_penalty")) == columns
        assert table.shape[1] == (1 if len(given) == 2 else 3)

    @pytest.mark.slow
    def test_dropout_is_compared_unless_it_is_given(self, chosen):
        dropout = chosen.cv_losses_.columns.get_level_values("dropout")
        assert set(dropout) == {0.0}
        X, y = regression_data()
        few = {"num_experts": 2, "max_iter": 1, "cv": 2, "random_state": 0}
        model = MultiTaskMMoERegressor(**few).fit(X, y)
        table = model.cv_losses_.columns.to_frame(index=False)
        weakest = table["feature_penalty"].idxmin()
        assert table["dropout"].drop(weakest).tolist() == [0.2, 0.2]
        assert table["dropout"][weakest] == 0.0
        model = MultiTaskMMoERegressor(**few, dropout=0.4).fit(X, y)
        assert set(model.cv_losses_.columns.get_level_values("dropout")) == {0.4}
        assert model.dropout_ == 0.4

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(("n_rows", "strongest"), [(60, 1.0), (2_010, 0.25)])
    def test_much_regularisation_is_less_with_many_rows(self, n_rows, strongest):
        X, y = regression_data(n_rows)
        few = {**SMALL, "max_iter": 1, "batch_size": 512}
        model = MultiTaskMMoERegressor(**few, cv=2).fit(X, y)
        penalties = model.cv_losses_.columns.get_level_values("feature_penalty")
        assert max(penalties) == strongest

    def test_is_evaluated_in_some_epochs_and_the_last(self):
        X, y = regression_data()
        model = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 37}, cv=2).fit(X, y)
        assert model.n_iter_ == 37
        assert len(model.loss_curve_) == 37
        assert model.cv_losses_.index.tolist() == [*range(3, 37, 3), 37]

    @pytest.mark.slow
    def test_is_evaluated_where_a_callback_ends_training(self):
        import keras

        X, y = regression_data()

        class Stop(keras.callbacks.Callback):
            def __init__(self, at):
                super().__init__()
                self.at = at

            def on_epoch_end(self, epoch, logs=None):
                self.model.stop_training = epoch + 1 == self.at

        for at, evaluated in ((1, [1]), (3, [3]), (4, [3, 4])):
            model = MultiTaskMMoERegressor(
                **{**SMALL, "max_iter": 37}, cv=2, callbacks=[Stop(at)]
            ).fit(X, y)
            assert model.n_iter_ == at
            assert model.cv_losses_.index.tolist() == evaluated
            assert model.best_epoch_ in evaluated


class TestFolds:
    @pytest.mark.slow
    def test_have_like_labels_and_few_targets_are_in_all_of_them(self):
        from sklearn_mmoe._tasks.columns import split_columns
        from sklearn_mmoe._tasks.encode import encode_targets

        X, y = label_data(90)
        frame = pd.DataFrame({"a": y[:, 0], "b": y[:, 1], "v": X[:, 0]})
        frame.loc[6:, "v"] = np.nan
        mixed = MultiTaskMMoEMixed(**{**SMALL, "max_iter": 1}, cv=3)
        columns = split_columns(frame)
        tasks = mixed.fit(X, frame)._tasks
        targets = encode_targets(tasks, columns)
        labels = targets.labels(np.arange(90))
        from sklearn_mmoe._tasks.folds import spread_over_folds

        folds = spread_over_folds(labels, 3, np.random.default_rng(0))
        assert np.bincount(folds).tolist() == [30, 30, 30]
        assert np.bincount(folds[:6], minlength=3).tolist() == [2, 2, 2]
        for label in ("a", "b"):
            counts = pd.crosstab(folds, frame[label])
            assert (counts.max() - counts.min()).max() <= 2

    def test_are_such_that_no_two_rows_could_better_be_exchanged(self):
        """Where all rows differ, and so all may move."""
        from sklearn_mmoe._tasks.folds import spread_over_folds

        for seed in range(5):
            rng = np.random.default_rng(seed)
            labels = np.column_stack([rng.integers(0, 6, 40), rng.integers(6, 12, 40)])
            labels = np.unique(labels, axis=0)
            labels = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
            folds = spread_over_folds(labels, 3, rng)
            wanted = np.bincount(labels.ravel())[:, np.newaxis] / 3

            def unevenness(folds, labels=labels, wanted=wanted):
                counts = np.zeros((len(wanted), 3))
                for column in labels.T:
                    np.add.at(counts, (column, folds), 1)
                return ((counts - wanted) ** 2).sum()

            reached = unevenness(folds)
            for a, b in itertools.combinations(range(len(labels)), 2):
                exchanged = folds.copy()
                exchanged[[a, b]] = folds[[b, a]]
                assert unevenness(exchanged) >= reached - 1e-9

    def test_depend_on_the_seed(self):
        X, y = regression_data()
        losses = [
            MultiTaskMMoERegressor(**{**SMALL, "random_state": s, "max_iter": 1}, cv=2)
            .fit(X, y)
            .cv_losses_.to_numpy()
            for s in (0, 1)
        ]
        assert (losses[0] != losses[1]).all()


class TestParameter:
    AUTO = {
        **{k: v for k, v in SMALL.items() if k not in {"max_iter", "batch_size"}},
        "num_experts": 1,
        "expert_units": 1,
    }

    @pytest.fixture
    def quick(self, monkeypatch):
        """Make 'auto' epochs few."""
        place = "sklearn_mmoe.estimators._training.auto_epochs"
        monkeypatch.setattr(place, lambda *_: 1)

    @pytest.mark.slow
    @pytest.mark.usefixtures("quick")
    def test_auto_is_five_where_all_is_left_to_us(self):
        X, y = regression_data()
        assert (
            MultiTaskMMoERegressor(**self.AUTO).fit(X, y)._engine.spec.n_members % 5
            == 0
        )

    @pytest.mark.slow_but_first
    @pytest.mark.usefixtures("quick")
    @pytest.mark.parametrize(
        "given",
        [
            {"max_iter": 1},
            {"early_stopping": True},
            {"warm_start": True},
            {"feature_penalty": 0.0},
            {"weight_decay": 0.0},
            {"cv": None},
        ],
        ids=str,
    )
    def test_auto_is_none_where_the_user_decides(self, given):
        X, y = regression_data()
        model = MultiTaskMMoERegressor(**{**self.AUTO, **given}).fit(X, y)
        assert model._engine.spec.n_members is None
        assert model.cv_losses_ is None

    @pytest.mark.usefixtures("quick")
    def test_auto_is_none_with_few_targets_or_many_rows(self, monkeypatch):
        X, y = regression_data()
        few = np.where(np.arange(60)[:, np.newaxis] < 29, y, np.nan)
        model = MultiTaskMMoERegressor(**self.AUTO).fit(X, few)
        assert model._engine.spec.n_members is None
        monkeypatch.setattr("sklearn_mmoe.estimators._candidates._MOST_ROWS", 59)
        model = MultiTaskMMoERegressor(**self.AUTO).fit(X, y)
        assert model._engine.spec.n_members is None

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"cv": 61}, "cv' parameter is 61, more folds than"),
            ({"cv": 2, "early_stopping": True}, "'cv' .* 'early_stopping'"),
            ({"cv": 2, "network": print}, "'cv' .* 'network'"),
            ({"cv": 1}, "'cv' parameter"),
            ({"cv": "five"}, "'cv' parameter"),
        ],
        ids=["rows", "early_stopping", "network", "one", "text"],
    )
    def test_is_refused_where_it_cannot_be(self, given, told):
        X, y = regression_data()
        with pytest.raises(ValueError, match=told):
            MultiTaskMMoERegressor(**{**SMALL, **given}).fit(X, y)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("kind", ["splitter", "splits"])
    def test_takes_folds_as_scikit_learn_does(self, kind):
        X, y = regression_data()
        splitter = KFold(3)
        cv = splitter if kind == "splitter" else list(splitter.split(X))
        model = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}, cv=cv).fit(X, y)
        assert model._engine.spec.n_members == 3
        # The order of the rows decides folds of KFold, and not the seed.
        again = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}, cv=KFold(3))
        np.testing.assert_array_equal(again.fit(X, y).predict(X), model.predict(X))

    @pytest.mark.parametrize(
        "cv",
        [ShuffleSplit(3, random_state=0), [(np.arange(60), np.arange(60))]],
        ids=["ShuffleSplit", "one"],
    )
    def test_refuses_splits_that_are_no_folds(self, cv):
        X, y = regression_data()
        with pytest.raises(ValueError, match="'cv' parameter must split the rows"):
            MultiTaskMMoERegressor(**SMALL, cv=cv).fit(X, y)

    @pytest.mark.parametrize(
        "cv",
        [
            GroupKFold(2),
            StratifiedKFold(2),
            [1, 2],
            [(np.arange(60), np.arange(60, 80)), (np.arange(60), np.arange(60))],
            [(np.arange(30.0), np.arange(30.0)), (np.arange(30.0), np.arange(30.0))],
            [("a", "b"), ("c", "d")],
            [(np.arange(30), np.arange(30), 0)] * 2,
        ],
        ids=range(7),
    )
    def test_names_itself_where_it_cannot_split(self, cv):
        X, y = label_data()
        model = MultiTaskMMoEClassifier(**{**SMALL, "max_iter": 1}, cv=cv)
        with pytest.raises(ValueError, match=r"'cv' parameter cannot split .* groups"):
            model.fit(X, y)

    def test_takes_splits_by_groups(self):
        X, y = label_data()
        splits = list(GroupKFold(2).split(X, y, np.arange(60) % 3))
        MultiTaskMMoEClassifier(**{**SMALL, "max_iter": 1}, cv=splits).fit(X, y)

    @pytest.mark.parametrize("why", ["missing", "weights", "cluster of rows"])
    def test_refuses_folds_of_all_targets_of_a_task(self, why):
        """The member of such a fold would learn nothing of the task, and yet count."""
        X, y = regression_data()
        weight, cv = np.ones(y.shape), KFold(2)
        if why == "missing":
            y[30:, 1] = np.nan
        elif why == "weights":
            weight[:30, 1] = 0
        else:
            y[::2, 1], cv = np.nan, PredefinedSplit(np.arange(60) % 2)
        model = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}, cv=cv)
        fold = {"missing": 0, "weights": 1, "cluster of rows": 1}[why]
        message = f"all targets of the task 'task_1' in the test set of fold {fold},"
        with pytest.raises(ValueError, match=message):
            model.fit(X, y, sample_weight=weight)
        # One alone is in one fold however rows are dealt out.
        alone = regression_data()[1]
        alone[1:, 1] = np.nan
        model.fit(X, alone)
        # Dealt out here, there are some in each fold.
        model.set_params(cv=2).fit(X, y, sample_weight=weight)

    @pytest.mark.slow
    def test_tells_of_classes_in_one_fold(self):
        X, y = label_data()
        order = np.argsort(y[:, 1], kind="stable")
        model = MultiTaskMMoEClassifier(**{**SMALL, "max_iter": 1}, cv=KFold(3))
        with pytest.warns(UserWarning, match=r"of one fold.*: \{'task_1': \["):
            model.fit(X[order], y[order])
        model.set_params(cv=KFold(3, shuffle=True, random_state=0)).fit(X, y)
        model.set_params(cv=3).fit(X[order], y[order])

    @pytest.mark.slow
    def test_can_be_searched_over(self):
        X, y = regression_data()
        search = GridSearchCV(
            MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}), {"cv": [None, 2]}, cv=2
        ).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class TestGoingOn:
    def test_partial_fit_trains_the_kept_members_on_all_rows(self, chosen):
        X, y = regression_data()
        before = chosen.predict(X)
        again = pickle.loads(pickle.dumps(chosen)).partial_fit(X, y)
        assert again._engine.spec.n_members == 2
        assert np.abs(again.predict(X) - before).max() > 1e-4
        assert again.score(X, y) > chosen.score(X, y)

    def test_warm_start_does_too(self, chosen):
        X, y = regression_data()
        again = pickle.loads(pickle.dumps(chosen)).set_params(warm_start=True)
        again.fit(X, y)
        assert again._engine.spec.n_members == 2
        assert again.score(X, y) > chosen.score(X, y)


@pytest.fixture
def few_updates(monkeypatch):
    """Let max_iter='auto' make a tenth of the updates: 8 epochs of 1,500 rows."""
    monkeypatch.setattr(
        "sklearn_mmoe.estimators._parameters._ENSEMBLE_UPDATES", 40, raising=True
    )


LONGER = SMALL | {"batch_size": 256, "max_iter": "auto", "cv": 2}
ROUNDS = (8, 8 + 24, 8 + 24 + 72)


@pytest.mark.usefixtures("few_updates")
def test_training_is_lengthened_without_noise_and_not_with_it(capsys):
    clean = MultiTaskMMoERegressor(**LONGER, verbose=1).fit(*regression_data(1500, 0.0))
    assert clean.n_iter_ in ROUNDS[1:]
    assert clean.best_epoch_ > ROUNDS[0]
    lowest = clean.cv_losses_.min(axis=1)
    assert lowest.iloc[-1] < 0.5 * lowest[ROUNDS[0]]
    # Not evaluated more often than in a shorter one.
    assert len(lowest) <= 3 * 16
    printed = capsys.readouterr().out
    assert f"Epoch 8/{ROUNDS[0]}" in printed
    assert f"Epoch 9/{ROUNDS[1]}" in printed

    noisy = MultiTaskMMoERegressor(**LONGER).fit(*regression_data(1500, 50.0))
    assert noisy.n_iter_ == ROUNDS[0]


@pytest.mark.slow
@pytest.mark.usefixtures("few_updates")
def test_training_is_not_lengthened_where_its_length_or_strength_is_given():
    X, y = regression_data(1500, 0.0)
    given = MultiTaskMMoERegressor(**LONGER | {"max_iter": 8}).fit(X, y)
    assert given.n_iter_ == 8
    strength = {"feature_penalty": 0.0, "weight_decay": 0.03}
    assert MultiTaskMMoERegressor(**LONGER, **strength).fit(X, y).n_iter_ == 8


def epochs_asked_for(of_weakest, other=9.0):
    """How many more epochs are asked for after each, by the losses of two candidates.

    The second one is the weakest; the first round has two epochs.
    """
    from sklearn_mmoe._training.observer import EpochRecord
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    class Trainer:
        def weights(self):
            return [np.zeros((4, 1))]

    data = task_data(folds=np.arange(60) % 2, n_folds=2)
    choice = OutOfFold(
        Trainer(),
        lambda: [np.zeros((4, len(data.rows), 1))],
        ["regression"],
        [1],
        [None],
        data,
        plan(None, n_epochs=2, weakest=1),
    )
    losses = iter(of_weakest)
    choice._evaluate = lambda: np.array([(other, next(losses))])
    records = [EpochRecord(epoch, np.zeros(1), 0.0) for epoch in range(len(of_weakest))]
    for record in records:
        choice.on_epoch_end(record)
    return [record.n_more for record in records]


@pytest.mark.parametrize("other", [9.0, np.nan])  # another candidate may diverge
@pytest.mark.parametrize(
    ("before", "after", "n_more"),
    [(1.0, 0.8, 18), (1.0, 0.95, 0), (-1.0, -1.2, 18), (-1.0, -1.05, 0), (0.5, 0.6, 0)],
)
def test_a_round_has_to_pay(before, after, n_more, other):
    """By a tenth of the least loss before, which may be negative."""
    asked = epochs_asked_for([5.0, before, *[9.0] * 5, after], other)
    assert asked == [0, 6, 0, 0, 0, 0, 0, n_more]


@pytest.mark.parametrize(
    ("of_weakest", "n_more"),
    [
        ((1.0, 1.01), 6),
        ((1.0, 1.05), 0),
        ((-1.0, -0.99), 6),
        ((-1.0, -0.95), 0),
        ((1.0, np.nan), 0),
    ],
)
def test_a_least_loss_just_before_the_end_is_one_at_the_end(of_weakest, n_more):
    """At the end the learning rate is near zero, and the loss changes by chance."""
    assert epochs_asked_for(of_weakest) == [0, n_more]


@pytest.mark.usefixtures("few_updates")
def test_the_learning_rate_begins_anew_where_training_is_lengthened():
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    reg = MultiTaskMMoERegressor(**LONGER, callbacks=[Rates()])
    reg.fit(*regression_data(1500, 0.0))
    assert len(rates) == reg.n_iter_
    ends = [rates[n - 1] for n in ROUNDS if n <= len(rates)]
    assert max(ends) < 0.1 * reg.learning_rate
    assert max(rates[ROUNDS[0] : ROUNDS[1]]) > 0.8 * reg.learning_rate


@pytest.mark.usefixtures("few_updates")
@pytest.mark.slow
def test_a_lengthened_fit_goes_on_from_a_checkpoint(tmp_path):
    X, y = regression_data(1500, 0.0)
    seen = []

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(epoch)
            if seen == list(range(13)):
                raise KeyboardInterrupt

    whole = MultiTaskMMoERegressor(**LONGER).fit(X, y)
    reg = MultiTaskMMoERegressor(**LONGER, checkpoint_dir=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        reg.set_params(callbacks=[Interrupt()]).fit(X, y)
    again = reg.fit(X, y)
    assert seen[13:] == list(range(12, again.n_iter_))
    assert again.n_iter_ == whole.n_iter_
    assert again.best_epoch_ == whole.best_epoch_
    pd.testing.assert_frame_equal(again.cv_losses_, whole.cv_losses_)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))


@pytest.mark.slow
@pytest.mark.usefixtures("few_updates")
def test_scikit_learns_progress_bar_takes_a_lengthened_fit(capsys):
    callback = pytest.importorskip("sklearn.callback")
    X, y = regression_data(1500, 0.0)
    reg = MultiTaskMMoERegressor(**LONGER).set_callbacks(callback.ProgressBar())
    assert reg.fit(X, y).n_iter_ > ROUNDS[0]
    assert "MultiTaskMMoERegressor" in capsys.readouterr().out
