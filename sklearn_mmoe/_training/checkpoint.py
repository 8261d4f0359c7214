"""Checkpoints: a fit that was killed goes on from its last whole epoch."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mmoe._files import container
from sklearn_mmoe._training.observer import EpochRecord, Observer
from sklearn_mmoe._warnings import warn

if TYPE_CHECKING:
    from sklearn_mmoe._training.trainer import Trainer

__all__ = ["Checkpoints"]

_FORMAT = 4
_NAME = re.compile(r"epoch-(\d{6,})\.checkpoint")
# How many are kept: if the last one is torn, there is one before it.
_KEPT = 2


class Checkpoints:
    """The checkpoints of one fit, in a folder.

    A checkpoint holds all that decides how training goes on: weights, where dropout
    stands, the optimizer, what weighs the tasks, the records of the epochs so far, and
    what early stopping or cross-validation keeps. The order of the rows follows from a
    seed and the number of an epoch.

    Parameters
    ----------
    folder : str or path-like
        The folder; made if there is none.
    reads_only : bool, default=False
        Whether another process writes them, and deletes them in the end.

    Raises
    ------
    OSError
        If it cannot be made or read.
    """

    def __init__(
        self, folder: str | os.PathLike[str], reads_only: bool = False
    ) -> None:
        self._folder = Path(folder)
        self._reads_only = reads_only
        self._folder.mkdir(parents=True, exist_ok=True)
        if not reads_only:
            container.remove_unfinished(self._folder)
        self._records: list[EpochRecord] = []
        self._fingerprint: dict[str, str] = {}
        self._seeds: list[int] = []
        self._latest = self._read_latest()

    def _files(self) -> dict[int, Path]:
        """Find the files by their epochs, the last one first."""
        found = {
            int(match[1]): path
            for path in self._folder.iterdir()
            if (match := _NAME.fullmatch(path.name))
        }
        return dict(sorted(found.items(), reverse=True))

    def _read_latest(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        for path in self._files().values():
            try:
                document, arrays = container.read(path)
                if document.get("checkpoint") == _FORMAT:
                    return document, arrays
                reason = "it is one of another release."
            except ValueError as error:
                reason = str(error)
            warn(
                f"The checkpoint {str(path)!r} cannot be used: {reason} Training goes "
                "on from the one before it, if there is one, and else begins anew.",
            )
        return None

    @property
    def seeds(self) -> list[int] | None:
        """The seeds of the fit that wrote the last checkpoint; None without one."""
        return None if self._latest is None else self._latest[0]["seeds"]

    @property
    def n_epochs(self) -> int:
        """Number of epochs that the last checkpoint is of; 0 without one."""
        return 0 if self._latest is None else len(self._latest[1]["penalties"])

    def begin(self, fingerprint: Mapping[str, str], seeds: Sequence[int]) -> None:
        """Say which fit this is.

        Parameters
        ----------
        fingerprint : mapping of str to str
            What decides how the fit goes, by name: a value, or its checksum.
        seeds : sequence of int
            Its seeds.

        Raises
        ------
        ValueError
            If the last checkpoint is one of another fit; it says in what they differ.
        """
        self._fingerprint, self._seeds = dict(fingerprint), list(seeds)
        if self._latest is None:
            return
        before = self._latest[0]["fingerprint"]
        names = [*self._fingerprint, *(set(before) - set(self._fingerprint))]
        differences = [
            _difference(name, before.get(name), fingerprint.get(name))
            for name in names
            if before.get(name) != fingerprint.get(name)
        ]
        if differences:
            raise ValueError(
                f"The checkpoint in {str(self._folder)!r} is of another fit: "
                f"{'; '.join(differences)}. Go on with the fit that wrote it, delete "
                "it, or give 'checkpoint_dir' another folder: each fit needs its own."
            )

    def restore(
        self, trainer: Trainer, observers: Sequence[Observer]
    ) -> list[EpochRecord]:
        """Bring training to where the last checkpoint left it.

        Parameters
        ----------
        trainer : Trainer
            Gets the weights, random states and the optimizer's state.
        observers : sequence of Observer
            They are told of the epochs so far.

        Returns
        -------
        list of EpochRecord
            The epochs so far.
        """
        from sklearn_mmoe._training.trainer import TrainingState

        if self._latest is None:
            return []
        document, arrays = self._latest
        self._latest = None  # what it holds may be large
        lists = {
            name: [arrays[f"{name}/{k}"] for k in range(length)]
            for name, length in document["lists"].items()
        }
        parts = ("weights", "random", "optimizer", "weighting")
        trainer.load(TrainingState(**{part: lists[part] for part in parts}))
        self._records = list(_records(document, arrays))
        for record in self._records:
            for observer in observers:
                observer.on_earlier_epoch(record)
        for k, observer in enumerate(observers):
            # Callbacks, the last of them, may be new.
            observer.set_arrays(lists.get(f"observer {k}", []))
        return list(self._records)

    def write(
        self, trainer: Trainer, observers: Sequence[Observer], record: EpochRecord
    ) -> None:
        """Write a checkpoint at the end of an epoch, and delete the oldest.

        Raises
        ------
        OSError
            If it cannot be written; the ones before it stay.
        """
        if self._reads_only:
            return
        self._records.append(record)
        state = trainer.state(with_optimizer=True)
        lists = {
            "weights": state.weights,
            "random": state.random,
            "optimizer": state.optimizer or [],
            "weighting": state.weighting or [],
            **{f"observer {k}": o.arrays() for k, o in enumerate(observers)},
        }
        document = {
            "checkpoint": _FORMAT,
            "fingerprint": self._fingerprint,
            "seeds": self._seeds,
            "validation": (
                None if record.validation_score is None else record.validation_name
            ),
            "lists": {name: len(arrays) for name, arrays in lists.items()},
        }
        arrays = {
            f"{name}/{k}": array
            for name, of_name in lists.items()
            for k, array in enumerate(of_name)
        }
        path = self._folder / f"epoch-{len(self._records):06d}.checkpoint"
        container.write(path, document, {**arrays, **_table(self._records)})
        for old in list(self._files().values())[_KEPT:]:
            old.unlink()

    def clear(self) -> None:
        """Delete the checkpoints of a fit that has ended, the last one last."""
        files = {} if self._reads_only else self._files()
        for path in reversed(files.values()):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _difference(name: str, before: str | None, now: str | None) -> str:
    if before is None or now is None:
        return f"{name} was {'not ' if before is None else ''}given then"
    if "sha256" in f"{before} {now}":
        return f"{name} is not the same"
    return f"{name} was {before}, and is now {now}"


def _table(records: Sequence[EpochRecord]) -> dict[str, np.ndarray]:
    """Bring the records of epochs to arrays."""
    scores = [r.validation_score for r in records if r.validation_score is not None]
    weighed = [r.task_weights for r in records if r.task_weights is not None]
    return {
        "task_losses": np.array([record.task_losses for record in records]),
        "task_weight": np.array([record.task_weight for record in records]),
        "task_weights": np.array(weighed),
        "penalties": np.array([record.penalty for record in records]),
        "scores": np.array(scores),
        "are_best": np.array([record.is_best for record in records]),
        "stops": np.array([record.stop for record in records]),
        "n_more": np.array([record.n_more for record in records]),
    }


def _records(
    document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> Iterator[EpochRecord]:
    """Bring the arrays of :func:`_table` back to records."""
    name, weighed = document["validation"], arrays["task_weights"]
    for epoch, losses in enumerate(arrays["task_losses"]):
        yield EpochRecord(
            epoch=epoch,
            task_losses=losses,
            penalty=float(arrays["penalties"][epoch]),
            task_weight=arrays["task_weight"][epoch],
            task_weights=weighed[epoch] if len(weighed) else None,
            validation_score=None if name is None else float(arrays["scores"][epoch]),
            validation_name=name or "loss",
            is_best=bool(arrays["are_best"][epoch]),
            stop=bool(arrays["stops"][epoch]),
            n_more=int(arrays["n_more"][epoch]),
        )
