"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

``pip install -c`` takes a file with what ``python .ci/lowest.py`` prints.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

EXTRAS = ("plot", "test")
# Not ours to ask for, but what newer versions of them do is an error in the tests.
INDIRECT = (
    "pyparsing<3.3",  # deprecates names that matplotlib 3.9 takes from it
)


def lowest_versions(project: dict) -> list[str]:
    """Turn each requirement ``name>=version`` into ``name==version``."""
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    pinned = set()
    for requirement in requirements:
        match = re.fullmatch(r"([\w-]+)(?:\[.+\])?>=([\w.]+)", requirement)
        if match is None:
            raise ValueError(f"No lowest version is told by {requirement!r}.")
        pinned.add(f"{match[1]}=={match[2]}")
    return sorted(pinned)


if __name__ == "__main__":
    pyproject = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    print(*lowest_versions(project), *INDIRECT, sep="\n")
