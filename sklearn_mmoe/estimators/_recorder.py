"""The course of training, as the estimators' fitted attributes tell it."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mmoe._training.observer import EpochRecord, Observer

__all__ = ["Recorder", "forget", "in_words"]


def forget(estimator: Any, task_names: list[str]) -> None:
    """Begin a record of training."""
    estimator.n_iter_ = 0
    estimator.t_ = 0
    estimator.loss_curve_ = []
    estimator.task_loss_curves_ = {name: [] for name in task_names}
    estimator.task_weights_ = {name: [] for name in task_names}
    estimator.validation_scores_ = None
    estimator.cv_losses_ = estimator.cv_weights_ = estimator.cv_shrinkage_ = None
    estimator.kernel_ridge_weights_ = None
    estimator._expert_use = None


class Recorder(Observer):
    """Records each epoch in the attributes of the estimator that is fitted.

    Parameters
    ----------
    estimator : estimator
        Whose attributes to set. It may hold the record of earlier fits, which goes on.
    n_rows : int
        Number of rows of an epoch.
    """

    def __init__(self, estimator: Any, n_rows: int) -> None:
        self._estimator = estimator
        self._n_rows = n_rows
        self._n_before = estimator.n_iter_

    def on_train_begin(self) -> None:
        of = self._estimator
        # Copies: a fit that fails leaves the record as it was.
        of.loss_curve_ = list(of.loss_curve_)
        of.task_loss_curves_ = {k: list(v) for k, v in of.task_loss_curves_.items()}
        of.task_weights_ = {k: list(v) for k, v in of.task_weights_.items()}
        # One for each epoch: those of an earlier fit may have had none.
        missing = [float("nan")] * self._n_before
        self._scores = list(of.validation_scores_ or missing)
        of.validation_scores_ = of.best_epoch_ = None
        self._has_best = False

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        self.on_epoch_end(record)

    def on_epoch_end(self, record: EpochRecord) -> None:
        of = self._estimator
        of.n_iter_ += 1
        of.t_ += self._n_rows
        of.loss_ = record.loss
        of.loss_curve_.append(record.loss)
        for curve, loss in zip(
            of.task_loss_curves_.values(), record.task_losses, strict=True
        ):
            curve.append(float(loss))
        used = (
            record.task_weight if record.task_weights is None else record.task_weights
        )
        weights = np.broadcast_to(used, len(of.task_weights_)).tolist()
        for course, weight in zip(of.task_weights_.values(), weights, strict=True):
            course.append(weight)
        if record.validation_score is None:
            of.best_loss_ = min(of.loss_curve_)
            of.best_validation_score_ = None
            return
        self._scores.append(record.validation_score)
        of.validation_scores_ = list(self._scores)
        of.best_loss_ = None
        if record.is_best:
            self._has_best = True
            of.best_validation_score_ = record.validation_score
            of.best_epoch_ = of.n_iter_
        elif not self._has_best:  # nothing but nan so far: the last weights stay
            of.best_validation_score_ = float("nan")
            of.best_epoch_ = of.n_iter_


def in_words(record: EpochRecord, task_names: list[str]) -> str:
    """Put the losses of an epoch into words."""
    parts = ", ".join(
        f"{name} {loss:.4f}"
        for name, loss in zip(task_names, record.task_losses, strict=True)
    )
    line = f"loss {record.loss:.4f} ({parts})"
    if record.validation_score is not None:
        line += f", validation score {record.validation_score:.4f}"
    return line
