"""From what is known of the data, and a network's parameters, to the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe._architectures.initialize import initialize
from sklearn_mmoe._architectures.layer_maker import LayerMaker
from sklearn_mmoe._architectures.parts import Network
from sklearn_mmoe._architectures.registry import ARCHITECTURES
from sklearn_mmoe._architectures.sizes import Sizes
from sklearn_mmoe._architectures.weight_counter import matched_sizes
from sklearn_mmoe.regularizers import GroupLasso

if TYPE_CHECKING:
    from sklearn_mmoe._training.kernel_ridge import KernelRidge

__all__ = ["build_network", "multi_task_network"]


def _task_units(meta: Mapping[str, Any]) -> list[int]:
    """Read the width of each task's output from our own or scikeras' metadata."""
    if "task_units_" in meta:
        return list(meta["task_units_"])
    n_outputs = meta.get("n_outputs_", 1)
    n_classes = meta.get("n_classes_", 2)
    if np.ndim(n_classes) == 0:
        n_classes = [n_classes] * n_outputs
    return [1 if n is None or n <= 2 else int(n) for n in n_classes]


def build_network(
    meta: Mapping[str, Any],
    *,
    sharing: str = "mmoe",
    match_parameters: str | int | None = None,
    gate_dropout: float = 0.0,
    gate_temperature: float = 1.0,
    load_balance_penalty: float = 0.0,
    task_dependencies: Sequence[tuple[int, int]] = (),
    activation: str = "silu",
    dropout: float | Sequence[float] = 0.2,
    feature_penalty: float | Sequence[float] = 0.0,
    dtype: str = "float32",
    output_activation: str | None = None,
    seed: int | None = None,
    draw: bool = True,
    n_members: int | None = None,
    member_weights: Sequence[Sequence[float]] | None = None,
    kernel_ridge: KernelRidge | None = None,
    **sizes_of_parts: Any,
) -> Network:
    """Build the network; the parameters are those of :func:`multi_task_network`.

    With `n_members` it is an ensemble of so many networks: `feature_penalty` and
    `dropout` are those of each of them, and the outputs are averaged (see
    :class:`Network`), by `member_weights` if there are any, and then with those of a
    `kernel_ridge`. Without `draw` its weights mean nothing yet: drawing those of an
    ensemble takes as long as building it.

    Returns
    -------
    Network
        The model and what its layers are for.
    """
    if sharing not in ARCHITECTURES:
        raise ValueError(
            f"The 'sharing' parameter must be one of {list(ARCHITECTURES)}, got "
            f"{sharing!r}."
        )
    kinds = meta.get("task_kinds_")
    sizes = Sizes.of(meta["n_features_in_"], _task_units(meta), sizes_of_parts, kinds)
    sizes = matched_sizes(sharing, sizes, match_parameters)
    penalty = GroupLasso(feature_penalty) if np.any(feature_penalty) else None
    gates = {
        "gate_dropout": gate_dropout,
        "gate_temperature": gate_temperature,
        "load_balance_penalty": load_balance_penalty,
    }
    make = LayerMaker(activation, dropout, penalty, dtype, n_members, gates)
    inputs = make.features(sizes.n_features)
    linear, tops = ARCHITECTURES[sharing](make, inputs, sizes)
    logits = [
        make.output(top, units, k, linear[k] if linear else None)
        for k, (top, units) in enumerate(zip(tops, sizes.task_units, strict=True))
    ]
    for later, first in task_dependencies:
        logits[later] = make.product(logits[first], logits[later], later)
    for k, n_constants in enumerate(sizes.constant_units):
        if n_constants:
            logits[k] = make.spread(logits[k], k)
    members = None
    if n_members is not None:
        members = keras.Model(inputs, logits)
        logits = [
            make.average(
                logits[k],
                kind,
                k,
                None if member_weights is None else member_weights[k],
            )
            for k, kind in enumerate(meta["task_kinds_"])
        ]
    if kernel_ridge is not None:
        logits = make.kernel_ridge(inputs, logits, meta["task_kinds_"], kernel_ridge)
    outputs = [
        make.activate(of_task, output_activation, f"task_{k}", "output", k)
        for k, of_task in enumerate(logits)
    ]
    network = keras.Model(
        inputs, outputs if len(outputs) > 1 else outputs[0], name=f"{sharing}_network"
    )
    initialize(network, seed, draw)
    return Network(network, make.parts, tuple(make.mixtures), sharing, sizes, members)


def multi_task_network(
    meta: Mapping[str, Any],
    compile_kwargs: Mapping[str, Any] | None = None,
    *,
    sharing: str = "mmoe",
    num_experts: int = 8,
    num_task_experts: int = 2,
    num_levels: int = 2,
    expert_units: int | Sequence[int] = 32,
    shared_units: int | Sequence[int] = (96,),
    tower_units: int | Sequence[int] = (16,),
    match_parameters: str | int | None = None,
    gate_dropout: float = 0.0,
    gate_temperature: float = 1.0,
    load_balance_penalty: float = 0.0,
    task_dependencies: Sequence[tuple[int, int]] = (),
    activation: str = "silu",
    wide: bool = True,
    dropout: float = 0.2,
    feature_penalty: float = 0.0,
    dtype: str = "float32",
    output_activation: str | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Build a network of one output for each task.

    Shared layers, then what `sharing` says, then a tower for each task. By default this
    is multi-gate mixture-of-experts (Ma et al., 2018 [3]_); ``mmoe_network`` is another
    name for this function.

    Parameters
    ----------
    meta : dict
        What is known of the data: ``n_features_in_`` (int) and either
        ``task_units_`` (list of int, the width of each task's output) or, as
        scikeras gives them, ``n_outputs_`` and ``n_classes_``. With ``task_kinds_``
        (list of str, as :func:`~sklearn_mmoe.losses.task_loss` takes them) the spread
        of a task of kind 'tobit' is one for all rows.
    compile_kwargs : dict or None, default=None
        Arguments for :meth:`keras.Model.compile`; None leaves the network
        uncompiled.
    sharing : {'single', 'shared_bottom', 'omoe', 'mmoe', 'cgc', 'ple', \
            'cross_stitch', 'aitm'}, default='mmoe'
        How the tasks share what they learn, as in
        :class:`~sklearn_mmoe.MultiTaskMMoEClassifier`.
    num_experts : int, default=8
        Number of experts that all tasks share.
    num_task_experts : int, default=2
        Number of experts of each task's own, of 'cgc' and 'ple'.
    num_levels : int, default=2
        Number of levels of experts, of 'ple'.
    expert_units : int or sequence of int, default=32
        Width of each expert; of experts of several layers the width of each layer.
    shared_units : int or sequence of int, default=(96,)
        Widths of the layers below the experts; may be empty.
    tower_units : int or sequence of int, default=(16,)
        Widths of the hidden layers of each task's tower; may be empty.
    match_parameters : str, int or None, default=None
        The name of another way of sharing, or a number of weights, that the widths
        below the towers are scaled to match; None leaves them as they are.
    gate_dropout : float, default=0.0
        Share of the gates' weights that are dropped while training, in [0, 1).
    gate_temperature : float, default=1.0
        Temperature of the gates' softmax.
    load_balance_penalty : float, default=0.0
        Strength of a penalty on experts that are used unequally; see
        :class:`~sklearn_mmoe.layers.MMoE`.
    task_dependencies : sequence of (int, int), default=()
        Pairs of binary tasks by their indices: the probability of the first is its
        own, given the event of the second, times that of the second. Of a chain, the
        earlier pairs come first.
    activation : str, default='silu'
        Activation of all layers but the last, by Keras' name.
    wide : bool, default=True
        Whether a linear model of the features is added to each task's output, the
        wide part of Wide & Deep learning (Cheng et al., 2016 [1]_).
    dropout : float, default=0.2
        Share of the units dropped behind all layers but the experts while training,
        in [0, 1).
    feature_penalty : float, default=0.0
        Strength of the group lasso (Yuan & Lin, 2006 [2]_): the sum over features of
        the norm of their weights in the first layer, times this, is added to the loss.
        Where each task has a first layer of its own, so has each its penalty.
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

    Raises
    ------
    ValueError
        If there is no such way of sharing, or no widths come near `match_parameters`.

    References
    ----------
    .. [1] Cheng, H.-T. et al. (2016). "Wide & Deep Learning for Recommender
       Systems". DLRS 2016. https://arxiv.org/abs/1606.07792
    .. [2] Yuan, M., & Lin, Y. (2006). "Model selection and estimation in regression
       with grouped variables". Journal of the Royal Statistical Society B, 68(1).
       https://doi.org/10.1111/j.1467-9868.2005.00532.x
    .. [3] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe.networks import multi_task_network
    >>> meta = {"n_features_in_": 10, "task_units_": [1, 3]}
    >>> network = multi_task_network(meta, sharing="ple", num_levels=2, seed=0)
    >>> [output.shape for output in network.outputs]
    [(None, 1), (None, 3)]
    """
    network = build_network(
        meta,
        sharing=sharing,
        num_experts=num_experts,
        num_task_experts=num_task_experts,
        num_levels=num_levels,
        expert_units=expert_units,
        shared_units=shared_units,
        tower_units=tower_units,
        match_parameters=match_parameters,
        gate_dropout=gate_dropout,
        gate_temperature=gate_temperature,
        load_balance_penalty=load_balance_penalty,
        task_dependencies=task_dependencies,
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
