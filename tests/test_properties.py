"""Whatever comes in, a fit works with the documented shapes or says what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.model_selection import MultiTaskStratifiedKFold
from sklearn_mmoe.preprocessing import PiecewiseLinearEncoder

COLUMNS = {
    "int": lambda rng, n: rng.integers(0, 3, n),
    "bool": lambda rng, n: rng.random(n) < 0.5,
    "float": lambda rng, n: rng.normal(size=n),
    "whole float": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "str": lambda rng, n: rng.choice(["a", "b", "c"], n),
    "object": lambda rng, n: rng.choice(["a", "b"], n).astype(object),
    "category": lambda rng, n: pd.Categorical(rng.choice(["x", "y"], n)),
    "constant": lambda rng, n: np.zeros(n, dtype=int),
    "huge": lambda rng, n: rng.normal(size=n) * 1e30,
    "Int64": lambda rng, n: pd.array(rng.integers(0, 2, n), dtype="Int64"),
}


@st.composite
def problems(draw):
    """Draw X, y and sample_weight of many kinds, good ones and bad."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_features = draw(st.integers(0, 40)), draw(st.integers(1, 4))
    X = rng.normal(size=(n, n_features))
    kind = draw(st.sampled_from(["array", "float32", "int", "frame", "csr", "csc"]))
    if kind == "float32":
        X = X.astype(np.float32)
    elif kind == "int":
        X = (X * 10).astype(int)
    elif kind == "frame":
        X = pd.DataFrame(X, columns=[f"x{j}" for j in range(n_features)])
    elif kind in {"csr", "csc"}:
        X = sparse.csr_matrix(X).asformat(kind)
    if kind == "array" and n and draw(st.integers(0, 4)) == 0:
        X[rng.integers(n), 0] = draw(st.sampled_from([np.nan, np.inf, 1e300]))
    tasks = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=3))
    length = n if draw(st.integers(0, 5)) else n + 1
    y = pd.DataFrame({f"t{k}": COLUMNS[c](rng, length) for k, c in enumerate(tasks)})
    if draw(st.booleans()) and length:
        rows = rng.random(length) < draw(st.sampled_from([0.1, 0.5, 1.0]))
        y["t0"] = y["t0"].astype(object).mask(rows, None)
    if draw(st.booleans()):
        y = y.to_numpy()
    weight = None
    if draw(st.booleans()):
        shape = (n,) if draw(st.booleans()) else (n, len(tasks))
        weight = rng.integers(-1 if draw(st.integers(0, 4)) == 0 else 0, 3, shape)
    return Problem(X, y, weight, tasks)


@dataclass(frozen=True)
class Problem:
    """X, y and sample_weight, and the kind of each column of y."""

    X: Any
    y: Any
    weight: np.ndarray | None
    kinds: list[str]

    def faults(self, estimator):
        """Yield, of all that is wrong, what an error is to say of it."""
        n = self.X.shape[0]
        if n == 0:
            yield r"0 sample\(s\)"
        with np.errstate(over="ignore"):
            values = self.X if sparse.issparse(self.X) else np.asarray(self.X)
            if not np.isfinite(values.astype(np.float32).sum()):
                yield "Input X contains"
        if len(self.y) != n:
            yield "inconsistent numbers of samples"
        if self.weight is not None:
            if (self.weight < 0).any():
                yield "Negative values in data passed to `sample_weight`"
            if not self.weight.any():
                yield "is zero for every row|must contain at least one non-zero"
        for k, kind in enumerate(self.kinds):
            yield from self.faults_of_task(estimator, k, kind)

    def faults_of_task(self, estimator, k, kind):
        framed = isinstance(self.y, pd.DataFrame)
        name = f"t{k}" if framed else f"task_{k}"
        column = pd.Series(self.y.iloc[:, k] if framed else self.y[:, k])
        observed = column.notna().to_numpy()
        if not observed.any():
            yield f"task '{name}' has no target at all"
        weight = np.ones(len(column)) if self.weight is None else self.weight
        weight = weight if weight.ndim == 1 else weight[:, k]
        if len(weight) == len(column) and not weight[observed].any():
            yield rf"'{name}'.* no target of positive weight"
        fractions = kind == "float"  # huge numbers are whole ones
        if estimator is MultiTaskMMoERegressor:
            if kind in {"str", "object", "category"}:
                yield f"task '{name}' is a regression, but its targets"
        elif estimator is MultiTaskMMoEClassifier and fractions:
            yield "continuous"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:y has only one class")  # which is predicted
@pytest.mark.parametrize(
    "estimator", [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]
)
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(problem=problems(), early_stopping=st.booleans())
def test_fit_works_or_says_why_not(estimator, problem, early_stopping):
    model = estimator(
        num_experts=2,
        expert_units=2,
        shared_units=(),
        tower_units=(),
        max_iter=1,
        early_stopping=early_stopping,
        random_state=0,
    )
    faults = list(problem.faults(estimator))
    if early_stopping and not faults:
        # Of few rows there may be none to set aside, or none with a target to keep.
        faults = ["cannot set aside", "no target of positive weight", None]
    try:
        model.fit(problem.X, problem.y, sample_weight=problem.weight)
    except (ValueError, TypeError) as error:
        message = str(error)
        assert any(re.search(fault, message) for fault in faults if fault), message
    else:
        assert faults == [] or None in faults
        check_outputs(model, problem.X, len(problem.kinds))


def check_outputs(model, X, n_tasks):
    n = X.shape[0]
    framed = getattr(model, "_y_columns", None) is not None
    expected = (n,) if n_tasks == 1 and not framed else (n, n_tasks)
    assert model.predict(X).shape == expected
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(X)
        if not isinstance(probabilities, list):
            probabilities = [probabilities]
        classes = (
            model.classes_ if isinstance(model.classes_, list) else [model.classes_]
        )
        widths = [len(labels) for labels in classes if labels is not None]
        assert [p.shape for p in probabilities] == [(n, width) for width in widths]
        for probability in probabilities:
            np.testing.assert_allclose(probability.sum(axis=1), 1)
    assert np.isfinite(model.loss_curve_).all()


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    values=st.lists(
        # Differences of larger ones overflow float64.
        st.floats(-1e300, 1e300) | st.sampled_from([0.0, 1.0, np.nan]),
        min_size=1,
        max_size=50,
    ),
    n_bins=st.integers(1, 40),
)
def test_encoder_fills_bins_one_after_the_other(values, n_bins):
    X = np.array(values)[:, None]
    encoder = PiecewiseLinearEncoder(n_bins).fit(X)
    encoded = encoder.transform(X)
    assert encoded.shape[1] == len(encoder.get_feature_names_out())
    assert ((encoded >= 0) & (encoded <= 1)).all()
    bins = encoded[:, : len(encoder.bin_edges_[0]) - 1]
    assert (np.diff(bins, axis=1) <= 0).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    n=st.integers(10, 80),
    n_tasks=st.integers(1, 3),
    n_splits=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
@pytest.mark.filterwarnings("ignore:The class:UserWarning")
def test_folds_part_the_rows(n, n_tasks, n_splits, seed):
    y = np.random.default_rng(seed).integers(0, 2, (n, n_tasks))
    y[:2] = [[0] * n_tasks, [1] * n_tasks]
    folds = list(MultiTaskStratifiedKFold(n_splits).split(y, y))
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(n))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for train, test in folds:
        assert not set(train) & set(test)
