from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import mean_absolute_error, roc_auc_score

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.datasets import make_related_tasks


@pytest.fixture(scope="module")
def fitted(labels_data, tiny):
    X, y = labels_data
    y = pd.DataFrame(y, columns=["income", "college"])
    sets = {"train": (X[:150], y[:150]), "test": (X[150:], y[150:])}
    callback = TaskScores(sets, verbose=False)
    clf = MultiTaskMMoEClassifier(**tiny, callbacks=[callback])
    return clf.fit(*sets["train"]), callback, sets


@pytest.mark.slow
def test_a_row_for_every_epoch_set_and_task(fitted):
    _, callback, _ = fitted
    scores = callback.scores_
    assert list(scores.columns) == ["epoch", "set", "task", "roc_auc"]
    assert scores["epoch"].tolist() == [1] * 4 + [2] * 4
    assert scores["set"].tolist() == ["train", "train", "test", "test"] * 2
    assert scores["task"].tolist() == ["income", "college"] * 4


def test_last_epoch_is_the_fitted_model(fitted):
    clf, callback, sets = fitted
    last = callback.scores_.query("epoch == 2").set_index(["set", "task"])["roc_auc"]
    for name, (X, y) in sets.items():
        for task, probability in zip(y, clf.predict_proba(X), strict=True):
            expected = roc_auc_score(y[task], probability[:, 1])
            assert last[name, task] == pytest.approx(expected, abs=1e-12)


def test_scoring_changes_no_bit_of_the_model(fitted, tiny):
    clf, _, sets = fitted
    X, y = sets["train"]
    plain = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), plain.predict_proba(X))


def test_one_line_for_each_set(fitted, tiny, capsys):
    _, callback, sets = fitted
    printing = TaskScores(sets)
    MultiTaskMMoEClassifier(**tiny, callbacks=printing).fit(*sets["train"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    income, college = callback.scores_["roc_auc"].iloc[-2:]
    assert lines[3] == (
        f"Epoch 2, test: income roc_auc {income:.4f}; college roc_auc {college:.4f}"
    )


def test_regression_metrics(values_data, tiny):
    X, y = values_data
    callback = TaskScores({"train": (X, y)}, verbose=False)
    reg = MultiTaskMMoERegressor(**tiny, callbacks=callback).fit(X, y)
    last = callback.scores_.iloc[-1]
    assert list(callback.scores_.columns[3:]) == ["mean_absolute_error", "r2"]
    expected = mean_absolute_error(y[:, 1], reg.predict(X)[:, 1])
    assert last["mean_absolute_error"] == pytest.approx(expected)


@pytest.mark.slow
def test_many_classes_and_chosen_metrics(tiny):
    X, y = make_related_tasks(
        150, 5, kind="classification", n_classes=[2, 3], random_state=0
    )
    tiny = {**tiny, "max_iter": 1}
    callback = TaskScores({"train": (X, y)}, verbose=False)
    MultiTaskMMoEClassifier(**tiny, callbacks=callback).fit(X, y)
    columns = callback.scores_[["roc_auc", "roc_auc_ovr"]]
    assert columns.notna().to_numpy().tolist() == [[True, False], [False, True]]
    callback = TaskScores({"a": (X, y)}, ["neg_log_loss", "accuracy"], verbose=False)
    clf = MultiTaskMMoEClassifier(**tiny, callbacks=callback).fit(X, y)
    assert list(callback.scores_.columns[3:]) == ["log_loss", "accuracy"]
    assert (callback.scores_["log_loss"] > 0).all()
    first = callback.scores_.copy()
    clf.fit(X, y)  # a new fit starts a new record
    pd.testing.assert_frame_equal(callback.scores_, first)


@pytest.mark.slow
def test_metrics_are_of_the_tasks_that_they_can_score(tiny, capsys):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = pd.DataFrame({"rich": X[:, 0] > 0, "hours": X[:, 1]})
    y["size"] = np.digitize(X[:, 2], [-0.5, 0.5])
    metrics = ["roc_auc", "r2", "neg_log_loss"]
    tables = []
    by_task = {"rich": ["roc_auc", "neg_log_loss"], "hours": "r2"}
    for given in (metrics, by_task):
        callback = TaskScores({"train": (X, y)}, given)
        model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}, callbacks=callback)
        if given is by_task:
            model.fit(X, y)
        else:
            with pytest.warns(UserWarning, match="'roc_auc' cannot score the task 's"):
                model.fit(X, y)
        tables.append(callback.scores_.set_index("task"))
    known = tables[0][["roc_auc", "r2", "log_loss"]].notna()
    assert known.loc["rich"].tolist() == [True, False, True]
    assert known.loc["hours"].tolist() == [False, True, False]
    assert known.loc["size"].tolist() == [False, False, True]
    # A task that a mapping does not name has its default.
    assert tables[1]["roc_auc_ovr"].notna().tolist() == [False, False, True]
    for name in ("roc_auc", "r2"):
        pd.testing.assert_series_equal(*[table[name] for table in tables])
    assert "hours r2" in capsys.readouterr().out
    # Which tasks it can score, all sets decide.
    y["word"] = np.where(y["rich"], "yes", "no")
    few = y["size"] < 2
    callback = TaskScores(
        {"few": (X[few], y[few]), "all": (X, y)}, np.array(["roc_auc", "f1"])
    )
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}, callbacks=callback)
    with (
        pytest.warns(UserWarning, match="'roc_auc' cannot score the task 'size'"),
        pytest.warns(UserWarning, match="'f1' cannot score the task 'size'"),
        pytest.warns(UserWarning, match="'f1' cannot score the task 'word'"),
    ):
        model.fit(X, y)
    known = callback.scores_.set_index(["set", "task"])[["roc_auc", "f1"]].notna()
    assert known.loc["few"].equals(known.loc["all"])
    assert known.loc["all"].sum().tolist() == [2, 1]
    # One that suits no task is an error, as a task that there is not.
    for given, message in (("top_k_accuracy", "'hours'"), ({"age": "r2"}, "'age'")):
        callback = TaskScores({"a": (X, y[["hours"]])}, given)
        with pytest.raises(ValueError, match=message):
            MultiTaskMMoERegressor(**tiny, callbacks=callback).fit(X, y[["hours"]])
    with pytest.raises(ValueError, match="roc_auk"):
        TaskScores({"train": (X, y)}, {"rich": "roc_auk"})


def test_clone_shares_the_sets_and_nothing_else(fitted):
    clf, callback, sets = fitted
    (other,) = clone(clf).callbacks
    assert other is not callback
    assert other.sets is sets
    assert other.scores_.empty
    assert not callback.scores_.empty


def test_estimator_with_scores_is_copied_and_pickled(fitted):
    clf, callback, sets = fitted
    X, _ = sets["test"]
    for again in (copy.deepcopy(clf), pickle.loads(pickle.dumps(clf))):
        np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
        pd.testing.assert_frame_equal(again.callbacks[0].scores_, callback.scores_)


def test_other_keras_callbacks(labels_data, tiny):
    import keras

    epochs = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epochs.append((epoch, sorted(logs)))
    )
    MultiTaskMMoEClassifier(**tiny, callbacks=[callback]).fit(*labels_data)
    assert epochs == [(k, ["loss", "task_0_loss", "task_1_loss"]) for k in range(2)]


def test_bad_arguments(labels_data):
    X, y = labels_data
    with pytest.raises(TypeError, match="'sets' parameter of TaskScores"):
        TaskScores((X, y))
    with pytest.raises(TypeError, match="'sets' parameter of TaskScores"):
        TaskScores({"train": X})
    with pytest.raises(ValueError, match="roc_auk"):
        TaskScores({"train": (X, y)}, "roc_auk")


def test_outside_our_estimators():
    import keras

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    X = np.ones((4, 2), dtype="float32")
    with pytest.raises(ValueError, match=r"callbacks=\[TaskScores"):
        model.fit(X, X[:, :1], verbose=0, callbacks=[TaskScores({})])
