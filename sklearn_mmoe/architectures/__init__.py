"""Networks: layers assembled into one :class:`keras.Model` for each architecture."""

from __future__ import annotations

__all__: list[str] = []
