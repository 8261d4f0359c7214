"""Do intervals hold what they say, and how wide are they: ours beside boosted trees'.

Twenty generated tables whose noise differs from row to row, and the regressions of six
tables of Mulan's. Three fifths of a table's rows are learned from, the others tested
on. All intervals are split conformal: a quarter of the rows to learn from is set aside
to say how wide they must be.

    python benchmarks/intervals.py
    python benchmarks/intervals.py --coverage 0.8 --seed 1

'quantile' is ``loss="quantile"`` and 'squared_error' the default loss, both in
``MultiTaskConformalPredictor``; 'boosting' is scikit-learn's
HistGradientBoostingRegressor with its quantile loss, two for each task, behind the same
conformal step; 'alone' are the quantiles of our network as it learned them, from all
rows to learn from, without that step. Printed are for each the mean coverage over
tables, how many tables are within two standard errors of what was asked (of rows that
are set aside, and of rows that are tested on), and the geometric mean of the widths as
a ratio to those of boosting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from table_data import Table, tables_at_hand

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.model_selection import MultiTaskConformalPredictor
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

OF_MULAN = ("atp1d", "enb", "jura", "oes97", "osales", "wq")
N_GENERATED = 20
ASIDE = 0.25


def generated(seed: int) -> Table:
    """Draw a table of two regressions whose noise depends on the row."""
    rng = np.random.default_rng(seed)
    n_samples = int(rng.choice([400, 800, 1600]))
    X, y = make_related_tasks(n_samples=n_samples, n_features=8, random_state=seed)
    spread = np.exp(rng.uniform(0, 1, size=2) * X[:, [0]] / X[:, 0].std())
    y = y / y.std(axis=0) + 0.3 * spread * rng.standard_t(4, size=y.shape)
    columns = [f"task_{k}" for k in range(2)]
    return Table(
        pd.DataFrame(X).add_prefix("x"),
        pd.DataFrame(y, columns=columns),
        dict.fromkeys(columns),
    )


def tables(seed: int) -> Iterator[tuple[str, Table]]:
    """Yield the tables by name."""
    for k in range(N_GENERATED):
        yield f"generated {k}", generated(1000 * seed + k)
    at_hand = tables_at_hand()
    for name in OF_MULAN:
        if name in at_hand:
            yield name, at_hand[name](seed)


def ours(loss: str, seed: int) -> MultiTaskConformalPredictor:
    """Make the default pipeline, with rows set aside."""
    return MultiTaskConformalPredictor(
        make_pipeline(
            make_tabular_preprocessor(),
            MultiTaskMMoERegressor(loss=loss, random_state=seed),
        ),
        cv=ASIDE,
        refit=False,
        random_state=seed,
    )


def boosting(
    X: pd.DataFrame, y: pd.DataFrame, X_test: pd.DataFrame, coverage: float, seed: int
) -> np.ndarray:
    """Compute conformalised intervals of two boosted quantiles for each task."""
    X, X_aside, y, y_aside = train_test_split(X, y, test_size=ASIDE, random_state=seed)
    intervals = []
    for task in y:
        low, high = (
            HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                categorical_features="from_dtype",
                random_state=seed,
            ).fit(X, y[task])
            for level in ((1 - coverage) / 2, (1 + coverage) / 2)
        )
        scores = np.maximum(
            low.predict(X_aside) - y_aside[task], y_aside[task] - high.predict(X_aside)
        )
        rank = int(np.ceil((len(scores) + 1) * coverage))
        margin = np.sort(scores)[rank - 1]
        bounds = (low.predict(X_test) - margin, high.predict(X_test) + margin)
        intervals.append(np.column_stack(bounds))
    return np.stack(intervals, axis=1)


def run_table(name: str, table: Table, coverage: float, seed: int) -> list[dict]:
    """Compute coverage and width of each contender on one table."""
    X, X_test, y, y_test = train_test_split(
        table.X, table.y, test_size=0.4, random_state=seed
    )
    network = make_pipeline(
        make_tabular_preprocessor(),
        MultiTaskMMoERegressor(loss="quantile", random_state=seed),
    ).fit(X, y)
    found = {
        "quantile": ours("quantile", seed).fit(X, y).predict_interval(X_test, coverage),
        "squared_error": ours("squared_error", seed)
        .fit(X, y)
        .predict_interval(X_test, coverage),
        "boosting": boosting(X, y, X_test, coverage, seed),
        "alone": network[-1].predict_interval(network[:-1].transform(X_test), coverage),
    }
    # Targets of a row are not independent, so the tasks do not add to the rows.
    error = (
        coverage * (1 - coverage) * (1 / (ASIDE * len(X)) + 1 / len(X_test))
    ) ** 0.5
    scales = y.std().to_numpy()
    rows = []
    for contender, intervals in found.items():
        within = (intervals[..., 0] <= y_test) & (y_test <= intervals[..., 1])
        share = float(within.to_numpy().mean())
        width = float((np.diff(intervals, axis=2)[:, :, 0] / scales).mean())
        rows.append(
            {
                "table": name,
                "contender": contender,
                "coverage": share,
                "width": width,
                "errors_off": (share - coverage) / error,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    for name, table in tables(arguments.seed):
        rows += run_table(name, table, arguments.coverage, arguments.seed)
        print(f"{name} done", flush=True)
    results = pd.DataFrame(rows)
    results["kind"] = np.where(
        results["table"].str.startswith("generated"), "generated", "real"
    )
    widths = results.pivot(index="table", columns="contender", values="width")
    ratios = np.log(widths.div(widths["boosting"], axis=0))
    for kind, lines in results.groupby("kind"):
        print(f"\n{kind} tables, coverage asked for {arguments.coverage}")
        by = lines.groupby("contender", sort=False)
        summary = pd.DataFrame(
            {
                "mean coverage": by["coverage"].mean(),
                "within two errors": by["errors_off"].apply(
                    lambda z: (z.abs() <= 2).sum()
                ),
                "tables": by.size(),
                "width / boosting's": np.exp(
                    ratios.loc[lines["table"].unique()].mean()
                ),
            }
        )
        print(summary.round(3).to_string())


if __name__ == "__main__":
    main()
