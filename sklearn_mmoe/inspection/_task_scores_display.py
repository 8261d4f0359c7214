"""The picture of how well each task is told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_mmoe.inspection._class_curves import (
    curves_of_estimator,
    curves_of_predictions,
)
from sklearn_mmoe.inspection._style import axes_in_a_row, check_kind, line_style

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
        curves = curves_of_estimator(estimator, X, y)
        return cls([curve[:3] for curve in curves]).plot(kind=kind, ax=ax)

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
        """Draw the curves of given probabilities.

        Parameters
        ----------
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True labels; rows do not count in tasks where theirs is missing.
        probabilities : ndarray of shape (n_samples, n_classes), or list of them
            As ``predict_proba`` gives them: a list for several tasks. Of shape
            (n_samples,) they are those of the second of two classes.
        classes : sequence of array-like, default=None
            The classes of each task, in the order of its probabilities; None takes
            the sorted labels of y.
        task_names : sequence of str, default=None
            Names of the tasks, in the order of `probabilities`; None takes the columns
            of y. If y has columns of these names, they are matched by name.
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
        curves = curves_of_predictions(y, probabilities, classes, task_names)
        return cls([curve[:3] for curve in curves]).plot(kind=kind, ax=ax)

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
