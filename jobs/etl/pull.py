"""Apply: what a database of the business has written since the last pull goes the way of a dropped file.

A row that was written by a transaction that is still open is not there to be seen, and may have a smaller watermark
than one that is. So the next pull begins where the watermark stood before the oldest transaction began that was open
when this one read: whatever that transaction and later ones write has a larger one. Rows that are met again are known
by a hash of all that was read of them, so each version of a row is loaded once.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa

from jobs.etl.load import Loaded, load_file
from jobs.etl.store import Feed, Kind, feeds
from shared.contract import Contract, load
from shared.contract_parts import File
from shared.database import Database
from shared.errors import ClaimsightError, ConfigError
from shared.job import Job
from shared.settings import Settings
from shared.source import Point, Source

ROWS = 10_000
"""Rows that are held against those known at once."""
DIGEST_BYTES = 16
_AGAIN = ord("t")


def pulls(job: Job, *kinds: Kind) -> Iterator[tuple[str, Loaded]]:
    """Pull what is new for some kinds of feed; of each pull that brought something, its name and what became of it.

    One that fails holds none of the others back.

    Raises
    ------
    TransientError, ConfigError
        As the worst of those that failed did, with the words of all.
    """
    failed = list[ClaimsightError]()
    for name, feed in _wanted(job.contract):
        if feed.kind in kinds:
            try:
                found = _pull(job, name, feed)
            except ClaimsightError as error:
                failed.append(error)
                continue
            if found is not None:
                yield found
    if failed:
        worst = max(failed, key=lambda error: error.exit_code)
        raise type(worst)(*dict.fromkeys(problem for error in failed for problem in error.problems))


def check(settings: Settings) -> None:
    """Look whether all that the contract pulls can be read; raises as :func:`pulls` does."""
    contract = load(settings.contract)
    for name, feed in _wanted(contract):
        _source(settings, contract, name, feed).__exit__()


@dataclass(frozen=True)
class _Pulled:
    """New rows of a pull as a file; see :class:`shared.storage.Dropped`."""

    uri: str
    path: Path
    etag: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @contextmanager
    def local(self) -> Iterator[Path]:
        yield self.path


@dataclass(frozen=True)
class _Received:
    """What was read of a source: the file (None without new rows), and hashes of the rows to be met again."""

    file: _Pulled | None
    again: bytearray


def _wanted(contract: Contract) -> list[tuple[str, Feed]]:
    """Pulls with their feeds, those that claims are joined to first."""
    return [
        (name, feed) for feed in feeds(contract) for name, pull in contract.pull.items() if pull.feed == feed.folder
    ]


def _source(settings: Settings, contract: Contract, name: str, feed: Feed) -> Source:
    if settings.source_url is None:
        raise ConfigError("CLAIMSIGHT_SOURCE_URL is not set, and the contract pulls from a database; see .env.example")
    return Source(settings.source_url.get_secret_value(), name, contract.pull[name], feed.headers(contract))


def _pull(job: Job, name: str, feed: Feed) -> tuple[str, Loaded] | None:
    # Not as the contract's files are written, but as Postgres writes.
    file = File(na_values=job.contract.file.na_values, reject_limit=job.contract.file.reject_limit)
    with TemporaryDirectory(prefix="claimsight-") as folder:
        with _source(job.settings, job.contract, name, feed) as source:
            last = job.database.rows(
                "SELECT since FROM ingest_files WHERE pull = %s ORDER BY file_id DESC LIMIT 1", [name]
            )
            since = last[0]["since"] if last else None
            point = source.point(job.as_of)
            again = _next_since(job, name, source, point, since)
            rows = source.rows(since, again, job.as_of)
            uri = f"pull/{name}/{point.taken_at.isoformat()}"
            received = _receive(job, name, rows, feed.headers(job.contract), Path(folder) / "rows", uri)
        if received.file is None:
            return None
        with job.database.transaction():
            contract = job.contract.model_copy(update={"file": file})
            loaded = load_file(replace(job, contract=contract), received.file, received.file.etag, feed, pull=name)
            job.database.rows(
                "UPDATE ingest_files SET pull = %s, watermark = %s, taken_at = %s, since = %s WHERE uri = %s",
                [name, point.watermark, point.taken_at, again, uri],
            )
            _remember(job.database, name, received.again)
        return uri, loaded


def _next_since(job: Job, name: str, source: Source, point: Point, since: str | None) -> str | None:
    """Where the next pull has to begin, so that it misses nothing that is not to be seen yet."""
    began, is_sure = source.open_since(point)
    if not is_sure:
        job.log("not all transactions of the source can be seen; late ones are found within the overlap", pull=name)
    if began is None:
        return since
    if began < point.taken_at:
        earlier = job.database.rows(
            "SELECT watermark FROM ingest_files WHERE pull = %s AND taken_at <= %s ORDER BY file_id DESC LIMIT 1",
            [name, began],
        )
        watermark = earlier[0]["watermark"] if earlier else None
    else:
        watermark = point.watermark
    return source.before(watermark) if watermark is not None else None


def _receive(job: Job, name: str, rows: Iterator[bytes], columns: list[str], path: Path, uri: str) -> _Received:
    """Write the rows to a file that no earlier pull brought."""
    digest, known = _digest(job.settings), _known(job.database, name)
    again, content, count = bytearray(), hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    with path.open("w", newline="") as text:
        csv.writer(text, lineterminator="\n").writerow(columns)
    with path.open("ab") as file:
        while batch := list(islice(rows, ROWS)):
            # All but whether it is met again.
            digests = [digest(row[2:]) for row in batch]
            again += b"".join(found for found, row in zip(digests, batch, strict=True) if row[0] == _AGAIN)
            is_known = _is_in(_words(b"".join(digests)), known)
            # A watermark is never quoted, so the first column begins behind the second comma.
            new = [row[row.index(b",", 2) + 1 :] for row, told in zip(batch, is_known, strict=True) if not told]
            count += len(new)
            written = b"".join(new)
            content.update(written)
            file.write(written)
    return _Received(_Pulled(uri, path, content.hexdigest()) if count else None, again)


def _digest(settings: Settings) -> Callable[[bytes], bytes]:
    """Hash of a row, keyed where there is a key, since a row may hold a person's data."""
    secret = settings.pseudonym_key
    key = hashlib.sha256(secret.get_secret_value().encode()).digest() if secret else b""
    return lambda row: hashlib.blake2b(row, digest_size=DIGEST_BYTES, key=key).digest()


def _known(database: Database, name: str) -> pl.DataFrame:
    """Hashes that the last pull left, in their order."""
    found = database.rows("SELECT hashes FROM pulled_rows WHERE pull = %s", [name])
    return _words(b"".join(row["hashes"] for row in found)).sort("high")


def _words(hashes: bytes) -> pl.DataFrame:
    """Lay hashes out as two words each: ``high`` and ``low``."""
    buffers = [None, pa.py_buffer(hashes)]
    words = pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.uint64(), len(hashes) // 8, buffers)))
    return pl.DataFrame({"high": words.gather_every(2), "low": words.gather_every(2, 1)})


def _is_in(hashes: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
    """Tell of each hash whether it is known; one that shares half of its bits with another may be missed."""
    if known.is_empty():
        return pl.repeat(False, hashes.height, eager=True)
    met = known[known["high"].search_sorted(hashes["high"]).clip(0, known.height - 1)]
    return (met["high"] == hashes["high"]) & (met["low"] == hashes["low"])


def _remember(database: Database, name: str, again: bytearray) -> None:
    """Replace the hashes of the last pull."""
    database.rows("DELETE FROM pulled_rows WHERE pull = %s", [name])
    for start in range(0, len(again), ROWS * DIGEST_BYTES):
        hashes = bytes(again[start : start + ROWS * DIGEST_BYTES])
        database.rows("INSERT INTO pulled_rows (pull, hashes) VALUES (%s, %s)", [name, hashes])
