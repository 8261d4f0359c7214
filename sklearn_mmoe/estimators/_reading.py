"""What a fit is given, brought to arrays: features, targets and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length, validate_data

from sklearn_mmoe._tasks.columns import TaskColumns, check_targets, split_columns
from sklearn_mmoe._tasks.dependencies import dependency_pairs, follow_dependencies
from sklearn_mmoe._tasks.encode import EncodedTargets, encode_targets
from sklearn_mmoe._tasks.rows import warn_of_row_order
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe._tasks.weights import (
    apply_class_factors,
    check_positive_weights,
    class_factors,
    count_classes,
    row_weights,
)
from sklearn_mmoe.estimators._fit_data import (
    FitData,
    check_numeric_columns,
    missing_values,
)
from sklearn_mmoe.estimators._parameters import EstimatorParameters

__all__ = ["ReadingMixin"]


class ReadingMixin(EstimatorParameters):
    """Methods that validate what a fit is given."""

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        resume: bool,
        classes: Any = None,
    ) -> FitData:
        """Validate what a fit is given, and find out what the tasks are."""
        dtype = self._engine.spec.dtype if resume else self.dtype
        features = self._validate_features(X, dtype, reset=not resume)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        check_targets(y)
        check_consistent_length(features, y)
        warn_of_row_order(X, y, sample_weight)
        columns = split_columns(y)
        if resume:
            given = columns.names if columns.named else self.task_names_
            columns = columns.matched(self.task_names_, type(self).__name__)
            self._check_same_types(given)
        weights = row_weights(sample_weight, columns)
        tasks = (
            self._scaled_tasks(columns, weights)
            if resume
            else self._find_tasks(columns, weights, classes)
        )
        data = self._encode(X, y, sample_weight, features, columns, weights, tasks)
        if not resume:
            data.weigh_classes(self._by_entropy)
        # Calls of partial_fit may well bring nothing for one of the tasks.
        each = not resume and classes is None
        check_positive_weights(data.weights, columns.names, each=each)
        n_left_out = len(data.weights) - len(data.rows)
        if self.verbose and n_left_out:
            print(f"{n_left_out} rows without any target or weight are left out.")
        return data

    def _check_same_types(self, names: Sequence[str]) -> None:
        """Refuse other types of tasks than before, where a parameter gives them.

        The names are those of y's columns, in their order.
        """

    def _scaled_tasks(self, columns: TaskColumns, weights: np.ndarray) -> list[Any]:
        """Return the tasks of before, with scales where targets were all the same."""
        of_tasks = zip(
            self._tasks, columns.columns, columns.observed, weights.T, strict=True
        )
        return [
            task.scaled_by(column, observed, weight)
            if isinstance(task, ValueTask)
            else task
            for task, column, observed, weight in of_tasks
        ]

    def _read_validation(
        self, data: FitData, X: Any, y: Any, sample_weight: Any
    ) -> FitData:
        """Validate the rows that the user gave for early stopping."""
        check_targets(y, "y_val")
        try:
            features = self._validate_features(X, data.features.dtype)
        except ValueError as error:
            raise ValueError(
                f"X_val does not fit: {error} Behind a Pipeline X_val has to go "
                "through its steps as X does, by Pipeline's 'transform_input'."
            ) from error
        check_consistent_length(features, y)
        warn_of_row_order(X, y, sample_weight, suffix="_val")
        columns = split_columns(y)
        columns = columns.matched(data.names, type(self).__name__)
        try:
            weights = row_weights(sample_weight, columns)
        except ValueError as error:
            raise ValueError(f"sample_weight_val does not fit: {error}") from error
        validation = self._encode(
            X, y, sample_weight, features, columns, weights, data.tasks, data.factors
        )
        if not len(validation.rows):
            raise ValueError(
                "y_val has no target of positive weight in any task; early stopping "
                "needs some (see y_val and sample_weight_val)."
            )
        return validation

    def _encode(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        features: Any,
        columns: TaskColumns,
        weights: np.ndarray,
        tasks: list[Any],
        factors: list[np.ndarray | None] | None = None,
    ) -> FitData:
        """Bring targets to arrays, and put the weights of rows and classes together.

        The `factors` of classes are those of training, where these rows are others.
        """
        targets = self._encode_targets(columns, tasks)
        weights = weights * targets.observed
        if factors is None:
            counts = count_classes(weights, tasks, targets.codes)
            factors = self._class_factors(counts, tasks)
        apply_class_factors(weights, factors, targets.codes)
        # A target that has no weight is none, also where rows are dealt out by labels.
        targets = replace(targets, observed=weights > 0)
        rows = np.flatnonzero(weights.any(axis=1))
        return FitData(
            X,
            y,
            sample_weight,
            features,
            columns.names,
            tasks,
            targets,
            weights,
            factors,
            rows,
        )

    def _encode_targets(self, columns: TaskColumns, tasks: list[Any]) -> EncodedTargets:
        dependencies = getattr(self, "task_dependencies", None)
        pairs = dependency_pairs(dependencies, tasks)
        return follow_dependencies(pairs, tasks, encode_targets(tasks, columns))

    def _class_factors(self, counts: list[Any], tasks: list[Any]) -> list[Any]:
        """Compute the weight of each class, from the numbers of their rows."""
        return class_factors(counts, getattr(self, "class_weight", None), tasks)

    def _validate_features(self, X: Any, dtype: Any, reset: bool = False) -> Any:
        if reset or hasattr(X, "columns"):
            check_numeric_columns(X, type(self).__name__)
        # What the dtype cannot hold becomes infinite, and is then refused by name.
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                return validate_data(
                    self, X, accept_sparse="csr", dtype=np.dtype(dtype), reset=reset
                )
            except ValueError as error:
                if not str(error).startswith("Input X contains NaN"):
                    raise
                raise ValueError(missing_values(X, type(self).__name__)) from None
