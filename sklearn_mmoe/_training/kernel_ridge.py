"""Kernel ridge regression of all tasks at once, beside the networks of an ensemble.

Where rows are few, or nearly repeat each other, what is known of the nearest rows often
says more than a network has learned. One kernel serves all tasks: they share what makes
rows alike, which features count among it.

References
----------
.. [1] Saunders, C., Gammerman, A., & Vovk, V. (1998). "Ridge Regression Learning
   Algorithm in Dual Variables". ICML 1998.
.. [2] Radhakrishnan, A., Beaglehole, D., Pandit, P., & Belkin, M. (2024). "Mechanism
   for feature learning in neural networks and backpropagation-free machine learning
   models". Science, 383(6690). https://doi.org/10.1126/science.adi5639
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve
from scipy.special import expit, logit, softmax
from sklearn.utils import gen_batches

from sklearn_mmoe._batches.arrays import dense_parts

__all__ = [
    "LEAST_PROBABILITY",
    "KernelRidge",
    "as_targets",
    "dense_rows",
    "fit_kernel_ridge",
    "is_too_large",
]

# What is compared: the length of the kernel, as a multiple of the median distance of
# rows, and the penalty.
_LENGTHS = (0.1, 0.3, 1.0, 3.0)
_PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
# By no more rows than these it is compared, and the features are weighted.
_MOST_ROWS_COMPARED = 800
# The features that count least have this weight, and the one that counts most has 1.
_LEAST_WEIGHT = 0.02
# Gradients of more columns are replaced by those of so many mixtures of them.
_MOST_GRADIENTS = 16
# Rows whose distance is less than this part of the longest are the same.
_SAME = 1e-2
# The kernel of more rows would take more than 400 MB, and these numbers 128 MB.
_MOST_ROWS = 10_000
_MOST_NUMBERS = 2**25
# Rows whose distances are computed at once in prediction.
_ROWS_AT_ONCE = 1024
# A ridge regression may say of a class less than nothing. So much is left to each.
LEAST_PROBABILITY = 1e-3


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """A fitted kernel ridge regression, and how much it counts in each task.

    Attributes
    ----------
    center, scale : ndarray of shape (n_features,)
        What features are made alike by, before their hyperbolic tangent is taken.
    feature_weights : ndarray of shape (n_features,)
        What features are multiplied by after it.
    rows : ndarray of float32 of shape (n_rows, n_features)
        The rows trained on, as they are after that.
    length : float
        Length of the kernel: it is exp(-distance / length).
    coefficients : ndarray of shape (n_rows, n_columns)
        Dual coefficients. There is a column for each value, each binary task, and each
        class of the others.
    means : ndarray of shape (n_columns,)
        Means of the targets.
    widths : tuple of int
        Number of columns of each task; 0 of tasks in which it does not count.
    shares : tuple of float
        Weight in the prediction of each task, beside the networks, in [0, 1).
    """

    center: np.ndarray
    scale: np.ndarray
    feature_weights: np.ndarray
    rows: np.ndarray
    length: float
    coefficients: np.ndarray
    means: np.ndarray
    widths: tuple[int, ...]
    shares: tuple[float, ...]

    def outputs(self, kinds: Sequence[str], X: Any) -> list[np.ndarray | None]:
        """Predict outputs as those of the network; None where this does not count.

        Parameters
        ----------
        kinds : sequence of str
            Kind of each task.
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        list of (ndarray of float64 of shape (n_samples, units) or None)
            Logits, or standardised values.
        """
        solution = _Solution(
            self.rows.astype(np.float64), self.length, self.coefficients, self.means
        )
        columns = [solution.predict(part) for part in self._weighted_parts(X)]
        return _outputs_of_tasks(kinds, self.widths, np.concatenate(columns))

    def _weighted_parts(self, X: Any) -> Iterator[np.ndarray]:
        for tensor in dense_parts(X):
            part = np.asarray(tensor, dtype=np.float64)
            for some in gen_batches(len(part), _ROWS_AT_ONCE):
                squashed = _squashed(part[some], self.center, self.scale)
                yield squashed * self.feature_weights

    def counting(self, shares: Sequence[float]) -> KernelRidge:
        """Give it these weights, and leave out the tasks in which it has none."""
        kept = np.repeat(np.asarray(shares) > 0, self.widths)
        widths = [w if s else 0 for w, s in zip(self.widths, shares, strict=True)]
        return replace(
            self,
            coefficients=self.coefficients[:, kept],
            means=self.means[kept],
            widths=tuple(widths),
            shares=tuple(shares),
        )


def _squashed(x: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Bring features to one scale, on which wild values are no farther than others."""
    return np.tanh((x - center) / scale)


def _distances(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the distance of each two rows, in the type of the features."""
    squares = rows @ (-2 * others.T)
    squares += np.sum(rows**2, axis=1, keepdims=True)
    squares += np.sum(others**2, axis=1)
    np.maximum(squares, 0, out=squares)
    return np.sqrt(squares, out=squares)


def is_too_large(n_rows: int, n_features: int) -> bool:
    """Whether it would take too much memory or time."""
    return n_rows > _MOST_ROWS or n_rows * n_features > _MOST_NUMBERS


def dense_rows(X: Any, rows: np.ndarray) -> np.ndarray:
    """Return rows of an array or CSR matrix as an array."""
    return np.concatenate([np.array(part) for part in dense_parts(X, rows)])


def as_targets(kind: str, outputs: np.ndarray) -> np.ndarray:
    """Turn a network's outputs into what a regression is trained on: probabilities."""
    if kind == "regression":
        return outputs
    return expit(outputs) if kind == "binary" else softmax(outputs, axis=1)


def _outputs_of_tasks(
    kinds: Sequence[str], widths: Sequence[int], columns: np.ndarray
) -> list[np.ndarray | None]:
    """Turn what a regression predicts into outputs as a network's."""
    of_tasks = np.split(columns, np.cumsum(widths)[:-1], axis=1)
    return [
        _as_outputs(kind, of_task) if width else None
        for kind, width, of_task in zip(kinds, widths, of_tasks, strict=True)
    ]


def _as_outputs(kind: str, columns: np.ndarray) -> np.ndarray:
    if kind == "regression":
        return columns
    if kind == "binary":
        return logit(np.clip(columns, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    return np.log(np.maximum(columns, LEAST_PROBABILITY))


class _Choice(NamedTuple):
    """How a regression is fitted; the length is relative to the median distance."""

    length: float
    penalty: float


class _Solution(NamedTuple):
    """A regression that is fitted to rows whose features are weighted."""

    rows: np.ndarray
    length: float
    coefficients: np.ndarray
    means: np.ndarray

    def predict(self, rows: np.ndarray) -> np.ndarray:
        kernel = np.exp(_distances(rows, self.rows) / -self.length)
        return kernel @ self.coefficients + self.means


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is fitted: squashed rows, and their targets.

    The errors of the columns are multiplied by their `importance` before they are
    added up.
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    folds: np.ndarray
    importance: np.ndarray

    def take(self, rows: np.ndarray) -> _Problem:
        """Leave out all other rows."""
        return replace(
            self,
            rows=self.rows[rows],
            targets=self.targets[rows],
            weights=self.weights[rows],
            folds=self.folds[rows],
        )

    def some(self) -> _Problem:
        """Leave out all but some rows, spread over all."""
        n_rows = len(self.rows)
        n_some = min(n_rows, _MOST_ROWS_COMPARED)
        return self.take(np.linspace(0, n_rows - 1, n_some).astype(int))

    def split(self, fold: int) -> tuple[_Problem, _Problem]:
        """Return what is left without a fold, and the fold."""
        own = self.folds == fold
        return self.take(np.flatnonzero(~own)), self.take(np.flatnonzero(own))

    def distances(self, feature_weights: np.ndarray) -> np.ndarray:
        """Compute the distance of each two rows."""
        rows = self.rows * feature_weights
        distances = _distances(rows, rows)
        np.fill_diagonal(distances, 0)
        return distances

    def solve(
        self, kernel: np.ndarray, penalty: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Solve equation 8 of [1]_, for targets without their means; return both.

        The less a row weighs, the higher is its penalty.
        """
        means = np.average(self.targets, axis=0, weights=self.weights)
        noise = penalty * self.weights.mean() / self.weights
        coefficients = solve(
            kernel + np.diag(noise).astype(kernel.dtype),
            (self.targets - means).astype(kernel.dtype),
            assume_a="pos",
            overwrite_a=True,
            overwrite_b=True,
        )
        return coefficients.astype(np.float64), means

    def fit(self, feature_weights: np.ndarray, choice: _Choice) -> _Solution:
        """Fit a regression."""
        kernel = self.distances(feature_weights)
        length = choice.length * self.some().median_distance(feature_weights)
        np.exp(np.divide(kernel, -length, out=kernel), out=kernel)
        coefficients, means = self.solve(kernel, choice.penalty)
        return _Solution(self.rows * feature_weights, length, coefficients, means)

    def median_distance(self, feature_weights: np.ndarray) -> float:
        """Compute the median distance of rows that differ; 0 if there are none."""
        distances = self.distances(feature_weights)
        different = distances[distances > _SAME * distances.max()]
        return float(np.median(different)) if different.size else 0.0

    def loss(self, predicted: np.ndarray) -> float:
        """Compute the mean squared error of predictions."""
        errors = (predicted - self.targets) ** 2 @ self.importance
        return float((self.weights * errors).sum())


def fit_kernel_ridge(
    kinds: Sequence[str],
    features: np.ndarray,
    targets: Sequence[np.ndarray | None],
    weights: np.ndarray,
    folds: np.ndarray,
    task_weight: Sequence[float],
) -> tuple[KernelRidge, list[np.ndarray | None]] | None:
    """Fit on all rows, in the way that predicts rows of left-out folds best.

    Features count alike, or by how much what a first fit predicts depends on them.

    Parameters
    ----------
    kinds : sequence of {'binary', 'multiclass', 'regression', ...}
        Kind of each task.
    features : ndarray of shape (n_rows, n_features)
        Features.
    targets : sequence of (ndarray of shape (n_rows, width) or None)
        Values or probabilities of each task; None leaves a task out.
    weights : ndarray of shape (n_rows,)
        Weights of the rows, above zero.
    folds : ndarray of int of shape (n_rows,)
        Fold of each row.
    task_weight : sequence of float
        How much each task counts in the choice.

    Returns
    -------
    (KernelRidge, list of (ndarray of shape (n_rows, units) or None)) or None
        The regression, and its outputs for rows of folds that it had not seen. None if
        all rows are the same, or numbers are not finite.
    """
    center = features.mean(axis=0, dtype=np.float64)
    # Features of less than one, such as those of categories, are on one scale already.
    scale = np.maximum(features.std(axis=0, dtype=np.float64), 1)
    rows = _squashed(features, center, scale).astype(np.float32)
    columns = np.concatenate([y for y in targets if y is not None], axis=1)
    if not (np.isfinite(rows).all() and np.isfinite(columns).all()):
        return None
    widths = tuple(0 if y is None else y.shape[1] for y in targets)
    of_columns = np.repeat(np.divide(task_weight, np.maximum(widths, 1)), widths)
    variances = columns.var(axis=0)
    importance = of_columns / np.where(variances > 0, variances, 1)
    problem = _Problem(rows, columns, weights, folds, importance)
    if problem.some().median_distance(np.ones(rows.shape[1], np.float32)) == 0:
        return None
    metrics, choice = _choose(problem.some())
    held_out = np.empty(columns.shape)
    for fold, metric in metrics.items():
        if fold is not None:
            others, own = problem.split(fold)
            fitted = others.fit(metric, choice)
            held_out[folds == fold] = fitted.predict(own.rows * metric)
    final = problem.fit(metrics[None], choice)
    slopes = _slopes(held_out - final.means, columns - final.means, weights, widths)
    kernel_ridge = KernelRidge(
        center=center,
        scale=scale,
        feature_weights=metrics[None].astype(np.float64),
        rows=final.rows,
        length=final.length,
        coefficients=final.coefficients * slopes,
        means=final.means,
        widths=widths,
        shares=(0.0,) * len(widths),
    )
    held_out = final.means + slopes * (held_out - final.means)
    return kernel_ridge, _outputs_of_tasks(kinds, widths, held_out)


def _choose(problem: _Problem) -> tuple[dict[int | None, np.ndarray], _Choice]:
    """Choose weights of the features, for each fold and for all rows, and the rest."""
    alike = np.ones(problem.rows.shape[1], dtype=np.float32)
    folds = np.unique(problem.folds).tolist()
    metrics: dict[int | None, np.ndarray] = dict.fromkeys([*folds, None], alike)
    choice, loss = _search(problem, metrics)
    weighted = {
        fold: _feature_weights(
            problem if fold is None else problem.split(fold)[0], choice
        )
        for fold in metrics
    }
    of_weighted, loss_of_weighted = _search(problem, weighted)
    return (weighted, of_weighted) if loss_of_weighted < loss else (metrics, choice)


def _search(
    problem: _Problem, metrics: dict[int | None, np.ndarray]
) -> tuple[_Choice, float]:
    """Find the choice with the least loss on left-out folds, and that loss."""
    losses = np.zeros((len(_LENGTHS), len(_PENALTIES)))
    for fold, metric in metrics.items():
        if fold is None:
            continue
        others, own = problem.split(fold)
        between = others.distances(metric)
        median = others.median_distance(metric)
        across = _distances(own.rows * metric, others.rows * metric)
        for i, length in enumerate(_LENGTHS):
            kernel = np.exp(between / -(length * median))
            of_own = np.exp(across / -(length * median))
            for j, penalty in enumerate(_PENALTIES):
                coefficients, means = others.solve(kernel, penalty)
                losses[i, j] += own.loss(of_own @ coefficients + means)
    i, j = divmod(int(losses.argmin()), len(_PENALTIES))
    return _Choice(_LENGTHS[i], _PENALTIES[j]), float(losses[i, j])


def _feature_weights(problem: _Problem, choice: _Choice) -> np.ndarray:
    """Weigh the features by the gradients of what a regression predicts.

    The root of the diagonal of the average gradient outer product, equation 2 of [2]_.
    """
    alike = np.ones(problem.rows.shape[1], dtype=np.float32)
    fitted = problem.fit(alike, choice)
    coefficients = fitted.coefficients * np.sqrt(problem.importance)
    n_columns = coefficients.shape[1]
    if n_columns > _MOST_GRADIENTS:  # the mean of squares stays the same
        signs = np.random.default_rng(0).choice([-1, 1], (n_columns, _MOST_GRADIENTS))
        coefficients = coefficients @ signs
    distances = problem.distances(alike)
    # Rows that are the same have no gradient between them.
    distances[distances <= _SAME * distances.max()] = np.inf
    slopes = np.exp(distances / -fitted.length) / distances
    squares = np.zeros(problem.rows.shape[1])
    for of_column in coefficients.T.astype(np.float32):
        gradients = problem.rows * (slopes @ of_column)[:, np.newaxis]
        gradients -= slopes @ (problem.rows * of_column[:, np.newaxis])
        squares += np.mean(gradients**2, axis=0)
    if not squares.max() > 0:
        return alike
    weights = np.sqrt(squares / squares.max())
    return np.maximum(weights, _LEAST_WEIGHT).astype(np.float32)


def _slopes(
    predicted: np.ndarray, true: np.ndarray, weights: np.ndarray, widths: Sequence[int]
) -> np.ndarray:
    """Find how far each task's predictions are believed, in [0, 1], for its columns.

    One penalty serves all tasks, and is too low for those that the features tell least
    of. It is the slope of the regression of the true values on those predicted.
    """
    ends = np.cumsum(widths)
    slopes = np.zeros(len(predicted[0]))
    for begin, end in zip(ends - widths, ends, strict=True):
        p, t = predicted[:, begin:end], true[:, begin:end]
        squares = np.sum(weights @ p**2)
        if squares > 0:
            slopes[begin:end] = np.clip(np.sum(weights @ (p * t)) / squares, 0, 1)
    return slopes
