"""The layers that architectures are put together from."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe._architectures.parts import Part
from sklearn_mmoe._training.kernel_ridge import LEAST_PROBABILITY, KernelRidge
from sklearn_mmoe.layers import (
    CGC,
    AdaptiveInformationTransfer,
    CrossStitch,
    MMoE,
    ProductOfProbabilities,
)
from sklearn_mmoe.layers._building_blocks import LinearAndHidden, SplitColumns, silu
from sklearn_mmoe.layers._kernel_ridge import KernelRidgeOutputs
from sklearn_mmoe.layers._members import AverageMembers, MemberDropout, member_layer
from sklearn_mmoe.layers._spread import LearnedSpread
from sklearn_mmoe.regularizers import GroupLasso

__all__ = ["LayerMaker"]


# Every layer is drawn anew before it is used.
_ANY_SEED = 1


class LayerMaker:
    """Makes the layers of one network, and notes what each of them is for.

    All have one activation and one dtype, given and not Keras' global one: under a
    global 'mixed_float16' the same estimator would give other predictions. Their
    initial weights are those of a fixed seed, so that no global random state is read;
    :func:`~sklearn_mmoe._architectures.initialize.initialize` draws the real ones.

    Parameters
    ----------
    activation : str
        Activation of all layers but the last.
    dropout : float or sequence of float
        Share of the units dropped behind shared and tower layers; of an ensemble it
        may be one for each member.
    penalty : GroupLasso or None
        Regularizer of the kernels that multiply the features.
    dtype : {'float32', 'float64'}
        Type of the weights and of all that is computed.
    n_members : int or None, default=None
        Number of networks in one: all layers get an axis of that many in front, which
        :meth:`average` ends. None makes one network, without such an axis.
    gates : mapping or None, default=None
        Options of the mixtures' gates, arguments of :class:`~sklearn_mmoe.layers.MMoE`.

    Attributes
    ----------
    parts : dict of str to Part
        What each layer made so far is for.
    mixtures : list of MMoE or CGC
        The mixtures of experts among them, from the features up.
    """

    def __init__(
        self,
        activation: str,
        dropout: float | Sequence[float],
        penalty: GroupLasso | None,
        dtype: str,
        n_members: int | None = None,
        gates: Mapping[str, Any] | None = None,
    ) -> None:
        self.activation = silu if activation == "silu" else activation
        self.dropout = dropout
        self.dtype = dtype
        self.penalty = penalty
        self.n_members = n_members
        self.gates = dict(gates or {})
        self.parts: dict[str, Part] = {}
        self.mixtures: list[Any] = []

    def _note(self, layer: Any, kind: str, task: int | None = None) -> Any:
        self.parts[layer.name] = Part(kind, task)
        return layer

    def features(self, n_features: int) -> Any:
        """Begin with the features."""
        inputs = keras.Input((n_features,), dtype=self.dtype, name="features")
        self.parts["features"] = Part("features")
        return inputs

    def dense(
        self,
        x: Any,
        units: int,
        initializer: Any,
        name: str,
        kind: str,
        task: int | None = None,
        **more: Any,
    ) -> Any:
        """Append a dense layer."""
        layer = member_layer(keras.layers.Dense, self.n_members)(
            units,
            kernel_initializer=initializer(seed=_ANY_SEED),
            dtype=self.dtype,
            name=name,
            **more,
        )
        return self._note(layer, kind, task)(x)

    def activate(
        self,
        x: Any,
        activation: Any,
        name: str,
        kind: str,
        task: int | None = None,
    ) -> Any:
        """Append an activation."""
        layer = keras.layers.Activation(activation, dtype=self.dtype, name=name)
        return self._note(layer, kind, task)(x)

    def drop(self, x: Any, name: str, kind: str, task: int | None = None) -> Any:
        """Append dropout, if there is any."""
        if not self.dropout:
            return x
        kind_of_layer: Any = (
            MemberDropout
            if isinstance(self.dropout, Sequence)
            else keras.layers.Dropout
        )
        layer = kind_of_layer(
            self.dropout, seed=_ANY_SEED, dtype=self.dtype, name=f"{name}_dropout"
        )
        return self._note(layer, kind, task)(x)

    def stack(
        self,
        x: Any,
        sizes: Sequence[int],
        name: str,
        kind: str,
        task: int | None = None,
        start: int = 0,
        penalty: Any = None,
    ) -> Any:
        """Append layers of sizes[start:], each with dropout behind it.

        `penalty` is the regularizer of the first of all, if it is appended.
        """
        for depth, size in enumerate(sizes[start:], start):
            x = self.dense(
                x,
                size,
                keras.initializers.HeUniform,
                f"{name}_{depth}",
                kind,
                task,
                activation=self.activation,
                kernel_regularizer=penalty if depth == 0 else None,
            )
            x = self.drop(x, f"{name}_{depth}", kind, task)
        return x

    def first(
        self,
        inputs: Any,
        linear_units: Sequence[int],
        sizes: Sequence[int],
        name: str = "shared",
        kind: str = "shared layer",
        task: int | None = None,
    ) -> tuple[list[Any], Any]:
        """Append the features' linear models, of these widths, and the first layers.

        The linear models start at zero: the deep part alone decides at first. They are
        the first columns of the first layer's matrix product, because one of their
        own, with a column or two, takes a sixth of the whole training step.
        """
        if not linear_units:
            return [], self.stack(inputs, sizes, name, kind, task, penalty=self.penalty)
        n_hidden = sizes[0] if sizes else 0
        ends = np.cumsum(linear_units).tolist()
        product = self.dense(
            inputs,
            ends[-1] + n_hidden,
            functools.partial(LinearAndHidden, ends[-1]),
            f"wide_and_{name}_0" if n_hidden else "wide",
            f"linear models and {kind}" if n_hidden else "linear models",
            task,
            kernel_regularizer=self.penalty,
        )
        # Not a slice for each, whose gradients would be as large as the product.
        split = SplitColumns(
            [*linear_units, *sizes[:1]], dtype=self.dtype, name=f"split_{name}"
        )
        parts = self._note(split, "linear models", task)(product)
        if not n_hidden:
            return parts, inputs
        *linear, hidden = parts
        hidden = self.activate(hidden, self.activation, f"{name}_0", kind, task)
        hidden = self.drop(hidden, f"{name}_0", kind, task)
        return linear, self.stack(hidden, sizes, name, kind, task, start=1)

    def towers(self, bodies: Sequence[Any], sizes: Sequence[int]) -> list[Any]:
        """Append a tower to what each task goes on with."""
        return [
            self.stack(x, sizes, f"tower_{k}", "tower", k) for k, x in enumerate(bodies)
        ]

    def output(self, x: Any, units: int, task: int, linear: Any = None) -> Any:
        """Append a task's logits or values, its linear model added."""
        initializer = keras.initializers.GlorotUniform
        x = self.dense(x, units, initializer, f"tower_{task}_output", "output", task)
        if linear is not None:
            name = f"tower_{task}_and_linear"
            layer = keras.layers.Add(dtype=self.dtype, name=name)
            x = self._note(layer, "output", task)([x, linear])
        return x

    def spread(self, x: Any, task: int) -> Any:
        """Append the logarithm of the spread around a task's values."""
        make = member_layer(LearnedSpread, self.n_members)
        layer = make(dtype=self.dtype, name=f"tower_{task}_spread")
        return self._note(layer, "output", task)(x)

    def average(
        self, x: Any, kind: str, task: int, weights: Sequence[float] | None
    ) -> Any:
        """Append the mean of a task's members."""
        name = f"task_{task}_members"
        layer = AverageMembers(kind, weights, dtype=self.dtype, name=name)
        return self._note(layer, "output", task)(x)

    def kernel_ridge(
        self,
        inputs: Any,
        logits: Sequence[Any],
        kinds: Sequence[str],
        fitted: KernelRidge,
    ) -> list[Any]:
        """Append a fitted kernel ridge regression, and its mean with the outputs."""
        counting = [k for k, width in enumerate(fitted.widths) if width]
        layer = KernelRidgeOutputs(
            [kinds[k] for k in counting],
            [fitted.widths[k] for k in counting],
            len(fitted.rows),
            LEAST_PROBABILITY,
            dtype=self.dtype,
            name="kernel_ridge",
        )
        outputs = self._note(layer, "kernel ridge regression")(inputs)
        for weight in layer.weights:
            weight.assign(getattr(fitted, weight.name))
        mixed = list(logits)
        for k, output in zip(counting, outputs, strict=True):
            share = fitted.shares[k]
            name = f"task_{k}_and_kernel_ridge"
            average = AverageMembers(
                kinds[k], [1 - share, share], dtype=self.dtype, name=name
            )
            mixed[k] = self._note(average, "output", k)([logits[k], output])
        return mixed

    def product(self, before: Any, own: Any, task: int) -> Any:
        """Append the probability of an event that happens only after another."""
        layer = ProductOfProbabilities(dtype=self.dtype, name=f"product_{task}")
        return self._note(layer, "output", task)([before, own])

    def mmoe(self, x: Any, is_first: bool, **sizes: int | Sequence[int]) -> list[Any]:
        """Append experts, and gates that mix them."""
        return self._mixture(MMoE, x, is_first, "mmoe", sizes)

    def cgc(
        self, x: Any, is_first: bool, level: int, **sizes: int | Sequence[int]
    ) -> list[Any]:
        """Append experts that are shared and experts of each task's, and their gates.

        `x` is one tensor, or one for each task and one for the shared experts.
        """
        return self._mixture(CGC, x, is_first, f"cgc_{level}", sizes)

    def _mixture(
        self, cls: Any, x: Any, is_first: bool, name: str, sizes: dict[str, Any]
    ) -> list[Any]:
        layer = member_layer(cls, self.n_members)(
            **sizes,
            **self.gates,
            seed=_ANY_SEED,
            expert_activation=self.activation,
            expert_kernel_initializer=keras.initializers.HeUniform(seed=_ANY_SEED),
            gate_kernel_initializer=keras.initializers.GlorotUniform(seed=_ANY_SEED),
            input_regularizer=self.penalty if is_first else None,
            dtype=self.dtype,
            name=name,
        )
        self.mixtures.append(layer)
        return self._note(layer, "experts and gates")(x)

    def cross_stitch(self, xs: Sequence[Any], depth: int) -> list[Any]:
        """Append units that mix the tasks' activations."""
        make = member_layer(CrossStitch, self.n_members)
        layer = make(dtype=self.dtype, name=f"cross_stitch_{depth}")
        return self._note(layer, "cross-stitch units")(list(xs))

    def transfer(self, before: Any, own: Any, units: int, task: int) -> Any:
        """Append what hands the representation of the task before on to this one."""
        passed = self.stack(before, [units], f"transfer_{task}", "transfer", task)
        make = member_layer(AdaptiveInformationTransfer, self.n_members)
        layer = make(
            keras.initializers.GlorotUniform(seed=_ANY_SEED),
            dtype=self.dtype,
            name=f"transfer_{task}",
        )
        return self._note(layer, "transfer", task)([passed, own])
