"""Bring what senders dropped into Postgres: checked, each row once, bad ones set aside with their reason."""

from __future__ import annotations

from jobs.etl.forget import FORGET, expire
from jobs.etl.load import Loaded, load_file
from jobs.etl.store import Feed, feeds
from shared import storage
from shared.errors import DataError
from shared.job import Job, run
from shared.storage import Dropped


def work(job: Job) -> str:
    """Load all that the ledger does not hold yet, look again, and tell score."""
    expire(job)
    loaded, refused = 0, []
    try:
        while waiting := _waiting(job):
            with storage.fetched(file for file, _ in waiting) as files:
                for file, (_, feed) in zip(files, waiting, strict=True):
                    result = _load(job, file, feed)
                    loaded += result.reason is None
                    if result.reason is not None:
                        kept = f"; its {result.quarantined:,} rows are in quarantine" if result.quarantined else ""
                        refused.append(f"{file.uri}: {result.reason}; mend it and drop it again{kept}")
    finally:
        # Also when a later file fails: what is loaded is there to be scored.
        if loaded:
            job.put_event("ClaimsLoaded", files=loaded)
    if refused:
        raise DataError(*refused)
    return f"{loaded} files loaded" if loaded else "no new files; nothing to do"


def _load(job: Job, file: Dropped, feed: Feed) -> Loaded:
    result = load_file(job, file, file.etag, feed)
    counts = {name: count for name, count in vars(result).items() if name != "reason"}
    job.log("file loaded" if result.reason is None else "file rejected", file=file.uri, **counts)
    return result


def _waiting(job: Job) -> list[tuple[Dropped, Feed]]:
    known = job.database.rows("SELECT uri, etag FROM ingest_files WHERE status <> 'replaced'")
    done = {(row["uri"], row["etag"]) for row in known}
    return [
        (file, feed)
        for feed in feeds(job.contract)
        for file in storage.listing(job.settings.drop, f"{job.contract.name}/{feed.folder}")
        if (file.uri, file.etag) not in done
    ]


if __name__ == "__main__":
    run("etl", __doc__, work, lambda settings: storage.check(settings.drop), [FORGET])
