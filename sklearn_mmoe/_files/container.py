"""A sealed zip of one JSON document and one block of arrays.

The zip's comment ends in the SHA-256 of all bytes before it, so that a change or a cut
anywhere is noticed. It is a seal against accidents, not a signature: who changes a file
on purpose can seal it anew. So nothing is taken from a file that could do harm either:
its parts are not compressed, and so never larger than the file, and hold JSON and plain
arrays.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

__all__ = ["read", "remove_unfinished", "replacing", "write"]

_DOCUMENT, _ARRAYS = "document.json", "arrays.safetensors"
_SEAL = b"sklearn_mmoe, sha256 of all before: "
_DIGEST_LENGTH = 64
# Begin of the name of a file that is being written.
_UNFINISHED = ".sklearn_mmoe-"
# zip has no older date; with one for all, equal contents make equal files.
_NO_DATE = (1980, 1, 1, 0, 0, 0)

# What reading raises where somebody has sealed anew what they have changed.
_DAMAGES = (
    ValueError,
    TypeError,
    KeyError,  # a kind of number that NumPy does not know
    RuntimeError,  # an encrypted part; JSON that is too deep; NotImplementedError
    EOFError,
    OSError,  # a place in the file that there is none of
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    SafetensorError,
)


def write(
    path: str | os.PathLike[str],
    document: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write a file whole, or leave the old one as it is.

    Parameters
    ----------
    path : str or path-like
        Where to.
    document : mapping
        What JSON can hold, without NaN or infinity.
    arrays : mapping of str to ndarray
        Arrays of numbers, by name.

    Raises
    ------
    OSError
        If it cannot be written; what stood at `path` before is still there.
    """
    with replacing(path) as file:
        file.write(_sealed(document, arrays))


def _sealed(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    text = json.dumps(document, allow_nan=False).encode()
    # safetensors writes the memory that lies behind an array.
    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = _SEAL + b"0" * _DIGEST_LENGTH
        archive.writestr(zipfile.ZipInfo(_DOCUMENT, _NO_DATE), text)
        archive.writestr(zipfile.ZipInfo(_ARRAYS, _NO_DATE), save_arrays(plain))
    content = buffer.getvalue()[:-_DIGEST_LENGTH]
    return content + hashlib.sha256(content).hexdigest().encode()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a new file beside `path`, which takes its place once it is on the disk."""
    target = Path(os.path.realpath(path))  # a link stays one
    beside = target.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}.tmp")
    try:
        with open(beside, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # there may be no old one
            shutil.copymode(target, beside)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk, where a system can do so."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Delete what a process that was killed as it wrote has left in a folder."""
    for path in folder.glob(f"{_UNFINISHED}*.tmp"):
        path.unlink(missing_ok=True)


def read(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a file that :func:`write` has written.

    Parameters
    ----------
    path : str or path-like
        Where from.

    Returns
    -------
    document : dict
        The JSON document.
    arrays : dict of str to ndarray
        The arrays.

    Raises
    ------
    ValueError
        If it is another kind of file, or was changed or cut.
    OSError
        If there is no such file, or it cannot be read.
    """
    content = _sealed_content(path)
    try:
        parts = _parts(content)
        arrays = load_arrays(parts[_ARRAYS])
        # Copies, which can be written to and do not keep the file's bytes.
        copies = {name: array.copy() for name, array in arrays.items()}
        return _parse(parts[_DOCUMENT]), copies
    except _DAMAGES as error:
        raise ValueError(
            f"The file {str(path)!r} has the right checksum but a wrong content: "
            f"{error}. Nothing was loaded from it."
        ) from error


def _sealed_content(path: str | os.PathLike[str]) -> bytes:
    """Read a file whose seal is whole."""
    length = len(_SEAL) + _DIGEST_LENGTH
    with open(path, "rb") as file:
        # The end first: a file of another kind may be large.
        file.seek(max(file.seek(0, os.SEEK_END) - length, 0))
        end = file.read(length)
        if len(end) < length or not end.startswith(_SEAL):
            raise ValueError(
                f"The file {str(path)!r} was not written by sklearn_mmoe, or has been "
                "cut or changed at its end; nothing was loaded from it."
            )
        file.seek(0)
        content = file.read()
    digest = hashlib.sha256(memoryview(content)[:-_DIGEST_LENGTH]).hexdigest()
    if digest.encode() != content[-_DIGEST_LENGTH:]:
        raise ValueError(
            f"The file {str(path)!r} is not as it was written: its checksum differs. "
            "Nothing was loaded from it."
        )
    return content


def _parts(content: bytes) -> dict[str, bytes]:
    """Take out the two parts; nothing that would grow beyond the size of the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if names != [_DOCUMENT, _ARRAYS]:
            raise ValueError(f"it has other parts than ours, {names[:5]}")
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if not stored or sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("it has parts that are larger than itself")
        return {entry.filename: archive.read(entry) for entry in entries}


def _parse(text: bytes) -> dict[str, Any]:
    document = json.loads(text, parse_constant=_refuse_constant)
    if not isinstance(document, dict):
        raise ValueError("its document is no JSON object")
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"its document holds {name}")
