"""Gates and experts as numbers, tables and pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.inspection import (
    GateWeightsDisplay,
    GridSearchDisplay,
    NetworkDisplay,
    TaskCalibrationDisplay,
    TaskScoresDisplay,
    TrainingCurveDisplay,
    expert_outputs,
    expert_use,
    gate_weights,
)
from sklearn_mmoe.metrics import multi_task_scorer


@pytest.fixture(scope="module")
def pipeline(labels_data, tiny):
    X, y = labels_data
    y = pd.DataFrame(y, columns=["income", "married"])
    model = make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny))
    return model.fit(X, y)


@pytest.fixture(scope="module")
def search(values_data, tiny):
    grid = {"num_experts": [1, 2, 4], "sharing": ["mmoe", "omoe"]}
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1})
    return GridSearchCV(
        model, grid, scoring=multi_task_scorer("r2"), refit="mean", cv=2
    ).fit(*values_data)


def test_gates_and_experts_make_the_predictions(fitted_regressor, labels_data):
    """The mixtures computed from both are what the towers are given."""
    import keras

    X, _ = labels_data
    gates, experts = (f(fitted_regressor, X) for f in (gate_weights, expert_outputs))
    assert gates.shape == (200, 2, 2)
    assert experts.shape == (200, 2, 4)
    np.testing.assert_allclose(gates.sum(axis=2), 1, rtol=1e-5)
    network = fitted_regressor.network_
    tops = [network.get_layer(f"tower_{k}_0").input for k in range(2)]
    mixtures = keras.Model(network.input, tops)(X.astype(np.float32), training=False)
    for k, mixture in enumerate(mixtures):
        by_hand = np.einsum("se,seu->su", gates[:, k], experts)
        np.testing.assert_allclose(by_hand, mixture, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_gates_of_pipelines_and_searches(pipeline, search, labels_data, values_data):
    X, _ = labels_data
    scaled = pipeline[0].transform(X)
    np.testing.assert_array_equal(
        gate_weights(pipeline, X), gate_weights(pipeline[-1], scaled)
    )
    X, _ = values_data
    np.testing.assert_array_equal(
        gate_weights(search, X), gate_weights(search.best_estimator_, X)
    )


def test_a_single_gate_serves_all_tasks(values_data, tiny):
    X, y = values_data
    parameters = {**tiny, "sharing": "omoe", "shared_units": ()}
    reg = MultiTaskMMoERegressor(**parameters).fit(X, y)
    weights = gate_weights(reg, X)
    assert weights.shape == (200, 2, 2)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])


# With these an ensemble has a member for each fold, all of the same weight.
ONE_STRENGTH = {"feature_penalty": 0.0, "weight_decay": 0.0, "dropout": 0.0}


@pytest.fixture(scope="module")
def ensemble(values_data, tiny):
    """An ensemble of five members with eight experts each."""
    parameters = {**tiny, **ONE_STRENGTH, "num_experts": 8, "max_iter": 1, "cv": 5}
    parameters["kernel_ridge"] = None
    return MultiTaskMMoERegressor(**parameters).fit(*values_data)


@pytest.mark.slow
def test_experts_of_members_can_be_told_apart(ensemble, values_data):
    X, _ = values_data
    use = expert_use(ensemble, X)
    expected = [f"member {m}, expert {i}" for m in range(5) for i in range(8)]
    assert use.columns.to_list() == expected
    np.testing.assert_allclose(use.sum(axis=1), 1, rtol=1e-5)
    of_member = use.T.groupby(lambda name: name.split(",")[0]).sum()
    np.testing.assert_allclose(of_member, 0.2, rtol=1e-5)
    pd.testing.assert_frame_equal(ensemble.expert_use_, use, check_exact=False)
    by_groups = expert_use(ensemble, X, by=X[:, 0] > 0)
    assert by_groups.columns.to_list() == expected
    assert expert_outputs(ensemble, X).shape == (200, 40, 4)


@pytest.mark.slow_but_first
@pytest.mark.parametrize("cv", [None, 2])
def test_experts_of_the_tasks_own_are_named(cv, values_data, tiny):
    X, y = values_data
    changed = {"sharing": "cgc", "num_experts": 1, "num_task_experts": 2, "cv": cv}
    parameters = {**tiny, **ONE_STRENGTH, "max_iter": 1, **changed}
    reg = MultiTaskMMoERegressor(**parameters).fit(X, y)
    names = ["shared 0", "task_0 0", "task_0 1", "task_1 0", "task_1 1"]
    if cv:
        names = [f"member {m}, {name}" for m in range(2) for name in names]
    assert reg.expert_use_.columns.to_list() == names
    assert expert_use(reg, X).columns.to_list() == names
    assert (reg.expert_use_.filter(like="task_1").loc["task_0"] == 0).all()


def test_one_expert_of_each_member_is_not_warned_of(values_data, tiny):
    parameters = {**tiny, **ONE_STRENGTH, "num_experts": 1, "max_iter": 1, "cv": 2}
    reg = MultiTaskMMoERegressor(**parameters).fit(*values_data)
    assert reg.expert_use_.to_numpy().tolist() == [[0.5, 0.5]] * 2


def test_many_rows_go_through_in_parts(pipeline, labels_data):
    X = np.tile(labels_data[0], (25, 1))  # 5000 rows
    np.testing.assert_allclose(
        gate_weights(pipeline, X)[-200:], gate_weights(pipeline, X[-200:]), rtol=1e-5
    )


def test_expert_use(pipeline, labels_data):
    X, _ = labels_data
    use = expert_use(pipeline, X)
    assert use.index.to_list() == ["income", "married"]
    assert list(use.columns) == ["expert 0", "expert 1"]
    np.testing.assert_allclose(use, gate_weights(pipeline, X).mean(axis=0), rtol=1e-5)


def test_expert_use_by_groups(pipeline, labels_data):
    X, _ = labels_data
    labels = np.where(X[:, 0] > 0, "high", "low").astype(object)
    labels[:5] = None
    use = expert_use(pipeline, X, by=labels)
    assert use.index.names == ["group", "task"]
    assert use.index.get_level_values("task").to_list() == ["income", "married"] * 3
    high = gate_weights(pipeline, X[labels == "high"]).mean(axis=0)
    np.testing.assert_allclose(use.loc["high"], high, rtol=1e-5)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    reg = MultiTaskMMoERegressor(max_iter=1).fit(frame, X[:, :2])
    by_column = expert_use(reg, frame.assign(a=frame["a"].round()), by="a")
    assert by_column.index.names == ["a", "task"]
    by_series = expert_use(reg, frame, by=frame["a"].round())
    assert by_series.index.equals(by_column.index)


def test_bad_arguments_are_named(pipeline, labels_data, tiny):
    X, y = labels_data
    with pytest.raises(TypeError, match=r"'estimator' parameter .* LogisticRegression"):
        gate_weights(make_pipeline(LogisticRegression()), X)
    with pytest.raises(NotFittedError):
        gate_weights(MultiTaskMMoEClassifier(), X)
    with pytest.raises(NotFittedError):
        NetworkDisplay.from_estimator(MultiTaskMMoEClassifier())
    with pytest.raises(ValueError, match="features"):
        gate_weights(pipeline[-1], X[:, :3])
    with pytest.raises(ValueError, match=r"no column 'sex'.*no data frame"):
        expert_use(pipeline, X, by="sex")
    with pytest.raises(ValueError, match=r"no column 'sex'.*'a'"):
        expert_use(pipeline, pd.DataFrame(X, columns=list("abcdef")), by="sex")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        expert_use(pipeline, X, by=[1, 2, 3])
    with pytest.raises(ValueError, match="one label for each row"):
        expert_use(pipeline, X, by=X)
    with pytest.raises(ValueError, match=r"'kind' parameter .* got 'bars'"):
        GateWeightsDisplay.from_estimator(pipeline, X, kind="bars")
    with pytest.raises(ValueError, match="needs 2 axes"):
        GateWeightsDisplay.from_estimator(pipeline, X, ax=plt.gca())
    with pytest.raises(ValueError, match="'kind' parameter"):
        TaskScoresDisplay.from_estimator(pipeline, X, y, kind="lift")


@pytest.mark.parametrize("kind", ["both", "heatmap", "distribution"])
def test_gate_weights_display(pipeline, labels_data, kind):
    X, _ = labels_data
    display = GateWeightsDisplay.from_estimator(pipeline, X, kind=kind)
    assert len(display.axes_) == (2 if kind == "both" else 1)
    assert display.ax_.figure is display.figure_
    if kind != "distribution":
        means = display.weights.mean(axis=0)
        shown = [text.get_text() for text in display.ax_.texts]
        assert shown == [f"{mean:.2f}" for mean in means.ravel()]
        labels = [label.get_text() for label in display.ax_.get_yticklabels()]
        assert labels == ["income", "married"]


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.slow
def test_gate_weights_display_of_an_ensemble(ensemble, values_data):
    X, _ = values_data
    display = GateWeightsDisplay.from_estimator(ensemble, X, member="all")
    heatmap, boxes = display.axes_
    names = [f"member {m}, task_{k}" for m in range(5) for k in range(2)]
    assert labels_of(heatmap.yaxis) == names
    assert labels_of(heatmap.xaxis) == [str(i) for i in range(8)]
    # Each member's weights by themselves.
    means = display.weights.mean(axis=0).reshape(2, 5, 8) * 5
    shown = [text.get_text() for text in heatmap.texts]
    assert shown == [f"{mean:.2f}" for mean in means.swapaxes(0, 1).ravel()]
    np.testing.assert_allclose(means.sum(axis=-1), 1, rtol=1e-5)
    assert labels_of(boxes.xaxis) == [f"member {m}" for m in range(5)]
    assert len(boxes.patches) == 80
    assert display.figure_.get_figwidth() <= 18


def test_gate_weights_display_shows_each_members_own_weights():
    """Whatever the members weigh in the prediction."""
    own = np.random.default_rng(0).dirichlet(np.ones(2), size=(50, 2, 2))
    weights = (own * [[0.25], [0.75]]).reshape(50, 2, 4)
    display = GateWeightsDisplay(weights, ["a", "b"], n_members=2)
    by_member = own.mean(axis=0).swapaxes(0, 1)
    for member, expected in [("all", by_member), (None, by_member[1])]:
        display.plot(kind="heatmap", member=member)
        shown = [text.get_text() for text in display.axes_[0].texts]
        assert shown == [f"{mean:.2f}" for mean in expected.ravel()]


@pytest.mark.slow_but_first
@pytest.mark.parametrize(("member", "shown"), [(None, 0), (0, 0), (3, 3)])
def test_gate_weights_display_of_one_member(ensemble, values_data, member, shown):
    X, _ = values_data
    display = GateWeightsDisplay.from_estimator(ensemble, X, member=member)
    heatmap, boxes = display.axes_
    title = f"\nmember {shown}, one of 5"
    assert [ax.get_title() for ax in display.axes_] == [
        "mean weight" + title,
        "weight from row to row" + title,
    ]
    assert labels_of(heatmap.yaxis) == ["task_0", "task_1"]
    assert labels_of(heatmap.xaxis) == labels_of(boxes.xaxis) == [*map(str, range(8))]
    means = display.weights.mean(axis=0).reshape(2, 5, 8)[:, shown] * 5
    found = [text.get_text() for text in heatmap.texts]
    assert found == [f"{mean:.2f}" for mean in means.ravel()]
    assert len(boxes.patches) == 16


def test_gate_weights_display_of_a_member_that_there_is_not(ensemble, values_data):
    X, _ = values_data
    display = GateWeightsDisplay.from_estimator(ensemble, X, kind="heatmap")
    for member in (5, -1, True, "every", 0.0):
        with pytest.raises(ValueError, match=r"'member' parameter .* from 0 to 4; got"):
            display.plot(member=member)


def test_gate_weights_display_of_few_members_numbers_all_experts():
    weights = np.random.default_rng(0).dirichlet(np.ones(4), size=(50, 2))
    display = GateWeightsDisplay(weights, ["a", "b"], n_members=2)
    (ax,) = display.plot(kind="distribution", member="all").axes_
    assert labels_of(ax.xaxis) == ["0", "1", "0", "1"]
    assert [labels_of(above.xaxis) for above in ax.child_axes] == [
        ["member 0", "member 1"]
    ]
    assert ax.get_lines()[-2].get_ydata()[0] == 0.5  # equal shares of two experts


def test_displays_draw_on_given_axes(pipeline, fitted_regressor, labels_data):
    X, y = labels_data
    figure, axes = plt.subplots(2, 2)
    assert GateWeightsDisplay.from_estimator(pipeline, X, ax=axes[0]).ax_ is axes[0, 0]
    assert TaskScoresDisplay.from_estimator(pipeline, X, y, ax=axes[1, 0]).figure_ is (
        figure
    )
    curve = TrainingCurveDisplay.from_estimator(fitted_regressor, ax=axes[1, 1])
    assert curve.ax_ is axes[1, 1]
    again = curve.plot()
    assert again is curve
    assert again.figure_ is not figure


@pytest.mark.slow
def test_training_curve_display(labels_data, tiny):
    X, y = labels_data
    scores = TaskScores({"train": (X, y)}, metrics=["roc_auc", "f1"], verbose=False)
    clf = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 4},
        early_stopping=True,
        early_stopping_metric="roc_auc",
        callbacks=[scores],
    ).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(clf)
    assert [ax.get_ylabel() for ax in display.axes_] == [
        "training loss",
        "roc_auc on the validation rows",
        *["roc_auc", "f1"] * 2,
    ]
    assert [ax.get_title() for ax in display.axes_[2:]] == [
        *["task_0"] * 2,
        *["task_1"] * 2,
    ]
    assert display.best_epoch_ == np.argmax(clf.validation_scores_) + 1
    drawn = display.ax_.get_lines()[1].get_ydata()
    np.testing.assert_array_equal(drawn, clf.task_loss_curves_["task_1"])
    drawn = display.axes_[3].get_lines()[0].get_ydata()
    of_first = scores.scores_.query("task == 'task_0'")
    np.testing.assert_array_equal(drawn, of_first["f1"])


def test_training_curve_display_without_scores(fitted_regressor):
    display = TrainingCurveDisplay.from_estimator(fitted_regressor)
    assert len(display.axes_) == 1
    assert display.best_epoch_ is None


@pytest.mark.slow
def test_training_curve_display_of_a_loss_that_falls(values_data, tiny):
    reg = MultiTaskMMoERegressor(**tiny, early_stopping=True).fit(*values_data)
    display = TrainingCurveDisplay.from_estimator(reg)
    drawn = display.axes_[1].get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, -np.array(reg.validation_scores_))


def test_task_scores_display(pipeline, labels_data):
    X, y = labels_data
    display = TaskScoresDisplay.from_estimator(pipeline, X, y)
    probabilities = [proba[:, 1] for proba in pipeline.predict_proba(X)]
    for k, of_task in enumerate(display.displays_):
        assert of_task.roc_auc == pytest.approx(
            roc_auc_score(y[:, k], probabilities[k])
        )
    assert [name for name, _, _ in display.curves] == ["income", "married"]
    other = display.plot(kind="precision_recall").displays_[0]
    assert other.average_precision == pytest.approx(
        average_precision_score(y[:, 0], probabilities[0])
    )


def test_task_scores_display_leaves_out_what_is_missing(pipeline, labels_data):
    X, y = labels_data
    holes = y.astype(float)
    holes[:50, 0] = np.nan
    display = TaskScoresDisplay.from_estimator(pipeline, X, holes)
    assert [len(positive) for _, positive, _ in display.curves] == [150, 200]


def test_task_scores_display_of_many_classes(labels_data):
    X, y = labels_data
    letters = np.array(["a", "b", "c"])[np.arange(200) % 3]
    y = pd.DataFrame({"letter": letters, "task": np.where(y[:, 0], "yes", "no")})
    model = MultiOutputClassifier(LogisticRegression()).fit(X, y)
    display = TaskScoresDisplay.from_estimator(model, X, y)
    names = [name for name, _, _ in display.curves]
    assert names == ["letter: a", "letter: b", "letter: c", "task"]


@pytest.mark.slow
def test_task_scores_display_of_mixed_tasks(labels_data, tiny):
    X, y = labels_data
    y = pd.DataFrame({"hours": X[:, 0], "rich": y[:, 0], "old": y[:, 1]})
    model = MultiTaskMMoEMixed(**tiny).fit(X, y)
    display = TaskScoresDisplay.from_estimator(model, X, y)
    assert [name for name, _, _ in display.curves] == ["rich", "old"]
    auc = roc_auc_score(y["old"], model.predict_proba(X)[1][:, 1])
    assert display.displays_[1].roc_auc == pytest.approx(auc)


def test_task_scores_display_refuses_what_has_no_probabilities(
    fitted_regressor, values_data
):
    with pytest.raises(TypeError, match=r"predict_proba.*MultiTaskMMoERegressor"):
        TaskScoresDisplay.from_estimator(fitted_regressor, *values_data)
    with pytest.raises(ValueError, match=r"2 tasks.*probabilities for 1"):
        TaskScoresDisplay.from_predictions(np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"'task_0' has 3 classes.* 2"):
        TaskScoresDisplay.from_predictions([0, 1, 2], np.ones((3, 2)))


@pytest.mark.parametrize("Display", [TaskScoresDisplay, TaskCalibrationDisplay])
class TestFromPredictions:
    def test_columns_of_y_are_matched_by_the_names_of_tasks(self, Display):
        rng = np.random.default_rng(0)
        y = pd.DataFrame(rng.integers(0, 2, (40, 2)), columns=["a", "b"])
        a, b = y.to_numpy().T * 0.5 + rng.random((2, 40)) / 2
        probabilities = [np.column_stack([1 - p, p]) for p in (a, b)]
        curves = [
            Display.from_predictions(some, given, task_names=names).curves
            for some, given, names in (
                (y, probabilities, None),
                (y[["b", "a"]], probabilities, ["a", "b"]),
                (y, [a, b], ["a", "b"]),
                (y.to_numpy(), probabilities, ["a", "b"]),
            )
        ]
        for curve in curves[1:]:
            assert [name for name, *_ in curve] == ["a", "b"]
            for one, other in zip(curves[0], curve, strict=True):
                np.testing.assert_array_equal(one[1], other[1])
                np.testing.assert_allclose(one[2], other[2])
        years = y.set_axis([2020, 2021], axis=1)
        by_label = Display.from_predictions(
            years[[2021, 2020]], probabilities, task_names=[2020, 2021]
        )
        for one, other in zip(curves[0], by_label.curves, strict=True):
            np.testing.assert_array_equal(one[1], other[1])
        # Names of which y has none are new ones for its columns.
        others = Display.from_predictions(y, probabilities, task_names=["A", "B"])
        assert [name for name, *_ in others.curves] == ["A", "B"]
        with pytest.raises(ValueError, match=r"missing are \['c'\], unknown are \['b'"):
            Display.from_predictions(y, probabilities, task_names=["a", "c"])

    def test_shape_of_the_probabilities(self, Display):
        with pytest.raises(ValueError, match=r"'task_0'.* shape \(4, 1, 2\), expected"):
            Display.from_predictions([0, 1, 0, 1], np.ones((4, 1, 2)))
        with pytest.raises(ValueError, match=r"'task_0' has 3 classes.* for 2"):
            Display.from_predictions([0, 1, 2, 1], np.ones(4))


@pytest.mark.slow_but_first
@pytest.mark.parametrize("to_value", [tuple, list, np.array, lambda some: some[0]])
def test_the_ring_is_at_the_chosen_candidates_own_score(to_value):
    search = GridSearchCV(LogisticRegression(), {}, refit="one")
    widths = pd.Series([to_value([width]) for width in (1, 1, 2, 2)], dtype=object)
    search.cv_results_ = {
        "param_width": widths.to_numpy(),
        "param_penalty": [0, 1, 0, 1],
        "mean_test_one": [0.1, 0.2, 0.3, 0.9],
        "mean_test_other": [0.4, 0.3, 0.8, 0.1],
        "std_test_one": np.zeros(4),
        "std_test_other": np.zeros(4),
    }
    search.best_index_ = 3
    display = GridSearchDisplay.from_estimator(search, param="width")
    found = {}
    for ax in display.axes_:
        (ring,) = [line for line in ax.get_lines() if line.get_label() == "chosen"]
        found[ax.get_title()] = ring.get_xydata()[:, 1].tolist()
    assert found == {"one": [0.9], "other": [0.1]}
    assert display.results.query("score == 'other'")["mean"].tolist() == [0.4, 0.8]


@pytest.mark.parametrize(
    ("values", "chosen", "at"),
    [
        ([True, False], np.True_, 0),
        (np.array([True, False]), False, 1),
        (["a", "b"], np.str_("b"), 1),
        ([1, True], True, 1),
        ([0.5, 1], np.int64(1), 1),
        ([None, "balanced"], None, 0),
    ],
)
def test_the_ring_is_at_an_equal_value_of_any_type(values, chosen, at):
    results = pd.DataFrame(
        {"value": pd.Series(list(values), dtype=object), "score": "one"}
    ).assign(mean=[0.1, 0.2], std=0.0)
    display = GridSearchDisplay(results, "param", chosen, {"one": 0.3}).plot()
    (ring,) = [line for line in display.ax_.get_lines() if line.get_label() == "chosen"]
    ticks = display.ax_.get_xticks()
    assert ring.get_xydata().tolist() == [[ticks[at], 0.3]]


@pytest.mark.slow
def test_grid_search_display(search):
    display = GridSearchDisplay.from_estimator(search, param="num_experts")
    assert [ax.get_title() for ax in display.axes_] == ["task_0", "task_1", "mean"]
    table = pd.DataFrame(search.cv_results_)
    best = table.groupby("param_num_experts")["mean_test_task_1"].max()
    shown = display.results.query("score == 'task_1'").set_index("value")["mean"]
    np.testing.assert_allclose(shown[[1, 2, 4]], best[[1, 2, 4]])
    assert display.chosen == search.best_params_["num_experts"]


@pytest.mark.slow
def test_the_legend_hides_no_error_bar(search):
    display = GridSearchDisplay.from_estimator(search, param="num_experts")
    display.figure_.canvas.draw()
    for ax in display.axes_:
        assert not ax.get_legend().get_window_extent().overlaps(ax.bbox)


@pytest.mark.slow
def test_grid_search_display_of_words(search):
    display = GridSearchDisplay.from_estimator(search, param="sharing", scores=["mean"])
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["mmoe", "omoe"]
    assert len(display.axes_) == 1


def test_grid_search_display_names_what_is_wrong(search, fitted_regressor):
    with pytest.raises(ValueError, match=r"\['num_experts', 'sharing'\]; name one"):
        GridSearchDisplay.from_estimator(search)
    with pytest.raises(ValueError, match="'width', but the search has no parameters"):
        GridSearchDisplay.from_estimator(search, param="width")
    with pytest.raises(ValueError, match=r"'scores' parameter names \['income'\]"):
        GridSearchDisplay.from_estimator(search, param="sharing", scores=["income"])
    with pytest.raises(TypeError, match="'search' parameter"):
        GridSearchDisplay.from_estimator(fitted_regressor)
    unfitted = GridSearchCV(fitted_regressor, {"num_experts": [1]})
    with pytest.raises(NotFittedError):
        GridSearchDisplay.from_estimator(unfitted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"shared_units": (), "tower_units": (), "sharing": "omoe", "wide": False},
        {"num_experts": 20, "expert_units": (5, 4), "shared_units": (8, 4)},
    ],
)
def test_network_display(values_data, tiny, parameters):
    X, y = values_data
    y = np.column_stack([y, y, y, y])
    reg = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1, **parameters}).fit(X, y)
    texts = [t.get_text() for t in NetworkDisplay.from_estimator(reg).ax_.texts]
    assert any(text.startswith("6 features") for text in texts)
    assert sum("softmax" in t for t in texts) == (1 if "sharing" in parameters else 5)
    assert "…\n8 tasks" in texts
    n_experts = sum(text.startswith("expert ") for text in texts)
    assert n_experts == {2: 2, 20: 7}[reg.num_experts]
    assert ("…\n20 in all" in texts) == (reg.num_experts == 20)


@pytest.mark.parametrize("n_tasks", [2, 3, 4, 5])
@pytest.mark.parametrize("num_experts", [2, 4, 8])
def test_no_box_hides_the_head_of_an_arrow(n_tasks, num_experts):
    architecture = {
        "sharing": "mmoe",
        "num_experts": num_experts,
        "expert_units": (4,),
        "shared_units": (8,),
        "tower_units": (4,),
        "activation": "silu",
        "wide": False,
    }
    names = [f"task_{k}" for k in range(n_tasks)]
    display = NetworkDisplay(architecture, 3, names, [1] * n_tasks).plot()
    boxes = [patch.get_bbox() for patch in display.ax_.patches]
    for arrow in [text for text in display.ax_.texts if not text.get_text()]:
        (x0, y0), (x, y) = arrow.xyann, arrow.xy
        # A little before its end, where the head is.
        before = x - 0.05 * (x - x0), y - 0.05 * (y - y0)
        assert not any(box.padded(-0.01).contains(*before) for box in boxes)


@pytest.mark.slow
def test_network_display_shows_what_was_fitted(pipeline):
    shown = NetworkDisplay.from_estimator(pipeline).architecture["num_experts"]
    changed = pipeline[-1]
    changed.set_params(num_experts=5)
    try:
        display = NetworkDisplay.from_estimator(pipeline)
    finally:
        changed.set_params(num_experts=shown)
    assert display.architecture["num_experts"] == shown


def test_network_display_of_an_ensemble_says_how_many_there_are(ensemble, pipeline):
    display = NetworkDisplay.from_estimator(ensemble)
    title = "One of 5 members, whose predictions are averaged"
    assert display.ax_.get_title() == title
    texts = [text.get_text() for text in display.ax_.texts]
    assert sum(text.startswith("expert ") for text in texts) == 8
    assert NetworkDisplay.from_estimator(pipeline).ax_.get_title() == ""


def test_summary_of_an_ensemble(ensemble):
    table = ensemble.summary()
    assert table["weights"].sum() == ensemble.network_.count_params()
    assert table.loc["shared_0", "output"] == (5, 8)
    assert table.loc["mmoe", "output"] == (2, 5, 4)
    assert table.loc["task_0_members", "output"] == (1,)


def test_summary(pipeline):
    clf = pipeline[-1]
    table = clf.summary()
    assert table["weights"].sum() == clf.network_.count_params()
    assert table.loc["mmoe", "part"] == "experts and gates"
    assert table.loc["tower_1_0", "part"] == "tower of married"
    assert table.loc["tower_0_output", "part"] == "output of income"
    assert table.loc["wide_and_shared_0", "part"] == "linear models and shared layer"
    assert table.loc["features", "output"] == (6,)
    with pytest.raises(NotFittedError):
        MultiTaskMMoEClassifier().summary()


def test_diagrams_link_to_the_documentation(monkeypatch, pipeline):
    monkeypatch.setenv("SKLEARN_MMOE_DOCS", "https://example.org/docs/")
    page = "reference/generated/sklearn_mmoe.MultiTaskMMoEClassifier.html"
    assert f"https://example.org/docs/{page}" in pipeline._repr_html_()
    monkeypatch.delenv("SKLEARN_MMOE_DOCS")
    assert f"https://sklearn-mmoe.readthedocs.io/en/stable/{page}" in (
        pipeline._repr_html_()
    )


@pytest.mark.slow
def test_failed_candidates_of_a_search_are_left_out(values_data, tiny):
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1})
    grid = {"num_experts": [1, 0, 2]}  # there is no network without experts
    search = GridSearchCV(model, grid, scoring=multi_task_scorer("r2"), refit=False)
    search.set_params(cv=2, error_score=np.nan)
    with (
        pytest.warns(FitFailedWarning, match="2 fits failed"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(*values_data)
    with pytest.warns(UserWarning, match=r"left out: 1 for .* num_experts is 0\."):
        display = GridSearchDisplay.from_estimator(search)
    assert display.results["value"].unique().tolist() == [1, 2]
    assert display.results["mean"].notna().all()
    for name in ("task_0", "task_1", "mean"):
        search.cv_results_[f"mean_test_{name}"][:] = np.nan
    with pytest.raises(ValueError, match="None of the 3 candidates"):
        GridSearchDisplay.from_estimator(search)


@pytest.mark.slow
def test_training_curve_of_a_warm_start_marks_the_epoch_that_is_kept(labels_data, tiny):
    scores = iter([0.9, 0.8, 0.3, 0.4])
    clf = MultiTaskMMoEClassifier(
        **tiny,
        early_stopping=True,
        warm_start=True,
        early_stopping_metric=lambda *args: next(scores),
    ).fit(*labels_data)
    assert TrainingCurveDisplay.from_estimator(clf).best_epoch_ == 1
    clf.fit(*labels_data)
    assert TrainingCurveDisplay.from_estimator(clf).best_epoch_ == 4
    nan = TrainingCurveDisplay({"a": [1.0, 0.5]}, [np.nan, np.nan]).plot()
    assert nan.best_epoch_ is None
    assert TrainingCurveDisplay({"a": [1, 1]}, [np.nan, 0.5]).plot().best_epoch_ == 2
