"""Intervals and sets of classes that hold the truth as often as is asked."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.look_through import last_step, transformed
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.intervals import holds_intervals
from sklearn_mmoe._tasks.rows import labelled_as
from sklearn_mmoe._tasks.tasks import class_codes
from sklearn_mmoe.metrics._predictions import Predictions
from sklearn_mmoe.model_selection._held_out import (
    HeldOut,
    HeldOutMixin,
    estimator_has,
    like_inner,
)

__all__ = ["MultiTaskConformalPredictor"]


class MultiTaskConformalPredictor(
    HeldOutMixin,
    DocumentationLinkMixin,
    VersionedStateMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Predict intervals and sets of classes that hold a given share of the targets.

    The errors of an estimator on rows that it was not fitted on show how wide its
    intervals must be on new rows (conformal prediction, Vovk et al. [1]_), task by
    task. The only assumption is that new rows are drawn like the old ones.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any estimator of one or several tasks, ours or another's. Classifications need
        ``predict_proba``. Of our estimators, regressions with ``loss="quantile"`` get
        intervals whose width varies with the row, by conformalised quantile regression
        [2]_; all others an interval of one width around the prediction.
    cv : int, float, splitter, iterable, 'prefit' or None, default=None
        Where the rows come from that say how far the estimator is off: an int, or None
        for 5, makes that number of folds by :class:`MultiTaskStratifiedKFold`; a float
        between 0 and 1 sets that share of rows aside. 'prefit' takes `estimator`, which
        is fitted, as it is; ``fit`` must then be given other rows than it was fitted
        on, and `refit` must be False.
    refit : bool, default=True
        Whether to fit the estimator on all rows in the end. False keeps the one fitted
        without the rows set aside, which needs a float as `cv`, a single split, or
        'prefit'; the coverage is then guaranteed (split conformal prediction).
    n_jobs : int or None, default=None
        Number of folds fitted at the same time, as in joblib.
    random_state : int, RandomState instance or None, default=None
        Seed of the split where `cv` is a float.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator that predicts.
    n_calibration_ : dict of str to int
        For each task the number of targets on rows that the estimator was not fitted
        on. With n of them, the coverage asked for can be n / (n + 1) at most.
    task_names_ : list of str
        Names of the tasks, in the order of y's columns.
    regression_names_ : list of str
        Those of the regressions, in the order in which ``predict_interval`` has them.
    classification_names_ : list of str
        Those of the classifications, in the order in which ``predict_set`` and
        ``predict_proba`` have them.
    classes_ : ndarray of shape (n_classes,) or list of such arrays
        The classes of `estimator_`, if it has any.
    n_features_in_ : int
        Number of features, if `estimator_` tells it.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if `estimator_` tells them.

    See Also
    --------
    MultiTaskMMoERegressor.predict_interval : The quantiles as the network learned them.

    Notes
    -----
    Sets hold the classes of large probability, which makes them as small as can be
    [3]_. The coverage is that of all rows together, of each task by itself: in some
    groups of rows it may be less. Rows whose target is missing do not count.
    ``sample_weight`` weighs the rows of fits, not the coverage. With folds and `refit`
    the intervals are those of estimators fitted on fewer rows, and so a little too wide
    rather than too narrow; there is no proof of it.

    References
    ----------
    .. [1] Vovk, V., Gammerman, A., & Shafer, G. (2005). "Algorithmic Learning in a
       Random World". Springer. https://doi.org/10.1007/b106715
    .. [2] Romano, Y., Patterson, E., & Candes, E. (2019). "Conformalized quantile
       regression". NeurIPS 2019. https://arxiv.org/abs/1905.03222
    .. [3] Sadinle, M., Lei, J., & Wasserman, L. (2019). "Least ambiguous set-valued
       classifiers with bounded error levels". Journal of the American Statistical
       Association, 114. https://doi.org/10.1080/01621459.2017.1395341

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.model_selection import MultiTaskConformalPredictor
    >>> X, y = make_related_tasks(n_samples=600, n_features=5, random_state=0)
    >>> model = MultiTaskConformalPredictor(Ridge()).fit(X[:400], y[:400])
    >>> intervals = model.predict_interval(X[400:], coverage=0.9)
    >>> intervals.shape
    (200, 2, 2)
    >>> within = (intervals[..., 0] <= y[400:]) & (y[400:] <= intervals[..., 1])
    >>> within.mean(axis=0).round(2).tolist()
    [0.87, 0.87]

    A Pipeline goes into the predictor, not the predictor into a Pipeline, which has no
    ``predict_interval``. Each task's bounds by the name of the task:

    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> pipeline = make_pipeline(StandardScaler(), Ridge())
    >>> model = MultiTaskConformalPredictor(pipeline, cv=3).fit(X[:400], y[:400])
    >>> intervals = np.moveaxis(model.predict_interval(X[400:]), 1, 0)
    >>> of_task = dict(zip(model.regression_names_, intervals))
    >>> {name: bounds.shape for name, bounds in of_task.items()}
    {'task_0': (200, 2), 'task_1': (200, 2)}

    Around a Pipeline that is fitted already, with rows that it has not seen:

    >>> fitted = pipeline.fit(X[:300], y[:300])
    >>> model = MultiTaskConformalPredictor(fitted, cv="prefit", refit=False)
    >>> model.fit(X[300:400], y[300:400]).n_calibration_
    {'task_0': 100, 'task_1': 100}
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **HeldOutMixin._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict"])],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, **params: Any) -> Any:
        """Fit the estimator, and measure its errors on held-out rows.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            Targets, which may be missing where `estimator` takes that.
        **params : object
            Further arguments of the estimator's ``fit``, such as `sample_weight`; those
            with a value for each row are split as the rows are. ``groups`` goes to a
            splitter that asks for it. With metadata routing all go where they are
            requested.

        Returns
        -------
        self : object
            The predictor.

        Raises
        ------
        ValueError
            If a parameter is none of those accepted, `refit` and `cv` do not go
            together, or a target is an interval.
        NotFittedError
            If `cv` is 'prefit' and the estimator is not fitted.
        """
        self._validate_params()
        X, y, targets = self._take(X, y)
        _check_known(targets)
        routed = self._routed(params)
        parts = self._held_out(X, y, targets, routed, _ask)
        fitted = self._final(parts, X, y, routed)
        self._publish_estimator(fitted, targets.names)
        classified = Predictions(fitted, X, len(targets)).are_classified
        self.classification_names_, self.regression_names_ = (
            [
                name
                for name, yes in zip(targets.names, classified, strict=True)
                if yes is wanted
            ]
            for wanted in (True, False)
        )
        self._scores = [
            np.concatenate(answers)
            for answers in zip(*(part.answers for part in parts), strict=True)
        ]
        self.n_calibration_ = {
            name: len(scores)
            for name, scores in zip(targets.names, self._scores, strict=True)
        }
        return self

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Predict an interval that holds the target of each regression.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        coverage : float, default=0.9
            Share of the targets that are to lie within, in (0, 1).

        Returns
        -------
        ndarray of shape (n_samples, n_regressions, 2)
            Lower and upper bounds in the units of y, of the tasks
            ``regression_names_``, in this order; classifications are left out.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there is no regression, or there were too few targets for this coverage.
        """
        self._check_fitted()
        _check_coverage(coverage)
        predictions = Predictions(self.estimator_, X, len(self.task_names_))
        tasks = [k for k, yes in enumerate(predictions.are_classified) if not yes]
        if not tasks:
            raise ValueError(
                "predict_interval is for regressions, and there are none; "
                "predict_set is for classifications."
            )
        quantiles = _quantiles(self.estimator_, X, len(self.task_names_))
        bounds = []
        for k in tasks:
            of_task = quantiles[k]
            if of_task is None:
                low = high = predictions.labels_or_values[k].astype(float)
            else:
                low, high = _bounds(of_task, coverage)
            margin = self._margin(k, coverage)
            # Where quantiles are drawn in, a narrow interval may turn into a point.
            middle = (low + high) / 2
            bounds.append(
                (np.minimum(low - margin, middle), np.maximum(high + margin, middle))
            )
        return np.moveaxis(np.array(bounds), (0, 1, 2), (1, 2, 0))

    def predict_set(self, X: Any, coverage: float = 0.9) -> Any:
        """Predict a set of classes that holds the true one of each classification.

        These are the classes of large probability (Sadinle et al., 2019), at least one.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        coverage : float, default=0.9
            Share of the true classes that are to be in the sets, in (0, 1).

        Returns
        -------
        ndarray of bool of shape (n_samples, n_classes), or list of such arrays
            Whether each class is in the set, with the classes in the order of
            `classes_`. Where there are several tasks, a list with an array for each of
            ``classification_names_``, in this order; regressions are left out.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there is no classification, or there were too few targets for this
            coverage.
        """
        self._check_fitted()
        _check_coverage(coverage)
        predictions = Predictions(self.estimator_, X, len(self.task_names_))
        tasks = [k for k, yes in enumerate(predictions.are_classified) if yes]
        if not tasks:
            raise ValueError(
                "predict_set is for classifications, and there are none; "
                "predict_interval is for regressions."
            )
        sets = []
        for k in tasks:
            probabilities = predictions.probabilities(k)
            within = 1 - probabilities <= self._margin(k, coverage)
            within[np.arange(len(within)), probabilities.argmax(axis=1)] = True
            sets.append(within)
        return sets[0] if len(self.task_names_) == 1 else sets

    def _margin(self, k: int, coverage: float) -> float:
        """Return what a share of the held-out scores of a task does not exceed."""
        name, scores = self.task_names_[k], self._scores[k]
        if scores.ndim == 2:
            # The target less each quantile: above the upper one, or below the lower.
            low, high = _bounds(scores, coverage)
            scores = np.maximum(high, -low)
        n_scores = len(scores)
        # A new row is one more; the bound allows for it.
        rank = int(np.ceil((n_scores + 1) * coverage - 1e-9))
        if rank > n_scores:
            needed = int(np.ceil(coverage / (1 - coverage) - 1e-9))
            raise ValueError(
                f"`coverage`={coverage} needs at least {needed} targets on rows that "
                f"the estimator was not fitted on, but the task {name!r} has "
                f"{n_scores}. Lower the coverage, or give fit more rows."
            )
        return float(np.partition(scores, rank - 1)[rank - 1])

    def predict(self, X: Any) -> Any:
        """Predict as the fitted estimator does.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.

        Returns
        -------
        DataFrame or ndarray of shape (n_samples,) or (n_samples, n_outputs)
            What `estimator_` predicts; a data frame has X's index, if X has one.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        self._check_fitted()
        return labelled_as(X, self.estimator_.predict(X))

    @available_if(estimator_has("score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the score of the fitted estimator.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets.
        sample_weight : array-like or None, default=None
            Weights of the rows, if the estimator takes them.

        Returns
        -------
        float
            What its ``score`` returns.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        self._check_fitted()
        if sample_weight is None:
            return self.estimator_.score(X, y)
        return self.estimator_.score(X, y, sample_weight=sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = like_inner(super().__sklearn_tags__(), self.estimator)
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags


def _check_known(targets: TaskColumns) -> None:
    """Raise a ValueError if of a target no more than bounds are known."""
    for k, name in enumerate(targets.names):
        values = targets.values(k)
        if holds_intervals(values) and (values["lower"] < values["upper"]).any():
            raise ValueError(
                f"The task {name!r} has targets in y that are intervals, of which it "
                "is not known how far an estimator is off. Give fit rows without them."
            )


def _check_coverage(coverage: Any) -> None:
    if not isinstance(coverage, Real) or not 0 < float(coverage) < 1:
        raise ValueError(
            f"`coverage` must be a number between 0 and 1, got {coverage!r}."
        )


def _quantiles(estimator: Any, X: Any, n_tasks: int) -> list[np.ndarray | None]:
    """Return the quantiles of each task that has learned some; None for the others."""
    ask = getattr(last_step(estimator), "_quantiles_by_task", None)
    return [None] * n_tasks if ask is None else ask(transformed(estimator, X))


def _bounds(quantiles: np.ndarray, coverage: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the two columns between which a share lies; at most the outermost two."""
    from sklearn_mmoe.estimators._quantiles import WIDEST, bounds_of, interpolate

    levels = np.array(bounds_of(min(coverage, WIDEST)))
    low, high = interpolate(quantiles, levels).T
    return low, high


def _ask(
    estimator: Any,
    X: Any,
    targets: TaskColumns,
    rows: np.ndarray,
    whose_classes: TaskColumns | None,
) -> HeldOut:
    """Ask a fitted estimator how far it is off, in each task.

    The answers are, for the rows that have a target, of a classification one less the
    probability of the true class, of a regression the size of the error or, where
    quantiles were learned, the target less each of these.
    """
    n_tasks = len(targets)
    predictions = Predictions(estimator, X, n_tasks)
    quantiles = _quantiles(estimator, X, n_tasks)
    answers: list[Any] = []
    for k, name in enumerate(targets.names):
        known = targets.observed[k][rows]
        target = targets.columns[k][rows[known]]
        if predictions.are_classified[k]:
            classes = predictions.classes(k)
            codes = class_codes(name, target, classes)
            probabilities = predictions.probabilities(k)[known]
            of_true = probabilities[np.arange(len(codes)), codes]
            # A class that the estimator has not seen has probability 0.
            answers.append(1 - np.where(codes < 0, 0, of_true))
            continue
        values = (target["lower"] if holds_intervals(target) else target).astype(float)
        of_task = quantiles[k]
        if of_task is None:
            predicted = predictions.labels_or_values[k][known].astype(float)
            answers.append(np.abs(values - predicted))
        else:
            answers.append(values[:, np.newaxis] - of_task[known])
    return HeldOut(estimator, rows, [None] * n_tasks, answers)
