"""What lies beyond the values of ``fit``, kept within bounds."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin

__all__ = ["TailSquashingScaler"]


class TailSquashingScaler(
    DocumentationLinkMixin,
    VersionedStateMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Standardise columns, and squash what lies beyond the values of ``fit``.

    Within the range of ``fit`` a column is that of
    :class:`~sklearn.preprocessing.StandardScaler`. A distance :math:`d` beyond it
    becomes :math:`d / \sqrt{1 + (d / m)^2}`, which begins as :math:`d` and never
    exceeds :math:`m`: the smooth clipping of RealMLP [1]_, but of the tails alone. So
    one extreme value, a typing error or a number that means 'missing', cannot spoil a
    prediction. Constant columns become zeros, also in ``transform``.

    Parameters
    ----------
    max_distance : float, default=3.0
        The largest distance beyond the range, in standard deviations.

    Attributes
    ----------
    scaler_ : StandardScaler
        Fitted to the columns.
    data_min_, data_max_ : ndarray of shape (n_features,)
        The range of each standardised column.
    constant_columns_ : ndarray of int
        Indices of the columns that are constant, but for rounding errors.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : This scaler in a whole preprocessor.
    skrub.SquashingScaler : Squashes the range of ``fit`` as well.

    References
    ----------
    .. [1] Holzmüller, D., Grinsztajn, L., & Steinwart, I. (2024). "Better by Default:
       Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data". NeurIPS 2024.
       https://arxiv.org/abs/2407.04491

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.preprocessing import TailSquashingScaler
    >>> scaler = TailSquashingScaler().fit([[0.0], [1.0], [2.0]])
    >>> scaler.transform([[0.0], [2.0], [2.1], [1e30]]).round(2)
    array([[-1.22],
           [ 1.22],
           [ 1.35],
           [ 4.22]], dtype=float32)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "max_distance": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(self, max_distance: float = 3.0) -> None:
        self.max_distance = max_distance

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> TailSquashingScaler:
        """Find the mean, the standard deviation and the range of each column.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Numeric columns without missing values.
        y : None
            Ignored.

        Returns
        -------
        self : TailSquashingScaler
            The fitted scaler.
        """
        X = validate_data(self, X, dtype=np.float64)
        self.scaler_ = StandardScaler().set_output(transform="default").fit(X)
        scaled = self.scaler_.transform(X)
        self.data_min_, self.data_max_ = scaled.min(axis=0), scaled.max(axis=0)
        # Left as it is by the scaler: its variance is nothing but rounding errors.
        unscaled = (self.scaler_.scale_ == 1) & (self.scaler_.var_ != 1)
        constant = (X.min(axis=0) == X.max(axis=0)) | unscaled
        self.constant_columns_ = np.flatnonzero(constant)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Standardise the columns and squash their tails.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            float32.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns are not those of ``fit``.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scaled = self.scaler_.transform(X)
        squashed = np.clip(scaled, self.data_min_, self.data_max_)
        beyond = scaled - squashed
        # hypot, unlike a square, does not overflow.
        squashed += beyond / np.hypot(1, beyond / self.max_distance)
        squashed[:, self.constant_columns_] = 0
        return squashed.astype(np.float32)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
