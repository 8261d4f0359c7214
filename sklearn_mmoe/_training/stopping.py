"""Early stopping: score after each epoch, keep the best weights, ask for a stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sklearn_mmoe._training.observer import EpochRecord, Observer
from sklearn_mmoe._warnings import warn

if TYPE_CHECKING:
    from sklearn_mmoe._training.trainer import Trainer

__all__ = ["EarlyStopping"]


class EarlyStopping(Observer):
    """Stop when a score no longer rises, and end with the weights of the best epoch.

    As in scikit-learn's MLPClassifier, an improvement of less than `tol` is kept, but
    does not count as one. A score that is not finite is no improvement.

    Parameters
    ----------
    trainer : Trainer
        Whose weights to keep.
    score : callable
        Called without arguments after each epoch, it returns a float, greater being
        better.
    score_name : str
        What it is; 'loss' for the loss with its sign turned.
    n_iter_no_change : int
        Number of epochs without improvement to wait for.
    tol : float
        Smallest improvement that counts.
    """

    def __init__(
        self,
        trainer: Trainer,
        score: Callable[[], float],
        score_name: str,
        n_iter_no_change: int,
        tol: float,
    ) -> None:
        self._trainer = trainer
        self._score = score
        self._score_name = score_name
        self._n_iter_no_change = n_iter_no_change
        self._tol = tol
        self._best_score = -math.inf
        self._best_weights: list[np.ndarray] | None = None
        self._epochs_without_change = 0
        self._has_warned = False

    def on_epoch_end(self, record: EpochRecord) -> None:
        score = self._score()
        record.validation_score, record.validation_name = score, self._score_name
        self._count(record)
        if record.is_best:
            self._best_weights = self._trainer.weights()
        if self._epochs_without_change > self._n_iter_no_change:
            record.stop = True

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        self._count(record)

    def arrays(self) -> list[np.ndarray]:
        return self._best_weights or []

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        self._best_weights = arrays or None

    def _count(self, record: EpochRecord) -> None:
        """Compare the score of an epoch with those before it."""
        score = record.validation_score
        assert score is not None
        is_score = math.isfinite(score)
        if not is_score and not self._has_warned:
            self._has_warned = True
            self._warn(score, record.epoch)
        if is_score and score >= self._best_score + self._tol:
            self._epochs_without_change = 0
        else:
            self._epochs_without_change += 1
        record.is_best = is_score and score > self._best_score
        if record.is_best:
            self._best_score = score

    def on_train_end(self) -> None:
        if self._best_weights is not None:
            self._trainer.set_weights(self._best_weights)

    def _warn(self, score: float, epoch: int) -> None:
        warn(
            f"The validation score (early_stopping_metric) is {score} after epoch "
            f"{epoch + 1}; this counts as no improvement.",
            finding="no validation score",
        )
