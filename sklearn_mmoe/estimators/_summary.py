"""The layers of a network in a table, each told what it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

__all__ = ["summary_table"]

_PARTS = {
    "features": "features",
    "wide": "linear models",
    "wide_and_shared_0": "linear models and shared layer",
    "mmoe": "experts and gates",
}


def summary_table(
    layers: Iterable[tuple[str, str, tuple[int, ...], int]], task_names: Sequence[str]
) -> pd.DataFrame:
    """Make the table.

    Parameters
    ----------
    layers : iterable of (str, str, tuple of int, int)
        Name, kind, shape of the output and number of weights of each layer.
    task_names : sequence of str
        Names of the tasks.

    Returns
    -------
    data frame of shape (n_layers, 4)
        Columns 'part', 'kind', 'output' and 'weights', by the layers' names.
    """
    table = pd.DataFrame(layers, columns=["name", "kind", "output", "weights"])
    table.insert(0, "part", [_part(name, task_names) for name in table["name"]])
    return table.set_index("name")


def _part(layer: str, task_names: Sequence[str]) -> str:
    """Say what a layer belongs to, by the name that ``mmoe_network`` gave it."""
    kind, _, rest = layer.partition("_")
    if kind in ("tower", "task"):
        is_output = kind == "task" or rest.endswith("output")
        task = task_names[int(rest.split("_")[0])]
        return f"{'output' if is_output else 'tower'} of {task}"
    return _PARTS.get(layer, "shared layer")
