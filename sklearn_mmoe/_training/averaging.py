"""The mean of an ensemble's members, outside of TensorFlow.

The same as :class:`sklearn_mmoe.layers._members.AverageMembers` computes within a
network, and quicker for a few rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import log_expit, log_softmax, logsumexp

from sklearn_mmoe._tasks.kinds import LINKS

__all__ = ["average_outputs", "that_count"]


def that_count(
    outputs: np.ndarray, weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Leave out members whose weight is zero: their outputs may not be finite.

    Returns
    -------
    outputs : ndarray of shape (n_counting, n_samples, units)
        The outputs of the others.
    weights : ndarray of shape (n_counting,)
        Their weights, which sum to 1.
    """
    if weights is None:
        return outputs, np.full(len(outputs), 1 / len(outputs))
    of_members = np.asarray(weights)
    return outputs[of_members > 0], of_members[of_members > 0]


def average_outputs(
    kind: str, outputs: np.ndarray, weights: Sequence[float] | None = None
) -> np.ndarray:
    """Average values, or probabilities, which stay logits.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression', ...}
        Kind of the task; see :func:`sklearn_mmoe.losses.task_loss`.
    outputs : ndarray of shape (n_members, n_samples, units)
        The members' outputs.
    weights : sequence of float or None, default=None
        Weight of each member, which sum to 1; None weighs all alike.

    Returns
    -------
    ndarray of shape (n_samples, units)
        Outputs of the same sort, in the same type.
    """
    outputs, counting = that_count(outputs, weights)
    shares = np.reshape(counting.astype(outputs.dtype), (-1, 1, 1))

    def log_mean(logs: np.ndarray) -> np.ndarray:
        return logsumexp(logs, axis=0, b=shares)

    link = LINKS[kind]
    if link == "identity":
        return (outputs * shares).sum(axis=0)
    if link == "log":
        return log_mean(outputs)
    if link == "logit":  # log(p / (1 - p))
        return log_mean(log_expit(outputs)) - log_mean(log_expit(-outputs))
    return log_mean(log_softmax(outputs, axis=-1))
