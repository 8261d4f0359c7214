"""Compare an epoch with the arithmetic of its matrix products alone.

Counts the floating-point operations of one epoch's matrix products, measures the rate
at which this machine multiplies matrices of the first layer's shape, and prints the
time of an epoch as a multiple of what the products alone would take.

    python benchmarks/arithmetic_floor.py

Runs on the test half of Census-Income, or on generated data where that is not at hand.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from overhead import Stopwatch, load

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

# isort: split
import keras

N_EPOCHS = 6
BATCH = 1024


def operations_per_row(network: keras.Model) -> int:
    """Count the operations of forward and backward pass in matrix products.

    A product with a kernel of n numbers takes 2 n operations for each row, and backward
    as many for the kernel's gradient and for its input's, which the features have not.
    """
    total = 0
    for layer in network.layers:
        is_first = any(
            isinstance(tensor._keras_history.operation, keras.layers.InputLayer)
            for tensor in keras.tree.flatten(getattr(layer, "input", []))
        )
        kernels = [weight for weight in layer.weights if "kernel" in weight.name]
        total += sum(int(np.prod(k.shape)) for k in kernels) * 2 * (3 - is_first)
        if layer.name == "mmoe":  # and the mixtures: tasks x experts x units
            total += 6 * layer.num_tasks * layer.num_experts * layer.units
    return total


def measured_rate(n_features: int, n_units: int) -> float:
    """Measure the operations per second of the first layer's product, at its best."""
    rng = np.random.default_rng(0)
    a = keras.ops.convert_to_tensor(rng.random((BATCH, n_features), dtype=np.float32))
    b = keras.ops.convert_to_tensor(rng.random((n_features, n_units), dtype=np.float32))
    times = []
    for _ in range(300):
        start = time.perf_counter()
        np.asarray(keras.ops.matmul(a, b))
        times.append(time.perf_counter() - start)
    return 2 * BATCH * n_features * n_units / statistics.median(times)


def main() -> None:
    """Run the benchmark."""
    X, y = load()
    Z = make_tabular_preprocessor().fit_transform(X)
    watch = Stopwatch()
    clf = MultiTaskMMoEClassifier(
        max_iter=N_EPOCHS, batch_size=BATCH, random_state=0, callbacks=watch
    ).fit(Z, y)
    # The first epoch traces the training step.
    epoch = statistics.median(np.subtract(watch.ends, watch.begins)[1:])
    per_row = operations_per_row(clf.network_)
    first = clf.network_.get_layer("wide_and_shared_0").kernel
    rate = measured_rate(*first.shape)
    floor = per_row * len(y) / rate
    print(
        f"{Z.shape[1]} features; {per_row / 1e6:.2f} million operations for each row, "
        f"{per_row * len(y) / 1e9:.1f} billion for an epoch of {len(y)} rows"
    )
    print(f"matrix products measured at {rate / 1e9:.0f} billion operations a second")
    print(f"epoch {epoch:.2f} s, floor {floor:.2f} s, ratio {epoch / floor:.2f}")


if __name__ == "__main__":
    main()
