"""Probabilities that a fit calibrates itself, by a temperature for each task."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoEMixed, load
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.temperature import fit_temperature
from sklearn_mmoe.metrics import expected_calibration_error

QUICK = {
    "num_experts": 2,
    "expert_units": 8,
    "shared_units": (16,),
    "tower_units": (),
    "batch_size": 32,
    "max_iter": 10,
    "random_state": 0,
    "cv": None,
}
# Learns its rows by heart.
OVERCONFIDENT = {
    **QUICK,
    "expert_units": 64,
    "max_iter": 60,
    "dropout": 0.0,
    "feature_penalty": 0.0,
    "weight_decay": 0.0,
}


def draw(n_rows, seed):
    """Draw a task that is much noise, and one that is plain."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 10))
    noisy = rng.random(n_rows) < expit(X[:, 0])
    return X, pd.DataFrame({"noisy": noisy, "plain": X[:, 1] > 0})


@pytest.fixture(scope="module")
def data():
    return *draw(400, 0), *draw(4000, 1)


@pytest.fixture(scope="module")
def overconfident(data):
    X, y, *_ = data
    return MultiTaskMMoEClassifier(
        **OVERCONFIDENT, calibration="temperature", validation_fraction=0.25
    ).fit(X, y)


def logits_of(clf, X, k):
    """Return what the network has of the second class."""
    return clf.network_.predict(X, verbose=0)[k].astype(float)


class TestTemperature:
    @pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
    def test_logits_that_are_too_large_by_a_factor(self, factor):
        rng = np.random.default_rng(0)
        true = rng.normal(scale=2, size=(20_000, 1))
        codes = (rng.random(20_000) < expit(true[:, 0])).astype(int)
        task = LabelTask("a", np.arange(2))
        found = fit_temperature(task, factor * true, codes, np.ones(20_000))
        assert found == pytest.approx(factor, rel=0.05)

    @pytest.mark.parametrize("loss", ["log_loss", "ordinal"])
    def test_of_several_classes_it_is_no_worse_than_none(self, loss):
        rng = np.random.default_rng(0)
        task = LabelTask("a", np.arange(3), loss)
        logits = 4 * rng.normal(size=(500, task.units))
        codes, weight = rng.integers(3, size=500), rng.random(500)
        found = fit_temperature(task, logits, codes, weight)
        assert found > 2
        costs = [
            log_loss(codes, t.probabilities(logits), sample_weight=weight)
            for t in (task, task.with_temperature(found))
        ]
        assert costs[1] < costs[0]

    def test_it_is_bounded(self):
        """All rows right, and labels that are noise."""
        task, codes = LabelTask("a", np.arange(2)), np.arange(100) % 2
        right = (2.0 * codes - 1)[:, np.newaxis]
        one = np.ones(100)
        assert fit_temperature(task, right, codes, one) == pytest.approx(0.2, rel=0.01)
        assert fit_temperature(task, -right, codes, one) == pytest.approx(20, rel=0.01)

    def test_rows_without_labels_say_nothing(self):
        rng = np.random.default_rng(0)
        logits, codes = rng.normal(size=(100, 1)), rng.integers(2, size=100)
        task, weight = LabelTask("a", np.arange(2)), rng.random(100)
        weight[50:] = 0
        some = fit_temperature(task, logits, codes, weight)
        assert some == fit_temperature(task, logits[:50], codes[:50], weight[:50])
        assert fit_temperature(task, logits, codes, np.zeros(100)) == 1

    def test_where_all_are_as_good_it_is_one(self):
        """Logits of zero are so at any temperature."""
        task, codes = LabelTask("a", np.arange(2)), np.arange(100) % 2
        assert fit_temperature(task, np.zeros((100, 1)), codes, np.ones(100)) == 1


class TestFit:
    @pytest.mark.slow
    def test_an_overconfident_network_is_mended_where_it_is(self, overconfident, data):
        *_, X, y = data
        assert list(overconfident.temperatures_) == ["noisy", "plain"]
        noisy, plain = overconfident.temperatures_.values()
        assert noisy > 2
        assert noisy > 1.2 * plain
        probability = overconfident.predict_proba(X)[0][:, 1]
        before = expit(logits_of(overconfident, X, 0)[:, 0])
        truth = y["noisy"].to_numpy()
        assert log_loss(truth, probability) < 0.8 * log_loss(truth, before)
        errors = [expected_calibration_error(truth, p) for p in (probability, before)]
        assert errors[0] < 0.6 * errors[1]

    @pytest.mark.slow
    def test_the_logits_are_divided_and_the_labels_stay(self, overconfident, data):
        X = data[2]
        labels = overconfident.predict(X)
        for k, name in enumerate(labels):
            logits = logits_of(overconfident, X, k)[:, 0]
            found = overconfident.predict_proba(X)[k][:, 1]
            expected = expit(logits / overconfident.temperatures_[name])
            np.testing.assert_allclose(found, expected, atol=1e-5)
            np.testing.assert_array_equal(labels[name], logits > 0)
            of_view = overconfident.task(name).predict_proba(X)[:, 1]
            np.testing.assert_array_equal(of_view, found)

    @pytest.mark.slow
    def test_rows_set_aside_are_not_trained_on(self, data):
        """The network is that of the other rows alone."""
        X, y, *_ = data
        with_it = MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
        with_it.fit(X, y)
        plain = MultiTaskMMoEClassifier(**QUICK).fit(X, y)
        assert plain.temperatures_ is None
        assert with_it.loss_curve_ != plain.loss_curve_
        half = MultiTaskMMoEClassifier(
            **QUICK, calibration="temperature", validation_fraction=0.5
        ).fit(X, y)
        assert half.temperatures_ != with_it.temperatures_

    @pytest.mark.slow
    def test_given_rows(self, data):
        X, y, X_val, y_val = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
        clf.fit(X, y, X_val=X_val, y_val=y_val)
        plain = MultiTaskMMoEClassifier(**QUICK).fit(X, y)
        assert clf.loss_curve_ == plain.loss_curve_  # all of X is trained on
        logits = logits_of(clf, X_val, 0)
        codes, one = y_val["noisy"].to_numpy().astype(int), np.ones(len(y_val))
        task = LabelTask("noisy", np.array([False, True]))
        expected = fit_temperature(task, logits, codes, one)
        assert clf.temperatures_["noisy"] == pytest.approx(expected, rel=1e-3)

    @pytest.mark.slow
    def test_missing_labels(self, data):
        """Those of a task say nothing of it, and others still do."""
        X, y, X_val, y_val = data
        holes = y_val.astype(object)
        holes.loc[1000:, "noisy"] = None
        found = [
            MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
            .fit(X, y, X_val=rows, y_val=targets)
            .temperatures_
            for rows, targets in (
                (X_val, holes),
                (X_val[:1000], y_val[:1000]),
                (X_val, y_val),
            )
        ]
        assert found[0]["noisy"] == pytest.approx(found[1]["noisy"], rel=1e-4)
        assert found[0]["plain"] == pytest.approx(found[2]["plain"], rel=1e-4)

    def test_a_task_without_labels_to_calibrate_by(self, data):
        X, y, X_val, y_val = data
        holes = y_val.astype(object)
        holes["noisy"] = None
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
        with pytest.warns(UserWarning, match=r"calibrate the tasks \['noisy'\] with"):
            clf.fit(X, y, X_val=X_val, y_val=holes)
        assert clf.temperatures_["noisy"] == 1 != clf.temperatures_["plain"]

    @pytest.mark.slow
    def test_with_early_stopping_the_rows_that_it_watches(self, data):
        X, y, *_ = data
        options = {**QUICK, "early_stopping": True, "validation_fraction": 0.25}
        clf = MultiTaskMMoEClassifier(**options, calibration="temperature").fit(X, y)
        plain = MultiTaskMMoEClassifier(**options).fit(X, y)
        assert clf.loss_curve_ == plain.loss_curve_
        assert clf.validation_scores_ == plain.validation_scores_
        assert set(clf.temperatures_.values()) != {1.0}

    @pytest.mark.slow
    def test_an_ensemble_is_calibrated_as_it_predicts(self, data):
        """Its members' mean is, which is less sure than each of them."""
        X, y, X_val, y_val = data
        options = {**QUICK, "cv": 3, "calibration": "temperature"}
        clf = MultiTaskMMoEClassifier(**options).fit(X, y, X_val=X_val, y_val=y_val)
        codes, one = y_val["noisy"].to_numpy().astype(int), np.ones(len(y_val))
        task = LabelTask("noisy", np.array([False, True]))
        expected = fit_temperature(task, logits_of(clf, X_val, 0), codes, one)
        assert clf.temperatures_["noisy"] == pytest.approx(expected, rel=1e-3)
        aside = MultiTaskMMoEClassifier(**options).fit(X, y)
        assert aside.loss_curve_ != clf.loss_curve_  # on a tenth of the rows less

    @pytest.mark.slow
    def test_mixed_tasks(self, data):
        X, y, *_ = data
        frame = y.assign(value=X[:, 2])
        model = MultiTaskMMoEMixed(**QUICK, calibration="temperature").fit(X, frame)
        assert list(model.temperatures_) == ["noisy", "plain"]

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("further", ["fit", "partial_fit"])
    def test_further_training_without_it_forgets(self, data, further):
        """The temperatures were found for weights that are others now."""
        X, y, X_val, _ = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature").fit(X, y)
        clf.set_params(calibration=None, warm_start=True)
        getattr(clf, further)(X, y)
        assert clf.temperatures_ is None
        np.testing.assert_allclose(
            clf.predict_proba(X_val)[0][:, 1],
            expit(logits_of(clf, X_val, 0)[:, 0]),
            atol=1e-6,
        )

    def test_a_fit_without_it_forgets(self, data):
        X, y, *_ = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature").fit(X, y)
        clf.set_params(calibration=None).fit(X, y)
        assert clf.temperatures_ is None
        plain = MultiTaskMMoEClassifier(**QUICK).fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


class TestKept:
    @pytest.mark.slow
    def test_by_files_and_pickles(self, overconfident, data, tmp_path):
        X = data[2][:50]
        overconfident.save(tmp_path / "model.mmoe")
        for again in (
            load(tmp_path / "model.mmoe"),
            pickle.loads(pickle.dumps(overconfident)),
        ):
            assert again.temperatures_ == overconfident.temperatures_
            np.testing.assert_array_equal(
                again.predict_proba(X), overconfident.predict_proba(X)
            )

    @pytest.mark.slow
    def test_by_onnx(self, overconfident, data, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime")
        X = data[2][:50]
        overconfident.export_onnx(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        noisy, plain = session.run(["noisy", "plain"], {"X": X.astype(np.float32)})
        for found, expected in zip(
            (noisy, plain), overconfident.predict_proba(X), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=1e-5)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"warm_start": True}, "together with warm_start=True"),
            ({"task_dependencies": {"plain": "noisy"}}, "with 'task_dependencies'"),
        ],
        ids=["warm start", "dependencies"],
    )
    def test_together_with(self, data, options, told):
        X, y, *_ = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature", **options)
        with pytest.raises(ValueError, match=told):
            clf.fit(X, y)

    def test_partial_fit(self, data):
        X, y, *_ = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
        with pytest.raises(ValueError, match="not supported by partial_fit"):
            clf.partial_fit(X, y)

    def test_too_few_rows(self, data):
        X, y, *_ = data
        clf = MultiTaskMMoEClassifier(**QUICK, calibration="temperature")
        with pytest.raises(ValueError, match="calibration='temperature' cannot set as"):
            clf.fit(X[:1], y[:1])
