"""Tasks whose event happens only after that of another: a purchase after a click."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._tasks.columns import task_index
from sklearn_mmoe._tasks.encode import EncodedTargets
from sklearn_mmoe._tasks.kinds import LINKS

__all__ = ["dependency_pairs", "follow_dependencies"]


def dependency_pairs(
    dependencies: Mapping[Any, Any] | None, tasks: Sequence[Any]
) -> tuple[tuple[int, int], ...]:
    """Bring `task_dependencies` to pairs of indices.

    Parameters
    ----------
    dependencies : mapping or None
        For a task the task whose event must come first, by names or indices.
    tasks : sequence of LabelTask or ValueTask
        The tasks.

    Returns
    -------
    tuple of (int, int)
        The later task and the earlier one; what a task depends on stands before it.

    Raises
    ------
    ValueError
        If there is no such task, one is no classification of two classes, or they wait
        for each other.
    """
    names = [task.name for task in tasks]
    earlier = {
        task_index(later, names): task_index(first, names)
        for later, first in (dependencies or {}).items()
    }
    for k in {*earlier, *earlier.values()}:
        if LINKS[tasks[k].kind] != "logit" or tasks[k].units > 1:
            raise ValueError(
                "The 'task_dependencies' parameter takes classifications of two "
                f"classes, but the task {names[k]!r} {_what_it_is(tasks[k])}."
            )
    pairs: list[tuple[int, int]] = []
    waiting = dict(earlier)
    while waiting:
        ready = [k for k, first in waiting.items() if first not in waiting]
        if not ready:
            raise ValueError(
                f"The tasks {[names[k] for k in waiting]} depend on each other in a "
                "circle by the 'task_dependencies' parameter. Leave one of them out."
            )
        pairs += [(k, waiting.pop(k)) for k in ready]
    return tuple(pairs)


def _what_it_is(task: Any) -> str:
    if task.type == "regression":
        return "is a regression"
    return f"has {len(task.classes)}: {task.classes.tolist()}"


def follow_dependencies(
    pairs: Sequence[tuple[int, int]], tasks: Sequence[Any], targets: EncodedTargets
) -> EncodedTargets:
    """Fill in what follows from the earlier event, and refuse what contradicts it.

    Without the earlier event there was none of the later one, also where that is
    missing.

    Parameters
    ----------
    pairs : sequence of (int, int)
        The later task and the earlier one.
    tasks : sequence of LabelTask or ValueTask
        The tasks.
    targets : EncodedTargets
        Their targets.

    Returns
    -------
    EncodedTargets
        The targets, with the later event's absence wherever it follows.

    Raises
    ------
    ValueError
        If a row has the later event without the earlier one.
    """
    if not pairs:
        return targets
    columns, codes = list(targets.columns), list(targets.codes)
    observed = targets.observed.copy()
    for later, first in pairs:
        code, before = codes[later], codes[first]
        assert code is not None  # both are classifications
        assert before is not None
        never = observed[:, first] & (before == 0)
        wrong = np.flatnonzero(never & observed[:, later] & (code == 1))
        if len(wrong):
            raise ValueError(
                f"By task_dependencies there is no {tasks[later].name!r} without "
                f"{tasks[first].name!r}, but {len(wrong)} rows of y have "
                f"{tasks[later].name}={tasks[later].classes.tolist()[1]!r} and "
                f"{tasks[first].name}={tasks[first].classes.tolist()[0]!r}, first in "
                f"row {wrong[0]}. Correct these rows, or leave the dependency out."
            )
        codes[later] = np.where(never, 0, code)
        columns[later] = tasks[later].encode_codes(codes[later])
        observed[:, later] |= never
    return dataclasses.replace(targets, columns=columns, codes=codes, observed=observed)
