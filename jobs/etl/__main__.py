"""Bring what senders dropped into Postgres: checked, each row once, bad ones set aside with their reason."""

from __future__ import annotations

import sys

from jobs.etl import pull
from jobs.etl.arriving import arriving
from jobs.etl.forget import FORGET, expire
from jobs.etl.photo_store import load_photos
from jobs.etl.requeue import REQUEUE
from shared import storage
from shared.database import Database
from shared.errors import DataError
from shared.job import Job, run
from shared.settings import Settings


def work(job: Job) -> str:
    """Load all that the ledger does not hold yet, look again, and tell score."""
    expire(job)
    loaded, refused = 0, []
    try:
        for uri, result in arriving(job):
            counts = {"rows_in": result.rows_in, "rows_out": result.rows_out, "quarantined": result.quarantined}
            job.log("file loaded" if result.reason is None else "file rejected", file=uri, **counts)
            loaded += result.reason is None
            if result.reason is not None:
                kept = (
                    f", or mend the contract: quarantined {result.quarantined:,} rows, see --requeue"
                    if result.quarantined
                    else ""
                )
                refused.append(f"{uri}: {result.reason}; mend it and send it again{kept}")
        loaded += load_photos(job)
    finally:
        # Also when a later file fails: what is loaded is there to be scored.
        if loaded:
            job.put_event("ClaimsLoaded", files=loaded)
    if refused:
        raise DataError(*refused)
    return f"{loaded} files loaded" if loaded else "no new files; nothing to do"


def check(settings: Settings, _: Database) -> None:
    """Look whether the drop and the source can be read."""
    storage.check(settings.drop)
    pull.check(settings)


if __name__ == "__main__":
    # It needs neither settings nor a database, and the other runs none of its modules.
    if any(argument.split("=")[0] == "--discover" for argument in sys.argv[1:]):
        from jobs.etl.discover.command import main

        main()
    run("etl", __doc__, work, check, [FORGET, REQUEUE])
