"""The bridge to scikit-learn's own callbacks, which came with scikit-learn 1.9.

Where scikit-learn is older there are none, and what is here does nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from sklearn_mmoe._training.observer import EpochRecord, Observer

__all__ = ["CallbackSupportMixin", "SklearnCallbacks"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's mixin where there is none."""


class SklearnCallbacks(Observer):
    """Calls the hooks of scikit-learn's callbacks: one task for a fit, one an epoch.

    Parameters
    ----------
    estimator : estimator
        The one that is being fitted.
    X, y : array-like
        What ``fit`` was given.
    metadata : dict
        The other arguments of ``fit``.
    n_epochs : int
        How many epochs there will be at most.
    fitted_attributes : callable
        Called with the estimator, it returns what makes a copy of it predict.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        metadata: dict[str, Any],
        n_epochs: int,
        fitted_attributes: Callable[[Any], dict[str, Any]],
    ) -> None:
        self._estimator = estimator
        given = {name: value for name, value in metadata.items() if value is not None}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": given}
        self._fitted_attributes = fitted_attributes
        self._n_epochs = n_epochs
        self._epoch: Any = None
        self._fit: Any = None

    def on_train_begin(self) -> None:
        if hasattr(self._estimator, "_init_callback_context"):
            self._fit = self._estimator._init_callback_context(
                max_subtasks=self._n_epochs
            )
            self._fit.call_on_fit_task_begin(**self._data)

    def on_epoch_begin(self, epoch: int) -> None:
        if self._fit is not None:
            self._epoch = self._fit.subcontext(task_name=f"epoch {epoch + 1}")
            self._epoch.call_on_fit_task_begin(**self._data)

    def on_epoch_end(self, record: EpochRecord) -> None:
        self.on_earlier_epoch(record)
        if self._epoch is not None:
            stop = self._epoch.call_on_fit_task_end(
                **self._data, reconstruction_attributes=self._copy_fitted
            )
            record.stop = record.stop or bool(stop)

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        if self._fit is not None:
            self._fit.max_subtasks += record.n_more

    def on_train_end(self) -> None:
        if self._fit is not None:
            self._fit.call_on_fit_task_end(
                **self._data, reconstruction_attributes=self._copy_fitted
            )

    def _copy_fitted(self) -> dict[str, Any]:
        """Copy what is fitted so far; called only if a callback asks for it."""
        return copy.deepcopy(self._fitted_attributes(self._estimator))
