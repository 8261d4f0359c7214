"""Draw the picture of the model for the README: ``python docs/draw_model.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

# Okabe and Ito's colours, which the colour-blind can tell apart too; light and dark
# enough to read in grey.
EXPERT, FIRST, SECOND, PLAIN = "#CFE5F2", "#F6D9A8", "#BFE3D3", "#EDEDED"
INK = "#333333"


def box(ax, x, y, width, height, text, colour):
    """Draw a rounded box around (x, y) with a text in it."""
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.09",
            facecolor=colour,
            edgecolor=INK,
            linewidth=1.0,
        )
    )
    ax.text(x, y, text, ha="center", va="center", color=INK, fontsize=10)


def arrow(ax, start, end, colour=INK, style="-"):
    """Draw an arrow from start to end."""
    ax.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>,head_width=0.18,head_length=0.35",
            "color": colour,
            "linewidth": 1.0,
            "linestyle": style,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def draw(path: Path) -> None:
    """Draw two tasks on four experts."""
    fig, ax = plt.subplots(figsize=(8.2, 4.6))
    ax.set_xlim(0, 8.2)
    ax.set_ylim(0.1, 5.0)
    ax.set_axis_off()
    box(
        ax, 4.1, 0.45, 5.4, 0.5, "features: piecewise-linear numbers, categories", PLAIN
    )
    box(ax, 4.1, 1.3, 5.4, 0.5, "shared layer", PLAIN)
    arrow(ax, (4.1, 0.7), (4.1, 1.05))
    experts = [2.75, 3.65, 4.55, 5.45]
    for i, x in enumerate(experts, 1):
        box(ax, x, 2.25, 0.72, 0.6, f"expert\n{i}", EXPERT)
        arrow(ax, (x, 1.55), (x, 1.95))
    tasks = [
        ("income", 2.6, 1.0, FIRST, "#B36A00"),
        ("never married", 5.6, 7.2, SECOND, "#00694B"),
    ]
    for name, x, gate_x, colour, line in tasks:
        box(ax, gate_x, 2.25, 1.15, 0.6, "gate\nsoftmax", colour)
        corner = 1.75 if gate_x < 4 else 6.45
        arrow(ax, (corner, 1.55), (gate_x + (0.3 if gate_x < 4 else -0.3), 1.95))
        box(ax, x, 3.35, 1.7, 0.5, r"$\sum_i\; g_i(x)\, f_i(x)$", colour)
        for expert in experts:
            arrow(ax, (expert, 2.55), (x + (expert - 4.1) * 0.35, 3.1), line)
        side = -0.85 if gate_x < 4 else 0.85
        arrow(ax, (gate_x, 2.55), (x + side, 3.3), line, "--")
        box(ax, x, 4.05, 1.7, 0.42, "tower", colour)
        arrow(ax, (x, 3.6), (x, 3.84))
        arrow(ax, (x, 4.26), (x, 4.58))
        ax.text(x, 4.72, name, ha="center", va="center", color=INK, fontsize=11)
    fig.savefig(path, dpi=150, bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    draw(Path(__file__).parent / "model.png")
