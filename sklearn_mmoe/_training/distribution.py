"""One model on several devices or machines, by the strategies of ``tf.distribute``.

Every process has all rows, and draws the same order of them. Each device (a replica, in
TensorFlow's words) computes the gradient of its share of a batch, and all of them add
up their gradients before they change their copies of the weights. So they compute what
one device would, and what a fit ends with does not depend on how many there are.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
import tensorflow as tf

from sklearn_mmoe._training.observer import EpochRecord, Observer
from sklearn_mmoe._training.step import TrainingStep

__all__ = ["DistributedStep", "Distribution", "StopTogether", "scope"]

_STRATEGIES = {
    "mirrored": tf.distribute.MirroredStrategy,
    "multi_worker_mirrored": tf.distribute.MultiWorkerMirroredStrategy,
}
# What operations raise when another process is gone, or does not answer in time.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Distribution:
    """A strategy, and what a fit needs of it.

    Parameters
    ----------
    distribute : {'mirrored', 'multi_worker_mirrored'} or tf.distribute.Strategy
        The parameter of the estimators.

    Attributes
    ----------
    strategy : tf.distribute.Strategy
        The strategy.
    n_workers : int
        Number of processes.
    is_chief : bool
        Whether this process is the one that writes.

    Raises
    ------
    TypeError
        If it is a strategy of another kind.
    RuntimeError
        If it has to be made before TensorFlow has computed anything, and is not.
    ValueError
        If several processes are asked for, and ``TF_CONFIG`` does not name them.
    """

    def __init__(self, distribute: Any) -> None:
        strategy = _named(distribute) if isinstance(distribute, str) else distribute
        allowed = (*_STRATEGIES.values(), tf.distribute.OneDeviceStrategy)
        if not isinstance(strategy, allowed):
            raise TypeError(
                "The 'distribute' parameter must be 'mirrored', "
                "'multi_worker_mirrored', or a tf.distribute.MirroredStrategy, "
                "MultiWorkerMirroredStrategy or OneDeviceStrategy, whose devices take "
                f"each step together; got {strategy!r}."
            )
        self.strategy = strategy
        self.n_workers = _n_workers(strategy)
        self.is_chief = self.n_workers == 1 or strategy.extended.should_checkpoint

    def check_agreement(self, described: Mapping[str, Any]) -> None:
        """Check that all processes are about to do the same.

        Parameters
        ----------
        described : mapping of str to object
            What decides how the fit goes; the same names in each process.

        Raises
        ------
        ValueError
            If a process was told something else; it says what.
        """
        if self.n_workers == 1:
            return
        names = sorted(described)
        of_names = self._of_all([names])
        if (of_names != of_names[0]).any():
            differ = ["the parameters or the columns that are given"]
        else:
            values = self._of_all([described[name] for name in names])
            same = (values == values[0]).all(axis=0)
            differ = [names[k] for k in np.flatnonzero(~same)]
        if differ:
            raise ValueError(
                f"The {self.n_workers} worker processes of 'distribute' must all call "
                "the same fit on the same rows, but they differ in: "
                f"{'; '.join(differ)}."
            )

    def _of_all(self, values: Sequence[Any]) -> np.ndarray:
        """Collect checksums of values, (n_replicas, n_values)."""
        row = tf.constant([[_checksum(value) for value in values]])
        return self._run(lambda: _replica().all_gather(row, axis=0)).numpy()

    def any(self, value: bool) -> bool:
        """Tell whether a process says yes; each has to ask."""
        if self.n_workers == 1:
            return value
        number = tf.constant(float(value))
        return bool(self._run(lambda: _replica().all_reduce("SUM", number)) > 0)

    def _run(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns in each replica, the same in all."""
        run = tf.function(lambda: self.strategy.run(function), autograph=False)
        return self.strategy.experimental_local_results(run())[0]

    @contextlib.contextmanager
    def explaining_losses(self, has_checkpoints: bool) -> Iterator[None]:
        """Say in words that another process is gone.

        Raises
        ------
        RuntimeError
            In place of TensorFlow's errors.
        """
        try:
            yield
        except _LOST as error:
            if self.n_workers == 1:
                raise
            go_on = (
                "it goes on after the last epoch whose checkpoint was written"
                if has_checkpoints
                else "with 'checkpoint_dir' set, it goes on after the last whole epoch"
            )
            raise RuntimeError(
                f"Training on {self.n_workers} worker processes has ended: one of them "
                "has stopped, or does not answer. TensorFlow cannot connect the others "
                f"again: end them, and call the same fit in new processes; {go_on}."
            ) from error


def scope(distribution: Distribution | None) -> contextlib.AbstractContextManager[Any]:
    """Return what a trainer is made under: a strategy, if there is one."""
    if distribution is None:
        return contextlib.nullcontext()
    return distribution.strategy.scope()


@functools.cache
def _named(name: str) -> tf.distribute.Strategy:
    """Make a strategy, one of each kind in a process."""
    if name == "multi_worker_mirrored" and not os.environ.get("TF_CONFIG"):
        raise ValueError(
            f"The 'distribute' parameter is {name!r}, but the environment variable "
            "TF_CONFIG, which names the worker processes, is not set."
        )
    try:
        return _STRATEGIES[name]()
    except RuntimeError as error:
        raise RuntimeError(
            f"The 'distribute' parameter is {name!r}, but TensorFlow has computed "
            "something in this process before. Fit first, or make the strategy at the "
            "beginning of the program, and give 'distribute' that object."
        ) from error


def _n_workers(strategy: tf.distribute.Strategy) -> int:
    resolver = strategy.cluster_resolver
    if resolver is None:
        return 1
    cluster = resolver.cluster_spec().as_dict()
    return max(1, sum(len(cluster.get(job, ())) for job in ("chief", "worker")))


def _checksum(value: Any) -> int:
    digest = hashlib.sha256(repr(value).encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _replica() -> Any:
    return tf.distribute.get_replica_context()


class StopTogether(Observer):
    """Ends training in all processes after the epoch in which one of them ends it.

    Parameters
    ----------
    distribution : Distribution
        The processes.
    """

    def __init__(self, distribution: Distribution) -> None:
        self._distribution = distribution

    def on_epoch_end(self, record: EpochRecord) -> None:
        record.stop = self._distribution.any(record.stop)


class _SummedTape(tf.GradientTape):
    """A tape whose gradients are sums over all replicas."""

    def gradient(self, *args: Any, **kwargs: Any) -> list[Any]:
        gradients = super().gradient(*args, **kwargs)
        known = [gradient for gradient in gradients if gradient is not None]
        sums = iter(_replica().all_reduce("SUM", known) if known else [])
        return [None if gradient is None else next(sums) for gradient in gradients]


class DistributedStep(TrainingStep):
    """A training step of which each replica takes its share of the rows.

    Everything in it happens in each replica. Losses and gradients are sums over all, so
    that whatever follows from them, such as clipped gradients or the weights of the
    tasks, is what it would be on one device.

    Parameters
    ----------
    strategy : tf.distribute.Strategy
        What the model and the optimizer were made under.
    model : keras.Model
        The network.
    losses : sequence of keras.losses.Loss
        The loss of each task, for this step alone, which changes their reduction.
    *args, **kwargs
        As of :class:`TrainingStep`.
    """

    _tape = _SummedTape

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        losses: Sequence[keras.losses.Loss],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        # Sums: what Keras divides them by under a strategy depends on its release.
        for loss in losses:
            loss.reduction = "sum"
        super().__init__(model, losses, *args, **kwargs)
        self._strategy = strategy
        kept = {id(weight) for weight in model.weights}
        # Where random generators stand: a seed, and the number of draws from it.
        self._generators = [
            variable
            for variable in model.variables
            if id(variable) not in kept
            and tuple(variable.shape) == (2,)
            and "int" in variable.dtype
        ]

    def __call__(
        self, x: Any, targets: Sequence[Any], weights: Sequence[Any]
    ) -> list[Any]:
        results = self._strategy.run(super().__call__, (x, targets, weights))
        return [self._strategy.experimental_local_results(r)[0] for r in results]

    def compute_losses(
        self, x: Any, targets: Sequence[Any], weights: Sequence[Any]
    ) -> tuple[list[Any], Any]:
        replica, n_rows = _replica(), x.shape[0]
        n_replicas = replica.num_replicas_in_sync
        size = -(-n_rows // n_replicas)
        rows = replica.replica_id_in_sync_group * size + tf.range(size)
        # What the batch lacks is filled up by rows of it, of zero weight.
        counts = tf.cast(rows < n_rows, self._dtype)
        x, *targets = (tf.gather(whole, rows % n_rows) for whole in (x, *targets))
        weights = [counts * tf.gather(weight, rows % n_rows) for weight in weights]
        with self._own_draws(replica.replica_id_in_sync_group):
            losses, penalty = super().compute_losses(x, targets, weights)
        losses = [loss / (n_rows * self._n_members) for loss in losses]
        # The penalty is that of the weights, which all replicas have.
        own = tf.stack([*losses, penalty / n_replicas])
        of_all = replica.all_reduce("SUM", tf.stop_gradient(own))
        # The value is that of all, and its gradient that of the own part.
        *losses, penalty = tf.unstack(own + tf.stop_gradient(of_all - own))
        return losses, penalty

    @contextlib.contextmanager
    def _own_draws(self, replica_id: Any) -> Iterator[None]:
        """Let dropout draw something else in each replica, from one state of all."""
        for generator in self._generators:
            offset = tf.cast(tf.stack([replica_id, 0]), generator.dtype)
            generator.assign(generator.value + offset)
        yield
        for generator in self._generators:
            offset = tf.cast(tf.stack([replica_id, 0]), generator.dtype)
            generator.assign(generator.value - offset)
