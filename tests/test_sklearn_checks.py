"""scikit-learn's own checks of estimators."""

from __future__ import annotations

import pytest
from sklearn.neural_network import MLPClassifier
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.preprocessing import (
    CategoryEncoder,
    PiecewiseLinearEncoder,
    TailSquashingScaler,
)

# Small, and with a learning rate at which it learns the checks' few rows in time.
SMALL = {
    "num_experts": 2,
    "expert_units": 8,
    "shared_units": (16,),
    "tower_units": (8,),
    "dropout": 0.0,
    "learning_rate": 0.02,
    "batch_size": 64,
    "max_iter": 30,
}

# scikit-learn's MLPClassifier fails these too where it stops early.
OF_SPLITS = {
    f"check_sample_weight_equivalence_on_{kind}_data": (
        "repeated rows are set aside, or dealt to folds, otherwise than weighed ones"
    )
    for kind in ("dense", "sparse")
}
# These compare the seventh digit, which in single precision depends on how many rows a
# matrix product has, on some processors.
OF_THE_SEVENTH_DIGIT = {
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
}


def expected_failures(estimator):
    splits = estimator.early_stopping or isinstance(estimator.cv, int)
    return OF_SPLITS if splits else {}


def estimators():
    """Yield each estimator in float64 and stopping early, and one cross-validating.

    Without the penalty and the kernel ridge regression, which count rows, and with a
    weight decay that does not follow them, repeated and weighed rows give the same
    network to the last digits of float32; the checks ask for more.
    """
    exact = {"feature_penalty": 0.0, "weight_decay": 0.1, "kernel_ridge": None}
    for cls in (MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed):
        yield cls(**SMALL, dtype="float64", **exact)
        yield cls(**SMALL, early_stopping=True, validation_fraction=0.2)
    # What these three share decides here; one of them takes minutes.
    yield MultiTaskMMoEClassifier(**{**SMALL, "batch_size": 16}, cv=2)


@pytest.mark.slow
@parametrize_with_checks(list(estimators()), expected_failed_checks=expected_failures)
def test_estimators(estimator, check):
    if check.func.__name__ in OF_THE_SEVENTH_DIGIT:
        estimator.set_params(dtype="float64")
    check(estimator)


@parametrize_with_checks(
    [
        PiecewiseLinearEncoder(),
        PiecewiseLinearEncoder(spike_frequency=3, sparse_output=True),
        CategoryEncoder(),
        PiecewiseLinearEncoder("auto", spike_frequency="auto"),
        CategoryEncoder(min_frequency=3, sparse_output=False),
        CategoryEncoder(min_frequency="auto"),
        TailSquashingScaler(),
    ]
)
def test_transformers(estimator, check):
    check(estimator)


@pytest.mark.skipif(
    not has_fit_parameter(MLPClassifier, "sample_weight"),
    reason="MLPClassifier takes sample_weight from scikit-learn 1.7 on",
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")  # its few epochs suffice
@pytest.mark.parametrize("check", OF_SPLITS)
def test_early_stopping_fails_these_checks_in_scikit_learn_too(check):
    stopping = MLPClassifier(early_stopping=True, max_iter=20)
    with pytest.raises(AssertionError, match="is not equivalent"):
        getattr(estimator_checks, check)("MLPClassifier", stopping)
