"""The regressor."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.metaestimators import available_if

from sklearn_mmoe._tasks.columns import TaskColumns, join_columns, split_columns
from sklearn_mmoe._tasks.tasks import ValueTask
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._parameters import documented


@documented(outputs="standardised targets")
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
    %(references)s

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(n_samples=500, n_features=10, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=5, random_state=0)
    >>> reg.fit(X, y).predict(X).shape
    (500, 2)
    """

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        return [
            ValueTask.from_targets(*of_task)
            for of_task in zip(
                targets.names, targets.columns, targets.observed, weights.T, strict=True
            )
        ]

    @available_if(partial_fit_available)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Go on training for one epoch over these rows.

        The optimizer goes on where the last call left it, also after pickling, with
        a constant learning rate. The targets are standardised by the first call's
        mean and standard deviation.

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
        return join_columns(self._decoded(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Give the mean over tasks of the coefficient of determination.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets. Rows without a target count not in that task.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            R2, as :class:`sklearn.multioutput.MultiOutputRegressor` defines it.

        Raises
        ------
        ValueError
            If y has another number of tasks than in ``fit``.
        """
        predicted = self.predict(X).reshape(-1, self.n_outputs_)
        targets = split_columns(y)
        self._check_number_of_tasks(targets)
        weight = None if sample_weight is None else np.asarray(sample_weight)
        return float(
            np.mean(
                [
                    r2_score(
                        column[observed].astype(np.float64),
                        predicted[observed, k],
                        sample_weight=None if weight is None else weight[observed],
                    )
                    for k, (column, observed) in enumerate(
                        zip(targets.columns, targets.observed, strict=True)
                    )
                ]
            )
        )
