"""Choosing among an ensemble's candidates by the rows that each member left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._batches.arrays import TaskData
from sklearn_mmoe._training.observer import EpochRecord, Observer

if TYPE_CHECKING:
    from sklearn_mmoe._training.trainer import Trainer

__all__ = ["OutOfFold"]

# How often in a fit the members are evaluated, at most. Between two of these the loss
# hardly changes, and evaluating takes a third of an epoch's time.
_MOST_EVALUATIONS = 16

# Training is lengthened by so many times as many epochs, until there were so many
# rounds, or a round has not brought the loss below this part of what it was.
_GROWTH = 3
_MOST_ROUNDS = 3
_ENOUGH = 0.9


class OutOfFold(Observer):
    """Find the candidate and the epoch whose members predict best what they left out.

    The members of an ensemble are a candidate for each way of regularisation, and in
    each candidate one for each fold: member ``c * n_folds + f`` belongs to candidate c,
    and has not seen fold f. So one member of each candidate predicts a row as if it
    were new, and the losses of these predictions compare candidates and epochs.

    Targets with hardly any noise need more updates than others. They are known by this:
    the weakest regularisation does best, and best at the end. Then training is
    lengthened, for as long as that pays.

    Parameters
    ----------
    trainer : Trainer
        Trains all members of all candidates.
    predict : callable
        Called without arguments, it returns for each task the outputs of all members,
        (n_members, n_rows, units), for the rows that count.
    losses : sequence of callable
        The loss of each task.
    data : TaskData
        What is trained on, and its folds.
    n_epochs : int
        Number of epochs that there will be at most.
    task_weight : sequence of float, default=()
        What each task's loss is multiplied by, if it is not empty.
    weakest : int or None, default=None
        The candidate for which training may be lengthened.

    Attributes
    ----------
    epochs : list of int
        The epochs, counted from 1, after which the members were evaluated.
    curves : list of ndarray of shape (n_candidates,)
        The losses of the candidates then, summed over tasks.
    best_candidate : int
        The candidate that was best.
    best_epoch : int
        The epoch, counted from 1, in which it was.
    best_weights : list of ndarray
        Its members' weights.
    """

    def __init__(
        self,
        trainer: Trainer,
        predict: Callable[[], list[np.ndarray]],
        losses: Sequence[Any],
        data: TaskData,
        n_epochs: int,
        task_weight: Sequence[float] = (),
        weakest: int | None = None,
    ) -> None:
        assert data.folds is not None
        assert data.n_folds is not None
        self._n_folds = data.n_folds
        self._trainer = trainer
        self._predict = predict
        self._losses = losses
        self._data = data
        self._folds = data.folds[data.rows]
        self._task_weight = task_weight or (1.0,) * len(losses)
        self._weakest = weakest
        self._rounds = [range(n_epochs)]
        self._epoch = 0
        self._best_loss = np.inf
        self.epochs: list[int] = []
        self.curves: list[np.ndarray] = []

    def on_epoch_end(self, record: EpochRecord) -> None:
        self._epoch = record.epoch + 1
        of_round = self._rounds[-1]
        every = -(-len(of_round) // _MOST_EVALUATIONS)
        at_end = self._epoch == of_round.stop
        if (self._epoch - of_round.start) % every == 0 or at_end:
            self._look()
        if at_end and not record.stop and self._needs_more():
            record.n_more = _GROWTH * len(of_round)
            self._lengthen(record)

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        self._epoch = record.epoch + 1
        self._lengthen(record)

    def _lengthen(self, record: EpochRecord) -> None:
        if record.n_more:
            self._rounds.append(range(self._epoch, self._epoch + record.n_more))

    def _needs_more(self) -> bool:
        """Whether training is what is lacking, at the end of a round."""
        begin, end = self._rounds[-1].start, self._rounds[-1].stop
        best_here = (self.best_candidate, self.best_epoch) == (self._weakest, end)
        if not best_here or len(self._rounds) == _MOST_ROUNDS:
            return False
        before = [
            losses.min()
            for epoch, losses in zip(self.epochs, self.curves, strict=True)
            if epoch <= begin
        ]
        if not before:
            return True
        # A likelihood's loss may be negative.
        gain = min(before) - self._best_loss
        return bool(gain > (1 - _ENOUGH) * abs(min(before)))

    def arrays(self) -> list[np.ndarray]:
        if not self.epochs:
            return []
        return [np.array(self.epochs), np.array(self.curves), *self.best_weights]

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        if not arrays:
            return
        epochs, curves, *self.best_weights = arrays
        for epoch, losses in zip(epochs.tolist(), curves, strict=True):
            self._compare(epoch, losses)

    def _look(self) -> None:
        """Evaluate the members, and keep the best candidate's if it is a new one."""
        if self._compare(self._epoch, self._evaluate()):
            self.best_weights = [
                weights[self.members] for weights in self._trainer.weights()
            ]

    def _compare(self, epoch: int, losses: np.ndarray) -> bool:
        """Note the losses of an epoch; return whether it is the best so far."""
        self.epochs.append(epoch)
        self.curves.append(losses)
        finite = np.where(np.isfinite(losses), losses, np.inf)
        is_best = finite.min() < self._best_loss or len(self.epochs) == 1
        if is_best:
            self._best_loss = float(finite.min())
            self.best_epoch = epoch
            self.best_candidate = int(finite.argmin())
        return is_best

    def on_train_end(self) -> None:
        """Give the best candidate's members their best weights."""
        if self._epoch not in self.epochs:  # a callback has stopped training
            self._look()
        weights = self._trainer.weights()
        for weight, best in zip(weights, self.best_weights, strict=True):
            weight[self.members] = best
        self._trainer.set_weights(weights)

    @property
    def members(self) -> slice:
        """The members of the best candidate."""
        first = self.best_candidate * self._n_folds
        return slice(first, first + self._n_folds)

    def _evaluate(self) -> np.ndarray:
        """Compute the loss of each candidate, summed over tasks."""
        data, total = self._data, np.zeros(1)
        for k, (loss, outputs) in enumerate(
            zip(self._losses, self._predict(), strict=True)
        ):
            of_candidates = outputs.reshape(-1, self._n_folds, *outputs.shape[1:])
            rows = np.arange(len(self._folds))
            total = total + self._task_weight[k] * np.array(
                [
                    loss(
                        data.targets[k][data.rows],
                        of_candidate[self._folds, rows],
                        sample_weight=data.weights[data.rows, k],
                    )
                    for of_candidate in of_candidates
                ]
            )
        return total.astype(np.float64)
