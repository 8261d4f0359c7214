"""Keras layers: multi-gate mixture-of-experts.

Only :mod:`keras.ops` is used, so the layers run on every Keras backend.
"""

from __future__ import annotations

from sklearn_mmoe.layers.mmoe import MMoE

__all__ = ["MMoE"]
