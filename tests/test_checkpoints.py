"""A fit that is killed goes on from its last whole epoch, to the same bits."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sklearn_mmoe import (
    MultiTaskMMoEClassifier,
    MultiTaskMMoEMixed,
    MultiTaskMMoERegressor,
    load,
)
from sklearn_mmoe._training import checkpoint
from sklearn_mmoe._training.checkpoint import Checkpoints
from sklearn_mmoe.estimators._fitted import fitted_attributes

EPOCHS = 6


@contextlib.contextmanager
def watched(stop_at=None):
    """Note the record of each epoch that is trained; interrupt the fit in one."""
    records, write = [], Checkpoints.write

    def watch(self, trainer, observers, record):
        records.append(record)
        if record.epoch == stop_at:
            raise KeyboardInterrupt
        write(self, trainer, observers, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "write", watch)
        yield records


def interrupted(model, X, y, folder, at, **given):
    """Fit until it is interrupted in an epoch, and leave its checkpoints."""
    model = clone(model).set_params(checkpoint_dir=folder)
    with watched(at) as records, pytest.raises(KeyboardInterrupt):
        model.fit(X, y, **given)
    return records


def gone_on(model, X, y, folder, **given):
    """Fit with the checkpoints that are there; return also the epochs it trained."""
    with watched() as records:
        model = clone(model).set_params(checkpoint_dir=folder).fit(X, y, **given)
    return model, [record.epoch for record in records]


def assert_same_fit(model, other):
    fitted, others = fitted_attributes(model), fitted_attributes(other)
    assert set(fitted) == set(others)
    state, other_state = fitted.pop("_engine").state, others.pop("_engine").state
    np.testing.assert_equal(other_state.weights, state.weights)
    np.testing.assert_equal(other_state.random, state.random)
    for name in set(fitted) - {"_tasks"}:
        if isinstance(fitted[name], pd.DataFrame):
            pd.testing.assert_frame_equal(
                others[name], fitted[name], check_exact=True, check_column_type="exact"
            )
        else:
            np.testing.assert_equal(others[name], fitted[name], err_msg=name)


def own_network(meta, seed):
    import keras

    dropout = keras.layers.Dropout(0.3, seed=seed)
    draw = keras.initializers.GlorotUniform(seed)
    x = keras.Input((meta["n_features_in_"],))
    hidden = dropout(keras.layers.Dense(8, "relu", kernel_initializer=draw)(x))
    return keras.Model(
        x, [keras.layers.Dense(1, kernel_initializer=draw)(hidden) for _ in range(2)]
    )


def models(tiny):
    tiny = {**tiny, "max_iter": EPOCHS}
    stopping = {"early_stopping": True, "n_iter_no_change": 2}
    return {
        "plain": MultiTaskMMoEClassifier(**tiny),
        "stopping": MultiTaskMMoERegressor(**tiny, **stopping),
        "stopping early": MultiTaskMMoERegressor(
            **{**tiny, "max_iter": 30}, **stopping, tol=10.0
        ),
        "scorer": MultiTaskMMoEMixed(
            **tiny, **stopping, early_stopping_metric="neg_mean_squared_error"
        ),
        "no score": MultiTaskMMoERegressor(
            **tiny, **stopping, early_stopping_metric=lambda *args: np.nan
        ),
        "nadam": MultiTaskMMoERegressor(
            **tiny, optimizer="nadam", learning_rate_schedule="constant"
        ),
        "any seed": MultiTaskMMoERegressor(**{**tiny, "random_state": None}),
        # Members are evaluated every other epoch.
        "cv": MultiTaskMMoERegressor(**{**tiny, "max_iter": 18}, cv=2),
        "dwa": MultiTaskMMoERegressor(
            **tiny, task_weighting="dwa", task_weight={"task_0": 2.0}
        ),
        "task_weight": MultiTaskMMoEClassifier(**tiny, task_weight=[3, 1]),
    }


def slow_models(tiny):
    """Return a model of each way to share and to weigh, and ensembles of those."""
    tiny = {**tiny, "max_iter": EPOCHS}
    stopping = {"early_stopping": True, "n_iter_no_change": 2}
    ways = ("single", "shared_bottom", "omoe", "cgc", "ple", "cross_stitch", "aitm")
    weightings = ("uncertainty", "dwa", "lbtw", "gradnorm", "pcgrad")
    return {
        **{way: MultiTaskMMoERegressor(**tiny, sharing=way) for way in ways},
        **{
            weighting: MultiTaskMMoEClassifier(
                **tiny, **stopping, task_weighting=weighting
            )
            for weighting in weightings
        },
        **{
            f"cv of {weighting}": MultiTaskMMoERegressor(
                **tiny, cv=2, task_weighting=weighting, task_weight=[1, 2]
            )
            for weighting in weightings
        },
        "cv of ple": MultiTaskMMoEMixed(
            **tiny, cv=3, sharing="ple", match_parameters="mmoe", gate_dropout=0.2
        ),
        "cv of an optimizer of its own": MultiTaskMMoERegressor(
            **{**tiny, "dtype": "float64"}, cv=2, optimizer="nadam", feature_penalty=0.1
        ),
    }


@pytest.fixture
def data(labels_data, values_data):
    def of(model):
        classes = isinstance(model, MultiTaskMMoEClassifier)
        return labels_data if classes else values_data

    return of


class TestGoingOn:
    @pytest.mark.slow_but_first
    @pytest.mark.filterwarnings("ignore:The validation score")
    @pytest.mark.parametrize(
        "what",
        [
            "plain",
            "stopping",
            "cv",
            "dwa",
            *(
                pytest.param(name, marks=pytest.mark.slow)
                for name in (
                    "stopping early",
                    "scorer",
                    "no score",
                    "nadam",
                    "task_weight",
                )
            ),
        ],
    )
    def test_bits_are_those_of_an_uninterrupted_fit(self, tiny, data, tmp_path, what):
        model = models(tiny)[what]
        X, y = data(model)
        whole = clone(model).fit(X, y)
        for at in (0, whole.n_iter_ // 2 - 1):
            interrupted(model, X, y, tmp_path, at)
            again, epochs = gone_on(model, X, y, tmp_path)
            assert epochs == list(range(at, whole.n_iter_))
            assert_same_fit(again, whole)
            assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    @pytest.mark.parametrize("what", list(slow_models({})))
    def test_ways_to_share_and_to_weigh(self, tiny, data, tmp_path, what):
        model = slow_models(tiny)[what]
        X, y = data(model)
        whole = clone(model).fit(X, y)
        for at in (1, 3):
            interrupted(model, X, y, tmp_path, at)
            again, epochs = gone_on(model, X, y, tmp_path)
            assert epochs == list(range(at, whole.n_iter_))
            assert_same_fit(again, whole)

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:The gates of the tasks")
    def test_the_best_members_may_be_those_of_before(self, data, tiny, tmp_path):
        """With a learning rate that is far too high in the end, the first are."""
        model = models(tiny)["cv"].set_params(
            learning_rate=0.3, learning_rate_schedule="constant", dropout=0.0
        )
        X, y = data(model)
        y = np.random.default_rng(0).normal(size=y.shape)
        whole = clone(model).fit(X, y)
        assert whole.best_epoch_ < 16
        interrupted(model, X, y, tmp_path, 17)
        again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs == [17]
        assert_same_fit(again, whole)

    @pytest.mark.slow
    def test_callbacks_may_be_others(self, data, tiny, tmp_path):
        import keras

        model = models(tiny)["plain"]
        X, y = data(model)
        interrupted(model, X, y, tmp_path, 2)
        seen = []
        watch = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(epoch)
        )
        with watched():
            again = clone(model).set_params(checkpoint_dir=tmp_path, callbacks=[watch])
            again.fit(X, y)
        assert seen == [2, 3, 4, 5]
        whole = clone(model).fit(X, y)
        np.testing.assert_array_equal(again.predict(X), whole.predict(X))

    @pytest.mark.slow
    def test_several_times(self, tiny, data, tmp_path):
        model = models(tiny)["stopping"]
        X, y = data(model)
        for at in (1, 1, 2, 4):
            interrupted(model, X, y, tmp_path, at)
        again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 4
        assert_same_fit(again, clone(model).fit(X, y))

    @pytest.mark.slow
    def test_after_the_last_epoch(self, tiny, data, tmp_path, monkeypatch):
        """Also where training has ended early, and only its end was missing."""
        for what in ("plain", "stopping early"):
            model = models(tiny)[what]
            X, y = data(model)
            with monkeypatch.context() as patch:
                patch.setattr(Checkpoints, "clear", lambda self: None)
                whole, _ = gone_on(model, X, y, tmp_path)
            assert len(list(tmp_path.iterdir())) == 2
            again, epochs = gone_on(model, X, y, tmp_path)
            assert not epochs
            assert_same_fit(again, whole)

    @pytest.mark.slow
    def test_a_seed_from_the_system_is_kept(self, tiny, data, tmp_path):
        model = models(tiny)["any seed"].set_params(early_stopping=True)
        X, y = data(model)
        before = [record.loss for record in interrupted(model, X, y, tmp_path, 3)]
        with watched() as records:
            again = clone(model).set_params(checkpoint_dir=tmp_path).fit(X, y)
        after = [record.loss for record in records]
        assert again.n_iter_ == EPOCHS
        # The interrupted epoch was trained twice, with the same loss.
        assert before[-1] == after[0]
        assert [*before[:-1], *after] == again.loss_curve_

    @pytest.mark.slow
    def test_a_warm_start(self, tiny, data, tmp_path):
        model = models(tiny)["stopping"].set_params(warm_start=True)
        X, y = data(model)
        model.fit(X, y)
        whole, first = copy.deepcopy(model), copy.deepcopy(model)
        whole.fit(X, y)
        first.set_params(checkpoint_dir=tmp_path)
        with watched(3), pytest.raises(KeyboardInterrupt):
            first.fit(X, y)
        model.set_params(checkpoint_dir=tmp_path)
        assert_same_fit(copy.deepcopy(model).fit(X, y), whole)
        with watched(3), pytest.raises(KeyboardInterrupt):
            first.fit(X, y)
        with pytest.raises(ValueError, match="the model that warm_start goes on from"):
            whole.set_params(checkpoint_dir=tmp_path).fit(X, y)

    @pytest.mark.slow
    def test_sparse_and_weights_and_rows_of_the_users(self, tiny, data, tmp_path):
        model = models(tiny)["stopping"]
        X, y = data(model)
        given = {
            "sample_weight": np.linspace(0, 1, len(X)),
            "X_val": X[:50],
            "y_val": y[:50],
        }
        X = sparse.csr_array(X)
        whole = clone(model).fit(X, y, **given)
        interrupted(model, X, y, tmp_path, 2, **given)
        again, epochs = gone_on(model, X, y, tmp_path, **given)
        assert epochs[0] == 2
        assert_same_fit(again, whole)

    @pytest.mark.slow
    def test_a_network_of_the_users_own(self, tiny, data, tmp_path):
        model = models(tiny)["stopping"].set_params(network=own_network)
        X, y = data(model)
        whole = clone(model).fit(X, y)
        interrupted(model, X, y, tmp_path, 2)
        again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 2
        assert_same_fit(again, whole)
        interrupted(model, X, y, tmp_path, 2)
        with pytest.raises(ValueError, match=r"'network' was .*own_network, and is"):
            gone_on(model.set_params(network=None), X, y, tmp_path)

    @pytest.mark.slow
    def test_partial_fit_writes_none(self, tiny, data, tmp_path):
        model = models(tiny)["plain"].set_params(checkpoint_dir=tmp_path)
        model.partial_fit(*data(model)).partial_fit(*data(model))
        assert not list(tmp_path.iterdir())

    @pytest.mark.slow
    def test_the_folder_is_made_and_what_else_is_in_it_stays(
        self, tiny, data, tmp_path
    ):
        folder = tmp_path / "a" / "b"
        model = models(tiny)["plain"]
        X, y = data(model)
        interrupted(model, X, y, str(folder), 3)
        assert len(list(folder.iterdir())) == 2
        (folder / "notes.txt").write_text("mine")
        (folder / ".sklearn_mmoe-0.tmp").write_text("left by a kill")
        again, _ = gone_on(model, X, y, folder)
        assert [path.name for path in folder.iterdir()] == ["notes.txt"]
        again.save(tmp_path / "model")
        assert load(tmp_path / "model").checkpoint_dir == folder


class TestDamage:
    def checkpoints(self, folder):
        return sorted(folder.glob("*.checkpoint"))

    @pytest.mark.slow
    @pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
    def test_of_a_torn_one_the_one_before_is_used(self, tiny, data, tmp_path, damage):
        model = models(tiny)["stopping"]
        X, y = data(model)
        interrupted(model, X, y, tmp_path, 4)
        last = self.checkpoints(tmp_path)[-1]
        content = bytearray(last.read_bytes())
        content[len(content) // 2] ^= 1
        torn = {"cut": content[:-100], "empty": b"", "flipped": content}
        last.write_bytes(torn[damage])
        with pytest.warns(UserWarning, match=f"{last.name}.*cannot be used"):
            again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 3
        assert_same_fit(again, clone(model).fit(X, y))

    @pytest.mark.slow
    def test_where_all_are_torn_it_begins_anew(self, tiny, data, tmp_path):
        model = models(tiny)["plain"]
        X, y = data(model)
        interrupted(model, X, y, tmp_path, 4)
        for path in self.checkpoints(tmp_path):
            path.write_bytes(b"x")
        with pytest.warns(UserWarning, match="begins anew"):
            again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 0
        assert_same_fit(again, clone(model).fit(X, y))

    @pytest.mark.slow
    def test_of_another_release_none_is_used(self, tiny, data, tmp_path, monkeypatch):
        model = models(tiny)["plain"]
        X, y = data(model)
        interrupted(model, X, y, tmp_path, 2)
        monkeypatch.setattr(checkpoint, "_FORMAT", 99)
        with pytest.warns(UserWarning, match=r"of another release\. Training goes on"):
            _, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 0

    @pytest.mark.slow
    def test_a_full_disk_leaves_the_estimator_and_the_checkpoints(
        self, tiny, data, tmp_path
    ):
        import errno

        from sklearn_mmoe._files import container

        model = models(tiny)["plain"]
        X, y = data(model)
        interrupted(model, X, y, tmp_path, 2)
        fsync, error = os.fsync, OSError(errno.ENOSPC, "No space left on device")

        def full(descriptor):
            raise error

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(container.os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                gone_on(model, X, y, tmp_path)
        assert os.fsync is fsync
        assert len(list(tmp_path.iterdir())) == 2
        again, epochs = gone_on(model, X, y, tmp_path)
        assert epochs[0] == 2
        assert_same_fit(again, clone(model).fit(X, y))

    def test_a_place_that_is_no_folder(self, tiny, data, tmp_path):
        (tmp_path / "file").write_text("x")
        model = models(tiny)["plain"].set_params(checkpoint_dir=tmp_path / "file")
        with pytest.raises(OSError, match="file"):
            model.fit(*data(model))
        with pytest.raises(NotFittedError):
            model.predict(data(model)[0])
        with pytest.raises(ValueError, match="'checkpoint_dir' parameter"):
            model.set_params(checkpoint_dir=3).fit(*data(model))


class TestOtherFits:
    """A checkpoint of other data or parameters is refused by name."""

    @pytest.fixture
    def begun(self, tiny, values_data, tmp_path):
        model = models(tiny)["stopping"]
        X, y = values_data
        weight = np.linspace(0.5, 1, len(X))
        interrupted(model, X, y, tmp_path, 3, sample_weight=weight)
        return model.set_params(checkpoint_dir=tmp_path), X, y, weight

    @pytest.mark.slow
    def test_data(self, begun):
        model, X, y, weight = begun
        other_X, other_y, other_weight = X.copy(), y.copy(), weight.copy()
        other_X[17, 3] += 1e-3
        other_y[5, 1] += 1e-3
        other_weight[11] += 1e-3
        missing = y.copy()
        missing[3, 0] = np.nan
        named = pd.DataFrame(y, columns=["a", "b"])
        frame = pd.DataFrame(X, columns=[*"abcdef"])
        for what, arguments in (
            ("X is not the same", (other_X, y, weight)),
            ("X is not the same", (X[:, ::-1], y, weight)),
            ("X is not the same", (X[:-1], y[:-1], weight[:-1])),
            ("the names of X's columns", (frame, y, weight)),
            ("y is not the same", (X, other_y, weight)),
            ("y is not the same", (X, missing, weight)),
            ("y is not the same", (X, named, weight)),
            ("y is not the same", (X, y[:, 0], weight)),
            ("sample_weight is not the same", (X, y, other_weight)),
            ("sample_weight is not the same", (X, y, None)),
        ):
            with pytest.raises(ValueError, match=f"of another fit: .*{what}"):
                clone(model).fit(*arguments)
        with pytest.raises(ValueError, match="X_val was not given then"):
            clone(model).fit(X, y, weight, X_val=X, y_val=y)
        again, epochs = gone_on(model, X, y, model.checkpoint_dir, sample_weight=weight)
        assert epochs[0] == 3  # nothing was lost by the refusals
        assert again.n_iter_ <= EPOCHS

    def test_parameters(self, begun):
        model, X, y, weight = begun
        others = {
            "max_iter": 7,
            "dropout": 0.3,
            "shared_units": (4,),
            "learning_rate": 0.5,
            "optimizer": "sgd",
            "batch_size": 16,
            "random_state": 1,
            "n_iter_no_change": 3,
            "tol": 0.5,
            "early_stopping_metric": "r2",
            "validation_fraction": 0.2,
            "dtype": "float64",
            "weight_decay": 0.5,
            "sharing": "ple",
            "num_levels": 3,
            "num_task_experts": 1,
            "match_parameters": "single",
            "gate_dropout": 0.1,
            "gate_temperature": 2.0,
            "load_balance_penalty": 0.1,
            "expert_units": (4, 4),
            "task_weight": {"task_0": 2},
            "task_weighting": "dwa",
            "cv": None,
        }
        for name, value in others.items():
            other = clone(model).set_params(**{name: value})
            with pytest.raises(ValueError, match=f"the parameter '{name}' was "):
                other.fit(X, y, weight)
        with pytest.raises(ValueError, match="the estimator was MultiTaskMMoERegr"):
            MultiTaskMMoEMixed(**model.get_params()).fit(X, y, weight)
        with pytest.raises(ValueError, match="'max_iter' was 6, and is now 7"):
            clone(model).set_params(max_iter=7).fit(X, y, weight)

    @pytest.mark.slow
    def test_folds_that_nobody_set(self, tiny, values_data, tmp_path, monkeypatch):
        """As where `distribute` is set, which cv='auto' makes no folds with."""
        X, y = values_data
        model = MultiTaskMMoERegressor(**{**tiny, "max_iter": "auto"})
        interrupted(model, X, y, tmp_path, 2)
        place = "sklearn_mmoe.estimators._candidates._MOST_ROWS"
        monkeypatch.setattr(place, len(X) - 1)
        with pytest.raises(ValueError, match="'cv' makes was 5, and is now None"):
            clone(model).set_params(checkpoint_dir=tmp_path).fit(X, y)

    @pytest.mark.slow
    def test_what_changes_nothing_is_not_asked_for(self, begun):
        model, X, y, weight = begun
        model = clone(model).set_params(verbose=0, warm_start=True)
        assert model.fit(X, y, weight).n_iter_ <= EPOCHS

    def test_another_release(self, begun, monkeypatch):
        from sklearn_mmoe.estimators import _checkpoints

        model, X, y, weight = begun
        monkeypatch.setattr(_checkpoints, "__version__", "99.0")
        with pytest.raises(ValueError, match="the release of sklearn_mmoe was "):
            clone(model).fit(X, y, weight)


FITTING = """
import json, os, sys
import numpy as np
import tensorflow  # once for all; nothing has run yet, so that a fork is safe
from sklearn_mmoe import MultiTaskMMoEMixed
from sklearn_mmoe.datasets import make_related_tasks

X, y = make_related_tasks(n_samples=200, n_features=6, n_sines=0, random_state=0)
y = np.column_stack([y[:, 0], y[:, 1] > 0])
for line in sys.stdin:
    parameters, path = json.loads(line)
    process = os.fork()
    if process == 0:
        model = MultiTaskMMoEMixed(**parameters)
        model.fit(X, y).set_params(checkpoint_dir=None).save(path)
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Fits:
    """Fits in processes of their own, one after the other, which can be killed."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.server = subprocess.Popen(
            [sys.executable, "-c", FITTING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, path, **more):
        task = [{**self.parameters, **more}, str(path)]
        self.server.stdin.write(json.dumps(task) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def end(self):
        """Wait for the end of the fit; return how it ended."""
        return int(self.server.stdout.readline())


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")
def test_killed_ten_times(tiny, tmp_path):
    folder, rng = tmp_path / "checkpoints", random.Random(0)
    n_epochs = 300
    fits = Fits(
        {
            **tiny,
            "max_iter": n_epochs,
            "early_stopping": True,
            "n_iter_no_change": n_epochs,
            "optimizer": "nadam",
            "dropout": 0.3,
        }
    )

    def last_epoch():
        names = sorted(path.name for path in folder.glob("*.checkpoint"))
        return int(names[-1][6:12]) if names else 0

    reached = [0]
    with fits.server:
        fits.start(tmp_path / "whole")
        assert fits.end() == 0
        for kill in range(10):
            process = fits.start(tmp_path / "again", checkpoint_dir=str(folder))
            # Also before the first epoch; most of them at any moment of the others.
            given_up = time.monotonic() + 60
            while kill % 4 and last_epoch() == reached[-1]:
                assert time.monotonic() < given_up
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.15))
            os.kill(process, signal.SIGKILL)
            assert fits.end() == -signal.SIGKILL  # it had not ended before
            reached.append(last_epoch())
        fits.start(tmp_path / "again", checkpoint_dir=str(folder))
        assert fits.end() == 0
        fits.server.stdin.close()
    assert reached == sorted(reached)  # nothing was lost
    assert len(set(reached)) > 5
    assert not list(folder.iterdir())
    whole, again = load(tmp_path / "whole"), load(tmp_path / "again")
    assert_same_fit(again, whole)
    assert whole.n_iter_ == n_epochs
