"""The optimizer of one fit, and the course of its learning rate."""

from __future__ import annotations

import functools
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

__all__ = ["FusedAdamW", "learning_rates", "make_optimizer", "optimizer_config"]

# Share of the updates over which the learning rate rises.
_WARMUP = 0.15


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class FusedAdamW(keras.optimizers.AdamW):
    """Keras' AdamW, whose step is one operation for each weight instead of fifteen.

    What is computed is the same. It is traced sooner, and a step takes less. On other
    backends than TensorFlow, and on several devices, it is Keras' AdamW.
    """

    def _apply_weight_decay(self, variables: Any) -> None:
        """Shrink the weights; unlike Keras, ask once for the learning rate."""
        if self.weight_decay is None:
            return
        if not _on_one_device():
            super()._apply_weight_decay(variables)
            return
        rate = self.learning_rate
        rate = rate * ops.cast(self.weight_decay, rate.dtype)
        for variable in variables:
            if self._use_weight_decay(variable):
                # TensorFlow's own: Keras' subtracts and assigns.
                weights = variable.value
                weights.assign_sub(weights * ops.cast(rate, variable.dtype))

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Change all weights once."""
        self._numbers: dict[str, dict[str, Any]] = {}
        super().apply(grads, trainable_variables)
        self._numbers = {}  # tensors of the graph that is being traced

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Change a weight and its two moments (Kingma & Ba, 2015, section 2)."""
        if not _on_one_device():
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        # One for all weights: to trace them for each would take a fifth of the step's.
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if dtype not in self._numbers:
            self._numbers[dtype] = self._numbers_of(dtype, learning_rate)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            **self._numbers[dtype],
            grad=ops.cast(gradient, variable.dtype),
        )

    def _numbers_of(self, dtype: str, learning_rate: Any) -> dict[str, Any]:
        """Compute what a step takes beside a weight, its moments and gradient."""
        number = functools.partial(ops.convert_to_tensor, dtype=dtype)
        beta_1, beta_2 = number(self.beta_1), number(self.beta_2)
        step = ops.cast(self.iterations + 1, dtype)
        return {
            "beta1_power": ops.power(beta_1, step),
            "beta2_power": ops.power(beta_2, step),
            "lr": ops.cast(learning_rate, dtype),
            "beta1": beta_1,
            "beta2": beta_2,
            "epsilon": number(self.epsilon),
        }


def _on_one_device() -> bool:
    """Whether a weight is one variable of TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.distribute.has_strategy()


def make_optimizer(
    optimizer: Any, learning_rate: float, weight_decay: float | None
) -> keras.optimizers.Optimizer:
    """Make a new optimizer.

    Parameters
    ----------
    optimizer : str or keras.optimizers.Optimizer
        Name of one of Keras' optimizers, or one to copy, whose own learning rate and
        weight decay stay.
    learning_rate : float
        Learning rate.
    weight_decay : float or None
        Decoupled weight decay; None is none.

    Returns
    -------
    keras.optimizers.Optimizer
        The optimizer.
    """
    if isinstance(optimizer, str):
        name = optimizer.lower()
        # TensorFlow keeps something for each name that a variable has ever had; Keras
        # would number the optimizers, and name their variables by that.
        config = {
            "learning_rate": learning_rate,
            "weight_decay": weight_decay or 0.0,
            "name": name,
        }
        if name == "adamw":
            made = FusedAdamW(**config)
        else:
            made = keras.optimizers.get({"class_name": optimizer, "config": config})
        if weight_decay is None:
            made.weight_decay = None  # which AdamW's own constructor does not take
    else:
        # A copy: an optimizer that has been used belongs to one network for ever.
        made = type(optimizer).from_config(optimizer.get_config())
    # Keras adds up the gradients of several devices by a function with a gradient of
    # its own; TensorFlow registers that at each trace, with all the graph. Where there
    # are several, the step has added them up before, so that sums are what is clipped.
    made._all_reduce_sum_gradients = list
    return made


def optimizer_config(optimizer: Any, weight_decay: Any) -> dict[str, Any]:
    """Describe an optimizer, but for its learning rate.

    Two calls of ``partial_fit`` may go on with one optimizer's state if their
    descriptions are equal.
    """
    if isinstance(optimizer, str):
        return {"optimizer": optimizer.lower(), "weight_decay": weight_decay}
    config = {**optimizer.get_config(), "learning_rate": None, "name": None}
    return {"optimizer": type(optimizer).__name__, "config": config}


def learning_rates(
    schedule: str, peak: float, steps: np.ndarray, n_steps: int
) -> np.ndarray:
    """Compute the learning rate of each update.

    Parameters
    ----------
    schedule : {'linear', 'constant'}
        'linear' rises in proportion to the number of updates, over the first 15 % of
        them, then falls in proportion to those that are left.
    peak : float
        Highest learning rate.
    steps : ndarray of int
        Numbers of the updates, counted from 0.
    n_steps : int
        Number of updates of the whole fit.

    Returns
    -------
    ndarray of float32
        A learning rate for each of `steps`.
    """
    if schedule == "constant":
        return np.full(len(steps), peak, dtype=np.float32)
    n_warmup = max(1.0, _WARMUP * n_steps)
    # The first update has a rate too: there may be no other.
    rise = (steps + 1) / n_warmup
    fall = (n_steps - steps) / max(1.0, n_steps - n_warmup)
    return (peak * np.clip(np.minimum(rise, fall), 0, None)).astype(np.float32)
