"""Rows of X, y and weights, which belong together by their position."""

from __future__ import annotations

from typing import Any

import pandas as pd
from scipy import sparse

from sklearn_mmoe._warnings import warn

__all__ = ["keep_row_labels", "labelled_as", "row_labels", "warn_of_row_order"]

# Where a sparse matrix that was made of a frame keeps the labels of the frame's rows.
#
# Nobody can tell a matrix of features by itself which rows it holds, and a Pipeline
# hands nothing else on. SciPy makes a new object, without this attribute, whenever it
# selects, sorts or computes, and hands on the same object, or its whole state in a
# pickle, only where the rows stay what they were; a change of their number in place
# is told by the number. NumPy's arrays have no attributes, and those of a subclass
# would go on to views and selections, whose rows are others: arrays have no labels.
_LABELS = "_sklearn_mmoe_row_labels"


def keep_row_labels(features: Any, labels: pd.Index) -> Any:
    """Let a sparse matrix know what its rows are called; an array cannot.

    Parameters
    ----------
    features : sparse matrix, ndarray or data frame of shape (n_samples, n_features)
        A new object, which nobody else has.
    labels : Index of shape (n_samples,)
        Labels of its rows.

    Returns
    -------
    object
        `features`.
    """
    if sparse.issparse(features):
        setattr(features, _LABELS, labels)
    return features


def row_labels(X: Any) -> pd.Index | None:
    """Find out what rows are called.

    Parameters
    ----------
    X : object
        Rows in any container.

    Returns
    -------
    Index of shape (n_samples,) or None
        The index of a frame of pandas, or that of the frame which a preprocessor has
        made these very features of; None where nothing is known. It is a new object,
        whose name may be changed.
    """
    labels = getattr(X, _LABELS if sparse.issparse(X) else "index", None)
    if not isinstance(labels, pd.Index) or len(labels) != X.shape[0]:
        return None
    return labels.copy()


def labelled_as(X: Any, predicted: Any) -> Any:
    """Return predictions for X with the labels of its rows, if they are a frame."""
    labels = row_labels(X)
    if labels is None or not isinstance(predicted, pd.DataFrame):
        return predicted
    return predicted.set_axis(labels, axis=0)


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
