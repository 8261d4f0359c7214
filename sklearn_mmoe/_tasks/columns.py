"""Targets of any accepted shape, taken apart into columns and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Number, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from sklearn_mmoe._tasks.intervals import as_intervals

_DATES = (
    "date",
    "datetime",
    "datetime64",
    "period",
    "time",
    "timedelta",
    "timedelta64",
)


@dataclass(frozen=True)
class TaskColumns:
    """The targets, taken apart.

    Attributes
    ----------
    columns : list of ndarray of shape (n_samples,)
        One array for each task, of bool, int, float or str wherever its targets are
        all of one such kind, whatever container they came in; intervals as
        :mod:`sklearn_mmoe._tasks.intervals` has them. A place without a target holds
        any value.
    names : list of str
        The tasks' names: the columns of a data frame, the name of a series, else
        ``task_0``, ``task_1``, ...
    observed : list of ndarray of bool of shape (n_samples,)
        For each task, where it has a target: neither NaN, None, NaT nor ``pd.NA``.
    are_categories : list of bool
        For each task, whether it came as categories, of pandas' dtype for these.
    named : bool
        Whether y had names, so that tasks are matched by them.
    places : list of int or None, default=None
        For each task, which column of y it was; None is the order that y has.
    counts : list of ndarray of shape (n_observed,) or None, default=None
        For each task, how many rows have each of its observed targets, of a table that
        sums up others; None is one each.
    """

    columns: list[np.ndarray]
    names: list[str]
    observed: list[np.ndarray]
    are_categories: list[bool]
    named: bool
    places: list[int] | None = None
    counts: list[np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.columns)

    def values(self, k: int) -> np.ndarray:
        """Return the observed targets of task k."""
        return self.columns[k][self.observed[k]]

    def counts_of(self, k: int) -> np.ndarray | None:
        """Return how many rows have each observed target of task k; None is one."""
        return None if self.counts is None else self.counts[k]

    def matched(self, names: Sequence[str], owner: str) -> TaskColumns:
        """Bring the tasks into the order of a fitted estimator's.

        Parameters
        ----------
        names : sequence of str
            The estimator's names of the tasks.
        owner : str
            The estimator's name, for errors.

        Returns
        -------
        TaskColumns
            The tasks in the order of `names`. Where one side has no names, positions
            count, and the result has the names of the other.

        Raises
        ------
        ValueError
            As :func:`order_by_name`.
        """
        what, expected = f"y has {len(self)} tasks", f"{owner} was fitted with"
        order = order_by_name(self, names, what, expected)
        if order is not None:
            return self.take(order)
        return self if are_positions(names) else replace(self, names=list(names))

    def take(self, order: Sequence[int]) -> TaskColumns:
        """Return the tasks in another order."""
        return replace(
            self,
            columns=[self.columns[k] for k in order],
            names=[self.names[k] for k in order],
            observed=[self.observed[k] for k in order],
            are_categories=[self.are_categories[k] for k in order],
            places=[k if self.places is None else self.places[k] for k in order],
            counts=None if self.counts is None else [self.counts[k] for k in order],
        )


def are_positions(names: Sequence[str]) -> bool:
    """Tell names that only count the tasks from names that somebody gave."""
    return list(names) == [f"task_{k}" for k in range(len(names))]


def order_by_name(
    given: TaskColumns, names: Sequence[str], what: str, expected: str
) -> list[int] | None:
    """Find the order in which given columns are the tasks of these names.

    Parameters
    ----------
    given : TaskColumns
        Targets, or weights with a column for each task.
    names : sequence of str
        Names of the tasks, in the order wanted.
    what : str
        What is given, and how many, for the error: 'y has 3 tasks'.
    expected : str
        Who has the tasks of these names, for the error: 'y has'.

    Returns
    -------
    list of int or None
        Positions in `given`. None leaves them as they are: their order is right, or
        one of both sides has no names, so that only positions can be meant.

    Raises
    ------
    ValueError
        If there is another number of tasks, or, where both sides have names, another
        set of them; it says which are missing and which are unknown.
    """
    by_name = given.named and (
        not are_positions(names) or set(given.names) == set(names)
    )
    missing = [name for name in names if name not in given.names]
    unknown = [name for name in given.names if name not in names]
    differ = f": missing are {missing}, unknown are {unknown}" if by_name else ""
    if len(given) != len(names):
        raise ValueError(f"{what}, but {expected} {len(names)}{differ}.")
    if not by_name or given.names == list(names):
        return None
    if missing:
        raise ValueError(f"{what} of other names than {expected}{differ}.")
    return [given.names.index(name) for name in names]


def _as_text(label: Any) -> str:
    """Write a column's label as a task's name."""
    if isinstance(label, tuple):  # of a MultiIndex, which may hold NumPy's numbers
        label = tuple(
            part.item() if isinstance(part, np.generic) else part for part in label
        )
    return str(label)


def _as_names(given: Sequence[Any]) -> list[str]:
    """Turn the labels of columns into names of tasks."""
    if sorted(given, key=str) == sorted(range(len(given)), key=str):
        # pandas counts the columns of what had no names; a selection of such columns
        # in another order, y[[1, 0]], is still told by its numbers.
        return [f"task_{k}" for k in given]
    names = [_as_text(name) for name in given]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise ValueError(
            f"y has several columns named {duplicates}; every task needs a name of "
            "its own."
        )
    return names


def _is_row(given: Any) -> bool:
    """Tell the targets of several tasks from one target."""
    return isinstance(given, list | tuple) or np.ndim(given) > 0


def _of_rows(rows: Sequence[Any]) -> list[Any]:
    """Take a list of numbers or labels, or of rows of these, apart.

    NumPy would turn all of them into strings if one of them is a string.
    """
    if not any(_is_row(row) for row in rows[:1]):
        return [pd.Series(rows, dtype=object)]
    lengths = sorted({len(row) if _is_row(row) else 1 for row in rows})
    if len(lengths) > 1:
        raise ValueError(
            f"The rows of y have different lengths, {lengths}; each needs a target, or "
            "None, for every task."
        )
    if any(isinstance(target, list | tuple | np.ndarray) for target in rows[0]):
        raise ValueError(
            "y has more than two dimensions; it needs a row for each sample and a "
            "column for each task."
        )
    frame = pd.DataFrame([list(row) for row in rows], dtype=object)
    return [frame[k] for k in frame]


def check_targets(y: Any, name: str = "y") -> None:
    """Tell what is no table of targets at all.

    It stands before what compares lengths, which would say of a dict of three columns
    that it has three rows.

    Parameters
    ----------
    y : object
        Targets; None passes.
    name : str, default='y'
        What the user calls them.

    Raises
    ------
    TypeError
        If they are a mapping, a name, a single value, or have no order.
    """
    if isinstance(y, Mapping):
        raise TypeError(
            f"{name} is a mapping; give a data frame with a column for each task, such "
            f"as pandas.DataFrame({name})."
        )
    if isinstance(y, str | bytes):
        raise TypeError(
            f"{name} is the {type(y).__name__} {y!r}; give the column itself, or a "
            f"data frame with a column for each task, such as frame[[{y!r}]]."
        )
    single = isinstance(y, Number) or getattr(y, "ndim", None) == 0
    if single or isinstance(y, Set | Iterator):
        raise TypeError(
            f"{name} is of the type {type(y).__name__}; give an array, a list or a "
            "data frame, with a row for each row of X and a column for each task."
        )


def _take_apart(y: Any) -> tuple[list[Any], list[Any] | None]:
    """Find the columns of y as they are, and their labels if they have any."""
    if y is None:
        raise ValueError("y is None; it needs a column for each task.")
    check_targets(y)
    if isinstance(y, np.ndarray) and y.dtype.names:  # an array of records
        y = pd.DataFrame.from_records(y)
    if hasattr(y, "column_names") and hasattr(y, "to_pandas"):  # a table of pyarrow
        y = y.to_pandas(types_mapper=pd.ArrowDtype)
    if isinstance(y, pd.DataFrame):
        return [y.iloc[:, k] for k in range(y.shape[1])], list(y.columns)
    if hasattr(y, "columns"):  # polars
        return [y[name] for name in y.columns], list(y.columns)
    if hasattr(y, "name") and hasattr(y, "dtype"):  # a series of either
        return [y], None if y.name is None or y.name == "" else [y.name]
    if isinstance(y, pd.api.extensions.ExtensionArray):
        return [pd.Series(y)], None
    if isinstance(y, list | tuple):
        return _of_rows(y), None
    array = check_array(
        y,
        ensure_2d=False,
        dtype=None,
        ensure_all_finite=False,
        ensure_min_samples=0,
        input_name="y",
    )
    return [array] if array.ndim == 1 else list(array.T), None


def plain_values(values: np.ndarray) -> np.ndarray:
    """Bring Python objects to bool, int, float or datetime where they are all that."""
    if values.dtype.kind == "T":  # NumPy's strings of any width
        return values.astype(object)
    if values.dtype.kind != "O":
        return values
    values = pd.Series(values, dtype=object).infer_objects().to_numpy()
    if values.dtype.kind == "O" and len(values):
        if all(isinstance(value, Decimal) for value in values):
            return values.astype(np.float64)
        if all(isinstance(value, Real | np.bool_) for value in values):
            return np.array(values.tolist())
    return values


def _as_array(raw: Any) -> np.ndarray:
    """Turn a column into an array; whole numbers stay so beside missing ones."""
    dtype = getattr(raw, "dtype", None)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype):
        sparse = isinstance(dtype, pd.SparseDtype)
        return np.asarray(raw if sparse else raw.astype(object))
    if hasattr(raw, "null_count") and raw.null_count():  # polars
        return np.array(raw.to_list(), dtype=object)
    return np.asarray(raw)


def _plain_column(name: str, raw: Any) -> tuple[np.ndarray, np.ndarray]:
    """Bring one task's targets to a plain array, and say where there are any."""
    intervals = as_intervals(name, raw)
    if intervals is not None:
        return intervals
    column = _as_array(raw)
    observed = np.asarray(~pd.isna(column))
    values = plain_values(column[observed] if column.dtype.kind in "OT" else column)
    dates = values.dtype.kind in "mM" or (
        values.dtype.kind == "O" and pd.api.types.infer_dtype(values) in _DATES
    )
    if dates:
        raise ValueError(
            f"The task {name!r} holds dates or times, which are neither numbers nor "
            "labels. Turn them into a number, such as days since some day, or into "
            "labels with .astype(str)."
        )
    if len(values) < len(column) and len(values):
        column = np.full(len(column), values[0], dtype=values.dtype)
        column[observed] = values
    elif len(values):
        column = values
    return column, observed


def split_columns(y: Any) -> TaskColumns:
    """Take targets apart; each column has a type of its own.

    Parameters
    ----------
    y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
        Targets of any kind: arrays, lists of rows, data frames and series of pandas
        and polars, tables of pyarrow.

    Returns
    -------
    TaskColumns
        The targets of each task.

    Raises
    ------
    ValueError
        If y has more than two dimensions, no column, or two columns of one name, if
        its rows have different lengths, or if a column holds dates, or text among
        intervals.
    TypeError
        If y is a mapping, a name, a single value, without an order, or sparse.
    """
    raw, given = _take_apart(y)
    if not raw:
        raise ValueError("y has no columns; it needs one for each task.")
    names = _as_names(range(len(raw)) if given is None else given)
    plain = [
        _plain_column(name, column) for name, column in zip(names, raw, strict=True)
    ]
    return TaskColumns(
        [column for column, _ in plain],
        names,
        [observed for _, observed in plain],
        [isinstance(getattr(c, "dtype", None), pd.CategoricalDtype) for c in raw],
        named=given is not None,
    )


def frame_columns(y: Any) -> pd.Index | None:
    """Return the labels of the columns of a data frame; None of anything else."""
    if not hasattr(y, "columns"):
        return None
    _, labels = _take_apart(y)
    return y.columns if isinstance(y, pd.DataFrame) else pd.Index(labels or [])


def join_columns(
    columns: list[np.ndarray],
    labels: pd.Index | None = None,
    index: pd.Index | None = None,
) -> Any:
    """Put the tasks' predictions side by side.

    Parameters
    ----------
    columns : list of ndarray of shape (n_samples,)
        Each task's predictions.
    labels : pandas.Index or None, default=None
        Labels of a data frame's columns; None makes an array.
    index : pandas.Index of shape (n_samples,) or None, default=None
        Labels of a data frame's rows; None numbers them from 0.

    Returns
    -------
    DataFrame, or ndarray of shape (n_samples,) or (n_samples, n_outputs)
        A data frame keeps each column's type. An array is the one column, or all of
        them: bool, int and float become the widest of them, as in
        RandomForestClassifier; strings beside numbers make an object array.
    """
    if labels is not None:
        frame = pd.DataFrame(dict(enumerate(columns)), index=index)
        return frame.set_axis(labels, axis=1)
    if len(columns) == 1:
        return columns[0]
    numbers = all(column.dtype.kind in "biuf" for column in columns)
    if not numbers and len({column.dtype.kind for column in columns}) > 1:
        columns = [column.astype(object) for column in columns]
    return np.column_stack(columns)


def is_by_name(given: Any) -> bool:
    """Tell a parameter that names tasks, a mapping or a series, from a sequence."""
    if isinstance(given, Mapping):
        return True
    index = getattr(given, "index", None)
    return isinstance(index, pd.Index) and not isinstance(index, pd.RangeIndex)


def values_by_name(
    parameter: str, given: Mapping[Any, Any], names: Sequence[str]
) -> dict[str, Any]:
    """Bring a parameter that says something of some tasks to their names.

    Parameters
    ----------
    parameter : str
        Its name.
    given : mapping or Series
        What it says, by names of tasks or by the labels that y's columns have.
    names : sequence of str
        Names of the tasks.

    Returns
    -------
    dict of str to object
        What it says, by names.

    Raises
    ------
    ValueError
        If there is no such task, or a task is named twice.
    """
    named = {task_name(name, names): value for name, value in given.items()}
    if len(named) < len(given):
        raise ValueError(
            f"The {parameter!r} parameter names a task twice: {list(given)}, where the "
            f"tasks are {list(names)}."
        )
    unknown = [name for name in named if name not in names]
    if unknown:
        raise ValueError(
            f"The {parameter!r} parameter names {unknown}, but the tasks are "
            f"{list(names)}."
        )
    return named


def task_name(label: Any, names: Sequence[str]) -> str:
    """Write a column's label as a task's name, of which some only count the columns."""
    text = _as_text(label)
    counted = f"task_{text}"
    is_number = isinstance(label, int | np.integer) and not isinstance(label, bool)
    return counted if is_number and text not in names and counted in names else text


def task_index(task: Any, names: Sequence[str]) -> int:
    """Find a task by its index or by its name.

    Parameters
    ----------
    task : int, str or another column label
        Counted from 0, or from the end if negative; else a name, as text or as the
        label that the column of y has (a date, a tuple, a year).
    names : sequence of str
        Names of the tasks.

    Returns
    -------
    int
        The index, from 0.

    Raises
    ------
    ValueError
        If there is no such task, or an int is the index of one and the name of
        another.
    """
    known = (
        "the tasks have no names" if are_positions(names) else f"there are {[*names]}"
    )
    if isinstance(task, int | np.integer) and not isinstance(task, bool):
        by_index = int(task) % len(names) if -len(names) <= task < len(names) else None
        name = task_name(task, names)
        by_name = list(names).index(name) if name in names else None
        if None not in (by_index, by_name) and by_index != by_name:
            raise ValueError(
                f"{task} is the index of one task, {names[by_index or 0]!r}, and the "
                f"name of another; write {name!r} for the name."
            )
        found = by_index if by_name is None else by_name
        if found is None:
            raise ValueError(
                f"There is no task of index {task}; y has {len(names)} tasks ({known})."
            )
        return found
    if _as_text(task) in names:
        return list(names).index(_as_text(task))
    raise ValueError(f"There is no task named {task!r}; {known}.")
