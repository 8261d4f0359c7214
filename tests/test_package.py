"""The package as a whole: its import, its names, its docstrings."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import sklearn_mmoe

MODULES = (
    "",
    ".callbacks",
    ".datasets",
    ".layers",
    ".losses",
    ".metrics",
    ".model_selection",
    ".networks",
    ".preprocessing",
)


def public_objects():
    for name in MODULES:
        module = importlib.import_module(f"sklearn_mmoe{name}")
        for attribute in module.__all__:
            if not attribute.startswith("__"):
                yield pytest.param(getattr(module, attribute), id=attribute)


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
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_submodules_and_names_are_there():
    assert sklearn_mmoe.datasets.make_related_tasks
    assert sklearn_mmoe.MultiTaskMMoEClassifier
    assert {"layers", "metrics", "MultiTaskMMoERegressor"} <= set(dir(sklearn_mmoe))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sklearn_mmoe.nothing


def test_version():
    from importlib.metadata import version

    assert sklearn_mmoe.__version__ == version("sklearn-mmoe")


@pytest.mark.parametrize("thing", list(public_objects()))
def test_docstrings_name_every_parameter(thing):
    doc = inspect.getdoc(thing)
    sections = ["Examples"]
    if inspect.signature(thing).parameters:
        sections.append("Parameters")
    for section in sections:
        assert f"{section}\n{'-' * len(section)}\n" in doc
    for name, parameter in inspect.signature(thing).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            assert name in doc.split("Returns\n---")[0]


@pytest.mark.parametrize(
    "name", [name for name in sklearn_mmoe.__all__ if name.startswith("MultiTask")]
)
def test_documented_defaults_are_the_real_ones(name):
    import re

    cls = getattr(sklearn_mmoe, name)
    doc = inspect.getdoc(cls)
    signature = inspect.signature(cls.__init__)
    constrained = set(cls._parameter_constraints)
    assert constrained == set(signature.parameters) - {"self"}
    for parameter in constrained:
        default = signature.parameters[parameter].default
        match = re.search(rf"^{parameter} : .*(?:\n .*)?default=(.+)$", doc, re.M)
        assert match, parameter
        assert eval(match[1]) == default, parameter
