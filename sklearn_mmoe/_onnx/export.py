"""Puts the parts of an ONNX file together."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from sklearn_mmoe._onnx.encoders import Features, convert_preprocessor
from sklearn_mmoe._onnx.graph import Graph, write
from sklearn_mmoe._onnx.heads import add_head, describe_task
from sklearn_mmoe._onnx.layers import convert_model

__all__ = ["export"]


def export(estimator: Any, path: str | os.PathLike[str], preprocessor: Any) -> None:
    """Write a fitted estimator and its preprocessor; see its method `export_onnx`."""
    graph = Graph()
    features = _features(graph, estimator, preprocessor)
    dtype = estimator._engine.spec.dtype
    tensor = features.tensor
    if features.dtype != dtype:
        tensor = graph.cast(tensor, dtype)
    graph.scope = "guard"
    # Zeros, but NaN for rows of NaN or infinity, which an activation may bound.
    nothing = graph.constant(np.zeros((features.width, 1)), dtype)
    guard = graph.cast(graph.node("MatMul", tensor, nothing), "float64")
    model = estimator._engine.network.model
    if model.inputs[0].dtype != dtype:
        tensor = graph.cast(tensor, model.inputs[0].dtype)
    outputs = convert_model(graph, model, [tensor])
    for task, logits in zip(estimator._tasks, outputs, strict=True):
        add_head(graph, task, logits, guard)
    metadata = {
        "estimator": type(estimator).__name__,
        "tasks": json.dumps([describe_task(task) for task in estimator._tasks]),
        "columns": json.dumps(features.columns),
    }
    write(graph.model(metadata), path)


def _features(graph: Graph, estimator: Any, preprocessor: Any) -> Features:
    """Declare the inputs, and write what leads from them to the network."""
    expected = estimator.n_features_in_
    if preprocessor is None:
        dtype = estimator._engine.spec.dtype
        tensor = graph.input("X", dtype, expected, "Features, as fit took them.")
        return Features(tensor, expected, dtype, [])
    features = convert_preprocessor(graph, preprocessor)
    if features.width != expected:
        raise ValueError(
            f"The preprocessor makes {features.width} features, but "
            f"{type(estimator).__name__} was fitted with {expected}. Pass the one with "
            "which it was fitted."
        )
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and list(preprocessor.get_feature_names_out()) != list(names):
        raise ValueError(
            "The preprocessor's features have other names than those with which "
            f"{type(estimator).__name__} was fitted. Pass the one of that fit."
        )
    return features
