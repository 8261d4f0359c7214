"""Splits by every task's labels, held-out predictions, thresholds, whether to share."""

from sklearn_mmoe.model_selection._conformal import MultiTaskConformalPredictor
from sklearn_mmoe.model_selection._cross_val_predict import cross_val_predict
from sklearn_mmoe.model_selection._group_kfold import (
    MultiTaskStratifiedGroupKFold,
    RepeatedMultiTaskStratifiedGroupKFold,
)
from sklearn_mmoe.model_selection._kfold import (
    MultiTaskStratifiedKFold,
    RepeatedMultiTaskStratifiedKFold,
)
from sklearn_mmoe.model_selection._sharing_report import SharingReport, sharing_report
from sklearn_mmoe.model_selection._shuffle_split import (
    MultiTaskStratifiedShuffleSplit,
    multi_task_train_test_split,
)
from sklearn_mmoe.model_selection._threshold_classifier import (
    MultiTaskThresholdClassifier,
)

__all__ = [
    "MultiTaskConformalPredictor",
    "MultiTaskStratifiedGroupKFold",
    "MultiTaskStratifiedKFold",
    "MultiTaskStratifiedShuffleSplit",
    "MultiTaskThresholdClassifier",
    "RepeatedMultiTaskStratifiedGroupKFold",
    "RepeatedMultiTaskStratifiedKFold",
    "SharingReport",
    "cross_val_predict",
    "multi_task_train_test_split",
    "sharing_report",
]
