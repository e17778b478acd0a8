"""The files of models in S3: written once by train, read by whoever judges, scores or watches with them."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from shared import storage, sums
from shared.errors import ModelError
from shared.settings import S3Prefix

MOST_BYTES = 256 << 20
"""Of a model, which is read into memory altogether; those of the demo have less than one of these MiB."""
_fetched: list[TemporaryDirectory[str]] = []


def keep(folder: Path, place: S3Prefix) -> None:
    """Write a model's files below a place, the list of :mod:`shared.sums` last, so that without it they are not whole.

    Raises
    ------
    ConfigError, TransientError
        S3 refuses, or cannot be reached.
    """
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    for name in sorted(names, key=lambda name: name == sums.NAME):
        storage.write(place, name, (folder / name).read_bytes())


@cache
def fetch(place: S3Prefix, sha256: str | None) -> Path:
    """Bring a model's files to a temporary folder, once a process; :func:`release` removes it.

    Parameters
    ----------
    sha256 : str or None
        Of their list; None where it is not known.

    Raises
    ------
    ModelError
        They are not all there, or not as they were written.
    ConfigError, TransientError
        S3 refuses, or cannot be reached.
    """
    there = {file.uri: file for file in storage.listing(place, "")}
    if sums.NAME not in there:
        raise ModelError(f"model {place}: its files are not there; train a new one")
    if (size := sum(file.size for file in there.values())) > MOST_BYTES:
        raise ModelError(f"model {place}: takes {size >> 20} MiB, more than {MOST_BYTES >> 20}; train a new one")
    _fetched.append(TemporaryDirectory(prefix="claimsight-model-"))
    folder = Path(_fetched[-1].name)
    _bring(there[sums.NAME], folder / sums.NAME)
    # What stands in the list alone, so that nothing that was laid beside it is read.
    for name in sums.listed(folder, sha256, place):
        if name in there and (folder / name).resolve().is_relative_to(folder.resolve()):
            _bring(there[name], folder / name)
    sums.check(folder, sha256, place)
    return folder


def release() -> None:
    """Remove what was fetched."""
    while _fetched:
        _fetched.pop().cleanup()
    fetch.cache_clear()


def _bring(file: storage.Dropped, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with file.local() as copy:
        shutil.move(copy, path)
