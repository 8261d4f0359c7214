"""A network that is being trained: its variables, and the traced function on them."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn_mmoe._tasks.kinds import target_width
from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
import tensorflow as tf

from sklearn_mmoe._architectures.network import NetworkSpec, build, initialize
from sklearn_mmoe._batches.source import Batches
from sklearn_mmoe._training.balancing import Weighting
from sklearn_mmoe._training.distribution import DistributedStep, Distribution
from sklearn_mmoe._training.optimizers import FusedAdamW
from sklearn_mmoe._training.step import TrainingStep
from sklearn_mmoe._training.strengths import Strengths
from sklearn_mmoe.layers._spread import LOG_SPREAD

__all__ = ["Trainer", "TrainingState"]

# No optimizer's variables begin with such numbers, unless they are copies of weights.
_UNLIKELY = 4321.5


@dataclass(frozen=True)
class TrainingState:
    """All that training changes, as arrays.

    Attributes
    ----------
    weights : list of ndarray
        The network's weights.
    random : list of ndarray
        Where the random generators of its layers (dropout) stand.
    optimizer : list of ndarray or None
        The optimizer's variables; None where they are not kept.
    weighting : list of ndarray or None
        What the weighting of the tasks remembers; None where it is not kept.
    """

    weights: list[np.ndarray]
    random: list[np.ndarray]
    optimizer: list[np.ndarray] | None = None
    weighting: list[np.ndarray] | None = None


class Trainer:
    """A network, an optimizer, and one traced function that trains on batches.

    The traced function is the costly part, half a second of TensorFlow's time. It
    belongs to the structure of a network, not to its weights: another fit of the same
    structure may load its own state and use it again.

    Parameters
    ----------
    spec : NetworkSpec
        What to build.
    optimizer : keras.optimizers.Optimizer
        A new optimizer.
    batch_size : int
        Number of rows of each batch.
    sets_learning_rate : bool
        Whether each step is told its learning rate; otherwise the optimizer's own
        stays.
    n_weights : int or None, default=None
        Number of weights that a row has in each task: of an ensemble one for each fold,
        or for each member. None is one.
    member_decay : sequence of float or None, default=None
        Weight decay of each member of an ensemble.
    weighting : Weighting or None, default=None
        A new one; None adds up the tasks' losses.
    distribution : Distribution or None, default=None
        The devices to train on, under whose strategy the trainer is made; None is one.
    is_shared : bool, default=False
        Whether fits of other strengths of regularisation may use it too.

    Attributes
    ----------
    strengths : Strengths or None
        What a fit sets its own in, if others may use the trainer.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        sets_learning_rate: bool,
        n_weights: int | None = None,
        member_decay: Sequence[float] | None = None,
        weighting: Weighting | None = None,
        distribution: Distribution | None = None,
        is_shared: bool = False,
    ) -> None:
        self._spec = spec
        self._n_weights = n_weights
        self._batch_size = batch_size
        self.sets_learning_rate = sets_learning_rate
        self.optimizer = optimizer
        self.weighting = weighting
        self.network = network = build(spec, optimizer, draw=False)
        self.model = network.model
        # What is below the last mixture of experts, to look at its gates.
        self._mixture = network.mixtures[-1] if network.mixtures else None
        if self._mixture is not None:
            self._below = keras.Model(self.model.input, self._mixture.input)
        # Compiled for Keras' callbacks, which read and save the model's optimizer.
        self.model.compile(optimizer, loss=spec.losses(), auto_scale_loss=False)
        # A spread that shrank towards that of knowing nothing would be too large.
        optimizer.exclude_from_weight_decay(var_names=[LOG_SPREAD])
        self._build_optimizer()
        in_weights = {id(variable) for variable in self.model.weights}
        self._random = [v for v in self.model.variables if id(v) not in in_weights]
        self._remembered = [] if weighting is None else weighting.variables
        self._new_optimizer = _arrays(optimizer.variables)
        self._new_weighting = _arrays(self._remembered)
        self.strengths: Strengths | None = None
        if is_shared:
            self.strengths = Strengths(self.model, optimizer, member_decay)
            member_decay = self.strengths.member_decay
        trained = self.model if network.members is None else network.members
        make_step = (
            TrainingStep
            if distribution is None
            else functools.partial(DistributedStep, distribution.strategy)
        )
        self._step = make_step(
            trained, spec.losses(), optimizer, spec.dtype, member_decay, weighting
        )
        shared = self.strengths
        with contextlib.nullcontext() if shared is None else shared.read_by_optimizer():
            self._function = self._trace()
        # The state that all variables are in, while somebody else has it too.
        self._present: weakref.ref[TrainingState] | None = None

    def _build_optimizer(self) -> None:
        """Make the optimizer's variables, and find those that are copies of weights.

        Such as the slow weights of schedule-free optimizers, which begin where the
        weights do, whenever that is.
        """
        weights = self.model.trainable_variables
        if isinstance(self.optimizer, FusedAdamW):  # has none
            self.optimizer.build(weights)
            self._copies: list[tuple[Any, Any]] = []
            return
        before = _arrays(weights)
        numbers = _UNLIKELY + np.arange(len(weights))
        for weight, number in zip(weights, numbers, strict=True):
            weight.assign(np.full(weight.shape, number))
        self.optimizer.build(weights)
        self._copies = [
            (variable, weight)
            for variable in self.optimizer.variables
            for weight, number in zip(weights, numbers, strict=True)
            if variable.shape == weight.shape and np.all(variable.numpy() == number)
        ]
        _assign(weights, before)

    @property
    def n_bytes(self) -> int:
        """Memory that the variables take."""
        variables = [*self.model.variables, *self.optimizer.variables]
        return sum(int(np.prod(v.shape)) * 8 for v in variables)

    def start(self, seed: int) -> None:
        """Begin anew, with the weights that a seed decides."""
        self._present = None
        if self._spec.builder is None:  # a user's builder has drawn its own
            initialize(self.model, seed)
        self._load_optimizer(None, None, seed)

    def load(self, state: TrainingState, seed: int = 0) -> None:
        """Go on from a state; with a new optimizer and weighting if it holds none.

        The seed decides what a new weighting draws.
        """
        # A call of partial_fit goes on from where the last one left this trainer.
        if self._present is not None and self._present() is state:
            return
        self._present = None
        _assign(self.model.weights, state.weights)
        _assign(self._random, state.random)
        self._load_optimizer(state.optimizer, state.weighting, seed)

    def _load_optimizer(
        self,
        optimizer: list[np.ndarray] | None,
        weighting: list[np.ndarray] | None,
        seed: int,
    ) -> None:
        """Bring optimizer and weighting to a state, or to their start."""
        _assign(
            self.optimizer.variables,
            self._new_optimizer if optimizer is None else optimizer,
        )
        _assign(
            self._remembered, self._new_weighting if weighting is None else weighting
        )
        for copy, weight in self._copies if optimizer is None else ():
            copy.assign(weight.value)
        if self.weighting is not None and weighting is None:
            self.weighting.seed(seed)

    def state(self, with_optimizer: bool = False) -> TrainingState:
        """Copy the present state."""
        state = TrainingState(
            self.weights(),
            _arrays(self._random),
            _arrays(self.optimizer.variables) if with_optimizer else None,
            _arrays(self._remembered) if with_optimizer else None,
        )
        if with_optimizer:
            self._present = weakref.ref(state)
        return state

    def weights(self) -> list[np.ndarray]:
        """Copy the present weights."""
        return _arrays(self.model.weights)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace the present weights."""
        self._present = None
        _assign(self.model.weights, weights)

    def gate_weights(self, x: Any) -> np.ndarray | None:
        """Evaluate the last mixture's gates, without dropout.

        Parameters
        ----------
        x : tensor of shape (n_rows, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_gates, n_experts) or None
            Weights; None if there is no mixture.
        """
        if self._mixture is None:
            return None
        below = self._below(x, training=False)
        return keras.ops.convert_to_numpy(self._mixture.gate_outputs(below))

    def train(
        self, batches: Batches, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray | None]:
        """Train on batches, one after the other.

        Parameters
        ----------
        batches : Batches
            The batches.
        learning_rates : ndarray of float32 of shape (n_batches,)
            The learning rate of each step.

        Returns
        -------
        losses : ndarray of float64 of shape (n_tasks,)
            Losses of the tasks, summed over all rows.
        penalty : float
            The penalty, summed over the batches.
        task_weights : ndarray of float64 of shape (n_tasks,) or None
            What a weighting has multiplied the losses by, summed over the batches.
        """
        self._present = None
        losses, penalty, *task_weights = self._function(
            batches.features,
            [tf.constant(target) for target in batches.targets],
            tf.constant(batches.weights),
            tf.constant(learning_rates),
        )
        return (
            losses.numpy().astype(np.float64) * self._batch_size,
            float(penalty),
            task_weights[0].numpy().astype(np.float64) if task_weights else None,
        )

    def _trace(self) -> Any:
        """Trace the training on any number of batches, in one call."""
        spec, rows, dtype = self._spec, None, self._spec.dtype
        widths = map(target_width, spec.kinds, spec.units)
        targets = [
            tf.TensorSpec([rows], tf.int32)
            if width is None
            else tf.TensorSpec([rows, width], dtype)
            for width in widths
        ]
        several = [] if self._n_weights is None else [self._n_weights]
        function = tf.function(self._train_on_batches, autograph=False)
        return function.get_concrete_function(
            tf.TensorSpec([rows, spec.n_features], dtype),
            targets,
            tf.TensorSpec([rows, len(spec.kinds), *several], dtype),
            tf.TensorSpec([rows], tf.float32),
        )

    def _train_on_batches(
        self, features: Any, targets: list[Any], weights: Any, learning_rates: Any
    ) -> list[Any]:
        n_batches = tf.shape(learning_rates)[0]
        features, weights, *targets = (
            tf.reshape(rows, [n_batches, self._batch_size, *rows.shape[1:]])
            for rows in (features, weights, *targets)
        )

        def step(i: Any, *sums: Any) -> tuple[Any, ...]:
            if self.sets_learning_rate:
                self.optimizer.learning_rate.assign(learning_rates[i])
            of_batch = self._step(
                features[i],
                [target[i] for target in targets],
                tf.unstack(weights[i], axis=1),
            )
            return (
                i + 1,
                *(a + b for a, b in zip(sums, of_batch, strict=True)),
            )

        # Losses, penalty and, where they are weighed, the weights of the tasks.
        shapes = [len(targets), (), *([len(targets)] if self.weighting else [])]
        sums = [tf.zeros(shape, self._spec.dtype) for shape in shapes]
        # One after the other: each step reads the weights that the last one wrote.
        _, *sums = tf.while_loop(
            lambda i, *_: i < n_batches,
            step,
            (tf.constant(0), *sums),
            parallel_iterations=1,
        )
        return sums


def _arrays(variables: Sequence[Any]) -> list[np.ndarray]:
    # Copies: NumPy may see a variable's own memory, which training goes on to change.
    return [np.array(v.value.numpy()) for v in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.value.assign(value)  # Keras' own takes twice the time
