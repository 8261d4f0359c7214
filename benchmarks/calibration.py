"""Are probabilities to be believed: ours beside LightGBM's, task by task.

Census-Income, of which 15,000 rows are learned from and 20,000 others tested on, and
Tox21, of which seven tenths are learned from. Every contender has its defaults. What
has been run stands in a CSV file, a line for each table, split, contender and task, and
is not run again.

    python benchmarks/calibration.py                     # run what is missing, print
    python benchmarks/calibration.py --tables census --splits 1 2 3
    python benchmarks/calibration.py --summary           # print, run nothing

'MMoE' is our default pipeline, 'MMoE, temperature' the same with
``calibration="temperature"``, 'MMoE, penalty' with ``feature_penalty=0.25``, which is
the default's for 150 rows, and so without cross-validation, 'LightGBM' one model for
each task that stops early on a fifth of the rows and is then fitted to all, and
'LightGBM, 100 trees' one for each task as it is. The expected calibration error (ECE)
has ten bins of as many rows each, since most probabilities are small; the log-loss is a
proper score, and says besides how much a model knows. Means are over the splits, and
differences are paired by split, with their standard errors.

Our defaults were chosen with seed 0, and those above 2,000 rows also with a fold of
seed 4100 of Tox21: other splits are the defaults here. Needs
``pip install "sklearn-mmoe[benchmark]"``. Data are looked for, not downloaded (see
``table_data.py``).
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from few_labels import Variant
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from table_contenders import Contender, Sklearn, before, make_contender
from table_data import Table, census, tables_at_hand

from sklearn_mmoe.metrics import expected_calibration_error

SPLITS = (8101, 8102, 8103, 8104)
CENSUS_ROWS = (15_000, 20_000)  # to learn from, to test on
SHARE_OF_OTHERS = 0.7
REFERENCE = "LightGBM"
SCORES = ["ece", "log_loss"]
KEY = ["table", "split", "contender"]
COLUMNS = [*KEY, "task", "rows", "positive", *SCORES, "fit_seconds"]
HERE = Path(__file__).parent


def plain_lightgbm() -> Contender:
    """Make one LightGBM for each task, with all its defaults."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = LGBMClassifier(random_state=0, n_jobs=1, verbose=-1)
    return Sklearn(before(HistGradientBoostingClassifier()), None, model)


def make_one(name: str) -> Contender:
    """Make a contender by its name in this benchmark."""
    if name == "LightGBM, 100 trees":
        return plain_lightgbm()
    if name in VARIANTS:
        make_contender("MMoE", 1)  # loads its libraries, which no fit is to pay for
        return Variant(**VARIANTS[name])
    return make_contender(name, 1)


VARIANTS: dict[str, dict[str, Any]] = {
    "MMoE, temperature": {"calibration": "temperature"},
    "MMoE, penalty": {"feature_penalty": 0.25},
}
CONTENDERS = ("MMoE", *VARIANTS, REFERENCE, "LightGBM, 100 trees")


def tables() -> dict[str, tuple[Callable[[int], Table], float | int]]:
    """Return the tables at hand, and how many rows, or what share, to learn from."""
    at_hand = tables_at_hand()
    found: dict[str, Any] = {}
    if any(name.startswith("census") for name in at_hand):
        found["census"] = partial(census, sum(CENSUS_ROWS)), CENSUS_ROWS[0]
    if "tox21" in at_hand:
        found["tox21"] = at_hand["tox21"], SHARE_OF_OTHERS
    return found


def scores_of(y: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Score the probabilities of a task's second class, where its label is known."""
    known = ~np.isnan(y)
    y, positive = y[known].astype(int), probabilities[known, 1]
    return {
        "rows": len(y),
        "positive": y.mean(),
        "ece": expected_calibration_error(
            y, positive, labels=[0, 1], strategy="quantile"
        ),
        "log_loss": log_loss(y, positive, labels=[0, 1]),
    }


def run_one(table: Table, train_size: Any, split: int, name: str) -> list[dict]:
    """Fit a contender on some rows, and score each task on the others."""
    train, test = train_test_split(
        np.arange(len(table.X)), train_size=train_size, random_state=split
    )
    X, y = (part.iloc[train].reset_index(drop=True) for part in (table.X, table.y))
    model = make_one(name)
    start = time.perf_counter()
    model.fit(X, y, table.kinds)
    seconds = time.perf_counter() - start
    predicted = model.predict(table.X.iloc[test])
    return [
        {
            "task": task,
            **scores_of(table.y[task].to_numpy()[test], probabilities),
            "fit_seconds": round(seconds, 2),
        }
        for task, probabilities in zip(table.kinds, predicted, strict=True)
    ]


def run(arguments: argparse.Namespace) -> None:
    """Run what the file lacks."""
    path: Path = arguments.output
    done: set[Any] = set()
    if path.exists():
        done = set(pd.read_csv(path)[KEY].itertuples(index=False, name=None))
    for name, (load, train_size) in tables().items():
        if name not in arguments.tables:
            continue
        for split in arguments.splits:
            missing = [c for c in CONTENDERS if (name, split, c) not in done]
            table = load(split) if missing else None
            for contender in missing:
                rows = run_one(table, train_size, split, contender)
                write(path, (name, split, contender), rows)
                mean = pd.DataFrame(rows)[SCORES].mean()
                print(
                    f"{name}, split {split}, {contender}: ECE {mean['ece']:.4f}, "
                    f"log-loss {mean['log_loss']:.4f}, {rows[0]['fit_seconds']:.0f} s",
                    flush=True,
                )


def write(path: Path, key: tuple[str, int, str], rows: list[dict]) -> None:
    """Append the lines of one fit."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerows({**dict(zip(KEY, key, strict=True)), **row} for row in rows)


def by_task(results: pd.DataFrame, score: str) -> pd.DataFrame:
    """Average a score over the splits: a row for each task, and one for their mean."""
    wide = results.pivot_table(index="task", columns="contender", values=score)
    wide = wide[[name for name in CONTENDERS if name in wide]]
    wide.loc["mean"] = wide.mean()
    return wide


def differences(results: pd.DataFrame, score: str) -> pd.DataFrame:
    """Subtract the reference's score, paired by split: mean and standard error."""
    wide = results.pivot_table(
        index="split", columns=["contender", "task"], values=score
    )
    rows = {}
    for name in CONTENDERS:
        if name == REFERENCE or name not in wide:
            continue
        less = wide[name] - wide[REFERENCE]
        less["mean"] = less.mean(axis=1)
        rows[name] = [
            f"{mean:+.4f} ± {error:.4f}"
            for mean, error in zip(less.mean(), less.sem(), strict=True)
        ]
    return pd.DataFrame(rows, index=less.columns)


def report(results: pd.DataFrame) -> None:
    """Print the means by task, and the paired differences."""
    for table, lines in results.groupby("table", sort=False):
        print(f"\n{table}, {lines['split'].nunique()} splits")
        for score, called in zip(SCORES, ["ECE", "log-loss"], strict=True):
            print(f"\n{called}, less is better")
            print(by_task(lines, score).round(4).to_string())
            if REFERENCE in set(lines["contender"]):
                print(f"\n{called} less {REFERENCE}'s, and its standard error")
                print(differences(lines, score).to_string())


def main() -> int:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=["census", "tox21"])
    parser.add_argument("--splits", nargs="+", type=int, default=list(SPLITS))
    default = HERE / "results" / "calibration.csv"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--summary", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    if not arguments.summary:
        run(arguments)
    if not arguments.output.exists():
        print("Nothing has been run yet.")
        return 1
    results = pd.read_csv(arguments.output)
    wanted = results["table"].isin(arguments.tables)
    report(results[wanted & results["split"].isin(arguments.splits)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
