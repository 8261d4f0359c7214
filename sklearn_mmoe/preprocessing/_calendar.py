"""What a calendar and a clock say of dates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe.preprocessing._table import check_frame

__all__ = ["CalendarEncoder"]

_CIRCLE = "_circular_"  # in the names that skrub gives


class CalendarEncoder(
    DocumentationLinkMixin, VersionedStateMixin, TransformerMixin, BaseEstimator
):
    """Encode dates as year, month, day, weekday, hour and seconds.

    Each column becomes numbers: its year, month, day, weekday and hour, and the
    seconds since 1970. The periodic ones, all but the year and the seconds,
    also become points on a circle, where December is beside January. All but the
    seconds, of which it has only the digits of float32, come from
    :class:`skrub.DatetimeEncoder`. Numbers that are the same in all rows of ``fit``,
    such as the hour of dates without a time, are left out, but not the seconds.

    Parameters
    ----------
    features : {'all', 'numbers', 'circle'}, default='all'
        Which of these.

    Attributes
    ----------
    features_ : list of list of str
        What each column became.
    medians_ : list of ndarray
        The median of each of these, which stands for missing dates.
    missing_columns_ : ndarray of int
        Indices of the columns with missing dates in ``fit``. Each of them gets one
        more output column, which is 1 where the date is missing. None with
        ``features='circle'``.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : This encoder in a whole preprocessor.
    skrub.DatetimeEncoder : The encoder of a single column behind it.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe.preprocessing import CalendarEncoder
    >>> frame = pd.DataFrame({"day": pd.to_datetime(["2024-05-06", "2024-05-08"])})
    >>> encoder = CalendarEncoder().fit(frame)
    >>> encoder.get_feature_names_out().tolist()
    ['day_day', 'day_weekday', 'day_day_circular_0', 'day_day_circular_1',
     'day_weekday_circular_0', 'day_weekday_circular_1', 'day_total_seconds']
    >>> encoder.transform(frame)[:, :2]
    array([[6., 1.],
           [8., 3.]])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "features": [StrOptions({"all", "numbers", "circle"})],
    }

    def __init__(self, features: str = "all") -> None:
        self.features = features

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> CalendarEncoder:
        """Find out which features differ between rows.

        Parameters
        ----------
        X : DataFrame of shape (n_samples, n_features)
            Columns of dtype datetime64, without time zones; missing dates are NaT.
        y : None
            Ignored.

        Returns
        -------
        self : CalendarEncoder
            The fitted encoder.

        Raises
        ------
        TypeError
            If X is no data frame of pandas, or a column has no dates.
        """
        # Not before it is needed: see `_parsing`.
        from skrub import DatetimeEncoder  # type: ignore[import-untyped]

        check_frame(X, self)
        validate_data(self, X, skip_check_array=True)
        self._encoders = []
        self.features_, self.medians_ = [], []
        missing_columns = []
        for j in range(X.shape[1]):
            dates = _column(X, j)
            if not pd.api.types.is_datetime64_any_dtype(dates.dtype):
                raise TypeError(
                    f"Column {X.columns[j]!r} has no dates, but the type "
                    f"{dates.dtype}. Convert it with pd.to_datetime."
                )
            present = dates.dropna()
            encoders = [
                DatetimeEncoder(
                    add_weekday=True, add_total_seconds=False, periodic_encoding=form
                ).fit(present)
                for form in (None, "circular")
            ]
            features = _features(encoders, present)
            on_circle = np.array([_CIRCLE in str(name) for name in features])
            # Of one date alone there would be nothing left but the seconds.
            differ = (features.max() > features.min()).to_numpy() | (
                features.columns == "total_seconds"
            )
            if self.features != "all":
                differ &= on_circle if self.features == "circle" else ~on_circle
            features = features[features.columns[differ]]
            self._encoders.append(encoders)
            self.features_.append(list(features))
            self.medians_.append(features.median().fillna(0).to_numpy())
            if len(present) < len(dates) and self.features != "circle":
                missing_columns.append(j)
        self.missing_columns_ = np.array(missing_columns, dtype=np.intp)
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
            float64, or float32 with ``features='circle'``, without missing values.

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
        for j, encoders in enumerate(self._encoders):
            dates = _column(X, j)
            features = _features(encoders, dates)[self.features_[j]].to_numpy()
            missing = dates.isna().to_numpy()
            blocks.append(np.where(missing[:, None], self.medians_[j], features))
            if j in self.missing_columns_:
                blocks.append(missing[:, None])
        # Seconds have more digits than float32.
        circle = self.features == "circle"
        return np.hstack(blocks, dtype=np.float32 if circle else np.float64)

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
            ``<column>_<feature>``, in skrub's words, and ``<column>_missing``.
        """
        check_is_fitted(self)
        names = []
        for j, column in enumerate(_check_feature_names_in(self, input_features)):
            names += [f"{column}_{feature}" for feature in self.features_[j]]
            if j in self.missing_columns_:
                names.append(f"{column}_missing")
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.no_validation = True  # arrays of numbers hold no dates
        tags.transformer_tags.preserves_dtype = []
        return tags


def _column(X: Any, j: int) -> pd.Series:
    return X.iloc[:, j].reset_index(drop=True).rename("x")


def _features(encoders: list[Any], dates: pd.Series) -> pd.DataFrame:
    """Return all features of a column of dates, missing ones where they are."""
    plain, circular = (encoder.transform(dates) for encoder in encoders)
    circular = circular[[name for name in circular if _CIRCLE in name]]
    features = pd.concat([plain, circular], axis=1).astype(np.float64)
    features.columns = features.columns.str.removeprefix("x_")
    # Not in nanoseconds, which end with the year 2262.
    microseconds = dates.to_numpy("datetime64[us]") - np.datetime64(0, "us")
    return features.assign(total_seconds=microseconds / np.timedelta64(1, "s"))
