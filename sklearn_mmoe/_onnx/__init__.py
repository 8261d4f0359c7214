"""A fitted estimator as an ONNX file, written node by node.

Each part has a table from a class to a small function that writes its nodes:
:mod:`~sklearn_mmoe._onnx.encoders` for what stands in front of the network,
:mod:`~sklearn_mmoe._onnx.layers` for its layers. A class that is in no table is refused
by name.
"""

from __future__ import annotations

__all__: list[str] = []
