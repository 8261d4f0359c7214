"""A fitted estimator for those who serve it without scikit-learn."""

from __future__ import annotations

import os
from typing import Any

from sklearn.utils.validation import check_is_fitted

__all__ = ["ExportMixin"]


class ExportMixin:
    """Methods that hand a fitted network on."""

    _engine: Any

    def to_keras(self) -> Any:
        """Return a copy of the trained network, as a Keras model.

        It takes the features as the estimator does, and its outputs are those of
        ``network_``: logits, or standardised targets, one output (n_rows, units) for
        each task; an ensemble's members are averaged within the network, and logits
        are not divided by `temperatures_` of a calibrated classifier. Unlike
        ``network_`` it is a new model each time, with the present weights: you can
        train or change it without changing the estimator.

        Returns
        -------
        keras.Model
            The copy, not compiled (unless your own `network` compiles it). Its
            ``export(path)`` writes a SavedModel of TensorFlow, which loads without this
            package; its ``save(path)`` writes a ``.keras`` file, which needs ``import
            sklearn_mmoe.layers`` before it is loaded.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        return self._engine.new_network().model

    def export_onnx(
        self, path: str | os.PathLike[str], preprocessor: Any = None
    ) -> None:
        """Write an ONNX file that predicts what this estimator predicts.

        Parameters
        ----------
        path : str or path-like
            The file to write, such as 'model.onnx'. One that is there is replaced.
        preprocessor : transformer or None, default=None
            The fitted transformer before this estimator, so that the file takes what
            the transformer takes; in a Pipeline it is ``pipeline[:-1]``. That of
            `make_tabular_preprocessor` takes the raw columns. StandardScaler,
            MinMaxScaler, SimpleImputer, PiecewiseLinearEncoder, TailSquashingScaler
            and Pipelines of them can be exported too. None leaves it out.

        Raises
        ------
        NotFittedError
            If this estimator or the preprocessor is not fitted.
        ImportError
            If the package onnx is not installed.
        ValueError
            If something cannot be exported, such as a column of dates or texts, or a
            layer of a network of your own. The message names it.

        Notes
        -----
        **Inputs.** Without a preprocessor, 'X' of shape (n_rows, n_features), in the
        type that the network computes in. With `make_tabular_preprocessor` an input of
        shape (n_rows, 1) for each column that it uses, by the column's name: strings
        for categories that are text, float64 for numbers and for categories that are
        numbers. Numbers written as text must be given as numbers, durations in
        seconds. A missing number is NaN. A missing category is '', or what an array of
        objects becomes in ONNX Runtime: 'nan' of NaN, 'None' of None, '<NA>' of
        ``pd.NA``; one of these that has a column of its own is that category. Any
        other numeric matrix is 'X' of float64.

        **Outputs.** One for each task, by its name: probabilities (n_rows, n_classes),
        or values in the units of y (n_rows,). In rows that ``predict`` refuses, for
        infinite numbers or, without a preprocessor, missing ones, all are NaN.

        **Metadata.** 'tasks' is JSON: 'name', 'type' and 'classes' of each task.
        'columns' is JSON: 'name', 'kind' and 'missing' of each raw column.
        """
        check_is_fitted(self)
        from sklearn_mmoe._onnx.export import export

        export(self, path, preprocessor)
