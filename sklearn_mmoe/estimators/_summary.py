"""The layers of a network in a table, each told what it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

__all__ = ["summary_table"]


def summary_table(
    layers: Iterable[Mapping[str, Any]], task_names: Sequence[str]
) -> pd.DataFrame:
    """Make the table.

    Parameters
    ----------
    layers : iterable of dict
        'name', 'part', 'task', 'kind', 'output' and 'weights' of each layer.
    task_names : sequence of str
        Names of the tasks.

    Returns
    -------
    data frame of shape (n_layers, 4)
        Columns 'part', 'kind', 'output' and 'weights', by the layers' names.
    """
    table = pd.DataFrame(list(layers)).set_index("name")
    table["part"] = [
        part if pd.isna(task) else f"{part} of {task_names[int(task)]}"
        for part, task in zip(table["part"], table["task"], strict=True)
    ]
    return table.drop(columns="task")
