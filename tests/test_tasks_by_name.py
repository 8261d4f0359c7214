"""Tasks are matched by name; what is undefined for one of them is NaN there alone."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    accuracy_score,
    get_scorer,
    log_loss,
    make_scorer,
    max_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    LearningCurveDisplay,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.callbacks import TaskScores
from sklearn_mmoe.inspection import (
    TaskCalibrationDisplay,
    TaskScoresDisplay,
    task_importances,
)
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer, task_scorer

N = 80


@pytest.fixture(scope="module")
def data():
    """A classification of two classes, one of three, and a regression."""
    X = np.random.default_rng(0).normal(size=(N, 4))
    y = pd.DataFrame(
        {
            "rich": np.where(X[:, 0] > 0, "yes", "no"),
            "size": np.digitize(X[:, 1], [-0.5, 0.5]),
            "hours": X[:, 2] * 10 + 40,
        }
    )
    return X, y


@pytest.fixture(scope="module")
def mixed(data, tiny):
    return MultiTaskMMoEMixed(**tiny, learning_rate=0.1).fit(*data)


@pytest.fixture(scope="module")
def classifier(data, tiny):
    X, y = data
    model = MultiTaskMMoEClassifier(**tiny, learning_rate=0.1)
    return make_pipeline(StandardScaler(), model).fit(X, y[["rich", "size"]])


@pytest.fixture(scope="module")
def regressor(data, tiny):
    X, y = data
    y = y[["hours"]].assign(days=X[:, 3])
    return MultiTaskMMoERegressor(**tiny).fit(X, y), y


EACH = {"rich": "roc_auc", "size": "neg_log_loss", "hours": "r2"}


class TestNames:
    @pytest.mark.slow
    def test_scores_do_not_depend_on_the_order_of_columns(
        self, mixed, classifier, regressor, data
    ):
        X, y = data
        turned = y[["hours", "size", "rich"]]
        assert mixed.score(X, turned) == pytest.approx(mixed.score(X, y))
        expected = multi_task_scorer(EACH)(mixed, X, y)
        assert multi_task_scorer(EACH)(mixed, X, turned) == expected
        assert mean_task_scorer(EACH)(mixed, X, turned) == expected["mean"]
        for task in ("hours", 2, -1):
            assert task_scorer("r2", task)(mixed, X, turned) == expected["hours"]
        labels = y[["rich", "size"]]
        assert classifier.score(X, labels[["size", "rich"]]) == pytest.approx(
            classifier.score(X, labels)
        )
        model, values = regressor
        assert model.score(X, values[["days", "hours"]]) == pytest.approx(
            model.score(X, values)
        )

    def test_displays(self, classifier, data):
        X, y = data
        curves = [
            TaskScoresDisplay.from_estimator(classifier, X, y[names]).curves
            for names in (["rich", "size"], ["size", "rich"])
        ]
        for one, other in zip(*curves, strict=True):
            assert one[0] == other[0]
            np.testing.assert_array_equal(one[1], other[1])
            np.testing.assert_array_equal(one[2], other[2])

    @pytest.mark.slow
    def test_validation_rows_callbacks_and_further_fits(self, data, tiny):
        X, y = data
        y = y[["rich", "size"]]
        turned = y[["size", "rich"]]
        fits = []
        for other in (y, turned):
            scores = TaskScores({"train": (X, other)}, "accuracy", verbose=False)
            model = MultiTaskMMoEClassifier(
                **tiny,
                early_stopping=True,
                early_stopping_metric="accuracy",
                warm_start=True,
                callbacks=scores,
            )
            model.fit(X, y, X_val=X, y_val=other)
            model.fit(X, other, X_val=X, y_val=y)
            fits.append((model.validation_scores_, scores.scores_["accuracy"].tolist()))
        assert fits[0] == fits[1]
        parts = [
            MultiTaskMMoEClassifier(**tiny).partial_fit(X, y).partial_fit(X, other)
            for other in (y, turned)
        ]
        for one, other in zip(*(p.predict_proba(X) for p in parts), strict=True):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.slow
    def test_another_set_of_names_is_refused(self, mixed, classifier, data, tiny):
        X, y = data
        other = y.rename(columns={"rich": "poor"})
        message = r"missing are \['rich'\], unknown are \['poor'\]"
        calls = [
            lambda: mixed.score(X, other),
            lambda: multi_task_scorer(EACH)(mixed, X, other),
            lambda: task_scorer("r2", "hours")(mixed, X, other),
            lambda: clone(mixed).partial_fit(X, y).partial_fit(X, other),
            lambda: clone(mixed).set_params(warm_start=True).fit(X, y).fit(X, other),
            lambda: (
                clone(mixed)
                .set_params(early_stopping=True)
                .fit(X, y, X_val=X, y_val=other)
            ),
            lambda: (
                clone(mixed)
                .set_params(callbacks=TaskScores({"train": (X, other)}))
                .fit(X, y)
            ),
            lambda: classifier.score(X, other[["poor", "size"]]),
            lambda: TaskScoresDisplay.from_estimator(
                classifier, X, other[["poor", "size"]]
            ),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=message):
                call()
        with pytest.raises(
            ValueError, match=r"y has 2 tasks, .* fitted with 3: .*rich"
        ):
            mixed.score(X, y[["size", "hours"]])

    @pytest.mark.slow
    def test_positions_where_one_side_has_no_names(self, mixed, data, tiny):
        X, y = data
        assert mixed.score(X, y.to_numpy(object)) == pytest.approx(mixed.score(X, y))
        model = MultiTaskMMoEMixed(**tiny).fit(X, y.to_numpy(object))
        assert list(multi_task_scorer(EACH)(model, X, y)) == [*EACH, "mean"]

    def test_a_task_called_mean(self, data):
        X, y = data
        y = pd.DataFrame({"mean": y["hours"], "b": X[:, 0]})
        model = Ridge().fit(X, y)
        with pytest.raises(ValueError, match="A task is named 'mean'"):
            multi_task_scorer("r2")(model, X, y)
        expected = r2_score(y, model.predict(X))
        assert mean_task_scorer("r2")(model, X, y) == pytest.approx(expected)
        assert task_scorer("r2", "mean")(model, X, y) == pytest.approx(
            r2_score(y["mean"], model.predict(X)[:, 0])
        )


class TestUndefined:
    def one_warning(self, function, match):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = function()
        assert len(caught) == 1
        assert issubclass(caught[0].category, UserWarning)
        assert match in str(caught[0].message)
        return result

    @pytest.mark.slow
    def test_a_task_without_targets(self, mixed, classifier, regressor, data):
        X, y = data
        without = y.assign(rich=None)
        scores = self.one_warning(
            lambda: multi_task_scorer(EACH)(mixed, X, without), "'rich': y has no targ"
        )
        expected = multi_task_scorer(EACH)(mixed, X, y)
        assert np.isnan(scores.pop("rich"))
        assert scores["size"] == expected["size"]
        assert scores["mean"] == np.mean([expected["size"], expected["hours"]])
        predicted = mixed.predict(X)
        score = self.one_warning(lambda: mixed.score(X, without), "'rich'")
        assert score == pytest.approx(
            np.mean(
                [
                    accuracy_score(y["size"], predicted["size"]),
                    r2_score(y["hours"], predicted["hours"]),
                ]
            )
        )
        model, values = regressor
        score = self.one_warning(
            lambda: model.score(X, values.assign(days=np.nan)), "'days'"
        )
        assert score == r2_score(values["hours"], model.predict(X)["hours"])
        # No task alone decides on a row that is right in all that it has.
        labels = without[["rich", "size"]]
        right = classifier.predict(X)["size"] == y["size"]
        assert classifier.score(X, labels) == right.mean()
        nothing = labels.assign(size=None)
        score = self.one_warning(lambda: classifier.score(X, nothing), "no label")
        assert np.isnan(score)
        mean = self.one_warning(
            lambda: mean_task_scorer("accuracy")(classifier, X, nothing), "'size'"
        )
        assert np.isnan(mean)

    @pytest.mark.slow
    def test_a_class_that_no_row_has(self, classifier, data):
        X, y = data
        rows = (y["size"] != 2).to_numpy()
        X, y = X[rows], y.loc[rows, ["rich", "size"]]
        scoring = multi_task_scorer({"rich": "roc_auc", "size": "roc_auc_ovr"})
        scores = self.one_warning(lambda: scoring(classifier, X, y), "only [0, 1]")
        assert np.isnan(scores["size"])
        assert scores["mean"] == scores["rich"]
        yes = (y["rich"] == "yes").to_numpy()
        score = task_scorer("roc_auc", "rich")
        assert np.isnan(
            self.one_warning(lambda: score(classifier, X[yes], y[yes]), "only ['yes']")
        )

    @pytest.mark.parametrize("task", ["rich", "size"])
    def test_log_loss_needs_no_row_of_each_class(self, classifier, data, task):
        """The classes are known, and so is the probability of those that are there."""
        X, y = data
        rows = (y[task] == y[task].iloc[0]).to_numpy()
        X, y = X[rows], y.loc[rows, ["rich", "size"]]
        k = ["rich", "size"].index(task)
        expected = -log_loss(
            y[task], classifier.predict_proba(X)[k], labels=classifier[-1].classes_[k]
        )
        score = task_scorer("neg_log_loss", task)(classifier, X, y)
        assert score == pytest.approx(expected)

    @pytest.mark.slow
    def test_a_fold_does_not_take_other_folds_and_tasks_with_it(self, data, tiny):
        X, y = data
        y = y[["rich", "size"]].astype(object)
        y.loc[60:, "size"] = None
        folds = [(np.arange(40), np.arange(40, 60)), (np.arange(60), np.arange(60, 80))]
        with pytest.warns(UserWarning, match="'size'"):
            scores = cross_validate(
                MultiTaskMMoEClassifier(**tiny),
                X,
                y,
                cv=folds,
                scoring=multi_task_scorer("accuracy"),
                error_score="raise",
            )
        assert np.isnan(scores["test_size"]).tolist() == [False, True]
        assert np.isfinite(scores["test_rich"]).all()
        assert np.isfinite(scores["test_mean"]).all()

    @pytest.mark.slow
    def test_callback_and_early_stopping(self, data, tiny):
        X, y = data
        y = y[["rich", "size"]]
        y_val = y.assign(rich=None)
        scores = TaskScores({"val": (X, y_val)}, "accuracy", verbose=False)
        model = MultiTaskMMoEClassifier(
            **{**tiny, "max_iter": 4},
            callbacks=scores,
            early_stopping=True,
            early_stopping_metric="accuracy",
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y, X_val=X, y_val=y_val)
        messages = [str(warning.message) for warning in caught]
        assert len(messages) == 2  # one of the callback, one of early stopping
        assert all("'rich'" in message for message in messages)
        table = scores.scores_.set_index(["epoch", "task"])["accuracy"]
        assert table.xs("rich", level="task").isna().all()
        size = table.xs("size", level="task").tolist()
        assert model.validation_scores_ == pytest.approx(size)

    @pytest.mark.slow
    def test_real_mistakes_are_errors(self, classifier, mixed, data):
        X, y = data
        labels = y[["rich", "size"]]
        with pytest.raises(ValueError, match="'roc_auc' cannot score the task 'size'"):
            multi_task_scorer("roc_auc")(classifier, X, labels)
        with pytest.raises(
            ValueError, match=r"(?s)task 'hours', which is a regression.*'hours': 'r2'"
        ):
            multi_task_scorer({**EACH, "hours": "roc_auc"})(mixed, X, y)
        with pytest.raises(ValueError, match=r"no task named 'age'"):
            multi_task_scorer({**EACH, "age": "r2"})(mixed, X, y)
        with pytest.raises(ValueError, match="X has 3 features"):
            task_scorer("accuracy", "rich")(mixed, X[:, :3], y)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            task_scorer("accuracy", "rich")(mixed, X[:5], y)
        with pytest.raises(
            ValueError, match="'hours' is a regression, but its targets"
        ):
            task_scorer("r2", "hours")(mixed, X, y.assign(hours="many"))


class TestOneClass:
    @pytest.mark.slow
    @pytest.mark.parametrize("estimator", [MultiTaskMMoEClassifier, MultiTaskMMoEMixed])
    def test_it_is_predicted_and_changes_nothing_else(self, estimator, data, tiny):
        X, y = data
        y = pd.DataFrame({"a": "never", "b": y["size"], "c": True})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = estimator(**tiny, class_weight="balanced").fit(X, y)
        assert [str(w.message) for w in caught] == [
            "y has only one class in the tasks 'a' ('never'), 'c' (True), which is "
            "predicted for every row."
        ]
        predicted = model.predict(X)
        assert set(predicted["a"]) == {"never"}
        assert set(predicted["c"]) == {True}
        probabilities = model.predict_proba(X)
        assert [p.shape[1] for p in probabilities] == [1, 3, 1]
        assert (probabilities[0] == 1).all()
        assert model.task_loss_curves_["a"] == [0, 0]
        assert model.task_loss_curves_["b"][0] > 0
        assert 0 <= model.score(X, y) <= 1
        with pytest.warns(UserWarning, match="'a'.*'c'"):
            scores = multi_task_scorer("roc_auc_ovr")(model, X, y)
        assert np.isnan([scores["a"], scores["c"]]).all()
        assert scores["mean"] == scores["b"]
        with pytest.warns(UserWarning, match="no curve"):
            curves = TaskScoresDisplay.from_estimator(model, X, y).curves
        assert [name for name, *_ in curves] == ["b: 0", "b: 1", "b: 2"]

    def test_one_task_alone(self, data, tiny):
        X, _ = data
        with pytest.warns(UserWarning, match="only one class"):
            model = MultiTaskMMoEClassifier(**tiny).fit(X, np.full(N, "only"))
        assert model.classes_.tolist() == ["only"]
        assert set(model.predict(X)) == {"only"}
        assert model.predict_proba(X).shape == (N, 1)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:One or more of the test scores:UserWarning")
    def test_a_search_over_rare_labels(self, data, tiny):
        """One fold has all of them, so that the other two train on one class."""
        X, y = data
        y = y[["rich"]].assign(buys=np.arange(N) < 3)
        with pytest.warns(UserWarning, match="buys"):
            search = GridSearchCV(
                MultiTaskMMoEClassifier(**{**tiny, "max_iter": 1}),
                {"num_experts": [1]},
                scoring=multi_task_scorer("roc_auc"),
                refit=False,
                cv=[(np.arange(40), np.arange(40, 80)), (np.arange(40, 80), range(40))],
                error_score="raise",
            ).fit(X, y)
        assert np.isfinite(search.cv_results_["mean_test_mean"]).all()


def test_early_stopping_without_any_score_stops_in_time(data, tiny):
    """As with any score that does not rise, and with words."""
    X, y = data
    y = y[["rich"]]
    model = MultiTaskMMoEClassifier(
        **{**tiny, "max_iter": 20},
        early_stopping=True,
        early_stopping_metric="roc_auc",
        n_iter_no_change=2,
    )
    with (
        pytest.warns(UserWarning, match="'rich'"),
        pytest.warns(UserWarning, match="nan after epoch 1"),
    ):
        model.fit(X, y, X_val=X, y_val=y.assign(rich=y["rich"].iloc[0]))
    assert model.n_iter_ == 3
    assert np.isnan(model.best_validation_score_)
    with pytest.raises(ValueError, match="y_val has no target"):
        model.fit(X, y, X_val=X, y_val=y.assign(rich=None))


class TestWeights:
    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls):
        rng = np.random.default_rng(0)
        return pd.DataFrame(
            rng.integers(0, 3, (N, 3)), columns=["hours", "size", "rich"]
        )

    @pytest.mark.slow
    def test_a_column_for_each_task_by_name(self, mixed, data, weights):
        X, y = data
        scores = multi_task_scorer(EACH)(mixed, X, y, sample_weight=weights)
        predicted, probabilities = mixed.predict(X), mixed.predict_proba(X)
        expected = {
            "rich": roc_auc_score(
                y["rich"] == "yes",
                probabilities[0][:, 1],
                sample_weight=weights["rich"],
            ),
            "size": -log_loss(
                y["size"], probabilities[1], sample_weight=weights["size"]
            ),
            "hours": r2_score(
                y["hours"], predicted["hours"], sample_weight=weights["hours"]
            ),
        }
        assert {name: scores[name] for name in expected} == pytest.approx(expected)
        in_order = weights[list(y)].to_numpy()
        assert multi_task_scorer(EACH)(mixed, X, y, sample_weight=in_order) == scores
        mean = np.mean(
            [
                accuracy_score(
                    y["rich"], predicted["rich"], sample_weight=weights["rich"]
                ),
                accuracy_score(
                    y["size"], predicted["size"], sample_weight=weights["size"]
                ),
                expected["hours"],
            ]
        )
        assert mixed.score(X, y, sample_weight=weights) == pytest.approx(mean)
        with pytest.raises(
            ValueError, match=r"missing are \['rich'\], unknown are \['a"
        ):
            mixed.score(X, y, weights.rename(columns={"rich": "a"}))
        with pytest.raises(
            ValueError, match=r"shape == \(80, 2\), expected \(80,\) or"
        ):
            mixed.score(X, y, weights.iloc[:, :2])

    @pytest.mark.slow
    def test_a_column_for_each_of_y_in_another_order(
        self, mixed, classifier, data, weights
    ):
        """Without names they go with y's columns, not with the estimator's tasks."""
        X, y = data
        turned = ["hours", "rich", "size"]
        arguments = (X, y[turned]), weights[turned].to_numpy()
        by_name = (X, y), weights
        scores, expected = (
            multi_task_scorer(EACH)(mixed, *rows, sample_weight=weight)
            for rows, weight in (arguments, by_name)
        )
        assert scores == expected
        assert mixed.score(*arguments[0], arguments[1]) == mixed.score(X, y, weights)
        importances = [
            task_importances(
                mixed, *rows, sample_weight=weight, n_repeats=1, random_state=0
            ).importances
            for rows, weight in (arguments, by_name)
        ]
        np.testing.assert_array_equal(*importances)
        labels = ["size", "rich"]
        accuracies = [
            classifier[-1].score(X, y[names], weight)
            for names, weight in (
                (labels, weights[labels].to_numpy()),
                (labels[::-1], weights[labels]),
            )
        ]
        assert accuracies[0] == accuracies[1]
        curves = [
            TaskCalibrationDisplay.from_estimator(
                mixed, *rows, sample_weight=weight, n_bins=3
            ).curves
            for rows, weight in (arguments, by_name)
        ]
        for one, other in zip(*curves, strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.weight, other.weight)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["partial_fit", "fit"])
    def test_training_goes_on_with_columns_in_another_order(
        self, data, weights, tiny, name
    ):
        X, y = data
        turned = ["hours", "rich", "size"]
        predictions = []
        for names, weight in (
            (list(y), weights[list(y)].to_numpy()),
            (turned, weights[turned].to_numpy()),
        ):
            model = MultiTaskMMoEMixed(**tiny, warm_start=True).fit(X, y)
            getattr(model, name)(X, y[names], sample_weight=weight)
            predictions.append(model.predict(X))
        pd.testing.assert_frame_equal(*predictions)

    @pytest.mark.slow
    def test_fit_matches_weights_by_name(self, data, weights, tiny):
        X, y = data
        fits = [
            MultiTaskMMoEMixed(**tiny).fit(X, y, sample_weight=some)
            for some in (weights, weights[list(y)].to_numpy())
        ]
        assert fits[0].loss_curve_ == fits[1].loss_curve_

    def test_subset_accuracy(self, classifier, data, weights):
        X, y = data
        labels = y[["rich", "size"]]
        right = (classifier.predict(X) == labels).to_numpy()
        model = classifier[-1]
        scaled = classifier[:-1].transform(X)
        weight = weights["rich"].to_numpy()
        assert model.score(scaled, labels, weight) == pytest.approx(
            np.average(right.all(axis=1), weights=weight)
        )
        alone = np.column_stack([weight, np.zeros(N)])  # as if 'size' were missing
        assert model.score(scaled, labels, alone) == pytest.approx(
            np.average(right[:, 0], weights=weight)
        )

    def test_early_stopping(self, data, weights, tiny):
        """Rows without weight do not count, whatever the scorer."""
        X, y = data
        y = y[["rich", "size"]]
        both = weights[["rich", "size"]]
        for metric in ("accuracy", task_scorer("accuracy", "size")):
            model = MultiTaskMMoEClassifier(
                **tiny, early_stopping=True, early_stopping_metric=metric
            ).fit(X, y, X_val=X, y_val=y, sample_weight_val=both)
            scorer = mean_task_scorer(metric) if isinstance(metric, str) else metric
            assert scorer(model, X, y, sample_weight=both) == pytest.approx(
                model.best_validation_score_
            )
        plain = MultiTaskMMoEClassifier(
            **tiny,
            early_stopping=True,
            early_stopping_metric=lambda estimator, X, y: 0.5,
        )
        plain.fit(X, y, X_val=X, y_val=y, sample_weight_val=both)
        assert plain.validation_scores_ == [0.5] * plain.n_iter_

    def test_weights_of_zero(self, mixed, data, weights):
        X, y = data
        weights = weights.assign(rich=0)
        with pytest.warns(UserWarning, match="'rich': y has no target of positive wei"):
            scores = multi_task_scorer(EACH)(mixed, X, y, sample_weight=weights)
        assert np.isnan(scores["rich"])

    def test_a_metric_that_takes_none(self, mixed, data):
        X, y = data
        scorer = task_scorer(make_scorer(max_error, greater_is_better=False), "hours")
        assert not scorer._accept_sample_weight()
        assert scorer(mixed, X, y) < 0
        with pytest.raises(TypeError, match="takes no sample_weight"):
            scorer(mixed, X, y, sample_weight=np.ones(N))


SCORERS = [mean_task_scorer("r2"), task_scorer("r2", 0), multi_task_scorer("r2")]


class TestInScikitLearn:
    @pytest.fixture(scope="class")
    @classmethod
    def weighted(cls):
        """Rows of which half are wrong, and weigh nothing."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(100, 3))
        y = X[:, :2].copy()
        weight = rng.integers(0, 2, 100)
        y[weight == 0] *= -1
        return X, y, weight

    def mean(self, scores):
        return scores.get("test_score", scores.get("test_mean")).mean()

    @pytest.mark.parametrize("scorer", SCORERS, ids=repr)
    @pytest.mark.parametrize("routing", [False, True])
    def test_weights_reach_the_scorer_of_a_search(self, scorer, routing, weighted):
        if not (routing or hasattr(get_scorer("r2"), "_accept_sample_weight")):
            pytest.skip("without routing, this scikit-learn scores without weights")
        X, y, weight = weighted
        with sklearn.config_context(enable_metadata_routing=routing):
            model = Ridge()
            if routing:
                model.set_fit_request(sample_weight=True)
            refit = "mean" if scorer is SCORERS[2] else True
            search = GridSearchCV(model, {}, scoring=scorer, refit=refit, cv=2)
            search.fit(X, y, sample_weight=weight)
        assert search.best_score_ > 0.99

    @pytest.mark.parametrize("scorer", SCORERS, ids=repr)
    def test_requests(self, scorer, weighted):
        X, y, weight = weighted
        scorer = clone(scorer, safe=False)
        with pytest.raises(RuntimeError, match="enable_metadata_routing"):
            scorer.set_score_request(sample_weight=True)
        with sklearn.config_context(enable_metadata_routing=True):
            model = Ridge().set_fit_request(sample_weight=True)

            def scores(**params):
                return self.mean(
                    cross_validate(model, X, y, scoring=scorer, cv=2, params=params)
                )

            assert scores(sample_weight=weight) > 0.99
            assert scorer.set_score_request(sample_weight=False) is scorer
            assert scores(sample_weight=weight) < 0.5
            scorer.set_score_request(sample_weight="other")
            assert scores(sample_weight=weight, other=weight) > 0.99
            with pytest.raises(ValueError, match="either"):
                scorer.set_score_request(sample_weight=3)

    def test_requests_of_wrapped_scorers(self, weighted):
        X, y, weight = weighted

        def hit(y_true, y_pred, within, sample_weight=None):
            near = np.abs(y_true - y_pred) < within
            return np.average(near, weights=sample_weight)

        with sklearn.config_context(enable_metadata_routing=True):
            own = make_scorer(hit).set_score_request(within=True, sample_weight="w")
            score = self.mean(
                cross_validate(
                    Ridge().set_fit_request(sample_weight=True),
                    X,
                    y,
                    scoring=mean_task_scorer(own),
                    cv=2,
                    params={
                        "sample_weight": weight,
                        "w": weight,
                        "within": np.full(100, 0.3),
                    },
                )
            )
            assert score > 0.99
            other = make_scorer(hit).set_score_request(sample_weight="v")
            with pytest.raises(
                ValueError, match="request 'sample_weight' in different"
            ):
                multi_task_scorer({0: own, 1: other})

    def test_names(self, weighted):
        X, y, _ = weighted
        scorer = get_scorer("neg_root_mean_squared_error")
        assert task_scorer("roc_auc", "a").__name__ == "roc_auc_of_a"
        assert mean_task_scorer(scorer).__name__ == "mean_root_mean_squared_error"
        assert multi_task_scorer({"a": "r2"}).__name__ == "score_of_each_task"
        display = LearningCurveDisplay.from_estimator(
            Ridge(), X, y, scoring=SCORERS[0], cv=2, train_sizes=[0.5, 1.0]
        )
        assert display.ax_.get_ylabel() == "Mean r2"


@pytest.mark.slow
def test_class_weights_of_validation_rows_are_those_of_training(data, tiny):
    """Rows that lack a class do not change what the others weigh."""
    X, y = data
    y = y["size"]
    lacking = (y != 0).to_numpy()
    model = MultiTaskMMoEClassifier(
        **tiny, class_weight="balanced", early_stopping=True
    ).fit(X, y, X_val=X[lacking], y_val=y[lacking])
    counts = y.value_counts().sort_index().to_numpy()
    weight = (len(y) / (3 * counts))[y[lacking]]
    chosen = model.predict_proba(X[lacking])[np.arange(lacking.sum()), y[lacking]]
    expected = np.average(np.log(chosen), weights=weight)
    assert model.best_validation_score_ == pytest.approx(expected, rel=1e-4)
