"""Scores of tasks one by one, NaN where a score is undefined."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_consistent_length

from sklearn_mmoe._sklearn.look_through import task_names
from sklearn_mmoe._tasks.columns import split_columns
from sklearn_mmoe._tasks.intervals import holds_intervals
from sklearn_mmoe._tasks.tasks import known_labels
from sklearn_mmoe._tasks.weights import task_weights
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.metrics._calibration import expected_calibration_error
from sklearn_mmoe.metrics._censored import is_of_sklearn, scorer_of_intervals
from sklearn_mmoe.metrics._predictions import (
    ClassificationTask,
    OneTask,
    Predictions,
    RegressionTask,
    type_name,
)

# Of a task that is classified, or not, where nobody has asked for another.
DEFAULT_SCORING = {True: "roc_auc_ovr", False: "r2"}


# By name, beside those of scikit-learn.
_SCORERS = {
    "neg_expected_calibration_error": metrics.make_scorer(
        expected_calibration_error,
        greater_is_better=False,
        response_method="predict_proba",
    )
}


def get_scorer(scoring: Any) -> Any:
    """Return a scorer of one output: as scikit-learn's function, with our names too."""
    if isinstance(scoring, str) and scoring in _SCORERS:
        return _SCORERS[scoring]
    return metrics.get_scorer(scoring)


class _Undefined(Exception):
    """A score is undefined for a task on the given rows; the text says why."""


class _Unfit(Exception):
    """A scorer cannot score a task; its cause says why."""


class TaskScoring:
    """Targets, weights and predictions of some rows, ready to be scored task by task.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any fitted estimator, ours or another's.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them.
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Their targets, matched with the estimator's tasks by name where both have names.
    sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
            or None, default=None
        Weights of the rows.
    metadata : mapping of str to object, default=None
        Further arguments of the scorer; those of a value for each row are cut to the
        rows that count.

    Attributes
    ----------
    names : list of str
        Names of the tasks in the estimator's order.
    weights : ndarray of shape (n_samples, n_tasks) or None
        Weights of the rows in each task; None if none were given.
    undefined : dict of str to str
        The tasks for which a score was undefined, and why.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        targets = split_columns(y)
        names = task_names(estimator)
        if names is not None:
            targets = targets.matched(names, type_name(estimator))
        check_consistent_length(X, targets.columns[0])
        self.names = targets.names
        self.predictions = Predictions(estimator, X, len(targets))
        self.undefined: dict[str, str] = {}
        self._targets = targets
        self._metadata = dict(metadata or {})
        self.weights = None
        if sample_weight is not None:
            self.weights = task_weights(sample_weight, targets)

    def score(self, k: int, scoring: Any) -> float:
        """Score one task with a scorer made for one output.

        Parameters
        ----------
        k : int
            Which task.
        scoring : str or callable
            As :func:`get_scorer` takes it.

        Returns
        -------
        float
            The score; NaN where it is undefined, which :meth:`warn` then tells.

        Raises
        ------
        ValueError
            If the scorer cannot score such a task; it is named.
        """
        try:
            return self._score(k, scoring)
        except _Undefined as why:
            self.undefined[self.names[k]] = str(why)
            return float("nan")
        except _Unfit as found:
            error = found.__cause__
            raise ValueError(self._advice(k, scoring, error)) from error

    def _score(self, k: int, scoring: Any) -> float:
        scorer = get_scorer(scoring)
        labels, rows, arguments = self._arguments(k, scorer)
        if not self.predictions.are_classified[k]:
            task = RegressionTask(self.predictions, k, rows)
            values = labels
            if not holds_intervals(labels):
                values = self._as_floats(k, labels)
            elif is_of_sklearn(scorer) and (labels["lower"] == labels["upper"]).all():
                values = labels["lower"]
            else:
                scorer = self._scorer_of_intervals(scorer)
            return self._call(scorer, task, values, arguments)
        classes = self.predictions.classes(k)
        labels, codes = known_labels(self.names[k], labels, classes)
        present = np.isin(np.arange(len(classes)), codes)
        unseen = np.unique(labels[codes < 0]).tolist()
        if len(classes) > 1 and not present.all():
            scorer = _told_all_classes(scorer, classes)
        reason = f"y has of the classes {classes.tolist()} only "
        reason += (
            f"{classes[present].tolist()}"
            if not unseen
            else (f"{classes[present].tolist()}, and {unseen}, which fit has not seen")
        )
        incomplete = unseen or len(classes) < 2 or not present.all()
        return self._call(
            scorer,
            ClassificationTask(self.predictions, k, rows),
            labels,
            arguments,
            undefined=reason if incomplete else None,
            unseen=bool(unseen),
        )

    def _arguments(
        self, k: int, scorer: Any
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Return the targets that count, where they are, and what goes with them."""
        rows = self._targets.observed[k]
        if not rows.any():
            raise _Undefined("y has no target")
        arguments = {}
        if self.weights is not None and accepts_sample_weight(scorer):
            arguments["sample_weight"] = self.weights[rows, k]
            if not arguments["sample_weight"].any():
                raise _Undefined("y has no target of positive weight")
        for name, value in self._metadata.items():
            by_row = hasattr(value, "__len__") and not isinstance(value, str)
            if by_row and _num_samples(value) == len(rows):
                value = _safe_indexing(value, np.flatnonzero(rows))
            arguments[name] = value
        return self._targets.columns[k][rows], rows, arguments

    def _as_floats(self, k: int, values: np.ndarray) -> np.ndarray:
        try:
            return values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The task {self.names[k]!r} is a regression, but its targets in y are "
                f"not all numbers: {error}."
            ) from error

    def _scorer_of_intervals(self, scorer: Any) -> Any:
        try:
            return scorer_of_intervals(scorer)
        except ValueError as error:
            raise _Unfit from error

    def _call(
        self,
        scorer: Any,
        task: OneTask,
        y: np.ndarray,
        arguments: dict[str, Any],
        undefined: str | None = None,
        unseen: bool = False,
    ) -> float:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                score = float(scorer(task, None, y, **arguments))
            except Exception as error:
                if error is self.predictions.error:
                    raise
                if undefined is not None and isinstance(error, ValueError):
                    raise _Undefined(undefined) from error
                raise _Unfit from error
        if np.isnan(score):
            told = [w for w in caught if issubclass(w.category, UndefinedMetricWarning)]
            text = str(told[0].message) if told else "the scorer gives NaN"
            raise _Undefined(undefined or text)
        if unseen and getattr(task, "ranks_", False):
            # There is no probability of a class that the estimator does not know.
            raise _Undefined(undefined or "")
        for warning in caught:
            warn(warning.message, warning.category)
        return score

    def _advice(self, k: int, scoring: Any, error: BaseException | None) -> str:
        types = self.predictions.are_classified
        kind = "a classification" if types[k] else "a regression"
        called = scorer_name(scoring)
        of_values = metric_kind(get_scorer(scoring)) == "regression"
        said = str(error).rstrip().rstrip(".")
        if isinstance(error, AttributeError) and not types[k]:
            said = "a regression has no probabilities"
        elif types[k] and of_values:
            said = f"{called!r} is for regressions"
        text = (
            f"{called!r} cannot score the task {self.names[k]!r}, which "
            f"is {kind}: {said}."
        )
        if types[k] and of_values:
            text += f" Take {self._default_scorer(k)!r} or 'accuracy', among others."
        elif types[k]:
            text += advice_on_classes(self._targets.values(k))
        if len(set(types)) > 1:
            example = {
                name: scoring if self.fits(j, scoring) else self._default_scorer(j)
                for j, name in enumerate(self.names)
            }
            text += f" Give each task a scorer of its own, such as {example}."
        return text

    def fits(self, k: int, scoring: Any) -> bool:
        """Tell whether a scorer of this name is one of such tasks, and can score it."""
        types = {True: "classification", False: "regression"}
        # r2 of classes that are numbers is a number too.
        of_type = types[self.predictions.are_classified[k]]
        if not isinstance(scoring, str) or metric_kind(get_scorer(scoring)) != of_type:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._score(k, scoring)
            except _Undefined:
                return True
            except (_Unfit, ValueError):
                return False
        return True

    def _default_scorer(self, k: int) -> str:
        """Return the name of a scorer that can score the task."""
        if not self.predictions.are_classified[k]:
            return "r2"
        return "roc_auc" if len(self.predictions.classes(k)) <= 2 else "roc_auc_ovr"

    def mean(self, scorings: Sequence[Any]) -> float:
        """Return the mean of the scores of all tasks, and warn; see :meth:`warn`."""
        scores = [self.score(k, scoring) for k, scoring in enumerate(scorings)]
        self.warn()
        return mean_of_defined(scores)

    def warn(self) -> None:
        """Warn once of all tasks for which a score was undefined."""
        if self.undefined:
            tasks = "; ".join(
                f"{name!r}: {why}" for name, why in self.undefined.items()
            )
            warn(
                f"The score is undefined on these rows, and NaN, for the task {tasks}.",
                UndefinedMetricWarning,
            )


def advice_on_classes(labels: np.ndarray) -> str:
    """Say what scores more than two classes, or two that are text."""
    classes = np.unique(labels)
    if len(classes) > 2:
        return (
            " Scorers of more than two classes are 'roc_auc_ovr' and 'f1_macro', among "
            "others."
        )
    if len(classes) == 2 and isinstance(classes[1], str):
        return (
            " Where classes are text, 'f1_macro' needs no positive one; or name it: "
            f"make_scorer(f1_score, pos_label={str(classes[1])!r})."
        )
    return ""


def mean_of_defined(scores: Sequence[float]) -> float:
    """Return the mean of the scores that are not NaN; NaN if all of them are."""
    defined = [score for score in scores if not np.isnan(score)]
    return float(np.mean(defined)) if defined else float("nan")


def _told_all_classes(scorer: Any, classes: np.ndarray) -> Any:
    """Tell a metric that asks for `labels` all classes, if y has only some of them.

    So log_loss is defined on rows that lack a class. Of scorers other than those of
    scikit-learn's make_scorer nothing is known; they stay as they are.
    """
    metric = getattr(scorer, "_score_func", None)
    needs = {"_sign", "_kwargs", "_response_method"} <= set(vars(scorer))
    if metric is None or not needs or "predict_proba" not in scorer._response_method:
        return scorer
    if "labels" not in inspect.signature(metric).parameters:
        return scorer
    kwargs = {"labels": classes, **scorer._kwargs}
    return type(scorer)(metric, scorer._sign, kwargs, scorer._response_method)


def metric_kind(scorer: Any) -> str | None:
    """Return what a metric of scikit-learn is for: 'classification' or 'regression'.

    None where that is not known.
    """
    metric = getattr(scorer, "_score_func", None)
    if metric is expected_calibration_error:
        return "classification"
    module = getattr(metric, "__module__", "").removeprefix("sklearn.metrics.")
    kinds = {"_classification": "classification", "_ranking": "classification"}
    return {**kinds, "_regression": "regression"}.get(module)


def scorer_name(scoring: Any) -> str:
    """Return a short name of a scorer for one output."""
    if isinstance(scoring, str):
        return scoring
    metric = getattr(scoring, "_score_func", scoring)
    return getattr(metric, "__name__", None) or repr(scoring)


def accepts_sample_weight(scorer: Any) -> bool:
    """Tell whether a scorer, ours, scikit-learn's or a function, takes weights.

    Parameters
    ----------
    scorer : callable
        Called as ``scorer(estimator, X, y)``.

    Returns
    -------
    bool
        Whether `sample_weight` may be given too.
    """
    if hasattr(scorer, "_accept_sample_weight"):
        return bool(scorer._accept_sample_weight())
    try:
        # Of scikit-learn's own scorers, the metric tells.
        called = getattr(scorer, "_score_func", scorer)
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        parameter.name == "sample_weight" or parameter.kind is parameter.VAR_KEYWORD
        for parameter in parameters
    )


def warn_once(score: Callable[[], float]) -> Callable[[], float]:
    """Let a score that is computed again and again warn only the first time.

    Parameters
    ----------
    score : callable
        Called without arguments, after each epoch.

    Returns
    -------
    callable
        The same, silent about undefined scores from the second call on.
    """
    calls = 0

    def quiet() -> float:
        nonlocal calls
        calls += 1
        if calls == 1:
            return score()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return score()

    return quiet
