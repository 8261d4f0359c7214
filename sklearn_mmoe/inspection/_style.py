"""How the displays look: colours, lines and axes."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "INK",
    "LIGHT",
    "axes_in_a_row",
    "check_kind",
    "line_style",
    "point_style",
]

# Okabe and Ito's colours, which the colour-blind can tell apart, darkest first; lines
# and markers tell tasks apart in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P")

INK = "#333333"
# The same colours made light enough to write on, for areas.
LIGHT = ("#CFE5F2", "#F6D9C4", "#BFE3D3", "#F0DCE6", "#DDF0FB", "#F9E4B7")


def line_style(k: int) -> dict[str, Any]:
    """Return colour, line and marker of the k-th task or score."""
    return {
        "color": _COLOURS[k % len(_COLOURS)],
        "linestyle": _LINES[k % len(_LINES)],
        "marker": _MARKERS[k % len(_MARKERS)],
    }


def point_style(k: int) -> dict[str, Any]:
    """Return colour and marker of the k-th task or score, where no line joins points.

    Markers are hollow when the colours come again.
    """
    colour = _COLOURS[k % len(_COLOURS)]
    return {
        "color": colour,
        "linestyle": "none",
        "marker": _MARKERS[k % len(_MARKERS)],
        "markerfacecolor": "white" if k // len(_COLOURS) % 2 else colour,
    }


def check_kind(kind: Any, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError unless `kind` is one of those allowed."""
    if kind not in allowed:
        raise ValueError(
            f"The 'kind' parameter must be one of {allowed}, got {kind!r}."
        )


def axes_in_a_row(
    ax: Any, n_axes: int, width: float, height: float, **subplots: Any
) -> np.ndarray:
    """Return `n_axes` axes: new ones, or those of the user.

    Parameters
    ----------
    ax : Axes, array-like of Axes of shape (n_axes,), or None
        None makes a figure of its own.
    n_axes : int
        Number of axes.
    width, height : float
        Size of each of the new axes, in inches.
    **subplots
        Further arguments of :func:`matplotlib.pyplot.subplots`.

    Returns
    -------
    ndarray of Axes of shape (n_axes,)
        The axes.

    Raises
    ------
    ValueError
        If the user gave another number of axes.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        _, axes = plt.subplots(
            1,
            n_axes,
            figsize=(width * n_axes, height),
            layout="constrained",
            squeeze=False,
            **subplots,
        )
        return axes.ravel()
    axes = np.ravel(np.asarray(ax, dtype=object))
    if len(axes) != n_axes:
        raise ValueError(
            f"This picture needs {n_axes} axes; the 'ax' parameter has {len(axes)}."
        )
    return axes
