"""The weights that a network begins with, as a function of a seed alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras

from sklearn_mmoe.layers._initializers import with_seed

__all__ = ["initialize"]


def initialize(model: keras.Model, seed: int | None, draw: bool = True) -> None:
    """Draw all weights anew, and start dropout anew.

    Each layer has a seed of its own. Global random state is neither read nor changed.
    Biases become what their initializers say too, so that a network that was trained
    before is as a new one.

    Parameters
    ----------
    model : keras.Model
        A network of dense layers, dropout and layers of :mod:`sklearn_mmoe.layers`:
        those with weights have ``draw_weights``, which takes `n_seeds` seeds.
    seed : int or None
        The seed; None takes fresh entropy from the operating system.
    draw : bool, default=True
        Whether weights are drawn; otherwise dropout alone starts anew.
    """
    seeds = _seeds(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            of_layer = next(seeds)
            if draw:
                _draw(layer.kernel, with_seed(layer.kernel_initializer, of_layer))
                _draw(layer.bias, layer.bias_initializer)
        elif hasattr(layer, "draw_weights"):
            of_parts = list(itertools.islice(seeds, layer.n_seeds))
            if draw:
                layer.draw_weights(*of_parts)
            elif getattr(layer, "seed_generator", None) is not None:
                _restart(layer.seed_generator, of_parts[-1])  # of the gates
        elif isinstance(layer, keras.layers.Dropout):
            _restart(layer.seed_generator, next(seeds))


def _seeds(seed: int | None) -> Iterator[int]:
    """Yield a seed for each layer."""
    sequence = np.random.SeedSequence(seed)
    while True:
        # 31 bits, and never 0: every backend takes such a seed.
        yield int(sequence.spawn(1)[0].generate_state(1)[0] >> 1) | 1


def _draw(variable: Any, initializer: Any) -> None:
    variable.assign(initializer(variable.shape, variable.dtype))


def _restart(generator: Any, seed: int) -> None:
    """Set a seed generator to where one of this seed begins."""
    state = keras.ops.convert_to_tensor([seed, 0], dtype=generator.state.dtype)
    generator.state.assign(state)
