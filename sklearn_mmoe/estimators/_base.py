"""What the estimators share: the order of a fit, and what a fitted one tells.

This is scikit-learn's side of the wall. Keras and TensorFlow are loaded at the first
``fit``, through :mod:`sklearn_mmoe._training.engine`, which takes plain arrays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pandas as pd
from sklearn.base import MultiOutputMixin, _fit_context
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe._files.frames import PandasStateMixin
from sklearn_mmoe._sklearn.callbacks import CallbackSupportMixin
from sklearn_mmoe._sklearn.doc_links import DocumentationLinkMixin
from sklearn_mmoe._sklearn.versions import VersionedStateMixin
from sklearn_mmoe._tasks.weights import asks_for_balance
from sklearn_mmoe.estimators._calibration import (
    check_calibration,
    is_calibrating,
    refuse_calibration,
)
from sklearn_mmoe.estimators._candidates import check_cv, with_folds
from sklearn_mmoe.estimators._checkpoints import fingerprint, open_checkpoints
from sklearn_mmoe.estimators._distribution import (
    check_workers,
    explaining_losses,
    find_distribution,
    is_chief,
)
from sklearn_mmoe.estimators._exports import ExportMixin
from sklearn_mmoe.estimators._fit_data import FitData, Seeds
from sklearn_mmoe.estimators._fitted import is_fitted, unchanged_on_error
from sklearn_mmoe.estimators._gates import names_in_members, use_table
from sklearn_mmoe.estimators._parameters import EstimatorParameters
from sklearn_mmoe.estimators._prediction import PredictionMixin
from sklearn_mmoe.estimators._reading import ReadingMixin
from sklearn_mmoe.estimators._summary import summary_table
from sklearn_mmoe.estimators._task_view import task_view
from sklearn_mmoe.estimators._training import ROWS_TO_COME, TrainingMixin
from sklearn_mmoe.estimators._validation import check_validation_arguments


def partial_fit_available(estimator: Any) -> bool:
    """Tell scikit-learn, and by an AttributeError the user, when there is none."""
    if estimator.early_stopping:
        raise AttributeError(
            "There is no partial_fit with early_stopping=True. Set it to False, "
            "or call fit."
        )
    return True


class _BaseMultiTaskMMoE(
    PandasStateMixin,
    ReadingMixin,
    TrainingMixin,
    PredictionMixin,
    ExportMixin,
    DocumentationLinkMixin,
    VersionedStateMixin,
    CallbackSupportMixin,
    MultiOutputMixin,
    EstimatorParameters,
):
    """Everything that does not depend on the kind of the targets."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return is_fitted(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file, which :func:`sklearn_mmoe.load` reads.

        The file contains text and numbers, and no code: unlike a pickle, loading it
        runs nothing. An older file is replaced in one step, so that it is still there
        after a full disk or a crash.

        Parameters
        ----------
        path : str or path-like
            The file to write, such as 'model.mmoe'.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If a parameter holds code: `callbacks`, a `network` builder, an optimizer
            object, or a scorer other than those of :mod:`sklearn_mmoe.metrics`.
        OSError
            If the file cannot be written.

        See Also
        --------
        sklearn_mmoe.load : Load such a file.
        """
        from sklearn_mmoe._files.estimator import save

        save(self, path)

    @property
    def network_(self) -> Any:
        """The trained ``keras.Model``; its outputs are logits or z-scores."""
        check_is_fitted(self)
        return self._engine.network.model

    @property
    def n_parameters_(self) -> int:
        """Number of weights of the network."""
        check_is_fitted(self)
        return self._engine.n_weights

    @property
    def expert_use_(self) -> pd.DataFrame | None:
        """Mean weight of each expert in each task; None without gates."""
        check_is_fitted(self)
        if self._expert_use is None:
            return None
        experts = names_in_members(self._engine.spec, self.task_names_)
        return use_table(self._expert_use, self.task_names_, experts)

    def task(self, name: Any) -> Any:
        """Return one task of the fitted estimator as an estimator of its own.

        Parameters
        ----------
        name : str, int or another column label
            The task's name, or its index.

        Returns
        -------
        view : TaskClassifierView or TaskRegressorView
            An estimator of one output with ``predict``, ``score`` and, of a
            classification, ``classes_``, ``predict_proba`` and ``predict_log_proba``,
            for what takes one output only: ``CalibratedClassifierCV(FrozenEstimator(
            clf.task("income")))``, ``PartialDependenceDisplay``. It predicts with
            this estimator as it is, and cannot be fitted. Behind a preprocessor,
            ``make_pipeline(pipeline[:-1], pipeline[-1].task("income"))`` takes what
            the pipeline takes.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        ValueError
            If there is no such task.
        """
        check_is_fitted(self)
        return task_view(self, name)

    def summary(self) -> pd.DataFrame:
        """List the layers of the trained network.

        Returns
        -------
        data frame of shape (n_layers, 4)
            A row for each layer, by its name in ``network_``: 'part' (what it belongs
            to), 'kind' (its class), 'output' (shape of its output for one row; for the
            experts, of every task) and 'weights' (how many it has). For an ensemble
            trained with `cv` a row describes the layer of all members: the shape is
            (n_members, units), up to the layers that average them.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        check_is_fitted(self)
        return summary_table(self._engine.network.layers(), self.task_names_)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Any:
        """Train one network on all tasks.

        Parameters
        ----------
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Numeric features without missing values. Sparse input is made dense one
            batch at a time.
        y : array-like or data frame of shape (n_samples,) or (n_samples, n_outputs)
            One column for each task. The column names of a data frame become
            `task_names_`. NaN, None and ``pd.NA`` mean that a row has no target for
            this task: it then counts in none of this task's losses and scores, and
            rows without any target are left out. Of a regression with the loss 'tobit'
            a column may hold intervals of pandas.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_outputs), \
                or None, default=None
            Non-negative weights of the rows, for all tasks or with a column for each;
            only their proportions count. Rows with weight zero are left out.
        X_val : {array-like, data frame, CSR matrix} of shape (n_val, n_features), \
                default=None
            Rows for early stopping, and the calibration of a classifier, instead of a
            part of X. In a Pipeline with
            ``transform_input=["X_val"]`` they are transformed as X is.
        y_val : array-like or data frame of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their targets.
        sample_weight_val : array-like of shape (n_val,) or (n_val, n_outputs), \
                default=None
            Their weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of range, X and y do not fit together, X holds NaN,
            infinity or text, weights are negative or all zero, a warm start is asked
            to go on with another network, `checkpoint_dir` has a checkpoint of
            another fit, or training diverges.
        TypeError
            If a callback is none of Keras', or a metric does not return one number.

        Warns
        -----
        UserWarning
            If X and y, or weights, of pandas have the same row labels in another order:
            positions pair them. If a task has one class alone, or one that looks like
            missing targets in text, or splits of `cv` leave one in one fold.
        ConvergenceWarning
            If some experts are used by no task, or all gates are alike.

        Notes
        -----
        A fit that fails, or is interrupted by Ctrl-C, leaves the estimator exactly as
        it was before.
        """
        check_validation_arguments(self, X_val, y_val, sample_weight_val)

        def read(seeds: Seeds, resume: bool) -> tuple[FitData, FitData | None]:
            data = self._read(X, y, sample_weight, resume=resume)
            held_out = None
            if X_val is not None:
                held_out = self._read_validation(data, X_val, y_val, sample_weight_val)
            elif self.early_stopping:
                # A warm start keeps the seed: rows once trained on stay on that side.
                if not (resume and hasattr(self, "_split_seed")):
                    self._split_seed = seeds.split
                data, held_out = data.set_aside(
                    self.validation_fraction, self._split_seed, "early_stopping=True"
                )
            if is_calibrating(self) and held_out is None:
                data, held_out = data.set_aside(
                    self.validation_fraction,
                    seeds.split,
                    f"calibration={self.calibration!r}",
                )
            if not (resume or self.early_stopping):
                data = with_folds(self, data, seeds.split)
            return data, held_out

        return self._fit_on(read)

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit_chunks(self, read: Callable[[Seeds, bool], Any]) -> Any:
        """Fit on rows that are read anew in each epoch; see ``out_of_core``."""
        return self._fit_on(read)

    def _fit_on(self, read: Callable[[Seeds, bool], Any]) -> Any:
        """Fit on what `read` returns: the rows to train on, and those set aside.

        It is called with the seeds, and with whether to go on with a fitted network.
        """
        check_cv(self)
        check_calibration(self)
        devices = find_distribution(self)
        with unchanged_on_error(self):
            resume = self.warm_start and is_fitted(self)
            checkpoints, seeds = open_checkpoints(
                self.checkpoint_dir,
                Seeds.draw(self.random_state),
                reads_only=not is_chief(devices),
            )
            data, held_out = read(seeds, resume)
            self._begin(data, seeds, resume, data.n_rows)
            with explaining_losses(devices, checkpoints):
                check_workers(self, devices, data, held_out, seeds, resume, checkpoints)
                if checkpoints is not None:
                    described = fingerprint(self, data, held_out, resume)
                    checkpoints.begin(described, astuple(seeds))
                validation = held_out if self.early_stopping else None
                plan = self._plan(data, distribution=devices)
                self._train(data, validation, plan, seeds, checkpoints)
            if is_calibrating(self) and held_out is not None:
                self._calibrate(held_out)
        if checkpoints is not None:
            checkpoints.clear()
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        """Do one epoch over these rows, with the optimizer where it stood."""
        if asks_for_balance(getattr(self, "class_weight", None)):
            raise ValueError(
                "class_weight='balanced' is not supported by partial_fit, which does "
                "not know how often each class will occur. Give the weights, "
                "such as {'status': {'left': 5}}."
            )
        refuse_calibration(self)
        devices = find_distribution(self)
        with unchanged_on_error(self):
            resume = is_fitted(self)
            seeds = Seeds.draw(self.random_state)
            data = self._read(X, y, sample_weight, resume=resume, classes=classes)
            n_rows = max(data.n_rows, ROWS_TO_COME)
            self._begin(data, seeds, resume, n_rows)
            plan = self._plan(data, continuing=True, distribution=devices)
            self._engine.check_optimizer(plan)
            with explaining_losses(devices):
                check_workers(self, devices, data, None, seeds, resume)
                self._train(data, None, plan, seeds)
        return self
