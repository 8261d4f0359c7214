"""The loss of a task, by its kind.

The loss that is trained is the sum over tasks of these means. Rows weigh in through
Keras' sample weights, which the caller brings to mean one over the training rows of
each task; a weight of zero takes a row out of that task.
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._tasks.kinds import HUBER_DELTA, LINKS, QUANTILES
from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

__all__ = ["task_loss"]


class _RowLoss(keras.losses.Loss):
    """What the losses below share."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Compute the loss of each row.

        Parameters
        ----------
        y_true : tensor of shape (n_samples, ...)
            Targets, as this loss takes them.
        y_pred : tensor of shape (n_samples, units)
            Outputs of the network.

        Returns
        -------
        tensor of shape (n_samples,)
            The losses.
        """
        return self._of_rows(y_true, y_pred)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class QuantileLoss(_RowLoss):
    """Mean pinball loss of several quantiles, one for each column of y_pred.

    Parameters
    ----------
    quantiles : sequence of float
        The quantiles, each in (0, 1).
    **kwargs
        As every Keras loss takes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import QuantileLoss
    >>> loss = QuantileLoss((0.1, 0.9))
    >>> round(float(loss(np.array([[3.0]]), np.array([[2.0, 4.0]]))), 3)
    0.1
    """

    def __init__(self, quantiles: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantiles = tuple(quantiles)

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        levels = ops.convert_to_tensor(self.quantiles, dtype=y_pred.dtype)
        error = y_true - y_pred
        return ops.mean(ops.maximum(levels * error, (levels - 1) * error), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "quantiles": self.quantiles}


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class PoissonDeviance(_RowLoss):
    """Poisson deviance; y_pred is the logarithm of the expected count.

    Parameters
    ----------
    **kwargs
        As every Keras loss takes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import PoissonDeviance
    >>> float(PoissonDeviance()(np.array([[1.0]]), np.array([[0.0]])))
    0.0
    """

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        # 0 log 0 is 0.
        own = y_true * ops.log(ops.where(y_true > 0, y_true, ops.ones_like(y_true)))
        half = own - y_true * (1 + y_pred) + ops.exp(y_pred)
        return 2 * ops.mean(half, axis=-1)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class GammaDeviance(_RowLoss):
    """Gamma deviance; y_pred is the logarithm of the expected value.

    Parameters
    ----------
    **kwargs
        As every Keras loss takes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import GammaDeviance
    >>> float(GammaDeviance()(np.array([[1.0]]), np.array([[0.0]])))
    0.0
    """

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        half = y_true * ops.exp(-y_pred) - 1 + y_pred - ops.log(y_true)
        return 2 * ops.mean(half, axis=-1)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class FocalLoss(_RowLoss):
    r"""Cross-entropy times :math:`(1 - p)^\gamma`, p being the true class' probability.

    Rows that are predicted well count little [1]_.

    Parameters
    ----------
    kind : {'binary_focal', 'multiclass_focal'}
        'binary_focal' takes targets (n_samples, 1) in {0, 1} and one logit,
        'multiclass_focal' class indices (n_samples,) and a logit for each class.
    gamma : float, default=2.0
        0 is cross-entropy.
    **kwargs
        As every Keras loss takes.

    References
    ----------
    .. [1] Lin, T.-Y., Goyal, P., Girshick, R., He, K., & Dollar, P. (2017). "Focal loss
       for dense object detection". ICCV 2017, equation 4.
       https://arxiv.org/abs/1708.02002

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import FocalLoss
    >>> loss = FocalLoss("binary_focal")
    >>> round(float(loss(np.array([[1.0]]), np.array([[0.0]]))), 4)
    0.1733
    """

    def __init__(self, kind: str, gamma: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.gamma = gamma

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        if self.kind == "binary_focal":
            log_p = ops.log_sigmoid((2 * y_true - 1) * y_pred)[:, 0]
        else:
            classes = ops.cast(ops.reshape(y_true, (-1, 1)), "int32")
            logs = ops.log_softmax(y_pred, axis=-1)
            log_p = ops.take_along_axis(logs, classes, axis=-1)[:, 0]
        return -((1 - ops.exp(log_p)) ** self.gamma) * log_p

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "kind": self.kind, "gamma": self.gamma}


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class OrdinalLoss(_RowLoss):
    """Cross-entropy of each step between ordered classes, summed over the steps.

    Column k of y_pred is the logit of "higher than class k", as in the extended binary
    classification of Li & Lin [1]_.

    Parameters
    ----------
    **kwargs
        As every Keras loss takes.

    References
    ----------
    .. [1] Li, L., & Lin, H.-T. (2007). "Ordinal regression by extended binary
       classification". NeurIPS 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import OrdinalLoss
    >>> second_of_three = np.array([[1.0, 0.0]])
    >>> round(float(OrdinalLoss()(second_of_three, np.zeros((1, 2)))), 4)
    1.3863
    """

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        return -ops.sum(ops.log_sigmoid((2 * y_true - 1) * y_pred), axis=-1)


def task_loss(kind: str, dtype: str = "float32") -> keras.losses.Loss:
    """Return the Keras loss of one task.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'binary_focal', 'multiclass_focal', 'ordinal', \
            'regression', 'absolute_error', 'huber', 'quantile', 'poisson', 'gamma'}
        'binary' takes targets (n_samples, 1) in {0, 1} and one logit; 'multiclass'
        takes class indices (n_samples,) and a logit for each class; 'ordinal' takes
        a target (n_samples, n_classes - 1) and a logit of each step between classes;
        the regressions take targets (n_samples, 1). 'regression' is the squared error.
    dtype : {'float32', 'float64'}, default='float32'
        Type of what is computed.

    Returns
    -------
    keras.losses.Loss
        The loss, averaged over the batch.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> from sklearn_mmoe.losses import task_loss
    >>> type(task_loss("regression")).__name__
    'MeanSquaredError'
    """
    if kind not in LINKS:
        raise ValueError(f"kind must be one of {list(LINKS)}, got {kind!r}.")
    if kind in ("binary_focal", "multiclass_focal"):
        return FocalLoss(kind, dtype=dtype)
    if kind == "quantile":
        return QuantileLoss(QUANTILES, dtype=dtype)
    if kind == "huber":
        return keras.losses.Huber(HUBER_DELTA, dtype=dtype)
    if kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True, dtype=dtype)
    if kind == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    return _PLAIN[kind](dtype=dtype)


_PLAIN: dict[str, Any] = {
    "regression": keras.losses.MeanSquaredError,
    "absolute_error": keras.losses.MeanAbsoluteError,
    "poisson": PoissonDeviance,
    "gamma": GammaDeviance,
    "ordinal": OrdinalLoss,
}
