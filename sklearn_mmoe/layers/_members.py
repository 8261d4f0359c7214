"""Layers of an ensemble: the same layer once for each member, computed together.

Activations have the members' axis in front, (num_members, n_samples, units), and so
have all weights. What comes first of all, the features, has no such axis: all members
see the same rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from sklearn_mmoe._tasks.kinds import LINKS
from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

from sklearn_mmoe.layers._building_blocks import dense
from sklearn_mmoe.layers._gates import GatedLayer
from sklearn_mmoe.layers._initializers import draw_each
from sklearn_mmoe.layers._spread import LearnedSpread
from sklearn_mmoe.layers.cgc import CGC
from sklearn_mmoe.layers.cross_stitch import CrossStitch
from sklearn_mmoe.layers.information_transfer import AdaptiveInformationTransfer
from sklearn_mmoe.layers.mmoe import MMoE

__all__ = ["AverageMembers", "MemberDense", "MemberDropout", "member_layer"]


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
            name="bias", shape=(self.num_members, self.units), initializer="zeros"
        )

    n_seeds = 1  # of draw_weights

    def draw_weights(self, seed: int) -> None:
        """Draw each member's weights, and set the biases to zero."""
        seeds = list(seeds_of_members(seed, self.num_members))
        self.kernel.assign(
            draw_each(
                self.kernel_initializer,
                seeds,
                self.kernel.shape[1:],
                self.kernel.dtype,
            )
        )
        self.bias.assign(ops.zeros(self.bias.shape, self.bias.dtype))

    def call(self, x: Any) -> Any:
        return self.activation(dense(x, self.kernel, self.bias))

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
class MemberDropout(keras.layers.Dropout):
    """Dropout with a rate for each member, which may be 0.

    Parameters
    ----------
    rate : sequence of float
        Share of the units that are dropped of each member, in [0, 1).
    seed : int or None, default=None
        Seed of the draws.
    **kwargs
        As every Keras layer takes.
    """

    def __init__(
        self, rate: Sequence[float], seed: int | None = None, **kwargs: Any
    ) -> None:
        # Keras takes one rate alone; and where it is 0, has no generator.
        super().__init__(rate=0.5, seed=seed, **kwargs)
        self.rate = [float(of_member) for of_member in rate]

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        draws = keras.random.uniform(
            ops.shape(inputs), dtype=self.compute_dtype, seed=self.seed_generator
        )
        rates = np.reshape(np.array(self.rate, self.compute_dtype), (-1, 1, 1))
        return ops.where(draws >= rates, inputs / (1 - rates), ops.zeros_like(inputs))


class Members(keras.layers.Layer):
    """What makes an ensemble's layer of one of ours, which comes behind it as a base.

    All weights get the members' axis in front. They are zero until they are drawn.
    """

    def __init__(self, *args: Any, num_members: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_members = num_members

    def add_weight(self, *, shape: Sequence[int], **options: Any) -> Any:
        shape = (self.num_members, *shape)
        return super().add_weight(shape=shape, **{**options, "initializer": "zeros"})

    def build(self, input_shape: Any) -> None:
        self._row_shape = _of_rows(input_shape)
        super().build(self._row_shape)

    def draw_weights(self, *seeds: int) -> None:
        """Draw the weights of each member as those of such a layer by itself."""
        config = {**super().get_config(), "name": None}
        config.pop("num_members", None)
        single: Any
        (single,) = (base for base in type(self).__bases__ if base is not Members)
        layer = single.from_config(config)
        layer.build(self._row_shape)
        drawn = []
        for of_member in zip(
            *(seeds_of_members(seed, self.num_members) for seed in seeds), strict=True
        ):
            layer.draw_weights(*of_member)
            drawn.append(layer.get_weights())
        if not seeds:
            drawn = [layer.get_weights()] * self.num_members
        self.set_weights([np.stack(weights) for weights in zip(*drawn, strict=True)])
        if isinstance(self, GatedLayer):
            self._restart_dropout(seeds[-1])

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = super().compute_output_shape(_of_rows(input_shape))
        if isinstance(shapes, list):
            return [(self.num_members, *shape) for shape in shapes]
        return (self.num_members, *shapes)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_members": self.num_members}


def _of_rows(shape: Any) -> Any:
    """Return shapes of rows, (None, features), without the members' axis."""
    if isinstance(shape[0], list | tuple):
        return [_of_rows(of_input) for of_input in shape]
    return tuple(shape[-2:])


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberMMoE(Members, MMoE):
    """Experts and gates of each member."""


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberCGC(Members, CGC):
    """Shared experts, those of each task, and their gates, of each member."""


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberCrossStitch(Members, CrossStitch):
    """Cross-stitch units of each member."""


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberInformationTransfer(Members, AdaptiveInformationTransfer):
    """The transfer between two tasks, of each member."""


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MemberLearnedSpread(Members, LearnedSpread):
    """The spread of a task, of each member."""


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class AverageMembers(keras.layers.Layer):
    """The members' mean: of values, or of probabilities, which stay logits.

    It takes a tensor with the members' axis in front, or a list of tensors.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression', ...}
        Kind of the task; see :func:`sklearn_mmoe.losses.task_loss`.
    weights : sequence of float or None, default=None
        Weight of each member, which sum to 1; None weighs all alike.
    **kwargs
        As every Keras layer takes.
    """

    def __init__(
        self, kind: str, weights: Sequence[float] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.member_weights = None if weights is None else [float(w) for w in weights]

    def counting(self, n_members: int) -> tuple[np.ndarray, np.ndarray]:
        """Return which members have a weight above zero, and their weights."""
        weights = np.asarray(self.member_weights or [1 / n_members] * n_members)
        return np.flatnonzero(weights), weights[weights > 0]

    def call(self, x: Any) -> Any:
        if isinstance(x, list | tuple):
            x = ops.stack(x)
        counting, weights = self.counting(x.shape[0])
        if len(counting) < x.shape[0]:  # the outputs of others may not be finite
            x = ops.take(x, counting, axis=0)
        shares = np.reshape(weights, (-1, 1, 1))
        logs = ops.convert_to_tensor(np.log(shares), x.dtype)
        link = LINKS[self.kind]
        if link == "identity":
            return ops.sum(x * ops.convert_to_tensor(shares, x.dtype), axis=0)
        if link == "log":
            return ops.logsumexp(x + logs, axis=0)
        if link == "logit":  # log(p / (1 - p))
            yes = ops.logsumexp(ops.log_sigmoid(x) + logs, axis=0)
            return yes - ops.logsumexp(ops.log_sigmoid(-x) + logs, axis=0)
        return ops.logsumexp(ops.log_softmax(x, axis=-1) + logs, axis=0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "weights": self.member_weights,
        }


_OF_SINGLE = {
    keras.layers.Dense: MemberDense,
    MMoE: MemberMMoE,
    CGC: MemberCGC,
    CrossStitch: MemberCrossStitch,
    AdaptiveInformationTransfer: MemberInformationTransfer,
    LearnedSpread: MemberLearnedSpread,
}


def member_layer(cls: type[keras.layers.Layer], num_members: int | None) -> Any:
    """Return what makes a layer of an ensemble; without members, the class itself."""
    if num_members is None:
        return cls
    return functools.partial(_OF_SINGLE[cls], num_members=num_members)
