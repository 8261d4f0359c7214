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
    weighting : Weighting or None, default=None
        What weighs the tasks' losses; None adds them up.
    """

    def __init__(
        self,
        model: keras.Model,
        losses: Sequence[keras.losses.Loss],
        optimizer: keras.optimizers.Optimizer,
        dtype: str,
        weighting: Weighting | None = None,
    ) -> None:
        self._model = model
        self._losses = losses
        self._optimizer = optimizer
        self._dtype = dtype
        self._weighting = weighting

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
        if self._weighting is None:
            with tf.GradientTape() as tape:
                losses, penalty = self.compute_losses(x, targets, weights)
                total = self.combine(losses, penalty)
            gradients = tape.gradient(total, [variable.value for variable in variables])
            self._optimizer.apply(gradients, variables)
            return [tf.stack(losses), penalty]
        with tf.GradientTape(persistent=self._weighting.by_task) as tape:
            losses, penalty = self.compute_losses(x, targets, weights)
        gradients, of_tasks = self._weighting.gradients(
            tape,
            losses,
            penalty,
            tf.stack([tf.reduce_mean(weight) for weight in weights]),
            [variable.value for variable in variables],
        )
        self._optimizer.apply(gradients, variables)
        return [tf.stack(losses), penalty, of_tasks]

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
        weights : sequence of tensor of shape (batch_size,)
            Weights of the rows in each task.

        Returns
        -------
        losses : list of tensor of shape ()
            Loss of each task, a sum over rows divided by the size of the batch.
        penalty : tensor of shape ()
            Sum of the model's own losses.
        """
        outputs = keras.tree.flatten(self._model(x, training=True))
        losses = [
            loss(target, output, sample_weight=weight)
            for loss, target, output, weight in zip(
                self._losses, targets, outputs, weights, strict=True
            )
        ]
        own = [tf.cast(loss, self._dtype) for loss in self._model.losses]
        return losses, tf.add_n(own) if own else tf.zeros((), self._dtype)

    def combine(self, losses: Sequence[Any], penalty: Any) -> Any:
        """Add up the losses to the one whose gradient is followed."""
        return tf.add_n(list(losses)) + penalty
