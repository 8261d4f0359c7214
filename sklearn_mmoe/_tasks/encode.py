"""The targets of all tasks, as the training loop takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.split import joint_groups
from sklearn_mmoe._tasks.tasks import LabelTask

__all__ = ["EncodedTargets", "encode_targets"]


@dataclass(frozen=True)
class EncodedTargets:
    """Targets as the engine wants them.

    Attributes
    ----------
    columns : list of ndarray
        Each task's targets, shaped as its loss takes them.
    codes : list of ndarray of shape (n_samples,) or None
        Class indices of each classification.
    observed : ndarray of bool of shape (n_samples, n_tasks)
        Where there is a target.
    """

    columns: list[np.ndarray]
    codes: list[np.ndarray | None]
    observed: np.ndarray

    def groups(self, rows: np.ndarray) -> np.ndarray | None:
        """Count off the combinations of labels in `rows`, missing ones among them."""
        codes = [
            np.where(self.observed[rows, k], code[rows], -1)
            for k, code in enumerate(self.codes)
            if code is not None
        ]
        return joint_groups(codes) if codes else None

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Count off each task's labels in `rows`; all values of a regression are one.

        Returns
        -------
        ndarray of int of shape (n_rows, n_tasks)
            Numbers that no two tasks share, counted from 0. A missing target is a label
            of its own.
        """
        columns, start = [], 0
        for k, code in enumerate(self.codes):
            known = np.zeros(len(rows), dtype=int) if code is None else code[rows]
            column = np.where(self.observed[rows, k], known + 1, 0)
            columns.append(start + column)
            start += column.max() + 1
        return np.column_stack(columns)


def encode_targets(tasks: list[Any], columns: TaskColumns) -> EncodedTargets:
    """Encode the targets of each task as its loss takes them."""
    encoded: list[np.ndarray] = []
    codes: list[np.ndarray | None] = []
    for task, column, observed in zip(
        tasks, columns.columns, columns.observed, strict=True
    ):
        if isinstance(task, LabelTask):
            of_task = task.codes(column, observed)
            codes.append(of_task)
            encoded.append(task.encode_codes(of_task))
        else:
            codes.append(None)
            encoded.append(task.encode(column, observed))
    return EncodedTargets(encoded, codes, np.column_stack(columns.observed))
