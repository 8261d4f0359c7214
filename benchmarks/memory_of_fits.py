"""Measure the memory that fits leave behind (Linux only).

Fits and predicts again and again, with one shape of data and with a new shape each
time, and prints by how much this process has grown for each fit after a warm-up.

    python benchmarks/memory_of_fits.py
    python benchmarks/memory_of_fits.py --fits 60
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator

from memory import memory_mib

from sklearn_mmoe import MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks

N_WARM_UP = 40


def growth(sizes: Iterator[tuple[int, int]], n_fits: int) -> float:
    """Fit data of these sizes; return the growth in MiB for each fit."""
    before = 0.0
    for i in range(N_WARM_UP + n_fits):
        if i == N_WARM_UP:
            gc.collect()
            before = memory_mib("VmRSS")
        n_samples, n_features = next(sizes)
        X, y = make_related_tasks(
            n_samples=n_samples, n_features=n_features, random_state=i
        )
        MultiTaskMMoERegressor(max_iter=2, random_state=i).fit(X, y).predict(X)
    gc.collect()
    return (memory_mib("VmRSS") - before) / n_fits


def one_shape() -> Iterator[tuple[int, int]]:
    """Repeat one size."""
    while True:
        yield 200, 10


def changing_shapes() -> Iterator[tuple[int, int]]:
    """Change the number of features each time, and so all that is traced."""
    n_features = 5
    while True:
        n_features += 1
        yield 200, n_features


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fits", type=int, default=200)
    n_fits = parser.parse_args().fits
    for name, sizes in (("one shape", one_shape()), ("new shapes", changing_shapes())):
        print(f"{name}: {growth(sizes, n_fits):.3f} MiB a fit, over {n_fits} fits")


if __name__ == "__main__":
    main()
