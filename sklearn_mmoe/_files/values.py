"""Parameters, labels, names and tasks as JSON can hold them, and back, to the bit.

What JSON knows stays as it is, so that people can read a file too. All else is an
object that names, under '!', one of the kinds below and in :mod:`._column_labels`. No
kind holds code, or the name of something to import.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_mmoe._tasks.kinds import CLASSIFICATION_LOSSES, REGRESSION_LOSSES
from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.value_task import ValueTask
from sklearn_mmoe.metrics import mean_task_scorer, multi_task_scorer, task_scorer

__all__ = ["Unknown", "decode", "encode", "kind", "text", "to_json", "whole"]

_MARK = "!"
_Codec = tuple[Callable[[Any], bool], Callable[[Any], dict[str, Any]]]
_ENCODERS: list[tuple[str, _Codec]] = []
_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {}


class Unknown(Exception):
    """Raised for a value that is of none of the kinds."""


def _is(*types: type) -> Callable[[Any], bool]:
    # Exact types: NumPy's float64 is a float too.
    return lambda value: type(value) in types


def kind(
    name: str, accepts: Callable[[Any], bool], encode: Callable[[Any], dict[str, Any]]
) -> Callable[[Callable[[dict[str, Any]], Any]], Any]:
    """Add a kind of values, by a decorator of what brings them back.

    Parameters
    ----------
    name : str
        Its name in files.
    accepts : callable
        Whether a value is of this kind.
    encode : callable
        Brings one to a dict of what JSON can hold.

    Returns
    -------
    callable
        Decorator of a function that takes such a dict, which anybody may have
        written, and returns the value or raises an error.
    """

    def register(decode: Callable[[dict[str, Any]], Any]) -> Any:
        _ENCODERS.append((name, (accepts, encode)))
        _DECODERS[name] = decode
        return decode

    return register


def to_json(value: Any, what: str) -> Any:
    """Bring a value to what JSON can hold.

    Parameters
    ----------
    value : object
        Numbers, text, None and dates; NumPy's numbers, random states and arrays of
        numbers or text; pandas' labels of columns; tasks and scorers of ours; lists,
        tuples and dicts of these.
    what : str
        What it is, for errors.

    Returns
    -------
    object
        The same, as JSON can hold it.

    Raises
    ------
    ValueError
        If it is, or holds, anything else.
    """
    try:
        return encode(value)
    except Unknown as error:
        raise ValueError(
            f"{what} cannot be saved: it has {error}. A file holds numbers, text, "
            "dates, arrays and labels, and no code."
        ) from None


def encode(value: Any) -> Any:
    """Bring a value to what JSON can hold, or raise Unknown."""
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is list:
        return [encode(item) for item in value]
    if type(value) is dict and _MARK not in value and all(map(_is(str), value)):
        return {key: encode(item) for key, item in value.items()}
    for name, (accepts, encode_kind) in _ENCODERS:
        if accepts(value):
            return {_MARK: name, **encode_kind(value)}
    raise Unknown(f"{value!r} of the type {type(value).__name__}")


def decode(value: Any) -> Any:
    """Bring back what :func:`encode` has made.

    Raises
    ------
    ValueError, TypeError, LookupError, ArithmeticError
        If it has not made that.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _MARK not in value:
        return {key: decode(item) for key, item in value.items()}
    name = value[_MARK]
    if name not in _DECODERS:
        raise ValueError(f"there is a {name!r}, which this release does not know")
    return _DECODERS[name](value)


def text(value: Any) -> str:
    """Return a value that must be text."""
    if type(value) is not str:
        raise TypeError(f"there is {value!r} where text belongs")
    return value


def whole(value: Any) -> int:
    """Return a value that must be a whole number."""
    if type(value) is not int:
        raise TypeError(f"there is {value!r} where a whole number belongs")
    return value


@kind("float", _is(float), lambda value: {"value": repr(value)})
def _float(parts: dict[str, Any]) -> float:
    return float(text(parts["value"]))


@kind("tuple", _is(tuple), lambda value: {"items": encode(list(value))})
def _tuple(parts: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(decode(parts["items"]))


def _encode_mapping(value: dict[Any, Any]) -> dict[str, Any]:
    return {"items": [[encode(key), encode(item)] for key, item in value.items()]}


@kind("dict", _is(dict), _encode_mapping)
def _mapping(parts: dict[str, Any]) -> dict[Any, Any]:
    return {decode(key): decode(item) for key, item in parts["items"]}


@kind(
    "date",
    _is(datetime.date, datetime.datetime, datetime.time),
    lambda value: {"of": type(value).__name__, "value": value.isoformat()},
)
def _date(parts: dict[str, Any]) -> Any:
    types: dict[str, Any] = {
        "date": datetime.date,
        "datetime": datetime.datetime,
        "time": datetime.time,
    }
    return types[parts["of"]].fromisoformat(text(parts["value"]))


def _is_path(value: Any) -> bool:
    return isinstance(value, Path)


@kind("path", _is_path, lambda value: {"value": str(value)})
def _path(parts: dict[str, Any]) -> Path:
    return Path(text(parts["value"]))


@kind("decimal", _is(Decimal), lambda value: {"value": str(value)})
def _decimal(parts: dict[str, Any]) -> Decimal:
    return Decimal(text(parts["value"]))


# What the items of an array are in JSON, by NumPy's letter for its type.
_ITEMS = {"b": bool, "i": int, "u": int, "f": float, "U": str, "O": object}


def _encode_array(array: np.ndarray) -> dict[str, Any]:
    if array.dtype.kind not in _ITEMS:
        raise Unknown(f"an array of the type {array.dtype}")
    items = array.ravel().tolist()
    if array.dtype.kind == "f":
        items = [float(item) for item in items]  # of a long double
        if not np.array_equal(np.array(items, array.dtype), array.ravel(), True):
            raise Unknown(f"numbers of the type {array.dtype} that no float64 can hold")
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "items": encode(items),
    }


@kind("array", _is(np.ndarray), _encode_array)
def _array(parts: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(text(parts["dtype"]))
    if dtype.kind not in _ITEMS:
        raise ValueError(f"there is an array of the type {dtype}")
    items = decode(parts["items"])
    if not all(isinstance(item, _ITEMS[dtype.kind]) for item in items):
        raise ValueError(f"there is an array of {dtype} that holds something else")
    if dtype.kind == "U":
        # Memory is taken for as many letters as the type says, in each item.
        longest = max(map(len, items), default=0)
        if dtype.itemsize > 4 * max(longest, 1):
            raise ValueError(f"there is text of {longest} letters as {dtype}")
    array = np.empty(len(items), dtype=dtype)
    array[:] = items
    return array.reshape([*map(whole, parts["shape"])])


def _encode_number(value: np.generic) -> dict[str, Any]:
    parts = _encode_array(np.asarray(value))
    return {"dtype": parts["dtype"], "value": parts["items"][0]}


@kind("number", lambda value: isinstance(value, np.generic), _encode_number)
def _number(parts: dict[str, Any]) -> Any:
    return _array({"dtype": parts["dtype"], "shape": [1], "items": [parts["value"]]})[0]


def _encode_random_state(value: np.random.RandomState) -> dict[str, Any]:
    state = value.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise Unknown(f"a random state of {state['bit_generator']}")
    return {
        "key": state["state"]["key"].tolist(),
        "position": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": encode(float(state["gauss"])),
    }


@kind("random state", _is(np.random.RandomState), _encode_random_state)
def _random_state(parts: dict[str, Any]) -> np.random.RandomState:
    key = np.array([*map(whole, parts["key"])], dtype=np.uint32)
    position, has_gauss = whole(parts["position"]), whole(parts["has_gauss"])
    # NumPy would read beyond the key.
    if key.shape != (624,) or not 0 <= position <= 624 or has_gauss not in (0, 1):
        raise ValueError("there is a random state that is none")
    state = np.random.RandomState(0)
    state.set_state(("MT19937", key, position, has_gauss, decode(parts["gauss"])))
    return state


_TASKS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "classification": (LabelTask, ("name", "classes", "loss")),
    "regression": (ValueTask, ("name", "mean", "scale", "loss")),
}


def _encode_task(task: Any) -> dict[str, Any]:
    cls, names = _TASKS[task.type]
    arguments = {name: getattr(task, name) for name in names}
    # What the constructor does not know, such as a factor of the loss.
    as_made = vars(cls(**arguments))
    more = {
        name: value
        for name, value in vars(task).items()
        if name not in names and value != as_made.get(name)
    }
    return {"of": task.type, "arguments": encode(arguments), "more": encode(more)}


@kind("task", _is(LabelTask, ValueTask), _encode_task)
def _task(parts: dict[str, Any]) -> Any:
    cls, names = _TASKS[parts["of"]]
    arguments, more = decode(parts["arguments"]), decode(parts["more"])
    text(arguments["name"])
    task = cls(**arguments)
    losses = CLASSIFICATION_LOSSES if cls is LabelTask else REGRESSION_LOSSES
    if task.loss not in losses:
        raise ValueError(f"the task {task.name!r} has no loss {task.loss!r}")
    if cls is LabelTask:
        _check_classes(task.classes)
    elif not {type(task.mean), type(task.scale)} <= {float}:
        raise TypeError(f"the regression {task.name!r} has no mean and scale")
    for name, value in more.items():
        if name in (*names, "kind", "units") or not isinstance(value, float):
            raise ValueError(f"a task has no {name} of {value!r}")
        setattr(task, name, value)
    if cls is LabelTask and not 0 < task.temperature < math.inf:
        raise ValueError(f"the task {task.name!r} has no temperature above 0")
    return task


def _check_classes(classes: Any) -> None:
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or not len(classes):
        raise TypeError(f"there is {classes!r} where classes belong")


_SCORERS: dict[str, Callable[..., Any]] = {
    "_TaskScorer": task_scorer,
    "_MeanTaskScorer": mean_task_scorer,
    "_MultiTaskScorer": multi_task_scorer,
}


def _encode_scorer(scorer: Any) -> dict[str, Any]:
    if scorer._requests != scorer._own_requests():
        raise Unknown(f"{scorer!r}, of which set_score_request was called")
    task = {"task": encode(scorer.task)} if hasattr(scorer, "task") else {}
    return {
        "of": type(scorer).__name__,
        "arguments": {"scoring": encode(scorer.scoring), **task},
    }


def _is_scorer(value: Any) -> bool:
    cls = type(value)
    return cls.__module__ == task_scorer.__module__ and cls.__name__ in _SCORERS


@kind("scorer", _is_scorer, _encode_scorer)
def _scorer(parts: dict[str, Any]) -> Any:
    arguments = parts["arguments"].items()
    make = _SCORERS[parts["of"]]
    return make(**{name: decode(value) for name, value in arguments})
