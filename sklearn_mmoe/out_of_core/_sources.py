"""Where chunks of rows come from: Parquet, Dask, or whatever can be iterated anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pandas as pd
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sklearn_mmoe._tasks.columns import check_targets
from sklearn_mmoe._tasks.rows import row_labels

__all__ = ["Chunk", "ChunkReader", "Layout", "find_source"]

# Rows that are read, and brought to features, at once.
CHUNK_ROWS = 16_384
# How pyarrow reads: no more ahead than is needed.
_SCAN: dict[str, Any] = {
    "batch_size": CHUNK_ROWS,
    "batch_readahead": 1,
    "fragment_readahead": 1,
    "use_threads": False,
}


def _batches(source: Any, **options: Any) -> Any:
    """Read the record batches of a data set or fragment, and keep nothing of it."""
    try:
        return source.to_batches(cache_metadata=False, **_SCAN, **options)
    except TypeError:  # older versions of pyarrow have no such option
        return source.to_batches(**_SCAN, **options)


@dataclass(frozen=True)
class Chunk:
    """Some rows, as they were read.

    Attributes
    ----------
    X : data frame, ndarray or CSR matrix of shape (n_rows, n_columns)
        What the preprocessor takes.
    y : array-like, data frame or None
        A column for each task; None in prediction.
    sample_weight : array-like or None
        Weights of the rows.
    start : int
        Number of the first row among all rows.
    labels : Index of shape (n_rows,) or None
        What the rows are called, where they came in a frame of pandas.
    """

    X: Any
    y: Any = None
    sample_weight: Any = None
    start: int = 0
    labels: pd.Index | None = None

    def __len__(self) -> int:
        return _num_samples(self.X)


class Source(Protocol):
    """Blocks of rows, each of which can be read by itself, as often as is wanted.

    Attributes
    ----------
    n_blocks : int
        How many there are; what can only be iterated is one block.
    """

    n_blocks: int

    def read(self, block: int) -> Iterator[Any]:
        """Yield what is in a block: frames, or tuples of X, y and weights."""
        ...


class _Items:
    """A sequence whose items are the blocks."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self.n_blocks = len(items)

    def read(self, block: int) -> Iterator[Any]:
        yield self._items[block]


class _Iterable:
    """What can be iterated again and again, in its own order."""

    n_blocks = 1

    def __init__(self, begin: Callable[[], Iterable[Any]]) -> None:
        self._begin = begin

    def read(self, block: int) -> Iterator[Any]:
        return iter(self._begin())


class _Dask:
    """The partitions of a Dask DataFrame."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.n_blocks = frame.npartitions

    def read(self, block: int) -> Iterator[Any]:
        yield self._frame.partitions[block].compute()


class _Arrow:
    """The row groups of Parquet files, or the fragments of any other data set."""

    def __init__(self, dataset: Any) -> None:
        self._schema = dataset.schema
        self._fragments = [
            part
            for fragment in dataset.get_fragments()
            for part in (
                fragment.split_by_row_group()
                if hasattr(fragment, "split_by_row_group")
                else [fragment]
            )
        ]
        self.n_blocks = len(self._fragments)

    def read(self, block: int) -> Iterator[Any]:
        fragment = self._fragments[block]
        options: dict[str, Any] = {}
        if hasattr(fragment, "row_groups"):
            from pyarrow.dataset import ParquetFragmentScanOptions

            # Pages as they are needed: a row group may have a million rows.
            options["fragment_scan_options"] = ParquetFragmentScanOptions(
                use_buffered_stream=True, buffer_size=2**16, pre_buffer=False
            )
        yield from _batches(fragment, schema=self._schema, **options)


def find_source(data: Any) -> Source:
    """Find out how to read what a user gave.

    Parameters
    ----------
    data : object
        What the ``fit`` of the estimator takes.

    Returns
    -------
    Source
        Its blocks.

    Raises
    ------
    TypeError
        If it can be read only once, or is none of these.
    ValueError
        If there is no such folder or file.
    ImportError
        If a path is given, and pyarrow is not installed.
    """
    if isinstance(data, str | os.PathLike):
        return _Arrow(_parquet(os.fspath(data)))
    datasets = sys.modules.get("pyarrow.dataset")
    if datasets is not None and isinstance(data, datasets.Dataset):
        try:
            return _Arrow(data)
        except ValueError:  # with a filter it has no fragments
            return _Iterable(lambda: _batches(data))
    if hasattr(data, "npartitions") and hasattr(data, "partitions"):
        return _Dask(data)
    if hasattr(data, "columns") or hasattr(data, "shape"):  # in memory
        return _Items([data])
    if callable(data):
        return _Iterable(data)
    if isinstance(data, Iterator):
        raise TypeError(
            f"The data is a {type(data).__name__}, which can be read only once, but it "
            "is read several times. Give the function that makes it, without calling "
            "it, or an object whose __iter__ begins anew."
        )
    if isinstance(data, Sequence) or (
        hasattr(data, "__len__")
        and hasattr(data, "__getitem__")
        and not isinstance(data, Mapping)
    ):
        return _Items(data)
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        return _Iterable(lambda: data)
    raise TypeError(
        "The data must be a folder of Parquet files, a pyarrow.dataset, a Dask "
        "DataFrame, or chunks of rows in a list, an iterable or a function that "
        f"returns an iterator; got {type(data).__name__}."
    )


def _parquet(path: str) -> Any:
    try:
        import pyarrow.dataset
    except ImportError as error:
        raise ImportError(
            "Reading Parquet files needs pyarrow. Install it with pip install "
            '"sklearn-mmoe[parquet]".'
        ) from error
    if not os.path.exists(path):
        raise ValueError(f"There is no folder or file of Parquet at {path!r}.")
    return pyarrow.dataset.dataset(path, format="parquet", partitioning="hive")


class Layout:
    """Which columns of frames are targets, and which one holds weights.

    Parameters
    ----------
    targets : sequence of hashable or None
        Columns of the targets.
    weight : hashable or None
        Column of the weights.
    """

    def __init__(self, targets: Sequence[Any] | None, weight: Any) -> None:
        self._targets = None if targets is None else list(targets)
        self._weight = weight
        self._columns: list[Any] | None = None

    def chunk(self, item: Any, with_targets: bool = True) -> Chunk:
        """Take a frame, or a tuple, apart.

        Raises
        ------
        TypeError
            If it is neither, or there is nothing to tell the targets by.
        ValueError
            If columns are missing.
        """
        if isinstance(item, tuple):
            return self._from_tuple(item, with_targets)
        if not hasattr(item, "shape") or (
            with_targets and not hasattr(item, "columns")
        ):
            raise TypeError(
                "Each chunk must be a data frame, or a tuple (X, y) or (X, y, "
                f"sample_weight); got {type(item).__name__}."
            )
        if not hasattr(item, "columns"):  # an array to predict for
            return Chunk(item)
        if with_targets and not self._targets:
            raise ValueError(
                "The 'targets' parameter must name the columns of the targets, since "
                "the data are frames that hold them."
            )
        return self._from_frame(item, with_targets)

    def _from_tuple(self, item: tuple[Any, ...], with_targets: bool) -> Chunk:
        if with_targets and len(item) not in (2, 3):
            raise ValueError(
                "A chunk that is a tuple must be (X, y) or (X, y, sample_weight); got "
                f"{len(item)} parts."
            )
        X, *others = item
        labels = row_labels(X)
        X = self._matched(_as_pandas(X) if hasattr(X, "columns") else X)
        if not with_targets:
            return Chunk(X, labels=labels)
        check_targets(others[0])
        for name, part in zip(("y", "sample_weight"), others, strict=False):
            if part is not None and _num_samples(part) != _num_samples(X):
                raise ValueError(
                    f"A chunk has {_num_samples(X)} rows in X and {_num_samples(part)} "
                    f"in {name}."
                )
        return replace(Chunk(X, *others), labels=labels)

    def _from_frame(self, frame: Any, with_targets: bool) -> Chunk:
        names = list(frame.column_names if _is_arrow(frame) else frame.columns)
        weights = [] if self._weight is None else [self._weight]
        wanted = [*(self._targets or []), *weights]
        missing = [name for name in wanted if name not in names]
        if with_targets and missing:
            raise ValueError(
                f"The data has no columns {missing}, which 'targets' or "
                f"'weight_column' names; it has {names}."
            )
        features = [name for name in names if name not in wanted]
        X = self._matched(_as_pandas(_select(frame, features)))
        labels = row_labels(frame)
        if not with_targets:
            return Chunk(X, labels=labels)
        weight = None
        if weights:
            weight = _as_pandas(_select(frame, weights)).iloc[:, 0].to_numpy()
        targets = _targets(_select(frame, self._targets or []))
        return Chunk(X, targets, weight, labels=labels)

    def _matched(self, X: Any) -> Any:
        """Bring the columns into the order of the first chunk's."""
        if not hasattr(X, "columns"):
            names: list[Any] = list(range(X.shape[1])) if hasattr(X, "shape") else []
        else:
            names = list(X.columns)
        if self._columns is None:
            self._columns = names
        if names == self._columns:
            return X
        missing = [name for name in self._columns if name not in names]
        unknown = [name for name in names if name not in self._columns]
        if missing or unknown:
            raise ValueError(
                "A chunk has other columns than the first one: missing are "
                f"{missing}, unknown are {unknown}."
            )
        return X[self._columns]


def _is_arrow(frame: Any) -> bool:
    return type(frame).__module__.partition(".")[0] == "pyarrow"


def _select(frame: Any, names: list[Any]) -> Any:
    return frame.select(names) if hasattr(frame, "select") else frame[names]


def _as_pandas(frame: Any) -> Any:
    return frame.to_pandas() if hasattr(frame, "to_pandas") else frame


def _targets(frame: Any) -> Any:
    """Bring targets to pandas, whole numbers beside missing ones as such."""
    if _is_arrow(frame) and any(column.null_count for column in frame.columns):
        return frame.to_pandas(types_mapper=pd.ArrowDtype)
    return _as_pandas(frame)


class ChunkReader:
    """Reads a source chunk by chunk, and knows the number of each row.

    Parameters
    ----------
    source : Source
        What to read.
    layout : Layout
        How to take it apart.
    with_targets : bool, default=True
        Whether the targets are needed.
    """

    def __init__(
        self, source: Source, layout: Layout, with_targets: bool = True
    ) -> None:
        self._source = source
        self._layout = layout
        self._with_targets = with_targets
        self._starts: list[int] = []

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return self._source.n_blocks

    def all(self) -> Iterator[Chunk]:
        """Read all blocks in their order, and note where each begins."""
        start, self._starts = 0, []
        for block in range(self.n_blocks):
            self._starts.append(start)
            for chunk in self.block(block):
                yield chunk
                start = chunk.start + len(chunk)

    def block(self, block: int) -> Iterator[Chunk]:
        """Read one block, in chunks of limited size; after all were read once."""
        start = self._starts[block]
        for item in self._source.read(block):
            chunk = self._layout.chunk(item, self._with_targets)
            for first in range(0, len(chunk), CHUNK_ROWS):
                part = _part(chunk, first, start)
                start += len(part)
                yield part


def _part(chunk: Chunk, first: int, start: int) -> Chunk:
    """Cut a chunk that is too large."""
    if len(chunk) <= CHUNK_ROWS:
        return replace(chunk, start=start)
    rows = slice(first, first + CHUNK_ROWS)
    X, y, weight = (
        None if of_chunk is None else _safe_indexing(of_chunk, rows)
        for of_chunk in (chunk.X, chunk.y, chunk.sample_weight)
    )
    labels = None if chunk.labels is None else chunk.labels[rows]
    return Chunk(X, y, weight, start, labels)
