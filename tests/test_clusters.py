"""Searches on a cluster of dask.distributed: real processes, on this machine."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks
from sklearn_mmoe.metrics import multi_task_scorer
from sklearn_mmoe.preprocessing import make_tabular_preprocessor

FREE_FITS = 2
N_FITS = 6


class Claims:
    """Numbered claims in a folder, which processes make one after another."""

    def __init__(self, folder):
        self.folder = folder
        self.go_on = folder / "go-on"

    def make(self):
        for number in range(1000):
            with contextlib.suppress(FileExistsError):
                (self.folder / str(number)).touch(exist_ok=False)
                return number
        raise AssertionError("no number is free")

    def made(self):
        return len([path for path in self.folder.iterdir() if path.name.isdigit()])


class WaitInFit(FunctionTransformer):
    """Let the first fits through, and hold the others until they may go on."""

    def __init__(self, folder=None):
        super().__init__()
        self.folder = folder

    def fit(self, X, y=None):
        if self.folder is not None:
            claims = Claims(self.folder)
            held = claims.make() >= FREE_FITS
            while held and not claims.go_on.exists():
                time.sleep(0.02)
        return super().fit(X, y)


@pytest.fixture
def client():
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env={
                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])
            },
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def search_and_data(tiny):
    X, y = make_related_tasks(
        n_samples=600,
        n_features=6,
        n_categorical=2,
        kind="classification",
        random_state=0,
    )
    search = GridSearchCV(
        make_pipeline(
            WaitInFit(), make_tabular_preprocessor(), MultiTaskMMoEClassifier(**tiny)
        ),
        {"multitaskmmoeclassifier__learning_rate": [1e-3, 3e-3, 1e-2]},
        scoring=multi_task_scorer("roc_auc"),
        refit=False,
        cv=list(KFold(2).split(X)),
    )
    return search, X, y


def search_on_cluster(search, X, y):
    # Each worker gets all of it. What joblib scatters by itself, the row numbers of the
    # folds for one, lies on one worker, and a search cannot go on without it.
    rows = itertools.chain.from_iterable(search.cv)
    with joblib.parallel_config("dask", scatter=[X, y, *rows]):
        search.fit(X, y)
    return scores(search)


def scores(search):
    """Take all of cv_results_ but what was measured in seconds."""
    return {
        name: np.asarray(values).tolist()
        for name, values in search.cv_results_.items()
        if "time" not in name
    }


def at_work(client):
    """Return how many fits each worker has before it."""
    return {
        worker: sum("fit_and_score" in str(key) for key in keys)
        for worker, keys in client.processing().items()
    }


def kill_in_mid_search(client, claims):
    """Kill a worker that is fitting, once others of the fits are done."""
    pids = client.run(os.getpid)
    end = time.monotonic() + 300
    while claims.made() < FREE_FITS + 2 or sum(at_work(client).values()) > N_FITS - 2:
        assert time.monotonic() < end, "two fits are not done, or two not begun"
        time.sleep(0.02)
    # Until what is done has been fetched: of a result that is lost on its way Dask says
    # that its future was cancelled.
    time.sleep(2)
    worker = next(worker for worker, fits in at_work(client).items() if fits)
    os.kill(pids[worker], signal.SIGKILL)
    return pids[worker]


def search_and_keep(search, X, y, results):
    results.append(search_on_cluster(search, X, y))


@pytest.mark.slow
def test_a_search_on_a_cluster(client, search_and_data, monkeypatch, tmp_path):
    search, X, y = search_and_data
    in_this_process = scores(search.fit(X, y))
    times_sent = []
    get_state = pd.DataFrame.__getstate__

    def counting(frame):
        if frame.shape == X.shape:
            times_sent.append(frame)
        return get_state(frame)

    monkeypatch.setattr(pd.DataFrame, "__getstate__", counting)
    on_cluster = search_on_cluster(search, X, y)
    assert len(times_sent) == 1
    assert on_cluster["params"] == in_this_process["params"]
    for name in ("mean_test_task_0", "mean_test_task_1", "mean_test_mean"):
        # The workers compute with other numbers of threads.
        np.testing.assert_allclose(on_cluster[name], in_this_process[name], atol=1e-3)

    search.estimator.set_params(waitinfit__folder=tmp_path)
    results = []
    searching = threading.Thread(target=search_and_keep, args=(search, X, y, results))
    searching.start()
    claims = Claims(tmp_path)
    killed = kill_in_mid_search(client, claims)
    claims.go_on.touch()
    searching.join(timeout=400)
    assert not searching.is_alive()
    assert killed not in client.run(os.getpid).values()
    assert results == [on_cluster]
