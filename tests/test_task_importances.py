"""What drives each task: importances and partial dependence of all tasks at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    StandardScaler,
)
from sklearn.svm import LinearSVC

from sklearn_mmoe import MultiTaskMMoEMixed
from sklearn_mmoe.inspection import (
    TaskImportancesDisplay,
    TaskPartialDependenceDisplay,
    task_importances,
)
from sklearn_mmoe.metrics import task_scorer


@pytest.fixture(scope="module")
def table():
    """Rows of numbers and words; 'hours' hangs on a, 'rich' on work, 'size' on b."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "a": rng.normal(size=160),
            "b": rng.integers(0, 50, size=160),
            "work": rng.choice(["farm", "office"], size=160),
        }
    )
    y = pd.DataFrame(
        {
            "hours": 10 * X["a"] + 40,
            "rich": np.where(X["work"] == "farm", "yes", "no"),
            "size": np.digitize(X["b"], [15, 35]),
        }
    )
    return X, y


def preprocessing():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["work"]), remainder=StandardScaler()
    )


@pytest.fixture(scope="module")
def mixed(table, tiny):
    """Return a search over a Pipeline that ends in one of our estimators."""
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 15}, learning_rate=0.1)
    search = GridSearchCV(
        make_pipeline(preprocessing(), model),
        {"multitaskmmoemixed__num_experts": [2]},
        cv=[(np.arange(160), np.arange(160))],
        scoring=lambda *_: 0.0,
    )
    return search.fit(*table)


@pytest.fixture(scope="module")
def three_values(table):
    """A linear model of three named values."""
    X = table[0][["a", "b"]].assign(c=np.random.default_rng(1).normal(size=160))
    y = pd.DataFrame(
        {"p": 3 * X["a"] + X["b"] / 20, "q": X["b"] * 2.0, "r": X["a"] - X["c"]}
    )
    return LinearRegression().fit(X, y), X, y


class Counting(LinearRegression):
    calls = 0

    def predict(self, X):
        type(self).calls += 1
        return super().predict(X)


def r2_of(k):
    def score(estimator, X, y, sample_weight=None):
        y = y.to_numpy()[:, k]
        predicted = estimator.predict(X)[:, k]
        return r2_score(y, predicted, sample_weight=sample_weight)

    return score


@pytest.mark.parametrize("max_samples", [1.0, 0.3, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_numbers_of_scikit_learn(three_values, max_samples, weighted):
    reg, X, y = three_values
    weight = np.linspace(0, 1, len(X)) if weighted else None
    settings = {"n_repeats": 3, "random_state": 4, "max_samples": max_samples}
    result = task_importances(reg, X, y, sample_weight=weight, **settings)
    for k in range(3):
        expected = permutation_importance(
            reg, X, y, scoring=r2_of(k), sample_weight=weight, **settings
        )
        np.testing.assert_allclose(result.importances[:, k], expected.importances)
        np.testing.assert_allclose(
            result.importances_mean.iloc[:, k], expected.importances_mean
        )
        np.testing.assert_allclose(
            result.importances_std.iloc[:, k], expected.importances_std
        )


def test_one_prediction_scores_all_tasks(three_values):
    _, X, y = three_values
    reg = Counting().fit(X, y)
    Counting.calls = 0
    task_importances(reg, X, y, n_repeats=4)
    assert Counting.calls == 1 + 3 * 4  # X as it is, then columns times repeats


def test_names_and_scores(three_values):
    reg, X, y = three_values
    result = task_importances(reg, X, y, random_state=0)
    means = result.importances_mean
    assert means.index.to_list() == ["a", "b", "c"]
    assert means.columns.to_list() == ["p", "q", "r"]
    assert result.importances.shape == (3, 3, 5)
    np.testing.assert_allclose(result.scores, 1)
    assert result.scoring.to_list() == ["r2"] * 3
    assert means.loc["b", "q"] > 1
    assert abs(means.loc["a", "q"]) < 1e-9
    assert abs(means.loc["b", "r"]) < 1e-9


def test_arrays_sparse_and_polars_give_the_same(three_values):
    polars = pytest.importorskip("polars")
    _, X, y = three_values
    expected = task_importances(
        LinearRegression().fit(X, y), X, y, random_state=0
    ).importances
    array = X.to_numpy()
    reg = LinearRegression().fit(array, y)
    for given in (array, array.tolist(), sparse.csr_matrix(array)):
        result = task_importances(reg, given, y, random_state=0)
        np.testing.assert_allclose(result.importances, expected, atol=1e-9)
        assert result.importances_mean.index.to_list() == ["x0", "x1", "x2"]
    frame = polars.from_pandas(X)
    reg = LinearRegression().fit(frame, y)
    for given in (frame, frame.lazy(), frame.to_arrow()):
        result = task_importances(reg, given, y, random_state=0)
        np.testing.assert_allclose(result.importances, expected, atol=1e-9)
        assert result.importances_mean.index.to_list() == ["a", "b", "c"]


@pytest.mark.slow
def test_the_users_own_columns_through_a_search(mixed, table):
    # Rows are told by position.
    X, y = (frame.set_axis(frame.index[::-1]) for frame in table)
    before = X.copy()
    result = task_importances(mixed, X, y, random_state=0, n_repeats=2)
    pd.testing.assert_frame_equal(X, before)
    means = result.importances_mean
    assert means.index.to_list() == ["a", "b", "work"]
    assert means.idxmax().to_dict() == {"hours": "a", "rich": "work", "size": "b"}
    assert result.scoring.to_dict() == {
        "hours": "r2",
        "rich": "roc_auc_ovr",
        "size": "roc_auc_ovr",
    }
    again = task_importances(mixed, X, y[["size", "hours", "rich"]], n_repeats=2,
                             random_state=0)  # fmt: skip
    pd.testing.assert_frame_equal(again.importances_mean, means)


@pytest.mark.slow
def test_scoring_by_task(mixed, table):
    X, y = table
    result = task_importances(
        mixed, X, y, scoring={"rich": "accuracy"}, n_repeats=1, random_state=0
    )
    assert result.scoring["rich"] == "accuracy"
    assert result.scoring["hours"] == "r2"
    expected = accuracy_score(y["rich"], mixed.predict(X)["rich"])
    assert result.scores["rich"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="no task named 'age'"):
        task_importances(mixed, X, y, scoring={"age": "r2"})
    with pytest.raises(ValueError, match=r"'rich'.*is a classification"):
        task_importances(mixed, X, y, scoring="r2")


def test_missing_targets_and_weights_by_task(three_values):
    reg, X, y = three_values
    noisy = y + np.random.default_rng(2).normal(size=y.shape)
    holes = noisy.copy()
    holes.loc[:99, "q"] = np.nan
    weights = pd.DataFrame({"r": 1.0, "q": 1.0, "p": 1.0}, index=y.index)
    weights.loc[:99, "q"] = 0
    settings = {"n_repeats": 2, "random_state": 0, "max_samples": 120}
    left_out = task_importances(reg, X, holes, **settings)
    weightless = task_importances(reg, X, noisy, sample_weight=weights, **settings)
    np.testing.assert_allclose(left_out.importances, weightless.importances)
    whole = task_importances(reg, X, noisy, **settings)
    assert not np.allclose(left_out.importances[1, 1], whole.importances[1, 1])
    np.testing.assert_array_equal(left_out.importances[:, 0], whole.importances[:, 0])


def test_a_task_without_targets_is_nan_and_told_once(three_values):
    reg, X, y = three_values
    holes = y.assign(q=np.nan)
    with pytest.warns(UndefinedMetricWarning, match="'q': y has no target") as told:
        result = task_importances(reg, X, holes, n_repeats=2)
    assert len(told) == 1
    assert result.importances_mean["q"].isna().all()
    assert result.importances_mean[["p", "r"]].notna().all(axis=None)
    for kind in ("heatmap", "points"):
        TaskImportancesDisplay.from_importances(result, kind=kind)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"max_samples": 161}, ValueError, "'max_samples' parameter is 161.*160 rows"),
        ({"max_samples": 0.0}, ValueError, "'max_samples' parameter"),
        ({"n_repeats": 0}, ValueError, "'n_repeats' parameter"),
        ({"sample_weight": [1.0, 2.0]}, ValueError, "sample_weight"),
    ],
)
def test_bad_parameters(three_values, change, error, text):
    with pytest.raises(error, match=text):
        task_importances(*three_values, **change)


@pytest.mark.slow
def test_bad_tables(mixed, table):
    X, y = table
    with pytest.raises(ValueError, match=r"missing are \['size'\]"):
        task_importances(mixed, X, y[["hours", "rich"]])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        task_importances(mixed, X[:5], y)


def test_display_of_importances(three_values):
    result = task_importances(*three_values, random_state=0)
    display = TaskImportancesDisplay.from_importances(result)
    shares = display.shares_
    assert shares.columns.to_list() == ["all tasks", "p", "q", "r"]
    assert (shares[["p", "q", "r"]].max() == 1).all()
    assert shares["all tasks"].is_monotonic_decreasing
    np.testing.assert_allclose(
        shares["all tasks"], shares[["p", "q", "r"]].mean(axis=1)
    )
    drawn = display.ax_.images[0].get_array()
    np.testing.assert_array_equal(drawn, shares)
    numbers = {text.get_text() for text in display.ax_.texts}
    assert f"{result.importances_mean.loc['b', 'q']:.2f}" in numbers
    assert len(numbers) < 9  # what is not told from 0 is left out
    some = TaskImportancesDisplay.from_importances(result, max_features=2)
    assert some.ax_.get_ylabel() == "feature (1 more are not drawn)"
    assert some.shares_.index.to_list() == shares.index[:2].to_list()


def test_a_feature_of_one_task_alone_is_drawn(three_values):
    reg, X, y = three_values
    result = task_importances(reg, X, y, random_state=0)
    result.importances_mean = pd.DataFrame(
        [[0.5, 0.5, 0.5], [0.4, 0.4, 0.4], [0.0, 0.0, 0.9]],
        index=["a", "b", "c"],
        columns=["p", "q", "r"],
    )
    display = TaskImportancesDisplay.from_importances(result, max_features=2)
    assert set(display.shares_.index) == {"a", "c"}


def test_points_have_the_unit_that_tasks_share(mixed, three_values, table):
    result = task_importances(*three_values, random_state=0)
    display = TaskImportancesDisplay.from_importances(result, kind="points")
    assert display.ax_.get_xlabel() == "r2 lost when the feature is permuted"
    point = display.ax_.containers[0].lines[0]
    order = display.shares_.index
    np.testing.assert_array_equal(
        point.get_xdata(), result.importances_mean.loc[order, "p"]
    )
    display = TaskImportancesDisplay.from_estimator(
        mixed, *table, kind="points", n_repeats=1
    )
    assert display.ax_.get_xlabel() == "share of the task's greatest importance"


def test_bad_parameters_of_the_display(three_values):
    with pytest.raises(ValueError, match="'kind' parameter"):
        TaskImportancesDisplay.from_estimator(*three_values, kind="bars")
    with pytest.raises(ValueError, match="'max_features' parameter"):
        TaskImportancesDisplay.from_estimator(*three_values, max_features=0)


def test_partial_dependence_as_scikit_learn_has_it(three_values):
    reg, X, _ = three_values
    X = X.astype(float)
    weight = np.linspace(0, 1, len(X))
    display = TaskPartialDependenceDisplay.from_estimator(
        reg, X, ["a", 1], sample_weight=weight, grid_resolution=7
    )
    assert list(display.averages) == ["a", "b"]
    for name, averages in display.averages.items():
        expected = partial_dependence(
            reg, X, [name], sample_weight=weight, grid_resolution=7
        )
        np.testing.assert_allclose(averages.index, expected["grid_values"][0])
        np.testing.assert_allclose(averages.to_numpy().T, expected["average"])


def test_partial_dependence_of_tasks_of_all_kinds(mixed, table):
    X, _ = table
    before = X.copy()
    display = TaskPartialDependenceDisplay.from_estimator(
        mixed, X, ["a", "b", "work"], grid_resolution=9
    )
    pd.testing.assert_frame_equal(X, before)
    curves = ["hours", "rich: yes", "size: 0", "size: 1", "size: 2"]
    assert display.means.index.to_list() == curves
    assert display.averages["b"].shape == (9, 5)
    of_work = display.averages["work"]
    assert set(of_work.index) == {"farm", "office"}
    assert of_work.loc["farm", "rich: yes"] > 0.5 > of_work.loc["office", "rich: yes"]
    assert np.all(np.diff(display.averages["a"]["hours"]) > 0)
    expected = mixed.predict_proba(X.assign(work="farm"))[0][:, 1].mean()
    assert of_work.loc["farm", "rich: yes"] == pytest.approx(expected)
    # Hours and probabilities have no unit in common.
    assert "standard deviations" in display.ax_.get_ylabel()
    line = display.axes_[0].lines[0].get_ydata()
    hours = mixed.predict(X)["hours"]
    expected = (display.averages["a"]["hours"] - hours.mean()) / hours.std(ddof=0)
    np.testing.assert_allclose(line, expected, rtol=1e-5)
    assert [text.get_text() for text in display.axes_[2].get_xticklabels()] == list(
        of_work.index
    )


def test_categories_missing_values_and_other_holders(table):
    polars = pytest.importorskip("polars")
    X, y = table
    X = X.assign(b=X["b"].where(X["b"] > 5))
    levels = pd.CategoricalDtype(["office", "farm", "nobody"], ordered=True)
    X["work"] = X["work"].astype(levels).where(X["a"] < 1.5)
    seen = []

    def numbers(X):
        seen.append(X)
        words = pd.Series(list(X["work"]))
        columns = [X["a"], X["b"], words == "farm", words == "office"]
        return np.column_stack([np.asarray(one, dtype=float) for one in columns])

    labels = y[["rich"]].assign(size=(y["size"] > 0).map({True: "L", False: "S"}))
    model = make_pipeline(
        FunctionTransformer(numbers), RandomForestClassifier(5, random_state=0)
    ).fit(X, labels)
    display = TaskPartialDependenceDisplay.from_estimator(
        model, X, ["work", "b"], grid_resolution=5
    )
    assert display.averages["work"].index.to_list() == ["office", "farm"]
    assert all(frame["work"].dtype == levels for frame in seen)
    assert np.isfinite(display.averages["b"]).all(axis=None)
    assert display.ax_.get_ylabel() == "mean prediction"
    frame = polars.from_pandas(X.astype({"work": str, "b": float}))
    of_polars = TaskPartialDependenceDisplay.from_estimator(
        model, frame, ["b"], grid_resolution=5
    )
    np.testing.assert_allclose(of_polars.averages["b"], display.averages["b"])


@pytest.mark.slow_but_first
@pytest.mark.parametrize("holder", ["arrow", "nullable", "polars", "object"])
def test_whole_numbers_and_words_in_any_holder(table, holder):
    X, y = table
    y = y[["hours", "size"]].astype(float)
    if holder == "polars":
        given = pytest.importorskip("polars").from_pandas(X)
    elif holder == "object":
        given = X.to_numpy(object)
    else:
        backend = {"arrow": "pyarrow", "nullable": "numpy_nullable"}[holder]
        given = X.convert_dtypes(dtype_backend=backend)

    def fitted(X):
        words = make_column_transformer(
            (OneHotEncoder(), [2]), remainder=StandardScaler(), sparse_threshold=0
        )
        return make_pipeline(words, LinearRegression()).fit(X, y)

    expected = task_importances(fitted(X), X, y, n_repeats=1, random_state=0)
    model = fitted(given)
    result = task_importances(model, given, y, n_repeats=1, random_state=0)
    np.testing.assert_allclose(result.importances, expected.importances, atol=1e-9)
    expected, found = (
        TaskPartialDependenceDisplay.from_estimator(of, rows, [1, 2]).averages.values()
        for of, rows in ((fitted(X), X), (model, given))
    )
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other)
        assert one.index.to_list() == other.index.to_list()


@pytest.mark.slow
def test_axes_of_the_user(three_values):
    import matplotlib.pyplot as plt

    reg, X, y = three_values
    _, axes = plt.subplots(1, 2)
    display = TaskPartialDependenceDisplay.from_estimator(reg, X, ["a", "c"], ax=axes)
    assert display.axes_.tolist() == axes.tolist()
    with pytest.raises(ValueError, match="needs 1 axes"):
        TaskPartialDependenceDisplay.from_estimator(reg, X, ["a"], ax=axes)
    result = task_importances(reg, X, y, n_repeats=1)
    display = TaskImportancesDisplay.from_importances(result, ax=axes[0])
    assert display.ax_ is axes[0]


def test_what_has_no_partial_dependence(three_values, table):
    reg, X, _ = three_values
    with pytest.raises(ValueError, match=r"'features' parameter has 'd'.*'a', 'b'"):
        TaskPartialDependenceDisplay.from_estimator(reg, X, ["d"])
    with pytest.raises(ValueError, match="'features' parameter is empty"):
        TaskPartialDependenceDisplay.from_estimator(reg, X, [])
    with pytest.raises(ValueError, match="'c' in 'features' has no known value"):
        TaskPartialDependenceDisplay.from_estimator(reg, X.assign(c=np.nan), ["c"])
    dates = X.assign(c=pd.Timestamp("2020-01-01"))
    with pytest.raises(ValueError, match="'c' in 'features' holds dates"):
        TaskPartialDependenceDisplay.from_estimator(reg, dates, ["c"])
    labels = table[1][["rich"]].assign(other="x")
    labels.loc[:20, "other"] = "z"
    svc = MultiOutputClassifier(LinearSVC()).fit(X, labels)
    with pytest.raises(TypeError, match=r"predict_proba.*MultiOutputClassifier"):
        TaskPartialDependenceDisplay.from_estimator(svc, X, ["a"])


AMOUNTS = ["€9", "€10", "€1,570", "€570"]


@pytest.fixture(scope="module")
def of_text(table):
    """Return a model of columns of text, and rows of these."""
    X = table[0].assign(
        price=[AMOUNTS[i % 4] for i in range(160)],
        share=[f"{i % 50} %" for i in range(160)],
        start=[f"{16 + i % 3}.10.2023" for i in range(160)],
        clock=["n/a" if i % 7 == 0 else f"{i % 3 + 8}:00" for i in range(160)],
        code=[str(i % 3) for i in range(160)],
    )
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    model = make_pipeline(words, LinearRegression())
    return model.fit(X.drop(columns=["a", "b"]), table[1][["hours"]]), X


def test_strings_that_are_amounts_are_in_order(of_text):
    model, X = of_text
    X = X.drop(columns=["a", "b"])
    display = TaskPartialDependenceDisplay.from_estimator(
        model, X, ["price", "clock", "code", "work"]
    )
    found = [averages.index.to_list() for averages in display.averages.values()]
    assert found[0] == ["€9", "€10", "€570", "€1,570"]
    assert found[1:3] == [["8:00", "9:00", "10:00"], ["0", "1", "2"]]
    assert set(found[3]) == {"farm", "office"}
    polars = pytest.importorskip("polars").from_pandas(X.astype(object))
    of_polars = TaskPartialDependenceDisplay.from_estimator(model, polars, ["price"])
    assert of_polars.averages["price"].index.to_list() == found[0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("share", "'share' in 'features' holds 50 different strings .* '0 %'. Pass X"),
        ("start", "'start' in 'features' holds dates, such as '16.10.2023'; numbers"),
    ],
)
def test_strings_of_many_amounts_or_of_dates(of_text, name, message):
    model, X = of_text
    X = X.drop(columns=["a", "b"])
    with pytest.raises(ValueError, match=message):
        TaskPartialDependenceDisplay.from_estimator(model, X, [name])
    # Whoever calls them categories sees the most frequent ones.
    X[name] = X[name].astype("category")
    display = TaskPartialDependenceDisplay.from_estimator(model, X, [name])
    assert len(display.averages[name]) == min(30, X[name].nunique())


def test_a_scorer_of_one_task_agrees(mixed, table):
    X, y = table
    result = task_importances(mixed, X, y, n_repeats=1)
    assert result.scores["hours"] == task_scorer("r2", "hours")(mixed, X, y)
