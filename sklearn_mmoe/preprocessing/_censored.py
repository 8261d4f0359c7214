"""Targets that are written as '<5' or '>10', as intervals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe.preprocessing._parsing import (
    UnreadableError,
    find_currencies,
    is_missing_word,
    parse_numbers,
)

__all__ = ["censored_intervals"]

_SIGN = re.compile(r"\s*(<=?|≤|>=?|≥|=)")


def censored_intervals(values: Any, *, decimal: str = ".") -> Any:
    """Turn '<5', '>10', '3.2' and numbers into intervals, as 'tobit' takes them.

    Laboratories and meters report so what is beyond their limits. Of '<5' it is known
    that the value is below 5, which neither 5 nor a missing value says.

    Parameters
    ----------
    values : array-like or Series of shape (n_samples,)
        Numbers, and strings of a number, of which those that begin with '<', '<=', '≤',
        '>', '>=' or '≥' are bounds. NaN, None and words such as 'n/a' are missing.
    decimal : {'.', ','}, default='.'
        The decimal mark in strings.

    Returns
    -------
    IntervalArray or Series of shape (n_samples,)
        An interval for each value: of '<5' (from minus infinity) to 5, of a number from
        it to itself, NaN of a missing one. A series keeps its index and name; all else
        becomes an array of pandas. Both ends are called closed; of a continuous target
        it does not matter whether they are.

    Raises
    ------
    ValueError
        If a value cannot be read; it is named. If `decimal` is neither mark, or there
        are several columns, or amounts in several currencies.

    See Also
    --------
    sklearn_mmoe.MultiTaskMMoERegressor : Takes intervals with ``loss="tobit"``.
    pandas.arrays.IntervalArray.from_arrays : Intervals from two columns of bounds.

    Examples
    --------
    >>> from sklearn_mmoe.preprocessing import censored_intervals
    >>> for interval in censored_intervals(["<5", "7.5", 8, ">= 10", None]):
    ...     print(interval)
    [-inf, 5.0]
    [7.5, 7.5]
    [8.0, 8.0]
    [10.0, inf]
    nan
    """
    if decimal not in (".", ","):
        raise ValueError(
            f"The 'decimal' parameter must be '.' or ',', got {decimal!r}."
        )
    series = values
    if not isinstance(values, pd.Series):
        values = values.to_list() if hasattr(values, "to_list") else values
        if np.ndim(values) != 1:
            raise ValueError(
                "`values` must be one column, got an array of "
                f"{np.ndim(values)} dimensions. Call it for each column."
            )
        series = pd.Series(values, dtype=object)
    intervals = _intervals_of(series.astype(object).to_numpy(), decimal)
    if series is not values:
        return intervals
    return pd.Series(intervals, index=series.index, name=series.name)


def _intervals_of(values: np.ndarray, decimal: str) -> Any:
    """Read each of the values; the different ones once."""
    codes, different = pd.factorize(values)  # -1 is missing
    texts = [_SIGN.sub("", value, 1) for value in different if isinstance(value, str)]
    currencies = sorted(find_currencies(texts))
    if len(currencies) > 1:
        raise ValueError(
            "`values` has amounts in more than one currency: "
            f"{', '.join(currencies)}. Bring them to one before."
        )
    bounds = np.array([_bounds_of(value, decimal) for value in different])
    bounds = np.vstack([bounds.reshape(-1, 2), [np.nan, np.nan]])[codes]
    lower, upper = bounds.T
    return pd.arrays.IntervalArray.from_arrays(lower, upper, closed="both")


def _bounds_of(value: Any, decimal: str) -> tuple[float, float]:
    found = _SIGN.match(value) if isinstance(value, str) else None
    text = value[found.end() :] if found else value
    try:
        if found and is_missing_word(text):
            raise UnreadableError(value)
        number = float(parse_numbers([text], decimal)[0])
        if np.isinf(number):
            raise UnreadableError(value)
    except UnreadableError as error:
        raise ValueError(
            f"`values` has {value!r}, which is neither a number nor one behind '<', "
            "'<=', '>' or '>='."
        ) from error
    sign = found.group(1) if found else "="
    if sign in ("<", "<=", "≤"):
        return -np.inf, number
    return number, number if sign == "=" else np.inf
