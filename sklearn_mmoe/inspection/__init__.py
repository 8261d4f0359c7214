"""See what a fitted estimator has learned: gates, experts, training, scores.

matplotlib is imported when something is drawn, not before.
"""

from sklearn_mmoe.inspection._gate_weights_display import GateWeightsDisplay
from sklearn_mmoe.inspection._grid_search_display import GridSearchDisplay
from sklearn_mmoe.inspection._mixture import expert_outputs, expert_use, gate_weights
from sklearn_mmoe.inspection._network_display import NetworkDisplay
from sklearn_mmoe.inspection._sharing_report_display import SharingReportDisplay
from sklearn_mmoe.inspection._task_calibration_display import TaskCalibrationDisplay
from sklearn_mmoe.inspection._task_importances import task_importances
from sklearn_mmoe.inspection._task_importances_display import TaskImportancesDisplay
from sklearn_mmoe.inspection._task_partial_dependence_display import (
    TaskPartialDependenceDisplay,
)
from sklearn_mmoe.inspection._task_scores_display import TaskScoresDisplay
from sklearn_mmoe.inspection._training_curve_display import TrainingCurveDisplay

__all__ = [
    "GateWeightsDisplay",
    "GridSearchDisplay",
    "NetworkDisplay",
    "SharingReportDisplay",
    "TaskCalibrationDisplay",
    "TaskImportancesDisplay",
    "TaskPartialDependenceDisplay",
    "TaskScoresDisplay",
    "TrainingCurveDisplay",
    "expert_outputs",
    "expert_use",
    "gate_weights",
    "task_importances",
]
