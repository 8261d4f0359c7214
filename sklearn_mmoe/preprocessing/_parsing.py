"""Numbers, dates, times and durations, out of strings and of Python's objects.

Every parser takes the different values of a column, never each row anew. It returns
NaN or NaT for the words that stand for missing values, and raises `UnreadableError`
for what it cannot read, so that nothing is lost without a word.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "UnreadableError",
    "find_date_format",
    "find_decimal",
    "holds_durations",
    "holds_times",
    "is_missing_word",
    "parse_dates",
    "parse_durations",
    "parse_numbers",
]

# What pandas and skrub take for missing in text, and what people type.
_MISSING_WORDS = frozenset(
    "na n/a n.a. #n/a #na <na> nan -nan nat null none nil missing unknown ? - -- . .. "
    "...".split()
) | {""}
_SAMPLE_SIZE = 30

_PLAIN = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# By the decimal mark: a number, with the other mark between its thousands or none.
_MONEY = r"[+-]?[$€£¥]?\s?[+-]?"
_NUMBER = {
    ".": re.compile(rf"{_MONEY}(?:\d{{1,3}}(?:,\d{{3}})+(?:\.\d*)?|{_PLAIN})\s?[%€]?"),
    ",": re.compile(rf"{_MONEY}(?:\d{{1,3}}(?:\.\d{{3}})+|\d+)(?:,\d*)?\s?[%€]?"),
}
_SIGNS = re.compile(r"[$€£¥%\s]")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
# Post codes and the like: a number would not be written so.
_LEADING_ZERO = re.compile(r"[+-]?0\d")

_CLOCK = re.compile(
    r"(-?)(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?:\s*([AaPp])\.?[Mm]\.?)?"
)
_AMOUNT = r"[+-]?\d+(?:\.\d+)?\s*"
_UNIT = r"(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|us|ns)"
# One unit alone may be a length in metres; what is clear is a word, or a sequence.
_DURATION = re.compile(
    rf"(?:{_AMOUNT}{_UNIT}(?:[\s,]+|\b))+(?:[+-]?\d+:\d\d:\d\d(?:\.\d+)?)?"
    r"|-?P(?:\d+D)?(?:T(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
)
_METRES = re.compile(rf"{_AMOUNT}m")

_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# Only what looks like a date is tried as one: parsers find years in ranges and codes.
_DATE = re.compile(
    r"\d{4}[-/.]\d\d?(?!\d)|\d\d?[-/. ]\d\d?[-/. ]\d\d|\d{8}T"
    rf"|{_MONTH}[\s.,-]+\d|\d[\s-]*{_MONTH}",
    re.IGNORECASE,
)
_QUARTER = re.compile(r"\d{4}\s?-?\s?[Qq][1-4]")
# What tells days from months: a number that is no month.
_DAY = re.compile(r"(?:1[3-9]|2\d|3[01])\D")


class UnreadableError(ValueError):
    """Raised for a value that is not of its column's kind.

    Parameters
    ----------
    value : object
        The value.
    """

    def __init__(self, value: Any) -> None:
        super().__init__(f"cannot read {value!r}")
        self.value = value


def is_missing_word(value: Any) -> bool:
    """Tell whether a string stands for a missing value, such as '?' or blanks."""
    return isinstance(value, str) and value.strip().lower() in _MISSING_WORDS


def _parse(values: Iterable[Any], parse_one: Callable[[Any], float]) -> np.ndarray:
    return np.array(
        [np.nan if is_missing_word(value) else parse_one(value) for value in values],
        dtype=np.float64,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real | Decimal | np.bool_)


def find_decimal(values: Iterable[Any]) -> str | None:
    """Find the decimal mark with which all values are numbers.

    Parameters
    ----------
    values : iterable
        Different values of a column, without missing ones.

    Returns
    -------
    {'.', ','} or None
        The mark; None if they are not all numbers, or are codes with leading zeros.
    """
    values = list(values)
    # Among numbers they are 0 and 1, which Python takes for the same.
    if all(isinstance(value, bool | np.bool_) for value in values):
        return None

    def is_number(value: Any, pattern: re.Pattern[str]) -> bool:
        if not isinstance(value, str):
            return _is_number(value)
        value = value.strip()
        if _LEADING_ZERO.match(value):
            return False
        return bool(pattern.fullmatch(value) or _INFINITE.fullmatch(value))

    for decimal, pattern in _NUMBER.items():
        if all(is_number(value, pattern) for value in values):
            return decimal
    return None


def parse_numbers(values: Iterable[Any], decimal: str = ".") -> np.ndarray:
    """Read numbers from strings, Decimals, fractions and other numbers."""
    pattern = _NUMBER[decimal]
    thousands = "," if decimal == "." else "."

    def parse_one(value: Any) -> float:
        if _is_number(value):
            return float(value)
        text = value.strip() if isinstance(value, str) else ""
        if _INFINITE.fullmatch(text):
            return float(text)
        if not pattern.fullmatch(text):
            raise UnreadableError(value)
        text = _SIGNS.sub("", text).replace(thousands, "").replace(decimal, ".")
        return float(text)

    return _parse(values, parse_one)


def _clock_seconds(text: str) -> float | None:
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return None
    sign, hours, minutes, seconds, half = found.groups()
    hour = int(hours)
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half in "Pp")
    total = 3600 * hour + 60 * int(minutes) + float(seconds or 0)
    return -total if sign else total


def holds_times(values: Iterable[Any]) -> bool:
    """Tell whether all values are times of a day."""

    def is_time(value: Any) -> bool:
        if isinstance(value, str):
            seconds = _clock_seconds(value)
            return seconds is not None and 0 <= seconds < 24 * 3600
        return isinstance(value, datetime.time)

    return all(is_time(value) for value in values)


def holds_durations(values: Iterable[Any]) -> bool:
    """Tell whether all values are durations."""
    values = list(values)

    def is_duration(value: Any) -> bool:
        if not isinstance(value, str):
            return isinstance(value, datetime.timedelta | np.timedelta64)
        value = value.strip()
        return _clock_seconds(value) is not None or (
            len(value) > 1 and bool(_DURATION.fullmatch(value))
        )

    if all(isinstance(v, str) and _METRES.fullmatch(v.strip()) for v in values):
        return False
    return all(is_duration(value) for value in values)


def parse_durations(values: Iterable[Any]) -> np.ndarray:
    """Read times of a day and durations as seconds."""

    def parse_one(value: Any) -> float:
        if isinstance(value, datetime.time):
            value = datetime.timedelta(
                hours=value.hour,
                minutes=value.minute,
                seconds=value.second,
                microseconds=value.microsecond,
            )
        elif isinstance(value, str):
            seconds = _clock_seconds(value)
            if seconds is not None:
                return seconds
        elif not isinstance(value, datetime.timedelta | np.timedelta64):
            raise UnreadableError(value)
        try:
            return pd.Timedelta(value).total_seconds()
        except ValueError:
            raise UnreadableError(value) from None

    return _parse(values, parse_one)


def find_date_format(values: Iterable[Any]) -> str | None:
    """Find the format with which all strings are dates.

    Parameters
    ----------
    values : iterable
        Different values of a column, without missing ones.

    Returns
    -------
    str or None
        A format of ``strptime``, 'ISO8601' or 'quarter'; None if there is none.
    """
    values = [value.strip() for value in values if isinstance(value, str)]
    if not values:
        return None
    if all(_QUARTER.fullmatch(value) for value in values):
        return "quarter"
    if not all(_DATE.search(value) for value in values):
        return None
    for form in (_guess_format(values), "ISO8601"):
        if form is not None:
            try:
                parse_dates(values, form)
            except UnreadableError:
                continue
            return form
    return None


def _guess_format(values: list[str]) -> str | None:
    """Return the format of some of the strings, days before months if need be."""
    # Not before it is needed: it imports Matplotlib.
    from skrub import ToDatetime  # type: ignore[import-untyped]

    telling = sorted(values, key=lambda value: not _DAY.match(value))
    try:
        return ToDatetime().fit(pd.Series(telling[:_SAMPLE_SIZE], dtype="str")).format_
    except ValueError:  # it rejects what it finds no dates in
        return None


def parse_dates(values: Iterable[Any], form: str | None = None) -> np.ndarray:
    """Read dates, as microseconds; those with a time zone become UTC without one."""
    values = list(values)
    texts = [
        None if is_missing_word(v) else v.strip() if isinstance(v, str) else v
        for v in values
    ]
    strings = [text for text in texts if isinstance(text, str)]
    if form is None and strings:
        form = find_date_format(strings)
        if form is None:
            raise UnreadableError(strings[0])
    odd = [t for t in texts if not isinstance(t, str | datetime.date | type(None))]
    if odd:
        raise UnreadableError(odd[0])
    if form == "quarter":
        texts = [_first_of_quarter(text) for text in texts]
    column = pd.Series(texts, dtype=object)
    pandas_form = "ISO8601" if form == "quarter" else form
    column = pd.to_datetime(column, format=pandas_form, utc=True, errors="coerce")
    dates = column.dt.tz_localize(None).to_numpy("datetime64[us]", copy=True)
    for i, text in enumerate(texts):
        if text is not None and np.isnat(dates[i]):
            dates[i] = _far_date(values[i], text, form)
    return dates


def _first_of_quarter(text: Any) -> Any:
    if isinstance(text, str) and _QUARTER.fullmatch(text):
        return f"{text[:4]}-{3 * int(text[-1]) - 2:02}-01"
    return text


def _far_date(value: Any, text: Any, form: str | None) -> np.datetime64:
    """Read a date that the nanoseconds of older versions of pandas do not reach."""
    try:
        if isinstance(text, str) and form is not None and "%" in form:
            text = datetime.datetime.strptime(text, form)
        elif isinstance(text, str):
            text = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise UnreadableError(value) from None
    if getattr(text, "tzinfo", None) is not None:
        text = text.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(text, "us")
