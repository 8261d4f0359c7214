"""Numeric columns as piecewise linear functions of them can be learnt from.

References
----------
.. [1] Gorishniy, Y., Rubachev, I., & Babenko, A. (2022). "On Embeddings for Numerical
   Features in Tabular Deep Learning". NeurIPS 2022. https://arxiv.org/abs/2203.05556
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.scarcity import share_of_scarcest
from sklearn_mmoe.preprocessing._auto import AUTO
from sklearn_mmoe.preprocessing._output import distinct

__all__ = ["PiecewiseLinearEncoder"]

# A value stands out if this many times the rows have it that would if its neighbours'
# rows were spread evenly over the values that are possible around it.
_OUTSTANDING = 4


def _has_inner_values(column: np.ndarray) -> bool:
    """Whether a column has more than two values, so that bins may tell them apart."""
    present = column[~np.isnan(column)]
    if not len(present):
        return False
    return bool(((present != present.min()) & (present != present.max())).any())


def _bin_edges(unique: np.ndarray, counts: np.ndarray, n_bins: int) -> np.ndarray:
    """Find the edges of the bins of one column.

    Quantiles alone would spend most bins on a value that many rows share: of 32
    quantiles of a column that is 0 in 95 % of its rows, 30 are 0. So such values, the
    atoms, are set aside, each between edges at its neighbours, so that no bin mixes
    it with other values; the other bins are the quantiles of the other rows.

    Parameters
    ----------
    unique, counts : ndarray of shape (n_values,)
        The values of the column, increasing, and the number of rows of each.
    n_bins : int
        Number of bins of a column without atoms.

    Returns
    -------
    ndarray of shape (n_edges,)
        Increasing edges, at least two of them.
    """
    if len(unique) <= n_bins + 1:
        edges = unique  # every value is an edge: nothing finer can be learnt
    else:
        heavy = np.flatnonzero(counts > counts.sum() / n_bins)
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


def _spikes(
    unique: np.ndarray, counts: np.ndarray, n_edges: int, least: int
) -> np.ndarray:
    """Find the values that stand out from those around them.

    Amounts are full of them: round sums, thresholds of a law, means that a publisher
    put in the place of what people earned. Ages are not, although each has many rows:
    so do its neighbours. What is possible is a multiple of the smallest distance.

    Parameters
    ----------
    unique, counts : ndarray of shape (n_values,)
        The values of the column, increasing, and the number of rows of each.
    n_edges : int
        Number of edges of its bins.
    least : int
        Number of rows that a value must have.

    Returns
    -------
    ndarray of shape (n_spikes,)
        The values, increasing.
    """
    if len(unique) <= n_edges:
        return unique[:0]  # every value is an edge already
    gaps = np.diff(unique)
    # Rows for each possible value between a value and the next, as the next has them;
    # the denser side counts, so that the last of the ages is no spike.
    from_above = np.append(counts[1:] / gaps, 0)
    from_below = np.append(0, counts[:-1] / gaps)
    evenly = gaps.min() * np.maximum(from_above, from_below)
    return unique[(counts >= least) & (counts > _OUTSTANDING * evenly)]


def _filled_bins(
    values: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many bins each value has begun, and its share of the last."""
    last = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    # A bin may be so narrow that the quotient overflows; it is bounded next.
    with np.errstate(over="ignore"):
        share = (values - edges[last]) / (edges[last + 1] - edges[last])
    share = np.clip(share, 0, 1)
    # At an edge, the bin before it is full and the one after it not begun.
    begun = last + (share > 0)
    return begun, np.where(share > 0, share, 1)


class _Runs:
    """Builds a CSR matrix of which each row is made of runs of ones.

    A row of thermometers is nothing else. Written down run by run, the matrix is made
    without ever being dense, in a fraction of the time.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._n_columns = 0
        self._runs: list[tuple[np.ndarray, ...]] = []

    def add(self, n_columns: int, first: Any, length: Any, last: Any) -> None:
        """Append columns, with ones from `first` on for `length`, ending in `last`."""
        shape = (self._n_rows,)
        self._runs.append(
            (
                np.broadcast_to(first, shape) + self._n_columns,
                np.broadcast_to(length, shape),
                np.broadcast_to(last, shape),
            )
        )
        self._n_columns += n_columns

    def to_csr(self) -> sparse.csr_matrix:
        """Return the matrix, as float32."""
        if not self._runs:
            return sparse.csr_matrix(np.zeros((self._n_rows, 0), dtype=np.float32))
        # Each (n_rows * n_runs,), row by row.
        first, length, last = (
            np.stack(part, axis=1).ravel() for part in zip(*self._runs, strict=True)
        )
        length = length.astype(np.int64)
        ends = np.cumsum(length)
        n_values = int(ends[-1]) if len(ends) else 0
        # The largest arrays by far: in the type of the result from the start.
        small = max(n_values, self._n_columns) <= np.iinfo(np.int32).max
        integer: Any = np.int32 if small else np.int64
        indices = np.arange(n_values, dtype=integer)
        indices += np.repeat((first - (ends - length)).astype(integer), length)
        data = np.ones(n_values, dtype=np.float32)
        used = length > 0
        data[ends[used] - 1] = last[used]
        indptr = np.concatenate([[0], ends.reshape(self._n_rows, -1)[:, -1]])
        return sparse.csr_matrix(
            (data, indices, indptr.astype(integer)),
            shape=(self._n_rows, self._n_columns),
        )


class PiecewiseLinearEncoder(
    DocumentationLinkMixin, VersionedStateMixin, TransformerMixin, BaseEstimator
):
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
    n_bins : int or 'auto', default=32
        Number of bins of a column. Columns of at most ``n_bins + 1`` different values
        have an edge at each, and columns with heavy values up to two bins more for
        each of these. 'auto' is one for every 40 rows in which the column is not
        missing, 64 at most, and one for every three rows over all columns of more
        than two values; columns that would have fewer than 4 have none. Where one task
        has fewer than half the targets of another, its targets are counted instead of
        the rows, though not below 8 bins.
    spike_frequency : int, 'auto' or None, default=None
        A value that at least this many rows have, and that is more frequent than the
        values around it, also gets a column of its own, which is 1 where the column has
        exactly this value. This helps with columns of amounts, because no sum of slopes
        is 1 at one value and 0 beside it. 'auto' is 10, in columns that have bins. None
        is as in the paper.
    sparse_output : bool, default=False
        Whether the result is a CSR matrix instead of an array.

    Attributes
    ----------
    bin_edges_ : list of ndarray of shape (n_edges,)
        The edges of each column; none where it has no bins.
    spikes_ : list of ndarray of shape (n_spikes,)
        The values of each column that have a column of their own.
    fill_values_ : ndarray of shape (n_features,)
        The median of each column, which stands for missing values.
    missing_columns_ : ndarray of int
        Indices of the columns that had missing values in ``fit``. Each of them gets
        one more output column, which is 1 where the value is missing.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
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
        "n_bins": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "spike_frequency": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
            None,
        ],
        "sparse_output": ["boolean"],
    }

    def __init__(
        self,
        n_bins: int | str = 32,
        *,
        spike_frequency: int | str | None = None,
        sparse_output: bool = False,
    ) -> None:
        self.n_bins = n_bins
        self.spike_frequency = spike_frequency
        self.sparse_output = sparse_output

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> PiecewiseLinearEncoder:
        """Find the edges of the bins.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            Numeric columns; missing values are NaN.
        y : array-like or data frame of shape (n_samples, n_outputs), or None
            Targets. With ``n_bins='auto'`` there are fewer bins where one task has far
            fewer targets than another; else they are not looked at.

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
        self.spikes_ = []
        self.fill_values_ = np.zeros(X.shape[1])
        n_columns = sum(map(_has_inner_values, X.T))
        share = share_of_scarcest(y) if self.n_bins == "auto" else 1.0
        for j, column in enumerate(X.T):
            present = column[~missing[:, j]]
            unique, counts = np.unique(present, return_counts=True)
            n_bins = self._n_bins(len(present), len(X), n_columns, share)
            edges = _bin_edges(unique, counts, n_bins) if n_bins else unique[:0]
            least = self._least_of_a_spike(n_bins)
            self.bin_edges_.append(edges)
            self.spikes_.append(
                unique[:0]
                if least is None
                else _spikes(unique, counts, len(edges), least)
            )
            if len(present):
                self.fill_values_[j] = np.median(present)
        self.missing_columns_ = np.flatnonzero(missing.any(axis=0))
        return self

    def _n_bins(
        self, n_values: int, n_samples: int, n_columns: int, share: float
    ) -> int:
        """Return the number of bins of a column with so many values, or 0."""
        if isinstance(self.n_bins, str):
            return AUTO.n_bins(n_values, n_samples, n_columns, share)
        return self.n_bins

    def _least_of_a_spike(self, n_bins: int) -> int | None:
        """Return the rows that a spike must have, None where there shall be none."""
        if isinstance(self.spike_frequency, str):
            return AUTO.spike_rows if n_bins else None
        return self.spike_frequency

    def transform(self, X: Any) -> Any:
        """Encode the columns.

        Parameters
        ----------
        X : {array-like, data frame} of shape (n_samples, n_features)
            The columns of ``fit``.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples, n_features_out)
            float32 in [0, 1]: each column's bins, followed by its indicator of
            missing values where ``fit`` saw any, and those of its spikes.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns are not those of ``fit``, or have infinite values.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        runs = _Runs(X.shape[0])
        for j, edges in enumerate(self.bin_edges_):
            missing = np.isnan(X[:, j])
            values = np.where(missing, self.fill_values_[j], X[:, j])
            if len(edges):
                runs.add(len(edges) - 1, 0, *_filled_bins(values, edges))
            if j in self.missing_columns_:
                runs.add(1, 0, missing, 1)
            spikes = self.spikes_[j]
            if len(spikes):
                nearest = np.minimum(np.searchsorted(spikes, values), len(spikes) - 1)
                hit = (spikes[nearest] == values) & ~missing
                runs.add(len(spikes), nearest, hit, 1)
        encoded = runs.to_csr()
        return encoded if self.sparse_output else encoded.toarray()

    def _validate(self, X: Any, reset: bool) -> np.ndarray:
        return validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
        )

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
            ``<column>_bin<t>`` for each bin, ``<column>_missing`` for an indicator of
            missing values, ``<column>_is_<value>`` for one of a spike.
        """
        check_is_fitted(self)
        names = []
        columns = _check_feature_names_in(self, input_features)
        for j, (column, edges) in enumerate(zip(columns, self.bin_edges_, strict=True)):
            names += [f"{column}_bin{t}" for t in range(len(edges) - 1)]
            if j in self.missing_columns_:
                names.append(f"{column}_missing")
            names += [f"{column}_is_{value:.12g}" for value in self.spikes_[j]]
        return distinct(names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags
