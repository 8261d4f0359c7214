"""How many weights a network would have, without making one; and sizes to match."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._architectures.registry import ARCHITECTURES
from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["count_weights", "matched_sizes"]

# So near, as a share of it, that it need not be nearer.
_NEAR = 0.01
# Farther from the number of weights that was asked for, sizes are refused.
_FARTHEST = 0.1
# Towers are left as they are, as in the experiments of Ma et al. (2018), if possible.
_SCALED = ("shared_units", "expert_units")


class _WeightCounter:
    """Counts what the layers of a LayerMaker would weigh; for tensors it has widths."""

    penalty = None

    def __init__(self, at_most: float) -> None:
        self._at_most = at_most
        self.n_weights = 0

    def _add(self, n_weights: int) -> None:
        self.n_weights += n_weights
        if self.n_weights > self._at_most:
            raise ValueError(f"there are more than {self._at_most} weights")

    def dense(self, width: int, units: int) -> int:
        self._add((width + 1) * units)
        return units

    def stack(
        self, width: int, sizes: Sequence[int], *_: Any, start: int = 0, **__: Any
    ) -> int:
        for units in sizes[start:]:
            width = self.dense(width, units)
        return width

    def first(
        self, width: int, linear_units: Sequence[int], sizes: Sequence[int], *_: Any
    ) -> tuple[list[int], int]:
        self.dense(width, sum(linear_units))
        return list(linear_units), self.stack(width, sizes)

    def towers(self, bodies: Sequence[int], sizes: Sequence[int]) -> list[int]:
        return [self.stack(width, sizes) for width in bodies]

    def mmoe(
        self, width: int, *, units: Any, num_experts: int, num_tasks: int, **_: Any
    ) -> list[int]:
        self._experts(width, units, num_experts)
        for _task in range(num_tasks):
            self.dense(width, num_experts)
        return [units[-1]] * num_tasks

    def cgc(
        self,
        widths: Any,
        *,
        units: Any,
        num_experts: int,
        num_task_experts: int,
        num_tasks: int,
        shared_output: bool,
        **_: Any,
    ) -> list[int]:
        if isinstance(widths, int):
            widths = [widths] * (num_tasks + 1)
        *own, shared = widths
        self._experts(shared, units, num_experts)
        for width in own:
            self._experts(width, units, num_task_experts)
            self.dense(width, num_experts + num_task_experts)
        if shared_output:
            self.dense(shared, num_experts + num_tasks * num_task_experts)
        return [units[-1]] * (num_tasks + shared_output)

    def _experts(self, width: int, units: Sequence[int], n: int) -> None:
        for below, above in itertools.pairwise((width, *units)):
            self._add(n * (below + 1) * above)

    def cross_stitch(self, widths: list[int], depth: int) -> list[int]:
        self._add(len(widths) ** 2 * widths[0])
        return widths

    def transfer(self, before: int, own: int, units: int, task: int) -> int:
        self.dense(before, units)
        self.dense(own, 3 * units)
        return units

    def output(self, width: int, units: int) -> None:
        self.dense(width, units)


def count_weights(sharing: str, sizes: Sizes, at_most: float = math.inf) -> int:
    """Count the weights of a network.

    Parameters
    ----------
    sharing : str
        Name of an architecture.
    sizes : Sizes
        Its sizes.
    at_most : float, default=inf
        Number at which counting ends, for sizes that may be absurd.

    Returns
    -------
    int
        Number of weights.

    Raises
    ------
    ValueError
        If there are more than `at_most`.
    """
    counter = _WeightCounter(at_most)
    _, tops = ARCHITECTURES[sharing](counter, sizes.n_features, sizes)
    for width, units in zip(tops, sizes.task_units, strict=True):
        counter.output(width, units)
    return counter.n_weights + sum(sizes.constant_units)


def matched_sizes(sharing: str, sizes: Sizes, to: str | int | None) -> Sizes:
    """Choose the widths with which an architecture has a number of weights.

    Parameters
    ----------
    sharing : str
        Name of the architecture.
    sizes : Sizes
        Sizes to begin with.
    to : str, int or None
        A number of weights, or the name of an architecture, whose number with `sizes`
        is to be matched; None leaves the sizes as they are.

    Returns
    -------
    Sizes
        Sizes with which it has as many weights as whole widths allow.

    Raises
    ------
    ValueError
        If no widths come near, or there is no such architecture.
    """
    if to is None:
        return sizes
    if isinstance(to, str) and to not in ARCHITECTURES:
        raise ValueError(
            f"The 'match_parameters' parameter must be one of {list(ARCHITECTURES)}, "
            f"a number of weights or None, got {to!r}."
        )
    n_weights = count_weights(to, sizes) if isinstance(to, str) else int(to)
    best = _closest(sharing, sizes, n_weights)
    found = count_weights(sharing, best)
    if abs(found - n_weights) > _FARTHEST * n_weights:
        raise ValueError(
            f"The 'match_parameters' parameter asks for {n_weights} weights, but a "
            f"network of sharing={sharing!r} comes no closer than {found}: its tasks, "
            "features and numbers of experts leave it no other widths."
        )
    return best


def _closest(sharing: str, sizes: Sizes, n_weights: int) -> Sizes:
    """Scale the widths below the towers by one factor, then change single units."""

    def distance(candidate: Sizes) -> int:
        return abs(count_weights(sharing, candidate) - n_weights)

    low, high = 1e-4, 1.0
    while count_weights(sharing, _scaled(sizes, high)) < n_weights:
        high *= 2
    for _ in range(30):
        middle = math.sqrt(low * high)
        if count_weights(sharing, _scaled(sizes, middle)) < n_weights:
            low = middle
        else:
            high = middle
    best = min((sizes, _scaled(sizes, low), _scaled(sizes, high)), key=distance)
    for names in (_SCALED, (*_SCALED, "tower_units")):
        while distance(best) > _NEAR * n_weights:
            closer = min(_neighbours(best, names), key=distance)
            if distance(closer) >= distance(best):
                break
            best = closer
    return best


def _scaled(sizes: Sizes, factor: float) -> Sizes:
    widths: dict[str, Any] = {
        name: tuple(max(1, round(factor * width)) for width in getattr(sizes, name))
        for name in _SCALED
    }
    return dataclasses.replace(sizes, **widths)


def _neighbours(sizes: Sizes, names: Sequence[str]) -> list[Sizes]:
    """List the sizes of which one or two layers are a little wider or narrower."""
    places = [
        (name, depth) for name in names for depth in range(len(getattr(sizes, name)))
    ]
    found = []
    pairs = itertools.chain(
        ((place,) for place in places), itertools.combinations(places, 2)
    )
    for chosen in pairs:
        for changes in itertools.product((-2, -1, 1, 2), repeat=len(chosen)):
            widths = {name: list(getattr(sizes, name)) for name in names}
            for (name, depth), change in zip(chosen, changes, strict=True):
                widths[name][depth] += change
            if all(width >= 1 for of in widths.values() for width in of):
                as_tuples: dict[str, Any] = {n: tuple(of) for n, of in widths.items()}
                found.append(dataclasses.replace(sizes, **as_tuples))
    return found
