"""One task of a fitted estimator, as an ordinary estimator of one output."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NoReturn

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._tasks.columns import task_index


class _TaskView(BaseEstimator):
    """What the views share."""

    def __init__(self, estimator: Any, task: Any) -> None:
        self.estimator = estimator
        self.task = task

    def fit(self, X: Any, y: Any = None, **params: Any) -> NoReturn:
        """Raise: there is no network of this task alone.

        Parameters
        ----------
        X, y, **params : object
            Ignored.

        Raises
        ------
        TypeError
            Always. scikit-learn's meta-estimators leave a FrozenEstimator as it is.
        """
        raise TypeError(
            f"The task {self.task!r} is one of those that "
            f"{type(self.estimator).__name__} learns together, and cannot be fitted "
            "alone. Fit that estimator, and give meta-estimators "
            "FrozenEstimator(estimator.task(...)), which they do not fit."
        )

    def __sklearn_is_fitted__(self) -> bool:
        try:
            check_is_fitted(self.estimator)
        except ValueError:  # NotFittedError; of a clone, whose estimator is not
            return False
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags = deepcopy(get_tags(self.estimator).input_tags)
        return tags

    @property
    def _index(self) -> int:
        return task_index(self.task, self.estimator.task_names_)

    @property
    def n_features_in_(self) -> int:
        """Number of features."""
        return self.estimator.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features, where X had names that are all strings."""
        return self.estimator.feature_names_in_

    def predict(self, X: Any) -> np.ndarray:
        """Predict this task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, as the estimator of all tasks takes them.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most probable classes, or the values, in the task's own dtype.

        Raises
        ------
        NotFittedError
            If the estimator of all tasks is not fitted.
        ValueError
            If the columns of X are not those of its ``fit``.
        """
        check_is_fitted(self)
        return self.estimator._decoded(X)[self._index]


class TaskRegressorView(RegressorMixin, _TaskView):
    """One regression of a fitted estimator; see its method ``task``.

    Parameters
    ----------
    estimator : MultiTaskMMoERegressor or MultiTaskMMoEMixed
        The estimator of all tasks.
    task : str, int or another column label
        The task's name, or its index.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had names that are all strings.
    """


class TaskClassifierView(ClassifierMixin, _TaskView):
    """One classification of a fitted estimator; see its method ``task``.

    Parameters
    ----------
    estimator : MultiTaskMMoEClassifier or MultiTaskMMoEMixed
        The estimator of all tasks.
    task : str, int or another column label
        The task's name, or its index.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted classes.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X had names that are all strings.
    """

    @property
    def classes_(self) -> np.ndarray:
        """The sorted classes."""
        return self.estimator._tasks[self._index].classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the class probabilities of this task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, as the estimator of all tasks takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities of the classes in the order of `classes_`.

        Raises
        ------
        NotFittedError
            If the estimator of all tasks is not fitted.
        ValueError
            If the columns of X are not those of its ``fit``.
        """
        check_is_fitted(self)
        tasks, index = self.estimator._tasks, self._index
        before = sum(task.type == "classification" for task in tasks[:index])
        return self.estimator._probabilities(X)[before]

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the class probabilities of this task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, as the estimator of all tasks takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


def task_view(estimator: Any, task: Any) -> TaskClassifierView | TaskRegressorView:
    """Return a view of one task of a fitted estimator."""
    index = task_index(task, estimator.task_names_)
    if estimator._tasks[index].type == "classification":
        return TaskClassifierView(estimator, task)
    return TaskRegressorView(estimator, task)
