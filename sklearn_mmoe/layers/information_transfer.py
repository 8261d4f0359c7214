"""The layer that hands one task's representation on to the next.

References
----------
.. [1] Xi, D. et al. (2021). "Modeling the Sequential Dependence among Audience
   Multi-step Conversions with Multi-task Learning in Targeted Display Advertising".
   KDD 2021. https://doi.org/10.1145/3447548.3467071
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

from sklearn_mmoe.layers._building_blocks import fused_dense
from sklearn_mmoe.layers._initializers import block_initializer, with_seed

__all__ = ["AdaptiveInformationTransfer"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class AdaptiveInformationTransfer(keras.layers.Layer):
    r"""Attention over a task's own representation and what the task before passes on.

    Of :math:`p`, which the task before passes on, and :math:`q`, the task's own, both
    of width :math:`d`, the layer computes (the AIT module of Xi et al., 2021 [1]_)

    .. math::

        z = \sum_{u \in \{p, q\}} w_u \, h_1(u), \qquad
        w_u = \mathop{\mathrm{softmax}}_{u \in \{p, q\}}
              \frac{\langle h_2(u), h_3(u) \rangle}{\sqrt{d}}

    with linear layers :math:`h_1, h_2, h_3`.

    Parameters
    ----------
    kernel_initializer : str or Initializer, default='glorot_uniform'
        Initializer of the kernels, called once for each of the three.
    **kwargs
        As every Keras layer takes: `name`, `dtype`, `trainable`.

    Attributes
    ----------
    kernel : Variable of shape (units, 3, units)
        Kernels of :math:`h_1, h_2, h_3`, fused.
    bias : Variable of shape (3, units)
        Their biases.

    Raises
    ------
    ValueError
        If there are not two inputs of one width.

    Notes
    -----
    **Shape.** Input: a list of two tensors of shape (..., units), :math:`p` and
    :math:`q`. Output: a tensor of the same shape.

    References
    ----------
    .. [1] Xi, D. et al. (2021). "Modeling the Sequential Dependence among Audience
       Multi-step Conversions with Multi-task Learning in Targeted Display
       Advertising". KDD 2021. https://doi.org/10.1145/3447548.3467071

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.layers import AdaptiveInformationTransfer
    >>> before, own = np.ones((3, 8)), np.zeros((3, 8))
    >>> tuple(AdaptiveInformationTransfer()([before, own]).shape)
    (3, 8)
    """

    n_seeds = 1  # of draw_weights

    def __init__(
        self, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Create the weights for two inputs of shape (..., units)."""
        widths = [shape[-1] for shape in input_shape]
        if len(widths) != 2 or widths[0] != widths[1]:
            raise ValueError(
                "AdaptiveInformationTransfer needs two inputs of one width; got widths "
                f"{widths}."
            )
        units = int(widths[0] or 0)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(units, 3, units),
            initializer=block_initializer(self.kernel_initializer, (units, units), 1),
        )
        self.bias = self.add_weight(name="bias", shape=(3, units), initializer="zeros")
        self.built = True

    def draw_weights(self, seed: int) -> None:
        """Draw all weights anew, with another seed than the initializer's own.

        Parameters
        ----------
        seed : int
            Seed of the kernels.
        """
        initializer = with_seed(self.kernel_initializer, seed)
        block = (self.kernel.shape[0], self.kernel.shape[2])
        draw = block_initializer(initializer, block, 1)
        self.kernel.assign(draw(self.kernel.shape, self.kernel.dtype))
        self.bias.assign(ops.zeros(self.bias.shape, self.bias.dtype))

    def call(self, inputs: Sequence[Any]) -> Any:
        """Attend to both.

        Parameters
        ----------
        inputs : list of two tensors of shape (..., units)
            What is passed on, and the task's own.

        Returns
        -------
        tensor of shape (..., units)
            What the task goes on with.
        """
        both = ops.stack(list(inputs), axis=-2)  # (..., 2, units)
        projected = fused_dense(both, self.kernel, self.bias)  # (..., 2, 3, units)
        value, query, key = ops.unstack(projected, num=3, axis=-2)
        scores = ops.sum(query * key, axis=-1) / self.kernel.shape[-1] ** 0.5
        weights = ops.softmax(scores, axis=-1)  # (..., 2)
        return ops.sum(ops.expand_dims(weights, -1) * value, axis=-2)

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of either input."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        serialize = keras.initializers.serialize
        return {
            **super().get_config(),
            "kernel_initializer": serialize(self.kernel_initializer),
        }
