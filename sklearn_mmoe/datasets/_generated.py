"""Generated tasks whose relatedness is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

# Shares of the categories that a categorical column is cut into, the rare one last.
_CATEGORY_SHARES = (0.5, 0.25, 0.14, 0.1, 0.01)
_MISSING_SHARE = 0.05


def _task_weights(
    n_tasks: int, n_features: int, correlation: float, scale: float, rng: Any
) -> np.ndarray:
    """Draw weight vectors of norm `scale` and pairwise cosine `correlation`.

    Ma et al. (2018), section 3.2, equations 2 and 3, for any number of tasks.

    Returns
    -------
    ndarray of shape (n_tasks, n_features)
        w_1, w_2, ...
    """
    # Orthonormal u_1, u_2, ... (eq. 2)
    u = np.linalg.qr(rng.standard_normal((n_features, n_tasks)))[0].T
    gram = np.full((n_tasks, n_tasks), correlation)
    np.fill_diagonal(gram, 1.0)
    # The Cholesky factor, by way of the square root so that p = 1 is no exception.
    # For two tasks it is [[1, 0], [p, sqrt(1 - p^2)]], the paper's eq. 3.
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    factor = np.linalg.qr(root.T)[1].T
    factor *= np.where(np.diag(factor) < 0, -1.0, 1.0)
    return scale * factor @ u


def _cut(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the index of the part that each value falls in, parts of given shares."""
    edges = np.quantile(values, np.cumsum(shares)[:-1])
    return np.searchsorted(edges, values, side="left")


def _mixed_frame(X: np.ndarray, n_categorical: int, rng: Any) -> pd.DataFrame:
    """Turn the last columns into categories, and others into what tables have.

    Every second numeric column is zero in half of the rows, and one value in twenty
    is missing in every other column.
    """
    n_features = X.shape[1]
    labels = np.array([*"abcd", "rare"], dtype=object)
    columns: dict[str, Any] = {}
    for j in range(n_features):
        values = X[:, j]
        missing = (rng.random(len(values)) < _MISSING_SHARE) & (j % 2 == 0)
        if j >= n_features - n_categorical:
            text = labels[_cut(values, _CATEGORY_SHARES)]
            text[missing] = np.nan
            columns[f"category_{j}"] = pd.Categorical(text)
        else:
            values = np.where(missing, np.nan, values)
            columns[f"numeric_{j}"] = np.maximum(values, 0) if j % 2 else values
    return pd.DataFrame(columns)


def _class_counts(n_classes: Any, n_tasks: int) -> list[int]:
    counts = [n_classes] * n_tasks if np.ndim(n_classes) == 0 else list(n_classes)
    if len(counts) != n_tasks or any(
        not isinstance(count, Integral) or count < 2 for count in counts
    ):
        raise ValueError(
            "The 'n_classes' parameter of make_related_tasks must be an int of at "
            f"least 2, or one for each of the {n_tasks} tasks, got {n_classes!r}."
        )
    return [int(count) for count in counts]


_validated: Callable[..., Any] = validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "correlation": [Interval(Real, -1, 1, closed="both")],
        "scale": [Interval(Real, 0, None, closed="neither")],
        "n_sines": [Interval(Integral, 0, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "n_tasks": [Interval(Integral, 1, None, closed="left")],
        "kind": [StrOptions({"regression", "classification"})],
        "n_classes": ["array-like", Integral],
        "n_categorical": [Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)


@_validated
def make_related_tasks(
    n_samples: int = 12000,
    n_features: int = 100,
    *,
    correlation: float = 0.8,
    scale: float = 0.3,
    n_sines: int = 5,
    noise: float = 0.1,
    n_tasks: int = 2,
    kind: str = "regression",
    n_classes: int | Sequence[int] = 2,
    n_categorical: int = 0,
    random_state: Any = None,
) -> tuple[Any, Any]:
    r"""Generate tasks of a chosen relatedness, as in the MMoE paper.

    Section 3.2 of Ma et al. (2018) [1]_: with orthogonal unit vectors :math:`u_1, u_2`

    .. math::

        w_1 = c\,u_1, \qquad
        w_2 = c\,\bigl(p\,u_1 + \sqrt{1 - p^2}\,u_2\bigr), \qquad
        y_k = w_k^T x + \sum_{i=1}^{m} \sin(\alpha_i w_k^T x + \beta_i) + \epsilon_k

    where x is standard normal. The cosine of the weight vectors is :math:`p`, and the
    tasks' correlation grows with it. For more than two tasks every pair of weight
    vectors has this cosine. The tasks share :math:`\alpha_i = i` and
    :math:`\beta_i`, which is uniform on :math:`[0, 2\pi)`.

    Parameters
    ----------
    n_samples : int, default=12000
        Number of rows.
    n_features : int, default=100
        Number of columns, at least `n_tasks`.
    correlation : float, default=0.8
        Cosine p of the tasks' weight vectors, in [-1, 1]; for more than two tasks at
        least ``-1 / (n_tasks - 1)``.
    scale : float, default=0.3
        Norm c of the weight vectors.
    n_sines : int, default=5
        Number m of sines; 0 makes the tasks linear.
    noise : float, default=0.1
        Standard deviation of :math:`\epsilon_k`.
    n_tasks : int, default=2
        Number of tasks.
    kind : {'regression', 'classification'}, default='regression'
        'classification' cuts each y at its quantiles, into classes 0, 1, ... of equal
        shares.
    n_classes : int or sequence of int, default=2
        Number of classes, or of each task's classes. Ignored for regression.
    n_categorical : int, default=0
        Number of columns to turn into categories. With any, X and y are data frames,
        the values of other columns are made such as tables have (every second one is
        zero in half of its rows), and every other column misses 5 % of its values.
        The last category, 'rare', has 1 % of the rows. The targets are those of the
        unspoilt columns.
    random_state : int, RandomState instance or None, default=None
        Seed; an int gives the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), or data frame
        float64 features; a data frame if `n_categorical` is positive.
    y : ndarray of shape (n_samples,) or (n_samples, n_tasks), or data frame
        Targets, float64 for regression and int64 for classification; one-dimensional
        for one task. A data frame with columns ``task_0``, ``task_1``, ... if
        `n_categorical` is positive.

    Raises
    ------
    ValueError
        If a parameter is out of range, or no such weight vectors exist.

    References
    ----------
    .. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
       "Modeling Task Relationships in Multi-task Learning with Multi-gate
       Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007

    Examples
    --------
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(n_samples=50, correlation=0.9, random_state=0)
    >>> X.shape, y.shape
    ((50, 100), (50, 2))
    """
    if n_tasks > n_features:
        raise ValueError(
            f"n_features={n_features} must be at least n_tasks={n_tasks}: the weight "
            "vectors are made from as many orthogonal ones."
        )
    if n_tasks > 1 and correlation < -1 / (n_tasks - 1):
        raise ValueError(
            f"correlation={correlation} is impossible between every two of "
            f"n_tasks={n_tasks} tasks; it must be at least {-1 / (n_tasks - 1):.4g}."
        )
    if n_categorical > n_features:
        raise ValueError(
            f"n_categorical={n_categorical} must be at most n_features={n_features}."
        )
    rng = check_random_state(random_state)
    weights = _task_weights(n_tasks, n_features, correlation, scale, rng)
    X = rng.standard_normal((n_samples, n_features))
    alpha = np.arange(1, n_sines + 1)
    beta = rng.uniform(0, 2 * np.pi, n_sines)
    linear = X @ weights.T  # (n_samples, n_tasks)
    y = linear + np.sin(linear[..., None] * alpha + beta).sum(axis=-1)  # eq. 4
    y += noise * rng.standard_normal(y.shape)
    if kind == "classification":
        counts = _class_counts(n_classes, n_tasks)
        y = np.column_stack(
            [_cut(y[:, k], [1 / n] * n) for k, n in enumerate(counts)]
        ).astype("int64")
    if n_categorical:
        frame = _mixed_frame(X, n_categorical, rng)
        return frame, pd.DataFrame(y, columns=[f"task_{k}" for k in range(n_tasks)])
    return X, y[:, 0] if n_tasks == 1 else y
