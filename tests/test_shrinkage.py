"""What an ensemble says of a task, shrunk towards what is known without features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit
from sklearn.metrics import log_loss

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._training.shrinkage import best_factor, constant_outputs

SMALL = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "batch_size": 32,
    "max_iter": 12,
    "cv": 2,
    "random_state": 0,
    "kernel_ridge": None,
}


def labels(n_rows=200, seed=0):
    """A task that the features tell, one of a rare class, and one of pure chance."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 5))
    y = {
        "told": np.where(X[:, 0] > 0, "yes", "no"),
        "rare": np.where(rng.random(n_rows) < 0.04, "yes", "no"),
        "chance": rng.choice(["a", "b", "c"], n_rows),
    }
    return X, pd.DataFrame(y)


@pytest.fixture(scope="module")
def fitted():
    return MultiTaskMMoEClassifier(**SMALL).fit(*labels())


def outputs_of(estimator, X):
    """The members' outputs, for each task (n_members, n_rows, units)."""
    return estimator._engine.predict_members(X.astype("float32"))


def constants(estimator, y):
    """Logits of the classes' shares, of a rare class or several."""
    found = []
    for task in estimator.task_names_:
        counts = y[task].value_counts().sort_index().to_numpy() + 0.5
        logs = np.log(counts / counts.sum())
        found.append(logs[1:] - logs[:1] if len(logs) == 2 else logs)
    return found


class TestFit:
    @pytest.mark.slow
    def test_believes_what_the_features_tell(self, fitted):
        factors = fitted.cv_shrinkage_
        assert list(factors) == fitted.task_names_
        assert factors["told"] == 1
        assert max(factors["rare"], factors["chance"]) < 0.5

    @pytest.mark.slow
    def test_is_not_much_worse_than_the_shares_of_classes(self, fitted):
        """On new rows, as it is without shrinking."""
        X, y = labels(2_000, seed=1)
        unknown = y["rare"].eq("yes").to_numpy()
        share = labels()[1]["rare"].eq("yes").mean()
        least = log_loss(unknown, np.full(len(y), share))
        assert log_loss(unknown, fitted.predict_proba(X)[1][:, 1]) < 1.05 * least

    @pytest.mark.slow
    def test_without_it_is(self, unshrunken):
        """Or the test before would say nothing."""
        X, y = labels(2_000, seed=1)
        model = MultiTaskMMoEClassifier(**SMALL).fit(*labels())
        unknown = y["rare"].eq("yes").to_numpy()
        share = labels()[1]["rare"].eq("yes").mean()
        least = log_loss(unknown, np.full(len(y), share))
        assert log_loss(unknown, model.predict_proba(X)[1][:, 1]) > 1.1 * least

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("sharing", "wide"),
        [
            ("mmoe", True),
            ("mmoe", False),
            ("single", True),
            *(
                pytest.param(sharing, True, marks=pytest.mark.slow)
                for sharing in ("omoe", "cgc", "ple", "shared_bottom", "aitm")
            ),
            pytest.param("cross_stitch", True, marks=pytest.mark.slow),
            pytest.param("single", False, marks=pytest.mark.slow),
        ],
    )
    def test_shrinks_each_member(self, sharing, wide, request):
        """Of every architecture, and no other task."""
        X, y = labels()
        options = {**SMALL, "max_iter": 3, "sharing": sharing, "wide": wide}
        shrunken = MultiTaskMMoEClassifier(**options).fit(X, y)
        request.getfixturevalue("unshrunken")
        as_trained = MultiTaskMMoEClassifier(**options).fit(X, y)
        factors = list(shrunken.cv_shrinkage_.values())
        assert min(factors) < 1
        for before, after, constant, factor in zip(
            outputs_of(as_trained, X),
            outputs_of(shrunken, X),
            constants(shrunken, y),
            factors,
            strict=True,
        ):
            expected = constant + factor * (before - constant)
            np.testing.assert_allclose(after, expected, atol=1e-5)

    @pytest.mark.slow
    def test_keeps_the_order_of_rows(self, request):
        X, y = labels()
        shrunken = MultiTaskMMoEClassifier(**SMALL).fit(X, y)
        request.getfixturevalue("unshrunken")
        as_trained = MultiTaskMMoEClassifier(**SMALL).fit(X, y)
        (_, after, _), (_, before, _) = (
            outputs_of(m, X) for m in (shrunken, as_trained)
        )
        for row_after, row_before in zip(after[..., 0], before[..., 0], strict=True):
            np.testing.assert_array_equal(np.argsort(row_after), np.argsort(row_before))

    @pytest.mark.slow
    def test_of_a_task_of_few_labels(self, request):
        """Which has members of its own, as they were in other epochs."""
        X, y = labels(300)
        y.loc[60:, "chance"] = np.nan
        shrunken = MultiTaskMMoEClassifier(**{**SMALL, "max_iter": 3}).fit(X, y)
        request.getfixturevalue("unshrunken")
        as_trained = MultiTaskMMoEClassifier(**{**SMALL, "max_iter": 3}).fit(X, y)
        factor = shrunken.cv_shrinkage_["chance"]
        assert factor < 1
        after, before = (outputs_of(m, X)[2] for m in (shrunken, as_trained))
        constant = constants(shrunken, y)[2]
        expected = constant + factor * (before - constant)
        np.testing.assert_allclose(after, expected, atol=1e-5)

    @pytest.mark.slow
    def test_of_values(self):
        """Towards their mean, of which a regression of pure chance knows no more."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(150, 5))
        y = pd.DataFrame({"told": X[:, 0], "chance": rng.normal(size=150)}) + 100
        model = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 30}).fit(X, y)
        assert model.cv_shrinkage_["told"] == 1
        assert model.cv_shrinkage_["chance"] < 0.5
        new = rng.normal(size=(500, 5))
        assert model.predict(new)["chance"].std() < 0.4
        assert model.predict(new)["chance"].mean() == pytest.approx(100, abs=0.3)

    @pytest.mark.slow
    def test_leaves_other_losses_and_chains_alone(self):
        X, y = labels()
        y = pd.DataFrame({"first": y["rare"], "then": "no", "chance": X[:, 1] * 0})
        y["then"] = np.where(
            y["first"].eq("yes") & (np.arange(200) % 3 > 0), "yes", "no"
        )
        y["chance"] = np.random.default_rng(1).normal(size=200)
        model = MultiTaskMMoEMixed(
            **{**SMALL, "max_iter": 3},
            loss={"chance": "huber"},
            task_dependencies={"then": "first"},
        ).fit(X, y)
        assert model.cv_shrinkage_ == {"first": 1, "then": 1, "chance": 1}

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("by", ["sample_weight", "class_weight", "calibration"])
    def test_a_class_may_have_no_row_that_counts(self, by):
        X, y = labels()
        y.loc[y["chance"].eq("c") & (np.arange(200) > 3), "chance"] = "b"
        assert y["chance"].eq("c").sum() == 1
        options, weight = {**SMALL, "max_iter": 2}, None
        if by == "class_weight":
            options["class_weight"] = {"chance": {"a": 1, "b": 1, "c": 0}}
        if by == "calibration":  # which may set the one row aside
            options |= {"calibration": "temperature", "random_state": 1}
        if by == "sample_weight":
            weight = y["chance"].ne("c").to_numpy(dtype=float)
        model = MultiTaskMMoEClassifier(**options).fit(X, y, sample_weight=weight)
        assert model.predict_proba(X)[2].shape == (200, 3)
        assert np.isfinite(model.predict_proba(X)[2]).all()

    def test_stands_in_files(self, fitted, tmp_path):
        fitted.save(tmp_path / "model.mmoe")
        again = load(tmp_path / "model.mmoe")
        assert again.cv_shrinkage_ == fitted.cv_shrinkage_

    def test_is_none_without_cross_validation(self):
        model = MultiTaskMMoEClassifier(**{**SMALL, "cv": None, "max_iter": 1})
        assert model.fit(*labels()).cv_shrinkage_ is None


class TestConstantOutputs:
    def test_of_classes_are_logits_of_their_shares(self):
        """With half a row added to each class."""
        targets = np.repeat([0.0, 1.0], [30, 10])[:, np.newaxis]
        found = constant_outputs("binary", 1, targets, np.ones(40))
        np.testing.assert_allclose(found, [logit(10.5 / 41)])
        codes = np.repeat([2, 0, 1], [30, 20, 10])
        found = constant_outputs("multiclass", 3, codes, np.ones(60))
        np.testing.assert_allclose(np.exp(found), np.array([20.5, 10.5, 30.5]) / 61.5)

    @pytest.mark.parametrize("missing", [0, 1, 2])
    def test_of_a_class_that_no_row_has(self, missing):
        codes = np.repeat([k for k in range(3) if k != missing], 20)
        found = constant_outputs("multiclass", 3, codes, np.ones(40))
        shares = np.where(np.arange(3) == missing, 0.5, 20.5) / 41.5
        np.testing.assert_allclose(np.exp(found), shares)

    def test_weigh_rows(self):
        """The scale of weights does not matter, and those of weight zero are none."""
        values = np.arange(40.0)[:, np.newaxis]
        weights = np.where(np.arange(40) < 35, 1.0 + np.arange(40) % 3, 0.0)
        found = constant_outputs("regression", 1, values, weights)
        expected = np.average(np.repeat(values[:35, 0], 1 + np.arange(35) % 3))
        np.testing.assert_allclose(found, expected)
        labels = (values > 20).astype(float)
        once = constant_outputs("binary", 1, labels, weights)
        again = constant_outputs("binary", 1, labels, 5 * weights)
        np.testing.assert_allclose(again, once)
        heavier = constant_outputs("binary", 1, labels, weights * (1 + labels[:, 0]))
        assert heavier > once

    def test_of_other_kinds_and_of_few_targets_are_none(self):
        assert constant_outputs("huber", 1, np.zeros((40, 1)), np.ones(40)) is None
        few = np.where(np.arange(40) < 29, 1.0, 0.0)
        assert constant_outputs("binary", 1, np.zeros((40, 1)), few) is None


class TestBestFactor:
    def factor(self, outputs, targets, weights=None):
        outputs = np.asarray(outputs, dtype="float64")[np.newaxis, :, np.newaxis]
        weights = np.ones(len(targets)) if weights is None else weights
        return best_factor(
            "regression", outputs, [1.0], np.zeros(1), np.c_[targets], weights
        )

    def test_is_the_slope_of_the_targets(self):
        outputs = np.random.default_rng(0).normal(size=400)
        assert self.factor(outputs, outputs) == 1
        assert self.factor(outputs, 2 * outputs) == 1  # it never stretches
        assert self.factor(outputs, 0.5 * outputs) == 0.5
        assert self.factor(outputs, -outputs) == 0.125

    def test_is_1_unless_that_is_worse_by_more_than_chance(self):
        rng = np.random.default_rng(0)
        outputs = rng.normal(size=400)
        targets = 0.95 * outputs + rng.normal(size=400)
        assert self.factor(outputs, targets) == 1

    @pytest.mark.parametrize(
        ("slope", "expected"), [(0.93, 1), (0.92, 1), (0.91, 0.875), (0.90, 0.875)]
    )
    def test_is_the_largest_within_half_a_standard_error(self, slope, expected):
        """By 0.16, 0.38, 0.59 and 0.81 of them the loss of 1 exceeds the least."""
        rng = np.random.default_rng(0)
        outputs = rng.normal(size=400)
        noise = rng.normal(size=400)
        noise -= outputs * (outputs @ noise) / (outputs @ outputs)  # has no slope
        assert self.factor(outputs, slope * outputs + noise) == expected

    def test_counts_rows_by_their_weights(self):
        outputs = np.random.default_rng(0).normal(size=400)
        targets = np.where(np.arange(400) < 200, outputs, -outputs)
        assert self.factor(outputs, targets, np.repeat([1.0, 0.0], 200)) == 1
        assert self.factor(outputs, targets, np.repeat([0.0, 1.0], 200)) == 0.125

    def test_counts_a_row_of_weight_2_as_two(self):
        outputs = np.random.default_rng(0).normal(size=300)
        targets = np.where(np.arange(300) < 200, outputs, -outputs)
        weights = np.repeat([1.0, 2.0], [200, 100])
        rows = np.r_[np.arange(300), np.arange(200, 300)]
        assert self.factor(outputs, targets, weights) == pytest.approx(
            self.factor(outputs[rows], targets[rows]), abs=0.125
        )
        assert self.factor(outputs, targets, weights) < self.factor(outputs, targets)

    def test_of_outputs_that_are_not_finite_is_1(self):
        assert self.factor([np.nan, 1.0], np.ones(2)) == 1
