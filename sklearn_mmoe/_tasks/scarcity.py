"""Tasks of many labels beside tasks of few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._tasks.columns import split_columns

__all__ = ["groups_by_targets", "share_of_scarcest"]

# What is chosen by fewer targets than these is chosen by chance.
_ENOUGH = 50
# Tasks of one group have at most this many times as many targets as one another,
_ALIKE = 2
# but in the last of so many groups are all that have fewer: each has its members.
_MOST_GROUPS = 3


def groups_by_targets(counts: Sequence[int] | np.ndarray) -> list[tuple[int, ...]]:
    """Put tasks together that have about as many targets.

    Parameters
    ----------
    counts : sequence of int of shape (n_tasks,)
        Number of targets of each task.

    Returns
    -------
    list of tuple of int
        The indices of the tasks of each group, in their order. The first group has the
        task of most targets, and all tasks that have too few to choose anything by.
    """
    groups: list[list[int]] = []
    for k in np.argsort(-np.asarray(counts), kind="stable").tolist():
        if groups and counts[k] < _ENOUGH:
            groups[0].append(k)
        elif len(groups) == _MOST_GROUPS or (
            groups and counts[k] * _ALIKE >= counts[groups[-1][0]]
        ):
            groups[-1].append(k)
        else:
            groups.append([k])
    return [tuple(sorted(group)) for group in groups]


def share_of_scarcest(y: Any) -> float:
    """Return how many targets the scarcest task has for each one of the others' most.

    It is 1 where no task has far fewer than another, and where y is None or no table
    of targets.
    """
    try:
        observed = [] if y is None else split_columns(y).observed
    except (TypeError, ValueError):  # whoever learns from it will say so
        observed = []
    counts = [np.count_nonzero(of_task) for of_task in observed]
    if not counts or min(counts) * _ALIKE >= max(counts):
        return 1.0
    return min(counts) / max(counts)
