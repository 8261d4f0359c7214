"""What encoders hand out: matrices, arrays or frames, and names for their columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils._set_output import _get_output_config

__all__ = ["as_asked", "distinct", "wants_frame"]


def wants_frame(encoder: Any) -> bool:
    """Tell whether ``set_output`` or ``set_config`` asks for a frame."""
    return _get_output_config("transform", encoder)["dense"] != "default"


def as_asked(encoder: Any, encoded: Any) -> Any:
    """Return a CSR matrix as it is, or dense, of which scikit-learn makes a frame."""
    sparse = encoder.sparse_output and not wants_frame(encoder)
    return encoded if sparse else encoded.toarray()


def distinct(names: Iterable[str]) -> np.ndarray:
    """Return names of columns, with a number behind each that another has already."""
    taken: set[str] = set()
    result = []
    for name in names:
        free, number = name, 2
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        taken.add(free)
        result.append(free)
    return np.array(result, dtype=object)
