"""Apply: one file and its row in the ledger, in one transaction.

All of a file's rows end in ``claims`` (or ``outcomes``) or in ``claims_quarantine``, each once; killed at any moment,
none do, and the next run starts the file afresh. Rows pass through temporary tables, which go with the transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from jobs.etl import read
from jobs.etl.clean import Cleaned, clean_claims, clean_outcomes, clean_reference, keys, reference_key
from jobs.etl.store import Content, Feed, same, store
from shared.contract import Contract
from shared.database import Database, quoted
from shared.job import Job
from shared.storage import Dropped


@dataclass(frozen=True)
class Loaded:
    """What became of a file's rows; ``reason`` is None unless the file was rejected."""

    rows_in: int
    rows_out: int
    quarantined: int
    reason: str | None


def load_file(job: Job, file: Dropped, etag: str, feed: Feed) -> Loaded:
    """Load a file that the ledger does not hold, or holds with another content.

    Raises
    ------
    TransientError
        The file changed while it was read, or the database went away; nothing of it is loaded.
    """
    database = job.database
    with database.transaction(), file.unchanged():
        _create_temporary_tables(database, feed, job.contract)
        try:
            with database.transaction():
                _stage(job, file, feed)
                _set_duplicates_aside(database, feed, file.uri, job.contract)
                reason = _over_limit(database, job.contract.file.reject_limit)
        except read.UnreadableFileError as error:
            reason = str(error)
            _set_lines_aside(job, file, error)
        if reason is not None:
            _set_all_aside(database, reason)
        _fill_in_raw(job, file, feed)
        return _apply(job, file.uri, etag, feed, reason)


def _create_temporary_tables(database: Database, feed: Feed, contract: Contract) -> None:
    columns = ", ".join(["file_line", feed.key, *map(quoted, feed.content(contract))])
    label = ", NULL::boolean AS is_fraud" if feed.kind == "claims" else ""
    database.rows(f"CREATE TEMP TABLE staging ON COMMIT DROP AS SELECT {columns}{label} FROM {feed.table} WITH NO DATA")
    database.rows(
        "CREATE TEMP TABLE rejects "
        "(file_line bigint, column_name text, reason text, raw text, breaks boolean DEFAULT true) ON COMMIT DROP"
    )
    database.rows("CREATE TEMP TABLE raw_rows (file_line bigint, raw text) ON COMMIT DROP")


def _stage(job: Job, file: Dropped, feed: Feed) -> None:
    contract = job.contract
    wanted = feed.headers(contract)
    names = read.header(file.path, contract.file, wanted)
    if extra := [name for name in names if name not in wanted]:
        job.log("columns that the contract does not name are passed over", file=file.uri, columns=extra)
    for batch in read.batches(file.path, contract.file, names):
        cleaned = _clean(job, batch, feed)
        job.database.append("staging", cleaned.good)
        job.database.append("rejects", cleaned.bad.join(_raw(batch, cleaned.bad["file_line"]), on="file_line"))
        job.database.append("rejects", batch.broken)


def _clean(job: Job, batch: read.Batch, feed: Feed) -> Cleaned:
    contract, na_values = job.contract, job.contract.file.na_values
    match feed.kind:
        case "claims":
            return clean_claims(batch.lines, batch.cells, contract, _tables(job, batch.cells), job.as_of)
        case "outcomes":
            assert contract.outcomes is not None
            return clean_outcomes(batch.lines, batch.cells, contract.outcomes, na_values)
        case "reference":
            reference = contract.reference[feed.name]
            key = reference_key(reference, contract.columns)
            return clean_reference(batch.lines, batch.cells, reference, key, na_values)


def _tables(job: Job, cells: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Of each reference table the rows that some claims' keys name."""
    contract, found = job.contract, {}
    for name, reference in contract.reference.items():
        asked = keys(cells, contract.columns[reference.key], reference.key, contract.file.na_values)
        feed, dtypes = Feed("reference", name), {column: told.dtype for column, told in reference.columns.items()}
        columns = ", ".join(["key", *map(quoted, dtypes)])
        query = f"SELECT {columns} FROM {feed.table} WHERE key = ANY(%s)"
        found[name] = job.database.frame(query, {"key": "text", **dtypes}, [asked.to_list()])
    return found


def _raw(batch: read.Batch, lines: pl.Series) -> pl.DataFrame:
    wanted = batch.lines.is_in(lines.implode())
    return read.raw_rows(batch.lines.filter(wanted), batch.cells.filter(wanted))


def _set_duplicates_aside(database: Database, feed: Feed, uri: str, contract: Contract) -> None:
    database.rows(f"ANALYZE staging ({feed.key})")  # nobody else does for a temporary table
    key = ", ".join([feed.key, *feed.content(contract)]) if feed.kind == "outcomes" else feed.key
    database.rows(
        "WITH repeated AS (SELECT file_line, "
        f"first_value(file_line) OVER (PARTITION BY {key} ORDER BY file_line) AS first FROM staging), "
        "gone AS (DELETE FROM staging s USING repeated r WHERE s.file_line = r.file_line "
        "AND r.file_line > r.first RETURNING r.*) "
        "INSERT INTO rejects (file_line, column_name, reason) "
        "SELECT file_line, %s, 'repeats row ' || first || ' of the file' FROM gone",
        [_named(feed, contract)],
    )
    # A row that another file already brought breaks nothing, so it does not count against the reject limit.
    # An outcome without a file is a decision of the console.
    join, current = ("JOIN", "c.superseded_at IS NULL AND ") if feed.kind == "claims" else ("LEFT JOIN", "")
    database.rows(
        f"WITH gone AS (DELETE FROM staging s USING {feed.table} c {join} ingest_files f USING (file_id) "
        f"WHERE c.{feed.key} = s.{feed.key} AND f.uri IS DISTINCT FROM %s AND {current}{same(feed, contract)} "
        "RETURNING s.file_line, coalesce(f.uri, 'the console') AS origin) "
        "INSERT INTO rejects (file_line, column_name, reason, breaks) "
        "SELECT file_line, %s, 'already loaded from ' || origin, false FROM gone",
        [uri, _named(feed, contract)],
    )


def _named(feed: Feed, contract: Contract) -> str | None:
    """Column at fault where a row repeats another; the whole row where none names it."""
    return contract.reference[feed.name].key if feed.name else contract.roles.id


def _over_limit(database: Database, limit: float) -> str | None:
    counts = database.rows(
        "SELECT (SELECT count(*) FROM staging) AS good, count(*) AS bad, "
        "count(*) FILTER (WHERE breaks) AS breaking FROM rejects"
    )[0]
    rows_in, breaking = counts["good"] + counts["bad"], counts["breaking"]
    if breaking <= limit * rows_in:
        return None
    return f"{breaking:,} of {rows_in:,} rows break the contract, over the reject limit of {limit:.1%}"


def _set_lines_aside(job: Job, file: Dropped, error: read.UnreadableFileError) -> None:
    if error.has_lines:
        for lines in read.physical_lines(file.path, job.contract.file):
            job.database.append("rejects", lines.with_columns(reason=pl.lit(f"file_rejected: {error}")))


def _set_all_aside(database: Database, reason: str) -> None:
    database.rows(
        "INSERT INTO rejects (file_line, reason) SELECT file_line, %s FROM staging", [f"file_rejected: {reason}"]
    )
    database.rows("TRUNCATE staging")


def _fill_in_raw(job: Job, file: Dropped, feed: Feed) -> None:
    """Read the file once more for rows that were found wanting only after they had been typed."""
    lines = [row["file_line"] for row in job.database.rows("SELECT file_line FROM rejects WHERE raw IS NULL")]
    if not lines:
        return
    wanted = pl.Series(lines, dtype=pl.Int64)
    names = read.header(file.path, job.contract.file, feed.headers(job.contract))
    for batch in read.batches(file.path, job.contract.file, names):
        job.database.append("raw_rows", _raw(batch, wanted))


def _apply(job: Job, uri: str, etag: str, feed: Feed, reason: str | None) -> Loaded:
    database = job.database
    earlier = _retire_earlier(database, uri, feed, only_rejected=reason is not None)
    counts = database.rows(
        "SELECT (SELECT count(*) FROM staging) AS rows_out, (SELECT count(*) FROM rejects) AS quarantined"
    )[0]
    loaded = Loaded(counts["rows_out"] + counts["quarantined"], counts["rows_out"], counts["quarantined"], reason)
    file_id = database.rows(
        "INSERT INTO ingest_files (uri, etag, kind, status, reason, rows_in, rows_out, quarantined, loaded_at, run_id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING file_id",
        [
            uri,
            etag,
            feed.kind,
            "loaded" if reason is None else "rejected",
            reason,
            loaded.rows_in,
            loaded.rows_out,
            loaded.quarantined,
            job.as_of,
            job.run_id,
        ],
    )[0]["file_id"]
    database.rows(
        "INSERT INTO claims_quarantine (file_id, file_line, column_name, reason, raw) "
        "SELECT %s, file_line, column_name, reason, coalesce(r.raw, w.raw) "
        "FROM rejects r LEFT JOIN raw_rows w USING (file_line)",
        [file_id],
    )
    if reason is None:
        store(database, feed, job.contract, Content(file_id, earlier, job.as_of))
    job.record(rows_in=loaded.rows_in, rows_out=loaded.rows_out, quarantined=loaded.quarantined)
    return loaded


def _retire_earlier(database: Database, uri: str, feed: Feed, *, only_rejected: bool) -> list[int]:
    """Mark what this file's earlier contents had loaded as replaced; a rejected content replaces only rejected ones.

    Returns
    -------
    list of int
        Contents whose rows this one takes over: outcomes are never withdrawn, so theirs may be of any earlier content.
    """
    retired = database.rows(
        "UPDATE ingest_files SET status = 'replaced' WHERE uri = %s AND status = ANY(%s) RETURNING file_id",
        [uri, ["rejected"] if only_rejected else ["rejected", "loaded"]],
    )
    database.rows("DELETE FROM claims_quarantine WHERE file_id = ANY(%s)", [[row["file_id"] for row in retired]])
    earlier = (
        retired if feed.kind != "outcomes" else database.rows("SELECT file_id FROM ingest_files WHERE uri = %s", [uri])
    )
    return [row["file_id"] for row in earlier]
