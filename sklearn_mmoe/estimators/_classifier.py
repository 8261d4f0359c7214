"""The classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._tasks.columns import TaskColumns, join_columns, split_columns
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._fitted import is_fitted
from sklearn_mmoe.estimators._parameters import CLASS_WEIGHT, documented


def _is_nested(classes: Any) -> bool:
    """Tell a list of classes from a list of such lists."""
    return len(classes) > 0 and np.ndim(classes[0]) > 0


@documented(outputs="logits", class_weight=CLASS_WEIGHT)
class MultiTaskMMoEClassifier(ClassifierMixin, _BaseMultiTaskMMoE):
    r"""Multi-gate mixture-of-experts classifier for one or several tasks.

    One network learns all tasks (Ma et al., 2018 [1]_): experts that the tasks share,
    a gate for each task that mixes them, and a small tower for each task. Tasks may
    have any number of classes each.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or list of such arrays
        The sorted classes; a list with one array for each task where there are
        several.
    n_classes_ : int or list of int
        Number of classes; a list where there are several tasks.
    %(attributes)s

    See Also
    --------
    MultiTaskMMoERegressor : The same for real-valued targets.
    sklearn_mmoe.preprocessing.make_tabular_preprocessor : Numeric features from any
        data frame.
    sklearn.multioutput.MultiOutputClassifier : One separate classifier for each task.

    References
    ----------
    %(references)s

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoEClassifier
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(
    ...     n_samples=500, n_features=10, kind="classification", random_state=0
    ... )
    >>> clf = MultiTaskMMoEClassifier(num_experts=4, max_iter=5, random_state=0)
    >>> clf.fit(X, y).predict(X).shape
    (500, 2)
    >>> [proba.shape for proba in clf.predict_proba(X)]
    [(500, 2), (500, 2)]
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **_BaseMultiTaskMMoE._parameter_constraints,
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        num_experts: int = 8,
        *,
        expert_units: int = 32,
        expert_layers: int = 1,
        shared_units: Any = (96,),
        tower_units: Any = (16,),
        gate: str = "multi",
        activation: str = "silu",
        wide: bool = True,
        dropout: float = 0.2,
        feature_penalty: float | str = "auto",
        optimizer: Any = "adamw",
        learning_rate: float = 1e-2,
        learning_rate_schedule: str = "linear",
        weight_decay: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        class_weight: Any = None,
        early_stopping: bool = False,
        early_stopping_metric: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        callbacks: Any = None,
        network: Any = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(
            num_experts,
            expert_units=expert_units,
            expert_layers=expert_layers,
            shared_units=shared_units,
            tower_units=tower_units,
            gate=gate,
            activation=activation,
            wide=wide,
            dropout=dropout,
            feature_penalty=feature_penalty,
            optimizer=optimizer,
            learning_rate=learning_rate,
            learning_rate_schedule=learning_rate_schedule,
            weight_decay=weight_decay,
            batch_size=batch_size,
            max_iter=max_iter,
            early_stopping=early_stopping,
            early_stopping_metric=early_stopping_metric,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
            callbacks=callbacks,
            network=network,
            dtype=dtype,
        )
        self.class_weight = class_weight

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        triples = zip(targets.names, targets.columns, targets.observed, strict=True)
        if classes is None:
            return [LabelTask.from_targets(*t, type(self).__name__) for t in triples]
        return [
            LabelTask(name, labels)
            for name, labels in zip(
                targets.names, self._announced(classes, len(targets.names)), strict=True
            )
        ]

    def _announced(self, classes: Any, n_tasks: int) -> list[np.ndarray]:
        """Bring the `classes` of partial_fit to one sorted array for each task."""
        lists = [classes] if n_tasks == 1 and not _is_nested(classes) else list(classes)
        lists = [np.unique(labels) for labels in lists]
        if len(lists) != n_tasks or any(len(labels) < 2 for labels in lists):
            raise ValueError(
                "classes must give at least two classes for each of the "
                f"{n_tasks} tasks, got {classes!r}."
            )
        return lists

    def _publish_tasks(self, y: Any) -> None:
        classes = [task.classes for task in self._tasks]
        n_classes = [len(labels) for labels in classes]
        single = len(classes) == 1
        self.classes_ = classes[0] if single else classes
        self.n_classes_ = n_classes[0] if single else n_classes

    @available_if(partial_fit_available)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Any:
        """Go on training for one epoch over these rows.

        The optimizer goes on where the last call left it, also after pickling, with
        a constant learning rate.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column of labels for each task; they may be missing, as in ``fit``.
        classes : array-like, list of array-like, or None, default=None
            All classes of the task, or of each task, that any call will bring. Needed
            in the first call unless y has all of them; ignored later, where they must
            be the same.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        AttributeError
            If ``early_stopping=True``.
        ValueError
            If ``class_weight='balanced'``, which needs all rows at once, if `classes`
            are not those of the first call, or as ``fit`` does.
        """
        if classes is not None and is_fitted(self):
            announced = self._announced(classes, self.n_outputs_)
            known = [task.classes for task in self._tasks]
            if any(map(lambda a, b: not np.array_equal(a, b), announced, known)):
                raise ValueError(
                    f"classes={classes!r} are not those of the first call: {known}."
                )
        return self._partial_fit(X, y, classes, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the most probable class in each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predicted classes. An object array where the tasks' labels are of
            different kinds.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``.
        """
        return join_columns(self._decoded(X))

    def predict_proba(self, X: Any) -> Any:
        """Predict class probabilities, as RandomForestClassifier gives them.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of such arrays
            Probabilities of the classes in the order of `classes_`; a list with one
            array for each task where there are several.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``.
        """
        probabilities = self._probabilities(X)
        return probabilities[0] if self.n_outputs_ == 1 else probabilities

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithm of the class probabilities.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of such arrays
            Logarithms of what ``predict_proba`` gives.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            if self.n_outputs_ == 1:
                return np.log(probabilities)
            return [np.log(probability) for probability in probabilities]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the share of rows that are right in every task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True classes. Missing ones are not asked for, and rows without any are
            left out.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Accuracy; for several tasks the subset accuracy, as
            :class:`sklearn.multioutput.MultiOutputClassifier` defines it.

        Raises
        ------
        ValueError
            If y has another number of tasks than in ``fit``.
        """
        predictions = self._decoded(X)
        targets = split_columns(y)
        self._check_number_of_tasks(targets)
        right = np.ones(len(predictions[0]), dtype=bool)
        for predicted, column, observed in zip(
            predictions, targets.columns, targets.observed, strict=True
        ):
            right &= ~observed | (predicted == column)
        counts = np.any(targets.observed, axis=0)
        weight = None if sample_weight is None else np.asarray(sample_weight)[counts]
        return float(
            accuracy_score(np.ones(counts.sum()), right[counts], sample_weight=weight)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
