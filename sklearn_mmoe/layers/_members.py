"""Layers of an ensemble: the same layer once for each member, computed together.

Activations have the members' axis in front, (num_members, n_samples, units), and so
have all weights. What comes first of all, the features, has no such axis: all members
see the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

from sklearn_mmoe.layers._initializers import with_seed
from sklearn_mmoe.layers.mmoe import MMoE

__all__ = ["AverageMembers", "MemberDense", "MemberMMoE"]


def seeds_of_members(seed: int, num_members: int) -> Iterator[int]:
    """Yield a seed for each member."""
    for sequence in np.random.SeedSequence(seed).spawn(num_members):
        yield int(sequence.generate_state(1)[0] >> 1) | 1


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberDense(keras.layers.Layer):
    """A dense layer for each member.

    Its weights are zero until :meth:`draw_weights` is called.

    Parameters
    ----------
    units : int
        Width of each member's output.
    num_members : int
        Number of members.
    activation : str, callable or None, default=None
        Activation of the outputs.
    kernel_initializer : str or Initializer, default='glorot_uniform'
        Initializer of each member's kernel.
    kernel_regularizer : str, Regularizer or None, default=None
        Regularizer of all kernels, (num_members, features, units).
    **kwargs
        As every Keras layer takes.
    """

    def __init__(
        self,
        units: int,
        num_members: int,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.num_members = num_members
        self.activation = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of shape (..., features)."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.num_members, input_shape[-1], self.units),
            initializer="zeros",
            regularizer=self.kernel_regularizer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.num_members, 1, self.units), initializer="zeros"
        )

    def draw_weights(self, seed: int) -> None:
        """Draw each member's weights, and set the biases to zero."""
        shape = self.kernel.shape[1:]
        self.kernel.assign(
            ops.stack(
                [
                    with_seed(self.kernel_initializer, of_member)(
                        shape, self.kernel.dtype
                    )
                    for of_member in seeds_of_members(seed, self.num_members)
                ]
            )
        )
        self.bias.assign(ops.zeros_like(self.bias))

    def call(self, x: Any) -> Any:
        return self.activation(ops.matmul(x, self.kernel) + self.bias)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_members": self.num_members,
            "activation": keras.activations.serialize(self.activation),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberMMoE(MMoE):
    """Experts and gates of each member; its weights are zero until they are drawn."""

    def __init__(self, *args: Any, num_members: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_members = num_members

    def _add_kernel(
        self,
        kind: str,
        name: str,
        shape: tuple[int, ...],
        block_shape: tuple[int, int],
        axis: int,
        depth: int = 0,
    ) -> Any:
        return self.add_weight(
            name=name,
            shape=(self.num_members, *shape),
            initializer="zeros",
            regularizer=self.input_regularizer if depth == 0 else None,
        )

    def _add_bias(self, kind: str, name: str, shape: tuple[int, int]) -> Any:
        return self.add_weight(
            name=name, shape=(self.num_members, 1, *shape), initializer="zeros"
        )

    def draw_weights(self, expert_seed: int, gate_seed: int) -> None:
        """Draw the weights of each member anew."""
        seeds = zip(
            seeds_of_members(expert_seed, self.num_members),
            seeds_of_members(gate_seed, self.num_members),
            strict=True,
        )
        members = [self._initial_weights(*of_member) for of_member in seeds]
        for of_members in zip(*members, strict=True):
            variable = of_members[0][0]
            shape = variable.shape[1:]
            values = [draw(shape, variable.dtype) for _, draw in of_members]
            variable.assign(ops.stack(values))

    @staticmethod
    def _hidden_product(inputs: Any, kernel: Any) -> Any:
        return ops.einsum("mbni,mnio->mbno", inputs, kernel)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_members": self.num_members}


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class AverageMembers(keras.layers.Layer):
    """The members' mean: of values, or of probabilities, which stay logits.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression'}
        Kind of the task.
    **kwargs
        As every Keras layer takes.
    """

    def __init__(self, kind: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind

    def call(self, x: Any) -> Any:
        if self.kind == "regression":
            return ops.mean(x, axis=0)
        if self.kind == "binary":
            # log(p / (1 - p)); the number of members cancels out.
            yes = ops.logsumexp(ops.log_sigmoid(x), axis=0)
            return yes - ops.logsumexp(ops.log_sigmoid(-x), axis=0)
        return ops.logsumexp(ops.log_softmax(x, axis=-1), axis=0) - np.log(x.shape[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kind": self.kind}
