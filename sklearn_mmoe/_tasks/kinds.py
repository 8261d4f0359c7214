"""What a task's loss is by name, and what the network's outputs then mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn_mmoe._tasks.columns import values_by_name

__all__ = [
    "CLASSIFICATION_LOSSES",
    "CONSTANT_OUTPUTS",
    "HUBER_DELTA",
    "LINKS",
    "QUANTILES",
    "REGRESSION_LOSSES",
    "losses_by_task",
    "target_width",
]

# By scikit-learn's names; the first is the default.
REGRESSION_LOSSES = (
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "poisson",
    "gamma",
    "tobit",
)
CLASSIFICATION_LOSSES = ("log_loss", "focal", "ordinal")

# What is learned with 'quantile'; others lie between them.
QUANTILES = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)

# Where 'huber' turns from squared to absolute errors, in standard deviations: in normal
# noise this keeps 95 % of the efficiency of squared errors (Huber, 1964).
HUBER_DELTA = 1.345

# What the outputs are, by the kind of task: logits of events, each by itself; logits of
# classes, one of which is right; standardised values; logarithms of values.
LINKS = {
    "binary": "logit",
    "binary_focal": "logit",
    "ordinal": "logit",
    "multiclass": "softmax",
    "multiclass_focal": "softmax",
    "regression": "identity",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "identity",
    "poisson": "log",
    "gamma": "log",
    "tobit": "identity",
}

# How many of a kind's outputs, the last ones, are the same for all rows: weights
# themselves. That of 'tobit' is the logarithm of the spread around the mean.
CONSTANT_OUTPUTS = {"tobit": 1}

_BY_TYPE = {
    "classification": CLASSIFICATION_LOSSES,
    "regression": REGRESSION_LOSSES,
}


def target_width(kind: str, units: int) -> int | None:
    """Return the number of columns of a kind's targets; None for class indices."""
    if LINKS[kind] == "softmax":
        return None
    return {"ordinal": units, "tobit": 2}.get(kind, 1)


def losses_by_task(loss: Any, names: Sequence[str], types: Sequence[str]) -> list[str]:
    """Bring the `loss` parameter to one name for each task.

    Parameters
    ----------
    loss : str, mapping, sequence of (str or None), or None
        One name, for all tasks of its type; or names by task or in the tasks' order.
        Tasks of which nothing is said have the default of their type.
    names : sequence of str
        Names of the tasks.
    types : sequence of {'classification', 'regression'}
        Their types.

    Returns
    -------
    list of str
        The loss of each task.

    Raises
    ------
    ValueError
        If a name is none of the tasks', the number of losses is not that of the tasks,
        or a loss does not fit the type of its task.
    """
    given = _given(loss, names, types)
    found = []
    for name, task_type in zip(names, types, strict=True):
        allowed = _BY_TYPE[task_type]
        of_task = given.get(name)
        if of_task is None:
            of_task = allowed[0]
        if of_task not in allowed:
            of_numbers = allowed is CLASSIFICATION_LOSSES and (
                of_task in REGRESSION_LOSSES
            )
            hint = (
                " If its targets are numbers, MultiTaskMMoEMixed takes it for a "
                f"regression with task_types={{{name!r}: 'regression'}}."
            )
            raise ValueError(
                f"The 'loss' parameter has {of_task!r} for the task {name!r}, which is "
                f"a {task_type} and takes one of {list(allowed)}."
                f"{hint if of_numbers else ''}"
            )
        found.append(of_task)
    return found


def _given(loss: Any, names: Sequence[str], types: Sequence[str]) -> Mapping[str, Any]:
    """Name the losses that are given."""
    if loss is None:
        return {}
    if isinstance(loss, str):
        fitting = [loss in _BY_TYPE[task_type] for task_type in types]
        if not any(fitting):
            other = next(of for of, losses in _BY_TYPE.items() if loss in losses)
            raise ValueError(
                f"The 'loss' parameter is {loss!r}, which fits none of the tasks: "
                f"{dict(zip(names, types, strict=True))}. It is one of {other}s."
            )
        return {name: loss for name, fits in zip(names, fitting, strict=True) if fits}
    if isinstance(loss, Mapping):
        return values_by_name("loss", loss, names)
    if len(loss) != len(names):
        raise ValueError(
            f"The 'loss' parameter has {len(loss)} losses, but there are {len(names)} "
            f"tasks: {list(names)}. Give one for each, or a dict by their names."
        )
    return dict(zip(names, loss, strict=True))
