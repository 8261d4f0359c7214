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
        Any estimator, with a MultiTaskMMoEMixed in it or without.
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
    inner = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    for found in (estimator, *inner):
        # A frozen one is fitted, and no clone.
        if isinstance(found, MultiTaskMMoEMixed) and not hasattr(found, "task_names_"):
            found.set_params(task_types=found._types(targets, None))
    return estimator
