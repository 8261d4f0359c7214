"""What both estimators do for a user: shapes, labels, weights, curves, searches."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import is_classifier, is_regressor
from sklearn.metrics import f1_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.estimators._fit_data import FitData
from sklearn_mmoe.estimators._parameters import by_rows
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor


@pytest.mark.slow
def test_two_binary_tasks(fitted_classifier, labels_data):
    X, _ = labels_data
    clf = fitted_classifier
    assert is_classifier(clf)
    assert clf.predict(X).shape == (200, 2)
    probabilities = clf.predict_proba(X)
    assert [p.shape for p in probabilities] == [(200, 2)] * 2
    for k, probability in enumerate(probabilities):
        np.testing.assert_allclose(probability.sum(axis=1), 1)
        np.testing.assert_array_equal(
            clf.predict(X)[:, k], clf.classes_[k][probability.argmax(axis=1)]
        )
        np.testing.assert_allclose(
            clf.predict_log_proba(X)[k], np.log(probability), rtol=1e-6
        )
    assert [list(labels) for labels in clf.classes_] == [[0, 1], [0, 1]]
    assert clf.n_classes_ == [2, 2]
    assert clf.n_outputs_ == 2
    assert clf.task_names_ == ["task_0", "task_1"]
    assert clf.n_features_in_ == 6


@pytest.mark.slow
def test_score_is_that_of_multioutput_classifier(fitted_classifier, labels_data):
    X, y = labels_data
    expected = (fitted_classifier.predict(X) == y).all(axis=1)
    assert fitted_classifier.score(X, y) == expected.mean()
    weight = np.arange(len(y))
    assert fitted_classifier.score(X, y, sample_weight=weight) == pytest.approx(
        np.average(expected, weights=weight)
    )


def test_learns_both_tasks():
    X, y = make_related_tasks(
        n_samples=1500, n_features=6, kind="classification", n_sines=0, random_state=0
    )
    clf = MultiTaskMMoEClassifier(max_iter=15, batch_size=64, random_state=0)
    clf.fit(X[:1000], y[:1000])
    assert clf.score(X[1000:], y[1000:]) > 0.7  # 0.4 at best without X
    assert clf.loss_curve_[-1] < clf.loss_curve_[0] / 2


@pytest.mark.slow
def test_mixed_kinds_of_labels(tiny):
    X, codes = make_related_tasks(
        n_samples=150,
        n_features=5,
        n_tasks=4,
        correlation=0.5,
        kind="classification",
        n_classes=[2, 3, 2, 4],
        random_state=0,
    )
    y = pd.DataFrame(
        {
            "sex": np.array(["f", "m"])[codes[:, 0]],
            "size": pd.Categorical(np.array(["S", "M", "L"])[codes[:, 1]]),
            "smokes": codes[:, 2].astype(bool),
            "grade": codes[:, 3] * 10,
        }
    )
    clf = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    assert clf.task_names_ == ["sex", "size", "smokes", "grade"]
    assert [labels.tolist() for labels in clf.classes_] == [
        ["f", "m"],
        ["L", "M", "S"],
        [False, True],
        [0, 10, 20, 30],
    ]
    predicted = clf.predict(X)
    assert predicted.shape == (150, 4)
    kinds = [predicted[name].to_numpy().dtype.kind for name in y]
    assert kinds == ["O", "O", "b", "i"]
    for name in ("smokes", "grade"):  # as scikit-learn's metrics take them
        assert 0 <= f1_score(y[name], predicted[name], average="macro") <= 1
    assert [p.shape[1] for p in clf.predict_proba(X)] == [2, 3, 2, 4]
    right = np.array([predicted[name] == y[name] for name in y])
    assert clf.score(X, y) == right.all(axis=0).mean()


@pytest.mark.parametrize("shape", ["flat", "column"])
def test_one_task_is_as_any_classifier(tiny, labels_data, shape):
    X, y = labels_data
    y = y[:, 0] if shape == "flat" else y[:, :1]
    clf = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    assert clf.predict(X).shape == (200,)
    assert clf.predict_proba(X).shape == (200, 2)
    assert clf.classes_.tolist() == [0, 1]
    assert clf.n_classes_ == 2


def test_series_names_its_task(tiny, labels_data):
    X, y = labels_data
    y = pd.Series(np.where(y[:, 0], "yes", "no"), name="churn")
    clf = MultiTaskMMoEClassifier(**tiny).fit(X, y)
    assert clf.task_names_ == ["churn"]
    assert set(clf.predict(X)) <= {"yes", "no"}


@pytest.mark.slow
def test_regressor_gives_back_the_units_of_y(tiny):
    X, y = make_related_tasks(n_samples=1000, n_features=6, n_sines=0, random_state=0)
    y = y * [1e6, 1e-3] + [5e6, 7.0]
    reg = MultiTaskMMoERegressor(
        **{**tiny, "max_iter": 30, "expert_units": 16, "learning_rate": 0.01}
    ).fit(X, y)
    assert is_regressor(reg)
    predicted = reg.predict(X)
    assert predicted.shape == (1000, 2)
    assert predicted.dtype == np.float64
    scores = r2_score(y, predicted, multioutput="raw_values")
    assert (scores > 0.7).all()
    assert reg.score(X, y) == pytest.approx(scores.mean())


@pytest.mark.slow
def test_regressor_with_one_and_with_constant_tasks(tiny, values_data):
    X, y = values_data
    assert MultiTaskMMoERegressor(**tiny).fit(X, y[:, 0]).predict(X).shape == (200,)
    constant = np.column_stack([y[:, 0], np.full(200, 7.0)])
    predicted = MultiTaskMMoERegressor(**tiny).fit(X, constant).predict(X)
    np.testing.assert_allclose(predicted[:, 1], 7.0, rtol=1e-12)


@pytest.mark.slow
def test_frame_array_and_csr_give_the_same(tiny, labels_data):
    X, y = labels_data
    X = np.where(np.abs(X) < 0.5, 0, X)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    inputs = [X, frame, sparse.csr_matrix(X), sparse.csr_array(X), X.tolist()]
    outputs = [
        MultiTaskMMoEClassifier(**tiny).fit(data, y).predict_proba(data)
        for data in inputs
    ]
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])


@pytest.mark.slow
def test_csr_is_never_made_dense_as_a_whole(tiny, labels_data, monkeypatch):
    from sklearn_mmoe._batches import arrays

    X, y = labels_data
    X = sparse.csr_matrix(np.tile(X, (30, 1)))
    y = np.tile(y, (30, 1))
    rows = []
    toarray = sparse.csr_matrix.toarray

    def counting(self, *args, **kwargs):
        rows.append(self.shape[0])
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_matrix, "toarray", counting)
    clf = MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1})
    monkeypatch.setattr(arrays, "_TRAINING_BYTES", 40 * 4 * X.shape[1])
    clf.fit(X, y)
    assert max(rows) == 32
    rows.clear()
    clf.predict(X)
    assert sum(rows) == X.shape[0]
    assert max(rows) <= 4096


def test_weights_count_and_only_their_proportions(tiny, labels_data):
    X, y = labels_data
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))

    def fit(sample_weight):
        clf = MultiTaskMMoEClassifier(**tiny)
        return clf.fit(X, y, sample_weight=sample_weight).predict_proba(X)[0]

    plain, ones, weighted = fit(None), fit(np.ones(len(y))), fit(weight)
    np.testing.assert_array_equal(plain, ones)
    assert not np.allclose(plain, weighted, atol=1e-4)
    np.testing.assert_allclose(fit(weight * 1000), weighted, atol=1e-5)


def test_zero_weight_is_absence(tiny, labels_data):
    X, y = labels_data
    weight = np.ones(len(y))
    weight[50:] = 0
    spoilt = y.copy()
    spoilt[50:] = 1 - y[50:]
    outputs = [
        MultiTaskMMoEClassifier(**tiny).fit(X, labels, weight).predict_proba(X)[0]
        for labels in (y, spoilt)
    ]
    np.testing.assert_array_equal(*outputs)
    absent = MultiTaskMMoEClassifier(**tiny).fit(X[:50], y[:50]).predict_proba(X)[0]
    np.testing.assert_array_equal(outputs[0], absent)


def test_curves_and_counts(fitted_classifier):
    clf = fitted_classifier
    assert clf.n_iter_ == len(clf.loss_curve_) == 2
    assert clf.t_ == 2 * 200
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert list(clf.task_loss_curves_) == ["task_0", "task_1"]
    assert (_penalties(clf) > 0).all()
    assert clf.validation_scores_ is None
    assert clf.best_validation_score_ is None


def _penalties(clf):
    """Return what the training loss of each epoch has beyond those of the tasks."""
    return clf.loss_curve_ - np.sum(list(clf.task_loss_curves_.values()), axis=0)


def test_the_penalty_fades_out_features_that_say_nothing(labels_data, tiny):
    X, y = labels_data
    noise = np.random.default_rng(0).normal(size=(len(X), 20))
    X = np.hstack([X, noise])
    shares = []
    for penalty in (0.0, 0.5):
        parameters = {**tiny, "feature_penalty": penalty, "max_iter": 20}
        clf = MultiTaskMMoEClassifier(**parameters, learning_rate=0.02).fit(X, y)
        if penalty == 0:
            np.testing.assert_allclose(_penalties(clf), 0, atol=1e-6)
        kernel = clf.network_.get_layer("wide_and_shared_0").get_weights()[0]
        norms = np.linalg.norm(kernel, axis=1)
        shares.append(norms[6:].sum() / norms.sum())
    assert shares[1] < 0.6 * shares[0]


def _validation_loss(clf, X, y):
    rows = np.arange(len(y))
    probabilities = clf.predict_proba(X)
    return sum(-np.log(p[rows, y[:, k]]).mean() for k, p in enumerate(probabilities))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("learning_rate", [0.5, 1e-3])
def test_early_stopping_ends_with_the_best_weights(
    tiny, labels_data, learning_rate, monkeypatch
):
    """Also where it never fires, as with the small learning rate."""
    kept = {}
    set_aside = FitData.set_aside

    def keep(self, *arguments):
        train, validation = set_aside(self, *arguments)
        kept["validation"] = validation.rows
        return train, validation

    monkeypatch.setattr(FitData, "set_aside", keep)
    X, y = labels_data
    clf = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 12},
        early_stopping=True,
        validation_fraction=0.25,
        n_iter_no_change=2,
        learning_rate=learning_rate,
        learning_rate_schedule="constant",
    ).fit(X, y)
    assert (clf.n_iter_ < 12) == (learning_rate == 0.5)
    assert len(clf.validation_scores_) == clf.n_iter_
    assert clf.best_validation_score_ == max(clf.validation_scores_)
    assert clf.best_loss_ is None
    rows = kept["validation"]
    assert len(rows) == 50
    np.testing.assert_allclose(
        _validation_loss(clf, X[rows], y[rows]),
        -clf.best_validation_score_,
        rtol=1e-4,
    )
    if learning_rate == 0.5:  # the last epoch was not the best
        assert clf.validation_scores_[-1] < clf.best_validation_score_


def test_early_stopping_regressor(tiny, values_data):
    reg = MultiTaskMMoERegressor(**tiny, early_stopping=True).fit(*values_data)
    assert len(reg.validation_scores_) == 2


@pytest.mark.slow
def test_early_stopping_with_labels_too_rare_to_stratify(tiny, labels_data):
    X, y = labels_data
    rare = y.copy()
    rare[0] = [2, 2]
    clf = MultiTaskMMoEClassifier(**tiny, early_stopping=True).fit(X, rare)
    assert clf.n_classes_ == [3, 3]


def test_warm_start_goes_on(tiny, labels_data):
    X, y = labels_data
    clf = MultiTaskMMoEClassifier(**tiny, warm_start=True).fit(X, y)
    first = clf.loss_curve_.copy()
    before = clf.predict_proba(X)[0]
    clf.fit(X, y)
    assert clf.n_iter_ == 4
    assert clf.loss_curve_[:2] == first
    assert clf.loss_curve_[2] < first[0]
    assert not np.allclose(clf.predict_proba(X)[0], before)
    clf.set_params(warm_start=False).fit(X, y)
    assert clf.loss_curve_ == first


def test_warm_start_keeps_the_tasks(tiny, labels_data, values_data):
    X, y = labels_data
    clf = MultiTaskMMoEClassifier(**tiny, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"task 'task_1' has labels \[5\] that are"):
        clf.fit(X, y * [1, 5])
    with pytest.raises(ValueError, match=r"y has 1 tasks, but .* was fitted with 2"):
        clf.fit(X, y[:, 0])
    X, y = values_data
    reg = MultiTaskMMoERegressor(**tiny, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"y has 1 tasks, but .* was fitted with 2"):
        reg.fit(X, y[:, 0])


@pytest.mark.parametrize(
    "parameters",
    [
        {"sharing": "omoe"},
        {"shared_units": (), "tower_units": ()},
        {"shared_units": 6, "tower_units": [5, 4], "expert_units": [5, 4]},
        {"num_experts": 1},
        {"optimizer": "sgd", "learning_rate_schedule": "constant"},
        {"batch_size": 10_000, "max_iter": 1},
    ],
)
def test_parameters_reach_the_network(tiny, labels_data, parameters):
    clf = MultiTaskMMoEClassifier(**{**tiny, **parameters}).fit(*labels_data)
    layers = {layer.name for layer in clf.network_.layers}
    assert ("shared_0" in layers) == (parameters.get("shared_units") != ())
    mmoe = clf.network_.get_layer("mmoe")
    assert mmoe.num_experts == parameters.get("num_experts", 2)
    assert mmoe.num_tasks == (1 if parameters.get("sharing") == "omoe" else 2)
    assert mmoe.expert_units == tuple(parameters.get("expert_units", [4]))
    assert mmoe.units == 4


@pytest.mark.slow
def test_optimizer_object_is_copied(tiny, labels_data):
    import keras

    optimizer = keras.optimizers.Adam(0.01)
    for _ in range(2):
        MultiTaskMMoEClassifier(**{**tiny, "optimizer": optimizer}).fit(*labels_data)
    assert not optimizer.built


def test_adamw_is_that_of_keras(tiny, labels_data):
    import keras

    X, _ = labels_data
    ours = {"learning_rate": 0.01, "learning_rate_schedule": "constant"}
    theirs = {"optimizer": keras.optimizers.AdamW(0.01, weight_decay=0.1)}
    probabilities = [
        MultiTaskMMoEClassifier(**{**tiny, "max_iter": 5, "weight_decay": 0.1, **more})
        .fit(*labels_data)
        .predict_proba(X)
        for more in (ours, theirs)
    ]
    np.testing.assert_allclose(*probabilities, rtol=1e-4)


def test_the_learning_rate_rises_and_falls_in_a_line():
    from sklearn_mmoe._training.optimizers import learning_rates

    steps = np.array([-1, 74, 149, 575, 1000, 2000])
    rates = learning_rates("linear", 0.2, steps, n_steps=1000)
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.1, 0, 0], atol=1e-7)
    assert learning_rates("linear", 0.2, np.arange(1), n_steps=1).tolist() == [
        pytest.approx(0.2)
    ]
    np.testing.assert_allclose(learning_rates("constant", 0.2, steps, 1000), 0.2)


def test_auto_sizes():
    from sklearn_mmoe.estimators._parameters import auto_batch_size, auto_epochs

    sizes = [auto_batch_size(n) for n in (1, 1000, 5000, 10_000, 10**6)]
    assert sizes == [16, 16, 64, 128, 1024]
    assert [auto_epochs(n, 16) for n in (16, 640, 10**6)] == [200, 20, 8]
    # Larger batches do not make for more epochs.
    assert auto_epochs(20_000, 256) == auto_epochs(20_000, 1024) == 11


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("feature_penalty", [0.25, 0.09995, 0.0075, 0.0075]),
        ("weight_decay", [2.0, 0.9139, 0.1, 0.1]),
    ],
)
def test_auto_regularization_by_rows(name, values):
    found = [by_rows(name, "auto", n) for n in (50, 500, 15_000, 100_000)]
    assert found[0] == values[0]
    np.testing.assert_allclose(found[1], values[1], rtol=1e-3)
    # From 15,000 rows on nothing is changed, not even by rounding.
    assert found[2:] == values[2:]
    falling = [by_rows(name, "auto", n) for n in range(1, 20_000, 50)]
    assert falling == sorted(falling, reverse=True)
    for value in (0, 0.3, np.float32(2)):
        assert by_rows(name, value, 50) == by_rows(name, value, 10**6) == value


@pytest.mark.slow_but_first
@pytest.mark.parametrize("n_samples", [200, 1000, 15_000])
def test_auto_regularization_is_that_of_its_rows(tiny, n_samples):
    X, y = make_related_tasks(n_samples=n_samples, n_features=3, random_state=0)
    parameters = {**tiny, "batch_size": "auto", "max_iter": 1}
    auto = MultiTaskMMoERegressor(**parameters).fit(X, y)
    explicit = {
        name: by_rows(name, "auto", n_samples)
        for name in ("feature_penalty", "weight_decay")
    }
    same = MultiTaskMMoERegressor(**parameters, **explicit).fit(X, y)
    np.testing.assert_array_equal(auto.predict(X[:50]), same.predict(X[:50]))
    assert all(auto.get_params()[name] == "auto" for name in explicit)


@pytest.mark.slow
def test_auto_regularization_goes_on_with_other_rows(tiny, labels_data):
    X, y = labels_data
    started = MultiTaskMMoEClassifier(**tiny, warm_start=True).fit(X[:50], y[:50])
    assert started.fit(X, y).n_iter_ == 4
    streamed = MultiTaskMMoEClassifier(**tiny)
    for rows in (slice(50), slice(50, None)):
        streamed.partial_fit(X[rows], y[rows], classes=[[0, 1], [0, 1]])
    assert streamed.t_ == len(X)


@pytest.mark.parametrize("name", ["feature_penalty", "weight_decay"])
def test_only_auto_is_a_word(tiny, values_data, name):
    with pytest.raises(ValueError, match=f"'{name}' parameter .*'auto'"):
        MultiTaskMMoERegressor(**{**tiny, name: "scale"}).fit(*values_data)


def test_verbose_prints_a_line_for_each_epoch(tiny, labels_data, capsys):
    MultiTaskMMoEClassifier(**tiny, verbose=1, early_stopping=True).fit(*labels_data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2, loss ")
    assert "task_1 " in lines[1]
    assert "validation score" in lines[1]


def test_verbose_shows_a_bar_in_a_terminal(tiny, labels_data, monkeypatch):
    rich = pytest.importorskip("rich")
    from rich.console import Console

    console = Console(force_terminal=True, file=io.StringIO(), width=120)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    clf = MultiTaskMMoEClassifier(**tiny, verbose=1).fit(*labels_data)
    shown = console.file.getvalue()
    assert "2/2" in shown
    assert f"loss {clf.loss_:.4f} (task_0 " in shown


def test_a_bar_shows_any_name_of_a_task(tiny, labels_data, monkeypatch):
    """Square brackets are not read as markup."""
    rich = pytest.importorskip("rich")
    from rich.console import Console

    console = Console(force_terminal=True, file=io.StringIO(), width=140)
    monkeypatch.setattr(rich, "get_console", lambda: console)
    X, y = labels_data
    frame = pd.DataFrame(y, columns=["load [/day]", "mass [kg]"])
    MultiTaskMMoEClassifier(**tiny, verbose=1).fit(X, frame)
    assert "load [/day]" in console.file.getvalue()
    assert "mass [kg]" in console.file.getvalue()


def test_nothing_is_printed_by_default(tiny, labels_data, capfd):
    MultiTaskMMoEClassifier(**tiny).fit(*labels_data)
    assert capfd.readouterr() == ("", "")


def test_grid_search_over_num_experts(tiny, labels_data):
    X, y = labels_data
    search = GridSearchCV(
        make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny)),
        {"multitaskmmoeclassifier__num_experts": [1, 2]},
        scoring=multi_task_scorer("roc_auc"),
        refit="mean",
        cv=2,
    ).fit(X, y)
    assert {"mean_test_task_0", "mean_test_task_1", "mean_test_mean"} <= set(
        search.cv_results_
    )
    best = search.best_estimator_[-1]
    assert best.network_.get_layer("mmoe").num_experts == best.num_experts
    assert len(search.predict_proba(X)) == 2


def test_cross_validate_on_a_mixed_frame(tiny, mixed_data):
    X, y = mixed_data
    pipeline = make_pipeline(
        make_tabular_preprocessor(),
        MultiTaskMMoEClassifier(**{**tiny, "max_iter": 8, "learning_rate": 0.01}),
    )
    scores = cross_validate(
        pipeline, X, y, cv=2, scoring=multi_task_scorer("roc_auc"), error_score="raise"
    )
    assert scores["test_mean"].mean() > 0.6
    assert set(scores) >= {f"test_{name}" for name in y.columns}


def test_inside_multioutput_classifier(tiny, labels_data):
    X, y = labels_data
    model = MultiOutputClassifier(MultiTaskMMoEClassifier(**tiny)).fit(X, y)
    assert model.predict(X).shape == y.shape


def test_predictions_of_many_rows_are_those_of_few(fitted_classifier):
    """Many rows are evaluated by a traced network in chunks, few as they come."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4500, fitted_classifier.n_features_in_)).astype("float32")
    for rows in (X, sparse.csr_matrix(X)):
        whole = fitted_classifier.predict_proba(rows)
        parts = [
            fitted_classifier.predict_proba(rows[i : i + 1500])
            for i in range(0, 4500, 1500)
        ]
        for k in range(2):
            together = np.concatenate([part[k] for part in parts])
            np.testing.assert_allclose(whole[k], together, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [-700, -500, 500, 700])
def test_targets_of_any_scale(values_data, tiny, exponent):
    """Also of one whose squares are beyond what a float holds."""
    X, y = values_data
    parameters = {**tiny, "cv": 3, "kernel_ridge": None}
    scale = 2.0**exponent
    usual = MultiTaskMMoERegressor(**parameters).fit(X, y)
    found = MultiTaskMMoERegressor(**parameters).fit(X, y * scale)
    np.testing.assert_array_equal(found.predict(X) / scale, usual.predict(X))
    for ours, expected in zip(
        found.predict(X, return_std=True),
        usual.predict(X, return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(ours / scale, expected)
        assert np.unique(expected).size > 10
