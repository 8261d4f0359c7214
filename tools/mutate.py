"""Put small faults into the code, one after another, and see whether tests notice.

``python tools/mutate.py sklearn_mmoe/_tasks/weights.py`` changes a copy of the tree,
never the tree itself: a comparison, a sign, a constant, a keyword left out, a statement
removed. For each fault it runs the tests that tools/mutate.toml names for the module,
until one of them fails. What no test notices is printed as a diff.

Results are appended to a file, and what stands there is not run again, so that a run
may be interrupted. Slow tests are left out. ``--survivors`` runs those again that
survived; with ``--slow`` the slow tests may notice them too.
"""

from __future__ import annotations

import argparse
import ast
import copy
import difflib
import fnmatch
import hashlib
import json
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SETTINGS = Path(__file__).with_suffix(".toml")

COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
OPPOSITES = (
    ("min", "max"),
    ("any", "all"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("floor", "ceil"),
    ("zeros", "ones"),
)
# Keywords that change nothing that is computed: of zip, of dataclasses, of warnings.
GUARDS = {"strict", "frozen", "repr", "stacklevel"}
NAMES = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}


@dataclass(frozen=True)
class Mutant:
    """One fault in one module.

    Attributes
    ----------
    module : str
        Path of the module in the tree.
    source : str
        The module's text with the fault.
    diff : str
        What it changes.
    key : str
        Name of the fault, which stays the same where lines around it change.
    """

    module: str
    source: str
    diff: str
    key: str


def mutants(module: str, source: str) -> list[Mutant]:
    """Make all faults of a module, each of them once."""
    content = source.encode()
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: dict[str, Mutant] = {}
    counts: Counter[str] = Counter()
    tree = ast.parse(source)
    sound = ast.dump(tree)
    for node, text in replacements(tree):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        changed = (content[:begin] + text.encode() + content[end:]).decode()
        if changed in found or ast.dump(ast.parse(changed)) == sound:
            continue
        lines = difflib.unified_diff(
            source.splitlines(),
            changed.splitlines(),
            module,
            module,
            n=1,
            lineterm="",
        )
        diff = "\n".join(line.rstrip() for line in lines)
        told = re.sub(r"^@@.*$", "@@", diff, flags=re.MULTILINE)
        counts[told] += 1
        name = f"{told}{counts[told]}"
        key = hashlib.sha256(name.encode()).hexdigest()[:10]
        found[changed] = Mutant(module, changed, diff, key)
    return list(found.values())


def replacements(tree: ast.AST) -> Iterator[tuple[Any, str]]:
    """Yield nodes, each with a text that makes a fault of it."""
    for node in code(tree):
        if isinstance(node, ast.stmt):
            yield from ((node, text) for text in instead_of_statement(node))
        if isinstance(node, ast.If | ast.While | ast.IfExp) and not isinstance(
            node.test, ast.Compare | ast.BoolOp | ast.UnaryOp
        ):
            yield node.test, f"(not {ast.unparse(node.test)})"
        if isinstance(node, ast.expr):
            for changed in instead_of_expression(node):
                text = ast.unparse(changed)
                alone = isinstance(changed, ast.Name | ast.Attribute | ast.Constant)
                yield node, text if alone else f"({text})"
        if isinstance(node, ast.Call):
            for i, keyword in enumerate(node.keywords):
                if keyword.arg not in {None, *GUARDS}:
                    fewer = copy.copy(node)
                    fewer.keywords = node.keywords[:i] + node.keywords[i + 1 :]
                    yield node, ast.unparse(fewer)


def code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs and can be told from outside.

    That is no annotation and no text of a message; nor what guards against what does
    not happen, or tells where a warning points to.
    """
    if is_for_type_checkers(node) or isinstance(node, ast.JoinedStr):
        return
    if isinstance(node, ast.keyword) and node.arg in GUARDS:
        return
    yield node
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from code(child)


def is_for_type_checkers(node: ast.AST) -> bool:
    """Tell whether a statement never runs."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def instead_of_statement(node: ast.stmt) -> Iterator[str]:
    """Yield ``pass`` for statements that can go, and the opposite of others."""
    if isinstance(node, ast.Expr):
        # A docstring does nothing; a generator without its yield is another function.
        gone = not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
    elif isinstance(node, ast.Assign):
        # Without a variable the next line that reads it fails; no test is needed.
        gone = not isinstance(node.targets[0], ast.Name)
    elif isinstance(node, ast.AnnAssign):
        gone = node.value is not None and not isinstance(node.target, ast.Name)
    else:
        gone = isinstance(node, ast.AugAssign | ast.Raise | ast.Delete)
    if gone:
        yield "pass"
    if isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS:
        changed = copy.copy(node)
        changed.op = OPERATORS[type(node.op)]()
        yield ast.unparse(changed)
    if isinstance(node, ast.Continue):
        yield "break"
    if isinstance(node, ast.Break):
        yield "continue"


def instead_of_expression(node: ast.expr) -> Iterator[ast.expr]:
    """Yield expressions that are nearly the same."""
    changed: Any = copy.copy(node)
    match node:
        case ast.Compare():
            for i, op in enumerate(node.ops):
                for other in COMPARISONS[type(op)]:
                    changed = copy.copy(node)
                    changed.ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                    yield changed
        case ast.BinOp() if type(node.op) in OPERATORS and not is_text(node):
            changed.op = OPERATORS[type(node.op)]()
            yield changed
        case ast.BoolOp():
            changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield changed
        case ast.UnaryOp():
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 if value else 1.0)
        case ast.Name(id=name) if name in NAMES:
            changed.id = NAMES[name]
            yield changed
        case ast.Attribute(attr=name) if name in NAMES:
            changed.attr = NAMES[name]
            yield changed


def is_text(node: ast.BinOp) -> bool:
    """Tell whether an operator puts strings together, or formats one."""
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        or (isinstance(side, ast.BinOp) and is_text(side))
        for side in (node.left, node.right)
    )


@dataclass(frozen=True)
class Tree:
    """A folder with a copy of the tree, in which tests run on a faulty module.

    Attributes
    ----------
    folder : Path
        The folder.
    imports : sequence of str
        Modules that tests need, imported once for all of them.
    """

    folder: Path
    imports: Sequence[str] = ()
    _process: list[subprocess.Popen[str]] = field(default_factory=list)

    @classmethod
    def copied(cls, folder: Path, imports: Sequence[str] = ()) -> Tree:
        """Copy what git knows of the tree, and what it does not ignore."""
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        return cls(folder, imports)

    def run(
        self, tests: list[str], timeout: float | None, first: Sequence[str] = ()
    ) -> tuple[str, str | None]:
        """Run tests up to the first failure, and some of them first.

        Returns
        -------
        outcome : {'survived', 'killed', 'timeout'}
            Whether a test noticed.
        test : str or None
            The test that did.
        """
        arguments = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
        arguments += ["--tb=no", *tests]
        status, output = self._ask(
            {"arguments": arguments, "first": [*first, *tests], "timeout": timeout}
        )
        if status is None:
            return "timeout", None
        if status in {4, 5}:  # wrong usage, or no tests at all
            raise RuntimeError(output)
        if status == 0:
            return "survived", None
        # Names of parameters may hold spaces; " - " begins the message.
        noticed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
        return "killed", noticed[1] if noticed else None

    def _ask(self, request: dict[str, Any]) -> tuple[int | None, str]:
        """Hand a request to the process that forks; start it if there is none."""
        if not self._process:
            self._process.append(self._start())
        process = self._process[0]
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            status, output = json.loads(process.stdout.readline())
        except BaseException:
            self.close()
            raise
        return status, output

    def _start(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            # Two versions of a module within a second and of one size look the same
            # to Python, which would take the compiled first for the second.
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.Popen(
            [sys.executable, str(HERE / "forked_tests.py"), *self.imports],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def close(self) -> None:
        """End the process that forks."""
        while self._process:
            process = self._process.pop()
            process.terminate()
            process.communicate()

    def run_with(
        self,
        mutant: Mutant,
        tests: list[str],
        timeout: float,
        first: Sequence[str] = (),
    ) -> tuple[str, str | None]:
        """Run tests with the fault in place."""
        path = self.folder / mutant.module
        sound = path.read_text(encoding="utf-8")
        path.write_text(mutant.source, encoding="utf-8")
        try:
            return self.run(tests, timeout, first)
        finally:
            path.write_text(sound, encoding="utf-8")


class Results:
    """What became of each fault, in memory and in a file of a line for each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.by_key: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                record = json.loads(line)
                self.by_key[record["key"]] = record

    def add(self, **record: Any) -> None:
        """Keep what became of a fault."""
        self.by_key[record["key"]] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def outcome(self, mutant: Mutant) -> str | None:
        """Look up what became of a fault; None where it has not been run."""
        record = self.by_key.get(mutant.key)
        return None if record is None else record["outcome"]

    def most_watchful(self, module: str) -> list[str]:
        """List the tests that noticed most faults of a module, the best of them first.

        Where they run first, most faults are noticed at once.
        """
        noticed = Counter(
            record["test"]
            for record in list(self.by_key.values())
            if record["module"] == module and record["test"]
        )
        return [test for test, _ in noticed.most_common(20)]


def tests_of(module: str, settings: dict[str, Any]) -> list[str]:
    """Look up which test files are to notice the faults of a module."""
    for pattern, tests in settings["tests"].items():
        if fnmatch.fnmatch(module, pattern):
            return list(tests)
    raise SystemExit(f"{SETTINGS.name} names no tests for {module}.")


def modules_in(paths: list[str]) -> list[str]:
    """List the modules that are named, or lie in the folders that are."""
    modules: list[str] = []
    for path in map(Path, paths):
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        modules += [str(file.resolve().relative_to(ROOT)) for file in found]
    return modules


def run_all(
    todo: list[Mutant],
    tests: dict[str, list[str]],
    imports: Sequence[str],
    results: Results,
    workers: int,
    timeout: float | None,
) -> None:
    """Run the tests on each fault, several of them at once."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        trees: queue.Queue[Tree] = queue.Queue()
        for i in range(workers):
            tree = Tree.copied(Path(folder, str(i)), imports)
            stack.callback(tree.close)
            trees.put(tree)
        limits = {
            tuple(of_module): timeout or sound_time(trees, of_module)
            for of_module in {tuple(tests[mutant.module]) for mutant in todo}
        }

        def run(mutant: Mutant) -> None:
            of_module = tests[mutant.module]
            tree, begin = trees.get(), time.perf_counter()
            outcome, test = tree.run_with(
                mutant,
                of_module,
                limits[tuple(of_module)],
                results.most_watchful(mutant.module),
            )
            trees.put(tree)
            seconds = round(time.perf_counter() - begin, 1)
            results.add(
                key=mutant.key,
                module=mutant.module,
                outcome=outcome,
                test=test,
                seconds=seconds,
            )
            print(f"{mutant.key} {mutant.module} {outcome} {seconds} s", flush=True)

        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(run, todo):
                pass


def sound_time(trees: queue.Queue[Tree], tests: tuple[str, ...]) -> float:
    """Run tests without any fault; return the time that one with a fault may take."""
    tree, begin = trees.get(), time.perf_counter()
    outcome, test = tree.run(list(tests), None)
    trees.put(tree)
    if outcome != "survived":
        raise SystemExit(f"{test} fails without any fault: {' '.join(tests)}")
    return 4 * (time.perf_counter() - begin) + 60


def report(
    by_module: dict[str, list[Mutant]], results: Results, equivalents: dict[str, str]
) -> None:
    """Print what became of the faults, and those that no test noticed."""
    total: Counter[str] = Counter()
    for module, of_module in by_module.items():
        counts = Counter(
            "equivalent" if mutant.key in equivalents else results.outcome(mutant)
            for mutant in of_module
        )
        for mutant in of_module:
            if mutant.key not in equivalents and results.outcome(mutant) == "survived":
                print(f"\n{mutant.key}\n{mutant.diff}")
        total.update(counts)
        print(f"\n{module}: {in_words(counts)}")
    print(f"\nIn all: {in_words(total)}")


def in_words(counts: Counter[Any]) -> str:
    """Tell how many faults were noticed, of those that are any."""
    killed = counts["killed"] + counts["timeout"]
    run = killed + counts["survived"]
    share = f"{killed / run:.1%} of {run} killed" if run else "none run"
    return (
        f"{share}, {counts['survived']} survived, {counts['timeout']} of the killed by "
        f"time, {counts['equivalent']} equivalent, {counts[None]} not run"
    )


def main() -> None:
    """Read the command line, make the faults, run the tests and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", help="modules, or folders of them")
    parser.add_argument("--tests", nargs="+", help="instead of those in mutate.toml")
    parser.add_argument("--only", type=int, help="a random sample of so many faults")
    parser.add_argument("--seed", type=int, default=0, help="of the random sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float, help="seconds for the tests of one")
    parser.add_argument("--results", type=Path, default=ROOT / "build/mutate.jsonl")
    parser.add_argument("--survivors", action="store_true", help="run these again")
    parser.add_argument("--slow", action="store_true", help="run slow tests too")
    parser.add_argument("--report", action="store_true", help="run none, only report")
    arguments = parser.parse_args()

    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    equivalents = settings["equivalents"]
    modules = modules_in(arguments.paths)
    made = [
        mutant
        for module in modules
        for mutant in mutants(module, (ROOT / module).read_text(encoding="utf-8"))
    ]
    if arguments.only is not None and arguments.only < len(made):
        made = random.Random(arguments.seed).sample(made, arguments.only)
    results = Results(arguments.results)
    again = {None, "survived"} if arguments.survivors else {None}
    todo = [
        mutant
        for mutant in made
        if mutant.key not in equivalents and results.outcome(mutant) in again
    ]
    if todo and not arguments.report:
        every = ["-m", ""] if arguments.slow else []
        tests = {
            module: [*(arguments.tests or tests_of(module, settings)), *every]
            for module in {mutant.module for mutant in todo}
        }
        random.Random(arguments.seed).shuffle(todo)  # early figures tell of all
        imports = settings["imports"]
        run_all(todo, tests, imports, results, arguments.workers, arguments.timeout)
    by_module: dict[str, list[Mutant]] = {module: [] for module in modules}
    for mutant in made:
        by_module[mutant.module].append(mutant)
    report({m: found for m, found in by_module.items() if found}, results, equivalents)


if __name__ == "__main__":
    main()
