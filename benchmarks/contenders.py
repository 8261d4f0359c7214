"""What a user could take for several tabular targets: how each contender is fitted.

Each contender is a function of a :class:`Split` that returns a :class:`Outcome`;
``CONTENDERS`` lists them. Every one may use the training and validation rows as it
likes, and its own preprocessing is part of its fit. ``compare.py`` runs them.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import fetch_census_income
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

TASKS = ("income", "never_married")
EPOCHS_OF_THE_RECIPE = 100
PATIENCE_OF_THE_RECIPE = 25


@dataclass(frozen=True)
class Split:
    """Rows of one split, 60/20/20; `fit` are training and validation rows together."""

    X: pd.DataFrame
    y: pd.DataFrame  # 0 and 1
    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    @property
    def fit(self) -> np.ndarray:
        return np.concatenate([self.train, self.valid])

    @classmethod
    def draw(cls, seed: int) -> Split:
        """Split the test half of Census-Income."""
        X, y = fetch_census_income("test", return_X_y=True)
        y = pd.DataFrame({task: pd.factorize(y[task], sort=True)[0] for task in TASKS})
        rows, test = train_test_split(
            np.arange(len(X)), test_size=0.2, random_state=seed
        )
        train, valid = train_test_split(rows, test_size=0.25, random_state=seed)
        return cls(X, y, train, valid, test)


@dataclass
class Outcome:
    """The probability of each task's class 1 in the test rows, and what it cost."""

    probabilities: list[np.ndarray]
    fit_seconds: float
    predict_seconds: float
    model_bytes: int
    extra: dict[str, float] = field(default_factory=dict)


def timed(
    fit: Callable[[], Any], predict: Callable[[Any], list[np.ndarray]]
) -> Outcome:
    """Fit, predict twice (the second time counts) and weigh the pickled model."""
    start = time.perf_counter()
    model = fit()
    fitted = time.perf_counter()
    predict(model)
    begun = time.perf_counter()
    probabilities = predict(model)
    ended = time.perf_counter()
    return Outcome(
        probabilities, fitted - start, ended - begun, len(pickle.dumps(model))
    )


def timed_pipeline(split: Split, model: Any) -> Outcome:
    """Fit a pipeline for all tasks on training and validation rows, and predict."""
    X, y = split.X.iloc[split.fit], split.y.iloc[split.fit]
    X_test = split.X.iloc[split.test]
    return timed(
        lambda: model.fit(X, y),
        lambda model: [proba[:, 1] for proba in model.predict_proba(X_test)],
    )


def ours(split: Split, **parameters: Any) -> Outcome:
    """Fit the default pipeline, or one with other parameters."""
    model = make_pipeline(
        make_tabular_preprocessor(), MultiTaskMMoEClassifier(**parameters)
    )
    outcome = timed_pipeline(split, model)
    outcome.extra["parameters"] = model[-1].network_.count_params()
    return outcome


def mmoe(split: Split) -> Outcome:
    return ours(split)


def mmoe_one_epoch(split: Split) -> Outcome:
    return ours(split, max_iter=1)


def shared_bottom(split: Split) -> Outcome:
    """One bottom for all tasks, as wide as gives it the parameters of the MMoE."""
    return ours(split, num_experts=1, expert_units=211)


def single_tasks(split: Split) -> Outcome:
    """Fit the same network once for each task, at half the width."""
    model = make_pipeline(
        make_tabular_preprocessor(),
        MultiOutputClassifier(
            MultiTaskMMoEClassifier(shared_units=48, expert_units=33)
        ),
    )
    outcome = timed_pipeline(split, model)
    networks = [estimator.network_ for estimator in model[-1].estimators_]
    outcome.extra["parameters"] = sum(network.count_params() for network in networks)
    return outcome


def lightgbm(split: Split, patience: int = 20, **parameters: Any) -> Outcome:
    """One model for each task: early stopping, then a refit on all rows."""
    X = with_categories(split.X)
    X_test = X.iloc[split.test]
    return timed(
        lambda: lightgbm_models(split, X, patience, parameters),
        lambda models: [model.predict_proba(X_test)[:, 1] for model in models],
    )


def slower_lightgbm(split: Split) -> Outcome:
    """Take smaller steps and more caution, which suit this table."""
    return lightgbm(
        split, patience=50, learning_rate=0.05, min_child_samples=40, cat_smooth=20
    )


def catboost(split: Split) -> Outcome:
    """CatBoost for each task: early stopping, then a refit on all rows."""
    from catboost import CatBoostClassifier, Pool

    names = list(split.X.select_dtypes(exclude="number"))
    strings = {
        name: split.X[name].astype(object).fillna("missing").astype(str)
        for name in names
    }
    X = split.X.assign(**strings)
    options = {"verbose": False, "allow_writing_files": False, "eval_metric": "AUC"}

    def fit() -> list[Any]:
        models = []
        for task in TASKS:
            y = split.y[task].to_numpy()
            train, valid, both = (
                Pool(X.iloc[rows], y[rows], cat_features=names)
                for rows in (split.train, split.valid, split.fit)
            )
            stopped = CatBoostClassifier(early_stopping_rounds=50, **options)
            stopped.fit(train, eval_set=valid)
            n_trees = max(stopped.best_iteration_ + 1, 1)
            models.append(CatBoostClassifier(iterations=n_trees, **options).fit(both))
        return models

    X_test = X.iloc[split.test]
    return timed(
        fit, lambda models: [model.predict_proba(X_test)[:, 1] for model in models]
    )


def with_categories(X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are not numeric the dtype that LightGBM asks for."""
    others = X.columns.difference(X.select_dtypes("number").columns)
    return X.astype(dict.fromkeys(others, "category"))


def lightgbm_models(
    split: Split, X: pd.DataFrame, patience: int, parameters: dict[str, Any]
) -> list[Any]:
    """Fit LightGBM for each task."""
    import lightgbm as lgb

    X_train, X_valid, X_fit = (
        X.iloc[rows] for rows in (split.train, split.valid, split.fit)
    )
    models = []
    for task in TASKS:
        y = split.y[task].to_numpy()
        model = partial(lgb.LGBMClassifier, verbose=-1, **parameters)
        stopped = model(n_estimators=1000)
        stopped.fit(
            X_train,
            y[split.train],
            eval_X=(X_valid,),
            eval_y=(y[split.valid],),
            eval_metric="auc",
            callbacks=[lgb.early_stopping(patience, verbose=False)],
        )
        again = model(n_estimators=stopped.best_iteration_)
        models.append(again.fit(X_fit, y[split.fit]))
    return models


def hist_gradient_boosting(split: Split) -> Outcome:
    """scikit-learn's, as LightGBM above."""
    X_train, X_valid, X_fit, X_test = (
        split.X.iloc[rows] for rows in (split.train, split.valid, split.fit, split.test)
    )

    def fit() -> list[Any]:
        models = []
        for task in TASKS:
            y = split.y[task].to_numpy()
            stopped = HistGradientBoostingClassifier(
                max_iter=1000,
                early_stopping=True,
                scoring="roc_auc",
                n_iter_no_change=20,
                categorical_features="from_dtype",
            )
            stopped.fit(X_train, y[split.train], X_val=X_valid, y_val=y[split.valid])
            best = int(np.argmax(stopped.validation_score_))
            again = HistGradientBoostingClassifier(
                max_iter=max(best, 1),
                early_stopping=False,
                categorical_features="from_dtype",
            )
            models.append(again.fit(X_fit, y[split.fit]))
        return models

    return timed(
        fit, lambda models: [model.predict_proba(X_test)[:, 1] for model in models]
    )


def mlp(split: Split) -> Outcome:
    """scikit-learn's MLPClassifier for each task, on scaled and one-hot columns."""
    from sklearn.compose import make_column_selector, make_column_transformer

    model = make_pipeline(
        make_column_transformer(
            (StandardScaler(), make_column_selector(dtype_include="number")),
            (
                OneHotEncoder(handle_unknown="ignore", dtype=np.float32),
                make_column_selector(dtype_exclude="number"),
            ),
        ),
        MultiOutputClassifier(MLPClassifier(early_stopping=True)),
    )
    return timed_pipeline(split, model)


def recipe(split: Split) -> Outcome:
    """State the Keras notebook's recipe again: what users of it do today.

    Numeric columns as they are, the others one-hot, no shared layer, eight experts of
    four units, towers of eight, Adam, batches of 32, 100 epochs, and a layer that
    computes experts and gates one after the other. The figures are those of the epoch
    that was best on the validation rows, and the time is that until its end; where 25
    epochs have brought nothing better, the others are spared.
    """
    from sklearn_mmoe._training import keras_import  # noqa: F401  quiet, before keras

    # isort: split
    import keras
    from sklearn.metrics import roc_auc_score

    start = time.perf_counter()
    dummies = pd.get_dummies(split.X, dtype=np.float32).to_numpy(dtype=np.float32)
    inputs = keras.Input((dummies.shape[1],))
    experts = [keras.layers.Dense(4, activation="relu")(inputs) for _ in range(8)]
    stacked = keras.ops.stack(experts, axis=2)  # (n_samples, units, experts)
    outputs = []
    for task in TASKS:
        gate = keras.layers.Dense(8, activation="softmax")(inputs)
        mixture = keras.ops.sum(stacked * gate[:, None, :], axis=2)
        tower = keras.layers.Dense(8, activation="relu")(mixture)
        outputs.append(keras.layers.Dense(1, activation="sigmoid", name=task)(tower))
    network = keras.Model(inputs, outputs)
    network.compile("adam", ["binary_crossentropy"] * 2)
    targets = [split.y[[task]].to_numpy(dtype=np.float32) for task in TASKS]
    best = -np.inf
    outcome = Outcome([], np.nan, np.nan, network.count_params() * 4)
    scoring = 0.0
    for epoch in range(EPOCHS_OF_THE_RECIPE):
        network.fit(
            dummies[split.train],
            [target[split.train] for target in targets],
            batch_size=32,
            verbose=0,
        )
        now = time.perf_counter()
        valid = network.predict(dummies[split.valid], batch_size=4096, verbose=0)
        aucs = [
            roc_auc_score(split.y[task].iloc[split.valid], probability)
            for task, probability in zip(TASKS, valid, strict=True)
        ]
        if np.mean(aucs) > best:
            best = np.mean(aucs)
            begun = time.perf_counter()
            test = network.predict(dummies[split.test], batch_size=4096, verbose=0)
            outcome.predict_seconds = time.perf_counter() - begun
            outcome.probabilities = [probability.ravel() for probability in test]
            outcome.fit_seconds = now - start - scoring
            outcome.extra = {"epoch": epoch + 1, "parameters": network.count_params()}
        scoring += time.perf_counter() - now  # is no part of the recipe
        if epoch + 1 - outcome.extra["epoch"] >= PATIENCE_OF_THE_RECIPE:
            break
    return outcome


CONTENDERS: dict[str, Callable[[Split], Outcome]] = {
    "MMoE": mmoe,
    "MMoE, one epoch": mmoe_one_epoch,
    "shared bottom": shared_bottom,
    "single-task networks": single_tasks,
    "LightGBM": lightgbm,
    "LightGBM, slower": slower_lightgbm,
    "CatBoost": catboost,
    "HistGradientBoosting": hist_gradient_boosting,
    "MLPClassifier": mlp,
    "Keras notebook's recipe": recipe,
}
