"""Small parts of our networks, registered with Keras so that files of them load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

from sklearn_mmoe.layers._initializers import draw_each

__all__ = [
    "LinearAndHidden",
    "SplitColumns",
    "check_positive_int",
    "check_widths",
    "dense",
    "fused_dense",
    "fused_layers",
    "silu",
]


def check_positive_int(layer: str, name: str, value: Any) -> int:
    """Bring an argument of a layer to an int, or say that it is none."""
    if not _is_positive_int(value):
        raise ValueError(f"`{name}` of {layer} must be a positive int, got {value!r}.")
    return int(value)


def check_widths(layer: str, name: str, value: Any) -> tuple[int, ...]:
    """Bring a width, or the widths of several layers, to a tuple of ints."""
    if _is_positive_int(value):
        return (int(value),)
    several = isinstance(value, Sequence) and not isinstance(value, str)
    if not several or not value or not all(map(_is_positive_int, value)):
        raise ValueError(
            f"`{name}` of {layer} must be a positive int or a sequence of them, got "
            f"{value!r}."
        )
    return tuple(int(width) for width in value)


def _is_positive_int(value: Any) -> bool:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_int and value >= 1


def dense(inputs: Any, kernel: Any, bias: Any = None) -> Any:
    """Multiply by a kernel (features, width), or by one for each member; add a bias."""
    outputs = ops.matmul(inputs, along_rows(kernel, 2, inputs))
    return outputs if bias is None else outputs + along_rows(bias, 1, outputs)


def fused_dense(inputs: Any, kernel: Any, bias: Any) -> Any:
    """Multiply by a kernel (features, blocks, width) as one matrix product.

    Parameters
    ----------
    inputs : tensor of shape (..., features)
        What every block is given.
    kernel : tensor of shape (features, blocks, width)
        Kernels of all blocks. An ensemble's members each have such kernels and biases,
        along an axis in front, which then `inputs` (unless all are given the same) and
        outputs have too.
    bias : tensor of shape (blocks, width) or None
        Their biases.

    Returns
    -------
    tensor of shape (..., blocks, width)
        What each block makes of it.
    """
    *leading, blocks, width = kernel.shape
    flat = dense(inputs, ops.reshape(kernel, (*leading, blocks * width)))
    outputs = ops.reshape(flat, (*ops.shape(flat)[:-1], blocks, width))
    return outputs if bias is None else outputs + along_rows(bias, 2, outputs)


def along_rows(weights: Any, rank: int, values: Any) -> Any:
    """Let the weights of an ensemble's members broadcast along the rows.

    Parameters
    ----------
    weights : tensor
        Weights of a layer, or with one axis more in front those of all members.
    rank : int
        Number of axes of the weights of a layer.
    values : tensor
        What they meet: with the members' axis in front if they have it too.

    Returns
    -------
    tensor
        The weights, with an axis of length 1 for each axis of the rows.
    """
    if len(weights.shape) == rank:
        return weights
    n_members, *shape = weights.shape
    rows = [1] * (len(values.shape) - rank - 1)
    return ops.reshape(weights, (n_members, *rows, *shape)) if rows else weights


def fused_layers(
    inputs: Any, kernels: Sequence[Any], biases: Sequence[Any], activation: Any
) -> Any:
    """Evaluate blocks of layers beside each other, such as experts.

    Parameters
    ----------
    inputs : tensor of shape (..., features)
        What every block is given.
    kernels : sequence of tensor
        Kernels of each layer: the first (features, blocks, width), the others
        (blocks, width below, width).
    biases : sequence of tensor of shape (blocks, width) or None
        Biases of each layer.
    activation : callable
        Activation of every layer.

    Returns
    -------
    tensor of shape (..., blocks, width)
        Outputs of the last layer.
    """
    outputs = activation(fused_dense(inputs, kernels[0], biases[0]))
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        of_members = len(kernel.shape) == 4
        product = "m...ni,mnio->m...no" if of_members else "...ni,nio->...no"
        outputs = ops.einsum(product, outputs, kernel)
        if bias is not None:
            outputs = outputs + along_rows(bias, 2, outputs)
        outputs = activation(outputs)
    return outputs


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class LinearAndHidden(keras.initializers.Initializer):
    """Zeros for the first columns of a kernel, He's uniform weights for the others."""

    def __init__(self, n_linear: int, seed: int) -> None:
        self.n_linear = n_linear
        self.seed = seed

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return self.draw_each([self.seed], shape, dtype)[0]

    def draw_each(
        self, seeds: Sequence[int], shape: Sequence[int], dtype: Any = None
    ) -> Any:
        """Draw a kernel for each seed."""
        rows, columns = shape
        initializer = keras.initializers.HeUniform(seed=self.seed)
        hidden = draw_each(initializer, seeds, (rows, columns - self.n_linear), dtype)
        linear = keras.ops.zeros((len(seeds), rows, self.n_linear), dtype)
        return keras.ops.concatenate([linear, hidden], axis=-1)

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
