"""How far values spread, also where their squares are beyond what a float holds."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["root_mean_square"]


def root_mean_square(differences: np.ndarray, weights: Any) -> Any:
    """Compute the weighted root mean square along the first axis.

    Parameters
    ----------
    differences : ndarray of shape (n_samples, ...)
        What is squared.
    weights : array-like of shape (n_samples,) or None
        Weights, of which some are positive; None weighs all alike.

    Returns
    -------
    ndarray of shape (...)
        The root.
    """
    largest = np.abs(differences).max(axis=0, initial=0)
    # By a power of two, and so to the same bits, where none is beyond the floats.
    _, exponents = np.frexp(largest)
    squares = np.ldexp(differences, -exponents) ** 2
    return np.ldexp(np.sqrt(np.average(squares, axis=0, weights=weights)), exponents)
