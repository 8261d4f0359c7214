"""What gates of every kind have in common: options that keep all experts in use.

References
----------
.. [1] Zhao, Z. et al. (2019). "Recommending what video to watch next: a multitask
   ranking system". RecSys 2019. https://doi.org/10.1145/3298689.3346997
.. [2] Shazeer, N. et al. (2017). "Outrageously large neural networks: the
   sparsely-gated mixture-of-experts layer". ICLR 2017.
   https://arxiv.org/abs/1701.06538
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

__all__ = ["GatedLayer"]


class GatedLayer(keras.layers.Layer):
    """A layer that mixes experts by gates.

    Parameters
    ----------
    gate_dropout, gate_temperature, load_balance_penalty : float
        As of :class:`~sklearn_mmoe.layers.MMoE`.
    seed : int or None
        Seed of the dropout.
    **kwargs
        As every Keras layer takes.
    """

    def __init__(
        self,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.gate_dropout = self._check_number(
            "gate_dropout", gate_dropout, 0 <= gate_dropout < 1, "in [0, 1)"
        )
        self.gate_temperature = self._check_number(
            "gate_temperature",
            gate_temperature,
            0 < gate_temperature < np.inf,
            "positive and finite",
        )
        self.load_balance_penalty = self._check_number(
            "load_balance_penalty",
            load_balance_penalty,
            0 <= load_balance_penalty < np.inf,
            "0 or more, and finite",
        )
        self.seed = seed
        self.seed_generator = (
            keras.random.SeedGenerator(seed) if self.gate_dropout else None
        )

    def _check_number(self, name: str, value: Any, fits: bool, what: str) -> float:
        if not fits:
            layer = type(self).__name__
            raise ValueError(f"`{name}` of {layer} must be {what}, got {value!r}.")
        return float(value)

    def _restart_dropout(self, seed: int) -> None:
        """Let the dropout of the gates begin anew."""
        if self.seed_generator is not None:
            state = self.seed_generator.state
            state.assign(ops.convert_to_tensor([seed, 0], dtype=state.dtype))

    def _tempered(self, logits: Any) -> Any:
        return logits if self.gate_temperature == 1 else logits / self.gate_temperature

    def _while_training(self, gates: Any) -> Any:
        """Drop some weights, and add the penalty to the loss.

        Parameters
        ----------
        gates : tensor of shape (..., n_rows, n_gates, n_experts)
            The weights that the gates give.

        Returns
        -------
        tensor of the same shape
            The weights to mix by.
        """
        if gates.shape[-1] == 1:
            return gates
        if self.load_balance_penalty:
            self.add_loss(self._imbalance(gates))
        return self._drop(gates) if self.gate_dropout else gates

    def _imbalance(self, gates: Any) -> Any:
        """Compute the penalty on experts that are used unequally ([2]_, eq. 7)."""
        # The squares of sums over many rows are beyond half precision.
        gates = ops.cast(gates, keras.backend.result_type(gates.dtype, "float32"))
        sums = ops.sum(gates, axis=(-3, -2))  # (..., num_experts)
        squares = ops.var(sums, axis=-1) / ops.square(ops.mean(sums, axis=-1))
        # Keras adds up losses in its floatx.
        penalty = ops.cast(ops.mean(squares), keras.config.floatx())
        return self.load_balance_penalty * penalty

    def _drop(self, gates: Any) -> Any:
        """Drop some shares, and let the others sum to one again ([1]_)."""
        draws = keras.random.uniform(
            ops.shape(gates), dtype=self.compute_dtype, seed=self.seed_generator
        )
        kept = draws >= self.gate_dropout
        kept = ops.logical_or(kept, ~ops.any(kept, axis=-1, keepdims=True))
        gates = ops.where(kept, gates, ops.zeros_like(gates))
        sums = ops.sum(gates, axis=-1, keepdims=True)
        # Those that are kept may weigh almost nothing.
        return gates / ops.maximum(sums, keras.config.epsilon())

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        return {
            **super().get_config(),
            "gate_dropout": self.gate_dropout,
            "gate_temperature": self.gate_temperature,
            "load_balance_penalty": self.load_balance_penalty,
            "seed": self.seed,
        }
