"""Each task: its labels or values <-> what its loss takes and its network gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, softmax
from sklearn.utils.multiclass import check_classification_targets

_MANY_VALUES = 20


def _fill(name: str, values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Put observed values in their places, and one of them in every other place."""
    if not len(values):
        raise ValueError(f"The task {name!r} has no target at all in y.")
    filled = np.full(len(observed), values[0], dtype=values.dtype)
    filled[observed] = values
    return filled


def _as_labels(name: str, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
    values = column[observed]
    if values.dtype.kind == "O":
        # Numbers in an object array, such as one that holds strings too, are numbers.
        values = pd.Series(values).infer_objects().to_numpy()
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise ValueError(f"Input y contains infinity in the task {name!r}.")
    # scikit-learn looks for fractions by a cast, which huge numbers overflow.
    with np.errstate(invalid="ignore"):
        check_classification_targets(values)
    return _fill(name, values, observed)


def _as_values(name: str, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
    try:
        values = column[observed].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The task {name!r} is a regression, but its targets in y are not all "
            f"numbers: {error}"
        ) from error
    if np.isinf(values).any():
        raise ValueError(
            "Input y contains infinity or a value too large for dtype('float64') in "
            f"the task {name!r}."
        )
    return _fill(name, values, observed)


class LabelTask:
    """A classification task: labels <-> class indices <-> the network's logits.

    Parameters
    ----------
    name : str
        The task's name.
    classes : ndarray of shape (n_classes,)
        Its classes, sorted.

    Attributes
    ----------
    loss_scale : float
        Factor of its loss in training.
    """

    type = "classification"

    def __init__(self, name: str, classes: np.ndarray) -> None:
        self.name = name
        self.classes = classes
        self.loss_scale = 1.0
        two = len(classes) == 2
        self.kind = "binary" if two else "multiclass"
        self.units = 1 if two else len(classes)

    @classmethod
    def from_targets(
        cls, name: str, column: np.ndarray, observed: np.ndarray, estimator_name: str
    ) -> LabelTask:
        """Find the classes; a ValueError names the task if there is only one."""
        classes = np.unique(_as_labels(name, column, observed))
        if len(classes) < 2:
            raise ValueError(
                f"{estimator_name} needs samples of at least 2 classes in every task, "
                f"but the task {name!r} has only one class: {classes.tolist()[0]!r}."
            )
        return cls(name, classes)

    def codes(self, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Give the index of each label's class, and any index where there is none."""
        if not observed.any():
            return np.zeros(len(column), dtype=np.int64)
        labels = _as_labels(self.name, column, observed)
        unknown = np.setdiff1d(labels, self.classes)
        if len(unknown):
            raise ValueError(
                f"The task {self.name!r} has labels {unknown.tolist()} that are not "
                f"among its classes {self.classes.tolist()}."
            )
        return np.searchsorted(self.classes, labels)

    def encode_codes(self, codes: np.ndarray) -> np.ndarray:
        """Give class indices as the loss of this task takes them."""
        return codes[:, None] if self.kind == "binary" else codes

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits (n_samples, units) into probabilities of each class."""
        if self.kind == "multiclass":
            return softmax(outputs, axis=1)
        positive = expit(outputs)
        return np.hstack([1 - positive, positive])

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn logits into the labels of the most probable classes."""
        return self.classes[self.probabilities(outputs).argmax(axis=1)]


class ValueTask:
    """A regression task: values <-> standardised values.

    Parameters
    ----------
    name : str
        The task's name.
    mean, scale : float
        Mean and standard deviation of its targets.
    """

    type = "regression"
    kind = "regression"
    units = 1
    loss_scale = 1.0

    def __init__(self, name: str, mean: float, scale: float) -> None:
        self.name = name
        self.mean = mean
        self.scale = scale

    @classmethod
    def from_targets(
        cls, name: str, column: np.ndarray, observed: np.ndarray, weight: np.ndarray
    ) -> ValueTask:
        """Find mean and standard deviation of the observed targets."""
        values = _as_values(name, column, observed)
        weight = weight * observed
        if not weight.any():
            raise ValueError(
                f"The task {name!r} has no target of positive weight in y."
            )
        mean = np.average(values, weights=weight)
        variance = np.average((values - mean) ** 2, weights=weight)
        return cls(name, float(mean), float(np.sqrt(variance)))

    def encode(self, column: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Give standardised targets (n_samples, 1)."""
        if not observed.any():
            return np.zeros((len(column), 1))
        values = _as_values(self.name, column, observed)
        # The scale is 0 for a constant target, which is so predicted as its constant.
        return ((values - self.mean) / (self.scale or 1.0))[:, None]

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Turn standardised values (n_samples, 1) into the units of y."""
        return outputs[:, 0] * self.scale + self.mean


def infer_task_type(column: np.ndarray, observed: np.ndarray) -> str:
    """Guess whether a column of targets is to be classified or regressed.

    Parameters
    ----------
    column : ndarray of shape (n_samples,)
        The targets of one task.
    observed : ndarray of bool of shape (n_samples,)
        Where there are any.

    Returns
    -------
    {'classification', 'regression'}
        'regression' for numbers with fractions and for more than 20 different whole
        numbers, else 'classification'.
    """
    values = column[observed]
    if values.dtype.kind == "O":
        values = pd.Series(values).infer_objects().to_numpy()
    if values.dtype.kind not in "iuf":
        return "classification"
    fractions = values.dtype.kind == "f" and (values != np.floor(values)).any()
    many = len(np.unique(values)) > _MANY_VALUES
    return "regression" if fractions or many else "classification"
