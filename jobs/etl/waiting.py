"""Gather the files of the drop that the ledger does not hold."""

from __future__ import annotations

from jobs.etl.store import Feed, feeds
from shared import storage
from shared.job import Job
from shared.storage import Dropped


def waiting(job: Job) -> list[tuple[Dropped, Feed]]:
    """Files of rows that wait to be loaded, those first that others are joined to."""
    known = job.database.rows("SELECT uri, etag FROM ingest_files WHERE status <> 'replaced' AND kind <> 'photos'")
    done = {(row["uri"], row["etag"]) for row in known}
    files = [
        (file, feed)
        for feed in feeds(job.contract)
        for file in storage.listing(job.settings.drop, f"{job.contract.name}/{feed.folder}")
    ]
    return [(file, feed) for file, feed in files if (file.uri, file.etag) not in done]
