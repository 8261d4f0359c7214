"""Traced functions that are kept for the next fit or prediction of their structure.

Tracing is most of what a small fit costs, and what it leaves behind in TensorFlow's
memory. A search fits and evaluates networks of a few structures again and again, so the
last of them are kept.
"""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from sklearn_mmoe._architectures.network import Network, NetworkSpec
from sklearn_mmoe._training.evaluation import Evaluator
from sklearn_mmoe._training.trainer import Trainer

__all__ = ["borrow_trainer", "building", "clear_cache", "find_evaluator"]

_MOST_KEPT = 16
# Larger networks are not kept: tracing is then a small part of a fit.
_MOST_BYTES = 2**26

# Parameters of a network that do not change what it computes for given weights.
_FOR_TRAINING_ALONE = (
    "dropout",
    "feature_penalty",
    "gate_dropout",
    "load_balance_penalty",
)

# Networks are built and traced one at a time: Keras promises no safety with threads.
building = threading.RLock()
_idle_trainers: OrderedDict[tuple[Any, ...], list[Trainer]] = OrderedDict()
_evaluators: OrderedDict[Hashable, Evaluator] = OrderedDict()


@contextlib.contextmanager
def borrow_trainer(
    key: tuple[Any, ...] | None, make: Callable[[], Trainer]
) -> Iterator[Trainer]:
    """Lend a trainer to one fit.

    No two fits have the same one at a time. One that saw an error is not used again.

    Parameters
    ----------
    key : tuple or None
        What the trainer was made for, the structure of its network first; None makes a
        new one and does not keep it.
    make : callable
        Makes a new one.

    Yields
    ------
    Trainer
        A trainer in any state: start it, or load a state into it.
    """
    with building:
        idle = _idle_trainers.get(key, []) if key is not None else []
        trainer = idle.pop() if idle else make()
    yield trainer
    if key is None or trainer.n_bytes > _MOST_BYTES:
        return
    with building:
        _idle_trainers.setdefault(key, []).append(trainer)
        _idle_trainers.move_to_end(key)
        while sum(map(len, _idle_trainers.values())) > _MOST_KEPT:
            oldest = next(iter(_idle_trainers))
            if _idle_trainers[oldest]:
                _idle_trainers[oldest].pop()
            if not _idle_trainers[oldest]:
                del _idle_trainers[oldest]


def find_evaluator(spec: NetworkSpec, network: Network | None = None) -> Evaluator:
    """Return the evaluator of a structure, made now if there is none yet.

    It is made of `network`, if one of this structure is given, or of one that has been
    trained: that it may be trained again changes nothing of what is traced.
    """
    key = spec.structure(without=_FOR_TRAINING_ALONE)
    with building:
        evaluator = _evaluators.get(key)
        if evaluator is None:
            network = network or _trained_network(spec)
            evaluator = _evaluators[key] = Evaluator(spec, network)
        _evaluators.move_to_end(key)
        while len(_evaluators) > _MOST_KEPT:
            _evaluators.popitem(last=False)
        return evaluator


def _trained_network(spec: NetworkSpec) -> Network | None:
    """Find a network of exactly this structure in a trainer that is kept."""
    wanted = spec.structure()
    for (structure, *_), trainers in _idle_trainers.items():
        if trainers and structure == wanted:
            return trainers[-1].network
    return None


def clear_cache() -> None:
    """Delete all traced functions that are kept for later fits and predictions.

    This frees memory. Fitted estimators do not change. The next fit or prediction takes
    as long as the first one of a process.

    Examples
    --------
    >>> from sklearn_mmoe.networks import clear_cache
    >>> clear_cache()
    """
    with building:
        _idle_trainers.clear()
        _evaluators.clear()
