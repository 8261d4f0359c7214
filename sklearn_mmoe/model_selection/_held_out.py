"""What estimators say about rows that they were not fitted on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Bunch, _safe_indexing, get_tags
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.metadata_routing import (
    MetadataRouter,
    MethodMapping,
    process_routing,
)
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import (
    _check_method_params,
    _num_samples,
    check_consistent_length,
    check_is_fitted,
    indexable,
)

from sklearn_mmoe._files.frames import PandasStateMixin
from sklearn_mmoe._sklearn.look_through import task_names
from sklearn_mmoe._tasks.columns import TaskColumns, check_targets, split_columns
from sklearn_mmoe.metrics._predictions import type_name
from sklearn_mmoe.model_selection._cross_val_predict import make_folds, warn_of_groups
from sklearn_mmoe.model_selection._shuffle_split import MultiTaskStratifiedShuffleSplit
from sklearn_mmoe.model_selection._task_types import with_task_types

__all__ = ["HeldOut", "HeldOutMixin", "estimator_has"]


@dataclass
class HeldOut:
    """What an estimator says about rows that it was not fitted on.

    Attributes
    ----------
    estimator : estimator or None
        Fitted; None where it is not needed any more.
    rows : ndarray of int of shape (n_rows,)
        Which rows of X these are.
    classes : list of ndarray of shape (n_classes,) or None
        Each task's classes; None for a regression.
    answers : list of ndarray of shape (n_rows, ...) or None
        What each task was asked for; None where it was not asked.
    """

    estimator: Any
    rows: np.ndarray
    classes: list[Any]
    answers: list[Any]


def estimator_has(method: str) -> Any:
    """Tell whether the estimator, fitted if it is, has a method."""

    def check(self: Any) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), method)
        return True

    return check


def like_inner(tags: Any, estimator: Any) -> Any:
    """Let a wrapper be of the kind of the estimator in it, by scikit-learn's tags."""
    inner = get_tags(estimator)
    tags.estimator_type = inner.estimator_type
    tags.classifier_tags = inner.classifier_tags
    tags.regressor_tags = inner.regressor_tags
    tags.target_tags = inner.target_tags
    return tags


class HeldOutMixin(PandasStateMixin):
    """What wrappers share that learn from rows which an estimator was not fitted on.

    They have the parameters `estimator`, `cv`, `refit`, `n_jobs` and `random_state`.
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "cv": [
            "cv_object",
            StrOptions({"prefit"}),
            Interval(RealNotInt, 0.0, 1.0, closed="neither"),
        ],
        "refit": ["boolean"],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    estimator: Any
    cv: Any
    refit: bool
    n_jobs: int | None
    random_state: Any

    def _take(self, X: Any, y: Any) -> tuple[Any, Any, TaskColumns]:
        """Check what ``fit`` is given, and take the targets apart.

        Raises
        ------
        ValueError
            If there is no y, or the tasks of a fitted estimator are others.
        NotFittedError
            If the estimator should be fitted and is not.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        check_targets(y)
        X, y = indexable(X, y)
        targets = split_columns(y)
        check_consistent_length(X, targets.columns[0])
        if isinstance(self.cv, str):
            targets = self._matched_with_prefit(targets)
        return X, y, targets

    def _routed(self, params: dict[str, Any]) -> Any:
        """Say which parameters of ``fit`` go where."""
        if get_config()["enable_metadata_routing"]:
            return process_routing(self, "fit", **params)
        params = dict(params)
        groups = params.pop("groups", None)
        weight = params.get("sample_weight")
        return Bunch(
            estimator=Bunch(fit=params),
            splitter=Bunch(split={"groups": groups}),
            scorer=Bunch(score={} if weight is None else {"sample_weight": weight}),
        )

    def _matched_with_prefit(self, targets: TaskColumns) -> TaskColumns:
        """Check that the estimator is fitted, and bring the tasks into its order."""
        if self.refit:
            raise ValueError(
                "cv='prefit' needs refit=False: it keeps the fitted estimator as it "
                "is. To have it fitted here, choose another cv, such as None."
            )
        if not _is_fitted(self.estimator):
            raise NotFittedError(
                "cv='prefit' takes a fitted `estimator`, and this "
                f"{type_name(self.estimator)} is not fitted: fit it first, on other "
                "rows than these, or leave cv and refit at their defaults to have it "
                "fitted here."
            )
        names = task_names(self.estimator)
        if names is None:
            return targets
        return targets.matched(names, type_name(self.estimator))

    def _held_out(
        self,
        X: Any,
        y: Any,
        targets: TaskColumns,
        routed: Any,
        ask: Callable[..., HeldOut],
    ) -> list[HeldOut]:
        """Ask an estimator about the rows of each fold that it was not fitted on.

        `ask` is called as ``ask(estimator, X, targets, rows, whose_classes)``. The
        fitted estimators are kept if there is to be no other one.
        """
        if isinstance(self.cv, str):
            rows = np.arange(_num_samples(X))
            return [ask(self.estimator, X, targets, rows, None)]
        # A last fit on all rows finds the same types by itself.
        estimator = with_task_types(self.estimator, targets)
        cv = self.cv
        if isinstance(cv, Real) and not isinstance(cv, Integral):
            if routed.splitter.split.get("groups") is not None:
                warn_of_groups(
                    cv,
                    "MultiTaskStratifiedShuffleSplit",
                    f"GroupShuffleSplit(1, test_size={cv})",
                )
            cv = MultiTaskStratifiedShuffleSplit(
                1, test_size=float(cv), random_state=self.random_state
            )
        with warnings.catch_warnings():
            if self.cv is None or isinstance(self.cv, Real):
                # Nobody asked for folds that are stratified by every value.
                warnings.filterwarnings("ignore", "The (tasks|class) ", UserWarning)
            params = routed.splitter.split
            folds = make_folds(cv, targets, estimator, X, y, **params)
        if not self.refit and len(folds) > 1:
            raise ValueError(
                "refit=False keeps the estimator of a single split, but cv makes "
                f"{len(folds)} folds. Pass refit=True, or a single split such as "
                "cv=0.2."
            )
        return Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_ask)(
                clone(estimator),
                X,
                y,
                targets,
                fold,
                routed.estimator.fit,
                ask,
                keep=not self.refit,
            )
            for fold in folds
        )

    def _final(self, parts: list[HeldOut], X: Any, y: Any, routed: Any) -> Any:
        """Return the estimator that is to predict."""
        if not self.refit:
            return parts[0].estimator
        return clone(self.estimator).fit(X, y, **routed.estimator.fit)

    def _publish_estimator(self, fitted: Any, names: list[str]) -> None:
        """Set what all wrappers tell of the fitted estimator."""
        self.estimator_ = fitted
        self.task_names_ = list(names)
        for name in ("n_features_in_", "feature_names_in_"):
            if name in vars(self):  # what an earlier fit left
                delattr(self, name)
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def get_metadata_routing(self) -> MetadataRouter:
        """Tell scikit-learn where metadata goes.

        Returns
        -------
        MetadataRouter
            To the estimator's ``fit`` and the splitter.
        """
        return (
            MetadataRouter(owner=self)
            .add(
                estimator=self.estimator,
                method_mapping=MethodMapping().add(caller="fit", callee="fit"),
            )
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def _check_fitted(self) -> None:
        """Raise a NotFittedError before ``fit``, also around a fitted estimator."""
        try:
            check_is_fitted(self)
            return
        except NotFittedError:
            if not _is_fitted(self.estimator):
                raise
        name = type(self).__name__
        raise NotFittedError(
            f"This {name} instance is not fitted yet, although its `estimator` is. "
            "Call 'fit' with rows that the estimator was not fitted on; with "
            "cv='prefit' and refit=False it keeps the estimator as it is."
        )

    @property
    def classes_(self) -> Any:
        """The classes of the fitted estimator."""
        return self.estimator_.classes_

    @available_if(estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Predict class probabilities, as the fitted estimator does.

        Parameters
        ----------
        X : {array-like, data frame, sparse matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or list of such arrays
            What `estimator_` gives.

        Raises
        ------
        NotFittedError
            If called before ``fit``.
        """
        self._check_fitted()
        return self.estimator_.predict_proba(X)


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):  # no estimator by scikit-learn's protocol
        return False
    return True


def _fit_and_ask(
    estimator: Any,
    X: Any,
    y: Any,
    targets: TaskColumns,
    fold: tuple[Any, Any],
    params: dict[str, Any],
    ask: Callable[..., HeldOut],
    keep: bool,
) -> HeldOut:
    """Fit an estimator on some rows and ask it about the others."""
    train, test = fold
    estimator.fit(
        _safe_indexing(X, train),
        _safe_indexing(y, train),
        **_check_method_params(X, params, indices=train),
    )
    rows = np.arange(_num_samples(X))[test]
    held_out = ask(estimator, _safe_indexing(X, test), targets, rows, targets)
    return held_out if keep else replace(held_out, estimator=None)
