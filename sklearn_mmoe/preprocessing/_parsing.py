"""Numbers, dates, times and durations, out of strings and of Python's objects.

Every parser takes the different values of a column, never each row anew. It returns
NaN or NaT for the words that stand for missing values, and raises `UnreadableError`
for what it cannot read, so that nothing is lost without a word.
"""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "SECONDS_OF_A_DAY",
    "UnreadableError",
    "ambiguous_amount",
    "ambiguous_date",
    "evenly",
    "find_currencies",
    "find_date_format",
    "find_date_format_of_most",
    "find_decimal",
    "holds_durations",
    "holds_times",
    "is_code",
    "is_missing_word",
    "likelier_decimal",
    "looks_like_amount",
    "looks_like_date",
    "parse_dates",
    "parse_durations",
    "parse_numbers",
    "reads_as_number",
]

SECONDS_OF_A_DAY = 24 * 3600

# What pandas and skrub take for missing in text, and what people type.
_MISSING_WORDS = frozenset(
    "na n/a n.a. #n/a #na <na> nan -nan nat null none nil missing unknown ? - -- . .. "
    "...".split()
) | {""}
_SAMPLE_SIZE = 30
_LARGE_SAMPLE_SIZE = 1000

_PLAIN = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# What an amount is an amount of. Any three letters would make numbers of codes.
_SIGN_CODES = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
_LETTERS = (
    "(?:AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|"
    "IDR|ILS|INR|ISK|JPY|KES|KRW|MAD|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|QAR|RON|RSD|"
    "RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR)"
)
_CURRENCY = re.compile(rf"[$€£¥]|{_LETTERS}")
# SEK001 and PEN-1000 are codes: letters stand before a number with a space between.
_BEFORE = rf"(?:[+-]?(?:[$€£¥]?\s?|{_LETTERS}\s)|[$€£¥]\s?[+-])"
_AFTER = rf"\s?(?:[%$€£¥]|{_LETTERS})?"
# By the mark between thousands: a number of more than one group. 0,875 is none.
_GROUPS = {mark: rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+" for mark in ".,"}
# By the decimal mark: a number, with the other mark between its thousands or none.
_NUMBER = {
    ".": re.compile(rf"{_BEFORE}(?:{_GROUPS[',']}(?:\.\d*)?|{_PLAIN}){_AFTER}"),
    ",": re.compile(rf"{_BEFORE}(?:{_GROUPS['.']}|\d+)(?:,\d*)?{_AFTER}"),
}
_SIGNS = re.compile(rf"{_CURRENCY.pattern}|[%\s]")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
# Post codes and the like: a number would not be written so.
_LEADING_ZERO = re.compile(r"[^\d.,]*0\d")
# Digits alone may be a code; these are of amounts.
_OF_AMOUNTS = re.compile(rf"[%+-]|{_CURRENCY.pattern}|\d[.,]\d{{3}}(?!\d)")

_CLOCK = re.compile(
    r"(-?)(\d+):([0-5]\d)(?::([0-5]\d(?:\.\d+)?))?(?:\s*([AaPp])\.?[Mm]\.?)?"
)
_AMOUNT = r"[+-]?\d+(?:\.\d+)?\s*"
_UNIT = r"(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|us|ns)"
# One unit alone may be a length in metres; what is clear is a word, or a sequence.
_DURATION = re.compile(
    rf"(?:{_AMOUNT}{_UNIT}(?:[\s,]+|\b))+(?:[+-]?\d+:\d\d:\d\d(?:\.\d+)?)?"
    r"|-?P(?=\d|T\d)(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?"
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
# A whole date and nothing else but a time, in whatever order its parts are.
_OF_A_MONTH = r"(?:0?[1-9]|[12]\d|3[01])"
_WHOLE_DATE = re.compile(
    rf"(?:\d{{4}}[-/.]{_OF_A_MONTH}[-/.]{_OF_A_MONTH}"
    rf"|{_OF_A_MONTH}[-/. ]{_OF_A_MONTH}[-/. ](?:\d{{2}}|\d{{4}})"
    rf"|{_OF_A_MONTH}[\s-]{_MONTH}[\s,.-]+\d{{4}}"
    rf"|{_MONTH}[\s.-]+{_OF_A_MONTH}[\s,.-]+\d{{4}})(?:[T\s]+\d\d?:\d\d.*)?",
    re.IGNORECASE,
)
# Whatever the format of its column, such a date can mean but one day.
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d.*)?")
_DAY_NEXT = re.compile("%Y.?%d")
_FIELD = re.compile("%.")
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


def is_code(value: Any) -> bool:
    """Tell whether a string is a number but for a leading zero, which codes have."""
    if not isinstance(value, str) or not _LEADING_ZERO.match(value.strip()):
        return False
    return any(pattern.fullmatch(value.strip()) for pattern in _NUMBER.values())


def looks_like_amount(value: Any) -> bool:
    """Tell whether a string is a number with a sign, thousands mark or currency."""
    return (
        isinstance(value, str)
        and bool(_OF_AMOUNTS.search(value))
        and any(reads_as_number(value, decimal) for decimal in _NUMBER)
    )


def looks_like_date(value: Any) -> bool:
    """Tell whether a string is a date and nothing else, in whatever format."""
    return isinstance(value, str) and bool(_WHOLE_DATE.fullmatch(value.strip()))


def _parse(
    values: Iterable[Any], parse_one: Callable[[Any], float], lenient: bool = False
) -> np.ndarray:
    def parsed(value: Any) -> float:
        if is_missing_word(value):
            return np.nan
        try:
            return parse_one(value)
        except UnreadableError:
            if lenient:
                return np.nan
            raise

    return np.array([parsed(value) for value in values], dtype=np.float64)


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
        The mark; None if they are not all numbers, are codes with leading zeros, or
        amounts in more than one currency.
    """
    values = list(values)
    # Among numbers they are 0 and 1, which Python takes for the same.
    if all(isinstance(value, bool | np.bool_) for value in values):
        return None

    marks = [m for m in _NUMBER if all(reads_as_number(v, m) for v in values)]
    if not marks or len(find_currencies(values)) > 1:
        return None
    return likelier_decimal(marks, values)


def likelier_decimal(marks: Sequence[str], values: Iterable[Any]) -> str:
    """Choose between decimal marks that fit equally well.

    It is the point, unless all points of amounts of money have three digits behind
    them, as in 1.250 €, and there are amounts below a thousand without one.
    """
    values = list(values)
    if len(marks) == 1 or not (_point_may_group(values) and find_currencies(values)):
        return marks[0]
    return "," if _has_less_than_a_thousand(values) else marks[0]


def ambiguous_amount(values: Iterable[Any], decimal: str) -> str | None:
    """Find a number whose point is read as a decimal mark, but may part thousands.

    Parameters
    ----------
    values : iterable
        Values of a column, which the decimal mark fits.
    decimal : {'.', ','}
        The mark.

    Returns
    -------
    str or None
        The first such number; None if there is none, or a value fits this mark alone.
    """
    values = list(values)
    if decimal != "." or not _point_may_group(values):
        return None
    # Without a currency, three digits behind all points may well be a precision.
    if not (find_currencies(values) or _has_less_than_a_thousand(values)):
        return None
    return next(value.strip() for value in values if "." in value)


def longest_without_mark(values: Iterable[Any]) -> str | None:
    """Return the longest number in strings, none of which has a point or comma.

    It says whether numbers of a column that have one later may be thousands.

    Parameters
    ----------
    values : iterable
        Values of a column, all of them numbers.

    Returns
    -------
    str or None
        None if not all are strings, or one has such a mark.
    """
    values = list(values)
    if not all(isinstance(v, str) and not set(".,") & set(v) for v in values):
        return None
    return max(values, key=lambda value: sum(map(str.isdigit, value)), default=None)


def _point_may_group(values: Sequence[Any]) -> bool:
    """Tell whether there are points, and all numbers fit if they part thousands."""
    return (
        all(isinstance(value, str) for value in values)
        and any("." in value for value in values)
        and all(reads_as_number(value, ",") for value in values)
    )


def _has_less_than_a_thousand(values: Sequence[str]) -> bool:
    """Tell whether numbers without a point have no more than three digits."""
    whole = [re.sub(r"\D", "", value) for value in values if "." not in value]
    return bool(whole) and max(map(len, whole)) <= 3


def find_currencies(values: Iterable[Any]) -> set[str]:
    """Return the three letters of every currency that amounts among values are in."""
    return {
        currency
        for value in values
        if isinstance(value, str)
        for currency in _currencies_of(value)
        if any(pattern.fullmatch(value.strip()) for pattern in _NUMBER.values())
    }


def _currencies_of(text: str) -> set[str]:
    if not text.strip("0123456789.,+-"):  # most of them, without a search
        return set()
    return {_SIGN_CODES.get(found, found) for found in _CURRENCY.findall(text)}


def reads_as_number(value: Any, decimal: str) -> bool:
    """Tell whether a value is a number, and no code, with this decimal mark."""
    if not isinstance(value, str):
        return _is_number(value)
    value = value.strip()
    if _LEADING_ZERO.match(value):
        return False
    return bool(_NUMBER[decimal].fullmatch(value) or _INFINITE.fullmatch(value))


def parse_numbers(
    values: Iterable[Any],
    decimal: str = ".",
    currency: str | None = None,
    lenient: bool = False,
) -> np.ndarray:
    """Read numbers from strings, Decimals, fractions and other numbers.

    What is none raises, or is NaN if `lenient`; so do amounts in another currency than
    this one or, without one, than the first.
    """
    pattern = _NUMBER[decimal]
    thousands = "," if decimal == "." else "."

    def parse_one(value: Any) -> float:
        nonlocal currency
        if _is_number(value):
            return float(value)
        text = value.strip() if isinstance(value, str) else ""
        if _INFINITE.fullmatch(text):
            return float(text)
        if not pattern.fullmatch(text):
            raise UnreadableError(value)
        for found in _currencies_of(text):
            currency = currency or found
            if found != currency:
                raise UnreadableError(value)
        text = _SIGNS.sub("", text).replace(thousands, "").replace(decimal, ".")
        return float(text)

    return _parse(values, parse_one, lenient)


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
            return seconds is not None and 0 <= seconds < SECONDS_OF_A_DAY
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
            # Where dates are written with dots, the day comes first.
            in_doubt = "." in form and ambiguous_date(values, form) is not None
            return _other_order(form) if in_doubt else form
    return None


def ambiguous_date(values: Iterable[Any], form: str | None) -> str | None:
    """Find a date that would be another one, if months and days were read in turn.

    Parameters
    ----------
    values : iterable
        Values of a column, which the format fits.
    form : str or None
        The format of those that are strings.

    Returns
    -------
    str or None
        The first such date; None if there is none, or a value fits this order alone.
    """
    other = None if form is None else _other_order(form)
    texts = [value.strip() for value in values if isinstance(value, str)]
    if other is None:
        return None
    try:
        swapped = parse_dates(texts, other)
    except UnreadableError:
        return None
    differ = swapped != parse_dates(texts, form)
    return next((text for text, d in zip(texts, differ, strict=True) if d), None)


def _other_order(form: str) -> str | None:
    """Swap days and months in a format; None if they cannot be mistaken."""
    if form.startswith("%Y") or not {"%d", "%m"} <= set(_FIELD.findall(form)):
        return None
    swapped = {"%d": "%m", "%m": "%d"}
    return _FIELD.sub(lambda found: swapped.get(found[0], found[0]), form)


def find_date_format_of_most(values: Sequence[Any]) -> str:
    """Find the format with which the most of some strings are dates."""
    values = evenly(values, _LARGE_SAMPLE_SIZE)
    some = evenly(values, _SAMPLE_SIZE)
    guesses = (_guess_one(value, first) for first in (False, True) for value in some)
    forms = dict.fromkeys(["ISO8601", *filter(None, guesses)])

    def merit(form: str) -> tuple[int, bool]:
        n_read = (~np.isnat(parse_dates(values, form, lenient=True))).sum()
        # In doubt the month comes first, and with dots the day.
        return n_read, form.startswith("%d") == ("." in form)

    return max(forms, key=merit)


def evenly(values: Sequence[Any], n: int) -> Sequence[Any]:
    """Return about as many of some values as asked, or all, at equal distances."""
    return values[:: max(1, len(values) // n)]


def _guess_one(value: str, day_first: bool) -> str | None:
    with warnings.catch_warnings():
        # It says so where only the other order is possible.
        warnings.simplefilter("ignore", UserWarning)
        form = pd.tseries.api.guess_datetime_format(value, dayfirst=day_first)
    return form if isinstance(form, str) else None


def _guess_format(values: list[str]) -> str | None:
    """Return the format of some of the strings, days before months if need be."""
    # Not before it is needed: it imports Matplotlib.
    from skrub import ToDatetime  # type: ignore[import-untyped]

    # ISO dates are read beside those of any format.
    others = [value for value in values if not _ISO_DATE.fullmatch(value)]
    telling = sorted(others or values, key=lambda value: not _DAY.match(value))
    try:
        return ToDatetime().fit(pd.Series(telling[:_SAMPLE_SIZE], dtype="str")).format_
    except ValueError:  # it rejects what it finds no dates in
        return None


def parse_dates(
    values: Iterable[Any], form: str | None = None, lenient: bool = False
) -> np.ndarray:
    """Read dates, as microseconds; those with a time zone become UTC without one.

    What is none raises, or is NaT if `lenient`.
    """
    values = list(values)
    texts = [
        None if is_missing_word(v) else v.strip() if isinstance(v, str) else v
        for v in values
    ]
    strings = [text for text in texts if isinstance(text, str)]
    if form is None and strings:
        form = find_date_format(strings)
        if form is None:
            if not lenient:
                raise UnreadableError(strings[0])
            form = find_date_format_of_most(strings)
    odd = [t for t in texts if not isinstance(t, str | datetime.date | type(None))]
    if odd:
        if not lenient:
            raise UnreadableError(odd[0])
        texts = [t if isinstance(t, str | datetime.date) else None for t in texts]
    if form == "quarter":
        texts = [_first_of_quarter(text) for text in texts]
    column = pd.Series(texts, dtype=object)
    pandas_form = "ISO8601" if form == "quarter" else form
    column = pd.to_datetime(column, format=pandas_form, utc=True, errors="coerce")
    dates = column.dt.tz_localize(None).to_numpy("datetime64[us]", copy=True)
    for i, text in enumerate(texts):
        if text is not None and np.isnat(dates[i]):
            try:
                dates[i] = _other_date(values[i], text, form)
            except UnreadableError:
                if not lenient:
                    raise
    return dates


def _first_of_quarter(text: Any) -> Any:
    if isinstance(text, str) and _QUARTER.fullmatch(text):
        return f"{text[:4]}-{3 * int(text[-1]) - 2:02}-01"
    return text


def _other_date(value: Any, text: Any, form: str | None) -> np.datetime64:
    """Read an ISO date among others, or one that old pandas' nanoseconds do not reach.

    A format that has the day after the year forbids the former.
    """
    try:
        if isinstance(text, str):
            text = _parse_text(text, form)
    except ValueError:
        raise UnreadableError(value) from None
    if getattr(text, "tzinfo", None) is not None:
        text = text.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(text, "us")


def _parse_text(text: str, form: str | None) -> datetime.datetime:
    if form is None or "%" not in form:
        return datetime.datetime.fromisoformat(text)
    if _ISO_DATE.fullmatch(text) and not _DAY_NEXT.match(form):
        return datetime.datetime.fromisoformat(text)
    return datetime.datetime.strptime(text, form)
