"""Cross-validation within a fit: how many folds, and what is compared by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sklearn_mmoe.estimators._fit_data import FitData
from sklearn_mmoe.estimators._parameters import by_rows

if TYPE_CHECKING:
    from sklearn_mmoe._training.out_of_fold import OutOfFold

__all__ = [
    "Candidate",
    "candidates",
    "check_cv",
    "for_members",
    "loss_table",
    "n_folds",
]

_AUTO_FOLDS = 5
# With fewer targets in a task a choice by them would be one by chance; with more
# rows the defaults are as good, and cost a fifth.
_FEWEST_TARGETS = 30
_MOST_ROWS = 2_000


@dataclass(frozen=True)
class Candidate:
    """A way of regularisation, as the estimators' parameters of these names."""

    feature_penalty: float
    weight_decay: float


# What is compared where both are 'auto', beside what they are by the number of rows:
# hardly any, for targets without noise, and much, for targets that are little else.
_WEAK = Candidate(0.0, 0.03)
_STRONG = Candidate(1.0, 4.0)


def check_cv(estimator: Any) -> None:
    """Check that nothing else decides what cross-validation would.

    Raises
    ------
    ValueError
        If it does.
    """
    for name in ("early_stopping", "network"):
        if isinstance(estimator.cv, int) and getattr(estimator, name):
            raise ValueError(
                f"The 'cv' parameter ({estimator.cv}) cannot be used together with "
                f"{name!r}; set one of them to None or False."
            )


def n_folds(estimator: Any, data: FitData) -> int | None:
    """Decide how many folds a fit has; None is none.

    Raises
    ------
    ValueError
        If there are fewer rows than folds.
    """
    cv, n_rows = estimator.cv, len(data.rows)
    if cv == "auto":
        targets = (data.weights[data.rows] > 0).sum(axis=0)
        fits = n_rows <= _MOST_ROWS and targets.min() >= _FEWEST_TARGETS
        return _AUTO_FOLDS if fits and _is_left_to_us(estimator) else None
    if cv is not None and n_rows < cv:
        raise ValueError(
            f"The 'cv' parameter ({cv}) is more than the number of rows with a target "
            f"({n_rows})."
        )
    return cv


def _is_left_to_us(estimator: Any) -> bool:
    """Whether nothing is set that cross-validation would choose or cannot do."""
    names = ("max_iter", "feature_penalty", "weight_decay")
    if any(getattr(estimator, name) != "auto" for name in names):
        return False
    others = (estimator.network, estimator.early_stopping, estimator.warm_start)
    named = isinstance(estimator.optimizer, str)
    return named and estimator.task_weighting == "uniform" and not any(others)


def candidates(estimator: Any, n_rows: int, n_folds: int | None) -> list[Candidate]:
    """List the ways of regularisation that a fit compares; without folds it is one."""
    names = ("feature_penalty", "weight_decay")
    given = [getattr(estimator, name) for name in names]

    def fill_in(candidate: Candidate) -> Candidate:
        values = [
            getattr(candidate, name) if isinstance(value, str) else float(value)
            for name, value in zip(names, given, strict=True)
        ]
        return Candidate(*values)

    usual = Candidate(*(by_rows(name, "auto", n_rows) for name in names))
    compared = [usual] if n_folds is None else [usual, _WEAK, _STRONG]
    return list(dict.fromkeys(fill_in(candidate) for candidate in compared))


def for_members(values: list[float], n_folds: int | None) -> Any:
    """Repeat a value of each candidate for its members; without folds it is one."""
    return values[0] if n_folds is None else tuple(np.repeat(values, n_folds).tolist())


def loss_table(choice: OutOfFold, compared: list[Candidate]) -> pd.DataFrame:
    """Put the losses of all candidates into a data frame, an epoch in each row."""
    columns = pd.MultiIndex.from_tuples(
        [(c.feature_penalty, c.weight_decay) for c in compared],
        names=["feature_penalty", "weight_decay"],
    )
    index = pd.Index(choice.epochs, name="epoch")
    return pd.DataFrame(np.array(choice.curves), index=index, columns=columns)
