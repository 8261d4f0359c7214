"""Import Keras and its backend once, quietly and with the right number of threads.

Every module that needs Keras imports this one first. TensorFlow reads its settings
from the environment at import, and its start-up messages ("Could not find cuda
drivers", "oneDNN custom operations are on") go straight to file descriptor 2, where
Python's logging cannot reach them.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

# Start-up messages that tell a user of this package nothing.
_NOISE = re.compile(
    rb"absl::InitializeLog|oneDNN custom operations|cuda|TF-TRT|"
    rb"cpu_feature_guard|rebuild TensorFlow with the appropriate|"
    rb"Unable to register cu|computation placer already registered",
    re.IGNORECASE,
)


# Remembers, for child processes, the limit that this one has set.
_OUR_LIMIT = "SKLEARN_MMOE_NUM_THREADS"


def _limit_threads() -> None:
    """Let TensorFlow's pools follow the limit that joblib gives its workers.

    joblib tells worker processes through ``OMP_NUM_THREADS`` how many threads they
    may start; TensorFlow reads variables of its own.
    """
    limit = os.environ.get("OMP_NUM_THREADS")
    if not limit:
        return
    # What a parent process has set here goes for itself, and not for its workers.
    of_parent = os.environ.get(_OUR_LIMIT)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        if os.environ.get(name) in (None, of_parent):
            os.environ[name] = limit
    os.environ[_OUR_LIMIT] = limit


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back what is written to file descriptor 2; hand on all but the noise."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no stderr at all: nothing to do
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not _NOISE.search(line):
                    os.write(2, line)


# The process in which TensorFlow has run something; None while it has not.
_started_in: int | None = None


def check_not_forked() -> None:
    """Raise an error where TensorFlow would wait for ever.

    Its threads are not there in a process that was forked after it had started.

    Raises
    ------
    RuntimeError
        If this process was forked from one in which TensorFlow had run.
    """
    global _started_in
    if _started_in is None:
        _started_in = os.getpid()
    if _started_in != os.getpid():
        raise RuntimeError(
            "This process was forked after TensorFlow had started in its parent, where "
            "TensorFlow hangs. Start worker processes with joblib's default backend "
            "'loky' or multiprocessing.get_context('spawn'), or fork before the first "
            "fit and before Keras is imported."
        )


def require_tensorflow() -> None:
    """Raise an error in words where Keras runs on another backend.

    Raises
    ------
    RuntimeError
        If Keras' backend is not TensorFlow.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise RuntimeError(
            "The estimators of sklearn_mmoe train and predict with TensorFlow, but "
            f"Keras runs on {backend!r} here. Set the environment variable "
            "KERAS_BACKEND=tensorflow before Keras is imported. (The layers and "
            "networks alone run on every backend.)"
        )


if "keras" not in sys.modules and "tensorflow" not in sys.modules:
    _limit_threads()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without_noise():
        import keras

        # A process of a cluster joins that before the runtime starts; see `distribute`.
        alone = "TF_CONFIG" not in os.environ
        if keras.backend.backend() == "tensorflow" and alone:
            # The first op starts the runtime, and with it the rest of the messages.
            keras.ops.zeros(())
            _started_in = os.getpid()

import keras  # noqa: E402
