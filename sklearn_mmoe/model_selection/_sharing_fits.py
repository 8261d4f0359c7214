"""The fits of a report on sharing: a fold, for all tasks or without one of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing

from sklearn_mmoe._tasks.columns import is_by_name, task_index, values_by_name
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE
from sklearn_mmoe.metrics._scoring import DEFAULT_SCORING, TaskScoring

__all__ = ["SharingFit", "find_estimator", "fit_and_score"]


@dataclass(frozen=True)
class SharingFit:
    """One fit: what was fitted, and what came out."""

    sharing: str
    size: Any
    left_out: int | None
    fold: int
    seed: int
    scores: list[float]
    n_parameters: int
    cosines: np.ndarray | None


def find_estimator(estimator: Any) -> tuple[str, _BaseMultiTaskMMoE]:
    """Find our estimator at the end of pipelines, and the prefix of its parameters."""
    prefix, last = "", estimator
    while hasattr(last, "steps"):
        name, last = last.steps[-1]
        prefix += f"{name}__"
    if not isinstance(last, _BaseMultiTaskMMoE):
        raise TypeError(
            "The 'estimator' parameter must be a MultiTaskMMoEClassifier, "
            "MultiTaskMMoERegressor or MultiTaskMMoEMixed, or a Pipeline that ends in "
            f"one; got {type(last).__name__}."
        )
    if last.network is not None:
        raise ValueError(
            "sharing_report compares the networks of this package; set network=None."
        )
    return prefix, last


def fit_and_score(
    estimator: Any,
    prefix: str,
    X: Any,
    y: pd.DataFrame,
    plan: tuple[str, Any, int | None],
    fold: tuple[np.ndarray, np.ndarray],
    seed: int,
    scorings: list[Any] | None,
) -> tuple[list[float], int, np.ndarray | None]:
    """Fit one network and score each task; NaN for the task that is left out."""
    sharing, size, left_out = plan
    names = list(y.columns)
    kept = [k for k in range(len(names)) if k != left_out]
    settings = {
        "sharing": sharing,
        "match_parameters": size,
        "random_state": seed,
        # It shares the same in all: networks are compared.
        "kernel_ridge": None,
    }
    if left_out is not None:
        # The others keep the widths that they have beside it.
        settings["match_parameters"] = None if size == sharing else size
        settings |= _without(find_estimator(estimator)[1], left_out, names)
    estimator.set_params(**{prefix + name: value for name, value in settings.items()})
    train, test = fold
    y = y.iloc[:, kept]
    with warnings.catch_warnings():
        # How the gates of one fit of many are is no news; similarities tell.
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        estimator.fit(_safe_indexing(X, train), y.iloc[train])
    X_test = _safe_indexing(X, test)
    scoring = TaskScoring(estimator, X_test, y.iloc[test])
    scores = [float("nan")] * len(names)
    for j, k in enumerate(kept):
        by = (
            DEFAULT_SCORING[bool(scoring.predictions.are_classified[j])]
            if scorings is None
            else scorings[k]
        )
        scores[k] = scoring.score(j, by)
    scoring.warn()
    cosines = None
    if sharing == "mmoe" and left_out is None:
        cosines = _gate_cosines(estimator, X_test)
    last = find_estimator(estimator)[1]
    # Of how many members an ensemble is, the rows that were held out decide.
    n_parameters = last.n_parameters_ // (last._engine.spec.n_members or 1)
    return scores, n_parameters, cosines


def _without(last: Any, left_out: int, names: list[str]) -> dict[str, Any]:
    """Take a task out of the parameters that hold something for each."""
    settings: dict[str, Any] = {}
    for name in ("loss", "task_types", "class_weight", "task_weight"):
        value = getattr(last, name, None)
        if value is None or isinstance(value, str):
            continue  # says the same of all
        if is_by_name(value):
            by_name = values_by_name(name, value, names)
            settings[name] = {k: v for k, v in by_name.items() if k != names[left_out]}
        else:
            settings[name] = [v for k, v in enumerate(value) if k != left_out]
    dependencies = getattr(last, "task_dependencies", None)
    if dependencies:
        by_name = {
            names[task_index(later, names)]: names[task_index(first, names)]
            for later, first in dependencies.items()
        }
        settings["task_dependencies"] = {
            later: first
            for later, first in by_name.items()
            if names[left_out] not in (later, first)
        }
    return settings


def _gate_cosines(estimator: Any, X: Any) -> np.ndarray:
    """Average the cosine of each two tasks' gates over rows.

    It is NaN where no member of an ensemble predicts both tasks.
    """
    from sklearn_mmoe.inspection import gate_weights

    weights = gate_weights(estimator, X)  # (n_samples, n_tasks, n_experts)
    weights = weights / np.linalg.norm(weights, axis=2, keepdims=True)
    cosines = np.einsum("ski,sli->kl", weights, weights) / len(weights)
    used = (weights > 0).any(axis=0).astype(int)
    return np.where(used @ used.T > 0, cosines, np.nan)
