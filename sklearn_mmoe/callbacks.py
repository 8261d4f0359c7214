"""Keras callbacks that know the tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras
from sklearn_mmoe._warnings import warn

# isort: split
import keras
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from sklearn_mmoe._tasks.columns import split_columns, task_index
from sklearn_mmoe.metrics._predictions import Predictions
from sklearn_mmoe.metrics._scoring import TaskScoring, get_scorer, metric_kind

__all__ = ["MLflowLogger", "TaskScores"]

# Scorers whose name begins so give a loss with its sign turned; it is turned back.
_NEGATED = "neg_"


def _default_metrics(predictions: Predictions, task: int) -> list[str]:
    if not predictions.are_classified[task]:
        return ["neg_mean_absolute_error", "r2"]
    return ["roc_auc_ovr" if len(predictions.classes(task)) > 2 else "roc_auc"]


def _as_list(given: Any) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(map(str, given))


def _metrics_of_tasks(metrics: Any, sets: Sequence[TaskScoring]) -> list[list[str]]:
    """Find what each task is scored by, on all sets."""
    names, predictions = sets[0].names, sets[0].predictions
    by_task: dict[int, list[str]] = {}
    if isinstance(metrics, Mapping):
        by_task = {task_index(task, names): _as_list(m) for task, m in metrics.items()}
    elif shared := _as_list(metrics):
        return _those_that_fit(shared, sets)
    return [
        by_task.get(k) or _default_metrics(predictions, k) for k in range(len(names))
    ]


def _those_that_fit(
    metrics: Sequence[str], sets: Sequence[TaskScoring]
) -> list[list[str]]:
    """Give each task those of the metrics that can score it on all sets."""
    tasks = range(len(sets[0].names))
    of_tasks: list[list[str]] = [[] for _ in tasks]
    for metric in metrics:
        fitting = [k for k in tasks if all(of_set.fits(k, metric) for of_set in sets)]
        for k in tasks:
            # One that fits no task is asked all the same, and tells why.
            if k in fitting or not fitting:
                of_tasks[k].append(metric)
            else:
                is_classified = sets[0].predictions.are_classified[k]
                _warn_of_unfit(metric, sets[0].names[k], is_classified)
    return of_tasks


def _warn_of_unfit(metric: str, task: str, is_classified: bool) -> None:
    """Warn of a metric that is one of such tasks, and yet cannot score this one."""
    kind = "classification" if is_classified else "regression"
    if metric_kind(get_scorer(metric)) == kind:
        warn(
            f"{metric!r} cannot score the task {task!r}, for which TaskScores has NaN. "
            "Give metrics by task, as a dict."
        )


class TaskScores(keras.callbacks.Callback):
    """Score every task on named sets at the end of each epoch.

    Parameters
    ----------
    sets : mapping of str to (X, y)
        The sets, such as ``{"train": (X, y), "validation": (X_val, y_val)}``. X is what
        the estimator itself gets: in a Pipeline, the output of the preprocessor.
        Columns of y are matched with the tasks by name if both have names.
    metrics : str, sequence of str, mapping of tasks to these, or None, default=None
        Names of scikit-learn's scorers, each for the tasks that it can score. None, or
        a mapping that does not name a task, takes 'roc_auc' for a classification
        ('roc_auc_ovr' if it has more than two classes), and
        'neg_mean_absolute_error' and 'r2' for a regression.
    verbose : bool, default=True
        Whether to print a line for each set at each epoch's end.

    Attributes
    ----------
    scores_ : data frame of shape (n_epochs * n_sets * n_tasks, 3 + n_metrics)
        Columns 'epoch' (from 1), 'set', 'task' and one for each metric. A scorer
        named 'neg_...' is shown as the metric itself: without the prefix, and with
        its sign turned. NaN where a metric is not that of a task, or is undefined on a
        set, which is warned of once in a fit.

    Raises
    ------
    TypeError
        If `sets` is not a mapping to pairs.
    ValueError
        If scikit-learn has no scorer of a given name.

    Notes
    -----
    ``sklearn.base.clone``, and so a search, copies `TaskScores` for each estimator,
    with the same sets and without scores.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoEClassifier
    >>> from sklearn_mmoe.callbacks import TaskScores
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> scores = TaskScores({"train": (X, y)}, verbose=False)
    >>> clf = MultiTaskMMoEClassifier(max_iter=2, callbacks=scores, random_state=0)
    >>> clf = clf.fit(X, y)
    >>> list(scores.scores_.columns)
    ['epoch', 'set', 'task', 'roc_auc']
    >>> len(scores.scores_)  # two epochs of two tasks
    4
    """

    def __init__(
        self,
        sets: Mapping[str, tuple[Any, Any]],
        metrics: str | Sequence[str] | Mapping[Any, Any] | None = None,
        verbose: bool = True,
    ) -> None:
        super().__init__()
        pairs = isinstance(sets, Mapping) and all(
            isinstance(pair, tuple | list) and len(pair) == 2 for pair in sets.values()
        )
        if not pairs:
            raise TypeError(
                "The 'sets' parameter of TaskScores must be a mapping of names to "
                f"pairs (X, y), got {type(sets).__name__}."
            )
        self.sets = sets
        self.metrics = metrics
        self.verbose = verbose
        given = metrics.values() if isinstance(metrics, Mapping) else [metrics]
        for names in given:
            for name in _as_list(names):
                get_scorer(name)
        self._estimator: Any = None
        self._of_tasks: list[list[str]] = []
        self._rows: list[dict[str, Any]] = []

    def __sklearn_clone__(self) -> TaskScores:
        # The sets may be large, and no estimator changes them.
        return type(self)(self.sets, self.metrics, self.verbose)

    @property
    def scores_(self) -> pd.DataFrame:
        """The scores of all epochs of the last fit."""
        return pd.DataFrame(self._rows)

    def set_estimator(self, estimator: Any) -> None:
        """Say whose tasks to score; the estimators do so as they are fitted.

        Parameters
        ----------
        estimator : estimator
            The estimator that is being fitted, or one that is.
        """
        self._estimator = estimator

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that there is an estimator of these tasks; forget earlier scores."""
        if self._estimator is None:
            raise ValueError(
                "TaskScores scores the tasks of an estimator of sklearn_mmoe. Give it "
                "to one, as callbacks=[TaskScores(...)]."
            )
        for name, (_, y) in self.sets.items():
            try:
                split_columns(y).matched(self._estimator.task_names_, "the estimator")
            except ValueError as error:
                raise ValueError(f"The set {name!r} of TaskScores: {error}") from error
        if isinstance(self.metrics, Mapping):
            for task in self.metrics:
                task_index(task, self._estimator.task_names_)
        self._of_tasks, self._rows = [], []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score all sets with the weights that the epoch ended with."""
        undefined: dict[str, str] = {}
        scorings = {
            name: TaskScoring(self._estimator, X, y)
            for name, (X, y) in self.sets.items()
        }
        if scorings and not self._of_tasks:
            self._of_tasks = _metrics_of_tasks(self.metrics, [*scorings.values()])
        for name, scoring in scorings.items():
            rows, why = self._score(scoring)
            undefined |= {f"{task!r} of {name!r}": why[task] for task in why}
            self._rows += [{"epoch": epoch + 1, "set": name, **row} for row in rows]
            if self.verbose:
                print(f"Epoch {epoch + 1}, {name}: {_line(rows)}")
        if undefined and epoch == 0:
            warn(
                "TaskScores has NaN where a score is undefined: "
                + "; ".join(f"{where}: {why}" for where, why in undefined.items()),
                UndefinedMetricWarning,
            )

    def on_train_end(self, logs: Any = None) -> None:
        """Let go of the estimator, which holds this callback."""
        self._estimator = None

    def _score(
        self, scoring: TaskScoring
    ) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """Score all tasks on a set; tell also where a score is undefined, and why."""
        rows = []
        for k, task in enumerate(self._estimator.task_names_):
            row: dict[str, Any] = {"task": task}
            for name in self._of_tasks[k]:
                score = scoring.score(k, name)
                negated = name.startswith(_NEGATED)
                row[name.removeprefix(_NEGATED)] = -score if negated else score
            rows.append(row)
        return rows, scoring.undefined


class MLflowLogger(TaskScores):
    """Log each epoch's losses and scores of every task to a run of MLflow.

    They are logged to the active run, which MLflow starts if there is none, with the
    epoch, from 1, as the step: 'loss', 'task_loss/TASK' for each task, with early
    stopping 'val_score', and 'score/SET/TASK/METRIC' for each score.

    Parameters
    ----------
    sets : mapping of str to (X, y), or None, default=None
        Sets to score the tasks on, as in :class:`TaskScores`; none logs losses alone.
    metrics : str, sequence of str, mapping of tasks to these, or None, default=None
        As in :class:`TaskScores`.
    verbose : bool, default=False
        Whether to print a line for each set at each epoch's end too.

    Attributes
    ----------
    scores_ : data frame of shape (n_epochs * n_sets * n_tasks, 3 + n_metrics)
        As in :class:`TaskScores`.

    Raises
    ------
    ImportError
        If MLflow is not installed, when training begins.

    See Also
    --------
    TaskScores : The scores alone.

    Notes
    -----
    MLflow allows letters, digits and some signs in the names of metrics. Other signs in
    the name of a task or set become underscores; if two names are then the same, the
    second one gets a number.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.callbacks import MLflowLogger
    >>> reg = MultiTaskMMoERegressor(callbacks=MLflowLogger())
    """

    def __init__(
        self,
        sets: Mapping[str, tuple[Any, Any]] | None = None,
        metrics: str | Sequence[str] | Mapping[Any, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__({} if sets is None else sets, metrics, verbose)

    def on_train_begin(self, logs: Any = None) -> None:
        """Check that MLflow is there, and what TaskScores checks."""
        _import_mlflow()
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Score all sets, and log what is known of the epoch."""
        n_before = len(self._rows)
        super().on_epoch_end(epoch, logs)
        logs = dict(logs or {})
        tasks = _plain_names(self._estimator.task_names_)
        sets = _plain_names(self.sets)
        values = {key: logs[key] for key in ("loss", "val_score") if key in logs}
        for k, name in enumerate(tasks.values()):
            values[f"task_loss/{name}"] = logs[f"task_{k}_loss"]
        for row in self._rows[n_before:]:
            of_task = f"score/{sets[row['set']]}/{tasks[row['task']]}"
            for metric in set(row) - {"epoch", "set", "task"}:
                values[f"{of_task}/{metric}"] = row[metric]
        _import_mlflow().log_metrics(values, step=epoch + 1)


def _import_mlflow() -> Any:
    try:
        import mlflow
    except ImportError as error:
        raise ImportError(
            "MLflowLogger needs MLflow: pip install mlflow-skinny, or mlflow."
        ) from error
    return mlflow


def _plain_names(names: Iterable[str]) -> dict[str, str]:
    """Find for each name one that can be part of a metric's name, and of a path."""
    plain: dict[str, str] = {}
    for name in names:
        # No slash: a folder of runs has a file for each metric.
        found = first = re.sub(r"[^\w\- :]", "_", str(name), flags=re.ASCII)
        number = 1
        while found in plain.values():
            number += 1
            found = f"{first}_{number}"
        plain[name] = found
    return plain


def _line(rows: list[dict[str, Any]]) -> str:
    """Write the scores of one set in one line."""
    parts = []
    for row in rows:
        scores = [f"{name} {row[name]:.4f}" for name in row if name != "task"]
        if scores:
            parts.append(f"{row['task']} {', '.join(scores)}")
    return "; ".join(parts)
