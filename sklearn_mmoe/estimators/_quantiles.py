"""Quantiles and intervals of the regressions that were trained to have them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._tasks.kinds import QUANTILES

__all__ = ["WIDEST", "QuantileMixin", "bounds_of", "interpolate"]

_LOSS = "quantile"
# Share of the targets between the outermost quantiles that are learned.
WIDEST = QUANTILES[-1] - QUANTILES[0]


class QuantileMixin:
    """Methods of estimators that have regressions."""

    def predict_quantiles(self, X: Any, quantiles: Any = (0.1, 0.5, 0.9)) -> np.ndarray:
        """Predict quantiles of each regression; they do not cross.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.
        quantiles : array-like of float, default=(0.1, 0.5, 0.9)
            Which, from 0.025 to 0.975. Those between the nine that were learned
            (0.025, 0.05, 0.1, 0.25, 0.5 and so on) are interpolated linearly.

        Returns
        -------
        ndarray of shape (n_samples, n_regressions, n_quantiles)
            Quantiles in the units of y, of the regressions in the order of
            `task_names_`; classifications are left out.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a regression was trained with another loss than 'quantile', or a
            quantile is out of range.
        """
        estimator: Any = self
        check_is_fitted(estimator)
        tasks = estimator._tasks
        others = [t.name for t in tasks if t.type == "regression" and t.loss != _LOSS]
        kept = [k for k, task in enumerate(tasks) if task.type == "regression"]
        if others or not kept:
            raise ValueError(
                f"The tasks {others or estimator.task_names_} have no quantiles: fit "
                "regressions with loss='quantile' for that. "
                "MultiTaskConformalPredictor makes intervals for any loss."
            )
        levels = check_levels(quantiles)
        outputs = estimator._raw_predictions(X)
        return np.stack(
            [interpolate(tasks[k].quantiles(outputs[k]), levels) for k in kept], axis=1
        )

    def _quantiles_by_task(self, X: Any) -> list[np.ndarray | None]:
        """Predict the quantiles of each task that has learned some."""
        estimator: Any = self
        if all(getattr(task, "loss", None) != _LOSS for task in estimator._tasks):
            return [None] * len(estimator._tasks)
        outputs = estimator._raw_predictions(X)
        return [
            task.quantiles(output) if task.loss == _LOSS else None
            for task, output in zip(estimator._tasks, outputs, strict=True)
        ]

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict an interval that holds the target of each regression.

        It lies between two quantiles that the network has learned. On new rows these
        may hold less than `coverage` of the targets:
        :class:`~sklearn_mmoe.model_selection.MultiTaskConformalPredictor` corrects
        them.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.
        coverage : float, default=0.9
            Share of the targets within, in (0, 0.95].

        Returns
        -------
        ndarray of shape (n_samples, n_regressions, 2)
            Lower and upper bounds in the units of y, of the regressions in the order of
            `task_names_`; classifications are left out.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a regression was trained with another loss than 'quantile', or
            `coverage` is out of range.
        """
        return self.predict_quantiles(X, bounds_of(coverage))


def bounds_of(coverage: float) -> tuple[float, float]:
    """Return the two quantiles between which a share of the values lies.

    Raises
    ------
    ValueError
        If there are none among those that are learned.
    """
    if not 0 < coverage <= WIDEST + 1e-9:
        raise ValueError(
            f"`coverage` must be more than 0 and at most {WIDEST:g}, the share between "
            f"the outermost quantiles that are learned, got {coverage!r}."
        )
    half = min(coverage, WIDEST) / 2
    return 0.5 - half, 0.5 + half


def check_levels(quantiles: Any) -> np.ndarray:
    """Bring quantiles to an array of shape (n_quantiles,).

    Raises
    ------
    ValueError
        If one is out of range.
    """
    levels = np.asarray(quantiles, dtype=float)
    low, high = QUANTILES[0], QUANTILES[-1]
    if levels.ndim != 1 or not ((levels > low - 1e-9) & (levels < high + 1e-9)).all():
        raise ValueError(
            f"`quantiles` must be a sequence of numbers from {low} to {high}, got "
            f"{quantiles!r}."
        )
    return levels


def interpolate(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Interpolate between the quantiles that are learned.

    Parameters
    ----------
    values : ndarray of shape (n_samples, len(QUANTILES))
        Their values, rising in each row.
    levels : ndarray of shape (n_quantiles,)
        Which quantiles are wanted.

    Returns
    -------
    ndarray of shape (n_samples, n_quantiles)
        Their values.
    """
    above = np.clip(np.searchsorted(QUANTILES, levels), 1, len(QUANTILES) - 1)
    grid = np.array(QUANTILES)
    share = (levels - grid[above - 1]) / (grid[above] - grid[above - 1])
    share = np.clip(share, 0, 1)
    return values[:, above - 1] * (1 - share) + values[:, above] * share
