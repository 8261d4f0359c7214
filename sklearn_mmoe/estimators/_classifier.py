"""The classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    frame_columns,
    join_columns,
    split_columns,
)
from sklearn_mmoe._tasks.kinds import CLASSIFICATION_LOSSES, losses_by_task
from sklearn_mmoe._tasks.rows import row_labels, warn_of_row_order
from sklearn_mmoe._tasks.tasks import (
    announced_classes,
    find_label_task,
    known_labels,
    warn_of_classes,
)
from sklearn_mmoe._tasks.weights import task_weights
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._documentation import (
    CALIBRATION,
    CLASS_WEIGHT,
    LOSS_OF_CLASSES,
    TASK_DEPENDENCIES,
    documented,
)
from sklearn_mmoe.estimators._fitted import is_fitted
from sklearn_mmoe.estimators._parameters import naming_unknown_parameters


@documented(
    outputs="logits",
    loss=LOSS_OF_CLASSES,
    class_weight=CLASS_WEIGHT,
    calibration=CALIBRATION,
    task_dependencies=TASK_DEPENDENCIES,
)
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
    temperatures_ : dict of str to float or None
        What the logits of each classification are divided by, from 0.2 to 20; None
        without `calibration`.
    %(attributes)s

    See Also
    --------
    MultiTaskMMoERegressor : The same for real-valued targets.
    sklearn_mmoe.preprocessing.make_tabular_preprocessor : Numeric features from any
        data frame.
    sklearn.multioutput.MultiOutputClassifier : One separate classifier for each task.

    Notes
    -----
    Many of scikit-learn's meta-estimators take one output only. With several tasks
    ``CalibratedClassifierCV(FrozenEstimator(clf))`` ends in an IndexError within
    scikit-learn, as it does with a forest of several outputs:
    ``FrozenEstimator(clf.task("income"))`` calibrates one task, and
    ``calibration="temperature"`` all of them. The user guide's page on targets says
    which other meta-estimators take several tasks, and what to use instead of those
    that do not.

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
        "loss": [StrOptions(set(CLASSIFICATION_LOSSES)), Mapping, list, tuple],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "calibration": [StrOptions({"temperature"}), None],
        "task_dependencies": [dict, None],
    }

    @naming_unknown_parameters
    def __init__(
        self,
        num_experts: int = 8,
        *,
        loss: Any = "log_loss",
        sharing: str = "mmoe",
        num_task_experts: int = 2,
        num_levels: int = 2,
        expert_units: Any = 32,
        shared_units: Any = (96,),
        tower_units: Any = (16,),
        match_parameters: str | int | None = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        task_dependencies: Any = None,
        activation: str = "silu",
        wide: bool = True,
        dropout: float | str = "auto",
        feature_penalty: float | str = "auto",
        optimizer: Any = "adamw",
        learning_rate: float = 1e-2,
        learning_rate_schedule: str = "linear",
        weight_decay: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        task_weight: Any = "observed",
        task_weighting: str = "uniform",
        class_weight: Any = None,
        calibration: str | None = None,
        early_stopping: bool = False,
        early_stopping_metric: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        cv: Any = "auto",
        kernel_ridge: str | None = "auto",
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        checkpoint_dir: Any = None,
        distribute: Any = None,
        callbacks: Any = None,
        network: Any = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__(
            num_experts,
            loss=loss,
            sharing=sharing,
            num_task_experts=num_task_experts,
            num_levels=num_levels,
            expert_units=expert_units,
            shared_units=shared_units,
            tower_units=tower_units,
            match_parameters=match_parameters,
            gate_dropout=gate_dropout,
            gate_temperature=gate_temperature,
            load_balance_penalty=load_balance_penalty,
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
            task_weight=task_weight,
            task_weighting=task_weighting,
            early_stopping=early_stopping,
            early_stopping_metric=early_stopping_metric,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            cv=cv,
            kernel_ridge=kernel_ridge,
            random_state=random_state,
            verbose=verbose,
            warm_start=warm_start,
            checkpoint_dir=checkpoint_dir,
            distribute=distribute,
            callbacks=callbacks,
            network=network,
            dtype=dtype,
        )
        self.class_weight = class_weight
        self.calibration = calibration
        self.task_dependencies = task_dependencies

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        names = targets.names
        losses = losses_by_task(self.loss, names, ["classification"] * len(names))
        announced: Sequence[Any] = [None] * len(names)
        if classes is not None:
            announced = self._announced(classes, names)
        tasks = [
            find_label_task(targets, k, losses[k], type(self).__name__, announced[k])
            for k in range(len(names))
        ]
        warn_of_classes(tasks)
        return tasks

    def _announced(self, classes: Any, names: list[str]) -> list[np.ndarray]:
        """Bring the `classes` of partial_fit to one sorted array for each task."""
        announced = announced_classes(classes, names)
        silent = [n for n, c in zip(names, announced, strict=True) if c is None]
        if silent:
            raise ValueError(
                f"classes must give at least two classes for each of the {len(names)} "
                f"tasks; it has none for {silent}."
            )
        return [labels for labels in announced if labels is not None]

    def _publish_tasks(self, y: Any) -> None:
        classes = [task.classes for task in self._tasks]
        n_classes = [len(labels) for labels in classes]
        single = len(classes) == 1
        self.classes_ = classes[0] if single else classes
        self.n_classes_ = n_classes[0] if single else n_classes
        self._y_columns = frame_columns(y)

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
        classes : array-like, list of array-like, dict or None, default=None
            All classes of the task, or of each task in their order or by name, that
            any call will bring. Needed in the first call unless y has all of them;
            ignored later, where they must be the same.
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
            If ``class_weight='balanced'``, which needs all rows at once, or
            `calibration` is set, which needs rows that are not trained on, if `classes`
            are not those of the first call, or as ``fit`` does.
        """
        if classes is not None and is_fitted(self):
            announced = self._announced(classes, self.task_names_)
            known = [task.classes for task in self._tasks]
            if any(map(lambda a, b: not np.array_equal(a, b), announced, known)):
                raise ValueError(
                    f"classes={classes!r} are not those of the first call: {known}."
                )
        return self._partial_fit(X, y, classes, sample_weight)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the most probable class in each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.
        return_std : bool, default=False
            Whether to return the standard deviation over the members of an ensemble
            too, a measure of doubt: of the predicted class' probability. It needs `cv`.
            Of a task whose predictions are shrunk (``cv_shrinkage_``), it is smaller
            too: it compares rows, not tasks.

        Returns
        -------
        predictions : DataFrame, or ndarray of shape (n_samples,) or \
                (n_samples, n_outputs)
            Predicted classes. If y was a data frame of pandas or polars in ``fit``, a
            data frame of pandas with its columns, each in its own dtype, and X's index,
            also behind :func:`~sklearn_mmoe.preprocessing.make_tabular_preprocessor`
            unless it returns arrays (``sparse=False``);
            where X has no index, rows are numbered from 0. Else an array, of the widest
            dtype where the tasks' labels are numbers of different kinds, and of dtype
            object where some are text and others numbers; ``task(name).predict(X)``
            keeps a task's own.
        std : DataFrame or ndarray of the same shape
            Standard deviations, float64; only if `return_std` is True.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``, or a standard deviation is
            asked of a network that is no ensemble.
        """
        decoded = self._decoded(X)
        labels = self._y_columns, row_labels(X)
        predictions = join_columns(decoded, *labels)
        if not return_std:
            return predictions
        return predictions, join_columns(self._spread(X), *labels)

    def predict_proba(self, X: Any) -> Any:
        """Predict class probabilities, as RandomForestClassifier does.

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
        """Return the share of rows that are right in every task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True classes; columns are matched with the tasks by name where both have
            names. Missing ones are not asked for, and rows without any are left out.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows. With a column for each task, a row weighs the mean
            over the tasks whose label it has; where the weight is 0, a task is not
            asked for.

        Returns
        -------
        float
            Accuracy; for several tasks the subset accuracy, as
            :class:`sklearn.multioutput.MultiOutputClassifier` defines it. NaN, and a
            warning, if there is no row of positive weight that has a label.

        Raises
        ------
        ValueError
            If y has other tasks than in ``fit``, or labels of another kind: text
            instead of numbers. A label that ``fit`` has not seen counts as wrong.
        """
        check_is_fitted(self)
        warn_of_row_order(X, y, sample_weight)
        targets = split_columns(y).matched(self.task_names_, type(self).__name__)
        check_consistent_length(X, targets.columns[0])
        weights = task_weights(sample_weight, targets)
        weights = weights * np.column_stack(targets.observed)
        asked = weights > 0
        right = np.ones(len(weights), dtype=bool)
        for k, predicted in enumerate(self._decoded(X)):
            of_task = asked[:, k]
            labels, classes = targets.columns[k][of_task], self._tasks[k].classes
            true, _ = known_labels(targets.names[k], labels, classes)
            right[of_task] &= predicted[of_task] == true
        counts = asked.any(axis=1)
        if not counts.any():
            warn(
                "The accuracy is NaN: y has no label of positive weight.",
                UndefinedMetricWarning,
            )
            return float("nan")
        of_rows = weights.sum(axis=1)[counts] / asked.sum(axis=1)[counts]
        return float(np.average(right[counts], weights=of_rows))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
