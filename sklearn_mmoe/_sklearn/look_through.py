"""The look through searches, pipelines and wrappers, at the estimator inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.frozen import FrozenEstimator

__all__ = ["inward", "last_step", "task_names", "transformed"]

# Fitted attributes that our own wrappers are known by.
_OF_WRAPPERS = ("best_thresholds_", "n_calibration_", "n_rows_validation_")


def inward(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and, in turn, what its search, pipeline or wrapper holds."""
    while True:
        yield estimator
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif any(hasattr(estimator, name) for name in _OF_WRAPPERS):
            estimator = estimator.estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            return


def last_step(estimator: Any) -> Any:
    """Look through all of these for the estimator that knows the tasks."""
    *_, last = inward(estimator)
    return last


def task_names(estimator: Any) -> list[str] | None:
    """Return the tasks' names as something inside knows them; None if nothing does."""
    for inner in inward(estimator):
        names = getattr(inner, "task_names_", None)
        if names is not None:
            return names
    return None


def transformed(estimator: Any, X: Any) -> Any:
    """Bring X through the steps before the last, as ``predict`` does."""
    for outer in inward(estimator):
        if len(getattr(outer, "steps", [])) > 1:
            X = outer[:-1].transform(X)
    return X
