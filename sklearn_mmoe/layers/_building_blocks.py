"""Small parts of our networks, registered with Keras so that files of them load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

__all__ = ["LinearAndHidden", "SplitColumns", "silu"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class LinearAndHidden(keras.initializers.Initializer):
    """Zeros for the first columns of a kernel, He's uniform weights for the others."""

    def __init__(self, n_linear: int, seed: int) -> None:
        self.n_linear = n_linear
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        rows, columns = shape
        hidden = keras.initializers.HeUniform(seed=self.seed)(
            (rows, columns - self.n_linear), dtype
        )
        linear = keras.ops.zeros((rows, self.n_linear), dtype)
        return keras.ops.concatenate([linear, hidden], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {"n_linear": self.n_linear, "seed": self.seed}


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
def silu(x: Any) -> Any:
    """Compute x sigmoid(x).

    As ``keras.activations.silu``, which on TensorFlow registers a gradient of its own
    each time it is traced: with it, the traced graph is kept for ever.
    """
    return x * keras.ops.sigmoid(x)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class SplitColumns(keras.layers.Layer):
    """Split the last axis into parts of given widths."""

    def __init__(self, widths: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.widths = [int(width) for width in widths]

    def call(self, x: Any) -> list[Any]:
        ends = np.cumsum(self.widths)[:-1].tolist()
        return list(keras.ops.split(x, ends, axis=-1)) if ends else [x]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "widths": self.widths}
