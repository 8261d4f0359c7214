"""How a column is read: in whatever type it comes, to the one its encoders take."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe.preprocessing._parsing import (
    UnreadableError,
    is_missing_word,
    parse_dates,
    parse_durations,
    parse_numbers,
)

__all__ = [
    "DateReader",
    "Dropper",
    "DurationReader",
    "LevelReader",
    "NumberReader",
    "Reader",
    "TimeReader",
    "factorize",
    "is_numeric",
    "to_dates",
]

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def is_numeric(dtype: Any) -> bool:
    """Tell whether a dtype is one of numbers; booleans are none."""
    types = pd.api.types
    return types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)


def factorize(name: Hashable, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values of a column, and for each row which it has, or -1."""
    try:
        codes, levels = pd.factorize(column)
    except TypeError:
        kinds = {type(v).__name__ for v in column if not _is_hashable(v)}
        raise ValueError(
            f"Column {name!r} holds {', '.join(sorted(kinds))} in its cells, where one "
            "value is needed. Give each of their elements a column of its own."
        ) from None
    return codes, np.asarray(levels, dtype=object)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def to_dates(column: pd.Series) -> pd.Series | None:
    """Return dates in pandas' type, of objects too; None if the column has no dates."""
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column
    if column.dtype != object:
        return None
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred == "period":
        starts = [v.start_time if isinstance(v, pd.Period) else None for v in column]
        return pd.to_datetime(pd.Series(starts))
    if inferred in {"date", "datetime", "datetime64"}:
        zones = {getattr(value, "tzinfo", None) for value in column.dropna()}
        if zones == {None}:
            plain = [None if pd.isna(value) else value for value in column]
            return pd.Series(np.array(plain, dtype="datetime64[us]"))
        return pd.to_datetime(column, utc=len(zones) > 1)
    return None


class Reader:
    """Reads a column.

    Parameters
    ----------
    name : hashable
        Name of the column, for messages.
    kind : str
        What it holds.
    encodings : tuple of str
        Names of the encoders that take it.
    lenient : bool, default=False
        Whether values that are not of this kind are missing ones instead of an error,
        because ``fit`` saw some.
    """

    def __init__(
        self,
        name: Hashable,
        kind: str,
        encodings: tuple[str, ...],
        lenient: bool = False,
    ) -> None:
        self.name = name
        self.kind = kind
        self.encodings = encodings
        self.lenient = lenient

    def read(self, column: pd.Series) -> Any:
        """Return the values as the encoders take them.

        Raises
        ------
        ValueError
            If there is a value that is not of the column's kind; it names both.
        """
        try:
            return self._read(column)
        except UnreadableError as error:
            raise ValueError(
                f"Column {self.name!r} was {self.kind} in fit{self._form()}, but now "
                f"holds {error.value!r}, which is not. Correct such values, or replace "
                "them by NaN where they stand for missing ones."
            ) from None

    def _form(self) -> str:
        """Return what the error says of how values were written."""
        return ""

    def unreadable(self, column: pd.Series) -> np.ndarray:
        """Return the rows whose values are taken for missing, being of another kind."""
        if not self.lenient or column.dtype.kind in "fiumM":
            return np.empty(0, dtype=np.intp)
        words = np.array([not is_missing_word(value) for value in column])
        lost = pd.isna(self.read(column))
        return np.flatnonzero(words & lost & column.notna().to_numpy())

    def _read(self, column: pd.Series) -> Any:
        raise NotImplementedError

    def _parse(self, column: pd.Series, parse: Any, *options: Any) -> np.ndarray:
        """Parse each different value once."""
        codes, levels = factorize(self.name, column)
        parsed = np.asarray(parse(levels, *options))
        missing = np.datetime64("NaT") if parsed.dtype.kind == "M" else np.nan
        return np.append(parsed, np.array([missing], parsed.dtype))[codes]


class NumberReader(Reader):
    """Reads numbers as float64.

    Parameters
    ----------
    name : hashable
        Name of the column.
    decimal : {'.', ','}, default='.'
        Decimal mark of numbers in strings.
    lenient : bool, default=False
        Whether other values are missing ones.
    """

    def __init__(
        self, name: Hashable, decimal: str = ".", lenient: bool = False
    ) -> None:
        super().__init__(name, "numeric", ("numeric",), lenient)
        self.decimal = decimal

    def _read(self, column: pd.Series) -> np.ndarray:
        dtype = column.dtype
        if not is_numeric(dtype):
            values = self._parse(column, parse_numbers, self.decimal, self.lenient)
        elif pd.api.types.is_complex_dtype(dtype):
            raise ValueError(
                f"Column {self.name!r} holds complex numbers. Give their real and "
                "imaginary parts columns of their own."
            )
        else:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return self._bounded(values)

    def _bounded(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            wild = np.abs(values) > _FLOAT32_MAX
        if not wild.any():
            return values
        value = values[wild][0]
        what = (
            "contains infinity"
            if np.isinf(value)
            else f"holds {value:.6g}, a value too large for dtype('float32')"
        )
        raise ValueError(
            f"Column {self.name!r} {what}. Replace such values, by NaN where they "
            "stand for missing ones, or scale the column."
        )


class DurationReader(Reader):
    """Reads durations as seconds, in float64."""

    def __init__(self, name: Hashable) -> None:
        super().__init__(name, "duration", ("numeric",))

    def _read(self, column: pd.Series) -> np.ndarray:
        if pd.api.types.is_timedelta64_dtype(column.dtype):
            return column.dt.total_seconds().to_numpy()
        return self._parse(column, parse_durations)


class TimeReader(Reader):
    """Reads times of a day as datetime64, all of one day."""

    def __init__(self, name: Hashable) -> None:
        super().__init__(name, "time", ("datetime",))

    def _read(self, column: pd.Series) -> np.ndarray:
        return self._parse(column, _times_of_one_day)


def _times_of_one_day(levels: np.ndarray) -> np.ndarray:
    microseconds = pd.Series(parse_durations(levels) * 1e6).round().astype("Int64")
    return pd.to_datetime(microseconds, unit="us").to_numpy("datetime64[us]")


class DateReader(Reader):
    """Reads dates as datetime64, as a clock in one time zone shows them.

    Parameters
    ----------
    name : hashable
        Name of the column.
    form : str or None, default=None
        Format of dates in strings.
    zone : tzinfo or None, default=None
        The time zone. Dates without one are taken for UTC where the column had one.
    lenient : bool, default=False
        Whether other values are missing ones.
    """

    def __init__(
        self,
        name: Hashable,
        form: str | None = None,
        zone: Any = None,
        lenient: bool = False,
    ) -> None:
        super().__init__(name, "datetime", ("datetime",), lenient)
        self.form = form
        self.zone = zone

    def _read(self, column: pd.Series) -> np.ndarray:
        dates = to_dates(column)
        if dates is None:
            dates = pd.Series(self._parse(column, parse_dates, self.form, self.lenient))
        if dates.dt.tz is None and self.zone is not None:
            dates = dates.dt.tz_localize("UTC")
        if dates.dt.tz is not None:
            dates = dates.dt.tz_convert(self.zone or "UTC").dt.tz_localize(None)
        return dates.to_numpy("datetime64[us]")

    def _form(self) -> str:
        if self.form is None or "%" not in self.form:
            return ""
        return f", written as {self.form!r} (or as ISO 8601)"


class LevelReader(Reader):
    """Reads categories and texts as pandas' categories; those of texts are strings."""

    def _read(self, column: pd.Series) -> pd.Categorical:
        text = "text" in self.encodings
        if isinstance(column.dtype, pd.CategoricalDtype) and not text:
            return column.array
        codes, levels = factorize(self.name, column)
        if text and not all(isinstance(level, str) for level in levels):
            # 0, 0.0 and False are one level, and three texts.
            column = column.astype(object).map(str, na_action="ignore")
            codes, levels = factorize(self.name, column)
        if text:
            strings, merged = np.unique(levels.astype(str), return_inverse=True)
            codes, levels = np.append(merged, -1)[codes], strings.astype(object)
        categories = pd.Index(levels, dtype=object, tupleize_cols=False)
        return pd.Categorical.from_codes(codes, categories=categories)


class Dropper(Reader):
    """Stands for a column that is left out, whatever it holds."""

    def __init__(self, name: Hashable) -> None:
        super().__init__(name, "identifier", ())

    def _read(self, column: pd.Series) -> np.ndarray:
        return np.zeros(len(column))
