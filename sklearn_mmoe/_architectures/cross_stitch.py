"""Cross-stitch networks (Misra et al., 2016): own layers, mixed after each.

References
----------
.. [1] Misra, I., Shrivastava, A., Gupta, A., & Hebert, M. (2016). "Cross-Stitch
   Networks for Multi-Task Learning". CVPR 2016. https://doi.org/10.1109/CVPR.2016.433
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["cross_stitch"]


def cross_stitch(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append a network for each task, with cross-stitch units below the towers."""
    widths, tasks = sizes.bottom_units, range(sizes.n_tasks)
    kind = "own layer"
    linear, bodies = [], []
    for k, units in enumerate(sizes.own_linear_units):
        of_task, body = make.first(inputs, units, widths[:1], f"own_{k}", kind, k)
        linear += of_task
        bodies.append(body)
    bodies = make.cross_stitch(bodies, 0)
    for depth in range(1, len(widths)):
        below = widths[: depth + 1]
        bodies = [
            make.stack(bodies[k], below, f"own_{k}", kind, k, start=depth)
            for k in tasks
        ]
        bodies = make.cross_stitch(bodies, depth)
    return linear, make.towers(bodies, sizes.tower_units)
