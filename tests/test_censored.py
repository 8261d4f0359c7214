"""Targets of which no more than bounds are known."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_ndtr
from sklearn.base import clone
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._tasks.intervals import INTERVAL, twice_log_loss
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe._training.checkpoint import Checkpoints
from sklearn_mmoe._training.trainer import Trainer
from sklearn_mmoe.inspection import task_importances
from sklearn_mmoe.losses import TobitLoss
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer
from sklearn_mmoe.model_selection import (
    MultiTaskConformalPredictor,
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    multi_task_train_test_split,
    sharing_report,
)
from sklearn_mmoe.preprocessing import censored_intervals

INF = np.inf
QUICK = {
    "num_experts": 2,
    "expert_units": 8,
    "shared_units": (16,),
    "tower_units": (),
    "batch_size": 32,
    "max_iter": 40,
    "dropout": 0.0,
    "weight_decay": 0.1,
    "feature_penalty": 0.0,
    "cv": None,
    "random_state": 0,
}


def between(lower, upper):
    return pd.arrays.IntervalArray.from_arrays(lower, upper, closed="both")


def censored(y, below=-INF, above=INF):
    """Hide what is below or above a limit."""
    lower = np.where(y < below, -INF, np.where(y > above, above, y))
    upper = np.where(y < below, below, np.where(y > above, INF, y))
    return between(lower, upper)


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal(size=(900, 3))


@pytest.fixture(scope="module")
def truth(X):
    return np.column_stack([X[:, 0] + X[:, 1], 100 * X[:, 2] + 300])


@pytest.fixture(scope="module")
def noisy(truth):
    noise = np.random.default_rng(1).normal(size=truth.shape)
    return truth + noise * [0.5, 50]


@pytest.fixture(scope="module")
def frame(noisy):
    """Half of the first task is below its limit, half of the second above."""
    middle = np.median(noisy, axis=0)
    return pd.DataFrame(
        {
            "low": censored(noisy[:, 0], below=middle[0]),
            "high": censored(noisy[:, 1], above=middle[1]),
        }
    )


@pytest.fixture(scope="module")
def fitted(X, frame):
    return MultiTaskMMoERegressor(loss="tobit", **QUICK).fit(X[:600], frame[:600])


@pytest.fixture(scope="module", params=[None, 2], ids=["single", "ensemble"])
def mixed(X, frame, noisy, request):
    y = frame.assign(yes=noisy[:, 0] > 0, plain=noisy[:, 0])
    quick = {**QUICK, "max_iter": 10, "cv": request.param}
    loss = {"low": "tobit", "high": "tobit"}
    model = MultiTaskMMoEMixed(loss=loss, match_parameters="single", **quick)
    return model.fit(X[:600], y[:600]), y


def loss_and_gradient(lower, upper, mean, log_spread, dtype="float64"):
    import tensorflow as tf

    loss = TobitLoss(0.0, reduction=None, dtype=dtype)
    targets = tf.constant(np.column_stack([lower, upper]), dtype)
    outputs = tf.Variable(np.column_stack([mean, log_spread]), dtype=dtype)
    with tf.GradientTape() as tape:
        of_rows = loss(targets, outputs)
    return of_rows.numpy(), tape.gradient(of_rows, outputs).numpy()


BOUNDS = {
    "below": lambda a: (np.full(len(a), -INF), a),
    "above": lambda a: (a, np.full(len(a), INF)),
    "between": lambda a: (a, a + 0.7),
    "far between": lambda a: (a, a + 30),
    "narrow": lambda a: (a, a + 1e-4),
    "known": lambda a: (a, a),
}


class TestLoss:
    rng = np.random.default_rng(2)
    log_spread = rng.normal(size=100) / 3
    mean = rng.normal(size=100)
    values = rng.normal(size=100)

    @pytest.mark.parametrize("kind", BOUNDS)
    @pytest.mark.parametrize("far", [1, 30, 1e6])
    def test_against_scipy(self, kind, far):
        lower, upper = BOUNDS[kind](far * self.values)
        found, _ = loss_and_gradient(lower, upper, self.mean, self.log_spread)
        spread = np.exp(self.log_spread)
        a, b = (lower - self.mean) / spread, (upper - self.mean) / spread
        if kind == "known":
            expected = a**2 + 2 * self.log_spread
        elif kind == "below":
            expected = -2 * log_ndtr(b)
        elif kind == "above":
            expected = -2 * log_ndtr(-a)
        else:
            expected = twice_log_loss(a, b)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("kind", BOUNDS)
    def test_the_gradient_is_that_of_the_loss_times_the_variance(self, kind):
        bounds = BOUNDS[kind](3 * self.values)
        _, found = loss_and_gradient(*bounds, self.mean, self.log_spread)
        step = 1e-6
        for column, (a, b) in enumerate([(step, 0), (0, step)]):
            after, before = (
                loss_and_gradient(*bounds, self.mean + s * a, self.log_spread + s * b)[
                    0
                ]
                for s in (1, -1)
            )
            slope = np.exp(2 * self.log_spread) * (after - before) / (2 * step)
            np.testing.assert_allclose(found[:, column], slope, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("kind", BOUNDS)
    @pytest.mark.parametrize("far", [1, 1e6])
    def test_finite_far_out_in_single_precision(self, kind, far):
        lower, upper = BOUNDS[kind](np.r_[far * self.values[:98], 0, -far])
        mean = np.r_[self.mean[:98], 0, 0]  # one on the bound itself
        loss, gradient = loss_and_gradient(
            lower, upper, mean, self.log_spread, "float32"
        )
        assert np.isfinite(loss).all()
        assert np.isfinite(gradient).all()
        if kind == "below":
            assert (gradient[:, 0] >= 0).all()
            assert gradient[98, 0] > 0.5  # even there it is told where to go

    @pytest.mark.slow
    def test_of_known_values_it_is_the_squared_error(self, X, noisy):
        """The same mean is learned in the same steps, at any spread."""
        quick = {**QUICK, "max_iter": 5}
        first, second = (
            MultiTaskMMoERegressor(loss=loss, **quick).fit(X, noisy).predict(X)
            for loss in ("squared_error", "tobit")
        )
        np.testing.assert_allclose(second, first, rtol=0.01, atol=0.02)


class TestWhatIsLearned:
    @pytest.mark.slow
    def test_the_truth_behind_the_limits(self, X, truth, noisy, frame, fitted):
        clipped = np.column_stack([frame["low"].array.right, frame["high"].array.left])
        known = np.column_stack([frame[name].array.length == 0 for name in frame])
        assert 0.45 < known.mean() < 0.55
        left_out = np.where(known, noisy, np.nan)
        others = [
            MultiTaskMMoERegressor(**QUICK).fit(X[:600], y[:600])
            for y in (clipped, left_out)
        ]
        of_tobit, *scores = (
            r2_score(truth[600:], model.predict(X[600:]), multioutput="raw_values")
            for model in (fitted, *others)
        )
        assert (of_tobit > 0.92).all()
        assert np.max(scores) < 0.75

    @pytest.mark.slow
    def test_the_spread(self, fitted):
        """That of the noise, in standard deviations of all targets."""
        outputs = fitted._raw_predictions(np.zeros((2, 3)))
        for output, task, noise in zip(outputs, fitted._tasks, [0.5, 50], strict=True):
            assert np.ptp(output[:, 1]) == 0  # one for all rows
            assert np.exp(output[0, 1]) * task.scale == pytest.approx(noise, rel=0.2)

    @pytest.mark.slow
    def test_intervals_with_both_bounds(self, X, truth):
        wide = np.floor(truth / [1, 100]) * [1, 100]
        y = pd.DataFrame(
            {k: between(wide[:, k], wide[:, k] + [1, 100][k]) for k in (0, 1)}
        )
        reg = MultiTaskMMoERegressor(loss="tobit", **QUICK).fit(X[:300], y[:300])
        assert r2_score(truth[300:], reg.predict(X[300:])) > 0.97
        assert reg.score(X[300:], y[300:]) > 0.97

    def test_where_the_targets_are(self, noisy):
        """Mean and deviation are those of all targets, though half are not known."""
        y = noisy[:, 0]
        task = task_of(censored(y, below=0.0))
        assert task.mean == pytest.approx(y.mean(), abs=0.1)
        assert task.scale == pytest.approx(y.std(), rel=0.1)

    @pytest.mark.parametrize("far", [1e3, 1e6])
    def test_far_bounds_are_as_none(self, noisy, far):
        def found(above):
            intervals = censored(noisy[:, 0], above=0.0)
            upper = np.where(np.isinf(intervals.right), above, intervals.right)
            return task_of(between(intervals.left, upper))

        wide, none = found(far), found(INF)
        assert wide.mean == pytest.approx(none.mean, abs=1e-3)
        assert wide.scale == pytest.approx(none.scale, rel=1e-3)
        assert wide.loss_scale == pytest.approx(none.loss_scale, rel=1e-3)

    @pytest.mark.parametrize("half", [1e-2, 1e-4, 1e-8])
    def test_narrow_bounds_weigh_as_values(self, noisy, half):
        y = noisy[:, 0]
        narrow, known = task_of(between(y - half, y + half)), task_of(between(y, y))
        assert narrow.loss_scale == pytest.approx(known.loss_scale, rel=1e-2)

    @pytest.mark.slow
    def test_weights_and_missing_targets(self, X, frame):
        """Rows of no weight and rows without a target are the same as none."""
        y = frame.copy()
        y.loc[300:450, "low"] = np.nan
        weight = pd.DataFrame(1.0, index=y.index, columns=y.columns)
        weight.loc[450:, "low"] = 0
        weight.loc[300:, "high"] = 0
        reg = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 2})
        with_all = reg.fit(X, y, sample_weight=weight).predict(X)
        alone = clone(reg).fit(X[:300], frame[:300]).predict(X)
        np.testing.assert_array_equal(with_all, alone)

    @pytest.mark.slow
    def test_a_constant(self, X):
        y = between(np.full(900, 3.0), np.full(900, 3.0))
        reg = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 1})
        np.testing.assert_allclose(reg.fit(X, y).predict(X), 3)


def _column(array):
    column = np.empty(len(array), INTERVAL)
    column["lower"], column["upper"] = array.left, array.right
    return column


def task_of(intervals):
    """Find out where intervals are, as a fit does."""
    n_rows = len(intervals)
    observed, weight = np.ones(n_rows, bool), np.ones(n_rows)
    return ValueTask.from_targets("a", _column(intervals), observed, weight, "tobit")


class TestWhatIsTaken:
    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("closed", ["left", "right", "neither"])
    def test_ends_do_not_matter(self, X, frame, fitted, closed):
        arrays = {k: frame[k].array for k in frame}
        y = pd.DataFrame(
            {
                k: pd.arrays.IntervalArray.from_arrays(a.left, a.right, closed=closed)
                for k, a in arrays.items()
            }
        )
        again = clone(fitted).set_params(max_iter=1)
        one = again.fit(X[:300], y[:300]).predict(X)
        other = again.fit(X[:300], frame[:300]).predict(X)
        np.testing.assert_array_equal(one, other)

    @pytest.mark.slow
    def test_containers(self, X, frame):
        array = frame["low"].array
        reg = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 1})
        expected = reg.fit(X, array).predict(X)
        mixture = [a.left if a.length == 0 else a for a in array]
        for y in (pd.IntervalIndex(array), pd.Series(array), list(array), mixture):
            np.testing.assert_array_equal(reg.fit(X, y).predict(X), expected)

    def test_an_interval_that_says_nothing_is_missing(self, X, noisy):
        y = noisy[:, 0]
        nothing = between(np.r_[y[:300], [-INF] * 600], np.r_[y[:300], [INF] * 600])
        reg = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 1})
        one = reg.fit(X, nothing).predict(X)
        other = reg.fit(X, np.r_[y[:300], [np.nan] * 600]).predict(X)
        np.testing.assert_array_equal(one, other)

    @pytest.mark.slow
    def test_batches_of_partial_fit(self, X, frame, noisy):
        reg = MultiTaskMMoERegressor(loss="tobit", **QUICK)
        reg.partial_fit(X[:300], frame[:300])
        reg.partial_fit(X[300:], noisy[300:])  # all are known, by chance
        assert np.isfinite(reg.predict(X)).all(axis=None)

    @pytest.mark.slow
    def test_early_stopping(self, X, frame):
        reg = MultiTaskMMoERegressor(
            loss="tobit", early_stopping=True, **{**QUICK, "max_iter": 3}
        )
        for metric in ("loss", "r2", "neg_mean_absolute_error"):
            reg.set_params(early_stopping_metric=metric).fit(X, frame)
            assert np.isfinite(reg.validation_scores_).all()
        reg.fit(X[:400], frame[:400], X_val=X[400:], y_val=frame[400:])
        for found in (None, "0.5?", [0.5, 0.6]):
            reg.set_params(early_stopping_metric=lambda *args, found=found: found)
            with pytest.raises(
                TypeError, match="'early_stopping_metric' parameter must"
            ):
                reg.fit(X[:100], frame[:100])

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("cv", [None, 2])
    def test_the_spread_does_not_decay(self, X, frame, cv, monkeypatch):
        """Where all other weights decay to nothing, and little is learned."""
        start = Trainer.start

        def from_minus_two(trainer, seed):
            start(trainer, seed)
            for weight in trainer.model.weights:
                if weight.name == "log_spread":
                    weight.assign(np.full(weight.shape, -2))

        monkeypatch.setattr(Trainer, "start", from_minus_two)
        quick = {**QUICK, "max_iter": 1, "learning_rate": 1e-8, "weight_decay": 1e8}
        reg = MultiTaskMMoERegressor(loss="tobit", **{**quick, "cv": cv})
        reg.fit(X, frame["low"])
        layers = [reg.network_.get_layer(f"tower_0_{x}") for x in ("spread", "output")]
        spread, (kernel, *_) = (layer.get_weights() for layer in layers)
        np.testing.assert_allclose(spread, -2, rtol=1e-3)
        np.testing.assert_allclose(kernel, 0, atol=1e-3)


class TestFitted:
    @pytest.mark.slow
    def test_predictions(self, mixed, X, truth):
        model, _ = mixed
        predicted = model.predict(X)
        assert list(predicted.columns) == ["low", "high", "yes", "plain"]
        assert predicted["low"].corr(predicted["plain"]) > 0.9
        assert predicted["high"].corr(pd.Series(truth[:, 1])) > 0.9

    @pytest.mark.slow
    @pytest.mark.parametrize("mixed", [2], indirect=True)
    def test_standard_deviations(self, mixed, X):
        model, _ = mixed
        _, std = model.predict(X, return_std=True)
        members = model._engine.predict_members(X.astype(np.float32))[1]
        expected = members[:, :, 0].std(axis=0) * model._tasks[1].scale
        np.testing.assert_allclose(std["high"], expected, rtol=1e-3)

    @pytest.mark.slow
    def test_files_and_pickles(self, mixed, X, tmp_path):
        model, _ = mixed
        model.save(tmp_path / "model.mmoe")
        for again in (
            load(tmp_path / "model.mmoe"),
            pickle.loads(pickle.dumps(model)),
        ):
            pd.testing.assert_frame_equal(again.predict(X), model.predict(X))

    @pytest.mark.slow_but_first
    def test_onnx(self, mixed, X, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime")
        model, _ = mixed
        model.export_onnx(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        names = [output.name for output in session.get_outputs()]
        outputs = session.run(None, {"X": X.astype(np.float32)})
        by_name = dict(zip(names, outputs, strict=True))
        for name in ("low", "high", "plain"):
            np.testing.assert_allclose(
                by_name[name], model.predict(X)[name], rtol=1e-4, atol=1e-3
            )

    @pytest.mark.slow
    def test_a_network_of_ones_own(self, X, frame):
        import keras

        def network(meta, seed):
            x = keras.Input((meta["n_features_in_"],))
            units = meta["task_units_"]
            assert units == [2, 2]
            draw = keras.initializers.GlorotUniform(seed)
            layers = [keras.layers.Dense(n, kernel_initializer=draw) for n in units]
            return keras.Model(x, [layer(x) for layer in layers])

        reg = MultiTaskMMoERegressor(
            loss="tobit", network=network, max_iter=10, batch_size=32,
            learning_rate=0.1, random_state=0,
        )  # fmt: skip
        assert reg.fit(X, frame).score(X, frame) > 0.5

    @pytest.mark.slow
    def test_a_checkpoint_is_of_its_bounds(self, X, frame, tmp_path, monkeypatch):
        write = Checkpoints.write

        def write_one(*args):
            if args[-1].epoch == 1:
                raise KeyboardInterrupt
            write(*args)

        quick = {**QUICK, "max_iter": 3, "checkpoint_dir": tmp_path}
        reg = MultiTaskMMoERegressor(loss="tobit", **quick)
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "write", write_one)
            with pytest.raises(KeyboardInterrupt):
                reg.fit(X, frame)
        other = frame.copy()
        other.loc[0, "low"] = pd.Interval(0, 1, closed="both")
        with pytest.raises(ValueError, match="of another fit: y is not the same"):
            reg.fit(X, other)
        reg.fit(X, frame)
        expected = clone(reg).set_params(checkpoint_dir=None).fit(X, frame).predict(X)
        pd.testing.assert_frame_equal(reg.predict(X), expected)


class TestScores:
    """The error of a target that is an interval is the distance to it."""

    def test_r2(self, X, noisy, frame, fitted):
        predicted = fitted.predict(X)
        scores = multi_task_scorer("r2")(fitted, X, frame)
        for k, name in enumerate(frame):
            array = frame[name].array
            errors = predicted.iloc[:, k] - np.clip(
                predicted.iloc[:, k], array.left, array.right
            )
            # The best constant, by trying.
            grid = np.quantile(noisy[:, k], np.linspace(0, 1, 2001))[:, None]
            least = ((grid - np.clip(grid, array.left, array.right)) ** 2).mean(axis=1)
            expected = 1 - (errors**2).mean() / least.min()
            assert scores[name] == pytest.approx(expected, abs=1e-3)
        assert fitted.score(X, frame) == pytest.approx(scores["mean"])

    def test_of_known_values_it_is_r2(self, X, noisy, fitted):
        known = pd.DataFrame(
            {"low": between(*[noisy[:, 0]] * 2), "high": between(*[noisy[:, 1]] * 2)}
        )
        assert fitted.score(X, known) == pytest.approx(fitted.score(X, noisy))

    def test_of_weighted_rows(self, X, frame, fitted):
        weight = np.r_[np.ones(200), np.zeros(700)]
        assert fitted.score(X, frame, weight) == pytest.approx(
            fitted.score(X[:200], frame[:200])
        )

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("exponent", [-600, -50, 600])
    def test_of_any_unit(self, X, frame, exponent):
        X, frame = X[:200], frame[:200]
        scaled = frame.apply(
            lambda column: between(
                np.ldexp(column.array.left, exponent),
                np.ldexp(column.array.right, exponent),
            )
        )
        model = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 5})
        results = []
        for y, back in ((frame, 0), (scaled, -exponent)):
            predicted = model.fit(X, y).predict(X).to_numpy()
            scores = multi_task_scorer("r2")(model, X, y)
            results.append((np.ldexp(predicted, back), list(scores.values())))
        np.testing.assert_array_equal(*[predicted for predicted, _ in results])
        assert results[0][1] == results[1][1]
        assert 0 < min(results[0][1]) < max(results[0][1]) < 1

    def test_undefined(self, X, frame, fitted):
        with pytest.warns(Warning, match="undefined on these rows"):
            assert np.isnan(fitted.score(X[:1], frame[:1]))
        within = pd.DataFrame({k: censored(np.zeros(5), below=1.0) for k in frame})
        found = mean_task_scorer("r2")(fitted, X[:5] - 50, within)
        assert found in (0.0, 0.5, 1.0)  # no constant is wrong of these

    def test_where_two_bounds_touch_the_best_constant_is_right(self, X, fitted):
        bounds = between([0.0, 0.7, 0.1], [0.7, 1.3, 2.9])
        frame = pd.DataFrame({"low": bounds, "high": bounds})
        assert fitted.score(X[:3] + 50, frame) in (0.0, 0.5, 1.0)

    def test_errors(self, X, frame, fitted):
        low, predicted = frame["low"].array, fitted.predict(X)["low"].to_numpy()
        nearest = np.clip(predicted, low.left.to_numpy(), low.right.to_numpy())
        distance = np.abs(nearest - predicted)
        scores = {
            name: multi_task_scorer(name)(fitted, X, frame)["low"]
            for name in ("neg_mean_absolute_error", "neg_root_mean_squared_error")
        }
        assert scores["neg_mean_absolute_error"] == pytest.approx(-distance.mean())
        assert scores["neg_root_mean_squared_error"] == pytest.approx(
            -np.sqrt((distance**2).mean())
        )

    def test_a_metric_of_ones_own_is_given_the_intervals(self, X, frame, fitted):
        def share_within(y_true, y_pred):
            assert isinstance(y_true, pd.arrays.IntervalArray)
            return np.mean(
                y_true.contains(y_pred[0])
                if len(y_pred) == 1
                else [p in interval for p, interval in zip(y_pred, y_true, strict=True)]
            )

        scorer = multi_task_scorer(make_scorer(share_within))
        assert 0.3 < scorer(fitted, X, frame)["low"] < 0.6
        # Also where it happens that all are known.
        known = pd.DataFrame({k: between(*[np.ones(9)] * 2) for k in frame})
        assert scorer(fitted, X[:9], known)["low"] == 0

    def test_r2_that_may_be_infinite(self, X, frame, fitted):
        within = pd.DataFrame({k: censored(np.zeros(5), below=1.0) for k in frame})
        scorer = multi_task_scorer(make_scorer(r2_score, force_finite=False))
        found = scorer(fitted, X[:5] + 50, within)
        assert {found["low"], found["high"]} <= {-INF, np.nan}
        assert -INF in found.values()

    def test_others_are_refused_by_name(self, X, frame, fitted):
        message = "'explained_variance' cannot score the task 'low'.*are intervals"
        with pytest.raises(ValueError, match=message):
            mean_task_scorer("explained_variance")(fitted, X, frame)


class TestOthersThatTakeTargets:
    quick = {**QUICK, "max_iter": 2, "loss": "tobit"}

    def test_splitters(self, X, frame, noisy):
        next(MultiTaskStratifiedKFold().split(X, frame))
        y = frame.assign(yes=noisy[:, 0] > 0)
        next(MultiTaskStratifiedKFold().split(X, y))
        parts = multi_task_train_test_split(X, frame, test_size=0.5, random_state=0)
        groups = MultiTaskStratifiedGroupKFold(2).split(X, y, np.arange(900) // 3)
        of_groups = [y.iloc[rows] for rows in next(groups)]
        for some in (*parts[2:], *of_groups):
            # The rows below the limit are shared out evenly.
            assert np.mean(some["low"].array.length > 0) == pytest.approx(0.5, abs=0.02)

    @pytest.mark.slow
    def test_searches(self, X, frame):
        search = GridSearchCV(
            MultiTaskMMoERegressor(**self.quick), {"learning_rate": [0.01, 0.1]}, cv=2
        )
        assert search.fit(X, frame).best_score_ > 0
        reg = MultiTaskMMoERegressor(**self.quick)
        scores = cross_val_score(reg, X, frame["low"].array, cv=2)
        assert np.isfinite(scores).all()
        train_test_split(X, frame["low"].array)

    @pytest.mark.slow
    def test_reports_and_importances(self, X, frame, fitted):
        report = sharing_report(
            MultiTaskMMoERegressor(**self.quick),
            X,
            frame,
            cv=2,
            sharing=["single", "mmoe"],
            leave_one_out=False,
        )
        assert report.overall.notna().all(axis=None)
        found = task_importances(fitted, X, frame, n_repeats=2, random_state=0)
        assert found["importances_mean"].loc["x2", "high"] > 0.5

    def test_conformal_intervals_are_refused(self, X, frame):
        model = MultiTaskConformalPredictor(MultiTaskMMoERegressor(**self.quick), cv=2)
        with pytest.raises(ValueError, match="'low' has targets in y that are interv"):
            model.fit(X, frame)


class TestErrors:
    def fit(self, y, X=None, **parameters):
        X = np.zeros((len(y), 2)) if X is None else X
        estimator = parameters.pop("estimator", MultiTaskMMoERegressor)
        quick = {**QUICK, "max_iter": 1, **parameters}
        return estimator(**quick).fit(X, y)

    def test_another_loss(self, X, frame):
        message = "The task 'low' has intervals in y, which loss='squared_error' does"
        with pytest.raises(ValueError, match=message):
            self.fit(frame, X)
        with pytest.raises(ValueError, match=r"Set loss={'low': 'tobit'}"):
            self.fit(frame, X, loss={"high": "tobit"}, estimator=MultiTaskMMoEMixed)

    def test_a_classification(self, X, frame):
        message = "MultiTaskMMoEClassifier takes labels, but the task 'low' has interv"
        with pytest.raises(ValueError, match=message):
            self.fit(frame, X, estimator=MultiTaskMMoEClassifier)
        with pytest.raises(ValueError, match="'low' has intervals"):
            self.fit(
                frame,
                X,
                estimator=MultiTaskMMoEMixed,
                task_types={"low": "classification"},
            )

    @pytest.mark.parametrize(
        ("lower", "upper", "message"),
        [
            (
                [-INF, -INF],
                [1.0, 2.0],
                "No target of the task 'a' in y has a lower bound",
            ),
            (
                [1.0, 2.0],
                [INF, INF],
                "No target of the task 'a' in y has an upper bound",
            ),
            ([np.nan] * 2, [np.nan] * 2, "The task 'a' has no target at all in y"),
            ([-INF, 1], [INF, INF], "'a' in y has an upper bound"),
            ([INF, 1], [INF, 1], "infinity in the task 'a'"),
        ],
    )
    def test_nothing_to_learn_from(self, lower, upper, message):
        y = pd.DataFrame({"a": between(lower, upper)})
        with pytest.raises(ValueError, match=message):
            self.fit(y, loss="tobit")

    def test_values_among_intervals(self):
        y = pd.DataFrame({"a": [pd.Interval(0, 1), "<5"]})
        with pytest.raises(ValueError, match="'a' has intervals, but also '<5'"):
            self.fit(y, loss="tobit")
        days = pd.interval_range(pd.Timestamp("2024-01-01"), periods=3)
        with pytest.raises(ValueError, match="'a' has intervals of dates"):
            self.fit(pd.DataFrame({"a": days}), loss="tobit")

    def test_text(self):
        with pytest.raises(ValueError, match="'a' is a regression, but its targets"):
            self.fit(pd.DataFrame({"a": ["<5", "7"]}), loss="tobit")

    @pytest.mark.parametrize("weighting", ["uncertainty", "dwa", "lbtw", "gradnorm"])
    def test_weightings_of_positive_losses(self, X, frame, weighting):
        message = rf"'task_weighting' parameter is '{weighting}'.*\['low', 'high'\]"
        with pytest.raises(ValueError, match=message):
            self.fit(frame, X, loss="tobit", task_weighting=weighting)
        self.fit(frame["low"], X, loss="tobit", task_weighting=weighting)

    @pytest.mark.slow
    def test_gradient_surgery_is_fine(self, X, frame):
        self.fit(frame, X, loss="tobit", task_weighting="pcgrad")


class TestReading:
    def test_signs(self):
        texts = ["<5", " <= 5 ", "≤5", ">-1e3", ">=10", "≥ 10", "3.5", "= 3.5", "1,000"]
        below, above, known = (-INF, 5.0), (10.0, INF), (3.5, 3.5)
        expected = [below] * 3 + [(-1000.0, INF)] + [above] * 2 + [known] * 2
        found = censored_intervals(texts)
        assert found.to_tuples().tolist() == [*expected, (1000.0, 1000.0)]
        assert found.closed == "both"

    def test_what_is_missing(self):
        found = censored_intervals([None, np.nan, pd.NA, "", "n/a", "<1", 2])
        assert found.isna().tolist() == [True] * 5 + [False] * 2

    def test_containers(self):
        expected = [(-INF, 5.0), (7.0, 7.0)]
        series = pd.Series(["<5", 7], index=[3, 1], name="ic50")
        found = censored_intervals(series)
        assert (found.name, found.index.tolist()) == ("ic50", [3, 1])
        for values in (series, np.array(["<5", "7"]), pd.array(["<5", "7"])):
            array = pd.array(censored_intervals(values))
            assert array.to_tuples().tolist() == expected
        assert len(censored_intervals([])) == 0
        polars = pytest.importorskip("polars")
        found = censored_intervals(polars.Series(["<5", "7"]))
        assert found.to_tuples().tolist() == expected

    def test_decimal(self):
        found = censored_intervals(["<5,5", "1.000"], decimal=",")
        assert found.to_tuples().tolist() == [(-INF, 5.5), (1000.0, 1000.0)]
        with pytest.raises(ValueError, match="'decimal' parameter must be"):
            censored_intervals(["1"], decimal=";")

    @pytest.mark.parametrize("value", ["about 5", "<", "<n/a", ">inf", "5-7", INF])
    def test_what_cannot_be_read(self, value):
        with pytest.raises(
            ValueError, match=re.escape(f"`values` has {value!r}, whic")
        ):
            censored_intervals(["1", value])

    def test_one_column(self):
        with pytest.raises(ValueError, match="`values` must be one column, got an arr"):
            censored_intervals([["<5", "1"]])

    def test_currencies_do_not_mix(self):
        assert censored_intervals(["<5 EUR", "€ 7"])[0].right == 5
        with pytest.raises(ValueError, match="more than one currency: EUR, JPY"):
            censored_intervals(["<5 EUR", ">= JPY 7"])

    def test_it_is_what_fit_takes(self, X, truth, noisy):
        texts = np.where(noisy[:, 0] < -0.5, "<-0.5", noisy[:, 0].astype(str))
        reg = MultiTaskMMoERegressor(loss="tobit", **{**QUICK, "max_iter": 10})
        reg.fit(X, censored_intervals(texts))
        assert r2_score(truth[:, 0], reg.predict(X)) > 0.9
