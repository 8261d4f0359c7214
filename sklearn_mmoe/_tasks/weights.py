"""How much each row counts in each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    is_by_name,
    order_by_name,
    split_columns,
    values_by_name,
)
from sklearn_mmoe._tasks.tasks import LabelTask


def task_weights(sample_weight: Any, targets: TaskColumns) -> np.ndarray:
    """Check weights of rows and bring them to a column for each task.

    Parameters
    ----------
    sample_weight : array-like or data frame of shape (n_samples,) or \
            (n_samples, n_tasks), or None
        The weights; None weighs all rows alike. Columns that have the names of the
        tasks are matched by them; without names they are in the order of y's columns,
        whatever order `targets` were brought to.
    targets : TaskColumns
        The targets that they weigh.

    Returns
    -------
    ndarray of shape (n_samples, n_tasks)
        float64 weights, in the order of `targets`.

    Raises
    ------
    ValueError
        If the shape is neither of these, the columns are those of other tasks, or a
        weight is negative, NaN or infinite.
    """
    names, some_task = targets.names, targets.columns[0]
    n_samples, n_tasks = len(some_task), len(targets)
    if sample_weight is None:
        return np.ones((n_samples, n_tasks))
    if not hasattr(sample_weight, "shape"):
        sample_weight = np.asarray(sample_weight)
    if len(sample_weight.shape) == 2:
        columns = split_columns(sample_weight)
        if (n_rows := len(columns.columns[0]), len(columns)) != (n_samples, n_tasks):
            raise ValueError(
                f"sample_weight.shape == {(n_rows, len(columns))}, expected "
                f"{(n_samples,)} or {(n_samples, n_tasks)}."
            )
        if n_tasks > 1:
            what = f"sample_weight has {n_tasks} columns"
            order = order_by_name(columns, names, what, "y has")
            if not columns.named or (order is None and columns.names != names):
                order = targets.places  # what names do not decide
            if order is not None:
                columns = columns.take(order)
        weights = check_array(
            np.column_stack(columns.columns),
            dtype=np.float64,
            input_name="sample_weight",
        )
    else:
        weight = np.asarray(sample_weight)
        weight = _check_sample_weight(weight, some_task, dtype=np.float64)
        weights = np.repeat(weight[:, None], n_tasks, axis=1)
    if (weights < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`; weights must be 0 or "
            "more."
        )
    return weights


def row_weights(sample_weight: Any, targets: TaskColumns) -> np.ndarray:
    """As :func:`task_weights`, for training: a ValueError if all of them are zero."""
    weights = task_weights(sample_weight, targets)
    if not weights.any():
        raise ValueError(
            "`sample_weight` is zero for every row; at least one weight must be "
            "positive."
        )
    return weights


def asks_for_balance(class_weight: Any) -> bool:
    """Tell whether `class_weight` is 'balanced', or is so for one of the tasks."""
    if isinstance(class_weight, Mapping):
        class_weight = list(class_weight.values())
    of_tasks = class_weight if isinstance(class_weight, list) else [class_weight]
    return any(isinstance(of_task, str) for of_task in of_tasks)


def _by_tasks(class_weight: Any, names: Sequence[str]) -> list[Any]:
    """Bring `class_weight` to what it says of each task."""
    if class_weight is None or isinstance(class_weight, str):
        return [class_weight] * len(names)
    if isinstance(class_weight, Mapping):
        return _of_names(class_weight, names)
    if len(class_weight) != len(names):
        raise ValueError(
            f"The 'class_weight' parameter has {len(class_weight)} dicts, but there "
            f"are {len(names)} tasks: {list(names)}. Give one or None "
            "for each, or a dict by their names."
        )
    return list(class_weight)


def _of_names(class_weight: Mapping[Any, Any], names: Sequence[str]) -> list[Any]:
    """Take a mapping by tasks apart; one task may have scikit-learn's, by classes.

    What is a number weighs a class, what is none says something of a task.
    """
    by_classes = [key for key, v in class_weight.items() if isinstance(v, Real)]
    if len(names) == 1 and len(by_classes) == len(class_weight):
        return [class_weight]
    if by_classes:
        raise ValueError(
            f"The 'class_weight' parameter gives {by_classes[0]!r} a number, where "
            f"'balanced' or a dict of classes is needed for each of the {len(names)} "
            f"tasks, such as {{{names[-1]!r}: 'balanced'}} or "
            f"{{{names[-1]!r}: {{label: 5}}}}."
        )
    given = values_by_name("class_weight", class_weight, names)
    return [given.get(name) for name in names]


def count_classes(
    weights: np.ndarray, tasks: Sequence[Any], codes: Sequence[np.ndarray | None]
) -> list[np.ndarray | None]:
    """Count the rows of positive weight of each class; None for a regression."""
    return [
        None
        if code is None
        else np.bincount(code[weights[:, k] > 0], minlength=len(task.classes))
        for k, (task, code) in enumerate(zip(tasks, codes, strict=True))
    ]


def class_factors(
    counts: Sequence[np.ndarray | None],
    class_weight: Any,
    tasks: Sequence[Any],
) -> list[np.ndarray | None]:
    """Compute the weight of each class from the rows of training.

    Parameters
    ----------
    counts : sequence of ndarray of shape (n_classes_k,) or None
        As :func:`count_classes` returns them.
    class_weight : 'balanced', dict, list of ('balanced', dict or None), or None
        As in :class:`sklearn.ensemble.RandomForestClassifier`, or a dict of these by
        the names of the tasks.
    tasks : sequence of LabelTask or ValueTask
        The tasks; regressions have no classes.

    Returns
    -------
    list of ndarray of shape (n_classes_k,) or None
        For each task the factors of its classes; None where these weigh alike.

    Raises
    ------
    ValueError
        If `class_weight` does not fit the tasks or names an unknown class.
    """
    factors: list[np.ndarray | None] = []
    by_tasks = _by_tasks(class_weight, [task.name for task in tasks])
    for of_classes, task, count in zip(by_tasks, tasks, counts, strict=True):
        if isinstance(of_classes, str) and of_classes != "balanced":
            raise ValueError(
                f"The 'class_weight' parameter has {of_classes!r} for the task "
                f"{task.name!r}; it must be 'balanced', a dict of classes, or None."
            )
        if not isinstance(task, LabelTask):
            _check_not_meant(class_weight, of_classes, task.name)
        if of_classes is None or not isinstance(task, LabelTask) or count is None:
            factors.append(None)
            continue
        present = task.classes[count > 0]
        try:
            of_task = compute_class_weight(of_classes, classes=task.classes, y=present)
            if isinstance(of_classes, str):  # 'balanced': here by the rows of each
                of_task = count.sum() / (len(count) * count)
        except ValueError as error:
            known = task.classes.tolist()
            unknown = (
                [label for label in of_classes if label not in known]
                if isinstance(of_classes, Mapping)
                else []
            )
            if not unknown:
                raise ValueError(
                    "The 'class_weight' parameter does not fit the task "
                    f"{task.name!r}: {error}"
                ) from error
            raise ValueError(
                f"The 'class_weight' parameter names {unknown[0]!r} for the task "
                f"{task.name!r}, whose classes are {known}."
            ) from None
        _check_factors(of_task, task, count)
        factors.append(of_task)
    return factors


def _check_factors(of_task: np.ndarray, task: LabelTask, count: np.ndarray) -> None:
    """Raise a ValueError if a class that there is weighs less than nothing."""
    labels = task.classes.tolist()
    for label, factor, n_rows in zip(labels, of_task, count, strict=True):
        if n_rows and not 0 <= factor < np.inf:
            raise ValueError(
                f"The 'class_weight' parameter has {factor} for the class {label!r} of "
                f"the task {task.name!r}; weights must be finite, and 0 or more."
            )


def _check_not_meant(class_weight: Any, of_classes: Any, name: str) -> None:
    """Refuse class weights that are told of a regression; 'balanced' may be for all."""
    # An empty dict says nothing.
    if of_classes and (
        isinstance(of_classes, Mapping) or isinstance(class_weight, Mapping)
    ):
        raise ValueError(
            f"The 'class_weight' parameter has {of_classes!r} for the task {name!r}, "
            "which is a regression and has no classes. Leave it out, or pass "
            f"task_types={{{name!r}: 'classification'}}."
        )


def apply_class_factors(
    weights: np.ndarray,
    factors: Sequence[np.ndarray | None],
    codes: Sequence[np.ndarray | None],
) -> None:
    """Multiply the weights of rows, in place, by those of their classes.

    The rows may be others than those that the factors were computed from, such as
    validation rows that lack a class.
    """
    for k, (of_task, code) in enumerate(zip(factors, codes, strict=True)):
        if of_task is not None and code is not None:
            weights[:, k] *= of_task[code]


def weights_between_tasks(
    task_weight: Any, names: Sequence[str], shares: np.ndarray
) -> tuple[float, ...]:
    """Bring what the user says of the tasks to one weight for each.

    Parameters
    ----------
    task_weight : 'uniform', 'observed', mapping of str to float, Series or sequence
        The weights, by name or in the order of the tasks; they are brought to mean one.
        Tasks that a mapping leaves out weigh 1. 'observed' is the share of the rows
        that have a target of the task.
    names : sequence of str
        Names of the tasks.
    shares : ndarray of shape (n_tasks,)
        Share of the rows that have a target of each task.

    Returns
    -------
    tuple of float
        The weights; empty if all are alike.

    Raises
    ------
    ValueError
        If a name is none of the tasks', the number of weights is not that of the tasks,
        or a weight is not a positive number.
    """
    if isinstance(task_weight, str):
        # A call of partial_fit may bring no target of a task.
        of_tasks = np.where(shares > 0, shares, 1).tolist()
        alike = task_weight == "uniform" or len(set(of_tasks)) == 1
        return () if alike else tuple(of_tasks)
    given = _by_task(task_weight, names)
    values = [given.get(name, 1.0) for name in names]
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, Real) or not 0 < float(value) < np.inf:
            raise ValueError(
                "The 'task_weight' parameter must have a positive, finite number for "
                f"each task, got {value!r} for the task {name!r}. A task that is not "
                "to be learned is left out of y."
            )
    if len(set(values)) == 1:
        return ()
    return tuple((np.asarray(values, dtype=float) / np.mean(values)).tolist())


def _by_task(task_weight: Any, names: Sequence[str]) -> dict[str, Any]:
    """Name the weights."""
    if is_by_name(task_weight):
        return values_by_name("task_weight", task_weight, names)
    values = list(task_weight)
    if len(values) != len(names):
        raise ValueError(
            f"The 'task_weight' parameter has {len(values)} weights, but there are "
            f"{len(names)} tasks: {list(names)}. Give one for each, or a dict by their "
            "names."
        )
    return dict(zip(names, values, strict=True))


def check_positive_weights(weights: np.ndarray, names: list[str], each: bool) -> None:
    """Raise a ValueError if there is nothing to learn from, in one or in all tasks."""
    empty = [name for k, name in enumerate(names) if not weights[:, k].any()]
    if empty and (each or len(empty) == len(names)):
        raise ValueError(
            f"The tasks {empty} have no target of positive weight in y: "
            "`sample_weight` or `class_weight` is zero wherever there is one."
        )
