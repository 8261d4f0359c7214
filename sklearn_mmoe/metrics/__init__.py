"""Scorers for one task, for the mean over tasks, and for all of them at once.

Scorers are given to ``GridSearchCV(scoring=...)`` and ``cross_validate`` as they are,
work with every multi-output estimator, and can be pickled.
"""

from sklearn_mmoe.metrics._calibration import expected_calibration_error
from sklearn_mmoe.metrics._scorers import (
    mean_task_scorer,
    multi_task_scorer,
    task_scorer,
)

__all__ = [
    "expected_calibration_error",
    "mean_task_scorer",
    "multi_task_scorer",
    "task_scorer",
]
