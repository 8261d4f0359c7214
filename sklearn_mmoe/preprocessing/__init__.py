"""From tables of mixed kinds to the numeric features that networks like."""

from sklearn_mmoe.preprocessing._calendar import CalendarEncoder
from sklearn_mmoe.preprocessing._categories import CategoryEncoder
from sklearn_mmoe.preprocessing._piecewise import PiecewiseLinearEncoder
from sklearn_mmoe.preprocessing._scaling import TailSquashingScaler
from sklearn_mmoe.preprocessing._tabular import (
    TabularPreprocessor,
    make_tabular_preprocessor,
)
from sklearn_mmoe.preprocessing._text import TextEncoder

__all__ = [
    "CalendarEncoder",
    "CategoryEncoder",
    "PiecewiseLinearEncoder",
    "TabularPreprocessor",
    "TailSquashingScaler",
    "TextEncoder",
    "make_tabular_preprocessor",
]
