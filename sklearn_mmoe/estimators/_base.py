"""What both estimators share: validation, fitting, early stopping, prediction.

This is scikit-learn's side of the wall. Keras and TensorFlow are loaded at the first
``fit``, through :mod:`sklearn_mmoe._training.engine`, which takes plain arrays.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MultiOutputMixin, _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._sklearn.callbacks import CallbackSupportMixin, EpochHooks
from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.progress import EpochProgress
from sklearn_mmoe._tasks.columns import TaskColumns, split_columns
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.weights import (
    apply_class_factors,
    check_positive_weights,
    class_factors,
    row_weights,
)
from sklearn_mmoe.estimators._auto import auto_batch_size, auto_epochs
from sklearn_mmoe.estimators._fit_input import (
    EncodedTargets,
    Rows,
    Seeds,
    check_numeric_columns,
    check_units,
    encode_targets,
)
from sklearn_mmoe.estimators._summary import summary_table
from sklearn_mmoe.estimators._task_view import task_view
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.metrics._scoring import accepts_sample_weight, warn_once

if TYPE_CHECKING:
    from sklearn_mmoe._training.engine import Engine, History, TaskData, TrainingPlan

# A first call of partial_fit sets the penalty as if it brought so many rows at least.
_ROWS_TO_COME = 10_000


def partial_fit_available(estimator: Any) -> bool:
    """Tell scikit-learn, and by an AttributeError the user, when there is none."""
    if estimator.early_stopping:
        raise AttributeError("There is no partial_fit with early_stopping=True.")
    return True


def _one_number(score: Any) -> float:
    if isinstance(score, Mapping):
        raise TypeError(
            f"'early_stopping_metric' must give one number, got {dict(score)}; take "
            "mean_task_scorer or task_scorer."
        )
    if np.isnan(score):
        raise ValueError(
            "'early_stopping_metric' is NaN for every task on the validation rows, and "
            "cannot tell when to stop. Take rows with labels of all classes, or "
            "another metric, such as 'loss'."
        )
    return float(score)


class _BaseMultiTaskMMoE(
    DocumentationLinkMixin,
    CallbackSupportMixin,
    MultiOutputMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict[str, list[Any]] = {
        "num_experts": [Interval(Integral, 1, None, closed="left")],
        "expert_units": [Interval(Integral, 1, None, closed="left")],
        "expert_layers": [Interval(Integral, 1, None, closed="left")],
        "shared_units": ["array-like", Interval(Integral, 1, None, closed="left")],
        "tower_units": ["array-like", Interval(Integral, 1, None, closed="left")],
        "gate": [StrOptions({"multi", "single"})],
        "activation": [StrOptions({"relu", "silu", "gelu", "tanh"})],
        "wide": ["boolean"],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "feature_penalty": [Interval(Real, 0, None, closed="left")],
        "dtype": [StrOptions({"float32", "float64"})],
        "optimizer": [
            StrOptions({"adamw", "adam", "nadam", "lion", "rmsprop", "sgd"}),
            HasMethods(["apply_gradients", "get_config"]),
        ],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_schedule": [StrOptions({"linear", "constant"})],
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
        "early_stopping_metric": [str, callable],
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
        shared_units: Any = (96,),
        tower_units: Any = (16,),
        gate: str = "multi",
        activation: str = "silu",
        wide: bool = True,
        dropout: float = 0.2,
        feature_penalty: float = 0.0075,
        optimizer: Any = "adamw",
        learning_rate: float = 1e-2,
        learning_rate_schedule: str = "linear",
        weight_decay: float = 0.1,
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        early_stopping: bool = False,
        early_stopping_metric: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        callbacks: Any = None,
        dtype: str = "float32",
    ) -> None:
        self.num_experts = num_experts
        self.expert_units = expert_units
        self.expert_layers = expert_layers
        self.shared_units = shared_units
        self.tower_units = tower_units
        self.gate = gate
        self.activation = activation
        self.wide = wide
        self.dropout = dropout
        self.feature_penalty = feature_penalty
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.early_stopping_metric = early_stopping_metric
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.dtype = dtype

    _tasks: list[Any]

    @abstractmethod
    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        """Learn from the targets what kind of tasks they are, and their classes."""

    def _publish_tasks(self, y: Any) -> None:
        """Set the fitted attributes that say of the tasks what a user may ask."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_engine")

    @property
    def network_(self) -> Any:
        """The trained ``keras.Model``; its outputs are logits or z-scores."""
        check_is_fitted(self)
        return self._engine.network

    def task(self, name: Any) -> Any:
        """Return one task of the fitted estimator as an estimator of its own.

        Parameters
        ----------
        name : str, int or another column label
            The task's name, or its index.

        Returns
        -------
        view : TaskClassifierView or TaskRegressorView
            An estimator of one output with ``predict``, ``score`` and, of a
            classification, ``classes_``, ``predict_proba`` and ``predict_log_proba``,
            for what takes one output only: ``CalibratedClassifierCV(FrozenEstimator(
            clf.task("income")))``, ``PartialDependenceDisplay``. It predicts with
            this estimator as it is, and cannot be fitted. Behind a preprocessor,
            ``make_pipeline(pipeline[:-1], pipeline[-1].task("income"))`` takes what
            the pipeline takes.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there is no such task.
        """
        check_is_fitted(self)
        return task_view(self, name)

    def summary(self) -> pd.DataFrame:
        """List the layers of the trained network.

        Returns
        -------
        data frame of shape (n_layers, 4)
            A line for each layer, by its name in ``network_``: 'part' (what it belongs
            to), 'kind' (its class), 'output' (shape of its output for one row; for the
            experts that of every task) and 'weights' (how many it has).

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        return summary_table(self._engine.layers(), self.task_names_)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train one network on all tasks.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values. Sparse input is never made
            dense as a whole.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task. The column names of a data frame become
            `task_names_`. NaN, None and ``pd.NA`` mean that a row has no target for
            this task: it then counts in none of this task's losses and scores, and
            rows without any target are left out.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Non-negative weights of the rows, in the loss of every task or of each;
            only their proportions count. Rows of zero weight are left out.
        X_val : {array-like, data frame, CSR matrix} of shape (n_val, n_features), \
                default=None
            Rows for early stopping, instead of a part of X. In a Pipeline with
            ``transform_input=["X_val"]`` they are transformed as X is.
        y_val : array-like or data frame of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their weights.

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
        self._check_validation_arguments(X_val, y_val, sample_weight_val)
        data, seeds = self._prepare(X, y, sample_weight, None, resume)
        if X_val is not None:
            validation = self._validation_data(X_val, y_val, sample_weight_val)
        elif self.early_stopping:
            data, validation = self._set_aside(data, seeds.split)
        else:
            validation = None
        plan = self._training_plan(len(data.rows), seeds.shuffle + self.n_iter_)
        hooks = EpochHooks(self, X, y, {"sample_weight": sample_weight}, plan.epochs)
        self._train(data, validation, plan, hooks)
        return self

    def _check_validation_arguments(
        self, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> None:
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together.")
        if X_val is None and sample_weight_val is not None:
            raise ValueError("sample_weight_val is for X_val and y_val; give them too.")
        if X_val is not None and not self.early_stopping:
            raise ValueError(
                "X_val and y_val are what early stopping watches; set "
                "early_stopping=True, or leave them out."
            )

    @_fit_context(prefer_skip_nested_validation=True)
    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        """Do one epoch over these rows, with the optimizer where it stood."""
        if getattr(self, "class_weight", None) == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which does "
                "not know how often each class will occur; give a dict for each task."
            )
        data, seeds = self._prepare(
            X,
            y,
            sample_weight,
            classes,
            resume=hasattr(self, "_engine"),
            least_rows=_ROWS_TO_COME,
        )
        plan = self._training_plan(len(data.rows), seeds.shuffle + self.n_iter_)
        plan = replace(
            plan, epochs=1, learning_rate_schedule="constant", continuing=True
        )
        self._train(data, None, plan)
        return self

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        classes: Any,
        resume: bool,
        least_rows: int = 1,
    ) -> tuple[Rows, Seeds]:
        """Validate the arguments of a fit, and make what is not there yet."""
        features = self._validate_features(X, reset=not resume)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        check_consistent_length(features, y)
        columns = split_columns(y)
        if resume:
            columns = self._match_tasks(columns)
        weights = row_weights(sample_weight, features, columns.names)
        seeds = Seeds.draw(self.random_state)
        architecture = self._architecture(seeds.network)
        tasks = self._tasks if resume else self._find_tasks(columns, weights, classes)
        targets = encode_targets(tasks, columns)
        weights = self._all_weights(weights, tasks, targets)
        # Calls of partial_fit may well bring nothing for one of the tasks.
        check_positive_weights(
            weights, columns.names, each=not resume and classes is None
        )
        rows = np.flatnonzero(weights.any(axis=1))
        if not resume:
            self._tasks = tasks
            self.n_outputs_ = len(tasks)
            self.task_names_ = columns.names
            self._publish_tasks(y)
            self._forget()
            architecture["feature_penalty"] /= np.sqrt(max(len(rows), least_rows))
            self._start_engine(features.shape[1], architecture)
        n_left_out = len(weights) - len(rows)
        if self.verbose and n_left_out:
            print(f"{n_left_out} rows without any target or weight are left out.")
        return Rows(X, y, features, sample_weight, targets, weights, rows), seeds

    def _match_tasks(self, columns: TaskColumns) -> TaskColumns:
        """Bring targets into the order of the fitted tasks, by name."""
        return columns.matched(self.task_names_, type(self).__name__)

    def _all_weights(
        self, weights: np.ndarray, tasks: list[Any], targets: EncodedTargets
    ) -> np.ndarray:
        """Put together the weights of rows and classes, and zero without a target."""
        weights = weights * targets.observed
        class_weight = getattr(self, "class_weight", None)
        factors = class_factors(weights, class_weight, tasks, targets.codes)
        apply_class_factors(weights, factors, targets.codes)
        return weights

    def _validate_features(self, X: Any, reset: bool) -> Any:
        if reset or hasattr(X, "columns"):
            check_numeric_columns(X, type(self).__name__)
        dtype = np.dtype(self.dtype if reset else self._engine.dtype)
        # What the dtype cannot hold becomes infinite, and is then refused by name.
        with np.errstate(over="ignore", invalid="ignore"):
            return validate_data(self, X, accept_sparse="csr", dtype=dtype, reset=reset)

    def _validation_data(self, X: Any, y: Any, sample_weight: Any) -> Rows:
        """Validate the rows that the user gave for early stopping."""
        features = self._validate_features(X, reset=False)
        check_consistent_length(features, y)
        columns = split_columns(y)
        columns = self._match_tasks(columns)
        weights = row_weights(sample_weight, features, self.task_names_)
        targets = encode_targets(self._tasks, columns)
        weights = self._all_weights(weights, self._tasks, targets)
        rows = np.arange(len(weights))
        return Rows(X, y, features, sample_weight, targets, weights, rows)

    def _set_aside(self, data: Rows, seed: int) -> tuple[Rows, Rows]:
        """Set validation rows aside, stratified by the joint labels where possible."""
        groups = data.targets.groups()
        for stratify in (None if groups is None else groups[data.rows], None):
            try:
                train, validation = train_test_split(
                    data.rows,
                    test_size=self.validation_fraction,
                    random_state=seed,
                    stratify=stratify,
                )
                return replace(data, rows=train), replace(data, rows=validation)
            except ValueError as error:
                # Too few rows for every group of labels on both sides.
                if stratify is None:
                    raise ValueError(
                        f"early_stopping=True cannot set aside validation_fraction="
                        f"{self.validation_fraction} of {len(data.rows)} rows: {error}"
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

    def _architecture(self, seed: int) -> dict[str, Any]:
        return {
            "num_experts": int(self.num_experts),
            "expert_units": int(self.expert_units),
            "expert_layers": int(self.expert_layers),
            "shared_units": check_units("shared_units", self.shared_units),
            "tower_units": check_units("tower_units", self.tower_units),
            "gate": self.gate,
            "activation": self.activation,
            "wide": bool(self.wide),
            "dropout": float(self.dropout),
            "feature_penalty": float(self.feature_penalty),
            "dtype": self.dtype,
            "seed": seed,
        }

    def _start_engine(self, n_features: int, architecture: dict[str, Any]) -> None:
        from sklearn_mmoe._training.engine import Engine

        self._engine: Engine = Engine(
            n_features,
            [task.kind for task in self._tasks],
            [task.units for task in self._tasks],
            architecture,
        )

    def _training_plan(self, n_rows: int, seed: int) -> TrainingPlan:
        from sklearn_mmoe._training.engine import TrainingPlan

        size = self.batch_size
        size = auto_batch_size(n_rows) if size == "auto" else min(int(size), n_rows)
        epochs = self.max_iter
        epochs = auto_epochs(n_rows, size) if epochs == "auto" else int(epochs)
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

    def _train(
        self,
        data: Rows,
        validation: Rows | None,
        plan: TrainingPlan,
        hooks: EpochHooks | None = None,
    ) -> None:
        callbacks = self._callback_list()
        score = None if validation is None else self._validation_score(validation)
        task_data = self._task_data(data)

        def on_epoch_end(epoch: int, history: History) -> bool:
            self._record(history, len(data.rows))
            progress.show(epoch, self._last_losses())
            return hooks is not None and hooks.end_epoch()

        with EpochProgress(plan.epochs, self.verbose) as progress:
            self._engine.fit(
                task_data,
                plan,
                score=score,
                callbacks=callbacks,
                on_epoch_begin=None if hooks is None else hooks.begin_epoch,
                on_epoch_end=on_epoch_end,
            )
        if hooks is not None:
            hooks.end_fit()

    def _task_data(self, data: Rows) -> TaskData:
        """Bring each task's weights to mean one over the rows that count."""
        from sklearn_mmoe._training.engine import TaskData

        means = data.weights[data.rows].mean(axis=0)
        scales = np.array([task.loss_scale for task in self._tasks])
        # A task without any target among these rows keeps its zero weights.
        factors = scales / np.where(means > 0, means, 1)
        weights = (data.weights * factors).astype(self._engine.dtype)
        # In memory, each task's weights lie in a row.
        return TaskData(
            data.features,
            [self._for_loss(column) for column in data.targets.columns],
            list(weights.T.copy()),
            data.rows,
        )

    def _for_loss(self, targets: np.ndarray) -> np.ndarray:
        """Give targets the type that their loss computes in: indices, or floats."""
        return targets.astype(np.int32 if targets.ndim == 1 else self._engine.dtype)

    def _validation_score(self, data: Rows) -> Callable[[], float]:
        """Give a function that scores the validation rows; greater is better."""
        if self.early_stopping_metric == "loss":
            task_data = self._task_data(data)
            return lambda: -self._engine.loss(task_data)
        scorer = self.early_stopping_metric
        if isinstance(scorer, str):
            scorer = mean_task_scorer(scorer)
        X, y = _safe_indexing(data.X, data.rows), _safe_indexing(data.y, data.rows)
        arguments = {}
        if data.sample_weight is not None and accepts_sample_weight(scorer):
            arguments["sample_weight"] = _safe_indexing(data.sample_weight, data.rows)
        return warn_once(lambda: _one_number(scorer(self, X, y, **arguments)))

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

    def _last_losses(self) -> str:
        """Put the losses of the epoch that has just ended into words."""
        parts = ", ".join(
            f"{name} {losses[-1]:.4f}"
            for name, losses in self.task_loss_curves_.items()
        )
        line = f"loss {self.loss_:.4f} ({parts})"
        if self.validation_scores_ is not None:
            line += f", validation score {self.validation_scores_[-1]:.4f}"
        return line

    def _record(self, history: History, n_rows: int) -> None:
        """Record the epoch that has just ended."""
        self.n_iter_ += 1
        self.t_ += n_rows
        self.loss_ = history.loss[-1]
        self.loss_curve_.append(self.loss_)
        for name, loss in zip(self.task_names_, history.task_loss[-1], strict=True):
            self.task_loss_curves_[name].append(loss)
        if history.validation_scores:
            self.validation_scores_ = self.validation_scores_ or []
            self.validation_scores_.append(history.validation_scores[-1])
            self.best_validation_score_: float | None = max(self.validation_scores_)
            self.best_loss_: float | None = None
        else:
            self.best_validation_score_ = None
            self.best_loss_ = min(self.loss_curve_)

    def _decoded(self, X: Any) -> list[np.ndarray]:
        """Predict each task's labels or values."""
        outputs = self._raw_predictions(X)
        return [
            task.decode(output)
            for task, output in zip(self._tasks, outputs, strict=True)
        ]

    def _probabilities(self, X: Any) -> list[np.ndarray]:
        """Predict the class probabilities of each classification."""
        outputs = self._raw_predictions(X)
        return [
            task.probabilities(output)
            for task, output in zip(self._tasks, outputs, strict=True)
            if isinstance(task, LabelTask)
        ]

    def _raw_predictions(self, X: Any) -> list[np.ndarray]:
        """Give each task's outputs as float64 (n_samples, units)."""
        check_is_fitted(self)
        X = self._validate_features(X, reset=False)
        return [output.astype(np.float64) for output in self._engine.predict(X)]

    def _mixture(self, X: Any, part: str) -> np.ndarray:
        """Give the outputs of the experts or the gates; see ``Engine.mixture``."""
        check_is_fitted(self)
        return self._engine.mixture(self._validate_features(X, reset=False), part)
