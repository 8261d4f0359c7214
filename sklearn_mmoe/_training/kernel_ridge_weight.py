"""Weighing a kernel ridge regression against an ensemble, by the rows left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_mmoe._batches.arrays import dense_parts
from sklearn_mmoe._training.averaging import average_outputs
from sklearn_mmoe._training.kernel_ridge import (
    KernelRidge,
    as_targets,
    outputs_of_tasks,
)
from sklearn_mmoe._training.kernel_ridge_fit import Problem, fit_kernel_ridge
from sklearn_mmoe._training.shrinkage import losses_of_rows

__all__ = ["LeftOut", "best_kernel_ridge"]

# Some of a prediction is always the networks'.
_SHARES = np.array([0.0, 0.25, 0.5, 0.75])
# There is none unless the loss of a group of tasks falls by so many standard errors;
# nor in a task of which it rises by as many as these.
_CLEARLY = 2
_CLEARLY_WORSE = 1
# Of so many rows the fit takes half a gigabyte and half a minute; so do so many numbers
# of features, or of what is put for missing targets. It takes a time for each fold.
_MOST_ROWS = 10_000
_MOST_NUMBERS = 2**25
_MOST_FOLDS = 10


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A task, and what an ensemble says of the rows that its members left out.

    Attributes
    ----------
    kind : {'binary', 'multiclass', 'regression'}
        Kind of the task.
    outputs : ndarray of shape (n_rows, units)
        Outputs of members that have not seen the row.
    targets : ndarray of shape (n_rows, ...)
        Class indices, zeros and ones, or standardised values.
    weights : ndarray of shape (n_rows,)
        Weights of the rows; zero where there is no target.
    task_weight : float
        How much the task counts.
    of_folds : ndarray of shape (n_folds, n_rows, units) or None
        Outputs of the members that have not seen each fold, for all rows; None if no
        target is missing.
    """

    kind: str
    outputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    task_weight: float
    of_folds: np.ndarray | None

    @property
    def known(self) -> np.ndarray:
        """Which rows have a target."""
        return self.weights > 0

    @property
    def row_weights(self) -> np.ndarray:
        """The weights of rows that have a target, of mean one; others have nan."""
        mean = self.weights[self.known].mean()
        return np.where(self.known, self.weights / mean, np.nan)

    @property
    def columns(self) -> np.ndarray:
        """The targets as a regression takes them; nan where there is none."""
        columns: np.ndarray = np.full(self.outputs.shape, np.nan)
        targets = self.targets[self.known]
        if self.kind == "multiclass":
            columns[self.known] = 0
            rows = np.flatnonzero(self.known)
            columns[rows, targets.ravel().astype(int)] = 1
        else:
            columns[self.known] = targets.reshape(-1, 1)
        return columns

    def fills(self, n_folds: int) -> np.ndarray:
        """Return what is put for a missing target, for each fold and for none."""
        if self.of_folds is None:
            return np.full((n_folds + 1, *self.outputs.shape), np.nan)
        of_folds = as_targets(self.kind, self.of_folds)
        return np.concatenate([of_folds, of_folds.mean(axis=0, keepdims=True)])

    def losses(self, others: Any, share: float) -> np.ndarray:
        """Compute the loss of each row by a mean with other outputs."""
        both = np.array([self.outputs, others])[:, self.known]
        mean = average_outputs(self.kind, both, [1 - share, share])
        losses = np.zeros(len(self.weights))
        losses[self.known] = losses_of_rows(self.kind, mean, self.targets[self.known])
        return self.task_weight * self.weights * losses


def best_kernel_ridge(
    X: Any,
    rows: np.ndarray,
    folds: np.ndarray,
    n_folds: int,
    tasks: Mapping[int, LeftOut],
    n_tasks: int,
    groups: Sequence[tuple[Sequence[int], Sequence[int]]],
) -> KernelRidge | None:
    """Fit a kernel ridge regression, and weigh it against an ensemble.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features.
    rows : ndarray of int
        The rows of X that count.
    folds : ndarray of int of shape (n_rows,)
        Fold of each of them, from 0.
    n_folds : int
        Number of folds, of which some may have no row that counts.
    tasks : mapping of int to LeftOut
        The tasks in which it may count.
    n_tasks : int
        Number of all tasks.
    groups : sequence of (sequence of int, sequence of int)
        Tasks that have one weight, and those of them that decide on it.

    Returns
    -------
    KernelRidge or None
        The regression, if it counts in any task.
    """
    tasks = dict(sorted(tasks.items()))
    n_columns = sum(task.outputs.shape[1] for task in tasks.values())
    n_numbers = len(rows) * max(X.shape[1], (n_folds + 1) * n_columns)
    too_large = (
        len(rows) > _MOST_ROWS or n_numbers > _MOST_NUMBERS or n_folds > _MOST_FOLDS
    )
    if not tasks or too_large or len(np.unique(folds)) < 2:
        return None
    features = np.concatenate([np.array(part) for part in dense_parts(X, rows)])
    widths = [tasks[k].outputs.shape[1] if k in tasks else 0 for k in range(n_tasks)]
    fitted = fit_kernel_ridge(features, _problem(tasks, folds, n_folds), widths)
    if fitted is None:
        return None
    kernel_ridge, columns = fitted
    kinds = [tasks[k].kind if k in tasks else "" for k in range(n_tasks)]
    outputs = outputs_of_tasks(kinds, widths, columns)
    shares = [0.0] * n_tasks
    for group, deciding in groups:
        losses = {
            k: np.array([tasks[k].losses(outputs[k], share) for share in _SHARES])
            for k in group
            if k in tasks
        }
        best = _best_share([losses[k] for k in deciding if k in losses])
        for k, of_task in losses.items():
            if not _is_above_zero(of_task[best] - of_task[0], _CLEARLY_WORSE):
                shares[k] = float(_SHARES[best])
    return kernel_ridge.counting(shares) if any(shares) else None


def _problem(tasks: Mapping[int, LeftOut], folds: np.ndarray, n_folds: int) -> Problem:
    """Put the targets of all tasks beside each other."""
    targets = np.concatenate([task.columns for task in tasks.values()], axis=1)
    variances = np.nanvar(targets, axis=0)
    weights = np.concatenate(
        [
            np.repeat(
                task.task_weight * np.nan_to_num(task.row_weights)[:, np.newaxis],
                task.outputs.shape[1],
                axis=1,
            )
            / task.outputs.shape[1]
            for task in tasks.values()
        ],
        axis=1,
    )
    fills = None
    if np.isnan(targets).any():
        of_tasks = [task.fills(n_folds) for task in tasks.values()]
        fills = np.concatenate(of_tasks, axis=2)
    row_weights = np.array([task.row_weights for task in tasks.values()])
    # A row may have a target of other tasks alone.
    known = ~np.isnan(row_weights)
    means = np.nansum(row_weights, axis=0) / np.maximum(known.sum(axis=0), 1)
    return Problem(
        rows=np.empty((len(folds), 0), dtype=np.float32),
        targets=targets,
        fills=fills,
        weights=weights / np.where(variances > 0, variances, 1),
        row_weights=np.where(known.any(axis=0), means, 1.0),
        folds=folds,
    )


def _best_share(losses: Sequence[np.ndarray]) -> int:
    """Find the weight of least loss, the first of them if it is not clearly so."""
    if not losses:
        return 0
    total = np.sum(losses, axis=0)
    best = int(total.sum(axis=1).argmin())
    return best if _is_above_zero(total[0] - total[best], _CLEARLY) else 0


def _is_above_zero(differences: np.ndarray, n_errors: float) -> bool:
    """Whether a sum over rows is so many standard errors above zero."""
    error = differences.std(ddof=1) * np.sqrt(len(differences))
    return bool(differences.sum() > n_errors * error)
