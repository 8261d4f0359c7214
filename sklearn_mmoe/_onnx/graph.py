"""The graph of an ONNX file while it is being written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sklearn_mmoe._files.container import replacing
from sklearn_mmoe._version import __version__

__all__ = ["Graph"]

# Old enough for runtimes of many years, new enough for all operators used here.
_OPSETS = {"": 18, "ai.onnx.ml": 3}
_IR_VERSION = 8

_TYPES = {"float32": "FLOAT", "float64": "DOUBLE", "int64": "INT64", "str": "STRING"}


def _import_onnx() -> Any:
    """Import onnx, which only those need who export."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "export_onnx needs the package onnx, which is not installed: "
            "pip install 'sklearn-mmoe[onnx]'"
        ) from error
    return onnx


class Graph:
    """Collects nodes; a tensor is known by its name, a str.

    Attributes
    ----------
    scope : str
        What the next nodes belong to, such as a layer; shown in their names.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    """

    def __init__(self) -> None:
        self._onnx = _import_onnx()
        self.scope = ""
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, Any] = {}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def _fresh(self, what: str) -> str:
        """Make a name that no column and no task is likely to have."""
        return f"/{self.scope}/{what}_{len(self._nodes) + len(self._constants)}"

    def input(self, name: str, dtype: str, width: int, doc: str) -> str:
        """Declare an input of shape (n_rows, width)."""
        self._inputs[name] = self._declared(name, dtype, (width,), doc)
        return name

    def output(self, name: str, tensor: str, shape: tuple[int, ...], doc: str) -> None:
        """Declare a tensor of float64 an output; `shape` is that of one row.

        Raises
        ------
        ValueError
            If an input has the same name, or the name is empty.
        """
        if not name or name in self._inputs:
            why = "also that of an input" if name else "empty"
            raise ValueError(
                f"The task {name!r} cannot be exported: its name is {why}, and an ONNX "
                "file needs one name for each. Rename y's column, and fit again."
            )
        self._nodes.append(
            self._onnx.helper.make_node("Identity", [tensor], [name], f"/{name}")
        )
        self._outputs[name] = self._declared(name, "float64", shape, doc)

    def _type(self, dtype: str) -> int:
        """Return ONNX's number of a type."""
        return getattr(self._onnx.TensorProto, _TYPES[dtype])

    def _declared(
        self, name: str, dtype: str, shape_of_row: tuple[int, ...], doc: str
    ) -> Any:
        return self._onnx.helper.make_tensor_value_info(
            name, self._type(dtype), ["n_rows", *shape_of_row], doc
        )

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Store an array."""
        name = self._fresh("constant")
        array = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def nodes(
        self,
        op: str,
        *inputs: str,
        n_outputs: int,
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Append a node of several outputs."""
        name = self._fresh(op)
        outputs = [f"{name}:{k}" for k in range(n_outputs)]
        node = self._onnx.helper.make_node(
            op, list(inputs), outputs, name=name, domain=domain, **attributes
        )
        self._nodes.append(node)
        return outputs

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node of one output."""
        return self.nodes(op, *inputs, n_outputs=1, domain=domain, **attributes)[0]

    def cast(self, tensor: str, dtype: str) -> str:
        """Convert a tensor to 'float32', 'float64' or 'int64'."""
        return self.node("Cast", tensor, to=self._type(dtype))

    def reshape(self, tensor: str, shape: tuple[int, ...]) -> str:
        """Reshape a tensor; one length may be -1."""
        return self.node("Reshape", tensor, self.constant(shape, np.int64))

    def split(self, tensor: str, n_parts: int, axis: int = -1) -> list[str]:
        """Take a tensor apart along an axis, which stays, with length 1."""
        widths = self.constant([1] * n_parts, np.int64)
        return self.nodes("Split", tensor, widths, n_outputs=n_parts, axis=axis)

    def unstack(self, tensor: str, n_parts: int, axis: int) -> list[str]:
        """Take a tensor apart along an axis, which goes."""
        parts = self.split(tensor, n_parts, axis)
        return [self.squeeze(part, axis) for part in parts]

    def squeeze(self, tensor: str, axis: int) -> str:
        """Remove an axis of length 1."""
        return self.node("Squeeze", tensor, self.constant([axis], np.int64))

    def unsqueeze(self, tensor: str, axis: int) -> str:
        """Insert an axis of length 1, at this place of the result."""
        return self.node("Unsqueeze", tensor, self.constant([axis], np.int64))

    def stack(self, tensors: Sequence[str]) -> str:
        """Put tensors of one shape along a new first axis."""
        return self.node("Concat", *(self.unsqueeze(t, 0) for t in tensors), axis=0)

    # No reduction but along the first axis: where there are no rows, the result of
    # another has a wrong shape in ONNX Runtime before 1.32.

    def sum(self, tensor: str) -> str:
        """Sum along the first axis."""
        return self._reduced("ReduceSum", tensor)

    def sum_last(self, tensor: str, width: int, dtype: Any) -> str:
        """Sum along the last axis, of this width, which stays, with length 1."""
        return self.node("MatMul", tensor, self.constant(np.ones((width, 1)), dtype))

    def log_sum_exp(self, tensor: str) -> str:
        """Take the logarithm of the sum of exponentials along the first axis."""
        return self._reduced("ReduceLogSumExp", tensor)

    def _reduced(self, op: str, tensor: str) -> str:
        return self.node(op, tensor, self.constant([0], np.int64), keepdims=0)

    def model(self, metadata: Mapping[str, str]) -> Any:
        """Put all together, and check it."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes,
            "sklearn_mmoe",
            list(self._inputs.values()),
            list(self._outputs.values()),
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*item) for item in _OPSETS.items()],
            ir_version=_IR_VERSION,
            producer_name="sklearn_mmoe",
            producer_version=__version__,
        )
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return model


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a file whole or not at all: what was there stays until it is replaced."""
    with replacing(path) as file:
        file.write(model.SerializeToString())
