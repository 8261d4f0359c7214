"""The loss of a task, by its kind.

The loss that is trained is the sum over tasks of these means. Rows weigh in through
Keras' sample weights, which the caller brings to mean one over the training rows of
each task; a weight of zero takes a row out of that task.
"""

from __future__ import annotations

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

__all__ = ["task_loss"]


def task_loss(kind: str, dtype: str = "float32") -> keras.losses.Loss:
    """Return the Keras loss of one task.

    Parameters
    ----------
    kind : {'binary', 'multiclass', 'regression'}
        'binary' takes targets (n_samples, 1) in {0, 1} and one logit; 'multiclass'
        takes class indices (n_samples,) and a logit for each class; 'regression'
        takes targets (n_samples, 1).
    dtype : {'float32', 'float64'}, default='float32'
        Type of what is computed.

    Returns
    -------
    keras.losses.Loss
        Cross-entropy from logits or mean squared error, averaged over the batch.

    Examples
    --------
    >>> from sklearn_mmoe.losses import task_loss
    >>> type(task_loss("regression")).__name__
    'MeanSquaredError'
    """
    if kind == "binary":
        return keras.losses.BinaryCrossentropy(from_logits=True, dtype=dtype)
    if kind == "multiclass":
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=dtype)
    if kind == "regression":
        return keras.losses.MeanSquaredError(dtype=dtype)
    raise ValueError(
        f"kind must be 'binary', 'multiclass' or 'regression', got {kind!r}."
    )
