"""The estimators."""

from __future__ import annotations

from sklearn_mmoe.estimators._classifier import MultiTaskMMoEClassifier
from sklearn_mmoe.estimators._mixed import MultiTaskMMoEMixed
from sklearn_mmoe.estimators._regressor import MultiTaskMMoERegressor

__all__ = [
    "MultiTaskMMoEClassifier",
    "MultiTaskMMoEMixed",
    "MultiTaskMMoERegressor",
]
