"""Predictions of all tasks for rows that the estimator was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone, is_regressor
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _num_samples, check_consistent_length, indexable

from sklearn_mmoe._sklearn.look_through import last_step
from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    check_targets,
    frame_columns,
    join_columns,
    split_columns,
)
from sklearn_mmoe._tasks.tasks import class_codes
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.metrics._predictions import Predictions, classifies
from sklearn_mmoe.model_selection._kfold import MultiTaskStratifiedKFold, is_stratified
from sklearn_mmoe.model_selection._task_types import with_task_types

# What a class has that a fold's estimator does not know, as in scikit-learn.
_UNKNOWN = {"predict_proba": 0.0, "predict_log_proba": np.finfo(np.float64).min}


@validate_params(
    {
        "estimator": "no_validation",
        "cv": "no_validation",
        "method": [StrOptions({"predict", *_UNKNOWN})],
        "params": [dict, None],
    },
    prefer_skip_nested_validation=False,
)
def cross_val_predict(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    n_jobs: int | None = None,
    method: str = "predict",
    params: Mapping[str, Any] | None = None,
) -> Any:
    """Predict every row, in all tasks, by an estimator fitted on the other folds.

    It is :func:`sklearn.model_selection.cross_val_predict` for several tasks: it takes
    missing labels, labels of different kinds and data frames, and stratifies by all
    tasks.

    Parameters
    ----------
    estimator : estimator or Pipeline
        Ours or another's, of one or several outputs; a clone of it is fitted for each
        fold.
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them.
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Targets, which may be missing where `estimator` takes that.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, passed to `cv`; a number of folds ignores them, with a
        warning.
    cv : int, splitter, iterable or None, default=None
        How to split: an int, or None for 5, makes that number of folds by
        :class:`MultiTaskStratifiedKFold`, or by :class:`sklearn.model_selection.KFold`
        if no task has classes. Each row must be in the test set of one fold.
    n_jobs : int or None, default=None
        Number of folds fitted at the same time, as in joblib.
    method : {'predict', 'predict_proba', 'predict_log_proba'}, default='predict'
        What to predict.
    params : dict or None, default=None
        Further arguments of ``fit``, such as
        ``{"multitaskmmoeclassifier__sample_weight": weight}``; those with a value for
        each row are split as the rows are.

    Returns
    -------
    predictions : DataFrame, ndarray or list of ndarray
        For 'predict' a data frame with y's columns and index, if y is a data frame,
        each column in its own dtype, else an array as ``predict`` makes it. For the
        other methods an array (n_samples, n_classes) for each classification, in a
        list where there are several tasks; its columns are the sorted labels in y. A
        class that was in none of the rows of a fit has probability 0 there.

    Raises
    ------
    ValueError
        If `method` is none of these, `cv` does not test every row once, or the
        estimator has another number of tasks than y.

    Warns
    -----
    UserWarning
        If a class was in none of the rows of a fit, or `groups` are ignored.

    See Also
    --------
    sklearn_mmoe.inspection.TaskScoresDisplay.from_predictions : Draws them.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoEClassifier
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.model_selection import cross_val_predict
    >>> X, y = make_related_tasks(
    ...     n_samples=200, n_features=5, kind="classification", random_state=0
    ... )
    >>> clf = MultiTaskMMoEClassifier(num_experts=2, max_iter=2, random_state=0)
    >>> probabilities = cross_val_predict(clf, X, y, cv=2, method="predict_proba")
    >>> [probability.shape for probability in probabilities]
    [(200, 2), (200, 2)]
    """
    check_targets(y)
    X, y, groups = indexable(X, y, groups)
    targets = split_columns(y)
    check_consistent_length(X, targets.columns[0])
    estimator = with_task_types(estimator, targets)
    folds = make_folds(cv, targets, estimator, X, y, groups=groups)
    test = np.concatenate([rows for _, rows in folds])
    if not np.array_equal(np.sort(test), np.arange(_num_samples(X))):
        raise ValueError(
            "cross_val_predict needs a 'cv' that tests every row exactly once, as "
            "KFold does."
        )
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(
            clone(estimator), X, y, train, rows, method, params or {}, len(targets)
        )
        for train, rows in folds
    )
    order = np.argsort(test)
    if method == "predict":
        columns = [np.concatenate(column)[order] for column in zip(*parts, strict=True)]
        joined = join_columns(columns, frame_columns(y))
        if isinstance(y, pd.DataFrame):
            joined.index = y.index
        return joined
    return _join_probabilities(parts, targets, order, method)


def make_folds(
    cv: Any, targets: TaskColumns, estimator: Any, X: Any, y: Any, **params: Any
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split the rows; a number makes folds that suit the tasks of the estimator."""
    if cv is None or isinstance(cv, int | np.integer):
        n_splits = 5 if cv is None else int(cv)
        if any(is_stratified(targets, k, n_splits) for k in range(len(targets))):
            regressions = _given_regressions(estimator, targets.names)
            if params.get("groups") is not None:
                warn_of_groups(
                    cv,
                    "MultiTaskStratifiedKFold",
                    f"MultiTaskStratifiedGroupKFold({n_splits})",
                )
            splitter = MultiTaskStratifiedKFold(n_splits)
            return list(splitter._split(X, y, regressions))
        cv = n_splits
    return list(check_cv(cv).split(X, y, **params))


def warn_of_groups(cv: Any, splitter: str, instead: str) -> None:
    """Warn that a number, which makes a splitter, does not keep groups together."""
    warn(
        f"groups are ignored by cv={cv}, which splits by {splitter}. To keep groups "
        f"together, pass cv={instead}."
    )


def _given_regressions(estimator: Any, names: list[str]) -> list[str]:
    """Return the tasks that are regressions whatever their numbers look like."""
    last = last_step(estimator)
    if is_regressor(last):
        return names
    types = getattr(last, "task_types", None)
    if types is None:
        return []
    pairs = (
        types.items() if isinstance(types, Mapping) else zip(names, types, strict=False)
    )
    return [str(name) for name, task_type in pairs if task_type == "regression"]


def _fit_and_predict(
    estimator: Any,
    X: Any,
    y: Any,
    train: np.ndarray,
    test: np.ndarray,
    method: str,
    params: Mapping[str, Any],
    n_tasks: int,
) -> list[Any]:
    """Return each task's predictions, or each classification's (classes, array)."""
    n_samples = _num_samples(X)
    of_train = {
        name: _safe_indexing(value, train)
        if hasattr(value, "__len__")
        and not isinstance(value, str)
        and _num_samples(value) == n_samples
        else value
        for name, value in params.items()
    }
    estimator.fit(_safe_indexing(X, train), _safe_indexing(y, train), **of_train)
    predictions = Predictions(estimator, _safe_indexing(X, test), n_tasks)
    if method == "predict":
        return predictions.labels_or_values
    if not classifies(estimator):
        raise ValueError(
            f"{type(estimator).__name__} has no {method}; take method='predict'."
        )
    with np.errstate(divide="ignore"):
        return [
            (
                k,
                predictions.classes(k),
                predictions.probabilities(k)
                if method == "predict_proba"
                else np.log(predictions.probabilities(k)),
            )
            for k in range(n_tasks)
            if predictions.are_classified[k]
        ]


def _join_probabilities(
    parts: list[list[Any]], targets: TaskColumns, order: np.ndarray, method: str
) -> Any:
    """Put the folds together, with a column for each label in y."""
    lacking: dict[str, set[Any]] = {}
    joined = []
    for of_task in zip(*parts, strict=True):
        name = targets.names[of_task[0][0]]
        labels = np.unique(targets.values(of_task[0][0]))
        arrays = []
        for _, classes, array in of_task:
            columns = class_codes(name, classes, labels)
            full = np.full((len(array), len(labels)), _UNKNOWN[method])
            full[:, columns[columns >= 0]] = array[:, columns >= 0]
            unknown = np.setdiff1d(np.arange(len(labels)), columns)
            if len(unknown):
                lacking.setdefault(name, set()).update(labels[unknown].tolist())
            arrays.append(full)
        joined.append(np.concatenate(arrays)[order])
    if lacking:
        told = "; ".join(f"{task!r}: {sorted(some)}" for task, some in lacking.items())
        warn(
            f"Some folds were fitted without any row of these classes, which have "
            f"probability 0 there: {told}.",
        )
    return joined[0] if len(targets) == 1 else joined
