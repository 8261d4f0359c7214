"""Splitting rows by every task's labels, and predictions for rows set aside."""

from sklearn_mmoe.model_selection._cross_val_predict import cross_val_predict
from sklearn_mmoe.model_selection._kfold import MultiTaskStratifiedKFold

__all__ = ["MultiTaskStratifiedKFold", "cross_val_predict"]
