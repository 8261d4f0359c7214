"""Warnings that point to the line of the user, and are shown there once."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Iterable
from typing import Any

__all__ = ["warn"]

# What may stand between the user's line and the one that warns.
_LIBRARIES = ("sklearn_mmoe", "sklearn", "joblib", "keras", "pickle")

# By the user's file: what was told at which line. Python remembers that too, but
# forgets all of it whenever somebody enters `catch_warnings`, as scikit-learn does in
# each fit of a search or cross-validation, which would show a warning at every fit.
_TOLD: dict[str, dict[Hashable, set[Hashable]]] = {}
# Where Python itself remembers it, in the variables of the user's module.
_REGISTRY = "__warningregistry__"
# What a filter says that wants a warning once, at each line or in all.
_ONCE = ("default", "module", "once")


def warn(
    message: str | Warning,
    category: type[Warning] = UserWarning,
    finding: Hashable = None,
    values: Iterable[Hashable] = (),
) -> None:
    """Warn at the line that called the libraries, through however many of their own.

    Where Python's filters show a warning once for each line, as they do by default, it
    is shown once, however many fits that line makes.

    Parameters
    ----------
    message : str or Warning
        What to say.
    category : type of Warning, default=UserWarning
        Its category, where it is a str.
    finding : hashable, default=None
        What was found, where the message has figures or examples that differ from fold
        to fold; None is the message.
    values : iterable of hashable, default=()
        In what it was found. If none of them was told of, it is another table, and
        told again.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_of_library(frame.f_globals):
        frame, level = frame.f_back, level + 1
    if isinstance(message, Warning):
        category = type(message)
    text, line = str(message), frame.f_lineno
    told = _TOLD.setdefault(frame.f_code.co_filename, {})
    if _REGISTRY not in frame.f_globals:
        # IPython deletes it before it runs a cell, to have the cell warn again.
        told.clear()
    key = (text if finding is None else finding, category, line)
    module = str(frame.f_globals.get("__name__"))
    if _action(text, category, module, line) in _ONCE:
        found = set(values)
        is_known = key in told and not (found and found.isdisjoint(told[key]))
        told.setdefault(key, set()).update(found)
        if not is_known:
            warnings.warn(message, category, stacklevel=level)
    else:
        warnings.warn(message, category, stacklevel=level)


def _is_of_library(variables: dict[str, object]) -> bool:
    return str(variables.get("__name__")).partition(".")[0] in _LIBRARIES


def _action(text: str, category: type[Warning], module: str, line: int) -> str:
    """Return what Python's filters say of a warning: that of the first that fits."""
    for action, of_text, of_category, of_module, of_line in warnings.filters:
        if (
            (of_text is None or _fits(of_text, text))
            and issubclass(category, of_category)
            and (of_module is None or _fits(of_module, module))
            and of_line in (0, line)
        ):
            return action
    return "default"


def _fits(pattern: Any, text: str) -> bool:
    """Match as Python does; its own filters have a str, all others a pattern."""
    return pattern == text if isinstance(pattern, str) else bool(pattern.match(text))
