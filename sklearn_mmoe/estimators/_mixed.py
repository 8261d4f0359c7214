"""The estimator of classifications and regressions together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._tasks.columns import (
    TaskColumns,
    frame_columns,
    join_columns,
    values_by_name,
)
from sklearn_mmoe._tasks.doubt import warn_of_doubtful_classes
from sklearn_mmoe._tasks.kinds import (
    CLASSIFICATION_LOSSES,
    REGRESSION_LOSSES,
    losses_by_task,
)
from sklearn_mmoe._tasks.rows import row_labels, warn_of_row_order
from sklearn_mmoe._tasks.tasks import (
    announced_classes,
    find_label_task,
    infer_task_type,
    warn_of_classes,
)
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._documentation import (
    CALIBRATION,
    CLASS_WEIGHT,
    LOSS_OF_BOTH,
    TASK_DEPENDENCIES,
    TASK_TYPES,
    documented,
)
from sklearn_mmoe.estimators._fitted import is_fitted
from sklearn_mmoe.estimators._parameters import naming_unknown_parameters
from sklearn_mmoe.estimators._quantiles import QuantileMixin
from sklearn_mmoe.metrics._scoring import TaskScoring

_TYPES = ("classification", "regression")
_ALONE = ["classification"]


def _differ(some: np.ndarray | None, others: np.ndarray | None) -> bool:
    if some is None or others is None:
        return some is not others
    return not np.array_equal(some, others)


@documented(
    outputs="logits, or standardised targets",
    loss=LOSS_OF_BOTH,
    task_types=TASK_TYPES,
    class_weight=CLASS_WEIGHT,
    calibration=CALIBRATION,
    task_dependencies=TASK_DEPENDENCIES,
)
class MultiTaskMMoEMixed(QuantileMixin, _BaseMultiTaskMMoE):
    r"""Multi-gate mixture-of-experts for classifications and regressions together.

    One network learns all tasks (Ma et al., 2018 [1]_), some of them classifications,
    the others regressions. So that neither outweighs the other, each task's loss is
    divided by that of the best constant prediction: the entropy of its classes, or
    the variance of its targets.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    task_types_ : list of {'classification', 'regression'}
        The type of each task.
    classes_ : list of ndarray of shape (n_classes_k,) or None
        The sorted classes of each classification; None for a regression.
    n_classes_ : list of int or None
        Number of classes of each classification; None for a regression.
    temperatures_ : dict of str to float or None
        What the logits of each classification are divided by, from 0.2 to 20; None
        without `calibration`.
    %(attributes)s

    See Also
    --------
    MultiTaskMMoEClassifier : For classifications alone.
    MultiTaskMMoERegressor : For regressions alone.

    References
    ----------
    %(references)s

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_mmoe import MultiTaskMMoEMixed
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(n_samples=500, n_features=10, random_state=0)
    >>> y = pd.DataFrame({"hours": y[:, 0], "rich": y[:, 1] > 1})
    >>> model = MultiTaskMMoEMixed(num_experts=4, max_iter=5, random_state=0)
    >>> model.fit(X, y).task_types_
    ['regression', 'classification']
    >>> model.predict(X).dtypes.astype(str).to_dict()
    {'hours': 'float64', 'rich': 'bool'}
    """

    _by_entropy = True
    _parameter_constraints: dict[str, list[Any]] = {
        **_BaseMultiTaskMMoE._parameter_constraints,
        "task_types": [list, tuple, dict, None],
        "loss": [
            StrOptions({*REGRESSION_LOSSES, *CLASSIFICATION_LOSSES}),
            Mapping,
            list,
            tuple,
            None,
        ],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "calibration": [StrOptions({"temperature"}), None],
        "task_dependencies": [dict, None],
    }

    @naming_unknown_parameters
    def __init__(
        self,
        num_experts: int = 8,
        *,
        task_types: Any = None,
        loss: Any = None,
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
        self.task_types = task_types

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        announced = self._announced(classes, targets.names)
        types = self._types(targets, announced if classes is not None else None)
        losses = losses_by_task(self.loss, targets.names, types)
        tasks = [
            self._find_task(targets, k, weights[:, k], losses[k], types[k], announced)
            for k in range(len(targets))
        ]
        warn_of_classes(tasks)
        return tasks

    def _find_task(
        self,
        targets: TaskColumns,
        k: int,
        weight: np.ndarray,
        loss: str,
        task_type: str,
        announced: list[np.ndarray | None],
    ) -> Any:
        if task_type == "regression":
            name, column = targets.names[k], targets.columns[k]
            observed = targets.observed[k]
            return ValueTask.from_targets(name, column, observed, weight, loss)
        owner = type(self).__name__
        return find_label_task(targets, k, loss, owner, announced[k])

    def _announced(self, classes: Any, names: list[str]) -> list[np.ndarray | None]:
        """Bring the `classes` of partial_fit to a sorted array, or None, by task."""
        return (
            [None] * len(names)
            if classes is None
            else announced_classes(classes, names)
        )

    def _types(
        self, targets: TaskColumns, announced: list[np.ndarray | None] | None
    ) -> list[str]:
        """Take the given types of tasks, and infer the others.

        Of announced classes, a task that has some is a classification.
        """
        given = self._given_types(targets.names)
        if announced is None:
            return self._inferred(targets, given)
        types = [_TYPES[0] if labels is not None else _TYPES[1] for labels in announced]
        for name, task_type in zip(targets.names, types, strict=True):
            if given.get(name, task_type) != task_type:
                raise ValueError(
                    f"classes make the task {name!r} a {task_type}, but the "
                    f"'task_types' parameter says {given[name]!r}. Classes are needed "
                    "for each classification, and None for each regression."
                )
        return types

    def _given_types(self, names: Sequence[str]) -> dict[str, str]:
        """Take the types of tasks that are given, by their names."""
        given = self.task_types if self.task_types is not None else {}
        if not isinstance(given, Mapping):
            if len(given) != len(names):
                raise ValueError(
                    f"The 'task_types' parameter has {len(given)} types, but y has "
                    f"{len(names)} tasks: {list(names)}. Give one for each, or a dict "
                    "by their names."
                )
            given = dict(zip(names, given, strict=True))
        given = values_by_name("task_types", given, names)
        for name, task_type in given.items():
            if task_type not in _TYPES:
                raise ValueError(
                    f"The 'task_types' parameter must have one of {_TYPES} for each "
                    f"task, got {task_type!r} for the task {name!r}."
                )
        return given

    def _check_same_types(self, names: Sequence[str]) -> None:
        given = self._given_types(names)
        for name, before in zip(self.task_names_, self.task_types_, strict=True):
            if given.get(name, before) != before:
                raise ValueError(
                    f"{type(self).__name__} goes on with the network that it has "
                    f"(warm_start=True or partial_fit), in which the task {name!r} is "
                    f"a {before}, but 'task_types' makes it a {given[name]} now. Set "
                    "it back, or fit anew with warm_start=False."
                )

    def _inferred(self, targets: TaskColumns, given: Mapping[str, str]) -> list[str]:
        """Infer the types that are not given, and warn of those that are doubtful."""
        types = [
            given.get(name) or infer_task_type(targets, k)
            for k, name in enumerate(targets.names)
        ]
        inferred = [
            k
            for k, name in enumerate(targets.names)
            if name not in given and types[k] == _TYPES[0]
        ]
        warn_of_doubtful_classes(targets, inferred)
        return types

    def _publish_tasks(self, y: Any) -> None:
        self.task_types_ = [task.type for task in self._tasks]
        self.classes_ = [getattr(task, "classes", None) for task in self._tasks]
        self.n_classes_ = [
            None if classes is None else len(classes) for classes in self.classes_
        ]
        self._y_columns = frame_columns(y)

    @available_if(partial_fit_available)
    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Any:
        """Train one epoch on these rows.

        Training continues where the last call left it, also after pickling, with a
        constant learning rate. The first call decides on the tasks' types, classes,
        means and standard deviations; of targets that are all the same there, the first
        ones that are not decide on the standard deviation.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column of targets for each task; they may be missing, as in ``fit``.
        classes : list of (array-like or None), dict or None, default=None
            All classes that any call will have: a list with the classes of each task
            (None for a regression), or a dict by the names of the classifications,
            such as ``{"rich": ["no", "yes"]}``. Needed in the first call unless y has
            all of them. Later calls may leave them out; they must be the same.
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
            are not those of the first call or at odds with `task_types`, or as
            ``fit`` does.
        """
        if classes is not None and is_fitted(self):
            announced = self._announced(classes, self.task_names_)
            if any(map(_differ, announced, self.classes_)):
                raise ValueError(
                    f"classes={classes!r} are not those of the first call: "
                    f"{self.classes_}."
                )
        return self._partial_fit(X, y, classes, sample_weight)

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the most probable class, or the value, in each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.
        return_std : bool, default=False
            Whether to return the standard deviation over the members of an ensemble
            too, a measure of doubt: in the units of y, or of the
            predicted class' probability. It needs `cv`. Of a task whose
            predictions are shrunk (``cv_shrinkage_``), it is smaller too: it compares
            rows, not tasks.

        Returns
        -------
        predictions : DataFrame, or ndarray of shape (n_samples,) or \
                (n_samples, n_outputs)
            Predictions. If y was a data frame of pandas or polars in ``fit``, a data
            frame of pandas with its columns, each in its own dtype, and X's index, also
            behind :func:`~sklearn_mmoe.preprocessing.make_tabular_preprocessor`
            unless it returns arrays (``sparse=False``); where
            X has no index, rows are numbered from 0. Else an array, of the widest dtype
            where all tasks have numbers, and of dtype object where some have text and
            others numbers; ``task(name).predict(X)`` keeps a task's own.
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
        """Predict the class probabilities of the classifications.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        list of ndarray of shape (n_samples, n_classes_k), or the only one of them
            Probabilities for each classification, in the order of y's columns;
            regressions are left out. An array where one classification is all there
            is.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``.
        """
        probabilities = self._probabilities(X)
        return probabilities[0] if self.task_types_ == _ALONE else probabilities

    def __sklearn_tags__(self) -> Any:
        # It is neither kind of estimator, and still has classes and predict_proba.
        tags = super().__sklearn_tags__()
        tags.classifier_tags = ClassifierTags(multi_class=True, multi_label=True)
        return tags

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean over tasks of accuracy or coefficient of determination.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets; columns are matched with the tasks by name where both have
            names. Missing ones do not count.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows, the same in all tasks or a column for each.

        Returns
        -------
        float
            The mean over tasks of the accuracy of a classification and the R2 of a
            regression, in which the error of a target that is an interval is the
            distance to it. A task whose score is undefined, such as one without targets
            in y, is warned of, and the mean is that over the others.

        Raises
        ------
        ValueError
            If y has other tasks than in ``fit``, or labels of another kind: text
            instead of numbers. A label that ``fit`` has not seen counts as wrong.
        """
        check_is_fitted(self)
        warn_of_row_order(X, y, sample_weight)
        metrics = {"classification": "accuracy", "regression": "r2"}
        scorings = [metrics[task.type] for task in self._tasks]
        return TaskScoring(self, X, y, sample_weight).mean(scorings)
