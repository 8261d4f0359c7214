"""Draw the README's pictures, by the displays: ``python docs/draw_pictures.py``.

Trains on the test half of Census-Income, 80 % of its rows.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import fetch_census_income
from sklearn_mmoe.inspection import (
    GateWeightsDisplay,
    NetworkDisplay,
    TaskScoresDisplay,
)
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

FOLDER = Path(__file__).parent / "pictures"


def main() -> None:
    """Train, and draw."""
    mpl.use("Agg")
    X, y = fetch_census_income("test", return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, random_state=0
    )
    model = make_pipeline(
        make_tabular_preprocessor(), MultiTaskMMoEClassifier(random_state=0)
    ).fit(X_train, y_train)
    displays = {
        "network": NetworkDisplay.from_estimator(model),
        "gates": GateWeightsDisplay.from_estimator(model, X_test),
        "scores": TaskScoresDisplay.from_estimator(
            model, X_test, y_test, kind="precision_recall"
        ),
    }
    FOLDER.mkdir(exist_ok=True)
    for name, display in displays.items():
        display.figure_.savefig(
            FOLDER / f"{name}.png", dpi=110, facecolor="white", bbox_inches="tight"
        )


if __name__ == "__main__":
    main()
