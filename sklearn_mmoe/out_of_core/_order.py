"""The order of rows in an epoch: blocks shuffled and mixed, then rows among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from sklearn_mmoe.out_of_core._sample import stack, take

__all__ = ["EncodedRows", "mixed", "shuffled"]

# Blocks that are read at the same time.
_OPEN_BLOCKS = 4

Item = TypeVar("Item")


@dataclass(frozen=True)
class EncodedRows:
    """Rows whose targets and weights are ready for training; the features are not.

    Attributes
    ----------
    X : data frame, ndarray or CSR matrix of shape (n_rows, n_columns)
        What the preprocessor takes.
    targets : list of ndarray of shape (n_rows, ...)
        Targets of each task, as its loss takes them.
    weights : ndarray of shape (n_rows, n_tasks)
        Weights in each task.
    """

    X: Any
    targets: list[np.ndarray]
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: np.ndarray | slice) -> EncodedRows:
        """Take some of them."""
        targets = [target[rows] for target in self.targets]
        return EncodedRows(take(self.X, rows), targets, self.weights[rows])

    @staticmethod
    def together(parts: Sequence[EncodedRows]) -> EncodedRows:
        """Put rows below each other."""
        of_tasks = zip(*(part.targets for part in parts), strict=True)
        return EncodedRows(
            stack([part.X for part in parts]),
            [stack(of_task) for of_task in of_tasks],
            stack([part.weights for part in parts]),
        )


def mixed(
    n_blocks: int, read: Callable[[int], Iterator[Item]], rng: np.random.Generator
) -> Iterator[Item]:
    """Read blocks in random order, several at a time, of which they take turns.

    Parameters
    ----------
    n_blocks : int
        Number of blocks.
    read : callable
        Reads one of them.
    rng : Generator
        Decides the order.

    Yields
    ------
    object
        What is in the blocks.
    """
    waiting = iter(rng.permutation(n_blocks).tolist())
    opened = deque(map(read, islice(waiting, _OPEN_BLOCKS)))
    while opened:
        block = opened.popleft()
        try:
            yield next(block)
        except StopIteration:
            opened.extend(map(read, islice(waiting, 1)))
        else:
            opened.append(block)


def shuffled(
    parts: Iterator[EncodedRows],
    buffer_size: int,
    piece_size: int,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[EncodedRows]:
    """Shuffle rows within a buffer, and cut them into pieces.

    Parameters
    ----------
    parts : iterator of EncodedRows
        Rows in any order.
    buffer_size : int
        Rows that are shuffled together.
    piece_size : int
        Rows of a piece: a multiple of the size of a batch.
    batch_size : int
        What is left in the buffer is less than so many rows.
    rng : Generator
        Decides the order.

    Yields
    ------
    EncodedRows
        Pieces of rows. Their numbers are multiples of `batch_size`, but for the last.
    """
    kept: list[EncodedRows] = []
    n_kept = 0
    for part in parts:
        kept.append(part)
        n_kept += len(part)
        if n_kept >= max(buffer_size, batch_size):
            rows = EncodedRows.together(kept)
            rows = rows.take(rng.permutation(n_kept))
            n_left = n_kept % batch_size
            yield from _pieces(rows, n_kept - n_left, piece_size)
            kept, n_kept = [rows.take(slice(n_kept - n_left, None))], n_left
    if n_kept:
        rows = EncodedRows.together(kept).take(rng.permutation(n_kept))
        yield from _pieces(rows, n_kept, piece_size)


def _pieces(rows: EncodedRows, n_rows: int, size: int) -> Iterator[EncodedRows]:
    for start in range(0, n_rows, size):
        yield rows.take(slice(start, min(start + size, n_rows)))
