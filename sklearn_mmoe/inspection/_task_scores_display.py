"""The picture of how well each task is told apart."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_consistent_length

from sklearn_mmoe._sklearn.look_through import last_step, task_names
from sklearn_mmoe._tasks.columns import TaskColumns, split_columns
from sklearn_mmoe._tasks.tasks import class_codes
from sklearn_mmoe.inspection._style import axes_in_a_row, check_kind, line_style
from sklearn_mmoe.metrics._predictions import Predictions, type_name

__all__ = ["TaskScoresDisplay"]

_DISPLAYS = {"roc": RocCurveDisplay, "precision_recall": PrecisionRecallDisplay}


class TaskScoresDisplay:
    """ROC or precision-recall curves of all classifications in one figure.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.TaskScoresDisplay.from_estimator` or
    :meth:`~sklearn_mmoe.inspection.TaskScoresDisplay.from_predictions`.

    Parameters
    ----------
    curves : list of (str, ndarray, ndarray)
        For each curve its name, whether each row is positive, and its probability.

    Attributes
    ----------
    displays_ : list of RocCurveDisplay or PrecisionRecallDisplay
        scikit-learn's display of each curve, which has its figures: ``roc_auc`` or
        ``average_precision``.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn.metrics.RocCurveDisplay : The curve of one task.
    sklearn_mmoe.metrics.multi_task_scorer : The scores as numbers.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoEClassifier
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import TaskScoresDisplay
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> clf = MultiTaskMMoEClassifier(num_experts=4, max_iter=2, random_state=0)
    >>> display = TaskScoresDisplay.from_estimator(clf.fit(X, y), X, y)
    >>> [name for name, _, _ in display.curves]
    ['task_0', 'task_1']
    """

    def __init__(self, curves: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
        self.curves = curves

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, kind: str = "roc", ax: Any = None
    ) -> TaskScoresDisplay:
        """Predict probabilities for X, and draw a curve for each task.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            Any fitted classifier of several outputs, ours or another's. Regressions of
            a :class:`~sklearn_mmoe.MultiTaskMMoEMixed` are left out.
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True labels, matched with the tasks by name where both have names; rows do
            not count in tasks where theirs is missing.
        kind : {'roc', 'precision_recall'}, default='roc'
            Which curve.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskScoresDisplay
            The display, drawn. A task of two classes has the curve of the second one,
            a task of more a curve for each class against the others. Where y has only
            rows, or no rows, of that class, there is no curve, but a warning.

        Raises
        ------
        ValueError
            If `kind` is neither, or y has not the tasks of `estimator`.
        TypeError
            If `estimator` has no ``predict_proba``.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                "The 'estimator' parameter must have predict_proba, which "
                f"{type(last_step(estimator)).__name__} has not; its tasks have no "
                "such curves."
            )
        tasks = split_columns(y)
        names = task_names(estimator)
        if names is not None:
            tasks = tasks.matched(names, type_name(estimator))
        predictions = Predictions(estimator, X, len(tasks))
        tasks = tasks.take(np.flatnonzero(predictions.are_classified).tolist())
        kept = [k for k in range(predictions.n_tasks) if predictions.are_classified[k]]
        curves = _curves(
            tasks.names,
            tasks,
            [predictions.probabilities(k) for k in kept],
            [predictions.classes(k) for k in kept],
        )
        return cls(curves).plot(kind=kind, ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        probabilities: Any,
        *,
        classes: Sequence[Any] | None = None,
        task_names: Sequence[str] | None = None,
        kind: str = "roc",
        ax: Any = None,
    ) -> TaskScoresDisplay:
        """Draw curves of probabilities that are at hand.

        Parameters
        ----------
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True labels; rows do not count in tasks where theirs is missing.
        probabilities : ndarray of shape (n_samples, n_classes), or list of them
            As ``predict_proba`` gives them: a list for several tasks.
        classes : sequence of array-like, default=None
            The classes of each task, in the order of its probabilities; None takes
            the sorted labels of y.
        task_names : sequence of str, default=None
            Names of the tasks; None takes the columns of y.
        kind : {'roc', 'precision_recall'}, default='roc'
            Which curve.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskScoresDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` is neither, or the arguments have not the same tasks and rows.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        tasks = split_columns(y)
        names = tasks.names if task_names is None else list(task_names)
        curves = _curves(names, tasks, probabilities, classes)
        return cls(curves).plot(kind=kind, ax=ax)

    def plot(self, *, kind: str = "roc", ax: Any = None) -> TaskScoresDisplay:
        """Draw the curves.

        Parameters
        ----------
        kind : {'roc', 'precision_recall'}, default='roc'
            Which curve.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskScoresDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` is neither.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_kind(kind, tuple(_DISPLAYS))
        (self.ax_,) = axes_in_a_row(ax, 1, 5.0, 4.6)
        self.figure_ = self.ax_.figure
        self.displays_ = []
        for k, (name, positive, probability) in enumerate(self.curves):
            display = _DISPLAYS[kind].from_predictions(
                positive, probability, name=name, ax=self.ax_
            )
            style = line_style(k)
            style.pop("marker")  # a curve has as many points as there are rows
            display.line_.set(linewidth=1.8, **style)
            self.displays_.append(display)
        if kind == "roc":
            self.ax_.plot([0, 1], [0, 1], color="0.6", linewidth=0.8, label="chance")
            self.ax_.set(xlabel="false positive rate", ylabel="true positive rate")
        else:
            self.ax_.set(xlabel="recall", ylabel="precision")
        self.ax_.legend(
            fontsize="small", loc="lower right" if kind == "roc" else "best"
        )
        self.ax_.grid(alpha=0.3)
        return self


def _curves(
    names: Sequence[str],
    tasks: TaskColumns,
    probabilities: Any,
    classes: Sequence[Any] | None,
) -> list[tuple[str, np.ndarray, np.ndarray]]:
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
        curves += _curves_of_task(name, tasks, k, probabilities[k], of_task)
    drawn = [curve for curve in curves if 0 < curve[1].sum() < len(curve[1])]
    if len(drawn) < len(curves):
        kept = [name for name, _, _ in drawn]
        without = [name for name, _, _ in curves if name not in kept]
        warnings.warn(
            f"y has not both positive and negative rows for {without}, which have no "
            "curve.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return drawn


def _curves_of_task(
    name: str, tasks: TaskColumns, k: int, probability: np.ndarray, classes: Any
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Take one task apart into curves of a class against the others."""
    check_consistent_length(tasks.columns[k], probability)
    labels, probability = tasks.values(k), np.asarray(probability)[tasks.observed[k]]
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
        return [(name, codes == 1, probability[:, -1])]
    return [
        (f"{name}: {label}", codes == i, probability[:, i])
        for i, label in enumerate(classes)
    ]
