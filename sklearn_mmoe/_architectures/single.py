"""No sharing: a network of its own for each task."""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["single"]


def single(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append separate networks, trained beside each other.

    Each has the depth of the other architectures. Nothing that a task's labels say
    reaches another task: the first kernels, and so the penalty on them, are its own.
    """
    linear, bodies = [], []
    for k, units in enumerate(sizes.own_linear_units):
        of_task, body = make.first(
            inputs, units, sizes.bottom_units, f"own_{k}", "own layer", k
        )
        linear += of_task
        bodies.append(body)
    return linear, make.towers(bodies, sizes.tower_units)
