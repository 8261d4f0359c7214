"""Cross-validation within a fit: how many folds, and what is compared by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv as check_splitter

from sklearn_mmoe._tasks.dependencies import dependency_pairs
from sklearn_mmoe._tasks.scarcity import groups_by_targets
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.estimators._fit_data import FitData
from sklearn_mmoe.estimators._parameters import by_rows, network_parameters

if TYPE_CHECKING:
    from sklearn_mmoe._training.out_of_fold import OutOfFold

__all__ = [
    "Candidate",
    "candidates",
    "check_cv",
    "for_members",
    "loss_table",
    "task_groups",
    "weakest",
    "weight_table",
    "weights_by_candidate",
    "weights_in_training",
    "with_folds",
]

_AUTO_FOLDS = 5
# With fewer targets in all tasks a choice by them would be one by chance; with more
# rows the choice matters less, and costs minutes.
_FEWEST_TARGETS = 30
_MOST_ROWS = 10_000
# Where a task has few targets beside one of many, it matters with more rows too.
_MOST_ROWS_OF_SCARCITY = 30_000


@dataclass(frozen=True)
class Candidate:
    """A way of regularisation, and the tasks that are learned in this way.

    Attributes
    ----------
    feature_penalty, weight_decay, dropout : float
        The estimators' parameters of these names.
    tasks : tuple of int or None
        The tasks that are learned; None learns all.
    n_rows : int
        Rows that the penalty counts.
    """

    feature_penalty: float
    weight_decay: float
    dropout: float
    tasks: tuple[int, ...] | None = None
    n_rows: int = 1


# What is compared where all are 'auto', beside what they are by the number of rows:
# hardly any, for targets without noise, and much, for targets that are little else.
_WEAK = Candidate(feature_penalty=0.0, weight_decay=0.03, dropout=0.0)
_STRONG = Candidate(feature_penalty=1.0, weight_decay=4.0, dropout=0.2)
# With more rows than these the usual strength is far below, and so much is too much.
_FEW_ROWS = 2_000
_STRONG_OF_MANY = Candidate(feature_penalty=0.25, weight_decay=1.0, dropout=0.2)
_NAMES = ["feature_penalty", "weight_decay", "dropout"]


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
        scarce = len(task_groups(estimator, data)) > 1
        most = _MOST_ROWS_OF_SCARCITY if scarce else _MOST_ROWS
        fits = n_rows <= most and data.n_targets.max() >= _FEWEST_TARGETS
        cv = _AUTO_FOLDS if fits and _is_left_to_us(estimator) else None
    if cv is None:
        return data
    if not isinstance(cv, Integral):
        data = replace(data, **_given_folds(cv, data))
        _check_folds(data)
        return data
    if n_rows < int(cv):
        raise ValueError(
            f"The 'cv' parameter is {cv}, more folds than there are rows with a target "
            f"(n_samples={n_rows}). Lower it, or set cv=None."
        )
    return data.with_folds(int(cv), seed)


def _given_folds(cv: Any, data: FitData) -> dict[str, Any]:
    """Make folds of the test sets of a splitter, or of an iterable of splits."""
    folds, sizes = np.full(len(data.weights), -1), 0
    try:
        splits = list(check_splitter(cv).split(data.features, data.y))
        for k, (_, test) in enumerate(splits):
            sizes += len(folds[test])
            folds[test] = k
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(
            f"The 'cv' parameter cannot split these rows: {str(error).rstrip('.')}. It "
            "takes a splitter that needs no groups, such as MultiTaskStratifiedKFold, "
            "or splits, each a pair of the rows to train and to test on, such as "
            "list(splitter.split(X, y, groups))."
        ) from error
    if len(splits) < 2 or (folds < 0).any() or sizes != len(folds):
        raise ValueError(
            "The 'cv' parameter must split the rows so that each is in the test set of "
            f"one of two or more folds, as KFold does; got {len(splits)} splits with "
            f"{sizes} rows to test on, of {len(folds)}."
        )
    return {"folds": folds, "n_folds": len(splits)}


def _check_folds(data: FitData) -> None:
    """Tell where a member, trained on all folds but one, would not learn a task.

    Raises
    ------
    ValueError
        If it would have no target of a task.

    Warns
    -----
    UserWarning
        If it would have no row of a class.
    """
    assert data.folds is not None
    in_one_fold: dict[str, list[Any]] = {}
    for k, task in enumerate(data.tasks):
        codes, weighs = data.targets.codes[k], data.weights[:, k] > 0
        rows = data.rows[weighs[data.rows]]
        folds = data.folds[rows]
        # A single one cannot be in two folds, whoever deals them out.
        if weighs.sum() > 1 and len(np.unique(folds)) < 2:
            raise ValueError(
                f"The 'cv' parameter has all targets of the task {task.name!r} in the "
                f"test set of fold {folds.max(initial=0)}, so that the network that is "
                "trained on the other folds has none. Shuffle the rows, or take a "
                "number of folds."
            )
        if codes is not None:
            several = np.flatnonzero(np.bincount(codes[weighs]) > 1)
            found = [c for c in several if len(np.unique(folds[codes[rows] == c])) < 2]
            if found:
                in_one_fold[task.name] = task.classes[found].tolist()
    if in_one_fold:
        warn(
            "The 'cv' parameter has all rows of some classes in the test set of one "
            "fold, so that networks that count in the prediction have not seen them: "
            f"{in_one_fold}.",
            finding=("classes of one fold", *in_one_fold),
        )


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


def task_groups(estimator: Any, data: FitData) -> list[tuple[int, ...]]:
    """List the tasks for which epochs and candidates are chosen together.

    A task and the one that it depends on are predicted by the same members: one's
    probability is a product with the other's.
    """
    dependencies = network_parameters(estimator)["task_dependencies"]
    linked = dependency_pairs(dependencies, data.tasks)
    return groups_by_targets(data.n_targets, linked)


def candidates(estimator: Any, n_rows: int, data: Any) -> list[Candidate]:
    """List the ways of regularisation that a fit compares; without folds it is one.

    Where some tasks have far fewer targets than others, members that learn these tasks
    alone are compared as well, regularised as for so many rows: what other tasks teach
    may not help.

    Parameters
    ----------
    estimator : estimator
        Its parameters are kept where they are numbers.
    n_rows : int
        Rows that the penalty counts.
    data : FitData
        The folds, and the targets of each task.
    """
    usual = _usual(n_rows)
    if data.n_folds is None:
        return [_with_given(estimator, usual)]
    strong = _STRONG if n_rows <= _FEW_ROWS else _STRONG_OF_MANY
    weak = replace(_WEAK, n_rows=n_rows)
    compared = [usual, weak, replace(strong, n_rows=n_rows)]
    if n_rows > _MOST_ROWS and isinstance(estimator.cv, str):
        compared = [usual]  # more would take too long
    if estimator.sharing != "single" and estimator.task_weighting == "uniform":
        for group in task_groups(estimator, data)[1:]:
            n_targets = int(data.n_targets[list(group)].max())
            compared += [
                replace(c, tasks=group, n_rows=n_targets)
                for c in (_usual(n_targets), _WEAK)
            ]
    return list(dict.fromkeys(_with_given(estimator, c) for c in compared))


def _usual(n_rows: int) -> Candidate:
    """Return what 'auto' is for so many rows."""
    penalty, decay, dropout = (by_rows(name, "auto", n_rows) for name in _NAMES)
    return Candidate(penalty, decay, dropout, n_rows=n_rows)


def _with_given(estimator: Any, candidate: Candidate) -> Candidate:
    """Replace by what the user has set."""
    given = {name: getattr(estimator, name) for name in _NAMES}
    numbers: dict[str, Any] = {
        name: float(value)
        for name, value in given.items()
        if not isinstance(value, str)
    }
    return replace(candidate, **numbers)


def weights_by_candidate(
    compared: Sequence[Candidate], task_weight: Sequence[float], n_tasks: int
) -> tuple[tuple[float, ...], ...]:
    """Say what each candidate multiplies the tasks' losses by; empty if all do alike.

    A candidate that learns some of the tasks gives them weights of mean one.
    """
    if all(candidate.tasks is None for candidate in compared):
        return ()
    of_all = np.asarray(task_weight or (1.0,) * n_tasks)
    rows = []
    for candidate in compared:
        row = of_all
        if candidate.tasks is not None:
            learned = list(candidate.tasks)
            row = np.zeros(n_tasks)
            row[learned] = of_all[learned] / of_all[learned].mean()
        rows.append(tuple(row.tolist()))
    return tuple(rows)


def weights_in_training(
    compared: Sequence[Candidate], n_folds: int | None, n_tasks: int
) -> tuple[tuple[float, ...], ...] | None:
    """Weigh the members that learn a task alike, for predictions while they train."""
    if n_folds is None or all(candidate.tasks is None for candidate in compared):
        return None
    learns = np.array(
        [[c.tasks is None or k in c.tasks for c in compared] for k in range(n_tasks)]
    )
    weights = np.repeat(learns / learns.sum(axis=1, keepdims=True), n_folds, axis=1)
    return tuple(map(tuple, (weights / n_folds).tolist()))


def weakest(estimator: Any, compared: list[Candidate]) -> int | None:
    """Find the candidate for which training may be lengthened, if there is one."""
    of_all = [c for c in compared if c.tasks is None]
    if estimator.max_iter != "auto" or len(of_all) == 1:
        return None
    return compared.index(min(of_all, key=_strength))


def _strength(candidate: Candidate) -> tuple[float, ...]:
    return tuple(getattr(candidate, name) for name in _NAMES)


def for_members(values: list[float], n_folds: int | None) -> Any:
    """Repeat a value of each candidate for its members; without folds it is one."""
    return values[0] if n_folds is None else tuple(np.repeat(values, n_folds).tolist())


def loss_table(
    choice: OutOfFold, compared: Sequence[Candidate], names: Sequence[str]
) -> pd.DataFrame:
    """Put the losses of all candidates into a data frame, an epoch in each row."""
    index = pd.Index(choice.epochs, name="epoch")
    return pd.DataFrame(
        np.array(choice.curves), index=index, columns=_labels(compared, names)
    )


def weight_table(
    choice: OutOfFold, compared: Sequence[Candidate], names: Sequence[str]
) -> pd.DataFrame:
    """Put the candidates' weights into a data frame, a task in each row."""
    index = pd.Index(names, name="task")
    return pd.DataFrame(choice.shares, index=index, columns=_labels(compared, names))


def _labels(compared: Sequence[Candidate], names: Sequence[str]) -> pd.MultiIndex:
    def learned(candidate: Candidate) -> str:
        tasks = candidate.tasks
        return "all" if tasks is None else ", ".join(names[k] for k in tasks)

    return pd.MultiIndex.from_tuples(
        [(*_strength(candidate), learned(candidate)) for candidate in compared],
        names=[*_NAMES, "tasks"],
    )
