"""Experts of the tasks' own beside shared ones, in levels (Tang et al., 2020).

References
----------
.. [1] Tang, H., Liu, J., Zhao, M., & Gong, X. (2020). "Progressive Layered Extraction
   (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized Recommendations".
   RecSys 2020. https://doi.org/10.1145/3383313.3412236
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["cgc", "ple"]


def cgc(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append customized gate control: one level (equations 1 to 4)."""
    return _levels(make, inputs, sizes, 1)


def ple(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append progressive layered extraction: several levels (equations 5 and 6)."""
    return _levels(make, inputs, sizes, sizes.num_levels)


def _levels(
    make: Any, inputs: Any, sizes: Sizes, n_levels: int
) -> tuple[list[Any], list[Any]]:
    linear, x = make.first(inputs, sizes.linear_units, sizes.shared_units)
    for level in range(n_levels):
        x = make.cgc(
            x,
            is_first=level == 0 and not sizes.shared_units,
            level=level,
            units=sizes.expert_units,
            num_experts=sizes.num_experts,
            num_task_experts=sizes.num_task_experts,
            num_tasks=sizes.n_tasks,
            shared_output=level < n_levels - 1,
        )
    return linear, make.towers(x, sizes.tower_units)
