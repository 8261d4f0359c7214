"""Keras layers as ONNX nodes.

Shapes are told for a layer by itself. An ensemble's weights and activations have the
members' axis in front, along which all operators broadcast: axes are counted from the
last one on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from sklearn_mmoe._tasks.kinds import LINKS
from sklearn_mmoe._training import keras_import  # noqa: F401  must precede keras

# isort: split
import keras
import numpy as np

from sklearn_mmoe._onnx.graph import Graph
from sklearn_mmoe._training.kernel_ridge import SAME_ROW
from sklearn_mmoe.layers import (
    CGC,
    AdaptiveInformationTransfer,
    CrossStitch,
    MMoE,
    ProductOfProbabilities,
)
from sklearn_mmoe.layers._building_blocks import SplitColumns, silu
from sklearn_mmoe.layers._kernel_ridge import KernelRidgeOutputs
from sklearn_mmoe.layers._members import (
    AverageMembers,
    MemberCGC,
    MemberCrossStitch,
    MemberDense,
    MemberDropout,
    MemberInformationTransfer,
    MemberLearnedSpread,
    MemberMMoE,
)
from sklearn_mmoe.layers._spread import LearnedSpread

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


def _affine(graph: Graph, x: str, kernel: Any, bias: Any) -> str:
    """Multiply by a kernel (..., features, width), and add a bias (..., width)."""
    x = graph.node("MatMul", x, graph.constant(_array(kernel)))
    if bias is None:
        return x
    along_rows = np.expand_dims(_array(bias), -2)
    return graph.node("Add", x, graph.constant(along_rows))


def _array(weights: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(weights)


def _dense(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    (x,) = inputs
    x = _affine(graph, x, layer.kernel, layer.bias)
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
    """Write equations 6 and 7 of Ma et al. (2018)."""
    (x,) = inputs
    kernels = [layer.expert_kernel, *layer.hidden_expert_kernels]
    biases = [layer.expert_bias, *layer.hidden_expert_biases]
    experts = _experts(graph, layer, x, kernels, biases)
    logits = _blocks(graph, x, layer.gate_kernel, layer.gate_bias)
    gates = _gates(graph, layer, logits, layer.gate_activation)
    gates = _swap_rows_and_blocks(graph, gates, layer.gate_kernel)
    mixtures = graph.node("MatMul", gates, experts)  # (n_rows, num_tasks, units)
    return graph.unstack(mixtures, layer.num_tasks, axis=-2)


def _cgc(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write equations 1 to 3 of Tang et al. (2020)."""
    n_groups = layer.num_tasks + 1
    xs = inputs if len(inputs) == n_groups else inputs * n_groups
    *of_tasks, shared = [
        _experts(graph, layer, *group)
        for group in zip(xs, layer.expert_kernels, layer.expert_biases, strict=True)
    ]
    seen = [graph.node("Concat", shared, own, axis=-2) for own in of_tasks]
    if layer.shared_output:
        seen.append(graph.node("Concat", shared, *of_tasks, axis=-2))
    outputs = []
    for x, kernel, bias, experts in zip(
        xs[: len(seen)], layer.gate_kernels, layer.gate_biases, seen, strict=True
    ):
        logits = _affine(graph, x, kernel, bias)
        gate = _gates(graph, layer, logits, keras.activations.softmax)
        # (n_rows, 1, n_seen) times (n_rows, n_seen, units)
        mixture = graph.node("MatMul", graph.unsqueeze(gate, -2), experts)
        outputs.append(graph.squeeze(mixture, -2))
    return outputs


def _gates(graph: Graph, layer: Any, logits: str, activation: Any) -> str:
    if layer.gate_temperature != 1:
        temperature = _number(graph, layer.gate_temperature, layer)
        logits = graph.node("Div", logits, temperature)
    return _activate(graph, logits, activation, layer)


def _experts(
    graph: Graph, layer: Any, x: str, kernels: Sequence[Any], biases: Sequence[Any]
) -> str:
    """Evaluate experts beside each other; the result is (n_rows, experts, units).

    The first kernel is (features, experts, width), the others (experts, width below,
    width).
    """
    x = _blocks(graph, x, kernels[0], biases[0])
    x = _activate(graph, x, layer.expert_activation, layer)
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        x = _affine(graph, x, kernel, bias)
        x = _activate(graph, x, layer.expert_activation, layer)
    return _swap_rows_and_blocks(graph, x, kernels[0])


def _blocks(graph: Graph, x: str, kernel: Any, bias: Any) -> str:
    """Multiply by a kernel (features, blocks, width): to (blocks, n_rows, width)."""
    of_blocks = np.swapaxes(_array(kernel), -3, -2)
    return _affine(graph, graph.unsqueeze(x, -3), of_blocks, bias)


def _swap_rows_and_blocks(graph: Graph, x: str, kernel: Any) -> str:
    """Swap the last axes but one of what a kernel of blocks has made."""
    *members, second, third, last = range(len(kernel.shape))
    return graph.node("Transpose", x, perm=[*members, third, second, last])


def _cross_stitch(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write equation 1 of Misra et al. (2016)."""
    # (from, ..., n_rows, units) times (to, from, ..., 1, units), one `to` at a time
    stacked = graph.stack(inputs)
    kernel = np.expand_dims(np.moveaxis(_array(layer.kernel), (-3, -2), (0, 1)), -2)
    return [
        graph.sum(graph.node("Mul", stacked, graph.constant(shares)))
        for shares in kernel
    ]


def _information_transfer(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write the AIT module of Xi et al. (2021)."""
    values, scores = [], []
    width = layer.kernel.shape[-1]
    for x in inputs:
        projected = _blocks(graph, x, layer.kernel, layer.bias)
        value, query, key = graph.unstack(projected, 3, axis=-3)
        values.append(value)
        product = graph.node("Mul", query, key)
        scores.append(graph.sum_last(product, width, layer.compute_dtype))
    scale = _number(graph, width**0.5, layer)
    both = graph.node("Div", graph.node("Concat", *scores, axis=-1), scale)
    weights = graph.split(graph.node("Softmax", both, axis=-1), 2)
    passed, own = map(lambda *one: graph.node("Mul", *one), weights, values)
    return [graph.node("Add", passed, own)]


def _average_members(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Average values, or probabilities, which stay logits."""
    x, *others = inputs
    n_members = len(inputs) if others else layer.input.shape[0]
    if others:
        x = graph.stack(inputs)
    link = LINKS[layer.kind]
    counting, weights = layer.counting(n_members)
    weights = np.reshape(weights, (-1, 1, 1))
    if len(counting) < n_members:
        x = graph.node("Gather", x, graph.constant(counting), axis=0)
    if link == "identity":
        shares = graph.constant(weights.astype(layer.compute_dtype))
        return [graph.sum(graph.node("Mul", x, shares))]
    shares = graph.constant(np.log(weights).astype(layer.compute_dtype))

    def average(logs: str) -> str:
        return graph.log_sum_exp(graph.node("Add", logs, shares))

    if link == "logit":
        yes, no = (
            average(_log_sigmoid(graph, logits, layer))
            for logits in (x, graph.node("Neg", x))
        )
        return [graph.node("Sub", yes, no)]
    return [average(x if link == "log" else graph.node("LogSoftmax", x, axis=-1))]


def _kernel_ridge(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write exp(-|x - row| / length) times coefficients, in double precision."""
    (x,) = inputs
    x = graph.cast(x, "float64")
    x = graph.node("Sub", x, graph.constant(_array(layer.center)))
    x = graph.node("Div", x, graph.constant(_array(layer.scale)))
    feature_weights = graph.constant(_array(layer.feature_weights))
    x = graph.node("Mul", graph.node("Tanh", x), feature_weights)
    x = graph.cast(graph.cast(x, layer.compute_dtype), "float64")
    rows = _array(layer.rows).astype(np.float64)
    two_products = graph.node("MatMul", x, graph.constant(2 * rows.T))
    squares = graph.node("Mul", x, x)
    squares = graph.sum_last(squares, rows.shape[1], np.float64)
    norms = graph.node("Add", squares, graph.constant((rows**2).sum(axis=1)))
    squares = graph.node("Sub", norms, two_products)
    least = graph.node("Mul", norms, graph.constant(SAME_ROW, np.float64))
    zero = graph.constant(0.0, np.float64)
    differ = graph.node("Greater", squares, least)
    distances = graph.node("Sqrt", graph.node("Where", differ, squares, zero))
    exponents = graph.node("Div", distances, graph.constant(-_array(layer.length)))
    columns = graph.node(
        "MatMul",
        graph.node("Exp", exponents),
        graph.constant(_array(layer.coefficients)),
    )
    columns = graph.node("Add", columns, graph.constant(_array(layer.means)))
    if len(layer.widths) > 1:
        widths = graph.constant(layer.widths, np.int64)
        of_tasks = graph.nodes(
            "Split", columns, widths, n_outputs=len(layer.widths), axis=-1
        )
    else:
        of_tasks = [columns]
    outputs = [
        _as_logits(graph, of_task, kind, layer.least_probability)
        for of_task, kind in zip(of_tasks, layer.kinds, strict=True)
    ]
    return [graph.cast(output, layer.compute_dtype) for output in outputs]


def _as_logits(graph: Graph, columns: str, kind: str, least: float) -> str:
    """Turn probabilities into logits; values stay."""
    if kind == "regression":
        return columns
    columns = graph.node("Max", columns, graph.constant(least, np.float64))
    if kind == "multiclass":
        return graph.node("Log", columns)
    columns = graph.node("Min", columns, graph.constant(1 - least, np.float64))
    no = graph.node("Sub", graph.constant(1.0, np.float64), columns)
    return graph.node("Sub", graph.node("Log", columns), graph.node("Log", no))


def _learned_spread(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Append a column that is the same for all rows."""
    (x,) = inputs
    zeros = graph.node("Mul", x, _number(graph, 0, layer))
    along_rows = graph.constant(np.expand_dims(_array(layer.log_spread), -2))
    return [graph.node("Concat", x, graph.node("Add", zeros, along_rows), axis=-1)]


def _product(graph: Graph, layer: Any, inputs: list[str]) -> list[str]:
    """Write the logit of p q = 1 - ((1 - p) + p (1 - q))."""
    logs = [_log_sigmoid(graph, x, layer) for x in inputs]
    first, second = (_log_sigmoid(graph, graph.node("Neg", x), layer) for x in inputs)
    no = graph.log_sum_exp(graph.stack([first, graph.node("Add", logs[0], second)]))
    return [graph.node("Sub", graph.node("Add", *logs), no)]


def _log_sigmoid(graph: Graph, x: str, layer: Any) -> str:
    """Compute min(x, 0) - log(1 + exp(-|x|)), which overflows nowhere."""
    small = graph.node("Exp", graph.node("Neg", graph.node("Abs", x)))
    rest = graph.node("Log", graph.node("Add", small, _number(graph, 1, layer)))
    return graph.node("Sub", graph.node("Min", x, _number(graph, 0, layer)), rest)


_CONVERTERS: dict[type, Converter] = {
    keras.layers.Dense: _dense,
    keras.layers.Activation: _activation,
    keras.layers.Dropout: _identity,
    keras.layers.GaussianDropout: _identity,
    MemberDropout: _identity,
    keras.layers.GaussianNoise: _identity,
    keras.layers.Add: _merge("Add"),
    keras.layers.Multiply: _merge("Mul"),
    keras.layers.Maximum: _merge("Max"),
    keras.layers.Minimum: _merge("Min"),
    keras.layers.Subtract: _merge("Sub"),
    keras.layers.Average: _average,
    keras.layers.Concatenate: _concatenate,
    keras.layers.BatchNormalization: _batch_normalization,
    SplitColumns: _split_columns,
    MMoE: _mmoe,
    CGC: _cgc,
    CrossStitch: _cross_stitch,
    AdaptiveInformationTransfer: _information_transfer,
    ProductOfProbabilities: _product,
    LearnedSpread: _learned_spread,
    MemberDense: _dense,
    MemberMMoE: _mmoe,
    MemberCGC: _cgc,
    MemberCrossStitch: _cross_stitch,
    MemberInformationTransfer: _information_transfer,
    MemberLearnedSpread: _learned_spread,
    AverageMembers: _average_members,
    KernelRidgeOutputs: _kernel_ridge,
}
