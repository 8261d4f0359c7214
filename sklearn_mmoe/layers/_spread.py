"""The layer that learns how far a task's targets spread around its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

__all__ = ["LOG_SPREAD", "LearnedSpread"]

# Name of the weight, by which optimizers know that it does not decay.
LOG_SPREAD = "log_spread"


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class LearnedSpread(keras.layers.Layer):
    """Append a column that is the same for all rows: the logarithm of a spread.

    One for all rows, and not one for each: a network that may call any row noisy
    learns the noisy ones' means badly (Seitzer et al., 2022 [1]_).

    Parameters
    ----------
    **kwargs
        As every Keras layer takes: `name`, `dtype`.

    Notes
    -----
    **Shape.** Input: (n_samples, 1). Output: (n_samples, 2).

    References
    ----------
    .. [1] Seitzer, M., Tavakoli, A., Antic, D., & Martius, G. (2022). "On the Pitfalls
       of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks".
       ICLR 2022. https://arxiv.org/abs/2203.09168
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weight."""
        self.log_spread = self.add_weight(
            name=LOG_SPREAD, shape=(1,), initializer="zeros"
        )
        self.built = True

    n_seeds = 0  # of draw_weights

    def draw_weights(self) -> None:
        """Begin with a spread of one, that of standardised targets."""
        self.log_spread.assign(ops.zeros_like(self.log_spread))

    def call(self, x: Any) -> Any:
        along_rows = ops.expand_dims(self.log_spread, -2)
        return ops.concatenate([x, ops.zeros_like(x) + along_rows], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of the input, one column wider."""
        return (*input_shape[:-1], input_shape[-1] + 1)
