"""The estimator of classifications and regressions together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import ClassifierTags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._tasks.columns import TaskColumns, join_columns, split_columns
from sklearn_mmoe._tasks.tasks import LabelTask, ValueTask, infer_task_type
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._parameters import CLASS_WEIGHT, TASK_TYPES, documented

_TYPES = ("classification", "regression")
_ALONE = ["classification"]


def _entropy(codes: np.ndarray, weight: np.ndarray) -> float:
    """Compute the loss, in nats, of knowing no more than the shares of the classes."""
    shares = np.bincount(codes, weights=weight) / weight.sum()
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


@documented(
    outputs="logits, or standardised targets",
    task_types=TASK_TYPES,
    class_weight=CLASS_WEIGHT,
)
class MultiTaskMMoEMixed(_BaseMultiTaskMMoE):
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

    _parameter_constraints: dict[str, list[Any]] = {
        **_BaseMultiTaskMMoE._parameter_constraints,
        "task_types": [list, tuple, dict, None],
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
    }

    def __init__(
        self,
        num_experts: int = 8,
        *,
        task_types: Any = None,
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
        self.task_types = task_types

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        tasks: list[Any] = []
        for of_task in zip(
            targets.names,
            self._types(targets),
            targets.columns,
            targets.observed,
            weights.T,
            strict=True,
        ):
            name, task_type, column, observed, weight = of_task
            task: Any
            if task_type == "regression":
                task = ValueTask.from_targets(name, column, observed, weight)
            else:
                task = LabelTask.from_targets(
                    name, column, observed, type(self).__name__
                )
                weight = weight * observed
                entropy = _entropy(task.codes(column, observed), weight)
                task.loss_scale = 1 / entropy if entropy > 0 else 1.0
            tasks.append(task)
        return tasks

    def _types(self, targets: TaskColumns) -> list[str]:
        """Take the given types of tasks, and infer the others."""
        given = self.task_types if self.task_types is not None else {}
        if not isinstance(given, Mapping):
            if len(given) != len(targets.names):
                raise ValueError(
                    f"The 'task_types' parameter has {len(given)} types, but y has "
                    f"{len(targets.names)} tasks."
                )
            given = dict(zip(targets.names, given, strict=True))
        unknown = sorted(set(given) - set(targets.names))
        wrong = sorted({str(value) for value in given.values()} - set(_TYPES))
        if unknown or wrong:
            raise ValueError(
                f"The 'task_types' parameter must give one of {_TYPES} for tasks out "
                f"of {targets.names}, got {self.task_types!r}."
            )
        return [
            given.get(name) or infer_task_type(column, observed)
            for name, column, observed in zip(
                targets.names, targets.columns, targets.observed, strict=True
            )
        ]

    def _publish_tasks(self, y: Any) -> None:
        self.task_types_ = [task.type for task in self._tasks]
        self.classes_ = [getattr(task, "classes", None) for task in self._tasks]
        self.n_classes_ = [
            None if classes is None else len(classes) for classes in self.classes_
        ]
        self._y_columns = list(y.columns) if isinstance(y, pd.DataFrame) else None

    @available_if(partial_fit_available)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Go on training for one epoch over these rows.

        The optimizer goes on where the last call left it, also after pickling, with
        a constant learning rate. The first call decides on the tasks' types, classes,
        means and standard deviations.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column of targets for each task; they may be missing, as in ``fit``.
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
            As ``fit`` does.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def predict(self, X: Any) -> Any:
        """Predict the most probable class, or the value, in each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        data frame or ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions, each task's in its own dtype: a data frame if y was one, else
            an array, of dtype object where the tasks' predictions differ in kind.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``.
        """
        columns = self._decoded(X)
        if self._y_columns is None:
            return join_columns(columns)
        frame = pd.DataFrame(dict(enumerate(columns)), index=getattr(X, "index", None))
        return frame.set_axis(self._y_columns, axis=1)

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
        """Give the mean over tasks of accuracy or coefficient of determination.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets; missing ones do not count.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            The mean over tasks of the accuracy of a classification and the R2 of a
            regression.

        Raises
        ------
        ValueError
            If y has another number of tasks than in ``fit``.
        """
        predictions = self._decoded(X)
        targets = split_columns(y)
        self._check_number_of_tasks(targets)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        scores = []
        for task, values, column, observed in zip(
            self._tasks, predictions, targets.columns, targets.observed, strict=True
        ):
            true, predicted = column[observed], values[observed]
            metric = accuracy_score
            if isinstance(task, LabelTask):
                true = task.classes[task.codes(true, np.ones(len(true), dtype=bool))]
            else:
                metric, true = r2_score, true.astype(np.float64)
            of_rows = None if weight is None else weight[observed]
            scores.append(metric(true, predicted, sample_weight=of_rows))
        return float(np.mean(scores))
