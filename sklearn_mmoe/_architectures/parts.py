"""What a network consists of, said by the one who builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe._architectures.sizes import Sizes

__all__ = ["Network", "Part"]


@dataclass(frozen=True)
class Part:
    """What a layer is for.

    Attributes
    ----------
    kind : str
        Such as 'shared layer' or 'tower'.
    task : int or None
        The task it serves alone; None for all of them.
    """

    kind: str
    task: int | None = None


@dataclass(frozen=True)
class Network:
    """A model, and what its layers are for.

    Attributes
    ----------
    model : keras.Model
        One input (n_samples, n_features), one output (n_samples, units) for each task:
        the heads, in the order of the tasks.
    parts : dict of str to Part
        What each layer is for, by its name.
    mixtures : tuple of keras.layers.Layer
        Layers that mix experts by gates, from the features up. Each has the methods
        ``expert_outputs`` and ``gate_outputs``.
    sharing : str or None
        Name of the architecture; None if a user's builder has made the network.
    sizes : Sizes or None
        How large its parts are.
    members : keras.Model or None
        Of an ensemble, the same network before the members are averaged: one output
        (n_members, n_samples, units) for each task.
    """

    model: keras.Model
    parts: Mapping[str, Part]
    mixtures: tuple[Any, ...]
    sharing: str | None = None
    sizes: Sizes | None = None
    members: keras.Model | None = None

    @property
    def heads(self) -> list[Any]:
        """The output of each task."""
        return list(self.model.outputs)

    @property
    def weights(self) -> list[Any]:
        """The weights of the network, in the order of ``keras.Model.weights``.

        Those of a kernel ridge regression beside an ensemble are not among them.
        """
        model = self.model if self.members is None else self.members
        return list(model.weights)

    def output_layers(self, task: int) -> list[tuple[Any, slice]]:
        """List the layers whose outputs are added up to those of a task.

        Returns
        -------
        list of (layer, slice)
            The output layer, then the linear model if there is one; and which columns
            of theirs belong to the task.
        """
        assert self.sizes is not None
        begin = sum(self.sizes.task_units[:task])
        units = self.sizes.task_units[task]
        output, linear = [], []
        for layer in self.model.layers:
            part = self.parts.get(layer.name)
            if part is None or not hasattr(layer, "kernel"):
                continue
            if part == Part("output", task):
                output.append((layer, slice(None)))
            elif part.kind.startswith("linear models") and part.task in (None, task):
                # Those of all tasks are beside each other; one of its own comes first.
                first = begin if part.task is None else 0
                linear.append((layer, slice(first, first + units)))
        return output + linear

    def layers(self) -> list[dict[str, Any]]:
        """Describe each layer: name, what it is for, kind, output shape, weights.

        A layer of several outputs has the shape of all of them, (outputs, units), or
        their total width where they differ in it.
        """
        rows = []
        for layer in self.model.layers:
            output = layer.output
            outputs = output if isinstance(output, list) else [output]
            # All but the rows, which come behind the members of an ensemble.
            first, *others = [
                tuple(size for size in one.shape if size is not None) for one in outputs
            ]
            shape = (len(outputs), *first) if others else first
            if any(other != first for other in others):
                shape = (*first[:-1], sum(one.shape[-1] for one in outputs))
            part = self.parts.get(layer.name)
            rows.append(
                {
                    "name": layer.name,
                    "part": "network" if part is None else part.kind,
                    "task": None if part is None else part.task,
                    "kind": type(layer).__name__,
                    "output": shape,
                    "weights": int(layer.count_params()),
                }
            )
        return rows
