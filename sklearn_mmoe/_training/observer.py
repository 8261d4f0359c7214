"""What may watch a training loop, and what it is told. Knows nothing of Keras."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["EpochRecord", "Observer"]


@dataclass
class EpochRecord:
    """What is known of an epoch when it ends; observers may add to it.

    Attributes
    ----------
    epoch : int
        Number of the epoch within this fit, from 0.
    task_losses : ndarray of float64 of shape (n_tasks,)
        Mean training loss of each task.
    penalty : float
        Mean over the updates of what regularizers add to the loss.
    task_weight : ndarray of float64 of shape (n_tasks,) or float
        What the user had each task's loss multiplied by.
    task_weights : ndarray of float64 of shape (n_tasks,) or None
        Mean over the updates of what each task's loss was multiplied by: these weights
        times those of a weighting. None where that is one.
    validation_score : float or None
        Score of the validation rows, greater being better; None without them.
    validation_name : str
        What the score is; of 'loss' the sign is turned.
    is_best : bool
        Whether the score is the best of this fit so far.
    stop : bool
        Set by an observer to end training with this epoch.
    n_more : int
        Set by an observer at the last epoch to train so many more.
    """

    epoch: int
    task_losses: np.ndarray
    penalty: float
    task_weight: np.ndarray | float = 1.0
    task_weights: np.ndarray | None = None
    validation_score: float | None = None
    validation_name: str = field(default="loss", repr=False)
    is_best: bool = False
    stop: bool = False
    n_more: int = 0

    @property
    def loss(self) -> float:
        """The whole loss: the sum over tasks, as the user weighs them, and the penalty.

        What a weighting finds does not count, so that epochs can be compared.
        """
        return float((self.task_weight * self.task_losses).sum() + self.penalty)


class Observer:
    """Base class of what watches a training loop; its methods do nothing.

    Observers are called in the order in which they are given, so that each sees what
    those before it have added to the record of an epoch.
    """

    def on_train_begin(self) -> None:
        """Note that training begins, from the weights that the network has."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Note that an epoch, counted from 0, begins."""

    def on_epoch_end(self, record: EpochRecord) -> None:
        """Read the record of an epoch that has ended, or add to it."""

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        """Learn of an epoch that a process before this one has trained."""

    def arrays(self) -> list[np.ndarray]:
        """Return what else it needs where training goes on in another process."""
        return []

    def set_arrays(self, arrays: list[np.ndarray]) -> None:
        """Take back what :meth:`arrays` has returned there."""

    def on_train_end(self) -> None:
        """Note that training has ended without an error."""
