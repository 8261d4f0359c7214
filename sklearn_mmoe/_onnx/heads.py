"""The network's outputs as probabilities and as values in the units of y."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mmoe._onnx.graph import Graph

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
        values = graph.node("Mul", logits, graph.constant(task.scale, np.float64))
        values = graph.node("Add", values, graph.constant(task.mean, np.float64))
        values = graph.reshape(values, (-1,))
        graph.output(task.name, values, (), "Predicted values, in the units of y.")
        return
    if task.kind == "binary":
        positive = graph.node("Sigmoid", logits)
        negative = graph.node("Sub", graph.constant(1.0), positive)
        probabilities = graph.node("Concat", negative, positive, axis=1)
    else:
        probabilities = graph.node("Softmax", logits, axis=1)
    doc = f"Probabilities of the classes {task.classes.tolist()}."
    graph.output(task.name, probabilities, (len(task.classes),), doc)


def describe_task(task: Any) -> dict[str, Any]:
    """Say what a task is, in plain values."""
    told = {"name": task.name, "type": task.type}
    if task.type == "classification":
        told["classes"] = task.classes.tolist()
    return told
