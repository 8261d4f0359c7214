"""How large the parts of a network are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any

from sklearn_mmoe._tasks.kinds import CONSTANT_OUTPUTS

__all__ = ["Sizes"]


@dataclass(frozen=True)
class Sizes:
    """All that an architecture needs to know of a network's sizes.

    Attributes
    ----------
    n_features : int
        Number of features.
    task_units : tuple of int
        Width of each task's output, as far as it depends on the features.
    shared_units, expert_units, tower_units : tuple of int
        Widths of the layers below the experts, of each expert's, and of each tower's.
    num_experts, num_task_experts : int
        Numbers of experts that all tasks share, and of each task's own.
    num_levels : int
        Number of levels of experts.
    wide : bool
        Whether a linear model is added to each task's output.
    constant_units : tuple of int
        How many columns each task's output has beside that, which are weights
        themselves.
    """

    n_features: int
    task_units: tuple[int, ...]
    shared_units: tuple[int, ...] = (96,)
    expert_units: tuple[int, ...] = (32,)
    tower_units: tuple[int, ...] = (16,)
    num_experts: int = 8
    num_task_experts: int = 2
    num_levels: int = 2
    wide: bool = True
    constant_units: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        n_features: int,
        task_units: Sequence[int],
        parameters: Mapping[str, Any],
        kinds: Sequence[str] | None = None,
    ) -> Sizes:
        """Bring widths to tuples; a width alone is that of one layer.

        The width of a task's whole output is divided as its kind says, if it is known.
        """
        sizes = dict(parameters)
        for name in ("shared_units", "expert_units", "tower_units"):
            widths = sizes.get(name, getattr(cls, name))
            alone = isinstance(widths, Integral)
            sizes[name] = (int(widths),) if alone else tuple(map(int, widths))
        if kinds is None:
            return cls(n_features, tuple(task_units), **sizes)
        constant = tuple(CONSTANT_OUTPUTS.get(kind, 0) for kind in kinds)
        others = zip(task_units, constant, strict=True)
        sizes["constant_units"] = constant
        return cls(n_features, tuple(units - n for units, n in others), **sizes)

    @classmethod
    def among(
        cls,
        n_features: int,
        task_units: Sequence[int],
        parameters: Mapping[str, Any],
        kinds: Sequence[str],
    ) -> Sizes:
        """Pick the sizes out of all parameters of a network."""
        names = {part.name for part in fields(cls)} & set(parameters)
        given = {name: parameters[name] for name in names}
        return cls.of(n_features, task_units, given, kinds)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.task_units)

    @property
    def linear_units(self) -> tuple[int, ...]:
        """Widths of the linear models that all tasks' outputs are given."""
        return self.task_units if self.wide else ()

    @property
    def own_linear_units(self) -> list[tuple[int, ...]]:
        """The same for each task, where each has a first layer of its own."""
        return [(units,) if self.wide else () for units in self.task_units]

    @property
    def bottom_units(self) -> tuple[int, ...]:
        """Widths of all layers below the towers, where there are no experts."""
        return (*self.shared_units, *self.expert_units)
