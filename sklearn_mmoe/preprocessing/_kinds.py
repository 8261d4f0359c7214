"""What a column is: numbers, dates, categories, text, or an identifier."""

from __future__ import annotations

import datetime
import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe._warnings import warn
from sklearn_mmoe.preprocessing._auto import AUTO
from sklearn_mmoe.preprocessing._parsing import (
    ambiguous_date,
    evenly,
    find_currencies,
    find_date_format,
    find_date_format_of_most,
    find_decimal,
    holds_durations,
    holds_times,
    is_code,
    is_missing_word,
    likelier_decimal,
    longest_without_mark,
    looks_like_amount,
    looks_like_date,
    parse_dates,
    reads_as_number,
)
from sklearn_mmoe.preprocessing._readers import (
    DateReader,
    Dropper,
    DurationReader,
    LevelReader,
    NumberReader,
    Reader,
    TimeReader,
    factorize,
    is_numeric,
    to_dates,
    warn_of_thousands,
)

__all__ = ["KINDS", "learn_reader"]

#: What a column can be.
KINDS = (
    "numeric",
    "datetime",
    "time",
    "duration",
    "categorical",
    "text",
    "identifier",
)

# In fewer rows than this, that all differ says nothing about what they are.
_FEW_ROWS = 20
# Strings are text where more than this share of the rows has a rare one. Where there
# are few different ones, columns for them say enough as long as most rows have one.
_FEW_LEVELS = 40
_MAX_RARE_SHARE = 0.1
_MAX_RARE_SHARE_OF_FEW = 0.5
# A few slips of the pen do not make text of a column of numbers. One value that is in
# more than a few rows, and in more than this share of them, is no slip.
_MAX_ODD_SHARE = 0.05
_FEW_SLIPS = 3
_MAX_SHARE_OF_ONE_ODD = 0.01
# Identifiers may be missing in a few rows.
_MIN_IDENTIFIED = 0.9
_MAX_IDENTIFIER_LENGTH = 64
# What reads as amounts or dates, if only one by one, numbers no rows.
_MAX_READ_SHARE = 0.5
# From this share on a text should not go without a word.
_MIN_MIXED_SHARE = 0.9
_SAMPLE_SIZE = 1000
_IDENTIFIER_NAME = re.compile(
    r"(?i:^(.*[^a-z])?(id|uuid|guid)$|^(unnamed: \d+|index|idx|row_?(number|names?)?)$)"
    r"|[a-z](Id|ID)$"
)


def learn_reader(name: Hashable, column: pd.Series, categorical: bool) -> Reader:
    """Find out what a column holds.

    Parameters
    ----------
    name : hashable
        Its name.
    column : Series
        Its values in ``fit``.
    categorical : bool
        Whether it was named as categorical, whatever it holds.

    Returns
    -------
    Reader
        How to read it from now on.

    Raises
    ------
    ValueError
        If its cells hold lists or the like.

    Warns
    -----
    UserWarning
        If it is taken for text, but looks like numbers or dates, or like amounts in
        more than one currency.
    """
    dtype = column.dtype
    categories = LevelReader(name, "categorical", ("categorical",))
    if categorical or pd.api.types.is_bool_dtype(dtype):
        return categories
    if is_numeric(dtype):
        return _numbers(name, column, NumberReader(name))
    if pd.api.types.is_timedelta64_dtype(dtype):
        return DurationReader(name)
    dates = to_dates(column)
    if dates is not None:
        return DateReader(name, zone=dates.dt.tz)
    codes, levels = factorize(name, column)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    rare = _share_of_rare(counts, len(column))
    if isinstance(dtype, pd.CategoricalDtype) and rare <= _MAX_RARE_SHARE_OF_FEW:
        return categories
    reader = _reader_of_words(name, column, levels)
    if reader is None:
        reader = _reader_of_most(name, column, levels, counts)
    if reader is not None:
        return reader
    return _reader_of_strings(name, levels, counts, len(column))


def _reader_of_strings(
    name: Hashable, levels: np.ndarray, counts: np.ndarray, n_samples: int
) -> Reader:
    """Return the reader of identifiers, categories or text: of what is nothing else."""
    if _identify_rows(levels, counts, n_samples):
        return Dropper(name)
    rare = _share_of_rare(counts, n_samples)
    few = len(levels) <= _FEW_LEVELS
    if rare <= (_MAX_RARE_SHARE_OF_FEW if few else _MAX_RARE_SHARE):
        _warn_of_mixture(name, "categorical", levels)
        return LevelReader(name, "categorical", ("categorical",))
    _warn_of_mixture(name, "text", levels)
    # Missing is a level too.
    most = max(counts.max(), n_samples - counts.sum())
    also = ("categorical",) if most >= _least(n_samples) else ()
    return LevelReader(name, "text", ("text", *also))


def _warn_of_mixture(name: Hashable, kind: str, levels: np.ndarray) -> None:
    """Warn if one by one the values are numbers or dates, but not all together."""
    some = evenly(levels.tolist(), _SAMPLE_SIZE)
    names = [str(level) for level in some if not is_missing_word(level)]
    reads = [text for text in names if _reads(text)]
    # Codes are right as they are.
    if len(reads) < _MIN_MIXED_SHARE * len(names) or any(map(is_code, names)):
        return
    currencies = sorted(find_currencies(levels))
    if len(currencies) > 1:
        warn(
            f"Column {name!r} is {kind}, although its values look like amounts, such "
            f"as {reads[0]!r}: they are in more than one currency: "
            f"{', '.join(currencies)}. Bring them to one before.",
            finding=("currencies", name),
        )
    elif kind == "text" and reads:
        warn(
            f"Column {name!r} is taken for text, although most of its values look like "
            f"numbers or dates, such as {reads[0]!r}: no single way of reading them "
            "fits all. Convert them before, with pd.to_numeric or pd.to_datetime.",
            finding=("unread", name),
        )


def _reader_of_words(
    name: Hashable, column: pd.Series, levels: np.ndarray
) -> Reader | None:
    """Return the reader of numbers and times, in strings or as objects, if they are."""
    words = [level for level in levels if not is_missing_word(level)]
    if not words:
        return None
    decimal = find_decimal(words)
    if decimal is not None:
        _warn_of_percent(name, words)
        return _numbers(name, column, _written_numbers(name, words, decimal))
    if holds_times(words):
        return TimeReader(name)
    if holds_durations(words):
        return DurationReader(name)
    if all(isinstance(word, str) for word in words):
        form = find_date_format(words)
        return None if form is None else _dates(name, words, form)
    return None


def _written_numbers(
    name: Hashable, values: Sequence[Any], decimal: str, odd: Iterable[Any] = ()
) -> NumberReader:
    """Return the reader of numbers that stand in strings, or in objects of any type."""
    warn_of_thousands(name, values, decimal)
    currency = next(iter(find_currencies(values)), None)
    return NumberReader(name, decimal, currency, odd, longest_without_mark(values))


def _warn_of_percent(name: Hashable, values: Sequence[Any]) -> None:
    """Warn if some numbers are in percent: 50% and 0.5 may be the same."""
    values = [value for value in values if set("123456789") & set(str(value))]
    signed = ["%" in str(value) for value in values]
    if any(signed) and not all(signed):
        warn(
            f"Column {name!r} holds numbers with a percent sign and without one, such "
            f"as {values[signed.index(True)]!r} and {values[signed.index(False)]!r}. "
            "The sign is left out, so that 50% is read as 50. If others are shares, "
            "bring them to one unit before.",
            finding=("percent", name),
        )


def _dates(
    name: Hashable, values: Sequence[Any], form: str | None, odd: Iterable[Any] = ()
) -> DateReader:
    """Return the reader of dates; warn if days and months cannot be told apart."""
    example = ambiguous_date(values, form)
    if example is not None:
        warn(
            f"Column {name!r} holds dates such as {example!r}, and none of them tells "
            f"the day from the month. They are read as {form!r}. If that is wrong, "
            "convert the column before, with pd.to_datetime and its parameter "
            "'dayfirst'.",
            finding=("day or month", name, form),
        )
    return DateReader(name, form, odd=odd)


def _reader_of_most(
    name: Hashable, column: pd.Series, levels: np.ndarray, counts: np.ndarray
) -> Reader | None:
    """Return the reader of the numbers or dates that all values but a few are."""
    words = [i for i, level in enumerate(levels) if not is_missing_word(level)]
    levels, counts = levels[words], counts[words]
    # Truths are numbers to Python alone.
    if counts.sum() < _FEW_ROWS or any(isinstance(v, bool | np.bool_) for v in levels):
        return None

    def rows_of(odd: np.ndarray) -> int | None:
        return _rows_of_slips(odd, counts, len(column))

    marks = {}
    currencies = find_currencies(levels)
    for mark in (".", ","):
        odd = np.array([not reads_as_number(level, mark) for level in levels])
        rows = rows_of(odd)
        if rows is not None and not any(map(is_code, levels[odd])):
            marks[mark] = (rows, set(levels[odd]))
    if marks:
        if len(currencies) > 1:
            return None
        fewest = min(rows for rows, _ in marks.values())
        fitting = [mark for mark, (rows, _) in marks.items() if rows == fewest]
        read = [v for v in levels if all(v not in marks[mark][1] for mark in fitting)]
        best = likelier_decimal(fitting, read)
        reader = _written_numbers(name, read, best, marks[best][1])
        return _numbers(name, column, reader)
    dates = [isinstance(v, datetime.date) or looks_like_date(v) for v in levels]
    if rows_of(~np.array(dates)) is None:
        return None
    texts = [v.strip() for v in levels[dates] if isinstance(v, str)]
    form = find_date_format_of_most(texts) if texts else None
    odd = np.isnat(parse_dates(levels, form, lenient=True))
    if rows_of(odd) is None:
        return None
    return _dates(name, levels[~odd], form, odd=set(levels[odd]))


def _rows_of_slips(odd: np.ndarray, counts: np.ndarray, n_samples: int) -> int | None:
    """Return in how many rows odd levels are; None if they are no slips of the pen."""
    n_rows = counts[odd].sum()
    most = counts[odd].max(initial=0)
    few = odd.mean() <= _MAX_ODD_SHARE or most < _least(n_samples)
    slip = most <= max(_FEW_SLIPS, _MAX_SHARE_OF_ONE_ODD * n_samples)
    return n_rows if few and slip and n_rows <= _MAX_ODD_SHARE * counts.sum() else None


def _least(n_samples: int) -> int:
    """Return how many rows make a level a frequent one."""
    return max(AUTO.min_frequency(n_samples), 2)


def _share_of_rare(counts: np.ndarray, n_samples: int) -> float:
    """Return the share of the rows that have a rare level; 0 where rows are too few."""
    if n_samples < _FEW_ROWS:
        return 0.0
    return counts[counts < _least(n_samples)].sum() / n_samples


def _numbers(name: Hashable, column: pd.Series, reader: NumberReader) -> Reader:
    """Return the reader, unless its numbers are whole and only tell rows apart."""
    if len(column) < _FEW_ROWS or not _IDENTIFIER_NAME.search(str(name)):
        return reader
    values = reader.read(column)
    values = values[~np.isnan(values)]
    if len(values) < _MIN_IDENTIFIED * len(column):
        return reader
    whole = np.isfinite(values).all() and (values == np.round(values)).all()
    identifies = whole and len(np.unique(values)) == len(values)
    return Dropper(name) if identifies else reader


def _reads(name: str) -> bool:
    """Tell whether a string is a date or a number, in whatever way."""
    return looks_like_date(name) or any(reads_as_number(name, mark) for mark in ".,")


def _amount_or_date(names: Sequence[Any]) -> bool:
    """Tell whether most of some strings are amounts or dates, each in its own way.

    Digits alone are what identifiers are made of.
    """
    reads = [
        looks_like_date(name) or looks_like_amount(name)
        for name in evenly(names, _SAMPLE_SIZE)
    ]
    return float(np.mean(reads)) > _MAX_READ_SHARE


def _identify_rows(levels: np.ndarray, counts: np.ndarray, n_samples: int) -> bool:
    """Tell whether there is a level for each row, all made after one pattern.

    Names, sentences and formulas differ from row to row too, and say something. What
    was numbered has digits, and one length, or one shape around its numbers.
    """
    if len(levels) < max(_FEW_ROWS, _MIN_IDENTIFIED * n_samples) or counts.max() > 1:
        return False
    names = [str(level) for level in levels]
    if _amount_or_date(names):
        return False
    shapes = {re.sub(r"\d+", "0", name) for name in names}
    lengths = {len(name) for name in names}
    return (
        all("0" in shape for shape in shapes)
        and max(lengths) <= _MAX_IDENTIFIER_LENGTH
        and (len(lengths) == 1 or len(shapes) == 1)
    )
