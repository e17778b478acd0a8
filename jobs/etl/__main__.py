"""Bring what senders dropped into Postgres: each row once, bad ones set aside; --discover FILE drafts a contract."""

from __future__ import annotations

import sys

from jobs.etl.load import Loaded, load_file
from jobs.etl.photo_store import load_photos
from jobs.etl.store import Feed
from jobs.etl.waiting import waiting
from shared import storage
from shared.errors import DataError
from shared.job import Job, run
from shared.storage import Dropped


def work(job: Job) -> str:
    """Load all that the ledger does not hold yet, look again, and tell score."""
    loaded, refused = 0, []
    try:
        while files := waiting(job):
            with storage.fetched(file for file, _ in files) as fetched:
                for file, (_, feed) in zip(fetched, files, strict=True):
                    result = _load(job, file, feed)
                    loaded += result.reason is None
                    if result.reason is not None:
                        kept = f"; its {result.quarantined:,} rows are in quarantine" if result.quarantined else ""
                        refused.append(f"{file.uri}: {result.reason}; mend it and drop it again{kept}")
        loaded += load_photos(job)
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


if __name__ == "__main__":
    # It needs neither settings nor a database, and the other runs none of its modules.
    if any(argument.split("=")[0] == "--discover" for argument in sys.argv[1:]):
        from jobs.etl.discover.command import main

        main()
    run("etl", __doc__, work, lambda settings: storage.check(settings.drop))
