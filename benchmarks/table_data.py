"""The tables of ``tables.py``: whatever of them the data folder holds.

``sklearn_mmoe.datasets.get_data_home()`` is looked through for Mulan's tables, rows of
Census-Income, Tox21 (``tox21.npz``) and the small tables of mixed kinds in ``tables/``;
nothing is downloaded. Tables are read as a new user would: no column is prepared by
hand, and only those are left out that repeat a target, name a row, or tell what came
after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_mmoe.datasets import fetch_census_income, fetch_mulan, get_data_home

# What a task is: None for a regression, the number of classes of a classification.
Kinds = dict[str, int | None]

CENSUS_ROWS = (500, 2_000, 15_000)


@dataclass(frozen=True)
class Table:
    """Features, targets and their kinds.

    Targets are float64, of classifications the numbers of the sorted classes; NaN is a
    missing one.
    """

    X: pd.DataFrame
    y: pd.DataFrame
    kinds: Kinds


def make_table(
    X: pd.DataFrame, y: pd.DataFrame, classifications: Sequence[str]
) -> Table:
    """Encode the targets; a row without any is left out."""
    columns, kinds = {}, {}
    for task in y:
        if task in classifications:
            codes, classes = pd.factorize(y[task], sort=True)
            columns[task] = np.where(codes < 0, np.nan, codes)
            kinds[task] = len(classes)
        else:
            columns[task] = y[task].to_numpy(dtype=np.float64)
            kinds[task] = None
    targets = pd.DataFrame(columns)
    some = targets.notna().any(axis=1).to_numpy()
    return Table(
        X[some].reset_index(drop=True), targets[some].reset_index(drop=True), kinds
    )


def mulan(name: str, seed: int) -> Table:
    table = fetch_mulan(name, download_if_missing=False)
    labels = table.target_names if table.task_type == "classification" else []
    return make_table(table.data, table.target, labels)


def census(n_rows: int, seed: int) -> Table:
    """Draw rows of the test half; another seed draws others."""
    X, y = fetch_census_income("test", return_X_y=True, download_if_missing=False)
    rows = np.random.default_rng(seed).permutation(len(X))[:n_rows]
    return make_table(X.iloc[rows], y.iloc[rows], list(y))


def tox21(seed: int) -> Table:
    with np.load(get_data_home() / "tox21.npz") as data:
        bits = np.unpackbits(data["fingerprint"], axis=1)
        # Of a few molecules a charge is infinite, which is to say that it is not known.
        descriptors = data["descriptors"]
        descriptors = np.where(np.isfinite(descriptors), descriptors, np.nan)
        X = pd.concat(
            [
                pd.DataFrame(descriptors, columns=data["descriptor_names"]),
                pd.DataFrame(bits).add_prefix("bit_"),
            ],
            axis=1,
        )
        y = pd.DataFrame(data["targets"], columns=data["target_names"])
    X.columns, y.columns = X.columns.astype(str), y.columns.astype(str)
    return make_table(X, y, list(y))


@dataclass(frozen=True)
class MixedTable:
    """A file of ``tables/``: its targets by kind, and the columns to leave out."""

    regressions: tuple[str, ...] = ()
    classifications: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def load(self, name: str, seed: int) -> Table:
        frame = pd.read_csv(get_data_home() / "tables" / f"{name}.csv.gz")
        targets = [*self.regressions, *self.classifications]
        return make_table(
            frame.drop(columns=[*targets, *self.left_out]),
            frame[targets],
            self.classifications,
        )


MIXED = {
    "student": MixedTable(("G1", "G2", "G3")),
    "ames": MixedTable(("SalePrice", "OverallQual", "OverallCond")),
    "taxis": MixedTable(("fare", "tip"), ("payment",), ("total", "tolls")),
    "telco": MixedTable(("MonthlyCharges",), ("Churn",)),
    "nhefs": MixedTable(
        ("wt82_71",), ("death", "qsmk"), ("seqn", "yrdth", "modth", "dadth", "wt82")
    ),
    "penguins": MixedTable(("body_mass_g",), ("species", "sex")),
}


def tables_at_hand() -> dict[str, Callable[[int], Table]]:
    """Return the tables of the data folder by name: functions of the seed."""
    home = get_data_home()
    found: dict[str, Callable[[int], Table]] = {
        path.stem: partial(mulan, path.stem)
        for path in sorted(Path(home, "mulan").glob("*.arff"))
    }
    for name, table in MIXED.items():
        if (home / "tables" / f"{name}.csv.gz").exists():
            found[name] = partial(table.load, name)
    if (home / "census-income.test.gz").exists():
        for n_rows in CENSUS_ROWS:
            found[f"census_{n_rows}"] = partial(census, n_rows)
    if (home / "tox21.npz").exists():
        found["tox21"] = tox21
    return found
