"""Data frames of numbers, such as a table of losses, with labels of any kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import sklearn_mmoe._files.column_labels  # noqa: F401  adds to the kinds of values
from sklearn_mmoe._files.values import Unknown, decode, encode, kind

__all__ = ["PandasStateMixin"]

# Attributes of estimators that may hold something of pandas.
_OF_PANDAS = (
    "_predicted_columns",
    "_y_columns",
    "categories_",
    "cv_losses_",
    "cv_weights_",
)


def _is_frame(value: Any) -> bool:
    return type(value) is pd.DataFrame


def _encode_frame(frame: pd.DataFrame) -> dict[str, Any]:
    for dtype in frame.dtypes:
        if not isinstance(dtype, np.dtype):
            raise Unknown(f"a data frame with a column of the type {dtype}")
    return {
        "index": encode(frame.index),
        "columns": encode(frame.columns),
        "values": [encode(column.to_numpy()) for _, column in frame.items()],
    }


@kind("frame", _is_frame, _encode_frame)
def _frame(parts: dict[str, Any]) -> pd.DataFrame:
    index, columns = decode(parts["index"]), decode(parts["columns"])
    values = decode(parts["values"])
    if not isinstance(index, pd.Index) or not isinstance(columns, pd.Index):
        raise TypeError("there is a data frame without labels")
    if not isinstance(values, list) or len(values) != len(columns):
        raise ValueError(f"there are not {len(columns)} columns")
    for column in values:
        if not isinstance(column, np.ndarray) or column.shape != (len(index),):
            raise ValueError(f"there is a column of other than {len(index)} rows")
    frame = pd.DataFrame(dict(enumerate(values)), index=index)
    frame.columns = columns
    return frame


class PandasStateMixin:
    """Brings what a state has of pandas to what any pickle can hold.

    So can skops, and a pickle that another version of pandas reads. Labels that are
    none of the kinds above stay as they are. It stands before BaseEstimator.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {
            name: _to_state(value) if name in _OF_PANDAS else value
            for name, value in state.items()
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(  # type: ignore[misc]
            {
                name: _from_state(value) if name in _OF_PANDAS else value
                for name, value in state.items()
            }
        )


def _to_state(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_state(part) for part in value]
    if isinstance(value, np.ndarray) and not any(map(_is_label, value.tolist())):
        return value
    try:
        return encode(value)
    except Unknown:
        return value


def _is_label(value: Any) -> bool:
    return isinstance(value, pd.Timestamp | pd.Timedelta | pd.Period | pd.Interval)


def _from_state(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_state(part) for part in value]
    return decode(value) if isinstance(value, dict) else value
