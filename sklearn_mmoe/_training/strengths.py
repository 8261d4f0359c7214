"""How strongly a network is regularised: numbers that a traced step reads.

They follow from the number of rows, so that folds of a cross-validation differ in them,
and searches try several. Were they constants, each would have to be traced anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import tensorflow as tf

from sklearn_mmoe.regularizers import GroupLasso

__all__ = ["Strengths"]


class Strengths:
    """The penalty of features and the decay of weights, as variables.

    Parameters
    ----------
    model : keras.Model
        A network of ours, whose penalty reads its strength from here from now on.
    optimizer : keras.optimizers.Optimizer
        Made by its name.
    member_decay : sequence of float or None
        Of an ensemble, the weight decay of each member.

    Attributes
    ----------
    member_decay : tf.Variable or None
        Of an ensemble, the weight decay of each member, for the training step.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        member_decay: Sequence[float] | None,
    ) -> None:
        self._optimizer = optimizer
        self._penalty = self._decay = self.member_decay = None
        penalised = [
            weights
            for weights in model.trainable_variables
            if isinstance(weights.regularizer, GroupLasso)
        ]
        if penalised:
            given = penalised[0].regularizer.strength  # one for the whole network
            self._penalty = _variable(given, "feature_penalty")
            for weights in penalised:
                weights.regularizer = _PenaltyFromVariable(given, self._penalty)
        if member_decay is not None:
            self.member_decay = _variable(member_decay, "member_decay")
        if optimizer.weight_decay is not None:
            self._decay = _variable(optimizer.weight_decay, "weight_decay")

    @contextlib.contextmanager
    def read_by_optimizer(self) -> Iterator[None]:
        """Let what is traced within read the weight decay from here."""
        given = self._optimizer.weight_decay
        self._optimizer.weight_decay = self._decay
        yield
        self._optimizer.weight_decay = given

    def set(
        self, feature_penalty: Any, weight_decay: float | tuple[float, ...]
    ) -> None:
        """Set all of them for a fit.

        Parameters
        ----------
        feature_penalty, weight_decay : float or tuple of float
            Of an ensemble, one for each member.
        """
        if self._penalty is not None:
            self._penalty.assign(feature_penalty)
        if self.member_decay is not None:
            self.member_decay.assign(weight_decay)
        if self._decay is not None:
            self._decay.assign(weight_decay)


class _PenaltyFromVariable(GroupLasso):
    """A penalty whose strength is a variable."""

    def __init__(self, strength: Any, variable: tf.Variable) -> None:
        super().__init__(strength)
        self._variable = variable

    def _strength(self, dtype: str) -> Any:
        return tf.cast(self._variable, dtype)


def _variable(value: Any, name: str) -> tf.Variable:
    # In float64, so that it becomes in any type what the number itself would.
    return tf.Variable(value, dtype=tf.float64, trainable=False, name=name)
