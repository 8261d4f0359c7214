"""What 'auto' means: bins, spikes and categories by the number of rows and columns.

The constants are data, chosen on validation folds of public tables; nothing else in
the package depends on their values.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AUTO", "AutoSizes"]


@dataclass(frozen=True)
class AutoSizes:
    """The constants behind 'auto', and the rules that use them.

    Parameters
    ----------
    rows_per_bin : int
        Rows that a bin of a numeric column should hold.
    max_bins : int
        Bins of a column of any number of rows.
    min_bins : int
        A column that would have fewer bins than this gets none.
    bins_of_scarce : int
        A task of few targets does not bring the bins of others below this.
    rows_per_numeric_bin : float
        Rows for each bin of all numeric columns together, so that a table of many
        columns does not become one of far more features than rows.
    spike_rows : int
        Rows that a value must have to get a column of its own.
    category_share : int
        A category must have the rows divided by this,
    max_category_rows : int
        but never more than these.
    """

    rows_per_bin: int = 40
    max_bins: int = 64
    min_bins: int = 4
    bins_of_scarce: int = 8
    rows_per_numeric_bin: float = 3.0
    spike_rows: int = 10
    category_share: int = 20
    max_category_rows: int = 10

    def n_bins(
        self, n_values: int, n_samples: int, n_columns: int, share: float = 1.0
    ) -> int:
        """Return the bins of a numeric column; 0 leaves it to its scaled form.

        Parameters
        ----------
        n_values : int
            Rows in which the column is not missing.
        n_samples : int
            Rows of the table.
        n_columns : int
            Its numeric columns of more than two values: others need no bins.
        share : float, default=1.0
            Share of the targets that the task of fewest has. Fine bins are noise to
            it, and coarser ones hardly worse for the others.

        Returns
        -------
        int
            0, or between `min_bins` and `max_bins`.
        """
        of_columns = n_samples / (self.rows_per_numeric_bin * max(n_columns, 1))
        by_rows = min(n_values / self.rows_per_bin, of_columns)
        n_bins = min(self.max_bins, int(by_rows))
        if share < 1:
            n_bins = min(n_bins, max(int(by_rows * share), self.bins_of_scarce))
        return n_bins if n_bins >= self.min_bins else 0

    def min_frequency(self, n_samples: int) -> int:
        """Return the rows that a category must have for a column of its own."""
        return min(self.max_category_rows, max(1, n_samples // self.category_share))


AUTO = AutoSizes()
