"""Targets of which no more is known than between which bounds they lie."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr

from sklearn_mmoe._tasks.deviation import root_mean_square

__all__ = [
    "as_intervals",
    "best_constant",
    "closest_values",
    "holds_intervals",
    "likeliest_normal",
    "representatives",
    "to_pandas",
    "twice_log_loss",
]

# A target of a task: equal bounds are a value that is known, infinite ones are none.
INTERVAL = np.dtype([("lower", np.float64), ("upper", np.float64)])
# How far from where the known bounds are the likeliest distribution is looked for, in
# their standard deviations, and how much wider or narrower: by e to this power.
_FARTHEST, _WIDEST = 10.0, 4.0


def holds_intervals(column: np.ndarray) -> bool:
    """Tell a column of intervals from one of values or labels."""
    return column.dtype == INTERVAL


def as_intervals(name: str, raw: Any) -> tuple[np.ndarray, np.ndarray] | None:
    """Read a column of pandas' intervals, among which there may be numbers.

    Which of the ends belong to an interval does not matter: a value is one of them
    with probability zero.

    Parameters
    ----------
    name : str
        The task's name.
    raw : array or series of shape (n_samples,)
        The column as it was given.

    Returns
    -------
    intervals : ndarray of INTERVAL of shape (n_samples,)
        The bounds, of a number twice that number.
    observed : ndarray of bool of shape (n_samples,)
        Where there are any that say something.

    None is returned if there is no interval in the column.

    Raises
    ------
    ValueError
        If the bounds are no numbers, a value is infinite, or text or the like stands
        among the intervals.
    """
    dtype = getattr(raw, "dtype", None)
    if isinstance(dtype, pd.IntervalDtype):
        array = pd.array(raw)
        bounds = array.left, array.right
    else:
        if dtype != np.dtype(object):
            return None
        values = np.asarray(raw)
        if not any(isinstance(value, pd.Interval) for value in values):
            return None
        bounds = _bounds_of_objects(name, values)
    if any(np.asarray(ends).dtype.kind not in "iuf" for ends in bounds):
        raise ValueError(
            f"The task {name!r} has intervals of dates or times. Turn their ends into "
            "numbers, such as days since some day."
        )
    intervals = np.empty(len(raw), dtype=INTERVAL)
    intervals["lower"], intervals["upper"] = bounds
    known = ~np.isnan(intervals["lower"])
    if (
        np.isinf(intervals["lower"]) & (intervals["lower"] == intervals["upper"])
    ).any():
        raise ValueError(f"Input y contains infinity in the task {name!r}.")
    says_nothing = np.isinf(intervals["lower"]) & np.isinf(intervals["upper"])
    return intervals, known & ~says_nothing


def _bounds_of_objects(name: str, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of intervals and numbers; NaN of what is missing."""
    missing = pd.isna(values)
    strange = [
        value
        for value in values[~missing]
        if not isinstance(value, pd.Interval | Real | np.bool_)
    ]
    if strange:
        raise ValueError(
            f"The task {name!r} has intervals, but also {strange[0]!r}, which is "
            "neither an interval nor a number. Make intervals of text with "
            "sklearn_mmoe.preprocessing.censored_intervals."
        )
    pairs = [
        (np.nan, np.nan)
        if is_missing
        else (value.left, value.right)
        if isinstance(value, pd.Interval)
        else (value, value)
        for value, is_missing in zip(values, missing, strict=True)
    ]
    lower, upper = zip(*pairs, strict=True)
    return pd.Series(lower).to_numpy(), pd.Series(upper).to_numpy()


def to_pandas(intervals: np.ndarray, observed: np.ndarray | None = None) -> Any:
    """Turn intervals back into an array of pandas; missing where not observed."""
    lower, upper = intervals["lower"], intervals["upper"]
    if observed is not None:
        lower, upper = (np.where(observed, ends, np.nan) for ends in (lower, upper))
    return pd.arrays.IntervalArray.from_arrays(lower, upper, closed="both")


def representatives(intervals: np.ndarray) -> np.ndarray:
    """Return a number for each interval: its middle, or the end that is known."""
    lower, upper = intervals["lower"], intervals["upper"]
    lower, upper = (
        np.where(np.isinf(lower), upper, lower),
        np.where(np.isinf(upper), lower, upper),
    )
    return lower + (upper - lower) / 2


def closest_values(intervals: np.ndarray, to: Any) -> np.ndarray:
    """Return the value in each interval that is closest to a prediction."""
    return np.clip(to, intervals["lower"], intervals["upper"])


def best_constant(intervals: np.ndarray, weight: np.ndarray | None) -> float:
    """Find the number with the least squared distance to the intervals, on average."""
    if weight is not None:
        intervals, weight = intervals[weight > 0], weight[weight > 0]
    low, high = intervals["lower"].max(), intervals["upper"].min()
    if low <= high:  # it lies in all of them: no distance, and no rounding
        return float(low if np.isfinite(low) else high)

    # In units of about their range: the search knows absolute tolerances alone.
    ends = np.concatenate([intervals["lower"], intervals["upper"]])
    ends = ends[np.isfinite(ends)]
    _, exponent = np.frexp(np.ptp(ends))
    scaled = intervals.copy()
    for end in ("lower", "upper"):
        scaled[end] = np.ldexp(intervals[end], -exponent)
    ends = np.ldexp(ends, -exponent)

    def pull(number: float) -> float:
        distance = number - closest_values(scaled, number)
        return float(np.average(distance, weights=weight))

    return float(np.ldexp(brentq(pull, ends.min(), ends.max()), exponent))


def twice_log_loss(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Compute minus twice the log-likelihood of bounds under a standard normal.

    Of a value that is known it is its square: the constant is left out, as it is in
    the loss that is trained.
    """
    exact = lower == upper
    # Both ends to the left of the middle, where small differences are not lost.
    flip = lower + upper > 0
    below = np.where(flip, -upper, lower)
    above = np.where(flip, -lower, upper)
    log_above = log_ndtr(above)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = -np.expm1(log_ndtr(below) - log_above)
        of_interval = log_above + np.log(np.maximum(share, np.finfo(float).tiny))
    value = np.where(exact, lower, 0.0)
    return np.where(exact, value**2, -2 * of_interval)


def likeliest_normal(intervals: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Find the mean and the standard deviation that make the bounds most likely.

    Parameters
    ----------
    intervals : ndarray of INTERVAL of shape (n_samples,)
        The bounds.
    weight : ndarray of shape (n_samples,)
        Weights, not all zero.

    Returns
    -------
    mean, scale : float
        Of values that are all known their mean and standard deviation.
    """
    lower, upper = intervals["lower"], intervals["upper"]
    # Not the middles of the intervals: far bounds that say little would count most.
    middle = closest_values(intervals, best_constant(intervals, weight))
    if np.ptp(middle) == 0:
        middle = representatives(intervals)
    mean = float(np.average(middle, weights=weight))
    scale = float(root_mean_square(middle - mean, weight))
    exact = lower == upper
    if exact.all() or scale == 0:
        return mean, scale
    lower, upper = (lower - mean) / scale, (upper - mean) / scale

    def cost(found: np.ndarray) -> float:
        of_rows = twice_log_loss(
            (lower - found[0]) / np.exp(found[1]), (upper - found[0]) / np.exp(found[1])
        )
        return float(np.average(of_rows + 2 * found[1] * exact, weights=weight))

    bounds = [(-_FARTHEST, _FARTHEST), (-_WIDEST, _WIDEST)]
    shift, log_factor = minimize(cost, np.zeros(2), bounds=bounds).x
    return mean + float(shift) * scale, scale * float(np.exp(log_factor))
