"""What our training adds to Keras' own, and what scoring every set adds to an epoch.

Prints two ratios, each the median of several runs that alternate with what they are
compared with, in one process:

- the time of a fit through the engine (shuffling, recording, a loop of our own) to
  that of ``keras.Model.fit`` of the same network on the same batches;
- the time that ``TaskScores`` takes to score training, validation and test rows to
  the time of the epoch before.

    python benchmarks/overhead.py

Runs on the test half of Census-Income, or on generated data where that is not at hand.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from sklearn.model_selection import train_test_split

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe._architectures.network import NetworkSpec
from sklearn_mmoe._batches.arrays import ArrayBatches, TaskData
from sklearn_mmoe._training.engine import Engine
from sklearn_mmoe._training.loop import TrainingPlan
from sklearn_mmoe._training.optimizers import make_optimizer
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks
from sklearn_mmoe.losses import task_loss
from sklearn_mmoe.networks import clear_cache, mmoe_network
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

# isort: split
import keras

N_RUNS = 5
N_EPOCHS = 3
ARCHITECTURE = {"num_experts": 8, "expert_units": 32, "dtype": "float32"}
PLAN = TrainingPlan(
    optimizer="adamw",
    learning_rate=1e-2,
    learning_rate_schedule="linear",
    weight_decay=0.1,
    batch_size=1024,
    n_epochs=N_EPOCHS,
    n_iter_no_change=5,
    tol=1e-4,
)


def load() -> tuple:
    """Load the census' test half, or generate as many rows."""
    try:
        X, y = fetch_census_income("test", return_X_y=True)
        print("Data: test half of Census-Income")
    except OSError:
        X, y = make_related_tasks(
            n_samples=100_000,
            n_features=40,
            n_categorical=33,
            kind="classification",
            random_state=0,
        )
        print("Data: generated")
    return X, y


def task_data(X, y: np.ndarray) -> TaskData:
    """Put features and binary labels into what the engine takes."""
    targets = [column.astype(np.float32)[:, None] for column in y.T]
    weights = np.ones(y.shape, dtype=np.float32)
    return TaskData(X, targets, weights, np.arange(len(y)))


def time_engine(data: TaskData) -> float:
    """Time a fit as the estimators do it."""
    start = time.perf_counter()
    clear_cache()  # Keras traces its step at each fit, and so does this one
    spec = NetworkSpec(data.X.shape[1], ("binary",) * 2, (1, 1), ARCHITECTURE, seed=1)
    Engine(spec).fit(data, PLAN, seed=0)
    return time.perf_counter() - start


class KerasBatches(keras.utils.PyDataset):
    """The same batches, as Keras reads them."""

    def __init__(self, data: TaskData) -> None:
        super().__init__()
        self._batches = ArrayBatches(data, PLAN.batch_size, seed=0)
        self._epoch = 0
        self.on_epoch_end()

    def on_epoch_end(self) -> None:
        self._cut = self._batches.epoch(self._epoch, one_by_one=True)
        self._epoch += 1

    @property
    def num_batches(self) -> int:
        return self._batches.n_batches

    def __getitem__(self, index: int) -> tuple:
        batch = next(self._cut)
        # A copy: Keras reads ahead, and the next batch is written to the same memory.
        return (
            np.array(batch.features),
            tuple(batch.targets),
            tuple(batch.weights.T.copy()),
        )


def time_keras(data: TaskData) -> float:
    """Time Keras' own fit of the same network on the same batches."""
    start = time.perf_counter()
    meta = {"n_features_in_": data.X.shape[1], "task_units_": [1, 1]}
    network = mmoe_network(meta, seed=1, **ARCHITECTURE)
    optimizer = make_optimizer(PLAN.optimizer, PLAN.learning_rate, PLAN.weight_decay)
    network.compile(optimizer, [task_loss("binary")] * 2)
    network.fit(KerasBatches(data), epochs=PLAN.n_epochs, verbose=0, shuffle=False)
    return time.perf_counter() - start


class Stopwatch(keras.callbacks.Callback):
    """Notes the time at the beginning and the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: list[float] = []
        self.ends: list[float] = []

    def on_epoch_begin(self, epoch: int, logs=None) -> None:
        self.begins.append(time.perf_counter())

    def on_epoch_end(self, epoch: int, logs=None) -> None:
        self.ends.append(time.perf_counter())


def time_scores(X, y) -> list[tuple[float, float]]:
    """Time each epoch but the first, and the scoring of all three sets behind it."""
    X_train, X_rest, y_train, y_rest = train_test_split(
        X, y, test_size=0.4, random_state=0
    )
    half = len(y_rest) // 2
    scores = TaskScores(
        {
            "train": (X_train, y_train),
            "validation": (X_rest[:half], y_rest[:half]),
            "test": (X_rest[half:], y_rest[half:]),
        },
        verbose=False,
    )
    before, after = Stopwatch(), Stopwatch()
    MultiTaskMMoEClassifier(
        max_iter=N_RUNS + 1,
        random_state=0,
        callbacks=[before, scores, after],
    ).fit(X_train, y_train)
    epochs = np.subtract(before.ends, before.begins)[1:]
    scoring = np.subtract(after.ends, before.ends)[1:]
    return list(zip(epochs, scoring, strict=True))


def show(what: str, pairs: list[tuple[float, float]]) -> None:
    """Print both medians and the median of the ratios."""
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{what}: {first:.2f} s and {second:.2f} s, ratio {ratio:.3f}")


def main() -> None:
    """Run the benchmark."""
    frame, y = load()
    y = y.to_numpy()
    X = make_tabular_preprocessor().fit_transform(frame).tocsr()
    data = task_data(X, y)
    time_keras(data)  # the first fit of a process is slower
    pairs = [(time_keras(data), time_engine(data)) for _ in range(N_RUNS)]
    show(f"Keras' fit and ours, {N_EPOCHS} epochs of {len(y)} rows", pairs)
    show("an epoch of 60 % and scoring all rows", time_scores(X, y))


if __name__ == "__main__":
    main()
