"""The picture of a sharing report."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_mmoe.inspection._style import INK, line_style

__all__ = ["SharingReportDisplay"]

# Of more than these the numbers would not be legible.
_FEW_TASKS = 6


class SharingReportDisplay:
    """What each task gains from sharing, how similar the gates are, who helps whom.

    It is recommended to use
    :meth:`~sklearn_mmoe.inspection.SharingReportDisplay.from_report`.

    Parameters
    ----------
    report : SharingReport
        What :func:`~sklearn_mmoe.model_selection.sharing_report` has found.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The axes drawn on: gains, then similarity and help, where the report has them.
    ax_ : matplotlib Axes
        The first of them.
    figure_ : matplotlib Figure
        Their figure.

    See Also
    --------
    sklearn_mmoe.model_selection.sharing_report : Makes the report.

    Examples
    --------
    >>> from sklearn_mmoe import MultiTaskMMoERegressor
    >>> from sklearn_mmoe.datasets import make_related_tasks
    >>> from sklearn_mmoe.inspection import SharingReportDisplay
    >>> from sklearn_mmoe.model_selection import sharing_report
    >>> X, y = make_related_tasks(n_samples=200, n_features=5, random_state=0)
    >>> reg = MultiTaskMMoERegressor(num_experts=2, max_iter=2)
    >>> report = sharing_report(reg, X, y, cv=2, sharing=["single", "mmoe"])
    >>> display = SharingReportDisplay.from_report(report)
    >>> len(display.axes_)
    3
    """

    def __init__(self, report: Any) -> None:
        self.report = report

    @classmethod
    def from_report(cls, report: Any, *, ax: Any = None) -> SharingReportDisplay:
        """Draw a report.

        Parameters
        ----------
        report : SharingReport
            What :func:`~sklearn_mmoe.model_selection.sharing_report` has found.
        ax : array-like of Axes or None, default=None
            Axes to draw on, one for each picture; None makes a figure.

        Returns
        -------
        SharingReportDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        return cls(report).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> SharingReportDisplay:
        """Draw the report.

        Parameters
        ----------
        ax : array-like of Axes or None, default=None
            Axes to draw on, one for each picture; None makes a figure.

        Returns
        -------
        SharingReportDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If `ax` has another number of axes.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        report = self.report
        pictures: list[Any] = [self._gains]
        if report.gate_similarity is not None:
            pictures.append(self._similarity)
        if len(report.help):
            pictures.append(self._help)
        self.axes_ = self._axes(ax, len(pictures))
        for axes, draw in zip(self.axes_, pictures, strict=True):
            draw(axes)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        return self

    def _axes(self, ax: Any, n_axes: int) -> np.ndarray:
        """Return axes of the user's, or new ones, with the recommendation above."""
        if ax is not None:
            axes = np.ravel(np.asarray(ax, dtype=object))
            if len(axes) != n_axes:
                raise ValueError(
                    f"This picture needs {n_axes} axes; the 'ax' parameter has "
                    f"{len(axes)}."
                )
            return axes
        import matplotlib.pyplot as plt

        n_tasks = self.report.by_task.index.get_level_values("task").nunique()
        n_ways = len(self.report.overall) - 1
        width = 2.2 + 0.45 * n_tasks
        figure, axes = plt.subplots(
            1,
            n_axes,
            figsize=(5 + (n_axes - 1) * width, 2.4 + 0.17 * (n_ways + 1) * n_tasks),
            layout="constrained",
            squeeze=False,
            width_ratios=[5] + [width] * (n_axes - 1),
        )
        columns = int(9 * figure.get_figwidth())
        text = textwrap.fill(self.report.recommendation, columns)
        figure.suptitle(text, fontsize="medium", color=INK)
        return axes.ravel()

    def _gains(self, ax: Any) -> None:
        """Draw each task's gain against separate networks, with its interval."""
        table = self.report.by_task.drop(index="single", level="sharing")
        ways = list(dict.fromkeys(table.index.get_level_values("sharing")))
        tasks = list(dict.fromkeys(table.index.get_level_values("task")))
        names = [*tasks, "mean over tasks"]
        step = 0.8 / len(ways)
        for i, way in enumerate(ways):
            mean = self.report.overall.loc[[way]]
            of_way = pd.concat([table.loc[way].loc[tasks], mean])
            y = np.arange(len(names)) + (i - (len(ways) - 1) / 2) * step
            style = line_style(i)
            gain = of_way["gain"].to_numpy()
            error = np.abs(of_way[["low", "high"]].to_numpy().T - gain)
            ax.errorbar(
                gain,
                y,
                xerr=np.where(np.isfinite(error), error, 0),
                fmt=style["marker"],
                color=style["color"],
                markersize=5,
                capsize=2,
                linewidth=1.3,
                label=way,
            )
        ax.axvline(0, color=INK, linewidth=0.9)
        ax.axhline(len(tasks) - 0.5, color="0.7", linewidth=0.8, linestyle=":")
        ax.set(
            yticks=range(len(names)),
            xlabel="score minus that of separate networks",
            title="gain from sharing (95 % interval)",
            ylim=(len(names) - 0.45, -0.55),
        )
        ax.set_yticklabels(names)
        ax.legend(fontsize="small")

    def _similarity(self, ax: Any) -> None:
        _heatmap(
            ax, self.report.gate_similarity, "Blues", (0.0, 1.0), "gates alike (cosine)"
        )

    def _help(self, ax: Any) -> None:
        tasks = list(dict.fromkeys(self.report.by_task.index.get_level_values("task")))
        gains = pd.DataFrame(np.nan, index=tasks, columns=tasks)
        clear = pd.DataFrame(False, index=tasks, columns=tasks)
        for (helper, task), row in self.report.help.iterrows():
            gains.loc[helper, task] = row["gain"]
            clear.loc[helper, task] = row["verdict"] in ("gains", "loses")
        top = max(float(np.nan_to_num(np.abs(gains.to_numpy())).max()), 1e-12)
        mark = "bold" if len(tasks) <= _FEW_TASKS else "dot"
        title = f"who helps whom\n(score with minus without; {mark}: clear)"
        _heatmap(ax, gains, "RdBu", (-top, top), title, clear)
        ax.set(xlabel="task", ylabel="helper")


def _heatmap(
    ax: Any,
    table: pd.DataFrame,
    colours: str,
    limits: tuple[float, float],
    title: str,
    bold: pd.DataFrame | None = None,
) -> None:
    """Draw a table of tasks by tasks, with its numbers where these are few."""
    values = table.to_numpy(dtype=float)
    low, high = limits
    image = ax.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    few = len(values) <= _FEW_TASKS
    for (i, j), value in np.ndenumerate(values):
        strong = bold is not None and bool(bold.iloc[i, j])
        if np.isnan(value) or not (few or strong):
            continue
        share = (value - low) / (high - low)
        dark = share > 0.75 or (low < 0 and share < 0.25)
        text = f"{value:+.3f}" if low < 0 else f"{value:.2f}"
        ax.text(
            j, i, text if few else "●", ha="center", va="center",
            fontsize="small", color="white" if dark else INK,
            fontweight="bold" if strong else "normal",
        )  # fmt: skip
    ax.set(xticks=range(len(table)), yticks=range(len(table)), title=title)
    ax.set_xticklabels(table.columns, rotation=45, ha="right")
    ax.set_yticklabels(table.index)
    ax.figure.colorbar(image, ax=ax, pad=0.02)
