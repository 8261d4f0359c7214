"""Data and fitted estimators that many tests share; and what no test may leave."""

from __future__ import annotations

import http.server
import os
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor
from sklearn_mmoe.datasets import fetch_census_income, make_related_tasks

# Small and quick; every test of an estimator starts from it.
TINY = {
    "num_experts": 2,
    "expert_units": 4,
    "shared_units": (8,),
    "tower_units": (4,),
    "batch_size": 32,
    "max_iter": 2,
    "random_state": 0,
}


@pytest.hookimpl(tryfirst=True)  # before '-m' takes some of them
def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow_but_first") and any(
            item.callspec.indices.values()
        ):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def tiny():
    return dict(TINY)


@pytest.fixture(scope="session")
def labels_data():
    """Two binary tasks: arrays X and y."""
    return make_related_tasks(
        n_samples=200, n_features=6, kind="classification", n_sines=0, random_state=0
    )


@pytest.fixture(scope="session")
def values_data():
    """Two regression tasks: arrays X and y."""
    return make_related_tasks(n_samples=200, n_features=6, n_sines=0, random_state=0)


@pytest.fixture(scope="session")
def fitted_classifier(labels_data):
    return MultiTaskMMoEClassifier(**TINY).fit(*labels_data)


@pytest.fixture(scope="session")
def fitted_regressor(values_data):
    return MultiTaskMMoERegressor(**TINY).fit(*values_data)


@pytest.fixture(scope="session")
def census_folder():
    """Return the folder of the census data, or skip where there is none."""
    folder = os.environ.get("SKLEARN_MMOE_DATA")
    if not folder or not (Path(folder) / "census-income.test.gz").exists():
        pytest.skip("SKLEARN_MMOE_DATA names no folder with census-income.test.gz")
    return Path(folder)


@pytest.fixture(scope="session")
def mixed_data():
    """Return a mixed frame and two binary tasks: census rows, where there are any."""
    try:
        X, y = fetch_census_income("test", return_X_y=True, download_if_missing=False)
    except OSError:
        return make_related_tasks(
            n_samples=2000,
            n_features=20,
            n_categorical=10,
            n_sines=0,
            kind="classification",
            random_state=0,
        )
    return X[:2000], y[:2000]


def _global_state():
    import keras
    from keras.src.backend.common.global_state import get_global_attribute
    from tensorflow.python.framework import config

    numpy_state = np.random.get_state()  # noqa: NPY002
    return {
        "numpy": (numpy_state[1].tobytes(), *numpy_state[2:]),
        "python": random.getstate(),
        "keras dtype": keras.config.dtype_policy().name,
        "keras floatx": keras.config.floatx(),
        "keras seed": get_global_attribute("global_seed_generator"),
        "determinism": config.is_op_determinism_enabled(),
    }


@pytest.fixture
def global_state_stays():
    """Fail a test that changes a global random state, a policy or determinism."""
    before = _global_state()
    yield
    after = _global_state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed


class FileServer:
    """A local HTTP server whose files can be had well or badly.

    ``/good/NAME`` is the file, ``/corrupt/NAME`` something else, ``/truncated/NAME``
    its first half under its whole length, and ``/absent/NAME`` is not found. The first
    download of ``/pausing/NAME`` waits halfway until `go_on` is set.
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.halfway, self.go_on = threading.Event(), threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                kind, name = self.path.removeprefix("/").split("/", 1)
                if kind == "absent" or name not in outer.files:
                    self.send_error(404)
                    return
                content = b"x" * 100 if kind == "corrupt" else outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2
                self.wfile.write(content[:half])
                if kind == "pausing" and outer.requests.count(self.path) == 1:
                    outer.halfway.set()
                    outer.go_on.wait(timeout=5)
                if kind != "truncated":
                    self.wfile.write(content[half:])

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # Closing waits for the next poll: half a second a test, if it is left at that.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def address(self, kind: str, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{kind}/{name}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def file_server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def unshrunken(monkeypatch):
    """Fits of ensembles leave their members as they were trained."""
    from sklearn_mmoe._training import engine

    monkeypatch.setattr(
        engine, "shrink_weights", lambda network, weights, *shrinkage: weights
    )
