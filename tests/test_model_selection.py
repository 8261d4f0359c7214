from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import StratifiedKFold, cross_validate

from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold


def off_by(y, splitter):
    """Give the most rows by which a fold's count of a label is off its exact share."""
    y = pd.DataFrame(y)
    folds = [y.iloc[test] for _, test in splitter.split(y, y)]
    worst = 0
    for name in y:
        counts = pd.DataFrame([fold[name].value_counts(dropna=False) for fold in folds])
        counts = counts.fillna(0)
        worst = max(worst, (counts - counts.mean()).abs().to_numpy().max())
    return worst


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("shuffle", [False, True])
def test_counts_are_off_by_one_row_and_rounding_at_most(seed, shuffle):
    rng = np.random.default_rng(seed)
    n, n_tasks = int(rng.integers(30, 400)), int(rng.integers(1, 5))
    n_splits = int(rng.integers(2, 8))
    columns = []
    for _ in range(n_tasks):
        n_classes = int(rng.integers(2, 5))
        shares = rng.dirichlet(np.full(n_classes, 3.0))
        column = rng.choice(n_classes, n, p=shares).astype(float)
        # Every class is there often enough.
        column[: n_classes * n_splits] = np.repeat(np.arange(n_classes), n_splits)
        columns.append(rng.permutation(column))
    y = np.column_stack(columns)
    y[rng.random(y.shape) < 0.1] = np.nan
    splitter = MultiTaskStratifiedKFold(
        n_splits, shuffle=shuffle, random_state=seed if shuffle else None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes that are too rare
        assert off_by(y, splitter) < 1.5
        tests = [test for _, test in splitter.split(y, y)]
    sizes = [len(test) for test in tests]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(np.concatenate(tests)) == list(range(n))


def test_multiclass_is_not_cast_to_bool():
    """A class of 1 % among three, beside a rare binary label."""
    y = pd.DataFrame(
        {"a": ["x"] * 700 + ["y"] * 290 + ["z"] * 10, "b": [True] * 15 + [False] * 985}
    )
    splitter = MultiTaskStratifiedKFold(5, shuffle=True, random_state=0)
    assert off_by(y, splitter) < 1


def test_joint_labels_are_kept_where_they_are_common():
    y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25)
    for _, test in MultiTaskStratifiedKFold(5).split(y, y):
        joint = np.bincount(y[test] @ [2, 1])
        assert joint.tolist() == [5] * 4


def test_one_task_is_as_stratified_kfold():
    y = np.random.default_rng(0).choice(3, 100, p=[0.6, 0.3, 0.1])
    ours = [np.bincount(y[t]) for _, t in MultiTaskStratifiedKFold(4).split(y, y)]
    theirs = [np.bincount(y[t]) for _, t in StratifiedKFold(4).split(y, y)]
    assert np.ptp(ours, axis=0).max() <= np.ptp(theirs, axis=0).max()


def test_seeds():
    y = np.random.default_rng(0).integers(0, 2, (60, 2))

    def split(seed):
        splitter = MultiTaskStratifiedKFold(3, shuffle=True, random_state=seed)
        return [test.tolist() for _, test in splitter.split(y, y)]

    assert split(0) == split(0)
    assert split(0) != split(1)


def test_in_cross_validate(mixed_data):
    X, y = mixed_data
    splitter = MultiTaskStratifiedKFold(3)
    assert splitter.get_n_splits() == 3
    scores = cross_validate(DummyClassifier(), X, y, cv=splitter)
    assert len(scores["test_score"]) == 3
    assert repr(splitter) == (
        "MultiTaskStratifiedKFold(n_splits=3, shuffle=False, random_state=None)"
    )


def test_rare_classes_are_warned_of():
    y = pd.DataFrame({"churn": [0] * 20 + [1] * 2, "age": [0, 1] * 11})
    with pytest.warns(UserWarning, match="class 1 of the task 'churn' has only 2 rows"):
        list(MultiTaskStratifiedKFold(3).split(y, y))


def test_bad_input():
    y = np.array([[0, 1], [1, 0]] * 5)
    for arguments, error, message in [
        ((1,), ValueError, "n_splits must be an int above 1"),
        ((2.5,), ValueError, "n_splits must be an int above 1"),
    ]:
        with pytest.raises(error, match=message):
            MultiTaskStratifiedKFold(*arguments)
    with pytest.raises(ValueError, match="random_state has no effect"):
        MultiTaskStratifiedKFold(random_state=0)
    with pytest.raises(TypeError, match="shuffle must be"):
        MultiTaskStratifiedKFold(shuffle=1)
    splitter = MultiTaskStratifiedKFold(2)
    with pytest.raises(ValueError, match="splits by y"):
        next(splitter.split(y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(splitter.split(y, y[:-1]))
    with pytest.raises(ValueError, match="continuous"):
        next(splitter.split(y, y * 0.3 + 0.1))
