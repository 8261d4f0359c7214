"""The layer that multiplies probabilities, from logits to a logit.

References
----------
.. [1] Ma, X. et al. (2018). "Entire Space Multi-Task Model: An Effective Approach for
   Estimating Post-Click Conversion Rate". SIGIR 2018.
   https://doi.org/10.1145/3209978.3210104
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

__all__ = ["ProductOfProbabilities"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class ProductOfProbabilities(keras.layers.Layer):
    r"""The logit of the product of two probabilities, given by their logits.

    Of an event that happens only after another, such as a purchase after a click, the
    probability is (Ma et al., 2018 [1]_, equation 1)

    .. math::

        P(\text{purchase}) = P(\text{click}) \, P(\text{purchase} \mid \text{click})

    The layer computes its logit from those of the two factors, so that a loss of logits
    is finite wherever theirs are.

    Parameters
    ----------
    **kwargs
        As every Keras layer takes: `name`, `dtype`.

    Notes
    -----
    **Shape.** Input: a list of two tensors of one shape. Output: a tensor of the same.

    References
    ----------
    .. [1] Ma, X. et al. (2018). "Entire Space Multi-Task Model: An Effective Approach
       for Estimating Post-Click Conversion Rate". SIGIR 2018.
       https://doi.org/10.1145/3209978.3210104

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.layers import ProductOfProbabilities
    >>> logit = ProductOfProbabilities()([np.zeros((1, 1)), np.zeros((1, 1))])
    >>> round(float(1 / (1 + np.exp(-logit[0, 0]))), 4)  # a half of a half
    0.25
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Sequence[Any]) -> Any:
        """Multiply.

        Parameters
        ----------
        inputs : list of two tensors of shape (..., 1)
            The logits of both probabilities.

        Returns
        -------
        tensor of shape (..., 1)
            The logit of their product.
        """
        first, second = inputs
        yes = ops.log_sigmoid(first)
        # 1 - p q = (1 - p) + p (1 - q): no difference of nearly equal numbers.
        no = ops.logaddexp(ops.log_sigmoid(-first), yes + ops.log_sigmoid(-second))
        return yes + ops.log_sigmoid(second) - no

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """Return the shape of either input."""
        return tuple(input_shape[0])
