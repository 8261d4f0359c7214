"""Regression tasks: values <-> what the loss takes and the network gives."""

from __future__ import annotations

import copy

import numpy as np
from scipy.special import huber, xlogy

from sklearn_mmoe._tasks.columns import plain_values
from sklearn_mmoe._tasks.deviation import root_mean_square
from sklearn_mmoe._tasks.intervals import (
    INTERVAL,
    holds_intervals,
    likeliest_normal,
    twice_log_loss,
)
from sklearn_mmoe._tasks.kinds import HUBER_DELTA, LINKS, QUANTILES, REGRESSION_LOSSES
from sklearn_mmoe._tasks.tasks import check_some

__all__ = ["ValueTask"]

# Losses that outliers hardly move; neither should they move what targets are scaled by.
_ROBUST = ("absolute_error", "huber", "quantile")
_QUARTILES = (0.25, 0.5, 0.75)
# Interquartile range of a normal distribution, in standard deviations.
_NORMAL_RANGE = 1.3489795


def _as_values(name: str, values: np.ndarray, loss: str) -> np.ndarray:
    if holds_intervals(values):
        raise ValueError(
            f"The task {name!r} has intervals in y, which loss={loss!r} does not "
            f"take. Set loss={{{name!r}: 'tobit'}}."
        )
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


def _as_bounds(name: str, values: np.ndarray) -> np.ndarray:
    """Return intervals; of numbers such whose bounds are equal."""
    if holds_intervals(values):
        return values
    bounds = np.empty(len(values), dtype=INTERVAL)
    bounds["lower"] = bounds["upper"] = _as_values(name, values, "tobit")
    return bounds


def _check_two_sided(name: str, bounds: np.ndarray) -> None:
    """Raise a ValueError that names the task if all that is known is on one side."""
    for end, text in (("lower", "a lower"), ("upper", "an upper")):
        if np.isinf(bounds[end]).all():
            raise ValueError(
                f"No target of the task {name!r} in y has {text} bound. The loss "
                "'tobit' needs some that have one, such as known values."
            )


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
        is not used. With 'tobit' those of the normal distribution that makes the
        bounds most likely.
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
        return {"quantile": len(QUANTILES), "tobit": 2}.get(self.loss, 1)

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
        values = plain_values(column[observed])
        check_some(name, values)
        weight = weight[observed]
        if not weight.any():
            raise ValueError(
                f"The task {name!r} has no target of positive weight in y."
            )
        if loss == "tobit":
            return cls._from_bounds(name, _as_bounds(name, values), weight)
        values = _as_values(name, values, loss)
        _check_range(name, values, loss)
        mean = float(np.average(values, weights=weight))
        scale = float(root_mean_square(values - mean, weight))
        task = cls(name, mean, scale, loss)
        if loss in _ROBUST:
            task._be_robust(values, weight)
        task._scale_loss(values, weight)
        return task

    def scaled_by(
        self, column: np.ndarray, observed: np.ndarray, weight: np.ndarray
    ) -> ValueTask:
        """Return this task, with the scale of these targets if it has none.

        The scale of targets that were all the same is 0, and so nothing else would be
        predicted of others ever after, whatever the network learns.
        """
        counts = observed & (weight > 0)
        known = self.mean if self.is_log else self.scale
        if known or self.loss == "tobit" or not counts.any():
            return self
        if self.is_log:
            return ValueTask.from_targets(self.name, column, counts, weight, self.loss)
        values = _as_values(self.name, plain_values(column[counts]), self.loss)
        weight = weight[counts]
        # The mean is what was predicted until now, and stays.
        task = copy.copy(self)
        task.scale = float(root_mean_square(values - self.mean, weight))
        task._scale_loss(values, weight)
        return task

    @classmethod
    def _from_bounds(
        cls, name: str, bounds: np.ndarray, weight: np.ndarray
    ) -> ValueTask:
        """Find out the same where no more than bounds are known."""
        counts = weight > 0
        bounds, weight = bounds[counts], weight[counts]
        _check_two_sided(name, bounds)
        task = cls(name, *likeliest_normal(bounds, weight), "tobit")
        lower, upper = task._standardised(bounds).T
        cost = twice_log_loss(lower, upper)
        # Without what no prediction changes: the logarithm of how narrow bounds are.
        narrow = (upper > lower) & (upper - lower < np.sqrt(2 * np.pi))
        cost[narrow] += 2 * np.log((upper - lower)[narrow] / np.sqrt(2 * np.pi))
        task.loss_scale = 1 / float(np.average(cost, weights=weight) or 1)
        return task

    def _standardised(self, bounds: np.ndarray) -> np.ndarray:
        """Return standardised bounds, (n_samples, 2)."""
        both = np.column_stack([bounds["lower"], bounds["upper"]])
        return (both - self.mean) / (self.scale or 1.0)

    def _be_robust(self, values: np.ndarray, weight: np.ndarray) -> None:
        """Take the median and the interquartile range, if that is not zero."""
        low, middle, high = np.quantile(
            values, _QUARTILES, weights=weight, method="inverted_cdf"
        )
        self.mean = float(middle)
        self.scale = float(high - low) / _NORMAL_RANGE or self.scale

    def _scale_loss(self, values: np.ndarray, weight: np.ndarray) -> None:
        """Let knowing no more than `mean` cost one, as the squared error does."""
        if self.loss != REGRESSION_LOSSES[0]:
            cost = np.average(self._cost_of_constant(values), weights=weight)
            self.loss_scale = 1 / float(cost) if cost > 0 else 1.0

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

        With the losses of positive values, relative to the mean; with 'tobit' two
        columns of bounds.
        """
        values = plain_values(column[observed])
        if self.loss == "tobit":
            encoded = np.zeros((len(column), 2))
            encoded[observed] = self._standardised(_as_bounds(self.name, values))
            return encoded
        values = _as_values(self.name, values, self.loss)
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
