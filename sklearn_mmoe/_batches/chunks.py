"""Batches of rows that are read anew in each epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from sklearn_mmoe._batches.arrays import ArrayBatches, TaskData
from sklearn_mmoe._batches.source import Batches

__all__ = ["ChunkBatches", "ChunkedTaskData"]


@dataclass(frozen=True)
class ChunkedTaskData:
    """Rows that never are in memory all at once.

    Attributes
    ----------
    pieces : callable
        Called with a batch size, a seed and the number of an epoch, it returns an
        iterator over all rows in an order that these decide: as TaskData, whose numbers
        of rows are multiples of the batch size, but for the last.
    n_rows : int
        Number of rows.
    sample : TaskData
        Some of the rows.
    of_tasks : sequence of float or None
        What the weights of each task are multiplied by.
    """

    pieces: Callable[[int, int, int], Iterator[TaskData]]
    n_rows: int
    sample: TaskData
    of_tasks: Sequence[float] | None = None

    # There is no cross-validation within a fit on so many rows.
    n_weights = None

    def weighted(self, of_tasks: Sequence[float]) -> ChunkedTaskData:
        """Multiply the weights of each task by a number."""
        return replace(self, of_tasks=of_tasks)

    def batches(self, batch_size: int, seed: int) -> ChunkBatches:
        """Cut the rows into batches for training, in an order that a seed decides."""
        return ChunkBatches(self, batch_size, seed)


class ChunkBatches:
    """Batches cut from one piece after the other, the next one made meanwhile.

    See :class:`~sklearn_mmoe._batches.source.BatchSource`.

    Parameters
    ----------
    data : ChunkedTaskData
        What the batches are cut from.
    batch_size : int
        Number of rows of each batch.
    seed : int
        Seed of the order of the rows.
    """

    def __init__(self, data: ChunkedTaskData, batch_size: int, seed: int) -> None:
        self._data = data
        self._seed = seed
        self.batch_size = batch_size

    @property
    def n_rows(self) -> int:
        return self._data.n_rows

    @property
    def n_batches(self) -> int:
        return -(-self.n_rows // self.batch_size)

    def epoch(self, epoch: int, one_by_one: bool = False) -> Iterator[Batches]:
        """Yield all batches, in an order that the seed and the epoch alone decide.

        Raises
        ------
        ValueError
            If there are more or fewer rows than there were.
        """
        n_rows = 0
        for piece in _one_ahead(self._data.pieces(self.batch_size, self._seed, epoch)):
            if self._data.of_tasks is not None:
                piece = piece.weighted(self._data.of_tasks)
            n_rows += piece.n_rows
            if n_rows > self.n_rows:
                break
            source = ArrayBatches(piece, self.batch_size, self._seed)
            yield from source.in_order(piece.rows, one_by_one)
        if n_rows != self.n_rows:
            more = "more" if n_rows > self.n_rows else f"only {n_rows}"
            raise ValueError(
                f"The data has changed: there were {self.n_rows} rows to train on when "
                f"it was first read, and {more} in epoch {epoch + 1}. It must yield "
                "the same rows whenever it is read."
            )

    def some_features(self, n_rows: int) -> Iterator[Any]:
        """Yield tensors of some rows of the sample."""
        sample = ArrayBatches(self._data.sample, self.batch_size, self._seed)
        yield from sample.some_features(n_rows)


def _one_ahead(pieces: Iterator[TaskData]) -> Iterator[TaskData]:
    """Yield pieces while a thread makes the next one: training leaves Python to it."""
    with ThreadPoolExecutor(1, thread_name_prefix="sklearn_mmoe chunks") as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece
