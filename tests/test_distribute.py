"""One model on several devices: what one device trains, and what happens to workers."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone

from sklearn_mmoe import MultiTaskMMoEClassifier, MultiTaskMMoERegressor, load
from sklearn_mmoe._training.checkpoint import Checkpoints

# isort: split
import keras

# Curves are equal without dropout, which draws something else on each device.
SAME = {"dropout": 0.0, "max_iter": 4}

# Runs in a process of its own: devices are set up before TensorFlow starts.
DATA = """
import json, sys
import numpy as np
import tensorflow as tf
from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(n_samples=200, n_features=6, n_sines=0, random_state=0)
y[::7, 1] = np.nan
"""

TWO_DEVICES = (
    """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(cpu, [one, one])
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""
    + DATA
    + """
import pathlib, tempfile
import keras
from sklearn.base import clone
from sklearn_mmoe import MultiTaskMMoERegressor

def own_network(meta, seed):
    draw = keras.initializers.GlorotUniform(seed)
    x = keras.Input((meta["n_features_in_"],))
    hidden = keras.layers.Dense(8, "relu", kernel_initializer=draw)(x)
    hidden = keras.layers.Dropout(0.0, seed=seed)(hidden)
    return keras.Model(
        x, [keras.layers.Dense(1, kernel_initializer=draw)(hidden) for _ in range(2)]
    )

def fitted(case, model):
    # A device draws for its only row what one device draws for one row alone.
    if case == "draws":
        n_rows = 1 if model.distribute is None else 2
        model.fit(np.repeat(X[:1], n_rows, axis=0), np.repeat(y[1:2], n_rows, axis=0))
        return model.loss_
    if case == "partial_fit":
        for rows in (slice(100), slice(100, 200), slice(100)):
            model.partial_fit(X[rows], y[rows])
    elif case == "an ensemble goes on":
        model.set_params(cv=2, distribute=None, max_iter=2).fit(X, y)
        model.set_params(cv=None, distribute=strategies[model], warm_start=True)
        model.set_params(max_iter=3).fit(X, y)
    elif case == "resume":
        # One device stops after an epoch, two go on.
        folder = tempfile.TemporaryDirectory()
        class Stop(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    raise KeyboardInterrupt
        model.set_params(checkpoint_dir=folder.name)
        try:
            clone(model).set_params(distribute=None, callbacks=Stop()).fit(X, y)
        except KeyboardInterrupt:
            model.fit(X, y)
    else:
        model.fit(X, y)
    return [
        [model.loss_curve_, list(model.task_loss_curves_.values())],
        list(model.task_weights_.values()),
        model.predict(X).tolist(),
        model.n_iter_,
    ]

parameters, cases = json.loads(sys.argv[1])
strategies = {}
for case, more in cases.items():
    if case == "clipped":
        more = {"optimizer": keras.optimizers.Adam(0.01, clipnorm=0.01)}
    if case == "own network":
        more = {"network": own_network}
    results = []
    for distribute in (None, strategy):
        model = MultiTaskMMoERegressor(**parameters).set_params(**more)
        model.set_params(distribute=distribute)
        strategies[model] = distribute
        results.append(fitted(case, model))
    print("RESULT", json.dumps([case, *results]), flush=True)
"""
)


def on_two_devices(parameters, cases):
    """Fit on one and on two devices; by case what both have ended with."""
    result = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, json.dumps([parameters, cases])],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("RESULT")]
    found = [json.loads(line.removeprefix("RESULT")) for line in lines]
    assert [case for case, *_ in found] == list(cases)
    return found


def assert_same(one, two, case):
    assert one[-1] == two[-1]
    for expected, actual in zip(one[:-1], two[:-1], strict=True):
        expected, actual = _flat(expected), _flat(actual)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4, err_msg=case)


def _flat(values):
    if isinstance(values, list):
        return np.concatenate([_flat(value) for value in values])
    return np.array([values])


@pytest.mark.slow
def test_two_devices_train_as_one(tiny):
    """Also where a batch has an odd number of rows, and the last one lacks some."""
    parameters = {**tiny, **SAME, "batch_size": 33}
    ((case, one, two),) = on_two_devices(parameters, {"plain": {}})
    assert_same(one, two, case)
    assert one[0][0][-1] < 0.7 * one[0][0][0]  # something was learned


@pytest.mark.slow
def test_two_devices_train_as_one_in_every_way(tiny):
    cases = {
        "one row": {"batch_size": 1, "max_iter": 1},
        "sgd": {"optimizer": "sgd", "learning_rate": 0.05},
        "float64": {"dtype": "float64"},
        "tobit": {"loss": "tobit"},
        "early stopping": {"early_stopping": True},
        "uncertainty": {"task_weighting": "uncertainty"},
        "dwa": {"task_weighting": "dwa"},
        "lbtw": {"task_weighting": "lbtw"},
        "gradnorm": {"task_weighting": "gradnorm"},
        "pcgrad": {"task_weighting": "pcgrad"},
        "clipped": {},
        "own network": {},
        "partial_fit": {},
        "an ensemble goes on": {},
        "resume": {},
    }
    for case, one, two in on_two_devices({**tiny, **SAME}, cases):
        assert_same(one, two, case)


@pytest.mark.slow
def test_dropout_draws_something_else_on_each_device(tiny):
    """Both learn, and neither as the other."""
    parameters = {**tiny, **SAME, "dropout": 0.3, "gate_dropout": 0.3, "max_iter": 8}
    draws = {"max_iter": 1, "feature_penalty": 0.0, "gate_dropout": 0.0}
    cases = {"dropout": {}, "draws": draws}
    (_, one, two), (_, of_first, of_both) = on_two_devices(parameters, cases)
    assert of_both != pytest.approx(of_first, rel=1e-3)
    curves = np.array([one[0][0], two[0][0]])
    assert np.abs(curves[0] - curves[1]).max() > 1e-3
    assert (curves[:, -1] < 0.7 * curves[:, 0]).all()


WORKER = (
    """
import os
import tensorflow as tf
if sys.argv[2] == "object":
    distribute = tf.distribute.MultiWorkerMirroredStrategy()
else:
    distribute = "multi_worker_mirrored"
""".replace("\nimport os", "\nimport os, sys")
    + DATA
    + """
import keras
from sklearn_mmoe import MultiTaskMMoERegressor

chief = json.loads(os.environ["TF_CONFIG"])["task"]["index"] == 0

class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1

for parameters, of_others, stops in json.loads(sys.argv[1]):
    parameters = parameters if chief else {**parameters, **of_others}
    callbacks = Stop() if stops and chief else None
    model = MultiTaskMMoERegressor(
        **parameters, distribute=distribute, callbacks=callbacks
    )
    try:
        found = model.fit(X, y).loss_curve_, model.predict(X).tolist()
    except Exception as error:
        found = type(error).__name__, str(error)
    print("RESULT", json.dumps(found), flush=True)
"""
)


class Workers:
    """Two processes on this machine that fit the same models, one after the other.

    `fits` has for each fit the parameters, those that differ in the second process, and
    whether the first one asks for a stop.
    """

    def __init__(self, folder, fits, distribute="name"):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
            for listener in sockets:
                listener.bind(("127.0.0.1", 0))
            ports = [listener.getsockname()[1] for listener in sockets]
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        self.outputs = [folder / f"worker_{index}.txt" for index in range(2)]
        self.processes = []
        for index, path in enumerate(self.outputs):
            config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            with path.open("w") as output:
                process = subprocess.Popen(
                    [sys.executable, "-c", WORKER, json.dumps(fits), distribute],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                )
            self.processes.append(process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def results(self, index, timeout=900):
        """Wait for the end of a process; return its results and all that it wrote."""
        assert self.processes[index].wait(timeout) == 0, self.outputs[index].read_text()
        text = self.outputs[index].read_text()
        return [
            json.loads(line) for line in re.findall("^RESULT (.*)$", text, re.M)
        ], text


def missing_some(y):
    y = y.copy()
    y[::7, 1] = np.nan
    return y


@pytest.mark.slow
def test_two_workers_train_as_one(tiny, values_data, tmp_path):
    X, y = values_data[0], missing_some(values_data[1])
    same = {**tiny, **SAME, "cv": None, "batch_size": 33}
    fits = [
        ({**same, "verbose": 1}, {}, False),
        (same, {"learning_rate": 0.5}, False),
        ({**same, "random_state": None}, {}, False),
        (same, {}, True),
        ({**same, "task_weighting": "gradnorm"}, {}, False),
    ]
    with Workers(tmp_path, fits) as workers:
        results, texts = zip(*(workers.results(k) for k in range(2)), strict=True)
    for first, second in zip(*results, strict=True):
        assert first == second  # to the bit
    plain, differ, no_seed, stopped, gradnorm = results[0]
    model = MultiTaskMMoERegressor(**same).fit(X, y)
    np.testing.assert_allclose(plain[0], model.loss_curve_, rtol=0, atol=1e-4)
    np.testing.assert_allclose(plain[1], model.predict(X), rtol=0, atol=1e-4)
    # The first process alone shows progress.
    assert ["Epoch 4/4" in text for text in texts] == [True, False]
    assert differ[0] == "ValueError"
    assert differ[1].endswith("they differ in: the parameter 'learning_rate'.")
    assert no_seed[0] == "ValueError"
    assert "'random_state'" in no_seed[1]
    assert "'distribute'" in no_seed[1]
    # A stop that one asks for is one of all.
    np.testing.assert_allclose(stopped[0], model.loss_curve_[:2], rtol=0, atol=1e-4)
    model.set_params(task_weighting="gradnorm").fit(X, y)
    np.testing.assert_allclose(gradnorm[0], model.loss_curve_, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_is_killed(tiny, values_data, tmp_path, victim):
    """The other says so and what to do; that ends where no one was killed."""
    X, y = values_data[0], missing_some(values_data[1])
    folder = tmp_path / "checkpoints"
    parameters = {**tiny, **SAME, "cv": None, "max_iter": 300}
    parameters = json.loads(json.dumps(parameters))  # with lists, as the workers have
    given = {**parameters, "checkpoint_dir": str(folder)}
    with Workers(tmp_path, [(given, {}, False)], "object") as workers:
        given_up = time.monotonic() + 600
        while not list(folder.glob("epoch-00000[3-9].checkpoint")):
            assert time.monotonic() < given_up, workers.outputs[0].read_text()
            time.sleep(0.01)
        workers.processes[victim].kill()
        ((kind, message),), _ = workers.results(1 - victim, timeout=600)
    assert kind == "RuntimeError"
    assert "one of them has stopped, or does not answer" in message
    assert "call the same fit in new processes; it goes on after" in message
    assert list(folder.iterdir())
    whole = MultiTaskMMoERegressor(**parameters).fit(X, y)
    if victim == 0:
        with Workers(tmp_path, [(given, {}, False)]) as workers:
            (((curve, predictions),), _), _ = (workers.results(k) for k in range(2))
    else:
        model = MultiTaskMMoERegressor(**given).fit(X, y)
        curve, predictions = model.loss_curve_, model.predict(X)
    np.testing.assert_allclose(curve, whole.loss_curve_, rtol=0, atol=1e-4)
    np.testing.assert_allclose(predictions, whole.predict(X), rtol=0, atol=1e-4)
    assert not list(folder.iterdir())


@pytest.mark.slow
def test_the_example_of_several_machines(tmp_path):
    path = Path(__file__).parent.parent / "examples" / "several_machines.py"
    result = subprocess.run(
        [sys.executable, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, "CHECKPOINTS": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    losses = re.findall(r"^process [01]: loss (.*)$", result.stdout, re.MULTILINE)
    assert len(losses) == 2
    assert losses[0] == losses[1]
    assert result.stdout.count("Epoch 5/5") == 1
    assert not list(tmp_path.iterdir())


def test_a_reader_of_checkpoints_leaves_them(tiny, values_data, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    given = {**tiny, "max_iter": 3, "cv": None, "checkpoint_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        MultiTaskMMoERegressor(**given, callbacks=Stop()).fit(*values_data)
    files = sorted(tmp_path.iterdir())
    reader = Checkpoints(tmp_path, reads_only=True)
    assert reader.n_epochs == len(files) == 2
    reader.write(None, [], None)
    reader.clear()
    assert sorted(tmp_path.iterdir()) == files


@pytest.fixture(scope="module")
def one_device():
    import tensorflow as tf

    return tf.distribute.OneDeviceStrategy("CPU:0")


@pytest.mark.slow
def test_a_strategy_of_one_device(tiny, labels_data, one_device):
    plain = MultiTaskMMoEClassifier(**tiny, dropout=0.0).fit(*labels_data)
    model = clone(plain).set_params(distribute=one_device).fit(*labels_data)
    np.testing.assert_allclose(model.loss_curve_, plain.loss_curve_, atol=1e-5)
    again = clone(plain).fit(*labels_data)  # not with what was made for the strategy
    assert again.loss_curve_ == plain.loss_curve_


@pytest.mark.slow
def test_an_ensemble_goes_on_under_a_strategy(tiny, values_data, one_device):
    first = MultiTaskMMoERegressor(**tiny, dropout=0.0, cv=2).fit(*values_data)
    curves = []
    for strategy in (None, one_device):
        model = copy.deepcopy(first)
        model.set_params(cv=None, warm_start=True, distribute=strategy)
        curves.append(model.fit(*values_data).loss_curve_)
    np.testing.assert_allclose(*curves, rtol=1e-4)


@pytest.mark.slow
def test_clones_share_a_strategy_and_files_have_none(
    tiny, values_data, one_device, tmp_path
):
    model = MultiTaskMMoERegressor(**tiny, distribute=one_device)
    with config_context(enable_metadata_routing=True):
        twin = clone(model.set_fit_request(sample_weight=True))
    assert twin.distribute is model.distribute is one_device
    assert twin.get_params() == model.get_params()
    assert twin.get_metadata_routing().fit.requests["sample_weight"] is True
    model.fit(*values_data)
    model.save(tmp_path / "model.mmoe")
    again = load(tmp_path / "model.mmoe"), pickle.loads(pickle.dumps(model))
    for other in (*again, copy.deepcopy(model)):
        assert other.distribute is None
        np.testing.assert_array_equal(
            other.predict(values_data[0]), model.predict(values_data[0])
        )
    assert model.distribute is one_device
    named = clone(model).set_params(distribute="mirrored")
    assert pickle.loads(pickle.dumps(named)).distribute == "mirrored"


def test_what_cannot_be_distributed(tiny, values_data, one_device, monkeypatch):
    class Other:
        def run(self): ...
        def scope(self): ...

    monkeypatch.delenv("TF_CONFIG", raising=False)
    model = MultiTaskMMoERegressor(**tiny)
    adam = keras.optimizers.Adam(gradient_accumulation_steps=2)
    for parameters, kind, words in [
        ({"distribute": "everywhere"}, ValueError, "'distribute' parameter"),
        ({"distribute": Other()}, TypeError, "'distribute'.*MultiWorkerMirrored"),
        ({"distribute": "multi_worker_mirrored"}, ValueError, "TF_CONFIG"),
        ({"cv": 3}, ValueError, "'cv'.*'distribute'"),
        ({"optimizer": adam}, ValueError, "'optimizer'.*steps=2.*'distribute'"),
    ]:
        parameters = {"distribute": one_device, **parameters}
        with pytest.raises(kind, match=words):
            clone(model).set_params(**parameters).fit(*values_data)


@pytest.mark.slow
def test_no_cross_validation_by_itself(values_data, one_device):
    small = {"max_iter": "auto", "num_experts": 1, "random_state": 0}
    model = MultiTaskMMoERegressor(
        **small, expert_units=2, shared_units=(), batch_size=200, distribute=one_device
    )
    assert model.fit(*values_data).cv_losses_ is None
