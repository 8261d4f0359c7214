"""Which columns of X each task relies on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval, RealNotInt, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import check_consistent_length

from sklearn_mmoe._tasks.columns import split_columns, task_index
from sklearn_mmoe.inspection._columns import (
    as_table,
    column,
    column_labels,
    permuted,
    with_column,
)
from sklearn_mmoe.metrics._scoring import DEFAULT_SCORING, TaskScoring, scorer_name

__all__ = ["task_importances"]


@validate_params(
    {
        "estimator": "no_validation",
        "X": "no_validation",
        "y": "no_validation",
        "scoring": "no_validation",
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "sample_weight": "no_validation",
        "max_samples": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="right"),
        ],
    },
    prefer_skip_nested_validation=False,
)
def task_importances(
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
) -> Bunch:
    """Permute each column of X, and return how much worse each task is then predicted.

    This is :func:`sklearn.inspection.permutation_importance` for all tasks at once:
    each permuted X is predicted once, and that prediction scores every task. With the
    same `random_state` the permutations are the same.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any fitted estimator of several outputs, ours or another's.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them, preferably rows that it was not fitted on. With
        a Pipeline they are your own columns, before preprocessing.
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, matched with the tasks by name where both have names. Rows do not
        count in tasks where theirs is missing.
    scoring : str, callable, mapping of tasks to these, or None, default=None
        Scorers as in :func:`~sklearn_mmoe.metrics.multi_task_scorer`. None, and a task
        that a mapping leaves out, is 'roc_auc_ovr' for classifications and 'r2' for
        regressions.
    n_repeats : int, default=5
        How often each column is permuted.
    n_jobs : int or None, default=None
        How many columns are permuted at the same time; None is one, unless in a
        :func:`joblib.parallel_config`.
    random_state : int, RandomState or None, default=None
        Seed of the permutations.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
            or None, default=None
        Weights of the rows in the scores, or a column of weights for each task, matched
        by the tasks' names where it has names.
    max_samples : int or float, default=1.0
        Number or share of the rows that are drawn for each column, without replacement.
        They are compared with the scores of all rows.

    Returns
    -------
    Bunch
        With the attributes

        importances_mean : data frame of shape (n_features, n_tasks)
            Score of the task minus its score with the feature permuted, the mean over
            the repeats: a row for each column of X, a column for each task. NaN where
            the score is undefined.
        importances_std : data frame of shape (n_features, n_tasks)
            Standard deviation over the repeats.
        importances : ndarray of shape (n_features, n_tasks, n_repeats)
            All differences.
        scores : series of shape (n_tasks,)
            Score of each task on X as it is.
        scoring : series of shape (n_tasks,)
            The name of each task's scorer.

    Raises
    ------
    ValueError
        If y has not the tasks of `estimator`, `max_samples` is more than there are
        rows, or a scorer does not suit a task.

    Warns
    -----
    UndefinedMetricWarning
        If the score of a task is undefined on these rows.

    See Also
    --------
    TaskImportancesDisplay : Draws them.
    TaskPartialDependenceDisplay : Draws in which direction a feature drives the tasks.

    Notes
    -----
    A task relies on a feature if its score falls when the feature is permuted. Of two
    features with the same information, either may seem unimportant, because the
    estimator still has the other. And importances describe the estimator, which may be
    a poor one: look at `scores` first.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import task_importances
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=2, random_state=0)
    >>> result = task_importances(reg.fit(X, y), X, y, random_state=0)
    >>> result.importances_mean.shape
    (5, 2)
    >>> result.importances_mean.index.to_list()
    ['x0', 'x1', 'x2', 'x3', 'x4']
    """
    X, targets = as_table(X), split_columns(y)
    check_consistent_length(X, targets.columns[0])
    n_samples, n_features = X.shape
    n_rows = _n_rows(max_samples, n_samples)
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max + 1)
    unpermuted = TaskScoring(estimator, X, y, sample_weight)
    scorings = _scorings(scoring, unpermuted)
    scores = np.array(_scores(unpermuted, scorings))
    unpermuted.warn()
    if unpermuted.weights is not None:
        # By the names of the tasks, and of a kind of which rows can be taken.
        sample_weight = pd.DataFrame(unpermuted.weights, columns=unpermuted.names)
    permuted_scores = Parallel(n_jobs=n_jobs)(
        delayed(_permuted_scores)(
            estimator, X, y, sample_weight, scorings, j, seed, n_repeats, n_rows
        )
        for j in range(n_features)
    )
    importances = scores[:, None] - np.array(permuted_scores)
    index = pd.Index(column_labels(X), name="feature", tupleize_cols=False)
    tasks = pd.Index(unpermuted.names, name="task")
    return Bunch(
        importances_mean=pd.DataFrame(importances.mean(axis=2), index, tasks),
        importances_std=pd.DataFrame(importances.std(axis=2), index, tasks),
        importances=importances,
        scores=pd.Series(scores, tasks, name="score"),
        scoring=pd.Series([*map(scorer_name, scorings)], tasks, name="scoring"),
    )


def _n_rows(max_samples: Any, n_samples: int) -> int:
    if not isinstance(max_samples, Integral):
        return max(1, int(max_samples * n_samples))
    if int(max_samples) > n_samples:
        raise ValueError(
            f"The 'max_samples' parameter is {max_samples}, but X has only "
            f"{n_samples} rows."
        )
    return int(max_samples)


def _scorings(scoring: Any, of: TaskScoring) -> list[Any]:
    """Return the scorer of each task."""
    defaults: list[Any] = [
        DEFAULT_SCORING[bool(classified)]
        for classified in of.predictions.are_classified
    ]
    if scoring is None:
        return defaults
    if not isinstance(scoring, Mapping):
        return [scoring] * len(defaults)
    for task, scorer in scoring.items():
        defaults[task_index(task, of.names)] = scorer
    return defaults


def _scores(of: TaskScoring, scorings: Sequence[Any]) -> list[float]:
    return [of.score(k, scoring) for k, scoring in enumerate(scorings)]


def _permuted_scores(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: pd.DataFrame | None,
    scorings: Sequence[Any],
    j: int,
    seed: int,
    n_repeats: int,
    n_rows: int,
) -> np.ndarray:
    """Score all tasks with column j permuted: an array (n_tasks, n_repeats)."""
    # Drawn as scikit-learn's permutation_importance draws.
    random_state = np.random.RandomState(seed)
    if n_rows < X.shape[0]:
        rows = sample_without_replacement(X.shape[0], n_rows, random_state=random_state)
        X, y = _safe_indexing(X, rows), _safe_indexing(y, rows)
        if sample_weight is not None:
            sample_weight = sample_weight.iloc[rows]
    values, order, places = column(X, j), np.arange(n_rows), np.arange(n_rows)
    scores = []
    for _ in range(n_repeats):
        random_state.shuffle(order)
        places = places[order]  # each permutation is one of the last one
        changed = with_column(X, j, permuted(values, places))
        of_changed = TaskScoring(estimator, changed, y, sample_weight)
        scores.append(_scores(of_changed, scorings))
    return np.array(scores).T
