"""Whether to share: the report's figures against fits by hand, and what it says."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mmoe import MultiTaskMMoEMixed, MultiTaskMMoERegressor
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.inspection import SharingReportDisplay, gate_weights
from sklearn_mmoe.model_selection import sharing_report
from sklearn_mmoe.model_selection._sharing_findings import findings
from sklearn_mmoe.model_selection._sharing_fits import SharingFit, _without

FOLDS = KFold(2)


@pytest.fixture(scope="module")
def data():
    X, y = make_related_tasks(n_samples=200, n_features=6, n_sines=0, random_state=0)
    return X, pd.DataFrame(y, columns=["hours", "wage"])


@pytest.fixture(scope="module")
def model(tiny):
    return MultiTaskMMoERegressor(**{**tiny, "num_experts": 3})


@pytest.fixture(scope="module")
def report(model, data, capsys_of_module):
    return sharing_report(
        make_pipeline(StandardScaler(), model), *data,
        cv=FOLDS, sharing=["single", "mmoe"], n_seeds=1, verbose=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def capsys_of_module():
    """Keep what is printed, once for all tests."""
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        yield printed


def by_hand(model, data, **parameters):
    """Fit on the same folds; return the scores (n_folds, n_tasks)."""
    X, y = data
    scores, cosines = [], []
    for train, test in FOLDS.split(X):
        seed = int(np.random.RandomState(0).randint(2**31 - 1, size=1)[0])
        fitted = make_pipeline(StandardScaler(), clone(model))
        fitted[-1].set_params(**parameters, random_state=seed)
        fitted.fit(X[train], y.iloc[train])
        predicted = fitted.predict(X[test])
        scores.append([r2_score(y.iloc[test][c], predicted[c]) for c in y])
        if y.shape[1] == 2 and parameters["sharing"] == "mmoe":
            g = gate_weights(fitted, X[test])
            norms = np.linalg.norm(g, axis=2)
            cosines.append(((g[:, 0] * g[:, 1]).sum(1) / norms.prod(1)).mean())
    return np.array(scores), np.mean(cosines) if cosines else None


@pytest.mark.slow
def test_scores_and_gains(report, model, data):
    single, _ = by_hand(model, data, sharing="single", match_parameters="mmoe")
    mmoe, cosine = by_hand(model, data, sharing="mmoe")
    for name, scores in (("single", single), ("mmoe", mmoe)):
        found = report.scores.query("sharing == @name")
        found = found.pivot_table(index="fold", columns="task", values="score")
        np.testing.assert_allclose(found[["hours", "wage"]], scores, rtol=1e-5)
        table = report.by_task.loc[name]
        np.testing.assert_allclose(table["mean"], scores.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(table["std"], scores.std(axis=0, ddof=1), rtol=1e-4)
    difference = (mmoe - single).mean(axis=1)
    half = stats.t.ppf(0.975, 1) * difference.std(ddof=1) * np.sqrt(1 / 2 + 1)
    overall = report.overall.loc["mmoe"]
    assert overall["gain"] == pytest.approx(difference.mean(), rel=1e-4)
    assert overall["high"] - overall["gain"] == pytest.approx(half, rel=1e-3)
    sizes = report.overall["n_parameters"]
    assert sizes["single"] == pytest.approx(sizes["mmoe"], rel=0.02)
    assert report.gate_similarity.loc["hours", "wage"] == pytest.approx(cosine)
    np.testing.assert_allclose(np.diag(report.gate_similarity), 1, rtol=1e-5)


@pytest.mark.slow
def test_who_helps_whom(report, model, data):
    X, y = data
    beside, _ = by_hand(model, data, sharing="mmoe")
    alone, _ = by_hand(model, (X, y[["wage"]]), sharing="mmoe")
    assert report.help.index.to_list() == [("hours", "wage"), ("wage", "hours")]
    gain = (beside[:, 1] - alone[:, 0]).mean()
    assert report.help.loc[("hours", "wage"), "gain"] == pytest.approx(gain, rel=1e-3)


@pytest.mark.slow
def test_progress_and_text(report, capsys_of_module):
    assert "8 of 8 fits" in capsys_of_module.getvalue()
    assert "sharing='mmoe'" in report.recommendation


def test_what_is_printed_is_short():
    """A line for each task, of the best way of sharing; then where the rest is."""
    folds = [(np.arange(80), np.arange(20))] * 5
    names, ways = ["a", "b", "c"], ["single", "shared_bottom", "mmoe"]
    report = findings(fits_of([0.01, -0.04, 0.05]), names, ways, "mmoe", folds)
    recommendation, _, title, head, *lines, _, rest = str(report).splitlines()
    assert recommendation == report.recommendation
    assert "'mmoe'" in title
    assert head.split() == ["task", "single", "mmoe", "gain", "low", "high", "verdict"]
    verdicts = ["gains", "loses", "gains"]
    for name, line, verdict in zip(names, lines, verdicts, strict=True):
        of_task = report.by_task.loc[("mmoe", name)]
        single = report.by_task.loc[("single", name), "mean"]
        figures = [single, *of_task[["mean", "gain", "low", "high"]]]
        assert line.split() == [name, *(f"{v:.4f}" for v in figures), verdict]
    for field in dataclasses.fields(report):
        assert field.name == "recommendation" or f".{field.name}" in rest
    assert repr(report) == str(report)
    assert len(report.by_task) == 9


def test_what_is_printed_of_undefined_scores():
    folds = [(np.arange(80), np.arange(20))] * 5
    ways = ["single", "shared_bottom", "mmoe"]
    report = findings(fits_of([np.nan] * 3), ["a", "b", "c"], ways, "mmoe", folds)
    assert "undefined" in str(report)
    assert len(str(report).splitlines()) == 9


@pytest.mark.slow
def test_display(report):
    display = SharingReportDisplay.from_report(report)
    titles = [ax.get_title().split("\n")[0] for ax in display.axes_]
    assert titles == [
        "gain from sharing (95 % interval)", "gates alike (cosine)", "who helps whom"
    ]  # fmt: skip
    assert "sharing='mmoe'" in display.figure_.get_suptitle().replace("\n", " ")
    labels = [t.get_text() for t in display.ax_.get_yticklabels()]
    assert labels == ["hours", "wage", "mean over tasks"]
    with pytest.raises(ValueError, match="needs 3 axes; the 'ax' parameter has 1"):
        display.plot(ax=display.ax_)


def fits_of(effects, noise=0.001):
    """Make up the fits of three tasks that gain so much from sharing."""
    rng, folds = np.random.default_rng(0), 5
    base = rng.normal(0.8, 0.02, size=(folds, len(effects)))
    return [
        SharingFit(
            way, "mmoe", None, fold, 0,
            list(base[fold] + gain * np.array(effects) + rng.normal(0, noise, 3)),
            100, None,
        )
        for fold in range(folds)
        for way, gain in (("single", 0), ("shared_bottom", 0.5), ("mmoe", 1))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("effects", "said"),
    [
        ([0.05, 0.04, 0.03], r"Share, by sharing='mmoe'.*\(\+0\.0\d+, [^)]*\)\.$"),
        ([0.05, 0.04, -0.03], "Share, by.*separately what loses by it: 'c'"),
        ([-0.05, -0.04, -0.03], "Do not share: .*sharing='shared_bottom', loses"),
        ([0.0, 0.0, 0.0], "makes no difference.*choose by cost"),
        (
            [0.05, -0.025, -0.025],
            "no difference.*'a' gains and 'b' and 'c' lose: train",
        ),
        ([0.0, -0.01, 0.01], "no difference.*'c' gains and 'b' loses: train"),
        ([0.004, -0.001, -0.001], "no difference.*but 'a' gains and no task clearly"),
        ([np.nan] * 3, "undefined"),
    ],
)
def test_recommendations(effects, said):
    folds = [(np.arange(80), np.arange(20))] * 5
    ways = ["single", "shared_bottom", "mmoe"]
    report = findings(fits_of(effects), ["a", "b", "c"], ways, "mmoe", folds)
    assert re.search(said, report.recommendation)
    assert report.help.empty
    assert len(SharingReportDisplay.from_report(report).axes_) == 1


def test_what_is_refused(model, data):
    X, y = data
    with pytest.raises(TypeError, match="Pipeline that ends in one; got Ridge"):
        sharing_report(make_pipeline(Ridge()), X, y)
    with pytest.raises(ValueError, match="two tasks or more; y has one"):
        sharing_report(model, X, y[["wage"]])
    for sharing in (["mmoe"], ["single"], ["single", "some"]):
        with pytest.raises(ValueError, match="'sharing' parameter must list 'single'"):
            sharing_report(model, X, y, sharing=sharing)
    with pytest.raises(ValueError, match="set network=None"):
        sharing_report(clone(model).set_params(network=len), X, y)


def test_one_network_each_where_ensembles_would_take_long(data, monkeypatch):
    """All folds do the same, also if some have a row more than others."""
    place, fits = "sklearn_mmoe.model_selection._sharing_report", []

    def record(estimator, *_):
        fits.append(estimator.cv)
        return [0.0, 0.0], 1, None

    monkeypatch.setattr(f"{place}.fit_and_score", record)
    monkeypatch.setattr(f"{place}.findings", lambda *_: None)
    monkeypatch.setattr(f"{place}._MOST_ROWS_OF_ENSEMBLES", 133)
    X, y = data
    for n_rows, expected in ((200, None), (199, "auto")):
        fits.clear()
        sharing_report(MultiTaskMMoERegressor(), X[:n_rows], y[:n_rows], cv=KFold(3))
        assert set(fits) == {expected}


@pytest.mark.slow
def test_tasks_of_both_kinds_and_missing_targets(data, tiny):
    """Parameters with an entry for each task lose that of the task left out."""
    X, y = data
    y = y.assign(
        hours=y["hours"].where(np.arange(200) % 5 > 0),
        rich=np.where(y["wage"] > y["wage"].median(), "yes", "no"),
    )
    types = ["regression", "regression", "classification"]
    report = sharing_report(
        MultiTaskMMoEMixed(**tiny, task_types=types),
        X,
        y,
        cv=FOLDS,
        sharing=("single", "cgc"),
        scoring={"hours": "r2", "wage": "r2", "rich": "neg_log_loss"},
        n_seeds=2,
    )
    assert len(report.help) == 6
    assert report.scores.groupby("task").size().to_dict() == dict.fromkeys(y, 8)
    assert np.isfinite(report.by_task["gain"]).all()
    assert report.scores.query("task == 'rich'")["score"].max() < 0
    assert report.gate_similarity.shape == (
        3,
        3,
    )  # of the MMoE that tasks are left out of


@pytest.mark.slow
def test_types_of_tasks_are_those_of_a_fit_on_all_rows(data, tiny):
    """Of categories of numbers, and of counts that one fold has few of."""
    X, y = data
    counts = np.arange(200) % 19
    counts[:2] = 19, 20
    codes = pd.Categorical(np.arange(200) % 25)
    y = pd.DataFrame({"visits": counts, "code": codes, "hours": y["hours"]})
    model = MultiTaskMMoEMixed(**{**tiny, "max_iter": 1})
    types = ["regression", "classification", "regression"]
    assert model.fit(X, y).task_types_ == types
    ways = {"sharing": ["single", "mmoe"], "leave_one_out": False, "cv": FOLDS}
    reports = [
        sharing_report(one, X, y, **ways).scores
        for one in (model, clone(model).set_params(task_types=types))
    ]
    pd.testing.assert_frame_equal(*reports)
    assert reports[0].query("task == 'code'")["score"].between(0, 1).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameter",
    [
        {"task_weight": {2020: 2.0, "2022": 3.0}},
        {"task_weight": pd.Series([2.0, 1.0, 3.0], index=[2020, 2021, 2022])},
        {"task_weight": pd.Series([2.0, 1.0, 3.0])},
        {"task_weight": (2.0, 1.0, 3.0)},
        {"loss": {2020: "huber"}},
    ],
)
def test_what_is_said_by_task_leaves_one_out(data, tiny, parameter):
    X, y = data
    y = y.set_axis([2020, 2021], axis=1).assign(**{"2022": y["hours"] * 2})
    y.columns = [2020, 2021, 2022]
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}, **parameter)
    whole = clone(model).fit(X, y)
    for left_out, name in enumerate(["2020", "2021", "2022"]):
        settings = _without(model, left_out, ["2020", "2021", "2022"])
        fitted = clone(model).set_params(**settings).fit(X, y.drop(columns=int(name)))
        others = [task for task in whole._tasks if task.name != name]
        assert [t.loss for t in fitted._tasks] == [t.loss for t in others]
        if "task_weight" in parameter:
            kept = np.delete([2.0, 1.0, 3.0], left_out)
            found = [fitted.task_weights_[task.name][0] for task in others]
            assert found == pytest.approx(kept / kept.mean())


@pytest.mark.slow
def test_sizes_are_those_of_one_member(data, tiny):
    """Of how many members an ensemble is, the rows decide."""
    report = sharing_report(
        MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}, cv=2), *data,
        cv=2, sharing=["single", "mmoe"], leave_one_out=False,
    )  # fmt: skip
    single, mmoe = report.overall["n_parameters"]
    assert abs(single / mmoe - 1) < 0.05
    alone = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}, cv=None).fit(*data)
    assert mmoe == alone.n_parameters_


@pytest.mark.slow
def test_gates_of_its_fits_are_not_warned_of(data, tiny):
    """Warnings are errors in tests: by itself such a fit warns of its gates."""
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 32}, gate_temperature=1e4)
    with pytest.warns(ConvergenceWarning, match="are all alike"):
        model.fit(*data)
    ways = {"sharing": ["single", "mmoe"], "leave_one_out": False}
    sharing_report(model.set_params(cv=None), *data, cv=FOLDS, **ways)
