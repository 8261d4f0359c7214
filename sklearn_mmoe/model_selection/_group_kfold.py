"""Splitting by groups of rows so that every task keeps its shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection._split import GroupsConsumerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, indexable

from sklearn_mmoe._tasks.balance import label_codes, share_columns, spread_groups
from sklearn_mmoe._tasks.columns import TaskColumns, split_columns
from sklearn_mmoe._tasks.rows import warn_of_row_order
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.model_selection._kfold import (
    MultiTaskStratifiedKFold,
    RepeatedMultiTaskStratifiedKFold,
    is_stratified,
)


def _group_codes(groups: Any, n_splits: int) -> np.ndarray:
    """Assign numbers from 0 to the groups, in the order of their first rows."""
    if np.ndim(groups) != 1:
        raise ValueError(
            f"groups must have one dimension, a group for each row; its shape is "
            f"{np.shape(groups)}."
        )
    codes, found = pd.factorize(pd.Series(groups), use_na_sentinel=True)
    if (codes < 0).any():
        raise ValueError(
            f"groups is missing for {(codes < 0).sum()} rows. Every row needs one; "
            "give those that belong to nobody a group of their own each."
        )
    if len(found) < n_splits:
        raise ValueError(
            f"n_splits={n_splits} is more than the number of groups, {len(found)}."
        )
    return codes


def _warn_of_rare(
    targets: TaskColumns, k: int, group: np.ndarray, n_splits: int
) -> None:
    """Warn of a class that is in fewer groups than there are folds."""
    codes, classes = label_codes(targets, k)
    pairs = np.unique(np.column_stack([codes, group]), axis=0)
    counts = np.bincount(pairs[:, 0], minlength=len(classes))[: len(classes)]
    if len(classes) and counts.min() < n_splits:
        label = classes.tolist()[counts.argmin()]
        warn(
            f"The class {label!r} of the task {targets.names[k]!r} is in only "
            f"{counts.min()} groups, fewer than n_splits={n_splits}; some folds will "
            "lack it.",
            finding=("class in few groups", label, targets.names[k], n_splits),
        )


class MultiTaskStratifiedGroupKFold(GroupsConsumerMixin, MultiTaskStratifiedKFold):
    """K folds that split no group and keep the shares of every task.

    The rows of a group are never on both sides: those of a patient, a customer, or a
    molecular scaffold. Groups are assigned to folds so that the number of rows, the
    shares of each task's classes and missing labels, and the means and quantiles of
    regressions are as close to those of all rows as they can be in every fold.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the groups first. Large groups still come before small ones.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; must be None without it.

    Raises
    ------
    ValueError
        If `n_splits` is less than 2, or `random_state` is given without `shuffle`.

    See Also
    --------
    MultiTaskStratifiedKFold : Without groups.
    sklearn.model_selection.StratifiedGroupKFold : The same for one task.

    Notes
    -----
    The folds minimise the sum of the squared differences from the shares of all rows.
    Those of a label are divided by the number of rows that have it, so that rare
    labels, all tasks, and the sizes of the folds count the same. The largest groups are
    placed first; then groups are moved and exchanged as long as that helps.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.model_selection import MultiTaskStratifiedGroupKFold
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 4)
    >>> patients = np.repeat(np.arange(8), 2)
    >>> cv = MultiTaskStratifiedGroupKFold(2)
    >>> for train, test in cv.split(y, y, groups=patients):
    ...     print(y[test].mean(axis=0), np.intersect1d(patients[train], patients[test]))
    [0.5 0.5] []
    [0.5 0.5] []
    """

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train on and to test on, once for each fold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Says how many rows there are.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task: labels or numbers, which may be missing.
        groups : array-like of shape (n_samples,)
            The group of each row: numbers or text.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            If y or `groups` is None or of another length, a group is missing, or there
            are fewer groups than folds.

        Warns
        -----
        UserWarning
            If a class is in fewer groups than there are folds, or X and y of
            pandas have the same row labels in another order.
        """
        for name, given in [("y", y), ("groups", groups)]:
            if given is None:
                raise ValueError(
                    f"MultiTaskStratifiedGroupKFold splits by {name}, which is None; "
                    "pass it to split."
                )
        X, groups = indexable(X, groups)
        targets = split_columns(y)
        check_consistent_length(X, targets.columns[0])
        warn_of_row_order(X, y)
        group = _group_codes(groups, self.n_splits)
        are_labels = [
            is_stratified(targets, k, self.n_splits) for k in range(len(targets))
        ]
        for task in np.flatnonzero(are_labels).tolist():
            _warn_of_rare(targets, task, group, self.n_splits)
        codes, values = share_columns(targets, are_labels)
        rng = check_random_state(self.random_state) if self.shuffle else None
        fold = spread_groups(codes, values, group, self.n_splits, rng)[group]
        for k in range(self.n_splits):
            yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


class RepeatedMultiTaskStratifiedGroupKFold(
    GroupsConsumerMixin, RepeatedMultiTaskStratifiedKFold
):
    """K folds that split no group and keep the shares of every task, several times.

    :class:`MultiTaskStratifiedGroupKFold` with another shuffling each time.

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
    MultiTaskStratifiedGroupKFold : The folds, once.

    Notes
    -----
    Few or very unequal groups allow but few good folds, so that repetitions may
    resemble each other.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.model_selection import RepeatedMultiTaskStratifiedGroupKFold
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 4)
    >>> patients = np.repeat(np.arange(8), 2)
    >>> cv = RepeatedMultiTaskStratifiedGroupKFold(
    ...     n_splits=2, n_repeats=3, random_state=0
    ... )
    >>> cv.get_n_splits()
    6
    >>> {tuple(y[t].mean(axis=0).tolist()) for _, t in cv.split(y, y, groups=patients)}
    {(0.5, 0.5)}
    """

    _repeated = MultiTaskStratifiedGroupKFold

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train on and to test on, for each fold each time.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Says how many rows there are.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task: labels or numbers, which may be missing.
        groups : array-like of shape (n_samples,)
            The group of each row: numbers or text.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows.

        Raises
        ------
        ValueError
            As :meth:`MultiTaskStratifiedGroupKFold.split` does.

        Warns
        -----
        UserWarning
            As :meth:`MultiTaskStratifiedGroupKFold.split` does.
        """
        yield from super().split(X, y, groups)
