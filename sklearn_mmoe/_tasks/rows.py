"""Rows of X, y and weights, which belong together by their position."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sklearn_mmoe._warnings import warn

__all__ = ["warn_of_row_order"]


def warn_of_row_order(
    X: Any, y: Any, sample_weight: Any = None, suffix: str = ""
) -> None:
    """Warn where rows of one label stand in different places.

    scikit-learn pairs rows by their position. Where two objects of pandas have the same
    labels in another order, that is hardly what is meant. Labels that are others, that
    repeat, or that an array lacks, tell nothing.

    Parameters
    ----------
    X, y, sample_weight : object
        What is paired.
    suffix : {'', '_val'}, default=''
        What their names end in, for the warning.
    """
    labels = {
        f"{name}{suffix}": given.index
        for name, given in [("X", X), ("y", y), ("sample_weight", sample_weight)]
        if isinstance(given, pd.DataFrame | pd.Series)
    }
    if len(labels) < 2:
        return
    first, *others = labels
    for name in others:
        if _is_other_order(labels[first], labels[name]):
            warn(
                f"{name} has the row labels of {first} in another order, but rows are "
                f"paired by their position. Pass {name}.loc[{first}.index] to pair "
                f"them by their labels, or {name}.set_axis({first}.index) if the "
                "positions are right."
            )


def _is_other_order(first: pd.Index, second: pd.Index) -> bool:
    if first.equals(second) or len(first) != len(second):
        return False
    # pandas would read dates in strings, which are labels of another kind.
    alike = first.inferred_type == second.inferred_type
    alike = alike and first.nlevels == second.nlevels
    unique = alike and first.is_unique and second.is_unique
    return unique and bool((first.get_indexer_for(second) >= 0).all())
