"""What `calibration` asks of a fit: rows that were not trained on, and temperatures."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mmoe._tasks.tasks import LabelTask
from sklearn_mmoe._tasks.temperature import fit_temperature
from sklearn_mmoe._warnings import warn
from sklearn_mmoe.estimators._fit_data import FitData

__all__ = [
    "calibrated",
    "check_calibration",
    "is_calibrating",
    "refuse_calibration",
    "temperatures",
    "uncalibrated",
]


def is_calibrating(estimator: Any) -> bool:
    """Whether a fit ends with temperatures; a regressor knows of none."""
    return getattr(estimator, "calibration", None) is not None


def check_calibration(estimator: Any) -> None:
    """Check that nothing is set which calibration would contradict.

    Raises
    ------
    ValueError
        If it is.
    """
    if not is_calibrating(estimator):
        return
    given = estimator.calibration
    if estimator.warm_start:
        raise ValueError(
            f"calibration={given!r} cannot be used together with warm_start=True: "
            "the network may have been trained on the rows to calibrate with. Set "
            "calibration=None, or fit anew with warm_start=False."
        )
    if estimator.task_dependencies:
        raise ValueError(
            f"calibration={given!r} cannot be used together with 'task_dependencies': "
            "with a temperature of its own, an event could become more probable than "
            "the one that it depends on. Set one of them to None."
        )


def refuse_calibration(estimator: Any) -> None:
    """Refuse calibration in partial_fit, which sets no rows aside.

    Raises
    ------
    ValueError
        If it is asked for.
    """
    if is_calibrating(estimator):
        raise ValueError(
            f"calibration={estimator.calibration!r} is not supported by partial_fit, "
            "which trains on all rows that it is given. Set calibration=None, and "
            "calibrate on rows of your own with CalibratedClassifierCV(FrozenEstimator("
            "estimator.task(...)))."
        )


def calibrated(tasks: list[Any], outputs: list[np.ndarray], data: FitData) -> list[Any]:
    """Copy tasks, the classifications with the temperatures of these rows.

    Parameters
    ----------
    tasks : list of LabelTask or ValueTask
        The tasks, not calibrated.
    outputs : list of ndarray of shape (n_rows, units)
        What the network says of the rows that count.
    data : FitData
        The rows.

    Returns
    -------
    list of LabelTask or ValueTask
        The same tasks; a classification without labels in these rows, of which there
        is a warning, and one of a single class keep a temperature of 1.
    """
    found, unknown = [], []
    for k, task in enumerate(tasks):
        codes = data.targets.codes[k]
        if not isinstance(task, LabelTask) or codes is None:
            found.append(task)
            continue
        weight = data.weights[data.rows, k]
        if not weight.any():
            unknown.append(task.name)
        temperature = fit_temperature(task, outputs[k], codes[data.rows], weight)
        found.append(task.with_temperature(temperature))
    if unknown:
        warn(
            f"There are no rows to calibrate the tasks {unknown} with: none that were "
            "held out has a label. Their temperature is 1.",
        )
    return found


def uncalibrated(tasks: list[Any]) -> list[Any]:
    """Copy tasks, with a temperature of 1 each."""
    return [
        task.with_temperature(1.0) if isinstance(task, LabelTask) else task
        for task in tasks
    ]


def temperatures(tasks: list[Any]) -> dict[str, float]:
    """Collect the temperature of each classification."""
    return {
        task.name: task.temperature for task in tasks if isinstance(task, LabelTask)
    }
