"""The two estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score

from sklearn_mmoe._base import _BaseMultiTaskMMoE, _EncodedTargets
from sklearn_mmoe._targets import (
    encode_labels,
    join_columns,
    joint_groups,
    split_labels,
    split_values,
)

__all__ = ["MultiTaskMMoEClassifier", "MultiTaskMMoERegressor"]

_PARAMETERS = """num_experts : int, default=8
        Number of experts, which all tasks share. 1 makes a shared-bottom network.
    expert_units : int, default=32
        Width of each expert.
    expert_layers : int, default=1
        Depth of each expert.
    shared_units : int or array-like of int, default=(128,)
        Widths of the ReLU layers below the experts; ``()`` for none, as in [1]_.
    tower_units : int or array-like of int, default=(16,)
        Widths of the hidden ReLU layers of each task's tower; ``()`` for none.
    gate : {'multi', 'single'}, default='multi'
        'multi' gives every task a gate of its own (MMoE, equation 6 of [1]_),
        'single' one gate to all tasks (OMoE, equation 5).
    dropout : float, default=0.2
        Share of the units of shared and tower layers that each training step leaves
        out, in [0, 1).
    optimizer : {'adamw', 'adam', 'nadam', 'lion', 'rmsprop', 'sgd'} or \\
            keras.optimizers.Optimizer, default='adamw'
        The optimizer. Of an optimizer object a copy is used, and `learning_rate`,
        `learning_rate_schedule` and `weight_decay` are its own.
    learning_rate : float, default=0.002
        Highest learning rate.
    learning_rate_schedule : {'cosine', 'constant'}, default='cosine'
        'cosine' rises to `learning_rate` over the first twentieth of all updates
        and then falls to zero along a cosine; 'constant' stays.
    weight_decay : float, default=0.01
        Decoupled weight decay for each update, as a multiple of the learning rate.
    batch_size : int or 'auto', default='auto'
        Rows in one update. 'auto' is the power of two just below n_samples / 100, at
        least 16 and at most 256.
    max_iter : int or 'auto', default='auto'
        Number of epochs. 'auto' is as many as make 1500 updates, at least 8 and at
        most 200.
    early_stopping : bool, default=False
        Whether to set `validation_fraction` of the rows aside, to stop when the loss
        on them no longer falls, and to end with the weights for which it was lowest,
        also when training runs to its end.
    validation_fraction : float, default=0.1
        Share of the rows to set aside for early stopping, in (0, 1); for classifiers
        stratified by the joint labels of all tasks where these suffice.
    n_iter_no_change : int, default=5
        Number of epochs without improvement of at least `tol` to wait for.
    tol : float, default=1e-4
        Smallest fall of the validation loss that counts as an improvement.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the rows, the dropout and the
        validation split. The same int gives the same predictions to the bit on one
        machine. None takes fresh entropy from the operating system. Global random
        states are neither read nor changed.
    verbose : int or bool, default=0
        Whether to print a line with the losses at each epoch's end.
    warm_start : bool, default=False
        Whether a further ``fit`` starts from the present weights, with a new
        optimizer and schedule, instead of from new ones.
    callbacks : keras.callbacks.Callback, list of them or None, default=None
        Callbacks for Keras, such as :class:`sklearn_mmoe.callbacks.TaskScores`."""

_ATTRIBUTES = """n_outputs_ : int
        Number of tasks.
    task_names_ : list of str
        Names of the tasks: the columns of y, or ``task_0``, ``task_1``, ...
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had names that are all strings.
    network_ : keras.Model
        The trained network. Its outputs are {outputs}.
    n_iter_ : int
        Number of epochs trained.
    t_ : int
        Number of rows seen in training, each epoch's counted.
    loss_ : float
        Training loss of the last epoch, summed over tasks.
    loss_curve_ : list of float
        Training loss of each epoch.
    task_loss_curves_ : dict of str to list of float
        Training loss of each task in each epoch, as the mean over batches, in which
        a smaller last batch counts as much as the others.
    best_loss_ : float or None
        Lowest training loss; None with early stopping.
    validation_scores_ : list of float or None
        Negative validation loss of each epoch; None without early stopping.
    best_validation_score_ : float or None
        Highest of `validation_scores_`; None without early stopping."""


def _documented(cls: Any) -> Any:
    """Fill in the parts of the docstring that both estimators share."""
    outputs = {
        "MultiTaskMMoEClassifier": "logits",
        "MultiTaskMMoERegressor": "standardised targets",
    }[cls.__name__]
    cls.__doc__ = cls.__doc__.replace("%(parameters)s", _PARAMETERS).replace(
        "%(attributes)s", _ATTRIBUTES.replace("{outputs}", outputs)
    )
    return cls


@_documented
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
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

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

    def _encode_targets(self, y: Any, resume: bool) -> _EncodedTargets:
        tasks = split_labels(y)
        classes = self._class_lists() if resume else None
        if classes is not None and len(classes) != len(tasks.columns):
            raise ValueError(
                f"y has {len(tasks.columns)} tasks, but the earlier fit had "
                f"{len(classes)}. With warm_start=True they must stay the same."
            )
        classes, codes = encode_labels(tasks, classes, type(self).__name__)
        self.n_outputs_ = len(classes)
        self.task_names_ = tasks.names
        single = len(classes) == 1
        self.classes_ = classes[0] if single else classes
        n_classes = [len(labels) for labels in classes]
        self.n_classes_ = n_classes[0] if single else n_classes
        binary = [n == 2 for n in n_classes]
        return _EncodedTargets(
            columns=[
                code.astype(np.float32)[:, None] if two else code.astype(np.int32)
                for code, two in zip(codes, binary, strict=True)
            ],
            kinds=["binary" if two else "multiclass" for two in binary],
            units=[
                1 if two else n for n, two in zip(n_classes, binary, strict=True)
            ],
            groups=joint_groups(codes),
        )  # fmt: skip

    def _class_lists(self) -> list[np.ndarray]:
        return self.classes_ if isinstance(self.classes_, list) else [self.classes_]

    def _probabilities(self, X: Any) -> list[np.ndarray]:
        probabilities = []
        for logits in self._raw_predictions(X):
            if logits.shape[1] == 1:
                positive = expit(logits)
                probabilities.append(np.hstack([1 - positive, positive]))
            else:
                probabilities.append(softmax(logits, axis=1))
        return probabilities

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
        probabilities = self._probabilities(X)
        return join_columns(
            [
                labels[probability.argmax(axis=1)]
                for labels, probability in zip(
                    self._class_lists(), probabilities, strict=True
                )
            ]
        )

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
            True classes.
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
        columns = split_labels(y).columns
        if len(columns) != self.n_outputs_:
            raise ValueError(
                f"y has {len(columns)} tasks, but {type(self).__name__} was fitted "
                f"with {self.n_outputs_}."
            )
        predicted = self.predict(X).reshape(len(columns[0]), -1)
        right = np.column_stack(
            [column == predicted[:, k] for k, column in enumerate(columns)]
        ).all(axis=1)
        return float(
            accuracy_score(np.ones_like(right), right, sample_weight=sample_weight)
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@_documented
class MultiTaskMMoERegressor(RegressorMixin, _BaseMultiTaskMMoE):
    r"""Multi-gate mixture-of-experts regressor for one or several tasks.

    One network learns all tasks (Ma et al., 2018 [1]_): experts that the tasks share,
    a gate for each task that mixes them, and a small tower for each task. Inside, each
    target is standardised, so that no task outweighs another by its units;
    predictions are in the units of y.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s

    See Also
    --------
    MultiTaskMMoEClassifier : The same for classes.
    sklearn_mmoe.preprocessing.make_tabular_preprocessor : Numeric features from any
        data frame.
    sklearn.multioutput.MultiOutputRegressor : One separate regressor for each task.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(n_samples=500, n_features=10, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=5, random_state=0)
    >>> reg.fit(X, y).predict(X).shape
    (500, 2)
    """

    def _encode_targets(self, y: Any, resume: bool) -> _EncodedTargets:
        tasks = split_values(y)
        values = np.column_stack(tasks.columns)
        if not resume:
            self.n_outputs_ = values.shape[1]
            self.task_names_ = tasks.names
            self._target_mean = values.mean(axis=0)
            # 0 for a constant target, which is so predicted as its constant.
            self._target_scale = values.std(axis=0)
        elif values.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {values.shape[1]} tasks, but the earlier fit had "
                f"{self.n_outputs_}. With warm_start=True they must stay the same."
            )
        divisor = np.where(self._target_scale > 0, self._target_scale, 1.0)
        standardised = (values - self._target_mean) / divisor
        return _EncodedTargets(
            columns=[column[:, None] for column in standardised.T.astype(np.float32)],
            kinds=["regression"] * self.n_outputs_,
            units=[1] * self.n_outputs_,
        )

    def predict(self, X: Any) -> np.ndarray:
        """Predict the target of each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in the units of y, float64.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If the columns of X are not those of ``fit``.
        """
        standardised = np.hstack(self._raw_predictions(X))
        values = standardised * self._target_scale + self._target_mean
        return values[:, 0] if self.n_outputs_ == 1 else values
