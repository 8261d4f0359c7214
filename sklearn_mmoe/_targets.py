"""Targets of any accepted shape <-> one array for each task.

Knows data frames and labels; knows nothing of estimators and networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y


@dataclass(frozen=True)
class TaskColumns:
    """The targets, taken apart.

    Attributes
    ----------
    columns : list of ndarray of shape (n_samples,)
        One array for each task, of the dtype that its column had.
    names : list of str
        The tasks' names: the columns of a data frame, the name of a series, else
        ``task_0``, ``task_1``, ...
    """

    columns: list[np.ndarray]
    names: list[str]


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
    """
    if hasattr(y, "columns"):
        columns = [np.asarray(y[name]) for name in y.columns]
    else:
        array = np.asarray(y)
        columns = [array] if array.ndim == 1 else list(array.T)
    return TaskColumns(columns, _task_names(y, len(columns)))


def split_labels(y: Any) -> TaskColumns:
    """Split class labels into one array for each task.

    Parameters
    ----------
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Class labels.

    Returns
    -------
    TaskColumns
        The labels of each task.

    Raises
    ------
    ValueError
        If y is sparse, has more than two dimensions, has missing values, or is
        continuous.
    """
    if not hasattr(y, "columns"):
        # scikit-learn's own messages, for missing values as well
        _check_y(y, multi_output=True)
    tasks = split_columns(y)
    for name, column in zip(tasks.names, tasks.columns, strict=True):
        if pd.isna(column).any():
            raise ValueError(
                f"The task {name!r} has missing labels (NaN or None) in y; drop these "
                "rows first."
            )
    # Numbers in an object array, such as one that holds strings too, are numbers.
    columns = [
        pd.Series(column).infer_objects().to_numpy()
        if column.dtype.kind == "O"
        else column
        for column in tasks.columns
    ]
    for column in columns:
        check_classification_targets(column)
    return TaskColumns(columns, tasks.names)


def split_values(y: Any) -> TaskColumns:
    """Split real-valued targets into one array for each task.

    Parameters
    ----------
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Real-valued targets.

    Returns
    -------
    TaskColumns
        The float64 targets of each task.

    Raises
    ------
    ValueError
        If y is not numeric or has missing or infinite values.
    """
    array = _check_y(y, multi_output=True, y_numeric=True)
    array = check_array(array, ensure_2d=False, dtype=np.float64, input_name="y")
    columns = [array] if array.ndim == 1 else list(array.T)
    return TaskColumns(columns, _task_names(y, len(columns)))


def encode_labels(
    tasks: TaskColumns, classes: list[np.ndarray] | None, estimator_name: str
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Turn the labels of each task into class indices.

    Parameters
    ----------
    tasks : TaskColumns
        The labels.
    classes : list of ndarray or None
        The classes to use, from an earlier fit; None finds them.
    estimator_name : str
        Named in errors.

    Returns
    -------
    classes : list of ndarray of shape (n_classes_k,)
        The sorted classes of each task.
    codes : list of ndarray of shape (n_samples,)
        Index into `classes` of each label.

    Raises
    ------
    ValueError
        If a task has a single class, or a label that is not among `classes`.
    """
    found = [np.unique(column) for column in tasks.columns]
    for k, (name, labels) in enumerate(zip(tasks.names, found, strict=True)):
        if classes is not None:
            unknown = np.setdiff1d(labels, classes[k])
            if len(unknown):
                raise ValueError(
                    f"The task {name!r} has classes that the earlier fit did not have: "
                    f"{unknown.tolist()}. With warm_start=True they must stay the same."
                )
        elif len(labels) < 2:
            raise ValueError(
                f"{estimator_name} needs samples of at least 2 classes in every task, "
                f"but the task {name!r} has only one class: {labels.tolist()[0]!r}."
            )
    classes = found if classes is None else classes
    codes = [
        np.searchsorted(labels, column)
        for labels, column in zip(classes, tasks.columns, strict=True)
    ]
    return classes, codes


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


def joint_groups(codes: list[np.ndarray]) -> np.ndarray:
    """Assign a number to each combination of labels, for stratified splitting.

    Combinations of fewer than two rows, which cannot be on both sides of a split,
    are taken together.

    Parameters
    ----------
    codes : list of ndarray of shape (n_samples,)
        Class indices of each task.

    Returns
    -------
    ndarray of shape (n_samples,)
        Group number of each row.
    """
    groups = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    rare = np.bincount(groups) < 2
    groups[rare[groups]] = -1
    return groups
