from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_validate,
)
from sklearn.model_selection import cross_val_predict as cross_val_predict_of_sklearn
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from sklearn_mmoe import MultiTaskMMoEMixed, MultiTaskMMoERegressor
from sklearn_mmoe.inspection import TaskScoresDisplay
from sklearn_mmoe.model_selection import (
    MultiTaskConformalPredictor,
    MultiTaskStratifiedKFold,
    MultiTaskThresholdClassifier,
    cross_val_predict,
)


def off_by(y, splitter):
    """Return by how many rows a fold's count of a label misses its share at most."""
    y = pd.DataFrame(y)
    folds = [y.iloc[test] for _, test in splitter.split(y, y)]
    worst = 0
    for name in y:
        counts = pd.DataFrame([fold[name].value_counts(dropna=False) for fold in folds])
        counts = counts.fillna(0)
        worst = max(worst, (counts - counts.mean()).abs().to_numpy().max())
    return worst


@pytest.mark.parametrize("seed", range(6))
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
    with pytest.raises(ValueError, match="contains infinity in the task 'task_0'"):
        next(splitter.split(y, np.where(y > 0, np.inf, y + 0.1)))


def folds_of(y, n_splits=3):
    splitter = MultiTaskStratifiedKFold(n_splits)
    return [test.tolist() for _, test in splitter.split(np.zeros(len(y)), y)]


@pytest.mark.parametrize("numbers", [np.linspace(0, 1, 60), np.arange(60)])
def test_tenths_of_numbers_are_spread_too(numbers):
    y = pd.DataFrame({"a": [0, 1, 1] * 20, "hours": numbers})
    tenth = np.arange(60) // 6
    for names in (["a", "hours"], ["hours"]):
        for test in folds_of(y[names], 2):
            assert np.bincount(tenth[test]).tolist() == [3] * 10
    for test in folds_of(y, 2):
        assert y["a"][test].sum() == 20
    y["hours"] = y["hours"].where(y.index % 4 > 0).astype(float)
    for test in folds_of(y, 3):
        assert y["hours"][test].isna().sum() == 5


def test_tasks_of_one_class_or_without_labels():
    y = pd.DataFrame({"a": [0, 1, 1] * 20, "b": "x", "c": None})
    assert folds_of(y) == folds_of(y[["a"]])


class TestCrossValPredict:
    @pytest.fixture(scope="class")
    @classmethod
    def data(cls):
        X = np.random.default_rng(0).normal(size=(60, 3))
        y = pd.DataFrame(
            {
                "rich": np.where(X[:, 0] > 0, "yes", "no"),
                "size": np.digitize(X[:, 1], [-0.5, 0.5]),
                "hours": X[:, 2] * 10,
            },
            index=np.arange(60) * 2,
            dtype=object,
        )
        y.iloc[::4, 0] = None
        y.iloc[1::4, 2] = None
        return X, y

    @pytest.mark.slow
    def test_types_of_tasks_are_known_to_the_folds(self, data, tiny):
        X, y = data
        # One row has a value of its own, which is no class that a fold may lack.
        y = pd.DataFrame({"rich": y["rich"], "visits": [13.0, *np.arange(59) % 3]})
        model = MultiTaskMMoEMixed(
            **{**tiny, "max_iter": 1}, task_types={"visits": "regression"}
        )
        assert cross_val_predict(model, X, y, cv=2)["visits"].notna().all()
        model.set_params(task_types=["classification", "regression"])
        pipeline = make_pipeline(StandardScaler(), model)
        assert cross_val_predict(pipeline, X, y, cv=2)["visits"].notna().all()
        with pytest.warns(UserWarning, match=r"class 13.0 of the task 'visits'"):
            next(MultiTaskStratifiedKFold(2).split(X, y))
        # Whole numbers of a regressor are no classes either.
        regressor = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1})
        counts = y[["visits"]].assign(calls=y["visits"] * 2)
        assert cross_val_predict(regressor, X, counts, cv=2).notna().all(axis=None)

    @pytest.mark.slow
    def test_all_rows_decide_on_the_types_of_tasks(self, data, tiny):
        """A fold of few different counts has no classes where the others have none."""
        X, y = data
        counts = np.arange(60) % 17
        counts[:4] = 17 + np.arange(4)  # 21 values, of which a fold lacks some
        y = pd.DataFrame({"rich": y["rich"], "visits": counts})
        model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
        given = clone(model).set_params(task_types=["classification", "regression"])
        for wrap in (
            lambda model: model,
            lambda model: make_pipeline(StandardScaler(), model),
            lambda model: GridSearchCV(model, {"num_experts": [2]}, cv=2),
        ):
            found, expected = (
                cross_val_predict(wrap(one), X, y, cv=KFold(2))
                for one in (model, given)
            )
            pd.testing.assert_frame_equal(found, expected)
            assert (found["visits"] % 1).any()
        assert model.task_types is None
        probabilities = cross_val_predict(
            model, X, y, cv=KFold(2), method="predict_proba"
        )
        assert [array.shape for array in probabilities] == [(60, 2)]
        # What sees other targets than these decides for itself.
        for meta in (
            MultiOutputClassifier(model),
            TransformedTargetRegressor(model, func=np.log1p, inverse_func=np.expm1),
        ):
            two = np.column_stack([counts % 3, X[:, 0] ** 2])
            if isinstance(meta, MultiOutputClassifier):
                two = (X[:, :2] > 0).astype(int)
            assert cross_val_predict(meta, X, two, cv=KFold(2)).shape == (60, 2)
        # A frozen estimator stays as it is.
        frozen = FrozenEstimator(clone(model).fit(X, y))
        cross_val_predict(frozen, X, y, cv=KFold(2))
        assert frozen.estimator.task_types is None
        conformal = [
            MultiTaskConformalPredictor(one, cv=KFold(2)).fit(X, y)
            for one in (model, given)
        ]
        np.testing.assert_array_equal(
            *[one.predict_interval(X, 0.8) for one in conformal]
        )

    @pytest.mark.slow
    def test_doubtful_classes_are_told(self, data, tiny):
        X, y = data
        y = pd.DataFrame({"rich": y["rich"], "visits": np.arange(60) % 12})
        model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
        with pytest.warns(UserWarning, match=r"classifications: \['visits'\]"):
            cross_val_predict(model, X, y, cv=2)

    def test_a_number_of_folds_ignores_groups_with_a_word(self, data):
        X, _ = data
        labels = (X[:, :2] > 0).astype(int)
        tree = DecisionTreeClassifier(max_depth=1)
        groups = np.arange(60) // 2
        message = r"groups are ignored by cv=3.*cv=MultiTaskStratifiedGroupKFold\(3\)"
        with pytest.warns(UserWarning, match=message):
            cross_val_predict(tree, X, labels, cv=3, groups=groups)
        with pytest.warns(UserWarning, match="The groups parameter is ignored"):
            cross_val_predict(DecisionTreeRegressor(), X, X, cv=3, groups=groups)
        with pytest.warns(UserWarning, match=r"groups are .*GroupShuffleSplit\(1, te"):
            MultiTaskConformalPredictor(DecisionTreeRegressor(), cv=0.3).fit(
                X, X, groups=groups
            )
        with pytest.warns(UserWarning, match="groups are ignored by cv=None"):
            MultiTaskThresholdClassifier(MultiOutputClassifier(tree)).fit(
                X, labels, groups=groups
            )

    @pytest.mark.slow
    def test_frames_of_mixed_kinds_and_missing_targets(self, data, tiny):
        X, y = data
        model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
        predicted = cross_val_predict(model, X, y, cv=2)
        assert list(predicted) == list(y)
        assert predicted.index.equals(y.index)
        kinds = [predicted[name].to_numpy().dtype.kind for name in y]
        assert kinds == ["O", "i", "f"]
        splitter = KFold(2)
        predicted = cross_val_predict(model, X, y, cv=splitter)
        probabilities = cross_val_predict(
            model, X, y, cv=splitter, method="predict_proba"
        )
        assert [p.shape for p in probabilities] == [(60, 2), (60, 3)]
        for train, test in splitter.split(X):
            fitted = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
            fitted.fit(X[train], y.iloc[train])
            pd.testing.assert_frame_equal(
                predicted.iloc[test].reset_index(drop=True), fitted.predict(X[test])
            )
            for whole, part in zip(
                probabilities, fitted.predict_proba(X[test]), strict=True
            ):
                np.testing.assert_array_equal(whole[test], part)
        display = TaskScoresDisplay.from_predictions(y[["rich", "size"]], probabilities)
        assert next(name for name, *_ in display.curves) == "rich"

    @pytest.mark.parametrize(
        "model",
        [RandomForestClassifier(5, random_state=0), Ridge()],
        ids=["forest", "regressors"],
    )
    def test_as_scikit_learn_where_that_can(self, model, data):
        X, _ = data
        y = (X[:, :2] > 0).astype(int)
        folds = KFold(3, shuffle=True, random_state=0)
        np.testing.assert_array_equal(
            cross_val_predict(model, X, y, cv=folds),
            cross_val_predict_of_sklearn(model, X, y, cv=folds),
        )
        if hasattr(model, "predict_proba"):
            for method in ("predict_proba", "predict_log_proba"):
                with np.errstate(divide="ignore"):
                    pairs = zip(
                        cross_val_predict(model, X, y, cv=folds, method=method),
                        cross_val_predict_of_sklearn(
                            model, X, y, cv=folds, method=method
                        ),
                        strict=True,
                    )
                    for ours, theirs in pairs:
                        np.testing.assert_array_equal(ours, theirs)

    def test_probabilities_of_one_array_and_of_one_task(self, data):
        X, _ = data
        y = (X[:, :2] > 0).astype(int)
        chain = ClassifierChain(LogisticRegression())
        first, second = cross_val_predict(chain, X, y, cv=3, method="predict_proba")
        np.testing.assert_allclose(first.sum(axis=1), 1)
        assert np.mean((second[:, 1] > 0.5) == y[:, 1]) > 0.9
        one = cross_val_predict(
            LogisticRegression(), X, y[:, 0], cv=3, method="predict_proba"
        )
        assert one.shape == (60, 2)

    def test_a_class_that_a_fold_has_not_seen(self, data):
        X, _ = data
        y = pd.DataFrame({"a": [0, 1] * 30, "b": [3] * 29 + [5] + [7] * 30})
        with pytest.warns(UserWarning, match=r"'b': \[3, 5, 7\]"):
            _, b = cross_val_predict(
                RandomForestClassifier(3), X, y, cv=KFold(2), method="predict_proba"
            )
        assert b.shape == (60, 3)
        assert (b[30:, 2] == 0).all()
        assert (b[:30, 2] == 1).all()

    def test_weights_and_groups(self, data):
        X, _ = data
        y = X[:, :2].copy()
        weight = np.arange(60) % 2
        y[weight == 0] *= -1
        predicted = cross_val_predict(
            Ridge(1e-9), X, y, cv=2, params={"sample_weight": weight}
        )
        np.testing.assert_allclose(predicted, X[:, :2], atol=0.3)
        groups = np.repeat([0, 1, 2], 20)
        predicted = cross_val_predict(Ridge(), X, y, cv=GroupKFold(3), groups=groups)
        assert predicted.shape == (60, 2)

    def test_bad_arguments(self, data):
        X, y = data
        y = y[["size"]]
        with pytest.raises(ValueError, match="tests every row exactly once"):
            cross_val_predict(DummyClassifier(), X, y, cv=ShuffleSplit(2))
        with pytest.raises(ValueError, match="'method' parameter"):
            cross_val_predict(DummyClassifier(), X, y, method="transform")
        with pytest.raises(ValueError, match="Ridge has no predict_proba"):
            cross_val_predict(Ridge(), X, X, cv=2, method="predict_proba")
