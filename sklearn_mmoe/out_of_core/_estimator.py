"""The estimator that fits ours, with their preprocessor, on data larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe.estimators._validation import check_validation_arguments
from sklearn_mmoe.model_selection._held_out import estimator_has, like_inner
from sklearn_mmoe.out_of_core._fit import Reading
from sklearn_mmoe.out_of_core._sources import ChunkReader, Layout, find_source

__all__ = ["MultiTaskOutOfCore"]


class MultiTaskOutOfCore(
    DocumentationLinkMixin, VersionedStateMixin, MetaEstimatorMixin, BaseEstimator
):
    """Fit an estimator, with its preprocessor, on data larger than memory.

    The data is read chunk by chunk, from Parquet files, a Dask DataFrame or anything
    that can be iterated over and over. One pass draws a sample, on which the
    preprocessor is fitted, and sums up the targets; a second adds up weights; and each
    epoch is one more. The result is an ordinary fitted estimator, `estimator_`.

    Parameters
    ----------
    estimator : estimator or Pipeline
        :class:`MultiTaskMMoEClassifier`, :class:`MultiTaskMMoERegressor` or
        :class:`MultiTaskMMoEMixed`, or a Pipeline that ends in one. Its `random_state`
        decides on the sample and on the order of the rows, too.
    targets : list of str or None, default=None
        Columns of the targets, where the data are frames. All others are features.
    weight_column : str or None, default=None
        Column of the weights of the rows, where the data are frames.
    sample_size : int, default=100_000
        Number of rows that are drawn to fit the preprocessor on. A few rows of every
        category come to them, so that rare ones are known. Rows that are set aside, for
        early stopping or calibration, are taken from these, half of them at most.
    buffer_size : int, default=100_000
        Number of rows that are shuffled together. They come from several blocks: row
        groups of Parquet, partitions of Dask, or items of a sequence, which are read in
        random order. What can only be iterated is read in its own order.

    Attributes
    ----------
    estimator_ : estimator or Pipeline
        The fitted estimator, for rows in memory.
    task_names_ : list of str
        Names of the tasks.
    n_rows_ : int
        Number of rows trained on: those that have a target and a weight, and were not
        set aside.
    n_rows_validation_ : int
        Number of rows that early stopping watched, or calibration took.
    classes_ : ndarray of shape (n_classes,) or list of such arrays
        The classes of `estimator_`, if it has any.
    n_features_in_ : int
        Number of columns of the features.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if they have any.

    See Also
    --------
    MultiTaskMMoEClassifier.partial_fit : One epoch over rows that come once.

    Notes
    -----
    Memory holds the sample, the buffer and what is read next, however many rows there
    are. Classes, and for squared errors the means and standard deviations of targets,
    are those of all rows. What other losses are scaled by is that of the sample, where
    a target has more than 10,000 different values. The preprocessor is not fitted on
    rows that are set aside. There is no cross-validation within the fit, no warm start,
    and no loss of intervals ('tobit').

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.out_of_core import MultiTaskOutOfCore
    >>> def chunks():
    ...     for k in range(5):
    ...         yield make_related_tasks(200, n_features=4, random_state=k)
    >>> model = MultiTaskOutOfCore(MultiTaskMMoERegressor(max_iter=2, random_state=0))
    >>> model.fit(chunks).n_rows_
    1000
    >>> model.predict(chunks).shape
    (1000, 2)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "estimator": [HasMethods(["fit", "predict"])],
        "targets": ["array-like", None],
        "weight_column": [str, int, None],
        "sample_size": [Interval(Integral, 2, None, closed="left")],
        "buffer_size": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        targets: Any = None,
        weight_column: Any = None,
        sample_size: int = 100_000,
        buffer_size: int = 100_000,
    ) -> None:
        self.estimator = estimator
        self.targets = targets
        self.weight_column = weight_column
        self.sample_size = sample_size
        self.buffer_size = buffer_size

    def fit(
        self,
        data: Any,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Fit the preprocessor on a sample, and train on all rows.

        Parameters
        ----------
        data : str, path-like, pyarrow.dataset.Dataset, dask.dataframe.DataFrame, \
                sequence, iterable or callable
            Where the rows are: a folder of Parquet files, whose names and directories
            may be Hive's, or one file; a data set of pyarrow; a Dask DataFrame; or
            chunks, each of them a data frame, or a tuple (X, y) or (X, y,
            sample_weight). Chunks come in a sequence, whose items may be made when they
            are asked for, or from an iterable, or a function without arguments that
            returns one. It is read in a thread of its own.
        X_val : {array-like, data frame} of shape (n_val, n_columns), default=None
            Rows in memory for early stopping, and calibration, instead of a part of the
            data. They go through the preprocessor, too.
        y_val : array-like or data frame of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If `estimator` is none of ours, or the data can be read only once.
        ValueError
            If a parameter is out of range, there are no rows, `targets` names a column
            that is not there, chunks differ in their columns, or the data changes
            between passes; and as the ``fit`` of `estimator` does.
        ImportError
            If a path is given, and pyarrow is not installed.
        """
        self._validate_params()
        steps, last = _steps(clone(self.estimator))
        check_validation_arguments(last, X_val, y_val, sample_weight_val)
        if last.cv is not None and not isinstance(last.cv, str):
            raise ValueError(
                f"The 'cv' parameter of the estimator ({last.cv}) needs all rows in "
                "memory; set it to None."
            )
        if last.warm_start:
            raise ValueError(
                "The 'warm_start' parameter of the estimator has no effect on chunks, "
                "since each fit is one of a clone; set it to False."
            )
        source = find_source(data)
        reading = Reading(
            last,
            Pipeline(steps) if steps else None,
            ChunkReader(source, Layout(self.targets, self.weight_column)),
            buffer_size=int(self.buffer_size),
            sample_size=int(self.sample_size),
            validation=None if X_val is None else (X_val, y_val, sample_weight_val),
        )
        last._fit_chunks(reading)
        fitted = last
        if isinstance(self.estimator, Pipeline):
            name = self.estimator.steps[-1][0]
            fitted = clone(self.estimator).set_params(steps=[*steps, (name, last)])
        self.estimator_ = fitted
        self.task_names_ = list(last.task_names_)
        self.n_rows_ = reading.n_rows
        self.n_rows_validation_ = reading.n_rows_validation
        for name in ("n_features_in_", "feature_names_in_"):
            if name in vars(self):  # what an earlier fit left
                delattr(self, name)
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    @property
    def classes_(self) -> Any:
        """The classes of the fitted estimator."""
        return self.estimator_.classes_

    def predict_chunks(self, data: Any, method: str = "predict") -> Iterator[Any]:
        """Predict chunk by chunk, for what is to be written to a file.

        Parameters
        ----------
        data : object
            As in ``fit``, with or without targets; or rows in memory.
        method : str, default='predict'
            Which method of `estimator_` to call.

        Yields
        ------
        object
            What it returns for the rows of one chunk, in their order. A chunk has at
            most 16,384 rows. Data frames have the index of these rows, where they
            come in frames of pandas or Dask; else their rows are numbered from 0.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        for answer, _ in self._ask_chunks(data, method):
            yield answer

    def _ask_chunks(self, data: Any, method: str) -> Iterator[tuple[Any, Any]]:
        """Yield what a method returns for each chunk, and the labels of its rows."""
        check_is_fitted(self)
        ask = getattr(self.estimator_, method)
        layout = Layout(self.targets, self.weight_column)
        reader = ChunkReader(find_source(data), layout, with_targets=False)
        for chunk in reader.all():
            answer = ask(chunk.X)
            if isinstance(answer, pd.DataFrame):
                labels = chunk.labels
                answer.index = pd.RangeIndex(len(chunk)) if labels is None else labels
            yield answer, chunk.labels

    def predict(self, data: Any) -> Any:
        """Predict each task for all rows, chunk by chunk.

        Parameters
        ----------
        data : object
            As in ``fit``, with or without targets; or rows in memory.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples,) or (n_samples, n_outputs)
            What `estimator_` predicts, in the order of the data. A data frame has the
            index of the data, where all of these are frames of pandas or Dask; else its
            rows are numbered from 0.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there are no rows, or the columns are not those of ``fit``.
        """
        parts = list(self._ask_chunks(data, "predict"))
        joined = _joined([answer for answer, _ in parts])
        labels = [of_chunk for _, of_chunk in parts]
        if isinstance(joined, pd.DataFrame) and all(
            some is not None for some in labels
        ):
            joined.index = labels[0].append(labels[1:])
        return joined

    @available_if(estimator_has("predict_proba"))
    def predict_proba(self, data: Any) -> Any:
        """Predict class probabilities for all rows, chunk by chunk.

        Parameters
        ----------
        data : object
            As in ``fit``, with or without targets; or rows in memory.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of such arrays
            What `estimator_` gives, in the order of the data.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there are no rows, or the columns are not those of ``fit``.
        """
        return _joined(list(self.predict_chunks(data, "predict_proba")))

    def __sklearn_tags__(self) -> Any:
        return like_inner(super().__sklearn_tags__(), self.estimator)


def _steps(estimator: Any) -> tuple[list[tuple[str, Any]], Any]:
    """Part a pipeline into its preprocessing and our estimator."""
    steps: list[tuple[str, Any]] = []
    last = estimator
    if isinstance(estimator, Pipeline):
        steps, last = list(estimator.steps[:-1]), estimator.steps[-1][1]
    if not hasattr(last, "_fit_chunks"):
        raise TypeError(
            "The 'estimator' parameter must be MultiTaskMMoEClassifier, "
            "MultiTaskMMoERegressor or MultiTaskMMoEMixed, or a Pipeline that ends in "
            f"one; got {type(last).__name__}."
        )
    return steps, last


def _joined(parts: list[Any]) -> Any:
    """Put the predictions for all chunks below each other."""
    if not parts:
        raise ValueError("The data has no rows to predict for.")
    if isinstance(parts[0], pd.DataFrame):
        return pd.concat(parts, ignore_index=True)
    if isinstance(parts[0], list):
        return [_joined(list(of_task)) for of_task in zip(*parts, strict=True)]
    return None if parts[0] is None else np.concatenate(parts)
