"""The picture of how training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe.inspection._mixture import final_estimator
from sklearn_mmoe.inspection._style import axes_in_a_row, line_style

__all__ = ["TrainingCurveDisplay"]


class TrainingCurveDisplay:
    """Loss and score of each task, epoch by epoch, with the best epoch marked.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.TrainingCurveDisplay.from_estimator`.

    Parameters
    ----------
    task_losses : mapping of str to sequence of float
        Training loss of each task in each epoch.
    validation_scores : sequence of float or None, default=None
        What early stopping watched, greater being better.
    scores : data frame or None, default=None
        Scores as :class:`~sklearn_mmoe.callbacks.TaskScores` records them: columns
        'epoch', 'set', 'task' and one for each metric.
    validation_name : str, default='loss'
        What `validation_scores` are; of 'loss' the sign is turned back.
    best_epoch : int or None, default=None
        The epoch, from 1, whose weights were kept. None takes that of the best score.
    task_weights : mapping of str to sequence of float or None, default=None
        What each task's loss was multiplied by in each epoch; None draws none.

    Attributes
    ----------
    best_epoch_ : int or None
        The epoch, from 1, that early stopping went back to; None without it.
    axes_ : ndarray of Axes
        The axes drawn on: the losses, what early stopping watched, the weights of the
        tasks, then a score of a task each.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn_mmoe.callbacks.TaskScores : Scores each task on any sets while training.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import TrainingCurveDisplay
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(early_stopping=True, max_iter=4, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(reg.fit(X, y))
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['training loss', 'loss on the validation rows']
    """

    def __init__(
        self,
        task_losses: Mapping[str, Sequence[float]],
        validation_scores: Sequence[float] | None = None,
        scores: pd.DataFrame | None = None,
        *,
        validation_name: str = "loss",
        best_epoch: int | None = None,
        task_weights: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.task_losses = task_losses
        self.validation_scores = validation_scores
        self.scores = scores
        self.validation_name = validation_name
        self.best_epoch = best_epoch
        self.task_weights = task_weights

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, scores: Any = None, ax: Any = None
    ) -> TrainingCurveDisplay:
        """Draw how an estimator was trained.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            One of our estimators, fitted, or a Pipeline or search that ends in one.
        scores : TaskScores, data frame or None, default=None
            Scores of the tasks at each epoch's end: a
            :class:`~sklearn_mmoe.callbacks.TaskScores` that watched the fit, or its
            ``scores_``. None takes the one among the estimator's `callbacks`, if any.
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, as many as there are panels: one for the losses, one for
            what early stopping watched, one for the weights of the tasks where
            `task_weighting` changes them, one for each task and metric of `scores`.
            None makes a figure.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `estimator` is not, or does not end in, one of our estimators.
        NotFittedError
            If it is not fitted.
        ValueError
            If `ax` has another number of axes than there are panels.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        last = final_estimator(estimator)
        check_is_fitted(last)
        scores = _recorded(last) if scores is None else scores
        metric = last.early_stopping_metric
        display = cls(
            last.task_loss_curves_,
            last.validation_scores_,
            getattr(scores, "scores_", scores),
            validation_name=metric if isinstance(metric, str) else repr(metric),
            best_epoch=last.best_epoch_,
            task_weights=(
                None if last.task_weighting == "uniform" else last.task_weights_
            ),
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> TrainingCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, as many as there are panels; None makes a figure.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `ax` has another number of axes than there are panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        watched = self.validation_scores
        panels = [] if self.scores is None else _panels(self.scores)
        n_watched = 0 if watched is None else 1
        n_weights = 0 if self.task_weights is None else 1
        n_axes = 1 + n_watched + n_weights + len(panels)
        self.axes_ = axes_in_a_row(ax, n_axes, 4.2, 3.4)
        self._draw_losses(self.axes_[0])
        self.best_epoch_ = None
        if watched is not None:
            self.best_epoch_ = self.best_epoch or _best(watched)
            self._draw_validation(self.axes_[1], np.asarray(watched))
        if self.task_weights is not None:
            self._draw_weights(self.axes_[1 + n_watched])
        first = n_axes - len(panels)
        for axes, panel in zip(self.axes_[first:], panels, strict=True):
            self._draw_metric(axes, *panel)
        for axes in self.axes_:
            self._finish(axes)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _draw_losses(self, ax: Any) -> None:
        for k, (name, losses) in enumerate(self.task_losses.items()):
            _draw_curve(ax, k, losses, name)
        ax.set_ylabel("training loss")

    def _draw_weights(self, ax: Any) -> None:
        assert self.task_weights is not None
        for k, (name, weights) in enumerate(self.task_weights.items()):
            _draw_curve(ax, k, weights, name)
        ax.set_ylabel("weight of the task")

    def _draw_validation(self, ax: Any, scores: np.ndarray) -> None:
        is_loss = self.validation_name == "loss"
        _draw_curve(ax, 0, -scores if is_loss else scores, "validation")
        ax.set_ylabel(f"{self.validation_name} on the validation rows")

    def _draw_metric(self, ax: Any, task: str, metric: str) -> None:
        assert self.scores is not None
        of_task = self.scores[self.scores["task"] == task]
        for k, (name, rows) in enumerate(of_task.groupby("set", sort=False)):
            _draw_curve(ax, k, rows[metric], str(name))
        ax.set(ylabel=metric, title=task)

    def _finish(self, ax: Any) -> None:
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        if self.best_epoch_ is not None:
            ax.axvline(
                self.best_epoch_,
                color="0.4",
                linestyle=":",
                label=f"best epoch, {self.best_epoch_}",
            )
        ax.legend(fontsize="small")


def _best(scores: Sequence[float]) -> int | None:
    """Find the epoch, from 1, of the best score; nan is no score."""
    if np.isnan(scores).all():
        return None
    return int(np.nanargmax(scores)) + 1


def _panels(scores: pd.DataFrame) -> list[tuple[str, str]]:
    """List the tasks with their metrics, one panel each: they lie far apart."""
    return [
        (str(task), metric)
        for task, rows in scores.groupby("task", sort=False)
        for metric in map(str, scores.columns[3:])
        if rows[metric].notna().any()
    ]


def _recorded(estimator: Any) -> Any:
    """Find a TaskScores with scores among the callbacks of an estimator."""
    given = estimator.callbacks
    if given is None:
        return None
    callbacks = [given] if hasattr(given, "set_model") else given
    found = [c for c in callbacks if hasattr(c, "scores_") and len(c.scores_)]
    return found[0] if found else None


def _draw_curve(ax: Any, k: int, values: Any, label: str) -> None:
    values = np.asarray(values)
    every = max(1, len(values) // 10)
    epochs = np.arange(1, len(values) + 1)
    ax.plot(epochs, values, label=label, markevery=every, ms=5, **line_style(k))
