"""Compare the time of ``import sklearn_mmoe`` with that of scikit-learn's networks.

Prints the median of several new processes for each, alternating, and their ratio.

    python benchmarks/import_time.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

N_RUNS = 9
MODULES = ("sklearn.neural_network", "sklearn_mmoe", "sklearn_mmoe.estimators")


def time_import(module: str) -> float:
    """Time a new process that imports a module."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark."""
    runs = [[time_import(module) for module in MODULES] for _ in range(N_RUNS + 1)]
    # The first run fills the file system's cache.
    for module, times in zip(MODULES, zip(*runs[1:], strict=True), strict=True):
        ratios = [time / run[0] for time, run in zip(times, runs[1:], strict=True)]
        print(
            f"{module}: {statistics.median(times):.2f} s, "
            f"ratio {statistics.median(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
