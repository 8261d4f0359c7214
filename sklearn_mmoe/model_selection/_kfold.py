"""Splitting rows so that every task keeps its shares of classes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, indexable

from sklearn_mmoe._tasks.columns import TaskColumns, split_columns
from sklearn_mmoe._tasks.tasks import MANY_VALUES, check_labels, has_fractions

# Passes over the rows that may still change their fold.
_MAX_PASSES = 20


def is_stratified(targets: TaskColumns, k: int, n_splits: int) -> bool:
    """Tell whether a task has labels to stratify by, rather than real numbers.

    Whole numbers are labels if they are few, or if there are, on the average, as many
    rows of each of them as there are folds.
    """
    values = targets.values(k)
    if values.dtype.kind not in "iuf":
        return True
    if has_fractions(values) or np.isinf(values).any():
        return False
    n_labels = len(np.unique(values))
    return n_labels <= MANY_VALUES or n_labels * n_splits <= len(values)


def _label_columns(y: Any, n_splits: int) -> np.ndarray:
    """Assign numbers to the labels of all tasks; a missing label is one of its own.

    Returns
    -------
    ndarray of int of shape (n_samples, n_tasks)
        Numbers that no two tasks share, counted from 0.
    """
    targets = split_columns(y)
    kept = [k for k in range(len(targets)) if is_stratified(targets, k, n_splits)]
    numeric = [name for k, name in enumerate(targets.names) if k not in kept]
    if not kept:
        raise ValueError(
            f"The tasks {numeric} are continuous: there are no labels to stratify by. "
            "Take sklearn.model_selection.KFold."
        )
    if numeric:
        warnings.warn(
            f"The tasks {numeric} have real or too many different numbers; the folds "
            "are stratified by the other tasks alone.",
            UserWarning,
            stacklevel=4,
        )
    columns = []
    start = 0
    for k in kept:
        observed, labels = targets.observed[k], targets.values(k)
        check_labels(targets.names[k], labels, "Stratified splitting")
        classes, found = np.unique(labels, return_inverse=True)
        counts = np.bincount(found)
        if len(classes) and counts.min() < n_splits:
            label = classes.tolist()[counts.argmin()]
            warnings.warn(
                f"The class {label!r} of the task {targets.names[k]!r} has only "
                f"{counts.min()} rows, fewer than n_splits={n_splits}; some folds will "
                "lack it.",
                UserWarning,
                stacklevel=4,
            )
        codes = np.full(len(observed), len(classes))
        codes[observed] = found
        columns.append(start + codes)
        start += len(classes) + 1
    return np.column_stack(columns)


def _spread(labels: np.ndarray, n_splits: int, rng: Any) -> np.ndarray:
    """Assign rows to folds.

    Rows of the same labels in all tasks are dealt out evenly. What remains of each
    such group, fewer rows than folds, goes where its labels are most wanted, and moves
    on while that brings the counts of labels closer to even.

    Parameters
    ----------
    labels : ndarray of int of shape (n_samples, n_tasks)
        Numbers of the labels.
    n_splits : int
        Number of folds.
    rng : numpy.random.RandomState or None
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
            for b in loose[:i]:
                changed |= _swap(labels, a, b, fold, need)
    return changed


def _swap(
    labels: np.ndarray, a: int, b: int, fold: np.ndarray, need: np.ndarray
) -> bool:
    """Exchange the folds of two rows if that brings the counts closer to even."""
    f, g = fold[a], fold[b]
    if f == g:
        return False
    differ = labels[a] != labels[b]
    of_a, of_b = labels[a][differ], labels[b][differ]
    gain = (need[of_a, f] - need[of_a, g] + need[of_b, g] - need[of_b, f] - 2).sum()
    if gain <= 1e-9:
        return False
    need[of_a, f] -= 1
    need[of_a, g] += 1
    need[of_b, g] -= 1
    need[of_b, f] += 1
    fold[a], fold[b] = g, f
    return True


class MultiTaskStratifiedKFold(BaseCrossValidator):
    """K folds that keep the shares of the classes of every task.

    Rows are dealt out by their joint labels; where these are too rare to be in every
    fold, so that the counts of each task's classes stay as even as they can. Missing
    labels are spread evenly too. Tasks of real numbers, which have no classes, are left
    out, with a warning.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the rows of the same labels first.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; must be None without it.

    Raises
    ------
    ValueError
        If `n_splits` is less than 2, or `random_state` is given without `shuffle`.

    See Also
    --------
    sklearn.model_selection.StratifiedKFold : The same for one task.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 3)
    >>> for train, test in MultiTaskStratifiedKFold(3).split(y, y):
    ...     print(y[test].mean(axis=0))
    [0.5 0.5]
    [0.5 0.5]
    [0.5 0.5]
    """

    n_splits: int
    shuffle: bool
    random_state: Any

    def __init__(
        self, n_splits: int = 5, *, shuffle: bool = False, random_state: Any = None
    ) -> None:
        if not isinstance(n_splits, Integral) or int(n_splits) < 2:
            raise ValueError(f"n_splits must be an int above 1, got {n_splits!r}.")
        if not isinstance(shuffle, bool):
            raise TypeError(f"shuffle must be True or False, got {shuffle!r}.")
        if not shuffle and random_state is not None:
            raise ValueError(
                "random_state has no effect without shuffle; leave it at None, or set "
                "shuffle=True."
            )
        self.n_splits = int(n_splits)
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            `n_splits`.
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train on and to test on, once for each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Says how many rows there are.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task: labels, which may be missing, or numbers. Real
            numbers are not stratified by, nor are more than 20 whole ones of which
            there are, on the average, fewer rows each than folds.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If y is None or of another length, has no column of labels, or there are
            fewer rows than folds.

        Warns
        -----
        UserWarning
            If a class has fewer rows than there are folds, or a task of numbers is
            left out.
        """
        if y is None:
            raise ValueError("MultiTaskStratifiedKFold splits by y, which is None.")
        X, *_ = indexable(X)
        check_consistent_length(X, y)
        labels = _label_columns(y, self.n_splits)
        if len(labels) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the {len(labels)} rows."
            )
        rng = check_random_state(self.random_state) if self.shuffle else None
        fold = _spread(labels, self.n_splits, rng)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_splits={self.n_splits}, "
            f"shuffle={self.shuffle}, random_state={self.random_state})"
        )
