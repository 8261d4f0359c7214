"""Multi-task learning with multi-gate mixture-of-experts, the scikit-learn way.

Importing this package loads neither Keras nor TensorFlow; the first ``fit`` does, or
an import of :mod:`sklearn_mmoe.layers`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sklearn_mmoe._version import __version__

if TYPE_CHECKING:
    from sklearn_mmoe._files.estimator import load
    from sklearn_mmoe.estimators import (
        MultiTaskMMoEClassifier,
        MultiTaskMMoEMixed,
        MultiTaskMMoERegressor,
    )

__all__ = [
    "MultiTaskMMoEClassifier",
    "MultiTaskMMoEMixed",
    "MultiTaskMMoERegressor",
    "__version__",
    "load",
]

_SUBMODULES = (
    "callbacks",
    "datasets",
    "inspection",
    "layers",
    "losses",
    "metrics",
    "model_selection",
    "networks",
    "out_of_core",
    "preprocessing",
    "regularizers",
)


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module("sklearn_mmoe._files.estimator").load
    if name in __all__:
        return getattr(importlib.import_module("sklearn_mmoe.estimators"), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"sklearn_mmoe.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES])
