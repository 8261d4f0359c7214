"""Fitting a kernel ridge regression of all tasks at once.

One kernel serves all tasks: they share what makes rows alike, which features count
among it.

References
----------
.. [1] Saunders, C., Gammerman, A., & Vovk, V. (1998). "Ridge Regression Learning
   Algorithm in Dual Variables". ICML 1998.
.. [2] Radhakrishnan, A., Beaglehole, D., Pandit, P., & Belkin, M. (2024). "Mechanism
   for feature learning in neural networks and backpropagation-free machine learning
   models". Science, 383(6690). https://doi.org/10.1126/science.adi5639
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import gen_batches
from threadpoolctl import threadpool_limits

from sklearn_mmoe._training.kernel_ridge import (
    KernelRidge,
    predict_columns,
    squashed,
)

__all__ = ["Problem", "fit_kernel_ridge"]

# What is compared: the length of the kernel, as a multiple of the median distance of
# rows, and the penalty.
_LENGTHS = (0.1, 0.3, 1.0, 3.0)
_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# By no more rows than about these it is compared, and the features are weighted.
_MOST_ROWS_COMPARED = 800
# Rows that are squashed at once.
_ROWS_AT_ONCE = 1024
_FAR_BELOW_ONE = 0.1
# The features that count least have this weight, and the one that counts most has 1.
_LEAST_WEIGHT = 0.02
# Gradients of more columns are replaced by those of so many mixtures of them.
_MOST_GRADIENTS = 16
# A row that weighs more than others has a lower penalty, but no lower than this part of
# theirs, which single precision can do with; and no higher one than this.
_PENALTY_OF_ROWS = (0.1, 1e6)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted.

    Attributes
    ----------
    rows : ndarray of float32 of shape (n_rows, n_features)
        Features, squashed.
    targets : ndarray of float64 of shape (n_rows, n_columns)
        Values, or zeros and ones of classes; nan where there is none.
    fills : ndarray of shape (n_folds + 1, n_rows, n_columns) or None
        What is put for a missing target when rows of a fold are predicted: what
        somebody says of it who has not seen that fold. The last is for no fold. None
        if no target is missing.
    weights : ndarray of shape (n_rows, n_columns)
        How much the error of each prediction counts; zero where there is no target.
    row_weights : ndarray of shape (n_rows,)
        How much each row counts in a fit, above zero.
    folds : ndarray of int of shape (n_rows,)
        Fold of each row, from 0.
    """

    rows: np.ndarray
    targets: np.ndarray
    fills: np.ndarray | None
    weights: np.ndarray
    row_weights: np.ndarray
    folds: np.ndarray

    def take(self, rows: np.ndarray) -> Problem:
        """Leave out all other rows."""
        return replace(
            self,
            rows=self.rows[rows],
            targets=self.targets[rows],
            fills=None if self.fills is None else self.fills[:, rows],
            weights=self.weights[rows],
            row_weights=self.row_weights[rows],
            folds=self.folds[rows],
        )

    def some(self) -> Problem:
        """Leave out all but some rows of each fold, drawn always alike."""
        share = min(1.0, _MOST_ROWS_COMPARED / len(self.rows))
        rng = np.random.default_rng(0)
        chosen = []
        for fold in np.unique(self.folds):
            rows = np.flatnonzero(self.folds == fold)
            n_chosen = int(np.ceil(share * len(rows)))
            chosen.append(rng.choice(rows, n_chosen, replace=False))
        return self.take(np.sort(np.concatenate(chosen)))

    def split(self, fold: int) -> tuple[Problem, Problem]:
        """Return all other rows, with targets for this fold, and the fold."""
        own = self.folds == fold
        others = self.take(np.flatnonzero(~own)).completed(fold)
        return others, self.take(np.flatnonzero(own))

    def completed(self, fold: int = -1) -> Problem:
        """Put something for targets that are missing; -1 is for no fold."""
        if self.fills is None:
            return self
        missing = np.isnan(self.targets)
        return replace(
            self, targets=np.where(missing, self.fills[fold], self.targets), fills=None
        )

    def distances(self, feature_weights: np.ndarray) -> np.ndarray:
        """Compute the distance of each two rows."""
        return euclidean_distances(self.rows * feature_weights)

    def solve(
        self, kernel: np.ndarray, penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve equation 8 of [1]_, for targets without their means; return both.

        The kernel is overwritten.
        """
        means = np.average(self.targets, axis=0, weights=self.row_weights)
        of_rows = np.clip(self.row_weights.mean() / self.row_weights, *_PENALTY_OF_ROWS)
        kernel.flat[:: len(kernel) + 1] += penalty * of_rows
        # Its transpose is the same, and overwritten where LAPACK has it: not copied.
        factor = cho_factor(kernel.T, lower=True, overwrite_a=True)
        beyond = (self.targets - means).astype(kernel.dtype)
        return cho_solve(factor, beyond).astype(np.float64), means

    def loss(self, predicted: np.ndarray) -> float:
        """Add up the weighted squared errors of predictions."""
        known = self.weights > 0
        errors = predicted[known] - self.targets[known]
        return float(np.sum(self.weights[known] * errors**2))


class _Metric(NamedTuple):
    """What distances are measured by, and the median one of rows that differ."""

    feature_weights: np.ndarray
    median: float


class _Choice(NamedTuple):
    """How a regression is fitted; the length is relative to the median distance."""

    length: float
    penalty: float


def _metric(problem: Problem, feature_weights: np.ndarray) -> _Metric:
    """Find the median distance.

    Raises
    ------
    LinAlgError
        If all rows are the same.
    """
    distances = problem.distances(feature_weights)
    different = distances[distances > 0]
    if not different.size:
        raise LinAlgError("all rows are the same")
    return _Metric(feature_weights, float(np.median(different)))


def _fit(
    problem: Problem, metric: _Metric, choice: _Choice
) -> tuple[np.ndarray, np.ndarray]:
    """Return coefficients and means."""
    kernel = problem.distances(metric.feature_weights)
    np.exp(np.divide(kernel, -choice.length * metric.median, out=kernel), out=kernel)
    return problem.solve(kernel, choice.penalty)


def fit_kernel_ridge(
    features: np.ndarray, problem: Problem, widths: Sequence[int]
) -> tuple[KernelRidge, np.ndarray] | None:
    """Fit on all rows, in the way that predicts rows of left-out folds best.

    Features count alike, or by how much what a first fit predicts depends on them.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Features.
    problem : Problem
        All else; its rows are those of `features`, and are not looked at.
    widths : sequence of int
        Number of columns of each task.

    Returns
    -------
    (KernelRidge, ndarray of shape (n_rows, n_columns)) or None
        The regression, and what it predicts for rows of folds that it had not seen.
        None if numbers are not finite, or all rows of some folds are the same.
    """
    center = features.mean(axis=0, dtype=np.float64)
    scale = _scale(features.std(axis=0, dtype=np.float64))
    rows = np.empty(features.shape, dtype=np.float32)
    for part in gen_batches(len(rows), _ROWS_AT_ONCE):
        rows[part] = squashed(features[part], center, scale)
    if not np.isfinite(rows).all():
        return None
    problem = replace(problem, rows=rows)
    try:
        # Threads would take longer for matrices that are so small.
        with threadpool_limits(limits=1, user_api="blas"):
            metrics, choice = _choose(problem.some())
        held_out = _hold_out(problem, metrics, choice)
        whole = problem.completed()
        coefficients, means = _fit(whole, metrics[-1], choice)
    except LinAlgError:
        return None
    slopes = _slopes(held_out - means, problem, means, widths)
    kernel_ridge = KernelRidge(
        center=center,
        scale=scale,
        feature_weights=metrics[-1].feature_weights.astype(np.float64),
        rows=rows * metrics[-1].feature_weights,
        length=choice.length * metrics[-1].median,
        coefficients=coefficients * slopes,
        means=means,
        widths=tuple(widths),
        shares=(0.0,) * len(widths),
    )
    return kernel_ridge, means + slopes * (held_out - means)


def _scale(deviations: np.ndarray) -> np.ndarray:
    """Return what features are divided by.

    Those that vary by less than one, such as those of categories, are on one scale
    already, unless all of them vary by far less.
    """
    largest = deviations.max()
    return np.maximum(deviations, largest if 0 < largest < _FAR_BELOW_ONE else 1)


def _hold_out(
    problem: Problem, metrics: Mapping[int, _Metric], choice: _Choice
) -> np.ndarray:
    """Predict each fold by the others, in the metric that is learned without it."""
    held_out = np.full(problem.targets.shape, np.nan)
    for fold, others, own in _folds(problem):
        metric = metrics[fold]
        coefficients, means = _fit(others, metric, choice)
        predicted = predict_columns(
            own.rows * metric.feature_weights,
            others.rows * metric.feature_weights,
            choice.length * metric.median,
            coefficients,
        )
        held_out[problem.folds == fold] = predicted + means
    return held_out


def _folds(problem: Problem) -> Iterator[tuple[int, Problem, Problem]]:
    for fold in np.unique(problem.folds).tolist():
        yield (fold, *problem.split(fold))


def _choose(problem: Problem) -> tuple[dict[int, _Metric], _Choice]:
    """Choose a metric for each fold, that of -1 for all rows, and the rest."""
    alike = np.ones(problem.rows.shape[1], dtype=np.float32)
    whole = problem.completed()
    metrics = {fold: _metric(others, alike) for fold, others, _ in _folds(problem)}
    metrics[-1] = _metric(whole, alike)
    choice, loss = _search(problem, metrics)
    weighted = {
        fold: _weighted(others, metrics[fold], choice)
        for fold, others, _ in _folds(problem)
    }
    weighted[-1] = _weighted(whole, metrics[-1], choice)
    of_weighted, loss_of_weighted = _search(problem, weighted)
    return (weighted, of_weighted) if loss_of_weighted < loss else (metrics, choice)


def _search(problem: Problem, metrics: Mapping[int, _Metric]) -> tuple[_Choice, float]:
    """Find the choice with the least loss on left-out folds, and that loss."""
    losses = np.zeros((len(_LENGTHS), len(_PENALTIES)))
    for fold, others, own in _folds(problem):
        weights, median = metrics[fold]
        between = others.distances(weights)
        across = euclidean_distances(own.rows * weights, others.rows * weights)
        for i, length in enumerate(_LENGTHS):
            kernel = np.exp(between / -(length * median))
            of_own = np.exp(across / -(length * median))
            for j, penalty in enumerate(_PENALTIES):
                coefficients, means = others.solve(kernel.copy(), penalty)
                losses[i, j] += own.loss(of_own @ coefficients + means)
    i, j = divmod(int(losses.argmin()), len(_PENALTIES))
    return _Choice(_LENGTHS[i], _PENALTIES[j]), float(losses[i, j])


def _weighted(problem: Problem, metric: _Metric, choice: _Choice) -> _Metric:
    """Weigh the features by the gradients of what a regression predicts.

    The root of the diagonal of the average gradient outer product, equation 2 of [2]_.
    """
    distances = problem.distances(metric.feature_weights)
    length = choice.length * metric.median
    coefficients, _ = problem.solve(np.exp(distances / -length), choice.penalty)
    # As the errors count: of each column in proportion to its mean weight.
    coefficients *= np.sqrt(problem.weights.mean(axis=0))
    n_columns = coefficients.shape[1]
    if n_columns > _MOST_GRADIENTS:  # the mean of squares stays the same
        signs = np.random.default_rng(0).choice([-1, 1], (n_columns, _MOST_GRADIENTS))
        coefficients = coefficients @ signs
    distances[distances == 0] = np.inf  # between the same rows there is no gradient
    factors = np.exp(distances / -length) / distances
    squares = np.zeros(problem.rows.shape[1])
    for of_column in coefficients.T.astype(np.float32):
        gradients = problem.rows * (factors @ of_column)[:, np.newaxis]
        gradients -= factors @ (problem.rows * of_column[:, np.newaxis])
        squares += np.mean(gradients**2, axis=0)
    if not squares.max() > 0:
        return metric
    weights = np.sqrt(squares / squares.max())
    return _metric(problem, np.maximum(weights, _LEAST_WEIGHT).astype(np.float32))


def _slopes(
    predicted: np.ndarray, problem: Problem, means: np.ndarray, widths: Sequence[int]
) -> np.ndarray:
    """Find how far each task's predictions are believed, in [0, 1], for its columns.

    One penalty serves all tasks, and is too low for those that the features tell least
    of. It is the slope of the regression of the true values on those predicted.
    """
    true = np.nan_to_num(problem.targets - means)
    ends = np.cumsum(widths)
    slopes = np.zeros(len(means))
    for begin, end in zip(ends - widths, ends, strict=True):
        own = slice(begin, end)
        weighted = problem.weights[:, own] * predicted[:, own]
        squares = np.sum(weighted * predicted[:, own])
        if squares > 0:
            slopes[own] = np.clip(np.sum(weighted * true[:, own]) / squares, 0, 1)
    return slopes
