"""The picture of which way features drive each task."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats.mstats import mquantiles
from sklearn.utils import _safe_indexing
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.validation import _check_sample_weight

from sklearn_mmoe._sklearn.look_through import last_step, task_names
from sklearn_mmoe._tasks.columns import split_columns
from sklearn_mmoe.inspection._columns import (
    as_table,
    column,
    column_labels,
    column_position,
    with_value,
)
from sklearn_mmoe.inspection._style import INK, axes_in_a_row, line_style, point_style
from sklearn_mmoe.metrics._predictions import Predictions
from sklearn_mmoe.preprocessing._kinds import learn_reader

__all__ = ["TaskPartialDependenceDisplay"]

_PERCENTILES = (0.05, 0.95)
# Axes beside each other.
_MOST_COLUMNS = 3


class TaskPartialDependenceDisplay:
    """Partial dependence of all tasks on features, one feature in each of the axes.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.TaskPartialDependenceDisplay.from_estimator`.

    Parameters
    ----------
    averages : mapping of feature to data frame of shape (n_values, n_curves)
        For each feature the mean predictions, a line for each of its values (the index)
        and a column for each curve.
    means : series of shape (n_curves,)
        The mean predictions on X as it is.
    stds : series of shape (n_curves,)
        The standard deviations of the predictions on X as it is.
    deciles : mapping of feature to ndarray of shape (9,), default=None
        Where the rows are, of features that are numbers.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The axes drawn on, one for each feature.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn.inspection.PartialDependenceDisplay : Of one task, ``estimator.task(name)``:
        of two features at once, or a curve for each row.
    task_importances : How much each task relies on each feature.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import TaskPartialDependenceDisplay
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=2, random_state=0)
    >>> display = TaskPartialDependenceDisplay.from_estimator(
    ...     reg.fit(X, y), X, features=[0, 3], grid_resolution=10
    ... )
    >>> display.averages["x3"].shape
    (10, 2)
    """

    def __init__(
        self,
        averages: Mapping[Any, pd.DataFrame],
        means: pd.Series,
        stds: pd.Series,
        deciles: Mapping[Any, np.ndarray] | None = None,
    ) -> None:
        self.averages = averages
        self.means = means
        self.stds = stds
        self.deciles = deciles

    @classmethod
    @validate_params(
        {
            "estimator": "no_validation",
            "X": "no_validation",
            "features": ["array-like"],
            "sample_weight": ["array-like", None],
            "grid_resolution": [Interval(Integral, 2, None, closed="left")],
            "standardize": ["boolean", None],
            "ax": "no_validation",
        },
        prefer_skip_nested_validation=False,
    )
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        features: Sequence[Any],
        *,
        sample_weight: Any = None,
        grid_resolution: int = 30,
        standardize: bool | None = None,
        ax: Any = None,
    ) -> TaskPartialDependenceDisplay:
        """Predict all rows with the same value of a feature, for each value, and draw.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            Any fitted estimator of several outputs, ours or another's.
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them; a few hundred are enough. With a Pipeline
            they are your own columns, before preprocessing.
        features : sequence of int, str or other column labels
            Which columns of X, by label or position. Categories, strings and booleans
            are drawn as points, those of missing values left out; strings such as
            '€84' in the order of their amounts.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows in the means.
        grid_resolution : int, default=30
            Number of values of a numeric feature, evenly spaced from its 5th to its
            95th percentile, or all values if there are fewer. Of categories, the most
            frequent ones.
        standardize : bool or None, default=None
            Whether to draw each curve as the difference from the mean prediction, in
            standard deviations of the predictions. None does so if there are several
            tasks and any is a regression, which have no unit in common.
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, one for each feature; None makes a figure.

        Returns
        -------
        TaskPartialDependenceDisplay
            The display, drawn. A regression has the curve of its predictions, a
            classification of two classes that of the probability of the second, and
            one of more a curve for each class.

        Raises
        ------
        ValueError
            If `features` names no column of X, one of dates, also in strings, one of
            more than `grid_resolution` different amounts in strings, or one without a
            known value; or `ax` has another number of axes.
        TypeError
            If `estimator` classifies, but has no ``predict_proba``.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        X = as_table(X)
        if not len(features):
            raise ValueError("The 'features' parameter is empty; name a column of X.")
        places = [column_position(feature, X, "features") for feature in features]
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        labels = [column_labels(X)[j] for j in places]
        grids = [
            _grid(column(X, j), label, grid_resolution)
            for j, label in zip(places, labels, strict=True)
        ]
        given, any_values = _responses(estimator, X)
        means = given.apply(np.average, weights=weights)
        spread = (given - means) ** 2
        stds = np.sqrt(spread.apply(np.average, weights=weights))
        averages, deciles = {}, {}
        for j, label, (values, is_number) in zip(places, labels, grids, strict=True):
            rows = [
                _responses(estimator, with_value(X, j, value))[0].apply(
                    np.average, weights=weights
                )
                for value in values
            ]
            index = pd.Index(values, name=label, tupleize_cols=False)
            averages[label] = pd.DataFrame(rows).set_axis(index, axis=0)
            if is_number:
                numbers = _numbers(column(X, j))
                deciles[label] = np.percentile(numbers, np.arange(10, 100, 10))
        if standardize is None:
            standardize = any_values and len(means) > 1
        display = cls(averages, means, stds, deciles)
        return display.plot(standardize=standardize, ax=ax)

    def plot(
        self, *, standardize: bool = False, ax: Any = None
    ) -> TaskPartialDependenceDisplay:
        """Draw the curves.

        Parameters
        ----------
        standardize : bool, default=False
            Whether to draw each curve as the difference from the mean prediction, in
            standard deviations of the predictions.
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, one for each feature; None makes a figure.

        Returns
        -------
        TaskPartialDependenceDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        self.axes_ = _axes(ax, len(self.averages))
        for axes, (label, averages) in zip(
            self.axes_, self.averages.items(), strict=True
        ):
            if standardize:
                stds = self.stds.where(self.stds > 0, 1.0)
                averages = (averages - self.means) / stds
            deciles = (self.deciles or {}).get(label)
            _draw(axes, averages, deciles)
            axes.set(xlabel=str(label))
            if standardize:
                axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        what = (
            "mean prediction\n(standard deviations from its mean)"
            if standardize
            else "mean prediction"
        )
        self.ax_.set_ylabel(what)
        n_curves = len(self.means)
        if ax is None and n_curves > 1:
            handles, labels = self.ax_.get_legend_handles_labels()
            self.figure_.legend(
                handles,
                labels,
                fontsize="small",
                loc="outside upper center",
                ncols=min(n_curves, 6),
            )
        elif n_curves > 1:
            self.ax_.legend(fontsize="small")
        return self


def _responses(estimator: Any, X: Any) -> tuple[pd.DataFrame, bool]:
    """Predict a column for each curve, and tell whether any is of values."""
    last = last_step(estimator)
    names = task_names(estimator)
    if names is None:
        first = estimator.predict(_safe_indexing(X, [0]))
        names = split_columns(first).names
    predictions = Predictions(estimator, X, len(names))
    if any(predictions.are_classified) and not hasattr(estimator, "predict_proba"):
        raise TypeError(
            "The 'estimator' parameter must have predict_proba to draw "
            f"classifications, but {type(last).__name__} has none."
        )
    columns = {}
    for k, name in enumerate(names):
        if not predictions.are_classified[k]:
            columns[name] = predictions.labels_or_values[k].astype(np.float64)
            continue
        classes, probabilities = predictions.classes(k), predictions.probabilities(k)
        if len(classes) <= 2:
            columns[f"{name}: {classes[-1]}"] = probabilities[:, -1]
        else:
            for i, label in enumerate(classes):
                columns[f"{name}: {label}"] = probabilities[:, i]
    return pd.DataFrame(columns), not all(predictions.are_classified)


def _as_series(values: Any) -> pd.Series:
    """Return a column as a series of the narrowest type."""
    if isinstance(values, pd.Series):
        return values.infer_objects()
    values = values.to_list() if hasattr(values, "to_list") else values
    return pd.Series(values).infer_objects()


def _numbers(values: Any) -> np.ndarray:
    """Return the known values of a column of numbers."""
    numbers = _as_series(values).to_numpy(np.float64, na_value=np.nan)
    return numbers[np.isfinite(numbers)]


def _grid(values: Any, label: Any, n_values: int) -> tuple[list[Any], bool]:
    """Return the values of a column to try, and whether they are numbers."""
    series = _as_series(values)
    dtype = series.dtype
    if pd.api.types.is_datetime64_any_dtype(dtype):
        raise _no_dates(label)
    is_number = pd.api.types.is_numeric_dtype(dtype)
    is_number = is_number and not pd.api.types.is_bool_dtype(dtype)
    if not is_number:
        counts = series.value_counts()  # without the missing ones
        found = [value for value in counts.index[:n_values] if counts[value]]
        if isinstance(dtype, pd.CategoricalDtype):  # in the user's own order
            found = [value for value in dtype.categories if value in set(found)]
        elif not pd.api.types.is_bool_dtype(dtype):
            found = _in_order(series, label, n_values) or found
    else:
        numbers = np.unique(_numbers(series))
        if len(numbers) > n_values:
            # As scikit-learn's partial_dependence has them.
            low, high = mquantiles(_numbers(series), _PERCENTILES)
            found = np.linspace(low, high, n_values).tolist()
        else:
            found = numbers.tolist()
    if not found:
        raise ValueError(f"The column {label!r} in 'features' has no known value.")
    return found, is_number


def _no_dates(label: Any, such_as: str = "") -> ValueError:
    return ValueError(
        f"The column {label!r} in 'features' holds dates{such_as}; numbers and "
        "categories can be drawn. Make a number of it before the fit, such as the days "
        "since one date."
    )


def _in_order(series: pd.Series, label: Any, n_values: int) -> list[Any] | None:
    """Return the different amounts or times that strings are, the least first.

    Strings are read as the preprocessor reads them. None if they are words.
    """
    known = series.dropna()
    with warnings.catch_warnings():
        # The preprocessor has said in its fit what is odd about the column.
        warnings.simplefilter("ignore", UserWarning)
        reader = learn_reader(label, known, categorical=False)
        if reader.kind not in ("numeric", "time", "duration", "datetime"):
            return None
        levels = pd.Series(known.unique(), dtype=object)
        if reader.kind == "datetime":
            raise _no_dates(label, f", such as {levels[0]!r}")
        values = np.asarray(reader.read(levels))
    is_known = ~pd.isna(values)
    levels, values = levels[is_known], values[is_known]
    if len(levels) > n_values:
        raise ValueError(
            f"The column {label!r} in 'features' holds {len(levels)} different strings "
            f"that are amounts or times, such as {levels.iloc[0]!r}. Pass X with "
            "numbers in this column, which are drawn as a curve, as in "
            "X.assign(column=numbers): a pipeline that was fitted with strings reads "
            "them as well. Or make it categorical before the fit: its most frequent "
            "values are drawn."
        )
    return levels.iloc[np.argsort(values, kind="stable")].to_list()


def _axes(ax: Any, n_axes: int) -> np.ndarray:
    """Return axes of the user's, or new ones in rows of up to three."""
    if ax is not None:
        return axes_in_a_row(ax, n_axes, 0, 0)
    import matplotlib.pyplot as plt

    n_columns = min(n_axes, _MOST_COLUMNS)
    n_rows = -(-n_axes // n_columns)
    _, axes = plt.subplots(
        n_rows,
        n_columns,
        figsize=(max(4.2 * n_columns, 5.5), 3.3 * n_rows + 0.4),
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    for left in axes.ravel()[n_axes:]:
        left.remove()
    return axes.ravel()[:n_axes]


def _draw(ax: Any, averages: pd.DataFrame, deciles: np.ndarray | None) -> None:
    """Draw the curves of a feature that is a number, else points."""
    n_curves = averages.shape[1]
    is_number = deciles is not None
    places = np.arange(len(averages))
    for k, name in enumerate(averages.columns):
        if is_number:
            style = line_style(k) | {"marker": ""}
            x: Any = averages.index.to_numpy(np.float64)
            ax.plot(x, averages[name], label=name, linewidth=1.8, **style)
        else:
            x = places + 0.5 * ((k + 0.5) / n_curves - 0.5)
            ax.plot(x, averages[name], label=name, markersize=5, **point_style(k))
    if deciles is not None:
        # Short lines at the bottom: where the rows are.
        inside = (deciles >= averages.index.min()) & (deciles <= averages.index.max())
        ax.plot(
            deciles[inside],
            np.zeros(int(inside.sum())),
            transform=ax.get_xaxis_transform(),
            linestyle="none",
            marker="|",
            markersize=12,
            color=INK,
        )
    else:
        ax.set_xticks(places, [*map(str, averages.index)], rotation=45, ha="right")
        ax.set_xlim(-0.5, len(averages) - 0.5)
    ax.grid(alpha=0.3)
