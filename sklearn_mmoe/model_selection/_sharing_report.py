"""Whether to share, and what with what: one experiment on the same folds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length, indexable

from sklearn_mmoe._tasks.columns import split_columns, task_index
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE
from sklearn_mmoe.estimators._parameters import SHARING
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.metrics._scoring import (
    DEFAULT_SCORING,
    TaskScoring,
    mean_of_defined,
)
from sklearn_mmoe.model_selection._cross_val_predict import _splitter

__all__ = ["SharingReport", "sharing_report"]

_LEVEL = 0.95  # of the intervals


@dataclass(frozen=True)
class SharingReport:
    """What :func:`sharing_report` has found.

    Parameters
    ----------
    scores : data frame of shape (n_scores, 5)
        Every score: 'sharing', 'task', 'fold', 'seed', 'score'.
    by_task : data frame
        For each way of sharing and each task (the index), 'mean' and 'std' of the
        scores over folds and seeds; and against 'single' the 'gain', its 95 % interval
        from 'low' to 'high', and the 'verdict': 'gains', 'loses' (negative transfer)
        or 'no difference' that these folds can tell.
    overall : data frame
        The same of the mean over tasks, for each way of sharing (the index), and
        'n_parameters', the number of weights.
    help : data frame
        For each pair of tasks (the index: 'helper', 'task') the 'gain' of a task from
        the helper's being trained with it, beside all others, 'low', 'high' and
        'verdict' as above. Empty if that was not asked for.
    gate_similarity : data frame of shape (n_tasks, n_tasks) or None
        Mean cosine, over the rows of all test folds, of the gates' weights of two
        tasks, from 0 (other experts) to 1 (the same mixture); None if no MMoE was
        fitted.
    recommendation : str
        What to do, in one sentence.

    See Also
    --------
    sklearn_mmoe.inspection.SharingReportDisplay : Draws it.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.model_selection import sharing_report
    >>> X, y = make_related_tasks(n_samples=200, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=1)
    >>> report = sharing_report(
    ...     reg, X, y, cv=2, sharing=["single", "mmoe"], leave_one_out=False
    ... )
    >>> report.by_task["verdict"].loc["single"].to_list()
    ['baseline', 'baseline']
    """

    scores: pd.DataFrame
    by_task: pd.DataFrame
    overall: pd.DataFrame
    help: pd.DataFrame
    gate_similarity: pd.DataFrame | None
    recommendation: str

    def __str__(self) -> str:
        columns = ["mean", "gain", "low", "high"]
        table = self.by_task[columns].round(4).assign(verdict=self.by_task["verdict"])
        return f"{self.recommendation}\n\n{table.to_string()}"


@validate_params(
    {
        "estimator": "no_validation",
        "cv": "no_validation",
        "scoring": "no_validation",
        "sharing": ["array-like"],
        "leave_one_out": ["boolean"],
        "n_seeds": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=False,
)
def sharing_report(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    cv: Any = None,
    scoring: Any = None,
    sharing: Sequence[str] = ("single", "shared_bottom", "mmoe", "ple"),
    leave_one_out: bool = True,
    n_seeds: int = 1,
    random_state: Any = 0,
    n_jobs: int | None = None,
    verbose: int | bool = 0,
) -> SharingReport:
    """Compare ways of sharing with separate networks, on the same folds.

    Every network has as many weights as that of `estimator` ('mmoe', if `estimator`
    does not share). Then each task is left out in turn, to see which of the others it
    helps.

    Parameters
    ----------
    estimator : estimator or Pipeline
        One of ours, or a Pipeline that ends in one, with the settings to compare with.
        Clones of it are fitted.
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them.
    y : array-like or data frame of shape (n_samples, n_outputs)
        Targets of two tasks or more, which may be missing.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, passed to `cv`.
    cv : int, splitter, iterable or None, default=None
        How to split, as in :func:`cross_val_predict`; None makes 5 folds.
    scoring : str, callable, mapping of tasks to these, or None, default=None
        As in :func:`~sklearn_mmoe.metrics.multi_task_scorer`; None is 'roc_auc_ovr'
        for classifications and 'r2' for regressions.
    sharing : sequence of str, default=('single', 'shared_bottom', 'mmoe', 'ple')
        The ways of sharing to compare, 'single' among them.
    leave_one_out : bool, default=True
        Whether to leave out each task in turn. This takes one more fit for each task
        and fold.
    n_seeds : int, default=1
        Number of fits of each network on each fold, with a seed each.
    random_state : int, RandomState instance or None, default=0
        Seed from which the seeds of the fits are drawn.
    n_jobs : int or None, default=None
        Number of fits at the same time, as in joblib.
    verbose : int or bool, default=0
        Whether to print how many fits are done, and how long the others will take.

    Returns
    -------
    SharingReport
        Scores, gains with their intervals, similarities, and a recommendation.

    Raises
    ------
    TypeError
        If `estimator` is not one of ours, nor a Pipeline that ends in one.
    ValueError
        If y has one task only, or `sharing` lacks 'single' or names none of our ways.

    See Also
    --------
    sklearn_mmoe.inspection.SharingReportDisplay : Draws it.

    Notes
    -----
    The interval of a gain is that of the mean of paired differences by fold (the mean
    over seeds of each), by the corrected t-test of Nadeau and Bengio (2003) [1]_:
    folds share most of their training rows, so their scores vary less than those of
    independent data would. 'No difference' means that these rows cannot show one, not
    that there is none. The best of several ways of sharing looks better than it is:
    check a small gain on further data.

    References
    ----------
    .. [1] Nadeau, C., & Bengio, Y. (2003). "Inference for the Generalization Error".
       Machine Learning, 52, 239-281. https://doi.org/10.1023/A:1024068626366

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.model_selection import sharing_report
    >>> X, y = make_related_tasks(n_samples=200, n_features=5, random_state=0)
    >>> report = sharing_report(
    ...     MultiTaskMMoERegressor(num_experts=2, max_iter=2),
    ...     X,
    ...     y,
    ...     cv=2,
    ...     sharing=["single", "mmoe"],
    ... )
    >>> list(report.overall.index)
    ['single', 'mmoe']
    >>> report.by_task.loc["mmoe"].index.to_list()
    ['task_0', 'task_1']
    """
    prefix, last = _inner(estimator)
    sharing = _check_sharing(sharing)
    X, y, groups = indexable(X, y, groups)
    targets = split_columns(y)
    if len(targets) < 2:
        raise ValueError("sharing_report needs two tasks or more; y has one.")
    check_consistent_length(X, targets.columns[0])
    scorings = None
    if scoring is not None:
        scorings = multi_task_scorer(scoring)._by_task(targets.names)
    folds = [*_splitter(cv, targets).split(X, y, groups)]
    rng = check_random_state(random_state)
    seeds = [int(seed) for seed in rng.randint(2**31 - 1, size=n_seeds)]
    reference = "mmoe" if last.sharing == "single" else last.sharing
    size = last.match_parameters or reference
    plans = list(_plans(sharing, reference, size, len(targets) if leave_one_out else 0))
    frame = _as_frame(targets)
    jobs = [
        (plan, fold, seed)
        for plan in plans
        for fold in range(len(folds))
        for seed in seeds
    ]
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_fit_and_score)(
            clone(estimator), prefix, X, frame, plan, folds[fold], seed, scorings
        )
        for plan, fold, seed in jobs
    )
    found = list(_watched(results, len(jobs), verbose))
    fits = [
        _Fit(*plan, fold, seeds.index(seed), *result)
        for (plan, fold, seed), result in zip(jobs, found, strict=True)
    ]
    return _report(fits, targets.names, sharing, reference, folds)


@dataclass(frozen=True)
class _Fit:
    """One fit: what was fitted, and what came out."""

    sharing: str
    size: Any
    left_out: int | None
    fold: int
    seed: int
    scores: list[float]
    n_parameters: int
    cosines: np.ndarray | None


def _inner(estimator: Any) -> tuple[str, _BaseMultiTaskMMoE]:
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


def _check_sharing(sharing: Any) -> list[str]:
    sharing = list(dict.fromkeys(sharing))
    unknown = [name for name in sharing if name not in SHARING]
    if unknown or "single" not in sharing or len(sharing) < 2:
        raise ValueError(
            "The 'sharing' parameter must list 'single' and at least one of the other "
            f"ways {[name for name in SHARING if name != 'single']}, got {sharing}."
        )
    return sharing


def _plans(
    sharing: Sequence[str], reference: str, size: Any, n_left_out: int
) -> Iterator[tuple[str, Any, int | None]]:
    """List what to fit: the way of sharing, what size to match, the task left out."""
    for name in sharing:
        yield name, size, None
    if not n_left_out:
        return
    if reference not in sharing:
        yield reference, size, None
    for task in range(n_left_out):
        yield reference, size, task


def _as_frame(targets: Any) -> pd.DataFrame:
    """Make a data frame of all targets, from which tasks can be left out."""
    return pd.DataFrame(
        {
            name: pd.Series(column).where(observed)
            for name, column, observed in zip(
                targets.names, targets.columns, targets.observed, strict=True
            )
        }
    )


def _fit_and_score(
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
    settings = {"sharing": sharing, "match_parameters": size, "random_state": seed}
    if left_out is not None:
        # The others keep the widths that they have beside it.
        settings["match_parameters"] = None if size == sharing else size
        settings |= _without(_inner(estimator)[1], left_out, names)
    estimator.set_params(**{prefix + name: value for name, value in settings.items()})
    train, test = fold
    y = y.iloc[:, kept]
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
    return scores, _inner(estimator)[1].n_parameters_, cosines


def _without(last: Any, left_out: int, names: list[str]) -> dict[str, Any]:
    """Take a task out of the parameters that hold something for each."""
    settings: dict[str, Any] = {}
    for name in ("loss", "task_types", "class_weight", "task_weight"):
        value = getattr(last, name, None)
        if isinstance(value, list | tuple | np.ndarray):
            settings[name] = [v for k, v in enumerate(value) if k != left_out]
        elif name != "class_weight" and isinstance(value, Mapping):
            settings[name] = {k: v for k, v in value.items() if k != names[left_out]}
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
    """Average the cosine of each two tasks' gates over rows."""
    from sklearn_mmoe.inspection import gate_weights

    weights = gate_weights(estimator, X)  # (n_samples, n_tasks, n_experts)
    weights = weights / np.linalg.norm(weights, axis=2, keepdims=True)
    return np.einsum("ski,sli->kl", weights, weights) / len(weights)


def _watched(results: Any, n_jobs: int, verbose: int | bool) -> Iterator[Any]:
    """Hand results on, and tell how many there are and how long the rest will take."""
    start = time.perf_counter()
    told = start
    for n_done, result in enumerate(results, 1):
        now = time.perf_counter()
        # Not a line for each of many short fits.
        if verbose and (n_done == n_jobs or now - told > 5 or n_done == 1):
            left = (now - start) * (n_jobs - n_done) / n_done
            print(
                f"{n_done} of {n_jobs} fits, {now - start:.0f} s, {left:.0f} s left",
                flush=True,
            )
            told = now
        yield result


def _report(
    fits: list[_Fit],
    names: list[str],
    sharing: list[str],
    reference: str,
    folds: list[tuple[np.ndarray, np.ndarray]],
) -> SharingReport:
    """Put the scores of all fits together."""
    shares = [len(test) / len(train) for train, test in folds]
    inflation = float(np.mean(shares))
    whole = [fit for fit in fits if fit.left_out is None]
    scores = pd.DataFrame(
        [
            (fit.sharing, names[k], fit.fold, fit.seed, score)
            for fit in whole
            for k, score in enumerate(fit.scores)
            if fit.sharing in sharing
        ],
        columns=["sharing", "task", "fold", "seed", "score"],
    )
    by_fold = {
        name: _by_fold([fit for fit in whole if fit.sharing == name], len(folds))
        for name in dict.fromkeys(fit.sharing for fit in whole)
    }
    rows, overall = [], []
    for name in sharing:
        differences = by_fold[name] - by_fold["single"]  # (n_folds, n_tasks)
        means = _row_means(by_fold[name])
        sizes = {fit.n_parameters for fit in whole if fit.sharing == name}
        overall.append(
            {
                "sharing": name,
                "n_parameters": max(sizes),
                "mean": mean_of_defined(means.tolist()),
                "std": _std(means),
                **_gain(_row_means(differences), inflation, name == "single"),
            }
        )
        of_way = scores[scores["sharing"] == name]
        for k, task in enumerate(names):
            of_task = of_way.loc[of_way["task"] == task, "score"].to_numpy()
            rows.append(
                {
                    "sharing": name,
                    "task": task,
                    "mean": mean_of_defined(of_task.tolist()),
                    "std": _std(of_task),
                    **_gain(differences[:, k], inflation, name == "single"),
                }
            )
    by_task = pd.DataFrame(rows).set_index(["sharing", "task"])
    in_all = pd.DataFrame(overall).set_index("sharing")
    return SharingReport(
        scores,
        by_task,
        in_all,
        _help(fits, names, by_fold.get(reference), len(folds), inflation),
        _similarity(whole, names),
        _recommendation(by_task, in_all),
    )


def _by_fold(fits: list[_Fit], n_folds: int) -> np.ndarray:
    """Average over seeds: scores of shape (n_folds, n_tasks)."""
    return np.array(
        [
            np.mean([fit.scores for fit in fits if fit.fold == fold], axis=0)
            for fold in range(n_folds)
        ]
    )


def _row_means(values: np.ndarray) -> np.ndarray:
    """Average each fold's values over the tasks that have one."""
    n_defined = (~np.isnan(values)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis=1) / np.where(n_defined, n_defined, np.nan)


def _std(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")


def _gain(
    differences: np.ndarray, inflation: float, is_baseline: bool = False
) -> dict[str, Any]:
    """Compute the mean of paired differences, its interval, and what that says.

    `inflation` is the number of test rows for each training row, by which the variance
    of the mean is larger than that of independent differences.
    """
    if is_baseline:
        return {"gain": 0.0, "low": 0.0, "high": 0.0, "verdict": "baseline"}
    defined = differences[~np.isnan(differences)]
    n = len(defined)
    if n == 0:
        nothing = float("nan")
        return {"gain": nothing, "low": nothing, "high": nothing, "verdict": "unknown"}
    mean, half = float(np.mean(defined)), float("inf")
    if n > 1:
        deviation = np.std(defined, ddof=1) * np.sqrt(1 / n + inflation)
        half = float(stats.t.ppf(0.5 + _LEVEL / 2, n - 1) * deviation)
    low, high = mean - half, mean + half
    verdict = "gains" if low > 0 else "loses" if high < 0 else "no difference"
    return {"gain": mean, "low": low, "high": high, "verdict": verdict}


def _help(
    fits: list[_Fit],
    names: list[str],
    beside_all: np.ndarray | None,
    n_folds: int,
    inflation: float,
) -> pd.DataFrame:
    """Compare each task's scores with and without each of the others."""
    rows = []
    for helper, _ in enumerate(names):
        without = [fit for fit in fits if fit.left_out == helper]
        if not without or beside_all is None:
            continue
        differences = beside_all - _by_fold(without, n_folds)
        rows += [
            {
                "helper": names[helper],
                "task": task,
                **_gain(differences[:, k], inflation),
            }
            for k, task in enumerate(names)
            if k != helper
        ]
    columns = ["helper", "task", "gain", "low", "high", "verdict"]
    return pd.DataFrame(rows, columns=columns).set_index(["helper", "task"])


def _similarity(fits: list[_Fit], names: list[str]) -> pd.DataFrame | None:
    cosines = [fit.cosines for fit in fits if fit.cosines is not None]
    if not cosines:
        return None
    return pd.DataFrame(np.mean(cosines, axis=0), index=names, columns=names)


def _recommendation(by_task: pd.DataFrame, overall: pd.DataFrame) -> str:
    """Say in one sentence whether to share, and how."""
    shared = overall.drop(index="single")
    gains = shared["gain"].to_numpy(dtype=float)
    if np.isnan(gains).all():
        return "The scores are undefined on these folds, so nothing can be said."
    place = int(np.nanargmax(gains))
    best = shared.index[place]
    low, high = (float(shared[name].iloc[place]) for name in ("low", "high"))
    figures = f"{gains[place]:+.4f}, {low:+.4f} to {high:+.4f}"
    of_best = by_task.xs(best, level="sharing")["verdict"].to_dict()
    gain, lose = (
        [str(task) for task, verdict in of_best.items() if verdict == what]
        for what in ("gains", "loses")
    )
    against = "against separate networks of the same size"
    if low > 0:
        but = f"; train separately what loses by it: {_listed(lose)}" if lose else ""
        return (
            f"Share, by sharing={best!r}: the mean over tasks gains {against} "
            f"({figures}){but}."
        )
    if high < 0:
        return (
            f"Do not share: even the best of these ways, sharing={best!r}, loses "
            f"{against} ({figures} in the mean over tasks)."
        )
    text = (
        "Sharing makes no difference in the mean over tasks that these folds can tell "
        f"(best is sharing={best!r}, {figures})"
    )
    if lose:
        but = f"{_listed(gain)} {_does('gain', gain)} and " if gain else ""
        return (
            f"{text}, but {but}{_listed(lose)} {_does('lose', lose)}: train separately "
            "what loses."
        )
    if gain:
        return (
            f"{text}, but {_listed(gain)} {_does('gain', gain)} and no task clearly "
            "loses: sharing does no harm."
        )
    return f"{text}: choose by cost and convenience."


def _does(verb: str, names: Sequence[str]) -> str:
    return f"{verb}s" if len(names) == 1 else verb


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return (
        quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
    )
