"""Strings by the pieces they share."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe.preprocessing._table import check_frame

__all__ = ["TextEncoder"]

# Strings from which the pieces are learned; the pieces of more are the same.
_MAX_LEVELS = 10_000


class TextEncoder(
    DocumentationLinkMixin, VersionedStateMixin, TransformerMixin, BaseEstimator
):
    """Encode columns of text, so that strings with parts in common are similar.

    Each column goes through :class:`skrub.StringEncoder`, which counts pieces of three
    and four letters, weighs down the common ones, and keeps what differs most. It
    looks at no target. Each different string is encoded once, however many rows have
    it. Missing strings are zeros.

    Parameters
    ----------
    n_components : int, default=30
        Output columns for each column, at most; less than it has different strings.

    Attributes
    ----------
    encoders_ : list of skrub.StringEncoder
        The encoder of each column.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : This encoder in a whole preprocessor.
    skrub.StringEncoder : The encoder of a single column behind it.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe.preprocessing import TextEncoder
    >>> frame = pd.DataFrame({"job": ["nurse", "night nurse", "taxi driver"]})
    >>> encoder = TextEncoder(n_components=2).fit(frame)
    >>> a, b, c = encoder.transform(frame)
    >>> bool(a @ b > a @ c)
    True
    >>> encoder.get_feature_names_out().tolist()
    ['job_text0', 'job_text1']
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, n_components: int = 30) -> None:
        self.n_components = n_components

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> TextEncoder:
        """Learn which pieces tell the strings apart.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            Columns of strings, or of categories that are strings.
        y : None
            Ignored.

        Returns
        -------
        self : TextEncoder
            The fitted encoder.

        Raises
        ------
        TypeError
            If X is no data frame of pandas.
        ValueError
            If a column has no text.
        """
        # Not before it is needed: see `_parsing`.
        from skrub import StringEncoder  # type: ignore[import-untyped]

        check_frame(X, self)
        validate_data(self, X, skip_check_array=True)
        self.encoders_ = []
        for j in range(X.shape[1]):
            # Sorted, so that neither the order of rows nor their type matters.
            strings = np.sort(_levels(X.iloc[:, j])[1])
            if not any(map(str.strip, strings)):
                raise ValueError(
                    f"Column {X.columns[j]!r} has no text to learn from. Leave it out."
                )
            if len(strings) > _MAX_LEVELS:
                chosen = np.random.RandomState(0).permutation(len(strings))
                strings = strings[np.sort(chosen[:_MAX_LEVELS])]
            n_components = max(1, min(self.n_components, len(strings) - 1))
            encoder = StringEncoder(n_components, random_state=0)
            with config_context(transform_output="default"), warnings.catch_warnings():
                # Of fewer pieces than components it keeps them all, and says so.
                warnings.filterwarnings("ignore", "The matrix shape is")
                self.encoders_.append(encoder.fit(_strings(strings)))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode the columns.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            The columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            float32.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        TypeError
            If X is no data frame of pandas.
        ValueError
            If the columns are not those of ``fit``.
        """
        check_is_fitted(self)
        check_frame(X, self)
        validate_data(self, X, reset=False, skip_check_array=True)
        blocks = []
        for j, encoder in enumerate(self.encoders_):
            codes, strings = _levels(X.iloc[:, j])
            # One string more, so that there is one: that of missing values, at -1.
            with config_context(transform_output="default"):
                frame = encoder.transform(_strings([*strings, ""]))
            encoded = frame.to_numpy(np.float32)
            blocks.append(encoded[codes])
        return np.hstack(blocks)

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
            ``<column>_text<i>``.
        """
        check_is_fitted(self)
        names = [
            f"{column}_text{i}"
            for column, encoder in zip(
                _check_feature_names_in(self, input_features),
                self.encoders_,
                strict=True,
            )
            for i in range(encoder.n_components_)
        ]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.no_validation = True  # arrays of numbers hold no text
        tags.transformer_tags.preserves_dtype = []
        return tags


def _levels(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the different strings of a column, and for each row which it has."""
    codes, levels = pd.factorize(column)
    return codes, np.asarray(levels, dtype=object).astype(str).astype(object)


def _strings(values: Any) -> pd.Series:
    return pd.Series(values, dtype=pd.StringDtype(), name="text")
