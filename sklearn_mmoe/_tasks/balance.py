"""Parts of any size, and groups that stay together, with their share of every task.

Rows of one size of fold are dealt out by :mod:`sklearn_mmoe._tasks.folds`. Here what is
dealt out has contents: how many rows of each label, and the sums of numbers. The less
the contents of the parts differ from their share of the whole, in the sum of squares,
the better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.intervals import holds_intervals, representatives
from sklearn_mmoe._tasks.tasks import check_labels

__all__ = ["label_codes", "share_columns", "spread_groups", "spread_over_parts"]

# Numbers are stratified by their quantiles, and by their sum.
_N_BINS = 10
# Passes over all units that may still change their part, and steps in all of these.
_MAX_PASSES = 20
_MAX_STEPS = 100_000
# Each of so many units is compared with each other.
_MAX_SWAPPED = 500


def label_codes(targets: TaskColumns, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Assign numbers to the labels of a task.

    Parameters
    ----------
    targets : TaskColumns
        The targets of all tasks.
    k : int
        Which task.

    Returns
    -------
    codes : ndarray of int of shape (n_samples,)
        Numbers from 0, in the order of the labels; a missing one has the last.
    classes : ndarray of shape (n_classes,)
        The labels.

    Raises
    ------
    ValueError
        If the labels cannot be told apart.
    """
    observed, labels = targets.observed[k], targets.values(k)
    check_labels(targets.names[k], labels, "Stratified splitting")
    classes, found = np.unique(labels, return_inverse=True)
    codes = np.full(len(observed), len(classes))
    codes[observed] = found
    return codes, classes


def share_columns(
    targets: TaskColumns, are_labels: Sequence[bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Turn targets into what the parts shall have their share of.

    Parameters
    ----------
    targets : TaskColumns
        The targets of all tasks.
    are_labels : sequence of bool
        For each task whether it has labels, rather than real numbers.

    Returns
    -------
    codes : ndarray of int of shape (n_samples, n_tasks)
        Numbers of labels, or of quantiles, which no two tasks share; a missing target
        has one of its own.
    values : ndarray of shape (n_samples, n_numeric)
        The numbers, standardised; 0 where they are missing.

    Raises
    ------
    ValueError
        If labels cannot be told apart, or a number is infinite.
    """
    columns, values = [], []
    start = 0
    for k, has_labels in enumerate(are_labels):
        if has_labels:
            codes, classes = label_codes(targets, k)
            n_codes = len(classes) + 1
        else:
            observed, numbers = targets.observed[k], _numbers(targets.values(k))
            if np.isinf(numbers).any():
                raise ValueError(
                    f"Input y contains infinity in the task {targets.names[k]!r}."
                )
            edges = np.quantile(numbers, np.arange(1, _N_BINS) / _N_BINS)
            codes = np.full(len(observed), _N_BINS)
            codes[observed] = np.searchsorted(edges, numbers, side="right")
            n_codes = _N_BINS + 1
            standard = np.zeros(len(observed))
            standard[observed] = (numbers - numbers.mean()) / (numbers.std() or 1.0)
            values.append(standard)
        columns.append(start + codes)
        start += n_codes
    empty = np.zeros((len(columns[0]), 0))
    return np.column_stack(columns), np.column_stack(values) if values else empty


def _numbers(values: np.ndarray) -> np.ndarray:
    """Return values as floats; of intervals one number each."""
    return representatives(values) if holds_intervals(values) else values.astype(float)


def spread_over_parts(codes: np.ndarray, sizes: Sequence[int], rng: Any) -> np.ndarray:
    """Assign rows to parts of given sizes.

    Rows of the same codes are dealt out in proportion to the sizes. What remains goes
    where it is most wanted, and is exchanged while that brings the parts closer to
    their shares. Means of numbers are no aim here: a small part would never get the
    rows that are far out, and errors measured on it would be too low.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples, n_tasks)
        As :func:`share_columns` returns them.
    sizes : sequence of int
        How many rows each part has; all rows together.
    rng : RandomState
        Shuffles the rows.

    Returns
    -------
    ndarray of int of shape (n_samples,)
        The part of each row.
    """
    n_samples = len(codes)
    room = np.asarray(sizes)
    group = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
    order = rng.permutation(n_samples)
    order = order[np.argsort(group[order], kind="stable")]
    n_rows = np.bincount(group)
    starts = np.cumsum(n_rows) - n_rows
    rank = np.empty(n_samples, dtype=np.int64)  # of a row within its group
    rank[order] = np.arange(n_samples) - np.repeat(starts, n_rows)
    # Whole rows of each group for each part; the part after the last is not yet one.
    ends = np.cumsum(n_rows[:, None] * room // n_samples, axis=1)
    part = (rank[:, None] >= ends[group]).sum(axis=1)
    loose = np.flatnonzero(part == len(room))

    contents = _contents(codes, np.zeros((n_samples, 0)), np.arange(n_samples))
    dealt = [
        np.asarray(contents[part == p].sum(axis=0)).ravel() for p in range(len(room))
    ]
    wanted = np.asarray(contents.sum(axis=0)).ravel()[:, None] * room / n_samples
    need = np.column_stack(dealt) - wanted  # below 0: something is missing
    room = room - np.bincount(part, minlength=len(room) + 1)[:-1]
    units = contents[loose]
    order = _large_first(units, rng)
    placed = _deal(units, need, order, room)
    for _ in range(_MAX_PASSES):
        if not _swap(units, need, order, placed):
            break
    part[loose] = placed
    return part


def spread_groups(
    codes: np.ndarray, values: np.ndarray, group: np.ndarray, n_splits: int, rng: Any
) -> np.ndarray:
    """Assign groups of rows to folds.

    The largest groups, and those with the rarest labels, choose first. Then groups move
    to another fold, or change places, while that brings the folds closer to their
    shares. No fold stays empty.

    Parameters
    ----------
    codes, values : ndarray
        As :func:`share_columns` returns them.
    group : ndarray of int of shape (n_samples,)
        The group of each row, counted from 0.
    n_splits : int
        Number of folds, not more than there are groups.
    rng : RandomState or None
        Shuffles the groups; None keeps their order.

    Returns
    -------
    ndarray of int of shape (n_groups,)
        The fold of each group.
    """
    units = _contents(codes, values, group)
    n_groups = units.shape[0]
    share = np.asarray(units.sum(axis=0)).ravel() / n_splits
    need = np.repeat(-share[:, None], n_splits, axis=1)
    order = _large_first(units, rng)
    fold = _deal(units, need, order, np.full(n_splits, n_groups), least=1)
    for _ in range(min(_MAX_PASSES, 1 + _MAX_STEPS // n_groups)):
        moved = _move(units, need, order, fold)
        if not _swap(units, need, order, fold) and not moved:
            break
    return fold


def _contents(
    codes: np.ndarray, values: np.ndarray, unit: np.ndarray
) -> sparse.csr_matrix:
    """Add up what the rows of each unit bring.

    Returns
    -------
    csr_matrix of shape (n_units, n_contents)
        Counts of the codes, the number of rows, and sums of values, scaled so that the
        square of a difference means the same in all of them: what chance makes of it
        does not depend on how frequent a label is.
    """
    n_samples = len(codes)
    # One more label, which all rows have, keeps the sizes of the parts even.
    labels = np.column_stack([codes, np.full(n_samples, codes.max() + 1)])
    ends = np.arange(n_samples + 1) * labels.shape[1]
    counts = sparse.csr_matrix((np.ones(labels.size), labels.ravel(), ends))
    # All labels or quantiles of a task together weigh as much as the sum of its
    # numbers, or as the number of rows.
    n_rows = np.bincount(labels.ravel())
    for of_task in map(np.unique, labels.T):
        n_rows[of_task] *= len(of_task)
    total = np.concatenate([n_rows, (values**2).sum(axis=0)])
    scale = 1 / np.sqrt(np.maximum(total, 1e-9))
    rows = sparse.hstack([counts, sparse.csr_matrix(values)], format="csr")
    rows.data *= scale[rows.indices]
    of_unit = sparse.csr_matrix((np.ones(n_samples), (unit, np.arange(n_samples))))
    return of_unit @ rows


def _large_first(units: sparse.csr_matrix, rng: Any) -> np.ndarray:
    """Order units by their squared contents, so that the hardest to place come first.

    Where they are shuffled, what differs by less than the factor 2 counts as equal.
    """
    size = np.asarray(units.multiply(units).sum(axis=1)).ravel()
    if rng is None:
        return np.argsort(-size, kind="stable")
    order = rng.permutation(len(size))
    size = np.round(np.log2(np.maximum(size, 1e-300)))
    return order[np.argsort(-size[order], kind="stable")]


def _row(units: sparse.csr_matrix, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where a unit's contents are, and what."""
    span = slice(units.indptr[unit], units.indptr[unit + 1])
    return units.indices[span], units.data[span]


def _deal(
    units: sparse.csr_matrix,
    need: np.ndarray,
    order: np.ndarray,
    room: np.ndarray,
    least: int = 0,
) -> np.ndarray:
    """Put each unit into the part that wants it most; changes `need`.

    A part takes at most `room` units, and at least `least`.
    """
    part = np.empty(len(order), dtype=np.int64)
    taken = np.zeros(len(room), dtype=np.int64)
    for n_left, unit in zip(range(len(order), 0, -1), order, strict=True):
        where, what = _row(units, unit)
        # Adding d to x raises its square by 2 d x + d^2; the latter is always the same.
        cost = what @ need[where]
        cost[taken >= room] = np.inf
        if n_left <= np.maximum(least - taken, 0).sum():
            cost[taken >= least] = np.inf
        best = cost.argmin()
        part[unit] = best
        taken[best] += 1
        need[where, best] += what
    return part


def _move(
    units: sparse.csr_matrix, need: np.ndarray, order: np.ndarray, part: np.ndarray
) -> bool:
    """Move units where that lowers the sum of squares; say if any was moved."""
    changed = False
    taken = np.bincount(part, minlength=need.shape[1])
    for unit in order:
        if taken[part[unit]] == 1:  # no part becomes empty
            continue
        where, what = _row(units, unit)
        need[where, part[unit]] -= what
        cost = what @ need[where]
        best = cost.argmin()
        if cost[best] < cost[part[unit]] - 1e-9:
            taken[part[unit]] -= 1
            taken[best] += 1
            part[unit] = best
            changed = True
        need[where, part[unit]] += what
    return changed


def _swap(
    units: sparse.csr_matrix, need: np.ndarray, order: np.ndarray, part: np.ndarray
) -> bool:
    """Let units change places where that lowers the sum of squares; say if any did."""
    changed = False
    some = order[-_MAX_SWAPPED:]  # the smallest
    contents = units[some].toarray()
    squares = (contents**2).sum(axis=1)
    everyone = np.arange(len(some))
    for i, unit in enumerate(some):
        here, there = part[unit], part[some]
        # With d what this unit has more than another, x the need here and y there, the
        # squares (x - d)^2 + (y + d)^2 are x^2 + y^2 + 2 d (y - x) + 2 d^2.
        needed = contents @ need
        by_this = needed[i, there] - needed[i, here]
        by_that = needed[everyone, there] - needed[:, here]
        square = squares[i] + squares - 2 * contents @ contents[i]
        cost = by_this - by_that + square
        best = cost.argmin()
        if cost[best] < -1e-9:
            difference = contents[i] - contents[best]
            need[:, here] -= difference
            need[:, there[best]] += difference
            part[unit], part[some[best]] = there[best], here
            changed = True
    return changed
