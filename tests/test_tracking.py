"""MLflow and TensorBoard: models are logged and loaded, and epochs are written down."""

from __future__ import annotations

import os
import sys

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.callbacks import MLflowLogger

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
]


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Track to a folder, whatever this user's own settings are."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    yield mlflow.MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_a_model_is_logged_and_loaded(client, labels_data, tiny):
    X, y = labels_data
    model = make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny)).fit(X, y)
    with mlflow.start_run():
        info = mlflow.sklearn.log_model(
            model, name="model", serialization_format="cloudpickle"
        )
    again = mlflow.sklearn.load_model(info.model_uri)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.slow
def test_every_epoch_is_logged(client, labels_data, tiny):
    X, y = labels_data
    y = pd.DataFrame(y, columns=["a (first)", "b"])
    logger = MLflowLogger({"train": (X, y)}, metrics=["roc_auc", "neg_log_loss"])
    model = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 3}, early_stopping=True, callbacks=logger
    )
    with mlflow.start_run() as run:
        model.fit(X, y)

    def history(name):
        logged = client.get_metric_history(run.info.run_id, name)
        assert [metric.step for metric in logged] == [1, 2, 3]
        return [metric.value for metric in logged]

    assert history("loss") == pytest.approx(model.loss_curve_)
    assert history("val_score") == pytest.approx(model.validation_scores_)
    scores = logger.scores_
    for name, key in (("a (first)", "a _first_"), ("b", "b")):
        assert history(f"task_loss/{key}") == pytest.approx(
            model.task_loss_curves_[name]
        )
        of_task = scores[scores["task"] == name]
        for metric in ("roc_auc", "log_loss"):
            logged = history(f"score/train/{key}/{metric}")
            assert logged == pytest.approx(of_task[metric].tolist())
    assert len(client.get_run(run.info.run_id).data.metrics) == 2 + 2 + 4


@pytest.mark.slow
def test_names_that_would_be_one_are_told_apart(client, values_data, tiny):
    X, y = values_data
    y = pd.DataFrame(y, columns=["a(", "a/"])
    model = MultiTaskMMoEClassifier(**tiny, callbacks=clone(MLflowLogger()))
    with mlflow.start_run() as run:
        model.fit(X, y > 0)
    metrics = client.get_run(run.info.run_id).data.metrics
    assert set(metrics) == {"loss", "task_loss/a_", "task_loss/a__2"}


def test_without_mlflow(labels_data, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    model = MultiTaskMMoEClassifier(**tiny, callbacks=MLflowLogger())
    with pytest.raises(ImportError, match="pip install mlflow"):
        model.fit(*labels_data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard(labels_data, tiny, tmp_path):
    import keras
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callback = keras.callbacks.TensorBoard(str(tmp_path), write_graph=False)
    model = MultiTaskMMoEClassifier(**tiny, early_stopping=True, callbacks=callback)
    model.fit(*labels_data)
    assert os.listdir(tmp_path)
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    tags = events.Tags()["tensors"]
    assert {"epoch_loss", "epoch_task_0_loss", "epoch_task_1_loss"} <= set(tags)
    assert len(events.Tensors("epoch_loss")) == model.n_iter_
