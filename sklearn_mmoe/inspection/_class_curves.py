"""Classifications taken apart into curves: a class, against the others, of a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import check_consistent_length

from sklearn_mmoe._sklearn.look_through import last_step, task_names
from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    order_by_name,
    split_columns,
    task_name,
)
from sklearn_mmoe._tasks.tasks import class_codes
from sklearn_mmoe._tasks.weights import task_weights
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.metrics._predictions import Predictions, type_name

__all__ = ["ClassCurve", "curves_of_estimator", "curves_of_predictions"]


class ClassCurve(NamedTuple):
    """What a curve of one class is drawn from, in the rows that have a target.

    Attributes
    ----------
    name : str
        The task, with the class if there are more than two.
    positive : ndarray of bool of shape (n_observed,)
        Whether each row is of the class.
    probability : ndarray of shape (n_observed,)
        Its predicted probability.
    weight : ndarray of shape (n_observed,) or None
        Weights of the rows; None if none were given.
    """

    name: str
    positive: np.ndarray
    probability: np.ndarray
    weight: np.ndarray | None


def curves_of_estimator(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None
) -> list[ClassCurve]:
    """Predict probabilities of X; see a display's ``from_estimator``.

    Raises
    ------
    TypeError
        If `estimator` has no ``predict_proba``.
    ValueError
        If y has not the tasks of `estimator`.
    """
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            "The 'estimator' parameter must have predict_proba, but "
            f"{type(last_step(estimator)).__name__} has none, so that its tasks have "
            "no such curves."
        )
    tasks = split_columns(y)
    names = task_names(estimator)
    if names is not None:
        tasks = tasks.matched(names, type_name(estimator))
    weights = _weights(sample_weight, tasks)
    predictions = Predictions(estimator, X, len(tasks))
    kept = np.flatnonzero(predictions.are_classified).tolist()
    tasks = tasks.take(kept)
    return _curves(
        tasks.names,
        tasks,
        [predictions.probabilities(k) for k in kept],
        [predictions.classes(k) for k in kept],
        None if weights is None else weights[:, kept],
    )


def curves_of_predictions(
    y: Any,
    probabilities: Any,
    classes: Sequence[Any] | None,
    task_names: Sequence[str] | None,
    sample_weight: Any = None,
) -> list[ClassCurve]:
    """Take probabilities that are at hand; see a display's ``from_predictions``.

    Raises
    ------
    ValueError
        If the arguments have not the same tasks and rows.
    """
    tasks = split_columns(y)
    if task_names is not None:
        tasks = _named(tasks, [task_name(name, tasks.names) for name in task_names])
    weights = _weights(sample_weight, tasks)
    return _curves(tasks.names, tasks, probabilities, classes, weights)


def _named(tasks: TaskColumns, names: list[str]) -> TaskColumns:
    """Match tasks by name; names of which y has none are new ones for its columns."""
    if not tasks.named or set(names).isdisjoint(tasks.names):
        return replace(tasks, names=names)
    what = f"y has {len(tasks)} tasks"
    order = order_by_name(tasks, names, what, "the 'task_names' parameter has")
    return tasks if order is None else tasks.take(order)


def _weights(sample_weight: Any, tasks: TaskColumns) -> np.ndarray | None:
    return None if sample_weight is None else task_weights(sample_weight, tasks)


def _curves(
    names: Sequence[str],
    tasks: TaskColumns,
    probabilities: Any,
    classes: Sequence[Any] | None,
    weights: np.ndarray | None,
) -> list[ClassCurve]:
    """Return the curves of all tasks; warn of those that cannot be drawn."""
    several = isinstance(probabilities, list | tuple)
    probabilities = probabilities if several else [probabilities]
    if not len(tasks) == len(probabilities) == len(names):
        raise ValueError(
            f"y has {len(tasks)} tasks, but there are probabilities for "
            f"{len(probabilities)} and names for {len(names)}."
        )
    curves = []
    for k, name in enumerate(names):
        of_task = None if classes is None else classes[k]
        weight = None if weights is None else weights[tasks.observed[k], k]
        curves += _curves_of_task(name, tasks, k, probabilities[k], of_task, weight)
    drawn = [curve for curve in curves if _has_both(curve)]
    if len(drawn) < len(curves):
        kept = [curve.name for curve in drawn]
        without = [curve.name for curve in curves if curve.name not in kept]
        warn(
            f"y does not have both positive and negative rows for {without}, which "
            "have no curve.",
            UndefinedMetricWarning,
        )
    return drawn


def _has_both(curve: ClassCurve) -> bool:
    """Tell whether rows that count are positive, and others are not."""
    positive = curve.positive
    if curve.weight is not None:
        positive = positive[curve.weight > 0]
    return 0 < positive.sum() < len(positive)


def _curves_of_task(
    name: str,
    tasks: TaskColumns,
    k: int,
    probability: np.ndarray,
    classes: Any,
    weight: np.ndarray | None,
) -> list[ClassCurve]:
    """Take one task apart into curves of a class against the others."""
    check_consistent_length(tasks.columns[k], probability)
    labels = tasks.values(k)
    probability = _by_class(name, probability)[tasks.observed[k]]
    classes = np.unique(labels) if classes is None else np.asarray(classes)
    if len(classes) != probability.shape[1]:
        raise ValueError(
            f"The task {name!r} has {len(classes)} classes, but probabilities for "
            f"{probability.shape[1]}."
        )
    codes = class_codes(name, labels, classes)
    if (codes < 0).any():
        unknown = np.unique(labels[codes < 0]).tolist()
        raise ValueError(
            f"The task {name!r} has labels {unknown} in y that are not among the "
            f"classes {classes.tolist()}, so that they have no probability."
        )
    if len(classes) <= 2:
        return [ClassCurve(name, codes == 1, probability[:, -1], weight)]
    return [
        ClassCurve(f"{name}: {label}", codes == i, probability[:, i], weight)
        for i, label in enumerate(classes)
    ]


def _by_class(name: str, probability: Any) -> np.ndarray:
    """Bring probabilities to a column for each class; one is that of the second."""
    probability = np.asarray(probability)
    if probability.ndim == 1:
        return np.column_stack([1 - probability, probability])
    if probability.ndim != 2:
        raise ValueError(
            f"The probabilities of the task {name!r} have the shape "
            f"{probability.shape}, expected (n_samples, n_classes), or (n_samples,) "
            "for those of the second of two classes."
        )
    return probability
