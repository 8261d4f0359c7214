"""What the benchmark of many tables counts, keeps and compares."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.preprocessing import FunctionTransformer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def modules():
    """Import the benchmark's modules, whose folder is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        names = ("table_data", "table_contenders", "tables")
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def table(modules):
    """A regression and two classifications, some of whose labels are missing."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    y = pd.DataFrame(
        {
            "value": 3 * X["a"] + 100,
            "label": np.where(X["b"] > 0, "yes", "no"),
            "level": pd.cut(X["c"], [-9, -0.5, 0.5, 9], labels=["low", "mid", "up"]),
        }
    ).astype({"label": object, "level": object})
    y.loc[:5, "value"] = np.nan
    y.loc[3:9, "label"] = np.nan
    y.loc[0, :] = np.nan
    return modules["table_data"].make_table(X, y, ["label", "level"])


@pytest.fixture
def contenders(modules, monkeypatch, table):
    """Two contenders, and a table at hand, in the place of the real ones."""
    Sklearn = modules["table_contenders"].Sklearn
    same = FunctionTransformer()
    forest = {"n_estimators": 20, "random_state": 0}
    found = {
        "RandomForest": (
            lambda n_jobs: Sklearn(
                same, RandomForestRegressor(**forest), RandomForestClassifier(**forest)
            ),
            "sklearn",
        ),
        "nothing": (
            lambda n_jobs: Sklearn(
                same, DummyRegressor(), DummyClassifier(strategy="prior")
            ),
            "sklearn",
        ),
    }
    for name in ("tables", "table_contenders"):
        monkeypatch.setattr(modules[name], "CONTENDERS", found)
    monkeypatch.setattr(
        modules["tables"], "tables_at_hand", lambda: {"small": lambda seed: table}
    )
    return found


@pytest.fixture
def command(modules, contenders, monkeypatch, tmp_path, capsys):
    """Run the command with some flags; return what it printed."""

    def command(*flags: str) -> str:
        output = ["--output", str(tmp_path / "x.csv")]
        monkeypatch.setattr(sys, "argv", ["tables.py", *output, *flags])
        command.code = modules["tables"].main()
        return capsys.readouterr().out

    command.path = tmp_path / "x.csv"
    return command


def test_targets_are_encoded(table):
    assert table.kinds == {"value": None, "label": 2, "level": 3}
    assert len(table.X) == len(table.y) == 59  # the row without any target is gone
    assert table.y["label"].isna().sum() == 7
    assert set(table.y["level"]) == {0, 1, 2}


def test_knowing_nothing_has_error_one(modules, table, contenders):
    row = modules["tables"].run_fold(table, 0, 0, "nothing", 1)
    assert row["error"] == pytest.approx(1)
    assert row["auc"] == 0.5


def test_a_model_that_knows_has_less(modules, table, contenders):
    row = modules["tables"].run_fold(table, 0, 0, "RandomForest", 1)
    assert 0 < row["error"] < 0.7
    assert row["auc"] > 0.9


def test_a_probability_of_zero_costs_what_the_rows_can_tell(modules):
    train = np.repeat([0.0, 1.0], 50)
    sure = np.array([[1.0, 0.0]] * 4)
    scores = modules["tables"].task_scores(train, np.array([0.0, 0, 0, 1]), sure, 2)
    small = 0.005 / 1.005
    expected = -3 * np.log(1 - small) - np.log(small)
    assert scores["loss"] == pytest.approx(expected)
    assert scores["baseline"] == pytest.approx(4 * np.log(2))


def test_what_is_not_finite_is_an_error(modules):
    with pytest.raises(FloatingPointError, match="not finite"):
        modules["tables"].task_scores(
            np.arange(3.0), np.arange(2.0), np.array([1, np.nan]), None
        )


def test_a_class_that_training_rows_lack(modules, table, contenders):
    y = table.y.copy()
    y["label"] = 0.0
    contender = modules["table_contenders"].make_contender("RandomForest", 1)
    prediction = contender.fit(table.X, y, table.kinds).predict(table.X)[1]
    np.testing.assert_array_equal(prediction, np.tile([1.0, 0.0], (len(y), 1)))


def test_one_model_for_all_tasks_where_it_may(modules):
    Sklearn = modules["table_contenders"].Sklearn
    X = pd.DataFrame({"a": np.arange(40.0)})
    y = pd.DataFrame({"p": X["a"] % 2, "q": (X["a"] > 20).astype(float)})
    forest = RandomForestClassifier(n_estimators=5, random_state=0)
    contender = Sklearn(FunctionTransformer(), None, forest, ("classification",))
    contender.fit(X, y, {"p": 2, "q": 2})
    assert len(contender.models_) == 1
    p, q = contender.predict(X)
    assert p.shape == q.shape == (40, 2)
    assert (q[:, 1] > 0.5).tolist() == (X["a"] > 20).tolist()
    y.iloc[0, 0] = np.nan
    assert len(contender.fit(X, y, {"p": 2, "q": 2}).models_) == 2


def test_runs_are_not_repeated(command):
    assert command("--folds", "0", "1").count("error 0") == 2
    first = command.path.read_text()
    command("--folds", "0", "1")
    assert command.path.read_text() == first
    out = command()
    assert command.path.read_text().startswith(first)
    assert len(pd.read_csv(command.path)) == 10
    assert "The 1 tables that all of these have finished" in out
    assert out.index("RandomForest", out.index("finished")) < out.rindex("nothing")


def test_seeds_are_kept_apart(command):
    command()
    out = command("--seed", "1", "--folds", "0", "--contenders", "nothing")
    assert "No table has been finished" in out
    assert pd.read_csv(command.path)["seed"].tolist() == [0] * 10 + [1]


def test_error_pools_the_folds(command, modules):
    command()
    tables = modules["tables"]
    found = tables.by_table(tables.read_results(command.path))
    errors = found.set_index("contender")["error"]
    assert errors["nothing"] == pytest.approx(1)
    assert errors["RandomForest"] < 0.7


def test_summary_alone_and_of_some(command, tmp_path):
    command()
    before = command.path.read_text()
    flags = ("--summary", "--contenders", "nothing", "--picture")
    out = command(*flags, str(tmp_path / "x.png"))
    assert command.path.read_text() == before
    line = out.splitlines()[-1].split()
    # rank, ratio to itself, its error over one table, ratio, worst ratio, table, won
    assert line[:5] == ["nothing", "1.000", "1.000", "NaN", "1.000"]
    assert line[5:8] == ["1.000", "small", "1"]
    assert (tmp_path / "x.png").stat().st_size > 0


def test_the_first_is_compared_in_pairs(modules):
    errors = {"a": (0.2, 0.4), "b": (0.3, 0.5), "c": (0.8, 0.8)}
    results = pd.DataFrame(
        [
            {"table": table, "contender": contender, "error": error, "auc": 0.5}
            for table, both in errors.items()
            for contender, error in zip(("MMoE", "linear"), both, strict=True)
        ]
    ).assign(fit_seconds=1.0)
    found = modules["tables"].summary(results, ["MMoE", "linear"]).loc["linear"]
    logs = np.log([0.5, 0.6, 1.0])
    assert found["MMoE / it"] == pytest.approx(np.exp(logs.mean()))
    assert found["+-"] == pytest.approx(logs.std(ddof=1) / 3**0.5)


def test_seconds_are_printed_unless_they_are_of_several_machines(modules, capsys):
    results = pd.DataFrame(
        [
            {"table": "a", "seed": 1, "fold": fold, "contender": name, "error": 0.5}
            for name in ("MMoE", "RandomForest")
            for fold in range(5)
        ]
    ).assign(auc=0.5, fit_seconds=1.0)
    task = {"t": {"kind": "regression", "loss": 1.0, "baseline": 4.0}}
    results["tasks"] = json.dumps(task)
    for timed in (True, False):
        modules["tables"].report(results, None, None, timed)
        assert ("fit s / RandomForest" in capsys.readouterr().out) == timed


def test_a_failure_is_told_and_stops_nobody(command, contenders):
    def broken(n_jobs: int):
        raise RuntimeError("out of paper")

    contenders["nothing"] = (broken, "sklearn")
    out = command("--folds", "0")
    assert "small, fold 0, nothing: RuntimeError: out of paper" in out
    assert command.code == 1
    assert pd.read_csv(command.path)["contender"].tolist() == ["RandomForest"]


@pytest.mark.parametrize("flags", [("--tables", "x"), ("--contenders", "x")])
def test_unknown_names(command, flags):
    with pytest.raises(SystemExit):
        command(*flags)
