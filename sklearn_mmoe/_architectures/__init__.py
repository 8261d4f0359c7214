"""Networks: layers assembled into one :class:`keras.Model` for each architecture.

A builder takes what is known of the data (`meta`, as scikeras names it) and its own
hyper-parameters, and returns a :class:`~sklearn_mmoe._architectures.network.Network`:
the model, and what its layers are for.
"""

from __future__ import annotations

__all__: list[str] = []
