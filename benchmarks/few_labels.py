"""A task of few labels beside one of many: is it worth learning them together.

A share of the labels of one task is left, 5 %, 20 % or all of them; the other tasks
keep theirs. That task is learned in one shared model, by default and with
``task_weight='uniform'``, by the same estimator alone on the rows that have its label,
and by LightGBM or a random forest on these. The differences are paired: a split, its
thinned labels and its test rows are the same for all. What has been run stands in a CSV
file, a line for each of them, and is not run again.

    python benchmarks/few_labels.py                    # run all that is at hand
    python benchmarks/few_labels.py --cases census_income related_0.9 --splits 100
    python benchmarks/few_labels.py --summary          # print, run nothing

Cases: Census-Income, 20,000 rows, each task of both groups of the MMoE paper thinned in
turn; generated regressions whose weights have a cosine of 0, 0.5 and 0.9; other tables
with their first target thinned; Tox21, whose assays are missing as they are, where the
figures are means over all twelve. The error of a task is relative to knowing no more
than its training labels, as in ``tables.py``: 1 is knowing nothing.

What the estimators do with few labels was chosen with splits 0 to 9, 100 and 101:
figures are to be quoted from others, and the default is 200 to 204. Data are looked
for, not downloaded (see ``table_data.py``).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from table_contenders import CONTENDERS, Contender, Ours, make_contender
from table_data import Kinds, Table, make_table, tables_at_hand
from tables import error_of, task_scores

from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks

SHARES = (0.05, 0.2, 1.0)
SPLITS = (200, 201, 202, 203, 204)
CENSUS_ROWS = 20_000
FEWEST = 20  # labels that are left at least
OURS = ("shared", "shared, uniform", "alone")
KEY = ["case", "share", "split", "contender"]
COLUMNS = [*KEY, "labels", "error", "auc", "seconds"]
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A table, the task whose labels are thinned, and who else may learn it.

    A `task` of None thins nothing: all tasks are scored, as they are.
    """

    load: Callable[[int], Table]
    task: str | None
    reference: str

    @property
    def shares(self) -> tuple[float, ...]:
        return SHARES if self.task is not None else (1.0,)


def census(targets: tuple[str, str], seed: int) -> Table:
    """Draw rows of the test half of Census-Income."""
    X, y = fetch_census_income(
        "test", return_X_y=True, targets=targets, download_if_missing=False
    )
    rows = np.random.default_rng(seed).permutation(len(X))[:CENSUS_ROWS]
    return make_table(X.iloc[rows], y.iloc[rows], list(y))


def related(correlation: float, seed: int) -> Table:
    """Generate two regressions whose weights have a given cosine."""
    X, y = make_related_tasks(5000, 20, correlation=correlation, random_state=seed)
    return make_table(
        pd.DataFrame(X).add_prefix("x_"), pd.DataFrame(y).add_prefix("task_"), []
    )


def cases_at_hand() -> dict[str, Case]:
    """Return the cases whose data are at hand, by name."""
    found = {
        f"related_{correlation}": Case(
            partial(related, correlation), "task_0", "RandomForest"
        )
        for correlation in (0.0, 0.5, 0.9)
    }
    tables = tables_at_hand()
    if any(name.startswith("census") for name in tables):
        groups = {
            "census_income": ("income", "never_married"),
            "census_married": ("never_married", "income"),
            "census_college": ("college", "never_married"),
            "census_married_2": ("never_married", "college"),
        }
        for name, targets in groups.items():
            found[name] = Case(partial(census, targets), targets[0], "LightGBM")
    for name, load in tables.items():
        if name == "tox21":
            found[name] = Case(load, None, "RandomForest")
        elif load.keywords == {} and not name.startswith("census"):
            first = next(iter(load(0).kinds))
            found[name] = Case(load, first, "RandomForest")
    return found


def thinned(table: Table, case: Case, share: float, seed: int) -> pd.DataFrame:
    """Return the targets, of which a share of one task's labels is left."""
    y = table.y.copy()
    if case.task is None or share == 1:
        return y
    labelled = np.flatnonzero(y[case.task].notna())
    codes = y[case.task].to_numpy()[labelled]
    n_left = max(FEWEST, round(share * len(labelled)))
    _, counts = np.unique(codes, return_counts=True)
    stratify = codes if table.kinds[case.task] and counts.min() > 1 else None
    kept, _ = train_test_split(
        labelled, train_size=n_left, random_state=seed, stratify=stratify
    )
    y.loc[np.setdiff1d(np.arange(len(y)), kept), case.task] = np.nan
    return y


class Variant(Ours):
    """Our default pipeline, with some parameters set."""

    def __init__(self, one_by_one: bool = False, **parameters: Any) -> None:
        super().__init__(one_by_one)
        self.parameters = parameters

    def pipeline(self, kinds: Kinds) -> Any:
        """Make the pipeline."""
        pipeline = super().pipeline(kinds)
        pipeline[-1].set_params(**self.parameters)
        return pipeline


def make_model(name: str, n_jobs: int, **parameters: Any) -> Contender:
    """Make a contender by its name in this benchmark.

    The parameters are set in all of ours.
    """
    if name not in OURS:
        return make_contender(name, n_jobs)
    make_contender("MMoE", n_jobs)  # loads its libraries, which no fit is to pay for
    if name == "shared, uniform":
        parameters["task_weight"] = "uniform"
    return Variant(name == "alone", **parameters)


def run_one(
    case: Case, share: float, seed: int, name: str, n_jobs: int, **parameters: Any
) -> dict:
    """Fit and test one contender on one split; the parameters are set in ours."""
    table = case.load(seed)
    train, test = train_test_split(
        np.arange(len(table.X)), test_size=0.3, random_state=seed
    )
    rows = table.X.iloc[train].reset_index(drop=True)
    train_part = Table(rows, table.y.iloc[train].reset_index(drop=True), table.kinds)
    y = thinned(train_part, case, share, seed)
    scored = list(table.kinds) if case.task is None else [case.task]
    learned = list(table.kinds) if name.startswith("shared") else scored
    kinds = {task: table.kinds[task] for task in learned}
    known = y[learned].notna().any(axis=1).to_numpy()
    model = make_model(name, n_jobs, **parameters)
    start = time.perf_counter()
    model.fit(rows[known], y.loc[known, learned], kinds)
    seconds = time.perf_counter() - start
    predictions = dict(zip(learned, model.predict(table.X.iloc[test]), strict=True))
    scores = pd.DataFrame(
        task_scores(
            y[task].to_numpy(),
            table.y[task].to_numpy()[test],
            predictions[task],
            table.kinds[task],
        )
        for task in scored
    )
    return {
        "labels": int(y[scored].notna().sum().mean()),
        "error": error_of(scores),
        "auc": scores["auc"].mean(),
        "seconds": seconds,
    }


def read_results(path: Path) -> pd.DataFrame:
    """Read the lines that have been written; none where there is no file."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def run(arguments: argparse.Namespace, cases: dict[str, Case]) -> None:
    """Run what the file lacks."""
    results = read_results(arguments.output)
    done = set(results[KEY].itertuples(index=False, name=None))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    jobs = [
        (name, case, share, seed, contender)
        for seed in arguments.splits
        for name, case in cases.items()
        for share in case.shares
        for contender in arguments.contenders
        # With all labels there is nothing to count otherwise.
        if share in arguments.shares and (share < 1 or contender != "shared, uniform")
    ]
    for name, case, share, seed, contender in jobs:
        contender = case.reference if contender == "reference" else contender
        key = (name, share, seed, contender)
        if key in done:
            continue
        row = dict(zip(KEY, key, strict=True))
        parameters = {"cv": None} if arguments.no_cv else {}
        row |= run_one(case, share, seed, contender, arguments.n_jobs, **parameters)
        new = not arguments.output.exists()
        with arguments.output.open("a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print(
            f"{name}, {row['labels']} labels, split {seed}, {contender}: "
            f"error {row['error']:.4f}, AUC {row['auc']:.4f}, {row['seconds']:.1f} s",
            flush=True,
        )


def differences(results: pd.DataFrame, figure: str) -> pd.DataFrame:
    """Compare sharing with the others, paired by split: mean and standard error."""
    results = results.replace({"contender": dict.fromkeys(CONTENDERS, "reference")})
    wide = results.pivot(index=KEY[:3], columns="contender", values=figure)
    groups = wide.groupby(level=["case", "share"], sort=False)
    table = groups.mean()
    table.insert(0, "splits", groups.size())
    for ours in OURS[:2]:
        for other in ("alone", "reference"):
            if not {ours, other} <= set(wide):
                continue
            gain = (wide[ours] - wide[other]).groupby(
                level=["case", "share"], sort=False
            )
            table[f"{ours} - {other}"] = [
                f"{mean:+.4f} ± {error:.4f}"
                for mean, error in zip(
                    gain.mean(), gain.std() / np.sqrt(gain.count()), strict=True
                )
            ]
    return table


def report(results: pd.DataFrame) -> None:
    """Print the paired differences, and their means over the cases by share."""
    with pd.option_context("display.width", 200, "display.max_columns", None):
        errors = differences(results, "error")
        print("\nError of the thinned task; 1 is knowing nothing, less is better")
        print(errors.to_string(float_format="{:.4f}".format))
        run = [name for name in (*OURS, "reference") if name in errors]
        means = errors.groupby(level="share")[run].mean()
        print("\nMean over the cases, by share of the labels left")
        print(means.to_string(float_format="{:.4f}".format))
        labels = results[results["auc"].notna()]
        if len(labels):
            print("\nAUC of the thinned task, where it is a classification")
            aucs = differences(labels, "auc")
            print(aucs.to_string(float_format="{:.4f}".format))


def main() -> int:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", metavar="NAME")
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    parser.add_argument("--splits", nargs="+", type=int, default=list(SPLITS))
    all_contenders = [*OURS, "reference"]
    parser.add_argument(
        "--contenders", nargs="+", choices=all_contenders, default=all_contenders
    )
    parser.add_argument("--n-jobs", type=int, default=1, help="threads of a contender")
    default = HERE / "results" / "few_labels.csv"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument(
        "--no-cv",
        action="store_true",
        help="ours without cross-validation in a fit; name another output",
    )
    parser.add_argument("--summary", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    at_hand = cases_at_hand()
    names = arguments.cases or list(at_hand)
    absent = sorted(set(names) - set(at_hand))
    if absent:
        parser.error(f"no cases {absent}; there are {list(at_hand)}")
    if not arguments.summary:
        run(arguments, {name: at_hand[name] for name in names})
    results = read_results(arguments.output)
    results = results[
        results["case"].isin(names) & results["split"].isin(arguments.splits)
    ]
    if results.empty:
        print("Nothing has been run yet.")
        return 1
    report(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
