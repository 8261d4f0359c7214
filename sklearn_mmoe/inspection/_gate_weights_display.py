"""The picture of the gates' weights."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_mmoe.estimators._gates import expert_names
from sklearn_mmoe.inspection._mixture import final_estimator, gate_weights
from sklearn_mmoe.inspection._style import (
    INK,
    LIGHT,
    axes_in_a_row,
    check_kind,
    line_style,
)

__all__ = ["GateWeightsDisplay"]

_KINDS = ("both", "heatmap", "distribution")
# In inches, of axes that show the experts of several members beside each other.
_WIDEST = 9.0
# More experts of members than these are not labelled one by one.
_MOST_LABELS = 24
# More members than these are numbered; their names would run into each other.
_MOST_NAMES = 8


class GateWeightsDisplay:
    """How much each task uses each expert, on average and from row to row.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.GateWeightsDisplay.from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_samples, n_tasks, n_experts)
        Weights as :func:`gate_weights` returns them.
    task_names : sequence of str
        Names of the tasks.
    expert_names : sequence of str or None, default=None
        Names of the experts, such as 'shared 0'; None numbers them. Of an ensemble the
        names of each member's experts.
    n_members : int, default=1
        Number of members of an ensemble, whose experts stand in `weights` one member
        after another.

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

    Notes
    -----
    An ensemble's members have experts of their own: expert 0 of one is not expert 0 of
    another. So the member that weighs most in the prediction is drawn, the first of
    several, and the titles say how many there are. With ``member='all'`` the heat map
    has a block of lines for each member, and the distributions a group of boxes. Each
    member's weights are shown as its gates give them, so that they sum to 1 in each
    member; where it does not count in the prediction of a task, they are 0. A task of
    few targets may have members of its own: one of these is drawn for it, with its
    number behind the name.

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
        n_members: int = 1,
    ) -> None:
        self.weights = weights
        self.task_names = list(task_names)
        self.expert_names = None if expert_names is None else list(expert_names)
        self.n_members = n_members

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        kind: str = "both",
        member: int | str | None = None,
        ax: Any = None,
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
        member : int, 'all' or None, default=None
            Which member of an ensemble to draw. None is the one that weighs most in the
            prediction, or of those that predict a task.
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
            If `kind` is none of these, there is no such member, `ax` has another number
            of axes, or the network has no gates.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        weights, last = gate_weights(estimator, X), final_estimator(estimator)
        spec = last._engine.spec
        names = expert_names(spec, last.task_names_)
        names = [name.removeprefix("expert ") for name in names]
        display = cls(weights, last.task_names_, names, spec.n_members or 1)
        return display.plot(kind=kind, member=member, ax=ax)

    def plot(
        self, *, kind: str = "both", member: int | str | None = None, ax: Any = None
    ) -> GateWeightsDisplay:
        """Draw the weights.

        Parameters
        ----------
        kind : {'both', 'heatmap', 'distribution'}, default='both'
            What to draw.
        member : int, 'all' or None, default=None
            Which member of an ensemble to draw. None is the one that weighs most in the
            prediction, or of those that predict a task.
        ax : matplotlib Axes, or two of them for ``kind='both'``, default=None
            Axes to draw on; None makes a figure.

        Returns
        -------
        GateWeightsDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `kind` is none of these, there is no such member, or `ax` has another
            number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_kind(kind, _KINDS)
        members, weights, names = self._chosen(member)
        kinds = _KINDS[1:] if kind == "both" else (kind,)
        self.axes_ = axes_in_a_row(ax, len(kinds), *_size(weights))
        for axes, what in zip(self.axes_, kinds, strict=True):
            draw = self._heatmap if what == "heatmap" else self._distribution
            draw(axes, weights, names)
            if self.n_members > len(members):
                title = (
                    f"{axes.get_title()}\nmember {members[0]}, one of {self.n_members}"
                )
                axes.set_title(title)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _chosen(
        self, member: int | str | None
    ) -> tuple[list[int], np.ndarray, list[str]]:
        """Choose members to draw; return them, their weights, and names of the tasks.

        A task that the member of most weight does not predict has one of its own.
        """
        of_members = self._of_members()
        if member is not None:
            members = self._members(member)
            return members, of_members[:, :, members], self.task_names
        n_tasks = len(self.task_names)
        mean = self.weights.mean(axis=0).reshape(n_tasks, self.n_members, -1)
        # Members of the same weight differ by rounding.
        shares = mean.sum(axis=2).round(4)
        best = int(shares.mean(axis=0).round(4).argmax())
        of_tasks = np.where(shares[:, best] > 0, best, shares.argmax(axis=1))
        weights = of_members[:, np.arange(n_tasks), of_tasks][:, :, np.newaxis]
        names = [
            name if m == best else f"{name} (member {m})"
            for name, m in zip(self.task_names, of_tasks, strict=True)
        ]
        return [best], weights, names

    def _members(self, member: int | str) -> list[int]:
        """Return which members to draw."""
        every = range(self.n_members)
        if isinstance(member, str) and member == "all":
            return [*every]
        is_int = isinstance(member, Integral) and not isinstance(member, bool)
        if not is_int or member not in every:
            raise ValueError(
                "The 'member' parameter must be None, 'all' or the number of a member, "
                f"from 0 to {self.n_members - 1}; got {member!r}."
            )
        return [int(member)]

    def _of_members(self) -> np.ndarray:
        """Return the weights as the members' gates give them, by member.

        The shape is (n_samples, n_tasks, n_members, n_experts). Members that do not
        count in the prediction of a task have zeros there.
        """
        n_samples, n_tasks, n_all = self.weights.shape
        shape = (n_samples, n_tasks, self.n_members, n_all // self.n_members)
        weights = self.weights.reshape(shape)
        of_members = weights.sum(axis=3, keepdims=True)
        return weights / np.where(of_members > 0, of_members, 1)

    def _label_experts(self, ax: Any, n_repeats: int = 1) -> None:
        """Name the experts below the axes, once or once for each member."""
        n_experts = self.weights.shape[2] // self.n_members
        names = self.expert_names or [str(i) for i in range(n_experts)]
        names = names * n_repeats
        turned = 45 if max(map(len, names)) > 2 else 0
        ax.set(xticks=range(len(names)), xlabel="expert")
        ax.set_xticklabels(names, rotation=turned, ha="right" if turned else "center")

    def _heatmap(self, ax: Any, weights: np.ndarray, names: list[str]) -> None:
        n_shown = weights.shape[2]
        # A line for each member and task.
        weights = np.swapaxes(weights, 1, 2)
        weights = weights.reshape(len(weights), -1, weights.shape[3])
        means = weights.mean(axis=0)
        top = means.max()
        # From white on: it reads the same in grey.
        image = ax.imshow(means, cmap="Blues", vmin=0, vmax=top, aspect="auto")
        for (k, i), mean in np.ndenumerate(means):
            if not weights[:, k, i].any():  # an expert of another task's own
                continue
            dark = mean > 0.6 * top
            ax.text(
                i, k, f"{mean:.2f}", ha="center", va="center",
                color="white" if dark else INK, fontsize="small",
            )  # fmt: skip
        if n_shown > 1:
            names = [f"member {m}, {t}" for m in range(n_shown) for t in names]
            for m in range(1, n_shown):
                ax.axhline(m * len(self.task_names) - 0.5, color=INK, linewidth=1.0)
        ax.set(yticks=range(len(names)), title="mean weight")
        ax.set_yticklabels(names)
        ax.figure.colorbar(image, ax=ax, pad=0.02)
        self._label_experts(ax)

    def _distribution(self, ax: Any, weights: np.ndarray, names: list[str]) -> None:
        n_samples, n_tasks, n_shown, n_experts = weights.shape
        n_all = n_shown * n_experts
        weights = weights.reshape(n_samples, n_tasks, n_all)
        width = 0.8 / n_tasks
        for k, name in enumerate(names):
            offset = (k - (n_tasks - 1) / 2) * width
            colour = line_style(k)["color"]
            boxes = ax.boxplot(
                weights[:, k, :],
                positions=np.arange(n_all) + offset,
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
            xlim=(-0.6, n_all - 0.4),
            title="weight from row to row",
        )
        if n_shown == 1:
            self._label_experts(ax)
        else:
            self._part_members(ax)
        ax.set_ylim(0, 1.2 * ax.get_ylim()[1])  # the legend stands above the boxes
        ax.legend(fontsize="small", loc="upper center", ncols=min(n_tasks, 4))

    def _part_members(self, ax: Any) -> None:
        """Draw lines between the groups of the members, and name these."""
        n_all = self.weights.shape[2]
        n_experts = n_all // self.n_members
        for m in range(1, self.n_members):
            ax.axvline(m * n_experts - 0.5, color="0.5", linewidth=0.8)
        middles = (np.arange(self.n_members) + 0.5) * n_experts - 0.5
        names = [f"member {m}" for m in range(self.n_members)]
        if n_all > _MOST_LABELS:
            ax.set(xticks=middles, xlabel=f"{n_experts} experts of each member")
            if self.n_members > _MOST_NAMES:
                names = [str(m) for m in range(self.n_members)]
                ax.set_xlabel(f"member, {n_experts} experts each")
            ax.set_xticklabels(names)
            ax.tick_params(axis="x", length=0)
            return
        self._label_experts(ax, self.n_members)
        above = ax.secondary_xaxis("top")
        above.set_xticks(middles, names)
        above.tick_params(length=0)


def _size(weights: np.ndarray) -> tuple[float, float]:
    """Return width and height of each of the axes, in inches."""
    _, n_tasks, n_shown, n_experts = weights.shape
    of_member, of_all = (0.6 * n + 1.5 for n in (n_experts, n_shown * n_experts))
    width = max(4.5, of_member, min(of_all, _WIDEST))
    line = 0.5 if n_shown == 1 else 0.3
    return width, max(3.2, line * n_tasks * n_shown + 2)
