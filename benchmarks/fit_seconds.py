"""How long a fit of some thousand rows takes, with cross-validation and without.

Prints the seconds of default fits of generated rows, ten columns and two tasks, and of
fits with ``cv=None``: the median of some fits after a first one, which also loads
TensorFlow or traces the network, and is printed beside it.

    python benchmarks/fit_seconds.py
"""

from __future__ import annotations

import statistics
import time

import pandas as pd

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks

N_ROWS = (750, 3_000, 6_000)
N_RUNS = 3


def seconds_of_fits(n_rows: int, cv: str | None) -> list[float]:
    """Time fits of the same rows, one after the other."""
    X, y = make_related_tasks(
        n_samples=n_rows,
        n_features=10,
        n_sines=0,
        kind="classification",
        random_state=0,
    )
    seconds = []
    for _ in range(1 + N_RUNS):
        start = time.perf_counter()
        MultiTaskMMoEClassifier(cv=cv, random_state=0).fit(X, y)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Time and print."""
    rows = []
    for n_rows in N_ROWS:
        for cv in ("auto", None):
            first, *others = seconds_of_fits(n_rows, cv)
            rows.append((n_rows, str(cv), first, statistics.median(others)))
    table = pd.DataFrame(rows, columns=["rows", "cv", "first fit", "later fits"])
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
