"""What a fit is given, checked and brought to arrays."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from sklearn_mmoe._tasks.columns import TaskColumns
from sklearn_mmoe._tasks.split import joint_groups
from sklearn_mmoe._tasks.tasks import LabelTask


def check_numeric_columns(X: Any, estimator_name: str) -> None:
    """Name the columns of a data frame that are not numbers."""
    if not isinstance(X, pd.DataFrame):
        return
    text = [name for name, dtype in X.dtypes.items() if dtype.kind not in "biuf"]
    # Columns of Python objects may still hold numbers; scikit-learn converts those.
    text = [name for name in text if X[name].dtype.kind != "O" or _has_text(X[name])]
    if text:
        raise ValueError(
            f"{estimator_name} takes numeric features only, but these columns of X are "
            f"not numeric: {text}. Encode them first, for example with "
            "make_pipeline(make_tabular_preprocessor(), ...)."
        )


def _has_text(column: Any) -> bool:
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        return True
    return False


def check_units(name: str, sizes: Any) -> tuple[int, ...]:
    """Bring a width or a sequence of widths to a tuple of ints."""
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(
            f"The {name!r} parameter must be a positive int or a sequence of them, got "
            f"{sizes!r}."
        )
    return tuple(int(size) for size in sizes)


@dataclass(frozen=True)
class EncodedTargets:
    """Targets as the engine wants them.

    Attributes
    ----------
    columns : list of ndarray
        Each task's targets, shaped as its loss takes them.
    codes : list of ndarray of shape (n_samples,) or None
        Class indices of each classification.
    observed : ndarray of bool of shape (n_samples, n_tasks)
        Where there is a target.
    """

    columns: list[np.ndarray]
    codes: list[np.ndarray | None]
    observed: np.ndarray

    def groups(self) -> np.ndarray | None:
        """Give each combination of labels, missing ones among them, a number."""
        codes = [
            np.where(self.observed[:, k], code, -1)
            for k, code in enumerate(self.codes)
            if code is not None
        ]
        return joint_groups(codes) if codes else None


def encode_targets(tasks: list[Any], columns: TaskColumns) -> EncodedTargets:
    """Encode the targets of each task as its loss takes them."""
    encoded: list[np.ndarray] = []
    codes: list[np.ndarray | None] = []
    for task, column, observed in zip(
        tasks, columns.columns, columns.observed, strict=True
    ):
        if isinstance(task, LabelTask):
            of_task = task.codes(column, observed)
            codes.append(of_task)
            encoded.append(task.encode_codes(of_task))
        else:
            codes.append(None)
            encoded.append(task.encode(column, observed))
    return EncodedTargets(encoded, codes, np.column_stack(columns.observed))


@dataclass(frozen=True)
class Rows:
    """What a fit was given, validated; only `rows` count.

    X, y and sample_weight are as the user gave them, for scorers and callbacks.
    """

    X: Any
    y: Any
    features: Any
    sample_weight: Any
    targets: EncodedTargets
    weights: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Seeds:
    """Seeds of the network, of the order of the rows and of the validation split."""

    network: int
    shuffle: int
    split: int

    @classmethod
    def draw(cls, random_state: Any) -> Seeds:
        """Derive the three seeds from `random_state`."""
        words = _seed_sequence(random_state).generate_state(3) >> 1
        return cls(*(int(word) for word in words))


def _seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Turn `random_state` into entropy.

    None takes it from the operating system: scikit-learn's custom, to draw from
    NumPy's global generator, would change that generator's state.
    """
    if random_state is None:
        return np.random.SeedSequence()
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(random_state.randint(2**31))
    return np.random.SeedSequence(int(random_state))
