"""Targets that come chunk by chunk, summed up in a small table of the same tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.deviation import root_mean_square
from sklearn_mmoe._tasks.intervals import holds_intervals
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.value_task import ValueTask

__all__ = ["TargetSummary"]

# More different values than these are real numbers, or no classes that one would learn.
_MOST_VALUES = 10_000


class TargetSummary:
    """Sums up targets, so that tasks can be found without all of them at once.

    A column of few different values is kept as these and the weights of their rows:
    classes, means and quantiles are then what they are in all rows. Of a column of
    many, a sample says what kind it is; for squared errors its mean and standard
    deviation are those of all rows.

    Parameters
    ----------
    names : sequence of str
        Names of the tasks.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._columns = [_ColumnSummary(name) for name in names]

    def add(self, targets: TaskColumns, weights: np.ndarray) -> None:
        """Take note of the targets of some rows, and of their weights by task.

        Raises
        ------
        ValueError
            If a task has too many labels.
        """
        for k, column in enumerate(self._columns):
            column.add(targets.values(k), weights[targets.observed[k], k])
            column.is_category &= targets.are_categories[k]

    def condensed(
        self, sample: TaskColumns, weights: np.ndarray
    ) -> tuple[TaskColumns, np.ndarray]:
        """Make a small table of targets, in which the same tasks are found.

        Parameters
        ----------
        sample : TaskColumns
            The targets of some of the rows.
        weights : ndarray of shape (n_sampled, n_tasks)
            Their weights.

        Returns
        -------
        targets : TaskColumns
            The table; its rows are none of those that it sums up.
        weights : ndarray of shape (n_rows, n_tasks)
            Weights of its rows.
        """
        parts = [
            column.table()
            or _as_table(sample.values(k), weights[sample.observed[k], k])
            for k, column in enumerate(self._columns)
        ]
        n_rows = max(len(values) for values, _, _ in parts)
        weights = np.zeros((n_rows, len(parts)))
        columns, observed = [], []
        for k, (values, of_values, _) in enumerate(parts):
            weights[: len(values), k] = of_values
            observed.append(np.arange(n_rows) < len(values))
            # What is not observed may be any value; of no values at all it is 0.
            columns.append(np.resize(values, n_rows))
        targets = TaskColumns(
            columns,
            self._names,
            observed,
            [column.is_category for column in self._columns],
            named=True,
            counts=[counts for _, _, counts in parts],
        )
        return targets, weights

    def complete(self, tasks: Sequence[Any]) -> None:
        """Let tasks that were found in the table know what only all rows tell.

        Raises
        ------
        ValueError
            If a classification has too many labels.
        """
        for task, column in zip(tasks, self._columns, strict=True):
            if isinstance(task, LabelTask) and column.has_many:
                raise _too_many(task.name)
            if isinstance(task, ValueTask) and task.loss == "squared_error":
                task.mean, task.scale = column.mean, column.deviation


class _ColumnSummary:
    """One task's targets, summed up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.is_category = True  # as long as all rows say so
        # Of each value the weight and the number of its rows.
        self._sums: dict[Any, np.ndarray] | None = {}
        self._weight = self.mean = self.deviation = 0.0

    @property
    def has_many(self) -> bool:
        """Whether there are more values than are kept."""
        return self._sums is None

    def add(self, values: np.ndarray, weights: np.ndarray) -> None:
        if holds_intervals(values):
            raise ValueError(
                f"The task {self._name!r} has intervals for targets (loss='tobit'), "
                "which need all rows in memory; call fit of the estimator itself."
            )
        if values.dtype.kind in "biuf":
            self._add_moments(values.astype(np.float64), weights)
        if self._sums is None:
            return
        codes, found = pd.factorize(values)
        sums, counts = (np.bincount(codes, by, len(found)) for by in (weights, None))
        for value, *of_value in zip(found.tolist(), sums, counts, strict=True):
            self._sums[value] = self._sums.get(value, np.zeros(2)) + of_value
        if len(self._sums) > _MOST_VALUES:
            if values.dtype.kind not in "iuf":
                raise _too_many(self._name)
            self._sums = None

    def _add_moments(self, values: np.ndarray, weights: np.ndarray) -> None:
        """Add to mean and standard deviation (Chan, Golub & LeVeque, 1983)."""
        weight = float(weights.sum())
        if not weight:
            return
        mean = float(np.average(values, weights=weights))
        deviation = float(root_mean_square(values - mean, weights))
        total, step = self._weight + weight, mean - self.mean
        both = [self._weight, weight, self._weight * weight / total]
        root = root_mean_square(np.array([self.deviation, deviation, step]), both)
        self.deviation = float(root * np.sqrt(sum(both) / total))
        self.mean += step * weight / total
        self._weight = total

    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Return the values, and weight and number of their rows; None if many."""
        if self._sums is None:
            return None
        values = pd.Series(list(self._sums), dtype=object).infer_objects().to_numpy()
        weights, counts = np.reshape(list(self._sums.values()), (-1, 2)).T
        return values, weights, counts


def _as_table(
    values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows as a table of their own."""
    return values, weights, np.ones(len(values))


def _too_many(name: str) -> ValueError:
    return ValueError(
        f"The task {name!r} has more than {_MOST_VALUES} different labels, too many to "
        "be learned from chunks."
    )
