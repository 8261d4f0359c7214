"""What a builder returns, and how a network is described before it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

from sklearn_mmoe._architectures.builders import build_network
from sklearn_mmoe._architectures.initialize import initialize
from sklearn_mmoe._architectures.parts import Network
from sklearn_mmoe._tasks.kinds import LINKS
from sklearn_mmoe.losses import task_loss

if TYPE_CHECKING:
    from sklearn_mmoe._training.kernel_ridge import KernelRidge

__all__ = ["NetworkSpec", "build", "initialize"]


@dataclass(frozen=True)
class NetworkSpec:
    """All that is needed to build a network, without a weight of it.

    Attributes
    ----------
    n_features : int
        Number of columns of X.
    kinds : tuple of {'binary', 'multiclass', 'regression', ...}
        Kind of each task; see :func:`sklearn_mmoe.losses.task_loss`.
    units : tuple of int
        Width of each task's output.
    parameters : dict
        Keyword arguments of the builder, `dtype` among them.
    seed : int
        Seed of the initial weights and of the dropout.
    builder : callable or None
        A user's own builder, by the protocol of scikeras' ``model=``; None is
        :func:`sklearn_mmoe.networks.multi_task_network`.
    n_members : int or None
        Number of networks in an ensemble; None is one network that is none. Of an
        ensemble, the parameter `feature_penalty` is a tuple of one for each member, and
        `dropout` may be.
    member_weights : tuple of tuple of float, or None
        Weight of each member in the prediction of each task. Those of a task sum to 1;
        None weighs all alike.
    """

    n_features: int
    kinds: tuple[str, ...]
    units: tuple[int, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    builder: Callable[..., keras.Model] | None = None
    n_members: int | None = None
    member_weights: tuple[tuple[float, ...], ...] | None = None

    @property
    def dtype(self) -> str:
        """What the network computes in."""
        return self.parameters.get("dtype", "float32")

    def structure(self, without: Collection[str] = ()) -> tuple[Any, ...]:
        """Return what two networks have in common that differ in their weights alone.

        How strong the penalty of features is, if there is one, is not part of it, nor
        are the members' weights in the prediction.

        Parameters
        ----------
        without : collection of str, default=()
            Parameters that may differ too.
        """
        parameters = dict(self.parameters)
        if "feature_penalty" in parameters:
            parameters["feature_penalty"] = bool(np.any(parameters["feature_penalty"]))
        kept = tuple(
            (name, value)
            for name, value in sorted(parameters.items())
            if name not in without
        )
        return (self.n_features, self.kinds, self.units, self.n_members, kept)

    def losses(self) -> list[keras.losses.Loss]:
        """Make the loss of each task."""
        return [task_loss(kind, self.dtype) for kind in self.kinds]

    @property
    def meta(self) -> dict[str, Any]:
        """What is known of the data, by scikeras' names and by ours."""
        n_classes = [
            _number_of_classes(LINKS[kind], units)
            for kind, units in zip(self.kinds, self.units, strict=True)
        ]
        return {
            "n_features_in_": self.n_features,
            "n_outputs_": len(self.kinds),
            "n_outputs_expected_": len(self.kinds),
            "n_classes_": n_classes if len(n_classes) > 1 else n_classes[0],
            "X_dtype_": self.dtype,
            "task_kinds_": list(self.kinds),
            "task_units_": list(self.units),
        }


def _number_of_classes(link: str, units: int) -> int | None:
    """Tell how many classes a task has by its outputs; None for a regression."""
    return {"softmax": max(2, units), "logit": units + 1}.get(link)


def build(
    spec: NetworkSpec,
    optimizer: Any = "sgd",
    draw: bool = True,
    kernel_ridge: KernelRidge | None = None,
) -> Network:
    """Build the network of a specification; its seed decides the weights.

    Parameters
    ----------
    spec : NetworkSpec
        What to build.
    optimizer : str or keras.optimizers.Optimizer, default="sgd"
        Handed to a user's own builder in `compile_kwargs`, if that asks for it.
    draw : bool, default=True
        Whether the weights are drawn; otherwise they are still to be set. A user's own
        builder draws its own in any case.
    kernel_ridge : KernelRidge or None, default=None
        What is averaged with an ensemble.

    Returns
    -------
    Network
        The network, not compiled unless a user's builder compiles it.

    Raises
    ------
    TypeError
        If a user's builder returns something other than a ``keras.Model``.
    ValueError
        If its inputs or outputs do not fit the data.
    """
    if spec.builder is None:
        return build_network(
            spec.meta,
            seed=spec.seed,
            draw=draw,
            n_members=spec.n_members,
            member_weights=spec.member_weights,
            kernel_ridge=kernel_ridge,
            **spec.parameters,
        )
    model = spec.builder(**_accepted(spec, optimizer))
    _check_model(model, spec)
    return Network(model, parts={}, mixtures=())


def _accepted(spec: NetworkSpec, optimizer: Any) -> dict[str, Any]:
    """Choose the arguments that a user's builder has in its signature."""
    offered = {
        **spec.parameters,
        "seed": spec.seed,
        "meta": spec.meta,
        "compile_kwargs": {"optimizer": optimizer, "loss": spec.losses()},
    }
    assert spec.builder is not None
    parameters = inspect.signature(spec.builder).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return offered
    return {name: value for name, value in offered.items() if name in parameters}


def _check_model(model: Any, spec: NetworkSpec) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            "The 'network' parameter must return a keras.Model, got "
            f"{type(model).__name__}."
        )
    if getattr(model, "outputs", None) is None:
        raise TypeError(
            "The 'network' parameter must return a functional keras.Model, whose "
            f"inputs and outputs are known; {type(model).__name__} is a subclass with "
            "a call method of its own."
        )
    expected = [(None, units) for units in spec.units]
    found = [tuple(output.shape) for output in model.outputs]
    if found != expected:
        raise ValueError(
            f"The model that the 'network' parameter built has outputs of shapes "
            f"{found}, but the tasks need {expected}: one output for each task, of "
            "logits or standardised values (see meta['task_units_'])."
        )
    inputs = [tuple(tensor.shape) for tensor in model.inputs]
    if inputs != [(None, spec.n_features)]:
        raise ValueError(
            f"The model that the 'network' parameter built has inputs of shapes "
            f"{inputs}, but X has {spec.n_features} features: one input of shape "
            f"(None, {spec.n_features}) is needed (see meta['n_features_in_'])."
        )
