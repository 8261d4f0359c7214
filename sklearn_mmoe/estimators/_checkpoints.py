"""Which fit a checkpoint belongs to: what decides how a fit goes, in short."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._files.values import Unknown, encode
from sklearn_mmoe._version import __version__
from sklearn_mmoe.estimators._fit_data import FitData, Seeds

if TYPE_CHECKING:
    from sklearn_mmoe._training.checkpoint import Checkpoints

__all__ = ["fingerprint", "open_checkpoints"]

# Parameters that change nothing of what a fit ends with, or are told in another way.
_OTHER_PARAMETERS = (
    "callbacks",
    "checkpoint_dir",
    "distribute",
    "verbose",
    "warm_start",
)
_LONGEST = 80
_BYTES_AT_ONCE = 2**24


def open_checkpoints(
    folder: str | os.PathLike[str] | None, seeds: Seeds, reads_only: bool = False
) -> tuple[Checkpoints | None, Seeds]:
    """Look for checkpoints.

    Parameters
    ----------
    folder : str, path-like or None
        The parameter `checkpoint_dir`.
    seeds : Seeds
        Those of a fit that begins anew.
    reads_only : bool, default=False
        Whether another process writes them.

    Returns
    -------
    checkpoints : Checkpoints or None
        None without a folder.
    seeds : Seeds
        Those to fit with: of the fit to go on with, if there is one, which may have
        drawn them from the operating system.
    """
    if folder is None:
        return None, seeds
    from sklearn_mmoe._training.checkpoint import Checkpoints

    checkpoints = Checkpoints(folder, reads_only)
    kept = checkpoints.seeds
    return checkpoints, seeds if kept is None else Seeds(*kept)


def fingerprint(
    estimator: Any, data: FitData, validation: FitData | None, resume: bool
) -> dict[str, str]:
    """Describe all that decides how a fit goes.

    Parameters
    ----------
    estimator : estimator
        The one that is about to be trained.
    data : FitData
        What it is trained on.
    validation : FitData or None
        What is not trained on.
    resume : bool
        Whether it goes on from the weights of an earlier fit.

    Returns
    -------
    dict of str to str
        Values of parameters and checksums of data, by the names that a user knows.
    """
    described = {
        "the release of sklearn_mmoe": __version__,
        "the estimator": type(estimator).__name__,
        **_of_data(data.sample, ""),
    }
    if hasattr(estimator, "feature_names_in_"):
        names = estimator.feature_names_in_.tolist()
        described["the names of X's columns"] = _short(json.dumps(names))
    described |= data.beyond_sample
    described["the number of folds that 'cv' makes"] = str(data.n_folds)
    # Otherwise it was set aside of what is described already.
    if validation is not None and validation.targets is not data.sample.targets:
        described |= _of_data(validation, "_val")
    for name, value in sorted(estimator.get_params(deep=False).items()):
        if name not in _OTHER_PARAMETERS:
            described[f"the parameter {name!r}"] = _short(_in_words(value))
    if resume:
        weights = estimator._engine.state.weights
        described["the model that warm_start goes on from"] = _checksum(
            [np.array(estimator.n_iter_), *weights]
        )
    return described


def _of_data(data: FitData, suffix: str) -> dict[str, str]:
    X: Any = data.features
    parts = [X]
    if hasattr(X, "indptr"):  # CSR
        parts = [X.data, X.indices, X.indptr, np.array(X.shape)]
    tasks = [encode(task) for task in data.tasks]
    return {
        f"X{suffix}": _checksum(parts),
        f"y{suffix}": _checksum(
            [*data.targets.columns, data.targets.observed], json.dumps(tasks)
        ),
        f"sample_weight{suffix}": _checksum([data.weights, data.rows]),
    }


def _checksum(arrays: Iterable[np.ndarray], text: str = "") -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        rows = np.atleast_1d(array)
        n_rows = max(1, _BYTES_AT_ONCE // max(1, rows[:1].nbytes))
        for start in range(0, len(rows), n_rows):  # never a copy of all
            digest.update(np.ascontiguousarray(rows[start : start + n_rows]).data)
    return f"sha256:{digest.hexdigest()}"


def _in_words(value: Any) -> str:
    """Write a parameter, the same in every process."""
    if isinstance(value, np.random.RandomState):
        return "a RandomState"  # whose seeds the checkpoint has
    try:
        return json.dumps(encode(value))
    except Unknown:
        pass
    if hasattr(value, "get_config"):
        return f"{type(value).__name__} {value.get_config()}"
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{getattr(value, '__module__', None)}.{name}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else _checksum([], text)
