"""A fitted kernel ridge regression of all tasks, beside the networks of an ensemble.

Where rows are few, or nearly repeat each other, what is known of the nearest rows often
says more than a network has learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit, softmax
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import gen_batches
from sklearn.utils.extmath import row_norms

from sklearn_mmoe._batches.arrays import dense_parts
from sklearn_mmoe._training.averaging import average_outputs

__all__ = [
    "LEAST_PROBABILITY",
    "SAME_ROW",
    "KernelRidge",
    "as_targets",
    "outputs_of_tasks",
    "predict_columns",
    "squashed",
]

# Rows whose distances are computed at once in prediction.
_ROWS_AT_ONCE = 1024
# A ridge regression may say of a class less than nothing. So much is left to each.
LEAST_PROBABILITY = 1e-3
# Rows are the same if their squared distance is not above this part of their squared
# norms. Rounding leaves as much, differently with the number of rows at once, and the
# root of it would be seen in the predictions.
SAME_ROW = 1e-13


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """A kernel ridge regression, and how much it counts in each task.

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
        columns = [
            predict_columns(part, self.rows, self.length, self.coefficients)
            for part in self._weighted_parts(X)
        ]
        return outputs_of_tasks(
            kinds, self.widths, np.concatenate(columns) + self.means
        )

    def _weighted_parts(self, X: Any) -> Iterator[np.ndarray]:
        for tensor in dense_parts(X):
            part = np.asarray(tensor)
            for some in gen_batches(len(part), _ROWS_AT_ONCE):
                z = squashed(part[some], self.center, self.scale)
                yield (z * self.feature_weights).astype(part.dtype)

    def mixed_with(
        self, kinds: Sequence[str], outputs: Sequence[np.ndarray], X: Any
    ) -> list[np.ndarray]:
        """Average its outputs and those of the networks, (n_samples, units)."""
        networks = [(own[np.newaxis], np.ones(1)) for own in outputs]
        return [
            average_outputs(kind, both, weights.tolist())
            for kind, (both, weights) in zip(
                kinds, self.among(kinds, networks, X), strict=True
            )
        ]

    def among(
        self,
        kinds: Sequence[str],
        members: Sequence[tuple[np.ndarray, np.ndarray]],
        X: Any,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Append its outputs to those of members, and its weight to theirs, by task."""
        return [
            (own, weights)
            if other is None
            else (
                np.append(own, other[np.newaxis].astype(own.dtype), axis=0),
                np.append((1 - share) * weights, share),
            )
            for (own, weights), other, share in zip(
                members, self.outputs(kinds, X), self.shares, strict=True
            )
        ]

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


def squashed(x: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Bring features to one scale, on which wild values are no farther than others."""
    return np.tanh((x.astype(np.float64) - center) / scale)


def predict_columns(
    rows: np.ndarray, known: np.ndarray, length: float, coefficients: np.ndarray
) -> np.ndarray:
    """Predict rows by those that are known, both of weighted features."""
    # Of float32 distances are computed in float64, part by part: those of near rows
    # are small differences of large numbers.
    squares = euclidean_distances(rows, known, squared=True)
    norms = row_norms(rows, squared=True)[:, np.newaxis] + row_norms(
        known, squared=True
    )
    squares[squares <= SAME_ROW * norms] = 0
    return np.exp(np.sqrt(squares) / -length) @ coefficients


def as_targets(kind: str, outputs: np.ndarray) -> np.ndarray:
    """Turn a network's outputs into what a regression is trained on: probabilities."""
    if kind == "regression":
        return outputs
    return expit(outputs) if kind == "binary" else softmax(outputs, axis=-1)


def outputs_of_tasks(
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
