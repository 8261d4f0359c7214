"""The layer of customized gate control: experts of the tasks' own beside shared ones.

References
----------
.. [1] Tang, H., Liu, J., Zhao, M., & Gong, X. (2020). "Progressive Layered Extraction
   (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized Recommendations".
   RecSys 2020. https://doi.org/10.1145/3383313.3412236
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

from sklearn_mmoe.layers._building_blocks import (
    check_positive_int,
    check_widths,
    dense,
    fused_layers,
)
from sklearn_mmoe.layers._gates import GatedLayer
from sklearn_mmoe.layers._initializers import block_initializer, of_block, with_seed

__all__ = ["CGC"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class CGC(GatedLayer):
    r"""Customized gate control: each task mixes its own experts and the shared ones.

    For task :math:`k` the layer computes (Tang et al., 2020 [1]_, equations 1 to 3)

    .. math::

        g^k(x) = w^k(x) \, S^k(x), \qquad
        w^k(x) = \mathrm{softmax}(W_g^k x + b_g^k)

    where the rows of :math:`S^k(x)` are the outputs of the shared experts and of the
    experts of task :math:`k`. No task's labels change the experts of another. Several
    of these layers, each but the last with ``shared_output=True``, are progressive
    layered extraction (PLE; equations 5 and 6).

    Parameters
    ----------
    units : int or sequence of int
        Width of every expert, and so of each output; of experts of several layers the
        width of each layer.
    num_experts : int
        Number of experts that all tasks share.
    num_task_experts : int
        Number of experts of each task's own.
    num_tasks : int
        Number of tasks, and so of gates.
    shared_output : bool, default=False
        Whether there is one output more: a gate of the shared experts' own mixes all
        experts, for the shared experts of the next such layer.
    expert_activation : str, callable or None, default='relu'
        Activation of the experts.
    expert_kernel_initializer : str or Initializer, default='VarianceScaling'
        Initializer of the experts' kernels, called once for each expert and layer.
    gate_kernel_initializer : str or Initializer, default='VarianceScaling'
        Initializer of the gates' kernels, called once for each gate.
    input_regularizer : str, Regularizer or None, default=None
        Regularizer of the kernels that multiply the layer's input: the experts' first
        ones and the gates'.
    gate_dropout : float, default=0.0
        Share of the gates' weights that are set to zero while training, as of
        :class:`~sklearn_mmoe.layers.MMoE`.
    gate_temperature : float, default=1.0
        What the gates' logits are divided by.
    load_balance_penalty : float, default=0.0
        Strength of a penalty, for each gate, on experts that it uses unequally.
    seed : int or None, default=None
        Seed of `gate_dropout`.
    **kwargs
        As every Keras layer takes: `name`, `dtype`, `trainable`.

    Attributes
    ----------
    units : int
        Width of each output.
    expert_units : tuple of int
        Width of each layer of the experts.
    expert_kernels : list of list of Variable
        For each task, then for the shared experts, the kernels of each layer: the first
        (features, n, width), the others (n, width below, width).
    expert_biases : list of list of Variable of shape (n, width)
        Their biases.
    gate_kernels : list of Variable of shape (features, n_seen)
        Kernel of each task's gate, over the shared experts and then its own; with
        `shared_output` also of the gate over all experts, the shared ones first.
    gate_biases : list of Variable of shape (n_seen,)
        Their biases.

    Raises
    ------
    ValueError
        If a number is not a positive int, or there is not an input for every task and
        one for the shared experts.

    Notes
    -----
    **Shape.** Input: one tensor of shape (..., features) for all, or a list of
    `num_tasks` + 1 of them: one for each task, and the last for the shared experts.
    Output: a list of `num_tasks` tensors of shape (..., units), and one more with
    `shared_output`.

    References
    ----------
    .. [1] Tang, H., Liu, J., Zhao, M., & Gong, X. (2020). "Progressive Layered
       Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
       Recommendations". RecSys 2020. https://doi.org/10.1145/3383313.3412236

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.layers import CGC
    >>> x = np.ones((3, 10), dtype="float32")
    >>> level_1 = CGC(4, num_experts=2, num_task_experts=1, num_tasks=2,
    ...               shared_output=True)(x)
    >>> level_2 = CGC(4, num_experts=2, num_task_experts=1, num_tasks=2)(level_1)
    >>> [tuple(output.shape) for output in level_2]
    [(3, 4), (3, 4)]
    """

    n_seeds = 2  # of draw_weights

    def __init__(
        self,
        units: int | Sequence[int],
        num_experts: int,
        num_task_experts: int,
        num_tasks: int,
        shared_output: bool = False,
        expert_activation: Any = "relu",
        expert_kernel_initializer: Any = "VarianceScaling",
        gate_kernel_initializer: Any = "VarianceScaling",
        input_regularizer: Any = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            gate_dropout, gate_temperature, load_balance_penalty, seed, **kwargs
        )
        self.expert_units = check_widths("CGC", "units", units)
        self.units = self.expert_units[-1]
        self.num_experts = check_positive_int("CGC", "num_experts", num_experts)
        self.num_task_experts = check_positive_int(
            "CGC", "num_task_experts", num_task_experts
        )
        self.num_tasks = check_positive_int("CGC", "num_tasks", num_tasks)
        self.shared_output = bool(shared_output)
        self.expert_activation = keras.activations.get(expert_activation)
        initializer = keras.initializers.get
        self.expert_kernel_initializer = initializer(expert_kernel_initializer)
        self.gate_kernel_initializer = initializer(gate_kernel_initializer)
        self.input_regularizer = keras.regularizers.get(input_regularizer)

    @property
    def _group_sizes(self) -> list[int]:
        """Numbers of experts: of each task, and of all."""
        return [self.num_task_experts] * self.num_tasks + [self.num_experts]

    @property
    def _n_seen(self) -> list[int]:
        """Numbers of experts that each gate mixes."""
        n_seen = [self.num_experts + self.num_task_experts] * self.num_tasks
        return n_seen + [sum(self._group_sizes)] * self.shared_output

    def build(self, input_shape: Any) -> None:
        """Create the weights for inputs of shape (..., features)."""
        several = isinstance(input_shape[0], list | tuple)
        shapes = input_shape if several else [input_shape] * (self.num_tasks + 1)
        if len(shapes) != self.num_tasks + 1:
            raise ValueError(
                f"CGC of {self.num_tasks} tasks needs one input for all, or "
                f"{self.num_tasks + 1}: one for each task and one for the shared "
                f"experts; got {len(shapes)}."
            )
        if any(shape[-1] is None for shape in shapes):
            raise ValueError(
                "CGC needs inputs whose last dimension, the number of features, is "
                f"known; got shape {tuple(input_shape)}."
            )
        self._features = [int(shape[-1]) for shape in shapes]
        names = [*(f"task_{k}" for k in range(self.num_tasks)), "shared"]
        of_experts, of_gates = self._initializers(
            self.expert_kernel_initializer, self.gate_kernel_initializer
        )
        self.expert_kernels, self.expert_biases = [], []
        groups = zip(names, self._features, self._group_sizes, of_experts, strict=True)
        for name, features, n, initializers in groups:
            shapes = [
                (features, n, self.expert_units[0]),
                *((n, *block) for block in itertools.pairwise(self.expert_units)),
            ]
            layers = enumerate(zip(shapes, initializers, strict=True))
            self.expert_kernels.append(
                [
                    self.add_weight(
                        name=f"{name}_expert_kernel_{depth}",
                        shape=shape,
                        initializer=initializer,
                        regularizer=None if depth else self.input_regularizer,
                    )
                    for depth, (shape, initializer) in layers
                ]
            )
            self.expert_biases.append(
                [
                    self.add_weight(
                        name=f"{name}_expert_bias_{depth}",
                        shape=(n, width),
                        initializer="zeros",
                    )
                    for depth, width in enumerate(self.expert_units)
                ]
            )
        self.gate_kernels, self.gate_biases = [], []
        gates = zip(names, self._features, self._n_seen, of_gates, strict=False)
        for name, features, n_seen, initializer in gates:
            self.gate_kernels.append(
                self.add_weight(
                    name=f"{name}_gate_kernel",
                    shape=(features, n_seen),
                    initializer=initializer,
                    regularizer=self.input_regularizer,
                )
            )
            self.gate_biases.append(
                self.add_weight(
                    name=f"{name}_gate_bias", shape=(n_seen,), initializer="zeros"
                )
            )
        self.built = True

    def _initializers(self, experts: Any, gates: Any) -> tuple[list[Any], list[Any]]:
        """Make an initializer for each kernel, with a seed for each expert and gate."""
        n_all, before = sum(self._group_sizes), 0
        of_experts = []
        for features, n in zip(self._features, self._group_sizes, strict=True):
            blocks = itertools.pairwise((features, *self.expert_units))
            of_experts.append(
                [
                    block_initializer(
                        experts, block, 0 if depth else 1, depth * n_all + before
                    )
                    for depth, block in enumerate(blocks)
                ]
            )
            before += n
        return of_experts, [of_block(gates, k) for k in range(self.num_tasks + 1)]

    def draw_weights(self, expert_seed: int, gate_seed: int) -> None:
        """Draw all weights anew, with other seeds than the initializers' own.

        Parameters
        ----------
        expert_seed, gate_seed : int
            Seeds of the experts' and of the gates' kernels.
        """
        of_experts, of_gates = self._initializers(
            with_seed(self.expert_kernel_initializer, expert_seed),
            with_seed(self.gate_kernel_initializer, gate_seed),
        )
        kernels = [*itertools.chain(*self.expert_kernels), *self.gate_kernels]
        drawn = [*itertools.chain(*of_experts), *of_gates]
        for kernel, initializer in zip(kernels, drawn, strict=False):
            kernel.assign(initializer(kernel.shape, kernel.dtype))
        for bias in [*itertools.chain(*self.expert_biases), *self.gate_biases]:
            bias.assign(ops.zeros(bias.shape, bias.dtype))
        self._restart_dropout(gate_seed)

    def call(self, inputs: Any, training: bool | None = None) -> list[Any]:
        """Mix the experts once for each task.

        Parameters
        ----------
        inputs : tensor of shape (..., features), or list of num_tasks + 1 of them
            The layer's input.
        training : bool or None, default=None
            Whether `gate_dropout` and `load_balance_penalty` act.

        Returns
        -------
        list of tensor of shape (..., units)
            One tensor for each task, and one more with `shared_output`.
        """
        *of_tasks, shared = self._expert_groups(inputs)
        seen = [ops.concatenate([shared, own], axis=-2) for own in of_tasks]
        if self.shared_output:
            seen.append(ops.concatenate([shared, *of_tasks], axis=-2))
        gates = [ops.expand_dims(gate, -2) for gate in self._gates(inputs)]
        if training:
            gates = [self._while_training(gate) for gate in gates]
        return [
            # (..., 1, n_seen) times (..., n_seen, units), equation 1
            ops.squeeze(ops.matmul(gate, experts), axis=-2)
            for gate, experts in zip(gates, seen, strict=True)
        ]

    def _by_group(self, inputs: Any) -> list[Any]:
        several = isinstance(inputs, list | tuple)
        groups = list(inputs) if several else [inputs] * (self.num_tasks + 1)
        widths = [group.shape[-1] for group in groups]
        if widths != self._features:
            raise ValueError(
                f"CGC was built for inputs of {self._features} features, of each group "
                f"of experts, but got {widths}."
            )
        return groups

    def _expert_groups(self, inputs: Any) -> list[Any]:
        """Compute the experts' outputs: of each task, and of all."""
        return [
            fused_layers(*group, self.expert_activation)
            for group in zip(
                self._by_group(inputs),
                self.expert_kernels,
                self.expert_biases,
                strict=True,
            )
        ]

    def _gates(self, inputs: Any) -> list[Any]:
        """Compute each gate's weights of the experts that it sees (equation 2)."""
        return [
            ops.softmax(self._tempered(dense(x, kernel, bias)), axis=-1)
            for x, kernel, bias in zip(
                self._by_group(inputs), self.gate_kernels, self.gate_biases,
                strict=False,  # the shared experts may have no gate
            )
        ]  # fmt: skip

    def expert_outputs(self, inputs: Any) -> Any:
        """Compute the outputs of all experts.

        Parameters
        ----------
        inputs : tensor of shape (..., features), or list of num_tasks + 1 of them
            The layer's input.

        Returns
        -------
        tensor of shape (..., num_experts + num_tasks * num_task_experts, units)
            Outputs of the shared experts, then of those of each task.
        """
        *of_tasks, shared = self._expert_groups(inputs)
        return ops.concatenate([shared, *of_tasks], axis=-2)

    def gate_outputs(self, inputs: Any) -> Any:
        """Compute the weight of every expert in each task.

        Parameters
        ----------
        inputs : tensor of shape (..., features), or list of num_tasks + 1 of them
            The layer's input.

        Returns
        -------
        tensor of shape (..., num_tasks, num_experts + num_tasks * num_task_experts)
            Weights of the shared experts, then of those of each task; 0 of the experts
            of other tasks.
        """
        rows = []
        for k, gate in enumerate(self._gates(inputs)[: self.num_tasks]):
            shared, own = ops.split(gate, [self.num_experts], axis=-1)
            others = [ops.zeros_like(own)] * self.num_tasks
            others[k] = own
            rows.append(ops.concatenate([shared, *others], axis=-1))
        return ops.stack(rows, axis=-2)

    def compute_output_shape(self, input_shape: Any) -> list[tuple[int | None, ...]]:
        """Return the shape (..., units) once for each output."""
        several = isinstance(input_shape[0], list | tuple)
        shape = input_shape[0] if several else input_shape
        return [(*shape[:-1], self.units)] * len(self._n_seen)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        serialize = keras.initializers.serialize
        return {
            **super().get_config(),
            "units": list(self.expert_units),
            "num_experts": self.num_experts,
            "num_task_experts": self.num_task_experts,
            "num_tasks": self.num_tasks,
            "shared_output": self.shared_output,
            "expert_activation": keras.activations.serialize(self.expert_activation),
            "expert_kernel_initializer": serialize(self.expert_kernel_initializer),
            "gate_kernel_initializer": serialize(self.gate_kernel_initializer),
            "input_regularizer": keras.regularizers.serialize(self.input_regularizer),
        }
