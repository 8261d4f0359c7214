"""The architectures by the name that the `sharing` parameter gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn_mmoe._architectures.aitm import aitm
from sklearn_mmoe._architectures.cross_stitch import cross_stitch
from sklearn_mmoe._architectures.mmoe import mmoe, omoe
from sklearn_mmoe._architectures.ple import cgc, ple
from sklearn_mmoe._architectures.shared_bottom import shared_bottom
from sklearn_mmoe._architectures.single import single

__all__ = ["ARCHITECTURES"]

# Each is called with a maker of layers, the features and the sizes, and returns two
# lists: the tasks' linear models (empty without the wide part), and what each task's
# output layer reads.
ARCHITECTURES: dict[str, Callable[..., tuple[list[Any], list[Any]]]] = {
    "single": single,
    "shared_bottom": shared_bottom,
    "omoe": omoe,
    "mmoe": mmoe,
    "cgc": cgc,
    "ple": ple,
    "cross_stitch": cross_stitch,
    "aitm": aitm,
}
