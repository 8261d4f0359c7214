"""Initializers of kernels that are fused of several blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import numpy as np
from keras import ops

__all__ = ["block_initializer", "of_block", "with_seed"]


def with_seed(initializer: Any, seed: int) -> Any:
    """Copy a Keras initializer with another seed.

    Initializers without a seed of their own (``'zeros'``, plain functions) and those
    that hold a ``SeedGenerator``, which moves on by itself, are returned as they are.
    """
    if not isinstance(getattr(initializer, "seed", None), int):
        return initializer
    return type(initializer).from_config({**initializer.get_config(), "seed": seed})


def of_block(initializer: Any, block: int) -> Any:
    """Copy an initializer with a seed of its own for this block.

    A Keras initializer with an integer seed draws the same numbers at every call,
    which would make all experts equal for ever.
    """
    seed = getattr(initializer, "seed", None)
    if block == 0 or not isinstance(seed, int):
        return initializer
    # SeedSequence keeps (seed, block) apart from (seed + 1, block - 1).
    sequence = np.random.SeedSequence([seed, block])
    return with_seed(initializer, int(sequence.generate_state(1)[0] >> 1))


def block_initializer(
    initializer: Any, block_shape: tuple[int, ...], axis: int, first_block: int = 0
) -> Callable[..., Any]:
    """Fill a fused kernel block by block, each block with its own fan.

    One draw for the whole fused shape would give the variance of a layer that is
    `n_blocks` times as wide; experts initialised so are too small from the start.

    Parameters
    ----------
    initializer : keras.initializers.Initializer or callable
        Called once for each block with `block_shape`.
    block_shape : tuple of int
        Shape of one block's kernel, (fan_in, fan_out).
    axis : int
        Axis of the fused kernel that counts the blocks.
    first_block : int, default=0
        Number of the first block; blocks of different numbers have different seeds.

    Returns
    -------
    callable
        Called as ``initialize(shape, dtype)``, it returns the fused kernel.
    """

    def initialize(shape: Sequence[int], dtype: Any = None) -> Any:
        return ops.stack(
            [
                of_block(initializer, first_block + i)(block_shape, dtype)
                for i in range(shape[axis])
            ],
            axis=axis,
        )

    return initialize
