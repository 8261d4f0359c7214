"""Multi-task learning on Census-Income: income and marital status in one model.

Searches the number of experts by cross-validation and sets the result beside models of
one task each. Where the census data is neither at hand nor reachable, the same job runs
on generated data, and says so.

    python examples/census_income.py            # all rows, about five minutes at most
    python examples/census_income.py --quick    # a part of the rows, under one minute
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import joblib
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import (
    fetch_census_income,
    get_data_home,
    make_related_tasks,
)
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

QUICK_ROWS = 10_000  # to train on
MANY_ROWS = 100_000  # from here on half the epochs do as well
FILES = {"train": "census-income.data.gz", "test": "census-income.test.gz"}


@dataclass
class Task:
    """The data of one run: (X, y) by part, and what to call it."""

    name: str
    message: str
    parts: dict[str, tuple[pd.DataFrame, pd.DataFrame]]


def joint_labels(y: pd.DataFrame) -> pd.Series:
    """Return each combination of labels a number, to stratify by all tasks at once."""
    return y.groupby(list(y.columns)).ngroup()


def split(X: pd.DataFrame, y: pd.DataFrame, share: float) -> list:
    """Split at random into 1 - share and share, stratified: X1, X2, y1, y2."""
    return train_test_split(
        X, y, test_size=share, stratify=joint_labels(y), random_state=0
    )


def split_in_three(X: pd.DataFrame, y: pd.DataFrame) -> dict:
    """Split 60/20/20."""
    X_train, X_rest, y_train, y_rest = split(X, y, 0.4)
    X_valid, X_test, y_valid, y_test = split(X_rest, y_rest, 0.5)
    return {
        "train": (X_train, y_train),
        "validation": (X_valid, y_valid),
        "test": (X_test, y_test),
    }


def load_halves() -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Load those of the two official halves that can be had."""
    halves = {}
    for half in FILES:
        try:
            halves[half] = fetch_census_income(half, return_X_y=True)
        except OSError:
            continue
    return halves


def load() -> Task:
    """Load the census data, or generate some in its place."""
    halves = load_halves()
    folder = get_data_home()
    if len(halves) == 2:
        X_valid, X_test, y_valid, y_test = split(*halves["test"], 0.5)
        parts = {
            "train": halves["train"],
            "validation": (X_valid, y_valid),
            "test": (X_test, y_test),
        }
        return Task(
            "census data",
            "Census-Income, both halves: the train half to train on, the test half "
            "split 1:1 into validation and test.",
            parts,
        )
    if halves:
        ((half, (X, y)),) = halves.items()
        (other,) = set(FILES) - {half}
        return Task(
            "census data",
            f"Census-Income, the {half} half alone, split 60/20/20 into train, "
            f"validation and test ({FILES[other]} is neither in {folder} nor "
            "reachable).",
            split_in_three(X, y),
        )
    X, y = make_related_tasks(
        n_samples=30_000,
        n_features=20,
        n_categorical=10,
        kind="classification",
        scale=0.5,
        n_sines=2,
        random_state=0,
    )
    return Task(
        "GENERATED data, not the census",
        f"GENERATED DATA, not the census: {FILES['test']} is neither in {folder} nor "
        f"reachable. Put it there (and {FILES['train']}, if you have it) to run on "
        "the census.",
        split_in_three(X, y),
    )


def score(model, X: pd.DataFrame, y: pd.DataFrame) -> list[float]:
    """Compute each task's ROC AUC."""
    probabilities = model.predict_proba(X)
    return [
        roc_auc_score(y[name], probability[:, 1])
        for name, probability in zip(y.columns, probabilities, strict=True)
    ]


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table under its title."""
    print(f"\n{title}\n{table.to_string(float_format='{:.4f}'.format)}", flush=True)


def search_num_experts(task: Task, quick: bool) -> GridSearchCV:
    """Choose the number of experts by cross-validation on the training rows."""
    X, y = task.parts["train"]
    grid = {"multitaskmmoeclassifier__num_experts": [2, 8] if quick else [2, 4, 8]}
    folds = StratifiedKFold(2 if quick else 3, shuffle=True, random_state=0)
    n_fits = folds.get_n_splits() * len(next(iter(grid.values())))
    max_iter = 3 if quick else 4 if len(X) > MANY_ROWS else 8
    pipeline = make_pipeline(
        make_tabular_preprocessor(),
        MultiTaskMMoEClassifier(random_state=0, max_iter=max_iter),
    )
    search = GridSearchCV(
        pipeline,
        grid,
        scoring=multi_task_scorer("roc_auc"),
        refit="mean",
        cv=list(folds.split(X, joint_labels(y))),
        n_jobs=min(n_fits, joblib.cpu_count()),
    )
    search.fit(X, y)
    results = pd.DataFrame(search.cv_results_).set_index("params")
    columns = {f"mean_test_{name}": name for name in [*y.columns, "mean"]}
    table = results[list(columns)].rename(columns=columns)
    table.index = pd.Index(
        [next(iter(params.values())) for params in results.index], name="num_experts"
    )
    show(f"Cross-validated ROC AUC by number of experts ({task.name})", table)
    return search


def compare(task: Task, search: GridSearchCV) -> pd.DataFrame:
    """Score the chosen model and single-task models on validation and test rows."""
    X, y = task.parts["train"]
    pipeline = search.best_estimator_
    rows = {}

    def add(name: str, model, seconds: float) -> None:
        scores = {"fit seconds": f"{seconds:.1f}"}
        for part in ("validation", "test"):
            for target, auc in zip(
                y.columns, score(model, *task.parts[part]), strict=True
            ):
                scores[f"{part} {target}"] = auc
        rows[name] = scores

    add("MMoE, one for both tasks", pipeline, search.refit_time_)
    for name, single in [
        ("same network, one for each", clone(pipeline)),
        (
            "HistGradientBoosting for each",
            HistGradientBoostingClassifier(random_state=0),
        ),
    ]:
        model = MultiOutputClassifier(single)
        start = time.perf_counter()
        model.fit(X, y)
        add(name, model, time.perf_counter() - start)
    return pd.DataFrame.from_dict(rows, orient="index")


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"train on {QUICK_ROWS} rows, for under one minute in all",
    )
    arguments = parser.parse_args()
    start = time.perf_counter()
    task = load()
    print(task.message)
    if arguments.quick:
        X, y = task.parts["train"]
        task.parts["train"] = tuple(split(X, y, QUICK_ROWS / len(X))[1::2])
        task.name += f", --quick: {QUICK_ROWS} rows to train on"
    print("Rows:", {name: len(y) for name, (_, y) in task.parts.items()}, flush=True)

    search = search_num_experts(task, arguments.quick)
    show(f"ROC AUC by task ({task.name})", compare(task, search))
    print(f"\nDone in {time.perf_counter() - start:.0f} seconds.")
    print(task.message)


if __name__ == "__main__":
    main()
