"""The fitted state of an estimator: one list of it, for all who need it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["fitted_attributes", "is_fitted", "unchanged_on_error"]

# Fitted attributes beside the public ones, whose names end in an underscore.
_PRIVATE = (
    "_engine",
    "_expert_use",
    "_tasks",
    "_network_parameters",
    "_split_seed",
    "_y_columns",
)


def is_fitted(estimator: Any) -> bool:
    """Whether there is a network to predict with."""
    return hasattr(estimator, "_engine")


def fitted_attributes(estimator: Any) -> dict[str, Any]:
    """Collect all that a fit sets, by name."""
    return {
        name: value
        for name, value in vars(estimator).items()
        if name in _PRIVATE or (name.endswith("_") and not name.startswith("_"))
    }


@contextlib.contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """Put everything fitted back if what follows fails or is interrupted.

    A fit replaces fitted attributes and never changes what they hold, so that the old
    ones are still what they were, to the bit.
    """
    before = fitted_attributes(estimator)
    try:
        yield
    except BaseException:
        for name in fitted_attributes(estimator):
            delattr(estimator, name)
        vars(estimator).update(before)
        raise
