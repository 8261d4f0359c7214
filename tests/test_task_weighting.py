"""Weights between the losses of tasks: given ones, and those found in training."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)

WEIGHTINGS = ["uncertainty", "dwa", "lbtw", "gradnorm", "pcgrad"]


@pytest.fixture(scope="module")
def frame(values_data):
    X, y = values_data
    return X, pd.DataFrame(y, columns=["a", "b"])


@pytest.fixture(scope="module")
def unequal():
    """Two regressions, one almost without noise: their losses differ 1000 times.

    Targets are standardised inside, so that what differs is what cannot be explained.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3))
    y = pd.DataFrame({"clear": X[:, 0], "noise": rng.normal(size=600)})
    return X, y


def weights_at_the_end(estimator):
    return {name: course[-1] for name, course in estimator.task_weights_.items()}


class TestGivenWeights:
    def test_uniform_is_what_equal_weights_are(self, frame, tiny, fitted_regressor):
        for weights in ([2, 2], {"a": 3.0, "b": 3.0}, {}, np.ones(2)):
            reg = MultiTaskMMoERegressor(**tiny, task_weight=weights).fit(*frame)
            assert reg.loss_curve_ == fitted_regressor.loss_curve_
            assert reg.task_weights_ == {"a": [1.0, 1.0], "b": [1.0, 1.0]}

    def test_they_are_brought_to_mean_one(self, frame, tiny):
        forms = (
            {"a": 3},
            {"b": 1, "a": 3},
            [3, 1],
            (0.3, 0.1),
            np.array([6, 2]),
            pd.Series({"b": 1, "a": 3}),
            pd.Series([3, 1]),
        )
        curves = []
        for weights in forms:
            reg = MultiTaskMMoERegressor(**tiny, task_weight=weights).fit(*frame)
            assert weights_at_the_end(reg) == pytest.approx({"a": 1.5, "b": 0.5})
            curves.append(reg.loss_curve_)
        np.testing.assert_allclose(curves, np.tile(curves[0], (len(forms), 1)))

    def test_the_loss_is_the_weighted_sum(self, frame, tiny):
        reg = MultiTaskMMoERegressor(
            **tiny, task_weight=[3, 1], feature_penalty=0.0
        ).fit(*frame)
        a, b = (np.array(curve) for curve in reg.task_loss_curves_.values())
        np.testing.assert_allclose(reg.loss_curve_, 1.5 * a + 0.5 * b)

    def test_the_heavier_task_is_learned_better(self, frame, tiny):
        """Of two tasks that a network of one unit cannot serve both."""
        X, _ = frame
        y = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]})
        narrow = {
            **tiny, "num_experts": 1, "expert_units": 1, "shared_units": (),
            "activation": "tanh", "max_iter": 20, "wide": False, "dropout": 0.0,
        }  # fmt: skip
        losses = {}
        for heavy in ("a", "b"):
            reg = MultiTaskMMoERegressor(
                **narrow, task_weight={heavy: 50}, feature_penalty=0.0
            ).fit(X, y)
            losses[heavy] = {k: v[-1] for k, v in reg.task_loss_curves_.items()}
        assert losses["a"]["a"] < losses["b"]["a"]
        assert losses["b"]["b"] < losses["a"]["b"]

    def test_early_stopping_watches_the_weighted_loss(self, frame, tiny):
        given = {**tiny, "max_iter": 3, "early_stopping": True, "random_state": 0}
        X, y = frame
        scores = {}
        for weights in ({"a": 1, "b": 1e-9}, {"a": 1e-9, "b": 1}):
            reg = MultiTaskMMoERegressor(**given, task_weight=weights)
            reg.fit(X, y, X_val=X, y_val=y)
            task = max(weights, key=weights.get)
            predicted = reg.predict(X)[task].to_numpy()
            mse = np.mean((predicted - y[task]) ** 2) / np.var(y[task].to_numpy())
            best = reg.best_validation_score_
            scores[task] = best
            np.testing.assert_allclose(-best, 2 * mse, rtol=1e-3)
        assert len(set(scores.values())) == 2

    @pytest.mark.slow
    def test_observed_lets_every_target_count_the_same(
        self, frame, tiny, fitted_regressor
    ):
        X, y = frame
        given = {**tiny, "task_weight": "observed"}
        reg = MultiTaskMMoERegressor(**given).fit(X, y)  # all of them are known
        assert reg.loss_curve_ == fitted_regressor.loss_curve_
        few = y.assign(b=y["b"].where(np.arange(200) < 20))
        weights = weights_at_the_end(reg.fit(X, few))
        assert weights == pytest.approx({"a": 1.0, "b": 0.1})
        # As the same weights given by name, whose mean is 1 and not 0.55.
        by_name = MultiTaskMMoERegressor(**tiny, task_weight={"a": 10, "b": 1})
        ratios = weights_at_the_end(by_name.fit(X, few))
        assert ratios["a"] == pytest.approx(10 * ratios["b"])
        reg.partial_fit(X, few)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ({"c": 2}, r"'task_weight'.*\['c'\].*\['a', 'b'\]"),
            ([1, 2, 3], "3 weights, but there are 2 tasks"),
            ([1], "1 weights, but there are 2 tasks"),
            ({"a": -1}, "positive.*-1 for the task 'a'"),
            ([1, np.nan], "finite.*nan for the task 'b'"),
            ([np.inf, 1], "finite.*inf.* for the task 'a'"),
            ([1, 0], "0 for the task 'b'.*left out of y"),
            ([0, 0], "0 for the task 'a'"),
            ({"a": "2"}, "'2' for the task 'a'"),
            ("balanced", "'task_weight' parameter.*must be"),
            (None, "'task_weight' parameter.*must be"),
        ],
    )
    def test_wrong_ones_are_refused_by_name(self, frame, tiny, weights, message):
        reg = MultiTaskMMoERegressor(**tiny, task_weight=weights)
        with pytest.raises(ValueError, match=message):
            reg.fit(*frame)
        assert not hasattr(reg, "task_names_")

    def test_one_task_alone(self, values_data, tiny):
        X, y = values_data
        plain = MultiTaskMMoERegressor(**tiny).fit(X, y[:, 0])
        for parameters in ({"task_weight": [7]}, {"task_weighting": "pcgrad"}):
            reg = MultiTaskMMoERegressor(**tiny, **parameters).fit(X, y[:, 0])
            assert reg.loss_curve_ == plain.loss_curve_
            assert reg.task_weights_ == {"task_0": [1.0, 1.0]}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
class TestEveryWeighting:
    @pytest.mark.slow_but_first
    def test_a_kept_trainer_gives_what_a_new_one_gives(self, frame, tiny, weighting):
        """With missing labels, row weights and the penalty."""
        from sklearn_mmoe.networks import clear_cache

        X, y = frame
        y = y.assign(b=y["b"].where(np.arange(len(y)) % 3 > 0))
        weight = np.linspace(1, 2, len(y))
        reg = MultiTaskMMoERegressor(**tiny, task_weighting=weighting)
        clear_cache()
        new = reg.fit(X, y, weight).loss_curve_
        clone(reg).set_params(random_state=5).fit(X, y, weight)
        kept = clone(reg).fit(X, y, weight)
        assert kept.loss_curve_ == new
        assert kept.task_weights_ == reg.task_weights_
        assert np.isfinite(list(reg.task_weights_.values())).all()
        assert np.isfinite(reg.predict(X)).all(axis=None)

    @pytest.mark.slow_but_first
    def test_partial_fit_goes_on_also_after_pickling(self, frame, tiny, weighting):
        reg = MultiTaskMMoERegressor(**tiny, task_weighting=weighting)
        for _ in range(2):
            reg.partial_fit(*frame)
        again = clone(reg)
        for _ in range(2):
            again = pickle.loads(pickle.dumps(again)).partial_fit(*frame)
        assert again.loss_curve_ == reg.loss_curve_
        assert again.task_weights_ == reg.task_weights_
        with pytest.raises(ValueError, match="'task_weighting' has changed"):
            reg.set_params(task_weighting="uniform").partial_fit(*frame)

    @pytest.mark.slow_but_first
    def test_given_weights_multiply_it(self, frame, tiny, weighting):
        plain, weighed = (
            MultiTaskMMoERegressor(
                **tiny, task_weighting=weighting, task_weight=weights
            ).fit(*frame)
            for weights in ("uniform", [3, 1])
        )
        ratios = [
            weighed.task_weights_[name][0] / plain.task_weights_[name][0]
            for name in ("a", "b")
        ]
        np.testing.assert_allclose(ratios, [1.5, 0.5], rtol=0.2)

    @pytest.mark.slow_but_first
    def test_a_warm_start_and_early_stopping(self, frame, tiny, weighting):
        X, y = frame
        reg = MultiTaskMMoERegressor(
            **tiny, task_weighting=weighting, early_stopping=True, warm_start=True
        )
        reg.fit(X, y, X_val=X, y_val=y).fit(X, y, X_val=X, y_val=y)
        assert len(reg.validation_scores_) == len(reg.task_weights_["a"]) == 4
        if weighting == "dwa":  # which begins with two epochs of equal weights
            assert reg.task_weights_["a"] == [1.0] * 4

    @pytest.mark.slow
    def test_float64_and_callbacks(self, frame, tiny, weighting):
        from sklearn_mmoe.callbacks import TaskScores

        scores = TaskScores({"train": frame}, "r2", verbose=False)
        reg = MultiTaskMMoERegressor(
            **tiny, task_weighting=weighting, callbacks=scores, dtype="float64"
        ).fit(*frame)
        assert len(scores.scores_) == 2 * len(reg.task_weights_["a"])


class TestUncertainty:
    def test_weights_are_half_the_inverse_of_the_noise(self, unequal, tiny):
        """At the optimum sigma^2 is the loss, and the weight 1 / (2 sigma^2)."""
        X, y = unequal
        reg = MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 60},
            dropout=0.0,
            task_weighting="uncertainty",
            learning_rate_schedule="constant",
            learning_rate=1e-3,
        )
        y = pd.DataFrame({"some": X[:, 0] + y["noise"], "noise": y["noise"]})
        reg.fit(X, y)
        for name, weight in weights_at_the_end(reg).items():
            loss = np.mean(reg.task_loss_curves_[name][-5:])
            assert weight == pytest.approx(1 / (2 * loss), rel=0.15)

    def test_a_classification_counts_twice(self, labels_data, tiny):
        X, y = labels_data
        y = pd.DataFrame({"label": y[:, 0], "value": X[:, 0]})
        model = MultiTaskMMoEMixed(
            **{**tiny, "max_iter": 1, "batch_size": 200}, task_weighting="uncertainty"
        ).fit(X, y)
        assert model.task_types_ == ["classification", "regression"]
        assert weights_at_the_end(model) == {"label": 1.0, "value": 0.5}


class TestDynamicWeightAverage:
    @pytest.mark.slow
    def test_weights_follow_from_the_losses_of_two_epochs(self, frame, tiny):
        reg = MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 5}, task_weighting="dwa"
        ).fit(*frame)
        losses = np.array(list(reg.task_loss_curves_.values()))
        weights = np.array(list(reg.task_weights_.values()))
        np.testing.assert_array_equal(weights[:, :2], 1)
        for epoch in range(2, 5):
            powers = np.exp(losses[:, epoch - 1] / losses[:, epoch - 2] / 2)
            expected = 2 * powers / powers.sum()
            np.testing.assert_allclose(weights[:, epoch], expected, rtol=1e-5)

    @pytest.mark.slow
    def test_a_task_without_targets_in_a_call(self, frame, tiny):
        X, y = frame
        reg = MultiTaskMMoERegressor(**tiny, task_weighting="dwa")
        calls = [y, y.assign(b=np.nan), y, y]
        losses, weights = [], []
        for of_call in calls:
            reg.partial_fit(X, of_call)
            losses.append([course[-1] for course in reg.task_loss_curves_.values()])
            weights.append(list(weights_at_the_end(reg).values()))
        np.testing.assert_array_equal(weights[:2], 1)
        # Its last loss is that of the call before the last one.
        ratios = [[losses[1][0] / losses[0][0], 1]]
        ratios += [[losses[2][0] / losses[1][0], losses[2][1] / losses[0][1]]]
        powers = np.exp(np.array(ratios) / 2)
        expected = 2 * powers / powers.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(weights[2:], expected, rtol=1e-5)


class TestLossBalanced:
    def test_the_root_of_the_loss_relative_to_the_first(self, frame, tiny):
        whole = {**tiny, "batch_size": 200, "max_iter": 6}  # a batch is an epoch
        reg = MultiTaskMMoERegressor(**whole, task_weighting="lbtw").fit(*frame)
        losses = np.array(list(reg.task_loss_curves_.values()))
        weights = np.array(list(reg.task_weights_.values()))
        expected = np.sqrt(losses / losses[:, :1])
        np.testing.assert_allclose(weights, expected, rtol=1e-5)

    def test_what_is_learned_gets_less(self, unequal, tiny):
        reg = MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 60}, task_weighting="lbtw", dropout=0.0
        ).fit(*unequal)
        weights, losses = weights_at_the_end(reg), reg.task_loss_curves_
        assert losses["clear"][-1] < 0.1 * losses["noise"][-1]
        assert weights["clear"] < 0.5 < weights["noise"]


class TestGradNorm:
    def test_gradients_of_losses_1000_times_apart_come_to_one_norm(self, tiny):
        """Two targets that are alike; row weights make one loss 1000 times larger."""
        import tensorflow as tf

        from sklearn_mmoe._training.balancing import GradNorm

        weighting = GradNorm(["regression"] * 2, "float64")
        kernel = tf.Variable(np.ones((2, 1)), dtype="float64")
        x = tf.constant(np.random.default_rng(0).normal(size=(50, 2)))

        @tf.function(autograph=False)
        def step():
            with tf.GradientTape(persistent=True) as tape:
                mean = tf.reduce_mean((x @ kernel) ** 2)
                losses = [mean, 1000 * mean]
            none, all_rows = tf.zeros((), tf.float64), tf.ones(2, tf.float64)
            return weighting.gradients(tape, losses, none, all_rows, [kernel])[1]

        for _ in range(800):
            small, large = step().numpy()
        assert small / large == pytest.approx(1000, rel=0.1)
        assert small + large == pytest.approx(2, rel=0.1)

    def test_the_task_that_lags_behind_gets_more(self, unequal, tiny):
        """`noise` cannot be learned: its loss stays, and so its pace lags."""
        reg = MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 20}, task_weighting="gradnorm", dropout=0.0
        ).fit(*unequal)
        weights = weights_at_the_end(reg)
        assert weights["noise"] > 1.2 > 0.8 > weights["clear"]


def projected(gradients, order):
    """Compute algorithm 1 of Yu et al. (2020), as they write it."""
    result = []
    for i, gradient in enumerate(gradients):
        projected = gradient.copy()
        for j in order:
            dot = projected @ gradients[j]
            if j != i and dot < 0:
                projected -= dot / (gradients[j] @ gradients[j]) * gradients[j]
        result.append(projected)
    return np.sum(result, axis=0)


def same_heads(meta):
    """Build one shared layer, and heads that begin alike."""
    import keras

    x = keras.Input((meta["n_features_in_"],))
    kernel = keras.initializers.GlorotUniform(seed=0)
    hidden = keras.layers.Dense(8, "tanh", kernel_initializer=kernel)(x)
    heads = [
        keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(0.1))(
            hidden
        )
        for k in range(2)
    ]
    return keras.Model(x, heads)


class TestPCGrad:
    def test_the_order_of_tasks_is_that_of_the_seed(self, values_data, tiny):
        """Whichever fit has made the traced network that this one uses."""
        from sklearn_mmoe.networks import clear_cache

        X, y = values_data
        y = np.column_stack([y, -y[:, 0], y[:, 1] ** 2])
        reg = MultiTaskMMoERegressor(**tiny, task_weighting="pcgrad")
        clear_cache()
        alone = clone(reg).set_params(random_state=1).fit(X, y)
        clear_cache()
        reg.fit(X, y)
        after = clone(reg).set_params(random_state=1).fit(X, y)
        warm = clone(alone).set_params(random_state=1, warm_start=True).fit(X, y)
        np.testing.assert_array_equal(after.predict(X), alone.predict(X))
        clear_cache()
        alone.set_params(warm_start=True)
        np.testing.assert_array_equal(
            warm.fit(X, y).predict(X), alone.fit(X, y).predict(X)
        )

    @pytest.mark.parametrize("n_tasks", [2, 3, 5])
    def test_the_projected_gradient(self, n_tasks):
        import tensorflow as tf

        from sklearn_mmoe._training.balancing import PCGrad

        directions = np.random.default_rng(n_tasks).normal(size=(n_tasks, 6))
        directions[1] -= 2 * directions[0]  # opposed
        shared = tf.Variable(np.zeros(6))
        own = [tf.Variable([1.0 + k], dtype="float64") for k in range(n_tasks)]
        weighting = PCGrad(["regression"] * n_tasks, "float64")
        weighting.seed(3)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(n_tasks), seed=[3, 0]
        ).numpy()
        with tf.GradientTape(persistent=True) as tape:
            losses = [
                tf.reduce_sum(shared * direction) + 2 * tf.reduce_sum(mine)
                for direction, mine in zip(directions, own, strict=True)
            ]
            penalty = 0.5 * tf.reduce_sum(shared)
        gradients, weights = weighting.gradients(
            tape, losses, penalty, tf.ones(n_tasks, tf.float64), [shared, *own]
        )
        assert directions[0] @ directions[1] < 0
        expected = projected(directions, order)
        np.testing.assert_allclose(gradients[0].numpy(), expected + 0.5)
        np.testing.assert_allclose(weights.numpy() @ directions, expected)
        # What one task alone has keeps its gradient.
        np.testing.assert_allclose(np.ravel(gradients[1:]), 2)

    def test_tasks_that_do_not_oppose_each_other_are_left_alone(self, frame, tiny):
        X, y = frame
        # Towers of one unit, whose weights all tasks begin with alike.
        plain = {
            **tiny, "num_experts": 1, "tower_units": (), "wide": False,
            "network": same_heads, "feature_penalty": 0.0,
        }  # fmt: skip
        reg = MultiTaskMMoERegressor(**plain, task_weighting="pcgrad")
        alike = pd.DataFrame({"a": y["a"], "b": y["a"]})
        opposed = alike.assign(b=-y["a"])
        assert weights_at_the_end(reg.fit(X, alike)) == {"a": 1, "b": 1}
        # Each gradient is taken from the other as a whole: twice, or nothing is left.
        assert min(reg.fit(X, opposed).task_weights_["a"]) > 1.2


class TestTrainingCurveDisplay:
    @pytest.mark.slow
    def test_weights_are_drawn_where_they_are_found(self, frame, tiny):
        pytest.importorskip("matplotlib").use("Agg")
        from matplotlib import pyplot as plt

        from sklearn_mmoe.inspection import TrainingCurveDisplay

        reg = MultiTaskMMoERegressor(**tiny, task_weighting="dwa").fit(*frame)
        display = TrainingCurveDisplay.from_estimator(reg)
        labels = [ax.get_ylabel() for ax in display.axes_]
        assert labels == ["training loss", "weight of the task"]
        lines = display.axes_[1].get_lines()
        assert [line.get_label() for line in lines] == ["a", "b"]
        np.testing.assert_allclose(lines[0].get_ydata(), reg.task_weights_["a"])
        plt.close("all")
        reg = MultiTaskMMoERegressor(**tiny).fit(*frame)
        display = TrainingCurveDisplay.from_estimator(reg)
        assert [ax.get_ylabel() for ax in display.axes_] == ["training loss"]
        plt.close("all")


def test_classes_are_weighed_too(labels_data, tiny):
    clf = MultiTaskMMoEClassifier(
        **tiny, task_weight={"task_1": 4}, task_weighting="lbtw"
    ).fit(*labels_data)
    assert clf.task_weights_["task_1"][0] > clf.task_weights_["task_0"][0]
