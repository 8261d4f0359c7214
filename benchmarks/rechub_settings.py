"""MMoE, PLE and AITM of torch-rechub's run_census.py, in its sizes, as ours and theirs.

The sizes are those of that script: eight experts of 16 units (MMoE), two experts for
each task and a shared one (PLE), bottoms of 32 and 16 units (AITM), and towers of 8.
Features, optimizer and regularisation of ours are our defaults. The splits are those of
``compare.py``; torch-rechub's figures are read from what that one wrote. Differences
are paired by split.

    python benchmarks/rechub_settings.py  # writes to benchmarks/results, goes on there
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
from compare import scores
from contenders import TASKS, Split
from contenders import ours as fit_ours

RESULTS = Path(__file__).parent / "results"
AUCS = [f"{task} AUC" for task in TASKS]
PLAIN: dict[str, Any] = {"shared_units": (), "tower_units": (8,)}
MODELS: dict[str, dict[str, Any]] = {
    "MMOE": {"sharing": "mmoe", "num_experts": 8, "expert_units": 16},
    "PLE": {
        "sharing": "ple",
        "num_levels": 1,
        "num_experts": 1,
        "num_task_experts": 2,
        "expert_units": 16,
    },
    "AITM": {"sharing": "aitm", "expert_units": (32, 16)},
}


def run(model: str, seed: int) -> dict[str, Any]:
    """Fit one of ours on one split."""
    split = Split.draw(seed)
    outcome = fit_ours(split, random_state=seed, **PLAIN, **MODELS[model])
    found = scores(split, outcome.probabilities)
    return {
        "model": model,
        "split": seed,
        **{name: found[name] for name in AUCS},
        "fit s": outcome.fit_seconds,
        **outcome.extra,
    }


def run_all(splits: list[int], path: Path) -> pd.DataFrame:
    """Do the runs that the file does not hold, and add them to it."""
    rows: list[Any] = pd.read_csv(path).to_dict("records") if path.exists() else []
    known = {(row["model"], row["split"]) for row in rows}
    for job in product(MODELS, splits):
        if job not in known:
            rows.append(run(*job))
            print(rows[-1], flush=True)
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    results = pd.DataFrame(rows)
    return results[results["split"].isin(splits)]


def of_rechub(model: str) -> pd.DataFrame:
    """Read what ``compare.py`` wrote of torch-rechub's model, by split."""
    results = pd.read_csv(RESULTS / "results.csv")
    of_model = results[results["contender"] == f"torch-rechub {model}"]
    return of_model.drop_duplicates("split").set_index("split")


def summary(ours: pd.DataFrame) -> pd.DataFrame:
    """Set mean AUCs beside each other, with the difference paired by split."""
    rows = []
    for (model, of_model), name in product(ours.groupby("model", sort=False), AUCS):
        mine = of_model.set_index("split")[name]
        other = of_rechub(str(model))[name].reindex(mine.index)
        gain = mine - other
        rows.append(
            {
                "model": model,
                "AUC of": name.removesuffix(" AUC"),
                "splits": gain.count(),
                "ours": mine.mean(),
                "torch-rechub": other.mean(),
                "difference": gain.mean(),
                "+-": gain.sem(),
            }
        )
    return pd.DataFrame(rows).set_index(["model", "AUC of"])


def draw(ours: pd.DataFrame, path: Path) -> None:
    """Draw each split's AUC of ours over that of torch-rechub."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(AUCS), figsize=(9, 4), layout="constrained")
    for axis, name in zip(axes, AUCS, strict=True):
        for model, of_model in ours.groupby("model", sort=False):
            other = of_rechub(str(model))[name].reindex(of_model["split"])
            axis.plot(other, of_model[name], "o", label=model)
        low = min(axis.get_xlim()[0], axis.get_ylim()[0])
        axis.axline((low, low), slope=1, color="grey", linewidth=1)
        axis.set(title=name, xlabel="torch-rechub", ylabel="ours")
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "rechub_settings.csv"
    ours = run_all(arguments.splits, path)
    text = summary(ours).to_string(float_format="{:.4f}".format)
    print(text)
    path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    draw(ours, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
