"""Tasks of few targets beside tasks of many: who decides for them, and who learns."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._tasks.scarcity import (
    deciding_tasks,
    groups_by_targets,
    share_of_scarcest,
)
from sklearn_mmoe.inspection import gate_weights
from sklearn_mmoe.preprocessing import (
    PiecewiseLinearEncoder,
    make_tabular_preprocessor,
)

TINY = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "batch_size": 32,
    "max_iter": 3,
    "cv": 2,
    "random_state": 0,
    "kernel_ridge": None,
}


def two_tasks(n_rows=300, n_few=60, seed=0):
    """A task that all rows have, and one that few have, of other columns of X."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 4))
    y = pd.DataFrame({"many": X[:, 0] + X[:, 1], "few": X[:, 2] - X[:, 3]})
    y += 0.1 * rng.normal(size=y.shape)
    y.loc[rng.permutation(n_rows)[n_few:], "few"] = np.nan
    return X, y


@pytest.fixture(scope="module")
def scarce():
    return MultiTaskMMoERegressor(**TINY).fit(*two_tasks())


@pytest.fixture
def trained_with(monkeypatch):
    """What fits train with: their data, their plan, and the network's description."""
    seen = []
    train = MultiTaskMMoERegressor._train

    def watched(self, data, validation, plan, *args):
        seen.append(SimpleNamespace(data=data, plan=plan, spec=self._engine.spec))
        return train(self, data, validation, plan, *args)

    monkeypatch.setattr(MultiTaskMMoERegressor, "_train", watched)
    return seen


class TestGroups:
    @pytest.mark.parametrize(
        ("counts", "groups"),
        [
            ([100, 100], [(0, 1)]),
            ([100, 50], [(0, 1)]),
            ([101, 50], [(0,), (1,)]),
            ([60, 1000, 900, 55, 300], [(1, 2), (4,), (0, 3)]),
            ([60, 1000, 900, 140, 300], [(1, 2), (4,), (0, 3)]),  # no fourth group
            ([49, 1000], [(0, 1)]),  # too few to choose anything by
            ([3], [(0,)]),
        ],
        ids=str,
    )
    def test_tasks_of_as_many_targets_are_together(self, counts, groups):
        assert groups_by_targets(counts) == groups

    @pytest.mark.parametrize(
        ("y", "share"),
        [
            (None, 1.0),
            (pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [1.0, None, 2.0, None]}), 1),
            # Too few to matter.
            (pd.DataFrame({"a": list("abcd"), "b": ["x", None, None, None]}), 1),
            ({"a": [1, 2]}, 1.0),  # the estimator will say what is wrong with it
        ],
        ids=["none", "half", "few", "mapping"],
    )
    def test_share_of_the_scarcest(self, y, share):
        assert share_of_scarcest(y) == share

    def test_share_of_the_scarcest_that_has_enough(self):
        rows = np.arange(1000)[:, np.newaxis]
        y = np.where(rows < [1000, 250, 49], 1.0, np.nan)
        assert share_of_scarcest(y) == 0.25

    def test_tasks_that_are_linked_are_together(self):
        counts = [1000, 100, 300, 1000]
        assert groups_by_targets(counts) == [(0, 3), (2,), (1,)]
        assert groups_by_targets(counts, [(0, 3)]) == [(0, 3), (2,), (1,)]
        assert groups_by_targets(counts, [(2, 1)]) == [(0, 3), (1, 2)]
        assert groups_by_targets(counts, [(0, 2), (1, 2)]) == [(0, 1, 2, 3)]

    @pytest.mark.parametrize(
        ("group", "deciding"),
        [((0, 1, 2), [0, 1]), ((2,), [2]), ((2, 3), [2, 3]), ((0, 4), [0, 4])],
        ids=str,
    )
    def test_tasks_of_too_few_targets_do_not_decide(self, group, deciding):
        assert deciding_tasks(group, [1000, 600, 40, 30, 50]) == deciding


class TestCandidates:
    @pytest.mark.slow
    def test_some_learn_the_scarce_task_alone(self, scarce):
        of_all, of_few = (
            scarce.cv_losses_.xs(tasks, axis=1, level="tasks")
            for tasks in ("all", "few")
        )
        assert (of_all.shape[1], of_few.shape[1]) == (3, 2)
        # Regularised as for as many rows as have its target.
        expected = MultiTaskMMoERegressor(**TINY)
        X, y = two_tasks()
        known = y["few"].notna()
        expected.fit(X[known], y.loc[known, ["few"]])
        assert of_few.columns.tolist() == [
            labels[:3] for labels in expected.cv_losses_.columns[:2]
        ]

    @pytest.mark.slow
    def test_none_does_where_all_tasks_have_as_many(self):
        X, y = two_tasks(n_few=150)
        model = MultiTaskMMoERegressor(**TINY).fit(X, y)
        labels = model.cv_losses_.columns.get_level_values("tasks")
        assert labels.tolist() == ["all"] * 3

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "given", [{"sharing": "single"}, {"task_weighting": "dwa"}], ids=str
    )
    def test_none_does_where_it_would_be_of_no_use(self, given):
        model = MultiTaskMMoERegressor(**TINY, **given).fit(*two_tasks())
        assert set(model.cv_losses_.columns.get_level_values("tasks")) == {"all"}
        # The strengths are chosen for each of them all the same.
        assert model.cv_weights_.shape == (2, 3)

    @pytest.mark.slow
    def test_other_tasks_do_not_use_them(self, scarce):
        weights = scarce.cv_weights_
        assert weights.index.tolist() == ["many", "few"]
        assert (weights.xs("few", axis=1, level="tasks").loc["many"] == 0).all()
        assert (weights.sum(axis=1) == 1).all()


def unseen_outputs(model, X, folds):
    """Predict rows by the kept members that have not seen them, if their fold says so.

    Returns (n_members / n_folds, n_rows) for each task.
    """
    outputs = model._engine.predict_members(X.astype("float32"))
    rows = np.arange(len(X))
    return [o[..., 0].reshape(-1, 2, len(X))[:, folds, rows] for o in outputs]


@pytest.mark.slow
def test_each_group_has_the_weights_of_least_loss(trained_with):
    """Recompute the scarce task's from the members that count for it."""
    X, y = two_tasks()
    y += np.random.default_rng(1).normal(size=y.shape)
    options = {**TINY, "max_iter": 12, "learning_rate": 0.1}
    model = MultiTaskMMoERegressor(**options).fit(X, y)
    # The gates are those of each task's own epochs as well.
    of_rows = gate_weights(model, X)
    np.testing.assert_allclose(model.expert_use_, of_rows.mean(axis=0), rtol=1e-3)
    of_members = np.array(model._engine.spec.member_weights)
    shares = model.cv_weights_.to_numpy()
    for k, task in enumerate(y):
        known = y[task].notna().to_numpy()
        outputs = unseen_outputs(model, X, trained_with[0].data.folds)[k][:, known]
        counting = of_members[k].reshape(-1, 2)[:, 0] > 0
        mean, scale = y[task].mean(), y[task].std(ddof=0)
        z = (y.loc[known, task].to_numpy() - mean) / scale

        def loss(parts, z=z, outputs=outputs[counting]):
            return ((np.average(outputs, axis=0, weights=parts) - z) ** 2).mean()

        n_counting = counting.sum()
        possible = [
            np.array(parts) / 4
            for parts in itertools.product(range(5), repeat=n_counting)
            if sum(parts) == 4
        ]
        best = possible[np.argmin([loss(parts) for parts in possible])]
        np.testing.assert_allclose(best, shares[k][shares[k] > 0])
    assert (shares[0] != shares[1]).any()  # or this would say little


@pytest.mark.slow
def test_each_group_has_its_own_best_epochs(monkeypatch):
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    seen, ends = [], []
    look, end = OutOfFold._look, OutOfFold.on_train_end

    def looking(self):
        look(self)
        seen.append([weight.copy() for weight in self._trainer.weights()])

    def ending(self):
        end(self)
        ends.append((self.best_weights, np.array(self._of_tasks), self._learned))

    monkeypatch.setattr(OutOfFold, "_look", looking)
    monkeypatch.setattr(OutOfFold, "on_train_end", ending)
    options = {**TINY, "max_iter": 12, "learning_rate": 0.1}
    X, y = two_tasks()
    y += np.random.default_rng(1).normal(size=y.shape)
    MultiTaskMMoERegressor(**options).fit(X, y)
    ((weights, of_tasks, learned),) = ends
    best = of_tasks.argmin(axis=0)  # (n_tasks, n_candidates)
    assert (best[0] != best[1]).any()  # or this would say little
    n_candidates = best.shape[1]
    for group, candidate in itertools.product(range(2), range(n_candidates)):
        if not learned[candidate, group]:
            continue
        first = 2 * (group * n_candidates + candidate)
        in_network = slice(2 * candidate, 2 * candidate + 2)
        for weight, then in zip(weights, seen[best[group, candidate]], strict=True):
            np.testing.assert_array_equal(weight[first : first + 2], then[in_network])


def test_members_of_a_scarce_task_learn_nothing_of_others(monkeypatch):
    """Other targets of the other task change nothing in what they predict."""
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    found = []
    look = OutOfFold._evaluate
    monkeypatch.setattr(
        OutOfFold,
        "_evaluate",
        lambda self: found.append(look(self)) or found[-1],
    )
    X, y = two_tasks()
    MultiTaskMMoERegressor(**TINY).fit(X, y)
    before = found.copy()
    found.clear()
    # Even a multiple would do: targets are standardised.
    y["many"] = np.random.default_rng(5).normal(size=len(y))
    MultiTaskMMoERegressor(**TINY).fit(X, y)
    for then, now in zip(before, found, strict=True):
        np.testing.assert_allclose(then[1, 3:], now[1, 3:], rtol=1e-4)
        assert not np.allclose(then[1, :3], now[1, :3], rtol=1e-2)


class TestRows:
    def data(self, n_few):
        from sklearn_mmoe._batches.arrays import TaskData

        n_rows = 100
        few = np.arange(n_rows) < n_few
        weights = np.column_stack([np.ones(n_rows), few * (n_rows / n_few)])
        repeats = np.where(few, 4, 1)
        return TaskData(
            np.zeros((n_rows, 1), "float32"),
            [np.zeros((n_rows, 1))] * 2,
            weights,
            np.arange(n_rows),
            repeats=repeats,
        )

    def test_repeated_rows_count_as_before(self):
        data = self.data(10)
        source = data.batches(13, seed=0)
        assert source.n_rows == 130
        (batches,) = source.epoch(0)
        np.testing.assert_allclose(batches.weights.sum(axis=0) / source.n_rows, 1)
        order = data.rows_of_epoch
        assert np.bincount(order).tolist() == [4] * 10 + [1] * 90
        of_rows = data.training_weights(np.array([0, 50]))
        np.testing.assert_allclose(of_rows[0, 0] * 4, of_rows[1, 0])

    @pytest.mark.slow_but_first
    @pytest.mark.parametrize(("n_few", "times"), [(60, 1), (50, 4), (150, None)])
    def test_are_repeated_until_they_are_a_fifth(self, n_few, times, trained_with):
        n_rows = 1000 if times == 4 else 300
        X, y = two_tasks(n_rows, n_few)
        MultiTaskMMoERegressor(**{**TINY, "max_iter": 1}).fit(X, y)
        (seen,) = trained_with
        assert list(seen.plan.groups) == groups_by_targets(seen.data.n_targets)
        repeats = seen.data.for_training("float32", seen.plan.groups).repeats
        if times in (None, 1):
            assert repeats is None
        else:
            known = y["few"].notna().to_numpy()
            assert (set(repeats[known]), set(repeats[~known])) == ({times}, {1})


class TestPredictions:
    def test_are_each_tasks_weighted_mean(self, scarce):
        X, _ = two_tasks(seed=7)
        outputs = scarce._engine.predict_members(X.astype("float32"))
        weights = scarce._engine.spec.member_weights
        predicted = scarce.predict(X).to_numpy()
        for k, task in enumerate(scarce._tasks):
            mean = np.average(outputs[k][..., 0], axis=0, weights=weights[k])
            expected = mean * task.scale + task.mean
            np.testing.assert_allclose(predicted[:, k], expected, rtol=1e-4)

    def test_the_keras_model_agrees(self, scarce):
        X, _ = two_tasks(seed=7)
        outputs = scarce._engine.network.model(X.astype("float32"))
        for k, task in enumerate(scarce._tasks):
            expected = np.asarray(outputs[k])[:, 0] * task.scale + task.mean
            found = scarce.predict(X).to_numpy()[:, k]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_gates_have_the_weights_of_their_task(self, scarce):
        X, _ = two_tasks(seed=7)
        of_experts = gate_weights(scarce, X)
        np.testing.assert_allclose(of_experts.sum(axis=-1), 1, rtol=1e-5)
        use = scarce.expert_use_
        np.testing.assert_allclose(use.sum(axis=1), 1, rtol=1e-5)
        n_members = scarce._engine.spec.n_members
        by_member = use.to_numpy().reshape(2, n_members, -1).sum(axis=-1)
        weights = scarce._engine.spec.member_weights
        np.testing.assert_allclose(by_member, weights, rtol=1e-5)

    @pytest.mark.slow
    def test_one_gate_has_the_mean_over_tasks(self):
        X, y = two_tasks()
        model = MultiTaskMMoERegressor(**TINY, sharing="omoe").fit(X, y)
        found = gate_weights(model, X)
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)

    def test_the_spread_is_that_of_the_members_that_count(self, scarce):
        X, _ = two_tasks(seed=7)
        _, spread = scarce.predict(X, return_std=True)
        outputs = scarce._engine.predict_members(X.astype("float32"))
        weights = scarce._engine.spec.member_weights
        for k, task in enumerate(scarce._tasks):
            values = outputs[k][..., 0] * task.scale
            mean = np.average(values, axis=0, weights=weights[k])
            variance = np.average((values - mean) ** 2, axis=0, weights=weights[k])
            found = np.asarray(spread)[:, k]
            np.testing.assert_allclose(found, np.sqrt(variance), rtol=1e-3)

    def test_a_file_keeps_all(self, scarce, tmp_path):
        X, _ = two_tasks(seed=7)
        scarce.save(tmp_path / "model.mmoe")
        again = load(tmp_path / "model.mmoe")
        pd.testing.assert_frame_equal(again.predict(X), scarce.predict(X))
        pd.testing.assert_frame_equal(again.cv_weights_, scarce.cv_weights_)
        pd.testing.assert_frame_equal(again.cv_losses_, scarce.cv_losses_)


class TestPreprocessing:
    @pytest.mark.parametrize(
        ("n_few", "n_bins"),
        [(2000, 50), (1200, 50), (800, 20), (100, 8), (49, 50), (None, 50)],
    )
    def test_bins_by_the_scarcest_task(self, n_few, n_bins):
        X = np.random.default_rng(0).normal(size=(2000, 2))
        y = None
        if n_few is not None:
            few = np.where(np.arange(2000) < n_few, 1.0, np.nan)
            y = pd.DataFrame({"many": np.zeros(2000), "few": few})
        encoder = PiecewiseLinearEncoder(n_bins="auto").fit(X, y)
        assert [len(edges) - 1 for edges in encoder.bin_edges_] == [n_bins] * 2
        within = make_tabular_preprocessor().fit(pd.DataFrame(X), y)
        of_table = within.named_transformers_["piecewise"].bin_edges_
        assert [len(edges) - 1 for edges in of_table] == [n_bins] * 2

    def test_a_given_number_stays(self):
        X, y = two_tasks()
        plain = PiecewiseLinearEncoder(n_bins=7).fit(X)
        told = PiecewiseLinearEncoder(n_bins=7).fit(X, y)
        for one, other in zip(plain.bin_edges_, told.bin_edges_, strict=True):
            np.testing.assert_array_equal(one, other)


class TestAuto:
    """With 'auto', cross-validation depends on the task of most targets."""

    AUTO = {
        name: value for name, value in TINY.items() if name not in ("cv", "max_iter")
    }

    @pytest.fixture(autouse=True)
    def few_updates(self, monkeypatch):
        monkeypatch.setattr("sklearn_mmoe.estimators._parameters._ENSEMBLE_UPDATES", 8)

    @pytest.mark.slow
    def test_a_task_of_hardly_any_targets_leaves_the_folds(self):
        X, y = two_tasks(n_few=10)
        model = MultiTaskMMoERegressor(**self.AUTO).fit(X, y)
        assert model.cv_losses_.shape[1] == 3
        many, few = model.cv_weights_.to_numpy()
        np.testing.assert_array_equal(many, few)

    @pytest.mark.slow
    def test_more_rows_are_fine_where_a_task_is_scarce(self, monkeypatch):
        monkeypatch.setattr("sklearn_mmoe.estimators._candidates._MOST_ROWS", 200)
        limit = "sklearn_mmoe.estimators._candidates._MOST_ROWS_OF_SCARCITY"
        monkeypatch.setattr(limit, 300)
        X, y = two_tasks()
        model = MultiTaskMMoERegressor(**self.AUTO).fit(X, y)
        labels = model.cv_losses_.columns.get_level_values("tasks").tolist()
        assert labels == ["all", "few", "few"]
        monkeypatch.setattr(limit, 299)
        assert MultiTaskMMoERegressor(**self.AUTO).fit(X, y).cv_losses_ is None


@pytest.mark.slow
def test_a_scarce_task_is_not_spoiled_by_another(monkeypatch):
    """What a task of other columns, ten times as often observed, wants is not its."""
    X, y = two_tasks(3000, 150)
    X_new, y_new = two_tasks(1000, 1000, seed=3)
    together = MultiTaskMMoERegressor(random_state=0).fit(X, y)
    known = y["few"].notna()
    alone = MultiTaskMMoERegressor(random_state=0).fit(X[known], y.loc[known, ["few"]])
    scores = [
        r2_score(y_new["few"], np.asarray(model.predict(X_new))[:, column])
        for model, column in ((together, 1), (alone, 0))
    ]
    assert scores[0] > scores[1] - 0.02


@pytest.mark.slow
def test_a_scarce_classification():
    X, y = two_tasks()
    y["few"] = (y["few"] > 0).map({True: "yes", False: "no"}).where(y["few"].notna())
    model = MultiTaskMMoEMixed(**TINY).fit(X, y)
    assert (
        model.cv_losses_.columns.get_level_values("tasks").tolist()[3:] == ["few"] * 2
    )
    (of_few,) = model.predict_proba(X)
    np.testing.assert_allclose(of_few.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.slow
def test_penalties_and_losses_of_members_of_a_scarce_task(trained_with):
    X, y = two_tasks()
    # Hardly trained, so that all members predict next to nothing.
    options = {**TINY, "max_iter": 1, "learning_rate": 1e-6, "wide": False}
    model = MultiTaskMMoERegressor(**options).fit(X, y)
    labels = model.cv_losses_.columns.to_frame(index=False)
    n_rows = np.where(labels["tasks"] == "all", 300, 60)
    expected = labels["feature_penalty"] / np.sqrt(n_rows)
    np.testing.assert_allclose(
        trained_with[0].spec.parameters["feature_penalty"],
        np.repeat(expected, 2),
        rtol=1e-6,
    )
    for losses in model.task_loss_curves_.values():
        assert 0.8 < losses[0] < 3  # about as of knowing nothing


class Trainer:
    """Whose weights do not matter."""

    def weights(self):
        return [np.zeros((4, 1))]

    def set_weights(self, weights):
        pass


def data_of_folds(n_rows=60):
    from sklearn_mmoe._batches.arrays import TaskData

    return TaskData(
        np.zeros((n_rows, 1)),
        [np.zeros((n_rows, 1))] * 2,
        np.ones((n_rows, 2)),
        np.arange(n_rows),
        folds=np.arange(n_rows) % 2,
        n_folds=2,
    )


def test_a_round_has_to_pay_for_those_that_learn_all_tasks():
    """Not for a candidate whose losses are of one task, and lower."""
    from sklearn_mmoe._training.observer import EpochRecord
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    plan = SimpleNamespace(
        kernel_ridge=False,
        n_epochs=2,
        task_weight=(),
        weakest=0,
        groups=((0,), (1,)),
        weights_by_candidate=((1.0, 1.0), (0.0, 1.0)),
    )
    choice = OutOfFold(
        Trainer(),
        lambda: [],
        ["regression"] * 2,
        [1] * 2,
        [None] * 2,
        data_of_folds(),
        plan,
    )
    losses = iter([5.0, 1.8, *[9.0] * 5, 1.2])
    choice._evaluate = lambda: np.outer([1, 1], [next(losses) / 2, 0.3])
    records = [EpochRecord(epoch, np.zeros(2), 0.0) for epoch in range(8)]
    for record in records:
        choice.on_epoch_end(record)
    assert [record.n_more for record in records] == [0, 6, 0, 0, 0, 0, 0, 18]


def test_a_candidate_never_predicts_what_it_does_not_learn():
    """Even if it predicts that best, by chance."""
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    data = data_of_folds()
    outputs = np.repeat([3.0, 3.0, 1.0, 1.0], 60).reshape(4, 60, 1)
    plan = SimpleNamespace(
        kernel_ridge=False,
        n_epochs=1,
        task_weight=(),
        weakest=None,
        groups=((0,), (1,)),
        weights_by_candidate=((1.0, 1.0), (0.0, 1.0)),
    )

    squared_error = SimpleNamespace(call=lambda y, z: ((y - z) ** 2).mean(axis=1))

    choice = OutOfFold(
        Trainer(),
        lambda: [outputs, outputs],
        ["regression"] * 2,
        [1] * 2,
        [squared_error] * 2,
        data,
        plan,
    )
    choice._look()
    choice.on_train_end()
    assert choice.shares.tolist() == [[1, 0], [0, 1]]
    assert choice.best_candidate == 0
    assert choice.curves[0].tolist() == [18, 1]
    expected = [[0.5, 0.5, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0.5, 0.5]]
    assert choice.member_weights.tolist() == expected


@pytest.mark.slow
def test_rows_of_nested_tasks_are_repeated_as_the_scarcest_needs(trained_with):
    X, y = two_tasks(2000, 50)
    y["some"] = y["many"].where(y["few"].notna() | (np.arange(2000) < 100))
    n_some = y["some"].notna().sum()
    MultiTaskMMoERegressor(**{**TINY, "max_iter": 1}).fit(X, y)
    times = max(1, round(0.2 * 2000 / n_some))
    assert times > 1  # or this would say little
    expected = np.where(y["few"].notna(), 8, np.where(y["some"].notna(), times, 1))
    (seen,) = trained_with
    repeats = seen.data.for_training("float32", seen.plan.groups).repeats
    np.testing.assert_array_equal(repeats, expected)


@pytest.mark.slow
def test_a_chain_is_predicted_by_the_same_members():
    """Or a purchase could be likelier than its click."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    click = (X[:, 0] + rng.normal(size=300) > 0).astype(float)
    purchase = click * (X[:, 1] + rng.normal(size=300) > 0)
    y = pd.DataFrame({"click": click, "purchase": purchase})
    y.loc[rng.permutation(300)[60:], "click"] = np.nan
    y.loc[y["click"].isna() & (purchase == 1), "click"] = np.nan
    model = MultiTaskMMoEClassifier(
        **TINY, task_dependencies={"purchase": "click"}
    ).fit(X, y)
    assert set(model.cv_losses_.columns.get_level_values("tasks")) == {"all"}
    p_click, p_purchase = (p[:, 1] for p in model.predict_proba(X))
    assert (p_purchase <= p_click + 1e-7).all()


def of_fold(plan, data, losses, trainer=None):
    """Make an OutOfFold for which losses by epoch, task and candidate are given."""
    from sklearn_mmoe._training.out_of_fold import OutOfFold

    kinds = ["regression"] * 2
    outputs = np.zeros((4, 60, 1))
    score = [SimpleNamespace(call=lambda targets, _: np.ones(len(targets)))] * 2
    trainer = trainer or Trainer()
    choice = OutOfFold(
        trainer, lambda: [outputs] * 2, kinds, [1] * 2, score, data, plan
    )
    given = iter(losses)
    choice._evaluate = lambda: np.array(next(given))
    return choice


def test_tasks_of_hardly_any_targets_choose_nothing():
    plan = SimpleNamespace(
        kernel_ridge=False,
        n_epochs=2,
        task_weight=(),
        weakest=None,
        groups=(),
        weights_by_candidate=(),
    )
    data = data_of_folds()
    data.weights[10:, 1] = 0
    choice = of_fold(plan, data, [[[1.0, 2.0], [9.0, 0.0]], [[3.0, 3.0], [0.0, 0.0]]])
    for _ in range(2):
        choice._epoch += 1
        choice._look()
    assert (choice.best_candidate, choice.best_epoch) == (0, 1)
    np.testing.assert_array_equal(choice.curves, [[1, 2], [3, 3]])


def test_the_network_is_left_as_it_is_best_for_the_first_group():
    class Counting(Trainer):
        now = 0.0

        def weights(self):
            self.now += 1
            return [np.full((4, 1), self.now)]

        def set_weights(self, weights):
            self.last = weights[0].copy()

    plan = SimpleNamespace(
        kernel_ridge=False,
        n_epochs=2,
        task_weight=(),
        weakest=None,
        groups=((0,), (1,)),
        weights_by_candidate=(),
    )
    trainer = Counting()
    losses = [[[1.0, 1.0], [2.0, 2.0]], [[2.0, 2.0], [1.0, 1.0]]]
    choice = of_fold(plan, data_of_folds(), losses, trainer)
    for _ in range(2):
        choice._epoch += 1
        choice._look()
    choice.on_train_end()
    assert choice.best_weights[0].ravel().tolist() == [1.0] * 4 + [2.0] * 4
    assert trainer.last.ravel().tolist() == [1.0] * 4


@pytest.mark.slow
def test_predictions_during_training_are_of_members_that_learn_the_task():
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append([np.asarray(o) for o in self.model(X.astype("float32"))])

        def on_train_end(self, logs=None):
            seen.append([np.asarray(o) for o in self.model(X.astype("float32"))])

    X, y = two_tasks()
    # One epoch, in which all are at their best.
    options = {**TINY, "max_iter": 1, "feature_penalty": 0.1, "weight_decay": 0.1}
    model = MultiTaskMMoERegressor(**options, dropout=0.0, callbacks=[Look()])
    model.fit(X, y)
    # A candidate for all tasks, and one for the scarce task.
    assert model.cv_losses_.columns.get_level_values("tasks").tolist() == ["all", "few"]
    predicted = model.predict(X)["many"].to_numpy()
    (task, _) = model._tasks
    for outputs in seen:
        found = outputs[0][:, 0] * task.scale + task.mean
        np.testing.assert_allclose(found, predicted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_fit_with_a_scarce_task_goes_on_from_a_checkpoint(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and not list(tmp_path.glob("done")):
                (tmp_path / "done").touch()
                raise KeyboardInterrupt

    X, y = two_tasks()
    whole = MultiTaskMMoERegressor(**TINY).fit(X, y)
    folder = tmp_path / "checkpoints"
    model = MultiTaskMMoERegressor(
        **TINY, checkpoint_dir=folder, callbacks=[Interrupt()]
    )
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    pd.testing.assert_frame_equal(model.fit(X, y).predict(X), whole.predict(X))
    pd.testing.assert_frame_equal(model.cv_weights_, whole.cv_weights_)


def test_the_picture_of_the_gates_has_a_member_for_each_task(scarce):
    from sklearn_mmoe.inspection import GateWeightsDisplay

    X, _ = two_tasks(seed=7)
    display = GateWeightsDisplay.from_estimator(scarce, X, kind="heatmap")
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    member = np.argmax(scarce._engine.spec.member_weights[1])
    assert names == ["many", f"few (member {member})"]
    shown = [float(text.get_text()) for text in display.ax_.texts]
    np.testing.assert_allclose([sum(shown[:2]), sum(shown[2:])], 1, atol=0.011)


@pytest.mark.slow
def test_gates_of_other_members_are_not_compared():
    from sklearn_mmoe.model_selection import sharing_report

    X, y = two_tasks(400, 120)
    reg = MultiTaskMMoERegressor(**{**TINY, "max_iter": 1})
    report = sharing_report(
        reg, X, y, cv=2, sharing=["single", "mmoe"], leave_one_out=False
    )
    similarity = report.gate_similarity.to_numpy()
    np.testing.assert_allclose(np.diag(similarity), 1, rtol=1e-5)
    assert np.isnan(similarity[[0, 1], [1, 0]]).all()
