"""Keras layers as ONNX nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

from sklearn_mmoe._onnx.graph import Graph
from sklearn_mmoe.layers import MMoE
from sklearn_mmoe.layers._building_blocks import SplitColumns, silu

__all__ = ["convert_model"]

Converter = Callable[[Graph, Any, list[str]], list[str]]


def convert_model(graph: Graph, model: keras.Model, inputs: Sequence[str]) -> list[str]:
    """Write the nodes of a functional model, in the order in which it computes.

    Parameters
    ----------
    graph : Graph
        What to write to.
    model : keras.Model
        A functional model.
    inputs : sequence of str
        Tensors for its inputs, in their dtype.

    Returns
    -------
    list of str
        The tensors of its outputs.

    Raises
    ------
    ValueError
        If there is a layer that no function of this module converts; it names it.
    """
    known = {id(t): name for t, name in zip(model.inputs, inputs, strict=True)}

    def name_of(tensor: Any) -> str:
        """Find a tensor of Keras, and write first what it is computed from."""
        if id(tensor) not in known:
            layer, node_index, _ = tensor._keras_history
            node = layer._inbound_nodes[node_index]
            names = [
                _autocast(graph, name_of(t), t.dtype, layer) for t in node.input_tensors
            ]
            outputs = _convert_layer(graph, layer, names)
            known.update(zip(map(id, node.output_tensors), outputs, strict=True))
        return known[id(tensor)]

    return [name_of(tensor) for tensor in model.outputs]


def _autocast(graph: Graph, name: str, dtype: str, layer: Any) -> str:
    """Bring a layer's input to the type that it computes in, as Keras does."""
    wanted = getattr(layer, "compute_dtype", dtype)
    if wanted not in ("float32", "float64"):
        raise ValueError(
            f"The layer {layer.name!r} computes in {wanted}, which cannot be exported. "
            "Build the network with dtype='float32' or 'float64'."
        )
    return name if wanted == dtype else graph.cast(name, wanted)


def _convert_layer(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    if isinstance(layer, keras.Model) and getattr(layer, "outputs", None):
        return convert_model(graph, layer, inputs)
    # Not of a base class: a subclass may compute anything.
    convert = _CONVERTERS.get(type(layer))
    if convert is None:
        known = ", ".join(sorted(cls.__name__ for cls in _CONVERTERS))
        raise ValueError(
            f"The layer {layer.name!r} is a {type(layer).__name__}, which cannot be "
            f"exported to ONNX. Build the network of these layers alone: {known}."
        )
    graph.scope = layer.name
    return convert(graph, layer, inputs)


def _value(graph: Graph, variable: Any) -> str:
    """Store a layer's weights."""
    return graph.constant(keras.ops.convert_to_numpy(variable))


def _number(graph: Graph, value: float, layer: Any) -> str:
    return graph.constant(value, layer.compute_dtype)


def _one_node(op: str, **attributes: Any) -> Callable[[Graph, str, Any], str]:
    return lambda graph, x, layer: graph.node(op, x, **attributes)


def _silu(graph: Graph, x: str, layer: Any) -> str:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def _gelu(graph: Graph, x: str, layer: Any) -> str:
    erf = graph.node("Mul", x, _number(graph, np.sqrt(0.5), layer))
    if layer.compute_dtype == "float64":
        # ONNX Runtime has this function in single precision alone.
        erf = graph.cast(graph.node("Erf", graph.cast(erf, "float32")), "float64")
    else:
        erf = graph.node("Erf", erf)
    below = graph.node("Add", erf, _number(graph, 1, layer))
    half = graph.node("Mul", x, _number(graph, 0.5, layer))
    return graph.node("Mul", half, below)


_ACTIVATIONS: dict[Any, Callable[[Graph, str, Any], str]] = {
    keras.activations.linear: lambda graph, x, layer: x,
    keras.activations.relu: _one_node("Relu"),
    keras.activations.silu: _silu,
    silu: _silu,
    keras.activations.gelu: _gelu,
    keras.activations.tanh: _one_node("Tanh"),
    keras.activations.sigmoid: _one_node("Sigmoid"),
    keras.activations.softmax: _one_node("Softmax", axis=-1),
    keras.activations.elu: _one_node("Elu"),
    keras.activations.selu: _one_node("Selu"),
    keras.activations.softplus: _one_node("Softplus"),
    keras.activations.softsign: _one_node("Softsign"),
}


def _activate(graph: Graph, x: str, activation: Any, layer: Any) -> str:
    """Append an activation, which takes a layer's name and dtype for its own."""
    convert = _ACTIVATIONS.get(activation)
    if convert is None:
        name = getattr(activation, "__name__", repr(activation))
        known = ", ".join(sorted({one.__name__ for one in _ACTIVATIONS}))
        raise ValueError(
            f"The layer {layer.name!r} has the activation {name}, which cannot be "
            f"exported to ONNX; these can: {known}."
        )
    return convert(graph, x, layer)


def _dense(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    x = graph.node("MatMul", *inputs, _value(graph, layer.kernel))
    if layer.use_bias:
        x = graph.node("Add", x, _value(graph, layer.bias))
    return [_activate(graph, x, layer.activation, layer)]


def _activation(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    return [_activate(graph, inputs[0], layer.activation, layer)]


def _identity(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Leave out what does something in training alone."""
    return inputs


def _merge(op: str) -> Converter:
    def convert(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
        return [reduce(lambda a, b: graph.node(op, a, b), inputs)]

    return convert


def _average(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    (total,) = _merge("Add")(graph, layer, inputs)
    return [graph.node("Div", total, _number(graph, len(inputs), layer))]


def _concatenate(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    return [graph.node("Concat", *inputs, axis=layer.axis)]


def _split_columns(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    if len(layer.widths) == 1:
        return inputs
    widths = graph.constant(layer.widths, np.int64)
    n_outputs = len(layer.widths)
    return graph.nodes("Split", *inputs, widths, n_outputs=n_outputs, axis=-1)


def _batch_normalization(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise ValueError(
            f"The layer {layer.name!r} normalises axis {layer.axis}, but only the last "
            "can be exported to ONNX."
        )
    mean, variance = (
        keras.ops.convert_to_numpy(moment)
        for moment in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * keras.ops.convert_to_numpy(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift = shift + keras.ops.convert_to_numpy(layer.beta)
    dtype = layer.compute_dtype
    scaled = graph.node("Mul", *inputs, graph.constant(scale, dtype))
    return [graph.node("Add", scaled, graph.constant(shift, dtype))]


def _mmoe(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write equations 6 and 7 of Ma et al. (2018), for inputs (n_rows, features)."""
    (x,) = inputs
    kernels = [layer.expert_kernel, *layer.hidden_expert_kernels]
    biases = [layer.expert_bias, *layer.hidden_expert_biases]
    # (n_rows, num_experts, units)
    experts = _fused_layers(graph, x, kernels, biases, layer.expert_activation, layer)
    # (n_rows, num_tasks, num_experts)
    gates = _fused_layers(
        graph, x, [layer.gate_kernel], [layer.gate_bias], layer.gate_activation, layer
    )
    mixtures = graph.node("MatMul", gates, experts)  # (n_rows, num_tasks, units)
    of_tasks = graph.split(mixtures, layer.num_tasks)
    return [graph.reshape(mixture, (-1, layer.units)) for mixture in of_tasks]


def _fused_layers(
    graph: Graph,
    x: str,
    kernels: Sequence[Any],
    biases: Sequence[Any],
    activation: Any,
    layer: Any,
) -> str:
    """Evaluate blocks of layers beside each other, such as experts.

    The first kernel is (features, blocks, width), the others (blocks, width below,
    width). The result is (n_rows, blocks, width).
    """
    features, blocks, width = kernels[0].shape
    flat = keras.ops.reshape(kernels[0], (features, blocks * width))
    x = graph.node("MatMul", x, _value(graph, flat))
    x = graph.reshape(x, (-1, blocks, width))
    if biases[0] is not None:
        x = graph.node("Add", x, _value(graph, biases[0]))
    x = _activate(graph, x, activation, layer)
    if len(kernels) == 1:
        return x
    # (blocks, n_rows, width): a matrix product for each block.
    x = graph.node("Transpose", x, perm=[1, 0, 2])
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        x = graph.node("MatMul", x, _value(graph, kernel))
        if bias is not None:
            x = graph.node("Add", x, _value(graph, keras.ops.expand_dims(bias, 1)))
        x = _activate(graph, x, activation, layer)
    return graph.node("Transpose", x, perm=[1, 0, 2])


_CONVERTERS: dict[type, Converter] = {
    keras.layers.Dense: _dense,
    keras.layers.Activation: _activation,
    keras.layers.Dropout: _identity,
    keras.layers.GaussianDropout: _identity,
    keras.layers.GaussianNoise: _identity,
    keras.layers.Add: _merge("Add"),
    keras.layers.Multiply: _merge("Mul"),
    keras.layers.Maximum: _merge("Max"),
    keras.layers.Minimum: _merge("Min"),
    keras.layers.Subtract: _merge("Sub"),
    keras.layers.Average: _average,
    keras.layers.Concatenate: _concatenate,
    keras.layers.BatchNormalization: _batch_normalization,
    MMoE: _mmoe,
    SplitColumns: _split_columns,
}
