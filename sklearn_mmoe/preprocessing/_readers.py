"""How a column is read: in whatever type it comes, to the one its encoders take."""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe._warnings import warn
from sklearn_mmoe.preprocessing._parsing import (
    SECONDS_OF_A_DAY,
    UnreadableError,
    ambiguous_amount,
    ambiguous_date,
    find_date_format,
    is_missing_word,
    parse_dates,
    parse_durations,
    parse_numbers,
)
from sklearn_mmoe.preprocessing._table import Table

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
    "warn_of_odd_values",
    "warn_of_thousands",
]

_KIND_OF_ONE = {"numeric": "a number", "datetime": "a date"}
# A column of these has words in it, or values of several types.
_MIXED = frozenset({"string", "mixed", "mixed-integer"})
# Readers that have warned. Python's own memory of that does not last: it is lost with
# each change of the filters, such as every parallel loop of scikit-learn makes.
_TOLD_OF: weakref.WeakSet[Reader] = weakref.WeakSet()
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
    # Beside pd.NA pandas infers no periods, whatever it is told to skip.
    inferred = pd.api.types.infer_dtype(column[column.notna()])
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
    odd : set, default=()
        Values that are not of this kind, but that ``fit`` saw. Where there are some,
        they and others like them are missing ones instead of an error.
    """

    def __init__(
        self,
        name: Hashable,
        kind: str,
        encodings: tuple[str, ...],
        odd: Iterable[Any] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.encodings = encodings
        # A set, and not a frozen one: those skops knows.
        self.odd = set(odd)

    def read(self, column: pd.Series) -> Any:
        """Return the values as the encoders take them.

        Raises
        ------
        ValueError
            If there is a value that is not of the column's kind; it names both.

        Warns
        -----
        UserWarning
            If there is such a value, other than those of ``fit``, that is taken for
            missing; the first time only.
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

    def _read(self, column: pd.Series) -> Any:
        raise NotImplementedError

    def _parse(self, column: pd.Series, parse: Any) -> np.ndarray:
        """Parse each different value once."""
        codes, levels = factorize(self.name, column)
        if self._may_hold_slips(column, levels):
            parsed = np.asarray(parse(levels, lenient=True))
            self._warn_of_unknown(levels[pd.isna(parsed)])
        else:
            parsed = np.asarray(parse(levels))
        missing = np.datetime64("NaT") if parsed.dtype.kind == "M" else np.nan
        return np.append(parsed, np.array([missing], parsed.dtype))[codes]

    def _may_hold_slips(self, column: pd.Series, levels: np.ndarray) -> bool:
        """Tell whether values of another kind are slips of the pen in some cells.

        A column that is of another type throughout is another column.
        """
        if not self.odd or pd.api.types.infer_dtype(levels) in _MIXED:
            return bool(self.odd)
        # Some rows of the table of fit may have nothing but its odd values.
        return column.dtype == object and not self.odd.isdisjoint(levels)

    def _warn_of_unknown(self, lost: np.ndarray) -> None:
        """Warn of odd values that fit has not seen: once, not in each transform."""
        if self in _TOLD_OF:
            return
        if all(is_missing_word(value) or value in self.odd for value in lost):
            return
        warn(
            f"Column {self.name!r} is {self.kind}, but holds values that cannot be "
            f"read as {_KIND_OF_ONE[self.kind]}, others than in fit. Such values are "
            "taken for missing. Correct them, or replace them by NaN.",
            finding=("odd values", self.name),
        )
        _TOLD_OF.add(self)


class NumberReader(Reader):
    """Reads numbers as float64.

    Parameters
    ----------
    name : hashable
        Name of the column.
    decimal : {'.', ','}, default='.'
        Decimal mark of numbers in strings.
    currency : str or None, default=None
        The currency that they may be amounts in. None is any, but only one at a time.
    odd : set, default=()
        Values that are no numbers, but that ``fit`` saw.
    without_mark : str or None, default=None
        The longest of the numbers in ``fit``, if they were strings without a point or
        comma, so that none of them says what a point is.
    """

    def __init__(
        self,
        name: Hashable,
        decimal: str = ".",
        currency: str | None = None,
        odd: Iterable[Any] = (),
        without_mark: str | None = None,
    ) -> None:
        super().__init__(name, "numeric", ("numeric",), odd)
        self.decimal = decimal
        self.currency = currency
        self.without_mark = without_mark

    def _read(self, column: pd.Series) -> np.ndarray:
        dtype = column.dtype
        if not is_numeric(dtype):
            values = self._parse(column, self._parse_levels)
        elif pd.api.types.is_complex_dtype(dtype):
            raise ValueError(
                f"Column {self.name!r} holds complex numbers. Give their real and "
                "imaginary parts columns of their own."
            )
        else:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return self._bounded(values)

    def _parse_levels(self, levels: np.ndarray, lenient: bool = False) -> np.ndarray:
        numbers = parse_numbers(levels, self.decimal, self.currency, lenient)
        if self.without_mark is not None and self not in _TOLD_OF:
            known = levels[~np.isnan(numbers)]
            if warn_of_thousands(self.name, [self.without_mark, *known], self.decimal):
                _TOLD_OF.add(self)
        return numbers

    def _form(self) -> str:
        return "" if self.currency is None else f", in {self.currency}"

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
    seconds = parse_durations(levels)
    beyond = (seconds < 0) | (seconds >= SECONDS_OF_A_DAY)
    if beyond.any():
        raise UnreadableError(levels[beyond][0])
    microseconds = pd.Series(seconds * 1e6).round().astype("Int64")
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
    odd : set, default=()
        Values that are no dates, but that ``fit`` saw.
    """

    def __init__(
        self,
        name: Hashable,
        form: str | None = None,
        zone: Any = None,
        odd: Iterable[Any] = (),
    ) -> None:
        super().__init__(name, "datetime", ("datetime",), odd)
        self.form = form
        self.zone = zone

    def _read(self, column: pd.Series) -> np.ndarray:
        dates = to_dates(column)
        if dates is None:
            dates = pd.Series(self._parse(column, self._parse_levels))
        if dates.dt.tz is None and self.zone is not None:
            dates = dates.dt.tz_localize("UTC")
        if dates.dt.tz is not None:
            dates = dates.dt.tz_convert(self.zone or "UTC").dt.tz_localize(None)
        return dates.to_numpy("datetime64[us]")

    def _parse_levels(self, levels: np.ndarray, lenient: bool = False) -> np.ndarray:
        form = self.form
        if form is None:
            words = [level for level in levels if not is_missing_word(level)]
            form = find_date_format(words)
            self._check_order(words, form)
        return parse_dates(levels, form, lenient)

    def _check_order(self, values: list[Any], form: str | None) -> None:
        """Refuse to guess an order of days and months, which other rows may change."""
        example = ambiguous_date(values, form)
        if example is not None:
            raise ValueError(
                f"Column {self.name!r} held dates in fit, and now strings such as "
                f"{example!r}, which do not tell the day from the month. Write them as "
                "'2024-03-31', or convert them with pd.to_datetime and its parameter "
                "'dayfirst'."
            )

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


def warn_of_thousands(name: Hashable, values: Sequence[Any], decimal: str) -> bool:
    """Warn if a point cannot be told from a mark between thousands.

    Parameters
    ----------
    name : hashable
        Name of the column.
    values : sequence
        Values of it, which the decimal mark fits.
    decimal : {'.', ','}
        The mark.

    Returns
    -------
    bool
        Whether there is such a point.

    Warns
    -----
    UserWarning
        If there is one.
    """
    example = ambiguous_amount(values, decimal)
    if example is not None:
        warn(
            f"Column {name!r} holds numbers such as {example!r}, and all that have a "
            "point have three digits behind it. The point is read as a decimal mark. "
            "If it is between thousands, convert the column before, with "
            ".str.replace('.', '').",
            finding=("decimal or thousands", name),
        )
    return example is not None


def warn_of_odd_values(table: Table, readers: Sequence[Reader]) -> None:
    """Say which values of ``fit`` are taken for missing, being of another kind.

    Parameters
    ----------
    table : Table
        The table of ``fit``.
    readers : sequence of Reader
        The readers of its columns.

    Warns
    -----
    UserWarning
        For each column with such values.
    """
    for reader, column in zip(readers, table.columns, strict=True):
        if not reader.odd:
            continue
        codes, levels = factorize(reader.name, column)
        odd = [level in reader.odd for level in levels]
        rows = np.flatnonzero(np.append(odd, False)[codes])
        warn(
            f"Column {reader.name!r} is {reader.kind}, but {len(rows)} of its "
            f"{column.notna().sum()} values cannot be read as "
            f"{_KIND_OF_ONE[reader.kind]}: the first is {column.iloc[rows[0]]!r}, in "
            f"row {table.index[rows[0]]!r}. Such values are taken for missing. Correct "
            "them, or replace them by NaN; or name the column as 'categorical' if it "
            "holds codes.",
            finding=("odd values", reader.name),
            values=reader.odd,
        )
