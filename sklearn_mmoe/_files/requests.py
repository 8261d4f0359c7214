"""What metadata an estimator asks for, where its user has said so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["requests_of", "set_requests"]

_METHODS = ("fit", "partial_fit", "score")
_HELD_BY = "_metadata_request"


def requests_of(estimator: Any) -> dict[str, dict[str, Any]]:
    """Collect what was set by ``set_fit_request`` and its like, by method."""
    if not hasattr(estimator, _HELD_BY):
        return {}
    request = estimator.get_metadata_routing()
    return {
        method: dict(getattr(request, method).requests)
        for method in _METHODS
        if hasattr(request, method)
    }


def set_requests(estimator: Any, requests: Mapping[str, Mapping[str, Any]]) -> None:
    """Set it again.

    Raises
    ------
    ValueError
        If a method or an alias is none.
    """
    if not requests:
        return
    request = estimator.get_metadata_routing()
    for method, of_method in requests.items():
        if method not in _METHODS:
            raise ValueError(f"there is a request of the method {method!r}")
        for name, alias in of_method.items():
            getattr(request, method).add_request(param=name, alias=alias)
    setattr(estimator, _HELD_BY, request)
