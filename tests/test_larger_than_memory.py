"""Fits and predictions on data that is read in chunks."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.out_of_core import MultiTaskOutOfCore
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
ds = pytest.importorskip("pyarrow.dataset")

TARGETS = ["late", "cost"]


def make_frame(n_rows, seed):
    """A table with a binary task and a regression, in which half of the rows is one."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=["a", "b"])
    frame["c"] = rng.choice(["x", "y", "z"], n_rows)
    frame["late"] = np.where(frame["a"] + (frame["c"] == "x") > 0, "yes", "no")
    frame["cost"] = 3 + frame["a"] - 2 * frame["b"]
    return frame


@pytest.fixture(scope="module")
def frame():
    frame = make_frame(600, seed=0)
    frame.loc[::5, "cost"] = np.nan
    # As bad as an order of rows can be.
    return frame.sort_values("late", ignore_index=True)


@pytest.fixture(scope="module")
def folder(frame, tmp_path_factory):
    """Two files, of two row groups each, in a directory of Hive each."""
    folder = tmp_path_factory.mktemp("rows")
    for k in range(2):
        (folder / f"part={k}").mkdir()
        table = pa.Table.from_pandas(frame[k::2], preserve_index=False)
        path = folder / f"part={k}" / "rows.parquet"
        pq.write_table(table, path, row_group_size=200)
    return folder


def pipeline(tiny, **parameters):
    parameters = {**tiny, "max_iter": 12, "cv": None, **parameters}
    return make_pipeline(make_tabular_preprocessor(), MultiTaskMMoEMixed(**parameters))


def out_of_core(tiny, targets=TARGETS, buffer_size=150, sample_size=1000, **parameters):
    return MultiTaskOutOfCore(
        pipeline(tiny, **parameters),
        targets=targets,
        buffer_size=buffer_size,
        sample_size=sample_size,
    )


@pytest.fixture(scope="module")
def in_memory(frame, tiny):
    return pipeline(tiny, max_iter=30).fit(frame.drop(columns=TARGETS), frame[TARGETS])


@pytest.fixture(scope="module")
def fitted(folder, tiny):
    return out_of_core(tiny).fit(folder)


def as_dask(frame, folder):
    return pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=4)


def as_function(frame, folder):
    def chunks():
        for k in range(0, 600, 250):
            rows = frame[k : k + 250]
            yield rows.drop(columns=TARGETS), rows[TARGETS], np.full(len(rows), 2.0)

    return chunks


SOURCES = {
    "folder": lambda frame, folder: folder,
    "dataset": lambda frame, folder: ds.dataset(folder, format="parquet"),
    "filtered": lambda frame, folder: ds.dataset(folder).filter(ds.field("a") > -9),
    "table": lambda frame, folder: ds.dataset(pa.Table.from_pandas(frame)),
    "dask": as_dask,
    "list": lambda frame, folder: [frame[:100], frame[100:]],
    "function": as_function,
}


@pytest.fixture(
    params=[
        "folder",
        "table",
        "list",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("dataset", "filtered", "dask", "function")
        ),
    ]
)
def source(request, frame, folder):
    return SOURCES[request.param](frame, folder)


class TestFit:
    @pytest.mark.slow
    def test_scores_as_in_memory(self, source, tiny, in_memory):
        model = out_of_core(tiny, max_iter=30).fit(source)
        test = make_frame(500, seed=1).assign(part=0)
        scores = []
        for fitted in (model.estimator_, in_memory):
            predicted = fitted.predict(test.drop(columns=TARGETS))
            right = (predicted["late"] == test["late"]).mean()
            error = np.std(predicted["cost"] - test["cost"]) / test["cost"].std()
            scores.append([right, error])
        assert model.n_rows_ == 600
        assert scores[0][0] > scores[1][0] - 0.03
        assert scores[0][1] < scores[1][1] + 0.06

    @pytest.mark.slow
    def test_fitted_attributes(self, fitted):
        assert fitted.task_names_ == TARGETS
        assert fitted.classes_[0].tolist() == ["no", "yes"]
        assert fitted.classes_[1] is None
        assert list(fitted.feature_names_in_) == ["a", "b", "c", "part"]
        assert (fitted.n_features_in_, fitted.n_rows_validation_) == (4, 0)

    @pytest.mark.slow
    def test_the_same_bits_from_the_same_random_state(self, fitted, folder, tiny):
        weights = [
            model.estimator_[-1].network_.get_weights()
            for model in (
                fitted,
                out_of_core(tiny).fit(folder),
                out_of_core(tiny, random_state=1).fit(folder),
            )
        ]
        for first, second in zip(*weights[:2], strict=True):
            np.testing.assert_array_equal(first, second)
        assert any(map(np.any, map(np.subtract, weights[0][:2], weights[2][:2])))

    @pytest.mark.slow
    def test_categories_of_numbers_are_classes_as_in_memory(self, tiny):
        rng = np.random.default_rng(0)
        codes = pd.Series(np.arange(400) % 25)
        y = pd.DataFrame(
            {"code": codes.astype("category"), "cost": rng.normal(size=400)}
        )
        X = rng.normal(size=(400, 2))
        mixed = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
        chunks = [(X[:200], y[:200]), (X[200:], y[200:])]
        model = MultiTaskOutOfCore(mixed).fit(chunks)
        assert model.estimator_.task_types_ == ["classification", "regression"]
        assert mixed.fit(X, y).task_types_ == model.estimator_.task_types_

    @pytest.mark.slow
    def test_doubts_about_classes_are_those_in_memory(self, tiny):
        """A table of the different targets has each once; there are many of each."""
        n = 600
        rng = np.random.default_rng(0)
        y = pd.DataFrame({"word": rng.integers(0, 25, n), "stars": np.arange(n) % 12})
        y["word"] = "word " + y["word"].astype(str)
        X = rng.normal(size=(n, 2))
        mixed = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
        model = MultiTaskOutOfCore(mixed)
        model.fit([(X[:300], y[:300]), (X[300:], y[300:])])  # no warning
        assert model.estimator_.task_types_ == ["classification"] * 2
        rare = y.assign(stars=np.where(np.arange(n) < 12, np.arange(n), 0))
        for fit in (mixed.fit, lambda X, y: model.fit([(X, y)])):
            with pytest.warns(UserWarning, match=r"classifications: \['stars'\]"):
                fit(X, rare)

    @pytest.mark.slow
    def test_what_tasks_are_is_learnt_from_all_rows(self, tiny):
        """Not from the sample alone: of targets with many values, and with few."""
        n = 30_000
        rng = np.random.default_rng(0)
        X, weight = rng.normal(size=(n, 2)), rng.uniform(1, 2, size=n)
        many, few = rng.lognormal(size=n), rng.integers(5, size=n) / 2
        label = np.zeros(n, dtype=int)
        label[-1] = 7
        y = pd.DataFrame({"many": many, "few": few, "label": label})
        y.loc[:99, "few"] = np.nan
        data = [
            (X[: n // 2], y[: n // 2], weight[: n // 2]),
            (X[n // 2 :], y[n // 2 :], weight[n // 2 :]),
        ]
        model = MultiTaskOutOfCore(
            MultiTaskMMoEMixed(**{**tiny, "max_iter": 1, "batch_size": 1024}),
            sample_size=50,
        ).fit(data)
        tasks = model.estimator_._tasks
        for task, values in zip(tasks, (many, few), strict=False):
            known = ~np.isnan(y[task.name].to_numpy())
            mean = np.average(values[known], weights=weight[known])
            variance = np.average((values[known] - mean) ** 2, weights=weight[known])
            assert task.mean == pytest.approx(mean)
            assert task.scale == pytest.approx(np.sqrt(variance))
        assert tasks[2].classes.tolist() == [0, 7]

    @pytest.mark.slow
    def test_rare_categories_are_known(self, tiny):
        """Ten rows are as many as the encoder asks for."""
        frame = make_frame(20_000, seed=0)
        frame.loc[19_000:19_009, "c"] = "rare"
        frame.loc[19_020:19_025, "c"] = "too rare"
        model = out_of_core(tiny, sample_size=200, max_iter=1, batch_size=1024).fit(
            [frame]
        )
        names = model.estimator_[:-1].get_feature_names_out().tolist()
        assert any(name.endswith("c_rare") for name in names)
        assert not any(name.endswith("too rare") for name in names)

    @pytest.mark.slow
    def test_settings_of_scikit_learn_reach_the_thread_that_reads(self, frame, tiny):
        with config_context(transform_output="pandas"):
            model = out_of_core(tiny, max_iter=1).fit([frame])
        assert model.estimator_[-1].feature_names_in_[0] == "piecewise__a_bin0"

    @pytest.mark.slow
    def test_progress(self, folder, tiny, capsys):
        out_of_core(tiny, max_iter=2, verbose=1).fit(folder)
        printed = capsys.readouterr().out.splitlines()
        assert printed[0] == "600 rows in 4 blocks."
        assert printed[1].startswith("Epoch 1/2, loss ")

    @pytest.mark.slow
    def test_checkpoints(self, folder, tiny, tmp_path):
        """An interrupted fit goes on, and ends with the same bits."""
        import keras

        class Stop(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(epoch)
                if epoch == stop_at:
                    raise KeyboardInterrupt

        seen, stop_at = [], 2
        parameters = {"max_iter": 4, "checkpoint_dir": tmp_path}
        with pytest.raises(KeyboardInterrupt):
            out_of_core(tiny, callbacks=Stop(), **parameters).fit(folder)
        assert list(tmp_path.iterdir())
        with pytest.raises(ValueError, match="'buffer_size' was 150, and is now 90"):
            out_of_core(tiny, buffer_size=90, **parameters).fit(folder)
        seen, stop_at = [], None
        resumed = out_of_core(tiny, callbacks=Stop(), **parameters).fit(folder)
        assert seen == [2, 3]
        whole = out_of_core(tiny, max_iter=4).fit(folder)
        assert resumed.estimator_[-1].loss_curve_ == whole.estimator_[-1].loss_curve_
        found, expected = (model.predict(folder) for model in (resumed, whole))
        pd.testing.assert_frame_equal(found, expected)


class Recorder:
    """Records the rows of every batch that is trained on, by their first feature."""

    def __init__(self, monkeypatch):
        from sklearn_mmoe._training.trainer import Trainer

        self.rows, self.weights, self.targets = [], [], []
        train = Trainer.train

        def recording(trainer, batches, learning_rates):
            counts = batches.weights.any(axis=1)
            self.rows += np.array(batches.features)[counts, 0].astype(int).tolist()
            self.weights.append(batches.weights[counts])
            self.targets.append(batches.targets[0][counts])
            return train(trainer, batches, learning_rates)

        monkeypatch.setattr(Trainer, "train", recording)


@pytest.fixture
def recorder(monkeypatch):
    return Recorder(monkeypatch)


def numbered(n_rows=400, n_chunks=8):
    """Chunks whose first feature is the number of the row."""
    X = np.column_stack([np.arange(n_rows), np.ones(n_rows)]).astype(float)
    y = np.column_stack([np.arange(n_rows), -np.arange(n_rows)]).astype(float)
    size = n_rows // n_chunks
    return [(X[k : k + size], y[k : k + size]) for k in range(0, n_rows, size)]


def regressor(tiny, buffer_size=100, **parameters):
    parameters = {**tiny, "cv": None, **parameters}
    return MultiTaskOutOfCore(
        MultiTaskMMoERegressor(**parameters), buffer_size=buffer_size
    )


class TestOrder:
    def test_every_row_once_an_epoch_in_another_order(self, recorder, tiny):
        regressor(tiny).fit(numbered())
        first, second = recorder.rows[:400], recorder.rows[400:]
        assert sorted(first) == sorted(second) == list(range(400))
        assert first != second
        assert first != sorted(first)

    @pytest.mark.slow
    def test_blocks_are_shuffled_and_mixed(self, recorder, tiny, monkeypatch):
        from sklearn_mmoe.out_of_core import _sources

        monkeypatch.setattr(_sources, "CHUNK_ROWS", 30)
        regressor(tiny, max_iter=1).fit(numbered(4000, 40))
        first = {row // 100 for row in recorder.rows[:96]}
        assert len(first) == 4
        assert first != {0, 1, 2, 3}
        assert sorted(recorder.rows) == list(range(4000))

    def test_a_buffer_for_all_rows_mixes_them_all(self, recorder, tiny):
        regressor(tiny, buffer_size=400, max_iter=1).fit(lambda: iter(numbered()))
        assert len({row // 50 for row in recorder.rows[:64]}) == 8

    def test_what_can_only_be_iterated_is_shuffled_within_the_buffer(
        self, recorder, tiny
    ):
        regressor(tiny, max_iter=1).fit(lambda: iter(numbered()))
        rows = np.array(recorder.rows)
        assert (rows[:96] < 100).all()
        assert rows[:96].tolist() != sorted(rows[:96])
        assert sorted(rows) == list(range(400))

    def test_a_row_goes_with_its_target_and_weight(self, recorder, tiny):
        data = [(X, y, X[:, 0] + 1) for X, y in numbered()]
        regressor(tiny, max_iter=1).fit(data)
        rows = np.array(recorder.rows)
        weights = np.concatenate(recorder.weights)
        expected = (rows + 1) / np.mean(np.arange(400) + 1)
        np.testing.assert_allclose(weights[:, 0], expected, rtol=1e-5)
        targets = np.concatenate(recorder.targets)[:, 0]
        assert np.corrcoef(rows, targets)[0, 1] == pytest.approx(1)

    def test_columns_in_another_order(self, recorder, tiny):
        frames = [pd.DataFrame(X, columns=["a", "b"]) for X, _ in numbered()]
        frames = [frame.assign(y=frame["a"]) for frame in frames]
        data = [frames[0], *(frame[["y", "b", "a"]] for frame in frames[1:])]
        regressor(tiny, max_iter=1).set_params(targets=["y"]).fit(data)
        assert sorted(recorder.rows) == list(range(400))

    def test_large_chunks_are_cut(self, recorder, tiny, monkeypatch):
        from sklearn_mmoe.out_of_core import _sources

        monkeypatch.setattr(_sources, "CHUNK_ROWS", 30)
        data = [(sparse.csr_matrix(X), y) for X, y in numbered()]
        regressor(tiny, max_iter=1).fit(data)
        assert sorted(recorder.rows) == list(range(400))

    def test_batches_larger_than_the_buffer(self, recorder, tiny):
        model = regressor(tiny, buffer_size=1, batch_size=300, max_iter=1)
        model.fit(numbered())
        assert sorted(recorder.rows) == list(range(400))


class TestMissingAndWeights:
    def test_rows_without_target_or_weight_are_left_out(self, recorder, tiny):
        data = numbered()
        data[3][1][:] = np.nan
        data[5][1][:, 0] = np.nan
        data = [(X, y, np.ones(len(X))) for X, y in data]
        data[0][2][:] = 0
        model = regressor(tiny, max_iter=1).fit(data)
        left_out = {*range(50), *range(150, 200)}
        assert sorted(recorder.rows) == sorted(set(range(400)) - left_out)
        assert model.n_rows_ == 300
        weights = np.concatenate(recorder.weights)
        # By default a task counts by the share of the rows that have its target.
        np.testing.assert_allclose(weights.mean(axis=0), [250 / 300, 1], rtol=1e-6)

    def test_a_column_of_weights(self, recorder, tiny):
        frame = pd.DataFrame({"x": np.arange(100.0), "y": 1.0, "w": 1.0})
        frame.loc[:49, "w"] = 0
        estimator = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1})
        model = MultiTaskOutOfCore(estimator, targets=["y"], weight_column="w")
        model.fit([frame[:30], frame[30:]])
        assert sorted(recorder.rows) == list(range(50, 100))
        assert model.n_features_in_ == 1

    @pytest.mark.slow
    def test_a_frame_of_weights_goes_by_its_columns(self, tiny):
        """In training, and for the rows that are set aside."""
        rng = np.random.default_rng(0)
        data = [
            (X, pd.DataFrame(y, columns=["a", "b"]), rng.uniform(size=(len(X), 2)))
            for X, y in numbered()
        ]
        scores = []
        for names in (["a", "b"], ["b", "a"]):
            chunks = [
                (X, y, pd.DataFrame(weight, columns=["a", "b"])[names])
                for X, y, weight in data
            ]
            model = regressor(tiny, early_stopping=True).fit(chunks)
            scores.append(model.estimator_.validation_scores_)
        assert scores[0] == scores[1]

    @pytest.mark.parametrize("exponent", [-700, 0, 700])
    def test_targets_of_any_scale(self, tiny, exponent):
        rng = np.random.default_rng(0)
        X, scale = rng.normal(size=(200, 3)), 2.0**exponent
        y = X[:, :2] * [1, 5] + [0, 100]
        weight = rng.uniform(size=200)
        chunks = [(X[k::4], y[k::4] * scale, weight[k::4]) for k in range(4)]
        model = regressor(tiny, max_iter=1).fit(chunks)
        mean = np.average(y, axis=0, weights=weight)
        deviation = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
        tasks = model.estimator_._tasks
        np.testing.assert_allclose([task.mean / scale for task in tasks], mean)
        np.testing.assert_allclose([task.scale / scale for task in tasks], deviation)

    def test_weights_in_some_chunks_alone(self, recorder, tiny):
        data = [
            (*chunk, np.full(50, 3.0)) if k else chunk
            for k, chunk in enumerate(numbered())
        ]
        regressor(tiny, max_iter=1).fit(data)
        weights = np.concatenate(recorder.weights)[np.argsort(recorder.rows), 0]
        np.testing.assert_allclose(weights[60] / weights[0], 3.0, rtol=1e-6)

    def test_weights_of_classes(self, recorder, tiny):
        """'balanced' counts the rows of all chunks."""
        X = np.arange(80.0)[:, None]
        y = np.repeat(["a", "b"], [60, 20])
        data = [(X[:40], y[:40]), (X[40:], y[40:])]
        parameters = {**tiny, "max_iter": 1, "class_weight": "balanced"}
        MultiTaskOutOfCore(MultiTaskMMoEClassifier(**parameters)).fit(data)
        weights = np.concatenate(recorder.weights)[np.argsort(recorder.rows), 0]
        np.testing.assert_allclose(weights, np.repeat([2 / 3, 2], [60, 20]), rtol=1e-6)

    def test_weights_of_classes_do_not_outweigh_other_tasks(self, tiny):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 3))
        y = pd.DataFrame({"rare": np.repeat(["yes", "no"], [10, 190]), "x": X[:, 0]})
        estimator = MultiTaskMMoEMixed(
            **{**tiny, "max_iter": 1}, class_weight={"rare": "balanced"}
        )
        order = rng.permutation(200)
        chunks = [(X[rows], y.iloc[rows]) for rows in np.split(order, 4)]
        model = MultiTaskOutOfCore(estimator).fit(chunks)
        expected = clone(estimator).fit(X, y)
        scales = [
            [task.loss_scale for task in fitted._tasks]
            for fitted in (model.estimator_, expected)
        ]
        np.testing.assert_allclose(*scales)
        assert scales[0][0] == pytest.approx(1 / np.log(2))

    @pytest.mark.slow
    def test_a_class_for_which_there_are_whole_numbers_and_missing_ones(self, tiny):
        frame = pd.DataFrame({"x": np.arange(60.0), "y": [1, 2, None] * 20})
        table = pa.Table.from_pandas(frame.convert_dtypes(dtype_backend="pyarrow"))
        estimator = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1})
        model = MultiTaskOutOfCore(estimator, targets=["y"]).fit(ds.dataset(table))
        assert model.classes_.dtype.kind == "i"
        assert model.n_rows_ == 40


class TestValidation:
    @pytest.mark.slow
    def test_rows_set_aside_are_not_trained_on(self, recorder, tiny):
        parameters = {"early_stopping": True, "validation_fraction": 0.25}
        model = regressor(tiny, max_iter=1, **parameters).fit(numbered())
        assert (model.n_rows_, model.n_rows_validation_) == (300, 100)
        assert len(set(recorder.rows)) == len(recorder.rows) == 300
        held_out = sorted(set(range(400)) - set(recorder.rows))
        # From all chunks, and so many are no more than half of a smaller sample.
        assert len({row // 50 for row in held_out}) == 8
        model.set_params(sample_size=60).fit(numbered())
        assert model.n_rows_validation_ == 30

    @pytest.mark.slow
    def test_early_stopping_ends_with_the_best_epoch(self, frame, tiny):
        model = out_of_core(
            tiny,
            max_iter=40,
            early_stopping=True,
            n_iter_no_change=1,
            learning_rate=0.1,
            validation_fraction=0.3,
        ).fit([frame])
        last = model.estimator_[-1]
        assert last.n_iter_ < 40
        assert max(last.validation_scores_) == last.best_validation_score_

    def test_rows_of_ones_own(self, frame, tiny):
        other = make_frame(100, seed=2)
        model = out_of_core(tiny, max_iter=2, early_stopping=True)
        model.fit([frame], X_val=other.drop(columns=TARGETS), y_val=other[TARGETS])
        assert (model.n_rows_, model.n_rows_validation_) == (600, 100)
        assert len(model.estimator_[-1].validation_scores_) == 2

    @pytest.mark.slow
    def test_calibration(self, frame, tiny):
        model = out_of_core(tiny, max_iter=2, calibration="temperature").fit([frame])
        assert model.n_rows_validation_ == 60
        assert set(model.estimator_[-1].temperatures_) == {"late"}

    def test_too_few_rows(self, tiny):
        model = regressor(tiny, early_stopping=True)
        with pytest.raises(ValueError, match=r"validation_fraction=0.1 of 2 rows"):
            model.fit([(np.ones((2, 1)), np.arange(2.0))])


class TestPredict:
    @pytest.mark.slow
    def test_the_same_as_in_memory(self, fitted, frame, folder, monkeypatch):
        from sklearn_mmoe.out_of_core import _sources

        monkeypatch.setattr(_sources, "CHUNK_ROWS", 77)
        rows = pd.concat([frame[k::2].assign(part=k) for k in range(2)])
        rows = rows.drop(columns=TARGETS)
        expected = fitted.estimator_.predict(rows)
        # Chunks of another size round differently; some values are near zero.
        single = {"rtol": 1e-5, "atol": 1e-6}
        for data in (rows, [rows[:100], rows[100:]], lambda: iter([rows])):
            found = fitted.predict(data)
            pd.testing.assert_frame_equal(found, expected, **single)
        counted = expected.reset_index(drop=True)  # a folder has no index
        pd.testing.assert_frame_equal(fitted.predict(folder), counted, **single)
        probabilities = fitted.predict_proba(folder)
        expected = fitted.estimator_.predict_proba(rows)
        np.testing.assert_allclose(probabilities[0], expected[0], atol=1e-6)
        assert [len(part) for part in fitted.predict_chunks(rows)] == [77] * 7 + [61]

    @pytest.mark.slow
    def test_scorers_and_pickles(self, fitted, frame):
        rows = frame.drop(columns=TARGETS).assign(part=0)
        scorer = multi_task_scorer({"late": "roc_auc", "cost": "r2"})
        expected = scorer(fitted.estimator_, rows, frame[TARGETS])
        assert scorer(fitted, rows, frame[TARGETS]) == pytest.approx(expected)
        again = pickle.loads(pickle.dumps(fitted)).predict(rows)
        pd.testing.assert_frame_equal(again, fitted.predict(rows))

    def test_tuples_and_arrays(self, tiny):
        model = regressor(tiny, max_iter=1).fit(numbered())
        X = np.concatenate([X for X, _ in numbered()])
        assert model.predict(numbered()).shape == model.predict(X).shape == (400, 2)
        assert not hasattr(model, "predict_proba")

    @pytest.mark.slow
    def test_nothing(self, fitted):
        with pytest.raises(ValueError, match="no rows to predict"):
            fitted.predict([])


def failing(estimator_of, data, error, match, **parameters):
    model = MultiTaskOutOfCore(estimator_of, **parameters)
    with pytest.raises(error, match=match):
        model.fit(data)
    assert not hasattr(model, "estimator_")


class TestBadInput:
    @pytest.fixture
    def reg(self, tiny):
        return MultiTaskMMoERegressor(**{**tiny, "max_iter": 1, "cv": None})

    def test_data_that_can_be_read_once(self, reg):
        data = (chunk for chunk in numbered())
        failing(reg, data, TypeError, "generator, which can be read only once")

    def test_a_function_that_returns_the_same_iterator(self, reg):
        chunks = iter(numbered())
        failing(reg, lambda: chunks, ValueError, "The data has changed")

    @pytest.mark.slow
    def test_rows_that_come_or_go(self, reg):
        for change, told in ((-1, "only 99"), (1, "more")):
            calls = []

            def data(change=change, calls=calls):
                calls.append(1)
                n_rows = 100 + (change if len(calls) > 2 else 0)
                yield np.ones((n_rows, 1)), np.arange(n_rows)

            match = f"100 rows to train on when it was first read, and {told} in epoch"
            failing(reg, data, ValueError, match)

    @pytest.mark.parametrize(("name", "value"), [("cv", 3), ("warm_start", True)])
    def test_parameters_that_need_rows_in_memory(self, reg, name, value):
        failing(reg.set_params(**{name: value}), numbered(), ValueError, f"'{name}'")

    def test_intervals(self, reg):
        bounds = pd.arrays.IntervalArray.from_breaks(np.arange(51.0))
        data = [(np.ones((50, 1)), pd.DataFrame({"dose": bounds}))]
        reg.set_params(loss="tobit")
        failing(reg, data, ValueError, "'dose' has intervals .* all rows in memory")

    def test_a_label_that_comes_later(self, tiny):
        calls = []

        def data():
            calls.append(1)
            yield np.ones((50, 1)), np.array(["a", "b" if len(calls) < 3 else "c"] * 25)

        clf = MultiTaskMMoEClassifier(**tiny)
        failing(clf, data, ValueError, r"labels \['c'\] that are not among its classes")

    @pytest.mark.parametrize(
        ("data", "error", "match"),
        [
            ([], ValueError, "no rows"),
            (lambda: iter([]), ValueError, "no rows"),
            (3, TypeError, "must be a folder of Parquet files"),
            ({"a": 1}, TypeError, "must be a folder of Parquet files"),
            ("/no/such/folder", ValueError, "no folder or file of Parquet"),
            ([np.ones((2, 2))], TypeError, "must be a data frame, or a tuple"),
            (["text"], TypeError, "must be a data frame, or a tuple"),
            ([(np.ones((2, 2)),)], ValueError, "got 1 parts"),
            ([(np.ones((2, 2)), [1])], ValueError, "2 rows in X and 1 in y"),
            ([pd.DataFrame({"x": [1]})], ValueError, r"no columns \['y'\]"),
            (
                [pd.DataFrame({"x": [1], "y": 1}), pd.DataFrame({"z": [1], "y": 1})],
                ValueError,
                r"missing are \['x'\], unknown are \['z'\]",
            ),
            (
                [(np.ones((2, 2)), [1, 2]), (np.ones((2, 3)), [1, 2])],
                ValueError,
                r"unknown are \[2\]",
            ),
        ],
    )
    def test_what_is_no_data(self, reg, data, error, match):
        failing(reg, data, error, match, targets=["y"])

    def test_targets_without_a_name(self, reg):
        failing(reg, [pd.DataFrame({"x": [1]})], ValueError, "'targets' parameter")

    def test_tasks_of_other_names(self, reg):
        X = np.ones((2, 1))
        data = [(X, pd.DataFrame({k: [1, 2], "b": 1})) for k in ("a", "c")]
        failing(reg, data, ValueError, r"missing are \['a'\], unknown are \['c'\]")

    def test_too_many_labels(self, tiny):
        y = np.arange(10_001).astype(str)
        data = [(np.ones((len(y), 1)), y)]
        clf = MultiTaskMMoEClassifier(**tiny)
        failing(clf, data, ValueError, "more than 10000 different labels")
        data = [(np.ones((len(y), 1)), np.arange(len(y)))]
        failing(clf, data, ValueError, "more than 10000 different labels")

    def test_estimators(self, reg):
        failing(Ridge(), numbered(), TypeError, "got Ridge")
        failing(reg.set_params(cv=3), numbered(), ValueError, "'cv' parameter")
        failing(reg, numbered(), ValueError, "sample_size", sample_size=1)

    def test_without_pyarrow(self, reg, folder, monkeypatch):
        for name in [name for name in sys.modules if name.split(".")[0] == "pyarrow"]:
            monkeypatch.setitem(sys.modules, name, None)
        match = r'pip install "sklearn-mmoe\[parquet\]"'
        failing(reg, folder, ImportError, match)

    def test_a_reader_that_fails(self, reg):
        """The error comes as it is from the thread that reads."""
        calls = []

        def data():
            calls.append(1)
            yield numbered()[0]
            if len(calls) == 3:
                raise OSError("no such host")

        failing(reg, data, OSError, "no such host")
