"""Compare the time that our default pipeline and LightGBM's two models predict in.

Both predict the test rows of each split in turn, again and again, in one process.

    python benchmarks/prediction.py

Runs on the test half of Census-Income. Needs ``pip install lightgbm``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from contenders import Split, lightgbm_models, with_categories
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

SPLITS = range(5)
N_RUNS = 15


def seconds(run: Callable[[], Any]) -> float:
    """Measure one run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark."""
    ratios = []
    for seed in SPLITS:
        split = Split.draw(seed)
        X = with_categories(split.X)
        ours = make_pipeline(make_tabular_preprocessor(), MultiTaskMMoEClassifier())
        ours.fit(split.X.iloc[split.fit], split.y.iloc[split.fit])
        theirs = lightgbm_models(split, X)
        X_ours, X_theirs = split.X.iloc[split.test], X.iloc[split.test]
        runs = [
            lambda model=ours, X=X_ours: model.predict_proba(X),
            lambda models=theirs, X=X_theirs: [m.predict_proba(X) for m in models],
        ]
        for run in runs:  # the first prediction traces the network
            run()
        pairs = [[seconds(run) for run in runs] for _ in range(N_RUNS)]
        our_time, their_time = (
            statistics.median(times) for times in zip(*pairs, strict=True)
        )
        ratios.append(our_time / their_time)
        print(
            f"split {seed}, {len(split.test)} rows: ours {1e3 * our_time:.0f} ms, "
            f"LightGBM {1e3 * their_time:.0f} ms, ratio {ratios[-1]:.2f}"
        )
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
