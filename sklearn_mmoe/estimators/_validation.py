"""Early stopping's rows and metric, checked before training and scored during it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing

from sklearn_mmoe.estimators._calibration import is_calibrating
from sklearn_mmoe.estimators._fit_data import FitData
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.metrics._scoring import accepts_sample_weight, warn_once

__all__ = [
    "check_task_weighting",
    "check_validation_arguments",
    "find_scorer",
    "validation_score",
]


def check_validation_arguments(
    estimator: Any, X_val: Any, y_val: Any, sample_weight_val: Any
) -> None:
    """Check what can be known to be wrong before anything is read."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together.")
    if X_val is None and sample_weight_val is not None:
        raise ValueError("sample_weight_val is for X_val and y_val; give them too.")
    used = estimator.early_stopping or is_calibrating(estimator)
    if X_val is not None and not used:
        raise ValueError(
            "X_val and y_val are what early stopping watches; set "
            "early_stopping=True, or leave them out. A classifier's calibration="
            "'temperature' takes them too."
        )


# Of a density the logarithm may have either sign.
_MAY_BE_NEGATIVE = ("tobit",)
_OF_POSITIVE_LOSSES = ("uncertainty", "dwa", "lbtw", "gradnorm")


def check_task_weighting(estimator: Any, tasks: Sequence[Any]) -> None:
    """Refuse to weigh tasks by their losses where these may be negative.

    Raises
    ------
    ValueError
        If a task has such a loss.
    """
    weighting = estimator.task_weighting
    negative = [task.name for task in tasks if task.loss in _MAY_BE_NEGATIVE]
    if len(tasks) > 1 and negative and weighting in _OF_POSITIVE_LOSSES:
        raise ValueError(
            f"The 'task_weighting' parameter is {weighting!r}, which takes losses that "
            f"are positive; that of the tasks {negative}, 'tobit', may be negative. "
            "Set it to 'uniform' or 'pcgrad'."
        )


def find_scorer(estimator: Any) -> Callable[..., Any] | None:
    """Find what `early_stopping_metric` names; None stands for the loss.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.
    """
    metric = estimator.early_stopping_metric
    if not isinstance(metric, str):
        return metric
    if metric == "loss":
        return None
    try:
        return mean_task_scorer(metric)
    except ValueError as error:
        raise ValueError(
            f"The 'early_stopping_metric' parameter must be 'loss', the name of a "
            f"scorer of scikit-learn, or a scorer, got {metric!r}: {error}"
        ) from error


def validation_score(
    estimator: Any,
    data: FitData,
    scorer: Callable[..., Any] | None,
    task_weight: Sequence[float] = (),
) -> Callable[[], float]:
    """Make a function that scores the validation rows; greater is better.

    Parameters
    ----------
    estimator : estimator
        The one that is being fitted.
    data : FitData
        The validation rows.
    scorer : callable or None
        From :func:`find_scorer`.
    task_weight : sequence of float, default=()
        What the loss of each task is multiplied by; empty where all are alike.

    Returns
    -------
    callable
        Called without arguments, it returns a float for the network as it is then.
    """
    engine = estimator._engine
    if scorer is None:
        task_data = data.for_training(engine.spec.dtype)
        return lambda: -engine.loss(task_data, task_weight)
    # Not every sparse format has rows that can be taken out.
    X: Any = data.X
    if hasattr(X, "tocsr"):
        X = X.tocsr()
    X, y = _safe_indexing(X, data.rows), _safe_indexing(data.y, data.rows)
    weight: dict[str, Any] = {}
    if data.sample_weight is not None and accepts_sample_weight(scorer):
        weight["sample_weight"] = _safe_indexing(data.sample_weight, data.rows)
    return warn_once(lambda: _one_number(scorer(estimator, X, y, **weight)))


def _one_number(score: Any) -> float:
    if isinstance(score, Mapping):
        raise TypeError(
            "The 'early_stopping_metric' parameter must return one number, got "
            f"{dict(score)}; take mean_task_scorer or task_scorer."
        )
    try:
        if np.ndim(score) == 0:
            return float(score)
    except (TypeError, ValueError):
        pass
    raise TypeError(
        f"The 'early_stopping_metric' parameter must return one number, got {score!r}."
    )
