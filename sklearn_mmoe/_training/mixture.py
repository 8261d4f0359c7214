"""The experts of a network, and the gates that mix them, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

from sklearn_mmoe._architectures.network import Network, NetworkSpec
from sklearn_mmoe._batches.arrays import dense_parts
from sklearn_mmoe._batches.source import BatchSource
from sklearn_mmoe._training.out_of_fold import OutOfFold
from sklearn_mmoe._training.trainer import Trainer

__all__ = ["mixture_outputs", "of_one_mixture", "some_gate_weights"]

# Rows whose gates are looked at after training, at most.
_GATE_ROWS = 2048


def mixture_outputs(
    network: Network, spec: NetworkSpec, X: Any, part: str
) -> np.ndarray:
    """Evaluate the experts, or the gates that mix them.

    Parameters
    ----------
    network : Network
        The network.
    spec : NetworkSpec
        Its description.
    X : ndarray or CSR matrix of shape (n_samples, n_features)
        Features, in the type that the network computes in.
    part : {'expert_outputs', 'gate_outputs'}
        Which method of the network's mixture to call.

    Returns
    -------
    ndarray of shape (n_samples, num_experts, units) or (n_samples, num_gates, \
            num_experts)
        Outputs, of the uppermost mixture where there are several. An ensemble is one
        mixture of the experts of all its members, whose gates have the members' weights
        in the prediction.

    Raises
    ------
    ValueError
        If the network has no mixture of experts.
    """
    if not network.mixtures:
        of = f" (sharing={network.sharing!r})" if network.sharing else ""
        raise ValueError(
            f"This network{of} has no experts and gates to look at; those of "
            "sharing='omoe', 'mmoe', 'cgc' and 'ple' have."
        )
    layer = network.mixtures[-1]
    below = keras.Model(network.model.input, layer.input)
    outputs = np.concatenate(
        [
            keras.ops.convert_to_numpy(getattr(layer, part)(below(x, training=False)))
            for x in dense_parts(X)
        ],
        axis=0 if spec.n_members is None else 1,
    )
    if spec.n_members is None:
        return outputs
    if part == "gate_outputs":
        return of_one_mixture(outputs, spec.member_weights)
    return np.concatenate(outputs, axis=1)


def some_gate_weights(
    trainer: Trainer, source: BatchSource, choice: OutOfFold | None = None
) -> np.ndarray | None:
    """Evaluate the gates for some of the rows trained on.

    Of an ensemble, those of the members in the best epochs of each group of tasks.
    """
    if choice is None:
        parts = [trainer.gate_weights(x) for x in source.some_features(_GATE_ROWS)]
        return _joined(parts, axis=-3)
    groups = []
    for group in range(choice.n_groups):
        choice.bring_to(group)
        groups.append(some_gate_weights(trainer, source))
    return _joined(groups, axis=0)


def _joined(parts: Sequence[np.ndarray | None], axis: int) -> np.ndarray | None:
    found = [part for part in parts if part is not None]
    return np.concatenate(found, axis=axis) if found else None


def of_one_mixture(
    gates: np.ndarray, member_weights: Sequence[Sequence[float]] | None
) -> np.ndarray:
    """Bring gates of members, (n_members, n_rows, n_gates, n_experts), to one mixture.

    Its experts are those of all members, whose gates have the members' weights in each
    task; a gate that serves all tasks has their mean.
    """
    if member_weights is None:
        return np.concatenate(gates, axis=-1) / len(gates)
    of_members = np.transpose(np.asarray(member_weights, dtype=gates.dtype))
    if gates.shape[2] != of_members.shape[1]:
        of_members = of_members.mean(axis=1, keepdims=True)
    return np.concatenate(gates * of_members[:, np.newaxis, :, np.newaxis], axis=-1)
