"""The penalty that fades out features which carry little information."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

__all__ = ["GroupLasso"]

# Keeps the root's gradient finite where all weights of a feature are zero.
_EPSILON = 1e-8


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class GroupLasso(keras.regularizers.Regularizer):
    r"""The sum of the norms of each feature's weights (Yuan & Lin, 2006 [1]_).

    .. math:: \lambda \sum_j \lVert W_{j \cdot} \rVert_2

    All weights of a feature share one norm, so that they shrink to zero together.
    Features that reduce the loss least, such as columns that few rows have, go first.

    Parameters
    ----------
    strength : float or sequence of float
        :math:`\lambda`, 0 or more. Of an ensemble, one for each member: the first axis
        of the kernel is then the members, and the penalty the mean of theirs.

    Raises
    ------
    ValueError
        If a strength is negative.

    References
    ----------
    .. [1] Yuan, M., & Lin, Y. (2006). "Model selection and estimation in regression
       with grouped variables". Journal of the Royal Statistical Society B, 68(1).
       https://doi.org/10.1111/j.1467-9868.2005.00532.x

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.regularizers import GroupLasso
    >>> kernel = np.array([[3.0, 4.0], [0.0, 0.0]])  # of two features
    >>> round(float(GroupLasso(0.1)(kernel)), 3)
    0.5
    """

    def __init__(self, strength: float | Sequence[float]) -> None:
        self.strength = (
            [float(s) for s in strength]
            if isinstance(strength, Sequence)
            else float(strength)
        )
        if not np.all(np.asarray(self.strength) >= 0):
            raise ValueError(
                "The 'strength' argument of GroupLasso must be 0 or more, got "
                f"{strength!r}."
            )

    def __call__(self, x: Any) -> Any:
        """Compute the penalty of a kernel.

        Parameters
        ----------
        x : tensor of shape (n_features, ...) or (n_members, n_features, ...)
            The kernel.

        Returns
        -------
        tensor of shape ()
            The penalty, in Keras' ``floatx``, in which Keras sums all losses.
        """
        leading = 2 if isinstance(self.strength, list) else 1
        squares = ops.square(ops.reshape(x, (*x.shape[:leading], -1)))
        norms = ops.sqrt(ops.sum(squares, axis=-1) + _EPSILON)
        penalty = ops.mean(self._strength(x.dtype) * ops.sum(norms, axis=-1))
        return ops.cast(penalty, keras.config.floatx())

    def _strength(self, dtype: str) -> Any:
        return ops.convert_to_tensor(self.strength, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, for saving and loading."""
        return {"strength": self.strength}
