"""The arguments of Keras layers, whose ``__new__(*args, **kwargs)`` hides them."""

from __future__ import annotations

import inspect
from typing import Any

from sphinx.util.inspect import signature, stringify_signature


def constructor_signature(
    app: Any,
    what: str,
    name: str,
    thing: Any,
    options: Any,
    arguments: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """Take the signature of ``__init__`` where that of the class says nothing."""
    if what != "class" or arguments != "(*args, **kwargs)":
        return None
    of_init = signature(thing.__init__)
    without_self = list(of_init.parameters.values())[1:]
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in without_self]
    of_init = inspect.Signature(parameters)
    return stringify_signature(of_init), returns


def setup(app: Any) -> dict[str, bool]:
    """Register the signatures with Sphinx."""
    app.connect("autodoc-process-signature", constructor_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
