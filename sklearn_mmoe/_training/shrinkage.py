"""Shrinking what a network says of a task towards what is known without features.

A task of a rare class, or one of which the features tell little, is learned by the same
network as all others, and as long: it says too much of it. How far it is to be believed
is seen by the rows that the members of an ensemble left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import log_expit, log_softmax

from sklearn_mmoe._architectures.parts import Network
from sklearn_mmoe._training.averaging import average_outputs

__all__ = [
    "best_factor",
    "constant_outputs",
    "losses_of_rows",
    "shrink_weights",
    "shrunken",
]

# Not zero: the order of the rows is kept.
_FACTORS = np.linspace(0.125, 1, 8)
# The largest factor is taken whose loss is above the least by no more than this many
# standard errors: hardly any task of many rows is then shrunk by chance.
_STANDARD_ERRORS = 0.5
# Of fewer targets nothing is chosen: it would be by chance, and what is known without
# features would be known of the very target that is predicted.
_FEWEST = 30
# A class that no row has may have been missed: so many rows are added to each class.
_PSEUDO_COUNT = 0.5


def constant_outputs(
    kind: str, units: int, targets: np.ndarray, weights: np.ndarray
) -> np.ndarray | None:
    """Return what is known of a task without any features, as outputs of the network.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression', ...}
        Kind of the task; see :func:`sklearn_mmoe.losses.task_loss`.
    units : int
        Width of the task's output.
    targets : ndarray of shape (n_rows, ...)
        Class indices, zeros and ones, or standardised values.
    weights : ndarray of shape (n_rows,)
        Weights of the rows; zero where there is no target.

    Returns
    -------
    ndarray of shape (units,) or None
        The logits of the classes' shares, or the mean; None for kinds whose outputs
        are not shrunk, and where there are too few targets to see how far.
    """
    known = weights > 0
    shrinks = kind in ("binary", "multiclass", "regression")
    if not shrinks or np.count_nonzero(known) < _FEWEST:
        return None
    given, targets = weights[known].astype(np.float64), targets[known]
    if kind == "regression":
        return np.average(targets.reshape(len(given), -1), axis=0, weights=given)
    classes = targets.reshape(-1).astype(int)
    # Not all classes need to be among the rows that count.
    counts = np.bincount(classes, given, minlength=max(2, units))
    counts += _PSEUDO_COUNT * given.mean()
    logs = np.log(counts / counts.sum())
    return logs[1:] - logs[:1] if kind == "binary" else logs


def shrunken(outputs: np.ndarray, constant: np.ndarray, factor: float) -> np.ndarray:
    """Return outputs that are nearer to a constant."""
    return constant + factor * (outputs - constant)


def best_factor(
    kind: str,
    outputs: np.ndarray,
    shares: Sequence[float],
    constant: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
) -> float:
    """Find how far a task's outputs are to be believed.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression'}
        Kind of the task.
    outputs : ndarray of shape (n_candidates, n_rows, units)
        What each candidate's members say of rows that they have not seen.
    shares : sequence of float
        Weight of each candidate.
    constant : ndarray of shape (units,)
        What is known without features.
    targets, weights : ndarray of shape (n_rows, ...) and (n_rows,)
        Targets of these rows, and their weights; zero where there is no target.

    Returns
    -------
    float
        In (0, 1]: 1 believes them; the less, the more alike are all rows.
    """
    known = weights > 0
    outputs, targets, weights = outputs[:, known], targets[known], weights[known]
    losses = np.array(
        [
            losses_of_rows(
                kind,
                average_outputs(kind, shrunken(outputs, constant, factor), shares),
                targets,
            )
            * weights
            for factor in _FACTORS
        ]
    )
    if not np.isfinite(losses).all():
        return 1.0
    beyond = losses - losses[losses.sum(axis=1).argmin()]
    errors = beyond.std(axis=1, ddof=1) * np.sqrt(beyond.shape[1])
    allowed = _STANDARD_ERRORS * errors
    return float(_FACTORS[beyond.sum(axis=1) <= allowed].max())


def losses_of_rows(kind: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute the loss of each row, for the kinds that are shrunk."""
    if kind == "regression":
        return ((targets.reshape(outputs.shape) - outputs) ** 2).sum(axis=1)
    if kind == "binary":
        signs = 2 * targets.reshape(-1) - 1
        return -log_expit(signs * outputs[:, 0])
    rows = np.arange(len(outputs))
    return -log_softmax(outputs, axis=1)[rows, targets.reshape(-1).astype(int)]


def shrink_weights(
    network: Network,
    weights: Sequence[np.ndarray],
    factors: Sequence[float],
    constants: Sequence[np.ndarray | None],
) -> list[np.ndarray]:
    """Shrink the tasks' outputs of all members, by the layers that they come from.

    Parameters
    ----------
    network : Network
        The network, an ensemble.
    weights : sequence of ndarray
        Its weights, in the order of ``keras.Model.weights``. There may be more members
        than in the network.
    factors : sequence of float
        How far each task's outputs are believed.
    constants : sequence of (ndarray or None)
        What each task's outputs are shrunk towards; unused where the factor is 1.

    Returns
    -------
    list of ndarray
        Weights of the same shapes. The arrays of layers that are not changed are the
        same.
    """
    changed = list(weights)
    place = {id(variable): i for i, variable in enumerate(network.model.weights)}

    def scale(variable: Any, columns: slice, by: Any, add: Any = 0.0) -> None:
        i = place[id(variable)]
        if changed[i] is weights[i]:
            changed[i] = weights[i].copy()
        changed[i][..., columns] = changed[i][..., columns] * by + add

    for task, (factor, constant) in enumerate(zip(factors, constants, strict=True)):
        if factor == 1 or constant is None:
            continue
        own, *linear = network.output_layers(task)
        rest = (1 - factor) * constant
        for layer, columns in (own, *linear):
            scale(layer.kernel, columns, factor)
            scale(layer.bias, columns, factor, rest if layer is own[0] else 0.0)
    return changed
