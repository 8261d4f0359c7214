"""What ``verbose`` shows of training."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import TracebackType
from typing import Any

from sklearn_mmoe._training.observer import EpochRecord, Observer

__all__ = ["EpochProgress"]


def _interactive_console() -> Any:
    """Return rich's console in a terminal or a notebook, None elsewhere."""
    try:
        import rich
    except ImportError:
        return None
    console = rich.get_console()
    if console.is_jupyter:  # where rich needs widgets to draw a line anew
        return console if importlib.util.find_spec("ipywidgets") else None
    return console if console.is_terminal else None


class EpochProgress(Observer):
    """One bar that fills with the epochs, or a line for each of them.

    The bar needs rich and somebody who looks: a terminal or a notebook. Files get
    lines, which last. In a notebook the last line takes the bar's place at the end,
    because the bar is a widget, which most readers of a saved notebook do not show.

    Parameters
    ----------
    n_epochs : int
        How many epochs there will be at most.
    verbose : int or bool
        Whether to show anything.
    describe : callable
        Puts the record of an epoch into words.
    """

    def __init__(
        self,
        n_epochs: int,
        verbose: int | bool,
        describe: Callable[[EpochRecord], str],
    ) -> None:
        self._n_epochs = n_epochs
        self._verbose = verbose
        self._describe = describe
        self._bar: Any = None
        self._last_line: str | None = None  # where the bar itself does not stay

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
                TextColumn("{task.description}", markup=False),
                console=console,
                transient=console.is_jupyter,
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
            self._bar.stop()
            if self._bar.live.transient and self._last_line is not None:
                print(self._last_line, flush=True)

    def on_epoch_end(self, record: EpochRecord) -> None:
        if not self._verbose:
            return
        n_done, message = record.epoch + 1, self._describe(record)
        line = f"Epoch {n_done}/{self._n_epochs}, {message}"
        self._lengthen(record)
        if self._bar is not None:
            self._bar.update(
                0, completed=n_done, total=self._n_epochs, description=message
            )
            self._last_line = line
        else:
            # At once: where workers' output goes to a file, it would wait for more.
            print(line, flush=True)

    def on_earlier_epoch(self, record: EpochRecord) -> None:
        self._lengthen(record)

    def _lengthen(self, record: EpochRecord) -> None:
        self._n_epochs += record.n_more
