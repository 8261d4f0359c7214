"""Each task: its labels or values <-> what its loss takes and its network gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import entr, expit, softmax

from sklearn_mmoe._tasks.columns import TaskColumns, plain_values, values_by_name
from sklearn_mmoe._tasks.intervals import holds_intervals
from sklearn_mmoe._tasks.kinds import CLASSIFICATION_LOSSES, LINKS
from sklearn_mmoe._warnings import warn

MANY_VALUES = 20
# What NumPy and pandas make of missing values in text. 'None' may well be a class.
_WRITTEN_MISSING = frozenset(["nan", "NaT", "<NA>"])


def _is_text(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "OUS"


def has_fractions(values: np.ndarray) -> bool:
    """Tell real numbers from whole ones, whatever their type."""
    return values.dtype.kind == "f" and bool((values != np.floor(values)).any())


def check_some(name: str, values: np.ndarray) -> None:
    """Raise a ValueError that names the task if it has no target."""
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
    if holds_intervals(labels):
        raise ValueError(
            f"{whose} takes labels, but the task {name!r} has intervals. "
            "MultiTaskMMoERegressor takes these with loss='tobit', and "
            "MultiTaskMMoEMixed both."
        )
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


def check_order(name: str, labels: np.ndarray, loss: str) -> None:
    """Raise a ValueError if the classes have no order that is known."""
    if loss == "ordinal" and _is_text(labels):
        raise ValueError(
            f"loss='ordinal' takes numbers, whose order is known; the task {name!r} "
            "has text. Give its labels numbers, as y[name].map({'low': 0, 'high': 1}) "
            "does."
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


class LabelTask:
    """A classification task: labels <-> class indices <-> the network's logits.

    Parameters
    ----------
    name : str
        The task's name.
    classes : ndarray of shape (n_classes,)
        Its classes, sorted. A single one is predicted for every row.
    loss : {'log_loss', 'focal', 'ordinal'}, default='log_loss'
        What is trained.

    Attributes
    ----------
    loss_scale : float
        Factor of its loss in training; 0 where there is but one class, and so nothing
        to learn.
    temperature : float
        What the logits are divided by before they become probabilities; 1 unless they
        were calibrated.
    """

    type = "classification"
    temperature = 1.0

    def __init__(
        self, name: str, classes: np.ndarray, loss: str = CLASSIFICATION_LOSSES[0]
    ) -> None:
        self.name = name
        self.classes = classes
        self.loss = loss
        self.loss_scale = 0.0 if self.is_constant else 1.0

    @property
    def kind(self) -> str:
        """What it is to the network."""
        n_classes = len(self.classes)
        if self.loss == "ordinal" and n_classes > 2:
            return "ordinal"  # two classes have but one step
        kind = "binary" if n_classes == 2 else "multiclass"
        return f"{kind}_focal" if self.loss == "focal" else kind

    @property
    def units(self) -> int:
        """Number of the network's outputs."""
        n_classes = len(self.classes)
        return n_classes if LINKS[self.kind] == "softmax" else n_classes - 1

    @property
    def is_constant(self) -> bool:
        """Whether there is only one class."""
        return len(self.classes) == 1

    @classmethod
    def from_targets(
        cls,
        name: str,
        column: np.ndarray,
        observed: np.ndarray,
        estimator_name: str,
        loss: str = CLASSIFICATION_LOSSES[0],
    ) -> LabelTask:
        """Find the classes among the observed labels."""
        labels = plain_values(column[observed])
        check_some(name, labels)
        check_labels(name, labels, estimator_name)
        check_order(name, labels, loss)
        return cls(name, np.unique(labels), loss)

    def weigh_classes(self, totals: np.ndarray, by_entropy: bool) -> None:
        """Set the factor of its loss, so that losses of all names count alike.

        Parameters
        ----------
        totals : ndarray of shape (n_classes,)
            Sum of the rows' weights in each class.
        by_entropy : bool
            Whether knowing no more than the classes' shares is to cost one, as it does
            in a regression; else it costs what log-loss makes it cost.
        """
        if self.is_constant or not totals.any():
            return
        shares = totals / totals.sum()
        wanted = 1.0 if by_entropy else float(entr(shares).sum())
        cost = self._cost_of_shares(shares)
        if cost > 0:
            self.loss_scale = wanted / cost

    def _cost_of_shares(self, shares: np.ndarray) -> float:
        """Compute the loss of predicting the classes' shares for every row."""
        if self.kind == "ordinal":
            above = 1 - np.cumsum(shares)[:-1]
            return float((entr(above) + entr(1 - above)).sum())
        costs = entr(shares)
        if self.loss == "focal":
            costs = costs * (1 - shares) ** 2
        return float(costs.sum())

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
        if LINKS[self.kind] == "softmax":
            return codes
        return (codes[:, None] > np.arange(self.units)).astype(float)

    def with_temperature(self, temperature: float) -> LabelTask:
        """Copy this task, with another temperature."""
        task = copy.copy(self)
        task.temperature = temperature
        return task

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits (n_samples, units) into probabilities of each class."""
        outputs = outputs / self.temperature
        if LINKS[self.kind] == "softmax":
            return softmax(outputs, axis=1)
        # To be above a higher class is never more probable. Of two classes there is
        # one output, which is sorted as it is.
        above = -np.sort(-expit(outputs), axis=1)
        return -np.diff(above, axis=1, prepend=1.0, append=0.0)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits into the labels of the most probable classes."""
        return self.classes[self.probabilities(outputs).argmax(axis=1)]


def infer_task_type(targets: TaskColumns, k: int) -> str:
    """Guess whether a column of targets is to be classified or regressed.

    Parameters
    ----------
    targets : TaskColumns
        The targets of all tasks.
    k : int
        Which of them.

    Returns
    -------
    {'classification', 'regression'}
        'regression' for numbers with fractions, for intervals, and for more than 20
        different whole numbers that are no categories, else 'classification'.
    """
    values = plain_values(targets.values(k))
    if holds_intervals(values):
        return "regression"
    if values.dtype.kind not in "iuf":
        return "classification"
    many = not targets.are_categories[k] and len(np.unique(values)) > MANY_VALUES
    return "regression" if has_fractions(values) or many else "classification"


def find_label_task(
    targets: TaskColumns,
    k: int,
    loss: str,
    estimator_name: str,
    classes: np.ndarray | None = None,
) -> LabelTask:
    """Make the task of one column of labels.

    Parameters
    ----------
    targets : TaskColumns
        The targets of all tasks.
    k : int
        Which of them.
    loss : str
        What is trained; one of ``CLASSIFICATION_LOSSES``.
    estimator_name : str
        Who needs labels.
    classes : ndarray of shape (n_classes,) or None, default=None
        Announced classes; None takes those of the labels.

    Returns
    -------
    LabelTask
        The task.
    """
    name, column, observed = targets.names[k], targets.columns[k], targets.observed[k]
    if classes is None:
        return LabelTask.from_targets(name, column, observed, estimator_name, loss)
    check_order(name, classes, loss)
    return LabelTask(name, classes, loss)


def warn_of_classes(tasks: Sequence[Any]) -> None:
    """Warn once of classifications of one class, and of missing targets that are one.

    NumPy and ``astype(str)`` write missing targets beside text as 'nan' or '<NA>'.
    """
    written = {
        task.name: label
        for task in tasks
        for label in (task.classes.tolist() if isinstance(task, LabelTask) else ())
        if label in _WRITTEN_MISSING
    }
    if written:
        labels = ", ".join(f"{name!r} ({label!r})" for name, label in written.items())
        warn(
            f"What looks like missing targets is a class of its own in the tasks "
            f"{labels}, because it is text. A missing target is None, NaN or pd.NA, in "
            "a data frame or an array of dtype object.",
        )
    constant = {
        task.name: task.classes.tolist()[0] for task in tasks if _is_constant(task)
    }
    if constant:
        labels = ", ".join(f"{name!r} ({label!r})" for name, label in constant.items())
        warn(
            f"y has only one class in the tasks {labels}, which is predicted for every "
            "row.",
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
        by_name = values_by_name("classes", classes, names)
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
