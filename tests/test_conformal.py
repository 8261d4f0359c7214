"""Intervals and sets of classes that hold what they say."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEMixed, MultiTaskMMoERegressor
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.model_selection import (
    MultiTaskConformalPredictor,
    MultiTaskThresholdClassifier,
)

QUICK = {
    "num_experts": 2,
    "expert_units": 8,
    "shared_units": (16,),
    "tower_units": (),
    "batch_size": 64,
    "max_iter": 20,
    "dropout": 0.0,
    "random_state": 0,
}


def draw(n_rows, seed):
    """Draw two regressions, of which the second has wilder rows than others."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3))
    noise = rng.normal(size=(n_rows, 2)) * np.exp([[0.0, 1.0]] * X[:, :1])
    return X, X @ [[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]] + noise


@pytest.fixture(scope="module")
def data():
    return *draw(500, 0), *draw(2000, 1)


def shares(intervals, y):
    return ((intervals[..., 0] <= y) & (y <= intervals[..., 1])).mean(axis=0)


class TestCoverage:
    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("options", [{}, {"cv": 0.4, "refit": False}])
    @pytest.mark.parametrize("coverage", [0.5, 0.9])
    def test_on_the_mean_over_draws_it_is_what_was_asked(self, options, coverage):
        found = []
        for seed in range(20):
            X, y = draw(200, seed)
            model = MultiTaskConformalPredictor(
                LinearRegression(), random_state=seed, **options
            ).fit(X, y)
            X, y = draw(2000, 1000 + seed)
            found.append(shares(model.predict_interval(X, coverage), y))
        mean, error = np.mean(found, axis=0), np.std(found, axis=0) / 20**0.5
        assert (np.abs(mean - coverage) < 3 * error + 0.005).all()

    def test_split_is_exact(self):
        """Of n scores the k-th smallest holds k / (n + 1) of new rows."""
        y = np.arange(1.0, 10.0)
        model = MultiTaskConformalPredictor(
            DummyRegressor(strategy="constant", constant=0.0).fit([[0]], [0]),
            cv="prefit",
            refit=False,
        ).fit(np.zeros((9, 1)), y)
        for coverage, expected in ((0.1, 1), (0.5, 5), (0.85, 9), (0.9, 9)):
            bounds = model.predict_interval(np.zeros((1, 1)), coverage)
            assert bounds.tolist() == [[[-expected, expected]]]
        message = "`coverage`=0.91 needs at least 11 targets on rows that the estimator"
        with pytest.raises(ValueError, match=re.escape(message)):
            model.predict_interval(np.zeros((1, 1)), 0.91)

    def test_sets_of_classes(self, data):
        X, y, X_test, y_test = data
        classes, expected = np.digitize(y, [-2, 2]), np.digitize(y_test, [-2, 2])
        forest = RandomForestClassifier(30, min_samples_leaf=5, random_state=0)
        model = MultiTaskConformalPredictor(forest).fit(X, classes)
        sizes = []
        for coverage in (0.8, 0.9, 0.95):
            sets = model.predict_set(X_test, coverage)
            for k, within in enumerate(sets):
                assert within.dtype == bool
                share = within[np.arange(2000), expected[:, k]].mean()
                assert abs(share - coverage) < 0.035
            sizes.append(np.mean([within.sum(axis=1).mean() for within in sets]))
        assert sizes == sorted(sizes)
        assert all(within.any(axis=1).all() for within in model.predict_set(X, 0.01))

    @pytest.mark.slow
    def test_learned_quantiles_are_corrected(self, data):
        """Too narrow on new rows as they are; wide where the noise is."""
        X, y, X_test, y_test = data
        # Far too long, so that the training rows are learned by heart.
        reg = MultiTaskMMoERegressor(
            loss="quantile",
            **{**QUICK, "max_iter": 150, "expert_units": 32, "batch_size": 32},
            weight_decay=0.0,
        )
        search = GridSearchCV(
            make_pipeline(StandardScaler(), reg),
            {"multitaskmmoeregressor__feature_penalty": [0.0]},
            cv=2,
        )
        model = MultiTaskConformalPredictor(search, cv=0.4, refit=False, random_state=0)
        model.fit(X[:250], y[:250])
        as_learned = model.estimator_.best_estimator_[-1].predict_interval(
            model.estimator_.best_estimator_[0].transform(X_test), 0.9
        )
        assert (shares(as_learned, y_test) < 0.87).all()
        corrected = model.predict_interval(X_test, 0.9)
        np.testing.assert_allclose(shares(corrected, y_test), 0.9, atol=0.06)
        moved = corrected - as_learned
        np.testing.assert_allclose(moved[:, :, 1], -moved[:, :, 0])  # by one margin
        np.testing.assert_allclose(moved, moved[:1].repeat(2000, axis=0))
        widths = np.diff(corrected, axis=2)[:, :, 0]
        assert np.corrcoef(np.log(widths[:, 1]), X_test[:, 0])[0, 1] > 0.6
        wider = model.predict_interval(X_test, 0.99)  # than any that was learned
        assert (shares(wider, y_test) > 0.97).all()


class TestTasks:
    @pytest.mark.slow
    def test_mixed_tasks_with_missing_targets_and_a_column_for_each(self, data):
        X, y, X_test, _ = data
        frame = pd.DataFrame({"a": y[:, 0], "b": np.where(y[:, 1] > 0, "yes", "no")})
        frame["c"], frame["d"] = y[:, 1], np.digitize(y[:, 0], [-1, 1])
        frame.loc[::2, "a"] = np.nan
        frame.loc[::5, "b"] = None
        mixed = MultiTaskMMoEMixed(loss={"c": "quantile"}, **QUICK, cv=None)
        model = MultiTaskConformalPredictor(mixed, cv=2).fit(X, frame)
        counts = {"a": 250, "b": 400, "c": 500, "d": 500}
        assert model.n_calibration_ == counts
        assert model.task_names_ == list(counts)
        intervals = model.predict_interval(X_test)
        assert intervals.shape == (2000, 2, 2)
        widths = np.diff(intervals, axis=2)[:, :, 0]
        assert np.ptp(widths[:, 0]) < 1e-9 < np.ptp(widths[:, 1])
        assert [s.shape for s in model.predict_set(X_test)] == [(2000, 2), (2000, 3)]
        pd.testing.assert_frame_equal(
            model.predict(X_test), model.estimator_.predict(X_test)
        )
        assert len(model.predict_proba(X_test)) == 2
        metrics = {"a": "r2", "b": "roc_auc", "c": "r2", "d": "accuracy"}
        scores = multi_task_scorer(metrics)(model, X, frame)
        assert scores == multi_task_scorer(metrics)(model.estimator_, X, frame)

    @pytest.mark.slow
    def test_names_in_the_order_of_what_is_returned(self, data):
        """Behind a Pipeline, with tasks of both kinds in turn."""
        X, y, X_test, _ = data
        frame = pd.DataFrame({"sales": y[:, 1], "late": y[:, 0] > 0})
        frame["cost"], frame["size"] = 100 + y[:, 0], np.digitize(y[:, 0], [-1, 1])
        mixed = MultiTaskMMoEMixed(**QUICK, cv=None)
        model = MultiTaskConformalPredictor(
            make_pipeline(StandardScaler(), mixed), cv=0.3, refit=False, random_state=0
        ).fit(X, frame)
        assert model.regression_names_ == ["sales", "cost"]
        assert model.classification_names_ == ["late", "size"]
        of_task = dict(
            zip(
                model.regression_names_,
                np.moveaxis(model.predict_interval(X_test), 1, 0),
                strict=True,
            )
        )
        middle = {name: bounds.mean(axis=1) for name, bounds in of_task.items()}
        for name in model.regression_names_:
            np.testing.assert_allclose(
                middle[name], model.predict(X_test)[name], rtol=1e-4, atol=1e-4
            )
        sets = dict(
            zip(model.classification_names_, model.predict_set(X_test), strict=True)
        )
        assert {name: of_one.shape[1] for name, of_one in sets.items()} == {
            "late": 2,
            "size": 3,
        }

    def test_names_of_one_kind(self, data):
        X, y, *_ = data
        model = MultiTaskConformalPredictor(LinearRegression(), cv=2)
        model.fit(X, pd.DataFrame(y, columns=["a", "b"]))
        assert (model.regression_names_, model.classification_names_) == (
            ["a", "b"],
            [],
        )
        model.set_params(estimator=LogisticRegression()).fit(X, y[:, 0] > 0)
        assert (model.regression_names_, model.classification_names_) == (
            [],
            ["task_0"],
        )

    def test_prefit_columns_are_matched_by_name(self, data):
        X, y, X_test, _ = data
        frame = pd.DataFrame(y, columns=["a", "b"])
        reg = MultiTaskMMoERegressor(**QUICK).fit(X[:250], frame[:250])
        fitted = [
            MultiTaskConformalPredictor(reg, cv="prefit", refit=False)
            .fit(X[250:], frame[250:][columns])
            .predict_interval(X_test)
            for columns in (["a", "b"], ["b", "a"])
        ]
        np.testing.assert_array_equal(*fitted)

    def test_few_whole_values_are_no_classes_to_be_warned_of(self, data):
        X, *_ = data
        y = np.random.default_rng(0).poisson(2.0, size=500).astype(float) * 1000
        y[0] = 99_000
        for cv in (0.3, 3, None):
            MultiTaskConformalPredictor(LinearRegression(), cv=cv, random_state=0).fit(
                X, y
            )

    def test_one_task(self, data):
        X, y, X_test, _ = data
        model = MultiTaskConformalPredictor(LinearRegression(), cv=3).fit(X, y[:, 0])
        assert model.predict_interval(X_test).shape == (2000, 1, 2)
        clf = MultiTaskConformalPredictor(LogisticRegression(), cv=3)
        clf.fit(X, y[:, 0] > 0)
        assert clf.predict_set(X_test).shape == (2000, 2)
        assert clf.classes_.tolist() == [False, True]
        assert clf.score(X, y[:, 0] > 0) == clf.estimator_.score(X, y[:, 0] > 0)

    def test_a_class_that_a_fold_has_not_seen(self, data):
        """It has probability 0 there, and so belongs to no small set."""
        X, y, X_test, _ = data
        labels = np.where(y[:, 0] > 0, "yes", "no").astype(object)
        labels[0] = "perhaps"
        model = MultiTaskConformalPredictor(LogisticRegression(), cv=GroupKFold(2))
        model.fit(X, labels, groups=np.arange(500) % 2)
        assert model.predict_set(X_test, 0.9).shape == (2000, 3)
        assert (model._scores[0] == 1).sum() == 1

    def test_weights_go_to_the_fits(self, data):
        X, y, X_test, _ = data
        weight = np.tile([1.0, 0.0], 250)
        model = MultiTaskConformalPredictor(LinearRegression(), cv=2)
        model.fit(X, y, sample_weight=weight)
        alone = LinearRegression().fit(X[::2], y[::2])
        np.testing.assert_allclose(model.predict(X_test), alone.predict(X_test))

    def test_weights_go_to_the_fits_of_folds_too(self, data):
        X, y, *_ = data
        weight = np.tile([1.0, 0.0], 250)
        weight[:20] = 100.0
        model = MultiTaskConformalPredictor(LinearRegression(), cv=KFold(2))
        model.fit(X, y, sample_weight=weight)
        errors = np.empty(y.shape)
        for train, test in KFold(2).split(X):
            alone = LinearRegression().fit(X[train], y[train], weight[train])
            errors[test] = np.abs(y[test] - alone.predict(X[test]))
        widths = np.diff(model.predict_interval(X[:1], 0.9), axis=2)[0, :, 0]
        expected = (
            2 * np.sort(errors, axis=0)[450]
        )  # the 451st of 500, for one row more
        np.testing.assert_allclose(widths, expected)


class TestErrors:
    @pytest.mark.parametrize("coverage", [0, 1, -0.1, 90, "0.9", np.nan])
    def test_coverage(self, data, coverage):
        model = MultiTaskConformalPredictor(LinearRegression()).fit(*data[:2])
        with pytest.raises(ValueError, match="`coverage` must be a number between 0"):
            model.predict_interval(data[2], coverage)

    def test_of_the_other_kind(self, data):
        X, y, *_ = data
        reg = MultiTaskConformalPredictor(LinearRegression()).fit(X, y)
        with pytest.raises(ValueError, match="predict_interval is for regressions"):
            reg.predict_set(X)
        clf = MultiTaskConformalPredictor(RandomForestClassifier(3)).fit(X, y > 0)
        with pytest.raises(ValueError, match="predict_set is for classifications"):
            clf.predict_interval(X)

    def test_prefit_and_refit(self, data):
        X, y, *_ = data
        predictor = MultiTaskConformalPredictor(LinearRegression(), cv="prefit")
        with pytest.raises(ValueError, match="cv='prefit' needs refit=False"):
            predictor.fit(X, y)
        with pytest.raises(NotFittedError, match=r"`estimator`.*fit it first"):
            predictor.set_params(refit=False).fit(X, y)
        message = r"cv makes 3 folds.*Pass refit=True.*such as cv=0.2"
        with pytest.raises(ValueError, match=message):
            predictor.set_params(cv=3).fit(X, y)

    def test_not_fitted_yet(self, data):
        """Also around an estimator that is: then it says how to keep it."""
        X, y, *_ = data
        plain = "is not fitted yet. Call 'fit' with appropriate arguments"
        prefit = "Call 'fit'.*not fitted on.*cv='prefit' and refit=False"
        fitted = LogisticRegression().fit(X, y[:, 0] > 0)
        for estimator, message in (
            (LogisticRegression(), plain),
            (fitted, prefit),
            (make_pipeline(StandardScaler(), fitted).fit(X, y[:, 0] > 0), prefit),
        ):
            for kind in (MultiTaskConformalPredictor, MultiTaskThresholdClassifier):
                model = kind(estimator)
                asked = ["predict", "predict_proba", "predict_log_proba"]
                asked += ["predict_set", "predict_interval"]
                for name in asked:
                    if hasattr(model, name):
                        with pytest.raises(NotFittedError, match=message):
                            getattr(model, name)(X)
                with pytest.raises(NotFittedError, match=message):
                    model.score(X, y[:, 0] > 0)
