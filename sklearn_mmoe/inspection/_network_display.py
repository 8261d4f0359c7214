"""The picture of the network: experts, gates and towers with their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from sklearn_mmoe.inspection._mixture import final_estimator
from sklearn_mmoe.inspection._style import INK, LIGHT, axes_in_a_row, line_style

__all__ = ["NetworkDisplay"]

# More than these are not drawn one by one.
_MOST_EXPERTS = 8
_MOST_TASKS = 6
_EXPERT, _PLAIN = LIGHT[0], "#EDEDED"
_GAP = 1.0  # from one row of boxes to the next


class NetworkDisplay:
    """A fitted estimator's network, drawn from the features up to the tasks.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.NetworkDisplay.from_estimator`.

    Parameters
    ----------
    architecture : mapping
        Arguments of :func:`sklearn_mmoe.networks.mmoe_network`.
    n_features : int
        Number of features.
    task_names : sequence of str
        Names of the tasks.
    task_units : sequence of int
        Number of outputs of each task.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes drawn on.
    figure_ : matplotlib Figure
        Their figure.

    Notes
    -----
    Solid lines carry the experts' outputs to each task's sum, dashed ones the weights
    from its gate. Of many experts or tasks only the first are drawn.

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
    ) -> None:
        self.architecture = architecture
        self.n_features = n_features
        self.task_names = list(task_names)
        self.task_units = list(task_units)

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
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        last = final_estimator(estimator)
        check_is_fitted(last)
        display = cls(
            last._engine.spec.parameters,
            last.n_features_in_,
            last.task_names_,
            [task.units for task in last._tasks],
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
        drawing = _Drawing(self)
        (self.ax_,) = axes_in_a_row(ax, 1, drawing.width, 0.85 * drawing.height)
        self.figure_ = self.ax_.figure
        drawing.draw(self.ax_)
        return self


def _first(n: int, most: int) -> list[int | None]:
    """List what is drawn of n things: their numbers, None standing for the others."""
    return list(range(n)) if n <= most else [*range(most - 1), None]


class _Drawing:
    """Where everything stands. Rows are counted from the features up."""

    def __init__(self, display: NetworkDisplay) -> None:
        of = display.architecture
        self.display = display
        self.shared = list(of["shared_units"])
        self.towers = list(of["tower_units"])
        self.experts = _first(of["num_experts"], _MOST_EXPERTS)
        self.tasks = _first(len(display.task_names), _MOST_TASKS)
        self.single_gate = of["gate"] == "single"
        self.gates: list[int | None] = [0] if self.single_gate else self.tasks
        n_boxes = len(self.experts) + 1.3 * len(self.gates)
        self.width = max(8.0, 0.95 * n_boxes + 0.6, 1.95 * len(self.tasks))
        self.height = _GAP * (4.2 + len(self.shared) + len(self.towers))

    def draw(self, ax: Any) -> None:
        """Draw everything on the axes."""
        self.ax = ax
        ax.set(xlim=(0, self.width), ylim=(0, self.height))
        ax.set_axis_off()
        top = self._draw_bottom()
        level = top + _GAP
        experts, gates = self._draw_mixture_row(top, level)
        self._draw_tasks(level, experts, gates)

    def _draw_bottom(self) -> float:
        """Draw the features and the shared layers; return the height of the last."""
        of, y = self.display.architecture, 0.4
        text = f"{self.display.n_features} features"
        if of["wide"]:
            text += " (and a linear model of them in each task)"
        broad = 0.72 * self.width
        self._box(self.width / 2, y, broad, text, _PLAIN)
        for units in self.shared:
            self._arrow((self.width / 2, y + 0.25), (self.width / 2, y + _GAP - 0.25))
            y += _GAP
            text = f"shared layer, {units} units, {of['activation']}"
            self._box(self.width / 2, y, broad, text, _PLAIN)
        return y

    def _draw_mixture_row(self, below: float, y: float) -> tuple[dict, dict]:
        """Draw the experts, and the gates on both sides; give where they stand."""
        left = (len(self.gates) + 1) // 2
        row = [
            *(("gate", g) for g in self.gates[:left]),
            *(("expert", e) for e in self.experts),
            *(("gate", g) for g in self.gates[left:]),
        ]
        widths = {"gate": 1.3, "expert": 1.0}
        total = sum(widths[kind] for kind, _ in row)
        x = (self.width - 0.95 * total) / 2
        places: dict[str, dict] = {"gate": {}, "expert": {}}
        of = self.display.architecture
        low, high = 0.16 * self.width, 0.84 * self.width
        for kind, k in row:
            x += 0.95 * widths[kind] / 2
            places[kind][k] = x
            start = min(max(x, low), high)
            self._arrow((start, below + 0.25), (x, y - 0.3))
            if kind == "gate":
                colour = LIGHT[1 + (k or 0) % (len(LIGHT) - 1)]
                text = "…" if k is None else "gate\nsoftmax"
                self._box(x, y, 1.12, text, _PLAIN if self.single_gate else colour, 0.6)
            else:
                layers = f"{of['expert_layers']} * " if of["expert_layers"] > 1 else ""
                text = f"expert {k}\n{layers}{of['expert_units']} units"
                text = f"…\n{of['num_experts']} in all" if k is None else text
                self._box(x, y, 0.86, text, _EXPERT, 0.6, size=8)
            x += 0.95 * widths[kind] / 2
        return places["expert"], places["gate"]

    def _draw_tasks(self, level: float, experts: dict, gates: dict) -> None:
        """Draw each task's sum and tower, from left to right."""
        for j, k in enumerate(self.tasks):
            x = (j + 0.5) * self.width / len(self.tasks)
            if k is None:
                n = len(self.display.task_names)
                self.ax.text(x, level + _GAP, f"…\n{n} tasks", ha="center", color=INK)
                continue
            colour = LIGHT[1 + k % (len(LIGHT) - 1)]
            line = line_style(1 + k % (len(LIGHT) - 1))["color"]
            y = level + 1.15 * _GAP
            for expert in experts.values():
                spread = 0.12 * (expert - self.width / 2)
                self._arrow((expert, level + 0.3), (x + spread, y - 0.25), line)
            gate = gates[0 if self.single_gate else k]
            side = -0.87 if gate < x else 0.87
            self._arrow((gate, level + 0.3), (x + side, y), line, dashed=True)
            self._box(x, y, 1.7, r"$\sum_i\; g_i(x)\, f_i(x)$", colour)
            for units in self.towers:
                self._arrow((x, y + 0.25), (x, y + 0.8 * _GAP - 0.25))
                y += 0.8 * _GAP
                self._box(x, y, 1.7, f"tower, {units} units", colour)
            self._arrow((x, y + 0.25), (x, y + 0.55))
            n = self.display.task_units[k]
            outputs = "1 output" if n == 1 else f"{n} outputs"
            self.ax.text(
                x, y + 0.6, f"{self.display.task_names[k]}\n{outputs}",
                ha="center", va="bottom", color=INK, fontsize=10,
            )  # fmt: skip

    def _box(
        self,
        x: float,
        y: float,
        width: float,
        text: str,
        colour: str,
        height: float = 0.5,
        size: int = 10,
    ) -> None:
        from matplotlib.patches import FancyBboxPatch

        self.ax.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=0.09",
                facecolor=colour,
                edgecolor=INK,
                linewidth=1.0,
                zorder=3,
            )
        )
        self.ax.text(
            x, y, text, ha="center", va="center", color=INK, fontsize=size, zorder=4
        )

    def _arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str = INK,
        dashed: bool = False,
    ) -> None:
        self.ax.annotate(
            "",
            xy=end,
            xytext=start,
            arrowprops={
                "arrowstyle": "-|>,head_width=0.18,head_length=0.35",
                "color": colour,
                "linewidth": 1.0,
                "linestyle": "--" if dashed else "-",
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
