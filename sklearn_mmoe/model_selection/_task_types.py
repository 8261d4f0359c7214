"""The types of tasks, which all rows decide on and not those of one fold."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe.estimators._mixed import MultiTaskMMoEMixed

__all__ = ["with_task_types"]


def with_task_types(estimator: Any, targets: TaskColumns) -> Any:
    """Tell a clone of an estimator what the tasks are, by all of their targets.

    A fold that lacks some values of a count may look like a classification where the
    others do not, and what the folds say of it could not be put together.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any estimator, which ends in a MultiTaskMMoEMixed or in another.
    targets : TaskColumns
        The targets of all rows.

    Returns
    -------
    estimator
        A clone, with `task_types` of all tasks.

    Raises
    ------
    ValueError
        If the 'task_types' that it has are not those of these tasks.
    """
    estimator = clone(estimator)
    last = _given_all_targets(estimator)
    if isinstance(last, MultiTaskMMoEMixed):
        last.set_params(task_types=last._types(targets, None))
    return estimator


def _given_all_targets(estimator: Any) -> Any:
    """Look through what hands y on as it is: pipelines, and what cross-validates.

    Others may hand on one column of it, or other values.
    """
    while True:
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "refit") and hasattr(estimator, "estimator"):
            estimator = estimator.estimator
        else:
            return estimator
