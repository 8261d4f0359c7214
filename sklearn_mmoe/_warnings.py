"""Warnings that point to the line of the user, not to one of a library."""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn"]

# What may stand between the user's line and the one that warns.
_LIBRARIES = ("sklearn_mmoe", "sklearn", "joblib", "keras", "pickle")


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the libraries, through however many of their own.

    Parameters
    ----------
    message : str or Warning
        What to say.
    category : type of Warning, default=UserWarning
        Its category, where it is a str.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_of_library(frame.f_globals):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_of_library(variables: dict[str, object]) -> bool:
    return str(variables.get("__name__")).partition(".")[0] in _LIBRARIES
