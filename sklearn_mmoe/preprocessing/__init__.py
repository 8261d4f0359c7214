"""From tables of mixed kinds to the numbers that networks like."""

from sklearn_mmoe.preprocessing._calendar import CalendarEncoder
from sklearn_mmoe.preprocessing._categories import CategoryEncoder
from sklearn_mmoe.preprocessing._censored import censored_intervals
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
    "censored_intervals",
    "make_tabular_preprocessor",
]
