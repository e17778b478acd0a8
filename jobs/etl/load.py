"""Apply: one file and its row in the ledger, in one transaction.

All of a file's rows end in ``claims`` (or ``outcomes``, or a reference table) or in ``claims_quarantine``, each once;
killed at any moment, none do, and the next run starts the file afresh.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from jobs.etl import read
from jobs.etl.changes import header_changes, renamed, shown
from jobs.etl.move import REFUSED, Move, OverLimitError, bad_rows, raw
from jobs.etl.persons import erased, pseudonyms_of
from jobs.etl.store import Feed
from shared.job import Job
from shared.storage import Dropped

MOST_HINTS = 5
"""Columns of a header of which it is guessed what they are called now."""


@dataclass(frozen=True)
class Loaded:
    """What became of a file's rows; ``reason`` is None unless the file was rejected."""

    rows_in: int
    rows_out: int
    quarantined: int
    reason: str | None


def load_file(job: Job, file: Dropped, etag: str, feed: Feed, pull: str = "") -> Loaded:
    """Load a file that the ledger does not hold, or holds with another content.

    Parameters
    ----------
    pull : str, optional
        The pull that the file is of. Rows of a pull that say again what is known are left out, and do not count.

    Raises
    ------
    TransientError
        The file changed while it was read, or the database went away; nothing of it is loaded.
    ConfigError
        The contract names personal columns, and there is no key for their pseudonyms.
    """
    database = job.database
    pseudonyms, gone = pseudonyms_of(job), erased(job)
    with database.transaction(), file.local() as path:
        file_id = database.rows("SELECT nextval(pg_get_serial_sequence('ingest_files', 'file_id')) AS file_id")
        loading = _Loading(Move(job, file.uri, feed, file_id[0]["file_id"], pseudonyms, gone, pull), path)
        try:
            with database.transaction():
                entry = loading.load()
        except (read.UnreadableFileError, OverLimitError) as error:
            entry = loading.set_aside(error)
        loading.enter(etag, entry)
        return entry.loaded


@dataclass(frozen=True)
class _Entry:
    """A file in the ledger: what became of its rows, its header if it has one, and what was new."""

    loaded: Loaded
    columns: list[str] | None
    changes: list[str]


@dataclass(frozen=True)
class _Rows:
    """The rows of a dropped file, each of which is set aside with its text."""

    move: Move
    path: Path
    names: list[str]
    is_file = True

    def batches(self) -> Generator[read.Batch]:
        return read.batches(self.path, self.move.contract.file, self.names)

    def set_aside(self, rows: pl.DataFrame) -> None:
        _quarantine(self.move, rows)

    def set_rejects_aside(self) -> None:
        """Read the file once more for rows that were set aside only after they had been typed."""
        rejects = self.move.database.frame(
            "SELECT file_line, column_name, reason FROM rejects WHERE reason IS NOT NULL",
            {"file_line": "integer", "column_name": "text", "reason": "text"},
        )
        for batch in self.move.batches(self) if rejects.height else ():
            self.set_aside(raw(batch, rejects["file_line"]).join(rejects, on="file_line"))


@dataclass(frozen=True)
class _Loading:
    """A dropped file on its way into the tables."""

    move: Move
    path: Path

    def load(self) -> _Entry:
        """Move the rows of a file that keeps its contract.

        Raises
        ------
        UnreadableFileError, OverLimitError
            It does not; roll back what was moved.
        """
        move = self.move
        names = self._header()
        if extra := [name for name in names if name not in self._wanted]:
            move.job.log("columns that the contract does not name are passed over", file=move.uri, columns=extra)
        rows = _Rows(move, self.path, names)
        staged = move.stage(rows)
        move.hold_to_limit(staged.bad, staged.rows, staged.faults)
        if staged.waits:
            rows.set_rejects_aside()
        move.store(staged, ["rejected", "loaded"])
        quarantined = staged.bad + staged.elsewhere + staged.erased
        loaded = Loaded(staged.rows, staged.rows - quarantined, quarantined, None)
        return _Entry(loaded, names, self._changes(names) + move.levels.learn(move.file_id))

    def set_aside(self, error: Exception) -> _Entry:
        """Set all rows of a file aside: those that are wrong with their reason, the rest with that of the file."""
        self.move.retire_earlier(["rejected"])
        names = error.names if isinstance(error, read.LackingColumnsError) else None
        if isinstance(error, OverLimitError):
            names = self._header()
        if names is not None:
            try:
                with self.move.database.transaction():
                    rows = self._set_rows_aside(names, error)
                    return _Entry(Loaded(rows, 0, rows, str(error)), names, self._changes(names))
            except read.UnreadableFileError as damage:  # further on
                error = damage
        rows = self._set_lines_aside(error)
        return _Entry(Loaded(rows, 0, rows, str(error)), None, [])

    def enter(self, etag: str, entry: _Entry) -> None:
        """Enter the file into the ledger."""
        move, loaded = self.move, entry.loaded
        if entry.changes:
            move.job.log("the sender changed something", file=move.uri, changes=entry.changes)
        move.database.rows(
            "INSERT INTO ingest_files (file_id, uri, etag, kind, status, reason, rows_in, rows_out, quarantined, "
            "loaded_at, run_id, columns, changes) "
            "OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                move.file_id,
                move.uri,
                etag,
                move.feed.kind,
                "loaded" if loaded.reason is None else "rejected",
                loaded.reason,
                loaded.rows_in,
                loaded.rows_out,
                loaded.quarantined,
                move.job.as_of,
                move.job.run_id,
                _storable(entry.columns) if entry.columns is not None else None,
                entry.changes,
            ],
        )
        move.job.record(rows_in=loaded.rows_in, rows_out=loaded.rows_out, quarantined=loaded.quarantined)

    @cached_property
    def _wanted(self) -> list[str]:
        return self.move.feed.headers(self.move.contract)

    @cached_property
    def _before(self) -> list[str] | None:
        """Header of the file of this feed that was loaded last."""
        found = self.move.database.rows(
            "SELECT columns FROM ingest_files WHERE kind = %s AND starts_with(uri, %s) AND reason IS NULL "
            "AND columns IS NOT NULL ORDER BY file_id DESC LIMIT 1",
            [self.move.feed.kind, f"{self.move.contract.name}/{self.move.feed.folder}/"],
        )
        return found[0]["columns"] if found else None

    def _header(self) -> list[str]:
        try:
            return read.header(self.path, self.move.contract.file, self._wanted)
        except read.LackingColumnsError as error:
            likely = renamed(error.missing, self._before or self._wanted, error.names)
            hints = [
                f"was {shown(old)} renamed to {shown(name)}?"
                for old, name in likely.items()
                if name not in self._wanted
            ]
            reason = "; ".join([str(error), *hints[:MOST_HINTS]])
            raise read.LackingColumnsError(reason, error.names, error.missing) from None

    def _changes(self, names: list[str]) -> list[str]:
        return header_changes(self._before, _storable(names), self._wanted) if self._before else []

    def _set_rows_aside(self, names: list[str], error: Exception) -> int:
        rows = 0
        for batch in self.move.batches(_Rows(self.move, self.path, names)):
            lines, wrong = batch.lines, batch.broken.with_columns(column_name=pl.lit(None, pl.String))
            if isinstance(error, OverLimitError):
                cleaned = self.move.clean(batch)
                lines, wrong = cleaned.good["file_line"], bad_rows(batch, cleaned)
            for part in (wrong, _refused(raw(batch, lines), error)):
                _quarantine(self.move, part)
                rows += part.height
        return rows

    def _set_lines_aside(self, error: Exception) -> int:
        rows = 0
        if isinstance(error, read.UnreadableFileError) and error.has_lines:
            for lines in read.physical_lines(self.path, self.move.contract.file):
                told = _refused(lines, error)
                _quarantine(self.move, self.move.erased.without_content(told) if self.move.erased else told)
                rows += lines.height
        return rows


def _storable(names: list[str]) -> list[str]:
    """Names that may hold NUL, which a key in JSON can and text in Postgres cannot."""
    return [name.replace("\x00", "\\x00") for name in names]


def _refused(rows: pl.DataFrame, error: Exception) -> pl.DataFrame:
    return rows.with_columns(column_name=pl.lit(None, pl.String), reason=pl.lit(f"{REFUSED}{error}"))


def _quarantine(move: Move, rows: pl.DataFrame) -> None:
    columns = ["file_line", "column_name", "reason", "raw"]
    move.database.append("claims_quarantine", rows.select(columns).with_columns(file_id=pl.lit(move.file_id)))
