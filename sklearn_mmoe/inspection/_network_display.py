"""The picture of the network: experts, gates and towers with their sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe.inspection._mixture import final_estimator
from sklearn_mmoe.inspection._network_drawing import NetworkDrawing
from sklearn_mmoe.inspection._style import axes_in_a_row

__all__ = ["NetworkDisplay"]


class NetworkDisplay:
    """A fitted estimator's network, drawn from the features up to the tasks.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.NetworkDisplay.from_estimator`.

    Parameters
    ----------
    architecture : mapping
        Arguments of :func:`sklearn_mmoe.networks.multi_task_network`.
    n_features : int
        Number of features.
    task_names : sequence of str
        Names of the tasks.
    task_units : sequence of int
        Number of outputs of each task.
    n_members : int, default=1
        Number of such networks in an ensemble, of which one is drawn.
    has_kernel_ridge : bool, default=False
        Whether a kernel ridge regression is averaged with the ensemble.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.

    Notes
    -----
    Solid lines carry the experts' outputs to each task's sum. Dashed ones carry the
    weights from its gate, or, where there are no gates, what other tasks hand on. Of
    many experts or tasks only the first are drawn. Of an ensemble trained with `cv` one
    member is drawn; the title says how many there are, and whether a kernel ridge
    regression is beside them.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import NetworkDisplay
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=1, random_state=0)
    >>> display = NetworkDisplay.from_estimator(reg.fit(X, y))
    >>> display.architecture["num_experts"]
    4
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        n_features: int,
        task_names: Sequence[str],
        task_units: Sequence[int],
        n_members: int = 1,
        has_kernel_ridge: bool = False,
    ) -> None:
        self.architecture = architecture
        self.n_features = n_features
        self.task_names = list(task_names)
        self.task_units = list(task_units)
        self.n_members = n_members
        self.has_kernel_ridge = has_kernel_ridge

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> NetworkDisplay:
        """Draw the network of an estimator.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            One of our estimators, fitted, or a Pipeline or search that ends in one.
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        NetworkDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `estimator` is not, or does not end in, one of our estimators.
        NotFittedError
            If it is not fitted.
        ValueError
            If its network was built by its `network` parameter.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        last = final_estimator(estimator)
        check_is_fitted(last)
        sizes = last._engine.network.sizes
        if sizes is None:
            raise ValueError(
                "NetworkDisplay draws the networks of this package; this one was "
                "built by the 'network' parameter. Take keras.utils.plot_model."
            )
        display = cls(
            {**last._engine.spec.parameters, **dataclasses.asdict(sizes)},
            last.n_features_in_,
            last.task_names_,
            [task.units for task in last._tasks],
            last._engine.spec.n_members or 1,
            last._engine.kernel_ridge is not None,
        )
        return display.plot(ax=ax)

    def plot(self, *, ax: Any = None) -> NetworkDisplay:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        NetworkDisplay
            The display, drawn.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        drawing = NetworkDrawing(
            self.architecture, self.n_features, self.task_names, self.task_units
        )
        (self.ax_,) = axes_in_a_row(ax, 1, drawing.width, 0.85 * drawing.height)
        self.figure_ = self.ax_.figure
        drawing.draw(self.ax_)
        if self.n_members > 1:
            title = f"One of {self.n_members} members, whose predictions are averaged"
            if self.has_kernel_ridge:
                title += "\nwith those of a kernel ridge regression"
            self.ax_.set_title(title)
        return self
