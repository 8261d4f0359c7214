"""Ours beside what a user would take instead, on many public tables of several targets.

Every contender has its defaults, and learns on four fifths of a table's rows what it is
tested on in the last, five times. What has been run stands in a CSV file, a line for
each table, fold and contender, and is not run again.

    python benchmarks/tables.py                          # run all that is at hand
    python benchmarks/tables.py --contenders linear RandomForest --max-rows 3000
    python benchmarks/tables.py --summary                # print, run nothing
    python benchmarks/tables.py --summary --contenders MMoE RandomForest linear
    python benchmarks/tables.py --summary --picture tables.png
    python benchmarks/tables.py --summary --no-seconds   # of several machines

The error of a task is relative to knowing no more than the training targets. For a
regression it is the root of the squared errors' sum divided by that of the mean of the
training rows; for a classification the log-loss divided by that of the training rows'
shares of the classes; both sums go over the test rows of all folds. So 1 is as good as
knowing nothing, 0 is perfect, and the error of a table is the mean over its tasks. No
probability counts as less than 1 / (2 n), n being the training rows with a label: a
forest, whose trees may agree on a 0, would have an infinite log-loss otherwise. The AUC
beside it is the mean over folds and tasks, of several classes one against the rest.

Folds are drawn by ``--seed``. Our defaults were chosen with seed 0: figures are to be
quoted from another. Needs ``pip install "sklearn-mmoe[benchmark]"``. Data are looked
for, not downloaded (see ``table_data.py``). Contenders whose library is not installed
are left out. pytabkit's models need PyTorch, and may run in an environment of their own
with the same CSV file:

    python -m venv torch-env
    torch-env/bin/pip install torch --index-url https://download.pytorch.org/whl/cpu
    torch-env/bin/pip install pytabkit skrub pooch liac-arff
    PYTHONPATH=. torch-env/bin/python benchmarks/tables.py --contenders TabM-D
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import KFold
from table_contenders import CONTENDERS, available, make_contender
from table_data import Table, tables_at_hand

N_FOLDS = 5
SEED_OF_THE_DEFAULTS = 0
REFERENCE = "RandomForest"  # of the fit seconds
KEY = ["table", "seed", "fold", "contender"]
COLUMNS = [*KEY, "error", "auc", "fit_seconds", "predict_seconds", "tasks"]
HERE = Path(__file__).parent


def auc_of(codes: np.ndarray, probabilities: np.ndarray) -> float:
    """Compute the mean AUC of the classes that some rows have and others have not."""
    aucs = [
        roc_auc_score(codes == k, probabilities[:, k])
        for k in range(1 if probabilities.shape[1] == 2 else 0, probabilities.shape[1])
        if 0 < (codes == k).sum() < len(codes)
    ]
    return float(np.mean(aucs)) if aucs else np.nan


def task_scores(
    train: np.ndarray, test: np.ndarray, prediction: np.ndarray, n_classes: int | None
) -> dict[str, float | str]:
    """Sum the loss of a task in the test rows, and that of knowing nothing.

    Parameters
    ----------
    train, test : ndarray
        Targets; NaN is a missing one.
    prediction : ndarray
        Values, or probabilities of the classes.
    n_classes : int or None
        Number of classes; None for a regression.
    """
    if not np.isfinite(prediction).all():
        raise FloatingPointError("a prediction is not finite")
    train, known = train[~np.isnan(train)], ~np.isnan(test)
    test, prediction = test[known], prediction[known]
    if n_classes is None:
        return {
            "kind": "regression",
            "loss": float(((test - prediction) ** 2).sum()),
            "baseline": float(((test - train.mean()) ** 2).sum()),
            "auc": np.nan,
        }
    codes = test.astype(int)
    shares = np.bincount(train.astype(int), minlength=n_classes) / len(train)

    def loss(probabilities: np.ndarray) -> float:
        raised = np.maximum(probabilities, 0.5 / len(train))
        raised = raised / raised.sum(axis=1, keepdims=True)
        labels = np.arange(n_classes)
        return log_loss(codes, raised, labels=labels, normalize=False)

    return {
        "kind": "classification",
        "loss": loss(prediction) if len(codes) else 0.0,
        "baseline": loss(np.tile(shares, (len(codes), 1))) if len(codes) else 0.0,
        "auc": auc_of(codes, prediction),
    }


def error_of(tasks: pd.DataFrame) -> float:
    """Compute the error of a table from losses, summed over folds, of its tasks.

    A task is left out where knowing nothing is perfect: its targets are constant.
    """
    tasks = tasks[tasks["baseline"] > 0]
    ratios = tasks["loss"] / tasks["baseline"]
    return float(ratios.where(tasks["kind"] == "classification", ratios**0.5).mean())


def run_fold(table: Table, seed: int, fold: int, name: str, n_jobs: int) -> dict:
    """Fit and test one contender on one fold of a table."""
    folds = KFold(N_FOLDS, shuffle=True, random_state=seed).split(table.X)
    train, test = list(folds)[fold]
    X_train, y_train = table.X.iloc[train], table.y.iloc[train]
    contender = make_contender(name, n_jobs)
    start = time.perf_counter()
    contender.fit(X_train, y_train, table.kinds)
    fitted = time.perf_counter()
    predictions = contender.predict(table.X.iloc[test])
    ended = time.perf_counter()
    tasks = {
        task: task_scores(
            y_train[task].to_numpy(),
            table.y[task].to_numpy()[test],
            prediction,
            table.kinds[task],
        )
        for task, prediction in zip(table.kinds, predictions, strict=True)
    }
    scores = pd.DataFrame(tasks.values())
    return {
        "error": error_of(scores),
        "auc": scores["auc"].mean(),
        "fit_seconds": fitted - start,
        "predict_seconds": ended - fitted,
        "tasks": json.dumps(tasks),
    }


def read_results(path: Path) -> pd.DataFrame:
    """Read the lines that have been written; none where there is no file."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)


def append(path: Path, row: dict) -> None:
    """Write one line, at once, so that an end at any moment loses no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def run(arguments: argparse.Namespace, names: list[str], tables: list[str]) -> int:
    """Run what the file lacks; return how many runs failed."""
    loaders = tables_at_hand()
    results = read_results(arguments.output)
    done = set(results[KEY].itertuples(index=False, name=None))
    n_failed = 0
    for table_name in tables:
        table = loaders[table_name](arguments.seed)
        if len(table.X) > arguments.max_rows:
            continue
        for fold in arguments.folds:
            for name in names:
                key = (table_name, arguments.seed, fold, name)
                if key in done:
                    continue
                label = f"{table_name}, fold {fold}, {name}"
                try:
                    row = run_fold(table, arguments.seed, fold, name, arguments.n_jobs)
                except Exception as error:  # of a contender; the others go on
                    n_failed += 1
                    print(f"{label}: {type(error).__name__}: {error}", flush=True)
                    continue
                append(
                    arguments.output,
                    dict(zip(COLUMNS, key, strict=False)) | row,
                )
                print(
                    f"{label}: error {row['error']:.4f}, {row['fit_seconds']:.2f} s",
                    flush=True,
                )
    return n_failed


def by_table(results: pd.DataFrame) -> pd.DataFrame:
    """Compute error, AUC and seconds of each table and contender with all folds."""
    rows = []
    for (table, contender), lines in results.groupby(KEY[::3], sort=False):
        if lines["fold"].nunique() < N_FOLDS:
            continue
        tasks = pd.concat(
            pd.DataFrame.from_dict(json.loads(text), orient="index")
            for text in lines["tasks"]
        )
        sums = tasks.groupby(level=0).agg(
            {"kind": "first", "loss": "sum", "baseline": "sum"}
        )
        rows.append(
            {
                "table": table,
                "contender": contender,
                "error": error_of(sums),
                "auc": lines["auc"].mean(),
                "fit_seconds": lines["fit_seconds"].mean(),
            }
        )
    return pd.DataFrame(
        rows, columns=["table", "contender", "error", "auc", "fit_seconds"]
    )


def wide(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a figure with a row for each table and a column for each contender."""
    table = results.pivot(index="table", columns="contender", values=column)
    order = [name for name in CONTENDERS if name in table]
    return table.loc[results["table"].unique(), order]


def summary(
    results: pd.DataFrame, names: list[str], timed: bool = True
) -> pd.DataFrame:
    """Compare contenders on the tables that all of them have finished.

    The first of them is compared with each other in pairs, table by table: the
    geometric mean of the ratios of their errors, and its standard error in logarithms.
    """
    errors = wide(results, "error")[names].dropna()
    aucs = wide(results, "auc").loc[errors.index, names]
    seconds = wide(results, "fit_seconds").loc[errors.index]
    ratios = errors.div(errors.min(axis=1), axis=0)
    paired = np.log(1 / errors.div(errors[names[0]], axis=0))
    found = pd.DataFrame(
        {
            "mean rank": errors.rank(axis=1).mean(),
            f"{names[0]} / it": np.exp(paired.mean()),
            "+-": paired.sem(),
            "ratio to the best": np.exp(np.log(ratios).mean()),
            "worst ratio": ratios.max(),
            "worst table": ratios.idxmax(),
            "tables won": (ratios == 1).sum(),
            "mean error": errors.mean(),
            "mean AUC": aucs.mean(),
        }
    )
    if timed and REFERENCE in seconds:
        slower = seconds[names].div(seconds[REFERENCE], axis=0)
        found[f"fit s / {REFERENCE}"] = np.exp(np.log(slower).mean())
        found["median"] = slower.median()
    return found.sort_values("mean rank")


def draw(errors: pd.DataFrame, path: Path) -> None:
    """Draw each contender's ratios to the best: a dot for a table, a bar for all."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    ratios = errors.div(errors.min(axis=1), axis=0)
    means = np.exp(np.log(ratios).mean()).sort_values(ascending=False)
    figure, ax = plt.subplots(
        figsize=(8, 1.2 + 0.45 * len(means)), layout="constrained"
    )
    for height, (name, mean) in enumerate(means.items()):
        color = "black" if name.startswith("MMoE") else "0.55"
        heights = np.full(len(ratios), height)
        ax.plot(ratios[name], heights, "o", ms=4, alpha=0.5, color=color)
        ax.plot([mean, mean], [height - 0.35, height + 0.35], lw=3, color=color)
    ax.set_yticks(range(len(means)), means.index)
    ax.set(
        xscale="log",
        xlabel="error, as a ratio to that of the table's best contender",
        title=f"{len(errors)} tables; a bar is the geometric mean",
    )
    highest = ratios.to_numpy().max()
    ticks = [t for t in (1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 100) if t < 1.2 * highest]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())
    ax.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=120)


def report(
    results: pd.DataFrame,
    names: list[str] | None,
    picture: Path | None,
    timed: bool = True,
) -> None:
    """Print errors and summary of some contenders, or of all, and draw them."""
    results = by_table(results)
    errors = wide(results, "error")
    names = [name for name in errors if names is None or name in names]
    errors = errors[names]
    finished = errors.dropna()
    if finished.empty:
        print("No table has been finished by every contender.")
        return
    with pd.option_context("display.width", 250, "display.max_columns", None):
        print("\nError by table; 1 is knowing nothing")
        print(errors.to_string(float_format="{:.3f}".format, na_rep=""))
        print(f"\nThe {len(finished)} tables that all of these have finished")
        of_all = summary(results, names, timed)
        print(of_all.to_string(float_format="{:.3f}".format))
    others = errors.index.difference(finished.index, sort=False)
    if len(others):
        print(f"\nLeft out, since some have not finished them: {', '.join(others)}")
    if picture:
        draw(finished, picture)


def main() -> int:
    """Run what is missing, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--contenders", nargs="+", choices=list(CONTENDERS), metavar="NAME"
    )
    parser.add_argument("--tables", nargs="+", metavar="NAME")
    parser.add_argument("--max-rows", type=int, default=sys.maxsize)
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(N_FOLDS)))
    parser.add_argument("--seed", type=int, default=SEED_OF_THE_DEFAULTS)
    parser.add_argument("--n-jobs", type=int, default=1, help="threads of a contender")
    parser.add_argument("--output", type=Path, default=HERE / "results" / "tables.csv")
    parser.add_argument("--summary", action="store_true", help="run nothing")
    parser.add_argument(
        "--no-seconds",
        action="store_true",
        help="print no fit seconds: contenders were run on several machines",
    )
    parser.add_argument("--picture", type=Path, help="file to draw the ratios to")
    arguments = parser.parse_args()
    at_hand = list(tables_at_hand())
    n_failed = 0
    if not arguments.summary:
        names = arguments.contenders or available()
        missing = sorted(set(names) - set(available()))
        if missing:
            parser.error(f"the libraries of {missing} are not installed")
        absent = sorted(set(arguments.tables or []) - set(at_hand))
        if absent:
            parser.error(f"no tables {absent}; there are {at_hand}")
        n_failed = run(arguments, names, arguments.tables or at_hand)
    results = read_results(arguments.output)
    chosen = results["seed"] == arguments.seed
    if arguments.tables:
        chosen &= results["table"].isin(arguments.tables)
    report(
        results[chosen],
        arguments.contenders,
        arguments.picture,
        timed=not arguments.no_seconds,
    )
    return min(n_failed, 1)


if __name__ == "__main__":
    sys.exit(main())
