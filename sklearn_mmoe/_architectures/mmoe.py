"""Multi-gate mixture-of-experts (Ma et al., 2018) between shared layers and towers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe._architectures.initialize import initialize
from sklearn_mmoe._architectures.layer_maker import LayerMaker
from sklearn_mmoe._architectures.parts import Network
from sklearn_mmoe.regularizers import GroupLasso

__all__ = ["build_mmoe", "mmoe_network"]


def _task_units(meta: Mapping[str, Any]) -> list[int]:
    """Read the width of each task's output from our own or scikeras' metadata."""
    if "task_units_" in meta:
        return list(meta["task_units_"])
    n_outputs = meta.get("n_outputs_", 1)
    n_classes = meta.get("n_classes_", 2)
    if np.ndim(n_classes) == 0:
        n_classes = [n_classes] * n_outputs
    return [1 if n is None or n <= 2 else int(n) for n in n_classes]


def build_mmoe(
    meta: Mapping[str, Any],
    *,
    num_experts: int = 8,
    expert_units: int = 32,
    expert_layers: int = 1,
    shared_units: Sequence[int] = (96,),
    tower_units: Sequence[int] = (16,),
    gate: str = "multi",
    gate_dropout: float = 0.0,
    gate_temperature: float = 1.0,
    load_balance_penalty: float = 0.0,
    activation: str = "silu",
    wide: bool = True,
    dropout: float = 0.2,
    feature_penalty: float = 0.0,
    dtype: str = "float32",
    output_activation: str | None = None,
    seed: int | None = None,
) -> Network:
    """Build the network; the parameters are those of :func:`mmoe_network`.

    Returns
    -------
    Network
        The model and what its layers are for.
    """
    task_units = _task_units(meta)
    n_features = meta["n_features_in_"]
    penalty = GroupLasso(feature_penalty) if feature_penalty else None
    gates = {
        "gate_dropout": gate_dropout,
        "gate_temperature": gate_temperature,
        "load_balance_penalty": load_balance_penalty,
    }
    make = LayerMaker(activation, dropout, penalty, dtype, gates)
    inputs = make.features(n_features)
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
        tower = make.stack(mixture, tower_units, f"tower_{k}", "tower", task=k)
        logits = make.output(tower, units, k)
        if wide:
            logits = make.add(logits, linear[k], k)
        task = make.activate(logits, output_activation, f"task_{k}", "output", k)
        outputs.append(task)
    network = keras.Model(
        inputs, outputs if len(outputs) > 1 else outputs[0], name="mmoe_network"
    )
    initialize(network, seed)
    return Network(network, make.parts, tuple(make.mixtures))


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
    gate_dropout: float = 0.0,
    gate_temperature: float = 1.0,
    load_balance_penalty: float = 0.0,
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
    gate_dropout : float, default=0.0
        Share of the gates' weights that are dropped while training, in [0, 1).
    gate_temperature : float, default=1.0
        Temperature of the gates' softmax.
    load_balance_penalty : float, default=0.0
        Strength of a penalty on experts that are used unequally; see
        :class:`~sklearn_mmoe.layers.MMoE`.
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
    network = build_mmoe(
        meta,
        num_experts=num_experts,
        expert_units=expert_units,
        expert_layers=expert_layers,
        shared_units=shared_units,
        tower_units=tower_units,
        gate=gate,
        gate_dropout=gate_dropout,
        gate_temperature=gate_temperature,
        load_balance_penalty=load_balance_penalty,
        activation=activation,
        wide=wide,
        dropout=dropout,
        feature_penalty=feature_penalty,
        dtype=dtype,
        output_activation=output_activation,
        seed=seed,
    ).model
    if compile_kwargs is not None:
        network.compile(**compile_kwargs)
    return network
