"""The drop: where senders put files, in a local folder or below a prefix of an S3 bucket.

In S3 the role needs ``s3:ListBucket`` on the bucket and ``s3:GetObject`` on what lies below the prefix, and nothing
else; if the bucket is encrypted with a key of its own, ``kms:Decrypt`` on that key too. The files of models lie in S3
in the same way; train, which writes them, needs ``s3:PutObject`` as well, and so does score where it exports to.
"""

from __future__ import annotations

import hashlib
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Protocol

import stamina

from shared import aws
from shared.errors import ConfigError, TransientError
from shared.settings import S3Prefix

THREADS = 8
"""An object takes 30 to 80 ms to arrive however small it is, and hardly any processor: so several at once."""
AHEAD_FILES, AHEAD_BYTES = 32, 64 << 20
"""What may wait on the disk; a file larger than that waits for nobody and lies there alone."""
_BLOCK = 1 << 20


class Dropped(Protocol):
    """A file in the drop, as it was listed."""

    @property
    def uri(self) -> str:
        """Path below the drop, with forward slashes: the same wherever the drop is.

        What cannot be printed is escaped as in Python, and so is a backslash; it is a name, and leads nowhere.
        """

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def etag(self) -> str:
        """Changes with the content: in a folder its SHA-256, in S3 the object's ETag (which knows of parts, too)."""

    def local(self) -> AbstractContextManager[Path]:
        """Lend the file as one on this machine; its name there tells nothing of the uri, nor of the format.

        Raises
        ------
        TransientError
            It is no longer the file that was listed, or S3 cannot be reached. Of a folder's file that is known only at
            the end of the block.
        """


@dataclass(frozen=True)
class _File:
    """A file in a folder."""

    uri: str
    path: Path
    size: int
    modified_ns: int

    @property
    def etag(self) -> str:
        with self.local():
            return _sha256(self)

    @contextmanager
    def local(self) -> Iterator[Path]:
        try:
            yield self.path
        except FileNotFoundError:
            self._compare()
            raise
        self._compare()

    def _compare(self) -> None:
        if _listed(self.uri, self.path) != self:
            raise _changed(self.uri)


@dataclass(frozen=True)
class _Object:
    """An object in S3; `copy` is where :func:`fetched` has it brought to."""

    uri: str
    bucket: str
    key: str
    size: int
    etag: str
    copy: Future[Path] | None = field(default=None, compare=False, repr=False)

    @contextmanager
    def local(self) -> Iterator[Path]:
        if self.copy is not None:
            yield self.copy.result()
            return
        with _scratch() as folder:
            yield self.download(folder / "object")

    def download(self, path: Path) -> Path:
        """Write the object to a path."""
        with _translated(self.uri):
            from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError
            from urllib3.exceptions import HTTPError

            broken = (HTTPClientError, IncompleteReadError, FlexibleChecksumError, HTTPError)
            for attempt in stamina.retry_context(
                broken, attempts=aws.ATTEMPTS, wait_initial=0.2, wait_max=2, timeout=None
            ):
                # What the request itself meets is botocore's to retry: translated, it is none of the broken ones.
                with attempt, closing(self._open()) as body, path.open("wb") as file:
                    for block in body.iter_chunks(_BLOCK):
                        file.write(block)
                    if file.tell() != self.size:
                        raise IncompleteReadError(actual_bytes=file.tell(), expected_bytes=self.size)
        return path

    def _open(self) -> Any:
        with _translated(self.uri):
            return aws.client("s3").get_object(Bucket=self.bucket, Key=self.key, IfMatch=f'"{self.etag}"')["Body"]


def listing(drop: Path | S3Prefix, prefix: str) -> list[Dropped]:
    """List the files below a prefix of the drop, by uri.

    Parameters
    ----------
    drop : Path or S3Prefix
        What senders write to.
    prefix : str
        A folder of it, such as ``vehicle/claims``; an absent one is an empty one, and ``""`` is all of it.

    Returns
    -------
    list of Dropped
        Hidden files and unfinished ones (``*.part``) are left out.

    Raises
    ------
    ConfigError
        The drop itself is not there, or may not be listed.
    TransientError
        S3 cannot be reached.
    """
    found: Iterable[Dropped] = _objects(drop, prefix) if isinstance(drop, S3Prefix) else _files(drop, prefix)
    return sorted((file for file in found if _is_finished(file.uri)), key=lambda file: file.uri)


def check(drop: Path | S3Prefix) -> None:
    """Look whether the drop is there and may be listed; raises as :func:`listing` does."""
    if isinstance(drop, S3Prefix):
        with _translated(str(drop)):
            aws.client("s3").list_objects_v2(Bucket=drop.bucket, Prefix=drop.key(""), MaxKeys=1)
    elif not drop.is_dir():
        raise ConfigError(f"drop {drop}: no such folder; set CLAIMSIGHT_DROP")


def write(place: S3Prefix, name: str, content: bytes | IO[bytes]) -> None:
    """Write an object below a place in S3, which checks that it arrived whole: it appears so, or not at all.

    Parameters
    ----------
    content : bytes or file
        At most 5 GB: one request brings it. A file is read from where it stands.

    Raises
    ------
    ConfigError, TransientError
        S3 refuses, or cannot be reached.
    """
    with _translated(str(place.below(name)), "s3:PutObject there"):
        aws.client("s3").put_object(Bucket=place.bucket, Key=place.key(name), Body=content)


@contextmanager
def fetched(files: Iterable[Dropped]) -> Iterator[Iterator[Dropped]]:
    """Give the files in their order, while a few of those to come are already being fetched from S3.

    A file is to be read before the next one is asked for. What S3 refuses is raised by the ``local()`` of its file.
    """
    files = list(files)
    if not any(isinstance(file, _Object) for file in files):
        yield iter(files)
        return
    with _scratch() as folder:
        pool = ThreadPoolExecutor(THREADS, "fetch")
        try:
            yield _in_turn(files, folder, pool)
        finally:
            # A polite stop does not wait for S3.
            pool.shutdown(wait=False, cancel_futures=True)


def _in_turn(files: Iterable[Dropped], folder: Path, pool: ThreadPoolExecutor) -> Iterator[Dropped]:
    waiting, coming = deque(files), deque[tuple[Dropped, Path]]()
    paths = (folder / str(number) for number in count())
    while waiting or coming:
        while waiting and (not coming or _fits(waiting[0], [file for file, _ in coming])):
            file, path = waiting.popleft(), next(paths)
            if isinstance(file, _Object):
                file = replace(file, copy=pool.submit(file.download, path))
            coming.append((file, path))
        # The one in hand counts until the next is asked for.
        file, path = coming[0]
        yield file
        coming.popleft()
        path.unlink(missing_ok=True)


def _fits(file: Dropped, coming: list[Dropped]) -> bool:
    return len(coming) < AHEAD_FILES and sum(other.size for other in coming) + file.size <= AHEAD_BYTES


def _files(drop: Path, prefix: str) -> Iterator[_File]:
    check(drop)
    for path in (drop / prefix).rglob("*"):
        if file := _listed(_printable(path.relative_to(drop).as_posix()), path):
            yield file


def _listed(uri: str, path: Path) -> _File | None:
    try:
        found = path.stat()
    except FileNotFoundError:  # taken away since its folder was read
        return None
    return _File(uri, path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _objects(drop: S3Prefix, prefix: str) -> Iterator[_Object]:
    with _translated(str(drop)):
        pages = aws.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=drop.bucket, Prefix=drop.key(f"{prefix}/" if prefix else "")):
            for item in page.get("Contents", ()):
                uri = _printable(item["Key"].removeprefix(drop.key("")))
                yield _Object(uri, drop.bucket, item["Key"], item["Size"], item["ETag"].strip('"'))


def _is_finished(uri: str) -> bool:
    """Whether a sender is done with it; what ends in a slash stands for a folder."""
    name = uri.rpartition("/")[2]
    return name != "" and not name.startswith(".") and not name.endswith(".part")


def _printable(name: str) -> str:
    r"""Write a sender's name so that it fits a line of a log and Postgres, and no two become one.

    >>> _printable("a b+ü%20.csv"), _printable("a\n\x00\\n\udcff")
    ('a b+ü%20.csv', 'a\\n\\x00\\\\n\\udcff')
    """
    return "".join(
        sign if sign.isprintable() and sign != "\\" else sign.encode("unicode_escape").decode() for sign in name
    )


@cache
def _sha256(file: _File) -> str:
    """Remember digests: a run lists the drop at least twice."""
    digest = hashlib.sha256()
    with file.path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _scratch() -> Iterator[Path]:
    # A thread that is told to stop may still write there while it is being removed.
    with TemporaryDirectory(prefix="claimsight-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _translated(
    what: str, needed: str = "s3:ListBucket on the bucket and s3:GetObject below the prefix"
) -> Iterator[None]:
    with aws.translated("S3", what, partial(_refusal, what, needed)):
        yield


def _refusal(what: str, needed: str, code: str, status: int) -> ConfigError | TransientError | None:
    if code == "PreconditionFailed":
        return _changed(what)
    if code == "NoSuchKey":
        return TransientError(f"{what} was taken away since it was listed; start again")
    if code == "NoSuchBucket":
        return ConfigError(f"{what}: no such bucket; look at CLAIMSIGHT_DROP, CLAIMSIGHT_ARTIFACTS, or what you named")
    if status == 403 and code not in aws.ABOUT_CREDENTIALS:
        return ConfigError(f"{what}: access denied ({code}, HTTP {status}); the role needs {needed}")
    return None


def _changed(uri: str) -> TransientError:
    return TransientError(f"{uri} changed while it was read; start again when its sender is done")
