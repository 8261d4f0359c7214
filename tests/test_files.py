"""Files of our own: nothing runs from them, nothing is lost or loaded wrongly."""

from __future__ import annotations

import copy
import datetime
import hashlib
import io
import json
import os
import pickle
import random
import re
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.metrics import make_scorer, r2_score

import sklearn_mmoe
from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._files import container
from sklearn_mmoe._files.values import encode
from sklearn_mmoe.estimators._fitted import fitted_attributes
from sklearn_mmoe.metrics import mean_task_scorer, task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

ESTIMATORS = [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
RELEASES = Path(__file__).parent / "files"


def through_file(model, folder):
    path = folder / "model.mmoe"
    model.save(path)
    return load(path)


def same_repr(parameters):
    """Write parameters without where a random state lies in memory."""
    return re.sub(r"at 0x\w+", "", repr(parameters))


def assert_same(model, other, X):
    """Compare parameters, all that is fitted, and every predicted bit."""
    assert type(model) is type(other)
    assert same_repr(model.get_params()) == same_repr(other.get_params())
    fitted, again = fitted_attributes(model), fitted_attributes(other)
    assert set(fitted) == set(again)
    for name in set(fitted) - {"_engine", "_tasks", "_y_columns"}:
        assert repr(type(again[name])) == repr(type(fitted[name])), name
        if isinstance(fitted[name], pd.DataFrame):
            pd.testing.assert_frame_equal(
                again[name], fitted[name], check_exact=True, check_column_type="exact"
            )
        else:
            np.testing.assert_equal(again[name], fitted[name], err_msg=name)
    assert other.n_parameters_ == model.n_parameters_
    for task, other_task in zip(model._tasks, other._tasks, strict=True):
        np.testing.assert_equal(vars(other_task), vars(task))
    predicted, after = model.predict(X), other.predict(X)
    if isinstance(predicted, pd.DataFrame):
        pd.testing.assert_frame_equal(after, predicted, check_freq=True)
    else:
        assert after.dtype == predicted.dtype
        np.testing.assert_array_equal(after, predicted)
    if hasattr(model, "predict_proba"):
        np.testing.assert_equal(other.predict_proba(X), model.predict_proba(X))


SHARING = {
    "single": {},
    "shared_bottom": {"match_parameters": "mmoe"},
    "omoe": {"expert_units": (4, 3)},
    "mmoe": {"gate_dropout": 0.2, "dropout": 0.0, "load_balance_penalty": 0.1},
    "cgc": {"num_task_experts": 1, "shared_units": ()},
    "ple": {"match_parameters": 900, "gate_temperature": 2.0},
    "cross_stitch": {"wide": False},
    "aitm": {"tower_units": (4, 3)},
}
WEIGHTINGS = ["uncertainty", "dwa", "lbtw", "gradnorm", "pcgrad"]


def variants():
    """Return parameters of ensembles and of each way to share, most of them slow."""
    given = {
        "cv": {"cv": 2},
        **{name: {"sharing": name, **more} for name, more in SHARING.items()},
        "cv of ple": {"cv": 2, "sharing": "ple", "match_parameters": "single"},
    }
    quick = ("cv", "mmoe")
    return [
        pytest.param(
            parameters, id=name, marks=[] if name in quick else pytest.mark.slow
        )
        for name, parameters in given.items()
    ]


@pytest.fixture(scope="module")
def sealed_ensemble(values_data, tiny, tmp_path_factory):
    """Return the bytes of a small file of an ensemble of two members."""
    path = tmp_path_factory.mktemp("sealed") / "model.mmoe"
    strength = {"feature_penalty": 0.0, "weight_decay": 0.1, "dropout": 0.2}
    MultiTaskMMoERegressor(**tiny, **strength, cv=2).fit(*values_data).save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def fitted_mixed(values_data, tiny):
    X, y = values_data
    y = pd.DataFrame({"value": y[:, 0], "class": np.where(y[:, 1] > 0, "yes", "no")})
    return MultiTaskMMoEMixed(**tiny, early_stopping=True).fit(X, y)


@pytest.fixture(scope="module")
def sealed(fitted_regressor, tmp_path_factory):
    """Return the bytes of a small file."""
    path = tmp_path_factory.mktemp("sealed") / "model.mmoe"
    fitted_regressor.save(path)
    return path.read_bytes()


def tasks_of_every_kind(n):
    """Return targets, some of them of many tasks, by what is special about them."""
    two, three = np.arange(n) % 2, np.arange(n) % 3
    letters = np.array(["a", "b", "çä"])[three]
    columns = {
        "text": letters,
        "text objects": pd.Series(letters, dtype=object),
        "some missing": pd.Series(letters, dtype=object).where(two == 0, None),
        "bool": two == 1,
        "bool objects": pd.Series([True, False, None] * n)[:n],
        "int8": three.astype("int8"),
        "uint64": three.astype("uint64") + 2**63,
        "float": three.astype("float32"),
        "nullable": pd.array([1, 2, None] * n, dtype="Int64")[:n],
        "categories": pd.Categorical(letters),
        "one class": np.zeros(n, int),
        "one text": np.full(n, "a"),
    }
    return {
        "columns": pd.DataFrame(columns),
        "surrogates": np.array(["\udc80", "\x00x", "é"])[three],
        "text beside numbers": [[a, int(b)] for a, b in zip(letters, two, strict=True)],
        "polars": pl.DataFrame({"a": letters, "b": two}),
    }


NAMES = {
    "numbers": [2020, 2021],
    "fractions": [0.5, 1.5],
    "tuples": pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", None]),
    "dates": pd.date_range("2020-01-01", periods=2, tz="Europe/Berlin", name="day"),
    "days": [datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)],
    "months": pd.period_range("2020-01", periods=2, freq="M"),
    "intervals": pd.interval_range(0, 2),
    "durations": pd.to_timedelta([1, 2], unit="h"),
    "categories": pd.CategoricalIndex(["b", "a"], categories=["a", "b"], name="c"),
    "mixed": pd.Index(["a", 1], dtype=object),
    "booleans": pd.Index([True, False]),
    "counted": pd.RangeIndex(2, name="number"),
    "text": pd.Index(["a", "b"], name="task"),
}


class TestRoundTrip:
    @pytest.mark.slow
    def test_every_estimator(
        self, fitted_classifier, fitted_regressor, fitted_mixed, values_data, tmp_path
    ):
        X, _ = values_data
        for model in (fitted_classifier, fitted_regressor, fitted_mixed):
            assert_same(model, through_file(model, tmp_path), X)
        assert fitted_mixed.best_epoch_ is not None

    @pytest.mark.slow
    @pytest.mark.parametrize("parameters", variants())
    def test_ensembles_and_every_way_to_share(
        self, labels_data, tiny, tmp_path, parameters
    ):
        """Also what comes after: a warm start, and partial_fit after partial_fit."""
        X, y = labels_data
        model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1, **parameters}).fit(X, y)
        again = through_file(model, tmp_path)
        assert_same(model, again, X)
        again.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (
            tmp_path / "model.mmoe"
        ).read_bytes()
        if "cv" in parameters:
            names = ["feature_penalty", "weight_decay", "dropout", "tasks"]
            assert again.cv_losses_.columns.names == names
            assert again._engine.spec.n_members == 2 * np.count_nonzero(
                again.cv_weights_.to_numpy()[0]
            )
            assert (
                again._engine.spec.member_weights == model._engine.spec.member_weights
            )
        # As it was built, whatever a later release would match by.
        assert again._engine.network.sizes == model._engine.network.sizes
        models = [model.partial_fit(X, y), again.partial_fit(X, y)]
        models[1] = through_file(models[1], tmp_path)
        assert_same(*[model.partial_fit(X, y) for model in models], X)
        models = [model.set_params(warm_start=True).fit(X, y) for model in models]
        assert_same(*models, X)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "weighting",
        [
            pytest.param(name, marks=[] if name == "gradnorm" else pytest.mark.slow)
            for name in WEIGHTINGS
        ],
    )
    def test_weights_between_tasks_go_on(self, labels_data, tiny, tmp_path, weighting):
        X, y = labels_data
        model = MultiTaskMMoEClassifier(
            **tiny, task_weighting=weighting, task_weight={"task_1": 3.0}
        )
        models = [copy.deepcopy(model).partial_fit(X, y) for _ in range(2)]
        for _ in range(2):  # 'dwa' looks at two epochs before
            models = [models[0], through_file(models[1], tmp_path)]
            models = [model.partial_fit(X, y) for model in models]
            assert_same(*models, X)
        assert models[0].task_weights_["task_0"][-1] != 0.5

    @pytest.mark.slow
    def test_dependent_tasks(self, labels_data, tiny, tmp_path):
        X, y = labels_data
        y = np.column_stack([y, y[:, 0] * y[:, 1]])
        model = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 1}, task_dependencies={2: "task_1", "task_1": 0}
        )
        y[:, 1] *= y[:, 0]
        model.fit(X, y)
        path = tmp_path / "model.mmoe"
        again = through_file(model, tmp_path)
        assert_same(model, again, X)
        assert again._engine.spec == model._engine.spec
        loops = (((1, 2), (2, 1)), ((1, 1),))
        for pairs in (
            *loops,
            ((7, 0),),
            ((1, False), (2, 1)),
            ((1,),),
            3,
            ((2, 1),) * 2,
        ):

            def change(document, pairs=pairs):
                document["network"]["parameters"]["task_dependencies"] = encode(pairs)

            content = changed(path.read_bytes(), change)
            refuses(content, tmp_path / "other", "no estimator")

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:y has only one class")
    @pytest.mark.parametrize("what", list(tasks_of_every_kind(6)))
    def test_labels_of_every_kind(self, labels_data, tiny, tmp_path, what):
        X, _ = labels_data
        y = tasks_of_every_kind(len(X))[what]
        model = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}).fit(X, y)
        assert_same(model, through_file(model, tmp_path), X)

    @pytest.mark.parametrize("what", list(NAMES))
    def test_names_of_every_kind(self, fitted_regressor, values_data, tmp_path, what):
        X, _ = values_data
        model = copy.deepcopy(fitted_regressor)
        model._y_columns = pd.DataFrame(np.zeros((1, 2)), columns=NAMES[what]).columns
        again = through_file(model, tmp_path)
        assert_same(model, again, X)
        pd.testing.assert_index_equal(again._y_columns, model._y_columns, exact=True)
        pickled = pickle.loads(pickle.dumps(model))
        assert pickled._y_columns.equals(model._y_columns)

    @pytest.mark.slow
    def test_parameters_of_every_kind(self, values_data, tiny, tmp_path):
        X, y = values_data
        model = MultiTaskMMoEMixed(
            **{
                **tiny,
                "num_experts": np.int64(2),
                "dropout": np.float32(0.1),
                "shared_units": np.array([8, 4]),
                "tower_units": [],
                "random_state": np.random.RandomState(3),
            },
            wide=np.bool_(False),
            task_types={"task_1": "regression"},
            class_weight=[{-1.0: 2.0, 1.0: 1}, None],
            early_stopping=True,
            early_stopping_metric=task_scorer("neg_mean_absolute_error", "task_1"),
            dtype="float64",
            warm_start=True,
        ).fit(X, np.column_stack([np.sign(y[:, 0]), y[:, 1]]))
        again = through_file(model, tmp_path)
        assert_same(model, again, X)
        drawn = [m.random_state.randint(2**31) for m in (model, again)]
        assert drawn[0] == drawn[1]
        again.set_params(early_stopping_metric=mean_task_scorer({0: "r2", 1: "r2"}))
        assert_same(again, through_file(again, tmp_path), X)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("cls", ESTIMATORS)
    def test_training_goes_on(self, labels_data, tiny, tmp_path, cls):
        X, y = labels_data
        models = [cls(**tiny, warm_start=True).fit(X, y) for _ in range(2)]
        models[1] = through_file(models[1], tmp_path)
        assert_same(*[model.fit(X, y) for model in models], X)
        models = [cls(**tiny).partial_fit(X, y) for _ in range(2)]
        models[1] = through_file(models[1], tmp_path)
        assert_same(*[model.partial_fit(X, y) for model in models], X)

    def test_names_of_features(self, values_data, tiny, tmp_path):
        X, y = values_data
        X = pd.DataFrame(X, columns=[*"abcdef"])
        again = through_file(MultiTaskMMoERegressor(**tiny).fit(X, y), tmp_path)
        with pytest.raises(ValueError, match="feature names"):
            again.predict(X.rename(columns={"a": "z"}))

    def test_metadata_requests(self, fitted_regressor, tmp_path):
        model = copy.deepcopy(fitted_regressor)
        with sklearn_mmoe_routing():
            model.set_fit_request(sample_weight="w").set_score_request(
                sample_weight=True
            )
            again = through_file(model, tmp_path)
            routed = again.get_metadata_routing()
            assert routed.fit.requests["sample_weight"] == "w"
            assert routed.score.requests["sample_weight"] is True

    def test_equal_models_make_equal_files(self, fitted_regressor, sealed, tmp_path):
        copy.deepcopy(fitted_regressor).save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == sealed

    @pytest.mark.slow
    def test_loading_is_possible_where_nothing_ran_yet(self, sealed, tmp_path):
        (tmp_path / "model").write_bytes(sealed)
        code = (
            "import sys, sklearn_mmoe; model = sklearn_mmoe.load(sys.argv[1]);"
            "print(model.n_iter_)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "model")]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        assert result.stdout.strip() == "2"


def sklearn_mmoe_routing():
    from sklearn import config_context

    return config_context(enable_metadata_routing=True)


class TestRefusals:
    def test_not_fitted(self, tmp_path):
        with pytest.raises(NotFittedError):
            MultiTaskMMoERegressor().save(tmp_path / "model")
        assert not list(tmp_path.iterdir())

    def test_what_holds_code(self, fitted_regressor, tmp_path):
        import keras

        refused = {
            "callbacks": [keras.callbacks.LambdaCallback()],
            "network": lambda meta: None,
            "optimizer": keras.optimizers.SGD(),
            "early_stopping_metric": make_scorer(r2_score),
            "random_state": np.random.RandomState(np.random.PCG64(0)),
        }
        for name, value in refused.items():
            model = copy.deepcopy(fitted_regressor).set_params(**{name: value})
            with pytest.raises(ValueError, match=f"'{name}' parameter cannot be saved"):
                model.save(tmp_path / "model")
        model = copy.deepcopy(fitted_regressor).set_params(callbacks=[])
        model.note_ = object()
        with pytest.raises(ValueError, match="'note_' cannot be saved"):
            model.save(tmp_path / "model")
        del model.note_
        model.note = 3
        with pytest.raises(ValueError, match=r"attributes \['note'\]"):
            model.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())

    def test_a_network_of_the_users_own(self, values_data, tiny, tmp_path):
        import keras

        def build(meta):
            x = keras.Input((meta["n_features_in_"],))
            return keras.Model(x, [keras.layers.Dense(1)(x) for _ in range(2)])

        model = MultiTaskMMoERegressor(**tiny, network=build).fit(*values_data)
        for network in (build, None):
            with pytest.raises(ValueError, match=r"network.*network_\.save"):
                model.set_params(network=network).save(tmp_path / "model")

    def test_a_subclass(self, values_data, tiny, tmp_path):
        class Own(MultiTaskMMoERegressor):
            pass

        with pytest.raises(ValueError, match="Own cannot be saved: its class is code"):
            Own(**tiny).fit(*values_data).save(tmp_path / "model")

    def test_no_such_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "nothing")


def seal(content):
    """Seal what somebody has changed anew."""
    content = content[:-64]
    return content + hashlib.sha256(content).hexdigest().encode()


def changed(sealed, change=lambda document: None, arrays=None):
    """Return a file whose document, or arrays, somebody has changed."""
    with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
        document = json.loads(archive.read("document.json"))
        old = archive.read("arrays.safetensors")
        comment = archive.comment
    document = change(document) or document
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = comment
        archive.writestr("document.json", json.dumps(document))
        archive.writestr("arrays.safetensors", old if arrays is None else arrays)
    return seal(buffer.getvalue())


def refuses(content, path, match):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        load(path)


@pytest.fixture
def no_keras(monkeypatch):
    """Fail a test that comes as far as Keras."""
    from sklearn_mmoe._training.engine import Engine

    def restore(*args, **kwargs):
        raise AssertionError("an engine was made")

    monkeypatch.setattr(Engine, "restore", restore)


class TestDamage:
    @pytest.mark.parametrize(
        "every", [11, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
    )
    def test_every_byte_counts(self, sealed, tmp_path, no_keras, every):
        path, rng = tmp_path / "model", random.Random(0)
        for position in range(0, len(sealed), every):
            flipped = bytearray(sealed)
            flipped[position] ^= 1 << rng.randrange(8)
            for damaged in (flipped, sealed[:position]):
                path.write_bytes(damaged)
                with pytest.raises(ValueError, match="othing was loaded"):
                    load(path)

    @pytest.mark.parametrize("cut", ["begin", "middle", "more", "twice"])
    def test_other_damages(self, sealed, tmp_path, no_keras, cut):
        damaged = {
            "begin": sealed[1:],
            "middle": sealed[:500] + sealed[501:],
            "more": sealed + b"\0",
            "twice": sealed + sealed,
        }[cut]
        refuses(damaged, tmp_path / "model", "othing was loaded")

    def test_foreign_files(self, fitted_regressor, tmp_path, no_keras):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("document.json", "{}")
        frame = io.BytesIO()
        pd.DataFrame({"a": [1]}).to_parquet(frame)
        for content in (
            b"",
            b"x",
            bytes(500),
            pickle.dumps(fitted_regressor),
            buffer.getvalue(),
            frame.getvalue(),
        ):
            refuses(content, tmp_path / "model", "was not written by sklearn_mmoe")

    def test_a_newer_file(self, sealed, tmp_path, no_keras):
        def newer(document):
            document.update(format=2, sklearn_mmoe="7.0")

        refuses(changed(sealed, newer), tmp_path / "model", r"by sklearn_mmoe 7\.0")

    @pytest.mark.slow
    def test_changes_that_are_sealed_anew(self, sealed, tmp_path):
        """Any of them is refused in words, or makes an estimator that predicts."""
        path, rng, loaded = tmp_path / "model", random.Random(0), 0
        X = np.zeros((3, 6))
        for _ in range(6000):
            damaged = bytearray(sealed)
            for _ in range(rng.choice([1, 1, 3])):
                damaged[rng.randrange(len(sealed) - 64)] = rng.randrange(256)
            path.write_bytes(seal(bytes(damaged)))
            try:
                model = load(path)
            except ValueError:
                continue
            loaded += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert len(model.predict(X)) == 3
                except ValueError as error:  # weights that are now far too large
                    assert "not finite" in str(error)  # noqa: PT017
        assert loaded


class TestMalice:
    """Files that somebody has made to do harm, with a whole seal."""

    @pytest.mark.parametrize("times", [2, 10**6])
    def test_zip_bombs(self, sealed, tmp_path, no_keras, times):
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
            comment = archive.comment
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = comment
            archive.writestr("document.json", b" " * times * 100)
            archive.writestr("arrays.safetensors", b"\0")
        content = seal(buffer.getvalue())
        tracemalloc.start()
        refuses(content, tmp_path / "model", "larger than itself")
        assert tracemalloc.get_traced_memory()[1] < 10 * len(content) + 2**21
        tracemalloc.stop()

    def test_parts_that_lie_about_their_size(self, sealed, tmp_path, no_keras):
        size = struct.pack("<I", len(self.part(sealed, "arrays.safetensors")))
        lie = struct.pack("<I", 2**31)
        assert sealed.count(size) >= 4  # of both headers, whole and compressed
        damaged = seal(sealed.replace(size, lie))
        refuses(damaged, tmp_path / "model", "larger than itself")

    @staticmethod
    def part(sealed, name):
        with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
            return archive.read(name)

    def test_more_parts(self, sealed, tmp_path, no_keras):
        path = tmp_path / "model"
        path.write_bytes(sealed)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("../../evil.py", "print('evil')")
        refuses(seal(path.read_bytes()), path, "other parts")

    def test_absurd_arrays(self, sealed, tmp_path, no_keras):
        for shape, end in (([2**40, 2**40], 8), ([2**61], 2**63 - 1), ([2], 2**40)):
            header = {
                "weights/0": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}
            }
            text = json.dumps(header).encode()
            arrays = struct.pack("<Q", len(text)) + text + bytes(8)
            refuses(changed(sealed, arrays=arrays), tmp_path / "model", "wrong content")
        arrays = struct.pack("<Q", 2**62) + b"{}"
        refuses(changed(sealed, arrays=arrays), tmp_path / "model", "wrong content")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_experts", 10**9),
            ("expert_units", 10**7),
            ("expert_units", {"!": "tuple", "items": [4, 10**9, 4]}),
            ("expert_units", {"!": "tuple", "items": []}),
            ("shared_units", {"!": "tuple", "items": [10**5, 10**5]}),
            ("shared_units", {"!": "tuple", "items": [5]}),
            ("tower_units", {"!": "tuple", "items": [4, 10**6]}),
            ("num_experts", -1),
            ("num_experts", "2"),
            ("num_experts", 10**400),
            ("activation", "exp"),
            ("dtype", "float16"),
            ("nothing", 1),
            ("cv", 2),
            ("sharing", "os"),
            ("sharing", "aitm"),
            ("wide", False),
            ("match_parameters", 10**9),
            ("match_parameters", "single"),
            ("feature_penalty", "auto"),
            ("feature_penalty", -1.0),
            ("feature_penalty", {"!": "float", "value": "inf"}),
            ("feature_penalty", {"!": "tuple", "items": [0.1]}),
        ],
    )
    def test_absurd_networks(self, sealed, tmp_path, no_keras, name, value):
        def change(document):
            document["network"]["parameters"][name] = value

        refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    def test_absurd_numbers_of_features(self, sealed, tmp_path, no_keras):
        for number in (10**9, 0, -5, 6.0, "6", None):

            def change(document, number=number):
                document["fitted"]["n_features_in_"] = number

            refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    @pytest.mark.parametrize("sharing", ["cgc", "ple"])
    @pytest.mark.parametrize("name", ["num_levels", "num_task_experts"])
    def test_absurd_numbers_of_levels(self, sealed, tmp_path, no_keras, name, sharing):
        def change(document):
            document["network"]["parameters"] |= {"sharing": sharing, name: 10**12}

        refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    @pytest.mark.parametrize("n_members", [None, 0, -2, 1, 3, 10**12, 2.0, "2", True])
    def test_absurd_ensembles(self, sealed_ensemble, tmp_path, no_keras, n_members):
        def change(document):
            document["network"]["n_members"] = n_members

        content = changed(sealed_ensemble, change)
        refuses(content, tmp_path / "model", "no estimator")

    @pytest.mark.parametrize(
        "weights",
        [
            [1.0],
            [0.5, 0.25, 0.25],
            [1.5, -0.5],
            [1.0, 0.0],
            [0.5, 0.4],
            [1, 0.5],
            ["0.5", 0.5],
            None,
        ],
        ids=str,
    )
    def test_absurd_weights_of_members(
        self, sealed_ensemble, tmp_path, no_keras, weights
    ):
        def change(document):
            of_task = {"!": "tuple", "items": weights} if weights else 0.5
            n_tasks = len(document["fitted"]["_tasks"])
            given = {"!": "tuple", "items": [of_task] * n_tasks}
            document["network"]["member_weights"] = given

        content = changed(sealed_ensemble, change)
        refuses(content, tmp_path / "model", "no estimator")

    @pytest.mark.parametrize(
        "penalties",
        [[0.1], [0.1, 0.1, 0.1], [0.1, -0.1], [0.1, "auto"], [0.1, 1], [0.1, None]],
        ids=str,
    )
    def test_absurd_members(self, sealed_ensemble, tmp_path, no_keras, penalties):
        def change(document):
            given = {"!": "tuple", "items": penalties}
            document["network"]["parameters"]["feature_penalty"] = given

        content = changed(sealed_ensemble, change)
        refuses(content, tmp_path / "model", "no estimator")

    @pytest.mark.parametrize(
        "dropouts", [[0.1], [0.1, 0.1, 0.1], [0.1, 1.0], [0.1, "auto"], [0, 0]], ids=str
    )
    def test_absurd_dropout_of_members(
        self, sealed_ensemble, tmp_path, no_keras, dropouts
    ):
        def change(document):
            given = {"!": "tuple", "items": dropouts}
            document["network"]["parameters"]["dropout"] = given

        content = changed(sealed_ensemble, change)
        refuses(content, tmp_path / "model", "no estimator")

    def test_networks_without_dropout_remember_none(self, sealed, tmp_path):
        def change(document):
            document["network"]["parameters"]["dropout"] = 0.0

        refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    def test_an_optimizers_state_of_another_network(self, labels_data, tiny, tmp_path):
        path = tmp_path / "model"
        MultiTaskMMoEClassifier(**tiny).partial_fit(*labels_data).save(path)
        document, arrays = container.read(path)
        moments = [name for name in arrays if name.startswith("optimizer/")]
        arrays[moments[-1]] = np.zeros((97, 89), dtype=np.float32)
        container.write(path, document, arrays)
        with pytest.raises(ValueError, match="the optimizer's state is not one of"):
            load(path)

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("name", ["dwa", "uniform", "evil", None, 3])
    def test_weights_between_tasks_of_another_kind(
        self, labels_data, tiny, tmp_path, name
    ):
        path = tmp_path / "model"
        model = MultiTaskMMoEClassifier(**tiny, task_weighting="lbtw")
        model.partial_fit(*labels_data).save(path)
        assert load(path)._engine.state.weighting

        def change(document):
            document["optimizer"]["task_weighting"] = name

        refuses(changed(path.read_bytes(), change), path, "no estimator")

    @pytest.mark.parametrize(
        "change",
        [
            {"values": []},
            {"values": 3},
            {"values": [[1.0], [1.0]]},
            {"index": None},
            {"columns": {"!": "range of labels", "range": [0, 9, 1], "names": [None]}},
            {"index": {"!": "range of labels", "range": [0, 9, 1], "names": [None]}},
        ],
        ids=str,
    )
    def test_absurd_frames(self, tmp_path, no_keras, change):
        sealed = (RELEASES / "0.1.0" / "ensemble.mmoe").read_bytes()

        def change_frame(document):
            frame = document["fitted"]["cv_losses_"]
            assert frame["!"] == "frame"
            frame.update(change)

        refuses(changed(sealed, change_frame), tmp_path / "model", "no estimator")

    @pytest.mark.slow
    def test_bad_files_do_not_load_tensorflow(self, sealed, tmp_path):
        def change(document):
            document["network"]["parameters"]["num_experts"] = 3

        (tmp_path / "torn").write_bytes(sealed[:-1])
        (tmp_path / "other").write_bytes(changed(sealed, change))
        code = """
import sys, sklearn_mmoe
for path in sys.argv[1:]:
    try:
        sklearn_mmoe.load(path)
    except ValueError as error:
        print(error)
print({"keras", "tensorflow"} & set(sys.modules))
"""
        paths = [str(tmp_path / name) for name in ("torn", "other")]
        command = [sys.executable, "-c", code, *paths]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        *errors, loaded = result.stdout.splitlines()
        assert len(errors) == 2
        assert "there are more than" in errors[1]
        assert loaded == "set()"

    @pytest.mark.parametrize(
        "value",
        [
            {"!": "array", "dtype": "<U1000000000", "shape": [2], "items": ["a", "b"]},
            {"!": "array", "dtype": "(1000000000,)f8", "shape": [1], "items": [1.0]},
            {"!": "array", "dtype": "<f8", "shape": [10**12], "items": [1.0]},
            {"!": "array", "dtype": "<M8[s]", "shape": [1], "items": [1]},
            {"!": "random state", "key": [1] * 624, "position": 10**9, "has_gauss": 0},
            {"!": "function", "name": "os.system"},
            {"!": ["tuple"], "items": []},
            {"!": "scorer", "of": "system", "arguments": {}},
            {"!": "number", "dtype": "O", "value": {"!": "nothing"}},
            {"!": "labels", "dtype": "string[evil]", "labels": [], "names": [None]},
            {
                **{"!": "times", "unit": "s", "zone": "dateutil//etc/passwd"},
                **{"counts": [1, 2], "frequency": None, "names": [None]},
            },
        ],
    )
    def test_absurd_values(self, sealed, tmp_path, no_keras, value):
        def change(document):
            document["fitted"]["loss_"] = value

        refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    def test_deep_documents(self, sealed, tmp_path, no_keras):
        deep = "[" * 200_000 + "]" * 200_000
        with zipfile.ZipFile(io.BytesIO(sealed)) as archive:
            comment, arrays = archive.comment, archive.read("arrays.safetensors")
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.comment = comment
            archive.writestr("document.json", deep)
            archive.writestr("arrays.safetensors", arrays)
        refuses(seal(buffer.getvalue()), tmp_path / "model", "wrong content")

    @pytest.mark.parametrize("name", ["network_", "fit", "__class__", "_x", "x", "x_"])
    def test_attributes_that_are_none(self, sealed, tmp_path, name):
        """Another release may have more attributes; none may hide a method."""

        def change(document):
            document["fitted"][name] = 3

        content = changed(sealed, change)
        if name == "x_":
            (tmp_path / "model").write_bytes(content)
            assert load(tmp_path / "model").x_ == 3
        else:
            refuses(content, tmp_path / "model", "no attributes of a fit")

    def test_missing_attributes(self, sealed, tmp_path):
        for name in ("_tasks", "_y_columns", "n_iter_", "task_names_", "n_outputs_"):

            def change(document, name=name):
                del document["fitted"][name]

            refuses(changed(sealed, change), tmp_path / "model", "no estimator")

    def test_another_class(self, sealed, tmp_path):
        for name in ("os.system", "MultiTaskMMoEClassifier", None, ["a"]):

            def change(document, name=name):
                document["estimator"] = name

            refuses(changed(sealed, change), tmp_path / "model", "no estimator")


SAVING = """
import sys, sklearn_mmoe
model = sklearn_mmoe.load(sys.argv[1])
print("ready", flush=True)
while True:
    model.loss_ += 1
    model.save(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
class TestWriting:
    def test_on_a_full_disk_the_old_file_stays(
        self, fitted_classifier, sealed, tmp_path
    ):
        import resource

        path = tmp_path / "model"
        path.write_bytes(sealed)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for room in (0, 100, 3000):  # what is written is about 5,000 bytes
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
            try:
                with pytest.raises(OSError, match="too large"):
                    fitted_classifier.save(path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert path.read_bytes() == sealed
            assert [*tmp_path.iterdir()] == [path]
        fitted_classifier.save(path)
        assert type(load(path)) is MultiTaskMMoEClassifier

    @pytest.mark.slow
    def test_killed_at_any_moment_the_file_is_whole(self, sealed, tmp_path):
        path, rng = tmp_path / "model", random.Random(0)
        path.write_bytes(sealed)
        losses = set()
        for _ in range(5):
            command = [sys.executable, "-c", SAVING, str(path)]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                process.stdout.readline()
                time.sleep(0.2 + 0.2 * rng.random())
                process.send_signal(signal.SIGKILL)
            losses.add(load(path).loss_)
        assert len(losses) == 5

    def test_links_and_rights_stay(self, fitted_regressor, tmp_path):
        path, link = tmp_path / "model", tmp_path / "link"
        fitted_regressor.save(path)
        path.chmod(0o640)
        link.symlink_to(path)
        fitted_regressor.save(str(link))
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640
        assert {*tmp_path.iterdir()} == {path, link}

    def test_a_folder_that_is_not_there(self, fitted_regressor, tmp_path):
        with pytest.raises(FileNotFoundError):
            fitted_regressor.save(tmp_path / "nowhere" / "model")


def files_of_releases():
    return sorted(RELEASES.glob("*/*.mmoe"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", files_of_releases(), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_files_of_earlier_releases_load(path):
    """See files/README.md for how they were made."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    model = load(path)
    X = np.asarray(expected["X"])
    assert type(model).__name__ == expected["estimator"]
    # What came later is there as well.
    if model.cv_losses_ is None:
        assert model.cv_weights_ is model.cv_shrinkage_ is None
    else:
        assert model.cv_weights_.index.tolist() == model.task_names_
        assert model.cv_shrinkage_ == dict.fromkeys(model.task_names_, 1.0)
        for _, of_task in model.cv_weights_.iterrows():
            used = of_task.idxmax()
            assert used[:2] == (model.feature_penalty_, model.weight_decay_)
            assert of_task.sum() == of_task.max() == 1
    predicted = np.asarray(model.predict(X), dtype=object).tolist()
    for row, wanted in zip(predicted, expected["predictions"], strict=True):
        for value, of_then in zip(row, wanted, strict=True):
            assert value == (
                pytest.approx(of_then, abs=1e-4)
                if isinstance(of_then, float)
                else of_then
            )
    if "probabilities" in expected:
        of_tasks = model.predict_proba(X)
        of_tasks = of_tasks if isinstance(of_tasks, list) else [of_tasks]
        for of_task, wanted in zip(of_tasks, expected["probabilities"], strict=True):
            np.testing.assert_allclose(of_task, wanted, atol=1e-5)
    assert isinstance(model.dropout_, float)
    # It goes on as well.
    y = np.asarray(expected["y"], dtype=object)
    assert model.partial_fit(X, y).t_ > expected["t_"]


def test_there_are_files_of_releases():
    kinds = {path.stem for path in files_of_releases()}
    assert {"classifier", "regressor", "mixed", "ensemble"} <= kinds


class TestPickles:
    def test_another_release_is_told(self, fitted_regressor, monkeypatch, values_data):
        X, _ = values_data
        from sklearn_mmoe._sklearn import versions

        encoder = make_tabular_preprocessor().fit(pd.DataFrame(X))
        for model in (fitted_regressor, encoder):
            written = pickle.dumps(model)
            assert type(pickle.loads(written)) is type(model)  # the same: no warning
            with monkeypatch.context() as patch:
                patch.setattr(versions, "__version__", "99.0")
                with pytest.warns(InconsistentVersionWarning) as told:
                    pickle.loads(written)
            ours = [str(w.message) for w in told if "99.0" in str(w.message)]
            assert any(type(model).__name__ in message for message in ours)
            assert all(sklearn_mmoe.__version__ in message for message in ours)

    def test_every_estimator_of_ours_tells(self):
        from sklearn.base import BaseEstimator

        from sklearn_mmoe._sklearn.versions import VersionedStateMixin

        for module in (sklearn_mmoe, sklearn_mmoe.preprocessing):
            for name in module.__all__:
                thing = getattr(module, name)
                if isinstance(thing, type) and issubclass(thing, BaseEstimator):
                    assert issubclass(thing, VersionedStateMixin), name

    def test_one_without_a_version(self, fitted_regressor, values_data):
        X, _ = values_data
        state = fitted_regressor.__getstate__()
        del state["_sklearn_mmoe_version"]
        model = MultiTaskMMoERegressor.__new__(MultiTaskMMoERegressor)
        with pytest.warns(InconsistentVersionWarning, match="from version unknown"):
            model.__setstate__(state)
        np.testing.assert_array_equal(model.predict(X), fitted_regressor.predict(X))


def test_the_container_alone(tmp_path):
    arrays = {"a": np.float32(3) * np.ones(()), "b": np.arange(6.0).reshape(2, 3).T}
    container.write(tmp_path / "file", {"x": [1, "é"]}, arrays)
    document, again = container.read(tmp_path / "file")
    assert document == {"x": [1, "é"]}
    np.testing.assert_equal(again, arrays)
    assert again["a"].shape == ()
    with pytest.raises(ValueError, match="JSON compliant"):
        container.write(tmp_path / "file", {"x": float("nan")}, {})
    assert container.read(tmp_path / "file")[0] == document
