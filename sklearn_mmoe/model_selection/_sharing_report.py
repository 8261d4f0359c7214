"""Whether to share, and what with what: one experiment on the same folds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import pandas as pd
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length, indexable

from sklearn_mmoe._tasks.columns import check_targets, split_columns
from sklearn_mmoe._tasks.intervals import holds_intervals, to_pandas
from sklearn_mmoe.estimators._parameters import SHARING
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.model_selection._cross_val_predict import make_folds
from sklearn_mmoe.model_selection._sharing_findings import SharingReport, findings
from sklearn_mmoe.model_selection._sharing_fits import (
    SharingFit,
    find_estimator,
    fit_and_score,
)
from sklearn_mmoe.model_selection._task_types import with_task_types

__all__ = ["SharingReport", "sharing_report"]

# With more rows, networks that cross-validate would make a report last half an hour.
_MOST_ROWS_OF_ENSEMBLES = 2_000


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
        Clones of it are fitted; with more than 2,000 rows to train on, ``cv="auto"``
        counts as None, so that each is one network and the report takes minutes.
        Networks alone are compared, as with ``kernel_ridge=None``.
    X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them.
    y : array-like or data frame of shape (n_samples, n_outputs)
        Targets of two tasks or more, which may be missing.
    groups : array-like of shape (n_samples,) or None, default=None
        Groups of the rows, passed to `cv`; a number of folds ignores them, with a
        warning.
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
    prefix, last = find_estimator(estimator)
    sharing = _check_sharing(sharing)
    check_targets(y)
    X, y, groups = indexable(X, y, groups)
    targets = split_columns(y)
    if len(targets) < 2:
        raise ValueError("sharing_report needs two tasks or more; y has one.")
    check_consistent_length(X, targets.columns[0])
    scorings = None
    if scoring is not None:
        scorings = multi_task_scorer(scoring)._by_task(targets.names)
    estimator = with_task_types(estimator, targets)
    folds = make_folds(cv, targets, estimator, X, y, groups=groups)
    most_rows = max(len(train) for train, _ in folds)
    if isinstance(last.cv, str) and most_rows > _MOST_ROWS_OF_ENSEMBLES:
        estimator = clone(estimator).set_params(**{f"{prefix}cv": None})
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
        delayed(fit_and_score)(
            clone(estimator), prefix, X, frame, plan, folds[fold], seed, scorings
        )
        for plan, fold, seed in jobs
    )
    found = list(_watched(results, len(jobs), verbose))
    fits = [
        SharingFit(*plan, fold, seeds.index(seed), *result)
        for (plan, fold, seed), result in zip(jobs, found, strict=True)
    ]
    return findings(fits, targets.names, sharing, reference, folds)


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
            name: to_pandas(column, observed)
            if holds_intervals(column)
            else pd.Series(column).where(observed)
            for name, column, observed in zip(
                targets.names, targets.columns, targets.observed, strict=True
            )
        }
    )


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
