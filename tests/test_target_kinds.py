"""Targets in every container and dtype, in everything that takes targets."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe._tasks.columns import split_columns
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.inspection import TaskScoresDisplay
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer, task_scorer
from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold, cross_val_predict

N = 60


def labels(missing):
    """Give one task of each kind of label, a third of each missing or none."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "flag": rng.random(N) > 0.5,
            "count": rng.integers(0, 3, N) * 10,
            "text": np.array(["no", "maybe", "yes indeed"])[rng.integers(0, 3, N)],
        },
        dtype=object,
    )
    if missing:
        for k, name in enumerate(frame):
            frame.loc[k::3, name] = None
    return frame


def nullable(frame):
    return frame.astype({"flag": "boolean", "count": "Int64", "text": "string"})


CONTAINERS = {
    "numpy-backed frame": lambda frame: frame.infer_objects(),
    "nullable": nullable,
    "arrow": lambda frame: nullable(frame).convert_dtypes(dtype_backend="pyarrow"),
    "categorical": lambda frame: frame.astype("category"),
    "polars": lambda frame: pytest.importorskip("polars").DataFrame(
        {name: frame[name].tolist() for name in frame}
    ),
    "table of pyarrow": lambda frame: pytest.importorskip("pyarrow").table(
        {name: frame[name].tolist() for name in frame}
    ),
    "array of records": lambda frame: frame.to_records(index=False),
    "array of objects": lambda frame: frame.to_numpy(dtype=object),
    "list of rows": lambda frame: frame.to_numpy(dtype=object).tolist(),
    "tuple of rows": lambda frame: tuple(map(tuple, frame.to_numpy(dtype=object))),
    "list of arrays": lambda frame: list(frame.to_numpy(dtype=object)),
}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(1).normal(size=(N, 4))


@pytest.fixture(scope="module")
def models(X, tiny):
    tiny = {**tiny, "max_iter": 1}
    return {
        missing: MultiTaskMMoEClassifier(**tiny).fit(X, labels(missing))
        for missing in (False, True)
    }


@pytest.mark.slow
@pytest.mark.parametrize("missing", [False, True], ids=["all", "some missing"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_is_read_as_the_same_labels(container, missing, X, models):
    """By fit's view of y, score, scorers, the display, folds and predictions alike."""
    model, y = models[missing], CONTAINERS[container](labels(missing))
    expected, found = split_columns(labels(missing)), split_columns(y)
    kinds = [found.values(k).dtype.kind for k in range(3)]
    # NumPy has no whole numbers beside missing ones; all others have.
    whole = "f" if missing and container == "numpy-backed frame" else "i"
    assert kinds[:2] == ["b", whole]
    for k in range(3):
        np.testing.assert_array_equal(found.values(k), expected.values(k))
        np.testing.assert_array_equal(found.observed[k], expected.observed[k])
    reference = labels(missing)
    assert model.score(X, y) == model.score(X, reference)
    scorer = multi_task_scorer("neg_log_loss")
    assert scorer(model, X, y) == scorer(model, X, reference)
    accuracy = multi_task_scorer("accuracy")(model, X, y)
    predicted = model.predict(X)
    for k, name in enumerate(["flag", "count", "text"]):
        right = (predicted[name].to_numpy() == expected.columns[k])[
            expected.observed[k]
        ]
        assert accuracy[name] == pytest.approx(right.mean())
    curves, others = (
        TaskScoresDisplay.from_estimator(model, X, some).curves
        for some in (y, reference)
    )
    for curve, other in zip(curves, others, strict=True):
        assert curve[0] == other[0]
        np.testing.assert_array_equal(curve[1], other[1])
    folds, others = (
        [test.tolist() for _, test in MultiTaskStratifiedKFold(3).split(X, some)]
        for some in (y, reference)
    )
    assert folds == others


# How each is read is tested above; of fits, these few are tried often.
FITTED_OFTEN = {"nullable", "categorical", "polars", "array of objects"}


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    "container",
    [
        pytest.param(name, marks=() if name in FITTED_OFTEN else pytest.mark.slow)
        for name in CONTAINERS
    ],
)
def test_every_container_is_fitted_alike(container, X, tiny, models):
    y = CONTAINERS[container](labels(True))
    scores = TaskScores({"train": (X, y)}, "accuracy", verbose=False)
    model = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 1}, callbacks=scores, early_stopping=False
    ).fit(X, y)
    for some, other in zip(model.classes_, models[True].classes_, strict=True):
        assert some.tolist() == other.tolist()
    for some, other in zip(
        model.predict_proba(X), models[True].predict_proba(X), strict=True
    ):
        np.testing.assert_array_equal(some, other)
    assert scores.scores_["accuracy"].notna().all()


@pytest.mark.slow_but_first
@pytest.mark.parametrize("rows", [list, tuple])
def test_rows_of_mixed_kinds_keep_their_kinds(rows, X, tiny):
    """A number beside text in one row is a regression, not N classes of text."""
    values = X[:, 0]
    y = rows(
        rows([value, "ab"[int(value > 0)], i % 3]) for i, value in enumerate(values)
    )
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1}).fit(X, y)
    assert model.task_types_ == ["regression", "classification", "classification"]
    assert model.task("task_0").predict(X).dtype == np.float64
    assert np.isfinite(model.score(X, y))


@pytest.mark.parametrize(
    ("y", "kind", "values"),
    [
        ([True, 0, 1], "i", [1, 0, 1]),
        ([1, None, 0], "i", [1, 0]),
        ([True, None, False], "b", [True, False]),
        (["a", None, "bc"], "O", ["a", "bc"]),
        (pd.array([1, None], dtype="Int8"), "i", [1]),
        (pd.Categorical(["x", None]), "O", ["x"]),
        ([Decimal("1.5"), None], "f", [1.5]),
        (np.array(["a", "bcd"], dtype=np.dtypes.StringDType()), "O", ["a", "bcd"]),
        (pd.Series([0, 1], dtype="Sparse[int]"), "i", [0, 1]),
        (np.array([[1], [2]]), "i", [1, 2]),
    ],
)
def test_one_task_of_any_kind(y, kind, values):
    targets = split_columns(y)
    assert targets.values(0).dtype.kind == kind
    assert targets.values(0).tolist() == values


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ([2019, 2020], ["2019", "2020"]),
        (pd.to_datetime(["2024-01-01", "2024-02-01"]), None),
        (pd.period_range("2024-01", periods=2, freq="M"), ["2024-01", "2024-02"]),
        (pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), ["('a', 1)", "('a', 2)"]),
        ([datetime.date(2024, 1, 1), "b"], ["2024-01-01", "b"]),
        ([1.5, 2.5], ["1.5", "2.5"]),
        ([0, 1], ["task_0", "task_1"]),  # pandas' own, of what had no names
        ([1, 0], ["task_1", "task_0"]),
    ],
)
def test_any_column_label_names_its_task(columns, names, X, tiny):
    y = pd.DataFrame(X[:, :2] + 0.5, columns=columns)
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}).fit(X, y)
    assert model.task_names_ == (names or [str(column) for column in columns])
    predicted = model.predict(X)
    pd.testing.assert_index_equal(predicted.columns, y.columns)
    turned = y.iloc[:, ::-1]
    assert model.score(X, turned) == pytest.approx(model.score(X, y))
    scores = multi_task_scorer("r2")(model, X, turned)
    expected = multi_task_scorer("r2")(model, X, y)
    assert scores == pytest.approx(expected)
    if not isinstance(columns[1], int):
        by_label = task_scorer("r2", columns[1])(model, X, turned)
        assert by_label == pytest.approx(scores[model.task_names_[1]])


def test_a_year_is_a_name_where_it_is_no_index(X, tiny):
    y = pd.DataFrame(X[:, :2], columns=[2019, 2020])
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}).fit(X, y)
    by_year = task_scorer("r2", 2020)(model, X, y)
    assert by_year == task_scorer("r2", 1)(model, X, y)
    y.columns = [1, 2]
    model.fit(X, y)
    with pytest.raises(ValueError, match="1 is the index of one task, '2'"):
        task_scorer("r2", 1)(model, X, y)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([[1, 2], [1]], ValueError, r"different lengths, \[1, 2\]"),
        ([[[1], [2]], [[1], [2]]], ValueError, "more than two dimensions"),
        (np.zeros((2, 2, 2)), ValueError, "dim 3"),
        (None, ValueError, "y is None"),
        ({"a": [1, 2]}, TypeError, "y is a mapping; give a data frame"),
        (pd.DataFrame(index=[0, 1]), ValueError, "y has no columns"),
        (
            pd.DataFrame({1: [0], "1": [0]}),
            ValueError,
            r"several columns named \['1'\]",
        ),
    ],
)
def test_what_is_no_target(y, error, message):
    with pytest.raises(error, match=message):
        split_columns(y)


@pytest.mark.parametrize(
    "dates",
    [
        pd.date_range("2024-01-01", periods=N),
        pd.date_range("2024-01-01", periods=N, tz="UTC"),
        pd.to_timedelta(np.arange(N), unit="D"),
        pd.period_range("2024-01", periods=N, freq="M"),
        [datetime.date(2024, 1, 1)] * N,
        pd.Categorical(pd.date_range("2024-01-01", periods=N)),
        np.arange(N).astype("datetime64[D]"),
    ],
)
@pytest.mark.parametrize(
    "estimator", [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
)
def test_dates_are_refused(estimator, dates, X):
    y = pd.DataFrame({"ok": [0, 1] * (N // 2), "when": dates})
    with pytest.raises(ValueError, match="task 'when' holds dates or times"):
        estimator().fit(X, y)
    with pytest.raises(ValueError, match="task 'when' holds dates or times"):
        next(MultiTaskStratifiedKFold(2).split(X, y))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (np.linspace(0, 1, N), "continuous.*'bad' has real numbers.*Regressor.*Mixed"),
        ([True, "yes"] * (N // 2), "types bool, str.*astype"),
        ([1, "1"] * (N // 2), "types int, str"),
        (pd.cut(np.arange(N), 3), "type Interval"),
        ([b"a", b"b"] * (N // 2), "type bytes"),
    ],
)
def test_labels_that_cannot_be_told_apart(column, message, X):
    y = pd.DataFrame({"ok": [0, 1] * (N // 2), "bad": column})
    with pytest.raises(ValueError, match=f"(?s){message}"):
        MultiTaskMMoEClassifier().fit(X, y)


class TestLabelsThatFitHasNotSeen:
    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, X, tiny):
        y = pd.DataFrame({"a": np.where(X[:, 0] > 0, "yes", "no"), "b": X[:, 1] > 0})
        return MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}).fit(X, y)

    @pytest.mark.slow
    def test_they_are_wrong_and_never_cut_to_known_ones(self, fitted, X):
        predicted = fitted.predict(X)
        y = predicted.assign(a=predicted["a"] + "!")  # 'no!' in three letters is 'no!'
        assert fitted.score(X, predicted) == 1
        assert fitted.score(X, y) == 0
        assert multi_task_scorer("accuracy")(fitted, X, y) == {
            "a": 0, "b": 1, "mean": 0.5,
        }  # fmt: skip

    @pytest.mark.slow
    def test_they_have_no_probability(self, fitted, X):
        y = pd.DataFrame({"a": ["no", "never"] * (N // 2), "b": X[:, 1] > 0})
        with pytest.warns(UserWarning, match=r"'a'.*\['never'\], which fit has not"):
            scores = multi_task_scorer("roc_auc")(fitted, X, y)
        assert np.isnan(scores["a"])
        assert scores["mean"] == scores["b"]
        with pytest.raises(ValueError, match=r"task 'a' has labels \['never'\]"):
            TaskScoresDisplay.from_estimator(fitted, X, y)

    @pytest.mark.slow
    def test_text_is_no_number(self, fitted, X):
        y = pd.DataFrame({"a": ["no", "yes"] * (N // 2), "b": ["True"] * N})
        by_scorer = mean_task_scorer("roc_auc")
        for score in (fitted.score, lambda X, y: by_scorer(fitted, X, y)):
            with pytest.raises(ValueError, match="'b' are text in y, but its classes"):
                score(X, y)

    def test_numbers_equal_whatever_their_type(self, X, tiny):
        y = np.column_stack([X[:, 0] > 0, X[:, 1] > 0]).astype(int)
        model = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}).fit(X, y)
        scores = [
            (model.score(X, some), mean_task_scorer("roc_auc")(model, X, some))
            for some in (y, y.astype(bool), y.astype(float), y.astype(object))
        ]
        assert len(set(scores)) == 1


class TestPredict:
    @pytest.mark.slow
    def test_an_array_of_the_widest_type(self, X, tiny):
        tiny = {**tiny, "max_iter": 1}
        y = [[bool(x > 0), int(x > 1), "ab"[int(x > 0)]] for x in X[:, 0]]
        numbers = MultiTaskMMoEClassifier(**tiny).fit(X, [row[:2] for row in y])
        assert numbers.predict(X).dtype.kind == "i"
        mixed = MultiTaskMMoEClassifier(**tiny).fit(X, y)
        assert mixed.predict(X).dtype == object
        kinds = [mixed.task(k).predict(X).dtype.kind for k in range(3)]
        assert kinds == ["b", "i", "O"]

    @pytest.mark.parametrize("estimator", [MultiTaskMMoERegressor, MultiTaskMMoEMixed])
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_a_frame_where_y_was_one(self, estimator, library, X, tiny):
        y = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}, index=np.arange(N) + 7)
        rows = pd.DataFrame(X, index=y.index)
        if library == "polars":
            y = pytest.importorskip("polars").DataFrame(y.to_dict("list"))
        model = estimator(**{**tiny, "max_iter": 1}).fit(X, y)
        predicted = model.predict(rows)
        assert list(predicted) == ["a", "b"]
        assert predicted.index.equals(rows.index)
        assert model.predict(X).index.equals(pd.RangeIndex(N))

    def test_frames_and_columns_of_one_task(self, X, tiny):
        tiny = {**tiny, "max_iter": 1}
        y = pd.Series(X[:, 0], name="a")
        assert MultiTaskMMoERegressor(**tiny).fit(X, y).predict(X).shape == (N,)
        framed = MultiTaskMMoERegressor(**tiny).fit(X, y.to_frame()).predict(X)
        assert list(framed) == ["a"]

    def test_cross_val_predict_keeps_the_index_of_y(self, X, tiny):
        y = pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}, index=np.arange(N) + 7)
        model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1})
        predicted = cross_val_predict(model, X, y, cv=2)
        assert predicted.index.equals(y.index)
