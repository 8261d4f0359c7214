"""Run tests on request, each time in a fork of this process.

``python tools/forked_tests.py MODULE ...`` imports modules that the tests need, which
takes longer than most of the tests. Then it reads requests, a line of JSON each, from
its standard input and answers each by a line. TensorFlow may be among the modules: it
starts no threads before its first operation, and that is left to the forks.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import pytest


class InOrder:
    """A plugin of pytest that puts some tests, classes and files before all others.

    Pytest itself runs a class that is named before its file in the file's place.
    """

    def __init__(self, first: Sequence[str]) -> None:
        self._first = first

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Sort the tests that were collected."""
        items.sort(key=lambda item: self._rank(item.nodeid))

    def _rank(self, test: str) -> int:
        for i, name in enumerate(self._first):
            if test == name or test.startswith((f"{name}::", f"{name}[")):
                return i
        return len(self._first)


def run(arguments: list[str], first: list[str], timeout: float | None) -> Any:
    """Run pytest in a fork; return its exit status (None: out of time) and output."""
    with tempfile.TemporaryFile() as output:
        process = os.fork()
        if not process:
            _run_here(arguments, first, output.fileno())
        status = None
        try:
            status = _wait(process, timeout)
        finally:
            _kill_group(process)  # also the processes that the tests have started
            if status is None:
                os.waitpid(process, 0)
        output.seek(0)
        return status, output.read().decode(errors="replace")


def _run_here(arguments: list[str], first: list[str], output: int) -> None:
    """Run pytest in this process, and end it."""
    status = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = int(pytest.main(arguments, plugins=[InOrder(first)]))
        sys.stdout.flush()
    finally:
        os._exit(status)


def _wait(process: int, timeout: float | None) -> int | None:
    """Wait for the end of a process; return its exit status, or None."""
    end = float("inf") if timeout is None else time.monotonic() + timeout
    while time.monotonic() < end:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def _kill_group(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)


def main() -> None:
    """Import, then answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what modules print at import is no answer
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # not without its fork
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ.update(quiet)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for name in quiet:
        del os.environ[name]
    for line in sys.stdin:
        status, output = run(**json.loads(line))
        print(json.dumps([status, output]), file=answers, flush=True)


if __name__ == "__main__":
    main()
