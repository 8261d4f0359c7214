"""Targets of any accepted shape, taken apart into columns and put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array


@dataclass(frozen=True)
class TaskColumns:
    """The targets, taken apart.

    Attributes
    ----------
    columns : list of ndarray of shape (n_samples,)
        One array for each task.
    names : list of str
        The tasks' names: the columns of a data frame, the name of a series, else
        ``task_0``, ``task_1``, ...
    observed : list of ndarray of bool of shape (n_samples,)
        For each task, where it has a target: neither NaN, None nor ``pd.NA``.
    """

    columns: list[np.ndarray]
    names: list[str]
    observed: list[np.ndarray]


def _task_names(y: Any, n_tasks: int) -> list[str]:
    if isinstance(y, pd.Series):
        y = y.to_frame() if y.name is not None else y
    given = getattr(y, "columns", None)  # pandas and polars alike
    if given is None or all(isinstance(name, int | np.integer) for name in given):
        return [f"task_{k}" for k in range(n_tasks)]
    names = [str(name) for name in given]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(
            f"y has several columns named {duplicates}; every task needs a name of "
            "its own."
        )
    return names


def split_columns(y: Any) -> TaskColumns:
    """Take targets apart as they are; columns of a data frame keep their dtypes.

    Parameters
    ----------
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Targets of any kind.

    Returns
    -------
    TaskColumns
        The targets of each task.

    Raises
    ------
    ValueError
        If y has more than two dimensions, or two columns of one name.
    """
    names = None
    if hasattr(y, "columns"):
        names = _task_names(y, len(y.columns))  # before columns of one name are read
        columns = [np.asarray(y[name]) for name in y.columns]
    else:
        array = check_array(
            y,
            ensure_2d=False,
            dtype=None,
            ensure_all_finite=False,
            ensure_min_samples=0,
            input_name="y",
        )
        columns = [array] if array.ndim == 1 else list(array.T)
    return TaskColumns(
        columns,
        names or _task_names(y, len(columns)),
        [~np.asarray(pd.isna(column)) for column in columns],
    )


def join_columns(columns: list[np.ndarray]) -> np.ndarray:
    """Put the tasks' predictions side by side.

    Returns
    -------
    ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The one column, or all of them. Columns of different kinds, such as strings
        and numbers, make an object array, so that no label changes its type.
    """
    if len(columns) == 1:
        return columns[0]
    if len({column.dtype.kind for column in columns}) > 1:
        columns = [column.astype(object) for column in columns]
    return np.column_stack(columns)
