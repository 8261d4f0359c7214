"""Files that are kept in a folder and fetched into it: checked, never half written."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pooch

from sklearn_mmoe._warnings import warn

_logger = logging.getLogger(__name__)

# Seconds without an answer before the next address is tried.
_TIMEOUT = 10

Content = TypeVar("Content")


class DamagedFileError(ValueError):
    """A file is not what it should be; the message says what 'it' is or has."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be had from elsewhere.

    Attributes
    ----------
    name : str
        Path of the file in the data folder, with slashes.
    git_sha1 : str or None
        SHA-1 of the file as a git blob, where it is known.
    addresses : tuple of str
        Where it can be had, tried in this order.
    sha256 : str or None, default=None
        SHA-256 of the file, where it is known.
    """

    name: str
    git_sha1: str | None
    addresses: tuple[str, ...]
    sha256: str | None = None

    def check(self, path: Path) -> None:
        """Compare the checksums that are known; raise DamagedFileError if one differs.

        A file without a known checksum is checked by who reads it alone.
        """
        content = path.read_bytes()
        # git hashes a file's kind and size first, then its content.
        blob = b"blob %d\0" % len(content)
        sums = (
            (self.git_sha1, hashlib.sha1(blob, usedforsecurity=False)),
            (self.sha256, hashlib.sha256()),
        )
        for known, digest in sums:
            if known is not None:
                digest.update(content)
                if digest.hexdigest() != known:
                    raise DamagedFileError("it has a wrong checksum")


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which data files are looked for and kept.

    Parameters
    ----------
    data_home : str, path or None, default=None
        The folder; ``~`` stands for the user's home. None takes the environment
        variable ``SKLEARN_MMOE_DATA``, and where that is not set or empty the cache
        folder of the user.

    Returns
    -------
    Path
        The folder. It need not exist; a download makes it.

    Examples
    --------
    >>> from sklearn_mmoe.datasets import get_data_home
    >>> get_data_home("data").name
    'data'
    """
    if data_home is None:
        data_home = os.environ.get("SKLEARN_MMOE_DATA") or pooch.os_cache(
            "sklearn_mmoe"
        )
    return Path(data_home).expanduser()


def _read_checked(
    file: RemoteFile, path: Path, read: Callable[[Path], Content]
) -> Content:
    file.check(path)
    return read(path)


def _download(file: RemoteFile, path: Path, read: Callable[[Path], Content]) -> Content:
    """Fetch `file` to `path` from the first address that has it unharmed, and read it.

    Raises
    ------
    OSError
        If none has; the message says what went wrong at each.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the last step is one atomic rename.
        handle, name = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
    except OSError as error:
        raise OSError(f"  {path.parent} cannot be written to: {error}") from error
    os.close(handle)
    part = Path(name)
    problems = []
    try:
        for address in file.addresses:
            _logger.info("Downloading %s", address)
            try:
                pooch.HTTPDownloader(timeout=_TIMEOUT)(address, name, None)
            except OSError as error:  # all of requests' errors are
                answered = getattr(error, "response", None) is not None
                reason = str(error) if answered else type(error).__name__
                problems.append(f"  {address}: {reason}")
                continue
            try:
                content = _read_checked(file, part, read)
            except DamagedFileError as error:
                problems.append(f"  {address}: what came is no good, {error}")
                continue
            part.chmod(0o644)
            part.replace(path)
            return content
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    raise OSError("\n".join(problems))


def load(
    file: RemoteFile,
    folder: Path,
    download_if_missing: bool,
    read: Callable[[Path], Content],
) -> Content:
    """Read a file of a folder, which is fetched first if need be.

    Parameters
    ----------
    file : RemoteFile
        The file.
    folder : Path
        The data folder.
    download_if_missing : bool
        Whether a file that is absent or damaged may be fetched.
    read : callable
        Read the file at a path. It may raise DamagedFileError; what is fetched is
        kept only if it has been read.

    Returns
    -------
    object
        What `read` returned.

    Raises
    ------
    OSError
        If there is no good copy. The message says which file to put where, and which
        one to delete. A damaged file stays where it is until a good one replaces it.
    """
    path = folder / file.name
    damaged = path.exists()
    trouble = f"{path.name} is not in {path.parent}."
    if damaged:
        try:
            return _read_checked(file, path, read)
        except (DamagedFileError, IsADirectoryError) as error:
            trouble = f"{path} is damaged: {error}."
    if download_if_missing:
        if damaged:
            warn(f"{trouble} It is fetched again.")
        try:
            return _download(file, path, read)
        except OSError as error:
            trouble += f" Fetching it failed:\n{error}\n"
    else:
        trouble += " download_if_missing=False forbids to fetch it. "
    raise OSError(
        trouble
        + ("Delete it and download " if damaged else "Download ")
        + f"{' or '.join(file.addresses)} on a machine that can, and put the file, "
        f"not unpacked, in {path.parent} as {path.name}."
    )
