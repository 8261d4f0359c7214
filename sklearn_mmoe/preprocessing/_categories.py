"""One column for each category."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._files.frames import PandasStateMixin
from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.preprocessing._auto import AUTO
from sklearn_mmoe.preprocessing._output import distinct
from sklearn_mmoe.preprocessing._readers import factorize

__all__ = ["CategoryEncoder"]


def _codes(name: Any, column: Any) -> tuple[np.ndarray, pd.Index]:
    """Return each row's category as an index into those found, -1 where it is missing.

    A column of pandas' category dtype has its codes at hand, which is what makes this
    many times faster than comparing strings.
    """
    if isinstance(column, pd.Series) and isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes), column.cat.categories.astype(object)
    values = column if isinstance(column, pd.Series) else pd.Series(np.asarray(column))
    codes, found = factorize(name, values)
    return codes, pd.Index(found, dtype=object, tupleize_cols=False)


def _sorted(categories: pd.Index) -> pd.Index:
    """Sort categories; those of types that cannot be compared by their names."""
    try:
        return categories.sort_values()
    except TypeError:
        return categories[np.argsort(categories.map(repr), kind="stable")]


class CategoryEncoder(
    PandasStateMixin,
    DocumentationLinkMixin,
    VersionedStateMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Encode categorical columns as one sparse column for each category.

    It returns what :class:`sklearn.preprocessing.OneHotEncoder` returns with
    ``handle_unknown="infrequent_if_exist"``, in a fraction of the time for strings and
    for columns of pandas' category dtype. Categories are matched by value.

    Parameters
    ----------
    min_frequency : int, float, 'auto' or None, default=None
        Categories of fewer rows (an int) or of a smaller share of the rows (a float)
        share one column with categories that ``fit`` has not seen. Without such a
        column, unknown categories are all zeros. 'auto' is 10 rows, or a twentieth of
        the rows if there are fewer than 200. None keeps every category.
    sparse_output : bool, default=True
        Whether the result is a CSR matrix instead of an array.

    Attributes
    ----------
    categories_ : list of ndarray of object
        The categories of each column that have a column of their own, sorted.
    infrequent_columns_ : ndarray of int
        Indices of the columns with infrequent categories. Each of them gets one more
        output column.
    missing_columns_ : ndarray of int
        Indices of the columns in which enough values were missing in ``fit``. Each of
        them gets one more output column, which is 1 where the value is missing.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : This encoder in a whole preprocessor.
    sklearn.preprocessing.OneHotEncoder : With more ways to choose the columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe.preprocessing import CategoryEncoder
    >>> frame = pd.DataFrame({"sex": ["f", "m", "f", None]}, dtype="category")
    >>> encoder = CategoryEncoder(sparse_output=False).fit(frame)
    >>> encoder.transform(frame)
    array([[1., 0., 0.],
           [0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    >>> encoder.get_feature_names_out().tolist()
    ['sex_f', 'sex_m', 'sex_missing']
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "min_frequency": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, 1, closed="neither"),
            StrOptions({"auto"}),
            None,
        ],
        "sparse_output": ["boolean"],
    }

    def __init__(
        self,
        min_frequency: int | float | str | None = None,
        sparse_output: bool = True,
    ) -> None:
        self.min_frequency = min_frequency
        self.sparse_output = sparse_output

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> CategoryEncoder:
        """Find the categories.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Categorical columns: strings, categories, numbers or other objects.
            Missing values are None, NaN or ``pd.NA``.
        y : None
            Ignored.

        Returns
        -------
        self : CategoryEncoder
            The fitted encoder.
        """
        columns = self._columns(X, reset=True)
        self.categories_ = []
        infrequent_columns, missing_columns = [], []
        for j, (name, column) in enumerate(columns):
            codes, found = _codes(name, column)
            counts = np.bincount(codes + 1, minlength=len(found) + 1)
            frequent = counts >= self._least(len(codes))
            self.categories_.append(_sorted(found[frequent[1:]]).to_numpy(dtype=object))
            if frequent[0]:
                missing_columns.append(j)
            if np.any(~frequent & (counts > 0)):
                infrequent_columns.append(j)
        self.infrequent_columns_ = np.array(infrequent_columns, dtype=np.intp)
        self.missing_columns_ = np.array(missing_columns, dtype=np.intp)
        return self

    def _least(self, n_samples: int) -> float:
        """Return the number of rows from which on a category has its own column."""
        if self.min_frequency is None:
            return 1
        if isinstance(self.min_frequency, str):
            return AUTO.min_frequency(n_samples)
        if isinstance(self.min_frequency, Integral):
            return int(self.min_frequency)
        return max(1.0, float(self.min_frequency) * n_samples)

    def transform(self, X: Any) -> Any:
        """Encode the columns.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The columns of ``fit``.

        Returns
        -------
        CSR matrix or ndarray of shape (n_samples, n_features_out)
            float32, 1 in the column of each row's category and 0 elsewhere.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns are not those of ``fit``.
        """
        check_is_fitted(self)
        columns = self._columns(X, reset=False)
        parts = []
        start = 0
        for j, (name, column) in enumerate(columns):
            codes, found = _codes(name, column)
            self._warn_of_another_type(j, name, found)
            targets, n_columns = self._output_columns(j, found)
            targets = np.where(targets < 0, -1, start + targets)
            parts.append(targets.astype(np.int32)[codes])
            start += n_columns
        # (n_samples, n_features): the output column of each value, or -1 for none.
        indices = np.column_stack(parts)
        present = indices >= 0
        encoded = sparse.csr_matrix(
            (
                np.ones(np.count_nonzero(present), dtype=np.float32),
                indices[present],
                np.concatenate([[0], np.cumsum(present.sum(axis=1))]),
            ),
            shape=(len(indices), start),
        )
        return encoded if self.sparse_output else encoded.toarray()

    def _warn_of_another_type(self, j: int, name: Any, found: pd.Index) -> None:
        """Warn if text has become numbers, or numbers text: none would be known."""
        now, before = list(found), self.categories_[j].tolist()
        kinds = [
            {isinstance(value, str) for value in values} for values in (now, before)
        ]
        if kinds in ([{True}, {False}], [{False}, {True}]):
            warn(
                f"No category of column {name!r} is known: it holds values such as "
                f"{now[0]!r} now, but in fit it held values of another type, such as "
                f"{before[0]!r}. Convert the column to that type before.",
                finding=("another type", name),
            )

    def _output_columns(self, j: int, found: pd.Index) -> tuple[np.ndarray, int]:
        """Find the output column of each category that a column of X has now.

        Returns them counted within this column, the last one being that of missing
        values, so that a code of -1 takes it; and their number.
        """
        missing, infrequent, n_columns = self._special_columns(j)
        own = pd.Index(self.categories_[j], dtype=object).get_indexer(found)
        targets = np.append(own, missing)
        return np.where(targets < 0, infrequent, targets), n_columns

    def _special_columns(self, j: int) -> tuple[int, int, int]:
        """Return which output column of a column is that of missing values, or -1.

        And which is that of infrequent ones, or -1; and the number of all.
        """
        n_columns = len(self.categories_[j])
        missing = infrequent = -1
        if j in self.missing_columns_:
            missing, n_columns = n_columns, n_columns + 1
        if j in self.infrequent_columns_:
            infrequent, n_columns = n_columns, n_columns + 1
        return missing, infrequent, n_columns

    def _columns(self, X: Any, reset: bool) -> list[tuple[Any, Any]]:
        """Check X and take it apart, into names and columns."""
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if hasattr(X, "iloc"):
                return [(name, X.iloc[:, j]) for j, name in enumerate(X.columns)]
            return [(name, X[name]) for name in X.columns]
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return list(enumerate(X.T))

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
            ``<column>_<category>`` for each category, ``<column>_missing`` and
            ``<column>_infrequent`` for the others; with a number behind a name that
            another column has, such as that of a category called 'missing'.
        """
        check_is_fitted(self)
        names = []
        columns = _check_feature_names_in(self, input_features)
        for j, column in enumerate(columns):
            names += [f"{column}_{category}" for category in self.categories_[j]]
            if j in self.missing_columns_:
                names.append(f"{column}_missing")
            if j in self.infrequent_columns_:
                names.append(f"{column}_infrequent")
        return distinct(names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags
