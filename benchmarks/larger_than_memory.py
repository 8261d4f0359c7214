"""Measure memory and time of fits on data larger than memory (Linux only).

Generates Parquet files of a million rows each, and fits the default pipeline on more
and more of them, each time in a new process. Then it fits the first million in memory,
and on chunks again, with the same number of epochs.

    python benchmarks/larger_than_memory.py
    python benchmarks/larger_than_memory.py --millions 1 2 --epochs 2 --folder /tmp/rows
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from memory import forget_peak, memory_mib
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEMixed
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

ROWS_OF_FILE = 1_000_000
TARGETS = ["bought", "spent"]


def make_rows(n_rows: int, seed: int) -> pd.DataFrame:
    """Draw six numbers, two categories and two targets of each row."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        rng.normal(size=(n_rows, 6)).astype(np.float32),
        columns=[f"number_{k}" for k in range(6)],
    )
    for k, n_levels in enumerate((8, 40)):
        codes = rng.integers(n_levels, size=n_rows)
        levels = [f"level {level}" for level in range(n_levels)]
        X[f"category_{k}"] = pd.Categorical.from_codes(codes, levels)
    effect = np.cos(np.arange(8))[X["category_0"].cat.codes]
    noise = rng.normal(size=(2, n_rows))
    z = X["number_0"] + X["number_1"] * X["number_2"] + effect
    X["bought"] = np.where(z + noise[0] > 0, "yes", "no")
    X["spent"] = (z + np.sin(2 * X["number_3"]) + noise[1]).astype(np.float32)
    return X


def write_file(path: str, seed: int) -> None:
    """Write a file, unless it is there already."""
    if not Path(path).exists():
        make_rows(ROWS_OF_FILE, seed).to_parquet(path)


def pipeline(n_epochs: int):
    """Make the default pipeline."""
    estimator = MultiTaskMMoEMixed(max_iter=n_epochs, cv=None, random_state=0)
    return make_pipeline(make_tabular_preprocessor(), estimator)


def scores(model) -> dict[str, float]:
    """Score on rows of a seed of its own."""
    test = make_rows(50_000, seed=10_000)
    X, bought = test.drop(columns=TARGETS), test["bought"] == "yes"
    probability = model[-1].predict_proba(model[:-1].transform(X))[0][:, 1]
    return {
        "auc": roc_auc_score(bought, probability),
        "r2": r2_score(test["spent"], model.predict(X)["spent"]),
    }


def fit(paths: list[str], n_epochs: int, in_memory: bool) -> dict[str, float]:
    """Fit on some files, and tell how long it took and how high memory rose."""
    small = make_rows(2_000, seed=0)
    pipeline(1).fit(small.drop(columns=TARGETS), small[TARGETS])
    loaded = memory_mib("VmRSS")
    forget_peak()
    started = time.perf_counter()
    if in_memory:
        frame = pd.concat(map(pd.read_parquet, paths), ignore_index=True)
        fitted = pipeline(n_epochs).fit(frame.drop(columns=TARGETS), frame[TARGETS])
    else:
        import pyarrow.dataset

        data = pyarrow.dataset.dataset(paths)
        model = MultiTaskOutOfCore(pipeline(n_epochs), targets=TARGETS).fit(data)
        fitted = model.estimator_
    seconds = time.perf_counter() - started
    return {
        "loaded": loaded,
        "peak": memory_mib("VmHWM"),
        "seconds": seconds,
        "rows_per_second": len(paths) * ROWS_OF_FILE * n_epochs / seconds,
        **scores(fitted),
    }


def in_new_process(function, *arguments):
    """Call a function in a process of its own, which has no memory of others."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def show(name: str, found: dict[str, float]) -> None:
    """Print a line."""
    print(
        f"{name:>28}: {found['seconds']:6.0f} s, {found['rows_per_second']:8,.0f} rows "
        f"a second, memory {found['loaded']:5.0f} MiB before, "
        f"{found['peak']:5.0f} MiB at most; AUC {found['auc']:.4f}, "
        f"R2 {found['r2']:.4f}",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--compared-epochs", type=int, default=2)
    parser.add_argument("--folder", help="where files are kept for the next time")
    parser.add_argument("--json", help="where to write what was measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [
            str(folder / f"{k:03d}.parquet") for k in range(max(arguments.millions))
        ]
        for seed, path in enumerate(paths):
            write_file(path, seed)
        size = sum(Path(path).stat().st_size for path in paths) / 2**20
        print(f"{len(paths)} million rows in {size:.0f} MiB of Parquet", flush=True)
        found = {}
        for n in arguments.millions:
            name = f"{n} million in chunks"
            found[name] = in_new_process(fit, paths[:n], arguments.epochs, False)
            show(name, found[name])
        n_epochs = arguments.compared_epochs
        for name, in_memory in (("in chunks", False), ("in memory", True)):
            name = f"1 million {name}, {n_epochs} epochs"
            found[name] = in_new_process(fit, paths[:1], n_epochs, in_memory)
            show(name, found[name])
        peaks = [found[f"{n} million in chunks"]["peak"] for n in arguments.millions]
        chunks, memory = [found[name]["rows_per_second"] for name in [*found][-2:]]
        print(
            f"highest and lowest peak differ by {max(peaks) - min(peaks):.0f} MiB; in "
            f"memory {memory / chunks:.2f} times the rows a second of chunks"
        )
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
