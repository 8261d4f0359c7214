"""Scorers for one task, for the mean over tasks, and for all of them at once.

They are given to ``GridSearchCV(scoring=...)`` and ``cross_validate`` as they are,
work with every multi-output estimator, and can be pickled.
"""

from sklearn_mmoe.metrics._scorers import (
    mean_task_scorer,
    multi_task_scorer,
    task_scorer,
)

__all__ = ["mean_task_scorer", "multi_task_scorer", "task_scorer"]
