"""Apply: photos and their rows in the ledger, some dozens in one transaction.

A file below ``photos/<claim id>/`` ends in ``claim_photos`` or in ``claims_quarantine``, there with its size and digest
instead of its bytes; killed at any moment, no photo of the batch in hand does, and the next run takes it up again.
Photos are read and decoded ahead in threads while the batch before is stored.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import polars as pl

from jobs.etl.decode import Decoder, Decoders
from jobs.etl.persons import ERASED, erased, pseudonyms_of
from jobs.etl.photos import MAX_BYTES, SAME_PICTURE, Photo, UnfitPhotoError, place_of, too_large
from shared import storage
from shared.database import Database
from shared.job import Job
from shared.storage import Dropped

BATCH = 64
"""Photos in one transaction, and ahead in memory, small as they are stored."""
LISTED = 5_000
"""Files that are looked up in the ledger at once."""
_REASONS = 10
_FLIPS = [0, *(1 << bit for bit in range(16))]


@dataclass(frozen=True)
class Examined:
    """A file that was read: what is kept of it, or why it is not kept."""

    file: Dropped
    etag: str
    claim_id: str
    name: str
    digest: bytes
    photo: Photo | None
    reason: str = ""


def load_photos(job: Job) -> int:
    """Load all photos that the ledger does not hold yet, and look again.

    Returns
    -------
    int
        Files taken up, those in quarantine among them; 0 where the line has no photos.

    Raises
    ------
    TransientError
        A photo changed while it was read, or the database went away; batches before it are loaded.
    """
    taken = 0
    while job.contract.photos and (found := _load_new(job)):
        taken += found
    if taken:
        orphans = job.database.rows(
            "SELECT count(*) AS photos, count(DISTINCT claim_id) AS claims FROM claim_photos p "
            "WHERE NOT EXISTS (SELECT FROM claims c WHERE c.claim_id = p.claim_id)"
        )[0]
        if orphans["photos"]:
            job.log("photos wait for claims that never came", **orphans)
    return taken


def _load_new(job: Job) -> int:
    taken, reasons = 0, Counter[str]()
    with Decoders(job.settings.threads) as decoders:
        for batch in _batches(_examined(decoders, _waiting(job), f"{job.contract.name}/photos/")):
            _store_batch(job, batch)
            taken += len(batch)
            reasons.update(examined.reason for examined in batch if examined.photo is None)
    if taken:
        job.log(
            "photos loaded",
            rows_in=taken,
            rows_out=taken - reasons.total(),
            quarantined=reasons.total(),
            reasons=dict(reasons.most_common(_REASONS)),
        )
    return taken


def _waiting(job: Job) -> Iterator[tuple[Dropped, str]]:
    """Photos in the drop that the ledger does not hold, with their etag."""
    files = storage.listing(job.settings.drop, f"{job.contract.name}/photos")
    for start in range(0, len(files), LISTED):
        tagged = [(file, file.etag) for file in files[start : start + LISTED]]
        known = job.database.rows(
            "SELECT uri, etag FROM ingest_files WHERE status <> 'replaced' AND uri = ANY(%s)",
            [[file.uri for file, _ in tagged]],
        )
        done = {(row["uri"], row["etag"]) for row in known}
        yield from ((file, etag) for file, etag in tagged if (file.uri, etag) not in done)


def _examined(decoders: Decoders, files: Iterable[tuple[Dropped, str]], folder: str) -> Iterator[Examined]:
    """Read and decode files, in their order and no more than a batch ahead."""
    ahead = deque[Future[Examined]]()
    for file, etag in files:
        ahead.append(decoders.submit(partial(_examine, file, etag, folder)))
        if len(ahead) > BATCH:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _examine(file: Dropped, etag: str, folder: str, decoder: Decoder) -> Examined:
    claim_id = name = ""
    digest = b""
    try:
        claim_id, name = place_of(file.uri.removeprefix(folder))
        if file.size > MAX_BYTES:
            raise UnfitPhotoError(too_large(file.size))
        with file.local() as path:
            content = path.read_bytes()
        digest = sha256(content).digest()
        return Examined(file, etag, claim_id, name, digest, decoder.decode(content))
    except UnfitPhotoError as error:
        return Examined(file, etag, claim_id, name, digest, None, str(error))


def _batches(all_examined: Iterable[Examined]) -> Iterator[list[Examined]]:
    batch: list[Examined] = []
    for examined in all_examined:
        batch.append(examined)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _store_batch(job: Job, batch: list[Examined]) -> None:
    batch = _named(job, batch)
    with job.database.transaction():
        for examined in batch:
            file_id = _enter(job, examined)
            if examined.photo is None:
                _set_aside(job.database, file_id, examined)
            else:
                _keep(job, file_id, examined, examined.photo)
        kept = sum(examined.photo is not None for examined in batch)
        job.record(rows_in=len(batch), rows_out=kept, quarantined=len(batch) - kept)


def _named(job: Job, batch: list[Examined]) -> list[Examined]:
    """Name photos by the ids that claims are stored under, and keep none of a claimant who was erased."""
    ids = pl.Series([examined.claim_id for examined in batch], dtype=pl.String)
    gone, pseudonyms = erased(job), pseudonyms_of(job)
    theirs = gone.own(ids) if gone else ids.is_null()
    if pseudonyms and job.contract.roles.id in job.contract.personal:
        ids = pseudonyms.of(ids)
    return [
        replace(examined, claim_id=claim_id, photo=None, reason=ERASED) if own else replace(examined, claim_id=claim_id)
        for examined, claim_id, own in zip(batch, ids, theirs, strict=True)
    ]


def _enter(job: Job, examined: Examined) -> int:
    """Enter a file into the ledger; as long as its new content is unfit, the photo that it had been is kept."""
    kept = examined.photo is not None
    retired = job.database.rows(
        "UPDATE ingest_files SET status = 'replaced' WHERE uri = %s AND status = ANY(%s) RETURNING file_id",
        [examined.file.uri, ["rejected", "loaded"] if kept else ["rejected"]],
    )
    if retired:
        ids = [row["file_id"] for row in retired]
        job.database.rows("DELETE FROM claims_quarantine WHERE file_id = ANY(%s)", [ids])
    entered = job.database.rows(
        "INSERT INTO ingest_files (uri, etag, kind, status, reason, rows_in, rows_out, quarantined, loaded_at, run_id) "
        "VALUES (%s, %s, 'photos', %s, %s, 1, %s, %s, %s, %s) RETURNING file_id",
        [
            examined.file.uri,
            examined.etag,
            "loaded" if kept else "rejected",
            examined.reason or None,
            int(kept),
            int(not kept),
            job.as_of,
            job.run_id,
        ],
    )
    return int(entered[0]["file_id"])


def _set_aside(database: Database, file_id: int, examined: Examined) -> None:
    note: dict[str, Any] = {"bytes": examined.file.size}
    if examined.digest:
        note["sha256"] = examined.digest.hex()
    raw = json.dumps(note) if examined.reason != ERASED else None
    database.rows(
        "INSERT INTO claims_quarantine (file_id, file_line, reason, raw) VALUES (%s, 1, %s, %s)",
        [file_id, examined.reason, raw],
    )


def _keep(job: Job, file_id: int, examined: Examined, photo: Photo) -> None:
    database = job.database
    earlier = database.rows(
        "DELETE FROM claim_photos WHERE claim_id = %s AND name = %s RETURNING picture_id",
        [examined.claim_id, examined.name],
    )
    database.rows(
        "INSERT INTO claim_photos (claim_id, name, file_id, picture_id, sha256, phash, width, height, photo, "
        "thumbnail, known_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            examined.claim_id,
            examined.name,
            file_id,
            _picture(database, examined.digest, photo.phash),
            examined.digest,
            photo.phash,
            photo.width,
            photo.height,
            photo.photo,
            photo.thumbnail,
            job.as_of if earlier else None,
        ],
    )
    for row in earlier:
        database.rows(
            "DELETE FROM pictures p WHERE picture_id = %s "
            "AND NOT EXISTS (SELECT FROM claim_photos c WHERE c.picture_id = p.picture_id)",
            [row["picture_id"]],
        )


def _picture(database: Database, digest: bytes, phash: int | None) -> int:
    """Picture that a photo shows: that of the same file, else the one that looks most like it, else a new one."""
    found = database.rows("SELECT picture_id FROM claim_photos WHERE sha256 = %s LIMIT 1", [digest])
    if not found and phash is not None:
        found = database.rows(
            "SELECT picture_id FROM (SELECT picture_id, bit_count((phash # %(phash)s)::bit(64)) AS bits FROM pictures "
            "WHERE photo_bands(phash, '{0}') && photo_bands(%(phash)s, %(flips)s)) p "
            "WHERE bits <= %(same)s ORDER BY bits, picture_id LIMIT 1",
            {"phash": phash, "flips": _FLIPS, "same": SAME_PICTURE},
        )
    if found:
        repeated = "UPDATE pictures SET repeated = true WHERE picture_id = %s AND NOT repeated"
        database.rows(repeated, [found[0]["picture_id"]])
    else:
        found = database.rows("INSERT INTO pictures (phash) VALUES (%s) RETURNING picture_id", [phash])
    return int(found[0]["picture_id"])
