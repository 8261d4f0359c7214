"""A whole preprocessor: from tables of mixed kinds to numeric features."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from joblib import parallel_config
from scipy import sparse as scipy_sparse
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.columns import check_targets
from sklearn_mmoe._tasks.rows import keep_row_labels, warn_of_row_order
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.preprocessing._calendar import CalendarEncoder
from sklearn_mmoe.preprocessing._categories import CategoryEncoder
from sklearn_mmoe.preprocessing._kinds import KINDS, learn_reader
from sklearn_mmoe.preprocessing._output import distinct, wants_frame
from sklearn_mmoe.preprocessing._piecewise import PiecewiseLinearEncoder
from sklearn_mmoe.preprocessing._readers import Reader, warn_of_odd_values
from sklearn_mmoe.preprocessing._scaling import TailSquashingScaler
from sklearn_mmoe.preprocessing._table import (
    Table,
    column_label,
    missing_columns_text,
    read_table,
)
from sklearn_mmoe.preprocessing._text import TextEncoder

__all__ = ["TabularPreprocessor", "make_tabular_preprocessor"]

# Where a table that was read says which encoders its columns go through.
_ENCODINGS = "sklearn_mmoe encodings"


class _ColumnsFor:
    """Selects the columns that go through an encoder, when they are known.

    Parameters
    ----------
    encoding : {'numeric', 'datetime', 'categorical', 'text'}
        Name of the encoder.
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding

    def __repr__(self) -> str:
        return f"<{self.encoding} columns>"

    def __call__(self, X: pd.DataFrame) -> list[Any]:
        encodings = X.attrs[_ENCODINGS]
        return [
            name
            for name, of_column in zip(X.columns, encodings, strict=True)
            if self.encoding in of_column
        ]


class TabularPreprocessor(
    DocumentationLinkMixin, VersionedStateMixin, ColumnTransformer
):
    """A ColumnTransformer that finds out what each column of a table holds.

    :func:`make_tabular_preprocessor` makes one with encoders for every kind of
    column. It reads the table first, so that numbers and dates arrive at the encoders
    as such, whatever they were written as. It takes arrays, lists of rows, and frames
    of pandas, polars and pyarrow.

    Columns are matched by their names, whatever these are; further columns are ignored
    in ``transform``, and so is the order. Without names, in arrays, the position
    counts.

    Parameters
    ----------
    transformers : list of tuples
        As in :class:`~sklearn.compose.ColumnTransformer`. Where the names of the
        columns are not all strings, a transformer's columns are positions.
    categorical : sequence of hashable, default=()
        Columns that are categorical whatever they hold: names, or positions where X
        has no names.
    remainder : {'drop', 'passthrough'} or estimator, default='drop'
        As in ColumnTransformer, and so are the others.
    sparse_threshold : float, default=0.3
        1.0 makes every result a CSR matrix, unless ``set_output`` asks for a frame.
    n_jobs : int or None, default=None
        Number of jobs. None is 1, whatever :func:`joblib.parallel_config` says: inside
        a search, its workers have enough to do.
    transformer_weights : dict or None, default=None
        Weights of the transformers.
    verbose : bool, default=False
        Whether to print the time of each.
    verbose_feature_names_out : bool, default=True
        Whether names of features begin with that of their transformer.

    Attributes
    ----------
    kind_to_columns_ : dict of str to list
        The columns of each kind: 'numeric', 'datetime', 'time' (of a day), 'duration',
        'categorical', 'text', and 'identifier', which is left out.
    column_to_kind_ : dict
        The kind of each column.
    transformers_ : list of tuples
        The fitted transformers and their columns.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where X had names that are all strings.

    See Also
    --------
    make_tabular_preprocessor : Makes one.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe.preprocessing import make_tabular_preprocessor
    >>> frame = pd.DataFrame(
    ...     {
    ...         "day": ["2024-05-06", "2024-05-08", "2024-06-01"],
    ...         "price": ["1,200", "950", "?"],
    ...         "city": ["Oslo", "Rome", "Oslo"],
    ...     }
    ... )
    >>> make_tabular_preprocessor().fit(frame).column_to_kind_
    {'day': 'datetime', 'price': 'numeric', 'city': 'categorical'}
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **ColumnTransformer._parameter_constraints,
        "categorical": ["array-like"],
    }

    def __init__(
        self,
        transformers: Any,
        *,
        categorical: Sequence[Hashable] = (),
        remainder: Any = "drop",
        sparse_threshold: float = 0.3,
        n_jobs: int | None = None,
        transformer_weights: dict[str, float] | None = None,
        verbose: bool = False,
        verbose_feature_names_out: bool = True,
    ) -> None:
        super().__init__(
            transformers,
            remainder=remainder,
            sparse_threshold=sparse_threshold,
            n_jobs=n_jobs,
            transformer_weights=transformer_weights,
            verbose=verbose,
            verbose_feature_names_out=verbose_feature_names_out,
        )
        self.categorical = categorical

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Find out what the columns hold, fit the transformers, and transform X.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The table.
        y : array-like or None, default=None
            Handed to the transformers.
        **params : dict
            Handed to the transformers, if metadata routing is enabled.

        Returns
        -------
        CSR matrix, ndarray or data frame of shape (n_samples, n_features_out)
            The features.

        Raises
        ------
        TypeError
            If X is a sparse matrix or no table, or y cannot be targets.
        ValueError
            If a column holds what cannot be a feature, such as infinite numbers or
            lists, or if ``categorical`` names a column that X does not have. The
            message names the column.

        Warns
        -----
        UserWarning
            If there are identifiers, which are left out, or a few values that are no
            numbers in a column of numbers, or no dates in one of dates: they are taken
            for missing, here and in ``transform``. Also if X and y of pandas have the
            same row labels in another order.
        """
        check_targets(y)
        table = read_table(X)
        warn_of_row_order(X, y)
        unknown = [name for name in self.categorical if name not in table.names]
        if unknown:
            raise ValueError(
                "The 'categorical' parameter names columns that X does not have: "
                f"{unknown}."
            )
        readers = [
            learn_reader(name, column, name in self.categorical)
            for name, column in zip(table.names, table.columns, strict=True)
        ]
        frame = _read(table, readers)
        # From here on the earlier fit is forgotten.
        self._readers, self._by_name, self._named = readers, table.by_name, table.named
        self.column_to_kind_ = {reader.name: reader.kind for reader in readers}
        self.kind_to_columns_ = {
            kind: [reader.name for reader in readers if reader.kind == kind]
            for kind in KINDS
        }
        with self._settings_of_transformers():
            encoded = super().fit_transform(frame, y, **params)
        warn_of_odd_values(table, readers)
        identifiers = self.kind_to_columns_["identifier"]
        if identifiers:
            warn(
                f"The columns {identifiers} are left out: they have another value in "
                "each row, as identifiers do, from which nothing can be learned. Drop "
                "them before, or name them as 'categorical' to keep them. If they are "
                "amounts or dates, convert them before, with pd.to_numeric or "
                "pd.to_datetime."
            )
        return self._as_asked(encoded, table.index)

    def transform(self, X: Any, **params: Any) -> Any:
        """Transform a table with the columns of ``fit``.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The table, in any container, its columns in any order.
        **params : dict
            Handed to the transformers, if metadata routing is enabled.

        Returns
        -------
        CSR matrix, ndarray or data frame of shape (n_samples, n_features_out)
            The features.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        TypeError
            If X is a sparse matrix or no table.
        ValueError
            If columns are missing, or one holds what it did not hold in ``fit``, such
            as text among numbers. The message names the column.

        Warns
        -----
        UserWarning
            If a column that had a few odd values in ``fit`` has others now, which are
            taken for missing: once for each column.
        """
        check_is_fitted(self)
        table = self._matched(read_table(X))
        frame = _read(table, self._readers)
        with self._settings_of_transformers():
            encoded = super().transform(frame, **params)
        return self._as_asked(encoded, table.index)

    @contextlib.contextmanager
    def _settings_of_transformers(self) -> Iterator[None]:
        """Let them hand out arrays and, unless `n_jobs` is set, run in this thread.

        A worker of a cluster would else send the columns to the other workers, and
        begin something else while it waits.
        """
        with contextlib.ExitStack() as settings:
            settings.enter_context(config_context(transform_output="default"))
            if self.n_jobs is None:
                settings.enter_context(parallel_config(backend="sequential"))
            yield

    def _matched(self, table: Table) -> Table:
        """Return the columns of ``fit``, in their order."""
        names = [reader.name for reader in self._readers]
        if self._named and table.named:
            positions = {name: j for j, name in enumerate(table.names)}
            needed = [reader.name for reader in self._readers if reader.encodings]
            missing = [name for name in needed if name not in positions]
            if missing:
                raise ValueError(missing_columns_text(missing, table.names))
            # What is left out may be missing: any column stands for it.
            columns = [table.columns[positions.get(name, 0)] for name in names]
            return Table(names, columns, table.index, named=True)
        if len(table.columns) != len(names):
            raise ValueError(
                f"X has {len(table.columns)} features, but {type(self).__name__} is "
                f"expecting {len(names)} features as input."
            )
        if self._by_name:
            raise ValueError(
                "X is an array without names of columns, but fit saw the columns "
                f"{names}. Pass a frame with these names."
            )
        if table.by_name:
            warn(
                f"X has feature names, but {type(self).__name__} was fitted without "
                "feature names: columns are taken by their position."
            )
        return Table(names, table.columns, table.index, named=self._named)

    def set_output(self, *, transform: Any = None) -> TabularPreprocessor:
        """Set the container of the features.

        Parameters
        ----------
        transform : {'default', 'pandas', 'polars'} or None, default=None
            A frame is dense, whatever ``sparse_threshold`` is. None changes nothing.

        Returns
        -------
        self : TabularPreprocessor
            This preprocessor. Its transformers hand out arrays as before: only the
            whole becomes a frame.
        """
        super(ColumnTransformer, self).set_output(transform=transform)
        return self

    def _hstack(self, Xs: Any, *, n_samples: int) -> Any:
        """Put the parts side by side, also those without columns."""
        if not any(scipy_sparse.issparse(X) for X in Xs):
            return np.hstack(Xs)
        stacked: Any = scipy_sparse.hstack(Xs, format="csr")
        dense = wants_frame(self) or not self.sparse_output_
        return stacked.toarray() if dense else stacked

    def _as_asked(self, encoded: Any, labels: pd.Index) -> Any:
        """Return what a frame can be made of, or a CSR matrix where one is wanted.

        A matrix knows the labels of its rows, so that ``predict`` behind it does.
        """
        if wants_frame(self):
            sparse = scipy_sparse.issparse(encoded)
            return scipy_sparse.csr_matrix(encoded).toarray() if sparse else encoded
        if self.sparse_threshold >= 1:
            encoded = scipy_sparse.csr_matrix(encoded)
        return keep_row_labels(encoded, labels)

    def _sk_visual_block_(self) -> Any:
        """Leave what got no columns out of scikit-learn's diagram, once that is known.

        scikit-learn draws all transformers, also those that it did not fit.
        """
        block = super()._sk_visual_block_()
        empty = {
            name
            for name, _, columns in getattr(self, "transformers_", [])
            if hasattr(columns, "__len__") and not len(columns)
        }
        drawn = [
            part
            for part in zip(
                block.names, block.estimators, block.name_details, strict=True
            )
            if part[0] not in empty
        ]
        if drawn:
            block.names, block.estimators, block.name_details = zip(*drawn, strict=True)
        return block

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the features.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; None takes those of ``fit``, else ``x0``, ``x1``,
            ...

        Returns
        -------
        ndarray of str of shape (n_features_out,)
            ``<transformer>__<column>_<what it is>``.
        """
        check_is_fitted(self)
        if input_features is None and self._named and not self._by_name:
            input_features = distinct(
                column_label(reader.name) for reader in self._readers
            )
        return super().get_feature_names_out(input_features)


def _read(table: Table, readers: Sequence[Reader]) -> pd.DataFrame:
    """Return the table as the encoders take it.

    Where the names of columns are not all strings, positions stand for them: what
    selects columns in scikit-learn takes every other name for a position.
    """
    columns = {
        j: reader.read(column)
        for j, (reader, column) in enumerate(zip(readers, table.columns, strict=True))
    }
    frame = pd.DataFrame(columns, index=table.index)
    if table.by_name:
        frame.columns = pd.Index(table.names)
    frame.attrs[_ENCODINGS] = [reader.encodings for reader in readers]
    return frame


def _numbers(
    n_bins: int | str, spike_frequency: int | str | None, sparse: bool
) -> list[tuple[str, Any]]:
    """Return the two encoders of numbers."""
    piecewise = PiecewiseLinearEncoder(
        n_bins=n_bins, spike_frequency=spike_frequency, sparse_output=sparse
    )
    scaled = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        TailSquashingScaler(),
    )
    return [("piecewise", piecewise), ("scaled", scaled)]


def make_tabular_preprocessor(
    *,
    n_bins: int | str = "auto",
    spike_frequency: int | str | None = "auto",
    min_frequency: int | float | str | None = "auto",
    categorical: Sequence[Hashable] = (),
    sparse: bool = True,
) -> TabularPreprocessor:
    """Make a preprocessor that turns a table with columns of any kind into numbers.

    ``fit`` finds out what each column holds:

    - Numbers, also those in strings, Decimals and fractions, are encoded twice:
      piecewise linear, for what happens within their range, and standardised, for
      their order; values beyond the range of ``fit`` are squashed. Durations are such
      numbers too, in seconds.
    - Dates, times of a day and periods, also those in strings, become year, month, day,
      weekday, hour and so on.
    - Categories, booleans and strings of which most are frequent become one column for
      each category.
    - Strings of which many are rare are text: strings with parts in common get similar
      numbers, and frequent ones also become one column each.
    - Identifiers, with another value in each row, are left out, with a warning.

    ``kind_to_columns_`` of the fitted preprocessor says what became of each column.
    Columns of a category dtype stay categorical, unless most of them are rare.

    Parameters
    ----------
    n_bins : int or 'auto', default='auto'
        Bins of :class:`PiecewiseLinearEncoder`; 'auto' is 64 in large tables, fewer in
        small ones and where one task has few targets, and none where rows are too few
        for the number of columns.
    spike_frequency : int, 'auto' or None, default='auto'
        Single values of numeric columns that at least this many rows have, and that are
        more frequent than the values around them, get a column of their own. None: they
        do not; 'auto' is 10 in columns that have bins.
    min_frequency : int, float, 'auto' or None, default='auto'
        Categories of fewer rows (an int), or of a smaller share of the rows (a float),
        share one column with categories that ``fit`` has not seen. None keeps every
        category; 'auto' is 10 rows, or a twentieth of the rows if there are fewer than
        200.
    categorical : sequence of hashable, default=()
        Columns that are categorical although they hold numbers, such as codes: names,
        or positions where X has no names.
    sparse : bool, default=True
        Whether the result is a CSR matrix instead of an array. With ``set_output`` or
        ``set_config`` it can be a data frame.

    Returns
    -------
    TabularPreprocessor
        A ColumnTransformer, unfitted, with transformers named 'piecewise', 'scaled',
        'one_hot', 'datetime' and 'text'. Its output is float32. Missing values are
        allowed: in numeric columns and dates they become the median, and a column marks
        them; in categorical columns they are a category.

    Raises
    ------
    TypeError
        If ``categorical`` is a string, where a sequence of columns is meant.

    See Also
    --------
    TabularPreprocessor : What it returns.
    PiecewiseLinearEncoder, TailSquashingScaler : The encoders of numbers.
    CalendarEncoder, CategoryEncoder, TextEncoder : Those of other columns.
    skrub.TableVectorizer : The same idea, for any estimator.

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
    (_, piecewise), (_, scaled) = _numbers(n_bins, spike_frequency, sparse)
    # No columns for frequent values: the median of missing dates would be one.
    of_calendar = FeatureUnion(
        _numbers(n_bins, None, sparse), verbose_feature_names_out=False
    )
    datetime = FeatureUnion(
        [
            ("numbers", make_pipeline(CalendarEncoder("numbers"), of_calendar)),
            ("circle", CalendarEncoder("circle")),
        ],
        verbose_feature_names_out=False,
    )
    one_hot = CategoryEncoder(min_frequency=min_frequency, sparse_output=sparse)
    return TabularPreprocessor(
        [
            ("piecewise", piecewise, _ColumnsFor("numeric")),
            ("scaled", scaled, _ColumnsFor("numeric")),
            ("one_hot", one_hot, _ColumnsFor("categorical")),
            ("datetime", datetime, _ColumnsFor("datetime")),
            ("text", TextEncoder(), _ColumnsFor("text")),
        ],
        categorical=tuple(categorical),
        # One sparse part makes the whole sparse, or none is.
        sparse_threshold=1.0 if sparse else 0.0,
    )
