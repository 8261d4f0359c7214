"""How the time of a fit grows: with rows, features, tasks and experts.

Fits one epoch on generated one-hot columns while one of them grows and the others
stay, draws the times (``cost_scaling.png``), and prints them with the slope of the line
through them: what each further row, feature, task or expert costs.

    python benchmarks/cost_scaling.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from memory import one_hot

from sklearn_mmoe import MultiTaskMMoEClassifier

BASE = {"rows": 50_000, "features": 200, "tasks": 2, "experts": 8}
GRID = {
    "rows": (10_000, 30_000, 100_000, 300_000, 1_000_000),
    "features": (100, 200, 400, 800, 1600),
    "tasks": (1, 2, 4, 8, 16, 32, 64),
    "experts": (1, 2, 4, 8, 16, 32, 64),
}
N_RUNS = 3


def time_fit(rows: int, features: int, tasks: int, experts: int) -> float:
    """Time one epoch, as the median of several fits."""
    X = one_hot(rows, features)
    y = np.random.default_rng(1).integers(2, size=(rows, tasks), dtype=np.int8)
    clf = MultiTaskMMoEClassifier(experts, max_iter=1, batch_size=1024, random_state=0)
    times = []
    for _ in range(N_RUNS if rows <= BASE["rows"] else 1):
        start = time.perf_counter()
        clf.fit(X, y)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = Path(__file__).parent
    parser.add_argument("--output", type=Path, default=here / "results")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    time_fit(**{**BASE, "rows": 5000})  # TensorFlow's start
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
    table = []
    for (what, values), ax in zip(GRID.items(), axes, strict=True):
        times = [time_fit(**{**BASE, what: value}) for value in values]
        slope, start = np.polyfit(values, times, 1)
        table += [
            {"what": what, "value": value, "seconds": seconds}
            for value, seconds in zip(values, times, strict=True)
        ]
        ax.plot(values, times, "o", color="#0072B2")
        ax.plot(values, np.polyval([slope, start], values), "--", color="0.5")
        ax.set(xlabel=what, ylabel="seconds", title=f"{slope:.2g} s for each")
        ax.grid(alpha=0.3)
        shown = ", ".join(
            f"{value}: {seconds:.2f}"
            for value, seconds in zip(values, times, strict=True)
        )
        print(f"{what}: {shown} s; {slope:.3g} s for each", flush=True)
    pd.DataFrame(table).to_csv(folder / "cost_scaling.csv", index=False)
    figure.savefig(folder / "cost_scaling.png", dpi=110)


if __name__ == "__main__":
    main()
