"""Keras layers: the ways in which tasks share what they learn.

Only :mod:`keras.ops` is used, so the layers run on every Keras backend. Importing this
module registers all that a saved network consists of, so that
``keras.saving.load_model`` reads it without ``custom_objects``.
"""

from __future__ import annotations

from sklearn_mmoe import regularizers  # noqa: F401  registers the penalty
from sklearn_mmoe._training import optimizers  # noqa: F401  registers the optimizer
from sklearn_mmoe.layers import _building_blocks, _kernel_ridge, _members  # noqa: F401
from sklearn_mmoe.layers.cgc import CGC
from sklearn_mmoe.layers.cross_stitch import CrossStitch
from sklearn_mmoe.layers.information_transfer import AdaptiveInformationTransfer
from sklearn_mmoe.layers.mmoe import MMoE
from sklearn_mmoe.layers.product import ProductOfProbabilities

__all__ = [
    "CGC",
    "AdaptiveInformationTransfer",
    "CrossStitch",
    "MMoE",
    "ProductOfProbabilities",
]
