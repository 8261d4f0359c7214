"""Compare a grid search on two cores with one on one core.

Searches 8 candidates in 3 folds on 20,000 rows with ``n_jobs=1`` and ``n_jobs=2``, and
prints both times, their ratio and how many cores a worker keeps busy.

    python benchmarks/parallel_search.py

Runs on the test half of Census-Income, or on generated data where that is not at hand.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

N_ROWS = 20_000
GRID = {"num_experts": [1, 2, 4, 8], "dropout": [0.1, 0.3]}


def load() -> tuple:
    """Load rows of the census' test half, or generate as many."""
    try:
        X, y = fetch_census_income("test", return_X_y=True)
        print("Data: Census-Income")
    except OSError:
        X, y = make_related_tasks(
            n_samples=N_ROWS,
            n_features=40,
            n_categorical=33,
            kind="classification",
            random_state=0,
        )
        print("Data: generated")
    return X[:N_ROWS], y[:N_ROWS]


def time_search(X, y, n_jobs: int) -> float:
    """Time a search, the start of the workers included."""
    search = GridSearchCV(
        MultiTaskMMoEClassifier(random_state=0),
        GRID,
        scoring=multi_task_scorer("roc_auc"),
        refit=False,
        cv=3,
        n_jobs=n_jobs,
    )
    start = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - start


def seconds_by_thread() -> dict[str, float]:
    """Read the processor time of each thread of this process (Linux only)."""
    ticks = os.sysconf("SC_CLK_TCK")
    seconds = {}
    for path in Path("/proc/self/task").glob("*/stat"):
        fields = path.read_text().rpartition(")")[2].split()
        seconds[path.parent.name] = (int(fields[11]) + int(fields[12])) / ticks
    return seconds


def cores_in_use(X, y) -> tuple[str | None, float]:
    """Fit here; give TensorFlow's limit of threads, and the cores kept busy."""
    clf = MultiTaskMMoEClassifier(max_iter=1, batch_size=1024, random_state=0)
    clf.fit(X[:5000], y[:5000])
    before, start = seconds_by_thread(), time.perf_counter()
    clf.set_params(max_iter=3).fit(X, y)
    wall = time.perf_counter() - start
    after = seconds_by_thread()
    used = sum(after[name] - before.get(name, 0.0) for name in after)
    return os.environ.get("TF_NUM_INTRAOP_THREADS"), used / wall


def main() -> None:
    """Run the benchmark."""
    X, y = load()
    X = make_tabular_preprocessor().fit_transform(X).tocsr()
    y = y.to_numpy()
    # TensorFlow's import is not what is compared.
    MultiTaskMMoEClassifier(max_iter=1).fit(X[:500], y[:500])
    one = time_search(X, y, n_jobs=1)
    joblib.Parallel(n_jobs=2)(joblib.delayed(np.sqrt)(i) for i in range(4))
    two = time_search(X, y, n_jobs=2)
    # One worker at a time, so that it could have all cores if it asked for them.
    fits = joblib.Parallel(n_jobs=2)([joblib.delayed(cores_in_use)(X, y)])
    ((limit, cores),) = fits
    print(f"n_jobs=1: {one:.1f} s, n_jobs=2: {two:.1f} s, ratio {one / two:.2f}")
    print(
        f"a worker of two may use {limit} of {os.cpu_count()} cores; alone on the "
        f"machine it kept {cores:.2f} of them busy"
    )


if __name__ == "__main__":
    main()
