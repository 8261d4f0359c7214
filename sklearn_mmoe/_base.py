"""What both estimators share: validation, fitting, early stopping, prediction.

This is scikit-learn's side of the wall. Keras and TensorFlow are loaded at the first
``fit``, through :mod:`sklearn_mmoe._engine`, which takes plain arrays.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MultiOutputMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

if TYPE_CHECKING:
    from sklearn_mmoe._engine import Engine, History, TaskData, TrainingPlan

# 'auto' trains for this many updates, within these bounds on the epochs.
_AUTO_UPDATES = 1500
_AUTO_EPOCHS = (8, 200)
_AUTO_BATCH_SIZE = (16, 256)


def _auto_batch_size(n_samples: int) -> int:
    """Choose a power of two near n_samples / 100, within bounds."""
    power = int(np.log2(max(n_samples / 100, 1)))
    return int(np.clip(2**power, *_AUTO_BATCH_SIZE))


def _auto_epochs(n_batches: int) -> int:
    return int(np.clip(-(-_AUTO_UPDATES // n_batches), *_AUTO_EPOCHS))


def _check_numeric_columns(X: Any, estimator_name: str) -> None:
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


def _has_text(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


def _check_units(name: str, sizes: Any) -> tuple[int, ...]:
    """Bring a width or a sequence of widths to a tuple of ints."""
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(
            f"The {name!r} parameter must be a positive int or a sequence of them, got "
            f"{sizes!r}."
        )
    return tuple(int(size) for size in sizes)


@dataclass(frozen=True)
class _EncodedTargets:
    """Targets as the engine wants them.

    Attributes
    ----------
    columns : list of ndarray
        Each task's targets, shaped as its loss takes them.
    kinds : list of str
        Each task's kind of loss.
    units : list of int
        Width of each task's output.
    groups : ndarray of shape (n_samples,) or None
        Joint classes for stratified splitting.
    """

    columns: list[np.ndarray]
    kinds: list[str]
    units: list[int]
    groups: np.ndarray | None = None


class _BaseMultiTaskMMoE(MultiOutputMixin, BaseEstimator, metaclass=ABCMeta):
    """Everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict[str, list[Any]] = {
        "num_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_units": [Interval(Integral, 1, None, closed="left")],
        "expert_layers": [Interval(Integral, 1, None, closed="left")],
        "shared_units": ["array-like", Interval(Integral, 1, None, closed="left")],
        "tower_units": ["array-like", Interval(Integral, 1, None, closed="left")],
        "gate": [StrOptions({"multi", "single"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "optimizer": [
            StrOptions({"adamw", "adam", "nadam", "lion", "rmsprop", "sgd"}),
            HasMethods(["apply_gradients", "get_config"]),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"cosine", "constant"})],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "max_iter": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "callbacks": [None, "array-like", HasMethods(["set_model", "on_epoch_end"])],
    }

    def __init__(
        self,
        num_experts: int = 8,
        *,
        expert_units: int = 32,
        expert_layers: int = 1,
        shared_units: Any = (128,),
        tower_units: Any = (16,),
        gate: str = "multi",
        dropout: float = 0.2,
        optimizer: Any = "adamw",
        learning_rate: float = 2e-3,
        learning_rate_schedule: str = "cosine",
        weight_decay: float = 0.01,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        callbacks: Any = None,
    ) -> None:
        self.num_experts = num_experts
        self.expert_units = expert_units
        self.expert_layers = expert_layers
        self.shared_units = shared_units
        self.tower_units = tower_units
        self.gate = gate
        self.dropout = dropout
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.callbacks = callbacks

    @abstractmethod
    def _encode_targets(self, y: Any, resume: bool) -> _EncodedTargets:
        """Validate y, set what is learned from it, and give arrays for training."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_engine")

    @property
    def network_(self) -> Any:
        """keras.Model: the trained network; its outputs are logits or z-scores."""
        check_is_fitted(self)
        return self._engine.network

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train one network on all tasks.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values. Sparse input is never made
            dense as a whole.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task. The column names of a data frame become
            `task_names_`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Non-negative weights of the rows in every task's loss; only their
            proportions count. Rows of zero weight are left out.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of range, X and y do not fit together, X holds NaN,
            infinity or text, weights are negative or all zero, or, for a classifier,
            a task has a single class (the message names it).
        """
        resume = self.warm_start and hasattr(self, "_engine")
        X = self._validate_features(X, reset=not resume)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        weight = self._validate_weight(sample_weight, X)
        check_consistent_length(X, y)
        targets = self._encode_targets(y, resume)
        rows = np.flatnonzero(weight)
        seeds = _seed_sequence(self.random_state).generate_state(3) >> 1
        network_seed, shuffle_seed, split_seed = (int(seed) for seed in seeds)
        if self.early_stopping:
            rows, validation_rows = self._split(rows, targets, split_seed)
        if not resume:
            self._forget()
            self._start_engine(X.shape[1], targets, network_seed)
        data = _task_data(X, targets, weight, rows)
        validation = (
            _task_data(X, targets, weight, validation_rows)
            if self.early_stopping
            else None
        )
        self._train(data, validation, shuffle_seed)
        return self

    def _validate_features(self, X: Any, reset: bool) -> Any:
        if reset or hasattr(X, "columns"):
            _check_numeric_columns(X, type(self).__name__)
        # What float32 cannot hold becomes infinite, and is then refused by name.
        with np.errstate(over="ignore", invalid="ignore"):
            return validate_data(
                self, X, accept_sparse="csr", dtype=np.float32, reset=reset
            )

    def _validate_weight(self, sample_weight: Any, X: Any) -> np.ndarray:
        if sample_weight is None:
            return np.ones(X.shape[0], dtype=np.float32)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weight < 0).any():
            raise ValueError(
                "Negative values in data passed to `sample_weight`; weights must be 0 "
                "or more."
            )
        if not weight.any():
            raise ValueError(
                "`sample_weight` is zero for every row; at least one weight must be "
                "positive."
            )
        return weight

    def _split(
        self, rows: np.ndarray, targets: _EncodedTargets, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Set validation rows aside, stratified by the joint labels where possible."""
        groups = None if targets.groups is None else targets.groups[rows]
        for stratify in (groups, None):
            try:
                return train_test_split(
                    rows,
                    test_size=self.validation_fraction,
                    random_state=seed,
                    stratify=stratify,
                )
            except ValueError as error:
                # Too few rows for every group of labels on both sides.
                if stratify is None:
                    raise ValueError(
                        f"early_stopping=True cannot set aside validation_fraction="
                        f"{self.validation_fraction} of {len(rows)} rows: {error}"
                    ) from error
        raise AssertionError("unreachable")

    def _forget(self) -> None:
        """Drop what an earlier fit recorded; a failed fit leaves no mixture."""
        self.n_iter_ = 0
        self.t_ = 0
        self.loss_curve_: list[float] = []
        self.task_loss_curves_: dict[str, list[float]] = {
            name: [] for name in self.task_names_
        }
        self.validation_scores_: list[float] | None = None

    def _start_engine(
        self, n_features: int, targets: _EncodedTargets, seed: int
    ) -> None:
        from sklearn_mmoe._engine import Engine

        self._engine: Engine = Engine(
            n_features,
            targets.kinds,
            targets.units,
            {
                "num_experts": int(self.num_experts),
                "expert_units": int(self.expert_units),
                "expert_layers": int(self.expert_layers),
                "shared_units": _check_units("shared_units", self.shared_units),
                "tower_units": _check_units("tower_units", self.tower_units),
                "gate": self.gate,
                "dropout": float(self.dropout),
                "seed": seed,
            },
        )

    def _training_plan(self, n_rows: int, seed: int) -> TrainingPlan:
        from sklearn_mmoe._engine import TrainingPlan

        size = self.batch_size
        size = _auto_batch_size(n_rows) if size == "auto" else min(int(size), n_rows)
        epochs = self.max_iter
        epochs = _auto_epochs(-(-n_rows // size)) if epochs == "auto" else int(epochs)
        return TrainingPlan(
            optimizer=self.optimizer,
            learning_rate=float(self.learning_rate),
            learning_rate_schedule=self.learning_rate_schedule,
            weight_decay=float(self.weight_decay),
            batch_size=size,
            epochs=epochs,
            seed=seed,
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
        )

    def _train(self, data: TaskData, validation: TaskData | None, seed: int) -> None:
        # A second warm fit shuffles otherwise than the first.
        plan = self._training_plan(len(data.rows), seed + self.n_iter_)
        callbacks = self._callback_list()
        history = self._engine.fit(
            data,
            plan,
            validation=validation,
            callbacks=callbacks,
            on_epoch=self._print_epoch(plan.epochs) if self.verbose else None,
        )
        self._record(history, len(data.rows))

    def _callback_list(self) -> list[Any]:
        """Bring `callbacks` to a list, and tell ours which estimator they watch."""
        given = self.callbacks
        callbacks = [] if given is None else given
        if hasattr(callbacks, "set_model"):
            callbacks = [callbacks]
        for callback in callbacks:
            if not hasattr(callback, "set_model"):
                raise TypeError(
                    "The 'callbacks' parameter must hold keras.callbacks.Callback "
                    f"objects, got {callback!r}."
                )
            if hasattr(callback, "set_estimator"):
                callback.set_estimator(self)
        return list(callbacks)

    def _print_epoch(self, epochs: int) -> Any:
        def print_epoch(epoch: int, history: History) -> None:
            tasks = zip(self.task_names_, history.task_loss[-1], strict=True)
            parts = ", ".join(f"{name} {loss:.4f}" for name, loss in tasks)
            line = f"Epoch {epoch + 1}/{epochs}, loss {history.loss[-1]:.4f} ({parts})"
            if history.validation_loss:
                line += f", validation loss {history.validation_loss[-1]:.4f}"
            print(line)

        return print_epoch

    def _record(self, history: History, n_rows: int) -> None:
        self.n_iter_ += len(history.loss)
        self.t_ += len(history.loss) * n_rows
        self.loss_curve_ += history.loss
        self.loss_ = history.loss[-1]
        for k, name in enumerate(self.task_names_):
            self.task_loss_curves_[name] += [losses[k] for losses in history.task_loss]
        if history.validation_loss:
            # Scores, as scikit-learn has them: greater is better.
            scores = [-loss for loss in history.validation_loss]
            self.validation_scores_ = (self.validation_scores_ or []) + scores
            self.best_validation_score_: float | None = max(self.validation_scores_)
            self.best_loss_: float | None = None
        else:
            self.best_validation_score_ = None
            self.best_loss_ = min(self.loss_curve_)

    def _raw_predictions(self, X: Any) -> list[np.ndarray]:
        """Give each task's outputs as float64 (n_samples, units)."""
        check_is_fitted(self)
        X = self._validate_features(X, reset=False)
        return [output.astype(np.float64) for output in self._engine.predict(X)]


def _task_data(
    X: Any, targets: _EncodedTargets, weight: np.ndarray, rows: np.ndarray
) -> TaskData:
    """Bring the weights to mean one over `rows`, and put all into one object."""
    from sklearn_mmoe._engine import TaskData

    scaled = (weight / weight[rows].mean()).astype(np.float32)
    return TaskData(X, targets.columns, [scaled] * len(targets.columns), rows)


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
