"""Group folds, repeated folds and random splits that keep the shares of every task."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    ShuffleSplit,
    cross_validate,
    train_test_split,
)
from sklearn.tree import DecisionTreeClassifier

from sklearn_mmoe.model_selection import (
    MultiTaskStratifiedGroupKFold,
    MultiTaskStratifiedKFold,
    MultiTaskStratifiedShuffleSplit,
    RepeatedMultiTaskStratifiedGroupKFold,
    RepeatedMultiTaskStratifiedKFold,
    multi_task_train_test_split,
)


def patients(seed, n_samples=400, n_groups=60):
    """Return groups of many sizes, whose rows are alike, and four tasks of theirs."""
    rng = np.random.default_rng(seed)
    size = rng.pareto(2, n_groups) + 0.3
    group = rng.choice(n_groups, n_samples, p=size / size.sum())
    own = rng.normal(size=(n_groups, 3))
    y = own[group] + rng.normal(size=(n_samples, 3))
    frame = pd.DataFrame(
        {
            "rare": np.where(y[:, 0] > 2, "yes", "no"),
            "level": np.digitize(y[:, 1], [-1, 1]),
            "cost": np.exp(y[:, 2]),
            "sparse": y[:, 0],
        }
    ).astype({"level": object})
    # Who has a label missing is missing many.
    missing = rng.random((n_samples, 2)) < 0.1 + 0.6 * (own[group, :2] > 0)
    frame.loc[missing[:, 0], "level"] = None
    frame.loc[missing[:, 1], "sparse"] = np.nan
    return frame, group


def missed_shares(y, splits):
    """Return by how much the tests miss shares and means of the whole, on average."""
    wide = pd.get_dummies(y[["rare", "level"]].fillna("none")).astype(float)
    wide = wide / wide.std()
    for name in ("cost", "sparse"):
        wide[name] = (y[name] - y[name].mean()) / y[name].std()
    wide["missing"] = y["sparse"].isna() / y["sparse"].isna().std()
    return np.mean(
        [(wide.iloc[t].mean() - wide.mean()).abs().mean() for _, t in splits]
    )


def as_lists(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


class TestGroups:
    @pytest.mark.parametrize("seed", range(8))
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_groups_stay_whole_and_shares_are_nearer_than_by_groups_alone(
        self, seed, shuffle
    ):
        y, group = patients(seed)
        cv = MultiTaskStratifiedGroupKFold(
            4, shuffle=shuffle, random_state=seed if shuffle else None
        )
        splits = list(cv.split(y, y, group))
        assert cv.get_n_splits() == len(splits) == 4
        tests = np.concatenate([test for _, test in splits])
        assert sorted(tests) == list(range(len(y)))
        for train, test in splits:
            assert not set(group[train]) & set(group[test])
            assert len(train) + len(test) == len(y)
        plain = list(GroupKFold(4).split(y, y, group))
        # One group alone may be larger than a fold.
        assert missed_shares(y, splits) < 0.9 * missed_shares(y, plain)

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_no_fold_is_empty_and_no_group_is_split(self, data):
        n_groups = data.draw(st.integers(2, 9))
        n_splits = data.draw(st.integers(2, n_groups))
        rows = st.lists(st.integers(0, n_groups - 1), max_size=30)
        group = np.array([*range(n_groups), *data.draw(rows)])
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        y = pd.DataFrame(
            {"a": rng.integers(0, 2, len(group)), "b": rng.standard_cauchy(len(group))}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # rare classes
            splits = list(
                MultiTaskStratifiedGroupKFold(n_splits).split(y, y, group.tolist())
            )
        of_fold = [set(group[test]) for _, test in splits]
        assert all(of_fold)
        assert sum(map(len, of_fold)) == n_groups

    def test_many_small_groups_are_even_to_a_row_or_two(self):
        y, _ = patients(0, n_samples=1200)
        group = np.arange(1200) // 3
        tests = [
            test for _, test in MultiTaskStratifiedGroupKFold(3).split(y, y, group)
        ]
        counts = np.array([(y["rare"].iloc[test] == "yes").sum() for test in tests])
        assert np.ptp(counts) <= 1
        assert np.ptp([len(test) for test in tests]) <= 6
        assert np.ptp([y["level"].iloc[test].isna().sum() for test in tests]) <= 3
        means = [y["cost"].iloc[test].mean() for test in tests]
        assert np.ptp(means) < 0.05 * y["cost"].std()

    def test_seeds(self):
        y, group = patients(1)

        def split(seed):
            cv = MultiTaskStratifiedGroupKFold(3, shuffle=True, random_state=seed)
            return as_lists(cv.split(y, y, group))

        assert split(0) == split(0)
        assert split(0) != split(1)

    def test_names_of_groups_and_containers_of_y_make_no_difference(self):
        y, group = patients(2)
        cv = MultiTaskStratifiedGroupKFold(3)
        expected = as_lists(cv.split(y, y, group))
        named = pd.Series([f"patient {g}" for g in group], dtype="category")
        assert as_lists(cv.split(y, y, named)) == expected
        assert as_lists(cv.split(y, pl.from_pandas(y.astype({"level": float})), group))
        one = y["rare"].tolist()
        assert as_lists(cv.split(y, one, group)) == as_lists(
            cv.split(y, y[["rare"]], group)
        )

    def test_in_a_search_with_and_without_metadata_routing(self):
        rng = np.random.default_rng(0)
        X, group = rng.normal(size=(60, 3)), np.repeat(np.arange(12), 5)
        y = (X[:, :2] > 0).astype(int)
        cv = MultiTaskStratifiedGroupKFold(3)
        search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=cv)
        assert search.fit(X, y, groups=group).n_splits_ == 3
        with sklearn.config_context(enable_metadata_routing=True):
            scores = cross_validate(
                DecisionTreeClassifier(), X, y, cv=cv, params={"groups": group}
            )
            assert clone(search).fit(X, y, groups=group).n_splits_ == 3
        assert len(scores["test_score"]) == 3

    def test_a_class_in_too_few_groups_is_warned_of(self):
        y = pd.DataFrame({"churn": [0] * 28 + [1] * 2})
        with pytest.warns(UserWarning, match=r"1 of the task 'churn' is in only 1 gro"):
            list(MultiTaskStratifiedGroupKFold(3).split(y, y, np.repeat(range(6), 5)))

    @pytest.mark.parametrize(
        ("y", "groups", "message"),
        [
            (None, [0, 1] * 5, "splits by y, which is None"),
            ([0, 1] * 5, None, "splits by groups, which is None"),
            ([0, 1] * 5, [0, 1] * 5, "more than the number of groups, 2"),
            ([0, 1] * 5, [0.0, 1, 2, np.nan, 4] * 2, "groups is missing for 2 rows"),
            ([0, 1] * 5, np.ones((10, 2)), "groups must have one dimension"),
            ([0, 1] * 5, range(9), "inconsistent numbers of samples"),
            ([0, 1] * 4, range(10), "inconsistent numbers of samples"),
            ([0.5, np.inf] * 5, range(10), "infinity in the task 'task_0'"),
        ],
    )
    def test_bad_input(self, y, groups, message):
        groups = groups if groups is None else np.asarray(groups)
        with pytest.raises(ValueError, match=message):
            next(MultiTaskStratifiedGroupKFold(3).split(np.zeros(10), y, groups))

    def test_parameters(self):
        with pytest.raises(ValueError, match="n_splits must be an int above 1"):
            MultiTaskStratifiedGroupKFold(1)
        assert repr(MultiTaskStratifiedGroupKFold(3)) == (
            "MultiTaskStratifiedGroupKFold(n_splits=3, shuffle=False, "
            "random_state=None)"
        )


class TestRepeated:
    def test_each_time_is_a_whole_cross_validation_of_another_shuffling(self):
        y, _ = patients(0)
        y = y[["rare", "level"]]
        cv = RepeatedMultiTaskStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
        splits = as_lists(cv.split(y, y))
        assert len(splits) == cv.get_n_splits() == 6
        for first in (0, 3):
            tests = [test for _, test in splits[first : first + 3]]
            assert sorted(np.concatenate(tests)) == list(range(len(y)))
            rare = [(y["rare"].iloc[test] == "yes").sum() for test in tests]
            assert np.ptp(rare) <= 1
        assert splits[:3] != splits[3:]
        assert splits == as_lists(cv.split(y, y))

    def test_as_scikit_learn_writes_and_refuses_it(self):
        cv = RepeatedMultiTaskStratifiedKFold(n_splits=3, n_repeats=2)
        assert repr(cv) == (
            "RepeatedMultiTaskStratifiedKFold(n_repeats=2, n_splits=3, "
            "random_state=None)"
        )
        assert repr(clone(cv, safe=False)) == repr(cv)
        with pytest.raises(ValueError, match="n_splits must be an int above 1"):
            RepeatedMultiTaskStratifiedKFold(n_splits=1)
        with pytest.raises(ValueError, match="greater than 0"):
            RepeatedMultiTaskStratifiedKFold(n_repeats=0)
        with pytest.raises(ValueError, match="splits by y"):
            next(cv.split(np.zeros(9)))

    def test_in_cross_validate(self):
        X = np.random.default_rng(0).normal(size=(40, 3))
        y = (X[:, :2] > 0).astype(int)
        cv = RepeatedMultiTaskStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
        scores = cross_validate(DecisionTreeClassifier(), X, y, cv=cv)
        assert len(scores["test_score"]) == 6

    def test_group_folds(self):
        y, group = patients(0)
        cv = RepeatedMultiTaskStratifiedGroupKFold(
            n_splits=3, n_repeats=2, random_state=0
        )
        splits = as_lists(cv.split(y, y, group))
        assert len(splits) == cv.get_n_splits() == 6
        assert not any(set(group[train]) & set(group[test]) for train, test in splits)
        assert splits[:3] != splits[3:]
        assert splits == as_lists(cv.split(y, y, group))
        assert repr(cv) == (
            "RepeatedMultiTaskStratifiedGroupKFold(n_repeats=2, n_splits=3, "
            "random_state=0)"
        )
        X, labels = y[["cost"]], np.arange(len(y)) % 2
        with sklearn.config_context(enable_metadata_routing=True):
            scores = cross_validate(
                DecisionTreeClassifier(), X, labels, cv=cv, params={"groups": group}
            )
        assert len(scores["test_score"]) == 6
        with pytest.raises(ValueError, match="splits by groups, which is None"):
            next(cv.split(y, y))


class TestShuffleSplit:
    @pytest.mark.parametrize("seed", range(8))
    def test_shares_are_nearer_than_by_chance_and_sizes_are_exact(self, seed):
        y, _ = patients(seed, n_samples=333)
        cv = MultiTaskStratifiedShuffleSplit(
            3, test_size=0.21, train_size=200, random_state=seed
        )
        splits = list(cv.split(y, y))
        assert cv.get_n_splits() == len(splits) == 3
        for train, test in splits:
            assert (len(train), len(test)) == (200, 70)
            assert not set(train) & set(test)
            share = (y["rare"] == "yes").mean()
            assert abs((y["rare"].iloc[test] == "yes").sum() - 70 * share) < 1.5
            missing = y["level"].isna().mean()
            assert abs(y["level"].iloc[test].isna().sum() - 70 * missing) < 1.5
        chance = ShuffleSplit(3, test_size=0.21, random_state=seed).split(y)
        assert missed_shares(y, splits) < 0.5 * missed_shares(y, list(chance))

    def test_frequent_joint_labels_are_kept(self):
        y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25)
        cv = MultiTaskStratifiedShuffleSplit(2, test_size=0.2, random_state=0)
        for _, test in cv.split(y, y):
            assert np.bincount(y[test] @ [2, 1]).tolist() == [5] * 4

    def test_every_row_is_tested_sooner_or_later(self):
        y, _ = patients(0, n_samples=40)
        cv = MultiTaskStratifiedShuffleSplit(200, test_size=0.25, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # rare classes
            tests = np.concatenate([test for _, test in cv.split(y, y)])
        counts = np.bincount(tests, minlength=40) / 200
        assert counts.min() > 0.02  # one with several rare labels
        assert counts.max() < 0.45
        assert counts[y["cost"].argmax()] > 0.15  # what is far out is tested too

    def test_seeds_and_order(self):
        y, _ = patients(0)

        def split(seed):
            cv = MultiTaskStratifiedShuffleSplit(2, random_state=seed)
            return as_lists(cv.split(y, y))

        assert split(0) == split(0)
        assert split(0) != split(1)
        (train, test), second = split(0)
        assert test != second[1]
        assert len(test) == 40  # a tenth
        assert sorted(train) != train

    def test_regressions_alone(self):
        X = np.random.default_rng(0).normal(size=(100, 2))
        cv = MultiTaskStratifiedShuffleSplit(3, random_state=0)
        assert len(cross_validate(Ridge(), X, X, cv=cv)["test_score"]) == 3

    def test_bad_input(self):
        y = np.array([[0, 1], [1, 0]] * 5)
        with pytest.raises(ValueError, match="n_splits must be an int above 0"):
            MultiTaskStratifiedShuffleSplit(0)
        cv = MultiTaskStratifiedShuffleSplit(2)
        with pytest.raises(ValueError, match="splits by y"):
            next(cv.split(y))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            next(cv.split(y, y[:-1]))
        with pytest.raises(ValueError, match="test_size=20"):
            next(MultiTaskStratifiedShuffleSplit(test_size=20).split(y, y))
        y[0, 0] = 7
        with pytest.warns(
            UserWarning, match="class 7 of the task 'task_0' has only on"
        ):
            next(cv.split(y, y))
        assert repr(cv) == (
            "MultiTaskStratifiedShuffleSplit(n_splits=2, random_state=None, "
            "test_size=None,\n                train_size=None)"
        )


class TestTrainTestSplit:
    def test_every_kind_comes_back_as_its_own(self):
        y, group = patients(0)
        X = pd.DataFrame({"a": np.arange(400), "b": "text"}, index=np.arange(400) + 7)
        arrays = [
            X,
            y,
            sparse.csr_matrix(np.arange(400)[:, None]),
            np.arange(400),
            list(range(400)),
            pl.DataFrame({"a": np.arange(400)}),
            pd.Series(group, name="group"),
        ]
        parts = multi_task_train_test_split(*arrays, random_state=0)
        assert len(parts) == 14
        for given_, train, test in zip(arrays, parts[::2], parts[1::2], strict=True):
            assert type(train) is type(test) is type(given_)
        X_train, X_test, y_train, y_test, *_ = parts
        assert (len(X_train), len(X_test)) == (300, 100)
        assert X_test.index.tolist() == (X_test["a"] + 7).tolist()
        for columns in (parts[5].toarray().ravel(), parts[7], parts[9]):
            assert list(columns) == X_test["a"].tolist()
        assert parts[11]["a"].to_list() == X_test["a"].tolist()
        pd.testing.assert_frame_equal(y_test, y.iloc[X_test["a"]])
        share = (y["rare"] == "yes").mean()
        assert abs((y_test["rare"] == "yes").sum() - 100 * share) < 1
        assert abs((y_train["rare"] == "yes").sum() - 300 * share) < 1

    def test_stratified_by_other_targets_or_by_none(self):
        rows, y = np.arange(100), np.repeat([0, 1], [90, 10])
        _, test = multi_task_train_test_split(
            rows, stratify=y, test_size=20, random_state=0
        )
        assert y[test].sum() == 2
        arguments = {"test_size": 0.3, "random_state": 0, "stratify": None}
        for ours, theirs in zip(
            multi_task_train_test_split(rows, y, **arguments),
            train_test_split(rows, y, **arguments),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)
        train, test = multi_task_train_test_split(
            rows, train_size=60, shuffle=False, stratify=None
        )
        assert train.tolist() == list(range(60))
        assert test.tolist() == list(range(60, 100))

    def test_seeds(self):
        y, _ = patients(0)
        first, second, other = (
            multi_task_train_test_split(y, y, random_state=seed)[1].index.tolist()
            for seed in (0, 0, 1)
        )
        assert first == second != other

    @pytest.mark.parametrize(
        ("arrays", "arguments", "message"),
        [
            ([], {}, "At least one array"),
            ([np.zeros(9)], {}, "no second array, y, to stratify by"),
            ([np.zeros(9), np.zeros(9)], {"stratify": "X"}, "stratify must be 'y'"),
            ([np.zeros(9), np.zeros(9)], {"shuffle": False}, "stratify=None with it"),
            ([np.zeros(9), np.zeros(8)], {}, "inconsistent numbers of samples"),
            ([np.zeros(9), np.zeros(9)], {"test_size": 1.5}, "test_size=1.5"),
        ],
    )
    def test_bad_input(self, arrays, arguments, message):
        with pytest.raises(ValueError, match=message):
            multi_task_train_test_split(*arrays, **arguments)


def test_group_folds_of_groups_of_one_row_are_about_as_stratified_as_plain_folds():
    y, _ = patients(3)
    y = y[["rare", "level"]]
    by_group = MultiTaskStratifiedGroupKFold(4).split(y, y, np.arange(len(y)))
    plain = MultiTaskStratifiedKFold(4).split(y, y)
    rare = [
        [(y["rare"].iloc[test] == "yes").sum() for _, test in splits]
        for splits in (by_group, plain)
    ]
    assert np.ptp(rare[0]) <= np.ptp(rare[1]) + 1
