"""Fits and predictions on data larger than memory, which is read in chunks."""

from sklearn_mmoe.out_of_core._estimator import MultiTaskOutOfCore

__all__ = ["MultiTaskOutOfCore"]
