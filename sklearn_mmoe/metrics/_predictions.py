"""What any estimator of several outputs predicts, taken apart into its tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._sklearn.look_through import last_step
from sklearn_mmoe._tasks.columns import split_columns


def type_name(estimator: Any) -> str:
    """Return the name of the class of the innermost estimator."""
    return type(last_step(estimator)).__name__


def classifies(estimator: Any) -> bool:
    """Tell whether an estimator classifies, also one without scikit-learn's tags."""
    inner = last_step(estimator)
    try:
        if is_classifier(inner):
            return True
    except AttributeError:  # it has no tags
        pass
    return hasattr(inner, "classes_") or hasattr(estimator, "predict_proba")


class _ComputedOnce:
    """A property that keeps its value.

    `functools.cached_property` of Python 3.11 computes one at a time in all instances.
    Where that starts work on a cluster, which waits for a thread of this process, other
    threads would wait for ever.
    """

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        value = self._compute(instance)
        vars(instance)[self._compute.__name__] = value  # found first from now on
        return value


class Predictions:
    """What an estimator predicts for X, computed when asked for and only once.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        Any fitted estimator, ours or another's.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them.
    n_tasks : int
        How many tasks there are.

    Attributes
    ----------
    error : Exception or None
        What the estimator raised as it was asked, or what was wrong with its answer.
    """

    def __init__(self, estimator: Any, X: Any, n_tasks: int) -> None:
        self.estimator = estimator
        self.n_tasks = n_tasks
        self.error: Exception | None = None
        self._X = X
        self._inner = last_step(estimator)

    def _ask(self, method: str) -> Any:
        try:
            return getattr(self.estimator, method)(self._X)
        except Exception as error:
            self.error = error
            raise

    def _refuse(self, method: str, what: str) -> Exception:
        name = type(self._inner).__name__
        self.error = ValueError(f"{method} of {name} gives {what}.")
        return self.error

    @_ComputedOnce
    def labels_or_values(self) -> list[np.ndarray]:
        """Each task's predictions."""
        predicted = self._ask("predict")
        if hasattr(predicted, "toarray"):
            predicted = predicted.toarray()
        columns = split_columns(predicted).columns
        if len(columns) != self.n_tasks:
            what = f"{len(columns)} columns, but y has {self.n_tasks} tasks"
            raise self._refuse("predict", what)
        return columns

    @_ComputedOnce
    def are_classified(self) -> list[bool]:
        """Whether each task is classified, in an estimator of either kind or both."""
        types = getattr(self._inner, "task_types_", None)
        if types is None:
            return [classifies(self.estimator)] * self.n_tasks
        return [task_type == "classification" for task_type in types]

    def classes(self, k: int) -> np.ndarray:
        """Return the classes of a classification."""
        classes = getattr(self._inner, "classes_", None)
        if classes is None:
            classes = getattr(self.estimator, "classes_", None)
        if classes is None:
            what = "classes, but there are no classes_ to say which"
            raise self._refuse("predict", what)
        listed = isinstance(classes, list | tuple) and len(classes) == self.n_tasks
        if listed and (self.n_tasks > 1 or np.ndim(classes[0]) == 1):
            return np.asarray(classes[k])
        if self.n_tasks == 1:
            return np.asarray(classes)
        # Of zeros and ones in several columns, scikit-learn's estimators of this kind
        # (OneVsRestClassifier, MLPClassifier) call the columns the classes.
        return np.array([0, 1])

    def probabilities(self, k: int) -> np.ndarray:
        """Return the probabilities (n_samples, n_classes) of a classification."""
        # Regressions have none.
        return self._probabilities[sum(self.are_classified[:k])]

    @_ComputedOnce
    def _probabilities(self) -> list[np.ndarray]:
        given = self._ask("predict_proba")
        tasks = [k for k in range(self.n_tasks) if self.are_classified[k]]
        if isinstance(given, list | tuple):
            arrays = [np.asarray(array) for array in given]
            if len(arrays) != len(tasks) or any(array.ndim != 2 for array in arrays):
                shapes = [array.shape for array in arrays]
                raise self._refuse(
                    "predict_proba",
                    f"arrays of the shapes {shapes}, but y has {len(tasks)} "
                    "classifications, each of which needs an array (n_samples, "
                    "n_classes)",
                )
            return arrays
        array = np.asarray(given)
        if len(tasks) == 1 and array.ndim == 2:
            n_classes = len(self.classes(tasks[0]))
            if array.shape[1] != 1 or n_classes == 1:
                return [array]
        return [self._with_complement(k, array) for k in tasks]

    def _with_complement(self, k: int, array: np.ndarray) -> np.ndarray:
        """Take the probability of a task's second class from its column of one array.

        So ClassifierChain, OneVsRestClassifier, MLPClassifier and StackingClassifier
        give the probabilities of several tasks.
        """
        columns = array.shape[1] if array.ndim == 2 else 0
        if columns != self.n_tasks or len(self.classes(k)) != 2:
            raise self._refuse(
                "predict_proba",
                f"one array of the shape {array.shape} for {self.n_tasks} tasks, of "
                "which it cannot be told whose probabilities it holds. Needed is a "
                "list with an array (n_samples, n_classes) for each task, or one array "
                "with the probability of the second of two classes for each task",
            )
        from sklearn.ensemble import StackingClassifier  # whose import takes long

        of_class = array[:, k]
        says_second = self.labels_or_values[k] == self.classes(k)[1]
        if isinstance(self._inner, StackingClassifier):
            # Some of its releases give the first class: then its predictions differ.
            agree = np.mean((of_class > 0.5) == says_second)
            of_class = of_class if agree >= 0.5 else 1 - of_class
        return np.column_stack([1 - of_class, of_class])

    def decision(self, k: int) -> np.ndarray:
        """Return a task's column of the decision function."""
        array = np.asarray(self._ask("decision_function"))
        if self.n_tasks == 1:
            return array
        if array.ndim != 2 or array.shape[1] != self.n_tasks:
            raise self._refuse(
                "decision_function",
                f"the shape {array.shape} for {self.n_tasks} tasks, of which it cannot "
                "be told whose values it holds",
            )
        _ = self.labels_or_values  # an estimator of one task has two columns at most
        return array[:, k]


class OneTask(BaseEstimator):
    """One task of a multi-output estimator, seen as an estimator of one output.

    So every scorer that scikit-learn has works on it. Its predictions are those for
    `rows` of the X that `predictions` was made with.
    """

    def __init__(self, predictions: Predictions, index: int, rows: Any) -> None:
        self.predictions = predictions
        self.index = index
        self.rows = rows

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:
        return self.predictions.labels_or_values[self.index][self.rows]


class RegressionTask(RegressorMixin, OneTask):
    """A regression."""


def _has_probabilities(task: Any) -> bool:
    return hasattr(task.predictions.estimator, "predict_proba")


def _has_decision_alone(task: Any) -> bool:
    estimator = task.predictions.estimator
    return not _has_probabilities(task) and hasattr(estimator, "decision_function")


class ClassificationTask(ClassifierMixin, OneTask):
    """A classification.

    Attributes
    ----------
    ranks_ : bool
        Whether anybody has asked for more than the predicted labels.
    """

    ranks_ = False

    @property
    def classes_(self) -> np.ndarray:
        return self.predictions.classes(self.index)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        self.ranks_ = True
        return self.predictions.probabilities(self.index)[self.rows]

    @available_if(_has_decision_alone)
    def decision_function(self, X: Any) -> np.ndarray:
        self.ranks_ = True
        return self.predictions.decision(self.index)[self.rows]
