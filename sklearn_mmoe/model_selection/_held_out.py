"""What estimators say about rows that they were not fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import (
    _check_method_params,
    _num_samples,
    check_is_fitted,
)

from sklearn_mmoe._sklearn.look_through import task_names
from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe.metrics._predictions import type_name
from sklearn_mmoe.model_selection._cross_val_predict import _splitter
from sklearn_mmoe.model_selection._shuffle_split import MultiTaskStratifiedShuffleSplit

__all__ = ["HeldOut", "held_out_parts", "matched_with_prefit"]


@dataclass
class HeldOut:
    """What an estimator says about rows that it was not fitted on.

    Attributes
    ----------
    estimator : estimator or None
        Fitted; None where it is not needed any more.
    rows : ndarray of int of shape (n_rows,)
        Which rows of X these are.
    classes : list of ndarray of shape (n_classes,) or None
        Each task's classes; None for a regression.
    answers : list of ndarray of shape (n_rows, ...) or None
        What each task was asked for; None where it was not asked.
    """

    estimator: Any
    rows: np.ndarray
    classes: list[Any]
    answers: list[Any]


def matched_with_prefit(wrapper: Any, targets: TaskColumns) -> TaskColumns:
    """Check that the wrapper's estimator is fitted, and bring the tasks into its order.

    Raises
    ------
    ValueError
        If the wrapper is to fit it again, or its tasks are others.
    NotFittedError
        If it is not fitted.
    """
    if wrapper.refit:
        raise ValueError("When cv='prefit', refit cannot be True.")
    try:
        check_is_fitted(wrapper.estimator)
    except NotFittedError as error:
        raise NotFittedError("When cv='prefit', `estimator` must be fitted.") from error
    names = task_names(wrapper.estimator)
    if names is None:
        return targets
    return targets.matched(names, type_name(wrapper.estimator))


def held_out_parts(
    wrapper: Any,
    X: Any,
    y: Any,
    targets: TaskColumns,
    routed: Any,
    ask: Callable[..., HeldOut],
) -> list[HeldOut]:
    """Ask an estimator about the rows of each fold that it was not fitted on.

    Parameters
    ----------
    wrapper : estimator
        Has the parameters `estimator`, `cv`, `refit`, `n_jobs` and `random_state`.
    X, y : object
        As ``fit`` was given them.
    targets : TaskColumns
        y, taken apart.
    routed : Bunch
        Parameters of the estimator's ``fit`` and of the splitter's ``split``.
    ask : callable
        Called as ``ask(estimator, X, targets, rows, whose_classes)``.

    Returns
    -------
    list of HeldOut
        One for each fold; with the fitted estimators if the wrapper does not refit.

    Raises
    ------
    ValueError
        If the wrapper does not refit, and there are several folds.
    """
    if isinstance(wrapper.cv, str):
        rows = np.arange(_num_samples(X))
        return [ask(wrapper.estimator, X, targets, rows, None)]
    if isinstance(wrapper.cv, Real) and not isinstance(wrapper.cv, Integral):
        splitter: Any = MultiTaskStratifiedShuffleSplit(
            1, test_size=float(wrapper.cv), random_state=wrapper.random_state
        )
    else:
        splitter = _splitter(wrapper.cv, targets)
    with warnings.catch_warnings():
        if wrapper.cv is None or isinstance(wrapper.cv, Real):
            # Nobody asked for folds that are stratified by every value.
            warnings.filterwarnings("ignore", "The (tasks|class) ", UserWarning)
        folds = list(splitter.split(X, y, **routed.splitter.split))
    if not wrapper.refit and len(folds) > 1:
        raise ValueError("When cv has several folds, refit cannot be False.")
    return Parallel(n_jobs=wrapper.n_jobs)(
        delayed(_fit_and_ask)(
            clone(wrapper.estimator),
            X,
            y,
            targets,
            fold,
            routed.estimator.fit,
            ask,
            keep=not wrapper.refit,
        )
        for fold in folds
    )


def _fit_and_ask(
    estimator: Any,
    X: Any,
    y: Any,
    targets: TaskColumns,
    fold: tuple[Any, Any],
    params: dict[str, Any],
    ask: Callable[..., HeldOut],
    keep: bool,
) -> HeldOut:
    """Fit an estimator on some rows and ask it about the others."""
    train, test = fold
    estimator.fit(
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        **_check_method_params(X, params, indices=train),
    )
    rows = np.arange(_num_samples(X))[test]
    held_out = ask(estimator, _safe_indexing(X, test), targets, rows, targets)
    return held_out if keep else replace(held_out, estimator=None)
