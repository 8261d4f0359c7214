"""The contenders of ``tables.py``, each with its defaults.

A contender learns all tasks of a table in ``fit(X, y, kinds)``, and ``predict(X)``
returns an array for each task: values of a regression, of shape (n_samples,), or
probabilities of the classes 0, 1, ..., of shape (n_samples, n_classes). Its
preprocessing is part of its fit: for ours the default preprocessor, for the others
what skrub's ``tabular_pipeline`` puts before an estimator of their sort, so that dates,
texts and categories are worked up for them as well. A task whose labels are missing in
some rows is learned on the others.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from table_data import Kinds


class Contender(Protocol):
    """What a contender is."""

    def fit(self, X: pd.DataFrame, y: pd.DataFrame, kinds: Kinds) -> Contender: ...

    def predict(self, X: pd.DataFrame) -> list[np.ndarray]: ...


def with_all_classes(
    probabilities: np.ndarray, classes: np.ndarray, n_classes: int
) -> np.ndarray:
    """Put the columns of the classes that were met in training in their places."""
    placed = np.zeros((len(probabilities), n_classes))
    placed[:, np.asarray(classes).astype(int)] = probabilities
    return placed


def as_list(probabilities: Any) -> list[np.ndarray]:
    """Return a list of arrays, as several outputs have it, where there is one too."""
    return probabilities if isinstance(probabilities, list) else [probabilities]


class Sklearn:
    """Estimators of scikit-learn's kind, one for each task or one for all.

    Parameters
    ----------
    preparation : transformer
        What makes numbers of the columns, for all tasks at once.
    regressor, classifier : estimator
        The models.
    together : tuple of {'regression', 'classification'}, default=()
        The kinds of which one model takes several tasks; it does where a table has
        that kind alone and no target is missing.
    """

    def __init__(
        self,
        preparation: Any,
        regressor: Any,
        classifier: Any,
        together: tuple[str, ...] = (),
    ) -> None:
        self.preparation = preparation
        self.regressor = regressor
        self.classifier = classifier
        self.together = together

    def groups(self, y: pd.DataFrame, kinds: Kinds) -> list[list[str]]:
        """Return the tasks that learn in one model each."""
        found = {
            "regression" if kind is None else "classification"
            for kind in kinds.values()
        }
        together = found in [{kind} for kind in self.together]
        if together and not y.isna().to_numpy().any():
            return [list(kinds)]
        return [[task] for task in kinds]

    def model(self, tasks: list[str], target: np.ndarray, kinds: Kinds) -> Any:
        """Make the model of some tasks, whose targets have no missing value."""
        if kinds[tasks[0]] is None:
            return clone(self.regressor)
        if target.ndim == 1 and len(np.unique(target)) == 1:
            return DummyClassifier(strategy="prior")  # there is nothing to tell apart
        return clone(self.classifier)

    def fit(self, X: pd.DataFrame, y: pd.DataFrame, kinds: Kinds) -> Sklearn:
        self.kinds_ = kinds
        self.preparation_ = clone(self.preparation)
        Z = self.preparation_.fit_transform(X)
        self.models_ = []
        for tasks in self.groups(y, kinds):
            target = y[tasks].to_numpy()
            known = ~np.isnan(target).any(axis=1)
            target = target[known, 0] if len(tasks) == 1 else target
            if kinds[tasks[0]] is not None:
                target = target.astype(int)
            model = self.model(tasks, target, kinds)
            rows = Z[known] if known.any() and not known.all() else Z
            self.models_.append((tasks, model.fit(rows, target)))
        return self

    def probabilities(self, model: Any, Z: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return probabilities and classes of each task of a model."""
        found = as_list(model.predict_proba(Z))
        classes = model.classes_ if len(found) > 1 else [model.classes_]
        return list(zip(found, classes, strict=True))

    def predict(self, X: pd.DataFrame) -> list[np.ndarray]:
        Z = self.preparation_.transform(X)
        predictions = {}
        for tasks, model in self.models_:
            if self.kinds_[tasks[0]] is None:
                values = np.asarray(model.predict(Z)).reshape(len(X), -1)
                predictions |= dict(zip(tasks, values.T, strict=True))
                continue
            found = self.probabilities(model, Z)
            for task, (probabilities, classes) in zip(tasks, found, strict=True):
                predictions[task] = with_all_classes(
                    probabilities, classes, self.kinds_[task]
                )
        return [predictions[task] for task in self.kinds_]


class LogisticCV(LogisticRegressionCV):
    """LogisticRegressionCV with fewer folds where a class has fewer rows than folds."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        fewest = np.bincount(y)[np.unique(y)].min()
        if fewest < 2:
            return LogisticRegression(max_iter=self.max_iter).fit(X, y)
        return self.set_params(cv=min(5, fewest)).fit_cv(X, y)

    fit_cv = LogisticRegressionCV.fit


class LightGBM(BaseEstimator):
    """LightGBM that stops early on a fifth of the rows, then is fitted to all."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> LightGBM:
        import lightgbm

        labels = isinstance(self.model, lightgbm.LGBMClassifier)
        enough = labels and np.unique(y, return_counts=True)[1].min() > 1
        train, valid = train_test_split(
            np.arange(len(y)),
            test_size=0.2,
            random_state=0,
            stratify=y if enough else None,
        )
        if labels:  # a class of a single row cannot be tested on
            valid = valid[np.isin(y[valid], y[train])]
        stopped = clone(self.model).set_params(n_estimators=1000)
        callback = lightgbm.early_stopping(20, verbose=False)
        stopped.fit(
            X.iloc[train],
            y[train],
            eval_X=(X.iloc[valid],),
            eval_y=(y[valid],),
            callbacks=[callback],
        )
        n_estimators = max(1, stopped.best_iteration_)
        self.model_ = clone(self.model).set_params(n_estimators=n_estimators)
        self.model_.fit(X, y)
        if labels:
            self.classes_ = self.model_.classes_
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model_.predict(X)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        return self.model_.predict_proba(X)


class CatBoost(Sklearn):
    """CatBoost: one model for all tasks where its losses for several allow it."""

    def groups(self, y: pd.DataFrame, kinds: Kinds) -> list[list[str]]:
        """Return the tasks that learn in one model each."""
        allowed = all(kind in (None, 2) for kind in kinds.values())
        varied = (y.min() < y.max()).all()
        return super().groups(y, kinds) if allowed and varied else [[t] for t in kinds]

    def model(self, tasks: list[str], target: np.ndarray, kinds: Kinds) -> Any:
        model = super().model(tasks, target, kinds)
        if len(tasks) > 1:
            several = "MultiRMSE" if kinds[tasks[0]] is None else "MultiLogloss"
            model.set_params(loss_function=several)
        return model

    def probabilities(self, model: Any, Z: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        found = model.predict_proba(Z)
        if isinstance(model, DummyClassifier) or "Multi" not in str(
            model.get_param("loss_function")
        ):
            return [(found, model.classes_)]
        # The probability of each label being 1.
        return [(np.column_stack([1 - p, p]), np.arange(2)) for p in found.T]


class CategoriesAsStrings(BaseEstimator):
    """Make strings of categories, which CatBoost takes by their positions."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> CategoriesAsStrings:
        self.columns_ = list(X.select_dtypes("category"))
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        strings = {
            column: X[column].astype("object").fillna("missing").astype(str)
            for column in self.columns_
        }
        return X.assign(**strings)

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> pd.DataFrame:
        return self.fit(X).transform(X)


def catboost_model(base: type, n_jobs: int) -> Any:
    """Make a CatBoost estimator that looks for its categories itself."""

    class Model(base):
        def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
            strings = list(X.select_dtypes(exclude="number"))
            return super().fit(X, y, cat_features=strings)

    return Model(
        random_state=0, thread_count=n_jobs, verbose=False, allow_writing_files=False
    )


class Ours:
    """Our estimator for the table's kinds of tasks, behind our preprocessor."""

    def __init__(self, one_by_one: bool = False) -> None:
        self.one_by_one = one_by_one

    def pipeline(self, kinds: Kinds) -> Any:
        """Make the default pipeline."""
        import sklearn_mmoe
        from sklearn_mmoe.preprocessing import make_tabular_preprocessor

        regressions = [kind is None for kind in kinds.values()]
        if all(regressions):
            estimator = sklearn_mmoe.MultiTaskMMoERegressor(random_state=0)
        elif not any(regressions):
            estimator = sklearn_mmoe.MultiTaskMMoEClassifier(random_state=0)
        else:
            types = {
                task: "regression" if kind is None else "classification"
                for task, kind in kinds.items()
            }
            estimator = sklearn_mmoe.MultiTaskMMoEMixed(
                task_types=types, random_state=0
            )
        return make_pipeline(make_tabular_preprocessor(), estimator)

    def fit(self, X: pd.DataFrame, y: pd.DataFrame, kinds: Kinds) -> Ours:
        self.kinds_ = kinds
        groups = [[task] for task in kinds] if self.one_by_one else [list(kinds)]
        self.models_ = []
        for tasks in groups:
            known = y[tasks].notna().any(axis=1)
            model = self.pipeline({task: kinds[task] for task in tasks})
            self.models_.append((tasks, model.fit(X[known], y.loc[known, tasks])))
        return self

    def predict(self, X: pd.DataFrame) -> list[np.ndarray]:
        predictions = {}
        for tasks, model in self.models_:
            labels = [task for task in tasks if self.kinds_[task] is not None]
            if len(labels) < len(tasks):
                values = model.predict(X)
                values = np.asarray(values, dtype=float).reshape(len(X), -1)
                predictions |= dict(zip(tasks, values.T, strict=True))
            if labels:
                found = as_list(model.predict_proba(X))
                classes = [c for c in self.classes(model[-1]) if c is not None]
                for task, p, c in zip(labels, found, classes, strict=True):
                    predictions[task] = with_all_classes(p, c, self.kinds_[task])
        return [predictions[task] for task in self.kinds_]

    @staticmethod
    def classes(estimator: Any) -> list[np.ndarray | None]:
        """Return the classes of each task."""
        classes = estimator.classes_
        return classes if isinstance(classes, list) else [classes]


BOTH = ("regression", "classification")


def before(estimator: Any) -> Any:
    """Return what skrub puts before an estimator."""
    from skrub import tabular_pipeline

    return tabular_pipeline(estimator)[:-1]


def ridge(n_jobs: int) -> Contender:
    return Sklearn(
        before(RidgeCV()),
        RidgeCV(alphas=np.logspace(-3, 4, 15), alpha_per_target=True),
        LogisticCV(scoring="neg_log_loss", max_iter=1000, n_jobs=n_jobs),
        together=("regression",),
    )


def random_forest(n_jobs: int) -> Contender:
    options = {"random_state": 0, "n_jobs": n_jobs}
    return Sklearn(
        before(RandomForestRegressor()),
        RandomForestRegressor(**options),
        RandomForestClassifier(**options),
        together=BOTH,
    )


def extra_trees(n_jobs: int) -> Contender:
    options = {"random_state": 0, "n_jobs": n_jobs}
    return Sklearn(
        before(RandomForestRegressor()),
        ExtraTreesRegressor(**options),
        ExtraTreesClassifier(**options),
        together=BOTH,
    )


def hist_gradient_boosting(n_jobs: int) -> Contender:
    return Sklearn(
        before(HistGradientBoostingRegressor()),
        HistGradientBoostingRegressor(random_state=0),
        HistGradientBoostingClassifier(random_state=0),
    )


def lightgbm(n_jobs: int) -> Contender:
    from lightgbm import LGBMClassifier, LGBMRegressor

    options = {"random_state": 0, "n_jobs": n_jobs, "verbose": -1}
    return Sklearn(
        before(HistGradientBoostingRegressor()),
        LightGBM(LGBMRegressor(**options)),
        LightGBM(LGBMClassifier(**options)),
    )


def catboost(n_jobs: int) -> Contender:
    from catboost import CatBoostClassifier, CatBoostRegressor

    return CatBoost(
        make_pipeline(before(HistGradientBoostingRegressor()), CategoriesAsStrings()),
        catboost_model(CatBoostRegressor, n_jobs),
        catboost_model(CatBoostClassifier, n_jobs),
        together=BOTH,
    )


def mlp(n_jobs: int) -> Contender:
    """scikit-learn's; its regressor leaves it to the user to scale the targets."""
    return Sklearn(
        before(RidgeCV()),
        TransformedTargetRegressor(
            MLPRegressor(random_state=0), transformer=StandardScaler()
        ),
        MLPClassifier(random_state=0),
        together=("regression",),
    )


def pytabkit(name: str) -> Callable[[int], Contender]:
    """Return a maker of one of pytabkit's models; they scale columns themselves."""

    def make(n_jobs: int) -> Contender:
        import pytabkit
        from skrub import TableVectorizer

        options = {"random_state": 0, "device": "cpu", "n_threads": n_jobs}
        return Sklearn(
            make_pipeline(TableVectorizer(), SimpleImputer(add_indicator=True)),
            getattr(pytabkit, f"{name}_Regressor")(**options),
            getattr(pytabkit, f"{name}_Classifier")(**options),
        )

    return make


# By name: how it is made, with a number of threads, and the library that it needs.
CONTENDERS: dict[str, tuple[Callable[[int], Contender], str]] = {
    "MMoE": (lambda n_jobs: Ours(), "tensorflow"),
    "MMoE, one by one": (lambda n_jobs: Ours(one_by_one=True), "tensorflow"),
    "linear": (ridge, "skrub"),
    "RandomForest": (random_forest, "skrub"),
    "ExtraTrees": (extra_trees, "skrub"),
    "HistGradientBoosting": (hist_gradient_boosting, "skrub"),
    "LightGBM": (lightgbm, "lightgbm"),
    "CatBoost": (catboost, "catboost"),
    "MLP": (mlp, "skrub"),
    "RealMLP-TD": (pytabkit("RealMLP_TD"), "pytabkit"),
    "TabM-D": (pytabkit("TabM_D"), "pytabkit"),
}


def available() -> list[str]:
    """Return the contenders whose libraries are installed."""
    return [
        name
        for name, (_, library) in CONTENDERS.items()
        if importlib.util.find_spec(library) is not None
    ]


def make_contender(name: str, n_jobs: int) -> Contender:
    """Make a contender, with its libraries loaded, which no fit is to pay for."""
    # What they warn of (few rows of a class, steps that are too few) is their default.
    warnings.simplefilter("ignore")
    make, library = CONTENDERS[name]
    if library == "tensorflow":
        import sklearn_mmoe.layers  # noqa: F401  loads Keras
    return make(n_jobs)
