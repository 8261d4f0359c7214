"""One shape for tables of every library: named columns as pandas' Series."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

__all__ = [
    "Table",
    "check_frame",
    "column_label",
    "missing_columns_text",
    "read_table",
]


@dataclass(frozen=True)
class Table:
    """A table, taken apart.

    Parameters
    ----------
    names : list of hashable
        Names of the columns; their positions where there are none.
    columns : list of Series
        The columns.
    index : Index
        What the rows are called.
    named : bool
        Whether the columns have names.
    """

    names: list[Hashable]
    columns: list[pd.Series]
    index: pd.Index
    named: bool

    @property
    def by_name(self) -> bool:
        """Whether all names are strings, the only ones that scikit-learn has."""
        return self.named and all(isinstance(name, str) for name in self.names)


def column_label(name: Hashable) -> str:
    """Return a column's name as text: of a tuple its parts, of midnight its date."""
    if isinstance(name, tuple):
        return "_".join(column_label(part) for part in name if part != "")
    if isinstance(name, pd.Timestamp) and name == name.normalize():
        return str(name.date())
    return str(name)


def missing_columns_text(missing: list[Any], names: list[Any]) -> str:
    """Say which columns of fit X lacks, and which it has in other letters."""
    text = f"columns are missing: {missing}. fit saw them, but X does not have them"
    by_small = {str(name).lower(): name for name in names}
    alike = {
        name: by_small[str(name).lower()]
        for name in missing
        if str(name).lower() in by_small
    }
    if alike:
        text += f"; it has {list(alike.values())}, in other letters or of another type"
    return f"{text}."


def check_frame(X: Any, encoder: Any) -> None:
    """Check that X is a data frame of pandas.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if isinstance(X, pd.DataFrame):
        return
    hint = (
        "use X.to_frame()"
        if isinstance(X, pd.Series)
        else "make one with pandas.DataFrame(X)"
    )
    raise TypeError(
        f"{type(encoder).__name__} takes a pandas DataFrame, got {type(X).__name__}; "
        f"{hint}. make_tabular_preprocessor() takes other tables too."
    )


def read_table(X: Any) -> Table:
    """Take a table apart, whatever library it comes from.

    Parameters
    ----------
    X : {array-like, data frame} of shape (n_samples, n_features)
        An array, a list of rows, or a frame of pandas, polars (a lazy one is
        collected) or pyarrow.

    Returns
    -------
    Table
        Its columns.

    Raises
    ------
    TypeError
        If X is sparse or no table.
    ValueError
        If X does not have two dimensions, has no rows or no columns, or if two of its
        columns have one name.
    """
    table = _take_apart(X)
    if not table.columns:
        raise ValueError("X has no columns; at least one is needed.")
    if len(table.index) == 0:
        raise ValueError("X has no rows: found array with 0 sample(s).")
    seen: set[Hashable] = set()
    repeated = [n for n in table.names if n in seen or seen.add(n)]  # type: ignore[func-returns-value]
    if repeated:
        raise ValueError(
            f"More than one column of X is called {list(dict.fromkeys(repeated))}. "
            "Give each column a name of its own."
        )
    return table


def _take_apart(X: Any) -> Table:
    if sparse.issparse(X):
        raise TypeError(
            "Sparse data was passed as X, but columns of mixed kinds are needed here. "
            "Pass X.toarray(), or give sparse features to the estimator as they are."
        )
    library = type(X).__module__.partition(".")[0]
    if library == "polars" and type(X).__name__ == "LazyFrame":
        X = X.collect()
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 2:
        raise ValueError(
            f"Expected 2D array, got {len(shape)}D {type(X).__name__} instead: X must "
            "be a table of shape (n_samples, n_features). Use X.to_frame() or "
            "X.reshape(-1, 1) if it is a single column. A single row is "
            "X.iloc[[0]] of a frame, or X.reshape(1, -1)."
        )
    if isinstance(X, pd.DataFrame):
        columns = [_plain(X.iloc[:, j]) for j in range(X.shape[1])]
        return Table(list(X.columns), columns, X.index, named=True)
    if library == "polars" and hasattr(X, "get_columns"):
        columns = [_from_polars(column) for column in X.get_columns()]
        return Table(list(X.columns), columns, pd.RangeIndex(len(X)), named=True)
    if library == "pyarrow" and hasattr(X, "column_names"):
        columns = [column.to_pandas() for column in X.columns]
        index = pd.RangeIndex(X.num_rows)
        return Table(list(X.column_names), columns, index, named=True)
    if hasattr(X, "__arrow_c_stream__"):  # frames of any other library
        import pyarrow

        return _take_apart(pyarrow.table(X))
    return _from_array(X)


def _from_array(X: Any) -> Table:
    if isinstance(X, Mapping) or (
        isinstance(X, list | tuple) and X and isinstance(X[0], Mapping)
    ):
        what = "a dict" if isinstance(X, Mapping) else "a list of dicts"
        frame = "pd.DataFrame([X])" if isinstance(X, Mapping) else "pd.DataFrame(X)"
        raise TypeError(
            f"X must be an array or a frame of pandas, polars or pyarrow, got {what}. "
            f"Pass {frame}, with a dict for each row."
        )
    if not hasattr(X, "__array__") and not isinstance(X, list | tuple):
        raise TypeError(
            "X must be an array or a frame of pandas, polars or pyarrow, got "
            f"{type(X).__name__}."
        )
    rows = isinstance(X, list | tuple)
    if rows and not all(isinstance(row, list | tuple | np.ndarray) for row in X):
        raise ValueError(
            "Expected 2D array, got 1D array instead: X must be a table of shape "
            "(n_samples, n_features), with a list for each row."
        )
    # pandas keeps the type of each column of a list of rows, NumPy has one for all.
    table = pd.DataFrame(X if rows else np.asarray(X))
    columns = [table.iloc[:, j] for j in range(table.shape[1])]
    return Table(list(range(len(columns))), columns, table.index, named=False)


def _from_polars(column: Any) -> pd.Series:
    """Return a polars column as pandas has it, without pyarrow, which may be absent."""
    dtype = column.dtype
    kind = str(dtype).partition("(")[0]
    if kind in {"Categorical", "Enum"}:
        return pd.Series(pd.Categorical(column.to_list()))
    if not (dtype.is_temporal() or dtype.is_numeric()) or kind in {"Time", "Decimal"}:
        return pd.Series(column.to_list(), dtype=object)
    if kind == "Datetime" and dtype.time_zone:
        utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        times = pd.Series(utc.to_numpy()).dt.tz_localize("UTC")
        return times.dt.tz_convert(dtype.time_zone)
    return pd.Series(column.to_numpy())


def _plain(column: pd.Series) -> pd.Series:
    """Return a column of pandas without its index, and not backed by Arrow."""
    if isinstance(column.dtype, pd.ArrowDtype):
        import pyarrow

        return pyarrow.array(column.array).to_pandas()
    return column.reset_index(drop=True)
