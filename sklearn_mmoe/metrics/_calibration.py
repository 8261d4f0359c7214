"""How far predicted probabilities are from how often things happen."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_array
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    column_or_1d,
)

from sklearn_mmoe._tasks.tasks import class_codes

__all__ = ["CalibrationBins", "calibration_bins", "expected_calibration_error"]

STRATEGIES = ("uniform", "quantile")


class CalibrationBins(NamedTuple):
    """The bins that have rows.

    Attributes
    ----------
    prob_true : ndarray of shape (n_filled,)
        Share of the rows that are positive.
    prob_pred : ndarray of shape (n_filled,)
        Mean of the predicted probabilities.
    weight : ndarray of shape (n_filled,)
        Sum of the rows' weights: their number, if they weigh 1.
    """

    prob_true: np.ndarray
    prob_pred: np.ndarray
    weight: np.ndarray

    def error(self) -> float:
        """Return the mean distance of both, weighted by the bins' weights."""
        distances = np.abs(self.prob_true - self.prob_pred)
        return float(np.average(distances, weights=self.weight))


def calibration_bins(
    positive: np.ndarray,
    probability: np.ndarray,
    weight: np.ndarray | None,
    n_bins: int,
    strategy: str,
) -> CalibrationBins:
    """Sort rows into bins by their probability, as scikit-learn's calibration_curve.

    Parameters
    ----------
    positive : ndarray of bool of shape (n_samples,)
        Whether each row is positive.
    probability : ndarray of shape (n_samples,)
        The predicted probability that it is.
    weight : ndarray of shape (n_samples,) or None
        The rows' weights, of which one at least is positive; None weighs all alike.
    n_bins : int
        Number of bins.
    strategy : {'uniform', 'quantile'}
        Bins of the same width, or of the same weight.

    Returns
    -------
    CalibrationBins
        The bins that have rows.
    """
    inner = np.linspace(0, 1, n_bins + 1)[1:-1]
    if strategy == "quantile" and weight is None:
        inner = np.quantile(probability, inner)
    elif strategy == "quantile":
        # NumPy weights this kind of quantiles alone.
        inner = np.quantile(probability, inner, weights=weight, method="inverted_cdf")
    weight = np.ones(len(probability)) if weight is None else weight
    bins = np.searchsorted(inner, probability)
    sums = np.array(
        [
            np.bincount(bins, weights=values, minlength=n_bins)
            for values in (weight * positive, weight * probability, weight)
        ]
    )
    true, predicted, total = sums[:, sums[2] > 0]
    return CalibrationBins(true / total, predicted / total, total)


@validate_params(
    {
        "y_true": ["array-like"],
        "y_prob": ["array-like"],
        "sample_weight": ["array-like", None],
        "labels": ["array-like", None],
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "strategy": [StrOptions(set(STRATEGIES))],
        "multi_class": [StrOptions({"confidence", "classwise"})],
    },
    prefer_skip_nested_validation=True,
)
def expected_calibration_error(
    y_true: Any,
    y_prob: Any,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    n_bins: int = 10,
    strategy: str = "uniform",
    multi_class: str = "confidence",
) -> float:
    r"""Return the expected calibration error (ECE) of one task.

    Rows are sorted into bins by their predicted probability. The error is the mean,
    over rows, of the distance between a bin's mean probability and the share of its
    rows that are positive:
    :math:`\sum_b \frac{n_b}{n} |\bar{y}_b - \bar{p}_b|` [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels, none missing.
    y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities of the second class, or of all classes, in the order of `labels`.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the rows.
    labels : array-like of shape (n_classes,) or None, default=None
        The classes; None takes the sorted labels of `y_true`. Needed where `y_true`
        lacks one of them.
    n_bins : int, default=10
        Number of bins; empty ones do not count.
    strategy : {'uniform', 'quantile'}, default='uniform'
        'uniform' makes bins of the same width, 'quantile' of as many rows each (of the
        same weight, if `sample_weight` is given), as
        :func:`sklearn.calibration.calibration_curve` does. Bins of weights end at a
        row, others between two, so that weights of 1 may move a row to the next bin.
    multi_class : {'confidence', 'classwise'}, default='confidence'
        Of more than two classes: 'confidence' compares the probability of the predicted
        class with how often it is right [2]_; 'classwise' is the mean over classes of
        the error of each against the others [3]_.

    Returns
    -------
    float
        Between 0, calibrated in each bin, and 1.

    Raises
    ------
    ValueError
        If probabilities are not between 0 and 1, labels are missing or none of
        `labels`, the shapes do not go together, or all weights are 0.

    See Also
    --------
    sklearn_mmoe.inspection.TaskCalibrationDisplay : Draws the bins of all tasks.
    multi_task_scorer : By the name 'neg_expected_calibration_error' it scores each
        task so.

    Notes
    -----
    The distance in a bin of few rows is mostly chance, so even perfect probabilities
    have an error above 0. It falls with the number of rows and grows with the number of
    bins: compare errors on the same rows and bins only. It is not a proper score: the
    share of positive rows, predicted for every row, has an error of 0. Use it together
    with 'neg_log_loss' or 'neg_brier_score'.

    References
    ----------
    .. [1] Naeini, M. P., Cooper, G. F., & Hauskrecht, M. (2015). "Obtaining Well
       Calibrated Probabilities Using Bayesian Binning". AAAI 2015.
       https://doi.org/10.1609/aaai.v29i1.9602
    .. [2] Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). "On Calibration of
       Modern Neural Networks". ICML 2017. https://arxiv.org/abs/1706.04599
    .. [3] Kull, M., Perello-Nieto, M., Kängsepp, M., Silva Filho, T., Song, H., &
       Flach, P. (2019). "Beyond Temperature Scaling: Obtaining Well-Calibrated
       Multiclass Probabilities with Dirichlet Calibration". NeurIPS 2019.
       https://arxiv.org/abs/1910.12656

    Examples
    --------
    >>> from sklearn_mmoe.metrics import expected_calibration_error
    >>> expected_calibration_error(
    ...     ["no", "no", "no", "yes"], [0.25, 0.25, 0.25, 0.25]
    ... )
    0.0
    >>> round(expected_calibration_error([0, 0, 1, 1], [0.2, 0.2, 0.9, 0.9]), 3)
    0.15
    """
    codes, probabilities = _checked(y_true, y_prob, labels)
    weight = None
    if sample_weight is not None:
        weight = _check_sample_weight(sample_weight, probabilities, dtype=np.float64)
        if (weight < 0).any() or not weight.any():
            raise ValueError(
                "The 'sample_weight' parameter must have weights of 0 or more, and at "
                "least one above 0."
            )
    n_classes = probabilities.shape[1]
    if n_classes > 2 and multi_class == "confidence":
        predicted = probabilities.argmax(axis=1)
        right, confidence = codes == predicted, probabilities.max(axis=1)
        return calibration_bins(right, confidence, weight, n_bins, strategy).error()
    classes = range(n_classes) if n_classes > 2 else [n_classes - 1]
    errors = [
        calibration_bins(
            codes == i, probabilities[:, i], weight, n_bins, strategy
        ).error()
        for i in classes
    ]
    return float(np.mean(errors))


def _checked(y_true: Any, y_prob: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each row's class, and the probabilities of all classes."""
    y_true = column_or_1d(np.asarray(y_true))
    probabilities = check_array(
        y_prob, ensure_2d=False, dtype=np.float64, input_name="y_prob"
    )
    check_consistent_length(y_true, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError("y_prob has values outside of [0, 1]; it takes probabilities.")
    if pd.isna(y_true).any():
        raise ValueError(
            "y_true has missing labels; leave these rows out, as the scorers of "
            "sklearn_mmoe.metrics do."
        )
    classes = np.unique(y_true) if labels is None else np.asarray(labels)
    if probabilities.ndim == 1:
        if labels is None and len(classes) == 1 and classes[0] in (0, 1):
            classes = np.array([0, 1])
        probabilities = np.column_stack([1 - probabilities, probabilities])
    if len(classes) != probabilities.shape[1]:
        known = "y_true" if labels is None else "the 'labels' parameter"
        raise ValueError(
            f"y_prob has probabilities of {probabilities.shape[1]} classes, but "
            f"{known} has {len(classes)}: {classes.tolist()}. Name all classes in "
            "'labels', in the order of the probabilities."
        )
    codes = class_codes("y_true", y_true, classes)
    if (codes < 0).any():
        raise ValueError(
            f"y_true has labels {np.unique(y_true[codes < 0]).tolist()}, which are not "
            f"among the classes {classes.tolist()}."
        )
    return codes, probabilities
