"""What a fit on chunks learns before it trains, in two passes over the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context, get_config

from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    frame_columns,
    join_columns,
    split_columns,
)
from sklearn_mmoe._tasks.rows import row_labels
from sklearn_mmoe._tasks.summary import TargetSummary
from sklearn_mmoe._tasks.weights import (
    apply_class_factors,
    check_positive_weights,
    count_classes,
    task_weights,
)
from sklearn_mmoe.estimators._calibration import is_calibrating
from sklearn_mmoe.estimators._fit_data import FitData, Seeds, loss_factors
from sklearn_mmoe.out_of_core._order import EncodedRows, mixed, shuffled
from sklearn_mmoe.out_of_core._sample import RowSample, SampledRows
from sklearn_mmoe.out_of_core._sources import Chunk, ChunkReader

if TYPE_CHECKING:
    from sklearn_mmoe._batches.arrays import TaskData
    from sklearn_mmoe._batches.chunks import ChunkedTaskData

__all__ = ["ChunkedFitData", "Reading"]

# Rows that are brought to features at once, about.
_PIECE_ROWS = 8_192
# Sampled rows that are kept as features, to look at gates.
_KEPT_ROWS = 2_048


class Reading:
    """Reads chunks as one estimator is fitted on them.

    Parameters
    ----------
    estimator : estimator
        One of ours, not fitted.
    preprocessor : Pipeline or None
        What brings X to features, not fitted; None takes X as it is.
    reader : ChunkReader
        Reads the chunks.
    buffer_size : int
        Rows that are shuffled together.
    sample_size : int
        Rows that the preprocessor is fitted on, and set aside from, at most.
    validation : tuple of (X, y, sample_weight) or None
        Rows to validate with, instead of some that are set aside.

    Attributes
    ----------
    n_rows : int
        Number of rows trained on.
    n_rows_validation : int
        Number of rows that were not trained on.
    """

    def __init__(
        self,
        estimator: Any,
        preprocessor: Any,
        reader: ChunkReader,
        *,
        buffer_size: int,
        sample_size: int,
        validation: tuple[Any, Any, Any] | None,
    ) -> None:
        self._estimator = estimator
        self._preprocessor = preprocessor
        self._reader = reader
        self._buffer_size = buffer_size
        self._sample_size = sample_size
        self._validation = validation
        self._n_read = 0  # in the first pass
        self._names: list[str] = []
        self._labels: Any = None
        # Numbers of the rows that are set aside.
        self._held_out = np.zeros(0, dtype=np.int64)

    def __call__(
        self, seeds: Seeds, resume: bool
    ) -> tuple[ChunkedFitData, FitData | None]:
        """Learn all that training needs to know; see ``_fit_on`` of the estimators."""
        sample, summary = self._first_pass(seeds.split)
        held_out = self._set_aside(sample, self._n_read)
        fitted_on = sample.take(np.flatnonzero(~np.isin(sample.index, self._held_out)))
        if self._preprocessor is not None:
            self._preprocessor.fit(fitted_on.X, self._y(fitted_on))
        tasks = self._find_tasks(sample, summary)
        data = self._second_pass(fitted_on, tasks)
        validation = None
        if self._validation is not None:
            validation = self._read_validation(data, *self._validation)
        elif held_out is not None:
            y, weight = self._y(held_out), held_out.sample_weight
            validation = self._read_validation(data, held_out.X, y, weight)
        self.n_rows = data.n_rows
        self.n_rows_validation = 0 if validation is None else validation.n_rows
        return data, validation

    @property
    def order(self) -> dict[str, str]:
        """What the order of the rows depends on, beside seeds."""
        return {
            "the number of blocks": str(self._reader.n_blocks),
            "the parameter 'buffer_size'": str(self._buffer_size),
        }

    def _print(self, message: str) -> None:
        if self._estimator.verbose:
            print(message, flush=True)

    def _first_pass(self, seed: int) -> tuple[SampledRows, TargetSummary]:
        """Draw a sample, sum up the targets, and count the rows."""
        sample, summary = RowSample(self._sample_size, seed), None
        for chunk in self._reader.all():
            if summary is None:
                self._names = split_columns(chunk.y).names
                self._labels = frame_columns(chunk.y)
                summary = TargetSummary(self._names)
            targets, weights = self._targets(chunk)
            summary.add(targets, weights)
            sample.add(chunk, targets, weights)
            self._n_read = chunk.start + len(chunk)
        rows = sample.rows()
        if rows is None or summary is None:
            raise ValueError("The data has no rows to fit on.")
        self._print(f"{self._n_read} rows in {self._reader.n_blocks} blocks.")
        return rows, summary

    def _targets(self, chunk: Chunk) -> tuple[TaskColumns, np.ndarray]:
        """Take the targets of a chunk apart, and its weights by task."""
        targets = split_columns(chunk.y).matched(self._names, "the first chunk")
        weights = self._weights(chunk.sample_weight, targets)
        return targets, weights

    def _weights(self, given: Any, targets: TaskColumns) -> np.ndarray:
        """Bring weights to a column for each task; all of some rows may be zero."""
        if given is not None and np.ndim(given) == 1:
            given = np.tile(np.asarray(given)[:, np.newaxis], len(self._names))
        return task_weights(given, targets)

    def _y(self, rows: SampledRows) -> Any:
        """Bring sampled targets back to what the chunks have them in."""
        columns = [rows.y[name].to_numpy() for name in self._names]
        return join_columns(columns, self._labels, row_labels(rows.X))

    def _set_aside(self, sample: SampledRows, n_rows: int) -> SampledRows | None:
        """Set rows of the sample aside to validate with, if any are asked for."""
        estimator = self._estimator
        asked = estimator.early_stopping or is_calibrating(estimator)
        if not asked or self._validation is not None:
            return None
        fraction = estimator.validation_fraction
        n_held_out = min(round(fraction * n_rows), self._sample_size // 2)
        if not 0 < n_held_out < n_rows:
            raise ValueError(
                f"validation_fraction={fraction} of {n_rows} rows leaves none to "
                "validate with, or none to train on."
            )
        drawn = np.argsort(sample.key)[:n_held_out]
        held_out = sample.take(np.sort(drawn))
        self._held_out = held_out.index
        return held_out

    def _find_tasks(self, sample: SampledRows, summary: TargetSummary) -> list[Any]:
        targets = split_columns(sample.y).matched(self._names, "the first chunk")
        small, of_small = summary.condensed(targets, sample.sample_weight)
        check_positive_weights(of_small, self._names, each=True)
        tasks = self._estimator._find_tasks(small, of_small, None)
        summary.complete(tasks)
        return tasks

    def _second_pass(self, sample: SampledRows, tasks: list[Any]) -> ChunkedFitData:
        """Add up the weights, which need the tasks."""
        n_rows, n_read = 0, 0
        n_observed, sums = np.zeros((2, len(tasks)))
        counts: list[Any] = [0] * len(tasks)
        by_class: list[Any] = [0] * len(tasks)
        for chunk in self._reader.all():
            targets, weights, rows = self._encoded(chunk, tasks)
            n_rows, n_read = n_rows + len(rows), n_read + len(chunk)
            n_observed += (weights > 0).sum(axis=0)
            sums += weights.sum(axis=0)
            of_classes = count_classes(weights, tasks, targets.codes)
            for k, code in enumerate(targets.codes):
                counts[k] = None if code is None else counts[k] + of_classes[k]
                if code is not None:
                    by_class[k] = by_class[k] + np.bincount(
                        code, weights[:, k], len(tasks[k].classes)
                    )
        if n_read != self._n_read:
            raise ValueError(
                f"The data has changed: it had {self._n_read} rows when it was first "
                f"read, and {n_read} the next time. It must yield the same rows "
                "whenever it is read."
            )
        factors = self._estimator._class_factors(counts, tasks)
        for k, of_task in enumerate(factors):
            if counts[k] is None:
                continue
            if of_task is not None:
                by_class[k] = of_task * by_class[k]
                sums[k] = by_class[k].sum()
            tasks[k].weigh_classes(by_class[k], self._estimator._by_entropy)
        check_positive_weights(sums[np.newaxis], self._names, each=True)
        return self._data(sample, tasks, factors, n_rows, n_observed, sums)

    def _data(
        self,
        sample: SampledRows,
        tasks: list[Any],
        factors: list[Any],
        n_rows: int,
        n_observed: np.ndarray,
        sums: np.ndarray,
    ) -> ChunkedFitData:
        kept = sample.take(np.sort(np.argsort(sample.key)[:_KEPT_ROWS]))
        features = self._features(kept.X, self._estimator.dtype, reset=True)
        targets = split_columns(kept.y).matched(self._names, "the first chunk")
        of_sample = self._estimator._encode(
            features,
            self._y(kept),
            kept.sample_weight,
            features,
            targets,
            kept.sample_weight,
            tasks,
            factors,
        )
        return ChunkedFitData(
            reading=self,
            sample=of_sample,
            names=self._names,
            tasks=tasks,
            factors=factors,
            n_rows=n_rows,
            shares=n_observed / n_rows,
            means=sums / n_rows,
        )

    def _features(self, X: Any, dtype: Any, reset: bool = False) -> Any:
        if self._preprocessor is not None:
            X = self._preprocessor.transform(X)
        return self._estimator._validate_features(X, dtype, reset)

    def _read_validation(self, data: Any, X: Any, y: Any, weight: Any) -> FitData:
        if self._preprocessor is not None:
            X = self._preprocessor.transform(X)
        return self._estimator._read_validation(data, X, y, weight)

    def _encoded(self, chunk: Chunk, tasks: list[Any]) -> tuple[Any, np.ndarray, Any]:
        """Encode the targets of the rows that count, and are not set aside.

        Returns the targets of all rows and their weights, zero where they do not count,
        and which rows do.
        """
        columns, weights = self._targets(chunk)
        targets = self._estimator._encode_targets(columns, tasks)
        weights = weights * targets.observed
        first, last = np.searchsorted(
            self._held_out, [chunk.start, chunk.start + len(chunk)]
        )
        weights[self._held_out[first:last] - chunk.start] = 0
        return targets, weights, np.flatnonzero(weights.any(axis=1))

    def encoded_rows(
        self, block: int, data: ChunkedFitData, dtype: str
    ) -> Iterator[EncodedRows]:
        """Read a block for training."""
        scales = loss_factors(data.tasks, data.means)
        for chunk in self._reader.block(block):
            targets, weights, rows = self._encoded(chunk, data.tasks)
            apply_class_factors(weights, data.factors, targets.codes)
            columns = [
                column.astype(np.int32 if column.ndim == 1 else dtype)
                for column in targets.columns
            ]
            encoded = EncodedRows(chunk.X, columns, (weights * scales).astype(dtype))
            yield encoded if len(rows) == len(encoded) else encoded.take(rows)

    def pieces(
        self, data: ChunkedFitData, dtype: str, batch_size: int, seed: int, epoch: int
    ) -> Iterator[TaskData]:
        """Return an iterator over all rows to train on, in the order of an epoch."""
        # scikit-learn's settings are those of a thread, and another one may read.
        return self._pieces(get_config(), data, dtype, batch_size, seed, epoch)

    def _pieces(
        self,
        config: dict[str, Any],
        data: ChunkedFitData,
        dtype: str,
        batch_size: int,
        seed: int,
        epoch: int,
    ) -> Iterator[TaskData]:
        from sklearn_mmoe._batches.arrays import TaskData

        rng = np.random.default_rng([seed, epoch])
        rows = mixed(
            self._reader.n_blocks,
            lambda block: self.encoded_rows(block, data, dtype),
            rng,
        )
        size = batch_size * max(1, _PIECE_ROWS // batch_size)
        for piece in shuffled(rows, self._buffer_size, size, batch_size, rng):
            with config_context(**config):
                features = self._features(piece.X, dtype)
            order = np.arange(len(piece))
            yield TaskData(features, piece.targets, piece.weights, order)


@dataclass(frozen=True)
class ChunkedFitData:
    """What a fit on chunks knows of them; has the attributes of FitData that fits use.

    Attributes
    ----------
    reading : Reading
        Reads them.
    sample : FitData
        Some of the rows.
    names : list of str
        Names of the tasks.
    tasks : list of LabelTask or ValueTask
        What the tasks are.
    factors : list of ndarray of shape (n_classes_k,) or None
        What `class_weight` makes of each task's classes.
    n_rows : int
        Number of rows to train on.
    shares : ndarray of shape (n_tasks,)
        Share of them that have a target.
    means : ndarray of shape (n_tasks,)
        Means of the weights.
    """

    reading: Reading
    sample: FitData
    names: list[str]
    tasks: list[Any]
    factors: list[np.ndarray | None]
    n_rows: int
    shares: np.ndarray
    means: np.ndarray

    n_folds = None

    @property
    def beyond_sample(self) -> dict[str, str]:
        """What else tells these data, and the order of their rows, from others."""
        return {"the number of rows of X": str(self.n_rows), **self.reading.order}

    @property
    def features(self) -> Any:
        """Features of the sample."""
        return self.sample.features

    @property
    def n_features(self) -> int:
        """Number of columns of the features."""
        return self.sample.n_features

    def for_training(
        self, dtype: str, groups: Sequence[Sequence[int]] = ()
    ) -> ChunkedTaskData:
        """Say how they are read for training."""
        from sklearn_mmoe._batches.chunks import ChunkedTaskData

        def pieces(batch_size: int, seed: int, epoch: int) -> Iterator[TaskData]:
            return self.reading.pieces(self, dtype, batch_size, seed, epoch)

        factors = loss_factors(self.tasks, self.means)
        return ChunkedTaskData(pieces, self.n_rows, self.sample.scaled(dtype, factors))
