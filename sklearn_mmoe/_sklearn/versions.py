"""Pickles that say which release wrote them, as scikit-learn's own do."""

from __future__ import annotations

from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

from sklearn_mmoe._version import __version__
from sklearn_mmoe._warnings import warn

__all__ = ["VersionedStateMixin"]

_KEY = "_sklearn_mmoe_version"


class VersionedStateMixin:
    """Warns where a pickle of another release is read; stands before BaseEstimator.

    scikit-learn's BaseEstimator does so for the estimators of scikit-learn alone.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _KEY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        written = state.pop(_KEY, "unknown")
        if written != __version__:
            warn(
                InconsistentVersionWarning(
                    estimator_name=type(self).__name__,
                    current_sklearn_version=__version__,
                    original_sklearn_version=written,
                ),
            )
        super().__setstate__(state)  # type: ignore[misc]
