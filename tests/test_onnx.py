"""ONNX files predict what the estimators predict, where there is no TensorFlow."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks
from sklearn_mmoe.preprocessing import (
    PiecewiseLinearEncoder,
    TailSquashingScaler,
    make_tabular_preprocessor,
)


def open_session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def of_types(session, X):
    """Take a frame's columns as the file's inputs: text as objects, else float64."""
    return {
        one.name: X[[one.name]].to_numpy(
            dtype=object if one.type == "tensor(string)" else np.float64
        )
        for one in session.get_inputs()
    }


def serve(path, inputs):
    """Return the outputs of a file by name."""
    session = open_session(path)
    if not isinstance(inputs, dict):
        inputs = of_types(session, inputs) if hasattr(inputs, "columns") else inputs
    if not isinstance(inputs, dict):
        (only,) = session.get_inputs()
        kind = {"tensor(float)": np.float32, "tensor(double)": np.float64}[only.type]
        inputs = {only.name: np.asarray(inputs, dtype=kind)}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


WITHOUT_TENSORFLOW = """
import sys
import numpy as np
import onnxruntime
path, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
with np.load(inputs) as loaded:
    results = session.run(names, {name: loaded[name] for name in loaded})
assert not {"tensorflow", "keras", "sklearn", "sklearn_mmoe"} & set(sys.modules)
np.savez(outputs, **dict(zip(names, results)))
"""


def serve_elsewhere(path, inputs):
    """Return the outputs as a process without this package computes them."""
    # Text without missing values, so that nothing is pickled.
    inputs = {
        name: np.where(pd.isna(column), "", column).astype(str)
        if column.dtype == object
        else column
        for name, column in inputs.items()
    }
    files = path.with_suffix(".inputs.npz"), path.with_suffix(".outputs.npz")
    np.savez(files[0], **inputs)
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, path, *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with np.load(files[1]) as outputs:
        return dict(outputs)


def assert_predicts(served, estimator, X, preprocessor=None):
    """Compare the outputs of a file with predict and predict_proba, task by task."""
    assert list(served) == estimator.task_names_
    features = X if preprocessor is None else preprocessor.transform(X)
    for name, output in served.items():
        view = estimator.task(name)
        assert output.dtype == np.float64
        if hasattr(view, "classes_"):
            expected = view.predict_proba(features)
            labels = view.classes_[output.argmax(axis=1)]
            np.testing.assert_array_equal(labels, view.predict(features))
        else:
            expected = view.predict(features)
        assert output.shape == expected.shape
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)


# From raw columns


def raw_table(n_rows, seed):
    """Generate columns of every kind that can be exported, with missing values."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3, 1, n_rows).round(2)
    amount[rng.random(n_rows) < 0.3] = 50  # a spike
    amount[rng.random(n_rows) < 0.1] = np.nan
    city = rng.choice(["Oslo", "Rome", "Paris", "Ålesund"], n_rows).astype(object)
    city[rng.random(n_rows) < 0.1] = None
    rare = rng.choice(["a", "b", "c", "d"], n_rows, p=[0.5, 0.45, 0.03, 0.02])
    code = rng.integers(1, 4, n_rows).astype(float)
    code[rng.random(n_rows) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "amount": amount,
            "year": 2_000_000_000 + rng.integers(0, 30, n_rows),
            "constant": 3.5,
            "nothing": np.nan,
            "city": city,
            "rare": rare,
            "code": pd.Series(code).astype("category"),
            "member": rng.random(n_rows) < 0.5,
            "took": pd.to_timedelta(rng.integers(1, 999, n_rows), unit="s"),
            "a / b: 1": rng.normal(size=n_rows),
        }
    )


def raw_targets(X, seed=0):
    rng = np.random.default_rng(seed)
    total = X["amount"].fillna(0) + 20 * X["member"] + rng.normal(size=len(X))
    return pd.DataFrame(
        {
            "cost": 1e4 + 100 * total,
            "rich": np.where(total > 30, "yes", "no"),
            "band": np.digitize(total, [20, 40]) * 10,
            "big": total > 60,
            "same value": 7.0,
            "only": "x",
        }
    )


@pytest.fixture(scope="module")
def from_raw_columns(tiny, tmp_path_factory):
    """A file with its preprocessor, its pipeline, and raw rows unlike those of fit."""
    X = raw_table(400, 0)
    model = MultiTaskMMoEMixed(task_types={"same value": "regression"}, **tiny)
    pipeline = make_pipeline(make_tabular_preprocessor(n_bins=8), model)
    with pytest.warns(UserWarning, match="only one class"):
        pipeline.fit(X, raw_targets(X))
    path = tmp_path_factory.mktemp("onnx") / "raw.onnx"
    pipeline[-1].export_onnx(path, preprocessor=pipeline[:-1])
    new = raw_table(300, 1)
    new["rare"] = new["rare"].astype(object)
    new.loc[:40, "city"] = "Atlantis"
    new.loc[20:60, "rare"] = "unheard of"
    new.loc[61:70, "rare"] = None
    new.loc[:9, "amount"] = [-1e30, 1e30, 0, -1, 1e6, 3e38, -3e38, 1e-300, 50, np.nan]
    new["code"] = new["code"].cat.add_categories([2.5, 99]).fillna(99)
    new.loc[50:99, "code"] = np.nan
    new.loc[100:120, "code"] = 2.5
    new.loc[:50, "constant"] = 1e9
    new.loc[50:60, "constant"] = np.nan
    new.loc[:150, "nothing"] = 4.0
    new.loc[7:9, "year"] = -5
    return path, pipeline, new


def in_seconds(X):
    return X.assign(took=X["took"].dt.total_seconds())


@pytest.mark.slow
def test_raw_columns(from_raw_columns):
    path, pipeline, X = from_raw_columns
    served = serve(path, in_seconds(X))
    assert_predicts(served, pipeline[-1], X, pipeline[:-1])
    # Probabilities are no logits, and values no z-scores.
    np.testing.assert_allclose(served["band"].sum(axis=1), 1)
    assert served["cost"].mean() > 5000
    np.testing.assert_array_equal(served["same value"], 7.0)
    np.testing.assert_array_equal(served["only"], np.ones((len(X), 1)))


@pytest.mark.slow
def test_raw_columns_where_there_is_no_tensorflow(from_raw_columns):
    path, pipeline, X = from_raw_columns
    inputs = of_types(open_session(path), in_seconds(X))
    assert_predicts(serve_elsewhere(path, inputs), pipeline[-1], X, pipeline[:-1])


@pytest.mark.slow
def test_inputs_are_the_raw_columns(from_raw_columns):
    path, pipeline, X = from_raw_columns
    session = open_session(path)
    types = {one.name: one.type for one in session.get_inputs()}
    assert set(types) == set(X.columns)
    texts = [name for name, kind in types.items() if kind == "tensor(string)"]
    assert sorted(texts) == ["city", "rare"]
    assert {types[name] for name in types if name not in texts} == {"tensor(double)"}
    assert all(one.shape == ["n_rows", 1] for one in session.get_inputs())
    told = json.loads(session.get_modelmeta().custom_metadata_map["columns"])
    kinds = {column["name"]: column["kind"] for column in told}
    assert kinds == pipeline[0].column_to_kind_
    missing = {column["name"]: column["missing"] for column in told}
    assert missing["city"] == ["", "nan", "None", "<NA>"]
    assert missing["code"] == missing["amount"] == ["NaN"]


@pytest.mark.slow
def test_metadata_say_what_the_outputs_are(from_raw_columns):
    path, _, _ = from_raw_columns
    meta = open_session(path).get_modelmeta()
    assert meta.producer_name == "sklearn_mmoe"
    tasks = json.loads(meta.custom_metadata_map["tasks"])
    assert {task["name"]: task.get("classes") for task in tasks} == {
        "cost": None,
        "rich": ["no", "yes"],
        "band": [0, 10, 20],
        "big": [False, True],
        "same value": None,
        "only": ["x"],
    }
    assert [task["type"] for task in tasks].count("regression") == 2


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, ""])
def test_missing_categories_are_what_python_calls_missing(from_raw_columns, missing):
    path, pipeline, X = from_raw_columns
    inputs = of_types(open_session(path), in_seconds(X))
    inputs["city"] = np.full((len(X), 1), missing, dtype=object)
    assert_predicts(
        serve(path, inputs), pipeline[-1], X.assign(city=None), pipeline[:-1]
    )


@pytest.mark.parametrize("n_rows", [0, 1])
def test_few_rows(from_raw_columns, n_rows):
    path, pipeline, X = from_raw_columns
    served = serve(path, in_seconds(X[:n_rows]))
    if n_rows:
        assert_predicts(served, pipeline[-1], X[:n_rows], pipeline[:-1])
    assert {len(output) for output in served.values()} == {n_rows}


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_rows_that_predict_refuses_are_nan(from_raw_columns, value):
    path, pipeline, X = from_raw_columns
    wrong = in_seconds(X[:3])
    wrong.loc[1, "amount"] = value
    with pytest.raises(ValueError, match="amount"):
        pipeline.predict(wrong)
    for output in serve(path, wrong).values():
        gone = np.isnan(output).reshape(3, -1)
        assert gone[1].all()
        assert not gone[[0, 2]].any()


def export_behind(preprocessor, features, tmp_path):
    """Fit an estimator behind a preprocessor, and export both."""
    clf = MultiTaskMMoEClassifier(
        1, expert_units=2, shared_units=(), tower_units=(), max_iter=1, random_state=0
    ).fit(features, np.arange(features.shape[0]) % 2)
    clf.export_onnx(tmp_path / "columns.onnx", preprocessor)
    return clf


def test_columns_as_people_have_them(tmp_path):
    X = pd.DataFrame(
        {
            # Words that stand for missing values elsewhere.
            "words": ["None", "nan", "x", ""] * 10,
            "never missing": ["u", "v", "u", "v"] * 10,
            "codes": [1, 2, 3, 30_000_000_000] * 10,
            "numbers as text": ["1,250.50", "$3", "?", "70%"] * 10,
            "grades": pd.Categorical(["a", "b", None, "a"] * 10, ["c", "b", "a"]),
        }
    )
    preprocessor = make_tabular_preprocessor(categorical=["codes"])
    with pytest.warns(UserWarning, match="with a percent sign and without one"):
        features = preprocessor.fit_transform(X)
    clf = export_behind(preprocessor, features, tmp_path)
    new = pd.DataFrame(
        {
            "words": ["None", "nan", "x", "", "y", None],
            "never missing": ["u", "v", "w", None, "", "u"],
            "codes": [1, 4, 2.5, 30_000_000_000, np.nan, 3],
            "numbers as text": [1250.5, 4, np.nan, -70, 0, 3],
            "grades": ["a", "b", "c", "d", None, "a"],
        }
    )
    # Where 'None' is a category, a missing value has to be called by another name.
    inputs = new.assign(words=[*new["words"][:5], "<NA>"])
    served = serve(tmp_path / "columns.onnx", inputs)
    new["never missing"] = new["never missing"].replace("", None)
    assert_predicts(served, clf, new, preprocessor)


def test_columns_of_rare_categories(tmp_path):
    X = pd.DataFrame({"c": ["u", "v"] * 20, "d": range(40), "e": ["s", *[None] * 39]})
    preprocessor = make_pipeline(
        make_tabular_preprocessor(min_frequency=30, sparse=False), StandardScaler()
    )
    clf = export_behind(preprocessor, preprocessor.fit_transform(X), tmp_path)
    new = pd.DataFrame({"c": ["u", "w", None], "d": [1, 2, 3], "e": ["s", None, "z"]})
    assert_predicts(serve(tmp_path / "columns.onnx", new), clf, new, preprocessor)


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("labels", "inputs"),
    [([2021, 2022], ["2021", "2022"]), (None, ["x0", "x1"])],
    ids=["names that are numbers", "no names"],
)
def test_columns_without_proper_names(labels, inputs, tmp_path):
    values = np.arange(80.0).reshape(40, 2) ** 2
    X = values if labels is None else pd.DataFrame(values, columns=labels)
    preprocessor = make_tabular_preprocessor(n_bins=4)
    clf = export_behind(preprocessor, preprocessor.fit_transform(X), tmp_path)
    served = serve(tmp_path / "columns.onnx", pd.DataFrame(values, columns=inputs))
    assert_predicts(served, clf, X, preprocessor)


def test_weights_of_transformers_and_columns_that_are_left_out(tmp_path):
    X = pd.DataFrame(
        {"id": range(40), "x": np.linspace(0, 1, 40), "c": ["u", "v"] * 20}
    )
    preprocessor = make_tabular_preprocessor(n_bins=4)
    preprocessor.set_params(transformer_weights={"piecewise": 2.0, "one_hot": 0.5})
    with pytest.warns(UserWarning, match="left out"):
        features = preprocessor.fit_transform(X)
    clf = export_behind(preprocessor, features, tmp_path)
    session = open_session(tmp_path / "columns.onnx")
    assert sorted(one.name for one in session.get_inputs()) == ["c", "x"]
    assert_predicts(serve(tmp_path / "columns.onnx", X), clf, X, preprocessor)


REFUSED_COLUMNS = {
    "dates": (pd.date_range("2024-01-01", periods=40), r"'c'.*dates.*numbers"),
    "times": (["10:30", "11:45"] * 20, r"'c'.*times"),
    "text": ([f"word{i} {chr(97 + i % 26)}" for i in range(40)], "'c'.*categorical="),
    "both": (["a", 1] * 20, "'c'.*int, str.*astype"),
    "": (["a", "b"] * 20, "Column 0 has an empty name"),
    "huge": ([2**60 + 1, 2**60 + 2] * 20, "'c'.*double precision.*astype"),
}


@pytest.mark.parametrize("kind", REFUSED_COLUMNS)
def test_columns_that_cannot_be_exported_are_named(kind, fitted_classifier, tmp_path):
    values, match = REFUSED_COLUMNS[kind]
    X = pd.DataFrame({"c" if kind else "": values, "x": np.linspace(0, 1, 40)})
    categorical = ["c"] if kind in ("both", "huge") else []
    preprocessor = make_tabular_preprocessor(categorical=categorical).fit(X)
    with pytest.raises(ValueError, match=match):
        fitted_classifier.export_onnx(tmp_path / "columns.onnx", preprocessor)
    assert list(tmp_path.iterdir()) == []


# Numeric matrices


@pytest.mark.parametrize(
    "preprocessor",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 2), clip=True),
        TailSquashingScaler(),
        make_pipeline(SimpleImputer(strategy="median"), "passthrough", MinMaxScaler()),
    ],
    ids=repr,
)
def test_preprocessors_of_matrices(
    preprocessor, fitted_regressor, values_data, tmp_path
):
    X = values_data[0] * [1, 10, 100, 0.1, 0.01, 1] + [0, 5, 0, 0, -3, 0]
    new = X.copy()
    new[:5] *= 50
    if hasattr(preprocessor, "steps"):
        X[::7, 2] = new[::5, 3] = np.nan
    preprocessor.fit(X)
    fitted_regressor.export_onnx(tmp_path / "m.onnx", preprocessor)
    served = serve(tmp_path / "m.onnx", new)
    assert_predicts(served, fitted_regressor, new, preprocessor)


def test_bins_of_matrices(tmp_path):
    X = np.random.default_rng(0).lognormal(1, 1, (200, 3)).round(2)
    X[:20, 0] = 4.5  # a spike
    X[60:70, 1] = np.nan
    encoder = PiecewiseLinearEncoder(4, spike_frequency=5)
    clf = export_behind(encoder, encoder.fit_transform(X), tmp_path)
    assert sum(map(len, encoder.spikes_)) > 0
    new = np.vstack([X, [[4.5, np.nan, np.nan], [-1, 99, 4.25], [1e30, -1e30, 8]]])
    assert_predicts(serve(tmp_path / "columns.onnx", new), clf, new, encoder)


def test_preprocessors_that_do_not_fit_are_refused(
    fitted_classifier, labels_data, tmp_path
):
    X, _ = labels_data
    path = tmp_path / "m.onnx"
    scaler = StandardScaler().fit(X)
    with pytest.raises(NotFittedError):
        fitted_classifier.export_onnx(path, StandardScaler())
    with pytest.raises(ValueError, match=r"makes 5 features.*fitted with 6"):
        fitted_classifier.export_onnx(path, StandardScaler().fit(X[:, :5]))
    with pytest.raises(ValueError, match=r"OneHotEncoder.*make_tabular_preprocessor"):
        fitted_classifier.export_onnx(path, OneHotEncoder().fit(X))
    whole = make_pipeline(scaler, fitted_classifier)
    with pytest.raises(ValueError, match=r"pipeline\[:-1\]"):
        fitted_classifier.export_onnx(path, whole)
    with pytest.raises(ValueError, match=r"SimpleImputer.*missing_values=0"):
        fitted_classifier.export_onnx(path, SimpleImputer(missing_values=0).fit(X))
    assert list(tmp_path.iterdir()) == []


def test_names_of_features_are_compared(tiny, labels_data, tmp_path):
    X, y = labels_data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    scaler = StandardScaler().set_output(transform="pandas").fit(frame)
    clf = MultiTaskMMoEClassifier(**tiny).fit(scaler.transform(frame), y)
    clf.export_onnx(tmp_path / "m.onnx", scaler)
    other = StandardScaler().fit(frame[list("bacdef")])
    with pytest.raises(ValueError, match="other names"):
        clf.export_onnx(tmp_path / "m.onnx", other)


# The estimators alone


def test_estimators_alone(
    fitted_classifier, fitted_regressor, labels_data, values_data, tmp_path
):
    fitted = (fitted_classifier, labels_data), (fitted_regressor, values_data)
    for estimator, (X, _) in fitted:
        before = estimator.predict(X)
        estimator.export_onnx(tmp_path / "model.onnx")  # the second over the first
        assert_predicts(serve(tmp_path / "model.onnx", X), estimator, X)
        np.testing.assert_array_equal(estimator.predict(X), before)
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_task_alone(dtype, labels_data, tiny, tmp_path):
    X, y = labels_data
    labels = np.array(["low", "high"])[y[:, 0]]
    clf = MultiTaskMMoEClassifier(dtype=dtype, **tiny).fit(X, labels)
    clf.export_onnx(str(tmp_path / "m.onnx"))
    (only,) = open_session(tmp_path / "m.onnx").get_inputs()
    assert (only.name, only.shape) == ("X", ["n_rows", 6])
    assert only.type == {"float32": "tensor(float)", "float64": "tensor(double)"}[dtype]
    assert_predicts(serve(tmp_path / "m.onnx", X), clf, X)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rows_without_a_prediction_are_nan(
    fitted_classifier, labels_data, value, tmp_path
):
    X = labels_data[0][:3].copy()
    X[1, 2] = value
    fitted_classifier.export_onnx(tmp_path / "m.onnx")
    for output in serve(tmp_path / "m.onnx", X).values():
        assert np.isnan(output[1]).all()
        assert np.isfinite(output[[0, 2]]).all()


@pytest.mark.slow
def test_tasks_need_names_of_their_own(tiny, labels_data, tmp_path):
    X, y = labels_data
    for name, why in (("X", "also that of an input"), ("", "empty")):
        frame = pd.DataFrame({name: y[:, 0], "other": y[:, 1]})
        clf = MultiTaskMMoEClassifier(**tiny).fit(X, frame)
        with pytest.raises(ValueError, match=why):
            clf.export_onnx(tmp_path / "m.onnx")


def test_not_fitted(tmp_path):
    for export in ("export_onnx", "to_keras"):
        arguments = [tmp_path / "m.onnx"] if export == "export_onnx" else []
        with pytest.raises(NotFittedError):
            getattr(MultiTaskMMoEClassifier(), export)(*arguments)


def test_without_onnx_the_extra_is_named(fitted_classifier, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"sklearn-mmoe\[onnx\]"):
        fitted_classifier.export_onnx(tmp_path / "m.onnx")


def test_a_write_that_fails_leaves_the_old_file(
    fitted_classifier, monkeypatch, tmp_path
):
    (tmp_path / "m.onnx").write_bytes(b"old")

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        fitted_classifier.export_onnx(tmp_path / "m.onnx")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


# Networks, compared with Keras itself


def assert_same_network(model, tmp_path, dtype="float32", n_features=6):
    from sklearn_mmoe._onnx.graph import Graph, write
    from sklearn_mmoe._onnx.layers import convert_model

    rng = np.random.default_rng(0)
    for variable in model.variables:  # zeros hide much
        if variable.dtype == dtype:
            noise = rng.uniform(0.1, 1, variable.shape)
            variable.assign(variable.numpy() + noise / len(noise))
    X = rng.normal(size=(50, n_features)).astype(dtype)
    graph = Graph()
    outputs = convert_model(graph, model, [graph.input("X", dtype, n_features, "")])
    for k, (name, output) in enumerate(zip(outputs, model.outputs, strict=True)):
        graph.output(f"y{k}", graph.cast(name, "float64"), output.shape[1:], "")
    write(graph.model({}), tmp_path / "network.onnx")
    expected = model(X, training=False)
    expected = expected if isinstance(expected, list | tuple) else [expected]
    served, of_none, of_one = (
        list(serve(tmp_path / "network.onnx", some).values())
        for some in (X, X[:0], X[:1])
    )
    for output, none, one, values in zip(
        served, of_none, of_one, expected, strict=True
    ):
        assert none.shape == (0, *output.shape[1:])
        assert one.shape == (1, *output.shape[1:])
        assert np.abs(output).max() > 1e-3
        np.testing.assert_allclose(output, values, rtol=1e-5, atol=1e-5)
    return served


ACTIVATIONS = ["relu", "silu", "gelu", "tanh"]
SHARINGS = [
    *("single", "shared_bottom", "omoe", "mmoe"),
    *("cgc", "ple", "cross_stitch", "aitm"),
]


def small_network(task_units=(1, 3), **parameters):
    """Build a network, or with `n_members` an ensemble of some, without a fit."""
    from sklearn_mmoe._architectures.builders import build_network

    # Of the tasks of one output the first is a regression.
    kinds = ["multiclass" if units > 1 else "binary" for units in task_units]
    kinds[0] = "regression" if task_units[0] == 1 else "multiclass"
    meta = {
        "n_features_in_": 6,
        "task_units_": list(task_units),
        "task_kinds_": kinds,
    }
    sizes = {"num_experts": 3, "expert_units": 5, "shared_units": (8,)}
    return build_network(meta, **{**sizes, "seed": 0, **parameters}).model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation, dtype, tmp_path):
    model = small_network(activation=activation, dtype=dtype, expert_units=(5, 4))
    assert_same_network(model, tmp_path, dtype)


@pytest.mark.parametrize(
    "parameters",
    [
        {"wide": False},
        {"wide": False, "shared_units": (), "tower_units": ()},
        {"shared_units": ()},
        {"shared_units": (8, 4), "tower_units": (4, 3)},
        {"num_experts": 1, "expert_units": (5, 4, 3)},
        {"dropout": 0.0},
        {"output_activation": "sigmoid"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("task_units", [[1], [2, 1, 4]], ids=["one", "three"])
def test_networks(parameters, task_units, tmp_path):
    assert_same_network(small_network(task_units, **parameters), tmp_path)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("n_members", [None, 3])
@pytest.mark.parametrize("sharing", SHARINGS)
def test_sharings(sharing, n_members, tmp_path):
    """All ways to share, with and without members, in both types."""
    model = small_network(
        [1, 3, 1], sharing=sharing, n_members=n_members, expert_units=(5, 4)
    )
    assert_same_network(model, tmp_path)
    model = small_network(
        sharing=sharing, n_members=n_members, shared_units=(), wide=False,
        tower_units=(), gate_temperature=0.3, dtype="float64",
    )  # fmt: skip
    assert_same_network(model, tmp_path, "float64")


def test_weights_of_members(tmp_path):
    weights = [(0.2, 0.7, 0.1), (0.0, 0.5, 0.5), (0.0, 0.0, 1.0)]
    model = small_network([1, 3, 1], n_members=3, member_weights=weights)
    assert_same_network(model, tmp_path)
    weights = [(0.25, 0.75), (1.0, 0.0)]
    model = small_network(n_members=2, member_weights=weights, dtype="float64")
    assert_same_network(model, tmp_path, "float64")


@pytest.mark.parametrize("n_members", [None, 2])
def test_chains_of_tasks(n_members, tmp_path):
    chain = [(1, 0), (2, 1)]
    model = small_network(
        [1, 1, 1], task_dependencies=chain, n_members=n_members, num_experts=1
    )
    outputs = assert_same_network(model, tmp_path)
    if n_members is None:
        assert (outputs[2] < outputs[1]).all()


@pytest.mark.parametrize("factor", [-200, 200])
def test_members_that_are_sure(factor, tmp_path):
    """Probabilities that single precision rounds to 0 or 1 still have their logits."""
    model = small_network([3, 1], n_members=2, wide=False)
    for layer in model.layers:
        if layer.name.endswith("output"):
            layer.kernel.assign(layer.kernel * factor)
    outputs = assert_same_network(model, tmp_path)
    assert np.abs(outputs[1]).max() > 90


@pytest.mark.slow_but_first
@pytest.mark.parametrize("n_members", [None, 2])
@pytest.mark.parametrize("sharing", ["omoe", "mmoe", "cgc", "ple"])
def test_options_of_gates(sharing, n_members, tmp_path):
    model = small_network(
        sharing=sharing, n_members=n_members, gate_temperature=4.0, gate_dropout=0.5,
        load_balance_penalty=0.1, num_experts=1,
    )  # fmt: skip
    assert_same_network(model, tmp_path)


def many_layers(meta):
    """Build a network of all other layers that can be exported."""
    import keras
    from keras import layers

    x = keras.Input((meta["n_features_in_"],))
    a = layers.Dense(5, "elu")(layers.BatchNormalization()(x))
    shared = layers.Dense(5, "softplus", use_bias=False)
    nested = keras.Sequential([keras.Input((5,)), layers.Dense(5, "selu")])
    b, c = shared(a), shared(nested(a))
    merged = layers.Concatenate()(
        [
            layers.Multiply()([a, b, c]),
            layers.Average()([a, b]),
            layers.Maximum()([b, c]),
            layers.Minimum()([a, c]),
            layers.Subtract()([a, b]),
            layers.Add()([a, b, c]),
        ]
    )
    merged = layers.GaussianNoise(0.1)(layers.Dropout(0.1)(merged))
    merged = layers.BatchNormalization(scale=False, center=False)(merged)
    merged = layers.Activation("softsign")(merged)
    return keras.Model(x, [layers.Dense(u)(merged) for u in meta["task_units_"]])


def test_layers_of_other_networks(tmp_path):
    assert_same_network(
        many_layers({"n_features_in_": 6, "task_units_": [1, 2]}), tmp_path
    )


@pytest.mark.slow
def test_a_network_of_ones_own(labels_data, tmp_path):
    X, y = labels_data
    # Its layers compute in single precision nevertheless.
    clf = MultiTaskMMoEClassifier(max_iter=1, network=many_layers, dtype="float64")
    clf.fit(X, y).export_onnx(tmp_path / "m.onnx")
    assert_predicts(serve(tmp_path / "m.onnx", X), clf, X)


def test_what_no_function_converts_is_named(tmp_path):
    import keras

    class Odd(keras.layers.Dense):
        """A subclass, which might compute anything."""

    x = keras.Input((6,))
    half = keras.layers.Dense(1, dtype="float16", name="halved")
    twisted = keras.layers.Dense(1, "hard_sigmoid", name="twisted")
    for layer, match in [
        (Odd(1, name="mine"), "'mine' is a Odd.*Dense"),
        (keras.layers.UnitNormalization(name="unit"), "'unit' is a UnitNorm"),
        (twisted, "'twisted' has the activation hard_sigmoid.*relu"),
        # Older versions of Keras put a layer of their own in front.
        (half, "'halved' computes in float16|is a Cast"),
        (lambda x: keras.ops.exp(x), "is a Exp"),
    ]:
        with pytest.raises(ValueError, match=match):
            assert_same_network(keras.Model(x, layer(x)), tmp_path)


def mixed_targets(X):
    total = X[:, 0] + X[:, 1] ** 2
    return pd.DataFrame(
        {
            "cost": 100 + 10 * total,
            "rich": np.where(total > 1, "yes", "no"),
            "band": np.digitize(total, [0, 1]),
        }
    )


@pytest.mark.slow
def test_an_ensemble(tiny, labels_data, tmp_path):
    X, _ = labels_data
    model = MultiTaskMMoEMixed(cv=2, **{**tiny, "max_iter": 1})
    model.fit(X, mixed_targets(X)).export_onnx(tmp_path / "m.onnx")
    assert_predicts(serve(tmp_path / "m.onnx", X), model, X)
    for n_rows in (0, 1):
        for output in serve(tmp_path / "m.onnx", X[:n_rows]).values():
            assert len(output) == n_rows


@pytest.mark.slow
@pytest.mark.parametrize("cv", [None, 2])
def test_fits_of_dependent_tasks(cv, tiny, labels_data, tmp_path):
    X, _ = labels_data
    click = X[:, 0] > 0
    y = pd.DataFrame({"click": click, "buy": click & (X[:, 1] > 0), "other": X[:, 2]})
    model = MultiTaskMMoEMixed(cv=cv, task_dependencies={"buy": "click"}, **tiny)
    model.fit(X, y).export_onnx(tmp_path / "m.onnx")
    assert_predicts(serve(tmp_path / "m.onnx", X), model, X)


@pytest.mark.slow
@pytest.mark.parametrize("cv", [None, 2])
@pytest.mark.parametrize("sharing", SHARINGS)
def test_fits_of_all_sharings(sharing, cv, tiny, labels_data, tmp_path):
    X, _ = labels_data
    gates = {"gate_temperature": 0.5, "gate_dropout": 0.2, "load_balance_penalty": 0.1}
    path = tmp_path / "m.onnx"
    for changed in (
        {"expert_units": (4, 3)},
        {**gates, "dtype": "float64", "shared_units": (), "wide": False},
    ):
        parameters = {**tiny, "max_iter": 1, "sharing": sharing, "cv": cv, **changed}
        model = MultiTaskMMoEMixed(**parameters).fit(X, mixed_targets(X))
        model.export_onnx(path)
        assert_predicts(serve(path, X), model, X)


@pytest.mark.slow
def test_census_from_raw_columns(census_folder, tmp_path):
    X, y = fetch_census_income(
        "test", return_X_y=True, data_home=census_folder, download_if_missing=False
    )
    pipeline = make_pipeline(
        make_tabular_preprocessor(),
        MultiTaskMMoEClassifier(max_iter=2, random_state=0),
    )
    pipeline.fit(X[:20000], y[:20000])
    path = tmp_path / "census.onnx"
    pipeline[-1].export_onnx(path, pipeline[:-1])
    new = X[20000:60000].astype(object)
    unknown = np.random.default_rng(0).random(new.shape) < 0.02
    texts = new.columns.isin(pipeline[0].kind_to_columns_["categorical"])
    new = new.mask(unknown & texts, "never seen").mask(unknown[:, ::-1] & texts, None)
    inputs = of_types(open_session(path), new)
    assert_predicts(serve_elsewhere(path, inputs), pipeline[-1], new, pipeline[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_generated_tables(kind, tmp_path):
    X, y = make_related_tasks(
        n_samples=3000,
        n_features=20,
        n_categorical=10,
        n_tasks=3,
        kind=kind,
        random_state=0,
    )
    estimators = {
        "classification": MultiTaskMMoEClassifier,
        "regression": MultiTaskMMoERegressor,
    }
    for activation, wide in itertools.product(ACTIVATIONS, [False, True]):
        model = estimators[kind](
            activation=activation, wide=wide, max_iter=3, random_state=0
        )
        pipeline = make_pipeline(make_tabular_preprocessor(), model)
        pipeline.fit(X[:2000], y[:2000])
        path = tmp_path / "generated.onnx"
        pipeline[-1].export_onnx(path, pipeline[:-1])
        assert_predicts(serve(path, X[2000:]), model, X[2000:], pipeline[:-1])
