"""The files of models in S3: written once by train, read by whoever judges, scores or watches with them."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from shared import storage
from shared.errors import ModelError
from shared.settings import S3Prefix

SUMS = "SHA256SUMS"
"""Lists a model's other files as ``sha256sum`` does; written last, so that without it a model is not whole."""
MOST_BYTES = 256 << 20
"""Of a model, which is read into memory altogether; those of the demo have less than one of these MiB."""
_fetched: list[TemporaryDirectory[str]] = []


def keep(folder: Path, place: S3Prefix) -> None:
    """Write a model's files below a place.

    Raises
    ------
    ConfigError, TransientError
        S3 refuses, or cannot be reached.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    for name, path in files.items():
        storage.write(place, name, path.read_bytes())
    storage.write(place, SUMS, "".join(f"{_sha256(path)}  {name}\n" for name, path in files.items()).encode())


@cache
def fetch(place: S3Prefix) -> Path:
    """Bring a model's files to a temporary folder, once a process; :func:`release` removes it.

    Raises
    ------
    ModelError
        They are not all there, or not as they were written.
    ConfigError, TransientError
        S3 refuses, or cannot be reached.
    """
    there = {file.uri: file for file in storage.listing(place, "")}
    if SUMS not in there:
        raise ModelError(f"model {place}: its files are not there; train a new one")
    if (size := sum(file.size for file in there.values())) > MOST_BYTES:
        raise ModelError(f"model {place}: takes {size >> 20} MiB, more than {MOST_BYTES >> 20}; train a new one")
    _fetched.append(TemporaryDirectory(prefix="claimsight-model-"))
    folder = Path(_fetched[-1].name)
    with there[SUMS].local() as path:
        sums = [line.split("  ", 1) for line in path.read_text(errors="replace").splitlines()]
    # What stands in the list alone, so that nothing that was laid beside it is read.
    for digest, name in sums:
        if name not in there or not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"model {place}: {name} is not there; train a new one")
        with there[name].local() as path:
            if _sha256(path) != digest:
                raise ModelError(f"model {place}: {name} is not as it was written; train a new one")
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, folder / name)
    return folder


def release() -> None:
    """Remove what was fetched."""
    while _fetched:
        _fetched.pop().cleanup()
    fetch.cache_clear()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
