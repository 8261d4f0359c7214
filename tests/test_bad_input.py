"""What a user can get wrong is told early, and by name."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    model_selection,
)
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore

ESTIMATORS = [MultiTaskMMoEClassifier, MultiTaskMMoERegressor]


@pytest.fixture
def no_training(monkeypatch):
    """Fail where an error comes only after training has begun."""
    from sklearn_mmoe._training.engine import Engine

    def fit(*args, **kwargs):
        raise AssertionError("training began")

    monkeypatch.setattr(Engine, "fit", fit)


@pytest.fixture(scope="module")
def fitted_on_frame(labels_data, tiny):
    X, y = labels_data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    return MultiTaskMMoEClassifier(**tiny).fit(frame, y), frame


pytestmark = pytest.mark.usefixtures("no_training")


def fit(estimator, X, y, **kwargs):
    return estimator(num_experts=2, max_iter=1).fit(X, y, **kwargs)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("num_experts", [0, 1.5, "8"]),
        ("expert_units", [0, None, (), (8, 0), "8"]),
        ("shared_units", [0, (8, 0), (8, 2.5), "8"]),
        ("tower_units", [-1, [4, None]]),
        ("sharing", ["both", None]),
        ("num_task_experts", [0, 1.5]),
        ("num_levels", [0, 1.5]),
        ("match_parameters", ["both", 0, 1.5]),
        ("dropout", [-0.1, 1.0]),
        ("optimizer", ["adamx", 3]),
        ("learning_rate", [0, "fast"]),
        ("learning_rate_schedule", ["cosine"]),
        ("weight_decay", [-1]),
        ("batch_size", [0, "all"]),
        ("max_iter", [0, 2.5]),
        ("early_stopping", [None, "yes"]),
        ("validation_fraction", [0.0, 1.0]),
        ("n_iter_no_change", [0]),
        ("tol", [-1e-3]),
        ("random_state", ["seed", -1]),
        ("verbose", ["loud"]),
        ("warm_start", [3]),
        ("callbacks", [3, ["print"]]),
    ],
)
def test_parameters_out_of_range(labels_data, name, values):
    for value in values:
        with pytest.raises((ValueError, TypeError), match=f"{name}"):
            MultiTaskMMoEClassifier(**{name: value}).fit(*labels_data)


class Named(MultiTaskMMoERegressor):
    """An estimator of a user, who gives all parameters on."""

    def __init__(self, name, **parameters):
        super().__init__(**parameters)
        self.name = name


@pytest.mark.parametrize("estimator", [*ESTIMATORS, MultiTaskMMoEMixed, Named])
def test_unknown_parameters_are_named(estimator):
    given = {"name": "Ada"} if estimator is Named else {}
    message = f"^{estimator.__name__} has no parameter 'n_experts'. Did you mean 'num_e"
    with pytest.raises(TypeError, match=message):
        estimator(n_experts=3, **given)
    with pytest.raises(TypeError, match=f"^{estimator.__name__} .* 'zzz'.$"):
        estimator(zzz=3, **given)
    assert estimator(num_experts=3, **given).num_experts == 3
    if estimator is not Named:
        assert next(iter(inspect.signature(estimator).parameters)) == "num_experts"
        with pytest.raises(TypeError, match=f"^{estimator.__name__} takes 'num_exp"):
            estimator(3, "mmoe")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_lengths_differ(estimator, labels_data):
    X, y = labels_data
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples.*200.*199"):
        fit(estimator, X, y[:-1])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\)"):
        fit(estimator, X, y, sample_weight=[1, 2, 3])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_and_infinite_features(estimator, labels_data, bad):
    X, y = labels_data
    X = X.copy()
    X[3, 2] = bad
    for data in (X, pd.DataFrame(X), sparse.csr_matrix(X)):
        with pytest.raises(ValueError, match="Input X contains"):
            fit(estimator, data, y)


def test_values_too_large_for_float32(labels_data):
    X, y = labels_data
    with pytest.raises(ValueError, match="Input X contains infinity or a value too la"):
        fit(MultiTaskMMoEClassifier, X * 1e300, y)


def test_text_columns_are_named(labels_data):
    X, y = labels_data
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(c="x", e=pd.Timestamp(0))
    message = r"not numeric: \['c', 'e'\].*make_tabular_preprocessor"
    with pytest.raises(ValueError, match=message):
        fit(MultiTaskMMoEClassifier, frame, y)


def test_a_task_without_any_target_is_named(labels_data, values_data):
    X, y = labels_data
    frame = pd.DataFrame({"income": y[:, 0], "college": np.full(len(y), None)})
    with pytest.raises(ValueError, match="task 'college' has no target at all"):
        fit(MultiTaskMMoEClassifier, X, frame)
    X, y = values_data
    y = np.column_stack([np.full(len(y), np.nan), y])
    with pytest.raises(ValueError, match="task 'task_0' has no target at all"):
        fit(MultiTaskMMoERegressor, X, y)


def test_text_and_infinity_in_regression_targets(values_data):
    X, y = values_data
    frame = pd.DataFrame({"price": y[:, 0], "size": "large"})
    with pytest.raises(ValueError, match="task 'size' is a regression, but its targe"):
        fit(MultiTaskMMoERegressor, X, frame)
    with pytest.raises(ValueError, match=r"y contains infinity .* task 'task_0'"):
        fit(MultiTaskMMoERegressor, X, np.where(np.eye(*y.shape)[::-1], np.inf, y))


def test_continuous_labels(labels_data, values_data):
    with pytest.raises(ValueError, match="continuous"):
        fit(MultiTaskMMoEClassifier, *values_data)


def test_two_tasks_of_one_name(labels_data):
    X, y = labels_data
    with pytest.raises(ValueError, match=r"several columns named \['a'\]"):
        fit(MultiTaskMMoEClassifier, X, pd.DataFrame(y, columns=["a", "a"]))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_no_targets(estimator, labels_data):
    with pytest.raises(ValueError, match="requires y to be passed"):
        fit(estimator, labels_data[0], None)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_weights(estimator, labels_data):
    X, y = labels_data
    weight = np.ones(len(y))
    weight[3] = -1
    with pytest.raises(ValueError, match=r"Negative values .* `sample_weight`"):
        fit(estimator, X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"(?i)sample.weight.*at least one"):
        fit(estimator, X, y, sample_weight=np.zeros(len(y)))
    with pytest.raises(ValueError, match="Input sample_weight contains NaN"):
        fit(estimator, X, y, sample_weight=np.where(weight < 0, np.nan, weight))


def test_too_few_rows_to_set_some_aside(labels_data):
    X, y = labels_data
    with pytest.raises(ValueError, match=r"validation_fraction=0\.1 of 1 rows"):
        MultiTaskMMoERegressor(early_stopping=True).fit(X[:1], y[:1])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_unfitted(estimator, labels_data):
    model = estimator()
    with pytest.raises(NotFittedError):
        model.predict(labels_data[0])
    with pytest.raises(NotFittedError):
        _ = model.network_
    if hasattr(model, "predict_proba"):
        with pytest.raises(NotFittedError):
            model.predict_proba(labels_data[0])


@pytest.mark.slow
def test_score_with_other_tasks(fitted_classifier, labels_data):
    X, y = labels_data
    with pytest.raises(ValueError, match=r"y has 1 tasks, but .* fitted with 2"):
        fitted_classifier.score(X, y[:, 0])


def test_other_number_of_columns(fitted_classifier, labels_data):
    with pytest.raises(ValueError, match=r"X has 5 features, but .* expecting 6"):
        fitted_classifier.predict(labels_data[0][:, :5])


def test_a_failed_fit_keeps_the_fitted_model(fitted_classifier, labels_data):
    X, y = labels_data
    before = fitted_classifier.predict_proba(X)
    for bad_X, bad_y in [(X[:, :5], y[:-1]), (X, y * 0.3), (X, None)]:
        with pytest.raises(ValueError):  # noqa: PT011
            fitted_classifier.fit(bad_X, bad_y)
    np.testing.assert_array_equal(fitted_classifier.predict_proba(X), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame[list("bacdef")], "same order"),
        (lambda frame: frame.rename(columns={"f": "g"}), r"unseen.*\n- g"),
        (lambda frame: frame.drop(columns="c"), r"missing:\n- c"),
        (lambda frame: frame.assign(c="x"), r"not numeric: \['c'\]"),
    ],
)
def test_unseen_or_reordered_columns(fitted_on_frame, change, message):
    clf, frame = fitted_on_frame
    with pytest.raises(ValueError, match=f"(?s){message}"):
        clf.predict(change(frame))


def test_no_column_names_at_all(fitted_on_frame):
    clf, frame = fitted_on_frame
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        clf.predict(frame.to_numpy())


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_missing_values_are_named_with_their_remedy(estimator, labels_data):
    X, y = labels_data
    frame = pd.DataFrame(X).add_prefix("x")
    frame.loc[3, "x1"] = np.nan
    message = r"NaN in the columns \['x1'\], .* make_tabular_preprocessor\(\)"
    with pytest.raises(ValueError, match=message):
        fit(estimator, frame, y)
    with pytest.raises(ValueError, match=r"NaN, but .* make_tabular_preprocessor\(\)"):
        fit(estimator, frame.to_numpy(), y)


def test_validation_rows_that_no_step_has_transformed(labels_data):
    X, y = labels_data
    raw = pd.DataFrame({"a": ["x"] * len(X)})
    model = MultiTaskMMoEClassifier(early_stopping=True)
    with pytest.raises(ValueError, match=r"X_val does not fit: .*'transform_input'"):
        model.fit(X, y, X_val=raw, y_val=y)


# What is no table of targets, and what the error must say.
NO_TARGETS = {
    "a mapping": ({"left": [0, 1] * 100, "plan": [1, 0] * 100}, "y is a mapping"),
    "a name": ("left", "y is the str 'left'.*the column itself"),
    "bytes": (b"left", "y is the bytes b'left'.*the column itself"),
    "a number": (1, "y is of the type int"),
    "an array of no dimension": (np.array(1.0), "y is of the type ndarray"),
    "a set": ({0, 1}, "y is of the type set"),
    "a generator": ((k for k in range(2)), "y is of the type generator"),
    "a mapping of as many": (dict.fromkeys(range(200), 0), "y is a mapping"),
}


def _in_pipeline(X, y):
    from sklearn.pipeline import make_pipeline

    from sklearn_mmoe.preprocessing import make_tabular_preprocessor

    inner = MultiTaskMMoEClassifier(num_experts=2, max_iter=1)
    make_pipeline(make_tabular_preprocessor(), inner).fit(X, y)


def _fit_preprocessor(X, y):
    from sklearn_mmoe.preprocessing import make_tabular_preprocessor

    make_tabular_preprocessor().fit(X, y)


def _split(name):
    def split(X, y):
        groups = {"groups": np.arange(len(X))} if "Group" in name else {}
        next(getattr(model_selection, name)().split(X, y, **groups))

    return split


def _held_out(name):
    def fit(X, y):
        getattr(model_selection, name)(MultiTaskMMoEClassifier()).fit(X, y)

    return fit


def _out_of_core(X, y):
    MultiTaskOutOfCore(MultiTaskMMoEClassifier()).fit([(X, y)])


TAKERS = {
    **{
        estimator.__name__: lambda X, y, estimator=estimator: fit(estimator, X, y)
        for estimator in (*ESTIMATORS, MultiTaskMMoEMixed)
    },
    "a pipeline": _in_pipeline,
    "the preprocessor": _fit_preprocessor,
    "y_val": lambda X, y: MultiTaskMMoEClassifier(early_stopping=True).fit(
        X, np.arange(len(X)) % 2, X_val=X, y_val=y
    ),
    **{
        name: _split(name)
        for name in (
            "MultiTaskStratifiedKFold",
            "MultiTaskStratifiedGroupKFold",
            "MultiTaskStratifiedShuffleSplit",
            "RepeatedMultiTaskStratifiedKFold",
            "RepeatedMultiTaskStratifiedGroupKFold",
        )
    },
    **{
        name: _held_out(name)
        for name in ("MultiTaskThresholdClassifier", "MultiTaskConformalPredictor")
    },
    "train_test_split": model_selection.multi_task_train_test_split,
    "cross_val_predict": lambda X, y: model_selection.cross_val_predict(
        MultiTaskMMoEClassifier(), X, y
    ),
    "sharing_report": lambda X, y: model_selection.sharing_report(
        MultiTaskMMoEClassifier(), X, y
    ),
    "chunks": _out_of_core,
}


@pytest.mark.parametrize("taker", TAKERS)
def test_no_table_of_targets(labels_data, taker):
    X = pd.DataFrame(labels_data[0], columns=list("abcdef"))
    for y, message in NO_TARGETS.values():
        if taker == "y_val":
            message = message.replace("y is", "y_val is")
        with pytest.raises(TypeError, match=f"^{message}.*data frame"):
            TAKERS[taker](X, y)


def test_no_table_of_targets_to_score(fitted_on_frame):
    model, X = fitted_on_frame
    for y, message in NO_TARGETS.values():
        for score in (model.score, lambda X, y: mean_task_scorer("r2")(model, X, y)):
            with pytest.raises(TypeError, match=f"^{message}.*data frame"):
                score(X, y)
