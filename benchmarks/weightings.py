"""Ways to weigh the tasks beside equal weights, on public tables of several targets.

The default pipeline with each ``task_weighting``, on the same folds. Prints the error
of each table (as in ``tables.py``, 1 is knowing nothing) as a ratio to that of equal
weights, its geometric mean over tables with its standard error, and the time of a fit.
What has been run stands in a CSV file, and is not run again.

    python benchmarks/weightings.py
    python benchmarks/weightings.py --tables enb jura --folds 0 1 --summary

Nothing was chosen by these figures.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from table_contenders import Ours
from table_data import Kinds, Table, tables_at_hand
from tables import N_FOLDS, error_of, task_scores

WEIGHTINGS = ("uniform", "uncertainty", "dwa", "lbtw", "gradnorm", "pcgrad")
KEY = ["table", "fold", "weighting"]
HERE = Path(__file__).parent


class Weighted(Ours):
    """The default pipeline with a weighting, and without cross-validation.

    Within a fit the estimators cross-validate with equal weights alone.
    """

    def __init__(self, weighting: str) -> None:
        super().__init__()
        self.weighting = weighting

    def pipeline(self, kinds: Kinds) -> Any:
        """Make the pipeline."""
        pipeline = super().pipeline(kinds)
        pipeline[-1].set_params(task_weighting=self.weighting, cv=None)
        return pipeline


def run_fold(table: Table, fold: int, weighting: str) -> dict[str, float]:
    """Fit and test one weighting on one fold."""
    folds = KFold(N_FOLDS, shuffle=True, random_state=1).split(table.X)
    train, test = list(folds)[fold]
    y = table.y.iloc[train]
    model = Weighted(weighting)
    start = time.perf_counter()
    model.fit(table.X.iloc[train], y, table.kinds)
    seconds = time.perf_counter() - start
    predictions = model.predict(table.X.iloc[test])
    scores = pd.DataFrame(
        task_scores(
            y[task].to_numpy(),
            table.y[task].to_numpy()[test],
            prediction,
            table.kinds[task],
        )
        for task, prediction in zip(table.kinds, predictions, strict=True)
    )
    return {"error": error_of(scores), "seconds": seconds}


def report(results: pd.DataFrame) -> None:
    """Print ratios to equal weights, by table and over all."""
    for figure in ("error", "seconds"):
        wide = results.pivot(index=KEY[:2], columns="weighting", values=figure)
        wide = wide[[name for name in WEIGHTINGS if name in wide]].dropna()
        ratios = wide.div(wide["uniform"], axis=0)
        by_table = np.exp(np.log(ratios).groupby(level="table").mean())
        logs = np.log(by_table)
        spread = logs.std() / np.sqrt(len(logs))
        print(f"\n{figure}, as a ratio to that of equal weights")
        print(by_table.to_string(float_format="{:.3f}".format))
        means = pd.DataFrame({"mean": np.exp(logs.mean()), "±": spread})
        print(means.T.to_string(float_format="{:.3f}".format))


def main() -> None:
    """Run what is missing, then print."""
    loaders = tables_at_hand()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(loaders), metavar="NAME")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(N_FOLDS)))
    default = HERE / "results" / "weightings.csv"
    parser.add_argument("--output", type=Path, default=default)
    parser.add_argument("--summary", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    path = arguments.output
    path.parent.mkdir(parents=True, exist_ok=True)
    results = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=KEY)
    done = set(results[KEY].itertuples(index=False, name=None))
    jobs = [
        (name, fold, weighting)
        for fold in arguments.folds
        for name in arguments.tables or loaders
        for weighting in WEIGHTINGS
        if not arguments.summary
    ]
    for key in jobs:
        if key in done:
            continue
        row = run_fold(loaders[key[0]](0), *key[1:])
        line = pd.DataFrame([dict(zip(KEY, key, strict=True)) | row])
        line.to_csv(path, mode="a", header=not path.exists(), index=False)
        print(f"{key}: error {row['error']:.4f}, {row['seconds']:.1f} s", flush=True)
    report(pd.read_csv(path))


if __name__ == "__main__":
    main()
