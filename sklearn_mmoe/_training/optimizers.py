"""The optimizer of one fit, and the course of its learning rate."""

from __future__ import annotations

import functools
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import tensorflow as tf
from keras import ops

__all__ = ["make_optimizer"]

# Share of the updates over which the learning rate rises.
_WARMUP = 0.15


class _Triangle(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in proportion to the step, then falls in proportion to zero.

    Arithmetic without a branch, such as Keras' own schedules with a warm-up have:
    TensorFlow merges equal arithmetic but not equal branches, and Keras asks for the
    learning rate again and again.
    """

    def __init__(self, peak: float, n_steps: int) -> None:
        self.peak = peak
        self.n_steps = n_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        n_warmup = max(1.0, _WARMUP * self.n_steps)
        rise = step / n_warmup
        fall = (self.n_steps - step) / max(1.0, self.n_steps - n_warmup)
        return self.peak * ops.maximum(ops.minimum(rise, fall), 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "n_steps": self.n_steps}


class FusedAdamW(keras.optimizers.AdamW):
    """Keras' AdamW, whose step is one operation for each weight instead of fifteen.

    What is computed is the same. Most of all it is traced sooner.
    """

    def _apply_weight_decay(self, variables: Any) -> None:
        """Shrink the weights; unlike Keras, ask once for the learning rate."""
        rate = self.learning_rate * self.weight_decay
        for variable in variables:
            variable.assign_sub(variable * ops.cast(rate, variable.dtype))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change a weight and its two moments (Kingma & Ba, 2015, section 2)."""
        index = self._get_variable_index(variable)
        number = functools.partial(ops.convert_to_tensor, dtype=variable.dtype)
        beta_1, beta_2 = number(self.beta_1), number(self.beta_2)
        step = ops.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(beta_1, step),
            beta2_power=ops.power(beta_2, step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=number(self.epsilon),
            grad=ops.cast(gradient, variable.dtype),
        )


def make_optimizer(
    optimizer: Any,
    learning_rate: float,
    learning_rate_schedule: str,
    weight_decay: float,
    n_steps: int,
) -> keras.optimizers.Optimizer:
    """Give a new optimizer for one fit.

    Parameters
    ----------
    optimizer : str or keras.optimizers.Optimizer
        Name of one of Keras' optimizers, or one to copy, whose own learning rate and
        weight decay stay.
    learning_rate : float
        Highest learning rate.
    learning_rate_schedule : {'linear', 'constant'}
        Course of the learning rate.
    weight_decay : float
        Decoupled weight decay.
    n_steps : int
        Number of updates of this fit, over which the schedule runs.

    Returns
    -------
    keras.optimizers.Optimizer
        The optimizer.
    """
    if not isinstance(optimizer, str):
        # A copy: an optimizer that has been used belongs to one network for ever.
        return type(optimizer).from_config(optimizer.get_config())
    rate: Any = learning_rate
    if learning_rate_schedule == "linear":
        rate = _Triangle(learning_rate, n_steps)
    config = {"learning_rate": rate, "weight_decay": weight_decay}
    if optimizer.lower() == "adamw":
        return FusedAdamW(**config)
    return keras.optimizers.get({"class_name": optimizer, "config": config})
