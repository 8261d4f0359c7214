"""A whole preprocessor: from data frames of mixed types to numeric features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_mmoe.preprocessing._categories import CategoryEncoder
from sklearn_mmoe.preprocessing._piecewise import PiecewiseLinearEncoder

__all__ = ["make_tabular_preprocessor"]


def _kind(column: Any) -> str:
    """Tell 'numeric' columns from 'categorical' ones and from 'time's."""
    column = pd.Series(column) if isinstance(column, np.ndarray) else column
    dtype = column.dtype
    if hasattr(dtype, "is_numeric"):  # polars
        if dtype.is_temporal():
            return "time"
        return "numeric" if dtype.is_numeric() else "categorical"
    if pd.api.types.is_object_dtype(dtype):
        inferred = pd.api.types.infer_dtype(column, skipna=True)
        if inferred.startswith(("datetime", "timedelta", "date", "period")):
            return "time"
        numeric = inferred in {"integer", "floating", "mixed-integer-float"}
        return "numeric" if numeric else "categorical"
    if dtype.kind in "mM" or isinstance(dtype, pd.PeriodDtype):
        return "time"
    numeric = pd.api.types.is_numeric_dtype(dtype) and dtype.kind != "b"
    return "numeric" if numeric else "categorical"


class _ColumnsOfKind:
    """Selects the numeric or the categorical columns when ColumnTransformer is fitted.

    Parameters
    ----------
    kind : {'numeric', 'categorical'}
        Which ones.
    categorical : sequence of str or int
        Columns that are categorical whatever their dtype.
    """

    def __init__(self, kind: str, categorical: Sequence[Any]) -> None:
        self.kind = kind
        self.categorical = categorical

    def __repr__(self) -> str:
        return f"<{self.kind} columns>"

    def __call__(self, X: Any) -> list[Any]:
        framed = hasattr(X, "columns")
        X = X if framed else np.asarray(X)
        names = list(X.columns) if framed else list(range(X.shape[1]))
        unknown = [name for name in self.categorical if name not in names]
        if unknown:
            raise ValueError(
                f"The 'categorical' parameter names columns that X does not have: "
                f"{unknown}."
            )
        kinds = {
            name: "categorical"
            if name in self.categorical
            else _kind(X[name] if framed else X[:, name])
            for name in names
        }
        times = [name for name in names if kinds[name] == "time"]
        if times:
            raise ValueError(
                f"The columns {times} hold dates or times, which have no obvious "
                "encoding. Replace them by numbers that matter here, such as the age "
                "in days or the month, or drop them."
            )
        return [name for name in names if kinds[name] == self.kind]


def make_tabular_preprocessor(
    *,
    n_bins: int = 64,
    spike_frequency: int | None = 10,
    min_frequency: int | float | None = 10,
    categorical: Sequence[Any] = (),
    sparse: bool = True,
) -> ColumnTransformer:
    """Make a preprocessor that brings a data frame of mixed types to numbers.

    Numeric columns are encoded twice: piecewise linear, for what happens within their
    range, and standardised, for their order beyond it. Categorical columns become one
    column for each category. Columns are told apart by their dtype when the
    preprocessor is fitted: numbers are numeric; strings, categories, booleans and
    other objects are categorical.

    Parameters
    ----------
    n_bins : int, default=64
        Bins of :class:`PiecewiseLinearEncoder`.
    spike_frequency : int or None, default=10
        Values of numeric columns that at least so many rows share, and that stand out
        from those around them, get a column of their own; None gives them none.
    min_frequency : int, float or None, default=10
        Categories of fewer rows (an int) or of a smaller share of the rows (a float)
        are taken together to one column of infrequent ones, which stands for
        categories never seen in ``fit`` as well. None keeps every category.
    categorical : sequence of str or int, default=()
        Columns that are categorical although they hold numbers, such as codes: names,
        or indices where X is an array.
    sparse : bool, default=True
        Whether the result is a CSR matrix; otherwise it is an array, for which
        ``set_output`` works.

    Returns
    -------
    ColumnTransformer
        Unfitted, with transformers named 'piecewise', 'scaled' and 'one_hot'. Its
        output is float32. Missing values are allowed: in numeric columns the median
        stands for them, and a column says where; in categorical columns they are a
        category. Its ``fit`` raises a ValueError that names them if there are columns
        of dates or times.

    See Also
    --------
    PiecewiseLinearEncoder : The encoder of the numeric columns.
    CategoryEncoder : The encoder of the categorical columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe.preprocessing import make_tabular_preprocessor
    >>> frame = pd.DataFrame({"age": [20, 30, 40], "sex": ["f", "m", "f"]})
    >>> preprocessor = make_tabular_preprocessor(n_bins=2, min_frequency=None)
    >>> preprocessor.fit_transform(frame).toarray().round(1)
    array([[ 0. ,  0. , -1.2,  1. ,  0. ],
           [ 1. ,  0. ,  0. ,  0. ,  1. ],
           [ 1. ,  1. ,  1.2,  1. ,  0. ]], dtype=float32)
    """
    if isinstance(categorical, str):
        raise TypeError(
            "The 'categorical' parameter must be a sequence of columns, got the str "
            f"{categorical!r}."
        )
    categorical = tuple(categorical)
    numeric_columns = _ColumnsOfKind("numeric", categorical)
    categorical_columns = _ColumnsOfKind("categorical", categorical)
    piecewise = PiecewiseLinearEncoder(
        n_bins=n_bins, spike_frequency=spike_frequency, sparse_output=sparse
    )
    one_hot = CategoryEncoder(min_frequency=min_frequency, sparse_output=sparse)
    scaled = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        FunctionTransformer(_to_float32, feature_names_out="one-to-one"),
    )
    return ColumnTransformer(
        [
            ("piecewise", piecewise, numeric_columns),
            ("scaled", scaled, numeric_columns),
            ("one_hot", one_hot, categorical_columns),
        ],
        # One sparse part makes the whole sparse, or none is.
        sparse_threshold=1.0 if sparse else 0.0,
    )


def _to_float32(X: Any) -> Any:
    return X.astype(np.float32)
