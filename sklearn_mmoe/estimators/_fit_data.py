"""What a fit is given, checked and brought to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from sklearn_mmoe._tasks.encode import EncodedTargets
from sklearn_mmoe._tasks.folds import spread_over_folds

if TYPE_CHECKING:
    from sklearn_mmoe._batches.arrays import TaskData

__all__ = [
    "FitData",
    "Seeds",
    "check_numeric_columns",
    "loss_factors",
    "missing_values",
]


def check_numeric_columns(X: Any, estimator_name: str) -> None:
    """Name the columns of a data frame that are not numbers."""
    if not isinstance(X, pd.DataFrame):
        return
    text = [name for name, dtype in X.dtypes.items() if dtype.kind not in "biuf"]
    # Columns of Python objects may still hold numbers; scikit-learn converts those.
    text = [name for name in text if X[name].dtype.kind != "O" or _has_text(X[name])]
    if text:
        raise ValueError(
            f"{estimator_name} takes numeric features only, but these columns of X are "
            f"not numeric: {text}. Encode them first, for example with "
            "make_pipeline(make_tabular_preprocessor(), ...)."
        )


def missing_values(X: Any, estimator_name: str) -> str:
    """Say that X has missing values, in which columns, and what to do."""
    where = ""
    if isinstance(X, pd.DataFrame):
        where = f" in the columns {X.columns[X.isna().any()].tolist()}"
    return (
        f"Input X contains NaN{where}, but {estimator_name} takes no missing values. "
        "Put make_tabular_preprocessor() before it in a Pipeline, which fills and "
        "marks them, or an imputer."
    )


def _has_text(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


# Rows with targets of a scarce task are repeated until they are so much of an epoch.
_SHARE_OF_SCARCE = 0.2


@dataclass(frozen=True)
class FitData:
    """What a fit was given, validated; only `rows` count.

    Attributes
    ----------
    X, y, sample_weight : object
        As the user gave them, for scorers and callbacks.
    features : ndarray or CSR matrix of shape (n_samples, n_features)
        X, in the type that the network computes in.
    names : list of str
        Names of the tasks.
    tasks : list of LabelTask or ValueTask
        What the tasks are.
    targets : EncodedTargets
        y, as the losses take it.
    weights : ndarray of shape (n_samples, n_tasks)
        Weights of rows and classes; zero where there is no target.
    factors : list of ndarray of shape (n_classes_k,) or None
        What `class_weight` made of each task's classes in training.
    rows : ndarray of int
        The rows that count.
    folds : ndarray of int of shape (n_samples,) or None
        The fold of each row, for cross-validation within the fit.
    n_folds : int or None
        Number of folds.
    """

    X: Any
    y: Any
    sample_weight: Any
    features: Any
    names: list[str]
    tasks: list[Any]
    targets: EncodedTargets
    weights: np.ndarray
    factors: list[np.ndarray | None]
    rows: np.ndarray
    folds: np.ndarray | None = None
    n_folds: int | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows that count."""
        return len(self.rows)

    @property
    def n_features(self) -> int:
        """Number of columns of the features."""
        return self.features.shape[1]

    @property
    def n_targets(self) -> np.ndarray:
        """Number of the rows that have a target, by task."""
        return np.count_nonzero(self.weights[self.rows], axis=0)

    @property
    def shares(self) -> np.ndarray:
        """Share of the rows that have a target, by task."""
        return self.n_targets / len(self.rows)

    @property
    def sample(self) -> FitData:
        """Rows that are in memory: all of them."""
        return self

    @property
    def beyond_sample(self) -> dict[str, str]:
        """What else tells these data from others: nothing."""
        return {}

    def weigh_classes(self, by_entropy: bool) -> None:
        """Weigh the tasks' losses by the classes as they are trained on.

        `class_weight` makes other shares of them, and so do targets that follow from
        those of another task.
        """
        of_tasks = zip(self.tasks, self.targets.codes, self.weights.T, strict=True)
        for task, codes, weight in of_tasks:
            if codes is not None:
                totals = np.bincount(codes, weight, len(task.classes))
                task.weigh_classes(totals, by_entropy)

    def with_folds(self, n_folds: int, seed: int) -> FitData:
        """Deal the rows out to folds of even size and like labels."""
        folds = np.zeros(len(self.weights), dtype=int)
        labels = self.targets.labels(self.rows)
        rng = np.random.default_rng(seed)
        folds[self.rows] = spread_over_folds(labels, n_folds, rng)
        return replace(self, folds=folds, n_folds=n_folds)

    def set_aside(self, fraction: float, seed: int, by: str) -> tuple[FitData, FitData]:
        """Set validation rows aside, stratified by the joint labels where possible.

        The parameter that asks for it, as in `by`, is named in the error.

        Raises
        ------
        ValueError
            If there are too few rows.
        """
        for stratify in (self.targets.groups(self.rows), None):
            try:
                train, validation = train_test_split(
                    self.rows, test_size=fraction, random_state=seed, stratify=stratify
                )
                train, validation = self._with_all_tasks(train, validation)
                return replace(self, rows=train), replace(self, rows=validation)
            except ValueError as error:
                # Too few rows for every group of labels on both sides.
                if stratify is None:
                    raise ValueError(
                        f"{by} cannot set aside validation_fraction={fraction} of "
                        f"{len(self.rows)} rows: {error}"
                    ) from error
        raise AssertionError("unreachable")

    def _with_all_tasks(
        self, train: np.ndarray, validation: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take a row back for each task whose targets were all set aside."""
        for of_task in self.weights.T > 0:
            if of_task[validation].any() and not of_task[train].any():
                row = validation[of_task[validation]][:1]
                train = np.append(train, row)
                validation = np.setdiff1d(validation, row)
        return train, validation

    def for_training(
        self, dtype: str, groups: Sequence[Sequence[int]] = ()
    ) -> TaskData:
        """Bring each task's weights to mean one over the rows that count.

        Rows of all but the first of `groups`, of tasks of few targets, are repeated.
        """
        means = self.weights[self.rows].mean(axis=0)
        data = self.scaled(dtype, loss_factors(self.tasks, means))
        return replace(data, repeats=self._repeats(groups[1:]))

    def scaled(self, dtype: str, factors: np.ndarray) -> TaskData:
        """Multiply each task's weights by a factor."""
        from sklearn_mmoe._batches.arrays import TaskData

        weights = self.weights * factors
        targets = [
            # Indices of classes, or floats.
            column.astype(np.int32 if column.ndim == 1 else dtype)
            for column in self.targets.columns
        ]
        return TaskData(
            self.features,
            targets,
            weights.astype(dtype),
            self.rows,
            self.folds,
            self.n_folds,
        )

    def _repeats(self, scarce: Sequence[Sequence[int]]) -> np.ndarray | None:
        """Say how often each row is trained on in an epoch; None is once.

        Batches of all rows have few targets of a scarce task, and their gradients would
        be mostly noise.
        """
        repeats = np.ones(len(self.weights), dtype=int)
        for group in scarce:
            has_target = self.weights[:, list(group)].sum(axis=1) > 0
            share = np.count_nonzero(has_target[self.rows]) / len(self.rows)
            times = max(1, round(_SHARE_OF_SCARCE / share))
            repeats[has_target] = np.maximum(repeats[has_target], times)
        return repeats if repeats.max() > 1 else None


def loss_factors(tasks: Sequence[Any], means: np.ndarray) -> np.ndarray:
    """Say what weights of these means are multiplied by for training, by task."""
    scales = np.array([task.loss_scale for task in tasks])
    # A task without any target among the rows keeps its zero weights.
    return scales / np.where(means > 0, means, 1)


@dataclass(frozen=True)
class Seeds:
    """Seeds of the network, of the order of the rows and of the validation split."""

    network: int
    shuffle: int
    split: int

    @classmethod
    def draw(cls, random_state: Any) -> Seeds:
        """Derive the three seeds from `random_state`."""
        words = _seed_sequence(random_state).generate_state(3) >> 1
        return cls(*(int(word) for word in words))


def _seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Turn `random_state` into entropy.

    None takes it from the operating system: scikit-learn's custom, to draw from
    NumPy's global generator, would change that generator's state.
    """
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(random_state.randint(2**31))
    return np.random.SeedSequence(int(random_state))
