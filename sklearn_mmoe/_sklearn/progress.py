"""What ``verbose`` shows of training."""

from __future__ import annotations

import importlib.util
from types import TracebackType
from typing import Any

__all__ = ["EpochProgress"]


def _interactive_console() -> Any:
    """Give rich's console in a terminal or a notebook, None elsewhere."""
    try:
        import rich
    except ImportError:
        return None
    console = rich.get_console()
    if console.is_jupyter:  # where rich needs widgets to draw a line anew
        return console if importlib.util.find_spec("ipywidgets") else None
    return console if console.is_terminal else None


class EpochProgress:
    """One bar that fills with the epochs, or a line for each of them.

    The bar needs rich and somebody who looks: a terminal or a notebook. Files get
    lines, which last.

    Parameters
    ----------
    n_epochs : int
        How many epochs there will be at most.
    verbose : int or bool
        Whether to show anything.
    """

    def __init__(self, n_epochs: int, verbose: int | bool) -> None:
        self._n_epochs = n_epochs
        self._verbose = verbose
        self._bar: Any = None

    def __enter__(self) -> EpochProgress:
        console = _interactive_console() if self._verbose else None
        if console is not None:
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("Epoch"),
                MofNCompleteColumn(),
                BarColumn(bar_width=20),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=console,
            )
            self._bar.add_task("", total=self._n_epochs)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.refresh()  # a notebook's bar is not drawn once more at its stop
            self._bar.stop()

    def show(self, epoch: int, message: str) -> None:
        """Show that an epoch, counted from 0, has ended."""
        if self._bar is not None:
            self._bar.update(0, completed=epoch + 1, description=message)
        elif self._verbose:
            print(f"Epoch {epoch + 1}/{self._n_epochs}, {message}")
