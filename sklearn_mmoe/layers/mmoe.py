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

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

from sklearn_mmoe.layers._initializers import block_initializer, with_seed

__all__ = ["MMoE"]


def _check_positive_int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{name}` of MMoE must be a positive int, got {value!r}.")
    return int(value)


def _check_number(name: str, value: Any, fits: bool, what: str) -> float:
    if not fits:
        raise ValueError(f"`{name}` of MMoE must be {what}, got {value!r}.")
    return float(value)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class MMoE(keras.layers.Layer):
    r"""Multi-gate mixture-of-experts: one mixture of shared experts for each task.

    For task :math:`k` the layer computes (Ma et al., 2018, equations 6 and 7)

    .. math::

        f_k(x) = \sum_{i=1}^{n} g_k(x)_i \, f_i(x), \qquad
        g_k(x) = \mathrm{softmax}(W_{g_k} x + b_{g_k})

    with :math:`n` = `num_experts` experts :math:`f_i`, which all tasks share, and a
    gate :math:`g_k` of its own for each task.

    Parameters
    ----------
    units : int
        Width of every expert, and so of each output.
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
    expert_layers : int, default=1
        Depth of each expert; every layer of it has `units` units, the same
        activation, initializers, regularizers and constraints.
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
    expert_kernel : Variable of shape (features, num_experts, units)
        All experts' first kernels, fused.
    expert_bias : Variable of shape (num_experts, units) or None
        The experts' first biases.
    hidden_expert_kernels : list of Variable of shape (num_experts, units, units)
        Kernels of the experts' further layers; empty for ``expert_layers=1``.
    hidden_expert_biases : list of Variable of shape (num_experts, units)
        Biases of the experts' further layers.
    gate_kernel : Variable of shape (features, num_tasks, num_experts)
        All gates' kernels, fused.
    gate_bias : Variable of shape (num_tasks, num_experts) or None
        The gates' biases.

    Raises
    ------
    ValueError
        If `units`, `num_experts`, `num_tasks` or `expert_layers` is not a positive
        int, if an option of the gates is out of range, if the input has fewer than two
        dimensions, or if its last dimension is not known.

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
        units: int,
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
        expert_layers: int = 1,
        input_regularizer: Any = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = _check_positive_int("units", units)
        self.num_experts = _check_positive_int("num_experts", num_experts)
        self.num_tasks = _check_positive_int("num_tasks", num_tasks)
        self.expert_layers = _check_positive_int("expert_layers", expert_layers)
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
        self.gate_dropout = _check_number(
            "gate_dropout", gate_dropout, 0 <= gate_dropout < 1, "in [0, 1)"
        )
        self.gate_temperature = _check_number(
            "gate_temperature",
            gate_temperature,
            0 < gate_temperature < np.inf,
            "positive and finite",
        )
        self.load_balance_penalty = _check_number(
            "load_balance_penalty",
            load_balance_penalty,
            0 <= load_balance_penalty < np.inf,
            "0 or more, and finite",
        )
        self.seed = seed
        self.seed_generator = (
            keras.random.SeedGenerator(seed) if self.gate_dropout else None
        )
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
        n, t, u = self.num_experts, self.num_tasks, self.units
        self.expert_kernel = self._add_kernel(
            "expert", "expert_kernel", (features, n, u), (features, u), axis=1
        )
        self.expert_bias = self._add_bias("expert", "expert_bias", (n, u))
        self.hidden_expert_kernels = []
        self.hidden_expert_biases = []
        for depth in range(1, self.expert_layers):
            self.hidden_expert_kernels.append(
                self._add_kernel(
                    "expert", f"expert_kernel_{depth}", (n, u, u), (u, u), axis=0,
                    depth=depth,
                )
            )  # fmt: skip
            self.hidden_expert_biases.append(
                self._add_bias("expert", f"expert_bias_{depth}", (n, u))
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

    def draw_weights(self, expert_seed: int, gate_seed: int) -> None:
        """Draw all weights anew, with other seeds than the initializers' own.

        The dropout of the gates begins anew, too.

        Parameters
        ----------
        expert_seed, gate_seed : int
            Seeds of the experts' and of the gates' kernels.
        """
        n, u = self.num_experts, self.units
        features = self.expert_kernel.shape[0]
        experts = with_seed(self.expert_kernel_initializer, expert_seed)
        gates = with_seed(self.gate_kernel_initializer, gate_seed)
        drawn = [
            (self.expert_kernel, block_initializer(experts, (features, u), 1)),
            (self.gate_kernel, block_initializer(gates, (features, n), 1)),
            *(
                (kernel, block_initializer(experts, (u, u), 0, first_block=depth * n))
                for depth, kernel in enumerate(self.hidden_expert_kernels, 1)
            ),
            *((bias, self.expert_bias_initializer) for bias in self._expert_biases()),
            (self.gate_bias, self.gate_bias_initializer),
        ]
        for variable, initializer in drawn:
            if variable is not None:
                variable.assign(initializer(variable.shape, variable.dtype))
        if self.seed_generator is not None:
            state = self.seed_generator.state
            state.assign(ops.convert_to_tensor([gate_seed, 0], dtype=state.dtype))

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
        if training and self.num_experts > 1:
            if self.load_balance_penalty:
                self.add_loss(self._imbalance(gates))
            if self.gate_dropout:
                gates = self._drop(gates)
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
        outputs = self._fused_dense(inputs, self.expert_kernel, self.expert_bias)
        outputs = self.expert_activation(outputs)
        for kernel, bias in zip(
            self.hidden_expert_kernels, self.hidden_expert_biases, strict=True
        ):
            outputs = ops.einsum("...ni,nio->...no", outputs, kernel)
            outputs = outputs if bias is None else outputs + bias
            outputs = self.expert_activation(outputs)
        return outputs

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
        logits = self._fused_dense(inputs, self.gate_kernel, self.gate_bias)
        if self.gate_temperature != 1:
            logits = logits / self.gate_temperature
        if self.num_experts == 1 and self.gate_activation is keras.activations.softmax:
            # The softmax of one number is 1; Keras warns of it at each call.
            return logits * 0.0 + 1.0
        return self.gate_activation(logits)

    def _imbalance(self, gates: Any) -> Any:
        """Compute the penalty on experts that are used unequally ([3]_, eq. 7)."""
        sums = ops.sum(gates, axis=(-3, -2))  # (..., num_experts)
        squares = ops.var(sums, axis=-1) / ops.square(ops.mean(sums, axis=-1))
        # Keras adds up losses in its floatx.
        penalty = ops.cast(ops.mean(squares), keras.config.floatx())
        return self.load_balance_penalty * penalty

    def _drop(self, gates: Any) -> Any:
        """Drop some of the experts' shares, and let the others sum to one again."""
        draws = keras.random.uniform(
            ops.shape(gates), dtype=self.compute_dtype, seed=self.seed_generator
        )
        kept = draws >= self.gate_dropout
        kept = ops.logical_or(kept, ~ops.any(kept, axis=-1, keepdims=True))
        gates = ops.where(kept, gates, ops.zeros_like(gates))
        sums = ops.sum(gates, axis=-1, keepdims=True)
        # Those that are kept may weigh almost nothing.
        return gates / ops.maximum(sums, keras.config.epsilon())

    @staticmethod
    def _fused_dense(inputs: Any, kernel: Any, bias: Any) -> Any:
        """Multiply by a kernel (features, blocks, width) as one matrix product."""
        features, blocks, width = kernel.shape
        flat = ops.matmul(inputs, ops.reshape(kernel, (features, blocks * width)))
        outputs = ops.reshape(flat, (*ops.shape(inputs)[:-1], blocks, width))
        return outputs if bias is None else outputs + bias

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
            "units": self.units,
            "num_experts": self.num_experts,
            "num_tasks": self.num_tasks,
            "use_expert_bias": self.use_expert_bias,
            "use_gate_bias": self.use_gate_bias,
            "expert_layers": self.expert_layers,
            "gate_dropout": self.gate_dropout,
            "gate_temperature": self.gate_temperature,
            "load_balance_penalty": self.load_balance_penalty,
            "seed": self.seed,
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
