"""Apply: one file and its row in the ledger, in one transaction.

All of a file's rows end in ``claims`` (or ``outcomes``, or a reference table) or in ``claims_quarantine``, each once;
killed at any moment, none do, and the next run starts the file afresh. Claims that nobody has heard of go straight to
where they belong; rows that may repeat or correct others wait in a temporary table until the whole file is read.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from jobs.etl import read
from jobs.etl.ahead import ahead
from jobs.etl.clean import Cleaned, clean_claims, clean_outcomes, clean_reference, keys
from jobs.etl.fresh import Fresh, Seen, fresh_rows
from jobs.etl.persons import Persons, erased, pseudonyms_of
from jobs.etl.store import Content, Feed, same, store
from shared.contract import Contract
from shared.database import Database, quoted
from shared.job import Job
from shared.pseudonyms import Pseudonyms
from shared.storage import Dropped


@dataclass(frozen=True)
class Loaded:
    """What became of a file's rows; ``reason`` is None unless the file was rejected."""

    rows_in: int
    rows_out: int
    quarantined: int
    reason: str | None


class OverLimitError(Exception):
    """More of a file's rows break the contract than it lets pass."""


def load_file(job: Job, file: Dropped, etag: str, feed: Feed) -> Loaded:
    """Load a file that the ledger does not hold, or holds with another content.

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
        loading = _Loading(job, file.uri, path, feed, pseudonyms, gone, file_id[0]["file_id"])
        try:
            with database.transaction():
                loaded = loading.load()
        except (read.UnreadableFileError, OverLimitError) as error:
            loaded = loading.set_aside(error)
        loading.enter(etag, loaded)
        return loaded


@dataclass(frozen=True)
class _Part:
    """A batch of a file, cleaned: rows straight for ``claims`` where there are any, the rest, and those set aside."""

    fresh: Fresh | None
    rest: pl.DataFrame
    bad: pl.DataFrame

    @property
    def rows(self) -> int:
        return self.rest.height + self.bad.height + (self.fresh.rows if self.fresh else 0)


@dataclass(frozen=True)
class _Loading:
    """One content of a file on its way into the tables."""

    job: Job
    uri: str
    path: Path
    feed: Feed
    pseudonyms: Pseudonyms | None
    erased: Persons | None
    file_id: int

    @property
    def database(self) -> Database:
        return self.job.database

    @property
    def contract(self) -> Contract:
        return self.job.contract

    def load(self) -> Loaded:
        """Move the rows of a file that keeps its contract.

        Raises
        ------
        UnreadableFileError, OverLimitError
            It does not; roll back what was moved.
        """
        rows_in = bad = without_content = 0
        staged = False
        names = self._header()
        for part in self._parts(names):
            rows_in, bad = rows_in + part.rows, bad + part.bad["raw"].count()
            without_content += part.bad["raw"].null_count()  # of persons who were erased: they break nothing
            self._quarantine(part.bad)
            if part.fresh is not None:
                part.fresh.append_to(self.database)
            if not part.rest.is_empty():
                if not staged:
                    _create_temporary_tables(self.database, self.feed, self.contract)
                    staged = True
                self.database.append("staging", part.rest)
        repeating = 0
        if staged:
            repeating = self._set_repetitions_aside()
            bad += repeating
        known_elsewhere = self._set_loaded_aside() if staged else 0
        limit = self.contract.file.reject_limit
        if bad > limit * rows_in:
            raise OverLimitError(
                f"{bad:,} of {rows_in:,} rows break the contract, over the reject limit of {limit:.1%}"
            )
        if repeating + known_elsewhere:
            self._quarantine_repeated(names)
        earlier = self._retire_earlier(["rejected", "loaded"])
        if staged or earlier:
            if not staged:
                _create_temporary_tables(self.database, self.feed, self.contract)
            store(self.database, self.feed, self.contract, Content(self.file_id, earlier, self.job.as_of))
        quarantined = bad + known_elsewhere + without_content
        return Loaded(rows_in, rows_in - quarantined, quarantined, None)

    def set_aside(self, error: Exception) -> Loaded:
        """Set all rows of a file aside: those that are wrong with their reason, the rest with that of the file."""
        self._retire_earlier(["rejected"])
        reason = f"file_rejected: {error}"
        rows = 0
        if isinstance(error, OverLimitError):
            for batch in self._batches(self._header()):
                cleaned = self._clean(batch)
                good = _raw(batch, cleaned.good["file_line"]).with_columns(
                    column_name=pl.lit(None, pl.String), reason=pl.lit(reason)
                )
                for wrong in (_bad(batch, cleaned), good):
                    self._quarantine(wrong)
                    rows += wrong.height
        elif isinstance(error, read.UnreadableFileError) and error.has_lines:
            for lines in read.physical_lines(self.path, self.contract.file):
                told = lines.with_columns(column_name=pl.lit(None, pl.String), reason=pl.lit(reason))
                self._quarantine(self.erased.without_content(told) if self.erased else told)
                rows += lines.height
        return Loaded(rows, 0, rows, str(error))

    def enter(self, etag: str, loaded: Loaded) -> None:
        """Enter the file into the ledger."""
        self.database.rows(
            "INSERT INTO ingest_files (file_id, uri, etag, kind, status, reason, rows_in, rows_out, quarantined, "
            "loaded_at, run_id) OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                self.file_id,
                self.uri,
                etag,
                self.feed.kind,
                "loaded" if loaded.reason is None else "rejected",
                loaded.reason,
                loaded.rows_in,
                loaded.rows_out,
                loaded.quarantined,
                self.job.as_of,
                self.job.run_id,
            ],
        )
        self.job.record(rows_in=loaded.rows_in, rows_out=loaded.rows_out, quarantined=loaded.quarantined)

    def _header(self) -> list[str]:
        wanted = self.feed.headers(self.contract)
        names = read.header(self.path, self.contract.file, wanted)
        if extra := [name for name in names if name not in wanted]:
            self.job.log("columns that the contract does not name are passed over", file=self.uri, columns=extra)
        return names

    def _batches(self, names: list[str]) -> Generator[read.Batch]:
        with closing(read.batches(self.path, self.contract.file, names)) as batches:
            for batch in batches:
                yield self.erased.taken_from(batch, self.feed) if self.erased else batch

    def _parts(self, names: list[str]) -> Generator[_Part]:
        """Read and clean ahead of what is sent; only claims that ask a reference table wait for the database."""
        batches = ahead(self._batches(names))
        seen = Seen()
        # Whoever is first needs not ask who is there.
        first = self.feed.kind == "claims" and not self.database.rows("SELECT 1 FROM claims LIMIT 1")

        def parts() -> Generator[_Part]:
            with closing(batches):
                for batch in batches:
                    cleaned = self._clean(batch)
                    fresh, rest = None, cleaned.good
                    if self.feed.kind == "claims":
                        new = ~seen.add(rest["claim_id"])
                        if not first:
                            new &= ~self._stored(rest["claim_id"])
                        fresh, rest = fresh_rows(rest.filter(new), self.contract, self.file_id), rest.filter(~new)
                    yield _Part(fresh, rest, _bad(batch, cleaned))

        alone = first and not self.contract.reference
        return ahead(parts()) if alone or self.feed.kind == "outcomes" else parts()

    def _stored(self, claim_ids: pl.Series) -> pl.Series:
        found = self.database.frame(
            "SELECT DISTINCT claim_id FROM claims WHERE claim_id = ANY(%s)", {"claim_id": "text"}, [claim_ids.to_list()]
        )
        return claim_ids.is_in(found["claim_id"].implode())

    def _clean(self, batch: read.Batch) -> Cleaned:
        lines, cells, contract = batch.lines, batch.cells, self.contract
        match self.feed.kind:
            case "claims":
                return clean_claims(lines, cells, contract, self.pseudonyms, self._tables(cells), self.job.as_of)
            case "outcomes":
                return clean_outcomes(lines, cells, contract, self.pseudonyms)
            case "reference":
                return clean_reference(lines, cells, contract, self.feed.name, self.pseudonyms)

    def _tables(self, cells: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Of each reference table the rows that some claims' keys name."""
        found = {}
        for name, reference in self.contract.reference.items():
            asked = keys(cells, self.contract, name)
            stored = self.pseudonyms.of(asked) if self.pseudonyms and reference.key in self.contract.personal else asked
            dtypes = {column: self.contract.dtype(column) for column in reference.columns}
            columns = ", ".join(["key", *map(quoted, dtypes)])
            query = f"SELECT {columns} FROM {Feed('reference', name).table} WHERE key = ANY(%s)"
            rows = self.database.frame(query, {"key": "text", **dtypes}, [stored.to_list()])
            found[name] = rows.with_columns(pl.col("key").replace_strict(stored, asked, return_dtype=pl.String))
        return found

    def _quarantine(self, rows: pl.DataFrame) -> None:
        columns = ["file_line", "column_name", "reason", "raw"]
        self.database.append("claims_quarantine", rows.select(columns).with_columns(file_id=pl.lit(self.file_id)))

    def _set_repetitions_aside(self) -> int:
        """Set staged rows aside that repeat a row of their file."""
        feed, contract = self.feed, self.contract
        self.database.rows(f"ANALYZE staging ({feed.key})")  # nobody else does for a temporary table
        key = ", ".join([feed.key, *feed.content(contract)]) if feed.kind == "outcomes" else feed.key
        # The first one may have gone straight to the claims.
        straight = ""
        if feed.kind == "claims":
            straight = " UNION ALL SELECT claim_id, file_line FROM claims WHERE file_id = %(file_id)s AND claim_id IN "
            straight += "(SELECT claim_id FROM staging)"
        found = self.database.rows(
            f"WITH every AS (SELECT {key}, file_line FROM staging{straight}), repeated AS (SELECT file_line, "
            f"first_value(file_line) OVER (PARTITION BY {key} ORDER BY file_line) AS first FROM every), "
            "gone AS (DELETE FROM staging s USING repeated r WHERE s.file_line = r.file_line "
            "AND r.file_line > r.first RETURNING r.*) "
            "INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %(column)s, 'repeats row ' || first || ' of the file' FROM gone RETURNING file_line",
            {"file_id": self.file_id, "column": _named(feed, contract)},
        )
        return len(found)

    def _set_loaded_aside(self) -> int:
        """Set staged rows aside that another file already brought; they break nothing."""
        feed, contract = self.feed, self.contract
        # An outcome without a file is a decision of the console.
        join, current = ("JOIN", "c.superseded_at IS NULL AND ") if feed.kind == "claims" else ("LEFT JOIN", "")
        found = self.database.rows(
            f"WITH gone AS (DELETE FROM staging s USING {feed.table} c {join} ingest_files f USING (file_id) "
            f"WHERE c.{feed.key} = s.{feed.key} AND f.uri IS DISTINCT FROM %s AND {current}{same(feed, contract)} "
            "RETURNING s.file_line, coalesce(f.uri, 'the console') AS origin) "
            "INSERT INTO rejects (file_line, column_name, reason) "
            "SELECT file_line, %s, 'already loaded from ' || origin FROM gone RETURNING file_line",
            [self.uri, _named(feed, contract)],
        )
        return len(found)

    def _quarantine_repeated(self, names: list[str]) -> None:
        """Read the file once more for rows that were set aside only after they had been typed."""
        rejects = self.database.frame(
            "SELECT file_line, column_name, reason FROM rejects",
            {"file_line": "integer", "column_name": "text", "reason": "text"},
        )
        for batch in read.batches(self.path, self.contract.file, names):
            self._quarantine(_raw(batch, rejects["file_line"]).join(rejects, on="file_line"))

    def _retire_earlier(self, statuses: list[str]) -> list[int]:
        """Mark what this file's earlier contents came to as replaced.

        Returns
        -------
        list of int
            Contents whose rows this one takes over: outcomes are never withdrawn, so theirs may be of any earlier one.
        """
        retired = self.database.rows(
            "UPDATE ingest_files SET status = 'replaced' WHERE uri = %s AND status = ANY(%s) RETURNING file_id",
            [self.uri, statuses],
        )
        gone = [row["file_id"] for row in retired]
        if gone:
            self.database.rows("DELETE FROM claims_quarantine WHERE file_id = ANY(%s)", [gone])
        if self.feed.kind != "outcomes":
            return gone
        every = self.database.rows("SELECT file_id FROM ingest_files WHERE uri = %s", [self.uri])
        return [row["file_id"] for row in every]


def _create_temporary_tables(database: Database, feed: Feed, contract: Contract) -> None:
    columns = ", ".join(["file_line", feed.key, *map(quoted, feed.content(contract))])
    label = ", NULL::boolean AS is_fraud" if feed.kind == "claims" else ""
    database.rows(f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns}{label} FROM {feed.table} WITH NO DATA")
    database.rows("CREATE TEMP TABLE rejects (file_line bigint, column_name text, reason text) ON COMMIT DROP")


def _named(feed: Feed, contract: Contract) -> str | None:
    """Column at fault where a row repeats another; the whole row where none names it."""
    return contract.reference[feed.name].key if feed.name else contract.roles.id


def _raw(batch: read.Batch, lines: pl.Series) -> pl.DataFrame:
    wanted = batch.lines.is_in(lines.implode()).arg_true()
    return read.raw_rows(batch.lines[wanted], batch.cells[wanted])


def _bad(batch: read.Batch, cleaned: Cleaned) -> pl.DataFrame:
    """Rows of a batch that are set aside: as they came, and why."""
    columns = ["file_line", "column_name", "reason", "raw"]
    wrong = cleaned.bad.join(_raw(batch, cleaned.bad["file_line"]), on="file_line")
    broken = batch.broken.with_columns(column_name=pl.lit(None, pl.String))
    return pl.concat([wrong.select(columns), broken.select(columns)])
