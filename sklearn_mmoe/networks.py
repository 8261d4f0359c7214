"""Layers assembled into one :class:`keras.Model` for each architecture.

The builders follow the protocol of scikeras' ``model=`` parameter (`meta` and
`compile_kwargs`), so that they serve :class:`scikeras.wrappers.KerasClassifier` and
:class:`scikeras.wrappers.KerasRegressor` as well as our own engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe.layers import MMoE

# isort: split
import keras

__all__ = ["mmoe_network"]

# The networks do not follow keras.config.set_dtype_policy: under a global
# 'mixed_float16' the same estimator would give other predictions.
_DTYPE = "float32"


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


def _first_layers(
    inputs: Any,
    n_linear: int,
    shared_units: Sequence[int],
    activation: str,
    dropout: float,
    seeds: Iterator[int],
) -> tuple[Any, Any]:
    """Make the features' linear models (n_samples, n_linear) and the shared layers.

    The linear models start at zero: the deep part alone decides at first. They are
    the first columns of the first shared layer's matrix product, because one of their
    own, with a column or two, takes a sixth of the whole training step.
    """
    n_hidden = shared_units[0] if shared_units else 0
    if not n_linear:
        return None, _dense_stack(
            inputs, shared_units, activation, dropout, "shared", seeds
        )
    product = keras.layers.Dense(
        n_linear + n_hidden,
        kernel_initializer=_LinearAndHidden(n_linear, seed=next(seeds)),
        dtype=_DTYPE,
        name="wide_and_shared_0" if n_hidden else "wide",
    )(inputs)
    if not n_hidden:
        return product, inputs
    hidden = keras.layers.Activation(activation, dtype=_DTYPE, name="shared_0")(
        product[:, n_linear:]
    )
    hidden = _dropped(hidden, dropout, "shared_0", seeds)
    shared = _dense_stack(
        hidden, shared_units, activation, dropout, "shared", seeds, start=1
    )
    return product[:, :n_linear], shared


def _dropped(x: Any, dropout: float, name: str, seeds: Iterator[int]) -> Any:
    """Append dropout, if there is any."""
    if not dropout:
        return x
    return keras.layers.Dropout(
        dropout, seed=next(seeds), dtype=_DTYPE, name=f"{name}_dropout"
    )(x)


def _dense_stack(
    x: Any,
    sizes: Sequence[int],
    activation: str,
    dropout: float,
    name: str,
    seeds: Iterator[int],
    start: int = 0,
) -> Any:
    """Append layers of sizes[start:], each with dropout behind it."""
    for depth, size in enumerate(sizes[start:], start):
        x = keras.layers.Dense(
            size,
            activation=activation,
            kernel_initializer=keras.initializers.HeUniform(seed=next(seeds)),
            dtype=_DTYPE,
            name=f"{name}_{depth}",
        )(x)
        x = _dropped(x, dropout, f"{name}_{depth}", seeds)
    return x


def mmoe_network(
    meta: Mapping[str, Any],
    compile_kwargs: Mapping[str, Any] | None = None,
    *,
    num_experts: int = 8,
    expert_units: int = 32,
    expert_layers: int = 1,
    shared_units: Sequence[int] = (128,),
    tower_units: Sequence[int] = (16,),
    gate: str = "multi",
    activation: str = "silu",
    wide: bool = True,
    dropout: float = 0.2,
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
    shared_units : sequence of int, default=(128,)
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

    Examples
    --------
    >>> from sklearn_mmoe.networks import mmoe_network
    >>> network = mmoe_network({"n_features_in_": 10, "task_units_": [1, 3]}, seed=0)
    >>> [output.shape for output in network.outputs]
    [(None, 1), (None, 3)]
    """
    task_units = _task_units(meta)
    seeds = _seeds(seed)
    inputs = keras.Input((meta["n_features_in_"],), dtype=_DTYPE, name="features")
    linear, shared = _first_layers(
        inputs, sum(task_units) if wide else 0, shared_units, activation, dropout, seeds
    )
    mixtures = MMoE(
        expert_units,
        num_experts,
        len(task_units) if gate == "multi" else 1,
        expert_layers=expert_layers,
        expert_activation=activation,
        expert_kernel_initializer=keras.initializers.HeUniform(seed=next(seeds)),
        gate_kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
        dtype=_DTYPE,
        name="mmoe",
    )(shared)
    if gate == "single":
        mixtures = mixtures * len(task_units)
    ends = np.cumsum(task_units)
    outputs = []
    for k, (mixture, units) in enumerate(zip(mixtures, task_units, strict=True)):
        tower = _dense_stack(
            mixture, tower_units, activation, dropout, f"tower_{k}", seeds
        )
        logits = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=next(seeds)),
            dtype=_DTYPE,
            name=f"tower_{k}_output",
        )(tower)
        if wide:
            logits = logits + linear[:, ends[k] - units : ends[k]]
        outputs.append(
            keras.layers.Activation(output_activation, dtype=_DTYPE, name=f"task_{k}")(
                logits
            )
        )
    network = keras.Model(
        inputs, outputs if len(outputs) > 1 else outputs[0], name="mmoe_network"
    )
    if compile_kwargs is not None:
        network.compile(**compile_kwargs)
    return network
