"""Weighing an ensemble's candidates by the rows that each member left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._batches.arrays import TaskData
from sklearn_mmoe._training.averaging import average_outputs
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

# The candidates' weights are multiples of a quarter: finer ones would fit the noise.
_PARTS = 4


class OutOfFold(Observer):
    """Find how well the candidates' members predict what they left out, and weigh them.

    The members of an ensemble are a candidate for each way of regularisation, and in
    each candidate one for each fold: member ``c * n_folds + f`` belongs to candidate c,
    and has not seen fold f. So one member of each candidate predicts a row as if it
    were new, and the losses of these predictions compare candidates and epochs.

    Each candidate ends with the weights of its best epoch. The ensemble predicts the
    mean of the candidates, weighted so that the predictions of these rows have the
    least loss: stacking by a convex combination [1]_ [2]_. The weights are the same for
    all tasks; with weights of its own for each task, small tables were overfitted.

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
    kinds : sequence of str
        Kind of each task.
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
        Each member's weights in its candidate's best epoch.
    shares : ndarray of shape (n_candidates,)
        Weight of each candidate in the prediction. They sum to 1.

    References
    ----------
    .. [1] Breiman, L. (1996). "Stacked Regressions". Machine Learning, 24, 49-64.
    .. [2] van der Laan, M. J., Polley, E. C., & Hubbard, A. E. (2007). "Super Learner".
       Statistical Applications in Genetics and Molecular Biology, 6(1).
    """

    def __init__(
        self,
        trainer: Trainer,
        predict: Callable[[], list[np.ndarray]],
        kinds: Sequence[str],
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
        self._kinds = kinds
        self._losses = losses
        self._data = data
        self._folds = data.folds[data.rows]
        self._task_weight = task_weight or (1.0,) * len(losses)
        self._weakest = weakest
        self._rounds = [range(n_epochs)]
        self._epoch = 0
        self._best_losses: np.ndarray | None = None
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
            np.nanmin(losses)
            for epoch, losses in zip(self.epochs, self.curves, strict=True)
            if epoch <= begin and not np.isnan(losses).all()
        ]
        if not before:
            return True
        # A likelihood's loss may be negative.
        assert self._best_losses is not None
        gain = min(before) - self._best_losses.min()
        return bool(gain > (1 - _ENOUGH) * abs(min(before)))

    def arrays(self) -> list[np.ndarray]:
        if not self.epochs:
            return []
        return [np.array(self.epochs), np.array(self.curves), *self.best_weights]

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        if not arrays:
            return
        epochs, curves, *best_weights = arrays
        self.best_weights = [weight.copy() for weight in best_weights]
        for epoch, losses in zip(epochs.tolist(), curves, strict=True):
            self._compare(epoch, losses)

    def _look(self) -> None:
        """Evaluate the members, and keep the weights of those at their best."""
        better = self._compare(self._epoch, self._evaluate())
        weights = self._trainer.weights()
        if len(self.epochs) == 1:
            self.best_weights = [weight.copy() for weight in weights]
        of_better = np.repeat(better, self._n_folds)
        for best, weight in zip(self.best_weights, weights, strict=True):
            best[of_better] = weight[of_better]

    def _compare(self, epoch: int, losses: np.ndarray) -> np.ndarray:
        """Note the losses of an epoch; return which candidates are at their best."""
        self.epochs.append(epoch)
        self.curves.append(losses)
        finite = np.where(np.isfinite(losses), losses, np.inf)
        if self._best_losses is None:
            self._best_losses = np.full_like(finite, np.inf)
        if len(self.epochs) == 1 or finite.min() < self._best_losses.min():
            self.best_epoch = epoch
            self.best_candidate = int(finite.argmin())
        better = finite < self._best_losses
        self._best_losses = np.minimum(finite, self._best_losses)
        return better

    def on_train_end(self) -> None:
        """Give all members their best weights, and weigh the candidates."""
        if self._epoch not in self.epochs:  # a callback has stopped training
            self._look()
        self._trainer.set_weights(self.best_weights)
        self.shares = self._best_shares()

    @property
    def member_weights(self) -> np.ndarray:
        """Weight of each member in the prediction, (n_members,)."""
        return np.repeat(self.shares, self._n_folds) / self._n_folds

    def _held_out(self) -> Iterator[np.ndarray]:
        """Predict the rows by the members that have not seen them.

        Yields an array for each task, (n_candidates, n_rows, units).
        """
        rows = np.arange(len(self._folds))
        for outputs in self._predict():
            of_candidates = outputs.reshape(-1, self._n_folds, *outputs.shape[1:])
            yield of_candidates[:, self._folds, rows]

    def _loss(self, task: int, outputs: Any) -> float:
        data = self._data
        return float(
            self._losses[task](
                data.targets[task][data.rows],
                outputs,
                sample_weight=data.weights[data.rows, task],
            )
        )

    def _evaluate(self) -> np.ndarray:
        """Compute the loss of each candidate, summed over tasks."""
        total = np.zeros(1)
        for k, outputs in enumerate(self._held_out()):
            of_task = np.array([self._loss(k, of_one) for of_one in outputs])
            total = total + self._task_weight[k] * of_task
        return total

    def _best_shares(self) -> np.ndarray:
        """Find the candidates' weights by which their mean has the least loss."""
        n_candidates = len(self.curves[0])
        best = np.eye(n_candidates)[self.best_candidate]
        if n_candidates == 1:
            return best
        outputs = list(self._held_out())
        least = self._loss_of_mean(outputs, best)
        for parts in itertools.product(range(_PARTS + 1), repeat=n_candidates):
            if sum(parts) != _PARTS:
                continue
            shares = np.array(parts) / _PARTS
            loss = self._loss_of_mean(outputs, shares)
            # The best candidate's may not be finite, if none is.
            if loss < least or np.isnan(least):
                best, least = shares, loss
        return best

    def _loss_of_mean(self, outputs: list[np.ndarray], shares: np.ndarray) -> float:
        used = shares > 0  # the outputs of others may not be finite
        weights = shares[used].tolist()
        return sum(
            self._task_weight[k]
            * self._loss(k, average_outputs(kind, of_task[used], weights))
            for k, (kind, of_task) in enumerate(zip(self._kinds, outputs, strict=True))
        )
