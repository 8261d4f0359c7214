"""Where the boxes and arrows of a network's picture stand, for every way of sharing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sklearn_mmoe.inspection._style import INK, LIGHT, line_style

__all__ = ["NetworkDrawing"]

# More than these are not drawn one by one.
_MOST_EXPERTS = 8
_MOST_TASKS = 6
_EXPERT, _PLAIN = LIGHT[0], "#EDEDED"
_GAP = 1.0  # from one row of boxes to the next
_HALF = 0.25  # of a box's height
_SHARED = "shared"  # the column of what is no task's own

# Where a task's column ends so far: the middle and the upper edge of its last box.
Tops = dict[Any, tuple[float, float]]


def _first(n: int, most: int) -> list[Any]:
    """List what is drawn of n things: their numbers, None standing for the others."""
    return list(range(n)) if n <= most else [*range(most - 1), None]


def _colours(task: int) -> tuple[str, str]:
    """Return a task's colours, of areas and of lines; the first is the experts'."""
    number = 1 + task % (len(LIGHT) - 1)
    return LIGHT[number], line_style(number)["color"]


def _plural(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _entry(beside: float) -> tuple[float, float]:
    """Return where a gate's arrow meets the box of its sum, from the box's middle.

    At its side; but from a gate below the box at its lower edge, since the box would
    hide the head of an arrow that passes behind it.
    """
    if abs(beside) < 1.1:
        return min(max(beside, -0.72), 0.72), -_HALF
    return (-0.87 if beside < 0 else 0.87), 0.0


class NetworkDrawing:
    """Boxes, arrows and texts, collected from the features up, and then drawn.

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

    Attributes
    ----------
    width, height : float
        Size of all that is drawn.
    """

    def __init__(
        self,
        architecture: Mapping[str, Any],
        n_features: int,
        task_names: Sequence[str],
        task_units: Sequence[int],
    ) -> None:
        self._of = architecture
        self._n_features = n_features
        self._task_names = task_names
        self._task_units = task_units
        self._tasks = _first(len(task_names), _MOST_TASKS)
        self._draws: list[Callable[[Any], None]] = []
        sharing = architecture["sharing"]
        self._columns = list(self._tasks)
        if sharing in ("cgc", "ple"):
            self._columns.insert((len(self._tasks) + 1) // 2, _SHARED)
        self.width = max(8.0, 2.1 * len(self._columns))
        if sharing in ("omoe", "mmoe"):
            self._experts = _first(architecture["num_experts"], _MOST_EXPERTS)
            self._gates = [0] if sharing == "omoe" else self._tasks
            n_boxes = len(self._experts) + 1.3 * len(self._gates)
            self.width = max(8.0, 0.95 * n_boxes + 0.6, 1.95 * len(self._tasks))
        body = {
            "single": self._own_networks,
            "cross_stitch": self._stitched_networks,
            "shared_bottom": self._shared_bottom,
            "omoe": self._mixture,
            "mmoe": self._mixture,
            "cgc": self._levels,
            "ple": self._levels,
            "aitm": self._own_experts,
        }[sharing]
        tops = self._towers(body())
        if sharing == "aitm":
            tops = self._transfers(tops)
        self._outputs(tops)
        self.height = max(y for _, y in tops.values()) + 0.85 * _GAP

    def draw(self, ax: Any) -> None:
        """Draw everything on the axes."""
        ax.set(xlim=(0, self.width), ylim=(0, self.height))
        ax.set_axis_off()
        for draw in self._draws:
            draw(ax)

    def _bottom(self, layers: Sequence[int]) -> float:
        """Place the features and shared layers; return the last one's upper edge."""
        text = f"{self._n_features} features"
        if self._of["wide"]:
            text += " (and a linear model of them in each task)"
        x, y, broad = self.width / 2, 0.4, 0.72 * self.width
        self._box(x, y, broad, text, _PLAIN)
        for units in layers:
            self._arrow((x, y + _HALF), (x, y + _GAP - _HALF))
            y += _GAP
            text = f"shared layer, {units} units, {self._of['activation']}"
            self._box(x, y, broad, text, _PLAIN)
        return y + _HALF

    def _above_bottom(self, x: float, edge: float) -> tuple[float, float]:
        """Return where an arrow to a box at x leaves what is below."""
        return min(max(x, 0.16 * self.width), 0.84 * self.width), edge

    def _x(self, column: Any) -> float:
        place = self._columns.index(column)
        return (place + 0.5) * self.width / len(self._columns)

    def _drawn_tasks(self) -> list[int]:
        return [k for k in self._tasks if k is not None]

    def _shared_bottom(self) -> Tops:
        edge = self._bottom([*self._of["shared_units"], *self._of["expert_units"]])
        return self._columns_above(edge)

    def _own_layers(self, below: Tops, layers: Sequence[int], name: str) -> Tops:
        """Place layers of each task's own above what it has so far."""
        tops = dict(below)
        for units in layers:
            for k, (x, y) in tops.items():
                tops[k] = self._task_box((x, y), k, f"{name}, {units} units")
        return tops

    def _task_box(
        self, below: tuple[float, float], task: int, text: str
    ) -> tuple[float, float]:
        """Place a box of a task above a point; return its upper edge."""
        x, y = self._x(task), below[1] + 0.8 * _GAP - _HALF
        self._arrow(below, (x, y - _HALF))
        self._box(x, y, 1.8, text, _colours(task)[0])
        return x, y + _HALF

    def _columns_above(self, edge: float) -> Tops:
        """Begin the columns of the tasks above what all of them share."""
        return {k: self._above_bottom(self._x(k), edge) for k in self._drawn_tasks()}

    def _own_networks(self) -> Tops:
        layers = [*self._of["shared_units"], *self._of["expert_units"]]
        below = self._columns_above(self._bottom([]))
        return self._own_layers(below, layers, "own layer")

    def _own_experts(self) -> Tops:
        below = self._columns_above(self._bottom(self._of["shared_units"]))
        return self._own_layers(below, self._of["expert_units"], "own expert")

    def _stitched_networks(self) -> Tops:
        tops = self._columns_above(self._bottom([]))
        for units in [*self._of["shared_units"], *self._of["expert_units"]]:
            below = self._own_layers(tops, [units], "own layer")
            for k in tops:
                area, line = _colours(k)
                x = self._x(k)
                y = below[k][1] + 0.9 * _GAP - _HALF
                for other, start in below.items():
                    end = (x + 0.12 * (start[0] - x), y - _HALF)
                    self._arrow(start, end, line, dashed=other != k)
                self._box(x, y, 1.8, r"$\sum_l\; \alpha_{kl}\, x_l$", area)
                tops[k] = (x, y + _HALF)
        return tops

    def _mixture(self) -> Tops:
        """Place experts with the gates on both sides, and each task's sum."""
        edge = self._bottom(self._of["shared_units"])
        level = edge - _HALF + _GAP
        experts, gates = self._mixture_row(edge, level)
        tops: Tops = {}
        for k in self._drawn_tasks():
            x, y = self._x(k), level + 1.15 * _GAP
            area, line = _colours(k)
            for expert in experts.values():
                spread = 0.12 * (expert - self.width / 2)
                self._arrow((expert, level + 0.3), (x + spread, y - _HALF), line)
            gate = gates[0 if len(self._gates) == 1 else k]
            end = _entry(gate - x)
            self._arrow(
                (gate, level + 0.3), (x + end[0], y + end[1]), line, dashed=True
            )
            self._box(x, y, 1.7, r"$\sum_i\; g_i(x)\, f_i(x)$", area)
            tops[k] = (x, y + _HALF)
        return tops

    def _mixture_row(self, below: float, y: float) -> tuple[dict, dict]:
        left = (len(self._gates) + 1) // 2
        row = [
            *(("gate", g) for g in self._gates[:left]),
            *(("expert", e) for e in self._experts),
            *(("gate", g) for g in self._gates[left:]),
        ]
        widths = {"gate": 1.3, "expert": 1.0}
        total = sum(widths[kind] for kind, _ in row)
        x = (self.width - 0.95 * total) / 2
        places: dict[str, dict] = {"gate": {}, "expert": {}}
        units = self._expert_size()
        for kind, k in row:
            x += 0.95 * widths[kind] / 2
            places[kind][k] = x
            self._arrow(self._above_bottom(x, below), (x, y - 0.3))
            if kind == "gate":
                text = "…" if k is None else "gate\nsoftmax"
                one = self._of["sharing"] == "omoe"
                self._box(x, y, 1.12, text, _PLAIN if one else _colours(k or 0)[0], 0.6)
            else:
                text = f"expert {k}\n{units}"
                n_experts = self._of["num_experts"]
                text = f"…\n{n_experts} in all" if k is None else text
                self._box(x, y, 0.86, text, _EXPERT, 0.6, size=8)
            x += 0.95 * widths[kind] / 2
        return places["expert"], places["gate"]

    def _expert_size(self) -> str:
        return ", ".join(map(str, self._of["expert_units"])) + " units"

    def _levels(self) -> Tops:
        """Place levels of experts that are shared and of the tasks' own."""
        of = self._of
        edge = self._bottom(of["shared_units"])
        drawn = [column for column in self._columns if column is not None]
        tops = {c: self._above_bottom(self._x(c), edge) for c in drawn}
        n_levels = of["num_levels"] if of["sharing"] == "ple" else 1
        for level in range(n_levels):
            last = level == n_levels - 1
            tops = self._level(tops, last)
        return tops

    def _level(self, below: Tops, last: bool) -> Tops:
        of, units = self._of, self._expert_size()
        experts: Tops = {}
        for c, start in below.items():
            x, y = self._x(c), max(y for _, y in below.values()) + 0.55 * _GAP + 0.05
            n = of["num_experts"] if c == _SHARED else of["num_task_experts"]
            whose = "shared" if c == _SHARED else "own"
            text = f"{n} {whose} {'expert' if n == 1 else 'experts'}\n{units}"
            self._arrow(start, (x, y - 0.3))
            self._box(x, y, 1.8, text, _EXPERT if c == _SHARED else _colours(c)[0], 0.6)
            experts[c] = (x, y + 0.3)
        tops: Tops = {}
        for c in below:
            if c == _SHARED and last:
                continue
            x, y = self._x(c), experts[c][1] + 0.8 * _GAP
            area, line = (_EXPERT, INK) if c == _SHARED else _colours(c)
            seen = experts if c == _SHARED else {k: experts[k] for k in (c, _SHARED)}
            for start in seen.values():
                self._arrow(start, (x + 0.12 * (start[0] - x), y - _HALF), line)
            self._box(x, y, 1.8, r"gate: $\sum_i\; w_i(x)\, E_i(x)$", area)
            tops[c] = (x, y + _HALF)
        return tops

    def _towers(self, bodies: Tops) -> Tops:
        return self._own_layers(bodies, self._of["tower_units"], "tower")

    def _transfers(self, tops: Tops) -> Tops:
        """Place what hands each task's representation on to the next task."""
        before = None
        for k, (x, y) in list(tops.items()):
            if before is not None:
                tops[k] = self._task_box((x, y), k, "attention")
                start = (before[0] + 0.9, before[1] - _HALF)
                end = (x - 0.9, tops[k][1] - _HALF)
                self._arrow(start, end, _colours(k)[1], dashed=True)
            before = tops[k]
        return tops

    def _outputs(self, tops: Tops) -> None:
        for k, (x, y) in tops.items():
            top = max(y for _, y in tops.values()) + 0.3
            self._arrow((x, y), (self._x(k), top))
            units = _plural(self._task_units[k], "output")
            first = dict(self._of.get("task_dependencies", ())).get(k)
            if first is not None:
                units = f"probability times that of {self._task_names[first]}"
            self._label(self._x(k), top + 0.05, f"{self._task_names[k]}\n{units}")
        if None in self._tasks:
            level = min(y for _, y in tops.values())
            text = f"…\n{len(self._task_names)} tasks"
            self._label(self._x(None), level - 0.3, text)

    def _label(self, x: float, y: float, text: str) -> None:
        self._draws.append(
            lambda ax: ax.text(
                x, y, text, ha="center", va="bottom", color=INK, fontsize=10
            )
        )

    def _box(
        self,
        x: float,
        y: float,
        width: float,
        text: str,
        colour: str,
        height: float = 2 * _HALF,
        size: int = 10,
    ) -> None:
        def draw(ax: Any) -> None:
            from matplotlib.patches import FancyBboxPatch

            ax.add_patch(
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
            ax.text(
                x, y, text, ha="center", va="center", color=INK, fontsize=size, zorder=4
            )

        self._draws.append(draw)

    def _arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str = INK,
        dashed: bool = False,
    ) -> None:
        self._draws.append(
            lambda ax: ax.annotate(
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
        )
