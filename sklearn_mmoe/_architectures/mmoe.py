"""Mixtures of experts with one gate, or one for each task (Ma et al., 2018).

References
----------
.. [1] Ma, J., Zhao, Z., Yi, X., Chen, J., Hong, L., & Chi, E. H. (2018).
   "Modeling Task Relationships in Multi-task Learning with Multi-gate
   Mixture-of-Experts". KDD 2018. https://doi.org/10.1145/3219819.3220007
"""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["mmoe", "omoe"]


def mmoe(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append shared layers, experts, a gate for each task, and towers (equation 6)."""
    return _mixed(make, inputs, sizes, sizes.n_tasks)


def omoe(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append the same with one gate for all tasks (equation 5)."""
    return _mixed(make, inputs, sizes, 1)


def _mixed(
    make: Any, inputs: Any, sizes: Sizes, n_gates: int
) -> tuple[list[Any], list[Any]]:
    linear, shared = make.first(inputs, sizes.linear_units, sizes.shared_units)
    mixtures = make.mmoe(
        shared,
        is_first=not sizes.shared_units,
        units=sizes.expert_units,
        num_experts=sizes.num_experts,
        num_tasks=n_gates,
    )
    bodies = mixtures if n_gates == sizes.n_tasks else mixtures * sizes.n_tasks
    return linear, make.towers(bodies, sizes.tower_units)
