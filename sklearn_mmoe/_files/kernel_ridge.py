"""The kernel ridge regression beside an ensemble, in a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn_mmoe._training.kernel_ridge import KernelRidge

__all__ = ["describe_kernel_ridge", "kernel_ridge_arrays", "read_kernel_ridge"]

_PREFIX = "kernel_ridge/"
_NUMBERS = ("length", "widths", "shares")
# Their types, and their shapes by what is counted.
_ARRAYS = {
    "center": ("float64", ("features",)),
    "scale": ("float64", ("features",)),
    "feature_weights": ("float64", ("features",)),
    "rows": ("float32", ("rows", "features")),
    "coefficients": ("float64", ("rows", "columns")),
    "means": ("float64", ("columns",)),
}


def describe_kernel_ridge(fitted: KernelRidge | None) -> dict[str, Any] | None:
    """Return all but the arrays."""
    if fitted is None:
        return None
    return {name: getattr(fitted, name) for name in _NUMBERS}


def kernel_ridge_arrays(fitted: KernelRidge | None) -> dict[str, np.ndarray]:
    """Name the arrays."""
    if fitted is None:
        return {}
    return {_PREFIX + name: getattr(fitted, name) for name in _ARRAYS}


def read_kernel_ridge(
    described: Any,
    arrays: Mapping[str, np.ndarray],
    n_features: int,
    tasks: Sequence[Any],
    linked: Collection[int],
) -> tuple[KernelRidge | None, dict[str, np.ndarray]]:
    """Check a description that anybody may have written, and the arrays of a file.

    Parameters
    ----------
    described : dict or None
        What :func:`describe_kernel_ridge` has returned; older files have None.
    arrays : mapping of str to ndarray
        All arrays of the file.
    n_features : int
        Number of features.
    tasks : sequence of LabelTask or ValueTask
        The tasks.
    linked : collection of int
        Tasks whose probability is a product with another's.

    Returns
    -------
    KernelRidge or None
        The regression, if there is one.
    dict of str to ndarray
        The arrays that are not its own.

    Raises
    ------
    ValueError, TypeError, LookupError
        If they do not fit together.
    """
    if described is None:
        return None, dict(arrays)
    others = dict(arrays)
    own = {name: others.pop(_PREFIX + name) for name in _ARRAYS}
    length, widths, shares = (described[name] for name in _NUMBERS)
    if not isinstance(widths, tuple) or not isinstance(shares, tuple):
        raise TypeError("the kernel ridge regression has no widths and shares")
    counts = {
        "features": n_features,
        "rows": len(own["rows"]),
        "columns": sum(widths),
    }
    for name, (dtype, axes) in _ARRAYS.items():
        shape = tuple(counts[axis] for axis in axes)
        if own[name].dtype != dtype or own[name].shape != shape:
            raise ValueError(
                f"the kernel ridge regression has {name} of {own[name].dtype}, "
                f"{own[name].shape}, and not of {dtype}, {shape}"
            )
    if not counts["rows"] or not all(np.isfinite(own[name]).all() for name in own):
        raise ValueError("the kernel ridge regression has no rows, or is not finite")
    positive = isinstance(length, float) and 0 < length < np.inf
    if not positive or not (own["scale"] > 0).all():
        raise ValueError("the kernel ridge regression has lengths that are none")
    weights = own["feature_weights"]
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError("the kernel ridge regression has weights of features above 1")
    if not len(widths) == len(shares) == len(tasks) or not any(widths):
        raise ValueError("the kernel ridge regression is one of other tasks")
    for k, (task, width, share) in enumerate(zip(tasks, widths, shares, strict=True)):
        counting = isinstance(share, float) and 0 < share < 1
        known = task.kind in ("binary", "multiclass", "regression") and k not in linked
        if (width, share) != (0, 0.0) and not (
            counting and known and type(width) is int and width == task.units
        ):
            raise ValueError(
                f"the kernel ridge regression has a weight of {share} and {width} "
                f"columns in the task {task.name!r}"
            )
    # TensorFlow is loaded here, for a file that all is right with so far.
    from sklearn_mmoe._training.kernel_ridge import KernelRidge

    return KernelRidge(**own, length=length, widths=widths, shares=shares), others
