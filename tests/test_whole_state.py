"""A fitted estimator is always whole: read by threads, after errors, after Ctrl-C."""

from __future__ import annotations

import copy
import pickle
import threading

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer


def fitted_state(model):
    """Collect what a fit has set, and the bits of its weights."""
    state = {
        name: copy.deepcopy(value)
        for name, value in vars(model).items()
        if name.endswith("_") and not name.startswith("_")
    }
    state["weights"] = [weight.tobytes() for weight in model.network_.get_weights()]
    return state


def assert_same_state(model, before):
    after = fitted_state(model)
    assert set(after) == set(before)
    for name, value in before.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(after[name], value, check_exact=True)
        else:
            np.testing.assert_equal(after[name], value, err_msg=name)


def interrupt(error, epoch=1):
    import keras

    def fail(at, logs):
        if at == epoch:
            raise error

    return keras.callbacks.LambdaCallback(on_epoch_end=fail)


class TestThreads:
    @pytest.mark.slow
    def test_a_fresh_pickle_is_read_by_many_at_once(
        self, fitted_classifier, labels_data
    ):
        X, _ = labels_data
        expected = np.hstack(fitted_classifier.predict_proba(X))
        pickled = pickle.dumps(fitted_classifier)
        for _ in range(20):
            model = pickle.loads(pickled)
            outputs = self.predict_at_once(model, X, n_threads=16)
            for output in outputs:
                np.testing.assert_array_equal(output, expected)
            np.testing.assert_array_equal(np.hstack(model.predict_proba(X)), expected)

    @pytest.mark.parametrize("what", ["network_", "predict"])
    def test_one_network_is_shown_to_all(self, fitted_classifier, labels_data, what):
        """Also the network is whole before anybody sees it."""
        X, _ = labels_data
        expected = [w.copy() for w in fitted_classifier.network_.get_weights()]
        model = pickle.loads(pickle.dumps(fitted_classifier))
        seen = []

        def look():
            start.wait()
            if what == "predict":
                model.predict(X)
            network = model.network_
            seen.append((network, network.get_weights()))

        start = threading.Barrier(8)
        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(network) for network, _ in seen}) == 1
        for _, weights in seen:
            for weight, of_original in zip(weights, expected, strict=True):
                np.testing.assert_array_equal(weight, of_original)

    def test_while_another_estimator_is_fitted(
        self, fitted_classifier, labels_data, tiny
    ):
        X, y = labels_data
        expected = np.hstack(fitted_classifier.predict_proba(X))
        fits = threading.Thread(
            target=lambda: [MultiTaskMMoEClassifier(**tiny).fit(X, y) for _ in range(3)]
        )
        fits.start()
        while fits.is_alive():
            output = np.hstack(fitted_classifier.predict_proba(X))
            np.testing.assert_array_equal(output, expected)

    @pytest.mark.slow
    def test_fits_at_once_are_those_one_after_the_other(self, labels_data, tiny):
        X, y = labels_data
        models = [
            MultiTaskMMoEClassifier(**{**tiny, "random_state": i}) for i in range(4)
        ]
        expected = [clone(m).fit(X, y).predict_proba(X) for m in models]
        threads = [threading.Thread(target=m.fit, args=(X, y)) for m in models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for model, probabilities in zip(models, expected, strict=True):
            np.testing.assert_array_equal(model.predict_proba(X), probabilities)

    @staticmethod
    def predict_at_once(model, X, n_threads):
        outputs = []
        start = threading.Barrier(n_threads)

        def predict():
            start.wait()
            outputs.append(np.hstack(model.predict_proba(X)))

        threads = [threading.Thread(target=predict) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outputs) == n_threads
        return outputs


def bad_fits(X, y):
    """Give, for each thing that can go wrong, parameters and arguments of a fit."""
    stopping = {"early_stopping": True}
    frame = pd.DataFrame(X).assign(text="x")
    frame.columns = frame.columns.astype(str)
    return {
        "lengths": ({}, (X, y[:-1]), {}),
        "other columns and lengths": ({}, (X[:, :5], y[:-1]), {}),
        "no y": ({}, (X, None), {}),
        "nan": ({}, (np.where(X > 0, np.nan, X), y), {}),
        "text": ({}, (frame, y), {}),
        "continuous labels": ({}, (X[:, :4], X[:, :2]), {}),
        "weights": ({}, (X, y, -np.ones(len(y))), {}),
        "X_val columns": (stopping, (X, y), {"X_val": X[:, :5], "y_val": y}),
        "X_val nan": (stopping, (X, y), {"X_val": X * np.nan, "y_val": y}),
        "y_val length": (stopping, (X, y), {"X_val": X, "y_val": y[:-1]}),
        "y_val tasks": (stopping, (X, y), {"X_val": X, "y_val": y[:, 0]}),
        "y_val labels": (stopping, (X, y), {"X_val": X, "y_val": y + 5}),
        "metric": ({**stopping, "early_stopping_metric": "roc_auk"}, (X, y), {}),
        "metric of many": (
            {**stopping, "early_stopping_metric": multi_task_scorer("roc_auc")},
            (X, y),
            {},
        ),
        "metric that fails": (
            {**stopping, "early_stopping_metric": lambda *args: 1 / 0},
            (X, y),
            {},
        ),
        "callback": ({"callbacks": [3]}, (X, y), {}),
        "callback that fails": (
            {"callbacks": [interrupt(RuntimeError("enough"))]},
            (X, y),
            {},
        ),
        "interrupt": ({"callbacks": [interrupt(KeyboardInterrupt())]}, (X, y), {}),
        "widths": ({"shared_units": (8, 0)}, (X, y), {}),
        "optimizer": ({"optimizer": "adamx"}, (X, y), {}),
        "class_weight": ({"class_weight": [{9: 1}, None]}, (X, y), {}),
        "builder": ({"network": lambda meta: None}, (X, y), {}),
        "diverged": ({"learning_rate": 1e35, "optimizer": "sgd"}, (X * 1e6, y), {}),
    }


@pytest.mark.filterwarnings("ignore:overflow")
class TestErrors:
    @pytest.mark.parametrize("warm_start", [False, True])
    @pytest.mark.parametrize("what", list(bad_fits(np.ones((4, 6)), np.ones((4, 2)))))
    def test_a_failed_fit_leaves_everything_as_it_was(
        self, fitted_classifier, labels_data, what, warm_start
    ):
        X, y = labels_data
        model = copy.deepcopy(fitted_classifier)
        parameters, arguments, keywords = bad_fits(X, y)[what]
        before = fitted_state(model)
        model.set_params(**parameters, warm_start=warm_start)
        with pytest.raises(BaseException):  # noqa: B017, PT011
            model.fit(*arguments, **keywords)
        assert_same_state(model, before)

    @pytest.mark.parametrize("what", list(bad_fits(np.ones((4, 6)), np.ones((4, 2)))))
    def test_what_was_not_fitted_is_not_fitted_after_an_error(
        self, labels_data, tiny, what
    ):
        X, y = labels_data
        parameters, arguments, keywords = bad_fits(X, y)[what]
        model = MultiTaskMMoEClassifier(**{**tiny, **parameters})
        with pytest.raises(BaseException):  # noqa: B017, PT011
            model.fit(*arguments, **keywords)
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        assert not [name for name in vars(model) if name.endswith("_")]

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("cls", [MultiTaskMMoERegressor, MultiTaskMMoEMixed])
    def test_so_it_is_for_the_other_estimators(self, values_data, tiny, cls):
        X, y = values_data
        model = cls(**tiny).fit(X, y)
        before = fitted_state(model)
        for bad_X, bad_y in ((X[:, :5], y[:-1]), (X, y * np.inf)):
            with pytest.raises(ValueError, match=r"samples|infinity"):
                model.fit(bad_X, bad_y)
            assert_same_state(model, before)
        model.set_params(callbacks=interrupt(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[:, :3], y[:, 0])
        assert_same_state(model, before)

    @pytest.mark.slow
    def test_partial_fit(self, labels_data, tiny):
        X, y = labels_data
        model = MultiTaskMMoEClassifier(**tiny).partial_fit(X, y)
        other = copy.deepcopy(model)
        before = fitted_state(model)
        with pytest.raises(ValueError, match="are not among"):
            model.partial_fit(X, y + 5)
        model.set_params(callbacks=[interrupt(KeyboardInterrupt(), epoch=0)])
        with pytest.raises(KeyboardInterrupt):
            model.partial_fit(X, y)
        assert_same_state(model, before)
        # The optimizer's state too: both go on in the same way.
        model.set_params(callbacks=None).partial_fit(X, y)
        assert_same_state(model, fitted_state(other.partial_fit(X, y)))

    def test_errors_come_before_training(self, labels_data, tiny, monkeypatch):
        from sklearn_mmoe._training.engine import Engine

        def fit(*args, **kwargs):
            raise AssertionError("training began")

        monkeypatch.setattr(Engine, "fit", fit)
        late = {"metric of many", "metric that fails", "builder", "diverged"}
        late |= {"callback that fails", "interrupt"}
        for what, (parameters, arguments, keywords) in bad_fits(*labels_data).items():
            if what not in late:
                model = MultiTaskMMoEClassifier(**{**tiny, **parameters})
                with pytest.raises((ValueError, TypeError)):
                    model.fit(*arguments, **keywords)


class TestNumbers:
    @pytest.mark.slow_but_first
    @pytest.mark.filterwarnings("ignore:overflow")
    @pytest.mark.parametrize("early_stopping", [False, True])
    @pytest.mark.parametrize(
        "cls", [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
    )
    def test_a_diverged_fit_raises(self, labels_data, tiny, cls, early_stopping):
        X, y = labels_data
        model = cls(
            **{**tiny, "max_iter": 5},
            optimizer="sgd",
            learning_rate=1e30,
            early_stopping=early_stopping,
        )
        with pytest.raises(ValueError, match=r"diverged.*Lower learning_rate"):
            model.fit(X, y)
        with pytest.raises(NotFittedError):
            model.predict(X)
        if not early_stopping:
            with pytest.raises(ValueError, match=r"diverged.*Lower learning_rate"):
                model.partial_fit(X, y).partial_fit(X, y)

    def test_weights_of_the_last_step_count(self, labels_data, tiny):
        """The loss is that before the step, and so may still be finite."""
        X, y = labels_data
        model = MultiTaskMMoEClassifier(
            **{**tiny, "batch_size": 200, "max_iter": 1},
            optimizer="sgd",
            learning_rate=1e38,
            learning_rate_schedule="constant",
        )
        with pytest.raises(ValueError, match="no longer"):
            model.fit(X * 1e3, y)

    @pytest.mark.slow
    def test_nan_scores_are_no_improvement(self, labels_data, tiny):
        X, y = labels_data
        scores = iter([0.5, np.nan, 0.4, np.nan, 0.3, 0.9, 0.9, 0.9])
        model = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 8},
            early_stopping=True,
            early_stopping_metric=lambda *args: next(scores),
            n_iter_no_change=3,
        )
        with pytest.warns(UserWarning, match="nan after epoch 2") as warned:
            model.fit(X, y)
        assert len(warned) == 1
        np.testing.assert_equal(
            model.validation_scores_, [0.5, np.nan, 0.4, np.nan, 0.3]
        )
        assert model.n_iter_ == 5
        assert model.best_validation_score_ == 0.5
        assert model.best_epoch_ == 1

    def test_nothing_but_nan_stops_and_keeps_the_last_weights(self, labels_data, tiny):
        X, y = labels_data
        model = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 8},
            early_stopping=True,
            early_stopping_metric=lambda *args: np.nan,
            n_iter_no_change=2,
        )
        with pytest.warns(UserWarning, match="is nan"):
            model.fit(X, y)
        assert model.n_iter_ == 3
        assert np.isnan(model.best_validation_score_)
        assert np.isfinite(model.predict_proba(X)[0]).all()


class TestMemory:
    @pytest.mark.slow
    @pytest.mark.parametrize("parameters", [{"cv": 2}, {}, {"early_stopping": True}])
    def test_a_network_is_built_once_for_training_and_evaluation(
        self, labels_data, tiny, monkeypatch, parameters
    ):
        from sklearn_mmoe._training import evaluation, trainer
        from sklearn_mmoe.networks import clear_cache

        built = []
        for module in (evaluation, trainer):
            build = module.build

            def counting(*args, build=build, **options):
                built.append(options)
                return build(*args, **options)

            monkeypatch.setattr(module, "build", counting)
        clear_cache()
        X, y = labels_data
        model = MultiTaskMMoEClassifier(**tiny, **parameters).fit(X, y)
        if "cv" not in parameters:  # of an ensemble fewer members may be left
            model.predict(X)
        assert built == [{"draw": False}]
        clear_cache()

    @pytest.mark.slow
    def test_what_a_callback_changes_reaches_no_other_fit(self, labels_data, tiny):
        from sklearn_mmoe.networks import clear_cache

        class Spoiler(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                for layer in self.model.layers:
                    if hasattr(layer, "gate_temperature"):
                        layer.gate_temperature = 50.0

        X, y = labels_data
        clear_cache()
        expected = MultiTaskMMoEClassifier(**tiny, cv=2).fit(X, y)
        clear_cache()
        MultiTaskMMoEClassifier(**tiny, cv=2, callbacks=[Spoiler()]).fit(X, y)
        model = MultiTaskMMoEClassifier(**tiny, cv=2).fit(X, y)
        pd.testing.assert_frame_equal(model.cv_losses_, expected.cv_losses_)
        clear_cache()

    @pytest.mark.slow
    def test_one_structure_is_traced_once(self, labels_data, tiny, monkeypatch):
        from sklearn_mmoe._training.evaluation import Evaluator
        from sklearn_mmoe._training.trainer import Trainer
        from sklearn_mmoe.networks import clear_cache

        made = []
        for cls in (Trainer, Evaluator):
            init = cls.__init__

            def counting(self, *args, init=init, cls=cls):
                made.append(cls)
                init(self, *args)

            monkeypatch.setattr(cls, "__init__", counting)
        clear_cache()
        X, y = labels_data
        for seed in range(3):
            parameters = {
                **tiny,
                "random_state": seed,
                "learning_rate": 0.1 / (1 + seed),
            }
            MultiTaskMMoEClassifier(**parameters).fit(X, y).predict(X)
        assert sorted(made, key=str) == [Evaluator, Trainer]
        clear_cache()
        MultiTaskMMoEClassifier(**tiny).fit(X, y)
        assert len(made) == 3

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("cv", [None, 2])
    @pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
    def test_strengths_of_regularisation_share_one_trace(
        self, values_data, tiny, monkeypatch, optimizer, cv
    ):
        """Folds differ in them, for they follow from the number of rows."""
        from sklearn_mmoe._training.trainer import Trainer
        from sklearn_mmoe.networks import clear_cache

        made, init = [], Trainer.__init__

        def counting(self, *args):
            made.append(self)
            init(self, *args)

        monkeypatch.setattr(Trainer, "__init__", counting)
        X, y = values_data
        reg = MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 4, "learning_rate": 0.02}, cv=cv, optimizer=optimizer
        )
        fits = [
            ({}, 200),
            ({"feature_penalty": 0.3}, 157),
            ({"weight_decay": 0.9}, 200),
        ]
        shared = []
        clear_cache()
        for parameters, n_rows in fits:
            model = clone(reg).set_params(**parameters).fit(X[:n_rows], y[:n_rows])
            shared.append(model.predict(X))
        assert len(made) == 1
        for (parameters, n_rows), predictions in zip(fits, shared, strict=True):
            clear_cache()
            model = clone(reg).set_params(**parameters).fit(X[:n_rows], y[:n_rows])
            np.testing.assert_array_equal(model.predict(X), predictions)
        clear_cache()
        assert min(np.abs(one - shared[0]).max() for one in shared[1:]) > 1e-4

    @pytest.mark.slow
    def test_few_are_kept(self, labels_data, tiny, monkeypatch):
        from sklearn_mmoe._training import cache

        monkeypatch.setattr(cache, "_MOST_KEPT", 2)
        X, y = labels_data
        for n_features in (3, 4, 5):
            clf = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1})
            clf.fit(X[:, :n_features], y).predict(X[:, :n_features])
        assert sum(map(len, cache._idle_trainers.values())) == 2
        assert len(cache._evaluators) == 2
        monkeypatch.setattr(cache, "_MOST_BYTES", 10)
        cache.clear_cache()
        clf.fit(X, y)
        assert not any(cache._idle_trainers.values())

    def test_what_was_used_last_is_kept(self, monkeypatch):
        from sklearn_mmoe._training import cache

        made = []

        class Small:
            def __init__(self, *arguments):
                made.append(arguments)
                self.n_bytes, self.network = 100, None

        def lend(name):
            return cache.borrow_trainer((name,), Small)

        def borrow(name):
            with lend(name) as trainer:
                return trainer

        class Spec:
            def __init__(self, name):
                self.name = name

            def structure(self, without=None):
                if without is not None:
                    assert {"dropout", "feature_penalty"} <= set(without)
                return self.name

        monkeypatch.setattr(cache, "_MOST_KEPT", 2)
        monkeypatch.setattr(cache, "Evaluator", Small)
        cache.clear_cache()
        try:
            first, other = borrow("a"), borrow("b")
            assert borrow("a") is first
            borrow("c")
            assert borrow("a") is first
            assert borrow("b") is not other
            with lend("b") as one, lend("b") as two:
                assert one is not two
            made.clear()
            kept = [cache.find_evaluator(Spec(name)) for name in "ab"]
            assert cache.find_evaluator(Spec("a")) is kept[0]
            cache.find_evaluator(Spec("c"))
            assert cache.find_evaluator(Spec("a")) is kept[0]
            assert cache.find_evaluator(Spec("b")) is not kept[1]
            assert len(made) == 4
        finally:
            cache.clear_cache()

    def test_what_is_large_or_failed_is_not_kept(self, monkeypatch):
        from sklearn_mmoe._training import cache

        class Sized:
            n_bytes = 100

        def borrow(key, fail=False):
            with cache.borrow_trainer(key, Sized) as trainer:
                if fail:
                    raise KeyError
                return trainer

        cache.clear_cache()
        try:
            monkeypatch.setattr(cache, "_MOST_BYTES", 100)
            kept = borrow("a")
            with pytest.raises(KeyError):
                borrow("a", fail=True)
            failed = borrow("a")
            assert failed is not kept
            assert borrow("a") is failed
            assert borrow(None) is not borrow(None)
            monkeypatch.setattr(cache, "_MOST_BYTES", 99)
            assert borrow("b") is not borrow("b")
        finally:
            cache.clear_cache()

    @pytest.mark.slow
    def test_what_is_kept_changes_no_bit(self, labels_data, tiny):
        from sklearn_mmoe.networks import clear_cache

        X, y = labels_data
        parameters = {**tiny, "early_stopping": True, "optimizer": "nadam"}
        outputs = []
        for clear in (True, False, True):
            if clear:
                clear_cache()
            clf = MultiTaskMMoEClassifier(**parameters).fit(X, y)
            outputs.append(np.hstack(clf.predict_proba(X)))
        np.testing.assert_array_equal(outputs[0], outputs[1])
        np.testing.assert_array_equal(outputs[0], outputs[2])

    @pytest.mark.slow
    @pytest.mark.parametrize("optimizer", ["adamw", "nadam", "object"])
    def test_graphs_are_freed(self, labels_data, tiny, optimizer):
        """TensorFlow keeps the graph of a function that something still holds."""
        import gc

        import keras

        from sklearn_mmoe.networks import clear_cache

        def n_graphs():
            clear_cache()
            gc.collect()
            return sum(type(o).__name__ == "FuncGraph" for o in gc.get_objects())

        X, y = labels_data
        if optimizer == "object":
            optimizer = keras.optimizers.RMSprop(use_ema=True)
        clf = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 1}, activation="silu", optimizer=optimizer
        )
        before = n_graphs()
        for n_features in (2, 3):
            clone(clf).fit(X[:, :n_features], y).predict(X[:, :n_features])
        assert n_graphs() <= before

    @pytest.mark.slow
    @pytest.mark.parametrize("optimizer", ["adamw", "rmsprop"])
    def test_variables_have_names_that_come_again(self, labels_data, tiny, optimizer):
        """TensorFlow keeps 40 KB for each name that a variable has ever had."""
        import keras

        names = []

        class Look(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                variables = [*self.model.variables, *self.model.optimizer.variables]
                names.append([variable.path for variable in variables])

        clf = MultiTaskMMoEClassifier(
            **tiny, dropout=0.0, optimizer=optimizer, callbacks=Look()
        )
        for _ in range(2):
            clone(clf).fit(*labels_data)
        assert names[0] == names[1]
        assert len(set(names[0])) > 20

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("kind", ["csr", "array"])
    def test_prediction_is_bound_by_bytes(self, tiny, monkeypatch, kind):
        from sklearn_mmoe._batches import arrays

        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 50)).astype("float32")
        X = sparse.csr_matrix(X) if kind == "csr" else X
        clf = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1})
        clf.fit(X, rng.integers(2, size=(300, 2)))
        expected = clf.predict_proba(X)
        sizes = []
        take = arrays.DenseRows.take

        def measuring(self, rows):
            part = take(self, rows)
            sizes.append(part.shape[0] * part.shape[1] * 4)
            return part

        monkeypatch.setattr(arrays.DenseRows, "take", measuring)
        monkeypatch.setattr(arrays, "_PREDICTION_BYTES", 70 * 50 * 4)
        np.testing.assert_allclose(clf.predict_proba(X), expected, atol=1e-6)
        assert sizes == [70 * 50 * 4] * 4 + [20 * 50 * 4]


@pytest.mark.slow
def test_a_scorer_of_ours_sees_the_network_of_each_epoch(labels_data, tiny):
    X, y = labels_data
    clf = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 3},
        early_stopping=True,
        early_stopping_metric="neg_log_loss",
        learning_rate_schedule="constant",
    ).fit(X, y, X_val=X, y_val=y)
    assert len(set(clf.validation_scores_)) == 3
    best = mean_task_scorer("neg_log_loss")(clf, X, y)
    assert clf.best_validation_score_ == pytest.approx(best, abs=1e-9)
