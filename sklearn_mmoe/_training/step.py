"""One training step: from a batch to the losses of the tasks, and to new weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import tensorflow as tf

from sklearn_mmoe._training.balancing import Weighting

__all__ = ["TrainingStep"]


class TrainingStep:
    """What is done with one batch, inside a traced function.

    Parameters
    ----------
    model : keras.Model
        The network.
    losses : sequence of keras.losses.Loss
        The loss of each task.
    optimizer : keras.optimizers.Optimizer
        Built for the trainable variables of `model`.
    dtype : {'float32', 'float64'}
        Type that the network computes in.
    member_decay : sequence of float, tf.Variable or None, default=None
        Of an ensemble, the decoupled weight decay of each member.
    weighting : Weighting or None, default=None
        What weighs the tasks' losses; None adds them up.
    """

    # What the losses are recorded on.
    _tape = tf.GradientTape

    def __init__(
        self,
        model: keras.Model,
        losses: Sequence[keras.losses.Loss],
        optimizer: keras.optimizers.Optimizer,
        dtype: str,
        member_decay: Any = None,
        weighting: Weighting | None = None,
    ) -> None:
        self._model = model
        self._losses = losses
        self._optimizer = optimizer
        self._dtype = dtype
        self._member_decay = member_decay
        self._weighting = weighting
        outputs = keras.tree.flatten(model.output)
        self._n_members = outputs[0].shape[0] if len(outputs[0].shape) == 3 else 1

    def __call__(
        self, x: Any, targets: Sequence[Any], weights: Sequence[Any]
    ) -> list[Any]:
        """Change the weights once.

        Returns
        -------
        list of tensor
            The losses of the tasks, the penalty and, where there is a weighting, the
            weights of the tasks.
        """
        variables = self._model.trainable_variables
        values = [variable.value for variable in variables]
        results: list[Any] = []
        if self._weighting is None:
            with self._tape() as tape:
                losses, penalty = self.compute_losses(x, targets, weights)
                total = self.combine(losses, penalty)
                if self._n_members > 1:
                    # The losses are means over members; each learns as if alone.
                    total = total * self._n_members
            gradients = tape.gradient(total, values)
        else:
            with self._tape(persistent=self._weighting.by_task) as tape:
                losses, penalty = self.compute_losses(x, targets, weights)
            means = tf.stack([tf.reduce_mean(weight) for weight in weights])
            gradients, of_tasks = self._weighting.gradients(
                tape, losses, penalty, means, values
            )
            gradients = [gradient * self._n_members for gradient in gradients]
            results = [of_tasks]
        if self._member_decay is not None:
            self._decay(variables)
        self._optimizer.apply(gradients, variables)
        return [tf.stack(losses), penalty, *results]

    def compute_losses(
        self, x: Any, targets: Sequence[Any], weights: Sequence[Any]
    ) -> tuple[list[Any], Any]:
        """Compute the loss of each task, and what the layers' regularizers add.

        Parameters
        ----------
        x : tensor of shape (batch_size, n_features)
            Features.
        targets : sequence of tensor of shape (batch_size, ...)
            Targets of each task.
        weights : sequence of tensor of shape (batch_size,) or (batch_size, n_weights)
            Weights of the rows in each task, of an ensemble in each fold or member.

        Returns
        -------
        losses : list of tensor of shape ()
            Loss of each task, a sum over rows divided by the size of the batch.
        penalty : tensor of shape ()
            Sum of the model's own losses.
        """
        outputs = keras.tree.flatten(self._model(x, training=True))
        losses = [
            loss(*_member_by_member(target, output, weight))
            for loss, target, output, weight in zip(
                self._losses, targets, outputs, weights, strict=True
            )
        ]
        own = [tf.cast(loss, self._dtype) for loss in self._model.losses]
        return losses, tf.add_n(own) if own else tf.zeros((), self._dtype)

    def combine(self, losses: Sequence[Any], penalty: Any) -> Any:
        """Add up the losses to the one whose gradient is followed."""
        return tf.add_n(list(losses)) + penalty

    def _decay(self, variables: Sequence[Any]) -> None:
        """Shrink each member's weights."""
        decay = tf.cast(self._member_decay, tf.float32)
        rate = self._optimizer.learning_rate * decay
        rate = tf.cast(rate, self._dtype)
        decayed = list(filter(self._optimizer._use_weight_decay, variables))
        ranks = {len(variable.shape) for variable in decayed}
        rates = {rank: tf.reshape(rate, [-1] + [1] * (rank - 1)) for rank in ranks}
        for variable in decayed:
            weights = variable.value  # TensorFlow's; Keras' subtracts and assigns
            weights.assign_sub(weights * rates[len(variable.shape)])


def _member_by_member(target: Any, output: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Put the rows of all members of an ensemble below each other.

    Members are ordered so that the folds that they are not trained on take turns.
    """
    if len(output.shape) == 2:
        return target, output, weight
    n_members = output.shape[0]
    weights = weight[tf.newaxis] if len(weight.shape) == 1 else tf.transpose(weight)
    weights = tf.tile(weights, [n_members // weights.shape[0], 1])
    targets = tf.tile(target, [n_members] + [1] * (len(target.shape) - 1))
    return targets, tf.reshape(output, [-1, output.shape[2]]), tf.reshape(weights, [-1])
