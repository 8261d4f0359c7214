"""How much each row counts in each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import _check_sample_weight

from sklearn_mmoe._tasks.tasks import LabelTask


def row_weights(sample_weight: Any, X: Any, n_tasks: int) -> np.ndarray:
    """Check `sample_weight` and bring it to a column for each task.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks) or None
        The weights; None weighs all rows alike.
    X : array or sparse matrix of shape (n_samples, n_features)
        Says how many rows there are.
    n_tasks : int
        Number of tasks.

    Returns
    -------
    ndarray of shape (n_samples, n_tasks)
        float64 weights.

    Raises
    ------
    ValueError
        If the shape is neither of these, or a weight is negative, NaN or infinite, or
        all of them are zero.
    """
    n_samples = X.shape[0]
    if sample_weight is None:
        return np.ones((n_samples, n_tasks))
    sample_weight = np.asarray(sample_weight)
    if sample_weight.ndim == 2:
        weights = check_array(
            sample_weight, dtype=np.float64, input_name="sample_weight"
        )
        if weights.shape != (n_samples, n_tasks):
            raise ValueError(
                f"sample_weight.shape == {weights.shape}, expected {(n_samples,)} or "
                f"{(n_samples, n_tasks)}."
            )
        weights = weights.copy()
    else:
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        weights = np.repeat(weight[:, None], n_tasks, axis=1)
    if (weights < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`; weights must be 0 or "
            "more."
        )
    if not weights.any():
        raise ValueError(
            "`sample_weight` is zero for every row; at least one weight must be "
            "positive."
        )
    return weights


def _of_task(class_weight: Any, k: int, n_tasks: int) -> Any:
    """Pick what `class_weight` says of task k."""
    if class_weight is None or isinstance(class_weight, str):
        return class_weight
    if isinstance(class_weight, Mapping):
        if n_tasks > 1:
            raise ValueError(
                f"The 'class_weight' parameter is one dict, but there are {n_tasks} "
                "tasks; give a list with a dict for each of them, or 'balanced'."
            )
        return class_weight
    if len(class_weight) != n_tasks:
        raise ValueError(
            f"The 'class_weight' parameter has {len(class_weight)} dicts, but there "
            f"are {n_tasks} tasks."
        )
    return class_weight[k]


def weigh_classes(
    weights: np.ndarray,
    class_weight: Any,
    tasks: Sequence[Any],
    codes: Sequence[np.ndarray | None],
) -> None:
    """Multiply the weights of rows, in place, by those of their classes.

    Parameters
    ----------
    weights : ndarray of shape (n_samples, n_tasks)
        Weights, zero where a label is missing.
    class_weight : 'balanced', dict, list of dict or None
        As in :class:`sklearn.ensemble.RandomForestClassifier`.
    tasks : sequence of LabelTask or ValueTask
        The tasks; regressions have no classes and stay as they are.
    codes : sequence of ndarray of shape (n_samples,) or None
        Class indices of each classification.

    Raises
    ------
    ValueError
        If `class_weight` does not fit the tasks or names an unknown class.
    """
    for k, (task, code) in enumerate(zip(tasks, codes, strict=True)):
        of_classes = _of_task(class_weight, k, len(tasks))
        if of_classes is None or not isinstance(task, LabelTask) or code is None:
            continue
        present = weights[:, k] > 0
        try:
            factors = compute_class_weight(
                of_classes, classes=task.classes, y=task.classes[code[present]]
            )
        except ValueError as error:
            raise ValueError(
                f"The 'class_weight' parameter does not fit the task {task.name!r}: "
                f"{error}"
            ) from error
        weights[:, k] *= factors[code]


def check_positive_weights(weights: np.ndarray, names: list[str], each: bool) -> None:
    """Raise a ValueError if there is nothing to learn from, in one or in all tasks."""
    empty = [name for k, name in enumerate(names) if not weights[:, k].any()]
    if empty and (each or len(empty) == len(names)):
        raise ValueError(
            f"The tasks {empty} have no target of positive weight in y: "
            "`sample_weight` or `class_weight` is zero wherever there is one."
        )
