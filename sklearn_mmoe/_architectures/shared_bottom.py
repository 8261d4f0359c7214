"""Shared bottom (Caruana, 1997): all layers but the towers serve all tasks.

References
----------
.. [1] Caruana, R. (1997). "Multitask Learning". Machine Learning, 28, 41-75.
   https://doi.org/10.1023/A:1007379606734
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["shared_bottom"]


def shared_bottom(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append layers for all tasks, then a tower for each (Ma et al., 2018, eq. 1)."""
    linear, bottom = make.first(inputs, sizes.linear_units, sizes.bottom_units)
    return linear, make.towers([bottom] * sizes.n_tasks, sizes.tower_units)
