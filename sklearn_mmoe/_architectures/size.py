"""How many weights a network has, from its description alone, without Keras."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["least_weights"]


def least_weights(
    n_features: int, units: Sequence[int], parameters: Mapping[str, Any]
) -> int:
    """Count the weights of all kernels, before memory is taken for any of them.

    Parameters
    ----------
    n_features : int
        Number of columns of X.
    units : sequence of int
        Width of each task's output.
    parameters : mapping
        Arguments of :func:`sklearn_mmoe.networks.mmoe_network`; those that can only
        add weights may be missing.

    Returns
    -------
    int
        The number. There are more weights in all, because of the biases.
    """
    shared = [n_features, *parameters["shared_units"]]
    experts, width = parameters["num_experts"], parameters["expert_units"]
    n_gates = len(units) if parameters["gate"] == "multi" else 1
    below = sum(a * b for a, b in itertools.pairwise(shared))
    linear = n_features * sum(units) if parameters["wide"] else 0
    first = shared[-1] * experts * (width + n_gates)
    deeper = (parameters["expert_layers"] - 1) * experts * width**2
    towers = 0
    for of_task in units:
        tower = [width, *parameters["tower_units"], of_task]
        towers += sum(a * b for a, b in itertools.pairwise(tower))
    return below + linear + first + deeper + towers
