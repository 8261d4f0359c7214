"""The look through searches and pipelines, at the estimator inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sklearn.frozen import FrozenEstimator

__all__ = ["inward", "last_step"]


def inward(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and, in turn, what its search or pipeline ends in."""
    while True:
        yield estimator
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            return


def last_step(estimator: Any) -> Any:
    """Look through searches and pipelines for the estimator that knows the tasks."""
    *_, last = inward(estimator)
    return last
