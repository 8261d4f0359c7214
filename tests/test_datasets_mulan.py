from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sklearn_mmoe.datasets import _mulan, fetch_mulan
from sklearn_mmoe.datasets._arff import read_arff
from sklearn_mmoe.datasets._files import DamagedFileError

REGRESSIONS = """% a comment
@RELATION 'two regressions'

@attribute\tsize numeric
@attribute 'soil kind' {clay, 'fine sand', rock}
@attribute level {3,1,2}
@ATTRIBUTE yield REAL
@attribute "loss" integer

@data
% another
1.5, clay, 1, 2.5, 3
?,'fine sand',?, -1e-2,4

0,rock,3,?,5
"""
LABELS = """@relation labels
@attribute count numeric
@attribute word {no,yes}
@attribute a {0,1}
@attribute b {1,0}
@data
{0 2.5,1 yes,2 1,3 0}
{}
{0 ?, 3 0}
"""
# Numbers of rows, features, targets, and whether they are labels
FILES = {"andro": (REGRESSIONS, 3, 3, 2), "enron": (LABELS, 3, 2, 2)}


@pytest.fixture
def tables(monkeypatch):
    """Make the small files above the official ones."""
    for name, (text, *shape) in FILES.items():
        rows, features, targets = shape
        table = dataclasses.replace(
            _mulan._TABLES[name],
            n_samples=rows,
            n_features=features,
            n_targets=targets,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )
        monkeypatch.setitem(_mulan._TABLES, name, table)
    # No sum of this one is known.
    monkeypatch.setitem(
        _mulan._TABLES,
        "rf1",
        dataclasses.replace(
            _mulan._TABLES["rf1"], n_samples=3, n_features=3, n_targets=2
        ),
    )


@pytest.fixture
def folder(tables, tmp_path):
    """Return a data folder that has the small files."""
    (tmp_path / "mulan").mkdir()
    for name, (text, *_) in FILES.items():
        (tmp_path / "mulan" / f"{name}.arff").write_text(text)
    return tmp_path


@pytest.fixture
def serve(tables, file_server, monkeypatch):
    """Serve the small files in a given way."""

    def serve(kind: str):
        for name, (text, *_) in FILES.items():
            labels = name == "enron"
            path = f"multi-label/{name}/" if labels else "multi-target/"
            file_server.files[f"{path}{name}.arff"] = text.encode()
        file_server.files["multi-target/rf1.arff"] = REGRESSIONS.encode()
        monkeypatch.setattr(_mulan, "_REPOSITORY", file_server.address(kind, ""))
        return file_server

    return serve


class TestContent:
    def test_regressions(self, folder):
        table = fetch_mulan("andro", data_home=folder, download_if_missing=False)
        assert table.feature_names == ["size", "soil kind", "level"]
        assert table.target_names == ["yield", "loss"]
        assert table.task_type == "regression"
        np.testing.assert_array_equal(table.data["size"], [1.5, np.nan, 0])
        kind, level = table.data["soil kind"], table.data["level"]
        assert kind.tolist() == ["clay", "fine sand", "rock"]
        assert list(level.cat.categories) == ["3", "1", "2"]
        assert level.isna().tolist() == [False, True, False]
        assert (table.target.dtypes == "float64").all()
        np.testing.assert_array_equal(table.target, [[2.5, 3], [-0.01, 4], [np.nan, 5]])
        assert list(table.frame) == table.feature_names + table.target_names
        assert "andro" in table.DESCR
        assert "SHA-256" in table.DESCR

    def test_sparse_labels(self, folder):
        table = fetch_mulan("enron", data_home=folder)
        assert table.task_type == "classification"
        np.testing.assert_array_equal(table.data["count"], [2.5, 0, np.nan])
        # What a row leaves out is the first category.
        assert table.data["word"].tolist() == ["yes", "no", "no"]
        assert (table.target.dtypes == "int64").all()
        assert table.target["a"].tolist() == [1, 0, 0]
        assert table.target["b"].tolist() == [0, 1, 0]

    def test_data_and_target_alone(self, folder):
        X, y = fetch_mulan("enron", data_home=folder, return_X_y=True)
        assert X.shape == (3, 2)
        assert list(y) == ["a", "b"]
        X["new"] = y["new"] = 1  # no warning of a slice

    def test_arrays(self, folder):
        table = fetch_mulan("andro", data_home=str(folder), as_frame=False)
        assert table.data.dtype == object
        assert table.data[0].tolist() == [1.5, "clay", "1"]
        assert table.target.dtype == np.float64
        assert table.frame is None
        X, y = fetch_mulan("enron", data_home=folder, as_frame=False, return_X_y=True)
        assert isinstance(X, np.ndarray)
        assert y.dtype == np.int64

    def test_shape_is_said_to_be_checked_alone(self, serve, tmp_path):
        serve("good")
        table = fetch_mulan("rf1", data_home=tmp_path)
        assert "by its shape alone" in table.DESCR

    @pytest.mark.parametrize("name", ["tox21", "Andro", ""])
    def test_unknown_name(self, name):
        with pytest.raises(ValueError, match=rf"'name'.*andro, atp1d.*{name!r}"):
            fetch_mulan(name)

    def test_name_that_is_no_string(self):
        with pytest.raises(ValueError, match="'name' parameter of fetch_mulan"):
            fetch_mulan(3)


class TestDownload:
    @pytest.mark.parametrize("name", ["andro", "enron", "rf1"])
    def test_once(self, serve, tmp_path, name):
        server = serve("good")
        first = fetch_mulan(name, data_home=tmp_path / "new")
        again = fetch_mulan(name, data_home=tmp_path / "new")
        pd.testing.assert_frame_equal(first.frame, again.frame)
        assert len(server.requests) == 1
        (file,) = (tmp_path / "new").rglob("*.arff")
        assert file == tmp_path / "new" / "mulan" / f"{name}.arff"

    @pytest.mark.parametrize("name", ["andro", "rf1"])
    @pytest.mark.parametrize(
        ("kind", "reason"),
        [("corrupt", "is no good"), ("truncated", "Error"), ("absent", "404")],
    )
    def test_bad_copies_are_not_kept(self, serve, tmp_path, name, kind, reason):
        server = serve(kind)
        with pytest.raises(OSError, match=f"(?s){reason}") as error:
            fetch_mulan(name, data_home=tmp_path)
        assert server.address(kind, f"multi-target/{name}.arff") in str(error.value)
        assert f"in {tmp_path / 'mulan'} as {name}.arff" in str(error.value)
        assert list((tmp_path / "mulan").iterdir()) == []

    @pytest.mark.parametrize("name", ["andro", "rf1"])
    @pytest.mark.parametrize(
        "damage",
        [
            lambda text: text[:-20],  # whole rows are missing
            lambda text: text[:-3],  # the last row is short
            lambda text: text.replace("1.5", "x"),
            lambda text: text.replace("rock,", "gold,"),
            lambda text: "",
            lambda text: "<html></html>",
            lambda text: "\0\xff",
        ],
    )
    def test_damaged_file_is_fetched_again(self, serve, tmp_path, name, damage):
        serve("good")
        (tmp_path / "mulan").mkdir()
        path = tmp_path / "mulan" / f"{name}.arff"
        path.write_text(damage(REGRESSIONS), encoding="latin-1")
        with pytest.raises(OSError, match=r"is damaged: it .*Delete it"):
            fetch_mulan(name, data_home=tmp_path, download_if_missing=False)
        with pytest.warns(UserWarning, match=f"{name}.arff is damaged.*again"):
            table = fetch_mulan(name, data_home=tmp_path)
        assert len(table.data) == 3
        assert path.read_text() == REGRESSIONS

    @pytest.mark.parametrize("name", ["andro", "rf1"])
    def test_a_folder_is_no_file(self, tmp_path, name):
        (tmp_path / "mulan" / f"{name}.arff").mkdir(parents=True)
        with pytest.raises(OSError, match=r"arff is damaged: .*Delete it"):
            fetch_mulan(name, data_home=tmp_path, download_if_missing=False)

    def test_may_be_forbidden(self, serve, tmp_path):
        server = serve("good")
        with pytest.raises(OSError, match="download_if_missing=False"):
            fetch_mulan("andro", data_home=tmp_path, download_if_missing=False)
        assert server.requests == []


class TestParts:
    """birds, which the repository has in two files alone."""

    @pytest.fixture
    def birds(self, monkeypatch):
        table = dataclasses.replace(
            _mulan._TABLES["birds"], n_samples=6, n_features=2, n_targets=2
        )
        monkeypatch.setitem(_mulan._TABLES, "birds", table)
        monkeypatch.setitem(_mulan._PARTS, "birds", {"birds-train": 3, "birds-test": 3})

    def test_rows_follow_one_another(self, birds, file_server, monkeypatch, tmp_path):
        monkeypatch.setattr(_mulan, "_REPOSITORY", file_server.address("good", ""))
        for part in ("train", "test"):
            path = f"multi-label/birds/birds-{part}.arff"
            text = LABELS.replace("2.5", "7" if part == "test" else "2.5")
            file_server.files[path] = text.encode()
        table = fetch_mulan("birds", data_home=tmp_path)
        assert table.data["count"].iloc[[0, 3]].tolist() == [2.5, 7]
        assert isinstance(table.data["word"].dtype, pd.CategoricalDtype)
        assert table.data.index.tolist() == list(range(6))
        assert table.target["a"].tolist() == [1, 0, 0] * 2

    def test_one_file_serves_as_well(self, birds, tmp_path):
        (tmp_path / "mulan").mkdir()
        rows = LABELS.split("@data\n")[1]
        (tmp_path / "mulan" / "birds.arff").write_text(LABELS + rows)
        assert fetch_mulan("birds", data_home=tmp_path).data.shape == (6, 2)


class TestArff:
    def test_strings_and_latin_letters(self, tmp_path):
        path = tmp_path / "x.arff"
        text = "@relation x\n@attribute größe string\n@data\n'a b'\n?\n"
        path.write_text(text, encoding="latin-1")
        frame = read_arff(path)
        assert frame["größe"].iloc[0] == "a b"
        assert frame["größe"].isna().tolist() == [False, True]

    def test_two_columns_of_one_name(self, tmp_path):
        path = tmp_path / "x.arff"
        path.write_text("@relation x\n@attribute a real\n@attribute a real\n@data\n")
        with pytest.raises(DamagedFileError, match=r"name a .* already in use"):
            read_arff(path)


def test_official_tables():
    assert len(_mulan._TABLES) == 27
    for name, table in _mulan._TABLES.items():
        file = _mulan._remote_file(name, name)
        assert all(a.startswith("https://") for a in file.addresses)
        assert table.sha256 is None or len(table.sha256) == 64
    assert sum(_mulan._PARTS["birds"].values()) == _mulan._TABLES["birds"].n_samples


SHAPES = {
    "edm": ((154, 16), 2),
    "flags": ((194, 19), 7),
    "osales": ((639, 401), 12),
    "sf1": ((323, 10), 3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_real_files(name):
    folder = Path(os.environ.get("SKLEARN_MMOE_DATA") or "absent")
    if not (folder / "mulan" / f"{name}.arff").exists():
        pytest.skip(f"SKLEARN_MMOE_DATA names no folder with mulan/{name}.arff")
    table = fetch_mulan(name, data_home=folder, download_if_missing=False)
    assert (table.data.shape, table.target.shape[1]) == SHAPES[name]
    if name == "osales":
        assert table.data.isna().any().any()
    if name == "sf1":
        assert (table.data.dtypes == "category").all()
    if name == "flags":
        assert set(np.unique(table.target)) == {0, 1}
