"""What a source of batches offers to the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["BatchSource", "Batches", "TrainingData"]


@dataclass(frozen=True)
class Batches:
    """Several batches, one below the other.

    Attributes
    ----------
    features : tensor of shape (n_batches * batch_size, n_features)
        Valid until the next ones are asked for.
    targets : list of ndarray of shape (n_batches * batch_size, ...)
        Targets of each task.
    weights : ndarray of shape (n_batches * batch_size, n_tasks) or (n_batches * \
            batch_size, n_tasks, n_weights)
        Weights of the rows in each task, for an ensemble in each fold or each member;
        zero for rows that only fill up a batch.
    n_batches : int
        Number of batches.
    """

    features: Any
    targets: list[np.ndarray]
    weights: np.ndarray
    n_batches: int


class BatchSource(Protocol):
    """Batches of one size, as often as they are asked for.

    Attributes
    ----------
    batch_size : int
        Number of rows of each batch.
    n_batches : int
        Number of batches of an epoch.
    n_rows : int
        Number of rows of an epoch, without those that fill up its last batch.
    """

    batch_size: int

    @property
    def n_batches(self) -> int: ...

    @property
    def n_rows(self) -> int: ...

    def epoch(self, epoch: int, one_by_one: bool = False) -> Iterator[Batches]:
        """Yield all batches of an epoch, in an order of its own.

        Parameters
        ----------
        epoch : int
            Number of the epoch. Together with a seed it alone decides the order.
        one_by_one : bool, default=False
            Whether to yield each batch by itself, instead of several at once.
        """
        ...

    def some_features(self, n_rows: int) -> Iterator[Any]:
        """Yield tensors of the features of some rows, no more than `n_rows` in all."""
        ...


class TrainingData(Protocol):
    """What a network is trained on: in memory, or read anew in each epoch.

    Attributes
    ----------
    n_rows : int
        Number of rows that count.
    n_weights : int or None
        Number of weights that a row has in each task: of an ensemble one for each fold,
        or for each member. None is one.
    """

    @property
    def n_rows(self) -> int: ...

    @property
    def n_weights(self) -> int | None: ...

    def weighted(self, of_tasks: Sequence[float]) -> TrainingData:
        """Multiply the weights of each task by a number."""
        ...

    def batches(self, batch_size: int, seed: int) -> BatchSource:
        """Cut the rows into batches, in an order that a seed decides."""
        ...
