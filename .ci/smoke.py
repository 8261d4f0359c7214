"""What a user does first, with nothing but the installed wheel.

Run by the interpreter of an environment that has the wheel and what it requires,
outside the source tree: ``python -I smoke.py``.
"""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import sysconfig
from importlib import metadata, resources
from pathlib import Path

import numpy as np

import sklearn_mmoe
from sklearn_mmoe import MultiTaskMMoEClassifier
from sklearn_mmoe.datasets import make_related_tasks


def check(condition: object, message: str) -> None:
    """Stop with a message unless a condition holds."""
    if not condition:
        raise SystemExit(f"smoke test: {message}")


def check_files() -> None:
    """Look at what the wheel brought: all of the package, and nothing beside it."""
    folder = Path(sysconfig.get_path("purelib"), "sklearn_mmoe")
    check(
        Path(sklearn_mmoe.__file__).parent == folder,
        f"{sklearn_mmoe.__file__} is not what was installed in {folder}",
    )
    version = metadata.version("sklearn-mmoe")
    check(version == sklearn_mmoe.__version__, f"metadata is of version {version}")
    package = resources.files("sklearn_mmoe")
    for name in ("py.typed", "datasets/descr/census_income.rst"):
        check(package.joinpath(name).is_file(), f"{name} is missing")
    beside = {file.parts[0] for file in metadata.files("sklearn-mmoe") or ()}
    beside -= {"sklearn_mmoe", f"sklearn_mmoe-{version}.dist-info"}
    check(not beside, f"the wheel also installs {sorted(beside)}")


def check_imports() -> None:
    """Import every module without what the extras bring."""
    for module in pkgutil.walk_packages(sklearn_mmoe.__path__, "sklearn_mmoe."):
        importlib.import_module(module.name)


def check_a_fit() -> None:
    """Fit, predict, and do so again after a round trip through a pickle."""
    X, y = make_related_tasks(
        n_samples=400, n_features=5, kind="classification", random_state=0
    )
    classifier = MultiTaskMMoEClassifier(num_experts=2, max_iter=20, random_state=0)
    probabilities = np.hstack(classifier.fit(X, y).predict_proba(X))
    check(probabilities.shape == (400, 4), f"probabilities {probabilities.shape}")
    accuracy = (classifier.predict(X) == y).mean()
    check(accuracy > 0.8, f"accuracy {accuracy:.2f}")
    again = pickle.loads(pickle.dumps(classifier))
    check(
        (np.hstack(again.predict_proba(X)) == probabilities).all(),
        "a pickle predicts otherwise",
    )


if __name__ == "__main__":
    check_files()
    check_imports()
    check_a_fit()
    print(f"The wheel of sklearn_mmoe {sklearn_mmoe.__version__} works.")
