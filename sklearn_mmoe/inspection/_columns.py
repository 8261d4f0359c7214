"""The columns of X, whatever holds them: their names, and a copy with one exchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import check_array

__all__ = [
    "as_table",
    "column",
    "column_labels",
    "column_position",
    "permuted",
    "with_column",
    "with_value",
]


def _is_polars(X: Any) -> bool:
    return hasattr(X, "with_columns") and hasattr(X, "to_series")


def as_table(X: Any) -> Any:
    """Return X as one of the tables known here.

    Parameters
    ----------
    X : array-like, CSR matrix, or frame of pandas, polars or pyarrow
        Features.

    Returns
    -------
    table
        A frame of pandas or polars, an array, or a CSR matrix.
    """
    if hasattr(X, "collect_schema") and hasattr(X, "collect"):  # a lazy frame
        X = X.collect()
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):  # a table of pyarrow
        X = X.to_pandas(types_mapper=pd.ArrowDtype)
    if isinstance(X, pd.DataFrame) or _is_polars(X):
        return X
    return check_array(
        X, accept_sparse="csr", dtype=None, ensure_all_finite="allow-nan"
    )


def column_labels(X: Any) -> list[Any]:
    """Return the labels of the columns; those of an array are x0, x1, ..."""
    if hasattr(X, "columns"):
        return list(X.columns)
    return [f"x{j}" for j in range(X.shape[1])]


def column_position(feature: Any, X: Any, parameter: str) -> int:
    """Find a column by its label, or by its position.

    Parameters
    ----------
    feature : int, str or another column label
        A label of `X`, else a position.
    X : table
        What has the columns.
    parameter : str
        Where `feature` was given, for the error.

    Returns
    -------
    int
        The position, from 0.

    Raises
    ------
    ValueError
        If there is no such column.
    """
    labels = column_labels(X)
    if feature in labels:
        return labels.index(feature)
    whole = isinstance(feature, int | np.integer) and not isinstance(feature, bool)
    if whole and -len(labels) <= feature < len(labels):
        return int(feature) % len(labels)
    known = labels if len(labels) <= 20 else [*labels[:20], "..."]
    raise ValueError(
        f"The {parameter!r} parameter has {feature!r}, which is no column of X; its "
        f"{len(labels)} columns are {known}."
    )


def column(X: Any, j: int) -> Any:
    """Return column j: a series of a frame, else an array."""
    if isinstance(X, pd.DataFrame):
        return X.iloc[:, j]
    if _is_polars(X):
        return X.to_series(j)
    is_sparse = sparse.issparse(X)
    return X[:, [j]].toarray().ravel() if is_sparse else X[:, j]


def with_column(X: Any, j: int, values: Any) -> Any:
    """Return a copy of X whose column j has other values.

    Parameters
    ----------
    X : table
        As :func:`as_table` returns it; stays as it is.
    j : int
        Which column.
    values : series or ndarray of shape (n_samples,)
        As :func:`column` returns them.

    Returns
    -------
    table
        Of the kind of X. Other columns of a frame are not copied.
    """
    if isinstance(X, pd.DataFrame):
        changed = X.copy(deep=False)
        # By position: labels may occur twice.
        changed.isetitem(j, values.set_axis(X.index))
        return changed
    if _is_polars(X):
        return X.with_columns(values.alias(X.columns[j]))
    is_sparse = sparse.issparse(X)
    if is_sparse:
        by_row = X.tolil()
        by_row[:, j] = np.asarray(values)[:, None]
        return by_row.tocsr()
    changed = X.astype(np.result_type(X, values), copy=True)
    changed[:, j] = values
    return changed


def with_value(X: Any, j: int, value: Any) -> Any:
    """Return a copy of X whose column j is the same value in every row.

    Categories stay of their dtype; of whole numbers a value between two of them makes
    floats.
    """
    given = column(X, j)
    n_samples = len(given)
    if _is_polars(X):
        import polars as pl

        whole = given.dtype.is_integer() and value != int(value)
        dtype = pl.Float64 if whole else given.dtype
        # Not strict: 3.0 is a whole number too.
        values = pl.Series([value] * n_samples, dtype=dtype, strict=False)
        return with_column(X, j, values)
    whole = pd.api.types.is_integer_dtype(given.dtype) and value != int(value)
    dtype = np.float64 if whole else given.dtype
    if isinstance(X, pd.DataFrame):
        return with_column(X, j, pd.Series([value] * n_samples, dtype=dtype))
    return with_column(X, j, np.full(n_samples, value, dtype=dtype))


def permuted(values: Any, places: np.ndarray) -> Any:
    """Return a column's values in another order."""
    if isinstance(values, pd.Series):
        return values.iloc[places]
    return values.gather(places) if hasattr(values, "gather") else values[places]
