"""The one place where scikit-learn's side and Keras' side meet.

An :class:`Engine` takes plain arrays or CSR and returns lists of arrays. It holds a
network as a specification and arrays of weights; Keras' objects are made of these when
they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from sklearn_mmoe._training import keras_import

# isort: split
import keras
import numpy as np

from sklearn_mmoe._architectures.network import Network, NetworkSpec, build
from sklearn_mmoe._batches.arrays import TaskData, dense_parts
from sklearn_mmoe._batches.source import TrainingData
from sklearn_mmoe._training.averaging import average_outputs, that_count
from sklearn_mmoe._training.balancing import make_weighting
from sklearn_mmoe._training.cache import borrow_trainer, building, find_evaluator
from sklearn_mmoe._training.checkpoint import Checkpoints
from sklearn_mmoe._training.distribution import StopTogether, scope
from sklearn_mmoe._training.evaluation import Evaluator
from sklearn_mmoe._training.keras_callbacks import KerasCallbacks
from sklearn_mmoe._training.kernel_ridge import KernelRidge
from sklearn_mmoe._training.loop import TrainingPlan, train
from sklearn_mmoe._training.mixture import (
    mixture_outputs,
    of_one_mixture,
    some_gate_weights,
)
from sklearn_mmoe._training.observer import Observer
from sklearn_mmoe._training.optimizers import make_optimizer, optimizer_config
from sklearn_mmoe._training.out_of_fold import OutOfFold
from sklearn_mmoe._training.shrinkage import shrink_weights
from sklearn_mmoe._training.stopping import EarlyStopping
from sklearn_mmoe._training.trainer import Trainer, TrainingState

__all__ = ["Engine"]


class Engine:
    """A network that can be trained, evaluated, copied and pickled.

    It may be read from any number of threads. Training changes it; an estimator that is
    fitted again trains a new engine, or a copy of the one it has.

    Parameters
    ----------
    spec : NetworkSpec
        What to build.

    Attributes
    ----------
    spec : NetworkSpec
        As given.
    optimizer_config : dict or None
        What optimizer's state is kept for a further call of ``partial_fit``.
    gate_weights : ndarray of shape (n_rows, n_gates, n_experts) or None
        The gates of the last mixture after training, for some of the rows trained on;
        None before training, and where there is no mixture.
    kernel_ridge : KernelRidge or None
        What is averaged with an ensemble, if it counts in any task.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        keras_import.require_tensorflow()
        self.spec = spec
        self.optimizer_config: dict[str, Any] | None = None
        self.gate_weights: np.ndarray | None = None
        self.kernel_ridge: KernelRidge | None = None
        self._state: TrainingState | None = None
        self._forget_keras()

    def _forget_keras(self) -> None:
        """Begin without objects of Keras, which are made when they are needed."""
        self._network: Network | None = None
        self._evaluator: Evaluator | None = None
        self._trainer: Trainer | None = None
        self._shared_network: Network | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {
            "spec": self.spec,
            "optimizer_config": self.optimizer_config,
            "kernel_ridge": self.kernel_ridge,
            "_state": self.state,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        keras_import.require_tensorflow()
        self.gate_weights = self.kernel_ridge = None
        self.__dict__.update(state)
        self._forget_keras()

    @classmethod
    def restore(
        cls,
        spec: NetworkSpec,
        state: TrainingState,
        optimizer_config: dict[str, Any] | None,
        kernel_ridge: KernelRidge | None = None,
    ) -> Engine:
        """Make an engine that goes on from a state which somebody wrote to a file.

        Raises
        ------
        ValueError
            If the state is not one of such a network.
        """
        engine = cls(spec)
        keras_import.check_not_forked()
        found = [(weight.shape, weight.dtype.name) for weight in state.weights]
        wanted = engine._evaluate().weights
        if found != wanted:
            raise ValueError(
                f"the weights are {found}, but those of the network that is described "
                f"would be {wanted}"
            )
        # The evaluator's network may have another dropout, and so other generators.
        generators = [(array.shape, array.dtype.kind) for array in state.random]
        names = ("dropout", "gate_dropout")
        if set(generators) - {((2,), "i"), ((2,), "u")} or (
            generators and not any(spec.parameters[name] for name in names)
        ):
            raise ValueError("the random states are not those of this network")
        # A scalar of the optimizer's own, or a moment of a weight.
        shapes = [(), *(weight.shape for weight in state.weights)]
        if any(array.shape not in shapes for array in state.optimizer or ()):
            raise ValueError("the optimizer's state is not one of this network")
        _check_weighting(spec, state, optimizer_config)
        engine._state, engine.optimizer_config = state, optimizer_config
        engine.kernel_ridge = kernel_ridge
        return engine

    @property
    def state(self) -> TrainingState | None:
        """The present weights and all else that training changes."""
        if self._trainer is not None:
            return self._trainer.state()
        if self._network is None or self._state is None:
            return self._state
        # A user may have changed the weights of the network that they were shown; what
        # it has of a kernel ridge regression is a copy.
        weights = [np.array(v.value.numpy()) for v in self._network.weights]
        return replace(self._state, weights=weights)

    @property
    def network(self) -> Network:
        """The network as Keras has it, built when it is first asked for."""
        keras_import.check_not_forked()
        if self._trainer is not None:  # as it is now; the trainer's own stays its own
            return self.new_network()
        if self._network is None:
            with building:
                if self._network is None:
                    # Seen by other threads only now that it is whole.
                    self._network = self.new_network()
        return self._network

    def new_network(self) -> Network:
        """Build a network that has the present weights, and is nobody else's."""
        keras_import.check_not_forked()
        state = self.state
        with building:
            network = build(
                self.spec, draw=state is None, kernel_ridge=self.kernel_ridge
            )
        if state is not None:
            for variable, value in zip(network.weights, state.weights, strict=True):
                variable.assign(value)
        return network

    def fit(
        self,
        data: TrainingData,
        plan: TrainingPlan,
        *,
        seed: int,
        score: Callable[[], float] | None = None,
        score_name: str = "loss",
        observers: Sequence[Observer] = (),
        callbacks: Sequence[keras.callbacks.Callback] = (),
        checkpoints: Checkpoints | None = None,
    ) -> OutOfFold | None:
        """Train, from new weights or from those of an earlier fit.

        Parameters
        ----------
        data : TrainingData
            What is trained on; with folds it is a TaskData.
        plan : TrainingPlan
            How it is trained.
        seed : int
            Seed of the order of the rows.
        score : callable or None, default=None
            Called after each epoch; with it, training stops when what it returns no
            longer rises, and ends with the weights for which it was highest.
        score_name : str, default='loss'
            What `score` is.
        observers : sequence of Observer, default=()
            Called after early stopping, which completes an epoch's record.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called after the observers.
        checkpoints : Checkpoints or None, default=None
            Where this fit goes on from, and writes its own to after each epoch.

        Returns
        -------
        OutOfFold or None
            Of an ensemble, what its members' losses were on the rows that they left
            out. The members that count in the prediction are kept.

        Raises
        ------
        ValueError
            If training diverges.
        """
        keras_import.check_not_forked()
        weighted = _weighted(data, plan)
        source = weighted.batches(plan.batch_size, seed)
        choice: OutOfFold | None = None
        key, make = self._trainer_for(plan, weighted.n_weights, bool(callbacks))
        with borrow_trainer(key, make) as trainer:
            self._bring_to_start(trainer, plan)
            watching = list(observers)
            if score is not None:
                stopping = EarlyStopping(
                    trainer, score, score_name, plan.n_iter_no_change, plan.tol
                )
                watching.insert(0, stopping)
            if isinstance(data, TaskData) and data.folds is not None:
                dependencies = self.spec.parameters.get("task_dependencies", ())
                choice = OutOfFold(
                    trainer,
                    lambda: self.predict_members(data.X, data.rows),
                    self.spec.kinds,
                    self.spec.units,
                    self.spec.losses(),
                    data,
                    plan,
                    linked={k for pair in dependencies for k in pair},
                )
                watching.insert(0, choice)
            hooks = KerasCallbacks(callbacks, trainer, plan.n_epochs, source.n_batches)
            if callbacks:
                watching.append(hooks)
            if plan.distribution is not None:
                watching.append(StopTogether(plan.distribution))
            self._trainer = trainer
            # It need not be built once more to be evaluated; but callbacks may change
            # what they are given, and other fits use the evaluator too.
            if key is not None:
                self._shared_network = trainer.network
            try:
                train(trainer, source, plan, watching, checkpoints)
            finally:
                self._trainer = self._shared_network = None
                hooks.let_go()
            self._state = trainer.state(with_optimizer=plan.continuing)
            gates = some_gate_weights(trainer, source, choice)
        if choice is not None:
            self.kernel_ridge = choice.kernel_ridge
            kept = self._keep(choice, trainer.network)
            gates = None if gates is None else gates[kept]
        if gates is not None and self.spec.n_members is not None:
            gates = of_one_mixture(gates, self.spec.member_weights)
        self.gate_weights = gates
        self.optimizer_config = _config(plan) if plan.continuing else None
        self._network = None
        return choice

    def _keep(self, choice: OutOfFold, network: Network) -> np.ndarray:
        """Let go of the members that do not count; return the others.

        What they say is shrunk, for good.
        """
        spec, n_members = self.spec, self.spec.n_members
        assert self._state is not None
        assert n_members is not None
        kept = np.flatnonzero(choice.member_weights.any(axis=0))
        member_weights = choice.member_weights[:, kept]
        of_kept = {
            name: tuple(np.take(spec.parameters[name], kept % n_members).tolist())
            for name in ("feature_penalty", "dropout")
            if isinstance(spec.parameters[name], tuple)
        }
        alike = (member_weights == member_weights[0, 0]).all()
        self.spec = replace(
            spec,
            parameters={**spec.parameters, **of_kept},
            n_members=len(kept),
            member_weights=(
                None if alike else tuple(map(tuple, member_weights.tolist()))
            ),
        )
        weights = shrink_weights(
            network,
            [weight[kept] for weight in choice.best_weights],
            choice.factors,
            choice.constants,
        )
        self._state = TrainingState(weights, self._state.random)
        self._evaluator = None
        return kept

    def _trainer_for(
        self, plan: TrainingPlan, n_weights: int | None, has_callbacks: bool
    ) -> tuple[Any, Callable[[], Trainer]]:
        """Say under which key a trainer for a plan may be kept, and how to make it."""
        named = isinstance(plan.optimizer, str)
        scheduled = named and plan.learning_rate_schedule != "constant"

        def make() -> Trainer:
            with scope(plan.distribution):
                return make_here()

        def make_here() -> Trainer:
            decay: Any = plan.weight_decay
            of_members = None
            if isinstance(decay, tuple):
                # Of an optimizer object, the decay is its own.
                decay, of_members = None, decay if named else None
            optimizer = make_optimizer(plan.optimizer, plan.learning_rate, decay)
            weighting = None
            if plan.weighting is not None:
                weighting = make_weighting(
                    plan.weighting, self.spec.kinds, self.spec.dtype
                )
            return Trainer(
                self.spec,
                optimizer,
                plan.batch_size,
                scheduled,
                n_weights,
                of_members,
                weighting,
                plan.distribution,
                is_shared,
            )

        # Callbacks may change anything of the model that they are given.
        own = not named or has_callbacks or self.spec.builder is not None
        is_shared = not own and plan.distribution is None
        if not is_shared:
            return None, make
        optimizer = (plan.optimizer.lower(), scheduled)
        key = (
            self.spec.structure(),
            plan.batch_size,
            n_weights,
            optimizer,
            plan.weighting,
        )
        return key, make

    def _bring_to_start(self, trainer: Trainer, plan: TrainingPlan) -> None:
        state = self.state
        if state is None:
            trainer.start(self.spec.seed)
        else:
            if not plan.continuing:
                state = TrainingState(state.weights, state.random)
            trainer.load(state, self.spec.seed)
        if trainer.strengths is not None:
            penalty = self.spec.parameters["feature_penalty"]
            trainer.strengths.set(penalty, plan.weight_decay)
        if trainer.weighting is not None:
            n_tasks = len(self.spec.kinds)
            trainer.weighting.give(plan.task_weight or (1.0,) * n_tasks)
        rate: Any = plan.learning_rate
        if not isinstance(plan.optimizer, str):
            rate = plan.optimizer.get_config().get("learning_rate")
        if isinstance(rate, int | float):  # not an optimizer's own schedule
            trainer.optimizer.learning_rate.assign(rate)

    def _weights(self) -> Sequence[Any]:
        """Find the present weights, wherever they are."""
        if self._trainer is not None:
            return [variable.value for variable in self._trainer.model.weights]
        if self._network is not None:
            return [variable.value for variable in self._network.weights]
        assert self._state is not None
        return self._state.weights

    @property
    def n_weights(self) -> int:
        """Number of weights of the network."""
        return sum(int(np.prod(weight.shape)) for weight in self._weights())

    def _evaluate(self) -> Evaluator:
        if self._evaluator is None:
            with building:
                if self._evaluator is None:
                    own = self.spec.builder is None
                    make = find_evaluator if own else Evaluator
                    self._evaluator = make(self.spec, self._shared_network)
        return self._evaluator

    def predict(self, X: Any, rows: np.ndarray | None = None) -> list[np.ndarray]:
        """Evaluate the network without dropout, and what is averaged with it.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, n_features)
            Features, in the type that the network computes in.
        rows : ndarray of int or None, default=None
            Rows of X to evaluate; None takes all.

        Returns
        -------
        list of ndarray of shape (n_rows, units)
            Outputs of each task: logits, or standardised targets.
        """
        keras_import.check_not_forked()
        parts = self._outputs(X, rows)
        if self.spec.n_members is not None:
            parts = map(self._averaged, parts)
        outputs = [np.concatenate(task) for task in zip(*parts, strict=True)]
        if self.kernel_ridge is None:
            return outputs
        X = X if rows is None else X[rows]
        return self.kernel_ridge.mixed_with(self.spec.kinds, outputs, X)

    def _averaged(self, outputs: list[np.ndarray]) -> list[np.ndarray]:
        """Average the members' outputs of each task."""
        weights = self.spec.member_weights or [None] * len(outputs)
        return [
            average_outputs(kind, of_members, of_task)
            for kind, of_members, of_task in zip(
                self.spec.kinds, outputs, weights, strict=True
            )
        ]

    def predict_members(
        self, X: Any, rows: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """Evaluate all members of an ensemble; (n_members, n_rows, units) by task."""
        parts = self._outputs(X, rows)
        return [np.concatenate(task, axis=1) for task in zip(*parts, strict=True)]

    def predict_voters(self, X: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Evaluate all that is averaged in a prediction: members, kernel regression.

        Returns
        -------
        list of (ndarray of shape (n_voters, n_rows, units), ndarray of shape \
                (n_voters,))
            For each task the outputs of those that count, and their weights, which sum
            to 1.
        """
        outputs = self.predict_members(X)
        weights = self.spec.member_weights or [None] * len(outputs)
        voters = [
            that_count(*of_task) for of_task in zip(outputs, weights, strict=True)
        ]
        if self.kernel_ridge is None:
            return voters
        return self.kernel_ridge.among(self.spec.kinds, voters, X)

    def _outputs(self, X: Any, rows: np.ndarray | None) -> Iterable[list[np.ndarray]]:
        """Evaluate the network, or an ensemble's members, for parts of the rows."""
        evaluate = self._evaluate()
        # Once for all parts.
        weights = [keras.ops.convert_to_tensor(weight) for weight in self._weights()]
        for x in dense_parts(X, rows):
            yield [output.numpy() for output in evaluate(weights, x)]

    def mixture(self, X: Any, part: str) -> np.ndarray:
        """Evaluate the experts, or the gates; see :func:`mixture_outputs`."""
        return mixture_outputs(self.network, self.spec, X, part)

    def loss(self, data: TaskData, task_weight: Sequence[float] = ()) -> float:
        """Compute the loss on `data`, summed over tasks, without dropout.

        Each task's is multiplied by `task_weight`, if that is not empty.
        """
        total = 0.0
        losses = self.spec.losses()
        for k, outputs in enumerate(self.predict(data.X, data.rows)):
            total += (task_weight[k] if task_weight else 1.0) * float(
                losses[k](
                    data.targets[k][data.rows],
                    outputs,
                    sample_weight=data.weights[data.rows, k],
                )
            )
        return total

    def check_optimizer(self, plan: TrainingPlan) -> None:
        """Refuse to go on with another optimizer than the one whose state is kept.

        Raises
        ------
        ValueError
            If it is another one, or another weight decay.
        """
        if self.optimizer_config is None or self.optimizer_config == _config(plan):
            return
        raise ValueError(
            "partial_fit goes on with the optimizer of the calls before, but "
            f"'optimizer', 'weight_decay' or 'task_weighting' has changed: it was "
            f"{self.optimizer_config}, and is now {_config(plan)}. Set it back, or "
            "start anew with fit."
        )


def _weighted(data: TrainingData, plan: TrainingPlan) -> TrainingData:
    """Multiply the rows' weights by those of the tasks, if these stay as they are."""
    if plan.weighting is not None:
        return data
    if plan.weights_by_candidate and isinstance(data, TaskData):
        return data.weighted_by_candidate(plan.weights_by_candidate)
    return data.weighted(plan.task_weight) if plan.task_weight else data


def _check_weighting(
    spec: NetworkSpec, state: TrainingState, config: dict[str, Any] | None
) -> None:
    """Refuse what a weighting of the tasks remembers, if it is not that of this one."""
    wanted: list[Any] = []
    if config is not None and config["task_weighting"] != "uniform":
        with building:
            weighting = make_weighting(config["task_weighting"], spec.kinds, spec.dtype)
        wanted = [(tuple(v.shape), v.dtype) for v in weighting.variables]
    found = [(array.shape, array.dtype.name) for array in state.weighting or ()]
    if found != wanted:
        raise ValueError("what is remembered of the tasks' weights is not of this fit")


def _config(plan: TrainingPlan) -> dict[str, Any]:
    config = optimizer_config(plan.optimizer, plan.weight_decay)
    return {**config, "task_weighting": plan.task_weighting}
