"""The labels of a data frame's columns, of every kind that pandas has."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe._files.values import Unknown, decode, encode, kind, text, whole

__all__: list[str] = []

# Types of labels that their name says all of.
_NAMED = {
    *("object", "str", "string", "bool", "boolean"),
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    *("float32", "float64", "Float32", "Float64"),
}
# Time zones by name or distance to UTC; nothing that could be a path.
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}(:\d\d)*")
_UNITS = ("s", "ms", "us", "ns")


def _is(*types: type) -> Any:
    return lambda value: type(value) in types


def _encode_names(index: pd.Index) -> Any:
    return encode(list(index.names))


def _encode_range(index: pd.RangeIndex) -> dict[str, Any]:
    return {
        "range": [index.start, index.stop, index.step],
        "names": _encode_names(index),
    }


@kind("range of labels", _is(pd.RangeIndex), _encode_range)
def _range(parts: dict[str, Any]) -> pd.RangeIndex:
    start, stop, step = map(whole, parts["range"])
    return pd.RangeIndex(start, stop, step).set_names(decode(parts["names"]))


def _encode_labels(index: pd.Index) -> dict[str, Any]:
    dtype = str(index.dtype)
    if dtype not in _NAMED:
        raise Unknown(f"labels of columns of the type {dtype}")
    labels = index.astype(object)
    if dtype not in ("object", "float32", "float64"):  # pd.NA, or NaN of text
        labels = labels.where(labels.notna(), np.nan)
    return {
        "dtype": dtype,
        "labels": encode(labels.tolist()),
        "names": _encode_names(index),
    }


@kind("labels", _is(pd.Index), _encode_labels)
def _labels(parts: dict[str, Any]) -> pd.Index:
    if parts["dtype"] not in _NAMED:
        raise ValueError(f"there are labels of the type {parts['dtype']!r}")
    labels = np.empty(len(parts["labels"]), dtype=object)
    labels[:] = decode(parts["labels"])
    index = pd.Index(labels, dtype=parts["dtype"], tupleize_cols=False)
    return index.set_names(decode(parts["names"]))


def _encode_levels(index: pd.MultiIndex) -> dict[str, Any]:
    levels = [index.get_level_values(k) for k in range(index.nlevels)]
    return {"levels": encode(levels), "names": _encode_names(index)}


@kind("labels of several levels", _is(pd.MultiIndex), _encode_levels)
def _levels(parts: dict[str, Any]) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays(
        decode(parts["levels"]), names=decode(parts["names"])
    )


def _encode_categories(index: pd.CategoricalIndex) -> dict[str, Any]:
    return {
        "codes": index.codes.tolist(),
        "categories": encode(index.categories),
        "ordered": bool(index.ordered),
        "names": _encode_names(index),
    }


@kind("categories", _is(pd.CategoricalIndex), _encode_categories)
def _categories(parts: dict[str, Any]) -> pd.CategoricalIndex:
    values = pd.Categorical.from_codes(
        [*map(whole, parts["codes"])],
        categories=decode(parts["categories"]),
        ordered=bool(parts["ordered"]),
    )
    return pd.CategoricalIndex(values).set_names(decode(parts["names"]))


def _encode_times(index: Any) -> dict[str, Any]:
    zone = getattr(index, "tz", None)
    if zone is not None and not _ZONE.fullmatch(str(zone)):
        raise Unknown(f"times of the zone {zone}")
    return {
        "unit": index.unit,
        "zone": None if zone is None else str(zone),
        "counts": index.asi8.tolist(),
        "frequency": index.freqstr,
        "names": _encode_names(index),
    }


def _counts(parts: dict[str, Any]) -> np.ndarray:
    if parts["unit"] not in _UNITS:
        raise ValueError(f"there are times in {parts['unit']!r}")
    return np.array([*map(whole, parts["counts"])], dtype=np.int64)


def _with_frequency(index: Any, parts: dict[str, Any]) -> Any:
    name = parts["frequency"]
    return index if name is None else type(index)(index, freq=text(name))


@kind("times", _is(pd.DatetimeIndex), _encode_times)
def _times(parts: dict[str, Any]) -> pd.DatetimeIndex:
    times = pd.DatetimeIndex(_counts(parts).view(f"datetime64[{parts['unit']}]"))
    zone = parts["zone"]
    if zone is not None:
        if not _ZONE.fullmatch(text(zone)):
            raise ValueError(f"there are times of the zone {zone!r}")
        times = times.tz_localize("UTC").tz_convert(zone)
    times = _with_frequency(times, parts)
    return times.set_names(decode(parts["names"]))


@kind("durations", _is(pd.TimedeltaIndex), _encode_times)
def _durations(parts: dict[str, Any]) -> pd.TimedeltaIndex:
    counts = _counts(parts).view(f"timedelta64[{parts['unit']}]")
    durations = _with_frequency(pd.TimedeltaIndex(counts), parts)
    return durations.set_names(decode(parts["names"]))


def _encode_periods(index: pd.PeriodIndex) -> dict[str, Any]:
    return {
        "frequency": index.freqstr,
        "ordinals": index.asi8.tolist(),
        "names": _encode_names(index),
    }


@kind("periods", _is(pd.PeriodIndex), _encode_periods)
def _periods(parts: dict[str, Any]) -> pd.PeriodIndex:
    ordinals = [*map(whole, parts["ordinals"])]
    make: Any = pd.PeriodIndex
    periods = make.from_ordinals(ordinals, freq=text(parts["frequency"]))
    return periods.set_names(decode(parts["names"]))


def _encode_intervals(index: pd.IntervalIndex) -> dict[str, Any]:
    return {
        "left": encode(index.left),
        "right": encode(index.right),
        "closed": index.closed,
        "names": _encode_names(index),
    }


@kind("intervals", _is(pd.IntervalIndex), _encode_intervals)
def _intervals(parts: dict[str, Any]) -> pd.IntervalIndex:
    left, right = decode(parts["left"]), decode(parts["right"])
    intervals = pd.IntervalIndex.from_arrays(left, right, closed=parts["closed"])
    return intervals.set_names(decode(parts["names"]))


def _encode_label(value: Any) -> dict[str, Any]:
    return {"index": encode(pd.Index([value]))}


@kind("label", _is(pd.Timestamp, pd.Timedelta, pd.Period, pd.Interval), _encode_label)
def _label(parts: dict[str, Any]) -> Any:
    return decode(parts["index"])[0]
