"""Initializers of kernels that are fused of several blocks."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np
from keras import ops

__all__ = ["block_initializer", "draw_each", "of_block", "with_seed"]


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


def draw_each(
    initializer: Any, seeds: Sequence[int], shape: Sequence[int], dtype: Any
) -> Any:
    """Draw a kernel for each seed, as copies of an initializer would.

    An ensemble has hundreds of them, and each takes Keras a millisecond. So those of
    our networks are drawn in one call into TensorFlow, to the same bits.

    Parameters
    ----------
    initializer : keras.initializers.Initializer or callable
        The initializer; its own seed is not used.
    seeds : sequence of int
        The seeds.
    shape : sequence of int
        Shape of each kernel.
    dtype : str or None
        Type of the kernels; None is Keras' global one.

    Returns
    -------
    tensor of shape (len(seeds), *shape)
        The kernels.
    """
    if hasattr(initializer, "draw_each"):
        return initializer.draw_each(seeds, shape, dtype)
    limit = _limit(initializer, shape)
    if limit is None or keras.backend.backend() != "tensorflow":
        return ops.stack([with_seed(initializer, seed)(shape, dtype) for seed in seeds])
    dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
    pairs = np.zeros((len(seeds), 2), np.int32)
    pairs[:, 0] = np.asarray(seeds) % (np.iinfo(np.int32).max - 1)  # as Keras does
    # Keras makes a number of float32 of the limit, whatever it draws.
    return _uniform_draws(dtype)(pairs, np.array(shape, np.int32), np.float32(limit))


def _limit(initializer: Any, shape: Sequence[int]) -> float | None:
    """Return up to where a uniform initializer draws; None if it is another kind."""
    kinds = (keras.initializers.GlorotUniform, keras.initializers.HeUniform)
    if type(initializer) not in kinds or len(shape) != 2:
        return None
    axes = [getattr(initializer, f"{end}_axes", None) for end in ("input", "output")]
    if not isinstance(initializer.seed, int) or any(axis is not None for axis in axes):
        return None
    fans = {"fan_in": shape[0], "fan_avg": sum(shape) / 2}
    variance = initializer.scale / max(1.0, fans[initializer.mode])
    return math.sqrt(3 * variance)


@functools.cache
def _uniform_draws(dtype: str) -> Any:
    """Trace a function that draws uniform numbers for each of some seeds."""
    import tensorflow as tf

    def draw(seeds: Any, shape: Any, limit: Any) -> Any:
        return tf.map_fn(
            lambda seed: tf.random.stateless_uniform(
                shape,
                seed,
                minval=tf.cast(-limit, dtype),
                maxval=tf.cast(limit, dtype),
                dtype=dtype,
            ),
            seeds,
            fn_output_signature=tf.TensorSpec([None, None], dtype),
        )

    return tf.function(
        draw,
        input_signature=[
            tf.TensorSpec([None, 2], tf.int32),
            tf.TensorSpec([2], tf.int32),
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )


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
        blocks = [of_block(initializer, first_block + i) for i in range(shape[axis])]
        seeds: list[Any] = [getattr(block, "seed", None) for block in blocks]
        if not all(isinstance(seed, int) for seed in seeds):
            drawn = [block(block_shape, dtype) for block in blocks]
            return ops.stack(drawn, axis=axis)
        return ops.moveaxis(draw_each(initializer, seeds, block_shape, dtype), 0, axis)

    return initialize
