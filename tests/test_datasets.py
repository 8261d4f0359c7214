from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_mmoe.datasets import (
    _census,
    _files,
    fetch_census_income,
    get_data_home,
    make_related_tasks,
)
from sklearn_mmoe.datasets._generated import _task_weights

NAMES = {"train": "census-income.data.gz", "test": "census-income.test.gz"}


def census_bytes(education: list[str]) -> bytes:
    """Write rows in the format of the official files, one for each education."""
    lines = []
    for i, level in enumerate(education):
        row = dict.fromkeys(_census._COLUMNS, "Not in universe")
        row.update(dict.fromkeys(_census._NUMERIC, str(i)))
        row.update(
            det_ind_code=str(i % 3),
            instance_weight=f"{1000 + i}.5",
            education=level,
            hisp_origin="NA" if i % 2 else "All other",
            mig_chg_msa="?",
            marital_stat="Never married" if i % 2 else "Divorced",
            income_50k="50000+." if i % 3 == 0 else "- 50000.",
        )
        lines.append(", ".join(row[name] for name in _census._COLUMNS))
    return gzip.compress("\n".join(lines).encode() + b"\n", mtime=0)


FILES = {
    "train": census_bytes(["Children", "10th grade", "Doctorate degree(PhD EdD)"]),
    "test": census_bytes(["Children", "Bachelors degree(BA AB BS)"]),
}


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def serve(file_server, monkeypatch):
    """Make the small files above the official ones, at addresses of given kinds."""

    def serve(*kinds: str):
        file_server.files.update({NAMES[half]: FILES[half] for half in FILES})
        files = {
            half: _files.RemoteFile(
                NAMES[half],
                git_sha1(FILES[half]),
                tuple(file_server.address(kind, NAMES[half]) for kind in kinds),
            )
            for half in FILES
        }
        monkeypatch.setattr(_census, "_FILES", files)
        return file_server

    return serve


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_downloads_once(serve, tmp_path):
    server = serve("good")
    folder = tmp_path / "new" / "folder"
    census = fetch_census_income("train", data_home=folder)
    assert len(census.data) == 3
    assert only_file(folder).read_bytes() == FILES["train"]
    fetch_census_income("train", data_home=str(folder))
    assert server.requests == ["/good/census-income.data.gz"]


@pytest.mark.parametrize("bad", ["corrupt", "truncated", "absent"])
def test_next_address_serves_where_the_first_fails(serve, tmp_path, bad):
    server = serve(bad, "good")
    fetch_census_income("test", data_home=tmp_path)
    assert only_file(tmp_path).read_bytes() == FILES["test"]
    assert [path.split("/")[1] for path in server.requests] == [bad, "good"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [("corrupt", "wrong checksum"), ("truncated", "Error"), ("absent", "404")],
)
def test_no_good_copy_anywhere(serve, tmp_path, bad, reason):
    server = serve(bad)
    with pytest.raises(OSError, match=f"(?s){reason}") as error:
        fetch_census_income("test", data_home=tmp_path)
    message = str(error.value)
    assert server.address(bad, NAMES["test"]) in message
    assert f"put the file, not unpacked, in {tmp_path} as census-income.test.gz" in (
        message
    )
    assert list(tmp_path.iterdir()) == []


def test_no_network(monkeypatch, tmp_path):
    file = _files.RemoteFile("census-income.test.gz", "0" * 40, (_closed_port(),))
    monkeypatch.setattr(_census, "_FILES", {"test": file})
    with pytest.raises(OSError, match=r"(?s)is not in .*ConnectionError"):
        fetch_census_income("test", data_home=tmp_path)


def _closed_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/census-income.test.gz"


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"", lambda b: b"x"])
def test_damaged_file_is_fetched_again(serve, tmp_path, damage):
    serve("good")
    path = tmp_path / NAMES["test"]
    path.write_bytes(damage(FILES["test"]))
    with pytest.warns(UserWarning, match=r"census-income.test.gz is damaged.*again"):
        census = fetch_census_income("test", data_home=tmp_path)
    assert len(census.data) == 2
    assert path.read_bytes() == FILES["test"]


@pytest.mark.parametrize("download", [True, False])
def test_damaged_file_is_never_used_and_never_lost(serve, tmp_path, download):
    serve("absent")
    path = tmp_path / NAMES["test"]
    path.write_bytes(FILES["test"][:-20])
    with (
        pytest.warns(UserWarning, match="damaged")
        if download
        else contextlib.nullcontext(),
        pytest.raises(OSError, match=r"is damaged.*(?s:.*)Delete it and download"),
    ):
        fetch_census_income("test", data_home=tmp_path, download_if_missing=download)
    assert path.read_bytes() == FILES["test"][:-20]


def test_download_may_be_forbidden(serve, tmp_path):
    server = serve("good")
    with pytest.raises(OSError, match="download_if_missing=False"):
        fetch_census_income("test", data_home=tmp_path, download_if_missing=False)
    assert server.requests == []


@pytest.mark.skipif(os.name == "nt", reason="no such folder")
def test_folder_that_cannot_be_written(serve):
    serve("good")
    with pytest.raises(OSError, match="/dev/null/x cannot be written to"):
        fetch_census_income("test", data_home="/dev/null/x")


def test_two_may_fetch_at_once(serve, tmp_path):
    """The second comes while the first is halfway, and is done before it goes on."""
    server = serve("pausing")
    path = tmp_path / NAMES["test"]
    with ThreadPoolExecutor() as threads:
        first = threads.submit(fetch_census_income, "test", data_home=tmp_path)
        assert server.halfway.wait(timeout=5)
        # What is not whole does not bear the name of what is.
        assert not path.exists()
        second = fetch_census_income("test", data_home=tmp_path)
        assert path.read_bytes() == FILES["test"]
        server.go_on.set()
        pd.testing.assert_frame_equal(first.result(timeout=5).frame, second.frame)
    assert len(server.requests) == 2
    assert only_file(tmp_path).read_bytes() == FILES["test"]


def test_official_files_and_addresses():
    for file in _census._FILES.values():
        assert len(file.git_sha1) == 40
        hosts = {address.split("/")[2] for address in file.addresses}
        assert len(hosts) >= 2
        assert all(address.startswith("https://") for address in file.addresses)
        assert all(address.endswith("/" + file.name) for address in file.addresses)


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.setenv("SKLEARN_MMOE_DATA", str(tmp_path))
    assert get_data_home() == tmp_path
    assert get_data_home("~/x") == Path.home() / "x"
    monkeypatch.delenv("SKLEARN_MMOE_DATA")
    assert get_data_home().name == "sklearn_mmoe"


class TestContent:
    @pytest.fixture(autouse=True)
    def _serve(self, serve):
        serve("good")

    def test_bunch(self, tmp_path):
        census = fetch_census_income("train", data_home=tmp_path)
        assert census.data.shape == (3, 39)
        assert census.feature_names == list(census.data.columns)
        assert not {"income_50k", "marital_stat", "instance_weight"} & set(census.data)
        assert census.target_names == ["income", "never_married"]
        assert census.target["income"].tolist() == [1, 0, 0]
        assert census.target["never_married"].tolist() == [0, 1, 0]
        np.testing.assert_array_equal(census.sample_weight, [1000.5, 1001.5, 1002.5])
        assert list(census.frame.columns) == census.feature_names + census.target_names
        assert "CC BY 4.0" in census.DESCR

    def test_columns(self, tmp_path):
        X, _ = fetch_census_income("train", data_home=tmp_path, return_X_y=True)
        numeric = [name for name in X if X[name].dtype == "int64"]
        assert numeric == _census._NUMERIC
        assert all(
            isinstance(X[name].dtype, pd.CategoricalDtype)
            for name in X
            if name not in numeric
        )
        assert X["det_ind_code"].tolist() == ["0", "1", "2"]
        assert X["hisp_origin"].tolist() == ["All other", "NA", "All other"]
        assert X["mig_chg_msa"].isna().all()

    @pytest.mark.parametrize(
        "targets", [["college", "never_married"], ["never_married", "college"]]
    )
    def test_second_group_of_targets(self, tmp_path, targets):
        X, y = fetch_census_income(
            "train", data_home=tmp_path, return_X_y=True, targets=targets
        )
        assert list(y.columns) == targets
        assert y["college"].tolist() == [0, 0, 1]
        assert not {"education", "marital_stat", "income_50k"} & set(X.columns)

    def test_one_target(self, tmp_path):
        X, y = fetch_census_income(
            "train", data_home=tmp_path, return_X_y=True, targets="income"
        )
        assert list(y.columns) == ["income"]
        assert {"education", "marital_stat"} <= set(X.columns)

    def test_both_halves(self, tmp_path):
        census = fetch_census_income("all", data_home=tmp_path)
        assert len(census.data) == len(census.target) == len(census.sample_weight) == 5
        assert census.data["education"].tolist()[2:] == [
            "Doctorate degree(PhD EdD)",
            "Children",
            "Bachelors degree(BA AB BS)",
        ]
        assert census.data.index.tolist() == list(range(5))

    def test_arrays(self, tmp_path):
        census = fetch_census_income("test", data_home=tmp_path, as_frame=False)
        assert isinstance(census.data, np.ndarray)
        assert census.data.shape == (2, 39)
        assert census.target.shape == (2, 2)
        assert census.target.dtype == np.int64
        assert census.frame is None

    @pytest.mark.parametrize("targets", ["age", ["income", "income"], [], ["x"]])
    def test_unknown_targets(self, tmp_path, targets):
        with pytest.raises(ValueError, match="'targets' parameter"):
            fetch_census_income("test", data_home=tmp_path, targets=targets)

    def test_unknown_subset(self, tmp_path):
        with pytest.raises(ValueError, match="'subset' parameter"):
            fetch_census_income("validation", data_home=tmp_path)


def test_the_real_test_half(census_folder):
    census = fetch_census_income(
        "test", data_home=census_folder, download_if_missing=False
    )
    assert census.data.shape == (99762, 39)
    assert census.target["income"].mean() == pytest.approx(0.0620, abs=5e-5)
    assert census.target["never_married"].mean() == pytest.approx(0.4325, abs=5e-5)
    assert (census.data["hisp_origin"] == "NA").sum() == 405
    assert census.data["hisp_origin"].notna().all()
    assert census.data["country_self"].isna().any()


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    ("targets", "correlation"),
    # Ma et al. (2018), section 5.2, on both halves
    [(("income", "never_married"), 0.1768), (("college", "never_married"), 0.2373)],
)
def test_target_correlations_are_those_of_the_paper(
    census_folder, targets, correlation
):
    _, y = fetch_census_income(
        "test", data_home=census_folder, return_X_y=True, targets=targets
    )
    assert abs(y.corr().iloc[0, 1]) == pytest.approx(correlation, abs=0.003)


class TestRelatedTasks:
    @pytest.mark.parametrize("p", [-1.0, 0.0, 0.5, 0.8, 1.0])
    def test_weights_as_in_the_paper(self, p):
        rng = np.random.RandomState(0)
        weights = _task_weights(2, 100, p, 0.3, rng)
        np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 0.3)
        assert weights[0] @ weights[1] / 0.09 == pytest.approx(p)

    def test_more_than_two_tasks(self):
        rng = np.random.RandomState(0)
        weights = _task_weights(5, 20, 0.7, 2.0, rng)
        expected = 4 * (0.7 + 0.3 * np.eye(5))
        np.testing.assert_allclose(weights @ weights.T, expected, atol=1e-12)

    def test_targets_are_the_formula(self):
        """Without noise, y is one function of w.x, the same for both tasks."""
        X, y = make_related_tasks(
            2000, 30, correlation=0.0, noise=0.0, scale=1.0, random_state=0
        )
        linear = make_related_tasks(
            2000, 30, correlation=0.0, noise=0.0, scale=1.0, n_sines=0, random_state=0
        )[1]
        assert np.linalg.matrix_rank(np.column_stack([X, linear])) == 30
        waves = (y - linear).ravel()
        angle = linear.ravel()
        basis = np.column_stack(
            [f(i * angle) for i in range(1, 6) for f in (np.sin, np.cos)]
        )
        coefficients, *_ = np.linalg.lstsq(basis, waves, rcond=None)
        np.testing.assert_allclose(basis @ coefficients, waves, atol=1e-9)
        amplitudes = np.hypot(coefficients[::2], coefficients[1::2])
        np.testing.assert_allclose(amplitudes, 1, atol=1e-9)

    def test_correlation_of_the_targets_grows(self):
        correlations = [
            np.corrcoef(make_related_tasks(correlation=p, random_state=0)[1].T)[0, 1]
            for p in (0.0, 0.5, 0.9)
        ]
        assert correlations == sorted(correlations)
        assert abs(correlations[0]) < 0.1
        assert correlations[2] > 0.8

    def test_defaults_and_seeds(self):
        X, y = make_related_tasks(random_state=0)
        assert X.shape == (12000, 100)
        assert y.shape == (12000, 2)
        again = make_related_tasks(random_state=0)
        np.testing.assert_array_equal(X, again[0])
        np.testing.assert_array_equal(y, again[1])
        assert not np.array_equal(X, make_related_tasks(random_state=1)[0])
        assert make_related_tasks(10, n_tasks=1)[1].shape == (10,)

    def test_noise(self):
        clean, noisy = (
            make_related_tasks(5000, noise=noise, random_state=0)[1]
            for noise in (0.0, 0.1)
        )
        assert (noisy - clean).std() == pytest.approx(0.1, rel=0.05)

    def test_classes_of_equal_shares(self):
        _, y = make_related_tasks(
            1200, kind="classification", n_tasks=3, n_classes=[2, 3, 4], random_state=0
        )
        assert y.dtype == np.int64
        for k, n in enumerate([2, 3, 4]):
            assert np.bincount(y[:, k]).tolist() == [1200 // n] * n

    def test_mixed_frame(self):
        X, y = make_related_tasks(
            2000, 10, n_categorical=4, kind="classification", random_state=0
        )
        assert list(y.columns) == ["task_0", "task_1"]
        categorical = X.select_dtypes("category")
        assert list(categorical) == [f"category_{j}" for j in range(6, 10)]
        assert X["category_7"].value_counts()["rare"] == 20
        missing = X.isna().mean()
        assert (missing > 0).sum() == 5
        assert missing.max() < 0.08
        assert (X["numeric_1"] == 0).mean() == pytest.approx(0.5, abs=0.05)
        assert len(make_related_tasks(50, 4, n_categorical=4)[0].columns) == 4

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n_samples": 0}, "'n_samples'"),
            ({"correlation": 1.5}, "'correlation'"),
            ({"n_tasks": 3, "correlation": -0.9}, "at least -0.5"),
            ({"n_features": 2, "n_tasks": 3}, "n_features=2 must be at least n_tasks"),
            ({"n_categorical": 101}, "at most n_features=100"),
            ({"kind": "ranking"}, "'kind'"),
            ({"kind": "classification", "n_classes": 1}, "'n_classes'"),
            ({"kind": "classification", "n_classes": [2, 3, 4]}, "'n_classes'"),
        ],
    )
    def test_bad_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            make_related_tasks(**arguments)
