"""The layer that mixes the tasks' activations unit by unit.

References
----------
.. [1] Misra, I., Shrivastava, A., Gupta, A., & Hebert, M. (2016). "Cross-Stitch
   Networks for Multi-Task Learning". CVPR 2016. https://doi.org/10.1109/CVPR.2016.433
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

__all__ = ["CrossStitch"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class CrossStitch(keras.layers.Layer):
    r"""Cross-stitch units: each task continues with a combination of all tasks' units.

    For unit :math:`u` of task :math:`k` the layer computes (Misra et al., 2016 [1]_,
    equation 1)

    .. math:: \tilde x_{ku} = \sum_{l} \alpha_{klu} \, x_{lu}

    with a learned weight :math:`\alpha_{klu}` for every unit.

    Parameters
    ----------
    own_share : float, default=0.9
        What each task's own activations weigh at first, in [0, 1]; those of the other
        tasks share the rest, so that all keep their scale.
    **kwargs
        As every Keras layer takes: `name`, `dtype`, `trainable`.

    Attributes
    ----------
    kernel : Variable of shape (n_tasks, n_tasks, units)
        The weights :math:`\alpha`: of the task that goes on, of the task that is
        mixed in, of the unit.

    Raises
    ------
    ValueError
        If `own_share` is not in [0, 1], or the inputs have different widths.

    Notes
    -----
    **Shape.** Input: a list of tensors of shape (..., units), one for each task.
    Output: a list of as many tensors of the same shape.

    References
    ----------
    .. [1] Misra, I., Shrivastava, A., Gupta, A., & Hebert, M. (2016). "Cross-Stitch
       Networks for Multi-Task Learning". CVPR 2016.
       https://doi.org/10.1109/CVPR.2016.433

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.layers import CrossStitch
    >>> first, second = np.full((1, 3), 1.0), np.full((1, 3), 2.0)
    >>> np.round(CrossStitch(own_share=0.9)([first, second])[0], 6).tolist()
    [[1.100000023841858, 1.100000023841858, 1.100000023841858]]
    """

    def __init__(self, own_share: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= own_share <= 1:
            raise ValueError(
                f"`own_share` of CrossStitch must be in [0, 1], got {own_share!r}."
            )
        self.own_share = float(own_share)

    def build(self, input_shape: Sequence[Sequence[int | None]]) -> None:
        """Create the weights for a list of inputs of shape (..., units)."""
        widths = [shape[-1] for shape in input_shape]
        if len(set(widths)) != 1:
            raise ValueError(
                f"CrossStitch needs inputs of one width, one for each task; got widths "
                f"{widths}."
            )
        n_tasks = len(widths)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(n_tasks, n_tasks, widths[0]),
            initializer=self._initial,
        )
        self.built = True

    def _initial(self, shape: Sequence[int], dtype: Any = None) -> Any:
        n_tasks = shape[0]
        own = self.own_share if n_tasks > 1 else 1.0
        others = (1.0 - own) / max(n_tasks - 1, 1)
        shares = ops.eye(n_tasks, dtype=dtype) * (own - others) + others
        return ops.broadcast_to(ops.expand_dims(shares, -1), shape)

    n_seeds = 0  # of draw_weights

    def draw_weights(self) -> None:
        """Set the weights to what they are at first, which is not random."""
        self.kernel.assign(self._initial(self.kernel.shape, self.kernel.dtype))

    def call(self, inputs: Sequence[Any]) -> list[Any]:
        """Mix the activations.

        Parameters
        ----------
        inputs : list of tensor of shape (..., units)
            Activations of each task.

        Returns
        -------
        list of tensor of shape (..., units)
            What each task goes on with.
        """
        stacked = ops.stack(list(inputs), axis=-2)  # (..., n_tasks, units)
        of_members = len(self.kernel.shape) == 4
        product = "mklu,m...lu->m...ku" if of_members else "klu,...lu->...ku"
        mixed = ops.einsum(product, self.kernel, stacked)  # equation 1
        return list(ops.unstack(mixed, num=len(inputs), axis=-2))

    def compute_output_shape(self, input_shape: Any) -> list[tuple[int | None, ...]]:
        """Return the shapes of the inputs."""
        return [tuple(shape) for shape in input_shape]

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        return {**super().get_config(), "own_share": self.own_share}
