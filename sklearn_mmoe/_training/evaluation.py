"""Evaluating a network as a function of its weights and of the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import tensorflow as tf

from sklearn_mmoe._architectures.network import Network, NetworkSpec, build

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates any network of one structure, without dropout.

    The weights are an argument, so that one traced function serves all networks of a
    structure, and any number of threads at once.

    Parameters
    ----------
    spec : NetworkSpec
        The structure.
    network : Network or None, default=None
        A network of this structure, if there is one already.

    Attributes
    ----------
    weights : list of (tuple of int, str)
        Shape and type of each weight, in the order of ``keras.Model.weights``.
    """

    def __init__(self, spec: NetworkSpec, network: Network | None = None) -> None:
        if network is None:
            network = build(spec, draw=False)
        # Members are averaged elsewhere: by weights that differ from fit to fit.
        model: Any = network.model if network.members is None else network.members
        self.weights = [(tuple(v.shape), v.dtype) for v in model.weights]

        def evaluate(weights: list[Any], x: Any) -> list[Any]:
            values = zip(model.weights, weights, strict=True)
            with keras.StatelessScope(state_mapping=list(values)):
                return keras.tree.flatten(model(x, training=False))

        # Traced now, before other threads see it.
        self._function = tf.function(evaluate, autograph=False).get_concrete_function(
            [tf.TensorSpec(v.shape, v.dtype) for v in model.weights],
            tf.TensorSpec([None, spec.n_features], spec.dtype),
        )

    def __call__(self, weights: Sequence[Any], x: Any) -> list[Any]:
        """Evaluate some rows.

        Parameters
        ----------
        weights : sequence of tensor
            The network's weights, in the order of ``keras.Model.weights``.
        x : tensor of shape (n_rows, n_features)
            Features.

        Returns
        -------
        list of tensor of shape (n_rows, units) or (n_members, n_rows, units)
            The outputs of each task.
        """
        return self._function(list(weights), x)
