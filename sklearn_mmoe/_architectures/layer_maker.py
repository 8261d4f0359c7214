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
from sklearn_mmoe.layers import MMoE
from sklearn_mmoe.layers._building_blocks import (
    LinearAndHidden,
    SplitColumns,
    silu,
)
from sklearn_mmoe.regularizers import GroupLasso

__all__ = ["LayerMaker"]


_SHARED = "shared layer"
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
    dropout : float
        Share of the units dropped behind shared and tower layers.
    penalty : GroupLasso or None
        Regularizer of the kernels that multiply the features.
    dtype : {'float32', 'float64'}
        Type of the weights and of all that is computed.
    gates : mapping or None, default=None
        Options of the mixtures' gates, arguments of :class:`~sklearn_mmoe.layers.MMoE`.

    Attributes
    ----------
    parts : dict of str to Part
        What each layer made so far is for.
    mixtures : list of MMoE
        The mixtures of experts among them.
    """

    def __init__(
        self,
        activation: str,
        dropout: float,
        penalty: GroupLasso | None,
        dtype: str,
        gates: Mapping[str, Any] | None = None,
    ) -> None:
        self.activation = silu if activation == "silu" else activation
        self.dropout = dropout
        self.dtype = dtype
        self.penalty = penalty
        self.gates = dict(gates or {})
        self.parts: dict[str, Part] = {}
        self.mixtures: list[MMoE] = []

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
        layer = keras.layers.Dense(
            units,
            kernel_initializer=initializer(seed=_ANY_SEED),
            dtype=self.dtype,
            name=name,
            **more,
        )
        return self._note(layer, kind, task)(x)

    def output(self, x: Any, units: int, task: int) -> Any:
        """Append the layer of a task's logits or values."""
        name, initializer = f"tower_{task}_output", keras.initializers.GlorotUniform
        return self.dense(x, units, initializer, name, "output", task)

    def add(self, x: Any, linear: Any, task: int) -> Any:
        """Add a task's linear model to its output."""
        layer = keras.layers.Add(dtype=self.dtype, name=f"tower_{task}_and_linear")
        return self._note(layer, "output", task)([x, linear])

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
        layer = keras.layers.Dropout(
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
        self, inputs: Any, linear_units: Sequence[int], shared_units: Sequence[int]
    ) -> tuple[list[Any], Any]:
        """Append the features' linear models, of these widths, and the shared layers.

        The linear models start at zero: the deep part alone decides at first. They are
        the first columns of the first shared layer's matrix product, because one of
        their own, with a column or two, takes a sixth of the whole training step.
        """
        if not linear_units:
            hidden = self.stack(
                inputs, shared_units, "shared", _SHARED, penalty=self.penalty
            )
            return [], hidden
        n_hidden = shared_units[0] if shared_units else 0
        ends = np.cumsum(linear_units).tolist()
        product = self.dense(
            inputs,
            ends[-1] + n_hidden,
            functools.partial(LinearAndHidden, ends[-1]),
            "wide_and_shared_0" if n_hidden else "wide",
            "linear models and shared layer" if n_hidden else "linear models",
            kernel_regularizer=self.penalty,
        )
        # Not a slice for each, whose gradients would be as large as the product.
        split = SplitColumns([*linear_units, *shared_units[:1]], dtype=self.dtype)
        parts = self._note(split, "linear models")(product)
        if not n_hidden:
            return parts, inputs
        *linear, hidden = parts
        hidden = self.activate(hidden, self.activation, "shared_0", _SHARED)
        hidden = self.drop(hidden, "shared_0", _SHARED)
        return linear, self.stack(hidden, shared_units, "shared", _SHARED, start=1)

    def mmoe(self, x: Any, is_first: bool, **parameters: Any) -> list[Any]:
        """Append the experts and their gates."""
        layer = MMoE(
            **parameters,
            **self.gates,
            seed=_ANY_SEED,
            expert_activation=self.activation,
            expert_kernel_initializer=keras.initializers.HeUniform(seed=_ANY_SEED),
            gate_kernel_initializer=keras.initializers.GlorotUniform(seed=_ANY_SEED),
            input_regularizer=self.penalty if is_first else None,
            dtype=self.dtype,
            name="mmoe",
        )
        self.mixtures.append(layer)
        return self._note(layer, "experts and gates")(x)
