"""Splits by every task's labels, predictions for rows set aside, whether to share."""

from sklearn_mmoe.model_selection._cross_val_predict import cross_val_predict
from sklearn_mmoe.model_selection._kfold import MultiTaskStratifiedKFold
from sklearn_mmoe.model_selection._sharing_report import SharingReport, sharing_report

__all__ = [
    "MultiTaskStratifiedKFold",
    "SharingReport",
    "cross_val_predict",
    "sharing_report",
]
