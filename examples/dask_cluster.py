"""Search on a cluster: the same GridSearchCV, its fits on other machines.

Starts a cluster of processes on this machine, or takes the address of one that runs.

    python examples/dask_cluster.py                       # two processes here
    python examples/dask_cluster.py tcp://scheduler:8786  # a cluster of yours

Each machine of a cluster needs this package. It needs ``pip install
"sklearn-mmoe[dask]"``; the dashboard shows what each worker is doing.
"""

from __future__ import annotations

import sys
import time

import joblib
import pandas as pd
from distributed import Client
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor


def connect() -> Client:
    """Connect to the cluster that is named, or start one here."""
    if len(sys.argv) > 1:
        return Client(sys.argv[1])
    # One thread for each worker: a fit has the cores of a worker for itself.
    return Client(n_workers=2, threads_per_worker=1, host="127.0.0.1")


def main() -> None:
    """Search, on whatever cluster there is."""
    X, y = make_related_tasks(
        n_samples=2000,
        n_features=10,
        n_categorical=4,
        kind="classification",
        random_state=0,
    )
    folds = list(KFold(2).split(X))
    search = GridSearchCV(
        make_pipeline(
            make_tabular_preprocessor(),
            MultiTaskMMoEClassifier(max_iter=8, random_state=0),
        ),
        {"multitaskmmoeclassifier__dropout": [0.0, 0.2, 0.4]},
        scoring=multi_task_scorer("roc_auc"),
        refit="mean",
        cv=folds,
    )
    with connect() as client:
        print(f"dashboard: {client.dashboard_link}", flush=True)
        print(f"workers: {len(client.ncores())}", flush=True)
        start = time.perf_counter()
        # To every worker once; one that dies takes no data with it.
        rows = [part for fold in folds for part in fold]
        with joblib.parallel_config("dask", scatter=[X, y, *rows]):
            search.fit(X, y)
        print(f"6 fits and the last one in {time.perf_counter() - start:.0f} seconds")
    table = pd.DataFrame(search.cv_results_).set_index("params")
    table.index = [next(iter(params.values())) for params in table.index]
    print(table[["mean_test_task_0", "mean_test_task_1", "mean_test_mean"]].round(4))


if __name__ == "__main__":  # workers import this file
    main()
