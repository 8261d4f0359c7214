"""Measure the memory of a fit on a large sparse matrix (Linux only).

Makes a CSR matrix of one-hot columns, with TensorFlow loaded and a small fit done
before, fits one epoch on it, and prints how high memory rose: with the matrix, and in
all.

    python benchmarks/memory.py
    python benchmarks/memory.py --rows 100000 --columns 500
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from scipy import sparse

from sklearn_mmoe import MultiTaskMMoEClassifier

N_LEVELS = 20  # one-hot columns of each categorical feature


def memory_mib(line: str) -> float:
    """Read this process' resident memory: 'VmRSS' is now, 'VmHWM' at the highest."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{line}:\s+(\d+)", status)[1]) / 1024


def forget_peak() -> None:
    """Let 'VmHWM' count anew from here."""
    Path("/proc/self/clear_refs").write_text("5")


def one_hot(n_rows: int, n_columns: int) -> sparse.csr_matrix:
    """Draw categories, one column for each level; made part by part, without copies."""
    rng = np.random.default_rng(0)
    n_features = n_columns // N_LEVELS
    indices = np.empty((n_rows, n_features), dtype=np.int32)
    for j in range(n_features):
        levels = rng.integers(N_LEVELS, size=n_rows, dtype=np.int32)
        indices[:, j] = levels + j * N_LEVELS
    starts = np.arange(0, n_rows * n_features + 1, n_features, dtype=np.int32)
    ones = np.ones(n_rows * n_features, dtype=np.float32)
    return sparse.csr_matrix((ones, indices.ravel(), starts), shape=(n_rows, n_columns))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=500)
    arguments = parser.parse_args()
    clf = MultiTaskMMoEClassifier(max_iter=1, batch_size=1024, random_state=0)
    small = one_hot(5000, arguments.columns)
    rng = np.random.default_rng(1)
    clf.fit(small, rng.integers(2, size=(5000, 2)))
    loaded = memory_mib("VmRSS")
    X = one_hot(arguments.rows, arguments.columns)
    y = rng.integers(2, size=(arguments.rows, 2), dtype=np.int8)
    size = (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes) / 2**20
    forget_peak()
    clf.fit(X, y)
    peak = memory_mib("VmHWM")
    print(
        f"{arguments.rows} rows x {arguments.columns} one-hot columns: {size:.0f} MiB"
    )
    print(
        f"above TensorFlow and a small fit ({loaded:.0f} MiB) a fit peaks at "
        f"{peak - loaded:.0f} MiB, {(peak - loaded) / size:.2f} times the matrix"
    )
    print(
        f"in all {peak:.0f} MiB; dense, the matrix alone would take "
        f"{arguments.rows * arguments.columns * 4 / 2**20:.0f} MiB"
    )


if __name__ == "__main__":
    main()
