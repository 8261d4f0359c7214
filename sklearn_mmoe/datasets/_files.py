"""Files that are kept in a folder and fetched into it: checked, never half written."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import pooch

_logger = logging.getLogger(__name__)

# Seconds without an answer before the next address is tried.
_TIMEOUT = 10


@dataclass(frozen=True)
class RemoteFile:
    """A file that is known by its content.

    Attributes
    ----------
    name : str
        File name in the data folder.
    git_sha1 : str
        SHA-1 of the file as a git blob.
    addresses : tuple of str
        Where it can be had, tried in this order.
    """

    name: str
    git_sha1: str
    addresses: tuple[str, ...]


def _git_sha1(path: Path) -> str:
    """Hash a file as git does: its kind and size first, then its content."""
    content = path.read_bytes()
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _is_good(file: RemoteFile, path: Path) -> bool:
    return _git_sha1(path) == file.git_sha1


def _download(file: RemoteFile, folder: Path) -> str | None:
    """Fetch `file` into `folder` from the first address that has it unharmed.

    Returns
    -------
    str or None
        What went wrong at each address, or None where one of them served.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In the same folder, so that the last step is one atomic rename.
        handle, name = tempfile.mkstemp(prefix=file.name + ".", dir=folder)
    except OSError as error:
        return f"  {folder} cannot be written to: {error}"
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
            if _is_good(file, part):
                part.chmod(0o644)
                part.replace(folder / file.name)
                return None
            problems.append(f"  {address}: what came has a wrong checksum")
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return "\n".join(problems)


def local_path(file: RemoteFile, folder: Path, download_if_missing: bool) -> Path:
    """Find a file in a folder, or fetch it.

    Parameters
    ----------
    file : RemoteFile
        The file.
    folder : Path
        Where it is kept.
    download_if_missing : bool
        Whether a file that is absent or damaged may be fetched.

    Returns
    -------
    Path
        The file, whose checksum has been verified.

    Raises
    ------
    OSError
        If there is no good copy. The message says which file to put where, and which
        one to delete. A damaged file stays where it is until a good one replaces it.
    """
    path = folder / file.name
    damaged = path.exists()
    if damaged and _is_good(file, path):
        return path
    trouble = (
        f"{path} is damaged: its checksum is not that of {file.name}."
        if damaged
        else f"{file.name} is not in {folder}."
    )
    if download_if_missing:
        if damaged:
            warnings.warn(f"{trouble} It is fetched again.", UserWarning, stacklevel=3)
        problems = _download(file, folder)
        if problems is None:
            return path
        trouble += f" Fetching it failed:\n{problems}\n"
    else:
        trouble += " download_if_missing=False forbids to fetch it. "
    raise OSError(
        trouble
        + ("Delete it and download " if damaged else "Download ")
        + f"{' or '.join(file.addresses)} on a machine that can, and put the file, "
        f"not unpacked, in {folder} as {file.name}."
    )
