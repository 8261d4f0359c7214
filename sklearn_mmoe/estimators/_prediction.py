"""From the network's outputs to predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._tasks.deviation import root_mean_square
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe.estimators._parameters import EstimatorParameters

__all__ = ["PredictionMixin", "check_finite"]


class PredictionMixin(EstimatorParameters):
    """Methods that evaluate the fitted network."""

    def _decoded(self, X: Any) -> list[np.ndarray]:
        """Predict each task's labels or values."""
        outputs = self._raw_predictions(X)
        return [
            task.decode(output)
            for task, output in zip(self._tasks, outputs, strict=True)
        ]

    def _probabilities(self, X: Any) -> list[np.ndarray]:
        """Predict the class probabilities of each classification."""
        outputs = self._raw_predictions(X)
        return [
            task.probabilities(output)
            for task, output in zip(self._tasks, outputs, strict=True)
            if isinstance(task, LabelTask)
        ]

    def _spread(self, X: Any) -> list[np.ndarray]:
        """Compute the standard deviation of each task's prediction over members.

        Of a classification, that of the predicted class' probability.
        """
        if self._engine.spec.n_members is None:
            raise ValueError(
                "return_std=True needs an ensemble, whose members differ: fit "
                f"{type(self).__name__} with `cv`, such as cv=5."
            )
        X = self._validate_features(X, self._engine.spec.dtype)
        return [
            _spread_of_task(task, outputs.astype(np.float64), weights)
            for task, (outputs, weights) in zip(
                self._tasks, self._engine.predict_voters(X), strict=True
            )
        ]

    def _raw_predictions(self, X: Any) -> list[np.ndarray]:
        """Evaluate the network: float64 (n_samples, units) for each task."""
        check_is_fitted(self)
        X = self._validate_features(X, self._engine.spec.dtype)
        outputs = [output.astype(np.float64) for output in self._engine.predict(X)]
        check_finite(outputs, "X")
        return outputs

    def _mixture(self, X: Any, part: str) -> np.ndarray:
        """Evaluate the experts or the gates; see ``Engine.mixture``."""
        check_is_fitted(self)
        X = self._validate_features(X, self._engine.spec.dtype)
        return self._engine.mixture(X, part)


def check_finite(outputs: list[np.ndarray], rows_of: str) -> None:
    """Raise a ValueError if the network's outputs for some rows are not finite."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise ValueError(
            f"The network's outputs are not finite for some rows of {rows_of}, whose "
            "values are too large for it. Bring the columns of X to one scale first."
        )


def _spread_of_task(task: Any, outputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the standard deviation over members, (n_members, n_samples, units)."""
    if not isinstance(task, LabelTask):
        return _std([task.decode(output) for output in outputs], weights)
    probabilities = [task.probabilities(output) for output in outputs]
    # The class that is predicted: of the members' mean before it is calibrated.
    plain = task.with_temperature(1.0)
    mean = np.average(
        [plain.probabilities(output) for output in outputs], axis=0, weights=weights
    )
    chosen = mean.argmax(axis=1)
    return _std(probabilities, weights)[np.arange(len(chosen)), chosen]


def _std(values: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Compute the weighted standard deviation of arrays."""
    mean = np.average(values, axis=0, weights=weights)
    return root_mean_square(values - mean, weights)
