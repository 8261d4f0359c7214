"""Scores of regressions where of some targets no more than bounds are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import metrics

from sklearn_mmoe._tasks.deviation import root_mean_square
from sklearn_mmoe._tasks.intervals import best_constant, closest_values, to_pandas

__all__ = ["is_of_sklearn", "scorer_of_intervals"]


def is_of_sklearn(scorer: Any) -> bool:
    """Whether a scorer's metric is one of scikit-learn's, which takes values alone."""
    metric = getattr(scorer, "_score_func", None)
    return metric is not None and metric.__module__.startswith("sklearn.")


def _r2(
    y_true: np.ndarray,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    force_finite: bool = True,
    **_: Any,
) -> Any:
    """R2 whose errors are the distances to intervals, beside the best constant's."""
    if len(y_true) < 2:
        return metrics.r2_score(np.zeros(len(y_true)), y_pred)  # NaN, with a warning
    constant = best_constant(y_true, sample_weight)
    error, of_constant = (
        root_mean_square(closest_values(y_true, predicted) - predicted, sample_weight)
        for predicted in (np.asarray(y_pred), constant)
    )
    if of_constant > 0:
        return 1 - (error / of_constant) ** 2
    # As scikit-learn has it for targets that are all the same.
    if force_finite:
        return float(error == 0)
    return float("nan") if error == 0 else -float("inf")


# Metrics that depend on the error alone: of an interval it is the distance to it.
_OF_ERRORS = (
    metrics.mean_squared_error,
    metrics.root_mean_squared_error,
    metrics.mean_absolute_error,
    metrics.median_absolute_error,
    metrics.max_error,
)
_TAKING = "'r2', 'neg_mean_squared_error', 'neg_mean_absolute_error' and the like"


def _of_distances(metric: Callable[..., Any]) -> Callable[..., Any]:
    def measure(y_true: np.ndarray, y_pred: Any, **more: Any) -> Any:
        return metric(closest_values(y_true, y_pred), y_pred, **more)

    return measure


def scorer_of_intervals(scorer: Any) -> Any:
    """Turn a scorer of values into one of intervals.

    Parameters
    ----------
    scorer : callable
        Called as ``scorer(estimator, X, y)``.

    Returns
    -------
    callable
        The same, of intervals.

    Raises
    ------
    ValueError
        If it is a metric of scikit-learn of which it cannot be told what it would be.
    """
    metric = getattr(scorer, "_score_func", None)
    if metric is metrics.r2_score:
        measure: Callable[..., Any] = _r2
    elif metric in _OF_ERRORS:
        measure = _of_distances(metric)
    elif is_of_sklearn(scorer):
        raise ValueError(
            f"some targets are intervals, of which {_TAKING} can be computed. A metric "
            "of your own is given the intervals, as an array of pandas"
        )
    else:
        return lambda estimator, X, y, **more: scorer(
            estimator, X, to_pandas(y), **more
        )
    return type(scorer)(measure, scorer._sign, scorer._kwargs, scorer._response_method)
