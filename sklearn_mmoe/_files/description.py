"""What a file says of a network, so that it can be built again, or refused in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn_mmoe._architectures.sizes import Sizes
from sklearn_mmoe._architectures.weight_counter import count_weights, matched_sizes
from sklearn_mmoe._files.values import whole
from sklearn_mmoe._tasks.dependencies import dependency_pairs
from sklearn_mmoe.estimators import MultiTaskMMoERegressor
from sklearn_mmoe.estimators._parameters import network_parameters

__all__ = ["describe", "read_description"]

_WIDTHS = ("shared_units", "expert_units", "tower_units")


def describe(spec: Any) -> dict[str, Any]:
    """Describe the network of a specification.

    The widths are those of its layers: another release may match the number of weights
    of another way of sharing by other widths.
    """
    parameters = dict(spec.parameters)
    match = parameters.pop("match_parameters")
    sizes = Sizes.among(spec.n_features, spec.units, parameters, spec.kinds)
    sizes = matched_sizes(parameters["sharing"], sizes, match)
    parameters |= {name: getattr(sizes, name) for name in _WIDTHS}
    return {
        "seed": spec.seed,
        "n_members": spec.n_members,
        "member_weights": spec.member_weights,
        "parameters": parameters,
    }


def read_description(
    described: Mapping[str, Any], n_features: int, tasks: Sequence[Any], n_weights: int
) -> dict[str, Any]:
    """Check a description that anybody may have written.

    Parameters
    ----------
    described : mapping
        What :func:`describe` has returned.
    n_features : int
        Number of features.
    tasks : sequence of LabelTask or ValueTask
        The tasks.
    n_weights : int
        Number of weights that the file has.

    Returns
    -------
    dict
        Arguments of :class:`~sklearn_mmoe._architectures.network.NetworkSpec`.

    Raises
    ------
    ValueError, TypeError, LookupError
        If there is no such network, or it has another number of weights. Nothing of
        its size has been made then.
    """
    n_members = described["n_members"]
    given = dict(described["parameters"])
    if given.get("match_parameters") is not None:
        raise ValueError("the widths of the network's layers are left open")
    penalty, dropout = given.pop("feature_penalty"), given.pop("dropout")
    dependencies = given.pop("task_dependencies", ())
    if dependencies != _checked_pairs(dependencies, tasks):
        raise ValueError(f"the tasks do not depend on each other as {dependencies}")
    # The estimator's own checks of the parameters that have the same names.
    penalties = _of_members("feature_penalty", penalty, n_members)
    # Members that differ in other things alone have one dropout.
    shared = isinstance(dropout, float)
    dropouts = (
        (dropout,) * len(penalties)
        if shared
        else _of_members("dropout", dropout, n_members)
    )
    for strength, share in zip(penalties, dropouts, strict=True):
        if not isinstance(strength, float) or not isinstance(share, float):
            raise TypeError(
                f"there is a feature_penalty of {strength!r} with a dropout of "
                f"{share!r}"
            )
        estimator = MultiTaskMMoERegressor(
            **given, feature_penalty=strength, dropout=share
        )
        estimator._validate_params()
    parameters = {
        **network_parameters(estimator),
        "feature_penalty": penalty,
        "dropout": dropout,
        "task_dependencies": dependencies,
    }
    if more := sorted(set(given) - set(parameters)):
        raise ValueError(f"{more} are no parameters of a network")
    of_each, rest = divmod(n_weights, n_members or 1)
    units, kinds = [task.units for task in tasks], [task.kind for task in tasks]
    sizes = Sizes.among(n_features, units, parameters, kinds)
    needed = count_weights(parameters["sharing"], sizes, at_most=of_each)
    if rest or needed != of_each:
        raise ValueError(
            f"there are {n_weights} weights, but the network that is described has "
            f"{needed} in each of {n_members or 1} members"
        )
    return {
        "parameters": parameters,
        "seed": whole(described["seed"]),
        "n_members": n_members,
        "member_weights": _checked_weights(
            described.get("member_weights"), n_members, len(tasks)
        ),
    }


def _checked_pairs(pairs: Any, tasks: Sequence[Any]) -> tuple[tuple[int, int], ...]:
    """Bring pairs of tasks to the order in which they are built."""
    indices = {whole(later): whole(first) for later, first in pairs}
    return dependency_pairs(indices, tasks)


def _checked_weights(weights: Any, n_members: Any, n_tasks: int) -> Any:
    """Check what the members weigh in the prediction, which older files do not say."""
    if weights is None:
        return None
    if n_members is None:
        raise ValueError("there are weights of members, but no members")
    if len(weights) != n_tasks:
        raise ValueError(f"{n_tasks} tasks have weights of members for {len(weights)}")
    for of_task in weights:
        _of_members("weight", of_task, n_members)
        if not all(isinstance(w, float) and 0 <= w <= 1 for w in of_task):
            raise ValueError(f"members have the weights {of_task}")
        if abs(sum(of_task) - 1) > 1e-6:
            raise ValueError("the members' weights do not sum to 1")
    return weights


def _of_members(name: str, value: Any, n_members: Any) -> tuple[Any, ...]:
    """Return what a parameter is for each member."""
    if n_members is None:
        return (value,)
    if whole(n_members) < 1 or type(value) is not tuple or len(value) != n_members:
        raise ValueError(f"there are not {n_members} members with a {name} each")
    return value
