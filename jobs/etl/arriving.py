"""Apply: load what has arrived, as files in the drop or as rows of a database, each before what needs it."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.etl.load import Loaded, load_file
from jobs.etl.pull import pulls
from jobs.etl.waiting import waiting
from shared import storage
from shared.job import Job


def arriving(job: Job) -> Iterator[tuple[str, Loaded]]:
    """Load all that the ledger does not hold yet, and look again; of each its name and what became of it.

    Claims are joined to reference tables, so those are pulled first, and if they cannot be, no claim is loaded that
    would miss them. The other pulls come last: a source that does not answer holds no file back.
    """
    yield from pulls(job, "reference")
    while files := waiting(job):
        with storage.fetched(file for file, _ in files) as fetched:
            for file, (_, feed) in zip(fetched, files, strict=True):
                yield file.uri, load_file(job, file, file.etag, feed)
    yield from pulls(job, "claims", "outcomes")
