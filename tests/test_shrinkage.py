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
    def test_believes_what_the_features_tell(self, fitted):
        factors = fitted.cv_shrinkage_
        assert list(factors) == fitted.task_names_
        assert factors["told"] == 1
        assert max(factors["rare"], factors["chance"]) < 0.5

    def test_is_not_much_worse_than_the_shares_of_classes(self, fitted):
        """On new rows, as it is without shrinking."""
        X, y = labels(2_000, seed=1)
        unknown = y["rare"].eq("yes").to_numpy()
        share = labels()[1]["rare"].eq("yes").mean()
        least = log_loss(unknown, np.full(len(y), share))
        assert log_loss(unknown, fitted.predict_proba(X)[1][:, 1]) < 1.05 * least

    def test_without_it_is(self, unshrunken):
        """Or the test before would say nothing."""
        X, y = labels(2_000, seed=1)
        model = MultiTaskMMoEClassifier(**SMALL).fit(*labels())
        unknown = y["rare"].eq("yes").to_numpy()
        share = labels()[1]["rare"].eq("yes").mean()
        least = log_loss(unknown, np.full(len(y), share))
        assert log_loss(unknown, model.predict_proba(X)[1][:, 1]) > 1.1 * least

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
        targets, weights = np.array([[0.0], [1.0], [0.0], [0.0]]), np.ones(4)
        found = constant_outputs("binary", targets, weights)
        np.testing.assert_allclose(found, [logit(1.5 / 5)])
        codes = np.array([2, 0, 0, 1, 2, 2])
        found = constant_outputs("multiclass", codes, np.ones(6))
        shares = np.exp(found) / np.exp(found).sum()
        np.testing.assert_allclose(shares, np.array([2.5, 1.5, 3.5]) / 7.5)

    @pytest.mark.parametrize("kind", ["binary", "regression"])
    def test_weigh_rows(self, kind):
        """A weight of 2 is as two rows, and rows of weight zero are none."""
        targets = np.array([[0.0], [1.0], [1.0], [0.0]])
        twice = constant_outputs(kind, targets, np.array([2.0, 1.0, 1.0, 0.0]))
        rows = constant_outputs(kind, targets[[0, 0, 1, 2]], np.ones(4))
        np.testing.assert_allclose(twice, rows, atol=0.05)
        many = constant_outputs(kind, targets, 5 * np.array([2.0, 1.0, 1.0, 0.0]))
        np.testing.assert_allclose(many, twice)

    def test_of_other_kinds_and_of_no_targets_are_none(self):
        assert constant_outputs("huber", np.zeros((3, 1)), np.ones(3)) is None
        assert constant_outputs("binary", np.zeros((3, 1)), np.zeros(3)) is None


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

    def test_counts_rows_by_their_weights(self):
        outputs = np.random.default_rng(0).normal(size=400)
        targets = np.where(np.arange(400) < 200, outputs, -outputs)
        assert self.factor(outputs, targets, np.repeat([1.0, 0.0], 200)) == 1
        assert self.factor(outputs, targets, np.repeat([0.0, 1.0], 200)) == 0.125

    def test_of_outputs_that_are_not_finite_is_1(self):
        assert self.factor([np.nan, 1.0], np.ones(2)) == 1
