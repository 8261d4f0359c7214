"""How the gates use the experts after a fit, and a warning where they do not."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

__all__ = ["mean_use", "warn_of_idle_gates"]

# An expert is dead if no task gives it this share of what each would have alike.
_DEAD = 0.02
# Gates are alike if none of their weights differs by this, in any row.
_ALIKE = 1e-3


def mean_use(gates: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Average the gates' weights over rows.

    Parameters
    ----------
    gates : ndarray of shape (n_rows, n_gates, n_experts)
        Weights; one gate for all tasks, or one for each.
    names : list of str
        Names of the tasks.

    Returns
    -------
    data frame of shape (n_tasks, n_experts)
        Mean weights.
    """
    n_experts = gates.shape[2]
    return pd.DataFrame(
        np.broadcast_to(gates.mean(axis=0), (len(names), n_experts)).copy(),
        index=pd.Index(names, name="task"),
        columns=[f"expert {i}" for i in range(n_experts)],
    )


def warn_of_idle_gates(gates: np.ndarray, names: list[str]) -> None:
    """Warn of experts that no task uses, and of gates that do not differ.

    Parameters
    ----------
    gates : ndarray of shape (n_rows, n_gates, n_experts)
        Weights.
    names : list of str
        Names of the tasks.
    """
    n_experts = gates.shape[2]
    if n_experts == 1:
        return
    most_used = gates.mean(axis=0).max(axis=0)
    dead = [f"expert {i}" for i in np.flatnonzero(most_used < _DEAD / n_experts)]
    if dead:
        _warn(
            f"No task uses {', '.join(dead)} of {n_experts}: no gate gives them "
            f"{_DEAD:.0%} of an equal share (see expert_use_). Lower num_experts, or "
            "keep them in use with load_balance_penalty=0.1 or gate_dropout=0.1."
        )
    elif gates.shape[1] > 1 and np.ptp(gates, axis=1).max() < _ALIKE:
        _warn(
            f"The gates of the tasks {names} are all alike: in each row they give the "
            "experts the same weights (see expert_use_), as one gate for all would. "
            "Lower gate_temperature, or do without gates of their own."
        )


def _warn(message: str) -> None:
    warnings.warn(message, ConvergenceWarning, stacklevel=2)
