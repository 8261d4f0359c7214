"""Fitted estimators to files and back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

import sklearn_mmoe._files.frames  # noqa: F401  adds to the kinds of values
from sklearn_mmoe._files import container
from sklearn_mmoe._files.description import describe, read_description
from sklearn_mmoe._files.kernel_ridge import (
    describe_kernel_ridge,
    kernel_ridge_arrays,
    read_kernel_ridge,
)
from sklearn_mmoe._files.requests import requests_of, set_requests
from sklearn_mmoe._files.values import decode, to_json, whole
from sklearn_mmoe._version import __version__
from sklearn_mmoe.estimators import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)
from sklearn_mmoe.estimators._fitted import fitted_attributes
from sklearn_mmoe.estimators._parameters import writable_strategy

__all__ = ["load", "save"]

# Raised by one with each release whose files older ones cannot read.
_FORMAT = 1
_CLASSES = {
    cls.__name__: cls
    for cls in (MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed)
}
# Lists of arrays in a state of training.
_PARTS = ("weights", "random", "optimizer", "weighting")
# Parameters that hold code, and what to do about them.
_CODE = {
    "callbacks": "They are no part of the model: save after set_params(callbacks=None)",
    "network": "Keep a model of your own builder with Keras: network_.save(path)",
    "optimizer": (
        "Save after set_params(optimizer='adamw'), or another of the names; a warm "
        "start then goes on with that one"
    ),
}


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a file; see its method ``save``."""
    check_is_fitted(estimator)
    name = type(estimator).__name__
    if _CLASSES.get(name) is not type(estimator):
        raise ValueError(
            f"{name} cannot be saved: its class is code, and a file holds none. Only "
            f"{', '.join(_CLASSES)} themselves can."
        )
    _check_no_code(estimator)
    parameters, fitted = estimator.get_params(deep=False), fitted_attributes(estimator)
    parameters["distribute"] = writable_strategy(estimator.distribute)
    _check_nothing_else(estimator, {*parameters, *fitted})
    engine = fitted.pop("_engine")
    state = engine.state
    document = {
        "format": _FORMAT,
        "sklearn_mmoe": __version__,
        "estimator": name,
        "parameters": {
            name: to_json(value, f"The {name!r} parameter")
            for name, value in parameters.items()
        },
        "requests": to_json(requests_of(estimator), "The metadata request"),
        "fitted": {
            name: to_json(value, f"The attribute {name!r}")
            for name, value in fitted.items()
        },
        "network": to_json(describe(engine.spec), "The network"),
        "optimizer": to_json(engine.optimizer_config, "The state of the optimizer"),
        "kernel_ridge": to_json(
            describe_kernel_ridge(engine.kernel_ridge), "The kernel ridge regression"
        ),
    }
    arrays = arrays_of(state) | kernel_ridge_arrays(engine.kernel_ridge)
    container.write(path, document, arrays)


def _check_no_code(estimator: Any) -> None:
    fitted_with = estimator._network_parameters.get("network")
    if estimator.network is None and fitted_with is not None:
        raise ValueError(
            f"A model fitted with network={fitted_with!r} cannot be saved. "
            f"{_CODE['network']}."
        )
    for name, advice in _CODE.items():
        value = getattr(estimator, name)
        if value is None or isinstance(value, str) or _is_empty(value):
            continue
        raise ValueError(
            f"The {name!r} parameter cannot be saved: {value!r} is code, and a file "
            f"holds none. {advice}."
        )


def _is_empty(value: Any) -> bool:
    return isinstance(value, list | tuple) and not value


def _check_nothing_else(estimator: Any, known: set[str]) -> None:
    """Refuse what would be lost, such as callbacks of scikit-learn's own."""
    others = sorted(set(vars(estimator)) - known - {"_metadata_request"})
    if others:
        raise ValueError(
            f"{type(estimator).__name__} cannot be saved: it has the attributes "
            f"{others}, which are neither parameters nor made by fit."
        )


def arrays_of(state: Any) -> dict[str, np.ndarray]:
    """Name all arrays of a training state."""
    return {
        f"{part}/{k}": array
        for part in _PARTS
        for k, array in enumerate(getattr(state, part) or ())
    }


def lists_of(arrays: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """Sort arrays into those lists again.

    Raises
    ------
    ValueError
        If an array has another name, or one is missing.
    """
    lists: dict[str, list[np.ndarray]] = {part: [] for part in _PARTS}
    for part, found in lists.items():
        while f"{part}/{len(found)}" in arrays:
            found.append(arrays[f"{part}/{len(found)}"])
    if sum(map(len, lists.values())) != len(arrays):
        raise ValueError("there are arrays of unknown names")
    return lists


def load(path: str | os.PathLike[str]) -> Any:
    """Load a fitted estimator from a file that its method ``save`` has written.

    Unlike unpickling, this runs no code from the file and imports nothing that the
    file names. The whole file is checked before an estimator is made.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    MultiTaskMMoEClassifier, MultiTaskMMoERegressor or MultiTaskMMoEMixed
        The estimator, with the same parameters, fitted attributes and predictions as
        the one that was saved.

    Raises
    ------
    ValueError
        If the file was not written by ``save``, was changed or cut since, or was
        written by a newer release whose files this one does not know.
    RuntimeError
        If Keras runs on another backend than TensorFlow, or this process was forked
        from one in which TensorFlow had started.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    MultiTaskMMoEClassifier.save : Write such a file.

    Notes
    -----
    The checksum finds accidental damage. It is not a signature: whoever can change a
    file can also change its checksum, and give the model other weights. Even then
    nothing in it can run.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_mmoe import MultiTaskMMoERegressor, load
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> X, y = make_related_tasks(n_samples=100, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=2, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     reg.fit(X, y).save(Path(folder) / "model.mmoe")
    ...     again = load(Path(folder) / "model.mmoe")
    >>> bool((again.predict(X) == reg.predict(X)).all())
    True
    """
    document, arrays = container.read(path)
    _check_format(document, path)
    try:
        return _restore(document, arrays)
    except Exception as error:  # whatever a document that is none of ours may lead to
        if type(error) is RuntimeError:  # of this process: a fork, or another backend
            raise
        raise ValueError(
            f"The file {str(path)!r}, written by sklearn_mmoe "
            f"{document.get('sklearn_mmoe')}, holds no estimator of this release, "
            f"{__version__}: {type(error).__name__}: {error}. Nothing was loaded from "
            "it."
        ) from error


def _check_format(document: Mapping[str, Any], path: Any) -> None:
    written = document.get("format")
    if type(written) is int and written > _FORMAT:
        raise ValueError(
            f"The file {str(path)!r} was written by sklearn_mmoe "
            f"{document.get('sklearn_mmoe')}, whose files this release, {__version__}, "
            "does not know. Update sklearn_mmoe to load it."
        )
    if type(written) is not int or written < 1 or "estimator" not in document:
        raise ValueError(f"The file {str(path)!r} holds something else than a model.")


def _restore(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """Make an estimator; all that is said of it must fit together."""
    cls: Any = _CLASSES[document["estimator"]]
    given = {name: decode(value) for name, value in document["parameters"].items()}
    # A parameter that came later than the file has its default.
    estimator = cls(**given)
    estimator._validate_params()
    set_requests(estimator, decode(document["requests"]))
    fitted = {name: decode(value) for name, value in document["fitted"].items()}
    _check_fitted(cls, fitted)
    if isinstance(estimator.dropout, float):
        # Files of before `dropout_` had the one that was given.
        fitted.setdefault("dropout_", estimator.dropout)
    fitted.setdefault("cv_weights_", _only_best(fitted))
    fitted.setdefault("cv_shrinkage_", _of_each_task(fitted, 1.0))
    fitted.setdefault("kernel_ridge_weights_", _of_each_task(fitted, 0.0))
    estimator.__dict__.update(fitted)
    # Said once more, by the tasks, so that all says the same.
    estimator._publish_tasks(None)
    estimator._y_columns = fitted["_y_columns"]
    estimator._engine = _restore_engine(document, fitted, arrays)
    if set(fitted_attributes(estimator)) != {*fitted, "_engine"}:
        raise ValueError("attributes are missing")
    return estimator


def _only_best(fitted: Mapping[str, Any]) -> pd.DataFrame | None:
    """Weigh strengths as before they were averaged: the best one alone."""
    losses = fitted.get("cv_losses_")
    if losses is None:
        return None
    weights = np.zeros((len(fitted["task_names_"]), losses.shape[1]))
    weights[:, losses.to_numpy().min(axis=0).argmin()] = 1
    index = pd.Index(fitted["task_names_"], name="task")
    return pd.DataFrame(weights, index=index, columns=losses.columns)


def _of_each_task(fitted: Mapping[str, Any], value: float) -> dict[str, float] | None:
    """Say of each task what an ensemble had before this was chosen for it."""
    if fitted.get("cv_losses_") is None:
        return None
    return dict.fromkeys(fitted["task_names_"], value)


def _check_fitted(cls: Any, fitted: Mapping[str, Any]) -> None:
    tasks, labels = fitted["_tasks"], fitted["_y_columns"]
    names = [task.name for task in tasks]
    wrong = [name for name in fitted if hasattr(cls, name)]
    probe = cls()
    probe.__dict__.update(fitted)
    wrong += sorted(set(fitted) - set(fitted_attributes(probe)))
    if wrong:
        raise ValueError(f"{wrong} are no attributes of a fit")
    if (
        not names
        or names != fitted["task_names_"]
        or len(names) != fitted["n_outputs_"]
    ):
        raise ValueError(f"the tasks {names} are not those of task_names_")
    if labels is not None and len(labels) != len(names):
        raise ValueError(f"there are {len(labels)} labels of columns for {len(names)}")
    if whole(fitted["n_features_in_"]) < 1 or whole(fitted["n_iter_"]) < 0:
        raise ValueError("there are no features")


def _check_weights(
    kernel_ridge: Any, n_members: int | None, fitted: Mapping[str, Any]
) -> None:
    """Check that a kernel ridge regression counts as it is said."""
    shares = (0.0,) * len(fitted["_tasks"])
    if kernel_ridge is not None:
        shares = kernel_ridge.shares
        if n_members is None:
            raise ValueError("there is a kernel ridge regression, but no ensemble")
    said = fitted["kernel_ridge_weights_"]
    meant = dict(zip(fitted["task_names_"], shares, strict=True))
    if said != meant and (said is not None or any(shares)):
        raise ValueError(f"the kernel ridge regression has weights of {shares}")


def _restore_engine(
    document: Mapping[str, Any],
    fitted: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> Any:
    tasks = fitted["_tasks"]
    said = decode(document["network"])
    dependencies = said["parameters"].get("task_dependencies", ())
    kernel_ridge, arrays = read_kernel_ridge(
        decode(document.get("kernel_ridge")),
        arrays,
        fitted["n_features_in_"],
        tasks,
        {k for pair in dependencies for k in pair},
    )
    lists = lists_of(arrays)
    described = read_description(
        said,
        fitted["n_features_in_"],
        tasks,
        sum(weight.size for weight in lists["weights"]),
    )
    _check_weights(kernel_ridge, described["n_members"], fitted)
    # Keras and TensorFlow are loaded here, for a file that all else is right with.
    from sklearn_mmoe._training.engine import Engine, NetworkSpec, TrainingState

    spec = NetworkSpec(
        n_features=fitted["n_features_in_"],
        kinds=tuple(task.kind for task in tasks),
        units=tuple(task.units for task in tasks),
        **described,
    )
    # An optimizer without a state of its own is none that is kept.
    kept = {part: lists[part] or None for part in ("optimizer", "weighting")}
    state = TrainingState(lists["weights"], lists["random"], **kept)
    optimizer = decode(document["optimizer"])
    return Engine.restore(spec, state, optimizer, kernel_ridge)
