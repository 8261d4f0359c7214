"""Random splits into train and test rows that keep the shares of every task."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import BaseShuffleSplit, train_test_split
from sklearn.model_selection._split import _validate_shuffle_split
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import _num_samples, check_consistent_length, indexable

from sklearn_mmoe._tasks.balance import label_codes, share_columns, spread_over_parts
from sklearn_mmoe._tasks.columns import TaskColumns, check_targets, split_columns
from sklearn_mmoe._tasks.rows import warn_of_row_order
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.model_selection._kfold import is_stratified


class MultiTaskStratifiedShuffleSplit(BaseShuffleSplit):
    """Random splits that keep the shares of every task.

    The test rows of each split are drawn independently. Each task's classes and missing
    labels have the same shares on both sides, as far as possible, and regressions the
    same quantiles.

    Parameters
    ----------
    n_splits : int, default=10
        Number of splits.
    test_size : float, int or None, default=None
        Share of the rows to test on, or their number. None: what `train_size` leaves,
        and 0.1 where that is None too.
    train_size : float, int or None, default=None
        Share of the rows to train on, or their number. None: what is not tested.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing. An int gives the same splits in every call of ``split``.

    Raises
    ------
    ValueError
        If `n_splits` is not an int above 0.

    See Also
    --------
    multi_task_train_test_split : One such split of arrays and data frames.
    sklearn.model_selection.StratifiedShuffleSplit : The same for one task.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.model_selection import MultiTaskStratifiedShuffleSplit
    >>> y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    >>> cv = MultiTaskStratifiedShuffleSplit(2, test_size=0.2, random_state=0)
    >>> for train, test in cv.split(y, y):
    ...     print(len(train), y[test].mean(axis=0))
    16 [0.5 0.5]
    16 [0.5 0.5]
    """

    def __init__(
        self,
        n_splits: int = 10,
        *,
        test_size: float | None = None,
        train_size: float | None = None,
        random_state: Any = None,
    ) -> None:
        if not isinstance(n_splits, Integral) or int(n_splits) < 1:
            raise ValueError(f"n_splits must be an int above 0, got {n_splits!r}.")
        super().__init__(
            int(n_splits),
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
        )

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to train on and to test on, once for each split.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Says how many rows there are.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task: labels or numbers, which may be missing.
        groups : object
            Ignored.

        Yields
        ------
        train, test : ndarray of int
            Indices of rows, shuffled.

        Raises
        ------
        ValueError
            If y is None or of another length, or the sizes do not fit the number of
            rows.

        Warns
        -----
        UserWarning
            If a class has a single row, which cannot be on both sides, or X and y of
            pandas have the same row labels in another order.
        """
        if y is None:
            raise ValueError(
                "MultiTaskStratifiedShuffleSplit splits by y, which is None."
            )
        X, *_ = indexable(X)
        targets = split_columns(y)
        check_consistent_length(X, targets.columns[0])
        warn_of_row_order(X, y)
        yield from self._iter_indices(X, targets)

    def _iter_indices(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        n_samples = _num_samples(X)
        n_train, n_test = _validate_shuffle_split(
            n_samples, self.test_size, self.train_size, self._default_test_size
        )
        are_labels = [is_stratified(y, k, 2) for k in range(len(y))]
        for k in np.flatnonzero(are_labels):
            _warn_of_single(y, int(k))
        codes, _ = share_columns(y, are_labels)
        rng = check_random_state(self.random_state)
        sizes = [n_train, n_test, n_samples - n_train - n_test]
        for _ in range(self.n_splits):
            part = spread_over_parts(codes, sizes, rng)
            train, test = (np.flatnonzero(part == p) for p in (0, 1))
            yield rng.permutation(train), rng.permutation(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits.

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


def _warn_of_single(targets: TaskColumns, k: int) -> None:
    codes, classes = label_codes(targets, k)
    counts = np.bincount(codes[targets.observed[k]], minlength=len(classes))
    if len(classes) and counts.min() < 2:
        label = classes.tolist()[counts.argmin()]
        warn(
            f"The class {label!r} of the task {targets.names[k]!r} has only one row; "
            "it is either trained on or tested.",
        )


def multi_task_train_test_split(
    *arrays: Any,
    test_size: float | None = None,
    train_size: float | None = None,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = "y",
) -> list[Any]:
    """Split X, y and further arrays into train and test rows, stratified by all tasks.

    It is :func:`sklearn.model_selection.train_test_split` for several tasks. Each
    task's classes, missing labels and quantiles of numbers have the same shares in both
    parts.

    Parameters
    ----------
    *arrays : sequence of {array-like, data frame, series, sparse matrix}
        X, y, and further arrays with the same number of rows, such as weights or
        groups.
    test_size : float, int or None, default=None
        Share of the rows to test on, or their number. None: what `train_size` leaves,
        and 0.25 where that is None too.
    train_size : float, int or None, default=None
        Share of the rows to train on, or their number. None: what is not tested.
    random_state : int, RandomState instance or None, default=None
        Seed of the drawing.
    shuffle : bool, default=True
        Whether to draw the rows. If False, the last rows are those to test on, as with
        rows in the order of time, and `stratify` must be None.
    stratify : 'y', None, or array-like or data frame of shape (n_samples,) or \
            (n_samples, n_outputs), default='y'
        What to stratify by: 'y' is the second of `arrays`; or other targets of the
        rows, with a column for each task. None does not stratify.

    Returns
    -------
    list
        Twice as long as `arrays`: the train and the test rows of each, of its own kind.

    Raises
    ------
    ValueError
        If `arrays` is empty, they have different lengths, there is no second one to
        stratify by, the sizes do not fit the number of rows, or `stratify` is given
        with ``shuffle=False``.

    Warns
    -----
    UserWarning
        If a class has a single row, which cannot be in both parts.

    See Also
    --------
    MultiTaskStratifiedShuffleSplit : Several such splits, as indices.
    MultiTaskStratifiedGroupKFold : Where groups of rows must stay together.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_mmoe.model_selection import multi_task_train_test_split
    >>> X = np.arange(40).reshape(20, 2)
    >>> y = pd.DataFrame({"click": [0, 0, 0, 1] * 5, "buy": [0.0, None] * 10})
    >>> X_train, X_test, y_train, y_test = multi_task_train_test_split(
    ...     X, y, test_size=0.2, random_state=0
    ... )
    >>> y_test["click"].mean(), y_test["buy"].isna().mean()
    (np.float64(0.25), np.float64(0.5))
    """
    if not arrays:
        raise ValueError("At least one array required as input")
    if stratify is None:
        return train_test_split(
            *arrays,
            test_size=test_size,
            train_size=train_size,
            random_state=random_state,
            shuffle=shuffle,
        )
    if not shuffle:
        raise ValueError(
            "shuffle=False takes the rows in their order, whatever their targets; set "
            "stratify=None with it."
        )
    if isinstance(stratify, str):
        if stratify != "y":
            raise ValueError(
                f"stratify must be 'y', None or targets, got {stratify!r}."
            )
        if len(arrays) < 2:
            raise ValueError(
                "There is no second array, y, to stratify by. Give it, or "
                "stratify=targets, or stratify=None."
            )
        stratify = arrays[1]
    check_targets(stratify)
    arrays = tuple(indexable(*arrays))
    n_train, n_test = _validate_shuffle_split(
        _num_samples(arrays[0]), test_size, train_size, default_test_size=0.25
    )
    splitter = MultiTaskStratifiedShuffleSplit(
        1, test_size=n_test, train_size=n_train, random_state=random_state
    )
    train, test = next(splitter.split(arrays[0], stratify))
    return list(
        chain.from_iterable(
            (_safe_indexing(array, train), _safe_indexing(array, test))
            for array in arrays
        )
    )


# pytest takes it for no test where it is imported.
multi_task_train_test_split.__test__ = False  # type: ignore[attr-defined]
