"""The scorers, as scikit-learn takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object

from sklearn_mmoe._tasks.columns import task_index
from sklearn_mmoe.metrics._scoring import (
    TaskScoring,
    accepts_sample_weight,
    get_scorer,
    mean_of_defined,
    scorer_name,
)

_MEAN = "mean"


class _Scorer:
    """What the scorers share: scorers for one output, and what scikit-learn asks."""

    def __init__(self, scoring: Any) -> None:
        self.scoring = scoring
        # Now, so that a misspelt name is told at once.
        self._requests = self._own_requests()

    def _scorers(self) -> list[Any]:
        several = isinstance(self.scoring, Mapping)
        return [*map(get_scorer, self.scoring.values() if several else [self.scoring])]

    def _own_requests(self) -> dict[str, Any]:
        """Collect what the given scorers request, and weights where they take them."""
        requests: dict[str, Any] = {}
        if self._accept_sample_weight():
            requests["sample_weight"] = True
        for scorer in self._scorers():
            if not hasattr(scorer, "get_metadata_routing"):
                continue
            for name, alias in get_routing_for_object(scorer).score.requests.items():
                if alias is None:
                    continue
                if requests.get(name, True) not in (True, alias):
                    raise ValueError(
                        f"The scorers request {name!r} in different ways; give each of "
                        "them the same set_score_request."
                    )
                requests[name] = alias
        return requests

    def _accept_sample_weight(self) -> bool:
        """Tell scikit-learn whether weights may be passed."""
        return any(map(accepts_sample_weight, self._scorers()))

    def set_score_request(self, **requests: Any) -> Any:
        """Say what metadata to pass to the scorer; see scikit-learn's scorers.

        Parameters
        ----------
        **requests : bool, None or str
            What to do with metadata of this name: pass it, do not, raise an error if
            it is given, or pass what is given by another name.

        Returns
        -------
        self : object
            The scorer.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "set_score_request needs metadata routing; enable it by "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        self._requests = dict(requests)
        self.get_metadata_routing()  # an alias that is not valid is told at once
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Tell scikit-learn what metadata to pass.

        Returns
        -------
        MetadataRequest
            The requests.
        """
        request = MetadataRequest(owner=repr(self))
        for name, alias in self._requests.items():
            request.score.add_request(param=name, alias=alias)
        return request

    def _scoring(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any, metadata: Any
    ) -> TaskScoring:
        if sample_weight is not None and not self._accept_sample_weight():
            raise TypeError(f"{self!r} takes no sample_weight; its metric has none.")
        return TaskScoring(estimator, X, y, sample_weight, metadata)

    def _by_task(self, names: Sequence[str]) -> list[Any]:
        """Find what scores each task."""
        if not isinstance(self.scoring, Mapping):
            return [self.scoring] * len(names)
        found = {task_index(task, names): by for task, by in self.scoring.items()}
        without = [name for k, name in enumerate(names) if k not in found]
        if without:
            raise ValueError(
                f"There is no scorer for the task{'s' * (len(without) > 1)} "
                f"{', '.join(map(repr, without))}, only for {list(self.scoring)}. "
                "Every task of the estimator needs one; task_scorer scores a single "
                "task."
            )
        return [found[k] for k in range(len(names))]

    def _name(self) -> str:
        several = isinstance(self.scoring, Mapping)
        return "score" if several else scorer_name(self.scoring)

    def _arguments(self) -> str:
        return repr(self.scoring)

    def __repr__(self) -> str:
        name = type(self).__name__.lstrip("_")
        return f"{name}({self._arguments()})"


class _TaskScorer(_Scorer):
    def __init__(self, scoring: Any, task: Any) -> None:
        super().__init__(scoring)
        self.task = task
        self.__name__ = f"{self._name()}_of_{task}"

    def _arguments(self) -> str:
        return f"{self.scoring!r}, task={self.task!r}"

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **metadata: Any
    ) -> float:
        scoring = self._scoring(estimator, X, y, sample_weight, metadata)
        k = task_index(self.task, scoring.names)
        score = scoring.score(k, self._by_task(scoring.names)[k])
        scoring.warn()
        return score


class _MultiTaskScorer(_Scorer):
    def __init__(self, scoring: Any) -> None:
        super().__init__(scoring)
        self.__name__ = f"{self._name()}_of_each_task"

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **metadata: Any
    ) -> dict[str, float]:
        scoring = self._scoring(estimator, X, y, sample_weight, metadata)
        if _MEAN in scoring.names:
            raise ValueError(
                f"A task is named {_MEAN!r}, as is the mean over tasks among these "
                "scores. Rename it, or take mean_task_scorer and task_scorer."
            )
        by_task = self._by_task(scoring.names)
        scores = {
            name: scoring.score(k, by_task[k]) for k, name in enumerate(scoring.names)
        }
        scoring.warn()
        return {**scores, _MEAN: mean_of_defined([*scores.values()])}


class _MeanTaskScorer(_Scorer):
    def __init__(self, scoring: Any) -> None:
        super().__init__(scoring)
        self.__name__ = f"mean_{self._name()}"

    def __call__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **metadata: Any
    ) -> float:
        scoring = self._scoring(estimator, X, y, sample_weight, metadata)
        return scoring.mean(self._by_task(scoring.names))


def task_scorer(scoring: str | Callable[..., float], task: Any) -> Any:
    """Make a scorer of one task.

    Parameters
    ----------
    scoring : str or callable
        The name of a scorer of scikit-learn, such as 'roc_auc', 'neg_log_loss' or
        'r2', or 'neg_expected_calibration_error' for
        :func:`expected_calibration_error`; or a scorer from
        :func:`sklearn.metrics.make_scorer`.
    task : int, str or another column label
        The task's index, or its name: one of the estimator's `task_names_`, or a column
        label of y, as it is (a date, a tuple) or as text.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it returns a float;
        greater is better; see Notes.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Notes
    -----
    What all scorers of this module share:

    - Columns of y are matched with the estimator's tasks by name where both have
      names; other names raise a ValueError.
    - Any estimator of several outputs can be scored. If ``predict_proba`` returns a
      list, it has an array for each task; a single array (ClassifierChain,
      OneVsRestClassifier, MLPClassifier) has the probability of each task's second
      class.
    - Rows whose target is missing do not count in that task.
    - A score that is undefined on the given rows is NaN, with an
      UndefinedMetricWarning: if there is no target, if the metric needs a class that y
      lacks, or if y has a label that ``fit`` has not seen.
    - `sample_weight` has a value for each row, or a column for each task, in a data
      frame matched by the tasks' names. With metadata routing it is used wherever it
      is passed, unless ``scorer.set_score_request(sample_weight=False)`` turns that
      off; requests of a scorer passed as `scoring` are kept.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.metrics import task_scorer
    >>> X, y = make_related_tasks(
    ...     n_samples=300, n_features=5, kind="classification", random_state=0
    ... )
    >>> scorer = task_scorer("roc_auc", task=1)
    >>> scores = cross_validate(RandomForestClassifier(10), X, y, scoring=scorer)
    >>> scores["test_score"].shape
    (5,)
    """
    return _TaskScorer(scoring, task)


def mean_task_scorer(scoring: Any) -> Any:
    """Make a scorer of the mean over all tasks.

    Parameters
    ----------
    scoring : str, callable, or mapping of tasks to these
        As in :func:`task_scorer`; a mapping gives each task, by name or index, a
        scorer of its own.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it returns a float;
        greater is better; see Notes of :func:`task_scorer`. Tasks whose score is NaN
        do not count.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn_mmoe.metrics import mean_task_scorer
    >>> mean_task_scorer("roc_auc")
    MeanTaskScorer('roc_auc')
    """
    return _MeanTaskScorer(scoring)


def multi_task_scorer(scoring: Any) -> Any:
    """Make a scorer of every task and of their mean, from one prediction.

    A search with this scorer has several scores, and ``refit`` names the one that
    chooses the best candidate: ``refit='mean'``, or a task such as ``refit='income'``.
    Where the tasks' scorers have different scales, such as R2 and an error in euros,
    their mean says little, being that of the largest: then name a task.

    Parameters
    ----------
    scoring : str, callable, or mapping of tasks to these
        As in :func:`task_scorer`; a mapping, such as
        ``{"income": "roc_auc", "hours": "r2"}``, gives each task, by name or index, a
        scorer of its own.

    Returns
    -------
    callable
        Called as ``scorer(estimator, X, y, sample_weight=None)``, it returns a dict: a
        score for each task by name, and as 'mean' the mean of those that are not NaN;
        see Notes of :func:`task_scorer`. It raises a ValueError if a task is itself
        named 'mean'.

    Raises
    ------
    ValueError
        If scikit-learn has no scorer of that name.

    Examples
    --------
    >>> from sklearn.ensemble import RandomForestRegressor
    >>> from sklearn.model_selection import cross_validate
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.metrics import multi_task_scorer
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> scores = cross_validate(
    ...     RandomForestRegressor(10), X, y, scoring=multi_task_scorer("r2")
    ... )
    >>> [name for name in scores if name.startswith("test_")]
    ['test_task_0', 'test_task_1', 'test_mean']
    """
    return _MultiTaskScorer(scoring)
