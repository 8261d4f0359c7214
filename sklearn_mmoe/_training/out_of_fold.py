"""Weighing an ensemble's candidates by the rows that each member left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._batches.arrays import TaskData
from sklearn_mmoe._tasks.scarcity import deciding_tasks
from sklearn_mmoe._training.averaging import average_outputs
from sklearn_mmoe._training.kernel_ridge import KernelRidge
from sklearn_mmoe._training.kernel_ridge_weight import LeftOut, best_kernel_ridge
from sklearn_mmoe._training.observer import EpochRecord, Observer
from sklearn_mmoe._training.shrinkage import (
    best_factor,
    constant_outputs,
    shrunken,
)

if TYPE_CHECKING:
    from sklearn_mmoe._training.loop import TrainingPlan
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
# The loss at the end is the least if it is above that by no more than this part of it:
# the learning rate is near zero then, and the loss changes by chance.
_CLOSE = 0.02

# Of so many outputs, and no more, the loss is computed at once: 16 MiB.
_MOST_NUMBERS = 2**22

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
    least loss: stacking by a convex combination [1]_ [2]_.

    Epochs and weights are the same for all tasks of a group; with its own for each
    task, small tables were overfitted. Tasks that have far fewer targets than others
    are a group of their own, which the others' losses would decide for otherwise: it
    has copies of all members, as they were in its own best epochs. A candidate may
    learn the tasks of one group alone, and predicts no others. Tasks that have too few
    targets to choose anything by have no say in their group.

    What is said of a task is then shrunk towards what is known without features, as far
    as that lowers the loss of these rows: its factor is between 0 and 1.

    A kernel ridge regression of all tasks, which has not seen these rows either, is
    weighed against the ensemble by the same losses, for each group of tasks.

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
    units : sequence of int
        Width of each task's output.
    losses : sequence of keras.losses.Loss
        The loss of each task.
    data : TaskData
        What is trained on, and its folds.
    plan : TrainingPlan
        How it is trained.
    linked : collection of int, default=()
        Tasks whose probability is a product with another's: they are not shrunk.

    Attributes
    ----------
    epochs : list of int
        The epochs, counted from 1, after which the members were evaluated.
    curves : list of ndarray of shape (n_candidates,)
        The losses of the candidates then, summed over the tasks that they learn.
    best_candidate : int
        Of the candidates that learn all tasks, the one that was best.
    best_epoch : int
        The epoch, counted from 1, in which it was.
    best_weights : list of ndarray
        Each member's weights in its candidate's best epoch, for one group of tasks
        after the other: the first axis has n_groups * n_members.
    shares : ndarray of shape (n_tasks, n_candidates)
        Weight of each candidate in the prediction of each task. Those of a task sum
        to 1.
    constants : list of (ndarray of shape (units,) or None)
        What each task's outputs are shrunk towards; None where they never are.
    factors : list of float
        How far each task's outputs are believed, in (0, 1].
    kernel_ridge : KernelRidge or None
        The regression beside the ensemble; None if it counts in no task.

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
        units: Sequence[int],
        losses: Sequence[Any],
        data: TaskData,
        plan: TrainingPlan,
        linked: Collection[int] = (),
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
        self._task_weight = plan.task_weight or (1.0,) * len(losses)
        self._weakest = plan.weakest
        self._groups = plan.groups or (tuple(range(len(losses))),)
        counts = np.count_nonzero(data.weights[data.rows], axis=0)
        self._deciding = [deciding_tasks(group, counts) for group in self._groups]
        self._learned = (
            np.array(plan.weights_by_candidate or [(1.0,) * len(losses)]) > 0
        )
        self.constants = [
            None if k in linked else constant_outputs(kind, of_task, *self._targets(k))
            for k, (kind, of_task) in enumerate(zip(kinds, units, strict=True))
        ]
        self._fits_kernel = plan.kernel_ridge
        self.kernel_ridge: KernelRidge | None = None
        self._rounds = [range(plan.n_epochs)]
        self._epoch = 0
        self._of_tasks: list[np.ndarray] = []
        self._lowest: list[float] = []
        self._least_of_groups: np.ndarray | None = None
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
        begin, least = self._rounds[-1].start, min(self._lowest)
        # A likelihood's loss may be negative.
        at_end = self._lowest[-1] <= least + _CLOSE * abs(least) < np.inf
        falls = self.best_candidate == self._weakest and at_end
        if not falls or len(self._rounds) == _MOST_ROUNDS:
            return False
        before = min(
            (
                lowest
                for epoch, lowest in zip(self.epochs, self._lowest, strict=True)
                if epoch <= begin
            ),
            default=np.inf,
        )
        if np.isinf(before):
            return True
        return bool(before - least > (1 - _ENOUGH) * abs(before))

    def arrays(self) -> list[np.ndarray]:
        if not self.epochs:
            return []
        return [np.array(self.epochs), np.array(self._of_tasks), *self.best_weights]

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        if not arrays:
            return
        epochs, of_tasks, *best_weights = arrays
        self.best_weights = [weight.copy() for weight in best_weights]
        for epoch, losses in zip(epochs.tolist(), of_tasks, strict=True):
            self._compare(epoch, losses)

    def _look(self) -> None:
        """Evaluate the members, and keep the weights of those at their best."""
        better = self._compare(self._epoch, self._evaluate())
        weights = self._trainer.weights()
        if len(self.epochs) == 1:
            self.best_weights = [np.concatenate([w] * self.n_groups) for w in weights]
        for group, candidates in enumerate(better):
            of_better = np.repeat(candidates, self._n_folds)
            for best, weight in zip(self._best_of(group), weights, strict=True):
                best[of_better] = weight[of_better]

    def _best_of(self, group: int) -> list[np.ndarray]:
        """Return the part of the best weights that is of a group of tasks."""
        return [np.split(best, self.n_groups)[group] for best in self.best_weights]

    def _compare(self, epoch: int, of_tasks: np.ndarray) -> np.ndarray:
        """Note the losses of an epoch; return whose are the lowest so far.

        Parameters
        ----------
        epoch : int
            The epoch.
        of_tasks : ndarray of shape (n_tasks, n_candidates)
            The losses.

        Returns
        -------
        ndarray of bool of shape (n_groups, n_candidates)
            Whether a candidate is at its best for a group of tasks.
        """
        learned = np.broadcast_to(self._learned.T, of_tasks.shape)
        every = sorted(k for tasks in self._deciding for k in tasks)
        of_all = self._of_group(of_tasks, learned, every)
        if not self.epochs or of_all.min() < min(self._lowest):
            self.best_epoch = epoch
            self.best_candidate = int(of_all.argmin())
        self.epochs.append(epoch)
        self.curves.append(np.where(learned, of_tasks, 0)[every].sum(axis=0))
        self._lowest.append(float(of_all.min()))
        self._of_tasks.append(of_tasks)
        losses = np.array(
            [self._of_group(of_tasks, learned, tasks) for tasks in self._deciding]
        )
        if self._least_of_groups is None:
            self._least_of_groups = np.full_like(losses, np.inf)
        better = losses < self._least_of_groups
        self._least_of_groups = np.minimum(losses, self._least_of_groups)
        return better

    @staticmethod
    def _of_group(
        of_tasks: np.ndarray, learned: np.ndarray, tasks: list[int]
    ) -> np.ndarray:
        """Sum the losses of some tasks; infinite where they are of no use."""
        total = of_tasks[tasks].sum(axis=0)
        return np.where(learned[tasks].all(axis=0) & np.isfinite(total), total, np.inf)

    def _targets(self, task: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the targets of a task, and their weights."""
        data = self._data
        return data.targets[task][data.rows], data.weights[data.rows, task]

    def on_train_end(self) -> None:
        """Weigh the candidates, for each group of tasks in its best epochs.

        And find how far they are to be believed in each task, and how much a kernel
        ridge regression beside them. The network is left as it is best for the first
        group.
        """
        if self._epoch not in self.epochs:  # a callback has stopped training
            self._look()
        self.shares = np.zeros(self._of_tasks[0].shape)
        self.factors = [1.0] * len(self._losses)
        left_out: dict[int, LeftOut] = {}
        for group, tasks in enumerate(self._groups):
            self.bring_to(group)
            of_members = self._predict()
            outputs = list(map(self._held_out_of, of_members))
            self.shares[list(tasks)] = self._best_shares(group, outputs)
            for k in tasks:
                self.factors[k] = self._best_factor(k, outputs[k])
                if self._fits_kernel and self.constants[k] is not None:
                    left_out[k] = self._left_out(k, outputs[k], of_members[k])
        self.bring_to(0)
        self.kernel_ridge = best_kernel_ridge(
            self._data.X,
            self._data.rows,
            self._folds,
            self._n_folds,
            left_out,
            len(self._losses),
            list(zip(self._groups, self._deciding, strict=True)),
        )

    @property
    def n_groups(self) -> int:
        """Number of groups of tasks."""
        return len(self._groups)

    def bring_to(self, group: int) -> None:
        """Give all members their best weights for a group of tasks."""
        self._trainer.set_weights(self._best_of(group))

    @property
    def member_weights(self) -> np.ndarray:
        """Weight of each member in the prediction, (n_tasks, n_groups * n_members)."""
        of_members = np.repeat(self.shares, self._n_folds, axis=1) / self._n_folds
        weights = np.zeros((len(self._groups), *of_members.shape))
        for group, tasks in enumerate(self._groups):
            weights[group, list(tasks)] = of_members[list(tasks)]
        return np.concatenate(weights, axis=1)

    def _held_out(self) -> Iterator[np.ndarray]:
        """Predict the rows by the members that have not seen them.

        Yields an array for each task, (n_candidates, n_rows, units).
        """
        yield from map(self._held_out_of, self._predict())

    def _held_out_of(self, outputs: np.ndarray) -> np.ndarray:
        """Choose the outputs of members that have not seen a row, by candidate."""
        rows = np.arange(len(self._folds))
        return self._by_fold(outputs)[:, self._folds, rows]

    def _by_fold(self, outputs: np.ndarray) -> np.ndarray:
        """Give outputs of all members an axis of candidates, and one of folds."""
        return outputs.reshape(-1, self._n_folds, *outputs.shape[1:])

    def _losses_of(self, task: int, outputs: np.ndarray) -> np.ndarray:
        """Compute a task's loss by several predictions, (n_predictions, n_rows, units).

        All in one call, which for few rows takes as long as for one of them.
        """
        targets, weights = self._targets(task)
        n_predictions = len(outputs)
        of_rows = self._losses[task].call(
            np.concatenate([targets] * n_predictions),
            outputs.reshape(-1, outputs.shape[-1]),
        )
        weighed = weights * np.reshape(of_rows, (n_predictions, -1))
        return self._task_weight[task] * weighed.mean(axis=1, dtype=np.float64)

    def _evaluate(self) -> np.ndarray:
        """Compute the loss of each candidate in each task, (n_tasks, n_candidates)."""
        return np.array(
            [self._losses_of(k, outputs) for k, outputs in enumerate(self._held_out())]
        )

    def _best_shares(self, group: int, held_out: list[np.ndarray]) -> np.ndarray:
        """Find the candidates' weights by which their mean has the least loss."""
        assert self._least_of_groups is not None
        tasks = self._deciding[group]
        n_candidates = len(self.curves[0])
        learned = np.broadcast_to(self._learned, (n_candidates, len(self._kinds)))
        usable = np.flatnonzero(learned[:, list(self._groups[group])].all(axis=1))
        best = np.eye(n_candidates)[self._least_of_groups[group].argmin()]
        if len(usable) == 1:
            return best
        compared = [best]
        for parts in itertools.product(range(_PARTS + 1), repeat=len(usable)):
            if sum(parts) == _PARTS:
                shares = np.zeros(n_candidates)
                shares[usable] = np.array(parts) / _PARTS
                compared.append(shares)
        losses = sum(self._losses_of_means(k, held_out[k], compared) for k in tasks)
        # Of equal ones the best alone. Its own may not be finite, if none is.
        return compared[np.where(np.isnan(losses), np.inf, losses).argmin()]

    def _losses_of_means(
        self, task: int, outputs: np.ndarray, compared: list[np.ndarray]
    ) -> np.ndarray:
        """Compute a task's loss by the means of candidates that are weighed so."""
        kind, losses = self._kinds[task], []
        at_once = max(1, _MOST_NUMBERS // outputs[0].size)
        for begin in range(0, len(compared), at_once):
            means = [
                average_outputs(kind, outputs, shares.tolist())
                for shares in compared[begin : begin + at_once]
            ]
            losses.append(self._losses_of(task, np.array(means)))
        return np.concatenate(losses)

    def _best_factor(self, task: int, outputs: np.ndarray) -> float:
        """Find how far a task's candidates, in their weighted mean, are believed."""
        constant = self.constants[task]
        if constant is None:
            return 1.0
        targets, weights = self._targets(task)
        shares = self.shares[task].tolist()
        kind = self._kinds[task]
        return best_factor(kind, outputs, shares, constant, targets, weights)

    def _left_out(
        self, task: int, outputs: np.ndarray, of_members: np.ndarray
    ) -> LeftOut:
        """Say of a task what the candidates, as far as they are believed, predict."""
        targets, weights = self._targets(task)
        of_folds = None
        if not weights.all():
            by_fold = np.moveaxis(self._by_fold(of_members), 1, 0)
            of_folds = np.array([self._prediction(task, fold) for fold in by_fold])
        return LeftOut(
            kind=self._kinds[task],
            outputs=self._prediction(task, outputs),
            targets=targets,
            weights=weights,
            task_weight=self._task_weight[task],
            of_folds=of_folds,
        )

    def _prediction(self, task: int, outputs: np.ndarray) -> np.ndarray:
        """Average the candidates' outputs, as far as they are believed."""
        constant = self.constants[task]
        assert constant is not None
        return average_outputs(
            self._kinds[task],
            shrunken(outputs, constant, self.factors[task]),
            self.shares[task].tolist(),
        )
