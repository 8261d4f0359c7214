"""From data frames of mixed types to the numeric features that networks like.

References
----------
.. [1] Gorishniy, Y., Rubachev, I., & Babenko, A. (2022). "On Embeddings for Numerical
   Features in Tabular Deep Learning". NeurIPS 2022. https://arxiv.org/abs/2203.05556
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

__all__ = ["PiecewiseLinearEncoder", "make_tabular_preprocessor"]


def _bin_edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Find the edges of the bins of one column.

    Quantiles alone would spend most bins on a value that many rows share: of 32
    quantiles of a column that is 0 in 95 % of its rows, 30 are 0. So such values, the
    atoms, are set aside, each between edges at its neighbours, so that no bin mixes
    it with other values; the other bins are the quantiles of the other rows.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        The column, without missing values.
    n_bins : int
        Number of bins of a column without atoms.

    Returns
    -------
    ndarray of shape (n_edges,)
        Increasing edges, at least two of them.
    """
    unique, counts = np.unique(values, return_counts=True)
    if len(unique) <= n_bins + 1:
        edges = unique  # every value is an edge: nothing finer can be learnt
    else:
        heavy = np.flatnonzero(counts > len(values) / n_bins)
        others = np.repeat(np.delete(unique, heavy), np.delete(counts, heavy))
        n_quantiles = max(n_bins - len(heavy), 1) + 1
        quantiles = np.quantile(
            others, np.linspace(0, 1, n_quantiles), method="inverted_cdf"
        )
        neighbours = np.clip(
            np.concatenate([heavy - 1, heavy, heavy + 1]), 0, len(unique) - 1
        )
        edges = np.union1d(quantiles, unique[neighbours])
    if len(edges) >= 2:
        return edges
    # A constant column, or none but missing values: one step, just above the constant.
    constant = edges[0] if len(edges) else 0.0
    return np.array([constant, np.nextafter(constant, np.inf)])


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    r"""Encode numeric columns by how far each value has filled a row of bins.

    A column with edges :math:`b_0 < b_1 < \dots < b_T` becomes T columns (Gorishniy
    et al., 2022, equation 1 [1]_)

    .. math::

        e_t(x) = \min\Bigl(\max\Bigl(
            \frac{x - b_{t-1}}{b_t - b_{t-1}}, 0\Bigr), 1\Bigr)

    of which those below x are 1, those above it are 0. A linear layer on top of them
    is a piecewise linear function of x, which makes numeric columns of any
    distribution easy to learn from. Unlike in the paper, the first and last bin too
    are bounded by [0, 1], so that values beyond those of ``fit`` do no harm.

    The edges are quantiles. Values that more than ``1 / n_bins`` of the rows share,
    such as the zeros of a column of amounts, are set apart by edges of their own, and
    the quantiles are those of the other rows.

    Parameters
    ----------
    n_bins : int, default=32
        Number of bins of a column. Columns of at most ``n_bins + 1`` different values
        have an edge at each, and columns with heavy values up to two bins more for
        each of these.

    Attributes
    ----------
    bin_edges_ : list of ndarray of shape (n_edges,)
        The edges of each column.
    fill_values_ : ndarray of shape (n_features_in_,)
        The median of each column, which stands for missing values.
    missing_columns_ : ndarray of int
        Indices of the columns that had missing values in ``fit``. Each of them gets
        one more output column, which is 1 where the value is missing.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : This encoder in a whole preprocessor.
    sklearn.preprocessing.KBinsDiscretizer : Steps instead of slopes.
    sklearn.preprocessing.SplineTransformer : Smooth bases.

    References
    ----------
    .. [1] Gorishniy, Y., Rubachev, I., & Babenko, A. (2022). "On Embeddings for
       Numerical Features in Tabular Deep Learning". NeurIPS 2022.
       https://arxiv.org/abs/2203.05556

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.preprocessing import PiecewiseLinearEncoder
    >>> encoder = PiecewiseLinearEncoder(n_bins=2)
    >>> encoder.fit_transform(np.array([[0.0], [1.0], [5.0]]))
    array([[0., 0.],
           [1., 0.],
           [1., 1.]], dtype=float32)
    >>> encoder.transform(np.array([[3.0], [9.0]]))
    array([[1. , 0.5],
           [1. , 1. ]], dtype=float32)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_bins: int = 32) -> None:
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> PiecewiseLinearEncoder:
        """Find the edges of the bins.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Numeric columns; missing values are NaN.
        y : None
            Ignored.

        Returns
        -------
        self : PiecewiseLinearEncoder
            The fitted encoder.

        Raises
        ------
        ValueError
            If X is not numeric or has infinite values.
        """
        X = self._validate(X, reset=True)
        missing = np.isnan(X)
        self.bin_edges_ = []
        self.fill_values_ = np.zeros(X.shape[1])
        for j, column in enumerate(X.T):
            present = column[~missing[:, j]]
            self.bin_edges_.append(_bin_edges(present, self.n_bins))
            if len(present):
                self.fill_values_[j] = np.median(present)
        self.missing_columns_ = np.flatnonzero(missing.any(axis=0))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode the columns.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            float32 in [0, 1]: each column's bins, followed by its indicator of
            missing values where ``fit`` saw any.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns are not those of ``fit``, or have infinite values.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        encoded = np.empty((X.shape[0], self._n_features_out), dtype=np.float32)
        start = 0
        for j, edges in enumerate(self.bin_edges_):
            stop = start + len(edges) - 1
            missing = np.isnan(X[:, j])
            values = np.where(missing, self.fill_values_[j], X[:, j])
            # (n_samples, n_bins of the column). A bin may be so narrow that the
            # quotient overflows; it is bounded next.
            with np.errstate(over="ignore"):
                fill = (values[:, None] - edges[:-1]) / np.diff(edges)
            np.clip(fill, 0, 1, out=encoded[:, start:stop], casting="same_kind")
            start = stop
            if j in self.missing_columns_:
                encoded[:, start] = missing
                start += 1
        return encoded

    def _validate(self, X: Any, reset: bool) -> np.ndarray:
        return validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
        )

    @property
    def _n_features_out(self) -> int:
        n_bins = sum(len(edges) - 1 for edges in self.bin_edges_)
        return n_bins + len(self.missing_columns_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the output columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; None takes those of ``fit``, else ``x0``, ``x1``,
            ...

        Returns
        -------
        ndarray of str of shape (n_features_out,)
            ``<column>_bin<t>`` for each bin, ``<column>_missing`` for an indicator.
        """
        check_is_fitted(self)
        names = []
        columns = _check_feature_names_in(self, input_features)
        for j, (column, edges) in enumerate(zip(columns, self.bin_edges_, strict=True)):
            names += [f"{column}_bin{t}" for t in range(len(edges) - 1)]
            if j in self.missing_columns_:
                names.append(f"{column}_missing")
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags


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
    n_bins: int = 32,
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
    n_bins : int, default=32
        Bins of :class:`PiecewiseLinearEncoder`.
    min_frequency : int, float or None, default=10
        Categories of fewer rows (an int) or of a smaller share of the rows (a float)
        are taken together to one column of infrequent ones, which stands for
        categories never seen in ``fit`` as well. None keeps every category.
    categorical : sequence of str or int, default=()
        Columns that are categorical although they hold numbers, such as codes: names,
        or indices where X is an array.
    sparse : bool, default=True
        Whether the result is a CSR matrix where there are categorical columns;
        otherwise it is an array, for which ``set_output`` works.

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
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=min_frequency,
        dtype=np.float32,
        sparse_output=sparse,
    )
    scaled = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        FunctionTransformer(_to_float32, feature_names_out="one-to-one"),
    )
    return ColumnTransformer(
        [
            ("piecewise", PiecewiseLinearEncoder(n_bins=n_bins), numeric_columns),
            ("scaled", scaled, numeric_columns),
            ("one_hot", one_hot, categorical_columns),
        ],
        # One sparse part makes the whole sparse, or none is.
        sparse_threshold=1.0 if sparse else 0.0,
    )


def _to_float32(X: Any) -> Any:
    return X.astype(np.float32)
