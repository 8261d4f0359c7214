"""scikit-learn's callbacks: one task for a fit, one for each epoch."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.metrics import multi_task_scorer

callback = pytest.importorskip("sklearn.callback")


class Recording:
    """Records what happens; asks to stop after an epoch of choice."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.events = []
        self.models = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator, context, *, X=None, y=None, fitted_estimator=None
    ):
        self.events.append(f"end {context.task_name}")
        self.models.append(fitted_estimator)
        return context.task_name == f"epoch {self.stop_after}"


def test_one_subtask_for_each_epoch(tiny, labels_data):
    X, y = labels_data
    recording = Recording()
    clf = MultiTaskMMoEClassifier(**tiny).set_callbacks(recording).fit(X, y)
    assert recording.events == [
        "setup",
        "begin fit",
        "begin epoch 1",
        "end epoch 1",
        "begin epoch 2",
        "end epoch 2",
        "end fit",
        "teardown",
    ]
    last = recording.models[-1]
    fitted = {name for name in vars(clf) if name.endswith("_")}
    assert fitted <= set(vars(last))
    assert last.n_iter_ == 2
    assert last.loss_curve_ == clf.loss_curve_
    assert recording.models[0].loss_curve_ == clf.loss_curve_[:1]
    np.testing.assert_array_equal(last.predict_proba(X), clf.predict_proba(X))
    first = recording.models[0]
    assert not np.allclose(first.predict_proba(X)[0], clf.predict_proba(X)[0])


def test_stop_requests_are_honoured(tiny, labels_data):
    clf = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 10})
    clf.set_callbacks(Recording(stop_after=3)).fit(*labels_data)
    assert clf.n_iter_ == 3


def test_fitted_estimators_are_made_only_when_asked_for(tiny, labels_data, monkeypatch):
    from sklearn_mmoe._training.engine import Engine

    copies = []
    getstate = Engine.__getstate__
    monkeypatch.setattr(
        Engine, "__getstate__", lambda self: copies.append(1) or getstate(self)
    )

    class Asking(Recording):
        def on_fit_task_end(self, estimator, context):
            return False

    clf = MultiTaskMMoEClassifier(**tiny).set_callbacks(Asking()).fit(*labels_data)
    assert copies == []
    clf.set_callbacks(Recording()).fit(*labels_data)
    assert len(copies) == 3


def test_teardown_after_an_error(tiny, labels_data):
    recording = Recording()
    clf = MultiTaskMMoEClassifier(**tiny).set_callbacks(recording)
    with pytest.raises(RuntimeError, match="enough"):
        clf.set_params(callbacks=[_Failing()]).fit(*labels_data)
    assert recording.events[-1] == "teardown"


def _Failing():
    import keras

    def fail(epoch, logs):
        raise RuntimeError("enough")

    return keras.callbacks.LambdaCallback(on_epoch_end=fail)


def test_scoring_monitor(tiny, values_data):
    X, y = values_data
    monitor = callback.ScoringMonitor(scoring=multi_task_scorer("r2"))
    reg = MultiTaskMMoERegressor(**tiny).set_callbacks(monitor)
    reg.fit(X, y, sample_weight=np.ones(len(y)))
    log = monitor.get_logs().data_as_pandas
    epochs = log[log["task_name"].str.startswith("epoch")]
    assert len(epochs) == reg.n_iter_
    expected = multi_task_scorer("r2")(reg, X, y)
    assert epochs["task_1"].iloc[-1] == pytest.approx(expected["task_1"])
    assert epochs["mean"].iloc[-1] == pytest.approx(expected["mean"])


def test_progress_bar(tiny, labels_data, capsys):
    pytest.importorskip("rich")
    clf = MultiTaskMMoEClassifier(**tiny).set_callbacks(callback.ProgressBar())
    clf.fit(*labels_data)
    assert "MultiTaskMMoEClassifier" in capsys.readouterr().out


@pytest.mark.slow
def test_inside_pipeline_and_search(tiny, labels_data):
    X, y = labels_data
    recording = Recording()
    clf = MultiTaskMMoEClassifier(**tiny).set_callbacks(recording)
    make_pipeline(StandardScaler(), clf).fit(X, y)
    assert recording.events.count("end epoch 2") == 1
    pytest.importorskip("rich")
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny)),
        {"multitaskmmoeclassifier__num_experts": [1, 2]},
        cv=2,
    )
    search.set_callbacks(callback.ProgressBar()).fit(X, y)
    assert hasattr(search, "best_params_")
