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
import numpy as np
from keras import ops
from numpy.polynomial import chebyshev
from scipy.special import erfcx

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

    Raises
    ------
    ValueError
        If a quantile is not between 0 and 1, or, when it is called, y_pred has another
        number of columns.

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
        if not self.quantiles or not all(0 < level < 1 for level in self.quantiles):
            raise ValueError(
                "The 'quantiles' argument of QuantileLoss must be numbers between 0 "
                f"and 1, got {quantiles!r}."
            )

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        if y_pred.shape[-1] != len(self.quantiles):
            raise ValueError(
                f"QuantileLoss of {len(self.quantiles)} quantiles needs as many "
                f"columns of y_pred, got the shape {tuple(y_pred.shape)}."
            )
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


_FOCAL_KINDS = ("binary_focal", "multiclass_focal")


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
        0 or more; 0 is cross-entropy.
    **kwargs
        As every Keras loss takes.

    Raises
    ------
    ValueError
        If `kind` or `gamma` is none of these.

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
        if kind not in _FOCAL_KINDS:
            raise ValueError(
                f"The 'kind' argument of FocalLoss must be one of {_FOCAL_KINDS}, got "
                f"{kind!r}."
            )
        if not gamma >= 0:
            raise ValueError(
                f"The 'gamma' argument of FocalLoss must be 0 or more, got {gamma!r}."
            )
        self.kind = kind
        self.gamma = gamma

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        if self.kind == "binary_focal":
            log_p = ops.log_sigmoid((2 * y_true - 1) * y_pred)[:, 0]
        else:
            classes = ops.cast(ops.reshape(y_true, (-1, 1)), "int32")
            logs = ops.log_softmax(y_pred, axis=-1)
            log_p = ops.take_along_axis(logs, classes, axis=-1)[:, 0]
        others = 1 - ops.exp(log_p)
        if self.gamma < 1:  # at 0 such a power has no gradient
            others = ops.maximum(others, keras.config.epsilon())
        return -(others**self.gamma) * log_p

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


# Of a normal distribution's tail, log(cdf(-t)) + t^2 / 2 + log(t + _PACE) as a
# polynomial in (t - _PACE) / (t + _PACE), which goes from -1 to 1. Its error is below
# 1e-9 for all t >= 0.
_PACE = 3.0


def _smooth_part(u: Any) -> Any:
    t = _PACE * (1 + u) / np.maximum(1 - u, 1e-12)
    return np.log(erfcx(t / np.sqrt(2)) / 2 * (t + _PACE))


_TAIL = chebyshev.cheb2poly(chebyshev.chebinterpolate(_smooth_part, 14))
_LOG_ROOT_TWO_PI = 0.5 * np.log(2 * np.pi)


def _log_tail(t: Any) -> Any:
    """Compute log(cdf(-t)) + t^2 / 2 of a standard normal for t >= 0."""
    at = ops.stop_gradient(t)
    u = ops.expand_dims((at - _PACE) / (at + _PACE), -1)
    powers = ops.power(u, ops.arange(len(_TAIL), dtype=t.dtype))
    tail = ops.sum(powers * ops.convert_to_tensor(_TAIL, t.dtype), axis=-1)
    tail = tail - ops.log(at + _PACE)
    # Its derivative by t is known, and need not be that of the polynomial.
    slope = at - ops.exp(-_LOG_ROOT_TWO_PI - tail)
    return tail + slope * (t - at)


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class TobitLoss(_RowLoss):
    r"""Minus twice the log-likelihood of bounds under a normal distribution.

    The columns of y_true are the lower and the upper bound of each value (Tobin, 1958
    [1]_). Equal bounds are a value that is known, and count by the logarithm of the
    density, without its constant; a bound may be infinite. The columns of y_pred are
    the mean and the logarithm of the spread :math:`\sigma`.

    Gradients are multiplied by :math:`\sigma^2`, which counts as constant: those by the
    mean are then as large as those of the squared error, whatever the spread is
    (Seitzer et al., 2022 [2]_).

    Parameters
    ----------
    least_spread : float, default=1e-3
        What is added to the spread, so that targets without noise do not make the
        likelihood infinite.
    **kwargs
        As every Keras loss takes.

    References
    ----------
    .. [1] Tobin, J. (1958). "Estimation of relationships for limited dependent
       variables". Econometrica, 26(1), 24-36. https://doi.org/10.2307/1907382
    .. [2] Seitzer, M., Tavakoli, A., Antic, D., & Martius, G. (2022). "On the Pitfalls
       of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks".
       ICLR 2022. https://arxiv.org/abs/2203.09168

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe.losses import TobitLoss
    >>> below_the_mean = np.array([[-np.inf, 0.0]])
    >>> round(float(TobitLoss()(below_the_mean, np.zeros((1, 2)))), 4)  # -2 log(1/2)
    1.3863
    """

    def __init__(self, least_spread: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.least_spread = least_spread

    def _of_rows(self, y_true: Any, y_pred: Any) -> Any:
        mean, spread = y_pred[:, 0], self.least_spread + ops.exp(y_pred[:, 1])
        lower, upper = y_true[:, 0], y_true[:, 1]
        from_below, from_above = ops.isfinite(lower), ops.isfinite(upper)
        both = ops.logical_and(from_below, from_above)
        exact = ops.logical_and(both, lower >= upper)
        # An infinite bound would make the gradients of what is not used NaN.
        lower, upper = (
            ops.where(from_below, lower, ops.where(from_above, upper, 0.0)),
            ops.where(from_above, upper, ops.where(from_below, lower, 0.0)),
        )
        # Before the mean is subtracted, which may be so far off that they become one.
        width = (upper - lower) / spread
        lower, upper = (lower - mean) / spread, (upper - mean) / spread
        of_known = ops.square(lower) + 2 * ops.log(spread)
        side = ops.where(from_above, upper, -lower)
        of_bounds = -2 * _log_probability(lower, upper, width, side, both, exact)
        loss = ops.where(exact, of_known, of_bounds)
        factor = ops.stop_gradient(ops.square(spread))
        return factor * loss + ops.stop_gradient((1 - factor) * loss)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), "least_spread": self.least_spread}


# Intervals so narrow, in spreads, that the density is the same all over them.
_NARROW = 0.01


def _log_probability(
    lower: Any, upper: Any, width: Any, side: Any, both: Any, exact: Any
) -> Any:
    """Compute the logarithm of the probability of standardised bounds.

    Where not `both` bounds are known, it is that of being below `side`.
    """
    middle = (lower + upper) / 2
    # Both to the left of the mean, or around it, where small numbers stay exact.
    flip = middle > 0
    below, above = ops.where(flip, -upper, lower), ops.where(flip, -lower, upper)
    middle = -ops.abs(middle)
    narrow = ops.logical_or(exact, width * ops.maximum(1.0, -middle) < _NARROW)
    narrow = ops.logical_and(both, narrow)
    wide = ops.logical_and(both, ops.logical_not(narrow))

    above = ops.where(both, above, side)
    below = ops.where(wide, below, -1.0)
    logs, tails = _log_cdf(ops.stack([above, below]))
    log_above, log_below, tail_above, tail_below = logs[0], logs[1], tails[0], tails[1]
    # In the tail both logarithms are huge, and their difference is not.
    of_tails = width * middle + tail_below - tail_above
    ratio = ops.where(above <= 0, of_tails, log_below - log_above)
    ratio = ops.where(wide, ratio, -1.0)
    of_wide = log_above + ops.log(-ops.expm1(ratio))
    of_density = -ops.square(middle) / 2 - _LOG_ROOT_TWO_PI
    positive = ops.logical_and(narrow, ops.logical_not(exact))
    of_narrow = of_density + ops.log(ops.where(positive, width, 1.0))
    return ops.where(wide, of_wide, ops.where(narrow, of_narrow, log_above))


def _log_cdf(x: Any) -> tuple[Any, Any]:
    """Compute the logarithm of a standard normal's cdf; and that of its tail's part."""
    # Not abs(x), whose gradient at 0 is 0.
    t = ops.where(x < 0, -x, x)
    tail = _log_tail(t)
    log_small = tail - ops.square(t) / 2
    return ops.where(x < 0, log_small, ops.log1p(-ops.exp(log_small))), tail


def task_loss(kind: str, dtype: str = "float32") -> keras.losses.Loss:
    """Return the Keras loss of one task.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'binary_focal', 'multiclass_focal', 'ordinal', \
            'regression', 'absolute_error', 'huber', 'quantile', 'poisson', 'gamma', \
            'tobit'}
        'binary' takes targets (n_samples, 1) in {0, 1} and one logit; 'multiclass'
        takes class indices (n_samples,) and a logit for each class; 'ordinal' takes
        a target (n_samples, n_classes - 1) and a logit of each step between classes;
        the regressions take targets (n_samples, 1), 'tobit' lower and upper bounds
        (n_samples, 2). 'regression' is the squared error.
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
    "tobit": TobitLoss,
    "ordinal": OrdinalLoss,
}
