"""What stands in front of the network, from raw columns on, as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._onnx.graph import Graph
from sklearn_mmoe.preprocessing import (
    CategoryEncoder,
    PiecewiseLinearEncoder,
    TabularPreprocessor,
    TailSquashingScaler,
)
from sklearn_mmoe.preprocessing._output import distinct
from sklearn_mmoe.preprocessing._readers import Reader
from sklearn_mmoe.preprocessing._table import column_label

__all__ = ["MISSING_WORDS", "Features", "convert_preprocessor"]

#: What a missing value of a column of text is: nothing, or what ONNX Runtime makes of
#: NaN, None and ``pd.NA`` in an array of objects.
MISSING_WORDS = ("", "nan", "None", "<NA>")

_NUMBERS = ("numeric", "duration")
# Beyond this distance a squashed tail is at its bound, in double precision.
_FAR = 1e12


@dataclass(frozen=True)
class Features:
    """A matrix of features, and which columns of the file it comes from.

    Attributes
    ----------
    tensor : str
        The matrix (n_rows, width).
    width : int
        Its number of columns.
    dtype : {'float32', 'float64'}
        Its type.
    columns : list of dict
        'name', 'kind' and 'missing' (what stands for a missing value) of each input.
    """

    tensor: str
    width: int
    dtype: str
    columns: list[dict[str, Any]]


def convert_preprocessor(graph: Graph, preprocessor: Any) -> Features:
    """Declare the inputs of a fitted preprocessor, and write what it computes.

    Parameters
    ----------
    graph : Graph
        What to write to.
    preprocessor : TabularPreprocessor, Pipeline or transformer of a numeric matrix
        Fitted.

    Returns
    -------
    Features
        What it hands to the network.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If it holds what cannot be exported; the message names it.
    """
    check_is_fitted(preprocessor)
    first, others = preprocessor, []
    if isinstance(preprocessor, Pipeline):
        first, *others = [step for _, step in _steps(preprocessor)]
    if isinstance(first, TabularPreprocessor):
        features = _tabular(graph, first)
    else:
        width = first.n_features_in_
        doc = "Features, as the preprocessor takes them; NaN where missing."
        x = graph.input("X", "float64", width, doc)
        features = _encoded(graph, first, Features(x, width, "float64", []))
    for step in others:
        features = _encoded(graph, step, features)
    return features


def _steps(pipeline: Pipeline) -> list[tuple[str, Any]]:
    return [(name, s) for name, s in pipeline.steps if s not in (None, "passthrough")]


def _encoded(graph: Graph, encoder: Any, x: Features) -> Features:
    """Write the nodes of a transformer of a numeric matrix."""
    convert = _CONVERTERS.get(type(encoder))
    if convert is None:
        known = ", ".join(sorted(cls.__name__ for cls in _CONVERTERS))
        hint = (
            "Leave the estimator out, as pipeline[:-1] does. "
            if hasattr(encoder, "export_onnx")
            else ""
        )
        raise ValueError(
            f"{type(encoder).__name__} cannot be exported to ONNX as a preprocessor. "
            f"{hint}What can: make_tabular_preprocessor(), and of numeric matrices "
            f"{known}."
        )
    graph.scope = type(encoder).__name__
    return convert(graph, encoder, x)


def _pipeline(graph: Graph, pipeline: Pipeline, x: Features) -> Features:
    for _, step in _steps(pipeline):
        x = _encoded(graph, step, x)
    return x


def _as_double(graph: Graph, x: Features) -> str:
    return x.tensor if x.dtype == "float64" else graph.cast(x.tensor, "float64")


def _row(graph: Graph, values: Any) -> str:
    """Store one number for each column."""
    return graph.constant(np.reshape(values, (1, -1)), np.float64)


def _standard_scaler(graph: Graph, scaler: Any, x: Features) -> Features:
    tensor = _as_double(graph, x)
    if scaler.mean_ is not None and scaler.with_mean:
        tensor = graph.node("Sub", tensor, _row(graph, scaler.mean_))
    if scaler.scale_ is not None:
        tensor = graph.node("Div", tensor, _row(graph, scaler.scale_))
    return Features(tensor, x.width, "float64", x.columns)


def _min_max_scaler(graph: Graph, scaler: Any, x: Features) -> Features:
    tensor = graph.node("Mul", _as_double(graph, x), _row(graph, scaler.scale_))
    tensor = graph.node("Add", tensor, _row(graph, scaler.min_))
    if scaler.clip:
        bounds = [graph.constant(bound, np.float64) for bound in scaler.feature_range]
        tensor = graph.node("Clip", tensor, *bounds)
    return Features(tensor, x.width, "float64", x.columns)


def _filled(graph: Graph, tensor: str, values: Any) -> tuple[str, str]:
    """Put a number in the place of each NaN; also say where these are."""
    missing = graph.node("IsNaN", tensor)
    return graph.node("Where", missing, _row(graph, values), tensor), missing


def _simple_imputer(graph: Graph, imputer: Any, x: Features) -> Features:
    statistics = np.asarray(imputer.statistics_)
    stands_for_missing = imputer.missing_values
    if not (isinstance(stands_for_missing, float) and np.isnan(stands_for_missing)):
        what = f"missing_values={stands_for_missing!r}"
    elif imputer.indicator_ is not None:
        what = "add_indicator=True"
    elif np.isnan(statistics.astype(np.float64)).any():
        what = "columns that are missing throughout"
    else:
        tensor, _ = _filled(graph, _as_double(graph, x), statistics)
        return Features(tensor, x.width, "float64", x.columns)
    raise ValueError(
        f"SimpleImputer with {what} cannot be exported to ONNX. Use NaN for missing "
        "values, add_indicator=False and keep_empty_features=True."
    )


def _tail_squashing_scaler(graph: Graph, scaler: Any, x: Features) -> Features:
    scaled = _standard_scaler(graph, scaler.scaler_, x).tensor
    lowest, highest = _row(graph, scaler.data_min_), _row(graph, scaler.data_max_)
    within = graph.node("Min", graph.node("Max", scaled, lowest), highest)
    # d / sqrt(1 + (d / m)^2), bounded before its square could overflow.
    largest = graph.constant(scaler.max_distance, np.float64)
    far = [
        graph.constant(sign * _FAR * scaler.max_distance, np.float64)
        for sign in (-1, 1)
    ]
    beyond = graph.node("Clip", graph.node("Sub", scaled, within), *far)
    share = graph.node("Div", beyond, largest)
    one = graph.constant(1.0)
    root = graph.node("Sqrt", graph.node("Add", one, graph.node("Mul", share, share)))
    squashed = graph.node("Add", within, graph.node("Div", beyond, root))
    constant = np.isin(np.arange(x.width), scaler.constant_columns_)[None]
    squashed = graph.node("Where", graph.constant(constant), _row(graph, 0), squashed)
    return Features(graph.cast(squashed, "float32"), x.width, "float32", x.columns)


def _piecewise(graph: Graph, encoder: Any, x: Features) -> Features:
    """Write equation 1 of Gorishniy et al. (2022), and the indicators behind it.

    Column by column: to take columns of a matrix several times, for all bins at once,
    takes ONNX Runtime more time than all else.
    """
    values, missing = _filled(graph, _as_double(graph, x), encoder.fill_values_)
    values_of = graph.split(values, x.width)
    missing_of = graph.split(missing, x.width)
    bounds = graph.constant(0.0), graph.constant(1.0)
    parts = []
    width = 0
    for j, (edges, spikes) in enumerate(
        zip(encoder.bin_edges_, encoder.spikes_, strict=True)
    ):
        if len(edges):
            above = graph.node("Sub", values_of[j], _row(graph, edges[:-1]))
            share = graph.node("Div", above, _row(graph, np.diff(edges)))
            parts.append(graph.node("Clip", share, *bounds))
            width += len(edges) - 1
        if j in encoder.missing_columns_:
            parts.append(graph.cast(missing_of[j], "float64"))
            width += 1
        if len(spikes):
            hit = graph.node("Equal", values_of[j], _row(graph, spikes))
            hit = graph.node("And", hit, graph.node("Not", missing_of[j]))
            parts.append(graph.cast(hit, "float64"))
            width += len(spikes)
    if not parts:
        parts = [graph.constant(np.zeros((1, 0)))]
    tensor = graph.node("Concat", *parts, axis=1)
    return Features(graph.cast(tensor, "float32"), width, "float32", x.columns)


class _Columns:
    """The inputs of the file, of the columns that a preprocessor reads.

    Each is declared when an encoder first asks for it.
    """

    def __init__(self, graph: Graph, preprocessor: TabularPreprocessor) -> None:
        self._graph = graph
        self._readers: list[Reader] = preprocessor._readers
        self._names = _input_names(preprocessor)
        self._declared: dict[int, str] = {}
        self._matrices: dict[tuple[int, ...], str] = {}
        self.described: list[dict[str, Any]] = []

    def _declare(self, j: int, dtype: str, doc: str, missing: Sequence[str]) -> str:
        if j not in self._declared:
            name, kind = self._names[j], self._readers[j].kind
            if not name:
                raise ValueError(
                    f"Column {j} has an empty name, which cannot be exported to ONNX. "
                    "Give it a name, and fit again."
                )
            self._declared[j] = self._graph.input(name, dtype, 1, doc)
            self.described.append(
                {"name": name, "kind": kind, "missing": list(missing)}
            )
        return self._declared[j]

    def number(self, j: int) -> str:
        """Return a column of numbers, (n_rows, 1)."""
        unit = " in seconds" if self._readers[j].kind == "duration" else ""
        doc = f"A number{unit}, NaN where it is missing."
        return self._declare(j, "float64", doc, ["NaN"])

    def numbers(self, indices: Sequence[int]) -> str:
        """Return columns of numbers, (n_rows, n_columns)."""
        for j in indices:
            if self._readers[j].kind not in _NUMBERS:
                raise ValueError(
                    f"Column {self._names[j]!r} is {self._readers[j].kind}, and an "
                    "encoder of numbers takes it, which cannot be exported to ONNX."
                )
        key = tuple(indices)
        if key not in self._matrices:
            parts = [self.number(j) for j in indices]
            self._matrices[key] = self._graph.node("Concat", *parts, axis=1)
        return self._matrices[key]

    def refused(self) -> str | None:
        """Return zeros, (n_rows, 1), and NaN in rows that ``transform`` refuses.

        Those with numbers that single precision cannot hold. None without numbers.
        """
        graph = self._graph
        numbers = [j for j in self._declared if self._readers[j].kind in _NUMBERS]
        if not numbers:
            return None
        graph.scope = "refused"
        single = graph.cast(self.numbers(numbers), "float32")
        zero = graph.constant(0, np.float32)
        filled = graph.node("Where", graph.node("IsNaN", single), zero, single)
        nothing = graph.constant(np.zeros((len(numbers), 1)), np.float32)
        return graph.node("MatMul", filled, nothing)

    def codes(self, j: int, encoder: CategoryEncoder, at: int) -> tuple[str, int]:
        """Return which output column each value of a category column has.

        Parameters
        ----------
        j : int
            The column.
        encoder : CategoryEncoder
            Its encoder.
        at : int
            The column's position there.

        Returns
        -------
        codes : str
            int64 (n_rows, 1), counted within this column; -1 for none.
        n_columns : int
            The number of output columns.
        """
        categories = encoder.categories_[at].tolist()
        missing, infrequent, n_columns = encoder._special_columns(at)
        if missing < 0:
            missing = infrequent
        numeric = self._readers[j].kind in _NUMBERS
        if not numeric and all(isinstance(value, str) for value in categories):
            codes = self._codes_of_text(j, categories, missing, infrequent)
        elif all(isinstance(value, Real | np.bool_) for value in categories):
            codes = self._codes_of_numbers(j, categories, missing, infrequent)
        else:
            kinds = sorted({type(value).__name__ for value in categories})
            raise ValueError(
                f"Column {self._names[j]!r} has categories of the type"
                f"{'s' * (len(kinds) > 1)} {', '.join(kinds)}, which cannot be "
                "exported to ONNX: a column's categories must be all text, or all "
                f"numbers. Make them so before fit, for example with "
                f"X[{self._readers[j].name!r}].astype(str)."
            )
        return codes, n_columns

    def _codes_of_text(
        self, j: int, categories: list[str], missing: int, infrequent: int
    ) -> str:
        words = [word for word in MISSING_WORDS if word not in categories]
        told = " or ".join(map(repr, words))
        doc = f"A category as text; {told} where it is missing."
        return self._graph.node(
            "LabelEncoder",
            self._declare(j, "str", doc, words),
            domain="ai.onnx.ml",
            keys_strings=[*categories, *words],
            values_int64s=[*range(len(categories)), *[missing] * len(words)],
            default_int64=infrequent,
        )

    def _codes_of_numbers(
        self, j: int, categories: list[Any], missing: int, infrequent: int
    ) -> str:
        graph = self._graph
        name = self._names[j]
        values = np.array([float(value) for value in categories])
        if [*values.tolist()] != categories:
            raise ValueError(
                f"Column {name!r} has numbers as categories that double precision "
                "cannot hold, and so cannot be exported to ONNX. Make them text "
                f"before fit, with X[{self._readers[j].name!r}].astype(str)."
            )
        doc = "A category as a number, NaN where it is missing."
        x = self._declare(j, "float64", doc, ["NaN"])
        equal = graph.cast(graph.node("Equal", x, _row(graph, values)), "int64")
        # From 1 on; 0 is none of them.
        counts = graph.constant(np.arange(1, len(values) + 1)[:, None], np.int64)
        code = graph.node("MatMul", equal, counts)
        known = graph.node("Sub", code, graph.constant(1, np.int64))
        unknown = graph.node("Equal", code, graph.constant(0, np.int64))
        others = [graph.constant(k, np.int64) for k in (infrequent, missing)]
        code = graph.node("Where", unknown, others[0], known)
        return graph.node("Where", graph.node("IsNaN", x), others[1], code)


def _input_names(preprocessor: TabularPreprocessor) -> list[str]:
    """Name the inputs as the preprocessor names its columns."""
    if not preprocessor._named:
        return [f"x{j}" for j in range(len(preprocessor._readers))]
    return distinct(column_label(r.name) for r in preprocessor._readers).tolist()


def _check_kinds(preprocessor: TabularPreprocessor) -> None:
    kinds = preprocessor.kind_to_columns_
    dates, texts = [*kinds["datetime"], *kinds["time"]], kinds["text"]
    if dates:
        raise ValueError(
            f"The columns {dates} hold dates or times, which cannot be exported to "
            "ONNX. Put what counts in them into columns of numbers before fit, such "
            "as the year, the month or the days since some day, and drop them."
        )
    if texts:
        raise ValueError(
            f"The columns {texts} hold text, which cannot be exported to ONNX. Drop "
            "them before fit, or make them categorical, with categorical="
            f"{texts} of make_tabular_preprocessor."
        )


def _tabular(graph: Graph, preprocessor: TabularPreprocessor) -> Features:
    _check_kinds(preprocessor)
    columns = _Columns(graph, preprocessor)
    weights = preprocessor.transformer_weights or {}
    blocks: list[Features] = []
    for name, encoder, _ in preprocessor.transformers_:
        indices = list(preprocessor._transformer_to_input_indices[name])
        if encoder == "drop" or not indices:
            continue
        graph.scope = name
        if type(encoder) is CategoryEncoder:
            block = _categories(graph, encoder, columns, indices)
        else:
            matrix = Features(columns.numbers(indices), len(indices), "float64", [])
            block = _encoded(graph, encoder, matrix)
        if name in weights:
            graph.scope = name
            weight = graph.constant(weights[name], block.dtype)
            tensor = graph.node("Mul", block.tensor, weight)
            block = Features(tensor, block.width, block.dtype, [])
        if block.width:
            blocks.append(block)
    return _side_by_side(graph, blocks, columns)


def _side_by_side(graph: Graph, blocks: list[Features], columns: _Columns) -> Features:
    refused = columns.refused()
    graph.scope = "features"
    dtype = "float64" if any(b.dtype == "float64" for b in blocks) else "float32"
    tensors = [
        b.tensor if b.dtype == dtype else graph.cast(b.tensor, dtype) for b in blocks
    ]
    if refused is not None:
        if dtype == "float64":
            refused = graph.cast(refused, dtype)
        # One feature that is NaN makes every output NaN.
        tensors[0] = graph.node("Add", tensors[0], refused)
    width = sum(block.width for block in blocks)
    matrix = graph.node("Concat", *tensors, axis=1)
    return Features(matrix, width, dtype, columns.described)


def _categories(
    graph: Graph, encoder: CategoryEncoder, columns: _Columns, indices: Sequence[int]
) -> Features:
    parts = []
    total = 0
    for at, j in enumerate(indices):
        code, width = columns.codes(j, encoder, at)
        own = graph.constant(np.arange(width)[None], np.int64)
        parts.append(graph.node("Equal", code, own))
        total += width
    one_hot = graph.node("Concat", *parts, axis=1)
    return Features(graph.cast(one_hot, "float32"), total, "float32", [])


_CONVERTERS: dict[type, Callable[[Graph, Any, Features], Features]] = {
    Pipeline: _pipeline,
    StandardScaler: _standard_scaler,
    MinMaxScaler: _min_max_scaler,
    SimpleImputer: _simple_imputer,
    TailSquashingScaler: _tail_squashing_scaler,
    PiecewiseLinearEncoder: _piecewise,
}
