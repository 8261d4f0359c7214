"""The results page's tables, written anew from the benchmarks' files at each build."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd

DOCS = Path(__file__).parent.parent
BENCHMARKS = DOCS.parent / "benchmarks"


def csv_table(table: pd.DataFrame, first: str) -> str:
    """Write a table as reStructuredText."""
    names = ", ".join(f'"{name}"' for name in [first, *map(str, table.columns)])
    lines = [".. csv-table::", f"   :header: {names}", ""]
    for name, row in table.iterrows():
        cells = ", ".join(f'"{cell}"' for cell in [name, *row])
        lines.append(f"   {cells}")
    return "\n".join(lines) + "\n"


def write_tables(app: Any) -> None:
    """Write what results.rst includes, from what the benchmarks' commands wrote."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from compare import differences, summary
    finally:
        sys.path.remove(str(BENCHMARKS))
    folder = DOCS / "generated"
    folder.mkdir(exist_ok=True)
    results = pd.read_csv(BENCHMARKS / "results" / "results.csv")
    table = summary(results)
    scores = [name for name in table if name.startswith(("income", "never"))]
    parts = {
        "scores": table[["splits", *scores]],
        "differences": differences(results),
        "costs": table.drop(columns=["splits", *scores, "epoch"], errors="ignore"),
    }
    for name, part in parts.items():
        text = csv_table(part, "contender")
        (folder / f"{name}.inc").write_text(text, encoding="utf-8")
    for path in sorted((BENCHMARKS / "results").glob("related_tasks_*.csv")):
        errors = pd.read_csv(path, index_col="correlation").map("{:.4f}".format)
        text = csv_table(errors, "correlation")
        (folder / f"{path.stem}.inc").write_text(text, encoding="utf-8")
    for picture in (BENCHMARKS / "results").glob("*.png"):
        shutil.copy(picture, folder)
    for printed in (BENCHMARKS / "results").glob("*.txt"):
        shutil.copy(printed, folder)


def setup(app: Any) -> dict[str, bool]:
    """Register the writing of the tables with Sphinx."""
    app.connect("builder-inited", write_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
