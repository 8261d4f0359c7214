"""Measure what small fits cost: one more fit of a shape, and a search over experts.

Prints, each the median of several runs that alternate with what they are compared with:

- the time of a further fit on 200 rows x 10 columns as a multiple of that of
  scikit-learn's MLPRegressor with the same epochs and batches, and of a random forest's;
- the time of a ``GridSearchCV`` over eight numbers of experts, five folds of 500 rows,
  with traced steps kept between fits, and with each fit traced anew.

    python benchmarks/small_search.py
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.networks import clear_cache

N_RUNS = 5


class TracedAnew(MultiTaskMMoERegressor):
    """Our regressor, which forgets at each fit what earlier ones have traced."""

    def fit(self, X: Any, y: Any, *args: Any, **kwargs: Any) -> Any:
        clear_cache()
        return super().fit(X, y, *args, **kwargs)


def seconds(what: Callable[[], Any]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


def fits() -> None:
    """Compare one more fit of a shape with scikit-learn's."""
    X, y = make_related_tasks(n_samples=200, n_features=10, random_state=0)
    ours = MultiTaskMMoERegressor(random_state=0).fit(X, y)
    mlp = MLPRegressor(
        max_iter=ours.n_iter_, batch_size=16, n_iter_no_change=ours.n_iter_
    )
    forest = RandomForestRegressor(200)
    times = [
        [seconds(lambda m=m: m.fit(X, y)) for m in (ours, mlp, forest)]
        for _ in range(N_RUNS)
    ]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    for name, other in zip(("MLPRegressor", "a forest"), medians[1:], strict=True):
        ratio = medians[0] / other
        print(
            f"200 rows x 10, {ours.n_iter_} epochs: {medians[0]:.2f} s, {name} "
            f"{other:.2f} s, ratio {ratio:.1f}"
        )


def searches() -> None:
    """Compare a search that keeps traced steps with one that does not."""
    X, y = make_related_tasks(n_samples=500, n_features=10, random_state=0)
    grid = {"num_experts": list(range(1, 9))}

    def search(cls: Any) -> None:
        clear_cache()
        GridSearchCV(cls(random_state=0), grid, cv=5).fit(X, y)

    pairs = [
        (seconds(lambda: search(TracedAnew)), seconds(lambda: search(
            MultiTaskMMoERegressor))) for _ in range(2)
    ]  # fmt: skip
    anew, kept = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"search of 8 candidates x 5 folds, 500 rows: traced anew {anew:.1f} s, kept "
        f"{kept:.1f} s, ratio {anew / kept:.1f}"
    )


def main() -> None:
    """Run the benchmark."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    fits()
    searches()


if __name__ == "__main__":
    main()
