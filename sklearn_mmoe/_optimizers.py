"""The optimizer of one fit, and the course of its learning rate."""

from __future__ import annotations

import math
from typing import Any

from sklearn_mmoe import _keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

__all__ = ["make_optimizer"]

# Share of the updates over which the learning rate rises.
_WARMUP = 0.05


class _WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Rises in proportion to the step, then falls to zero along half a cosine.

    Keras' ``CosineDecay`` does the same with a branch. Keras asks a schedule for its
    value twice for each weight in each step, and TensorFlow merges equal arithmetic
    but not equal branches, which took a third of the time to trace a step.
    """

    def __init__(self, peak: float, n_steps: int) -> None:
        self.peak = peak
        self.n_steps = n_steps

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        n_warmup = max(1.0, _WARMUP * self.n_steps)
        rise = step / n_warmup
        done = (step - n_warmup) / max(1.0, self.n_steps - n_warmup)
        fall = 0.5 * (1 + ops.cos(math.pi * ops.clip(done, 0, 1)))
        return self.peak * ops.minimum(rise, fall)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "n_steps": self.n_steps}


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
    learning_rate_schedule : {'cosine', 'constant'}
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
    if learning_rate_schedule == "cosine":
        rate = _WarmupCosine(learning_rate, n_steps)
    return keras.optimizers.get(
        {
            "class_name": optimizer,
            "config": {"learning_rate": rate, "weight_decay": weight_decay},
        }
    )
