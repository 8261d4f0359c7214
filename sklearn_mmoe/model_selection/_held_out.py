"""What estimators say about rows that they were not fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_method_params, _num_samples

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.tasks import class_codes
from sklearn_mmoe.metrics._predictions import Predictions


@dataclass
class HeldOut:
    """What an estimator says about rows that it was not fitted on.

    Attributes
    ----------
    estimator : estimator or None
        Fitted; None where it is not needed any more.
    rows : ndarray of int of shape (n_rows,)
        Which rows of X these are.
    classes : list of ndarray of shape (n_classes,) or None
        Each task's classes; None for a regression.
    probabilities : list of ndarray of shape (n_rows,) or None
        Those of the second class of two; None for other tasks.
    """

    estimator: Any
    rows: np.ndarray
    classes: list[Any]
    probabilities: list[Any]


def fit_and_ask(
    estimator: Any,
    X: Any,
    y: Any,
    targets: TaskColumns,
    fold: tuple[Any, Any],
    params: dict[str, Any],
    keep: bool,
) -> HeldOut:
    """Fit an estimator on some rows and ask it about the others."""
    train, test = fold
    estimator.fit(
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        **_check_method_params(X, params, indices=train),
    )
    rows = np.arange(_num_samples(X))[test]
    held_out = ask(estimator, _safe_indexing(X, test), targets, rows, targets)
    return held_out if keep else replace(held_out, estimator=None)


def ask(
    estimator: Any,
    X: Any,
    targets: TaskColumns,
    rows: np.ndarray,
    whose_classes: TaskColumns | None,
) -> HeldOut:
    """Ask a fitted estimator about these rows, once for all tasks.

    It may have been fitted on some of the classes in y alone, so these are those of
    `whose_classes`; None takes the estimator's.
    """
    predictions = Predictions(estimator, X, len(targets))
    classes: list[Any] = [None] * len(targets)
    probabilities: list[Any] = [None] * len(targets)
    for k, name in enumerate(targets.names):
        if not predictions.are_classified[k]:
            continue
        known = predictions.classes(k)
        given = known if whose_classes is None else np.unique(whose_classes.values(k))
        classes[k] = given
        if len(given) == 2:
            of_second = class_codes(name, known, given) == 1
            # A class that the estimator has not seen has probability 0.
            probabilities[k] = predictions.probabilities(k)[:, of_second].sum(axis=1)
    return HeldOut(estimator, rows, classes, probabilities)
