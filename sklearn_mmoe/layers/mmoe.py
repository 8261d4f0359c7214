"""The layer of multi-gate mixture-of-experts.

References
----------
.. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
   "Modeling Task Relationships in Multi-task Learning with Multi-gate
   Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007
.. [2] Zhao, Z. et al. (2019). "Recommending what video to watch next: a multitask
   ranking system". RecSys 2019. https://doi.org/10.1145/3298689.3346997
.. [3] Shazeer, N. et al. (2017). "Outrageously large neural networks: the
   sparsely-gated mixture-of-experts layer". ICLR 2017.
   https://arxiv.org/abs/1701.06538
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
    fused_dense,
    fused_layers,
)
from sklearn_mmoe.layers._gates import GatedLayer
from sklearn_mmoe.layers._initializers import block_initializer, with_seed

__all__ = ["MMoE"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MMoE(GatedLayer):
    r"""Multi-gate mixture-of-experts: one mixture of shared experts for each task.

    For task :math:`k` the layer computes (Ma et al., 2018, equations 6 and 7)

    .. math::

        f_k(x) = \sum_{i=1}^{n} g_k(x)_i \, f_i(x), \qquad
        g_k(x) = \mathrm{softmax}(W_{g_k} x + b_{g_k})

    with :math:`n` = `num_experts` experts :math:`f_i`, which all tasks share, and a
    gate :math:`g_k` of its own for each task.

    Parameters
    ----------
    units : int or sequence of int
        Width of every expert, and so of each output; of experts of several layers the
        width of each layer.
    num_experts : int
        Number of experts, :math:`n`.
    num_tasks : int
        Number of tasks, and so of gates and of outputs.
    use_expert_bias : bool, default=True
        Whether the experts have a bias.
    use_gate_bias : bool, default=True
        Whether the gates have a bias.
    expert_activation : str, callable or None, default='relu'
        Activation of the experts, along their `units`.
    gate_activation : str, callable or None, default='softmax'
        Activation of the gates, along the experts.
    expert_kernel_initializer : str or Initializer, default='VarianceScaling'
        Initializer of the experts' kernels. It is called once for each expert, with
        the shape of that expert's own kernel.
    expert_bias_initializer : str or Initializer, default='zeros'
        Initializer of the experts' biases.
    gate_kernel_initializer : str or Initializer, default='VarianceScaling'
        Initializer of the gates' kernels. It is called once for each gate, with the
        shape of that gate's own kernel.
    gate_bias_initializer : str or Initializer, default='zeros'
        Initializer of the gates' biases.
    expert_kernel_regularizer : str, Regularizer or None, default=None
        Regularizer of the experts' kernels.
    expert_bias_regularizer : str, Regularizer or None, default=None
        Regularizer of the experts' biases.
    gate_kernel_regularizer : str, Regularizer or None, default=None
        Regularizer of the gates' kernels.
    gate_bias_regularizer : str, Regularizer or None, default=None
        Regularizer of the gates' biases.
    expert_kernel_constraint : str, Constraint or None, default=None
        Constraint of the experts' kernels; it sees the fused
        kernels, whose first axis is the features.
    expert_bias_constraint : str, Constraint or None, default=None
        Constraint of the experts' biases.
    gate_kernel_constraint : str, Constraint or None, default=None
        Constraint of the gates' kernels; it sees the fused
        kernels, whose first axis is the features.
    gate_bias_constraint : str, Constraint or None, default=None
        Constraint of the gates' biases.
    activity_regularizer : str, Regularizer or None, default=None
        Regularizer of the outputs.
    input_regularizer : str, Regularizer or None, default=None
        Regularizer of the kernels that multiply the layer's input: the experts' first
        ones and the gates'. For these it takes the place of `expert_kernel_regularizer`
        and `gate_kernel_regularizer`.
    gate_dropout : float, default=0.0
        Share of the gates' weights that are set to zero while training, drawn for each
        row, task and expert, in [0, 1); the others are scaled up, so that they sum to
        one again [2]_. Where all would be dropped, none is.
    gate_temperature : float, default=1.0
        What the gates' logits are divided by before the activation; above 1 the weights
        are more alike, below 1 they tend to a single expert.
    load_balance_penalty : float, default=0.0
        Strength of a penalty, added to the loss while training, on experts that are
        used unequally: the squared coefficient of variation, over experts, of their
        weights summed over rows and tasks ([3]_, equation 7). A task may still prefer
        some of the experts, if others prefer the rest. Rows are the last axis before
        the features; of several leading axes the mean is taken.
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
    expert_kernel : Variable of shape (features, num_experts, width)
        All experts' first kernels, fused.
    expert_bias : Variable of shape (num_experts, width) or None
        The experts' first biases.
    hidden_expert_kernels : list of Variable of shape (num_experts, width, width)
        Kernels of the experts' further layers; empty for experts of one layer.
    hidden_expert_biases : list of Variable of shape (num_experts, width)
        Biases of the experts' further layers.
    gate_kernel : Variable of shape (features, num_tasks, num_experts)
        All gates' kernels, fused.
    gate_bias : Variable of shape (num_tasks, num_experts) or None
        The gates' biases.

    Raises
    ------
    ValueError
        If `num_experts` or `num_tasks` is not a positive int, `units` neither that nor
        a sequence of such, if an option of the gates is out of range, if the input has
        fewer than two dimensions, or if its last dimension is not known.

    Notes
    -----
    **Shape.** Input (..., features), at least two-dimensional. Output: a list of
    `num_tasks` tensors of shape (..., units). A mask on the input is handed on to
    every output.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007
    .. [2] Zhao, Z. et al. (2019). "Recommending what video to watch next: a multitask
       ranking system". RecSys 2019. https://doi.org/10.1145/3298689.3346997
    .. [3] Shazeer, N. et al. (2017). "Outrageously large neural networks: the
       sparsely-gated mixture-of-experts layer". ICLR 2017.
       https://arxiv.org/abs/1701.06538

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.layers import MMoE
    >>> layer = MMoE(units=4, num_experts=8, num_tasks=2)
    >>> outputs = layer(np.ones((3, 10), dtype="float32"))
    >>> [tuple(output.shape) for output in outputs]
    [(3, 4), (3, 4)]
    """

    def __init__(
        self,
        units: int | Sequence[int],
        num_experts: int,
        num_tasks: int,
        use_expert_bias: bool = True,
        use_gate_bias: bool = True,
        expert_activation: Any = "relu",
        gate_activation: Any = "softmax",
        expert_kernel_initializer: Any = "VarianceScaling",
        expert_bias_initializer: Any = "zeros",
        gate_kernel_initializer: Any = "VarianceScaling",
        gate_bias_initializer: Any = "zeros",
        expert_kernel_regularizer: Any = None,
        expert_bias_regularizer: Any = None,
        gate_kernel_regularizer: Any = None,
        gate_bias_regularizer: Any = None,
        expert_kernel_constraint: Any = None,
        expert_bias_constraint: Any = None,
        gate_kernel_constraint: Any = None,
        gate_bias_constraint: Any = None,
        activity_regularizer: Any = None,
        input_regularizer: Any = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            gate_dropout,
            gate_temperature,
            load_balance_penalty,
            seed,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.expert_units = check_widths("MMoE", "units", units)
        self.units = self.expert_units[-1]
        self.num_experts = check_positive_int("MMoE", "num_experts", num_experts)
        self.num_tasks = check_positive_int("MMoE", "num_tasks", num_tasks)
        self.use_expert_bias = use_expert_bias
        self.use_gate_bias = use_gate_bias
        self.expert_activation = keras.activations.get(expert_activation)
        self.gate_activation = keras.activations.get(gate_activation)
        initializer, regularizer, constraint = (
            keras.initializers.get,
            keras.regularizers.get,
            keras.constraints.get,
        )
        self.expert_kernel_initializer = initializer(expert_kernel_initializer)
        self.expert_bias_initializer = initializer(expert_bias_initializer)
        self.gate_kernel_initializer = initializer(gate_kernel_initializer)
        self.gate_bias_initializer = initializer(gate_bias_initializer)
        self.expert_kernel_regularizer = regularizer(expert_kernel_regularizer)
        self.expert_bias_regularizer = regularizer(expert_bias_regularizer)
        self.gate_kernel_regularizer = regularizer(gate_kernel_regularizer)
        self.gate_bias_regularizer = regularizer(gate_bias_regularizer)
        self.input_regularizer = regularizer(input_regularizer)
        self.expert_kernel_constraint = constraint(expert_kernel_constraint)
        self.expert_bias_constraint = constraint(expert_bias_constraint)
        self.gate_kernel_constraint = constraint(gate_kernel_constraint)
        self.gate_bias_constraint = constraint(gate_bias_constraint)
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights for inputs of shape (..., features)."""
        if len(input_shape) < 2:
            raise ValueError(
                "MMoE needs inputs of at least two dimensions, (..., features); got "
                f"shape {tuple(input_shape)}."
            )
        features = input_shape[-1]
        if features is None:
            raise ValueError(
                "MMoE needs inputs whose last dimension, the number of features, is "
                f"known; got shape {tuple(input_shape)}."
            )
        n, t, u = self.num_experts, self.num_tasks, self.expert_units[0]
        self.expert_kernel = self._add_kernel(
            "expert", "expert_kernel", (features, n, u), (features, u), axis=1
        )
        self.expert_bias = self._add_bias("expert", "expert_bias", (n, u))
        self.hidden_expert_kernels = []
        self.hidden_expert_biases = []
        for depth, block in enumerate(itertools.pairwise(self.expert_units), 1):
            self.hidden_expert_kernels.append(
                self._add_kernel(
                    "expert", f"expert_kernel_{depth}", (n, *block), block, axis=0,
                    depth=depth,
                )
            )  # fmt: skip
            self.hidden_expert_biases.append(
                self._add_bias("expert", f"expert_bias_{depth}", (n, block[1]))
            )
        self.gate_kernel = self._add_kernel(
            "gate", "gate_kernel", (features, t, n), (features, n), axis=1
        )
        self.gate_bias = self._add_bias("gate", "gate_bias", (t, n))
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})
        self.built = True

    def _add_kernel(
        self,
        kind: str,
        name: str,
        shape: tuple[int, ...],
        block_shape: tuple[int, int],
        axis: int,
        depth: int = 0,
    ) -> Any:
        # Blocks of further layers are counted on from those of the first.
        initializer = block_initializer(
            getattr(self, f"{kind}_kernel_initializer"),
            block_shape,
            axis,
            first_block=depth * self.num_experts,
        )
        regularizer = getattr(self, f"{kind}_kernel_regularizer")
        if depth == 0 and self.input_regularizer is not None:
            regularizer = self.input_regularizer
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=initializer,
            regularizer=regularizer,
            constraint=getattr(self, f"{kind}_kernel_constraint"),
        )

    def _add_bias(self, kind: str, name: str, shape: tuple[int, int]) -> Any:
        if not getattr(self, f"use_{kind}_bias"):
            return None
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{kind}_bias_initializer"),
            regularizer=getattr(self, f"{kind}_bias_regularizer"),
            constraint=getattr(self, f"{kind}_bias_constraint"),
        )

    n_seeds = 2  # of draw_weights

    def draw_weights(self, expert_seed: int, gate_seed: int) -> None:
        """Draw all weights anew, with other seeds than the initializers' own.

        The dropout of the gates begins anew, too.

        Parameters
        ----------
        expert_seed, gate_seed : int
            Seeds of the experts' and of the gates' kernels.
        """
        n = self.num_experts
        features, _, u = self.expert_kernel.shape
        experts = with_seed(self.expert_kernel_initializer, expert_seed)
        gates = with_seed(self.gate_kernel_initializer, gate_seed)
        drawn = [
            (self.expert_kernel, block_initializer(experts, (features, u), 1)),
            (self.gate_kernel, block_initializer(gates, (features, n), 1)),
            *(
                (kernel, block_initializer(experts, kernel.shape[1:], 0, depth * n))
                for depth, kernel in enumerate(self.hidden_expert_kernels, 1)
            ),
            *((bias, self.expert_bias_initializer) for bias in self._expert_biases()),
            (self.gate_bias, self.gate_bias_initializer),
        ]
        for variable, initializer in drawn:
            if variable is not None:
                variable.assign(initializer(variable.shape, variable.dtype))
        self._restart_dropout(gate_seed)

    def _expert_biases(self) -> list[Any]:
        return [self.expert_bias, *self.hidden_expert_biases]

    def call(self, inputs: Any, training: bool | None = None) -> list[Any]:
        """Mix the experts once for each task.

        Parameters
        ----------
        inputs : tensor of shape (..., features)
            The layer's input.
        training : bool or None, default=None
            Whether `gate_dropout` and `load_balance_penalty` act.

        Returns
        -------
        list of tensor of shape (..., units)
            One tensor for each task.
        """
        experts = self.expert_outputs(inputs)  # (..., num_experts, units)
        gates = self.gate_outputs(inputs)  # (..., num_tasks, num_experts)
        if training:
            gates = self._while_training(gates)
        mixtures = ops.matmul(gates, experts)  # (..., num_tasks, units), eq. 6
        # Not a slice for each task, whose gradients would be as large as all of them.
        return list(ops.unstack(mixtures, axis=-2))

    def expert_outputs(self, inputs: Any) -> Any:
        r"""Compute :math:`f_i(x)` for every expert.

        Parameters
        ----------
        inputs : tensor of shape (..., features)
            The layer's input.

        Returns
        -------
        tensor of shape (..., num_experts, units)
            The experts' outputs.
        """
        return fused_layers(
            inputs,
            [self.expert_kernel, *self.hidden_expert_kernels],
            self._expert_biases(),
            self.expert_activation,
        )

    def gate_outputs(self, inputs: Any) -> Any:
        r"""Compute :math:`g_k(x)` for every task (equation 7).

        Parameters
        ----------
        inputs : tensor of shape (..., features)
            The layer's input.

        Returns
        -------
        tensor of shape (..., num_tasks, num_experts)
            The weight of each expert for each task.
        """
        logits = self._tempered(fused_dense(inputs, self.gate_kernel, self.gate_bias))
        if self.num_experts == 1 and self.gate_activation is keras.activations.softmax:
            # The softmax of one number is 1; Keras warns of it at each call.
            return logits * 0.0 + 1.0
        return self.gate_activation(logits)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Hand the input's mask on to the output of every task."""
        del inputs
        return None if previous_mask is None else [previous_mask] * self.num_tasks

    def compute_output_shape(
        self, input_shape: Sequence[int | None]
    ) -> list[tuple[int | None, ...]]:
        """Return the shape (..., units) once for each task."""
        return [(*input_shape[:-1], self.units)] * self.num_tasks

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        config: dict[str, Any] = {
            "units": list(self.expert_units),
            "num_experts": self.num_experts,
            "num_tasks": self.num_tasks,
            "use_expert_bias": self.use_expert_bias,
            "use_gate_bias": self.use_gate_bias,
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
            "input_regularizer": keras.regularizers.serialize(self.input_regularizer),
        }
        serializers = {
            "initializer": keras.initializers.serialize,
            "regularizer": keras.regularizers.serialize,
            "constraint": keras.constraints.serialize,
        }
        for kind in ("expert", "gate"):
            name = f"{kind}_activation"
            config[name] = keras.activations.serialize(getattr(self, name))
            for weight in ("kernel", "bias"):
                for what, serialize in serializers.items():
                    name = f"{kind}_{weight}_{what}"
                    config[name] = serialize(getattr(self, name))
        return {**super().get_config(), **config}
