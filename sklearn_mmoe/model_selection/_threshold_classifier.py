"""Thresholds of probabilities, chosen for each binary task by what counts there."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
)
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    frame_columns,
    join_columns,
    task_index,
)
from sklearn_mmoe._tasks.rows import row_labels
from sklearn_mmoe._tasks.tasks import class_codes, has_fractions, infer_task_type
from sklearn_mmoe._tasks.weights import task_weights
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.metrics import mean_task_scorer
from sklearn_mmoe.metrics._predictions import Predictions
from sklearn_mmoe.metrics._scoring import TaskScoring
from sklearn_mmoe.model_selection._held_out import (
    HeldOut,
    HeldOutMixin,
    estimator_has,
)
from sklearn_mmoe.model_selection._threshold_scores import (
    Undecided,
    as_scorer,
    as_scorers,
    best_threshold,
    check_scorer,
)


class MultiTaskThresholdClassifier(
    HeldOutMixin,
    DocumentationLinkMixin,
    VersionedStateMixin,
    ClassifierMixin,
    MetaEstimatorMixin,
    BaseEstimator,
):
    """Classifier of several tasks that chooses a threshold for each task.

    The second class of a binary task is predicted where its probability reaches the
    task's threshold, instead of 0.5. Each threshold is the one with the best score on
    held-out rows. All tasks use the same cross-validation, with one
    ``predict_proba`` for each fold. It is
    :class:`sklearn.model_selection.TunedThresholdClassifierCV` for several tasks.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any classifier of one or several tasks with ``predict_proba``, ours or
        another's. Of MultiTaskMMoEMixed the regressions stay as they are.
    scoring : str, callable, array-like of shape (2, 2), or mapping of tasks to these, \
            default='balanced_accuracy'
        How a threshold is chosen: by the highest score, given as the name of a scorer
        of predicted labels, such as 'f1', a scorer, such as
        ``make_scorer(fbeta_score, beta=2)``, or a function
        ``scorer(estimator, X, y)``; or by the lowest mean of costs of shape (2, 2),
        with a row for each true class and a column for each predicted class, in the
        order of `classes_`. A mapping has one for each task, by name or index; tasks
        that it leaves out keep the most probable class.
    thresholds : int or array-like of float, default=100
        How many thresholds to try, evenly spaced from the smallest to the largest
        probability; or those to try.
    cv : int, float, splitter, iterable, 'prefit' or None, default=None
        How to split: an int, or None for 5, makes that number of folds by
        :class:`MultiTaskStratifiedKFold`; a float between 0 and 1 is the share of rows
        of a single :class:`MultiTaskStratifiedShuffleSplit`. 'prefit' takes
        `estimator`, which is fitted, as it is; ``fit`` must then be given other rows
        than it was fitted on, and `refit` must be False.
    refit : bool, default=True
        Whether to fit the estimator on all rows in the end. False keeps the one fitted
        for the choice, which needs a single split, or 'prefit'.
    n_jobs : int or None, default=None
        Number of folds fitted at the same time, as in joblib.
    random_state : int, RandomState instance or None, default=None
        Seed of the split where `cv` is a float.
    store_cv_results : bool, default=False
        Whether to keep the scores of all thresholds.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator that predicts.
    best_thresholds_ : dict of str to float
        For each task whose threshold was chosen, by its name: the probability of the
        second class from which on that is predicted.
    best_scores_ : dict of str to float
        The scores at these thresholds; minus the mean cost where costs are given.
    cv_results_ : dict of str to dict
        For each of these tasks 'thresholds' and 'scores', arrays of one length. Only
        with ``store_cv_results=True``.
    task_names_ : list of str
        Names of all tasks.
    classes_ : ndarray of shape (n_classes,) or list of such arrays
        The classes of `estimator_`.
    n_features_in_ : int
        Number of features, if `estimator_` tells it.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if `estimator_` tells them.

    See Also
    --------
    sklearn.model_selection.TunedThresholdClassifierCV : The same for one task.

    Notes
    -----
    The held-out rows of all folds are scored together, not fold by fold: a fold may
    have few labels of a task, or none of its rare class. A row whose label is missing
    does not count in its task. ``sample_weight``, given to ``fit``, weighs rows in the
    scores too, where a scorer takes it; without metadata routing this is so where it is
    given by this very name.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.model_selection import MultiTaskThresholdClassifier
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> clf = MultiTaskThresholdClassifier(
    ...     RandomForestClassifier(20, random_state=0),
    ...     scoring={0: "f1", 1: [[0, 1], [10, 0]]},  # a miss costs ten false alarms
    ... ).fit(X, y)
    >>> for task, threshold in clf.best_thresholds_.items():
    ...     print(task, round(threshold, 2))
    task_0 0.45
    task_1 0.3
    >>> clf.predict(X).shape
    (300, 2)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **HeldOutMixin._parameter_constraints,
        "estimator": [HasMethods(["fit", "predict_proba"])],
        "scoring": [str, callable, Mapping, "array-like"],
        "thresholds": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "store_cv_results": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        scoring: Any = "balanced_accuracy",
        thresholds: Any = 100,
        cv: Any = None,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        store_cv_results: bool = False,
    ) -> None:
        self.estimator = estimator
        self.scoring = scoring
        self.thresholds = thresholds
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.store_cv_results = store_cv_results

    def fit(self, X: Any, y: Any, **params: Any) -> Any:
        """Choose the thresholds, and fit the estimator.

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
            The classifier.

        Raises
        ------
        ValueError
            If a parameter is none of those accepted, `scoring` names a task that y has
            not or one that is not binary, a scorer cannot score labels, or `refit` and
            `cv` do not go together.
        NotFittedError
            If `cv` is 'prefit' and the estimator is not fitted.

        Warns
        -----
        UserWarning
            If a task has nothing to choose a threshold by; it keeps the most probable
            class.
        """
        self._validate_params()
        self._check_thresholds()
        X, y, targets = self._take(X, y)
        # What is wrong is told before anything is fitted.
        self._check_scoring(targets)
        routed = self._routed(params)
        weight = routed.scorer.score.get("sample_weight")
        if weight is not None:
            weight = task_weights(weight, targets)
        parts = self._held_out(X, y, targets, routed, ask)
        chosen = self._choose(parts, targets, weight)
        fitted = self._final(parts, X, y, routed)
        self._publish(fitted, chosen, targets.names, X)
        return self

    def _check_thresholds(self) -> None:
        if isinstance(self.thresholds, Integral):
            return
        given = np.asarray(self.thresholds)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iuf":
            raise ValueError(
                "The 'thresholds' parameter must be an int or a list of numbers, got "
                f"{self.thresholds!r}."
            )

    def _scorers(self, names: list[str]) -> list[Any]:
        """Return what each task is scored by; None for one that is left out."""
        if not isinstance(self.scoring, Mapping):
            return [as_scorer(self.scoring)] * len(names)
        found: list[Any] = [None] * len(names)
        for task, scorer in as_scorers(self.scoring).items():
            found[task_index(task, names)] = scorer
        return found

    def _check_scoring(self, targets: TaskColumns) -> None:
        """Raise a ValueError if y shows that a task cannot be scored so."""
        by_task = isinstance(self.scoring, Mapping)
        for k, scorer in enumerate(self._scorers(targets.names)):
            labels = targets.values(k)
            if scorer is None or (has_fractions(labels) and not by_task):
                continue
            n_labels = len(set(labels.tolist()))
            if n_labels == 2:
                check_scorer(targets.names[k], labels, scorer)
            elif n_labels > 2 and by_task:
                raise _not_binary(targets.names[k], _what_else(targets, k, n_labels))

    def _choose(
        self, parts: list[HeldOut], targets: TaskColumns, weight: np.ndarray | None
    ) -> dict[str, tuple[int, np.ndarray, np.ndarray]]:
        """Find each task's best threshold, with all thresholds and their scores."""
        rows = np.concatenate([part.rows for part in parts])
        chosen, undecided = {}, {}
        for k, scorer in enumerate(self._scorers(targets.names)):
            name, classes = targets.names[k], parts[0].classes[k]
            if scorer is None:
                continue
            if classes is None or len(classes) > 2:
                if isinstance(self.scoring, Mapping):
                    raise _not_binary(
                        name,
                        "is a regression"
                        if classes is None
                        else f"has {len(classes)} classes",
                    )
                continue
            if len(classes) < 2:
                undecided[name] = f"y has only the class {classes.tolist()[0]!r}"
                continue
            counts = targets.observed[k][rows]
            of_task = rows[counts]
            probabilities = np.concatenate([part.answers[k] for part in parts])
            try:
                chosen[name] = best_threshold(
                    name,
                    classes,
                    targets.columns[k][of_task],
                    probabilities[counts],
                    None if weight is None else weight[of_task, k],
                    scorer,
                    self.thresholds,
                )
            except Undecided as why:
                undecided[name] = str(why)
        if undecided:
            told = "; ".join(f"{name!r}: {why}" for name, why in undecided.items())
            warn(
                "These tasks have nothing to choose a threshold by, and keep the most "
                f"probable class: {told}.",
            )
        return chosen

    def _publish(
        self, fitted: Any, chosen: dict[str, Any], names: list[str], X: Any
    ) -> None:
        """Set everything that is fitted."""
        first = fitted.predict(_safe_indexing(X, np.arange(1)))
        self._publish_estimator(fitted, names)
        self.best_thresholds_ = {
            name: float(candidates[best])
            for name, (best, candidates, _) in chosen.items()
        }
        self.best_scores_ = {
            name: float(scores[best]) for name, (best, _, scores) in chosen.items()
        }
        if "cv_results_" in vars(self):  # what an earlier fit left
            delattr(self, "cv_results_")
        if self.store_cv_results:
            self.cv_results_ = {
                name: {"thresholds": candidates, "scores": scores}
                for name, (_, candidates, scores) in chosen.items()
            }
        self._predicted_columns = frame_columns(first)

    def predict(self, X: Any) -> Any:
        """Predict each task's class by its threshold.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.

        Returns
        -------
        DataFrame, or ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted classes, in the form in which `estimator_` predicts them. Tasks
            without a threshold are predicted as it predicts them. A data frame has X's
            index; where X has none, rows are numbered from 0.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        self._check_fitted()
        names = self.task_names_
        predictions = Predictions(self.estimator_, X, len(names))
        columns = []
        for k, name in enumerate(names):
            threshold = self.best_thresholds_.get(name)
            if threshold is None:
                columns.append(predictions.labels_or_values[k])
            else:
                second = predictions.probabilities(k)[:, 1] >= threshold
                columns.append(predictions.classes(k)[second.astype(int)])
        return join_columns(columns, self._predicted_columns, row_labels(X))

    @available_if(estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of the class probabilities.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of such arrays
            What `estimator_` gives.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        self._check_fitted()
        return self.estimator_.predict_log_proba(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean over tasks of the accuracy at the chosen thresholds.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets, which may be missing; columns are matched with the tasks by
            name where both have names.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            The mean of the accuracies, and of the R2 of regressions. A task whose score
            is undefined is warned of, and the mean is that over the others.

        Raises
        ------
        ValueError
            If y has other tasks than in ``fit``.
        """
        self._check_fitted()
        scoring = TaskScoring(self, X, y, sample_weight)
        classified = scoring.predictions.are_classified
        return scoring.mean(["accuracy" if yes else "r2" for yes in classified])

    def get_metadata_routing(self) -> MetadataRouter:
        """Tell scikit-learn where metadata goes.

        Returns
        -------
        MetadataRouter
            To the estimator's ``fit``, the splitter and the scorers.
        """
        return (
            super()
            .get_metadata_routing()
            .add(
                scorer=mean_task_scorer(as_scorers(self.scoring)),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        inner = get_tags(self.estimator).input_tags
        tags.input_tags.sparse = inner.sparse
        tags.input_tags.allow_nan = inner.allow_nan
        return tags


def _not_binary(name: str, what: str) -> ValueError:
    return ValueError(
        f"The 'scoring' parameter names the task {name!r}, which {what}; thresholds "
        "are chosen for tasks of two classes."
    )


def ask(
    estimator: Any,
    X: Any,
    targets: TaskColumns,
    rows: np.ndarray,
    whose_classes: TaskColumns | None,
) -> HeldOut:
    """Ask a fitted estimator for the probabilities of second classes, of all tasks.

    It may have been fitted on some of the classes in y alone, so these are those of
    `whose_classes`; None takes the estimator's.
    """
    predictions = Predictions(estimator, X, len(targets))
    classes: list[Any] = [None] * len(targets)
    probabilities: list[Any] = [None] * len(targets)
    for k, name in enumerate(targets.names):
        if not predictions.are_classified[k]:
            continue
        known = predictions.classes(k)
        given = known if whose_classes is None else np.unique(whose_classes.values(k))
        classes[k] = given
        if len(given) == 2:
            of_second = class_codes(name, known, given) == 1
            # A class that the estimator has not seen has probability 0.
            probabilities[k] = predictions.probabilities(k)[:, of_second].sum(axis=1)
    return HeldOut(estimator, rows, classes, probabilities)


def _what_else(targets: TaskColumns, k: int, n_labels: int) -> str:
    """Say what a task of more than two labels is, as far as y tells."""
    if has_fractions(targets.values(k)):
        return "is a regression"
    if infer_task_type(targets, k) == "regression":
        return f"looks like a regression: it has {n_labels} different values"
    return f"has {n_labels} classes"
