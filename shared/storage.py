"""The drop: where senders put files. Here a local folder."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.errors import ConfigError, TransientError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Dropped:
    """A file in the drop.

    Attributes
    ----------
    uri : str
        Path below the drop, with forward slashes: the same wherever the drop is mounted.
    path : Path
        Where to read it.
    size : int
        Bytes, when it was listed.
    modified_ns : int
        When it had last been written to, when it was listed.
    """

    uri: str
    path: Path
    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        """SHA-256 of the content; the same content has the same etag, whatever its name or time."""
        with self.unchanged():
            return _sha256(self)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raise TransientError at the end of the block if the file is no longer the one that was listed."""
        try:
            yield
        except FileNotFoundError:
            self._compare()
            raise
        self._compare()

    def _compare(self) -> None:
        if _listed(self.uri, self.path) != self:
            raise TransientError(f"{self.uri} changed while it was read; start again when its sender is done")


def listing(drop: Path, prefix: str) -> list[Dropped]:
    """List the files below a prefix of the drop, by name.

    Parameters
    ----------
    drop : Path
        The folder that senders write to.
    prefix : str
        Such as ``vehicle/claims``; an absent one is an empty one.

    Returns
    -------
    list of Dropped
        Hidden files and unfinished ones (``*.part``) are left out.

    Raises
    ------
    ConfigError
        The drop itself is not there.
    """
    if not drop.is_dir():
        raise ConfigError(f"drop {drop}: no such folder; set CLAIMSIGHT_DROP")
    files = (_listed(path.relative_to(drop).as_posix(), path) for path in sorted((drop / prefix).rglob("*")))
    return [file for file in files if file and not file.path.name.startswith(".") and file.path.suffix != ".part"]


def _listed(uri: str, path: Path) -> Dropped | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # taken away since its folder was read
        return None
    return Dropped(uri, path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


@cache
def _sha256(file: Dropped) -> str:
    """Remember digests: a run lists the drop at least twice."""
    digest = hashlib.sha256()
    with file.path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
