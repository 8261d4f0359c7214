"""Thresholds chosen by task."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, fbeta_score, make_scorer, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoEMixed
from sklearn_mmoe.inspection import gate_weights
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer
from sklearn_mmoe.model_selection import MultiTaskThresholdClassifier


class EachTask(ClassifierMixin, BaseEstimator):
    """A logistic regression for each task, on the rows that have its label."""

    calls: list[str] = []

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y, sample_weight=None):
        self.calls.append("fit")
        y = pd.DataFrame(y)
        X = np.asarray(X)
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight)
        self.task_names_ = [*map(str, y)]
        self.labels_ = y.columns
        self.models_ = []
        for name in y:
            seen = y[name].notna().to_numpy()
            labels = np.array(y[name][seen].tolist())
            model = LogisticRegression(C=self.C)
            self.models_.append(model.fit(X[seen], labels, sample_weight=weight[seen]))
        self.classes_ = [model.classes_ for model in self.models_]
        return self

    def predict(self, X):
        self.calls.append("predict")
        columns = [model.predict(np.asarray(X)) for model in self.models_]
        return pd.DataFrame(dict(zip(self.labels_, columns, strict=True)))

    def predict_proba(self, X):
        self.calls.append("predict_proba")
        return [model.predict_proba(np.asarray(X)) for model in self.models_]


def three_tasks(n_samples, seed):
    """Return three tasks of two, two and three classes; two of them lack labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 4))
    noisy = X[:, :3] + rng.normal(size=(n_samples, 3))
    y = pd.DataFrame(
        {
            "churn": np.where(noisy[:, 0] > 1.5, "yes", "no"),
            "buy": noisy[:, 1] > 1,
            "size": np.digitize(noisy[:, 2], [-1, 1]),
        },
        dtype=object,
    )
    y.loc[rng.random(n_samples) < 0.3, "churn"] = None
    y.loc[rng.random(n_samples) < 0.5, "buy"] = None
    return X, y


@pytest.fixture(scope="module")
def data():
    return three_tasks(300, seed=0)


F1_OF_YES = make_scorer(f1_score, pos_label="yes")


def binary(data):
    X, _ = data
    return X, np.column_stack([X[:, 0] > 0.7, X[:, 1] > 0.2]).astype(int)


def test_one_task_is_as_scikit_learn_chooses(data):
    X, _ = data
    y = (X[:, 0] + np.random.default_rng(1).normal(size=300) > 1).astype(int)
    model = LogisticRegression().fit(X[:150], y[:150])
    arguments = {"scoring": "f1", "cv": "prefit", "refit": False}
    ours = MultiTaskThresholdClassifier(model, **arguments).fit(X[150:], y[150:])
    theirs = TunedThresholdClassifierCV(model, **arguments).fit(X[150:], y[150:])
    assert ours.best_thresholds_ == {"task_0": theirs.best_threshold_}
    assert ours.best_scores_ == {"task_0": theirs.best_score_}
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)


class TestChoice:
    @pytest.mark.slow
    def test_thresholds_are_the_best_on_held_out_rows_that_have_the_label(self, data):
        X, y = data
        folds = KFold(3)
        model = MultiTaskThresholdClassifier(
            EachTask(),
            scoring={"churn": F1_OF_YES, "buy": "f1"},
            thresholds=40,
            cv=folds,
            store_cv_results=True,
        ).fit(X, y)
        assert list(model.best_thresholds_) == ["churn", "buy"]
        for k, (name, positive) in enumerate([("churn", "yes"), ("buy", True)]):
            held_out = np.empty(300)
            for train, test in folds.split(X):
                fitted = EachTask().fit(X[train], y.iloc[train])
                held_out[test] = fitted.predict_proba(X[test])[k][:, 1]
            seen = y[name].notna().to_numpy()
            true = (y[name][seen] == positive).to_numpy()
            results = model.cv_results_[name]
            scores = [
                f1_score(true, held_out[seen] >= t) for t in results["thresholds"]
            ]
            np.testing.assert_allclose(results["scores"], scores)
            assert model.best_scores_[name] == max(scores)
            assert (
                model.best_thresholds_[name]
                == (results["thresholds"][np.argmax(scores)])
            )
            assert len(scores) == 40

    def test_one_pass_for_all_tasks(self, data):
        X, y = data
        EachTask.calls.clear()
        model = MultiTaskThresholdClassifier(
            EachTask(), scoring={"churn": F1_OF_YES, "buy": "f1"}, thresholds=5, cv=3
        ).fit(X, y)
        assert EachTask.calls.count("predict_proba") == 3
        assert EachTask.calls.count("fit") == 4
        EachTask.calls.clear()
        model.set_params(scoring="accuracy", cv=0.2, refit=False).fit(X, y)
        assert EachTask.calls.count("fit") == 1

    def test_predictions_follow_thresholds_and_others_stay(self, data):
        X, y = data
        model = MultiTaskThresholdClassifier(
            EachTask(), scoring={"churn": F1_OF_YES}, thresholds=30, cv=3
        ).fit(X, y)
        plain = EachTask().fit(X, y)
        predicted, usual = model.predict(X), plain.predict(X)
        pd.testing.assert_frame_equal(
            predicted[["buy", "size"]], usual[["buy", "size"]]
        )
        probability = plain.predict_proba(X)[0][:, 1]
        assert model.best_thresholds_["churn"] < 0.45
        assert (
            predicted["churn"].to_numpy()
            == np.where(probability >= model.best_thresholds_["churn"], "yes", "no")
        ).all()
        for ours, theirs in zip(
            model.predict_proba(X), plain.predict_proba(X), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_better_by_the_score_that_they_were_chosen_by(self, data):
        scoring = {"churn": F1_OF_YES, "buy": "f1", "size": "accuracy"}
        model = MultiTaskThresholdClassifier(
            EachTask(),
            scoring={k: scoring[k] for k in ("churn", "buy")},
            thresholds=30,
        ).fit(*data)
        unseen = three_tasks(2000, seed=1)
        ours, theirs = (
            multi_task_scorer(scoring)(fitted, *unseen)
            for fitted in (model, EachTask().fit(*data))
        )
        assert ours["churn"] > theirs["churn"] + 0.05
        assert ours["buy"] > theirs["buy"] + 0.05
        assert ours["size"] == theirs["size"]

    def test_costs_move_the_threshold_to_where_they_balance(self):
        """A miss nine times as dear: 0.1, where probabilities are right."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(20_000, 1)) * 2
        y = (rng.random((20_000, 2)) < 1 / (1 + np.exp(-X))).astype(int)
        costs = [[0, 1], [9, 0]]
        model = MultiTaskThresholdClassifier(
            MultiOutputClassifier(LogisticRegression()),
            scoring={0: costs, 1: np.array(costs).T},
            cv=2,
        ).fit(X, y)
        assert model.best_thresholds_["task_0"] == pytest.approx(0.1, abs=0.05)
        assert model.best_thresholds_["task_1"] == pytest.approx(0.9, abs=0.05)
        predicted = model.predict(X)[:, 0]
        cost = np.array(costs)[y[:, 0], predicted].mean()
        assert model.best_scores_["task_0"] == pytest.approx(-cost, abs=0.01)

    def test_given_thresholds(self, data):
        X, y = binary(data)
        model = MultiTaskThresholdClassifier(
            DecisionTreeClassifier(max_depth=2), thresholds=[0.3, 0.6], cv=2
        ).fit(X, y)
        assert set(model.best_thresholds_.values()) <= {0.3, 0.6}

    def test_a_scorer_function_and_another_names_of_tasks(self, data):
        X, y = data

        def negative_share(estimator, X, y):
            return -float(np.mean(estimator.predict(X) == estimator.classes_[1]))

        scoring = {
            "buy": negative_share,
            0: make_scorer(fbeta_score, beta=2, pos_label="yes"),
        }
        model = MultiTaskThresholdClassifier(EachTask(), scoring=scoring, cv=2)
        model.fit(X, y)
        assert model.best_scores_["buy"] < 0.02
        assert model.best_thresholds_["churn"] < 0.4

    def test_weights_count_in_fit_and_in_scores(self, data):
        X, y = data
        weight = pd.DataFrame({"churn": 1.0, "buy": (X[:, 3] > 0) * 1.0, "size": 1.0})
        kept = X[:, 3] > 0
        scoring = {"buy": "f1"}
        fitted = EachTask().fit(X[:50], y[:50])
        prefit = MultiTaskThresholdClassifier(
            fitted,
            scoring=scoring,
            cv="prefit",
            refit=False,
            thresholds=np.arange(0.1, 0.9, 0.05),
        )
        by_weight = (
            clone(prefit)
            .set_params(estimator=fitted)
            .fit(X, y, sample_weight=weight[["size", "buy", "churn"]])
        )
        by_rows = clone(prefit).set_params(estimator=fitted).fit(X[kept], y[kept])
        without = clone(prefit).set_params(estimator=fitted).fit(X, y)
        assert by_weight.best_scores_ == pytest.approx(by_rows.best_scores_)
        assert by_weight.best_thresholds_ == by_rows.best_thresholds_
        assert without.best_scores_ != pytest.approx(by_rows.best_scores_)
        of_rows = np.where(X[:, 3] > 0, 1.0, 1e-6)
        weighted = MultiTaskThresholdClassifier(
            EachTask(), scoring=scoring, thresholds=5, cv=2
        )
        weighted.fit(X, y, sample_weight=of_rows)
        np.testing.assert_allclose(
            weighted.predict_proba(X)[1],
            EachTask().fit(X, y, sample_weight=of_rows).predict_proba(X)[1],
        )

    def test_rows_without_weight_are_as_if_absent(self, data):
        X, y = data
        fitted = EachTask().fit(X, y)
        prefit = MultiTaskThresholdClassifier(
            fitted, scoring={"buy": "f1"}, cv="prefit", refit=False, thresholds=7,
            store_cv_results=True,
        )  # fmt: skip
        second = fitted.predict_proba(X)[list(y).index("buy")][:, 1]
        kept = (second > 0.2) & (second < 0.8)
        results = [
            clone(prefit)
            .set_params(estimator=fitted)
            .fit(X[rows], y[rows], sample_weight=weight[rows])
            .cv_results_["buy"]
            for rows, weight in ((slice(None), kept * 1.0), (kept, np.ones(len(X))))
        ]
        for name in ("thresholds", "scores"):
            np.testing.assert_allclose(*[result[name] for result in results])
        # One class alone has some.
        weight = (y["buy"] == y["buy"].max()) * 1.0
        model = clone(prefit).set_params(estimator=fitted)
        with pytest.warns(UserWarning, match=r"'buy': y has only the class"):
            model.fit(X, y, sample_weight=weight)
        assert model.best_thresholds_ == {}

    def test_a_fold_that_was_fitted_without_a_class_gives_it_probability_0(self, data):
        X, _ = data
        y = np.column_stack([[0] * 75 + [1] * 75, [0, 1] * 75])
        model = MultiTaskThresholdClassifier(
            DecisionTreeClassifier(max_depth=2, random_state=0),
            scoring="accuracy",
            thresholds=[0.5],
            cv=KFold(2),
        ).fit(X[:150], y)
        assert model.best_scores_["task_0"] == 0  # each half knows the other class
        assert model.best_scores_["task_1"] > 0.3

    def test_the_threshold_itself_is_of_the_second_class(self, data):
        X, y = binary(data)
        fitted = DecisionTreeClassifier(max_depth=2).fit(X, y)
        highest = fitted.predict_proba(X)[0][:, 1].max()
        model = MultiTaskThresholdClassifier(
            fitted, scoring={0: "f1"}, thresholds=[highest], cv="prefit", refit=False
        ).fit(X, y)
        predicted = model.predict(X)[:, 0]
        assert predicted.sum() > 0
        assert f1_score(y[:, 0], predicted) == model.best_scores_["task_0"]

    def test_costs_are_weighed(self, data):
        X, y = binary(data)
        fitted = DecisionTreeClassifier(max_depth=1).fit(X, y)
        model = MultiTaskThresholdClassifier(
            fitted, scoring=[[0, 1], [2, 0]], thresholds=[0.5], cv="prefit", refit=False
        )
        weight = 1.0 + np.arange(300)
        scores = model.fit(X, y, sample_weight=weight).best_scores_
        predicted = fitted.predict_proba(X)[0][:, 1] >= 0.5
        costs = np.where(y[:, 0] == 1, 2 * ~predicted, predicted)
        assert scores["task_0"] == pytest.approx(-np.average(costs, weights=weight))


class TestUndecided:
    def test_such_tasks_keep_the_most_probable_class_with_a_word(self, data):
        X, _ = data
        y = pd.DataFrame({"a": X[:, 0] > 0, "b": 7, "c": X[:, 1] > 0}).astype(int)
        fitted = DecisionTreeClassifier(random_state=0).fit(X, y.to_numpy())
        y = y.to_numpy()
        model = MultiTaskThresholdClassifier(fitted, cv="prefit", refit=False)
        rows = (X[:, 0] > 0) & (X[:, 1] > 0)
        with pytest.warns(
            UserWarning, match=r"'task_1': y has only the class 7; 'task_2'"
        ):
            model.fit(X[X[:, 1] > 0], y[X[:, 1] > 0])
        assert list(model.best_thresholds_) == ["task_0"]
        with pytest.warns(UserWarning, match="'task_0': y has only the class 1"):
            model.fit(X[rows], y[rows])
        assert model.best_thresholds_ == {}
        np.testing.assert_array_equal(model.predict(X), fitted.predict(X))

    def test_constant_probabilities(self, data):
        X, y = binary(data)
        with pytest.warns(
            UserWarning, match="'task_1': the estimator predicts the same"
        ):
            model = MultiTaskThresholdClassifier(
                DecisionTreeClassifier(max_leaf_nodes=2, random_state=0),
                scoring={1: "f1"},
                cv=2,
            ).fit(np.zeros_like(X), y)
        assert model.best_thresholds_ == {}


class TestConventions:
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    def test_scikit_learns_own_checks(self):
        model = MultiTaskThresholdClassifier(
            DecisionTreeClassifier(max_depth=3, random_state=0), thresholds=5, cv=2
        )
        reason = "labels are predicted by thresholds, not by the largest probability"
        results = check_estimator(
            model,
            on_skip=None,
            expected_failed_checks={"check_classifier_multioutput": reason},
        )
        assert len(results) > 40

    def test_clone_tags_repr_pickle_and_not_fitted(self, data):
        X, y = binary(data)
        model = MultiTaskThresholdClassifier(
            DecisionTreeClassifier(max_depth=2),
            scoring={0: "f1", 1: [[0, 1], [2, 0]]},
            cv=2,
        )
        assert clone(model).get_params()["estimator__max_depth"] == 2
        assert "MultiTaskThresholdClassifier(cv=2" in repr(model)
        with pytest.raises(NotFittedError):
            model.predict(X)
        with pytest.raises(NotFittedError):
            model.predict_proba(X)
        tags, inner = get_tags(model), get_tags(model.estimator)
        assert tags.estimator_type == "classifier"
        assert tags.input_tags.sparse == inner.input_tags.sparse
        assert tags.input_tags.allow_nan == inner.input_tags.allow_nan
        assert tags.target_tags.multi_output
        frame = pd.DataFrame(X, columns=list("abcd"))
        assert model.fit(frame, y) is model
        assert model.n_features_in_ == 4
        assert model.feature_names_in_.tolist() == list("abcd")
        assert model.task_names_ == ["task_0", "task_1"]
        assert not hasattr(model, "cv_results_")
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
        model.set_params(store_cv_results=True).fit(X, y)
        assert not hasattr(model, "feature_names_in_")
        assert "DecisionTreeClassifier" in model._repr_html_()

    @pytest.mark.slow
    def test_in_searches_and_around_them(self, data):
        X, y = binary(data)
        inner = GridSearchCV(
            make_pipeline(StandardScaler(), ClassifierChain(LogisticRegression())),
            {"classifierchain__order": [[0, 1], [1, 0]]},
            cv=2,
            scoring=mean_task_scorer("roc_auc"),
        )
        around = MultiTaskThresholdClassifier(inner, thresholds=8, cv=2).fit(X, y)
        assert around.predict(X).shape == y.shape
        assert around.score(X, y) > 0.9
        search = GridSearchCV(
            make_pipeline(
                StandardScaler(),
                MultiTaskThresholdClassifier(EachTask(), thresholds=8, cv=2),
            ),
            {
                "multitaskthresholdclassifier__estimator__C": [0.01],
                "multitaskthresholdclassifier__scoring": ["f1", "accuracy"],
            },
            cv=2,
            scoring=mean_task_scorer("f1"),
        ).fit(X, y)
        assert mean_task_scorer("f1")(search, X, y) > 0.9
        assert mean_task_scorer("roc_auc")(search, X, y) == pytest.approx(
            np.mean(
                [
                    roc_auc_score(y[:, k], p[:, 1])
                    for k, p in enumerate(search.predict_proba(X))
                ]
            )
        )

    def test_names_are_matched_however_deep(self, data):
        X, y = data
        model = MultiTaskThresholdClassifier(
            EachTask(), scoring={"buy": "f1"}, thresholds=10, cv=2
        )
        model.fit(X, y)
        assert model.score(X, y) == model.score(X, y[["size", "churn", "buy"]])
        with pytest.raises(ValueError, match="missing are \\['size'\\]"):
            model.score(X, y[["churn", "buy"]])
        prefit = MultiTaskThresholdClassifier(
            model.estimator_, scoring={"buy": "f1"}, cv="prefit", refit=False
        )
        first = prefit.fit(X, y).best_thresholds_
        assert prefit.fit(X, y[["size", "buy", "churn"]]).best_thresholds_ == first
        assert prefit.task_names_ == ["churn", "buy", "size"]

    def test_metadata_routing(self, data):
        X, y = data
        weight, groups = np.linspace(0.1, 1, 300), np.arange(300) // 10
        with sklearn.config_context(enable_metadata_routing=True):
            model = MultiTaskThresholdClassifier(
                EachTask().set_fit_request(sample_weight=True),
                scoring={"buy": "f1"},
                thresholds=10,
                cv=GroupKFold(2),
            )
            routed = model.fit(X, y, sample_weight=weight, groups=groups)
            routed = routed.best_scores_
            with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
                clone(model).set_params(estimator=EachTask()).fit(
                    X, y, sample_weight=weight, groups=groups
                )
        model.fit(X, y, sample_weight=weight, groups=groups)
        assert model.best_scores_ == routed

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.linspace(0, 1, 300), "'spent', which is a regression; thresholds"),
            (np.arange(300), "looks like a regression: it has 300 different values;"),
        ],
    )
    def test_a_regression_has_no_threshold(self, data, values, message):
        X, y = data
        model = MultiTaskThresholdClassifier(EachTask(), scoring={"spent": "f1"}, cv=2)
        with pytest.raises(ValueError, match=message):
            model.fit(X, y.assign(spent=values))

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"scoring": "f11"}, ValueError, "f11"),
            ({"scoring": {}}, ValueError, "names no task"),
            ({"scoring": {"bye": "f1"}}, ValueError, "no task named 'bye'"),
            (
                {"scoring": {"size": "f1"}},
                ValueError,
                "'size', which has 3 classes",
            ),
            ({"scoring": [[0, 1, 2]]}, ValueError, r"costs of shape \(2, 2\)"),
            ({"scoring": {"buy": None}}, ValueError, "scorer, a scorer, costs"),
            ({"scoring": {"buy": "roc_auc"}}, ValueError, "cannot score the labels"),
            ({"scoring": {"churn": "f1"}}, ValueError, "task 'churn'.*pos_label"),
            ({"thresholds": 0}, ValueError, "'thresholds' parameter"),
            ({"thresholds": []}, ValueError, "an int or a list of numbers"),
            ({"thresholds": ["a"]}, ValueError, "an int or a list of numbers"),
            ({"cv": 1.5}, ValueError, "'cv' parameter"),
            ({"cv": 3, "refit": False}, ValueError, "cv makes 3 folds"),
            ({"cv": "prefit"}, ValueError, "cv='prefit' needs refit=False"),
            ({"cv": "prefit", "refit": False}, NotFittedError, "fit it first"),
            ({"estimator": StandardScaler()}, ValueError, "'estimator' parameter"),
        ],
    )
    def test_bad_input(self, data, parameters, error, message):
        X, y = data
        given = {
            "estimator": EachTask(),
            "scoring": {"buy": "f1"},
            "cv": 2,
            **parameters,
        }
        EachTask.calls.clear()
        with pytest.raises(error, match=message):
            MultiTaskThresholdClassifier(**given).fit(X, y)
        assert EachTask.calls == []  # nothing was fitted in vain

    def test_weights_are_checked_before_anything_is_fitted(self, data):
        X, y = data
        EachTask.calls.clear()
        model = MultiTaskThresholdClassifier(EachTask(), scoring={"buy": "f1"}, cv=2)
        for weight in (np.full(300, -1.0), np.ones((300, 2))):
            with pytest.raises(ValueError, match=r"Negative|sample_weight\.shape"):
                model.fit(X, y, sample_weight=weight)
        assert EachTask.calls == []


class TestOwnEstimators:
    def test_classifier(self, fitted_classifier, labels_data):
        X, y = labels_data
        model = MultiTaskThresholdClassifier(
            fitted_classifier, scoring="f1", cv="prefit", refit=False
        ).fit(X, y)
        ours = multi_task_scorer("f1")(model, X, y)
        theirs = multi_task_scorer("f1")(fitted_classifier, X, y)
        assert ours["mean"] > theirs["mean"]
        assert ours["task_0"] == pytest.approx(model.best_scores_["task_0"])
        np.testing.assert_array_equal(
            gate_weights(model, X), gate_weights(fitted_classifier, X)
        )

    @pytest.mark.slow
    def test_frames_with_missing_labels_and_a_pipeline(self, data, tiny):
        X, y = data
        pipeline = make_pipeline(StandardScaler(), MultiTaskMMoEClassifier(**tiny))
        model = MultiTaskThresholdClassifier(
            pipeline, scoring={"buy": "f1"}, cv=0.3, refit=False, random_state=0
        ).fit(X, y)
        predicted = model.predict(X)
        assert list(predicted) == list(y)
        assert predicted["buy"].dtype == bool
        assert 0 < model.best_thresholds_["buy"] < 0.5
        assert model.n_features_in_ == 4

    @pytest.mark.slow
    def test_mixed(self, data, tiny):
        X, y = data
        y = y[["buy"]].assign(hours=X[:, 0] * 3)
        fitted = MultiTaskMMoEMixed(**tiny).fit(X, y)
        model = MultiTaskThresholdClassifier(
            fitted, scoring="f1", cv="prefit", refit=False
        ).fit(X, y)
        assert list(model.best_thresholds_) == ["buy"]
        np.testing.assert_array_equal(
            model.predict(X)["hours"], fitted.predict(X)["hours"]
        )
        assert np.isfinite(model.score(X, y))
        with pytest.raises(ValueError, match="'hours', which is a regression"):
            model.set_params(scoring={"hours": "f1"}).fit(X, y)
