"""One temperature for a classification: how sure its network may be."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from sklearn_mmoe._tasks.kinds import LINKS
from sklearn_mmoe._tasks.tasks import LabelTask

__all__ = ["fit_temperature"]

# Rows that are all predicted rightly would ask for a temperature of zero, and labels
# that are pure noise for an infinite one. As logarithms: halving is like doubling.
_BOUNDS = (float(np.log(0.2)), float(np.log(20.0)))
_SMALLEST = np.finfo(np.float64).tiny


def fit_temperature(
    task: LabelTask, outputs: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> float:
    """Find the temperature of the least log-loss (Guo et al., 2017).

    Parameters
    ----------
    task : LabelTask
        The task, of temperature 1.
    outputs : ndarray of shape (n_samples, units)
        The network's logits for rows that it was not trained on.
    codes : ndarray of int of shape (n_samples,)
        Class indices; whatever where the weight is zero.
    weight : ndarray of shape (n_samples,)
        Weights; zero where there is no label.

    Returns
    -------
    float
        Between 0.2 and 20. 1 if no other is better, or nothing can be learned: of a
        single class, or without labels.
    """
    counts = weight > 0
    if task.is_constant or not counts.any():
        return 1.0
    logits = outputs[counts].astype(np.float64)
    codes, weight = codes[counts], weight[counts].astype(np.float64)
    rows = np.arange(len(codes))

    def log_loss(log_temperature: float) -> float:
        of_classes = _log_probabilities(task, logits / np.exp(log_temperature))
        return -float(np.average(of_classes[rows, codes], weights=weight))

    # Of a cross-entropy there is but one minimum: it is convex in the inverse.
    found = minimize_scalar(
        log_loss,
        bounds=_BOUNDS,
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x)) if found.fun < log_loss(0.0) else 1.0


def _log_probabilities(task: LabelTask, logits: np.ndarray) -> np.ndarray:
    """Compute log-probabilities without the rounding of probabilities next to 1."""
    if LINKS[task.kind] == "softmax":
        return log_softmax(logits, axis=1)
    if task.units == 1:
        return log_softmax(np.hstack([np.zeros_like(logits), logits]), axis=1)
    return np.log(np.maximum(task.probabilities(logits), _SMALLEST))
