"""The regressor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._tasks.columns import TaskColumns, frame_columns, join_columns
from sklearn_mmoe._tasks.kinds import REGRESSION_LOSSES, losses_by_task
from sklearn_mmoe._tasks.rows import row_labels, warn_of_row_order
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE, partial_fit_available
from sklearn_mmoe.estimators._documentation import LOSS_OF_REGRESSIONS, documented
from sklearn_mmoe.estimators._quantiles import QuantileMixin
from sklearn_mmoe.metrics import mean_task_scorer


@documented(outputs="standardised targets", loss=LOSS_OF_REGRESSIONS)
class MultiTaskMMoERegressor(QuantileMixin, RegressorMixin, _BaseMultiTaskMMoE):
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

    _parameter_constraints: dict[str, list[Any]] = {
        **_BaseMultiTaskMMoE._parameter_constraints,
        "loss": [StrOptions(set(REGRESSION_LOSSES)), Mapping, list, tuple],
    }

    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        types = ["regression"] * len(targets)
        losses = losses_by_task(self.loss, targets.names, types)
        return [
            ValueTask.from_targets(*of_task)
            for of_task in zip(
                targets.names,
                targets.columns,
                targets.observed,
                weights.T,
                losses,
                strict=True,
            )
        ]

    def _publish_tasks(self, y: Any) -> None:
        self._y_columns = frame_columns(y)

    @available_if(partial_fit_available)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Go on training for one epoch over these rows.

        The optimizer goes on where the last call left it, also after pickling, with
        a constant learning rate. The targets are standardised by the first call's
        mean and standard deviation; targets that are all the same there, by the spread
        of the first ones that are not.

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

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the target of each task.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features, with the columns seen in ``fit``, in the same order.
        return_std : bool, default=False
            Whether to return the standard deviation over the members of an ensemble
            too, a measure of doubt: in the units of y. It needs `cv`. Of a task whose
            predictions are shrunk (``cv_shrinkage_``), it is smaller too: it compares
            rows, not tasks.

        Returns
        -------
        predictions : DataFrame, or ndarray of shape (n_samples,) or \
                (n_samples, n_outputs)
            Predictions in the units of y, float64. If y was a data frame of pandas or
            polars in ``fit``, a data frame of pandas with its columns and X's index,
            also behind :func:`~sklearn_mmoe.preprocessing.make_tabular_preprocessor`
            unless it returns arrays (``sparse=False``);
            where X has no index, rows are numbered from 0. Else an array.
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

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the mean over tasks of the coefficient of determination.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Features.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            True targets; columns are matched with the tasks by name where both have
            names. Rows without a target do not count in that task.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Weights of the rows, the same in all tasks or a column for each.

        Returns
        -------
        float
            R2, as :class:`sklearn.multioutput.MultiOutputRegressor` defines it. The
            error of a target that is an interval is the distance to it. A task whose R2
            is undefined, such as one without targets in y, is warned of, and the mean
            is that over the others.

        Raises
        ------
        ValueError
            If y has other tasks than in ``fit``.
        """
        check_is_fitted(self)
        warn_of_row_order(X, y, sample_weight)
        return mean_task_scorer("r2")(self, X, y, sample_weight)
