"""Builders of networks, by the protocol of scikeras' ``model=`` parameter.

They serve :class:`scikeras.wrappers.KerasClassifier` and
:class:`scikeras.wrappers.KerasRegressor` as well as our own estimators.
"""

from __future__ import annotations

from sklearn_mmoe.architectures.mmoe import mmoe_network

__all__ = ["mmoe_network"]
