"""A fitted kernel ridge regression as a layer, for networks that are handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
from keras import ops

from sklearn_mmoe._training.kernel_ridge import SAME_ROW

__all__ = ["KernelRidgeOutputs"]


@keras.saving.register_keras_serializable(package="sklearn_mmoe")
class KernelRidgeOutputs(keras.layers.Layer):
    """Predict some tasks by kernel ridge regression.

    Its weights are not trained, and mean nothing until they are assigned; they are of a
    :class:`sklearn_mmoe._training.kernel_ridge.KernelRidge`. It computes in float64:
    the distances of near rows are small differences of large numbers.

    Parameters
    ----------
    kinds : sequence of {'binary', 'multiclass', 'regression'}
        Kind of each task that it predicts.
    widths : sequence of int
        Width of the output of each.
    n_rows : int
        Number of rows that it knows.
    least_probability : float
        Lowest probability of a class.
    **kwargs
        As every Keras layer takes.

    Notes
    -----
    **Shape.** Input: (n_samples, n_features). Output: a list of (n_samples, width).
    """

    def __init__(
        self,
        kinds: Sequence[str],
        widths: Sequence[int],
        n_rows: int,
        least_probability: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kinds = list(kinds)
        self.widths = [int(width) for width in widths]
        self.n_rows = n_rows
        self.least_probability = least_probability

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Create the weights."""
        n_features, n_columns = input_shape[-1], sum(self.widths)
        shapes = {
            "center": (n_features,),
            "scale": (n_features,),
            "feature_weights": (n_features,),
            "rows": (self.n_rows, n_features),
            "length": (),
            "coefficients": (self.n_rows, n_columns),
            "means": (n_columns,),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer="zeros" if name in ("rows", "means") else "ones",
                trainable=False,
                dtype="float32" if name == "rows" else "float64",
                autocast=False,
            )
            setattr(self, name, weight)
        self.built = True

    def call(self, x: Any) -> list[Any]:
        x = ops.tanh((ops.cast(x, "float64") - self.center) / self.scale)
        # As precise as the features, as predictions outside of a network are.
        x = ops.cast(ops.cast(x * self.feature_weights, self.compute_dtype), "float64")
        rows = ops.cast(self.rows, "float64")
        norms = ops.sum(x * x, axis=-1, keepdims=True) + ops.sum(rows * rows, axis=-1)
        squares = norms - 2 * ops.matmul(x, ops.transpose(rows))
        # At a distance of 0 the root has no derivative, and gradients would be nan.
        differ = squares > SAME_ROW * norms
        distances = ops.where(differ, ops.sqrt(ops.where(differ, squares, 1)), 0)
        kernel = ops.exp(-distances / self.length)
        columns = ops.matmul(kernel, self.coefficients) + self.means
        outputs, begin = [], 0
        for kind, width in zip(self.kinds, self.widths, strict=True):
            of_task = self._outputs(kind, columns[:, begin : begin + width])
            outputs.append(ops.cast(of_task, self.compute_dtype))
            begin += width
        return outputs

    def _outputs(self, kind: str, columns: Any) -> Any:
        """Turn values into the outputs of a network, logits or values."""
        if kind == "regression":
            return columns
        most = 1 - self.least_probability if kind == "binary" else float("inf")
        columns = ops.clip(columns, self.least_probability, most)
        if kind == "binary":
            return ops.log(columns) - ops.log(1 - columns)
        return ops.log(columns)

    def compute_output_shape(self, input_shape: Any) -> list[tuple[int | None, ...]]:
        """Return the shape of each task's output."""
        return [(*input_shape[:-1], width) for width in self.widths]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kinds": self.kinds,
            "widths": self.widths,
            "n_rows": self.n_rows,
            "least_probability": self.least_probability,
        }
