"""The tool that puts faults into the code makes those that it says it makes."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "tools" / "mutate.py"


@pytest.fixture(scope="module")
def mutate():
    spec = importlib.util.spec_from_file_location("mutate", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutate"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(mutate, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    with contextlib.closing(mutate.Tree(tmp_path, imports=["json"])) as tree:
        yield tree


def faults(mutate, source):
    """Return what takes the place of a module's only line."""
    return {mutant.source for mutant in mutate.mutants("module.py", source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = b < c", {"a = (b <= c)", "a = (b >= c)"}),
        ("a = b == c", {"a = (b != c)"}),
        ("a = b is None", {"a = (b is not None)"}),
        ("a = b + c", {"a = (b - c)"}),
        ("a = 'b' + c", set()),
        ("a = b and c", {"a = (b or c)"}),
        ("a = not b", {"a = b"}),
        ("a = 1", {"a = 2"}),
        ("a = 0.5", {"a = 1.0"}),
        ("a = True", {"a = False"}),
        ("a = min(b)", {"a = max(b)"}),
        ("a = b.any()", {"a = b.all()"}),
        ("a = f(b, c=d)", {"a = f(b)"}),
        ("a = zip(b, c, strict=True)", set()),
        ("a = field(frozen=True, repr=False, stacklevel=2)", set()),
        ("a.b = c", {"pass"}),
        ("a += b", {"pass", "a -= b"}),
        ("f(a)", {"pass"}),
        ("raise E", {"pass"}),
        ("a = b if c else d", {"a = b if (not c) else d"}),
        ("a: Literal[1] = b", set()),
        ("a = f'{b + 1}'", set()),
        ("'text'", set()),
        ("a = 'ü', 1", {"a = 'ü', 2"}),  # offsets count bytes
    ],
)
def test_faults(mutate, source, expected):
    assert faults(mutate, source) == expected


def test_keys_stay_where_lines_move(mutate):
    source = "a = 1\nb = 2\na = 1\n"
    before = mutate.mutants("module.py", source)
    after = mutate.mutants("module.py", "import c\n\n\n" + source)
    assert len({mutant.key for mutant in before}) == len(before) == 3
    # The first line's neighbour has changed; the others' have not.
    assert [m.key for m in after][1:] == [m.key for m in before][1:]


@pytest.mark.slow
def test_every_fault_of_the_package_is_python(mutate):
    root = PATH.parent.parent
    for path in (root / "sklearn_mmoe" / "_tasks").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        for mutant in mutate.mutants(path.name, source):
            ast.parse(mutant.source)
            assert mutant.diff.count("\n+") >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "timeout", "outcome"),
    [
        ("assert f(1) == 2", 60, ("killed", "test_f.py::test_f")),
        ("assert f(1) < 3", 60, ("survived", None)),
        ("while f(1) < 1: pass", 3, ("timeout", None)),
    ],
)
def test_outcomes(mutate, tree, test, timeout, outcome):
    source = "def f(x):\n    return x + 1\n"
    (tree.folder / "f.py").write_text(source)
    (tree.folder / "test_f.py").write_text(
        f"from f import f\n\n\ndef test_f():\n    {test}\n"
    )
    assert tree.run(["test_f.py"], timeout=60) == ("survived", None)
    mutant = mutate.Mutant("f.py", source.replace("+", "-"), "", "key")
    assert tree.run_with(mutant, ["test_f.py"], timeout) == outcome
    assert (tree.folder / "f.py").read_text() == source


@pytest.mark.slow
def test_watchful_tests_run_first(tree):
    (tree.folder / "test_f.py").write_text(
        "".join(f"def test_{name}(): assert False\n" for name in "abc")
    )
    first = ["test_f.py::test_c", "test_gone.py::test_a"]
    assert tree.run(["test_f.py"], 60) == ("killed", "test_f.py::test_a")
    assert tree.run(["test_f.py"], 60, first) == ("killed", first[0])
    named = ["test_f.py::test_b", "test_f.py"]
    assert tree.run(named, 60) == ("killed", named[0])
