"""Layers assembled into one :class:`keras.Model` for each architecture.

The builders follow the protocol of scikeras' ``model=`` parameter (`meta` and
`compile_kwargs`), so that they serve :class:`scikeras.wrappers.KerasClassifier` and
:class:`scikeras.wrappers.KerasRegressor` as well as our own engine.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe.layers import MMoE
from sklearn_mmoe.regularizers import GroupLasso

# isort: split
import keras

__all__ = ["mmoe_network"]


def _seeds(seed: int | None) -> Iterator[int]:
    """Give each random layer a seed of its own, without touching global state."""
    sequence = np.random.SeedSequence(seed)
    while True:
        # 31 bits, and never 0: every backend takes such a seed.
        yield int(sequence.spawn(1)[0].generate_state(1)[0] >> 1) | 1


def _task_units(meta: Mapping[str, Any]) -> list[int]:
    """Read the width of each task's output from our own or scikeras' metadata."""
    if "task_units_" in meta:
        return list(meta["task_units_"])
    n_outputs = meta.get("n_outputs_", 1)
    n_classes = meta.get("n_classes_", 2)
    if np.ndim(n_classes) == 0:
        n_classes = [n_classes] * n_outputs
    return [1 if n is None or n <= 2 else int(n) for n in n_classes]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class _LinearAndHidden(keras.initializers.Initializer):
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


class _Layers:
    """Makes the layers of one network.

    All have one activation and one dtype, given and not Keras' global one: under a
    global 'mixed_float16' the same estimator would give other predictions. Each random
    one has a seed of its own.
    """

    def __init__(
        self,
        activation: str,
        dropout: float,
        penalty: GroupLasso | None,
        dtype: str,
        seed: int | None,
    ) -> None:
        self.activation = activation
        self.dropout = dropout
        self.dtype = dtype
        self.seeds = _seeds(seed)
        self.penalty = penalty  # of the kernels that the features meet first

    def dense(
        self, x: Any, units: int, initializer: Any, name: str, **more: Any
    ) -> Any:
        """Append a dense layer."""
        initializer = initializer(seed=next(self.seeds))
        layer = keras.layers.Dense(
            units, kernel_initializer=initializer, dtype=self.dtype, name=name, **more
        )
        return layer(x)

    def activate(self, x: Any, activation: str | None, name: str) -> Any:
        """Append an activation."""
        return keras.layers.Activation(activation, dtype=self.dtype, name=name)(x)

    def drop(self, x: Any, name: str) -> Any:
        """Append dropout, if there is any."""
        if not self.dropout:
            return x
        return keras.layers.Dropout(
            self.dropout,
            seed=next(self.seeds),
            dtype=self.dtype,
            name=f"{name}_dropout",
        )(x)

    def stack(
        self,
        x: Any,
        sizes: Sequence[int],
        name: str,
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
                activation=self.activation,
                kernel_regularizer=penalty if depth == 0 else None,
            )
            x = self.drop(x, f"{name}_{depth}")
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
            return [], self.stack(inputs, shared_units, "shared", penalty=self.penalty)
        n_hidden = shared_units[0] if shared_units else 0
        ends = np.cumsum(linear_units).tolist()
        product = self.dense(
            inputs,
            ends[-1] + n_hidden,
            functools.partial(_LinearAndHidden, ends[-1]),
            "wide_and_shared_0" if n_hidden else "wide",
            kernel_regularizer=self.penalty,
        )
        splits = ends if n_hidden else ends[:-1]
        # Not a slice for each, whose gradients would be as large as the product.
        parts = keras.ops.split(product, splits, axis=1) if splits else [product]
        if not n_hidden:
            return parts, inputs
        *linear, hidden = parts
        hidden = self.activate(hidden, self.activation, "shared_0")
        hidden = self.drop(hidden, "shared_0")
        return linear, self.stack(hidden, shared_units, "shared", start=1)

    def mmoe(self, x: Any, is_first: bool, **parameters: Any) -> list[Any]:
        """Append the experts and their gates."""
        penalty = self.penalty if is_first else None
        layer = MMoE(
            **parameters,
            expert_activation=self.activation,
            expert_kernel_initializer=keras.initializers.HeUniform(
                seed=next(self.seeds)
            ),
            gate_kernel_initializer=keras.initializers.GlorotUniform(
                seed=next(self.seeds)
            ),
            expert_kernel_regularizer=penalty,
            gate_kernel_regularizer=penalty,
            dtype=self.dtype,
            name="mmoe",
        )
        return layer(x)


def mmoe_network(
    meta: Mapping[str, Any],
    compile_kwargs: Mapping[str, Any] | None = None,
    *,
    num_experts: int = 8,
    expert_units: int = 32,
    expert_layers: int = 1,
    shared_units: Sequence[int] = (96,),
    tower_units: Sequence[int] = (16,),
    gate: str = "multi",
    activation: str = "silu",
    wide: bool = True,
    dropout: float = 0.2,
    feature_penalty: float = 0.0,
    dtype: str = "float32",
    output_activation: str | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Build a multi-gate mixture-of-experts network (Ma et al., 2018, figure 1c).

    Shared layers, then the experts with their gates, then a tower for each task.

    Parameters
    ----------
    meta : dict
        What is known of the data: ``n_features_in_`` (int) and either
        ``task_units_`` (list of int, the width of each task's output) or, as
        scikeras gives them, ``n_outputs_`` and ``n_classes_``.
    compile_kwargs : dict or None, default=None
        Arguments for :meth:`keras.Model.compile`; None leaves the network
        uncompiled.
    num_experts : int, default=8
        Number of experts.
    expert_units : int, default=32
        Width of each expert.
    expert_layers : int, default=1
        Depth of each expert.
    shared_units : sequence of int, default=(96,)
        Widths of the layers below the experts; may be empty.
    tower_units : sequence of int, default=(16,)
        Widths of the hidden layers of each task's tower; may be empty.
    gate : {'multi', 'single'}, default='multi'
        'multi' gives each task a gate (MMoE, equation 6), 'single' gives all tasks
        one gate (the paper's one-gate baseline OMoE, equation 5).
    activation : str, default='silu'
        Activation of all layers but the last, by Keras' name.
    wide : bool, default=True
        Whether a linear model of the features is added to each task's output, the
        wide part of Wide & Deep learning (Cheng et al., 2016 [2]_).
    dropout : float, default=0.2
        Share of the units dropped behind the shared and the tower layers while
        training, in [0, 1).
    feature_penalty : float, default=0.0
        Strength of the group lasso (Yuan & Lin, 2006 [3]_): the sum over features of
        the norm of their weights in the first layer, times this, is added to the loss.
    dtype : {'float32', 'float64'}, default='float32'
        Type of the weights and of all that is computed.
    output_activation : str or None, default=None
        Activation of the outputs; None gives logits.
    seed : int or None, default=None
        Seed of the initial weights and of the dropout; None takes fresh entropy
        from the operating system. Global random state is neither read nor changed.

    Returns
    -------
    keras.Model
        A network with one input (n_samples, n_features) and a list of outputs
        (n_samples, units), one for each task, or that output alone for one task.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007
    .. [2] Cheng, H.-T. et al. (2016). "Wide & Deep Learning for Recommender
       Systems". DLRS 2016. https://arxiv.org/abs/1606.07792
    .. [3] Yuan, M., & Lin, Y. (2006). "Model selection and estimation in regression
       with grouped variables". Journal of the Royal Statistical Society B, 68(1).
       https://doi.org/10.1111/j.1467-9868.2005.00532.x

    Examples
    --------
    >>> from sklearn_mmoe.networks import mmoe_network
    >>> network = mmoe_network({"n_features_in_": 10, "task_units_": [1, 3]}, seed=0)
    >>> [output.shape for output in network.outputs]
    [(None, 1), (None, 3)]
    """
    task_units = _task_units(meta)
    n_features = meta["n_features_in_"]
    penalty = GroupLasso(feature_penalty, n_features) if feature_penalty else None
    make = _Layers(activation, dropout, penalty, dtype, seed)
    inputs = keras.Input((n_features,), dtype=dtype, name="features")
    linear, shared = make.first(inputs, task_units if wide else [], shared_units)
    mixtures = make.mmoe(
        shared,
        is_first=not shared_units,
        units=expert_units,
        num_experts=num_experts,
        num_tasks=len(task_units) if gate == "multi" else 1,
        expert_layers=expert_layers,
    )
    if gate == "single":
        mixtures = mixtures * len(task_units)
    outputs = []
    for k, (mixture, units) in enumerate(zip(mixtures, task_units, strict=True)):
        tower = make.stack(mixture, tower_units, f"tower_{k}")
        glorot = keras.initializers.GlorotUniform
        logits = make.dense(tower, units, glorot, f"tower_{k}_output")
        if wide:
            logits = logits + linear[k]
        outputs.append(make.activate(logits, output_activation, f"task_{k}"))
    network = keras.Model(
        inputs, outputs if len(outputs) > 1 else outputs[0], name="mmoe_network"
    )
    if compile_kwargs is not None:
        network.compile(**compile_kwargs)
    return network
