"""Rows of the features as dense tensors, without copies on the way."""

from __future__ import annotations

from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede tensorflow

# isort: split
import numpy as np
import tensorflow as tf

__all__ = ["DenseRows"]

# Bytes at whose multiples TensorFlow's tensors begin.
_ALIGNMENT = 64


class DenseRows:
    """Memory into which one part of X after the other is written, as tensors.

    From an array of its own, TensorFlow would make a tensor by copying it twice, which
    takes a tenth of a training step. So NumPy writes into memory that TensorFlow reads,
    and the same memory serves every batch. It follows that a tensor is no longer what
    it was once the next rows are taken.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        The features, in the type that the network computes in.
    n_rows : int
        Number of rows of each tensor.
    """

    def __init__(self, X: Any, n_rows: int) -> None:
        self._X = X
        shape = (n_rows, X.shape[1])
        n_bytes = int(np.prod(shape)) * X.dtype.itemsize
        memory = np.zeros(n_bytes + _ALIGNMENT, dtype=np.uint8)
        start = -memory.ctypes.data % _ALIGNMENT
        self._array = memory[start : start + n_bytes].view(X.dtype).reshape(shape)

    def take(self, rows: slice | np.ndarray) -> Any:
        """Give a tensor that begins with these rows; what follows them is any rows."""
        part = self._X[rows]
        out = self._array[: part.shape[0]]
        if isinstance(part, np.ndarray):
            out[:] = part
        else:
            part.toarray(out=out)
        # A new one each time: of a tensor, copies on other devices may be kept.
        return tf.experimental.dlpack.from_dlpack(self._array.__dlpack__())
