"""What each loss is, learns and predicts, by task."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import (
    d2_pinball_score,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._tasks.columns import split_columns
from sklearn_mmoe._tasks.kinds import (
    CLASSIFICATION_LOSSES,
    LINKS,
    QUANTILES,
    REGRESSION_LOSSES,
)
from sklearn_mmoe._tasks.tasks import find_label_task
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe.losses import FocalLoss, QuantileLoss, task_loss
from sklearn_mmoe.regularizers import GroupLasso

RNG = np.random.default_rng(0)
# A network with which two hundred rows are learned within a second.
QUICK = {
    "num_experts": 2,
    "expert_units": 8,
    "shared_units": (16,),
    "tower_units": (),
    "batch_size": 32,
    "max_iter": 40,
    "dropout": 0.0,
    "random_state": 0,
    "kernel_ridge": None,
}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(400, 3))


LOSSES = {"sum": "quantile", "n": "poisson", "grade": "ordinal", "yes": "focal"}


@pytest.fixture(scope="module")
def skewed(X):
    """Return targets of one sign whose mean and median differ."""
    noise = np.random.default_rng(1).gamma(1.0, size=(400, 2))
    return np.exp(0.5 * X[:, :1]) * noise + 1e-3


@pytest.fixture(scope="module")
def noisy(X):
    """Two tasks whose noise grows with the first feature."""
    noise = np.random.default_rng(4).normal(size=(400, 2))
    y = X[:, 1:] + np.exp(X[:, :1]) * noise
    return MultiTaskMMoERegressor(loss="quantile", **QUICK).fit(X, y), y


@pytest.fixture(scope="module")
def grades(X):
    """Return five ordered classes, of which the middle ones are hard to tell."""
    noise = np.random.default_rng(5).normal(size=400)
    return np.digitize(2 * X[:, 0] + noise, [-2, -1, 1, 2])


@pytest.fixture(scope="module")
def frame(X):
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "sum": X.sum(axis=1),
            "n": rng.poisson(30 * np.exp(X[:, 0])),
            "grade": np.digitize(X[:, 1], [-1, 0, 1]),
            "yes": np.where(X[:, 2] > 0, "yes", "no"),
            "plain": X[:, 1],
        }
    )


@pytest.fixture(scope="module", params=[None, 2], ids=["single", "ensemble"])
def mixed(X, frame, request):
    quick = {**QUICK, "max_iter": 10, "cv": request.param}
    return MultiTaskMMoEMixed(loss=LOSSES, **quick).fit(X, frame)


def value(kind, target, output):
    return float(task_loss(kind)(np.asarray(target), np.asarray(output, dtype=float)))


class TestValues:
    """Against scikit-learn's metrics, or the formula of the paper."""

    target = RNG.gamma(2, size=(20, 1)) + 0.1
    output = RNG.normal(size=(20, 1))

    @pytest.mark.parametrize(
        ("kind", "metric"),
        [
            ("regression", mean_squared_error),
            ("absolute_error", mean_absolute_error),
            ("poisson", lambda y, f: mean_poisson_deviance(y, np.exp(f))),
            ("gamma", lambda y, f: mean_gamma_deviance(y, np.exp(f))),
        ],
    )
    def test_of_regressions(self, kind, metric):
        found = value(kind, self.target, self.output)
        assert found == pytest.approx(metric(self.target, self.output), rel=1e-5)

    def test_counts_may_be_zero(self):
        assert value("poisson", [[0.0]], [[0.5]]) == pytest.approx(2 * np.exp(0.5))

    def test_huber(self):
        assert value("huber", [[0.0]], [[1.0]]) == pytest.approx(0.5)
        assert value("huber", [[0.0]], [[-10.0]]) == pytest.approx(
            1.345 * (10 - 1.345 / 2), rel=1e-5
        )

    def test_quantile(self):
        outputs = np.sort(RNG.normal(size=(20, len(QUANTILES))))
        expected = np.mean(
            [
                mean_pinball_loss(self.target[:, 0], column, alpha=level)
                for level, column in zip(QUANTILES, outputs.T, strict=True)
            ]
        )
        assert value("quantile", self.target, outputs) == pytest.approx(
            expected, rel=1e-5
        )

    def test_focal(self):
        p = 1 / (1 + np.exp(-0.3))
        expected = -(p**2 * np.log(1 - p))
        assert value("binary_focal", [[0.0]], [[0.3]]) == pytest.approx(
            expected, rel=1e-5
        )
        logits = np.array([[0.3, 0.0]])
        assert value("multiclass_focal", [1], logits) == pytest.approx(
            expected, rel=1e-5
        )

    def test_ordinal(self):
        logits = np.array([[0.5, -1.0]])
        p = 1 / (1 + np.exp(-logits[0]))
        expected = -np.log(p[0]) - np.log(1 - p[1])  # above the first, not the second
        assert value("ordinal", [[1.0, 0.0]], logits) == pytest.approx(
            expected, rel=1e-5
        )

    @pytest.mark.parametrize("kind", LINKS)
    def test_weights_and_type(self, kind):
        loss = task_loss(kind, "float64")
        units = {"quantile": 9, "ordinal": 2, "multiclass": 3, "multiclass_focal": 3}
        units["tobit"] = 2
        outputs = RNG.normal(size=(4, units.get(kind, 1)))
        target = np.ones((4, 2 if kind in ("ordinal", "tobit") else 1))
        if LINKS[kind] == "softmax":
            target = np.array([1, 1, 1, 1])
        whole = loss(target, outputs, sample_weight=np.array([1.0, 0, 0, 3]))
        parts = [float(loss(target[k : k + 1], outputs[k : k + 1])) for k in (0, 3)]
        assert str(whole.dtype.name) == "float64"
        assert float(whole) == pytest.approx((parts[0] + 3 * parts[1]) / 4, rel=1e-9)


class TestArguments:
    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: FocalLoss("binary"), "'kind' argument of FocalLoss .*'binary'"),
            (lambda: FocalLoss("binary_focal", -1), "'gamma' argument of FocalLoss"),
            (lambda: QuantileLoss((10, 90)), r"'quantiles' .* got \(10, 90\)"),
            (lambda: QuantileLoss(()), "'quantiles' argument"),
            (lambda: GroupLasso(-1.0), "'strength' argument of GroupLasso .* -1.0"),
            (lambda: GroupLasso([1.0, -1.0]), "'strength' argument of GroupLasso"),
            (
                lambda: QuantileLoss((0.1, 0.5, 0.9))(np.ones((4, 1)), np.ones((4, 1))),
                r"3 quantiles needs as many columns of y_pred, got the shape \(4, 1\)",
            ),
        ],
    )
    def test_are_checked(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()

    @pytest.mark.parametrize("kind", ["binary_focal", "multiclass_focal"])
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
    def test_focal_gradients_of_what_is_certain(self, kind, gamma):
        import tensorflow as tf

        far = tf.constant([[40.0]] if kind == "binary_focal" else [[60.0, 0.0]])
        truth = np.array([[1.0]]) if kind == "binary_focal" else np.array([0])
        with tf.GradientTape() as tape:
            tape.watch(far)
            loss = FocalLoss(kind, gamma)(truth, far)
        gradient = tape.gradient(loss, far).numpy()
        assert np.abs(gradient).max() < 1e-6
        assert float(loss) == pytest.approx(0, abs=1e-6)

    def test_focal_without_gamma_is_cross_entropy(self):
        logits = np.linspace(-8, 8, 9, dtype=np.float32)[:, np.newaxis]
        truth = (np.arange(9)[:, np.newaxis] % 2).astype(np.float32)
        expected = np.logaddexp(0, np.where(truth == 1, -logits, logits)).mean()
        found = float(FocalLoss("binary_focal", 0.0)(truth, logits))
        assert found == pytest.approx(expected, rel=1e-5)


class TestRegressions:
    @pytest.mark.slow
    def test_what_is_predicted(self, X, skewed):
        def mean_of(loss):
            reg = MultiTaskMMoERegressor(loss=loss, **QUICK).fit(X, skewed)
            return reg.predict(X).mean(axis=0)

        mean = np.mean(skewed, axis=0)
        median = np.mean(np.exp(0.5 * X[:, 0])) * np.log(2)  # of an exponential noise
        np.testing.assert_allclose(mean_of("squared_error"), mean, rtol=0.1)
        np.testing.assert_allclose(mean_of("gamma"), mean, rtol=0.1)
        for loss in ("absolute_error", "quantile"):
            np.testing.assert_allclose(mean_of(loss), median, rtol=0.15)
        between = mean_of("huber")
        assert ((median < between) & (between < mean)).all()

    @pytest.mark.slow
    def test_outliers_move_the_robust_ones_little(self, X):
        y = X @ [1.0, 2.0, 0.0]
        wild = y.copy()
        wild[::20] = 1e4
        errors = {
            loss: mean_absolute_error(
                y, MultiTaskMMoERegressor(loss=loss, **QUICK).fit(X, wild).predict(X)
            )
            for loss in ("squared_error", "absolute_error", "huber", "quantile")
        }
        assert errors.pop("squared_error") > 100
        assert max(errors.values()) < 2

    @pytest.mark.slow
    def test_counts(self, X):
        rate = np.exp(0.8 * X[:, 0])
        y = np.random.default_rng(2).poisson(np.column_stack([rate, 50 * rate]))
        predicted = MultiTaskMMoERegressor(loss="poisson", **QUICK).fit(X, y).predict(X)
        assert (predicted > 0).all()
        for k in range(2):
            nothing = mean_poisson_deviance(y[:, k], np.full(400, y[:, k].mean()))
            assert (
                mean_poisson_deviance(y[:, k], predicted[:, k])
                < [0.7, 0.1][k] * nothing
            )

    @pytest.mark.parametrize("loss", REGRESSION_LOSSES)
    def test_knowing_nothing_costs_one(self, loss):
        """So that no task outweighs another by the name of its loss."""
        y = np.random.default_rng(3).gamma(2.0, size=400)
        weight, observed = np.r_[np.ones(200), np.full(200, 3.0)], np.ones(400, bool)
        task = ValueTask.from_targets("a", y, observed, weight, loss)
        cost = task_loss(task.kind)(
            task.encode(y, observed), np.zeros((400, task.units)), weight / 2
        )
        assert float(cost) * task.loss_scale == pytest.approx(1, rel=1e-3)

    @pytest.mark.slow
    def test_missing_targets(self, X, skewed):
        y = skewed.copy()
        y[::3, 0] = np.nan
        reg = MultiTaskMMoERegressor(loss=["gamma", "quantile"], **QUICK).fit(X, y)
        assert np.isfinite(reg.loss_curve_).all()
        assert np.isfinite(reg.predict(X)).all()

    @pytest.mark.slow
    def test_constant_targets(self, X):
        y = np.column_stack([np.zeros(400), np.full(400, 3.0), np.full(400, 5.0)])
        losses = ["poisson", "quantile", "huber"]
        reg = MultiTaskMMoERegressor(loss=losses, **QUICK).fit(X, y)
        np.testing.assert_allclose(reg.predict(X)[:, 0], 0)
        np.testing.assert_allclose(reg.predict(X)[:, 1:], y[:, 1:])

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(
        ("loss", "wrong", "told"),
        [("poisson", -1.0, "0 or more"), ("gamma", 0.0, "positive")],
    )
    def test_targets_out_of_range(self, X, skewed, loss, wrong, told):
        y = pd.DataFrame(skewed.copy(), columns=["a", "b"])
        reg = MultiTaskMMoERegressor(loss={"b": loss}, **QUICK)
        reg.partial_fit(X, y)
        y.loc[7, "b"] = wrong
        message = f"loss={loss!r} takes targets that are {told}, but the task 'b' has"
        for call in (reg.fit, reg.partial_fit):
            with pytest.raises(ValueError, match=re.escape(message)):
                call(X, y)

    def test_the_scale_follows_the_weights(self, X, skewed):
        """Rows of no weight say nothing of where the targets are."""
        y = skewed[:, 0].copy()
        y[:150] = 1e6
        weight = np.r_[np.zeros(150), np.ones(250)]
        quick = {**QUICK, "max_iter": 2}
        reg = MultiTaskMMoERegressor(loss="quantile", **quick)
        with_weight = reg.fit(X, y, sample_weight=weight)._tasks[0]
        alone = clone(reg).fit(X[150:], y[150:])._tasks[0]
        assert vars(with_weight) == pytest.approx(vars(alone))


class TestQuantiles:
    @pytest.mark.slow
    def test_they_hold_their_share_and_do_not_cross(self, X, noisy):
        reg, y = noisy
        quantiles = reg.predict_quantiles(X, QUANTILES)
        assert quantiles.shape == (400, 2, 9)
        assert (np.diff(quantiles, axis=2) >= 0).all()
        shares = (y[:, :, None] < quantiles).mean(axis=(0, 1))
        np.testing.assert_allclose(shares, QUANTILES, atol=0.06)
        np.testing.assert_array_equal(quantiles[:, :, 4], reg.predict(X))

    def test_they_follow_the_noise(self, X, noisy):
        reg, y = noisy
        lower, upper = np.moveaxis(reg.predict_interval(X, coverage=0.8), 2, 0)
        width = (upper - lower).mean(axis=1)
        assert np.corrcoef(np.log(width), X[:, 0])[0, 1] > 0.8
        for k in range(2):
            assert d2_pinball_score(y[:, k], lower[:, k], alpha=0.1) > 0.3

    def test_those_between_are_interpolated(self, X, noisy):
        reg, _ = noisy
        found = reg.predict_quantiles(X, [0.5, 0.6, 0.75])
        np.testing.assert_allclose(
            found[:, :, 1], 0.6 * found[:, :, 0] + 0.4 * found[:, :, 2]
        )
        np.testing.assert_allclose(
            reg.predict_interval(X, 0.95), reg.predict_quantiles(X, [0.025, 0.975])
        )

    def test_sorting_is_all_that_is_done_to_the_outputs(self, X, noisy):
        reg, _ = noisy
        task = reg._tasks[0]
        crossed = np.array([[3.0, 1, 2, 4, 5, 6, 7, 9, 8]])
        assert task.quantiles(crossed) == pytest.approx(
            np.arange(1, 10)[None] * task.scale + task.mean
        )

    @pytest.mark.parametrize("quantiles", [[0.01], [0.5, 0.99], 0.5, [np.nan]])
    def test_out_of_range(self, X, noisy, quantiles):
        with pytest.raises(ValueError, match="`quantiles` must be a sequence"):
            noisy[0].predict_quantiles(X, quantiles)

    @pytest.mark.parametrize("coverage", [0, 0.96, 1.5, np.nan])
    def test_coverage_out_of_range(self, X, noisy, coverage):
        with pytest.raises(ValueError, match="`coverage` must be more than 0"):
            noisy[0].predict_interval(X, coverage)

    def test_other_losses_have_none(self, fitted_regressor, values_data):
        with pytest.raises(ValueError, match=r"\['task_0', 'task_1'\] have no quant"):
            fitted_regressor.predict_quantiles(values_data[0])


class TestClassifications:
    @pytest.mark.slow
    def test_ordered_classes(self, X, grades):
        fitted = {
            loss: MultiTaskMMoEClassifier(loss=loss, **QUICK).fit(X, grades)
            for loss in CLASSIFICATION_LOSSES
        }
        for clf in fitted.values():
            probabilities = clf.predict_proba(X)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1)
            assert (probabilities >= 0).all()
            assert mean_absolute_error(grades, clf.predict(X)) < 0.6
        assert [*fitted["ordinal"].network_.output.shape] == [None, 4]
        # What is learned is how probable it is to be above each class.
        above = 1 - np.cumsum(fitted["ordinal"].predict_proba(X), axis=1)[:, :-1]
        shares = (grades[:, None] > np.arange(4)).mean(axis=0)
        np.testing.assert_allclose(above.mean(axis=0), shares, atol=0.05)

    @pytest.mark.slow
    def test_focal_probabilities_tend_to_the_middle(self, X):
        y = (X[:, 0] + np.random.default_rng(6).normal(size=400) > 0).astype(int)
        sure = [
            np.abs(
                MultiTaskMMoEClassifier(loss=loss, **QUICK).fit(X, y).predict_proba(X)
                - 0.5
            ).mean()
            for loss in ("log_loss", "focal")
        ]
        assert sure[1] < 0.9 * sure[0]

    def test_two_ordered_classes_are_two_classes(self, X, grades):
        y = (grades > 2).astype(int)
        curves = [
            MultiTaskMMoEClassifier(loss=loss, **QUICK).fit(X, y).loss_curve_
            for loss in ("ordinal", "log_loss")
        ]
        assert curves[0] == curves[1]

    @pytest.mark.parametrize("loss", CLASSIFICATION_LOSSES)
    @pytest.mark.parametrize("by_entropy", [False, True])
    def test_knowing_the_shares_costs_the_same(self, grades, loss, by_entropy):
        """Which is the entropy, as of log-loss; of mixed tasks one."""
        weight = np.r_[np.ones(200), np.full(200, 3.0)]
        targets = split_columns(grades)
        task = find_label_task(targets, 0, loss, "")
        totals = np.bincount(grades, weights=weight)
        task.weigh_classes(totals, by_entropy)
        shares = totals / weight.sum()
        logits = np.log(shares)
        if loss == "ordinal":
            above = 1 - np.cumsum(shares)[:-1]
            logits = np.log(above / (1 - above))
        cost = task_loss(task.kind)(
            task.encode_codes(grades), np.tile(logits, (400, 1)), weight / 2
        )
        entropy = -(shares * np.log(shares)).sum()
        expected = 1 if by_entropy else entropy
        assert float(cost) * task.loss_scale == pytest.approx(expected, rel=1e-4)
        if loss == "log_loss" and not by_entropy:
            assert task.loss_scale == 1

    def test_text_has_no_order(self, X, grades):
        y = np.array(["low", "middle", "fair", "high", "top"])[grades]
        clf = MultiTaskMMoEClassifier(loss="ordinal", **QUICK)
        message = (
            "loss='ordinal' takes numbers, whose order is known; the task 'task_0'"
        )
        with pytest.raises(ValueError, match=re.escape(message)):
            clf.fit(X, y)
        with pytest.raises(ValueError, match=re.escape(message)):
            clf.partial_fit(X, y, classes=np.unique(y))


class TestByTask:
    @pytest.mark.slow
    def test_each_has_its_own(self, mixed, X, frame):
        kinds = ["quantile", "poisson", "ordinal", "binary_focal", "regression"]
        assert [task.kind for task in mixed._tasks] == kinds
        assert mixed.score(X, frame) > 0.5
        with pytest.raises(ValueError, match=r"\['n', 'plain'\] have no quantiles"):
            mixed.predict_interval(X)

    @pytest.mark.slow
    @pytest.mark.parametrize("mixed", [2], indirect=True)
    def test_members_are_averaged_as_predictions(self, mixed, X):
        members = mixed._engine.predict_members(X.astype(np.float32))
        outputs = mixed._raw_predictions(X)
        counts, grades = members[1], members[2]
        np.testing.assert_allclose(
            np.exp(outputs[1]), np.exp(counts).mean(axis=0), rtol=1e-4
        )
        np.testing.assert_allclose(
            1 / (1 + np.exp(-outputs[2])),
            (1 / (1 + np.exp(-grades))).mean(axis=0),
            rtol=1e-4,
        )

    @pytest.mark.slow
    def test_a_file_keeps_it(self, mixed, X, tmp_path):
        mixed.save(tmp_path / "model.mmoe")
        again = load(tmp_path / "model.mmoe")
        pd.testing.assert_frame_equal(again.predict(X), mixed.predict(X))
        assert again.loss == LOSSES

    @pytest.mark.slow_but_first
    def test_onnx_says_the_same(self, mixed, X, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime")
        mixed.export_onnx(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        outputs = session.run(None, {"X": X.astype(np.float32)})
        by_name = dict(zip([o.name for o in session.get_outputs()], outputs))  # noqa: B905
        predicted = mixed.predict(X)
        for name in ("sum", "n", "plain"):
            np.testing.assert_allclose(
                by_name[name], predicted[name], rtol=1e-4, atol=1e-4
            )
        for name, expected in zip(
            ("grade", "yes"), mixed.predict_proba(X), strict=True
        ):
            np.testing.assert_allclose(by_name[name], expected, atol=1e-5)

    def test_one_name_is_for_the_tasks_of_its_type(self, X, frame):
        quick = {**QUICK, "max_iter": 1}
        model = MultiTaskMMoEMixed(loss="huber", **quick).fit(X, frame)
        kinds = ["huber", "huber", "multiclass", "binary", "huber"]
        assert [task.kind for task in model._tasks] == kinds
        with pytest.raises(ValueError, match=r"'huber', which fits none of the tasks"):
            model.fit(X, frame[["grade", "yes"]])

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            ({"total": "huber"}, "names ['total'], but the tasks are ['sum', 'n'"),
            (["huber"], "has 1 losses, but there are 5 tasks"),
            ({"sum": "log_loss"}, "'log_loss' for the task 'sum', which is a regressi"),
            ({"yes": "huber"}, "'huber' for the task 'yes', which is a classificatio"),
            ({"n": "hinge"}, "'hinge' for the task 'n', which is a regression and t"),
        ],
        ids=["name", "number", "of classes", "of values", "unknown"],
    )
    def test_a_wrong_one_is_named(self, X, frame, loss, message):
        with pytest.raises(ValueError, match=re.escape(message)):
            MultiTaskMMoEMixed(loss=loss, **QUICK).fit(X, frame)

    def test_a_warm_start_keeps_it(self, X, frame):
        quick = {**QUICK, "max_iter": 1, "warm_start": True}
        reg = MultiTaskMMoERegressor(**quick).fit(X, frame[["sum", "plain"]])
        reg.set_params(loss="huber")
        with pytest.raises(ValueError, match="made with loss='squared_error', but los"):
            reg.fit(X, frame[["sum", "plain"]])


def weighted_std(of_members, estimator):
    shares = estimator.cv_weights_.to_numpy()[0]
    shares = shares[shares > 0]
    weights = np.repeat(shares, len(of_members) // len(shares))
    mean = np.average(of_members, axis=0, weights=weights)
    return np.sqrt(np.average((of_members - mean) ** 2, axis=0, weights=weights))


class TestStandardDeviations:
    @pytest.mark.slow
    def test_of_values(self, X):
        y = np.column_stack([X[:, 0], 100 * X[:, 0] ** 2])
        quick = {**QUICK, "max_iter": 5}
        reg = MultiTaskMMoERegressor(**quick, cv=3).fit(X, y)
        mean, std = reg.predict(X, return_std=True)
        np.testing.assert_array_equal(mean, reg.predict(X))
        members = reg._engine.predict_members(X.astype(np.float32))
        expected = [
            weighted_std(m[:, :, 0], reg) * task.scale
            for m, task in zip(members, reg._tasks, strict=True)
        ]
        np.testing.assert_allclose(std, np.column_stack(expected), rtol=1e-3, atol=1e-6)
        assert (std.mean(axis=0) > [0.01, 1]).all()  # in the units of y

    @pytest.mark.slow
    def test_of_classes(self, X):
        y = pd.DataFrame({"a": X[:, 0] > 0, "b": np.digitize(X[:, 1], [-1, 1])})
        quick = {**QUICK, "max_iter": 5}
        clf = MultiTaskMMoEClassifier(**quick, cv=3).fit(X, y)
        labels, std = clf.predict(X, return_std=True)
        assert list(std.columns) == list(labels.columns) == ["a", "b"]
        logits = clf._engine.predict_members(X.astype(np.float32))[0][:, :, 0]
        expected = weighted_std(1 / (1 + np.exp(-logits)), clf)
        np.testing.assert_allclose(std["a"], expected, rtol=1e-3, atol=1e-6)
        assert std["b"].between(0, 0.5).all()

    def test_one_network_has_none(self, fitted_regressor, values_data):
        with pytest.raises(ValueError, match="return_std=True needs an ensemble"):
            fitted_regressor.predict(values_data[0], return_std=True)
