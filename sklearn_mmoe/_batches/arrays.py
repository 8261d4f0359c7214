"""Batches of arrays or CSR matrices, and parts of them for prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede tensorflow

# isort: split
import numpy as np
import tensorflow as tf

from sklearn_mmoe._batches.source import Batches

__all__ = ["ArrayBatches", "TaskData", "dense_parts"]

# Bytes at whose multiples TensorFlow's tensors begin.
_ALIGNMENT = 64
# Bytes of dense features that are made at once: many small batches of training, as
# many rows as this holds in prediction, but no more than _PREDICTION_ROWS.
_TRAINING_BYTES = 2**22
_PREDICTION_BYTES = 2**25
_PREDICTION_ROWS = 4096


@dataclass(frozen=True)
class TaskData:
    """Features and targets, of which only `rows` are used.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, in the type that the network computes in.
    targets : list of ndarray
        One array for each task, shaped as :func:`sklearn_mmoe.losses.task_loss` says.
    weights : ndarray of shape (n_samples, n_tasks)
        Weights in each task, of mean one over `rows`.
    rows : ndarray of int
        The rows of the arrays above that count.
    folds : ndarray of int of shape (n_samples,) or None
        Of an ensemble, the fold of each row: one of `n_folds`, whose members are not
        trained on it. None trains on all rows.
    n_folds : int or None
        Number of folds.
    of_candidates : ndarray of shape (n_candidates, n_tasks) or None
        Of an ensemble, what training multiplies the weights by in the members of each
        candidate; None multiplies by nothing.
    repeats : ndarray of int of shape (n_samples,) or None
        How often each row is trained on in an epoch, with its weight divided by this;
        None is once.
    """

    X: Any
    targets: list[np.ndarray]
    weights: np.ndarray
    rows: np.ndarray
    folds: np.ndarray | None = None
    n_folds: int | None = None
    of_candidates: np.ndarray | None = None
    repeats: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows that count."""
        return len(self.rows)

    @property
    def rows_of_epoch(self) -> np.ndarray:
        """The rows that are trained on in an epoch, in any order."""
        if self.repeats is None:
            return self.rows
        return np.repeat(self.rows, self.repeats[self.rows])

    @property
    def n_weights(self) -> int | None:
        """Number of weights that a row has in each task; None is one."""
        if self.n_folds is None or self.of_candidates is None:
            return self.n_folds
        return len(self.of_candidates) * self.n_folds

    def weighted(self, of_tasks: Sequence[float]) -> TaskData:
        """Multiply the weights of each task by a number."""
        factors = np.asarray(of_tasks, dtype=self.weights.dtype)
        return replace(self, weights=self.weights * factors)

    def weighted_by_candidate(self, weights: Sequence[Sequence[float]]) -> TaskData:
        """Multiply the weights of each task by a number for each candidate."""
        return replace(
            self, of_candidates=np.asarray(weights, dtype=self.weights.dtype)
        )

    def batches(self, batch_size: int, seed: int) -> ArrayBatches:
        """Cut the rows into batches for training, in an order that a seed decides."""
        return ArrayBatches(self, batch_size, seed)

    def training_weights(self, rows: np.ndarray) -> np.ndarray:
        """Look up weights, (n_rows, n_tasks), or (n_rows, n_tasks, n_weights).

        Those of a row's own fold are zero. All others are raised, so that the weights
        that each fold leaves keep a mean of one. There is a weight for each fold, or
        for each candidate and fold.
        """
        weights = self.weights[rows]
        if self.repeats is not None:
            # The mean over the rows of an epoch stays.
            total = self.repeats[self.rows].sum() / len(self.rows)
            factors = total / self.repeats[rows]
            weights = weights * factors.astype(weights.dtype)[:, np.newaxis]
        if self.folds is None:
            return weights
        assert self.n_folds is not None
        others = self.folds[rows][:, np.newaxis] != np.arange(self.n_folds)
        raised = (others * (self.n_folds / (self.n_folds - 1))).astype(weights.dtype)
        of_folds = weights[:, :, np.newaxis] * raised[:, np.newaxis]
        if self.of_candidates is None:
            return of_folds
        of_members = of_folds[:, :, np.newaxis] * self.of_candidates.T[..., np.newaxis]
        return of_members.reshape(*weights.shape, -1)


class DenseRows:
    """Memory into which one part of X after the other is written, as tensors.

    TensorFlow copies an array twice to make a tensor of it, which takes a tenth of a
    training step. So NumPy writes into memory that TensorFlow reads, and the same
    memory serves all parts, one after the other: a tensor holds other rows as soon as
    the next ones are taken.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The features, in the type that the network computes in.
    n_rows : int
        Largest number of rows of a tensor.
    """

    def __init__(self, X: Any, n_rows: int) -> None:
        self._X = X
        shape = (n_rows, X.shape[1])
        n_bytes = int(np.prod(shape)) * X.dtype.itemsize
        memory = np.zeros(n_bytes + _ALIGNMENT, dtype=np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        self._array = memory[start : start + n_bytes].view(X.dtype).reshape(shape)

    def take(self, rows: np.ndarray | slice) -> Any:
        """Return a tensor of these rows."""
        part = self._X[rows]
        out = self._array[: part.shape[0]]
        if isinstance(part, np.ndarray):
            out[:] = part
        else:
            part.toarray(out=out)
        # A new one each time: TensorFlow may keep copies of a tensor on other devices.
        return tf.experimental.dlpack.from_dlpack(out.__dlpack__())


class ArrayBatches:
    """Batches cut from arrays or CSR; only the rows of a few batches are ever copied.

    All are of one size, so that the training step is traced once. What the last one of
    an epoch lacks is filled up by rows of zero weight, so that every row counts the
    same. See :class:`~sklearn_mmoe._batches.source.BatchSource`.

    Parameters
    ----------
    data : TaskData
        What the batches are cut from.
    batch_size : int
        Number of rows of each batch.
    seed : int
        Seed of the order of the rows.
    """

    def __init__(self, data: TaskData, batch_size: int, seed: int) -> None:
        self._data = data
        self._rows = data.rows_of_epoch
        self._seed = seed
        self.batch_size = batch_size
        n_numbers = data.X.shape[1] + data.weights.shape[1] * (data.n_weights or 1)
        bytes_of_batch = batch_size * n_numbers * data.X.dtype.itemsize
        self._most = min(self.n_batches, max(1, _TRAINING_BYTES // bytes_of_batch))
        self._dense = DenseRows(data.X, self._most * batch_size)

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    @property
    def n_batches(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def epoch(self, epoch: int, one_by_one: bool = False) -> Iterator[Batches]:
        """Yield all batches, in an order that the seed and the epoch alone decide."""
        rng = np.random.default_rng([self._seed, epoch])
        yield from self.in_order(rng.permutation(self._rows), one_by_one)

    def in_order(
        self, order: np.ndarray, one_by_one: bool = False
    ) -> Iterator[Batches]:
        """Yield batches of these rows, one after the other."""
        at_once = self.batch_size * (1 if one_by_one else self._most)
        for start in range(0, len(order), at_once):
            yield self._cut(order[start : start + at_once])

    def some_features(self, n_rows: int) -> Iterator[Any]:
        """Yield tensors of rows spread over all, no larger than those of training."""
        rows = self._data.rows
        rows = rows[:: max(1, -(-len(rows) // n_rows))]
        most = self._most * self.batch_size
        for start in range(0, len(rows), most):
            yield self._dense.take(rows[start : start + most])

    def _cut(self, rows: np.ndarray) -> Batches:
        n_rows, n_batches = len(rows), -(-len(rows) // self.batch_size)
        rows = np.resize(rows, n_batches * self.batch_size)
        weights = self._data.training_weights(rows)
        weights[n_rows:] = 0
        targets = [target[rows] for target in self._data.targets]
        return Batches(self._dense.take(rows), targets, weights, n_batches)


def dense_parts(X: Any, rows: np.ndarray | None = None) -> Iterator[Any]:
    """Yield X, or rows of it, in parts for prediction.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, in the type that the network computes in.
    rows : ndarray of int or None, default=None
        Rows of X to take; None takes all.

    Yields
    ------
    tensor of shape (n_rows, n_features)
        Some of the rows, valid until the next ones are asked for.
    """
    n_rows = X.shape[0] if rows is None else len(rows)
    bytes_of_row = max(1, X.shape[1] * X.dtype.itemsize)
    most = min(max(1, _PREDICTION_BYTES // bytes_of_row), _PREDICTION_ROWS)
    dense = DenseRows(X, min(n_rows, most))
    for start in range(0, n_rows, most):
        part = slice(start, min(start + most, n_rows))
        yield dense.take(part if rows is None else rows[part])
