"""Tasks of many labels beside tasks of few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._tasks.columns import split_columns

__all__ = ["deciding_tasks", "groups_by_targets", "share_of_scarcest"]

# What is chosen by fewer targets than these is chosen by chance.
_ENOUGH = 50
# Tasks of one group have at most this many times as many targets as one another,
_ALIKE = 2
# but in the last of so many groups are all that have fewer: each has its members.
_MOST_GROUPS = 3


def groups_by_targets(
    counts: Sequence[int] | np.ndarray, linked: Iterable[tuple[int, int]] = ()
) -> list[tuple[int, ...]]:
    """Put tasks together that have about as many targets.

    Parameters
    ----------
    counts : sequence of int of shape (n_tasks,)
        Number of targets of each task.
    linked : iterable of (int, int), default=()
        Pairs of tasks that are to be in one group all the same.

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
    for pair in linked:
        first, other = sorted(i for k in pair for i, g in enumerate(groups) if k in g)
        if first != other:
            groups[first] += groups.pop(other)
    return [tuple(sorted(group)) for group in groups]


def deciding_tasks(
    group: Sequence[int], counts: Sequence[int] | np.ndarray
) -> list[int]:
    """Leave out tasks of a group that have too few targets beside another of many."""
    most = max(counts[k] for k in group)
    return [k for k in group if counts[k] >= min(_ENOUGH, most / _ALIKE)]


def share_of_scarcest(y: Any) -> float:
    """Return how many targets the scarcest task has for each one of the others' most.

    It is 1 where no task has far fewer than another, and where y is None or no table
    of targets. Tasks that have too few to choose anything by do not count.
    """
    try:
        observed = [] if y is None else split_columns(y).observed
    except (TypeError, ValueError):  # whoever learns from it will say so
        observed = []
    counts = [np.count_nonzero(of_task) for of_task in observed]
    fewest = min((n for n in counts if n >= _ENOUGH), default=0)
    if not fewest or fewest * _ALIKE >= max(counts):
        return 1.0
    return fewest / max(counts)
