"""The bridge to scikit-learn's own callbacks, which came with scikit-learn 1.9.

Where scikit-learn is older there are none, and what is here does nothing.
"""

from __future__ import annotations

import copy
from typing import Any

__all__ = ["CallbackSupportMixin", "EpochHooks"]

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's mixin where there is none."""


# What a copy of the estimator needs to predict as if training had stopped.
_FITTED = (
    "_engine",
    "_tasks",
    "n_outputs_",
    "task_names_",
    "task_types_",
    "classes_",
    "n_classes_",
    "n_features_in_",
    "feature_names_in_",
    "_y_columns",
)


class EpochHooks:
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
    """

    def __init__(
        self, estimator: Any, X: Any, y: Any, metadata: dict[str, Any], n_epochs: int
    ) -> None:
        self._estimator = estimator
        given = {name: value for name, value in metadata.items() if value is not None}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": given}
        self._epoch: Any = None
        self._fit: Any = None
        if hasattr(estimator, "_init_callback_context"):
            self._fit = estimator._init_callback_context(max_subtasks=n_epochs)
            self._fit.call_on_fit_task_begin(**self._data)

    def begin_epoch(self, epoch: int) -> None:
        """Tell the callbacks that an epoch begins."""
        if self._fit is not None:
            self._epoch = self._fit.subcontext(task_name=f"epoch {epoch + 1}")
            self._epoch.call_on_fit_task_begin(**self._data)

    def end_epoch(self) -> bool:
        """Tell the callbacks that an epoch has ended, and whether one asks to stop."""
        if self._epoch is None:
            return False
        return self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=self._fitted_attributes
        )

    def end_fit(self) -> None:
        """Tell the callbacks that training has ended."""
        if self._fit is not None:
            self._fit.call_on_fit_task_end(
                **self._data, reconstruction_attributes=self._fitted_attributes
            )

    def _fitted_attributes(self) -> dict[str, Any]:
        """Copy what prediction needs; called only if a callback asks for it."""
        attributes = {
            name: getattr(self._estimator, name)
            for name in _FITTED
            if hasattr(self._estimator, name)
        }
        attributes["_engine"] = copy.deepcopy(attributes["_engine"])
        return attributes
