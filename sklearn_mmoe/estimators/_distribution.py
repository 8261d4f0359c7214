"""Training on several devices: what the estimators check, and who writes."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sklearn_mmoe.estimators._checkpoints import fingerprint
from sklearn_mmoe.estimators._fit_data import FitData, Seeds

if TYPE_CHECKING:
    from sklearn_mmoe._training.checkpoint import Checkpoints
    from sklearn_mmoe._training.distribution import Distribution

__all__ = ["check_workers", "explaining_losses", "find_distribution", "is_chief"]


def find_distribution(estimator: Any) -> Distribution | None:
    """Find the devices that `distribute` asks for; None is one.

    Raises
    ------
    ValueError
        If each of several processes would draw an order of the rows of its own,
        ``TF_CONFIG`` does not name the processes, or the optimizer is one that cannot
        be used.
    TypeError
        If it is a strategy of a kind that cannot be used.
    RuntimeError
        If TensorFlow has computed something before it could join other processes.
    """
    if estimator.distribute is None:
        return None
    from sklearn_mmoe._training.distribution import Distribution

    _check_optimizer(estimator.optimizer)
    distribution = Distribution(estimator.distribute)
    if distribution.n_workers > 1 and estimator.random_state is None:
        raise ValueError(
            f"The 'random_state' parameter is None, and 'distribute' asks for "
            f"{distribution.n_workers} worker processes, which must draw the same "
            "weights and the same order of the rows. Give all of them the same int."
        )
    return distribution


def _check_optimizer(optimizer: Any) -> None:
    """Refuse what makes Keras change weights in some steps only."""
    for name in ("gradient_accumulation_steps", "ema_overwrite_frequency"):
        if getattr(optimizer, name, None):
            raise ValueError(
                f"The 'optimizer' parameter has {name}={getattr(optimizer, name)}, "
                "which Keras cannot do in training with 'distribute'. Leave it out, or "
                "set distribute=None."
            )


def is_chief(distribution: Distribution | None) -> bool:
    """Whether this process writes checkpoints and progress."""
    return distribution is None or distribution.is_chief


def explaining_losses(
    distribution: Distribution | None, checkpoints: Checkpoints | None = None
) -> contextlib.AbstractContextManager[None]:
    """Return a context in which a lost process ends in an error in words."""
    if distribution is None:
        return contextlib.nullcontext()
    return distribution.explaining_losses(checkpoints is not None)


def check_workers(
    estimator: Any,
    distribution: Distribution | None,
    data: FitData,
    validation: FitData | None,
    seeds: Seeds,
    resume: bool,
    checkpoints: Checkpoints | None = None,
) -> None:
    """Check that all processes are about to do the same fit.

    Raises
    ------
    ValueError
        If they are not.
    """
    if distribution is None or distribution.n_workers == 1:
        return
    n_epochs = 0 if checkpoints is None else checkpoints.n_epochs
    distribution.check_agreement(
        {
            **fingerprint(estimator, data, validation, resume),
            "the seeds of 'random_state'": asdict(seeds),
            "the checkpoint that 'checkpoint_dir' has, one folder for all": n_epochs,
        }
    )
