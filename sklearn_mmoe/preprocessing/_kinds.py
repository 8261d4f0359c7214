"""What a column is: numbers, dates, categories, text, or an identifier."""

from __future__ import annotations

import datetime
import re
import warnings
from collections.abc import Hashable

import numpy as np
import pandas as pd

from sklearn_mmoe.preprocessing._auto import AUTO
from sklearn_mmoe.preprocessing._parsing import (
    find_date_format,
    find_date_format_of_most,
    find_decimal,
    holds_durations,
    holds_times,
    is_code,
    is_missing_word,
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
# A few slips of the pen do not make text of a column of numbers.
_MAX_ODD_SHARE = 0.05
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
        If it is taken for text, but looks like numbers or dates.
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
    if _identify_rows(levels, counts, len(column)):
        return Dropper(name)
    few = len(levels) <= _FEW_LEVELS
    if rare <= (_MAX_RARE_SHARE_OF_FEW if few else _MAX_RARE_SHARE):
        return categories
    names = [str(level) for level in levels]
    if _share_that_reads(names) >= _MIN_MIXED_SHARE:
        example = next(name for name in names if _share_that_reads([name]))
        warnings.warn(
            f"Column {name!r} is taken for text, although most of its values look like "
            f"numbers or dates, such as {example!r}: no single way of reading them "
            "fits all. Convert them before, with pd.to_numeric or pd.to_datetime.",
            UserWarning,
            stacklevel=4,
        )
    # Missing is a level too.
    most = max(counts.max(), len(column) - counts.sum())
    also = ("categorical",) if most >= _least(len(column)) else ()
    return LevelReader(name, "text", ("text", *also))


def _reader_of_words(
    name: Hashable, column: pd.Series, levels: np.ndarray
) -> Reader | None:
    """Return the reader of numbers and times, in strings or as objects, if they are."""
    words = [level for level in levels if not is_missing_word(level)]
    if not words:
        return None
    decimal = find_decimal(words)
    if decimal is not None:
        return _numbers(name, column, NumberReader(name, decimal))
    if holds_times(words):
        return TimeReader(name)
    if holds_durations(words):
        return DurationReader(name)
    if all(isinstance(word, str) for word in words):
        form = find_date_format(words)
        return None if form is None else DateReader(name, form)
    return None


def _reader_of_most(
    name: Hashable, column: pd.Series, levels: np.ndarray, counts: np.ndarray
) -> Reader | None:
    """Return the reader of the numbers or dates that all values but a few are."""
    words = [i for i, level in enumerate(levels) if not is_missing_word(level)]
    levels, counts = levels[words], counts[words]
    # Truths are numbers to Python alone.
    if counts.sum() < _FEW_ROWS or any(isinstance(v, bool | np.bool_) for v in levels):
        return None
    least = _least(len(column))

    def odd_rows(odd: np.ndarray) -> int | None:
        """Return in how many rows these levels are; None if they say something."""
        n_rows = counts[odd].sum()
        rare = odd.mean() <= _MAX_ODD_SHARE or counts[odd].max() < least
        return n_rows if rare and n_rows <= _MAX_ODD_SHARE * counts.sum() else None

    marks = {}
    for mark in (".", ","):
        odd = np.array([not reads_as_number(level, mark) for level in levels])
        rows = odd_rows(odd)
        if rows is not None and not any(map(is_code, levels[odd])):
            marks[mark] = rows
    if marks:
        best = min(marks, key=marks.__getitem__)
        return _numbers(name, column, NumberReader(name, best, lenient=True))
    dates = [isinstance(v, datetime.date) or looks_like_date(v) for v in levels]
    if odd_rows(~np.array(dates)) is None:
        return None
    texts = [v.strip() for v in levels[dates] if isinstance(v, str)]
    form = find_date_format_of_most(texts) if texts else None
    if odd_rows(np.isnat(parse_dates(levels, form, lenient=True))) is None:
        return None
    return DateReader(name, form, lenient=True)


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
    whole = np.isfinite(values).all() and (values == np.round(values)).all()
    identifies = whole and len(np.unique(values)) == len(values)
    return Dropper(name) if identifies else reader


def _share_that_reads(names: list[str]) -> float:
    """Return the share of strings that are numbers or dates, each in its own way."""
    reads = [
        looks_like_date(name)
        or reads_as_number(name, ".")
        or reads_as_number(name, ",")
        for name in names[:_SAMPLE_SIZE]
    ]
    return float(np.mean(reads))


def _identify_rows(levels: np.ndarray, counts: np.ndarray, n_samples: int) -> bool:
    """Tell whether there is a level for each row, all made after one pattern.

    Names, sentences and formulas differ from row to row too, and say something. What
    was numbered has digits, and one length, or one shape around its numbers.
    """
    if len(levels) < max(_FEW_ROWS, _MIN_IDENTIFIED * n_samples) or counts.max() > 1:
        return False
    names = [str(level) for level in levels]
    if _share_that_reads(names) > _MAX_READ_SHARE:
        return False
    shapes = {re.sub(r"\d+", "0", name) for name in names}
    lengths = {len(name) for name in names}
    return (
        all("0" in shape for shape in shapes)
        and max(lengths) <= _MAX_IDENTIFIER_LENGTH
        and (len(lengths) == 1 or len(shapes) == 1)
    )
