"""Scorers for one task, for the mean over tasks, and for all of them at once.

They are given to ``GridSearchCV(scoring=...)`` and ``cross_validate`` as they are,
work with every multi-output estimator, and can be pickled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.metrics import get_scorer
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._sklearn.look_through import last_step
from sklearn_mmoe._tasks.columns import split_columns

__all__ = ["mean_task_scorer", "multi_task_scorer", "task_scorer", "task_scorers"]

_MEAN = "mean"


class _Predictions:
    """What an estimator predicts for X, computed when asked for and only once."""

    def __init__(self, estimator: Any, X: Any) -> None:
        self.estimator = estimator
        self._X = X

    @functools.cached_property
    def labels_or_values(self) -> list[np.ndarray]:
        return split_columns(self.estimator.predict(self._X)).columns

    @functools.cached_property
    def probabilities(self) -> list[np.ndarray]:
        probabilities = self.estimator.predict_proba(self._X)
        return probabilities if isinstance(probabilities, list) else [probabilities]

    def is_classification(self, task: int) -> bool:
        """Whether a task is classified, in an estimator of either kind or of both."""
        types = getattr(last_step(self.estimator), "task_types_", None)
        if types is None:
            return is_classifier(self.estimator)
        return types[task] == "classification"

    def classes(self, task: int) -> np.ndarray:
        classes = last_step(self.estimator).classes_
        return classes[task] if isinstance(classes, list) else classes

    def probabilities_of(self, task: int) -> np.ndarray:
        # predict_proba leaves regressions out.
        return self.probabilities[sum(map(self.is_classification, range(task)))]


class _Task(BaseEstimator):
    """One task of a multi-output estimator, seen as an estimator of one output.

    So every scorer that scikit-learn has works on it. Its predictions are those for
    `rows` of the X that `predictions` was made with.
    """

    def __init__(self, predictions: _Predictions, index: int) -> None:
        self.predictions = predictions
        self.index = index
        self.rows: Any = slice(None)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:
        return self.predictions.labels_or_values[self.index][self.rows]


class _RegressionTask(RegressorMixin, _Task):
    pass


class _ClassificationTask(ClassifierMixin, _Task):
    @property
    def classes_(self) -> np.ndarray:
        return self.predictions.classes(self.index)

    def predict(self, X: Any) -> np.ndarray:
        # Out of an object array, in which tasks with different labels are joined.
        return super().predict(X).astype(self.classes_.dtype)

    @available_if(lambda self: hasattr(self.predictions.estimator, "predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        return self.predictions.probabilities_of(self.index)[self.rows]


def score_task(
    scorer: Any,
    predictions: _Predictions,
    index: int,
    y: np.ndarray,
    sample_weight: Any = None,
) -> float:
    """Score one task with a scorer made for one output.

    Parameters
    ----------
    scorer : callable
        As :func:`sklearn.metrics.get_scorer` gives it.
    predictions : _Predictions
        The predictions of all tasks.
    index : int
        Which task.
    y : ndarray of shape (n_samples,)
        This task's true targets; rows where they are missing do not count.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the rows.

    Returns
    -------
    float
        The score.
    """
    task: Any
    if predictions.is_classification(index):
        task = _ClassificationTask(predictions, index)
    else:
        task = _RegressionTask(predictions, index)
    observed = np.asarray(~pd.isna(y))
    if not observed.all():
        y = y[observed]
        task.rows = observed
    if y.dtype.kind == "O":
        y = y.astype(task.classes_.dtype if is_classifier(task) else np.float64)
    weight = {}
    if sample_weight is not None:
        weight["sample_weight"] = np.asarray(sample_weight)[observed]
    return float(scorer(task, None, y, **weight))


def _given_names(estimator: Any, y: Any) -> list[str] | None:
    """Find names of the tasks in y or, where it has none, in the estimator."""
    if hasattr(y, "columns") or getattr(y, "name", None) is not None:
        return split_columns(y).names
    return getattr(last_step(estimator), "task_names_", None)


def _task_index(task: int | str, names: Sequence[str] | None, n_tasks: int) -> int:
    if isinstance(task, str):
        if names is not None and task in names:
            return list(names).index(task)
        known = "the tasks have no names" if names is None else f"there are {names}"
        raise ValueError(f"There is no task named {task!r}; {known}.")
    if not -n_tasks <= task < n_tasks:
        raise ValueError(f"There is no task of index {task}; y has {n_tasks} tasks.")
    return task % n_tasks


class _Scorer:
    """What the scorers share: a scorer for one output, and how they are shown."""

    def __init__(self, scoring: Any) -> None:
        self.scoring = scoring
        # Now, so that a misspelt name is told at once.
        by_task = isinstance(scoring, Mapping)
        self._scorer = (
            {task: get_scorer(of_task) for task, of_task in scoring.items()}
            if by_task
            else get_scorer(scoring)
        )

    def _arguments(self) -> str:
        return repr(self.scoring)

    def __repr__(self) -> str:
        name = type(self).__name__.lstrip("_")
        return f"{name}({self._arguments()})"


class _TaskScorer(_Scorer):
    def __init__(self, scoring: Any, task: int | str) -> None:
        super().__init__(scoring)
        self.task = task

    def _arguments(self) -> str:
        return f"{self.scoring!r}, task={self.task!r}"

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> float:
        columns = split_columns(y).columns
        index = _task_index(self.task, _given_names(estimator, y), len(columns))
        predictions = _Predictions(estimator, X)
        return score_task(
            self._scorer, predictions, index, columns[index], sample_weight
        )


class _MultiTaskScorer(_Scorer):
    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> dict[str, float]:
        tasks = split_columns(y)
        names = _given_names(estimator, y) or tasks.names
        predictions = _Predictions(estimator, X)
        scores = {
            name: score_task(
                self._scorer_of(name), predictions, k, column, sample_weight
            )
            for k, (name, column) in enumerate(zip(names, tasks.columns, strict=True))
        }
        return {**scores, _MEAN: float(np.mean(list(scores.values())))}

    def _scorer_of(self, task: str) -> Any:
        if not isinstance(self._scorer, Mapping):
            return self._scorer
        if task not in self._scorer:
            raise ValueError(
                f"There is no scorer for the task {task!r}, only for "
                f"{list(self._scorer)}."
            )
        return self._scorer[task]


class _MeanTaskScorer(_MultiTaskScorer):
    def __call__(self, *args: Any, **kwargs: Any) -> float:  # type: ignore[override]
        return super().__call__(*args, **kwargs)[_MEAN]


def task_scorer(scoring: str | Callable[..., float], task: int | str) -> Any:
    """Make a scorer of one task.

    Parameters
    ----------
    scoring : str or callable
        The name of a scorer of scikit-learn, such as 'roc_auc', 'neg_log_loss' or
        'r2', or a scorer from :func:`sklearn.metrics.make_scorer`.
    task : int or str
        The task's index, or its name: a column of y where y is a data frame, else one
        of the estimator's `task_names_`.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it gives a float;
        greater is better. It raises a ValueError if there is no such task.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.metrics import task_scorer
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> scorer = task_scorer("roc_auc", task=1)
    >>> scores = cross_validate(RandomForestClassifier(10), X, y, scoring=scorer)
    >>> scores["test_score"].shape
    (5,)
    """
    return _TaskScorer(scoring, task)


def mean_task_scorer(scoring: Any) -> Any:
    """Make a scorer of the mean over all tasks.

    Parameters
    ----------
    scoring : str, callable, or mapping of task names to these
        As in :func:`task_scorer`; a mapping gives each task a scorer of its own.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it gives a float;
        greater is better.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn_mmoe.metrics import mean_task_scorer
    >>> mean_task_scorer("roc_auc")
    MeanTaskScorer('roc_auc')
    """
    return _MeanTaskScorer(scoring)


def multi_task_scorer(scoring: Any) -> Any:
    """Make a scorer that gives every task and the mean from one prediction.

    It does what the scorers of :func:`task_scorers` do together, and is the cheaper
    choice: scikit-learn takes such a scorer for a multi-metric search too, where
    ``refit='mean'`` or ``refit='income'`` then chooses.

    Parameters
    ----------
    scoring : str, callable, or mapping of task names to these
        As in :func:`task_scorer`; a mapping, such as
        ``{"income": "roc_auc", "hours": "r2"}``, gives each task a scorer of its own.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it gives a dict:
        a score for each task by name, and their mean as 'mean'.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.metrics import multi_task_scorer
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> scores = cross_validate(
    ...     RandomForestRegressor(10), X, y, scoring=multi_task_scorer("r2")
    ... )
    >>> [name for name in scores if name.startswith("test_")]
    ['test_task_0', 'test_task_1', 'test_mean']
    """
    return _MultiTaskScorer(scoring)


def task_scorers(
    scoring: str | Callable[..., float], tasks: Sequence[int | str]
) -> dict[str, Any]:
    """Make a dict of scorers, one for each task and one for their mean.

    Parameters
    ----------
    scoring : str or callable
        As in :func:`task_scorer`.
    tasks : sequence of int or str
        Indices or names of the tasks.

    Returns
    -------
    dict of str to callable
        Scorers by the task's name, or ``task_<index>``, and 'mean' (over all tasks
        of y), for ``scoring=`` of a multi-metric search. Each of them predicts for
        itself; :func:`multi_task_scorer` predicts once.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn_mmoe.metrics import task_scorers
    >>> list(task_scorers("roc_auc", ["income", "never_married"]))
    ['income', 'never_married', 'mean']
    """
    scorers = {
        task if isinstance(task, str) else f"task_{task}": task_scorer(scoring, task)
        for task in tasks
    }
    return {**scorers, _MEAN: mean_task_scorer(scoring)}
