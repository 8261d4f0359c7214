"""The network's outputs as probabilities and as values in the units of y."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from sklearn_mmoe._onnx.graph import Graph
from sklearn_mmoe._tasks.kinds import LINKS, QUANTILES

__all__ = ["add_head", "describe_task"]


def add_head(graph: Graph, task: Any, logits: str, guard: str) -> None:
    """Write what a task's logits or standardised values mean, as an output.

    Parameters
    ----------
    graph : Graph
        What to write to.
    task : LabelTask or ValueTask
        The task; the output has its name.
    logits : str
        The network's output (n_rows, units).
    guard : str
        A tensor (n_rows, 1) of float64: zeros, and NaN in rows without a prediction.
    """
    graph.scope = task.name
    # In double precision, as the estimators decode.
    logits = graph.cast(logits, "float64")
    # Zeros, but NaN for infinite outputs, of which ``predict`` makes an error.
    finite = graph.node("Mul", logits, graph.constant(0.0))
    logits = graph.node("Add", graph.node("Add", logits, finite), guard)
    if task.type == "regression":
        values = graph.reshape(_values(graph, task, logits), (-1,))
        graph.output(task.name, values, (), "Predicted values, in the units of y.")
        return
    doc = f"Probabilities of the classes {task.classes.tolist()}."
    probabilities = _probabilities(graph, task, logits)
    graph.output(task.name, probabilities, (len(task.classes),), doc)


def _values(graph: Graph, task: Any, outputs: str) -> str:
    """Bring a regression's outputs to the units of y, as ``ValueTask.decode`` does."""
    if task.is_log:
        ratio = graph.node("Exp", outputs)
        return graph.node("Mul", ratio, graph.constant(task.mean, np.float64))
    if task.loss == "quantile":
        ordered = _sorted(graph, outputs, task.units, largest=0)
        outputs = graph.split(ordered, task.units)[QUANTILES.index(0.5)]
    if task.loss == "tobit":
        outputs, _ = graph.split(outputs, task.units)  # the mean, and the spread
    values = graph.node("Mul", outputs, graph.constant(task.scale, np.float64))
    return graph.node("Add", values, graph.constant(task.mean, np.float64))


def _probabilities(graph: Graph, task: Any, logits: str) -> str:
    """Bring logits to probabilities of each class, as ``LabelTask`` does."""
    if task.temperature != 1:
        temperature = graph.constant(task.temperature, np.float64)
        logits = graph.node("Div", logits, temperature)
    if LINKS[task.kind] == "softmax":
        return graph.node("Softmax", logits, axis=1)
    positive = graph.node("Sigmoid", logits)
    if task.units == 1:
        negative = graph.node("Sub", graph.constant(1.0), positive)
        return graph.node("Concat", negative, positive, axis=1)
    above = graph.split(_sorted(graph, positive, task.units, largest=1), task.units)
    # Zero, and NaN where that is.
    none = graph.node("Mul", above[0], graph.constant(0.0))
    steps = [graph.node("Add", none, graph.constant(1.0)), *above, none]
    classes = [
        graph.node("Sub", lower, higher) for lower, higher in itertools.pairwise(steps)
    ]
    return graph.node("Concat", *classes, axis=1)


def _sorted(graph: Graph, tensor: str, width: int, largest: int) -> str:
    """Sort the columns of each row."""
    k = graph.constant([width], np.int64)
    return graph.nodes("TopK", tensor, k, n_outputs=2, axis=1, largest=largest)[0]


def describe_task(task: Any) -> dict[str, Any]:
    """Say what a task is, in plain values."""
    told = {"name": task.name, "type": task.type}
    if task.type == "classification":
        told["classes"] = task.classes.tolist()
    return told
