"""What the estimators share: the order of a fit, prediction, and nothing else.

This is scikit-learn's side of the wall. Keras and TensorFlow are loaded at the first
``fit``, through :mod:`sklearn_mmoe._training.engine`, which takes plain arrays.
"""

from __future__ import annotations

import copy
import os
from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MultiOutputMixin, _fit_context
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from sklearn_mmoe._files.frames import pandas_from_state, pandas_to_state
from sklearn_mmoe._sklearn.callbacks import CallbackSupportMixin, SklearnCallbacks
from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.progress import EpochProgress
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.columns import TaskColumns, split_columns
from sklearn_mmoe._tasks.dependencies import dependency_pairs, follow_dependencies
from sklearn_mmoe._tasks.encode import EncodedTargets, encode_targets
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.weights import (
    apply_class_factors,
    check_positive_weights,
    class_factors,
    count_classes,
    row_weights,
    weights_between_tasks,
)
from sklearn_mmoe.estimators._calibration import (
    calibrated,
    check_calibration,
    is_calibrating,
    refuse_calibration,
    temperatures,
    uncalibrated,
)
from sklearn_mmoe.estimators._candidates import (
    Candidate,
    candidates,
    check_cv,
    for_members,
    loss_table,
    weakest,
    with_folds,
)
from sklearn_mmoe.estimators._checkpoints import fingerprint, open_checkpoints
from sklearn_mmoe.estimators._exports import ExportMixin
from sklearn_mmoe.estimators._fit_data import FitData, Seeds, check_numeric_columns
from sklearn_mmoe.estimators._fitted import (
    fitted_attributes,
    is_fitted,
    unchanged_on_error,
)
from sklearn_mmoe.estimators._gates import (
    names_in_members,
    use_table,
    warn_of_idle_gates,
)
from sklearn_mmoe.estimators._parameters import (
    PARAMETER_CONSTRAINTS,
    auto_batch_size,
    auto_epochs,
    network_parameters,
)
from sklearn_mmoe.estimators._recorder import Recorder, forget, in_words
from sklearn_mmoe.estimators._summary import summary_table
from sklearn_mmoe.estimators._task_view import task_view
from sklearn_mmoe.estimators._validation import (
    check_task_weighting,
    check_validation_arguments,
    find_scorer,
    validation_score,
)

if TYPE_CHECKING:
    from sklearn_mmoe._training.checkpoint import Checkpoints
    from sklearn_mmoe._training.engine import Engine
    from sklearn_mmoe._training.loop import TrainingPlan

# The penalty and the weight decay depend on the number of rows, which is not known when
# partial_fit is called first. The penalty is set as for this many, or for those of the
# first call if these are more; the weight decay of every call as for just so many.
_ROWS_TO_COME = 10_000
# Fewest updates after which gates that use no more than some experts are warned of.
_UPDATES_OF_GATES = 100


def partial_fit_available(estimator: Any) -> bool:
    """Tell scikit-learn, and by an AttributeError the user, when there is none."""
    if estimator.early_stopping:
        raise AttributeError("There is no partial_fit with early_stopping=True.")
    return True


class _BaseMultiTaskMMoE(
    ExportMixin,
    DocumentationLinkMixin,
    VersionedStateMixin,
    CallbackSupportMixin,
    MultiOutputMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Everything that does not depend on the kind of the targets."""

    _parameter_constraints: dict[str, list[Any]] = PARAMETER_CONSTRAINTS

    def __init__(
        self,
        num_experts: int = 8,
        *,
        loss: Any = "squared_error",
        sharing: str = "mmoe",
        num_task_experts: int = 2,
        num_levels: int = 2,
        expert_units: Any = 32,
        shared_units: Any = (96,),
        tower_units: Any = (16,),
        match_parameters: str | int | None = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        activation: str = "silu",
        wide: bool = True,
        dropout: float = 0.2,
        feature_penalty: float | str = "auto",
        optimizer: Any = "adamw",
        learning_rate: float = 1e-2,
        learning_rate_schedule: str = "linear",
        weight_decay: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        task_weight: Any = "observed",
        task_weighting: str = "uniform",
        early_stopping: bool = False,
        early_stopping_metric: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        cv: Any = "auto",
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        checkpoint_dir: Any = None,
        callbacks: Any = None,
        network: Any = None,
        dtype: str = "float32",
    ) -> None:
        self.num_experts = num_experts
        self.loss = loss
        self.sharing = sharing
        self.num_task_experts = num_task_experts
        self.num_levels = num_levels
        self.expert_units = expert_units
        self.shared_units = shared_units
        self.tower_units = tower_units
        self.match_parameters = match_parameters
        self.gate_dropout = gate_dropout
        self.gate_temperature = gate_temperature
        self.load_balance_penalty = load_balance_penalty
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
        self.task_weight = task_weight
        self.task_weighting = task_weighting
        self.early_stopping = early_stopping
        self.early_stopping_metric = early_stopping_metric
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.cv = cv
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.network = network
        self.dtype = dtype

    _engine: Engine
    _tasks: list[Any]
    _split_seed: int
    _expert_use: np.ndarray | None

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
        return is_fitted(self)

    def __getstate__(self) -> dict[str, Any]:
        return pandas_to_state(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(pandas_from_state(state))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, which :func:`sklearn_mmoe.load` reads.

        The file contains text and numbers, and no code: unlike a pickle, loading it
        runs nothing. An older file is replaced in one step, so that it is still there
        after a full disk or a crash.

        Parameters
        ----------
        path : str or path-like
            The file to write, such as 'model.mmoe'.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a parameter holds code: `callbacks`, a `network` builder, an optimizer
            object, or a scorer other than those of :mod:`sklearn_mmoe.metrics`.
        OSError
            If the file cannot be written.

        See Also
        --------
        sklearn_mmoe.load : Load such a file.
        """
        from sklearn_mmoe._files.estimator import save

        save(self, path)

    @property
    def network_(self) -> Any:
        """The trained ``keras.Model``; its outputs are logits or z-scores."""
        check_is_fitted(self)
        return self._engine.network.model

    @property
    def n_parameters_(self) -> int:
        """Number of weights of the network."""
        check_is_fitted(self)
        return self._engine.n_weights

    @property
    def expert_use_(self) -> pd.DataFrame | None:
        """Mean weight of each expert in each task; None without gates."""
        check_is_fitted(self)
        if self._expert_use is None:
            return None
        experts = names_in_members(self._engine.spec, self.task_names_)
        return use_table(self._expert_use, self.task_names_, experts)

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
            A row for each layer, by its name in ``network_``: 'part' (what it belongs
            to), 'kind' (its class), 'output' (shape of its output for one row; for the
            experts, of every task) and 'weights' (how many it has). For an ensemble
            trained with `cv` a row describes the layer of all members: the shape is
            (n_members, units), up to the layers that average them.

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
            Numeric features without missing values. Sparse input is made dense one
            batch at a time.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task. The column names of a data frame become
            `task_names_`. NaN, None and ``pd.NA`` mean that a row has no target for
            this task: it then counts in none of this task's losses and scores, and
            rows without any target are left out. Of a regression with the loss 'tobit'
            a column may hold intervals of pandas.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Non-negative weights of the rows, for all tasks or with a column for each;
            only their proportions count. Rows with weight zero are left out.
        X_val : {array-like, data frame, CSR matrix} of shape (n_val, n_features), \
                default=None
            Rows for early stopping, and the calibration of a classifier, instead of a
            part of X. In a Pipeline with
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
            infinity or text, weights are negative or all zero, a warm start is asked
            to go on with another network, `checkpoint_dir` has a checkpoint of
            another fit, or training diverges.
        TypeError
            If a callback is none of Keras', or a metric does not return one number.

        Notes
        -----
        A fit that fails, or is interrupted by Ctrl-C, leaves the estimator exactly as
        it was before.
        """
        check_validation_arguments(self, X_val, y_val, sample_weight_val)

        def read(seeds: Seeds, resume: bool) -> tuple[FitData, FitData | None]:
            data = self._read(X, y, sample_weight, resume=resume)
            held_out = None
            if X_val is not None:
                held_out = self._read_validation(data, X_val, y_val, sample_weight_val)
            elif self.early_stopping:
                # A warm start keeps the seed: rows once trained on stay on that side.
                if not (resume and hasattr(self, "_split_seed")):
                    self._split_seed = seeds.split
                data, held_out = data.set_aside(
                    self.validation_fraction, self._split_seed, "early_stopping=True"
                )
            if is_calibrating(self) and held_out is None:
                data, held_out = data.set_aside(
                    self.validation_fraction,
                    seeds.split,
                    f"calibration={self.calibration!r}",
                )
            if not (resume or self.early_stopping):
                data = with_folds(self, data, seeds.split)
            return data, held_out

        return self._fit_on(read)

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit_chunks(self, read: Callable[[Seeds, bool], Any]) -> Any:
        """Fit on rows that are read anew in each epoch; see ``out_of_core``."""
        return self._fit_on(read)

    def _fit_on(self, read: Callable[[Seeds, bool], Any]) -> Any:
        """Fit on what `read` returns: the rows to train on, and those set aside.

        It is called with the seeds, and with whether to go on with a fitted network.
        """
        check_cv(self)
        check_calibration(self)
        with unchanged_on_error(self):
            resume = self.warm_start and is_fitted(self)
            checkpoints, seeds = open_checkpoints(
                self.checkpoint_dir, Seeds.draw(self.random_state)
            )
            data, held_out = read(seeds, resume)
            self._begin(data, seeds, resume, data.n_rows)
            if checkpoints is not None:
                described = fingerprint(self, data, held_out, resume)
                checkpoints.begin(described, astuple(seeds))
            validation = held_out if self.early_stopping else None
            self._train(data, validation, self._plan(data), seeds, checkpoints)
            if is_calibrating(self) and held_out is not None:
                self._calibrate(held_out)
        if checkpoints is not None:
            checkpoints.clear()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        """Do one epoch over these rows, with the optimizer where it stood."""
        if getattr(self, "class_weight", None) == "balanced":
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which does "
                "not know how often each class will occur; give a dict for each task."
            )
        refuse_calibration(self)
        with unchanged_on_error(self):
            resume = is_fitted(self)
            seeds = Seeds.draw(self.random_state)
            data = self._read(X, y, sample_weight, resume=resume, classes=classes)
            n_rows = max(data.n_rows, _ROWS_TO_COME)
            self._begin(data, seeds, resume, n_rows)
            plan = self._plan(data, continuing=True)
            self._engine.check_optimizer(plan)
            self._train(data, None, plan, seeds)
        return self

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
        check_consistent_length(features, y)
        columns = split_columns(y)
        if resume:
            columns = columns.matched(self.task_names_, type(self).__name__)
        weights = row_weights(sample_weight, features, columns.names)
        tasks = self._tasks if resume else self._find_tasks(columns, weights, classes)
        data = self._encode(X, y, sample_weight, features, columns, weights, tasks)
        # Calls of partial_fit may well bring nothing for one of the tasks.
        each = not resume and classes is None
        check_positive_weights(data.weights, columns.names, each=each)
        n_left_out = len(data.weights) - len(data.rows)
        if self.verbose and n_left_out:
            print(f"{n_left_out} rows without any target or weight are left out.")
        return data

    def _read_validation(
        self, data: FitData, X: Any, y: Any, sample_weight: Any
    ) -> FitData:
        """Validate the rows that the user gave for early stopping."""
        features = self._validate_features(X, data.features.dtype)
        check_consistent_length(features, y)
        columns = split_columns(y)
        columns = columns.matched(data.names, type(self).__name__)
        try:
            weights = row_weights(sample_weight, features, columns.names)
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
            return validate_data(
                self, X, accept_sparse="csr", dtype=np.dtype(dtype), reset=reset
            )

    def _begin(self, data: FitData, seeds: Seeds, resume: bool, n_rows: int) -> None:
        """Set everything that training does not: the tasks, and a network for them.

        The penalty counts `n_rows`.
        """
        check_task_weighting(self, data.tasks)
        parameters = {
            **network_parameters(self),
            "loss": self.loss,
            "network": self.network,
        }
        if resume:
            self._check_same_network(parameters)
            self._engine = copy.copy(self._engine)
            # What they were found for is about to change.
            self._tasks = uncalibrated(self._tasks)
            self._publish_temperatures(None)
            return
        self._network_parameters = parameters
        self._tasks = data.tasks
        self.n_outputs_ = len(data.tasks)
        self.task_names_ = data.names
        self._publish_tasks(data.sample.y)
        self._publish_temperatures(None)
        forget(self, data.names)
        self._publish_strength(candidates(self, n_rows, data.n_folds)[0])
        self._engine = self._new_engine(data, seeds.network, n_rows)

    def _check_same_network(self, parameters: dict[str, Any]) -> None:
        """Refuse to go on with a network that the parameters no longer describe."""
        for name, before in self._network_parameters.items():
            if parameters[name] != before:
                raise ValueError(
                    f"{type(self).__name__} goes on with the network that it has "
                    f"(warm_start=True or partial_fit), which was made with "
                    f"{name}={before!r}, but {name} is now {parameters[name]!r}. Set "
                    "it back, or fit anew with warm_start=False."
                )

    def _new_engine(self, data: FitData, seed: int, n_rows: int) -> Any:
        from sklearn_mmoe._training.engine import Engine, NetworkSpec

        parameters = network_parameters(self)
        dependencies = parameters["task_dependencies"]
        parameters["task_dependencies"] = dependency_pairs(dependencies, data.tasks)
        compared = candidates(self, n_rows, data.n_folds)
        penalties = [c.feature_penalty / np.sqrt(n_rows) for c in compared]
        parameters["feature_penalty"] = for_members(penalties, data.n_folds)
        return Engine(
            NetworkSpec(
                n_features=data.n_features,
                kinds=tuple(task.kind for task in data.tasks),
                units=tuple(task.units for task in data.tasks),
                parameters=parameters,
                seed=seed,
                builder=self.network,
                n_members=data.n_folds and len(compared) * data.n_folds,
            )
        )

    def _plan(self, data: FitData, continuing: bool = False) -> TrainingPlan:
        """Decide how to train; with `continuing` one epoch of many calls."""
        from sklearn_mmoe._training.loop import TrainingPlan

        n_rows, size, n_epochs = data.n_rows, self.batch_size, self.max_iter
        several = data.n_folds is not None
        size = auto_batch_size(n_rows, several) if size == "auto" else int(size)
        size = min(size, n_rows)
        if n_epochs == "auto":
            n_epochs = auto_epochs(n_rows, size, several)
        task_weight = weights_between_tasks(self.task_weight, data.names, data.shares)
        alone = len(data.names) == 1
        # One optimizer serves all calls of partial_fit, however many rows each brings.
        rows_of_decay = _ROWS_TO_COME if continuing else n_rows
        compared = candidates(self, rows_of_decay, data.n_folds)
        decays = [c.weight_decay for c in compared]
        return TrainingPlan(
            optimizer=self.optimizer,
            learning_rate=float(self.learning_rate),
            learning_rate_schedule=(
                "constant" if continuing else self.learning_rate_schedule
            ),
            weight_decay=for_members(decays, data.n_folds),
            batch_size=size,
            n_epochs=1 if continuing else int(n_epochs),
            n_iter_no_change=int(self.n_iter_no_change),
            tol=float(self.tol),
            first_epoch=self.n_iter_,
            continuing=continuing,
            task_weight=task_weight,
            # One task alone has nothing to be weighed against.
            task_weighting="uniform" if alone else self.task_weighting,
            weakest=weakest(self, compared),
        )

    def _train(
        self,
        data: FitData,
        validation: FitData | None,
        plan: TrainingPlan,
        seeds: Seeds,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        """Train the network, and record how it went."""
        score, scorer = None, find_scorer(self)
        if validation is not None:
            score = validation_score(self, validation, scorer, plan.task_weight)
        n_rows, names, sample = data.n_rows, self.task_names_, data.sample
        hooks = SklearnCallbacks(
            self,
            sample.X,
            sample.y,
            {"sample_weight": sample.sample_weight},
            plan.n_epochs,
            fitted_attributes,
        )
        observers = (
            [Recorder(self, n_rows)]
            if plan.continuing
            else [Recorder(self, n_rows), hooks]
        )
        with EpochProgress(
            plan.n_epochs, self.verbose, lambda record: in_words(record, names)
        ) as progress:
            callbacks = self._callback_list()
            try:
                choice = self._engine.fit(
                    data.for_training(self._engine.spec.dtype),
                    plan,
                    seed=seeds.shuffle,
                    score=score,
                    score_name="loss" if scorer is None else "score",
                    observers=[*observers, progress],
                    callbacks=callbacks,
                    checkpoints=checkpoints,
                )
            finally:
                for callback in callbacks:
                    if hasattr(callback, "set_estimator"):
                        callback.set_estimator(None)
        if choice is not None:
            compared = candidates(self, n_rows, data.n_folds)
            self._publish_strength(compared[choice.best_candidate])
            self.best_epoch_ = choice.best_epoch
            self.cv_losses_ = loss_table(choice, compared)
        n_updates = (self.n_iter_ - plan.first_epoch) * -(-n_rows // plan.batch_size)
        # After fewer the gates are as they were drawn, or as wild features make them.
        self._publish_expert_use(
            warn=n_updates >= _UPDATES_OF_GATES and not plan.continuing
        )

    def _calibrate(self, held_out: FitData) -> None:
        """Give the classifications the temperatures of rows not trained on."""
        outputs = self._engine.predict(held_out.features, held_out.rows)
        _check_finite(outputs, "the validation rows")
        self._tasks = calibrated(self._tasks, outputs, held_out)
        self._publish_temperatures(temperatures(self._tasks))

    def _publish_temperatures(self, found: dict[str, float] | None) -> None:
        if hasattr(self, "calibration"):  # there is none in a regressor
            self.temperatures_ = found

    def _publish_expert_use(self, warn: bool) -> None:
        gates, spec = self._engine.gate_weights, self._engine.spec
        self._expert_use = None if gates is None else gates.mean(axis=0)
        # One member's idle expert is made up for by the other members.
        if warn and gates is not None and spec.n_members is None:
            experts = names_in_members(spec, self.task_names_)
            warn_of_idle_gates(gates, self.task_names_, experts)

    def _publish_strength(self, used: Candidate) -> None:
        self.feature_penalty_ = used.feature_penalty
        self.weight_decay_ = used.weight_decay

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
        for callback in callbacks:
            if hasattr(callback, "set_estimator"):
                callback.set_estimator(self)
        return list(callbacks)

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

    def _spread(self, X: Any) -> list[np.ndarray]:
        """Compute the standard deviation of each task's prediction over members.

        Of a classification, that of the predicted class' probability.
        """
        if self._engine.spec.n_members is None:
            raise ValueError(
                "return_std=True needs an ensemble, whose members differ: fit "
                f"{type(self).__name__} with `cv`, such as cv=5."
            )
        X = self._validate_features(X, self._engine.spec.dtype)
        outputs = self._engine.predict_members(X)
        return [
            _spread_of_task(task, of_members.astype(np.float64))
            for task, of_members in zip(self._tasks, outputs, strict=True)
        ]

    def _raw_predictions(self, X: Any) -> list[np.ndarray]:
        """Evaluate the network: float64 (n_samples, units) for each task."""
        check_is_fitted(self)
        X = self._validate_features(X, self._engine.spec.dtype)
        outputs = [output.astype(np.float64) for output in self._engine.predict(X)]
        _check_finite(outputs, "X")
        return outputs

    def _mixture(self, X: Any, part: str) -> np.ndarray:
        """Evaluate the experts or the gates; see ``Engine.mixture``."""
        check_is_fitted(self)
        X = self._validate_features(X, self._engine.spec.dtype)
        return self._engine.mixture(X, part)


def _check_finite(outputs: list[np.ndarray], rows_of: str) -> None:
    """Raise a ValueError if the network's outputs for some rows are not finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise ValueError(
            f"The network's outputs are not finite for some rows of {rows_of}, whose "
            "values are too large for it. Bring the columns of X to one scale first."
        )


def _spread_of_task(task: Any, outputs: np.ndarray) -> np.ndarray:
    """Compute the standard deviation over members, (n_members, n_samples, units)."""
    if not isinstance(task, LabelTask):
        return np.std([task.decode(output) for output in outputs], axis=0)
    probabilities = np.array([task.probabilities(output) for output in outputs])
    # The class that is predicted: of the members' mean before it is calibrated.
    plain = task.with_temperature(1.0)
    mean = np.mean([plain.probabilities(output) for output in outputs], axis=0)
    chosen = mean.argmax(axis=1)
    return probabilities.std(axis=0)[np.arange(len(chosen)), chosen]
