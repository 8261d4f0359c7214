"""Ours beside what a user would take instead, on Census-Income: one table.

Fits every contender on the same rows of five seeded splits of the test half (60/20/20;
each may use the 80 % of training and validation rows as it likes), each in a process of
its own. Prints means and standard deviations over the splits and differences paired by
split, and writes ``results.csv`` (a row for each split and contender) and
``results.png`` to the output folder. The paper's synthetic tasks follow, a data set of
another kind (``related_tasks_*.csv``). Memory is what a fit adds at its highest to the
libraries and the data, which are loaded before (Linux only). Runs that the CSV already
has are not repeated.

    python benchmarks/compare.py
    python benchmarks/compare.py --contenders MMoE LightGBM --splits 0 1

torch-rechub's models run in an environment of their own, with a CPU build of PyTorch:

    python -m venv torch-env
    torch-env/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    torch-env/bin/pip install torch-rechub
    python benchmarks/compare.py --torch-python torch-env/bin/python

Without it they are left out, and the table says so. Needs ``pip install lightgbm
catboost``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import related_tasks
from contenders import CONTENDERS, TASKS, Split
from memory import forget_peak, memory_mib
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

TORCH_MODELS = {
    "torch-rechub MMOE": "MMOE",
    "torch-rechub PLE": "PLE",
    "torch-rechub AITM": "AITM",
}
BASELINE = "LightGBM"
HERE = Path(__file__).parent


def scores(split: Split, probabilities: list[np.ndarray]) -> dict[str, float]:
    """Score the probabilities of each task in the test rows."""
    figures = {}
    for task, probability in zip(TASKS, probabilities, strict=True):
        y = split.y[task].iloc[split.test]
        figures[f"{task} AUC"] = roc_auc_score(y, probability)
        figures[f"{task} log-loss"] = log_loss(y, probability)
        if task == "income":  # 6 % positive
            figures["income AP"] = average_precision_score(y, probability)
    return figures


def run_here(name: str, seed: int) -> dict[str, float]:
    """Fit one contender in this process, with all libraries and the data loaded."""
    import lightgbm  # noqa: F401

    from sklearn_mmoe._training import engine  # noqa: F401

    split = Split.draw(seed)
    forget_peak()
    before = memory_mib("VmRSS")
    outcome = CONTENDERS[name](split)
    peak = memory_mib("VmHWM")
    return {
        **scores(split, outcome.probabilities),
        "fit s": outcome.fit_seconds,
        "predict us/row": 1e6 * outcome.predict_seconds / len(split.test),
        "peak MiB": peak - before,
        "model KiB": outcome.model_bytes / 1024,
        **outcome.extra,
    }


def run_apart(name: str, seed: int) -> dict[str, float]:
    """Fit one contender in a new process."""
    command = [sys.executable, __file__, "--one", name, str(seed)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout.splitlines()[-1])


def run_torch(model: str, seed: int, python: str) -> dict[str, float]:
    """Fit a model of torch-rechub in its own environment, on integer codes."""
    split = Split.draw(seed)
    numeric = split.X.select_dtypes("number")
    codes = split.X.drop(columns=numeric.columns).apply(lambda column: column.cat.codes)
    with tempfile.TemporaryDirectory() as folder:
        data, answer = Path(folder) / "data.npz", Path(folder) / "answer.npz"
        np.savez(
            data,
            dense=numeric.to_numpy(np.float32),
            sparse=codes.to_numpy(np.int64) + 1,  # -1 is a missing value
            y=split.y.to_numpy(np.float32),
            train=split.train,
            valid=split.valid,
            test=split.test,
        )
        command = [python, HERE / "torch_contenders.py", model, data, answer]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with np.load(answer) as found:
            figures = {
                "fit s": float(found["fit_seconds"]),
                "predict us/row": 1e6
                * float(found["predict_seconds"])
                / len(split.test),
                "peak MiB": float(found["peak_mib"]),
                "model KiB": float(found["parameters"]) * 4 / 1024,
                "parameters": float(found["parameters"]),
            }
            return {**scores(split, list(found["probabilities"].T)), **figures}


def with_spread(mean: str, spread: float, digits: int) -> str:
    """Write a mean with its spread, which one split alone has not."""
    return mean if np.isnan(spread) else f"{mean} ± {spread:.{digits}f}"


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over the splits, as text."""
    figures = [column for column in results if column not in ("contender", "split")]
    groups = results.groupby("contender", sort=False)[figures]
    means, spreads = groups.mean(), groups.std()
    table = pd.DataFrame(index=means.index)
    for column in figures:
        digits = 4 if column.startswith(TASKS) else 1
        table[column] = [
            "" if np.isnan(mean) else with_spread(f"{mean:.{digits}f}", spread, digits)
            for mean, spread in zip(means[column], spreads[column], strict=True)
        ]
    table.insert(0, "splits", groups.size())
    return table


def differences(results: pd.DataFrame) -> pd.DataFrame:
    """Return the AUC of each contender less that of LightGBM, paired by split."""
    rows = {}
    aucs = [f"{task} AUC" for task in TASKS]
    wide = results.pivot(index="split", columns="contender", values=aucs)
    for name in results["contender"].unique():
        if name == BASELINE or BASELINE not in wide["income AUC"]:
            continue
        row = {}
        for column in aucs:
            difference = (wide[column][name] - wide[column][BASELINE]).dropna()
            error = difference.std() / np.sqrt(len(difference))
            row[column] = with_spread(f"{difference.mean():+.5f}", error, 5)
        rows[name] = row
    return pd.DataFrame(rows).T


def synthetic(folder: Path) -> None:
    """Print and write the test errors on the MMoE paper's synthetic tasks."""
    for activation in ("relu", "silu"):
        path = folder / f"related_tasks_{activation}.csv"
        if not path.exists():
            related_tasks.run(activation).to_csv(path, float_format="%.6g")
        table = pd.read_csv(path, index_col="correlation")
        print(f"\nTest MSE on synthetic tasks by their correlation ({activation})")
        print(table.to_string(float_format="{:.4f}".format))


def draw(results: pd.DataFrame, path: Path) -> None:
    """Draw AUC against fit seconds, a panel for each task."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    means = results.groupby("contender", sort=False).mean(numeric_only=True)
    markers = "osD^v<>PX*hdp"
    for task, ax in zip(TASKS, axes, strict=True):
        for marker, (name, row) in zip(markers, means.iterrows(), strict=False):
            ours = name == "MMoE"
            ax.plot(
                row["fit s"],
                row[f"{task} AUC"],
                marker,
                ms=11 if ours else 8,
                color="black" if ours else "0.55",
                mec="black",
                label=name,
            )
        ax.set(xscale="log", xlabel="fit, seconds", ylabel="test ROC AUC", title=task)
        ax.grid(alpha=0.3)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize="small", loc="outside right upper")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Run what is missing, then print and draw all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contenders", nargs="+", default=None)
    parser.add_argument("--splits", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--torch-python", help="interpreter that has torch-rechub")
    parser.add_argument("--output", type=Path, default=HERE / "results")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_here(arguments.one[0], int(arguments.one[1]))))
        return
    known = [*CONTENDERS, *TORCH_MODELS]
    names = arguments.contenders or known
    unknown = sorted(set(names) - set(known))
    if unknown:
        parser.error(f"no contenders {unknown}; there are {known}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "results.csv"
    results = pd.read_csv(path) if path.exists() else pd.DataFrame()
    for seed in arguments.splits:
        for name in names:
            done = (
                len(results)
                and ((results["contender"] == name) & (results["split"] == seed)).any()
            )
            if done or (name in TORCH_MODELS and not arguments.torch_python):
                continue
            if name in TORCH_MODELS:
                row = run_torch(TORCH_MODELS[name], seed, arguments.torch_python)
            else:
                row = run_apart(name, seed)
            row = pd.DataFrame([{"contender": name, "split": seed, **row}])
            results = pd.concat([results, row], ignore_index=True)
            results.to_csv(path, index=False, float_format="%.6g")
            print(
                f"split {seed}, {name}: "
                + ", ".join(f"{task} {row[f'{task} AUC'][0]:.4f}" for task in TASKS)
                + f", {row['fit s'][0]:.1f} s",
                flush=True,
            )
    order = [name for name in known if name in set(results["contender"])]
    results = results.set_index("contender").loc[order].reset_index()
    print("\nMean ± standard deviation over the splits, test rows")
    print(summary(results).to_string())
    print(f"\nAUC less that of {BASELINE}, paired by split: mean ± standard error")
    print(differences(results).to_string())
    missing = [name for name in known if name not in order]
    if missing:
        print(f"\nNot run: {', '.join(missing)}")
    draw(results, arguments.output / "results.png")
    if not arguments.contenders:
        synthetic(arguments.output)


if __name__ == "__main__":
    main()
