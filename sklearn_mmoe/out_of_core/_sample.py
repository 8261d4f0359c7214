"""Some rows of all, drawn in one pass: to fit a preprocessor, and to validate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import _safe_indexing

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe.out_of_core._sources import Chunk

__all__ = ["RowSample", "SampledRows", "stack", "take"]

# So many rows of each category are in every sample: encoders that take rare categories
# together do so below this number. Columns of more categories hold text or identifiers.
_ROWS_OF_CATEGORY = 10
_MOST_CATEGORIES = 1_000


def take(X: Any, rows: np.ndarray | slice) -> Any:
    """Take rows of a frame, an array or a sparse matrix."""
    if hasattr(X, "tocsr"):  # not every sparse format has rows that can be taken
        return X.tocsr()[rows]
    return _safe_indexing(X, rows)


def stack(parts: Sequence[Any]) -> Any:
    """Put frames, arrays or sparse matrices below each other."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], pd.DataFrame | pd.Series):
        return pd.concat(parts, ignore_index=True)
    if sparse.issparse(parts[0]):
        return sparse.vstack(parts, format="csr")
    return np.concatenate(parts)


@dataclass(frozen=True)
class SampledRows:
    """Rows with their targets.

    Attributes
    ----------
    X : data frame, ndarray or CSR matrix of shape (n_rows, n_columns)
        What the preprocessor takes.
    y : DataFrame of shape (n_rows, n_tasks)
        Targets, in columns of the tasks' names.
    sample_weight : ndarray of shape (n_rows, n_tasks)
        Weights in each task, in the order of y's columns.
    index : ndarray of int of shape (n_rows,)
        Their numbers among all rows.
    key : ndarray of shape (n_rows,)
        Random numbers; rows of the smallest were drawn.
    rare : ndarray of bool of shape (n_rows,)
        Which rows are there for a category, if not drawn.
    """

    X: Any
    y: pd.DataFrame
    sample_weight: np.ndarray
    index: np.ndarray
    key: np.ndarray
    rare: np.ndarray

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: np.ndarray) -> SampledRows:
        """Take some of them."""
        return SampledRows(
            take(self.X, rows),
            self.y.iloc[rows],
            self.sample_weight[rows],
            self.index[rows],
            self.key[rows],
            self.rare[rows],
        )

    @staticmethod
    def together(parts: Sequence[SampledRows]) -> SampledRows:
        """Put rows below each other."""
        return SampledRows(
            stack([part.X for part in parts]),
            stack([part.y for part in parts]),
            np.concatenate([part.sample_weight for part in parts]),
            np.concatenate([part.index for part in parts]),
            np.concatenate([part.key for part in parts]),
            np.concatenate([part.rare for part in parts]),
        )


class RowSample:
    """Draws a number of rows from all, each of which is as likely as the others.

    Beside these, some rows of every category are kept, so that an encoder knows them.

    Parameters
    ----------
    size : int
        Number of rows.
    seed : int
        Seed of the draw.
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._rng = np.random.default_rng(seed)
        self._limit = np.inf
        self._parts: list[SampledRows] = []
        self._n_more = 0  # since some were let go of
        self._counts: dict[Any, dict[Any, int] | None] = {}

    def add(self, chunk: Chunk, targets: TaskColumns, weights: np.ndarray) -> None:
        """Draw from a chunk, whose weights are by task."""
        key = self._rng.random(len(chunk))
        rare = self._rare(chunk.X)
        rows = np.flatnonzero((key < self._limit) | rare)
        if not len(rows):
            return
        self._parts.append(
            SampledRows(
                take(chunk.X, rows),
                _frame(targets, rows),
                weights[rows],
                chunk.start + rows,
                key[rows],
                rare[rows],
            )
        )
        self._n_more += len(rows)
        if self._n_more > self._size:
            self._parts, self._n_more = [self._drawn()], 0

    def _drawn(self) -> SampledRows:
        """Let go of those that others have pushed out."""
        rows = SampledRows.together(self._parts)
        if len(rows) > self._size:
            self._limit = np.partition(rows.key, self._size)[self._size]
        return rows.take(np.flatnonzero((rows.key < self._limit) | rows.rare))

    def rows(self) -> SampledRows | None:
        """Return the rows in their order; None if there was none."""
        return self._drawn() if self._parts else None

    def _rare(self, X: Any) -> np.ndarray:
        """Say which rows have a category that few rows before had."""
        rare = np.zeros(len(X) if hasattr(X, "columns") else X.shape[0], dtype=bool)
        if not hasattr(X, "columns"):
            return rare
        for name in X.columns:
            is_number = pd.api.types.is_numeric_dtype(X[name])
            if is_number or self._counts.get(name, {}) is None:
                continue
            try:
                codes, found = pd.factorize(X[name])
            except TypeError:  # what cannot be compared is no category
                self._counts[name] = None
                continue
            before = self._counts.setdefault(name, {})
            assert before is not None
            if len({*before, *found}) > _MOST_CATEGORIES:
                self._counts[name] = None
                continue
            known = np.array([before.get(value, 0) for value in found], dtype=int)
            # How many rows of its category there were before each row.
            rank = pd.Series(codes).groupby(codes).cumcount().to_numpy()
            there = codes >= 0
            rare[there] |= rank[there] + known[codes[there]] < _ROWS_OF_CATEGORY
            counts = np.bincount(codes[there], minlength=len(found)).tolist()
            before.update(zip(found, (known + counts).tolist(), strict=True))
        return rare


def _frame(targets: TaskColumns, rows: np.ndarray) -> pd.DataFrame:
    """Bring targets to a data frame in which missing ones are missing."""
    columns = {}
    for name, column, observed in zip(
        targets.names, targets.columns, targets.observed, strict=True
    ):
        values, known = column[rows], observed[rows]
        if not known.all():
            is_float = values.dtype.kind == "f"
            values = values.astype(np.float64 if is_float else object)
            values[~known] = np.nan if is_float else None
        columns[name] = pd.Series(values)
    return pd.DataFrame(columns)
