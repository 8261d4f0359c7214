"""The picture of the gates' weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_mmoe.inspection._mixture import (
    expert_names,
    final_estimator,
    gate_weights,
)
from sklearn_mmoe.inspection._style import (
    INK,
    LIGHT,
    axes_in_a_row,
    check_kind,
    line_style,
)

__all__ = ["GateWeightsDisplay"]

_KINDS = ("both", "heatmap", "distribution")


class GateWeightsDisplay:
    """How much each task uses each expert, on average and from row to row.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.GateWeightsDisplay.from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_samples, n_tasks, n_experts)
        Weights as :func:`gate_weights` gives them.
    task_names : sequence of str
        Names of the tasks.
    expert_names : sequence of str or None, default=None
        Names of the experts, such as 'shared 0'; None numbers them.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The axes drawn on.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    gate_weights : The weights themselves.
    expert_use : Their means, also in subgroups.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import GateWeightsDisplay
    >>> X, y = make_related_tasks(n_samples=300, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=4, max_iter=2, random_state=0)
    >>> display = GateWeightsDisplay.from_estimator(reg.fit(X, y), X)
    >>> display.weights.shape
    (300, 2, 4)
    """

    def __init__(
        self,
        weights: np.ndarray,
        task_names: Sequence[str],
        expert_names: Sequence[str] | None = None,
    ) -> None:
        self.weights = weights
        self.task_names = list(task_names)
        self.expert_names = None if expert_names is None else list(expert_names)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, kind: str = "both", ax: Any = None
    ) -> GateWeightsDisplay:
        """Evaluate the gates for X, and draw their weights.

        Parameters
        ----------
        estimator : estimator, Pipeline or search
            One of our estimators, fitted, or a Pipeline or search that ends in one.
        X : {array-like, data frame, CSR matrix} of shape (n_samples, n_features)
            Rows as `estimator` takes them.
        kind : {'both', 'heatmap', 'distribution'}, default='both'
            'heatmap' draws the mean weights, 'distribution' a box for each task and
            expert: the median, the middle half and the middle nine tenths of the rows.
        ax : matplotlib Axes, or two of them for ``kind='both'``, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        GateWeightsDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `estimator` is not, or does not end in, one of our estimators.
        NotFittedError
            If it is not fitted.
        ValueError
            If `kind` is none of these, `ax` has another number of axes, or the network
            has no gates.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        weights, last = gate_weights(estimator, X), final_estimator(estimator)
        names = [name.removeprefix("expert ") for name in expert_names(last)]
        display = cls(weights, last.task_names_, names)
        return display.plot(kind=kind, ax=ax)

    def plot(self, *, kind: str = "both", ax: Any = None) -> GateWeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        kind : {'both', 'heatmap', 'distribution'}, default='both'
            What to draw.
        ax : matplotlib Axes, or two of them for ``kind='both'``, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        GateWeightsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` is none of these, or `ax` has another number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_kind(kind, _KINDS)
        kinds = _KINDS[1:] if kind == "both" else (kind,)
        _, n_tasks, n_experts = self.weights.shape
        width = max(4.5, 0.6 * n_experts + 1.5)
        self.axes_ = axes_in_a_row(ax, len(kinds), width, max(3.2, 0.5 * n_tasks + 2))
        for axes, what in zip(self.axes_, kinds, strict=True):
            draw = self._heatmap if what == "heatmap" else self._distribution
            draw(axes)
            axes.set(xticks=range(n_experts), xlabel="expert")
            names = self.expert_names or [str(i) for i in range(n_experts)]
            turned = 45 if max(map(len, names)) > 2 else 0
            axes.set_xticklabels(
                names, rotation=turned, ha="right" if turned else "center"
            )
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _heatmap(self, ax: Any) -> None:
        means = self.weights.mean(axis=0)  # (n_tasks, n_experts)
        top = means.max()
        # From white on: it reads the same in grey.
        image = ax.imshow(means, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for (k, i), mean in np.ndenumerate(means):
            if not self.weights[:, k, i].any():  # an expert of another task's own
                continue
            dark = mean > 0.6 * top
            ax.text(
                i, k, f"{mean:.2f}", ha="center", va="center",
                color="white" if dark else INK, fontsize="small",
            )  # fmt: skip
        ax.set(yticks=range(len(self.task_names)), title="mean weight")
        ax.set_yticklabels(self.task_names)
        ax.figure.colorbar(image, ax=ax, pad=0.02)

    def _distribution(self, ax: Any) -> None:
        _, n_tasks, n_experts = self.weights.shape
        width = 0.8 / n_tasks
        for k, name in enumerate(self.task_names):
            offset = (k - (n_tasks - 1) / 2) * width
            colour = line_style(k)["color"]
            boxes = ax.boxplot(
                self.weights[:, k, :],
                positions=np.arange(n_experts) + offset,
                widths=0.85 * width,
                whis=(5, 95),
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": LIGHT[k % len(LIGHT)], "edgecolor": colour},
                medianprops={"color": colour, "linewidth": 2},
                whiskerprops={"color": colour},
                capprops={"color": colour},
            )
            for box in boxes["boxes"]:
                box.set_hatch(("", "//", "..", "xx")[k % 4])
            boxes["boxes"][0].set_label(name)
        ax.axhline(1 / n_experts, color="0.5", linewidth=0.8, linestyle=":", zorder=0)
        ax.set(
            ylabel="weight",
            xlim=(-0.6, n_experts - 0.4),
            title="weight from row to row",
        )
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])  # the legend stands above the boxes
        ax.legend(fontsize="small", loc="upper center", ncols=min(n_tasks, 4))
