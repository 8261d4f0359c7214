"""Rows of pandas that one label would pair, and positions pair with others."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    multi_task_train_test_split,
)
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

ESTIMATORS = [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
OF_Y = r"^y has the row labels of X in another order.*Pass y.loc\[X.index\]"


@pytest.fixture
def frames(labels_data):
    """X and y with the same labels in the same order, none of them a position."""
    X, y = labels_data
    labels = pd.Index([f"row {i}" for i in range(len(X))])
    return (
        pd.DataFrame(X, labels, list("abcdef")),
        pd.DataFrame(y, labels, ["click", "buy"]),
    )


@pytest.fixture
def turned(frames):
    return frames[0], frames[1][::-1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_of_fit_and_score(estimator, turned, tiny):
    model = estimator(**tiny)
    with pytest.warns(UserWarning, match=OF_Y) as warned:
        model.fit(*turned)
    assert [w.filename for w in warned] == [__file__]
    with pytest.warns(UserWarning, match=OF_Y) as warned:
        model.score(*turned)
    assert len(warned) == 1


@pytest.mark.slow
def test_of_partial_fit(turned, tiny):
    with pytest.warns(UserWarning, match=OF_Y):
        MultiTaskMMoEClassifier(**tiny).partial_fit(*turned)


def test_of_weights_and_validation_rows(frames, tiny):
    X, y = frames
    clf = MultiTaskMMoEClassifier(early_stopping=True, **tiny)
    weight = pd.Series(1.0, X.index[::-1])
    with pytest.warns(UserWarning, match=r"^sample_weight has .* of X in") as warned:
        clf.fit(X, y, weight, X_val=X, y_val=y)
    assert len(warned) == 1
    with pytest.warns(UserWarning, match=r"^y_val has .* X_val.*y_val.loc\[X_val.i"):
        clf.fit(X, y, X_val=X, y_val=y[::-1])
    # Of X the index is lost behind a preprocessor.
    with pytest.warns(UserWarning, match=r"^sample_weight has .* labels of y in"):
        clf.fit(X.to_numpy(), y["buy"], weight)


def test_of_a_pipeline_once(turned, tiny):
    pipeline = make_pipeline(
        make_tabular_preprocessor(), MultiTaskMMoEClassifier(**tiny)
    )
    with pytest.warns(UserWarning, match=OF_Y) as warned:
        pipeline.fit(*turned)
    assert len(warned) == 1


def test_of_splits(turned):
    X, y = turned
    with pytest.warns(UserWarning, match=OF_Y):
        multi_task_train_test_split(X, y)
    with pytest.warns(UserWarning, match=OF_Y):
        next(MultiTaskStratifiedKFold(2).split(X, y))
    with pytest.warns(UserWarning, match=OF_Y):
        next(MultiTaskStratifiedGroupKFold(2).split(X, y, np.arange(len(X)) % 20))


NUMBERS = [3, 1, 2, 0]
SPANS = [pd.Interval(i, i + 2) for i in range(4)]
PAIRS = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
DAYS = ["2024-01-02", "2024-01-01", "2024-01-03", "2024-01-04"]
# Labels of X and y, and whether they are the same in another order.
LABELS = {
    "equal": (NUMBERS, NUMBERS, False),
    "equal numbers of rows": (None, None, False),
    "turned": (NUMBERS, NUMBERS[::-1], True),
    "sorted by one side": (NUMBERS, None, True),
    "others": (NUMBERS, [3, 1, 2, 4], False),
    "repeated": ([0, 0, 1, 2], [0, 1, 0, 2], False),
    "text and numbers": (NUMBERS, [*map(str, NUMBERS[::-1])], False),
    "days": (pd.to_datetime(DAYS), pd.to_datetime(DAYS[::-1]), True),
    "days and text": (pd.to_datetime(DAYS), DAYS[::-1], False),
    "overlapping intervals": (SPANS, SPANS[::-1], True),
    "pairs": (PAIRS, PAIRS[::-1], True),
    "pairs and triples": (PAIRS, [(*pair, 0) for pair in PAIRS[::-1]], False),
    "pairs and single ones": (PAIRS, NUMBERS, False),
    "mixed": ([1, "a", None, 2.5], ["a", 1, None, 2.5], True),
}


@pytest.mark.parametrize("which", LABELS)
def test_labels_of_all_kinds(which):
    of_X, of_y, differ = LABELS[which]
    X, y = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}), pd.Series([1, 0, 1, 0])
    X.index, y.index = (
        pd.RangeIndex(4) if labels is None else pd.Index(labels)
        for labels in (of_X, of_y)
    )
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        make_tabular_preprocessor().fit(X, y)
    assert [str(w.message)[:5] for w in warned] == ["y has"] * differ
