"""The picture of a search: scores by the values of a parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._warnings import warn
from sklearn_mmoe.inspection._style import axes_in_a_row, line_style

__all__ = ["GridSearchDisplay"]


class GridSearchDisplay:
    """The cross-validated score of each task against a parameter, with its spread.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.GridSearchDisplay.from_estimator`.

    Parameters
    ----------
    results : data frame of shape (n_values * n_scores, 4)
        Columns 'value' (of the parameter), 'score' (its name), 'mean' and 'std' (over
        the folds).
    param : str
        Name of the parameter.
    chosen : object, default=None
        The value that the search chose; None if it chose none.
    chosen_scores : mapping of str to float, default=None
        The mean of each score of the candidate that the search chose, which other
        candidates of the same value may surpass in a score. None takes those of
        `results`.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The axes drawn on, one for each score.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn_mmoe.metrics.multi_task_scorer : Scores every task in a search.
    sklearn.model_selection.ValidationCurveDisplay : Trains along one parameter.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import GridSearchDisplay
    >>> from sklearn_mmoe.metrics import multi_task_scorer
    >>> X, y = make_related_tasks(n_samples=200, n_features=5, random_state=0)
    >>> search = GridSearchCV(
    ...     MultiTaskMMoERegressor(max_iter=1, random_state=0),
    ...     {"num_experts": [1, 2]},
    ...     scoring=multi_task_scorer("r2"),
    ...     refit=False,
    ...     cv=2,
    ... )
    >>> display = GridSearchDisplay.from_estimator(search.fit(X, y))
    >>> display.results["score"].unique().tolist()
    ['task_0', 'task_1', 'mean']
    """

    def __init__(
        self,
        results: pd.DataFrame,
        param: str,
        chosen: Any = None,
        chosen_scores: Mapping[str, float] | None = None,
    ) -> None:
        self.results = results
        self.param = param
        self.chosen = chosen
        self.chosen_scores = chosen_scores

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        param: str | None = None,
        scores: Sequence[str] | None = None,
        ax: Any = None,
    ) -> GridSearchDisplay:
        """Draw a search that has been run.

        Parameters
        ----------
        search : GridSearchCV or another search of scikit-learn's
            A search, fitted.
        param : str or None, default=None
            The parameter, by its full name or the part behind the last ``__``. None
            takes the only one of which the search tried several values. Where other
            parameters varied too, the best candidate of each value is drawn.
        scores : sequence of str or None, default=None
            Which scores to draw; None draws all.
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, one for each score; None makes a figure.

        Returns
        -------
        GridSearchDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the search has not been run.
        TypeError
            If `search` is no search.
        ValueError
            If there is no such parameter or score, `param` is needed, or no candidate
            has any of the scores.

        Warns
        -----
        UserWarning
            If candidates without a score, because a fit failed or the score is
            undefined, are left out.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if not hasattr(search, "refit"):
            raise TypeError(
                "The 'search' parameter must be a search, such as GridSearchCV, got "
                f"{type(search).__name__}."
            )
        check_is_fitted(search, "cv_results_")
        table = pd.DataFrame(search.cv_results_)
        column = _param_column(table, param)
        names = _score_names(table, scores)
        _tell_failures(table, column, names)
        parts = [_best_by_value(table, column, name) for name in names]
        chosen, chosen_scores = None, None
        if hasattr(search, "best_index_"):
            best = table.iloc[search.best_index_]
            chosen = table[column].astype(object).iloc[search.best_index_]
            chosen_scores = {name: float(best[f"mean_test_{name}"]) for name in names}
        results = pd.concat(parts, ignore_index=True)
        return cls(results, column[6:], chosen, chosen_scores).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> GridSearchDisplay:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, sequence of Axes or None, default=None
            Axes to draw on, one for each score; None makes a figure.

        Returns
        -------
        GridSearchDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `ax` has another number of axes than there are scores.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        names = self.results["score"].unique()
        self.axes_ = axes_in_a_row(ax, len(names), 3.6, 3.2)
        for k, (axes, name) in enumerate(zip(self.axes_, names, strict=True)):
            self._draw(axes, k, name, self.results[self.results["score"] == name])
            axes.set(title=name, xlabel=self.param.split("__")[-1])
            axes.grid(alpha=0.3)
        self.axes_[0].set_ylabel("cross-validated score")
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _draw(self, ax: Any, k: int, name: str, rows: pd.DataFrame) -> None:
        values = list(rows["value"])
        # bool is a number to Python, and a category to everyone else.
        numeric = all(isinstance(v, Real) and not isinstance(v, bool) for v in values)
        positions = np.array(values if numeric else range(len(values)), dtype=float)
        style = line_style(k)
        if not numeric:
            style["linestyle"] = "none"
        ax.errorbar(
            positions, rows["mean"], yerr=rows["std"], capsize=3, label="mean ± std",
            **style,
        )  # fmt: skip
        if numeric and len(positions) > 2 and _geometric(positions):
            ax.set_xscale("log")
            ax.minorticks_off()
        # Few values are named one by one, many as the axis likes.
        if not numeric or len(values) <= 8:
            ax.set_xticks(positions, [str(value) for value in values])
        chosen = [i for i, value in enumerate(values) if _same(value, self.chosen)][:1]
        if chosen:
            scores = rows["mean"].iloc[chosen].to_list()
            if self.chosen_scores is not None:
                scores = [self.chosen_scores[name]]
            ax.plot(
                positions[chosen], scores, "o", ms=13, mfc="none", mec="0.2",
                label="chosen",
            )  # fmt: skip
        # Above the curve's title, where it hides no error bar.
        ax.legend(
            fontsize="small",
            ncols=2,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.12),
            frameon=False,
        )


def _same(value: Any, other: Any) -> bool:
    """Compare values of a parameter; == of arrays is no answer."""
    both = [v.item() if isinstance(v, np.generic) else v for v in (value, other)]
    if repr(both[0]) == repr(both[1]):
        return True
    numbers = all(isinstance(v, Real) and not isinstance(v, bool) for v in both)
    return numbers and both[0] == both[1]


def _geometric(positions: np.ndarray) -> bool:
    """Tell whether values are spread rather by factors than by differences."""
    middle = np.median(positions)
    return bool(positions.min() > 0 and positions.max() - middle > 1.5 * middle)


def _param_column(table: pd.DataFrame, param: str | None) -> str:
    """Find the column of results that holds the parameter's values."""
    columns = [name for name in map(str, table) if name.startswith("param_")]
    if param is None:
        varied = [name for name in columns if len(set(table[name].map(repr))) > 1]
        varied = varied or columns[:1]
        if len(varied) != 1:
            raise ValueError(
                "The search tried several values of "
                f"{[name[6:] for name in varied]}; name one of them by 'param'."
            )
        return varied[0]
    found = [n for n in columns if n[6:] == param or n.endswith(f"__{param}")]
    if len(found) != 1:
        raise ValueError(
            f"The 'param' parameter is {param!r}, but the search has "
            f"{'several' if found else 'no'} parameters of this name; there are "
            f"{[name[6:] for name in columns]}."
        )
    return found[0]


def _score_names(table: pd.DataFrame, scores: Sequence[str] | None) -> list[str]:
    prefix = "mean_test_"
    columns = [name for name in map(str, table) if name.startswith(prefix)]
    names = [name.removeprefix(prefix) for name in columns]
    if scores is None:
        return names
    unknown = [name for name in scores if name not in names]
    if unknown:
        raise ValueError(
            f"The 'scores' parameter names {unknown}, but the scores of the search are "
            f"{names}."
        )
    return list(scores)


def _tell_failures(table: pd.DataFrame, column: str, names: Sequence[str]) -> None:
    """Warn of candidates without a score; raise a ValueError if none has any."""
    lacking = {
        name: int(table[f"mean_test_{name}"].isna().sum())
        for name in names
        if table[f"mean_test_{name}"].isna().any()
    }
    if not lacking:
        return
    if sum(lacking.values()) == len(table) * len(names):
        raise ValueError(
            f"None of the {len(table)} candidates of the search has a score: all fits "
            "failed, or the scores are undefined. error_score='raise' shows why."
        )
    rows = table[[f"mean_test_{name}" for name in names]].isna().any(axis=1)
    values = list(dict.fromkeys(map(repr, table.loc[rows, column])))
    counts = ", ".join(f"{count} for {name!r}" for name, count in lacking.items())
    warn(
        f"Some of the {len(table)} candidates have no score and are left out: "
        f"{counts}. Their {column[6:]} is {' or '.join(values)}. A fit failed, or the "
        "score is undefined."
    )


def _best_by_value(table: pd.DataFrame, column: str, score: str) -> pd.DataFrame:
    """Give mean and spread of the best candidate of each value of a parameter."""
    rows = pd.DataFrame(
        {
            "value": table[column].astype(object),
            "score": score,
            "mean": table[f"mean_test_{score}"],
            "std": table[f"std_test_{score}"],
        }
    )
    rows = rows[rows["mean"].notna()]
    # By their text: a value may be a list, or any other object without an order.
    best = rows.groupby(rows["value"].map(repr), sort=False)["mean"].idxmax()
    rows = rows.loc[best]
    numeric = rows["value"].map(lambda value: isinstance(value, Real)).all()
    return rows.sort_values("value") if numeric else rows
