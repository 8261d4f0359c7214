"""How long a report on sharing takes: twelve tasks, five thousand rows.

Prints the seconds of ``sharing_report`` with its defaults behind the default
preprocessor, on generated classifications with categories and missing values, and how
many networks it trained.

    python benchmarks/sharing_report.py  # with two processes
"""

from __future__ import annotations

import argparse
import time

from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.model_selection import sharing_report
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

N_FOLDS = 5


def main() -> None:
    """Make a report, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--n-jobs", type=int, default=2)
    arguments = parser.parse_args()
    X, y = make_related_tasks(
        n_samples=arguments.rows,
        n_features=30,
        n_tasks=arguments.tasks,
        n_categorical=10,
        kind="classification",
        random_state=0,
    )
    pipeline = make_pipeline(make_tabular_preprocessor(), MultiTaskMMoEClassifier())
    start = time.perf_counter()
    report = sharing_report(
        pipeline, X, y, cv=N_FOLDS, n_jobs=arguments.n_jobs, verbose=True
    )
    seconds = time.perf_counter() - start
    n_fits = N_FOLDS * (len(report.overall) + arguments.tasks)
    print(
        f"{arguments.rows:,} rows, {arguments.tasks} tasks, {arguments.n_jobs} "
        f"processes: {n_fits} fits, {seconds:.0f} s\n\n{report.recommendation}"
    )


if __name__ == "__main__":
    main()
