"""The picture of how far each task's probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)

from sklearn_mmoe.inspection._class_curves import (
    ClassCurve,
    curves_of_estimator,
    curves_of_predictions,
)
from sklearn_mmoe.inspection._style import axes_in_a_row, line_style, point_style
from sklearn_mmoe.metrics._calibration import STRATEGIES, calibration_bins

__all__ = ["TaskCalibrationDisplay"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_bins": [Interval(Integral, 1, None, closed="left")],
    "strategy": [StrOptions(set(STRATEGIES))],
}
# In the legend of one column.
_MOST_LINES = 8


class TaskCalibrationDisplay:
    """Reliability curves of all classifications in one figure.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.TaskCalibrationDisplay.from_estimator` or
    :meth:`~sklearn_mmoe.inspection.TaskCalibrationDisplay.from_predictions`.

    Parameters
    ----------
    curves : sequence of (str, ndarray, ndarray, ndarray or None)
        For each curve its name, whether each row is positive, its probability, and its
        weight, or None.
    n_bins : int, default=10
        Number of bins.
    strategy : {'uniform', 'quantile'}, default='uniform'
        Bins of the same width, or of the same number of rows.

    Attributes
    ----------
    bins_ : data frame of shape (n_filled, 4)
        Of each curve the bins that have rows: 'curve', 'prob_true' (share of the rows
        that are positive), 'prob_pred' (mean predicted probability), and 'weight' (the
        sum of the rows' weights, or their number).
    errors_ : series of shape (n_curves,)
        The expected calibration error of each curve.
    axes_ : ndarray of Axes
        The axes drawn on: the curves, then how often each probability is predicted.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The curve of one task.
    sklearn_mmoe.metrics.expected_calibration_error : The error as a number.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoEClassifier
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import TaskCalibrationDisplay
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> clf = MultiTaskMMoEClassifier(num_experts=4, max_iter=2, random_state=0)
    >>> display = TaskCalibrationDisplay.from_estimator(clf.fit(X, y), X, y)
    >>> display.errors_.index.to_list()
    ['task_0', 'task_1']
    """

    def __init__(
        self,
        curves: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray | None]],
        *,
        n_bins: int = 10,
        strategy: str = "uniform",
    ) -> None:
        self.curves = curves
        self.n_bins = n_bins
        self.strategy = strategy

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Any = None,
    ) -> TaskCalibrationDisplay:
        """Predict probabilities for X, and draw how often they come true in each task.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            Any fitted classifier of several outputs, ours or another's. Regressions of
            a :class:`~sklearn_mmoe.MultiTaskMMoEMixed` are left out.
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them, best rows that it was not fitted on.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True labels, matched with the tasks by name where both have names; rows do
            not count in tasks where theirs is missing.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows, or a column of weights for each task, matched by the
            tasks' names where it has names.
        n_bins : int, default=10
            Number of bins.
        strategy : {'uniform', 'quantile'}, default='uniform'
            Bins of the same width, or of the same number of rows, as in
            :func:`sklearn.calibration.calibration_curve`.
        ax : matplotlib Axes, two of them or None, default=None
            Axes for the curves, or for them and for the histogram; None makes a figure.

        Returns
        -------
        TaskCalibrationDisplay
            The display, drawn. A task of two classes has the curve of the second one,
            a task of more a curve for each class against the others. Where y has only
            rows, or no rows, of that class, there is no curve, but a warning.

        Raises
        ------
        ValueError
            If y has not the tasks of `estimator`, `n_bins` or `strategy` is none of
            these, or there are more than two `ax`.
        TypeError
            If `estimator` has no ``predict_proba``.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        _check(n_bins, strategy)  # before the work
        curves = curves_of_estimator(estimator, X, y, sample_weight)
        return cls(curves, n_bins=n_bins, strategy=strategy).plot(ax=ax)

    @classmethod
    def from_predictions(
        cls,
        y: Any,
        probabilities: Any,
        *,
        classes: Sequence[Any] | None = None,
        task_names: Sequence[str] | None = None,
        sample_weight: Any = None,
        n_bins: int = 10,
        strategy: str = "uniform",
        ax: Any = None,
    ) -> TaskCalibrationDisplay:
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
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows, or a column of weights for each task.
        n_bins : int, default=10
            Number of bins.
        strategy : {'uniform', 'quantile'}, default='uniform'
            Bins of the same width, or of the same number of rows.
        ax : matplotlib Axes, two of them or None, default=None
            Axes for the curves, or for them and for the histogram; None makes a figure.

        Returns
        -------
        TaskCalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the arguments have not the same tasks and rows, `n_bins` or `strategy` is
            none of these, or there are more than two `ax`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_predictions")
        _check(n_bins, strategy)
        curves = curves_of_predictions(
            y, probabilities, classes, task_names, sample_weight
        )
        return cls(curves, n_bins=n_bins, strategy=strategy).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> TaskCalibrationDisplay:
        """Draw the curves, and below them how often each probability is predicted.

        Parameters
        ----------
        ax : matplotlib Axes, two of them or None, default=None
            Axes for the curves, or for them and for the histogram; None makes a figure.

        Returns
        -------
        TaskCalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `n_bins` or `strategy` is none of these, or there are more than two `ax`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check(self.n_bins, self.strategy)
        curves = [ClassCurve(*curve) for curve in self.curves]
        self._sort_into_bins(curves)
        self.axes_ = _axes(ax, len(curves))
        self._draw_curves(self.axes_[0], curves)
        if len(self.axes_) > 1:
            self._draw_counts(self.axes_[1], curves)
        self.axes_[-1].set_xlabel("predicted probability")
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _sort_into_bins(self, curves: Sequence[ClassCurve]) -> None:
        tables, errors = [], {}
        for curve in curves:
            bins = calibration_bins(
                curve.positive,
                curve.probability,
                curve.weight,
                self.n_bins,
                self.strategy,
            )
            table = pd.DataFrame(bins._asdict())
            table.insert(0, "curve", curve.name)
            tables.append(table)
            errors[curve.name] = bins.error()
        columns = ["curve", "prob_true", "prob_pred", "weight"]
        self.bins_ = (
            pd.concat(tables, ignore_index=True)
            if tables
            else pd.DataFrame(columns=columns)
        )
        self.errors_ = pd.Series(errors, dtype=float, name="ece")

    def _draw_curves(self, ax: Any, curves: Sequence[ClassCurve]) -> None:
        ax.plot(
            [0, 1], [0, 1], color="0.6", linewidth=0.8, label="perfectly calibrated"
        )
        for k, curve in enumerate(curves):
            of_curve = self.bins_[self.bins_["curve"] == curve.name]
            ax.plot(
                of_curve["prob_pred"],
                of_curve["prob_true"],
                label=f"{curve.name} (ECE {self.errors_[curve.name]:.3f})",
                markersize=4.5,
                linewidth=1.5,
                **(point_style(k) | {"linestyle": line_style(k)["linestyle"]}),
            )
        ax.set(ylabel="share that is positive", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        ax.grid(alpha=0.3)
        if len(curves) <= _MOST_LINES:
            ax.legend(fontsize="small")
        else:  # beside the axes, where it hides nothing
            ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.01, 1))

    def _draw_counts(self, ax: Any, curves: Sequence[ClassCurve]) -> None:
        # Bins of as many rows each would all be of the same height.
        n_bins = self.n_bins if self.strategy == "uniform" else 10
        edges = np.linspace(0, 1, n_bins + 1)
        for k, curve in enumerate(curves):
            counts, _ = np.histogram(curve.probability, edges, weights=curve.weight)
            style = line_style(k)
            ax.stairs(
                counts / counts.sum(),
                edges,
                color=style["color"],
                linestyle=style["linestyle"],
                linewidth=1.3,
            )
        ax.set(ylabel="share of rows", xlim=(-0.02, 1.02))
        ax.grid(alpha=0.3)


def _check(n_bins: Any, strategy: Any) -> None:
    """Raise a ValueError for a number or a kind of bins that there is not."""
    validate_parameter_constraints(
        _CONSTRAINTS,
        {"n_bins": n_bins, "strategy": strategy},
        caller_name="TaskCalibrationDisplay",
    )


def _axes(ax: Any, n_curves: int) -> np.ndarray:
    """Return one or two axes of the user's, or two new ones."""
    if ax is not None:
        n_given = np.size(np.asarray(ax, dtype=object))
        return axes_in_a_row(ax, min(max(n_given, 1), 2), 0, 0)
    import matplotlib.pyplot as plt

    width = 5.0 if n_curves <= _MOST_LINES else 7.2
    _, axes = plt.subplots(
        2,
        1,
        figsize=(width, 6.2),
        height_ratios=[3, 1],
        sharex=True,
        layout="constrained",
    )
    return axes
