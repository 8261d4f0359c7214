"""What is chosen for each binary task: the threshold of the best score."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer

from sklearn_mmoe._tasks.tasks import check_labels, known_labels
from sklearn_mmoe.metrics._scoring import (
    accepts_sample_weight,
    advice_on_classes,
    scorer_name,
)


class CostScorer:
    """Minus the mean cost of the predictions, as a scorer of one binary task.

    Parameters
    ----------
    costs : array-like of shape (2, 2)
        What each case costs: a row for each true class, a column for each predicted
        one, in the order of the classes.
    """

    def __init__(self, costs: Any) -> None:
        self.costs = costs

    def _accept_sample_weight(self) -> bool:
        return True

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None
    ) -> float:
        second = estimator.classes_[1]
        true = (np.asarray(y) == second).astype(int)
        predicted = (estimator.predict(X) == second).astype(int)
        costs = np.asarray(self.costs, dtype=np.float64)[true, predicted]
        return -float(np.average(costs, weights=sample_weight))

    def __repr__(self) -> str:
        return f"CostScorer({np.asarray(self.costs).tolist()})"


def as_scorer(scoring: Any) -> Any:
    """Turn what is wanted of a task into a scorer.

    Parameters
    ----------
    scoring : str, callable or array-like of shape (2, 2)
        The name of a scorer, a scorer, or costs.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y)``.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if isinstance(scoring, str) or callable(scoring):
        return get_scorer(scoring)
    try:
        costs = np.asarray(scoring, dtype=np.float64)
    except (TypeError, ValueError):
        costs = np.empty(0)
    if costs.shape != (2, 2) or not np.isfinite(costs).all():
        raise ValueError(
            "The 'scoring' parameter must be the name of a scorer, a scorer, costs of "
            "shape (2, 2) with a row for each true class and a column for each "
            f"predicted one, or a mapping of tasks to these; got {scoring!r}."
        )
    return CostScorer(costs)


def as_scorers(scoring: Any) -> Any:
    """As :func:`as_scorer`, of each task if `scoring` is a mapping."""
    if not isinstance(scoring, Mapping):
        return as_scorer(scoring)
    if not scoring:
        raise ValueError(
            "The 'scoring' parameter is an empty mapping, which names no task. Name "
            "one of two classes, or give a scorer for all."
        )
    return {task: as_scorer(by) for task, by in scoring.items()}


class _FixedLabels(ClassifierMixin, BaseEstimator):
    """One binary task at one threshold, so that every scorer can be asked about it."""

    def __init__(self, classes_: np.ndarray, predicted: np.ndarray) -> None:
        self.classes_ = classes_
        self.predicted = predicted

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:
        return self.predicted


class Undecided(Exception):
    """There is nothing to choose a threshold by; the text says why."""


def _score(
    name: str,
    classes: np.ndarray,
    labels: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray | None,
    scorer: Any,
) -> float:
    """Score predicted labels; arguments as in :func:`best_threshold`."""
    arguments = {}
    if weights is not None and accepts_sample_weight(scorer):
        arguments["sample_weight"] = weights
    with warnings.catch_warnings():
        # At some thresholds nothing is predicted to be of the second class.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        try:
            return scorer(_FixedLabels(classes, predicted), None, labels, **arguments)
        except Exception as error:
            raise ValueError(
                f"{scorer_name(scorer)!r} cannot score the labels predicted for the "
                f"task {name!r}, whose classes are {classes.tolist()}: "
                f"{str(error).rstrip('. ')}.{advice_on_classes(classes)}"
            ) from error


def check_scorer(name: str, labels: np.ndarray, scorer: Any) -> None:
    """Raise a ValueError if a scorer cannot score such labels, even if all are right.

    Parameters
    ----------
    name, labels, scorer
        As in :func:`best_threshold`.
    """
    check_labels(name, labels, "A classification")
    _score(name, np.unique(labels), labels, labels, None, scorer)


def best_threshold(
    name: str,
    classes: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    weights: np.ndarray | None,
    scorer: Any,
    thresholds: Any,
) -> tuple[int, np.ndarray, np.ndarray]:
    """Score a binary task at each threshold.

    Parameters
    ----------
    name : str
        The task's name, for errors.
    classes : ndarray of shape (2,)
        Its classes.
    labels : ndarray of shape (n_observed,)
        True labels.
    probabilities : ndarray of shape (n_observed,)
        Probabilities of the second class.
    weights : ndarray of shape (n_observed,) or None
        Weights of the rows, for scorers that take them.
    scorer : callable
        Called as ``scorer(estimator, X, y)``.
    thresholds : int or array-like
        How many thresholds, or which.

    Returns
    -------
    best : int
        Which threshold has the best score; the first of several.
    candidates : ndarray of shape (n_thresholds,)
        The thresholds.
    scores : ndarray of shape (n_thresholds,)
        Their scores.

    Raises
    ------
    ValueError
        If the scorer cannot score such a task.
    Undecided
        If no threshold differs from another.
    """
    if not len(labels):
        raise Undecided("y has no label")
    if weights is not None and accepts_sample_weight(scorer):
        counts = weights > 0
        if not counts.any():
            raise Undecided("y has no label of positive weight")
        labels, probabilities, weights = (
            values[counts] for values in (labels, probabilities, weights)
        )
    if len(np.unique(labels)) < 2:
        raise Undecided(f"y has only the class {labels.tolist()[0]!r}")
    low, high = probabilities.min(), probabilities.max()
    if np.isclose(low, high):
        raise Undecided("the estimator predicts the same probability everywhere")
    candidates = (
        np.linspace(low, high, int(thresholds))
        if isinstance(thresholds, Integral)
        else np.asarray(thresholds, dtype=np.float64)
    )
    labels, _ = known_labels(name, labels, classes)
    scores = np.array(
        [
            _score(
                name,
                classes,
                labels,
                classes[(probabilities >= threshold).astype(int)],
                weights,
                scorer,
            )
            for threshold in candidates
        ]
    )
    if np.isnan(scores).all():
        raise Undecided("its score is NaN at every threshold")
    return int(np.nanargmax(scores)), candidates, scores
