"""Missing targets, weights of rows and of classes, partial_fit."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score, roc_auc_score

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.metrics import multi_task_scorer, task_scorer
from sklearn_mmoe.networks import clear_cache

# One batch of all rows, no dropout: what remains is the arithmetic of the weights.
FULL_BATCH = {"batch_size": 10_000, "dropout": 0.0, "max_iter": 5}


@pytest.fixture(scope="module")
def half_missing(labels_data):
    """The second task is observed in the first half of the rows alone."""
    X, y = labels_data
    y = y.astype(float)
    y[100:, 1] = np.nan
    return X, y


@pytest.mark.parametrize("kind", ["nan", "None", "NA", "categorical"])
def test_every_sign_of_a_missing_label(tiny, half_missing, kind):
    X, y = half_missing
    frame = pd.DataFrame(y, columns=["a", "b"])
    if kind == "None":
        frame = frame.astype(object).where(frame.notna(), None)
    elif kind == "NA":
        frame = frame.astype("Int64")
    elif kind == "categorical":
        frame = frame.replace({0.0: "no", 1.0: "yes"}).astype("category")
    clf = MultiTaskMMoEClassifier(**tiny).fit(X, frame)
    expected = ["no", "yes"] if kind == "categorical" else [0, 1]
    assert [labels.tolist() for labels in clf.classes_] == [expected] * 2
    reference = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), reference.predict_proba(X))
    # A missing label is never wrong.
    right = (reference.predict(X) == y) | np.isnan(y)
    assert clf.score(X, frame) == right.all(axis=1).mean()


@pytest.mark.parametrize("factor", [-1, np.nan, np.inf])
@pytest.mark.parametrize("Estimator", [MultiTaskMMoEClassifier, MultiTaskMMoEMixed])
def test_weights_of_classes_are_no_less_than_nothing(
    tiny, labels_data, factor, Estimator
):
    X, y = labels_data
    model = Estimator(**{**tiny, "max_iter": 1}, class_weight={"task_1": {0: factor}})
    message = (
        f"'class_weight' parameter has {float(factor)} for the class 0 of the task"
    )
    with pytest.raises(ValueError, match=f"{message} 'task_1'"):
        model.fit(X, y)
    model.set_params(class_weight={"task_1": {0: 0}}).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("written", ["nan", "<NA>", "NaT"])
def test_missing_targets_that_became_text_are_told(tiny, labels_data, written):
    X, _ = labels_data
    y = np.array([["yes", "a"], ["no", "b"], [written, "None"], ["yes", "a"]] * 50)
    with pytest.warns(UserWarning, match=f"in the tasks 'task_0' \\('{written}'\\)"):
        MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}).fit(X, y)
    frame = pd.DataFrame({"text": y[:, 0], "hours": X[:, 0]})
    with pytest.warns(UserWarning, match=f"in the tasks 'text' \\('{written}'\\)"):
        MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, frame)
    frame["text"] = frame["text"].astype(object).replace(written, None)
    MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, frame)


@pytest.mark.parametrize("filling", [0, 1])
def test_missing_is_zero_gradient_of_that_task(tiny, labels_data, filling):
    """The same bits as with any label there, and a weight of zero for this task."""
    X, y = labels_data
    missing, filled = y.astype(float), y.copy()
    missing[100:, 1] = np.nan
    filled[100:, 1] = filling
    weight = np.ones(y.shape)
    weight[100:, 1] = 0
    fits = [
        MultiTaskMMoEClassifier(**tiny).fit(X, missing),
        MultiTaskMMoEClassifier(**tiny).fit(X, filled, sample_weight=weight),
    ]
    outputs = [np.hstack(clf.predict_proba(X)) for clf in fits]
    np.testing.assert_array_equal(*outputs)
    assert fits[0].loss_curve_ == fits[1].loss_curve_


def test_missing_targets_of_a_regression(tiny, values_data):
    X, y = values_data
    y = y.copy()
    y[::3, 0] = np.nan
    reg = MultiTaskMMoERegressor(**tiny).fit(X, y)
    predicted = reg.predict(X)
    assert np.isfinite(predicted).all()
    observed = ~np.isnan(y[:, 0])
    expected = np.mean(
        [
            r2_score(y[observed, 0], predicted[observed, 0]),
            r2_score(y[:, 1], predicted[:, 1]),
        ]
    )
    assert reg.score(X, y) == pytest.approx(expected)
    # Standardised by what is observed.
    scaled = MultiTaskMMoERegressor(**tiny).fit(X, y * [1e3, 1])
    np.testing.assert_allclose(scaled.predict(X), predicted * [1e3, 1], rtol=1e-3)


def test_a_row_without_any_label_is_left_out(tiny, labels_data, capsys):
    X, y = labels_data
    y = y.astype(float)
    y[150:] = np.nan
    clf = MultiTaskMMoEClassifier(**tiny, verbose=1).fit(X, y)
    assert capsys.readouterr().out.startswith("50 rows without any target or weight")
    alone = MultiTaskMMoEClassifier(**tiny).fit(X[:150], y[:150])
    np.testing.assert_array_equal(clf.predict_proba(X), alone.predict_proba(X))
    assert clf.score(X, y) == alone.score(X[:150], y[:150])
    assert clf.t_ == 2 * 150


@pytest.mark.slow
def test_metrics_and_callbacks_skip_missing_labels(tiny, half_missing):
    X, y = half_missing
    scores = TaskScores({"train": (X, y)}, verbose=False)
    clf = MultiTaskMMoEClassifier(**tiny, callbacks=scores).fit(X, y)
    expected = roc_auc_score(y[:100, 1], clf.predict_proba(X)[1][:100, 1])
    assert task_scorer("roc_auc", 1)(clf, X, y) == pytest.approx(expected)
    assert multi_task_scorer("accuracy")(clf, X, y)["task_1"] == pytest.approx(
        (clf.predict(X)[:100, 1] == y[:100, 1]).mean()
    )
    assert scores.scores_["roc_auc"].iloc[-1] == pytest.approx(expected)
    weight = np.arange(len(y)) + 1.0
    assert task_scorer("roc_auc", 1)(clf, X, y, sample_weight=weight) == pytest.approx(
        roc_auc_score(
            y[:100, 1], clf.predict_proba(X)[1][:100, 1], sample_weight=weight[:100]
        )
    )


@pytest.mark.parametrize("metric", ["loss", "roc_auc"])
def test_early_stopping_with_missing_labels(tiny, half_missing, metric):
    X, y = half_missing
    clf = MultiTaskMMoEClassifier(
        **tiny,
        early_stopping=True,
        early_stopping_metric=metric,
        validation_fraction=0.3,
    ).fit(X, y)
    assert np.isfinite(clf.validation_scores_).all()


def test_a_task_missing_in_all_validation_rows(tiny, labels_data):
    X, y = labels_data
    y_val = y[:50].astype(float)
    y_val[:, 1] = np.nan
    clf = MultiTaskMMoEClassifier(**tiny, early_stopping=True)
    clf.fit(X, y, X_val=X[:50], y_val=y_val)
    p = clf.predict_proba(X[:50])[0]
    loss = -np.log(p[np.arange(50), y[:50, 0]]).mean()
    assert -clf.best_validation_score_ == pytest.approx(loss, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [MultiTaskMMoEClassifier, MultiTaskMMoERegressor])
def test_zero_weight_equals_absence_in_full_batches(tiny, labels_data, estimator):
    X, y = labels_data
    weight = np.zeros(len(y))
    weight[::2] = 1
    parameters = {**tiny, **FULL_BATCH}
    weighted = estimator(**parameters).fit(X, y, sample_weight=weight)
    absent = estimator(**parameters).fit(X[::2], y[::2])
    np.testing.assert_allclose(
        np.hstack(weighted._raw_predictions(X)),
        np.hstack(absent._raw_predictions(X)),
        atol=1e-5,
    )


def test_weight_of_two_equals_a_row_twice_in_full_batches(tiny, labels_data):
    X, y = labels_data
    # The penalty counts rows, and so does 'auto'.
    fixed = {"feature_penalty": 0.0, "weight_decay": 0.1}
    parameters = {**tiny, **FULL_BATCH, **fixed}
    weight = np.ones(len(y))
    weight[:40] = 2
    weighted = MultiTaskMMoEClassifier(**parameters).fit(X, y, sample_weight=weight)
    twice = MultiTaskMMoEClassifier(**parameters).fit(
        np.vstack([X, X[:40]]), np.vstack([y, y[:40]])
    )
    np.testing.assert_allclose(
        np.hstack(weighted._raw_predictions(X)),
        np.hstack(twice._raw_predictions(X)),
        atol=1e-5,
    )


def test_weights_by_task(tiny, labels_data):
    """A task of weight zero in all rows but a few learns from these alone."""
    X, y = labels_data
    weight = np.ones(y.shape)
    weight[:, 1] = 3.0  # only proportions within a task count
    clf = MultiTaskMMoEClassifier(**tiny).fit(X, y, sample_weight=weight)
    plain = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(200, 3\)"):
        plain.fit(X, y, sample_weight=np.ones((200, 3)))
    with pytest.raises(ValueError, match="Negative values"):
        plain.fit(X, y, sample_weight=-np.ones(y.shape))


def test_no_target_of_positive_weight(tiny, half_missing):
    X, y = half_missing
    weight = np.r_[np.zeros(100), np.ones(100)]  # none where task_1 is observed
    clf = MultiTaskMMoEClassifier(**tiny)
    with pytest.raises(ValueError, match=r"tasks \['task_1'\] have no target of posi"):
        clf.fit(X, y, sample_weight=weight)
    # A later part of the data may lack a task, but not all of them.
    clf.partial_fit(X, y).partial_fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match="have no target of positive weight"):
        clf.partial_fit(X[:3], np.full((3, 2), np.nan))


class TestClassWeight:
    def fit(self, tiny, X, y, class_weight, sample_weight=None):
        parameters = {**tiny, **FULL_BATCH, "class_weight": class_weight}
        clf = MultiTaskMMoEClassifier(**parameters)
        return np.hstack(clf.fit(X, y, sample_weight)._raw_predictions(X))

    @pytest.fixture(scope="class")
    @classmethod
    def rare(cls, labels_data):
        """One class in six in the first task, one in three in the second."""
        X, y = labels_data
        keep = np.concatenate(
            [np.flatnonzero(y[:, 0] == 0), np.flatnonzero(y[:, 0] == 1)[:20]]
        )
        return X[keep], y[keep]

    def test_balanced_is_inverse_frequency(self, tiny, rare):
        X, y = rare
        weight = np.column_stack(
            [len(y) / (2 * np.bincount(column))[column] for column in y.T]
        )
        np.testing.assert_allclose(
            self.fit(tiny, X, y, "balanced"),
            self.fit(tiny, X, y, None, weight),
            atol=1e-5,
        )

    def test_list_of_dicts(self, tiny, rare):
        X, y = rare
        weight = np.column_stack([np.where(y[:, 0] == 1, 5.0, 1.0), np.ones(len(y))])
        np.testing.assert_allclose(
            self.fit(tiny, X, y, [{1: 5.0}, {}]),
            self.fit(tiny, X, y, None, weight),
            atol=1e-5,
        )

    @pytest.mark.parametrize(
        ("by_name", "as_list"),
        [
            ({"task_0": {1: 5.0}}, [{1: 5.0}, None]),
            ({"task_0": "balanced"}, ["balanced", None]),
            ({"task_1": None, "task_0": {1: 5.0}}, [{1: 5.0}, {}]),
        ],
    )
    def test_by_the_names_of_tasks(self, tiny, rare, by_name, as_list):
        found = self.fit(tiny, *rare, by_name)
        np.testing.assert_array_equal(found, self.fit(tiny, *rare, as_list))
        assert not np.array_equal(found, self.fit(tiny, *rare, None))

    def test_by_name_of_a_single_task(self, tiny, rare):
        X, y = rare
        y = pd.DataFrame({"rain": np.where(y[:, 0] == 1, "yes", "no")})
        by_name = self.fit(tiny, X, y, {"rain": {"yes": 5.0}})
        np.testing.assert_array_equal(by_name, self.fit(tiny, X, y, {"yes": 5.0}))

    def test_dict_for_one_task(self, tiny, rare):
        X, y = rare
        y = np.where(y[:, 0] == 1, "yes", "no")
        weight = np.where(y == "yes", 5.0, 1.0)
        np.testing.assert_allclose(
            self.fit(tiny, X, y, {"yes": 5.0}),
            self.fit(tiny, X, y, None, weight),
            atol=1e-5,
        )

    def test_balanced_counts_observed_labels_only(self, tiny, rare):
        X, y = rare
        y = y.astype(float)
        y[:30, 0] = np.nan
        observed = y[30:, 0].astype(int)
        weight = np.ones(y.shape)
        weight[30:, 0] = (len(observed) / (2 * np.bincount(observed)))[observed]
        counts = np.bincount(y[:, 1].astype(int))
        weight[:, 1] = (len(y) / (2 * counts))[y[:, 1].astype(int)]
        np.testing.assert_allclose(
            self.fit(tiny, X, y, "balanced"),
            self.fit(tiny, X, y, None, weight),
            atol=1e-5,
        )

    @pytest.mark.parametrize(
        ("class_weight", "message"),
        [
            ({1: 2.0}, "gives 1 a number, where .* for each of the 2 tasks"),
            ({"task_9": "balanced"}, "names \\['task_9'\\], but the tasks are"),
            ([{1: 2.0}], "has 1 dicts, but there are 2 tasks"),
            ([{7: 2.0}, {}], "names 7 for the task 'task_0', whose classes are .0, 1."),
            ({"task_0": "even"}, "'even' for the task 'task_0'; it must be 'balanced'"),
            ("even", "The 'class_weight' parameter"),
        ],
    )
    def test_bad(self, tiny, rare, class_weight, message):
        with pytest.raises(ValueError, match=message):
            self.fit(tiny, *rare, class_weight)


class TestPartialFit:
    def test_goes_on_where_it_stood(self, tiny, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**{**tiny, "learning_rate": 0.02})
        losses = []
        for epoch in range(1, 11):
            assert clf.partial_fit(X, y) is clf
            assert clf.n_iter_ == epoch
            losses.append(clf.loss_)
        assert losses == clf.loss_curve_
        assert losses[-1] < 0.8 * losses[0]
        assert clf.t_ == 10 * 200

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "between", ["another", "pickle", "a fit", "a failure", "a look", "clear_cache"]
    )
    def test_what_comes_between_calls_changes_no_bit(self, tiny, values_data, between):
        """One traced network serves all models of its structure in turn."""
        X, y = values_data
        reg, other = (MultiTaskMMoERegressor(**tiny, dropout=0.2) for _ in range(2))
        alone = clone(reg)
        for _ in range(3):
            alone.partial_fit(X, y)
        for _ in range(3):
            reg.partial_fit(X, y)
            if between == "pickle":
                reg = pickle.loads(pickle.dumps(reg))
            elif between == "another":
                other.partial_fit(X[:50], -y[:50])
            elif between == "a fit":
                other.fit(X, -y)
            elif between == "a failure":
                with pytest.raises(ValueError, match="diverged"):
                    copy.copy(reg).set_params(learning_rate=1e20).partial_fit(X, y)
            elif between == "a look":
                assert len(reg.network_.weights)
            else:
                clear_cache()
        np.testing.assert_array_equal(reg.predict(X), alone.predict(X))

    def test_weights_changed_between_calls_count(self, tiny, values_data):
        X, y = values_data
        reg = MultiTaskMMoERegressor(**tiny).partial_fit(X, y)
        other = copy.deepcopy(reg)
        for weight in reg.network_.weights:
            weight.assign(weight + 1)
        differ = np.abs(reg.partial_fit(X, y).predict(X) - other.predict(X))
        assert differ.min() > 1e-3

    @pytest.mark.slow
    def test_the_optimizer_is_kept(self, tiny, values_data):
        X, y = values_data
        reg = MultiTaskMMoERegressor(**{**tiny, **FULL_BATCH})
        import keras

        by_keras = keras.optimizers.Adam(0.01)
        other = clone(reg).set_params(optimizer=by_keras)
        for _ in range(2):
            reg.partial_fit(X, y)
            other.partial_fit(X, y)
        # The first variable of Keras' optimizers counts their steps.
        for model in (reg, other):
            assert model._engine.state.optimizer[0] == 2

    @pytest.mark.slow
    def test_classes_are_announced(self, tiny, labels_data):
        X, y = labels_data
        classes = [[0, 1], ["a", "b", "c"]]
        labels = pd.DataFrame({"x": y[:, 0], "z": np.array(["a", "c"])[y[:, 1]]})
        clf = MultiTaskMMoEClassifier(**tiny).partial_fit(X, labels, classes=classes)
        assert [c.tolist() for c in clf.classes_] == classes
        clf.partial_fit(X[:3], labels.assign(z="b")[:3], classes=classes)
        assert [p.shape[1] for p in clf.predict_proba(X)] == [2, 3]
        with pytest.raises(ValueError, match=r"labels \['d'\] that are not among"):
            clf.partial_fit(X, labels.assign(z="d"))
        with pytest.raises(ValueError, match="not those of the first call"):
            clf.partial_fit(X, labels, classes=[[0, 1], ["a", "b"]])
        with pytest.raises(ValueError, match="at least two classes for each of the 2"):
            MultiTaskMMoEClassifier(**tiny).partial_fit(X, labels, classes=[[0, 1]])
        with pytest.raises(ValueError, match="at least two classes for each of the 1"):
            MultiTaskMMoEClassifier(**tiny).partial_fit(X, labels["x"], classes=[])

    @pytest.mark.slow
    def test_one_task(self, tiny, labels_data):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**tiny)
        clf.partial_fit(X[:5], np.zeros(5, dtype=int), classes=[0, 1, 2])
        assert clf.classes_.tolist() == [0, 1, 2]
        clf.partial_fit(X, y[:, 0], sample_weight=np.ones(len(y)))
        assert clf.predict_proba(X).shape == (200, 3)

    def test_fit_starts_anew(self, tiny, labels_data, fitted_classifier):
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(**tiny).partial_fit(X, y).fit(X, y)
        np.testing.assert_array_equal(
            clf.predict_proba(X), fitted_classifier.predict_proba(X)
        )

    def test_what_needs_all_rows_at_once(self, labels_data):
        stopping = MultiTaskMMoEClassifier(early_stopping=True)
        with pytest.raises(AttributeError):
            stopping.partial_fit(*labels_data)
        assert not hasattr(stopping, "partial_fit")
        with pytest.raises(ValueError, match="'balanced' is not supported"):
            MultiTaskMMoEClassifier(class_weight="balanced").partial_fit(*labels_data)


class TestEarlyStopping:
    @pytest.mark.parametrize(
        "metric",
        ["roc_auc", task_scorer("neg_log_loss", 1), "accuracy"],
        ids=["mean", "one task", "accuracy"],
    )
    def test_any_metric(self, tiny, labels_data, metric):
        """The kept weights score on the validation rows what was the best epoch's."""
        X, y = labels_data
        clf = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 6, "learning_rate": 0.05},
            early_stopping=True,
            early_stopping_metric=metric,
        ).fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
        scorer = metric
        if isinstance(metric, str):
            score = multi_task_scorer(metric)(clf, X[150:], y[150:])["mean"]
        else:
            score = scorer(clf, X[150:], y[150:])
        assert clf.best_validation_score_ == max(clf.validation_scores_)
        assert score == pytest.approx(clf.best_validation_score_)

    def test_given_rows_are_watched_and_not_trained_on(self, tiny, labels_data):
        X, y = labels_data
        fits = [
            MultiTaskMMoEClassifier(**tiny, early_stopping=True, tol=0.0).fit(
                X[:150], y[:150], X_val=X[rows], y_val=y[rows]
            )
            for rows in (slice(150, 175), slice(175, 200))
        ]
        assert fits[0].loss_curve_ == fits[1].loss_curve_
        assert fits[0].validation_scores_ != fits[1].validation_scores_

    def test_weights_of_given_rows(self, tiny, labels_data):
        X, y = labels_data
        weight = np.r_[np.ones(25), np.zeros(25)]

        def scores(rows, sample_weight):
            clf = MultiTaskMMoEClassifier(**tiny, early_stopping=True)
            return clf.fit(
                X[:150],
                y[:150],
                X_val=X[rows],
                y_val=y[rows],
                sample_weight_val=sample_weight,
            ).validation_scores_

        np.testing.assert_allclose(
            scores(slice(150, 200), weight), scores(slice(150, 175), None), rtol=1e-5
        )

    @pytest.mark.slow
    def test_bad_arguments(self, labels_data):
        X, y = labels_data
        stopping = MultiTaskMMoEClassifier(early_stopping=True)
        with pytest.raises(ValueError, match="X_val and y_val must be given together"):
            stopping.fit(X, y, X_val=X)
        with pytest.raises(ValueError, match="set early_stopping=True"):
            MultiTaskMMoEClassifier().fit(X, y, X_val=X, y_val=y)
        with pytest.raises(ValueError, match="sample_weight_val is for X_val"):
            stopping.fit(X, y, sample_weight_val=np.ones(3))
        with pytest.raises(ValueError, match="X has 5 features"):
            stopping.fit(X, y, X_val=X[:, :5], y_val=y)
        with pytest.raises(ValueError, match=r"labels \[2\] that are not among"):
            stopping.fit(X, y, X_val=X, y_val=y + 1)
        several = stopping.set_params(early_stopping_metric=multi_task_scorer("f1"))
        with pytest.raises(TypeError, match="must return one number"):
            several.fit(X, y, X_val=X, y_val=y)
        with pytest.raises(ValueError, match="roc_auk"):
            stopping.set_params(early_stopping_metric="roc_auk").fit(X, y)
