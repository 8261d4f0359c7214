"""The picture of what drives each task."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_mmoe.inspection._style import INK, axes_in_a_row, check_kind, point_style
from sklearn_mmoe.inspection._task_importances import task_importances

__all__ = ["TaskImportancesDisplay"]

_KINDS = ("heatmap", "points")
# Numbers are written into the cells of up to so many tasks.
_FEW_TASKS = 8
# An importance is told from none if it is this many standard deviations from 0.
_CLEAR = 2
_ALL = "all tasks"


class TaskImportancesDisplay:
    """How much each task relies on each column.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.TaskImportancesDisplay.from_estimator` or
    :meth:`~sklearn_mmoe.inspection.TaskImportancesDisplay.from_importances`.

    Parameters
    ----------
    importances : Bunch
        What :func:`task_importances` returns.

    Attributes
    ----------
    shares_ : data frame of shape (n_drawn, n_tasks + 1)
        The importances drawn, from the greatest mean down, each divided by the greatest
        of its task; and their mean over tasks as 'all tasks'. Negative ones are 0.
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    task_importances : The numbers.
    TaskPartialDependenceDisplay : Draws in which direction a feature drives the tasks.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import TaskImportancesDisplay
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=2, random_state=0)
    >>> display = TaskImportancesDisplay.from_estimator(
    ...     reg.fit(X, y), X, y, random_state=0
    ... )
    >>> display.shares_.columns.to_list()
    ['all tasks', 'task_0', 'task_1']
    """

    def __init__(self, importances: Any) -> None:
        self.importances = importances

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        scoring: Any = None,
        n_repeats: int = 5,
        n_jobs: int | None = None,
        random_state: Any = None,
        sample_weight: Any = None,
        max_samples: float = 1.0,
        kind: str = "heatmap",
        max_features: int | None = 20,
        ax: Any = None,
    ) -> TaskImportancesDisplay:
        """Permute each column of X, and draw what that does to each task.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            Any fitted estimator of several outputs, ours or another's.
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            Their targets, matched with the tasks by name where both have names.
        scoring : str, callable, mapping of tasks to these, or None, default=None
            See :func:`task_importances`, also for the next five parameters.
        n_repeats : int, default=5
            How often each column is permuted.
        n_jobs : int or None, default=None
            How many columns are permuted at the same time.
        random_state : int, RandomState or None, default=None
            Draws the permutations.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows.
        max_samples : int or float, default=1.0
            How many rows, or which share of them, are drawn for each column.
        kind : {'heatmap', 'points'}, default='heatmap'
            What to draw; see :meth:`plot`.
        max_features : int or None, default=20
            Largest number of features to draw.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskImportancesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` or `max_features` is none of these, or as in
            :func:`task_importances`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        _check(kind, max_features)  # before the work
        importances = task_importances(
            estimator,
            X,
            y,
            scoring=scoring,
            n_repeats=n_repeats,
            n_jobs=n_jobs,
            random_state=random_state,
            sample_weight=sample_weight,
            max_samples=max_samples,
        )
        return cls(importances).plot(kind=kind, max_features=max_features, ax=ax)

    @classmethod
    def from_importances(
        cls,
        importances: Any,
        *,
        kind: str = "heatmap",
        max_features: int | None = 20,
        ax: Any = None,
    ) -> TaskImportancesDisplay:
        """Draw given importances.

        Parameters
        ----------
        importances : Bunch
            What :func:`task_importances` returns.
        kind : {'heatmap', 'points'}, default='heatmap'
            What to draw; see :meth:`plot`.
        max_features : int or None, default=20
            Largest number of features to draw.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskImportancesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` or `max_features` is none of these.
        """
        return cls(importances).plot(kind=kind, max_features=max_features, ax=ax)

    def plot(
        self,
        *,
        kind: str = "heatmap",
        max_features: int | None = 20,
        ax: Any = None,
    ) -> TaskImportancesDisplay:
        """Draw the importances.

        Parameters
        ----------
        kind : {'heatmap', 'points'}, default='heatmap'
            'heatmap' draws a column for each task, dark where the task relies on a
            feature most, and one for the mean of all tasks. Of up to eight tasks it
            has the numbers of those importances that are more than two standard
            deviations above 0. 'points' draws a point for each task and feature, and a
            line of one standard deviation to both sides.
        max_features : int or None, default=20
            Draw so many features at most: those that any task relies on most. None
            draws all.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        TaskImportancesDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` or `max_features` is none of these.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        _check(kind, max_features)
        self._rows, self.shares_ = self._largest(max_features)
        n_features, n_columns = self.shares_.shape
        width = 3.0 + (0.62 if n_columns <= _FEW_TASKS + 1 else 0.4) * n_columns
        width = max(width, 6.0) if kind == "points" else width
        height = 1.8 + (0.28 if kind == "heatmap" else 0.4) * n_features
        (self.ax_,) = axes_in_a_row(ax, 1, width, height)
        self.figure_ = self.ax_.figure
        (self._heatmap if kind == "heatmap" else self._points)(self.ax_)
        self.ax_.set_yticks(range(n_features), [*map(str, self.shares_.index)])
        n_left = len(self.importances.importances_mean) - n_features
        if n_left:
            self.ax_.set_ylabel(f"feature ({n_left} more are not drawn)")
        return self

    def _largest(self, max_features: int | None) -> tuple[np.ndarray, pd.DataFrame]:
        """Return which features to draw, in which order, and their shares."""
        means = self.importances.importances_mean
        values = np.nan_to_num(means.to_numpy().clip(min=0))
        top = values.max(axis=0)
        shares = values / np.where(top > 0, top, 1)
        # A feature of one task alone is drawn too.
        rows = np.argsort(-shares.max(axis=1), kind="stable")[:max_features]
        of_all = shares.mean(axis=1)
        rows = rows[np.argsort(-of_all[rows], kind="stable")]
        table = pd.DataFrame(
            np.column_stack([of_all, shares])[rows],
            index=means.index[rows],
            columns=pd.Index([_ALL, *means.columns], name="task"),
        )
        return rows, table

    def _heatmap(self, ax: Any) -> None:
        shares = self.shares_.to_numpy()
        tasks = self.shares_.columns
        # From white on: it reads the same in grey.
        image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        if len(tasks) <= _FEW_TASKS + 1:
            self._write_numbers(ax, shares)
        ax.axvline(0.5, color=INK, linewidth=1.0)  # beside the mean of all
        ax.set_xticks(range(len(tasks)), tasks, rotation=45, ha="right")
        colours = ax.figure.colorbar(image, ax=ax, pad=0.02)
        colours.set_label("share of the task's greatest importance")
        ax.set_title("what each task relies on")

    def _write_numbers(self, ax: Any, shares: np.ndarray) -> None:
        means = self.importances.importances_mean.to_numpy()[self._rows]
        stds = self.importances.importances_std.to_numpy()[self._rows]
        digits = _digits(means)
        for (i, k), mean in np.ndenumerate(means):
            text = f"{mean:.{digits}f}"
            if not mean > _CLEAR * stds[i, k] or float(text) == 0:
                continue
            ax.text(
                k + 1, i, text, ha="center", va="center", fontsize="small",
                color="white" if shares[i, k + 1] > 0.6 else INK,
            )  # fmt: skip

    def _points(self, ax: Any) -> None:
        means = self.importances.importances_mean
        stds = self.importances.importances_std.to_numpy()[self._rows]
        values = means.to_numpy()[self._rows]
        scorings = [*self.importances.scoring.unique()]
        if len(scorings) == 1:
            ax.set_xlabel(f"{scorings[0]} lost when the feature is permuted")
        else:  # they have no axis in common
            top = np.nanmax(means.to_numpy(), axis=0, initial=0.0)
            top = np.where(top > 0, top, 1)
            values, stds = values / top, stds / top
            ax.set_xlabel("share of the task's greatest importance")
        n_features, n_tasks = values.shape
        step = 0.8 / n_tasks
        for k, task in enumerate(means.columns):
            ax.errorbar(
                values[:, k],
                np.arange(n_features) + (k - (n_tasks - 1) / 2) * step,
                xerr=stds[:, k],
                markersize=5 if n_tasks <= 4 else 3.5,
                elinewidth=1.2,
                label=task,
                **point_style(k),
            )
        for i in range(1, n_features):
            ax.axhline(i - 0.5, color="0.9", linewidth=0.8)
        ax.axvline(0, color=INK, linewidth=0.9)
        ax.set_ylim(n_features - 0.5, -0.5)
        ax.legend(fontsize="small", loc="lower right")
        ax.set_title("what each task relies on")


def _check(kind: Any, max_features: Any) -> None:
    check_kind(kind, _KINDS)
    whole = isinstance(max_features, Integral) and not isinstance(max_features, bool)
    if max_features is not None and not (whole and max_features > 0):
        raise ValueError(
            "The 'max_features' parameter must be an int of at least 1, or None, got "
            f"{max_features!r}."
        )


def _digits(values: np.ndarray) -> int:
    """Return how many decimals tell the greatest values apart."""
    top = np.nanmax(np.abs(values), initial=0.0)
    return int(np.clip(2 - np.floor(np.log10(top)), 0, 5)) if top > 0 else 2
