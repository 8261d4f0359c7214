"""The kernel ridge regression beside an ensemble of networks."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit, softmax
from sklearn.base import clone
from sklearn.kernel_ridge import KernelRidge as OfScikitLearn
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import GroupKFold, PredefinedSplit

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._training import (
    kernel_ridge,
    kernel_ridge_fit,
    kernel_ridge_weight,
)

SMALL = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "batch_size": 32,
    "max_iter": 12,
    "cv": 3,
    "random_state": 0,
}


def repeats(n_rows=240, n_different=40, seed=0):
    """Rows that nearly repeat others, whose targets no network can tell."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(n_different, size=n_rows)
    X = rng.normal(size=(n_different, 4))[kinds] + rng.normal(size=(n_rows, 4)) * 0.01
    told = rng.normal(size=(n_different, 2))[kinds]
    return X, pd.DataFrame(told * [1, 100] + [0, 500], columns=["low", "high"]), kinds


def classes(y):
    """Two classes of one task, and three of the other."""
    return pd.DataFrame(
        {
            "low": np.where(y["low"] > 0, "yes", "no"),
            "high": pd.cut(y["high"], [-1e4, 450, 550, 1e4], labels=list("abc")),
        }
    ).astype(str)


def linear(n_rows=300, seed=0):
    """What the linear part of a network learns exactly."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 20))
    y = X @ rng.normal(size=(20, 2))
    return X, pd.DataFrame(y, columns=["first", "second"])


@pytest.fixture(scope="module")
def regressor():
    X, y, _ = repeats()
    return MultiTaskMMoERegressor(**SMALL).fit(X, y)


@pytest.fixture(scope="module")
def classifier():
    X, y, _ = repeats()
    return MultiTaskMMoEClassifier(**SMALL).fit(X, classes(y))


def of(estimator):
    return estimator._engine.kernel_ridge


def networks_outputs(estimator, X):
    """What the members say in their mean, without the regression."""
    alone = pickle.loads(pickle.dumps(estimator._engine))
    alone.kernel_ridge = None
    return alone.predict(X.astype(np.float32))


class TestWeight:
    @pytest.mark.slow
    def test_is_high_where_rows_nearly_repeat(self, regressor):
        assert regressor.kernel_ridge_weights_ == {"low": 0.75, "high": 0.75}

    def test_then_it_helps(self, regressor):
        X, y, _ = repeats(seed=0)
        new = X + np.random.default_rng(1).normal(size=X.shape) * 0.01
        without = clone(regressor).set_params(kernel_ridge=None).fit(X, y)
        errors = [
            np.mean(((reg.predict(new) - y) / y.std()) ** 2)
            for reg in (regressor, without)
        ]
        assert errors[0] < 0.3 * errors[1]

    @pytest.mark.slow
    def test_is_none_where_networks_are_better(self):
        X, y = linear()
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 100}).fit(X, y)
        assert reg.kernel_ridge_weights_ == {"first": 0, "second": 0}
        # And the estimator contains no row that it was trained on.
        assert of(reg) is None

    def test_has_to_be_clear(self, monkeypatch):
        """Not by chance, of which a difference in few rows may be."""
        X, y, _ = repeats()
        monkeypatch.setattr(kernel_ridge_weight, "_CLEARLY", 1e3)
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 2}).fit(X, y)
        assert set(reg.kernel_ridge_weights_.values()) == {0}

    def test_is_chosen_by_the_folds_that_are_given(self):
        """Rows that repeat others of their own fold alone are of no use."""
        X, y, kinds = repeats()
        splits = list(GroupKFold(3).split(X, y, kinds))
        reg = MultiTaskMMoERegressor(**{**SMALL, "cv": splits}).fit(X, y)
        assert set(reg.kernel_ridge_weights_.values()) == {0}

    @pytest.mark.slow
    def test_is_of_each_group_of_tasks(self):
        """A task of few targets has its own."""
        X, y, _ = repeats(600)
        y["high"] = np.random.default_rng(0).normal(size=600)
        y.loc[100:, "high"] = np.nan
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 8}).fit(X, y)
        assert reg.kernel_ridge_weights_["low"] > 0.25
        assert reg.kernel_ridge_weights_["high"] == 0
        assert of(reg).coefficients.shape == (600, 1)

    @pytest.mark.parametrize(
        ("limit", "value"), [("_MOST_ROWS", 239), ("_MOST_NUMBERS", 959)]
    )
    def test_is_none_of_tables_that_are_too_large(self, limit, value, monkeypatch):
        monkeypatch.setattr(kernel_ridge_weight, limit, value)
        X, y, _ = repeats()
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}).fit(X, y)
        assert set(reg.kernel_ridge_weights_.values()) == {0}

    def test_is_none_of_rows_that_are_all_the_same(self):
        _, y, _ = repeats()
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1})
        reg.fit(np.zeros((240, 4)), y)
        assert set(reg.kernel_ridge_weights_.values()) == {0}

    def test_can_be_told_to_be_none(self):
        X, y, _ = repeats()
        reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}, kernel_ridge=None)
        assert set(reg.fit(X, y).kernel_ridge_weights_.values()) == {0}
        assert of(reg) is None
        with pytest.raises(ValueError, match="'kernel_ridge' parameter"):
            reg.set_params(kernel_ridge="rbf").fit(X, y)

    def test_is_unknown_without_cross_validation(self):
        X, y, _ = repeats()
        reg = MultiTaskMMoERegressor(**{**SMALL, "cv": None, "max_iter": 1}).fit(X, y)
        assert reg.kernel_ridge_weights_ is None
        assert of(reg) is None

    @pytest.mark.slow
    def test_is_none_of_other_losses_and_of_chains(self):
        X, y, _ = repeats()
        first = y["low"] > 0
        y = y.assign(
            first=np.where(first, "yes", "no"),
            then=np.where(first & (y["high"] > 450), "yes", "no"),
        )
        model = MultiTaskMMoEMixed(
            **{**SMALL, "max_iter": 4},
            loss={"high": "huber"},
            task_dependencies={"then": "first"},
        ).fit(X, y)
        weights = model.kernel_ridge_weights_
        assert weights.pop("low") > 0
        assert weights == {"high": 0, "first": 0, "then": 0}


class TestPrediction:
    def test_is_the_weighted_mean_of_values(self, regressor):
        X, *_ = repeats(seed=3)
        expected = [
            0.25 * own + 0.75 * other
            for own, other in zip(
                networks_outputs(regressor, X),
                of(regressor).outputs(["regression"] * 2, X),
                strict=True,
            )
        ]
        found = regressor._engine.predict(X.astype(np.float32))
        np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.slow
    def test_is_the_weighted_mean_of_probabilities(self, classifier):
        X, *_ = repeats(seed=3)
        networks = networks_outputs(classifier, X)
        two, three = of(classifier).outputs(["binary", "multiclass"], X)
        share = classifier.kernel_ridge_weights_["low"]
        expected = (1 - share) * expit(networks[0]) + share * expit(two)
        found = classifier.predict_proba(X)
        np.testing.assert_allclose(found[0][:, [1]], expected, atol=1e-5)
        share = classifier.kernel_ridge_weights_["high"]
        expected = (1 - share) * softmax(networks[1], axis=1) + share * softmax(
            three, axis=1
        )
        np.testing.assert_allclose(found[1], expected, atol=1e-5)

    def test_is_that_of_kernel_ridge_regression(self, regressor):
        """Of scikit-learn, with the same kernel and penalty."""
        X, y, _ = repeats()
        fitted = of(regressor)
        # The squashed and weighted features of the rows, in the order of X.
        z = np.tanh((X - fitted.center) / fitted.scale) * fitted.feature_weights
        np.testing.assert_allclose(fitted.rows, z, atol=1e-6)
        kernel = np.exp(-euclidean_distances(z) / fitted.length)
        targets = ((y - y.mean()) / y.std(ddof=0)).to_numpy()
        found = np.column_stack(fitted.outputs(["regression"] * 2, X))
        penalties = kernel_ridge_fit._PENALTIES
        differences = [
            abs(
                OfScikitLearn(alpha=alpha, kernel="precomputed")
                .fit(kernel, targets)
                .predict(kernel)
                - found
            ).max()
            for alpha in penalties
        ]
        # But for the slopes, by which it is believed, of hardly less than 1.
        assert min(differences) < 0.05

    def test_of_wild_values_is_no_wilder(self, regressor):
        """The features are squashed."""
        X, *_ = repeats()
        wild = X[:5] * 1e6
        others = of(regressor).outputs(["regression"] * 2, wild)
        assert np.abs(others).max() < 10

    def test_of_few_rows_is_the_same(self, regressor):
        X, *_ = repeats(seed=3)
        one_by_one = pd.concat([regressor.predict(X[i : i + 1]) for i in range(5)])
        np.testing.assert_allclose(one_by_one, regressor.predict(X)[:5], rtol=1e-5)

    @pytest.mark.slow
    def test_of_known_rows_does_not_depend_on_how_many(self, tmp_path):
        """The distance of a row to itself is 0, not what its squares round to."""
        onnxruntime = pytest.importorskip("onnxruntime")
        rng = np.random.default_rng(0)
        kinds = rng.integers(40, size=240)
        X = rng.normal(size=(40, 200))[kinds] + rng.normal(size=(240, 200)) * 0.01
        y = rng.normal(size=(40, 2))[kinds]
        model = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}, dtype="float64")
        model.fit(X, y)
        assert min(model.kernel_ridge_weights_.values()) > 0
        model.export_onnx(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        name = session.get_inputs()[0].name
        for predict in (
            lambda x: of(model).outputs(["regression"] * 2, x),
            model.network_.get_layer("kernel_ridge"),
            lambda x: session.run(None, {name: x}),
        ):
            together = np.array(predict(X[:20]))
            one_by_one = [np.array(predict(X[i : i + 1])) for i in range(20)]
            alone = np.concatenate(one_by_one, axis=1)
            np.testing.assert_allclose(together, alone, rtol=0, atol=1e-11)
        found = np.column_stack(session.run(None, {name: X}))
        np.testing.assert_allclose(found, model.predict(X), rtol=0, atol=1e-10)

    def test_of_sparse_features_is_the_same(self, regressor):
        from scipy.sparse import csr_matrix

        X, *_ = repeats(seed=3)
        np.testing.assert_allclose(
            regressor.predict(csr_matrix(X)), regressor.predict(X), rtol=1e-5
        )

    def test_in_parts_is_the_same(self, regressor, monkeypatch):
        X, *_ = repeats(seed=3)
        before = regressor.predict(X)
        monkeypatch.setattr(kernel_ridge, "_ROWS_AT_ONCE", 7)
        np.testing.assert_allclose(regressor.predict(X), before, rtol=1e-6)

    @pytest.mark.slow
    def test_a_probability_is_never_nothing(self, classifier):
        X, *_ = repeats()
        two, three = of(classifier).outputs(["binary", "multiclass"], X)
        assert np.abs(two).max() == pytest.approx(logit(0.999))
        assert three.min() == pytest.approx(np.log(0.001))

    def test_the_spread_is_that_of_members_and_regression(self, regressor):
        X, *_ = repeats(seed=3)
        _, std = regressor.predict(X, return_std=True)
        members = regressor._engine.predict_members(X.astype(np.float32))
        others = of(regressor).outputs(["regression"] * 2, X)
        weights = regressor._engine.spec.member_weights
        for k, (name, known) in enumerate(repeats()[1].items()):
            of_members = np.ones(len(members[k])) if weights is None else weights[k]
            counts = np.append(0.25 * of_members / np.sum(of_members), 0.75)
            voters = np.vstack([members[k][..., 0], others[k].T])
            mean = np.average(voters, axis=0, weights=counts)
            variance = np.average((voters - mean) ** 2, axis=0, weights=counts)
            expected = np.sqrt(variance) * known.std(ddof=0)
            np.testing.assert_allclose(std[name], expected, rtol=1e-3, atol=1e-5)


class TestWhatIsHandedOut:
    @pytest.mark.slow
    def test_the_network_has_it(self, regressor, classifier):
        X, *_ = repeats(seed=3)
        for estimator in (regressor, classifier):
            outputs = estimator.network_(X.astype(np.float32))
            expected = estimator._engine.predict(X.astype(np.float32))
            for found, wanted in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_the_network_has_gradients_at_the_rows_that_it_knows(self, regressor):
        import tensorflow as tf

        x = tf.constant(repeats()[0].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(x)
            low, _ = regressor.network_(x)
        assert np.isfinite(tape.gradient(low, x).numpy()).all()

    @pytest.mark.slow
    def test_of_tasks_in_which_it_counts(self, tmp_path):
        """And the other layers have the weights that they had."""
        X, y, _ = repeats(600)
        y["high"] = np.random.default_rng(0).normal(size=600)
        y.loc[100:, "high"] = np.nan
        options = {**SMALL, "max_iter": 4}
        reg = MultiTaskMMoERegressor(**options).fit(X, y[["high", "low"]])
        assert [w > 0 for w in reg.kernel_ridge_weights_.values()] == [False, True]
        expected = reg.predict(X)
        outputs = reg.network_(X.astype(np.float32))
        found = reg._engine.predict(X.astype(np.float32))
        np.testing.assert_allclose(np.array(outputs), found, atol=1e-4)
        np.testing.assert_array_equal(reg.predict(X), expected)
        reg.save(tmp_path / "model.mmoe")
        np.testing.assert_array_equal(
            load(tmp_path / "model.mmoe").predict(X), expected
        )

    @pytest.mark.slow
    def test_a_saved_network_has_it(self, classifier, tmp_path):
        X, *_ = repeats(seed=3)
        X = X.astype(np.float32)
        classifier.network_.save(tmp_path / "network.keras")
        again = keras.saving.load_model(tmp_path / "network.keras")
        for found, wanted in zip(again(X), classifier.network_(X), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)

    def test_files_have_it(self, regressor, classifier, tmp_path):
        X, *_ = repeats(seed=3)
        for estimator in (regressor, classifier):
            estimator.save(tmp_path / "model.mmoe")
            again = load(tmp_path / "model.mmoe")
            np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
            assert again.kernel_ridge_weights_ == estimator.kernel_ridge_weights_
            by_pickle = pickle.loads(pickle.dumps(estimator))
            np.testing.assert_array_equal(by_pickle.predict(X), estimator.predict(X))

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("kind", ["values", "classes"])
    def test_onnx_has_it(self, kind, dtype, tmp_path):
        onnxruntime = pytest.importorskip("onnxruntime")
        X, y, _ = repeats()
        cls = {"values": MultiTaskMMoERegressor, "classes": MultiTaskMMoEClassifier}
        y = y if kind == "values" else classes(y)
        model = cls[kind](**{**SMALL, "max_iter": 2}, dtype=dtype).fit(X, y)
        assert min(model.kernel_ridge_weights_.values()) > 0
        model.export_onnx(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        new = repeats(seed=3)[0]
        found = session.run(None, {session.get_inputs()[0].name: new.astype(dtype)})
        if kind == "values":
            expected = list(model.predict(new.astype(dtype)).to_numpy().T)
        else:
            found = [output for output in found if output.ndim == 2]
            expected = model.predict_proba(new.astype(dtype))
        for output, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.squeeze(output), wanted, rtol=1e-4, atol=1e-5)
        # In double precision all round alike, at every step.
        if dtype == "float64":
            outputs = model._engine.predict(new)
            for output, wanted in zip(model.network_(new), outputs, strict=True):
                np.testing.assert_allclose(output, wanted, rtol=1e-9, atol=1e-9)
            for output, wanted in zip(found, expected, strict=True):
                np.testing.assert_allclose(
                    np.squeeze(output), wanted, rtol=1e-9, atol=1e-9
                )
        none = session.run(None, {session.get_inputs()[0].name: new[:0].astype(dtype)})
        assert all(len(output) == 0 for output in none)

    def test_the_summary_has_it(self, regressor):
        assert "kernel ridge regression" in regressor.summary()["part"].to_list()
        # The networks' weights alone.
        assert regressor.n_parameters_ < regressor.network_.count_params()

    def test_a_drawing_of_the_network_says_so(self, regressor):
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        from sklearn_mmoe.inspection import NetworkDisplay

        title = NetworkDisplay.from_estimator(regressor).ax_.get_title()
        assert title.endswith("with those of a kernel ridge regression")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"length": -1.0}, "lengths"),
            ({"length": "long"}, "lengths"),
            ({"shares": (0.75, 1.5)}, "weight of 1.5"),
            ({"shares": (0.75,)}, "other tasks"),
            ({"widths": (1, 0)}, "coefficients|columns"),
            ({"length": float("inf")}, "lengths"),
            ({"shares": (0.5, 0.75)}, "weights of"),
        ],
    )
    def test_a_file_that_says_something_else_is_refused(
        self, change, message, regressor, tmp_path, monkeypatch
    ):
        from sklearn_mmoe._files import estimator as files

        said = files.describe_kernel_ridge(of(regressor))
        monkeypatch.setattr(
            files, "describe_kernel_ridge", lambda fitted: {**said, **change}
        )
        regressor.save(tmp_path / "model.mmoe")
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "model.mmoe")


@pytest.mark.parametrize("name", ["scale", "coefficients", "rows"])
def test_a_file_of_numbers_that_are_none_is_refused(
    name, regressor, tmp_path, monkeypatch
):
    from sklearn_mmoe._files import estimator as files

    arrays = files.kernel_ridge_arrays(of(regressor))
    wrong = {key: a * np.nan if name in key else a for key, a in arrays.items()}
    monkeypatch.setattr(files, "kernel_ridge_arrays", lambda fitted: wrong)
    regressor.save(tmp_path / "model.mmoe")
    with pytest.raises(ValueError, match="not finite"):
        load(tmp_path / "model.mmoe")


def test_weights_of_other_tasks_in_a_file_are_refused(regressor, tmp_path, monkeypatch):
    said = {"other": 0.75, "high": 0.75}
    monkeypatch.setattr(regressor, "kernel_ridge_weights_", said)
    regressor.save(tmp_path / "model.mmoe")
    with pytest.raises(ValueError, match="weights of"):
        load(tmp_path / "model.mmoe")


def test_files_of_features_that_are_tiny_are_read(tmp_path):
    X, y, _ = repeats()
    X = X * 1e-9
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 2}).fit(X, y)
    assert reg.kernel_ridge_weights_["low"] > 0
    reg.save(tmp_path / "model.mmoe")
    np.testing.assert_array_equal(
        load(tmp_path / "model.mmoe").predict(X), reg.predict(X)
    )


def fit(features, targets, weights=None, folds=None, task_weight=None, fills=None):
    """Fit without any network, one column for each task."""
    n_rows = len(features)
    columns = np.column_stack(targets).astype(float)
    weights = np.ones(n_rows) if weights is None else weights
    of_columns = np.ones(len(targets)) if task_weight is None else task_weight
    problem = kernel_ridge_fit.Problem(
        rows=np.empty((n_rows, 0), dtype=np.float32),
        targets=columns,
        fills=fills,
        weights=np.where(
            np.isnan(columns), 0, np.outer(weights, of_columns / np.nanvar(columns, 0))
        ),
        row_weights=weights,
        folds=np.arange(n_rows) % 4 if folds is None else folds,
    )
    fitted = kernel_ridge_fit.fit_kernel_ridge(features, problem, [1] * len(targets))
    return fitted and (fitted[0], [fitted[1][:, [k]] for k in range(len(targets))])


class TestFit:
    def test_rows_are_predicted_by_other_folds_alone(self):
        """Of targets that are chance, nothing is known; rows themselves know them."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(400, 3)), rng.normal(size=400)
        _, (held_out,) = fit(X, [y])
        assert abs(np.corrcoef(held_out[:, 0], y)[0, 1]) < 0.2

    def test_weights_of_features_are_of_other_folds_too(self, monkeypatch):
        """Or features that go with a row's own target by chance would count."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(60, 300)), rng.normal(size=60)
        seen = []
        weigh = kernel_ridge_fit._weighted
        monkeypatch.setattr(
            kernel_ridge_fit,
            "_weighted",
            lambda problem, *how: seen.append(problem) or weigh(problem, *how),
        )
        _, (held_out,) = fit(X, [y])
        left_out = [set(range(4)) - set(problem.folds) for problem in seen]
        assert left_out == [{0}, {1}, {2}, {3}, set()]
        assert held_out.std() < 0.5

    def test_features_of_no_use_count_less(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 10))
        fitted, _ = fit(X, [np.sin(2 * X[:, 0]) * X[:, 1]])
        weights = fitted.feature_weights
        assert weights[:2].min() > 2 * weights[2:].max()
        assert weights.max() == 1

    def test_it_does_not_depend_on_scales(self):
        X, y, _ = repeats()
        X, y = X * 3, y.to_numpy()
        first, (held_out, _) = fit(X, [y[:, 0], y[:, 1]])
        second, (again, _) = fit(X * 100 + 50, [y[:, 0], y[:, 1] * 1e4])
        np.testing.assert_allclose(again, held_out, atol=1e-3)
        assert second.length == pytest.approx(first.length, rel=1e-4)

    @pytest.mark.parametrize("factor", [1e-30, 1e-9])
    def test_features_that_are_all_tiny_are_brought_to_one_scale(self, factor):
        X, y, _ = repeats()
        _, (held_out, _) = fit(X, list(y.to_numpy().T))
        _, (again, _) = fit(X * factor, list(y.to_numpy().T))
        np.testing.assert_allclose(again, held_out, atol=1.0)
        assert np.corrcoef(again[:, 0], y["low"])[0, 1] > 0.9

    def test_features_below_one_keep_their_scale(self):
        """Those of rare categories would be farthest otherwise."""
        X = np.random.default_rng(0).normal(size=(100, 2)) * [0.1, 10]
        fitted, _ = fit(X, [X[:, 0]])
        assert fitted.scale == pytest.approx([1, 10], rel=0.2)

    def test_rows_count_by_their_weights(self):
        """Of rows that repeat each other, with other targets."""
        rng = np.random.default_rng(0)
        X = np.repeat(rng.normal(size=(50, 2)), 2, axis=0)
        y = np.tile([-1.0, 1.0], 50)
        weights = np.tile([1.0, 99.0], 50)
        folds = np.repeat(np.arange(50) % 4, 2)
        fitted, _ = fit(X, [y + X[:, 0]], weights, folds)
        (values,) = fitted.counting([0.5]).outputs(["regression"], X)
        assert np.mean(values[:, 0] - X[:, 0]) > 0.8
        expected = np.average(y + X[:, 0], weights=weights)
        assert fitted.means == pytest.approx([expected])
        # Of all rows alike, the scale of their weights is of no account.
        fitted, (held_out,) = fit(X, [X[:, 0]], weights, folds)
        _, (again,) = fit(X, [X[:, 0]], weights * 1e3, folds)
        np.testing.assert_allclose(again, held_out, atol=1e-4)

    def test_a_task_of_chance_is_hardly_believed(self):
        """Beside one for which the penalty is low."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 1))
        tasks = [np.sin(6 * X[:, 0]), rng.normal(size=300)]
        fitted, (told, chance) = fit(X, tasks, task_weight=[1.0, 0.01])
        assert np.corrcoef(told[:, 0], tasks[0])[0, 1] > 0.95
        assert chance.std() < 0.2
        both = fitted.counting([0.5, 0.5]).outputs(["regression"] * 2, X)
        assert both[1].std() < 0.2

    def test_the_penalty_is_that_of_the_task_that_counts(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(300, 2))
        noisy = X[:, 0] + rng.normal(size=300) * 3
        tasks = [np.sin(3 * X[:, 1]), noisy]
        errors = []
        for weights in ([1.0, 1e-6], [1e-6, 1.0]):
            _, (told, _) = fit(X, tasks, task_weight=weights)
            errors.append(np.mean((told[:, 0] - tasks[0]) ** 2))
        assert errors[0] < 0.5 * errors[1]

    def test_numbers_that_are_not_finite_fit_nothing(self):
        X = np.ones((40, 2))
        X[0] = np.nan
        assert fit(X, [np.arange(40.0)]) is None

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize("n_features", [1, 4])
    @pytest.mark.parametrize("wild", [-9999, 1e4, 1e6])
    def test_one_wild_value_is_no_harm(self, wild, n_features):
        """All others are nearly the same beside it."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(400, n_features))
        y = X[:, 0] + rng.normal(size=400)
        X[0] = wild
        _, (held_out,) = fit(X, [y])
        assert np.isfinite(held_out).all()

    def test_rows_of_wild_scales_are_no_harm(self):
        rng = np.random.default_rng(0)
        X = np.exp(5 * rng.normal(size=(600, 2)))
        _, (held_out,) = fit(X, [rng.normal(size=600)])
        assert np.isfinite(held_out).all()

    @pytest.mark.parametrize("weight", [1e-38, 1e-8, 1e9])
    def test_rows_of_wild_weights_are_no_harm(self, weight):
        """Of rows that repeat others, which only the penalty tells apart."""
        X, y, _ = repeats()
        weights = np.ones(240)
        weights[:15] = weight
        _, (held_out, _) = fit(np.round(X, 1), list(y.to_numpy().T), weights)
        assert np.isfinite(held_out).all()

    def test_rows_that_are_the_same_without_a_fold_fit_nothing(self):
        X = np.zeros((200, 1))
        X[7] = 1
        assert fit(X, [np.arange(200.0)]) is None

    @pytest.mark.slow
    def test_each_fold_is_among_those_that_are_compared_by(self):
        """However rows and folds alternate."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(1700, 2)), rng.normal(size=1700)
        few = np.isin(np.arange(1700), [3, 5, 7]).astype(int)
        for folds in (np.arange(1700) % 2, few):
            _, (held_out,) = fit(X, [y], folds=folds)
            assert np.isfinite(held_out).all()

    def test_missing_targets_are_those_of_who_has_not_seen_the_fold(self):
        """Or rows of a fold would be predicted by what knows them."""
        rng = np.random.default_rng(0)
        X = np.repeat(rng.normal(size=(60, 3)), 5, axis=0)
        y = rng.normal(size=300)
        folds = np.repeat(np.arange(60) % 4, 5)  # copies of a row are in its fold
        folds[1::5] = (folds[1::5] + 1) % 4  # but one, whose target is missing
        y[1::5] = np.nan
        known_by = np.zeros((5, 300, 1))
        known_by[:, 1::5, 0] = np.nanmean(y.reshape(60, 5), axis=1)
        for fold in range(4):  # a fold's own targets are unknown to its members
            own = np.flatnonzero(folds[::5] == fold) * 5 + 1
            known_by[fold, own] = 0
        _, (held_out,) = fit(X, [y], folds=folds, fills=known_by)
        known = ~np.isnan(y)
        assert abs(np.corrcoef(held_out[known, 0], y[known])[0, 1]) < 0.3
        known_by[:4] = known_by[4]  # what it would be like otherwise
        _, (held_out,) = fit(X, [y], folds=folds, fills=known_by)
        assert np.corrcoef(held_out[known, 0], y[known])[0, 1] > 0.4

    def test_is_the_same_with_fewer_gradients(self, monkeypatch):
        """Of many tasks those of mixtures are taken."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(200, 8))
        targets = [np.sin(X[:, k % 2] * (1 + k / 20)) for k in range(20)]
        few, _ = fit(X, targets)
        monkeypatch.setattr(kernel_ridge_fit, "_MOST_GRADIENTS", 20)
        all_of_them, _ = fit(X, targets)
        assert few.feature_weights[:2].min() > 2 * few.feature_weights[2:].max()
        np.testing.assert_allclose(
            few.feature_weights, all_of_them.feature_weights, atol=0.3
        )

    def test_more_rows_are_compared_by_some(self, monkeypatch):
        X, y, _ = repeats()
        monkeypatch.setattr(kernel_ridge_fit, "_MOST_ROWS_COMPARED", 100)
        fitted, (held_out, _) = fit(X, list(y.to_numpy().T))
        assert fitted.rows.shape == (240, 4)
        assert np.corrcoef(held_out[:, 0], y["low"])[0, 1] > 0.8


@pytest.mark.slow
def test_missing_targets_are_those_of_the_ensemble():
    """And not zero, towards which all rows near them would go."""
    X, y, kinds = repeats(400)
    y.loc[kinds % 4 == 0, "low"] = np.nan  # of some kinds of rows nothing is known
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 4}).fit(X, y)
    known = kinds % 4 > 0
    low, _ = of(reg).outputs(["regression"] * 2, X)
    networks = networks_outputs(reg, X)[0]
    assert np.corrcoef(low[~known, 0], networks[~known, 0])[0, 1] > 0.8
    errors = reg.predict(X)["low"] - repeats(400)[1]["low"]
    assert errors[known].std() < 0.5 * y["low"].std()


@pytest.mark.slow
def test_members_that_have_not_seen_a_fold_fill_in_for_it(monkeypatch):
    """Not those that have: their outputs would tell the fold's own targets."""
    X, y, kinds = repeats(300)
    y.loc[kinds % 4 == 0, "low"] = np.nan
    seen = []
    monkeypatch.setattr(
        kernel_ridge_weight,
        "fit_kernel_ridge",
        lambda features, problem, widths: seen.append(problem),
    )
    strength = {"feature_penalty": 0.1, "weight_decay": 0.1, "dropout": 0.0}
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 2, **strength})
    reg.fit(X, y)
    (problem,) = seen
    members = reg._engine.predict_members(X.astype(np.float32))[0]
    np.testing.assert_allclose(problem.fills[:3, :, 0], members[..., 0], atol=1e-5)
    np.testing.assert_allclose(
        problem.fills[3, :, 0], members[..., 0].mean(axis=0), atol=1e-5
    )
    missing = np.isnan(problem.targets)
    assert missing[:, 0].sum() == y["low"].isna().sum()
    assert not missing[:, 1].any()
    assert not problem.weights[missing].any()


@pytest.mark.slow
def test_one_tasks_weights_are_not_anothers(monkeypatch):
    """Those of a task of few targets are high, and theirs alone."""
    X, y, _ = repeats(300)
    y.loc[60:, "low"] = np.nan
    seen = []
    monkeypatch.setattr(
        kernel_ridge_weight,
        "fit_kernel_ridge",
        lambda features, problem, widths: seen.append(problem),
    )
    MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}).fit(X, y)
    np.testing.assert_allclose(seen[0].row_weights, 1)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
def test_training_that_goes_on_drops_it(how):
    """It knows rows of before, and cannot learn."""
    X, y, _ = repeats()
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 3}).fit(X, y)
    assert reg.kernel_ridge_weights_["low"] > 0
    if how == "partial_fit":
        reg.partial_fit(X, y)
    else:
        reg.set_params(warm_start=True, cv=None).fit(X, y)
    assert reg.kernel_ridge_weights_ == {"low": 0, "high": 0}
    assert of(reg) is None


@pytest.mark.slow
def test_a_task_that_it_would_hurt_has_none():
    """Beside one that it helps much more."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 6))
    kind = rng.integers(40, size=400)
    X[:, :3] = rng.normal(size=(40, 3))[kind]
    told, straight = rng.normal(size=40)[kind], X @ np.ones(6)
    y = pd.DataFrame({"told": told, "straight": straight})
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 100}).fit(X, y)
    assert reg.kernel_ridge_weights_["told"] > 0
    assert reg.kernel_ridge_weights_["straight"] == 0


@pytest.mark.parametrize("by", ["weights", "targets"])
def test_a_fold_may_have_no_row_that_counts(by):
    X, y, _ = repeats()
    folds = np.arange(240) % 3
    y.loc[::5, "low"] = np.nan
    weight = (folds != 2).astype(float) if by == "weights" else None
    if by == "targets":
        y[folds == 2] = np.nan
    options = {**SMALL, "max_iter": 3, "cv": PredefinedSplit(folds)}
    reg = MultiTaskMMoERegressor(**options).fit(X, y, sample_weight=weight)
    assert reg.kernel_ridge_weights_["high"] > 0


@pytest.mark.slow
def test_one_fold_alone_fits_nothing():
    X, y, _ = repeats()
    folds = np.arange(240) % 2
    options = {**SMALL, "max_iter": 1, "cv": PredefinedSplit(folds)}
    reg = MultiTaskMMoERegressor(**options)
    # Of several targets that is refused: one of the networks would have none.
    with pytest.raises(ValueError, match=r"all targets of the task 'low' in .* fold 0"):
        reg.fit(X, y, sample_weight=(folds != 1).astype(float))
    reg.fit(X, y, sample_weight=(np.arange(240) == 0).astype(float))
    assert set(reg.kernel_ridge_weights_.values()) == {0}


def test_many_folds_fit_nothing(monkeypatch):
    """Each takes as long as all rows."""
    monkeypatch.setattr(kernel_ridge_weight, "_MOST_FOLDS", 2)
    X, y, _ = repeats()
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1}).fit(X, y)
    assert set(reg.kernel_ridge_weights_.values()) == {0}


@pytest.mark.slow
@pytest.mark.parametrize("features", ["interleaved", "rare", "grouped"])
def test_folds_that_are_given_may_be_of_any_kind(features):
    X, y, _ = repeats()
    cv = PredefinedSplit(np.arange(240) % 2)
    if features == "rare":
        X = np.zeros((240, 1))
        X[7] = 1
    if features == "grouped":
        X = (np.arange(240) >= 120).astype(float).reshape(-1, 1)
        cv = PredefinedSplit(np.arange(240) >= 120)
    reg = MultiTaskMMoERegressor(**{**SMALL, "max_iter": 1, "cv": cv}).fit(X, y)
    assert np.isfinite(reg.predict(X)).all(axis=None)
