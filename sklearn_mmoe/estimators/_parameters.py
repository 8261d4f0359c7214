"""The parameters that the estimators share: constraints, and what 'auto' means."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

if TYPE_CHECKING:
    from sklearn_mmoe._tasks.columns import TaskColumns
    from sklearn_mmoe._training.engine import Engine

__all__ = [
    "PARAMETER_CONSTRAINTS",
    "SHARING",
    "EstimatorParameters",
    "auto_batch_size",
    "auto_epochs",
    "by_rows",
    "check_units",
    "naming_unknown_parameters",
    "network_parameters",
    "writable_strategy",
]

_Init = TypeVar("_Init", bound=Callable[..., None])

# The architectures of sklearn_mmoe._architectures.registry, which needs Keras.
SHARING = (
    "single",
    "shared_bottom",
    "omoe",
    "mmoe",
    "cgc",
    "ple",
    "cross_stitch",
    "aitm",
)

PARAMETER_CONSTRAINTS: dict[str, list[Any]] = {
    "num_experts": [Interval(Integral, 1, None, closed="left")],
    "sharing": [StrOptions(set(SHARING))],
    "num_task_experts": [Interval(Integral, 1, None, closed="left")],
    "num_levels": [Interval(Integral, 1, None, closed="left")],
    "expert_units": ["array-like", Interval(Integral, 1, None, closed="left")],
    "shared_units": ["array-like", Interval(Integral, 1, None, closed="left")],
    "tower_units": ["array-like", Interval(Integral, 1, None, closed="left")],
    "match_parameters": [
        None,
        StrOptions(set(SHARING)),
        Interval(Integral, 1, None, closed="left"),
    ],
    "gate_dropout": [Interval(Real, 0, 1, closed="left")],
    "gate_temperature": [Interval(Real, 0, None, closed="neither")],
    "load_balance_penalty": [Interval(Real, 0, None, closed="left")],
    "activation": [StrOptions({"relu", "silu", "gelu", "tanh"})],
    "wide": ["boolean"],
    "dropout": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    "feature_penalty": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "dtype": [StrOptions({"float32", "float64"})],
    "optimizer": [
        StrOptions({"adamw", "adam", "nadam", "lion", "rmsprop", "sgd"}),
        HasMethods(["apply_gradients", "get_config"]),
    ],
    "learning_rate": [Interval(Real, 0, None, closed="neither")],
    "learning_rate_schedule": [StrOptions({"linear", "constant"})],
    "weight_decay": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
    "batch_size": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "max_iter": [
        StrOptions({"auto"}),
        Interval(Integral, 1, None, closed="left"),
    ],
    "task_weight": [StrOptions({"uniform", "observed"}), Mapping, "array-like"],
    "task_weighting": [
        StrOptions({"uniform", "uncertainty", "dwa", "lbtw", "gradnorm", "pcgrad"})
    ],
    "early_stopping": ["boolean"],
    "early_stopping_metric": [str, callable],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "cv": [StrOptions({"auto"}), "cv_object"],
    "kernel_ridge": [StrOptions({"auto"}), None],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "checkpoint_dir": [None, str, os.PathLike],
    "distribute": [
        None,
        StrOptions({"mirrored", "multi_worker_mirrored"}),
        HasMethods(["run", "scope"]),
    ],
    "network": [None, callable],
    "callbacks": [None, "array-like", HasMethods(["set_model", "on_epoch_end"])],
}


# max_iter='auto' makes about this many updates. An update of more than _UPDATE_ROWS
# rows counts as rows / _UPDATE_ROWS of them, because it does the work of several. The
# number of epochs stays within the bounds.
_AUTO_UPDATES = 800
# An update of an ensemble takes several times as long, and its members, which are
# averaged, need fewer.
_ENSEMBLE_UPDATES = 400
_UPDATE_ROWS = 256
_AUTO_EPOCHS = (8, 200)
_AUTO_BATCH_SIZE = (16, 1024)
_ENSEMBLE_BATCH_SIZE = (32, 1024)

# 'auto' of these falls from the first value, on few rows, to the second, on many.
_FEW_ROWS, _MANY_ROWS = 150, 15_000
_AUTO_BY_ROWS = {
    "feature_penalty": (0.25, 0.0075),
    "weight_decay": (2.0, 0.1),
    "dropout": (0.2, 0.2),
}


def by_rows(name: str, value: float | str, n_samples: int) -> float:
    """Return a parameter's value; 'auto' falls as a power of the rows, within bounds.

    Parameters
    ----------
    name : {'feature_penalty', 'weight_decay', 'dropout'}
        Name of the parameter.
    value : float or 'auto'
        What it was set to.
    n_samples : int
        Rows to train on.

    Returns
    -------
    float
        The value to train with.
    """
    if not isinstance(value, str):
        return float(value)
    few, many = _AUTO_BY_ROWS[name]
    fewness = np.log(_MANY_ROWS / n_samples) / np.log(_MANY_ROWS / _FEW_ROWS)
    return float(many * (few / many) ** np.clip(fewness, 0, 1))


def auto_batch_size(n_samples: int, ensemble: bool = False) -> int:
    """Return the power of two just below n_samples / 50, within bounds."""
    power = int(np.log2(max(n_samples / 50, 1)))
    bounds = _ENSEMBLE_BATCH_SIZE if ensemble else _AUTO_BATCH_SIZE
    return int(np.clip(2**power, *bounds))


def auto_epochs(n_samples: int, batch_size: int, ensemble: bool = False) -> int:
    """Return the number of epochs that makes enough updates, within bounds."""
    updates = _ENSEMBLE_UPDATES if ensemble else _AUTO_UPDATES
    rows = updates * min(batch_size, _UPDATE_ROWS)
    return int(np.clip(-(-rows // n_samples), *_AUTO_EPOCHS))


def check_units(name: str, sizes: Any, at_least: int = 0) -> tuple[int, ...]:
    """Bring a width or a sequence of widths to a tuple of ints."""
    sizes = (sizes,) if isinstance(sizes, Integral) else tuple(sizes)
    positive = all(isinstance(size, Integral) and int(size) >= 1 for size in sizes)
    if not positive or len(sizes) < at_least:
        raise ValueError(
            f"The {name!r} parameter must be a positive int or a sequence of them, got "
            f"{sizes!r}."
        )
    return tuple(int(size) for size in sizes)


def writable_strategy(distribute: Any) -> str | None:
    """Return what files and pickles have for `distribute`: a name, or None."""
    return distribute if isinstance(distribute, str) else None


def network_parameters(estimator: Any) -> dict[str, Any]:
    """Collect the parameters that decide on the network's structure.

    Returns
    -------
    dict
        Arguments of :func:`sklearn_mmoe.networks.multi_task_network`, by the same
        names. A fit that goes on with a network needs them all unchanged.
    """
    match = estimator.match_parameters
    dependencies = getattr(estimator, "task_dependencies", None)
    return {
        "sharing": estimator.sharing,
        "num_experts": int(estimator.num_experts),
        "num_task_experts": int(estimator.num_task_experts),
        "num_levels": int(estimator.num_levels),
        "expert_units": check_units("expert_units", estimator.expert_units, at_least=1),
        "shared_units": check_units("shared_units", estimator.shared_units),
        "tower_units": check_units("tower_units", estimator.tower_units),
        "match_parameters": int(match) if isinstance(match, Integral) else match,
        "gate_dropout": float(estimator.gate_dropout),
        "gate_temperature": float(estimator.gate_temperature),
        "load_balance_penalty": float(estimator.load_balance_penalty),
        "task_dependencies": dict(dependencies or {}),
        "activation": estimator.activation,
        "wide": bool(estimator.wide),
        "dropout": estimator.dropout,
        "feature_penalty": estimator.feature_penalty,
        "dtype": estimator.dtype,
    }


def naming_unknown_parameters(init: _Init) -> _Init:
    """Let an ``__init__`` say of which class a parameter is unknown, and what is near.

    Python names the function, which may be that of a base class that no user knows.
    The signature stays, from which scikit-learn reads the parameters.
    """
    names = [*inspect.signature(init).parameters][1:]  # but self

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        owner = type(self).__name__
        for name in kwargs:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"{owner} has no parameter {name!r}.{hint}")
        if len(args) > 1:
            raise TypeError(
                f"{owner} takes {names[0]!r} alone by its position, got {len(args)} "
                "values; give the others by name."
            )
        init(self, *args, **kwargs)

    return cast(_Init, checked)


class EstimatorParameters(BaseEstimator, metaclass=ABCMeta):
    """What all estimators are made with, and what their kinds differ in."""

    _parameter_constraints: dict[str, list[Any]] = PARAMETER_CONSTRAINTS

    @naming_unknown_parameters
    def __init__(
        self,
        num_experts: int = 8,
        *,
        loss: Any = "squared_error",
        sharing: str = "mmoe",
        num_task_experts: int = 2,
        num_levels: int = 2,
        expert_units: Any = 32,
        shared_units: Any = (96,),
        tower_units: Any = (16,),
        match_parameters: str | int | None = None,
        gate_dropout: float = 0.0,
        gate_temperature: float = 1.0,
        load_balance_penalty: float = 0.0,
        activation: str = "silu",
        wide: bool = True,
        dropout: float | str = "auto",
        feature_penalty: float | str = "auto",
        optimizer: Any = "adamw",
        learning_rate: float = 1e-2,
        learning_rate_schedule: str = "linear",
        weight_decay: float | str = "auto",
        batch_size: int | str = "auto",
        max_iter: int | str = "auto",
        task_weight: Any = "observed",
        task_weighting: str = "uniform",
        early_stopping: bool = False,
        early_stopping_metric: Any = "loss",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        tol: float = 1e-4,
        cv: Any = "auto",
        kernel_ridge: str | None = "auto",
        random_state: Any = None,
        verbose: int | bool = 0,
        warm_start: bool = False,
        checkpoint_dir: Any = None,
        distribute: Any = None,
        callbacks: Any = None,
        network: Any = None,
        dtype: str = "float32",
    ) -> None:
        self.num_experts = num_experts
        self.loss = loss
        self.sharing = sharing
        self.num_task_experts = num_task_experts
        self.num_levels = num_levels
        self.expert_units = expert_units
        self.shared_units = shared_units
        self.tower_units = tower_units
        self.match_parameters = match_parameters
        self.gate_dropout = gate_dropout
        self.gate_temperature = gate_temperature
        self.load_balance_penalty = load_balance_penalty
        self.activation = activation
        self.wide = wide
        self.dropout = dropout
        self.feature_penalty = feature_penalty
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.task_weight = task_weight
        self.task_weighting = task_weighting
        self.early_stopping = early_stopping
        self.early_stopping_metric = early_stopping_metric
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.cv = cv
        self.kernel_ridge = kernel_ridge
        self.random_state = random_state
        self.verbose = verbose
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.distribute = distribute
        self.callbacks = callbacks
        self.network = network
        self.dtype = dtype

    def __sklearn_clone__(self) -> Any:
        # A strategy cannot be copied: it is the devices themselves, which clones share.
        without: Any = object.__new__(type(self))
        without.__dict__ |= {**vars(self), "distribute": None}
        clone = super(EstimatorParameters, without).__sklearn_clone__()
        clone.distribute = self.distribute
        return clone

    def __getstate__(self) -> dict[str, Any]:
        # Another process has other devices.
        state: Any = super().__getstate__()
        return {**state, "distribute": writable_strategy(state.get("distribute"))}

    _engine: Engine
    _tasks: list[Any]
    task_names_: list[Any]
    n_iter_: int
    kernel_ridge_weights_: dict[str, float] | None
    _split_seed: int
    # As LabelTask.weigh takes it: losses of classes are to count as those of values do.
    _by_entropy = False
    _expert_use: np.ndarray | None

    @abstractmethod
    def _find_tasks(
        self, targets: TaskColumns, weights: np.ndarray, classes: Any
    ) -> list[Any]:
        """Learn from the targets what kind of tasks they are, and their classes."""

    def _publish_tasks(self, y: Any) -> None:
        """Set the fitted attributes that say of the tasks what a user may ask."""
