"""Each task: its labels or values <-> what its loss takes and its network gives."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from sklearn_mmoe._tasks.columns import plain_values

MANY_VALUES = 20


def _is_text(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "OUS"


def has_fractions(values: np.ndarray) -> bool:
    """Tell real numbers from whole ones, whatever their type."""
    return values.dtype.kind == "f" and bool((values != np.floor(values)).any())


def _check_some(name: str, values: np.ndarray) -> None:
    if not len(values):
        raise ValueError(f"The task {name!r} has no target at all in y.")


def check_labels(name: str, labels: np.ndarray, whose: str) -> None:
    """Raise a ValueError that names the task if these cannot be told apart as labels.

    Parameters
    ----------
    name : str
        The task's name.
    labels : ndarray of shape (n_observed,)
        Its targets, none missing.
    whose : str
        Who needs labels, such as a class's name.
    """
    if labels.dtype.kind == "f" and np.isinf(labels).any():
        raise ValueError(f"Input y contains infinity in the task {name!r}.")
    if has_fractions(labels):
        raise ValueError(
            f"Unknown label type: continuous. {whose} takes labels, but the task "
            f"{name!r} has real numbers. MultiTaskMMoERegressor takes these, and "
            "MultiTaskMMoEMixed both, where its 'task_types' say so or are left out."
        )
    if labels.dtype.kind in "biufU" or not len(labels):
        return
    types = sorted(
        # NumPy's str_ is text too.
        {
            "str" if isinstance(label, str) else type(label).__name__
            for label in labels.tolist()
        }
    )
    if types != ["str"]:
        raise ValueError(
            f"The task {name!r} has labels of the type{'s' * (len(types) > 1)} "
            f"{', '.join(types)}, but a task's labels must be all text, or all "
            f"numbers. Make them so, for example with y[{name!r}].astype(str)."
        )


def class_codes(name: str, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Find the index of each label among classes.

    Parameters
    ----------
    name : str
        The task's name, for errors.
    labels : ndarray of shape (n_observed,)
        Labels, none missing.
    classes : ndarray of shape (n_classes,)
        The classes.

    Returns
    -------
    ndarray of int of shape (n_observed,)
        Indices; -1 for a label that is not among the classes.

    Raises
    ------
    ValueError
        If the labels are text and the classes numbers, or the other way round.
    """
    if not len(labels):
        return np.zeros(0, dtype=np.int64)
    check_labels(name, labels, "A classification")
    if _is_text(labels) != _is_text(classes):
        kinds = ("text", "numbers") if _is_text(labels) else ("numbers", "text")
        raise ValueError(
            f"The labels of the task {name!r} are {kinds[0]} in y, but its classes are "
            f"{kinds[1]}: {classes.tolist()}. Give y the labels that fit was given."
        )
    order = np.argsort(classes)
    places = np.searchsorted(classes, labels, sorter=order)
    codes = order[np.minimum(places, len(classes) - 1)]
    return np.where(classes[codes] == labels, codes, -1)


def known_labels(
    name: str, labels: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bring labels to the type of the classes, so that equal ones compare equal.

    Parameters
    ----------
    name, labels, classes
        As in :func:`class_codes`.

    Returns
    -------
    labels : ndarray of shape (n_observed,)
        The labels. Those that are not among the classes stay as they are, and equal to
        none of them.
    codes : ndarray of int of shape (n_observed,)
        Their indices among the classes; -1 for those.

    Raises
    ------
    ValueError
        If the labels are text and the classes numbers, or the other way round.
    """
    codes = class_codes(name, labels, classes)
    if (codes >= 0).all():
        return classes[codes], codes
    # Text of fixed width would be cut.
    known = classes.astype(object) if _is_text(classes) else classes
    return np.where(codes >= 0, known[codes], labels), codes


def _as_values(name: str, values: np.ndarray) -> np.ndarray:
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The task {name!r} is a regression, but its targets in y are not all "
            f"numbers: {error}. MultiTaskMMoEClassifier takes labels, and "
            "MultiTaskMMoEMixed both."
        ) from error
    if np.isinf(values).any():
        raise ValueError(
            "Input y contains infinity or a value too large for dtype('float64') in "
            f"the task {name!r}."
        )
    return values


class LabelTask:
    """A classification task: labels <-> class indices <-> the network's logits.

    Parameters
    ----------
    name : str
        The task's name.
    classes : ndarray of shape (n_classes,)
        Its classes, sorted. A single one is predicted for every row.

    Attributes
    ----------
    loss_scale : float
        Factor of its loss in training; 0 where there is but one class, and so nothing
        to learn.
    """

    type = "classification"

    def __init__(self, name: str, classes: np.ndarray) -> None:
        self.name = name
        self.classes = classes
        self.loss_scale = 0.0 if self.is_constant else 1.0
        two = len(classes) == 2
        self.kind = "binary" if two else "multiclass"
        self.units = 1 if two else len(classes)

    @property
    def is_constant(self) -> bool:
        """Whether there is only one class."""
        return len(self.classes) == 1

    @classmethod
    def from_targets(
        cls, name: str, column: np.ndarray, observed: np.ndarray, estimator_name: str
    ) -> LabelTask:
        """Find the classes among the observed labels."""
        labels = plain_values(column[observed])
        _check_some(name, labels)
        check_labels(name, labels, estimator_name)
        return cls(name, np.unique(labels))

    def codes(self, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return the index of each label's class, and 0 where there is no label."""
        labels = plain_values(column[observed])
        found = class_codes(self.name, labels, self.classes)
        if (found < 0).any():
            unknown = np.unique(labels[found < 0]).tolist()
            raise ValueError(
                f"The task {self.name!r} has labels {unknown} that are not among its "
                f"classes {self.classes.tolist()}."
            )
        codes = np.zeros(len(column), dtype=np.int64)
        codes[observed] = found
        return codes

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        """Return class indices as the loss of this task takes them."""
        return codes[:, None] if self.kind == "binary" else codes

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits (n_samples, units) into probabilities of each class."""
        if self.kind == "multiclass":
            return softmax(outputs, axis=1)
        positive = expit(outputs)
        return np.hstack([1 - positive, positive])

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits into the labels of the most probable classes."""
        return self.classes[self.probabilities(outputs).argmax(axis=1)]


class ValueTask:
    """A regression task: values <-> standardised values.

    Parameters
    ----------
    name : str
        The task's name.
    mean, scale : float
        Mean and standard deviation of its targets.
    """

    type = "regression"
    kind = "regression"
    units = 1
    loss_scale = 1.0

    def __init__(self, name: str, mean: float, scale: float) -> None:
        self.name = name
        self.mean = mean
        self.scale = scale

    @classmethod
    def from_targets(
        cls, name: str, column: np.ndarray, observed: np.ndarray, weight: np.ndarray
    ) -> ValueTask:
        """Find mean and standard deviation of the observed targets."""
        values = _as_values(name, plain_values(column[observed]))
        _check_some(name, values)
        weight = weight[observed]
        if not weight.any():
            raise ValueError(
                f"The task {name!r} has no target of positive weight in y."
            )
        mean = np.average(values, weights=weight)
        variance = np.average((values - mean) ** 2, weights=weight)
        return cls(name, float(mean), float(np.sqrt(variance)))

    def encode(self, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return standardised targets (n_samples, 1), and 0 where there is none."""
        values = _as_values(self.name, plain_values(column[observed]))
        encoded = np.zeros((len(column), 1))
        # The scale is 0 for a constant target, which is so predicted as its constant.
        encoded[observed, 0] = (values - self.mean) / (self.scale or 1.0)
        return encoded

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn standardised values (n_samples, 1) into the units of y."""
        return outputs[:, 0] * self.scale + self.mean


def infer_task_type(column: np.ndarray, observed: np.ndarray) -> str:
    """Guess whether a column of targets is to be classified or regressed.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        The targets of one task.
    observed : ndarray of bool of shape (n_samples,)
        Where there are any.

    Returns
    -------
    {'classification', 'regression'}
        'regression' for numbers with fractions and for more than 20 different whole
        numbers, else 'classification'.
    """
    values = plain_values(column[observed])
    if values.dtype.kind not in "iuf":
        return "classification"
    many = len(np.unique(values)) > MANY_VALUES
    return "regression" if has_fractions(values) or many else "classification"


def warn_of_constants(tasks: Sequence[Any]) -> None:
    """Warn once of all classifications that have but one class."""
    constant = {
        task.name: task.classes.tolist()[0] for task in tasks if _is_constant(task)
    }
    if constant:
        labels = ", ".join(f"{name!r} ({label!r})" for name, label in constant.items())
        warnings.warn(
            f"y has only one class in the tasks {labels}, which is predicted for every "
            "row.",
            UserWarning,
            stacklevel=2,
        )


def _is_constant(task: Any) -> bool:
    return isinstance(task, LabelTask) and task.is_constant


def announced_classes(classes: Any, names: Sequence[str]) -> list[np.ndarray | None]:
    """Bring the `classes` of partial_fit to one sorted array for each task.

    Parameters
    ----------
    classes : array-like, sequence of (array-like or None), or mapping
        Classes of the only task; or those of each task in their order, or by name.
    names : sequence of str
        Names of the tasks.

    Returns
    -------
    list of ndarray of shape (n_classes_k,) or None
        None for a task of which nothing is said.

    Raises
    ------
    ValueError
        If there are not as many as tasks, a name is unknown, or a task has fewer than
        two classes.
    """
    if isinstance(classes, Mapping):
        by_name = {str(name): labels for name, labels in classes.items()}
        unknown = [name for name in by_name if name not in names]
        if unknown:
            raise ValueError(f"classes has no tasks {unknown} to speak of: {[*names]}.")
        given = [by_name.get(name) for name in names]
    elif len(names) == 1 and not _is_nested(classes):
        given = [classes]
    else:
        given = list(classes)
    found = [
        None if labels is None else np.unique(plain_values(np.asarray(labels)))
        for labels in given
    ]
    few = any(labels is not None and len(labels) < 2 for labels in found)
    if len(found) != len(names) or few:
        raise ValueError(
            f"classes must give at least two classes for each of the {len(names)} "
            f"tasks, got {classes!r}."
        )
    return found


def _is_nested(classes: Any) -> bool:
    """Tell a list of classes from a list of such lists."""
    return len(classes) > 0 and (classes[0] is None or np.ndim(classes[0]) > 0)
