"""How the gates use the experts after a fit, and a warning where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from sklearn_mmoe._warnings import warn

__all__ = ["expert_names", "names_in_members", "use_table", "warn_of_idle_gates"]

# An expert is dead if no task gives it this share of what each would have alike.
_DEAD = 0.001
# Gates are alike if none of their weights differs by this, in any row.
_ALIKE = 1e-3


def expert_names(spec: Any, task_names: list[str]) -> list[str]:
    """Name the experts that one gate of a network mixes, in their order.

    Parameters
    ----------
    spec : NetworkSpec
        Description of one of our networks; of an ensemble the names are those of each
        member's experts.
    task_names : list of str
        Names of the tasks.

    Returns
    -------
    list of str
        'expert 0', ...; of 'cgc' and 'ple' 'shared 0', ... and, of the experts of a
        task's own, its name and a number.
    """
    sharing, n_experts = spec.parameters["sharing"], spec.parameters["num_experts"]
    if sharing not in ("cgc", "ple"):
        return [f"expert {i}" for i in range(n_experts)]
    n_own = spec.parameters["num_task_experts"]
    own = [f"{task} {i}" for task in task_names for i in range(n_own)]
    return [*(f"shared {i}" for i in range(n_experts)), *own]


def names_in_members(spec: Any, task_names: list[str]) -> list[str]:
    """Name all experts, those of an ensemble such as 'member 0, expert 3'."""
    names = expert_names(spec, task_names)
    if spec.n_members is None:
        return names
    return [f"member {m}, {name}" for m in range(spec.n_members) for name in names]


def use_table(use: np.ndarray, task_names: list[str], experts: list[str]) -> Any:
    """Put the mean weights of experts into a data frame.

    Parameters
    ----------
    use : ndarray of shape (n_gates, n_experts)
        Mean weights; one gate for all tasks, or one for each.
    task_names : list of str
        Names of the tasks.
    experts : list of str
        Names of the experts.

    Returns
    -------
    data frame of shape (n_tasks, n_experts)
        Mean weights.
    """
    return pd.DataFrame(
        np.broadcast_to(use, (len(task_names), len(experts))).copy(),
        index=pd.Index(task_names, name="task"),
        columns=experts,
    )


def warn_of_idle_gates(
    gates: np.ndarray, task_names: list[str], experts: list[str], may_be_alike: bool
) -> None:
    """Warn of experts that no task uses, and of gates that do not differ.

    Parameters
    ----------
    gates : ndarray of shape (n_rows, n_gates, n_experts)
        Weights.
    task_names : list of str
        Names of the tasks.
    experts : list of str
        Names of the experts.
    may_be_alike : bool
        Whether gates that do not differ are no finding.
    """
    n_experts = len(experts)
    if n_experts == 1:
        return
    most_used = gates.mean(axis=0).max(axis=0)
    dead = [experts[i] for i in np.flatnonzero(most_used < _DEAD / n_experts)]
    if dead:
        warn(
            f"No task uses {_listed(dead)} of {n_experts}: no gate gives them "
            f"{_DEAD:.1%} of an equal share (see expert_use_). Lower num_experts, or "
            "keep them in use with load_balance_penalty=0.1 or gate_dropout=0.1.",
            ConvergenceWarning,
            finding=("unused experts", n_experts),
        )
    elif (
        not may_be_alike and gates.shape[1] > 1 and np.ptp(gates, axis=1).max() < _ALIKE
    ):
        warn(
            f"The gates of the tasks {task_names} are all alike: in each row they give "
            "the experts the same weights (see expert_use_), as one gate for all "
            "would. A lower gate_temperature lets them differ; sharing='omoe' or "
            "'shared_bottom' is simpler, and predicts as well then.",
            ConvergenceWarning,
        )


def _listed(names: list[str], most: int = 10) -> str:
    more = [f"{len(names) - most} more"] if len(names) > most else []
    separator = "; " if any("," in name for name in names) else ", "
    return separator.join([*names[:most], *more])
