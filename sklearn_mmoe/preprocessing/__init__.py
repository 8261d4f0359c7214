"""From data frames of mixed types to the numeric features that networks like."""

from sklearn_mmoe.preprocessing._categories import CategoryEncoder
from sklearn_mmoe.preprocessing._piecewise import PiecewiseLinearEncoder
from sklearn_mmoe.preprocessing._tabular import make_tabular_preprocessor

__all__ = ["CategoryEncoder", "PiecewiseLinearEncoder", "make_tabular_preprocessor"]
