"""Splitting rows so that every task keeps its shares of classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator
from sklearn.model_selection._split import _RepeatedSplits
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, indexable

from sklearn_mmoe._tasks.balance import label_codes, share_columns
from sklearn_mmoe._tasks.columns import TaskColumns, check_targets, split_columns
from sklearn_mmoe._tasks.folds import spread_over_folds
from sklearn_mmoe._tasks.intervals import holds_intervals
from sklearn_mmoe._tasks.rows import warn_of_row_order
from sklearn_mmoe._tasks.tasks import MANY_VALUES, has_fractions
from sklearn_mmoe._warnings import warn


def is_stratified(targets: TaskColumns, k: int, n_splits: int) -> bool:
    """Tell whether a task has labels to stratify by, rather than real numbers.

    Whole numbers are labels if they are few, or if there are, on the average, as many
    rows of each of them as there are folds.
    """
    values = targets.values(k)
    if holds_intervals(values):
        return False
    if values.dtype.kind not in "iuf":
        return True
    if has_fractions(values) or np.isinf(values).any():
        return False
    n_labels = len(np.unique(values))
    return n_labels <= MANY_VALUES or n_labels * n_splits <= len(values)


def _share_codes(y: Any, n_splits: int, regressions: Collection[str]) -> np.ndarray:
    """Assign numbers to labels, and to quantiles of real numbers, of all tasks.

    Returns
    -------
    ndarray of int of shape (n_samples, n_tasks)
        Numbers that no two tasks share, counted from 0; a missing target has one of
        its own.
    """
    targets = split_columns(y)
    are_labels = [
        is_stratified(targets, k, n_splits)
        and not (name in regressions and targets.observed[k].any())
        for k, name in enumerate(targets.names)
    ]
    for k in np.flatnonzero(are_labels).tolist():
        codes, classes = label_codes(targets, k)
        counts = np.bincount(codes[targets.observed[k]])
        if len(classes) and counts.min() < n_splits:
            label = classes.tolist()[counts.argmin()]
            warn(
                f"The class {label!r} of the task {targets.names[k]!r} has only "
                f"{counts.min()} rows, fewer than n_splits={n_splits}; some folds will "
                "lack it.",
                finding=("rare class", label, targets.names[k], n_splits),
            )
    return share_columns(targets, are_labels)[0]


class MultiTaskStratifiedKFold(BaseCrossValidator):
    """K folds that keep the shares of the classes of every task.

    Rows are assigned to folds by the labels of all tasks together. Where such a
    combination is too rare to be in every fold, the counts of each task's classes are
    kept as even as possible. Missing labels are spread evenly too. Of regressions,
    which have no classes, the tenths of their values are kept even, as
    :class:`MultiTaskStratifiedShuffleSplit` does.

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
            numbers are stratified by their tenths, and so are more than 20 whole ones
            of which there are, on the average, fewer rows each than folds.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If y is None or of another length, has an infinite number, or there are
            fewer rows than folds.

        Warns
        -----
        UserWarning
            If a class has fewer rows than there are folds, or X and y of
            pandas have the same row labels in another order.
        """
        yield from self._split(X, y)

    def _split(
        self, X: Any, y: Any, regressions: Collection[str] = ()
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Split as ``split`` does, where some tasks are known to be regressions."""
        if y is None:
            raise ValueError("MultiTaskStratifiedKFold splits by y, which is None.")
        check_targets(y)
        X, *_ = indexable(X)
        check_consistent_length(X, y)
        warn_of_row_order(X, y)
        labels = _share_codes(y, self.n_splits, regressions)
        if len(labels) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than n_samples={len(labels)}."
            )
        rng = check_random_state(self.random_state) if self.shuffle else None
        fold = spread_over_folds(labels, self.n_splits, rng)
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(n_splits={self.n_splits}, "
            f"shuffle={self.shuffle}, random_state={self.random_state})"
        )


class RepeatedMultiTaskStratifiedKFold(_RepeatedSplits):
    """K folds that keep the shares of the classes of every task, several times over.

    :class:`MultiTaskStratifiedKFold` with another shuffling each time, as
    :class:`sklearn.model_selection.RepeatedStratifiedKFold` does for one task.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    n_repeats : int, default=10
        How many times.
    random_state : int, RandomState instance or None, default=None
        Seed of the shufflings. An int gives the same folds in every call of ``split``.

    Raises
    ------
    ValueError
        If `n_splits` is less than 2, or `n_repeats` less than 1.

    See Also
    --------
    MultiTaskStratifiedKFold : The folds, once.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.model_selection import RepeatedMultiTaskStratifiedKFold
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 3)
    >>> cv = RepeatedMultiTaskStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    >>> cv.get_n_splits()
    6
    >>> {tuple(y[test].mean(axis=0).tolist()) for _, test in cv.split(y, y)}
    {(0.5, 0.5)}
    """

    _repeated: Any = MultiTaskStratifiedKFold

    def __init__(
        self, *, n_splits: int = 5, n_repeats: int = 10, random_state: Any = None
    ) -> None:
        self._repeated(n_splits)  # what is wrong with it is told at once
        super().__init__(
            self._repeated,
            n_repeats=n_repeats,
            random_state=random_state,
            n_splits=n_splits,
        )

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train on and to test on, for each fold each time.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Says how many rows there are.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            As :meth:`MultiTaskStratifiedKFold.split` takes it.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            As :meth:`MultiTaskStratifiedKFold.split` does.

        Warns
        -----
        UserWarning
            As :meth:`MultiTaskStratifiedKFold.split` does.
        """
        yield from super().split(X, y, groups)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds, all times together.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            `n_splits` times `n_repeats`.
        """
        return super().get_n_splits(X, y, groups)
