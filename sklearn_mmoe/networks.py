"""Builders of networks, by the protocol of scikeras' ``model=`` parameter.

They serve :class:`scikeras.wrappers.KerasClassifier` and
:class:`scikeras.wrappers.KerasRegressor` as well as our own estimators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn_mmoe._architectures.builders import multi_task_network

if TYPE_CHECKING:
    from sklearn_mmoe._training.cache import clear_cache

__all__ = ["clear_cache", "mmoe_network", "multi_task_network"]

# Its default is MMoE. Not a function of its own: scikeras reads which parameters a
# builder has from its signature.
mmoe_network = multi_task_network


def __getattr__(name: str) -> Any:
    # It needs TensorFlow, which the networks do not.
    if name == "clear_cache":
        from sklearn_mmoe._training.cache import clear_cache

        return clear_cache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
