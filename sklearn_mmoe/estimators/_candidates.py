"""Cross-validation within a fit: how many folds, and what is compared by them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv as check_splitter

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
    "weakest",
    "with_folds",
]

_AUTO_FOLDS = 5
# With fewer targets in a task a choice by them would be one by chance; with more
# rows the choice matters less, and costs minutes.
_FEWEST_TARGETS = 30
_MOST_ROWS = 10_000


@dataclass(frozen=True)
class Candidate:
    """A way of regularisation, as the estimators' parameters of these names."""

    feature_penalty: float
    weight_decay: float
    dropout: float


# What is compared where all are 'auto', beside what they are by the number of rows:
# hardly any, for targets without noise, and much, for targets that are little else.
_WEAK = Candidate(feature_penalty=0.0, weight_decay=0.03, dropout=0.0)
_STRONG = Candidate(feature_penalty=1.0, weight_decay=4.0, dropout=0.2)
# With more rows than these the usual strength is far below, and so much is too much.
_FEW_ROWS = 2_000
_STRONG_OF_MANY = Candidate(feature_penalty=0.25, weight_decay=1.0, dropout=0.2)
_NAMES = [field.name for field in fields(Candidate)]


def check_cv(estimator: Any) -> None:
    """Check that nothing else decides what cross-validation would.

    Raises
    ------
    ValueError
        If it does.
    """
    for name in ("early_stopping", "network", "distribute"):
        given = estimator.cv is not None and not isinstance(estimator.cv, str)
        if given and getattr(estimator, name):
            raise ValueError(
                f"The 'cv' parameter ({estimator.cv}) cannot be used together with "
                f"{name!r}; set one of them to None or False."
            )


def with_folds(estimator: Any, data: FitData, seed: int) -> FitData:
    """Deal the rows out to the folds that `cv` asks for, if it asks for any.

    Raises
    ------
    ValueError
        If there are fewer rows than folds, or splits that are given do not have each
        row in one test set.
    """
    cv, n_rows = estimator.cv, len(data.rows)
    if isinstance(cv, str):
        targets = (data.weights[data.rows] > 0).sum(axis=0)
        fits = n_rows <= _MOST_ROWS and targets.min() >= _FEWEST_TARGETS
        cv = _AUTO_FOLDS if fits and _is_left_to_us(estimator) else None
    if cv is None:
        return data
    if not isinstance(cv, Integral):
        return replace(data, **_given_folds(cv, data))
    if n_rows < int(cv):
        raise ValueError(
            f"The 'cv' parameter is {cv}, more folds than there are rows with a target "
            f"(n_samples={n_rows}). Lower it, or set cv=None."
        )
    return data.with_folds(int(cv), seed)


def _given_folds(cv: Any, data: FitData) -> dict[str, Any]:
    """Make folds of the test sets of a splitter, or of an iterable of splits."""
    splits = list(check_splitter(cv).split(data.features, data.y))
    folds = np.full(len(data.weights), -1)
    sizes = 0
    for k, (_, test) in enumerate(splits):
        sizes += len(folds[test])
        folds[test] = k
    if len(splits) < 2 or (folds < 0).any() or sizes != len(folds):
        raise ValueError(
            "The 'cv' parameter must split the rows so that each is in the test set of "
            f"one of two or more folds, as KFold does; got {len(splits)} splits with "
            f"{sizes} rows to test on, of {len(folds)}."
        )
    return {"folds": folds, "n_folds": len(splits)}


def _is_left_to_us(estimator: Any) -> bool:
    """Whether nothing is set that cross-validation would choose or cannot do."""
    names = ("max_iter", "feature_penalty", "weight_decay")
    if any(getattr(estimator, name) != "auto" for name in names):
        return False
    others = ("network", "early_stopping", "warm_start", "distribute")
    if any(getattr(estimator, name) for name in others):
        return False
    return isinstance(estimator.optimizer, str) and (
        estimator.task_weighting == "uniform"
    )


def candidates(estimator: Any, n_rows: int, n_folds: int | None) -> list[Candidate]:
    """List the ways of regularisation that a fit compares; without folds it is one."""
    given = [getattr(estimator, name) for name in _NAMES]

    def fill_in(candidate: Candidate) -> Candidate:
        values = [
            getattr(candidate, name) if isinstance(value, str) else float(value)
            for name, value in zip(_NAMES, given, strict=True)
        ]
        return Candidate(*values)

    usual = Candidate(*(by_rows(name, "auto", n_rows) for name in _NAMES))
    strong = _STRONG if n_rows <= _FEW_ROWS else _STRONG_OF_MANY
    compared = [usual] if n_folds is None else [usual, _WEAK, strong]
    return list(dict.fromkeys(fill_in(candidate) for candidate in compared))


def weakest(estimator: Any, compared: list[Candidate]) -> int | None:
    """Find the candidate for which training may be lengthened, if there is one."""
    if estimator.max_iter != "auto" or len(compared) == 1:
        return None
    return compared.index(min(compared, key=astuple))


def for_members(values: list[float], n_folds: int | None) -> Any:
    """Repeat a value of each candidate for its members; without folds it is one."""
    return values[0] if n_folds is None else tuple(np.repeat(values, n_folds).tolist())


def loss_table(choice: OutOfFold, compared: list[Candidate]) -> pd.DataFrame:
    """Put the losses of all candidates into a data frame, an epoch in each row."""
    columns = pd.MultiIndex.from_tuples(map(astuple, compared), names=_NAMES)
    index = pd.Index(choice.epochs, name="epoch")
    return pd.DataFrame(np.array(choice.curves), index=index, columns=columns)
