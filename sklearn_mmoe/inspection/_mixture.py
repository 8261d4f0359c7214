"""What the gates and the experts of a fitted estimator give for rows of X."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length

from sklearn_mmoe._sklearn.look_through import last_step, transformed
from sklearn_mmoe.estimators._base import _BaseMultiTaskMMoE
from sklearn_mmoe.estimators._gates import names_in_members

__all__ = ["expert_outputs", "expert_use", "gate_weights"]


def final_estimator(estimator: Any) -> _BaseMultiTaskMMoE:
    """Look through searches and pipelines for one of our estimators.

    Raises
    ------
    TypeError
        If what they end in is not one of ours.
    """
    last = last_step(estimator)
    if not isinstance(last, _BaseMultiTaskMMoE):
        raise TypeError(
            "The 'estimator' parameter must be a MultiTaskMMoEClassifier, "
            "MultiTaskMMoERegressor or MultiTaskMMoEMixed, or a fitted Pipeline or "
            f"search that ends in one; got {type(last).__name__}."
        )
    return last


def gate_weights(estimator: Any, X: Any) -> np.ndarray:
    r"""Return the weight of each expert in each task, row by row.

    These are :math:`g_k(x)_i` of equation 7 of Ma et al. (2018) [1]_.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        One of our estimators, fitted, or a Pipeline or search that ends in one.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them; a Pipeline's steps are applied.

    Returns
    -------
    ndarray of shape (n_samples, n_tasks, n_experts)
        float32 weights between 0 and 1, which sum to 1 over the experts. With
        ``sharing='omoe'`` they are the same for all tasks. With 'cgc' and 'ple' the
        shared experts come first, then those of each task, which have weight 0 in the
        others; with 'ple' they are those of the last level. For an ensemble trained
        with `cv`, the experts of one member follow those of another, and the weights of
        each member sum to its weight in the prediction.

    Raises
    ------
    TypeError
        If `estimator` is not, or does not end in, one of our estimators.
    NotFittedError
        If it is not fitted.
    ValueError
        If the columns of X are not those of ``fit``, or the network has no gates: that
        of 'single', 'shared_bottom', 'cross_stitch' and 'aitm' has none.

    See Also
    --------
    expert_use : Their means, over all rows or groups of them, with names.
    GateWeightsDisplay : Their picture.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import gate_weights
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=2, random_state=0)
    >>> weights = gate_weights(reg.fit(X, y), X)
    >>> weights.shape
    (300, 2, 4)
    >>> bool(abs(weights.sum(axis=2) - 1).max() < 1e-5)
    True
    """
    last = final_estimator(estimator)
    weights = last._mixture(transformed(estimator, X), "gate_outputs")
    shape = (len(weights), last.n_outputs_, weights.shape[2])
    return np.array(np.broadcast_to(weights, shape))


def expert_outputs(estimator: Any, X: Any) -> np.ndarray:
    r"""Return what each expert makes of each row.

    These are :math:`f_i(x)` of equation 6 of Ma et al. (2018) [1]_, before the gates.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        One of our estimators, fitted, or a Pipeline or search that ends in one.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them; a Pipeline's steps are applied.

    Returns
    -------
    ndarray of shape (n_samples, n_experts, expert_units)
        float32 outputs; with 'cgc' and 'ple' of the shared experts first, then of those
        of each task. Of an ensemble those of the first member come first.

    Raises
    ------
    TypeError
        If `estimator` is not, or does not end in, one of our estimators.
    NotFittedError
        If it is not fitted.
    ValueError
        If the columns of X are not those of ``fit``, or the network has no gates: that
        of 'single', 'shared_bottom', 'cross_stitch' and 'aitm' has none.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import expert_outputs
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, expert_units=8, max_iter=2)
    >>> expert_outputs(reg.fit(X, y), X).shape
    (300, 4, 8)
    """
    last = final_estimator(estimator)
    return last._mixture(transformed(estimator, X), "expert_outputs")


def expert_use(estimator: Any, X: Any, by: Any = None) -> pd.DataFrame:
    """Average the gates' weights: how much each task uses each expert.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        One of our estimators, fitted, or a Pipeline or search that ends in one.
    X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
        Rows as `estimator` takes them; a Pipeline's steps are applied.
    by : str or array-like of shape (n_samples,), default=None
        Subgroups to average over: a column of X, where X is a data frame, or a label
        for each row. None averages over all rows.

    Returns
    -------
    data frame of shape (n_tasks, n_experts) or (n_groups * n_tasks, n_experts)
        Mean weights, which sum to 1 in each row. The columns are 'expert 0', 'expert
        1', ...; with 'cgc' and 'ple', 'shared 0', ... and then the experts of each
        task, 'income 0', ...; for an ensemble trained with `cv`, 'member 0, expert 0',
        ... The index is 'task', or the group (named as the column, else 'group') and
        'task'. Rows with a missing group are a group named NaN.

    Raises
    ------
    TypeError
        If `estimator` is not, or does not end in, one of our estimators.
    ValueError
        If X has no column `by`, there is not a label for each row, or the network has
        no gates.
    NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import expert_use
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=2, random_state=0)
    >>> expert_use(reg.fit(X, y), X).shape
    (2, 4)
    >>> use = expert_use(reg, X, by=np.where(X[:, 0] > 0, "high", "low"))
    >>> use.index.to_list()
    [('high', 'task_0'), ('high', 'task_1'), ('low', 'task_0'), ('low', 'task_1')]
    """
    labels = None if by is None else _group_labels(X, by)
    weights = gate_weights(estimator, X)
    last = final_estimator(estimator)
    names = last.task_names_
    columns = names_in_members(last._engine.spec, names)
    if labels is None:
        index = pd.Index(names, name="task")
        return pd.DataFrame(weights.mean(axis=0), index=index, columns=columns)
    check_consistent_length(labels, weights)
    codes, groups = pd.factorize(labels, sort=True, use_na_sentinel=False)
    means = [weights[codes == code].mean(axis=0) for code in range(len(groups))]
    return pd.DataFrame(
        np.concatenate(means),  # (n_groups * n_tasks, n_experts)
        index=pd.MultiIndex.from_product([groups, names], names=[labels.name, "task"]),
        columns=columns,
    )


def _group_labels(X: Any, by: Any) -> pd.Series:
    """Return each row's label as a named series."""
    if not isinstance(by, str):
        name = getattr(by, "name", None) or "group"
        labels = np.asarray(by)
        if labels.ndim != 1:
            raise ValueError(
                "The 'by' parameter must be the name of a column or one label for "
                f"each row, got an array of shape {labels.shape}."
            )
        return pd.Series(labels, name=name)
    columns = list(getattr(X, "columns", []))
    if by not in columns:
        have = f"it has {columns}" if columns else "it is no data frame"
        raise ValueError(f"X has no column {by!r} to group by; {have}.")
    return pd.Series(np.asarray(X[by]), name=by)
