"""Rows dealt out to folds, so that each fold has its share of every task's labels."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["spread_over_folds"]

# Passes over the rows that may still change their fold.
_MAX_PASSES = 20


def spread_over_folds(labels: np.ndarray, n_splits: int, rng: Any) -> np.ndarray:
    """Assign rows to folds.

    Rows of the same labels in all tasks are dealt out evenly. What remains of each
    such group, fewer rows than folds, goes where its labels are most wanted, and moves
    on while that brings the counts of labels closer to even.

    Parameters
    ----------
    labels : ndarray of int of shape (n_samples, n_tasks)
        Numbers of the labels, which no two tasks share, counted from 0.
    n_splits : int
        Number of folds.
    rng : RandomState, Generator or None
        Shuffles the rows; None keeps their order.

    Returns
    -------
    ndarray of int of shape (n_samples,)
        The fold of each row.
    """
    n_samples = len(labels)
    order = np.arange(n_samples) if rng is None else rng.permutation(n_samples)
    # One more label, which all rows have, keeps the sizes of the folds even.
    everything = np.full(n_samples, labels.max() + 1)
    labels = np.column_stack([labels, everything])
    group = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    order = order[np.argsort(group[order], kind="stable")]
    sizes = np.bincount(group)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    rank = np.empty(n_samples, dtype=np.int64)  # of a row within its group
    rank[order] = np.arange(n_samples) - np.repeat(starts, sizes)
    n_even = sizes // n_splits * n_splits
    fold = rank % n_splits
    loose = np.flatnonzero(rank >= n_even[group])

    counts = np.zeros((labels.max() + 1, n_splits))
    for column in labels.T:
        np.add.at(counts, (column, fold), 1)
        np.add.at(counts, (column[loose], fold[loose]), -1)
    wanted = np.bincount(labels.ravel())[:, None] / n_splits
    # The rarest labels choose first.
    rarity = wanted[labels[loose], 0].min(axis=1)
    loose = loose[np.argsort(rarity, kind="stable")]
    need = counts - wanted  # below 0: rows are missing
    for row in loose:
        fold[row] = need[labels[row]].sum(axis=0).argmin()
        need[labels[row], fold[row]] += 1
    for _ in range(_MAX_PASSES):
        if not _improve(labels, loose, fold, need):
            break
    return fold


def _improve(
    labels: np.ndarray, loose: np.ndarray, fold: np.ndarray, need: np.ndarray
) -> bool:
    """Move or swap loose rows while the squared differences fall; say if any did."""
    changed = False
    for row in loose:
        need[labels[row], fold[row]] -= 1
        # Adding one to x raises its square by 2 x + 1.
        cost = 2 * need[labels[row]].sum(axis=0)
        best = cost.argmin()
        if cost[best] < cost[fold[row]] - 1e-9:
            fold[row] = best
            changed = True
        need[labels[row], fold[row]] += 1
    if len(loose) <= 500:
        for i, a in enumerate(loose):
            changed |= _swap(labels, a, loose[:i], fold, need)
    return changed


def _swap(
    labels: np.ndarray, a: int, others: np.ndarray, fold: np.ndarray, need: np.ndarray
) -> bool:
    """Exchange a row's fold with those of others that bring counts closer to even."""
    changed = False
    while len(others):
        f, g = fold[a], fold[others]
        of_a, of_others = labels[a], labels[others]
        to_g = need[of_others, g[:, None]] - need[of_a, g[:, None]]
        gains = need[of_a, f] + to_g - need[of_others, f] - 2
        gain = np.where(of_a != of_others, gains, 0).sum(axis=1)
        better = (gain > 1e-9) & (f != g)
        if not better.any():
            break
        first = int(better.argmax())
        _exchange(labels, a, others[first], fold, need)
        changed, others = True, others[first + 1 :]
    return changed


def _exchange(
    labels: np.ndarray, a: int, b: int, fold: np.ndarray, need: np.ndarray
) -> None:
    """Exchange the folds of two rows."""
    f, g = fold[a], fold[b]
    differ = labels[a] != labels[b]
    of_a, of_b = labels[a][differ], labels[b][differ]
    need[of_a, f] -= 1
    need[of_a, g] += 1
    need[of_b, g] -= 1
    need[of_b, f] += 1
    fold[a], fold[b] = g, f
