"""Apply: quarantined rows once more, after the contract was mended; one file, one transaction.

Rows that break the contract no longer, and outcomes whose dates are possible by now, move to where a load would have
moved them, as rows of their own file; the others stay, with today's reason. A rejected file is held against the reject
limit anew: it enters, or all of it stays. What was no row, was no UTF-8, repeats another row or stands in another file
is not tried again, since no contract mends it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import polars as pl

from jobs.etl.move import REFUSED, Move, OverLimitError, create_temporary_tables
from jobs.etl.persons import ERASED, erased, pseudonyms_of
from jobs.etl.read import Batch
from jobs.etl.rows import MOST_CELLS, broken_rows, some
from jobs.etl.store import Feed, feeds
from shared.arguments import Option
from shared.contract import Contract
from shared.job import Job

FIRST_ROWS = 10
"""Rows of the first batch, from which the size of the next is reckoned: each may be as long as a file's longest."""
BATCH_BYTES = 8 << 20
"""Raw text of one batch, about."""
_TRIED = (
    "starts_with(q.raw, '{') AND q.raw !~ '\\\\\\\\x[0-9a-f]{2}' "
    f"AND (starts_with(q.reason, '{REFUSED}') OR starts_with(q.reason, q.column_name || ': '))"
)
"""Which entries are rows whose cells are kept as they came, and stand there for the contract's sake; bytes that are no
UTF-8 were escaped, see :func:`jobs.etl.rows.as_text`."""
_NOTED = "EXISTS (SELECT FROM rejects r WHERE r.file_line = q.file_line)"

Row = dict[str, Any]


def requeue(job: Job, _: str = "") -> str:
    """Try each file's quarantined rows again, and tell score if any came in."""
    pseudonyms, gone = pseudonyms_of(job), erased(job)
    moved = files = tried = 0
    try:
        for file in _files(job):
            feed = _feed(file, job.contract)
            if feed is None:  # the contract knows its table no longer
                continue
            with job.database.transaction():
                came = _Requeued(Move(job, file["uri"], feed, file["file_id"], pseudonyms, gone), file).requeue()
            tried, moved, files = tried + 1, moved + came, files + (came > 0)
    finally:
        # Also when a later file fails: what came in is there to be scored.
        if moved:
            job.put_event("ClaimsLoaded", files=files)
    if not tried:
        return "no quarantined rows to try again; nothing to do"
    return f"{moved:,} quarantined rows of {files} files came in; of {tried - files} files none did"


REQUEUE = Option("--requeue", "", "try quarantined rows again, after the contract was mended", requeue)


def _files(job: Job) -> list[Row]:
    """Files with rows to try, in the order in which they were loaded."""
    return job.database.rows(
        "SELECT file_id, uri, kind, status, reason, rows_in, columns, pull FROM ingest_files f "
        # The rows of a rejected file without columns are lines, and perhaps not all that there were.
        "WHERE (status = 'loaded' OR (status = 'rejected' AND columns IS NOT NULL)) "
        f"AND EXISTS (SELECT FROM claims_quarantine q WHERE q.file_id = f.file_id AND {_TRIED}) ORDER BY file_id"
    )


def _feed(file: Row, contract: Contract) -> Feed | None:
    if file["pull"] in contract.pull:
        return next(feed for feed in feeds(contract) if feed.folder == contract.pull[file["pull"]].feed)
    candidates = [feed for feed in feeds(contract) if feed.kind == file["kind"]]
    return next((feed for feed in candidates if not feed.name or f"/{feed.folder}/" in file["uri"]), None)


@dataclass(frozen=True)
class _Entries:
    """Quarantine entries of a file, as the rows that they were; those that stay are noted in ``rejects``."""

    move: Move
    is_file = False

    def batches(self) -> Generator[Batch]:
        """Read them with the columns that today's contract wants; one that a row lacks is an empty cell in it."""
        database = self.move.database
        wanted = self.move.feed.headers(self.move.contract)
        database.rows(
            "DECLARE entries NO SCROLL CURSOR FOR SELECT q.file_line, q.raw FROM claims_quarantine q "
            f"WHERE q.file_id = %s AND {_TRIED} ORDER BY q.file_line",
            [self.move.file_id],
        )
        count, most = FIRST_ROWS, max(MOST_CELLS // len(wanted), 1)
        while entries := database.rows(f"FETCH {count} FROM entries"):
            frame = pl.DataFrame(entries, schema={"file_line": pl.Int64, "raw": pl.String})
            cells = frame["raw"].str.json_decode(pl.Struct(dict.fromkeys(wanted, pl.String))).struct.unnest()
            yield Batch(
                frame["file_line"],
                pl.DataFrame([column.fill_null("").cast(pl.Binary) for column in cells]),
                broken_rows([]),
            )
            size = max(sum(len(entry["raw"]) for entry in entries), 1)
            count = max(min(8 * count, len(entries) * BATCH_BYTES // size, most), 1)
        database.rows("CLOSE entries")

    def set_aside(self, rows: pl.DataFrame) -> None:
        self.move.database.append("rejects", rows.select("file_line", "column_name", "reason"))


@dataclass(frozen=True)
class _Requeued:
    """A file of the ledger whose quarantined rows are tried again."""

    move: Move
    file: Row

    def requeue(self) -> int:
        """Move what is good now; the number of rows."""
        database = self.move.database
        missing = self._missing() if self.is_rejected else []
        if missing and f"lacks {some(missing)}" in self.file["reason"]:
            return 0  # all is said
        create_temporary_tables(database, self.move.feed, self.move.contract)
        if missing:
            self._refuse(f"the header lacks {some(missing)}")
            return 0
        try:
            with database.transaction():
                return self._move()
        except OverLimitError as error:
            entries = _Entries(self.move)
            for batch in entries.batches():
                entries.set_aside(self.move.clean(batch).bad)
            self._refuse(str(error))
            return 0

    @property
    def is_rejected(self) -> bool:
        return bool(self.file["status"] == "rejected")

    def _missing(self) -> list[str]:
        return [name for name in self.move.feed.headers(self.move.contract) if name not in self.file["columns"]]

    def _move(self) -> int:
        """Move what is good now, and say of the rest what is wrong with it.

        Raises
        ------
        OverLimitError
            Still too many rows of a rejected file break the contract; roll back what was moved.
        """
        move, rows_in = self.move, self.file["rows_in"]
        staged = move.stage(_Entries(move))
        aside = staged.elsewhere + staged.erased
        moved = staged.rows - staged.bad - aside
        if self.is_rejected:
            move.hold_to_limit(rows_in - moved - aside, rows_in, staged.faults)
        move.store(staged, ["rejected", "loaded"] if self.is_rejected else [])
        move.database.rows(
            f"DELETE FROM claims_quarantine q WHERE q.file_id = %s AND {_TRIED} AND NOT {_NOTED}", [move.file_id]
        )
        self._tell()
        changes = move.levels.learn(move.file_id)
        move.database.rows(
            "UPDATE ingest_files SET status = 'loaded', reason = NULL, rows_out = rows_out + %s, "
            "quarantined = quarantined - %s, changes = changes || %s::text[] WHERE file_id = %s",
            [moved, moved, changes, move.file_id],
        )
        if self.is_rejected:
            entered = "UPDATE ingest_files SET loaded_at = %s, run_id = %s WHERE file_id = %s"
            move.database.rows(entered, [move.job.as_of, move.job.run_id, move.file_id])
        move.job.record(rows_in=moved, rows_out=moved)
        move.job.log("quarantined rows tried again", file=move.uri, tried=staged.rows, rows_out=moved, **_told(changes))
        return moved

    def _refuse(self, reason: str) -> None:
        """Leave a file rejected: sound rows get the file's reason, the others their own."""
        self._tell()
        self.move.database.rows(
            f"UPDATE claims_quarantine q SET column_name = NULL, reason = %s WHERE q.file_id = %s AND {_TRIED} "
            f"AND NOT {_NOTED} AND (q.column_name, q.reason) IS DISTINCT FROM (NULL, %s)",
            [REFUSED + reason, self.move.file_id, REFUSED + reason],
        )
        self.move.database.rows("UPDATE ingest_files SET reason = %s WHERE file_id = %s", [reason, self.move.file_id])
        self.move.job.log("file still rejected", file=self.move.uri, reason=reason)

    def _tell(self) -> None:
        """Give entries that stay today's reason."""
        self.move.database.rows(
            "UPDATE claims_quarantine q SET column_name = r.column_name, reason = r.reason, "
            "raw = CASE WHEN r.reason <> %s THEN q.raw END FROM rejects r "
            "WHERE q.file_id = %s AND q.file_line = r.file_line "
            "AND (q.column_name, q.reason) IS DISTINCT FROM (r.column_name, r.reason)",
            [ERASED, self.move.file_id],
        )


def _told(changes: list[str]) -> dict[str, list[str]]:
    return {"changes": changes} if changes else {}
