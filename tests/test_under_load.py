"""Many threads, many columns, many calls, many processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
)

N_THREADS = 16
ESTIMATORS = [MultiTaskMMoEClassifier, MultiTaskMMoERegressor, MultiTaskMMoEMixed]


@pytest.mark.slow
def test_sixteen_threads_predict_while_another_estimator_is_fitted(
    fitted_classifier, labels_data, tiny
):
    X, y = labels_data
    expected = np.hstack(fitted_classifier.predict_proba(X))
    fitting, outputs, errors = threading.Event(), [], []
    start = threading.Barrier(N_THREADS + 1)
    fitting.set()

    def predict():
        start.wait()
        try:
            while True:  # at least once, and as long as there are fits
                outputs.append(np.hstack(fitted_classifier.predict_proba(X)))
                if not fitting.is_set():
                    return
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=predict) for _ in range(N_THREADS)]
    for thread in threads:
        thread.start()
    start.wait()
    fits = [
        MultiTaskMMoEClassifier(**{**tiny, "max_iter": 4}).fit(X, y) for _ in range(2)
    ]
    fitting.clear()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(outputs) >= N_THREADS
    for output in outputs:
        np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(*[np.hstack(fit.predict_proba(X)) for fit in fits])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_hundred_thousand_columns(tiny, kind):
    rng = np.random.default_rng(0)
    n_columns = 100_000
    X = rng.normal(size=(40, n_columns)) * (rng.random((40, n_columns)) < 1e-3)
    y = np.column_stack([X.sum(axis=1), rng.normal(size=40)])
    X = sparse.csr_matrix(X) if kind == "sparse" else X
    model = MultiTaskMMoERegressor(**{**tiny, "max_iter": 1}).fit(X, y)
    predicted = model.predict(X)
    assert predicted.shape == (40, 2)
    assert np.isfinite(predicted).all()
    with pytest.raises(ValueError, match="100000"):
        model.predict(X[:, :-1])


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_one_row_and_none(cls, tiny, labels_data):
    X, y = labels_data
    model = cls(**tiny)
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X[:0], y[:0])
    model.fit(X, y)
    assert np.asarray(model.predict(X[:1])).shape == (1, 2)
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(X[:0])


@pytest.mark.slow
def test_a_fit_of_one_row(tiny):
    model = MultiTaskMMoERegressor(**tiny).fit([[1.0, 2.0]], [[3.0, -4.0]])
    np.testing.assert_allclose(model.predict([[1.0, 2.0]]), [[3.0, -4.0]])
    with pytest.warns(UserWarning, match="only one class"):
        labels = MultiTaskMMoEClassifier(**tiny).fit([[1.0, 2.0]], ["a"])
    assert labels.predict([[0.0, 0.0]]).tolist() == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_values_of_1e30(cls, tiny, labels_data):
    """They give finite numbers, or an error that says what to do."""
    X, y = labels_data
    model = cls(**tiny)
    large = X * 1e30
    try:
        predicted = model.fit(large, y).predict(large)
    except ValueError as error:
        assert "one scale" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(np.asarray(predicted, dtype=float)).all()
    model.fit(X, y)
    try:
        predicted = model.predict(large)
    except ValueError as error:
        assert "one scale" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(np.asarray(predicted, dtype=float)).all()


def run(code, path, *arguments):
    """Run a script in a new process; return what it printed, word by word."""
    path.write_text(code, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


PARTIAL_FITS = """
import os
from pathlib import Path
import numpy as np
from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks

def memory():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

X, y = make_related_tasks(
    n_samples=200, n_features=6, kind="classification", n_sines=0, random_state=0
)
model = MultiTaskMMoEClassifier(
    num_experts=2,
    expert_units=4,
    shared_units=(8,),
    tower_units=(4,),
    batch_size=32,
    random_state=0,
)
classes = [np.unique(y[:, k]) for k in range(2)]
for call in range(2000):
    rows = slice(call % 6 * 32, call % 6 * 32 + 32)
    model.partial_fit(X[rows], y[rows], classes)
    if call in (499, 1999):
        print(memory())
assert model.n_iter_ == 2000
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux")
def test_two_thousand_calls_of_partial_fit_in_flat_memory(tmp_path):
    """In a process of their own, whose memory no other test has changed."""
    before, after = map(int, run(PARTIAL_FITS, tmp_path / "calls.py"))
    assert after - before < 1500 * 2500  # bytes a call


WORKERS = """
import multiprocessing, sys
import numpy as np

def work(_):
    from sklearn_mmoe import MultiTaskMMoERegressor

    X = np.linspace(0, 1, 80).reshape(40, 2)
    model = MultiTaskMMoERegressor(num_experts=2, max_iter=2, random_state=0).fit(X, X)
    return model.predict(X)

if __name__ == "__main__":
    outputs = []
    for method in sys.argv[1:]:  # fork comes first, before TensorFlow has started
        with multiprocessing.get_context(method).Pool(2) as pool:
            outputs += pool.map(work, range(2), chunksize=1)
    outputs.append(work(0))
    assert all((output == outputs[0]).all() for output in outputs)
    print(len(outputs))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_fits_in_forked_and_spawned_workers(tmp_path):
    *_, n_outputs = run(WORKERS, tmp_path / "workers.py", "fork", "spawn")
    assert n_outputs == "5"
