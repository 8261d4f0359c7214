"""Adaptive information transfer between ordered tasks (Xi et al., 2021).

References
----------
.. [1] Xi, D. et al. (2021). "Modeling the Sequential Dependence among Audience
   Multi-step Conversions with Multi-task Learning in Targeted Display Advertising".
   KDD 2021. https://doi.org/10.1145/3447548.3467071
"""

from __future__ import annotations

import itertools
from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["aitm"]


def aitm(make: Any, inputs: Any, sizes: Sizes) -> tuple[list[Any], list[Any]]:
    """Append shared layers, then towers each of which hands on to the next task's.

    The paper's calibrator, a loss for tasks of which the second event cannot happen
    without the first, is not part of the network.
    """
    linear, shared = make.first(inputs, sizes.linear_units, sizes.shared_units)
    bodies = [
        make.stack(
            shared,
            sizes.expert_units,
            f"own_{k}",
            "own layer",
            k,
            penalty=None if sizes.shared_units else make.penalty,
        )
        for k in range(sizes.n_tasks)
    ]
    tops = make.towers(bodies, sizes.tower_units)
    width = (*sizes.expert_units, *sizes.tower_units)[-1]
    for before, k in itertools.pairwise(range(sizes.n_tasks)):
        tops[k] = make.transfer(tops[before], tops[k], width, k)
    return linear, tops
