"""The training of a fit: a network, the plan, and the record of how it went."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._sklearn.callbacks import SklearnCallbacks
from sklearn_mmoe._sklearn.progress import EpochProgress
from sklearn_mmoe._tasks.dependencies import dependency_pairs
from sklearn_mmoe._tasks.weights import weights_between_tasks
from sklearn_mmoe.estimators._calibration import calibrated, temperatures, uncalibrated
from sklearn_mmoe.estimators._candidates import (
    Candidate,
    candidates,
    for_members,
    loss_table,
    task_groups,
    weakest,
    weight_table,
    weights_by_candidate,
    weights_in_training,
)
from sklearn_mmoe.estimators._distribution import is_chief
from sklearn_mmoe.estimators._fit_data import FitData, Seeds
from sklearn_mmoe.estimators._fitted import fitted_attributes
from sklearn_mmoe.estimators._gates import names_in_members, warn_of_idle_gates
from sklearn_mmoe.estimators._parameters import (
    EstimatorParameters,
    auto_batch_size,
    auto_epochs,
    network_parameters,
)
from sklearn_mmoe.estimators._prediction import check_finite
from sklearn_mmoe.estimators._recorder import Recorder, forget, in_words
from sklearn_mmoe.estimators._validation import (
    check_task_weighting,
    find_scorer,
    validation_score,
)

if TYPE_CHECKING:
    from sklearn_mmoe._training.checkpoint import Checkpoints
    from sklearn_mmoe._training.distribution import Distribution
    from sklearn_mmoe._training.loop import TrainingPlan

__all__ = ["ROWS_TO_COME", "TrainingMixin"]

# The penalty and the weight decay depend on the number of rows, which is not known when
# partial_fit is called first. The penalty is set as for this many, or for those of the
# first call if these are more; the weight decay of every call as for just so many.
ROWS_TO_COME = 10_000
# Fewest updates after which gates that use no more than some experts are warned of.
_UPDATES_OF_GATES = 100
# Fewest rows after which gates that are all alike are warned of.
_ROWS_OF_GATES = 1_000


class TrainingMixin(EstimatorParameters):
    """Methods that train, and set what training finds."""

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
            # It knows nothing of the rows to come, and cannot learn from them.
            self._engine.kernel_ridge = None
            if self.kernel_ridge_weights_ is not None:
                self.kernel_ridge_weights_ = dict.fromkeys(self.task_names_, 0.0)
            # What they were found for is about to change.
            self._tasks = uncalibrated(data.tasks)
            self._publish_temperatures(None)
            return
        self._network_parameters = parameters
        self._tasks = data.tasks
        self.n_outputs_ = len(data.tasks)
        self.task_names_ = data.names
        self._publish_tasks(data.sample.y)
        self._publish_temperatures(None)
        forget(self, data.names)
        self._publish_strength(candidates(self, n_rows, data)[0])
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
        compared = candidates(self, n_rows, data)
        penalties = [c.feature_penalty / np.sqrt(c.n_rows) for c in compared]
        parameters["feature_penalty"] = for_members(penalties, data.n_folds)
        dropouts = [c.dropout for c in compared]
        parameters["dropout"] = (
            for_members(dropouts, data.n_folds)
            if len(set(dropouts)) > 1
            else dropouts[0]
        )
        return Engine(
            NetworkSpec(
                n_features=data.n_features,
                kinds=tuple(task.kind for task in data.tasks),
                units=tuple(task.units for task in data.tasks),
                parameters=parameters,
                seed=seed,
                builder=self.network,
                n_members=data.n_folds and len(compared) * data.n_folds,
                member_weights=weights_in_training(
                    compared, data.n_folds, len(data.tasks)
                ),
            )
        )

    def _plan(
        self,
        data: FitData,
        continuing: bool = False,
        distribution: Distribution | None = None,
    ) -> TrainingPlan:
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
        rows_of_decay = ROWS_TO_COME if continuing else n_rows
        compared = candidates(self, rows_of_decay, data)
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
            weights_by_candidate=weights_by_candidate(
                compared, task_weight, len(data.names)
            ),
            groups=tuple(task_groups(self, data)) if several else (),
            # One task alone has nothing to be weighed against.
            task_weighting="uniform" if alone else self.task_weighting,
            weakest=weakest(self, compared),
            kernel_ridge=several and self.kernel_ridge is not None,
            distribution=distribution,
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
        verbose = self.verbose if is_chief(plan.distribution) else 0
        with EpochProgress(
            plan.n_epochs, verbose, lambda record: in_words(record, names)
        ) as progress:
            callbacks = self._callback_list()
            try:
                choice = self._engine.fit(
                    data.for_training(self._engine.spec.dtype, plan.groups),
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
            compared = candidates(self, n_rows, data)
            self._publish_strength(compared[choice.best_candidate])
            self.best_epoch_ = choice.best_epoch
            self.cv_losses_ = loss_table(choice, compared, names)
            self.cv_weights_ = weight_table(choice, compared, names)
            self.cv_shrinkage_ = dict(zip(names, choice.factors, strict=True))
            fitted = choice.kernel_ridge
            shares = (0.0,) * len(names) if fitted is None else fitted.shares
            self.kernel_ridge_weights_ = dict(zip(names, shares, strict=True))
        n_updates = (self.n_iter_ - plan.first_epoch) * -(-n_rows // plan.batch_size)
        # After fewer the gates are as they were drawn, or as wild features make them.
        self._publish_expert_use(
            warn=n_updates >= _UPDATES_OF_GATES and not plan.continuing
        )

    def _calibrate(self, held_out: FitData) -> None:
        """Give the classifications the temperatures of rows not trained on."""
        outputs = self._engine.predict(held_out.features, held_out.rows)
        check_finite(outputs, "the validation rows")
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
            # Few rows leave nothing of the gates, unless a parameter made them so.
            may_be_alike = len(gates) < _ROWS_OF_GATES and self.gate_temperature == 1
            warn_of_idle_gates(gates, self.task_names_, experts, may_be_alike)

    def _publish_strength(self, used: Candidate) -> None:
        self.feature_penalty_ = used.feature_penalty
        self.weight_decay_ = used.weight_decay
        self.dropout_ = used.dropout

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
