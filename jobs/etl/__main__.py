"""Bring what senders dropped into Postgres: checked, each row once, bad ones set aside with their reason."""

from __future__ import annotations

from jobs.etl.load import Loaded, load_file
from jobs.etl.requeue import REQUEUE
from jobs.etl.store import Feed, feeds
from shared import storage
from shared.errors import DataError
from shared.job import Job, run
from shared.storage import Dropped


def work(job: Job) -> str:
    """Load all that the ledger does not hold yet, look again, and tell score."""
    loaded, refused = 0, []
    try:
        while waiting := _waiting(job):
            with storage.fetched(file for file, _ in waiting) as files:
                for file, (_, feed) in zip(files, waiting, strict=True):
                    result = _load(job, file, feed)
                    loaded += result.reason is None
                    if result.reason is not None:
                        kept = f"; quarantined {result.quarantined:,} rows, see --requeue" if result.quarantined else ""
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
    job.log(
        "file loaded" if result.reason is None else "file rejected",
        file=file.uri,
        rows_in=result.rows_in,
        rows_out=result.rows_out,
        quarantined=result.quarantined,
    )
    return result


def _waiting(job: Job) -> list[tuple[Dropped, Feed]]:
    known = job.database.rows("SELECT uri, etag FROM ingest_files WHERE status <> 'replaced'")
    done = {(row["uri"], row["etag"]) for row in known}
    files = [
        (file, feed)
        for feed in feeds(job.contract)
        for file in storage.listing(job.settings.drop, f"{job.contract.name}/{feed.folder}")
    ]
    return [(file, feed) for file, feed in files if (file.uri, file.etag) not in done]


if __name__ == "__main__":
    run("etl", __doc__, work, lambda settings: storage.check(settings.drop), [REQUEUE])
