"""The training loop: epochs of batches, watched by observers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._batches.source import BatchSource
from sklearn_mmoe._training.keras_callbacks import KerasCallbacks, logs_of
from sklearn_mmoe._training.observer import EpochRecord, Observer
from sklearn_mmoe._training.optimizers import learning_rates

if TYPE_CHECKING:
    from sklearn_mmoe._training.checkpoint import Checkpoints
    from sklearn_mmoe._training.distribution import Distribution
    from sklearn_mmoe._training.trainer import Trainer

__all__ = ["TrainingPlan", "train"]


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained; mostly the estimators' parameters of the same names.

    Attributes
    ----------
    n_epochs : int
        Number of epochs, or of those after which an ensemble may ask for more.
    first_epoch : int
        Number of epochs that this network was trained for before. The order of the
        rows goes on from there.
    continuing : bool
        Whether the optimizer goes on where an earlier such fit left it, and is kept
        for a later one.
    weight_decay : float or tuple of float
        Of an ensemble, the weight decay of each member.
    task_weight : tuple of float
        What each task's loss is multiplied by; empty where all are alike.
    distribution : Distribution or None
        The devices to train on; None is one.
    weights_by_candidate : tuple of tuple of float
        Of an ensemble, what each candidate's members multiply the tasks' losses by, if
        they differ; empty where they do not. Zero is a task that they do not learn.
    groups : tuple of tuple of int
        The tasks for which an ensemble's candidates are chosen and weighed together.
    weakest : int or None
        Of an ensemble, the candidate of the weakest regularisation, if training may be
        lengthened for it.
    kernel_ridge : bool
        Whether a kernel ridge regression is weighed against an ensemble.
    """

    optimizer: Any
    learning_rate: float
    learning_rate_schedule: str
    weight_decay: float | tuple[float, ...]
    batch_size: int
    n_epochs: int
    n_iter_no_change: int
    tol: float
    first_epoch: int = 0
    continuing: bool = False
    task_weight: tuple[float, ...] = ()
    task_weighting: str = "uniform"
    weights_by_candidate: tuple[tuple[float, ...], ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    weakest: int | None = None
    kernel_ridge: bool = False
    distribution: Distribution | None = None

    @property
    def weighting(self) -> str | None:
        """Which weighting of the tasks is needed; None if their losses add up.

        Weights that stay are part of the rows' weights, which costs nothing.
        """
        return None if self.task_weighting == "uniform" else self.task_weighting

    @property
    def factors(self) -> np.ndarray:
        """What the losses of the tasks are multiplied by, in the mean over members."""
        if self.weights_by_candidate:
            return np.mean(self.weights_by_candidate, axis=0)
        return np.asarray(self.task_weight or (1.0,))


def train(
    trainer: Trainer,
    source: BatchSource,
    plan: TrainingPlan,
    observers: Sequence[Observer],
    checkpoints: Checkpoints | None = None,
) -> None:
    """Train for the epochs of a plan, or until an observer asks for a stop.

    An observer may also ask for more epochs, in which the schedule of the learning rate
    begins anew. With `checkpoints` training goes on from the last one, and one is
    written after each epoch.

    Raises
    ------
    ValueError
        If a loss or a weight is no longer finite.
    """
    asked = [o for o in observers if isinstance(o, KerasCallbacks) and o.want_batches]
    for observer in observers:
        observer.on_train_begin()
    earlier = [] if checkpoints is None else checkpoints.restore(trainer, observers)
    course = range(plan.n_epochs)
    for record in earlier:
        course = _course_after(record, course)
    epoch, stop = len(earlier) - 1, any(record.stop for record in earlier)
    while not stop and epoch + 1 < course.stop:
        epoch += 1
        for observer in observers:
            observer.on_epoch_begin(epoch)
        record = _train_epoch(trainer, source, plan, epoch, course, asked)
        _check_finite(record.loss, plan, epoch)
        if trainer.weighting is not None:
            trainer.weighting.end_epoch(record.task_losses)
        for observer in observers:
            observer.on_epoch_end(record)
        if checkpoints is not None:
            checkpoints.write(trainer, observers, record)
        course, stop = _course_after(record, course), record.stop
    for observer in observers:
        observer.on_train_end()
    for weights in trainer.weights():
        _check_finite(weights, plan, epoch)


def _course_after(record: EpochRecord, course: range) -> range:
    """Return the epochs that the schedule of the learning rate is for, from now on."""
    if not record.n_more:
        return course
    return range(course.stop, course.stop + record.n_more)


def _train_epoch(
    trainer: Trainer,
    source: BatchSource,
    plan: TrainingPlan,
    epoch: int,
    course: range,
    callbacks: Sequence[KerasCallbacks],
) -> EpochRecord:
    """Train on every batch once; return the mean losses.

    `callbacks` are called at each batch, for which batches are trained on one by one.
    """
    n_batches = source.n_batches
    losses, penalty, done = np.zeros(1), 0.0, 0
    given = np.asarray(plan.task_weight) if plan.task_weight else 1.0
    task_weights: Any = None
    for batches in source.epoch(plan.first_epoch + epoch, one_by_one=bool(callbacks)):
        first = (epoch - course.start) * n_batches + done
        steps = first + np.arange(batches.n_batches)
        rates = learning_rates(
            plan.learning_rate_schedule,
            plan.learning_rate,
            steps,
            len(course) * n_batches,
        )
        for callback in callbacks:
            callback.on_batch_begin(done)
        of_batches, own, weighed = trainer.train(batches, rates)
        if plan.weighting is None:  # else the rows' weights do not hold the tasks'
            of_batches = of_batches / plan.factors
        losses, penalty = losses + of_batches, penalty + own
        if weighed is not None:
            task_weights = weighed + (0 if task_weights is None else task_weights)
        for callback in callbacks:
            # The last batch of an epoch may be partly empty.
            size = min(source.batch_size, source.n_rows - done * source.batch_size)
            mean = EpochRecord(epoch, of_batches / size, own, given)
            callback.on_batch_end(done, logs_of(mean))
        done += batches.n_batches
    if task_weights is not None:
        task_weights = task_weights / n_batches
    return EpochRecord(
        epoch, losses / source.n_rows, penalty / n_batches, given, task_weights
    )


def _check_finite(values: Any, plan: TrainingPlan, epoch: int) -> None:
    if not np.isfinite(values).all():
        raise ValueError(
            f"Training diverged in epoch {epoch + 1}: losses or weights are no longer "
            f"finite. Lower learning_rate (it is {plan.learning_rate:g}), or bring the "
            "columns of X, which may hold large values, to one scale first."
        )
