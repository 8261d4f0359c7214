"""Regression tasks: values <-> what the loss takes and the network gives."""

from __future__ import annotations

import numpy as np
from scipy.special import huber, xlogy

from sklearn_mmoe._tasks.columns import plain_values
from sklearn_mmoe._tasks.kinds import HUBER_DELTA, LINKS, QUANTILES, REGRESSION_LOSSES
from sklearn_mmoe._tasks.tasks import check_some

__all__ = ["ValueTask"]

# Losses that outliers hardly move; neither should they move what targets are scaled by.
_ROBUST = ("absolute_error", "huber", "quantile")
_QUARTILES = (0.25, 0.5, 0.75)
# Interquartile range of a normal distribution, in standard deviations.
_NORMAL_RANGE = 1.3489795


def _as_values(name: str, values: np.ndarray) -> np.ndarray:
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The task {name!r} is a regression, but its targets in y are not all "
            f"numbers: {error}. MultiTaskMMoEClassifier takes labels, and "
            "MultiTaskMMoEMixed both."
        ) from error
    if np.isinf(values).any():
        raise ValueError(
            "Input y contains infinity or a value too large for dtype('float64') in "
            f"the task {name!r}."
        )
    return values


class ValueTask:
    """A regression task: values <-> standardised values, or their logarithms.

    Parameters
    ----------
    name : str
        The task's name.
    mean, scale : float
        Where its targets are, and how far they spread: mean and standard deviation, or
        median and interquartile range of a loss that is robust. With the losses of
        positive values, which take logarithms of values relative to `mean`, `scale`
        is not used.
    loss : str, default='squared_error'
        What is trained; one of ``REGRESSION_LOSSES``.

    Attributes
    ----------
    loss_scale : float
        Factor of its loss in training, so that losses of all names count alike.
    """

    type = "regression"

    def __init__(
        self, name: str, mean: float, scale: float, loss: str = REGRESSION_LOSSES[0]
    ) -> None:
        self.name = name
        self.mean = mean
        self.scale = scale
        self.loss = loss
        self.loss_scale = 1.0

    @property
    def kind(self) -> str:
        """What it is to the network."""
        return "regression" if self.loss == REGRESSION_LOSSES[0] else self.loss

    @property
    def units(self) -> int:
        """Number of the network's outputs."""
        return len(QUANTILES) if self.loss == "quantile" else 1

    @property
    def is_log(self) -> bool:
        """Whether the network's outputs are logarithms."""
        return LINKS[self.kind] == "log"

    @classmethod
    def from_targets(
        cls,
        name: str,
        column: np.ndarray,
        observed: np.ndarray,
        weight: np.ndarray,
        loss: str = REGRESSION_LOSSES[0],
    ) -> ValueTask:
        """Find out where the observed targets are, and how far they spread."""
        values = _as_values(name, plain_values(column[observed]))
        check_some(name, values)
        _check_range(name, values, loss)
        weight = weight[observed]
        if not weight.any():
            raise ValueError(
                f"The task {name!r} has no target of positive weight in y."
            )
        mean = np.average(values, weights=weight)
        variance = np.average((values - mean) ** 2, weights=weight)
        task = cls(name, float(mean), float(np.sqrt(variance)), loss)
        if loss in _ROBUST:
            task._be_robust(values, weight)
        if loss != REGRESSION_LOSSES[0]:
            cost = np.average(task._cost_of_constant(values), weights=weight)
            task.loss_scale = 1 / float(cost) if cost > 0 else 1.0
        return task

    def _be_robust(self, values: np.ndarray, weight: np.ndarray) -> None:
        """Take the median and the interquartile range, if that is not zero."""
        low, middle, high = np.quantile(
            values, _QUARTILES, weights=weight, method="inverted_cdf"
        )
        self.mean = float(middle)
        self.scale = float(high - low) / _NORMAL_RANGE or self.scale

    def _cost_of_constant(self, values: np.ndarray) -> np.ndarray:
        """Compute the loss of predicting `mean` for every row."""
        if self.is_log:
            ratio = values / (self.mean or 1.0)
            if self.loss == "gamma":
                return 2 * (ratio - 1 - np.log(ratio))
            return 2 * (xlogy(ratio, ratio) - ratio + 1)
        size = np.abs(values - self.mean) / (self.scale or 1.0)
        if self.loss == "quantile":
            return size / 2  # the quantiles are as many below the median as above
        if self.loss == "huber":
            return huber(HUBER_DELTA, size)
        return size

    def encode(self, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return standardised targets (n_samples, 1); where there is none a mean one.

        With the losses of positive values, relative to the mean.
        """
        values = _as_values(self.name, plain_values(column[observed]))
        _check_range(self.name, values, self.loss)
        if self.is_log:
            encoded = np.ones((len(column), 1))
            encoded[observed, 0] = values / (self.mean or 1.0)
            return encoded
        encoded = np.zeros((len(column), 1))
        # The scale is 0 for a constant target, which is so predicted as its constant.
        encoded[observed, 0] = (values - self.mean) / (self.scale or 1.0)
        return encoded

    def quantiles(self, outputs: np.ndarray) -> np.ndarray:
        """Turn outputs (n_samples, n_quantiles) into the units of y, in rising order.

        Sorting never makes quantiles worse (Chernozhukov, Fernandez-Val & Galichon,
        2010, https://doi.org/10.3982/ECTA7880).
        """
        return np.sort(outputs, axis=1) * self.scale + self.mean

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn the network's outputs into the units of y; quantiles into the median."""
        if self.is_log:
            return np.exp(outputs[:, 0]) * self.mean
        if self.loss == "quantile":
            return self.quantiles(outputs)[:, QUANTILES.index(0.5)]
        return outputs[:, 0] * self.scale + self.mean


def _check_range(name: str, values: np.ndarray, loss: str) -> None:
    """Raise a ValueError that names the task if its loss takes no such values."""
    wrong = {"poisson": values < 0, "gamma": values <= 0}.get(loss)
    if wrong is not None and wrong.any():
        what = "0 or more" if loss == "poisson" else "positive"
        raise ValueError(
            f"loss={loss!r} takes targets that are {what}, but the task {name!r} has "
            f"{values[wrong][0]:g}."
        )
