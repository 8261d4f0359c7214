"""What is handed out: whether it shall be a frame, and names for its columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils._set_output import _get_output_config

__all__ = ["distinct", "wants_frame"]


def wants_frame(encoder: Any) -> bool:
    """Tell whether ``set_output`` or ``set_config`` asks for a frame."""
    return _get_output_config("transform", encoder)["dense"] != "default"


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
