"""ARFF files, dense and sparse ones, as data frames."""

from __future__ import annotations

import csv
import itertools
import re
from pathlib import Path
from typing import Any

import arff
import numpy as np
import pandas as pd

from sklearn_mmoe.datasets._files import DamagedFileError

# The reader wants one space behind the word; Weka takes tabs as well.
_ATTRIBUTE = re.compile(r"^\s*@attribute\s+", re.IGNORECASE | re.MULTILINE)


def _read_text(path: Path) -> str:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return _ATTRIBUTE.sub("@attribute ", text)


def _is_sparse(text: str) -> bool:
    """Tell whether the first row of data is a sparse one, in braces."""
    lines = (line.strip() for line in text.splitlines())
    data = itertools.dropwhile(lambda line: line.upper() != "@DATA", lines)
    rows = (line for line in itertools.islice(data, 1, None) if line)
    return next((row.startswith("{") for row in rows if row[0] != "%"), False)


def _to_column(values: list[Any], kind: str | list[str]) -> Any:
    """Make a column of what the reader returned; None is a missing value."""
    if isinstance(kind, list):
        return pd.Categorical(values, categories=list(dict.fromkeys(kind)))
    if kind == "STRING":
        return pd.Series(values, dtype="str")
    return np.array(values, dtype=np.float64)  # None becomes NaN


def read_arff(path: Path) -> pd.DataFrame:
    """Read an ARFF file.

    Parameters
    ----------
    path : Path
        The file, encoded in UTF-8, or else taken for Latin-1.

    Returns
    -------
    data frame of shape (n_rows, n_attributes)
        Numeric attributes as float64, nominal ones as categories of str in the order
        of their declaration; '?' is NaN. What a sparse row leaves out is 0, or the
        first category.

    Raises
    ------
    DamagedFileError
        If the file is not ARFF, or a row does not fit the header.
    """
    text = _read_text(path)
    sparse = _is_sparse(text)
    try:
        content = arff.loads(text, return_type=arff.LOD if sparse else arff.DENSE)
    except (arff.ArffException, ValueError, csv.Error) as error:
        raise DamagedFileError(f"it is not the ARFF file it should be: {error}") from (
            error
        )
    rows = content["data"]
    columns = {}
    for i, (name, kind) in enumerate(content["attributes"]):
        if sparse:
            left_out = kind[0] if isinstance(kind, list) else 0.0
            values = [row.get(i, left_out) for row in rows]
        else:
            values = [row[i] for row in rows]
        columns[name] = _to_column(values, kind)
    return pd.DataFrame(columns)
