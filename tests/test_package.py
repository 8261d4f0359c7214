"""The package as a whole: its import, its names, its docstrings, its files."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import sklearn_mmoe

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def public_modules():
    """List the modules that no part of whose dotted name begins with an underscore."""
    found = pkgutil.walk_packages(sklearn_mmoe.__path__, "sklearn_mmoe.")
    names = [module.name for module in found]
    private = re.compile(r"\._")
    return ["sklearn_mmoe", *(name for name in names if not private.search(name))]


def public_objects():
    """Return classes and functions by their first public name."""
    found = {}
    for name in public_modules():
        module = importlib.import_module(name)
        for attribute in module.__all__:
            thing = getattr(module, attribute)
            if callable(thing):
                found.setdefault(thing, f"{name}.{attribute}")
    return {name: thing for thing, name in found.items()}


PUBLIC = public_objects()


def run(*arguments):
    result = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow_but_first
@pytest.mark.parametrize(
    "statement",
    [
        "import sklearn_mmoe",
        "from sklearn_mmoe import MultiTaskMMoEClassifier as C; C().get_params()",
        "import sklearn_mmoe.datasets, sklearn_mmoe.metrics",
        "import sklearn_mmoe.preprocessing",
    ],
)
def test_import_is_light(statement):
    code = (
        f"{statement}; import sys; print(*{{'keras', 'tensorflow', 'matplotlib', "
        "'scikeras', 'jax', 'torch'} & set(sys.modules))"
    )
    assert run("-c", code) == ""


# They import Keras at once; the others do so at the first fit.
OF_KERAS = re.compile(
    r"sklearn_mmoe\.(architectures|callbacks|layers|losses|networks|regularizers)"
)
IMPORT_ALL = """
import importlib
assert False, "-OO drops docstrings and assert statements"
for name in {names}:
    module = importlib.import_module(name)
    for attribute in module.__all__:
        getattr(module, attribute)
print(module.__doc__)
"""


@pytest.mark.slow
def test_without_docstrings():
    names = [name for name in public_modules() if not OF_KERAS.match(name)]
    assert run("-OO", "-c", IMPORT_ALL.format(names=names)) == "None"


@pytest.mark.slow
def test_keras_without_docstrings():
    tensorflow = subprocess.run(
        [sys.executable, "-OO", "-c", "import tensorflow"],
        capture_output=True,
        check=False,
    )
    if tensorflow.returncode:
        pytest.skip("this version of TensorFlow needs docstrings itself")
    code = """
from sklearn_mmoe import MultiTaskMMoEClassifier
X = [[0.0, 1.0], [1.0, 0.0]] * 8
clf = MultiTaskMMoEClassifier(num_experts=2, max_iter=1).fit(X, [0, 1] * 8)
print(clf.predict_proba(X).shape)
"""
    code = IMPORT_ALL.format(names=public_modules()) + code
    assert run("-OO", "-c", code).splitlines() == ["None", "(16, 2)"]


def test_submodules_and_names_are_there():
    assert sklearn_mmoe.datasets.make_related_tasks
    assert sklearn_mmoe.MultiTaskMMoEClassifier
    assert {"layers", "metrics", "MultiTaskMMoERegressor"} <= set(dir(sklearn_mmoe))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sklearn_mmoe.nothing


def test_version():
    assert sklearn_mmoe.__version__ == metadata.version("sklearn-mmoe")


def test_how_to_cite():
    """CITATION.cff has what its schema requires, and tells this version."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert str(citation["version"]) == sklearn_mmoe.__version__
    assert citation["license"] == PROJECT["project"]["license"]
    assert citation["repository-code"] == PROJECT["project"]["urls"]["Source"]
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert sklearn_mmoe.__name__ in citation["title"]
    (paper,) = citation["references"]
    assert {"type", "title", "authors", "year", "doi"} <= set(paper)
    assert paper["authors"][0] == {"family-names": "Ma", "given-names": "Jiaqi"}


def test_the_version_switcher_knows_this_version():
    path = ROOT / "docs" / "_static" / "switcher.json"
    versions = json.loads(path.read_text(encoding="utf-8"))
    assert sum(entry.get("preferred", False) for entry in versions) == 1
    assert sklearn_mmoe.__version__ in {entry["version"] for entry in versions}
    site = PROJECT["project"]["urls"]["Documentation"]
    assert all(entry["url"].startswith(f"{site}/en/") for entry in versions)


def test_readme_shows_outside_the_repository():
    """Package indexes show the README too, where relative addresses lead nowhere."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)|(?:src|href)=\"([^\"]+)\"", readme)
    addresses = [markdown or html for markdown, html in links]
    assert len(addresses) > 5
    assert [a for a in addresses if not a.startswith("https://")] == []
    # What the addresses name in this repository is there.
    source = PROJECT["project"]["urls"]["Source"]
    raw = source.replace("github.com", "raw.githubusercontent.com")
    within = re.compile(rf"(?:{source}/blob|{raw})/main/(.+)")
    paths = [match[1] for match in map(within.match, addresses) if match]
    assert any(path.endswith(".png") for path in paths)
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_python_versions_are_told_once():
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    prefix = "Programming Language :: Python :: "
    told = [
        classifier.removeprefix(prefix)
        for classifier in PROJECT["project"]["classifiers"]
        if classifier.startswith(prefix)
    ]
    minors = [version for version in told if version.startswith("3.")]
    assert minors[0] == lowest
    assert PROJECT["tool"]["mypy"]["python_version"] == lowest
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + lowest.replace(".", "")


# Keras documents these methods of layers, callbacks and regularizers; ours say what
# they do, and need not tell again what they are called with.
KERAS_METHODS = {
    "build",
    "compute_mask",
    "compute_output_shape",
    "get_config",
    "on_epoch_end",
    "on_train_begin",
    "on_train_end",
}


def methods(cls):
    """List the public methods and properties that this package wrote."""
    for name, method in inspect.getmembers_static(cls):
        function = getattr(method, "fget", None) or getattr(method, "__func__", method)
        module = getattr(inspect.unwrap(function), "__module__", None) or ""
        if not name.startswith("_") and module.startswith("sklearn_mmoe."):
            yield name


def faults(name, without):
    """List what numpydoc finds wrong, but for the checks that the project leaves out.

    pyproject.toml lists those; the documentation's build leaves the same ones out.
    """
    checks = PROJECT["tool"]["numpydoc_validation"]["checks"]
    assert checks[0] == "all"
    left_out = {*checks[1:], *without}
    return [
        f"{name}: {code} {text}"
        for code, text in validate(name)["errors"]
        if code not in left_out
    ]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_whole(name):
    thing = PUBLIC[name]
    found = faults(name, without=())
    if "Examples\n--------\n" not in inspect.getdoc(thing):
        found.append(f"{name}: no example")
    for method in methods(thing) if inspect.isclass(thing) else ():
        without = ("PR01", "RT01") if method in KERAS_METHODS else ()
        found += faults(f"{name}.{method}", without)
    assert found == []


@pytest.mark.parametrize("name", PUBLIC)
def test_documented_defaults_are_the_real_ones(name):
    thing = PUBLIC[name]
    documented = {
        parameter.strip(): entry.type
        for entry in NumpyDocString(inspect.getdoc(thing))["Parameters"]
        for parameter in entry.name.split(",")
    }
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            told = re.search(r"default=(.+)", documented[parameter.name])
            real = parameter.default
            assert (told is None) == (real is parameter.empty), parameter
            assert told is None or eval(told[1]) == real, parameter


@pytest.mark.parametrize(
    "name", [name for name in sklearn_mmoe.__all__ if name.startswith("MultiTask")]
)
def test_every_parameter_of_an_estimator_is_constrained(name):
    cls = getattr(sklearn_mmoe, name)
    parameters = set(inspect.signature(cls).parameters)
    assert set(cls._parameter_constraints) == parameters
