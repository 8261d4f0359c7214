"""A warning of targets that are taken for classes, but hardly look like them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_mmoe._tasks.columns import TaskColumns, plain_values
from sklearn_mmoe._tasks.tasks import has_fractions
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.preprocessing._parsing import (
    evenly,
    holds_durations,
    holds_times,
    is_code,
    is_missing_word,
    looks_like_date,
    reads_as_number,
)

__all__ = ["warn_of_doubtful_classes"]

# From here on numbers that are taken for classes are worth a word.
_FEW_VALUES = 10
_FEW_ROWS = 20
_FEW_OF_A_CLASS = 10
# So many classes are doubtful if most of them have too few rows to learn from.
_MANY_CLASSES = 50
_TOO_FEW_OF_A_CLASS = 3
# From this share on text is of numbers or dates; the rest may be slips of the pen.
_MIN_READ_SHARE = 0.9
_SAMPLE_SIZE = 1000


def warn_of_doubtful_classes(targets: TaskColumns, inferred: Sequence[int]) -> None:
    """Warn once of tasks that are taken for classifications, but hardly look like it.

    Whoever made a column categorical has said that it is one.

    Parameters
    ----------
    targets : TaskColumns
        The targets of all tasks.
    inferred : sequence of int
        The tasks whose type was inferred to be 'classification'.

    Warns
    -----
    UserWarning
        If there are such tasks; it names them.
    """
    doubtful, texts = [], {}
    for k in inferred:
        if targets.are_categories[k]:
            continue
        labels = plain_values(targets.values(k))
        if not len(labels):  # all are missing: an error of its own
            continue
        try:
            values, codes = np.unique(labels, return_inverse=True)
        except TypeError:  # of mixed types: an error of its own
            continue
        counts = np.bincount(codes, targets.counts_of(k))
        as_text = _read_as_text(values)
        if as_text or _are_rare(counts) or _are_counts(values, counts):
            doubtful.append(targets.names[k])
        if as_text:
            texts[targets.names[k]] = str(values[0])
    if not doubtful:
        return
    types = dict.fromkeys(doubtful, "regression")
    such_as = ", ".join(f"{text!r} in {name!r}" for name, text in texts.items())
    text = f", such as {such_as}," if texts else ""
    warn(
        f"These tasks are taken for classifications: {doubtful}. If their targets are "
        f"amounts, counts or dates, pass task_types={types}, and turn text{text} into "
        "numbers with pd.to_numeric, without currencies and other signs, and dates "
        "into days since one. If they are classes, pass 'classification' there.",
        finding=("doubtful classes", *doubtful),
    )


def _are_rare(counts: np.ndarray) -> bool:
    """Tell names and sentences from classes, of which there are several rows each."""
    n_rows, n_values = counts.sum(), len(counts)
    of_own = n_rows >= _FEW_ROWS and 2 * n_values > n_rows
    most_rare = np.median(counts) < _TOO_FEW_OF_A_CLASS
    return bool(of_own or (n_values > _MANY_CLASSES and most_rare))


def _are_counts(values: np.ndarray, counts: np.ndarray) -> bool:
    """Tell amounts from months and ratings by fractions, gaps and rare values."""
    if len(values) <= _FEW_VALUES or not _are_numbers(values):
        return False
    numbers = np.sort(values.astype(float))
    gaps = (np.diff(numbers) != 1).any() or has_fractions(numbers)
    return bool(gaps or counts.min() < _FEW_OF_A_CLASS)


def _are_numbers(values: np.ndarray) -> bool:
    """Tell numbers, also those that are written as text."""
    # Post codes and the like are no amounts.
    if values.dtype.kind == "b" or any(map(is_code, values.tolist())):
        return False
    try:
        values.astype(float)
    except (TypeError, ValueError):
        return False
    return True


def _read_as_text(values: np.ndarray) -> bool:
    """Tell text of dates, or of many different amounts, shares or times.

    In a column of X it would be read as such. Plain numbers may be classes in text too.
    """
    if values.dtype.kind not in "OU" or _are_numbers(values):
        return False
    some = evenly(values.tolist(), _SAMPLE_SIZE)
    words = [word for word in some if not is_missing_word(word)]
    if not words or any(map(is_code, words)):
        return False
    least = _MIN_READ_SHARE * len(words)
    if sum(map(looks_like_date, words)) >= least:
        return True
    return len(values) > _FEW_VALUES and sum(map(_reads, words)) >= least


def _reads(word: str) -> bool:
    """Tell whether text is a date, number, time or duration, in whatever way."""
    return (
        looks_like_date(word)
        or any(reads_as_number(word, mark) for mark in ".,")
        or holds_times([word])
        or holds_durations([word])
    )
