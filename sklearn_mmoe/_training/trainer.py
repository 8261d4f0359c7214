"""A network that is being trained: its variables, and the traced function on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
import tensorflow as tf

from sklearn_mmoe._architectures.network import NetworkSpec, build, initialize
from sklearn_mmoe._batches.source import Batches
from sklearn_mmoe._training.step import TrainingStep

__all__ = ["Trainer", "TrainingState"]


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
    """

    weights: list[np.ndarray]
    random: list[np.ndarray]
    optimizer: list[np.ndarray] | None = None


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
    n_folds : int or None, default=None
        Number of folds of an ensemble, each of which some members are not trained on.
    member_decay : sequence of float or None, default=None
        Weight decay of each member of an ensemble.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        optimizer: keras.optimizers.Optimizer,
        batch_size: int,
        sets_learning_rate: bool,
        n_folds: int | None = None,
        member_decay: Sequence[float] | None = None,
    ) -> None:
        self._spec = spec
        self._n_folds = n_folds
        self._batch_size = batch_size
        self.sets_learning_rate = sets_learning_rate
        self.optimizer = optimizer
        losses = spec.losses()
        network = build(spec, optimizer)
        self.model = network.model
        # Compiled for Keras' callbacks, which read and save the model's optimizer.
        self.model.compile(optimizer, loss=losses, auto_scale_loss=False)
        optimizer.build(self.model.trainable_variables)
        in_weights = {id(variable) for variable in self.model.weights}
        self._random = [v for v in self.model.variables if id(v) not in in_weights]
        self._new_optimizer = _arrays(optimizer.variables)
        trained = self.model if network.members is None else network.members
        self._step = TrainingStep(trained, losses, optimizer, spec.dtype, member_decay)
        self._function = self._trace()

    @property
    def n_bytes(self) -> int:
        """Memory that the variables take."""
        variables = [*self.model.variables, *self.optimizer.variables]
        return sum(int(np.prod(v.shape)) * 8 for v in variables)

    def start(self, seed: int) -> None:
        """Begin anew, with the weights that a seed decides."""
        if self._spec.builder is None:  # a user's builder has drawn its own
            initialize(self.model, seed)
        _assign(self.optimizer.variables, self._new_optimizer)

    def load(self, state: TrainingState) -> None:
        """Go on from a state; with a new optimizer if that holds none."""
        _assign(self.model.weights, state.weights)
        _assign(self._random, state.random)
        kept = state.optimizer
        _assign(self.optimizer.variables, self._new_optimizer if kept is None else kept)

    def state(self, with_optimizer: bool = False) -> TrainingState:
        """Copy the present state."""
        return TrainingState(
            self.weights(),
            _arrays(self._random),
            _arrays(self.optimizer.variables) if with_optimizer else None,
        )

    def weights(self) -> list[np.ndarray]:
        """Copy the present weights."""
        return _arrays(self.model.weights)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replace the present weights."""
        _assign(self.model.weights, weights)

    def train(
        self, batches: Batches, learning_rates: np.ndarray
    ) -> tuple[np.ndarray, float]:
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
        """
        losses, penalty = self._function(
            batches.features,
            [tf.constant(target) for target in batches.targets],
            tf.constant(batches.weights),
            tf.constant(learning_rates),
        )
        return losses.numpy().astype(np.float64) * self._batch_size, float(penalty)

    def _trace(self) -> Any:
        """Trace the training on any number of batches, in one call."""
        spec, rows, dtype = self._spec, None, self._spec.dtype
        targets = [
            tf.TensorSpec([rows], tf.int32)
            if kind == "multiclass"
            else tf.TensorSpec([rows, 1], dtype)
            for kind in spec.kinds
        ]
        folds = [] if self._n_folds is None else [self._n_folds]
        function = tf.function(self._train_on_batches, autograph=False)
        return function.get_concrete_function(
            tf.TensorSpec([rows, spec.n_features], dtype),
            targets,
            tf.TensorSpec([rows, len(spec.kinds), *folds], dtype),
            tf.TensorSpec([rows], tf.float32),
        )

    def _train_on_batches(
        self, features: Any, targets: list[Any], weights: Any, learning_rates: Any
    ) -> tuple[Any, Any]:
        n_batches = tf.shape(learning_rates)[0]
        features, weights, *targets = (
            tf.reshape(rows, [n_batches, self._batch_size, *rows.shape[1:]])
            for rows in (features, weights, *targets)
        )

        def step(i: Any, losses: Any, penalty: Any) -> tuple[Any, Any, Any]:
            if self.sets_learning_rate:
                self.optimizer.learning_rate.assign(learning_rates[i])
            of_batch, own = self._step(
                features[i],
                [target[i] for target in targets],
                tf.unstack(weights[i], axis=1),
            )
            return i + 1, losses + of_batch, penalty + own

        start = (
            tf.constant(0),
            tf.zeros(len(targets), self._spec.dtype),
            tf.zeros((), self._spec.dtype),
        )
        # One after the other: each step reads the weights that the last one wrote.
        _, losses, penalty = tf.while_loop(
            lambda i, *_: i < n_batches, step, start, parallel_iterations=1
        )
        return losses, penalty


def _arrays(variables: Sequence[Any]) -> list[np.ndarray]:
    # Copies: NumPy may see a variable's own memory, which training goes on to change.
    return [np.array(v.value.numpy()) for v in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
