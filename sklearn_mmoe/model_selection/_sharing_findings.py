"""What a report on sharing says: gains and losses with their intervals, and advice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from sklearn_mmoe.metrics._scoring import mean_of_defined
from sklearn_mmoe.model_selection._sharing_fits import SharingFit

__all__ = ["SharingReport", "findings"]

_LEVEL = 0.95  # of the intervals


@dataclass(frozen=True, repr=False)
class SharingReport:
    """What :func:`sharing_report` has found.

    Printed, it is the recommendation and a line for each task, of the best way of
    sharing; the attributes have all the rest.

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
        'n_parameters', the number of weights, of an ensemble those of one member.
    help : data frame
        For each pair of tasks (the index: 'helper', 'task') the 'gain' of a task from
        the helper's being trained with it, beside all others, 'low', 'high' and
        'verdict' as above. Empty if that was not asked for.
    gate_similarity : data frame of shape (n_tasks, n_tasks) or None
        Mean cosine, over the rows of all test folds, of the gates' weights of two
        tasks, from 0 (other experts) to 1 (the same mixture); NaN where a task of few
        targets has members of its own in the ensemble; None if no MMoE was fitted.
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

    def __repr__(self) -> str:
        best = _best(self.overall) or self.overall.index.drop("single")[0]
        table = pd.DataFrame(
            {
                "single": self.by_task["mean"].xs("single", level="sharing"),
                best: self.by_task["mean"].xs(best, level="sharing"),
            }
        )
        for name in ("gain", "low", "high", "verdict"):
            table[name] = self.by_task[name].xs(best, level="sharing")
        lines = table.reset_index().to_string(index=False, float_format="{:.4f}".format)
        return (
            f"{self.recommendation}\n\n"
            f"sharing={best!r} against 'single': mean scores, and the gain with its "
            f"{_LEVEL:.0%} interval\n{lines}\n\n"
            "More: .by_task and .overall (all ways of sharing), .help (which task "
            "helps which), .gate_similarity, .scores (each fold)"
        )


def findings(
    fits: list[SharingFit],
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


def _by_fold(fits: list[SharingFit], n_folds: int) -> np.ndarray:
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
    fits: list[SharingFit],
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


def _similarity(fits: list[SharingFit], names: list[str]) -> pd.DataFrame | None:
    cosines = [fit.cosines for fit in fits if fit.cosines is not None]
    if not cosines:
        return None
    with np.errstate(invalid="ignore"):  # 0 / 0 where no fit has one
        mean = np.nansum(cosines, axis=0) / np.isfinite(cosines).sum(axis=0)
    return pd.DataFrame(mean, index=names, columns=names)


def _best(overall: pd.DataFrame) -> str | None:
    """Return the way of sharing that gains most; None where no score is defined."""
    gains = overall["gain"].drop("single").astype(float).dropna()
    return None if gains.empty else str(gains.idxmax())


def _recommendation(by_task: pd.DataFrame, overall: pd.DataFrame) -> str:
    """Say in one sentence whether to share, and how."""
    best = _best(overall)
    if best is None:
        return "The scores are undefined on these folds, so nothing can be said."
    gain_in_mean, low, high = (
        float(overall[name].loc[best]) for name in ("gain", "low", "high")
    )
    figures = f"{gain_in_mean:+.4f}, {low:+.4f} to {high:+.4f}"
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
