"""Rows set aside for validation, with the shares of every task's labels."""

from __future__ import annotations

import numpy as np


def joint_groups(codes: list[np.ndarray]) -> np.ndarray:
    """Assign a number to each combination of labels, for stratified splitting.

    Combinations of fewer than two rows, which cannot be on both sides of a split, are
    taken together; a single such row goes with the most frequent combination.

    Parameters
    ----------
    codes : list of ndarray of shape (n_samples,)
        Class indices of each task; -1 where a label is missing.

    Returns
    -------
    ndarray of shape (n_samples,)
        Group number of each row.
    """
    groups = np.unique(np.column_stack(codes), axis=0, return_inverse=True)[1].ravel()
    counts = np.bincount(groups)
    rare = counts[groups] < 2
    groups[rare] = -1 if rare.sum() > 1 else counts.argmax()
    return groups
